//! Errors of a template, and the bounds that their messages name.

use minijinja::ErrorKind;

use crate::domain::{MAX_BODY_BYTES, shortened};

/// The longest prompt that a template may make: more than the API accepts, and a bound for loops that do not end.
pub(super) const MAX_PROMPT_BYTES: usize = MAX_BODY_BYTES + (1 << 20);

/// Fuel for one row. A unit pays for one step, or for 64 bytes. It is enough to fill three prompts of the largest size,
/// or to loop about ten times over a list of ten thousand items. At most 128 MB can be in memory at once.
pub(super) const FUEL: u64 = 2_000_000;

/// Bytes that one unit of fuel pays for.
pub(super) const BYTES_OF_FUEL: u64 = 64;

/// What is wrong with a template, or with filling it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It can't be parsed.
    #[error("the template is wrong on line {line}: {message}")]
    Syntax {
        /// Line in the template, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// It names no column, so every row would get the same prompt.
    #[error("the template names no column, so every row would get the same prompt; {remedy}")]
    NoColumn {
        /// What to write.
        remedy: String,
    },
    /// It uses an unknown filter or test.
    #[error("the template is wrong on line {line}: there is no {kind} {name}{nearest}")]
    NoSuch {
        /// Line in the template, from 1.
        line: usize,
        /// `filter` or `test`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The name that was probably meant, as the end of the sentence; empty if no name is similar.
        nearest: String,
    },
    /// It names columns that a row does not have.
    #[error("has no {missing}, which the template names (found: {columns})")]
    MissingColumn {
        /// The names, with commas between them.
        missing: String,
        /// The columns there are, with commas between them.
        columns: String,
    },
    /// A prompt would be longer than any request may be.
    #[error("gives a prompt of more than {} MB when filled into the template", MAX_PROMPT_BYTES >> 20)]
    TooLong,
    /// It takes more steps or memory than one prompt may use.
    #[error(
        "takes more than {FUEL} steps, or {} MB of text, when filled into the template; make its loops shorter",
        (FUEL * BYTES_OF_FUEL) >> 20
    )]
    TooMuch,
    /// Something else fails while it is filled.
    #[error("can't be filled into the template, line {line}: {message}")]
    Fill {
        /// Line in the template, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

pub(super) fn syntax(error: &minijinja::Error) -> TemplateError {
    TemplateError::Syntax { line: error.line().unwrap_or(1), message: told(error) }
}

pub(super) fn fill(error: &minijinja::Error) -> TemplateError {
    TemplateError::Fill { line: error.line().unwrap_or(1), message: told(error) }
}

pub(super) fn told(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {}", error.kind(), shortened(detail)),
        None if error.kind() == ErrorKind::UndefinedError => "a value is not there".to_owned(),
        None => error.kind().to_string(),
    }
}
