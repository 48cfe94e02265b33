//! Checks the cache marks (`cache_control`) that are part of a row's request.
//!
//! The API rejects a request with more than four marks. The API also rejects a request in which a one-hour mark comes
//! behind a five-minute mark. This module counts only the marks that the API certainly counts. These are marks on
//! tools, on blocks of the system prompt, on content blocks, and on blocks inside a tool result. A mark at the top
//! level of the request makes the API mark the last block, so this mark is counted too. The lifetime of a mark at the
//! top level is not checked, because the place where the API puts the mark is not known.
//!
//! Source: API documentation, "Prompt caching" (2026-09).

use std::fmt;

use serde::Deserialize;

use super::checks::{Fault, invalid};
use crate::domain::json::{Cursor, DEEPEST, inside_quotes};
use crate::domain::{Caching, Merged};

/// The largest number of cache marks in a request.
const MOST_MARKS: usize = 4;

/// How many levels of nested lists of blocks are read. The blocks inside a tool result are the second level.
const MOST_DEPTH: u32 = 2;

/// Checks the number and the order of the cache marks of a request.
pub(super) fn check(params: Merged<'_>, caching: Caching) -> Result<(), Fault> {
    if caching == Caching::None {
        return Ok(());
    }
    let marks = Marks::of(params).found;
    let automatic = params.get("cache_control").is_some_and(|mark| read(mark.as_bytes()).is_some());
    let count = marks.len() + usize::from(automatic);
    if count > MOST_MARKS {
        let automatic = if automatic { ", one of them for the whole request" } else { "" };
        return Err(invalid(format!(
            "the request has {count} cache marks (cache_control){automatic}, above the {MOST_MARKS} that the API accepts; \
             remove {}",
            count - MOST_MARKS
        )));
    }
    let is_short = |mark: &&Mark| mark.lifetime == Some(Caching::FiveMinutes);
    let Some((at, short)) = marks.iter().enumerate().find(|(_, mark)| is_short(mark)) else { return Ok(()) };
    match marks[at..].iter().find(|mark| mark.lifetime == Some(Caching::Hour)) {
        None => Ok(()),
        Some(long) => Err(invalid(format!(
            "the cache mark (cache_control) on {} is for 1h, and an earlier mark, on {}, is for 5m; put all marks for \
             1h before the marks for 5m, in the order tools, system, messages",
            long.place, short.place
        ))),
    }
}

/// A mark. The lifetime of the mark; `None` if the lifetime is not known.
struct Mark {
    place: Place,
    lifetime: Option<Caching>,
}

/// The place of a mark. Numbers begin at 1.
#[derive(Clone, Copy)]
enum Place {
    Tool(usize),
    System(usize),
    Message { message: usize, block: usize },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tool(number) => write!(f, "tool {number}"),
            Self::System(block) => write!(f, "block {block} of system"),
            Self::Message { message, block } => write!(f, "block {block} of message {message}"),
        }
    }
}

/// The marks of a request, in the order in which the API reads them.
#[derive(Default)]
struct Marks {
    found: Vec<Mark>,
}

impl Marks {
    fn of(params: Merged<'_>) -> Self {
        let mut marks = Self::default();
        let value = |name: &str| Cursor::new(params.get(name).unwrap_or("null").as_bytes());
        // If a value can't be read, its marks are not counted, because the API may not count them either.
        let _ = marks.list(&mut value("tools"), MOST_DEPTH - 1, &Place::Tool);
        let _ = marks.list(&mut value("system"), MOST_DEPTH - 1, &Place::System);
        let _ = marks.messages(&mut value("messages"));
        marks
    }

    fn messages(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        let mut message = 0;
        array(cursor, |cursor| {
            message += 1;
            object(cursor, |cursor, name| match name {
                b"content" => self.list(cursor, MOST_DEPTH, &|block| Place::Message { message, block }),
                _ => cursor.skip_value(DEEPEST),
            })
        })
    }

    /// Finds the marks of a list of tools or blocks. `depth` is how many levels of nested lists are read.
    fn list(&mut self, cursor: &mut Cursor<'_>, depth: u32, place: &dyn Fn(usize) -> Place) -> Option<()> {
        let mut number = 0;
        array(cursor, |cursor| {
            number += 1;
            let (mut own, mut kind) = (None, &b""[..]);
            let mut content = None;
            object(cursor, |cursor, name| {
                let value = cursor.value(DEEPEST)?;
                match name {
                    b"type" => kind = inside_quotes(value).unwrap_or_default(),
                    b"cache_control" => own = read(value),
                    b"content" => content = Some(value),
                    _ => {}
                }
                Some(())
            })?;
            if let Some(content) = content.filter(|_| depth > 1 && kind == b"tool_result") {
                self.list(&mut Cursor::new(content), depth - 1, &|_| place(number))?;
            }
            self.found.extend(own.map(|lifetime| Mark { place: place(number), lifetime }));
            Some(())
        })
    }
}

