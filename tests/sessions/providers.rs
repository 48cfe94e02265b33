//! Tests providers: the command that lists them, and the runs that use a provider.

use std::collections::BTreeMap;

use claude_batch::domain::ProviderKind;

use crate::support::*;

const FILE: &str = r#"
provider = "local"
fallback = ["bedrock"]

[providers.local]
kind = "messages"
base-url = "http://127.0.0.1:9/claude"
api-key-cmd = "touch command-ran s3cret-argument"
headers = { x-team = "s3cret-header-1" }
models = { claude-haiku-4-5 = "qwen3" }
limits = { rpm = 100 }
price-factor = 0

[providers.bedrock]
region = "eu-west-1"
model-prefix = "eu.anthropic."
"#;

#[test]
fn the_list_says_what_is_set_what_is_missing_and_what_differs() {
    let folder = Folder::new();
    folder.write("own.toml", FILE);
    let list = |more: &[&str]| {
        let mut command = folder.command(&[&["providers", "--config", "own.toml"], more].concat());
        for name in ["AWS_REGION", "AWS_DEFAULT_REGION", "OPENROUTER_API_KEY", "GOOGLE_CLOUD_PROJECT"] {
            command.env_remove(name);
        }
        Said::of(command.env("AWS_BEARER_TOKEN_BEDROCK", CANARY).output().expect("the program starts"))
    };

    let all = list(&[]);
    let one = list(&["bedrock"]);
    let json = list(&["--json"]);
    let unknown = list(&["bedrok"]);

    all.ends_with(0);
    for part in [
        "anthropic - Claude API\n  address  https://api.anthropic.com\n  no key   set ANTHROPIC_API_KEY",
        "  missing  a workspace: set ANTHROPIC_AWS_WORKSPACE_ID, or workspace in\n           [providers.aws]",
        "openrouter - OpenRouter\n  address  https://openrouter.ai/api\n  no key   set OPENROUTER_API_KEY",
        "local - Another server that speaks the Messages API (the first provider)\n  address  http://127.0.0.1:9/claude",
        "  key      printed by the command touch, sent as x-api-key\n  table    own.toml:5\n  headers  x-team\n",
        "  models   claude-haiku-4-5 is sent as qwen3\n",
        "  limits   rpm 100\n  prices   none: its answers cost nothing\n",
    ] {
        assert!(all.out.contains(part), "{part:?} is missing in:\n{}", all.out);
    }
    let is_long = |line: &&str| line.chars().count() > 80 && !line.contains("https://");
    assert_eq!(all.out.lines().filter(is_long).collect::<Vec<_>>(), Vec::<&str>::new());
    one.ends_with(0);
    assert!(one.out.starts_with("bedrock - Amazon Bedrock, Messages endpoint (fallback 1)\n"), "{}", one.out);
    assert!(
        one.out.contains("eu.anthropic.claude-haiku-4-5") && one.out.contains("usual prices times 1.1"),
        "{}",
        one.out
    );
    let document: serde_json::Value = serde_json::from_str(&json.out).expect("it is JSON");
    let named = |name: &str| {
        let list = document["providers"].as_array().expect("a list");
        list.iter().find(|provider| provider["name"] == name).expect("it is in the list").clone()
    };
    assert_eq!((named("bedrock")["is_ready"].clone(), named("bedrock")["order"].clone()), (true.into(), 1.into()));
    assert_eq!((named("openrouter")["is_ready"].clone(), named("local")["order"].clone()), (false.into(), 0.into()));
    unknown.ends_with(2).tells(&["there is no provider \"bedrok\"; did you mean bedrock?"]);
    for said in [&all, &one, &json, &unknown] {
        let shown = format!("{}{}", said.out, said.err);
        assert!(!shown.contains("s3cret") && !shown.contains(CANARY), "{shown}");
    }
    assert!(!folder.path("command-ran").exists());
}

#[test]
fn a_run_that_lacks_a_place_or_names_no_provider_ends_before_anything_is_sent() {
    let folder = Folder::with_rows(1);
    let run = |args: &[&str]| {
        let mut command = folder.command(&[&["run", "prompts.jsonl"], args].concat());
        command.env_remove("AWS_REGION").env_remove("AWS_DEFAULT_REGION");
        Said::of(command.output().expect("the program starts"))
    };

    run(&["--provider", "bedrock"]).ends_with(2).tells(&["the provider bedrock needs a region; set AWS_REGION"]);
    run(&["--provider", "opnrouter"]).ends_with(2).tells(&["--provider", "did you mean openrouter?"]);
    run(&["--fallback", "bedrock"]).ends_with(2).tells(&["the provider bedrock needs a region"]);
}

