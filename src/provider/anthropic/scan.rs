//! The fast way to read a whole message. A single pass checks that the message is JSON, and reads the members that are
//! needed.
//!
//! This scan reads the usual form of the API's answers. The scan returns `None` for text that is not a message, for
//! repeated members, and for deep nesting. The scan also returns `None` for escapes in names, and for escapes in the
//! texts that the scan reads. The parser ([`super::shape`]) reads the answers that the scan can't read. For messages
//! that the scan can read, a test checks that the parser returns the same result as the scan. An accepted message
//! becomes part of a line of results, so it must be valid JSON. The caller checks whether the strings of the message
//! are UTF-8.

use std::ops::Range;

use super::kinds;
use super::usage::{self, Counts};
use crate::domain::json::Cursor;
use crate::domain::{Quality, Usage};

/// The maximum nesting depth of the values that the scan reads. The scan leaves answers with deeper nesting to the
/// parser.
const DEEPEST: u32 = 64;

/// Members of a request. Each of them can add tools that the request does not name.
const BRINGS_TOOLS: [&[u8]; 2] = [b"mcp_servers", b"thread"];

/// The facts about a message that the scan found. The strings that were read have no escapes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scanned<'a> {
    /// The quality of the answer: complete, truncated, refused or unknown.
    pub(super) quality: Quality,
    /// The tokens and web searches that the answer used.
    pub(super) usage: Usage,
    /// The byte range of the content in the text of the message.
    pub(super) content: Range<usize>,
    /// The names of the tools that the answer calls. The caller checks that the request offers these tools.
    pub(super) calls: Vec<&'a [u8]>,
}

/// Scans a message; `None` if a part is missing ([`super::shape`]) or the message does not have the usual form.
pub(super) fn message(json: &[u8]) -> Option<Scanned<'_>> {
    let mut cursor = Cursor::new(json);
    let (mut kind, mut content, mut usage, mut stop_reason) = (None, None, None, None);
    let mut calls = Vec::new();
    cursor.plain_object(|cursor, name| match name {
        b"type" => once(&mut kind, cursor.plain_string()?),
        b"content" => once(&mut content, read_blocks(cursor, &mut calls)?),
        b"usage" => once(&mut usage, read_usage(cursor)?),
        b"stop_reason" => once(&mut stop_reason, cursor.plain_string()?),
        _ => cursor.skip_value(DEEPEST),
    })?;
    cursor.end()?;
    let quality = stop_reason.filter(|reason| !reason.is_empty()).and_then(kinds::quality)?;
    (kind? == b"message").then_some(Scanned { quality, usage: usage?, content: content?, calls })
}

/// Looks for the called tools among the tools of a request, and stops when all are found.
///
/// If a called tool is missing from the request, returns `Some(Some(name))` with the name of the first missing tool. If
/// the request offers all called tools, returns `Some(None)`. Returns `None` if the request does not have the usual
/// form.
pub(super) fn first_not_offered<'n>(called: &[&'n [u8]], request: &[u8]) -> Option<Option<&'n [u8]>> {
    let mut cursor = Cursor::new(request);
    let mut tools = Tools { missing: called.to_vec(), may_be_more: false };
    let walk = cursor.plain_object(|cursor, name| match (name, cursor.peek()?) {
        (b"tools", b'[') => cursor.array(|cursor| tools.find_in(cursor)),
        (b"tools", b'n') => cursor.skip_value(DEEPEST),
        (b"tools", _) => None,
        (name, first) => {
            tools.may_be_more |= BRINGS_TOOLS.contains(&name) && first != b'n';
            cursor.skip_value(DEEPEST)
        }
    });
    let Tools { missing, may_be_more } = tools;
    let Some(first) = missing.first() else { return Some(None) };
    walk.and_then(|()| cursor.end())?;
    Some((!may_be_more).then_some(*first))
}

