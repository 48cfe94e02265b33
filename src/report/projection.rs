//! Estimates the cost and the end of the whole run, as intervals.
//!
//! The cost so far is known. Only the cost of the remaining rows is estimated. At first, the mean cost of a remaining
//! row comes from the forecast. As more rows finish, the mean of the finished rows gets more weight. The mean of the
//! forecast and the mean of the finished rows are weighted by their precision. Rows in flight are on average longer
//! than finished rows. So while most rows are in flight, the finished rows get less weight. Because rows in flight are
//! longer, the upper end of the interval is also raised: see [`super::pace::Pace::longer_than_seen`]. Both means are
//! computed for the models of the remaining rows: see [`super::mix`].
//!
//! The likely end of the run comes from the [`Outlook`], and `projection/time.rs` adds the uncertainty. Until there is
//! an outlook, the likely end comes from the forecast.
//!
//! An interval that is a little too wide is better than one that does not contain the real value. So if an interval
//! comes from the finished rows, it is made wider than random differences alone would require.

mod time;

use std::time::Duration;

use jiff::Timestamp;

use super::spread::Spread;
use super::stats::Stats;
use crate::domain::{Interval, Money, Reason, RunForecast};

/// The distance from the middle of an interval to its ends, in standard deviations. At this distance, the interval
/// contains the real value with a probability of 90 %.
const DEVIATIONS: f64 = 1.645;
/// The distance from the middle to the ends of an interval that is estimated from finished rows, in standard
/// deviations. This distance is larger than `DEVIATIONS`, because finished rows are never quite a random sample.
const DEVIATIONS_OF_ROWS: f64 = 2.5;
/// The lowest estimated cost of the remaining rows is at least this share of their likely cost.
const LEAST_COST: f64 = 0.1;
/// The remaining answers are assumed to be at most this many times as long as the answers so far.
const MOST_LONGER: f64 = 6.0;
/// The smallest standard deviation of a forecast, as a share of the forecast's value.
const MOST_EXACT: f64 = 0.01;
/// If a run has no forecast, the first estimate is made after this number of rows has finished.
const ROWS: u64 = 10;
/// Until this number of rows has finished, the interval of an estimate contains the whole interval of the forecast.
const ENOUGH_ROWS: u64 = 20;

/// The estimated mean of a value over the remaining rows, with separate standard deviations for lower and for higher
/// values.
#[derive(Clone, Copy, Debug)]
struct Guess {
    mean: f64,
    below: f64,
    above: f64,
}

impl Guess {
    /// Returns the estimate for one row. `sum` is the forecast for `rows` rows together.
    fn of_forecast(sum: Interval<f64>, rows: u64) -> Self {
        let (rows, least) = (rows as f64, sum.likely * MOST_EXACT);
        let deviation = |width: f64| (width / DEVIATIONS).max(least) / rows;
        Self {
            mean: sum.likely / rows,
            below: deviation(sum.likely - sum.low),
            above: deviation(sum.high - sum.likely),
        }
    }

    /// Returns an interval around the mean: `deviations` standard deviations in each direction.
    fn interval(self, deviations: f64) -> Interval<f64> {
        Interval {
            low: (self.mean - deviations * self.below).max(LEAST_COST * self.mean),
            likely: self.mean,
            high: self.mean + deviations * self.above,
        }
    }

    /// Returns this estimate, multiplied by a factor.
    fn times(self, factor: f64) -> Self {
        Self { mean: self.mean * factor, below: self.below * factor, above: self.above * factor }
    }

