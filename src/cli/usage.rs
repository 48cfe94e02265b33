//! Parses the command line with clap. If there is no command to run, prints the help, the version or an error.
//!
//! The errors of clap are printed in the form of all other messages ([`super::message`]). `usage/wrong.rs` makes the
//! text of clap's errors. `usage/flags.rs` knows the names that other tools use for our flags.

mod flags;
mod wrong;

use std::ffi::OsString;

use clap::Parser;
use clap::error::ErrorKind;

use super::args::Cli;
use super::exit::Exit;
use super::say::{self, OutputFailure};
use super::{help, message};

pub(crate) use wrong::value;

/// The program's name in help and messages, even if its file has another name.
const NAME: &str = "claude-batch";

/// Parses the command line, and returns the command to run.
///
/// # Errors
/// Fails if help or an error was printed, because there is then no command to run. The error contains the exit code of
/// the program, or the reason why nothing could be printed.
pub(crate) fn typed() -> Result<Cli, Result<Exit, OutputFailure>> {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let all = std::iter::once(OsString::from(NAME)).chain(args.iter().cloned());
    Cli::try_parse_from(all).map_err(|error| tell(&error, &args))
}

fn tell(error: &clap::Error, args: &[OsString]) -> Result<Exit, OutputFailure> {
    match error.kind() {
        ErrorKind::DisplayHelp => say::printed(help::asked_for(args).print_help()).map(|()| Exit::Done),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            say::err(help::asked_for(args).render_help().to_string().trim_end());
            Ok(Exit::Usage)
        }
        _ if !error.use_stderr() => say::printed(error.print()).map(|()| Exit::Done),
        _ => {
            say::err(&message::lines(&wrong::words(error, args)));
            Ok(Exit::Usage)
        }
    }
}
