//! Estimates when a run will be done. If there is no estimate, this module says what the run waits for.
//!
//! The time left is shown as long as rows finish regularly. The time left includes known delays: rate limits, waits
//! after a 429, and the next retry of rows. Between two finished rows, the estimate of the time left decreases like a
//! countdown. If the time left reaches zero, or if no row finishes for an unusually long time, the report shows what
//! the run waits for. So the displayed time left never gets stuck at one value. While batches are open, no time left is
//! shown.

use std::time::Duration;

use super::open_batches;
use super::pace::between;
use super::standing::Standing;
use super::stats::Stats;
use super::text::{count, duration, plural, rough_duration};
use crate::domain::{BatchesStatus, Reason};

/// A run counts as stuck only if no row has finished for at least this long.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(3);

/// An estimate of when a run ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// There is no estimate, because the input is a pipe, or because the run has just begun or is about to end.
    Unknown,
    /// The estimated time until the run is done.
    Left(Duration),
    /// Batches are open. All answers of a batch come together, at an unknown time.
    Batches(BatchesStatus),
    /// The run waits: currently no row finishes, or the pace so far says nothing about the remaining rows.
    Waiting {
        /// The reason for the wait, as a name for scripts.
        reason: Reason,
        /// The reason for the wait, as text that follows "waiting for".
        what: String,
        /// The time since the last row finished. Before the first row has finished, this is the time since the start of
        /// the run.
        idle: Duration,
    },
}

impl Outlook {
    /// Returns the outlook in words, such as `about 12 min left` or `waiting 42 s for the last 3 answers`. Returns
    /// `None` if there is no estimate.
    pub(crate) fn words(&self) -> Option<String> {
        match self {
            Self::Unknown => None,
            Self::Left(left) => Some(format!("about {} left", rough_duration(*left))),
            Self::Batches(batches) => Some(format!("waiting for {}", open_batches::words(batches))),
            Self::Waiting { what, .. } => Some(format!("{} for {what}", self.short_words()?)),
        }
    }

    /// Returns the outlook in short, such as `12 min` or `waiting 42 s`.
    pub(crate) fn short_words(&self) -> Option<String> {
        match self {
            Self::Unknown => None,
            Self::Left(left) => Some(rough_duration(*left)),
            Self::Batches(_) => Some("waiting for batches".to_owned()),
            Self::Waiting { idle, .. } if *idle < Duration::from_secs(1) => Some("waiting".to_owned()),
            Self::Waiting { idle, .. } => Some(format!("waiting {}", duration(*idle))),
        }
    }
}

impl Stats {
    /// Returns the current outlook of the run: the time left, or what the run waits for.
    pub(crate) fn outlook(&self) -> Outlook {
        if let Some(batches) = self.batches.filter(|_| self.outage.is_none()) {
            return Outlook::Batches(batches);
        }
        if self.ending.is_some() || self.remaining() == Some(0) {
            return Outlook::Unknown;
        }
        let idle = self.idle();
        let left = self.seconds_left(idle);
        let Some(standing) = &self.standing else { return left.map_or(Outlook::Unknown, time_left) };
        let is_stuck = idle >= self.patience();
        match (standing.reason, left) {
            // No request is in flight, so the run only waits for the disk. The outlook shows this wait only if it is
            // long.
            (Reason::Draining, _) if standing.in_flight == 0 && !is_stuck => Outlook::Unknown,
            // While the run is paused, the pace so far says nothing about the remaining rows. The pace also says
            // nothing while the run waits for a probe, the cache, a retry, batches or the last answers.
            (
                Reason::Probe | Reason::Gate | Reason::Backoff | Reason::Paused | Reason::Batches | Reason::Draining,
                _,
            ) => waiting(standing, idle),
            _ if is_stuck || (self.outage.is_some() && !self.providers.are_several()) => waiting(standing, idle),
            // There is no estimate if the budget can stop the run early, or if the time left can't be computed.
            (Reason::Budget, _) | (_, None) => Outlook::Unknown,
            (_, Some(left)) if left <= 0.0 => waiting(standing, idle),
            (_, Some(left)) => time_left(left),
        }
    }

