//! Tests that the key never appears in the output or the files, even when a server sends the key back.

use crate::support::*;

#[track_caller]
fn assert_no_canary(folder: &Folder, said: &Said) {
    assert!(!said.out.contains(CANARY), "standard output");
    assert!(!said.err.contains(CANARY), "standard error: {}", said.err);
    for (path, bytes) in folder.contents() {
        let has = bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
        assert!(!has, "{}", path.display());
    }
}

#[test]
fn no_output_mode_shows_the_key() {
    let api = Api::with_faults(
        r#"{"rules": [{"status": 400, "share": 0.3}, {"status": 500, "share": 0.2, "first_attempts_only": true}]}"#,
    );
    for kind in ["plain", "json", "none", "tty"] {
        let folder = Folder::with_rows(20);

        let said = folder.run_at(&api, &["run", "prompts.jsonl", "-v", "-v", "--progress", kind, "--log", "log.jsonl"]);

        said.ends_with(3);
        assert_no_canary(&folder, &said);
        for command in [&["status", "--json"][..], &["status"], &["report", "prompts.jsonl"]] {
            assert_no_canary(&folder, &folder.run_at(&api, command));
        }
    }
}

#[test]
fn a_key_that_the_server_sends_back_is_not_shown() {
    let echo = format!("invalid x-api-key: {CANARY} is not known");
    for status in [401, 400, 500] {
        let folder = Folder::with_rows(12);
        let api = Api::with_faults(&format!(r#"{{"rules": [{{"status": {status}, "message": "{echo}"}}]}}"#));

        let said = folder.run_at(
            &api,
            &["run", "prompts.jsonl", "-v", "--max-retries", "1", "--retry-for", "3s", "--progress", "json"],
        );

        assert_ne!(said.code, Some(0));
        assert_no_canary(&folder, &said);
    }
}

#[test]
fn a_key_from_a_file_or_a_command_is_used_and_not_shown() {
    let api = Api::quick();
    let folder = Folder::with_rows(3);
    let elsewhere = tempfile::tempdir().expect("a folder");
    let file = elsewhere.path().join("key");
    std::fs::write(&file, format!("{CANARY}\n")).expect("a key file");
    let path = file.to_str().expect("UTF-8");

    let said = Said::of(
        folder
            .command(&["run", "prompts.jsonl", "-v", "--api-key-file", path])
            .env("ANTHROPIC_BASE_URL", &api.url)
            .output()
            .expect("the program starts"),
    );

    said.ends_with(0);
    assert_no_canary(&folder, &said);
}
