//! Tracks how much of each limit was used in the last five minutes, and when this share crosses 80 % and 95 %.
//!
//! The use of a limit is the amount that counted against the limit, divided by the amount that the limit allowed in the
//! same time. The level of the limit's bucket would not show how much was used. If a run uses its limits well, its
//! buckets are nearly empty. The counted amount is the difference between two sums, and so is the allowed amount. The
//! sums are counted from the start of the run. So if a limit changes, each value of the limit is used only for the time
//! in which that value applied.
//!
//! At the start, a server can accept the requests of a whole minute immediately. The used share that the program shows
//! includes this burst. The thresholds do not apply in the first minute of a run, because a short burst does not show
//! that the run is near its limits.
//!
//! The tracker takes a sample per second and keeps the samples of five minutes, so its size does not grow with the run.
//! The tracker reads no clock: it uses the times of the events, which never go back.

use std::collections::VecDeque;
use std::time::Duration;

use super::use_of_limits::Level;
use crate::domain::event::Crossing;
use crate::domain::{Dimension, PoolId, PoolStatus, RateLimits};

/// The tracker computes how much of a limit is used, as a mean over this time.
const WINDOW: Duration = Duration::from_secs(300);
/// The length of the interval over which the highest use is measured. The burst at the start of a run can't last longer
/// than this interval.
const MINUTE: Duration = Duration::from_secs(60);
/// The time between two samples.
const EVERY: Duration = Duration::from_secs(1);
/// For this long at the start of a run, the tracker does not compute how much of a limit is used, because a single
/// request could account for all of it.
const SHORTEST: Duration = Duration::from_secs(10);
/// The thresholds in percent of a limit. The tracker reports when the used share of a limit crosses a threshold.
const THRESHOLDS: [u8; 2] = [80, 95];
/// The hysteresis of a threshold, in percent: the used share must fall this far below the threshold before another
/// crossing is reported.
const HYSTERESIS: u8 = 10;
/// The largest number of tracked pools. A run can have more pools than this only if some of its models are not in the
/// catalog.
const MOST_POOLS: usize = 100;

/// How much of one limit was used in the last five minutes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RecentUse {
    /// The share of the limit that was used, on average. This share is 1 if the whole limit was used, and more than 1
    /// after a burst.
    pub(crate) average: f64,
    /// The highest share of the limit that was used in one minute; `None` if the run is younger than a minute.
    pub(crate) highest: Option<f64>,
    /// The level of `average`; `None` if the run is younger than a minute.
    pub(crate) level: Option<Level>,
}

/// The samples that show how much of its limits each pool used.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tracker {
    pools: Vec<Tracked>,
    /// The time of the last sample, since the start of the run.
    sampled: Option<Duration>,
    crossings: Vec<Crossing>,
}

#[derive(Clone, Debug)]
struct Tracked {
    pool: PoolId,
    limits: RateLimits,
    /// The samples of the last five minutes, the oldest first. The five-minute window begins at the first sample, so
    /// this sample can be a little older than five minutes.
    samples: VecDeque<Sample>,
    /// The last sample in the first minute of the run.
    after_start: Sample,
    /// For each limit and each threshold: whether the used share of the limit is above the threshold.
    is_above: [[bool; THRESHOLDS.len()]; 3],
}

/// The sums of one pool since the start of the run, at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    /// The time since the start of the run.
    at: Duration,
    counted: [u64; 3],
    allowed: [Option<f64>; 3],
}

impl Tracker {
    /// Takes a sample if a second has passed since the last sample. `now` is the time since the start of the run.
    pub(super) fn note(&mut self, now: Duration, pools: &[PoolStatus]) {
        self.crossings.clear();
        if self.sampled.is_some_and(|last| now < last + EVERY) {
            return;
        }
        let passed = now.saturating_sub(self.sampled.replace(now).unwrap_or(now));
        for status in pools {
            if self.pools.iter().all(|own| own.pool != status.pool) && self.pools.len() < MOST_POOLS {
                self.pools.push(Tracked::new(status));
            }
        }
        for own in &mut self.pools {
            match pools.iter().find(|status| status.pool == own.pool) {
                Some(status) => own.follow(status, now),
                None => own.stay_idle(passed, now),
            }
            own.cross(now, &mut self.crossings);
        }
    }

