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
use crate::cli::args::parsers;
use crate::cli::config::credential::KeySource;
use crate::domain::{MemberPath, ProviderFeatures, ProviderKind, RateLimits};
use crate::report::text::escape;
use crate::source::nearest;

/// The keys of a table.
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

/// Members that every request needs, or that the program sets itself.
const NEEDED: [&str; 4] = ["model", "messages", "max_tokens", "stream"];
/// The longest name of a provider, in bytes. The name is in every record.
const LONGEST_NAME: usize = 40;
/// What prices can be multiplied by at most. More is certainly a mistake.
const MOST_FACTOR: f64 = 100.0;

/// A table `[providers.NAME]`, as written.
#[derive(Clone, Debug)]
pub(crate) struct ProviderTable {
    /// Its name.
    pub(crate) name: String,
    /// Its place, as `file:line`.
    pub(crate) at: String,
    /// Its kind.
    pub(crate) kind: ProviderKind,
    /// The address, with its place.
    pub(super) base_url: Option<(String, String)>,
    /// Where the key comes from.
    pub(super) key: Option<KeySource>,
    pub(super) key_ttl: Option<Duration>,
    pub(super) auth: Option<AuthStyle>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) models: Vec<(String, String)>,
    pub(super) model_prefix: Option<String>,
    pub(super) drop: Vec<MemberPath>,
    pub(super) limits: RateLimits,
    /// The path of a price file, and the place of the key.
    pub(super) prices: Option<(PathBuf, String)>,
    pub(super) price_factor: Option<f64>,
    /// Features that the table switches on or off.
    pub(super) features: Vec<(String, bool)>,
    /// Regions and other places, by the names of their keys: the value, and where it is.
    pub(super) places: BTreeMap<String, (String, String)>,
}

type Key<'i> = Spanned<std::borrow::Cow<'i, str>>;
type Value<'i> = Spanned<DeValue<'i>>;

/// Reads the tables below `[providers]`. `key` is the name `providers` itself.
///
/// # Errors
/// The file must not contain such tables, or a table has an unknown key or a wrong value. The message names file and
/// line.
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
        bail!("{}: a provider is a table, such as [providers.openrouter]", place.at(key));
    };
    tables.iter().map(|(name, table)| one(name, table, place)).collect()
}

