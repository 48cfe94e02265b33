//! Counts answers by their quality: ok, truncated, refused or invalid.
//!
//! If a truncated answer or a refusal is kept, the row counts as answered. If the answer is not accepted, the row
//! counts as failed. The live lines count kept answers and failed rows together, because people look at these numbers
//! to see whether the prompt works. The summary counts kept answers and failed rows separately, because they are in
//! separate files.

use super::stats::Stats;
use super::tallies::MendedRows;
use super::text::count;
use crate::domain::{ErrorClass, Quality};

/// How many rows this run finished, per kind of answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    /// The number of answers that ended normally and were accepted.
    pub(super) ok: u64,
    /// The number of truncated answers, whether they were kept or not.
    pub(super) truncated: u64,
    /// The number of refusals by the model, whether they were kept or not.
    pub(super) refused: u64,
    /// The number of answers that can't be used.
    pub(super) invalid: u64,
    /// The number of rows that failed for a reason other than their answer.
    pub(super) failed: u64,
}

impl Answers {
    /// Returns the numbers of answers of a run, by kind.
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

    /// Returns the numbers of truncated, refused and invalid answers as text, such as `3 truncated, 2 refused`. Returns
    /// `None` if there are no such answers.
    pub(super) fn not_ok_words(&self) -> Option<String> {
        let kinds = [(self.truncated, "truncated"), (self.refused, "refused"), (self.invalid, "invalid")];
        let parts = kinds.into_iter().filter(|(rows, _)| *rows > 0);
        let parts: Vec<_> = parts.map(|(rows, name)| format!("{} {name}", count(rows))).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// Returns the number of ok answers as text, such as `940 ok (31 repaired, 12 made longer)`. Returns `None` if all
    /// answers are ok and no answer was mended, because the number of finished rows already says this.
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
    use crate::domain::{EventBody, FailedRow, Money, Purpose, Usage};

    /// Returns the event of a row whose first answer was not accepted. The accepted answer came from a later request
    /// with this purpose.
    pub(crate) fn mended(by: Purpose) -> EventBody {
        match succeeded(Quality::Ok) {
            EventBody::Succeeded {
                row, pool, model, quality, usage, cost, without_cache, latency, first_byte, ..
            } => EventBody::Succeeded {
                row,
                pool,
                model,
                quality,
                usage,
                cost,
                without_cache,
                latency,
                first_byte,
                mended: Some(by),
            },
            other => other,
        }
    }

    /// Returns the event of a row that failed because its answer was not accepted.
    fn not_accepted(class: ErrorClass, message: &str) -> EventBody {
        let row = FailedRow { max_tokens: 64, ..FailedRow::new("r9", Some(200), message, false) };
        EventBody::Failed {
            class,
            row: Box::new(row),
            usage: Usage::default(),
            cost: Some(Money::ZERO),
            without_cache: None,
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
        add(2, not_accepted(ErrorClass::Truncated, "the answer ended at max_tokens"));
        add(1, not_accepted(ErrorClass::Refused, "the model refused to answer"));
        add(4, not_accepted(ErrorClass::InvalidOutput, "the answer is not JSON"));
        add(1, failed(ErrorClass::Server));
        stats
    }

    #[test]
    fn kept_and_failed_answers_of_a_kind_are_counted_together_and_not_as_failures() {
        let stats = answers_of_all_kinds();

        let answers = Answers::of(&stats);

        assert_eq!(answers, Answers { ok: 940, truncated: 3, refused: 2, invalid: 4, failed: 1 });
        assert_eq!(answers.not_ok_words().as_deref(), Some("3 truncated, 2 refused, 4 invalid"));
        assert_eq!(answers.ok_words(&stats.mended).as_deref(), Some("940 ok (31 repaired, 12 made longer)"));
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
}
