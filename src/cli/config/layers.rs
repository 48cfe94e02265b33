//! The layers of settings: flags, environment, profile, files. A setting in a layer overrides the same setting in the
//! layers below it.
//!
//! The parser of a flag also parses the values for this flag in all layers. So all layers accept the same values for a
//! flag, and an error message can name the variable, or the file and the line.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::file_layer::{FileLayer, Table};
use super::folder;
use super::origins::{Origins, ProfilePlace};
use super::providers::table::ProviderTable;
use super::reader::Reader;
use super::trust::Trust;
use super::world::World;
use crate::cli::args::Settings;
use crate::cli::args::groups::MoneyArgs;
use crate::cli::args::layered::Layered;
use crate::cli::message::{choice, short};
use crate::source::nearest;

/// The name of a configuration file.
pub(crate) const FILE_NAME: &str = "claude-batch.toml";

/// The settings of all layers.
#[derive(Clone, Debug)]
pub(crate) struct Layers {
    /// The settings of this call: the flags and the environment. Flags override the environment.
    pub named: Settings,
    /// The settings of all layers.
    pub merged: Settings,
    /// The settings of the profile and the files, without the settings that an earlier run recorded.
    pub lower: Settings,
    /// The warnings that the user sees about the settings.
    pub warnings: Vec<String>,
    /// Notes about the settings of a file in the working folder.
    pub notes: Vec<String>,
    /// The tables `[providers.NAME]` of the files.
    pub providers: Vec<ProviderTable>,
    /// Whether the user set `max-cost` in any layer. A value from a file in the working folder does not count.
    pub has_own_max_cost: bool,
    /// For each value in the layers below the flags: the place where the value was set.
    pub origins: Origins,
}

impl Layers {
    /// Reads every layer below the flags. `recorded` has the settings of an earlier run. Recorded settings override the
    /// files, and the environment overrides recorded settings.
    ///
    /// # Errors
    /// Fails if a setting is wrong. The message names the variable, or the file and line, and says what is wrong.
    pub(crate) fn read(flags: Settings, recorded: Settings, world: &World) -> Result<Self> {
        let mut reader = Reader::new();
        let (environment, mut warnings) = reader.environment(world)?;
        let named = flags.over(environment);
        reader.owners = named.storage.owners();
        let mut files = Vec::new();
        for (path, trust) in places(&named, world) {
            files.extend(reader.file(&path, trust, world, &mut warnings)?);
        }
        if let (Some(path), true) = (&named.place.config, files.is_empty()) {
            bail!("--config: {}: no such file; check the path", path.display());
        }
        let chosen = named.place.profile.as_deref();
        let caps = folder_caps(chosen, &mut files);
        let profile = profile(chosen, &files)?;
        let upper = named.clone().over(recorded);
        let mut origins = Origins { entries: reader.entries, profiles: profiles(&files), lowered: Vec::new() };
        origins.sort(chosen);
        let set = files.iter().find(|file| file.trust == Trust::Folder).and_then(|file| file.set(chosen));
        let providers = files.iter_mut().flat_map(|file| std::mem::take(&mut file.providers)).collect();
        let lower = files.into_iter().fold(profile, |upper, file| upper.over(file.plain.settings));
        let mut merged = upper.over(lower.clone());
        let has_own_max_cost = merged.money.max_cost.is_some();
        origins.lowered = folder::lowered_names(&merged.money, &caps);
        let idle = folder::lower(&mut merged.money, &caps);
        let notes = set.map(|set| [vec![set], idle].concat().join("; "));
        let notes = notes.into_iter().collect();
        Ok(Self { named, merged, lower, warnings, notes, providers, has_own_max_cost, origins })
    }
}

/// Removes the caps from the settings of a file in the working folder. The caps are kept separate, because the lowest
/// of all caps applies, not the cap of the highest layer.
fn folder_caps(profile: Option<&str>, files: &mut [FileLayer]) -> MoneyArgs {
    let mut caps = MoneyArgs::default();
    for file in files.iter_mut().filter(|file| file.trust == Trust::Folder) {
        let chosen = profile.and_then(|name| file.profiles.get_mut(name));
        let chosen = chosen.map(|chosen| folder::take_caps(&mut chosen.settings.money)).unwrap_or_default();
        caps = chosen.over(folder::take_caps(&mut file.plain.settings.money));
    }
    caps
}

/// A configuration file that the program looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilePlace {
    /// The path of the file. A relative path starts in the working folder.
    pub(crate) path: PathBuf,
    /// Where the file comes from, in words: from `--config`, from the working folder, or from the user's own folder.
    pub(crate) owner: &'static str,
    /// Whether the file exists.
    pub(crate) exists: bool,
}

/// Returns the configuration files that the program looks for, without reading them. A setting in a file overrides the
/// same setting in later files of the list.
///
/// # Errors
/// Fails if an environment variable of a setting has a wrong value.
pub(crate) fn files(flags: Settings, world: &World) -> Result<Vec<FilePlace>> {
    let (environment, _) = Reader::new().environment(world)?;
    let place = |(path, trust): (PathBuf, Trust)| FilePlace {
        exists: world.resolve(&path).exists(),
        owner: match trust {
            Trust::Named => "named with --config",
            Trust::Folder => "in the working folder",
            Trust::User => "your own",
        },
        path,
    };
    Ok(places(&flags.over(environment), world).into_iter().map(place).collect())
}

fn profiles(files: &[FileLayer]) -> Vec<ProfilePlace> {
    let of = |(name, table): (&String, &Table)| ProfilePlace { name: name.clone(), at: table.at.clone() };
    files.iter().flat_map(|file| file.profiles.iter().map(of)).collect()
}

/// Returns the paths of the files to read. A file overrides all files that come after it in the list.
fn places(named: &Settings, world: &World) -> Vec<(PathBuf, Trust)> {
    if let Some(path) = &named.place.config {
        return vec![(path.clone(), Trust::Named)];
    }
    let folder = (PathBuf::from(FILE_NAME), Trust::Folder);
    let user = world.config_folder().map(|folder| (folder.join(FILE_NAME), Trust::User));
    [Some(folder), user].into_iter().flatten().collect()
}

/// Returns the settings of the chosen profile, merged from all files that contain this profile.
fn profile(name: Option<&str>, files: &[FileLayer]) -> Result<Settings> {
    let Some(name) = name else { return Ok(Settings::default()) };
    let mut found = files.iter().filter_map(|file| file.profiles.get(name)).peekable();
    if found.peek().is_none() {
        let known: Vec<_> = files.iter().flat_map(|file| file.profiles.keys()).map(String::as_str).collect();
        let remedy = match (known.is_empty(), nearest(name, known.iter().copied())) {
            (true, _) => format!(
                "no configuration file has profiles; write one, below a heading such as [profile.night], in \
                 {FILE_NAME}"
            ),
            (false, Some(near)) => format!("the profiles are {}; did you mean {near}?", known.join(", ")),
            (false, None) => format!("choose {}", choice(&known)),
        };
        bail!("--profile: there is no profile {}; {remedy}", short(name));
    }
    Ok(found.fold(Settings::default(), |upper, lower| upper.over(lower.settings.clone())))
}
