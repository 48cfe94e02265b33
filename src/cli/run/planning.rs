//! Forecasts a run before its first request. The first line of a run shows the forecast, and so do a dry run and
//! `plan`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::{Timestamp, ZonedDateTime};

use super::super::exit::Exit;
use super::super::plan::{Counted, Learned, Plan, Rows, count, document, learn, words};
use super::super::purse::Purse;
use super::super::results::find;
use super::super::{answer_notes, parts, say};
use super::new_run::NewRun;
use crate::catalog::{Catalog, Preset};
use crate::clock::RunClock;
use crate::domain::{LaneChoice, LearnedPool, PoolId, RateLimits, Tier};
use crate::forecast::{Forecast, InBatches, Question, Setting, known_bursts};
use crate::journal::{Disk, RealDisk, Recovered};
use crate::report::progress::terminal_width;
use crate::report::text::{escape, plural};
use crate::runner::input::Survey;
use crate::scheduler::Window;

/// For the first line that a run prints, at most this number of rows is simulated on virtual time. The number is small,
/// so that the forecast does not delay the run.
const ROWS_OF_RUN: usize = 4_000;
/// For a plan, at most this number of rows is simulated on virtual time.
const ROWS_OF_PLAN: usize = 30_000;

impl NewRun<'_> {
    /// Forecasts the cost and time of the rows to be sent. `recovered` is the state that earlier runs have left in the
    /// same results; `None` before the results are read.
    pub(super) fn forecast(&self, survey: &Survey, catalog: &Arc<Catalog>, recovered: Option<&Recovered>) -> Forecast {
        let mut learned = Learned::default();
        if recovered.is_some() {
            // An error is ignored: without the earlier answers, the estimate is less exact, but still useful.
            let _ = self.learn_from_results(&mut learned, catalog);
        }
        self.with_question(survey, catalog, &learned, &Counted::default(), ROWS_OF_RUN, |question| {
            let online = question.forecast();
            match self.config.lane.uses_batches() {
                true => {
                    self.in_lane(&online, question.in_batches(self.batch_queue(catalog)).as_ref(), Timestamp::now())
                }
                false => online,
            }
        })
    }

    /// Returns the forecast for the chosen lane (online, batch or auto).
    fn in_lane(&self, online: &Forecast, batches: Option<&InBatches>, now: Timestamp) -> Forecast {
        let left = self.config.deadline.map(|deadline| deadline.duration_since(now).unsigned_abs());
        match (self.config.lane, batches) {
            (LaneChoice::Online, _) | (_, None) => online.clone(),
            (LaneChoice::Batch, Some(batches)) => online.in_batches(batches, None),
            (LaneChoice::Auto, Some(batches)) => online.in_batches(batches, left),
        }
    }

    /// Returns how many rows can be in batches at the same time; `None` without a tier.
    fn batch_queue(&self, catalog: &Catalog) -> Option<u32> {
        catalog.tier_table(self.config.tier).map(|table| table.batch_queue)
    }

    /// Ends the command `plan`: prints the plan, and returns the exit code.
    pub(super) fn end_plan(&self, survey: Option<&Survey>, catalog: &Arc<Catalog>, purse: Purse) -> Result<Exit> {
        let Some(asked) = &self.planning else { bail!("a plan was asked for") };
        let Some(survey) = survey else { bail!("the input of a plan is always read") };
        let now = ZonedDateTime::now();
        let mut learned = Learned::default();
        self.learn_from_results(&mut learned, catalog)?;
        let disk = self.disk();
        for path in &asked.history {
            let results = find(path, &disk).context("--history")?.results;
            let has_answers = match &results {
                Some(results) => learn(&mut learned, results, &self.origin, catalog, &disk)?,
                None => false,
            };
            if !has_answers {
                bail!(
                    "--history {}: there are no answers yet; name the results of a run that has some",
                    path.display()
                );
            }
        }
        learned.warnings().for_each(|warning| self.say(&warning));
        self.note_estimated_provider();
        let counted = self.count(asked.count_tokens, survey, catalog)?;
        self.check_interrupted()?;
        let batch_queue = self.batch_queue(catalog);
        let (online, batches, alternatives) =
            self.with_question(survey, catalog, &learned, &counted, ROWS_OF_PLAN, |question| {
                let online = question.forecast();
                let has_batches = self.config.provider.features.batches;
                let batches = if has_batches { question.in_batches(batch_queue) } else { None };
                if let Some(batches) = batches.as_ref().filter(|_| self.config.lane.uses_batches()) {
                    let alternatives = question.alternatives_in_batches(&online, batches, now.date());
                    return (online, Some(batches.clone()), alternatives);
                }
                let tiers = self.other_tiers();
                let pools: Vec<_> = survey.load.groups().iter().map(|group| group.pool.clone()).collect();
                // A tier with the same limits as the current tier is left out, for example if the user has set all
                // limits.
                let is_other = |limits: &dyn Fn(&PoolId) -> RateLimits| {
                    pools.iter().any(|pool| limits(pool) != (question.setting.limits_of)(pool))
                };
                let by_hand = self.config.limits;
                let of_tier = |tier: Tier| move |pool: &PoolId| by_hand.or(catalog.limits(tier, &pool.class).limits);
                let limits: Vec<_> = tiers.iter().map(|tier| of_tier(*tier)).collect();
                let tiers: Vec<_> = tiers
                    .iter()
                    .zip(&limits)
                    .map(|(tier, limits)| (*tier, limits as &dyn Fn(&PoolId) -> RateLimits))
                    .filter(|(_, limits)| is_other(limits))
                    .collect();
                let mut alternatives = question.alternatives(&online, &tiers, now.date());
                alternatives.extend(batches.as_ref().map(InBatches::alternative));
                (online, batches, alternatives)
            });
        let forecast = self.in_lane(&online, batches.as_ref(), now.timestamp());
        let plan = Plan {
            inputs: self.input_names(),
            rows: Rows {
                total: survey.rows,
                to_send: survey.to_send,
                done: survey.done,
                submitted: survey.submitted,
                reused: survey.reused,
                copied: survey.copied,
                repeated: survey.repeated,
                failed_before: survey.failed_before,
                asked_again: survey.rerun.values().sum(),
                unusable: survey.unusable,
            },
            follow_ups: answer_notes::follow_up_words(&self.config.answers, forecast.totals.follow_ups),
            forecast,
            online,
            batches,
            lane: self.config.lane,
            batch_rows: self.config.batch_rows,
            batch_queue,
            alternatives,
            learned: &learned,
            counted: counted.counts.len() as u64,
            main_pool: survey.load.groups().iter().max_by_key(|group| group.rows).map(|group| group.pool.clone()),
            tier: self.config.tier,
            limits_from: self.limits_from(catalog, &learned),
            catalog,
            caching: &survey.caching,
            prompt_cache: self.prompt_cache(),
            load: &survey.load,
            purse,
            max_cost: self.config.max_cost,
            max_requests: self.config.max_requests,
            max_time: self.config.max_time,
            retired: retired(catalog, survey, now.date()),
            deadline: self.config.deadline,
            now,
        };
        if let Some(fault) = &counted.fault {
            let missing = (asked.count_tokens as u64).min(survey.to_send) - plan.counted;
            self.say(&format!(
                "warning: the tokens of {} could not be counted: {}",
                plural(missing, "row", "rows"),
                escape(fault)
            ));
        }
        self.warn_of_retirement(&plan, survey);
        self.note_substituted(survey, catalog);
        match asked.json {
            true => say::out(&document(&plan)?)?,
            false => say::out(&words(&plan, terminal_width().unwrap_or(100)))?,
        }
        Ok(if survey.damage.is_some() { Exit::Usage } else { Exit::Done })
    }

    /// Calls the function `answer` with all data that a forecast needs, and returns the result of `answer`.
    fn with_question<T>(
        &self,
        survey: &Survey,
        catalog: &Arc<Catalog>,
        learned: &Learned,
        counted: &Counted,
        most_rows: usize,
        answer: impl FnOnce(Question<'_>) -> T,
    ) -> T {
        let limits_of = |pool: &PoolId| self.expected_limits(pool, catalog, learned);
        let scheduler = |limits_of| {
            // An error is ignored in a forecast: if the system allows too few open files, the program rejects the run
            // later.
            let window = parts::window(&self.config, self.files_of_request()).unwrap_or_else(|_| Window::auto(1));
            parts::forecast_scheduler(&self.config, window, limits_of)
        };
        let bursts = learned.limits.as_ref().and_then(|limits| known_bursts(&limits.pools, &survey.load));
        let setting = Setting { limits_of: &limits_of, scheduler: &scheduler, bursts, most_rows };
        let (history, counts) = (&learned.history, &counted.counts);
        answer(Question { load: &survey.load, history, counts, catalog, setting: &setting })
    }

    /// Returns the limits that a pool has at the start of the run.
    pub(super) fn limits_at_start(&self, pool: &PoolId, catalog: &Catalog) -> RateLimits {
        self.config.limits.or(catalog.limits(self.config.tier, &pool.class).limits)
    }

    /// Returns the limits that a pool will probably have. Without `--tier`, returns the limits that an earlier run has
    /// learned, if there are such limits.
    fn expected_limits(&self, pool: &PoolId, catalog: &Catalog, learned: &Learned) -> RateLimits {
        let learned = learned.limits.as_ref().filter(|_| self.config.tier == Tier::Auto);
        let found = learned.and_then(|learned| {
            let is_pool = |known: &&LearnedPool| known.is_of(pool);
            Some(learned.pools.iter().find(is_pool)?.limits)
        });
        self.config
            .limits
            .or(found.unwrap_or(RateLimits::NONE))
            .or(catalog.limits(self.config.tier, &pool.class).limits)
    }

    fn limits_from(&self, catalog: &Catalog, learned: &Learned) -> String {
        let by_hand = self.config.limits != RateLimits::NONE;
        let tier = match (self.config.tier, catalog.tier_table(self.config.tier)) {
            (Tier::Auto, _) if let Some(learned) = &learned.limits => {
                format!(
                    "the limits that a run learned from {} at {}",
                    escape(&learned.origin),
                    learned.at.strftime("%Y-%m-%d %H:%M UTC")
                )
            }
            (Tier::None, _) | (_, None) if self.config.provider.limits != RateLimits::NONE => {
                format!("the limits in [providers.{}]", self.config.provider.name)
            }
            (Tier::None, _) | (_, None) if !Preset::of_tiers(self.config.provider.kind) => {
                format!("none; {} has no published limits", self.config.provider.name)
            }
            (Tier::None, _) | (_, None) => "no limits (--tier none)".to_owned(),
            (Tier::Auto, Some(table)) => {
                format!(
                    "tier {} (as of {}), until the API reports other limits; name your tier with --tier",
                    table.tier.name(),
                    table.date
                )
            }
            (tier, Some(table)) => format!("tier {} (as of {})", tier.name(), table.date),
        };
        if by_hand { format!("the limits that flags set; for the others: {tier}") } else { tier }
    }

    /// Returns the tiers that the plan compares with the current tier.
    fn other_tiers(&self) -> Vec<Tier> {
        if !Preset::of_tiers(self.config.provider.kind) {
            return Vec::new();
        }
        let present = if self.config.tier == Tier::Auto { Tier::Start } else { self.config.tier };
        Tier::ALL.into_iter().filter(|tier| !matches!(tier, Tier::Auto | Tier::None) && *tier != present).collect()
    }

    fn disk(&self) -> RealDisk {
        RealDisk::new(self.config.owners)
    }

    /// Learns from the results file of this run, if it exists.
    fn learn_from_results(&self, learned: &mut Learned, catalog: &Catalog) -> Result<()> {
        let disk = self.disk();
        match &self.paths.results {
            Some(path) if disk.kind(path).is_ok_and(|kind| kind.is_some()) => {
                learn(learned, path, &self.origin, catalog, &disk).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Asks the API to count the tokens of some rows.
    fn count(&self, rows: usize, survey: &Survey, catalog: &Arc<Catalog>) -> Result<Counted> {
        if rows == 0 || survey.to_send == 0 {
            return Ok(Counted::default());
        }
        let key = self.key_for_counting()?;
        let simulator = self.start_simulator(catalog, RunClock::start())?;
        let transport = self.transport(simulator.as_ref(), key, 8)?;
        let provider = Arc::new(parts::provider(&self.config)?);
        let rpm = catalog.tier_table(self.config.tier).map(|table| table.count_tokens_rpm);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            tokio::select! {
                counted = count(&survey.load, transport, provider, rpm) => counted,
                interrupted = self.interrupted() => Err(interrupted),
            }
        })
    }

    /// Waits until a signal ends the preparation of the run.
    async fn interrupted(&self) -> anyhow::Error {
        loop {
            match self.check_interrupted() {
                Ok(()) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(interrupted) => return interrupted,
            }
        }
    }

    /// Warns if a model retires before the run is done.
    fn warn_of_retirement(&self, plan: &Plan<'_>, survey: &Survey) {
        let end = plan.now.checked_add(plan.forecast.time.time.high).unwrap_or_else(|_| plan.now.clone());
        for (name, sum) in &survey.models {
            let Some(model) = plan.catalog.model(name) else { continue };
            if let Some(on) = model.retires.filter(|on| *on > plan.now.date() && *on <= end.date()) {
                self.say(&format!(
                    "warning: {} retires on {on}, before {} are certainly answered; choose another model with --model \
                     or --map-model",
                    escape(name),
                    plural(sum.rows, "row", "rows")
                ));
            }
        }
    }
}

/// Returns the number of rows that ask for retired models.
fn retired(catalog: &Catalog, survey: &Survey, today: jiff::civil::Date) -> u64 {
    let is_retired = |name: &str| catalog.model(name).is_some_and(|model| model.is_retired_on(today));
    survey.models.iter().filter(|(name, _)| is_retired(name)).map(|(_, sum)| sum.rows).sum()
}
