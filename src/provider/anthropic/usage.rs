//! Reads the `usage` of a message.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::Usage;

/// Reads the member `usage` of a message; returns `None` when its value is not an object.
///
/// No answer is discarded because of a wrong usage, because the answer is paid for. If `input_tokens` or
/// `output_tokens` is missing or not a whole number, the usage is unknown ([`Usage::is_unknown`]). Every other member
/// that is missing, null or not a number is read as zero. A count above 2³²−1 is read as 2³²−1, so that sums of hostile
/// counts can't overflow.
pub(super) fn read(json: &str) -> Option<Usage> {
    let mut counts = Counts::default();
    visit(json, &mut |name, value| match name {
        "cache_creation" => counts.read_split(value),
        "server_tool_use" => counts.read_tools(value),
        _ => counts.note(name.as_bytes(), whole_number(value.as_bytes())),
    })?;
    Some(counts.usage())
}

/// The counts in the members that were read. If a name occurs more than once, its last value is used.
#[derive(Default)]
pub(super) struct Counts {
    input: Option<u64>,
    cache_write: u64,
    cache_read: u64,
    output: Option<u64>,
    split_5m: u64,
    split_1h: u64,
    web_searches: u64,
}

impl Counts {
    /// Stores the count of a member of the usage object; `None` for a value that is not a whole number. Callers use
    /// this function only for members whose value is not an object.
    pub(super) fn note(&mut self, name: &[u8], count: Option<u64>) {
        match name {
            b"input_tokens" => self.input = count,
            b"cache_creation_input_tokens" => self.cache_write = count.unwrap_or(0),
            b"cache_read_input_tokens" => self.cache_read = count.unwrap_or(0),
            b"output_tokens" => self.output = count,
            _ => {}
        }
    }

    /// Sets the counts of `cache_creation` to zero. Callers must call this function when the member `cache_creation`
    /// begins.
    pub(super) fn begin_split(&mut self) {
        (self.split_5m, self.split_1h) = (0, 0);
    }

    /// Stores the count that a member of `cache_creation` contains.
    pub(super) fn note_split(&mut self, name: &[u8], count: u64) {
        match name {
            b"ephemeral_5m_input_tokens" => self.split_5m = count,
            b"ephemeral_1h_input_tokens" => self.split_1h = count,
            _ => {}
        }
    }

    /// Sets the counts of `server_tool_use` to zero. Callers must call this function when the member `server_tool_use`
    /// begins.
    pub(super) fn begin_tools(&mut self) {
        self.web_searches = 0;
    }

    /// Stores the count that a member of `server_tool_use` contains.
    pub(super) fn note_tool(&mut self, name: &[u8], count: u64) {
        if name == b"web_search_requests" {
            self.web_searches = count;
        }
    }

    /// Returns the usage that these counts describe.
    pub(super) fn usage(&self) -> Usage {
        let is_split = self.split_5m + self.split_1h > 0;
        Usage {
            input_tokens: self.input.unwrap_or(0),
            cache_write_5m_tokens: if is_split { self.split_5m } else { self.cache_write },
            cache_write_1h_tokens: self.split_1h,
            cache_read_tokens: self.cache_read,
            output_tokens: self.output.unwrap_or(0),
            web_searches: self.web_searches,
            is_unknown: self.input.is_none() || self.output.is_none(),
        }
    }

    fn read_split(&mut self, json: &str) {
        self.begin_split();
        // If the value of `cache_creation` is not an object, it is ignored.
        let _ = visit(json, &mut |name, value| self.note_split(name.as_bytes(), count(value.as_bytes())));
    }

    fn read_tools(&mut self, json: &str) {
        self.begin_tools();
        let _ = visit(json, &mut |name, value| self.note_tool(name.as_bytes(), count(value.as_bytes())));
    }
}

/// Returns a JSON value as a count; zero if the value is not a whole number.
fn count(json: &[u8]) -> u64 {
    whole_number(json).unwrap_or(0)
}

