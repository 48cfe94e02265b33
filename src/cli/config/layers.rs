//! Layers of settings below the flags: environment, profile, files.
//!
//! Each value goes through the parser of its flag, one at a time, so that all layers accept the same and a message can
//! name the variable, or the file and the line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::error::{ContextKind, ErrorKind};
use clap::{ArgMatches, Args, Command, FromArgMatches};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::folder::{self, ABOUT_THE_KEY};
use super::{World, opened};
use crate::cli::args::Settings;
use crate::cli::args::groups::MoneyArgs;
use crate::cli::args::layered::Layered;
use crate::cli::args::values::Text;
use crate::journal::Owners;
use crate::report::text::escape;

/// Name of a configuration file.
pub const FILE_NAME: &str = "claude-batch.toml";

/// Before the name of a setting's variable.
const PREFIX: &str = "CLAUDE_BATCH_";

/// Keys whose values are paths, which are relative to the file that names them.
const PATHS: [&str; 4] = ["prices", "simulate-faults", "ca-file", "api-key-file"];

/// Keys whose values name a file after `@`.
const TEXTS: [&str; 2] = ["template", "system"];

/// Returns the variable of a setting.
fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.replace('-', "_").to_uppercase())
}

/// The settings of all layers.
#[derive(Clone, Debug)]
pub struct Layers {
    /// What was said for this call: flags over environment.
    pub named: Settings,
    /// All layers.
    pub merged: Settings,
    /// What should be said about them.
    pub warnings: Vec<String>,
    /// What a file in the working folder sets.
    pub notes: Vec<String>,
    /// Whether the user set a bound on the money.
    pub has_own_max_cost: bool,
}

impl Layers {
    /// Reads every layer below the flags. `recorded` goes between the environment and the files.
    ///
    /// # Errors
    /// Names the variable, or the file and line, with what is wrong.
    pub fn read(flags: Settings, recorded: Settings, world: &World) -> Result<Self> {
        let mut reader = Reader::new();
        let (environment, mut warnings) = reader.environment(world)?;
        let named = flags.over(environment);
        reader.owners = super::owners(&named.storage);
        let mut files = Vec::new();
        for (path, trust) in places(&named, world) {
            files.extend(reader.file(&path, trust, world, &mut warnings)?);
        }
        if let (Some(path), true) = (&named.place.config, files.is_empty()) {
            bail!("--config: {} does not exist", path.display());
        }
        let chosen = named.place.profile.as_deref();
        let caps = folder_caps(chosen, &mut files);
        let profile = profile(chosen, &files)?;
        let own = named.clone().over(recorded).over(profile);
        let set = files.iter().find(|file| file.trust == Trust::Folder).and_then(|file| file.set(chosen));
        let mut merged = files.into_iter().fold(own, |upper, file| upper.over(file.plain.settings));
        let has_own_max_cost = merged.money.max_cost.is_some();
        let idle = folder::lower(&mut merged.money, &caps);
        let notes = set.map(|set| [vec![set], idle].concat().join("; "));
        Ok(Self { named, merged, warnings, notes: notes.into_iter().collect(), has_own_max_cost })
    }
}

/// Takes the caps out of what a file in the working folder sets: they are no layer, since the lowest one counts.
fn folder_caps(profile: Option<&str>, files: &mut [FileLayer]) -> MoneyArgs {
    let mut caps = MoneyArgs::default();
    for file in files.iter_mut().filter(|file| file.trust == Trust::Folder) {
        let chosen = profile.and_then(|name| file.profiles.get_mut(name));
        let chosen = chosen.map(|chosen| folder::take_caps(&mut chosen.settings.money)).unwrap_or_default();
        caps = chosen.over(folder::take_caps(&mut file.plain.settings.money));
    }
    caps
}

/// Whose word a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// The user's, who named it.
    Named,
    /// The user's, by where it lies.
    User,
    /// Whoever made the working folder.
    Folder,
}

/// Returns the files to read, the strongest first.
fn places(named: &Settings, world: &World) -> Vec<(PathBuf, Trust)> {
    if let Some(path) = &named.place.config {
        return vec![(path.clone(), Trust::Named)];
    }
    let folder = (PathBuf::from(FILE_NAME), Trust::Folder);
    let user = world.config_folder().map(|folder| (folder.join(FILE_NAME), Trust::User));
    [Some(folder), user].into_iter().flatten().collect()
}

