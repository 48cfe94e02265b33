//! The definition of the command line for completions. The definition lists values that the parsers of the flags do not
//! list, such as models and providers.

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command, CommandFactory};

use crate::catalog::Catalog;
use crate::cli::args::Cli;
use crate::cli::config::defaults::is_switch;
use crate::cli::config::reader::Reader;
use crate::domain::ProviderKind;

/// A placeholder for the names of profiles. The completion scripts ask the program for the names of profiles.
pub(super) const PROFILES: &str = "CLAUDE_BATCH_PROFILES";
/// A placeholder for the names of the providers in the configuration.
pub(super) const PROVIDERS: &str = "CLAUDE_BATCH_PROVIDERS";

/// Returns the definition of the command line with all values.
pub(super) fn command() -> Command {
    let catalog = Catalog::builtin();
    let served = catalog.models().iter().filter(|model| !model.is_retired());
    let models: Vec<String> =
        served.flat_map(|model| model.aliases.iter().chain([&model.id])).map(|name| name.to_string()).collect();
    let settings: Vec<String> = Reader::new().flags().filter_map(|flag| flag.get_long().map(str::to_owned)).collect();
    with_values(Cli::command().disable_help_subcommand(true), &models, &settings)
}

fn with_values(command: Command, models: &[String], settings: &[String]) -> Command {
    let name = command.get_name().to_owned();
    let command = command.mut_args(|arg| match values(&name, &arg, models, settings) {
        _ if is_switch(&arg) || is_hidden_flag(&arg) => switch(&arg),
        Some(values) => arg.value_parser(PossibleValuesParser::new(values.into_iter().map(lasting))),
        None => arg,
    });
    command.mut_subcommands(|inner| with_values(inner, models, settings))
}

/// Returns whether this is a flag that the help does not show. A hidden flag gets no values, so each script has only
/// one line about the flag. `scripts.rs` removes this line.
fn is_hidden_flag(arg: &Arg) -> bool {
    arg.is_hide_set() && arg.get_long().is_some()
}

/// Returns a flag as a switch without values, because no shell needs to offer `--strict=false`.
fn switch(arg: &Arg) -> Arg {
    let mut switch = Arg::new(arg.get_id().clone()).action(ArgAction::SetTrue).hide(arg.is_hide_set());
    if let Some(long) = arg.get_long() {
        switch = switch.long(lasting(long.to_owned()));
    }
    if let Some(short) = arg.get_short() {
        switch = switch.short(short);
    }
    match arg.get_help() {
        Some(help) => switch.help(help.clone()),
        None => switch,
    }
}

/// Returns a text that stays in memory until the program ends, because clap keeps references to its texts. The program
/// makes one script and then ends.
fn lasting(text: String) -> &'static str {
    text.leak()
}

/// Returns the values of a flag or an argument; `None` if its parser lists them, or if they are not known.
fn values(command: &str, arg: &Arg, models: &[String], settings: &[String]) -> Option<Vec<String>> {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let providers = || ProviderKind::ALL.iter().map(|kind| kind.name().to_owned()).chain([PROVIDERS.to_owned()]);
    Some(match (command, arg.get_id().as_str()) {
        (_, "model") | ("models", "name") => models.to_vec(),
        (_, "profile") if command != "init" => texts(&[PROFILES]),
        (_, "provider") | ("providers", "name") => providers().collect(),
        (_, "fallback") => ["off".to_owned()].into_iter().chain(providers()).collect(),
        (_, "fallback_on") => texts(&["limit", "overload", "endpoint", "refusal", "model", "account"]),
        (_, "notify_on") => texts(&["finish", "halt", "limit=80", "limit=95"]),
        (_, "on_truncate") => texts(&["keep", "fail", "grow", "continue"]),
        (_, "on_refusal") => texts(&["keep", "fail"]),
        (_, "halt") => texts(&["first-ten", "never"]),
        (_, "headroom" | "concurrency") => texts(&["auto"]),
        ("show", "names") => settings.to_vec(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_flag_has_no_values_and_one_line_in_each_script() {
        let command = command();
        let inner = command.get_subcommands().flat_map(Command::get_arguments);
        let hidden: Vec<&Arg> = inner.filter(|arg| is_hidden_flag(arg)).collect();

        assert!(hidden.iter().any(|arg| arg.get_long() == Some("list")), "{hidden:?}");
        for arg in hidden {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(arg.get_possible_values().is_empty() && !help.contains('\n'), "{arg:?}");
        }
    }
}
