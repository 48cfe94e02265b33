//! What the whole run will cost and when it will end, as intervals.
//!
//! What is spent is certain. Only the rows that are left are uncertain. At first their mean cost is taken from the
//! forecast. The more rows finish, the more weight the mean of the finished rows gets: both means are weighted by their
//! precision. Rows in flight tend to be longer than finished rows. So the finished rows get less weight while their
//! number is small compared with the number of rows in flight.
//!
//! The likely end comes from the [`Outlook`], and this module adds how uncertain it is. While there is no outlook yet,
//! the likely end comes from the forecast.

use std::time::Duration;

use jiff::Timestamp;

use super::outlook::Outlook;
use super::spread::Spread;
use super::stats::Stats;
use crate::domain::{Interval, Money, Reason, RunForecast};

/// A value is inside its interval with a probability of 90 %. So the ends of an interval are this many standard
/// deviations from its middle.
const DEVIATIONS: f64 = 1.645;
/// The standard deviation of a forecast is at least this share of its value.
const MOST_EXACT: f64 = 0.01;
/// Without a forecast, nothing is projected before this many rows have finished.
const ROWS: u64 = 10;

/// The mean of the rows that are left, and its standard deviation downwards and upwards.
#[derive(Clone, Copy, Debug)]
struct Guess {
    mean: f64,
    below: f64,
    above: f64,
}

impl Guess {
    /// Returns what a forecast of the sum over `rows` rows says about each row.
    fn of_forecast(sum: Interval<f64>, rows: u64) -> Self {
        let (rows, least) = (rows as f64, sum.likely * MOST_EXACT);
        let deviation = |width: f64| (width / DEVIATIONS).max(least) / rows;
        Self {
            mean: sum.likely / rows,
            below: deviation(sum.likely - sum.low),
            above: deviation(sum.high - sum.likely),
        }
    }

    /// Returns what the finished rows say about the rows that are left, together with the forecast. The second value is
    /// the weight of the forecast, from 0 to 1.
    fn of_left(finished: &Spread, forecast: Option<Self>, left: u64, in_flight: usize) -> (Self, f64) {
        let (count, mean) = (finished.count() as f64, finished.mean());
        let variance = finished.variance(forecast.map_or(0.0, |forecast| forecast.mean).max(mean));
        if variance <= 0.0 {
            return (Self { mean, below: 0.0, above: 0.0 }, 0.0);
        }
        let (by_chance, drift) = (variance / left as f64, finished.drift(variance));
        let of_mean = match count {
            0.0 => f64::INFINITY,
            _ => variance * (count + in_flight as f64) / (count * count) + drift,
        };
        let Some(forecast) = forecast else {
            let deviation = (of_mean + by_chance).sqrt();
            return (Self { mean, below: deviation, above: deviation }, 0.0);
        };
        let weight = |deviation: f64| of_mean.recip() / (of_mean.recip() + deviation.powi(-2));
        // The forecast already allows for random differences between rows. It does not say in which order rows come.
        let both = |deviation: f64| {
            let own = weight(deviation);
            (deviation.powi(2) * (1.0 - own) + by_chance * own + drift).sqrt()
        };
        let own = weight((forecast.below + forecast.above) / 2.0);
        let mean = own * mean + (1.0 - own) * forecast.mean;
        (Self { mean, below: both(forecast.below), above: both(forecast.above) }, 1.0 - own)
    }
}

impl Stats {
    /// Returns what all rows of this run will cost together, including the finished rows. The interval never excludes
    /// what is already spent. `None` on a pipe, if a price is unknown, as long as nothing is known, when the run stops
    /// early, and while it waits for its last answers, because these are often the longest.
    pub(crate) fn projected_cost(&self) -> Option<Interval<Money>> {
        let left = self.left_to_send()?;
        if left == 0 {
            return self.known_cost().map(Interval::exact);
        }
        if self.standing.as_ref().is_some_and(|standing| standing.reason == Reason::Draining) {
            return None;
        }
        let (rows, forecast) = (&self.rows_so_far.cost, self.forecast.as_ref());
        let is_priced = self.unpriced == 0 && forecast.is_none_or(|forecast| forecast.cost.is_some());
        let expected = forecast.and_then(|forecast| expected(forecast.cost?.map(Money::dollars), forecast));
        if !is_priced || (expected.is_none() && rows.count() < ROWS) {
            return None;
        }
        let (each, _) = Guess::of_left(rows, expected, left, self.in_flight());
        let sum = |dollars: f64| self.cost + Money::from_dollars(left as f64 * dollars.max(0.0));
        Some(Interval {
            low: sum(each.mean - DEVIATIONS * each.below),
            likely: sum(each.mean),
            high: sum(each.mean + DEVIATIONS * each.above),
        })
    }

    /// Returns when the run will end. `None` on a pipe, while the run waits, as long as nothing is known, and when the
    /// run stops early.
    pub(crate) fn projected_end(&self) -> Option<Interval<Timestamp>> {
        let now = self.last_at?;
        let after = |span: Duration| now.checked_add(jiff::SignedDuration::try_from(span).ok()?).ok();
        let left = self.projected_time_left()?;
        Some(Interval { low: after(left.low)?, likely: after(left.likely)?, high: after(left.high)? })
    }

