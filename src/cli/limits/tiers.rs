//! The published limits of each tier.

use anyhow::{Context, Result};
use serde::Serialize;

use super::super::args::LimitsArgs;
use super::super::exit::Exit;
use super::super::models_table::check_known;
use super::super::say;
use crate::catalog::{Catalog, TierTable};
use crate::domain::{ModelClass, RateLimits, Tier};
use crate::report::progress::terminal_width;
use crate::report::text::{count, escape, wrap};

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

/// The limits per minute for one class of models.
#[derive(Serialize)]
struct OneClass<'a> {
    class: &'a str,
    rpm: Option<u32>,
    itpm: Option<u32>,
    otpm: Option<u32>,
}

/// The tables and the model that the arguments choose.
struct Chosen<'c> {
    catalog: &'c Catalog,
    /// The table of one tier, or the tables of all tiers.
    tables: Vec<&'c TierTable>,
    only: Option<Only<'c>>,
}

/// The model whose limits are shown.
struct Only<'a> {
    /// The name of the model, as the user typed it.
    model: &'a str,
    class: ModelClass,
}

/// Shows the tables of all tiers, or of the tiers that the arguments choose.
pub(super) fn show(args: &LimitsArgs) -> Result<Exit> {
    let catalog = Catalog::builtin();
    let chosen = Chosen::of(&catalog, args.tier, args.model.as_deref())?;
    if args.json {
        let class = chosen.only.as_ref().map(|only| &only.class);
        let tiers = chosen.tables.iter().map(|table| one_tier(table, class)).collect();
        let document = serde_json::to_string(&Document { v: 1, tiers });
        say::out(&document.expect("a table of limits can be written as JSON"))?;
        return Ok(Exit::Done);
    }
    lines(&chosen, args.tier, terminal_width().unwrap_or(100)).iter().try_for_each(|line| say::out(line))?;
    Ok(Exit::Done)
}

impl<'c> Chosen<'c> {
    /// # Errors
    /// Fails if neither the catalog nor the tables contain the model.
    fn of(catalog: &'c Catalog, tier: Option<Tier>, model: Option<&'c str>) -> Result<Self> {
        let all = || Tier::ALL.into_iter().filter(|tier| !matches!(tier, Tier::Auto | Tier::None));
        let only = model.map(|model| Only { model, class: catalog.class_of(model) });
        if let Some(Only { model, class }) = &only {
            let has_row = all().filter_map(|tier| catalog.tier_table(tier)).any(|table| table.row(class).is_some());
            if !has_row {
                check_known(catalog, model).context("--model")?;
            }
        }
        let tiers = match tier {
            // For `auto`, the catalog returns the table of the tier `start`.
            Some(tier) => vec![tier],
            None => all().collect(),
        };
        Ok(Self { catalog, tables: tiers.into_iter().filter_map(|tier| catalog.tier_table(tier)).collect(), only })
    }
}

/// Returns the tables as text. Each line has at most `columns` columns.
fn lines(chosen: &Chosen<'_>, tier: Option<Tier>, columns: usize) -> Vec<String> {
    let mut lines = match tier {
        Some(Tier::None) => {
            let what = "--tier none: a run begins without limits, and follows the limits that the API reports.";
            return wrap(what, columns);
        }
        Some(Tier::Auto) => wrap("--tier auto: a run begins with the limits of this tier:", columns),
        Some(_) | None => Vec::new(),
    };
    for table in &chosen.tables {
        lines.extend(wrap(&format!("tier {} ({}; {})", table.tier.name(), table.date, table.source), columns));
        lines.push(format!("  spend limit ${} a month", count(table.monthly_cap_usd.into())));
        lines.push(format!(
            "  batches: {} requests per minute, {} rows in the queue",
            count(table.batch_rpm.into()),
            count(table.batch_queue.into())
        ));
        let class = chosen.only.as_ref().map(|only| &only.class);
        lines.extend(rows(table, class).map(|(row, limits)| limits_row(row, limits)));
        if let Some(only) = chosen.only.as_ref().filter(|only| table.row(&only.class).is_none()) {
            let words = no_limits(chosen.catalog, table.tier, only);
            lines.extend(wrap(&words, columns.saturating_sub(2)).iter().map(|line| format!("  {line}")));
        }
        lines.push(String::new());
    }
    lines.extend(wrap("A run replaces these limits with those that the API reports in its answers.", columns));
    lines
}

/// Returns what a run does with a model that has no published limits in a tier.
fn no_limits(catalog: &Catalog, tier: Tier, only: &Only<'_>) -> String {
    let RateLimits { rpm, itpm, otpm } = catalog.limits(tier, &only.class).limits;
    let [rpm, itpm, otpm] = [rpm, itpm, otpm].map(|limit| count(limit.unwrap_or(0).into()));
    format!(
        "no published limits for {}; a run begins with the strictest limits of the tier ({rpm} requests, {itpm} input, \
         {otpm} output tokens per minute)",
        escape(only.model)
    )
}

/// Returns all rows of a table. If `only` names a class, returns only the row of this class.
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
        "  {class:<10} {rpm:>6} requests {itpm:>10} input {otpm:>9} output tokens per minute",
        class = class.to_string()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::text::width;

    fn shown(tier: Option<Tier>, model: Option<&str>) -> Result<String> {
        let catalog = Catalog::builtin();
        let chosen = Chosen::of(&catalog, tier, model)?;
        Ok(lines(&chosen, tier, 80).join("\n"))
    }

    #[test]
    fn the_tables_fit_in_80_columns() {
        let all = shown(None, None).expect("no model is named");

        let wide: Vec<_> = all.lines().filter(|line| width(line) > 80).collect();
        assert!(wide.is_empty(), "{wide:#?}");
        assert!(all.contains("haiku-4.5 ") && all.contains("batches: 50 requests per minute, 100,000 rows"), "{all}");
    }

    #[test]
    fn an_unknown_model_is_refused_and_the_name_of_a_class_is_accepted() {
        let fault = format!("{:#}", shown(None, Some("claude-haku-4-5")).expect_err("there is no such model"));

        assert!(fault.contains("--model: unknown model claude-haku-4-5") && fault.contains("did you mean"), "{fault}");
        assert!(shown(None, Some("haiku-4.5")).is_ok_and(|text| text.contains("  haiku-4.5 ")));
    }

    #[test]
    fn a_tier_without_limits_for_a_model_says_which_limits_a_run_begins_with() {
        let text = shown(Tier::parse("2"), Some("claude-haiku-5-5")).expect("the model is known");

        assert!(text.contains("no published limits for claude-haiku-5-5; a run begins with"), "{text}");
    }

    #[test]
    fn the_tiers_auto_and_none_say_what_applies() {
        let auto = shown(Some(Tier::Auto), None).expect("no model is named");
        let none = shown(Some(Tier::None), None).expect("no model is named");

        assert!(auto.contains("--tier auto: a run begins with") && auto.contains("tier start ("), "{auto}");
        assert!(none.contains("--tier none: a run begins without limits") && none.lines().count() <= 2, "{none}");
    }
}
