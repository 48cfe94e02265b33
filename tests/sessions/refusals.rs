//! What is refused before anything is sent: one clear message, exit code 2, and nothing left behind.

use std::process::{Command, Stdio};

use crate::support::*;

/// Runs the program, and asserts that it says one thing, sends nothing and leaves the folder as it was.
#[track_caller]
fn refused(folder: &Folder, args: &[&str], parts: &[&str]) {
    let before = folder.contents();

    let said = Said::of(folder.command(args).output().expect("the program starts"));

    said.ends_with(2).tells(parts);
    assert_eq!(said.out, "");
    assert!(folder.contents() == before, "{args:?} changed the folder: {:?}", folder.names());
    if let Some(line) = said.err.lines().next().filter(|line| line.starts_with("claude-batch: ")) {
        assert_eq!(said.err.lines().count(), 1, "one message: {}", said.err);
        assert!(line.len() < 400, "{line}");
    }
}

#[test]
fn an_input_that_can_not_be_read() {
    let folder = Folder::with_rows(2);
    std::fs::create_dir(folder.path("folder")).expect("a folder");

    refused(&folder, &["run", "missing.jsonl", "--simulate"], &["missing.jsonl: no such file"]);
    refused(&folder, &["run", "folder", "--simulate"], &["folder: is a folder"]);
    refused(&folder, &["run", "no*.jsonl", "--simulate"], &["no file matches no*.jsonl"]);
    refused(&folder, &["resume", "missing.errors.jsonl", "--simulate"], &["missing.errors.jsonl: no such file"]);
    refused(&folder, &["resume", "prompts.jsonl", "--simulate"], &["prompts.jsonl", "error log"]);
}

#[test]
fn ids_that_are_not_unique() {
    let folder = Folder::new();
    folder.write("prompts.jsonl", &format!("{}{}", rows(4), rows(1)));

    refused(&folder, &["run", "prompts.jsonl", "--simulate"], &["prompts.jsonl:5", "\"r0\"", "prompts.jsonl:1"]);
}

#[test]
fn flags_that_mean_nothing() {
    let folder = Folder::with_rows(2);

    refused(&folder, &["run", "prompts.jsonl", "--tier", "9"], &["'9'", "--tier", "start, build, scale"]);
    refused(&folder, &["run", "prompts.jsonl", "--teir", "2"], &["--teir", "--tier"]);
    refused(&folder, &["run", "prompts.jsonl", "--timeout", "30"], &["--timeout", "30", "30s"]);
    refused(&folder, &["run", "prompts.jsonl", "--max-tokens", "0"], &["--max-tokens", "0"]);
    refused(&folder, &["run", "prompts.jsonl", "--max-cost", "-1"], &["--max-cost", "-1"]);
    refused(&folder, &["run", "prompts.jsonl", "--param", "top_k"], &["--param", "top_k"]);
    refused(&folder, &["run", "prompts.jsonl", "--simulate", "--simulate-faults", "no.json"], &["no.json"]);
    refused(&folder, &["rnu", "prompts.jsonl"], &["rnu", "Usage"]);
}

#[test]
fn a_fault_file_with_a_mistake() {
    let folder = Folder::with_rows(2);
    folder.write("faults.json", "{\"rules\":[\n  {\"statsu\":500}]}");

    refused(
        &folder,
        &["run", "prompts.jsonl", "--simulate", "--simulate-faults", "faults.json"],
        &["faults.json", "line 2", "statsu"],
    );
}

#[test]
fn a_template_that_names_what_is_not_there() {
    let folder = Folder::new();
    folder.write("tickets.csv", "subject,body\na,b\n");

    refused(&folder, &["run", "tickets.csv", "--simulate"], &["tickets.csv", "prompt", "subject, body", "-t"]);
    refused(&folder, &["run", "tickets.csv", "--simulate", "-t", "{{bdoy}}"], &["bdoy", "subject, body"]);
    refused(&folder, &["run", "tickets.csv", "--simulate", "-t", "{{body"], &["template"]);
    refused(&folder, &["run", "tickets.csv", "--simulate", "-t", "@no.txt"], &["no.txt"]);
}

