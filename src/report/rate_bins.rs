//! Counts the finished rows in each part of a run, for the small chart of the rate in the summary.
//!
//! A part of the run is called a bin here. When all bins are in use, each pair of neighbouring bins becomes a single
//! bin, which is twice as wide. So the number of bins does not grow with the run.

use std::time::Duration;

use jiff::Timestamp;

use super::pace::between;

/// The largest number of bins. Each bin is one column of the chart. With the labels of the summary, a chart of this
/// width fits into 40 columns of a terminal.
const MOST: usize = 24;
/// The smallest number of bins of a chart. A chart with fewer bins would be useless.
const FEWEST: usize = 5;
/// The characters for the bars of the chart, from the lowest to the highest.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The number of rows that finished in each part of a run. All parts have the same length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RateBins {
    /// The length of a part, in seconds.
    width: u64,
    rows: Vec<u64>,
}

impl Default for RateBins {
    fn default() -> Self {
        Self { width: 1, rows: Vec::new() }
    }
}

impl RateBins {
    /// Counts a row that finished at `at` in a run that began at `start`.
    pub(super) fn add(&mut self, start: Timestamp, at: Timestamp) {
        let second = between(start, at).as_secs();
        while second / self.width >= MOST as u64 {
            self.rows = self.rows.chunks(2).map(|two| two.iter().sum()).collect();
            self.width = self.width.saturating_mul(2);
        }
        let at = (second / self.width) as usize;
        if self.rows.len() <= at {
            self.rows.resize(at + 1, 0);
        }
        self.rows[at] += 1;
    }

    /// Returns the length of one part of the run.
    pub(crate) fn width(&self) -> Duration {
        Duration::from_secs(self.width)
    }

    /// Returns the rate of finished rows, in rows per minute, in each part of a run. The run took `elapsed`. If less
    /// than half of the last part has passed, this part is left out, because a rate over a very short time says little.
    pub(crate) fn per_minute(&self, elapsed: Duration) -> Vec<f64> {
        let width = self.width as f64;
        let parts = ((elapsed.as_secs_f64() / width).round() as usize).min(MOST);
        let rate = |at: usize| {
            let seconds = (elapsed.as_secs_f64() - at as f64 * width).min(width);
            self.rows.get(at).copied().unwrap_or(0) as f64 / seconds * 60.0
        };
        (0..parts).map(rate).collect()
    }

    /// Returns the chart of the rate as a line of bars. Returns `None` if the run was too short for a chart.
    pub(crate) fn sparkline(&self, elapsed: Duration) -> Option<String> {
        let rates = self.per_minute(elapsed);
        let highest = rates.iter().copied().fold(0.0, f64::max);
        if rates.len() < FEWEST || highest <= 0.0 {
            return None;
        }
        let bar = |rate: &f64| BARS[((rate / highest * BARS.len() as f64).ceil() as usize).clamp(1, BARS.len()) - 1];
        Some(rates.iter().map(bar).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_chart_rises_and_falls_with_the_rate() {
        let rows_of_seconds = [0, 1, 3, 8, 8, 8, 4, 1];
        let bins = bins(rows_of_seconds.iter().enumerate().flat_map(|(at, rows)| (0..*rows).map(move |_| at as i64)));

        assert_eq!(bins.sparkline(Duration::from_secs(8)).as_deref(), Some("▁▁▃███▄▁"));
    }

    #[test]
    fn a_run_of_less_than_five_seconds_has_no_chart() {
        let bins = bins(0..4);

        assert_eq!(bins.sparkline(Duration::from_millis(4_400)), None);
        assert!(bins.sparkline(Duration::from_millis(4_600)).is_some());
        assert_eq!(RateBins::default().sparkline(Duration::from_secs(60)), None, "no row finished");
    }

    #[test]
    fn the_last_part_has_the_rate_of_its_own_time() {
        let bins = bins(0..60);

        let rates = bins.per_minute(Duration::from_secs(58));

        assert_eq!(bins.width(), Duration::from_secs(4));
        assert_eq!(rates.len(), 15);
        assert!((rates[0] - 60.0).abs() < 1e-9 && (rates[14] - 120.0).abs() < 1e-9, "{rates:?}");
    }

    proptest! {
        #[test]
        fn no_row_is_lost_and_the_memory_is_bounded(seconds in proptest::collection::vec(0_i64..10_000_000, 1..200)) {
            let bins = bins(seconds.iter().copied());

            prop_assert_eq!(bins.rows.iter().sum::<u64>(), seconds.len() as u64);
            prop_assert!(bins.rows.len() <= MOST);
            let chart = bins.sparkline(Duration::from_secs(10_000_000)).unwrap_or_default();
            prop_assert!(chart.chars().count() <= MOST);
        }
    }

    fn bins(seconds: impl Iterator<Item = i64>) -> RateBins {
        let mut bins = RateBins::default();
        let at = |second| Timestamp::from_second(second).expect("a second of this century");
        seconds.for_each(|second| bins.add(at(0), at(second)));
        bins
    }
}
