//! The key: where it comes from, and how it is kept from showing.
//!
//! No message holds any part of it, not even when it is malformed. A command that prints it is split at blanks and run
//! without a shell: a configuration value is no program.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use secrecy::SecretString;

use super::{World, names_a_key};
use crate::cli::args::groups::KeyArgs;
use crate::cli::shell;

const API_KEY: &str = "ANTHROPIC_API_KEY";
const AUTH_TOKEN: &str = "ANTHROPIC_AUTH_TOKEN";

/// Where the key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file.
    File(PathBuf),
    /// A command that prints it.
    Command(String),
    /// `ANTHROPIC_API_KEY`.
    ApiKeyVariable,
    /// `ANTHROPIC_AUTH_TOKEN`.
    AuthTokenVariable,
    /// Nowhere.
    Missing,
}

/// A key and how it is sent.
#[derive(Clone, Debug)]
pub enum Credential {
    /// As `x-api-key`.
    ApiKey(SecretString),
    /// As `authorization: Bearer`.
    Bearer(SecretString),
}

impl KeySource {
    /// Returns where the key is: where this call says, else the environment, else where the configuration says.
    pub(super) fn find(named: &KeyArgs, merged: &KeyArgs, world: &World) -> Self {
        let is_set =
            |name: &str| world.variables.get(std::ffi::OsStr::new(name)).is_some_and(|value| !value.is_empty());
        let variable = || match (is_set(API_KEY), is_set(AUTH_TOKEN)) {
            (true, _) => Some(Self::ApiKeyVariable),
            (false, true) => Some(Self::AuthTokenVariable),
            (false, false) => None,
        };
        let source = if names_a_key(named) { Self::set(named) } else { variable().or_else(|| Self::set(merged)) };
        source.unwrap_or(Self::Missing)
    }

    fn set(key: &KeyArgs) -> Option<Self> {
        let file = key.api_key_file.clone().map(Self::File);
        file.or_else(|| key.api_key_cmd.clone().map(Self::Command))
    }
}

/// Returns the key, and what should be said about it. A rehearsal needs none: do not call this for one.
///
/// # Errors
/// There is no key (the message names both ways out), its file or command fails, or it is no key; its text is never
/// shown.
pub fn credential(source: &KeySource, world: &World) -> Result<(Credential, Vec<String>)> {
    match source {
        KeySource::ApiKeyVariable => {
            let both = world.variable(AUTH_TOKEN)?.map(|_| format!("{API_KEY} is used; {AUTH_TOKEN} is set too"));
            let key = checked(world.variable(API_KEY)?.unwrap_or_default(), API_KEY)?;
            Ok((Credential::ApiKey(key), both.into_iter().collect()))
        }
        KeySource::AuthTokenVariable => {
            let token = checked(world.variable(AUTH_TOKEN)?.unwrap_or_default(), AUTH_TOKEN)?;
            Ok((Credential::Bearer(token), Vec::new()))
        }
        KeySource::File(path) => of_file(path, world),
        KeySource::Command(command) => Ok((Credential::ApiKey(of_command(command, world)?), Vec::new())),
        KeySource::Missing => Err(anyhow!(
            "there is no API key: set {API_KEY} (or use --api-key-file or --api-key-cmd), or add --simulate to rehearse \
             without one"
        )),
    }
}

fn of_file(path: &Path, world: &World) -> Result<(Credential, Vec<String>)> {
    let bytes = world.read(path).with_context(|| format!("--api-key-file: can't read {}", path.display()))?;
    let text = String::from_utf8(bytes).map_err(|_| anyhow!("the key in {} is not text", path.display()))?;
    let key = checked(&text, &path.display().to_string())?;
    let warning = others_can_read(&world.resolve(path))
        .then(|| format!("other users can read the key in {}; run {}", path.display(), make_private(path)));
    Ok((Credential::ApiKey(key), warning.into_iter().collect()))
}

fn make_private(path: &Path) -> String {
    format!("chmod 600 {}", shell::quoted(shell::file(path)))
}

#[cfg(unix)]
fn others_can_read(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o044 != 0)
}

#[cfg(not(unix))]
fn others_can_read(_path: &Path) -> bool {
    false
}

fn of_command(command: &str, world: &World) -> Result<SecretString> {
    let mut words = command.split_whitespace();
    let Some(program) = words.next() else { bail!("--api-key-cmd is empty") };
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).stderr(Stdio::inherit());
    if !world.working_folder.as_os_str().is_empty() {
        command.current_dir(&world.working_folder);
    }
    let output = command.output().with_context(|| format!("--api-key-cmd: can't run {program:?}"))?;
    if !output.status.success() {
        bail!("--api-key-cmd: {program:?} failed ({})", output.status);
    }
    let text = String::from_utf8(output.stdout).map_err(|_| anyhow!("--api-key-cmd: {program:?} printed no text"))?;
    checked(&text, "what --api-key-cmd printed")
}

/// Returns a key without the line break at its end; `from` names its place in messages.
fn checked(text: &str, from: &str) -> Result<SecretString> {
    let key = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    if key.is_empty() {
        bail!("{from} is empty, where a key should be");
    }
    if let Some(at) = key.bytes().position(|byte| !byte.is_ascii_graphic()) {
        let what = match key.as_bytes()[at] {
            b'\n' | b'\r' => "a line break",
            b' ' | b'\t' => "a blank",
            byte if byte.is_ascii() => "a control character",
            _ => "a character that is not ASCII",
        };
        bail!("the key in {from} has {what} at position {}; copy it again", at + 1);
    }
    Ok(SecretString::from(key))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_line_break_at_the_end_is_no_part_of_the_key() {
        let key = checked("sk-ant-test\r\n", API_KEY).expect("it is a key");

        assert_eq!(key.expose_secret(), "sk-ant-test");
    }

    #[test]
    fn a_malformed_key_is_refused_without_being_shown() {
        for (text, what) in [
            ("sk-sec\nret", "a line break"),
            ("sk-sec ret", "a blank"),
            ("sk-sec\x1bret", "a control character"),
            ("sk-sec\u{2011}ret", "not ASCII"),
        ] {
            let message = checked(text, API_KEY).expect_err("it is malformed").to_string();

            assert!(
                message.contains(what) && message.contains("position 7") && !message.contains("sk-sec"),
                "{message}"
            );
        }
        assert!(checked(" \n", API_KEY).expect_err("it is empty").to_string().contains("is empty"));
    }

    #[test]
    fn no_debug_output_shows_a_key() {
        let credential = Credential::ApiKey(SecretString::from("sk-secret"));

        assert!(!format!("{credential:?}").contains("sk-secret"));
    }
}
