//! Runs the loops of `tests/durability` (repeated tests with kills and faults), and makes the page
//! `benches/DURABILITY.md` from their results.
//!
//! `cargo bench --bench durability` runs a part of each loop. With `-- full`, every loop runs in full, and its results
//! are written into the page. If names of loops follow the word `full` (`-- full kills power`), only the named loops
//! run. The lines of all other loops stay unchanged in the page. If a loop finds a violation, its line in the page says
//! so, and the other loops still run.

#[path = "../tests/durability/corpora.rs"]
mod corpora;
#[path = "../tests/exchange/mod.rs"]
#[allow(dead_code, reason = "shared with tests that use all of it")]
mod exchange;
#[path = "../tests/durability/loops/mod.rs"]
mod loops;
#[path = "../tests/support/page.rs"]
mod page;
#[path = "../tests/exchange/policy.rs"]
mod policy;
#[path = "../tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use loops::{
    Seen, Size, answers, changes, disk_faults, follow_ups, kills, million, money, outputs, power, replaced,
    resume_cases, soak, waits,
};
use page::{Loop, Page};

const PAGE: Page = Page { file: "benches/DURABILITY.md", beginning: BEGINNING, loops: LOOPS, ending: cases };

const LOOPS: &[Loop] = &[
    ("kills", kills::page),
    ("changes", changes::page),
    ("follow_ups", follow_ups::page),
    ("power", power::page),
    ("replaced", replaced::page),
    ("outputs", outputs::page),
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
    PAGE.make()
}

fn rows_of_policy(_size: Size) -> Vec<Seen> {
    let rows = policy::all();
    policy::assert_all(&rows);
    let seen = format!("{} kinds of response and of failure on the wire, each handled as the table says", rows.len());
    vec![Seen::new(
        "kinds of failure in the table of the error policy",
        "at least 40, each handled as the table says",
        seen,
    )]
}

fn fuzz(size: Size) -> Vec<Seen> {
    let tried = corpora::run_all(size.pick(500, 20_000), 1);
    vec![Seen::new(
        "fuzz targets (JSONL, CSV, recovery, headers, SSE, config) under the seeded mutator",
        "0 crashes",
        format!("{tried} inputs, 0 crashes"),
    )]
}

/// Reads the logs that `tests/fuzz/run` has written: one libFuzzer log per target.
fn fuzzed(_size: Size) -> Vec<Seen> {
    let folder = target_folder().join("fuzz-logs");
    let seen: Vec<String> = corpora::names().map(|name| fuzzed_target(name, &folder)).collect();
    vec![Seen::new("fuzz targets under libFuzzer", "each target for 10 minutes, 0 crashes", seen.join("; "))]
}

fn fuzzed_target(name: &str, folder: &Path) -> String {
    let Ok(log) = fs::read_to_string(folder.join(format!("{name}.log"))) else { return format!("{name} NOT RUN") };
    assert!(!log.contains("SUMMARY: "), "{name} found something: {}", folder.join(format!("{name}.log")).display());
    // If the fuzzing found no fault, the log ends with "Done 1234 runs in 601 second(s)".
    let done = log.lines().rev().find_map(|line| line.strip_prefix("Done ")?.strip_suffix(" second(s)"));
    match done.and_then(|done| done.split_once(" runs in ")) {
        Some((runs, seconds)) => format!("{name} {seconds} s, {runs} inputs, 0 crashes"),
        None => format!("{name} NOT RUN TO ITS END"),
    }
}

/// Returns the folder where Cargo puts build results.
fn target_folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("the folder for temporary files is in the target folder")
        .to_owned()
}

const BEGINNING: &str = "\
# Durability and faults: what was tried and what was seen

`cargo bench --bench durability -- full` runs every loop in full and writes this page. This takes hours. If names of
loops follow `full`, only these loops are run, and only their lines are replaced. If a loop finds a violation, its lines
say so. `cargo test` runs a part of each loop. Kills and faults at each system call need `strace`, and a test with a
full file system needs root. Without `strace` or root, the line of the test says that this part was not run.

`tests/fuzz/run` fuzzes each target (`jsonl`, `csv`, `recovery`, `headers`, `sse`, `config`) with libFuzzer for ten
minutes, or for the given number of seconds (`tests/fuzz/run 7200`, `tests/fuzz/run 600 recovery`). The script needs
nightly Rust and `cargo-fuzz`. The loop `fuzzed` reads the output of the script.

";

/// Returns a table of changes. The table shows what a second run does after each change.
fn cases() -> String {
    let cases = resume_cases::CASES.iter().map(|case| format!("| {} | {} |\n", case.change, case.answer));
    format!(
        "\n## Resume: what a second run does after a change\n\n| what changed since the first run | answer |\n|---|---|\n{}",
        cases.collect::<String>()
    )
}
