//! Compares the facts of a run with the values that a plain JSON parser reads from the same lines.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::journal::{MemDisk, OpenMode};
use crate::watch::timeline::{Point, RunSpan};

const MODELS: [&str; 3] = ["claude-haiku-4-5", "claude-sonnet-5", "mo\"del"];
const QUALITIES: [&str; 4] = ["ok", "truncated", "refused", "unknown"];

#[test]
fn the_facts_equal_the_facts_of_a_plain_reading() {
    let mut random = fastrand::Rng::with_seed(22);
    for round in 0..20 {
        let lines: Vec<String> = (0..random.usize(0..400)).map(|row| line(row, &mut random)).collect();
        let disk = MemDisk::new();
        disk.put("out.jsonl", lines.concat().as_bytes());

        let facts = gather(files(), &disk, Timestamp::UNIX_EPOCH).expect("it can be read");

        let plain: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
        assert_eq!(seen(&facts), expected(&plain), "round {round}");
    }
}

#[test]
fn a_failure_counts_until_the_row_is_answered_and_each_class_has_examples() {
    let disk = MemDisk::new();
    let mut random = fastrand::Rng::with_seed(1);
    let mut named = |row| loop {
        // Lines with an `occurrence` are skipped: they are about rows without a name, and the error log has no such
        // rows.
        let line = line(row, &mut random);
        if !line.contains("occurrence") {
            return line;
        }
    };
    let answered: String = (0..5).map(&mut named).collect();
    let mut log: String = (0..5).map(|row| failure(row, "server", 100)).collect();
    log.extend((100..300).map(|row| failure(row, "timeout", 200)));
    log.push_str(&failure(100, "auth", 300));
    disk.put("out.jsonl", answered.as_bytes());
    disk.put("out.errors.jsonl", log.as_bytes());

    let failures = gather(files(), &disk, Timestamp::UNIX_EPOCH).expect("it can be read").failures;

    assert_eq!(failures.by_class, [(crate::domain::ErrorClass::Timeout, 199), (crate::domain::ErrorClass::Auth, 1)]);
    let labels: Vec<&str> = failures.examples.iter().map(|example| &*example.label).collect();
    assert_eq!((labels.len(), labels[0], labels[1], labels[2]), (50, "row-101", "row-100", "row-102"));
    assert_eq!((failures.unfinished, failures.is_rough), (0, false));
}

#[test]
fn a_run_without_files_is_empty_and_its_report_says_what_is_missing() {
    let facts = gather(files(), &MemDisk::new(), Timestamp::UNIX_EPOCH).expect("nothing is an error");

    assert_eq!((facts.totals, facts.failures.rows(), &facts.state), (Totals::default(), 0, &State::Ended));
    assert!(facts.missing[0].contains("no run folder"), "{:?}", facts.missing);
}

#[test]
fn a_damaged_timeline_is_not_an_error() {
    let whole = serde_json::to_string(&timeline(true)).expect("it is JSON");
    for (text, words) in [
        ("", "is damaged"),
        (&whole[..whole.len() / 2], "is damaged"),
        ("{\"v\":1,\"points\":[{\"s\":\"x\"}]}", "is damaged"),
        (&whole.replacen("\"v\":1", "\"v\":2", 1), "a later claude-batch"),
        (&" ".repeat(5 << 20), "the file is larger than 4 MiB"),
    ] {
        let disk = in_folder(text);

        let facts = gather(files(), &disk, Timestamp::UNIX_EPOCH).expect("it can be read");

        assert!(facts.timeline.is_none() && facts.missing.iter().any(|missing| missing.contains(words)), "{words}");
    }
    let facts = gather(files(), &in_folder(&whole), Timestamp::UNIX_EPOCH).expect("it can be read");
    assert_eq!((facts.timeline, facts.state), (Some(timeline(true)), State::Finished));
}

#[test]
fn a_run_that_did_not_end_by_itself_and_holds_no_lock_was_killed() {
    let text = serde_json::to_string(&timeline(false)).expect("it is JSON");
    let disk = in_folder(&text);

    let facts = gather(files(), &disk, Timestamp::UNIX_EPOCH).expect("it can be read");

    assert_eq!(facts.state, State::Killed);
}

#[test]
fn a_run_that_holds_the_lock_is_in_progress_whatever_the_timeline_says() {
    for has_ended in [false, true] {
        let disk = in_folder(&serde_json::to_string(&timeline(has_ended)).expect("it is JSON"));
        disk.put("out.jsonl.run/lock", b"");
        disk.put("out.jsonl.run/holder", b"7");
        let lock = disk.open(Path::new("out.jsonl.run/lock"), OpenMode::Edit).expect("it is there");
        lock.try_lock().expect("it can be locked");

        let facts = gather(files(), &disk, Timestamp::UNIX_EPOCH).expect("it can be read");

        assert_eq!(facts.state, State::Running { process: Some(7) });
    }
}

