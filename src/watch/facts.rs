//! The facts about a run that its HTML report shows. All lists are bounded, so the memory does not grow with the number
//! of rows.
//!
//! The facts contain ids, error classes, numbers and shortened messages, but no prompts and no answers.

use jiff::Timestamp;

use super::timeline::Timeline;
use crate::domain::{ErrorClass, Money, Usage};
use crate::journal::{FailureText, Totals};
use crate::report::histogram::Histogram;

/// What the HTML report of a run shows.
#[derive(Debug)]
pub(crate) struct RunFacts {
    /// The name of the run for people: the path of its results file or of its error log.
    pub(crate) name: String,
    /// The time when the files of the run were read.
    pub(crate) made_at: Timestamp,
    /// The version of the program that makes the report.
    pub(crate) tool: &'static str,
    /// The state of the run: in progress, or how it ended.
    pub(crate) state: State,
    /// The settings of the run, as names and values. The settings are in the order in which the report shows them.
    pub(crate) asked: Vec<(String, String)>,
    /// The answers.
    pub(crate) answers: Answers,
    /// The failures.
    pub(crate) failures: Failures,
    /// The tokens and the cost of all answers and failures, even if their lines were removed later.
    pub(crate) totals: Totals,
    /// The number of requests that were in flight when the run was killed. These requests were possibly billed.
    pub(crate) dead_in_flight: u64,
    /// The history of the run; `None` if there is no history, or if it can't be read.
    pub(crate) timeline: Option<Timeline>,
    /// Sentences that say what is missing in the report, and why.
    pub(crate) missing: Vec<String>,
    /// The commands that continue the run. Each entry has the description and the text of a command.
    pub(crate) next: Vec<(String, String)>,
}

/// The state of a run: in progress, or how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The run is in progress.
    Running {
        /// The id of the process of the run; `None` if it is not known.
        process: Option<u32>,
    },
    /// The run ended without closing its files.
    Killed,
    /// The run stopped early. The text is the reason.
    Stopped(String),
    /// The run ended after all its rows were done.
    Finished,
    /// The run is not in progress, and it is not known how it ended.
    Ended,
}

/// The sums and lists that are computed from the lines of the results.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// Sums over all lines: the tokens, the cost, and the number of answers of each quality.
    pub(crate) totals: Totals,
    /// The latencies of the answers, counted from the first request of a row. Answers from batches are left out.
    pub(crate) latency: Histogram,
    /// The longest latency, in milliseconds.
    pub(crate) longest_ms: u64,
    /// The number of attempts of all rows together.
    pub(crate) attempts: u64,
    /// The number of rows that needed more than one attempt.
    pub(crate) retried: u64,
    /// The number of rows whose cost is unknown because their model has no known price.
    pub(crate) unpriced: u64,
    /// The number of rows that were answered in a batch.
    pub(crate) batch: u64,
    /// The number of rows that copied the answer of an equal row.
    pub(crate) copied: u64,
    /// The number of rows that took their answer from earlier results.
    pub(crate) reused: u64,
    /// The sum of the original costs of the copied and reused answers.
    pub(crate) saved: Money,
    /// The sums of each model, in the order in which the models were found in the results.
    pub(crate) models: Vec<ModelSum>,
    /// The number of rows whose model is not in `models` because that list is full.
    pub(crate) of_other_models: u64,
    /// The rows with the longest latencies.
    pub(crate) slowest: Top,
    /// The rows with the highest costs.
    pub(crate) dearest: Top,
    /// How many rows ended in each time interval.
    pub(crate) rate: Rate,
}

/// The sums of one model at one provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModelSum {
    /// The shortened name of the provider; empty if the lines of the results do not contain it.
    pub(crate) provider: String,
    /// The shortened name of the model.
    pub(crate) model: String,
    /// The number of rows that this model answered at this provider.
    pub(crate) rows: u64,
    /// The tokens of these rows.
    pub(crate) usage: Usage,
    /// The known cost of these rows.
    pub(crate) spend: Money,
}

