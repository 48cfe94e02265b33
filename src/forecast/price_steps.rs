//! The cost of rows whose model has several price steps. The real length of a prompt decides which step applies to a
//! row, so the length is corrected before the step is chosen.

use super::sizes::Sizes;
use crate::catalog::{Catalog, Prices};
use crate::domain::{Lane, Money, Terms};
use crate::plan::Group;

/// The width of one side of a 95 % interval, divided by the standard deviation.
const TO_95_PERCENT: f64 = 1.96;

/// The cost of the rows of a group, in dollars.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stepped {
    /// The likely cost of the prompts, divided by the likely ratio of real to estimated tokens.
    pub(super) input: f64,
    /// The likely price of one output token, added up over all rows.
    pub(super) output_token: f64,
    /// The lowest value that `output_token` can have.
    pub(super) least_output_token: f64,
    /// How far the real cost can be below and above the likely cost because other price steps apply. These errors come
    /// in addition to the errors of the tokens.
    pub(super) errors: (f64, f64),
}

impl Stepped {
    /// Returns the cost of a group; `None` if the price does not depend on the length of the prompt, or is not known.
    pub(super) fn of(group: &Group, sizes: &Sizes, catalog: &Catalog) -> Option<Self> {
        let prices = catalog.prices(group.terms.speed, &group.model).filter(Prices::has_steps)?;
        let rows = Rows { group, sizes, prices: &prices, share: sizes.price_share.unwrap_or(1.0) };
        let ratio = sizes.input.mean;
        let (below, above) = sizes.input.errors;
        let likely = rows.at(ratio);
        let [low, high] = [ratio - below, ratio + above].map(|ratio| rows.at(ratio.max(0.0)));
        let mut errors = likely.spread;
        for (end, ratio) in [(&low, ratio - below), (&high, ratio + above)] {
            // The error of the tokens already counts the change of the cost within a price step.
            let within_step = likely.prompts * ratio / sizes.input.mean.max(f64::MIN_POSITIVE)
                + likely.output_token * sizes.output.mean;
            let beyond = end.prompts + end.output_token * sizes.output.mean - within_step;
            errors.0 = f64::max(errors.0, likely.spread.0 - beyond);
            errors.1 = f64::max(errors.1, likely.spread.1 + beyond);
        }
        if sizes.price_share.is_none() && group.own_marks > 0 {
            let (cheapest, dearest) = rows.with_own_marks();
            errors.0 += low.prompts * (1.0 - cheapest);
            errors.1 += high.prompts * (dearest - 1.0);
        }
        Some(Self {
            input: likely.prompts / ratio.max(f64::MIN_POSITIVE),
            output_token: likely.output_token,
            least_output_token: low.output_token.min(likely.output_token).min(high.output_token),
            errors,
        })
    }
}

/// The rows of a group, and what is known about them.
struct Rows<'a> {
    group: &'a Group,
    sizes: &'a Sizes,
    prices: &'a Prices,
    /// The cost of the prompts with the cache, divided by their cost without a cache.
    share: f64,
}

/// The cost of the rows for a certain ratio of real to estimated tokens, in dollars.
#[derive(Default)]
struct Cost {
    prompts: f64,
    output_token: f64,
    /// How far the cost can be below and above the mean, because rows of the same estimated length have different real
    /// lengths, and so different price steps.
    spread: (f64, f64),
}

