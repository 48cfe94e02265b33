//! Predicts how many tokens a request will really use. The prediction learns from answers, separately for each pool and
//! each template.
//!
//! The predicted output is a quantile of the lengths of real answers. Real lengths are used, because only produced
//! tokens count against a limit. `max_tokens` says little about the number of these tokens. The predicted number of
//! input tokens is the estimate from the text, multiplied by the learned ratio of real tokens to estimated tokens. The
//! ratio corrects for differences between tokenizers, and for the share of the input that is read from the cache. The
//! output and the input are predicted separately for each template. The rows of a template share their writing system,
//! their language and their cached prefix. For the first rows of a template, the figures of the whole pool are used.
//!
//! Rejected:
//! - A separate ratio for each writing system would not show which share of the input is read from the cache. Also, a
//!   template rarely mixes writing systems.
//! - If the mean length of the output were reserved, a few long answers would delay all other answers.
//! - If `max_tokens` were reserved as the output, and answers used only a tenth of `max_tokens`, the rate would be only
//!   a tenth of the possible rate.

use std::collections::HashMap;

use crate::domain::{Ask, Cost, Usage};

/// The prediction learns separately for at most this many templates. Rows of all further templates use the prediction
/// of the pool.
const TEMPLATES: usize = 1024;
/// A request reserves this quantile of the real output lengths. The quantile is slightly above the middle, so most
/// answers use less than was reserved.
const QUANTILE: f64 = 0.6;
/// The number of output tokens that is predicted for a row before the first answer.
const FIRST_OUTPUT: u32 = 256;
/// The output lengths of a template are used only after the template has had this many answers.
const ENOUGH: u32 = 10;
/// After every `FADE` answers, the weight of all answers so far is halved.
const FADE: u32 = 500;
/// The initial ratio has the same weight as answers with this many estimated input tokens.
const PRIOR_TOKENS: f64 = 500.0;

/// What has been learned from the answers of one pool.
#[derive(Debug, Default)]
pub(super) struct Prediction {
    pool: Lengths,
    pool_input: Ratio,
    templates: HashMap<u64, (Lengths, Ratio)>,
}

/// The sum of the real input tokens, and the sum of the estimated input tokens. Older answers have less weight in the
/// sums.
#[derive(Clone, Copy, Debug, Default)]
struct Ratio {
    real: f64,
    estimated: f64,
}

impl Ratio {
    fn add(&mut self, real: f64, estimated: f64, fades: bool) {
        self.real += real;
        self.estimated += estimated;
        if fades {
            self.real /= 2.0;
            self.estimated /= 2.0;
        }
    }

    /// Returns the ratio of real tokens to estimated tokens. `prior` is the ratio that is assumed before the first
    /// answer.
    fn value(&self, prior: f64) -> f64 {
        (self.real + PRIOR_TOKENS * prior) / (self.estimated + PRIOR_TOKENS)
    }
}

impl Prediction {
    /// Returns the cost to reserve for a request. `read` says how many of the request's estimated input tokens will
    /// probably be read from the cache.
    pub(super) fn cost(&self, ask: &Ask, read: u32) -> Cost {
        let known = self.templates.get(&ask.template);
        let output = match known {
            Some((lengths, _)) if lengths.count >= ENOUGH => lengths.quantile,
            _ if self.pool.count > 0 => self.pool.quantile,
            _ => FIRST_OUTPUT,
        };
        let pool_ratio = self.pool_input.value(1.0);
        let ratio = known.map_or(pool_ratio, |(_, ratio)| ratio.value(pool_ratio));
        Cost {
            requests: ask.cost.requests,
            input_tokens: (f64::from(ask.cost.input_tokens.saturating_sub(read)) * ratio).ceil() as u32,
            output_tokens: output.min(ask.max_tokens).max(1),
        }
    }

