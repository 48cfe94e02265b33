//! Templates that are lists of messages: several turns of a conversation, written as the JSON of `messages`.
//!
//! Each text in a `content` is a separate template if it contains `{{`, `{%` or `{#`. Everything except these templates
//! stays as it is written: roles, member names, block types, numbers and other texts. The list is checked before any
//! row is read; otherwise, the API would reject a wrong list again for each row.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::value::RawValue;

use super::super::names::short;
use super::error::TemplateError;
use super::uses::{Placeholder, placeholders};
use crate::domain::json::{Cursor, DEEPEST, is_within_depth, kind, lone_surrogate, raw_value};

/// The largest number of filled-in texts in one list.
const MAX_TEXTS: usize = 1_000;

/// The roles that a message can have.
const ROLES: [&str; 3] = ["user", "assistant", "system"];

/// A list of messages whose texts are filled in.
#[derive(Debug)]
pub(super) struct Messages {
    root: Node,
    /// The texts that are filled in, in the order of the list.
    pub texts: Vec<Text>,
    /// The placeholders of other template languages that were found in texts without variables. Such texts are sent
    /// unchanged.
    pub placeholders: Vec<Placeholder>,
}

/// A text that is filled in.
#[derive(Debug)]
pub(super) struct Text {
    /// The text.
    pub text: String,
    /// The number of the message or block that contains the text, counted from 1.
    pub number: usize,
    /// Whether the API rejects requests in which this text is empty.
    pub is_needed: bool,
}

/// A part of the list of messages.
#[derive(Debug)]
enum Node {
    /// A part of the list that stays as it was written.
    Fixed(Box<RawValue>),
    /// A text that is filled in. The number is the index of the text in `texts`.
    Filled(usize),
    List(Vec<Node>),
    Object(Vec<(Box<str>, Node)>),
}

impl Messages {
    /// Reads a template that is a list of messages; `None` if the text is not such a list.
    ///
    /// A list of messages has at least one object with a `role`. If a text looks like such a list but is not JSON, the
    /// function returns an error. Without this error, the unparsed list would be sent as a prompt.
    pub(super) fn read(text: &str) -> Option<Result<Self, TemplateError>> {
        let inner = text.trim().strip_prefix('[')?.trim_start();
        if !inner.strip_prefix('{')?.trim_start().starts_with('"') {
            return None;
        }
        let list = match serde_json::from_str::<Vec<&RawValue>>(text) {
            Ok(list) => list.into_iter().map(RawValue::get).collect::<Vec<_>>(),
            Err(_) if !text.trim_end().ends_with(']') || !text.contains("\"role\"") => return None,
            Err(error) => {
                return Some(Err(wrong(format!(
                    "is not JSON: {error}; a quotation mark or a line end inside a text is written \\\" or \\n"
                ))));
            }
        };
        if !list.iter().any(|message| members(message).is_some_and(|own| find(&own, "role").is_some())) {
            return None;
        }
        Some(check_text(text).and_then(|()| Self::of(&list)))
    }

    /// Reads the blocks of a system prompt. Returns `None` if one of the blocks is not allowed in a system prompt.
    pub(super) fn of_blocks(text: &str) -> Option<Self> {
        let mut blocks = Self { root: Node::List(Vec::new()), texts: Vec::new(), placeholders: Vec::new() };
        let nodes = elements(text).into_iter().enumerate().map(|(at, raw)| blocks.block(raw, at + 1));
        let nodes = nodes.collect::<Result<_, _>>().ok()?;
        blocks.root = Node::List(nodes);
        (blocks.texts.len() <= MAX_TEXTS).then_some(blocks)
    }

    fn of(list: &[&str]) -> Result<Self, TemplateError> {
        let mut messages = Self { root: Node::List(Vec::new()), texts: Vec::new(), placeholders: Vec::new() };
        let mut nodes = Vec::new();
        for (at, raw) in list.iter().enumerate() {
            let place = Place { message: at + 1, is_last: at + 1 == list.len() };
            nodes.push(messages.message(raw, place)?);
        }
        if messages.texts.len() > MAX_TEXTS {
            return Err(wrong(format!("it has more than {MAX_TEXTS} texts with columns")));
        }
        messages.root = Node::List(nodes);
        Ok(messages)
    }

