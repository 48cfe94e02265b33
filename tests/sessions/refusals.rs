//! Tests runs that are rejected before anything is sent. A rejected run prints one clear message, ends with exit code
//! 2, and leaves no files.
//!
//! A dry run rejects nearly everything that a run rejects, with the same message and the same exit code. Most cases
//! here are therefore tried as a run and as a dry run. A dry run skips only the checks of things that are needed to
//! send requests. The cases of these checks use [`refused_once`].

use std::process::{Command, Stdio};

use crate::support::*;

/// Runs the program twice, the second time as a dry run. Asserts that both runs print the same message, send nothing,
/// and leave the folder unchanged.
#[track_caller]
fn refused(folder: &Folder, args: &[&str], parts: &[&str]) {
    let said = refused_once(folder, args, parts);
    if !matches!(args[0], "run" | "resume") {
        return;
    }

    let dry = refused_once(folder, &[args, &["--dry-run"]].concat(), parts);

    assert_eq!(
        said.err.lines().next(),
        dry.err.lines().next(),
        "a dry run prints the message that the run would print"
    );
}

/// Runs the program. Asserts that the program prints one message, sends nothing and leaves the folder unchanged.
#[track_caller]
fn refused_once(folder: &Folder, args: &[&str], parts: &[&str]) -> Said {
    let before = folder.contents();

    let said = Said::of(folder.command(args).output().expect("the program starts"));

    said.ends_with(2).tells(parts);
    assert_eq!(said.out, "");
    assert!(folder.contents() == before, "{args:?} changed the folder: {:?}", folder.names());
    if let Some(line) = said.err.lines().next().filter(|line| line.starts_with("claude-batch: ")) {
        assert!(said.err.lines().skip(1).all(|line| line.starts_with("  ")), "one message: {}", said.err);
        assert!(line.len() < 400, "{line}");
    }
    said
}

#[test]
fn an_input_that_can_not_be_read_is_refused() {
    let folder = Folder::with_rows(2);
    std::fs::create_dir(folder.path("folder")).expect("a folder");

    refused(&folder, &["run", "missing.jsonl", "--simulate"], &["missing.jsonl: no such file"]);
    refused(&folder, &["run", "folder", "--simulate"], &["folder: is an empty folder"]);
    refused(&folder, &["run", "no*.jsonl", "--simulate"], &["no file matches no*.jsonl"]);
    refused(&folder, &["resume", "missing.errors.jsonl", "--simulate"], &["missing.errors.jsonl: no such file"]);
    refused(&folder, &["resume", "prompts.jsonl", "--simulate"], &["prompts.jsonl", "error log"]);
}

#[test]
fn ids_that_are_not_unique_are_refused() {
    let folder = Folder::new();
    folder.write("prompts.jsonl", &format!("{}{}", rows(4), rows(1)));

    refused(&folder, &["run", "prompts.jsonl", "--simulate"], &["prompts.jsonl:5", "\"r0\"", "prompts.jsonl:1"]);
}

#[test]
fn flags_that_mean_nothing_are_refused() {
    let folder = Folder::with_rows(2);

    refused(&folder, &["run", "prompts.jsonl", "--tier", "9"], &["\"9\"", "--tier", "start, build or scale"]);
    refused(&folder, &["run", "prompts.jsonl", "--teir", "2"], &["--teir", "--tier"]);
    refused(&folder, &["run", "prompts.jsonl", "--timeout", "30"], &["--timeout", "30", "30s"]);
    refused(&folder, &["run", "prompts.jsonl", "--max-tokens", "0"], &["--max-tokens", "0"]);
    refused(&folder, &["run", "prompts.jsonl", "--max-cost", "-1"], &["--max-cost", "-1"]);
    refused(&folder, &["run", "prompts.jsonl", "--param", "top_k"], &["--param", "top_k"]);
    refused(&folder, &["run", "prompts.jsonl", "--simulate", "--simulate-faults", "no.json"], &["no.json"]);
    refused(&folder, &["rnu", "prompts.jsonl"], &["rnu", "did you mean run?"]);
}

#[test]
fn a_fault_file_or_an_answer_file_with_a_mistake_is_refused() {
    let folder = Folder::with_rows(2);
    folder.write("faults.json", "{\"rules\":[\n  {\"statsu\":500}]}");

    refused(
        &folder,
        &["run", "prompts.jsonl", "--simulate", "--simulate-faults", "faults.json"],
        &["faults.json", "line 2", "statsu"],
    );
    refused(
        &folder,
        &["run", "prompts.jsonl", "--simulate", "--simulate-answers", "faults.json"],
        &["faults.json", "line 2", "statsu"],
    );
}

