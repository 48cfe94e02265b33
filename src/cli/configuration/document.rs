//! Makes one JSON document from all settings.

use serde::Serialize;

use super::known::{Setting, Shown};
use crate::cli::config::defaults::Default;
use crate::cli::config::origins::{Entry, Origin};
use crate::cli::providers::source_words;

#[derive(Serialize)]
struct Document<'a> {
    v: u32,
    settings: Vec<One<'a>>,
    profile: Option<&'a str>,
    profiles: Vec<Profile<'a>>,
    providers: Vec<Provider<'a>>,
    warnings: &'a [String],
}

#[derive(Serialize)]
struct One<'a> {
    name: &'a str,
    group: &'a str,
    /// The value that the run uses: a text, a list of texts for settings that can have several values, or `null`.
    value: serde_json::Value,
    /// Whether the value is the default, because no layer sets the setting.
    is_default: bool,
    /// The default of the setting, as a user would type it; `null` if no value stands for the default.
    default: Option<&'a str>,
    /// What happens without the setting, in words.
    default_words: Option<&'a str>,
    /// The reason why the value has no effect; `null` if the value has an effect.
    idle: Option<&'a str>,
    /// The values of all layers. The run uses the first of these values.
    layers: Vec<Layer<'a>>,
}

#[derive(Serialize)]
struct Layer<'a> {
    /// The kind of the layer: `flag`, `variable`, `profile` or `file`.
    kind: &'static str,
    variable: Option<&'a str>,
    file: Option<&'a str>,
    line: Option<usize>,
    profile: Option<&'a str>,
    value: serde_json::Value,
}

#[derive(Serialize)]
struct Profile<'a> {
    name: &'a str,
    at: &'a str,
}

#[derive(Serialize)]
struct Provider<'a> {
    name: &'a str,
    kind: &'static str,
    /// The place of the provider's table as `file:line`; `null` for a preset.
    table: Option<&'a str>,
    /// The position of the provider in the chain: 0 for the first provider, 1 for the first fallback and so on.
    order: Option<usize>,
    base_url: Option<String>,
    /// The source of the provider's key, in words; the key itself is not read.
    key: Option<String>,
    problem: Option<&'a str>,
}

/// Returns the settings as JSON, on one line.
pub(super) fn document(shown: &Shown) -> String {
    let profiles = shown.origins.profiles.iter().map(|profile| Profile { name: &profile.name, at: &profile.at });
    let providers = shown.providers.iter().map(|provider| {
        let config = provider.settings.as_ref().ok();
        Provider {
            name: &provider.name,
            kind: provider.kind.name(),
            table: provider.table.as_deref(),
            order: provider.order,
            base_url: config.and_then(|config| Some(config.base_url.as_ref()?.url.join(""))),
            key: config.map(|config| source_words(&config.key)),
            problem: provider.settings.as_ref().err().map(String::as_str),
        }
    });
    let document = Document {
        v: 1,
        settings: shown.settings.iter().map(one).collect(),
        profile: shown.profile.as_deref(),
        profiles: profiles.collect(),
        providers: providers.collect(),
        warnings: &shown.warnings,
    };
    serde_json::to_string(&document).expect("settings can be written as JSON")
}

fn one(setting: &Setting) -> One<'_> {
    let (default, default_words) = match &setting.default {
        Default::Value(value) => (Some(value.as_str()), None),
        Default::Words(words) => (None, Some(words.as_str())),
        Default::Unset => (None, None),
    };
    let value = |entry: &Entry| match &entry.values[..] {
        [one] if !setting.is_list => one.as_str().into(),
        values => values.into(),
    };
    let layer = |entry| layer(entry, value(entry));
    One {
        name: &setting.name,
        group: &setting.group,
        value: setting.layers.first().map_or(default.into(), value),
        is_default: setting.layers.is_empty(),
        default,
        default_words,
        idle: setting.idle.as_deref(),
        layers: setting.layers.iter().map(layer).collect(),
    }
}

fn layer(entry: &Entry, value: serde_json::Value) -> Layer<'_> {
    let none = Layer { kind: "flag", variable: None, file: None, line: None, profile: None, value };
    match &entry.origin {
        Origin::Flag => none,
        Origin::Variable(name) => Layer { kind: "variable", variable: Some(name), ..none },
        Origin::File { path, line, profile } => Layer {
            kind: if profile.is_some() { "profile" } else { "file" },
            file: Some(path),
            line: Some(*line),
            profile: profile.as_deref(),
            ..none
        },
    }
}
