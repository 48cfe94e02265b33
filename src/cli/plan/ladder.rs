//! Computes the steps from the current tier to the tiers 1, 2, 3 and 4, which the API had until 2026-06-25. For each
//! step to another tier, this module computes the deposit and the increase of the limits. The module also computes how
//! many requests a day must be blocked before the step is worth its deposit.

use crate::catalog::Catalog;
use crate::domain::{Dimension, Money, PoolId, Tier};

/// The table of tiers 1 to 4 shows the tiers as they were in this month.
pub(super) const AS_OF: &str = "2026-01";

/// A step from the current tier to another tier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    /// The sum of all deposits that were needed to reach the tier, in dollars.
    pub(super) deposit: Money,
    /// For requests, input tokens and output tokens: the ratio of this tier's limit to the current tier's limit. A
    /// ratio is `None` if one of the two tiers has no such limit.
    pub(super) increase: [Option<f64>; 3],
    /// The step is worth its price if the current limits block at least this many requests a day. The value is `None`
    /// if it is not known, or if the step needs no deposit.
    ///
    /// Each blocked request is assumed to have the mean cost of a row. The step is worth its price if the requests that
    /// are blocked in 30 days would cost at least as much as the additional deposit. The deposit is not lost: it
    /// becomes credit.
    pub(super) break_even_a_day: Option<f64>,
}

/// Returns the step to a tier; `None` for the API's current tiers, which need no deposit.
pub(super) fn step(
    catalog: &Catalog,
    present: Tier,
    to: Tier,
    pool: &PoolId,
    mean_cost: Option<Money>,
) -> Option<Step> {
    let table = |tier| catalog.tier_table(tier);
    let deposit = table(to)?.deposit_usd?;
    let paid = table(present).and_then(|table| table.deposit_usd).unwrap_or(0);
    let limits = |tier| catalog.limits(tier, &pool.class).limits;
    let (old, new) = (limits(present), limits(to));
    let increase = |dimension| Some(f64::from(new.of(dimension)?) / f64::from(old.of(dimension)?));
    let more = f64::from(deposit.saturating_sub(paid));
    let mean = mean_cost.map(Money::dollars).filter(|cost| *cost > 0.0);
    Some(Step {
        deposit: Money::from_dollars(deposit.into()),
        increase: Dimension::ALL.map(increase),
        break_even_a_day: mean.filter(|_| more > 0.0).map(|cost| more / (30.0 * cost)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ModelClass, Speed};

    #[test]
    fn a_step_costs_the_difference_of_the_deposits() {
        let class = ModelClass("haiku-4.5".into());
        let pool = PoolId { provider: "anthropic".into(), account: "".into(), class, speed: Speed::Standard };
        let catalog = Catalog::builtin();
        let step = |from, to| step(&catalog, from, to, &pool, Some(Money::from_dollars(0.01)));

        let second = step(Tier::One, Tier::Two).expect("it has a deposit");

        assert_eq!(second.deposit, Money::from_dollars(40.0));
        assert_eq!(second.increase, [Some(20.0), Some(9.0), Some(9.0)]);
        // The additional deposit of 35 dollars pays for 3,500 rows, which are 116.7 rows a day for 30 days.
        assert!(second.break_even_a_day.is_some_and(|rows| (116.0..117.0).contains(&rows)));
        assert_eq!(step(Tier::Three, Tier::Two).and_then(|step| step.break_even_a_day), None, "it costs nothing more");
        assert_eq!(step(Tier::One, Tier::Build), None);
    }

    #[test]
    fn deposits_are_as_published() {
        let catalog = Catalog::builtin();
        let deposits = Tier::ALL.map(|tier| catalog.tier_table(tier).and_then(|table| table.deposit_usd));

        let none = None;
        assert_eq!(deposits, [none, none, Some(5), Some(40), Some(200), Some(400), none, none, none]);
    }
}
