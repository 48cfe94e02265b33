//! The part of a plan about the prompt cache: what is cached, what the cache saves, and why some prefixes are not
//! cached.

use serde::Serialize;

use super::super::caching::{
    marks_words, model_of, order_words, own_words, real_input, uncertain_words, unmarked_words,
};
use super::Plan;
use crate::domain::{Money, PromptCache};
use crate::forecast::{Alternative, Change};
use crate::plan::{GroupCaching, Unmarked, UnmarkedReason};
use crate::report::text::{ListRow, count, rough_duration};

/// The member `cache` of a plan in JSON.
#[derive(Serialize)]
pub(super) struct Cache {
    /// The value of `--prompt-cache`.
    setting: &'static str,
    /// The number of prefixes that get a cache mark (`cache_control`).
    prefixes: u64,
    /// The number of marked prefixes that may be too short for their model.
    uncertain_prefixes: u64,
    /// The number of requests that get cache marks.
    rows: u64,
    /// The number of requests that already contain cache marks. The program adds no marks to these requests.
    own_rows: u64,
    /// Whether rows with the same prefix are sent one after the other.
    ordered: bool,
    /// The expected number of tokens that are written to the five-minute cache. `write_1h_tokens` are written to the
    /// one-hour cache, and `read_tokens` are read from either cache.
    write_5m_tokens: u64,
    write_1h_tokens: u64,
    read_tokens: u64,
    /// The likely amount that the cache saves; `null` if nothing is cached or no price is known.
    saved_usd: Option<f64>,
    /// The shared prefixes that get no cache mark, by reason.
    unmarked: Vec<Left>,
}

#[derive(Serialize)]
struct Left {
    reason: &'static str,
    prefixes: u64,
    rows: u64,
    /// The estimated length, in tokens, of the prefix with the largest number of rows.
    tokens: u32,
    /// The model of the rows with the most frequent prefix. `least_tokens` is the length of the shortest prefix that
    /// the model caches.
    model: Option<String>,
    least_tokens: u32,
}

/// Returns the member `cache` of a plan in JSON.
pub(super) fn of(plan: &Plan<'_>) -> Cache {
    let caching = plan.caching;
    let [write_5m_tokens, write_1h_tokens, read_tokens] = expected(plan);
    let left = |left: &Unmarked| Left {
        reason: match left.reason {
            UnmarkedReason::TooShort => "too short",
            UnmarkedReason::TooFarApart => "too far apart",
            UnmarkedReason::TooFew => "too few rows",
        },
        prefixes: left.prefixes,
        rows: left.rows,
        tokens: left.tokens,
        model: model_of(left, plan.load).map(str::to_owned),
        least_tokens: left.least,
    };
    Cache {
        setting: plan.prompt_cache.name(),
        prefixes: caching.prefixes,
        uncertain_prefixes: caching.uncertain,
        rows: caching.rows.saturating_sub(caching.own_rows),
        own_rows: caching.own_rows,
        ordered: caching.is_ordered,
        write_5m_tokens,
        write_1h_tokens,
        read_tokens,
        saved_usd: costs(plan).map(|(with, without)| ((without.dollars() - with.dollars()) * 1e6).round() / 1e6),
        unmarked: caching.unmarked.iter().map(left).collect(),
    }
}

/// Returns whether requests get cache marks when they are sent online.
pub(super) fn is_planned(plan: &Plan<'_>) -> bool {
    plan.prompt_cache != PromptCache::Off && plan.caching.prefixes + plan.caching.prefixes_outside_batches > 0
}

/// Returns the lines of the plan about the prompt cache. The lines are about the rows that are sent online, because a
/// plan assumes that batches use no cache.
pub(super) fn rows(plan: &Plan<'_>) -> Vec<ListRow> {
    let caching = plan.caching;
    let mut texts = Vec::new();
    if plan.prompt_cache == PromptCache::Off {
        texts.push("off (--prompt-cache off)".to_owned());
    }
    texts.extend(marks_words(caching, plan.rows.to_send));
    texts.extend(uncertain_words(caching, plan.load, plan.catalog));
    let [short, long, read] = expected(plan);
    if read > 0 {
        let written = count(short + long);
        texts.push(format!("about {} tokens read and {written} written{}", count(read), saving_words(plan)));
    }
    texts.extend(order_words(caching));
    texts.extend(own_words(caching));
    texts.extend(unmarked_words(caching, plan.load, plan.catalog));
    let label = |at: usize| if at == 0 { "cache" } else { "" };
    texts.into_iter().enumerate().map(|(at, text)| ListRow::text(label(at), text)).collect()
}

/// Returns, in words, the cost and time of the run with the cache and without it. Returns an empty text if the cache
/// changes nothing.
fn saving_words(plan: &Plan<'_>) -> String {
    let Some(without) = without(plan) else { return String::new() };
    let cost = costs(plan).map(|(with, without)| format!("about {with} instead of {without}"));
    let [with, without] = [plan.forecast.time.time.likely, without.time.likely].map(rough_duration);
    let time = (with != without).then(|| format!("about {with} instead of {without}"));
    let both: Vec<_> = cost.into_iter().chain(time).collect();
    if both.is_empty() { String::new() } else { format!(": {}", both.join(", and ")) }
}

/// Returns three expected numbers of tokens: written to the five-minute cache, written to the one-hour cache, and read.
fn expected(plan: &Plan<'_>) -> [u64; 3] {
    let real_input = real_input(plan.load, &plan.forecast);
    let sum =
        |of: fn(&GroupCaching) -> f64| (real_input * plan.caching.groups.iter().map(of).sum::<f64>()).round() as u64;
    [sum(|group| group.write_5m), sum(|group| group.write_1h), sum(|group| group.read)]
}

fn without<'a>(plan: &'a Plan<'_>) -> Option<&'a Alternative> {
    plan.alternatives.iter().find(|other| other.change == Change::NoCache)
}

/// Returns the likely cost of the run, and its likely cost without the cache.
fn costs(plan: &Plan<'_>) -> Option<(Money, Money)> {
    Some((plan.forecast.totals.cost?.likely, without(plan)?.cost?.likely))
}
