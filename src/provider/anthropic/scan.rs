//! The quick way through a whole message: one pass that checks that it is JSON and notes what is looked at.
//!
//! It takes the form in which the API answers and returns `None` for anything that needs a closer look: escapes in names
//! that matter, members named twice, deep nesting, whatever is no message. So it never says more than the slow way
//! would, which parses; a test holds the two together. Everything it accepts is valid JSON to the letter, since it
//! becomes part of a line of results; whether its strings are UTF-8 is for others to see.

use std::ops::Range;

use super::shape;
use super::usage::{self, Counts};
use crate::domain::{Quality, Usage, json};

/// Nesting of a value that is followed; deeper answers take the slow way.
const DEEPEST: u32 = 64;

/// Members of a request that bring tools which it does not name.
const BRINGS_TOOLS: [&[u8]; 2] = [b"mcp_servers", b"thread"];

/// Digits of a count that is read in passing: no answer has used more tokens than nine can tell.
const SHORT_COUNT: usize = 10;

/// What is looked at in a message that is kept. Strings are without escapes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scanned<'a> {
    /// How good it is.
    pub(super) quality: Quality,
    /// What it used.
    pub(super) usage: Usage,
    /// Where its content stands.
    pub(super) content: Range<usize>,
    /// The tools that it calls, which the request has to offer.
    pub(super) calls: Vec<&'a [u8]>,
}

/// Scans a message; `None` for what needs a closer look, or lacks something ([`super::shape`]).
pub(super) fn message(json: &[u8]) -> Option<Scanned<'_>> {
    let mut scan = Scan { json, at: 0 };
    let (mut kind, mut content, mut usage, mut stop_reason) = (None, None, None, None);
    let mut calls = Vec::new();
    scan.object(|scan, name| match name {
        b"type" => once(&mut kind, scan.text()?),
        b"content" => once(&mut content, scan.blocks(&mut calls)?),
        b"usage" => once(&mut usage, scan.usage()?),
        b"stop_reason" => once(&mut stop_reason, scan.text()?),
        _ => scan.value(),
    })?;
    scan.end()?;
    let quality = stop_reason.filter(|reason| !reason.is_empty()).and_then(shape::quality)?;
    (kind? == b"message").then_some(Scanned { quality, usage: usage?, content: content?, calls })
}

/// Looks for tools that are called among those that a request offers, and stops at the last one it finds.
///
/// Returns the first of them that is not offered, if there is one; `None` for what needs a closer look.
pub(super) fn first_not_offered<'n>(called: &[&'n [u8]], request: &[u8]) -> Option<Option<&'n [u8]>> {
    let mut scan = Scan { json: request, at: 0 };
    let mut tools = Tools { missing: called.to_vec(), may_be_more: false };
    let walk = scan.object(|scan, name| match (name, scan.peek()?) {
        (b"tools", b'[') => scan.array(|scan| scan.tool(&mut tools)),
        (b"tools", b'n') => scan.value(),
        (b"tools", _) => None,
        (name, first) => {
            tools.may_be_more |= BRINGS_TOOLS.contains(&name) && first != b'n';
            scan.value()
        }
    });
    let Tools { missing, may_be_more } = tools;
    let Some(first) = missing.first() else { return Some(None) };
    walk.and_then(|()| scan.end())?;
    Some((!may_be_more).then_some(*first))
}

/// A search for tools.
struct Tools<'n> {
    /// Those that were not found so far.
    missing: Vec<&'n [u8]>,
    /// Whether there may be others than those that are named.
    may_be_more: bool,
}

fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

