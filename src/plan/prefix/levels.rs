//! Finds the levels of one request: the prefixes that the prompt cache can keep.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::{FixedState, FoldHasher};

use super::super::estimate::Estimate;
use super::super::walk::{Part, Section, is_blank};
use crate::domain::json::write_json_str;
use crate::domain::{Caching, Level, MarkPlace, Merged, Money, PrefixId, Prefixes};

/// The length, in tokens, of the shortest prefix that at least one model caches. Shorter prefixes are ignored.
const LEAST_OF_ANY: u32 = 512;
/// The smallest average number of bytes per token. A prompt is ignored if it has fewer than `LEAST_BYTES_OF_TOKEN *
/// LEAST_OF_ANY` bytes.
const LEAST_BYTES_OF_TOKEN: usize = 2;
/// The largest number of prefixes that are found in one request. If a request has more prefixes, the longest prefixes
/// are left out.
const MOST_LEVELS: usize = 256;
/// Two kinds of parameters: those that do not change the cache entry of a prompt, and those that are the prompt itself.
const NOT_IN_CACHE: [&str; 13] = [
    "max_tokens",
    "metadata",
    "stop_sequences",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "service_tier",
    "diagnostics",
    "cache_control",
    "messages",
    "system",
    "tools",
];

/// Returns whether a request may be long enough for the cache. The length is checked first, so that nothing is computed
/// for short requests.
pub(in crate::plan) fn wants_parts(params: Merged<'_>) -> bool {
    let bytes = |name| params.get(name).map_or(0, str::len);
    bytes("messages") + bytes("system") + bytes("tools") >= LEAST_BYTES_OF_TOKEN * LEAST_OF_ANY as usize
}

/// The fixed starts of a template's texts. A fixed start is the part before the first placeholder. This part is the
/// same in all rows. The fixed starts are JSON text without quotation marks, sorted from the longest to the shortest.
#[derive(Clone, Debug, Default)]
pub(in crate::plan) struct FixedStarts(Vec<String>);

impl FixedStarts {
    /// Returns the fixed starts in the form of JSON text. A fixed start that consists only of blanks can't be a
    /// separate block, so this start is left out.
    pub(in crate::plan) fn of(texts: &[String]) -> Self {
        let escaped = |text: &String| {
            let mut json = Vec::new();
            write_json_str(text, &mut json);
            let json = String::from_utf8(json).expect("JSON of a string is UTF-8");
            json[1..json.len() - 1].to_owned()
        };
        let mut starts: Vec<String> = texts.iter().filter(|text| !text.trim().is_empty()).map(escaped).collect();
        starts.sort_by_key(|start| std::cmp::Reverse(start.len()));
        Self(starts)
    }

    /// Splits a string after its fixed start. Returns the length of the fixed start in bytes, without the quotation
    /// mark. Returns `None` if the string has no fixed start, or if the rest is only blanks, which can't be a separate
    /// block.
    fn cut(&self, body: &[u8]) -> Option<usize> {
        let start = self.0.iter().find(|start| body.starts_with(start.as_bytes()))?;
        let rest = &body[start.len()..];
        (!is_blank(rest)).then_some(start.len())
    }
}

/// Finds the prefixes of requests.
#[derive(Debug, Default)]
pub(in crate::plan) struct LevelFinder {
    starts: FixedStarts,
    /// A buffer for names. The buffer is reused for each request.
    name: Vec<u8>,
}

impl LevelFinder {
    /// Returns a finder. If a text begins with a fixed start of a template, the finder splits the text after this
    /// start.
    pub(in crate::plan) fn new(starts: FixedStarts) -> Self {
        Self { starts, name: Vec::new() }
    }

