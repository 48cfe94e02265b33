//! A first pass over the input, which finds the requests and labels that occur more than once.
//!
//! The collected labels take eight bytes per row. A key is a hash. The first half of a key is enough, so only this half
//! is stored. If the first halves of two keys are equal by chance, the only effect is that a row gets a number that it
//! does not need. A label is stored as a hash. Two labels with the same hash may be equal, so a second pass compares
//! the labels themselves.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::seen::Seen;
use crate::domain::{JobKey, Origin, quoted};

/// The keys that several rows have. Only rows with these keys need a number that distinguishes equal rows.
#[derive(Clone, Debug, Default)]
pub struct Repeats(Vec<u64>);

impl Repeats {
    /// Returns the `Repeats` with these halves of keys.
    pub(super) fn of_halves(mut halves: Vec<u64>) -> Self {
        halves.sort_unstable();
        halves.dedup();
        halves.shrink_to_fit();
        Self(halves)
    }

    /// Returns whether a key probably occurs more than once. If the result is `false`, the key certainly does not occur
    /// more than once.
    pub fn contains(&self, key: JobKey) -> bool {
        self.has_half(half(key))
    }

    /// Works like [`Repeats::contains`], but takes only the half of the key that is kept in memory.
    pub(crate) fn has_half(&self, half: u64) -> bool {
        self.0.binary_search(&half).is_ok()
    }

    /// Returns the number of different keys that occur more than once.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether every key occurs once.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Finds equal rows: rows with the same request as an earlier row.
#[derive(Debug)]
pub(crate) enum RequestCensus {
    /// Counts the equal rows when all rows have been added. This needs eight bytes of memory per row.
    Counting(Vec<u64>),
    /// Recognizes an equal row as soon as the row is added. This needs up to 16 bytes of memory per row.
    Recognizing {
        /// The hashes of the requests that were added so far.
        seen: Seen,
        /// The hashes of the requests that occur in more than one row.
        again: Vec<u64>,
    },
}

impl RequestCensus {
    /// Returns a census that finds equal rows only after all rows were added.
    pub(crate) fn counting() -> Self {
        Self::Counting(Vec::new())
    }

    /// Returns a census that recognizes an equal row as soon as the row is added.
    pub(crate) fn recognizing() -> Self {
        Self::Recognizing { seen: Seen::default(), again: Vec::new() }
    }

    /// Adds a row. Returns whether the row's request is known to be equal to the request of an earlier row.
    pub(crate) fn add(&mut self, key: JobKey) -> bool {
        match self {
            Self::Counting(keys) => {
                keys.push(half(key));
                false
            }
            Self::Recognizing { seen, again } => {
                let is_again = !seen.insert(half(key));
                again.extend(is_again.then_some(half(key)));
                is_again
            }
        }
    }

    /// Returns the number of rows that have the same request as an earlier row, and the keys of these requests. A
    /// census that only counts rows returns no keys.
    pub(crate) fn finish(self) -> (u64, Repeats) {
        match self {
            Self::Counting(mut keys) => {
                let rows = keys.len();
                keys.sort_unstable();
                keys.dedup();
                ((rows - keys.len()) as u64, Repeats::default())
            }
            Self::Recognizing { seen: _, again } => {
                let rows = again.len() as u64;
                (rows, Repeats::of_halves(again))
            }
        }
    }
}

/// Returns the half of a key that is kept in memory.
pub(crate) fn half(key: JobKey) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = key.0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// Collects the labels that users gave.
#[derive(Debug, Default)]
pub(crate) struct LabelCensus {
    /// The names of the inputs.
    sources: Vec<String>,
    labels: Vec<u64>,
    /// The labels that rows without a label can have too: `<source>:<line>`.
    places: Vec<u64>,
}

impl LabelCensus {
    /// Returns an empty list. `sources` are the names of the inputs.
    pub(crate) fn of(sources: Vec<String>) -> Self {
        Self { sources, ..Self::default() }
    }

    /// Adds a row's label.
    pub(crate) fn add(&mut self, label: &str) {
        let hash = label_hash(label);
        self.labels.push(hash);
        let is_line = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if let Some((source, line)) = label.rsplit_once(':')
            && is_line(line)
            && self.sources.iter().any(|own| own == source)
        {
            self.places.push(hash);
        }
    }

