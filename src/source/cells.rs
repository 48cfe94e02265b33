//! Cells of a record: a CSV record, or a row of a table with typed columns.

use super::template::Cell;

/// A cell of an input, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputCell {
    /// The cell has no value. A missing cell is different from an empty text. CSV cells are never missing.
    Missing,
    /// Text.
    Text(Box<str>),
    /// A number, a boolean, an array or an object, as JSON text.
    Json(Box<str>),
}

impl InputCell {
    /// Returns the length of the cell's text, in bytes.
    #[cfg(feature = "tables")]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Missing => 0,
            Self::Text(text) | Self::Json(text) => text.len(),
        }
    }
}

/// The content of a row in the input. An output that contains the columns of the input needs this content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputRow {
    /// The row's cells, in the order of [`Reader::header`](super::Reader::header). A broken row can have more or fewer
    /// cells than the header.
    Cells(Vec<InputCell>),
    /// The row as JSON text: the line as it was written in the input. If the format has neither JSON nor columns, the
    /// text is a JSON object with the known facts about the row.
    Json(Box<str>),
}

/// A borrowed [`InputCell`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CellRef<'a> {
    /// The cell has no value.
    Missing,
    /// Text.
    Text(&'a str),
    /// JSON text.
    Json(&'a str),
}

impl<'a> CellRef<'a> {
    /// Returns the cell as a value for templates.
    pub(super) fn for_template(self) -> Cell<'a> {
        match self {
            Self::Missing => Cell::Json("null"),
            Self::Text(text) => Cell::Text(text),
            Self::Json(json) => Cell::Json(json),
        }
    }

    /// Returns an owned copy of the cell.
    pub(super) fn owned(self) -> InputCell {
        match self {
            Self::Missing => InputCell::Missing,
            Self::Text(text) => InputCell::Text(text.into()),
            Self::Json(json) => InputCell::Json(json.into()),
        }
    }
}

/// The cells of one row.
pub(super) trait Record {
    /// Returns the number of cells in the row.
    fn count(&self) -> usize;

    /// Returns the cell at the given index, which must be less than [`Self::count`].
    fn cell(&self, at: usize) -> CellRef<'_>;

    /// Returns all cells in order.
    fn cells(&self) -> impl Iterator<Item = CellRef<'_>> {
        (0..self.count()).map(|at| self.cell(at))
    }
}

impl Record for [InputCell] {
    fn count(&self) -> usize {
        self.len()
    }

    fn cell(&self, at: usize) -> CellRef<'_> {
        match &self[at] {
            InputCell::Missing => CellRef::Missing,
            InputCell::Text(text) => CellRef::Text(text),
            InputCell::Json(json) => CellRef::Json(json),
        }
    }
}
