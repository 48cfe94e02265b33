//! The instants that are passed to the core of a run, and the clock that makes them.
//!
//! The core computes with [`Instant`]. These instants come from a [`RunClock`], which reads the machine's clocks. The
//! core never sees a `RunClock`: callers pass `now`. `RunClock` uses tokio's time. So if tokio's time is paused, as in
//! tests, a run uses virtual time.

use std::time::Duration;

/// A moment of a run, in nanoseconds since the run began.
///
/// An instant can be 0 to about 584 years after the beginning of the run. Arithmetic saturates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The moment when the run began.
    pub const ZERO: Self = Self(0);
    /// A moment that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// Returns the instant that is `nanos` nanoseconds after the start of the run.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Returns the instant that is `millis` milliseconds after the start of the run.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Returns the instant that is `secs` seconds after the start of the run.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Returns the nanoseconds since the run began.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Returns the seconds since the run began, for display and statistics.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Returns the time from `earlier` to this instant; zero if this instant is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

/// The clock of one run. A `RunClock` combines tokio's time with the wall-clock time at which the run started.
///
/// Waiting never uses the wall clock. The wall-clock time of an instant is the wall-clock time at the start plus the
/// time that has passed on the monotonic clock. So a jump of the wall clock neither stops a run nor speeds it up.
#[derive(Clone, Copy, Debug)]
pub struct RunClock {
    start: tokio::time::Instant,
    wall_start: jiff::Timestamp,
}

impl RunClock {
    /// Starts a clock. The moment of this call is the clock's [`Instant::ZERO`].
    pub fn start() -> Self {
        Self { start: tokio::time::Instant::now(), wall_start: jiff::Timestamp::now() }
    }

    /// Starts a clock whose wall-clock time begins at `wall_start`. Runs on virtual time need a fixed start, because
    /// they must be reproducible.
    pub fn start_at(wall_start: jiff::Timestamp) -> Self {
        Self { start: tokio::time::Instant::now(), wall_start }
    }

    /// Returns the current instant.
    pub fn now(&self) -> Instant {
        let nanos = self.start.elapsed().as_nanos();
        Instant(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Returns `at` as a tokio instant, so that a task can sleep until `at`. Returns `None` if the moment is too far in
    /// the future.
    pub fn deadline(&self, at: Instant) -> Option<tokio::time::Instant> {
        if at == Instant::NEVER {
            return None;
        }
        self.start.checked_add(Duration::from_nanos(at.0))
    }

    /// Returns the wall-clock time of `at`.
    pub fn wall(&self, at: Instant) -> jiff::Timestamp {
        let passed = jiff::SignedDuration::from_nanos(i64::try_from(at.0).unwrap_or(i64::MAX));
        self.wall_start.saturating_add(passed).unwrap_or(self.wall_start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adding_past_the_end_saturates() {
        let last = Instant::from_nanos(u64::MAX - 1);

        assert_eq!(last + Duration::from_secs(1), Instant::NEVER);
    }

    #[test]
    fn since_is_zero_for_an_instant_that_is_not_earlier() {
        assert_eq!(Instant::from_secs(1).since(Instant::from_secs(2)), Duration::ZERO);
    }
}
