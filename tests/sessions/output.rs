//! Tests outputs that are closed or full, and outputs that are terminals.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use crate::support::*;

#[test]
fn a_reader_that_closes_the_pipe_ends_the_run_and_the_rows_are_kept() {
    let folder = Folder::new();
    let api = Api::slow(std::time::Duration::from_millis(5));
    folder.write("prompts.jsonl", &rows(300));
    let input = std::fs::File::open(folder.path("prompts.jsonl")).expect("the rows");
    let mut child =
        folder.command_at(&api, &["run", "-", "-c", "4"]).stdin(Stdio::from(input)).spawn().expect("it starts");
    let mut first = String::new();

    BufReader::with_capacity(1, child.stdout.take().expect("a pipe")).read_line(&mut first).expect("a line");
    let said = finish(child);

    said.ends_with(7).tells(&["standard output", "claude-batch resume claude-batch."]);
    assert!(!said.err.contains("panicked"), "{}", said.err);
    let log = folder.names().into_iter().find(|name| name.ends_with(".errors.jsonl")).expect("a log");
    let kept = ids(&folder.read(&log));
    assert!(!kept.is_empty() && kept.iter().all(|id| *id != ids(&first)[0]), "{kept:?}");
    let resumed = folder.run_at(&api, &["resume", &log]);
    resumed.ends_with(0);
    let mut answered = ids(&resumed.out);
    answered.sort();
    let mut wanted = kept.clone();
    wanted.sort();
    assert_eq!(answered, wanted);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_output_gives_an_error_and_the_rows_are_kept() {
    let folder = Folder::new();
    let api = Api::quick();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has one");
    let mut command = folder.command_at(&api, &["run"]);
    command.stdout(Stdio::from(full));

    let said = feed(command, &rows(5));

    said.ends_with(7).tells(&["No space left on device"]);
    let log = folder.names().pop().expect("a log");
    let mut kept = ids(&folder.read(&log));
    kept.sort();
    assert_eq!(kept, ["r0", "r1", "r2", "r3", "r4"]);
}

/// In this test, the system does not let the results file grow, as on a full disk.
#[cfg(unix)]
#[test]
fn a_full_disk_ends_the_run_and_the_same_command_resumes_it() {
    let folder = Folder::with_rows(80);
    let api = Api::quick();

    let full =
        Said::of(with_small_files(&folder.command_at(&api, &["run", "prompts.jsonl"])).output().expect("a shell"));
    let on = folder.run_at(&api, &["run", "prompts.jsonl"]);

    full.ends_with(7).tells(&["prompts.results.jsonl", "pending", "claude-batch run prompts.jsonl", "no space left"]);
    on.ends_with(0).tells(&["answered (this run: "]);
    assert!(!on.err.contains("killed"), "nobody killed it: {}", on.err);
    assert_each_once(&folder.read("prompts.results.jsonl"), 80);
}

/// In this test, standard output is read to its end, but the system does not let the error log grow.
#[cfg(unix)]
#[test]
fn the_message_for_an_error_log_that_can_not_be_written_names_the_log_and_not_standard_output() {
    let folder = Folder::new();
    let api = Api::with_faults(r#"{"rules": [{"status": 400}]}"#);

    let full = feed(with_small_files(&folder.command_at(&api, &["run", "--halt", "never"])), &rows(200));

    full.ends_with(7).tells(&[
        "stopped (results can't be written)",
        ".errors.jsonl: File too large",
        "rows that are not in the error log must be piped in again",
    ]);
    assert!(!full.err.contains("tandard output could not be written"), "{}", full.err);
}

#[cfg(unix)]
#[test]
fn the_error_of_the_system_is_printed_once() {
    let folder = Folder::with_rows(3);
    let long = "x".repeat(300);

    let said = folder.run(&["run", "prompts.jsonl", "--simulate", "-o", &long]);

    said.ends_with(7).tells(&["can't look at xxx"]);
    assert_eq!(said.err.matches("name too long").count(), 1, "{}", said.err);
}

/// Returns a command that can't write files larger than 8 or 16 KiB: `ulimit -f` counts blocks of 512 or 1024 bytes.
#[cfg(unix)]
fn with_small_files(whole: &std::process::Command) -> std::process::Command {
    in_shell("trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\"", whole)
}

/// Returns a command that runs `script`, in which `"$0" "$@"` stands for `whole`.
#[cfg(unix)]
fn in_shell(script: &str, whole: &std::process::Command) -> std::process::Command {
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", script]).arg(whole.get_program());
    shell.args(whole.get_args());
    shell.current_dir(whole.get_current_dir().expect("a folder")).stdin(Stdio::null());
    shell.stdout(Stdio::piped()).stderr(Stdio::piped());
    whole.get_envs().for_each(|(name, value)| {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    });
    shell
}

#[cfg(unix)]
#[test]
fn a_closed_standard_output_is_an_error_before_anything_is_sent() {
    let folder = Folder::with_rows(3);
    let api = Api::quick();
    let run = folder.command_at(&api, &["run", "prompts.jsonl", "-o", "-"]);

    let closed = Said::of(in_shell("exec \"$0\" \"$@\" >&-", &run).output().expect("a shell"));

    closed.ends_with(2).tells(&["standard output is closed", "-o"]);
    assert_eq!(api.books().requests, 0);
    assert_eq!(folder.names(), ["prompts.jsonl"]);
    let thrown_away = Said::of(in_shell("exec \"$0\" \"$@\" > /dev/null", &run).output().expect("a shell"));
    thrown_away.ends_with(0);
}

/// `sed -i` and editors write a copy of a file, and give it the name of the file.
#[cfg(unix)]
#[test]
fn a_results_file_that_another_program_replaces_stops_the_run() {
    let folder = Folder::with_rows(400);
    let api = Api::slow(std::time::Duration::from_millis(20));
    let child = folder.command_at(&api, &["run", "prompts.jsonl", "-c", "4"]).spawn().expect("it starts");
    let results = folder.path("prompts.results.jsonl");
    while std::fs::read(&results).is_ok_and(|bytes| bytes.len() < 1000) || !results.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }

    std::fs::copy(&results, folder.path("copy")).expect("there is room");
    std::fs::rename(folder.path("copy"), &results).expect("it has a name");
    let said = finish(child);

    said.ends_with(7).tells(&["prompts.results.jsonl: another program replaced, moved or removed the file"]);
    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0).tells(&["possibly billed twice"]);
    assert_each_once(&folder.read("prompts.results.jsonl"), 400);
}

