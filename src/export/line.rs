//! The line of a row in the journal, and the values of fields in it.

use std::borrow::Cow;

use super::Value;
use super::fields::Path;
use crate::domain::ANSWER_TOOL;
use crate::domain::json::{Cursor, DEEPEST, inside_quotes, unescaped};

/// The needed members of a line. All other members are skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needed {
    /// The message that the API sent. Every field inside the message needs this member, except for the text of the
    /// answer. The text of the answer is always read.
    pub(crate) message: bool,
    /// The member `meta`, which this program wrote.
    pub(crate) meta: bool,
}

impl Needed {
    #[cfg(test)]
    const ALL: Self = Self { message: true, meta: true };
}

/// A line of the results file or of the error log, split into its members.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line<'a> {
    /// The label of the row; `null` for a broken row.
    custom_id: &'a [u8],
    /// Whether this is the line of an answer.
    is_answer: bool,
    /// The message that the API sent, if it is needed.
    message: &'a [u8],
    /// The text blocks of the answer, in order. The texts are JSON strings with their quotes.
    texts: Vec<&'a [u8]>,
    /// The input of the tool call that is the answer; empty if there is no such call.
    input: &'a [u8],
    /// The member `meta`, which this program wrote; can be empty if no output field needs this member.
    meta: &'a [u8],
    /// The request of a failed row; empty for an answer.
    params: &'a [u8],
    /// The error of a failed row; empty for an answer.
    error: &'a [u8],
    /// The message of an answer that was not accepted; empty for all other lines.
    refused: &'a [u8],
}

impl<'a> Line<'a> {
    /// Splits a line into its members. The caller must already have checked the line. If the line is not a JSON object,
    /// the result has only the members that could be read.
    pub(crate) fn parse(line: &'a [u8], needed: Needed) -> Self {
        Self::read(line, needed).0
    }

    /// Reads the first line of a text, which should be the line of an answer. More lines can follow in the text.
    /// Reading stops when all needed members are found, before the end of the line. Returns `None` if this kind of
    /// reading fails, for example because a needed member is missing or is at the end of the line. If the result is
    /// `None`, use [`Line::parse`].
    pub(crate) fn parse_beginning(text: &'a [u8], needed: Needed) -> Option<Self> {
        if needed != Needed::default() {
            return None;
        }
        let (found, has_all) = Self::read(text, needed);
        has_all.then_some(found)
    }

    /// Returns the members, and whether reading stopped early because all needed members were found.
    fn read(line: &'a [u8], needed: Needed) -> (Self, bool) {
        let mut has_all = false;
        let mut found = Self::default();
        let mut at = Cursor::new(line);
        // The result is ignored: `None` can mean an error, or that reading stopped early on purpose.
        let _ = at.object(|at, name| {
            match name {
                b"custom_id" => found.custom_id = at.value(DEEPEST)?,
                b"result" => {
                    at.object(|at, name| match name {
                        b"message" => found.read_message(at, line, needed),
                        _ => at.skip_value(DEEPEST),
                    })?;
                    // After the member `result`, this program writes no member except `meta`.
                    has_all = found.is_answer && !needed.meta && !found.custom_id.is_empty();
                    if has_all {
                        return None;
                    }
                }
                b"meta" => found.meta = at.value(DEEPEST)?,
                b"params" => found.params = at.value(DEEPEST)?,
                b"error" => found.error = at.value(DEEPEST)?,
                b"message" => found.refused = at.value(DEEPEST)?,
                _ => at.skip_value(DEEPEST)?,
            }
            Some(())
        });
        (found, has_all)
    }

