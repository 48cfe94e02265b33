//! Makes the message about a command line that can't be used. The message says where the mistake is, what was found and
//! what to do.

use std::error::Error;
use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory};

use super::flags;
use crate::cli::args::Cli;
use crate::cli::help;
use crate::cli::message::{choice, of_value, short};
use crate::cli::shell::{ours, quoted};
use crate::source::nearest;

/// The names that other tools use for our commands, and our names.
const COMMANDS: [(&str, &str); 18] = [
    ("start", "run"),
    ("send", "run"),
    ("batch", "run"),
    ("retry", "resume"),
    ("continue", "resume"),
    ("rerun", "resume"),
    ("estimate", "plan"),
    ("cost", "plan"),
    ("validate", "check"),
    ("lint", "check"),
    ("export", "results"),
    ("output", "results"),
    ("ls", "status"),
    ("list", "status"),
    ("stop", "ctl"),
    ("pause", "ctl"),
    ("prices", "models"),
    ("serve", "simulate"),
];

/// Returns a message about an error of clap.
pub(super) fn words(error: &clap::Error, args: &[OsString]) -> String {
    let whole = Cli::command();
    let (command, name) = help::command_of(&whole, args);
    // The name of the program is left out, because each printed message begins with it.
    let place = name.strip_prefix("claude-batch ").unwrap_or(&name);
    let of = |kind| text(error, kind);
    match error.kind() {
        ErrorKind::UnknownArgument => unknown(&of(ContextKind::InvalidArg), (command, &name, place), &whole, args),
        ErrorKind::InvalidSubcommand => no_command(&of(ContextKind::InvalidSubcommand), command, &name),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation if has(error, ContextKind::InvalidArg) => {
            format!("{}: {}", flag(&of(ContextKind::InvalidArg)), value(error))
        }
        ErrorKind::ArgumentConflict => {
            let (arg, other) = (of(ContextKind::InvalidArg), of(ContextKind::PriorArg));
            let (arg, other) = (flag(&arg), flag(&other));
            match arg == other {
                true => format!("{arg}: it is given twice; leave one of them out"),
                false => format!("{arg}: it can't be used together with {other}; leave one of them out"),
            }
        }
        ErrorKind::MissingRequiredArgument => missing(error, command, &name, place),
        ErrorKind::NoEquals => {
            let arg = of(ContextKind::InvalidArg);
            format!("{0}: its value must follow an equals sign; give {0}=true or {0}=false", flag(&arg))
        }
        ErrorKind::InvalidUtf8 => "an argument is not text in UTF-8; type it again".to_owned(),
        _ => {
            let text = error.render().to_string();
            let line = text.lines().next().unwrap_or_default();
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        }
    }
}

/// Returns what is wrong with the value of a flag, a variable or a key.
pub(crate) fn value(error: &clap::Error) -> String {
    let value = text(error, ContextKind::InvalidValue);
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(valid)) if !valid.is_empty() => {
            let near = nearest(&value, valid.iter().map(String::as_str));
            let near =
                near.filter(|_| value.len() > 1).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            let found = match &*value {
                "" => "it has no value".to_owned(),
                value => format!("{} is not valid", short(value)),
            };
            format!("{found}; give {}{near}", choice(valid))
        }
        _ => match error.source() {
            Some(words) => of_value(&value, &words.to_string()),
            None => of_value(&value, "give a value after it"),
        },
    }
}

fn has(error: &clap::Error, kind: ContextKind) -> bool {
    error.get(kind).is_some()
}

fn text(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.first().cloned().unwrap_or_default(),
        _ => String::new(),
    }
}

/// Returns the name of a flag or an argument, without its value: `--rpm` for `--rpm <N>`.
pub(crate) fn flag(shown: &str) -> String {
    match shown.starts_with('-') {
        true => shown.split(['[', ' ', '=']).next().unwrap_or_default().trim_end_matches("...").to_owned(),
        false => shown.trim_matches(['<', '>', '[', ']', '.']).to_owned(),
    }
}

