//! Tests keys that a command prints, and the renewal of these keys. In some tests the API rejects the key, and in
//! others the command fails.

use std::time::Duration;

use crate::support::*;

/// A script that prints a new key at each call. The keys contain [`CANARY`].
fn numbered() -> String {
    format!("echo >> calls\necho {CANARY}-$(wc -l < calls | tr -d ' ')")
}

fn with_script(rows: usize, script: &str) -> Folder {
    let folder = Folder::with_rows(rows);
    folder.write("key.sh", script);
    folder
}

/// Runs with the key of `key.sh`, and without any other key.
fn run(folder: &Folder, api: &Api, more: &[&str]) -> Said {
    let args = ["run", "prompts.jsonl", "--base-url", &api.url, "--api-key-cmd", "sh key.sh", "--progress", "plain"];
    folder.run(&[&args[..], more].concat())
}

#[test]
fn a_refused_key_is_fetched_again_and_the_row_is_answered() {
    let api = Api::with_faults(r#"{"rules": [{"status": 401, "first_attempts_only": true}]}"#);
    let folder = with_script(1, &numbered());

    run(&folder, &api, &["-o", "results.jsonl"]).ends_with(0);

    assert_eq!(folder.read("calls").lines().count(), 2);
    assert!(!folder.read("results.jsonl").contains(CANARY));
}

#[test]
fn a_key_that_stays_refused_stops_the_run_after_one_more_call_of_the_command() {
    let api = Api::with_faults(r#"{"rules": [{"status": 401}]}"#);
    let folder = with_script(5, &numbered());

    let said = run(&folder, &api, &[]);

    assert_ne!(said.code, Some(0));
    assert_eq!(folder.read("calls").lines().count(), 2);
    assert!(!said.err.contains(CANARY), "{}", said.err);
}

#[test]
fn a_command_without_a_key_ends_the_run_before_anything_is_written() {
    for (script, message) in [
        ("true", "--api-key-cmd printed nothing; it should print a key"),
        ("echo 'no login' >&2; exit 4", "failed (exit status: 4): no login"),
        ("echo '{\"token\": \"k\", \"expires_at\": 1}'", "renew the login"),
    ] {
        let (api, folder) = (Api::quick(), with_script(1, script));
        let before = folder.names();

        let said = run(&folder, &api, &[]);

        said.tells(&[message]);
        assert_ne!(said.code, Some(0));
        assert_eq!(folder.names(), before);
    }
}

#[test]
fn rows_without_a_key_wait_and_are_answered_by_the_next_run() {
    let api = Api::slow(Duration::from_millis(200));
    let script = format!(
        "echo >> calls\n[ $(wc -l < calls) = 1 ] || {{ echo 'the vault is closed' >&2; exit 1; }}\n\
         echo '{{\"token\": \"{CANARY}\", \"expires_in\": 1}}'"
    );
    let folder = with_script(20, &script);
    let narrow = ["-o", "results.jsonl", "--concurrency", "1", "--retry-for", "3s"];

    let said = run(&folder, &api, &narrow);

    assert_ne!(said.code, Some(0));
    said.tells(&["There is no credential", "the vault is closed", "warning: the key can't be renewed"]);
    assert!(folder.read("results.jsonl").lines().count() < 20, "{}", said.err);
    assert!(!said.err.contains(CANARY), "{}", said.err);
    folder.run_at(&api, &["run", "prompts.jsonl", "-o", "results.jsonl"]).ends_with(0);
    assert_eq!(folder.read("results.jsonl").lines().count(), 20);
}
