//! What the report of a run shows. All lists are bounded, so the memory does not grow with the rows.
//!
//! The facts contain ids, classes, counts and shortened messages, but no prompts and no answers.

use jiff::Timestamp;

use super::timeline::Timeline;
use crate::domain::{ErrorClass, Money, Usage};
use crate::journal::{FailureText, Totals};
use crate::report::histogram::Histogram;

/// What the report of a run shows.
#[derive(Debug)]
pub(crate) struct RunFacts {
    /// The name of the run for people: its results file, or its error log.
    pub(crate) name: String,
    /// When the facts were read.
    pub(crate) made_at: Timestamp,
    /// The version of the program that reads the facts.
    pub(crate) tool: &'static str,
    /// Whether the run is in progress, and how it ended.
    pub(crate) state: State,
    /// What was asked: names and values, in the order in which they are shown.
    pub(crate) asked: Vec<(String, String)>,
    /// The answers.
    pub(crate) answers: Answers,
    /// The failures.
    pub(crate) failures: Failures,
    /// Tokens and money of everything: answers, failures, and lines that were removed later.
    pub(crate) totals: Totals,
    /// Requests that were in flight when the run was killed. They may have been billed.
    pub(crate) dead_in_flight: u64,
    /// The history; `None` if the run has no history, or if it can't be read.
    pub(crate) timeline: Option<Timeline>,
    /// What is missing in the report and why, as sentences.
    pub(crate) missing: Vec<String>,
    /// The commands that continue the run: what each does, and the command.
    pub(crate) next: Vec<(String, String)>,
}

/// Whether a run is in progress, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The run is in progress.
    Running {
        /// Its process, if it is known.
        process: Option<u32>,
    },
    /// The run ended without closing its files.
    Killed,
    /// Something stopped the run: the reason in words.
    Stopped(String),
    /// The run ended with the last row.
    Finished,
    /// The run is not in progress. How it ended is not known.
    Ended,
}

/// What the lines of the results say.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// The sums of these lines.
    pub(crate) totals: Totals,
    /// The time from the first send to the answer. Batches are left out.
    pub(crate) latency: Histogram,
    /// The longest of these times, in milliseconds.
    pub(crate) longest_ms: u64,
    /// Attempts of all rows.
    pub(crate) attempts: u64,
    /// Rows that needed more than one attempt.
    pub(crate) retried: u64,
    /// Rows whose cost is not known, because their model has no price.
    pub(crate) unpriced: u64,
    /// Rows whose answer came in a batch.
    pub(crate) batch: u64,
    /// Rows that took the answer of an equal row.
    pub(crate) copied: u64,
    /// Rows that took an answer of earlier results.
    pub(crate) reused: u64,
    /// The cost of the answers that were taken from other lines.
    pub(crate) saved: Money,
    /// The rows of each model, in the order in which the models were found.
    pub(crate) models: Vec<ModelSum>,
    /// Rows of further models.
    pub(crate) of_other_models: u64,
    /// The rows with the longest times.
    pub(crate) slowest: Top,
    /// The rows with the highest costs.
    pub(crate) dearest: Top,
    /// When the rows ended.
    pub(crate) rate: Rate,
}

/// The sums of one model at one provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModelSum {
    /// The name of the provider, shortened; empty if the lines do not say it.
    pub(crate) provider: String,
    /// The name of the model, shortened.
    pub(crate) model: String,
    /// How many rows it answered.
    pub(crate) rows: u64,
    /// The tokens of these rows.
    pub(crate) usage: Usage,
    /// Their known cost.
    pub(crate) spend: Money,
}

/// The failures of a run.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    /// How many rows failed, by class, the largest class first. Unfinished rows are left out.
    pub(crate) by_class: Vec<(ErrorClass, u64)>,
    /// How many rows are not finished: another request was to be sent for them.
    pub(crate) unfinished: u64,
    /// Examples of each class.
    pub(crate) examples: Vec<FailureText>,
    /// Whether the log has too many entries to remember. Then some rows that were answered later may still count as
    /// failed.
    pub(crate) is_rough: bool,
    /// The sums of the lines.
    pub(crate) totals: Totals,
}

impl Failures {
    /// Returns how many rows failed.
    pub(crate) fn rows(&self) -> u64 {
        self.by_class.iter().map(|(_, rows)| rows).sum()
    }
}

/// How many rows a list of the slowest or dearest rows has.
const TOP_ROWS: usize = 10;

/// The rows with the highest values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Top(Vec<(u128, TopRow)>);

/// A row in a list of the slowest or dearest rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TopRow {
    /// The label, shortened.
    pub(crate) label: String,
    /// The model, shortened.
    pub(crate) model: String,
    /// The time from the first send to the answer, in milliseconds.
    pub(crate) latency_ms: Option<u64>,
    /// The known cost.
    pub(crate) cost: Money,
    /// How many attempts it needed.
    pub(crate) attempts: u64,
    /// Its output tokens.
    pub(crate) output_tokens: u64,
}

impl Top {
    /// Adds a row if its value is among the highest. If values are equal, the earlier row has priority.
    #[inline]
    pub(crate) fn add(&mut self, value: u128, row: impl FnOnce() -> TopRow) {
        if self.0.len() >= TOP_ROWS && self.0.last().is_some_and(|(last, _)| *last >= value) {
            return;
        }
        let at = self.0.partition_point(|(other, _)| *other >= value);
        self.0.insert(at, (value, row()));
        self.0.truncate(TOP_ROWS);
    }

    /// Adds the rows of another list. Its rows come later in the file.
    pub(crate) fn merge(&mut self, other: Self) {
        other.0.into_iter().for_each(|(value, row)| self.add(value, || row));
    }

    /// Returns the rows, the highest value first.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &TopRow> {
        self.0.iter().map(|(_, row)| row)
    }
}

/// The rows that ended in a piece of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Answered rows.
    pub(crate) ok: u64,
    /// Failed rows.
    pub(crate) failed: u64,
    /// Uncached input tokens.
    pub(crate) input: u64,
    /// Input tokens read from a cache.
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

/// At most this many pieces of time are kept. If there are more, pieces are merged in pairs.
const MOST_PIECES: usize = 300;

/// When rows ended: counts for pieces of time of equal length. Pieces in which nothing ended are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// The length of a piece is 2 to the power of this number, in seconds.
    doublings: u32,
    pieces: std::collections::BTreeMap<i64, Ended>,
    /// The piece to which rows are being added.
    current: (i64, Ended),
}

impl Default for Rate {
    fn default() -> Self {
        Self { doublings: 0, pieces: Default::default(), current: (i64::MIN, Ended::default()) }
    }
}

impl Rate {
    /// Adds rows that ended in this second, counted from 1970.
    #[inline]
    pub(crate) fn add(&mut self, second: i64, ended: Ended) {
        let piece = second >> self.doublings;
        if self.current.0 != piece {
            self.put();
            self.current = (second >> self.doublings, Ended::default());
        }
        self.current.1.add(ended);
    }

    /// Adds the counts of another list.
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

    /// Returns the length of a piece in seconds, and for each piece its beginning in seconds after 1970 and what ended.
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
