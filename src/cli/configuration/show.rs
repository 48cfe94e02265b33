//! The verb `show`: shows every setting with its value and the origin of the value.

use std::ffi::OsString;

use anyhow::{Context, Result, bail};
use clap::{ArgMatches, CommandFactory};

use super::known::{self, Setting, Shown};
use super::{document, table};
use crate::cli::args::{Cli, Settings, ShowConfigArgs};
use crate::cli::config::address::BaseUrlSource;
use crate::cli::config::credential::KeySource;
use crate::cli::config::layers::Layers;
use crate::cli::config::origins::{Entry, Origin};
use crate::cli::config::providers::{Listed, ListedProvider};
use crate::cli::config::reader::Reader;
use crate::cli::config::world::World;
use crate::cli::exit::Exit;
use crate::cli::say;
use crate::report::progress::terminal_width;
use crate::report::text::escape;
use crate::source::nearest;

/// The greatest width of a line, in columns. A line is wider than this only if it contains a long value or path.
const COLUMNS: usize = 80;

/// Shows the settings with their values and origins.
pub(super) fn show(args: &ShowConfigArgs, world: &World) -> Result<Exit> {
    let mut shown = read(args, std::env::args_os().skip(1), world)?;
    shown.warnings.iter().for_each(|warning| say::err(&format!("warning: {}", escape(warning))));
    select(&mut shown.settings, &args.names)?;
    if args.set {
        shown.settings.retain(|setting| !setting.layers.is_empty());
    }
    if args.json {
        say::out(&document::document(&shown))?;
        return Ok(Exit::Done);
    }
    let columns = terminal_width().unwrap_or(COLUMNS).min(COLUMNS);
    say::out(table::table(&shown, args, columns, world).trim_end())?;
    Ok(Exit::Done)
}

/// Reads the settings and returns everything that can be shown. `typed` contains the arguments of this process.
fn read(args: &ShowConfigArgs, typed: impl Iterator<Item = OsString>, world: &World) -> Result<Shown> {
    let reader = Reader::new();
    let typed = matches(typed)?;
    let Layers { origins, warnings, merged, .. } = Layers::read(args.settings.clone(), Settings::default(), world)?;
    let mut settings = known::settings(&reader, known::typed(&reader, &typed), &origins);
    let Listed { mut providers, warnings: of_providers } = Listed::read(args.settings.clone(), world)?;
    if let Some(first) = providers.iter().find(|provider| provider.order == Some(0)) {
        add_address(&mut settings, first);
        mark_idle(&mut settings, first);
    }
    providers.retain(|provider| provider.order.is_some() || provider.table.is_some());
    providers.sort_by_key(|provider| provider.order.unwrap_or(usize::MAX));
    let mut all = warnings;
    for warning in of_providers {
        if !all.contains(&warning) {
            all.push(warning);
        }
    }
    Ok(Shown { settings, profile: merged.place.profile, origins, providers, warnings: all })
}

/// Parses the program's arguments a second time, and returns the matches of the innermost command.
fn matches(typed: impl Iterator<Item = OsString>) -> Result<ArgMatches> {
    let typed = [OsString::from("claude-batch")].into_iter().chain(typed);
    let mut matches =
        Cli::command().try_get_matches_from(typed).context("can't parse the command line a second time")?;
    while let Some((_, inner)) = matches.remove_subcommand() {
        matches = inner;
    }
    Ok(matches)
}

/// Adds the address in `ANTHROPIC_BASE_URL`, which is another way to set `base-url`. This address overrides the
/// addresses in all files. A flag or the variable `CLAUDE_BATCH_BASE_URL` overrides this address.
fn add_address(settings: &mut [Setting], first: &ListedProvider) {
    let base = first.settings.as_ref().ok().and_then(|provider| provider.base_url.as_ref());
    let Some(base) = base.filter(|base| base.source == BaseUrlSource::Environment) else { return };
    let origin = Origin::Variable(base.source.name().to_owned());
    let entry = Entry::new("base-url", &[base.url.join("")], origin);
    if let Some(setting) = settings.iter_mut().find(|setting| setting.name == entry.name) {
        setting.layers.insert(0, entry);
    }
}

/// If `ANTHROPIC_API_KEY` or `ANTHROPIC_AUTH_TOKEN` overrides the key settings in files, marks these settings as
/// overridden.
fn mark_idle(settings: &mut [Setting], first: &ListedProvider) {
    let Ok(provider) = &first.settings else { return };
    let variable = match provider.key {
        KeySource::ApiKeyVariable => "ANTHROPIC_API_KEY",
        KeySource::AuthTokenVariable => "ANTHROPIC_AUTH_TOKEN",
        _ => return,
    };
    for setting in settings.iter_mut().filter(|setting| matches!(&*setting.name, "api-key-file" | "api-key-cmd")) {
        if matches!(setting.layers.first(), Some(entry) if matches!(entry.origin, Origin::File { .. })) {
            setting.idle = Some(format!("not used, because {variable} is set"));
        }
    }
}

/// Removes all settings whose names are not in `names`. A name can be the name of a flag or of a variable.
fn select(settings: &mut Vec<Setting>, names: &[String]) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let plain = |name: &str| {
        let name = name.trim_start_matches('-').to_lowercase().replace('_', "-");
        name.strip_prefix("claude-batch-").map(str::to_owned).unwrap_or(name)
    };
    let wanted: Vec<String> = names.iter().map(|name| plain(name)).collect();
    for (name, typed) in wanted.iter().zip(names) {
        if !settings.iter().any(|setting| setting.name == *name) {
            let known = settings.iter().map(|setting| setting.name.as_str());
            match nearest(name, known) {
                Some(meant) => bail!("there is no setting {:?}; did you mean {meant}?", escape(typed)),
                None => bail!("there is no setting {:?}; claude-batch config show lists all of them", escape(typed)),
            }
        }
    }
    settings.retain(|setting| wanted.contains(&setting.name));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Command, ConfigVerb};

    #[test]
    fn the_address_of_a_variable_overrides_files_and_is_overridden_by_the_flag() {
        let folder = tempfile::tempdir().expect("a folder is made");
        let file = folder.path().join("own.toml");
        std::fs::write(&file, "base-url = 'https://file.example.invalid'\n").expect("the file is written");
        let variables = [("ANTHROPIC_BASE_URL".into(), "https://env.example.invalid/".into())].into_iter().collect();
        let world = World { variables, working_folder: folder.path().to_owned(), ..World::default() };
        let values = |more: &[&str]| {
            let typed = ["claude-batch", "config", "show", "--config", "own.toml"].iter().chain(more);
            let Command::Config(config) = Cli::try_parse_from(typed.clone()).expect("it is good").command else {
                panic!("it is config")
            };
            let ConfigVerb::Show(args) = config.verb else { panic!("it is show") };
            let shown = read(&args, typed.skip(1).map(OsString::from), &world).expect("it is good");
            let setting = shown.settings.into_iter().find(|setting| setting.name == "base-url").expect("it is there");
            setting.layers.into_iter().flat_map(|layer| layer.values).collect::<Vec<_>>()
        };

        assert_eq!(values(&[]), ["https://env.example.invalid", "https://file.example.invalid"]);
        let typed = values(&["--base-url", "https://flag.example.invalid"]);
        assert_eq!(typed, ["https://flag.example.invalid", "https://file.example.invalid"]);
    }
}