fn unknown(arg: &str, (command, name, place): (&Command, &str, &str), whole: &Command, args: &[OsString]) -> String {
    if !arg.starts_with('-') {
        return format!("{place}: there is no place for the argument {}; {name} -h shows what it takes", short(arg));
    }
    let arg = flag(arg);
    let shown = if arg.len() > 40 || quoted(&arg) != arg { short(&arg) } else { arg.clone() };
    let given = flags::value_of(&arg, args);
    let help = format!("{name} --help shows all flags");
    let remedy = flags::other_name(&arg, given.as_deref(), command).unwrap_or_else(|| {
        match nearest(arg.trim_start_matches('-'), flags::names(command)).filter(|_| arg.len() > 3) {
            Some(near) => format!("did you mean --{near}?; {help}"),
            None => match flags::commands_with(&arg, whole) {
                found if found.is_empty() => help,
                found => format!("it is a flag of {}; {help}", found.join(", ")),
            },
        }
    });
    format!("{shown}: {name} has no such flag; {remedy}")
}

fn no_command(word: &str, command: &Command, name: &str) -> String {
    let remedy = if Path::new(word).extension().is_some() && command.get_name() == "claude-batch" {
        format!("to run a file: {}", ours(["run", word]))
    } else {
        let known = command.get_subcommands().map(Command::get_name);
        let other = COMMANDS.iter().find(|(other, _)| *other == word).map(|(_, ours)| *ours);
        let other = other.filter(|ours| command.find_subcommand(ours).is_some());
        match other.or_else(|| nearest(word, known)) {
            Some(near) => format!("did you mean {near}?; {name} -h shows all commands"),
            None => format!("{name} -h shows all commands"),
        }
    };
    format!("there is no command {} in {name}; {remedy}", short(word))
}

fn missing(error: &clap::Error, command: &Command, name: &str, place: &str) -> String {
    let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else {
        return format!("{place}: an argument is missing; {name} -h shows what it takes");
    };
    let names: Vec<_> = missing.iter().map(|arg| flag(arg)).collect();
    let is = if names.len() == 1 { "is" } else { "are" };
    let remedy = match (help::first_example(command, name), names.iter().all(|name| name.starts_with('-'))) {
        (Some(example), false) => format!("give it, as in {example}"),
        _ => "add it".to_owned(),
    };
    let remedy = if names.len() == 1 { remedy } else { remedy.replacen("it", "them", 1) };
    format!("{place}: {} {is} missing; {remedy}", names.join(" and "))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn said(args: &[&str]) -> String {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let all = std::iter::once(OsString::from("claude-batch")).chain(args.iter().cloned());
        words(&Cli::try_parse_from(all).expect_err("it is wrong"), &args)
    }

    #[test]
    fn each_kind_of_mistake_has_a_place_a_finding_and_a_remedy() {
        for (args, expected) in [
            (
                &["run", "--teir", "2"][..],
                "--teir: claude-batch run has no such flag; did you mean --tier?; claude-batch run --help shows all flags",
            ),
            (
                &["run", "--rpm", "0"],
                "--rpm: \"0\" is not valid; give a whole number per minute from 1 to 4294967295, such as 50k, or --tier none for no limit",
            ),
            (
                &["run", "--lane", "bach"],
                "--lane: \"bach\" is not valid; give online, batch or auto; did you mean batch?",
            ),
            (&["run", "--tier", "2", "--tier", "3"], "--tier: it is given twice; leave one of them out"),
            (
                &["rnu"],
                "there is no command \"rnu\" in claude-batch; did you mean run?; claude-batch -h shows all commands",
            ),
            (
                &["prompts.jsonl"],
                "there is no command \"prompts.jsonl\" in claude-batch; to run a file: claude-batch run prompts.jsonl",
            ),
            (&["limits", "--ask"], "limits: --live is missing; add it"),
            (
                &["models", "a", "b"],
                "models: there is no place for the argument \"b\"; claude-batch models -h shows what it takes",
            ),
        ] {
            assert_eq!(said(args), expected);
        }
        assert!(said(&["report"]).starts_with("report: RUN is missing; give it, as in"), "{}", said(&["report"]));
    }

    #[test]
    fn an_argument_can_not_write_to_the_terminal() {
        for args in [&["run", "--\u{1b}[2Jx\n"][..], &["\u{1b}]0;x\u{7}"], &["run", "--rpm", "\u{1b}[2J"]] {
            let said = said(args);
            assert!(!said.contains(char::is_control), "{said:?}");
        }
    }
}
