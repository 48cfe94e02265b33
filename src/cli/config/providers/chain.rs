//! Finds the first provider and its fallbacks, and checks that the other settings fit these providers.

use anyhow::{Result, bail};

use super::known::Known;
use super::resolve::{Flags, resolved};
use super::table::ProviderTable;
use super::{FallbackConfig, ProviderConfig};
use crate::catalog::{Preset, vendor_of};
use crate::cli::args::Settings;
use crate::cli::args::providers::{FallbackTo, Fallbacks, ProviderArgs};
use crate::cli::config::credential::KeySource;
use crate::cli::config::world::World;
use crate::domain::{LaneChoice, PromptCache, ProviderKind, Tier};
use crate::report::text::escape;

/// The providers of a run, and the settings that depend on the providers.
pub(in crate::cli::config) struct Providers {
    pub(in crate::cli::config) first: ProviderConfig,
    pub(in crate::cli::config) fallback: FallbackConfig,
    pub(in crate::cli::config) tier: Tier,
    pub(in crate::cli::config) lane: LaneChoice,
    pub(in crate::cli::config) prompt_cache: PromptCache,
    pub(in crate::cli::config) warnings: Vec<String>,
}

impl Providers {
    /// Returns the providers of a run, and the settings that depend on them. `named` has the settings of this call,
    /// `merged` has the settings of all layers, and `files` has the settings of the files.
    ///
    /// # Errors
    /// Fails if a provider is not known, is named twice, or can't do what the user asked for. The message names the
    /// flag.
    pub(in crate::cli::config) fn of(
        (named, merged, files): (&Settings, &Settings, &Settings),
        tables: &[ProviderTable],
        world: &World,
    ) -> Result<Self> {
        let flags = Flags { named, merged, files, is_first: true };
        let (first, fallback, warnings) = match merged.simulation.simulate.unwrap_or(false) {
            true => simulated(flags, Known::new(tables), world)?,
            false => chain(flags, Known::new(tables), world)?,
        };
        let is_off = named.providers.fallback.as_ref().is_some_and(|chain| chain.0.is_empty());
        if named.providers.fallback_on.is_some() && fallback.chain.is_empty() && !is_off {
            bail!("--fallback-on has an effect only with another provider; name one with --fallback");
        }
        Ok(Self {
            tier: tier(&first, named, merged)?,
            lane: lane(&first, named, merged)?,
            prompt_cache: prompt_cache(&first, named, merged)?,
            first,
            fallback,
            warnings,
        })
    }
}

/// Returns the providers of a run with the simulator, which answers in place of each provider. Simulated providers need
/// no address and no key. Providers that are named only in a file are not simulated: they have no effect on a run with
/// the simulator.
fn simulated(
    flags: Flags<'_>,
    known: Known<'_>,
    world: &World,
) -> Result<(ProviderConfig, FallbackConfig, Vec<String>)> {
    let Flags { named, merged, .. } = flags;
    let typed = &named.providers;
    if typed.provider.is_none() && typed.fallback.is_none() {
        return Ok((simulator(named, merged, world), FallbackConfig::default(), Vec::new()));
    }
    let merged = Settings { providers: typed.clone(), ..merged.clone() };
    let (first, fallback, _) = chain(Flags { merged: &merged, ..flags }, known, world)?;
    let played = |provider: ProviderConfig| ProviderConfig { base_url: None, missing: Vec::new(), ..provider };
    let chain = fallback.chain.into_iter().map(played).collect();
    Ok((played(first), FallbackConfig { chain, ..fallback }, Vec::new()))
}

fn simulator(named: &Settings, merged: &Settings, world: &World) -> ProviderConfig {
    let headers = merged.wire.header.iter().map(|header| (header.name.clone(), header.value.clone())).collect();
    let key = KeySource::find(&named.key, &merged.key, world);
    ProviderConfig::api(None, key, merged.key.api_key_ttl, headers)
}

fn chain(flags: Flags<'_>, known: Known<'_>, world: &World) -> Result<(ProviderConfig, FallbackConfig, Vec<String>)> {
    let merged = flags.merged;
    let name = merged.providers.provider.as_deref().unwrap_or(ProviderKind::Anthropic.name());
    let found = known.find(name, &from(flags, &|settings| settings.provider.as_deref() == Some(name), "--provider"))?;
    let (first, mut warnings) = resolved(found, flags, world)?;
    let mut chain: Vec<ProviderConfig> = Vec::new();
    let none = Fallbacks::default();
    for to in &merged.providers.fallback.as_ref().unwrap_or(&none).0 {
        let is_named = |args: &ProviderArgs| args.fallback.iter().any(|chain| chain.0.contains(to));
        let found = known.find(&to.provider, &from(flags, &is_named, "--fallback"))?;
        if *first.name == *found.name {
            bail!("--fallback: {} is the first provider, so it can't be a fallback; leave it out", found.name);
        }
        if chain.iter().any(|earlier| *earlier.name == *found.name) {
            bail!("--fallback names {} twice; leave one of them out", found.name);
        }
        let (config, more) = resolved(found, Flags { is_first: false, ..flags }, world)?;
        check_model(&config, to)?;
        warnings.extend(more.into_iter().filter(|warning| !warnings.contains(warning)).collect::<Vec<_>>());
        chain.push(ProviderConfig { model: to.model.clone(), key_variables: known.key_variables(), ..config });
    }
    let on = merged.providers.fallback_on.unwrap_or_default();
    Ok((ProviderConfig { key_variables: known.key_variables(), ..first }, FallbackConfig { chain, on }, warnings))
}

