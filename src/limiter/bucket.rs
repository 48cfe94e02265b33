//! A token bucket for one dimension. Callers can correct the level of the bucket.
//!
//! The crate `governor` decides whether tokens can be taken; its algorithm is GCRA (generic cell rate algorithm). This
//! file owns the state that `governor` uses to decide. Because this file owns the state, it can give tokens back to the
//! bucket, and can lower, raise or rescale the level. A level below zero is a debt: the bucket grants nothing until it
//! has refilled above zero. No other file uses `governor`.
//!
//! The state is one number, the theoretical arrival time (TAT), in nanoseconds since the start of the run. With a
//! replenish interval `t` and a burst `b`, the level is `b - max(0, tat - now) / t`. If the TAT is in the past, the
//! bucket is full. If the TAT is far in the future, the bucket is in debt.
//!
//! Invariants: the level is never above the burst. When `n` tokens are taken, the TAT becomes `max(tat, now) + n × t`.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use crate::clock::Instant;

const MINUTE_NANOS: u64 = 60_000_000_000;

/// A token bucket for one dimension.
#[derive(Debug)]
pub struct Bucket {
    kernel: Kernel,
    arrival: Arrival,
    limit_per_minute: u32,
    /// The share of the limit that is left unused, in millionths.
    headroom_ppm: u32,
    interval_nanos: u64,
    burst: u32,
}

type Kernel = RateLimiter<NotKeyed, Arrival, GivenClock, NoOpMiddleware<Duration>>;

impl Bucket {
    /// Returns a full bucket with the limit `limit_per_minute`, which is at least 1. A full bucket grants `burst`
    /// tokens without a wait.
    pub fn new(limit_per_minute: u32, burst: u32) -> Self {
        let limit_per_minute = limit_per_minute.max(1);
        let interval_nanos = interval(limit_per_minute, 0);
        let burst = burst.clamp(1, limit_per_minute);
        let arrival = Arrival::default();
        let kernel = kernel(interval_nanos, burst, &arrival);
        Self { kernel, arrival, limit_per_minute, headroom_ppm: 0, interval_nanos, burst }
    }

    /// Returns the limit per minute.
    pub fn limit(&self) -> u32 {
        self.limit_per_minute
    }

    /// Returns how many tokens are refilled per second. The headroom is already subtracted from this rate.
    pub fn per_second(&self) -> f64 {
        1e9 / self.interval_nanos as f64
    }

    /// Returns how many tokens a full bucket grants without a wait.
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// Returns how many tokens can be taken at `now`. The number is negative while the bucket is in debt.
    pub fn level(&self, now: Instant) -> i64 {
        let ahead = self.arrival.get().saturating_sub(now.as_nanos());
        i64::from(self.burst) - i64::try_from(ahead.div_ceil(self.interval_nanos)).unwrap_or(i64::MAX)
    }

