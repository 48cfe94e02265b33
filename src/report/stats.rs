//! The counters of a run, which are computed only from the events of the run. Every view and the summary read these
//! counters.
//!
//! This module reads no clock: the current time is the time of the last event. A row is counted after its line was
//! written to disk, so the counters agree with the files.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::cached_rows::CachedRows;
use super::histogram::Histogram;
use super::mix::Mix;
use super::pace::{Pace, between};
use super::providers::Providers;
use super::rate_bins::RateBins;
use super::spread::RowsSoFar;
use super::standing::{Ending, Standing};
use super::tallies::{BatchRows, FailedRows, MendedRows, RetryCause, TakenRows};
use super::tracker::Tracker;
use super::words::halt_words;
use crate::domain::{
    BatchesStatus, ErrorClass, EventBody, Money, Outage, Quality, Reason, RunEvent, RunForecast, Usage,
};

/// The counters of a run.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// The number of rows in the input; `None` if the input is a pipe.
    pub total: Option<u64>,
    /// Attempts sent.
    pub sent: u64,
    /// The number of rows that this run answered, by quality.
    pub succeeded: BTreeMap<Quality, u64>,
    /// The rows that this run answered without a request. These rows are also counted in `succeeded`.
    pub taken: TakenRows,
    /// The rows that were answered by a later request, because their first answer was not accepted. These rows are also
    /// counted in `succeeded`.
    pub mended: MendedRows,
    /// The failed rows of this run, by error class.
    pub failed: BTreeMap<ErrorClass, FailedRows>,
    /// The number of retried attempts, by the cause of the failure.
    pub retried: BTreeMap<RetryCause, u64>,
    /// The number of retried attempts that were possibly billed.
    pub maybe_paid: u64,
    /// The token usage of all finished rows.
    pub usage: Usage,
    /// The cost of all finished rows. Rows of models without a known price are left out.
    pub cost: Money,
    /// The number of finished rows whose model has no known price.
    pub unpriced: u64,
    /// The state of the scheduler at its last status event.
    pub standing: Option<Standing>,
    /// The open batches; `None` if there are none.
    pub batches: Option<BatchesStatus>,
    /// The current outage of a provider; `None` if there is no outage.
    pub outage: Option<Outage>,
    /// The forecast of the cost and the time, made before the first request; `None` if the input is a pipe.
    pub forecast: Option<RunForecast>,
    /// The new value of `--max-cost` after a change during the run. The outer `None` means that there was no change.
    pub(crate) new_max_cost: Option<Option<Money>>,
    /// How the run ended; `None` while the run lasts.
    pub ending: Option<Ending>,
    /// Whether the run no longer starts requests.
    pub is_draining: bool,
    /// Whether the run ends before its rows are done.
    pub(super) is_stopping: bool,
    /// Whether the input could not be read to its end.
    is_input_broken: bool,
    already_done: u64,
    skipped: u64,
    pub(super) started_at: Option<Timestamp>,
    pub(super) last_at: Option<Timestamp>,
    pub(super) pace: Pace,
    pub(super) rows_so_far: RowsSoFar,
    pub(super) mix: Mix,
    pub(super) cached_rows: CachedRows,
    pub(super) batch_rows: BatchRows,
    /// The label of the first answered row of each quality.
    pub(super) examples: BTreeMap<Quality, Box<str>>,
    /// The latencies of all answers that came online.
    pub(super) latencies: Histogram,
    /// The number of rows that finished in each part of the run.
    pub(super) rate_bins: RateBins,
    pub(crate) tracker: Tracker,
    /// The counters of each provider.
    pub(crate) providers: Providers,
}

