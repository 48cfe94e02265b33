//! Handles faults of the server and the connection: what a fault shows about the endpoint, and what happens to the row.
//!
//! A fault that the row causes itself ([`Blame`]) uses up one of the row's tries. After the last try, the row is
//! written to the error log. While the endpoint seems to work, a fault with an unknown cause also uses up a try of the
//! row. While the endpoint seems to fail, a fault with an unknown cause uses up no try. An endpoint that seems to fail
//! is probed with single requests (`endpoint::health`). Canaries (test requests, `canary`) and rows take turns as
//! probes. If the probe is a row, the scheduler takes a row with the fewest failures. Probing ends with the first
//! answer. Probing also ends when the endpoint is given up and its rows stay pending.
//!
//! If the canary does not show the cause of the faults, the cause can be unclear at the end of a run. All remaining
//! rows have then failed, and the cause is either in the rows or in the endpoint. A sign of an outage is a 503, a 529
//! or a refused connection. If there was no sign of an outage, the run waits. The wait is a tenth of the run's time so
//! far, but at least 90 seconds. After the wait at the end of a run, each remaining row is tried once more. If the last
//! try meets a fault, the row fails.
//!
//! In total, a row waits for at most `--retry-for`; all kinds of waits are added up. This time is counted from the
//! start of the row's first wait. If the endpoint's last outage ended after the start of this wait, the time is counted
//! from the end of the outage.

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{ErrorClass, Failure, HaltReason, WireErrorKind};

use super::backoff::{Backoff, jittered_unsaid_hold};
use super::chain::Leaves;
use super::endpoint::{Blame, Sign};
use super::entry::Entry;
use super::fallback::case_of_failure;
use super::flights::End;
use super::state::Scheduler;
use super::step::Next;

/// The delay of a retry if the endpoint's quota of retries is used up.
const QUOTA_WAIT: Duration = Duration::from_secs(30);
/// A fault can be a hidden refusal: a refusal because of a limit that no header shows. If the faults of a row are
/// perhaps hidden refusals, several faults (`MAYBE_REFUSED_A_TRY`) together use up only one try.
const MAYBE_REFUSED_A_TRY: u32 = 8;
/// After all remaining rows have failed, the run waits for the endpoint at least this long. The wait is also at least
/// the time of the run before these faults, divided by `END_PATIENCE_PART`.
const END_PATIENCE: Duration = Duration::from_secs(90);
const END_PATIENCE_PART: u32 = 10;

/// A fault: the failure and its class, the wait that the server asks for, and whether the attempt was possibly billed.
pub(super) struct Fault {
    pub(super) class: ErrorClass,
    pub(super) retry_after: Option<Duration>,
    pub(super) maybe_paid: bool,
    pub(super) failure: Failure,
}

impl Fault {
    /// Returns what the fault shows about the endpoint.
    pub(super) fn sign(&self) -> Sign {
        let has_credential = self.failure.wire != Some(WireErrorKind::Authorization);
        match (self.class, self.failure.status) {
            (ErrorClass::Network, _) if !self.maybe_paid && has_credential => Sign::Unreachable,
            (ErrorClass::Network | ErrorClass::Overloaded, _) | (_, Some(503)) => Sign::Down,
            _ => Sign::Unclear,
        }
    }
}

