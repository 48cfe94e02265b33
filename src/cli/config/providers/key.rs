//! Finds the source of a provider's key. This module does not read the key itself; the key is read when it is needed.

use super::WAYS_OF_API;
use super::known::Found;
use super::places::Places;
use crate::catalog::{Login, Preset};
use crate::cli::args::groups::KeyArgs;
use crate::cli::config::credential::KeySource;
use crate::cli::config::world::World;
use crate::domain::ProviderKind;

/// Returns the source of the provider's key. If the provider is the first provider, `flags` are the flags of this call;
/// otherwise, `flags` are empty. If the provider is the default provider, `files` contains the settings of the
/// configuration files; otherwise, `files` is empty.
pub(super) fn source(
    found: Found<'_>,
    preset: &Preset,
    places: &Places,
    (flags, files): (&KeyArgs, &KeyArgs),
    world: &World,
) -> KeySource {
    if flags.is_set() {
        return KeySource::find(flags, flags, world);
    }
    if let Some(own) = found.table.and_then(|table| table.key.clone()) {
        return match own {
            KeySource::Variable(name) if !world.has(&name) => KeySource::Missing,
            own => own,
        };
    }
    if matches!(found.kind, ProviderKind::Anthropic | ProviderKind::Messages) {
        return KeySource::find(&KeyArgs::default(), files, world);
    }
    let variable = preset.key_variables.iter().find(|name| world.has(name));
    match (variable, preset.login, places.get("region")) {
        (Some(name), ..) => KeySource::Variable(name.clone()),
        (None, Some(Login::Aws), Some(region)) => KeySource::Aws { region: region.to_owned() },
        (None, Some(Login::Google), _) => KeySource::Google,
        (None, Some(Login::Aws), None) | (None, None, _) => KeySource::Missing,
    }
}

/// Returns the ways to give a key to this provider, in words.
pub(super) fn ways(found: Found<'_>, preset: &Preset, is_first: bool) -> String {
    if found.name == ProviderKind::Anthropic.name() && found.table.is_none_or(|table| table.key.is_none()) {
        return WAYS_OF_API.to_owned();
    }
    let mut ways = Vec::new();
    match found.table.and_then(|table| table.key.as_ref()) {
        Some(KeySource::Variable(name)) => ways.push(format!("set {name}, which [providers.{}] names", found.name)),
        _ if preset.key_variables.is_empty() => {}
        _ => ways.push(format!("set {}", preset.key_variables.join(" or "))),
    }
    match preset.login {
        Some(Login::Aws) => ways.push(
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or log in with the aws command, and set AWS_REGION"
                .to_owned(),
        ),
        Some(Login::Google) => ways.push("log in with gcloud auth login".to_owned()),
        None => {}
    }
    ways.push(format!(
        "give api-key-env, api-key-file or api-key-cmd in [providers.{}] of your configuration file",
        found.name
    ));
    if is_first {
        ways.push("use --api-key-file or --api-key-cmd".to_owned());
    }
    ways.join("; or ")
}
