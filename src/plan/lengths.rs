//! How long the prompts of a group are. The length of a prompt decides which price step applies to a row.

use std::collections::BTreeMap;

/// The position of the bit of a length that decides between two halves of a range. Each doubling of the length is
/// divided into `1 << FINE` ranges, so a range is at most about 3 % wide.
const FINE: u32 = 5;

/// The numbers of rows by the estimated length of their prompts, in ranges. The number of ranges is bounded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lengths(BTreeMap<u32, (u64, u64)>);

impl Lengths {
    /// Adds a row whose prompt has this many estimated tokens.
    pub(super) fn add(&mut self, tokens: u32) {
        let (rows, sum) = self.0.entry(range(tokens)).or_default();
        *rows += 1;
        *sum += u64::from(tokens);
    }

    /// Returns the ranges, the shortest first: the number of rows, and the mean of their estimated tokens.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (u64, f64)> {
        self.0.values().map(|(rows, sum)| (*rows, *sum as f64 / *rows as f64))
    }
}

/// Returns the number of the range that contains this length.
fn range(tokens: u32) -> u32 {
    match tokens.checked_ilog2() {
        Some(bits @ FINE..) => (bits << FINE) + (tokens >> (bits - FINE)) - (1 << FINE),
        _ => tokens,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_range_is_narrow_and_keeps_its_rows_and_their_mean() {
        let mut lengths = Lengths::default();
        for tokens in [0, 1, 31, 32, 33, 99_999, 100_000, 70_000, u32::MAX] {
            lengths.add(tokens);
        }

        let ranges: Vec<(u64, f64)> = lengths.ranges().collect();

        let single = |tokens: u32| (1, f64::from(tokens));
        let close = (2, 99_999.5);
        assert_eq!(
            ranges,
            [single(0), single(1), single(31), single(32), single(33), single(70_000), close, single(u32::MAX)]
        );
        assert!((1..200_000_u32).all(|tokens| range(tokens) <= range(tokens + 1)));
        let width = (1_000..200_000_u32).filter(|tokens| range(*tokens) != range(tokens + tokens / 32 + 1)).count();
        assert_eq!(width, 199_000, "a range is at most 1/32 of its length wide");
    }
}
