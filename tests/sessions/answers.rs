//! Tests answers that break a rule of the user: which follow-up requests a run sends, and what the files say about
//! them.

use claude_batch::sim::answers::AnswerPlan;
use claude_batch::sim::config::{BatchConfig, BatchTime};
use claude_batch::sim::faults::FaultPlan;
use serde_json::Value;

use super::support::*;

const SCHEMA: &str = r#"{"type":"object","properties":{"name":{"type":"string"},"score":{"type":"integer"}},
    "required":["name","score"],"additionalProperties":false}"#;

fn scripted(answers: &str) -> Api {
    let mut config = quick();
    config.answers = AnswerPlan::parse(answers, "answers").expect("an answer plan");
    Api::new(config)
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Returns the purpose of each request that was sent for a row.
fn purposes(part: &Value) -> Vec<&str> {
    part["steps"].as_array().into_iter().flatten().filter_map(|step| step["purpose"].as_str()).collect()
}

#[test]
fn with_a_schema_a_table_gets_a_column_for_each_field_and_a_broken_answer_is_repaired() {
    let folder = Folder::new();
    folder.write("schema.json", SCHEMA);
    folder.write("in.csv", "id,text\na,first\nb,second\nc,third\n");
    let api = scripted(
        r#"{"rules": [
            {"contains": "second", "turn": 1, "schema": "broken"},
            {"contains": "second", "turn": 2, "json": {"name": "Bo", "score": 7}},
            {"contains": "first", "json": {"name": "Al", "score": 1}},
            {"contains": "third", "json": {"name": "Cy", "score": 3}}
        ]}"#,
    );

    let said = folder.run_at(
        &api,
        &[
            "run",
            "in.csv",
            "--template",
            "Judge {{text}}",
            "--schema",
            "schema.json",
            "-m",
            "claude-haiku-4-5",
            "-o",
            "out.csv",
        ],
    );

    said.ends_with(0);
    let table = folder.read("out.csv");
    let mut rows = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = rows.next().expect("a header");
    let at = |name: &str| header.iter().position(|own| *own == name).unwrap_or_else(|| panic!("{name}: {header:?}"));
    let (id, name, score) = (at("id"), at("name"), at("score"));
    let found: Vec<_> = rows.map(|row| (row[id].to_owned(), row[name].to_owned(), row[score].to_owned())).collect();
    let wanted = [("a", "Al", "1"), ("b", "Bo", "7"), ("c", "Cy", "3")];
    assert_eq!(found, wanted.map(|(id, name, score)| (id.to_owned(), name.to_owned(), score.to_owned())), "{table}");
    assert_eq!(api.books().billed_calls, 4);
}

#[test]
fn a_truncated_answer_is_continued_if_the_model_allows_it_and_otherwise_gets_more_room() {
    let folder = Folder::new();
    let row =
        |model: &str| format!("{{\"id\":\"{model}\",\"prompt\":\"Count.\",\"model\":\"{model}\",\"max_tokens\":64}}\n");
    folder.write("in.jsonl", &(row("claude-haiku-4-5") + &row("claude-opus-4-8")));
    let api = scripted(
        r#"{"rules": [
            {"turn": 1, "max_tokens_below": 65, "text": "one two three four", "stop_reason": "max_tokens"},
            {"turn": 2, "text": " five six"},
            {"turn": 1, "text": "one two three four five six"}
        ]}"#,
    );

    let said = folder.run_at(&api, &["run", "in.jsonl", "--on-truncate", "continue", "-o", "out.jsonl"]);

    said.ends_with(0);
    let lines = lines(&folder.read("out.jsonl"));
    assert_eq!(lines.len(), 2);
    for line in &lines {
        let message = &line["result"]["message"];
        assert_eq!(message["content"][0]["text"], "one two three four five six", "{line}");
        assert_eq!((&message["stop_reason"], &line["meta"]["quality"]), (&"end_turn".into(), &"ok".into()));
        let second = if line["custom_id"] == "claude-haiku-4-5" { "continue" } else { "more_room" };
        assert_eq!(purposes(&line["meta"]), ["first", second], "{line}");
    }
}

