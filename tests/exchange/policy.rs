//! The table of the error policy. Each row has a response, its verdict, and the expected verdict.

use claude_batch::classify;
use claude_batch::domain::{HaltReason, LimitKind, Verdict};
use claude_batch::provider::Provider;
use claude_batch::transport::{WireError, WireErrorKind};

use crate::exchange::{self, Exchange};

/// A row of the table: the name of a response, the program's verdict, and the expected verdict.
pub type Row = (&'static str, String, &'static str);

/// All rows.
pub fn all() -> Vec<Row> {
    [replies(), statuses(), limits(), accounts(), should_retry(), overloads(), streams(), wire()]
        .into_iter()
        .flatten()
        .collect()
}

/// Asserts that each row has the expected verdict.
pub fn assert_all(rows: &[Row]) {
    let wrong: Vec<_> = rows.iter().filter(|(_, is, should)| is != should).collect();
    assert!(wrong.is_empty(), "row, is, should be: {wrong:#?}");
}

/// Recorded replies.
pub fn replies() -> Vec<Row> {
    vec![
        ("a whole answer", recorded("ok"), "answered ok"),
        ("an answer cut by max_tokens", recorded("ok_truncated"), "answered truncated"),
        ("an answer cut by the window", recorded("ok_window_exceeded"), "answered truncated"),
        ("a refusal", recorded("ok_refusal"), "answered refused"),
        ("an unknown stop reason", recorded("ok_unknown_parts"), "answered unknown"),
        ("a stream", recorded("stream"), "answered ok"),
        ("prompt too long", recorded("400_prompt_too_long"), "rejected invalid_request"),
        ("low credit", recorded("400_low_credit"), "halt: account"),
        ("the user's spend limit", recorded("400_user_spend_limit"), "halt: account"),
        ("organization on hold", recorded("400_on_hold"), "halt: account"),
        ("wrong key", recorded("401_key"), "halt: key"),
        ("billing", recorded("402_billing"), "halt: account"),
        ("forbidden", recorded("403_permission"), "forbidden"),
        ("unknown model", recorded("404_model"), "no model"),
        ("conflict", recorded("409_conflict"), "transient server"),
        ("too large, from the edge", recorded("413_html"), "rejected too_large"),
        ("rate limit", recorded("429_rate"), "limited by rate after 7s"),
        ("acceleration limit", recorded("429_acceleration"), "limited by acceleration after 21s"),
        ("concurrency limit", recorded("429_concurrency"), "limited by concurrency"),
        ("spend cap", recorded("429_spend_cap"), "halt: account"),
        ("the API failed", recorded("500_api_error"), "transient server"),
        ("a gateway's page", recorded("502_html"), "transient server maybe paid"),
        ("unavailable", recorded("503_plain"), "transient server after 30s"),
        ("the API timed out", recorded("504_timeout"), "transient timeout"),
        ("an empty 520", recorded("520_empty"), "transient server maybe paid"),
        ("Cloudflare's own JSON", recorded("522_cloudflare_json"), "transient timeout after 120s"),
        ("overloaded", recorded("529_overloaded"), "overloaded"),
        ("a redirect", recorded("302_redirect"), "halt: redirect"),
        ("overloaded in a stream, first", recorded("stream_error_first"), "overloaded maybe paid"),
        ("overloaded in a stream, later", recorded("stream_error_after_text"), "overloaded maybe paid"),
        ("a stream without its end", recorded("stream_without_end"), "transient invalid_output maybe paid"),
        ("an answer without a stop reason", recorded("broken_no_stop_reason"), "transient invalid_output maybe paid"),
        (
            "an answer whose stop reason is null",
            recorded("broken_null_stop_reason"),
            "transient invalid_output maybe paid",
        ),
        ("a text block without text", recorded("broken_text_without_text"), "transient invalid_output maybe paid"),
        (
            "a tool call whose input is text",
            recorded("broken_tool_input_is_text"),
            "transient invalid_output maybe paid",
        ),
        (
            "a call of a tool that was not offered",
            recorded("broken_tool_not_offered"),
            "transient invalid_output maybe paid",
        ),
        (
            "a stream without its first event",
            recorded("stream_no_message_start"),
            "transient invalid_output maybe paid",
        ),
        ("a stream that ends in [DONE]", recorded("stream_ends_in_done"), "transient invalid_output maybe paid"),
        ("another API's stream", recorded("stream_chat_completion"), "transient invalid_output maybe paid"),
        ("an answer that paused", recorded("unfinished_pause_turn"), "paused"),
        ("a stream that paused", recorded("stream_pause_turn"), "paused"),
        ("an empty 200", recorded("broken_empty"), "transient invalid_output maybe paid"),
        ("a page with a 200", recorded("broken_html"), "transient invalid_output maybe paid"),
        ("a cut 200", recorded("broken_cut"), "transient invalid_output maybe paid"),
        ("another API's 200", recorded("broken_chat_completion"), "transient invalid_output maybe paid"),
        ("an error object with a 200", recorded("error_in_200"), "transient server maybe paid"),
    ]
}

