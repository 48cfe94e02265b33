//! Loops that test a promise, and the page that shows their results. Each loop has a small and a full size.
//!
//! A loop (a test that repeats a case many times) asserts what must be true, and returns the results as lines for a
//! page. A test runs a part of each loop. A bench runs all loops in full and writes their lines to a page in
//! `benches/`.

#![allow(dead_code, reason = "the tests and the benches use only some of these items each")]

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// Whether a part of a loop or the whole loop runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Only a part of the loop. This part is short enough to run with the other tests.
    Share,
    /// The whole loop.
    Full,
}

impl Size {
    /// Returns `share` or `full`, according to the size.
    pub fn pick<T>(self, share: T, full: T) -> T {
        match self {
            Self::Share => share,
            Self::Full => full,
        }
    }
}

/// A line of a page: what the loop tried, the goal, and the result.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What the loop tried.
    pub what: &'static str,
    /// The goal.
    pub goal: &'static str,
    /// The result that the loop found.
    pub seen: String,
}

impl Seen {
    /// Returns a line of a page.
    pub fn new(what: &'static str, goal: &'static str, seen: String) -> Self {
        Self { what, goal, seen }
    }
}

/// A loop: its name, and the function that makes its lines for the page.
pub type Loop = (&'static str, fn(Size) -> Vec<Seen>);

/// A page of `benches/` and the loops that make it.
pub struct Page {
    /// The path of the page, relative to the folder of the project.
    pub file: &'static str,
    /// The text of the page before the lines.
    pub beginning: &'static str,
    /// The loops, in the order of their lines.
    pub loops: &'static [Loop],
    /// The text of the page after the lines.
    pub ending: fn() -> String,
}

const HEAD: &str = "| loop | what | target | result |\n|---|---|---|---|\n";

impl Page {
    /// Runs the loops that the command line names, or all loops if it names none. With `full`, runs the loops in full
    /// size and writes the page.
    pub fn make(&self) -> ExitCode {
        let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
        let (size, names): (Vec<&str>, Vec<&str>) = args.iter().map(String::as_str).partition(|arg| *arg == "full");
        let size = if size.is_empty() { Size::Share } else { Size::Full };
        if let Some(unknown) = names.iter().find(|name| self.loops.iter().all(|(known, _)| known != *name)) {
            let known: Vec<&str> = self.loops.iter().map(|(name, _)| *name).collect();
            eprintln!("there is no loop {unknown}; there are {}", known.join(", "));
            return ExitCode::FAILURE;
        }
        let begun = Instant::now();
        let wanted = self.loops.iter().filter(|(name, _)| names.is_empty() || names.contains(name));
        let violated: Vec<&str> =
            wanted.filter(|(name, page)| !self.run(name, *page, size)).map(|(name, _)| *name).collect();
        eprintln!("all: {:.0?}", begun.elapsed());
        if violated.is_empty() {
            return ExitCode::SUCCESS;
        }
        eprintln!("VIOLATED: {}", violated.join(", "));
        ExitCode::FAILURE
    }

    /// Runs a loop and shows its lines. If `size` is `Size::Full`, also writes the lines to the page. Returns `true` if
    /// no assertion failed.
    fn run(&self, name: &str, page: fn(Size) -> Vec<Seen>, size: Size) -> bool {
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
            self.write(name, lines);
        }
        seen.is_ok()
    }

    /// Replaces the lines of a loop in the page.
    fn write(&self, name: &str, lines: Vec<String>) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(self.file);
        let old = fs::read_to_string(&path).unwrap_or_default();
        let table = old.split(HEAD).nth(1).unwrap_or_default();
        let old: Vec<&str> = table.lines().take_while(|line| line.starts_with("| ")).collect();
        let mut table = String::new();
        for (known, _) in self.loops {
            let beginning = format!("| {known} |");
            let own: Vec<&str> = match *known == name {
                true => lines.iter().map(String::as_str).collect(),
                false => old.iter().filter(|line| line.starts_with(&beginning)).copied().collect(),
            };
            own.iter().for_each(|line| table.extend([line, "\n"]));
        }
        let page = format!("{}{HEAD}{table}{}", self.beginning, (self.ending)());
        fs::write(&path, page).expect("the page can be written");
    }
}
