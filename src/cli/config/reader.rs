//! Reads settings from the environment and from files. Each value goes through the parser of its flag.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use clap::error::ContextKind;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::file_layer::{FileLayer, Table};
use super::opened;
use super::origins::{Entry, Origin};
use super::place::{Flag, PREFIX, Place, line_of, variable};
use super::providers::table;
use super::trust::Trust;
use super::typed::{texts, times, words};
use super::world::{NOTIFY_SECRET, World};
use crate::cli::args::Settings;
use crate::cli::args::layered::Layered;
use crate::journal::Owners;
use crate::report::text::escape;

type Key<'i> = Spanned<std::borrow::Cow<'i, str>>;

/// Parses single settings with the parsers of the flags.
pub(crate) struct Reader {
    command: Command,
    /// The values that were read, and where each one was set.
    pub(super) entries: Vec<Entry>,
    /// The users whose files are trusted like this user's own.
    pub(super) owners: Owners,
}

impl Reader {
    /// Returns a reader for all settings.
    pub(crate) fn new() -> Self {
        let command = Settings::augment_args(Command::new("settings").no_binary_name(true).disable_help_flag(true));
        Self { command, entries: Vec::new(), owners: Owners::Own }
    }

    /// Returns the flags of all settings. Hidden flags, which accept no value, are left out.
    pub(crate) fn flags(&self) -> impl Iterator<Item = &clap::Arg> {
        self.command.get_arguments().filter(|arg| !arg.is_hide_set())
    }

    /// Returns the names of all settings, with their aliases.
    pub(super) fn names(&self) -> Vec<String> {
        let of = |arg: &clap::Arg| {
            let aliases = arg.get_all_aliases().unwrap_or_default();
            arg.get_long().into_iter().chain(aliases).map(str::to_owned).collect::<Vec<_>>()
        };
        self.command.get_arguments().flat_map(of).collect()
    }

    pub(super) fn environment(&mut self, world: &World) -> Result<(Settings, Vec<String>)> {
        let mut settings = Settings::default();
        let mut variables = BTreeMap::new();
        for name in self.names() {
            variables.insert(variable(&name), name);
        }
        for (variable, key) in &variables {
            if let Some(value) = world.variable(variable)? {
                let values = if matches!(key.as_str(), "param" | "header" | "reuse" | "notify" | "schedule") {
                    value.lines().map(str::to_owned).collect()
                } else {
                    vec![value.to_owned()]
                };
                let parsed = self.parse(key, &values).map_err(|message| anyhow!("{variable}: {message}"))?;
                settings = settings.over(parsed);
                if let Some(flag) = self.flag(key) {
                    self.entries.push(Entry::new(&flag.name, &values, Origin::Variable(variable.clone())));
                }
            }
        }
        let is_unknown = |name: &str| name.starts_with(PREFIX) && !variables.contains_key(name);
        let unknown = world
            .variables
            .keys()
            .filter_map(|name| name.to_str())
            .chain(world.secrets.keys().copied())
            .filter(|name| is_unknown(name) && *name != NOTIFY_SECRET);
        Ok((
            settings,
            unknown
                .map(|name| format!("the variable {name} has no effect, because no setting has this name"))
                .collect(),
        ))
    }

