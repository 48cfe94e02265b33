//! Tests what runs learn about limits, and the limits that the command `limits` finds and saves.

use std::fs;
use std::process::Output;
use std::time::Duration;

use claude_batch::domain::RateLimits;
use claude_batch::sim::config::{Burst, Keys};
use serde_json::Value;

use crate::hostile::{Hostile, response};
use crate::support::*;

/// The API key of an administrator.
const ADMIN: &str = "sk-ant-admin01-0123456789abcdef";

/// Returns an API whose responses report limits, so that runs can learn them.
fn api() -> Api {
    let limits = RateLimits::new(1_200, 900_000, 120_000);
    Api::new(quick().with_limits(limits).with_burst(Burst::Time(Duration::from_secs(10))))
}

/// Returns the content of `limits.json` in a run folder.
fn kept(folder: &Folder, run: &str) -> Value {
    serde_json::from_str(&folder.read(&format!("{run}/limits.json"))).expect("it is JSON")
}

fn said(output: std::io::Result<Output>) -> Said {
    Said::of(output.expect("the program starts"))
}

#[test]
fn a_run_keeps_what_responses_report_about_limits() {
    let folder = Folder::with_rows(30);
    let api = api();

    folder.run_at(&api, &["run", "prompts.jsonl", "-o", "whole.jsonl", "--tier", "4", "--itpm", "800000"]).ends_with(0);
    folder.run_at(&api, &["run", "prompts.jsonl", "-o", "halted.jsonl", "--max-requests", "3"]).ends_with(4);
    folder.run(&["run", "prompts.jsonl", "-o", "rehearsed.jsonl", "--simulate"]).ends_with(0);

    let whole = kept(&folder, "whole.jsonl.run");
    assert_eq!((&whole["v"], &whole["origin"]), (&1.into(), &api.url.as_str().into()));
    let pool = &whole["pools"][0];
    assert_eq!((&pool["class"], &pool["speed"]), (&"haiku-4.5".into(), &"standard".into()));
    let limits = &pool["limits"];
    assert_eq!(
        [&limits["rpm"], &limits["itpm"], &limits["otpm"]],
        [1_200, 900_000, 120_000].map(Value::from).each_ref()
    );
    // The burst is the number of requests that the limit allows in ten seconds. Several requests can be sent before the
    // first response, so a slightly smaller burst is correct too.
    let burst = pool["bursts"]["requests"].as_u64().expect("it is known");
    assert!((170..=200).contains(&burst), "{pool}");
    assert_eq!(kept(&folder, "halted.jsonl.run")["pools"][0]["limits"]["rpm"], 1_200);
    assert_eq!(kept(&folder, "rehearsed.jsonl.run")["origin"], "simulator");
}

#[test]
fn a_run_that_can_not_keep_limits_ends_as_usual() {
    let folder = Folder::with_rows(5);
    folder.write("out.jsonl.run/limits.json/in-the-way", "");

    let said = folder.run_at(&api(), &["run", "prompts.jsonl", "-o", "out.jsonl"]);

    said.ends_with(0);
    assert!(!said.err.contains("limits.json"), "{}", said.err);
    assert!(!folder.path("out.jsonl.run/limits.json.claude-batch.tmp").exists());
}

#[test]
fn a_run_whose_responses_report_nothing_keeps_nothing() {
    let folder = Folder::with_rows(1);
    let body = br#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"a"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}"#;
    let silent = Hostile::always(response(200, &[("content-type", "application/json")], body));
    let with_key = |args: &[&str]| {
        said(folder.command(args).args(["--base-url", &silent.url]).env("ANTHROPIC_API_KEY", CANARY).output())
    };

    with_key(&["run", "prompts.jsonl", "-o", "out.jsonl"]).ends_with(0);
    let live = with_key(&["limits", "--live", "--yes"]);

    assert!(!folder.path("out.jsonl.run/limits.json").exists());
    live.ends_with(6).tells(&["reports no limits", "gateway", "--rpm"]);
}

