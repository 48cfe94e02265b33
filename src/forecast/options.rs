//! The changes that would alter a forecast: other tiers, another model of the same product line, another `max_tokens`.
//! Each change is computed like the forecast itself: the rows are simulated again.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;

use super::question::{Forecast, Question};
use super::sizes::{Basis, Quantity, Sizes};
use super::time::Setting;
use super::totals::{Totals, totals};
use crate::catalog::{Model, TokenizerFamily};
use crate::domain::{Interval, Lane, Money, PoolId, RateLimits, Tier, Usage};
use crate::plan::{Group, Sampled};

/// Another model is suggested for at most this many models of a run.
const MODELS: usize = 3;
/// If the rows of a model cost less than this share of the whole run, no other model is suggested for them.
const WORTH_IT: f64 = 0.05;
/// How many tokens the new tokenizer makes per token of the old tokenizer. Source: Models overview (2026-08, "about 30
/// % more"); third-party measurements, 1.00 to 1.46 by language (April 2026).
const NEW_PER_OLD: Interval<f64> = Interval { low: 1.05, likely: 1.28, high: 1.46 };
/// If the share of truncated answers is at most this value, `max_tokens` is high enough.
const FEW: f64 = 0.02;

/// A change of settings, and the forecast of the run with this change.
#[derive(Clone, Debug, PartialEq)]
pub struct Alternative {
    /// The change of settings.
    pub change: Change,
    /// The cost of the run after the change; `None` if no row has a price.
    pub cost: Option<Interval<Money>>,
    /// The highest possible cost of the run after the change; `None` if it is not known.
    pub at_most: Option<Money>,
    /// The duration of the run after the change.
    pub time: Interval<Duration>,
}

/// A change of a run's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Another tier.
    Tier(Tier),
    /// Another lane.
    Lane(Lane),
    /// No request gets a cache mark.
    NoCache,
    /// Another model.
    Model {
        /// The model that the rows ask for.
        from: String,
        /// The model that would answer these rows.
        to: String,
    },
    /// Another `max_tokens`.
    MaxTokens {
        /// The suggested `max_tokens`.
        to: u32,
        /// The mean of the `max_tokens` that the rows have now.
        from: u32,
    },
}

/// Another tier, and a function that returns the limits of each pool (model class) in this tier.
pub type TierLimits<'a> = (Tier, &'a dyn Fn(&PoolId) -> RateLimits);

