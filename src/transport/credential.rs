//! The API key, and the headers in which it is sent.
//!
//! This module's copies of the key are overwritten with zeros when the copies are dropped. The HTTP client has its own
//! copy of the key in each header that it sends. This module can't overwrite the copies of the HTTP client.

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// The credential that authorizes requests. The `Debug` form does not show the key.
#[derive(Clone, Debug)]
pub enum Credential {
    /// An API key that is sent in the header `x-api-key`.
    ApiKey(SecretString),
    /// An API key that is sent in two headers, `x-api-key` and `api-key`. Clients of Microsoft Foundry send both
    /// headers.
    ApiKeyTwice(SecretString),
    /// A token that is sent in the header `authorization: Bearer`.
    Bearer(SecretString),
    /// No credential. Requests have no credential if they go to a simulator, or through a proxy that adds its own key.
    None,
}

/// The key is empty or can't be sent in a header. The message does not show the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the API key is empty or holds characters that can't be sent (a line break?); check where it comes from")]
pub struct UnusableKey;

impl Credential {
    /// Returns the header that authorizes a request. The header is marked as sensitive. Returns `None` if there is no
    /// credential.
    pub(super) fn header(&self) -> Result<Option<(HeaderName, HeaderValue)>, UnusableKey> {
        let Some(key) = self.exposed() else { return Ok(None) };
        if key.trim().is_empty() {
            return Err(UnusableKey);
        }
        let (name, value) = match self {
            Self::Bearer(_) => {
                let value = Zeroizing::new(["Bearer ", key].concat());
                (AUTHORIZATION, HeaderValue::from_str(&value))
            }
            Self::ApiKey(_) | Self::ApiKeyTwice(_) | Self::None => {
                (HeaderName::from_static("x-api-key"), HeaderValue::from_str(key))
            }
        };
        let mut value = value.map_err(|_| UnusableKey)?;
        value.set_sensitive(true);
        Ok(Some((name, value)))
    }

    /// Returns the name of the second header in which the key is also sent; `None` if the key is sent in only one
    /// header.
    pub(super) fn also_as(&self) -> Option<HeaderName> {
        match self {
            Self::ApiKeyTwice(_) => Some(HeaderName::from_static("api-key")),
            Self::ApiKey(_) | Self::Bearer(_) | Self::None => None,
        }
    }

    /// Returns the key itself, so that the program can search texts for the key.
    pub(crate) fn exposed(&self) -> Option<&str> {
        match self {
            Self::ApiKey(secret) | Self::ApiKeyTwice(secret) | Self::Bearer(secret) => Some(secret.expose_secret()),
            Self::None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_a_credential_is_marked_as_sensitive() {
        let all = [Credential::ApiKey, Credential::ApiKeyTwice, Credential::Bearer];
        for credential in all.map(|of| of("KEY-12345".into())) {
            let (_, value) = credential.header().expect("a plain key").expect("a header");

            assert!(value.is_sensitive());
        }
        assert_eq!(Credential::None.header(), Ok(None));
    }

    #[test]
    fn a_key_that_fits_in_no_header_is_refused() {
        for key in ["", " ", "a\nb", "a\0b"] {
            assert_eq!(Credential::ApiKey(key.into()).header(), Err(UnusableKey), "{key:?}");
        }
    }
}