#[test]
fn an_answer_that_the_api_paused_is_continued() {
    let folder = Folder::new();
    let tools = r#"[{"type":"web_search_20250305","name":"web_search"}]"#;
    let row = format!(
        "{{\"id\":\"a\",\"prompt\":\"Look it up.\",\"model\":\"claude-haiku-4-5\",\"max_tokens\":500,\"tools\":{tools}}}\n"
    );
    folder.write("in.jsonl", &row);
    let api = scripted(r#"{"rules": [{"turn": 1, "stop_reason": "pause_turn"}, {"turn": 2, "text": "It is found."}]}"#);

    let said = folder.run_at(&api, &["run", "in.jsonl", "-o", "out.jsonl"]);

    said.ends_with(0);
    let line = &lines(&folder.read("out.jsonl"))[0];
    let content = line["result"]["message"]["content"].as_array().expect("a list");
    let kinds: Vec<_> = content.iter().filter_map(|block| block["type"].as_str()).collect();
    assert_eq!(kinds, ["server_tool_use", "web_search_tool_result", "text"], "{line}");
    assert_eq!(purposes(&line["meta"]), ["first", "unpause"]);
    assert_eq!(line["meta"]["cost_usd"].as_f64(), Some(api.books().billed_usd));
}

#[test]
fn a_row_whose_answer_does_not_meet_a_condition_fails_with_the_condition_in_its_message() {
    let folder = Folder::with_rows(3);
    let api = scripted(r#"{"rules": [{"contains": "number 1", "text": "no"}, {"text": "a long answer"}]}"#);

    let said = folder.run_at(&api, &["run", "prompts.jsonl", "--require", "text | length > 5"]);

    said.ends_with(3);
    let failed = lines(&folder.read("prompts.errors.jsonl"));
    assert_eq!((failed.len(), &failed[0]["custom_id"]), (1, &"r1".into()));
    assert_eq!(failed[0]["error"]["class"], "invalid_output");
    let message = failed[0]["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("`text | length > 5` is not true"), "{message}");
    assert_eq!(failed[0]["message"]["content"][0]["text"], "no");
}

#[test]
fn answers_of_earlier_results_are_taken_only_if_they_match_the_schema() {
    let folder = Folder::with_rows(3);
    folder.write("schema.json", SCHEMA);
    // The simulated API follows a schema only if the request contains the schema.
    let api = scripted(
        r#"{"rules": [
            {"contains": "json_schema", "thinking": 1},
            {"contains": "number 1", "json": {"name": "Al", "score": 1}},
            {"text": "words"}
        ]}"#,
    );
    folder.run_at(&api, &["run", "prompts.jsonl", "-o", "old.jsonl", "-m", "claude-haiku-4-5"]).ends_with(0);
    let args = ["run", "prompts.jsonl", "-o", "new.jsonl", "-m", "claude-haiku-4-5", "--reuse", "old.jsonl"];
    let args = [&args[..], &["--schema", "schema.json"]].concat();

    let said = folder.run_at(&api, &args);

    said.ends_with(0).tells(&["2 rows to send (1 reused)"]);
    assert_eq!(api.books().billed_calls, 3 + 2);
    for line in lines(&folder.read("new.jsonl")) {
        let text = line["result"]["message"]["content"][0]["text"].as_str().unwrap_or_default();
        let answer: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(answer["name"].is_string() && answer["score"].is_i64(), "{line}");
    }
}

#[test]
fn a_row_that_goes_into_a_second_batch_is_asked_with_the_schema_again() {
    let folder = Folder::with_rows(6);
    folder.write("schema.json", SCHEMA);
    let time = BatchTime::Fixed(std::time::Duration::from_millis(50));
    let faults = r#"{"rules": [{"kind": "request_errored", "type": "api_error", "contains": "number 3", "times": 1}]}"#;
    let batches = BatchConfig { time, ..BatchConfig::default() };
    let config = quick().with_batches(batches).with_faults(FaultPlan::parse(faults, "faults").expect("a fault plan"));
    let api = Api::new(config);
    let args = ["run", "prompts.jsonl", "--lane", "batch", "--tier", "2", "-m", "claude-haiku-4-5"];

    let said = folder.run_at(&api, &[&args[..], &["--schema", "schema.json", "--max-follow-ups", "0"]].concat());

    said.ends_with(0);
    assert_each_once(&folder.read("prompts.results.jsonl"), 6);
    assert!(lines(&folder.read("prompts.results.jsonl")).iter().all(|line| line["meta"]["schema"] == "format"));
}
