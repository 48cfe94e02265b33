//! Scripted answers: rules that say what the simulated model answers. A rule also says which requests it applies to,
//! and when.
//!
//! `rule` defines the rules, `file` reads them from an answer file, and `values` reads the values in that file.
//! [`rules`] defines which requests a rule selects. `sim/model` decides which rule applies to a request.
//!
//! [`rules`]: super::rules
//!
//! An answer file is one JSON object, like a [fault file](super::faults):
//!
//! ```json
//! {
//!   "seed": 7,
//!   "rules": [
//!     {"contains": "the weather", "turn": 1, "tool": {"name": "look_up", "input": {"city": "Oslo"}}},
//!     {"contains": "the weather", "turn": 2, "text": "It rains in Oslo."},
//!     {"contains": "the invoice", "json": {"total": 12.5, "currency": "EUR"}},
//!     {"schema": "broken", "turn": 1, "share": 0.2},
//!     {"truncated": true, "max_tokens_below": 500, "share": 0.1},
//!     {"refusal": "cyber", "contains": "an exploit"},
//!     {"thinking": 800}
//!   ]
//! }
//! ```
//!
//! The following fields of a rule say **what** the model answers:
//!
//! | field | the answer |
//! |---|---|
//! | `text` | is this text; with `""`, it has no content |
//! | `json` | is this value, as text, exactly as it is written in the file |
//! | `tool` | calls this tool (an object with `name` and `input`) or up to six tools (a list of such objects); with `text` or `json`, the text comes first. The rule also applies if the request does not offer the tool; to avoid this, put the name of the tool into `contains` |
//! | `"schema": "broken"` | is JSON that breaks the schema: a required property is missing, or if none is required, the type is wrong; only for requests for structured output and for forced tools |
//! | `"schema": "not_json"` | is text instead of JSON; only for requests for structured output |
//! | `stop_reason` | has this stop reason, which can be any text |
//! | `truncated` | is truncated, as if by `max_tokens`. With `true`, half of its tokens are sent; with a number from 0 to 1, this share of them |
//! | `refusal` | is a refusal; the value is `true` or a category. The refusal comes before any output and is free. With `after`, it comes after this number of tokens, which are billed |
//! | `thinking` | begins with this number of thinking tokens, if the request asks for thinking |
//!
//! A rule needs at least one of these fields, and can have several. Without `text`, `json`, `tool` and `schema`, the
//! answer has its usual content. For example, `{"thinking": 800}` changes only how long the model thinks. If the
//! request has a server tool and the rule has `"stop_reason": "pause_turn"`, the usual content is a call of this tool
//! and the result of the call. A client continues a paused answer with a request that has this answer as its last
//! message.
//!
//! `max_tokens`, the context window and the stop sequences of the request apply to scripted answers too. An answer that
//! is too long is truncated and has the stop reason `max_tokens`. A text ends before the first stop sequence. Thinking
//! counts as output: if thinking uses up all tokens, the answer contains nothing but thinking. The simulator counts the
//! tokens of the answer with its own counter, and bills them. A request with `max_tokens` 0 has no answer, so no rule
//! applies to it.
//!
//! Other fields say **which requests** get the answer. `contains`, `models`, `share`, `draw`, `arrivals`,
//! `first_attempts_only`, `times`, `from` and `until` have the same meaning as in fault files. Answer files have two
//! more fields:
//! - `turn` (a number, or a list of numbers) selects requests by their number of assistant messages plus 1. The first
//!   request of a row is turn 1. A later request that contains the first answer is turn 2. Assistant messages in
//!   examples are counted too. The last message is counted too if it has the role `assistant`. The answer then
//!   continues this message.
//! - `max_tokens_below` selects requests with a `max_tokens` below this number. A rule with `max_tokens_below` no
//!   longer applies when a client repeats the request with a higher `max_tokens`.
//!
//! The first user message of a request decides which shares the request belongs to. So all turns of a row belong to the
//! same shares. The shares of several rules are added up only if these rules have the same turn. In the following file,
//! the rules for turn 1 and turn 2 have the same share, so both rules apply to the same rows.
//!
//! ```json
//! {"rules": [
//!   {"turn": 1, "share": 0.3, "text": "I am not sure."},
//!   {"turn": 2, "share": 0.3, "tool": [{"name": "look_up", "input": {"city": "Oslo"}}, {"name": "time"}]},
//!   {"turn": 3, "stop_reason": "pause_turn"}
//! ]}
//! ```
//!
//! The first rule that matches a request is applied. Rules apply to single requests and to the requests in batches.
//! `times` does not count requests that the API rejects, or that get a fault instead of an answer.

mod file;
mod rule;
mod values;

pub use rule::{AnswerPlan, AnswerRule, Content, Refusal, ToolCall};
