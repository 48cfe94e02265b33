//! Makes the settings of one provider from its preset, its table, the variables of the platform, and the flags.

use std::sync::Arc;

use anyhow::Result;

use super::known::Found;
use super::places::Places;
use super::{AuthStyle, ProviderConfig, key};
use crate::catalog::{KeyHeader, Preset};
use crate::cli::args::Settings;
use crate::cli::config::address::{BaseUrl, BaseUrlSource};
use crate::cli::config::credential::KeySource;
use crate::cli::config::named_file;
use crate::cli::config::world::World;
use crate::domain::{MemberPath, ProviderFeatures, ProviderKind, RequestRules};

/// The settings of all layers, from which the settings of a provider are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flags<'s> {
    /// The settings of this call: the flags and the environment.
    pub(crate) named: &'s Settings,
    /// The settings of all layers.
    pub(crate) merged: &'s Settings,
    /// The settings of the files.
    pub(crate) files: &'s Settings,
    /// Whether the provider is the first one. Flags apply only to the first provider.
    pub(crate) is_first: bool,
}

impl<'s> Flags<'s> {
    /// Returns the settings of a provider that are set outside of its table. Settings from files apply to the default
    /// provider, and settings from this call apply to the first provider. So a key, a header or an address that was
    /// typed for one provider is never used for another provider. If a provider has no such settings, `none` is
    /// returned.
    fn of_provider(&self, is_default: bool, none: &'s Settings) -> &'s Settings {
        match (is_default, self.is_first) {
            (true, true) => self.merged,
            (true, false) => self.files,
            (false, true) => self.named,
            (false, false) => none,
        }
    }
}

/// Returns the settings of a provider, and warnings to print.
///
/// # Errors
/// Fails if a value is wrong, or if a file can't be read. The message names the flag, the variable, or the file and
/// line.
pub(crate) fn resolved(found: Found<'_>, flags: Flags<'_>, world: &World) -> Result<(ProviderConfig, Vec<String>)> {
    let preset = Preset::of(found.kind);
    let is_default = found.name == ProviderKind::Anthropic.name();
    let places = Places::find(found, preset, world)?;
    let (base_url, warnings) = address(found, preset, &places, flags, world)?;
    let headers_of_preset: Vec<&str> = preset.headers.values().map(String::as_str).collect();
    let mut missing = places.missing(found, preset, &headers_of_preset);
    if base_url.is_none() && found.kind != ProviderKind::Anthropic {
        missing.splice(0..0, missing_address(found, preset, &places));
        let mut seen = Vec::new();
        missing.retain(|words| !seen.contains(words) && (seen.push(words.clone()), true).1);
    }
    let none = Settings::default();
    let typed = if flags.is_first { flags.named } else { &none };
    let usual = flags.of_provider(is_default, &none);
    let of_files = if is_default { usual } else { &none };
    let key = key::source(found, preset, &places, (&typed.key, &of_files.key), world);
    let table = found.table;
    let ttl = typed.key.api_key_ttl.or(table.and_then(|table| table.key_ttl)).or(of_files.key.api_key_ttl);
    let features = features(found, preset);
    let rules = rules(found, preset, &features);
    let prices = table.and_then(|table| table.prices.clone());
    let prices = prices.map(|(path, at)| named_file(&format!("{at}: prices"), Some(path), world)).transpose()?;
    let is_regional = !rules.model_prefix.starts_with("global.");
    let usual_factor = if is_regional { preset.regional_prices } else { 1.0 };
    let config = ProviderConfig {
        name: found.name.into(),
        kind: found.kind,
        base_url,
        missing,
        auth: auth(found, preset, &key),
        key,
        key_ways: key::ways(found, preset, flags.is_first),
        key_variables: Arc::default(),
        key_ttl: ttl,
        headers: headers(found, preset, &places, usual),
        rules: Arc::new(rules),
        features,
        limits: table.map(|table| table.limits).unwrap_or_default(),
        prices: prices.flatten(),
        price_factor: table.and_then(|table| table.price_factor).unwrap_or(usual_factor),
        model: None,
    };
    Ok((config, warnings))
}

/// Returns the address of the provider, and warnings. The address is `None` for the Claude API, or if the address is
/// not known.
fn address(
    found: Found<'_>,
    preset: &Preset,
    places: &Places,
    flags: Flags<'_>,
    world: &World,
) -> Result<(Option<BaseUrl>, Vec<String>)> {
    let allow_http = flags.merged.connection.allow_http.unwrap_or(false);
    let is_default = found.name == ProviderKind::Anthropic.name();
    let typed = flags.named.connection.base_url.as_deref().filter(|_| flags.is_first);
    let own = found.table.and_then(|table| table.base_url.as_ref());
    let is_usual = ProviderKind::parse(found.name) == Some(found.kind);
    let mut variable = None;
    for name in preset.address_variables.iter().filter(|_| is_usual) {
        variable = variable.or(world.variable(name)?.map(|value| (name, value)));
    }
    let in_file = flags.files.connection.base_url.as_deref().filter(|_| is_default);
    let (given, from, source) = match (typed, own, variable, in_file) {
        (Some(url), ..) => (url.to_owned(), BaseUrlSource::Named.name().to_owned(), BaseUrlSource::Named),
        (None, Some((url, at)), ..) => (url.clone(), format!("{at}: base-url"), BaseUrlSource::Table),
        (None, None, Some((name, url)), _) => {
            (with_path(url, &preset.address_path), name.clone(), of_variable(is_default))
        }
        (None, None, None, Some(url)) => (url.to_owned(), BaseUrlSource::File.name().to_owned(), BaseUrlSource::File),
        (None, None, None, None) if found.kind == ProviderKind::Anthropic => return Ok((None, Vec::new())),
        (None, None, None, None) => match preset.address.as_deref().and_then(|text| places.fill(text)) {
            Some(url) => (url, format!("the address of {}", found.name), BaseUrlSource::Preset),
            None => return Ok((None, Vec::new())),
        },
    };
    let (url, warning) = BaseUrl::checked(&given, &from, allow_http)?;
    Ok((Some(BaseUrl { url, source }), warning.into_iter().collect()))
}

fn of_variable(is_default: bool) -> BaseUrlSource {
    if is_default { BaseUrlSource::Environment } else { BaseUrlSource::Platform }
}

/// Adds `path` to an address that does not end with `path`.
fn with_path(url: &str, path: &str) -> String {
    let plain = url.trim().trim_end_matches('/');
    if plain.ends_with(path) { plain.to_owned() } else { format!("{plain}{path}") }
}

/// Returns, in words, the missing settings that the address needs.
fn missing_address(found: Found<'_>, preset: &Preset, places: &Places) -> Vec<String> {
    match &preset.address {
        Some(address) => places.missing(found, preset, &[address]),
        None => {
            let variables = preset.address_variables.join(" or ");
            let set = if variables.is_empty() { String::new() } else { format!("set {variables}, or ") };
            vec![format!(
                "an address: {set}give base-url in [providers.{}] of your configuration file, or --base-url",
                found.name
            )]
        }
    }
}

/// Returns the header in which the key is sent. Returns `None` for the variables of the Claude API, because each of
/// these variables has its own header.
fn auth(found: Found<'_>, preset: &Preset, key: &KeySource) -> Option<AuthStyle> {
    let own = found.table.and_then(|table| table.auth);
    let usual = match key {
        KeySource::ApiKeyVariable | KeySource::AuthTokenVariable => None,
        _ => preset.auth.map(|header| match header {
            KeyHeader::XApiKey => AuthStyle::ApiKey,
            KeyHeader::Bearer => AuthStyle::Bearer,
        }),
    };
    own.or(usual)
}

/// Returns the headers of the provider. If headers have the same name, a header from the flags replaces the table's
/// header, and the table's header replaces the preset's header.
fn headers(
    found: Found<'_>,
    preset: &Preset,
    places: &Places,
    flags: &Settings,
) -> Vec<(http::HeaderName, http::HeaderValue)> {
    let of_flags: Vec<_> = flags.wire.header.iter().map(|header| (header.name.clone(), header.value.clone())).collect();
    let of_table = found.table.map(|table| table.headers.clone()).unwrap_or_default();
    let mut headers = places.headers(preset);
    for upper in [of_table, of_flags] {
        headers.retain(|(name, _)| !upper.iter().any(|(own, _)| own == name));
        headers.extend(upper);
    }
    headers
}

fn features(found: Found<'_>, preset: &Preset) -> ProviderFeatures {
    let mut features = preset.features();
    for (name, has) in found.table.iter().flat_map(|table| &table.features) {
        if let Some(feature) = features.get_mut(name) {
            *feature = *has;
        }
    }
    features
}

/// Returns the rules that say what is changed in requests. If the table lists a member under `drop`, a row with this
/// member is not rejected, but is sent without the member. If the table switches a feature on, requests can also have
/// the members of this feature.
fn rules(found: Found<'_>, preset: &Preset, features: &ProviderFeatures) -> RequestRules {
    let table = found.table;
    let prefix = table.and_then(|table| table.model_prefix.as_deref()).unwrap_or(&preset.model_prefix);
    let own: Vec<(&str, String)> =
        table.iter().flat_map(|table| &table.models).map(|(ours, theirs)| (&**ours, theirs.clone())).collect();
    let is_own = |name: &str| own.iter().any(|(ours, _)| *ours == name);
    let usual = preset.models.iter().filter(|(ours, _)| !is_own(ours));
    let usual: Vec<_> = usual.map(|(ours, theirs)| (&**ours, format!("{prefix}{theirs}"))).collect();
    let models = own.into_iter().chain(usual).map(|(ours, theirs)| (ours.into(), theirs.into())).collect();
    let mut drop: Vec<MemberPath> = preset.drop.iter().map(|path| MemberPath(path.as_str().into())).collect();
    for path in table.iter().flat_map(|table| &table.drop) {
        if !drop.contains(path) {
            drop.push(path.clone());
        }
    }
    let is_allowed = |path: &str| match path {
        "output_config.format" | "output_format" => features.structured_outputs,
        "tools[].strict" => features.strict_tools,
        _ => false,
    };
    let refused = preset.refuse.iter().filter(|path| !is_allowed(path));
    let refused = refused.map(|path| MemberPath(path.as_str().into())).filter(|path| !drop.contains(path));
    RequestRules { models, model_prefix: prefix.into(), refuse: refused.collect(), drop }
}
