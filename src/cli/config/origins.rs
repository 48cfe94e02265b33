//! The origins of the values of settings: flags, variables, or lines of files. The command `config show` shows the
//! origins.
//!
//! Each value is kept only in a form that is safe to show: its secret parts are replaced first.

use crate::cli::shell::{self, HIDDEN, shown_value};
use crate::transport::parse_base_url;

/// The values in the layers below the flags, and where each value was set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    /// The values of all layers. The values of higher layers come first.
    pub(crate) entries: Vec<Entry>,
    /// The profiles of all files, in the order of the files.
    pub(crate) profiles: Vec<ProfilePlace>,
    /// The caps that the file in the working folder lowers below the user's values.
    pub(crate) lowered: Vec<&'static str>,
}

/// The value of a setting in one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The name of the setting, which is the long name of its flag.
    pub(crate) name: String,
    /// The value as the user would type it, without secrets. A flag that can be repeated can have several values.
    pub(crate) values: Vec<String>,
    /// The layer.
    pub(crate) origin: Origin,
}

/// The place where a value of a setting was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A flag that the user typed.
    Flag,
    /// An environment variable with this name.
    Variable(String),
    /// A configuration file.
    File {
        /// Its path.
        path: String,
        /// The line, counted from 1.
        line: usize,
        /// The profile that contains the key; `None` for a key outside of profiles.
        profile: Option<String>,
    },
}

/// A profile in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProfilePlace {
    /// Its name.
    pub(crate) name: String,
    /// The place of the profile's heading, as `file:line`.
    pub(crate) at: String,
}

impl Entry {
    /// Returns an entry whose values have no secret parts.
    pub(crate) fn new(name: &str, values: &[String], origin: Origin) -> Self {
        Self { name: name.to_owned(), values: values.iter().map(|value| without_secret(name, value)).collect(), origin }
    }

    /// Returns an entry with a placeholder, for a value that must not be shown at all.
    pub(super) fn hidden(name: &str, origin: Origin) -> Self {
        Self { name: name.to_owned(), values: vec![HIDDEN.to_owned()], origin }
    }
}

impl Origins {
    /// Sorts the values by layer: the environment, the chosen profile, the files. The values of other profiles are
    /// removed.
    pub(super) fn sort(&mut self, chosen: Option<&str>) {
        let rank = |entry: &Entry| match &entry.origin {
            Origin::Flag => Some(0),
            Origin::Variable(_) => Some(1),
            Origin::File { profile: Some(profile), .. } => (chosen == Some(profile.as_str())).then_some(2),
            Origin::File { profile: None, .. } => Some(3),
        };
        self.entries.retain(|entry| rank(entry).is_some());
        self.entries.sort_by_key(rank);
    }
}

/// Returns a value without its secret parts. The secret parts are addresses of notices, arguments of commands, the
/// values of headers, and server addresses that can't be parsed.
fn without_secret(name: &str, value: &str) -> String {
    match name {
        "header" => shown_value("--header", value.into()).to_string_lossy().into_owned(),
        "notify" => match value.strip_prefix("cmd:") {
            Some(command) => format!("cmd:{}", without_arguments(command)),
            None => shown_value("--notify", value.into()).to_string_lossy().into_owned(),
        },
        "api-key-cmd" => without_arguments(value),
        "base-url" => parse_base_url(value, true).map_or_else(|_| HIDDEN.to_owned(), |url| url.join("")),
        _ => value.to_owned(),
    }
}

/// Returns a command without its arguments. The first word of the command is also left out if it may be secret.
fn without_arguments(command: &str) -> String {
    match shell::program(command) {
        Some(program) if program == command.trim() => program.to_owned(),
        Some(program) => format!("{program} {HIDDEN}"),
        None => HIDDEN.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_parts_of_values_are_hidden() {
        for (name, value, shown) in [
            ("header", "x-team: s3cret", "x-team: [hidden]"),
            ("notify", "https://chat.example.invalid/s3cret", "[hidden]"),
            ("notify", "env:SLACK_URL", "env:SLACK_URL"),
            ("notify", "cmd:send --token s3cret", "cmd:send [hidden]"),
            ("api-key-cmd", "pass show s3cret", "pass [hidden]"),
            ("api-key-cmd", "print-key", "print-key"),
            ("api-key-cmd", "TOKEN=s3cret pass", "[hidden]"),
            ("api-key-cmd", "s3cret|x", "[hidden]"),
            ("notify", "cmd:TOKEN=s3cret send", "cmd:[hidden]"),
            ("base-url", "https://user:s3cret@gateway.example.invalid", "[hidden]"),
            ("base-url", "https://gateway.example.invalid/claude/", "https://gateway.example.invalid/claude"),
            ("tier", "2", "2"),
        ] {
            assert_eq!(Entry::new(name, &[value.to_owned()], Origin::Flag).values, [shown], "{name} {value}");
        }
    }

    #[test]
    fn the_chosen_profile_comes_before_plain_keys_and_other_profiles_are_left_out() {
        let of = |profile: Option<&str>, line| Entry {
            name: "tier".to_owned(),
            values: vec!["1".to_owned()],
            origin: Origin::File { path: "f".to_owned(), line, profile: profile.map(str::to_owned) },
        };
        let variable = Entry { origin: Origin::Variable("V".to_owned()), ..of(None, 0) };
        let entries = vec![of(None, 1), of(Some("day"), 2), of(Some("night"), 3), variable.clone()];
        let mut origins = Origins { entries, ..Origins::default() };

        origins.sort(Some("night"));

        assert_eq!(origins.entries, [variable, of(Some("night"), 3), of(None, 1)]);
    }
}