    /// Returns a request's prefixes that may be long enough for the cache, from the shortest to the longest. Returns
    /// `None` if there is no such prefix. `parts` are the parts of this request. `least` is the length, in tokens, of
    /// the shortest prefix that the request's model caches.
    ///
    /// If the row has marks of its own, only the prefixes at these marks are returned.
    pub(in crate::plan) fn find(
        &mut self,
        params: Merged<'_>,
        mut parts: Vec<Part>,
        estimate: &Estimate,
        least: u32,
    ) -> Option<Prefixes> {
        if estimate.tokens.high < LEAST_OF_ANY {
            return None;
        }
        parts.sort_by_key(|part| part.section);
        let has_own = estimate.caching != Caching::None;
        let [tools, system, messages] =
            ["tools", "system", "messages"].map(|name| params.get(name).unwrap_or_default());
        let offsets = self.offsets(params);
        let text_of = |section: Section| match section {
            Section::Tools => (tools, offsets[0]),
            Section::System => (system, offsets[1]),
            Section::Message(..) => (messages, offsets[2]),
        };
        let mut hash = Chain(scope(params));
        let mut weight = 0;
        let mut levels = Vec::new();
        let shortest =
            u64::from(LEAST_OF_ANY) * u64::from(estimate.tokens.likely) / u64::from(estimate.tokens.high).max(1);
        for part in &parts {
            if levels.len() >= MOST_LEVELS {
                break;
            }
            let (member, offset) = text_of(part.section);
            let bytes = &member.as_bytes()[part.start..part.end];
            hash = hash.section(part.section);
            let at = |position: usize| (offset + position) as u32;
            let mut add = |id: u64, weight: u64, place: MarkPlace| {
                let tokens = (weight / 1000).min(u64::from(u32::MAX));
                if tokens >= shortest {
                    let lifetime = part.own_mark.max(Caching::FiveMinutes);
                    levels.push(Level { id: PrefixId(id), tokens: tokens as u32, place, lifetime });
                }
            };
            if has_own {
                hash = hash.bytes(bytes);
                weight += part.weight;
                if part.own_mark != Caching::None {
                    add(hash.0, weight, MarkPlace::Own);
                }
                continue;
            }
            let cut = if part.brace.is_none() && part.can_be_marked {
                self.starts.cut(&bytes[1..bytes.len().max(2) - 1])
            } else {
                None
            };
            if let Some(cut) = cut {
                let first = 1 + cut;
                let share = part.weight * first as u64 / bytes.len() as u64;
                hash = hash.bytes(&bytes[..first]);
                let place = MarkPlace::Cut { start: at(part.start), cut: at(part.start + first), end: at(part.end) };
                add(hash.0, weight + share, place);
                hash = hash.bytes(&bytes[first..]);
                weight += part.weight;
                // A mark at the end of the second block would help only requests with an identical text. So the prefix
                // that ends with the second block is left out.
                continue;
            }
            hash = hash.bytes(bytes);
            weight += part.weight;
            if part.can_be_marked {
                let place = match part.brace {
                    Some(brace) => MarkPlace::Block { brace: at(brace) },
                    None => MarkPlace::Text { start: at(part.start), end: at(part.end) },
                };
                add(hash.0, weight, place);
            }
        }
        (!levels.is_empty()).then_some(Prefixes { levels, least_tokens: least, extra_most: [Money::ZERO; 2] })
    }

    /// Returns the positions of the values of `tools`, `system` and `messages` in the JSON text of the request, as
    /// [`Merged::write_object`] writes it.
    fn offsets(&mut self, params: Merged<'_>) -> [usize; 3] {
        let mut offsets = [0; 3];
        let mut at = 1;
        for (number, (name, value)) in params.iter().enumerate() {
            self.name.clear();
            write_json_str(name, &mut self.name);
            at += usize::from(number > 0) + self.name.len() + 1;
            if let Some(place) = ["tools", "system", "messages"].iter().position(|known| *known == name) {
                offsets[place] = at;
            }
            at += value.len();
        }
        offsets
    }
}

/// Returns a hash of everything that a cache entry depends on, except the prompt. The order of the parameters does not
/// matter.
///
/// Some parameters matter only for a part of the prompt. Rows that differ in such a parameter could share a prefix, but
/// are treated as if they shared nothing. The only effect of this difference is that the run saves less money.
fn scope(params: Merged<'_>) -> u64 {
    let others = params.iter().filter(|(name, _)| !NOT_IN_CACHE.contains(name));
    others
        .fold(0, |sum: u64, (name, value)| sum.wrapping_add(Chain(0).bytes(name.as_bytes()).bytes(value.as_bytes()).0))
}

/// The hash of a text, computed part by part.
#[derive(Clone, Copy)]
struct Chain(u64);