struct Scan<'a> {
    json: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    /// Reads an object; `member` reads each value. Names with escapes are not taken.
    fn object(&mut self, mut member: impl FnMut(&mut Self, &'a [u8]) -> Option<()>) -> Option<()> {
        self.take(b'{')?;
        if self.peek()? == b'}' {
            return self.take(b'}');
        }
        loop {
            let name = self.text()?;
            self.take(b':')?;
            member(self, name)?;
            match self.peek()? {
                b',' => self.at += 1,
                _ => return self.take(b'}'),
            }
        }
    }

    fn array(&mut self, mut element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.take(b'[')?;
        if self.peek()? == b']' {
            return self.take(b']');
        }
        loop {
            element(self)?;
            match self.peek()? {
                b',' => self.at += 1,
                _ => return self.take(b']'),
            }
        }
    }

    /// Reads a list of content blocks, each with all that its type must have, and returns where it stands.
    fn blocks(&mut self, calls: &mut Vec<&'a [u8]>) -> Option<Range<usize>> {
        self.peek()?;
        let start = self.at;
        self.array(|scan| scan.block(calls))?;
        Some(start..self.at)
    }

    fn block(&mut self, calls: &mut Vec<&'a [u8]>) -> Option<()> {
        let (mut kind, mut text, mut name, mut input) = (None, None, None, None);
        self.object(|scan, member| match member {
            b"type" => once(&mut kind, scan.text()?),
            b"text" => once(&mut text, scan.begins_with(b'"')?),
            b"name" => once(&mut name, scan.text()?),
            b"input" => once(&mut input, scan.begins_with(b'{')?),
            _ => scan.value(),
        })?;
        let kind = kind?;
        if kind == b"text" {
            return (text == Some(true)).then_some(());
        }
        if shape::is_call(kind) {
            let name = name.filter(|_| input == Some(true))?;
            if kind == b"tool_use" {
                calls.push(name);
            }
        }
        Some(())
    }

    /// Reads a tool of a request; stops where all that are called are found.
    fn tool(&mut self, tools: &mut Tools<'_>) -> Option<()> {
        let mut is_named = None;
        self.object(|scan, member| match member {
            b"name" => {
                let own = scan.text()?;
                tools.missing.retain(|called| *called != own);
                once(&mut is_named, ()).filter(|()| !tools.missing.is_empty())
            }
            _ => scan.value(),
        })?;
        tools.may_be_more |= is_named.is_none();
        Some(())
    }

    /// Reads a value and returns whether it begins so.
    fn begins_with(&mut self, byte: u8) -> Option<bool> {
        let is_so = self.peek()? == byte;
        self.value()?;
        Some(is_so)
    }

    fn usage(&mut self) -> Option<Usage> {
        let mut counts = Counts::default();
        self.object(|scan, name| {
            match (name, scan.peek()?) {
                (b"cache_creation", b'{') => {
                    counts.begin_split();
                    return scan.counts(|name, count| counts.note_split(name, count));
                }
                (b"cache_creation", _) => counts.begin_split(),
                (b"server_tool_use", b'{') => {
                    counts.begin_tools();
                    return scan.counts(|name, count| counts.note_tool(name, count));
                }
                (b"server_tool_use", _) => counts.begin_tools(),
                _ => {}
            }
            counts.note(name, scan.count()?);
            Some(())
        })?;
        Some(counts.usage())
    }

    /// Reads an object and shows each member with what it counts.
    fn counts(&mut self, mut show: impl FnMut(&[u8], u64)) -> Option<()> {
        self.object(|scan, name| {
            show(name, scan.count()?);
            Some(())
        })
    }

    /// Reads a value as a count.
    fn count(&mut self) -> Option<u64> {
        let (mut number, mut end) = (0_u64, self.at);
        while let Some(digit @ b'0'..=b'9') = self.json.get(end) {
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            end += 1;
        }
        let is_plain = match self.json.get(self.at..end)? {
            [b'0', _, ..] => false,
            digits => (1..SHORT_COUNT).contains(&digits.len()),
        };
        if is_plain && matches!(self.json.get(end), Some(b',' | b'}')) {
            self.at = end;
            return Some(number);
        }
        Some(usage::count(self.raw()?))
    }

    fn value(&mut self) -> Option<()> {
        // Most values are these two, and the way for all would be the longer one.
        self.at = match self.peek()? {
            b'"' => json::text(self.json, self.at)?,
            b'0'..=b'9' => json::number(self.json, self.at)?,
            _ => json::value(self.json, self.at, DEEPEST)?,
        };
        Some(())
    }

    /// Reads a value and returns its text.
    fn raw(&mut self) -> Option<&'a [u8]> {
        self.peek()?;
        let start = self.at;
        self.value()?;
        self.json.get(start..self.at)
    }

    /// Reads a string without escapes.
    fn text(&mut self) -> Option<&'a [u8]> {
        self.peek()?;
        let text = json::plain_text(self.json, self.at)?;
        self.at = text.end + 1;
        self.json.get(text)
    }

    /// Passes over white space and returns what follows.
    fn peek(&mut self) -> Option<u8> {
        self.at = json::blanks(self.json, self.at);
        self.json.get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.peek()? == wanted).then_some(())?;
        self.at += 1;
        Some(())
    }

    fn end(&mut self) -> Option<()> {
        self.peek().is_none().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const WHOLE: &str = r#"{"id":"msg_1","type":"message","content":[{"type":"text","text":"H\ni \u00e9"},{"x":{"y":[]},"type":"z"},{"input":{},"name":"save","type":"tool_use"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"a":{"b":[1.5e-3,-0,true,false,null]}}}"#;

    #[test]
    fn the_form_of_the_api_is_scanned() {
        let scanned = message(WHOLE.as_bytes()).expect("a message");

        let usage = Usage { input_tokens: 1, ..Usage::default() };
        let content = WHOLE.find('[').expect("it has content")..WHOLE.find(",\"stop_reason").expect("it ends");
        assert_eq!(scanned, Scanned { quality: Quality::Ok, usage, content, calls: vec![&b"save"[..]] });
    }

    #[test]
    fn what_needs_a_closer_look_is_left_to_the_parser() {
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
        fn what_is_accepted_is_json(
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
    fn a_count_in_passing_is_what_the_parser_counts() {
        for value in ["0", "7", "00", "07", "123456789", "1234567890", "99999999999999999999", "1.5", "1e3", "-4"] {
            for (before, after) in [("", ""), (" ", "\t")] {
                let json = format!(r#"{{"output_tokens":{before}{value}{after}}}"#);

                let counted = Scan { json: json.as_bytes(), at: 0 }.usage();

                assert_eq!(counted, usage::read(&json), "{json}");
            }
        }
    }

    #[test]
    fn values_of_every_kind_are_taken_as_a_parser_takes_them() {
        for json in [
            "0",
            "-0",
            "01",
            "1.",
            ".5",
            "1e",
            "1e+5",
            "-",
            "+1",
            "tru",
            "nul",
            "\"\\x\"",
            "\"\t\"",
            "\"\\u12g4\"",
            "[1,]",
            "{\"a\"}",
        ] {
            let is_json = serde_json::from_str::<Value>(json).is_ok();

            assert_eq!(is_value(json), is_json, "{json}");
        }
    }

    fn is_value(json: &str) -> bool {
        let mut scan = Scan { json: json.as_bytes(), at: 0 };
        scan.value().and_then(|()| scan.end()).is_some()
    }
}
