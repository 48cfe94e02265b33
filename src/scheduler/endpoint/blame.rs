//! Whose a fault is: the row's, or the endpoint's.
//!
//! A row that upsets the server is answered 500 whenever it comes; an endpoint in trouble answers 500 to whoever comes. One
//! fault looks like the other. What tells them apart is what happens to *others* between two faults of one row: when those
//! are answered, the row is to blame. When less than a quarter of them are, the endpoint is in trouble itself. When nothing
//! came of others, nobody knows.
//!
//! Rows that failed before and fail again say nothing about the endpoint as long as none of them is ever answered: else a
//! block of bad rows would pass for trouble. Where some of them are answered, trying again helps, and all faults count.

use crate::clock::Instant;

/// Between two faults of a row that are called its own, at most so many others may meet a fault for each one answered.
const FAULTS_PER_ANSWER: u64 = 3;

/// Whose a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The row's own.
    Row,
    /// The endpoint's, which answers too few.
    Endpoint,
    /// Nothing else was answered since the row's last fault, or it is its first.
    Unknown,
}

/// What an endpoint did with attempts so far, at the moment it was last looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// When this was.
    at: Instant,
    /// When the latest of those that were answered was sent: what was sent before trouble began may be answered in it.
    answered_sent_at: Instant,
    answers: u64,
    /// Those to rows that had met a fault.
    answers_to_failed: u64,
    faults: u64,
    /// Those that were the first of their row.
    first_faults: u64,
}

impl Tally {
    /// Notes an answer to what was sent at `sent_at` for a row, which had met a fault before or not.
    pub(crate) fn answer(&mut self, had_failed: bool, sent_at: Instant) {
        self.answers += 1;
        self.answered_sent_at = self.answered_sent_at.max(sent_at);
        self.answers_to_failed += u64::from(had_failed);
    }

    /// Notes a fault, and returns whose it is; `before` is the tally as it was after the row's last fault.
    pub(crate) fn fault(&mut self, before: Option<Self>, now: Instant) -> Blame {
        self.at = now;
        self.faults += 1;
        self.first_faults += u64::from(before.is_none());
        let Some(before) = before else { return Blame::Unknown };
        let answers = self.answers - before.answers;
        let faults = match self.answers_to_failed - before.answers_to_failed {
            0 => self.first_faults - before.first_faults,
            _ => self.faults - before.faults,
        };
        match answers {
            0 => Blame::Unknown,
            _ if self.answered_sent_at < before.at => Blame::Unknown,
            _ if FAULTS_PER_ANSWER * answers > faults => Blame::Row,
            _ => Blame::Endpoint,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Instant = Instant::from_secs(9);

    #[test]
    fn answers_to_what_was_sent_before_trouble_began_prove_nothing() {
        let mut tally = Tally::default();
        tally.fault(None, T);
        let before = Some(tally);

        tally.answer(false, Instant::from_secs(8));

        assert_eq!(tally.fault(before, Instant::from_secs(10)), Blame::Unknown);
    }

    #[test]
    fn a_row_that_fails_between_answers_to_others_is_to_blame() {
        let mut tally = Tally::default();
        assert_eq!(tally.fault(None, T), Blame::Unknown);
        let before = Some(tally);

        assert_eq!(tally.fault(before, T), Blame::Unknown, "nothing else came");
        tally.answer(false, T);

        assert_eq!(tally.fault(before, T), Blame::Row);
    }

    #[test]
    fn an_endpoint_that_answers_one_in_ten_is_to_blame() {
        let mut tally = Tally::default();
        tally.fault(None, T);
        let before = Some(tally);
        let other = Some(tally);
        for round in 0..10 {
            (0..9).for_each(|_| {
                tally.fault(other, T);
            });
            tally.answer(round % 2 == 0, T);
        }

        assert_eq!(tally.fault(before, T), Blame::Endpoint);
    }

    #[test]
    fn a_block_of_bad_rows_is_to_blame_however_often_it_is_tried() {
        let mut tally = Tally::default();
        let first: Vec<_> = (0..25)
            .map(|_| {
                tally.fault(None, T);
                Some(tally)
            })
            .collect();
        let second: Vec<_> = first
            .into_iter()
            .map(|before| {
                tally.answer(false, T);
                tally.fault(before, T);
                Some(tally)
            })
            .collect();

        tally.answer(false, T);

        assert!(second.into_iter().all(|before| tally.fault(before, T) == Blame::Row));
    }
}
