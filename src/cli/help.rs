//! What `-h` and `--help` show.
//!
//! `-h` fits on one screen: it shows the most important flags, in the words of `short.rs`, and a few examples. `--help`
//! shows all flags in groups, and the texts of `args/help.rs`. For `-h` and for `--help`, clap renders a changed copy
//! of the command. The command that parses arguments is never changed. In the copy, a switch has no value, because
//! almost nobody types the value of a switch.

mod short;

use std::ffi::OsString;

use clap::builder::Resettable;
use clap::{ArgAction, Command, CommandFactory};

use self::short::{ABOUT, GROUPS, SHORT, START, Short};
use super::args::Cli;

/// If the value of a flag has this name, the flag is a switch.
const SWITCH: &str = "BOOL";

/// Returns the command whose help the user asked for, ready for printing this help.
pub(super) fn asked_for(args: &[OsString]) -> Command {
    let whole = Cli::command();
    let (command, name) = command_of(&whole, args);
    let words = args.iter().take_while(|arg| *arg != "--");
    let is_long = args.first().is_some_and(|arg| arg == "help") || words.into_iter().any(|arg| arg == "--help");
    shown(command, &name, is_long)
}

/// Returns the subcommand that the user typed, with its whole name, such as `claude-batch batches list`.
pub(super) fn command_of<'c>(whole: &'c Command, args: &[OsString]) -> (&'c Command, String) {
    let (mut command, mut name) = (whole, whole.get_name().to_owned());
    let words = args.iter().filter_map(|arg| arg.to_str()).skip_while(|arg| *arg == "help");
    for word in words.filter(|word| !word.starts_with('-')) {
        let Some(found) = command.find_subcommand(word) else { break };
        command = found;
        name = format!("{name} {}", found.get_name());
    }
    (command, name)
}

/// Returns the first example in the help of a command.
pub(super) fn first_example(command: &Command, name: &str) -> Option<String> {
    if let Some(example) = SHORT.iter().find(|short| short.command == name).and_then(|short| short.examples.first()) {
        return Some(format!("claude-batch {example}"));
    }
    let text = command.get_after_help()?.to_string();
    text.lines().map(str::trim).find(|line| line.starts_with("claude-batch ")).map(|line| {
        let end = line.find("  ").unwrap_or(line.len());
        line[..end].to_owned()
    })
}

/// Returns a changed copy of a command. The help of the command is printed from this copy.
pub(crate) fn shown(command: &Command, name: &str, is_long: bool) -> Command {
    let is_whole = name == command.get_name();
    let command = without_switch_values(command.clone()).bin_name(name);
    let command = match is_whole {
        true => by_task(command),
        false => command.disable_help_flag(true),
    };
    if is_long || is_whole { command } else { in_short(command, name) }
}

/// Returns the command, changed so that its switches take no value.
pub(super) fn without_switch_values(command: Command) -> Command {
    command.mut_args(|arg| {
        let is_switch = arg.get_value_names().is_some_and(|names| names.iter().any(|name| name == SWITCH));
        if is_switch { arg.num_args(0).require_equals(false).action(ArgAction::SetTrue) } else { arg }
    })
}

/// Returns the command with only its most important flags.
fn in_short(command: Command, name: &str) -> Command {
    let Some(Short { flags, examples, .. }) = SHORT.iter().find(|short| short.command == name) else {
        return command;
    };
    let command = command.mut_args(|arg| {
        if arg.is_positional() {
            return arg;
        }
        let place = flags.iter().position(|(long, _)| Some(*long) == arg.get_long());
        match place {
            Some(at) => {
                let arg = arg.help(flags[at].1).help_heading(Resettable::Reset).display_order(at);
                if arg.get_action().takes_values() { arg.hide_possible_values(true) } else { arg }
            }
            None => arg.hide(true),
        }
    });
    let examples: String = examples.iter().map(|example| format!("  claude-batch {example}\n")).collect();
    command.after_help(format!("Examples:\n{examples}\n{name} --help shows all flags."))
}

/// Returns the top-level command. The help of this command shows the subcommands in groups, one group for each task.
fn by_task(whole: Command) -> Command {
    let mut rest: Vec<&str> = whole.get_subcommands().map(Command::get_name).collect();
    let width = rest.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut text = format!("{ABOUT}\n\n{START}\n\n{{usage-heading}} {{usage}}\n");
    for (heading, names) in GROUPS {
        let of_group: Vec<_> = match names {
            [] => rest.clone(),
            names => names.iter().copied().filter(|name| rest.contains(name)).collect(),
        };
        rest.retain(|name| !of_group.contains(name));
        let lines = of_group.iter().filter_map(|name| whole.find_subcommand(name)).map(|command| {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            format!("  {:width$}  {about}\n", command.get_name())
        });
        let lines: String = lines.collect();
        if !lines.is_empty() {
            text.push_str(&format!("\n{}\n{lines}", header(heading)));
        }
    }
    text.push_str("\nclaude-batch COMMAND -h shows the main flags, and --help shows all flags.");
    whole.help_template(text)
}

