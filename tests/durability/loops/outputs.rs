//! Kills the real program while it makes an output from the results. The killed command is `results`, or a `run` that
//! has no rows left to send. An unfinished output never has the final name, and the next command makes the complete
//! output. The results and the error log never change, even if parts of the run folder are deleted.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::kills::{FAULTS, Point, has_strace, kill_after, under_strace};
use super::program::{Api, Outcome, Workspace};
use super::{Seen, Size};

const RESULTS: &str = "out.csv.results.jsonl";
const ERRORS: &str = "out.csv.errors.jsonl";
/// The old content of an output. A command then replaces this content with a new output.
const OLD: &[u8] = b"an earlier output\n";

/// The names of outputs, and the commands that make them. `run` ends with code 3, because some rows have failed.
const COMMANDS: [(&str, &[&str]); 6] = [
    ("out.csv", &["run", "in.jsonl"]),
    ("made.csv", &["results", RESULTS, "--input", "in.jsonl"]),
    ("made.tsv.gz", &["results", RESULTS, "--input", "in.jsonl", "--fields", "input.prompt,id,text,error"]),
    (
        "done.csv.zst",
        &["results", RESULTS, "--input", "in.jsonl", "--fields", "id,input.prompt,text", "--order", "done"],
    ),
    ("made.jsonl", &["results", RESULTS, "--input", "in.jsonl", "--order", "input"]),
    ("made.txt", &["results", RESULTS, "--include", "ok", "--order", "done"]),
];

/// The system calls that the program uses to make an output.
const CALLS: [&str; 5] = ["openat", "ftruncate", "pwrite64", "fdatasync,fsync", "rename,renameat,renameat2"];

/// The numbers that a loop of kills counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kills {
    /// The number of kills that hit a living process.
    pub kills: u64,
    /// How many times the output was in the old state: missing, or with the old content.
    pub old: u64,
    /// How many times the output was already complete.
    pub whole: u64,
    /// How many times the folder of the output had an unfinished file.
    pub unfinished: u64,
}

/// The files of a run that has ended. From these files, the commands can make the outputs of the run again.
struct Made {
    api: Api,
    workspace: Workspace,
    rows: usize,
    results: Vec<u8>,
    errors: Vec<u8>,
}

/// A command that makes an output.
struct Make {
    name: &'static str,
    args: &'static [&'static str],
    code: i32,
    whole: Vec<u8>,
    took: Duration,
}

impl Made {
    fn new(rows: usize) -> Self {
        let (api, workspace) = (Api::start(FAULTS), Workspace::with_rows(rows));
        let ended = Outcome::of(workspace.command(&api, &["run", "in.jsonl", "-o", "out.csv"]));
        assert_eq!(ended.code, Some(3), "{ended:?}");
        let read = |name: &str| fs::read(workspace.path(name)).expect("the run made it");
        let (results, errors) = (read(RESULTS), read(ERRORS));
        Self { api, workspace, rows, results, errors }
    }

    fn command(&self, name: &str, args: &[&str]) -> Command {
        let args = [args, &["-o", name]].concat();
        if args[0] == "run" { self.workspace.command(&self.api, &args) } else { self.workspace.plain_command(&args) }
    }