/// Returns a JSON value as a count; `None` if the value is not a whole number. Some gateways write whole numbers as
/// `1000.0` or `1e3`.
pub(super) fn whole_number(json: &[u8]) -> Option<u64> {
    let text = str::from_utf8(json).ok()?;
    let as_float = || {
        let number = text.parse::<f64>().ok().filter(|number| *number >= 0.0 && number.fract() == 0.0)?;
        // A number that is too large for the type becomes its largest value.
        text.starts_with(|first: char| first.is_ascii_digit()).then_some(number as u64)
    };
    text.parse().ok().or_else(as_float).map(capped)
}

/// Returns the count, or 2³²−1 if the count is higher. Real counts are never higher than 2³²−1.
pub(super) fn capped(count: u64) -> u64 {
    count.min(u64::from(u32::MAX))
}

/// Passes each member of an object to `each`; returns `None` when the text is not an object. The function does not
/// build a tree of the JSON, because it runs for every answer and a tree would be slower.
fn visit(json: &str, each: &mut dyn FnMut(&str, &str)) -> Option<()> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    deserializer.deserialize_map(Members(each)).ok()?;
    deserializer.end().ok()
}

struct Members<'f>(&'f mut dyn FnMut(&str, &str));

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &RawValue>()? {
            (self.0)(&name, value.get());
        }
        Ok(())
    }
}

/// The name of a member. The name is copied only if it has escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_cache_writes_by_lifetime_are_used_instead_of_their_sum() {
        let usage = read(
            r#"{"input_tokens":3,"cache_creation_input_tokens":30,"cache_read_input_tokens":7,
                "cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20},
                "output_tokens":5,"server_tool_use":{"web_search_requests":2}}"#,
        );

        let expected = Usage {
            input_tokens: 3,
            cache_write_5m_tokens: 10,
            cache_write_1h_tokens: 20,
            cache_read_tokens: 7,
            output_tokens: 5,
            web_searches: 2,
            is_unknown: false,
        };
        assert_eq!(usage, Some(expected));
    }

    #[test]
    fn cache_writes_without_a_lifetime_count_as_writes_for_five_minutes() {
        let usage =
            read(r#"{"input_tokens":3,"cache_creation_input_tokens":30,"cache_creation":null,"output_tokens":5}"#)
                .expect("an object");

        assert_eq!((usage.cache_write_5m_tokens, usage.cache_write_1h_tokens), (30, 0));
    }

    #[test]
    fn nulls_and_odd_forms_count_as_zero() {
        let usage = read(
            r#"{"input_tokens":3,"output_tokens":0,"cache_read_input_tokens":"9","cache_creation_input_tokens":null,
                "server_tool_use":null}"#,
        );

        assert_eq!(usage, Some(Usage { input_tokens: 3, ..Usage::default() }));
        assert_eq!(read("[1]"), None);
    }

    #[test]
    fn a_usage_without_a_readable_count_of_input_and_output_is_unknown() {
        for json in [
            "{}",
            r#"{"prompt_tokens":1000,"completion_tokens":1000,"total_tokens":2000}"#,
            r#"{"input_tokens":1000}"#,
            r#"{"output_tokens":1000}"#,
            r#"{"input_tokens":1000,"output_tokens":null}"#,
            r#"{"input_tokens":"1000","output_tokens":5}"#,
            r#"{"input_tokens":-4,"output_tokens":5}"#,
            r#"{"input_tokens":4.5,"output_tokens":5}"#,
            r#"{"input_tokens":4,"output_tokens":5,"output_tokens":[5]}"#,
        ] {
            assert!(read(json).is_some_and(|usage| usage.is_unknown), "{json}");
        }
    }

    #[test]
    fn whole_numbers_can_be_written_as_floats() {
        let usage = read(r#"{"input_tokens":1000.0,"output_tokens":2e3}"#);

        assert_eq!(usage, Some(Usage { input_tokens: 1000, output_tokens: 2000, ..Usage::default() }));
    }

    #[test]
    fn hostile_counts_do_not_overflow_a_sum() {
        let usage = read(
            r#"{"input_tokens":18446744073709551615,"cache_creation_input_tokens":18446744073709551615,
                "cache_read_input_tokens":18446744073709551615}"#,
        )
        .expect("an object");

        assert_eq!(usage.prompt_tokens(), 3 * u64::from(u32::MAX));
    }
}
