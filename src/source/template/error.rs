//! Errors of a template, and the limits that appear in their messages.

use std::fmt;

use minijinja::ErrorKind;

use crate::domain::{MAX_BODY_BYTES, shortened};

/// The longest prompt that a template is allowed to make, in bytes. The API accepts only prompts that are shorter than
/// this limit. This limit also stops endless loops.
pub(super) const MAX_PROMPT_BYTES: usize = MAX_BODY_BYTES + (1 << 20);

/// The fuel for filling in a template for one row. Each step costs one unit of fuel, and every 64 bytes of text cost
/// one unit too. This fuel is enough to fill three prompts of the largest size, or to loop about ten times over a list
/// of ten thousand items. With this fuel, at most 128 MB can be in memory at once.
pub(super) const FUEL: u64 = 2_000_000;

/// How many bytes cost one unit of fuel.
pub(super) const BYTES_OF_FUEL: u64 = 64;

/// How many bytes of JSON cost one unit of fuel. This number is smaller than [`BYTES_OF_FUEL`], because reading and
/// writing JSON takes longer than copying text.
pub(super) const JSON_BYTES_OF_FUEL: u64 = 8;

/// The number of a message or block, in a template with several messages or blocks. The first message or block has the
/// number 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// One of the messages, if the template is a list of messages.
    Message(usize),
    /// A block of the system prompt.
    Block(usize),
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(number) => write!(f, "message {number}"),
            Self::Block(number) => write!(f, "block {number}"),
        }
    }
}

/// The place of a line in a template. In a template with several texts, the lines of each text are counted separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The message or block that contains the text; `None` if the template is one text.
    pub part: Option<Part>,
    /// The number of the line in the text, counted from 1.
    pub number: usize,
}

impl From<usize> for Line {
    fn from(number: usize) -> Self {
        Self { part: None, number }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            None => write!(f, "line {}", self.number),
            Some(part) => write!(f, "line {} of {part}", self.number),
        }
    }
}

/// A mistake in a template, or a failure while it is filled in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// The template can't be parsed.
    #[error("the template is wrong on {line}: {message}; correct the template")]
    Syntax {
        /// The line of the fault in the template.
        line: Line,
        /// What is wrong with the template's syntax.
        message: String,
    },
    /// The template uses no column, so every row would get the same prompt.
    #[error("the template names no column, so every row would get the same prompt; {remedy}")]
    NoColumn {
        /// What the user should write in the template.
        remedy: String,
    },
    /// The template is a list of messages that the API would reject.
    #[error("the template is a list of messages, and {message}")]
    Messages {
        /// What is wrong with the list, and what to write.
        message: String,
    },
    /// The template uses an unknown filter or test.
    #[error("the template is wrong on {line}: there is no {kind} {name}{nearest}")]
    NoSuch {
        /// The line of the filter or test in the template.
        line: Line,
        /// The word `filter` or `test`.
        kind: &'static str,
        /// The name of the filter or test.
        name: String,
        /// The end of the message, with the name that was probably meant; empty if no name is similar.
        nearest: String,
    },
    /// The template uses columns that a row does not have.
    #[error("has no {missing}, which {by} uses (found: {columns})")]
    MissingColumn {
        /// The template that uses the missing columns: "the template" or "--system".
        by: &'static str,
        /// The missing columns, separated by commas.
        missing: String,
        /// The existing columns, separated by commas.
        columns: String,
    },
    /// The template reads a column as JSON, but the column does not contain JSON.
    #[error("has a column {column} that {what}, but the template {how}{hint}")]
    NotJson {
        /// The name of the column, or a description of the value that was read instead of a column.
        column: String,
        /// What is wrong with the column.
        what: String,
        /// What the template does with the column.
        how: &'static str,
        /// The end of the message: advice on what to do.
        hint: String,
    },
    /// The prompt, a message or the system prompt is empty after filling in.
    #[error("gives an empty {what} when filled into {by}")]
    Empty {
        /// The name of the empty text: "prompt", "message 2" or "system prompt".
        what: String,
        /// The name of the text that was filled in: "the template" or "--system".
        by: &'static str,
    },
    /// A prompt would be longer than the longest request.
    #[error("gives a prompt of more than {} MB when filled into the template", MAX_PROMPT_BYTES >> 20)]
    TooLong,
    /// The template takes more steps or memory than the limit for one prompt.
    #[error(
        "takes more than {FUEL} steps, or {} MB of text, when filled into the template; make its loops shorter",
        (FUEL * BYTES_OF_FUEL) >> 20
    )]
    TooMuch,
    /// The template can't be filled in for another reason.
    #[error("can't be filled into the template, {line}: {message}")]
    Fill {
        /// The line of the template where filling in failed.
        line: Line,
        /// Why the template can't be filled in.
        message: String,
    },
}

impl TemplateError {
    /// Returns the error, changed so that it also names the message or block that contains the fault.
    pub(super) fn of_part(mut self, part: Option<Part>) -> Self {
        if let Self::Syntax { line, .. } | Self::NoSuch { line, .. } | Self::Fill { line, .. } = &mut self {
            line.part = part;
        }
        self
    }
}

pub(super) fn syntax(error: &minijinja::Error) -> TemplateError {
    TemplateError::Syntax { line: error.line().unwrap_or(1).into(), message: told(error) }
}

pub(super) fn fill(error: &minijinja::Error) -> TemplateError {
    TemplateError::Fill { line: error.line().unwrap_or(1).into(), message: told(error) }
}

pub(super) fn told(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {}", error.kind(), shortened(detail)),
        None if error.kind() == ErrorKind::UndefinedError => "a value is missing".to_owned(),
        None => error.kind().to_string(),
    }
}
