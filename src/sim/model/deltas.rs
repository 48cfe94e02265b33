//! Makes the deltas (the pieces of a content block in the events of a stream).

use super::blocks::OutBlock;

/// A delta: its type, the name of the member that it extends, and the text that it adds. The text is escaped for a JSON
/// string.
pub(super) struct Delta<'a> {
    pub kind: &'static str,
    pub field: &'static str,
    pub text: &'a str,
}

impl<'a> Delta<'a> {
    fn text(text: &'a str) -> Self {
        Self { kind: "text_delta", field: "text", text }
    }

    fn thinking(text: &'a str) -> Self {
        Self { kind: "thinking_delta", field: "thinking", text }
    }

    /// Returns the delta with the signature of a thinking block.
    pub(super) fn signature(text: &'a str) -> Self {
        Self { kind: "signature_delta", field: "signature", text }
    }

    fn input(text: &'a str) -> Self {
        Self { kind: "input_json_delta", field: "partial_json", text }
    }
}

/// Passes every delta of a block to `each`, with the number of its tokens. A delta has about `size` tokens.
pub(super) fn for_each(block: &OutBlock, size: u64, mut each: impl FnMut(u64, Delta<'_>)) {
    match block {
        OutBlock::Thinking(passage) => {
            passage.pieces(size).for_each(|(count, piece)| each(count, Delta::thinking(piece)));
        }
        OutBlock::Text(passage) => passage.pieces(size).for_each(|(count, piece)| each(count, Delta::text(piece))),
        OutBlock::Written(whole, tokens) => {
            for_each_part(&escaped(whole), *tokens, size, |count, piece| each(count, Delta::text(piece)));
        }
        OutBlock::ToolUse(_, input, tokens) => for_each_input(input, *tokens, size, each),
        OutBlock::ServerToolUse(served) => for_each_input(served.input, served.tokens(), size, each),
        // The event that begins the block contains the whole result, so there are no deltas.
        OutBlock::ServerToolResult(_) => {}
    }
}

/// Calls `each` with the deltas of the JSON input of a tool. As in the API, the first delta is empty.
fn for_each_input(input: &str, tokens: u64, size: u64, mut each: impl FnMut(u64, Delta<'_>)) {
    each(0, Delta::input(""));
    for_each_part(&escaped(input), tokens, size, |count, part| each(count, Delta::input(part)));
}

/// Escapes a text so that it can stand in a JSON string.
pub(super) fn escaped(text: &str) -> String {
    let mut quoted = serde_json::Value::from(text).to_string();
    quoted.pop();
    quoted.remove(0);
    quoted
}

/// Splits an escaped text into parts of about `size` tokens. For every part, calls `each` with the part's number of
/// tokens and its text.
fn for_each_part(text: &str, tokens: u64, size: u64, mut each: impl FnMut(u64, &str)) {
    let count = tokens.div_ceil(size.max(1)).clamp(1, (text.len() as u64).max(1));
    let (mut from, mut sent) = (0, 0);
    for part in 1..=count {
        let wanted = (text.len() as u64 * part / count) as usize;
        let to = (from..=wanted).rev().find(|&at| at == text.len() || splits_well(text, at)).unwrap_or(from);
        if to == from && part < count {
            continue;
        }
        let due = tokens * part / count;
        each(due - sent, &text[from..to]);
        (from, sent) = (to, due);
    }
}

/// Returns whether an escaped text can be split at `at` without splitting an escape.
fn splits_well(text: &str, at: usize) -> bool {
    text.is_char_boundary(at) && !text.as_bytes()[at.saturating_sub(6)..at].contains(&b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_together_are_the_whole_text_and_all_its_tokens() {
        let texts = [
            "",
            "a",
            r#"{"city":"Zürich","days":[1,2.5],"note":"one \"two\" three"}"#,
            "\"\\\n\u{1}\t\" and \"",
            "日本語のテキスト",
        ];

        for text in texts.map(escaped) {
            for (tokens, size) in [(1, 4), (9, 4), (30, 4), (40, 1), (0, 4)] {
                let (mut whole, mut count) = (String::new(), 0);
                for_each_part(&text, tokens, size, |tokens, part| {
                    serde_json::from_str::<String>(&format!("\"{part}\"")).expect("no escape is split");
                    whole.push_str(part);
                    count += tokens;
                });
                assert_eq!((&whole, count), (&text, tokens), "{size}");
            }
        }
    }

    #[test]
    fn json_and_tool_input_have_several_deltas() {
        let json = r#"{"customer":"someone","lines":[1,2,3],"total":12.5}"#.to_owned();
        let deltas = |block| {
            let mut count = 0;
            for_each(&block, 4, |_, _| count += 1);
            count
        };

        assert!(deltas(OutBlock::written(json.clone())) > 4);
        assert!(deltas(OutBlock::tool_use("look".to_owned(), json)) > 4);
    }
}
