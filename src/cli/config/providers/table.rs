//! The tables `[providers.NAME]` of the user's configuration.
//!
//! Each value is checked when the file is read, so a message can name the file and the line.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use http::{HeaderName, HeaderValue};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::place::Place;
use super::super::trust::Trust;
use super::AuthStyle;
use super::values::{auth, factor, features, headers, limits, list, member, pairs, plain, text, variable};
use crate::cli::args::parsers;
use crate::cli::config::credential::KeySource;
use crate::domain::{MemberPath, ProviderKind, RateLimits};
use crate::report::text::escape;
use crate::source::nearest;

/// The keys that a table `[providers.NAME]` can contain.
const KEYS: [&str; 20] = [
    "kind",
    "base-url",
    "api-key-env",
    "api-key-file",
    "api-key-cmd",
    "api-key-ttl",
    "auth",
    "headers",
    "models",
    "model-prefix",
    "drop",
    "limits",
    "prices",
    "price-factor",
    "features",
    "region",
    "project",
    "location",
    "workspace",
    "resource",
];

/// The longest name of a provider, in bytes. A provider's name must be short, because every result line contains this
/// name.
const LONGEST_NAME: usize = 40;

/// The values of a table `[providers.NAME]` in a configuration file.
#[derive(Clone, Debug)]
pub(crate) struct ProviderTable {
    /// Its name.
    pub(crate) name: String,
    /// The place of the table, as `file:line`.
    pub(crate) at: String,
    /// Its kind.
    pub(crate) kind: ProviderKind,
    /// The address, and its place in the file as `file:line`.
    pub(super) base_url: Option<(String, String)>,
    /// The source of the API key.
    pub(super) key: Option<KeySource>,
    pub(super) key_ttl: Option<Duration>,
    pub(super) auth: Option<AuthStyle>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) models: Vec<(String, String)>,
    pub(super) model_prefix: Option<String>,
    pub(super) drop: Vec<MemberPath>,
    pub(super) limits: RateLimits,
    /// The path of a price file, and the place of the setting `prices` as `file:line`.
    pub(super) prices: Option<(PathBuf, String)>,
    pub(super) price_factor: Option<f64>,
    /// The features that the table switches on (`true`) or off (`false`).
    pub(super) features: Vec<(String, bool)>,
    /// The value of each key, such as `region` or `project`, and the place of the value as `file:line`.
    pub(super) places: BTreeMap<String, (String, String)>,
}

type Key<'i> = Spanned<std::borrow::Cow<'i, str>>;
type Value<'i> = Spanned<DeValue<'i>>;

/// Reads the tables below `[providers]`. `key` is the TOML key `providers`; messages say where this key is in the file.
///
/// # Errors
/// Fails if provider tables are not allowed in this file, or if a table has an unknown key or a wrong value. The
/// message names the file and the line.
pub(in crate::cli::config) fn read(
    key: &Key<'_>,
    value: &DeValue<'_>,
    place: &Place<'_>,
) -> Result<Vec<ProviderTable>> {
    if place.trust == Trust::Folder {
        bail!(
            "{}: [providers.NAME] can't be set by a file in the working folder; put it into the file in your own \
             configuration folder, or name this file with --config",
            place.at(key)
        );
    }
    if let Some(writers) = &place.writers {
        bail!(
            "{}: [providers.NAME] is not taken from a file that may not be yours: {writers} (--trust-owner treats it as \
             yours)",
            place.at(key)
        );
    }
    let DeValue::Table(tables) = value else {
        bail!("{}: a provider must be a table; begin it with a line such as [providers.openrouter]", place.at(key));
    };
    tables.iter().map(|(name, table)| one(name, table, place)).collect()
}

