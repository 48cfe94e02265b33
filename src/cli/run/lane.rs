//! The batch lane (the part of a run that sends rows in batches): opens its files, and makes its parts.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};

use super::super::answers;
use super::super::parts;
use super::new_run::NewRun;
use crate::batches::{BATCH_BYTES, BatchesError, Demand, Lane, LaneSettings, Opened, QUEUE, folder_of_batches};
use crate::catalog::Catalog;
use crate::clock::{Instant, RunClock};
use crate::domain::{Identity, Job, LaneChoice, ModelClass, Planned, PoolId, PromptCache, RowId, Speed};
use crate::journal::{RealDisk, Recovered, RowState, Start};
use crate::plan::{Rejected, StreamCensus};
use crate::report::text::{escape, plural};
use crate::runner::LaneParts;
use crate::runner::input::{Earlier, Survey};

/// A function that plans a row again after the row was read back from the files of a batch.
type Replan = Box<dyn FnMut(Job) -> Result<Planned, Box<Rejected>> + Send>;

impl NewRun<'_> {
    /// Opens the files that describe the batches of earlier runs. Returns `None` if results go to standard output. In a
    /// dry run, nothing is changed.
    pub(super) fn open_batches(&self) -> Result<Option<Opened>> {
        let Some(results) = &self.paths.results else { return Ok(None) };
        let disk = Arc::new(RealDisk::new(self.config.owners));
        if self.config.dry_run {
            return Ok(Some(Opened::look(disk, results)?));
        }
        let mut opened = Opened::new(disk, results)?;
        if opened.open_batches() == 0 {
            return Ok(Some(opened));
        }
        self.check_batches(&opened)?;
        let open = opened.open_batches();
        let batches = plural(open, "batch", "batches");
        let (are, them) = if open == 1 { ("is", "it") } else { ("are", "them") };
        if self.config.simulate {
            opened.forget()?;
            self.say(&format!(
                "{batches} of an earlier simulated run {are} gone with its simulator: the rows are sent again"
            ));
        } else {
            let which = match (self.config.detach, open) {
                (false, _) => them.to_owned(),
                (true, 1) => "it, if it has ended".to_owned(),
                (true, _) => "those that have ended".to_owned(),
            };
            self.say(&format!("{batches} of an earlier run {are} open: this run collects {which}"));
        }
        Ok(Some(opened))
    }

    /// Rejects a run that starts over or uses another server, if this run would abandon open batches. This check is
    /// made before any file is changed.
    pub(super) fn look_at_batches(&self) -> Result<()> {
        let Some(results) = &self.paths.results else { return Ok(()) };
        match Opened::look(Arc::new(RealDisk::new(self.config.owners)), results) {
            Ok(opened) => self.check_batches(&opened),
            // A disk error is ignored, because the run reports it later when it opens its files.
            Err(BatchesError::Disk(_)) if self.start != Start::Fresh => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn check_batches(&self, opened: &Opened) -> Result<()> {
        let open = opened.open_batches();
        let batches = plural(open, "batch", "batches");
        let (are, them) = if open == 1 { ("is", "it") } else { ("are", "them") };
        if open == 0 {
            return Ok(());
        }
        if let Some(theirs) = opened.origins().find(|theirs| !theirs.is_empty() && *theirs != self.origin) {
            bail!(
                "{batches} of an earlier run {are} open at {}, and this run sends to {}: collect {them} there first, or \
                 name another results file with -o",
                escape(theirs),
                escape(&self.origin)
            );
        }
        if self.start == Start::Fresh && !self.config.simulate {
            bail!(
                "{batches} of an earlier run {are} open and paid for: the same command without --fresh collects {them}, \
                 and {} stops {them}",
                self.commands.batches("cancel", self.paths.results.as_deref().unwrap_or(Path::new("-")))
            );
        }
        Ok(())
    }

    /// Returns the known rows, among them the rows in open batches. Adds to `recovered` the cost of batches whose fate
    /// is not known.
    ///
    /// If a labeled row is in an open batch and its request has changed, the row is not sent. The answer to the old
    /// request must be collected before the new request can be sent.
    pub(super) fn note_submitted(
        &self,
        opened: Option<&Opened>,
        recovered: &mut Recovered,
        catalog: &Arc<Catalog>,
    ) -> Result<Earlier> {
        let Some(opened) = opened else { return Ok(self.earlier(recovered, catalog)) };
        let (rows, money) = opened.lost();
        recovered.totals.maybe_paid += rows;
        recovered.totals.maybe_spend += money;
        let mut earlier = self.earlier(recovered, catalog);
        if let Some(proven) = &mut earlier.proven {
            proven.clone_from(opened.proven());
        }
        let (rows, names) = opened.rows_and_names()?;
        if rows.is_empty() {
            return Ok(earlier);
        }
        let Earlier { known, .. } = earlier;
        let known = Box::new(move |row: RowId, identity: &Identity| match known(row, identity) {
            // Some rows of an open batch may already be done, if a run was killed while it was collecting the batch.
            state @ (RowState::Done | RowState::Rerun(_)) => state,
            _ if rows.contains(&row) => RowState::Submitted,
            state => match names.get(&row.label).filter(|_| *identity == Identity::Named) {
                Some(old) => RowState::Changed { old_key: old.key_part() },
                None => state,
            },
        });
        Ok(Earlier { known, knows_rows: true, reruns_changed: false, ..earlier })
    }

    /// Returns the parts of the batch lane; `None` if the run has no open batches and sends no rows in batches.
    pub(super) fn lane(
        &self,
        opened: Option<Opened>,
        recovered: &Recovered,
        catalog: &Arc<Catalog>,
        survey: Option<&Survey>,
        clock: RunClock,
    ) -> Option<LaneParts> {
        let opened = opened?;
        let choice = self.config.lane;
        if choice == LaneChoice::Online && opened.open_batches() == 0 {
            return None;
        }
        let table = catalog.tier_table(self.config.tier);
        let mut unread = Demand::default();
        for group in survey.iter().flat_map(|survey| survey.load.groups()) {
            let input = group.input_tokens.likely as f64;
            unread.add_rows(&group.pool, group.rows as f64, input, group.max_tokens as f64);
        }
        let settings = LaneSettings {
            choice,
            deadline: self.deadline(clock),
            unread,
            batch_rows: self.config.batch_rows.get(),
            batch_bytes: BATCH_BYTES,
            queue: table.map_or(QUEUE, |table| u64::from(table.batch_queue)),
            detach: self.config.detach,
            max_retries: self.config.max_retries,
            nonce: nonce(),
            origin: self.origin.clone(),
        };
        // A survey does not include the rows in the batches of earlier runs.
        let replan = self.replan(catalog, survey.filter(|_| opened.open_batches() == 0), clock);
        let route = PoolId {
            provider: self.config.provider.name.clone(),
            account: "".into(),
            class: ModelClass("batches".into()),
            speed: Speed::Standard,
        };
        Some(LaneParts {
            lane: Lane::new(settings, opened, recovered.done.clone(), clock),
            replan,
            route: route.into(),
            leaves_rows: false,
        })
    }

    /// Returns the function that plans a row again. A row that is sent in another batch gets the same request as
    /// before. A row that is sent online gets cache marks. `survey` is the survey that contains the row; `None` if
    /// there is none.
    fn replan(&self, catalog: &Arc<Catalog>, survey: Option<&Survey>, clock: RunClock) -> Replan {
        let mut planner =
            parts::planner(&self.config.provider.name, &self.config.request, &self.config.dialect, catalog)
                .with_shaping(answers::shaping(&self.config.answers, catalog, self.config.provider.features));
        let (cache, fixed_starts) = (self.prompt_cache(), self.plan.options.fixed_starts());
        if cache == PromptCache::Off {
            return Box::new(move |job| planner.measure_again(job));
        }
        if let Some(survey) = survey {
            let mut planner = planner.with_caching(survey.caching.clone(), &fixed_starts);
            return Box::new(move |job| planner.measure_again(job));
        }
        let (mut planner, mut census) = (planner.finding_prefixes(&fixed_starts), StreamCensus::of_batches(cache));
        Box::new(move |job| {
            let mut planned = planner.measure_again(job)?;
            let now = u32::try_from(clock.now().since(Instant::ZERO).as_secs()).unwrap_or(u32::MAX);
            if let Some(prefixes) = planned.ask.prefixes.clone() {
                let before = census.add(&prefixes, now);
                census.mark(&mut planned.ask, &before);
            }
            Ok(planned)
        })
    }

    /// Prints a note if the user chose a lifetime for the prompt cache, because this choice has no effect on requests
    /// in batches.
    pub(super) fn note_cache(&self) {
        let is_asked = matches!(self.config.prompt_cache, PromptCache::FiveMinutes | PromptCache::Hour);
        if is_asked && self.config.lane.uses_batches() {
            self.say(&format!(
                "note: --prompt-cache {} adds no cache marks to requests in batches, because the hit rate of the cache \
                 in batches is not known; cache marks that rows contain are sent",
                self.config.prompt_cache.name()
            ));
        }
    }

    fn deadline(&self, clock: RunClock) -> Option<Instant> {
        let left = self.config.deadline?.duration_since(clock.wall(clock.now()));
        Some(clock.now() + left.try_into().unwrap_or_default())
    }

    /// Returns whether the folder of batches exists.
    pub(super) fn has_batches(results: &Path) -> bool {
        folder_of_batches(results).is_dir()
    }
}

/// Returns eight random letters and digits.
pub(super) fn nonce() -> String {
    let mut random = fastrand::Rng::new();
    std::iter::repeat_with(|| random.alphanumeric().to_ascii_lowercase()).take(8).collect()
}

#[cfg(test)]
mod tests {
    use crate::domain::{Params, Request, Terms};
    use crate::provider::Provider;
    use crate::provider::anthropic::Anthropic;

    #[test]
    fn the_plan_and_the_provider_agree_on_the_rows_that_batches_refuse() {
        let provider = Anthropic::new("2023-06-01", &[], http::HeaderMap::new()).expect("a provider");
        let api = provider.batches().expect("the API has batches");
        for member in [
            r#""temperature":1"#,
            r#""speed":"fast""#,
            r#""speed":"standard""#,
            r#""speed":null"#,
            r#""fallbacks":"default""#,
            r#""fallbacks":null"#,
            r#""thread":{"id":"t"}"#,
            r#""max_tokens":0"#,
            r#""max_tokens":1"#,
            r#""billing_policy":{"bill_to":"user_profile"}"#,
            r#""billing_policy":{"bill_to":"organization"}"#,
            r#""metadata":{"speed":"fast"}"#,
        ] {
            let params = Params::of_object(&format!("{{{member}}}")).expect("an object");

            let refused = api.refused_in_batches(&Request::of(&params));

            assert_eq!(Terms::of(&params).is_online_only, refused.is_some(), "{member}: {refused:?}");
        }
    }
}
