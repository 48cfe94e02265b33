//! Joins the parts of an answer that came in several messages.

use serde_json::value::RawValue;

use super::seen::Seen;
use crate::domain::{Message, Params};

/// Returns the last message of an answer, with the text of the earlier parts (`before`) in front of its own text.
pub(super) fn with_text(before: &str, message: &Message) -> Option<Message> {
    let seen = Seen::of(message);
    let text = serde_json::Value::from(format!("{before}{}", seen.text));
    let others = seen.blocks.iter().map(|block| block.get()).filter(|block| !is_text(block));
    let blocks = others.map(str::to_owned).chain([format!("{{\"type\":\"text\",\"text\":{text}}}")]);
    with_content(&blocks.collect::<Vec<_>>().join(","), message)
}

/// Puts the earlier blocks of an answer before the blocks of its last message. Returns the message with all these
/// blocks. `before` is a JSON list of the earlier blocks.
pub(super) fn with_blocks(before: &str, message: &Message) -> Option<Message> {
    let before = before.trim().strip_prefix('[')?.strip_suffix(']')?.trim();
    let seen = Seen::of(message);
    let own = seen.blocks.iter().map(|block| block.get());
    let all = Some(before).filter(|before| !before.is_empty()).into_iter().chain(own);
    with_content(&all.collect::<Vec<_>>().join(","), message)
}

fn is_text(block: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Kind<'a> {
        #[serde(borrow, rename = "type")]
        kind: std::borrow::Cow<'a, str>,
    }
    serde_json::from_str::<Kind<'_>>(block).is_ok_and(|block| block.kind == "text")
}

/// Returns the message with `blocks` as its content. All other members keep their bytes and their order.
fn with_content(blocks: &str, message: &Message) -> Option<Message> {
    let mut members = Params::of_object(str::from_utf8(&message.json).ok()?)?;
    members.set("content", RawValue::from_string(format!("[{blocks}]")).ok()?);
    let mut json = Vec::with_capacity(message.json.len() + blocks.len());
    members.write_object(&mut json);
    let content = 0..0;
    Some(Message { json: json.into(), content, ..message.clone() })
}

#[cfg(test)]
mod tests {
    use crate::domain::{Quality, Usage};

    use super::*;

    fn message(content: &str) -> Message {
        let json = format!(r#"{{"id":"m","content":{content},"stop_reason":"end_turn","usage":{{}}}}"#);
        Message { json: json.into_bytes().into(), usage: Usage::default(), quality: Quality::Ok, content: 0..0 }
    }

    fn shown(message: Option<Message>) -> String {
        let json = message.expect("it can be joined").json;
        String::from_utf8(json.to_vec()).expect("JSON is text")
    }

    #[test]
    fn a_continued_text_begins_with_its_first_part() {
        let joined = shown(with_text("One, \"two\"", &message(r#"[{"type":"text","text":", three"}]"#)));

        assert_eq!(
            joined,
            r#"{"id":"m","content":[{"type":"text","text":"One, \"two\", three"}],"stop_reason":"end_turn","usage":{}}"#
        );
    }

    #[test]
    fn a_paused_answer_keeps_the_blocks_of_all_its_parts() {
        let last = message(r#"[{"type":"text","text":"b"}]"#);

        let joined = shown(with_blocks(r#"[{"type":"text","text":"a"}]"#, &last));

        assert!(joined.contains(r#""content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]"#), "{joined}");
        assert_eq!(shown(with_blocks("[]", &last)), shown(Some(last)));
    }
}
