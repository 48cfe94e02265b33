//! Whether the endpoint works at all.
//!
//! Faults in a row, with no answer between, mean that the endpoint fails, not the rows: sending stops but for one probe
//! at a time, at growing intervals, and attempts are not counted against rows. The first answer ends it. So an outage is
//! met with a few requests a minute, however wide the window, and costs no row its tries. An endpoint that fails again
//! within a minute is believed to fail after three faults: one that answers one request in ten is as good as down.

use std::time::Duration;

use crate::clock::Instant;

/// Faults in a row that make an endpoint failing.
const FAULTS: u32 = 10;
/// The same within [`RELAPSE`] of the end of an outage.
const FAULTS_OF_RELAPSE: u32 = 3;
const RELAPSE: Duration = Duration::from_secs(60);
const FIRST_PROBE: Duration = Duration::from_secs(1);
const SLOWEST_PROBE: Duration = Duration::from_secs(10);
/// An endpoint that never answered is given up after this.
const NEVER_WORKED: Duration = Duration::from_secs(10);

/// State of the endpoint.
#[derive(Debug, Default)]
pub struct Health {
    has_worked: bool,
    faults_in_a_row: u32,
    is_failing: bool,
    failing_since: Option<Instant>,
    recovered_at: Option<Instant>,
    /// Requests sent before this moment tell of the outage that is known already.
    probe_at: Instant,
    probe_after: Duration,
}

impl Health {
    /// Returns whether only probes are sent.
    pub fn is_failing(&self) -> bool {
        self.is_failing
    }

    /// Returns since when nothing has worked; `None` after an answer, and for a single fault.
    pub fn failing_since(&self) -> Option<Instant> {
        self.failing_since.filter(|_| self.is_failing || self.faults_in_a_row > 1)
    }

    /// Returns when the next probe may be sent, with nothing in flight.
    pub fn probe_at(&self) -> Instant {
        self.probe_at
    }

    /// Takes in an answer; returns whether it ended an outage.
    pub fn on_answer(&mut self, now: Instant) -> bool {
        let was_failing = self.is_failing;
        let recovered_at = if was_failing { Some(now) } else { self.recovered_at };
        let probe_after = if was_failing { self.probe_after } else { Duration::ZERO };
        *self = Self { has_worked: true, recovered_at, probe_after, ..Self::default() };
        was_failing
    }

    /// Takes in a fault of the server or the connection.
    pub fn on_fault(&mut self, now: Instant) {
        self.faults_in_a_row = self.faults_in_a_row.saturating_add(1);
        self.failing_since.get_or_insert(now);
        let is_relapse = self.recovered_at.is_some_and(|at| now.since(at) < RELAPSE);
        self.is_failing |= self.faults_in_a_row >= if is_relapse { FAULTS_OF_RELAPSE } else { FAULTS };
        if self.is_failing && now >= self.probe_at {
            self.probe_after = (self.probe_after * 2).clamp(FIRST_PROBE, SLOWEST_PROBE);
            self.probe_at = now + self.probe_after;
        }
    }

    /// Returns for how long nothing has worked, when that is long enough to give up: ten seconds if nothing ever worked,
    /// else `patience`.
    pub fn is_dead(&self, patience: Duration, now: Instant) -> Option<Duration> {
        let failing_for = now.since(self.failing_since?);
        let allowed = if self.has_worked { patience } else { NEVER_WORKED.min(patience) };
        (failing_for >= allowed && self.faults_in_a_row > 1).then_some(failing_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_faults_in_a_row_leave_only_probes_and_one_answer_ends_it() {
        let mut health = Health::default();
        (0..9).for_each(|_| health.on_fault(Instant::from_secs(1)));
        assert!(!health.is_failing());

        health.on_fault(Instant::from_secs(1));

        assert!(health.is_failing());
        assert_eq!(health.probe_at(), Instant::from_secs(2));
        assert!(health.on_answer(Instant::from_secs(3)));
        assert!(!health.is_failing());
    }

    #[test]
    fn an_endpoint_that_fails_again_soon_is_believed_after_three_faults() {
        let mut health = Health::default();
        (0..10).for_each(|_| health.on_fault(Instant::from_secs(1)));
        health.on_answer(Instant::from_secs(2));

        (0..3).for_each(|_| health.on_fault(Instant::from_secs(3)));

        assert!(health.is_failing());
        assert_eq!(health.probe_at(), Instant::from_secs(5), "it goes on from the interval of the first outage");
    }

    #[test]
    fn an_endpoint_that_never_worked_is_given_up_after_ten_seconds() {
        let patience = Duration::from_secs(1800);
        let mut health = Health::default();
        (1..=12).for_each(|second| health.on_fault(Instant::from_secs(second)));

        assert_eq!(health.is_dead(patience, Instant::from_secs(10)), None);
        assert!(health.is_dead(patience, Instant::from_secs(11)).is_some());
        health.on_answer(Instant::from_secs(12));
        (20..40).for_each(|second| health.on_fault(Instant::from_secs(second)));
        assert_eq!(health.is_dead(patience, Instant::from_secs(600)), None);
    }

    #[test]
    fn probes_come_at_growing_intervals() {
        let mut health = Health::default();
        let mut now = Instant::ZERO;
        (0..10).for_each(|_| health.on_fault(now));
        let mut waits = Vec::new();
        for _ in 0..6 {
            waits.push(health.probe_at().since(now).as_secs());
            now = health.probe_at();
            health.on_fault(now);
        }

        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
    }
}
