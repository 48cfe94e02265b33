//! Tests how runs in progress are steered: they are paused, resumed and ended, and get other settings.
//!
//! `moments` plays whole runs on virtual time, with orders at random moments. `program` runs the real program, with the
//! commands that a user types.

mod moments;
#[cfg(feature = "sim")]
mod program;
#[cfg(feature = "sim")]
#[path = "../sessions/support.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod session;
#[path = "../support/mod.rs"]
mod support;
