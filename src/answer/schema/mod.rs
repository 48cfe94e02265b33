//! Schemas for answers: how a schema is sent, and whether an answer fits it.
//!
//! A [`Schema`] is read from a text. The API takes only a part of JSON Schema, so a schema is sent in another form
//! (`adapt.rs`), by the best means that the model and the row allow ([`Rung`](crate::domain::Rung)). Answers are always checked here against
//! the schema as it was given. This module is pure, and it never fetches a schema: a reference that leaves the file is
//! refused.
//!
//! # What is checked
//!
//! - The draft is 2020-12, unless `$schema` names another draft. Drafts 4, 6, 7 and 2019-09 are known too.
//! - `format` is checked for the formats of the draft, except for `idn-email` and `idn-hostname`. Other formats are not
//!   checked.
//! - Patterns are matched in linear time. The value of `pattern` may look around or back (`(?=…)`, `(?<!…)`, `\1`). In
//!   that case, its steps and the length of the text are limited, and a text that is too long does not match. A pattern
//!   that can't be compiled is refused. In `patternProperties`, a pattern that looks around or back is refused too.
//! - Numbers are read as 64-bit integers or else as 64-bit floating-point numbers. So two integers above 2^64 may count
//!   as equal, and a number above 1.8e308 is not read: the answer counts as not JSON.
//! - If an object has two members with the same name, the last member counts. In a schema this is refused.
//! - An answer that is nested more than 127 levels deep does not fit. The number is lower if more than 11 subschemas apply
//!   to one value because of each other (`$ref` to `allOf` to `$ref` and so on).
//!
//! # How long a check takes
//!
//! - A schema has at most 1 MiB and 127 levels.
//! - A schema is refused if more than 10,000 subschemas apply to one value, or more than 64 because of each other.
//! - A schema may contain itself. The results of its subschemas are kept during a check, so alternatives that contain
//!   themselves do not double the time with each level.
//! - The violations of an answer are not listed if making the list could take long. This is so if the answer is long,
//!   or if it is nested deeply and the schema contains itself in several alternatives.

mod adapt;
mod adapted;
mod check;
mod error;
mod fields;
mod finding;
mod graph;
mod keywords;
mod request;
mod rung;
mod text;

use std::sync::Arc;

use ring::digest::{SHA256, digest};
use serde::de::IgnoredAny;
use serde_json::Value;

pub use error::SchemaError;
pub use finding::Finding;

use adapted::Strict;
use check::Checker;
use error::shown_place;
use graph::Graph;

/// The largest size of a schema, in bytes. Chosen: schemas of large standards have some hundred thousand bytes. The API
/// accepts much less.
const LARGEST: usize = 1 << 20;

/// A schema for answers. A clone shares everything with its original.
#[derive(Clone, Debug)]
pub struct Schema(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    /// The schema as it was given, without white space.
    text: String,
    /// The form for structured output; `None` if there is none.
    strict: Option<Strict>,
    changes: Vec<String>,
    checker: Checker,
    fields: Vec<String>,
    digest: String,
}

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// A [`SchemaError`] that says what is wrong and where.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        let text = text.trim_start_matches('\u{feff}');
        if text.len() > LARGEST {
            return Err(SchemaError::TooLarge { bytes: text.len(), limit: LARGEST });
        }
        let value: Value = serde_json::from_str(text).map_err(SchemaError::NotJson)?;
        let text = text::compact(text);
        if !(value.is_object() || value.is_boolean()) {
            let words = format!("a schema is an object, but this is {}", crate::domain::json::kind(&text));
            return Err(SchemaError::NotASchema { place: shown_place(""), words });
        }
        text::check_names(&text, "")?;
        let graph = Graph::new(&value)?;
        let checker = Checker::new(&value, &graph)?;
        let fields = fields::fields(&text);
        let (strict, changes) = match adapt::adapt(&text, graph.circle()) {
            Ok(mut strict) => {
                let changes = std::mem::take(&mut strict.changes);
                (Some(strict), changes)
            }
            Err(why) => {
                (None, vec![format!("{why}; so it is not sent as structured output; answers are checked here")])
            }
        };
        let digest = hex(digest(&SHA256, text.as_bytes()).as_ref());
        Ok(Self(Arc::new(Parts { text, strict, changes, checker, fields, digest })))
    }

    /// Returns what is changed before the schema is sent as structured output, in words. Each begins with the place. If
    /// the API does not take the schema, there is only one text, which says why. It is empty if nothing is changed.
    ///
    /// Shape: `/properties/age: minimum is not sent; answers are checked for it here`.
    pub fn changes(&self) -> &[String] {
        &self.0.changes
    }

    /// Returns the names of the members that the root of an answer has by the schema, in the order of the schema. It is
    /// the order of `properties` at the root and in the schemas that the root refers to or combines with `allOf`.
    pub fn fields(&self) -> &[String] {
        &self.0.fields
    }

    /// Checks an answer, which is JSON text. The comment of this module lists what is checked.
    ///
    /// # Errors
    /// The [`Finding`] says what is wrong with the answer.
    pub fn check(&self, json: &str) -> Result<(), Finding> {
        self.0.checker.check(json)
    }

    /// Returns the schema as it was given, without white space.
    pub(crate) fn text(&self) -> &str {
        &self.0.text
    }

    /// Returns whether the schema can be the input of a tool, as it was given.
    pub(crate) fn is_object(&self) -> bool {
        adapted::is_object(&self.0.text)
    }

    /// Returns the SHA-256 of the schema without white space, in hexadecimal digits.
    pub fn digest(&self) -> String {
        self.0.digest.clone()
    }
}

/// Checks that a text is JSON. It may be of any kind and depth.
///
/// # Errors
/// The [`Finding`] says where it is not JSON.
pub(crate) fn expect_json(text: &str) -> Result<(), Finding> {
    serde_json::from_str::<IgnoredAny>(text).map(|_| ()).map_err(|error| Finding::not_json(&error))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
