//! Values that are not known exactly.

use std::ops::{Add, AddAssign};

/// A value that is not known exactly: its lowest, its likely and its highest possible value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Interval<T> {
    /// The lowest value.
    pub low: T,
    /// The likely value. The likely value is at least `low` and at most `high`.
    pub likely: T,
    /// The highest value.
    pub high: T,
}

impl<T: Copy> Interval<T> {
    /// Returns the interval of a value that is known exactly.
    pub fn exact(value: T) -> Self {
        Self { low: value, likely: value, high: value }
    }

    /// Applies `change` to each of the three values. After the change, the three values must still be in the same
    /// order.
    pub fn map<U>(self, change: impl Fn(T) -> U) -> Interval<U> {
        Interval { low: change(self.low), likely: change(self.likely), high: change(self.high) }
    }
}

impl<T: Copy + PartialOrd> Interval<T> {
    /// Returns whether the interval contains a value.
    pub fn contains(&self, value: T) -> bool {
        self.low <= value && value <= self.high
    }
}

impl<T: Add<Output = T>> Add for Interval<T> {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { low: self.low + other.low, likely: self.likely + other.likely, high: self.high + other.high }
    }
}

impl<T: AddAssign> AddAssign for Interval<T> {
    fn add_assign(&mut self, other: Self) {
        self.low += other.low;
        self.likely += other.likely;
        self.high += other.high;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_add_up_and_contain_their_ends() {
        let mut sum = Interval { low: 1, likely: 2, high: 4 } + Interval::exact(10);
        sum += Interval { low: 0, likely: 1, high: 1 };

        assert_eq!(sum, Interval { low: 11, likely: 13, high: 15 });
        assert!(sum.contains(11) && sum.contains(15) && !sum.contains(16));
        assert_eq!(sum.map(|value| value * 2), Interval { low: 22, likely: 26, high: 30 });
    }
}