    /// Returns the hashes of labels that two rows can have, sorted: labels that occurred more than once, and labels
    /// that look like the label of a row without a label of its own. [`first_duplicate`] takes these hashes as
    /// `suspects`.
    pub(crate) fn finish(self) -> Vec<u64> {
        let mut suspects = repeated(self.labels);
        suspects.extend(self.places);
        suspects.sort_unstable();
        suspects.dedup();
        suspects
    }
}

/// A label that two rows of the input have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateLabel {
    /// The label.
    pub label: String,
    /// The place of the first row that has the label.
    pub first: Origin,
    /// The place of the next row that has the label.
    pub second: Origin,
}

impl std::fmt::Display for DuplicateLabel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { label, first, second } = self;
        write!(
            f,
            "{}:{} repeats the id {}, first used at {}:{}; ids must differ",
            second.source,
            second.line,
            quoted(label),
            first.source,
            first.line
        )
    }
}

/// Returns whether the hash of a label is among `suspects`, which are sorted.
pub fn is_suspect(label: &str, suspects: &[u64]) -> bool {
    suspects.binary_search(&label_hash(label)).is_ok()
}

/// Returns the first label that repeats an earlier label. Two labels are compared only if their hash is among the
/// sorted `suspects`.
pub(crate) fn first_duplicate<L: AsRef<str>>(
    labels: impl IntoIterator<Item = (L, Origin)>,
    suspects: &[u64],
) -> Option<DuplicateLabel> {
    let mut seen: HashMap<String, Origin> = HashMap::new();
    for (label, origin) in labels {
        let label = label.as_ref();
        if !is_suspect(label, suspects) {
            continue;
        }
        if let Some(first) = seen.remove(label) {
            return Some(DuplicateLabel { label: label.to_owned(), first, second: origin });
        }
        seen.insert(label.to_owned(), origin);
    }
    None
}

fn label_hash(label: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    label.hash(&mut hasher);
    hasher.finish()
}

/// Returns the hashes that occur more than once. The result is sorted and contains each hash once.
fn repeated(mut hashes: Vec<u64>) -> Vec<u64> {
    hashes.sort_unstable();
    let mut twice: Vec<u64> = hashes.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    twice.dedup();
    twice
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(first: u8) -> JobKey {
        JobKey([first, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9])
    }

    fn at(line: u64) -> Origin {
        Origin { source: "a.jsonl".into(), line }
    }

    #[test]
    fn rows_with_the_request_of_an_earlier_row_are_counted_or_recognized() {
        let mut counting = RequestCensus::counting();
        let mut recognizing = RequestCensus::recognizing();

        let keys = [3, 1, 2, 1, 1, 3].map(key);
        assert!(!keys.iter().any(|key| counting.add(*key)));
        assert_eq!(keys.map(|key| recognizing.add(key)), [false, false, false, true, true, true]);

        let (rows, repeats) = recognizing.finish();
        assert_eq!((counting.finish().0, rows, repeats.len()), (3, 3, 2));
        assert!(repeats.contains(key(1)) && repeats.contains(key(3)) && !repeats.contains(key(2)));
    }

    #[test]
    fn the_first_label_that_repeats_is_named_with_both_rows() {
        let labels = ["a", "B", "b", "c ", "c", "b", "a"];
        let mut census = LabelCensus::default();
        labels.iter().for_each(|label| census.add(label));

        let suspects = census.finish();
        let found = first_duplicate(labels.iter().zip(1..).map(|(label, line)| (label, at(line))), &suspects);

        assert_eq!(suspects.len(), 2);
        assert_eq!(found, Some(DuplicateLabel { label: "b".to_owned(), first: at(3), second: at(6) }));
    }

    #[test]
    fn a_label_that_looks_like_a_line_of_an_input_is_compared_with_rows_without_a_label() {
        let mut census = LabelCensus::of(vec!["p.jsonl".to_owned()]);
        ["p.jsonl:1", "q.jsonl:1", "p.jsonl:", "p.jsonl", "p.jsonl:1a"].iter().for_each(|label| census.add(label));

        assert_eq!(census.finish(), [label_hash("p.jsonl:1")]);
    }

    #[test]
    fn a_shared_hash_alone_is_not_a_duplicate() {
        let suspects = [label_hash("a")];

        assert_eq!(first_duplicate([("a", at(1)), ("b", at(2)), ("b", at(3))], &suspects), None);
    }
}
