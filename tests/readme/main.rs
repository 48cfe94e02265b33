//! Checks that README.md and the pages beside the code say what is true.
//!
//! The pages are read when the tests run, so a changed text needs no new build. `commands.rs` runs every command of
//! every page against the simulated API. `first_minutes.rs` follows the README as a new user does. The other files check
//! what can be checked without running anything: links, flags, commands in the text, figures, exit codes.

#![cfg(all(feature = "sim", unix))]

mod commands;
mod figures;
mod first_minutes;
mod links;
mod page;
mod shell;
#[path = "../sessions/support.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod support;
mod tiers;
mod words;