    /// Reads the message of an answer, and collects its texts.
    fn read_message(&mut self, at: &mut Cursor<'a>, line: &'a [u8], needed: Needed) -> Option<()> {
        self.is_answer = true;
        at.peek()?;
        let start = at.position();
        at.object(|at, name| match name {
            b"content" if at.peek()? == b'[' => at.array(|at| {
                if at.peek()? != b'{' {
                    return at.skip_value(DEEPEST);
                }
                let (mut is_text, mut is_tool, mut is_answer) = (false, false, false);
                let (mut found, mut input) = (None, None);
                at.object(|at, name| {
                    let value = match at.peek()? {
                        b'"' => at.checked_string()?,
                        _ => at.value(DEEPEST)?,
                    };
                    match name {
                        b"type" => (is_text, is_tool) = (value == b"\"text\"", value == b"\"tool_use\""),
                        b"text" => found = Some(value),
                        b"name" => is_answer = inside_quotes(value) == Some(ANSWER_TOOL.as_bytes()),
                        b"input" => input = Some(value),
                        _ => {}
                    }
                    Some(())
                })?;
                self.texts.extend(found.filter(|_| is_text));
                if let Some(input) = input.filter(|_| is_tool && is_answer && self.input.is_empty()) {
                    self.input = input;
                }
                Some(())
            }),
            _ => at.skip_value(DEEPEST),
        })?;
        if needed.message {
            self.message = line.get(start..at.position())?;
        }
        Some(())
    }

    /// Returns whether this is the line of an answer.
    pub(crate) fn is_answer(&self) -> bool {
        self.is_answer
    }

    /// Returns the label of the row. If the row is broken and its label could not be read, returns the place of the row
    /// in the input.
    pub(crate) fn id(&self) -> Value<'a> {
        if self.custom_id != b"null" {
            return value(self.custom_id);
        }
        if let Some(label) = member(self.error, "custom_id") {
            return value(label);
        }
        let part = |name| match member(self.error, name).map(value) {
            Some(Value::Text(text) | Value::Json(text)) => text,
            Some(Value::Missing) | None => Cow::Borrowed(""),
        };
        Value::Text(format!("{}:{}", part("source"), part("line")).into())
    }

    /// Returns the label as text, for messages.
    pub(crate) fn label(&self) -> String {
        match self.id() {
            Value::Text(label) | Value::Json(label) => label.into_owned(),
            Value::Missing => String::new(),
        }
    }

    /// Returns how many requests for the row were answered. If the row failed after at most one request, the number is
    /// not known.
    pub(crate) fn steps(&self) -> Value<'a> {
        let count = match self.list_of_steps() {
            Some(steps) => answered(steps).count,
            None if !self.is_answer => return Value::Missing,
            // The answer was copied from another line, so the row had no request.
            None if member(self.meta, "attempts") == Some(b"0") => 0,
            None => 1,
        };
        Value::Json(count.to_string().into())
    }

    /// If the row has several answers, returns the purpose of the last answered request. If the row does not have
    /// several answers, the value is missing.
    pub(crate) fn mended(&self) -> Value<'a> {
        // Even a row with only one answer has `steps` if requests for the row went to more than one provider.
        let answered = self.list_of_steps().map(answered).filter(|answered| answered.count > 1 || !answered.has_others);
        let last = answered.and_then(|answered| answered.last);
        last.and_then(|step| member(step, "purpose")).map_or(Value::Missing, value)
    }

    fn list_of_steps(&self) -> Option<&'a [u8]> {
        member(if self.is_answer { self.meta } else { self.error }, "steps")
            .filter(|steps| steps.first() == Some(&b'['))
    }

    /// Returns the value at a path that begins with a member of the line. For an answer, the path to the API's message
    /// begins with `result.message`.
    pub(crate) fn at(&self, path: &Path) -> Value<'a> {
        let (from, rest) = match path.split_first() {
            Some((first, rest)) if first == "meta" => (self.meta, rest),
            Some((first, rest)) if first == "params" => (self.params, rest),
            Some((first, rest)) if first == "error" => (self.error, rest),
            Some((first, rest)) if first == "message" => (self.refused, rest),
            Some((first, rest)) if first == "result" => (self.message, rest.get(1..).unwrap_or_default()),
            _ => return Value::Missing,
        };
        within(from, rest).map_or(Value::Missing, value)
    }

    /// Returns the text of the answer: its text blocks, one after another. If the answer has no text block but is a
    /// tool call, returns the input of this call, as the API sent it. Returns `None` for a failure.
    pub(crate) fn text(&self) -> Option<Cow<'a, str>> {
        let mut blocks = self.texts.iter().filter_map(|block| unescaped(block));
        let Some(mut text) = blocks.next() else { return self.input() };
        blocks.for_each(|block| text.to_mut().push_str(&block));
        Some(text)
    }

    /// For an answer in JSON, returns the text of the answer. If the answer is the input of a tool call, returns this
    /// input, even if the message also contains text.
    pub(crate) fn json(&self) -> Option<Cow<'a, str>> {
        self.input().or_else(|| self.text())
    }

    fn input(&self) -> Option<Cow<'a, str>> {
        (!self.input.is_empty()).then(|| String::from_utf8_lossy(self.input))
    }
}

