//! Counts of attempts that were tried again, of rows that failed, and of rows that took their answer from another line.

use super::text::count;
use crate::domain::{Alike, ErrorClass, FailedRow, LimitKind, Money, TakenFrom, Usage};

/// Why an attempt is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetryCause {
    /// A 429 because a limit per minute was used up.
    Rate,
    /// A 429 because the rate rose too fast.
    Acceleration,
    /// A 429 because of too many requests at the same time.
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

    /// Returns the name shown to people and scripts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate limit (429)",
            Self::Acceleration => "acceleration limit (429)",
            Self::Concurrency => "concurrency limit (429)",
            Self::Class(class) => class.name(),
        }
    }
}

/// The rows of one run that failed in one class.
#[derive(Clone, Debug, Default)]
pub struct FailedRows {
    /// The number of rows.
    pub rows: u64,
    /// How many of these rows could succeed in another run without a change.
    pub retryable: u64,
    /// The highest `max_tokens` of their last requests; 0 if none of them was sent.
    pub max_tokens: u32,
    /// Their faults. Each fault has a count and the first row that failed with it.
    pub faults: Alike<FailedRow>,
}

impl FailedRows {
    /// Counts a row.
    pub(crate) fn add(&mut self, row: &FailedRow) {
        self.rows += 1;
        self.retryable += u64::from(row.is_retryable);
        self.max_tokens = self.max_tokens.max(row.max_tokens);
        self.faults.add(&row.message, || row.clone());
    }

    /// Returns the first of these rows.
    pub(crate) fn example(&self) -> Option<&FailedRow> {
        self.faults.first()
    }
}

/// The rows of one run that took their answer from another line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakenRows {
    /// Rows with the answer of an equal row.
    pub copied: u64,
    /// Rows with an answer of an earlier run.
    pub reused: u64,
    /// What these answers cost when they were paid for. Answers of unknown cost are left out.
    pub saved: Money,
}

impl TakenRows {
    /// Counts a row.
    pub(crate) fn add(&mut self, from: TakenFrom, saved: Money) {
        match from {
            TakenFrom::EqualRow => self.copied += 1,
            TakenFrom::EarlierResults => self.reused += 1,
        }
        self.saved += saved;
    }

    /// Returns the number of rows.
    pub(crate) fn rows(&self) -> u64 {
        self.copied + self.reused
    }

    /// Returns the counts as text, such as `3,000 copied from equal rows, 200 reused; saved about $1.20`; `None` if
    /// there is no such row.
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
    /// How much more they would have cost online. Rows without a price are left out, and so are rows with web searches,
    /// because searches cost the same in both lanes.
    pub(super) saved: Money,
}

impl BatchRows {
    /// Adds a row. In a batch, tokens cost half. So a row has saved what it cost.
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
    fn searches_are_not_cheaper_in_batches() {
        let mut rows = BatchRows::default();

        rows.add(Usage { web_searches: 1, ..Usage::default() }, Some(Money::from_dollars(1.0)));
        rows.add(Usage::default(), None);

        assert_eq!((rows.rows, rows.saved), (2, Money::ZERO));
    }
}
