//! The address of a batch's results.
//!
//! The API gives a whole URL. The key is sent with the request, so a URL is followed only to the server of the base URL:
//! scheme, host and port must be equal. A gateway may pass on a URL that names another server.
//!
//! The parser is strict. If anything is unusual, the URL is not used. That does no harm, because the address can be made
//! from the batch's id.

/// Returns path and query of `url`, relative to the path of `base_url`; `None` if the URL is not on that server or not
/// below that path.
pub(super) fn path<'u>(url: &'u str, base_url: &'u str) -> Option<&'u str> {
    let base = parts(base_url)?;
    let target = match url.starts_with('/') {
        true if url.starts_with("//") => return None,
        true => Parts { rest: url, ..base },
        false => parts(url)?,
    };
    let is_same_server =
        target.is_https == base.is_https && target.port == base.port && target.host.eq_ignore_ascii_case(base.host);
    let path = target.rest.strip_prefix(base.rest.trim_end_matches('/')).filter(|_| is_same_server)?;
    (path.starts_with('/') && is_plain(path)).then_some(path)
}

struct Parts<'a> {
    is_https: bool,
    host: &'a str,
    port: u16,
    /// Path, query and fragment.
    rest: &'a str,
}

fn parts(url: &str) -> Option<Parts<'_>> {
    let (scheme, after) = url.split_once("://")?;
    let is_https = match scheme {
        _ if scheme.eq_ignore_ascii_case("https") => true,
        _ if scheme.eq_ignore_ascii_case("http") => false,
        _ => return None,
    };
    let (authority, rest) = after.split_at(after.find(['/', '?', '#', '\\']).unwrap_or(after.len()));
    let (host, port) = match authority.rsplit_once(':') {
        // The colon is inside the brackets of an address.
        Some((_, port)) if port.ends_with(']') => (authority, None),
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let port = match port {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok()?,
        Some(_) => return None,
        None if is_https => 443,
        None => 80,
    };
    Some(Parts { is_https, host, port, rest })
}

/// Returns whether a path with a query has only usual characters and no segment that could lead out of its folder.
fn is_plain(path: &str) -> bool {
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/?=&%+,:".contains(&byte);
    let bare = path.split('?').next().unwrap_or_default();
    let is_dots = |segment: &str| {
        let decoded = segment.to_ascii_lowercase().replace("%2e", ".");
        matches!(&*decoded, "" | "." | "..")
    };
    path.bytes().all(is_usual) && !bare.split('/').skip(1).any(is_dots)
}
