//! Handles runs with `--rerun`. A run with `--rerun` sends a row again if its answer was truncated, or if the model
//! refused to answer.
//!
//! The rows of the earlier run are recognized with the settings that it recorded ([`Config::of_rerun`]). The flags
//! `--model`, `--max-tokens` and `--system` of this call replace the parameters only of the rows that are sent again.
//! An old answer stays until there is a newer one.

use std::path::Path;

use anyhow::{Result, bail};

use super::new_run::NewRun;
use crate::catalog::Catalog;
use crate::cli::args::{RunArgs, Settings};
use crate::cli::config::Config;
use crate::cli::config::recorded::{recorded_rows, rows_taken_back, taken_back};
use crate::cli::config::world::World;
use crate::domain::Quality;
use crate::journal::{RealDisk, Recovered, RunPaths, Start, manifest_path, read_manifest};
use crate::plan::{Overridden, Overrides, Planner, RequestDefaults};
use crate::report::PrintedCommand;
use crate::report::text::{count, escape, plural};
use crate::runner::input::Survey;

/// The factor by which `max_tokens` is raised for truncated answers.
const MORE: u32 = 4;

/// Returns the new `max_tokens` for rows whose answers were truncated at `before` tokens. The result is the lower of
/// two numbers: four times `before`, and the highest number that all these models accept.
pub(super) fn raised<'a>(before: u32, models: impl Iterator<Item = &'a str>, catalog: &Catalog) -> u32 {
    let accepted = models.filter_map(|name| Some(catalog.model(name)?.max_output_tokens)).min();
    before.saturating_mul(MORE).min(accepted.unwrap_or(u32::MAX))
}

/// Returns the settings about rows, as the earlier run with the same files recorded them; `None` if the settings are
/// not known.
///
/// # Errors
/// Fails if there is no earlier run, or if its run folder can't be read.
pub(super) fn rows_of_earlier_run(config: &Config, paths: &RunPaths) -> Result<Option<Settings>> {
    let Some(results) = &paths.results else {
        bail!("--rerun asks again for answers of an earlier run; name its results file with -o");
    };
    if !results.metadata().is_ok_and(|file| file.len() > 0) {
        bail!(
            "--rerun asks again for answers of an earlier run, but there are no answers in {}; leave out --rerun, or \
             name the results with -o",
            results.display()
        );
    }
    let Some(folder) = paths.folder() else { return Ok(None) };
    let Some(manifest) = read_manifest(&folder, &RealDisk::new(config.owners))? else { return Ok(None) };
    if manifest.rows.is_empty() {
        return Ok(None);
    }
    let name = manifest_path(&folder).display().to_string();
    let answers = taken_back(&manifest.settings, &name)?.answers;
    Ok(Some(Settings { answers, ..rows_taken_back(&manifest.rows, &name)? }))
}

/// Returns the settings of a run with `--rerun`. `config` has the settings of this call, but not the settings that the
/// earlier run recorded.
///
/// # Errors
/// Fails in the same cases as [`rows_of_earlier_run`] and [`Config::of_rerun`].
pub(super) fn config(config: &Config, args: &RunArgs, paths: &RunPaths, world: &World) -> Result<Config> {
    let rows = rows_of_earlier_run(config, paths)?;
    Config::of_rerun(args, rows.as_ref(), world)
}