impl Chain {
    fn bytes(self, bytes: &[u8]) -> Self {
        let mut hasher: FoldHasher<'_> = FixedState::with_seed(self.0).build_hasher();
        hasher.write(bytes);
        hasher.write_usize(bytes.len());
        Self(hasher.finish())
    }

    fn section(self, section: Section) -> Self {
        let number = match section {
            Section::Tools => 1,
            Section::System => 2,
            Section::Message(number, role) => (u64::from(number) << 16) | (u64::from(role) << 8) | 3,
        };
        let mut hasher: FoldHasher<'_> = FixedState::with_seed(self.0).build_hasher();
        hasher.write_u64(number);
        Self(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::super::super::estimate::estimate_with_parts;
    use super::*;
    use crate::catalog::{TokenizerFamily, ToolPrompt};
    use crate::domain::{Params, Request};

    const LEAST: u32 = 1_024;

    fn found(members: &[(&str, String)], starts: &[&str]) -> (String, Vec<Level>) {
        let raw = |json: &String| RawValue::from_string(json.clone()).expect("the test writes valid JSON");
        let params = Params(members.iter().map(|(name, json)| ((*name).into(), raw(json))).collect());
        let merged = Merged::from(&params);
        let (estimate, parts) = estimate_with_parts(merged, TokenizerFamily::Old, ToolPrompt::UNPUBLISHED, true);
        let starts: Vec<String> = starts.iter().map(|start| (*start).to_owned()).collect();
        let mut finder = LevelFinder::new(FixedStarts::of(&starts));
        let found = finder.find(merged, parts.expect("the request is not nested too deep"), &estimate, LEAST);
        let json = String::from_utf8(Request::of(&params).json().to_vec()).expect("it is JSON");
        (json, found.map(|prefixes| prefixes.levels).unwrap_or_default())
    }

    fn long(text: &str) -> String {
        serde_json::Value::from(format!("{text} {}", "some words that fill the text ".repeat(200))).to_string()
    }

    fn question(text: &str) -> (&'static str, String) {
        ("messages", format!(r#"[{{"role":"user","content":"{text}"}}]"#))
    }

    #[test]
    fn a_short_prompt_has_no_prefix() {
        assert_eq!(found(&[("system", r#""Be short.""#.into()), question("Why?")], &[]).1, []);
    }

    #[test]
    fn the_same_system_prompt_is_the_same_prefix_whatever_comes_before_it_in_the_json() {
        let system = ("system", long("Rules."));
        let (json, one) = found(&[("max_tokens", "10".into()), system.clone(), question("Why?")], &[]);
        let (_, other) = found(&[question("How?"), system, ("max_tokens", "20".into()), ("top_k", "3".into())], &[]);

        assert_eq!(one[0].id, other[0].id);
        assert_ne!(one[1].id, other[1].id, "the questions differ");
        let MarkPlace::Text { start, end } = one[0].place else { panic!("{:?}", one[0].place) };
        assert!(
            json[start as usize..end as usize].starts_with("\"Rules.") && json.as_bytes()[end as usize - 1] == b'"'
        );
        assert!((1_000..2_000).contains(&one[0].tokens), "{}", one[0].tokens);
    }

    #[test]
    fn another_model_or_another_tool_choice_is_another_prefix() {
        let id = |name: &str, value: &str| {
            found(&[(name, value.to_owned()), ("system", long("Rules.")), question("Why?")], &[]).1[0].id
        };

        assert_ne!(id("model", r#""a""#), id("model", r#""b""#));
        assert_ne!(id("tool_choice", r#"{"type":"any"}"#), id("tool_choice", r#"{"type":"auto"}"#));
        assert_eq!(id("temperature", "0"), id("temperature", "1"));
    }

    #[test]
    fn tools_come_first_and_the_mark_of_a_block_is_before_its_brace() {
        let tools = format!(r#"[{{"name":"a","input_schema":{{}}}},{{"name":"b","description":{}}}]"#, long("Tool."));
        let blocks = format!(r#"[{{"type":"text","text":{}}}, {{"type":"text","text":"Why?"}} ]"#, long("Document."));
        let messages = format!(r#"[{{"role":"user","content":{blocks}}}]"#);
        let (json, levels) = found(&[("messages", messages), ("tools", tools)], &[]);

        let rest = |level: &Level| match level.place {
            MarkPlace::Block { brace } => json[brace as usize..].chars().take(3).collect::<String>(),
            place => panic!("{place:?}"),
        };
        assert_eq!(levels.iter().map(rest).collect::<Vec<_>>(), ["}]}", "}, ", "} ]"]);
    }

    #[test]
    fn the_fixed_start_of_a_template_is_a_prefix_of_its_own() {
        let start = format!("Rules.\n{}", "answer in a calm voice ".repeat(300));
        let text = |rest: &str| question(&format!("{}{rest}", start.replace('\n', "\\n")));
        let (json, one) = found(&[text("first")], &[&start]);
        let (_, other) = found(&[text("second")], &[&start]);
        let blanks = [" ", "\\n\\t", "\\u00a0", "\u{2003}"].map(|rest| found(&[text(rest)], &[&start]).1[0].place);

        let MarkPlace::Cut { start: begin, cut, end } = one[0].place else { panic!("{:?}", one[0].place) };
        assert_eq!(&json[cut as usize..end as usize], "first\"");
        assert!(json[begin as usize..].starts_with("\"Rules."));
        assert_eq!((one.len(), one[0].id == other[0].id), (1, true));
        let are_whole = blanks.iter().all(|place| matches!(place, MarkPlace::Text { .. }));
        assert!(are_whole, "the API refuses blocks without any letter: {blanks:?}");
    }

    #[test]
    fn texts_without_any_letter_are_not_marked() {
        let texts = ["", " \\n", "\\u0020\\u2003", "\u{a0}"];
        for text in texts {
            let system = format!(r#"[{{"type":"text","text":{}}},{{"type":"text","text":"{text}"}}]"#, long("Rules."));
            let (_, in_list) = found(&[("system", system), question(text)], &[]);

            assert_eq!(in_list.len(), 1, "{text:?}");
        }
    }

    #[test]
    fn the_mark_of_tools_is_on_the_last_tool_that_is_always_loaded() {
        let tool = |name: &str, more: &str| format!(r#"{{"name":"{name}"{more},"description":{}}}"#, long(name));
        let deferred = r#","defer_loading":true"#;
        let loaded = tool("second", r#","defer_loading":false"#);
        let both = format!("[{},{loaded},{}]", tool("first", ""), tool("third", deferred));
        let (json, mixed) = found(&[("tools", both), question("Why?")], &[]);
        let (_, none) = found(&[("tools", format!("[{}]", tool("only", deferred))), question("Why?")], &[]);

        let after = json.find(&loaded).map(|start| start + loaded.len() - 1);
        assert_eq!(mixed[0].place, MarkPlace::Block { brace: after.expect("it is there") as u32 });
        assert!(none.iter().all(|level| matches!(level.place, MarkPlace::Text { .. })), "{none:?}");
    }

    #[test]
    fn a_row_with_marks_of_its_own_has_only_the_prefixes_at_these_marks() {
        let mark = r#""cache_control":{"type":"ephemeral","ttl":"1h"}"#;
        let system = format!(r#"[{{"type":"text","text":{}}},{{"type":"text","text":"End.",{mark}}}]"#, long("Rules."));
        let (_, levels) = found(&[("system", system), question("Why?")], &[]);

        assert_eq!(levels.len(), 1);
        assert_eq!((levels[0].place, levels[0].lifetime), (MarkPlace::Own, Caching::Hour));
    }

    #[test]
    fn thinking_and_blocks_with_an_empty_mark_are_not_marked_but_are_part_of_longer_prefixes() {
        let thinking = format!(r#"{{"type":"thinking","thinking":{},"signature":"x"}}"#, long("Hm."));
        let null = format!(r#"{{"type":"text","text":{},"cache_control":null}}"#, long("Null."));
        let messages = format!(
            r#"[{{"role":"user","content":{}}},{{"role":"assistant","content":[{thinking},{null},{{"type":"text","text":"b"}}]}}]"#,
            long("Question.")
        );
        let (_, levels) = found(&[("messages", messages)], &[]);

        assert_eq!(levels.len(), 2);
        assert!(levels[1].tokens > 2 * levels[0].tokens);
    }
}