/// Returns the value at a path; `None` if there is no such value.
pub(crate) fn within<'a>(json: &'a [u8], path: &[String]) -> Option<&'a [u8]> {
    path.iter().try_fold(json, |json, name| match json.first()? {
        b'{' => member(json, name),
        b'[' => element(json, name.parse().ok()?),
        _ => None,
    })
}

/// Returns a JSON value as a cell. The JSON value `null` is a missing cell.
pub(crate) fn value(json: &[u8]) -> Value<'_> {
    match json.first() {
        Some(b'"') => unescaped(json).map_or(Value::Missing, Value::Text),
        Some(b'n') | None => Value::Missing,
        Some(_) => Value::Json(String::from_utf8_lossy(json)),
    }
}

/// Returns the value of a member of an object. If several members have this name, the last member is used, as in most
/// parsers.
fn member<'a>(object: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut found = None;
    Cursor::new(object).object(|at, own| {
        let value = at.value(DEEPEST)?;
        let is_wanted = own == name.as_bytes() || (own.contains(&b'\\') && is_escaped(own, name));
        if is_wanted {
            found = Some(value);
        }
        Some(())
    })?;
    found
}

fn is_escaped(own: &[u8], name: &str) -> bool {
    let quoted = [b"\"", own, b"\""].concat();
    unescaped(&quoted).is_some_and(|own| own == name)
}

/// The answered requests of a row.
#[derive(Default)]
struct Answered<'a> {
    count: usize,
    /// The last request that was answered.
    last: Option<&'a [u8]>,
    /// Whether some requests in the list have no answer.
    has_others: bool,
}

/// Reads the list `steps` of a row's requests.
fn answered(steps: &[u8]) -> Answered<'_> {
    let mut answered = Answered::default();
    let _ = Cursor::new(steps).array(|at| {
        let step = at.value(DEEPEST)?;
        if member(step, "failed").is_some() {
            answered.has_others = true;
        } else {
            answered.count += 1;
            answered.last = Some(step);
        }
        Some(())
    });
    answered
}