    /// Returns an estimate for the remaining rows, from the finished rows and the forecast. The second value is the
    /// weight of the forecast, from 0 to 1.
    fn of_left(finished: &Spread, forecast: Option<Self>, left: u64, in_flight: usize) -> (Self, f64) {
        let (count, mean) = (finished.count() as f64, finished.mean());
        let variance = finished.variance(forecast.map_or(0.0, |forecast| forecast.mean).max(mean));
        if variance <= 0.0 {
            return (Self { mean, below: 0.0, above: 0.0 }, 0.0);
        }
        let (by_chance, drift) = (variance / left as f64, finished.drift(variance));
        // Rows in flight are on average longer than finished rows: each row in flight can exceed the mean by two
        // standard deviations. While only few rows have finished, their mean is also a poor estimate for the rows that
        // are not sent yet.
        let (of_started, of_left) = (in_flight as f64 / (count + in_flight as f64), in_flight as f64 / left as f64);
        let longer = if count == 0.0 { 0.0 } else { variance.sqrt() * of_started.max(2.0 * of_left.min(1.0)) };
        let of_mean = match count {
            0.0 => f64::INFINITY,
            _ => variance * (count + in_flight as f64) / (count * count) + drift,
        };
        let Some(forecast) = forecast else {
            let deviation = (of_mean + by_chance).sqrt();
            return (Self { mean, below: deviation, above: deviation.hypot(longer) }, 0.0);
        };
        let weight = |deviation: f64| of_mean.recip() / (of_mean.recip() + deviation.powi(-2));
        // The forecast already includes random differences between rows. The forecast does not know the order of the
        // rows.
        let both = |deviation: f64| {
            let own = weight(deviation);
            (deviation.powi(2) * (1.0 - own) + by_chance * own + drift).sqrt()
        };
        let own = weight((forecast.below + forecast.above) / 2.0);
        let mean = own * mean + (1.0 - own) * forecast.mean;
        let above = both(forecast.above).hypot(own * longer);
        (Self { mean, below: both(forecast.below), above }, 1.0 - own)
    }
}

impl Stats {
    /// Returns the expected cost of all rows of this run, including the finished rows. The lower end of the interval is
    /// at least the cost so far. Returns `None` if the input is a pipe, if a price is unknown, if nothing is known yet,
    /// or if the run stops early. Also returns `None` while the run waits for its last answers, because these are often
    /// the longest.
    pub(crate) fn projected_cost(&self) -> Option<Interval<Money>> {
        let left = self.left_to_send()?;
        // If an earlier run submitted batches, there is no estimate, because the forecast does not include the rows of
        // these batches.
        if self.batches.is_some() && self.remaining() > Some(left) {
            return None;
        }
        if left == 0 {
            return self.known_cost().map(Interval::exact);
        }
        if self.standing.as_ref().is_some_and(|standing| standing.reason == Reason::Draining) {
            return None;
        }
        let each = self.cost_of_row_left(left)?;
        let sum = |dollars: f64| self.cost + Money::from_dollars(left as f64 * dollars.max(0.0));
        Some(each.map(sum))
    }

    /// Returns the mean cost of a remaining row, in dollars. Returns `None` if a price is unknown, or while nothing is
    /// known about the cost.
    fn cost_of_row_left(&self, left: u64) -> Option<Interval<f64>> {
        let (rows, forecast) = (self.finished_like_left(), self.forecast.as_ref());
        let is_priced = self.unpriced == 0 && forecast.is_none_or(|forecast| forecast.cost.is_some());
        let expected = forecast.and_then(|forecast| expected(forecast.cost?.map(Money::dollars), forecast));
        if !is_priced || (expected.is_none() && rows.count() < ROWS) {
            return None;
        }
        let expected = expected.map(|guess| guess.times(self.mix.left_to_all()));
        let (each, planned) = Guess::of_left(&rows, expected, left, self.in_flight());
        let deviations = planned * DEVIATIONS + (1.0 - planned) * DEVIATIONS_OF_ROWS;
        let mut seen = each.interval(deviations);
        seen.high = seen.high.max(self.longer_than_seen(left) * each.mean);
        Some(match expected.filter(|_| rows.count() < ENOUGH_ROWS).map(|guess| guess.interval(DEVIATIONS)) {
            Some(planned) => Interval { low: seen.low.min(planned.low), high: seen.high.max(planned.high), ..seen },
            None => seen,
        })
    }

    /// Returns the factor by which the remaining answers can be longer than the answers so far; at least 1.
    fn longer_than_seen(&self, left: u64) -> f64 {
        if self.rows_so_far.cost.count() < ROWS { 1.0 } else { self.pace.longer_than_seen(left).min(MOST_LONGER) }
    }

    /// Returns what the finished rows would have cost if they had the same mix of models as the remaining rows.
    fn finished_like_left(&self) -> Spread {
        self.rows_so_far.cost.times(self.mix.left_to_finished())
    }

    /// Returns the time at which the run is expected to end. Returns `None` in four cases: the input is a pipe, the run
    /// waits, nothing is known yet, or the run stops early.
    pub(crate) fn projected_end(&self) -> Option<Interval<Timestamp>> {
        let now = self.last_at?;
        let after = |span: Duration| now.checked_add(jiff::SignedDuration::try_from(span).ok()?).ok();
        let left = self.projected_time_left()?;
        Some(Interval { low: after(left.low)?, likely: after(left.likely)?, high: after(left.high)? })
    }

