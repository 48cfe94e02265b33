//! Checks every kind of JSON line against its schema in `fixtures/schemas`. The tests fail if a line has a member that
//! is not in the schema, so every member has a description. Other readers of these lines have to accept unknown
//! members.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use jsonschema::Validator;
use serde_json::Value;

use super::super::provider_states::tests::chain;
use super::super::stats::tests::{at, ended, in_batch, pool, started, status, succeeded};
use super::super::summary::tests::kinds_of_ends;
use super::super::use_of_limits::tests::limit_use;
use super::*;
use crate::domain::event::{Crossing, SteeredBy};
use crate::domain::{
    BatchesEnd, BatchesStatus, Dimension, Failure, FallbackCase, HaltReason, Interval, LimitKind, Money, Outage,
    Quality, RateLimits, Reason, RunForecast,
};

#[test]
fn every_event_is_as_its_schema_says() {
    let (schema, document) = schema("event");
    let (mut stats, mut shown) = (everything(), BTreeSet::new());
    for body in bodies() {
        let event = at(130, body);
        stats.fold(&event);
        let line = event_line(&event, &stats).unwrap_or_else(|| panic!("{event:?} has no line"));
        shown.insert(check(&schema, &line));
    }
    for stats in [Stats::default(), everything(), with_plan(), chain(), stats] {
        let line = progress_line(&at(130, EventBody::Skipped), &stats).expect("it is JSON");
        shown.insert(check(&schema, &line));
    }

    shown.insert(check(&schema, note("r1", "a message", at(1, EventBody::Skipped).at).as_bytes()));

    let described = document["oneOf"].as_array().expect("a list").iter();
    let described = described.map(|event| event["properties"]["type"]["const"].as_str().unwrap_or_default().to_owned());
    assert_eq!(shown, described.collect(), "each type is in the schema, and each is tested");
}

#[test]
fn every_reason_is_in_the_schema() {
    let (_, document) = schema("event");
    let names = document["$defs"]["reason"]["enum"].as_array().expect("a list");

    let known: Vec<_> = Reason::ALL.into_iter().map(|reason| Value::from(reason.name())).collect();

    assert_eq!(*names, known);
    assert_eq!(schema("summary").1["$defs"]["reason"], document["$defs"]["reason"]);
}

#[test]
fn the_summary_of_every_kind_of_end_is_as_its_schema_says() {
    let (schema, _) = schema("summary");
    let mut kinds = BTreeSet::new();
    for (name, stats, context) in kinds_of_ends() {
        let reason = stats.end_reason();
        let end =
            SummaryEnd { run: "r1", at: at(99, EventBody::Skipped).at, exit_code: 130, reason: reason.as_deref() };

        let line = summary_line(&stats, &context, end);

        assert_eq!(check(&schema, line.as_bytes()), "summary", "{name}");
        let document: Value = serde_json::from_str(&line).expect("it is JSON");
        kinds.insert(document["next"]["kind"].as_str().unwrap_or("none").to_owned());
        assert_eq!(document["next"]["argv"][0], "claude-batch", "{name}");
        let rows = &document["rows"];
        let sum = ["answered", "failed", "in_open_batches", "pending"].iter().filter_map(|kind| rows[kind].as_u64());
        assert!(rows["total"].is_null() || rows["total"] == sum.sum::<u64>(), "{name}: {rows}");
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["answers", "continue", "rerun", "retry"]);
}

#[test]
fn a_member_that_no_schema_describes_is_found() {
    let (schema, _) = schema("event");
    let line = br#"{"v":1,"at":"2026-11-24T00:00:00Z","run":"r1","type":"returned","to":"a","more":1}"#;

    assert!(!schema.is_valid(&serde_json::from_slice(line).expect("it is JSON")));
}

