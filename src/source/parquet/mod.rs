//! Parquet files. Each row of the file is a row of the input, and its cells have the names of the file's columns.
//!
//! The parquet crate decodes the footer ([`footer`]) and the values of pages ([`leaf`]). Before the decoding, this
//! module checks everything that affects how much memory the decoding needs: the sizes in the footer, and each page
//! ([`pages`], [`codec`], [`delta`]). A file is read in batches of rows. Only one page of each column is in memory, so
//! row groups can have any size.
//!
//! A row's `line` is its number in the file, counted from 1. The cells of a row are in different places of the file. So
//! `byte_offset` is an estimate: the row's number times the average length of a row. Reading can begin at any row.
//!
//! The module [`value`] turns values into cells. Lists, maps and structures become JSON ([`field`]). Some values can't
//! be shown. If a value that can't be shown is in the label column or in a column that is sent, the row is broken. In
//! other columns, such a value is treated as missing. If the file is damaged, reading stops at the damage. The rows
//! before the damage are kept.

mod codec;
mod damage;
mod delta;
mod field;
mod footer;
mod leaf;
mod pages;
mod thrift;
mod value;

use std::fs::File;
use std::sync::{Arc, Mutex};

use ::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};

use self::damage::Damage;
use self::field::{Field, RowState};
use self::leaf::Leaf;
use self::pages::{Budget, Chunk, Pages};
use super::guard::guarded;
use super::table::{Record, Table};
use super::{InputFormat, Position, SourceError};

/// The largest number of rows per byte of a file. If a million rows have equal values in a column, the column takes few
/// bytes. But prompts differ from each other, so a column of prompts takes more bytes than a column of equal values. If
/// a file has more rows per byte than this number, somebody certainly made the file to do harm.
const MAX_ROWS_PER_BYTE: u64 = 10_000;

/// The highest average row length that the program assumes, in bytes. If a file claims a larger average row length, the
/// program assumes this length instead.
const MAX_ROW_BYTES: u64 = 1 << 26;

/// The limits for one batch of rows: the total size of its values in bytes, and the number of its rows.
const BATCH_BYTES: u64 = 4 << 20;
const BATCH_ROWS: u64 = 256;

/// The rows of a Parquet file.
pub(super) struct Parquet {
    name: Arc<str>,
    file: Arc<Mutex<File>>,
    metadata: ParquetMetaData,
    columns: Vec<Arc<str>>,
    fields: Vec<Field>,
    leaves: Vec<Leaf>,
    budget: Arc<Budget>,
    /// The number of the row group after the current one.
    next_group: usize,
    /// How many rows of the row group are still to be decoded.
    left_in_group: u64,
    /// How many rows of the batch are still to be returned.
    left_in_batch: u64,
    batch_rows: u64,
    /// The index of the next row, and the number of rows in the file.
    row: u64,
    rows: u64,
    /// The average length of a row, in bytes.
    row_bytes: u64,
}

impl Parquet {
    /// Opens a file and reads its footer.
    ///
    /// # Errors
    /// [`SourceError::Damaged`] if the footer is missing or can't be read.
    pub(super) fn new(mut file: File, name: &Arc<str>) -> Result<Self, SourceError> {
        let read = footer::read(&mut file).and_then(|metadata| {
            let rows = rows_of(&metadata, file.metadata()?.len())?;
            Ok((metadata, rows))
        });
        let (metadata, rows) = read.map_err(|damage| damage.before_rows(name))?;
        let bytes: u64 = metadata.row_groups().iter().map(bytes_of).fold(0, u64::saturating_add);
        let row_bytes = (bytes / rows.max(1)).clamp(1, MAX_ROW_BYTES);
        let schema = metadata.file_metadata().schema_descr();
        let (mut leaves, nodes) = (0, schema.root_schema().get_fields());
        Ok(Self {
            columns: nodes.iter().map(|node| node.name().into()).collect(),
            fields: nodes.iter().map(|node| Field::new(node, &mut leaves)).collect(),
            leaves: schema.columns().iter().map(|column| Leaf::new(column.clone())).collect(),
            name: name.clone(),
            file: Arc::new(Mutex::new(file)),
            metadata,
            budget: Arc::default(),
            next_group: 0,
            left_in_group: 0,
            left_in_batch: 0,
            batch_rows: 1,
            row: 0,
            rows,
            row_bytes,
        })
    }

    /// Returns the names of the columns, in the order of the file.
    pub(super) fn columns(&self) -> &[Arc<str>] {
        &self.columns
    }

    /// Begins the next row group, and skips its first `skipped` rows.
    fn begin_group(&mut self, skipped: u64) -> Result<(), Damage> {
        let group = self.metadata.row_group(self.next_group);
        let rows = group.num_rows() as u64;
        for (leaf, chunk) in self.leaves.iter_mut().zip(group.columns()) {
            let chunk = chunk_of(leaf, chunk)?;
            leaf.begin(Pages::new(self.file.clone(), self.budget.clone(), chunk));
            if skipped > 0 {
                self.budget.begin_batch();
                leaf.skip(skipped as usize)?;
            }
        }
        let row_bytes = bytes_of(group) / rows.max(1);
        self.batch_rows = (BATCH_BYTES / row_bytes.max(1)).clamp(1, BATCH_ROWS);
        self.next_group += 1;
        self.left_in_group = rows - skipped;
        self.left_in_batch = 0;
        Ok(())
    }

