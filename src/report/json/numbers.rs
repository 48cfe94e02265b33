//! Rounds numbers for JSON objects.

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::Money;

/// Returns a number rounded to three decimal places. More decimal places would only make the files larger.
pub(crate) fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

/// Returns the seconds of a time span as a number.
pub(super) fn seconds(span: Duration) -> f64 {
    rounded(span.as_secs_f64())
}

/// Returns an estimated range of money in dollars, rounded to a millionth of a dollar.
pub(super) fn dollars(money: Money) -> f64 {
    (money.dollars() * 1e6).round() / 1e6
}

/// Returns an estimated time without fractions of a second.
pub(super) fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
