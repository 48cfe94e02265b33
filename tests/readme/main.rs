//! Checks that README.md and the pages beside the code say what is true.
//!
//! The tests read the pages when they run, so a changed page needs no new build. `commands.rs` runs every command of
//! every page against the simulated API. `first_minutes.rs` follows the README as a new user does. The other files
//! check things that need no run: links, flags, commands in the text, figures, and exit codes.

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
