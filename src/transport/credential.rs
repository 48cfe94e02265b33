//! The key: how it goes out, and how it is kept out of everything else.

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

/// Shorter ones are placeholders (`x`, `key`), and taking those out would only garble the text.
const SHORTEST_KEY: usize = 8;

/// How requests are authorized. Its `Debug` form does not show the key.
#[derive(Clone, Debug)]
pub enum Credential {
    /// `x-api-key`.
    ApiKey(SecretString),
    /// `authorization: Bearer`.
    Bearer(SecretString),
    /// Not at all: a simulator, or a proxy that adds its own.
    None,
}

/// The key is empty or can't stand in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnusableKey;

impl Credential {
    /// Returns the header that authorizes a request, marked as sensitive; `None` for no credential.
    pub(super) fn header(&self) -> Result<Option<(HeaderName, HeaderValue)>, UnusableKey> {
        let Some(key) = self.exposed() else { return Ok(None) };
        if key.trim().is_empty() {
            return Err(UnusableKey);
        }
        let (name, value) = match self {
            Self::Bearer(_) => (AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {key}"))),
            Self::ApiKey(_) | Self::None => (HeaderName::from_static("x-api-key"), HeaderValue::from_str(key)),
        };
        let mut value = value.map_err(|_| UnusableKey)?;
        value.set_sensitive(true);
        Ok(Some((name, value)))
    }

    /// Returns `body` with the key taken out wherever it stands.
    pub(super) fn taken_out_of(&self, body: Bytes) -> Bytes {
        match self.exposed().filter(|key| key.len() >= SHORTEST_KEY) {
            Some(key) => without(body, key.as_bytes()),
            None => body,
        }
    }

    fn exposed(&self) -> Option<&str> {
        match self {
            Self::ApiKey(secret) | Self::Bearer(secret) => Some(secret.expose_secret()),
            Self::None => None,
        }
    }
}

fn without(body: Bytes, key: &[u8]) -> Bytes {
    let find = |text: &[u8]| text.windows(key.len()).position(|window| window == key);
    let Some(mut at) = find(&body) else { return body };
    let mut out = Vec::with_capacity(body.len());
    let mut rest = &body[..];
    loop {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(b"[key]");
        rest = &rest[at + key.len()..];
        match find(rest) {
            Some(next) => at = next,
            None => break,
        }
    }
    out.extend_from_slice(rest);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_taken_out_wherever_it_stands() {
        let key = Credential::ApiKey("KEY-12345".into());
        let clean = |text: &'static str| key.taken_out_of(Bytes::from_static(text.as_bytes()));

        assert_eq!(clean("KEY-12345 a KEY-12345KEY-12345 b"), &b"[key] a [key][key] b"[..]);
        assert_eq!(clean("KEY-1234"), &b"KEY-1234"[..]);
        assert_eq!(clean(""), &b""[..]);
    }

    #[test]
    fn headers_are_sensitive() {
        for credential in [Credential::ApiKey("KEY-12345".into()), Credential::Bearer("KEY-12345".into())] {
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
