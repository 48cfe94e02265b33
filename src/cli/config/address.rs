//! The server's address and who may set it. The transport checks the address itself.
//!
//! Key and prompts are sent to this address, so only the user can set it. A password in an address is never shown.

use anyhow::{Context, Result};

use super::world::World;
use crate::cli::args::Settings;
use crate::transport::{self, parse_base_url};

/// The address of a server other than the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    /// The address.
    pub url: transport::BaseUrl,
    /// Who set it.
    pub source: BaseUrlSource,
}

/// Who set the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseUrlSource {
    /// `--base-url` or `CLAUDE_BATCH_BASE_URL`.
    Named,
    /// `ANTHROPIC_BASE_URL`.
    Environment,
    /// The user's configuration file.
    File,
}

impl BaseUrlSource {
    /// Returns the name shown to people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Named => "--base-url",
            Self::Environment => "ANTHROPIC_BASE_URL",
            Self::File => "base-url in your configuration file",
        }
    }
}

impl BaseUrl {
    /// Returns the address, and a warning to print. A run with the simulator has no address.
    ///
    /// # Errors
    /// The address is malformed, has parts that can't be used, or uses plain `http` for another machine.
    pub(super) fn find(
        named: &Settings,
        merged: &Settings,
        simulate: bool,
        world: &World,
    ) -> Result<(Option<Self>, Option<String>)> {
        if simulate {
            return Ok((None, None));
        }
        let (given, source) = match (&named.connection.base_url, world.variable("ANTHROPIC_BASE_URL")?) {
            (Some(url), _) => (url.as_str(), BaseUrlSource::Named),
            (None, Some(url)) => (url, BaseUrlSource::Environment),
            (None, None) => match &merged.connection.base_url {
                Some(url) => (url.as_str(), BaseUrlSource::File),
                None => return Ok((None, None)),
            },
        };
        let allow_http = merged.connection.allow_http.unwrap_or(false);
        let (url, warning) = checked(given, source.name(), allow_http)?;
        Ok((Some(Self { url, source }), warning))
    }
}

/// Returns the address, and a warning to print.
fn checked(given: &str, from: &str, allow_http: bool) -> Result<(transport::BaseUrl, Option<String>)> {
    let url = parse_base_url(given, allow_http).with_context(|| from.to_owned())?;
    let has_version = given.trim().trim_end_matches('/').ends_with("/v1");
    Ok((url, has_version.then(|| format!("{from}: /v1 at the end is not needed and was removed; the program adds it"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_at_the_end_is_left_out_with_a_note() {
        let plain = |url| {
            let (url, warning) = checked(url, "--base-url", false).expect("the address is good");
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
            assert!(checked(wrong, "--base-url", false).is_err(), "{wrong}");
        }
        assert!(checked("http://gateway.example", "--base-url", true).is_ok());
    }

    #[test]
    fn a_password_in_an_address_is_never_shown() {
        let error = checked("https://me:hunter2@x.example", "--base-url", false).expect_err("it has a password");

        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