/// Returns a text for a message. The text says where the name of a provider comes from. `is_named` says whether
/// settings contain the name.
fn from(flags: Flags<'_>, is_named: &dyn Fn(&ProviderArgs) -> bool, flag: &str) -> String {
    match is_named(&flags.named.providers) || is_named(&flags.files.providers) {
        true => flag.to_owned(),
        false => format!("{flag}, which the earlier run recorded and which a new {flag} replaces"),
    }
}

/// Returns the names of the first provider and of its fallbacks.
pub(super) fn names(settings: &Settings) -> Vec<&str> {
    let first = settings.providers.provider.as_deref().unwrap_or(ProviderKind::Anthropic.name());
    let others = settings.providers.fallback.iter().flat_map(|chain| &chain.0).map(|to| &*to.provider);
    [first].into_iter().chain(others).collect()
}

/// Fails if the user chose a model that the provider certainly does not have.
fn check_model(provider: &ProviderConfig, to: &FallbackTo) -> Result<()> {
    let Some(model) = &to.model else { return Ok(()) };
    let has_only_claude = match provider.kind {
        ProviderKind::Anthropic => provider.base_url.is_none(),
        ProviderKind::Aws
        | ProviderKind::Bedrock
        | ProviderKind::BedrockMantle
        | ProviderKind::Google
        | ProviderKind::Foundry => true,
        ProviderKind::OpenRouter | ProviderKind::LiteLlm | ProviderKind::Messages => false,
    };
    match vendor_of(model) {
        Some(vendor) if has_only_claude => bail!(
            "--fallback {}:{}: this is a model of {vendor}, but {} has only Claude models; name a Claude model, or \
             leave out the model to keep the models of the rows",
            to.provider,
            escape(model),
            Preset::of(provider.kind).title
        ),
        Some(_) | None => Ok(()),
    }
}

/// Returns the usage tier. Only some providers have the tiers of the Claude API; for other providers, the tier is
/// `Tier::None`.
fn tier(first: &ProviderConfig, named: &Settings, merged: &Settings) -> Result<Tier> {
    if Preset::of_tiers(first.kind) {
        return Ok(merged.speed.tier.unwrap_or(Tier::Auto));
    }
    match named.speed.tier {
        None | Some(Tier::None) => Ok(Tier::None),
        Some(tier) => bail!(
            "--tier {}: the provider {} does not have the tiers of the Claude API; give --rpm, --itpm and --otpm, or \
             limits in [providers.{}] of your configuration file",
            tier.name(),
            first.name,
            first.name
        ),
    }
}

/// Returns the lane (online, batch or auto). If a file sets the lane to `auto`, this setting has no effect for a
/// provider without batches.
fn lane(first: &ProviderConfig, named: &Settings, merged: &Settings) -> Result<LaneChoice> {
    let lane = merged.lanes.lane.unwrap_or_default();
    match lane {
        LaneChoice::Batch | LaneChoice::Auto if !first.features.batches => match named.lanes.lane {
            None if lane == LaneChoice::Auto => Ok(LaneChoice::Online),
            None | Some(_) => bail!(
                "--lane {}: the provider {} has no Message Batches; use --lane online, or another --provider",
                lane.name(),
                first.name
            ),
        },
        lane => Ok(lane),
    }
}

/// Returns the setting of the prompt cache; this setting is off if the provider has no prompt cache.
fn prompt_cache(first: &ProviderConfig, named: &Settings, merged: &Settings) -> Result<PromptCache> {
    let setting = merged.money.prompt_cache.unwrap_or_default();
    match (first.features.prompt_cache, named.money.prompt_cache) {
        (true, _) => Ok(setting),
        (false, Some(typed @ (PromptCache::FiveMinutes | PromptCache::Hour))) => bail!(
            "--prompt-cache {}: the provider {} has no prompt cache; leave the flag out, or set features = {{ \
             prompt-cache = true }} in [providers.{}] if it has one",
            typed.name(),
            first.name,
            first.name
        ),
        (false, _) => Ok(PromptCache::Off),
    }
}
