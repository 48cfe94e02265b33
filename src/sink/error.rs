//! Writes the lines of failed rows. Each line is a valid input row with an additional member `error`. If an answer came
//! but was not accepted, the member `message` contains it. The line of a broken row (a row that could not be read) is
//! an exception.

use crate::clock::Instant;
use crate::domain::{ErrorClass, Failure, Identity, Money, Outcome, Params, Purpose, Request, Usage};
use crate::plan::Rejected;
use crate::source::{BrokenRow, KEPT_BYTES, looks_renamed, name_in_log};

use super::context::RecordContext;
use super::hint::hint;
use super::json::{Object, name};
use super::steps::{has_asked, write_asked};

/// The failure of a row.
pub(super) struct Fault<'a> {
    /// The class of the failure.
    pub(super) class: ErrorClass,
    /// The last failure of the row.
    pub(super) failure: &'a Failure,
    /// Whether the unchanged row can succeed in another run.
    pub(super) is_retryable: bool,
}

/// Appends the error line of a job. The line has the label, the merged parameters and the extra members of the row, and
/// the members `message` and `error`.
///
/// `message` is the message of an answer that was not accepted, byte for byte as the API sent it. Without such an
/// answer, the line has no member `message`. `error` can have `schema` and `steps`, which [`super::steps`] describes.
///
/// A later run identifies the row by `error.key`, and also by `error.occurrence` if the row has no label.
///
/// Members with a reserved name are written under another name, and `error.renamed` lists the new names.
///
/// `error.provider` is the provider that the last request was sent to. The line of a row that was not sent has no
/// `error.provider`.
///
/// If the row is not finished, `next` is the purpose of its next request, and the line has `error.next`.
pub(super) fn error_line(
    outcome: &Outcome,
    fault: Fault<'_>,
    next: Option<Purpose>,
    context: &RecordContext,
    out: &mut Vec<u8>,
) {
    let job = &outcome.job;
    let mut line = row(&job.custom_id, &job.request, out);
    extra_members(&mut line, &job.extra);
    if let Some(answer) = &fault.failure.answer {
        line.json(name!("message"), answer);
    }
    let mut error = Object::new(line.member(name!("error")));
    members_of_failure(&mut error, &fault);
    error.number(name!("attempts"), outcome.attempts.len() as u64);
    error.time(name!("first_at"), outcome.attempts.first().map(|attempt| context.clock.wall(attempt.started_at)));
    error.time(name!("last_at"), outcome.attempts.last().map(|attempt| context.clock.wall(attempt.ended_at)));
    let last_id = outcome.attempts.last().and_then(|attempt| attempt.request_id.as_deref());
    error.text(name!("request_id"), fault.failure.request_id.as_deref().or(last_id));
    if let Some(last) = outcome.attempts.last().filter(|last| !last.provider.is_empty()) {
        error.text(name!("provider"), &*last.provider);
    }
    error.text(name!("hint"), hint(fault.class, fault.failure, fault.is_retryable));
    error.text(name!("key"), &*job.key.to_string());
    match job.identity {
        Identity::Named => {}
        Identity::Nth(occurrence) => error.number(name!("occurrence"), u64::from(occurrence)),
    }
    renamed_members(&mut error, &job.extra);
    error.number(name!("index"), job.index);
    error.number(name!("maybe_paid"), u64::from(outcome.maybe_paid()));
    if outcome.maybe_cost() > Money::ZERO {
        error.money(name!("maybe_cost_usd"), Some(outcome.maybe_cost()));
    }
    if outcome.usage() != Usage::default() {
        error.usage(name!("usage"), &outcome.usage());
        error.money(name!("cost_usd"), outcome.cost());
    }
    if next.is_some() || has_asked(&outcome.attempts) {
        write_asked(&mut error, outcome, next);
    }
    members_of_run(&mut error, context);
    error.end();
    line.end();
    out.push(b'\n');
}

