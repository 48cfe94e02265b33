//! The settings of one configuration file.

use std::collections::BTreeMap;

use super::providers::table::ProviderTable;
use super::trust::Trust;
use crate::cli::args::Settings;
use crate::cli::args::layered::Layered;

/// The settings of one file, with its profiles and its tables of providers.
pub(super) struct FileLayer {
    pub(super) trust: Trust,
    pub(super) shown: String,
    pub(super) plain: Table,
    pub(super) profiles: BTreeMap<String, Table>,
    pub(super) providers: Vec<ProviderTable>,
}

impl FileLayer {
    /// Returns the note that says which settings a file in the working folder sets; `None` if the file sets nothing.
    pub(super) fn set(&self, profile: Option<&str>) -> Option<String> {
        let profile = profile.and_then(|name| self.profiles.get(name));
        let mut names: Vec<_> = profile.into_iter().chain([&self.plain]).flat_map(|table| &table.names).collect();
        names.sort();
        names.dedup();
        let names = names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        (!names.is_empty()).then(|| format!("{} in the working folder sets {names}", self.shown))
    }
}

/// The names and values of settings, either in one profile or outside of all profiles.
#[derive(Default)]
pub(super) struct Table {
    /// The place of the profile's heading, as `file:line`; empty for the keys outside of profiles.
    pub(super) at: String,
    pub(super) settings: Settings,
    names: Vec<String>,
}

impl Table {
    /// Returns an empty profile whose heading is at the place `at`.
    pub(super) fn of_profile(at: String) -> Self {
        Self { at, ..Self::default() }
    }

    pub(super) fn add(&mut self, name: &str, settings: Settings) {
        self.settings = settings.over(std::mem::take(&mut self.settings));
        self.names.push(name.to_owned());
    }
}
