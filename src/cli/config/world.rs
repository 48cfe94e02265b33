//! What surrounds the program: variables, folders, terminals. Injected, so that tests need none of the process's own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The largest file that a setting may name; a template or certificate is far below, `/dev/zero` is not.
pub(super) const MAX_FILE_BYTES: u64 = 16 << 20;

/// The surroundings of one call of the program.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Environment variables.
    pub variables: BTreeMap<OsString, OsString>,
    /// The folder that relative paths start from; empty for the process's own.
    pub working_folder: PathBuf,
    /// Whether standard input is a terminal, so that nobody pipes.
    pub stdin_is_terminal: bool,
    /// Whether standard error is a terminal.
    pub stderr_is_terminal: bool,
}

impl World {
    /// Returns the surroundings of this process.
    pub fn here() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            working_folder: PathBuf::new(),
            stdin_is_terminal: io::stdin().is_terminal(),
            stderr_is_terminal: io::stderr().is_terminal(),
        }
    }

    /// Returns a variable that is set and not empty.
    ///
    /// # Errors
    /// The variable is not UTF-8; its value is not shown.
    pub fn variable(&self, name: &str) -> Result<Option<&str>> {
        let Some(value) = self.variables.get(std::ffi::OsStr::new(name)) else { return Ok(None) };
        let text = value.to_str().with_context(|| format!("the variable {name} is not UTF-8"))?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// Returns the folder of the user's configuration: `XDG_CONFIG_HOME` or `~/.config`, on Windows `APPDATA`.
    pub fn config_folder(&self) -> Option<PathBuf> {
        let folder = |name: &str| {
            let value = self.variables.get(std::ffi::OsStr::new(name)).filter(|value| !value.is_empty());
            value.map(PathBuf::from).filter(|path| path.is_absolute())
        };
        let base = if cfg!(windows) {
            folder("APPDATA")
        } else {
            folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|home| home.join(".config")))
        };
        base.map(|base| base.join("claude-batch"))
    }

    /// Returns whether colours may be used on standard error: on a terminal that knows them, unless `NO_COLOR` is set.
    pub fn is_colored(&self) -> bool {
        let is_set = |name: &str| self.variables.get(std::ffi::OsStr::new(name)).is_some_and(|value| !value.is_empty());
        let is_dumb = self.variables.get(std::ffi::OsStr::new("TERM")).is_some_and(|term| term == "dumb");
        self.stderr_is_terminal && !is_set("NO_COLOR") && !is_dumb
    }

    /// Returns a path as it can be opened.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.working_folder.join(path)
    }

    /// Returns the content of a file that a setting names.
    ///
    /// # Errors
    /// The file can't be read or is larger than any setting's file should be.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = File::open(self.resolve(path))?;
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            bail!("the file is larger than {} MiB", MAX_FILE_BYTES >> 20);
        }
        Ok(bytes)
    }

    /// Returns the files that a name means: itself, or what a pattern in its last part matches, sorted.
    ///
    /// # Errors
    /// The name is a pattern and nothing matches.
    pub fn expand(&self, path: &Path) -> Result<Vec<PathBuf>> {
        let pattern = path.file_name().and_then(|name| name.to_str()).filter(|name| name.contains(['*', '?']));
        let Some(pattern) = pattern.filter(|_| !self.resolve(path).exists()) else {
            return Ok(vec![path.to_owned()]);
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        let searched = if self.resolve(folder).as_os_str().is_empty() { ".".into() } else { self.resolve(folder) };
        let entries = std::fs::read_dir(searched).with_context(|| format!("can't search {}", path.display()))?;
        let mut found = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            if name.to_str().is_some_and(|name| !name.starts_with('.') && matches(pattern.as_bytes(), name.as_bytes()))
            {
                found.push(folder.join(name));
            }
        }
        found.sort();
        if found.is_empty() {
            bail!("no file matches {}", path.display());
        }
        Ok(found)
    }
}

/// Returns whether a name fits a pattern of `*` (any run) and `?` (any byte), in linear space and quadratic time.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut pos) = (0, 0);
    // Where to go on when the run of the last `*` must take one byte more.
    let mut retry: Option<(usize, usize)> = None;
    while pos < name.len() {
        match (pattern.get(at), retry) {
            (Some(b'*'), _) => {
                retry = Some((at + 1, pos));
                at += 1;
            }
            (Some(byte), _) if *byte == b'?' || *byte == name[pos] => {
                at += 1;
                pos += 1;
            }
            (_, Some((after, start))) => {
                retry = Some((after, start + 1));
                at = after;
                pos = start + 1;
            }
            (_, None) => return false,
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_runs_and_single_bytes() {
        let cases = [("*.jsonl", "a.jsonl"), ("a?c*", "abc"), ("*", ""), ("*a*b", "xaybab"), ("a**", "a")];
        assert!(cases.iter().all(|(pattern, name)| matches(pattern.as_bytes(), name.as_bytes())));

        let others = [("*.jsonl", "a.csv"), ("a?c", "ac"), ("", "a"), ("*ab", "aba")];
        assert!(others.iter().all(|(pattern, name)| !matches(pattern.as_bytes(), name.as_bytes())));
    }
}