impl Scheduler {
    /// Handles a fault: the row waits for its next try, or fails if it has no try left.
    pub(super) fn on_fault(&mut self, mut entry: Box<Entry>, fault: Fault, end: &End) -> Next {
        let was_failing = self.endpoints[end.endpoint].health.is_failing();
        let blame = self.note_fault(&mut entry, &fault, end);
        if let Some(reason) = self.asks_too_long(fault.retry_after, end) {
            return self.halt_with(entry, reason, end);
        }
        if self.is_halted(end) {
            return self.leave_halted(entry, end);
        }
        let is_overload = fault.class == ErrorClass::Overloaded;
        let may_be_refused = self.may_be_refused(&fault, end);
        let counts = match blame {
            Blame::Unknown if was_failing => false,
            Blame::Row | Blame::Unknown if may_be_refused => {
                entry.maybe_refused += 1;
                entry.maybe_refused.is_multiple_of(MAYBE_REFUSED_A_TRY)
            }
            Blame::Row | Blame::Unknown => true,
            Blame::Endpoint => false,
        };
        entry.tries += u32::from(counts && !is_overload);
        let Fault { class, retry_after, maybe_paid, failure } = fault;
        let endpoint = &self.endpoints[end.endpoint];
        let is_only = self.config.max_retries == 0 && !was_failing && !is_overload;
        let is_last = is_only
            || entry.tries > self.config.max_retries
            || (maybe_paid && !self.config.retry_ambiguous)
            || endpoint.has_last_tries;
        let backoff = match is_overload {
            true if endpoint.health.has_worked() && !endpoint.health.is_failing() => Backoff::BUSY,
            true => Backoff::OVERLOADED,
            false => Backoff::TRANSIENT,
        };
        entry.overloads += u32::from(is_overload);
        if class == ErrorClass::Server {
            self.hold_if_refused(end);
        }
        let failed = if is_overload { entry.overloads } else { entry.tries };
        let delay = backoff.delay(failed, retry_after, &mut self.rng).max(backoff.at_most(entry.least_delay()));
        let delay = self.within_quota(delay, end);
        let next = if is_last { None } else { self.next_try(&mut entry, delay, retry_after, end) };
        let status = failure.status;
        let leaves = |case| Leaves { case, class, status, limit: None };
        let Some(at) = next else {
            return match case_of_failure(class) {
                Some(case) => self.leave_or_fail(entry, &leaves(case), failure, true, end),
                None => self.fail(entry, class, failure, true, end),
            };
        };
        // The next wait counts here, but earlier waits do not count. If faults caused an earlier wait, that wait shows
        // nothing about limits.
        if let Some(case) = self.early_case(&entry, end.now, at, end)
            && let Some(ask) = self.ask_elsewhere(&entry, end.endpoint, case)
        {
            return self.leave(entry, *ask, &leaves(case), end);
        }
        let keeps_mark = entry.keeps_mark();
        let row = entry.retried(status, at.since(end.now));
        self.later.insert(entry, at);
        Next::Again { row, class, limit: None, maybe_paid, keeps_mark }
    }

    /// Returns whether a fault is possibly a hidden refusal (a refusal that looks like a fault).
    fn may_be_refused(&self, fault: &Fault, end: &End) -> bool {
        fault.class == ErrorClass::Server && self.pools[end.pool].pool.may_be_refusing(end.now)
    }

    /// Records a fault for the pool of a row. If the fault is a hidden refusal, the pool is held (sends nothing for a
    /// while).
    pub(super) fn hold_if_refused(&mut self, end: &End) {
        let pool = &mut self.pools[end.pool].pool;
        if pool.on_fault(end.now) {
            let held = jittered_unsaid_hold(pool.next_unsaid_hold(), &mut self.rng);
            pool.hold_until(end.now + held, end.reserved, end.now);
        }
    }

    /// Records a fault and returns who caused it.
    ///
    /// When a row is known to cause its own faults, further faults of this row show nothing about the endpoint. In this
    /// way, rows that always fail do not look like an outage at the end of a run. During a known outage, all faults
    /// count as signs of the outage.
    fn note_fault(&mut self, entry: &mut Entry, fault: &Fault, end: &End) -> Blame {
        let may_be_refused = self.may_be_refused(fault, end);
        let endpoint = &mut self.endpoints[end.endpoint];
        let blame = endpoint.tally.fault(entry.at_fault, end.now);
        entry.at_fault = Some(endpoint.tally);
        entry.turns += 1;
        entry.is_suspect |= blame == Blame::Row && !may_be_refused;
        // A stream that can't be read does not show whether the endpoint works.
        let speaks = fault.failure.stream.is_none() && (!entry.is_suspect || endpoint.health.is_failing());
        if speaks && !endpoint.has_last_tries {
            endpoint.health.on_fault(fault.sign(), end.now);
        }
        endpoint.canary.on_row_fault(end.pool, &entry.planned.ask);
        endpoint.last_fault = fault.failure.clone();
        self.halt_if_overdue(end.now);
        blame
    }

