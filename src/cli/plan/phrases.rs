//! Phrases that the advice and the table of a plan share.

use crate::domain::Money;
use crate::forecast::Change;
use crate::report::text::escape;

/// Returns the flags that make a change.
pub(super) fn change_words(change: &Change) -> String {
    match change {
        Change::Tier(tier) => format!("--tier {}", tier.name()),
        Change::NoCache => "--prompt-cache off".to_owned(),
        // Unlike --model, this also changes rows that name their model.
        Change::Model { from, to } => format!("--map-model {}={to}", escape(from)),
        // Rows that have their own max_tokens are not changed by a flag.
        Change::MaxTokens { to, .. } => format!("max_tokens {to}"),
    }
}

/// Returns how many rows an amount of money is enough for.
pub(in crate::cli) fn rows_within(rows: u64, money: Money, cost: Money) -> u64 {
    match cost {
        Money::ZERO => rows,
        cost => (rows as f64 * (money.dollars() / cost.dollars()).min(1.0)) as u64,
    }
}