impl Stats {
    /// Adds one event to the counters.
    pub fn fold(&mut self, event: &RunEvent) {
        self.started_at.get_or_insert(event.at);
        // Events are in order, but the clock of the computer can be set back. Even if the clock is set back, the time
        // of the last event in these counters does not go back.
        self.last_at = self.last_at.max(Some(event.at));
        match &event.body {
            EventBody::Started { total, already_done } => {
                self.total = *total;
                self.already_done = *already_done;
            }
            EventBody::Providers(names) => self.providers.announce(names),
            EventBody::Forecast(forecast) => self.forecast = Some(*forecast),
            EventBody::Models(rows) => self.mix = Mix::of(rows),
            EventBody::Skipped => self.skipped += 1,
            EventBody::Sent { .. } => self.sent += 1,
            EventBody::Retried { row, class, limit, maybe_paid } => {
                self.providers.retried(&row.pool, *class);
                *self.retried.entry(RetryCause::of(*class, *limit)).or_default() += 1;
                self.maybe_paid += u64::from(*maybe_paid);
            }
            EventBody::Succeeded { row, pool, model, quality, usage, cost, without_cache, latency, mended, .. } => {
                self.examples.entry(*quality).or_insert_with(|| row.clone());
                self.providers.answered(pool.as_deref(), *usage, *cost);
                mended.iter().for_each(|purpose| self.mended.add(*purpose));
                self.cached_rows.add(*cost, *without_cache);
                *self.succeeded.entry(*quality).or_default() += 1;
                self.finish_row(*usage, *cost);
                self.mix.add(model, cost.unwrap_or(Money::ZERO).dollars());
                match latency {
                    Some(latency) => {
                        self.note_pace(event.at, *usage, *cost);
                        self.pace.note_latency(*latency);
                        self.latencies.add(*latency);
                    }
                    // All answers of a batch come at once, so their time says nothing about the remaining rows.
                    None => {
                        self.rows_so_far.add_cost(*cost);
                        self.batch_rows.add(*usage, *cost);
                    }
                }
            }
            EventBody::Mending { pool, usage, cost, without_cache, .. } => {
                self.cached_rows.add(*cost, *without_cache);
                self.providers.used(pool.as_deref(), *usage, *cost);
                self.finish_row(*usage, *cost);
            }
            EventBody::Taken { row, from, quality, saved } => {
                self.examples.entry(*quality).or_insert_with(|| row.clone());
                *self.succeeded.entry(*quality).or_default() += 1;
                self.taken.add(*from, *saved);
            }
            EventBody::Failed { class, row, usage, cost, without_cache } => {
                self.cached_rows.add(*cost, *without_cache);
                self.providers.failed(row.pool.as_deref(), *usage, *cost);
                self.failed.entry(*class).or_default().add(row);
                self.finish_row(*usage, *cost);
                // An invalid row of the input is not sent, so it does not change the pace.
                if *class != ErrorClass::InvalidInput {
                    self.note_pace(event.at, *usage, *cost);
                }
            }
            EventBody::Status { in_flight, window, reason, backoffs, pools } => {
                self.pace.note_in_flight(event.at, *in_flight);
                self.tracker.note(self.elapsed(), pools);
                self.standing = Some(Standing {
                    in_flight: *in_flight,
                    window: *window,
                    reason: *reason,
                    backoffs: *backoffs,
                    pools: pools.clone(),
                });
            }
            EventBody::Batches(batches) => self.batches = *batches,
            EventBody::Outage(outage) => self.outage = outage.as_deref().cloned(),
            EventBody::Draining { reason, .. } => {
                self.is_draining = true;
                self.is_stopping |= reason.is_some();
            }
            EventBody::Ended { pending, reason, reasons, uses, elapsed, max_in_flight, batches } => {
                (self.outage, self.batches) = (None, None);
                self.ending = Some(Ending {
                    pending: *pending,
                    halt: reason.as_deref().cloned(),
                    reasons: reasons.clone(),
                    uses: uses.clone(),
                    elapsed: *elapsed,
                    max_in_flight: *max_in_flight,
                    batches: batches.as_deref().cloned().unwrap_or_default(),
                });
            }
            EventBody::Steered { max_cost, .. } => self.new_max_cost = Some(*max_cost),
            EventBody::InputBroke => self.is_input_broken = true,
            EventBody::Held { pool, .. } => self.providers.held(pool),
            EventBody::Diverted { from, to, why } => self.providers.divert(from, to, *why),
            EventBody::ProviderStopped { provider, reason } => self.providers.stop(provider, reason),
            EventBody::Returned { to } => self.providers.return_to(to),
            EventBody::LimitsChanged { .. }
            | EventBody::Parked { .. }
            | EventBody::Crossed(_)
            | EventBody::Warned(_)
            | EventBody::Noted(_) => {}
        }
    }

    fn note_pace(&mut self, at: Timestamp, usage: Usage, cost: Option<Money>) {
        self.pace.note(at, usage);
        let start = self.started_at.unwrap_or(at);
        self.rows_so_far.add(cost, start, at);
        self.rate_bins.add(start, at);
    }

