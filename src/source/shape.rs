//! The shapes of JSON rows. The shape decides which members are sent and which are only kept.
//!
//! The shapes are:
//! - `{"custom_id", "params": {…}}`: the shape of Message Batches. Entries of the error log have this shape too, with
//!   `error` as one more member. If the row had an answer that was not accepted, the entry also has this answer as
//!   `message`: see [`has_answer`].
//! - `{"custom_id", "method", "url", "body"}`: the shape of OpenAI's batch files, which [`super::openai`] converts.
//! - `{"prompt": …}` and `{"messages": […]}`: the short shapes. Every other member that is a request field is a
//!   parameter. A parameter with the value null is treated as missing. All remaining members are kept with the row and
//!   not sent.
//!
//! With a template, every member is a column, and the prompt comes from the template. A member that is a request field
//! is also a parameter. The members `prompt`, `messages` and `params` are exceptions: they are only columns.
//!
//! Two members of a row, or of its `params`, must not have the same name. If a name is repeated, some parsers use its
//! first value, and other parsers use its last value. Such a row gets an error entry, because a paid answer to the
//! wrong value would be worse. Names at deeper levels are not checked here.

use serde_json::value::RawValue;

use super::fields::{self, Warnings, Within};
use super::json::{self, Member, Nested, Object};
use super::log_names;
use super::names::{LONGEST_NAME, found_list, is_misspelt, name_list, short};
use super::raw::{Fault, Parts};
use super::template::{Cell, Template};
use super::{openai, prompt};
use crate::domain::json::is_filled_array;

/// The longest label, in bytes, as the input contains it. The Message Batches API allows 64 characters. A longer value
/// is certainly not a label but other data, and every line about the row would repeat this data.
pub(super) const MAX_LABEL_BYTES: usize = 64 << 10;

/// Returns the fault of a label that is too long.
pub(super) fn label_too_long(name: &str) -> Fault {
    let most = MAX_LABEL_BYTES >> 10;
    Fault::new(format!("has a {} of more than {most} KiB, too long for an id; choose another with --id", short(name)))
}

/// The member of a row that contains the row's label.
#[derive(Debug)]
pub(super) struct Label {
    /// The member that `--id` names. Without `--id`, the label is `custom_id`, or `id` if there is no `custom_id`.
    pub asked: Option<String>,
}

impl Label {
    fn member(&self, object: &Object<'_>) -> Option<&str> {
        match &self.asked {
            Some(name) => Some(name),
            None => ["custom_id", "id"].into_iter().find(|name| object.has(name)),
        }
    }

    fn is(&self, name: &str, object: &Object<'_>) -> bool {
        // The name is compared first, because it would take too long to search the whole row for each member.
        let may_be = match &self.asked {
            Some(asked) => asked == name,
            None => matches!(name, "custom_id" | "id"),
        };
        may_be && self.member(object) == Some(name)
    }

    /// Returns the label; `None` if the row has none.
    pub(super) fn of(&self, object: &Object<'_>) -> Result<Option<String>, Fault> {
        let Some(name) = self.member(object) else {
            return Ok(None);
        };
        let Some(value) = object.get(name) else {
            let found = found_list(object.members.iter().map(|(name, _)| &**name), &[name]);
            return Err(Fault::new(format!("has no member {}, which --id asks for (found: {found})", short(name))));
        };
        match json::kind(value.get()) {
            "null" if self.asked.is_none() => Ok(None),
            _ if value.get().len() > MAX_LABEL_BYTES => Err(label_too_long(name)),
            "a number" => Ok(Some(value.get().to_owned())),
            "a string" if value.get() == r#""""# => {
                Err(Fault::new(format!("has an empty {}; fill it or leave it out", short(name))))
            }
            "a string" => Ok(json::as_string(value)),
            kind => Err(Fault::new(format!("has {kind} as {}; it must be a string or a number", short(name)))),
        }
    }
}