#[test]
fn progress_as_json_is_a_line_of_json_for_each_event() {
    let folder = Folder::with_rows(3);
    let api = Api::quick();

    let said = folder.run_at(&api, &["run", "prompts.jsonl", "--progress", "json"]);

    said.ends_with(0);
    let events = said.err.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")));
    let events: Vec<serde_json::Value> = events.collect();
    let kinds: Vec<_> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    for kind in ["note", "started", "progress", "ended", "summary"] {
        assert!(kinds.contains(&kind), "{kind} is missing in {kinds:?}");
    }
}

#[test]
fn quiet_prints_nothing_if_a_run_goes_well() {
    let folder = Folder::with_rows(3);
    let api = Api::quick();

    let quiet = folder.run_at(&api, &["run", "prompts.jsonl", "-q"]);
    let again = folder.run_at(&api, &["run", "prompts.jsonl", "-q"]);

    assert_eq!((quiet.ends_with(0).err.as_str(), quiet.out.as_str()), ("", ""));
    assert_eq!(again.ends_with(0).err, "");
}

/// The table has a line for each way in which a run with `--quiet` can end. Each line of the table has the texts that
/// standard error must contain.
#[test]
fn quiet_is_silent_when_all_is_well_and_says_in_one_line_what_is_wrong() {
    let faults = r#"{"rules": [
        {"status": 400, "contains": "number 1.", "times": 2, "message": "max_tokens: is wrong"},
        {"status": 400, "contains": "number 2.", "times": 2, "message": "max_tokens: is wrong"},
        {"status": 413, "contains": "number 3.", "times": 1}
    ]}"#;
    let (folder, api) = (Folder::with_rows(20), Api::with_faults(faults));
    folder.write("broken.jsonl", "{\"prompt\":\"a\"}\n{\"prompt\":\n");
    let errors = "prompts.errors.jsonl";
    let fresh = "3 rows failed, 2 of them with invalid_request (row r";
    let cases: [(&[&str], i32, &[&str]); 9] = [
        (
            &["run", "prompts.jsonl"],
            3,
            &[fresh, "400, \"max_tokens: is wrong\"); the error log is prompts.errors.jsonl"],
        ),
        (&["run", "prompts.jsonl"], 3, &["3 rows failed, 2 of them with invalid_request; the error log is ", errors]),
        (&["resume", errors, "--only", "too_large"], 3, &["2 rows failed with invalid_request; ", errors]),
        (&["resume", errors], 3, &["2 rows failed with invalid_request (row r", errors]),
        (&["resume", errors], 0, &[]),
        (&["run", "prompts.jsonl"], 0, &[]),
        (&["run", "prompts.jsonl", "-o", "x.jsonl", "--max-requests", "3"], 4, &["--max-requests"]),
        (&["run", "missing.jsonl"], 2, &["missing.jsonl: no such file"]),
        (&["run", "broken.jsonl"], 3, &["1 row failed with invalid_input (row broken.jsonl:2, "]),
    ];

    for (args, code, parts) in cases {
        let said = folder.run_at(&api, &[args, &["-q"]].concat());

        said.ends_with(code).tells(parts);
        // If the command has a mistake, the advice is on a line of its own.
        let lines = said.err.lines().filter(|line| !line.starts_with("  ")).count();
        assert_eq!(lines, usize::from(code != 0), "{args:?}: {}", said.err);
        assert_eq!(said.out, "", "{args:?}");
    }
}

#[test]
fn no_progress_still_has_a_summary() {
    let folder = Folder::with_rows(3);
    let api = Api::quick();

    let said = folder.run_at(&api, &["run", "prompts.jsonl", "--progress", "none"]);

    said.ends_with(0).tells(&["3 answered"]);
}

#[test]
fn without_a_terminal_no_control_sequences_are_written() {
    let folder = Folder::with_rows(30);
    let api = Api::quick();

    for kind in ["auto", "plain", "none"] {
        let said = folder.run_at(&api, &["run", "prompts.jsonl", "--fresh", "--progress", kind]);

        assert!(!said.ends_with(0).err.contains('\x1b'), "{kind}: {}", said.err);
    }
}

#[test]
fn answers_come_out_of_a_pipe_while_rows_still_go_in() {
    use std::io::Write;
    let folder = Folder::new();
    let api = Api::quick();
    let mut child = folder.command_at(&api, &["run"]).stdin(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut text = String::new();

    stdin.write_all(rows(1).as_bytes()).expect("a row goes in");
    out.read_line(&mut text).expect("its answer comes out");
    drop(stdin);
    out.read_to_string(&mut text).expect("the rest");

    finish(child).ends_with(0);
    assert_each_once(&text, 1);
}
