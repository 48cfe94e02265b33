//! What is known about each kind of provider: addresses, variables, names of models, and what a provider lacks.
//!
//! The facts are in `providers.toml`, with their sources. This module reads no variable: callers look variables up and
//! pass their values.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::domain::{ProviderFeatures, ProviderKind};

const PROVIDERS: &str = include_str!("providers.toml");

static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    let raw: RawProviders = toml::from_str(PROVIDERS).expect("a test checks that the built-in providers parse");
    raw.provider
});

/// What is known about a kind of provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preset {
    kind: String,
    /// The name shown to people.
    pub(crate) title: String,
    /// The default address, with the names of places in braces; `None` if the user must give the address.
    pub(crate) address: Option<String>,
    /// The variables that can contain the address.
    #[serde(default)]
    pub(crate) address_variables: Vec<String>,
    /// The path that is added to an address of a variable, unless the address ends with it.
    #[serde(default)]
    pub(crate) address_path: String,
    /// The variables that can contain the key.
    #[serde(default)]
    pub(crate) key_variables: Vec<String>,
    /// How a token is made if there is no key.
    pub(crate) login: Option<Login>,
    /// The header of the key; `None` if it depends on the variable.
    pub(crate) auth: Option<KeyHeader>,
    /// Further headers. Their values can contain the names of places in braces.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    /// The places that addresses and headers contain.
    #[serde(default)]
    pub(crate) places: Vec<PlaceFacts>,
    /// The prefix of the names of Claude models.
    #[serde(default)]
    pub(crate) model_prefix: String,
    /// Names of models, without the prefix: ours, and the provider's. Models that are not in it have our name.
    #[serde(default)]
    pub(crate) models: BTreeMap<String, String>,
    /// The members that are left out of requests.
    #[serde(default)]
    pub(crate) drop: Vec<String>,
    /// The members that the provider refuses.
    #[serde(default)]
    pub(crate) refuse: Vec<String>,
    /// The features that the provider does not have.
    #[serde(default)]
    lacks: Vec<String>,
    /// Whether it has the tiers of the Claude API.
    #[serde(default)]
    tiers: bool,
    /// The factor for prices, if the prefix of models does not begin with `global.`.
    #[serde(default = "one")]
    pub(crate) regional_prices: f64,
}

/// How a token is made if there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Login {
    /// From AWS credentials.
    Aws,
    /// By Google.
    Google,
}

/// In which header the key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KeyHeader {
    /// `x-api-key`.
    XApiKey,
    /// `authorization: Bearer`.
    Bearer,
}

/// A part of an address or of a header that depends on the user: a region, a project and so on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaceFacts {
    /// Its name, which is also its key in a table.
    pub(crate) name: String,
    /// The variables that can contain it.
    pub(crate) variables: Vec<String>,
    /// Its value if nothing else is set.
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
    /// Returns what is known about a kind.
    pub(crate) fn of(kind: ProviderKind) -> &'static Self {
        let found = PRESETS.iter().find(|preset| preset.kind == kind.name());
        found.expect("a test checks that each kind has a preset")
    }

    /// Returns whether providers of this kind have the tiers of the Claude API.
    pub(crate) fn of_tiers(kind: ProviderKind) -> bool {
        Self::of(kind).tiers
    }

    /// Returns what providers of this kind can do.
    pub(crate) fn features(&self) -> ProviderFeatures {
        let mut features = ProviderFeatures::ALL;
        for name in &self.lacks {
            *features.get_mut(name).expect("a test checks the names of features") = false;
        }
        features
    }

    /// Returns whether one of these texts contains a place. A place that no text contains need not be set.
    pub(crate) fn needs(place: &PlaceFacts, texts: &[&str]) -> bool {
        texts.iter().any(|text| text.contains(&placeholder(&place.name)))
    }
}

/// Returns the text that stands for a place.
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
