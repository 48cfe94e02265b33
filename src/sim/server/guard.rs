//! Decides which clients can use the simulator: programs on this machine, but not web pages.
//!
//! A web page can make a browser send requests to the loopback address in two ways:
//! 1. The host name of the page can resolve to the loopback address (DNS rebinding). The browser then treats the
//!    simulator as a part of the page's site, and the `Host` header contains the page's host name. The simulator
//!    answers only if `Host` is a name or an address that always means this machine.
//! 2. The page can send a cross-site request to the loopback address. The simulator rejects such a request because of
//!    its `Origin` header or `Sec-Fetch-Site: cross-site`. No answer of the simulator has a header that lets pages of
//!    other sites read the answer.
//!
//! There is one more case: an old browser sends a form without the headers `Origin` and `Sec-Fetch-Site`. A form can't
//! send a key, so the simulated API rejects messages from a form. Resetting the simulator needs no key, so `guard`
//! rejects a reset with a content type that forms use.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue, ORIGIN};
use http::request::Parts;
use http::{StatusCode, Version};

/// The path of the request that resets the simulator.
pub(super) const RESET: &str = "/__sim/reset";
/// The header that a browser uses to say whether the request comes from a page of another site.
const SEC_FETCH_SITE: &str = "sec-fetch-site";
/// The content types that forms can send.
const OF_FORMS: [&str; 3] = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];
/// The maximum number of characters that an answer quotes from a request.
const SHOWN: usize = 80;

/// The answer to a request that the guard rejects.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// The status of the answer.
    pub status: StatusCode,
    /// The message of the answer.
    pub message: String,
}

/// Accepts a request, or returns the answer that rejects it.
pub(super) fn check(parts: &Parts) -> Result<(), Refused> {
    check_host(parts)?;
    check_origin(&parts.headers)?;
    if parts.uri.path() == RESET {
        check_content_type(&parts.headers)?;
    }
    Ok(())
}

fn check_host(parts: &Parts) -> Result<(), Refused> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    // An HTTP/2 request has the host in `:authority`. An HTTP/1.0 request needs no `Host` header.
    let needs_one = parts.version == Version::HTTP_11 || (parts.version > Version::HTTP_11 && named(parts).is_none());
    if second.is_some() || (needs_one && first.is_none()) {
        let message = "a request needs exactly one Host header".to_owned();
        return Err(Refused { status: StatusCode::BAD_REQUEST, message });
    }
    let names = first.map(HeaderValue::as_bytes).into_iter().chain(named(parts).map(str::as_bytes));
    match names.into_iter().find(|name| !std::str::from_utf8(name).is_ok_and(is_local)) {
        None => Ok(()),
        Some(other) => Err(forbidden(format!(
            "the simulator answers only to localhost, *.localhost, 127.0.0.0/8 and [::1], not to {}; use one of these in \
             the address",
            shown(other)
        ))),
    }
}

/// Returns the host in the URI of a request, if the URI has one.
fn named(parts: &Parts) -> Option<&str> {
    parts.uri.authority().map(http::uri::Authority::as_str)
}

