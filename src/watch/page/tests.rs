//! Tests of whole report pages.

use jiff::Timestamp;

use super::page;
use crate::domain::{ErrorClass, Money, Usage};
use crate::journal::{FailureText, Totals};
use crate::watch::facts::{Answers, Ended, Failures, ModelSum, RunFacts, State, TopRow};
use crate::watch::timeline::{Note, Point, PoolUse, RunSpan, Timeline};

const HOSTILE: &str =
    "<img src=http://h.example.invalid onerror=alert(1)>\"'&\u{1b}[31m</title></style><script>x</script>";

#[test]
fn texts_from_files_make_no_markup() {
    let html = page(&facts(HOSTILE, 3));

    for part in ["<img", "<script", "onerror=alert(1)>", "</title></style>", "\u{1b}"] {
        assert!(!html.contains(part), "{part}");
    }
    assert!(html.contains("&lt;img src=http://h.example.invalid") && html.contains("\\u{1b}[31m"));
}

#[test]
fn a_page_refers_to_nothing_outside() {
    let html = page(&facts("row", 300));

    for part in
        ["src=", "href", "url(", "@import", "http:", "https:", "<script", "<link", "<iframe", "<object", "<form"]
    {
        assert!(!html.contains(part), "{part}");
    }
    assert!(html.contains("content=\"default-src 'none'; style-src 'unsafe-inline'\""));
}

#[test]
fn every_number_of_the_facts_is_on_the_page() {
    let html = page(&facts("row", 3));

    for number in [
        "90,001",
        "803",
        "42",
        "7,007",
        "12,345",
        "6,789",
        "$4.56",
        "17 ms",
        "1 min 39 s",
        "2,048",
        "1,999",
        "$0.0321",
        "$1.50",
        "77",
        "3.5",
        "85%",
        "14",
        "2026-11-26 08:00:00",
        "a note",
        "in.jsonl",
        "resume out.errors.jsonl",
        "500",
        "Internal error",
    ] {
        assert!(html.contains(number), "{number}");
    }
}

#[test]
fn the_largest_page_has_less_than_2_mb_and_an_empty_page_is_whole() {
    let largest = page(&facts(&"&".repeat(400), 300));
    let empty = page(&RunFacts { timeline: None, answers: Answers::default(), ..facts("row", 0) });

    assert!(largest.len() < 2_000_000, "{}", largest.len());
    assert!(empty.ends_with("</html>\n") && !empty.contains("NaN"), "{empty}");
}

/// Returns facts about a run with `points` points. Every text in these facts is `text`.
fn facts(text: &str, points: usize) -> RunFacts {
    let begin = Timestamp::from_second(1_795_680_000).expect("it is a time");
    let mut answers = Answers {
        totals: Totals { ok: 90_001, truncated: 803, refused: 42, unknown: 7_007, ..Totals::default() },
        longest_ms: 99_000,
        attempts: 12_345,
        retried: 6_789,
        ..Answers::default()
    };
    answers.latency.add_millis(17);
    answers.models = vec![ModelSum { model: text.to_owned(), rows: 1_999, ..ModelSum::default() }; 20];
    for at in 0..10 {
        let row = || TopRow { label: text.to_owned(), model: text.to_owned(), attempts: 2, ..TopRow::default() };
        answers.slowest.add(at, row);
        answers.dearest.add(at, || TopRow { cost: Money::from_dollars(0.0321), ..row() });
    }
    answers.rate.add(begin.as_second(), Ended { ok: 1, ..Ended::default() });
    let failure = FailureText {
        label: text.to_owned(),
        class: Some(ErrorClass::Server),
        status: Some(500),
        message: if text == "row" { "Internal error".to_owned() } else { text.to_owned() },
        attempts: 14,
    };
    let usage = Usage { input_tokens: 7_007, cache_read_tokens: 2_048, output_tokens: 12_345, ..Usage::default() };
    RunFacts {
        name: "out.jsonl".to_owned(),
        made_at: begin,
        tool: "1.2.3",
        state: State::Stopped(text.to_owned()),
        asked: vec![("Input".to_owned(), "in.jsonl".to_owned()), (text.to_owned(), text.to_owned())],
        answers,
        failures: Failures {
            by_class: vec![(ErrorClass::Server, 77)],
            examples: vec![failure; 50],
            ..Failures::default()
        },
        totals: Totals { usage, spend: Money::from_dollars(4.56), ..Totals::default() },
        dead_in_flight: 0,
        timeline: Some(timeline(text, begin, points)),
        missing: vec![text.to_owned()],
        next: vec![("Again:".to_owned(), "claude-batch resume out.errors.jsonl".to_owned())],
    }
}

fn timeline(text: &str, begin: Timestamp, points: usize) -> Timeline {
    let used = PoolUse { counted: [85, 40, 10], allowed: [Some(100.0), Some(100.0), None] };
    let point = |at: usize| Point {
        at: Timestamp::from_second(begin.as_second() + 60 * at as i64).expect("it is a time"),
        s: 60.0,
        ok: 1_999,
        failed: 3,
        in_flight: 3.5,
        bound: (0..8).map(|reason| (format!("{text} {reason}"), 7.0)).collect(),
        uses: (0..40).map(|pool| (pool, used)).collect(),
        ..Point::default()
    };
    let run = RunSpan {
        run: text.to_owned(),
        started_at: begin,
        ended_at: begin,
        has_ended: true,
        reason: Some(text.to_owned()),
        total: Some(100_000),
        planned_usd: Some([1.0, 1.5, 2.0]),
        ..RunSpan::default()
    };
    let words = if text == "row" { "a note" } else { text };
    Timeline {
        v: 1,
        runs: vec![run; 50],
        pools: vec![text.to_owned(); 40],
        points: (0..points).map(point).collect(),
        notes: vec![Note { at: begin, kind: "warning".to_owned(), text: words.to_owned() }; 300],
        ..Timeline::default()
    }
}