    /// Returns which thresholds were crossed since the last status event, and removes these crossings from the tracker.
    pub(super) fn take_crossings(&mut self) -> Vec<Crossing> {
        std::mem::take(&mut self.crossings)
    }

    /// Returns how much of one limit was used recently; `None` if there is no limit, and in the first seconds of a run.
    pub(crate) fn recent(&self, pool: &PoolId, dimension: Dimension) -> Option<RecentUse> {
        let own = self.pools.iter().find(|own| own.pool == *pool)?;
        let (first, last) = (own.samples.front()?, own.samples.back()?);
        let average = use_between(first, last, dimension).filter(|_| last.at >= SHORTEST)?;
        Some(RecentUse { average, highest: own.highest(dimension), level: Level::of(average, last.at) })
    }

    /// Returns all tracked pools with their last known limits.
    pub(crate) fn pools(&self) -> impl Iterator<Item = (&PoolId, RateLimits)> {
        self.pools.iter().map(|own| (&own.pool, own.limits))
    }
}

impl Tracked {
    fn new(status: &PoolStatus) -> Self {
        // At the start of the run, all sums are zero.
        let start = Sample { allowed: status.allowed.map(|allowed| allowed.map(|_| 0.0)), ..Sample::default() };
        Self {
            pool: status.pool.clone(),
            limits: status.limits,
            samples: [start].into(),
            after_start: start,
            is_above: Default::default(),
        }
    }

    fn follow(&mut self, status: &PoolStatus, now: Duration) {
        self.limits = status.limits;
        let allowed = status.allowed.map(|allowed| allowed.map(|allowed| allowed as f64));
        self.push(Sample { at: now, counted: status.counted, allowed });
    }

    /// Adds a sample of a pool without requests. The sum of the counted amounts stays the same, and the sum of the
    /// allowed amounts grows at the rate of the limit.
    fn stay_idle(&mut self, passed: Duration, now: Duration) {
        let Some(last) = self.samples.back().copied() else { return };
        let allowed = Dimension::ALL.map(|dimension| {
            let limit = self.limits.of(dimension).map_or(0.0, f64::from);
            last.allowed[dimension.index()].map(|allowed| allowed + limit * passed.as_secs_f64() / 60.0)
        });
        self.push(Sample { at: now, allowed, ..last });
    }

    fn push(&mut self, sample: Sample) {
        if sample.at <= MINUTE {
            self.after_start = sample;
        }
        self.samples.push_back(sample);
        let begin = sample.at.saturating_sub(WINDOW);
        while self.samples.get(1).is_some_and(|second| second.at <= begin) {
            self.samples.pop_front();
        }
    }

    /// Returns the highest share of the limit that was used in one minute.
    fn highest(&self, dimension: Dimension) -> Option<f64> {
        let mut first = 0;
        let uses = self.samples.iter().filter_map(|last| {
            let begin = last.at.checked_sub(MINUTE)?;
            while self.samples[first + 1].at <= begin {
                first += 1;
            }
            use_between(&self.samples[first], last, dimension).filter(|_| self.samples[first].at <= begin)
        });
        uses.reduce(f64::max)
    }

    fn cross(&mut self, now: Duration, crossings: &mut Vec<Crossing>) {
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else { return };
        let first = if first.at < self.after_start.at { &self.after_start } else { first };
        if now < first.at + MINUTE {
            return;
        }
        for dimension in Dimension::ALL {
            let Some(share) = use_between(first, last, dimension) else { continue };
            for (threshold, is_above) in THRESHOLDS.into_iter().zip(&mut self.is_above[dimension.index()]) {
                let percent = share * 100.0;
                let is_above_now = match *is_above {
                    true => percent >= f64::from(threshold - HYSTERESIS),
                    false => percent >= f64::from(threshold),
                };
                if std::mem::replace(is_above, is_above_now) != is_above_now {
                    let pool = self.pool.clone();
                    crossings.push(Crossing { pool, dimension, threshold, share, is_above: is_above_now });
                }
            }
        }
    }
}

/// Returns which share of a limit was used between two samples; `None` if there was no limit.
fn use_between(first: &Sample, last: &Sample, dimension: Dimension) -> Option<f64> {
    let at = dimension.index();
    let allowed = last.allowed[at]? - first.allowed[at].unwrap_or(0.0);
    (allowed > 0.0).then(|| last.counted[at].saturating_sub(first.counted[at]) as f64 / allowed)
}

