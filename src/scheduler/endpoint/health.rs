//! Decides whether the endpoint works at all.
//!
//! After eight faults with no answer between them, the endpoint is assumed to be the cause, and not the rows. From then
//! on, one probe at a time is sent, at growing intervals, and a fault does not use up a try of its row. The first
//! answer ends the outage. So an outage costs a few requests per minute, however large the window is, and rows keep
//! their tries. If the endpoint fails again within a minute after the outage, fewer faults are enough to assume that it
//! is the cause: three, plus one for each answer since the outage. So an endpoint that answers one request in ten
//! counts as failing. An endpoint that answers every second request does not count as failing.

use std::time::Duration;

use crate::clock::Instant;

/// After this many faults without an answer between them, an endpoint is assumed to fail. With the default
/// `--max-retries`, a row has at least this many faults before it fails. If a row could fail after fewer faults, the
/// last row of a run could be blamed for an outage.
const FAULTS: u32 = 8;
/// If the last outage ended less than [`RELAPSE`] ago, an endpoint is assumed to fail after this many faults, plus one
/// for each answer since that outage.
const FAULTS_OF_RELAPSE: u32 = 3;
const RELAPSE: Duration = Duration::from_secs(60);
const FIRST_PROBE: Duration = Duration::from_secs(1);
const SLOWEST_PROBE: Duration = Duration::from_secs(10);
/// An endpoint that was never reached is given up after this time: its name or address is probably wrong.
const NEVER_REACHED: Duration = Duration::from_secs(10);

/// What a fault shows about the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// No connection was possible: the name can't be resolved, or nothing listens at the address.
    Unreachable,
    /// The endpoint itself says that it is overloaded or out of service, or the connection breaks.
    Down,
    /// The endpoint failed on this request. Other requests may succeed.
    Unclear,
}

/// State of the endpoint.
#[derive(Debug, Default)]
pub(crate) struct Health {
    has_worked: bool,
    /// Whether the endpoint was ever reached. After an error or a broken connection, it counts as reached too.
    was_reached: bool,
    faults_in_a_row: u32,
    /// The start of the period in which every fault was [`Sign::Unclear`].
    unclear_since: Instant,
    is_failing: bool,
    failing_since: Option<Instant>,
    recovered_at: Option<Instant>,
    /// Answers since the last outage ended.
    answers: u32,
    /// When the next probe may be sent. A fault that comes earlier only confirms the known outage.
    probe_at: Instant,
    probe_after: Duration,
    /// Whether a probe has failed in the current outage. Until a probe fails, it is possible that only some rows fail
    /// and that there is no outage.
    has_failed_probe: bool,
}

