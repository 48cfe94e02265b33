//! Tests the commands that the summary proposes. A shell runs each command, as if a user had pasted it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::*;

const ROWS: usize = 6;
/// One row fails once, and is answered when it is sent again.
const ONE_FAILS: &str = r#"{"rules": [{"status": 500, "contains": "number 0.", "times": 1}]}"#;

/// The command that the user typed, the environment variables (for the key and the server), and the path of the
/// results.
struct Case<'a> {
    args: &'a [&'a str],
    variables: &'a [(&'a str, &'a str)],
    results: &'a str,
}

#[test]
fn printed_commands_finish_the_run_with_any_names_and_settings() {
    let api = || Api::with_faults(ONE_FAILS);
    let key = ("ANTHROPIC_API_KEY", CANARY);
    let quoted = r#"my "best" $(prompts) it's.jsonl"#;
    let url = "URL";
    let dead = ("ANTHROPIC_BASE_URL", "http://127.0.0.1:9");
    let cases = [
        Case { args: &["run", "p.jsonl", "--base-url", url], variables: &[key], results: "p.results.jsonl" },
        Case {
            args: &["run", quoted, "--base-url", url],
            variables: &[key],
            results: r#"my "best" $(prompts) it's.results.jsonl"#,
        },
        Case {
            args: &["run", "p.jsonl", "-o", "o ut.jsonl", "--errors", "logs/e.jsonl", "--base-url", url],
            variables: &[key],
            results: "o ut.jsonl",
        },
        // The server in the environment differs from the server in the typed command.
        Case { args: &["run", "p.jsonl", "--base-url", url], variables: &[key, dead], results: "p.results.jsonl" },
        // All settings are in the environment.
        Case {
            args: &["run", "p.jsonl"],
            variables: &[
                key,
                ("CLAUDE_BATCH_BASE_URL", url),
                ("CLAUDE_BATCH_TIER", "3"),
                ("CLAUDE_BATCH_QUIET", "false"),
            ],
            results: "p.results.jsonl",
        },
        Case { args: &["run", "p.jsonl"], variables: &[key, ("ANTHROPIC_BASE_URL", url)], results: "p.results.jsonl" },
        // The settings are in a file with a profile.
        Case {
            args: &["run", "p.jsonl", "--config", "its conf.toml", "--profile", "at night"],
            variables: &[key],
            results: "p.results.jsonl",
        },
        // The key is in a file, and not in a variable.
        Case {
            args: &["run", "p.jsonl", "--base-url", url, "--api-key-file", "key file"],
            variables: &[],
            results: "p.results.jsonl",
        },
        // The run folder does not record these settings.
        Case {
            args: &[
                "run",
                "p.jsonl",
                "--base-url",
                url,
                "-c2",
                "-v",
                "--retry-for=9m",
                "--fsync",
                "always",
                "--no-proxy",
            ],
            variables: &[key],
            results: "p.results.jsonl",
        },
        // `--fresh` renames earlier results when the run starts. When the run is resumed, the results are not renamed
        // again.
        Case { args: &["run", "p.jsonl", "--base-url", url, "--fresh"], variables: &[key], results: "p.results.jsonl" },
        Case {
            args: &["run", "p.jsonl", "--base-url", url],
            variables: &[key, ("CLAUDE_BATCH_FRESH", "true")],
            results: "p.results.jsonl",
        },
    ];
    for case in cases {
        finished_by_printed_commands(&api(), &case, quoted);
    }
}

fn finished_by_printed_commands(api: &Api, case: &Case<'_>, quoted: &str) {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("logs")).expect("a folder");
    folder.write("p.jsonl", &rows(ROWS));
    folder.write(quoted, &rows(ROWS));
    folder.write("key file", CANARY);
    folder.write("claude-batch.toml", "tier = \"4\"\n");
    folder.write("its conf.toml", &format!("[profile.\"at night\"]\nbase-url = \"{}\"\n", api.url));
    let filled = |text: &str| text.replace("URL", &api.url);
    // Only an argument that is exactly `URL` is replaced, because names of variables contain `URL` too.
    let value = |text: &str| if text == "URL" { filled(text) } else { text.to_owned() };
    // The program sends one row after the other, so the first row fails before the limit on requests is reached.
    let window = if case.args.contains(&"-c2") { None } else { Some("-c1") };
    let more = ["--max-requests", "4", "--max-retries", "0"].into_iter().chain(window).map(str::to_owned);
    let args: Vec<_> = case.args.iter().map(|arg| value(arg)).chain(more).collect();
    let mut command = folder.command(&args.iter().map(String::as_str).collect::<Vec<_>>());
    case.variables.iter().for_each(|(name, text)| {
        command.env(name, value(text));
    });

    let mut said = Said::of(command.output().expect("the program starts"));

    said.ends_with(4).tells(&["2 pending"]);
    assert_eq!(printed(&said, "retry"), None, "the pending rows come first");
    let mut turns = 0;
    while let Some(again) = printed(&said, "continue") {
        said = pasted(&again, &command, None);
        turns += 1;
        assert!(turns <= 2, "{:?}: {again}: {}", case.args, said.err);
    }
    assert!(turns > 0, "{:?}: {}", case.args, said.err);
    let retry = printed(&said, "retry").expect("a row failed");
    pasted(&retry, &command, None).ends_with(0);
    assert_each_once(&folder.read(case.results), ROWS);
    assert_eq!(api.books().billed_calls, ROWS as u64, "{:?}: no answer is paid for twice", case.args);
}

