//! Addresses to which notices about a run are sent.
//!
//! Such an address is a secret, because everyone who knows the address can send messages to its owner. So only the
//! scheme and host are shown, even in the `Debug` form. The rules for allowed addresses are the same as for a base URL.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use super::base_url::{BaseUrl, BaseUrlError, parse_base_url};
use super::destination::Unfit;
use super::http::url::Url;

/// An address to which notices are sent.
#[derive(Clone)]
pub struct NoticeUrl {
    url: SecretString,
    base: BaseUrl,
}

impl NoticeUrl {
    /// Returns the scheme and host of the address, followed by `/…`. People see the address only in this form.
    pub(crate) fn shown(&self) -> String {
        format!("{}/…", self.base.origin())
    }

    /// Returns the server's URL without its path. The proxy is chosen by this URL.
    pub(crate) fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Returns the secret part of the address: everything after the host.
    pub(crate) fn secret(&self) -> SecretString {
        self.url.expose_secret()[self.base.origin().len()..].into()
    }

    /// Returns the whole address, including its secret part.
    pub(super) fn whole(&self) -> &str {
        self.url.expose_secret()
    }
}

impl fmt::Debug for NoticeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoticeUrl({})", self.shown())
    }
}

/// The reason why an address for notices is rejected. The messages contain at most the scheme, host and port of the
/// address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoticeUrlError {
    /// The text can't be parsed as a URL.
    #[error("it is not a URL; give one like https://hooks.example.com/T0/B0")]
    NotAUrl,
    /// The scheme is neither http nor https.
    #[error("the scheme is not https or http")]
    Scheme,
    /// The URL has the scheme http, and the host is another machine.
    #[error(
        "the address at {origin} would send notices unencrypted to another machine; use https, or pass --allow-http if \
         the network to that machine is safe"
    )]
    PlainHttp {
        /// The scheme, host and port of the URL.
        origin: String,
    },
    /// The URL has a user name or password.
    #[error("it holds a user name or password; take it out")]
    UserInfo,
    /// The host is an address at which nothing can receive notices.
    #[error("it points at {0}, where nothing receives notices; check it")]
    Unfit(Unfit),
}

/// Parses an address for notices.
///
/// With `allow_http`, plain http is accepted for all hosts. Without `allow_http`, plain http is accepted only for this
/// machine.
///
/// # Errors
/// Any [`NoticeUrlError`].
pub(crate) fn parse_notice_url(text: &str, allow_http: bool) -> Result<NoticeUrl, NoticeUrlError> {
    let text = text.trim();
    if text.chars().any(|char| char.is_control() || char.is_whitespace()) {
        return Err(NoticeUrlError::NotAUrl);
    }
    let url: Url = text.parse().map_err(|_| NoticeUrlError::NotAUrl)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(NoticeUrlError::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(NoticeUrlError::UserInfo);
    }
    let base = parse_base_url(&url.origin().ascii_serialization(), allow_http).map_err(|error| match error {
        BaseUrlError::PlainHttp { origin } => NoticeUrlError::PlainHttp { origin },
        BaseUrlError::LinkLocal { .. } => NoticeUrlError::Unfit(Unfit::LinkLocal),
        BaseUrlError::Unfit { why, .. } => NoticeUrlError::Unfit(why),
        BaseUrlError::NotAUrl { .. }
        | BaseUrlError::Scheme { .. }
        | BaseUrlError::UserInfo
        | BaseUrlError::QueryOrFragment => NoticeUrlError::NotAUrl,
    })?;
    // The fragment is removed, because it is not sent. The text of the parsed URL always begins with the origin.
    let mut url = url;
    url.set_fragment(None);
    Ok(NoticeUrl { url: String::from(url).into(), base })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_host_is_shown() {
        let url = parse_notice_url("https://HOOKS.example/services/T0/s3cret?x=s3cret#a", false).expect("it is good");

        assert_eq!(format!("{} {url:?}", url.shown()), "https://hooks.example/… NoticeUrl(https://hooks.example/…)");
        assert_eq!(url.secret().expose_secret(), "/services/T0/s3cret?x=s3cret");
        assert_eq!(url.whole(), "https://hooks.example/services/T0/s3cret?x=s3cret");
    }

    #[test]
    fn plain_http_is_only_for_this_machine_unless_it_is_allowed() {
        let parse = |text, allow| parse_notice_url(text, allow).map(|url| url.shown());

        assert_eq!(parse("http://127.0.0.1:8/a", false).as_deref(), Ok("http://127.0.0.1:8/…"));
        assert_eq!(parse("http://localhost/a", false).as_deref(), Ok("http://localhost/…"));
        assert_eq!(
            parse("http://other.example/s3cret", false),
            Err(NoticeUrlError::PlainHttp { origin: "http://other.example".to_owned() })
        );
        assert!(parse("http://other.example/s3cret", true).is_ok());
    }

    #[test]
    fn dangerous_addresses_are_refused_and_not_repeated() {
        for text in [
            "",
            "hooks.example/s3cret",
            "ftp://hooks.example/s3cret",
            "s3cret:x",
            "https://s3cret@hooks.example/",
            "https://u:s3cret@hooks.example/",
            "https://hooks.example/a s3cret",
            "https://169.254.169.254/s3cret",
            "https://0.0.0.0/s3cret",
            "https:///s3cret/",
        ] {
            match parse_notice_url(text, true) {
                Err(error) => assert!(!error.to_string().contains("s3cret"), "{text}: {error}"),
                Ok(url) => assert!(text == "https:///s3cret/", "{text}: {url:?}"),
            }
        }
    }
}