/// Reads a mark and returns its lifetime: `None` if the value is not a mark, and `Some(None)` if the lifetime is not
/// known.
fn read(mark: &[u8]) -> Option<Option<Caching>> {
    #[derive(Deserialize)]
    struct Control<'a> {
        r#type: &'a str,
        ttl: Option<&'a str>,
    }
    let control: Control<'_> = serde_json::from_slice(mark).ok()?;
    (control.r#type == "ephemeral").then_some(match control.ttl {
        None | Some("5m") => Some(Caching::FiveMinutes),
        Some("1h") => Some(Caching::Hour),
        Some(_) => None,
    })
}

/// If the value is an array, reads its elements. Skips any other value.
fn array<'a>(cursor: &mut Cursor<'a>, element: impl FnMut(&mut Cursor<'a>) -> Option<()>) -> Option<()> {
    if cursor.peek()? == b'[' { cursor.array(element) } else { cursor.skip_value(DEEPEST) }
}

/// If the value is an object, reads its members. Skips any other value.
fn object<'a>(cursor: &mut Cursor<'a>, member: impl FnMut(&mut Cursor<'a>, &'a [u8]) -> Option<()>) -> Option<()> {
    if cursor.peek()? == b'{' { cursor.object(member) } else { cursor.skip_value(DEEPEST) }
}

#[cfg(test)]
mod tests {
    use super::super::tests::params;
    use super::*;

    const SHORT: &str = r#""cache_control":{"type":"ephemeral"}"#;
    const LONG: &str = r#""cache_control":{"type":"ephemeral","ttl":"1h"}"#;

    fn fault(json: &str) -> Option<String> {
        check(Merged::from(&params(json)), Caching::Hour).err().map(|fault| fault.message)
    }

    fn text(mark: &str) -> String {
        format!(r#"{{"type":"text","text":"x"{}{mark}}}"#, if mark.is_empty() { "" } else { "," })
    }

    #[test]
    fn longer_lifetimes_come_first_in_the_order_tools_system_messages() {
        let request = |tool: &str, system: &str, one: &str, other: &str| {
            let messages = format!(r#"[{{"role":"user","content":[{},{}]}}]"#, text(one), text(other));
            // The order of the parameters does not matter.
            format!(r#"{{"messages":{messages},"system":[{}],"tools":[{{"name":"t",{tool}}}]}}"#, text(system))
        };

        assert_eq!(fault(&request(LONG, LONG, SHORT, SHORT)), None);
        assert_eq!(fault(&request(SHORT, SHORT, SHORT, SHORT)), None);
        assert_eq!(fault(&request(LONG, LONG, "", LONG)), None);
        insta::assert_snapshot!(
            [request(SHORT, LONG, "", ""), request(LONG, SHORT, "", LONG)].map(|json| fault(&json).unwrap_or_default()).join("\n"),
            @r"
            the cache mark (cache_control) on block 1 of system is for 1h, and an earlier mark, on tool 1, is for 5m; put all marks for 1h before the marks for 5m, in the order tools, system, messages
            the cache mark (cache_control) on block 2 of message 1 is for 1h, and an earlier mark, on block 1 of system, is for 5m; put all marks for 1h before the marks for 5m, in the order tools, system, messages
            "
        );
    }

    #[test]
    fn a_request_has_at_most_four_marks() {
        let request = |blocks: usize, automatic: &str| {
            let blocks = vec![text(SHORT); blocks].join(",");
            let result = format!(r#"{{"type":"tool_result",{SHORT},"content":[{}]}}"#, text(SHORT));
            format!(r#"{{"messages":[{{"role":"user","content":[{blocks},{result}]}}],"cache_control":{automatic}}}"#)
        };

        assert_eq!(fault(&request(2, "null")), None);
        insta::assert_snapshot!(
            [request(3, "null"), request(2, r#"{"type":"ephemeral"}"#)].map(|json| fault(&json).unwrap_or_default()).join("\n"),
            @r"
            the request has 5 cache marks (cache_control), above the 4 that the API accepts; remove 1
            the request has 5 cache marks (cache_control), one of them for the whole request, above the 4 that the API accepts; remove 1
            "
        );
    }

    #[test]
    fn marks_that_may_not_count_are_not_judged() {
        let unknown = r#""cache_control":{"type":"ephemeral","ttl":"2h"}"#;
        let other = r#""cache_control":{"type":"next","ttl":"1h"}"#;
        let system = [SHORT, other, unknown, SHORT, r#""cache_control":null"#].map(text).join(",");

        assert_eq!(fault(&format!(r#"{{"system":[{system}]}}"#)), None);
        let inside = format!(r#"{{"type":"text","text":{{{LONG}}},"content":[{}]}}"#, text(LONG));
        assert_eq!(fault(&format!(r#"{{"system":[{},{inside}],"messages":5}}"#, text(SHORT))), None);
        assert_eq!(check(Merged::from(&params(r#"{"system":[]}"#)), Caching::None), Ok(()));
    }
}