/// Returns the rows for responses that have only a status.
pub fn statuses() -> Vec<Row> {
    vec![
        ("301", bare(301), "halt: redirect"),
        ("304", bare(304), "halt: redirect"),
        ("308", bare(308), "halt: redirect"),
        ("400", bare(400), "rejected invalid_request"),
        ("401", bare(401), "halt: key"),
        ("402", bare(402), "halt: account"),
        ("403", bare(403), "forbidden"),
        ("404", bare(404), "no model"),
        ("405", bare(405), "rejected invalid_request"),
        ("407", bare(407), "halt: proxy"),
        ("408", bare(408), "transient timeout"),
        ("409", bare(409), "transient server"),
        ("412", bare(412), "rejected invalid_request"),
        ("413", bare(413), "rejected too_large"),
        ("415", bare(415), "rejected invalid_request"),
        ("418", bare(418), "rejected invalid_request"),
        ("422", bare(422), "rejected invalid_request"),
        ("425", bare(425), "transient server"),
        ("429", bare(429), "limited by concurrency"),
        ("431", bare(431), "rejected invalid_request"),
        ("499", bare(499), "rejected invalid_request"),
        ("500", bare(500), "transient server"),
        ("501", bare(501), "transient server"),
        ("502", bare(502), "transient server maybe paid"),
        ("503", bare(503), "transient server"),
        ("504", bare(504), "transient timeout maybe paid"),
        ("520", bare(520), "transient server maybe paid"),
        ("522", bare(522), "transient timeout"),
        ("524", bare(524), "transient timeout maybe paid"),
        ("529", bare(529), "overloaded"),
        ("599", bare(599), "transient server"),
        ("204", bare(204), "transient invalid_output maybe paid"),
    ]
}

/// Returns the rows for the different kinds of 429.
pub fn limits() -> Vec<Row> {
    let limit = ("anthropic-ratelimit-input-tokens-limit", "30000");
    let rate = body("rate_limit_error", "slow down", "");
    let coded = |code| body("rate_limit_error", "no", code);
    vec![
        ("retry-after", of(429, &[RETRY], &rate), "limited by rate after 7s"),
        ("rate headers", of(429, &[limit], &rate), "limited by rate"),
        ("neither", of(429, &[], &rate), "limited by concurrency"),
        ("nonsense for retry-after", of(429, &[("retry-after", "-1")], &rate), "limited by concurrency"),
        ("ms and s disagree", of(429, &[RETRY, ("retry-after-ms", "9500")], &rate), "limited by rate after 9.5s"),
        ("days", of(429, &[("retry-after-ms", "302539000")], &rate), "limited by rate after 302539s"),
        ("a page from the edge", of(429, &[RETRY], "<html>Too many</html>"), "limited by rate after 7s"),
        ("ramp without retry-after", of(429, &[], &coded("ramp_limit_exceeded")), "limited by acceleration"),
        ("contract spend cap", of(429, &[], &coded("contract_spend_limit_reached")), "halt: account"),
        (
            "spend cap in spite of retry-after",
            of(429, &[RETRY], &coded("enforced_spend_limit_reached")),
            "halt: account",
        ),
        ("some other spend limit", of(429, &[], &coded("team_spend_limit_reached")), "halt: account"),
        (
            "some other spend limit that ends",
            of(429, &[RETRY], &coded("team_spend_limit_reached")),
            "limited by rate after 7s",
        ),
        ("an unknown code", of(429, &[RETRY], &coded("moon_phase")), "limited by rate after 7s"),
        ("x-should-retry: false", of(429, &[RETRY, SHOULD_NOT], &rate), "limited by rate after 7s"),
        (
            "a message about credit does not count here",
            of(429, &[RETRY], &body("rate_limit_error", "Your credit balance is too low", "")),
            "limited by rate after 7s",
        ),
    ]
}