fn one(name: &Key<'_>, value: &Value<'_>, place: &Place<'_>) -> Result<ProviderTable> {
    let at = place.at(name);
    let DeValue::Table(table) = value.get_ref() else {
        bail!("{at}: a provider must be a table; begin it with a line such as [providers.openrouter]");
    };
    let name = name.get_ref().to_string();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(is_name) || name == "off" {
        bail!(
            "{at}: {:?} can't be the name of a provider; use up to {LONGEST_NAME} letters, digits and -",
            escape(&name)
        );
    }
    let mut read = ProviderTable {
        kind: kind(&name, table, &at, place)?,
        name,
        at,
        base_url: None,
        key: None,
        key_ttl: None,
        auth: None,
        headers: Vec::new(),
        models: Vec::new(),
        model_prefix: None,
        drop: Vec::new(),
        limits: RateLimits::NONE,
        prices: None,
        price_factor: None,
        features: Vec::new(),
        places: BTreeMap::new(),
    };
    for (key, value) in table {
        let key_name = key.get_ref().as_ref();
        if !KEYS.contains(&key_name) {
            bail!("{}: unknown key {key_name:?} in [providers.{}]{}", place.at(key), read.name, suggestion(key_name));
        }
        let set = read.set(key, value.get_ref(), place);
        set.map_err(|message| anyhow!("{}: {key_name}: {message}", place.at(key)))?;
    }
    Ok(read)
}

/// Returns the kind of a table. If a table has the name of a preset and does not name a kind, the table has the
/// preset's kind.
fn kind(name: &str, table: &DeTable<'_>, at: &str, place: &Place<'_>) -> Result<ProviderKind> {
    let names = || ProviderKind::ALL.map(ProviderKind::name);
    let Some((key, value)) = table.iter().find(|(key, _)| *key.get_ref() == "kind") else {
        return ProviderKind::parse(name).ok_or_else(|| {
            let meant = nearest(name, names()).map(|name| format!("; did you mean [providers.{name}]?"));
            anyhow!(
                "{at}: [providers.{name}] needs a kind; give one of {}{}",
                names().join(", "),
                meant.unwrap_or_default()
            )
        });
    };
    let found = value.get_ref().as_str().unwrap_or_default();
    ProviderKind::parse(found).ok_or_else(|| {
        let meant = nearest(found, names()).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
        anyhow!("{}: kind: {found:?} is not a kind; give one of {}{meant}", place.at(key), names().join(", "))
    })
}

/// Returns `; did you mean "…"?`, or the list of keys.
fn suggestion(name: &str) -> String {
    match nearest(name, KEYS) {
        Some(meant) => format!("; did you mean {meant:?}?"),
        None => format!("; the keys are {}", KEYS.join(", ")),
    }
}

impl ProviderTable {
    fn set(&mut self, key: &Key<'_>, value: &DeValue<'_>, place: &Place<'_>) -> Result<(), String> {
        let path = |value| Ok::<_, String>(place.folder.join(text(value)?));
        match key.get_ref().as_ref() {
            "kind" => {}
            "base-url" => self.base_url = Some((text(value)?, place.at(key))),
            "api-key-env" => self.set_key(KeySource::Variable(variable(value)?))?,
            "api-key-file" => self.set_key(KeySource::File(path(value)?))?,
            "api-key-cmd" => self.set_key(KeySource::Command(text(value)?))?,
            "api-key-ttl" => self.key_ttl = Some(parsers::positive_duration(&text(value)?)?),
            "auth" => self.auth = Some(auth(&text(value)?)?),
            "headers" => self.headers = headers(value)?,
            "models" => self.models = pairs(value)?,
            "model-prefix" => self.model_prefix = Some(plain(value)?),
            "drop" => self.drop = list(value)?.iter().map(|path| member(path)).collect::<Result<_, _>>()?,
            "limits" => self.limits = limits(value)?,
            "prices" => self.prices = Some((path(value)?, place.at(key))),
            "price-factor" => self.price_factor = Some(factor(value)?),
            "features" => self.features = features(value)?,
            name => drop(self.places.insert(name.to_owned(), (text(value)?, place.at(key)))),
        }
        Ok(())
    }

    fn set_key(&mut self, key: KeySource) -> Result<(), String> {
        match self.key.replace(key) {
            None => Ok(()),
            Some(_) => Err("keep only one of api-key-env, api-key-file and api-key-cmd".to_owned()),
        }
    }
}
