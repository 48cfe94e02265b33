//! Decides when the next request for a token count can be sent.

use std::time::Duration;

use tokio::time::Instant;

/// As long as the server has rejected no request, at most this many requests are in flight.
const AT_ONCE: usize = 8;
/// The wait after a rejected or failed request, if the server does not say how long to wait.
const BACKOFF: Duration = Duration::from_secs(1);
/// The longest time between two requests. Only a limit from the server can make this time longer.
const LONGEST_GAP: Duration = Duration::from_secs(5);
/// If no further count arrives within this time, the program stops asking the server.
const PATIENCE: Duration = Duration::from_secs(120);

/// The state that decides how fast requests are sent.
#[derive(Debug)]
pub(super) struct Pace {
    /// The time between two requests.
    gap: Duration,
    next: Instant,
    at_once: usize,
    /// The moment when `gap` last became longer.
    slowed: Instant,
    /// The moment when the server last finished a row, with a count or a final failure.
    progress: Instant,
}

impl Pace {
    /// Returns the pace for a limit of `rpm` requests per minute.
    pub(super) fn new(rpm: u32) -> Self {
        let now = Instant::now();
        let gap = Duration::from_secs(60) / rpm.max(1);
        Self { gap, next: now, at_once: AT_ONCE, slowed: now, progress: now }
    }

    /// Returns the highest number of requests in flight.
    pub(super) fn at_once(&self) -> usize {
        self.at_once
    }

    /// Returns when the next request can be sent.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Returns the time at which the program gives up if no further token count has arrived by then.
    pub(super) fn end(&self) -> Instant {
        self.progress + PATIENCE
    }

    /// Records that a request is sent now.
    pub(super) fn sent(&mut self) {
        self.next = Instant::now() + self.gap;
    }

    /// Records that the server has finished a row, with a count or a final failure.
    pub(super) fn progressed(&mut self) {
        self.progress = Instant::now();
    }

    /// Delays the next request by at least `wait`.
    pub(super) fn pause(&mut self, wait: Option<Duration>) {
        // The wait is limited, so that it can't exceed the range of the clock.
        let wait = wait.unwrap_or(BACKOFF).min(2 * PATIENCE);
        self.next = self.next.max(Instant::now() + wait);
    }

    /// Slows down after the server has rejected a request because of a limit. The rejected request was sent at `sent`,
    /// and `rpm` is the limit that the server reports. After the first rejected request, only one request is in flight
    /// at a time.
    ///
    /// If the rejected request was sent before the last slowdown, `gap` stays the same, because the rejection says
    /// nothing about the new `gap`.
    pub(super) fn refused(&mut self, sent: Instant, wait: Option<Duration>, rpm: Option<u32>) {
        self.at_once = 1;
        self.pause(wait);
        if sent >= self.slowed {
            let reported = rpm.map_or(Duration::ZERO, |rpm| Duration::from_secs(60) / rpm.max(1));
            let slower = (2 * self.gap).min(LONGEST_GAP);
            self.gap = if reported > self.gap { reported } else { slower.max(self.gap) };
            self.slowed = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_refusal_slows_down_once_for_all_requests_that_were_in_flight() {
        let mut pace = Pace::new(2_000);
        let sent = Instant::now();
        tokio::time::advance(Duration::from_millis(50)).await;

        pace.refused(sent, Some(Duration::from_secs(3)), Some(60));
        pace.refused(sent, None, Some(60));

        assert_eq!((pace.at_once(), pace.gap), (1, Duration::from_secs(1)));
        assert_eq!(pace.next() - Instant::now(), Duration::from_secs(3));
        pace.refused(Instant::now(), None, None);
        assert_eq!(pace.gap, Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn the_gap_has_an_end_unless_the_reported_limit_demands_more() {
        let mut pace = Pace::new(100);

        (0..9).for_each(|_| pace.refused(Instant::now(), None, None));
        assert_eq!(pace.gap, LONGEST_GAP);

        pace.refused(Instant::now(), None, Some(2));
        pace.refused(Instant::now(), None, Some(2));
        assert_eq!(pace.gap, Duration::from_secs(30));
    }
}
