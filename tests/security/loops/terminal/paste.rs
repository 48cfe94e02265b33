//! Tests printed commands by pasting them into shells. A command must pass exactly the intended arguments, and the
//! shell must run nothing else.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::super::super::page::{Seen, Size};
use super::super::super::support::{Api, Folder};
use super::judge;
use super::pty::{USUAL, shown};
use super::side_by_side;

/// The file that a shell creates if it runs a part of a name or an argument.
const CANARY: &str = "PWN";
/// The value of a header. Printed commands must not contain this value.
const SECRET: &str = "s3cret-of-a-header";

#[rustfmt::skip]
const PIECES: &[&[u8]] = &[
    b"$(touch PWN)", b"`touch PWN`", b";touch PWN;", b"|touch PWN", b"&touch PWN&", b"\ntouch PWN\n", b"\r\ntouch PWN\n",
    b"'", b"\"", b"';touch PWN;'", b"\";touch PWN;\"", b"'\\''", b"$'", b"\\", b"\\'", b"\\n", b"$HOME", b"${IFS}", b"$((1))",
    b"!", b"!!", b"!1", b"!touch", b"~", b"*", b"?", b"[a-z]", b"{a,b}", b"#", b"%s", b"=", b"(", b")", b"<(touch PWN)",
    b">PWN", b"<PWN", b" ", b"  ", b"\t", b"-", b"--", b"--header=x", b"-rf", b"a", b"0", b"7", b"x", b"\x1b[2J", b"\x07",
    b"\x7f", b"\x01", b"\x80", b"\x9b", b"\xff", b"\xc2", b"\xe2\x80", "é".as_bytes(), "你".as_bytes(),
    "\u{9b}".as_bytes(), "\u{202e}".as_bytes(), "\u{200d}".as_bytes(), "\u{a0}".as_bytes(), "\u{2028}".as_bytes(),
    "\u{3000}".as_bytes(), "\u{2060}".as_bytes(), "\u{e0041}".as_bytes(), "e\u{301}".as_bytes(),
];

#[derive(Default)]
struct Counts {
    commands: u64,
    in_bash: u64,
    with_history: u64,
    in_sh: u64,
}