#[test]
fn a_template_that_names_a_missing_column_is_refused() {
    let folder = Folder::new();
    folder.write("tickets.csv", "subject,body\na,b\n");

    refused(&folder, &["run", "tickets.csv", "--simulate"], &["tickets.csv", "prompt", "subject, body", "-t"]);
    refused(&folder, &["run", "tickets.csv", "--simulate", "-t", "{{bdoy}}"], &["bdoy", "subject, body"]);
    refused(&folder, &["run", "tickets.csv", "--simulate", "-t", "{{body"], &["template"]);
    refused(&folder, &["run", "tickets.csv", "--simulate", "-t", "@no.txt"], &["no.txt"]);
    refused(&folder, &["run", "tickets.csv", "--simulate", "-t", "{{ body|uper }}"], &["no filter uper", "`upper`"]);
    refused(
        &folder,
        &["run", "tickets.csv", "--simulate", "-t", "{{body}}", "--id", "subjct"],
        &["did you mean subject?"],
    );
}

#[test]
fn a_template_without_a_column_is_refused() {
    let folder = Folder::with_rows(3);
    folder.write("tickets.csv", "subject,body\na,b\nc,d\n");

    for input in ["tickets.csv", "prompts.jsonl"] {
        let run = |template| ["run", input, "--simulate", "-t", template];
        refused(&folder, &run("Classify {body}"), &["names no column", "write {{ body }} instead of {body}"]);
        refused(&folder, &run("Classify this"), &["names no column", "write {{ name }}"]);
    }
    let piped = feed(folder.command(&["run", "--simulate", "-t", "Classify {body}"]), "{\"body\":\"a\"}\n");
    piped.ends_with(2).tells(&["names no column"]);
}

#[test]
fn an_output_that_can_not_be_a_results_file_is_refused() {
    let folder = Folder::with_rows(2);
    folder.write("notes.txt", "my own notes\n");
    folder.write("other.jsonl", "{\"a\":1}\n");
    std::fs::create_dir(folder.path("folder")).expect("a folder");
    let to = |output| ["run", "prompts.jsonl", "--simulate", "-o", output];

    refused(&folder, &to("prompts.jsonl"), &["prompts.jsonl is the input"]);
    refused(&folder, &to("./prompts.jsonl"), &["prompts.jsonl is the input"]);
    refused(&folder, &to("folder"), &["folder is a folder"]);
    refused(&folder, &to("nowhere/out.jsonl"), &["no folder nowhere"]);
    refused(&folder, &to("notes.txt"), &["notes.txt would be overwritten", "notes.txt.results.jsonl", "with -o"]);
    refused(
        &folder,
        &["run", "prompts.jsonl", "--simulate", "-o", "a.csv", "--output-format", "tsv"],
        &["a.csv", "tsv"],
    );
    refused(&folder, &["run", "prompts.jsonl", "--simulate", "-o", "a.csv", "--fields", "idd"], &["did you mean id?"]);
    refused(&folder, &to("other.jsonl"), &["other.jsonl is not a file of claude-batch"]);
    refused(
        &folder,
        &["run", "prompts.jsonl", "--simulate", "--errors", "prompts.simulated.results.jsonl"],
        &["can't hold both"],
    );
}

#[cfg(unix)]
#[test]
fn an_output_that_can_not_be_written_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    /// The id of a user who owns nothing.
    const NOBODY: u32 = 65_534;
    let folder = Folder::with_rows(2);
    refused(&folder, &["run", "prompts.jsonl", "--simulate", "-o", "/dev/full"], &["/dev/full"]);
    let locked = folder.path("locked");
    std::fs::create_dir(&locked).expect("a folder");
    let set = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permissions");
    };
    set(&folder.path(""), 0o755);
    set(&locked, 0o555);
    // If this user can write to every folder, the test starts the program as another user.
    let is_root = std::fs::write(locked.join("probe"), "").is_ok();
    let run = |flags: &[&str]| {
        let args = [&["run", "prompts.jsonl", "--simulate", "-o", "locked/out.jsonl"], flags].concat();
        let mut command = folder.command(&args);
        let command = if is_root { command.uid(NOBODY) } else { &mut command };
        command.output().map(Said::of)
    };

    let Ok(said) = run(&[]) else {
        eprintln!("SKIPPED: this user may write everywhere, and another user can't reach the program");
        return;
    };
    let dry = run(&["--dry-run"]).expect("the program starts");

    said.ends_with(7).tells(&["locked/out.jsonl", "ermission"]);
    dry.ends_with(7);
    assert_eq!(said.err, dry.err);
}

