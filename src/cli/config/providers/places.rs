//! The *places* of a provider: its region, project, workspace and others. The address and the headers of the provider
//! contain its places.

use anyhow::{Result, bail};
use http::{HeaderName, HeaderValue};

use super::known::Found;
use crate::catalog::{PlaceFacts, Preset, placeholder};
use crate::cli::config::world::World;

/// The places of a provider that have a value.
pub(super) struct Places {
    /// The name and the value of each place.
    known: Vec<(&'static str, String)>,
}

impl Places {
    /// Returns the places that are set.
    ///
    /// # Errors
    /// Fails if a value contains characters that are not allowed. Such characters could make the address lead to
    /// another server.
    pub(super) fn find(found: Found<'_>, preset: &'static Preset, world: &World) -> Result<Self> {
        if let Some((name, (_, at))) = found.table.and_then(|table| {
            table.places.iter().find(|(name, _)| !preset.places.iter().any(|place| place.name == **name))
        }) {
            bail!("{at}: {name}: providers of the kind {} have no {name}", found.kind.name());
        }
        let mut known = Vec::new();
        for place in &preset.places {
            if let Some((value, from)) = value_of(place, found, world)? {
                check(&place.name, &value, &from)?;
                known.push((&*place.name, value));
            }
        }
        Ok(Self { known })
    }

    /// Returns the value of the place `name`; `None` if the place is not set.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.known.iter().find(|(own, _)| *own == name).map(|(_, value)| &**value)
    }

    /// In `text`, replaces each placeholder (the name of a place in braces) with the value of the place. Returns `None`
    /// if a place is not set.
    pub(super) fn fill(&self, text: &str) -> Option<String> {
        let filled =
            self.known.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&placeholder(name), value));
        (!filled.contains('{')).then_some(filled)
    }

    /// Returns the headers of the preset. If a place has no value, each header that contains this place is left out.
    pub(super) fn headers(&self, preset: &Preset) -> Vec<(HeaderName, HeaderValue)> {
        let header = |(name, text): (&String, &String)| {
            let value = HeaderValue::try_from(self.fill(text)?).ok()?;
            Some((HeaderName::try_from(name).ok()?, value))
        };
        preset.headers.iter().filter_map(header).collect()
    }

    /// Returns, in words, the places in `texts` that have no value.
    pub(super) fn missing(&self, found: Found<'_>, preset: &Preset, texts: &[&str]) -> Vec<String> {
        let is_missing = |place: &&PlaceFacts| Preset::needs(place, texts) && self.get(&place.name).is_none();
        preset.places.iter().filter(is_missing).map(|place| words(place, found.name)).collect()
    }
}

/// Returns a text that names a missing place (such as the region) and says how to set the place.
fn words(place: &PlaceFacts, provider: &str) -> String {
    format!(
        "a {}: set {}, or {} in [providers.{provider}] of your configuration file",
        place.name,
        place.variables.join(" or "),
        place.name
    )
}

/// Returns the value of a place, and the table or variable that sets it.
fn value_of(place: &PlaceFacts, found: Found<'_>, world: &World) -> Result<Option<(String, String)>> {
    if let Some((value, at)) = found.table.and_then(|table| table.places.get(&place.name)) {
        return Ok(Some((value.clone(), format!("{at}: {}", place.name))));
    }
    for variable in &place.variables {
        if let Some(value) = world.variable(variable)? {
            return Ok(Some((value.trim().to_owned(), variable.clone())));
        }
    }
    Ok(place.default.clone().map(|value| (value, place.name.clone())))
}

/// Checks that a value contains only characters that are allowed in one part of a host name or path.
fn check(place: &str, value: &str, from: &str) -> Result<()> {
    let is_of_host = matches!(place, "region" | "resource");
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || (!is_of_host && b"_.:~".contains(&byte));
    let is_dots = value.bytes().all(|byte| byte == b'.');
    if is_dots || value.starts_with('-') || !value.bytes().all(is_fit) {
        let others = if is_of_host { "letters, digits and -" } else { "letters, digits, -, _, . and :" };
        bail!("{from}: {value:?} can't be a {place}, which consists of {others}");
    }
    Ok(())
}
