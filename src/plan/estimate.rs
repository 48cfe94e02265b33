//! Estimates the input tokens of a request from its raw text.
//!
//! The estimate reads `messages`, `system`, `tools` and `output_config` once. The tokens of pictures and documents
//! depend on their kind and size, never on the length of their base64 text. The lowest possible number of tokens is
//! computed from the same members, but with smaller weights. The figures for the upper bound ([`super::bound`]) are
//! collected along the way.
//!
//! An estimate never gets smaller when text is appended to a message.

use super::walk::{Part, Scale, Walk, member};
use crate::catalog::{TokenizerFamily, ToolPrompt};
use crate::domain::json::is_filled_array;
use crate::domain::{Caching, Interval, Merged};

/// The estimated input of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Input tokens, including cached ones. The member `likely` is the estimate. The real number is probably between
    /// `low` and `high`, but this is not certain. A true upper bound is [`Estimate::most_tokens`].
    pub tokens: Interval<u32>,
    /// The number of elements of the list `messages`.
    pub messages: u32,
    /// An upper bound for the input tokens of the request's own content. Every byte of text is one token, and pictures
    /// and documents have their highest possible number of tokens. Hidden prompts, and texts that the API fetches, are
    /// not included.
    pub most_tokens: u64,
    /// The longest lifetime of the cache marks in the request.
    pub caching: Caching,
}

/// Estimates the input tokens of a request.
pub fn estimate<'p>(params: impl Into<Merged<'p>>, family: TokenizerFamily, tool_prompt: ToolPrompt) -> Estimate {
    estimate_with_parts(params.into(), family, tool_prompt, false).0
}

/// Estimates the input tokens of a request. With `wants_parts`, also returns the parts of the prompt.
pub(super) fn estimate_with_parts(
    params: Merged<'_>,
    family: TokenizerFamily,
    tool_prompt: ToolPrompt,
    wants_parts: bool,
) -> (Estimate, Option<Vec<Part>>) {
    let scale = match family {
        TokenizerFamily::Old => &Scale::OLD,
        TokenizerFamily::New => &Scale::NEW,
    };
    let walk = Walk::over(named(params), scale, wants_parts);
    let has_tools = params.get("tools").is_some_and(|tools| is_filled_array(tools.as_bytes()));
    let hidden = if has_tools { hidden_prompt(params, tool_prompt) } else { 0 };
    let tokens = walk.interval() + Interval::exact(u64::from(hidden));
    let estimate = Estimate {
        tokens: tokens.map(|tokens| u32::try_from(tokens).unwrap_or(u32::MAX)),
        messages: walk.messages,
        most_tokens: walk.bytes.saturating_sub(walk.left_out) + walk.most_media_tokens,
        caching: walk.caching,
    };
    (estimate, walk.parts)
}

/// Returns a lower bound for the tokens of the request's text. Pictures and documents are not counted.
pub(super) fn least_input_tokens(params: Merged<'_>) -> u64 {
    Walk::over(named(params), &Scale::FLOOR, false).tokens()
}

fn named(params: Merged<'_>) -> impl Iterator<Item = (&[u8], &[u8])> {
    params.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))
}