#[test]
fn an_output_that_can_not_be_one() {
    let folder = Folder::with_rows(2);
    folder.write("notes.txt", "my own notes\n");
    folder.write("other.jsonl", "{\"a\":1}\n");
    std::fs::create_dir(folder.path("folder")).expect("a folder");
    let to = |output| ["run", "prompts.jsonl", "--simulate", "-o", output];

    refused(&folder, &to("prompts.jsonl"), &["prompts.jsonl is the input"]);
    refused(&folder, &to("./prompts.jsonl"), &["prompts.jsonl is the input"]);
    refused(&folder, &to("folder"), &["folder is a folder"]);
    refused(&folder, &to("nowhere/out.jsonl"), &["the folder nowhere"]);
    refused(&folder, &to("notes.txt"), &["notes.txt holds something else"]);
    refused(&folder, &to("other.jsonl"), &["other.jsonl holds something else"]);
    refused(
        &folder,
        &["run", "prompts.jsonl", "--simulate", "--errors", "prompts.simulated.results.jsonl"],
        &["can't hold both"],
    );
}

#[cfg(unix)]
#[test]
fn an_output_that_can_not_be_written() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::with_rows(2);
    refused(&folder, &["run", "prompts.jsonl", "--simulate", "-o", "/dev/full"], &["/dev/full"]);
    let locked = folder.path("locked");
    std::fs::create_dir(&locked).expect("a folder");
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o555)).expect("permissions");
    if std::fs::write(locked.join("probe"), "").is_ok() {
        eprintln!("SKIPPED: this user may write everywhere, so a folder without that right can't be tried");
        return;
    }

    let said = folder.run(&["run", "prompts.jsonl", "--simulate", "-o", "locked/out.jsonl"]);

    said.ends_with(7).tells(&["locked/out.jsonl", "ermission"]);
}

#[test]
fn a_run_without_a_key_names_both_ways_out() {
    let folder = Folder::with_rows(2);

    refused(&folder, &["run", "prompts.jsonl"], &["ANTHROPIC_API_KEY", "--api-key-file", "--simulate"]);
}

#[test]
fn a_key_on_the_command_line_is_refused_and_not_repeated() {
    let folder = Folder::with_rows(2);

    let said = folder.run(&["run", "prompts.jsonl", "--api-key", CANARY]);

    said.ends_with(2).tells(&["ANTHROPIC_API_KEY"]);
    assert!(!said.err.contains(CANARY), "{}", said.err);
}

#[test]
fn an_address_that_would_give_the_key_away() {
    let folder = Folder::with_rows(2);
    let to = |url| ["run", "prompts.jsonl", "--base-url", url];

    refused(&folder, &to("http://example.invalid"), &["--base-url", "unencrypted", "--allow-http"]);
    refused(&folder, &to("http://10.1.2.3:8080"), &["--base-url", "--allow-http"]);
    refused(&folder, &to("ftp://example.invalid"), &["--base-url", "ftp"]);
    refused(&folder, &to("not a url"), &["--base-url"]);
}

#[test]
fn a_second_run_on_one_output() {
    let folder = Folder::with_rows(2);
    let api = Api::slow(std::time::Duration::from_secs(600));
    let mut first = folder.command_at(&api, &["run", "prompts.jsonl"]).spawn().expect("it starts");
    api.wait_for_requests(1);

    let second = folder.run_at(&api, &["run", "prompts.jsonl"]);

    first.kill().expect("it can be ended");
    first.wait().expect("it ends");
    second.ends_with(2).tells(&["another run", &format!("process {}", first.id()), "prompts.results.jsonl", "-o"]);
}

#[test]
fn a_price_that_is_not_known_under_a_budget() {
    let folder = Folder::with_rows(2);

    refused(
        &folder,
        &["run", "prompts.jsonl", "--simulate", "--max-cost", "1", "-m", "claude-next-9"],
        &["--max-cost", "claude-next-9", "--prices"],
    );
}

#[test]
fn a_terminal_on_standard_input_is_not_waited_for() {
    let folder = Folder::new();
    let Ok(tty) = std::fs::File::open("/dev/ptmx") else {
        eprintln!("SKIPPED: there are no pseudo terminals here");
        return;
    };
    let mut command: Command = folder.command(&["run", "--simulate"]);

    let said = Said::of(command.stdin(Stdio::from(tty)).output().expect("the program starts"));

    said.ends_with(2).tells(&["input"]);
}