    fn message(&mut self, raw: &str, place: Place) -> Result<Node, TemplateError> {
        let number = place.message;
        let Some(members) = members(raw) else {
            return Err(wrong(format!("message {number} is {}; a message is an object", kind(raw))));
        };
        let repeated = members.iter().enumerate().find(|(at, (name, _))| find(&members[..*at], name).is_some());
        if let Some((_, (name, _))) = repeated {
            return Err(wrong(format!("message {number} has the name {} twice", short(name))));
        }
        let find = |wanted: &str| find(&members, wanted);
        let role = find("role").and_then(string);
        let Some(role) = role.filter(|role| ROLES.contains(&role.as_str())) else {
            let found = match find("role") {
                Some(role) => {
                    format!("the role {}", string(role).map_or(kind(role).to_owned(), |own| short(&own)))
                }
                None => "no role".to_owned(),
            };
            return Err(wrong(format!("message {number} has {found}; write user, assistant or system")));
        };
        if find("content").is_none() {
            return Err(wrong(format!("message {number} has no `content`")));
        }
        // The API accepts an empty assistant message at the end, which the model continues.
        let may_be_empty = place.is_last && role == "assistant";
        let content = |node: &mut Self, value| node.content(value, number, may_be_empty);
        let members = members.into_iter().map(|(name, value)| {
            let node = if name == "content" { content(self, value)? } else { fixed(value) };
            Ok((name.into_boxed_str(), node))
        });
        Ok(Node::Object(members.collect::<Result<_, TemplateError>>()?))
    }

    fn content(&mut self, value: &str, number: usize, may_be_empty: bool) -> Result<Node, TemplateError> {
        match kind(value) {
            "a string" => self.needed_text(value, number, !may_be_empty),
            "an array" => {
                let blocks = elements(value);
                if blocks.is_empty() && !may_be_empty {
                    return Err(empty(number));
                }
                let blocks = blocks.into_iter().map(|block| self.block(block, number));
                blocks.collect::<Result<_, _>>().map(Node::List)
            }
            kind => {
                Err(wrong(format!("message {number} has {kind} as `content`; it must be a string or a list of blocks")))
            }
        }
    }

    fn block(&mut self, raw: &str, number: usize) -> Result<Node, TemplateError> {
        let Some(members) = members(raw) else {
            let kind = kind(raw);
            return Err(wrong(format!("message {number} has {kind} in `content`; a list there holds content blocks")));
        };
        let find = |wanted: &str| find(&members, wanted);
        let Some(is_text) = find("type").and_then(string).map(|kind| kind == "text") else {
            return Err(wrong(format!("message {number} has a block without a `type`")));
        };
        if is_text && find("text").is_none_or(|text| kind(text) != "a string") {
            return Err(wrong(format!("message {number} has a text block without a text")));
        }
        let members = members.into_iter().map(|(name, value)| {
            let node = match &*name {
                "type" => fixed(value),
                "text" if is_text => self.needed_text(value, number, true)?,
                _ => self.part(value, number)?,
            };
            Ok((name.into_boxed_str(), node))
        });
        Ok(Node::Object(members.collect::<Result<_, TemplateError>>()?))
    }

    /// Reads a text of the list. If `is_needed`, this text must not be empty.
    fn needed_text(&mut self, value: &str, number: usize, is_needed: bool) -> Result<Node, TemplateError> {
        match string(value) {
            Some(text) if is_needed && text.trim().is_empty() => Err(empty(number)),
            Some(text) => Ok(self.text(value, text, number, is_needed)),
            None => Ok(fixed(value)),
        }
    }

    fn text(&mut self, value: &str, text: String, message: usize, is_needed: bool) -> Node {
        if !["{{", "{%", "{#"].iter().any(|sign| text.contains(sign)) {
            self.placeholders.extend(placeholders(&text));
            return fixed(value);
        }
        self.texts.push(Text { text, number: message, is_needed });
        Node::Filled(self.texts.len() - 1)
    }