/// Returns a heading in the style of clap's headings. When colours are off, clap removes the style.
fn header(text: &str) -> String {
    let style = clap::builder::Styles::styled();
    let style = style.get_header();
    format!("{style}{text}:{style:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: usize = 80;
    const ROWS: usize = 40;

    /// Returns all commands with their whole names.
    fn all() -> Vec<(Command, String)> {
        let whole = Cli::command();
        let mut found = vec![(whole.clone(), whole.get_name().to_owned())];
        let mut at = 0;
        while at < found.len() {
            let (command, name) = found[at].clone();
            found.extend(command.get_subcommands().map(|sub| (sub.clone(), format!("{name} {}", sub.get_name()))));
            at += 1;
        }
        found
    }

    fn text(command: &Command, name: &str, is_long: bool) -> String {
        shown(command, name, is_long).term_width(COLUMNS).render_help().to_string()
    }

    #[test]
    fn the_short_help_of_every_command_fits_on_one_screen() {
        for (command, name) in all() {
            let text = text(&command, &name, false);
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);

            assert!(text.lines().count() <= ROWS && widest <= COLUMNS, "{name}: {widest} columns\n{text}");
        }
    }

    #[test]
    fn no_help_shows_the_value_of_a_switch_and_the_long_help_shows_every_flag() {
        for (command, name) in all() {
            let (short, long) = (text(&command, &name, false), text(&command, &name, true));

            assert!(!short.contains("BOOL") && !long.contains("BOOL"), "{name}");
            if name != command.get_name() {
                for flag in command.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(|arg| arg.get_long()) {
                    assert!(long.contains(&format!("--{flag}")), "{name}: --{flag}");
                }
            }
        }
    }

    #[test]
    fn the_help_of_the_program_lists_every_command_under_a_heading() {
        let whole = Cli::command();
        let text = text(&whole, "claude-batch", false);

        for command in whole.get_subcommands().map(Command::get_name) {
            assert_eq!(text.lines().filter(|line| line.starts_with(&format!("  {command} "))).count(), 1, "{command}");
        }
    }

    #[test]
    fn the_flags_of_the_short_help_exist_and_its_examples_can_be_typed() {
        for Short { command: name, flags, examples } in SHORT {
            let (command, _) = all().into_iter().find(|(_, known)| known == name).expect(name);
            for (flag, words) in *flags {
                assert!(command.get_arguments().any(|arg| arg.get_long() == Some(flag)), "{name}: --{flag}");
                assert!(!words.is_empty() && words.len() <= 54, "{name}: --{flag}");
            }
            for example in *examples {
                assert!(example.len() + 15 <= COLUMNS, "{example}");
            }
        }
    }

    #[test]
    fn every_example_is_a_command_line_that_is_accepted() {
        // On a wide screen, no example is split into two lines.
        let text = |command: &Command, name: &str, is_long| {
            shown(command, name, is_long).max_term_width(0).term_width(200).render_help().to_string()
        };
        let texts =
            all().into_iter().map(|(command, name)| (text(&command, &name, false), text(&command, &name, true)));
        let mut seen = 0;
        for line in
            texts.flat_map(|(short, long)| format!("{short}\n{long}").lines().map(str::to_owned).collect::<Vec<_>>())
        {
            let line = line.trim().trim_start_matches("cat prompts.jsonl | ");
            let Some(typed) = line.strip_prefix("claude-batch ").filter(|typed| !typed.contains("shows")) else {
                continue;
            };
            let typed =
                words(typed.split("  ").next().unwrap_or_default().split(['>', '|']).next().unwrap_or_default());
            let parsed = Cli::command().try_get_matches_from(std::iter::once("claude-batch".to_owned()).chain(typed));
            let is_good = match &parsed {
                Ok(_) => true,
                Err(error) => !error.use_stderr(),
            };
            assert!(is_good, "{line}: {parsed:?}");
            seen += 1;
        }
        assert!(seen > 50, "{seen}");
    }

    /// Splits a command line at blanks. Blanks inside single quotes do not split a word.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut is_quoted) = (Vec::new(), String::new(), false);
        for char in line.chars() {
            match char {
                '\'' => is_quoted = !is_quoted,
                ' ' if !is_quoted => words.push(std::mem::take(&mut word)),
                other => word.push(other),
            }
        }
        words.push(word);
        words.retain(|word| !word.is_empty());
        words
    }
}
