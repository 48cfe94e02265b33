//! What happens to a row after an attempt: it is finished, sent again with another request, or left for a later run.

use crate::answer::{Came, Then};
use crate::domain::{Ask, Ended, ErrorClass, Failure, Outcome};

use super::entry::Entry;
use super::flights::End;
use super::state::Scheduler;
use super::step::Next;

impl Scheduler {
    /// Handles a row that can't be tried again: it fails, unless a policy sends another request.
    pub(super) fn fail(
        &mut self,
        entry: Entry,
        class: ErrorClass,
        failure: Failure,
        is_retryable: bool,
        end: &End,
    ) -> Next {
        match self.then(&entry, Came::Failure { class, failure: &failure }) {
            Then::Keep => self.give_up(entry, class, failure, is_retryable),
            Then::Fail { class, failure } => self.give_up(entry, class, failure, is_retryable),
            Then::Ask(ask) => self.more(entry, *ask, end),
        }
    }

    /// Ends a row as failed.
    pub(super) fn give_up(&mut self, entry: Entry, class: ErrorClass, failure: Failure, is_retryable: bool) -> Next {
        if let Some(reason) = self.halt_watch.on_failure(class, &failure) {
            self.halt(reason);
        }
        finished(entry, Ended::Failed { class, failure, is_retryable })
    }

    /// Asks the policy what to do after an answer, a failure or a halt of the endpoint.
    pub(super) fn then(&self, entry: &Entry, came: Came<'_>) -> Then {
        match &self.config.policy {
            Some(policy) => policy(&entry.planned.job, &entry.planned.ask, came, &entry.attempts),
            None => Then::Keep,
        }
    }

    /// Sends another request for a row, unless the run has halted.
    pub(super) fn more(&mut self, entry: Entry, ask: Ask, end: &End) -> Next {
        if self.halted.is_some() {
            return self.pending(entry);
        }
        let job = entry.planned.job.id;
        self.ask_again(entry, ask, end.now);
        Next::More { job }
    }

    /// Leaves a row for a later run.
    pub(super) fn pending(&mut self, entry: Entry) -> Next {
        let maybe_paid = self.note_pending(&entry);
        Next::Pending { planned: Box::new(entry.planned), maybe_paid }
    }

    /// Counts a row that is left for a later run. Returns whether the row was billed or may have been billed.
    pub(super) fn note_pending(&mut self, entry: &Entry) -> bool {
        let maybe_paid = entry.may_be_billed();
        self.unkept += u64::from(entry.holds_answer());
        self.maybe_billed += u64::from(maybe_paid);
        maybe_paid
    }
}

/// Makes the outcome of a finished row.
pub(super) fn finished(entry: Entry, ended: Ended) -> Next {
    Next::Finished(Box::new(Outcome { job: entry.planned.job, attempts: entry.attempts, ended }))
}