    /// Reads a member of a block, except its `type` and the text of a text block. The texts in this member are filled
    /// in too.
    fn part(&mut self, value: &str, number: usize) -> Result<Node, TemplateError> {
        Ok(match kind(value) {
            "a string" => self.needed_text(value, number, false)?,
            "an array" => {
                let parts = elements(value);
                Node::List(parts.into_iter().map(|part| self.part(part, number)).collect::<Result<_, _>>()?)
            }
            "an object" => {
                let members = members(value).unwrap_or_default().into_iter().map(|(name, part)| {
                    let node = if name == "type" { fixed(part) } else { self.part(part, number)? };
                    Ok((name.into_boxed_str(), node))
                });
                Node::Object(members.collect::<Result<_, TemplateError>>()?)
            }
            _ => fixed(value),
        })
    }

    /// Returns the number of messages in the list.
    pub(super) fn count(&self) -> usize {
        if let Node::List(messages) = &self.root { messages.len() } else { 0 }
    }

    /// Returns the list with its texts filled in.
    pub(super) fn with(&self, filled: &[String]) -> Box<RawValue> {
        serde_json::value::to_raw_value(&View { node: &self.root, filled })
            .expect("values can always be written to memory")
    }
}

/// The place of a message in the list.
#[derive(Clone, Copy)]
struct Place {
    /// The number of the message, counted from 1.
    message: usize,
    is_last: bool,
}

/// Returns the members of an object; `None` for any other value.
fn members(json: &str) -> Option<Vec<(String, &str)>> {
    let mut members = Vec::new();
    let mut cursor = Cursor::new(json.as_bytes());
    cursor.object(|cursor, name| {
        let name = serde_json::from_slice(&[b"\"", name, b"\""].concat()).ok()?;
        let value = std::str::from_utf8(cursor.value(DEEPEST)?).ok()?;
        members.push((name, value));
        Some(())
    })?;
    Some(members)
}

fn find<'a>(members: &[(String, &'a str)], wanted: &str) -> Option<&'a str> {
    members.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value)
}

fn elements(json: &str) -> Vec<&str> {
    let elements: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
    elements.into_iter().map(RawValue::get).collect()
}

fn string(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

fn fixed(json: &str) -> Node {
    Node::Fixed(raw_value(json.to_owned()))
}

/// Rejects valid JSON that the API or common parsers would reject.
fn check_text(text: &str) -> Result<(), TemplateError> {
    if !is_within_depth(text.as_bytes(), DEEPEST - 2) {
        return Err(wrong(format!("it is nested more than {} levels deep", DEEPEST - 2)));
    }
    match lone_surrogate(text) {
        Some(at) => {
            let escape = text.get(at..at + 6).unwrap_or_default();
            Err(wrong(format!("it holds {escape}, half of a character, which the API refuses")))
        }
        None => Ok(()),
    }
}

fn wrong(message: String) -> TemplateError {
    TemplateError::Messages { message }
}

fn empty(number: usize) -> TemplateError {
    wrong(format!("message {number} has an empty content, which the API refuses"))
}

/// A part of the list with its texts filled in. The list is serialized from values, because new JSON text would have to
/// be parsed again for each row.
struct View<'a> {
    node: &'a Node,
    filled: &'a [String],
}

