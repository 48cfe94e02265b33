//! Handles the reports of attempts: passes response heads (status lines and headers) to the scheduler, and writes lines
//! when attempts end.

use std::sync::Arc;

use super::answer_memory::AnswerShare;
use super::attempt::{End, Head, Report};
use super::ledger::Ledger;
use super::run::Run;
use crate::clock::Instant;
use crate::domain::{
    AttemptRecord, Ended, EventBody, FailedRow, JobId, Lane, Outcome, Planned, PoolId, Purpose, Verdict, cost_of,
    usage_of, without_cache_of,
};
use crate::journal::UnfinishedRow;
use crate::report::Reporter;
use crate::scheduler::{AnsweredRow, Next, Ticket};
use crate::transport::Transport;

impl<T: Transport, L: Ledger, R: Reporter> Run<T, L, R> {
    /// Handles a report of an attempt.
    pub(super) fn on_report(&mut self, report: Report, now: Instant) {
        let Report { ticket, head, begun, end } = report;
        if let Some(Head { status, signals, request_id }) = head {
            self.scheduler.on_head(ticket, status, &signals, request_id, now);
        }
        if let Some(usage) = begun {
            self.scheduler.on_begin(ticket, &usage, now);
        }
        if let Some(End { verdict, share }) = end {
            self.on_end(ticket, verdict, Some(share), now);
        }
    }

    /// Handles the end of an attempt. The row of the attempt gets a line, waits for another try, or stays pending.
    pub(super) fn on_end(&mut self, ticket: Ticket, verdict: Verdict, share: Option<AnswerShare>, now: Instant) {
        let (is_abort, is_maybe_paid) = (matches!(verdict, Verdict::Aborted), verdict.is_maybe_paid());
        match self.scheduler.on_end(ticket, verdict, now) {
            Next::Finished(outcome) => {
                let answered = matches!(outcome.ended, Ended::Succeeded(_)).then(|| outcome.attempts.last()).flatten();
                self.note_online_end(outcome.job.id, answered);
                self.write(ticket, &outcome);
                self.note_end_of_leader(&outcome);
                self.keep_until_synced(outcome.job, share);
            }
            Next::Again { row, class, limit, maybe_paid, keeps_mark } => {
                self.release(ticket, keeps_mark);
                self.finish.maybe_paid += u64::from(maybe_paid);
                self.events.show(EventBody::Retried { row, class, limit, maybe_paid });
            }
            Next::NoRow => {}
            // The answer was paid for, but no line contains it yet. So the row's mark stays in the ledger. If this run
            // crashes, the next run counts the answer because of this mark.
            Next::More { job } => self.ledger.keep(ticket, job),
            Next::FollowUp { step, purpose } => self.record_step(Some(ticket), &step, purpose),
            Next::Pending { planned, maybe_paid } => {
                self.finish.aborted += u64::from(is_abort);
                self.finish.maybe_paid += u64::from(is_maybe_paid);
                self.release(ticket, maybe_paid.then_some(planned.job.id));
                self.note_online_end(planned.job.id, None);
                self.keep(*planned);
            }
        }
    }

    /// If a request has ended and got no line, clears the request's mark in the ledger. A mark records a request in
    /// flight. If the row was possibly billed, its mark is not cleared. Until the row has a line, only the mark tells a
    /// later run that the row was billed.
    fn release(&mut self, ticket: Ticket, keeps_mark: Option<JobId>) {
        match keeps_mark {
            Some(job) => self.ledger.keep(ticket, job),
            None => self.ledger.clear(ticket),
        }
    }

    /// Writes the line of a row that is not finished: the row's last answer was not accepted, and another request is
    /// sent.
    pub(super) fn record_step(&mut self, ticket: Option<Ticket>, step: &Outcome, purpose: Purpose) {
        let (usage, cost) = (usage_of(step.unrecorded()), cost_of(step.unrecorded()));
        let without_cache = without_cache_of(step.unrecorded());
        let row = step.job.custom_id.as_str().into();
        let pool = pool_of(step);
        let seq = self.unsynced.push(EventBody::Mending { row, pool, purpose, usage, cost, without_cache });
        self.ledger.write_step(seq, ticket, step, purpose);
    }

