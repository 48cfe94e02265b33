//! The models that the simulator serves by default. The properties of each model decide what the simulator rejects and
//! what it charges.
//!
//! Source: API documentation, "Models overview", "Pricing", "Prompt caching", "Errors" (2026-08 to 2026-11). The models
//! have the limits of tier 2 as of 2026-01, from "Rate limits". A caller can replace these limits with
//! [`SimConfig::with_limits`], and a user can replace them with flags.
//!
//! [`SimConfig::with_limits`]: super::config::SimConfig::with_limits

use std::sync::Arc;

use crate::domain::{ModelClass, Money, RateLimits};

use super::config::{ModelTraits, SimModel, SimPrice};

/// A row of the model table: id, alias, name, release date, class, context window, longest answer, shortest cached
/// prompt, prices and traits. The prices are in dollars per million tokens: input, output, write to the 5-minute cache,
/// write to the 1-hour cache, cache read.
type Line = (
    &'static str,
    Option<&'static str>,
    &'static str,
    &'static str,
    &'static str,
    u64,
    u64,
    u64,
    [f64; 5],
    ModelTraits,
);

/// The traits of version 4.6 models: a request can't end with an assistant message, and thinking can be `adaptive` or
/// `enabled`.
const AT_4_6: ModelTraits =
    ModelTraits { allows_prefill: false, allows_thinking_adaptive: true, ..ModelTraits::UP_TO_4_5 };
/// The traits of models from version 4.7 on: thinking can't be `enabled`, and sampling parameters must have their
/// default values.
const FROM_4_7: ModelTraits = ModelTraits { allows_sampling: false, allows_thinking_enabled: false, ..AT_4_6 };
/// The traits of Fable 5 and Mythos 5: thinking can't be `disabled`.
const ALWAYS_THINKING: ModelTraits = ModelTraits { allows_thinking_disabled: false, ..FROM_4_7 };
/// The traits of Opus 5.5, and of Fable from 5.1 on: thinking can't be `disabled`, and tools can't be forced.
const NO_FORCED_TOOLS: ModelTraits = ModelTraits { allows_forced_tools: false, ..ALWAYS_THINKING };
/// The traits of Sonnet 5.5: the traits of version 4.7 models, except that tools can't be forced.
const SONNET_5_5: ModelTraits = ModelTraits { allows_forced_tools: false, ..FROM_4_7 };

/// The models with a retirement date. Source: API documentation, "Model deprecations" (2026-10), and the change log of
/// the official SDKs (2026-11).
const RETIRING: &[(&str, &str)] =
    &[("claude-sonnet-4-5-20250929", "2026-11-30T00:00:00Z"), ("claude-opus-4-5-20251101", "2027-01-22T00:00:00Z")];

const M: u64 = 1_000_000;