#[test]
fn limits_are_shown_as_the_latest_run_of_the_server_learned_them() {
    let folder = Folder::with_rows(5);
    let api = api();
    folder.run_at(&api, &["run", "prompts.jsonl", "-o", "out.jsonl"]).ends_with(0);
    folder.run(&["run", "prompts.jsonl", "--simulate"]).ends_with(0);
    let before = api.books().requests;

    let here = folder.run_at(&api, &["limits", "--live"]);
    let json = folder.run_at(&api, &["limits", "--live", "--json"]);
    let named = folder.run(&["limits", "--live", "prompts.simulated.results.jsonl"]);
    let elsewhere = folder.run(&["limits", "--live"]);
    let other_model = folder.run(&["limits", "--live", "out.jsonl", "-m", "claude-opus-5"]);

    here.ends_with(0);
    assert!(here.out.contains("out.jsonl.run") && here.out.contains("900,000 input tokens"), "{}", here.out);
    assert!(here.out.contains("1,200 requests per minute, about "), "{}", here.out);
    let document: Value = serde_json::from_str(&json.out).expect("it is one document");
    assert_eq!((&document["source"], &document["pools"][0]["limits"]["rpm"]), (&"run".into(), &1_200.into()));
    let of_tier = folder.run(&["limits", "--live", "--simulate", "--yes", "--tier", "2"]);
    named.ends_with(0);
    assert!(named.out.contains("learned them from simulator"), "{}", named.out);
    of_tier.ends_with(0);
    assert!(of_tier.out.contains("1,000 requests per minute"), "{}", of_tier.out);
    elsewhere.ends_with(0).tells(&["no run below this folder has learned the limits of https://api.anthropic.com"]);
    other_model.ends_with(2).tells(&["no limits of claude-opus-5"]);
    assert_eq!(api.books().requests, before, "nothing was sent");
}

#[test]
fn a_message_is_sent_only_with_permission() {
    let folder = Folder::new();
    let api = api();

    let refused = folder.run_at(&api, &["limits", "--live"]);
    let without_key = folder.run(&["limits", "--live"]);
    let before = api.books().requests;
    let asked = folder.run_at(&api, &["limits", "--live", "--yes", "-m", "claude-opus-5"]);
    let simulated = folder.run(&["limits", "--live", "--simulate", "--tier", "1"]);

    refused.ends_with(2).tells(&["one token to claude-haiku-4-5", "costs at most $0.0", "--yes"]);
    without_key.ends_with(2).tells(&["there is no API key"]);
    assert_eq!(before, 0);
    asked.ends_with(0);
    assert!(asked.out.contains("limits for claude-opus-5") && asked.out.contains("120,000 output"), "{}", asked.out);
    assert_eq!((api.books().requests, folder.names()), (1, vec![]));
    simulated.ends_with(0);
    assert!(simulated.out.contains("50 requests per minute"), "{}", simulated.out);
}

#[cfg(unix)]
#[test]
fn on_a_terminal_the_user_is_asked_first() {
    use std::io::Write;

    let api = api();
    for (answer, code, requests) in [("n\n", 2, 0), ("y\n", 0, 1)] {
        let folder = Folder::new();
        let pty = crate::pty::Pty::new(200);
        let mut command = folder.command_at(&api, &["limits", "--live"]);
        command.stdin(pty.stream()).stderr(pty.stream());
        let mut child = command.spawn().expect("the program starts");
        drop(command);
        let mut keyboard = fs::File::from(pty.ours.try_clone().expect("it can be opened again"));
        keyboard.write_all(answer.as_bytes()).expect("it can be written");
        let shown = pty.read();

        let ended = crate::pty::ended(&mut child);

        drop(keyboard);
        let shown = String::from_utf8(shown.join().expect("it was read")).expect("text");
        assert_eq!(ended, Some(code), "{shown}");
        assert!(shown.contains("Send a message of one token to claude-haiku-4-5 at http://127.0.0.1"), "{shown}");
        assert_eq!(api.books().requests, requests, "{shown}");
    }
}

