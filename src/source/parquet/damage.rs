//! The errors about a damaged Parquet file.

use parquet::errors::ParquetError;

use super::super::SourceError;
use super::super::names::short;

/// A description of what is wrong with a Parquet file.
#[derive(Debug)]
pub(super) struct Damage {
    message: String,
}

impl Damage {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    pub(super) fn of_column(self, column: &str) -> Self {
        Self { message: format!("column {}: {}", short(column), self.message) }
    }

    pub(super) fn before_rows(self, name: &str) -> SourceError {
        self.after_row(name, 0)
    }

    pub(super) fn after_row(self, name: &str, row: u64) -> SourceError {
        let place = if row == 0 { "before its first row".to_owned() } else { format!("after row {row}") };
        SourceError::Damaged { name: name.to_owned(), place, message: self.message }
    }
}

impl From<String> for Damage {
    fn from(message: String) -> Self {
        Self { message }
    }
}

impl From<std::io::Error> for Damage {
    fn from(error: std::io::Error) -> Self {
        Self::new(format!("it can't be read: {error}"))
    }
}

impl From<ParquetError> for Damage {
    fn from(error: ParquetError) -> Self {
        match error {
            ParquetError::External(error) => Self::new(error.to_string()),
            error => Self::new(error.to_string().chars().take(200).collect::<String>()),
        }
    }
}

impl From<Damage> for ParquetError {
    fn from(damage: Damage) -> Self {
        Self::External(damage.message.into())
    }
}
