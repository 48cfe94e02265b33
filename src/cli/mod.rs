//! The command line: what was typed, what is meant, and how it ends.
//!
//! The composition root: the only place where all parts meet. [`run`] is the whole program.

pub mod args;
mod batch;
pub mod config;
pub mod exit;
mod parts;
#[cfg(feature = "sim")]
mod simulator;
mod tables;

use std::process::ExitCode;

use clap::Parser;

use self::args::{Cli, Command};
use self::config::world::World;
use self::exit::Exit;
use crate::journal::{DiskFailure, JournalError};
use crate::report::text::escape;

/// Runs the program that was typed.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let world = World::here();
    let result = match &cli.command {
        Command::Run(args) => batch::run(args, &world),
        Command::Resume(args) => batch::resume(args, &world),
        Command::Check(args) => tables::check(args, &world),
        Command::Limits(args) => tables::limits(args),
        #[cfg(feature = "sim")]
        Command::Simulate(args) => simulator::serve(args, &world),
    };
    result.unwrap_or_else(|error| fail(&error)).into()
}

/// Says what went wrong before anything was sent, on one line.
fn fail(error: &anyhow::Error) -> Exit {
    eprintln!("claude-batch: {}", escape(&format!("{error:#}")));
    let is_disk = error.chain().any(|cause| {
        cause.downcast_ref::<DiskFailure>().is_some()
            || matches!(cause.downcast_ref::<JournalError>(), Some(JournalError::Disk(_)))
    });
    if is_disk { Exit::Output } else { Exit::Usage }
}