/// The state of a search for called tools in a request.
struct Tools<'n> {
    /// The called tools that have not been found yet.
    missing: Vec<&'n [u8]>,
    /// Whether the request can offer tools that it does not name.
    may_be_more: bool,
}

impl Tools<'_> {
    /// Reads one of the tools of a request. When all called tools are found, returns `None` to end the search.
    fn find_in(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        let mut is_named = None;
        cursor.plain_object(|cursor, member| match member {
            b"name" => {
                let own = cursor.plain_string()?;
                self.missing.retain(|called| *called != own);
                once(&mut is_named, ()).filter(|()| !self.missing.is_empty())
            }
            _ => cursor.skip_value(DEEPEST),
        })?;
        self.may_be_more |= is_named.is_none();
        Some(())
    }
}

/// Stores a value in `place`. Returns `None` if `place` had a value before.
fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

/// Reads a list of content blocks and checks that each block has everything that its type needs. Returns the byte range
/// of the list.
fn read_blocks<'a>(cursor: &mut Cursor<'a>, calls: &mut Vec<&'a [u8]>) -> Option<Range<usize>> {
    cursor.peek()?;
    let start = cursor.position();
    cursor.array(|cursor| read_block(cursor, calls))?;
    Some(start..cursor.position())
}

fn read_block<'a>(cursor: &mut Cursor<'a>, calls: &mut Vec<&'a [u8]>) -> Option<()> {
    let (mut kind, mut text, mut name, mut input) = (None, None, None, None);
    cursor.plain_object(|cursor, member| match member {
        b"type" => once(&mut kind, cursor.plain_string()?),
        b"text" => once(&mut text, begins_with(cursor, b'"')?),
        b"name" => once(&mut name, cursor.plain_string()?),
        b"input" => once(&mut input, begins_with(cursor, b'{')?),
        _ => cursor.skip_value(DEEPEST),
    })?;
    let kind = kind?;
    if kind == b"text" {
        return (text == Some(true)).then_some(());
    }
    if kinds::is_call(kind) {
        let name = name.filter(|_| input == Some(true))?;
        if kind == b"tool_use" {
            calls.push(name);
        }
    }
    Some(())
}

/// Skips a JSON value, and returns whether the value begins with this byte.
fn begins_with(cursor: &mut Cursor<'_>, byte: u8) -> Option<bool> {
    let is_so = cursor.peek()? == byte;
    cursor.skip_value(DEEPEST)?;
    Some(is_so)
}

fn read_usage(cursor: &mut Cursor<'_>) -> Option<Usage> {
    let mut counts = Counts::default();
    cursor.plain_object(|cursor, name| {
        match (name, cursor.peek()?) {
            (b"cache_creation", b'{') => {
                counts.begin_split();
                return read_counts(cursor, |name, count| counts.note_split(name, count));
            }
            (b"cache_creation", _) => counts.begin_split(),
            (b"server_tool_use", b'{') => {
                counts.begin_tools();
                return read_counts(cursor, |name, count| counts.note_tool(name, count));
            }
            (b"server_tool_use", _) => counts.begin_tools(),
            _ => {}
        }
        counts.note(name, read_count(cursor)?);
        Some(())
    })?;
    Some(counts.usage())
}

/// Reads an object whose members are counts, and passes the name and the count of each member to `show`.
fn read_counts(cursor: &mut Cursor<'_>, mut show: impl FnMut(&[u8], u64)) -> Option<()> {
    cursor.plain_object(|cursor, name| {
        show(name, read_count(cursor)?.unwrap_or(0));
        Some(())
    })
}

