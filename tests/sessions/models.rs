//! Tests rows that name models of other vendors or misspelt models, and tests the flag `--map-model`.

use crate::support::*;

/// Returns the rows `r0`, `r1` and so on, in the form of an OpenAI batch file. Each row has one of these models.
fn foreign(models: &[&str]) -> String {
    let row = |(at, model): (usize, &&str)| {
        let body =
            format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Say {at}."}}],"max_tokens":20}}"#);
        format!("{{\"custom_id\":\"r{at}\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{body}}}\n")
    };
    models.iter().enumerate().map(row).collect()
}

#[test]
fn a_file_for_another_vendor_is_answered_by_a_mapped_model() {
    let folder = Folder::new();
    let api = Api::quick();
    folder.write("batch.jsonl", &foreign(&["gpt-4o-mini", "gpt-4o-mini", "gpt-4o", "claude-haiku-4-5"]));
    let map = "gpt-4o-mini=claude-haiku-4-5,gpt-4o=claude-sonnet-5";

    let said = folder.run_at(&api, &["run", "batch.jsonl", "--map-model", map, "--map-model", "o1=claude-opus-5"]);
    let again = folder.run_at(&api, &["run", "batch.jsonl", "--map-model", map]);
    let other =
        folder.run_at(&api, &["run", "batch.jsonl", "--map-model", "gpt-4o-mini=claude-opus-5,gpt-4o=claude-sonnet-5"]);

    said.ends_with(0).tells(&[
        "note: 2 rows name gpt-4o-mini: sent as claude-haiku-4-5",
        "note: 1 row names gpt-4o: sent as claude-sonnet-5",
        "warning: --map-model o1=claude-opus-5: no row names the model o1",
        "4 answered",
        "about $",
    ]);
    again.ends_with(0).tells(&["nothing to do"]);
    other.ends_with(2).tells(&["2 rows have an answer"]);
    let results = folder.read("batch.results.jsonl");
    assert_each_once(&results, 4);
    assert_eq!(results.matches("\"model\":\"claude-sonnet-5\"").count(), 2, "in the message and in meta: {results}");
}

#[test]
fn failed_rows_are_resumed_with_the_mapped_model() {
    let folder = Folder::new();
    let api = Api::with_faults(r#"{"rules":[{"status":400,"first_attempts_only":true}]}"#);
    folder.write("batch.jsonl", &foreign(&["gpt-4o-mini", "gpt-4o-mini"]));
    let run = ["run", "batch.jsonl", "--map-model", "gpt-4o-mini=claude-sonnet-5"];
    folder.run_at(&api, &run).ends_with(3);

    let said = folder.run_at(&api, &["resume", "batch.errors.jsonl"]);
    let again = folder.run_at(&api, &run);

    said.ends_with(0).tells(&["2 answered"]);
    assert!(!said.err.contains("gpt-4o-mini"), "{}", said.err);
    again.ends_with(0).tells(&["nothing to do"]);
    assert!(folder.read("batch.results.jsonl").contains("\"model\":\"claude-sonnet-5\""));
}

#[test]
fn models_of_other_vendors_are_refused_for_the_api_and_accepted_for_a_gateway() {
    let folder = Folder::new();
    let gateway = Api::quick();
    folder.write("batch.jsonl", &foreign(&["gpt-4o-mini", "gpt-4o-mini", "gemini-2.0-flash", "claude-haiku-4-5"]));

    for args in [&["run", "batch.jsonl", "--simulate"][..], &["run", "batch.jsonl", "--dry-run"]] {
        folder.run(args).ends_with(2).tells(&[
            "the API does not serve models of other vendors",
            "gpt-4o-mini (OpenAI, 2 rows), gemini-2.0-flash (Google, 1 row)",
            "--map-model gpt-4o-mini=claude-haiku-4-5 --map-model gemini-2.0-flash=claude-haiku-4-5",
        ]);
    }
    let check = folder.run(&["check", "batch.jsonl"]);
    assert_eq!(folder.names(), ["batch.jsonl"]);
    let said = folder.run_at(&gateway, &["run", "batch.jsonl", "--dry-run"]);

    check.ends_with(2);
    assert!(check.out.contains("does not serve models of other vendors"), "{}", check.out);
    said.ends_with(0).tells(&["4 rows to send", "warning: 2 rows name gpt-4o-mini, a model of OpenAI"]);
}

#[test]
fn rows_of_a_pipe_that_name_another_vendor_do_not_affect_others() {
    let folder = Folder::new();

    let said = feed(folder.command(&["run", "--simulate"]), &foreign(&["claude-haiku-4-5", "gpt-4o"]));

    said.ends_with(3).tells(&["1 answered", "1 failed\n", "invalid_input (1): "]);
    assert_eq!(ids(&said.out), ["r0"]);
}

#[test]
fn a_misspelt_model_causes_one_warning_with_the_nearest_names() {
    let folder = Folder::new();
    folder.write("batch.jsonl", &foreign(&["claude-haku-4-5"; 12]));

    let said = folder.run(&["run", "batch.jsonl", "--simulate", "--dry-run"]);

    said.ends_with(0).tells(&["warning: 12 rows name claude-haku-4-5, which is not in the catalog (did you mean"]);
    assert_eq!(said.err.matches("not in the catalog").count(), 1, "{}", said.err);
}

#[test]
fn the_same_fault_in_many_rows_is_one_message() {
    let folder = Folder::new();
    let api = Api::quick();
    let bad: String = (0..30).map(|row| format!("{{\"prompt\":\"x\",\"max_tokens\":{}}}\n", 100_000 + row)).collect();
    folder.write("rows.jsonl", &format!("{}{bad}{{broken\n", rows(2)));

    let check = folder.run(&["check", "rows.jsonl"]);
    let said = folder.run_at(&api, &["run", "rows.jsonl"]);

    check.ends_with(2);
    let lines: Vec<_> = check.out.lines().collect();
    assert!(lines[0].starts_with("rows.jsonl:3: max_tokens is 100000") && lines[0].ends_with("(30 rows like this)"));
    assert!(lines[1].starts_with("rows.jsonl:33:2: is not JSON"), "{}", lines[1]);
    said.ends_with(3).tells(&["31 rows can't be sent", "(30 rows like this)", "invalid_input (30): row rows.jsonl:3"]);
}
