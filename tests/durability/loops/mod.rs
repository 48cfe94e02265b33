//! Loops (tests that repeat a case many times) for the promises about durability and faults. Each loop has a small and
//! a full size.
//!
//! A loop asserts what must be true. It returns its results as lines of text, which are written to a page.
//! `tests/durability/main.rs` runs a part of each loop with the other tests. `benches/durability.rs` runs all loops and
//! writes their lines to `benches/DURABILITY.md`.

#![allow(dead_code, reason = "the tests and the benches use only some of these items each")]

pub mod answers;
pub mod chain;
pub mod changes;
pub mod disk_faults;
pub mod equal;
pub mod follow_ups;
pub mod judged;
pub mod kills;
pub mod million;
pub mod money;
pub mod outputs;
pub mod power;
pub mod program;
pub mod replaced;
pub mod resume_cases;
pub mod soak;
pub mod virtual_run;
pub mod waits;

pub use super::page::{Seen, Size};
