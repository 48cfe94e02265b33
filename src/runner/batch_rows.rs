//! Writes the lines of rows whose batch has ended, after the results of these rows were read.

use super::ledger::Ledger;
use super::run::Run;
use super::run_lane::RunLane;
use crate::batches::{MergedRow, Why};
use crate::clock::Instant;
use crate::domain::{
    Ask, AttemptRecord, Ended, ErrorClass, Failure, Lane, Message, Money, Outcome, Planned, Quality, Usage, Verdict,
};
use crate::provider::BatchEnd;
use crate::report::Reporter;
use crate::scheduler::AnsweredRow;
use crate::transport::Transport;

/// One iteration of the loop handles at most this many rows of batches.
const ROWS_AT_ONCE: usize = 256;

impl<T: Transport, L: Ledger, R: Reporter> Run<T, L, R> {
    /// Writes lines for rows whose batches have ended. Returns whether more rows can be written now.
    pub(super) fn merge_rows(&mut self, now: Instant) -> bool {
        for _ in 0..ROWS_AT_ONCE {
            if self.is_backed_up() || self.is_broken {
                return false;
            }
            let Some(api) = self.provider.batches() else { return false };
            let Some(lane) = &mut self.lane else { return false };
            match lane.lane.next_merged(api, &mut self.scheduler, self.unsynced.last_seq(), now) {
                Ok(Some(merged)) => self.end_merged(merged),
                Ok(None) => {
                    self.collect_synced();
                    return false;
                }
                Err(failure) => {
                    self.check_lane(Err(failure));
                    return false;
                }
            }
        }
        self.lane.as_ref().is_some_and(|lane| lane.lane.has_results())
    }

    /// Tells the batch lane which lines are on disk. A batch is collected when all its rows have lines on disk.
    pub(super) fn collect_synced(&mut self) {
        let synced = self.unsynced.synced_seq();
        if let Some(lane) = &mut self.lane {
            let collected = lane.lane.on_synced(synced);
            self.check_lane(collected);
        }
    }

    fn end_merged(&mut self, merged: MergedRow) {
        let Some(api) = self.provider.batches() else { return };
        let was_answered = matches!(merged.end, BatchEnd::Succeeded(_));
        let unsent = match merged.end {
            BatchEnd::Expired => Some(Why::Expired),
            BatchEnd::Canceled => Some(Why::Canceled),
            BatchEnd::Succeeded(_) | BatchEnd::Errored(_) => None,
        };
        let verdict = api.judge_end(merged.end.clone(), &merged.row.job.request);
        let Some(mut verdict) = verdict.filter(|_| unsent.is_none()) else {
            return self.note_again(&merged, unsent.unwrap_or(Why::Fault));
        };
        self.transport.secrets().clean_verdict(&mut verdict);
        match verdict {
            Verdict::Answered(message) => self.end_answered(merged, message, None),
            Verdict::Paused { message, failure } => self.end_answered(merged, message, Some(failure)),
            Verdict::Rejected { class, failure } => self.fail_row(merged, class, failure, false, was_answered),
            Verdict::NoModel(failure) => {
                self.fail_row(merged, ErrorClass::InvalidRequest, failure, false, was_answered);
            }
            Verdict::Forbidden(failure) => self.fail_row(merged, ErrorClass::Auth, failure, false, was_answered),
            // The answer is billed, and another request for the row would be billed as well.
            Verdict::Transient { class, failure, .. } if was_answered => {
                self.fail_row(merged, class, failure, true, true);
            }
            Verdict::Limited { .. } | Verdict::Overloaded { .. } | Verdict::Transient { .. } | Verdict::Aborted => {
                self.note_again(&merged, Why::Fault);
            }
            // The verdict shows the state of the account at the time when the server processed the batch. The next
            // request of the row will show the current state.
            Verdict::Halt(_) => self.note_again(&merged, Why::Fault),
        }
    }

    fn note_again(&mut self, merged: &MergedRow, why: Why) {
        if let Some(RunLane { lane, .. }) = &mut self.lane {
            lane.note_again(merged.chunk, merged.item, why);
            lane.settle(merged.chunk, merged.row.at_most, Money::ZERO, &mut self.scheduler);
        }
    }

    fn fail_row(
        &mut self,
        merged: MergedRow,
        class: ErrorClass,
        failure: Failure,
        is_retryable: bool,
        is_billed: bool,
    ) {
        self.scheduler.on_failure_in_batch(class, &failure);
        let usage = failure.usage;
        let unknown = (is_billed && usage == Usage::default()).then_some(merged.row.at_most);
        self.end_failed(merged, Ended::Failed { class, failure, is_retryable }, usage, unknown);
    }