fn check_origin(headers: &HeaderMap) -> Result<(), Refused> {
    let is_own = |origin: &&HeaderValue| origin.to_str().is_ok_and(is_local_origin);
    if let Some(other) = headers.get_all(ORIGIN).iter().find(|origin| !is_own(origin)) {
        return Err(forbidden(format!(
            "the simulator accepts no requests from web pages of other sites: the Origin is {}",
            shown(other.as_bytes())
        )));
    }
    let is_cross = |site: &HeaderValue| site.as_bytes().trim_ascii().eq_ignore_ascii_case(b"cross-site");
    if headers.get_all(SEC_FETCH_SITE).iter().any(is_cross) {
        let message = "the simulator accepts no requests from web pages of other sites: Sec-Fetch-Site is cross-site";
        return Err(forbidden(message.to_owned()));
    }
    Ok(())
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Refused> {
    let is_of_form = |kind: &HeaderValue| {
        let kind = kind.as_bytes().split(|byte| matches!(byte, b';' | b',')).next().unwrap_or_default().trim_ascii();
        OF_FORMS.iter().any(|form| kind.eq_ignore_ascii_case(form.as_bytes()))
    };
    if headers.get_all(CONTENT_TYPE).iter().any(is_of_form) {
        let message = format!("{RESET} accepts no forms; send no Content-Type, or application/json");
        return Err(Refused { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, message });
    }
    Ok(())
}

fn forbidden(message: String) -> Refused {
    Refused { status: StatusCode::FORBIDDEN, message }
}

/// Returns the beginning of a client's text, in quotation marks.
fn shown(bytes: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(bytes).chars().take(SHOWN).collect();
    format!("{text:?}")
}

/// Returns whether an origin is a page or program on this machine. The origin `null` is not local, because every page
/// can have it.
fn is_local_origin(origin: &str) -> bool {
    let rest = ["http://", "https://"].iter().find_map(|scheme| {
        let (own, rest) = origin.split_at_checked(scheme.len())?;
        own.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    rest.is_some_and(is_local)
}

/// Returns whether `host` always means this machine. `host` can contain a port.
fn is_local(host: &str) -> bool {
    let Some(name) = without_port(host) else { return false };
    if let Some(inner) = name.strip_prefix('[') {
        return inner.strip_suffix(']').and_then(|address| address.parse().ok()) == Some(Ipv6Addr::LOCALHOST);
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    match name.parse::<Ipv4Addr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => is_localhost(name),
    }
}

/// Returns the host without its port; `None` if the part after the colon is not a port.
fn without_port(host: &str) -> Option<&str> {
    let end_of_name = host.rfind(']').map_or(0, |at| at + 1);
    let Some(colon) = host[end_of_name..].find(':') else { return Some(host) };
    let (name, port) = host.split_at(end_of_name + colon);
    let digits = &port[1..];
    let is_port = digits.is_empty() || (digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()));
    is_port.then_some(name)
}

/// Returns whether a name is `localhost` or ends with `.localhost`.
fn is_localhost(name: &str) -> bool {
    let mut labels = name.rsplit('.');
    labels.next().is_some_and(|last| last.eq_ignore_ascii_case("localhost")) && labels.all(is_label)
}

fn is_label(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_of_this_machine_are_local() {
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "localhost.",
            "localhost.:80",
            "localhost:",
            "api.localhost",
            "a-b_c.d.LocalHost.:1",
            "127.0.0.1",
            "127.255.255.254:65535",
            "127.0.0.1.",
            "[::1]",
            "[::1]:80",
            "[0:0:0:0:0:0:0:1]:8080",
        ] {
            assert!(is_local(host), "{host}");
        }
    }

    #[test]
    fn names_and_addresses_of_other_machines_are_not_local() {
        for host in [
            "",
            ":80",
            ".",
            "example.com",
            "localhost.example.com",
            "notlocalhost",
            "a.notlocalhost",
            ".localhost",
            "..localhost",
            "a..localhost",
            "localhost..",
            "local host",
            "localhost%00",
            "localhost\0",
            "127.0.0.1.example.com",
            "127.0.0.1.nip.io",
            "127.1",
            "0177.0.0.1",
            "2130706433",
            "0x7f000001",
            "0.0.0.0",
            "128.0.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "::1",
            "[::]",
            "[::1",
            "[::1]x",
            "[::1].",
            "[::ffff:127.0.0.1]",
            "[::1%25lo]",
            "[fe80::1]",
            "localhost:80:80",
            "localhost:8o",
            "localhost:123456",
            "user@localhost",
            "example.com@localhost",
            "localhost@example.com",
            "localhost,example.com",
            "localhost/x",
            "http://localhost",
            "lоcalhost",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn a_local_origin_is_http_or_https_with_a_local_host() {
        for origin in ["http://localhost:3000", "https://127.0.0.1", "HTTP://[::1]:80"] {
            assert!(is_local_origin(origin), "{origin}");
        }
        for origin in
            ["null", "", "localhost", "https://example.com", "file://", "chrome-extension://localhost", "http://"]
        {
            assert!(!is_local_origin(origin), "{origin}");
        }
    }
}
