//! Reads Excel files (`.xlsx`). One sheet of the file is read. The first non-empty row of the sheet contains the names
//! of the columns.
//!
//! The crate calamine reads the cells, and keeps all texts of the workbook in memory. So the whole sheet is read at
//! once when the file is opened, and the file can also come from standard input. The size of the file ([`archive`]),
//! the number of cells and the bytes of their texts are limited.
//!
//! A row's `line` is its number in the sheet, as Excel shows it. Empty rows are skipped. The rows of a sheet have no
//! byte offset, so `byte_offset` is an estimate: the row's number times the average length of a row.
//!
//! Cells to the right of the last named column are left out. If cells are merged, the first cell has the value, and the
//! other cells are treated as missing. A row is broken if a cell shows an error such as `#N/A` in a column that is sent
//! or that is the label. In other columns, a cell with an error is treated as missing.

mod archive;
mod cell;

use std::io::{Cursor, Read};
use std::sync::Arc;

use calamine::{Reader as _, SheetType, SheetVisible, Xlsx};

use super::guard::guarded;
use super::names::{found_list, short};
use super::table::{Record, Table};
use super::{InputCell, InputFormat, Position, SourceError};

/// The largest number of non-empty cells, and the largest size in bytes of all their texts together.
const MAX_CELLS: usize = 16 << 20;
const MAX_TEXT_BYTES: usize = 512 << 20;

/// The highest number of columns that Excel allows in a sheet.
const MAX_COLUMNS: u32 = 16_384;

/// The largest number of cells in all rows together, including empty cells.
const MAX_PLACES: u64 = 1 << 28;

/// A sheet.
pub(super) struct Excel {
    columns: Vec<Arc<str>>,
    /// All non-empty cells below the header, sorted by row and then by column.
    cells: Vec<Placed>,
    /// The index of the next cell.
    next: usize,
    /// The average length of a row, in bytes.
    row_bytes: u64,
}

/// A cell with its row and its column, counted from 0.
#[derive(Debug)]
struct Placed {
    row: u32,
    column: u32,
    cell: Result<InputCell, Box<str>>,
}

impl Excel {
    /// Reads the sheet with the given name, or the first visible sheet if no name is given.
    ///
    /// # Errors
    /// [`SourceError::Damaged`], [`SourceError::NoSheet`], [`SourceError::NoHeader`], and [`SourceError::Read`].
    pub(super) fn new(input: impl Read, name: &str, sheet: Option<&str>) -> Result<Self, SourceError> {
        let mut bytes = Vec::new();
        let most = archive::MAX_PACKED_BYTES;
        let read = input.take(most + 1).read_to_end(&mut bytes);
        read.map_err(|source| SourceError::Read { name: name.to_owned(), line: 1, source })?;
        let fault = if bytes.len() as u64 > most {
            Fault::Damaged(format!("the file has more than {} MiB; save the sheet as CSV", most >> 20))
        } else {
            match guarded(|| archive::check(&bytes).map_err(Fault::Damaged).and_then(|()| cells(bytes, sheet))) {
                Ok((sheet, cells)) => return Self::of_cells(cells, name, &sheet),
                Err(fault) => fault,
            }
        };
        let name = name.to_owned();
        Err(match fault {
            Fault::Damaged(message) => SourceError::Damaged { name, place: "before its first row".to_owned(), message },
            Fault::NoSheet(sheets) => {
                SourceError::NoSheet { name, sheet: sheet.unwrap_or_default().to_owned(), sheets }
            }
        })
    }

    fn of_cells(mut cells: Vec<Placed>, name: &str, sheet: &str) -> Result<Self, SourceError> {
        // In some unusual files, the cells are not in order. If several cells have the same row and column, the last
        // cell is used.
        cells.sort_by_key(|cell| (cell.row, cell.column));
        cells.reverse();
        cells.dedup_by_key(|cell| (cell.row, cell.column));
        cells.reverse();
        let Some(header) = cells.first().map(|cell| cell.row) else {
            return Err(SourceError::NoHeader { name: name.to_owned(), sheet: short(sheet) });
        };
        let end = cells.partition_point(|cell| cell.row == header);
        let mut columns: Vec<Arc<str>> = Vec::new();
        for cell in cells.drain(..end) {
            columns.resize(cell.column as usize, "".into());
            columns.push(match cell.cell {
                Ok(InputCell::Text(text) | InputCell::Json(text)) => text.trim().into(),
                Ok(InputCell::Missing) | Err(_) => "".into(),
            });
        }
        let rows = cells.chunk_by(|one, other| one.row == other.row).count() as u64;
        if rows.saturating_mul(columns.len() as u64) > MAX_PLACES {
            let message = format!("the sheet {} has more than {MAX_PLACES} cells; save it as CSV", short(sheet));
            return Err(SourceError::Damaged {
                name: name.to_owned(),
                place: "before its first row".to_owned(),
                message,
            });
        }
        let bytes: usize = cells.iter().map(|cell| cell.cell.as_ref().map_or(0, InputCell::len)).sum();
        Ok(Self { columns, cells, next: 0, row_bytes: (bytes as u64 / rows.max(1)).max(1) })
    }

