//! Estimates the remaining time of a run, as an interval.
//!
//! The speed so far can mislead: a full bucket makes the start quick, and the longest answers come last. So one end of
//! the interval is computed from the recent speed, and the other end from the mean speed of the whole run. The interval
//! is then made wider, to allow for random differences and for the time of the last answers. The low end of the
//! interval is never much lower than the time that the known limits require.

use std::time::Duration;

use super::{DEVIATIONS_OF_ROWS, ENOUGH_ROWS, ROWS};
use crate::domain::Interval;
use crate::report::outlook::Outlook;
use crate::report::spread::Spread;
use crate::report::stats::Stats;

/// The largest expected difference between the speed so far and the speed of the remaining rows, as a share. Random
/// differences between rows are not included.
const MARGIN: f64 = 0.15;
/// The limits require a certain time for the remaining rows. The low end of the interval is at least this share of the
/// required time. The share is below 1, because the tokens per row are known only from the finished rows.
const SURE: f64 = 0.85;
/// Until the run has lasted this long, the interval includes the whole interval of the forecast.
const ENOUGH_TIME: Duration = Duration::from_secs(10);

/// The values for computing the interval of the time left. All values are in seconds.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// The likely time left.
    likely: f64,
    /// The time left at the mean speed of the whole run.
    by_mean_speed: f64,
    /// The time that the unsent rows need because of the limits, if these rows have the average size.
    by_limits: f64,
    /// The time that the limits require for all remaining rows, if these rows have the largest expected size.
    by_limits_if_large: f64,
    /// The standard deviation of the time left.
    deviation: f64,
    /// The longest time that the last answers are expected to take.
    last_answers: f64,
}

impl Known {
    /// Returns `low`, limited to a range. The lower end of the range is `SURE` times the time that the limits require.
    /// The upper end is the likely time.
    fn not_too_quick(self, low: f64) -> f64 {
        low.max(SURE * self.by_limits).clamp(0.0, self.likely)
    }

    /// Widens the interval of the remaining time towards the planned interval, and returns the result. `weight` is the
    /// weight of the plan, from 0 to 1.
    fn with_plan(self, planned: Interval<f64>, weight: f64) -> Interval<f64> {
        let seen = self.interval();
        let further = |seen: f64, planned: f64| seen + weight * (planned - seen);
        Interval {
            low: self.not_too_quick(further(seen.low, planned.low.min(seen.low))),
            likely: self.likely,
            high: further(seen.high, planned.high.max(seen.high)),
        }
    }

    /// Returns the interval of the time left, computed only from this run and not from its plan.
    fn interval(self) -> Interval<f64> {
        let (quick, slow) = (self.likely.min(self.by_mean_speed), self.likely.max(self.by_mean_speed));
        let width = |time: f64| (DEVIATIONS_OF_ROWS * self.deviation).hypot(MARGIN * time);
        Interval {
            low: self.not_too_quick(quick - width(quick)),
            likely: self.likely,
            high: (slow + width(slow)).max(self.by_limits_if_large) + self.last_answers,
        }
    }
}

impl Stats {
    /// Returns the interval of the time left. Returns `None` in the same cases as [`Stats::projected_end`].
    pub(crate) fn projected_time_left(&self) -> Option<Interval<Duration>> {
        let rows = self.left_to_send().filter(|rows| *rows > 0)?;
        let finished = self.rows_so_far.seconds.count();
        let planned = self.planned_time_left();
        let left = match (self.outlook(), planned) {
            (Outlook::Left(left), planned) => {
                let known = self.known_time(left.as_secs_f64(), rows);
                planned.map_or(known.interval(), |planned| known.with_plan(planned, self.weight_of_plan()))
            }
            (Outlook::Unknown, Some(planned)) if finished < ROWS => planned,
            (Outlook::Unknown | Outlook::Batches(_) | Outlook::Waiting { .. }, _) => return None,
        };
        let span = |seconds: f64| Duration::try_from_secs_f64(seconds.max(0.0)).ok();
        Some(Interval { low: span(left.low)?, likely: span(left.likely)?, high: span(left.high)? })
    }

    /// Returns the time left according to the forecast, in seconds.
    fn planned_time_left(&self) -> Option<Interval<f64>> {
        let (time, elapsed) = (self.forecast?.time?, self.elapsed());
        Some(time.map(|time| time.saturating_sub(elapsed).as_secs_f64()))
    }

    /// Returns the weight of the forecast: 1 at first, and less with each finished row.
    fn weight_of_plan(&self) -> f64 {
        let finished = self.rows_so_far.seconds.count() as f64;
        if self.elapsed() < ENOUGH_TIME { 1.0 } else { (ENOUGH_ROWS as f64 / finished.max(1.0)).min(1.0).powf(1.5) }
    }

