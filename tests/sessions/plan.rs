//! Tests the command `plan`, and the forecast in the first line of a run.

use std::path::Path;

use claude_batch::domain::RateLimits;
use claude_batch::sim::config::{Latency, OutputLengths};
use serde_json::Value;

use crate::support::*;

/// Returns the JSON plan that a command printed.
#[track_caller]
fn plan(said: &Said) -> Value {
    said.ends_with(0);
    assert_eq!(said.out.lines().count(), 1, "{}", said.out);
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}", said.out))
}

/// Returns an API that gives answers of 40 tokens.
fn api() -> Api {
    Api::new(quick().with_lengths(OutputLengths::fixed(40)))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_plan_shows_cost_and_time_and_changes_nothing() {
    let folder = Folder::with_rows(200);

    let said = folder.run(&["plan", "prompts.jsonl", "--tier", "1"]);

    said.ends_with(0);
    for part in [
        "200 to send of prompts.jsonl",
        "cost    about $",
        "at most $",
        "prices of ",
        "time    about ",
        "% limited by requests per minute",
        "tier 1 (as of 2026-01-15)",
        "output: assumed, from 8 tokens to max_tokens, likely 256 (200 rows)",
        "--tier 2",
        "20, 9 and 9 times the limits on requests, input and output; deposit $40;",
        "requests a day",
        "as of 2026-01)",
        "--tier scale",
        "--map-model claude-haiku-4-5=claude-haiku-5-5",
    ] {
        assert!(said.out.contains(part), "{part:?} is missing in:\n{}", said.out);
    }
    assert!(said.out.starts_with("The run waits for the limit on requests"), "advice comes first:\n{}", said.out);
    assert_eq!(folder.names(), ["prompts.jsonl"]);
}

#[test]
fn a_plan_learns_from_a_trial_and_names_it() {
    let folder = Folder::with_rows(300);
    let api = api();
    folder.run_at(&api, &["run", "prompts.jsonl", "--limit", "50"]).ends_with(0);
    let before = folder.contents();

    let ours = plan(&folder.run_at(&api, &["plan", "prompts.jsonl", "--json"]));
    folder.write("other.jsonl", &rows(100).replace("Say the number", "Tell me about"));
    let other = plan(&folder.run_at(&api, &["plan", "other.jsonl", "--history", "prompts.results.jsonl", "--json"]));
    let swapped = plan(&folder.run_at(&api, &["plan", "--history", "prompts.results.jsonl", "other.jsonl", "--json"]));

    // All answers are cut off at 32 tokens.
    for (plan, rows) in [(&ours, 250.0), (&other, 100.0), (&swapped, 100.0)] {
        assert_eq!(number(&plan["rows"]["to_send"]), rows);
        assert_eq!(number(&plan["tokens"]["output"]["likely"]), 32.0 * rows, "{plan}");
        assert_eq!(
            (&plan["basis"]["history"]["answers"], number(&plan["basis"]["history"]["rows"])),
            (&50.into(), rows)
        );
        assert_eq!(plan["basis"]["history"]["results"][0]["path"], "prompts.results.jsonl");
        assert_eq!(plan["basis"]["history"]["results"][0]["origin"], api.url.as_str());
    }
    assert_eq!((number(&ours["rows"]["total"]), number(&ours["rows"]["done"])), (300.0, 50.0));
    assert!(number(&ours["spent_usd"]) > 0.0);
    assert!(ours["basis"]["limits"]["source"].as_str().is_some_and(|text| text.contains("a run learned")), "{ours}");
    let rest = folder.run_at(&api, &["run", "prompts.jsonl"]);
    rest.ends_with(0);
    let spent = api.books().billed_money.dollars();
    let (low, high) = (number(&ours["cost_usd"]["low"]), number(&ours["cost_usd"]["high"]));
    let planned = number(&ours["spent_usd"]);
    assert!((planned + low..=planned + high).contains(&spent), "{spent} instead of {planned} + {low} to {high}");
    for (path, bytes) in before {
        let is_kept = path.extension().is_some_and(|end| end == "jsonl") || bytes.is_empty() || path.exists();
        assert!(is_kept, "{}", path.display());
    }
}

#[test]
fn a_plan_says_what_is_cached_and_what_that_saves() {
    let folder = Folder::with_rows(300);
    folder.write("rules.txt", &"Sort each ticket by these rules, and answer with one word. ".repeat(600));
    folder.write("short.txt", &"Sort each ticket by these rules, and answer with one word. ".repeat(100));
    let words = |args: &[&str]| {
        let said = folder.run(&[&["plan", "prompts.jsonl", "--tier", "2"], args].concat());
        said.ends_with(0);
        said.out
    };

    let long = words(&["-s", "@rules.txt"]);
    let short = words(&["-s", "@short.txt"]);
    let off = words(&["-s", "@rules.txt", "--prompt-cache", "off"]);
    let json = plan(&folder.run(&["plan", "prompts.jsonl", "--tier", "2", "-s", "@rules.txt", "--json"]));
    let dry = folder.run(&["run", "prompts.jsonl", "-s", "@rules.txt", "--dry-run"]);

    assert!(long.contains("all 300 requests get cache marks, at 1 prefix that rows share (kept for 5 min)"), "{long}");
    assert!(long.contains("tokens read and") && long.contains("--prompt-cache off"), "{long}");
    assert!(short.contains("1 prefix that 300 rows share is too short") && short.contains("from 4,096"), "{short}");
    assert!(off.contains("off (--prompt-cache off)") && !off.contains("get cache marks"), "{off}");
    let cache = &json["cache"];
    assert_eq!((&cache["setting"], &cache["prefixes"], &cache["rows"]), (&"auto".into(), &1.into(), &300.into()));
    assert!(number(&cache["saved_usd"]) > 0.0 && number(&cache["read_tokens"]) > 1e6, "{cache}");
    let without = json["options"].as_array().and_then(|all| all.iter().find(|own| own["kind"] == "prompt_cache"));
    let saved =
        number(&without.expect("there is such an option")["cost_usd"]["likely"]) - number(&json["cost_usd"]["likely"]);
    assert!((saved - number(&cache["saved_usd"])).abs() < 1e-5, "{saved}: {cache}");
    dry.ends_with(0).tells(&["note: all 300 requests get cache marks", "the marks do not change what the model reads"]);
}

#[test]
fn a_plan_learns_from_a_rehearsal_too() {
    let folder = Folder::with_rows(60);
    folder.run(&["run", "prompts.jsonl", "--simulate", "--tier", "4"]).ends_with(0);

    let plan = plan(&folder.run(&["plan", "prompts.jsonl", "--history", "prompts.jsonl", "--json"]));

    let other = folder.run(&["plan", "prompts.jsonl", "-m", "claude-opus-5", "--history", "prompts.jsonl"]);
    assert!(other.out.contains("(not used: fewer"), "{}", other.out);
    assert_eq!(number(&plan["rows"]["to_send"]), 60.0, "the rehearsal has answered no row");
    assert_eq!(plan["basis"]["history"]["results"][0]["origin"], "simulator");
    assert_eq!(number(&plan["basis"]["history"]["rows"]), 60.0);
}

#[test]
fn the_api_counts_tokens_for_a_plan_and_charges_nothing() {
    let folder = Folder::with_rows(80);
    let config = quick();
    let api =
        Api::new(claude_batch::sim::config::SimConfig { token_skew: 1.5, count_tokens_rpm: Some(60_000), ..config });

    let counted =
        plan(&folder.run_at(&api, &["plan", "prompts.jsonl", "--count-tokens", "30", "--tier", "4", "--json"]));

    let rehearsed =
        folder.run(&["plan", "prompts.jsonl", "--count-tokens", "5", "--simulate", "--tier", "4", "--json"]);
    let without_key = folder.run(&["plan", "prompts.jsonl", "--count-tokens", "5"]);
    let books = api.books();
    assert_eq!((books.requests, books.billed_calls), (30, 0));
    assert_eq!(
        (number(&counted["basis"]["sample"]["counted"]), number(&counted["basis"]["sample"]["rows"])),
        (30.0, 80.0)
    );
    let input = &counted["tokens"]["input"];
    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0);
    let truth = api.books().billed.input_tokens as f64;
    assert!((number(&input["low"])..=number(&input["high"])).contains(&truth), "{truth}: {input}");
    assert_eq!(number(&plan(&rehearsed)["basis"]["sample"]["counted"]), 5.0);
    without_key.ends_with(2).tells(&["ANTHROPIC_API_KEY"]);
}