impl Question<'_> {
    /// Returns the changes that would alter the forecast `base`. `tiers` are the tiers that are compared with the
    /// current tier. Models that have retired by `today` are not suggested.
    pub(crate) fn alternatives(&self, base: &Forecast, tiers: &[TierLimits<'_>], today: Date) -> Vec<Alternative> {
        if self.load.rows() == 0 {
            return Vec::new();
        }
        let sizes = self.sizes();
        let of_tier = |(tier, limits_of): &TierLimits<'_>| self.with_tier(base, &sizes, *tier, limits_of);
        let mut all: Vec<_> = tiers.iter().map(of_tier).collect();
        all.extend(self.without_cache(base));
        all.extend(
            self.other_models(base, today).into_iter().map(|(from, to)| self.with_model(base, &sizes, from, to)),
        );
        all.extend(self.other_max_tokens(base, &sizes).map(|to| self.with_max_tokens(base, &sizes, to)));
        all
    }

    fn with_tier(
        &self,
        base: &Forecast,
        sizes: &[Sizes],
        tier: Tier,
        limits_of: &dyn Fn(&PoolId) -> RateLimits,
    ) -> Alternative {
        let setting = Setting { limits_of, ..*self.setting };
        let time = Question { setting: &setting, ..*self }.timing(sizes).likely_time();
        let Totals { cost, at_most, .. } = base.totals;
        Alternative { change: Change::Tier(tier), cost, at_most, time: like(base, time) }
    }

    /// Returns the run without cache marks; `None` if no marks are planned.
    fn without_cache(&self, base: &Forecast) -> Option<Alternative> {
        let is_planned = |group: &Group| group.caching.is_some_and(|planned| planned.price < 1.0);
        if !self.load.groups().iter().any(is_planned) {
            return None;
        }
        let load = self.load.without_caching();
        let changed = Question { load: &load, ..*self };
        let sizes = changed.sizes();
        let time = changed.timing(&sizes).likely_time();
        let Totals { cost, at_most, .. } = totals(load.groups().iter().zip(&sizes), self.history.count(), self.catalog);
        Some(Alternative { change: Change::NoCache, cost, at_most, time: like(base, time) })
    }

    /// Returns pairs of models. The first model of a pair is named in rows, and the second model is from the same
    /// product line. The second model is available today, and it is cheaper or newer than the first model.
    fn other_models(&self, base: &Forecast, today: Date) -> Vec<(String, &Model)> {
        let cost = |totals: &Totals| totals.cost.map_or(0.0, |cost| cost.likely.dollars());
        let all = cost(&base.totals);
        let mut models: Vec<_> = base.by_model.iter().filter(|(_, totals)| cost(totals) >= WORTH_IT * all).collect();
        models.sort_by(|(_, a), (_, b)| cost(b).total_cmp(&cost(a)));
        let mut pairs = Vec::new();
        for (name, _) in models.into_iter().take(MODELS) {
            let Some(model) = self.catalog.model(name) else { continue };
            let others = self.catalog.models().iter().filter(|other| {
                other.line == model.line
                    && other.id != model.id
                    && !other.is_retired_on(today)
                    && other.retires.is_none()
                    && (other.released > model.released || price(other) < price(model))
            });
            pairs.extend(others.map(|other| (name.clone(), other)));
        }
        pairs
    }

    fn with_model(&self, base: &Forecast, sizes: &[Sizes], from: String, to: &Model) -> Alternative {
        let name: Arc<str> = to.aliases.first().unwrap_or(&to.id).clone();
        let is_changed = |group: &Group| *group.model == *from;
        let load = self.load.changed(
            |group| if is_changed(group) { self.group_with(group, to, &name) } else { group.clone() },
            Sampled::clone,
        );
        let factor = |group: &Group| match (self.catalog.model(&group.model).map(|model| model.family), to.family) {
            (Some(TokenizerFamily::Old), TokenizerFamily::New) => NEW_PER_OLD,
            (Some(TokenizerFamily::New), TokenizerFamily::Old) => {
                Interval { low: 1.0 / NEW_PER_OLD.high, likely: 1.0 / NEW_PER_OLD.likely, high: 1.0 / NEW_PER_OLD.low }
            }
            _ => Interval::exact(1.0),
        };
        let with_factor = |(group, sizes): (&Group, &Sizes)| {
            if !is_changed(group) {
                return sizes.clone();
            }
            let mut sizes = sizes.times(factor(group), group.max_tokens as f64 / group.rows.max(1) as f64);
            let before = self.catalog.model(&group.model).map(price).filter(|price| *price > Money::ZERO);
            if let (Some([.., cost]), Some(before)) = (&mut sizes.follow_ups, before) {
                cost.scale(price(to).dollars() / before.dollars());
            }
            sizes
        };
        let sizes: Vec<_> = self.load.groups().iter().zip(sizes).map(with_factor).collect();
        let changed = Question { load: &load, ..*self };
        let time = changed.timing(&sizes).likely_time();
        let Totals { cost, at_most, .. } = totals(load.groups().iter().zip(&sizes), self.history.count(), self.catalog);
        let change = Change::Model { from, to: name.to_string() };
        Alternative { change, cost, at_most, time: like(base, time) }
    }

    /// Returns the group as it would be with another model. The cost of the prompts in the group is computed from their
    /// mean length.
    fn group_with(&self, group: &Group, to: &Model, name: &Arc<str>) -> Group {
        let pool = PoolId { class: to.class.clone(), ..PoolId::clone(&group.pool) };
        let mut changed = Group {
            model: name.clone(),
            pool: Arc::new(pool),
            most: Money::ZERO,
            unpriced: group.rows,
            ..group.clone()
        };
        (changed.input_cost, changed.output_token) = Default::default();
        if let Some(prices) = self.catalog.prices(group.terms.speed, name) {
            let rows = group.rows.max(1);
            let cost = |tokens: u64| {
                let usage = Usage { input_tokens: tokens / rows, ..Usage::default() };
                prices.cost(group.terms, &usage).times(rows)
            };
            changed.unpriced = 0;
            changed.input_cost = group.input_tokens.map(cost);
            changed.output_token = prices.output_token(group.terms, group.input_tokens.likely / rows).times(rows);
        }
        changed
    }

    /// Returns a better `max_tokens`. If many answers were truncated, the better value is twice the present value. If
    /// few answers were truncated, the better value is about a fifth more than the length of the longest answer. If few
    /// answers were truncated, but the better value is at least half of the present value, returns `None`.
    fn other_max_tokens(&self, base: &Forecast, sizes: &[Sizes]) -> Option<u32> {
        let rows = self.load.rows();
        let present = (self.load.groups().iter().map(|group| group.max_tokens).sum::<u64>() / rows.max(1)) as u32;
        if base.truncated_share.is_some_and(|share| share > FEW) {
            return Some(present.saturating_mul(2));
        }
        let longest = |(group, sizes): (&Group, &Sizes)| {
            let answers = self.history.of_template(group.template?)?;
            (sizes.output.basis == Basis::Template).then(|| answers.kept.iter().map(|seen| seen.output).max())?
        };
        let longest = self.load.groups().iter().zip(sizes).filter_map(longest).max()?;
        // This value is a fifth more than the longest answer, rounded up to a multiple of 64.
        let enough = (longest + longest / 5).div_ceil(64) * 64;
        (enough < present / 2).then_some(enough)
    }

    fn with_max_tokens(&self, base: &Forecast, sizes: &[Sizes], to: u32) -> Alternative {
        let of_row = |group: &Group| group.max_tokens as f64 / group.rows.max(1) as f64;
        let load = self.load.changed(
            |group| {
                let max_tokens = u64::from(to) * group.rows;
                let dollars = group.output_token.dollars() * (f64::from(to) - of_row(group));
                let most = Money::from_dollars((group.most.dollars() + dollars).max(0.0));
                Group { max_tokens, most, ..group.clone() }
            },
            |row| Sampled { max_tokens: to, ..*row },
        );
        let is_more = |group: &Group| f64::from(to) > of_row(group);
        let truncated = base.truncated_share.unwrap_or(0.0);
        let with = |(group, sizes): (&Group, &Sizes)| {
            let mut sizes = sizes.clone();
            if is_more(group) {
                // With the new limit, the truncated answers get longer. The new length of these answers is not known,
                // but it is within the new limit.
                let longer = truncated * (f64::from(to) - of_row(group));
                sizes.output.mean += longer / 2.0;
                sizes.output.errors.0 += longer / 2.0;
                sizes.output.errors.1 += longer / 2.0;
            } else {
                let cut = (sizes.output.mean - f64::from(to)).max(0.0);
                sizes.output.mean -= cut;
                sizes.output.errors.1 = sizes.output.errors.1.min(f64::from(to) - sizes.output.mean);
            }
            sizes
        };
        let sizes: Vec<_> = self.load.groups().iter().zip(sizes).map(with).collect();
        let time = Question { load: &load, ..*self }.timing(&sizes).likely_time();
        let Totals { cost, at_most, .. } = totals(load.groups().iter().zip(&sizes), self.history.count(), self.catalog);
        let from =
            (self.load.groups().iter().map(|group| group.max_tokens).sum::<u64>() / self.load.rows().max(1)) as u32;
        Alternative { change: Change::MaxTokens { to, from }, cost, at_most, time: like(base, time) }
    }
}

