//! Makes the output of a run from its results, if the results file is not the output itself.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};

use super::super::args::ResultsArgs;
use super::super::config::Config;
use super::super::config::recorded::output_taken_back;
use super::super::parts;
use super::super::projection::{Projection, Target, failed};
use super::super::results::{Files, made_words, run_of};
use super::new_run::NewRun;
use crate::catalog::Catalog;
use crate::export::{Order, Run, RunInput};
use crate::journal::{Disk, RealDisk, Start, fault_of_name, manifest_path, read_manifest, with_suffix};
use crate::plan::Repeats;
use crate::report::text::escape;
use crate::source::{self, Input};

impl NewRun<'_> {
    /// Checks that the output can be made from the results.
    pub(super) fn check_output(&self) -> Result<()> {
        let Some(projection) = &self.projection else {
            let form = &self.config.form;
            if !form.fields.is_empty() || form.order == Some(Order::Input) || form.raw_cells || form.null {
                self.say(
                    "note: the results file has all fields, in the order in which rows end; for other fields or \
                     another order, name an output with -o, or choose --output-format",
                );
            }
            return Ok(());
        };
        projection.request.check()?;
        let (inputs, options) = (self.plan.inputs.clone(), self.plan.options.clone());
        let input = RunInput { inputs, options, planner: None, has_settings: true };
        projection.request.check_columns(&input)?;
        let disk = RealDisk::new(self.config.owners);
        if let Target::File(path) = &projection.target {
            parts::check_not_input(&self.config, path)?;
        }
        projection.check(&self.paths, &parts::input_files(&self.config), &disk)
    }

    /// If the input must be read a second time to make the output, makes the run copy its input pipe to a file. Prints
    /// a note about the copy of the pipe.
    ///
    /// # Errors
    /// Fails if more than one input is a pipe.
    pub(super) fn keep_pipe(&mut self) -> Result<()> {
        let needs_input = self.projection.as_ref().is_some_and(|projection| projection.request.needs_input());
        let pipes = self.plan.inputs.iter().filter(|input| !source::is_seekable(input)).count();
        let (true, 1.., Some(spool)) = (needs_input, pipes, self.paths.spool()) else { return Ok(()) };
        if pipes > 1 {
            bail!(
                "the output needs the columns or the order of the input, so at most one input can be a pipe; name files"
            );
        }
        if !self.config.dry_run {
            self.say(&format!(
                "note: the output needs the input's columns or order, so the pipe is copied to {}",
                escape(&spool.display().to_string())
            ));
            self.plan.options.spool = Some(spool);
        }
        Ok(())
    }

    /// Makes the output from the results. A row that has neither an answer nor an entry in the error log is left out.
    pub(super) fn make_output(&self, catalog: &Arc<Catalog>, repeats: Option<&Repeats>) -> Result<()> {
        let Some(projection) = self.projection.as_ref().filter(|_| !self.config.dry_run) else { return Ok(()) };
        let disk = RealDisk::new(self.config.owners);
        let run = match self.start {
            Start::Resume => self.resumed_run(&disk)?,
            Start::Continue | Start::Fresh => self.own_run(catalog, repeats),
        };
        let results = self.paths.results.as_deref();
        let made = projection.make(&disk, &[run]).map_err(|error| failed(error, results))?;
        if projection.target != Target::Stdout {
            self.say(&made_words(projection, made));
        }
        Ok(())
    }

    fn own_run(&self, catalog: &Arc<Catalog>, repeats: Option<&Repeats>) -> Run {
        let (request, dialect, catalog) = (self.config.request.clone(), self.config.dialect.clone(), catalog.clone());
        let provider = self.config.provider.name.clone();
        // The output is made from all rows of the input. With --limit, the survey did not see the later rows, so it
        // does not know which of them are equal to earlier rows.
        let repeats = repeats.filter(|_| self.config.source.limit.is_none()).cloned();
        let planner = move || {
            let planner = parts::planner(&provider, &request, &dialect, &catalog);
            match &repeats {
                Some(repeats) => planner.with_repeats(repeats.clone()),
                None => planner,
            }
        };
        let again = |input: &Input| match (&self.plan.options.spool, source::is_seekable(input)) {
            (Some(path), false) => Input::Spooled { name: input.name(), path: path.clone() },
            _ => input.clone(),
        };
        let input = RunInput {
            inputs: self.plan.inputs.iter().map(again).collect(),
            options: self.plan.options.clone(),
            planner: Some(Box::new(planner)),
            has_settings: true,
        };
        let schema = self.config.answers.schema.as_ref();
        Run {
            results: self.paths.results.clone(),
            errors: Some(self.paths.errors.clone()),
            input: Some(input),
            json_fields: schema.map(|schema| schema.fields().to_vec()).unwrap_or_default(),
        }
    }

    /// Returns the files and the input of the earlier run whose failed rows this run has sent again. The run folder
    /// records the input of that earlier run.
    fn resumed_run(&self, disk: &dyn Disk) -> Result<Run> {
        let files = Files { results: self.paths.results.clone(), errors: Some(self.paths.errors.clone()), named: None };
        let (run, notes) = run_of(files, &ResultsArgs::default(), self.world, disk)?;
        self.note(&notes);
        Ok(run)
    }
}

/// Returns the output that is recorded in the run folder of a results file. The command `resume` writes a new version
/// of the recorded output.
///
/// # Errors
/// Fails if the run folder can't be read, or if it contains an output that this program never records.
pub(super) fn recorded_output(results: Option<&Path>, disk: &dyn Disk) -> Result<Option<Projection>> {
    let Some(results) = results else { return Ok(None) };
    let folder = with_suffix(results, ".run");
    let Some(output) = read_manifest(&folder, disk)?.and_then(|manifest| manifest.output) else { return Ok(None) };
    let path = manifest_path(&folder).display().to_string();
    if let Some(fault) = fault_of_name(&output.name) {
        bail!("{path}: output.name is {fault}; remove or correct it");
    }
    let settings = output_taken_back(&output.settings, &path)?;
    let form = Config::form_of(settings.form);
    let target = Target::File(results.with_file_name(&output.name));
    Projection::of_results(&form, target, None, false).map(Some)
}