pub fn page(size: Size) -> Vec<Seen> {
    // The test creates the files of the programs before it starts the first thread. Otherwise, a child process that
    // another thread starts could keep the file of a program open. A program whose file is open can't be started.
    let api = Api::with_faults(r#"{"rules": [{"status": 500, "contains": "always fails"}]}"#);
    let programs = programs();
    let seeds: Vec<(u64, u64)> = (0..size.pick(16, 1_000)).map(|number| (number, fastrand::u64(..))).collect();
    let counted = side_by_side(&seeds, |(number, seed)| one_name(&api, &programs.path(""), *number, *seed));
    let sum = |of: fn(&Counts) -> u64| counted.iter().map(of).sum::<u64>();
    let seen = format!(
        "{} names, {} commands: the same arguments {} times in bash, {} in bash with history, {} in sh; 0 other programs \
         run",
        seeds.len(),
        sum(|counts| counts.commands),
        sum(|counts| counts.in_bash),
        sum(|counts| counts.with_history),
        sum(|counts| counts.in_sh)
    );
    vec![Seen::new("printed commands that are pasted", "exactly the intended arguments, and nothing else is run", seen)]
}

/// Makes the program print commands that contain one name, and pastes these commands.
fn one_name(api: &Api, programs: &Path, number: u64, seed: u64) -> Counts {
    let mut rng = fastrand::Rng::with_seed(seed);
    let (name, text) = (name(&mut rng, number), text(&mut rng));
    let at = format!("seed {seed} of name {number}, {}", name.as_bytes().escape_ascii());
    let mut counts = Counts::default();
    for (command, expected) in
        [rerun_and_resume(api, &name, &text, number, &at), of_a_pipe(api, &name, &at), key_file(&name)].concat()
    {
        pasted(programs, &command, &expected, &at, &mut counts);
    }
    counts
}

/// A printed command, and the arguments that this command must pass.
type Printed = (String, Vec<OsString>);

/// Returns the arguments of the `resume` command for a log, including the flags that it repeats from the earlier
/// command. Some logs are not allowed to contain the name of their results file. The command then contains this name,
/// after `-o`.
fn resume_of(folder: &Folder, log: &OsString, command: &str, carried: &[&str]) -> Vec<OsString> {
    let mut args = vec!["resume".into(), as_file(log)];
    if command.contains(" -o ") {
        let results = names(folder).find(|name| name.as_bytes().ends_with(b".results.jsonl"));
        args.extend(["-o".into(), as_file(&results.expect("there are results"))]);
    }
    args.extend(carried.iter().map(OsString::from));
    args
}

/// Starts at most three runs. A rule stops the first run. The second run ends normally, and the third run repeats the
/// second run. Each run prints one command: the command that is useful next.
fn rerun_and_resume(api: &Api, name: &OsString, text: &str, turn: u64, at: &str) -> Vec<Printed> {
    let folder = Folder::new();
    // The row that fails is the first row, so that it is always in the log when the run stops.
    let rows = "{\"prompt\":\"always fails\"}\n{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n";
    fs::write(folder.path("").join(name), rows).expect("a file can be written");
    let kind = ["plain", "json", "none"][(turn % 3) as usize];
    let header = format!("X-Team: {SECRET}");
    let typed = |more: &[&str]| -> Vec<OsString> {
        let flags = ["run", "--format", "jsonl", "--progress", kind, "--header", &header, "--system", text];
        let flags = flags
            .into_iter()
            .chain(["--summary", "text", "--max-retries", "0"])
            .chain(more.iter().copied())
            .map(OsString::from);
        flags.chain(["--".into(), name.clone()]).collect()
    };
    let mut printed = Vec::new();
    let to_the_end: (&[&str], &[&str]) = (&[], &["resume"]);
    let steps = [(["--max-requests", "2", "-c1"].as_slice(), ["run"].as_slice()), to_the_end, to_the_end];
    // An error log contains the name of its results file as text. If the name of the results file is not valid text,
    // the second run would reject the log, so there is only one run.
    let steps = if name.to_str().is_some() { &steps } else { &steps[..1] };
    for (more, wanted) in steps {
        let mut command = folder.command_at(api, &[]);
        command.args(typed(more));
        let said = said(command, kind == "none", at);
        assert!(!said.contains(SECRET), "{at}: {said}");
        let log = names(&folder).find(|name| name.as_bytes().ends_with(b".errors.jsonl"));
        let log = log.unwrap_or_else(|| panic!("{at}: there is no error log\n{said}"));
        for subcommand in *wanted {
            let command = command_in(&said, &format!("claude-batch {subcommand} "), at);
            let mut expected = typed(more);
            expected[6] = "X-Team: [hidden]".into();
            let limits: &[&str] = if more.is_empty() { &[] } else { &["--max-requests", "2"] };
            let window: &[&str] = if more.is_empty() { &[] } else { &["--concurrency", "1"] };
            let header = ["--header", "X-Team: [hidden]"];
            let carried =
                [&header[..], window, &["--max-retries", "0"], limits, &["--progress", kind, "--summary", "text"]]
                    .concat();
            let expected = if *subcommand == "run" { expected } else { resume_of(&folder, &log, &command, &carried) };
            printed.push((command, expected));
        }
    }
    printed
}

fn names(folder: &Folder) -> impl Iterator<Item = OsString> {
    let entries = fs::read_dir(folder.path("")).expect("the folder can be read");
    entries.map(|entry| entry.expect("an entry").file_name())
}

/// Stops a run that reads a pipe. Returns the command that resumes the rows from the error log.
fn of_a_pipe(api: &Api, name: &OsString, at: &str) -> Vec<Printed> {
    let folder = Folder::new();
    let mut command = folder.command_at(api, &["run", "-", "--max-requests", "1", "-o", "-"]);
    command.arg([OsString::from("--errors="), name.clone()].into_iter().collect::<OsString>());
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the program starts");
    let rows = "{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n{\"prompt\":\"c\"}\n";
    child.stdin.take().expect("a pipe").write_all(rows.as_bytes()).expect("the program reads its standard input");
    let said = child.wait_with_output().expect("the program ends");
    let said = String::from_utf8(said.stderr).expect("the program writes UTF-8");
    let sentence = said.lines().find(|line| line.starts_with("A limit")).unwrap_or_else(|| panic!("{at}: {said}"));
    let command = command_in(sentence, "claude-batch resume ", at);
    let command = command.strip_suffix('.').expect("the command ends the sentence").to_owned();
    vec![(command, vec!["resume".into(), as_file(name), "--max-requests".into(), "1".into()])]
}

/// If other users can read a key file, the program warns about this file. Returns the command in this warning.
fn key_file(name: &OsString) -> Vec<Printed> {
    let folder = Folder::with_rows(1);
    let path = folder.path("").join(name);
    fs::write(&path, "sk-test-key").expect("a file can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("the test owns the file");
    let mut command =
        folder.command(&["run", "prompts.jsonl", "--base-url", "http://127.0.0.1:9", "--max-time", "1ms"]);
    command.arg([OsString::from("--api-key-file="), name.clone()].into_iter().collect::<OsString>());
    let said = String::from_utf8(command.output().expect("the program ends").stderr).expect("the program writes UTF-8");
    let Some(line) = said.lines().find(|line| line.contains("chmod 600 ")) else { panic!("no warning: {said}") };
    vec![(command_in(line, "chmod 600 ", "a key file"), vec!["600".into(), as_file(name)])]
}

/// Runs the program and returns its messages. The program prints the messages to a pipe or a terminal, as plain lines
/// or as JSON.
fn said(mut command: Command, on_terminal: bool, at: &str) -> String {
    let bytes = match on_terminal {
        true => shown(command, USUAL).bytes,
        false => command.output().expect("the program starts").stderr,
    };
    assert_eq!(judge::fault(&bytes, true), None, "{at}");
    let text = String::from_utf8(bytes).expect("the program writes UTF-8");
    let message = |line: &str| {
        let json: Option<serde_json::Value> = serde_json::from_str(line).ok();
        json.map_or_else(|| line.to_owned(), |json| json["message"].as_str().unwrap_or_default().to_owned())
    };
    text.lines().map(message).collect::<Vec<_>>().join("\n")
}

/// Returns the command that begins with this text, up to the end of its line.
fn command_in(said: &str, begins: &str, at: &str) -> String {
    let line =
        said.lines().find(|line| line.contains(begins)).unwrap_or_else(|| panic!("{at}: no {begins:?} in\n{said}"));
    line[line.find(begins).expect("the line contains the text")..].to_owned()
}

/// Returns the argument for a file with this name. The argument never looks like a flag.
fn as_file(name: &OsString) -> OsString {
    let is_flag = name.as_bytes().starts_with(b"-");
    if is_flag { [OsString::from("./"), name.clone()].into_iter().collect() } else { name.clone() }
}

/// Returns a folder with the programs that are started by printed commands. Each program writes its arguments to a
/// file.
fn programs() -> Folder {
    let folder = Folder::new();
    for program in ["claude-batch", "chmod"] {
        folder.write(program, "#!/bin/sh\nprintf '%s\\0' \"$@\" > \"$WRITTEN\"\n");
        fs::set_permissions(folder.path(program), fs::Permissions::from_mode(0o755)).expect("the test owns the file");
    }
    folder
}

/// Pastes a command into several shells, in a fresh folder.
fn pasted(programs: &Path, command: &str, expected: &[OsString], at: &str, counts: &mut Counts) {
    counts.commands += 1;
    let folder = Folder::new();
    let passes = |shell: &str, history: bool| {
        let found = arguments(shell, history, command, &folder, programs)?;
        assert!(
            !folder.path(CANARY).exists(),
            "{at}: the shell {shell} ran something else besides this command: {command}"
        );
        Some(found == expected)
    };
    if let Some(is_same) = passes("bash", false) {
        assert!(is_same, "{at}: other arguments in bash: {command}");
        counts.in_bash += 1;
    }
    if let Some(is_same) = passes("bash", true) {
        assert!(is_same, "{at}: other arguments in bash with history: {command}");
        counts.with_history += 1;
    }
    // An old sh does not understand $'…'. For an old sh, the test checks only that nothing else ran.
    if let Some(is_same) = passes("sh", false) {
        assert!(is_same || command.contains("$'"), "{at}: other arguments in sh: {command}");
        counts.in_sh += u64::from(is_same);
    }
}

/// Returns the arguments that a command passes when a shell runs it; `None` if that shell is not installed.
fn arguments(shell: &str, history: bool, command: &str, folder: &Folder, programs: &Path) -> Option<Vec<OsString>> {
    let written = folder.path("written");
    let _ = fs::remove_file(&written);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = [programs.as_os_str(), path.as_os_str()].join(&OsString::from(":"));
    let mut program = Command::new(shell);
    program
        .current_dir(folder.path(""))
        .env("PATH", path)
        .env("WRITTEN", &written)
        .env_remove("ENV")
        .env_remove("BASH_ENV");
    program.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let script = match history {
        false => {
            program.args(["-c", command]);
            String::new()
        }
        true => {
            program.args(["--norc", "--noprofile"]);
            format!("set -o history -o histexpand\n: earlier touch PWN\n{command}\n")
        }
    };
    let mut child = program.spawn().ok()?;
    // A shell that got its command as an argument does not read its standard input.
    let _ = child.stdin.take().expect("a pipe").write_all(script.as_bytes());
    child.wait().expect("the program ends");
    let bytes = fs::read(&written).unwrap_or_default();
    let words = bytes.strip_suffix(b"\0").map(|words| words.split(|byte| *byte == 0)).into_iter().flatten();
    Some(words.map(|word| OsString::from_vec(word.to_vec())).collect())
}

/// Returns a name for a file. The first names begin with different pieces of text, so that every piece is used at least
/// once.
fn name(rng: &mut fastrand::Rng, number: u64) -> OsString {
    let mut bytes = PIECES[number as usize % PIECES.len()].to_vec();
    for _ in 0..rng.usize(..6) {
        bytes.extend(PIECES[rng.usize(..PIECES.len())]);
    }
    bytes.extend(b".jsonl");
    if cfg!(target_os = "linux") {
        OsString::from_vec(bytes)
    } else {
        String::from_utf8_lossy(&bytes).into_owned().into()
    }
}

/// Returns an argument that is valid text and not the name of a file.
fn text(rng: &mut fastrand::Rng) -> String {
    let pieces = (0..rng.usize(1..6)).map(|_| PIECES[rng.usize(..PIECES.len())]);
    format!("t{}", String::from_utf8_lossy(&pieces.collect::<Vec<_>>().concat()))
}