/// Appends the error line of a row that could not be read.
///
/// The form of the line: `{"custom_id":null,"raw":"<at most 4
/// KiB>","error":{"class":"invalid_input","source","line",…}}`. If the row's label could be read, it is in
/// `error.custom_id`. The member `custom_id` is always null, so no reader can take this line for the line of a readable
/// row with the same label. `now` is the time at which the row was read.
pub fn broken_line(row: &BrokenRow, context: &RecordContext, now: Instant, out: &mut Vec<u8>) {
    let mut line = Object::new(out);
    line.text(name!("custom_id"), None);
    line.text(name!("raw"), &*String::from_utf8_lossy(&row.raw[..row.raw.len().min(KEPT_BYTES)]));
    let mut error = Object::new(line.member(name!("error")));
    error.text(name!("class"), ErrorClass::InvalidInput.name());
    if let Some(label) = row.custom_id.as_deref() {
        error.text(name!("custom_id"), label);
    }
    error.text(name!("source"), &*row.origin.source);
    error.number(name!("line"), row.origin.line);
    error.number(name!("column"), row.column);
    error.number(name!("byte_offset"), row.byte_offset);
    error.number(name!("index"), row.index);
    error.text(name!("message"), &*row.message);
    members_of_unsent(&mut error, ErrorClass::InvalidInput, context, now);
    error.end();
    line.end();
    out.push(b'\n');
}

/// Appends the error line of a row that was rejected before it was sent. `now` is the time at which the row was
/// rejected.
///
/// Only the line of a row without a label has `error.key`, because a later run can't recognize such a row by its label.
/// The member `error.source` shows that no request of the row was sent.
pub(crate) fn rejected_line(rejected: &Rejected, context: &RecordContext, now: Instant, out: &mut Vec<u8>) {
    let mut line = row(&rejected.custom_id, &rejected.request, out);
    extra_members(&mut line, &rejected.extra);
    let mut error = Object::new(line.member(name!("error")));
    error.text(name!("class"), rejected.class.name());
    if let Identity::Nth(occurrence) = rejected.identity {
        error.text(name!("key"), &*rejected.key.to_string());
        error.number(name!("occurrence"), u64::from(occurrence));
    }
    renamed_members(&mut error, &rejected.extra);
    error.text(name!("source"), &*rejected.origin.source);
    error.number(name!("line"), rejected.origin.line);
    error.number(name!("index"), rejected.index);
    error.text(name!("message"), &*rejected.message);
    members_of_unsent(&mut error, rejected.class, context, now);
    error.end();
    line.end();
    out.push(b'\n');
}

fn row<'a>(custom_id: &str, request: &Request, out: &'a mut Vec<u8>) -> Object<'a> {
    let mut line = Object::new(out);
    line.text(name!("custom_id"), custom_id);
    line.raw("params", request.json());
    line
}

fn extra_members(line: &mut Object<'_>, extra: &Params) {
    for (name, value) in &extra.0 {
        line.raw(&name_in_log(name, extra), value.get().as_bytes());
    }
}

/// Adds the list of the members whose names in the line are not the names in the row. Without a member whose name could
/// be in such a list, there is no list.
fn renamed_members(error: &mut Object<'_>, extra: &Params) {
    let names = || extra.0.iter().map(|(name, _)| (&**name, name_in_log(name, extra)));
    if names().any(|(_, in_log)| looks_renamed(&in_log)) {
        let renamed: Vec<_> = names().filter(|(own, in_log)| own != in_log).map(|(_, in_log)| in_log).collect();
        let json = serde_json::to_vec(&renamed).unwrap_or_default();
        error.json(name!("renamed"), &json);
    }
}

fn members_of_failure(error: &mut Object<'_>, fault: &Fault<'_>) {
    error.text(name!("class"), fault.class.name());
    error.number(name!("status"), fault.failure.status.map(u64::from));
    error.text(name!("type"), fault.failure.kind.as_deref());
    if let Some(code) = fault.failure.code.as_deref() {
        error.text(name!("code"), code);
    }
    error.text(name!("message"), &*fault.failure.message);
    error.truth(name!("retryable"), fault.is_retryable);
}

fn members_of_unsent(error: &mut Object<'_>, class: ErrorClass, context: &RecordContext, now: Instant) {
    error.truth(name!("retryable"), false);
    error.number(name!("attempts"), 0);
    let now = context.clock.wall(now);
    error.time(name!("first_at"), Some(now));
    error.time(name!("last_at"), Some(now));
    error.text(name!("hint"), hint(class, &Failure::default(), false));
    error.number(name!("maybe_paid"), 0);
    members_of_run(error, context);
}