#[rustfmt::skip]
const LINES: &[Line] = &[
    ("claude-haiku-4-5-20251001", Some("claude-haiku-4-5"), "Claude Haiku 4.5", "2025-10-15", "haiku-4.5", 200_000, 64_000, 4_096, [1.0, 5.0, 1.25, 2.0, 0.1], ModelTraits::UP_TO_4_5),
    ("claude-haiku-5-5", None, "Claude Haiku 5.5", "2026-10-07", "haiku-5.5", M, 128_000, 512, [0.1, 0.5, 0.125, 0.2, 0.01], FROM_4_7),
    ("claude-sonnet-4-5-20250929", Some("claude-sonnet-4-5"), "Claude Sonnet 4.5", "2025-09-29", "sonnet-4.x", 200_000, 64_000, 1_024, [3.0, 15.0, 3.75, 6.0, 0.3], ModelTraits::UP_TO_4_5),
    ("claude-sonnet-4-6", None, "Claude Sonnet 4.6", "2026-02-17", "sonnet-4.x", M, 128_000, 1_024, [3.0, 15.0, 3.75, 6.0, 0.3], AT_4_6),
    ("claude-sonnet-5", None, "Claude Sonnet 5", "2026-06-30", "sonnet-5", M, 128_000, 1_024, [2.0, 10.0, 2.5, 4.0, 0.2], FROM_4_7),
    ("claude-sonnet-5-5", None, "Claude Sonnet 5.5", "2026-09-28", "sonnet-5.5", M, 128_000, 512, [2.0, 10.0, 2.5, 4.0, 0.1], SONNET_5_5),
    ("claude-opus-4-5-20251101", Some("claude-opus-4-5"), "Claude Opus 4.5", "2025-11-01", "opus-4.x", 200_000, 64_000, 4_096, [5.0, 25.0, 6.25, 10.0, 0.5], ModelTraits::UP_TO_4_5),
    ("claude-opus-4-6", None, "Claude Opus 4.6", "2026-02-05", "opus-4.x", M, 128_000, 4_096, [5.0, 25.0, 6.25, 10.0, 0.5], AT_4_6),
    ("claude-opus-4-7", None, "Claude Opus 4.7", "2026-04-16", "opus-4.x", M, 128_000, 2_048, [5.0, 25.0, 6.25, 10.0, 0.5], FROM_4_7),
    ("claude-opus-4-8", None, "Claude Opus 4.8", "2026-05-28", "opus-4.x", M, 128_000, 1_024, [5.0, 25.0, 6.25, 10.0, 0.5], FROM_4_7),
    ("claude-opus-5", None, "Claude Opus 5", "2026-07-24", "opus-5", M, 128_000, 512, [5.0, 25.0, 6.25, 10.0, 0.5], FROM_4_7),
    ("claude-opus-5-5", None, "Claude Opus 5.5", "2026-09-22", "opus-5.5", M, 128_000, 512, [4.0, 20.0, 5.0, 8.0, 0.2], NO_FORCED_TOOLS),
    ("claude-fable-5", None, "Claude Fable 5", "2026-06-09", "fable-5.x", M, 128_000, 512, [10.0, 50.0, 12.5, 20.0, 1.0], ALWAYS_THINKING),
    ("claude-fable-5-1", None, "Claude Fable 5.1", "2026-09-01", "fable-5.x", M, 128_000, 512, [10.0, 50.0, 12.5, 20.0, 0.25], NO_FORCED_TOOLS),
    ("claude-fable-5-2", None, "Claude Fable 5.2", "2026-11-09", "fable-5.x", M, 128_000, 512, [8.0, 40.0, 10.0, 16.0, 0.2], NO_FORCED_TOOLS),
    ("claude-mythos-5", None, "Claude Mythos 5", "2026-06-09", "mythos-5.x", M, 128_000, 512, [10.0, 50.0, 12.5, 20.0, 1.0], ALWAYS_THINKING),
    ("claude-mythos-5-1", None, "Claude Mythos 5.1", "2026-09-01", "mythos-5.x", M, 128_000, 512, [10.0, 50.0, 12.5, 20.0, 0.25], ALWAYS_THINKING),
    ("claude-mythos-5-2", None, "Claude Mythos 5.2", "2026-11-09", "mythos-5.x", M, 128_000, 512, [8.0, 40.0, 10.0, 16.0, 0.2], ALWAYS_THINKING),
];

/// Returns every model, each with the limits of tier 2.
pub fn models() -> Vec<SimModel> {
    LINES
        .iter()
        .map(|&(id, alias, name, released, class, window, max_output, cache_min, dollars, traits)| SimModel {
            id: Arc::from(id),
            aliases: alias.map(Arc::from).into_iter().collect(),
            display_name: Arc::from(name),
            created_at: Arc::from(format!("{released}T00:00:00Z")),
            retires_at: RETIRING.iter().find(|(retiring, _)| *retiring == id).map(|(_, at)| Arc::from(*at)),
            class: ModelClass(Arc::from(class)),
            limits: RateLimits::new(1_000, 450_000, 90_000),
            context_tokens: window,
            max_output_tokens: max_output,
            cache_min_tokens: cache_min,
            counts_cache_reads: false,
            price: Some(price(dollars)),
            long_price: (id == "claude-haiku-5-5").then(|| (100_000, price([0.5, 2.5, 0.625, 1.0, 0.05]))),
            traits,
        })
        .collect()
}

/// Returns all models. Each model gets the limits that `limits` returns for the model's id and class. If `limits`
/// returns `None`, the model keeps its own limits.
pub fn models_with(limits: impl Fn(&str, &ModelClass) -> Option<RateLimits>) -> Vec<SimModel> {
    let mut models = models();
    for model in &mut models {
        if let Some(limits) = limits(&model.id, &model.class) {
            model.limits = limits;
        }
    }
    models
}

fn price([input, output, write_5m, write_1h, read]: [f64; 5]) -> SimPrice {
    SimPrice {
        input: Money::per_token(input),
        output: Money::per_token(output),
        cache_write_5m: Money::per_token(write_5m),
        cache_write_1h: Money::per_token(write_1h),
        cache_read: Money::per_token(read),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn the_simulated_models_accept_what_the_catalog_says() {
        let catalog = Catalog::builtin();

        for model in models() {
            let known = catalog.model(&model.id).unwrap_or_else(|| panic!("{} is in the catalog", model.id));
            assert_eq!(model.traits.allows_forced_tools, known.allows_forced_tools, "{}", model.id);
            assert_eq!(model.traits.allows_prefill, known.allows_prefill, "{}", model.id);
            assert!(known.structured_outputs, "{}", model.id);
        }
    }
}