    /// Runs a command that makes an output, without killing the command.
    fn make(&self, name: &'static str, args: &'static [&'static str]) -> Make {
        let begun = Instant::now();
        let ended = Outcome::of(self.command(name, args));
        let took = begun.elapsed();
        let code = if args[0] == "run" { 3 } else { 0 };
        assert_eq!(ended.code, Some(code), "{name}: {ended:?}");
        let whole = fs::read(self.workspace.path(name)).expect("it was made");
        assert!(whole.len() > self.rows, "{name} is too short for {} rows", self.rows);
        Make { name, args, code, whole, took }
    }

    fn all(&self) -> Vec<Make> {
        COMMANDS.iter().map(|(name, args)| self.make(name, args)).collect()
    }

    fn unfinished(&self, make: &Make) -> PathBuf {
        self.workspace.path(&format!("{}.unfinished", make.name))
    }

    /// Restores the state before the command: the output is missing, or it has the old content.
    fn put(&self, make: &Make, exists: bool) {
        let path = self.workspace.path(make.name);
        match exists {
            true => fs::write(path, OLD).expect("it can be written"),
            false => fs::remove_file(path).expect("it is there"),
        }
    }

    /// Checks the files after a kill. After that, deletes a part of the run folder. Then the command makes the output.
    fn on_death(&self, make: &Make, existed: bool, random: &mut fastrand::Rng, seen: &mut Kills, what: &str) {
        let found = fs::read(self.workspace.path(make.name)).ok();
        let is_whole = found.as_ref() == Some(&make.whole);
        let is_old = found.as_deref() == existed.then_some(OLD);
        assert!(is_whole || is_old, "{what}: {} has {:?} bytes", make.name, found.map(|found| found.len()));
        seen.kills += 1;
        *(if is_whole { &mut seen.whole } else { &mut seen.old }) += 1;
        seen.unfinished += u64::from(self.unfinished(make).exists());
        self.assert_journal(what);
        self.delete(random);
        self.assert_answers(what);

        let ended = Outcome::of(self.command(make.name, make.args));

        assert_eq!(ended.code, Some(make.code), "{what}: {ended:?}");
        let found = fs::read(self.workspace.path(make.name)).expect("it was made");
        assert!(found == make.whole, "{what}: {} differs after the next command", make.name);
        assert!(!self.unfinished(make).exists(), "{what}: a half-made file is left");
        self.assert_journal(what);
    }

    fn assert_journal(&self, what: &str) {
        let is = |name: &str, expected: &[u8]| fs::read(self.workspace.path(name)).is_ok_and(|found| found == expected);
        assert!(is(RESULTS, &self.results), "{what}: the results changed");
        assert!(is(ERRORS, &self.errors), "{what}: the error log changed");
    }

    /// Deletes the whole run folder, one file of the run folder, or nothing.
    fn delete(&self, random: &mut fastrand::Rng) {
        let folder = self.workspace.path(&format!("{RESULTS}.run"));
        let files = fs::read_dir(&folder).into_iter().flatten().flatten();
        let files: Vec<PathBuf> = files.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
        match random.u8(0..3) {
            0 if folder.exists() => fs::remove_dir_all(folder).expect("it can be deleted"),
            1 if !files.is_empty() => fs::remove_file(&files[random.usize(0..files.len())]).expect("it can be deleted"),
            _ => {}
        }
    }

    /// Checks that every row of the input is in the results or in the error log. The results and the error log are read
    /// without the run folder.
    fn assert_answers(&self, what: &str) {
        let args = ["results", RESULTS, "--order", "done", "--fields", "id", "--output-format", "text"];
        let output = self.workspace.plain_command(&args).output().expect("the program can be started");
        let labels = String::from_utf8(output.stdout).expect("it is text");
        let found: BTreeSet<&str> = labels.lines().collect();
        assert_eq!((output.status.code(), found.len()), (Some(0), self.rows), "{what}: rows are lost");
    }
}

/// Kills the commands one after the other, at random moments.
pub fn at_random_moments(rows: usize, kills: u64, seed: u64) -> Kills {
    let made = Made::new(rows);
    let commands = made.all();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut seen = Kills::default();
    while seen.kills < kills {
        let make = &commands[seen.kills as usize % commands.len()];
        let existed = random.bool();
        made.put(make, existed);
        let moment = make.took.mul_f64(random.f64());
        match kill_after(made.command(make.name, make.args), moment) {
            true => {
                let what = format!("seed {seed}, {} killed after {moment:?}", make.name);
                made.on_death(make, existed, &mut random, &mut seen, &what);
            }
            false => assert!(fs::read(made.workspace.path(make.name)).is_ok_and(|found| found == make.whole)),
        }
    }
    seen
}

/// Kills the commands at each system call on their output file.
fn at_every_call(rows: usize, seed: u64) -> Kills {
    let made = Made::new(rows);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut seen = Kills::default();
    for make in made.all() {
        let unfinished = format!("{}.unfinished", make.name);
        for calls in CALLS {
            let before = seen.kills;
            for nth in 1.. {
                let existed = random.bool();
                made.put(&make, existed);
                // The name is leaked, because `Point` needs a `'static` name.
                let point = Point { calls, file: unfinished.clone().leak() };
                let command = made.command(make.name, make.args);
                let ended = Outcome::of(under_strace(&command, &made.workspace, point, "signal=SIGKILL", nth));
                if ended.code.is_some() {
                    assert_eq!(ended.code, Some(make.code), "{point:?} {nth}: {ended:?}");
                    break;
                }
                let what = format!("seed {seed}, {} killed at {calls} {nth}", make.name);
                made.on_death(&make, existed, &mut random, &mut seen, &what);
            }
            assert!(seen.kills > before, "no kill at {calls} of {}: nothing was tried there", make.name);
        }
    }
    seen
}

/// Runs this loop. Returns the results as lines for `benches/DURABILITY.md`.
pub fn page(size: Size) -> Vec<Seen> {
    let rows = size.pick(1_000, 20_000);
    let random = at_random_moments(rows, size.pick(10, 100), 5);
    let traced = match has_strace() {
        true => {
            let rows = size.pick(1_000, 4_000);
            let seen = at_every_call(rows, 6);
            format!("{} at every opening, cut, write, sync and rename of the file at {rows} rows (strace)", seen.kills)
        }
        false => "none by strace: NOT INSTALLED".to_owned(),
    };
    vec![Seen::new(
        "kills while an output is made from the results (real program)",
        "100 random moments; a file with the name of the output is never half-made; the output is whole after the next \
         command; results and error log never change",
        format!(
            "{} random moments at {rows} rows and 6 outputs ({} before the new output had its name, {} of them with an \
             unfinished file beside it; {} after), {traced}: 0 half-made, all whole after the next command, results and \
             error log unchanged, every row found with the run folder or parts of it deleted",
            random.kills, random.old, random.unfinished, random.whole
        ),
    )]
}
