//! A column of primitive values. The column is decoded in batches of rows, and the values of a batch are returned one
//! by one.

use parquet::basic::Type;
use parquet::column::reader::{ColumnReader, get_column_reader};
use parquet::data_type::{AsBytes as _, ByteArray, FixedLenByteArray, Int96};
use parquet::schema::types::ColumnDescPtr;

use super::damage::Damage;
use super::pages::Pages;
use super::value::{self, Meaning, Shown, Unshown};

/// The values of a batch of rows; missing values are left out.
#[derive(Debug)]
enum Values {
    Bool(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Int96(Vec<Int96>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
}

/// A column of primitive values.
pub(super) struct Leaf {
    column: ColumnDescPtr,
    meaning: Meaning,
    reader: Option<ColumnReader>,
    values: Values,
    /// The definition level of each slot: how much of the path to its value is present. Each slot either has a value or
    /// shows that a value is missing. If nothing in the column can be missing, the list is empty.
    definitions: Vec<i16>,
    /// The repetition level of each slot, which says which list the slot continues. The list is empty for a column
    /// without lists.
    repetitions: Vec<i16>,
    /// The number of slots in the batch, and the number of slots that were used.
    slots: usize,
    slot: usize,
    /// How many values of the batch were returned.
    value: usize,
}

impl Leaf {
    pub(super) fn new(column: ColumnDescPtr) -> Self {
        let values = match column.physical_type() {
            Type::BOOLEAN => Values::Bool(Vec::new()),
            Type::INT32 => Values::Int32(Vec::new()),
            Type::INT64 => Values::Int64(Vec::new()),
            Type::INT96 => Values::Int96(Vec::new()),
            Type::FLOAT => Values::Float(Vec::new()),
            Type::DOUBLE => Values::Double(Vec::new()),
            Type::BYTE_ARRAY => Values::Bytes(Vec::new()),
            Type::FIXED_LEN_BYTE_ARRAY => Values::Fixed(Vec::new()),
        };
        let meaning = Meaning::of(&column);
        let (definitions, repetitions) = (Vec::new(), Vec::new());
        Self { column, meaning, reader: None, values, definitions, repetitions, slots: 0, slot: 0, value: 0 }
    }

    pub(super) fn column(&self) -> &ColumnDescPtr {
        &self.column
    }

    /// Begins to read a row group.
    pub(super) fn begin(&mut self, pages: Pages) {
        self.reader = Some(get_column_reader(self.column.clone(), Box::new(pages)));
        (self.slots, self.slot, self.value) = (0, 0, 0);
    }

    /// Skips rows.
    pub(super) fn skip(&mut self, rows: usize) -> Result<(), Damage> {
        macro_rules! skip {
            ($($reader:ident)*) => {
                match self.reader.as_mut() {
                    $(Some(ColumnReader::$reader(reader)) => reader.skip_records(rows)?,)*
                    None => 0,
                }
            };
        }
        let skipped = skip!(
            BoolColumnReader Int32ColumnReader Int64ColumnReader Int96ColumnReader FloatColumnReader
            DoubleColumnReader ByteArrayColumnReader FixedLenByteArrayColumnReader
        );
        if skipped == rows { Ok(()) } else { Err(too_few()) }
    }

    /// Reads the next batch of rows, which replaces the previous batch.
    pub(super) fn read(&mut self, rows: usize) -> Result<(), Damage> {
        self.definitions.clear();
        self.repetitions.clear();
        let definitions = (self.column.max_def_level() > 0).then_some(&mut self.definitions);
        let repetitions = (self.column.max_rep_level() > 0).then_some(&mut self.repetitions);
        macro_rules! read {
            ($($reader:ident $values:ident)*) => {
                match (self.reader.as_mut(), &mut self.values) {
                    $((Some(ColumnReader::$reader(reader)), Values::$values(values)) => {
                        values.clear();
                        reader.read_records(rows, definitions, repetitions, values)?
                    })*
                    _ => (0, 0, 0),
                }
            };
        }
        let (read, _, slots) = read!(
            BoolColumnReader Bool Int32ColumnReader Int32 Int64ColumnReader Int64 Int96ColumnReader Int96
            FloatColumnReader Float DoubleColumnReader Double ByteArrayColumnReader Bytes
            FixedLenByteArrayColumnReader Fixed
        );
        (self.slots, self.slot, self.value) = (slots, 0, 0);
        if read == rows { Ok(()) } else { Err(too_few()) }
    }

    /// Returns the definition level of the next value (how much of its path is present); `None` after the last value.
    pub(super) fn definition(&self) -> Option<i16> {
        if self.slot >= self.slots {
            return None;
        }
        match self.column.max_def_level() {
            0 => Some(0),
            _ => self.definitions.get(self.slot).copied(),
        }
    }

    /// Returns the depth of the list that the next value continues; 0 if the value begins a new row.
    pub(super) fn repetition(&self) -> i16 {
        self.repetitions.get(self.slot).copied().unwrap_or(0)
    }

    /// Skips a missing value.
    pub(super) fn pass(&mut self) {
        self.slot += 1;
    }

    /// Returns the next value, which must not be missing.
    pub(super) fn take(&mut self) -> Result<Result<Shown<'_>, Unshown>, Damage> {
        let at = self.value;
        self.slot += 1;
        self.value += 1;
        let meaning = self.meaning;
        let shown = match &self.values {
            Values::Bool(values) => values.get(at).map(|value| Ok(value::boolean(*value))),
            Values::Int32(values) => values.get(at).map(|value| value::int(i64::from(*value), true, meaning)),
            Values::Int64(values) => values.get(at).map(|value| value::int(*value, false, meaning)),
            Values::Int96(values) => values.get(at).map(|value| value::julian(value.data())),
            Values::Float(values) => values.get(at).map(|value| Ok(value::single(*value))),
            Values::Double(values) => values.get(at).map(|value| Ok(value::double(*value))),
            Values::Bytes(values) => values.get(at).map(|value| value::bytes(value.as_bytes(), meaning)),
            Values::Fixed(values) => values.get(at).map(|value| value::bytes(value.as_bytes(), meaning)),
        };
        shown.ok_or_else(too_few)
    }
}

fn too_few() -> Damage {
    Damage::new("a column has fewer values than rows")
}
