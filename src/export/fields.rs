//! Fields become the columns of an output: each field names a part of a row's line or of the row's input.
//!
//! A field is a dotted path. Most fields are short names: each of these names stands for a longer path in a line of the
//! results file. The line of an answer and the line of a failure have different members. So a short name has two paths:
//! one in the line of an answer, and one in the line of a failure.

use std::fmt;

use super::{Column, ColumnKind};
use crate::source::nearest;

/// A field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The field as the user typed it, which is also the name of its column.
    pub(crate) name: String,
    /// The place of the field's value.
    pub(crate) of: Of,
}

/// The place of a field's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// The value is the row's label.
    Id,
    /// The text of the answer.
    Text,
    /// A path in an answer that is JSON.
    Json(Path),
    /// A column of the input. For a JSON row, a path in the row.
    Input(String),
    /// The quality of the answer; `failed` for a failed row.
    Quality,
    /// How many requests for the row were answered.
    Steps,
    /// The purpose of the row's last request, if the row has several answers.
    Mended,
    /// A path in the line of the row. If only one of the two kinds of lines has the field, the path in the other kind
    /// is `None`.
    Line {
        /// The path of the field in the line of an answer.
        answer: Option<Path>,
        /// The path of the field in the line of a failure.
        failure: Option<Path>,
    },
}

/// The names of members, from the outermost to the innermost. For an array, the name of an element is its position,
/// counted from 0.
pub(crate) type Path = Vec<String>;

/// Short names for members of `meta` and of `error`. Each entry has the short name, the path in the line of an answer,
/// the path in the line of a failure, and the kind of the values. If answer lines or failure lines do not have the
/// member, the path for these lines is empty.
const SHORT: [(&str, &str, &str, ColumnKind); 20] = [
    ("model", "meta.model", "params.model", ColumnKind::Text),
    ("provider", "meta.provider", "error.provider", ColumnKind::Text),
    ("stop_reason", "result.message.stop_reason", "message.stop_reason", ColumnKind::Text),
    ("usage.input_tokens", "meta.usage.input_tokens", "error.usage.input_tokens", ColumnKind::Integer),
    ("usage.output_tokens", "meta.usage.output_tokens", "error.usage.output_tokens", ColumnKind::Integer),
    ("usage.cache_read_tokens", "meta.usage.cache_read_tokens", "error.usage.cache_read_tokens", ColumnKind::Integer),
    (
        "usage.cache_write_5m_tokens",
        "meta.usage.cache_write_5m_tokens",
        "error.usage.cache_write_5m_tokens",
        ColumnKind::Integer,
    ),
    (
        "usage.cache_write_1h_tokens",
        "meta.usage.cache_write_1h_tokens",
        "error.usage.cache_write_1h_tokens",
        ColumnKind::Integer,
    ),
    ("usage.web_searches", "meta.usage.web_searches", "error.usage.web_searches", ColumnKind::Integer),
    ("cost_usd", "meta.cost_usd", "error.cost_usd", ColumnKind::Float),
    ("latency_ms", "meta.latency_ms", "", ColumnKind::Integer),
    ("attempts", "meta.attempts", "error.attempts", ColumnKind::Integer),
    ("schema", "meta.schema", "error.schema", ColumnKind::Text),
    ("request_id", "meta.request_id", "error.request_id", ColumnKind::Text),
    ("started_at", "meta.started_at", "error.first_at", ColumnKind::Text),
    ("ended_at", "meta.ended_at", "error.last_at", ColumnKind::Text),
    ("run", "meta.run", "error.run", ColumnKind::Text),
    ("index", "meta.index", "error.index", ColumnKind::Integer),
    ("key", "meta.key", "error.key", ColumnKind::Text),
    ("error", "", "error.message", ColumnKind::Text),
];

/// The members of `error` in the line of a failure.
const OF_ERROR: [&str; 19] = [
    "class",
    "message",
    "status",
    "type",
    "code",
    "retryable",
    "attempts",
    "first_at",
    "last_at",
    "request_id",
    "provider",
    "hint",
    "source",
    "line",
    "column",
    "byte_offset",
    "maybe_paid",
    "schema",
    "steps",
];

/// The names of the fields that have no path.
const ALONE: [&str; 7] = ["id", "custom_id", "text", "json", "quality", "steps", "mended"];

/// If a field is a path in a line or in the input, the field begins with one of these prefixes.
const BEGINNINGS: [&str; 6] = ["json.", "input.", "message.", "meta.", "params.", "error."];

/// The error for a field name that does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnknownField {
    name: String,
    meant: Option<String>,
}

impl fmt::Display for UnknownField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no field {:?}", crate::domain::shortened(&self.name))?;
        match &self.meant {
            Some(meant) => write!(f, "; did you mean {meant}?"),
            None => write!(
                f,
                "; fields are id, text, json.PATH, input.COLUMN, model, quality, stop_reason, usage.output_tokens, \
                 cost_usd, latency_ms, error, error.class, message.PATH and others"
            ),
        }
    }
}

impl std::error::Error for UnknownField {}

impl Field {
    /// Parses a field, as the user types it.
    ///
    /// # Errors
    /// [`UnknownField`] with the most similar known name.
    pub(crate) fn parse(name: &str) -> Result<Self, UnknownField> {
        let of = Of::parse(name).ok_or_else(|| UnknownField { name: name.to_owned(), meant: meant(name) })?;
        Ok(Self { name: name.to_owned(), of })
    }

    /// Returns the field of a column of the input.
    pub(crate) fn of_input(column: &str) -> Self {
        Self { name: column.to_owned(), of: Of::Input(column.to_owned()) }
    }

