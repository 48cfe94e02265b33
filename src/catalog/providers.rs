//! Facts about each kind of provider: addresses, environment variables, names of models, and missing features.
//!
//! The facts are in `providers.toml`, with their sources. This module reads no environment variable. Callers get the
//! names of the variables from this module, and read the variables themselves.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::domain::{ProviderFeatures, ProviderKind};

const PROVIDERS: &str = include_str!("providers.toml");

static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    let raw: RawProviders = toml::from_str(PROVIDERS).expect("a test checks that the built-in providers parse");
    raw.provider
});

/// The facts about one kind of provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preset {
    kind: String,
    /// The display name of the provider.
    pub(crate) title: String,
    /// The default address of the provider; `None` if the user must give the address. Names in braces are places: parts
    /// that depend on the user, for example `{region}`.
    pub(crate) address: Option<String>,
    /// The environment variables that can contain the address.
    #[serde(default)]
    pub(crate) address_variables: Vec<String>,
    /// The path that is added to an address from an environment variable. If an address already ends with this path,
    /// the path is not added.
    #[serde(default)]
    pub(crate) address_path: String,
    /// The environment variables that can contain the key.
    #[serde(default)]
    pub(crate) key_variables: Vec<String>,
    /// The way to get a token if there is no key.
    pub(crate) login: Option<Login>,
    /// The header that contains the key; `None` if the header depends on the environment variable from which the key
    /// came.
    pub(crate) auth: Option<KeyHeader>,
    /// Headers that are added to each request to the provider. The value of such a header can contain the name of an
    /// entry of `places` in braces, such as `{region}`.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// The places in addresses and headers: parts that depend on the user, for example the region.
    #[serde(default)]
    pub(crate) places: Vec<PlaceFacts>,
    /// The prefix that the provider puts before the names of Claude models.
    #[serde(default)]
    pub(crate) model_prefix: String,
    /// A map from a model's name at the Claude API to its name at the provider, without the prefix. A model that is not
    /// in this map has the same name at the provider.
    #[serde(default)]
    pub(crate) models: BTreeMap<String, String>,
    /// The JSON members that are left out of requests to the provider.
    #[serde(default)]
    pub(crate) drop: Vec<String>,
    /// The JSON members that the provider rejects in a request.
    #[serde(default)]
    pub(crate) refuse: Vec<String>,
    /// The features that the provider does not have.
    #[serde(default)]
    lacks: Vec<String>,
    /// Whether the provider has the tiers of the Claude API.
    #[serde(default)]
    tiers: bool,
    /// The price factor for model names whose prefix does not begin with `global.`.
    #[serde(default = "one")]
    pub(crate) regional_prices: f64,
}

/// The way to get a token if there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Login {
    /// The program makes a token from AWS credentials.
    Aws,
    /// By Google.
    Google,
}

/// The header in which the key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KeyHeader {
    /// `x-api-key`.
    XApiKey,
    /// `authorization: Bearer`.
    Bearer,
}

/// A place: a part of an address or a header that depends on the user, for example the region or the project.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaceFacts {
    /// The name of the place. In the configuration file, the provider's table sets the place with a key of this name.
    pub(crate) name: String,
    /// The environment variables that can contain the value of the place.
    pub(crate) variables: Vec<String>,
    /// The value of the place if no other value is set.
    pub(crate) default: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProviders {
    provider: Vec<Preset>,
}

fn one() -> f64 {
    1.0
}

impl Preset {
    /// Returns the facts about a kind of provider.
    pub(crate) fn of(kind: ProviderKind) -> &'static Self {
        let found = PRESETS.iter().find(|preset| preset.kind == kind.name());
        found.expect("a test checks that each kind has a preset")
    }

    /// Returns whether providers of this kind have the tiers of the Claude API.
    pub(crate) fn of_tiers(kind: ProviderKind) -> bool {
        Self::of(kind).tiers
    }

    /// Returns the features of the providers of this kind.
    pub(crate) fn features(&self) -> ProviderFeatures {
        let mut features = ProviderFeatures::ALL;
        for name in &self.lacks {
            *features.get_mut(name).expect("a test checks the names of features") = false;
        }
        features
    }

    /// Returns whether one of the `texts` contains the placeholder of `place`, for example `{region}`. If no text
    /// contains the placeholder, the user does not have to set the place.
    pub(crate) fn needs(place: &PlaceFacts, texts: &[&str]) -> bool {
        texts.iter().any(|text| text.contains(&placeholder(&place.name)))
    }
}

/// Returns the text that stands for the value of a place: the name of the place in braces, for example `{region}`.
pub(crate) fn placeholder(name: &str) -> String {
    format!("{{{name}}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn each_kind_has_one_preset_in_the_order_of_the_list() {
        let names: Vec<&str> = PRESETS.iter().map(|preset| &*preset.kind).collect();

        assert_eq!(names, ProviderKind::ALL.map(ProviderKind::name));
        for kind in ProviderKind::ALL {
            Preset::of(kind).features();
        }
    }

    #[test]
    fn addresses_and_headers_contain_only_places_that_are_listed() {
        for preset in PRESETS.iter() {
            for text in preset.address.iter().chain(preset.headers.values()) {
                let filled =
                    preset.places.iter().fold(text.clone(), |text, place| text.replace(&placeholder(&place.name), "x"));
                assert!(!filled.contains(['{', '}']), "{filled}");
            }
            for place in &preset.places {
                let texts: Vec<&str> =
                    preset.address.iter().chain(preset.headers.values()).map(String::as_str).collect();
                assert!(Preset::needs(place, &texts), "{} of {}", place.name, preset.kind);
            }
        }
    }

    #[test]
    fn every_model_with_a_providers_name_is_in_the_catalog() {
        let catalog = Catalog::builtin();
        for preset in PRESETS.iter() {
            for name in preset.models.keys() {
                assert!(catalog.model(name).is_some(), "{name} of {}", preset.kind);
            }
        }
        let dotted = &Preset::of(ProviderKind::OpenRouter).models;
        for model in catalog.models().iter().filter(|model| model.retires.is_none()) {
            let parts: Vec<&str> = model.id.split('-').collect();
            let [.., major, minor] = parts[..] else { continue };
            if [major, minor].iter().all(|part| part.len() == 1 && part.parse::<u8>().is_ok()) {
                assert!(dotted.contains_key(&*model.id), "{}", model.id);
            }
        }
    }

    #[test]
    fn no_member_is_both_left_out_and_refused() {
        for preset in PRESETS.iter() {
            assert!(preset.drop.iter().all(|member| !preset.refuse.contains(member)), "{}", preset.kind);
        }
    }
}