fn members_of_run(error: &mut Object<'_>, context: &RecordContext) {
    error.text(name!("run"), &*context.run);
    error.text(name!("results"), context.results.as_deref());
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::value::RawValue;

    use super::super::outcome_line;
    use super::*;
    use crate::clock::RunClock;
    use crate::domain::{
        AttemptRecord, Ended, Job, JobId, JobKey, Message, Money, Origin, Purpose, Quality, RowId, SchemaMethod,
    };

    const NASTY: [&str; 6] = [
        "plain",
        "quote \" backslash \\ slash /",
        "line\nbreak\r\n tab\t nul\0 esc\x1b[31m",
        "separators \u{2028}\u{2029}\u{85}",
        "emoji \u{1f600} e\u{301} \u{202e}rtl",
        "",
    ];

    #[test]
    fn a_result_line_with_difficult_text_can_be_read_back() {
        for text in NASTY {
            let body = serde_json::json!({"content": [{"type": "text", "text": text}]});
            let message = format!("{{\n \"m\": {body}\r\n}}");
            let outcome = outcome(text, Identity::Nth(2), answered(&message));

            let line = rendered(&outcome);

            assert_eq!(line["custom_id"], text);
            assert_eq!(line["result"]["type"], "succeeded");
            assert_eq!(line["result"]["message"]["m"], body);
            assert_eq!((&line["meta"]["occurrence"], &line["meta"]["index"]), (&2.into(), &12.into()));
            assert_eq!(line["meta"]["cost_usd"], 0.0003);
            assert_eq!(line["meta"]["latency_ms"], 2500);
            assert_eq!(line["meta"]["started_at"], "1970-01-01T00:00:01.000Z");
            assert_eq!(line["meta"]["usage"]["output_tokens"], 14);
            assert_eq!(line["meta"]["maybe_paid"], 1);
        }
    }

    #[test]
    fn an_error_line_is_the_row_again_with_its_extra_members() {
        for text in NASTY {
            let mut outcome = outcome(text, Identity::Named, failed(text));
            outcome.job.extra.set("note", raw(&Value::from(text).to_string()));
            outcome.job.extra.set("error", raw("[1,\n2]"));

            let line = rendered(&outcome);

            assert_eq!(line["custom_id"], text);
            assert_eq!(line["params"]["max_tokens"], 5);
            assert_eq!(line["note"], text);
            assert_eq!(line["_error"], serde_json::json!([1, 2]));
            assert_eq!((&line["error"]["class"], &line["error"]["index"]), (&"server".into(), &12.into()));
            assert_eq!(line["error"]["message"], text);
            assert_eq!(line["error"]["results"], "out.jsonl");
            assert_eq!(line["error"].get("occurrence"), None);
            assert_eq!(line["error"]["renamed"], serde_json::json!(["_error"]));
        }
    }

    #[test]
    fn an_error_line_has_the_whole_answer_and_keeps_the_rows_own_member_of_the_same_name() {
        let mut outcome = outcome("a", Identity::Named, failed("it is no JSON"));
        outcome.job.extra.set("message", raw("\"of the row\""));
        let before = rendered(&outcome);
        let Ended::Failed { failure, .. } = &mut outcome.ended else { unreachable!() };
        failure.answer = Some("{\n \"type\": \"message\", \"x\": 1.50\r\n}".into());

        let mut out = Vec::new();
        outcome_line(&outcome, &context(), &mut out);

        let line = one_line(&out);
        assert_eq!((&line["_message"], &line["message"]["type"]), (&"of the row".into(), &"message".into()));
        let text = String::from_utf8(out).expect("it is UTF-8");
        assert!(text.contains(r#", "x": 1.50"#) && text.contains(r#"},"error":{"class":"#), "{text}");
        assert_eq!((before.get("message"), &before["_message"]), (None, &"of the row".into()));
    }

    #[test]
    fn an_error_line_has_a_list_of_renamed_members_only_if_a_name_could_be_in_it() {
        let renamed = |names: &[&str]| {
            let mut outcome = outcome("a", Identity::Named, failed("no"));
            names.iter().for_each(|name| outcome.job.extra.set(name, raw("1")));
            rendered(&outcome)["error"].get("renamed").cloned()
        };

        assert_eq!((renamed(&["note", "_note"]), renamed(&["_body"])), (None, Some(serde_json::json!([]))));
        assert_eq!(renamed(&["_body", "body", "url"]), Some(serde_json::json!(["__body", "_url"])));
    }

    #[test]
    fn lines_list_the_requests_that_were_answered_if_there_are_several() {
        let mut answered = outcome("a", Identity::Named, answered("{}"));
        let mut second = answered.attempts[1].clone();
        (second.purpose, second.max_tokens, second.quality) = (Purpose::MoreRoom, 20, Some(Quality::Ok));
        (second.request_id, second.cost, second.schema_method) = (None, None, Some(SchemaMethod::StrictTool));
        answered.attempts[1].quality = Some(Quality::Truncated);
        let one_answer = rendered(&answered);
        answered.attempts.push(second);
        let failure = Outcome { ended: failed("no"), ..answered.clone() };

        let (result, error) = (rendered(&answered), rendered(&failure));

        assert_eq!((one_answer["meta"].get("steps"), one_answer["meta"].get("schema")), (None, None));
        let usage = serde_json::json!({"input_tokens": 3, "cache_write_5m_tokens": 0, "cache_write_1h_tokens": 0,
            "cache_read_tokens": 0, "output_tokens": 7, "web_searches": 0});
        let steps = serde_json::json!([
            {"purpose": "first", "provider": "anthropic", "model": "m", "max_tokens": 5, "quality": "truncated",
                "usage": usage, "cost_usd": 0.00015, "request_id": "req_1"},
            {"purpose": "more_room", "provider": "anthropic", "model": "m", "max_tokens": 20, "quality": "ok",
                "usage": usage, "cost_usd": null, "request_id": null},
        ]);
        assert_eq!((&result["meta"]["steps"], &error["error"]["steps"]), (&steps, &steps));
        assert_eq!(
            (&result["meta"]["schema"], &error["error"]["schema"]),
            (&"strict_tool".into(), &"strict_tool".into())
        );
    }

    #[test]
    fn a_row_with_a_schema_and_one_answer_has_the_schema_and_no_steps() {
        let mut outcome = outcome("a", Identity::Named, answered("{}"));
        outcome.attempts.remove(0);
        outcome.attempts[0].schema_method = Some(SchemaMethod::Format);

        let line = rendered(&outcome);

        assert_eq!((&line["meta"]["schema"], line["meta"].get("steps")), (&"format".into(), None));
    }

    #[test]
    fn the_steps_of_a_row_show_where_it_was_sent_before_another_provider_answered() {
        let mut outcome = outcome("a", Identity::Named, answered("{}"));
        let [failed, last] = [0, 1].map(|at: usize| outcome.attempts[at].clone());
        let last = AttemptRecord { provider: "bedrock".into(), model: "anthropic.m".into(), ..last };
        outcome.attempts = vec![failed.clone(), failed.clone(), AttemptRecord { quality: Some(Quality::Ok), ..last }];

        let line = rendered(&outcome);

        let of = |step: &Value| ["provider", "model", "failed", "quality"].map(|name| step[name].clone());
        let steps: Vec<_> = line["meta"]["steps"].as_array().expect("it has steps").iter().map(of).collect();
        let (none, text) = (Value::Null, |text: &str| Value::from(text));
        let expected = [
            [text("anthropic"), text("m"), text("server"), none.clone()],
            [text("bedrock"), text("anthropic.m"), none, text("ok")],
        ];
        assert_eq!(steps, expected);
        assert_eq!((&line["meta"]["provider"], &line["meta"]["model"]), (&text("bedrock"), &text("anthropic.m")));
        assert_eq!(line["meta"]["attempts"], 3);
    }

    #[test]
    fn a_row_that_failed_at_every_provider_has_a_step_for_each() {
        let mut outcome = outcome("a", Identity::Named, failed("no"));
        let failed = outcome.attempts[0].clone();
        let other =
            AttemptRecord { provider: "bedrock".into(), failed: Some(ErrorClass::Overloaded), ..failed.clone() };
        outcome.attempts = vec![failed.clone(), failed, other.clone(), other];

        let line = rendered(&outcome);

        let steps = line["error"]["steps"].as_array().expect("it has steps");
        let of = |name: &str| steps.iter().map(|step| step[name].as_str().unwrap_or_default()).collect::<Vec<_>>();
        assert_eq!((of("provider"), of("failed")), (vec!["anthropic", "bedrock"], vec!["server", "overloaded"]));
    }

    #[test]
    fn a_row_that_stayed_with_one_provider_has_no_steps() {
        let mut outcome = outcome("a", Identity::Named, answered("{}"));
        // An earlier version of the program sent the first request, and did not record the provider of this request.
        outcome.attempts[0].provider = "".into();

        assert_eq!(rendered(&outcome)["meta"].get("steps"), None);
    }

    #[test]
    fn a_broken_line_keeps_at_most_4_kib_and_has_no_top_level_label() {
        let row = BrokenRow { custom_id: Some("a".to_owned()), index: 41, ..broken(&[b'\xff'; 5000]) };
        let mut out = Vec::new();

        broken_line(&row, &context(), Instant::ZERO, &mut out);

        let line = one_line(&out);
        assert_eq!(line["custom_id"], Value::Null);
        assert_eq!(line["error"]["custom_id"], "a");
        assert_eq!((&line["error"]["line"], &line["error"]["index"]), (&7.into(), &41.into()));
        assert_eq!(line["raw"].as_str().map(|raw| raw.chars().count()), Some(4096));
    }

    #[test]
    fn a_rejected_line_is_a_valid_row_with_a_key_only_if_the_row_has_no_label() {
        let mut rejected = Rejected {
            custom_id: "big".to_owned(),
            origin: origin(),
            index: 41,
            key: JobKey([0; 16]),
            identity: Identity::Nth(2),
            request: Request::of(&params()),
            extra: Params(vec![("customer".into(), RawValue::from_string("7".to_owned()).expect("7 is JSON"))]),
            class: ErrorClass::TooLarge,
            message: "300,000 tokens, the model takes 200,000".to_owned(),
        };
        let mut out = Vec::new();

        rejected_line(&rejected, &context(), Instant::ZERO, &mut out);

        let line = one_line(&out);
        assert_eq!(line["params"]["model"], "m");
        assert_eq!(line["customer"], 7);
        assert_eq!(line["error"]["class"], "too_large");
        assert_eq!((&line["error"]["occurrence"], &line["error"]["index"]), (&2.into(), &41.into()));
        assert_eq!(line["error"]["key"], "k1:00000000000000000000000000000000");

        rejected.identity = Identity::Named;
        out.clear();
        rejected_line(&rejected, &context(), Instant::ZERO, &mut out);
        assert_eq!((one_line(&out)["error"].get("key"), one_line(&out)["error"].get("occurrence")), (None, None));
    }

    fn rendered(outcome: &Outcome) -> Value {
        let mut out = Vec::new();
        outcome_line(outcome, &context(), &mut out);
        one_line(&out)
    }

    fn one_line(out: &[u8]) -> Value {
        let (last, line) = out.split_last().expect("a line was written");
        assert_eq!(*last, b'\n');
        assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
        serde_json::from_slice(line).expect("the line is JSON")
    }

    fn context() -> RecordContext {
        RecordContext {
            run: "r1".into(),
            clock: RunClock::start_at(jiff::Timestamp::UNIX_EPOCH),
            price_date: Some("2026-08-22".into()),
            results: Some("out.jsonl".into()),
        }
    }

    fn outcome(custom_id: &str, identity: Identity, ended: Ended) -> Outcome {
        let usage = Usage { input_tokens: 3, output_tokens: 7, ..Usage::default() };
        let attempt = |from: u64, until: u64, failed: Option<ErrorClass>| AttemptRecord {
            started_at: Instant::from_millis(from),
            ended_at: Instant::from_millis(until),
            failed,
            maybe_paid: failed.is_some(),
            usage,
            cost: Some(Money(150_000_000)),
            request_id: Some("req_1".to_owned()),
            max_tokens: 5,
            template: 7,
            estimated_input: 12,
            ..AttemptRecord::new("anthropic", "m")
        };
        let job = Job {
            id: JobId(4),
            custom_id: custom_id.to_owned(),
            key: JobKey([7; 16]),
            identity,
            row: RowId { label: 0, key: 0 },
            request: Request::of(&params()),
            extra: Params::default(),
            origin: origin(),
            index: 12,
        };
        let attempts = vec![attempt(1000, 1500, Some(ErrorClass::Server)), attempt(3000, 3500, None)];
        Outcome { job: Box::new(job), attempts, ended }
    }

    fn answered(message: &str) -> Ended {
        Ended::Succeeded(Message {
            json: message.to_owned().into(),
            usage: Usage::default(),
            quality: Quality::Ok,
            content: 0..0,
        })
    }

    fn failed(message: &str) -> Ended {
        let failure = Failure { status: Some(500), message: message.to_owned(), ..Failure::default() };
        Ended::Failed { class: ErrorClass::Server, failure, is_retryable: true }
    }

    fn broken(raw: &[u8]) -> BrokenRow {
        BrokenRow {
            origin: origin(),
            index: 6,
            custom_id: None,
            column: Some(3),
            byte_offset: 90,
            raw: raw.to_vec(),
            message: "no JSON".to_owned(),
            input: None,
        }
    }

    fn params() -> Params {
        Params(vec![("model".into(), raw("\"m\"")), ("max_tokens".into(), raw("5"))])
    }

    fn origin() -> Origin {
        Origin { source: "in.jsonl".into(), line: 7 }
    }

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect("the test writes JSON")
    }
}
