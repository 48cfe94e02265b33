//! Finds the size of the server's bucket from refusals.
//!
//! The server accepts a request that costs more than its whole bucket, but only while the bucket is full. For this
//! reason, if a request is larger than the burst, this program waits until its own bucket is full, and then sends the
//! request. The two buckets should have the same size, for two reasons:
//!
//! - If our bucket is smaller than the server's bucket, our bucket is full first. The large request is then sent too
//!   early, and the server refuses it.
//! - If our bucket is larger than the server's bucket, the server's bucket becomes full before our bucket. Until our
//!   bucket is full too, the refill of the server's bucket is lost. Our level is then above the server's level, so the
//!   server can refuse a small request.
//!
//! Each refusal shows whether our bucket is too small or too large. When the direction of the search changes, its step
//! is halved. So the search finds the size within about ten refusals.
//!
//! One idea was rejected: to compute the size of the server's bucket from the level of this bucket after the wait in
//! `retry-after`. A response header never shows a level below zero (a debt), so the header hides the debt. The computed
//! size included this debt, and was too large. With this idea, runs took four times as long if their rows were larger
//! than the server's burst.

use std::time::Duration;

/// The first step of the search: the amount by which the limit refills in this many seconds. The server rounds the wait
/// in `retry-after` up to whole seconds. So on average, the wait is half a second too long.
const FIRST_STEP_SECS: f64 = 0.5;

/// A search for the size of the server's bucket, in units of the dimension.
#[derive(Clone, Copy, Debug)]
pub(super) struct BurstSearch {
    /// The size that the search has found; 0 before the first refusal of a request above the burst.
    found: u32,
    step_secs: f64,
    last: Answer,
}

/// What a refusal shows about the burst that was tried: the burst is too small or too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    TooSmall,
    TooLarge,
}

impl BurstSearch {
    /// Returns a new search that has found nothing yet.
    pub(super) fn new() -> Self {
        Self { found: 0, step_secs: FIRST_STEP_SECS, last: Answer::TooSmall }
    }

    /// Returns the size that the search has found; 0 if nothing is known.
    pub(super) fn found(&self) -> u32 {
        self.found
    }

    /// Call this when a request was rejected although our bucket was full. `cost` is the cost of the request. `held` is
    /// an amount that certainly fits into the server's bucket; this amount is smaller than `cost`. `per_second` is the
    /// amount that the limit allows per second.
    pub(super) fn on_too_small(&mut self, held: u32, cost: u32, retry_after: Option<Duration>, per_second: f64) {
        self.note(Answer::TooSmall);
        let missing_secs = retry_after.map_or(0.0, |wait| (wait.as_secs_f64() - 1.0).max(0.0));
        let next = f64::from(held) + (missing_secs + self.step_secs) * per_second;
        self.found = (next as u32).min(cost).max(held);
    }

    /// Call this when the server rejected a request that fits into the burst, although the level was high enough.
    pub(super) fn on_too_large(&mut self, per_second: f64) {
        self.note(Answer::TooLarge);
        self.found = self.found.saturating_sub((self.step_secs * per_second) as u32).max(1);
    }

    fn note(&mut self, answer: Answer) {
        if self.last != answer {
            self.step_secs /= 2.0;
        }
        self.last = answer;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_bucket_is_found_within_ten_refusals() {
        for size in [510, 1_300, 2_500, 4_100] {
            let (mut search, mut burst) = (BurstSearch::new(), 500);
            for _ in 0..10 {
                match size - burst {
                    0..=8 => {}
                    short @ 9.. => {
                        let wait = Duration::from_secs((short as u64).div_ceil(500));
                        search.on_too_small(burst as u32, 9_000, Some(wait), 500.0);
                    }
                    ..0 => search.on_too_large(500.0),
                }
                burst = i64::from(search.found().max(500));
            }

            assert!((size - 16..=size + 16).contains(&burst), "{burst} found, and the bucket holds {size}");
        }
    }

    #[test]
    fn a_request_that_fits_into_the_bucket_shows_no_larger_size_than_its_cost() {
        let mut search = BurstSearch::new();

        search.on_too_small(500, 700, Some(Duration::from_secs(9)), 500.0);

        assert_eq!(search.found(), 700);
    }
}