fn files() -> RunFiles<'static> {
    RunFiles { results: Some(Path::new("out.jsonl")), errors: Some(Path::new("out.errors.jsonl")) }
}

fn in_folder(timeline: &str) -> MemDisk {
    let disk = MemDisk::new();
    disk.create_folder(Path::new("out.jsonl.run")).expect("it can be made");
    disk.put("out.jsonl.run/timeline.json", timeline.as_bytes());
    disk
}

fn timeline(has_ended: bool) -> Timeline {
    let run = RunSpan { has_ended, ..RunSpan::default() };
    Timeline { v: 1, runs: vec![run], points: vec![Point { s: 1.0, ..Point::default() }], ..Timeline::default() }
}

/// Returns a result line in a random form. The members of the line can be in another order, and the line can contain
/// escapes. The answer can come from a batch, belong to an unnamed row, or be copied from another row.
fn line(row: usize, random: &mut fastrand::Rng) -> String {
    let mut meta =
        vec![("v", json!(1)), ("run", json!("r1")), ("index", json!(row)), ("key", json!(format!("k1:{row:032x}")))];
    if random.u8(0..4) == 0 {
        meta.push(("occurrence", json!(row)));
    }
    let is_taken = random.u8(0..5) == 0;
    let number = |random: &mut fastrand::Rng, most: u64| if is_taken { 0 } else { random.u64(0..most) };
    let usage = json!({"input_tokens": number(random, 900), "cache_write_5m_tokens": number(random, 9),
        "cache_write_1h_tokens": number(random, 3), "cache_read_tokens": number(random, 99),
        "output_tokens": number(random, 500), "web_searches": number(random, 2)});
    let latency = if is_taken { Value::Null } else { json!(random.u64(1..100_000)) };
    let cost = if random.u8(0..6) == 0 { Value::Null } else { json!(random.u32(0..900) as f64 / 1_000.0) };
    let second = 1_795_000_000 + random.i64(0..9_000);
    let at = Timestamp::from_second(second).expect("it is a time").strftime("%Y-%m-%dT%H:%M:%S.250Z").to_string();
    meta.extend([
        ("model", json!(MODELS[random.usize(0..3)])),
        ("template", json!("00000000000000aa")),
        ("estimated_input", json!(3)),
        ("lane", json!(if random.u8(0..3) == 0 { "batch" } else { "online" })),
        ("provider", json!("anthropic")),
        ("attempts", json!(number(random, 4))),
        ("usage", usage),
        ("maybe_paid", json!(number(random, 2))),
        ("quality", json!(QUALITIES[random.usize(0..4)])),
        ("latency_ms", latency),
        ("cost_usd", cost),
        ("price_date", json!("2026-11-24")),
        ("request_id", Value::Null),
        ("started_at", Value::Null),
        ("ended_at", json!(at)),
    ]);
    if is_taken {
        meta.push(match random.bool() {
            true => ("copied_from", json!("row-1")),
            false => ("reused_from", json!({"run": "r0", "custom_id": "x"})),
        });
        meta.push(("saved_usd", json!(0.25)));
    }
    if random.u8(0..3) == 0 {
        random.shuffle(&mut meta);
    }
    let meta: Vec<String> = meta.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    let label = if random.u8(0..5) == 0 { format!("row\\u002d{row}") } else { format!("row-{row}") };
    format!(
        "{{\"custom_id\":\"{label}\",\"result\":{{\"type\":\"succeeded\",\"message\":{{\"text\":\"{{ }}\"}}}},\"meta\":{{{}}}}}\n",
        meta.join(",")
    )
}

fn failure(row: usize, class: &str, second: i64) -> String {
    let at = Timestamp::from_second(second).expect("it is a time");
    let error = json!({"class": class, "status": 500, "message": "no", "attempts": 2, "key": format!("k1:{row:032x}"),
        "last_at": at.to_string(), "run": "r1", "results": "out.jsonl", "maybe_paid": 0});
    format!("{}\n", json!({"custom_id": format!("row-{row}"), "params": {}, "error": error}))
}

