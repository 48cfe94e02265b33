//! Counters of retried attempts, failed rows, rows with a mended answer, and rows that copied or reused an answer.

use std::collections::BTreeMap;

use super::text::count;
use crate::domain::{Alike, ErrorClass, FailedRow, LimitKind, Money, Purpose, TakenFrom, Usage};

/// Why an attempt was retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetryCause {
    /// A 429 because a limit per minute was used up.
    Rate,
    /// A 429 because the request rate rose too fast.
    Acceleration,
    /// A 429 because too many requests were in flight.
    Concurrency,
    /// Another failure.
    Class(ErrorClass),
}

impl RetryCause {
    pub(super) fn of(class: ErrorClass, limit: Option<LimitKind>) -> Self {
        match limit {
            Some(LimitKind::Rate) => Self::Rate,
            Some(LimitKind::Acceleration) => Self::Acceleration,
            Some(LimitKind::Concurrency) => Self::Concurrency,
            None => Self::Class(class),
        }
    }

    /// Returns the name of this cause, as shown to people and scripts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate limit (429)",
            Self::Acceleration => "acceleration limit (429)",
            Self::Concurrency => "concurrency limit (429)",
            Self::Class(class) => class.name(),
        }
    }
}

/// The failed rows of one run in one error class.
#[derive(Clone, Debug, Default)]
pub struct FailedRows {
    /// The number of failed rows.
    pub rows: u64,
    /// The number of failed rows that may succeed unchanged in another run.
    pub retryable: u64,
    /// The highest `max_tokens` in the last requests of these rows; 0 if no request was sent.
    pub max_tokens: u32,
    /// The different faults of these rows. Each fault has the number of its rows, and the first row that failed with
    /// it.
    pub faults: Alike<FailedRow>,
}

impl FailedRows {
    /// Counts a failed row.
    pub(crate) fn add(&mut self, row: &FailedRow) {
        self.rows += 1;
        self.retryable += u64::from(row.is_retryable);
        self.max_tokens = self.max_tokens.max(row.max_tokens);
        self.faults.add(&row.message, || row.clone());
    }

    /// Returns the first failed row of this class as an example.
    pub(crate) fn example(&self) -> Option<&FailedRow> {
        self.faults.first()
    }
}

/// The number of mended rows, by the purpose of the later request. A row is mended if its first answer was not
/// accepted, and a later request got an accepted answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MendedRows(BTreeMap<Purpose, u64>);

impl MendedRows {
    /// Counts a mended row: its accepted answer came from a later request with this purpose.
    pub(crate) fn add(&mut self, purpose: Purpose) {
        *self.0.entry(purpose).or_default() += 1;
    }

    /// Returns the total number of mended rows: the sum over all purposes of the later requests.
    pub(crate) fn rows(&self) -> u64 {
        self.0.values().sum()
    }

    /// For each purpose of the later request, returns the number of mended rows. The keys are the names of the
    /// purposes, as shown to scripts.
    pub(crate) fn by_name(&self) -> BTreeMap<&'static str, u64> {
        self.0.iter().map(|(purpose, rows)| (name(*purpose), *rows)).collect()
    }

    /// Returns the numbers as text, such as `31 repaired, 12 made longer`; `None` if there are no such rows.
    pub(crate) fn words(&self) -> Option<String> {
        let parts: Vec<_> =
            self.0.iter().map(|(purpose, rows)| format!("{} {}", count(*rows), words(*purpose))).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

/// Returns the name of a purpose, as shown to scripts.
fn name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Repair => "repaired",
        Purpose::Again => "retried",
        Purpose::MoreRoom => "grown",
        Purpose::Continue => "continued",
        Purpose::Unpause => "unpaused",
        Purpose::Fallback => "another_model",
        Purpose::First | Purpose::Canary => purpose.name(),
    }
}

/// Returns the text for a purpose, as shown to people.
fn words(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::MoreRoom => "made longer",
        Purpose::Unpause => "continued after a pause",
        Purpose::Fallback => "by another model or provider",
        Purpose::First | Purpose::Repair | Purpose::Again | Purpose::Continue | Purpose::Canary => name(purpose),
    }
}