#[test]
fn a_run_without_a_key_names_both_remedies() {
    let folder = Folder::with_rows(2);

    refused_once(&folder, &["run", "prompts.jsonl"], &["ANTHROPIC_API_KEY", "--api-key-file", "--simulate"]);
}

#[test]
fn a_key_on_the_command_line_is_refused_and_not_repeated() {
    let folder = Folder::with_rows(2);

    let said = folder.run(&["run", "prompts.jsonl", "--api-key", CANARY]);

    said.ends_with(2).tells(&["ANTHROPIC_API_KEY"]);
    assert!(!said.err.contains(CANARY), "{}", said.err);
}

#[test]
fn an_address_that_would_give_the_key_away_is_refused() {
    let folder = Folder::with_rows(2);
    let to = |url| ["run", "prompts.jsonl", "--base-url", url];

    refused(&folder, &to("http://example.invalid"), &["--base-url", "unencrypted", "--allow-http"]);
    refused(&folder, &to("http://10.1.2.3:8080"), &["--base-url", "--allow-http"]);
    refused(&folder, &to("ftp://example.invalid"), &["--base-url", "ftp"]);
    refused(&folder, &to("not a url"), &["--base-url"]);
}

#[test]
fn a_second_run_on_one_output_is_refused() {
    let folder = Folder::with_rows(2);
    let api = Api::slow(std::time::Duration::from_secs(600));
    let mut first = folder.command_at(&api, &["run", "prompts.jsonl"]).spawn().expect("it starts");
    api.wait_for_requests(1);

    let second = folder.run_at(&api, &["run", "prompts.jsonl"]);
    // The first run can write something at this moment, because it records that its second row is in flight. A paused
    // process keeps its lock and writes nothing.
    let paused = Command::new("kill").args(["-STOP", &first.id().to_string()]).status().expect("kill is there");
    assert!(paused.success());
    let before = folder.contents();
    let dry = folder.run_at(&api, &["run", "prompts.jsonl", "--dry-run"]);
    let is_unchanged = folder.contents() == before;

    first.kill().expect("it can be ended");
    first.wait().expect("it ends");
    second.ends_with(2).tells(&["another run", &format!("process {}", first.id()), "prompts.results.jsonl", "-o"]);
    dry.ends_with(2);
    assert_eq!(second.err, dry.err);
    assert!(is_unchanged);
}

#[test]
fn an_input_without_a_usable_row_is_refused() {
    let folder = Folder::new();
    folder.write("broken.jsonl", "{\"prompt\":\"\"}\n{\n");
    folder.write("long.jsonl", "{\"prompt\":\"a\",\"max_tokens\":9999999}\n");
    folder.write("in.jsonl", "{\"nr\":1,\"ticket_id\":7,\"prompt\":\"a\"}\n{\"nr\":2,\"prompt\":\"b\"}\n");

    let first = "nothing in broken.jsonl can be sent (2 rows read); the first problem: broken.jsonl:1:";
    refused(&folder, &["run", "broken.jsonl", "--simulate"], &[first]);
    refused(&folder, &["run", "long.jsonl", "--simulate"], &["nothing in long.jsonl can be sent", "max_tokens"]);
    refused(
        &folder,
        &["run", "in.jsonl", "--simulate", "--id", "ticket"],
        &["ticket", "--id", "did you mean ticket_id?"],
    );
    refused(&folder, &["run", "in.jsonl", "--simulate", "-t", "{{subject}}"], &["subject", "nr, ticket_id, prompt"]);
}