#[test]
fn the_provider_of_a_run_is_recorded_and_used_again_by_resume() {
    let folder = Folder::with_rows(2);
    let api = Api::with_faults(r#"{"rules":[{"status":400,"first_attempts_only":true}]}"#);
    let table = |url: &str| format!("[providers.mine]\nkind = 'anthropic'\nbase-url = '{url}'\n");
    folder.write("own.toml", &table(&api.url));
    let command = |args: &[&str]| {
        let mut command = folder.command(&[args, &["--config", "own.toml"]].concat());
        command.env("ANTHROPIC_API_KEY", CANARY).env("ANTHROPIC_BASE_URL", "http://127.0.0.1:9");
        Said::of(command.output().expect("the program starts"))
    };

    command(&["run", "prompts.jsonl", "--provider", "mine"]).ends_with(3);
    let manifest = folder.read("prompts.results.jsonl.run/manifest.json");
    let resumed = command(&["resume", "prompts.errors.jsonl"]);

    assert!(manifest.contains(r#""provider": "mine""#) && manifest.contains(r#""fallback": "off""#), "{manifest}");
    resumed.ends_with(0).tells(&["2 answered"]);
}

/// Returns a configuration that has one table per provider, with the address of the provider.
fn tables(providers: &[(&str, &str, String)]) -> String {
    let table = |(name, kind, url): &(&str, &str, String)| {
        format!("[providers.{name}]\nkind = '{kind}'\nbase-url = '{url}'\napi-key-env = 'A_KEY'\n")
    };
    providers.iter().map(table).collect()
}

/// Runs the program with the tables of `own.toml`. The key of each provider is [`CANARY`], which must not appear
/// anywhere.
fn with_tables(folder: &Folder, args: &[&str]) -> Said {
    let mut command = folder.command(&[args, &["--config", "own.toml"]].concat());
    command.env("A_KEY", CANARY).env("ANTHROPIC_BASE_URL", "http://127.0.0.1:9");
    let said = Said::of(command.output().expect("the program starts"));
    assert!(!said.err.contains(CANARY) && !said.out.contains(CANARY), "the key is shown: {}", said.err);
    said
}

/// Returns how many answers in the results came from each provider.
fn answers_by(results: &str) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for line in results.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("a line is JSON");
        *found.entry(line["meta"]["provider"].as_str().expect("a name").to_owned()).or_default() += 1;
    }
    found
}

#[test]
fn a_rehearsal_with_a_fallback_sends_the_rows_that_the_first_provider_fails_to_the_second() {
    let folder = Folder::with_rows(30);
    folder.write("faults.json", r#"{"rules":[{"status":401,"from":"0s"}]}"#);

    let said = folder.run(&[
        "run",
        "prompts.jsonl",
        "-o",
        "out.jsonl",
        "--simulate",
        "--fallback",
        "openrouter",
        "--simulate-faults",
        "faults.json",
    ]);

    said.ends_with(0).tells(&["30 answered", " anthropic: 0 answered", "openrouter: 30 answered"]);
    let results = folder.read("out.jsonl");
    assert_each_once(&results, 30);
    assert_eq!(answers_by(&results), [("openrouter".to_owned(), 30)].into());
}

#[test]
fn a_run_with_bedrock_is_answered_by_a_simulator_that_plays_it() {
    let folder = Folder::with_rows(20);
    let api = Api::new(quick().of_kind(ProviderKind::Bedrock));
    let mut command = folder.command(&["run", "prompts.jsonl", "--provider", "bedrock"]);
    command.env("AWS_BEARER_TOKEN_BEDROCK", CANARY).env("AWS_REGION", "eu-west-1");
    command.env("ANTHROPIC_BEDROCK_BASE_URL", &api.url);

    let said = Said::of(command.output().expect("the program starts"));

    said.ends_with(0).tells(&["20 answered"]);
    let results = folder.read("prompts.results.jsonl");
    assert_each_once(&results, 20);
    assert_eq!(answers_by(&results), [("bedrock".to_owned(), 20)].into());
    assert_eq!((api.books().billed_calls, said.err.contains(CANARY)), (20, false));
}

#[test]
fn a_resume_with_another_provider_keeps_the_answers_and_says_so() {
    let folder = Folder::with_rows(10);
    let first =
        Api::with_faults(r#"{"rules":[{"status":400,"contains":"number 7"},{"status":400,"contains":"number 8"}]}"#);
    let second = Api::quick();
    folder.write(
        "own.toml",
        &tables(&[("one", "anthropic", first.url.clone()), ("two", "anthropic", second.url.clone())]),
    );

    with_tables(&folder, &["run", "prompts.jsonl", "--provider", "one"]).ends_with(3);
    let said = with_tables(&folder, &["resume", "prompts.errors.jsonl", "--provider", "two"]);

    said.ends_with(0).tells(&[
        "note: the results contain 8 answers by one; this run uses two. Earlier answers are not changed",
        "all runs  8 by one, 2 by two",
    ]);
    let results = folder.read("prompts.results.jsonl");
    assert_each_once(&results, 10);
    assert_eq!(answers_by(&results), [("one".to_owned(), 8), ("two".to_owned(), 2)].into());
    assert_eq!(second.books().billed_calls, 2);
}

#[test]
fn a_chain_whose_first_provider_loses_its_key_ends_with_all_rows_answered() {
    let folder = Folder::with_rows(200);
    let lost = r#"{"rules":[{"status":401,"contains":"number 1"}]}"#;
    let (first, second) = (Api::with_faults(lost), Api::new(quick().of_kind(ProviderKind::OpenRouter)));
    let url = format!("{}/api", second.url);
    folder.write("own.toml", &tables(&[("one", "anthropic", first.url.clone()), ("two", "openrouter", url)]));
    let args = ["run", "prompts.jsonl", "--provider", "one", "--fallback", "two", "--concurrency", "1"];

    let said = with_tables(&folder, &args);

    said.ends_with(0).tells(&["200 answered", "stopped: the key was refused"]);
    let results = folder.read("prompts.results.jsonl");
    assert_each_once(&results, 200);
    let by = answers_by(&results);
    assert_eq!((by["one"] as u64, by["two"] as u64), (first.books().billed_calls, second.books().billed_calls));
    assert!(by["one"] >= 1 && by["two"] > 100, "{by:?}");
}