    /// Returns how long the run will still take. `None` in the same cases as [`Stats::projected_end`].
    pub(crate) fn projected_time_left(&self) -> Option<Interval<Duration>> {
        let rows = self.left_to_send().filter(|rows| *rows > 0)?;
        let finished = &self.rows_so_far.seconds;
        let time = self.forecast.and_then(|forecast| forecast.time);
        let likely = match (self.outlook(), time) {
            (Outlook::Left(left), _) => left,
            (Outlook::Unknown, Some(time)) if finished.count() < ROWS => time.likely.saturating_sub(self.elapsed()),
            (Outlook::Unknown | Outlook::Waiting { .. }, _) => return None,
        };
        let likely = likely.as_secs_f64();
        let own = deviation_of_time(finished, rows as f64);
        let width = |forecast: Option<(f64, f64)>| {
            let Some((planned, deviation)) = forecast else { return DEVIATIONS * own };
            let both = (deviation.powi(-2) + own.powi(-2)).recip().sqrt();
            // If the forecast and the outlook differ, the interval becomes wider. The difference counts less when the
            // forecast has less weight.
            let apart = (both / deviation).powi(2) * (planned - likely);
            DEVIATIONS * both.hypot(apart)
        };
        let time = time.map(|time| time.map(|time| time.as_secs_f64()));
        let planned = |end: fn(Interval<f64>) -> f64| {
            let time = time?;
            let deviation = ((end(time) - time.likely).abs() / DEVIATIONS).max(time.likely * MOST_EXACT);
            Some((time.likely - self.elapsed().as_secs_f64(), deviation))
        };
        let span = |seconds: f64| Duration::try_from_secs_f64(seconds.max(0.0)).ok();
        Some(Interval {
            low: span(likely - width(planned(|time| time.low)))?,
            likely: span(likely)?,
            high: span(likely + width(planned(|time| time.high)))?,
        })
    }

    /// Returns how many rows are left that will be sent. If there is a forecast, rows that can't be sent are not
    /// counted. `None` on a pipe, and when the run stops early.
    fn left_to_send(&self) -> Option<u64> {
        let left = self.remaining().filter(|_| self.total.is_some() && !self.is_stopping)?;
        let planned = self.forecast.map(|forecast| forecast.rows.saturating_sub(self.rows_so_far.cost.count()));
        Some(planned.map_or(left, |planned| planned.min(left)))
    }

    fn in_flight(&self) -> usize {
        self.standing.as_ref().map_or(0, |standing| standing.in_flight)
    }
}

/// Returns the standard deviation of the time, in seconds, that this many further rows take.
///
/// Only the later half of the finished rows counts. A burst or a slow rise at the start says nothing about the rest,
/// and the outlook ignores it too. The result is infinite as long as no row has finished.
fn deviation_of_time(finished: &Spread, rows: f64) -> f64 {
    let later = finished.later();
    if later.count() == 0 {
        return f64::INFINITY;
    }
    let variance = later.variance(later.mean().max(finished.mean()));
    rows * (variance / later.count() as f64 + variance / rows).sqrt()
}

/// Returns what a forecast of a sum says about each row.
fn expected(sum: Interval<f64>, forecast: &RunForecast) -> Option<Guess> {
    (forecast.rows > 0).then(|| Guess::of_forecast(sum, forecast.rows))
}

#[cfg(test)]
mod tests {
    use super::super::stats::tests::{at, started, status};
    use super::*;
    use crate::domain::{EventBody, HaltReason, Quality, Usage};

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

        assert!((170..=198).contains(&inside), "{inside} of 200");
        assert!(widths[0] < 5.0 && widths[1] < 0.5, "{widths:?}");
    }

    #[test]
    fn a_sorted_file_does_not_seem_certain() {
        let mut stats = run(1_000, Some((8.0, 10.0, 12.0)));

        // The rows cost 10 dollars together, and the cheapest come first.
        finish(&mut stats, 500, |row| 0.02 * row as f64 / 1_000.0);

        let cost = stats.projected_cost().expect("there is a forecast").map(Money::dollars);
        assert!(cost.contains(10.0), "{cost:?}");
    }

    #[test]
    fn rows_in_flight_make_the_finished_ones_count_for_less() {
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
        let usage = Usage { output_tokens: 9, ..Usage::default() };
        let latency = Duration::ZERO;
        unpriced.fold(&at(1, EventBody::Succeeded { quality: Quality::Ok, usage, cost: None, latency }));
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

    /// Returns the counters at the start of a run. The forecast of the cost is in dollars; that of the time is 9 to 12
    /// minutes.
    fn run(rows: u64, cost: Option<(f64, f64, f64)>) -> Stats {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(rows), 0)));
        if let Some((low, likely, high)) = cost {
            let cost = Some(Interval { low, likely, high }.map(Money::from_dollars));
            let time = Some(Interval { low: 540, likely: 600, high: 720 }.map(Duration::from_secs));
            stats.fold(&at(0, EventBody::Forecast(RunForecast { rows, cost, at_most: None, time })));
        }
        stats.fold(&at(0, status(Reason::Window, Vec::new())));
        stats
    }

    /// Finishes rows, two per second, with the cost that `dollars` returns for the number of the row.
    fn finish(stats: &mut Stats, rows: u64, mut dollars: impl FnMut(u64) -> f64) {
        for _ in 0..rows {
            let row = stats.finished();
            let (usage, latency) = (Usage { output_tokens: 10, ..Usage::default() }, Duration::from_secs(1));
            let cost = Some(Money::from_dollars(dollars(row)));
            let done = EventBody::Succeeded { quality: Quality::Ok, usage, cost, latency };
            stats.fold(&at(row as i64 / 2 + 1, done));
        }
    }
}
