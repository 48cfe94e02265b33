//! For each group, estimates the real sizes of its rows (input and output tokens). Each estimate says how large its
//! error can be, and where the estimate comes from.

use std::collections::HashMap;

use super::history::{Answers, History, Seen};
use super::prior;
use super::statistics::{Sampled, mean, ratio, regression, unseen_slope};
use crate::catalog::Catalog;
use crate::domain::Interval;
use crate::plan::{Group, Load};

/// How many answers or token counts a group needs to get figures of its own. If a group has fewer answers or token
/// counts, the figures of its model are used.
const ENOUGH: usize = 5;
/// The token counts of the API are estimates. The real number of input tokens differs from the count by at most about
/// this share. Source: API documentation, "Token counting" (2026-08-22; "a small amount").
const COUNTING_ERROR: f64 = 0.01;
/// The smallest error of an estimate. Even if all rows of a sample have the same value, the values of other rows can
/// differ by about this share.
const LEAST_ERROR: f64 = 0.01;
/// The factor by which the mean length of answers can differ between templates of the same model.
const OTHER_TEMPLATE: f64 = 2.0;

/// The source of an estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Basis {
    /// The estimate comes from token counts of the API.
    Counts,
    /// The estimate comes from earlier answers to the same template.
    Template,
    /// The estimate comes from the model's earlier answers to other templates.
    Model,
    /// The estimate comes only from the text of the row and from assumptions that the plan shows.
    Assumption,
}

/// The rows whose tokens the API has counted. Each entry has the position of the row's group, the row's estimated
/// tokens and its counted tokens.
pub type Counts = Vec<(usize, u32, u64)>;

/// A quantity that each row of a group has, such as its output tokens. With a probability of 95 %, the real mean
/// differs from `mean` by at most `errors`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quantity {
    /// The likely mean of the quantity.
    pub(super) mean: f64,
    /// How far the real mean can be below `mean`, and how far it can be above `mean`.
    pub(super) errors: (f64, f64),
    /// The source of the estimate.
    pub(super) basis: Basis,
    /// A number that identifies the sample from which the quantity comes. Quantities from the same sample have the same
    /// error. The value is `None` if the quantity is assumed, because its error can have the same cause as the errors
    /// of other quantities.
    pub(super) source: Option<u64>,
}

/// The sizes of the rows of one group.
#[derive(Clone, Debug)]
pub(super) struct Sizes {
    /// The real input tokens, divided by the estimated input tokens.
    pub(super) input: Quantity,
    /// How the ratio of real to estimated input tokens differs between rows: the ratio of each row of the sample,
    /// divided by the mean ratio, in ascending order. If there is no sample, the list is empty.
    pub(super) input_spread: Vec<f32>,
    /// The share of the real input, from 0 to 1, that counts against the input limit.
    pub(super) limited_share: f64,
    /// The real cost of prompts and searches, divided by the cost of the prompts without a cache. If this share is not
    /// known, the value is `None`, and the interval of the group's cost is used instead.
    pub(super) price_share: Option<f64>,
    /// The output tokens of an answer.
    pub(super) output: Quantity,
    /// If longer prompts get longer answers: the additional output tokens for each additional estimated input token.
    pub(super) output_slope: f64,
    /// The mean number of estimated input tokens per row in the group.
    pub(super) mean_estimated: f64,
    /// The follow-ups of a row: their input tokens, their output tokens and their cost in dollars, at online prices.
    /// `None` if the earlier rows had no follow-ups, or if there are no earlier rows.
    pub(super) follow_ups: Option<[Quantity; 3]>,
    /// The lengths of earlier answers, relative to their expected lengths. If there are no earlier answers, the list is
    /// empty.
    pub(super) lengths: Vec<f32>,
}

