//! Learns how long the server takes to produce the output of an answer.
//!
//! A request reserves its whole output when it is sent, but the server counts the output when it is produced. While the
//! server produces the output, the bucket of the limit fills again. So the program has to reserve only a part of the
//! remaining output: the part that exceeds the refill. If the program reserved all of the output, a server with a small
//! burst would seem to have no room for long answers. A version that reserved all of the output lost three quarters of
//! its rate. In that run, answers had 2,400 tokens, and the burst was five seconds.

use std::time::Duration;

/// After every `FADE` answers, the weight of all answers so far is halved.
const FADE: u32 = 200;

/// The mean time from sending a request to the end of its answer. In this mean, the weight of an answer is proportional
/// to its number of tokens.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Production {
    answers: u32,
    tokens: f64,
    token_seconds: f64,
}

impl Production {
    /// Adds an answer with `output_tokens` tokens. `took` is the time from sending the request to the end of the
    /// answer.
    pub(super) fn note(&mut self, output_tokens: u32, took: Duration) {
        self.answers += 1;
        self.tokens += f64::from(output_tokens);
        self.token_seconds += f64::from(output_tokens) * took.as_secs_f64();
        if self.answers.is_multiple_of(FADE) {
            self.tokens /= 2.0;
            self.token_seconds /= 2.0;
        }
    }

    /// Returns how many of the `reserved` tokens the refill will not cover. `reserved` is the number of tokens that the
    /// server has not counted yet. `per_second` is the number of tokens that refill each second while the server counts
    /// the reserved tokens.
    ///
    /// The computation assumes averages: half of the output in flight is not produced yet, and half of the production
    /// time is left.
    pub(super) fn uncovered(&self, reserved: i64, per_second: f64) -> i64 {
        let seconds = if self.tokens > 0.0 { self.token_seconds / self.tokens } else { 0.0 };
        (reserved / 2 - (per_second * seconds / 2.0) as i64).max(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_that_comes_as_fast_as_the_refill_is_covered_and_a_burst_is_not() {
        let mut production = Production::default();
        assert_eq!(production.uncovered(30_000, 1_500.0), 15_000, "no answer has been counted yet");

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