/// The failures of a run.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// The number of failed rows in each error class. The largest class comes first. Unfinished rows are left out.
    pub(crate) by_class: Vec<(ErrorClass, u64)>,
    /// The number of unfinished rows. The run stopped before it sent the next request for these rows.
    pub(crate) unfinished: u64,
    /// Examples of the failures in each error class.
    pub(crate) examples: Vec<FailureText>,
    /// Whether the numbers can be too high. If the error log has too many entries to remember, some rows that were
    /// answered later are counted as failed.
    pub(crate) is_rough: bool,
    /// The sums of tokens and cost over the lines of the error log.
    pub(crate) totals: Totals,
}

impl Failures {
    /// Returns the number of failed rows.
    pub(crate) fn rows(&self) -> u64 {
        self.by_class.iter().map(|(_, rows)| rows).sum()
    }
}

/// The largest number of rows in a list of the slowest or most expensive rows.
const TOP_ROWS: usize = 10;

/// A list of the rows with the highest values, such as the slowest or most expensive rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Top(Vec<(u128, TopRow)>);

/// A row in a list of the slowest or most expensive rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TopRow {
    /// The shortened label of the row.
    pub(crate) label: String,
    /// The shortened name of the model.
    pub(crate) model: String,
    /// The latency of the answer in milliseconds, counted from the first request of the row.
    pub(crate) latency_ms: Option<u64>,
    /// The known cost of the row.
    pub(crate) cost: Money,
    /// The number of attempts that the row needed.
    pub(crate) attempts: u64,
    /// The number of output tokens of the answer.
    pub(crate) output_tokens: u64,
}

impl Top {
    /// Adds a row if its value is among the highest values. If two values are equal, the earlier row comes first.
    #[inline]
    pub(crate) fn add(&mut self, value: u128, row: impl FnOnce() -> TopRow) {
        if self.0.len() >= TOP_ROWS && self.0.last().is_some_and(|(last, _)| *last >= value) {
            return;
        }
        let at = self.0.partition_point(|(other, _)| *other >= value);
        self.0.insert(at, (value, row()));
        self.0.truncate(TOP_ROWS);
    }

    /// Adds the rows of the list `other`. In the file, the rows of `other` come after the rows of this list.
    pub(crate) fn merge(&mut self, other: Self) {
        other.0.into_iter().for_each(|(value, row)| self.add(value, || row));
    }

    /// Returns the rows of the list. The row with the highest value comes first.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &TopRow> {
        self.0.iter().map(|(_, row)| row)
    }
}

/// How many rows ended in one time interval, with their tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Answered rows.
    pub(crate) ok: u64,
    /// Failed rows.
    pub(crate) failed: u64,
    /// Input tokens that were not read from the prompt cache.
    pub(crate) input: u64,
    /// Input tokens read from the prompt cache.
    pub(crate) cached: u64,
    /// Output tokens.
    pub(crate) output: u64,
}

impl Ended {
    fn add(&mut self, other: Self) {
        self.ok += other.ok;
        self.failed += other.failed;
        self.input = self.input.saturating_add(other.input);
        self.cached = self.cached.saturating_add(other.cached);
        self.output = self.output.saturating_add(other.output);
    }
}

/// The largest number of time intervals in a rate. If there are more intervals than this, they are merged in pairs.
const MOST_PIECES: usize = 300;

/// How many rows ended in each time interval. All intervals have the same length, and empty intervals are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Each interval lasts `2^doublings` seconds.
    doublings: u32,
    pieces: std::collections::BTreeMap<i64, Ended>,
    /// The interval that contains the last added rows, and the sums of this interval.
    current: (i64, Ended),
}

impl Default for Rate {
    fn default() -> Self {
        Self { doublings: 0, pieces: Default::default(), current: (i64::MIN, Ended::default()) }
    }
}

