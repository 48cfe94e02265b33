//! Why a schema is refused.

/// Why a text can't be used as a schema for answers. Each message names the place in the schema.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The text is longer than a schema may be.
    #[error("the schema has {bytes} bytes; at most {limit} are possible")]
    TooLarge {
        /// How many bytes it has.
        bytes: usize,
        /// How many bytes a schema may have.
        limit: usize,
    },
    /// The text is not JSON.
    #[error("the schema is not JSON: {0}")]
    NotJson(serde_json::Error),
    /// An object has two members with the same name.
    #[error("{place}: {name} occurs twice; remove one of them")]
    Repeated {
        /// The JSON pointer of the object, in words.
        place: String,
        /// The name, in quotes.
        name: String,
    },
    /// The text is JSON, but not a schema.
    #[error("{place}: {words}")]
    NotASchema {
        /// The JSON pointer of the value that is wrong, in words.
        place: String,
        /// What is wrong.
        words: String,
    },
    /// `$schema` names a dialect that the validator doesn't know.
    #[error(
        "$schema names {dialect}, which is not known; use https://json-schema.org/draft/2020-12/schema or leave it out"
    )]
    Dialect {
        /// The name, in quotes.
        dialect: String,
    },
    /// A reference to another document. Nothing is ever fetched.
    #[error(
        "{place}: the reference to {target} leaves the file, and nothing is fetched; copy that schema into $defs and refer to it with #/$defs/NAME"
    )]
    Remote {
        /// The JSON pointer of the reference, in words.
        place: String,
        /// The target, in quotes.
        target: String,
    },
    /// A reference to a place in the file that does not exist.
    #[error("{place}: nothing is at {target}, to which it refers")]
    Missing {
        /// The JSON pointer of the reference, in words.
        place: String,
        /// The target, in quotes.
        target: String,
    },
    /// A pattern can't be used.
    #[error(
        "{place}: the pattern {pattern} can't be used: it is not a regular expression of ECMAScript, or it is too large"
    )]
    Pattern {
        /// The JSON pointer of the pattern, in words.
        place: String,
        /// The pattern, in quotes.
        pattern: String,
    },
    /// The name of a pattern property can't be used as a pattern.
    #[error(
        "{place}: a pattern can't be used here: it is not a regular expression of ECMAScript, it is too large, or it looks around or back (only \"pattern\" may do so)"
    )]
    PatternProperty {
        /// The JSON pointer of the pattern, in words.
        place: String,
    },
    /// Too many subschemas apply to one value. A check could take for ever.
    #[error(
        "{place}: more than {limit} subschemas apply to one value here, because references are combined again and again; simplify it"
    )]
    TooWide {
        /// The JSON pointer of the schema, in words.
        place: String,
        /// How many subschemas may apply.
        limit: u64,
    },
}

/// Returns a JSON pointer as it is shown: the empty pointer, which is the whole document, is shown as `the root`.
pub(super) fn shown_place(pointer: &str) -> String {
    match pointer {
        "" => "the root".to_owned(),
        _ => crate::domain::shortened(pointer).into_owned(),
    }
}
