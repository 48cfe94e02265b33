//! How long output takes to be produced.
//!
//! A reservation takes all of an answer's output at once, the server counts it while it is produced. What is still to come
//! of the answers in flight is met by what the limit lets in until then, so it is short only as far as it is more than
//! that. Without this a server that lets little through at once looks exhausted by long answers that it has room for: at
//! 2,400 tokens an answer and a burst of five seconds that cost three quarters of the rate.

use std::time::Duration;

/// Answers after which older ones begin to fade: halved at every such number.
const FADE: u32 = 200;

/// The mean time of a token's answer, from its request to its end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Production {
    answers: u32,
    tokens: f64,
    token_seconds: f64,
}

impl Production {
    /// Takes in an answer of so many tokens that took so long.
    pub(super) fn note(&mut self, output_tokens: u32, took: Duration) {
        self.answers += 1;
        self.tokens += f64::from(output_tokens);
        self.token_seconds += f64::from(output_tokens) * took.as_secs_f64();
        if self.answers.is_multiple_of(FADE) {
            self.tokens /= 2.0;
            self.token_seconds /= 2.0;
        }
    }

    /// Returns the tokens of answers in flight that the server has not counted and that what comes in meanwhile will not
    /// cover, of `reserved` tokens, at a limit of so many a second.
    ///
    /// Half of what is in flight is not produced, on average, and the rest of its time is half of the whole.
    pub(super) fn uncovered(&self, reserved: i64, per_second: f64) -> i64 {
        let seconds = if self.tokens > 0.0 { self.token_seconds / self.tokens } else { 0.0 };
        (reserved / 2 - (per_second * seconds / 2.0) as i64).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_flow_as_the_limit_does_are_covered_and_a_burst_is_not() {
        let mut production = Production::default();
        assert_eq!(production.uncovered(30_000, 1_500.0), 15_000, "nothing is known yet");

        (0..500).for_each(|_| production.note(2_400, Duration::from_secs(20)));

        assert_eq!(production.uncovered(30_000, 1_500.0), 0, "20 s of 1,500 a second");
        assert_eq!(production.uncovered(90_000, 1_500.0), 30_000);
    }

    #[test]
    fn long_answers_count_by_their_tokens() {
        let mut production = Production::default();

        for _ in 0..100 {
            production.note(10, Duration::from_secs(1));
            production.note(990, Duration::from_secs(9));
        }

        assert_eq!(production.uncovered(10_000, 1_000.0), 5_000 - 4_460);
    }
}
