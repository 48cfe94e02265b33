//! Injected faults: rules that say what goes wrong. A rule also says which requests it applies to, and when.
//!
//! `rule` defines the rules, `file` reads them from a fault file, and `values` reads the values in that file. [`rules`]
//! defines which requests a rule selects. `sim/model` decides which rule applies to a request.
//!
//! [`rules`]: super::rules
//!
//! A fault file is one JSON object:
//!
//! ```json
//! {
//!   "seed": 7,
//!   "rules": [
//!     {"status": 500, "share": 0.1, "first_attempts_only": true},
//!     {"status": 529, "share": 0.9, "from": "20s", "until": "50s", "draw": "attempt"},
//!     {"status": 429, "share": 0.01, "draw": "attempt", "retry_after": null},
//!     {"status": 400, "contains": "the third ticket"},
//!     {"kind": "reset_mid", "share": 0.02, "draw": "attempt", "at": 0.4},
//!     {"kind": "stall", "arrivals": [3, 17]}
//!   ]
//! }
//! ```
//!
//! The field `status` or `kind` of a rule says **what** happens. `status` causes an error response. `kind` has one of
//! these values:
//!
//! | kind | what the client sees | billed |
//! |---|---|---|
//! | `reset_before` | the connection breaks before any byte of the response | only with `"billed": true` |
//! | `reset_mid` | the connection breaks inside the body, after the share `at` of the body (0 to 1, default 0.5) or after this number of `bytes` | yes |
//! | `stall` | the body stops after the share `at` (default 0.5), and nothing more comes; with `"before_head": true`, not even the head comes | yes |
//! | `slow_drip` | the body comes in pieces of `bytes` (default 64), one piece in each interval `every` (default `1s`) | yes |
//! | `truncated_json` | the body ends too early, after the share `at`, but without a connection error | yes |
//! | `error_event` | a stream has an error event (`type`, default `overloaded_error`) after the share `at` (default 0: as the first event); a call without streaming gets the status of that error | a part |
//! | `no_message_start` | a stream lacks its first event; a response without streaming is complete | yes |
//! | `no_message_stop` | a stream ends without its last event; a response without streaming lacks its closing brace | yes |
//! | `cache_refused` | a request with cache breakpoints gets a 400, as from a gateway that does not support them | no |
//! | `cache_ignored` | cache breakpoints have no effect: the usage shows neither a write nor a read | yes |
//! | `cache_evicted` | the cache entries that the request could read are removed first; with `after`, such as `"90s"`, only entries that have not been used for this time | yes |
//! | `html` | an HTML page, with `status` (default 502) | no |
//! | `empty` | an empty body, with `status` (default 520) | no |
//!
//! The three kinds `cache_…` apply only to requests with a cache breakpoint.
//!
//! **Batches**: a rule with `calls` is about calls to the batch endpoints, and not about messages. `calls` is a name or
//! a list of names. The names are `"create"`, `"list"`, `"retrieve"`, `"results"`, `"cancel"` and `"delete"`. These
//! kinds can have `calls`: `status`, `html`, `empty`, `reset_before`, `reset_mid`, `stall`, `slow_drip` and
//! `truncated_json`.
//! - With `"takes_effect": true`, a call still does its work although the client gets an error response or a
//!   `reset_before`. For example, a batch is created, but the client does not learn its id.
//! - `within` (such as `"30s"`) limits a rule to batches that are younger than this time.
//! - `arrivals` selects calls by their numbers. Calls with the same name are numbered from 1. `first_attempts_only`
//!   selects the first call for each batch. If several calls create batches with the same body, only the first of these
//!   calls is selected. `contains` searches the body of a call that creates a batch.
//!
//! The kinds in the following table are about batches too. A rule of one of these kinds can't have `calls`:
//!
//! | kind | what happens | billed |
//! |---|---|---|
//! | `unlisted` | a batch is missing from the list, always, or only until the time `within` after its creation; `arrivals` selects batches by their numbers | yes |
//! | `request_errored` | a request of a batch ends as `errored`, with `type` (default `api_error`) and `message` | no |
//! | `request_expired` | a request of a batch is never processed, so the batch ends only when it expires | no |
//! | `result_missing` | the results lack the line of a request | yes |
//! | `result_extra` | the results contain the line of a request twice; the second line has the `custom_id` of the rule, if the rule has one | yes |
//!
//! Rules about requests in batches select their requests by `share`, `draw`, `contains`, `models`,
//! `first_attempts_only`, `from` and `until`. To select batches, rules with `unlisted` use `share`, `draw`, `from` and
//! `until`. For example:
//!
//! ```json
//! {"rules": [
//!   {"kind": "reset_before", "calls": "create", "takes_effect": true, "times": 1},
//!   {"status": 500, "calls": "create", "arrivals": [2, 5]},
//!   {"status": 404, "calls": ["retrieve", "results"], "within": "10s"},
//!   {"kind": "unlisted", "within": "30s"},
//!   {"kind": "request_errored", "type": "overloaded_error", "share": 0.02, "first_attempts_only": true},
//!   {"kind": "reset_mid", "calls": "results", "bytes": 100000, "times": 1}
//! ]}
//! ```
//!
//! **For whom**:
//! - `share` (0 to 1, default 1) is the share of requests that the rule applies to. If the shares of all rules add up
//!   to 1 or less, no request belongs to two shares.
//! - `draw` says how this share of the requests is chosen. With `"row"` (the default), the choice depends on the seed
//!   and the content of the request. So a fault applies to all attempts of a row or to none. With `"attempt"`, each
//!   attempt is drawn separately.
//! - `"first_attempts_only": true` limits the rule to the first attempt of each row.
//! - `contains` (a text, or a list of texts) selects requests whose body contains one of the texts.
//! - `models` (a list of names) selects the requests for these models.
//! - `arrivals` selects requests by their numbers. Requests are numbered from 1 in the order in which they arrive.
//!
//! The first rule that matches a request is applied.
//!
//! **When**: a rule applies from the time `from` to the time `until`. `from` and `until` are counted from the start of
//! the simulator, for example `"90s"`. `times` is the maximum number of times that the rule is applied.
//!
//! **How**: if a rule has `status`, these fields change its error response:
//! - `type`, `message` and `error_code` set the fields of the same names in the error.
//! - `body` is the form of the response body: `"json"`, `"html"` or `"empty"`.
//! - `retry_after` sets the header `retry-after`. A number or a text is sent unchanged. `{"date": "30s"}` is sent as a
//!   date that is 30 seconds in the future. With `null`, the header is not sent. By default, a 429 has this header with
//!   the value `1`, and responses with other statuses do not have this header.
//! - `retry_after_ms` sets the header `retry-after-ms`, and `should_retry` sets the header `x-should-retry`.
//!
//! If a rule gives a request an error response, or a `reset_before` without `"billed": true`, the request counts
//! against no limit and is not billed.

mod file;
mod rule;
mod values;

pub use rule::{BatchCall, Fault, FaultPlan, FaultRule, StatusFault};
pub(crate) use rule::{FaultBody, RetryAfter, Target};
