//! The adapter for the Claude Messages API, at Anthropic and on other platforms.
//!
//! All platforms share one adapter, [`Anthropic`]. Each provider has a kind, which decides what errors and headers mean
//! (`platform`). Each provider also has rules, which change the requests (`changes`).
//!
//! This module writes requests, and decides what replies mean. It reads response heads (status and headers), whole
//! answers and streams. This module knows no credentials, because the transport adds them. A whole answer is kept byte
//! for byte. A stream is put together into one message, and every value in that message is the server's own text.

mod batches;
mod block;
mod changes;
mod count;
mod error_body;
mod fold;
mod growth;
pub mod headers;
mod judge;
mod kinds;
mod members;
mod not_in_batches;
mod platform;
pub(crate) mod rate_limits;
mod reply;
mod request;
mod results_url;
mod scan;
mod shape;
mod sse;
mod text;
mod usage;

pub use count::count_of;

use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};

use self::changes::Changes;
use super::{BatchApi, Decoder, HeadNews, Provider, Reply, ReplyHead, Splice, Transfer, WireRequest};
use crate::domain::{Marked, PoolId, ProviderKind, RateSignals, Request, RequestRules, Verdict};

/// The capacity of the header map of a request. The capacity includes the headers that the transport and its HTTP
/// client add. If the capacity were smaller, the map would grow, and its content would be copied.
const HEADERS: usize = 12;

/// A setting that can't be sent in a header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{header} can't be sent: {value:?} holds characters that a header may not have")]
pub struct DialectError {
    /// The header.
    pub header: &'static str,
    /// The value that can't be sent in the header.
    pub value: String,
}

/// The adapter for one version of the API, with one set of beta features.
#[derive(Clone, Debug)]
pub struct Anthropic {
    whole: HeaderMap,
    stream: HeaderMap,
    kind: ProviderKind,
    /// The changes that are made in the requests of rows; `None` if the requests are sent unchanged.
    changes: Option<Changes>,
}

impl Anthropic {
    /// Returns a provider that sends the headers for `api_version` and `betas`, and the `extra` headers. If `betas` is
    /// empty, the header `anthropic-beta` is not sent.
    ///
    /// An extra header replaces the header of the same name.
    ///
    /// # Errors
    /// Returns [`DialectError`] when a value can't be sent in a header.
    pub fn new(api_version: &str, betas: &[String], extra: HeaderMap) -> Result<Self, DialectError> {
        let mut whole = HeaderMap::with_capacity(HEADERS);
        whole.insert("anthropic-version", header("anthropic-version", api_version)?);
        if !betas.is_empty() {
            whole.insert("anthropic-beta", header("anthropic-beta", &betas.join(","))?);
        }
        whole.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut stream = whole.clone();
        whole.insert(ACCEPT, HeaderValue::from_static("application/json"));
        stream.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        whole.extend(extra.clone());
        stream.extend(extra);
        Ok(Self { whole, stream, kind: ProviderKind::default(), changes: None })
    }

    /// Sets the kind of the provider, which decides what errors and headers mean.
    #[must_use]
    pub fn of_kind(mut self, kind: ProviderKind) -> Self {
        self.kind = kind;
        self
    }

    /// Sets the rules that change requests: other names of models, and members that are left out. The adapter never
    /// sees members that the provider rejects, because the program rejects rows with such members when it plans the
    /// rows.
    #[must_use]
    pub fn with_rules(mut self, rules: Arc<RequestRules>) -> Self {
        self.changes = Changes::new(rules);
        self
    }

    /// Returns the changes that the rules make in a request.
    fn changes_of(&self, json: &[u8]) -> Vec<Splice> {
        self.changes.as_ref().map(|changes| changes.of(json)).unwrap_or_default()
    }
}

fn header(header: &'static str, value: &str) -> Result<HeaderValue, DialectError> {
    HeaderValue::from_str(value).map_err(|_| DialectError { header, value: value.to_owned() })
}

impl Provider for Anthropic {
    fn encode(&self, request: &Request, marked: Option<&Marked>, route: &Arc<PoolId>, stream: bool) -> WireRequest {
        let headers = if stream { self.stream.clone() } else { self.whole.clone() };
        WireRequest {
            route: route.clone(),
            method: Method::POST,
            path: "/v1/messages".into(),
            headers,
            body: request::body(request, marked, stream, self.changes_of(request.json())),
            is_stream: stream,
            transfer: Transfer::Usual,
        }
    }

    fn read_head(&self, head: &ReplyHead, now: &dyn Fn() -> jiff::Timestamp) -> HeadNews {
        headers::read(self.kind, &head.headers, now)
    }

    fn decoder(&self, head: &ReplyHead) -> Box<dyn Decoder> {
        if head.is_success() && headers::is_event_stream(&head.headers) {
            return Box::new(sse::SseDecoder::default());
        }
        Box::new(reply::WholeDecoder::default())
    }

    fn judge(&self, head: &ReplyHead, reply: Reply, signals: &RateSignals) -> Verdict {
        judge::judge(self.kind, head, reply, signals)
    }

    fn batches(&self) -> Option<&dyn BatchApi> {
        match self.kind {
            ProviderKind::Bedrock | ProviderKind::BedrockMantle | ProviderKind::Foundry | ProviderKind::OpenRouter => {
                None
            }
            // For `LiteLlm` and `Messages`, a setting says whether the server has batches.
            ProviderKind::Anthropic
            | ProviderKind::Aws
            | ProviderKind::Google
            | ProviderKind::LiteLlm
            | ProviderKind::Messages => Some(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_name_the_version_and_join_the_betas() {
        let betas = ["a-1".to_owned(), "b-2".to_owned()];

        let provider = Anthropic::new("2023-06-01", &betas, HeaderMap::new()).expect("plain values fit in headers");

        assert_eq!(provider.whole["anthropic-version"], "2023-06-01");
        assert_eq!(provider.whole["anthropic-beta"], "a-1,b-2");
        assert_eq!(provider.whole["accept"], "application/json");
        assert_eq!(provider.stream["accept"], "text/event-stream");
    }

    #[test]
    fn without_betas_no_beta_header_is_sent() {
        let provider = Anthropic::new("2023-06-01", &[], HeaderMap::new()).expect("plain values fit in headers");

        assert!(!provider.whole.contains_key("anthropic-beta"));
        assert!(!provider.whole.contains_key("x-api-key"));
    }

    #[test]
    fn an_extra_header_replaces_the_default_header_of_the_same_name() {
        let extra = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))]);

        let provider = Anthropic::new("2023-06-01", &[], extra).expect("plain values fit in headers");

        assert_eq!(provider.stream.get_all(CONTENT_TYPE).iter().count(), 1);
        assert_eq!(provider.stream[CONTENT_TYPE], "application/json; charset=utf-8");
    }

    #[test]
    fn a_line_break_in_a_beta_is_refused() {
        let error = Anthropic::new("2023-06-01", &["a\nb".to_owned()], HeaderMap::new()).expect_err("a line break");

        assert_eq!(error.header, "anthropic-beta");
    }
}