    /// Returns the number of rows that are still to be sent. If there is a forecast, rows that can't be sent are left
    /// out. Returns `None` if the input is a pipe or the run is stopping early.
    fn left_to_send(&self) -> Option<u64> {
        let left = self.remaining().filter(|_| self.total.is_some() && !self.is_stopping)?;
        let planned = self.forecast.map(|forecast| forecast.rows.saturating_sub(self.rows_so_far.cost.count()));
        Some(planned.map_or(left, |planned| planned.min(left)))
    }

    fn in_flight(&self) -> usize {
        self.standing.as_ref().map_or(0, |standing| standing.in_flight)
    }
}

/// Returns the estimate that a forecast gives for one row; `None` if the forecast has no rows.
fn expected(sum: Interval<f64>, forecast: &RunForecast) -> Option<Guess> {
    (forecast.rows > 0).then(|| Guess::of_forecast(sum, forecast.rows))
}

#[cfg(test)]
mod tests {
    use super::super::stats::tests::{at, started, status, without_price};
    use super::*;
    use crate::domain::{Backoffs, EventBody, HaltReason, Quality, Usage};

    #[test]
    fn before_the_first_row_the_projection_is_the_forecast() {
        let stats = run(1_000, Some((8.0, 10.0, 13.0)));

        let cost = stats.projected_cost().expect("there is a forecast").map(|cost| (cost.dollars() * 10.0).round());
        let end = stats.projected_end().expect("there is a forecast").map(Timestamp::as_second);

        assert_eq!(cost, Interval { low: 80.0, likely: 100.0, high: 130.0 });
        assert_eq!(end, Interval { low: 540, likely: 600, high: 720 });
    }

    #[test]
    fn the_more_rows_are_done_the_more_they_count() {
        // The forecast says 10 dollars, but each row costs two cents.
        let mut stats = run(1_000, Some((8.0, 10.0, 13.0)));
        let mut likely = Vec::new();
        for rows in [3, 30, 300, 660] {
            finish(&mut stats, rows, |_| 0.02);
            let cost = stats.projected_cost().expect("there is a forecast");
            assert!(cost.low >= stats.cost && cost.low <= cost.likely && cost.likely <= cost.high, "{cost:?}");
            likely.push(cost.likely.dollars());
        }

        assert!((10.0..11.0).contains(&likely[0]), "{likely:?}");
        assert!(likely.is_sorted(), "{likely:?}");
        assert!((19.5..20.1).contains(&likely[3]), "{likely:?}");
    }

    #[test]
    fn the_interval_holds_the_truth_and_becomes_narrow() {
        let (mut inside, mut widths) = (0, [0.0; 2]);
        for seed in 0..100 {
            let mut random = fastrand::Rng::with_seed(seed);
            let costs: Vec<f64> = (0..1_000).map(|_| 0.01 * -random.f64().max(1e-9).ln()).collect();
            let truth: f64 = costs.iter().sum();
            let mut stats = run(1_000, Some((7.0, 12.0, 18.0)));
            let mut next = costs.iter();
            for (at, rows) in [100, 800].into_iter().enumerate() {
                finish(&mut stats, rows, |_| *next.next().expect("there are more"));
                let cost = stats.projected_cost().expect("there is a forecast").map(Money::dollars);
                inside += u32::from(cost.low <= truth && truth <= cost.high);
                widths[at] += (cost.high - cost.low) / 100.0;
            }
        }

        assert!((190..=200).contains(&inside), "{inside} of 200");
        assert!(widths[0] < 5.0 && widths[1] < 0.6, "{widths:?}");
    }

    #[test]
    fn a_sorted_file_does_not_seem_certain() {
        let mut stats = run(1_000, Some((8.0, 10.0, 12.0)));

        // The rows cost 10 dollars together, and the cheapest rows come first.
        finish(&mut stats, 500, |row| 0.02 * row as f64 / 1_000.0);

        let cost = stats.projected_cost().expect("there is a forecast").map(Money::dollars);
        assert!(cost.contains(10.0), "{cost:?}");
    }

