//! Chooses the proxy for a server from the usual environment variables. A run chooses its proxy only once.
//!
//! The HTTP client does not read these variables. The HTTP client gets the [`Proxy`] that this module chooses. The
//! address of this proxy is also shown to people. A proxy variable with an unusable value is an error. The user wants a
//! proxy, so a direct connection would be wrong.
//!
//! - `HTTPS_PROXY` is used for an `https` server, and `HTTP_PROXY` for an `http` server. If the variable for the scheme
//!   is not set, `ALL_PROXY` is used. The upper-case name of a variable is read first. If the variable with the
//!   upper-case name is set but empty, the variable with the lower-case name is ignored. A value without a scheme means
//!   `http`.
//! - `NO_PROXY` lists the servers that are reached directly: names (including their subdomains), addresses, networks,
//!   or `*` for all servers.
//! - If `REQUEST_METHOD` is set, no proxy variable is used, because this program may be a CGI program. In a CGI
//!   program, `HTTP_PROXY` contains the header `Proxy:` of a request, which a stranger may have sent.
//! - A server on this machine is reached without a proxy.
//! - On macOS and Windows, the settings of the system are used if no proxy variable is set.
//!
//! The crate hyper-util implements the rules of `NO_PROXY` and of the settings of macOS and Windows. The crate reqwest
//! uses hyper-util too.

use std::ffi::OsStr;
use std::fmt;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use secrecy::{ExposeSecret, SecretString};

use super::base_url::BaseUrl;
use super::destination::{Unfit, unfit};
use super::http::url::Url;

/// A proxy. The `Debug` form shows neither the user name nor the password of the proxy.
#[derive(Clone)]
pub struct Proxy {
    address: String,
    source: &'static str,
    is_https: bool,
    password: Option<SecretString>,
    url: SecretString,
}

impl Proxy {
    /// Returns the scheme, host and port of the proxy, as they are shown to people.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Returns the place where the proxy was set: the name of a variable, or the settings of the system.
    pub(crate) fn source(&self) -> &'static str {
        self.source
    }

    /// Returns the password of the proxy, decoded from its URL.
    pub(crate) fn password(&self) -> Option<&SecretString> {
        self.password.as_ref()
    }

    /// Returns whether the proxy itself is reached over TLS.
    pub(super) fn is_https(&self) -> bool {
        self.is_https
    }

    /// Returns the URL of the proxy, including its user name and password.
    pub(super) fn url(&self) -> &str {
        self.url.expose_secret()
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.address)
    }
}

/// The error if the value of a proxy variable or of `NO_PROXY` can't be used. The message shows no part of the value,
/// because the value can contain a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{variable} can't be used ({fault}); give it a proxy's address, as http://proxy.example:3128, or pass --no-proxy to \
     connect directly"
)]
pub struct ProxyError {
    variable: &'static str,
    fault: ProxyFault,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum ProxyFault {
    #[error("it is not UTF-8")]
    NotUtf8,
    #[error("it holds white space or control characters")]
    Blank,
    #[error("it is not a URL: {0}")]
    NotAUrl(String),
    #[error("SOCKS proxies are not supported; use an http or https proxy")]
    Socks,
    #[error("the scheme is not http or https")]
    Scheme,
    #[error("there is something after the port; in a user name or password write / ? # as %2F %3F %23")]
    Rest,
    #[error("it points at {0}")]
    Unfit(Unfit),
}

/// The two names of a variable: first in upper case, then in lower case.
type Names = [&'static str; 2];

const HTTP: Names = ["HTTP_PROXY", "http_proxy"];
const HTTPS: Names = ["HTTPS_PROXY", "https_proxy"];
const ALL: Names = ["ALL_PROXY", "all_proxy"];
const NONE: Names = ["NO_PROXY", "no_proxy"];
const CGI: &str = "REQUEST_METHOD";

/// Returns the proxy to use for `base_url`; `None` for a direct connection. `variable` looks up an environment
/// variable.
///
/// # Errors
/// Returns an error if the proxy variable or `NO_PROXY` has a value that can't be used.
pub fn proxy_for<'a>(
    base_url: &BaseUrl,
    variable: impl Fn(&str) -> Option<&'a OsStr>,
) -> Result<Option<Proxy>, ProxyError> {
    if base_url.is_loopback() || variable(CGI).is_some() {
        return Ok(None);
    }
    let own = if base_url.is_https() { HTTPS } else { HTTP };
    let Some((name, value)) = set(own, &variable).or_else(|| set(ALL, &variable)) else {
        return Ok(of_system(base_url));
    };
    let exempt = match set(NONE, &variable) {
        Some((name, value)) => text(name, value)?,
        None => "",
    };
    let proxy = parsed(text(name, value)?, name).map_err(|fault| ProxyError { variable: name, fault });
    let is_asked = Matcher::builder().all("http://proxy").no(exempt).build().intercept(&uri(base_url)).is_some();
    if is_asked { proxy.map(Some) } else { Ok(None) }
}

/// A variable that contains a proxy but is not used, and the reason why it is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PassedOver {
    /// The variable.
    pub variable: &'static str,
    /// The reason why the variable is not used.
    pub why: PassedOverWhy,
    fault: Option<ProxyFault>,
}

