//! The published limits of each tier.

use anyhow::Result;
use serde::Serialize;

use super::super::args::LimitsArgs;
use super::super::exit::Exit;
use super::super::say;
use crate::catalog::{Catalog, TierTable};
use crate::domain::{ModelClass, RateLimits, Tier};
use crate::report::text::count;

#[derive(Serialize)]
struct Document<'a> {
    v: u32,
    tiers: Vec<OneTier<'a>>,
}

#[derive(Serialize)]
struct OneTier<'a> {
    tier: &'a str,
    date: &'a str,
    source: &'a str,
    monthly_cap_usd: u64,
    count_tokens_rpm: u64,
    batch_rpm: u64,
    batch_queue: u64,
    classes: Vec<OneClass<'a>>,
}

/// The limits of a class per minute.
#[derive(Serialize)]
struct OneClass<'a> {
    class: &'a str,
    rpm: Option<u32>,
    itpm: Option<u32>,
    otpm: Option<u32>,
}

/// Shows the tables of all tiers, or of those that the arguments choose.
pub(super) fn show(args: &LimitsArgs) -> Result<Exit> {
    let catalog = Catalog::builtin();
    let only = args.model.as_ref().map(|model| catalog.class_of(model));
    let is_chosen = |tier: &Tier| args.tier.is_none_or(|only| only == *tier);
    let tiers = Tier::ALL.into_iter().filter(|tier| !matches!(tier, Tier::Auto | Tier::None)).filter(is_chosen);
    let tables: Vec<&TierTable> = tiers.filter_map(|tier| catalog.tier_table(tier)).collect();
    if args.json {
        let tiers = tables.iter().map(|table| one_tier(table, only.as_ref())).collect();
        let document = serde_json::to_string(&Document { v: 1, tiers });
        say::out(&document.expect("a table of limits can be written as JSON"))?;
        return Ok(Exit::Done);
    }
    for table in tables {
        say::out(&format!("tier {} ({}; {})", table.tier.name(), table.date, table.source))?;
        say::out(&format!("  spend limit ${} a month", count(table.monthly_cap_usd.into())))?;
        rows(table, only.as_ref()).try_for_each(|(row, limits)| say::out(&limits_row(row, limits)))?;
        say::out("")?;
    }
    say::out("A run replaces these limits with those that the API reports in its answers.")?;
    Ok(Exit::Done)
}

/// Returns the rows of a table, or the row of one class.
fn rows<'t>(table: &'t TierTable, only: Option<&'t ModelClass>) -> impl Iterator<Item = (&'t ModelClass, RateLimits)> {
    table.rows().filter(move |(row, _)| only.is_none_or(|only| only == *row))
}

fn one_tier<'t>(table: &'t TierTable, only: Option<&'t ModelClass>) -> OneTier<'t> {
    let class =
        |(class, RateLimits { rpm, itpm, otpm }): (&'t ModelClass, _)| OneClass { class: &class.0, rpm, itpm, otpm };
    OneTier {
        tier: table.tier.name(),
        date: &table.date,
        source: &table.source,
        monthly_cap_usd: table.monthly_cap_usd.into(),
        count_tokens_rpm: table.count_tokens_rpm.into(),
        batch_rpm: table.batch_rpm.into(),
        batch_queue: table.batch_queue.into(),
        classes: rows(table, only).map(class).collect(),
    }
}

fn limits_row(class: &ModelClass, limits: RateLimits) -> String {
    let [rpm, itpm, otpm] =
        [limits.rpm, limits.itpm, limits.otpm].map(|limit| limit.map_or("-".to_owned(), |limit| count(limit.into())));
    format!(
        "  {class:<12} {rpm:>7} requests {itpm:>11} input tokens {otpm:>10} output tokens per minute",
        class = class.to_string()
    )
}
