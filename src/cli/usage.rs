//! The command line as clap parses it, and the texts that clap prints: help, version, errors.
//!
//! clap's messages repeat arguments as they were typed, so this module escapes the arguments in a message before it is
//! printed. clap advises to put an argument after `--`; this advice is left out for arguments that would need quotes in
//! a shell.

use std::ffi::OsString;

use clap::Parser;
use clap::error::{ContextKind, ContextValue};

use super::args::Cli;
use super::exit::Exit;
use super::say::{self, OutputFailure};
use super::shell::quoted;
use crate::report::text::escape;

/// The program's name in help and messages, even if the file has another name.
const NAME: &str = "claude-batch";

/// Returns the command line.
///
/// # Errors
/// There is no command to run, because help or an error has been printed. The error contains the exit code of the
/// program, or the reason why nothing could be printed.
pub(crate) fn typed() -> Result<Cli, Result<Exit, OutputFailure>> {
    let args = std::env::args_os().skip(1);
    Cli::try_parse_from([OsString::from(NAME)].into_iter().chain(args)).map_err(tell)
}

fn tell(error: clap::Error) -> Result<Exit, OutputFailure> {
    if !error.use_stderr() {
        return say::printed(error.print()).map(|()| Exit::Done);
    }
    let error = harmless(error);
    let message = error.render().to_string();
    if message == say::harmless(&message) {
        // clap prints colours if the terminal supports them. If printing fails, there is no way to report it.
        let _ = error.print();
    } else {
        say::err(message.trim_end());
    }
    Ok(Exit::Usage)
}

/// Returns an error whose message repeats only escaped arguments.
fn harmless(mut error: clap::Error) -> clap::Error {
    let escaped = error.context().filter_map(|(kind, value)| Some((kind, shown(value)?)));
    for (kind, value) in escaped.collect::<Vec<_>>() {
        error.insert(kind, value);
    }
    let is_no_word = |kind| matches!(error.get(kind), Some(ContextValue::String(arg)) if quoted(arg) != *arg);
    if is_no_word(ContextKind::InvalidArg) || is_no_word(ContextKind::InvalidSubcommand) {
        error.remove(ContextKind::Suggested);
    }
    error
}

/// Returns the escaped form of a value that an error message contains; `None` if the value is not text or comes from
/// clap itself.
fn shown(value: &ContextValue) -> Option<ContextValue> {
    match value {
        ContextValue::String(text) => Some(ContextValue::String(escape(text).into_owned())),
        ContextValue::Strings(texts) => {
            Some(ContextValue::Strings(texts.iter().map(|text| escape(text).into_owned()).collect()))
        }
        _ => None,
    }
}