impl Rate {
    /// Adds rows that ended in the same second. `second` is the number of seconds from the start of 1970 to this
    /// second.
    #[inline]
    pub(crate) fn add(&mut self, second: i64, ended: Ended) {
        let piece = second >> self.doublings;
        if self.current.0 != piece {
            self.put();
            self.current = (second >> self.doublings, Ended::default());
        }
        self.current.1.add(ended);
    }

    /// Adds the rows that `other` contains.
    pub(crate) fn merge(&mut self, mut other: Self) {
        self.put();
        other.put();
        while self.doublings < other.doublings {
            self.widen();
        }
        for (piece, ended) in other.pieces {
            let piece = (piece << other.doublings) >> self.doublings;
            self.pieces.entry(piece).or_default().add(ended);
        }
        self.narrow();
    }

    /// Returns how long each interval is, in seconds, and the list of all intervals. For each interval, returns its
    /// start (in seconds after 1970) and the rows that ended in it.
    pub(crate) fn pieces(&self) -> (i64, Vec<(i64, Ended)>) {
        let mut whole = self.clone();
        whole.put();
        let pieces = whole.pieces.into_iter().map(|(piece, ended)| (piece << whole.doublings, ended)).collect();
        (1 << whole.doublings, pieces)
    }

    fn put(&mut self) {
        let (piece, ended) = std::mem::replace(&mut self.current, (i64::MIN, Ended::default()));
        if piece != i64::MIN {
            self.pieces.entry(piece).or_default().add(ended);
            self.narrow();
        }
    }

    fn narrow(&mut self) {
        while self.pieces.len() > MOST_PIECES && self.doublings < 40 {
            self.widen();
        }
    }

    fn widen(&mut self) {
        self.doublings += 1;
        for (piece, ended) in std::mem::take(&mut self.pieces) {
            self.pieces.entry(piece >> 1).or_default().add(ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_top_list_has_the_highest_values_in_order() {
        let mut random = fastrand::Rng::with_seed(3);
        let values: Vec<u128> = (0..500).map(|_| u128::from(random.u64(0..200))).collect();
        let mut halves = [Top::default(), Top::default()];
        for (at, value) in values.iter().enumerate() {
            halves[at / 250].add(*value, || TopRow { label: at.to_string(), ..TopRow::default() });
        }
        let [mut all, later] = halves;

        all.merge(later);

        let mut expected: Vec<(u128, usize)> = values.iter().copied().zip(0..).collect();
        expected.sort_by_key(|(value, at)| (std::cmp::Reverse(*value), *at));
        let labels: Vec<String> = expected.iter().take(10).map(|(_, at)| at.to_string()).collect();
        assert_eq!(all.rows().map(|row| row.label.clone()).collect::<Vec<_>>(), labels);
    }

    #[test]
    fn a_rate_keeps_every_row_in_a_bounded_number_of_pieces() {
        let mut random = fastrand::Rng::with_seed(4);
        let mut halves = [Rate::default(), Rate::default()];
        for at in 0..20_000_i64 {
            let second = 1_700_000_000 + at * 3 + random.i64(-5..5);
            halves[usize::from(at >= 4_000)].add(second, Ended { ok: 1, output: 7, ..Ended::default() });
        }
        let [mut all, later] = halves;

        all.merge(later);

        let (seconds, pieces) = all.pieces();
        assert!(pieces.len() <= MOST_PIECES && pieces.len() > MOST_PIECES / 4, "{}", pieces.len());
        assert_eq!(pieces.iter().map(|(_, ended)| ended.ok).sum::<u64>(), 20_000);
        assert_eq!(pieces.iter().map(|(_, ended)| ended.output).sum::<u64>(), 140_000);
        assert!(pieces.windows(2).all(|pair| pair[1].0 - pair[0].0 >= seconds));
    }
}