/// Returns the rows for responses that report a problem with the account.
pub fn accounts() -> Vec<Row> {
    let bad = |message| of(400, &[], &body("invalid_request_error", message, ""));
    vec![
        ("low credit", bad("Your credit balance is too low to access the API"), "halt: account"),
        ("spend limit", bad("You have reached your specified API usage limits. Wait"), "halt: account"),
        ("workspace limit", bad("You have reached your specified workspace API usage limits."), "halt: account"),
        ("quoted in a prompt's error", bad("messages.0: Your credit balance is too low"), "rejected invalid_request"),
        (
            "linked organization's limit",
            of(402, &[], &body("billing_error", "no", "linked_organization_spend_limit_reached")),
            "halt: account",
        ),
        (
            "linked organization's billing",
            of(402, &[], &body("billing_error", "no", "linked_organization_billing_unavailable")),
            "halt: account",
        ),
        ("on hold", of(400, &[], &body("invalid_request_error", "no", "organization_on_hold")), "halt: account"),
        (
            "on hold, asked to retry",
            of(400, &[SHOULD], &body("invalid_request_error", "no", "organization_on_hold")),
            "halt: account",
        ),
        (
            "an image too large",
            of(400, &[], &body("invalid_request_error", "no", "image_dimensions_too_large")),
            "rejected invalid_request",
        ),
        (
            "a body sent too slowly",
            of(400, &[], &body("invalid_request_error", "no", "request_body_timeout")),
            "rejected invalid_request",
        ),
    ]
}

/// Returns the rows for responses with `x-should-retry`.
pub fn should_retry() -> Vec<Row> {
    let bad = body("invalid_request_error", "no", "");
    let failed = body("api_error", "no", "");
    vec![
        ("400, yes", of(400, &[SHOULD], &bad), "transient invalid_request"),
        ("413, yes", of(413, &[SHOULD], ""), "transient too_large"),
        ("409, no", of(409, &[SHOULD_NOT], ""), "rejected server"),
        ("500, no", of(500, &[SHOULD_NOT], &failed), "rejected server"),
        ("500, yes", of(500, &[SHOULD], &failed), "transient server"),
        ("500, nonsense", of(500, &[("x-should-retry", "maybe")], &failed), "transient server"),
        ("302, yes: never followed", of(302, &[SHOULD], ""), "halt: redirect"),
        ("401, yes: still the key", of(401, &[SHOULD], ""), "halt: key"),
        ("402, yes: still the account", of(402, &[SHOULD], ""), "halt: account"),
        ("403, yes: still forbidden", of(403, &[SHOULD], ""), "forbidden"),
        ("404, yes: still no model", of(404, &[SHOULD], ""), "no model"),
        ("529, no: overload has its own rule", of(529, &[SHOULD_NOT], ""), "overloaded"),
        ("200, no: written before the answer broke", of(200, &[SHOULD_NOT], ""), "transient invalid_output maybe paid"),
    ]
}

/// Returns the table rows for responses that report an overload.
pub fn overloads() -> Vec<Row> {
    let overloaded = body("overloaded_error", "Overloaded", "");
    vec![
        ("529 from the edge", of(529, &[], "<html>529</html>"), "overloaded"),
        ("500 of that type", of(500, &[], &overloaded), "overloaded"),
        ("503 of that type", of(503, &[RETRY], &overloaded), "overloaded after 7s"),
        (
            "compaction unavailable",
            of(529, &[], &body("overloaded_error", "no", "compaction_unavailable")),
            "overloaded",
        ),
        ("key management trouble", of(503, &[], &body("api_error", "no", "cmek_unavailable")), "transient server"),
    ]
}

/// Returns the rows for errors inside a stream.
pub fn streams() -> Vec<Row> {
    vec![
        ("overloaded_error", in_stream("overloaded_error"), "overloaded maybe paid"),
        ("api_error", in_stream("api_error"), "transient server maybe paid"),
        ("timeout_error", in_stream("timeout_error"), "transient timeout maybe paid"),
        ("rate_limit_error", in_stream("rate_limit_error"), "limited by rate maybe paid"),
        ("invalid_request_error", in_stream("invalid_request_error"), "rejected invalid_request maybe paid"),
        ("authentication_error", in_stream("authentication_error"), "halt: key maybe paid"),
        ("billing_error", in_stream("billing_error"), "halt: account maybe paid"),
        ("permission_error", in_stream("permission_error"), "forbidden maybe paid"),
        ("not_found_error", in_stream("not_found_error"), "no model maybe paid"),
        ("request_too_large", in_stream("request_too_large"), "rejected too_large maybe paid"),
        ("an unknown type", in_stream("cosmic_ray_error"), "transient server maybe paid"),
    ]
}

