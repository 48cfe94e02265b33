//! Decides when the run checks the state of its batches. One call lists all batches, so the number of calls does not
//! depend on the number of batches.
//!
//! After the submission of a batch, the run checks its batches after 1, 2, 4, 8 and 16 seconds, and then every 30
//! seconds. So the run quickly collects the results of short batches. If the reply to a submission was lost, the run
//! also quickly finds out whether the batch exists. Ten minutes after the submission, the run begins to check every
//! minute. Two hours after the submission, the run begins to check every five minutes. Most batches end within an hour,
//! and the results of a batch can be read only after its end.
//!
//! Source: API documentation, "Batch processing" (2026-09-20), whose examples check every minute.

use std::time::Duration;

use crate::clock::Instant;

/// The times at which the run checks its batches.
#[derive(Debug)]
pub(crate) struct CheckTimes {
    /// The time of the last submission or cancellation. The waits between checks depend on how long ago that submission
    /// or cancellation was.
    since: Instant,
    next: Instant,
    /// The number of failed checks since the last check that worked.
    failed: u32,
    /// The time at which the checks began to fail; `None` if the last check worked.
    failing_since: Option<Instant>,
}

impl CheckTimes {
    /// Returns a schedule of checks that begins with an immediate check.
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, next: now, failed: 0, failing_since: None }
    }

    /// Restarts the schedule with short waits. The lane calls this function after a batch was submitted or canceled, or
    /// when a submission has perhaps created a batch.
    pub(crate) fn begin_again(&mut self, now: Instant) {
        self.since = now;
        self.next = now + wait_after(Duration::ZERO);
    }

    /// Returns the time of the next check.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Notes that a check has worked.
    pub(crate) fn on_look(&mut self, now: Instant) {
        (self.failed, self.failing_since) = (0, None);
        self.next = now + wait_after(now.since(self.since));
    }

    /// Notes that a check has failed. `retry_after` is the wait before the next check, if the API asks for one. Returns
    /// the time since the checks began to fail.
    pub(crate) fn on_failed(&mut self, retry_after: Option<Duration>, now: Instant) -> Duration {
        self.failed = self.failed.saturating_add(1);
        let backoff = Duration::from_secs(2 << self.failed.min(7));
        let wait = wait_after(now.since(self.since)).max(backoff).max(retry_after.unwrap_or_default());
        self.next = now + wait;
        now.since(*self.failing_since.get_or_insert(now))
    }

    /// Makes the next check due immediately.
    pub(crate) fn hurry(&mut self, now: Instant) {
        self.next = self.next.min(now);
    }
}

/// Returns the wait until the next check. `age` is the time since the last submission or cancellation.
fn wait_after(age: Duration) -> Duration {
    let seconds = match age.as_secs_f64() {
        age if age < 0.9 => 1,
        age if age < 2.9 => 2,
        age if age < 6.9 => 4,
        age if age < 14.9 => 8,
        age if age < 30.9 => 16,
        age if age < 600.0 => 30,
        age if age < 7200.0 => 60,
        _ => 300,
    };
    Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_frequent_at_first_and_rare_later() {
        let mut looks = CheckTimes::new(Instant::ZERO);
        looks.begin_again(Instant::ZERO);
        let mut times = Vec::new();

        while looks.next() < Instant::from_secs(86_400) {
            let now = looks.next();
            times.push(now.as_secs_f64() as u64);
            looks.on_look(now);
        }

        assert_eq!(times[..6], [1, 3, 7, 15, 31, 61]);
        let within = |to: u64| times.iter().filter(|at| **at <= to).count();
        assert!((20..30).contains(&within(600)), "{}", within(600));
        assert!(times.len() < 500, "{}", times.len());
    }

    #[test]
    fn a_failing_check_backs_off_and_obeys_the_api() {
        let mut looks = CheckTimes::new(Instant::ZERO);

        let first = looks.on_failed(Some(Duration::from_secs(45)), Instant::ZERO);
        assert_eq!((looks.next(), first), (Instant::from_secs(45), Duration::ZERO));

        let second = looks.on_failed(None, Instant::from_secs(45));
        assert_eq!((looks.next(), second), (Instant::from_secs(75), Duration::from_secs(45)));
    }
}
