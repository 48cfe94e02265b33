//! Tests whole sessions of the program. Each test runs commands as a user types them, and checks the output, the files,
//! and the exit code.
//!
//! The real program runs against the simulated API on the loopback address. No test waits for a fixed time. If a test
//! needs a certain moment, it waits until the records of the API show this moment.

#![cfg(feature = "sim")]

mod account;
mod answers;
mod batches;
mod batches_command;
#[cfg(unix)]
mod commands;
mod config;
#[path = "../support/hostile.rs"]
mod hostile;
mod input;
mod limits;
mod main_uses;
mod models;
mod notices;
#[path = "../support/odd_rows.rs"]
mod odd_rows;
mod output;
mod plan;
mod providers;
#[cfg(unix)]
#[path = "../security/loops/terminal/pty.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod pty;
mod refusals;
mod report;
mod rerun;
mod resume;
mod reuse;
mod round_trip;
#[cfg(unix)]
mod screen;
mod secrets;
#[cfg(unix)]
mod signals;
mod status;
mod summary;
mod support;
mod tables;
mod templates;
#[cfg(unix)]
mod tokens;
