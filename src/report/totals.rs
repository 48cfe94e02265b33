//! The tokens and the cost in the summary. If earlier runs worked on the same file, the sums over all runs come first,
//! followed by the sums of this run.

use super::stats::Stats;
use super::summary_context::SummaryContext;
use super::text::{ListRow, count, escape, plural};
use crate::domain::{Money, Usage};

/// Returns the summary lines with the tokens and their cost. Returns an empty list if the runs on this file have not
/// finished any row.
pub(super) fn spent(stats: &Stats, context: &SummaryContext) -> Vec<ListRow> {
    if stats.succeeded_total() + stats.failed_total() == 0 && context.earlier.is_none() {
        return Vec::new();
    }
    let now = tokens(&stats.usage);
    let tokens = match &context.earlier {
        None => now,
        Some(earlier) => {
            let mut all = stats.usage;
            all += earlier.usage;
            format!("{} in all runs; {now} in this one", tokens(&all))
        }
    };
    vec![ListRow::text("tokens", tokens), ListRow::text("cost", cost(stats, context))]
}

fn tokens(usage: &Usage) -> String {
    let cached = match usage.cache_read_tokens {
        0 => String::new(),
        tokens => format!(" ({} read from the cache)", count(tokens)),
    };
    let at_least = if usage.is_unknown { "at least " } else { "" };
    format!("{at_least}{} in{cached}, {} out", count(usage.prompt_tokens()), count(usage.output_tokens))
}

fn cost(stats: &Stats, context: &SummaryContext) -> String {
    let models = some_of(&context.unpriced_models);
    let unpriced = match models.is_empty() {
        true if stats.usage.is_unknown => "answers did not say how many tokens they used".to_owned(),
        true => "no price is known".to_owned(),
        false => format!("no price for {models}"),
    };
    let dated = context.price_date.as_ref().map(|date| format!(" (prices of {date})")).unwrap_or_default();
    let earlier = context.earlier.as_ref();
    let Some(cost) = stats.known_cost() else {
        let before = earlier.filter(|earlier| earlier.cost > Money::ZERO);
        let before = before.map(|earlier| format!("; {} in earlier runs", earlier.cost)).unwrap_or_default();
        return format!("unknown ({unpriced}){before}");
    };
    let cost = match earlier {
        None => format!("{cost}{dated}"),
        // In earlier runs, no token had a known price.
        Some(earlier) if earlier.cost == Money::ZERO && cost > Money::ZERO => {
            format!("{cost} in this run{dated}, the cost of earlier runs is unknown")
        }
        Some(earlier) => format!("{} in all runs, {cost} in this one{dated}", earlier.cost + cost),
    };
    match stats.unpriced {
        0 => cost,
        rows => format!("{cost}, plus the unknown cost of {} ({unpriced})", plural(rows, "row", "rows")),
    }
}

/// Returns a text with at most 20 names. If there are more than 20 names, the text also says how many names it leaves
/// out.
fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut shown: Vec<_> = names.iter().take(SHOWN).map(|name| escape(name)).collect();
    if names.len() > SHOWN {
        shown.push(format!("and {} more", names.len() - SHOWN).into());
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::stats::tests::{at, failed_with, started, succeeded, without_price};
    use super::super::summary_context::EarlierRuns;
    use super::super::text::list;
    use super::*;
    use crate::domain::{ErrorClass, Quality};

    #[test]
    fn after_earlier_runs_the_sums_over_all_runs_come_first() {
        let stats = resumed(&[Quality::Ok, Quality::Truncated]);

        insta::assert_snapshot!(shown(&stats, Money::from_dollars(0.5)), @"
        tokens  1,200 in, 60 out in all runs; 200 in, 20 out in this one
        cost    $0.5200 in all runs, $0.0200 in this one (prices of 2026-11-24)
        ");
    }

    #[test]
    fn a_run_that_had_nothing_to_do_still_shows_what_the_file_has_cost() {
        insta::assert_snapshot!(shown(&resumed(&[]), Money::from_dollars(0.5)), @"
        tokens  1,000 in, 40 out in all runs; 0 in, 0 out in this one
        cost    $0.5000 in all runs, $0.00 in this one (prices of 2026-11-24)
        ");
    }

    #[test]
    fn a_cost_that_is_not_known_is_not_added_up() {
        let mut unknown = resumed(&[]);
        unknown.fold(&at(1, without_price()));
        let known = resumed(&[Quality::Ok]);
        let context = |dollars| SummaryContext {
            earlier: Some(EarlierRuns { cost: Money::from_dollars(dollars), ..EarlierRuns::default() }),
            ..SummaryContext::default()
        };

        assert_eq!(cost(&unknown, &context(0.5)), "unknown (no price is known); $0.5000 in earlier runs");
        assert_eq!(cost(&known, &context(0.0)), "$0.0100 in this run, the cost of earlier runs is unknown");
    }

    #[test]
    fn answers_of_unknown_usage_are_not_shown_as_free() {
        let mut stats = Stats::default();
        let usage = Usage { is_unknown: true, ..Usage::default() };
        stats.fold(&at(1, failed_with(ErrorClass::Server, usage, None)));

        assert_eq!(cost(&stats, &SummaryContext::default()), "unknown (answers did not say how many tokens they used)");
        assert_eq!(tokens(&stats.usage), "at least 0 in, 0 out");
    }

    /// Returns the counters of a resumed run: earlier runs finished seven of the twelve rows.
    fn resumed(answers: &[Quality]) -> Stats {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(12), 7)));
        answers.iter().for_each(|quality| stats.fold(&at(1, succeeded(*quality))));
        stats
    }

    fn shown(stats: &Stats, cost: Money) -> String {
        let usage = Usage { input_tokens: 1_000, output_tokens: 40, ..Usage::default() };
        let price_date = Some("2026-11-24".to_owned());
        let context =
            SummaryContext { earlier: Some(EarlierRuns { usage, cost }), price_date, ..SummaryContext::default() };
        list(&spent(stats, &context), 100)
    }
}
