//! The loops of `tests/durability` at length, and the page `benches/DURABILITY.md` that they make.
//!
//! `cargo bench --bench durability` runs a share of each; `-- full` runs all of each and writes what was seen into the
//! page. Names of loops may follow (`-- full kills power`): the lines of the others then stay as they are. A loop that
//! finds a violation says so in its place, and the others go on.

#[path = "../tests/durability/corpora.rs"]
mod corpora;
#[path = "../tests/exchange/mod.rs"]
#[allow(dead_code, reason = "shared with tests that use all of it")]
mod exchange;
#[path = "../tests/durability/loops/mod.rs"]
mod loops;
#[path = "../tests/exchange/policy.rs"]
mod policy;
#[path = "../tests/support/mod.rs"]
mod support;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use loops::{Seen, Size, answers, changes, disk_faults, kills, million, money, power, resume_cases, soak, waits};

/// A loop: its name, and what makes its lines of the page.
type Loop = (&'static str, fn(Size) -> Vec<Seen>);

const LOOPS: &[Loop] = &[
    ("kills", kills::page),
    ("changes", changes::page),
    ("power", power::page),
    ("disk", disk_faults::page),
    ("resume", resume_cases::page),
    ("money", money::page),
    ("answers", answers::page),
    ("policy", rows_of_policy),
    ("waits", waits::page),
    ("soak", soak::page),
    ("million", million::page),
    ("fuzz", fuzz),
    ("fuzzed", fuzzed),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if let [command, rows] = &args[..]
        && command == "million-child"
    {
        million::child(rows.parse().expect("a number of rows"));
        return ExitCode::SUCCESS;
    }
    let (size, names): (Vec<&str>, Vec<&str>) = args.iter().map(String::as_str).partition(|arg| *arg == "full");
    let size = if size.is_empty() { Size::Share } else { Size::Full };
    if let Some(unknown) = names.iter().find(|name| LOOPS.iter().all(|(known, _)| known != *name)) {
        let known: Vec<&str> = LOOPS.iter().map(|(name, _)| *name).collect();
        eprintln!("there is no loop {unknown}; there are {}", known.join(", "));
        return ExitCode::FAILURE;
    }
    let begun = Instant::now();
    let wanted = LOOPS.iter().filter(|(name, _)| names.is_empty() || names.contains(name));
    let violated: Vec<&str> = wanted.filter(|(name, page)| !run(name, *page, size)).map(|(name, _)| *name).collect();
    eprintln!("all: {:.0?}", begun.elapsed());
    if violated.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("VIOLATED: {}", violated.join(", "));
    ExitCode::FAILURE
}

/// Runs a loop, shows its lines and, in full, puts them into the page; returns whether everything held.
fn run(name: &str, page: fn(Size) -> Vec<Seen>, size: Size) -> bool {
    eprintln!("{name}: begins");
    let begun = Instant::now();
    let seen = catch_unwind(|| page(size));
    let lines: Vec<String> = match &seen {
        Ok(seen) => {
            seen.iter().map(|Seen { what, goal, seen }| format!("| {name} | {what} | {goal} | {seen} |")).collect()
        }
        Err(_) => vec![format!("| {name} | | | **VIOLATED**: the command says how |")],
    };
    lines.iter().for_each(|line| println!("{line}"));
    eprintln!("{name}: {:.0?}", begun.elapsed());
    if size == Size::Full {
        write_page(name, lines);
    }
    seen.is_ok()
}

fn rows_of_policy(_size: Size) -> Vec<Seen> {
    let rows = policy::all();
    policy::hold(&rows);
    let seen = format!("{} kinds of response and of failure on the wire, each as written", rows.len());
    vec![Seen::new("error policy rows", "at least 40, each as written", seen)]
}

fn fuzz(size: Size) -> Vec<Seen> {
    let tried = corpora::run_all(size.pick(500, 20_000), 1);
    vec![Seen::new(
        "fuzz targets (JSONL, CSV, recovery, headers, SSE, config) under the seeded mutator",
        "0 crashes",
        format!("{tried} inputs, 0 crashes"),
    )]
}

/// What `tests/fuzz/run` left: one log of libFuzzer for each target.
fn fuzzed(_size: Size) -> Vec<Seen> {
    let folder = target_folder().join("fuzz-logs");
    let seen: Vec<String> = corpora::names().map(|name| fuzzed_target(name, &folder)).collect();
    vec![Seen::new("fuzz targets under libFuzzer", "each target 10 minutes, 0 crashes", seen.join("; "))]
}

fn fuzzed_target(name: &str, folder: &Path) -> String {
    let Ok(log) = fs::read_to_string(folder.join(format!("{name}.log"))) else { return format!("{name} NOT RUN") };
    assert!(!log.contains("SUMMARY: "), "{name} found something: {}", folder.join(format!("{name}.log")).display());
    // "Done 1234 runs in 601 second(s)" is the last that it says when all went well.
    let done = log.lines().rev().find_map(|line| line.strip_prefix("Done ")?.strip_suffix(" second(s)"));
    match done.and_then(|done| done.split_once(" runs in ")) {
        Some((runs, seconds)) => format!("{name} {seconds} s, {runs} inputs, 0 crashes"),
        None => format!("{name} NOT RUN TO ITS END"),
    }
}

/// Where builds go.
fn target_folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target folder").to_owned()
}

// ---- the page -----------------------------------------------------------------------------------------------------

const BEGINNING: &str = "\
# Durability and faults: what was tried and what was seen

Made by `cargo bench --bench durability -- full`, which runs every loop in full and writes this page, hours of it; with
names of loops behind `full` only those are run and only their lines are written. A loop that finds a violation says so
here, in the place of its lines. `cargo test` runs a share of each. Kills and faults at each system call need `strace`,
and a full file system needs root; without them the line says so.

`tests/fuzz/run` fuzzes each target (`jsonl`, `csv`, `recovery`, `headers`, `sse`, `config`) with libFuzzer for ten
minutes, or for as many seconds as it is told (`tests/fuzz/run 7200`, `tests/fuzz/run 600 recovery`); it needs nightly
Rust and `cargo-fuzz`. The loop `fuzzed` then reads what it said.

| loop | what | to reach | seen |
|---|---|---|---|
";

/// Puts the lines of a loop into the page, in the place of those it had.
fn write_page(name: &str, lines: Vec<String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/DURABILITY.md");
    let old = fs::read_to_string(&path).unwrap_or_default();
    let table = old.split("|---|---|---|---|\n").nth(1).unwrap_or_default();
    let old: Vec<&str> = table.lines().take_while(|line| line.starts_with("| ")).collect();
    let mut table = String::new();
    for (known, _) in LOOPS {
        let beginning = format!("| {known} |");
        let own: Vec<&str> = match *known == name {
            true => lines.iter().map(String::as_str).collect(),
            false => old.iter().filter(|line| line.starts_with(&beginning)).copied().collect(),
        };
        own.iter().for_each(|line| table.extend([line, "\n"]));
    }
    let cases = resume_cases::CASES.iter().map(|case| format!("| {} | {} |\n", case.change, case.answer));
    let page = format!(
        "{BEGINNING}{table}\n## Resume: what a second run makes of what changed\n\n| what changed since the first run | \
         answer |\n|---|---|\n{}",
        cases.collect::<String>()
    );
    fs::write(&path, page).expect("the page can be written");
}
