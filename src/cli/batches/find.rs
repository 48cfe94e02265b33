//! Finds the run that the user names, and the batches in its log.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::batches::{Chapter, folder_of_batches, history};
use crate::cli::args::Settings;
use crate::cli::args::providers::{Fallbacks, ProviderArgs};
use crate::cli::below::folders_below;
use crate::cli::config::Config;
use crate::cli::config::recorded::recorded_settings;
use crate::cli::config::world::World;
use crate::cli::results::{Files, find};
use crate::cli::{say, server};
use crate::journal::{Disk, RealDisk, RunPaths, read_manifest, with_suffix};
use crate::report::text::escape;

/// A run with batches.
pub(crate) struct RunWithBatches {
    /// The results file of the run.
    pub(crate) results: PathBuf,
    /// The error log of the run.
    pub(crate) errors: PathBuf,
    /// The settings for the command `batches`. The flags and the environment override the settings that the run
    /// recorded.
    pub(crate) config: Config,
    /// Every batch of the run.
    pub(crate) chapters: Vec<Chapter>,
    /// The settings that the run recorded.
    pub(crate) recorded: Settings,
    /// The server of the run; `None` if the run folder is lost.
    origin: Option<String>,
}

/// Removes the fallback providers from the settings. Only the first provider of a run has batches, so the settings of
/// the other providers are not needed.
pub(crate) fn without_fallback(settings: Settings) -> Settings {
    let providers = ProviderArgs { fallback: Some(Fallbacks::default()), ..settings.providers };
    Settings { providers, ..settings }
}

impl RunWithBatches {
    /// Finds the run that the user names. Prints the warnings about the settings.
    ///
    /// # Errors
    /// Fails if the run does not exist, if it has no batches, or if its files can't be read.
    pub(crate) fn find(run: &Path, flags: Settings, world: &World) -> Result<Self> {
        let disk = RealDisk::new(Config::of_settings(flags.clone(), world)?.owners);
        let (results, errors) = files_of(run, &disk)?;
        let folder = with_suffix(&results, ".run");
        let recorded = recorded_settings(&folder, &disk)?;
        let config = Config::of_recorded(without_fallback(flags), recorded.clone(), world)?;
        say_settings(&config);
        let origin = read_manifest(&folder, &disk)?.map(|manifest| manifest.origin);
        let chapters = history(&disk, &results)?.filter(|chapters| !chapters.is_empty()).with_context(|| {
            format!(
                "{}: this run has no batches (looked for {}); batches are made by run --lane batch or --lane auto",
                results.display(),
                folder_of_batches(&results).join("log.jsonl").display()
            )
        })?;
        Ok(Self { results, errors, config, chapters, recorded, origin })
    }

    /// Returns the reason why the server in the settings does not have the batches of the run; `None` if the server has
    /// these batches.
    ///
    /// # Errors
    /// Fails if the address of the API is malformed.
    pub(crate) fn is_elsewhere(&self) -> Result<Option<String>> {
        if self.config.simulate {
            return Ok(Some(
                "they were batches of the built-in simulator, which forgets its batches when a run ends".to_owned(),
            ));
        }
        let ours = server::origin(&self.config)?;
        Ok(self.origin.as_ref().filter(|theirs| **theirs != ours).map(|theirs| {
            format!(
                "they are at {}, but the settings name {}; name the right server with --base-url",
                escape(theirs),
                escape(&ours)
            )
        }))
    }
}

/// Prints the warnings and notes about the settings.
pub(super) fn say_settings(config: &Config) {
    config.warnings.iter().for_each(|text| say::err(&format!("warning: {}", escape(text))));
    config.notes.iter().for_each(|text| say::err(&format!("note: {}", escape(text))));
}

/// Returns the results file and the error log of the run that the user names. The user can also name the folder with
/// the batches of the run.
///
/// # Errors
/// Fails if the run does not exist.
pub(crate) fn files_of(run: &Path, disk: &dyn Disk) -> Result<(PathBuf, PathBuf)> {
    let with_log = |results: PathBuf| {
        let errors = RunPaths::errors_beside(&results);
        (results, errors)
    };
    if folder_of_batches(run).is_dir() {
        return Ok(with_log(run.to_owned()));
    }
    if let Some(results) = results_of_batches(run).filter(|_| run.is_dir()) {
        return Ok(with_log(results));
    }
    let Files { results, errors, .. } = find(run, disk)?;
    match (results, errors) {
        (Some(results), Some(errors)) => Ok((results, errors)),
        (Some(results), None) => Ok(with_log(results)),
        (None, _) => bail!("{}: its results went to standard output, and such a run has no batches", run.display()),
    }
}

/// Returns the results file of a folder of batches.
fn results_of_batches(folder: &Path) -> Option<PathBuf> {
    let name = folder.file_name()?.to_str()?.strip_suffix(".batches")?;
    (!name.is_empty()).then(|| folder.with_file_name(name))
}

/// Returns the batches of all runs below the working folder, each with the results file of its run. Logs that can't be
/// read are left out without a message, because the user did not name their runs.
pub(super) fn batches_below(world: &World, disk: &dyn Disk) -> Vec<(PathBuf, Chapter)> {
    let folders = folders_below(&world.working_folder, "batches");
    let runs = folders.iter().filter_map(|folder| results_of_batches(folder));
    let read = |results: PathBuf| {
        let chapters = history(disk, &results).ok().flatten().unwrap_or_default();
        chapters.into_iter().map(move |chapter| (results.clone(), chapter))
    };
    runs.flat_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_batches_names_its_results() {
        let results = |folder: &str| results_of_batches(Path::new(folder));

        assert_eq!(results("d/o.jsonl.batches"), Some("d/o.jsonl".into()));
        assert_eq!((results(".batches"), results("o.jsonl")), (None, None));
    }
}