    /// Returns the instant of a row's next try: after `delay`, but no later than the end of the row's allowed wait.
    /// Returns `None` if the allowed wait is over, or if the server asks for a longer wait than is allowed. The limit
    /// on waits does not apply while the endpoint fails, or if the endpoint was never reached.
    pub(super) fn next_try(
        &mut self,
        entry: &mut Entry,
        delay: Duration,
        asked: Option<Duration>,
        end: &End,
    ) -> Option<Instant> {
        let at = end.now + delay;
        let bound = self.bound(entry, end);
        let health = &self.endpoints[end.endpoint].health;
        if health.is_failing() || !health.was_reached() {
            return Some(at);
        }
        let is_over = end.now >= bound || asked.is_some_and(|wait| end.now + wait > bound);
        (!is_over).then_some(at.min(bound))
    }

    /// Returns the instant at which the allowed wait of a row ends.
    pub(super) fn bound(&self, entry: &mut Entry, end: &End) -> Instant {
        self.waits_since(entry, end) + self.config.retry_for
    }

    /// Returns the moment from which the wait of a row is counted.
    pub(super) fn waits_since(&self, entry: &mut Entry, end: &End) -> Instant {
        let since = *entry.waiting_since.get_or_insert(end.sent_at);
        since.max(self.endpoints[end.endpoint].health.recovered_at()).max(self.pause.ended_at)
    }

    /// Returns the delay of a retry: `delay`, or a longer delay if the endpoint has no retries left.
    fn within_quota(&mut self, delay: Duration, end: &End) -> Duration {
        if self.endpoints[end.endpoint].retries.take() {
            return delay;
        }
        delay.max(QUOTA_WAIT.mul_f64(0.5 + 0.5 * self.rng.f64()))
    }

    /// Handles endpoints that have failed for too long. The run gives up such an endpoint, or gives the endpoint's
    /// remaining rows one last try.
    pub(super) fn judge_endpoints(&mut self, now: Instant) {
        for at in 0..self.endpoints.len() {
            let endpoint = &mut self.endpoints[at];
            let Some(failing_for) = endpoint.health.failing_for(now).filter(|_| endpoint.halted.is_none()) else {
                continue;
            };
            if failing_for >= endpoint.health.patience(self.config.retry_for) {
                let last = std::mem::take(&mut endpoint.last_fault);
                let message = format!("nothing has worked for {} s: {}", failing_for.as_secs(), last.message);
                self.halt_endpoint(at, HaltReason::Endpoint(Failure { message, ..last }), now);
            } else if self.may_blame_rows(at, now) && self.has_failed_rows_only(at) {
                self.give_last_tries(at, now);
            }
        }
    }

    /// Returns whether a fault at the endpoint `at` is allowed to use up a try of its row. Call this only if all
    /// remaining rows have failed.
    fn may_blame_rows(&self, at: usize, now: Instant) -> bool {
        let endpoint = &self.endpoints[at];
        let since = endpoint.health.unclear_since();
        let patience = END_PATIENCE.max(since.since(Instant::ZERO) / END_PATIENCE_PART);
        endpoint.health.is_failing()
            && now.since(since) >= patience
            && (endpoint.health.has_worked() || self.config.has_worked_before)
            && !endpoint.canary.proves_outage()
    }

    /// Returns whether each remaining row of an endpoint has met a fault in this run.
    fn has_failed_rows_only(&self, at: usize) -> bool {
        let is_other = |entry: &Entry| entry.at_fault.is_none() && self.endpoint_of_entry(entry) == Some(at);
        self.is_input_closed && !self.waiting_rows().chain(self.flights.rows()).any(is_other)
    }

    /// Allows one more try for each remaining row of an endpoint, without a delay.
    fn give_last_tries(&mut self, at: usize, now: Instant) {
        let endpoint = &mut self.endpoints[at];
        endpoint.health.stop_probing();
        endpoint.has_last_tries = true;
        let id = endpoint.id.clone();
        let its = self.later.take(|entry| id.is_of(entry));
        its.into_iter().for_each(|entry| self.queue_last(entry, now));
    }
}