#[test]
fn an_administrator_sees_the_limits_of_the_organization() {
    let folder = Folder::with_rows(3);
    let api = api();
    folder.run_at(&api, &["run", "prompts.jsonl", "-o", "out.jsonl"]).ends_with(0);
    let with_admin = |args: &[&str]| said(folder.command_at(&api, args).env("ANTHROPIC_API_KEY", ADMIN).output());

    let all = with_admin(&["limits", "--live"]);
    let one = with_admin(&["limits", "--live", "-m", "claude-opus-4-5", "--json"]);

    all.ends_with(0);
    assert!(all.out.contains("Claude Opus 4.x: ") && all.out.contains("Claude Haiku 5.5"), "{}", all.out);
    assert!(all.out.contains("900,000 input tokens per minute (cache reads do not count)"), "{}", all.out);
    let document: Value = serde_json::from_str(&one.out).expect("it is one document");
    let groups = document["groups"].as_array().expect("a list");
    assert_eq!((&document["source"], groups.len()), (&"organization".into(), 1));
    assert_eq!(groups[0]["name"], "Claude Opus 4.x");
}

#[test]
fn refusals_and_a_dead_server_say_what_to_do() {
    let folder = Folder::new();
    let mut closed = quick();
    closed.keys = Keys::None;
    let closed = Api::new(closed);
    let body = br#"{"type":"error","error":{"type":"x","message":"no sk-ant-canary here"}}"#;
    let forbidden = Hostile::always(response(403, &[("content-type", "application/json")], body));
    let not_the_api = Hostile::always(response(200, &[], b"<html>hello</html>"));
    let at = |url: &str, key: &str, args: &[&str]| {
        let command = [&["limits", "--live", "--yes", "--base-url", url], args].concat();
        said(folder.command(&command).env("ANTHROPIC_API_KEY", key).output())
    };

    at(&closed.url, CANARY, &[]).ends_with(5).tells(&["refused the key (401", "ANTHROPIC_API_KEY"]);
    at(&closed.url, ADMIN, &[]).ends_with(5).tells(&["refused the key (401", "ANTHROPIC_API_KEY"]);
    at(&forbidden.url, CANARY, &[]).ends_with(5).tells(&["forbids", "403"]);
    at(&forbidden.url, ADMIN, &[]).ends_with(5).tells(&["forbids", "403"]);
    at(&not_the_api.url, ADMIN, &[]).ends_with(2).tells(&["does not answer as the API does", "--base-url"]);
    at(&not_the_api.url, CANARY, &[]).ends_with(6).tells(&["reports no limits"]);
    at(&Api::quick().url, CANARY, &["-m", "claude-nope-1"])
        .ends_with(5)
        .tells(&["claude-nope-1", "claude-batch models"]);
    at("http://127.0.0.1:9", CANARY, &[]).ends_with(6).tells(&["127.0.0.1:9", "check the network"]);
    at("http://api.example.invalid", CANARY, &[]).ends_with(2).tells(&["http://"]);
}

#[test]
fn a_key_that_the_server_sends_back_is_hidden() {
    let folder = Folder::new();
    let error = format!("{{\"type\":\"error\",\"error\":{{\"type\":\"x\",\"message\":\"key {ADMIN} is bad\"}}}}");
    let group = format!(
        "{{\"data\":[{{\"group\":{{\"type\":\"t\",\"display_name\":\"{ADMIN}\"}},\"models\":[\"{ADMIN}\"],\"limits\":[]}}],\"next_page\":null}}"
    );
    let escaped = group.replace("sk-ant", "\\u0073k-ant");
    let wrong = format!("{{\"data\":\"{ADMIN}\"}}");
    for (status, body) in [(401, error), (200, group), (200, escaped), (200, wrong)] {
        let echo = Hostile::always(response(status, &[("content-type", "application/json")], body.as_bytes()));
        for form in [&[][..], &["--json"]] {
            let mut command = folder.command(&[&["limits", "--live", "--base-url", &echo.url], form].concat());

            let said = said(command.env("ANTHROPIC_API_KEY", ADMIN).output());

            assert!(!said.out.contains("0123456789abcdef") && !said.err.contains("0123456789abcdef"), "{said:?}");
            let hidden = ["sk-…", "[key]"];
            assert!(hidden.iter().any(|mark| said.out.contains(mark) || said.err.contains(mark)), "{said:?}");
        }
    }
}