    /// Returns the settings of a file; `None` if the file does not exist.
    pub(super) fn file(
        &mut self,
        path: &Path,
        trust: Trust,
        world: &World,
        warnings: &mut Vec<String>,
    ) -> Result<Option<FileLayer>> {
        let shown = path.display().to_string();
        let Some(opened) = found(path, trust, world, warnings).with_context(|| format!("can't read {shown}"))? else {
            return Ok(None);
        };
        let writers = opened.writers.filter(|_| trust == Trust::User && self.owners == Owners::Own);
        warnings.extend(writers.as_ref().map(|writers| format!("{shown} is read, but {writers}")));
        let text = opened.text.strip_prefix('\u{feff}').unwrap_or(&opened.text);
        let table = DeTable::parse(text).map_err(|error| {
            let line = line_of(text, error.span().map_or(0, |span| span.start));
            anyhow!("{shown}:{line}: {}; correct this line", escape(error.message()))
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let hides_values = trust == Trust::Folder && opened.is_link;
        let place = Place { shown: shown.clone(), text, folder, trust, writers, hides_values };
        let mut layer =
            FileLayer { trust, shown, plain: Table::default(), profiles: BTreeMap::new(), providers: Vec::new() };
        let before = self.entries.len();
        for (key, value) in table.get_ref() {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("profile", DeValue::Table(profiles)) => {
                    for (name, value) in profiles {
                        let DeValue::Table(settings) = value.get_ref() else {
                            bail!(
                                "{}: a profile must be a table; begin it with a line such as [profile.night]",
                                place.at(name)
                            );
                        };
                        let table = self.table(name, settings, &place)?;
                        layer.profiles.insert(name.get_ref().to_string(), table);
                    }
                }
                ("profile", _) => {
                    bail!("{}: a profile must be a table; begin it with a line such as [profile.night]", place.at(key))
                }
                ("providers", value) => layer.providers = table::read(key, value, &place)?,
                (name, _) => layer.plain.add(name, self.entry(key, value, None, &place)?),
            }
        }
        // If a key and its alias are both in the file, the later value counts.
        self.entries[before..].reverse();
        Ok(Some(layer))
    }

    fn table(&mut self, name: &Key<'_>, table: &DeTable<'_>, place: &Place<'_>) -> Result<Table> {
        let mut settings = Table::of_profile(place.at(name));
        for (key, value) in table {
            settings.add(key.get_ref(), self.entry(key, value, Some(name.get_ref()), place)?);
        }
        Ok(settings)
    }

    fn entry(
        &mut self,
        key: &Key<'_>,
        value: &Spanned<DeValue<'_>>,
        profile: Option<&str>,
        place: &Place<'_>,
    ) -> Result<Settings> {
        let name = key.get_ref().as_ref();
        let Some(flag) = self.flag(name) else {
            if name == "profiles" && profile.is_none() {
                bail!("{}: a profile is written as [profile.NAME], such as [profile.night]", place.at(key));
            }
            if name == "providers" {
                bail!("{}: [providers.NAME] is not a part of a profile; put it at the top level", place.at(key));
            }
            match place.hides_values {
                true => bail!(
                    "{}: unknown key; the keys are the names of flags, which claude-batch run --help shows",
                    place.at(key)
                ),
                false => bail!("{}: unknown key {:?}{}", place.at(key), name, self.suggestion(name)),
            }
        };
        if matches!(name, "config" | "profile") {
            bail!("{}: {name} can't be set in a file; use --{name}", place.at(key));
        }
        place.judge(key, &flag)?;
        let wrong = |message: String| match place.hides_values {
            true => anyhow!("{}: {name}: its value is not allowed; correct it", place.at(key)),
            false => anyhow!("{}: {name}: {message}", place.at(key)),
        };
        let texts = texts(name, value.get_ref()).map_err(wrong)?;
        let values = texts.into_iter().map(|value| place.rebase(name, value)).collect::<Vec<_>>();
        let mut settings = self.parse(name, &values).map_err(wrong)?;
        let origin = Origin::File {
            path: place.shown.clone(),
            line: line_of(place.text, key.span().start),
            profile: profile.map(str::to_owned),
        };
        self.entries.push(match place.hides_values {
            true => Entry::hidden(&flag.name, origin),
            false => Entry::new(&flag.name, &values, origin),
        });
        if place.trust == Trust::Folder {
            place.confine(key, &mut settings.source.template);
            place.confine(key, &mut settings.request.system);
        }
        Ok(settings)
    }

    /// Returns the flag with this name or alias.
    fn flag(&self, name: &str) -> Option<Flag> {
        let is_meant = |arg: &&clap::Arg| {
            arg.get_long() == Some(name) || arg.get_all_aliases().unwrap_or_default().contains(&name)
        };
        let arg = self.command.get_arguments().find(is_meant)?;
        Some(Flag { name: arg.get_long()?.to_owned(), is_hidden: arg.is_hide_set() })
    }

    /// Parses one setting with the parser of its flag.
    pub(super) fn parse(&mut self, name: &str, values: &[String]) -> Result<Settings, String> {
        let arguments = match name {
            "verbose" => {
                let times = values.iter().map(|value| times(value)).sum::<Option<usize>>();
                vec!["--verbose".to_owned(); times.ok_or("it is not valid; give a number from 0 to 3")?]
            }
            _ => values.iter().map(|value| format!("--{name}={value}")).collect(),
        };
        let matches: ArgMatches =
            self.command.try_get_matches_from_mut(arguments).map_err(|error| words(name, &error))?;
        Settings::from_arg_matches(&matches).map_err(|error| words(name, &error))
    }

    /// Returns `; did you mean "…"` if the name is similar to the name of a setting.
    fn suggestion(&mut self, name: &str) -> String {
        let name = name.replace('_', "-");
        if self.names().contains(&name) {
            return format!("; did you mean {name:?}?");
        }
        let Err(error) = self.command.try_get_matches_from_mut([format!("--{name}")]) else { return String::new() };
        match error.get(ContextKind::SuggestedArg) {
            Some(clap::error::ContextValue::String(flag)) => {
                format!("; did you mean {:?}?", flag.trim_start_matches('-'))
            }
            _ => "; the keys are the names of flags, which claude-batch run --help shows".to_owned(),
        }
    }
}

/// Returns a configuration file. If the user named the file with `--config`, it can also be a pipe.
fn found(path: &Path, trust: Trust, world: &World, warnings: &mut Vec<String>) -> Result<Option<opened::Opened>> {
    let place = world.resolve(path);
    if trust == Trust::Named {
        if !place.exists() {
            return Ok(None);
        }
        let text = String::from_utf8(world.read(path)?).ok().context("the file is not UTF-8")?;
        return Ok(Some(opened::Opened { text, is_link: false, writers: None }));
    }
    match opened::configuration(&place) {
        Err(_) if trust == Trust::User && is_out_of_reach(&place) => {
            warnings.push(format!("{} is not read: this user may not open its folder", path.display()));
            Ok(None)
        }
        found => found,
    }
}

/// Returns true if this user can't open the folder of a file. In this case, the program can't know whether the file
/// exists.
fn is_out_of_reach(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}