impl Rows<'_> {
    /// Returns the cost of the rows if `ratio` is the mean ratio of real to estimated tokens.
    fn at(&self, ratio: f64) -> Cost {
        let mut sum = Cost::default();
        self.group.lengths.ranges().for_each(|(rows, length)| self.add(&mut sum, rows, length * ratio));
        sum
    }

    /// Returns the lowest and the highest cost that the prompts can have because of their own cache marks, divided by
    /// their cost without a cache.
    fn with_own_marks(&self) -> (f64, f64) {
        let group = self.group;
        // The group's own costs are for the estimated tokens, so they are compared with the plain cost of these tokens.
        let plain = |tokens: u64| {
            let ratio = tokens as f64 / group.input_tokens.likely.max(1) as f64;
            let of = |(rows, length): (u64, f64)| {
                let tokens = length * ratio;
                tokens * dollars(rows, self.prices.input_token(group.terms, tokens as u64))
            };
            group.lengths.ranges().map(of).sum::<f64>().max(f64::MIN_POSITIVE)
        };
        let cheapest = group.input_cost.low.dollars() / plain(group.input_tokens.low);
        let dearest = group.input_cost.high.dollars() / plain(group.input_tokens.high);
        (cheapest.min(1.0), dearest.max(1.0))
    }

    /// Adds rows whose prompts have `tokens` real tokens on average.
    fn add(&self, sum: &mut Cost, rows: u64, tokens: f64) {
        let group = self.group;
        let terms: Terms = group.terms;
        // In a run with batches, the first row of each kind has the full price, which is twice the price in batches.
        let full =
            if terms.lane == Lane::Batch { group.online_tests.rows as f64 / group.rows.max(1) as f64 } else { 0.0 };
        let dollars = |price: Money| (1.0 + full) * dollars(rows, price);
        let real = |spread: f32| (tokens * f64::from(spread)).round() as u64;
        let spread = &self.sizes.input_spread[..];
        let spread = match spread {
            [] => &[1.0][..],
            [first, .., last] if self.prices.is_same_step(real(*first), real(*last)) => &spread[..1],
            _ => spread,
        };
        let of = |spread: &f32| {
            let length = real(*spread);
            let prompts = tokens * self.share * dollars(self.prices.input_token(terms, length));
            (prompts, dollars(self.prices.output_token(terms, length)))
        };
        let samples = spread.len() as f64;
        let all: Vec<(f64, f64)> = spread.iter().map(of).collect();
        let mean = |of: fn(&(f64, f64)) -> f64| all.iter().map(of).sum::<f64>() / samples;
        let (prompts, output_token) = (mean(|cost| cost.0), mean(|cost| cost.1));
        sum.prompts += prompts;
        sum.output_token += output_token;
        if let [_, _, ..] = all[..] {
            let mean = prompts + output_token * self.sizes.output.mean;
            let costs = all.iter().map(|cost| cost.0 + cost.1 * self.sizes.output.mean);
            let (least, most) = costs.clone().fold((mean, mean), |(low, high), cost| (low.min(cost), high.max(cost)));
            let variance = costs.map(|cost| (cost - mean).powi(2)).sum::<f64>() / (samples - 1.0);
            // The rows differ from their mean, and the sample differs from the mean of all rows.
            let error = TO_95_PERCENT * (variance * (1.0 / rows as f64 + 1.0 / samples)).sqrt();
            sum.spread.0 += error.min(mean - least);
            sum.spread.1 += error.min(most - mean);
        }
    }
}

fn dollars(rows: u64, price: Money) -> f64 {
    price.times(rows).dollars()
}

#[cfg(test)]
mod tests {
    use super::super::history::tests::past;
    use super::super::question::tests::ask;
    use super::super::{Counts, History, PastAnswer};
    use crate::domain::{Interval, Money};
    use crate::plan::Load;
    use crate::plan::load_tests::{load, row};