    #[test]
    fn rows_in_flight_make_the_finished_rows_count_less() {
        let likely = |in_flight| {
            let mut stats = run(1_000, Some((8.0, 10.0, 12.0)));
            finish(&mut stats, 20, |_| 0.005);
            let Some(standing) = &mut stats.standing else { panic!("there was a status") };
            standing.in_flight = in_flight;
            stats.projected_cost().expect("there is a forecast").likely
        };

        assert!(likely(1_000) > likely(0));
    }

    #[test]
    fn the_lowest_cost_includes_something_for_the_rows_that_are_left() {
        let mut stats = run(1_000, None);

        // A few rows with very different costs say almost nothing about the remaining rows.
        finish(&mut stats, 12, |row| if row < 10 { 0.001 } else { 0.1 });

        let cost = stats.projected_cost().expect("there are twelve rows");
        assert!(cost.low.dollars() > stats.cost.dollars() * 1.5, "{cost:?}, {} is spent", stats.cost);
    }

    #[test]
    fn a_few_quick_answers_do_not_hide_the_forecast() {
        let mut stats = run(1_000, Some((1.0, 5.0, 50.0)));
        finish(&mut stats, 19, |_| 0.001);
        let few = stats.projected_cost().expect("there is a forecast");
        finish(&mut stats, 81, |_| 0.001);
        let enough = stats.projected_cost().expect("there is a forecast");

        assert!(few.low.dollars() < 1.1 && few.high.dollars() > 45.0, "{few:?}");
        assert!(enough.high.dollars() < 5.0, "{enough:?}");
    }

    #[test]
    fn rows_in_flight_may_be_longer_than_the_finished_rows() {
        let high = |in_flight| {
            let mut stats = run(1_000, None);
            finish(&mut stats, 200, |row| 0.01 * (row % 3) as f64);
            let Some(standing) = &mut stats.standing else { panic!("there was a status") };
            standing.in_flight = in_flight;
            stats.projected_cost().expect("there are enough rows").high
        };

        assert!(high(100).dollars() > 1.2 * high(0).dollars(), "{:?}", (high(0), high(100)));
    }

    #[test]
    fn long_answers_that_have_not_come_yet_raise_the_highest_cost() {
        let high = |in_flight| {
            let mut stats = run(100, None);
            let at_second = |second| {
                let (reason, backoffs) = (Reason::Window, Backoffs::default());
                at(second, EventBody::Status { in_flight, window: 100, reason, backoffs, pools: Vec::new() })
            };
            stats.fold(&at_second(0));
            // The latency of each of these 20 answers is one second.
            finish(&mut stats, 20, |_| 0.01);
            stats.fold(&at_second(10));
            stats.projected_cost().expect("there are enough rows").high.dollars()
        };

        // In ten seconds with 8 requests in flight there were only 20 answers, so an answer takes four seconds on
        // average.
        assert!(high(2) < 2.0 && high(8) > 3.3, "{:?}", (high(2), high(8)));
    }

    #[test]
    fn an_expensive_model_that_is_done_does_not_make_the_other_rows_expensive() {
        let mut stats = run(1_000, Some((4.0, 6.0, 9.0)));
        stats.fold(&at(0, EventBody::Models([("dear".into(), 50), ("m".into(), 950)].into())));
        let dear = EventBody::Succeeded {
            row: "r1".into(),
            pool: None,
            model: "dear".into(),
            quality: Quality::Ok,
            usage: Usage::default(),
            cost: Some(Money::from_dollars(0.1)),
            without_cache: None,
            latency: Some(Duration::from_secs(1)),
            first_byte: None,
            mended: None,
        };
        (0..50).for_each(|_| stats.fold(&at(1, dear.clone())));
        finish(&mut stats, 50, |_| 0.001);

        // 950 rows cost 95 cents together, and the other rows cost 5 dollars together.
        let cost = stats.projected_cost().expect("there is a forecast").map(Money::dollars);
        assert!(cost.contains(5.95) && cost.high < 10.0, "{cost:?}");
    }

    #[test]
    fn without_a_forecast_ten_rows_are_needed_and_a_pipe_projects_nothing() {
        let mut stats = run(1_000, None);
        finish(&mut stats, 9, |_| 0.01);
        let before = stats.projected_cost();
        finish(&mut stats, 91, |_| 0.01);
        let mut pipe = Stats::default();
        pipe.fold(&at(0, started(None, 0)));
        finish(&mut pipe, 100, |_| 0.01);

        let cost = stats.projected_cost().expect("a hundred rows have finished");

        assert_eq!((before, pipe.projected_cost(), pipe.projected_end()), (None, None, None));
        assert!(cost.contains(Money::from_dollars(10.0)) && cost.high < Money::from_dollars(12.0), "{cost:?}");
    }