impl NewRun<'_> {
    /// Returns the planner, changed so that parameters of this call replace parameters of rows.
    pub(super) fn with_overrides(&self, planner: Planner) -> Planner {
        let of = if self.start == Start::Resume { Overridden::All } else { Overridden::Reruns };
        planner.with_overrides(Overrides::of(&self.config.overrides), of)
    }

    /// Rejects a run with `--rerun` if the run does not recognize the rows of the earlier run. Such a run would pay for
    /// these rows again.
    pub(super) fn refuse_unrecognized(&self, survey: &Survey, recovered: &Recovered) -> Result<()> {
        let rerun: u64 = survey.rerun.values().sum();
        let (known, new) = (survey.done + rerun, survey.to_send.saturating_sub(rerun));
        let unused = (recovered.done.len() as u64).saturating_sub(known);
        if self.config.rerun.is_empty()
            || self.config.rerun_changed
            || survey.changed > 0
            || unused == 0
            || new <= known
        {
            return Ok(());
        }
        let results = self.paths.results.as_deref().unwrap_or(Path::new("-")).display();
        bail!(
            "--rerun: {} of the input and {} in {results} do not belong together, so nearly all answers would be paid \
             for again; give the same flags as in the earlier run (such as --template, --param, --id and --format), \
             and change only --model, --system and --max-tokens",
            plural(new, "row", "rows"),
            plural(unused, "answer", "answers")
        );
    }

    /// Prints which answers the run will replace by new answers. Also prints the flags of this command that apply to
    /// the new requests.
    pub(super) fn say_reruns(&self, survey: Option<&Survey>) {
        let names = flags(&self.config.overrides).join(", ");
        if self.start == Start::Resume {
            if !names.is_empty() {
                self.say(&format!(
                    "{names} of this command replaces the values in the rows; the keys of the rows stay the same"
                ));
            }
            return;
        }
        if self.config.rerun.is_empty() {
            return;
        }
        let Some(survey) = survey else {
            self.say(&format!(
                "rows of the pipe whose answer in the results is {} are sent again",
                kinds(&self.config.rerun, " or ")
            ));
            return;
        };
        let rows: u64 = survey.rerun.values().sum();
        if rows > 0 {
            let answers = survey.rerun.iter().map(|(quality, rows)| {
                let (one, several) = (format!("{} answer", quality.name()), format!("{} answers", quality.name()));
                plural(*rows, &one, &several)
            });
            let words = answers.collect::<Vec<_>>().join(" and ");
            let are = if rows == 1 { "is" } else { "are" };
            let with = if names.is_empty() { String::new() } else { format!(", with {names} of this command") };
            let online = if self.config.lane.uses_batches() { ", online" } else { "" };
            self.say(&format!(
                "{words} {are} asked for again{online}{with}; each answer is kept until there is a newer one"
            ));
        }
        let others = survey.to_send - rows;
        if others > 0 && !names.is_empty() {
            self.say(&format!(
                "note: {} no answer yet: {names} has no effect on such rows, which are sent with the settings of the \
                 earlier run",
                match others {
                    1 => "1 row has".to_owned(),
                    rows => format!("{} rows have", count(rows)),
                }
            ));
        }
    }

    /// Returns the command that runs rows with truncated answers again, with a higher `max_tokens`. The new value is
    /// the lower of two values: four times the old value, and the highest value that all models of the run accept.
    /// Returns `None` if the new value would not be higher than the old value, or if the command would not recognize
    /// the rows.
    pub(super) fn longer_command(&self, survey: &Survey, catalog: &Catalog) -> Option<PrintedCommand> {
        let is_recorded = self.paths.results.is_some() && !recorded_rows(&self.config).is_empty();
        if !is_recorded || self.start == Start::Resume || self.is_collecting {
            return None;
        }
        let before = survey.models.values().map(|sum| sum.max_tokens).max()?;
        let tokens = raised(before, survey.models.keys().map(|name| &**name), catalog);
        self.commands.longer(tokens).filter(|_| tokens > before)
    }

    /// Returns the message which says that no row has to be run again. Returns `None` for a run without `--rerun`.
    pub(super) fn nothing_to_rerun(&self) -> Option<String> {
        let kinds = kinds(&self.config.rerun, " or ");
        (!self.config.rerun.is_empty()).then(|| format!("nothing to do: no answer is {kinds}"))
    }
}

/// Returns the names of the kinds of answers, joined by `between`.
fn kinds(qualities: &[Quality], between: &str) -> String {
    qualities.iter().map(|quality| quality.name()).collect::<Vec<_>>().join(between)
}

/// Returns the flags that replace parameters of rows. The result includes the values of `--model` and `--max-tokens`,
/// but not the value of `--system`.
fn flags(overrides: &RequestDefaults) -> Vec<String> {
    let model = overrides.model.as_ref().map(|model| format!("--model {}", escape(model)));
    let system = overrides.system_text().map(|_| "--system".to_owned());
    let tokens = overrides.max_tokens.map(|tokens| format!("--max-tokens {tokens}"));
    [model, system, tokens].into_iter().flatten().collect()
}