fn hidden_prompt(params: Merged<'_>, tool_prompt: ToolPrompt) -> u32 {
    let choice = params.get("tool_choice").unwrap_or_default().as_bytes();
    match member(choice, b"type") {
        Some(br#""any""# | br#""tool""#) => tool_prompt.forced,
        Some(_) | None => tool_prompt.auto,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::image::tests::{encode, png};
    use serde_json::value::RawValue;

    use super::super::tests::params;
    use super::super::weights::{self, Class, weigh};
    use super::*;
    use crate::domain::Params;

    const PROMPT: ToolPrompt = ToolPrompt { auto: 100, forced: 200 };

    /// Estimates the tokens of plain text.
    fn text_tokens(text: &str, family: TokenizerFamily) -> u64 {
        let weights = match family {
            TokenizerFamily::Old => &weights::OLD,
            TokenizerFamily::New => &weights::NEW,
        };
        weigh(weights, text.as_bytes(), &mut Class::Break).div_ceil(1000)
    }

    fn tokens(json: &str) -> u32 {
        estimate(&params(json), TokenizerFamily::Old, PROMPT).tokens.likely
    }

    fn of_content(content: &str) -> u32 {
        tokens(&format!(r#"{{"messages":[{{"role":"user","content":{content}}}]}}"#))
    }

    fn block(block: &str) -> u32 {
        of_content(&format!("[{block}]")) - 7
    }

    const ENGLISH: &str = "The committee met on Tuesday to discuss the proposed changes to the budget. Several members \
        raised concerns about the rising cost of maintenance, while others argued that delaying the repairs would only \
        make matters worse. After a long debate, the chair suggested that an independent engineer be asked to report.";
    const GERMAN: &str = "Der Ausschuss hat am Dienstag über die vorgeschlagenen Änderungen des Haushalts beraten. Einige \
        Mitglieder äußerten Bedenken wegen der steigenden Kosten für die Instandhaltung der Gebäude und Straßen.";
    const RUSSIAN: &str = "Комитет собрался во вторник, чтобы обсудить предложенные изменения бюджета. Некоторые члены \
        выразили обеспокоенность ростом расходов на содержание зданий.";
    const CHINESE: &str = "委员会星期二开会讨论预算的修改建议。一些成员对不断上涨的维护费用表示担忧,另一些成员则认为推迟维修只会使情况更糟。";
    const JAPANESE: &str =
        "委員会は火曜日に会合を開き、予算の変更案について話し合った。何人かの委員は、維持費の上昇に懸念を示した。";
    const RUST: &str = "pub fn parse(text: &str) -> Option<Self> {\n    let hex = text.strip_prefix(\"k1:\")?;\n    if \
        hex.len() != 32 || !hex.is_ascii() {\n        return None;\n    }\n    Some(Self(bytes))\n}\n";

    #[test]
    fn characters_per_token_are_plausible_for_each_script() {
        for (name, text, old, new) in [
            ("English", ENGLISH, 3.0..4.2, 2.3..3.3),
            ("German", GERMAN, 2.8..4.2, 2.1..3.3),
            ("Russian", RUSSIAN, 1.8..3.2, 1.8..3.2),
            ("Chinese", CHINESE, 0.8..1.2, 0.8..1.2),
            ("Japanese", JAPANESE, 0.8..1.3, 0.8..1.3),
            ("Rust", RUST, 2.2..3.6, 1.7..2.8),
        ] {
            let chars = text.chars().count() as f64;
            let ratio = |family| chars / text_tokens(text, family) as f64;
            assert!(old.contains(&ratio(TokenizerFamily::Old)), "{name}, old: {}", ratio(TokenizerFamily::Old));
            assert!(new.contains(&ratio(TokenizerFamily::New)), "{name}, new: {}", ratio(TokenizerFamily::New));
        }
    }

    #[test]
    fn the_interval_is_wider_if_less_is_known() {
        let width = |content: &str| {
            let request = params(&format!(r#"{{"messages":[{{"role":"user","content":{content}}}]}}"#));
            let Interval { low, likely, high } = estimate(&request, TokenizerFamily::Old, PROMPT).tokens;
            [low, high].map(|end| f64::from(end) / f64::from(likely))
        };
        let text = |text: &str| serde_json::to_string(text).expect("a string becomes JSON");
        let data = encode(&png(1_400, 1_400));
        let picture = format!(r#"[{{"type":"image","source":{{"type":"base64","data":"{data}"}}}}]"#);
        let remote = r#"[{"type":"image","source":{"type":"url","url":"https://example.invalid/a.png"}}]"#;
        let pdf = format!(r#"[{{"type":"document","source":{{"type":"base64","data":"{}"}}}}]"#, encode(&[0; 90_000]));

        for content in [text(&ENGLISH.repeat(5)), text(&RUSSIAN.repeat(5))] {
            let [low, high] = width(&content);
            assert!((0.49..0.56).contains(&low) && (1.45..1.51).contains(&high), "{low} to {high}");
        }
        let [low, high] = width(&picture);
        assert!(low > 0.88 && high < 1.11, "its size is known: {low} to {high}");
        let [low, high] = width(remote);
        assert!(low < 0.1 && high < 1.01, "it counts as the largest picture: {low} to {high}");
        let [low, high] = width(&pdf);
        assert!(low < 0.3 && high > 2.0, "its pages are not known: {low} to {high}");
    }

    #[test]
    fn escaped_text_counts_like_the_same_text_without_escapes() {
        let plain = serde_json::to_string(CHINESE).expect("a string becomes JSON");
        let ascii: String = CHINESE.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();

        assert_eq!(of_content(&format!("\"{ascii}\"")), of_content(&plain));
    }

    #[test]
    fn a_text_block_counts_like_a_string_with_the_same_text() {
        let text = serde_json::to_string(ENGLISH).expect("a string becomes JSON");

        let as_block =
            of_content(&format!(r#"[{{"cache_control":{{"type":"ephemeral"}},"text" : {text},"type":"text"}}]"#));

        assert_eq!(as_block, of_content(&text));
        assert_eq!(u64::from(as_block), 7 + text_tokens(ENGLISH, TokenizerFamily::Old));
    }

    #[test]
    fn messages_and_system_add_up() {
        let one = tokens(r#"{"messages":[{"role":"user","content":"Hi"}]}"#);
        let two = tokens(r#"{"messages":[{"role":"user","content":"Hi"},{"content":"Hi","role":"assistant"}]}"#);
        let with_system = tokens(r#"{"system":"Hi","messages":[{"role":"user","content":"Hi"}]}"#);

        assert_eq!(one, 9, "7 for the message, 2 for its text");
        assert_eq!((two, with_system), (17, 10));
    }

    #[test]
    fn a_picture_counts_by_its_size_in_any_order_of_its_members() {
        let data = encode(&[png(320, 240), vec![7; 300_000]].concat());
        let first =
            format!(r#"{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{data}"}}}}"#);
        let last = format!(r#"{{"source":{{"data":"{data}","type":"base64"}},"type":"image"}}"#);

        assert_eq!(block(&first), 12 * 9);
        assert_eq!(block(&last), 12 * 9);
    }

    #[test]
    fn a_picture_of_unknown_size_counts_at_the_cap_of_the_model() {
        let url = r#"{"type":"image","source":{"type":"url","url":"https://example.invalid/a.png"}}"#;
        let broken = r#"{"type":"image","source":{"type":"base64","data":"????"}}"#;
        let request = params(&format!(r#"{{"messages":[{{"content":[{url}]}}]}}"#));

        assert_eq!((block(url), block(broken)), (1568, 1568));
        assert_eq!(estimate(&request, TokenizerFamily::New, PROMPT).tokens.likely, 7 + 4784);
    }

    #[test]
    fn documents_count_by_kind() {
        let pdf = |bytes| {
            let data = encode(&vec![0; bytes]);
            block(&format!(r#"{{"type":"document","source":{{"type":"base64","data":"{data}"}}}}"#))
        };
        let page = 2250 + 1568;
        let text = r#"{"type":"document","title":"Hi","source":{"type":"text","media_type":"text/plain","data":"Hi"}}"#;
        let nested = r#"{"type":"document","source":{"type":"content","content":[{"type":"text","text":"Hi"}]}}"#;
        let file = r#"{"type":"document","source":{"type":"file","file_id":"file_1"}}"#;

        assert_eq!((pdf(10), pdf(59_000), pdf(150_000)), (page, page, 3 * page));
        assert_eq!(block(nested), 2);
        assert_eq!(block(text), 3, "title and text weigh 1.03 each");
        assert_eq!(block(file), 10 * page);
    }

    #[test]
    fn tool_calls_and_results_count_without_their_ids() {
        let call = r#"{"type":"tool_use","id":"toolu_0123456789","name":"f","input":{"a":"b"}}"#;
        let result =
            r#"{"type":"tool_result","tool_use_id":"toolu_0123456789","content":[{"type":"text","text":"Hi"}]}"#;
        let plain = r#"{"type":"tool_result","tool_use_id":"toolu_0123456789","content":"Hi"}"#;

        assert!((4..12).contains(&block(call)), "{}", block(call));
        assert_eq!((block(result), block(plain)), (2, 2));
    }

    #[test]
    fn tools_bring_their_text_and_a_hidden_prompt() {
        let with = |rest: &str| tokens(&format!(r#"{{"messages":[{{"content":"Hi"}}]{rest}}}"#));
        let tool = r#","tools":[{"name":"f","input_schema":{"type":"object"}}]"#;

        let auto = with(tool);
        let forced = with(&format!(r#"{tool},"tool_choice":{{"type":"any"}}"#));

        assert!(with(r#","tools":[]"#) < with("") + 5, "an empty list does not hide the prompt");
        assert!((115..135).contains(&auto), "{auto}");
        assert_eq!(forced, auto + 100);
    }

    #[test]
    fn the_upper_bound_is_one_token_for_each_byte_of_the_prompt() {
        let most = |json: &str| {
            estimate(&params(json), TokenizerFamily::Old, PROMPT).most_tokens - super::super::walk::BYTES_AROUND
        };
        let messages = format!(r#"[{{"role":"user","content":"{ENGLISH}"}}]"#);
        let ascii: String = CHINESE.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        let around = r#"[{"content":""}]"#.len() as u64;

        let plain = most(&format!(r#"{{"model":"m","system":"Be brief","max_tokens":7,"messages":{messages}}}"#));
        let unknown = most(&format!(r#"{{"new_field":[1,2],"messages":{messages}}}"#));

        assert_eq!(plain, (r#""Be brief""#.len() + messages.len()) as u64);
        assert_eq!(unknown, ("[1,2]".len() + messages.len()) as u64);
        assert_eq!(most(&format!(r#"{{"messages":[{{"content":"{ascii}"}}]}}"#)), around + CHINESE.len() as u64);
        let call = format!(r#"[{{"content":[{{"name":"{ascii}","input":"{ascii}","type":"tool_use"}}]}}]"#);
        assert_eq!(most(&format!(r#"{{"messages":{call}}}"#)), call.len() as u64, "it may be shown as it is written");
    }

    #[test]
    fn pictures_and_documents_count_at_their_caps_and_not_by_their_data() {
        let most = |block: &str| {
            let request = params(&format!(r#"{{"messages":[{{"content":[{block}]}}]}}"#));
            estimate(&request, TokenizerFamily::Old, PROMPT).most_tokens
        };
        let data = encode(&vec![7; 100_000]);
        let picture = format!(r#"{{"type":"image","source":{{"type":"base64","data":"{data}"}}}}"#);
        let pdf = format!(r#"{{"type":"document","source":{{"type":"base64","data":"{data}"}}}}"#);
        let (url, data) =
            (r#"{"type":"image","source":{"type":"url"}}"#, format!(r#"{{"type":"other","data":"{data}"}}"#));

        assert!((1568..1668).contains(&most(url)) && (1568..1668).contains(&most(&picture)));
        assert!((600 * 4568..600 * 4568 + 100).contains(&most(&pdf)));
        assert!(most(&data) > data.len() as u64, "a part that is not known to be a picture counts as text");
    }

    #[test]
    fn cache_marks_are_found_at_every_place() {
        let caching = |json: &str| estimate(&params(json), TokenizerFamily::Old, PROMPT).caching;
        let mark = r#""cache_control":{"type":"ephemeral"}"#;
        let hour = r#""cache_control":{"type":"ephemeral","ttl":"1h"}"#;
        let places = [
            r#"{"messages":[],MARK}"#,
            r#"{"system":[{"type":"text","text":"a",MARK}]}"#,
            r#"{"tools":[{"name":"f"},{"name":"g",MARK}]}"#,
            r#"{"messages":[{"content":"a"},{"content":[{"type":"text","text":"a"},{MARK,"type":"image"}]}]}"#,
            r#"{"messages":[{"content":[{"type":"tool_result","content":[{"type":"text","text":"a",MARK}]}]}]}"#,
            r#"{"messages":[{"content":[{"type":"document","source":{"type":"content","content":[{MARK}]}}]}]}"#,
        ];
        let none = [
            r#"{"messages":[{"content":"say \"cache_control\": 1h"}]}"#,
            r#"{"messages":[{"content":[{"type":"text","text":"cache_control 1h"}]}],"metadata":{"cache_control":1}}"#,
            r#"{"messages":[{"content":[{"type":"text","text":"a","cache_control":null}]}]}"#,
            r#"{"tools":[{"name":"f","input_schema":{"properties":{"cache_control":{"ttl":"1h"}}}}]}"#,
        ];

        for place in places {
            assert_eq!(caching(&place.replace("MARK", mark)), Caching::FiveMinutes, "{place}");
            assert_eq!(caching(&place.replace("MARK", hour)), Caching::Hour, "{place}");
        }
        none.iter().for_each(|json| assert_eq!(caching(json), Caching::None, "{json}"));
        let both = format!(r#"{{"system":[{{{hour}}}],"messages":[{{"content":[{{{mark}}}]}}]}}"#);
        assert_eq!(caching(&both), Caching::Hour);
        let hidden = r#"{"messages":[{"c\u006fntent":[{"cache_control":{}}]}]}"#;
        assert_eq!(caching(hidden), Caching::Hour);
        for hidden in [r#""cache\u005fcontrol":{}"#, r#""cache_control":{"ttl":"\u0031h"}"#] {
            assert_eq!(caching(&format!(r#"{{"system":[{{{hidden}}}]}}"#)), Caching::Hour, "{hidden}");
            assert_eq!(caching(&format!(r#"{{"tools":[{{{hidden}}}]}}"#)), Caching::Hour, "{hidden}");
        }
    }

    #[test]
    fn nesting_of_any_depth_needs_no_stack_and_no_long_time() {
        let deep = [r#"[{"content":"#.repeat(50_000), "1".to_owned(), "}]".repeat(50_000)].concat();
        let mut params = Params::default();
        params.set("messages", RawValue::from_string(deep).expect("it is JSON"));

        let estimate = estimate(&params, TokenizerFamily::Old, PROMPT);

        assert!(estimate.tokens.likely > 50_000);
        assert_eq!(estimate.caching, Caching::Hour, "a part that is not read may contain a mark");
    }

    pub(crate) fn any_json() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
            "[ -~]{0,80}".prop_map(Value::from),
        ];
        let name = prop_oneof![
            "type|source|content|text|data|input|role|image|document",
            ".{0,4}".prop_map(|name: String| name)
        ];
        leaf.prop_recursive(6, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((name.clone(), inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn quoted(text: &str) -> String {
        serde_json::to_string(text).expect("a string becomes JSON")
    }

    proptest! {
        #[test]
        fn any_json_has_an_estimate_above_a_floor_and_a_bound_above_the_floor(value in any_json(), name in "messages|system|tools|tool_choice") {
            let pretty = serde_json::to_string_pretty(&value).expect("a value becomes JSON");
            let request = params(&format!("{{\"{name}\": {pretty}}}"));

            let Estimate { tokens, most_tokens, .. } = estimate(&request, TokenizerFamily::New, PROMPT);

            prop_assert!(least_input_tokens((&request).into()) <= most_tokens);
            prop_assert!(tokens.low <= tokens.likely && tokens.likely <= tokens.high, "{tokens:?}");
            prop_assert!(u64::from(tokens.likely) >= least_input_tokens((&request).into()) / 2);
        }

        #[test]
        fn the_estimate_of_joined_texts_is_nearly_the_sum_of_both(head in ".{0,60}", tail in ".{0,60}") {
            let both = of_content(&quoted(&[head.as_str(), tail.as_str()].concat()));
            let (head, tail) = (of_content(&quoted(&head)), of_content(&quoted(&tail)));

            // A text can be split inside a word or a series of similar characters. The sum of the two estimates then
            // changes by at most one token. Rounding can make this difference larger by one token.
            prop_assert!(both >= head);
            prop_assert!((i64::from(head + tail - 7) - i64::from(both)).abs() <= 2);
        }

        #[test]
        fn the_floor_of_a_text_is_never_above_its_estimate(text in ".{0,200}") {
            let request = params(&format!(r#"{{"messages":[{{"content":{}}}]}}"#, quoted(&text)));

            let old = estimate(&request, TokenizerFamily::Old, PROMPT).tokens;

            prop_assert!(least_input_tokens((&request).into()) <= u64::from(old.likely) + text.len() as u64 / 20);
        }
    }
}
