//! The tokens and the cost of many rows, as intervals.
//!
//! Errors from different samples are independent of each other, so their total is the root of the sum of their squares.
//! Errors of assumptions are simply added, because all assumptions can be wrong in the same direction.

use std::collections::BTreeMap;

use super::price_steps::Stepped;
use super::sizes::{Quantity, Sizes};
use crate::catalog::Catalog;
use crate::domain::{Interval, Lane, Money};
use crate::plan::Group;

/// If there are at least this many answers, the two sides of a total's interval can be narrowed. The width of a
/// narrowed side is still at least [`WIDEST`] times the likely value. The interval is never made narrower than a 90 %
/// interval.
const MANY: u64 = 50;
const WIDEST: f64 = 0.15;
/// The width of a 90 % interval, divided by the width of a 95 % interval.
const TO_90_PERCENT: f64 = 1.645 / 1.96;

/// An estimated total, and how wrong the estimate can be.
#[derive(Clone, Debug, Default)]
struct Sum {
    likely: f64,
    /// For each source of errors: two errors, one below and one above the likely value.
    by_source: BTreeMap<(u8, u64), (f64, f64)>,
    /// The two errors of the assumptions: one below and one above the likely value.
    assumed: (f64, f64),
    /// The lowest possible total.
    least: f64,
}

impl Sum {
    /// Adds a quantity multiplied by `weight`. `kind` says whether the quantity is input or output.
    fn add(&mut self, quantity: &Quantity, weight: f64, kind: u8) {
        self.likely += quantity.mean * weight;
        let (below, above) = quantity.errors;
        match quantity.source {
            Some(source) => self.add_error((kind, source), (below * weight, above * weight)),
            None => {
                self.assumed.0 += below * weight;
                self.assumed.1 += above * weight;
            }
        }
    }

    /// Adds another sum and the errors of that sum. The lowest possible total of the other sum is ignored.
    fn join(&mut self, other: Self) {
        self.likely += other.likely;
        self.assumed.0 += other.assumed.0;
        self.assumed.1 += other.assumed.1;
        other.by_source.into_iter().for_each(|(source, errors)| self.add_error(source, errors));
    }

    fn add_error(&mut self, source: (u8, u64), (below, above): (f64, f64)) {
        let errors = self.by_source.entry(source).or_default();
        errors.0 += below;
        errors.1 += above;
    }

    fn interval(&self, answers: u64) -> Interval<f64> {
        let most = WIDEST * self.likely;
        let side = |of: fn(&(f64, f64)) -> f64| {
            let error = self.by_source.values().map(|errors| of(errors).powi(2)).sum::<f64>().sqrt();
            match answers >= MANY && self.assumed == (0.0, 0.0) && error > most {
                true => most.max(error * TO_90_PERCENT),
                false => error,
            }
        };
        let low = self.likely - side(|errors| errors.0) - self.assumed.0;
        let high = self.likely + side(|errors| errors.1) + self.assumed.1;
        Interval { low: low.max(self.least.min(self.likely)), likely: self.likely, high }
    }
}

/// The tokens and the cost of all rows, or of the rows of one model.
#[derive(Clone, Debug, PartialEq)]
pub struct Totals {
    /// The number of rows.
    pub rows: u64,
    /// The number of rows whose model has no price. The cost of these rows is unknown and not included.
    pub unpriced: u64,
    /// The input tokens of the rows, including cached tokens.
    pub input_tokens: Interval<u64>,
    /// Output tokens.
    pub output_tokens: Interval<u64>,
    /// The cost of the rows that have a price, with the follow-ups that are known from earlier rows; `None` if no row
    /// has a price.
    pub cost: Option<Interval<Money>>,
    /// The highest possible cost if each row with a price gets one paid answer; `None` if no row has a price, or if the
    /// cost has no upper bound. If earlier rows had follow-ups, the cost has no upper bound.
    pub at_most: Option<Money>,
    /// The likely part of the cost that is for follow-ups. Zero if the earlier rows had no follow-ups, or if there are
    /// no earlier rows.
    pub follow_ups: Money,
}

