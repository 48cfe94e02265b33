//! Computes the mean of a series of values and the precision of this mean. From the mean and the precision for the
//! finished rows, the program estimates the cost and the time of the remaining rows.

use jiff::Timestamp;

use super::pace::between;
use crate::domain::Money;

/// A series of values in the order in which they come, such as the cost of each finished row.
///
/// The values are not always in random order: the rows of a file can be sorted by length. So the variance is computed
/// from the means of blocks of consecutive values, and not from single values. This is the method of batch means. When
/// there are 32 blocks, neighbouring blocks are merged in pairs. So a series uses constant memory, and adding a value
/// takes constant time on average.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    /// The sums of the full blocks.
    blocks: Vec<f64>,
    per_block: u64,
    /// The sum of the block that is not full yet, and the number of values in this block.
    open: (f64, u64),
    sum: f64,
    count: u64,
}

impl Default for Spread {
    fn default() -> Self {
        Self { blocks: Vec::new(), per_block: 1, open: (0.0, 0), sum: 0.0, count: 0 }
    }
}

impl Spread {
    const BLOCKS: usize = 32;
    /// The weight of the caller's guess of the variance, as a number of blocks.
    const GUESSES: f64 = 2.0;

    /// Adds a value to the end of the series.
    pub(super) fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
        self.open = (self.open.0 + value, self.open.1 + 1);
        if self.open.1 < self.per_block {
            return;
        }
        self.blocks.push(self.open.0);
        self.open = (0.0, 0);
        if self.blocks.len() == Self::BLOCKS {
            (0..Self::BLOCKS / 2).for_each(|at| self.blocks[at] = self.blocks[2 * at] + self.blocks[2 * at + 1]);
            self.blocks.truncate(Self::BLOCKS / 2);
            self.per_block *= 2;
        }
    }

    /// Returns the number of values.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Returns the mean of all values; zero if there are none.
    pub(super) fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }

    /// Returns the variance of one value. To get the variance of the mean of many consecutive values, divide the
    /// variance of one value by the number of values.
    ///
    /// `guess` is a standard deviation that was plausible before the first value. While there are few values, `guess`
    /// has more weight than the values. Without `guess`, the variance after two equal values would be zero.
    pub(super) fn variance(&self, guess: f64) -> f64 {
        let (blocks, size) = (self.blocks.len() as f64, self.per_block as f64);
        let mean = self.blocks.iter().sum::<f64>() / (blocks * size).max(1.0);
        let squares: f64 = self.blocks.iter().map(|sum| (sum / size - mean).powi(2) * size).sum();
        (squares + Self::GUESSES * guess * guess) / ((blocks - 1.0).max(0.0) + Self::GUESSES)
    }

    /// Returns this series with each value multiplied by a factor.
    pub(super) fn times(&self, factor: f64) -> Self {
        let blocks = self.blocks.iter().map(|sum| sum * factor).collect();
        Self { blocks, open: (self.open.0 * factor, self.open.1), sum: self.sum * factor, ..*self }
    }

    /// Returns the values in the later half of the full blocks.
    pub(super) fn later(&self) -> Self {
        let blocks = self.blocks[self.blocks.len() / 2..].to_vec();
        let (count, sum) = (blocks.len() as u64 * self.per_block, blocks.iter().sum());
        Self { blocks, per_block: self.per_block, open: (0.0, 0), sum, count }
    }

    /// Returns the drift of the values. The drift compares the mean of the earlier half with the mean of the later
    /// half. The drift is the square of the difference between these means, minus the part that chance can explain.
    /// `variance` is the variance of one value. Even if very many values are known, the prediction of later values
    /// keeps a variance as large as the drift.
    pub(super) fn drift(&self, variance: f64) -> f64 {
        let half = self.blocks.len() / 2;
        if half == 0 {
            return 0.0;
        }
        let values = (half as u64 * self.per_block) as f64;
        let mean = |blocks: &[f64]| blocks.iter().sum::<f64>() / values;
        let apart = mean(&self.blocks[self.blocks.len() - half..]) - mean(&self.blocks[..half]);
        // If chance alone causes the difference, the expected square of the difference is `2.0 * variance / values`. A
        // square that is three times as large as the expected square is rare.
        (apart * apart - 6.0 * variance / values).max(0.0)
    }
}

/// The values with which the remaining rows are estimated. The values come from the finished rows of this run. Failed
/// rows are included. Rows that could not be sent are left out.
#[derive(Clone, Debug, Default)]
pub(super) struct RowsSoFar {
    /// The cost of each row, in dollars.
    pub(super) cost: Spread,
    /// For each finished row, the time since the previous row finished, in seconds.
    pub(super) seconds: Spread,
    last_at: Option<Timestamp>,
}

impl RowsSoFar {
    /// Adds the cost and the time of a finished row. `start` is the start of the run.
    pub(super) fn add(&mut self, cost: Option<Money>, start: Timestamp, at: Timestamp) {
        self.add_cost(cost);
        self.seconds.add(between(self.last_at.unwrap_or(start), at).as_secs_f64());
        self.last_at = Some(at);
    }

    /// Adds only the cost of a finished row. Use this function for rows in batches, because the times of these rows say
    /// nothing about the remaining rows.
    pub(super) fn add_cost(&mut self, cost: Option<Money>) {
        self.cost.add(cost.unwrap_or(Money::ZERO).dollars());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variance_of_values_in_random_order_is_that_of_the_values() {
        let (mut spread, mut random) = (Spread::default(), fastrand::Rng::with_seed(7));

        (0..50_000).for_each(|_| spread.add(random.f64()));

        let variance = spread.variance(0.3);
        assert!((0.49..0.51).contains(&spread.mean()), "{}", spread.mean());
        assert!((0.03..0.2).contains(&variance), "{variance} is not about a twelfth");
        assert!(spread.blocks.len() < Spread::BLOCKS);
        assert_eq!(spread.drift(variance), 0.0);
    }

    #[test]
    fn sorted_values_have_a_far_larger_variance_and_drift() {
        let mut spread = Spread::default();

        (0..1_000).for_each(|value| spread.add(f64::from(value) / 1_000.0));

        let variance = spread.variance(0.3);
        assert!(variance > 2.0, "{variance}");
        assert!((0.2..0.25).contains(&spread.drift(variance)), "{}", spread.drift(variance));
    }

    #[test]
    fn the_later_half_forgets_the_start() {
        let mut spread = Spread::default();

        (0..1_000).for_each(|at| spread.add(if at < 400 { 0.01 } else { 1.0 }));

        let later = spread.later();
        assert!((400..=600).contains(&later.count()), "{}", later.count());
        assert_eq!(later.mean(), 1.0);
        assert!(later.variance(0.1) < 0.01 && spread.variance(0.1) > 1.0);
    }

    #[test]
    fn few_equal_values_do_not_make_the_guess_certain() {
        let mut spread = Spread::default();
        let before = spread.variance(2.0);

        (0..3).for_each(|_| spread.add(1.0));
        let few = spread.variance(2.0);
        (0..997).for_each(|_| spread.add(1.0));

        assert_eq!((before, few, spread.count()), (4.0, 2.0, 1_000));
        assert!(spread.variance(2.0) < 0.6);
    }
}