    /// Makes sure that the next row is decoded.
    fn fill(&mut self) -> Result<(), Damage> {
        while self.left_in_batch == 0 {
            if self.left_in_group == 0 {
                self.begin_group(0)?;
                continue;
            }
            let rows = self.batch_rows.min(self.left_in_group);
            for leaf in &mut self.leaves {
                self.budget.begin_batch();
                leaf.read(rows as usize).map_err(|damage| damage.of_column(leaf.column().name()))?;
            }
            self.left_in_group -= rows;
            self.left_in_batch = rows;
        }
        Ok(())
    }

    fn take(&mut self) -> Result<Record, Damage> {
        self.fill()?;
        let (mut cells, mut faults) = (Vec::with_capacity(self.fields.len()), Vec::new());
        for (at, (field, column)) in self.fields.iter().zip(&self.columns).enumerate() {
            let mut taking = RowState { leaves: &mut self.leaves, fault: None };
            cells.push(field.cell(&mut taking).map_err(|damage| damage.of_column(column))?);
            faults.extend(taking.fault.map(|fault| (at, fault.to_owned())));
        }
        self.left_in_batch -= 1;
        let Position { line, byte_offset } = self.place(self.row);
        self.row += 1;
        Ok(Record { line, byte_offset, cells, faults })
    }

    fn place(&self, row: u64) -> Position {
        Position { line: row + 1, byte_offset: row.saturating_mul(self.row_bytes) }
    }

    /// Stops reading the file. The returned error says after which row the damage begins.
    fn damaged(&mut self, damage: Damage) -> SourceError {
        let row = std::mem::replace(&mut self.row, self.rows);
        damage.after_row(&self.name, row)
    }
}

impl Table for Parquet {
    fn format(&self) -> InputFormat {
        InputFormat::Parquet
    }

    fn position(&self) -> Option<Position> {
        (self.row < self.rows).then(|| self.place(self.row))
    }

    fn next(&mut self) -> Result<Option<Record>, SourceError> {
        if self.row >= self.rows {
            return Ok(None);
        }
        guarded(|| self.take()).map(Some).map_err(|damage| self.damaged(damage))
    }

    fn seek(&mut self, position: Position) -> Result<bool, SourceError> {
        let row = position.line.saturating_sub(1);
        if row >= self.rows || position != self.place(row) {
            return Ok(false);
        }
        let mut before = row;
        self.next_group = 0;
        while let Some(rows) = self.metadata.row_groups().get(self.next_group).map(|group| group.num_rows() as u64)
            && rows <= before
        {
            before -= rows;
            self.next_group += 1;
        }
        self.row = row;
        guarded(|| self.begin_group(before)).map_err(|damage| self.damaged(damage))?;
        Ok(true)
    }
}

/// Returns the size of a row group in bytes, as the file gives it.
fn bytes_of(group: &RowGroupMetaData) -> u64 {
    u64::try_from(group.total_byte_size()).unwrap_or(0)
}

/// Returns how many rows a file has.
fn rows_of(metadata: &ParquetMetaData, file_bytes: u64) -> Result<u64, Damage> {
    let mut rows = 0_u64;
    for group in metadata.row_groups() {
        let of_group = u64::try_from(group.num_rows()).map_err(|_| Damage::new("a row group has fewer than 0 rows"))?;
        rows = rows.saturating_add(of_group);
    }
    match rows > file_bytes.saturating_mul(MAX_ROWS_PER_BYTE) {
        true => Err(Damage::new(format!("it claims {rows} rows, which can't be in {file_bytes} bytes"))),
        false => Ok(rows),
    }
}

/// Returns where in the file a column chunk is.
fn chunk_of(leaf: &Leaf, chunk: &ColumnChunkMetaData) -> Result<Chunk, Damage> {
    let column = leaf.column();
    let of_column = |damage: Damage| damage.of_column(column.name());
    if chunk.file_path().is_some() {
        return Err(of_column(Damage::new("the data is in another file")));
    }
    let compression = chunk.compression();
    if !codec::is_known(compression) {
        let message =
            format!("the compression {compression} is not supported; write the file again with zstd or snappy");
        return Err(of_column(Damage::new(message)));
    }
    // A chunk that has a dictionary begins with this dictionary. Some writers write the offset 0 if there is no
    // dictionary.
    let begin = match chunk.dictionary_page_offset() {
        Some(dictionary) if dictionary > 0 && dictionary < chunk.data_page_offset() => dictionary,
        _ => chunk.data_page_offset(),
    };
    let impossible = |_| of_column(Damage::new("the place in the file is impossible"));
    Ok(Chunk {
        begin: u64::try_from(begin).map_err(impossible)?,
        bytes: u64::try_from(chunk.compressed_size()).map_err(impossible)?,
        compression,
        physical: column.physical_type(),
        type_length: usize::try_from(column.type_length()).unwrap_or_default(),
        max_levels: [column.max_rep_level(), column.max_def_level()],
    })
}