/// Returns the sizes of each group of a load.
pub(super) fn sizes(load: &Load, history: &History, counts: &Counts, catalog: &Catalog) -> Vec<Sizes> {
    let by_group = grouped(counts, |group| group as u64);
    let by_model = grouped(counts, |group| hash(&load.groups()[group].model));
    let of = |(at, group): (usize, &Group)| {
        let known = Known::of(group, history, catalog);
        let enough = |pairs: Option<&Vec<(f64, f64)>>| pairs.filter(|pairs| pairs.len() >= ENOUGH).cloned();
        let counted = enough(by_group.get(&(at as u64))).or_else(|| enough(by_model.get(&hash(&group.model))));
        known.sizes(group, counted)
    };
    load.groups().iter().enumerate().map(of).collect()
}

fn grouped(counts: &Counts, key: impl Fn(usize) -> u64) -> HashMap<u64, Vec<(f64, f64)>> {
    let mut groups: HashMap<u64, Vec<(f64, f64)>> = HashMap::new();
    for (group, estimated, counted) in counts {
        groups.entry(key(*group)).or_default().push((f64::from(*estimated), *counted as f64));
    }
    groups
}

/// The earlier answers that are used for a group, and how well these answers match the group.
struct Known<'a> {
    answers: Option<&'a Answers>,
    basis: Basis,
    source: u64,
}

impl<'a> Known<'a> {
    fn of(group: &Group, history: &'a History, catalog: &Catalog) -> Self {
        let enough = |answers: &&Answers| answers.kept.len() >= ENOUGH;
        let id = catalog.model(&group.model).map_or(&*group.model, |model| &*model.id);
        if let Some(template) = group.template
            && let Some(answers) = history.of_template(template).filter(enough)
        {
            return Self { answers: Some(answers), basis: Basis::Template, source: template };
        }
        match history.of_model(id).filter(enough) {
            Some(answers) => Self { answers: Some(answers), basis: Basis::Model, source: hash(id) },
            None => Self { answers: None, basis: Basis::Assumption, source: 0 },
        }
    }

    fn sizes(&self, group: &Group, counted: Option<Vec<(f64, f64)>>) -> Sizes {
        let mean_estimated = group.input_tokens.likely as f64 / group.rows.max(1) as f64;
        let kept = self.answers.map_or(&[][..], |answers| &answers.kept);
        let (output, output_slope) = self.output(group, kept, mean_estimated);
        let lengths = if output.basis == Basis::Assumption { &[][..] } else { kept };
        let weight: f64 = kept.iter().map(|seen| f64::from(seen.prompt)).sum();
        let share = |of: fn(&Seen) -> f32| {
            let sum: f64 = kept.iter().map(|seen| f64::from(seen.prompt) * f64::from(of(seen))).sum();
            (weight > 0.0).then(|| sum / weight)
        };
        // Earlier runs may have used the cache differently, so the price depends on the cache marks of this run. If no
        // row has a cache mark, nothing is read from the cache, even if earlier answers read from it.
        let planned = group.caching;
        let is_marked = planned.is_some() || group.own_marks > 0;
        let price = share(|seen| seen.price_share).map(|price| if is_marked { price } else { price.max(1.0) });
        let expected =
            |seen: &Seen| (output.mean + output_slope * (f64::from(seen.estimated) - mean_estimated)).max(1.0);
        // Truncated answers make the mean length too low. `factor` corrects this.
        let max_tokens = group.max_tokens as f64 / group.rows.max(1) as f64;
        let factor = Truncated::of(kept, max_tokens).factor();
        let (input, input_spread) = self.input(group, kept, counted);
        Sizes {
            input,
            input_spread,
            limited_share: planned
                .map(|planned| planned.limited)
                .or_else(|| share(|seen| seen.limited_share).filter(|_| is_marked))
                .unwrap_or(1.0),
            price_share: planned.map(|planned| planned.price).or(price),
            output,
            output_slope,
            mean_estimated,
            follow_ups: self.follow_ups(group, kept),
            lengths: lengths.iter().map(|seen| (f64::from(seen.output) * factor / expected(seen)) as f32).collect(),
        }
    }