impl Serialize for View<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let filled = self.filled;
        match self.node {
            Node::Fixed(raw) => raw.serialize(serializer),
            Node::Filled(at) => filled[*at].serialize(serializer),
            Node::List(nodes) => {
                let mut list = serializer.serialize_seq(Some(nodes.len()))?;
                nodes.iter().try_for_each(|node| list.serialize_element(&View { node, filled }))?;
                list.end()
            }
            Node::Object(members) => {
                let mut object = serializer.serialize_map(Some(members.len()))?;
                members.iter().try_for_each(|(name, node)| object.serialize_entry(name, &View { node, filled }))?;
                object.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, Filled, Template};
    use super::*;

    #[test]
    fn each_text_is_filled_in_and_everything_else_stays_as_it_is_written() {
        let text = r#" [
          {"role": "user", "content": "Say \u0022{{ word }}\u0022"},
          {"role": "assistant", "content": [{"type": "text", "text": "{% for i in items %}{{ i }}\n{% endfor %}",
            "cache_control": {"type": "ephemeral", "n": 1.50e0}}, {"type": "text", "text": "fixed \u00e9 {x}"}]},
          {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://{{ host }}/a.png"}},
            {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "{{ word }}"}]}]},
          {"role": "assistant", "content": ""} ]"#;

        let filled = filled(text, &[("word", "a\"\\b\u{1}"), ("items", "[1, \"two\"]"), ("host", "example.invalid")]);

        let expected = concat!(
            r#"[{"role":"user","content":"Say \"a\"\\b\u0001\""},"#,
            r#"{"role":"assistant","content":[{"type":"text","text":"1\ntwo\n","#,
            r#""cache_control":{"type":"ephemeral","n":1.50e0}},{"type":"text","text":"fixed \u00e9 {x}"}]},"#,
            r#"{"role":"user","content":[{"type":"image","source":{"type":"url","url":"https://example.invalid/a.png"}},"#,
            r#"{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"{{ word }}"}]}]},"#,
            r#"{"role":"assistant","content":""}]"#
        )
        .replace("{{ word }}", r#"a\"\\b\u0001"#);
        assert_eq!(filled.as_deref(), Ok(&*expected));
    }

    #[test]
    fn columns_and_placeholders_are_collected_from_all_texts() {
        let template = Template::parse(
            r#"[{"role":"user","content":"{{ a }} {x}"},{"role":"assistant","content":"{y}"},
                {"role":"user","content":"{{ row['b c'] }}{{ a }}"}]"#,
        )
        .expect("it is good");

        assert_eq!(template.columns().collect::<Vec<_>>(), ["a", "b c"]);
        let mut written: Vec<_> = template.placeholders().iter().map(|own| own.written.as_str()).collect();
        written.sort_unstable();
        assert_eq!(written, ["{x}", "{y}"]);
    }

    #[test]
    fn lists_without_messages_are_plain_text() {
        for text in [
            r#"["{{ a }}", "b"]"#,
            r#"[{"name": "{{ a }}"}]"#,
            r#"[{{ a }}]"#,
            r#"[{"role": "user"}] is the {{ a }} so far"#,
            "[{% if a %}{{ a }}{% endif %}]",
            "[]{{ a }}",
        ] {
            let filled = filled(text, &[("a", "A")]).expect(text);

            assert!(filled.starts_with(r#"[{"role":"user","content":"#) && filled.contains('A'), "{text}: {filled}");
            assert!(Messages::read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn lists_that_the_api_would_refuse_are_refused_before_any_row() {
        for (text, message) in [
            (r#"[{"role":"user","content":"{{ a }}"},]"#, "is a list of messages, and is not JSON: trailing comma"),
            (r#"[{"role":"user","content":"{{ a["b"] }}"}]"#, "a quotation mark or a line end inside a text"),
            (r#"[{"role":"bot","content":"{{ a }}"}]"#, "message 1 has the role bot; write user, assistant"),
            (r#"[{"role":"user","content":"{{ a }}"},{"content":"b"}]"#, "message 2 has no role"),
            (r#"[{"role":"user","content":"{{ a }}"},{"role":"user"}]"#, "message 2 has no `content`"),
            (
                r#"[{"role":"user","content":" "},{"role":"user","content":"{{ a }}"}]"#,
                "message 1 has an empty content",
            ),
            (r#"[{"role":"user","content":[]},{"role":"user","content":"{{ a }}"}]"#, "message 1 has an empty content"),
            (r#"[{"role":"user","content":[{"type":"text","text":""},{"type":"text","text":"{{ a }}"}]}]"#, "empty"),
            (r#"[{"role":"user","content":["{{ a }}"]}]"#, "has a string in `content`"),
            (r#"[{"role":"user","content":[{"text":"{{ a }}"}]}]"#, "has a block without a `type`"),
            (r#"[{"role":"user","content":[{"type":"text","tekst":"{{ a }}"}]}]"#, "a text block without a text"),
            (r#"[{"role":"user","content":5}]"#, "message 1 has a number as `content`"),
            (r#"[{"role":"user","content":"{{ a }}"},7]"#, "message 2 is a number"),
            (r#"[{"role":"user","role":"user","content":"{{ a }}"}]"#, "message 1 has the name role twice"),
            (r#"[{"role":"user","content":"{{ a }}\ud800"}]"#, "half of a character"),
            (r#"[{"role":"user","content":"no column"}]"#, "names no column"),
            (
                r#"[{"role":"user","content":"a"},{"role":"user","content":"b\n{{ a|uper }}"}]"#,
                "line 2 of message 2: there is no filter uper",
            ),
            (r#"[{"role":"user","content":"a"},{"role":"user","content":"{{ a }"}]"#, "line 1 of message 2"),
        ] {
            let error = Template::parse(text).expect_err(text).to_string();

            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn random_lists_never_panic_and_are_filled_in_to_valid_json() {
        const PIECES: [&str; 24] = [
            "[",
            "]",
            "{",
            "}",
            ",",
            ":",
            "\"role\"",
            "\"content\"",
            "\"user\"",
            "\"type\"",
            "\"text\"",
            "\"{{ a }}\"",
            "\"{% if a %}\"",
            "\"é\\n\"",
            "1e9",
            "null",
            " ",
            "\"",
            "\\",
            "{\"role\":\"user\",\"content\":\"{{ a }}\"}",
            "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"{{ a }}\",\"x\":",
            "}]}",
            "[{\"role\":",
            "\"assistant\"",
        ];
        let mut random = fastrand::Rng::with_seed(31);
        for case in 0..5_000 {
            let inner: String = (0..random.usize(1..12)).map(|_| PIECES[random.usize(0..PIECES.len())]).collect();
            let text = format!("[{}{inner}]", if case % 2 == 0 { PIECES[19].to_owned() + "," } else { String::new() });

            if let Ok(filled) = filled(&text, &[("a", "\"\\")]) {
                assert!(
                    serde_json::from_str::<Vec<serde_json::Value>>(&filled).is_ok(),
                    "case {case}: {text}: {filled}"
                );
            }
            let _ = Template::of_system(&text);
        }
    }

    #[test]
    fn a_row_that_leaves_a_message_empty_is_refused_with_its_number() {
        let text = r#"[{"role":"user","content":"a"},{"role":"user","content":[{"type":"text","text":"{{ a }}"}]}]"#;
        let prefill = r#"[{"role":"user","content":"{{ b }}"},{"role":"assistant","content":"{{ a }}"}]"#;

        let error = filled(text, &[("a", " ")]).expect_err("the second message is empty");
        let broken = filled(&text.replace("{{ a }}", "{{ a.b.c }}"), &[("a", "x")]).expect_err("there is no a.b");

        assert_eq!(error.to_string(), "gives an empty message 2 when filled into the template");
        assert!(broken.to_string().contains("can't be filled into the template, line 1 of message 2"), "{broken}");
        assert!(filled(prefill, &[("a", ""), ("b", "x")]).is_ok());
    }

    #[test]
    fn all_texts_of_a_list_share_the_fuel_and_the_size_limit() {
        let text = |content: &str| {
            let message = format!(r#"{{"role":"user","content":"{content}"}}"#);
            format!("[{}]", vec![message; 8].join(","))
        };
        let long = "x".repeat(5 << 20);

        let steps = filled(&text("{% for n in range(90000) %}{{ a }}{% endfor %}"), &[("a", "a")]);
        let bytes = filled(&text("{{ a }}"), &[("a", &long)]);

        assert_eq!(steps, Err(TemplateError::TooMuch));
        assert_eq!(bytes, Err(TemplateError::TooLong));
    }

    fn filled(text: &str, columns: &[(&str, &str)]) -> Result<String, TemplateError> {
        let columns: Vec<_> = columns.iter().map(|(name, text)| (*name, Cell::Text(text))).collect();
        match Template::parse(text)?.fill(&columns)? {
            Filled::Prompt(prompt) => {
                Ok(crate::source::prompt::user_message(&crate::domain::json::string_value(&prompt)).get().to_owned())
            }
            Filled::Messages(messages) => Ok(messages.get().to_owned()),
        }
    }
}