    /// Takes `n` tokens, or returns when to try again.
    ///
    /// If `n` is above the burst, the tokens are taken when the bucket is full, and the bucket is then in debt. So even
    /// a request above the burst is sent, and the next requests wait until the debt is repaid.
    ///
    /// # Errors
    /// Returns the earliest instant at which `n` tokens can be taken, assuming that no other tokens are taken before
    /// that.
    pub fn take(&mut self, n: u32, now: Instant) -> Result<(), Instant> {
        let Some(cells) = NonZeroU32::new(n) else { return Ok(()) };
        if n > self.burst {
            return self.take_on_debt(n, now);
        }
        self.kernel.clock().set(now);
        match self.kernel.check_n(cells) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => Err(Instant::from_nanos(nanos(not_until.earliest_possible()))),
            Err(_) => self.take_on_debt(n, now),
        }
    }

    fn take_on_debt(&mut self, n: u32, now: Instant) -> Result<(), Instant> {
        let full_at = Instant::from_nanos(self.arrival.get());
        if full_at > now {
            return Err(full_at);
        }
        self.debit(n, now);
        Ok(())
    }

    /// Gives `n` tokens back to the bucket. A refund never fills the bucket above its burst: when tokens are taken, a
    /// TAT (theoretical arrival time) in the past counts as `now`.
    pub fn refund(&mut self, n: u32) {
        self.arrival.set(self.arrival.get().saturating_sub(self.worth(u64::from(n))));
    }

    /// Takes `n` tokens that a request has already used. After that, the level of the bucket can be negative.
    pub fn debit(&mut self, n: u32, now: Instant) {
        let from = self.arrival.get().max(now.as_nanos());
        self.arrival.set(from.saturating_add(self.worth(u64::from(n))));
    }

    /// If the level of the bucket is above `most`, lowers the level to `most`. Returns how many tokens were taken away.
    pub fn clamp(&mut self, most: i64, now: Instant) -> i64 {
        let level = self.level(now);
        if level <= most {
            return 0;
        }
        self.set_level(most, now);
        level - most
    }

    /// Raises the level towards `target`, by at most `step`. If the burst is lower than the new level, raises the burst
    /// to this level. Never lowers the level or the burst. Returns how many tokens were added.
    ///
    /// The burst never exceeds one minute's limit.
    pub fn raise(&mut self, target: i64, step: i64, now: Instant) -> i64 {
        let level = self.level(now);
        let raised = target.min(level.saturating_add(step)).min(i64::from(self.limit_per_minute));
        if raised <= level {
            return 0;
        }
        if raised > i64::from(self.burst) {
            self.burst = u32::try_from(raised).unwrap_or(self.limit_per_minute);
            self.rebuild();
        }
        self.set_level(raised, now);
        raised - level
    }

    /// Changes the burst of the bucket. If the level is above the new burst, the level is lowered to the burst. A level
    /// below the new burst stays the same.
    pub(super) fn set_burst(&mut self, burst: u32, now: Instant) {
        let level = self.level(now);
        self.burst = burst.clamp(1, self.limit_per_minute);
        self.rebuild();
        self.set_level(level.min(i64::from(self.burst)), now);
    }

    /// Changes the limit per minute. The number of missing tokens (burst minus level) stays the same. The new limit
    /// changes only how long the refill of the missing tokens takes.
    pub fn set_limit(&mut self, limit_per_minute: u32, now: Instant) {
        self.limit_per_minute = limit_per_minute.max(1);
        self.burst = self.burst.min(self.limit_per_minute);
        self.requota(now);
    }

    /// Sets which share of the limit is left unused, as a number from 0 to 1.
    pub(super) fn set_headroom(&mut self, share: f64, now: Instant) {
        let ppm = (share.clamp(0.0, 0.99) * 1e6) as u32;
        if ppm != self.headroom_ppm {
            self.headroom_ppm = ppm;
            self.requota(now);
        }
    }

    fn requota(&mut self, now: Instant) {
        let missing = self.arrival.get().saturating_sub(now.as_nanos()) as f64 / self.interval_nanos as f64;
        self.interval_nanos = interval(self.limit_per_minute, self.headroom_ppm);
        self.rebuild();
        if missing > 0.0 {
            self.arrival.set(now.as_nanos().saturating_add((missing * self.interval_nanos as f64) as u64));
        }
    }

    fn set_level(&mut self, level: i64, now: Instant) {
        let missing = u64::try_from(i64::from(self.burst).saturating_sub(level)).unwrap_or(0);
        self.arrival.set(now.as_nanos().saturating_add(self.worth(missing)));
    }

    fn worth(&self, n: u64) -> u64 {
        n.saturating_mul(self.interval_nanos)
    }

    fn rebuild(&mut self) {
        self.kernel = kernel(self.interval_nanos, self.burst, &self.arrival);
    }
}

/// Returns the nanoseconds per token, rounded up. Rounding up keeps the rate at or below the limit. For limits up to
/// fifty million per minute, the rate is less than 0.1 % below the limit.
fn interval(limit_per_minute: u32, headroom_ppm: u32) -> u64 {
    let share = u64::from(1_000_000 - headroom_ppm.min(990_000));
    let per_minute_ppm = u64::from(limit_per_minute) * share;
    (u128::from(MINUTE_NANOS) * 1_000_000).div_ceil(u128::from(per_minute_ppm)).try_into().unwrap_or(u64::MAX)
}

