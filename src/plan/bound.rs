//! An upper bound for the tokens and searches that one paid answer to a request can use. In plans and reports, the
//! words "at most" show the cost of this bound, and a budget reserves this cost.
//!
//! The bound for the input tokens is the number of bytes of the input, because no tokenizer makes more tokens than
//! bytes. The bound also includes the hidden prompts that the API adds for tools and output formats. The context window
//! of the model is a bound too, because the API rejects a longer prompt and does not bill it. If the API runs tools or
//! asks servers, one request can need several calls of the model (turns). Each turn can read a whole context window
//! again and write it to a cache.
//!
//! A request can use `fallbacks` to let other models answer. The bound does not include the answers of the models in
//! `fallbacks` ([`Bound::may_fall_back`]). The bound also does not include services that the API bills by the hour.

use super::estimate::Estimate;
use crate::catalog::Model;
use crate::domain::json::{Cursor, DEEPEST, inside_quotes, is_filled_array};
use crate::domain::{Caching, Merged, UsageBound};

/// An upper bound for the tokens of a hidden prompt. The largest published hidden prompt for tools has 804 tokens.
/// Hidden prompts for output formats are not published.
const MOST_HIDDEN_TOKENS: u64 = 1000;
/// The largest number of turns (calls of the model) of a request. The API pauses an answer with `pause_turn` after ten
/// turns. One more turn is counted for the last answer.
///
/// Source: API documentation, "Server tools", a limit of ten iterations (2026-08).
const MOST_TURNS: u64 = 11;
/// The number of tokens in the shortest possible tool call. A tool call has at least a name and a query.
const LEAST_CALL_TOKENS: u64 = 16;
/// The largest context window that any model has. This window is assumed if a model is not in the catalog.
const LARGEST_WINDOW: u64 = 1_000_000;
/// A tool whose type has one of these prefixes is defined by the API, but run by the client.
const RUN_BY_CLIENT: [&[u8]; 4] = [b"bash_", b"text_editor_", b"computer_", b"memory_"];
/// If a request has one of these members, the API can call the model several times (take several turns).
const SERVED: [&str; 3] = ["mcp_servers", "thread", "compaction"];

/// An upper bound for the usage of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    pub usage: UsageBound,
    /// The bound for an answer from a batch. The bound in a batch differs from `usage` only if the API runs tools.
    pub usage_in_batch: UsageBound,
    /// Whether the API is allowed to ask up to [`FALLBACKS`] other models if this model refuses to answer.
    pub may_fall_back: bool,
}

/// The largest number of fallback models in a request. Source: API reference, "Messages", `fallbacks` (2026-10).
pub(super) const FALLBACKS: u64 = 3;

/// Returns an upper bound for the usage of one paid answer. `estimate` is the estimate for the same request.
pub(super) fn bound(params: Merged<'_>, estimate: &Estimate, model: Option<&Model>, max_tokens: u32) -> Bound {
    let tools = Tools::of(params.get("tools").unwrap_or_default().as_bytes());
    let forms = u64::from(has(params, "output_format")) + u64::from(says(params, "output_config", "format"));
    let own = estimate.most_tokens + (tools.hidden + forms) * MOST_HIDDEN_TOKENS;
    let window = model.map(|model| u64::from(model.context_tokens));
    let output_tokens = u64::from(max_tokens);
    let is_served = SERVED.into_iter().any(|name| has(params, name)) || says(params, "context_management", "compact");
    let within = |most_turns: u64| {
        let turns = if is_served { Some(most_turns) } else { tools.turns(most_turns) };
        let (input_tokens, caching) = match turns {
            Some(turns) => {
                let of_a_turn = window.unwrap_or(LARGEST_WINDOW.max(own));
                (turns.saturating_mul(of_a_turn), estimate.caching.max(Caching::FiveMinutes))
            }
            None => (window.map_or(own, |window| own.min(window)), estimate.caching),
        };
        UsageBound { input_tokens, caching, output_tokens, web_searches: tools.searches(output_tokens) }
    };
    // For one request, the API takes more turns (calls of the model) in a batch than online. The largest number of
    // turns is not published. But the number of turns is limited by the maximum number of output tokens, because each
    // tool call uses some output tokens. Source: API documentation, "Batch processing" (2026-09-20).
    let usage_in_batch = within(MOST_TURNS.max(most_calls(output_tokens).saturating_add(1)));
    Bound { usage: within(MOST_TURNS), usage_in_batch, may_fall_back: has(params, "fallbacks") }
}

/// Returns the largest number of tool calls that fit into this many output tokens.
fn most_calls(output_tokens: u64) -> u64 {
    output_tokens / LEAST_CALL_TOKENS + 1
}

/// Returns whether a request has a member with this name and a value other than null.
fn has(params: Merged<'_>, name: &str) -> bool {
    params.get(name).is_some_and(|value| value != "null")
}

