//! The loops of `tests/durability` at length, and the page `benches/DURABILITY.md` that they make.
//!
//! `cargo bench --bench durability` runs a share of each; `-- full` runs all of each and writes what was seen into the
//! page. Names of loops may follow (`-- full kills power`): the other lines of the page then stay as they are.

#[path = "../tests/durability/corpora.rs"]
mod corpora;
#[path = "../tests/durability/loops/mod.rs"]
mod loops;
#[path = "../tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;

use loops::{Seen, Size, changes, disk_faults, kills, million, power, resume_cases, soak, waits};

/// A loop: its name, and what makes its lines of the page.
type Loop = (&'static str, fn(Size) -> Vec<Seen>);

const LOOPS: &[Loop] = &[
    ("kills", kills::page),
    ("changes", changes::page),
    ("power", power::page),
    ("disk", disk_faults::page),
    ("resume", resume_cases::page),
    ("waits", waits::page),
    ("soak", soak::page),
    ("million", million::page),
    ("fuzz", fuzz),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    if let [command, rows] = &args[..]
        && command == "million-child"
    {
        return million::child(rows.parse().expect("a number of rows"));
    }
    let size = if args.iter().any(|arg| arg == "full") { Size::Full } else { Size::Share };
    let wanted = |name: &str| args.iter().all(|arg| arg == "full") || args.iter().any(|arg| arg == name);
    for (name, page) in LOOPS.iter().filter(|(name, _)| wanted(name)) {
        let begun = std::time::Instant::now();
        let seen = page(size);
        for Seen { what, goal, seen } in &seen {
            println!("| {what} | {goal} | {seen} |");
        }
        eprintln!("{name}: {:.0?}", begun.elapsed());
        if size == Size::Full {
            write_page(&seen);
        }
    }
}

fn fuzz(size: Size) -> Vec<Seen> {
    let tried = corpora::run_all(size.pick(500, 20_000), 1);
    vec![Seen::new(
        "fuzz targets (JSONL, CSV, recovery, headers, SSE, config) under the seeded mutator",
        "0 crashes",
        format!("{tried} inputs, 0 crashes"),
    )]
}

// ---- the page -----------------------------------------------------------------------------------------------------

const BEGINNING: &str = "\
# Durability and faults: what was tried and what was seen

Made by `cargo bench --bench durability -- full`, which runs every loop in full, stops at the first violation and writes
this page; names of loops may follow (`kills changes power disk resume waits soak million fuzz`). `cargo test` runs a
share of each. Kills and faults at each system call need `strace`, and a full file system needs root; without them the
line says so. For longer fuzzing: `cargo +nightly fuzz run --fuzz-dir tests/fuzz TARGET`, with `jsonl`, `csv`,
`recovery`, `headers`, `sse` or `config` as the target.

| what | to reach | seen |
|---|---|---|
";

/// Puts lines into the page, in the place of those about the same.
fn write_page(seen: &[Seen]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/DURABILITY.md");
    let old = fs::read_to_string(&path).unwrap_or_default();
    let table = old.split("|---|---|---|\n").nth(1).unwrap_or_default();
    let mut lines: Vec<String> = table.lines().take_while(|line| line.starts_with("| ")).map(str::to_owned).collect();
    for Seen { what, goal, seen } in seen {
        let line = format!("| {what} | {goal} | {seen} |");
        match lines.iter_mut().find(|old| old.starts_with(&format!("| {what} |"))) {
            Some(old) => *old = line,
            None => lines.push(line),
        }
    }
    let cases = resume_cases::CASES.iter().map(|case| format!("| {} | {} |\n", case.change, case.answer));
    let page = format!(
        "{BEGINNING}{}\n\n## Resume: what a second run makes of what changed\n\n| what changed since the first run | \
         answer |\n|---|---|\n{}",
        lines.join("\n"),
        cases.collect::<String>()
    );
    fs::write(&path, page).expect("the page can be written");
}