/// Returns the chosen profile's settings over all files that have it.
fn profile(name: Option<&str>, files: &[FileLayer]) -> Result<Settings> {
    let Some(name) = name else { return Ok(Settings::default()) };
    let mut found = files.iter().filter_map(|file| file.profiles.get(name)).peekable();
    if found.peek().is_none() {
        let known = files.iter().flat_map(|file| file.profiles.keys()).cloned().collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "no file has any".to_owned() } else { format!("there are {known}") };
        bail!("--profile: there is no profile {name:?}; {known}");
    }
    Ok(found.fold(Settings::default(), |upper, lower| upper.over(lower.settings.clone())))
}

/// What one file sets.
struct FileLayer {
    trust: Trust,
    shown: String,
    plain: Table,
    profiles: BTreeMap<String, Table>,
}

impl FileLayer {
    /// Returns what is said of a file that sets something.
    fn set(&self, profile: Option<&str>) -> Option<String> {
        let profile = profile.and_then(|name| self.profiles.get(name));
        let mut names: Vec<_> = profile.into_iter().chain([&self.plain]).flat_map(|table| &table.names).collect();
        names.sort();
        names.dedup();
        let names = names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        (!names.is_empty()).then(|| format!("{} in the working folder sets {names}", self.shown))
    }
}

/// Settings, and which ones they are.
#[derive(Default)]
struct Table {
    settings: Settings,
    names: Vec<String>,
}

impl Table {
    fn add(&mut self, name: &str, settings: Settings) {
        self.settings = settings.over(std::mem::take(&mut self.settings));
        self.names.push(name.to_owned());
    }
}

/// Parses single settings by the table of flags.
pub(super) struct Reader {
    command: Command,
    /// Whose files are taken for the user's.
    owners: Owners,
}

impl Reader {
    pub(super) fn new() -> Self {
        let command = Settings::augment_args(Command::new("settings").no_binary_name(true).disable_help_flag(true));
        Self { command, owners: Owners::Own }
    }

    /// Returns the names that a setting may have, aliases included.
    pub(super) fn names(&self) -> Vec<String> {
        let of = |arg: &clap::Arg| {
            let aliases = arg.get_all_aliases().unwrap_or_default();
            arg.get_long().into_iter().chain(aliases).map(str::to_owned).collect::<Vec<_>>()
        };
        self.command.get_arguments().flat_map(of).collect()
    }

    fn environment(&mut self, world: &World) -> Result<(Settings, Vec<String>)> {
        let mut settings = Settings::default();
        let mut variables = BTreeMap::new();
        for name in self.names() {
            variables.insert(variable(&name), name);
        }
        for (variable, key) in &variables {
            if let Some(value) = world.variable(variable)? {
                let values = if matches!(key.as_str(), "param" | "header") {
                    value.lines().map(str::to_owned).collect()
                } else {
                    vec![value.to_owned()]
                };
                let parsed = self.parse(key, &values).map_err(|message| anyhow!("{variable}: {message}"))?;
                settings = settings.over(parsed);
            }
        }
        let is_unknown = |name: &str| name.starts_with(PREFIX) && !variables.contains_key(name);
        let unknown = world
            .variables
            .keys()
            .filter_map(|name| name.to_str())
            .chain(world.secrets.keys().copied())
            .filter(|name| is_unknown(name));
        Ok((settings, unknown.map(|name| format!("the variable {name} sets nothing")).collect()))
    }

