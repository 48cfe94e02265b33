//! A bucket for one limit of the API (on requests, input tokens or output tokens). A bucket refills continuously. A
//! request takes tokens from the bucket all at once or gradually.
//!
//! A bucket has a level, a refill rate and a drain rate. Invariants: all numbers are integers, so the level stays exact
//! in runs of any length. The level is never above the capacity, but can be below zero. Time never goes backward.
//!
//! A token is 60·10⁹·2¹⁶ units, so one token per minute is 2¹⁶ units per nanosecond. A call drains the bucket as fast
//! as it produces tokens. The rate is rounded, which loses less than 2⁻¹⁶ of a token per minute. This rounding error is
//! corrected at the end of the call.

use std::time::Duration;

use crate::clock::Instant;

/// The number of units in one token (or in one request).
pub(super) const TOKEN: i128 = 60_000_000_000 << 16;
/// The rate of one token per minute, in units per nanosecond.
const PER_MINUTE: i128 = 1 << 16;

/// A bucket that refills continuously.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    limit: u32,
    capacity: i128,
    level: i128,
    refill: i128,
    others_permille: u32,
    drain: i128,
    at: Instant,
}

impl Bucket {
    /// Returns a full bucket with room for `capacity` tokens, which refills with `limit` tokens per minute.
    pub(super) fn full(limit: u32, capacity: u64, now: Instant) -> Self {
        let capacity = i128::from(capacity.max(1)) * TOKEN;
        Self { limit, capacity, level: capacity, refill: refill(limit, 0), others_permille: 0, drain: 0, at: now }
    }

    /// Updates the level for the time `now`.
    pub(super) fn advance(&mut self, now: Instant) {
        let nanos = i128::from(now.as_nanos().saturating_sub(self.at.as_nanos()));
        self.level = (self.level + (self.refill - self.drain) * nanos).min(self.capacity);
        self.at = self.at.max(now);
    }

    /// Returns the limit per minute.
    pub(super) fn limit(&self) -> u32 {
        self.limit
    }

    /// Returns the level in units.
    pub(super) fn level(&self) -> i128 {
        self.level
    }

    /// Returns the level in tokens, rounded down; 0 if the level is below zero.
    pub(super) fn tokens(&self) -> u64 {
        u64::try_from(self.level.max(0) / TOKEN).unwrap_or(u64::MAX)
    }

    /// Returns the level in tokens, rounded to the nearest thousand; 0 if the level is below zero.
    pub(super) fn rounded_tokens(&self) -> u64 {
        u64::try_from((self.level.max(0) + 500 * TOKEN) / (1000 * TOKEN) * 1000).unwrap_or(u64::MAX)
    }

    /// Returns how many units must refill before `cost` tokens can be taken; zero if they can be taken now.
    ///
    /// If the cost is above the capacity, the cost can be taken when the bucket is full.
    pub(super) fn shortfall(&self, cost: u64) -> i128 {
        let needed = (i128::from(cost) * TOKEN).min(self.capacity);
        (needed - self.level).max(0)
    }

    /// Returns how many units must be refilled before the level is above zero.
    pub(super) fn shortfall_above_zero(&self) -> i128 {
        (1 - self.level).max(0)
    }

    /// Takes `cost` tokens from the bucket. The level can fall below zero.
    pub(super) fn take(&mut self, cost: u64) {
        self.level -= i128::from(cost) * TOKEN;
    }

    /// Takes units from the bucket. A negative number adds units, but never above the capacity.
    pub(super) fn take_units(&mut self, units: i128) {
        self.level = (self.level - units).min(self.capacity);
    }

    /// Increases the drain rate by `units` per nanosecond.
    pub(super) fn drain_more(&mut self, units: i128) {
        self.drain += units;
    }

    /// Decreases the drain rate by `units` per nanosecond.
    pub(super) fn drain_less(&mut self, units: i128) {
        self.drain -= units;
    }

