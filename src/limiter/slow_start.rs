//! A slow start after a hold, for pools whose limits nobody knows.
//!
//! A gateway can have limits that no response header shows (`hidden`). Until such a limit is learned, nothing says how
//! many requests the gateway would accept after a hold. If all waiting requests were sent at once, most of them would
//! be refused, and the same would happen after the next hold. So the pool begins with one request. After that, the
//! allowed total of requests doubles every [`DOUBLES_EVERY`], until the next refusal. The total is counted from the end
//! of the hold. A slow answer does not slow down the start: only a refusal shows that the rate is too high.

use std::time::Duration;

use crate::clock::Instant;

/// The time in which the number of allowed requests doubles.
const DOUBLES_EVERY: Duration = Duration::from_millis(500);
/// The start ends when this many requests have been sent without a refusal.
const ENOUGH: u32 = 1024;

/// The requests that were sent since the last hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlowStart {
    begins_at: Instant,
    sent: u32,
}

impl SlowStart {
    /// Returns a start whose first request can be sent at `begins_at`.
    pub(super) fn new(begins_at: Instant) -> Self {
        Self { begins_at, sent: 0 }
    }

    /// Returns when the next request can be sent.
    pub(super) fn next_at(&self) -> Instant {
        self.begins_at + DOUBLES_EVERY.mul_f64(f64::from(self.sent + 1).log2())
    }

    /// Counts a request. Returns whether the start is over.
    pub(super) fn on_sent(&mut self) -> bool {
        self.sent += 1;
        self.sent >= ENOUGH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_requests_doubles_until_the_start_is_over() {
        let begins_at = Instant::from_secs(10);
        let mut start = SlowStart::new(begins_at);
        let mut sent_at = Vec::new();
        loop {
            sent_at.push(start.next_at().since(begins_at).as_secs_f64());
            if start.on_sent() {
                break;
            }
        }

        let sent_by = |seconds: f64| sent_at.iter().filter(|at| **at <= seconds + 1e-6).count();
        assert_eq!([0.0, 0.5, 1.0, 1.5, 2.0].map(sent_by), [1, 2, 4, 8, 16]);
        assert_eq!((sent_by(5.0), sent_at.len()), (1024, 1024));
    }
}
