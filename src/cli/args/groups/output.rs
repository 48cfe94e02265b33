//! The flags that say where results are written, in which form, and how they are stored.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::super::layered::{Layered, layered};
use super::super::parsers;
use super::super::values::{self, Field, Fsync, Order, OutputFormat};
use crate::journal::Owners;

/// The flags that say where results are written.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Output file, or - for standard output; the ending of its name sets the format (.jsonl, .csv, .tsv, .txt,
    /// .parquet; also .gz, .zst) [default: beside the input]
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Error log to write [default: beside the results]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub errors: Option<PathBuf>,
}

/// The flags that set the form of an output.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct FormArgs {
    /// Format of the output [default: from its name]
    #[arg(long, value_parser = values::one_of(&values::OUTPUT_FORMATS))]
    pub output_format: Option<OutputFormat>,
    /// Fields of the output, such as id,text,usage.output_tokens [default: the input's columns, text, error]
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', value_parser = parsers::field)]
    pub fields: Vec<Field>,
    /// Order of rows in the output: done (as they ended) or input (as in the input)
    #[arg(long, value_parser = values::one_of(&values::ORDERS))]
    pub order: Option<Order>,
    /// Do not escape cells that a spreadsheet would run as formulas
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub raw_cells: Option<bool>,
    /// End each text with a NUL byte instead of a line break
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub null: Option<bool>,
}

/// The flags that say how results are stored.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Run")]
pub struct StorageArgs {
    /// When results are synced to the disk [default: group (several times a second)]
    #[arg(long, value_parser = values::fsync())]
    pub fsync: Option<Fsync>,
    /// Use files of other users, and folders that other users can write to, such as container volumes
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
    /// Returns the users whose files the program is allowed to use.
    pub(crate) fn owners(&self) -> Owners {
        match self.trust_owner {
            Some(true) => Owners::Any,
            Some(false) | None => Owners::Own,
        }
    }
}
