//! Schemas for answers: this module puts a schema into a request, and checks whether an answer fits the schema.
//!
//! A [`Schema`] is read from a text. The API accepts only a part of JSON Schema, so a schema is rewritten before it is
//! sent (`adapt.rs`). A [`SchemaMethod`](crate::domain::SchemaMethod) says how a schema is sent. The program sends a
//! schema by the best method that the model and the row allow. Answers are always checked here against the schema of
//! the user. This module uses no files and no network, so it rejects references to other files.
//!
//! # What a check covers
//!
//! - A schema is read by the rules of the draft that `$schema` names. Without `$schema`, the draft is 2020-12. Drafts
//!   4, 6, 7 and 2019-09 are supported too.
//! - The keyword `format` is checked for all formats that the draft defines, except `idn-email` and `idn-hostname`.
//!   Formats that the draft does not define are not checked.
//! - Most patterns are matched in linear time. The value of `pattern` can use look-around and back-references (`(?=…)`,
//!   `(?<!…)`, `\1`). For such a pattern, the number of steps and the length of the text are limited. A text that is
//!   too long does not match. A pattern that can't be compiled is rejected. In `patternProperties`, a pattern with
//!   look-around or back-references is rejected too.
//! - Numbers are read as 64-bit integers or, if this is not possible, as 64-bit floating-point numbers. So two
//!   different integers above 2^64 can be treated as equal. A number above 1.8e308 can't be read, so an answer that
//!   contains one is not accepted as JSON.
//! - If an object in an answer has two members with the same name, only the second member is checked. A schema that
//!   contains two members with the same name in one object is rejected.
//! - An answer that is nested more than 127 levels deep fails the check. The limit is lower if a chain of more than 11
//!   subschemas applies to one value. An example of a chain is a `$ref` to an `allOf` that contains another `$ref`.
//!
//! # The time that a check takes
//!
//! - A schema can have at most 1 MiB and 127 levels.
//! - A schema is rejected if more than 10,000 subschemas apply to one value, or if a chain of more than 64 subschemas
//!   applies to it.
//! - A schema is allowed to contain itself. A check remembers the results of subschemas. So even if alternatives
//!   contain themselves, the time does not double with each level.
//! - If it could take a long time to list the violations of an answer, the violations are not listed. So if an answer
//!   is long, its violations are not listed. If several alternatives in the schema contain the schema itself, the
//!   violations of a deeply nested answer are not listed.

mod adapt;
mod adapted;
mod check;
mod error;
mod fields;
mod finding;
mod graph;
mod keywords;
mod method;
mod request;
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

/// The largest size of a schema, in bytes. Schemas of large standards have a few hundred thousand bytes. The API
/// accepts only schemas that are much smaller than this size.
const LARGEST: usize = 1 << 20;

/// A schema for answers. A clone shares its memory with the original.
#[derive(Clone, Debug)]
pub struct Schema(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    /// The schema of the user, without white space.
    text: String,
    /// The form of the schema for structured output; `None` if the API does not accept the schema.
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
    /// Returns a [`SchemaError`] that says what is wrong in the schema, and where.
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

    /// Returns texts about the changes that are made to the schema before it is sent as structured output. Each text
    /// begins with the place of the change. If the API does not accept the schema, the list has one text, which says
    /// why. The list is empty if nothing is changed.
    ///
    /// Example of such a text: `/properties/age: minimum is not sent; answers are checked for it here`.
    pub fn changes(&self) -> &[String] {
        &self.0.changes
    }

    /// Returns the names of the members that the schema defines for the root of an answer. The names come from
    /// `properties` at the root, and from the schemas that `$ref` or `allOf` adds to the root. They keep their order.
    pub fn fields(&self) -> &[String] {
        &self.0.fields
    }

    /// Checks an answer, which is JSON text. The docs of this module say what a check covers.
    ///
    /// # Errors
    /// The [`Finding`] says what is wrong with the answer.
    pub fn check(&self, json: &str) -> Result<(), Finding> {
        self.0.checker.check(json)
    }

    /// Returns the schema of the user, without white space.
    pub(crate) fn text(&self) -> &str {
        &self.0.text
    }

    /// Returns whether the user's schema can be used, without changes, as the input schema of a tool.
    pub(crate) fn is_object(&self) -> bool {
        adapted::is_object(&self.0.text)
    }

    /// Returns the SHA-256 of the schema without white space, in hexadecimal digits.
    pub fn digest(&self) -> String {
        self.0.digest.clone()
    }
}

/// Checks that a text is JSON. Every kind of JSON value is allowed.
///
/// # Errors
/// The [`Finding`] says where the text is not JSON.
pub(crate) fn expect_json(text: &str) -> Result<(), Finding> {
    serde_json::from_str::<IgnoredAny>(text).map(|_| ()).map_err(|error| Finding::not_json(&error))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