    /// Returns how long the remaining rows will take; `None` if that can't be estimated.
    pub fn eta(&self) -> Option<Duration> {
        match self.outlook() {
            Outlook::Left(left) => Some(left),
            Outlook::Unknown | Outlook::Batches(_) | Outlook::Waiting { .. } => None,
        }
    }

    /// Returns the time since the last row finished. If no row has finished, returns the time since the start of the
    /// run.
    fn idle(&self) -> Duration {
        let since = self.pace.last_at().or(self.started_at);
        since.zip(self.last_at).map_or(Duration::ZERO, |(since, now)| between(since, now))
    }

    /// Returns the number of rows that are still to be sent. If there is a forecast, rows that copy or reuse an answer
    /// are left out, because they need no time.
    fn remaining_to_send(&self) -> Option<u64> {
        let left = self.remaining()?;
        let Some(forecast) = self.forecast.filter(|_| self.taken.rows() > 0) else { return Some(left) };
        let sent = (self.succeeded_total() + self.failed_total()).saturating_sub(self.taken.rows());
        Some(left.min(forecast.rows.saturating_sub(sent)))
    }

    fn patience(&self) -> Duration {
        self.started_at.map_or(Duration::ZERO, |start| self.pace.patience(start)).max(SHORTEST_PATIENCE)
    }

