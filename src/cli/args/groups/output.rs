//! Flags that say where results go, in which form, and how they are kept.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::super::layered::{Layered, layered};
use super::super::parsers;
use super::super::values::{self, Field, Fsync, Order, OutputFormat};
use crate::journal::Owners;

/// Where results go.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Output, or -: its name says its format (.jsonl, .csv, .tsv, .txt, .parquet; also .gz, .zst) [default: beside the input]
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Error log [default: beside the results]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub errors: Option<PathBuf>,
}

/// The form of an output.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct FormArgs {
    /// Format of the output [default: by its name]
    #[arg(long, value_parser = values::one_of(&values::OUTPUT_FORMATS))]
    pub output_format: Option<OutputFormat>,
    /// Fields of the output, as id,text,usage.output_tokens [default: the input's columns, text, error]
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', value_parser = parsers::field)]
    pub fields: Vec<Field>,
    /// Order of rows in the output: as they were done, or as in the input
    #[arg(long, value_parser = values::one_of(&values::ORDERS))]
    pub order: Option<Order>,
    /// Keep cells that a spreadsheet would take for formulas
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub raw_cells: Option<bool>,
    /// End texts with NUL instead of a line break
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub null: Option<bool>,
}

/// How results are kept.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Run")]
pub struct StorageArgs {
    /// When results are forced to disk [default: group, several times a second]
    #[arg(long, value_parser = values::fsync())]
    pub fsync: Option<Fsync>,
    /// Use files of other users and folders open to all, such as volumes of a container
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub trust_owner: Option<bool>,
}

layered! {
    OutputArgs { output, errors }
    FormArgs { output_format, fields, order, raw_cells, null }
    StorageArgs { fsync, trust_owner }
}

impl StorageArgs {
    /// Returns the users whose files may be used.
    pub(crate) fn owners(&self) -> Owners {
        match self.trust_owner {
            Some(true) => Owners::Any,
            Some(false) | None => Owners::Own,
        }
    }
}
