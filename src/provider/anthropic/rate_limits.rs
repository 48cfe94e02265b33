//! Reads the limits that the API reports to the administrators of an organization.
//!
//! Source: API documentation, "Rate Limits API" (2026-10). It is not confirmed that the query parameter `page` selects
//! the next page.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use serde::Deserialize;

use super::Anthropic;
use crate::domain::{ModelClass, PoolId, RateLimits, Speed};
use crate::provider::{Body, Transfer, WireRequest};

/// The prefix of admin keys. The API reports the limits of an organization only if the request has an admin key.
const ADMIN_KEY: &str = "sk-ant-admin";

const PATH: &str = "/v1/organizations/rate_limits";

/// The greatest length of a page cursor that is sent back to the server.
const PAGE_BYTES: usize = 512;

/// One page of the limits of an organization.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LimitsPage {
    /// The groups of limits, in the order in which the API lists them.
    pub groups: Vec<LimitGroup>,
    /// The cursor of the next page; `None` on the last page.
    pub next: Option<String>,
}

/// A group of limits that several models, or several endpoints, share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LimitGroup {
    /// The kind of the group, which says what the limits apply to, such as `model_group`, `batch` or `token_count`.
    pub kind: String,
    /// The display name of the group.
    pub name: String,
    /// The names of the models, if the group is a group of models; otherwise empty.
    pub models: Vec<String>,
    /// The limits of the group, each under the name that the API gives it.
    pub limits: Vec<(String, u64)>,
}

impl LimitsPage {
    /// Returns all texts from the server that are shown to people.
    pub(crate) fn texts(&mut self) -> impl Iterator<Item = &mut String> {
        self.groups.iter_mut().flat_map(|LimitGroup { kind, name, models, limits }| {
            [kind, name].into_iter().chain(models).chain(limits.iter_mut().map(|(name, _)| name))
        })
    }
}

impl LimitGroup {
    /// Returns the limits per minute for Messages requests at standard speed. A limit that is zero or does not fit 32
    /// bits is treated as missing.
    pub(crate) fn rate_limits(&self) -> RateLimits {
        let of = |names: &[&str]| {
            let (_, value) = self.limits.iter().find(|(name, _)| names.contains(&name.as_str()))?;
            u32::try_from(*value).ok().filter(|value| *value > 0)
        };
        RateLimits {
            rpm: of(&["requests_per_minute"]),
            itpm: of(&["input_tokens_per_minute_cache_aware", "input_tokens_per_minute"]),
            otpm: of(&["output_tokens_per_minute"]),
        }
    }
}

#[derive(Deserialize)]
struct RawPage {
    data: Vec<RawEntry>,
    next_page: Option<String>,
}

#[derive(Deserialize)]
struct RawEntry {
    group: RawGroup,
    models: Option<Vec<String>>,
    limits: Vec<RawLimit>,
}

#[derive(Deserialize)]
struct RawGroup {
    #[serde(rename = "type")]
    kind: String,
    display_name: Option<String>,
}

#[derive(Deserialize)]
struct RawLimit {
    #[serde(rename = "type")]
    kind: String,
    value: Option<u64>,
}

/// Returns whether an API key is an admin key.
pub(crate) fn is_admin_key(key: &str) -> bool {
    key.starts_with(ADMIN_KEY)
}

impl Anthropic {
    /// Returns the request for a page of the organization's limits. `page` is the cursor of the wanted page. If `page`
    /// is `None`, the request is for the first page. Returns `None` if the cursor can't be part of an address.
    pub(crate) fn ask_limits(&self, page: Option<&str>) -> Option<WireRequest> {
        let is_plain = |mark: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~=".contains(&byte);
            !mark.is_empty() && mark.len() <= PAGE_BYTES && mark.bytes().all(plain)
        };
        let path = match page {
            None => PATH.into(),
            Some(mark) if is_plain(mark) => format!("{PATH}?page={mark}").into(),
            Some(_) => return None,
        };
        let class = ModelClass(Arc::from(""));
        let route = PoolId { provider: "anthropic".into(), account: "".into(), class, speed: Speed::Standard };
        let (method, headers) = (Method::GET, self.whole.clone());
        let (body, transfer) = (Body::plain(Bytes::new()), Transfer::Usual);
        Some(WireRequest { route: Arc::new(route), method, path, headers, body, is_stream: false, transfer })
    }
}

/// Reads a page of limits. JSON members that this version of the program does not know are ignored.
///
/// # Errors
/// If the text is not a page of limits, returns an error that says what is wrong.
pub(crate) fn read_limits(json: &[u8]) -> Result<LimitsPage, serde_json::Error> {
    let RawPage { data, next_page } = serde_json::from_slice(json)?;
    let group = |RawEntry { group, models, limits }: RawEntry| LimitGroup {
        name: group.display_name.unwrap_or_else(|| group.kind.clone()),
        kind: group.kind,
        models: models.unwrap_or_default(),
        limits: limits.into_iter().filter_map(|limit| Some((limit.kind, limit.value?))).collect(),
    };
    Ok(LimitsPage { groups: data.into_iter().map(group).collect(), next: next_page.filter(|mark| !mark.is_empty()) })
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    /// A page of limits. The page is the example in the API documentation, with one additional group, which has no
    /// models.
    const PAGE: &str = r#"{"data":[{"type":"rate_limit","id":"x","group":{"type":"model_group","id":"rlg_01VPTCmyiu5ZLsWkcxYG2pY8","display_name":"Claude Sonnet 4.x"},"models":["claude-sonnet-4-6","claude-sonnet-4-5"],
      "limits":[{"type":"requests_per_minute","value":1000},{"type":"input_tokens_per_minute_cache_aware","value":2000000},{"type":"output_tokens_per_minute","value":400000}]},
      {"type":"rate_limit","id":"y","group":{"type":"batch"},"models":null,"limits":[{"type":"enqueued_batch_requests","value":200000}]}],"next_page":null}"#;

    #[test]
    fn groups_have_their_models_and_limits() {
        let page = read_limits(PAGE.as_bytes()).expect("it is a page");

        assert_eq!(page.next, None);
        let [sonnet, batch] = &page.groups[..] else { panic!("two groups: {page:?}") };
        assert_eq!((&*sonnet.name, sonnet.models.len()), ("Claude Sonnet 4.x", 2));
        assert_eq!(sonnet.rate_limits(), RateLimits::new(1_000, 2_000_000, 400_000));
        assert_eq!((&*batch.name, batch.rate_limits()), ("batch", RateLimits::NONE));
    }

    #[test]
    fn another_document_is_not_a_page() {
        for text in ["", "[]", "{}", r#"{"data":[{}]}"#, r#"{"data":[{"group":{"type":"x"},"limits":{}}]}"#] {
            assert!(read_limits(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn the_cursor_of_a_page_can_not_change_the_address() {
        let provider = Anthropic::new("2023-06-01", &[], HeaderMap::new()).expect("plain values");
        let path = |page| provider.ask_limits(page).map(|request| request.path.into_owned());

        assert_eq!(path(None).as_deref(), Some("/v1/organizations/rate_limits"));
        assert_eq!(path(Some("page_Ab-1=")).as_deref(), Some("/v1/organizations/rate_limits?page=page_Ab-1="));
        for mark in ["", "a&b", "a#b", "a b", "../x", "a\n", &"a".repeat(PAGE_BYTES + 1)] {
            assert_eq!(path(Some(mark)), None, "{mark:?}");
        }
    }
}
