//! The providers that a setting can name: the presets, and the tables of the user.

use std::sync::Arc;

use anyhow::{Result, bail};

use super::table::ProviderTable;
use crate::cli::config::credential::KeySource;
use crate::cli::message::short;
use crate::domain::ProviderKind;
use crate::source::nearest;

/// The providers that a setting can name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'t> {
    tables: &'t [ProviderTable],
}

/// A provider that was found by its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'t> {
    /// Its name.
    pub(crate) name: &'t str,
    /// Its kind.
    pub(crate) kind: ProviderKind,
    /// The table of the provider; `None` for a preset that no table changes.
    pub(crate) table: Option<&'t ProviderTable>,
}

impl<'t> Known<'t> {
    /// Returns the known providers: the presets and the providers in `tables`.
    pub(crate) fn new(tables: &'t [ProviderTable]) -> Self {
        Self { tables }
    }

    /// Returns all providers: first the presets, and then the other tables, sorted by name.
    pub(crate) fn all(&self) -> Vec<Found<'t>> {
        let presets = ProviderKind::ALL.map(|kind| self.get(kind.name()));
        let own = self.tables.iter().filter(|table| ProviderKind::parse(&table.name).is_none());
        presets.into_iter().flatten().chain(own.map(of_table)).collect()
    }

    /// Returns the names of the variables that contain the keys of providers, according to their tables.
    pub(super) fn key_variables(&self) -> Arc<[String]> {
        let name = |table: &ProviderTable| match &table.key {
            Some(KeySource::Variable(name)) => Some(name.clone()),
            _ => None,
        };
        self.tables.iter().filter_map(name).collect()
    }

    /// Returns the provider with this name. In messages, `from` is the setting that names the provider.
    ///
    /// # Errors
    /// Fails if no provider has this name. The message names all providers.
    pub(crate) fn find(&self, name: &str, from: &str) -> Result<Found<'t>> {
        if let Some(found) = self.get(name) {
            return Ok(found);
        }
        let all = self.all();
        let names: Vec<&str> = all.iter().map(|found| found.name).collect();
        let meant = nearest(name, names.iter().copied()).map(|name| format!("; did you mean {name}?"));
        bail!(
            "{from}: there is no provider {}; the providers are {}, and each [providers.NAME] of your configuration \
             file{}",
            short(name),
            names.join(", "),
            meant.unwrap_or_default()
        )
    }

    fn get(&self, name: &str) -> Option<Found<'t>> {
        match self.tables.iter().find(|table| table.name == name) {
            Some(table) => Some(of_table(table)),
            None => ProviderKind::parse(name).map(|kind| Found { name: kind.name(), kind, table: None }),
        }
    }
}

fn of_table(table: &ProviderTable) -> Found<'_> {
    Found { name: &table.name, kind: table.kind, table: Some(table) }
}
