//! The environment of the program: variables, folders, terminals. Tests use a made-up environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use jiff::ZonedDateTime;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// The highest number of bytes in a file whose path is in a setting. Templates and certificates are far smaller than
/// this limit. The limit is needed because a file such as `/dev/zero` has no end.
pub(super) const MAX_FILE_BYTES: u64 = 16 << 20;

/// The variable with the secret that signs notices.
pub(crate) const NOTIFY_SECRET: &str = "CLAUDE_BATCH_NOTIFY_SECRET";

/// The variables that contain secrets: keys, and headers and addresses that are as secret as a key.
pub(crate) const SECRET_VARIABLES: [&str; 15] = [
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_AWS_API_KEY",
    "ANTHROPIC_FOUNDRY_API_KEY",
    "AWS_BEARER_TOKEN_BEDROCK",
    "LITELLM_PROXY_API_KEY",
    "OPENROUTER_API_KEY",
    "CLAUDE_BATCH_HEADER",
    "CLAUDE_BATCH_NOTIFY",
    NOTIFY_SECRET,
    // `CLAUDE_BATCH_API_KEY` and the variables after it in this list have no effect, but a user may set them by
    // mistake.
    "CLAUDE_BATCH_API_KEY",
    "CLAUDE_BATCH_APIKEY",
    "CLAUDE_BATCH_AUTH_TOKEN",
    "CLAUDE_BATCH_KEY",
    "CLAUDE_BATCH_TOKEN",
];

/// The environment of the program: variables, folders and terminals.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Environment variables, except those in [`World::secrets`].
    pub variables: BTreeMap<OsString, OsString>,
    /// The secret variables that are set. Debug output does not show the secret variables. When a secret variable is
    /// dropped, its memory is overwritten with zeros.
    pub secrets: BTreeMap<&'static str, SecretString>,
    /// The names of the variables that contain keys, according to the tables of providers. Programs that this program
    /// starts do not get the variables with keys.
    pub key_variables: Vec<String>,
    /// The folder from which relative paths start. An empty path means the working folder of the process.
    pub working_folder: PathBuf,
    /// Whether standard input is a terminal. Rows are not read from a terminal.
    pub stdin_is_terminal: bool,
    /// Whether standard error is a terminal.
    pub stderr_is_terminal: bool,
    /// The moment when the program was called. A deadline such as `6h` is counted from this moment, even if the
    /// settings are read again.
    pub now: ZonedDateTime,
}

impl World {
    /// Returns the environment of this process.
    pub(crate) fn here() -> Self {
        let mut variables: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        Self {
            secrets: secrets(&mut variables),
            variables,
            key_variables: Vec::new(),
            working_folder: PathBuf::new(),
            stdin_is_terminal: io::stdin().is_terminal(),
            stderr_is_terminal: io::stderr().is_terminal(),
            now: ZonedDateTime::now(),
        }
    }

    /// Returns whether a variable is set and not empty.
    pub(crate) fn has(&self, name: &str) -> bool {
        let secret = self.secrets.get(name).is_some_and(|value| !value.expose_secret().is_empty());
        secret || self.variables.get(OsStr::new(name)).is_some_and(|value| !value.is_empty())
    }

    /// Returns the value of a variable; `None` if the variable is unset or empty.
    ///
    /// # Errors
    /// Fails if the value of the variable is not UTF-8. The error message does not show the value.
    pub(crate) fn variable(&self, name: &str) -> Result<Option<&str>> {
        if let Some(value) = self.secrets.get(name) {
            return Ok(Some(value.expose_secret()).filter(|text| !text.is_empty()));
        }
        let Some(value) = self.variables.get(OsStr::new(name)) else { return Ok(None) };
        let text = value.to_str().with_context(|| format!("the variable {name} is not UTF-8"))?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// Returns this program's folder in the user's configuration: in `APPDATA` on Windows; elsewhere in
    /// `XDG_CONFIG_HOME` or `~/.config`.
    pub(crate) fn config_folder(&self) -> Option<PathBuf> {
        let folder = |name: &str| {
            let value = self.variables.get(OsStr::new(name)).filter(|value| !value.is_empty());
            value.map(PathBuf::from).filter(|path| path.is_absolute())
        };
        let base = if cfg!(windows) {
            folder("APPDATA")
        } else {
            folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|home| home.join(".config")))
        };
        base.map(|base| base.join("claude-batch"))
    }

    /// Returns whether colours are allowed on standard error: standard error must be a terminal that supports colours,
    /// and `NO_COLOR` must not be set.
    pub fn is_colored(&self) -> bool {
        let is_dumb = self.variables.get(OsStr::new("TERM")).is_some_and(|term| term == "dumb");
        self.stderr_is_terminal && !self.has("NO_COLOR") && !is_dumb
    }

    /// Returns whether standard error shows block characters. `TERM` must not be `dumb`, and the locale must not ask
    /// for ASCII. If no locale is set, as in most containers, block characters are shown, because today's terminals and
    /// logs use UTF-8.
    pub(crate) fn has_blocks(&self) -> bool {
        let value = |name: &str| self.variables.get(OsStr::new(name)).filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(value);
        value("TERM").is_none_or(|term| term != "dumb")
            && locale.is_none_or(|locale| locale != "C" && locale != "POSIX")
    }

    /// Resolves a path, so that it can be opened. Relative paths start in the working folder.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        self.working_folder.join(path)
    }

    /// Returns the content of a file whose path is in a setting.
    ///
    /// # Errors
    /// Fails if the file can't be read, or if it is too large.
    pub(crate) fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = File::open(self.resolve(path))?;
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            bail!("the file is larger than {} MiB", MAX_FILE_BYTES >> 20);
        }
        Ok(bytes)
    }
}

/// Removes the secret variables from `variables` and returns them. A value that is not UTF-8 can't be a key, so the
/// value stays in `variables`. When the value is read later, it causes an error.
fn secrets(variables: &mut BTreeMap<OsString, OsString>) -> BTreeMap<&'static str, SecretString> {
    let take = |name| {
        let (key, value) = variables.remove_entry(OsStr::new(name))?;
        match value.into_string() {
            Ok(text) => Some((name, SecretString::from(&**Zeroizing::new(text)))),
            Err(value) => {
                variables.insert(key, value);
                None
            }
        }
    };
    SECRET_VARIABLES.into_iter().filter_map(take).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_variables_are_kept_separately_and_never_shown() {
        let given = [("ANTHROPIC_API_KEY", "sk-secret"), ("CLAUDE_BATCH_HEADER", "a: secret"), ("HOME", "somewhere")];
        let mut variables = given.map(|(name, value)| (name.into(), value.into())).into();

        let secrets = secrets(&mut variables);
        let world = World { variables, secrets, ..World::default() };

        assert!(!format!("{world:?}").contains("secret\"") && !format!("{world:?}").contains("sk-"), "{world:?}");
        assert_eq!(world.variable("ANTHROPIC_API_KEY").ok().flatten(), Some("sk-secret"));
        assert!(world.has("CLAUDE_BATCH_HEADER") && world.has("HOME") && !world.has("ANTHROPIC_AUTH_TOKEN"));
    }
}