/// The JSON object of a line, and the data that is needed to process the object's members.
pub(super) struct Line<'r, 'a> {
    /// The text of the whole line.
    pub text: &'a str,
    /// The object in the line.
    pub object: &'r mut Object<'a>,
    /// The member of the row that contains the row's label.
    pub label: &'r Label,
    /// The warnings about names of members.
    pub warnings: &'r mut Warnings,
    /// The number of the line, counted from 1.
    pub line: u64,
}

impl Line<'_, '_> {
    /// Fills a template with the row.
    pub(super) fn templated(&mut self, template: &Template, system: Option<&Template>) -> Result<Parts, Fault> {
        let columns: Vec<(&str, Cell<'_>)> =
            self.object.members.iter().map(|(name, value)| (&**name, Cell::Json(value.get()))).collect();
        let messages = prompt::templated_message(template, &columns)?;

        let mut parts = Parts { custom_id: self.label.of(self.object)?, ..Parts::default() };
        for (name, value) in &self.object.members {
            let place = match &**name {
                "prompt" | "messages" | "params" => Place::Extra,
                "message" if has_answer(self.object) => Place::Nowhere,
                _ => Place::of(name, value),
            };
            put(name, value, place, self.label, self.object, &mut parts);
        }
        parts.params.0.push(("messages".into(), messages));
        prompt::set_templated_system(&mut parts.params, system, &columns)?;
        Ok(parts)
    }

    /// Reads the row as one of the shapes.
    pub(super) fn shaped(&mut self) -> Result<Parts, Fault> {
        let custom_id = self.label.of(self.object)?;
        let (prompt, messages) = (self.object.get("prompt"), self.object.get("messages"));
        let parts = match (self.object.params.take(), prompt, messages) {
            (Some(_), Some(_), _) => return Err(Fault::new("has both `params` and `prompt`; keep one")),
            (Some(_), _, Some(_)) => return Err(Fault::new("has both `params` and `messages`; keep one")),
            (Some(Nested::Other(kind)), ..) => {
                return Err(Fault::new(format!("has {kind} as `params`; it must be an object")));
            }
            (Some(Nested::Object(params)), ..) => self.canonical(params)?,
            (None, Some(_), Some(_)) => return Err(Fault::new("has both `prompt` and `messages`; keep one")),
            (None, Some(prompt), None) => self.short("prompt", prompt::prompt_messages(self.text, prompt)?),
            (None, None, Some(messages)) => {
                prompt::check_messages(self.text, messages)?;
                self.short("messages", messages.to_owned())
            }
            (None, None, None) if openai::is_shape(self.object) => self.foreign()?,
            (None, None, None) => return Err(no_prompt(self.object)),
        };
        Ok(Parts { custom_id, ..parts })
    }

    fn canonical(&mut self, params: Vec<Member<'_>>) -> Result<Parts, Fault> {
        match params.iter().find(|(name, _)| name == "messages") {
            Some((_, messages)) => prompt::check_messages(self.text, messages)?,
            None if params.iter().any(|(name, _)| name == "prompt") => {
                return Err(Fault::new(
                    "has `prompt` in `params`, where the API takes `messages`; move it out of `params`",
                ));
            }
            None => return Err(Fault::new("has no `messages` in `params`")),
        }
        params.iter().for_each(|(name, _)| self.warnings.check(name, Within::Params, self.line));

        let mut parts = Parts { params: json::owned(params), ..Parts::default() };
        let (is_entry, has_answer) = (is_entry(self.object), has_answer(self.object));
        for (name, value) in &self.object.members {
            if has_answer && name == "message" {
                continue;
            }
            if name == "error" {
                parts.error = (value.get() != "null").then(|| (*value).to_owned());
            } else if !self.label.is(name, self.object) {
                // The names in an error-log entry were checked when the row was first read. After this check, the error
                // log put an underscore in front of some names.
                if !is_entry {
                    self.warnings.check(name, Within::OutsideParams, self.line);
                }
                parts.extra.0.push((name.as_ref().into(), (*value).to_owned()));
            }
        }
        if let Some(error) = parts.error.as_deref().filter(|_| is_entry) {
            log_names::restore(&mut parts.extra, error);
        }
        Ok(parts)
    }

    fn foreign(&mut self) -> Result<Parts, Fault> {
        let (params, mut extra) = openai::read(self.text, self.object)?;
        match params.get("messages") {
            Some(messages) if is_filled_array(messages.as_bytes()) => {}
            _ => return Err(Fault::new("has no messages in `body`: `messages` must be an array with something in it")),
        }
        for (name, value) in &self.object.members {
            if !openai::MEMBERS.contains(&&**name) && !self.label.is(name, self.object) {
                extra.set(name, (*value).to_owned());
            }
        }
        Ok(Parts { params, extra, ..Parts::default() })
    }

    /// Reads a short row, whose prompt is in the member `prompt_name`.
    fn short(&mut self, prompt_name: &str, messages: Box<RawValue>) -> Parts {
        let mut parts = Parts::default();
        let mut messages = Some(messages);
        for (name, value) in &self.object.members {
            if let Some(messages) = messages.take_if(|_| name == prompt_name) {
                parts.params.0.push(("messages".into(), messages));
                continue;
            }
            self.warnings.check(name, Within::Row, self.line);
            let place = Place::of(name, value);
            if name == "metadata" && place == Place::Extra {
                let line = self.line;
                self.warnings.once("metadata", || {
                    format!(
                        "`metadata` is not sent if it contains more than `user_id`, because the API accepts only \
                         that; it is kept with the row (first on line {line})"
                    )
                });
            }
            put(name, value, place, self.label, self.object, &mut parts);
        }
        parts
    }
}

/// Where a member of a short row goes: to the parameters, to the kept members, or nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Params,
    Extra,
    Nowhere,
}