    /// Returns what a file sets; `None` when there is no such file.
    fn file(
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
            anyhow!("{shown}:{line}: {}", escape(error.message()))
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let hides_values = trust == Trust::Folder && opened.is_link;
        let place = Place { shown: shown.clone(), text, folder, trust, writers, hides_values };
        let mut layer = FileLayer { trust, shown, plain: Table::default(), profiles: BTreeMap::new() };
        for (key, value) in table.get_ref() {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("profile", DeValue::Table(profiles)) => {
                    for (name, value) in profiles {
                        let DeValue::Table(settings) = value.get_ref() else {
                            bail!("{}: a profile is a table, as [profile.night]", place.at(name));
                        };
                        layer.profiles.insert(name.get_ref().to_string(), self.table(settings, &place)?);
                    }
                }
                ("profile", _) => bail!("{}: a profile is a table, as [profile.night]", place.at(key)),
                (name, _) => layer.plain.add(name, self.entry(key, value, &place)?),
            }
        }
        Ok(Some(layer))
    }

    fn table(&mut self, table: &DeTable<'_>, place: &Place<'_>) -> Result<Table> {
        let mut settings = Table::default();
        for (key, value) in table {
            settings.add(key.get_ref(), self.entry(key, value, place)?);
        }
        Ok(settings)
    }

    fn entry(
        &mut self,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
        place: &Place<'_>,
    ) -> Result<Settings> {
        let name = key.get_ref().as_ref();
        let Some(flag) = self.flag(name) else {
            match place.hides_values {
                true => bail!("{}: unknown key", place.at(key)),
                false => bail!("{}: unknown key {:?}{}", place.at(key), name, self.suggestion(name)),
            }
        };
        if matches!(name, "config" | "profile") {
            bail!("{}: {name} can't be set in a file; use --{name}", place.at(key));
        }
        place.judge(key, &flag)?;
        let wrong = |message: String| match place.hides_values {
            true => anyhow!("{}: {name}: its value does not fit", place.at(key)),
            false => anyhow!("{}: {name}: {message}", place.at(key)),
        };
        let texts = texts(name, value.get_ref()).map_err(wrong)?;
        let values = texts.into_iter().map(|value| place.rebase(name, value)).collect::<Vec<_>>();
        let mut settings = self.parse(name, &values).map_err(wrong)?;
        if place.trust == Trust::Folder {
            place.confine(key, &mut settings.source.template);
            place.confine(key, &mut settings.request.system);
        }
        Ok(settings)
    }

    /// Returns the flag that a name or alias stands for.
    fn flag(&self, name: &str) -> Option<Flag> {
        let is_meant = |arg: &&clap::Arg| {
            arg.get_long() == Some(name) || arg.get_all_aliases().unwrap_or_default().contains(&name)
        };
        let arg = self.command.get_arguments().find(is_meant)?;
        Some(Flag { name: arg.get_long()?.to_owned(), is_hidden: arg.is_hide_set() })
    }

    /// Parses one setting as its flag would be.
    pub(super) fn parse(&mut self, name: &str, values: &[String]) -> Result<Settings, String> {
        let arguments = match name {
            "verbose" => {
                let times = values.iter().map(|value| times(value)).sum::<Option<usize>>();
                vec!["--verbose".to_owned(); times.ok_or("give a number from 0 to 3")?]
            }
            _ => values.iter().map(|value| format!("--{name}={value}")).collect(),
        };
        let matches: ArgMatches = self.command.try_get_matches_from_mut(arguments).map_err(|error| words(&error))?;
        Settings::from_arg_matches(&matches).map_err(|error| words(&error))
    }

    /// Returns `; did you mean "…"` for a name close to a known one.
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
            _ => "; the keys are the names of the flags of run".to_owned(),
        }
    }
}

/// A flag.
struct Flag {
    name: String,
    /// Whether its parser refuses every value and says why.
    is_hidden: bool,
}

/// Returns a configuration file. One that was named is read as the user's other files are, a pipe included.
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
            warnings.push(format!("{} is not read: its folder is closed to this user", path.display()));
            Ok(None)
        }
        found => found,
    }
}

/// Returns whether nobody can say if there is such a file, since its folder is closed: it is not this user's.
fn is_out_of_reach(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

/// A file being read.
struct Place<'a> {
    shown: String,
    text: &'a str,
    folder: &'a Path,
    trust: Trust,
    /// Who else may have written it.
    writers: Option<String>,
    /// Whether no message shows a value: the file may be any, of which somebody made this a link.
    hides_values: bool,
}

