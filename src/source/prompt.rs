//! Prompts: the `messages` of a request, and the checks of the request's content and size.
//!
//! This module rejects requests that the API would certainly reject: requests without a prompt, with an empty prompt,
//! or with a body over the limit. All other checks are left to the API.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::json::{self, kind, place_in};
use super::raw::Fault;
use super::template::{Cell, Filled, Template};
use crate::domain::json::is_filled_array;
use crate::domain::{MAX_BODY_BYTES, Params, too_large_words};

/// Returns a value for `messages`: one user message with this content. `content` is a JSON string or an array of
/// content blocks.
pub(super) fn user_message(content: &RawValue) -> Box<RawValue> {
    #[derive(Serialize)]
    struct Message<'a> {
        role: &'static str,
        content: &'a RawValue,
    }
    // The message is serialized from a struct, because JSON text that is joined from strings would have to be parsed
    // for each row.
    to_raw_value(&[Message { role: "user", content }]).expect("values can always be written to memory")
}

/// Returns one user message with this text. Returns a fault if the text is blank.
pub(super) fn text_message(text: &str) -> Result<Box<RawValue>, Fault> {
    if text.trim().is_empty() {
        return Err(Fault::new("has an empty prompt"));
    }
    Ok(user_message(&json::string_value(text)))
}