#[test]
fn a_refused_key_and_a_server_without_token_counts_are_reported() {
    let folder = Folder::with_rows(20);
    let mut config = quick();
    config.keys = claude_batch::sim::config::Keys::Only(["another".into()].into_iter().collect());
    let api = Api::new(config);

    let refused = folder.run_at(&api, &["plan", "prompts.jsonl", "--count-tokens", "5"]);

    refused.ends_with(2).tells(&["--count-tokens: the server refuses the key"]);
    assert!(!refused.err.contains(CANARY));
    assert_eq!(api.books().billed_calls, 0);
}

#[test]
fn a_deadline_and_a_budget_are_judged() {
    let folder = Folder::with_rows(600);
    let args = |rest: &[&'static str]| [&["plan", "prompts.jsonl", "--tier", "1"], rest].concat();

    let late = folder.run(&args(&["--deadline", "10s", "--max-cost", "0.001"]));
    let early = folder.run(&args(&["--deadline", "6h", "--max-cost", "100", "--json"]));

    late.ends_with(0);
    for part in ["not enough", "the likely cost is", "missed by at least", "--max-cost <$0.01"] {
        let part = part.replace("<$0.01", "$0.001");
        assert!(late.out.contains(&part), "{part:?} is missing in:\n{}", late.out);
    }
    let early = plan(&early);
    assert_eq!((&early["deadline"]["verdict"], &early["max_cost"]["verdict"]), (&"fits".into(), &"fits".into()));
    assert!(number(&early["deadline"]["spare_s"]) > 0.0 && number(&early["max_cost"]["spare_usd"]) > 0.0);
    folder.run(&args(&["--deadline", "2020-01-01"])).ends_with(2).tells(&["--deadline 2020-01-01", "is in the past"]);
    folder.run(&args(&["--deadline", "-5m"])).ends_with(2).tells(&["--deadline: \"-5m\" is not valid", "'mon 9:00'"]);
    folder.run(&args(&["--deadline", "soon"])).ends_with(2).tells(&["--deadline", "'mon 9:00'"]);
}

#[test]
fn a_plan_shows_what_batches_cost() {
    let folder = Folder::with_rows(600);
    let args = |rest: &[&'static str]| [&["plan", "prompts.jsonl", "--tier", "1"], rest].concat();

    let online = plan(&folder.run(&args(&["--json"])));
    let batch = plan(&folder.run(&args(&["--lane", "batch", "--batch-rows", "250", "--json"])));
    let words = folder.run(&args(&["--lane", "batch"]));
    let auto = folder.run(&args(&["--lane", "auto", "--deadline", "6h"]));

    let option = online["options"].as_array().and_then(|all| all.iter().find(|own| own["kind"] == "lane"));
    let option = option.expect("the plan shows the other lane");
    assert_eq!((&option["change"], &online["lane"]), (&"--lane batch".into(), &"online".into()));
    assert_eq!(option["cost_usd"], batch["cost_usd"]);
    let ratio = number(&batch["cost_usd"]["likely"]) / number(&online["cost_usd"]["likely"]);
    // The first row is sent online at the full price.
    assert!((ratio - 0.5 * 601.0 / 600.0).abs() < 1e-4, "{ratio}");
    assert_eq!((&batch["batches"]["batches"], &batch["batches"]["queue"]), (&3.into(), &100_000.into()));
    assert_eq!((&batch["time_s"]["high"], &batch["batches"]["stored_days"]), (&86_400.0.into(), &29.into()));
    for (said, parts) in [
        (&words, &["probably within 1 h, at most 24 h", "599 rows at half price, in 1 batch", "for 29 days"][..]),
        (&auto, &["sending rows online can meet the deadline: all rows can wait in batches until", ": met"]),
    ] {
        said.ends_with(0);
        parts.iter().for_each(|part| assert!(said.out.contains(part), "{part:?} is missing in:\n{}", said.out));
    }
}

#[test]
fn the_first_line_of_a_run_says_that_batches_cost_half_and_whether_the_deadline_is_met() {
    let folder = Folder::with_rows(600);
    let run = |rest: &[&'static str]| {
        folder.run(&[&["run", "prompts.jsonl", "--tier", "1", "--simulate", "--dry-run"], rest].concat())
    };

    run(&["--lane", "batch"]).ends_with(0).tells(&["(half price in batches; prices of", "probably within 1 h"]);
    run(&["--deadline", "6h"]).ends_with(0).tells(&["deadline ", ": met, with at least"]);
    run(&["--deadline", "10s"]).ends_with(0).tells(&["deadline ", ": missed by at least"]);
    run(&["--deadline", "2020-01-01"]).ends_with(2).tells(&["--deadline 2020-01-01 ", "in the past, because it is 20"]);
}

#[test]
fn limits_on_requests_and_time_are_judged() {
    let folder = Folder::with_rows(600);
    let args = |rest: &[&'static str]| [&["plan", "prompts.jsonl", "--tier", "1"], rest].concat();

    let low = folder.run(&args(&["--max-requests", "50", "--max-time", "20s"]));
    let high = plan(&folder.run(&args(&["--max-requests", "5000", "--max-time", "5h", "--json"])));

    low.ends_with(0);
    for part in
        ["--max-requests 50: the run stops after at most 50 of 600 rows", "--max-time 20 s: not enough; the run"]
    {
        assert!(low.out.contains(part), "{part:?} is missing in:\n{}", low.out);
    }
    assert_eq!(high["max_requests"], serde_json::json!({"max_requests": 5_000, "rows": 600}));
    assert_eq!(high["max_time"]["verdict"], "fits");
}

#[test]
fn a_change_of_the_tier_keeps_the_limits_given_by_hand() {
    let folder = Folder::with_rows(300);
    let args = |rest: &[&'static str]| [&["plan", "prompts.jsonl", "--json"], rest].concat();

    let higher = plan(&folder.run(&args(&["--tier", "2", "--rpm", "100"])));
    let all_by_hand = plan(&folder.run(&args(&["--tier", "2", "--rpm", "100", "--itpm", "99k", "--otpm", "99k"])));

    let options = |plan: &Value| plan["options"].as_array().cloned().unwrap_or_default();
    let four = options(&higher).into_iter().find(|option| option["change"] == "--tier 4").expect("it is offered");
    let (base, four) = (number(&higher["time_s"]["likely"]), number(&four["time_s"]["likely"]));
    assert!(base > 60.0 && (four / base - 1.0).abs() < 0.01, "{four} {base}");
    let tiers = options(&all_by_hand).into_iter().filter(|option| option["kind"] == "tier").count();
    assert_eq!(tiers, 0, "no tier changes anything: {all_by_hand}");
}

#[test]
fn the_cost_that_a_plan_shows_for_another_model_is_the_cost_with_this_model() {
    let folder = Folder::new();
    let row =
        |model: &str, number| format!("{{\"prompt\":\"Hi {number}\",\"model\":\"{model}\",\"max_tokens\":200}}\n");
    let rows: Vec<_> = (0..50).map(|at| row("claude-opus-4-8", at) + &row("claude-haiku-4-5", at)).collect();
    folder.write("mixed.jsonl", &rows.concat());

    let shown = plan(&folder.run(&["plan", "mixed.jsonl", "--json"]));

    let option =
        shown["options"].as_array().into_iter().flatten().find(|option| option["instead_of"] == "claude-opus-4-8");
    let option = option.expect("another model is offered");
    let change: Vec<&str> = option["change"].as_str().expect("a text").split(' ').collect();
    let typed = plan(&folder.run(&[&["plan", "mixed.jsonl", "--json"], change.as_slice()].concat()));
    let (shown, typed) = (number(&option["cost_usd"]["likely"]), number(&typed["cost_usd"]["likely"]));
    assert!((shown / typed - 1.0).abs() < 0.02, "{shown} {typed}");
}

#[test]
fn rows_without_a_price_are_counted_separately_and_their_cost_is_never_guessed() {
    let folder = Folder::new();
    let row = |model: &str| format!("{{\"prompt\":\"Hi\",\"model\":\"{model}\"}}\n");
    folder.write("mixed.jsonl", &[row("claude-haiku-4-5").repeat(2), row("my-model")].concat());
    folder.write("unknown.jsonl", &row("my-model"));

    let mixed = plan(&folder.run(&["plan", "mixed.jsonl", "--json", "--base-url", "http://127.0.0.1:9"]));
    let unknown = folder.run(&["plan", "unknown.jsonl", "--base-url", "http://127.0.0.1:9"]);
    let line = folder.run(&["run", "mixed.jsonl", "--dry-run", "--base-url", "http://127.0.0.1:9"]);

    assert_eq!(number(&mixed["rows"]["unpriced"]), 1.0);
    assert!(number(&mixed["cost_usd"]["likely"]) > 0.0);
    let of_model =
        |name: &str| mixed["by_model"].as_array().and_then(|all| all.iter().find(|one| one["model"] == name));
    assert_eq!(of_model("my-model").map(|one| &one["cost_usd"]), Some(&Value::Null));
    unknown.ends_with(0);
    assert!(unknown.out.contains("cost    unknown: a model has no price"), "{}", unknown.out);
    assert!(unknown.out.starts_with("1 row has a model without a known price"), "{}", unknown.out);
    line.ends_with(0).tells(&["without 1 row whose cost is unknown", "about $"]);
}

#[test]
fn a_plan_that_is_not_possible_gets_a_clear_message() {
    let folder = Folder::with_rows(3);
    folder.write("empty.jsonl", "");

    folder.run(&["plan", "missing.jsonl"]).ends_with(2).tells(&["missing.jsonl"]);
    folder.run(&["plan", "prompts.jsonl", "--history", "nothing.jsonl"]).ends_with(2).tells(&["nothing.jsonl"]);
    folder.run(&["plan", "prompts.jsonl", "--count-tokens", "0"]).ends_with(2).tells(&["--count-tokens"]);
    let empty = folder.run(&["plan", "empty.jsonl"]);
    let none = plan(&folder.run(&["plan", "empty.jsonl", "--json"]));
    empty.ends_with(0);
    assert!(empty.out.contains("nothing to plan: no rows in empty.jsonl"), "{}", empty.out);
    assert_eq!((number(&none["rows"]["total"]), number(&none["cost_usd"]["high"])), (0.0, 0.0));
    assert_eq!(none["options"], Value::Array(Vec::new()));
}

#[test]
fn a_pipe_and_several_files_can_be_planned() {
    let folder = Folder::with_rows(30);
    folder.write("more.jsonl", &rows(20).replace("\"r", "\"s"));

    let piped = feed(folder.command(&["plan", "--json"]), &rows(40));
    let both = folder.run(&["plan", "prompts.jsonl", "more.jsonl", "--json"]);

    assert_eq!(number(&plan(&piped)["rows"]["to_send"]), 40.0);
    assert_eq!(number(&plan(&both)["rows"]["to_send"]), 50.0);
    assert_eq!(folder.names(), ["more.jsonl", "prompts.jsonl"]);
}

#[test]
fn the_first_line_of_a_run_says_how_long_it_takes_and_warns_of_a_low_budget() {
    let folder = Folder::with_rows(100);
    let limits = RateLimits::new(1_000, 1_000_000, 1_000_000);
    let api = Api::new(quick().with_limits(limits).with_latency(Latency::ZERO));

    let said = folder.run_at(&api, &["run", "prompts.jsonl", "--tier", "2", "--max-cost", "0.013"]);

    said.tells(&[
        "100 rows to send, about $",
        " at most $",
        ", until about ",
        "is below the likely cost: the run will stop after",
    ]);
    assert!(api.books().billed_money.dollars() <= 0.013);
}

#[test]
fn the_plans_of_all_fixtures_fit_the_schema() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let schema: Value = serde_json::from_str(
        &std::fs::read_to_string(fixtures.join("schemas/plan.schema.json")).expect("the schema can be read"),
    )
    .expect("the schema is JSON");
    let schema = jsonschema::validator_for(&schema).expect("it is a schema");
    let folder = Folder::new();
    let mut planned = 0;
    for (name, rest) in [
        ("prompts.jsonl", &["--tier", "2", "--deadline", "6h", "--max-cost", "1"][..]),
        ("prompts.jsonl.gz", &["--tier", "1"]),
        ("openai-batch.jsonl", &["--map-model", "gpt-4o-mini=claude-haiku-4-5"]),
        ("tickets.csv", &["-t", "Classify: {{body}}", "--tier", "none"]),
        ("letters", &["-m", "claude-fable-5-1", "-o", "letters.jsonl"]),
        ("prompts.jsonl", &["-m", "my-model", "--base-url", "http://127.0.0.1:9"]),
        ("prompts.jsonl", &["--simulate", "--count-tokens", "3"]),
        ("prompts.jsonl", &["--lane", "auto", "--deadline", "6h"]),
    ] {
        let path = fixtures.join(name).display().to_string();
        let said = folder.run(&[&["plan", &path, "--json"], rest].concat());
        let plan = plan(&said);
        let faults: Vec<String> =
            schema.iter_errors(&plan).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
        assert!(faults.is_empty(), "{name}: {faults:?}");
        planned += 1;
    }
    assert_eq!(planned, 8);
    let broken = serde_json::json!({"v": 1, "rows": {}});
    assert!(!schema.is_valid(&broken), "the schema can refuse something");
    assert_eq!(folder.names(), Vec::<String>::new());
}