/// Returns whether a member possibly contains this string. Escapes can hide the string, so the function returns true
/// for every member with escapes.
fn says(params: Merged<'_>, name: &str, word: &str) -> bool {
    params.get(name).is_some_and(|value| value.contains(word) || value.contains('\\'))
}

/// The tools of a request.
#[derive(Default)]
struct Tools {
    /// The largest number of hidden prompts that the tools can add.
    hidden: u64,
    /// Whether the API runs at least one of the tools.
    are_served: bool,
    /// The maximum number of calls to all tools that the API itself runs; `None` if one of these tools has no limit.
    most_calls: Option<u64>,
    /// The sum of the limits (`max_uses`) of all search tools. `has_endless_search` says whether a search tool has no
    /// limit.
    searches: u64,
    has_endless_search: bool,
}

impl Tools {
    fn of(tools: &[u8]) -> Self {
        let none = Self { most_calls: Some(0), ..Self::default() };
        if !is_filled_array(tools) {
            return none;
        }
        let mut all = Self { hidden: 1, ..none };
        let walk = Cursor::new(tools).array(|cursor| {
            let tool = cursor.value(DEEPEST)?;
            all.add(&Tool::of(tool).unwrap_or(Tool::ANY));
            Some(())
        });
        if walk.is_none() {
            all.add(&Tool::ANY);
        }
        all
    }

    fn add(&mut self, tool: &Tool<'_>) {
        match tool.kind {
            None | Some(b"custom") => {}
            Some(kind) if RUN_BY_CLIENT.iter().any(|start| kind.starts_with(start)) => self.hidden += 1,
            Some(kind) => {
                self.hidden += 1;
                self.are_served = true;
                self.most_calls = self.most_calls.zip(tool.max_uses).map(|(sum, calls)| sum.saturating_add(calls));
                if kind.starts_with(b"web_search") || kind.contains(&b'\\') {
                    self.searches = self.searches.saturating_add(tool.max_uses.unwrap_or(0));
                    self.has_endless_search |= tool.max_uses.is_none();
                }
            }
        }
    }

    /// Returns the largest number of turns (calls of the model) that the API takes, but not more than `most`. Returns
    /// `None` if the API runs no tool of the request.
    fn turns(&self, most: u64) -> Option<u64> {
        let turns = self.most_calls.map_or(most, |calls| calls.saturating_add(1).min(most));
        self.are_served.then_some(turns)
    }

    /// Returns the largest number of web searches. Each search uses some of the output tokens.
    fn searches(&self, output_tokens: u64) -> u64 {
        let by_output = most_calls(output_tokens);
        match (self.has_endless_search, self.searches) {
            (true, _) => by_output,
            (false, searches) => searches.min(by_output),
        }
    }
}

/// The parts of a tool that matter for the bound.
struct Tool<'a> {
    /// The type of the tool. Escapes in the type are not decoded.
    kind: Option<&'a [u8]>,
    max_uses: Option<u64>,
}

impl<'a> Tool<'a> {
    /// The most expensive tool. If a tool can't be read, it is treated as the most expensive tool, because it could be
    /// any tool.
    const ANY: Tool<'static> = Tool { kind: Some(b"\\"), max_uses: None };

    /// Reads a tool. Returns `None` if the tool is nested too deep, or if a member name has escapes. A name with
    /// escapes can stand for any name.
    fn of(tool: &'a [u8]) -> Option<Self> {
        let mut own = Self { kind: None, max_uses: None };
        if !tool.starts_with(b"{") {
            return Some(own);
        }
        Cursor::new(tool).plain_object(|cursor, name| {
            let value = cursor.value(DEEPEST)?;
            match name {
                b"type" if value != b"null" => own.kind = Some(inside_quotes(value).unwrap_or(b"?")),
                b"max_uses" => own.max_uses = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()),
                _ => {}
            }
            Some(())
        })?;
        Some(own)
    }
}

#[cfg(test)]
mod tests {
    use super::super::estimate::estimate;
    use super::super::tests::params;
    use super::*;
    use crate::catalog::{Catalog, TokenizerFamily, ToolPrompt};

    fn bound_of(json: &str, model: Option<&str>) -> Bound {
        let catalog = Catalog::builtin();
        let params = params(json);
        let estimate = estimate(&params, TokenizerFamily::Old, ToolPrompt::UNPUBLISHED);
        bound((&params).into(), &estimate, model.and_then(|model| catalog.model(model)), 1600)
    }

    fn of_haiku(json: &str) -> UsageBound {
        bound_of(json, Some("claude-haiku-4-5")).usage
    }

