//! Formats intervals of money and of time.

use std::time::Duration;

use super::text::rough_duration;
use crate::domain::{Interval, Money};

/// Returns an interval of money as text: `$8.40–9.10`, or `$8.40` if both ends look the same. Amounts of 100 dollars or
/// more are in whole dollars.
pub(crate) fn money_range(range: Interval<Money>) -> String {
    let is_large = range.high >= Money::from_dollars(100.0);
    let shown = |money: Money| if is_large { format!("${:.0}", money.dollars()) } else { money.to_string() };
    let (low, high) = (shown(range.low), shown(range.high));
    match high.strip_prefix('$') {
        Some(number) if low != high && low.starts_with('$') => format!("{low}–{number}"),
        Some(_) if low != high => format!("up to {high}"),
        _ => high,
    }
}

/// Returns an estimated interval of money as text. Amounts of ten cents or more are in whole cents, and amounts of 100
/// dollars or more in whole dollars.
pub(crate) fn rough_money_range(range: Interval<Money>) -> String {
    const CENT: u128 = Money::PICO as u128 / 100;
    if range.high < Money(10 * CENT) || range.high >= Money(10_000 * CENT) {
        return money_range(range);
    }
    let [low, high] = [range.low, range.high].map(|money| format!("{:.2}", money.dollars()));
    if low == high { format!("${high}") } else { format!("${low}–{high}") }
}

/// Returns an interval of time as text: `38–44 min`, `55 min to 1 h 10 min`, or `38 min` if both ends look the same. An
/// interval of up to three minutes is in seconds, because minutes would be too coarse.
pub(crate) fn time_range(range: Interval<Duration>) -> String {
    const COARSE: Duration = Duration::from_secs(180);
    if range.high < COARSE {
        let [low, high] = [range.low, range.high].map(|end| end.as_secs().max(1));
        return if low == high { format!("{high} s") } else { format!("{low}–{high} s") };
    }
    let (low, high) = (rough_duration(range.low), rough_duration(range.high));
    if low == high {
        return high;
    }
    match (low.split_once(' '), high.split_once(' ')) {
        (Some((number, unit)), Some((_, other))) if unit == other => format!("{number}–{high}"),
        _ => format!("{low} to {high}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_shown_once_if_both_ends_have_the_same_unit() {
        let money = |low, high| money_range(Interval { low, likely: low, high }.map(Money::from_dollars));
        let time = |low, high| time_range(Interval { low, likely: low, high }.map(Duration::from_secs));

        assert_eq!(
            [money(8.4, 9.1), money(0.95, 1.1), money(0.000_01, 0.02), money(8.4, 8.4), money(99.8, 123.4)],
            ["$8.40–9.10", "$0.9500–1.10", "up to $0.0200", "$8.40", "$100–123"]
        );
        let rough = |low, high| rough_money_range(Interval { low, likely: low, high }.map(Money::from_dollars));
        assert_eq!(
            [rough(0.253, 0.367), rough(0.012, 0.02), rough(0.1068, 9.1)],
            ["$0.25–0.37", "$0.0120–0.0200", "$0.11–9.10"]
        );
        assert_eq!(
            [time(2_280, 2_640), time(0, 179), time(50, 180), time(3_720, 5_400), time(2_280, 2_285)],
            ["38–44 min", "1–179 s", "50 s to 3 min", "1 h 02 min to 1 h 30 min", "38 min"]
        );
    }
}
