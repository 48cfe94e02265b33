//! Parquet output.
//!
//! Rows are collected until they fill a row group. When a row group is full, its columns are compressed and written one
//! after another. A row group is full when its values take [`GROUP_BYTES`] bytes or it has [`GROUP_ROWS`] rows, so a
//! longer table does not need more memory. Text is written as UTF-8, a missing value as null, and an empty text as an
//! empty string.

use std::io;
use std::sync::Arc;

use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, Type as Physical, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;

use super::output::Output;
use super::{Column, ColumnKind, TableWriter, Value};

/// A row group is full when its values take this many bytes. The last row can make the group larger.
const GROUP_BYTES: usize = 16 << 20;

/// The largest number of rows in a row group. This limit is needed because missing values take no bytes.
const GROUP_ROWS: usize = 128 * 1024;

/// Starts a Parquet file.
///
/// # Errors
/// The errors of writing to the output.
pub(crate) fn writer(out: Box<dyn Output>, columns: &[Column]) -> io::Result<Box<dyn TableWriter>> {
    let fields = columns.iter().map(|column| Ok(Arc::new(field(column)?))).collect::<io::Result<Vec<_>>>()?;
    let schema = Type::group_type_builder("schema").with_fields(fields).build().map_err(error)?;
    let properties = WriterProperties::builder()
        .set_created_by(concat!("claude-batch ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let file = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties)).map_err(error)?;
    let columns =
        columns.iter().map(|column| CollectedColumn { name: column.name.clone(), ..CollectedColumn::new(column.kind) });
    Ok(Box::new(Parquet { file, columns: columns.collect(), rows: 0, bytes: 0 }))
}

struct Parquet {
    file: SerializedFileWriter<Box<dyn Output>>,
    columns: Vec<CollectedColumn>,
    /// How many rows were collected for the next row group, and how many bytes their values take.
    rows: usize,
    bytes: usize,
}

impl TableWriter for Parquet {
    fn row(&mut self, cells: &[Value<'_>]) -> io::Result<()> {
        if cells.len() != self.columns.len() {
            let message = format!("a row has {} cells where the table has {} columns", cells.len(), self.columns.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            self.bytes += column.push(cell)?;
        }
        self.rows += 1;
        if self.bytes >= GROUP_BYTES || self.rows >= GROUP_ROWS {
            self.write_group()?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        if self.rows > 0 {
            self.write_group()?;
        }
        self.file.into_inner().map_err(error)?.finish()
    }
}

impl Parquet {
    fn write_group(&mut self) -> io::Result<()> {
        let mut group = self.file.next_row_group().map_err(error)?;
        for column in &mut self.columns {
            column.write(&mut group)?;
        }
        group.close().map_err(error)?;
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

/// The collected values of a column.
struct CollectedColumn {
    name: String,
    values: Values,
    /// For each row, 1 if the row has a value in this column, and 0 if not.
    present: Vec<i16>,
}

enum Values {
    Text(Vec<ByteArray>),
    Integer(Vec<i64>),
    Float(Vec<f64>),
}

impl CollectedColumn {
    fn new(kind: ColumnKind) -> Self {
        let values = match kind {
            ColumnKind::Text => Values::Text(Vec::new()),
            ColumnKind::Integer => Values::Integer(Vec::new()),
            ColumnKind::Float => Values::Float(Vec::new()),
        };
        Self { name: String::new(), values, present: Vec::new() }
    }

    /// Adds a row's cell to the column. Returns how many bytes the cell takes.
    fn push(&mut self, cell: &Value<'_>) -> io::Result<usize> {
        let (Value::Text(text) | Value::Json(text)) = cell else {
            self.present.push(0);
            return Ok(size_of::<i16>());
        };
        let wrong = |kind: &str| {
            let shown: String = text.chars().take(40).collect();
            let message = format!("column {} takes {kind} only, not {shown:?}", self.name);
            io::Error::new(io::ErrorKind::InvalidData, message)
        };
        let bytes = match &mut self.values {
            Values::Text(values) => {
                values.push(ByteArray::from(text.as_bytes().to_vec()));
                size_of::<ByteArray>() + text.len()
            }
            Values::Integer(values) => {
                values.push(text.parse().map_err(|_| wrong("whole numbers"))?);
                size_of::<i64>()
            }
            Values::Float(values) => {
                values.push(text.parse().map_err(|_| wrong("numbers"))?);
                size_of::<f64>()
            }
        };
        self.present.push(1);
        Ok(bytes + size_of::<i16>())
    }

    /// Writes the collected values as the next column of a row group.
    fn write(&mut self, group: &mut SerializedRowGroupWriter<'_, Box<dyn Output>>) -> io::Result<()> {
        match &mut self.values {
            Values::Text(values) => write::<ByteArrayType>(group, values, &self.present)?,
            Values::Integer(values) => write::<Int64Type>(group, values, &self.present)?,
            Values::Float(values) => write::<DoubleType>(group, values, &self.present)?,
        }
        self.present.clear();
        Ok(())
    }
}

fn write<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Box<dyn Output>>,
    values: &mut Vec<T::T>,
    present: &[i16],
) -> io::Result<()> {
    let mut column = group.next_column().map_err(error)?.expect("each field of the schema has a column");
    column.typed::<T>().write_batch(values, Some(present), None).map_err(error)?;
    column.close().map_err(error)?;
    values.clear();
    Ok(())
}

fn field(column: &Column) -> io::Result<Type> {
    let (physical, logical, converted) = match column.kind {
        ColumnKind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String), ConvertedType::UTF8),
        ColumnKind::Integer => (Physical::INT64, None, ConvertedType::NONE),
        ColumnKind::Float => (Physical::DOUBLE, None, ConvertedType::NONE),
    };
    let field = Type::primitive_type_builder(&column.name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .with_converted_type(converted);
    field.build().map_err(error)
}

/// If writing to the output failed, returns the error of the output. Other errors can't happen, because the rows were
/// checked before.
fn error(error: parquet::errors::ParquetError) -> io::Error {
    match error {
        parquet::errors::ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(source) => *source,
            Err(source) => io::Error::other(source),
        },
        error => io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::fs::File;
    use std::path::Path;

    use super::super::form::Compression as Packing;
    use super::super::output::packed;
    use super::*;
    use crate::source::{Input, InputCell, InputRow, Item, Options, open};

    const KINDS: [ColumnKind; 4] = [ColumnKind::Text, ColumnKind::Integer, ColumnKind::Float, ColumnKind::Text];

    /// Writes a table with the columns `prompt`, `whole`, `part` and `note`.
    fn write_table(path: &Path, rows: impl IntoIterator<Item = [Value<'static>; 4]>) -> io::Result<()> {
        let columns: Vec<Column> = ["prompt", "whole", "part", "note"]
            .into_iter()
            .zip(KINDS)
            .map(|(name, kind)| Column { name: name.to_owned(), kind })
            .collect();
        let mut writer = writer(packed(File::create(path)?, Packing::None)?, &columns)?;
        for row in rows {
            writer.row(&row)?;
        }
        writer.finish()
    }

    fn read_back(path: &Path) -> Vec<Vec<InputCell>> {
        let options = Options { keeps_input: true, ..Options::default() };
        let reader = open(&Input::File(path.to_owned()), &options).expect("it is whole");
        let cells = |item| match item {
            Ok(Item::Row(row)) => row.input,
            Ok(Item::Broken(row)) => row.input,
            Err(error) => panic!("{error}"),
        };
        reader
            .map(|item| match cells(item) {
                Some(InputRow::Cells(cells)) => cells,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn text(text: impl Into<String>) -> Value<'static> {
        Value::Text(Cow::Owned(text.into()))
    }

    fn json(text: impl Into<String>) -> Value<'static> {
        Value::Json(Cow::Owned(text.into()))
    }

    #[test]
    fn cells_read_back_are_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.parquet");
        let rows = [
            [text("a"), json("9223372036854775807"), json("0.1"), Value::Missing],
            [text(""), json("-9223372036854775808"), json("1e300"), text("")],
            [text("\0é漢𝄞\u{10ffff}\r\n"), Value::Missing, Value::Missing, json("{\"a\":[1]}")],
        ];

        write_table(&path, rows).expect("a file can be written");

        let [t, j] = [|text: &str| InputCell::Text(text.into()), |text: &str| InputCell::Json(text.into())];
        let missing = || InputCell::Missing;
        let expected = [
            vec![t("a"), j("9223372036854775807"), j("0.1"), missing()],
            vec![t(""), j("-9223372036854775808"), j("1e300"), t("")],
            vec![t("\0é漢𝄞\u{10ffff}\r\n"), missing(), missing(), t("{\"a\":[1]}")],
        ];
        assert_eq!(read_back(&path), expected);
    }

    #[test]
    fn long_tables_are_written_in_groups_and_short_tables_are_complete() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.parquet");
        let seed = 3;
        let mut random = fastrand::Rng::with_seed(seed);
        // If texts are long, a group reaches its limit on bytes before its limit on rows. If values are missing, a
        // group reaches its limit on rows before its limit on bytes.
        let lengths: Vec<usize> = (0..40).map(|_| random.usize(0..300_000)).collect();
        let mut some = |length| std::iter::repeat_with(|| random.char(..)).take(length).collect();
        let texts: Vec<String> = lengths.into_iter().map(&mut some).collect();
        let row = |text: &String| [self::text(text.clone()), Value::Missing, Value::Missing, Value::Missing];
        let empty = || [text("x"), Value::Missing, Value::Missing, Value::Missing];
        let rows = texts.iter().map(row).chain(std::iter::repeat_with(empty).take(GROUP_ROWS + 1));

        write_table(&path, rows).expect("a file can be written");

        let found = read_back(&path);
        assert_eq!(found.len(), 40 + GROUP_ROWS + 1, "seed {seed}");
        for (text, cells) in texts.iter().zip(&found) {
            assert_eq!(cells[0], InputCell::Text(text.as_str().into()), "seed {seed}");
        }
        write_table(&path, []).expect("a file can be written");
        assert_eq!(read_back(&path).len(), 0);
    }

    #[test]
    fn a_cell_of_the_wrong_kind_and_a_row_with_a_wrong_number_of_cells_are_errors() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("t.parquet");

        let wrong = write_table(&path, [[text("a"), json("1.5"), Value::Missing, Value::Missing]]);

        assert_eq!(
            wrong.expect_err("no whole number").to_string(),
            "column whole takes whole numbers only, not \"1.5\""
        );
        let columns = [Column { name: "a".to_owned(), kind: ColumnKind::Text }];
        let mut writer =
            writer(packed(io::sink(), Packing::None).expect("nothing to write"), &columns).expect("a file can begin");
        assert!(writer.row(&[]).is_err());
    }

    #[test]
    fn an_error_of_the_output_is_passed_on() {
        struct Full;
        impl io::Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let columns = [Column { name: "a".to_owned(), kind: ColumnKind::Text }];
        let full = packed(Full, Packing::None).expect("nothing to write");
        let written = writer(full, &columns).and_then(|mut writer| {
            writer.row(&[text("x")])?;
            writer.finish()
        });

        assert_eq!(written.expect_err("there is no room").kind(), io::ErrorKind::StorageFull);
    }
}