fn one(name: &Key<'_>, value: &Value<'_>, place: &Place<'_>) -> Result<ProviderTable> {
    let at = place.at(name);
    let DeValue::Table(table) = value.get_ref() else {
        bail!("{at}: a provider is a table, such as [providers.openrouter]");
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

/// Returns the kind of a table. A table with the name of a preset needs no kind.
fn kind(name: &str, table: &DeTable<'_>, at: &str, place: &Place<'_>) -> Result<ProviderKind> {
    let names = || ProviderKind::ALL.map(ProviderKind::name);
    let Some((key, value)) = table.iter().find(|(key, _)| *key.get_ref() == "kind") else {
        return ProviderKind::parse(name).ok_or_else(|| {
            let meant = nearest(name, names()).map(|name| format!("; did you mean [providers.{name}]?"));
            anyhow!("{at}: [providers.{name}] needs a kind: {}{}", names().join(", "), meant.unwrap_or_default())
        });
    };
    let found = value.get_ref().as_str().unwrap_or_default();
    ProviderKind::parse(found).ok_or_else(|| {
        let meant = nearest(found, names()).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
        anyhow!("{}: kind: {found:?} is not one of {}{meant}", place.at(key), names().join(", "))
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

fn text(value: &DeValue<'_>) -> Result<String, String> {
    match value.as_str().map(str::trim) {
        Some("") => Err("it is empty".to_owned()),
        Some(text) => Ok(text.to_owned()),
        None => Err(format!("give a text in quotes; found {}", found(value))),
    }
}

/// Returns a text that can be empty.
fn plain(value: &DeValue<'_>) -> Result<String, String> {
    let text = value.as_str().ok_or_else(|| format!("give a text in quotes; found {}", found(value)))?;
    if text.chars().any(|char| char.is_whitespace() || char.is_control()) {
        return Err("it contains a blank or a control character".to_owned());
    }
    Ok(text.to_owned())
}

fn found(value: &DeValue<'_>) -> String {
    format!("a value of another kind ({})", value.type_str())
}

fn variable(value: &DeValue<'_>) -> Result<String, String> {
    let name = text(value)?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    // The value is not shown: it may be the key itself.
    is_name.then_some(name).ok_or_else(|| "give the name of a variable, such as MY_KEY, and not the key itself".into())
}

fn auth(text: &str) -> Result<AuthStyle, String> {
    match text {
        "x-api-key" => Ok(AuthStyle::ApiKey),
        "bearer" => Ok(AuthStyle::Bearer),
        other => Err(format!("{other:?} is not one of x-api-key, bearer")),
    }
}

fn entries<'v>(value: &'v DeValue<'_>, example: &str) -> Result<Vec<(&'v str, &'v DeValue<'v>)>, String> {
    match value {
        DeValue::Table(table) => Ok(table.iter().map(|(key, value)| (&**key.get_ref(), value.get_ref())).collect()),
        other => Err(format!("give a table, such as {example}; found {}", found(other))),
    }
}

fn headers(value: &DeValue<'_>) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let entries = entries(value, r#"{ x-team = "a" }"#)?.into_iter();
    let one = |(name, value): (&str, &DeValue<'_>)| {
        let header = parsers::header(&format!("{name}: {}", text(value)?))?;
        Ok((header.name, header.value))
    };
    entries.map(one).collect()
}

fn pairs(value: &DeValue<'_>) -> Result<Vec<(String, String)>, String> {
    let entries = entries(value, r#"{ claude-haiku-4-5 = "their-name" }"#)?.into_iter();
    entries.map(|(ours, theirs)| Ok((ours.to_owned(), text(theirs)?))).collect()
}

fn list(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    match value {
        DeValue::Array(values) => values.iter().map(|value| text(value.get_ref())).collect(),
        DeValue::String(_) => Ok(vec![text(value)?]),
        other => Err(format!("give a list, such as [\"metadata\"]; found {}", found(other))),
    }
}

/// Returns the path of a member, checked.
fn member(path: &str) -> Result<MemberPath, String> {
    if NEEDED.contains(&path) {
        return Err(format!("every request needs {path}, so it can't be left out"));
    }
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let is_step = |step: &str| match step.split_once('[') {
        None => is_word(step),
        Some((name, rest)) => {
            let condition = rest.strip_suffix(']').map(|inside| inside.split_once('='));
            let is_fit = match condition {
                Some(Some((name, value))) => is_word(name) && is_word(value),
                Some(None) => rest == "]",
                None => false,
            };
            is_word(name) && is_fit
        }
    };
    match path.split('.').all(is_step) {
        true => Ok(MemberPath(path.into())),
        false => Err(format!("{path:?} is not a member of a request; write it as metadata, or tools[].strict")),
    }
}

fn limits(value: &DeValue<'_>) -> Result<RateLimits, String> {
    let mut limits = RateLimits::NONE;
    for (name, value) in entries(value, "{ rpm = 100, itpm = 50000, otpm = 10000 }")? {
        let number = match value {
            DeValue::Integer(number) => number.to_string(),
            value => text(value)?,
        };
        let rate = parsers::rate(&number).map_err(|message| format!("{name}: {message}"))?;
        match name {
            "rpm" => limits.rpm = Some(rate),
            "itpm" => limits.itpm = Some(rate),
            "otpm" => limits.otpm = Some(rate),
            other => return Err(format!("{other:?} is not one of rpm, itpm, otpm")),
        }
    }
    Ok(limits)
}

fn factor(value: &DeValue<'_>) -> Result<f64, String> {
    let number = match value {
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        other => return Err(format!("give a number, such as 1.1; found {}", found(other))),
    };
    let factor = number.parse::<f64>().ok().filter(|factor| *factor >= 0.0 && *factor <= MOST_FACTOR);
    factor.ok_or_else(|| format!("{number} is not between 0 and {MOST_FACTOR}"))
}

fn features(value: &DeValue<'_>) -> Result<Vec<(String, bool)>, String> {
    let one = |(name, value): (&str, &DeValue<'_>)| {
        if ProviderFeatures::ALL.get(name).is_none() {
            let meant = nearest(name, ProviderFeatures::NAMES).map(|name| format!("; did you mean {name}?"));
            let names = ProviderFeatures::NAMES.join(", ");
            return Err(format!("{name:?} is not one of {names}{}", meant.unwrap_or_default()));
        }
        match value {
            DeValue::Boolean(has) => Ok((name.to_owned(), *has)),
            other => Err(format!("{name}: give true or false; found {}", found(other))),
        }
    };
    entries(value, "{ batches = false }")?.into_iter().map(one).collect()
}
