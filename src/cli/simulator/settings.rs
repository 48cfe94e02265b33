//! The settings of the simulated API. For `--simulate`, the settings come from a tier. For the command `simulate`, the
//! settings come from the flags of the command.

use anyhow::{Context, Result, bail};

use super::super::args::{Change, ChangeTo, SimLimitArgs, SimulateArgs};
use super::super::config::providers::ProviderConfig;
use super::super::config::world::World;
use super::super::config::{Config, TextFile, named_file};
use crate::catalog::Catalog;
use crate::domain::{ModelClass, RateLimits, Tier};
use crate::sim::answers::AnswerPlan;
use crate::sim::config::{LimitChange, Organizations, OtherClient, SimConfig, SimModel, UnknownModels};
use crate::sim::faults::FaultPlan;
use crate::sim::presets;

/// Returns the simulated API of a provider, for a run with `--simulate`. Only the first provider has the faults of
/// `--simulate-faults`. So a rehearsal shows how rows move to the next provider when the first provider fails.
///
/// # Errors
/// Fails if the fault file or the answer file can't be used. The message names the line and the field.
pub(crate) fn config(catalog: &Catalog, config: &Config, provider: &ProviderConfig) -> Result<SimConfig> {
    let is_first = provider.name == config.provider.name;
    let faults = config.simulate_faults.as_ref().filter(|_| is_first);
    let tier = match provider.features.rate_headers {
        _ if is_first => config.tier,
        true => Tier::Auto,
        false => Tier::None,
    };
    let mut simulated = of_tier(catalog, tier, faults, config.simulate_answers.as_ref())?.of_kind(provider.kind);
    for model in &mut simulated.models {
        model.limits = provider.limits.or(model.limits);
    }
    Ok(simulated)
}

/// Returns a simulated API with the limits of a tier.
fn of_tier(catalog: &Catalog, tier: Tier, faults: Option<&TextFile>, answers: Option<&TextFile>) -> Result<SimConfig> {
    let models = presets::models_with(|_, class| Some(catalog.limits(tier, class).limits));
    let mut config = SimConfig::new(models).with_seed(1);
    let table = catalog.tier_table(tier);
    config.count_tokens_rpm = table.map(|table| table.count_tokens_rpm);
    config.batches.rpm = table.map(|table| table.batch_rpm);
    config.batches.queue = table.map(|table| table.batch_queue);
    if let Some(file) = faults {
        config.faults = FaultPlan::parse(&file.text, &file.path.display().to_string())?;
    }
    if let Some(file) = answers {
        config.answers = AnswerPlan::parse(&file.text, &file.path.display().to_string())?;
    }
    Ok(config)
}

/// Returns a simulated API with the properties from the flags of `simulate`.
///
/// # Errors
/// Fails if the fault file or the answer file can't be used; the message then names the line and the field. Also fails
/// if the flags name a class that no model has.
pub(super) fn from_flags(args: &SimulateArgs, tier: Tier, catalog: &Catalog, world: &World) -> Result<SimConfig> {
    let faults = named_file("--faults", args.answers.faults.clone(), world)?;
    let answers = named_file("--answers", args.answers.answers.clone(), world)?;
    let mut config = of_tier(catalog, tier, faults.as_ref(), answers.as_ref())?;
    limits(&mut config, &args.limits)?;
    config.kind = args.kind.unwrap_or_default();
    if let Some(keys) = &args.keys {
        config.keys = keys.clone();
    }
    if args.key_limits {
        config.organizations = Organizations::PerKey;
    }
    let answers = &args.answers;
    config.batches.time = answers.batch_time.unwrap_or(config.batches.time);
    config.batches.expiry = answers.batch_expiry.unwrap_or(config.batches.expiry);
    config.batches.cancel_time = answers.batch_cancel_time.unwrap_or(config.batches.cancel_time);
    config.seed = answers.seed.unwrap_or(config.seed);
    config.latency = answers.latency.unwrap_or(config.latency);
    config.lengths = answers.output_tokens.unwrap_or(config.lengths);
    config.endings = answers.endings.unwrap_or(config.endings);
    config.token_skew = answers.skew.unwrap_or(config.token_skew);
    config.estimate_skew = answers.estimate_skew.unwrap_or(config.estimate_skew);
    if answers.any_model {
        config.unknown_models = UnknownModels::LikeTheFirst;
    }
    Ok(config)
}

fn limits(config: &mut SimConfig, args: &SimLimitArgs) -> Result<()> {
    for (class, _) in &args.class_limits {
        check_class(class, &config.models).context("--class-limits")?;
    }
    config.models.iter_mut().for_each(|model| model.limits = args.over(model.limits, &model.class));
    config.count_tokens_rpm = args.count_tokens_rpm.or(config.count_tokens_rpm);
    config.batches.rpm = args.batch_rpm.or(config.batches.rpm);
    config.batches.queue = args.batch_queue.or(config.batches.queue);
    config.bursts = args.burst.unwrap_or(config.bursts);
    config.output_rule = args.output_rule.unwrap_or(config.output_rule);
    config.refused_uses_request = args.refused_uses_request;
    config.max_concurrent = args.concurrency_cap;
    config.acceleration = args.acceleration;
    config.spend_cap = args.spend_cap;
    config.others = args
        .other_client
        .iter()
        .map(|other| OtherClient {
            class: None,
            permille: other.permille,
            from: other.from,
            until: other.until,
            manner: other.manner,
        })
        .collect();
    for change in &args.change {
        let changes = changes(change, &config.models).context("--change")?;
        config.changes.extend(changes);
    }
    Ok(())
}

