//! Rows of a table with typed cells and named columns: a Parquet file or an Excel sheet.

use std::sync::Arc;

use super::cells::{CellRef, InputCell, InputRow, Record as _};
use super::fields::Warnings;
use super::format::{Columns, Rows};
use super::header::Header;
use super::json::string_value;
use super::names::short;
use super::raw::{Fault, KEPT_BYTES, too_long};
use super::template::Template;
use super::{BrokenRow, InputFormat, Item, Options, Position, Row, SourceError};
use crate::domain::Origin;

/// A row of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The row's number in the file or sheet, counted from 1.
    pub(super) line: u64,
    /// The estimated number of bytes before the row in the input. The number increases from row to row.
    pub(super) byte_offset: u64,
    /// The cells of the row, one for each column.
    pub(super) cells: Vec<InputCell>,
    /// The cells that could not be read and are treated as missing. For each of these cells, the list has the index of
    /// the column and a message. The message is shown after the column's name.
    pub(super) faults: Vec<(usize, String)>,
}

/// A table that is read row by row.
pub(super) trait Table: Send {
    /// Returns the format of the table.
    fn format(&self) -> InputFormat;

    /// Returns where the next row begins; `None` after the last.
    fn position(&self) -> Option<Position>;

    /// Returns the next row; `None` after the last.
    fn next(&mut self) -> Result<Option<Record>, SourceError>;

    /// Continues at a position that was found in an earlier reading of the table. Returns `false` if no row begins at
    /// this position.
    fn seek(&mut self, position: Position) -> Result<bool, SourceError>;
}

/// The rows of a table.
pub(super) struct TableRows<T> {
    table: T,
    header: Header,
    /// For each column, whether its cells are sent or are the labels of the rows.
    is_used: Vec<bool>,
    template: Option<Template>,
    keeps_input: bool,
    most_bytes: usize,
}

impl<T: Table> TableRows<T> {
    /// Returns the rows of a table with these columns.
    ///
    /// # Errors
    /// The errors of [`Header::new`].
    pub(super) fn new(table: T, columns: Vec<Arc<str>>, input: &str, options: &Options) -> Result<Self, SourceError> {
        let header = Header::new(columns, input, options)?;
        let template = options.template.clone();
        let columns = header.grouped_columns(template.as_ref());
        let is_whole = template.as_ref().is_some_and(Template::is_of_whole_row);
        let is_used =
            |name: &Arc<str>| is_whole || columns.sent.iter().chain(&columns.label).any(|used| **used == **name);
        Ok(Self {
            table,
            is_used: header.columns().iter().map(is_used).collect(),
            header,
            template,
            keeps_input: options.keeps_input,
            most_bytes: options.max_line_bytes,
        })
    }

    /// Returns the text of a broken row for the error log: its cells as a JSON object, shortened.
    fn raw(&self, cells: &[InputCell]) -> Vec<u8> {
        let cut = |text: &str| String::from_utf8_lossy(&text.as_bytes()[..text.len().min(KEPT_BYTES)]).into_owned();
        let mut raw = String::new();
        for (name, cell) in self.header.columns().iter().zip(cells.cells()) {
            if raw.len() >= KEPT_BYTES {
                break;
            }
            raw.push(if raw.is_empty() { '{' } else { ',' });
            raw.push_str(string_value(name).get());
            raw.push(':');
            match cell {
                CellRef::Missing => raw.push_str("null"),
                CellRef::Text(text) => raw.push_str(string_value(&cut(text)).get()),
                CellRef::Json(json) => raw.push_str(&cut(json)),
            }
        }
        raw.push('}');
        let mut raw = raw.into_bytes();
        raw.truncate(KEPT_BYTES);
        raw
    }

    fn item(&self, record: Record, name: &Arc<str>) -> Item {
        let Record { line, byte_offset, cells, faults } = record;
        let origin = Origin { source: name.clone(), line };
        let bytes: usize = cells.iter().map(InputCell::len).sum();
        let parts = match faults.into_iter().find(|(at, _)| self.is_used[*at]) {
            Some((at, fault)) => {
                Err(Fault::new(format!("has a column {} that {fault}", short(&self.header.columns()[at]))))
            }
            None if bytes > self.most_bytes => Err(too_long(self.most_bytes)),
            None => self.header.parts(&cells[..], self.template.as_ref()),
        };
        match parts {
            Ok(parts) => Item::Row(Box::new(Row {
                origin,
                custom_id: parts.custom_id,
                params: parts.params,
                extra: parts.extra,
                error: parts.error,
                input: self.keeps_input.then_some(InputRow::Cells(cells)),
            })),
            Err(fault) => Item::Broken(Box::new(BrokenRow {
                origin,
                index: 0,
                custom_id: fault.custom_id,
                column: None,
                byte_offset,
                raw: self.raw(&cells),
                message: fault.message,
                input: self.keeps_input.then_some(InputRow::Cells(cells)),
            })),
        }
    }
}

impl<T: Table> Rows for TableRows<T> {
    fn format(&self) -> InputFormat {
        self.table.format()
    }

    fn columns(&self) -> Option<Columns> {
        Some(self.header.grouped_columns(self.template.as_ref()))
    }

    fn header(&self) -> Option<&[Arc<str>]> {
        Some(self.header.columns())
    }

    fn position(&mut self) -> Option<Position> {
        self.table.position()
    }

    fn next(&mut self, name: &Arc<str>, _: &mut Warnings) -> Result<Option<Item>, SourceError> {
        Ok(self.table.next()?.map(|record| self.item(record, name)))
    }

    fn seek(&mut self, position: Position, name: &Arc<str>) -> Result<(), SourceError> {
        match self.table.seek(position)? {
            true => Ok(()),
            false => Err(SourceError::Moved { name: name.to_string(), line: position.line }),
        }
    }
}