/// The reason why a variable that contains a proxy is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PassedOverWhy {
    /// `REQUEST_METHOD` is set, so this program may be a CGI program.
    Cgi,
    /// The server is this machine.
    Loopback,
    /// The server is in the list of `NO_PROXY`.
    Exempt,
    /// The variable is for the other scheme (`http` or `https`), and the scheme of this server has no variable.
    OtherScheme,
}

impl PassedOver {
    /// Returns `true` if the value can't be read as the address of a proxy.
    pub(crate) fn is_unreadable(&self) -> bool {
        self.fault.is_some()
    }
}

impl fmt::Display for PassedOver {
    /// Shows no part of the value of the variable, because the value can contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { variable, why, fault } = self;
        match why {
            PassedOverWhy::Cgi => write!(f, "{variable} is not used, since {CGI} is set, as it is for CGI programs")?,
            PassedOverWhy::Loopback => write!(f, "{variable} is not used for this machine")?,
            PassedOverWhy::Exempt => write!(f, "{variable} is not used, because of NO_PROXY")?,
            PassedOverWhy::OtherScheme => {
                let (scheme, own) = if HTTP.contains(variable) { ("http", HTTPS[0]) } else { ("https", HTTP[0]) };
                write!(
                    f,
                    "{variable} is not used, since it is for {scheme} servers; set {own} or ALL_PROXY for this one"
                )?;
            }
        }
        match fault {
            Some(fault) => write!(f, "; its value could not be used either ({fault})"),
            None => Ok(()),
        }
    }
}

/// If an environment variable contains a proxy, but [`proxy_for`] returns no proxy, returns this variable. Returns
/// `None` if `proxy_for` uses the variable, or if no such variable is set.
pub(crate) fn passed_over<'a>(base_url: &BaseUrl, variable: impl Fn(&str) -> Option<&'a OsStr>) -> Option<PassedOver> {
    let (own, other) = if base_url.is_https() { (HTTPS, HTTP) } else { (HTTP, HTTPS) };
    let own_one = set(own, &variable).or_else(|| set(ALL, &variable));
    // A variable that is set but empty also means that the user wants no proxy.
    let is_open = own.into_iter().chain(ALL).all(|name| variable(name).is_none());
    let (found, why) = match (own_one, base_url.is_loopback(), variable(CGI).is_some()) {
        (Some(found), true, _) => (found, PassedOverWhy::Loopback),
        (Some(found), false, true) => (found, PassedOverWhy::Cgi),
        (Some(found), false, false) => (found, PassedOverWhy::Exempt),
        (None, false, false) if is_open => (set(other, &variable)?, PassedOverWhy::OtherScheme),
        (None, ..) => return None,
    };
    let fault = text(found.0, found.1).map_err(|error| error.fault).and_then(|text| parsed(text, found.0)).err();
    let is_used = why == PassedOverWhy::Exempt && !matches!(proxy_for(base_url, variable), Ok(None));
    (!is_used).then_some(PassedOver { variable: found.0, why, fault })
}