/// Checks a JSON line against its schema, and returns the type of the line.
fn check(schema: &Validator, line: &[u8]) -> String {
    let line: Value = serde_json::from_slice(line).expect("it is JSON");
    let errors: Vec<_> = schema.iter_errors(&line).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{line:#}");
    line["type"].as_str().expect("it has a type").to_owned()
}

/// Returns a schema that accepts no unknown members, and the JSON document of this schema.
fn schema(name: &str) -> (Validator, Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/schemas/{name}.schema.json"));
    let text = std::fs::read_to_string(path).expect("the schema can be read");
    let document: Value = serde_json::from_str(&text).expect("the schema is JSON");
    let mut closed = document.clone();
    close(&mut closed);
    (jsonschema::validator_for(&closed).expect("it is a schema"), document)
}

/// Changes a schema so that its objects accept no unknown members.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.get("type").is_some_and(|kind| kind == "object") && members.contains_key("properties") {
                members.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Returns events for each type of line except `progress`. Some events have all optional values, and the other events
/// have none of them.
fn bodies() -> Vec<EventBody> {
    let id = || pool("haiku-4.5", [None; 3]).pool;
    let held = |kind, dimension| EventBody::Held { pool: id(), wait: Duration::from_secs(1), kind, dimension };
    let crossing = |dimension| Crossing { pool: id(), dimension, threshold: 80, share: 0.81, is_above: true };
    let failure = Failure { status: Some(401), message: "no".to_owned(), ..Failure::default() };
    let key = || HaltReason::Key(failure.clone());
    let provider: std::sync::Arc<str> = "bedrock".into();
    let stopped = |reason| EventBody::ProviderStopped { provider: provider.clone(), reason: Box::new(reason) };
    let uses = vec![
        limit_use("haiku-4.5", [142, 12_000, 71_000], RateLimits::new(600, 450_000, 50_000), 92),
        limit_use("free", [1, 2, 3], RateLimits::NONE, 92),
    ];
    let refused = vec![("speed".to_owned(), 3)];
    let batches = Some(Box::new(BatchesEnd { left: 2, left_rows: 40, refused }));
    let of_run = |reason: Option<HaltReason>, uses| EventBody::Ended {
        pending: 7,
        reason: reason.map(Box::new),
        reasons: vec![(Reason::Limit(Dimension::OutputTokens), 0.83), (Reason::Draining, 0.17)],
        uses,
        elapsed: Duration::from_secs(92),
        max_in_flight: 64,
        batches: batches.clone(),
    };
    let why = |why| EventBody::Diverted { from: "anthropic".into(), to: "bedrock".into(), why };
    let steered = |by| EventBody::Steered { by, message: "paused".to_owned(), max_cost: None };
    let draining = |reason: Option<HaltReason>| EventBody::Draining { in_flight: 3, reason: reason.map(Box::new) };
    let cases = [
        FallbackCase::Limit,
        FallbackCase::Overload,
        FallbackCase::Endpoint,
        FallbackCase::Refusal,
        FallbackCase::Model,
        FallbackCase::Account,
    ];
    let mut bodies = vec![
        started(None, 0),
        started(Some(9), 3),
        EventBody::Providers(vec!["anthropic".into(), "bedrock".into()].into()),
        held(LimitKind::Rate, Some(Dimension::OutputTokens)),
        held(LimitKind::Acceleration, None),
        held(LimitKind::Concurrency, None),
        EventBody::LimitsChanged { pool: id(), limits: RateLimits { rpm: Some(9), ..RateLimits::NONE } },
        EventBody::Parked { model: "claude-nope".to_owned(), message: "model: claude-nope".to_owned() },
        stopped(key()),
        stopped(HaltReason::Signal(2)),
        EventBody::Returned { to: "anthropic".into() },
        EventBody::Warned("a warning".to_owned()),
        EventBody::Noted("a note\x1b".to_owned()),
        steered(SteeredBy::Ctl),
        steered(SteeredBy::Signal),
        steered(SteeredBy::Schedule),
        draining(None),
        draining(Some(key())),
        ended(),
        of_run(None, uses),
        of_run(Some(key()), Vec::new()),
    ];
    bodies.extend(cases.map(why));
    bodies.extend(Dimension::ALL.map(|dimension| EventBody::Crossed(crossing(dimension).into())));
    bodies
}

/// Returns the counters of a run. Every member of the objects that are made from these counters has a value.
fn everything() -> Stats {
    let mut stats = chain();
    let fault = Failure { status: Some(529), message: "Overloaded".to_owned(), ..Failure::default() };
    let (lasted, next_try) = (Duration::from_secs(42), Some(Duration::from_millis(2_500)));
    let outage = Outage { provider: "anthropic".into(), fault, lasted, next_try };
    stats.fold(&at(121, EventBody::Outage(Some(Box::new(outage)))));
    let batches = BatchesStatus { open: 2, rows: 40, next_look: Some(lasted), ..BatchesStatus::default() };
    stats.fold(&at(121, EventBody::Batches(Some(batches))));
    stats.fold(&at(122, in_batch()));
    for quality in [Quality::Truncated, Quality::Refused, Quality::Unknown] {
        stats.fold(&at(123, succeeded(quality)));
    }
    stats
}

/// Returns the counters of a run that has a forecast. These counters contain estimates of the run's end and cost.
fn with_plan() -> Stats {
    let mut stats = Stats::default();
    stats.fold(&at(0, started(Some(1_000), 0)));
    let cost = Some(Interval { low: 1.2, likely: 1.4, high: 1.8 }.map(Money::from_dollars));
    let time = Some(Interval { low: 100, likely: 140, high: 200 }.map(Duration::from_secs));
    stats.fold(&at(
        0,
        EventBody::Forecast(RunForecast { rows: 1_000, cost, at_most: None, time, leaves_out_batches: false }),
    ));
    (1..=90).for_each(|second| stats.fold(&at(second, succeeded(Quality::Ok))));
    stats.fold(&at(90, status(Reason::Window, vec![pool("haiku-4.5", [Some(0.5), None, Some(0.1)])])));
    assert!(stats.projected_cost().is_some() && stats.projected_end().is_some());
    stats
}
