//! Names of request fields, and names that look like misspelt request fields.
//!
//! In the short row shapes, the list of the API's fields decides whether a member is sent or only kept with the row.
//! Inside `params`, every member is sent, because the API can have new fields that this program does not know yet.

use std::collections::HashSet;

use super::names::{LONGEST_NAME, is_near, plain, short};
use crate::catalog::REQUEST_FIELDS;

/// Names of request fields in other APIs and older versions.
const ALIASES: [(&str, &str); 12] = [
    ("stop", "stop_sequences"),
    ("stop_words", "stop_sequences"),
    ("max_completion_tokens", "max_tokens"),
    ("max_output_tokens", "max_tokens"),
    ("max_new_tokens", "max_tokens"),
    ("max_tokens_to_sample", "max_tokens"),
    ("max_length", "max_tokens"),
    ("system_prompt", "system"),
    ("system_message", "system"),
    ("functions", "tools"),
    ("function_call", "tool_choice"),
    ("model_name", "model"),
];

/// Returns whether the API knows `name` at the top level of a request.
pub(super) fn is_request_field(name: &str) -> bool {
    REQUEST_FIELDS.contains(&name)
}

/// Returns the request field that the author of `name` probably meant.
///
/// Two names are similar if they differ by one edit, or by two edits if both names are long. A swap of two neighbouring
/// letters is one edit. Differences in case, dashes and camel case are ignored: `maxTokens` is `max_tokens`.
pub(super) fn meant_field(name: &str) -> Option<&'static str> {
    if is_request_field(name) || name.len() > LONGEST_NAME {
        return None;
    }
    let plain = plain(name);
    let alias = ALIASES.iter().find(|(alias, _)| self::plain(alias) == plain).map(|(_, field)| *field);
    alias.or_else(|| REQUEST_FIELDS.into_iter().find(|field| is_near(&plain, &self::plain(field))))
}

/// The place of a checked member in its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Within {
    /// The member is in a row of a short shape, and is kept with the row.
    Row,
    /// The member is in `params`, and is sent.
    Params,
    /// The row has `params`, but the member is outside of `params` and is kept with the row.
    OutsideParams,
}

/// The names of members that were checked, and the warnings about these names. Each name gets only one warning.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    checked: [Checked; 3],
    pending: Vec<String>,
}

/// The highest number of names that are checked per kind of [`Within`]. If an input has more names than this, the names
/// are data and not request fields.
const MAX_CHECKED: usize = 1000;

/// The names that were checked for one kind of [`Within`].
#[derive(Debug, Default)]
struct Checked {
    all: HashSet<Box<str>>,
    /// The first names that were added to `all`. Most inputs have no more names than this list can hold. Comparing a
    /// name with a few names is faster than computing the hash of the name.
    first: Vec<Box<str>>,
}

impl Checked {
    const FIRST: usize = 8;

    /// Adds a name, and returns whether it was added. The name is not added if it was checked before, or if too many
    /// names were already checked.
    fn insert(&mut self, name: &str) -> bool {
        // The function searches for the name before it adds the name, so that nothing is allocated for a name that was
        // seen before.
        if self.first.iter().any(|own| &**own == name) || self.all.len() >= MAX_CHECKED || self.all.contains(name) {
            return false;
        }
        if self.first.len() < Self::FIRST {
            self.first.push(name.into());
        }
        self.all.insert(name.into())
    }
}

impl Warnings {
    /// Checks the name of a member before the member is sent or is kept with the row.
    pub(super) fn check(&mut self, name: &str, within: Within, line: u64) {
        if (within != Within::OutsideParams && is_request_field(name)) || !self.is_fresh(name, within) {
            return;
        }
        let meant = meant_field(name);
        let name = short(name);
        let message = match (within, meant) {
            (Within::OutsideParams, _) if is_request_field(&name) => {
                format!("`{name}` is outside of `params` and is not sent; put it into `params` (first on line {line})")
            }
            (Within::Row | Within::OutsideParams, Some(field)) => {
                format!(
                    "`{name}` is not a request field and is not sent; is it meant as `{field}`? (first on line {line})"
                )
            }
            (Within::Params, Some(field)) => {
                format!("`{name}` in `params` is sent as it is; is it meant as `{field}`? (first on line {line})")
            }
            (Within::Row | Within::Params | Within::OutsideParams, None) => return,
        };
        self.pending.push(message);
    }

    /// Adds the warning `message`. For each `name`, only the first warning is added.
    pub(super) fn once(&mut self, name: &str, message: impl FnOnce() -> String) {
        if self.is_fresh(name, Within::Row) {
            self.pending.push(message());
        }
    }

    /// Adds a warning.
    pub(super) fn push(&mut self, message: String) {
        self.pending.push(message);
    }

    /// Removes and returns the warnings that were added since the last call.
    pub(super) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.pending)
    }

    fn is_fresh(&mut self, name: &str, within: Within) -> bool {
        self.checked[within as usize].insert(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_fields_are_recognized() {
        let cases = [
            ("max_token", "max_tokens"),
            ("maxTokens", "max_tokens"),
            ("max-tokens", "max_tokens"),
            ("temprature", "temperature"),
            ("temperture", "temperature"),
            ("sytem", "system"),
            ("systme", "system"),
            ("stop", "stop_sequences"),
            ("stopSequences", "stop_sequences"),
            ("message", "messages"),
            ("Model", "model"),
            ("max_completion_tokens", "max_tokens"),
            ("topP", "top_p"),
        ];

        for (name, field) in cases {
            assert_eq!(meant_field(name), Some(field), "{name}");
        }
    }

    #[test]
    fn names_that_are_ordinary_data_cause_no_warning() {
        for name in [
            "id",
            "text",
            "title",
            "topic",
            "body",
            "label",
            "url",
            "date",
            "ticket",
            "top",
            "category",
            "tool_name",
            "prompt",
        ] {
            assert_eq!(meant_field(name), None, "{name}");
        }
        assert_eq!(meant_field("max_tokens"), None);
    }

    #[test]
    fn a_name_is_warned_about_once() {
        let mut warnings = Warnings::default();

        warnings.check("max_token", Within::Row, 3);
        warnings.check("max_token", Within::Row, 4);
        warnings.check("model", Within::Row, 4);
        warnings.check("model", Within::OutsideParams, 5);

        let said = warnings.take();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains("`max_tokens`") && said[0].contains("line 3"), "{said:?}");
        assert!(said[1].contains("outside of `params`"), "{said:?}");
        assert!(warnings.take().is_empty());
    }

    #[test]
    fn endlessly_many_names_use_bounded_memory() {
        let mut warnings = Warnings::default();

        (0..10_000).for_each(|n| warnings.check(&format!("max_token{n}"), Within::Row, n));

        assert!(warnings.checked[0].all.len() <= MAX_CHECKED);
        assert!(warnings.take().len() <= MAX_CHECKED);
    }
}
