//! Parsing of system prompts that are lists of content blocks.

use std::fmt;

use serde_json::value::RawValue;

use crate::cli::shell::quoted;
use crate::domain::json::{Cursor, is_within_depth, kind, lone_surrogate};

/// The highest number of nested levels that the JSON of a parameter can have. A line of a results file adds a few
/// levels around the parameter. JSON parsers must still accept the whole line.
pub(super) const DEEPEST_PARAM: u32 = 120;

/// A mistake in a list of blocks, and its place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlockFault {
    /// The number of the line, counted from 1.
    pub line: usize,
    /// The column in the line, in characters, counted from 1.
    pub column: usize,
    message: String,
}

impl BlockFault {
    fn at(text: &str, offset: usize, message: String) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        Self { line, column: before[line_start..].chars().count() + 1, message }
    }
}

impl fmt::Display for BlockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Reads the value of `system` from a JSON array of content blocks. Each block must be an object with a `type`, and a
/// text block must have a text. The API checks everything else.
pub(crate) fn blocks(text: &str) -> Result<Box<RawValue>, BlockFault> {
    let text = text.trim_end();
    let list = serde_json::from_str::<Vec<&RawValue>>(text).map_err(|error| {
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        BlockFault { line: error.line(), column: error.column(), message: format!("this is not JSON ({message})") }
    })?;
    let start = text.find('[').unwrap_or(0);
    if list.is_empty() {
        return Err(BlockFault::at(text, start, "the list of blocks is empty".to_owned()));
    }
    if !is_within_depth(text.as_bytes(), DEEPEST_PARAM) {
        let message = format!("the blocks are nested more than {DEEPEST_PARAM} levels deep");
        return Err(BlockFault::at(text, start, message));
    }
    if let Some(at) = lone_surrogate(text) {
        let escape = text.get(at..at + 6).unwrap_or_default();
        return Err(BlockFault::at(text, at, format!("{escape} is half of a character, which the API refuses")));
    }
    for (number, block) in list.iter().enumerate() {
        let offset = block.get().as_ptr() as usize - text.as_ptr() as usize;
        let wrong = |what: String| BlockFault::at(text, offset, format!("block {} {what}", number + 1));
        check(block.get()).map_err(wrong)?;
    }
    RawValue::from_string(text.trim_start().to_owned()).map_err(|error| BlockFault::at(text, 0, error.to_string()))
}

/// Checks one block.
fn check(block: &str) -> Result<(), String> {
    if kind(block) != "an object" {
        return Err(format!("is {}; a content block is an object such as {}", kind(block), example()));
    }
    let of_string = |json: Option<&str>| json.and_then(|json| serde_json::from_str::<String>(json).ok());
    match member(block, b"type") {
        None => return Err(format!("has no type; write a block such as {}", example())),
        found if of_string(found).as_deref() == Some("text") => {}
        Some(found) if kind(found) == "a string" => return Ok(()),
        Some(found) => return Err(format!("has {} as its type; write a block such as {}", kind(found), example())),
    }
    match of_string(member(block, b"text")) {
        None => Err(format!("is a text block without a text; write a block such as {}", example())),
        Some(text) if text.trim().is_empty() => Err("has an empty text, and the API refuses empty texts".to_owned()),
        Some(_) => Ok(()),
    }
}

fn example() -> &'static str {
    r#"{"type":"text","text":"…"}"#
}

/// Returns the value of an object's member with this name. If the name occurs more than once, the value is that of the
/// last member, as in the API.
fn member<'a>(object: &'a str, wanted: &[u8]) -> Option<&'a str> {
    let mut found = None;
    Cursor::new(object.as_bytes()).object(|cursor, name| {
        let value = std::str::from_utf8(cursor.value(DEEPEST_PARAM)?).ok()?;
        if name == wanted {
            found = Some(value);
        }
        Some(())
    })?;
    found
}

/// Parses the value of `--param system=…`, which must be a list of blocks.
pub(super) fn system_param(value: &str) -> Result<Box<RawValue>, String> {
    if !value.starts_with('[') {
        return Err("--param system takes a list of content blocks; for a text, use --system".to_owned());
    }
    blocks(value).map_err(|fault| format!("system: {fault}; in a shell, put the value in quotes: {}", shown()))
}

fn shown() -> String {
    quoted(format!("system=[{}]", example()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_keep_their_bytes() {
        let text = "\n [ {\"type\":\"text\",\n \"text\":\"a \\u00e9\",\"n\":1.50e0} , {\"type\":\"new\"}]\n";

        assert_eq!(blocks(text).expect("it is good").get(), text.trim());
    }

    #[test]
    fn a_wrong_block_is_named_with_its_place() {
        let found = |text: &str| {
            let fault = blocks(text).expect_err(text);
            format!("{}:{}: {fault}", fault.line, fault.column)
        };

        insta::assert_snapshot!(
            [
                "[{\"type\":\"text\",\"text\":\"é\"},\n  \"b\"]",
                "[{\"text\":\"a\"}]",
                "[{\"type\":5}]",
                "[{\"type\":\"text\"}]",
                "[{\"type\":\"text\",\"text\":[]}]",
                "[{\"type\":\"text\",\"text\":\" \"}]",
                "[\n]",
                "[{\"type\":\"text\",\n\"text\":\"a\"},]",
                "[{\"type\":\"text\",\"text\":\"a\"}",
                "[{\"type\":\"text\",\"text\":\"é\\ud800\"}]",
            ]
            .map(found)
            .join("\n"),
            @r#"
            2:3: block 2 is a string; a content block is an object such as {"type":"text","text":"…"}
            1:2: block 1 has no type; write a block such as {"type":"text","text":"…"}
            1:2: block 1 has a number as its type; write a block such as {"type":"text","text":"…"}
            1:2: block 1 is a text block without a text; write a block such as {"type":"text","text":"…"}
            1:2: block 1 is a text block without a text; write a block such as {"type":"text","text":"…"}
            1:2: block 1 has an empty text, and the API refuses empty texts
            1:1: the list of blocks is empty
            2:13: this is not JSON (trailing comma)
            1:27: this is not JSON (EOF while parsing a list)
            1:26: \ud800 is half of a character, which the API refuses
            "#
        );
        assert!(blocks(&format!("[{}{}]", "[".repeat(200), "]".repeat(200))).is_err());
    }

    #[test]
    fn the_parameter_takes_only_a_list() {
        assert!(system_param("\"Be brief.\"").expect_err("it is a text").contains("use --system"));
        assert!(system_param("[5]").expect_err("it is no block").contains("system: block 1 is a number"));
        assert!(system_param(r#"[{"type":"text","text":"a"}]"#).is_ok());
    }
}
