//! Runs commands of a page in a shell.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::page::root;
use crate::support::{Api, Folder};

/// The script behind the command `claude-batch` in a shell of these tests. The pages expect some exit codes, so the
/// script turns these codes into success: 3 (failed rows), 4 (a run that leaves its batches running) and 9 (a run in
/// progress).
const WRAPPER: &str = r#"#!/bin/sh
"$PROGRAM_OF_TESTS" "$@"
code=$?
case "$code $*" in
    "0 "* | "3 "* | "4 run "*" --detach"* | "9 status"*) exit 0 ;;
esac
exit $code
"#;

/// Returns a folder with the fixtures, and with the files that the pages use as examples of a user's files.
pub fn folder_of_a_user() -> Folder {
    let folder = Folder::new();
    for sub in ["", "letters"] {
        copy_files(&root().join("fixtures").join(sub), &folder.path("fixtures").join(sub));
    }
    folder.write("tickets.csv", &folder.read("fixtures/tickets.csv"));
    // Every eighth row of the sample file is enough, because these rows have every form that a row can have.
    let rows: String = folder.read("fixtures/prompts.jsonl").lines().step_by(8).flat_map(|row| [row, "\n"]).collect();
    folder.write("prompts.jsonl", &rows);
    folder.write("bin/claude-batch", WRAPPER);
    fs::set_permissions(folder.path("bin/claude-batch"), fs::Permissions::from_mode(0o755)).expect("it is ours");
    folder
}

/// Returns a shell that runs a script in the folder. The commands in the script send their requests to the API.
pub fn shell(folder: &Folder, api: &Api, script: &str) -> Command {
    let path = format!("{}:{}", folder.path("bin").display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    command.args(["-euc", script]).env_clear();
    command.env("PATH", path).env("HOME", folder.path("")).env("XDG_CONFIG_HOME", folder.path("config"));
    command.env("PROGRAM_OF_TESTS", env!("CARGO_BIN_EXE_claude-batch"));
    command.env("ANTHROPIC_API_KEY", crate::support::CANARY).env("ANTHROPIC_BASE_URL", &api.url);
    command.env("SLACK_WEBHOOK_URL", format!("{}/hook", api.url));
    command.current_dir(folder.path("")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Splits a command into words. The command ends at a pipe, a redirection or a comment.
pub fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for char in command.chars() {
        match (quote, char) {
            (Some(open), _) if open == char => quote = None,
            (None, '\'' | '"') => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (None, '|' | '<' | '>') => break,
            (None, '#') if word.is_none() => break,
            (None, _) if char.is_whitespace() => words.extend(word.take()),
            (None, '\\') => {}
            _ => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    words
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("it is there") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().expect("it has a name"))).expect("a file can be copied");
        }
    }
}
