//! Rejects a run because of its rows: if mistakes affect the whole run, or if rows have changed.

use std::path::Path;

use anyhow::{Result, bail};

use super::caps;
use super::new_run::NewRun;
use crate::cli::{faults, models, parts};
use crate::journal::{Manifest, Recovered, RequestShape, Start};
use crate::report::text::{count, plural};
use crate::runner::input::{Refusal, Survey, is_seekable};
use crate::source::Input;

impl NewRun<'_> {
    /// If a mistake affects all rows, rejects the run before a file is created.
    pub(super) fn refuse(&self, survey: &Survey) -> Result<()> {
        if let Some(duplicate) = &survey.duplicate {
            let are_paths = self.plan.inputs.iter().filter(|input| matches!(input, Input::Texts(_))).count() > 1;
            let remedy = if are_paths {
                "; the id of a text file is its path inside the given folder; give one folder that contains all of them"
            } else {
                ""
            };
            bail!("{duplicate}{remedy}");
        }
        if survey.rows > 0 && survey.unusable == survey.rows && self.start != Start::Resume {
            let (inputs, rows) = (self.input_names(), plural(survey.rows, "row", "rows"));
            let problem = faults::in_one_line(&survey.faults);
            bail!("nothing in {inputs} can be sent ({rows} read); {problem}");
        }
        if let Some(message) = models::refusal(&self.config, survey).filter(|_| self.start != Start::Resume) {
            bail!("{message}");
        }
        if self.config.max_cost.is_some()
            && let Some((model, _)) = survey.models.iter().find(|(_, sum)| sum.unpriced > 0)
        {
            bail!("--max-cost needs a price for {model:?}, but none is known; give a price file with --prices");
        }
        // The check of the budget ignores the money that earlier runs have spent, because this amount is not known yet.
        // If too little money is left, a later check stops the run before its first request.
        if let Some(fault) =
            caps::fault(self.config.max_cost, survey).filter(|_| self.start != Start::Resume && self.planning.is_none())
        {
            bail!("{fault}");
        }
        if self.config.source.strict
            && let Some(damage) = &survey.damage
        {
            bail!("--strict: {damage}; repair the file, or leave out --strict");
        }
        if self.config.source.strict
            && let Some(problem) = survey.faults.first()
        {
            bail!(
                "--strict: {} can't be sent; the first problem: {problem}; correct the input, or leave out --strict",
                plural(survey.unusable, "row", "rows")
            );
        }
        Ok(())
    }

    pub(super) fn price_guard(&self) -> Refusal {
        // An input that can be read twice is checked as a whole before the run. Rows of a pipe are checked one by one
        // during the run.
        if is_seekable(&self.plan) {
            return Box::new(|_| None);
        }
        let (has_cap, is_api) = (self.config.max_cost.is_some(), parts::is_api(&self.config));
        Box::new(move |planned| {
            let model = &planned.ask.model;
            if planned.ask.expense.is_none() && has_cap {
                return Some(format!("--max-cost needs a price for {model:?}; give it with --prices"));
            }
            if is_api { models::refusal_of_row(model) } else { None }
        })
    }

    pub(super) fn refuse_changed(&self, survey: &Survey, recovered: &Recovered, has_open_batches: bool) -> Result<()> {
        let results = self.paths.results.as_deref().unwrap_or(Path::new("-")).display();
        if survey.changed > 0 && self.config.rerun_changed && has_open_batches {
            bail!(
                "{} while batches are open that have an old request of theirs or of other rows; collect the batches first \
                 (claude-batch batches collect {results} --wait), then run this command again",
                plural(survey.changed, "row has changed", "rows have changed")
            );
        }
        if survey.changed > 0 && !self.config.rerun_changed {
            let first = survey.first_changed.as_deref().unwrap_or_default();
            let from = if has_open_batches { " (or will have one from an open batch)" } else { "" };
            bail!(
                "{} an answer in {results} to another request{from}, the first is {first}; --rerun-changed runs them again, \
                 --fresh starts over (the old results are kept), -o names another file",
                match survey.changed {
                    1 => "1 row has".to_owned(),
                    rows => format!("{} rows have", count(rows)),
                }
            );
        }
        let Some(Manifest { shape, rows, .. }) = &recovered.manifest else { return Ok(()) };
        // If no settings about rows are recorded, a run with --rerun uses another check (`refuse_unrecognized`).
        if !self.config.rerun.is_empty() && rows.is_empty() {
            return Ok(());
        }
        let ours = parts::manifest(&self.config, "", None).shape;
        let new = survey.to_send - survey.rerun.values().sum::<u64>();
        let would_pay_again = survey.unnamed > 0 && new > 0 && !recovered.done.is_empty();
        if *shape != ours && would_pay_again && self.start == Start::Continue && !self.config.rerun_changed {
            bail!(
                "the answers in {results} were asked for with other settings ({}), and rows without an id can't be \
                 distinguished from new rows; use --rerun-changed to run them again, --fresh to start over (the old \
                 results are kept), or -o to name another file",
                differences(shape, &ours)
            );
        }
        Ok(())
    }
}

fn differences(theirs: &RequestShape, ours: &RequestShape) -> String {
    let names = [
        ("--model", theirs.model != ours.model),
        ("--map-model", theirs.map_model != ours.map_model),
        ("--max-tokens", theirs.max_tokens != ours.max_tokens),
        ("--system", theirs.system_sha256 != ours.system_sha256),
        ("--param", theirs.params != ours.params),
        ("--api-version", theirs.api_version != ours.api_version),
        ("--beta", theirs.betas != ours.betas),
    ];
    names.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}
