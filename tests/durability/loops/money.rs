//! Honest money: what may have been paid without a kept answer is counted where people and programs look.

use std::fs;

use serde_json::Value;

use super::program::{Api, Outcome, Place};

/// Two of twenty rows break off in the middle of their first answer, which is charged.
const BROKEN: &str = r#"{"rules":[{"kind":"reset_mid","contains":"tenth","first_attempts_only":true,"at":0.5}]}"#;

/// Ambiguous attempts that are tried again: the summary and the lines count them, and so does the API.
pub fn retried_attempts_are_counted() {
    let (api, place) = (Api::start(BROKEN), Place::with_rows(20));

    let run = Outcome::of(place.loud(&api, &["run", "in.jsonl", "-o", "out.jsonl"]));

    assert_eq!((run.code, api.billed()), (Some(0), 22), "{run:?}");
    assert!(run.stderr.contains("2 answers may have been paid besides"), "{}", run.stderr);
    assert_eq!(sum_of(&place, "out.jsonl", "meta"), 2);
}

/// With `--no-retry-ambiguous` they are failures that say so, and `resume` asks again when told to.
pub fn attempts_that_are_not_retried_are_counted() {
    let (api, place) = (Api::start(BROKEN), Place::with_rows(20));

    let run = Outcome::of(place.loud(&api, &["run", "in.jsonl", "-o", "out.jsonl", "--no-retry-ambiguous"]));
    let (sent, charged) = (api.requests(), api.billed());
    let maybe_paid = sum_of(&place, "out.errors.jsonl", "error");
    let resumed = Outcome::of(place.loud(&api, &["resume", "out.errors.jsonl"]));

    assert_eq!((run.code, sent, charged, maybe_paid), (Some(3), 20, 20, 2), "{run:?}");
    assert!(run.stderr.contains("2 answers may have been paid besides"), "{}", run.stderr);
    assert_eq!((resumed.code, api.requests(), place.answers().map(|answers| answers.len())), (Some(0), 22, Ok(20)));
    // The entries are gone; what they said is not.
    assert_eq!(place.reported(), 2);
}

/// The sum of `maybe_paid` over a file's lines.
fn sum_of(place: &Place, name: &str, member: &str) -> u64 {
    let text = fs::read_to_string(place.path(name)).expect("it is text");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is JSON"));
    lines.map(|line| line[member]["maybe_paid"].as_u64().unwrap_or(0)).sum()
}
