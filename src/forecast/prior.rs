//! Assumptions for runs without earlier answers: how long answers are, and how fast models answer.
//!
//! Every plan that uses these figures shows them. The intervals of these figures are wide on purpose.

use std::time::Duration;

use crate::catalog::Line;
use crate::domain::Interval;

/// The assumed output tokens of an answer that `max_tokens` does not truncate: the lowest and the likely value. The
/// lowest value is the length of a label, such as `positive`. The highest value is `max_tokens`. Source: our own
/// estimate; a classification answer has fewer than 10 tokens, and a paragraph has about 200.
const OUTPUT: (u32, u32) = (8, 256);
/// The standard deviation of the logarithm of the answer length.
pub(super) const SPREAD: f64 = 0.6;

/// Returns the assumed output tokens of an answer.
pub(super) fn output(max_tokens: u32) -> Interval<u32> {
    let (low, likely) = OUTPUT;
    Interval { low: low.min(max_tokens), likely: likely.min(max_tokens), high: max_tokens }
}

/// The speed with which a model answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Speed {
    /// The time to the first token.
    pub(super) first_token: Duration,
    /// The time per output token.
    pub(super) token: Duration,
    /// How much the real times differ from the expected times: the mean of |ln(real time / expected time)|.
    pub(super) spread: f64,
}

/// Returns the assumed speed of a model of this product line. Source: our own estimate, close to the speeds that users
/// report for these product lines (2026-11, unconfirmed).
pub(super) fn speed(line: Option<Line>) -> Speed {
    let (first_token, per_second) = match line {
        Some(Line::Haiku) => (600, 120),
        Some(Line::Sonnet) | None => (1_000, 70),
        Some(Line::Opus) => (1_500, 50),
        Some(Line::Fable | Line::Mythos) => (2_500, 40),
    };
    Speed { first_token: Duration::from_millis(first_token), token: Duration::from_secs(1) / per_second, spread: 0.25 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assumed_answer_is_never_longer_than_max_tokens() {
        assert_eq!(output(1_024), Interval { low: 8, likely: 256, high: 1_024 });
        assert_eq!(output(5), Interval { low: 5, likely: 5, high: 5 });
        assert_eq!(output(0), Interval::exact(0));
    }
}
