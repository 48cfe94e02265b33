//! Reads the input before the run: counts the rows, finds mistakes in them, and estimates their cost.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use anyhow::Result;

use super::super::{answers, models};
use super::new_run::NewRun;
use crate::catalog::Catalog;
use crate::domain::{PoolId, PromptCache};
use crate::journal::{Recovered, RowState, Start};
use crate::runner::input::{Earlier, Survey, is_seekable, survey};
use crate::source::{self, Input};

impl NewRun<'_> {
    /// Reads the input if it can be read twice. This function is for runs that have nothing to resume. If rows contain
    /// mistakes, the run is rejected.
    pub(super) fn first_look(&self, catalog: &Arc<Catalog>) -> Result<Option<Survey>> {
        if self.is_resuming {
            return Ok(None);
        }
        if !is_seekable(&self.plan) && self.planning.is_none() {
            // If at least one input can't be read twice, the program only checks that all input files exist.
            for input in &self.plan.inputs {
                if let Input::File(path) = input {
                    source::identity(path)?;
                }
            }
            return Ok(None);
        }
        let earlier = Earlier {
            refuse: self.price_guard(),
            stored: self.stored.clone(),
            policy: answers::policy_of_reuse(&self.config.answers, catalog),
            in_batches: self.config.lane.uses_batches(),
            proven: self.counts_online_tests().then(HashSet::new),
            dedupes: self.config.dedupe,
            ..Earlier::none()
        };
        let survey = self.look(catalog, &earlier)?;
        self.refuse(&survey)?;
        Ok(Some(survey))
    }

    /// Reads the input again, because the results of earlier runs are known now. If there are no earlier results,
    /// returns the result of the first reading. Rejects a run whose rows contain mistakes. Returns `None` for an input
    /// that can be read only once.
    pub(super) fn second_look(
        &self,
        first: Option<Survey>,
        catalog: &Arc<Catalog>,
        earlier: &Earlier,
    ) -> Result<Option<Survey>> {
        let survey = match first {
            Some(first) if !earlier.knows_rows => return Ok(Some(first)),
            // A pipe can be read only once.
            Some(first) if !is_seekable(&self.plan) => return Ok(Some(first)),
            None if !self.is_resuming => return Ok(None),
            _ => self.look(catalog, earlier)?,
        };
        self.refuse(&survey)?;
        Ok(Some(survey))
    }

    /// Rejects rows that changed after they were answered, and prints the warnings of the survey.
    pub(super) fn accept_survey(
        &self,
        survey: Option<&Survey>,
        catalog: &Arc<Catalog>,
        recovered: &Recovered,
        has_open_batches: bool,
    ) -> Result<()> {
        let Some(survey) = survey else {
            self.say_reruns(None);
            return Ok(());
        };
        self.refuse_changed(survey, recovered, has_open_batches)?;
        self.refuse_unrecognized(survey, recovered)?;
        self.say_reruns(Some(survey));
        self.warn(&survey.warnings);
        let catalog = catalog.as_ref();
        models::notes(&self.config, catalog, survey).iter().for_each(|text| self.say(text));
        Ok(())
    }

    /// Returns what this run knows about the rows of earlier runs, and how this run treats these rows.
    pub(super) fn earlier(&self, recovered: &Recovered, catalog: &Arc<Catalog>) -> Earlier {
        let (done, reruns) = (recovered.done.clone(), recovered.reruns.clone());
        // If an earlier run with --rerun was interrupted, an answered row can be unfinished. `resume` continues an
        // unfinished row.
        let unfinished = if self.start == Start::Resume { recovered.unfinished.clone() } else { HashMap::new() };
        let begun = move |row| unfinished.get(&row).map(|unfinished| unfinished.message.quality);
        Earlier {
            known: Box::new(move |row, identity| match done.state(row, identity) {
                RowState::Done => reruns.quality(row).or_else(|| begun(row)).map_or(RowState::Done, RowState::Rerun),
                state => state,
            }),
            knows_rows: !recovered.done.is_empty() || !recovered.failed.is_empty(),
            reruns_failed: self.config.retry_failed || self.start == Start::Resume,
            reruns_changed: self.config.rerun_changed,
            refuse: self.price_guard(),
            stored: self.stored.clone(),
            unfinished: Arc::new(recovered.unfinished.keys().copied().collect()),
            policy: answers::policy_of_reuse(&self.config.answers, catalog),
            in_batches: self.config.lane.uses_batches(),
            proven: self.counts_online_tests().then(HashSet::new),
            dedupes: self.config.dedupe,
        }
    }

    /// Returns whether the survey counts the rows that a run with batches sends online, because each is the first of
    /// its kind.
    fn counts_online_tests(&self) -> bool {
        self.config.lane.uses_batches() || self.planning.is_some()
    }

    /// Reads the whole input once, and returns a survey of its rows.
    fn look(&self, catalog: &Arc<Catalog>, earlier: &Earlier) -> Result<Survey> {
        let mut planner = self.planner(catalog);
        if self.prompt_cache() != PromptCache::Off {
            planner = planner.finding_prefixes(&self.plan.options.fixed_starts());
        }
        let mut survey = survey(&self.plan, &mut planner, earlier, 0, &self.progress)?;
        // If a signal has interrupted the reading, the survey is incomplete and can't be used.
        self.check_interrupted()?;
        let limits_of = |pool: &PoolId| self.limits_at_start(pool, catalog);
        survey.decide_caching(self.prompt_cache(), catalog, &limits_of);
        Ok(survey)
    }
}