    /// Returns ten rows. The prompt of each row has about this many estimated tokens.
    fn rows(tokens: u64, rest: &str) -> Load {
        let with_words =
            |words: u64| row(&"word ".repeat(words as usize), &format!(r#","model":"claude-haiku-5-5"{rest}"#));
        let words_per_token = 1_000.0 / load([with_words(1_000)].into_iter(), 0).input_tokens().likely as f64;
        load((0..10).map(|_| with_words((tokens as f64 * words_per_token) as u64)), 0)
    }

    /// Returns ten earlier answers, whose real input is `ratios` times the estimate, in turn.
    fn answers(load: &Load, ratios: &[f64]) -> History {
        let mut history = History::default();
        let group = &load.groups()[0];
        let estimated = group.input_tokens.likely / group.rows;
        for (_, ratio) in (0..10).zip(ratios.iter().cycle()) {
            let real = (estimated as f64 * ratio) as u64;
            history.add(&past(group.template.expect("one template"), estimated as u32, real, 100));
        }
        history
    }

    fn cost(load: &Load, history: &History, counts: &Counts) -> Interval<f64> {
        let cost = ask(load, history, counts, 100, |question| question.forecast()).totals.cost;
        cost.expect("a price").map(Money::dollars)
    }

    /// Returns the cost of ten answers of 100 tokens to prompts of this length.
    fn real(tokens: f64, is_long: bool) -> f64 {
        let [input, output] = if is_long { [0.5, 2.5] } else { [0.1, 0.5] };
        10.0 * (tokens * input + 100.0 * output) / 1e6
    }

    fn is_close(cost: Interval<f64>, real: f64) -> bool {
        cost.low >= 0.97 * real && cost.high <= 1.03 * real && cost.contains(real)
    }

    #[test]
    fn the_price_step_is_chosen_by_the_corrected_length_of_the_prompt() {
        let (long, short) = (rows(113_000, ""), rows(79_000, ""));
        let counts = |load: &Load, ratio: f64| -> Counts {
            let estimated = load.input_tokens().likely / 10;
            (0..10).map(|_| (0, estimated as u32, (estimated as f64 * ratio) as u64)).collect()
        };

        let shorter = cost(&long, &answers(&long, &[0.6]), &Counts::new());
        let longer = cost(&short, &answers(&short, &[1.33]), &Counts::new());
        let counted = cost(&long, &answers(&long, &[1.0]), &counts(&long, 0.6));

        let of_short = real(0.6 * long.input_tokens().likely as f64 / 10.0, false);
        let of_long = real(1.33 * short.input_tokens().likely as f64 / 10.0, true);
        assert!(is_close(shorter, of_short), "{shorter:?} {of_short}");
        assert!(is_close(longer, of_long), "{longer:?} {of_long}");
        assert!(is_close(counted, of_short), "{counted:?} {of_short}");
    }

    #[test]
    fn rows_that_can_be_on_either_side_of_a_step_have_a_cost_with_both_sides() {
        let load = rows(90_000, "");
        let [least, most] = [(0.99 * 90_000.0, false), (1.01 * 100_000.0, true)].map(|(tokens, is)| real(tokens, is));

        let same = cost(&load, &answers(&load, &[100.0 / 90.0]), &Counts::new());
        let mixed = cost(&load, &answers(&load, &[1.0, 1.2]), &Counts::new());
        let unknown = cost(&load, &History::default(), &Counts::new());

        for cost in [same, mixed, unknown] {
            assert!(cost.low < 1.2 * least && cost.high > 0.9 * most, "{cost:?} {least} {most}");
        }
    }

    #[test]
    fn marks_of_the_rows_make_the_interval_wider_and_a_known_cache_makes_it_cheaper() {
        let load = rows(113_000, r#","cache_control":{"type":"ephemeral"}"#);
        let plain = answers(&load, &[0.6]);
        let mut cached = History::default();
        let group = &load.groups()[0];
        let answer = past(group.template.expect("one template"), 113_000, 68_000, 100);
        (0..10).for_each(|_| cached.add(&PastAnswer { price_share: Some(0.1), ..answer.clone() }));
        let counts: Counts = (0..10).map(|_| (0, 113_000, 68_000)).collect();

        let [plain, cached, unknown] =
            [(&plain, &Counts::new()), (&cached, &Counts::new()), (&History::default(), &counts)]
                .map(|(history, counts)| cost(&load, history, counts));

        let of_plain = real(68_000.0, false);
        assert!(plain.contains(of_plain) && cached.high < 0.2 * plain.low, "{plain:?} {cached:?}");
        assert!(unknown.low < 0.2 * of_plain && unknown.high > 1.2 * of_plain, "{unknown:?}");
        assert!(unknown.high < 2.0 * of_plain, "{unknown:?}");
    }
}