/// Reads a JSON value of any type as a count; `Some(None)` if the value is not a whole number.
fn read_count(cursor: &mut Cursor<'_>) -> Option<Option<u64>> {
    match cursor.count() {
        Some(count) => Some(Some(usage::capped(count))),
        None => Some(usage::whole_number(cursor.value(DEEPEST)?)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WHOLE: &str = r#"{"id":"msg_1","type":"message","content":[{"type":"text","text":"H\ni \u00e9"},{"x":{"y":[]},"type":"z"},{"input":{},"name":"save","type":"tool_use"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"a":{"b":[1.5e-3,-0,true,false,null]}}}"#;

    #[test]
    fn a_message_in_the_usual_form_of_the_api_is_scanned() {
        let scanned = message(WHOLE.as_bytes()).expect("a message");

        let usage = Usage { input_tokens: 1, is_unknown: true, ..Usage::default() };
        let content = WHOLE.find('[').expect("the message has content")
            ..WHOLE.find(",\"stop_reason").expect("the content ends there");
        assert_eq!(scanned, Scanned { quality: Quality::Ok, usage, content, calls: vec![&b"save"[..]] });
    }

    #[test]
    fn other_forms_are_left_to_the_parser() {
        let odd = [
            WHOLE.replace(r#""type":"message""#, r#""\u0074ype":"message""#),
            WHOLE.replace(r#""id":"msg_1""#, r#""type":"message""#),
            WHOLE.replace(r#""end_turn""#, r#""end\u005fturn""#),
            WHOLE.replace(r#""type":"text""#, r#""type":"text","type":"text""#),
            WHOLE.replace(r#""type":"text""#, r#""text":"","type":"text""#),
            WHOLE.replace(r#""name":"save""#, r#""name":"s\u0061ve""#),
            WHOLE.replace(r#""name":"save","#, ""),
            WHOLE.replace(r#""input":{}"#, r#""input":[]"#),
            WHOLE.replace(r#""type":"z""#, r#""type":null"#),
            WHOLE.replace(r#""stop_reason":"end_turn","#, ""),
            WHOLE.replace("end_turn", ""),
            WHOLE.replace("end_turn", "pause_turn"),
            WHOLE.replace(r#""usage":{"#, r#""used":{"#),
            WHOLE.replace(r#"{"type":"text","text":"H\ni \u00e9"}"#, r#"["text"]"#),
            WHOLE.replace("[]", &format!("{}{}", "[".repeat(70), "]".repeat(70))),
            "[]".to_owned(),
            String::new(),
        ];

        for json in odd {
            assert_eq!(message(json.as_bytes()), None, "{json}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn the_scanner_accepts_only_valid_json(
            cuts in prop::collection::vec((0..WHOLE.len(), 0..4_usize, r#"[\[\]{}:,"\\0-9eEtnu .+\-\x01é]{0,3}"#), 0..4),
        ) {
            let mut json = WHOLE.to_owned();
            for (at, length, put) in cuts {
                let at = at.min(json.len());
                let end = (at + length).min(json.len());
                if json.is_char_boundary(at) && json.is_char_boundary(end) {
                    json.replace_range(at..end, &put);
                }
            }

            let is_json = serde_json::from_str::<&serde_json::value::RawValue>(&json).is_ok();

            prop_assert!(is_json || message(json.as_bytes()).is_none(), "{}", json);
            prop_assert_eq!(is_value(&json), is_json, "{}", json);
        }
    }

    #[test]
    fn the_scanner_and_the_parser_read_the_same_counts() {
        for value in ["0", "7", "00", "07", "123456789", "1234567890", "99999999999999999999", "1.5", "1e3", "-4"] {
            for (before, after) in [("", ""), (" ", "\t")] {
                let json = format!(r#"{{"output_tokens":{before}{value}{after}}}"#);

                let counted = read_usage(&mut Cursor::new(json.as_bytes()));

                assert_eq!(counted, usage::read(&json), "{json}");
            }
        }
    }

    fn is_value(json: &str) -> bool {
        let mut cursor = Cursor::new(json.as_bytes());
        cursor.skip_value(DEEPEST).and_then(|()| cursor.end()).is_some()
    }
}