/// Returns governor's limiter with `arrival` as its state. The crate `governor` measures arrival times from the instant
/// at which a limiter is built. In this file, arrival times are counted from the start of the run, so the limiter is
/// built while its clock shows zero.
fn kernel(interval_nanos: u64, burst: u32, arrival: &Arrival) -> Kernel {
    let quota = Quota::with_period(Duration::from_nanos(interval_nanos)).expect("an interval is never zero");
    let burst = NonZeroU32::new(burst).expect("a burst is at least one");
    RateLimiter::new(quota.allow_burst(burst), arrival.clone(), GivenClock::default())
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The state of the bucket: the theoretical arrival time (TAT). This value is shared by the bucket and the limiter of
/// the crate `governor`.
#[derive(Clone, Debug, Default)]
struct Arrival(Arc<AtomicU64>);

impl Arrival {
    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn set(&self, nanos: u64) {
        self.0.store(nanos, Relaxed);
    }
}

impl StateStore for Arrival {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _key: &Self::Key, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (outcome, arrival) = f(Some(Nanos::new(self.get())))?;
        self.set(arrival.as_u64());
        Ok(outcome)
    }
}

/// A clock for the crate `governor`. The clock always shows the time that was set last.
#[derive(Debug, Default)]
struct GivenClock(AtomicU64);

impl GivenClock {
    fn set(&self, now: Instant) {
        self.0.store(now.as_nanos(), Relaxed);
    }
}

impl Clock for GivenClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn a_full_bucket_lets_its_burst_through_and_no_more() {
        let mut bucket = Bucket::new(60, 5);

        assert_eq!(bucket.take(5, at(0)), Ok(()));
        assert_eq!(bucket.take(1, at(0)), Err(at(1000)));
        assert_eq!(bucket.take(1, at(1000)), Ok(()));
    }

    #[test]
    fn a_refund_never_fills_a_bucket_above_its_burst() {
        let mut bucket = Bucket::new(60, 5);

        bucket.refund(100);

        assert_eq!(bucket.level(at(0)), 5);
        assert_eq!(bucket.take(5, at(0)), Ok(()));
        assert_eq!(bucket.take(1, at(0)), Err(at(1000)));
    }

    #[test]
    fn after_a_debit_above_the_level_nothing_is_let_through_until_the_debt_is_repaid() {
        let mut bucket = Bucket::new(60, 5);

        bucket.debit(7, at(0));

        assert_eq!(bucket.level(at(0)), -2);
        assert_eq!(bucket.take(1, at(0)), Err(at(3000)));
    }

    #[test]
    fn a_cost_above_the_burst_is_taken_from_a_full_bucket_and_leaves_debt() {
        let mut bucket = Bucket::new(60, 5);

        assert_eq!(bucket.take(1, at(0)), Ok(()));
        assert_eq!(bucket.take(8, at(0)), Err(at(1000)), "only a full bucket gives 8 tokens");
        assert_eq!(bucket.take(8, at(1000)), Ok(()));

        assert_eq!(bucket.level(at(1000)), -3);
    }

    #[test]
    fn doubling_the_limit_halves_the_wait_for_a_debt() {
        let mut bucket = Bucket::new(60, 1);
        bucket.debit(10, at(0));

        bucket.set_limit(120, at(5000));

        assert_eq!(bucket.take(1, at(5000)), Err(at(7500)));
    }

    #[test]
    fn a_clamp_only_lowers_and_a_raise_only_raises() {
        let mut bucket = Bucket::new(600, 10);

        bucket.clamp(4, at(0));
        assert_eq!(bucket.level(at(0)), 4);
        bucket.clamp(8, at(0));
        assert_eq!(bucket.level(at(0)), 4);
        bucket.raise(2, 100, at(0));
        assert_eq!(bucket.level(at(0)), 4);
        bucket.raise(300, 50, at(0));
        assert_eq!((bucket.level(at(0)), bucket.burst()), (54, 54));
    }

    #[test]
    fn headroom_slows_the_refill_and_keeps_the_level() {
        let mut bucket = Bucket::new(600, 10);
        bucket.take(10, at(0)).expect("the bucket is full");

        bucket.set_headroom(0.5, at(0));

        assert_eq!(bucket.level(at(0)), 0);
        assert_eq!(bucket.level(at(1000)), 5);
    }
}
