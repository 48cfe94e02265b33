//! Decides whether the row or the endpoint caused a fault.
//!
//! If a row makes the server fail, the server answers every attempt of that row with 500. If the endpoint is in
//! trouble, the server answers every row with 500. So a single fault does not show the cause. The results of *other*
//! rows between two faults of a row show whether the row or the endpoint is the cause. If more than a quarter of the
//! other rows were answered, the row is the cause. If at least one other row was answered, but fewer than a quarter of
//! the other rows, the endpoint is the cause. If none of the other rows was answered, the cause stays unknown.
//!
//! Before the first answer to a retry, only the first fault of each row is counted. If all faults were counted, a group
//! of bad rows would look like an endpoint in trouble. After a retry was answered, all faults are counted, because an
//! answered retry shows that retries help.

use crate::clock::Instant;

/// If there are at least `FAULTS_PER_ANSWER` faults per answer, the endpoint is the cause of a fault. With fewer than
/// `FAULTS_PER_ANSWER` faults per answer, the row is the cause of the fault. For this comparison, only faults and
/// answers after the row's last fault are counted.
const FAULTS_PER_ANSWER: u64 = 3;

/// Who caused a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The row caused the fault.
    Row,
    /// The endpoint caused the fault: it answers too few requests.
    Endpoint,
    /// The cause is unknown, because this is the row's first fault, or because no other request was answered after the
    /// row's last fault.
    Unknown,
}

/// A tally of how attempts at an endpoint have ended so far, with the time of the last update.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// When the counts were last updated.
    at: Instant,
    /// When the newest answered request was sent. A request from before the trouble can be answered during the trouble.
    /// So the time at which the request was sent is needed.
    answered_sent_at: Instant,
    answers: u64,
    /// The number of answers to rows that had met a fault.
    answers_to_failed: u64,
    faults: u64,
    /// The number of first faults: only the first fault of each row counts.
    first_faults: u64,
}

impl Tally {
    /// Records an answer to a request that was sent at `sent_at`. `had_failed` says whether the request's row had met a
    /// fault before.
    pub(crate) fn answer(&mut self, had_failed: bool, sent_at: Instant) {
        self.answers += 1;
        self.answered_sent_at = self.answered_sent_at.max(sent_at);
        self.answers_to_failed += u64::from(had_failed);
    }

    /// Records a fault and returns who caused it. `before` is the tally after the row's last fault.
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
    fn answers_to_requests_sent_before_the_trouble_prove_nothing() {
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

        assert_eq!(tally.fault(before, T), Blame::Unknown, "no other request has ended");
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