    /// Returns how many seconds the remaining rows will take at the recent rate. The number is zero or less if the run
    /// should already be over. The result is at least the longer of these two times:
    /// - the time that the rate limits require for the remaining rows, because the recent rate is far too high after a
    ///   burst at the start
    /// - the time that rows have to wait after a 429 or another failure
    ///
    /// Returns `None` in three cases: the input is a pipe, the run began less than five seconds ago, or fewer than ten
    /// rows have finished. At such an early point of a run, the estimated time would be several times too long. At the
    /// start, few requests are in flight, and the first answers have not arrived yet.
    fn seconds_left(&self, idle: Duration) -> Option<f64> {
        const ROWS: u64 = 10;
        let remaining = self.remaining_to_send()?;
        if self.pace.rows < ROWS || self.elapsed() < Duration::from_secs(5) {
            return None;
        }
        let reason = self.standing.as_ref().map(|standing| standing.reason);
        let per_second = self.pace.per_second(self.started_at?, self.pace.last_at()?)? * self.pace.size_of_last(reason);
        let by_pace = remaining as f64 / per_second - idle.as_secs_f64();
        let Some(standing) = &self.standing else { return Some(by_pace) };
        let by_limits = self.pace.seconds_by_limits(remaining, 1.0, &standing.pools);
        let held = standing.pools.iter().filter(|pool| pool.ready > 0).map(|pool| pool.held_for.unwrap_or_default());
        let nothing_is_sent_for = match standing.reason {
            Reason::Hold => held.clone().min().unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let held_back = held.max().unwrap_or_default().max(standing.backoffs.last_in);
        Some((by_pace.max(by_limits) + nothing_is_sent_for.as_secs_f64()).max(held_back.as_secs_f64()))
    }
}

fn time_left(seconds: f64) -> Outlook {
    Duration::try_from_secs_f64(seconds.max(0.0)).map_or(Outlook::Unknown, Outlook::Left)
}

fn waiting(standing: &Standing, idle: Duration) -> Outlook {
    Outlook::Waiting { reason: standing.reason, what: what(standing), idle }
}

/// Returns what a run waits for, as text that follows the words "waiting for".
fn what(standing: &Standing) -> String {
    let more =
        |span: Duration| if span.is_zero() { String::new() } else { format!(" ({} more)", rough_duration(span)) };
    match standing.reason {
        Reason::Limit(_) => format!("the limit on {}", standing.reason.name()),
        Reason::Window => format!("answers to {}", plural(standing.in_flight as u64, "request", "requests")),
        Reason::Hold => {
            let held = standing.busiest().and_then(|pool| pool.held_for).unwrap_or_default();
            format!("the pause after a refusal{}", more(held))
        }
        Reason::Ramp => "the rate to rise".to_owned(),
        Reason::Probe => "the endpoint to work again".to_owned(),
        Reason::Gate => "the cache to be filled".to_owned(),
        Reason::Backoff => {
            let backoffs = standing.backoffs;
            let rows = plural(backoffs.rows as u64, "row", "rows");
            format!("the next try of {rows}{}", more(backoffs.first_in))
        }
        Reason::Budget => "money that is reserved for other rows".to_owned(),
        Reason::Input => "the input".to_owned(),
        Reason::Memory => "memory for rows".to_owned(),
        Reason::Disk => "the disk".to_owned(),
        Reason::Paused => "the end of the pause".to_owned(),
        Reason::Batches => "batches".to_owned(),
        Reason::Draining => match standing.in_flight as u64 {
            0 => "the disk".to_owned(),
            1 => "the last answer".to_owned(),
            some => format!("the last {} answers", count(some)),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::open_batches::tests::many;
    use super::super::stats::tests::{at, in_batch, pool, started, status, succeeded};
    use super::*;
    use crate::domain::{Backoffs, Dimension, EventBody, PoolStatus, Quality, RateLimits, RunEvent};

    /// Every reason that can slow a run down, with the text that says what the run waits for.
    const REASONS: [(Reason, &str); 16] = [
        (Reason::Memory, "memory for rows"),
        (Reason::Limit(Dimension::Requests), "the limit on requests per minute"),
        (Reason::Limit(Dimension::InputTokens), "the limit on input tokens per minute"),
        (Reason::Limit(Dimension::OutputTokens), "the limit on output tokens per minute"),
        (Reason::Window, "answers to 3 requests"),
        (Reason::Hold, "the pause after a refusal (42 s more)"),
        (Reason::Ramp, "the rate to rise"),
        (Reason::Probe, "the endpoint to work again"),
        (Reason::Gate, "the cache to be filled"),
        (Reason::Backoff, "the next try of 2 rows (7 s more)"),
        (Reason::Budget, "money that is reserved for other rows"),
        (Reason::Input, "the input"),
        (Reason::Disk, "the disk"),
        (Reason::Paused, "the end of the pause"),
        (Reason::Batches, "batches"),
        (Reason::Draining, "the last 3 answers"),
    ];

    #[test]
    fn a_quick_run_shows_no_time_left_for_its_last_rows() {
        for (reason, what) in [(Reason::Draining, "the last 3 answers"), (Reason::Backoff, "the next try of 2 rows")] {
            let mut stats = quick_run(997, 1_000);
            for second in 100..160 {
                stats.fold(&at(second, waits(reason, 60, 60)));

                let words = stats.outlook().words().unwrap_or_default();
                assert!(words.starts_with("waiting") && words.contains(what), "at {second}: {words}");
                assert_eq!(stats.eta(), None, "at {second}");
            }
        }
    }

    #[test]
    fn when_no_row_finishes_a_run_says_what_it_waits_for_whatever_the_reason() {
        for (reason, what) in REASONS {
            let mut stats = quick_run(500, 1_000);

            stats.fold(&at(62, waits(reason, 42, 7)));

            let expected = format!("waiting 12 s for {what}");
            assert_eq!(stats.outlook().words(), Some(expected), "{reason:?}");
        }
    }

    #[test]
    fn while_batches_are_open_no_end_is_predicted_from_rows_that_came_at_once() {
        let mut stats = quick_run(500, 1_000);
        stats.fold(&at(50, status(Reason::Window, Vec::new())));
        (0..400).for_each(|_| stats.fold(&at(60, in_batch())));
        let rate = stats.rows_per_minute();
        for reason in [Reason::Batches, Reason::Draining, Reason::Window, Reason::Limit(Dimension::Requests)] {
            stats.fold(&at(61, EventBody::Batches(Some(many()))));
            stats.fold(&at(61, status(reason, Vec::new())));

            assert_eq!(stats.outlook(), Outlook::Batches(many()), "{reason:?}");
            assert_eq!((stats.eta(), stats.projected_end()), (None, None), "{reason:?}");
        }

        assert!(rate.is_some_and(|rate| rate < 600.0), "only the rows online have a pace: {rate:?}");
    }

    #[test]
    fn when_the_batches_have_ended_the_time_left_is_for_the_rows_online() {
        let mut stats = quick_run(500, 1_000);
        stats.fold(&at(50, EventBody::Batches(Some(many()))));
        (0..100).for_each(|_| stats.fold(&at(50, in_batch())));
        stats.fold(&at(50, EventBody::Batches(None)));
        stats.fold(&at(50, status(Reason::Window, Vec::new())));

        // 400 rows are left, and ten rows finish per second.
        assert_eq!(stats.outlook(), Outlook::Left(Duration::from_secs(40)));
    }

    #[test]
    fn a_run_that_waits_from_the_start_says_what_it_waits_for() {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(3), 0)));

        stats.fold(&at(2, status(Reason::Draining, Vec::new())));
        let soon = stats.outlook().words();
        stats.fold(&at(45, status(Reason::Draining, Vec::new())));

        assert_eq!(soon.as_deref(), Some("waiting 2 s for the last 3 answers"));
        assert_eq!(stats.outlook().words().as_deref(), Some("waiting 45 s for the last 3 answers"));
    }

