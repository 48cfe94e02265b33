//! Tests the command `config`. The command shows the settings and their sources, shows the files that are read, and
//! makes a new file.

use crate::support::*;

const OWN: &str = r#"
tier = 2
max-cost = 40
header = { x-team = "s3cret-header-1" }
notify = ["https://chat.example.invalid/s3cret-path"]
api-key-cmd = "touch command-ran s3cret-argument"
timeout = "2m"

[profile.night]
tier = 3
max-time = "8h"

[providers.local]
kind = "messages"
base-url = "http://127.0.0.1:9"
"#;

/// Returns a folder with a configuration of the user, and the command `claude-batch` with these arguments.
fn show(folder: &Folder, more: &[&str]) -> Said {
    folder.write("own/claude-batch/claude-batch.toml", OWN);
    folder.write("claude-batch.toml", "max-cost = 5\nmodel = \"claude-sonnet-4-5\"\n");
    let own = folder.path("own");
    let mut command = folder.command(&[&["config", "show"], more].concat());
    command.env("XDG_CONFIG_HOME", &own).env("APPDATA", &own).env("HOME", &own);
    Said::of(command.env("CLAUDE_BATCH_RPM", "100").output().expect("the program starts"))
}

/// Returns the line about a setting, and the lines below it that have no name. Padding is left out.
fn about(said: &Said, name: &str) -> String {
    let mut lines =
        said.out.lines().skip_while(|line| line.get(2..).and_then(|rest| rest.split(' ').next()) != Some(name));
    let first = lines.next().unwrap_or_else(|| panic!("{name} is missing in:\n{}", said.out));
    let more = lines.take_while(|line| line.starts_with("   "));
    let words = [first].into_iter().chain(more).flat_map(str::split_whitespace);
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn each_setting_is_shown_with_the_layer_that_counts_and_those_that_it_overrides() {
    let folder = Folder::new();

    let said = show(&folder, &["--profile", "night", "--rpm", "50", "--param", "temperature=0"]);

    said.ends_with(0);
    let file = "~/claude-batch/claude-batch.toml";
    for (name, expected) in [
        ("rpm", "* rpm 50 flag overrides 100 (CLAUDE_BATCH_RPM)".to_owned()),
        ("param", "* param temperature=0 flag".to_owned()),
        ("tier", format!("* tier 3 profile night, {file}:10 overrides 2 ({file}:2)")),
        ("max-time", format!("* max-time 8h profile night, {file}:11")),
        ("max-cost", format!("* max-cost 5 claude-batch.toml:1 overrides 40 ({file}:3)")),
        ("model", "* model claude-sonnet-4-5 claude-batch.toml:2".to_owned()),
        ("max-retries", "max-retries 8 default".to_owned()),
        ("strict", "strict false default".to_owned()),
        ("night", format!("* night in use {file}:9")),
        ("local", format!("local not used, kind messages, {file}:13 address: http://127.0.0.1:9 key: none")),
    ] {
        assert_eq!(about(&said, name), expected);
    }
}

#[test]
fn no_form_shows_a_secret_or_runs_a_command() {
    let folder = Folder::new();

    for more in [&[][..], &["--set"], &["--json"], &["api-key-cmd", "header", "notify"]] {
        let said = show(&folder, more);

        said.ends_with(0);
        assert!(!said.out.contains("s3cret") && !said.err.contains("s3cret"), "{more:?}: {said:?}");
        assert!(said.out.contains("touch [hidden]") && said.out.contains("x-team: [hidden]"), "{more:?}: {}", said.out);
    }
    assert!(!folder.path("command-ran").exists());
}

#[test]
fn the_document_has_every_setting_with_all_its_layers() {
    let folder = Folder::new();

    let said = show(&folder, &["--json", "--rpm", "50"]);

    let document: serde_json::Value = serde_json::from_str(&said.out).expect("it is JSON");
    let settings = document["settings"].as_array().expect("a list");
    let rpm = settings.iter().find(|setting| setting["name"] == "rpm").expect("rpm");
    assert!(settings.len() > 70, "{}", settings.len());
    assert_eq!((&rpm["value"], &rpm["is_default"]), (&"50".into(), &false.into()));
    assert_eq!(rpm["layers"][0]["kind"], "flag");
    assert_eq!(
        (&rpm["layers"][1]["variable"], &rpm["layers"][1]["value"]),
        (&"CLAUDE_BATCH_RPM".into(), &"100".into())
    );
    assert_eq!(document["profiles"][0]["name"], "night");
    assert_eq!(document["providers"][1]["name"], "local");
}

#[test]
fn a_mistake_in_a_file_or_a_name_is_told_with_its_place() {
    let folder = Folder::new();
    folder.write("wrong.toml", "tier = 2\nrpm = \"many\"\n");

    let broken = folder.run(&["config", "show", "--config", "wrong.toml"]);
    let path = folder.run(&["config", "path", "--config", "wrong.toml"]);
    let unknown = folder.run(&["config", "show", "teir"]);

    broken.ends_with(2);
    assert!(broken.err.contains("wrong.toml:2: rpm: "), "{}", broken.err);
    path.ends_with(0);
    assert!(path.out.contains("found") && path.out.contains("wrong.toml (named with --config)"), "{}", path.out);
    unknown.ends_with(2);
    assert!(unknown.err.contains("there is no setting \"teir\"\n  did you mean tier?"), "{}", unknown.err);
}

#[test]
fn a_new_file_is_private_sets_nothing_and_replaces_nothing() {
    let folder = Folder::new();

    let written = folder.run(&["config", "init", "-o", "new/own.toml"]);
    let text = folder.read("new/own.toml");
    folder.write("new/own.toml", "tier = 2\n");
    let again = folder.run(&["config", "init", "-o", "new/own.toml"]);
    let printed = folder.run(&["config", "init", "--profile", "night", "-o", "-"]);

    written.ends_with(0);
    assert!(text.contains("\n#max-retries = 8\n") && text.lines().all(|line| line.is_empty() || line.starts_with('#')));
    again.ends_with(2);
    assert!(again.err.contains("new/own.toml: this file exists already"), "{}", again.err);
    assert_eq!(folder.read("new/own.toml"), "tier = 2\n");
    assert!(printed.out.contains("\n[profile.night]\n"), "{}", printed.out);
    let names = folder.run(&["completions", "--list", "profiles"]);
    assert_eq!((names.code, names.out.as_str()), (Some(0), ""));
}

#[cfg(unix)]
#[test]
fn a_new_file_can_be_read_only_by_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();

    folder.run(&["config", "init", "-o", "own.toml"]).ends_with(0);

    let mode = std::fs::metadata(folder.path("own.toml")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
