//! Lists all providers with their settings, for the command `providers`.

use anyhow::Result;

use super::known::Known;
use super::resolve::{Flags, resolved};
use super::{ProviderConfig, chain};
use crate::catalog::Preset;
use crate::cli::args::Settings;
use crate::cli::config::layers::Layers;
use crate::cli::config::world::World;
use crate::domain::ProviderKind;

/// All providers that a setting can name.
pub(crate) struct Listed {
    /// The providers: first the presets, and then the tables with other names.
    pub(crate) providers: Vec<ListedProvider>,
    /// The warnings to print about the settings.
    pub(crate) warnings: Vec<String>,
}

/// A provider that a setting can name.
pub(crate) struct ListedProvider {
    /// Its name.
    pub(crate) name: String,
    /// Its kind.
    pub(crate) kind: ProviderKind,
    /// The title of the provider's kind, for people.
    pub(crate) title: &'static str,
    /// The address in the preset. The address contains names in braces in place of the region, the project and similar
    /// values.
    pub(crate) address: Option<&'static str>,
    /// The place of the provider's table, as `file:line`; `None` without a table.
    pub(crate) table: Option<String>,
    /// The position of the provider in the chain: 0 for the first provider, 1 for its first fallback. `None` if the
    /// settings do not use the provider.
    pub(crate) order: Option<usize>,
    /// The settings of the provider, or the reason why they can't be used.
    pub(crate) settings: Result<ProviderConfig, String>,
}

impl Listed {
    /// Returns all providers.
    ///
    /// # Errors
    /// Fails if a configuration file or a variable can't be read, or if the settings name a provider that does not
    /// exist.
    pub(crate) fn read(flags: Settings, world: &World) -> Result<Self> {
        let Layers { named, merged, lower, providers: tables, mut warnings, .. } =
            Layers::read(flags, Settings::default(), world)?;
        let known = Known::new(&tables);
        let chain = chain::names(&merged);
        for (at, name) in chain.iter().enumerate() {
            known.find(name, if at == 0 { "--provider" } else { "--fallback" })?;
        }
        let mut providers = Vec::new();
        for found in known.all() {
            let order = chain.iter().position(|name| *name == found.name);
            let flags = Flags { named: &named, merged: &merged, files: &lower, is_first: order == Some(0) };
            let preset = Preset::of(found.kind);
            let settings = resolved(found, flags, world).map(|(config, more)| {
                warnings.extend(more);
                config
            });
            providers.push(ListedProvider {
                name: found.name.to_owned(),
                kind: found.kind,
                title: &preset.title,
                address: preset.address.as_deref(),
                table: found.table.map(|table| table.at.clone()),
                order,
                settings: settings.map_err(|error| format!("{error:#}")),
            });
        }
        Ok(Self { providers, warnings })
    }
}