fn element(array: &[u8], wanted: usize) -> Option<&[u8]> {
    let (mut found, mut number) = (None, 0);
    Cursor::new(array).array(|at| {
        let value = at.value(DEEPEST)?;
        if number == wanted {
            found = Some(value);
        }
        number += 1;
        Some(())
    })?;
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"custom_id":"a\"1","result":{"type":"succeeded","message":{"id":"m","content":[{"type":"text","text":"one\n"},{"type":"tool_use","text":"no"},{"text":"\u00e9 two","type":"text"}],"stop_reason":"end_turn"}},"meta":{"v":1,"cost_usd":0.10,"list":[1,{"x":null}]}}"#;
    const FAILURE: &str = r#"{"custom_id":null,"raw":"x","error":{"class":"invalid_input","source":"in.csv","line":7,"message":"is broken"}}"#;

    fn line(text: &str) -> Line<'_> {
        Line::parse(text.as_bytes(), Needed::ALL)
    }

    fn text(text: &str) -> Value<'_> {
        Value::Text(text.into())
    }

    fn path(dotted: &str) -> Path {
        dotted.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn the_blocks_of_text_are_one_text() {
        assert_eq!(line(ANSWER).text().as_deref(), Some("one\né two"));
        assert_eq!(line(FAILURE).text(), None);
        let empty = r#"{"custom_id":"a","result":{"message":{"content":[]}},"meta":{}}"#;
        assert_eq!(line(empty).text(), None);
    }

    #[test]
    fn the_answers_of_a_row_are_counted_and_the_purpose_of_the_last_request_is_found() {
        let steps = r#""steps":[{"purpose":"first"},{"purpose":"repair"},{"purpose":"more_room"}]"#;
        let several = ANSWER.replace(r#""v":1"#, &format!(r#""v":1,{steps}"#));
        let taken = ANSWER.replace(r#""v":1"#, r#""v":1,"attempts":0"#);
        let failed = FAILURE.replace(r#""error":{"#, &format!(r#""message":{{"id":"msg_9"}},"error":{{{steps},"#));
        fn told(text: &str) -> (Value<'_>, Value<'_>) {
            (line(text).steps(), line(text).mended())
        }
        let number = |text: &'static str| Value::Json(text.into());
        let moved = r#""steps":[{"purpose":"first","failed":"server"},{"purpose":"first","provider":"bedrock"}]"#;
        let moved = ANSWER.replace(r#""v":1"#, &format!(r#""v":1,{moved}"#));

        assert_eq!(told(&moved), (number("1"), Value::Missing));
        assert_eq!(told(&several), (number("3"), text("more_room")));
        assert_eq!(told(ANSWER), (number("1"), Value::Missing));
        assert_eq!(told(&taken), (number("0"), Value::Missing));
        assert_eq!(told(&failed), (number("3"), text("more_room")));
        assert_eq!(told(FAILURE), (Value::Missing, Value::Missing));
        assert_eq!(line(&failed).at(&path("message.id")), text("msg_9"));
        assert!(line(&failed).text().is_none() && !line(&failed).is_answer());
    }

    #[test]
    fn the_input_of_the_tool_that_takes_the_answer_is_the_answer() {
        let of = |blocks: &str| {
            format!(r#"{{"custom_id":"a","result":{{"message":{{"content":[{blocks}]}}}},"meta":{{}}}}"#)
        };
        let call = r#"{"input":{"a": [1]},"type":"tool_use","id":"t","name":"structured_answer"}"#;
        let other = r#"{"type":"tool_use","id":"t","name":"search","input":{"q":"x"}}"#;
        let said = r#"{"type":"text","text":"Here it is."}"#;
        let [alone, both, others] = [of(call), of(&format!("{said},{other},{call}")), of(other)];

        assert_eq!(
            (line(&alone).text().as_deref(), line(&alone).json().as_deref()),
            (Some("{\"a\": [1]}"), Some("{\"a\": [1]}"))
        );
        assert_eq!(
            (line(&both).text().as_deref(), line(&both).json().as_deref()),
            (Some("Here it is."), Some("{\"a\": [1]}"))
        );
        assert_eq!((line(&others).text(), line(&others).json()), (None, None));
    }

    #[test]
    fn only_needed_members_are_read() {
        let line = Line::parse(ANSWER.as_bytes(), Needed::default());

        assert_eq!((line.id(), line.text().as_deref()), (text("a\"1"), Some("one\né two")));
        assert!(line.is_answer() && line.message.is_empty() && line.meta.is_empty());
        let damaged = Line::parse(&ANSWER.as_bytes()[..90], Needed::ALL);
        assert_eq!((damaged.id(), damaged.text()), (text("a\"1"), None));
    }

    #[test]
    fn a_path_leads_through_objects_and_arrays() {
        let line = line(ANSWER);

        assert_eq!(line.at(&path("meta.cost_usd")), Value::Json("0.10".into()));
        assert_eq!(line.at(&path("meta.list.0")), Value::Json("1".into()));
        assert_eq!(line.at(&path("meta.list.1.x")), Value::Missing);
        assert_eq!(line.at(&path("result.message.stop_reason")), text("end_turn"));
        for missing in ["meta.none", "meta.list.2", "meta.v.x", "error.class", "nope.x"] {
            assert_eq!(line.at(&path(missing)), Value::Missing, "{missing}");
        }
    }

    #[test]
    fn the_label_of_a_broken_row_is_its_place() {
        assert_eq!(line(ANSWER).id(), text("a\"1"));
        assert_eq!(line(FAILURE).id(), text("in.csv:7"));
        let named = FAILURE.replace(r#""source""#, r#""custom_id":"b","source""#);
        assert_eq!(line(&named).id(), text("b"));
    }
}