    /// Returns two values: the ratio of real to estimated input tokens, and [`Sizes::input_spread`].
    fn input(&self, group: &Group, kept: &[Seen], counted: Option<Vec<(f64, f64)>>) -> (Quantity, Vec<f32>) {
        if let Some(pairs) = counted
            && let Some(sampled) = ratio(&pairs, group.rows)
        {
            let error = sampled.error + COUNTING_ERROR * sampled.mean;
            let quantity = Quantity::of(Sampled { error, ..sampled }, Basis::Counts, hash(&group.model));
            return (quantity, spread(&pairs, sampled.mean));
        }
        let of_text = group.input_tokens.map(|tokens| tokens as f64 / group.input_tokens.likely.max(1) as f64);
        let known = kept.iter().filter(|seen| seen.estimated > 0);
        let pairs: Vec<_> = known.map(|seen| (f64::from(seen.estimated), f64::from(seen.prompt))).collect();
        if let Some(sampled) =
            Some(&pairs).filter(|pairs| pairs.len() >= ENOUGH).and_then(|pairs| ratio(pairs, group.rows))
        {
            let quantity = Quantity::of(sampled, self.basis, self.source).within(of_text);
            return (quantity, spread(&pairs, sampled.mean));
        }
        let Interval { low, likely, high } = of_text;
        let errors = (likely - low, high - likely);
        (Quantity { mean: likely, errors, basis: Basis::Assumption, source: None }, Vec::new())
    }

    fn follow_ups(&self, group: &Group, kept: &[Seen]) -> Option<[Quantity; 3]> {
        if kept.iter().all(|seen| seen.follow_ups == [0.0; 3]) {
            return None;
        }
        let of = |at: usize| {
            let values: Vec<f64> = kept.iter().map(|seen| seen.follow_ups[at]).collect();
            let quantity = Quantity::of(mean(&values, group.rows)?, self.basis, self.source);
            let mut quantity = if self.basis == Basis::Model { quantity.of_other_template() } else { quantity };
            quantity.errors.0 = quantity.errors.0.min(quantity.mean);
            Some(quantity)
        };
        Some([of(0)?, of(1)?, of(2)?])
    }

    /// Returns two values: the mean length of answers in tokens, and how many tokens an answer gains for each estimated
    /// input token.
    fn output(&self, group: &Group, kept: &[Seen], mean_estimated: f64) -> (Quantity, f64) {
        let max_tokens = group.max_tokens as f64 / group.rows.max(1) as f64;
        let truncated = Truncated::of(kept, max_tokens);
        if truncated.is_most() {
            return (truncated.assumed(max_tokens), 0.0);
        }
        let lengths: Vec<f64> = kept.iter().map(|seen| f64::from(seen.output)).collect();
        let pairs: Vec<_> = kept.iter().map(|seen| (f64::from(seen.estimated), f64::from(seen.output))).collect();
        let by_prompt = match kept.iter().all(|seen| seen.estimated > 0) {
            true => regression(&pairs, mean_estimated, group.rows),
            false => None,
        };
        let unseen = match by_prompt {
            None if kept.iter().all(|seen| seen.estimated > 0) => unseen_slope(&pairs, mean_estimated),
            _ => 0.0,
        };
        let (sampled, slope) = match by_prompt {
            Some((sampled, slope)) => (Some(sampled), slope),
            None => (mean(&lengths, group.rows), 0.0),
        };
        let Some(sampled) = sampled else {
            return (truncated.assumed(max_tokens), 0.0);
        };
        let (sampled, slope) =
            (Sampled { mean: sampled.mean * truncated.factor(), ..sampled }, slope * truncated.factor());
        let capped = Sampled { mean: sampled.mean.min(max_tokens), ..sampled };
        let mut quantity = Quantity::of(capped, self.basis, self.source);
        quantity.errors.0 += (-unseen).max(0.0);
        quantity.errors.1 += unseen.max(0.0);
        quantity.errors.0 += truncated.likely - truncated.seen;
        quantity.errors.1 += truncated.most - truncated.likely;
        if self.basis == Basis::Model {
            quantity = quantity.of_other_template();
        }
        quantity.errors.0 = quantity.errors.0.min(quantity.mean);
        quantity.errors.1 = quantity.errors.1.min(max_tokens - quantity.mean);
        (quantity, slope)
    }
}