    /// Handles the answer to a row in a batch. The row is answered, or it fails, or another request is sent for it
    /// online.
    fn end_answered(&mut self, merged: MergedRow, message: Message, paused: Option<Failure>) {
        let Some(lane) = &mut self.lane else { return };
        let usage = message.usage;
        let ask = merged.row.ask(&lane.route);
        if let Some(unfinished) = self.unfinished.remove(&merged.row.job.row) {
            // An earlier run has recorded this answer and its cost, and possibly answers to later requests of the row.
            lane.lane.settle(merged.chunk, merged.row.at_most, Money::ZERO, &mut self.scheduler);
            return self.finish_row(Planned { job: Box::new(merged.row.job), ask }, unfinished);
        }
        if !usage.is_unknown {
            lane.lane.learn(ask.cost.input_tokens, &usage);
        }
        self.scheduler.tell_unknown_usage(usage);
        let unknown = usage.is_unknown.then_some(merged.row.at_most);
        let record =
            Answered { failed: None, quality: Some(message.quality), is_free: message.is_free(), request_id: None };
        let attempt = self.settle_row(&merged, &ask, record, usage, unknown);
        let planned = Planned { job: Box::new(merged.row.job), ask };
        self.offer_answered(AnsweredRow { planned, attempts: vec![attempt], message, paused }, merged.ended);
    }

    /// Writes the line of a row that failed in a batch. If the cost of the attempt is not known, `unknown` is its
    /// highest possible cost.
    fn end_failed(&mut self, merged: MergedRow, ended: Ended, usage: Usage, unknown: Option<Money>) {
        let Some(lane) = &self.lane else { return };
        let ask = merged.row.ask(&lane.route);
        let attempt = self.settle_row(&merged, &ask, Answered::of(&ended), usage, unknown);
        self.finish.maybe_paid += u64::from(unknown.is_some());
        self.write_unsent(Outcome { job: Box::new(merged.row.job), attempts: vec![attempt], ended });
    }

    /// Settles the money of a row after its request in a batch has ended. Returns the record of this request for the
    /// history of the row.
    fn settle_row(
        &mut self,
        merged: &MergedRow,
        ask: &Ask,
        record: Answered,
        usage: Usage,
        unknown: Option<Money>,
    ) -> AttemptRecord {
        let cost_of = |usage: &Usage| {
            let cost = self.scheduler.cost_in_batch(ask, usage);
            if record.is_free { cost.map(|_| Money::ZERO) } else { cost }
        };
        let cost = cost_of(&usage);
        let without_cache = if is_cached(&usage) { cost_of(&usage.without_cache()) } else { None };
        let spent = cost.unwrap_or_default() + unknown.unwrap_or_default();
        if let Some(lane) = &mut self.lane {
            lane.lane.settle(merged.chunk, merged.row.at_most, spent, &mut self.scheduler);
        }
        AttemptRecord {
            started_at: merged.opened,
            maybe_paid: unknown.is_some() && !usage.is_unknown,
            maybe_cost: unknown.unwrap_or_default(),
            usage,
            cost,
            without_cache,
            ..in_batch(ask, record, merged.ended)
        }
    }

    /// Ends a row that was in too many batches. Such a row must not be put into one more batch.
    pub(super) fn give_up_in_batches(&mut self, planned: Planned, class: ErrorClass, now: Instant) {
        let failure = Failure {
            message: "the row was in several batches and none answered it; run it again, or use --lane auto or online"
                .to_owned(),
            ..Failure::default()
        };
        self.scheduler.on_failure_in_batch(class, &failure);
        let ended = Ended::Failed { class, failure, is_retryable: true };
        let attempt = in_batch(&planned.ask, Answered::of(&ended), now);
        self.write_unsent(Outcome { job: planned.job, attempts: vec![attempt], ended });
    }

    /// Writes the line of a finished row that has no request in flight.
    pub(super) fn write_unsent(&mut self, outcome: Outcome) {
        let seq = self.unsynced.push(super::outcomes::event_of(&outcome));
        self.ledger.write_unsent(seq, &outcome);
        self.note_end_of_leader(&outcome);
        self.keep_until_synced(outcome.job, None);
    }
}

/// What the result of a request in a batch says about the answer.
struct Answered {
    failed: Option<ErrorClass>,
    quality: Option<Quality>,
    is_free: bool,
    request_id: Option<String>,
}

impl Answered {
    fn of(ended: &Ended) -> Self {
        match ended {
            Ended::Succeeded(message) => {
                Self { failed: None, quality: Some(message.quality), is_free: message.is_free(), request_id: None }
            }
            Ended::Failed { class, failure, .. } => {
                Self { failed: Some(*class), quality: None, is_free: false, request_id: failure.request_id.clone() }
            }
        }
    }
}

/// Returns the record of an attempt in a batch. The attempt ended at `now` and cost nothing.
fn in_batch(ask: &Ask, record: Answered, now: Instant) -> AttemptRecord {
    let Answered { failed, quality, is_free: _, request_id } = record;
    AttemptRecord {
        started_at: now,
        ended_at: now,
        failed,
        cost: Some(Money::ZERO),
        request_id,
        quality,
        lane: Lane::Batch,
        ..AttemptRecord::of(ask)
    }
}

fn is_cached(usage: &Usage) -> bool {
    usage.cache_write_5m_tokens + usage.cache_write_1h_tokens + usage.cache_read_tokens > 0
}