/// Returns the values in the facts, by their names.
fn seen(facts: &RunFacts) -> BTreeMap<String, String> {
    let answers = &facts.answers;
    let totals = &answers.totals;
    let mut seen = BTreeMap::new();
    let mut add = |name: &str, value: String| drop(seen.insert(name.to_owned(), value));
    add("qualities", format!("{:?}", [totals.ok, totals.truncated, totals.refused, totals.unknown]));
    let usage = &facts.totals.usage;
    add("tokens", format!("{:?}", [usage.input_tokens, usage.cache_read_tokens, usage.output_tokens]));
    add("spend", facts.totals.spend.0.to_string());
    add("maybe paid", facts.totals.maybe_paid.to_string());
    add("latencies", format!("{} {}", answers.latency.count(), answers.longest_ms));
    add("attempts", format!("{} {}", answers.attempts, answers.retried));
    add("sources", format!("{:?}", [answers.batch, answers.copied, answers.reused, answers.unpriced]));
    add("saved", answers.saved.0.to_string());
    let models: BTreeMap<&str, u64> = answers.models.iter().map(|sum| (&*sum.model, sum.rows)).collect();
    add("models", format!("{models:?}"));
    let slowest: Vec<_> = answers.slowest.rows().map(|row| (row.label.clone(), row.latency_ms)).collect();
    add("slowest", format!("{slowest:?}"));
    add("dearest", format!("{:?}", answers.dearest.rows().map(|row| row.label.clone()).collect::<Vec<_>>()));
    let (_, pieces) = answers.rate.pieces();
    let sum = |of: fn(&super::super::facts::Ended) -> u64| pieces.iter().map(|(_, ended)| of(ended)).sum::<u64>();
    add("rate", format!("{} {}", sum(|ended| ended.ok), sum(|ended| ended.output)));
    seen
}

/// Computes the values from the lines in the simplest way, and returns them by name.
fn expected(lines: &[Value]) -> BTreeMap<String, String> {
    let mut expected = BTreeMap::new();
    let mut add = |name: &str, value: String| drop(expected.insert(name.to_owned(), value));
    let meta = |line: &Value, name: &str| line["meta"][name].clone();
    let number = |line: &Value, name: &str| meta(line, name).as_u64().unwrap_or_default();
    let usage = |line: &Value, name: &str| line["meta"]["usage"][name].as_u64().unwrap_or_default();
    let cost = |line: &Value, name: &str| (meta(line, name).as_f64().unwrap_or_default() * 1e12).round() as u128;
    let with = |is: &dyn Fn(&Value) -> bool| lines.iter().filter(|line| is(line)).count() as u64;
    let is_taken = |line: &Value| line["meta"].get("saved_usd").is_some();
    let is_batch = |line: &Value| meta(line, "lane") == "batch";
    add("qualities", format!("{:?}", QUALITIES.map(|quality| with(&|line| meta(line, "quality") == quality))));
    let tokens = ["input_tokens", "cache_read_tokens", "output_tokens"]
        .map(|name| lines.iter().map(|line| usage(line, name)).sum::<u64>());
    add("tokens", format!("{tokens:?}"));
    add("spend", lines.iter().map(|line| cost(line, "cost_usd")).sum::<u128>().to_string());
    add("maybe paid", lines.iter().map(|line| number(line, "maybe_paid")).sum::<u64>().to_string());
    let mut slow: Vec<&Value> =
        lines.iter().filter(|line| !meta(line, "latency_ms").is_null() && !is_batch(line)).collect();
    slow.sort_by_key(|line| std::cmp::Reverse(number(line, "latency_ms")));
    add("latencies", format!("{} {}", slow.len(), slow.first().map_or(0, |line| number(line, "latency_ms"))));
    let attempts = lines.iter().map(|line| number(line, "attempts")).sum::<u64>();
    add("attempts", format!("{attempts} {}", with(&|line| number(line, "attempts") > 1)));
    let sources = [
        with(&|line| is_batch(line) && !is_taken(line)),
        with(&|line| line["meta"].get("copied_from").is_some()),
        with(&|line| line["meta"].get("reused_from").is_some()),
        with(&|line| meta(line, "cost_usd").is_null() && !is_taken(line)),
    ];
    add("sources", format!("{sources:?}"));
    add("saved", lines.iter().map(|line| cost(line, "saved_usd")).sum::<u128>().to_string());
    let mut models: BTreeMap<String, u64> = BTreeMap::new();
    for line in lines {
        *models.entry(meta(line, "model").as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    add("models", format!("{models:?}"));
    let label = |line: &Value| line["custom_id"].as_str().unwrap_or_default().to_owned();
    let slowest: Vec<_> = slow.iter().take(10).map(|line| (label(line), Some(number(line, "latency_ms")))).collect();
    add("slowest", format!("{slowest:?}"));
    let mut dear: Vec<&Value> = lines.iter().filter(|line| cost(line, "cost_usd") > 0).collect();
    dear.sort_by_key(|line| std::cmp::Reverse(cost(line, "cost_usd")));
    add("dearest", format!("{:?}", dear.iter().take(10).map(|line| label(line)).collect::<Vec<_>>()));
    add("rate", format!("{} {}", lines.len(), tokens[2]));
    expected
}