#[test]
fn saved_limits_are_used_by_a_run_with_the_profile() {
    let folder = Folder::with_rows(3);
    let api = api();
    let with_home = |args: &[&str]| {
        let home = folder.path("home");
        said(folder.command_at(&api, args).env("XDG_CONFIG_HOME", &home).env("APPDATA", &home).output())
    };
    let file = "home/claude-batch/claude-batch.toml";
    folder.write("claude-batch.toml", "model = \"claude-haiku-4-5\"\n");
    let before = "# mine\r\nmax-cost = 4\r\n[profile.night] # slow\r\nrpm=1\r\n";
    folder.write(file, before);

    let saved = with_home(&["limits", "--live", "--yes", "--save", "night"]);
    let run = with_home(&["run", "prompts.jsonl", "--profile", "night", "-o", "out.jsonl"]);
    let again = with_home(&["limits", "--live", "--save", "two words"]);

    saved.ends_with(0).tells(&["saved rpm = 1200, itpm = 900000, otpm = 120000 in [profile.night]", "--profile night"]);
    let after = before.replace("rpm=1\r\n", "itpm = 900000\r\notpm = 120000\r\nrpm=1200\r\n");
    let text = folder.read(file);
    assert!(text.starts_with(&after), "{text}");
    run.ends_with(0);
    again.ends_with(0).tells(&["--profile 'two words'"]);
    assert!(folder.read(file).contains("[profile.\"two words\"]\r\nrpm = 1200\r\n"), "{}", folder.read(file));
    assert_eq!(folder.read("claude-batch.toml"), "model = \"claude-haiku-4-5\"\n", "the file of the working folder");
}

#[cfg(unix)]
#[test]
fn the_configuration_file_keeps_its_rights_and_its_link() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let folder = Folder::new();
    let save = || {
        let args = ["limits", "--live", "--simulate", "--save", "night"];
        said(folder.command(&args).env("XDG_CONFIG_HOME", folder.path("home")).output())
    };
    let mode = |name: &str| fs::metadata(folder.path(name)).expect("it is there").permissions().mode() & 0o777;
    let file = "home/claude-batch/claude-batch.toml";

    save().ends_with(0);
    assert_eq!((mode(file), mode("home/claude-batch")), (0o600, 0o700), "a new file is private");

    fs::rename(folder.path(file), folder.path("kept.toml")).expect("it can be moved");
    fs::set_permissions(folder.path("kept.toml"), fs::Permissions::from_mode(0o640)).expect("it is ours");
    symlink(folder.path("kept.toml"), folder.path(file)).expect("a link can be made");
    fs::write(folder.path("kept.toml"), "[profile.night]\nrpm = 3\n").expect("it can be written");
    save().ends_with(0);
    assert!(fs::symlink_metadata(folder.path(file)).expect("it is there").is_symlink());
    assert!(folder.read("kept.toml").contains("rpm = 1000"), "{}", folder.read("kept.toml"));
    assert_eq!(mode("kept.toml"), 0o640);
}

#[test]
fn a_configuration_file_that_can_not_be_edited_is_left_alone() {
    for text in ["[profile.night\n", "[profile]\nnight = { rpm = 1 }\n", "profile.night.rpm = 1\n"] {
        let folder = Folder::new();
        folder.write("home/claude-batch/claude-batch.toml", text);
        let home = folder.path("home");
        let mut command = folder.command(&["limits", "--live", "--simulate", "--save", "night"]);

        let said = said(command.env("XDG_CONFIG_HOME", &home).env("APPDATA", &home).output());

        said.ends_with(2).tells(&["claude-batch.toml"]);
        assert_eq!(folder.read("home/claude-batch/claude-batch.toml"), text);
        assert_eq!(folder.contents().len(), 1, "no temporary file is left");
    }
}

#[test]
fn the_tables_of_tiers_are_also_json() {
    let folder = Folder::new();

    let said = folder.run(&["limits", "--json", "--tier", "start", "-m", "claude-fable-5"]);

    said.ends_with(0);
    let document: Value = serde_json::from_str(&said.out).expect("it is one document");
    let tier = &document["tiers"][0];
    assert_eq!((&document["v"], &tier["tier"], &tier["monthly_cap_usd"]), (&1.into(), &"start".into(), &500.into()));
    assert_eq!(tier["classes"].as_array().map(Vec::len), Some(1));
    assert_eq!(tier["classes"][0]["itpm"], 500_000);
    folder.run(&["limits", "--save", "night"]).ends_with(2).tells(&["--live"]);
}