/// Returns the totals of all groups. `answers` is the number of answered rows in the history.
pub(super) fn totals<'a>(
    groups: impl Iterator<Item = (&'a Group, &'a Sizes)>,
    answers: u64,
    catalog: &Catalog,
) -> Totals {
    const INPUT: u8 = 0;
    const OUTPUT: u8 = 1;
    const MORE: u8 = 2;
    let (mut input, mut output, mut cost) = (Sum::default(), Sum::default(), Sum::default());
    let (mut prompts, mut more) = (Sum::default(), Sum::default());
    let (mut rows, mut unpriced, mut most, mut is_bounded) = (0, 0, Money::ZERO, true);
    for (group, sizes) in groups {
        rows += group.rows;
        unpriced += group.unpriced;
        most += group.most;
        input.add(&sizes.input, group.input_tokens.likely as f64, INPUT);
        output.add(&sizes.output, group.rows as f64, OUTPUT);
        // A paid answer has at least one token.
        output.least += group.rows as f64;
        if let Some([more_input, more_output, more_cost]) = &sizes.follow_ups {
            input.add(more_input, group.rows as f64, MORE);
            output.add(more_output, group.rows as f64, MORE);
            let share = if group.terms.lane == Lane::Batch { 0.5 } else { 1.0 };
            more.add(more_cost, share * (group.rows - group.unpriced) as f64, MORE);
        }
        let in_cost = group.input_cost.map(Money::dollars);
        is_bounded &= group.most > Money::ZERO || (in_cost.high == 0.0 && group.output_token == Money::ZERO);
        if let Some(stepped) = Stepped::of(group, sizes, catalog) {
            prompts.add(&sizes.input, stepped.input, INPUT);
            // The error of a price step has two ends and few values between, so it must not be narrowed or be averaged
            // with other errors.
            prompts.assumed.0 += stepped.errors.0;
            prompts.assumed.1 += stepped.errors.1;
            cost.add(&sizes.output, stepped.output_token, OUTPUT);
            cost.least += stepped.least_output_token;
            continue;
        }
        match sizes.price_share {
            Some(share) => prompts.add(&sizes.input, in_cost.likely * share, INPUT),
            None => {
                prompts.add(&sizes.input, in_cost.likely, INPUT);
                // Cache marks (`cache_control`) in the rows can make the prompts cheaper or more expensive. Without
                // such marks, the cost is only as uncertain as the tokens. The line of code above has already added
                // this error.
                let tokens = group.input_tokens.map(|tokens| tokens as f64 / group.input_tokens.likely.max(1) as f64);
                prompts.assumed.0 += (in_cost.likely * tokens.low - in_cost.low).max(0.0);
                prompts.assumed.1 += (in_cost.high - in_cost.likely * tokens.high).max(0.0);
            }
        }
        cost.add(&sizes.output, group.output_token.dollars(), OUTPUT);
        cost.least += group.output_token.dollars();
    }
    // The prompts must be paid for even if the answers are short.
    cost.least += prompts.interval(answers).low;
    cost.join(prompts);
    let whole = |value: f64| value.round() as u64;
    let has_price = rows > unpriced || rows == 0;
    // A run with a changed model has no upper bound, because the bounds of its rows are not known.
    let most_dollars = if is_bounded { most.dollars() } else { f64::INFINITY };
    let mut cost = cost.interval(answers).map(|dollars| dollars.min(most_dollars));
    let more = more.interval(answers);
    cost += more;
    let is_bounded = is_bounded && more.likely == 0.0;
    let cost = cost.map(Money::from_dollars);
    Totals {
        rows,
        unpriced,
        input_tokens: input.interval(answers).map(whole),
        output_tokens: output.interval(answers).map(whole),
        cost: has_price.then_some(cost),
        at_most: (has_price && is_bounded).then_some(most),
        follow_ups: Money::from_dollars(more.likely),
    }
}
