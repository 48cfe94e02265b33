//! Tests wrong uses of the program. Each message says where the mistake is, what was found, and what to do.
//!
//! `table.rs` has the wrong uses. The snapshot shows each command, its exit code and its message, for people who review
//! the messages. The tests in this file check the form of each message, and that nothing was written.

#[path = "../support/folder.rs"]
mod folder;
mod table;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use table::{Wrong, uses};
use tempfile::TempDir;

/// The API key of each run. No message is allowed to contain this key.
const KEY: &str = "sk-ant-canary-7f3d9b1c5e";
/// A part of the secrets in the table. No message is allowed to contain this text.
const SECRET: &str = "s3cret";
/// The largest allowed length of a line of a message, in characters.
const LONGEST: usize = 300;

#[test]
fn every_message_says_where_what_was_found_and_what_to_do() {
    let (folder, uses) = (prepared(), uses());
    let before = folder::contents(folder.path());

    let said = all_said(&uses, folder.path());

    assert!(uses.len() >= 80, "{}", uses.len());
    let faults: Vec<_> = uses.iter().zip(&said).filter_map(|(wrong, said)| fault(wrong, said)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    let after = folder::contents(folder.path());
    let changed: Vec<_> =
        after.iter().filter(|(path, bytes)| before.get(*path) != Some(bytes)).map(|(path, _)| path).collect();
    assert!(changed.is_empty() && before.len() == after.len(), "files were changed: {changed:?}");
    let shown: Vec<_> = uses.iter().zip(&said).map(|(wrong, said)| shown(wrong, said)).collect();
    insta::assert_snapshot!("messages", shown.join("\n"));
}

/// The exit code of the program, and its output.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

fn all_said(uses: &[Wrong], folder: &Path) -> Vec<Said> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut said = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::SeqCst);
            let Some(wrong) = uses.get(at) else { return said };
            said.push((at, run(wrong, folder)));
        }
    };
    let mut said: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a use can be tried")).collect()
    });
    said.sort_by_key(|(at, _)| *at);
    said.into_iter().map(|(_, said)| said).collect()
}

fn run(wrong: &Wrong, folder: &Path) -> Said {
    let mut command = program(folder, &words(&wrong.typed));
    for (name, value) in &wrong.variables {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn program(folder: &Path, args: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_claude-batch"));
    let ours = |name: &str| {
        let name = name.to_uppercase();
        ["CLAUDE_BATCH_", "ANTHROPIC_", "AWS_", "GOOGLE_", "OPENROUTER_"].iter().any(|begin| name.starts_with(begin))
            || name.ends_with("_PROXY")
    };
    std::env::vars().filter(|(name, _)| ours(name)).for_each(|(name, _)| {
        command.env_remove(name);
    });
    command.current_dir(folder).args(args);
    command.env("XDG_CONFIG_HOME", folder.join("config")).env("APPDATA", folder.join("config"));
    command.env("ANTHROPIC_API_KEY", KEY).env("ANTHROPIC_BASE_URL", "http://127.0.0.1:9");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Returns what is wrong with the form of a message.
fn fault(wrong: &Wrong, said: &Said) -> Option<String> {
    let lines: Vec<_> = said.err.lines().collect();
    let own = lines.iter().position(|line| line.starts_with("claude-batch: "));
    let message = own.map(|own| &lines[own..]).unwrap_or_default();
    let (first, last) = (message.first().copied().unwrap_or_default(), message.last().copied().unwrap_or_default());
    let all = format!("{}{}", said.out, said.err);
    let repeated = message.iter().enumerate().find(|(at, line)| message[..*at].contains(line));
    let checks = [
        ("the exit code is 2", said.code == Some(2)),
        ("nothing is on standard output", said.out.is_empty()),
        ("the first line names the place", first.contains(wrong.place)),
        ("the last line says what to do", message.len() > 1 && last.starts_with("  ")),
        ("there is one message", lines.iter().filter(|line| line.starts_with("claude-batch: ")).count() == 1),
        ("all lines but the first are indented", message.iter().skip(1).all(|line| line.starts_with("  "))),
        ("lines are short", lines.iter().all(|line| line.chars().count() <= LONGEST)),
        ("there are few lines", message.len() <= 4),
        ("no value is dumped", !all.contains(&"x".repeat(100)) && !all.contains(KEY) && !all.contains(SECRET)),
        ("nothing is said twice", repeated.is_none() && !has_twice(&said.err)),
        (
            "nothing looks like Rust",
            !["Some(", "None)", "Error {", "Err(", "os error", "::"].iter().any(|rust| all.contains(rust)),
        ),
        ("no line ends with noise", message.iter().all(|line| !line.trim_end().ends_with([':', ';', ',']))),
        ("no control character is printed", !all.contains(|char: char| char.is_control() && char != '\n')),
        ("no file of the run folder is named", !all.contains(".run/") || wrong.typed.contains(".run")),
    ];
    let failed: Vec<_> = checks.iter().filter(|(_, is_met)| !is_met).map(|(words, _)| *words).collect();
    (!failed.is_empty()).then(|| format!("{}: {}\n{}{}", wrong.typed, failed.join(", "), said.out, said.err))
}

/// Returns whether a sequence of five words occurs twice.
fn has_twice(text: &str) -> bool {
    let words: Vec<_> = text.split_whitespace().collect();
    let mut clauses = words.windows(5).map(|clause| clause.join(" ")).collect::<Vec<_>>();
    let count = clauses.len();
    clauses.sort_unstable();
    clauses.dedup();
    clauses.len() < count
}

fn shown(wrong: &Wrong, said: &Said) -> String {
    let variables: String = wrong
        .variables
        .iter()
        .map(|(name, value)| match value {
            Some(value) => format!("{name}='{}' ", cut(value)),
            None => format!("(without {name}) "),
        })
        .collect();
    let code = said.code.map_or("killed".to_owned(), |code| code.to_string());
    let err = match said.err.split_once("because it is ") {
        Some((before, after)) => format!("{before}because it is TIME{}", &after[after.find(" now").unwrap_or(0)..]),
        None => said.err.clone(),
    };
    format!("$ {variables}claude-batch {}\n{err}[{code}]\n", cut(&wrong.typed))
}

fn cut(text: &str) -> String {
    let text = text.replace('\n', "\\n").replace('\u{1b}', "\\e");
    if text.chars().count() > 160 { format!("{}…", text.chars().take(160).collect::<String>()) } else { text }
}

/// Splits a command line at blanks. Blanks inside single quotes do not split a word.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut is_quoted, mut is_word) = (Vec::new(), String::new(), false, false);
    for char in line.chars() {
        match char {
            '\'' => (is_quoted, is_word) = (!is_quoted, true),
            ' ' if !is_quoted => {
                if is_word {
                    words.push(std::mem::take(&mut word));
                }
                is_word = false;
            }
            other => {
                word.push(other);
                is_word = true;
            }
        }
    }
    if is_word {
        words.push(word);
    }
    words
}

/// Returns a folder with the files of the table, and with a simulated run whose rows failed.
fn prepared() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in table::files() {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder can be made");
        fs::write(path, bytes).expect("a file can be written");
    }
    fs::create_dir(folder.path().join("folder")).expect("a folder can be made");
    for (args, code) in
        [("run done.jsonl --simulate", 0), ("run failing.jsonl --simulate --simulate-faults faults.json", 3)]
    {
        let ended = program(folder.path(), &words(args)).output().expect("the program starts");
        assert_eq!(ended.status.code(), Some(code), "{args}: {}", String::from_utf8_lossy(&ended.stderr));
    }
    folder
}
