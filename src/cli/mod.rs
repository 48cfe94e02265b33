//! The command line: the arguments, the settings that result from the arguments, and how the program ends.
//!
//! This module connects all parts of the program, and no other module uses all of them. [`run`] is the whole program.

mod answer_notes;
mod answers;
pub mod args;
mod batches;
mod below;
mod caching;
mod catalogs;
mod check;
mod columns;
mod commands;
mod completions;
pub mod config;
mod configuration;
mod ctl;
pub mod exit;
pub(crate) mod explain;
mod faults;
mod help;
mod limits;
mod lockdown;
mod man;
pub(crate) mod message;
mod models;
mod models_table;
mod parts;
mod plan;
mod projection;
mod providers;
mod purse;
mod report;
mod results;
mod reuse;
mod run;
mod say;
mod server;
mod shell;
#[cfg(feature = "sim")]
mod simulator;
#[cfg(not(feature = "sim"))]
#[path = "no_simulator.rs"]
mod simulator;
mod status;
mod usage;

use std::io::{self, ErrorKind};
use std::panic::catch_unwind;
use std::process::ExitCode;

use anyhow::Result;

use self::args::{Cli, Command};
use self::config::world::World;
use self::exit::{Exit, Interrupted};
use self::say::OutputFailure;
use crate::domain::{Secrets, causes};
use crate::export::ExportError;
use crate::journal::{DiskFailure, JournalError};

/// Runs the command that the user typed, and returns the exit code.
pub fn run() -> ExitCode {
    say::panics(|| vec![Secrets::none().clone()]);
    lockdown::begin();
    let exit = catch_unwind(|| {
        let ended = usage::typed().map_or_else(|ended| ended.map_err(anyhow::Error::from), |cli| obey(&cli));
        ended.unwrap_or_else(|error| fail(&error))
    });
    exit.unwrap_or(Exit::Internal).into()
}

fn obey(cli: &Cli) -> Result<Exit> {
    let world = World::here();
    match &cli.command {
        Command::Run(args) => run::run(args, &world),
        Command::Resume(args) => run::resume(args, &world),
        Command::Results(args) => results::results(args, &world),
        Command::Status(args) => status::status(args, &world),
        Command::Ctl(args) => ctl::ctl(args, &world),
        Command::Report(args) => report::report(args, &world),
        Command::Check(args) => check::check(args, &world),
        Command::Plan(args) => run::plan(args, &world),
        Command::Limits(args) => limits::limits(args, &world),
        Command::Batches(args) => batches::batches(&args.verb, &world),
        Command::Models(args) => models_table::models(args, &world),
        Command::Providers(args) => providers::providers(args, &world),
        #[cfg(feature = "sim")]
        Command::Simulate(args) => simulator::serve(args, &world),
        Command::Config(args) => configuration::config(&args.verb, &world),
        Command::Completions(args) => completions::completions(args, &world),
        Command::Man(args) => man::man(args, &world),
    }
}

/// Prints the error that stopped the program: where, what was found, what to do. Returns the exit code.
fn fail(error: &anyhow::Error) -> Exit {
    say::err(&message::lines(&explained(error)));
    exit_of(error)
}

/// Returns the exit code of the program after an error.
fn exit_of(error: &anyhow::Error) -> Exit {
    let is_output = error.chain().any(|cause| {
        cause.downcast_ref::<DiskFailure>().is_some()
            || cause.downcast_ref::<OutputFailure>().is_some()
            || matches!(cause.downcast_ref::<JournalError>(), Some(JournalError::Disk(_)))
            || cause.downcast_ref::<ExportError>().is_some_and(ExportError::is_of_output)
    });
    match error.downcast_ref::<Interrupted>() {
        Some(Interrupted(signal)) => Exit::Interrupted(*signal),
        None if is_output => Exit::Output,
        None => Exit::Usage,
    }
}

/// Returns a message with the error, its causes and what to do. If the error does not say what to do, the advice
/// depends on the kind of the system error.
fn explained(error: &anyhow::Error) -> String {
    let text = message::without_codes(&causes(error.as_ref()));
    let kind = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    let remedy = match kind {
        _ if message::has_remedy(&text) => None,
        Some(ErrorKind::NotFound) => Some("check the path"),
        Some(ErrorKind::PermissionDenied) => Some("check its permissions"),
        Some(ErrorKind::IsADirectory) => Some("name a file"),
        Some(ErrorKind::InvalidData) => Some("check its content"),
        Some(ErrorKind::StorageFull) => Some("free some space, then run the same command again"),
        Some(_) | None => None,
    };
    remedy.map_or_else(|| text.clone(), |remedy| format!("{text}; {remedy}"))
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_fault_of_the_system_says_what_to_do_if_nothing_else_does() {
        let missing = || Err::<(), _>(io::Error::from_raw_os_error(2));

        let bare = missing().context("can't read a.key").expect_err("it fails");
        let told = missing().context("can't read a.key; name another").expect_err("it fails");

        assert_eq!(explained(&bare), "can't read a.key: No such file or directory; check the path");
        assert_eq!(explained(&told), "can't read a.key; name another: No such file or directory");
    }
}