impl Place<'_> {
    /// Returns `file:line` of a key.
    fn at<T>(&self, key: &Spanned<T>) -> String {
        format!("{}:{}", self.shown, line_of(self.text, key.span().start))
    }

    /// Refuses a setting that is not this file's to make.
    fn judge<T>(&self, key: &Spanned<T>, flag: &Flag) -> Result<()> {
        let name = &flag.name;
        if self.trust == Trust::Folder && !folder::may_set(name) && !flag.is_hidden {
            bail!(
                "{}: {name} can't be set by a file in the working folder; use --{name}, {}, or the file in your own \
                 configuration folder",
                self.at(key),
                variable(name)
            );
        }
        match &self.writers {
            Some(writers) if ABOUT_THE_KEY.contains(&name.as_str()) => {
                bail!(
                    "{}: {name} is not taken from a file that may not be yours: {writers} (--trust-owner takes it for yours)",
                    self.at(key)
                )
            }
            _ => Ok(()),
        }
    }

    /// Marks a file that a text is in as one that must lie inside the working folder.
    fn confine<T>(&self, key: &Spanned<T>, text: &mut Option<Text>) {
        if let Some(Text::File(path)) = text {
            *text = Some(Text::Inside { path: std::mem::take(path), named_at: self.at(key) });
        }
    }

    /// Returns a value with the path in it, if any, seen from the working folder.
    fn rebase(&self, name: &str, value: String) -> String {
        let (mark, path) = match value.strip_prefix('@') {
            Some(path) if TEXTS.contains(&name) && !path.starts_with('@') => ("@", path),
            _ if PATHS.contains(&name) => ("", value.as_str()),
            _ => return value,
        };
        format!("{mark}{}", self.folder.join(path).display())
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// Returns a value's texts, as they would be typed: one, or those of a list or table where the flag repeats.
fn texts(name: &str, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    match (name, value) {
        (_, DeValue::String(text)) => Ok(vec![text.to_string()]),
        (_, DeValue::Integer(number)) => Ok(vec![number.to_string()]),
        (_, DeValue::Float(number)) => Ok(vec![number.to_string()]),
        (_, DeValue::Boolean(value)) => Ok(vec![value.to_string()]),
        ("param" | "header" | "beta", DeValue::Array(values)) => {
            let texts = values.iter().map(|value| texts("", value.get_ref()));
            Ok(texts.collect::<Result<Vec<_>, _>>()?.concat())
        }
        ("param", DeValue::Table(table)) => {
            table.iter().map(|(key, value)| Ok(format!("{}={}", key.get_ref(), json(value.get_ref())?))).collect()
        }
        ("header", DeValue::Table(table)) => table
            .iter()
            .map(|(key, value)| Ok(format!("{}: {}", key.get_ref(), texts("", value.get_ref())?.concat())))
            .collect(),
        (_, value) => Err(format!("a value of this kind ({}) does not fit here", value.type_str())),
    }
}

/// Returns a TOML value as JSON.
fn json(value: &DeValue<'_>) -> Result<serde_json::Value, String> {
    use serde_json::Value;
    Ok(match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(value) => Value::from(*value),
        DeValue::Integer(number) => serde_json::from_str(&number.to_string()).map_err(|error| error.to_string())?,
        DeValue::Float(number) => {
            serde_json::from_str(&number.to_string()).map_err(|_| format!("{number} is no number that JSON knows"))?
        }
        DeValue::Datetime(_) => return Err("JSON has no dates; put it in quotes".to_owned()),
        DeValue::Array(values) => {
            Value::Array(values.iter().map(|value| json(value.get_ref())).collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => {
            let members = table.iter().map(|(key, value)| Ok((key.get_ref().to_string(), json(value.get_ref())?)));
            Value::Object(members.collect::<Result<_, String>>()?)
        }
    })
}

/// Returns how often `-v` is meant.
fn times(value: &str) -> Option<usize> {
    match value {
        "true" => Some(1),
        "false" => Some(0),
        _ => value.parse().ok().filter(|times| *times <= 3),
    }
}

/// Returns what is wrong with one value, without the frame that a command line's error has.
fn words(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(clap::error::ContextValue::String(text)) => Some(text.clone()),
        Some(clap::error::ContextValue::Strings(texts)) => Some(texts.join(", ")),
        _ => None,
    };
    let source = std::error::Error::source(error).map(ToString::to_string);
    let value = context(ContextKind::InvalidValue);
    match (error.kind(), value, source, context(ContextKind::ValidValue)) {
        (ErrorKind::InvalidValue, Some(value), _, Some(valid)) => format!("{value:?} is none of {valid}"),
        (ErrorKind::ValueValidation, Some(value), Some(source), _) => format!("{value:?}: {source}"),
        (ErrorKind::ValueValidation, Some(value), None, _) => format!("{value:?} is no value for this"),
        (ErrorKind::ArgumentConflict, ..) => "is given more than once".to_owned(),
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            escape(line.strip_prefix("error: ").unwrap_or(line)).into_owned()
        }
    }
}
