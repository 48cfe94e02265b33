//! The address of the server, and who is allowed to set it. The module `transport` checks whether the address is valid.
//!
//! The key and the prompts are sent to the address of the server, so only the user can set this address. A password in
//! the address is never shown.

use anyhow::{Context, Result};

use crate::transport::{self, parse_base_url};

/// The address of a server other than the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    /// The address.
    pub url: transport::BaseUrl,
    /// The flag, file or variable that set the address.
    pub source: BaseUrlSource,
}

/// A flag, file or variable that can set the address of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseUrlSource {
    /// `--base-url` or `CLAUDE_BATCH_BASE_URL`.
    Named,
    /// `ANTHROPIC_BASE_URL`.
    Environment,
    /// The user's configuration file.
    File,
    /// The table of the provider in the user's configuration file.
    Table,
    /// A variable of the provider's platform.
    Platform,
    /// The preset of the provider: it has one address for everybody, or makes the address from a region or project.
    Preset,
}

impl BaseUrlSource {
    /// Returns the name that messages use for this source.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Named => "--base-url",
            Self::Environment => "ANTHROPIC_BASE_URL",
            Self::File => "base-url in your configuration file",
            Self::Table => "base-url in the provider's table in your configuration file",
            Self::Platform => "a variable of the provider's platform",
            Self::Preset => "the provider's own address",
        }
    }
}

impl BaseUrl {
    /// Returns the address, and a warning to print. In messages, `from` says where the address was set.
    ///
    /// # Errors
    /// Fails if the address is malformed, has parts that can't be used, or uses plain `http` for another machine.
    pub(super) fn checked(given: &str, from: &str, allow_http: bool) -> Result<(transport::BaseUrl, Option<String>)> {
        let url = parse_base_url(given, allow_http).with_context(|| from.to_owned())?;
        let has_version = given.trim().trim_end_matches('/').ends_with("/v1");
        let note = || format!("{from}: /v1 at the end is not needed and was removed; the program adds it");
        Ok((url, has_version.then(note)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_at_the_end_is_left_out_with_a_note() {
        let plain = |url| {
            let (url, warning) = BaseUrl::checked(url, "--base-url", false).expect("the address is good");
            (url.join(""), warning.is_some())
        };

        assert_eq!(plain("https://gateway.example/claude/"), ("https://gateway.example/claude".to_owned(), false));
        assert_eq!(plain("https://api.example/v1/"), ("https://api.example".to_owned(), true));
    }

    #[test]
    fn addresses_that_would_leak_or_fail_are_refused() {
        for wrong in [
            "http://gateway.example",
            "http://169.254.169.254",
            "http://127.0.0.1.evil.example",
            "http://localhost.evil.example",
            "ftp://x.example",
            "file:///etc/passwd",
            "gateway.example",
            "https://",
            "https://x.example?key=1",
            "https://x.example#a",
            "https://a b.example",
            "",
        ] {
            assert!(BaseUrl::checked(wrong, "--base-url", false).is_err(), "{wrong}");
        }
        assert!(BaseUrl::checked("http://gateway.example", "--base-url", true).is_ok());
    }

    #[test]
    fn a_password_in_an_address_is_never_shown() {
        let error =
            BaseUrl::checked("https://me:hunter2@x.example", "--base-url", false).expect_err("it has a password");

        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