    #[test]
    fn a_prompt_is_bounded_by_its_bytes_and_by_the_window_of_its_model() {
        let short = r#"{"messages":[{"role":"user","content":"Hi"}]}"#;
        let long = format!(r#"{{"messages":[{{"role":"user","content":"{}"}}]}}"#, "word ".repeat(100_000));

        let plain = UsageBound { input_tokens: 48, output_tokens: 1600, ..UsageBound::default() };
        assert_eq!(of_haiku(short), plain);
        assert_eq!(of_haiku(&long).input_tokens, 200_000);
        assert_eq!(bound_of(&long, Some("claude-sonnet-4-6")).usage.input_tokens, 500_046);
        assert_eq!(bound_of(&long, None).usage.input_tokens, 500_046, "its window is unknown");
    }

    #[test]
    fn each_hidden_prompt_is_counted() {
        let with = |rest: &str| of_haiku(&format!(r#"{{"messages":[{{"content":"Hi"}}]{rest}}}"#));
        let (none, base) = (with(""), |rest: &str| with("").input_tokens + rest.len() as u64);
        let added = |rest: &str, value: &str| with(rest).input_tokens - base(value);

        let tool = r#"[{"name":"f","input_schema":{}}]"#;
        let client = r#"[{"type":"bash_20250124","name":"bash"},{"type":"custom","name":"f"}]"#;
        let (form, effort) = (r#"{"format":{"type":"json_schema"}}"#, r#"{"effort":"low"}"#);
        assert_eq!(added(&format!(r#","tools":{tool}"#), tool), 1000);
        assert_eq!(added(&format!(r#","tools":{client}"#), client), 2000, "and one for the tool with a type");
        assert_eq!(added(r#","tools":[]"#, "[]"), 0);
        assert_eq!(added(&format!(r#","output_config":{form}"#), form), 1000);
        assert_eq!(added(&format!(r#","output_config":{effort}"#), effort), 0);
        assert_eq!(none.caching, Caching::None);
    }

    #[test]
    fn tools_that_the_api_runs_count_a_window_for_each_turn() {
        let search = |rest: &str| {
            let bound = of_haiku(&format!(r#"{{"messages":[],"tools":[{{"type":"web_search_20250305"{rest}}}]}}"#));
            (bound.input_tokens / 200_000, bound.input_tokens % 200_000, bound.web_searches, bound.caching)
        };
        let turns = |json: &str| of_haiku(json).input_tokens / 200_000;

        // A search tool without a limit can be called as often as the output tokens allow, with 16 tokens per call.
        assert_eq!(search(""), (11, 0, 101, Caching::FiveMinutes));
        assert_eq!(search(r#","max_uses":3"#), (4, 0, 3, Caching::FiveMinutes));
        assert_eq!(search(r#","max_uses":500"#), (11, 0, 101, Caching::FiveMinutes));
        assert_eq!(search(r#","max_uses":"3""#), (11, 0, 101, Caching::FiveMinutes));
        assert_eq!(search(r#","cache_control":{"type":"ephemeral","ttl":"1h"}"#).3, Caching::Hour);
        for served in [
            r#"{"messages":[],"tools":[{"type":"web_search_20250305","max_uses":1},{"type":"code_execution_20250825"}]}"#,
            r#"{"messages":[],"tools":[{"\u0074ype":"web_search_20250305","max_uses":1}]}"#,
            r#"{"messages":[],"mcp_servers":[{"type":"url"}]}"#,
            r#"{"messages":[],"thread":{"id":"t"}}"#,
            r#"{"messages":[],"context_management":{"edits":[{"type":"compact_20260112"}]}}"#,
        ] {
            assert_eq!(turns(served), 11, "{served}");
        }
        for own in [
            r#"{"messages":[],"tools":[{"type":"text_editor_20250728","name":"e"}],"mcp_servers":null}"#,
            r#"{"messages":[],"context_management":{"edits":[{"type":"clear_tool_uses_20250919"}]}}"#,
        ] {
            assert_eq!(turns(own), 0, "{own}");
        }
        let unknown = bound_of(r#"{"messages":[],"mcp_servers":[{}]}"#, None).usage;
        assert_eq!(unknown.input_tokens, 11_000_000);
    }

    #[test]
    fn in_a_batch_the_number_of_turns_depends_on_the_limits_of_the_tools_and_on_the_output() {
        let turns = |json: &str| bound_of(json, Some("claude-haiku-4-5")).usage_in_batch.input_tokens / 200_000;
        let search = |rest: &str| format!(r#"{{"messages":[],"tools":[{{"type":"web_search_20250305"{rest}}}]}}"#);

        // The bound for 1,600 output tokens is 101 calls: 100 calls of 16 tokens, and one more call.
        assert_eq!(turns(&search("")), 102);
        assert_eq!(turns(&search(r#","max_uses":3"#)), 4);
        assert_eq!(turns(&search(r#","max_uses":50"#)), 51);
        assert_eq!(turns(r#"{"messages":[],"mcp_servers":[{"type":"url"}]}"#), 102);

        let plain = bound_of(r#"{"messages":[{"role":"user","content":"Hi"}]}"#, None);
        assert_eq!(plain.usage_in_batch, plain.usage);
    }

    #[test]
    fn a_request_that_other_models_may_answer_is_recognized() {
        assert!(bound_of(r#"{"messages":[],"fallbacks":"default"}"#, None).may_fall_back);
        assert!(!bound_of(r#"{"messages":[],"fallbacks":null}"#, None).may_fall_back);
    }
}
