//! The reasons why a projection (an output made from results) can't be made. The journal stays unchanged in every case.

use std::io;
use std::path::PathBuf;

use crate::journal::{DiskFailure, JournalError};
use crate::source::SourceError;

/// The reason why a projection (an output made from results) can't be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    /// A file can't be read or written.
    #[error(transparent)]
    Disk(#[from] DiskFailure),
    /// The results or the error log can't be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The input can't be read again.
    #[error("{source}; the input is read again for its columns and its order")]
    Source {
        /// The fault of the input.
        #[from]
        source: SourceError,
    },
    /// Standard output can't be written.
    #[error("can't write to standard output: {0}")]
    Output(io::Error),
    /// A temporary file can't be used.
    #[error("can't use a temporary file: {0}")]
    Temporary(#[from] io::Error),
    /// Another command writes the same output.
    #[error("another command is writing {}; wait until it ends, or name another file", path.display())]
    Busy {
        /// The output.
        path: PathBuf,
    },
    /// The output needs the input of the run, but the path of the input is not known.
    #[error(
        "the input of {results} is needed for {why}, but its path is not known; give it with --input FILE, or choose \
         fields that need no input: --order done --fields id,text,error"
    )]
    NoInput {
        /// Why the output needs the input.
        why: &'static str,
        /// The results.
        results: String,
    },
    /// Two rows in the results have the same file and line, and nothing else distinguishes rows without an id.
    #[error(
        "{results}: two rows have the label {label}, because the input changed between two runs; without the run folder, \
         rows without an id can't be found in the input: choose fields that need no input: --order done --fields \
         id,text,error"
    )]
    SharedLabel {
        /// The results.
        results: String,
        /// The label.
        label: String,
    },
    /// `--fields` contains a column that the input does not have.
    #[error("--fields names {field}, but the input has no such column; the columns are: {columns}")]
    NoColumn {
        /// The field.
        field: String,
        /// The columns of the input, and the column that the user probably meant.
        columns: String,
    },
    /// There is no results file.
    #[error("the results file {} is missing: the answers of this run are not here", path.display())]
    NoResults {
        /// The path where the program looked for the file.
        path: PathBuf,
    },
    /// Text output must have exactly one field, but the user gave none or several.
    #[error("text output takes one field, but --fields names {count}; use csv or tsv for several")]
    OneField {
        /// The number of fields that the user gave.
        count: usize,
    },
    /// This build can't write Parquet.
    #[error(
        "this build can't write Parquet: install one that can with cargo install --path . --locked --features tables, or \
         choose csv, tsv or jsonl"
    )]
    NoTables,
}

impl ExportError {
    /// Returns whether the export failed because a file or standard output could not be used. If a file or standard
    /// output could not be used, the command line is correct.
    pub(crate) fn is_of_output(&self) -> bool {
        match self {
            Self::Disk(_) | Self::Output(_) | Self::Temporary(_) | Self::Journal(JournalError::Disk(_)) => true,
            Self::Journal(_)
            | Self::Source { .. }
            | Self::Busy { .. }
            | Self::NoInput { .. }
            | Self::NoColumn { .. }
            | Self::SharedLabel { .. }
            | Self::NoResults { .. }
            | Self::OneField { .. }
            | Self::NoTables => false,
        }
    }
}