impl Place {
    fn of(name: &str, value: &RawValue) -> Self {
        match (fields::is_request_field(name), name) {
            (false, _) => Self::Extra,
            (true, _) if value.get() == "null" => Self::Nowhere,
            // Rows often have their own notes in `metadata`, but the API accepts only `user_id` in this member.
            (true, "metadata") if !is_api_metadata(value) => Self::Extra,
            (true, _) => Self::Params,
        }
    }
}

/// Returns whether a row is an entry of the error log.
fn is_entry(object: &Object<'_>) -> bool {
    object.get("error").is_some_and(|error| error.get().starts_with('{'))
}

/// Returns whether a row is an error-log entry whose `message` is the answer that was not accepted. Such a `message`
/// does not belong to the row.
///
/// If a row has a `message` of its own, the error log gives this member another name. Earlier versions did not rename a
/// row's own `message` in the log. So this function also checks the value of `message`. The API's message is an object
/// whose `type` is `message`.
fn has_answer(object: &Object<'_>) -> bool {
    let Some(message) = object.get("message") else { return false };
    let kind = || json::members(message)?.into_iter().find_map(|(name, kind)| (name == "type").then_some(kind));
    is_entry(object) && kind().and_then(json::as_string).as_deref() == Some("message")
}

fn put(name: &str, value: &RawValue, place: Place, label: &Label, object: &Object<'_>, parts: &mut Parts) {
    if label.is(name, object) {
        return;
    }
    match place {
        Place::Params => parts.params.0.push((name.into(), value.to_owned())),
        Place::Extra => parts.extra.0.push((name.into(), value.to_owned())),
        Place::Nowhere => {}
    }
}

fn is_api_metadata(value: &RawValue) -> bool {
    json::members(value).is_some_and(|members| members.iter().all(|(name, _)| name == "user_id"))
}

fn no_prompt(object: &Object<'_>) -> Fault {
    if object.has("result") {
        return Fault::new("is a line of a results file, not a row; give the input or the errors file");
    }
    if object.get("requests").is_some_and(|requests| is_filled_array(requests.get().as_bytes())) {
        return Fault::new(
            "has a list of requests, not one row; write each request on a line of its own, for example with: \
             jq -c '.requests[]' FILE",
        );
    }
    let names = || object.members.iter().map(|(name, _)| &**name);
    let found = if object.members.is_empty() {
        "is an empty object".to_owned()
    } else {
        format!("has no prompt, only {}", name_list(names()))
    };
    let hint = misspelt_prompt(names()).or_else(|| template_hint(object)).unwrap_or_default();
    Fault::new(format!("{found}; a row needs `prompt`, `messages` or `params`{hint}"))
}