/// Each proxy variable has two names, such as `HTTPS_PROXY` and `https_proxy`. Of these two names, returns the first
/// that is set, together with its value. Returns `None` if neither name is set, or if the value is empty.
fn set<'a>(names: Names, variable: &impl Fn(&str) -> Option<&'a OsStr>) -> Option<(&'static str, &'a OsStr)> {
    let found = names.into_iter().find_map(|name| variable(name).map(|value| (name, value)));
    found.filter(|(_, value)| !value.is_empty())
}

fn text<'a>(variable: &'static str, value: &'a OsStr) -> Result<&'a str, ProxyError> {
    value.to_str().ok_or(ProxyError { variable, fault: ProxyFault::NotUtf8 })
}

fn parsed(text: &str, source: &'static str) -> Result<Proxy, ProxyFault> {
    let text = text.trim();
    if text.chars().any(|char| char.is_control() || char.is_whitespace()) {
        return Err(ProxyFault::Blank);
    }
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url: Url = with_scheme.parse().map_err(|error| ProxyFault::NotAUrl(format!("{error}")))?;
    match url.scheme() {
        "http" | "https" => {}
        scheme if scheme.starts_with("socks") => return Err(ProxyFault::Socks),
        _ => return Err(ProxyFault::Scheme),
    }
    // An unescaped `/` in a password would end the address too early, and the parser would take the user name as the
    // host.
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(ProxyFault::Rest);
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).parse().ok();
    match host.and_then(unfit) {
        Some(why) => Err(ProxyFault::Unfit(why)),
        None => Ok(of_url(&url, source)),
    }
}

fn of_url(url: &Url, source: &'static str) -> Proxy {
    Proxy {
        address: url.origin().ascii_serialization(),
        source,
        is_https: url.scheme() == "https",
        password: url.password().map(|password| unescaped(password).into()),
        url: url.as_str().into(),
    }
}

/// Returns a part of a URL with its percent escapes decoded.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.filter(|_| first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn uri(base_url: &BaseUrl) -> Uri {
    // If the host can't be part of a URI, an empty URI is used. Such a host can't be in the list of `NO_PROXY`.
    base_url.join("/").parse().unwrap_or_default()
}