/// The rows of one run that copied or reused an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakenRows {
    /// The number of rows that copied the answer of an equal row.
    pub copied: u64,
    /// The number of rows that took their answer from the results of an earlier run.
    pub reused: u64,
    /// The amount that was originally paid for the copied and reused answers. Answers with an unknown cost are left
    /// out.
    pub saved: Money,
}

impl TakenRows {
    /// Counts a row that copied or reused an answer.
    pub(crate) fn add(&mut self, from: TakenFrom, saved: Money) {
        match from {
            TakenFrom::EqualRow => self.copied += 1,
            TakenFrom::EarlierResults => self.reused += 1,
        }
        self.saved += saved;
    }

    /// Returns the number of copied and reused rows together.
    pub(crate) fn rows(&self) -> u64 {
        self.copied + self.reused
    }

    /// Returns the numbers as text, such as `3,000 copied from equal rows, 200 reused; saved about $1.20`. Returns
    /// `None` if there are no such rows.
    pub(crate) fn words(&self) -> Option<String> {
        let copied = (self.copied > 0).then(|| format!("{} copied from equal rows", count(self.copied)));
        let reused = (self.reused > 0).then(|| format!("{} reused", count(self.reused)));
        let rows = [copied, reused].into_iter().flatten().collect::<Vec<_>>().join(", ");
        let saved = if self.saved > Money::ZERO { format!("; saved about {}", self.saved) } else { String::new() };
        (!rows.is_empty()).then(|| format!("{rows}{saved}"))
    }
}

/// The rows that were answered in batches.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BatchRows {
    /// Their number.
    pub(super) rows: u64,
    /// How much less these rows cost in batches than they would have cost online. Rows without a known price are left
    /// out. Rows with web searches are also left out, because a search costs as much in a batch as online.
    pub(super) saved: Money,
}

impl BatchRows {
    /// Counts a row that was answered in a batch. In a batch, tokens cost half as much as online, so the saving is
    /// equal to the cost of the row.
    pub(super) fn add(&mut self, usage: Usage, cost: Option<Money>) {
        self.rows += 1;
        self.saved += cost.filter(|_| usage.web_searches == 0).unwrap_or(Money::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_took_an_answer_are_counted_by_where_it_came_from() {
        let mut taken = TakenRows::default();
        assert_eq!(taken.words(), None);

        (0..3_000).for_each(|_| taken.add(TakenFrom::EqualRow, Money::from_dollars(0.0005)));
        assert_eq!(taken.words().as_deref(), Some("3,000 copied from equal rows; saved about $1.50"));
        taken.add(TakenFrom::EarlierResults, Money::ZERO);
        assert_eq!(taken.words().as_deref(), Some("3,000 copied from equal rows, 1 reused; saved about $1.50"));
    }

    #[test]
    fn every_way_to_mend_an_answer_has_a_name_and_words() {
        let mut rows = MendedRows::default();
        let purposes = Purpose::ALL.into_iter().filter(|purpose| !matches!(purpose, Purpose::First | Purpose::Canary));
        purposes.for_each(|purpose| rows.add(purpose));

        assert_eq!(
            rows.words().as_deref(),
            Some(
                "1 repaired, 1 retried, 1 made longer, 1 continued, 1 continued after a pause, 1 by another model or provider"
            )
        );
        let names: Vec<_> = rows.by_name().into_keys().collect();
        assert_eq!(names, ["another_model", "continued", "grown", "repaired", "retried", "unpaused"]);
    }

    #[test]
    fn searches_are_not_cheaper_in_batches() {
        let mut rows = BatchRows::default();

        rows.add(Usage { web_searches: 1, ..Usage::default() }, Some(Money::from_dollars(1.0)));
        rows.add(Usage::default(), None);

        assert_eq!((rows.rows, rows.saved), (2, Money::ZERO));
    }
}
