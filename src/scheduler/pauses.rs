//! Handles pauses: the user can pause a run and continue it later. A paused run sends no requests, and the requests in
//! flight continue.

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{HaltReason, Reason};

use super::state::Scheduler;
use super::step::Step;

/// The shortest pause after which the run starts slowly. The server's buckets fill up during a long pause. With a slow
/// start, the run does not use all tokens of these buckets in one burst.
const LONG_PAUSE: Duration = Duration::from_secs(10);

impl Scheduler {
    /// Returns whether the run is paused.
    pub(crate) fn is_paused(&self) -> bool {
        self.pause.is_on()
    }

    /// Pauses the run, or continues a paused run. The time of a pause counts neither as waiting time of rows nor as
    /// time in which an endpoint fails. But the time of a pause counts for `--max-time`.
    pub(crate) fn set_paused(&mut self, is_paused: bool, now: Instant) {
        let since = self.pause.since.take();
        if is_paused {
            self.pause.since = since.or(Some(now));
            return;
        }
        let Some(since) = since else { return };
        self.pause.ended_at = now;
        self.endpoints.iter_mut().for_each(|endpoint| endpoint.health.on_resume(now));
        if now.since(since) >= LONG_PAUSE {
            self.pools.iter_mut().for_each(|state| state.pool.restart_slowly(now));
        }
    }

    /// Returns the step of a paused run; `None` if no row waits, because the run can then end.
    pub(super) fn wait_paused(&self) -> Option<Step> {
        let has_rows = !self.is_input_closed || self.waiting() > 0;
        has_rows.then_some(Step::Wait { until: Instant::NEVER, reason: Reason::Paused })
    }

    /// Halts a paused run if its time (`--max-time`) is over.
    pub(super) fn halt_if_time_is_up(&mut self, now: Instant) {
        if let Some(why) = self.config.budget.time_is_up(now) {
            self.halt(HaltReason::Budget(why));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ErrorClass, Failure, RateLimits, Verdict};
    use crate::scheduler::tests::{answer, config, dispatched, scheduler_with};
    use crate::scheduler::{Budget, Next};

    fn fault() -> Verdict {
        let failure = Failure { status: Some(500), ..Failure::default() };
        Verdict::Transient { class: ErrorClass::Server, retry_after: None, maybe_paid: false, failure }
    }

    fn is_paused_step(step: Step) -> bool {
        matches!(step, Step::Wait { until: Instant::NEVER, reason: Reason::Paused })
    }

    #[test]
    fn a_paused_run_sends_no_row_and_no_retry_until_it_is_resumed() {
        let mut scheduler = scheduler_with(5, config(RateLimits::NONE, 2));
        let tickets = dispatched(&mut scheduler, Instant::ZERO);
        assert_eq!(tickets.len(), 2);

        scheduler.set_paused(true, Instant::ZERO);
        scheduler.on_end(tickets[0], answer(), Instant::from_secs(1));
        assert!(matches!(scheduler.on_end(tickets[1], fault(), Instant::from_secs(1)), Next::Again { .. }));

        for second in [1, 60, 3_600] {
            assert!(is_paused_step(scheduler.poll(Instant::from_secs(second))), "after {second} s");
        }
        scheduler.set_paused(false, Instant::from_secs(3_600));
        assert!(!dispatched(&mut scheduler, Instant::from_secs(3_600)).is_empty());
    }

    #[test]
    fn a_paused_run_whose_rows_are_all_done_ends() {
        let mut scheduler = scheduler_with(2, config(RateLimits::NONE, 2));
        let tickets = dispatched(&mut scheduler, Instant::ZERO);

        scheduler.set_paused(true, Instant::ZERO);
        let while_in_flight = scheduler.poll(Instant::ZERO);
        tickets.into_iter().for_each(|ticket| drop(scheduler.on_end(ticket, answer(), Instant::from_secs(1))));

        assert!(matches!(while_in_flight, Step::Wait { reason: Reason::Draining, .. }));
        assert!(matches!(scheduler.poll(Instant::from_secs(1)), Step::Drained));
    }

    #[test]
    fn a_pause_ends_with_a_halt_and_with_the_end_of_the_allowed_time() {
        let mut halted = scheduler_with(2, config(RateLimits::NONE, 2));
        halted.set_paused(true, Instant::ZERO);
        halted.halt(HaltReason::Ctl { is_drain: true });
        assert!(matches!(halted.poll(Instant::ZERO), Step::Drained));

        let budget = Budget::new(None, None, Some(Duration::from_secs(60)), crate::domain::Money::ZERO);
        let mut timed = scheduler_with(2, crate::scheduler::Config { budget, ..config(RateLimits::NONE, 2) });
        timed.set_paused(true, Instant::ZERO);
        assert!(is_paused_step(timed.poll(Instant::from_secs(59))));
        assert!(matches!(timed.poll(Instant::from_secs(60)), Step::Drained));
    }

    #[test]
    fn a_failing_endpoint_is_not_probed_during_a_pause_and_is_not_given_up_after_it() {
        let mut scheduler = scheduler_with(50, config(RateLimits::NONE, 20));
        for ticket in dispatched(&mut scheduler, Instant::ZERO) {
            scheduler.on_end(ticket, fault(), Instant::from_secs(1));
        }
        scheduler.set_paused(true, Instant::from_secs(1));

        let after = Instant::from_secs(24 * 3_600);
        assert!(is_paused_step(scheduler.poll(after)));
        scheduler.set_paused(false, after);

        assert!(matches!(scheduler.poll(after), Step::Dispatch { .. } | Step::Canary { .. }));
        assert_eq!(scheduler.halted(), None);
    }
}
