//! The command `completions`: scripts that complete commands in a shell.
//!
//! The scripts are made from the definition of the command line, to which `command.rs` adds values. For some shells,
//! the generator leaves something out, and `scripts.rs` or `elvish.rs` adds the missing part. The scripts do not
//! contain names from the user's configuration. The scripts use a hidden flag to ask this program for names from the
//! configuration.

mod command;
mod elvish;
mod scripts;

use std::io::Write;

use anyhow::Result;

use super::args::{CompletionsArgs, Listed, Settings};
use super::config::layers::Layers;
use super::config::providers::Listed as Providers;
use super::config::world::World;
use super::exit::Exit;
use super::say;

/// Prints a script, or the names that a script asks for.
pub(crate) fn completions(args: &CompletionsArgs, world: &World) -> Result<Exit> {
    match (args.list, args.shell) {
        (Some(kind), _) => {
            names(kind, world).iter().filter(|name| is_plain(name)).try_for_each(|name| say::out(name))?
        }
        (None, Some(shell)) => say::printed(say::results().write_all(scripts::script(shell).as_bytes()))?,
        (None, None) => {}
    }
    Ok(Exit::Done)
}

/// Returns whether an unquoted name has the same meaning in every shell. Names with special characters are not offered:
/// bash expands the words of `compgen -W`, so bash would run a command inside such a name.
fn is_plain(name: &str) -> bool {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "_.-".contains(char);
    !name.is_empty() && !name.starts_with('-') && name.chars().all(is_plain)
}

/// Returns names from the configuration. If the configuration contains mistakes, returns no names, because a shell
/// can't show the message.
fn names(kind: Listed, world: &World) -> Vec<String> {
    match kind {
        Listed::Profiles => {
            let read = Layers::read(Settings::default(), Settings::default(), world);
            let profiles = read.map(|layers| layers.origins.profiles).unwrap_or_default();
            let mut names: Vec<String> = profiles.into_iter().map(|profile| profile.name).collect();
            names.sort();
            names.dedup();
            names
        }
        Listed::Providers => {
            let read = Providers::read(Settings::default(), world);
            let providers = read.map(|listed| listed.providers).unwrap_or_default();
            providers.into_iter().filter(|provider| provider.table.is_some()).map(|provider| provider.name).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_shell_could_expand_or_split_are_not_offered() {
        for name in ["night", "team-2", "v1.5_big"] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["$(touch PWN)", "`touch PWN`", "$HOME", "two words", "a;b", "a\nb", "*", "~", "\"", "'", "-x", ""]
        {
            assert!(!is_plain(name), "{name}");
        }
    }
}