/// Returns the limit changes that one `--change` describes. If `--change` gives a factor, the new limits of each class
/// are its initial limits, multiplied by this factor.
fn changes(change: &Change, models: &[SimModel]) -> Result<Vec<LimitChange>> {
    if let Some(class) = &change.class {
        check_class(class, models)?;
    }
    let to = |class: Option<ModelClass>, limits| LimitChange { at: change.at, class, limits };
    Ok(match change.to {
        ChangeTo::Limits(limits) => vec![to(change.class.clone(), limits)],
        ChangeTo::Factor(factor) => classes(models)
            .into_iter()
            .filter(|(class, _)| change.class.as_ref().is_none_or(|own| own == *class))
            .map(|(class, limits)| to(Some(class.clone()), times(limits, factor)))
            .collect(),
    })
}

fn times(limits: RateLimits, factor: f64) -> RateLimits {
    let times = |limit: Option<u32>| limit.map(|limit| ((f64::from(limit) * factor).round() as u32).max(1));
    RateLimits { rpm: times(limits.rpm), itpm: times(limits.itpm), otpm: times(limits.otpm) }
}

fn check_class(class: &ModelClass, models: &[SimModel]) -> Result<()> {
    let known = classes(models);
    if !known.iter().any(|(own, _)| *own == class) {
        let names: Vec<&str> = known.iter().map(|(class, _)| &*class.0).collect();
        bail!("no model has the class {class}; the classes are {}", names.join(", "));
    }
    Ok(())
}

/// Returns each class of models once, with its limits.
fn classes(models: &[SimModel]) -> Vec<(&ModelClass, RateLimits)> {
    let mut classes: Vec<(&ModelClass, RateLimits)> = models.iter().map(|model| (&model.class, model.limits)).collect();
    classes.sort_by_key(|(class, _)| *class);
    classes.dedup_by_key(|(class, _)| *class);
    classes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Command};
    use crate::clock::Instant;
    use clap::Parser;

    #[test]
    fn flags_override_the_limits_of_the_tier() {
        let config = typed(&["--tier", "2", "--rpm", "70", "--class-limits", "opus-4.x=5,-,-"]).expect("it is good");

        assert_eq!(limits_of(&config, "haiku-4.5"), RateLimits::new(70, 450_000, 90_000));
        assert_eq!(limits_of(&config, "opus-4.x"), RateLimits::new(5, 450_000, 90_000));
        assert_eq!(config.count_tokens_rpm, Some(2_000));
    }

    #[test]
    fn every_model_has_a_row_in_the_tables_of_today() {
        let catalog = Catalog::builtin();
        for model in presets::models() {
            for tier in [Tier::Start, Tier::Build, Tier::Scale] {
                assert!(!catalog.limits(tier, &model.class).substituted, "{} in {}", model.class, tier.name());
            }
        }
    }

    #[test]
    fn without_a_tier_only_the_typed_limits_apply() {
        let config = typed(&["--tier", "none", "--otpm", "8k"]).expect("it is good");

        assert_eq!(limits_of(&config, "haiku-4.5"), RateLimits { otpm: Some(8_000), ..RateLimits::NONE });
        assert_eq!(config.count_tokens_rpm, None);
    }

    #[test]
    fn a_change_by_a_factor_becomes_a_change_of_each_class() {
        let config = typed(&["--tier", "1", "--change", "at 60s: 0.5"]).expect("it is good");

        let haiku = config.changes.iter().find(|change| change.class == Some(ModelClass("haiku-4.5".into())));
        let haiku = haiku.expect("it has the class");
        assert_eq!((haiku.at, haiku.limits), (Instant::from_secs(60), RateLimits::new(25, 25_000, 5_000)));
    }

    #[test]
    fn the_error_about_an_unknown_class_lists_the_known_classes() {
        for args in [["--class-limits", "haiku=1,1,1"], ["--change", "at 1s haiku: 0.5"]] {
            let message = format!("{:#}", typed(&args).expect_err("there is no such class"));

            assert!(message.starts_with(&format!("{}: no model has the class haiku;", args[0])), "{message}");
            assert!(message.contains("haiku-4.5"), "{message}");
        }
    }

    fn typed(args: &[&str]) -> Result<SimConfig> {
        let cli = Cli::try_parse_from(["claude-batch", "simulate"].iter().chain(args)).expect("it is well formed");
        let Command::Simulate(args) = cli.command else { panic!("another command") };
        let tier = args.limits.tier.unwrap_or(Tier::One);
        from_flags(&args, tier, &Catalog::builtin(), &World::default())
    }

    fn limits_of(config: &SimConfig, class: &str) -> RateLimits {
        config.models.iter().find(|model| &*model.class.0 == class).expect("it is served").limits
    }
}