fn misspelt_prompt<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<String> {
    names.find_map(|name| {
        let meant = ["prompt", "messages", "params"].into_iter().find(|of| is_misspelt(name, of))?;
        Some(format!("; is `{}` meant as `{meant}`?", short(name)))
    })
}

fn template_hint(object: &Object<'_>) -> Option<String> {
    let is_name = |name: &str| !matches!(name, "custom_id" | "id") && name.len() <= LONGEST_NAME;
    let is_text = |name: &str, value: &RawValue| is_name(name) && value.get().starts_with('"');
    let (name, _) = object.members.iter().find(|(name, value)| is_text(name, value))?;
    Some(format!(", or a template: -t '{{{{{}}}}}'", Template::expression(name)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{broken, items, reader, row, shown, with_template};
    use super::super::{Item, Options};

    #[test]
    fn the_canonical_shape_passes_byte_for_byte() {
        let line = r#"{"custom_id":"a","params":{"max_tokens":1.0e1,"messages":[ {"role":"user","content":"\u00e9"} ],"new_field":null}}"#;

        let row = row("p.jsonl", line, &Options::default());

        assert_eq!(row.custom_id.as_deref(), Some("a"));
        let expected = r#"{"max_tokens":1.0e1,"messages":[ {"role":"user","content":"\u00e9"} ],"new_field":null}"#;
        assert_eq!(shown(&row.params), expected);
        assert!(row.extra.0.is_empty() && row.error.is_none());
    }

    #[test]
    fn an_error_log_entry_is_a_row_with_its_error() {
        let line = r#"{"custom_id":"a","params":{"messages":[1]},"error":{"class":"server", "status":500},"note":"n"}"#;

        let row = row("p.errors.jsonl", line, &Options::default());

        assert_eq!(
            row.error.map(|error| error.get().to_owned()).as_deref(),
            Some(r#"{"class":"server", "status":500}"#)
        );
        assert_eq!(shown(&row.extra), r#"{"note":"n"}"#);
    }

    #[test]
    fn the_answer_in_an_entry_of_the_error_log_is_not_part_of_the_row() {
        let answer = r#"{"id":"msg_1","type":"message","content":[{"type":"text","text":"no"}]}"#;
        let line = |message: &str, error: &str| {
            format!(
                r#"{{"custom_id":"a","params":{{"messages":[1]}},"_message":7,"message":{message},"error":{error}}}"#
            )
        };
        let extra = |line: String, options: &Options| shown(&row("p.errors.jsonl", &line, options).extra);
        let (plain, templated) = (Options::default(), with_template("{{custom_id}}"));

        assert_eq!(extra(line(answer, r#"{"class":"truncated"}"#), &plain), r#"{"_message":7}"#);
        // In a row that is not an error-log entry, and in entries of earlier versions, the member `message` belongs to
        // the row.
        assert_eq!(extra(line(answer, "null"), &plain), format!(r#"{{"_message":7,"message":{answer}}}"#));
        for own in [r#""hello""#, r#"{"type":"note"}"#, "{}", r#"{"type":7}"#] {
            let kept = extra(line(own, r#"{"class":"server"}"#), &plain);
            assert_eq!(kept, format!(r#"{{"_message":7,"message":{own}}}"#));
        }
        let kept = extra(line(answer, r#"{"class":"truncated"}"#), &templated);
        assert!(kept.contains(r#""_message":7"#) && !kept.contains("msg_1"), "{kept}");
    }

    #[test]
    fn the_columns_of_an_entry_have_the_names_that_they_had_in_the_row() {
        let extra = |renamed: &str| {
            let error = format!(r#"{{"class":"server"{renamed}}}"#);
            let line = format!(
                r#"{{"custom_id":"a","params":{{"messages":[1]}},"_body":"b","_error":[1.50],"_url":"u","error":{error}}}"#
            );
            shown(&row("p.errors.jsonl", &line, &Options::default()).extra)
        };

        assert_eq!(extra(r#","renamed":["_body","_error"]"#), r#"{"body":"b","error":[1.50],"_url":"u"}"#);
        for renamed in ["", r#","renamed":[]"#, r#","renamed":7"#] {
            assert_eq!(extra(renamed), r#"{"_body":"b","_error":[1.50],"_url":"u"}"#);
        }
    }

    #[test]
    fn an_entry_for_a_broken_row_is_not_a_row() {
        let entry =
            r#"{"custom_id":null,"raw":"{\"prompt\":","error":{"class":"invalid_input","message":"is not JSON"}}"#;
        let row = r#"{"raw":"of mine","error":{},"prompt":"x"}"#;

        let found = items("p.errors.jsonl", format!("{entry}\n{row}\n"), &Options::default());

        let [Item::Row(row)] = &found[..] else { panic!("{found:?}") };
        assert_eq!(shown(&row.extra), r#"{"raw":"of mine","error":{}}"#);
    }

    #[test]
    fn the_short_shapes_separate_request_fields_from_other_members() {
        let line =
            r#"{"id":7,"topic":{"a":1},"system":"S","prompt":"a\u0062","max_tokens":20,"model":null,"thread":"t"}"#;

        let row = row("p.jsonl", line, &Options::default());

        assert_eq!(row.custom_id.as_deref(), Some("7"));
        let expected =
            r#"{"system":"S","messages":[{"role":"user","content":"a\u0062"}],"max_tokens":20,"thread":"t"}"#;
        assert_eq!(shown(&row.params), expected);
        assert_eq!(shown(&row.extra), r#"{"topic":{"a":1}}"#);
    }

    #[test]
    fn messages_and_content_blocks_pass_as_they_are() {
        let messages = r#"[{"role":"system","content":"S"},{"role":"user","content":"Q"}]"#;

        let by_messages = row("p.jsonl", &format!(r#"{{"messages":{messages},"top_k":1}}"#), &Options::default());
        let by_blocks = row("p.jsonl", r#"{"prompt":[{"type":"text","text":"x"}]}"#, &Options::default());

        assert_eq!(shown(&by_messages.params), format!(r#"{{"messages":{messages},"top_k":1}}"#));
        let expected = r#"{"messages":[{"role":"user","content":[{"type":"text","text":"x"}]}]}"#;
        assert_eq!(shown(&by_blocks.params), expected);
    }

    #[test]
    fn a_bare_string_is_a_prompt() {
        let row = row("p.jsonl", r#"  "say \"hi\""  "#, &Options::default());

        assert_eq!(shown(&row.params), r#"{"messages":[{"role":"user","content":"say \"hi\""}]}"#);
    }

    #[test]
    fn a_row_of_an_openai_batch_is_mapped() {
        let line = r#"{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"messages":[{"role":"system","content":"S"},{"role":"user","content":"Q"}],"max_tokens":9},"team":"x"}"#;

        let row = row("p.jsonl", line, &Options::default());

        let expected = r#"{"system":"S","messages":[{"role":"user","content":"Q"}],"max_tokens":9}"#;
        assert_eq!((row.custom_id.as_deref(), &*shown(&row.params)), (Some("a"), expected));
        assert_eq!(shown(&row.extra), r#"{"team":"x"}"#);
    }

    #[test]
    fn a_member_called_body_is_data_in_a_short_row() {
        let row = row("p.jsonl", r#"{"prompt":"x","body":{"a":1}}"#, &Options::default());

        assert_eq!(shown(&row.extra), r#"{"body":{"a":1}}"#);
    }

    #[test]
    fn labels_are_strings_or_numbers() {
        let label = |members: &str| row("p.jsonl", &format!(r#"{{{members},"prompt":"x"}}"#), &Options::default());
        let refused = |members: &str| broken("p.jsonl", format!(r#"{{{members},"prompt":"x"}}"#), &Options::default());

        assert_eq!(label(r#""id":"a\u0062/..\n""#).custom_id.as_deref(), Some("ab/..\n"));
        assert_eq!(
            label(r#""custom_id":12345678901234567890123"#).custom_id.as_deref(),
            Some("12345678901234567890123")
        );
        assert_eq!(label(r#""custom_id":null"#).custom_id, None);
        let both = label(r#""id":5,"custom_id":"c""#);
        assert_eq!((both.custom_id.as_deref(), &*shown(&both.extra)), (Some("c"), r#"{"id":5}"#));
        assert!(refused(r#""id":[1]"#).message.contains("an array as id"));
        assert!(refused(r#""custom_id":"""#).message.contains("empty custom_id"));
    }

    #[test]
    fn the_id_option_says_which_member_is_the_label() {
        let options = Options { id_column: Some("ticket".to_owned()), ..Options::default() };

        let found = row("p.jsonl", r#"{"ticket":9,"id":"x","prompt":"p"}"#, &options);

        assert_eq!((found.custom_id.as_deref(), &*shown(&found.extra)), (Some("9"), r#"{"id":"x"}"#));
        assert!(broken("p.jsonl", r#"{"prompt":"p"}"#, &options).message.contains("--id"));
        assert!(broken("p.jsonl", r#""p""#, &options).message.contains("--id"));
    }

    #[test]
    fn rows_without_one_clear_prompt_are_broken_and_say_why() {
        let cases = [
            (r#"{"id":1}"#, "has no prompt, only id"),
            ("{}", "is an empty object; a row needs"),
            (r#"{"promt":"x"}"#, "is `promt` meant as `prompt`?"),
            (r#"{"message":"x"}"#, "is `message` meant as `messages`?"),
            (r#"{"id":1,"first text":"x"}"#, r#"-t '{{row["first text"]}}'"#),
            (r#"{"custom_id":"a","result":{},"meta":{}}"#, "results file"),
            (r#"{"prompt":"x","messages":[1]}"#, "both `prompt` and `messages`"),
            (r#"{"prompt":"x","params":{}}"#, "both `params` and `prompt`"),
            (r#"{"messages":[1],"params":{}}"#, "both `params` and `messages`"),
            (r#"{"params":[{}]}"#, "an array as `params`"),
            (r#"{"params":1.5}"#, "a number as `params`"),
            (r#"{"params":null}"#, "null as `params`"),
            (r#"{"params":{"model":"m"}}"#, "no `messages` in `params`"),
            (r#"{"params":{"prompt":"m"}}"#, "move it out of `params`"),
            (r#"{"params":{"messages":[]}}"#, "an empty array as `messages`"),
            (r#"{"messages":"x"}"#, "a string as `messages`"),
            (r#"{"prompt":""}"#, "empty `prompt`"),
            (r#"{"prompt":" \n\u00a0"}"#, "empty `prompt`"),
            (r#"{"prompt":[]}"#, "empty `prompt`"),
            (r#"{"prompt":["a"]}"#, "a string in `prompt`"),
            (r#"{"prompt":5}"#, "a number as `prompt`"),
            (r#"{"prompt":null}"#, "null as `prompt`"),
            (r#""""#, "empty prompt"),
            (r#"" \t""#, "empty prompt"),
            (r#"{"url":"/v1/messages","body":{"model":"m"}}"#, "no messages in `body`"),
        ];

        for (line, message) in cases {
            let row = broken("p.jsonl", line, &Options::default());
            assert!(row.message.contains(message), "{line}: {}", row.message);
        }
    }

    #[test]
    fn faults_in_a_value_name_its_column() {
        let column = |line: &str| broken("p.jsonl", line, &Options::default()).column;

        assert_eq!(column(r#"{"prompt": 5}"#), Some(12));
        assert_eq!(column(r#"{"prompt":[{}, "a"]}"#), Some(16));
        assert_eq!(column(r#"{"params":{"messages": []}}"#), Some(24));
    }

    #[test]
    fn a_broken_row_keeps_its_label() {
        let by_shape = broken("p.jsonl", r#"{"id":3,"prompt":""}"#, &Options::default());
        let by_syntax = broken("p.jsonl", r#"{"custom_id":"k","prompt":"#, &Options::default());

        assert_eq!((by_shape.custom_id.as_deref(), by_syntax.custom_id.as_deref()), (Some("3"), Some("k")));
    }

    #[test]
    fn metadata_that_the_api_does_not_accept_is_kept_with_the_row() {
        let own = row("p.jsonl", r#"{"prompt":"x","metadata":{"ticket":5}}"#, &Options::default());
        let api = row("p.jsonl", r#"{"prompt":"x","metadata":{"user_id":"u"}}"#, &Options::default());

        assert_eq!(shown(&own.extra), r#"{"metadata":{"ticket":5}}"#);
        assert_eq!(api.params.get("metadata"), Some(r#"{"user_id":"u"}"#));
    }

    #[test]
    fn there_is_one_warning_per_misspelt_field_with_the_input_and_the_line() {
        let text = "{\"prompt\":\"a\"}\n{\"prompt\":\"b\",\"max_token\":5}\n{\"prompt\":\"c\",\"max_token\":5}\n\
            {\"params\":{\"messages\":[1],\"temprature\":0},\"model\":\"m\"}\n{\"prompt\":\"x\",\"metadata\":{\"a\":1}}\n";
        let mut reader = reader("p.jsonl", text, &Options::default()).expect("sound");

        assert_eq!(reader.by_ref().filter(Result::is_ok).count(), 5);

        let warnings = reader.take_warnings();
        let named =
            ["p.jsonl: `max_token`", "`temprature` in `params`", "`model` is outside of", "`metadata` is not sent"];
        assert_eq!(warnings.len(), named.len(), "{warnings:?}");
        for (warning, named) in warnings.iter().zip(named) {
            assert!(warning.contains(named), "{warning}");
        }
        assert!(warnings[0].contains("line 2"), "{warnings:?}");
    }

    #[test]
    fn a_template_can_use_any_member_and_request_fields_stay_parameters() {
        let options = with_template("{{title}}: {{prompt}} {{temperature}}");

        let row = row("p.jsonl", r#"{"id":1,"title":"T","prompt":"P","temperature":0.5,"messages":[]}"#, &options);

        assert_eq!(shown(&row.params), r#"{"temperature":0.5,"messages":[{"role":"user","content":"T: P 0.5"}]}"#);
        assert_eq!(shown(&row.extra), r#"{"title":"T","prompt":"P","messages":[]}"#);
        assert_eq!(row.custom_id.as_deref(), Some("1"));
    }

    #[test]
    fn a_row_without_a_member_that_the_template_names_is_broken() {
        let options = with_template("{{title}}");

        let found = items("p.jsonl", "{\"titel\":\"a\"}\n{\"title\":\"b\"}\n{\"title\":\" \"}\n\"bare\"\n", &options);

        let [Item::Broken(missing), Item::Row(_), Item::Broken(blank), Item::Broken(bare)] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!(missing.message, "has no title, which the template uses (found: titel; did you mean titel?)");
        assert!(blank.message.contains("empty prompt"), "{}", blank.message);
        assert!(bare.message.contains("found: line, prompt"), "{}", bare.message);
    }

    #[test]
    fn a_request_over_the_limit_of_the_api_is_broken() {
        let line = format!(r#"{{"id":"big","prompt":"{}"}}"#, "x".repeat(33 << 20));

        let row = broken("p.jsonl", line, &Options::default());

        assert!(row.message.contains("above the API's 32 MB"), "{}", row.message);
        assert_eq!((row.custom_id.as_deref(), row.raw.len()), (Some("big"), 4096));
    }
}
