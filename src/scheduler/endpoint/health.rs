//! Decides whether an endpoint works at all.
//!
//! After eight faults with no answer between them, the program assumes that the endpoint, and not the rows, causes the
//! faults. From then on, only one probe (a single request) is sent at a time, at growing intervals. During an outage, a
//! fault does not use up a try of its row. The first answer ends an outage. In this way, an outage costs only a few
//! requests per minute, even if the window is large, and rows keep their tries. Within a minute after an outage, fewer
//! faults count as a new outage: three, plus one for each answer since the last outage. With this rule, an endpoint
//! that answers one request in ten is treated as failing. An endpoint that answers every second request is treated as
//! working.

use std::time::Duration;

use crate::clock::Instant;

/// After this many faults with no answer between them, an endpoint is assumed to fail. With the default
/// `--max-retries`, a row meets at least `FAULTS` faults before it fails. If a row failed after fewer than `FAULTS`
/// faults, an outage could make the last row of a run fail.
const FAULTS: u32 = 8;
/// If an endpoint's last outage ended less than [`RELAPSE`] ago, the endpoint is assumed to fail again after this many
/// faults. Each answer since the last outage raises this number by one.
const FAULTS_OF_RELAPSE: u32 = 3;
const RELAPSE: Duration = Duration::from_secs(60);
const FIRST_PROBE: Duration = Duration::from_secs(1);
const SLOWEST_PROBE: Duration = Duration::from_secs(10);
/// How long the run tries to reach an endpoint that was never reached. If this time is not enough, the endpoint's name
/// or address is probably wrong.
const NEVER_REACHED: Duration = Duration::from_secs(10);

/// What a fault shows about the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// No connection was possible: the name can't be resolved, or nothing listens at the address.
    Unreachable,
    /// The endpoint itself says that it is overloaded or out of service, or the connection breaks.
    Down,
    /// The endpoint failed to process this request. The endpoint could still answer other requests.
    Unclear,
}

/// What is known about whether an endpoint works.
#[derive(Debug, Default)]
pub(crate) struct Health {
    has_worked: bool,
    /// Whether the endpoint was ever reached. An error response or a broken connection also shows that the endpoint was
    /// reached.
    was_reached: bool,
    faults_in_a_row: u32,
    /// The start of the current period in which every fault was [`Sign::Unclear`].
    unclear_since: Instant,
    is_failing: bool,
    failing_since: Option<Instant>,
    recovered_at: Option<Instant>,
    /// How many answers have come since the last outage ended.
    answers: u32,
    /// The earliest instant at which the next probe can be sent. A fault before this instant only confirms the known
    /// outage.
    probe_at: Instant,
    probe_after: Duration,
    /// Whether a probe (a single test request) has failed in the current outage. As long as no probe has failed, there
    /// may be no outage: perhaps only some rows fail.
    has_failed_probe: bool,
}

impl Health {
    /// Returns whether the endpoint is assumed to fail, so that only probes are sent.
    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing
    }

    /// Returns whether the endpoint has ever answered.
    pub(crate) fn has_worked(&self) -> bool {
        self.has_worked
    }

    /// Returns whether the endpoint was ever reached. An error response or a broken connection also shows that the
    /// endpoint was reached.
    pub(crate) fn was_reached(&self) -> bool {
        self.was_reached
    }

    /// Returns the start of the current period in which every fault was [`Sign::Unclear`]. The rows may have caused all
    /// faults in this period.
    pub(crate) fn unclear_since(&self) -> Instant {
        self.unclear_since
    }

    /// Returns the start of the current period in which nothing has worked; `None` if there was at most one fault since
    /// the last answer.
    pub(crate) fn failing_since(&self) -> Option<Instant> {
        self.failing_since.filter(|_| self.is_failing || self.faults_in_a_row > 1)
    }

    /// Returns the earliest instant at which the next probe can be sent. A probe is sent only when no request is in
    /// flight.
    pub(crate) fn probe_at(&self) -> Instant {
        self.probe_at
    }

    /// Returns the time at which the last outage ended. If there was no outage, returns the start of the run.
    pub(crate) fn recovered_at(&self) -> Instant {
        self.recovered_at.unwrap_or(Instant::ZERO)
    }

    /// Records an answer. Returns whether the endpoint was treated as failing before this answer.
    pub(crate) fn on_answer(&mut self, now: Instant) -> bool {
        let was_failing = self.is_failing;
        let was_outage = was_failing && self.has_failed_probe;
        let recovered_at = if was_outage { Some(now) } else { self.recovered_at };
        let probe_after = if was_outage { self.probe_after } else { Duration::ZERO };
        let answers = if was_failing { 0 } else { self.answers.saturating_add(1) };
        *self = Self { has_worked: true, was_reached: true, recovered_at, answers, probe_after, ..Self::default() };
        was_failing
    }

    /// Records a fault of the server or the connection.
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

    /// Records the end of a pause. If an outage continues after the pause, the duration of the outage is measured from
    /// the end of the pause.
    pub(crate) fn on_resume(&mut self, now: Instant) {
        if self.failing_since.is_some() {
            (self.failing_since, self.unclear_since) = (Some(now), now);
        }
    }

    /// Restarts the probes at short intervals, because the last answer does not prove that the endpoint works.
    pub(crate) fn probe_again(&mut self, now: Instant) {
        self.failing_since = Some(now);
        self.unclear_since = now;
        self.has_failed_probe = false;
        (self.probe_after, self.probe_at) = (FIRST_PROBE / 2, now + FIRST_PROBE);
    }

    /// Stops probing although no request has been answered. After this call, rows are sent without probes.
    pub(crate) fn stop_probing(&mut self) {
        let Self { has_worked, was_reached, recovered_at, .. } = *self;
        *self = Self { has_worked, was_reached, recovered_at, ..Self::default() };
    }

    /// Returns how long nothing has worked at the endpoint; `None` if there are too few faults to tell.
    pub(crate) fn failing_for(&self, now: Instant) -> Option<Duration> {
        self.failing_since().map(|since| now.since(since))
    }

    /// Returns how long the endpoint is allowed to fail before the run gives up the endpoint. The result is at most
    /// `most`.
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