    /// Returns how many seconds it takes to refill `units`, rounded up, and at least 1.
    pub(super) fn seconds_for(&self, units: i128) -> u64 {
        let per_second = self.refill.max(1) * 1_000_000_000;
        u64::try_from((units + per_second - 1) / per_second).unwrap_or(u64::MAX).max(1)
    }

    /// Returns the time until the bucket is full if nothing more is taken.
    pub(super) fn time_to_full(&self) -> Duration {
        nanos_for(self.missing(), self.refill)
    }

    /// Returns the time until this bucket and `other` together contain as much as the sum of their capacities.
    pub(super) fn time_to_full_with(&self, other: &Self) -> Duration {
        nanos_for(self.missing() + other.missing(), self.refill + other.refill)
    }

    /// Returns how many units must refill before the bucket is full.
    fn missing(&self) -> i128 {
        self.capacity - self.level
    }

    /// Sets a new limit and a new capacity. A level above the new capacity is lowered to this capacity; any other level
    /// does not change.
    pub(super) fn set_limit(&mut self, limit: u32, capacity: u64) {
        self.limit = limit;
        self.refill = refill(limit, self.others_permille);
        self.capacity = i128::from(capacity.max(1)) * TOKEN;
        self.level = self.level.min(self.capacity);
    }

    /// Sets the share of the refill (in thousandths) that other clients take at a constant rate.
    pub(super) fn set_others(&mut self, permille: u32) {
        self.others_permille = permille.min(1000);
        self.refill = refill(self.limit, self.others_permille);
    }

    /// Takes `permille` thousandths of a minute's limit from the bucket, but never more than the bucket contains.
    /// Returns the number of units taken.
    pub(super) fn take_share(&mut self, permille: u32) -> i128 {
        let wanted = i128::from(self.limit) * TOKEN * i128::from(permille) / 1000;
        let taken = wanted.min(self.level).max(0);
        self.level -= taken;
        taken
    }
}

/// Returns how many units a bucket gains per nanosecond.
fn refill(limit: u32, others_permille: u32) -> i128 {
    i128::from(limit) * PER_MINUTE * i128::from(1000 - others_permille.min(1000)) / 1000
}

fn nanos_for(units: i128, per_nano: i128) -> Duration {
    let nanos = units.max(0) / per_nano.max(1);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_refills_continuously_and_never_above_its_capacity() {
        let mut bucket = Bucket::full(60, 10, Instant::ZERO);
        bucket.take(10);

        bucket.advance(Instant::from_millis(1500));

        assert_eq!(bucket.level(), TOKEN * 3 / 2);
        bucket.advance(Instant::from_secs(600));
        assert_eq!(bucket.tokens(), 10);
    }

    #[test]
    fn only_a_full_bucket_gives_more_than_its_capacity_and_is_then_in_debt() {
        let mut bucket = Bucket::full(60, 10, Instant::ZERO);

        assert_eq!(bucket.shortfall(25), 0);
        bucket.take(25);

        assert_eq!(bucket.level(), -15 * TOKEN);
        assert_eq!(
            bucket.seconds_for(bucket.shortfall(25)),
            25,
            "at one token a second, the level is zero after 15 s, and the bucket is full 10 s later"
        );
    }

    #[test]
    fn tokens_are_rounded_to_the_nearest_thousand() {
        let mut bucket = Bucket::full(30_000, 30_000, Instant::ZERO);
        bucket.take(1_500);
        assert_eq!(bucket.rounded_tokens(), 29_000);

        bucket.take(1);

        assert_eq!(bucket.rounded_tokens(), 28_000);
    }

    #[test]
    fn a_drain_faster_than_the_refill_leads_to_a_level_below_zero() {
        let mut bucket = Bucket::full(60, 10, Instant::ZERO);
        bucket.drain_more(3 * 60 * PER_MINUTE);

        bucket.advance(Instant::from_secs(10));

        assert_eq!(bucket.level(), -10 * TOKEN, "10 tokens at the start, 10 refilled, 30 drained");
    }
}