    #[test]
    fn a_pause_and_the_next_try_of_a_row_are_part_of_the_time_left() {
        let left = |reason, held, last_in| {
            let mut stats = quick_run(500, 1_000);
            stats.fold(&at(50, waits(reason, held, last_in)));
            stats.eta().expect("rows finish").as_secs()
        };

        // 500 rows are left, and ten rows finish per second.
        assert_eq!(left(Reason::Window, 0, 0), 50);
        assert_eq!(left(Reason::Hold, 42, 0), 92);
        assert_eq!(left(Reason::Window, 70, 0), 70, "one pool of several is held");
        assert_eq!(left(Reason::Window, 0, 300), 300);
    }

    #[test]
    fn answers_that_come_together_after_a_while_are_not_a_standstill() {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(1_000), 0)));
        let answered = |second| {
            let EventBody::Succeeded { quality, usage, cost, .. } = succeeded(Quality::Ok) else { unreachable!() };
            at(
                second,
                EventBody::Succeeded {
                    row: "r1".into(),
                    pool: None,
                    model: "m".into(),
                    quality,
                    usage,
                    cost,
                    without_cache: None,
                    latency: Some(Duration::from_secs(30)),
                    first_byte: None,
                    mended: None,
                },
            )
        };
        for burst in 1..=3 {
            (0..50).for_each(|_| stats.fold(&answered(30 * burst)));
        }

        stats.fold(&at(115, status(Reason::Window, Vec::new())));
        let between_two = stats.outlook();
        stats.fold(&at(140, status(Reason::Window, Vec::new())));

        // 850 rows are left. Every 30 s, 50 rows finish. The last rows finished 25 s ago.
        assert_eq!(between_two, Outlook::Left(Duration::from_secs(510 - 25)));
        assert!(matches!(stats.outlook(), Outlook::Waiting { .. }), "{:?}", stats.outlook());
    }

    #[test]
    fn without_a_total_and_at_the_end_there_is_no_time_left() {
        let mut all = quick_run(1_000, 1_000);
        all.fold(&at(100, status(Reason::Draining, Vec::new())));
        let mut pipe = Stats::default();
        pipe.fold(&at(0, started(None, 0)));
        (1..=50).for_each(|second| pipe.fold(&at(second, succeeded(Quality::Ok))));
        pipe.fold(&at(50, status(Reason::Window, Vec::new())));

        assert_eq!((all.outlook(), pipe.outlook()), (Outlook::Unknown, Outlook::Unknown));
    }

    /// The next events of a random run. `after` is the time since the previous events, in tenths of a second.
    #[derive(Clone, Debug)]
    struct Step {
        after: i64,
        rows: usize,
        reason: Reason,
        held: u64,
        last_in: u64,
    }

    fn step() -> impl Strategy<Value = Step> {
        let after = prop_oneof![4 => 1_i64..10, 1 => 10_i64..600];
        let rows = prop_oneof![3 => Just(0_usize), 2 => 1_usize..40];
        let held = prop_oneof![3 => Just(0_u64), 1 => 1_u64..90];
        let last_in = prop_oneof![3 => Just(0_u64), 1 => 1_u64..90];
        let reason = (0..REASONS.len()).prop_map(|at| REASONS[at].0);
        (after, rows, reason, held, last_in).prop_map(|(after, rows, reason, held, last_in)| Step {
            after,
            rows,
            reason,
            held,
            last_in,
        })
    }

    proptest! {
        #[test]
        fn the_time_left_counts_down_and_includes_rows_that_are_held_back(
            steps in proptest::collection::vec(step(), 1..60),
            total in 1_u64..3_000,
        ) {
            let mut stats = Stats::default();
            stats.fold(&at(0, started(Some(total), 0)));
            let (mut tenths, mut finished, mut promised): (i64, u64, Option<i64>) = (0, 0, None);
            for Step { after, rows, reason, held, last_in } in steps {
                tenths += after;
                let rows = (rows as u64).min(total - finished);
                finished += rows;
                (0..rows).for_each(|_| stats.fold(&at_tenth(tenths, succeeded(Quality::Ok))));
                stats.fold(&at_tenth(tenths, waits(reason, held, last_in)));

                let outlook = stats.outlook();
                if let Outlook::Left(left) = outlook {
                    prop_assert!(finished < total);
                    prop_assert!(left.as_secs() >= last_in.max(held), "{left:?}");
                    prop_assert!(!matches!(reason, Reason::Probe | Reason::Gate | Reason::Backoff | Reason::Paused | Reason::Batches | Reason::Draining | Reason::Budget));
                    let end = tenths + i64::try_from(left.as_millis() / 100).expect("it is short");
                    // While no row finishes and no row has to wait, the estimated end must not move.
                    if rows == 0 && held == 0 && last_in == 0 && let Some(promised) = promised {
                        prop_assert!((end - promised).abs() <= 1, "{end} after {promised}");
                    }
                    promised = (held == 0 && last_in == 0).then_some(end);
                } else if rows > 0 || held > 0 || last_in > 0 {
                    promised = None;
                }
                if let Outlook::Waiting { idle, .. } = outlook {
                    prop_assert!(rows == 0 || idle.is_zero());
                }
            }
        }
    }

    /// Returns the counters of a run that finishes ten rows per second.
    fn quick_run(rows: u64, total: u64) -> Stats {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(total), 0)));
        (0..rows).for_each(|row| stats.fold(&at((row / 10 + 1) as i64, succeeded(Quality::Ok))));
        stats
    }

    /// Returns a status with one pool. If `last_in` is not 0, two rows wait `last_in` seconds for their next try. The
    /// pool has no limits. The pool sends nothing for `held` seconds.
    fn waits(reason: Reason, held: u64, last_in: u64) -> EventBody {
        let held_for = Some(Duration::from_secs(held)).filter(|held| !held.is_zero());
        let pools = vec![PoolStatus { held_for, limits: RateLimits::NONE, ..pool("haiku-4.5", [None; 3]) }];
        let wait = Duration::from_secs(last_in);
        let rows = if last_in > 0 { 2 } else { 0 };
        let backoffs = Backoffs { rows, first_in: wait, last_in: wait };
        EventBody::Status { in_flight: 3, window: 16, reason, backoffs, pools }
    }

    fn at_tenth(tenths: i64, body: EventBody) -> RunEvent {
        let at = jiff::Timestamp::from_millisecond(tenths * 100).expect("a moment of this century");
        RunEvent { at, ..super::super::stats::tests::at(0, body) }
    }
}