/// Estimates the mean length from earlier answers. If an answer was truncated at a `max_tokens` below the present
/// `max_tokens`, its length is only a lower bound. If an answer was truncated at the present `max_tokens` or a higher
/// value, its length with the present `max_tokens` is known.
struct Truncated {
    /// The number of answers, and how many of them were truncated too early.
    answers: usize,
    cut: usize,
    /// The mean length of the received answers.
    seen: f64,
    /// The mean length that the answers would probably have if none had been truncated too early.
    likely: f64,
    /// The mean length that the answers would have if every answer that was truncated too early had reached the present
    /// `max_tokens`.
    most: f64,
}

impl Truncated {
    fn of(kept: &[Seen], max_tokens: f64) -> Self {
        let early = |seen: &&Seen| seen.is_truncated && f64::from(seen.output) < max_tokens;
        let sum = |total: f64, seen: &Seen| total + f64::from(seen.output);
        let (answers, cut) = (kept.len(), kept.iter().filter(early).count());
        let number = answers.max(1) as f64;
        let (all, too_short) = (kept.iter().fold(0.0, sum), kept.iter().filter(early).fold(0.0, sum));
        let seen = all / number;
        let most = seen + (cut as f64 * max_tokens - too_short) / number;
        // Source: the usual estimate for the mean of an exponential distribution, if some values of the sample are
        // truncated.
        let likely = (all / (answers - cut).max(1) as f64).clamp(seen, most.max(seen));
        Self { answers, cut, seen, likely, most }
    }

    /// Returns whether more than half of the answers were truncated too early. Such answers say little about the
    /// length.
    fn is_most(&self) -> bool {
        2 * self.cut > self.answers
    }

    /// Returns a factor: the mean length that the answers would probably have without truncation, divided by their real
    /// mean length.
    fn factor(&self) -> f64 {
        if self.seen > 0.0 { self.likely / self.seen } else { 1.0 }
    }

    /// Returns the assumed length of answers, which is at least the mean length of the received answers.
    fn assumed(&self, max_tokens: f64) -> Quantity {
        let known = prior::output(max_tokens as u32).map(|tokens| f64::from(tokens).max(self.seen.min(max_tokens)));
        let errors = (known.likely - known.low, known.high - known.likely);
        Quantity { mean: known.likely, errors, basis: Basis::Assumption, source: None }
    }
}

impl Quantity {
    /// Multiplies the quantity by `factor`.
    pub(super) fn scale(&mut self, factor: f64) {
        self.mean *= factor;
        self.errors = (self.errors.0 * factor, self.errors.1 * factor);
    }

    /// Returns the quantity for rows of another template than the rows of the sample.
    fn of_other_template(self) -> Self {
        let (mean, (below, above)) = (self.mean, self.errors);
        let errors = (below + mean * (1.0 - 1.0 / OTHER_TEMPLATE), above + mean * (OTHER_TEMPLATE - 1.0));
        Self { errors, source: None, ..self }
    }

    /// Reduces the errors, so that the quantity stays inside an interval that is known without a sample. If the mean is
    /// outside this interval, the interval is wrong, and the errors stay unchanged.
    fn within(mut self, known: Interval<f64>) -> Self {
        if (known.low..=known.high).contains(&self.mean) {
            let (below, above) = self.errors;
            self.errors = (below.min(self.mean - known.low), above.min(known.high - self.mean));
        }
        self
    }

    fn of(sampled: Sampled, basis: Basis, source: u64) -> Self {
        let error = sampled.error.max(LEAST_ERROR * sampled.mean);
        Self { mean: sampled.mean, errors: (error, error), basis, source: Some(source) }
    }
}

/// Returns the ratio of each pair, divided by the mean ratio, in ascending order.
fn spread(pairs: &[(f64, f64)], mean: f64) -> Vec<f32> {
    let ratios = pairs.iter().filter(|(estimated, _)| *estimated > 0.0 && mean > 0.0);
    let mut ratios: Vec<f32> = ratios.map(|(estimated, real)| (real / estimated / mean) as f32).collect();
    ratios.sort_unstable_by(f32::total_cmp);
    ratios
}

/// Returns a hash of a name. The number is compared only with other numbers of the same plan.
fn hash(name: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}
