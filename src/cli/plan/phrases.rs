//! Phrases that several parts of a plan share.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::domain::Money;
use crate::forecast::Change;
use crate::report::text::escape;

/// Returns the flags that make this change.
pub(super) fn change_words(change: &Change) -> String {
    match change {
        Change::Tier(tier) => format!("--tier {}", tier.name()),
        Change::Lane(lane) => format!("--lane {}", lane.name()),
        Change::NoCache => "--prompt-cache off".to_owned(),
        // --map-model changes even rows that name their model, but --model does not change such rows.
        Change::Model { from, to } => format!("--map-model {}={to}", escape(from)),
        // The text contains no flag, because --max-tokens does not change rows that have their own max_tokens.
        Change::MaxTokens { to, .. } => format!("max_tokens {to}"),
    }
}

/// `rows` rows cost `cost` in total. Returns how many of these rows can be paid with `money`.
pub(in crate::cli) fn rows_within(rows: u64, money: Money, cost: Money) -> u64 {
    match cost {
        Money::ZERO => rows,
        cost => (rows as f64 * (money.dollars() / cost.dollars()).min(1.0)) as u64,
    }
}

/// Returns a moment as text: the time, and the date if it is not today.
pub(super) fn moment(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (at, now) = (zone.to_datetime(at), zone.to_datetime(now));
    let format = match at.date() == now.date() {
        true => "%H:%M",
        false => "%a %Y-%m-%d %H:%M",
    };
    at.strftime(format).to_string()
}
