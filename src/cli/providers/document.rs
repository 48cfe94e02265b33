//! Makes one JSON document about providers.

use serde::Serialize;

use super::words::{lacks, source_words};
use crate::cli::config::credential::KeySource;
use crate::cli::config::providers::{AuthStyle, ListedProvider, ProviderConfig};
use crate::cli::config::world::World;
use crate::domain::MemberPath;

#[derive(Serialize)]
struct Document<'a> {
    v: u32,
    providers: Vec<One<'a>>,
}

#[derive(Serialize)]
struct One<'a> {
    name: &'a str,
    kind: &'static str,
    title: &'a str,
    /// The place of the provider's table, as `file:line`.
    table: Option<&'a str>,
    /// The position of the provider in the chain: 0 for the first provider, 1 for the first fallback and so on.
    order: Option<usize>,
    /// The reason why the settings of the provider can't be used.
    problem: Option<&'a str>,
    /// Whether all settings that requests need are set. The key is not read, so it may be wrong.
    is_ready: bool,
    settings: Option<Settings<'a>>,
}

#[derive(Serialize)]
struct Settings<'a> {
    base_url: Option<String>,
    missing: &'a [String],
    key: Option<String>,
    key_ways: &'a str,
    needs_key: bool,
    auth: Option<&'static str>,
    /// The names of the headers that come from the provider's preset and from the settings. The values of headers are
    /// left out, because they may be secret.
    headers: Vec<&'a str>,
    model_prefix: &'a str,
    models: std::collections::BTreeMap<&'a str, &'a str>,
    drops: Vec<&'a str>,
    refuses: Vec<&'a str>,
    lacks: Vec<&'static str>,
    limits: Limits,
    prices: Option<String>,
    price_factor: f64,
}

#[derive(Serialize)]
struct Limits {
    rpm: Option<u32>,
    itpm: Option<u32>,
    otpm: Option<u32>,
}

/// Returns the document as one line of JSON. Values that are not set are `null`.
pub(super) fn document(providers: &[ListedProvider], world: &World) -> String {
    let document = Document { v: 1, providers: providers.iter().map(|provider| one(provider, world)).collect() };
    serde_json::to_string(&document).expect("a list of providers can be written as JSON")
}

fn one<'a>(provider: &'a ListedProvider, world: &World) -> One<'a> {
    let config = provider.settings.as_ref().ok();
    One {
        name: &provider.name,
        kind: provider.kind.name(),
        title: provider.title,
        table: provider.table.as_deref(),
        order: provider.order,
        problem: provider.settings.as_ref().err().map(String::as_str),
        is_ready: config.is_some_and(|config| is_ready(config, world)),
        settings: config.map(settings),
    }
}

fn is_ready(config: &ProviderConfig, world: &World) -> bool {
    let has_key = match &config.key {
        KeySource::Missing => !config.needs_key(),
        KeySource::File(path) => world.resolve(path).exists(),
        _ => true,
    };
    has_key && config.missing.is_empty()
}

fn settings(config: &ProviderConfig) -> Settings<'_> {
    Settings {
        base_url: config.base_url.as_ref().map(|base| base.url.join("")),
        missing: &config.missing,
        key: (config.key != KeySource::Missing).then(|| source_words(&config.key)),
        key_ways: &config.key_ways,
        needs_key: config.needs_key(),
        auth: config.auth.map(|auth| match auth {
            AuthStyle::ApiKey => "x-api-key",
            AuthStyle::Bearer => "bearer",
        }),
        headers: config.headers.iter().map(|(name, _)| name.as_str()).collect(),
        model_prefix: &config.rules.model_prefix,
        models: config.rules.models.iter().map(|(ours, theirs)| (&**ours, &**theirs)).collect(),
        drops: names(&config.rules.drop),
        refuses: names(&config.rules.refuse),
        lacks: lacks(config.features),
        limits: Limits { rpm: config.limits.rpm, itpm: config.limits.itpm, otpm: config.limits.otpm },
        prices: config.prices.as_ref().map(|file| file.path.display().to_string()),
        price_factor: config.price_factor,
    }
}

fn names(paths: &[MemberPath]) -> Vec<&str> {
    paths.iter().map(|path| &*path.0).collect()
}