impl Sizes {
    /// Returns the sizes that the texts of `self` have with another tokenizer. `factor` is the ratio of new tokens to
    /// old tokens.
    fn times(&self, factor: Interval<f64>, max_tokens: f64) -> Self {
        let scaled = |quantity: &Quantity, most: f64| {
            let mean = (quantity.mean * factor.likely).min(most);
            let low = (quantity.mean - quantity.errors.0) * factor.low;
            let high = ((quantity.mean + quantity.errors.1) * factor.high).min(most);
            // The error of the factor is the same for all rows.
            Quantity { mean, errors: ((mean - low).max(0.0), (high - mean).max(0.0)), source: None, ..*quantity }
        };
        if factor == Interval::exact(1.0) {
            return self.clone();
        }
        Self {
            input: scaled(&self.input, f64::INFINITY),
            output: scaled(&self.output, max_tokens),
            follow_ups: self.follow_ups.as_ref().map(|all| all.each_ref().map(|of| scaled(of, f64::INFINITY))),
            output_slope: self.output_slope * factor.likely,
            ..self.clone()
        }
    }
}

fn price(model: &Model) -> Money {
    model.prices.first().map_or(Money::ZERO, |step| step.input + step.output)
}

/// Returns the time interval of the forecast, scaled so that its likely time is `likely`.
fn like(base: &Forecast, likely: Duration) -> Interval<Duration> {
    let time = base.time.time;
    let share = |end: Duration| end.as_secs_f64() / time.likely.as_secs_f64().max(1e-9);
    Interval { low: likely.mul_f64(share(time.low).min(1.0)), likely, high: likely.mul_f64(share(time.high).max(1.0)) }
}