    /// Learns from the usage of an answer to `ask`.
    ///
    /// For a request with known prefixes, all tokens of the prompt count, including the tokens that were read from the
    /// cache. The learned ratio then does not depend on the content of the cache.
    pub(super) fn learn(&mut self, ask: &Ask, usage: &Usage) {
        let output = u32::try_from(usage.output_tokens).unwrap_or(u32::MAX);
        let is_planned = ask.prefixes.is_some();
        let real = if is_planned { usage.prompt_tokens() } else { usage.limited_input_tokens() } as f64;
        let estimated = f64::from(ask.cost.input_tokens);
        self.pool.add(output);
        self.pool_input.add(real, estimated, self.pool.count.is_multiple_of(FADE));
        if self.templates.len() < TEMPLATES || self.templates.contains_key(&ask.template) {
            let (lengths, ratio) = self.templates.entry(ask.template).or_default();
            lengths.add(output);
            ratio.add(real, estimated, lengths.count.is_multiple_of(FADE));
        }
    }
}

/// A histogram of output lengths, and its current quantile. The histogram has eight steps between a length and twice
/// that length.
#[derive(Debug)]
struct Lengths {
    steps: [u32; 8 * 24],
    count: u32,
    quantile: u32,
}

impl Default for Lengths {
    fn default() -> Self {
        Self { steps: [0; 8 * 24], count: 0, quantile: FIRST_OUTPUT }
    }
}

impl Lengths {
    fn add(&mut self, length: u32) {
        let step = (f64::from(length.max(1)).log2() * 8.0).round() as usize;
        self.steps[step.min(8 * 24 - 1)] += 1;
        self.count += 1;
        if self.count >= 2 * FADE {
            self.steps.iter_mut().for_each(|count| *count /= 2);
            self.count = self.steps.iter().sum();
        }
        // With many answers the quantile changes slowly, so it is computed only at every eighth answer.
        if self.count < 64 || self.count.is_multiple_of(8) {
            self.quantile = self.find_quantile();
        }
    }

    fn find_quantile(&self) -> u32 {
        let wanted = (f64::from(self.count) * QUANTILE).ceil() as u32;
        let mut below = 0;
        let step = self.steps.iter().position(|&count| {
            below += count;
            below >= wanted
        });
        2f64.powf(step.unwrap_or(0) as f64 / 8.0).ceil() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::tests::planned;

    fn ask(input_tokens: u32, max_tokens: u32) -> Ask {
        planned("row", input_tokens, max_tokens).ask
    }

    fn used(input_tokens: u64, output_tokens: u64) -> Usage {
        Usage { input_tokens, output_tokens, ..Usage::default() }
    }

    #[test]
    fn output_is_predicted_from_answers_and_capped_by_max_tokens() {
        let mut prediction = Prediction::default();
        let row = ask(100, 4096);
        assert_eq!(prediction.cost(&row, 0).output_tokens, 256);

        (0..50).for_each(|_| prediction.learn(&row, &used(100, 40)));

        assert!((37..=44).contains(&prediction.cost(&row, 0).output_tokens));
        assert_eq!(prediction.cost(&ask(100, 16), 0).output_tokens, 16);
    }

    #[test]
    fn the_input_ratio_converges_within_tens_of_answers() {
        let mut prediction = Prediction::default();
        let row = ask(500, 100);

        (0..30).for_each(|_| prediction.learn(&row, &used(1000, 10)));

        assert!((950..=1_000).contains(&prediction.cost(&row, 0).input_tokens));
    }

    #[test]
    fn templates_are_learned_separately() {
        let mut prediction = Prediction::default();
        let plain = ask(1000, 4096);
        let cached = Ask { template: 1, ..ask(1000, 4096) };

        for _ in 0..40 {
            prediction.learn(&plain, &used(1000, 400));
            prediction.learn(&cached, &used(50, 20));
        }

        assert!(prediction.cost(&plain, 0).input_tokens > 950);
        assert!(prediction.cost(&cached, 0).input_tokens < 100);
        assert!(prediction.cost(&cached, 0).output_tokens < 25);
    }

    #[test]
    fn input_that_is_read_from_cache_lowers_the_prediction() {
        let mut prediction = Prediction::default();
        let row = ask(1000, 100);
        let cached = Usage { input_tokens: 50, cache_read_tokens: 950, output_tokens: 5, ..Usage::default() };

        (0..40).for_each(|_| prediction.learn(&row, &cached));

        assert!(prediction.cost(&row, 0).input_tokens < 100);
    }
}
