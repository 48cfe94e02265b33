//! Tests runs that stop because of the account, the endpoint or a rule of the user.

use std::time::Duration;

use claude_batch::sim::config::{Keys, OutputLengths, SimConfig, UnknownModels};

use crate::hostile::{Hostile, response};
use crate::support::*;

#[test]
fn a_wrong_key_stops_the_run_and_fails_no_row() {
    let folder = Folder::with_rows(200);
    let mut config = quick();
    config.keys = Keys::None;
    let api = Api::new(config);

    let said = folder.run_at(&api, &["run", "prompts.jsonl", "--tier", "2"]);

    said.ends_with(5).tells(&[
        "200 pending",
        "401",
        "ANTHROPIC_API_KEY",
        "--api-key-file",
        "claude-batch run prompts.jsonl",
    ]);
    assert_eq!(folder.read_log("prompts.errors.jsonl"), "");
    assert_eq!(folder.read("prompts.results.jsonl"), "");
    assert!(api.books().requests <= 64, "{} requests went out", api.books().requests);
}

#[test]
fn after_the_key_is_corrected_the_same_command_continues() {
    let folder = Folder::with_rows(10);
    let mut config = quick();
    config.keys = Keys::Only(vec![CANARY.to_owned()]);
    let api = Api::new(config);
    let wrong = Said::of(
        folder
            .command_at(&api, &["run", "prompts.jsonl"])
            .env("ANTHROPIC_API_KEY", "sk-ant-wrong")
            .output()
            .expect("runs"),
    );

    let right = folder.run_at(&api, &["run", "prompts.jsonl"]);

    wrong.ends_with(5);
    right.ends_with(0).tells(&["10 answered"]);
    assert_each_once(&folder.read("prompts.results.jsonl"), 10);
}