    /// Returns the field that shows the member `member` of each JSON answer. The field's column has the name of the
    /// member. If another column already has that name, the field's column is called `json.MEMBER`.
    pub(crate) fn of_json(member: &str, is_taken: bool) -> Self {
        let name = if is_taken { format!("json.{member}") } else { member.to_owned() };
        Self { name, of: Of::Json(vec![member.to_owned()]) }
    }

    /// Returns the column that shows this field.
    pub(crate) fn column(&self) -> Column {
        let short = SHORT.iter().find(|(name, ..)| *name == self.name);
        let kind = match (&self.of, short) {
            (Of::Line { .. }, Some((.., kind))) => *kind,
            (Of::Steps, _) => ColumnKind::Integer,
            _ => ColumnKind::Text,
        };
        Column { name: self.name.clone(), kind }
    }
}

impl Of {
    fn parse(name: &str) -> Option<Self> {
        if let Some((_, answer, failure, _)) = SHORT.iter().find(|(short, ..)| *short == name) {
            return Some(Self::Line { answer: path(answer), failure: path(failure) });
        }
        let (first, rest) = name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)));
        if rest.is_some_and(str::is_empty) {
            return None;
        }
        match (first, rest) {
            ("id" | "custom_id", None) => Some(Self::Id),
            ("text", None) => Some(Self::Text),
            ("quality", None) => Some(Self::Quality),
            ("steps", None) => Some(Self::Steps),
            ("mended", None) => Some(Self::Mended),
            ("json", rest) => Some(Self::Json(rest.and_then(path).unwrap_or_default())),
            ("input", Some(column)) => Some(Self::Input(column.to_owned())),
            // If an answer was not accepted, the line of the failed row contains the answer.
            ("message", Some(_)) => Some(Self::Line { answer: path(&format!("result.{name}")), failure: path(name) }),
            ("meta", Some(_)) => Some(Self::Line { answer: path(name), failure: None }),
            ("params", Some(_)) => Some(Self::Line { answer: None, failure: path(name) }),
            ("error", Some(rest)) => {
                let is_object = ["usage.", "steps."].iter().any(|object| rest.starts_with(object));
                let is_known = OF_ERROR.contains(&rest) || is_object;
                is_known.then(|| Self::Line { answer: None, failure: path(name) })
            }
            _ => None,
        }
    }
}

/// Returns the names in a dotted path; `None` for an empty path.
fn path(dotted: &str) -> Option<Path> {
    (!dotted.is_empty()).then(|| dotted.split('.').map(str::to_owned).collect())
}

fn meant(name: &str) -> Option<String> {
    let errors: Vec<String> = OF_ERROR.iter().map(|member| format!("error.{member}")).collect();
    let known = SHORT.iter().map(|(short, ..)| *short).chain(ALONE).chain(errors.iter().map(String::as_str));
    if let Some(near) = nearest(name, known) {
        return Some(near.to_owned());
    }
    let first = name.split('.').next().unwrap_or(name);
    let beginning = BEGINNINGS.iter().find(|beginning| first.eq_ignore_ascii_case(beginning.trim_end_matches('.')));
    let near =
        beginning.copied().or_else(|| nearest(first, BEGINNINGS.iter().map(|name| name.trim_end_matches('.'))))?;
    let rest = name.split_once('.').map_or("NAME", |(_, rest)| if rest.is_empty() { "NAME" } else { rest });
    let meant = format!("{}.{rest}", near.trim_end_matches('.'));
    (meant != name).then_some(meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_paths_into_both_kinds_of_lines() {
        let of = |name: &str| Field::parse(name).expect(name).of;
        let line = |answer: &str, failure: &str| Of::Line { answer: path(answer), failure: path(failure) };

        assert_eq!((of("id"), of("text"), of("quality")), (Of::Id, Of::Text, Of::Quality));
        assert_eq!(of("json.a.0"), Of::Json(vec!["a".to_owned(), "0".to_owned()]));
        assert_eq!(of("input.made.in"), Of::Input("made.in".to_owned()));
        assert_eq!(of("cost_usd"), line("meta.cost_usd", "error.cost_usd"));
        assert_eq!(of("message.id"), line("result.message.id", "message.id"));
        assert_eq!(of("schema"), line("meta.schema", "error.schema"));
        assert_eq!(of("error.steps.0.purpose"), line("", "error.steps.0.purpose"));
        assert_eq!((of("steps"), of("mended")), (Of::Steps, Of::Mended));
        assert_eq!(of("error"), line("", "error.message"));
        assert_eq!(of("error.class"), line("", "error.class"));
    }

    #[test]
    fn the_error_for_an_unknown_field_names_the_nearest_field() {
        let error = |name: &str| Field::parse(name).expect_err(name).to_string();

        assert!(error("txt").contains("did you mean text?"), "{}", error("txt"));
        assert!(error("usage.output_token").contains("did you mean usage.output_tokens?"));
        assert!(error("error.clas").contains("did you mean error.class?"));
        assert!(error("inputs.subject").contains("did you mean input.subject?"), "{}", error("inputs.subject"));
        assert!(error("input").contains("did you mean input.NAME?"), "{}", error("input"));
        assert!(error("zzz").contains("fields are id, text"));
        assert!(error("").contains("there is no field"));
    }

    #[test]
    fn numbers_have_columns_of_numbers() {
        let kind = |name: &str| Field::parse(name).expect(name).column().kind;

        assert_eq!((kind("usage.input_tokens"), kind("cost_usd")), (ColumnKind::Integer, ColumnKind::Float));
        assert_eq!((kind("text"), kind("input.n")), (ColumnKind::Text, ColumnKind::Text));
    }
}
