//! What answers are like: how many were mended by another request, and how many are not as wanted.
//!
//! A truncated or refused answer can be kept, and then its row is answered. Or it is not accepted, and then its row
//! failed. During a run, both are counted together, because people look at these counts to see whether the prompt works.
//! The summary counts them separately, as the files do.

use std::collections::BTreeMap;

use super::stats::Stats;
use super::text::count;
use crate::domain::{ErrorClass, Purpose, Quality};

/// The rows whose first answer was not accepted and that have an answer from another request, by the purpose of this
/// request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MendedRows(BTreeMap<Purpose, u64>);

impl MendedRows {
    /// Counts a row.
    pub(super) fn add(&mut self, purpose: Purpose) {
        *self.0.entry(purpose).or_default() += 1;
    }

    /// Returns the number of rows.
    pub(crate) fn rows(&self) -> u64 {
        self.0.values().sum()
    }

    /// Returns the number of rows for each purpose, with its name for scripts.
    pub(crate) fn by_name(&self) -> BTreeMap<&'static str, u64> {
        self.0.iter().map(|(purpose, rows)| (name(*purpose), *rows)).collect()
    }

    /// Returns the counts as text, such as `31 repaired, 12 grown`; `None` if there is no such row.
    pub(crate) fn words(&self) -> Option<String> {
        let parts: Vec<_> =
            self.0.iter().map(|(purpose, rows)| format!("{} {}", count(*rows), words(*purpose))).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

/// Returns the name for scripts.
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

/// Returns the words for people.
fn words(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Unpause => "continued after a pause",
        Purpose::Fallback => "by another model",
        Purpose::First | Purpose::Repair | Purpose::Again | Purpose::MoreRoom | Purpose::Continue | Purpose::Canary => {
            name(purpose)
        }
    }
}

/// The rows that this run finished, by what their answer is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    /// Answers that ended by themselves and were accepted.
    pub(super) ok: u64,
    /// Truncated answers, kept or not.
    pub(super) truncated: u64,
    /// Refusals, kept or not.
    pub(super) refused: u64,
    /// Answers that can't be used.
    pub(super) invalid: u64,
    /// Rows that failed for another reason.
    pub(super) failed: u64,
}

impl Answers {
    /// Returns the counts of a run.
    pub(super) fn of(stats: &Stats) -> Self {
        let truncated = stats.failed_as(ErrorClass::Truncated);
        let refused = stats.failed_as(ErrorClass::Refused);
        let invalid = stats.failed_as(ErrorClass::InvalidOutput);
        Self {
            ok: stats.succeeded_as(Quality::Ok),
            truncated: truncated + stats.succeeded_as(Quality::Truncated),
            refused: refused + stats.succeeded_as(Quality::Refused),
            invalid,
            failed: stats.failed_total() - truncated - refused - invalid,
        }
    }

    /// Returns how many answers are truncated, refused or invalid.
    pub(super) fn not_ok(&self) -> u64 {
        self.truncated + self.refused + self.invalid
    }

    /// Returns these counts as text, such as `3 truncated, 2 refused`; `None` if there is no such answer.
    pub(super) fn not_ok_words(&self) -> Option<String> {
        let kinds = [(self.truncated, "truncated"), (self.refused, "refused"), (self.invalid, "invalid")];
        let parts = kinds.into_iter().filter(|(rows, _)| *rows > 0);
        let parts: Vec<_> = parts.map(|(rows, name)| format!("{} {name}", count(rows))).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// Returns the answers that are as wanted, such as `940 ok (31 repaired, 12 grown)`. `None` if all answers are, and
    /// none of them was mended: then the number of finished rows says the same.
    pub(super) fn ok_words(&self, mended: &MendedRows) -> Option<String> {
        let mended = mended.words();
        let is_told = mended.is_some() || self.not_ok() > 0;
        let mended = mended.map(|mended| format!(" ({mended})")).unwrap_or_default();
        is_told.then(|| format!("{} ok{mended}", count(self.ok)))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::stats::tests::{at, failed, started, succeeded};
    use super::*;
    use crate::domain::EventBody;

    /// Returns the event of a row that was answered by another request with this purpose.
    pub(crate) fn mended(by: Purpose) -> EventBody {
        match succeeded(Quality::Ok) {
            EventBody::Succeeded { model, quality, usage, cost, without_cache, latency, .. } => {
                EventBody::Succeeded { model, quality, usage, cost, without_cache, latency, mended: Some(by) }
            }
            other => other,
        }
    }

    /// Returns a run with answers of all kinds.
    pub(crate) fn answers_of_all_kinds() -> Stats {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(1_000), 0)));
        let mut add =
            |rows: u64, body: EventBody| (0..rows).for_each(|row| stats.fold(&at(row as i64 / 10, body.clone())));
        add(897, succeeded(Quality::Ok));
        add(31, mended(Purpose::Repair));
        add(12, mended(Purpose::MoreRoom));
        add(1, succeeded(Quality::Truncated));
        add(1, succeeded(Quality::Refused));
        add(2, failed(ErrorClass::Truncated));
        add(1, failed(ErrorClass::Refused));
        add(4, failed(ErrorClass::InvalidOutput));
        add(1, failed(ErrorClass::Server));
        stats
    }

    #[test]
    fn kept_and_failed_answers_of_a_kind_are_counted_together_and_not_as_failures() {
        let stats = answers_of_all_kinds();

        let answers = Answers::of(&stats);

        assert_eq!(answers, Answers { ok: 940, truncated: 3, refused: 2, invalid: 4, failed: 1 });
        assert_eq!(answers.not_ok_words().as_deref(), Some("3 truncated, 2 refused, 4 invalid"));
        assert_eq!(answers.ok_words(&stats.mended).as_deref(), Some("940 ok (31 repaired, 12 grown)"));
        assert_eq!((stats.failed_total(), stats.mended.rows()), (8, 43));
    }

    #[test]
    fn a_run_whose_answers_are_all_ok_says_nothing_about_them() {
        let mut stats = Stats::default();
        stats.fold(&at(0, succeeded(Quality::Ok)));
        stats.fold(&at(0, failed(ErrorClass::Server)));

        let answers = Answers::of(&stats);

        assert_eq!((answers.not_ok_words(), answers.ok_words(&stats.mended)), (None, None));
    }

    #[test]
    fn every_way_to_mend_an_answer_has_a_name_and_words() {
        let mut rows = MendedRows::default();
        let purposes = Purpose::ALL.into_iter().filter(|purpose| !matches!(purpose, Purpose::First | Purpose::Canary));
        purposes.for_each(|purpose| rows.add(purpose));

        assert_eq!(
            rows.words().as_deref(),
            Some("1 repaired, 1 retried, 1 grown, 1 continued, 1 continued after a pause, 1 by another model")
        );
        let names: Vec<_> = rows.by_name().into_keys().collect();
        assert_eq!(names, ["another_model", "continued", "grown", "repaired", "retried", "unpaused"]);
    }
}