#[cfg(test)]
mod tests {
    use super::super::stats::tests::pool;
    use super::*;

    const LIMIT: f64 = 600.0;

    #[test]
    fn the_average_is_over_five_minutes_and_the_highest_use_is_over_one_minute() {
        // The use is 50 % for five minutes, then 100 % for one minute, then 50 % again.
        let mut run = Run::default();
        run.hold(0.5, 300);
        run.hold(1.0, 60);
        run.hold(0.5, 60);

        let recent = run.recent();

        assert!((recent.average - 0.6).abs() < 0.01, "{recent:?}");
        assert!(recent.highest.is_some_and(|highest| (highest - 1.0).abs() < 0.02), "{recent:?}");
        assert_eq!(recent.level, Some(Level::Moderate));
    }

    #[test]
    fn a_crossing_is_reported_once_until_the_use_has_fallen_by_ten_points() {
        let mut run = Run::default();

        run.hold(0.6, 600);
        assert_eq!(run.crossed, []);
        run.hold(0.97, 600);
        assert_eq!(run.crossed, [(80, true), (95, true)]);
        run.hold(0.9, 600);
        run.hold(0.97, 600);
        assert_eq!(run.crossed.len(), 2, "it has not fallen below 85 %");
        run.hold(0.75, 600);
        run.hold(0.85, 600);
        assert_eq!(run.crossed[2..], [(95, false)]);
        run.hold(0.2, 600);
        run.hold(0.96, 600);
        assert_eq!(run.crossed[3..], [(80, false), (80, true), (95, true)]);
    }

    #[test]
    fn a_burst_at_the_start_crosses_nothing() {
        let mut run = Run { counted: LIMIT, ..Run::default() };
        run.hold(0.6, 900);

        assert_eq!(run.crossed, []);
    }

    #[test]
    fn a_pool_without_work_uses_nothing_and_a_gap_of_hours_does_no_harm() {
        let mut run = Run::default();
        run.hold(0.97, 600);
        for _ in 0..290 {
            run.now += 1;
            run.tracker.note(Duration::from_secs(run.now), &[]);
            run.allowed += LIMIT / 60.0;
        }
        assert!(run.recent().average < 0.05, "{:?}", run.recent());
        let gap = 7_200;
        run.now += gap;
        run.allowed += LIMIT * gap as f64 / 60.0;
        run.hold(0.97, 600);

        assert!((run.recent().average - 0.97).abs() < 0.02, "{:?}", run.recent());
        assert!(run.tracker.pools[0].samples.len() <= 302);
    }

    #[test]
    fn a_limit_that_changes_counts_for_the_time_in_which_it_applied() {
        let mut run = Run::default();
        run.hold(0.5, 300);
        // The limit is doubled, and the request rate stays the same.
        for _ in 0..300 {
            run.counted += 0.5 * LIMIT / 60.0;
            run.allowed += 2.0 * LIMIT / 60.0;
            run.note();
        }

        assert!((run.recent().average - 0.25).abs() < 0.01, "{:?}", run.recent());
    }

    #[derive(Default)]
    struct Run {
        tracker: Tracker,
        now: u64,
        counted: f64,
        allowed: f64,
        crossed: Vec<(u8, bool)>,
    }

    impl Run {
        fn hold(&mut self, share: f64, seconds: u64) {
            for _ in 0..seconds {
                self.counted += share * LIMIT / 60.0;
                self.allowed += LIMIT / 60.0;
                self.note();
            }
        }

        fn note(&mut self) {
            self.now += 1;
            let limits = RateLimits { rpm: Some(LIMIT as u32), ..RateLimits::NONE };
            let allowed = [Some(self.allowed.round() as u64), None, None];
            let counted = [self.counted as u64, 0, 0];
            let status = PoolStatus { limits, counted, allowed, ..pool("haiku-4.5", [None; 3]) };
            self.tracker.note(Duration::from_secs(self.now), &[status]);
            let crossed = self.tracker.take_crossings();
            self.crossed.extend(crossed.iter().map(|crossing| (crossing.threshold, crossing.is_above)));
        }

        fn recent(&self) -> RecentUse {
            let pool = pool("haiku-4.5", [None; 3]).pool;
            self.tracker.recent(&pool, Dimension::Requests).expect("it has a limit")
        }
    }
}