    fn finish_row(&mut self, usage: Usage, cost: Option<Money>) {
        self.usage += usage;
        match cost {
            Some(cost) => self.cost += cost,
            // A row that was never sent costs nothing, even if the price of its model is unknown.
            None => self.unpriced += u64::from(usage != Usage::default()),
        }
    }

    /// Returns the known cost of all finished rows; `None` if the run used tokens and no price is known.
    pub(crate) fn known_cost(&self) -> Option<Money> {
        (self.cost > Money::ZERO || self.unpriced == 0).then_some(self.cost)
    }

    /// Returns the forecast if it is the plan of the whole run; `None` if there was no plan.
    pub(crate) fn plan(&self) -> Option<&RunForecast> {
        self.forecast.as_ref().filter(|forecast| forecast.is_of_whole_run())
    }

    /// Returns the reason why the run ended before its rows were done, as text. Returns `None` if the run has not ended
    /// yet, or if all its rows were done.
    pub(crate) fn end_reason(&self) -> Option<Cow<'static, str>> {
        let ending = self.ending.as_ref()?;
        let broken = self.is_input_broken.then_some("the input could not be read to its end".into());
        ending.halt.as_ref().map(halt_words).or(broken)
    }

    /// Returns the number of rows that this run answered, with answers of any quality.
    pub fn succeeded_total(&self) -> u64 {
        self.succeeded.values().sum()
    }

    /// Returns the number of rows that this run answered with answers of this quality.
    pub(crate) fn succeeded_as(&self, quality: Quality) -> u64 {
        self.succeeded.get(&quality).copied().unwrap_or(0)
    }

    /// Returns the number of failed rows of this run.
    pub fn failed_total(&self) -> u64 {
        self.failed.values().map(|failed| failed.rows).sum()
    }

    /// Returns how many rows of this run failed with this error class.
    pub(crate) fn failed_as(&self, class: ErrorClass) -> u64 {
        self.failed.get(&class).map_or(0, |failed| failed.rows)
    }

    /// Returns the number of retries, for all causes together.
    pub(crate) fn retried_total(&self) -> u64 {
        self.retried.values().sum()
    }

    /// Returns whether every row of the input is answered. `failed_before` is the number of rows that failed in earlier
    /// runs and were not tried again. If the input is a pipe, the number of its rows is not known, so the result is
    /// false.
    pub(crate) fn is_all_answered(&self, failed_before: u64) -> bool {
        let answered = self.already_done().saturating_sub(failed_before) + self.succeeded_total();
        answered > 0 && self.total == Some(answered)
    }

    /// Returns the number of rows that were finished by earlier runs. The result is the larger of two numbers: the
    /// number that was known at the start, and the number of skipped rows.
    pub(crate) fn already_done(&self) -> u64 {
        self.skipped.max(self.already_done.min(self.total.unwrap_or(u64::MAX)))
    }

    /// Returns the number of finished rows, over this run and all earlier runs.
    pub fn finished(&self) -> u64 {
        self.already_done() + self.succeeded_total() + self.failed_total()
    }

    /// Returns the number of remaining rows; `None` if the input is a pipe and the run has not ended.
    pub(crate) fn remaining(&self) -> Option<u64> {
        match (self.total, &self.ending) {
            (Some(total), _) => Some(total.saturating_sub(self.finished())),
            (None, Some(ending)) => Some(ending.pending),
            (None, None) => None,
        }
    }

    /// Returns the finished share of the input, from 0 to 1; `None` if the input is a pipe.
    pub(crate) fn share(&self) -> Option<f64> {
        let total = self.total.filter(|total| *total > 0)?;
        Some((self.finished() as f64 / total as f64).min(1.0))
    }

    /// Returns the time of the start of the run, and the time of the last event. The time of the last event never goes
    /// back.
    pub(crate) fn times(&self) -> Option<(Timestamp, Timestamp)> {
        Some((self.started_at?, self.last_at?))
    }

    /// Returns how long the run has lasted.
    pub(crate) fn elapsed(&self) -> Duration {
        match (&self.ending, self.started_at, self.last_at) {
            (Some(ending), ..) => ending.elapsed,
            (None, Some(start), Some(last)) => between(start, last),
            (None, ..) => Duration::ZERO,
        }
    }

    /// Returns the open batches, if the run currently waits only for batches.
    pub(crate) fn waits_for_batches(&self) -> Option<&BatchesStatus> {
        let standing = self.standing.as_ref()?;
        self.batches.as_ref().filter(|_| standing.reason == Reason::Batches && standing.in_flight == 0)
    }

    /// Returns the recent rate of the rows that were sent online, in rows per minute. Returns `None` in the first
    /// second, and before the first row has finished. Also returns `None` while a run with batches has no request in
    /// flight.
    pub(crate) fn rows_per_minute(&self) -> Option<f64> {
        let (start, last) = (self.started_at?, self.last_at?);
        let in_flight = self.standing.as_ref().map_or(0, |standing| standing.in_flight);
        let had_batches = self.batches.is_some() || self.batch_rows.rows > 0;
        if between(start, last) < Duration::from_secs(1) || (had_batches && in_flight == 0) {
            return None;
        }
        self.pace.per_second(start, last).map(|rate| rate * 60.0)
    }

    /// Returns the mean number of rows that finished per minute during the whole run. Rows that copied or reused an
    /// answer are left out. Returns `None` if no row finished, or if the run took less than a second.
    pub(crate) fn mean_rows_per_minute(&self) -> Option<f64> {
        let rows = (self.succeeded_total() + self.failed_total()).saturating_sub(self.taken.rows());
        let secs = self.elapsed().as_secs_f64();
        (rows > 0 && secs >= 1.0).then(|| rows as f64 / secs * 60.0)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use crate::domain::{
        Backoffs, Dimension, FailedRow, LimitKind, ModelClass, PoolId, PoolStatus, RateLimits, Reason, RetriedRow,
        Speed,
    };

    use super::*;

    #[test]
    fn rows_are_counted_by_their_ending() {
        let mut stats = Stats::default();

        stats.fold(&at(0, started(Some(10), 2)));
        stats.fold(&at(1, succeeded(Quality::Ok)));
        stats.fold(&at(1, succeeded(Quality::Truncated)));
        stats.fold(&at(2, failed(ErrorClass::Server)));

        assert_eq!((stats.succeeded_total(), stats.succeeded_as(Quality::Truncated), stats.failed_total()), (2, 1, 1));
        assert_eq!((stats.finished(), stats.remaining()), (5, Some(5)));
        assert_eq!(stats.usage.output_tokens, 30);
    }

    #[test]
    fn a_run_whose_input_broke_has_a_reason_for_its_end() {
        let reason = |bodies: &[EventBody]| {
            let mut stats = Stats::default();
            bodies.iter().for_each(|body| stats.fold(&at(0, body.clone())));
            stats.end_reason()
        };

        assert_eq!(reason(&[ended()]), None);
        assert_eq!(reason(&[EventBody::InputBroke]), None, "the run goes on with the rows that were read");
        assert_eq!(
            reason(&[EventBody::InputBroke, ended()]).as_deref(),
            Some("the input could not be read to its end")
        );
    }

    #[test]
    fn a_row_without_a_price_is_counted_separately() {
        let mut stats = Stats::default();

        stats.fold(&at(0, succeeded(Quality::Ok)));
        stats.fold(&at(0, failed_with(ErrorClass::Server, usage(), None)));
        stats.fold(&at(0, failed_with(ErrorClass::InvalidInput, Usage::default(), None)));

        assert_eq!((stats.cost, stats.unpriced), (Money::from_dollars(0.01), 1));
        assert_eq!(stats.known_cost(), Some(stats.cost));
    }

    #[test]
    fn rows_without_a_price_have_an_unknown_cost_and_no_rows_cost_nothing() {
        let used = |cost| EventBody::Succeeded {
            row: "r1".into(),
            pool: None,
            model: "m".into(),
            quality: Quality::Ok,
            usage: usage(),
            cost,
            without_cache: None,
            latency: Some(Duration::ZERO),
            first_byte: None,
            mended: None,
        };
        let cost_of = |bodies: &[EventBody]| {
            let mut stats = Stats::default();
            bodies.iter().for_each(|body| stats.fold(&at(0, body.clone())));
            stats.known_cost()
        };

        assert_eq!(cost_of(&[]), Some(Money::ZERO));
        assert_eq!(cost_of(&[used(None)]), None);
        assert_eq!(cost_of(&[used(Some(Money::ZERO))]), Some(Money::ZERO), "a price can be zero");
        assert_eq!(cost_of(&[used(None), used(Some(Money(7)))]), Some(Money(7)));
    }

    #[test]
    fn retries_are_counted_by_the_kind_of_limit() {
        let mut stats = Stats::default();
        let limited =
            |limit| EventBody::Retried { row: retried(), class: ErrorClass::RateLimit, limit, maybe_paid: false };

        stats.fold(&at(0, limited(Some(LimitKind::Rate))));
        stats.fold(&at(0, limited(Some(LimitKind::Concurrency))));
        stats.fold(&at(
            0,
            EventBody::Retried { row: retried(), class: ErrorClass::Network, limit: None, maybe_paid: true },
        ));

        assert_eq!(stats.retried.len(), 3);
        assert_eq!((stats.retried_total(), stats.maybe_paid), (3, 1));
    }

    #[test]
    fn the_rate_follows_a_change_within_a_minute() {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(10_000), 0)));
        for second in 1..=600 {
            (0..10).for_each(|_| stats.fold(&at(second, succeeded(Quality::Ok))));
        }

        for second in 601..=720 {
            stats.fold(&at(second, succeeded(Quality::Ok)));
        }

        let rate = stats.rows_per_minute().expect("rows were finished");
        assert!((55.0..=65.0).contains(&rate), "{rate}");
        let eta = stats.eta().expect("the total is known").as_secs();
        assert!((3_500..=4_200).contains(&eta), "{eta}");
    }

    #[test]
    fn a_minute_of_small_rows_does_not_shorten_the_time_that_tokens_take() {
        let eta = |reason| {
            let mut stats = Stats::default();
            stats.fold(&at(0, started(Some(10_000), 0)));
            stats.fold(&at(0, status(reason, Vec::new())));
            for second in 1..=600 {
                // In the last minute, each row has half as many tokens as before, and twice as many rows finish.
                let (rows, output_tokens) = if second > 540 { (10, 100) } else { (5, 200) };
                let usage = Usage { output_tokens, ..Usage::default() };
                let done = EventBody::Succeeded {
                    row: "r1".into(),
                    pool: None,
                    model: "m".into(),
                    quality: Quality::Ok,
                    usage,
                    cost: None,
                    without_cache: None,
                    latency: Some(Duration::ZERO),
                    first_byte: None,
                    mended: None,
                };
                (0..rows).for_each(|_| stats.fold(&at(second, done.clone())));
            }
            stats.eta().expect("the total is known").as_secs()
        };

        let by_rows = eta(Reason::Window);
        let by_tokens = eta(Reason::Limit(Dimension::OutputTokens));

        // 6,700 rows remain. A row has 182 tokens on average, and the run uses 1,000 tokens per second.
        assert!((640..=700).contains(&by_rows), "{by_rows}");
        assert!((1_190..=1_250).contains(&by_tokens), "{by_tokens}");
    }

    #[test]
    fn slow_rows_still_have_a_rate() {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(100), 0)));

        (1..=10).for_each(|row| stats.fold(&at(row * 300, succeeded(Quality::Ok))));

        assert_eq!(stats.rows_per_minute().map(|rate| (rate * 10.0).round()), Some(2.0));
    }

    #[test]
    fn a_pipe_has_no_eta() {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(None, 0)));

        (1..=50).for_each(|second| stats.fold(&at(second, succeeded(Quality::Ok))));

        assert_eq!((stats.eta(), stats.remaining(), stats.share()), (None, None, None));
    }

    #[test]
    fn an_input_with_fewer_rows_than_were_done_before_counts_as_done() {
        let mut stats = Stats::default();

        stats.fold(&at(0, started(Some(3), 7)));

        assert_eq!((stats.already_done(), stats.remaining()), (3, Some(0)));
    }

    #[test]
    fn the_busiest_pool_is_a_held_pool_or_the_pool_with_the_emptiest_bucket() {
        let mut standing = Standing {
            in_flight: 1,
            window: 2,
            reason: Reason::Hold,
            backoffs: Backoffs::default(),
            pools: vec![pool("a", [Some(0.5), None, Some(0.9)]), pool("b", [Some(0.6), Some(0.1), None])],
        };

        assert_eq!(standing.busiest().map(|pool| pool.pool.to_string()).as_deref(), Some("b"));
        standing.pools[0].held_for = Some(Duration::from_secs(3));
        assert_eq!(standing.busiest().map(|pool| pool.pool.to_string()).as_deref(), Some("a"));
    }

    /// Returns an event whose time is `second` seconds after the epoch.
    pub(crate) fn at(second: i64, body: EventBody) -> RunEvent {
        let at = Timestamp::from_second(second).expect("a second of this century");
        RunEvent { at, run: Arc::from("r1"), body }
    }

    /// Returns the event of a run's start.
    pub(crate) fn started(total: Option<u64>, already_done: u64) -> EventBody {
        EventBody::Started { total, already_done }
    }

    /// Returns the event of an answer from a model without a known price.
    pub(crate) fn without_price() -> EventBody {
        EventBody::Succeeded {
            row: "r1".into(),
            pool: None,
            model: "m".into(),
            quality: Quality::Ok,
            usage: Usage { output_tokens: 9, ..Usage::default() },
            cost: None,
            without_cache: None,
            latency: Some(Duration::ZERO),
            first_byte: None,
            mended: None,
        }
    }

    /// Returns the event of an answer that has 100 input tokens and 10 output tokens and costs one cent.
    pub(crate) fn succeeded(quality: Quality) -> EventBody {
        EventBody::Succeeded {
            row: "r1".into(),
            pool: None,
            model: "m".into(),
            quality,
            usage: usage(),
            cost: Some(Money::from_dollars(0.01)),
            without_cache: None,
            latency: Some(Duration::ZERO),
            first_byte: None,
            mended: None,
        }
    }

    /// Returns the event of an answer that came in a batch and costs one cent.
    pub(crate) fn in_batch() -> EventBody {
        let EventBody::Succeeded { model, quality, usage, cost, without_cache, .. } = succeeded(Quality::Ok) else {
            unreachable!()
        };
        let (row, pool) = ("r1".into(), None);
        EventBody::Succeeded {
            row,
            pool,
            model,
            quality,
            usage,
            cost,
            without_cache,
            latency: None,
            first_byte: None,
            mended: None,
        }
    }

    /// Returns the event of the end of a run that did not stop early.
    pub(crate) fn ended() -> EventBody {
        let elapsed = Duration::from_secs(92);
        let (reasons, uses) = (Vec::new(), Vec::new());
        EventBody::Ended { pending: 0, reason: None, reasons, uses, elapsed, max_in_flight: 1, batches: None }
    }

    /// Returns the event of a failure. In these tests, such a failure uses as many tokens as an answer.
    pub(crate) fn failed(class: ErrorClass) -> EventBody {
        failed_with(class, usage(), Some(Money::ZERO))
    }

    /// Returns the event of a failure of row `r7`. The failure is retryable if failures of its class are usually
    /// retryable.
    pub(crate) fn failed_with(class: ErrorClass, usage: Usage, cost: Option<Money>) -> EventBody {
        let row = FailedRow::new("r7", Some(500), "it went wrong", class.may_pass());
        EventBody::Failed { class, row: Box::new(row), usage, cost, without_cache: None }
    }

    /// Returns the status of a run with 3 of 16 requests in flight.
    pub(crate) fn status(reason: Reason, pools: Vec<PoolStatus>) -> EventBody {
        EventBody::Status { in_flight: 3, window: 16, reason, backoffs: Backoffs::default(), pools }
    }

    /// Returns the data of a row that is tried again.
    pub(crate) fn retried() -> Box<RetriedRow> {
        let (label, pool) = ("r1".to_owned(), Arc::new(pool("haiku-4.5", [None; 3]).pool));
        Box::new(RetriedRow { label, pool, status: None, wait: Duration::from_secs(1), next_try: 2 })
    }

    /// Returns the event which says that an attempt was sent.
    pub(crate) fn sent() -> EventBody {
        EventBody::Sent { row: "r1".into(), pool: Arc::new(pool("haiku-4.5", [None; 3]).pool) }
    }

    /// Returns the status of one pool.
    pub(crate) fn pool(class: &str, level: [Option<f64>; 3]) -> PoolStatus {
        let pool = PoolId {
            provider: Arc::from("anthropic"),
            account: Arc::from(""),
            class: ModelClass(Arc::from(class)),
            speed: Speed::Standard,
        };
        PoolStatus {
            pool,
            limits: RateLimits::new(1_000, 450_000, 90_000),
            level,
            held_for: None,
            ready: 9,
            counted: [0; 3],
            allowed: [None; 3],
        }
    }

    fn usage() -> Usage {
        Usage { input_tokens: 100, output_tokens: 10, ..Usage::default() }
    }
}
