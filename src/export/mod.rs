//! Projections: the answers of runs as CSV, TSV, text, Parquet or JSON lines, with chosen fields and in a chosen order.
//!
//! Only the journal stores answers safely. A projection is made from the journal: either at the end of a run, or by the
//! command `results`. A projection can always be made again, so nothing in this module needs to survive a crash. The
//! file gets its name only when it is complete (`output.rs`).
//!
//! ```text
//! results, error log ─► index: label ─► place of the row's latest line
//!                         │
//! input (when its columns or its order are wanted) ─► rows: labels and cells, in the order of the input
//!                         │
//!                         ▼
//! places in the wanted order ─► lines: the line at a place ─► fields: its cells ─► TableWriter ─► output
//! ```
//!
//! A projection needs buffers of fixed size, and 16 bytes of memory per row of the journal. The input is read as a
//! stream. If the output has columns of the input and is in the order of completion, the rows are sorted with a
//! temporary file (`sorter.rs`).

mod answer_json;
mod csv;
mod error;
mod fields;
mod form;
mod index;
mod input;
mod json_lines;
mod line;
mod lines;
mod output;
mod project;
mod sorter;
#[cfg(test)]
mod testing;
mod text;

#[cfg(feature = "tables")]
mod parquet;

use std::borrow::Cow;
use std::io;

pub(crate) use error::ExportError;
pub use fields::Field;
pub use form::OutputFormat;
pub(crate) use form::{Compression, Form};
pub(crate) use index::Include;
pub use index::RowKind;
pub(crate) use input::RunInput;
pub(crate) use output::{packed, whole_file};
pub use project::Order;
pub(crate) use project::{Made, Request, Run, project};

/// A cell of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// The cell is empty, because the row has no such field.
    Missing,
    /// Text.
    Text(Cow<'a, str>),
    /// A number, a boolean, an array or an object, as JSON text.
    Json(Cow<'a, str>),
}

/// The kind of the values in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColumnKind {
    /// Text, or JSON values of any kind that are written as text.
    Text,
    /// Whole numbers that fit 64 bits.
    Integer,
    /// Numbers.
    Float,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// The name of the column in the header.
    pub(crate) name: String,
    /// The kind of the column's values.
    pub(crate) kind: ColumnKind,
}

/// Writes a table row by row. If the format has a header, the header is written when the writer is created.
pub(crate) trait TableWriter {
    /// Writes a row, which has one cell for each column.
    ///
    /// # Errors
    /// The errors of writing to the output.
    fn row(&mut self, cells: &[Value<'_>]) -> io::Result<()>;

    /// Writes the rows that are still in memory, and finishes the output.
    ///
    /// # Errors
    /// The errors of writing to the output.
    fn finish(self: Box<Self>) -> io::Result<()>;
}
