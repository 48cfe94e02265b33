//! Tests the main uses of the program, as the beginning of the README shows them.

use crate::support::*;

const PROMPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/prompts.jsonl");

#[test]
fn the_sample_file_is_answered_row_by_row_on_the_built_in_simulator() {
    let folder = Folder::new();
    let short = ["--limit", "40", "--skip", "20"];

    let said = folder.run(&[&["run", PROMPTS, "--tier", "2", "--simulate", "-o", "out.jsonl"], &short[..]].concat());

    said.ends_with(0).tells(&["simulator, ", "40 rows to send", "40 answered", "results", "out.jsonl"]);
    assert_eq!(said.out, "");
    let found = ids(&folder.read("out.jsonl"));
    let distinct: std::collections::BTreeSet<_> = found.iter().collect();
    assert_eq!((found.len(), distinct.len()), (40, 40));
    assert_eq!(folder.read_log("out.errors.jsonl"), "");
}

#[test]
fn every_row_of_the_sample_file_is_answered_once() {
    let folder = Folder::new();
    let api = Api::quick();
    let expected =
        std::fs::read_to_string(PROMPTS).expect("the sample").lines().filter(|line| !line.is_empty()).count();

    let said = folder.run_at(&api, &["run", PROMPTS, "--tier", "2", "-o", "out.jsonl"]);

    said.ends_with(0);
    let found = ids(&folder.read("out.jsonl"));
    let distinct: std::collections::BTreeSet<_> = found.iter().collect();
    assert_eq!((found.len(), distinct.len()), (expected, expected));
    assert_eq!((api.books().billed_again, api.books().statuses.get(&429)), (0, None));
}

#[test]
fn answers_are_written_to_a_file_next_to_the_input() {
    let folder = Folder::with_rows(5);
    let api = Api::quick();

    let said = folder.run_at(&api, &["run", "prompts.jsonl", "--tier", "2"]);

    said.ends_with(0).tells(&["5 answered", "prompts.results.jsonl"]);
    assert_each_once(&folder.read("prompts.results.jsonl"), 5);
    assert_eq!(folder.names(), ["prompts.jsonl", "prompts.results.jsonl", "prompts.results.jsonl.run"]);
}

#[test]
fn a_pipe_gets_data_on_standard_output_and_nothing_else() {
    let folder = Folder::new();
    let api = Api::quick();

    let said = feed(folder.command_at(&api, &["run", "--tier", "2"]), &rows(30));

    said.ends_with(0).tells(&["30 answered", "can't be resumed"]);
    assert_each_once(&said.out, 30);
    assert_eq!(folder.names(), [""; 0], "nothing is left behind");
}

#[test]
fn the_results_of_a_pipe_can_also_go_to_a_file() {
    let folder = Folder::new();
    let api = Api::quick();

    let first = feed(folder.command_at(&api, &["run", "-", "-o", "out.jsonl"]), &rows(4));
    let second = feed(folder.command_at(&api, &["run", "-", "-o", "out.jsonl"]), &rows(6));

    first.ends_with(0);
    second.ends_with(0).tells(&["6 answered (this run: 2)"]);
    assert_each_once(&folder.read("out.jsonl"), 6);
    assert_eq!(api.books().billed_calls, 6);
}

#[test]
fn a_simulated_run_changes_no_file_of_a_real_run() {
    let folder = Folder::with_rows(2);
    let api = Api::quick();
    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0);
    let before = folder.read("prompts.results.jsonl");

    let said = folder.run(&["run", "prompts.jsonl", "--simulate", "--max-tokens", "16"]);
    let mixed = folder.run(&["run", "prompts.jsonl", "--simulate", "-o", "prompts.results.jsonl"]);

    said.ends_with(0).tells(&["2 answered", "simulated"]);
    assert_each_once(&folder.read("prompts.simulated.results.jsonl"), 2);
    mixed.ends_with(2).tells(&["prompts.results.jsonl", "simulator", "-o", "--fresh"]);
    assert_eq!(folder.read("prompts.results.jsonl"), before);
}

#[test]
fn the_simulator_by_itself_serves_runs() {
    use std::io::{BufRead, BufReader};
    let folder = Folder::with_rows(3);
    let mut server = folder.command(&["simulate", "--port", "0", "--tier", "2"]).spawn().expect("it starts");
    let mut first = String::new();
    let mut out = BufReader::new(server.stdout.take().expect("a pipe"));
    out.read_line(&mut first).expect("it says where it is");
    let url = first.split_whitespace().find(|word| word.starts_with("http://")).expect("an address");

    let said = Said::of(
        folder
            .command(&["run", "prompts.jsonl", "--tier", "2", "--base-url", url])
            .env("ANTHROPIC_API_KEY", CANARY)
            .output()
            .expect("the program starts"),
    );

    server.kill().expect("it can be ended");
    server.wait().expect("it ends");
    said.ends_with(0);
    assert_each_once(&folder.read("prompts.results.jsonl"), 3);
}

#[test]
fn check_and_limits_print_what_they_find() {
    let folder = Folder::with_rows(3);
    folder.write("broken.jsonl", "{\"prompt\":\"a\"}\n{\"prompt\":\n[1]\n");

    let good = folder.run(&["check", "prompts.jsonl"]);
    let bad = folder.run(&["check", "broken.jsonl"]);
    let limits = folder.run(&["limits", "--tier", "2", "-m", "claude-haiku-4-5"]);

    good.ends_with(0);
    assert!(good.out.contains("3 rows: 3 can be sent, 0 can't"), "{}", good.out);
    bad.ends_with(2);
    assert!(bad.out.contains("broken.jsonl:2") && bad.out.contains("broken.jsonl:3"), "{}", bad.out);
    limits.ends_with(0);
    assert!(limits.out.contains("450,000 input") && limits.out.contains("2026-01"), "{}", limits.out);
    assert_eq!(folder.names(), ["broken.jsonl", "prompts.jsonl"]);
}

#[test]
fn models_shows_the_catalog_with_the_prices_of_a_file() {
    let folder = Folder::new();
    folder.write(
        "prices.toml",
        "date = \"2026-12-01\"\n[[price]]\nmodel = \"claude-opus-5\"\ninput = 3.25\noutput = 9\n",
    );

    let table = folder.run(&["models", "--prices", "prices.toml"]);
    let one = folder.run(&["models", "claude-haiku-4-5"]);
    let json = folder.run(&["models", "claude-opus-5", "--json", "--prices", "prices.toml"]);
    let unknown = folder.run(&["models", "claude-haku-4-5"]);

    table.ends_with(0);
    let opus = table.out.lines().find(|line| line.starts_with("claude-opus-5 ")).expect("it is in the table");
    assert!(opus.contains("3.25") && opus.contains("9.00"), "{opus}");
    assert!(
        table.out.contains("prices.toml of 2026-12-01: claude-opus-5") && !table.out.contains("claude-opus-4-1"),
        "{}",
        table.out
    );
    one.ends_with(0);
    assert!(one.out.contains("claude-haiku-4-5-20251001") && one.out.contains("$5.00 out"), "{}", one.out);
    json.ends_with(0);
    let document: serde_json::Value = serde_json::from_str(&json.out).expect("it is one document");
    assert_eq!((&document["v"], &document["models"][0]["prices"][0]["input"]), (&1.into(), &3.25.into()));
    unknown.ends_with(2).tells(&["unknown model claude-haku-4-5", "did you mean claude-haiku-4-5"]);
}
