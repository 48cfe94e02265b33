//! Copies answers for rows with equal requests, and writes the lines of rows that take their answer from another line.
//!
//! [`EqualRows`] decides which rows wait for an equal row. An answer is copied only after its line has been passed to
//! the operating system, because the answer is read back from this line. If too many lines wait for the disk, no answer
//! is copied.

use super::equal::EqualRows;
use super::ledger::Ledger;
use super::run::Run;
use crate::domain::{Ended, EventBody, Outcome, Planned, StoredAnswer, Taken, TakenFrom};
use crate::report::Reporter;
use crate::transport::Transport;

impl<T: Transport, L: Ledger, R: Reporter> Run<T, L, R> {
    /// Passes a row to the batch lane (to send it in a batch) or to the scheduler. If an equal row is in flight, keeps
    /// the row until it can copy that row's answer.
    pub(super) fn offer(&mut self, planned: Planned) {
        let Some(planned) = self.finish_or_return(planned) else { return };
        let to_send = match &mut self.equal {
            Some(equal) => equal.admit(planned),
            None => Some(planned),
        };
        if let Some(planned) = to_send {
            self.send_row(planned);
        }
    }

    /// Accepts a row that already has an answer and is run again. If several equal rows are run again, one of them is
    /// sent, and the others copy its answer.
    pub(super) fn offer_rerun(&mut self, planned: Planned) {
        let Some(planned) = self.finish_or_return(planned) else { return };
        let to_send = match &mut self.equal {
            Some(equal) => equal.admit_rerun(planned),
            None => Some(planned),
        };
        if let Some(planned) = to_send {
            self.send_row(planned);
        }
    }

    /// If an earlier run left this row unfinished, continues the row and returns `None`; otherwise returns the row.
    /// Equal rows wait until the continued row has its answer.
    fn finish_or_return(&mut self, planned: Planned) -> Option<Planned> {
        if self.unfinished.is_empty() {
            return Some(planned);
        }
        let Some(unfinished) = self.unfinished.remove(&planned.job.row) else { return Some(planned) };
        self.equal.iter_mut().for_each(|equal| equal.note_leader(planned.job.key));
        self.finish_row(planned, unfinished);
        None
    }

    /// Copies the answers that can be copied now. Also sends rows that have become leaders. If the leader of equal rows
    /// got no answer, the next of these rows must be sent.
    pub(super) fn serve_equal_rows(&mut self) {
        if self.equal.as_ref().is_some_and(|equal| !equal.is_empty()) {
            self.copy_due();
            self.send_freed();
        }
    }

    /// Returns whether the run must continue because rows still wait for the answer of an equal row. After a halt, the
    /// run does not continue for these rows, and they stay pending. Rows that wait for an equal row also stay pending
    /// if this run leaves open batches to a later run.
    pub(super) fn has_rows_to_copy(&self) -> bool {
        let are_left = self.lane.as_ref().is_some_and(|lane| lane.lane.left_open().0 > 0);
        self.scheduler.halted().is_none() && !are_left && self.equal.as_ref().is_some_and(|equal| !equal.is_empty())
    }

    /// After a row has ended, updates the rows that wait for the answer of this row. Call this after the line of the
    /// row was written.
    pub(super) fn note_end_of_leader(&mut self, outcome: &Outcome) {
        let key = outcome.job.key;
        let Some(equal) = self.equal.as_mut().filter(|equal| equal.leads(key)) else { return };
        let Ended::Succeeded(_) = &outcome.ended else { return equal.on_end(key) };
        match self.ledger.keep_answer(outcome) {
            Ok(place) => equal.on_answer(key, place),
            Err(message) => {
                equal.on_end(key);
                if !std::mem::replace(&mut equal.has_warned, true) {
                    let text = format!("answers can't be kept for equal rows, so these rows are sent: {message}");
                    self.events.show(EventBody::Warned(text));
                }
            }
        }
    }

    /// Keeps the rows that wait for an equal row, and leaves these rows to a later run.
    pub(super) fn keep_equal_rows(&mut self) {
        for planned in self.equal.take().into_iter().flat_map(EqualRows::into_rows) {
            self.keep(planned);
        }
    }

    /// Writes the line of a row that takes its answer from another line.
    pub(super) fn write_taken(&mut self, taken: Taken) {
        let Taken { from, answer, job } = &taken;
        let row = job.custom_id.as_str().into();
        let event = EventBody::Taken { row, from: *from, quality: answer.message.quality, saved: answer.cost };
        let seq = self.unsynced.push(event);
        self.ledger.write_taken(seq, &taken);
        self.keep_until_synced(taken.job, None);
    }

    fn copy_due(&mut self) {
        if self.is_broken || self.equal.as_ref().is_none_or(|equal| !equal.has_due()) {
            return;
        }
        self.ledger.flush_lines();
        while !self.is_backed_up()
            && let Some(equal) = &mut self.equal
            && let Some((planned, place)) = equal.next_due()
        {
            let stored = match equal.last.take() {
                Some((last, stored)) if last == place => Some(stored),
                Some(_) | None => self.ledger.read_answer(place),
            };
            let is_right =
                |stored: &StoredAnswer| stored.key == planned.job.key && self.scheduler.accepts(&planned, stored);
            match stored.filter(is_right) {
                Some(answer) => {
                    equal.last = Some((place, answer.clone()));
                    self.write_taken(Taken { job: planned.job, answer, from: TakenFrom::EqualRow });
                }
                // This row can't copy the answer, for one of three reasons. Either the keys differ although their
                // halves are equal, or the line can't be read any more, or the row is not allowed to use this answer.
                None => {
                    if let Some(planned) = equal.lead_or_park(planned) {
                        self.send_row(planned);
                    }
                }
            }
        }
    }

    /// Sends the new leaders. A leader is a row that is sent for all rows equal to it. If a new leader can't be sent,
    /// the next row with the same key immediately becomes the leader.
    fn send_freed(&mut self) {
        while let Some(planned) = self.equal.as_mut().and_then(EqualRows::next_freed) {
            self.send_row(planned);
            self.set_aside();
        }
    }
}
