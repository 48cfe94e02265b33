//! The server's address: who may set it, and what it may be.
//!
//! Key and prompts go there, so it is taken from the user alone. A password in an address is never shown.

use anyhow::{Result, bail};

use super::World;
use crate::cli::args::Settings;

/// Another server than the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    /// The address without a slash at its end and without `/v1`.
    pub url: String,
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
    pub fn name(self) -> &'static str {
        match self {
            Self::Named => "--base-url",
            Self::Environment => "ANTHROPIC_BASE_URL",
            Self::File => "base-url in your configuration file",
        }
    }
}

impl BaseUrl {
    /// Returns the address that is meant, and what should be said about it. A rehearsal has none.
    ///
    /// # Errors
    /// The address is malformed, has parts that can't be used, or is plain `http` to another machine.
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

/// Returns the address in its plain form.
fn checked(given: &str, from: &str, allow_http: bool) -> Result<(String, Option<String>)> {
    let given = given.trim();
    // Before anything is shown: what stands before an @ may be a password.
    if given.split(['/', '?', '#']).any(|part| part.contains('@')) {
        bail!("{from}: an address can't hold a user or password; the key has its own settings");
    }
    if given.contains(['?', '#']) {
        bail!("{from}: {given:?} has a query or fragment; give only scheme, host, port and path");
    }
    let Ok(uri) = given.parse::<http::Uri>() else {
        bail!("{from}: {given:?} is no address, as in https://gateway.example");
    };
    let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host().filter(|host| !host.is_empty())) else {
        bail!("{from}: {given:?} is no address, as in https://gateway.example");
    };
    match scheme {
        "https" => {}
        "http" if allow_http || is_loopback(host) => {}
        "http" => bail!(
            "{from}: {given:?} would send key and prompts unencrypted to another machine; use https, or --allow-http if \
             that network is yours"
        ),
        _ => bail!("{from}: {given:?} is neither https nor http"),
    }
    let plain = given.trim_end_matches('/');
    match plain.strip_suffix("/v1") {
        Some(root) => Ok((root.to_owned(), Some(format!("{from}: /v1 is added by the program and was left out")))),
        None => Ok((plain.to_owned(), None)),
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_addresses_lose_their_last_slash_and_version() {
        let plain = |url| checked(url, "--base-url", false).expect("the address is good");

        assert_eq!(plain("https://gateway.example/claude/"), ("https://gateway.example/claude".to_owned(), None));
        assert_eq!(plain("http://127.0.0.1:8080").0, "http://127.0.0.1:8080");
        assert_eq!(plain("http://[::1]:8080").0, "http://[::1]:8080");
        let (url, warning) = plain("https://api.example/v1/");
        assert_eq!((url.as_str(), warning.is_some()), ("https://api.example", true));
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
