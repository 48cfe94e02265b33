//! What one configuration file sets.

use std::collections::BTreeMap;

use crate::cli::args::Settings;
use crate::cli::args::layered::Layered;

/// Whose word a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// The user's, who named it.
    Named,
    /// The user's, by where it lies.
    User,
    /// Whoever made the working folder.
    Folder,
}

/// What one file sets.
pub(super) struct FileLayer {
    pub(super) trust: Trust,
    pub(super) shown: String,
    pub(super) plain: Table,
    pub(super) profiles: BTreeMap<String, Table>,
}

impl FileLayer {
    /// Returns what is said of a file that sets something.
    pub(super) fn set(&self, profile: Option<&str>) -> Option<String> {
        let profile = profile.and_then(|name| self.profiles.get(name));
        let mut names: Vec<_> = profile.into_iter().chain([&self.plain]).flat_map(|table| &table.names).collect();
        names.sort();
        names.dedup();
        let names = names.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        (!names.is_empty()).then(|| format!("{} in the working folder sets {names}", self.shown))
    }
}

/// Settings, and which ones they are.
#[derive(Default)]
pub(super) struct Table {
    pub(super) settings: Settings,
    names: Vec<String>,
}

impl Table {
    pub(super) fn add(&mut self, name: &str, settings: Settings) {
        self.settings = settings.over(std::mem::take(&mut self.settings));
        self.names.push(name.to_owned());
    }
}