    #[test]
    fn a_run_that_stops_early_has_no_projection() {
        let mut stats = run(1_000, Some((8.0, 10.0, 13.0)));
        finish(&mut stats, 30, |_| 0.01);
        let before = (stats.projected_cost().is_some(), stats.projected_end().is_some());

        stats.fold(&at(20, EventBody::Draining { in_flight: 3, reason: Some(Box::new(HaltReason::Signal(2))) }));

        assert_eq!(before, (true, true));
        assert_eq!((stats.projected_cost(), stats.projected_end()), (None, None));
    }

    #[test]
    fn the_cost_of_the_last_answers_is_not_guessed() {
        let mut stats = run(1_000, Some((8.0, 10.0, 13.0)));
        finish(&mut stats, 990, |_| 0.01);
        let before = stats.projected_cost();

        stats.fold(&at(500, status(Reason::Draining, Vec::new())));
        let during = stats.projected_cost();
        finish(&mut stats, 10, |_| 0.01);

        assert!(before.is_some());
        assert_eq!((during, stats.projected_cost()), (None, Some(Interval::exact(stats.cost))));
    }

    #[test]
    fn rows_without_a_price_have_no_projected_cost_and_rows_that_cost_nothing_cost_nothing() {
        let mut unpriced = run(100, Some((8.0, 10.0, 13.0)));
        unpriced.fold(&at(1, without_price()));
        let mut free = run(100, Some((0.0, 0.0, 0.0)));
        finish(&mut free, 20, |_| 0.0);

        assert_eq!(unpriced.projected_cost(), None);
        assert_eq!(free.projected_cost(), Some(Interval::exact(Money::ZERO)));
    }

    #[test]
    fn the_end_comes_from_the_outlook_and_is_known_better_with_each_row() {
        let mut stats = run(1_000, Some((8.0, 10.0, 13.0)));
        let mut widths = Vec::new();
        for rows in [50, 350, 500] {
            finish(&mut stats, rows, |_| 0.01);
            let left = stats.projected_time_left().expect("rows finish regularly");
            assert_eq!(Some(left.likely), stats.eta());
            assert!(left.low <= left.likely && left.likely <= left.high);
            widths.push(left.high - left.low);
        }
        finish(&mut stats, 100, |_| 0.01);

        assert!(widths.is_sorted_by(|a, b| a > b), "{widths:?}");
        assert_eq!(stats.projected_end(), None, "all rows are done");
        assert_eq!(stats.projected_cost(), Some(Interval::exact(stats.cost)));
    }

    /// Returns the counters at the start of a run. The forecast of the cost is in dollars, and the forecast of the time
    /// is 9 to 12 minutes.
    fn run(rows: u64, cost: Option<(f64, f64, f64)>) -> Stats {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(rows), 0)));
        if let Some((low, likely, high)) = cost {
            let cost = Some(Interval { low, likely, high }.map(Money::from_dollars));
            let time = Some(Interval { low: 540, likely: 600, high: 720 }.map(Duration::from_secs));
            stats.fold(&at(
                0,
                EventBody::Forecast(RunForecast { rows, cost, at_most: None, time, leaves_out_batches: false }),
            ));
        }
        stats.fold(&at(0, status(Reason::Window, Vec::new())));
        stats
    }

    /// Adds finished rows, two per second. `dollars` returns the cost of the row with a given number.
    fn finish(stats: &mut Stats, rows: u64, mut dollars: impl FnMut(u64) -> f64) {
        for _ in 0..rows {
            let row = stats.finished();
            let (usage, latency) = (Usage { output_tokens: 10, ..Usage::default() }, Duration::from_secs(1));
            let cost = Some(Money::from_dollars(dollars(row)));
            let done = EventBody::Succeeded {
                row: "r1".into(),
                pool: None,
                model: "m".into(),
                quality: Quality::Ok,
                usage,
                cost,
                without_cache: None,
                latency: Some(latency),
                first_byte: None,
                mended: None,
            };
            stats.fold(&at(row as i64 / 2 + 1, done));
        }
    }
}