/// Fills a template with a row, and returns the resulting messages.
pub(super) fn templated_message(template: &Template, columns: &[(&str, Cell<'_>)]) -> Result<Box<RawValue>, Fault> {
    match template.fill(columns).map_err(|error| Fault::new(error.to_string()))? {
        Filled::Prompt(prompt) => Ok(user_message(&json::string_value(&prompt))),
        Filled::Messages(messages) => Ok(messages),
    }
}

/// Fills a template with a row and sets `system` to the result. If the row has its own `system`, nothing is changed.
pub(super) fn set_templated_system(
    params: &mut Params,
    system: Option<&Template>,
    columns: &[(&str, Cell<'_>)],
) -> Result<(), Fault> {
    let Some(system) = system.filter(|_| params.get("system").is_none()) else { return Ok(()) };
    let value = system.system(columns).map_err(|error| Fault::new(error.to_string()))?;
    params.0.insert(0, ("system".into(), value));
    Ok(())
}

/// Returns the messages for a `prompt` member of the line `text`. The member must be a string or a list of content
/// blocks.
pub(super) fn prompt_messages(text: &str, prompt: &RawValue) -> Result<Box<RawValue>, Fault> {
    let at = place_in(text, prompt.get());
    let json = prompt.get();
    match kind(json) {
        "a string" if is_blank_string(json) => Err(Fault::at(at, "has an empty `prompt`")),
        "a string" => Ok(user_message(prompt)),
        "an array" if !is_filled_array(json.as_bytes()) => Err(Fault::at(at, "has an empty `prompt`")),
        "an array" => {
            let blocks: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
            match blocks.iter().find(|block| !block.get().starts_with('{')) {
                Some(block) => {
                    let (at, kind) = (place_in(text, block.get()), kind(block.get()));
                    Err(Fault::at(
                        at,
                        format!("has {kind} in `prompt`; a list there holds content blocks, which are objects"),
                    ))
                }
                None => Ok(user_message(prompt)),
            }
        }
        kind => Err(Fault::at(at, format!("has {kind} as `prompt`; it must be a string or a list of content blocks"))),
    }
}

/// Rejects a row whose `messages` contains no messages. `text` is the whole line.
pub(super) fn check_messages(text: &str, messages: &RawValue) -> Result<(), Fault> {
    if is_filled_array(messages.get().as_bytes()) {
        return Ok(());
    }
    let at = place_in(text, messages.get());
    let found = match kind(messages.get()) {
        "an array" => "an empty array",
        kind => kind,
    };
    Err(Fault::at(at, format!("has {found} as `messages`; it must be an array with something in it")))
}

/// Rejects parameters that are too large for any request.
pub(super) fn check_size(params: &Params) -> Result<(), Fault> {
    let bytes: usize = 2 + params.0.iter().map(|(name, value)| name.len() + value.get().len() + 4).sum::<usize>();
    if bytes > MAX_BODY_BYTES {
        return Err(Fault::new(format!("is a request of {}", too_large_words(bytes))));
    }
    Ok(())
}

/// Returns whether a JSON string contains only white space.
fn is_blank_string(json: &str) -> bool {
    match json.as_bytes().get(1) {
        Some(b'"' | b'\\' | b'\t' | b' ' | 0x80..) => {
            serde_json::from_str::<Cow<'_, str>>(json).is_ok_and(|text| text.trim().is_empty())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{broken, items, reader, row, shown, with_template};
    use super::super::{InputFormat, Item, Options};
    use super::*;

    /// Returns options with a system prompt, and with a template if one is given.
    fn with_system(template: Option<&str>, system: &str) -> Options {
        let system = Template::of_system(system).expect("the test writes valid templates");
        let options = template.map(with_template).unwrap_or_default();
        Options { system, ..options }
    }

    #[test]
    fn a_system_prompt_is_filled_in_from_the_row_that_the_template_sees() {
        let csv = "id,lang,body\n1,Thai,Hi\n";
        let request = r#"{"system":"Answer in Thai.","messages":[{"role":"user","content":"Hi"}]}"#;
        let by_name = "id,prompt,lang\n1,Hi,Thai\n";
        let json = "{\"id\":1,\"lang\":\"Thai\",\"body\":\"Hi\"}\n";

        for (name, text, template) in
            [("t.csv", csv, Some("{{body}}")), ("t.csv", by_name, None), ("t.jsonl", json, Some("{{body}}"))]
        {
            let row = row(name, text, &with_system(template, "Answer in {{ lang }}."));

            assert_eq!(shown(&row.params), request, "{text}");
        }
        for (name, text) in [("t.txt", "Hi\n"), ("t.jsonl", "\"Hi\"\n")] {
            let options =
                Options { format: InputFormat::Lines, ..with_system(Some("{{prompt}}"), "About {{ prompt }}") };
            let options = if name == "t.txt" { options } else { Options { format: InputFormat::Auto, ..options } };

            assert_eq!(row(name, text, &options).params.get("system"), Some("\"About Hi\""), "{text}");
        }
    }

    #[test]
    fn the_texts_of_system_blocks_are_filled_in_and_the_other_parts_keep_their_bytes() {
        let blocks = |text: &str| Template::of_system_blocks(text);
        let with = |text: &str| Options { system: blocks(text).expect("valid"), ..with_template("{{body}}") };
        let csv = "id,lang,body\n1,Thai,Hi\n";
        let text = r#"[{"type":"text","text":"a \u00e9 {","cache_control":{"n":1.50}},
            {"type":"text","text":"In {{ lang }}."}]"#;

        let filled = row("t.csv", csv, &with(text));
        let empty =
            broken("t.csv", csv, &with(r#"[{"type":"text","text":"{% if lang == 'x' %}{{ lang }}{% endif %}"}]"#));

        let expected =
            r#"[{"type":"text","text":"a \u00e9 {","cache_control":{"n":1.50}},{"type":"text","text":"In Thai."}]"#;
        assert_eq!(filled.params.get("system"), Some(expected));
        assert_eq!(empty.message, "gives an empty block 1 of the system prompt when filled into --system");
        let wrong = blocks(r#"[{"type":"text","text":"{{ a|uper }}"}]"#).expect_err("there is no such filter");
        assert!(wrong.to_string().contains("line 1 of block 1: there is no filter uper"), "{wrong}");
        for plain in [r#"[{"type":"text","text":"{ x }"}]"#, r#"[{"type":"text","text":"{{ }}"}]"#] {
            assert!(blocks(plain).is_ok_and(|template| template.is_none()), "{plain}");
        }
    }

    #[test]
    fn a_row_keeps_its_own_system_prompt_and_then_needs_no_columns() {
        let json = "{\"body\":\"Hi\",\"system\":\"own\"}\n";
        let csv = "prompt,system,lang\nHi,own,Thai\nHi,,Thai\n";

        let of_json = row("t.jsonl", json, &with_system(Some("{{body}}"), "Answer in {{ lang }}."));
        let of_csv = items("t.csv", csv, &with_system(None, "Answer in {{ lang }}."));

        assert_eq!(of_json.params.get("system"), Some("\"own\""));
        let system = |item: &Item| match item {
            Item::Row(row) => row.params.get("system").map(str::to_owned),
            Item::Broken(_) => None,
        };
        let found: Vec<_> = of_csv.iter().filter_map(system).collect();
        assert_eq!(found, ["\"own\"", "\"Answer in Thai.\""]);
    }

    #[test]
    fn json_rows_without_a_template_have_no_system_prompt_filled_in() {
        let row = row("t.jsonl", "{\"prompt\":\"Hi\",\"lang\":\"Thai\"}\n", &with_system(None, "In {{ lang }}."));

        assert_eq!(row.params.get("system"), None, "the plain text is added as a default");
    }

    #[test]
    fn a_system_prompt_that_names_no_column_is_plain_text() {
        for text in [
            "Be brief.",
            "Answer as {\"a\": {\"b\": 1}}.",
            "Use {body} and ${body}.",
            "Write {{}} or {{ 1 }}.",
            "Write {{ first name }}.",
            "{{#each items}}{{/each}}",
            "{% unknown tag %}",
            "{{ open",
            "{% for n in range(3) %}{{ n }}{% endfor %}",
        ] {
            assert!(Template::of_system(text).is_ok_and(|system| system.is_none()), "{text}");
        }
        for text in ["{{ a }}", "{% if a %}x{% endif %}", "{{ row['a b'] }}", "{% raw %}{{ a }}{% endraw %}"] {
            assert!(Template::of_system(text).is_ok_and(|system| system.is_some()), "{text}");
        }
        assert!(Template::of_system("{{ a|uper }}").is_err_and(|error| error.to_string().contains("filter uper")));
        let escaped = with_system(Some("{{body}}"), "{% raw %}{{ a }}{% endraw %}");
        assert_eq!(row("t.csv", "body\nHi\n", &escaped).params.get("system"), Some("\"{{ a }}\""));
    }

    #[test]
    fn a_system_prompt_with_a_wrong_column_is_reported_before_any_row() {
        let options = with_system(Some("{{body}}"), "Answer in {{ lnag }}.");

        let csv = reader("t.csv", "id,lang,body\n1,a,b\n", &options).expect_err("there is no lnag").to_string();
        let lines = Options { format: InputFormat::Lines, ..with_system(Some("{{line}}"), "{{ lnag }}") };
        let [lines, text] =
            [lines, with_system(Some("{{text}}"), "{{ lnag }}")].map(|own| reader("t.txt", "x\n", &own));
        let json = broken("t.jsonl", "{\"body\":\"b\",\"lang\":\"c\"}\n", &options).message;
        let empty = broken("t.csv", "body,lang\nb,\n", &with_system(Some("{{body}}"), "{{ lang }}")).message;

        assert!(csv.contains(
            "t.csv: --system names lnag, which is not there; the columns are: id, lang, body; did you mean lang?"
        ));
        assert!(csv.contains("{% raw %}"), "{csv}");
        for found in [lines, text] {
            assert!(found.is_err_and(|error| error.to_string().contains("--system names lnag")));
        }
        assert_eq!(json, "has no lnag, which --system uses (found: body, lang; did you mean lang?)");
        assert_eq!(empty, "gives an empty system prompt when filled into --system");
    }

    #[test]
    fn blank_strings_are_found() {
        for blank in [r#""""#, r#"" \n\t""#, r#""\u00a0""#, "\"\u{2003}\""] {
            assert!(is_blank_string(blank), "{blank}");
        }
        assert!(!is_blank_string(r#"" x""#));
        assert!(!is_blank_string("\"é\""));
    }
}