#[test]
fn printed_commands_finish_a_simulated_run_in_files_and_over_a_pipe() {
    let folder = Folder::new();
    folder.write("a b.jsonl", &rows(ROWS));
    folder.write("faults.json", ONE_FAILS);
    let flags = ["--simulate", "--simulate-faults", "faults.json", "--tier", "none", "--max-retries", "0"];
    let in_files = folder.command(&[&["run", "a b.jsonl"][..], &flags].concat());
    let piped = folder.command(&[&["run"][..], &flags].concat());

    for (command, input) in [(in_files, None), (piped, Some(rows(ROWS)))] {
        let said = feed(again_as(&command), input.as_deref().unwrap_or_default());
        said.ends_with(3).tells(&["1 failed"]);
        let retried = pasted(&printed(&said, "retry").expect("a row failed"), &command, None);

        retried.ends_with(0).tells(&["simulator"]);
        if input.is_some() {
            assert_eq!(ids(&retried.out), ["r0"]);
        } else {
            assert_each_once(&folder.read("a b.simulated.results.jsonl"), ROWS);
        }
    }
}

#[test]
fn a_run_over_a_pipe_into_a_file_is_resumed_with_the_same_rows_on_standard_input() {
    let folder = Folder::new();
    let api = Api::quick();
    let command = folder.command_at(&api, &["run", "-o", "o.jsonl", "--max-requests", "4"]);

    let said = feed(again_as(&command), &rows(ROWS));
    said.ends_with(4).tells(&["to resume the run, pipe the same rows into this command"]);
    let on = pasted(&printed(&said, "continue").expect("rows are left"), &command, Some(&rows(ROWS)));

    on.ends_with(0);
    assert_each_once(&folder.read("o.jsonl"), ROWS);
}

#[test]
fn the_command_in_the_explanation_of_a_stopped_pipe_works() {
    let folder = Folder::new();
    let api = Api::quick();
    let mut command = folder.command(&["run", "--base-url", &api.url, "--max-requests", "4"]);
    command.env("ANTHROPIC_API_KEY", CANARY);

    let said = feed(again_as(&command), &rows(ROWS));
    said.ends_with(4);
    let explained =
        said.err.lines().find_map(|line| line.split_once("raise this limit and run ")).expect("it is explained").1;
    assert_eq!(Some(explained.trim_end_matches('.').to_owned()), printed(&said, "continue"));
    let on = pasted(explained.trim_end_matches('.'), &command, None);

    on.ends_with(0);
    let mut answered = [ids(&said.out), ids(&on.out)].concat();
    answered.sort();
    assert_eq!(answered, ["r0", "r1", "r2", "r3", "r4", "r5"]);
}

/// Returns the command that a summary prints after a label. The command follows the label on the same line, or stands
/// alone on the next line.
pub fn printed(said: &Said, label: &str) -> Option<String> {
    let mut lines = said.err.lines().skip_while(|line| !line.trim_end().starts_with(label));
    let line = lines.next()?;
    let beside = line.strip_prefix(label)?.trim();
    let command = if beside.is_empty() { lines.next()?.trim() } else { beside };
    assert!(command.starts_with("claude-batch "), "{}", said.err);
    Some(command.to_owned())
}

/// Runs a printed command in a shell, with the folder and the environment of the run that printed it.
pub fn pasted(text: &str, like: &Command, input: Option<&str>) -> Said {
    let program = Path::new(like.get_program());
    let mut path: Vec<PathBuf> = vec![program.parent().expect("its folder").to_owned()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let mut shell = Command::new("sh");
    shell.args(["-c", text]).env("PATH", std::env::join_paths(path).expect("a path"));
    as_there(&mut shell, like);
    // If a printed command does not name the server of its run, this proxy stops the requests to the default server.
    shell.env("HTTPS_PROXY", "http://127.0.0.1:9");
    feed(shell, input.unwrap_or_default())
}

/// Copies a command, so that a test can run the command a second time.
fn again_as(like: &Command) -> Command {
    let mut command = Command::new(like.get_program());
    command.args(like.get_args());
    as_there(&mut command, like);
    command
}

fn as_there(command: &mut Command, like: &Command) {
    command.current_dir(like.get_current_dir().expect("a folder"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    like.get_envs().for_each(|(name, value)| {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    });
}
