//! What happens to a row after an attempt: it is finished, it is sent again, or it stays pending for a later run.

use crate::answer::{Decision, RequestResult, accepts};
use crate::clock::Instant;
use crate::domain::{Ask, AttemptRecord, Ended, ErrorClass, Failure, Message, Outcome, Planned, Quality, StoredAnswer};

use super::entry::Entry;
use super::flights::End;
use super::state::Scheduler;
use super::step::Next;

/// A row whose last answer is already known, because an earlier run or a batch got this answer.
#[derive(Debug)]
pub(crate) struct AnsweredRow {
    /// The row.
    pub(crate) planned: Planned,
    /// The attempts of the row so far, oldest first. The last attempt got the answer.
    pub(crate) attempts: Vec<AttemptRecord>,
    /// The answer.
    pub(crate) message: Message,
    /// The failure of the row if no further request continues the paused answer; `None` if the answer was not paused.
    pub(crate) paused: Option<Failure>,
}

impl Scheduler {
    /// Handles a row that can't be tried again: the row fails unless a policy sends another request for the row.
    pub(super) fn fail(
        &mut self,
        entry: Box<Entry>,
        class: ErrorClass,
        failure: Failure,
        is_retryable: bool,
        end: &End,
    ) -> Next {
        match self.decision(&entry, RequestResult::Failure { class, failure: &failure }) {
            Decision::Keep => self.give_up(entry, class, failure, is_retryable),
            Decision::Fail { class, failure } => self.give_up(entry, class, failure, is_retryable),
            Decision::Answer(message) => finished(entry, Ended::Succeeded(*message)),
            Decision::Ask(ask) => self.more(entry, *ask, end),
            Decision::FollowUp { ask, class, failure } => self.follow_up(entry, *ask, class, *failure, end.now),
        }
    }

    /// Ends a row as failed, and counts it for the `--halt` rule.
    pub(super) fn give_up(
        &mut self,
        entry: Box<Entry>,
        class: ErrorClass,
        failure: Failure,
        is_retryable: bool,
    ) -> Next {
        if let Some(reason) = self.halt_watch.on_failure(class, &failure) {
            self.halt(reason);
        }
        finished(entry, Ended::Failed { class, failure, is_retryable })
    }

    /// Asks the policy what to do after an answer, a failure or a halt of the endpoint.
    pub(super) fn decision(&self, entry: &Entry, came: RequestResult<'_>) -> Decision {
        match &self.config.policy {
            Some(policy) => policy(&entry.planned.job, &entry.planned.ask, came, &entry.attempts),
            None => Decision::Keep,
        }
    }

    /// Returns whether a row is allowed to use an answer that already exists. If there is a policy, it must accept the
    /// answer.
    pub(crate) fn accepts(&self, planned: &Planned, stored: &StoredAnswer) -> bool {
        let keeps = |policy| accepts(policy, &planned.job, &planned.ask, stored);
        self.config.policy.as_ref().is_none_or(keeps)
    }

    /// Sends another request for a row, unless the run has halted.
    pub(super) fn more(&mut self, entry: Box<Entry>, ask: Ask, end: &End) -> Next {
        if self.halted.is_some() {
            return self.pending(entry);
        }
        let job = entry.planned.job.id;
        self.ask_again(entry, ask, end.now);
        Next::More { job }
    }

    /// Records an answer that was not accepted, and sends another request for the row. If the run has halted, no
    /// request is sent, and the row is set aside (left for a later run). A later run finds the recorded answer.
    pub(super) fn follow_up(
        &mut self,
        mut entry: Box<Entry>,
        ask: Ask,
        class: ErrorClass,
        failure: Failure,
        now: Instant,
    ) -> Next {
        let purpose = ask.purpose;
        let ended = Ended::Failed { class, failure, is_retryable: true };
        let step = Outcome { job: entry.planned.job.clone(), attempts: entry.attempts.clone(), ended };
        entry.attempts.iter_mut().for_each(|attempt| attempt.is_recorded = true);
        match self.halted {
            Some(_) => self.put_aside_and_give_up_lead(entry, now),
            None => self.ask_again(entry, ask, now),
        }
        Next::FollowUp { step: Box::new(step), purpose }
    }

    /// Accepts a row whose last answer is already known, from an earlier run or a batch. Returns what happens to the
    /// row.
    pub(crate) fn offer_answered(&mut self, answered: AnsweredRow, now: Instant) -> Next {
        let AnsweredRow { planned, attempts, message, paused } = answered;
        let mut entry = self.count_in(planned);
        entry.attempts = attempts;
        let bytes = entry.bytes;
        let came = if paused.is_some() { RequestResult::Pause(&message) } else { RequestResult::Answer(&message) };
        let then = self.decision(&entry, came);
        if matches!(then, Decision::Keep | Decision::Fail { class: ErrorClass::Refused, .. })
            && message.quality == Quality::Refused
            && let Some(provider) = entry.attempts.last().map(|attempt| attempt.provider.clone())
            && let Some((ask, failure)) = self.after_refusal(&entry, &provider, &message)
        {
            return self.follow_up(entry, *ask, ErrorClass::Refused, *failure, now);
        }
        let next = match (then, paused) {
            (Decision::Ask(ask), _) => {
                let job = entry.planned.job.id;
                self.ask_again(entry, *ask, now);
                Next::More { job }
            }
            (Decision::FollowUp { ask, class, failure }, _) => self.follow_up(entry, *ask, class, *failure, now),
            (Decision::Answer(message), _) => self.keep_answer(entry, *message),
            (Decision::Fail { class, failure }, _) => self.give_up(entry, class, failure, class.may_pass()),
            (Decision::Keep, Some(failure)) => self.give_up(entry, ErrorClass::InvalidOutput, failure, false),
            (Decision::Keep, None) => self.keep_answer(entry, message),
        };
        if matches!(next, Next::Finished(_)) {
            self.row_bytes -= bytes;
        }
        next
    }

    /// Ends a row as answered.
    pub(super) fn keep_answer(&mut self, entry: Box<Entry>, message: Message) -> Next {
        self.halt_watch.on_answer();
        self.tell_unknown_end(&message);
        finished(entry, Ended::Succeeded(message))
    }

    /// Leaves a row pending for a later run.
    pub(super) fn pending(&mut self, entry: Box<Entry>) -> Next {
        let maybe_paid = self.note_pending(&entry);
        Next::Pending { planned: Box::new(entry.planned), maybe_paid }
    }

    /// Counts a row that stays pending for a later run. Returns whether an attempt of the row was billed or possibly
    /// billed.
    pub(super) fn note_pending(&mut self, entry: &Entry) -> bool {
        let maybe_paid = entry.may_be_billed();
        self.left += 1;
        self.unkept += u64::from(entry.holds_answer());
        self.maybe_billed += u64::from(maybe_paid);
        maybe_paid
    }
}

/// Makes the outcome of a finished row.
pub(super) fn finished(entry: Box<Entry>, ended: Ended) -> Next {
    Next::Finished(Box::new(Outcome { job: entry.planned.job, attempts: entry.attempts, ended }))
}