    /// Returns the names of the columns.
    pub(super) fn columns(&self) -> &[Arc<str>] {
        &self.columns
    }
}

impl Table for Excel {
    fn format(&self) -> InputFormat {
        InputFormat::Excel
    }

    fn position(&self) -> Option<Position> {
        let line = u64::from(self.cells.get(self.next)?.row) + 1;
        Some(Position { line, byte_offset: line * self.row_bytes })
    }

    fn next(&mut self) -> Result<Option<Record>, SourceError> {
        let Some(Position { line, byte_offset }) = self.position() else { return Ok(None) };
        let mut cells = vec![InputCell::Missing; self.columns.len()];
        let mut faults = Vec::new();
        while let Some(placed) = self.cells.get(self.next).filter(|cell| u64::from(cell.row) + 1 == line) {
            match (cells.get_mut(placed.column as usize), &placed.cell) {
                (Some(cell), Ok(found)) => cell.clone_from(found),
                (Some(_), Err(error)) => faults.push((placed.column as usize, format!("shows the error {error}"))),
                (None, _) => {}
            }
            self.next += 1;
        }
        Ok(Some(Record { line, byte_offset, cells, faults }))
    }

    fn seek(&mut self, position: Position) -> Result<bool, SourceError> {
        self.next = self.cells.partition_point(|cell| u64::from(cell.row) + 1 < position.line);
        Ok(self.position() == Some(position))
    }
}

/// The reason why a sheet can't be read.
enum Fault {
    Damaged(String),
    /// The workbook has no sheet with the given name. The text lists the existing sheets.
    NoSheet(String),
}

impl From<String> for Fault {
    fn from(message: String) -> Self {
        Self::Damaged(message)
    }
}

/// Reads all non-empty cells of a sheet. Returns the sheet's name and the cells.
fn cells(bytes: Vec<u8>, sheet: Option<&str>) -> Result<(String, Vec<Placed>), Fault> {
    let damaged = |error: calamine::XlsxError| Fault::Damaged(error.to_string());
    let mut workbook = Xlsx::new(Cursor::new(bytes)).map_err(damaged)?;
    let sheet = sheet_name(&workbook, sheet)?;
    let mut reader = workbook.worksheet_cells_reader(&sheet).map_err(damaged)?;
    let (mut cells, mut text_bytes) = (Vec::new(), 0);
    while let Some(found) = reader.next_cell().map_err(damaged)? {
        let (row, column) = found.get_position();
        let cell = cell::cell(found.get_value()).map_err(String::into_boxed_str);
        if column >= MAX_COLUMNS || cell == Ok(InputCell::Missing) {
            continue;
        }
        text_bytes += cell.as_ref().map_or(0, InputCell::len);
        if cells.len() >= MAX_CELLS || text_bytes > MAX_TEXT_BYTES {
            let message = format!("the sheet {} has more than {MAX_CELLS} cells or too much text", short(&sheet));
            return Err(Fault::Damaged(format!("{message}; save it as CSV")));
        }
        cells.push(Placed { row, column, cell });
    }
    Ok((sheet, cells))
}

/// Returns the name of the sheet to read.
fn sheet_name<R: Read + std::io::Seek>(workbook: &Xlsx<R>, asked: Option<&str>) -> Result<String, Fault> {
    let sheets = || workbook.sheets_metadata().iter().filter(|sheet| sheet.typ == SheetType::WorkSheet);
    let found = match asked {
        Some(asked) => sheets().find(|sheet| sheet.name == asked),
        // Hidden sheets usually contain lists for other sheets.
        None => sheets().find(|sheet| sheet.visible == SheetVisible::Visible).or_else(|| sheets().next()),
    };
    match found {
        Some(sheet) => Ok(sheet.name.clone()),
        None if sheets().next().is_none() => Err(Fault::Damaged("it has no sheet".to_owned())),
        None => {
            Err(Fault::NoSheet(found_list(sheets().map(|sheet| sheet.name.as_str()), &[asked.unwrap_or_default()])))
        }
    }
}