#[test]
fn low_credit_stops_the_run_with_its_rows_pending() {
    let folder = Folder::with_rows(50);
    let api = Api::with_faults(r#"{"rules": [{"status": 402, "contains": "number 20.", "times": 1}]}"#);

    let said = folder.run_at(&api, &["run", "prompts.jsonl", "-c", "2"]);
    let log = folder.read_log("prompts.errors.jsonl");
    let on = folder.run_at(&api, &["run", "prompts.jsonl"]);

    said.ends_with(5).tells(&["pending", "402"]);
    assert_eq!(log, "");
    on.ends_with(0);
    assert_each_once(&folder.read("prompts.results.jsonl"), 50);
    assert_eq!(api.books().billed_again, 0);
}

#[test]
fn an_unknown_model_stops_the_run() {
    let folder = Folder::new();
    let api = Api::quick();
    folder.write(
        "prompts.jsonl",
        "{\"prompt\":\"a\",\"model\":\"claude-nope-1\"}\n{\"prompt\":\"b\",\"model\":\"claude-nope-1\"}\n",
    );

    let said = folder.run_at(&api, &["run", "prompts.jsonl"]);

    said.ends_with(5).tells(&["claude-nope-1", "2 pending"]);
    assert_eq!(folder.read_log("prompts.errors.jsonl"), "");
}

#[test]
fn an_unreachable_host_ends_the_run_with_advice() {
    let folder = Folder::with_rows(3);

    let said = Said::of(
        folder
            .command(&["run", "prompts.jsonl", "--base-url", "https://example.invalid"])
            .env("ANTHROPIC_API_KEY", CANARY)
            .output()
            .expect("the program starts"),
    );

    said.ends_with(6).tells(&["example.invalid", "3 pending", "--base-url", "claude-batch run prompts.jsonl"]);
    assert_eq!(folder.read_log("prompts.errors.jsonl"), "");
}

#[test]
fn a_redirect_stops_the_run_immediately_fails_no_row_and_says_what_to_set() {
    let folder = Folder::with_rows(20);
    let api = Api::quick();
    let moved =
        Hostile::always(response(301, &[("location", &format!("{}/v1/messages?k=hunter2", api.url))], b"moved"));
    let run = ["run", "prompts.jsonl", "--base-url", &moved.url, "-c", "4"];

    let said = Said::of(folder.command(&run).env("ANTHROPIC_API_KEY", CANARY).output().expect("it starts"));
    let on = said.err.split("set --base-url ").nth(1).and_then(|rest| rest.split(';').next()).expect("what to set");
    let elsewhere = Said::of(
        folder
            .command(&["run", "prompts.jsonl", "--base-url", on, "--fresh"])
            .env("ANTHROPIC_API_KEY", CANARY)
            .output()
            .expect("it starts"),
    );

    let from_to = format!("{}/v1/messages redirects to {}/v1/messages (301)", moved.url, api.url);
    said.ends_with(6).tells(&["20 pending", &from_to, "no row was lost"]);
    assert!(moved.requests() <= 4 && !said.err.contains("hunter2"), "{} requests: {}", moved.requests(), said.err);
    assert_eq!(folder.read_log("prompts.errors.jsonl"), "");
    elsewhere.ends_with(0).tells(&["20 answered"]);
}

#[test]
fn a_proxy_that_wants_a_password_stops_the_run_immediately_and_fails_no_row() {
    let proxy = Hostile::always(response(407, &[("proxy-authenticate", "Basic realm=\"x\"")], b"who are you?"));
    let address = proxy.url.trim_start_matches("http://").to_owned();
    for (scheme, variable, user, told) in [
        ("http", "HTTP_PROXY", "", "wants a user name and a password"),
        ("http", "ALL_PROXY", "me:hunter2hunter2@", "refused the user name and password"),
        ("https", "HTTPS_PROXY", "", "wants a user name and a password"),
        ("https", "https_proxy", "me:hunter2hunter2@", "refused the user name and password"),
    ] {
        let folder = Folder::with_rows(20);
        let server = format!("{scheme}://api.example.invalid");
        let mut command = folder.command(&["run", "prompts.jsonl", "--base-url", &server, "--allow-http"]);
        command.env("ANTHROPIC_API_KEY", CANARY).env(variable, format!("http://{user}{address}"));

        let said = Said::of(command.output().expect("it starts"));

        said.ends_with(6).tells(&[
            &format!("{server} (through proxy http://{address}"),
            "stopped (the proxy refuses to forward requests)",
            "20 pending",
            told,
            &format!("Set {variable} to http://USER:PASSWORD@{address}, or connect directly with --no-proxy"),
        ]);
        assert!(!said.err.contains("hunter2"), "{}", said.err);
        assert_eq!(folder.read_log("prompts.errors.jsonl"), "");
    }
}

#[test]
fn a_dead_proxy_is_named_as_the_cause_and_no_row_fails() {
    let folder = Folder::with_rows(3);
    let mut command =
        folder.command(&["run", "prompts.jsonl", "--base-url", "https://api.example.invalid", "--retry-for", "1s"]);
    command.env("ANTHROPIC_API_KEY", CANARY).env("HTTPS_PROXY", "http://me:hunter2hunter2@proxy.example.invalid:3128");

    let said = Said::of(command.output().expect("it starts"));

    said.ends_with(6).tells(&[
        "(through proxy http://proxy.example.invalid:3128",
        "stopped (the proxy can't be reached or does not connect)",
        "3 pending",
        "could not connect to the proxy http://proxy.example.invalid:3128 on the way to https://api.example.invalid",
        "Check HTTPS_PROXY, or connect directly with --no-proxy",
    ]);
    assert!(!said.err.contains("hunter2"), "{}", said.err);
    assert_eq!(folder.read_log("prompts.errors.jsonl"), "");
}

#[test]
fn a_proxy_variable_that_is_not_used_is_named() {
    let folder = Folder::with_rows(3);
    let api = Api::quick();
    let first_line = |name: &str, value: &str, server: &str| {
        let mut command = folder.command(&["run", "prompts.jsonl", "--dry-run", "--base-url", server]);
        Said::of(command.env(name, value).output().expect("it starts"))
    };

    first_line("HTTP_PROXY", "junk", &api.url).ends_with(0).tells(&["(HTTP_PROXY is not used for this machine)"]);
    first_line("HTTP_PROXY", "junk junk", &api.url)
        .ends_with(0)
        .tells(&["warning: HTTP_PROXY is not used for this machine; its value could not be used either"]);
    first_line("HTTP_PROXY", "junk", "https://api.example.invalid").ends_with(0).tells(&[
        "warning: HTTP_PROXY is not used, since it is for http servers; set HTTPS_PROXY or ALL_PROXY for this one",
    ]);
}

#[test]
fn an_endpoint_that_answers_with_faults_is_not_called_silent() {
    for status in [500, 529] {
        let folder = Folder::with_rows(20);
        let api = Api::with_faults(&format!(r#"{{"rules": [{{"status": {status}}}]}}"#));

        let said = folder.run_at(&api, &["run", "prompts.jsonl", "--retry-for", "1s"]);

        let stopped = match status {
            529 => "stopped (the endpoint is overloaded (529))",
            _ => "stopped (the endpoint fails (500))",
        };
        said.ends_with(6).tells(&["20 pending", stopped, "answers only with errors"]);
        assert!(!said.err.contains("does not answer") && !said.err.contains("can't be reached"), "{}", said.err);
    }
}

#[test]
fn a_server_that_does_not_speak_the_api_ends_the_run() {
    let folder = Folder::with_rows(20);
    let api = Api::with_faults(r#"{"rules": [{"kind": "html", "status": 404}]}"#);

    let said = folder.run_at(&api, &["run", "prompts.jsonl"]);

    assert!(matches!(said.code, Some(4..=6)), "{said:?}");
    assert_eq!(folder.read("prompts.results.jsonl"), "");
}

#[test]
fn a_long_retry_after_stops_the_run_instead_of_sleeping() {
    let folder = Folder::with_rows(20);
    let api = Api::with_faults(r#"{"rules": [{"status": 429, "retry_after": 7200}]}"#);

    let said = folder.run_at(&api, &["run", "prompts.jsonl"]);

    said.ends_with(5).tells(&["2 h 00 min", "--retry-for", "20 pending"]);
}

#[test]
fn the_stated_maximum_cost_holds_for_punctuation_long_answers_and_cache_marks() {
    let folder = Folder::new();
    let api = Api::new(quick().with_lengths(OutputLengths::fixed(40)));
    let signs = "{}[];:,.".repeat(1_000);
    let row = |id: usize| {
        format!(
            "{{\"id\":\"r{id}\",\"max_tokens\":40,\"messages\":[{{\"role\":\"user\",\"content\":[{{\"type\":\"text\",\
             \"text\":\"{id} {signs}\",\"cache_control\":{{\"type\":\"ephemeral\",\"ttl\":\"1h\"}}}}]}}]}}\n"
        )
    };
    folder.write("prompts.jsonl", &(0..10).map(row).collect::<String>());

    let dry = folder.run(&["run", "prompts.jsonl", "--dry-run"]);
    let said = folder.run_at(&api, &["run", "prompts.jsonl"]);

    let dollars = |text: &str, before: &str| {
        let (_, amount) = text.split_once(before).unwrap_or_else(|| panic!("no {before:?} in {text}"));
        let digits = amount.trim_start().trim_start_matches('$');
        digits.split([' ', ',']).next().and_then(|number| number.parse::<f64>().ok()).expect("an amount")
    };
    let (most, cost) = (dollars(&said.err, "at most "), dollars(&said.err, "\ncost "));
    said.ends_with(0).tells(&["10 answered"]);
    assert_eq!(most, dollars(&dry.ends_with(0).err, "at most "));
    assert!(cost <= most && 2.0 * cost > most, "{cost} of {most}:\n{}", said.err);
}

#[test]
fn the_cost_of_a_model_without_a_price_is_unknown_wherever_money_is_shown() {
    let folder = Folder::with_rows(3);
    let api = Api::new(SimConfig { unknown_models: UnknownModels::LikeTheFirst, ..quick() });
    let model = ["run", "prompts.jsonl", "-m", "my-proxy-model"];

    let dry = folder.run(&[&model[..], &["--dry-run"]].concat());
    let said = folder.run_at(&api, &model);
    let json = folder.run_at(&api, &[&model[..], &["-o", "json.jsonl", "--progress", "json"]].concat());

    dry.ends_with(0).tells(&["cost unknown: a model has no price"]);
    said.ends_with(0).tells(&["cost unknown: a model has no price", "unknown (no price for my-proxy-model)"]);
    json.ends_with(0).tells(&["\"cost_usd\":null", "\"unpriced\":3"]);
    for text in [&dry.err, &said.err, &json.err] {
        assert!(!text.contains('$'), "{text}");
    }
    assert!(!json.err.contains("\"cost_usd\":0.0,\"unpriced\":3"), "{}", json.err);
    assert_eq!(folder.read("prompts.results.jsonl").matches("\"cost_usd\":null").count(), 3);
}

#[test]
fn max_cost_stops_before_the_budget_is_exceeded_and_counts_all_runs() {
    let folder = Folder::with_rows(200);
    let api = Api::quick();
    let run = ["run", "prompts.jsonl", "--max-cost", "0.005"];

    let first = folder.run_at(&api, &run);
    let second = folder.run_at(&api, &run);
    let raised = folder.run_at(&api, &["run", "prompts.jsonl", "--max-cost", "1"]);

    first.ends_with(4).tells(&["--max-cost", "pending"]);
    second.ends_with(4);
    assert!(ids(&folder.read("prompts.results.jsonl")).len() > 10);
    raised.ends_with(0);
    assert_each_once(&folder.read("prompts.results.jsonl"), 200);
}

/// One in five answers is charged and breaks off. The program is allowed to send another request only if the budget is
/// enough for the next answer and all lost answers. The next runs follow this rule too.
#[test]
fn lost_answers_count_against_max_cost_in_later_runs_too() {
    let folder = Folder::with_rows(200);
    let api = Api::with_faults(r#"{"rules":[{"kind":"reset_mid","share":0.2}]}"#);
    let run = ["run", "prompts.jsonl", "--max-cost", "0.005", "--no-retry-ambiguous"];

    let first = folder.run_at(&api, &run);
    let charged = api.books().billed_calls;
    let second = folder.run_at(&api, &run);

    first.ends_with(4).tells(&["--max-cost $0.0050", "is kept back for lost answers that may have been billed"]);
    second.ends_with(4).tells(&["is kept back for lost answers that may have been billed"]);
    assert!(charged > 2, "{charged}");
    assert_eq!(api.books().billed_calls, charged, "the second run sent nothing");
}

#[test]
fn the_charges_of_the_server_use_most_of_max_cost_and_never_exceed_it() {
    let folder = Folder::with_rows(200);
    let api = Api::quick();

    folder.run_at(&api, &["run", "prompts.jsonl", "--max-cost", "0.005"]).ends_with(4);
    folder.run_at(&api, &["run", "prompts.jsonl", "--max-cost", "0.005"]).ends_with(4);

    let charged = api.books().billed_usd;
    assert!(charged <= 0.005, "{charged}");
    assert!(charged >= 0.003, "most of it is used: {charged}");
}

#[test]
fn rows_that_all_fail_in_the_same_way_stop_the_run_early() {
    let folder = Folder::with_rows(500);
    let api = Api::with_faults(r#"{"rules": [{"status": 400, "message": "max_tokens: is wrong"}]}"#);

    let said = folder.run_at(&api, &["run", "prompts.jsonl"]);

    said.ends_with(4).tells(&["max_tokens: is wrong", "--halt never", "pending"]);
    assert!(api.books().requests < 100, "{}", api.books().requests);
}

#[test]
fn faults_on_first_attempts_fail_no_row() {
    let folder = Folder::with_rows(60);
    let api = Api::with_faults(
        r#"{"rules": [
            {"status": 500, "share": 0.2, "first_attempts_only": true},
            {"status": 529, "share": 0.1, "first_attempts_only": true},
            {"kind": "reset_before", "share": 0.1, "first_attempts_only": true},
            {"kind": "reset_mid", "share": 0.1, "first_attempts_only": true},
            {"kind": "truncated_json", "share": 0.1, "first_attempts_only": true}
        ]}"#,
    );

    let said = folder.run_at(&api, &["run", "prompts.jsonl", "--tier", "none"]);

    said.ends_with(0).tells(&["60 answered", "retries", "possibly billed twice"]);
    assert_each_once(&folder.read("prompts.results.jsonl"), 60);
    let books = api.books();
    let reported = said.billed_twice();
    assert!(books.billed_again <= reported, "billed twice {} times, {reported} reported", books.billed_again);
}

#[test]
fn a_time_limit_stops_the_run_and_the_same_command_resumes_it() {
    let folder = Folder::with_rows(30);
    let api = Api::slow(Duration::from_millis(60));

    let said = folder.run_at(&api, &["run", "prompts.jsonl", "-c", "2", "--max-time", "300ms"]);
    let on = folder.run_at(&api, &["run", "prompts.jsonl"]);

    said.ends_with(4).tells(&["--max-time", "pending"]);
    on.ends_with(0);
    assert_each_once(&folder.read("prompts.results.jsonl"), 30);
    assert_eq!(api.books().billed_again, 0);
}