#[test]
fn results_with_answers_to_other_requests_or_of_other_servers_are_refused() {
    let folder = Folder::with_rows(3);
    let (one, other) = (Api::quick(), Api::quick());
    folder.run_at(&one, &["run", "prompts.jsonl"]).ends_with(0);
    let at = |api: &Api, flags: &[&str]| {
        let before = folder.contents();
        let args = [&["run", "prompts.jsonl"], flags].concat();
        let dry = folder.run_at(api, &[&args[..], &["--dry-run"]].concat());
        assert!(folder.contents() == before, "a dry run changes nothing: {:?}", folder.names());
        let said = folder.run_at(api, &args);
        (said, dry)
    };

    let (elsewhere, elsewhere_dry) = at(&other, &[]);
    let (changed, changed_dry) = at(&one, &["-m", "claude-sonnet-4-5"]);
    let (done, done_dry) = at(&one, &[]);

    elsewhere.ends_with(2).tells(&["come from", "--fresh"]);
    changed.ends_with(2).tells(&["--rerun-changed"]);
    done.ends_with(0).tells(&["all 3 rows are answered"]);
    for (said, dry) in [(elsewhere, elsewhere_dry), (changed, changed_dry), (done, done_dry)] {
        assert_eq!((said.code, said.err), (dry.code, dry.err));
    }
}

#[test]
fn flags_and_files_that_can_not_be_used_are_refused() {
    let folder = Folder::with_rows(2);
    folder.write("more.jsonl", &rows(1));
    folder.write("no.pem", "no certificate\n");
    let run = |flags: &[&'static str]| [&["run", "prompts.jsonl", "--simulate"][..], flags].concat();

    refused(&folder, &run(&["more.jsonl"]), &["2 inputs", "-o"]);
    refused(&folder, &run(&["--ca-file", "no.pem"]), &["--ca-file", "BEGIN CERTIFICATE"]);
    refused(&folder, &run(&["--base-url", "https://example.invalid"]), &["--simulate", "--base-url"]);
    refused(&folder, &["run", "prompts.jsonl", "--prices", "no.pem"], &["--prices no.pem"]);
}

#[test]
fn a_model_without_a_price_is_refused_with_a_budget() {
    let folder = Folder::with_rows(2);

    refused(
        &folder,
        &["run", "prompts.jsonl", "--simulate", "--max-cost", "1", "-m", "claude-next-9"],
        &["--max-cost", "claude-next-9", "--prices"],
    );
}

#[test]
fn a_budget_with_which_no_row_can_be_sent_is_refused() {
    let folder = Folder::with_rows(2);
    let run = |budget: &'static str| ["run", "prompts.jsonl", "--simulate", "--max-cost", budget];
    let expected = ["--max-cost <$0.0001", "no row can be sent", "the cheapest of the 2 rows", "raise --max-cost"];

    refused(&folder, &run("0.00001"), &expected);
    refused(&folder, &run("0"), &["--max-cost", "above zero"]);
    refused(&folder, &["run", "prompts.jsonl", "--max-requests", "0"], &["--max-requests", "above zero"]);
    refused(&folder, &["run", "prompts.jsonl", "--max-time", "0"], &["--max-time", "above zero, such as 90s"]);
    refused(&folder, &["run", "prompts.jsonl", "--max-time", "0s"], &["--max-time", "above zero, such as 90s"]);
    refused(&folder, &["run", "prompts.jsonl", "--limit", "0"], &["--limit", "above zero"]);
}

#[test]
fn a_price_file_with_a_mistake_is_refused() {
    let folder = Folder::with_rows(2);
    folder.write("folder/a", "");
    let entry = "[[price]]\nmodel = \"claude-haiku-4-5\"\ninput = 1\noutput = -5\n";
    for (text, expected) in [
        (entry.as_bytes(), &["--prices p.toml", "line 4", "output of claude-haiku-4-5 is -5", "write a number"][..]),
        (b"", &["--prices p.toml", "no [[price]] entry", "write one"]),
        (b"\xff\xfe", &["--prices", "p.toml", "looks like UTF-16 text, not like text in UTF-8", "save it as UTF-8"]),
    ] {
        folder.write("p.toml", text);

        refused(&folder, &["run", "prompts.jsonl", "--simulate", "--prices", "p.toml"], expected);
    }
    refused(&folder, &["run", "prompts.jsonl", "--simulate", "--prices", "folder"], &["--prices", "folder"]);
    let twice = entry.replace("= -5", "= 5");
    folder.write("p.toml", &[&twice, &*twice.replace("4-5", "4-5-20251001")].concat());
    let expected = ["line 5", "claude-haiku-4-5-20251001 has a second price", "line 1"];
    refused(&folder, &["run", "prompts.jsonl", "--simulate", "--prices", "p.toml"], &expected);
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