/// Returns the rows for failures without a response.
pub fn wire() -> Vec<Row> {
    vec![
        ("refused, unreachable, no such name", on_wire(WireErrorKind::Connect, false), "transient network"),
        ("a proxy that can't be reached", on_wire(WireErrorKind::Proxy, false), "transient network"),
        ("a proxy that wants a password", on_wire(WireErrorKind::ProxyAuth, false), "halt: proxy"),
        ("a certificate that is not valid", on_wire(WireErrorKind::Tls, false), "halt: tls"),
        ("no answer in time", on_wire(WireErrorKind::Timeout, true), "transient timeout maybe paid"),
        ("silence in the middle", on_wire(WireErrorKind::Idle, true), "transient timeout maybe paid"),
        ("a reset before it was written", on_wire(WireErrorKind::Broken, false), "transient network"),
        ("a reset after it", on_wire(WireErrorKind::Broken, true), "transient network maybe paid"),
        ("an answer larger than allowed", on_wire(WireErrorKind::TooLarge, true), "rejected invalid_output maybe paid"),
    ]
}

const RETRY: (&str, &str) = ("retry-after", "7");
const SHOULD: (&str, &str) = ("x-should-retry", "true");
const SHOULD_NOT: (&str, &str) = ("x-should-retry", "false");

/// Describes a verdict in a few words.
fn shown(verdict: &Verdict) -> String {
    let after = |wait: Option<std::time::Duration>| wait.map_or(String::new(), |wait| format!(" after {wait:?}"));
    let paid = if verdict.is_maybe_paid() { " maybe paid" } else { "" };
    match verdict {
        Verdict::Answered(message) => format!("answered {}", message.quality.name()),
        Verdict::Paused { .. } => format!("paused{paid}"),
        Verdict::Limited { kind, retry_after, .. } => {
            let kind = match kind {
                LimitKind::Rate => "rate",
                LimitKind::Acceleration => "acceleration",
                LimitKind::Concurrency => "concurrency",
            };
            format!("limited by {kind}{}{paid}", after(*retry_after))
        }
        Verdict::Overloaded { retry_after, .. } => format!("overloaded{}{paid}", after(*retry_after)),
        Verdict::Transient { class, retry_after, .. } => format!("transient {class}{}{paid}", after(*retry_after)),
        Verdict::Rejected { class, .. } => format!("rejected {class}{paid}"),
        Verdict::Forbidden(_) => format!("forbidden{paid}"),
        Verdict::NoModel(_) => format!("no model{paid}"),
        Verdict::Halt(HaltReason::Key(_)) => format!("halt: key{paid}"),
        Verdict::Halt(HaltReason::Account(_)) => format!("halt: account{paid}"),
        Verdict::Halt(HaltReason::Tls(_)) => format!("halt: tls{paid}"),
        Verdict::Halt(HaltReason::Proxy(_)) => format!("halt: proxy{paid}"),
        Verdict::Halt(HaltReason::Redirect { .. }) => format!("halt: redirect{paid}"),
        Verdict::Halt(other) => format!("halt: {other:?}"),
        Verdict::Aborted => format!("aborted{paid}"),
    }
}

fn body(kind: &str, message: &str, code: &str) -> String {
    let details = if code.is_empty() { "null".to_owned() } else { format!(r#"{{"error_code":"{code}"}}"#) };
    format!(
        r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}","details":{details}}},"request_id":"req_1"}}"#
    )
}

fn of(status: u16, headers: &[(&str, &str)], body: &str) -> String {
    let with_type = [&[("content-type", "application/json")], headers].concat();
    shown(&verdict(&Exchange::new(status, &with_type, body.as_bytes())))
}

fn bare(status: u16) -> String {
    of(status, &[], "")
}

fn in_stream(kind: &str) -> String {
    let body = format!("event: error\ndata: {}\n\n", body(kind, "no", ""));
    let limits = ("anthropic-ratelimit-requests-limit", "50");
    shown(&verdict(&Exchange::new(200, &[("content-type", "text/event-stream"), limits], body.as_bytes())))
}

/// Returns the verdict on a response.
pub fn verdict(exchange: &Exchange) -> Verdict {
    let now = "2026-11-20T09:14:02Z".parse().expect("a fixed instant");
    let signals = exchange::provider().read_head(&exchange.head, &|| now).signals;
    exchange::provider().judge(&exchange.head, exchange.decode(), &signals)
}

fn recorded(name: &str) -> String {
    shown(&verdict(&Exchange::load(name)))
}

fn on_wire(kind: WireErrorKind, maybe_sent: bool) -> String {
    let error = WireError { kind, maybe_sent, message: "it broke".to_owned() };
    shown(&classify::on_wire(error))
}
