//! The reasons why a schema is rejected.

/// The reason why a text can't be used as a schema for answers. Most messages name the place in the schema.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The text is longer than the largest allowed schema.
    #[error("the schema has {bytes} bytes; at most {limit} are allowed")]
    TooLarge {
        /// The length of the text, in bytes.
        bytes: usize,
        /// The largest allowed length of a schema, in bytes.
        limit: usize,
    },
    /// The text is not JSON.
    #[error("the schema is not JSON: {0}")]
    NotJson(serde_json::Error),
    /// An object has two members with the same name.
    #[error("{place}: {name} occurs twice; remove one of them")]
    Repeated {
        /// The JSON pointer of the object, in the form that messages show.
        place: String,
        /// The name that both members have, in quotes.
        name: String,
    },
    /// The text is JSON, but not a schema.
    #[error("{place}: {words}")]
    NotASchema {
        /// The JSON pointer of the value that is wrong, in the form for messages.
        place: String,
        /// A text that says what is wrong with the value.
        words: String,
    },
    /// `$schema` names a dialect that the validator doesn't know.
    #[error(
        "$schema names {dialect}, which is not known; use https://json-schema.org/draft/2020-12/schema or leave it out"
    )]
    Dialect {
        /// The name of the dialect, in quotes.
        dialect: String,
    },
    /// A reference leads to another document. The program never fetches documents.
    #[error(
        "{place}: the reference to {target} leaves the file, and nothing is fetched; copy that schema into $defs and refer to it with #/$defs/NAME"
    )]
    Remote {
        /// The JSON pointer of the reference, in the form for messages.
        place: String,
        /// The target of the reference, in quotes.
        target: String,
    },
    /// A reference leads to a place in the file that does not exist.
    #[error("{place}: nothing is at {target}, to which it refers")]
    Missing {
        /// The JSON pointer of the reference, in the form for messages.
        place: String,
        /// The target of the reference, in quotes.
        target: String,
    },
    /// A pattern can't be used.
    #[error(
        "{place}: the pattern {pattern} can't be used: it is not a regular expression of ECMAScript, or it is too large"
    )]
    Pattern {
        /// The JSON pointer of the pattern, in the form for messages.
        place: String,
        /// The pattern, in quotes.
        pattern: String,
    },
    /// A name in `patternProperties` can't be used as a pattern.
    #[error(
        "{place}: a pattern can't be used here: it is not a regular expression of ECMAScript, it is too large, or it looks around or back (only \"pattern\" may do so)"
    )]
    PatternProperty {
        /// The JSON pointer of the pattern, in the form for messages.
        place: String,
    },
    /// Too many subschemas apply to one value. A check of an answer could take extremely long.
    #[error(
        "{place}: more than {limit} subschemas apply to one value here, because references are combined again and again; simplify it"
    )]
    TooWide {
        /// The JSON pointer of the schema, as it is shown in messages.
        place: String,
        /// The highest allowed number of subschemas for one value.
        limit: u64,
    },
}

/// Returns a JSON pointer as it is shown in messages. The empty pointer, which means the whole document, is shown as
/// `the root`.
pub(super) fn shown_place(pointer: &str) -> String {
    match pointer {
        "" => "the root".to_owned(),
        _ => crate::domain::shortened(pointer).into_owned(),
    }
}