fn of_system(base_url: &BaseUrl) -> Option<Proxy> {
    let has_settings = cfg!(any(windows, target_os = "macos"));
    let found = has_settings.then(Matcher::from_system)?.intercept(&uri(base_url))?;
    parsed(&found.uri().to_string(), "the system's settings").ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::parse_base_url;

    /// Returns how a program with these environment variables reaches the server. The result is the address of a proxy,
    /// `direct`, or the name of the variable that can't be used.
    fn way(server: &str, variables: &[(&str, &str)]) -> String {
        let server = parse_base_url(server, true).expect(server);
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsStr::new(*value));
        match proxy_for(&server, find) {
            Ok(Some(proxy)) => proxy.address().to_owned(),
            Ok(None) => "direct".to_owned(),
            Err(error) => error.variable.to_owned(),
        }
    }

    const API: &str = "https://api.anthropic.com";
    const PLAIN: &str = "http://gateway.example";
    const P: &str = "http://proxy.example:3128";

    #[test]
    fn the_scheme_of_the_server_chooses_the_variable() {
        for (server, variables, expected) in [
            (API, &[][..], "direct"),
            (API, &[("HTTPS_PROXY", P)], P),
            (API, &[("https_proxy", P)], P),
            (API, &[("HTTP_PROXY", P)], "direct"),
            (PLAIN, &[("HTTP_PROXY", P)], P),
            (PLAIN, &[("http_proxy", P)], P),
            (PLAIN, &[("HTTPS_PROXY", P)], "direct"),
            (API, &[("ALL_PROXY", P)], P),
            (PLAIN, &[("all_proxy", P)], P),
            (API, &[("ALL_PROXY", "http://other.example"), ("HTTPS_PROXY", P)], P),
            (API, &[("HTTPS_PROXY", P), ("https_proxy", "http://other.example")], P),
            (API, &[("HTTPS_PROXY", ""), ("https_proxy", P)], "direct"),
            (API, &[("HTTPS_PROXY", ""), ("ALL_PROXY", P)], P),
            (API, &[("HTTPS_PROXY", P), ("REQUEST_METHOD", "GET")], "direct"),
            (API, &[("HTTPS_PROXY", P), ("REQUEST_METHOD", "")], "direct"),
            (API, &[("FTP_PROXY", P)], "direct"),
        ] {
            assert_eq!(way(server, variables), expected, "{server} {variables:?}");
        }
    }

    #[test]
    fn this_machine_is_never_reached_through_a_proxy() {
        for server in
            ["http://127.0.0.1:1", "http://localhost", "https://a.localhost", "https://[::1]", "http://127.9.9.9"]
        {
            let variables = [("HTTP_PROXY", P), ("HTTPS_PROXY", P), ("ALL_PROXY", "junk junk")];

            assert_eq!(way(server, &variables), "direct", "{server}");
        }
    }

    #[test]
    fn no_proxy_names_servers_that_are_reached_directly() {
        for (exempt, server, expected) in [
            ("anthropic.com", API, "direct"),
            (".anthropic.com", API, "direct"),
            ("API.Anthropic.COM", API, "direct"),
            ("other.example, api.anthropic.com ,x", API, "direct"),
            ("*", API, "direct"),
            ("nthropic.com", API, P),
            ("com.anthropic", API, P),
            ("https://api.anthropic.com", API, P),
            ("", API, P),
            ("10.0.0.0/8", "https://10.1.2.3", "direct"),
            ("10.0.0.0/8", "https://11.1.2.3", P),
            ("fd00::/8", "https://[fd00::1]:8443", "direct"),
            ("10.1.2.3", "https://167838211", "direct"),
        ] {
            for name in ["NO_PROXY", "no_proxy"] {
                assert_eq!(way(server, &[("HTTPS_PROXY", P), (name, exempt)]), expected, "{exempt} {server}");
            }
        }
        assert_eq!(way(API, &[("HTTPS_PROXY", P), ("NO_PROXY", ""), ("no_proxy", "*")]), P);
    }

    #[test]
    fn an_address_is_shown_without_user_name_and_password() {
        for (value, shown) in [
            ("http://proxy.example:3128", P),
            ("HTTP://Proxy.Example:3128/", P),
            (" http://proxy.example:3128\n", P),
            ("proxy.example:3128", P),
            ("me:hunter2@proxy.example:3128", P),
            ("http://me:hunter2@proxy.example:3128", P),
            ("http://me:hunter2%40x@proxy.example:3128", P),
            ("http://me:hunter2@x@proxy.example:3128", P),
            ("http://hunter2@proxy.example:3128", P),
            ("https://me:hunter2@proxy.example", "https://proxy.example"),
            ("http://[::1]:3128", "http://[::1]:3128"),
            ("127.0.0.1:3128", "http://127.0.0.1:3128"),
            ("http://proxy.example", "http://proxy.example"),
        ] {
            assert_eq!(way(API, &[("HTTPS_PROXY", value)]), shown, "{value}");
        }
    }

    #[test]
    fn an_unusable_proxy_is_an_error_that_does_not_show_the_value() {
        for value in [
            "http://",
            "://hunter2",
            "http://me:hunter2@",
            "http://proxy.example:hunter2",
            "http://proxy.example:99999",
            "http://hunter2 .example",
            "http://hunter2\u{1b}[31m.example",
            "socks5://me:hunter2@proxy.example:1080",
            "socks5h://proxy.example",
            "ftp://me:hunter2@proxy.example",
            "hunter2://proxy.example",
            "http://me:hunt/er2@proxy.example:3128",
            "http://me:hunt#er2@proxy.example:3128",
            "http://me:hunt?er2@proxy.example:3128",
            "http://me:/hunter2@proxy.example:3128",
            r"http://me\:hunter2@proxy.example:3128",
            "http://proxy.example:3128/hunter2",
            "http://hunter2<.example",
            "http://hunter2%zz.example",
            "http://[fe80::1%25eth0]:3128",
            "http://[hunter2]",
            "http://169.254.169.254",
            "http://0.0.0.0:3128",
            "0",
            " ",
        ] {
            let server = parse_base_url(API, false).expect("a URL");
            for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
                let error = proxy_for(&server, |asked| (asked == name).then_some(OsStr::new(value)));
                let message = error.expect_err(value).to_string();

                assert!(message.starts_with(name) && message.contains("--no-proxy"), "{value}: {message}");
                assert!(!message.contains("hunt") && !message.contains("er2"), "{value}: {message}");
            }
        }
    }

    #[test]
    fn a_variable_that_does_not_choose_the_proxy_may_have_any_value() {
        assert_eq!(way(API, &[("HTTPS_PROXY", P), ("ALL_PROXY", "socks5://x"), ("HTTP_PROXY", "junk junk")]), P);
        assert_eq!(way(API, &[("HTTPS_PROXY", "junk junk"), ("NO_PROXY", "*")]), "direct");
        assert_eq!(way(API, &[("HTTPS_PROXY", "junk junk"), ("ALL_PROXY", P)]), "HTTPS_PROXY");
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_not_text_is_an_error() {
        use std::os::unix::ffi::OsStrExt;
        let server = parse_base_url(API, false).expect("a URL");
        let junk = OsStr::from_bytes(b"http://hunter2\xff");
        let good = OsStr::new(P);

        for (asked, [proxy, exempt]) in [("HTTPS_PROXY", [junk, good]), ("NO_PROXY", [good, junk])] {
            let find = |name: &str| match name {
                "HTTPS_PROXY" => Some(proxy),
                "NO_PROXY" => Some(exempt),
                _ => None,
            };
            let message = proxy_for(&server, find).expect_err("it is not text").to_string();

            assert!(message.starts_with(asked) && !message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn a_password_is_kept_but_not_shown() {
        let server = parse_base_url(API, false).expect("a URL");
        let value = OsStr::new("http://me:hunter2%40%zz%C3%A9@proxy.example:3128");
        let proxy = proxy_for(&server, |name| (name == "HTTPS_PROXY").then_some(value)).expect("it is well formed");
        let proxy = proxy.expect("it applies");

        assert_eq!(proxy.password().expect("it has one").expose_secret(), "hunter2@%zzé");
        assert!(!format!("{proxy:?}").contains("hunter2"), "{proxy:?}");
    }

    #[test]
    fn a_variable_that_is_not_used_is_named_with_the_reason_and_without_its_value() {
        let local = "http://127.0.0.1:8080";
        for (server, variables, expected) in [
            (API, &[][..], ""),
            (API, &[("HTTPS_PROXY", P)], ""),
            (API, &[("HTTPS_PROXY", P), ("HTTP_PROXY", "hunter2 hunter2")], ""),
            (
                API,
                &[("HTTPS_PROXY", P), ("REQUEST_METHOD", "GET")],
                "HTTPS_PROXY is not used, since REQUEST_METHOD is set",
            ),
            (API, &[("REQUEST_METHOD", "GET")], ""),
            (API, &[("HTTPS_PROXY", P), ("NO_PROXY", "anthropic.com")], "HTTPS_PROXY is not used, because of NO_PROXY"),
            (
                API,
                &[("HTTP_PROXY", P)],
                "HTTP_PROXY is not used, since it is for http servers; set HTTPS_PROXY or ALL_PROXY",
            ),
            (API, &[("http_proxy", "me:hunter2@")], "http_proxy is not used, since it is for http servers; "),
            (API, &[("HTTP_PROXY", P), ("HTTPS_PROXY", "")], ""),
            (PLAIN, &[("https_proxy", P)], "https_proxy is not used, since it is for https servers; set HTTP_PROXY or"),
            (local, &[("HTTP_PROXY", P)], "HTTP_PROXY is not used for this machine"),
            (
                local,
                &[("ALL_PROXY", "hunter2 hunter2")],
                "ALL_PROXY is not used for this machine; its value could not be used either",
            ),
            (local, &[("HTTPS_PROXY", P)], ""),
            (
                API,
                &[("all_proxy", "socks5://hunter2"), ("NO_PROXY", "*")],
                "all_proxy is not used, because of NO_PROXY; its value could not",
            ),
        ] {
            let url = parse_base_url(server, true).expect(server);
            let find =
                |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsStr::new(*value));

            let told = passed_over(&url, find).map(|passed| passed.to_string()).unwrap_or_default();

            assert!(told.starts_with(expected) && told.is_empty() == expected.is_empty(), "{variables:?}: {told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}
