//! The loops of `tests/durability` at length, and the page `benches/DURABILITY.md` that they make.
//!
//! `cargo bench --bench durability` runs a share of each; `-- full` all of each, and writes the page. Names of loops
//! may follow: `-- full kills power`.

#[path = "../tests/durability/loops/mod.rs"]
mod loops;
#[path = "../tests/support/mod.rs"]
mod support;

use loops::{Seen, Size, changes, disk_faults, kills, million, power, resume_cases, soak, waits};

/// A loop: its name, and what makes its lines of the page.
type Loop = (&'static str, fn(Size) -> Vec<Seen>);

const LOOPS: &[Loop] = &[
    ("changes", changes::page),
    ("kills", kills::page),
    ("disk", disk_faults::page),
    ("power", power::page),
    ("resume", resume_cases::page),
    ("waits", waits::page),
    ("soak", soak::page),
    ("million", million::page),
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
        for Seen { what, goal, seen } in page(size) {
            println!("| {what} | {goal} | {seen} |");
        }
        eprintln!("{name}: {:.0?}", begun.elapsed());
    }
}