    /// Continues a row that an earlier run left unfinished, because that run did not accept the row's last answer.
    pub(super) fn finish_row(&mut self, planned: Planned, UnfinishedRow { message, mut attempts }: UnfinishedRow) {
        let now = self.clock.now();
        // This run does not know when the earlier run sent the requests of the row.
        attempts.iter_mut().for_each(|attempt| (attempt.started_at, attempt.ended_at) = (now, now));
        self.offer_answered(AnsweredRow { planned, attempts, message, paused: None }, now);
    }

    /// Accepts a row whose last answer is already known.
    pub(super) fn offer_answered(&mut self, answered: AnsweredRow, now: Instant) {
        match self.scheduler.offer_answered(answered, now) {
            Next::Finished(outcome) => self.write_unsent(*outcome),
            Next::FollowUp { step, purpose } => self.record_step(None, &step, purpose),
            // If a row's last answer is already known, the answer is in a line of an earlier run, or in the results of
            // a batch.
            Next::More { .. } | Next::Again { .. } | Next::Pending { .. } | Next::NoRow => {}
        }
    }

    fn write(&mut self, ticket: Ticket, outcome: &Outcome) {
        let is_failure = matches!(outcome.ended, Ended::Failed { .. });
        let is_last_maybe_paid = outcome.attempts.last().is_some_and(|attempt| attempt.maybe_paid);
        self.finish.maybe_paid += u64::from(is_failure && is_last_maybe_paid);
        let seq = self.unsynced.push(event_of(outcome));
        self.ledger.write_outcome(seq, ticket, outcome);
    }
}

/// Returns the event of a row that has ended.
pub(super) fn event_of(outcome: &Outcome) -> EventBody {
    let (usage, cost) = (usage_of(outcome.unrecorded()), cost_of(outcome.unrecorded()));
    let without_cache = without_cache_of(outcome.unrecorded());
    match &outcome.ended {
        Ended::Succeeded(message) => {
            let first = outcome.attempts.first().map_or(Instant::ZERO, |attempt| attempt.started_at);
            let last = outcome.attempts.last().map_or(first, |attempt| attempt.ended_at);
            let model = outcome.attempts.last().map_or_else(|| "".into(), |attempt| attempt.model.clone());
            let is_online = outcome.attempts.last().is_none_or(|attempt| attempt.lane == Lane::Online);
            let latency = is_online.then(|| last.since(first));
            let purpose = outcome.attempts.last().map(|attempt| attempt.purpose);
            // If a row has only one answer, the row does not count as repaired, even if the next provider of a chain
            // gave this answer.
            let is_only_answer = || outcome.attempts.iter().filter(|attempt| attempt.failed.is_none()).count() < 2;
            let mended = purpose.filter(|purpose| match purpose {
                Purpose::First => false,
                Purpose::Fallback => !is_only_answer(),
                _ => true,
            });
            let (row, pool) = (outcome.job.custom_id.as_str().into(), pool_of(outcome));
            let head = |attempt: &AttemptRecord| Some(attempt.head_at?.since(attempt.started_at));
            let first_byte = outcome.attempts.last().and_then(head);
            let quality = message.quality;
            EventBody::Succeeded { row, pool, model, quality, usage, cost, without_cache, latency, first_byte, mended }
        }
        Ended::Failed { class, failure, is_retryable } => {
            let label = &outcome.job.custom_id;
            let max_tokens = outcome.attempts.last().map_or(0, |attempt| attempt.max_tokens);
            let row = FailedRow::new(label, failure.status, &failure.message, *is_retryable);
            let row = FailedRow { max_tokens, pool: pool_of(outcome), ..row };
            EventBody::Failed { class: *class, row: Box::new(row), usage, cost, without_cache }
        }
    }
}

/// Returns the pool of a row's last request; `None` if this run sent no request for the row.
fn pool_of(outcome: &Outcome) -> Option<Arc<PoolId>> {
    outcome.attempts.last().and_then(|attempt| attempt.pool.clone())
}
