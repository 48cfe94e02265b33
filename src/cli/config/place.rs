//! A place in a configuration file: which settings are allowed there, and how messages name the place.

use std::path::Path;

use anyhow::{Result, bail};
use toml::Spanned;

use super::folder::{self, ABOUT_THE_KEY};
use super::trust::Trust;
use crate::cli::args::values::Text;

/// The prefix of the environment variables that set settings.
pub(super) const PREFIX: &str = "CLAUDE_BATCH_";

/// The keys whose values are paths. A relative path starts in the folder of the configuration file.
const PATHS: [&str; 6] = ["prices", "simulate-faults", "simulate-answers", "ca-file", "api-key-file", "reuse"];

/// The keys whose values can be `@` followed by a path.
const TEXTS: [&str; 2] = ["template", "system"];

/// Returns the name of the environment variable for a setting.
pub(super) fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.replace('-', "_").to_uppercase())
}

/// A flag.
pub(super) struct Flag {
    pub(super) name: String,
    /// Whether the flag exists only for its error message: it rejects every value and says why.
    pub(super) is_hidden: bool,
}

/// A configuration file that is being read.
pub(super) struct Place<'a> {
    pub(super) shown: String,
    pub(super) text: &'a str,
    pub(super) folder: &'a Path,
    pub(super) trust: Trust,
    /// A text that says which other users may have written the file.
    pub(super) writers: Option<String>,
    /// Whether messages must not show the values in the file. The values are not shown if the file is a link in the
    /// working folder, because a link can lead to any file.
    pub(super) hides_values: bool,
}

impl Place<'_> {
    /// Returns the place of a key as `file:line`.
    pub(super) fn at<T>(&self, key: &Spanned<T>) -> String {
        format!("{}:{}", self.shown, line_of(self.text, key.span().start))
    }

    /// Fails if the setting is not allowed in the configuration file.
    pub(super) fn judge<T>(&self, key: &Spanned<T>, flag: &Flag) -> Result<()> {
        let name = &flag.name;
        if self.trust == Trust::Folder && !folder::may_set(name) && !flag.is_hidden {
            bail!(
                "{}: {name} can't be set by a file in the working folder; use --{name}, {}, or the file in your own \
                 configuration folder",
                self.at(key),
                variable(name)
            );
        }
        match &self.writers {
            Some(writers) if ABOUT_THE_KEY.contains(&name.as_str()) => {
                bail!(
                    "{}: {name} is not taken from a file that may not be yours: {writers} (--trust-owner treats it as yours)",
                    self.at(key)
                )
            }
            _ => Ok(()),
        }
    }

    /// Marks the path if `text` names a file. The program then accepts the file only if it is inside the working
    /// folder.
    pub(super) fn confine<T>(&self, key: &Spanned<T>, text: &mut Option<Text>) {
        if let Some(Text::File(path)) = text {
            *text = Some(Text::Inside { path: std::mem::take(path), named_at: self.at(key) });
        }
    }

    /// Returns a value of the file. A relative path in the value is joined to the folder of the file.
    pub(super) fn rebase(&self, name: &str, value: String) -> String {
        let (mark, path) = match value.strip_prefix('@') {
            Some(path) if TEXTS.contains(&name) && !path.starts_with('@') => ("@", path),
            Some(path) if name == "schema" => ("", path),
            None if name == "schema" && !value.trim_start().starts_with('{') => ("", value.as_str()),
            _ if PATHS.contains(&name) => ("", value.as_str()),
            _ => return value,
        };
        format!("{mark}{}", self.folder.join(path).display())
    }
}

/// Returns the line number of an offset; the first line has number 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