    /// Returns a ratio of mean sizes: the largest expected size of the remaining rows, divided by the size of the
    /// finished rows. The size is estimated from the cost.
    fn largest_size_of_left(&self, rows: u64) -> f64 {
        let size = self.cost_of_row_left(rows).map_or(1.0, |each| each.high / self.finished_like_left().mean());
        if size.is_finite() { size.max(1.0) } else { 1.0 }
    }

    fn known_time(&self, likely: f64, rows: u64) -> Known {
        let (finished, in_flight) = (&self.rows_so_far.seconds, self.in_flight());
        let pools = self.standing.as_ref().map_or(&[][..], |standing| &standing.pools);
        let not_sent = rows.saturating_sub(in_flight as u64);
        // Requests in flight can take longer than the requests that are already answered. This difference is largest
        // when only a few answers have come.
        let longer = 1.0 + in_flight as f64 / finished.count().max(1) as f64;
        Known {
            likely,
            by_mean_speed: rows as f64 * self.elapsed().as_secs_f64() / finished.count().max(1) as f64,
            by_limits: self.pace.seconds_by_limits(not_sent, 1.0, pools),
            by_limits_if_large: self.pace.seconds_by_limits(rows, self.largest_size_of_left(rows), pools),
            deviation: deviation_of_time(finished, rows as f64),
            last_answers: self.pace.longest.as_secs_f64() * longer,
        }
    }
}

/// Returns the standard deviation, in seconds, of the time that `rows` further rows take.
///
/// Only the later half of the finished rows is used. The start of the run is left out, because a burst or a slow rise
/// at the start says nothing about the later rows. The result is infinite before the first row has finished.
fn deviation_of_time(finished: &Spread, rows: f64) -> f64 {
    let later = finished.later();
    if later.count() == 0 {
        return f64::INFINITY;
    }
    let variance = later.variance(later.mean().max(finished.mean()));
    rows * (variance / later.count() as f64 + variance / rows).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Backoffs, EventBody, Quality, RateLimits, Reason};
    use crate::report::stats::tests::{at, pool, started, succeeded};

    const KNOWN: Known = Known {
        likely: 100.0,
        by_mean_speed: 60.0,
        by_limits: 0.0,
        by_limits_if_large: 0.0,
        deviation: 0.0,
        last_answers: 20.0,
    };
    const PLANNED: Interval<f64> = Interval { low: 1.0, likely: 50.0, high: 500.0 };

    #[test]
    fn the_interval_includes_both_speeds_and_the_last_answers() {
        let slowing_down = KNOWN.interval();
        let speeding_up = Known { by_mean_speed: 200.0, ..KNOWN }.interval();

        assert_eq!(slowing_down, Interval { low: 51.0, likely: 100.0, high: 135.0 });
        assert_eq!(speeding_up, Interval { low: 85.0, likely: 100.0, high: 250.0 });
    }

    #[test]
    fn no_time_is_shorter_than_the_limits_need() {
        let limited = Known { by_limits: 100.0, by_limits_if_large: 300.0, deviation: 50.0, ..KNOWN };

        assert_eq!(limited.interval(), Interval { low: 85.0, likely: 100.0, high: 320.0 });
        assert_eq!(limited.with_plan(PLANNED, 1.0).low, 85.0);
    }

    #[test]
    fn the_plan_only_widens_the_interval_and_counts_by_its_weight() {
        let highs = [1.0, 0.5, 0.0].map(|weight| KNOWN.with_plan(PLANNED, weight).high);
        let narrow = Interval { low: 90.0, likely: 95.0, high: 96.0 };

        assert_eq!(highs, [500.0, 317.5, 135.0]);
        assert_eq!(KNOWN.with_plan(narrow, 1.0), KNOWN.interval());
    }

    #[test]
    fn after_a_burst_the_class_with_the_most_rows_decides() {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(318), 0)));
        for second in 1..=10 {
            (0..10).for_each(|_| stats.fold(&at(second, succeeded(Quality::Ok))));
        }
        let pools = [("haiku-4.5", 200), ("opus-4.x", 0), ("sonnet-4.x", 10)].map(|(class, ready)| {
            let mut pool = pool(class, [Some(0.0); 3]);
            (pool.limits, pool.ready) = (RateLimits::new(50, 50_000, 10_000), ready);
            pool
        });
        let (reason, backoffs) = (Reason::Window, Backoffs::default());
        stats.fold(&at(11, EventBody::Status { in_flight: 0, window: 16, reason, backoffs, pools: pools.into() }));

        let left = stats.projected_time_left().expect("there are enough rows");

        // 218 rows are left. Of these rows, 20 in 21 belong to the first class, whose limit is 50 rows per minute.
        assert!(left.low > Duration::from_secs(200), "{left:?}");
        assert!(left.likely > Duration::from_secs(240) && left.likely <= left.high, "{left:?}");
    }
}
