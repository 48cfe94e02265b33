//! A histogram of durations, for percentiles. The size of a histogram does not grow with the number of durations.
//!
//! Buckets for longer durations are wider: the range between two powers of two is divided into 16 buckets. So the error
//! of a percentile is at most 3 % of its value.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The binary logarithm of the number of buckets between two powers of two.
const BITS: u32 = 4;

/// A histogram: the number of durations in each bucket. Buckets are ranges of milliseconds. In a file, a histogram is a
/// JSON object with a number for each bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Histogram(BTreeMap<u16, u64>);

impl Histogram {
    /// Adds a duration to the histogram.
    pub(crate) fn add(&mut self, duration: Duration) {
        self.add_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    }

    /// Adds a duration, given in milliseconds, to the histogram.
    pub(crate) fn add_millis(&mut self, millis: u64) {
        *self.0.entry(bucket(millis)).or_default() += 1;
    }

    /// Adds the durations of another histogram to this one.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.0 {
            let own = self.0.entry(*bucket).or_default();
            *own = own.saturating_add(*count);
        }
    }

    /// Returns how many durations were counted.
    pub(crate) fn count(&self) -> u64 {
        self.0.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Returns a percentile: the duration that the given share of all durations does not exceed. `share` is between 0
    /// and 1. Returns `None` if the histogram is empty.
    pub(crate) fn percentile(&self, share: f64) -> Option<Duration> {
        let wanted = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut seen: u64 = 0;
        let found = self.0.iter().find(|(_, count)| {
            seen = seen.saturating_add(**count);
            seen >= wanted
        });
        found.map(|(bucket, _)| Duration::from_millis(middle(*bucket)))
    }
}

fn bucket(millis: u64) -> u16 {
    let bits = u64::BITS - millis.leading_zeros();
    if bits <= BITS + 1 {
        return millis as u16;
    }
    let shift = bits - BITS - 1;
    (((shift + 1) << BITS) as u64 + ((millis >> shift) & ((1 << BITS) - 1))) as u16
}

/// Returns the duration in the middle of a bucket, in milliseconds.
fn middle(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    if bucket < 2 << BITS {
        return bucket;
    }
    let shift = (bucket >> BITS).saturating_sub(1).min(59);
    let low = ((1 << BITS) + (bucket & ((1 << BITS) - 1))) << shift;
    low + (1 << shift) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_wrong_by_at_most_3_percent() {
        for millis in (0..40).flat_map(|bits| [1_u64 << bits, (1 << bits) + (1 << bits) / 3, (2 << bits) - 1]) {
            let mut one = Histogram::default();
            one.add_millis(millis);

            let found = one.percentile(0.5).map_or(0, |found| found.as_millis() as u64);

            assert!(found.abs_diff(millis) as f64 <= 0.032 * millis as f64, "{found} for {millis}");
        }
    }

    #[test]
    fn percentiles_are_computed_from_all_durations() {
        let mut all = Histogram::default();
        (1..=1_000).for_each(|millis| all.add_millis(millis));

        let of = |share| all.percentile(share).map_or(0, |found| found.as_millis());

        assert!((485..=515).contains(&of(0.5)) && (930..=970).contains(&of(0.95)), "{} {}", of(0.5), of(0.95));
        assert_eq!((of(0.0), all.count(), Histogram::default().percentile(0.5)), (1, 1_000, None));
    }
}
