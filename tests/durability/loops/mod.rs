//! The loops that hold the promises about durability and faults, each in a bounded and a full size.
//!
//! A loop asserts what must hold and returns what it saw; `tests/durability/main.rs` runs a share of each with the
//! other tests, `benches/durability.rs` runs all of them and makes `benches/DURABILITY.md` of what they saw.

#![allow(dead_code, reason = "tests and bench each use their part")]

pub mod answers;
pub mod changes;
pub mod disk_faults;
pub mod judged;
pub mod kills;
pub mod million;
pub mod money;
pub mod power;
pub mod program;
pub mod resume_cases;
pub mod soak;
pub mod virtual_run;
pub mod waits;

/// How much of a loop is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// A share that fits among the other tests.
    Share,
    /// All of it.
    Full,
}

impl Size {
    /// Returns one of two numbers.
    pub fn pick<T>(self, share: T, full: T) -> T {
        match self {
            Self::Share => share,
            Self::Full => full,
        }
    }
}

/// A line of the page: what was tried, what is to be reached, what was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What.
    pub what: &'static str,
    /// To reach.
    pub goal: &'static str,
    /// Seen.
    pub seen: String,
}

impl Seen {
    /// Returns a line.
    pub fn new(what: &'static str, goal: &'static str, seen: String) -> Self {
        Self { what, goal, seen }
    }
}