impl Health {
    /// Returns whether only probes are sent.
    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing
    }

    /// Returns whether the endpoint ever answered.
    pub(crate) fn has_worked(&self) -> bool {
        self.has_worked
    }

    /// Returns whether the endpoint was ever reached. After an error or a broken connection, it counts as reached too.
    pub(crate) fn was_reached(&self) -> bool {
        self.was_reached
    }

    /// Returns the start of the period in which every fault was [`Sign::Unclear`]. The rows may have caused all faults
    /// in this period.
    pub(crate) fn unclear_since(&self) -> Instant {
        self.unclear_since
    }

    /// Returns the start of the time in which nothing has worked; `None` if there was at most one fault since the last
    /// answer.
    pub(crate) fn failing_since(&self) -> Option<Instant> {
        self.failing_since.filter(|_| self.is_failing || self.faults_in_a_row > 1)
    }

    /// Returns when the next probe may be sent. It may be sent only when nothing is in flight.
    pub(crate) fn probe_at(&self) -> Instant {
        self.probe_at
    }

    /// Returns when the last outage ended. If there was no outage, returns the start of the run.
    pub(crate) fn recovered_at(&self) -> Instant {
        self.recovered_at.unwrap_or(Instant::ZERO)
    }

    /// Notes an answer; returns whether it ended an outage.
    pub(crate) fn on_answer(&mut self, now: Instant) -> bool {
        let was_failing = self.is_failing;
        let was_outage = was_failing && self.has_failed_probe;
        let recovered_at = if was_outage { Some(now) } else { self.recovered_at };
        let probe_after = if was_outage { self.probe_after } else { Duration::ZERO };
        let answers = if was_failing { 0 } else { self.answers.saturating_add(1) };
        *self = Self { has_worked: true, was_reached: true, recovered_at, answers, probe_after, ..Self::default() };
        was_failing
    }

    /// Notes a fault of the server or the connection.
    pub(crate) fn on_fault(&mut self, sign: Sign, now: Instant) {
        self.faults_in_a_row = self.faults_in_a_row.saturating_add(1);
        self.was_reached |= sign != Sign::Unreachable;
        let since = *self.failing_since.get_or_insert(now);
        self.unclear_since = if sign == Sign::Unclear { self.unclear_since.max(since) } else { now };
        let is_relapse = self.recovered_at.is_some_and(|at| now.since(at) < RELAPSE);
        let believed = if is_relapse { FAULTS_OF_RELAPSE.saturating_add(self.answers).min(FAULTS) } else { FAULTS };
        self.has_failed_probe |= self.is_failing && now >= self.probe_at;
        self.is_failing |= self.faults_in_a_row >= believed;
        if self.is_failing && now >= self.probe_at {
            self.probe_after = (self.probe_after * 2).clamp(FIRST_PROBE, SLOWEST_PROBE);
            self.probe_at = now + self.probe_after;
        }
    }

    /// Notes the end of a pause. The time before it does not count as time in which nothing has worked.
    pub(crate) fn on_resume(&mut self, now: Instant) {
        if self.failing_since.is_some() {
            (self.failing_since, self.unclear_since) = (Some(now), now);
        }
    }

    /// Starts to probe again, at short intervals: the last answer does not prove that the endpoint works.
    pub(crate) fn probe_again(&mut self, now: Instant) {
        self.failing_since = Some(now);
        self.unclear_since = now;
        self.has_failed_probe = false;
        (self.probe_after, self.probe_at) = (FIRST_PROBE / 2, now + FIRST_PROBE);
    }

    /// Stops probing, even though no request has been answered. From now on, rows are sent as usual.
    pub(crate) fn stop_probing(&mut self) {
        let Self { has_worked, was_reached, recovered_at, .. } = *self;
        *self = Self { has_worked, was_reached, recovered_at, ..Self::default() };
    }

    /// Returns how long nothing has worked; `None` if there are too few faults to tell.
    pub(crate) fn failing_for(&self, now: Instant) -> Option<Duration> {
        self.failing_since().map(|since| now.since(since))
    }

    /// Returns how long the endpoint may fail before it is given up. This time is at most `most`.
    pub(crate) fn patience(&self, most: Duration) -> Duration {
        if self.was_reached { most } else { NEVER_REACHED.min(most) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(health: &mut Health, second: u64) {
        health.on_fault(Sign::Unclear, Instant::from_secs(second));
    }

    #[test]
    fn after_eight_faults_in_a_row_only_probes_are_sent_until_an_answer_comes() {
        let mut health = Health::default();
        (0..7).for_each(|_| fault(&mut health, 1));
        assert!(!health.is_failing());

        health.on_fault(Sign::Unclear, Instant::from_secs(1));

        assert!(health.is_failing());
        assert_eq!(health.probe_at(), Instant::from_secs(2));
        assert!(health.on_answer(Instant::from_secs(3)));
        assert!(!health.is_failing());
    }

    #[test]
    fn an_endpoint_that_fails_again_soon_counts_as_failing_after_three_faults() {
        let mut health = Health::default();
        (0..10).for_each(|_| fault(&mut health, 1));
        fault(&mut health, 2);
        health.on_answer(Instant::from_secs(2));

        (0..3).for_each(|_| fault(&mut health, 3));

        assert!(health.is_failing());
        assert_eq!(
            health.probe_at(),
            Instant::from_secs(7),
            "the first interval is twice the last interval of the first outage"
        );
    }

    #[test]
    fn faults_that_end_with_the_first_probe_are_not_an_outage() {
        let mut health = Health::default();
        (0..10).for_each(|_| fault(&mut health, 1));

        health.on_answer(Instant::from_secs(2));
        (0..7).for_each(|_| fault(&mut health, 3));

        assert!(!health.is_failing());
        assert_eq!(health.recovered_at(), Instant::ZERO);
    }

    #[test]
    fn an_endpoint_that_was_never_reached_is_given_up_after_ten_seconds_and_an_endpoint_that_answers_is_not() {
        let most = Duration::from_secs(1800);
        for sign in [Sign::Unreachable, Sign::Down, Sign::Unclear] {
            let mut health = Health::default();
            (1..=12).for_each(|second| {
                health.on_fault(sign, Instant::from_secs(second));
            });

            let patience = if sign == Sign::Unreachable { Duration::from_secs(10) } else { most };
            assert_eq!(health.patience(most), patience, "{sign:?}");
            assert_eq!(health.failing_for(Instant::from_secs(11)), Some(Duration::from_secs(10)));
            health.on_answer(Instant::from_secs(12));
            health.on_fault(Sign::Unreachable, Instant::from_secs(20));
            assert_eq!((health.failing_for(Instant::from_secs(30)), health.patience(most)), (None, most));
        }
    }

    #[test]
    fn probes_come_at_growing_intervals() {
        let mut health = Health::default();
        let mut now = Instant::ZERO;
        (0..10).for_each(|_| fault(&mut health, 0));
        let mut waits = Vec::new();
        for _ in 0..6 {
            waits.push(health.probe_at().since(now).as_secs());
            now = health.probe_at();
            health.on_fault(Sign::Unclear, now);
        }

        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
    }
}
