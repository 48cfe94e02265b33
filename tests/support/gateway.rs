//! A gateway between the runner and the simulated API. The gateway hides everything that the API says about rate
//! limits.

use std::sync::Arc;

use bytes::Bytes;
use claude_batch::domain::Secrets;
use claude_batch::provider::{ReplyHead, WireRequest};
use claude_batch::sim::transport::SimTransport;
use claude_batch::transport::{Exchange, Transport, WireError};
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;

/// The information that a gateway hides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hides {
    /// There is no gateway.
    #[default]
    Nothing,
    /// The gateway hides every header about limits. If the API refuses a request, the client gets a 429 without headers
    /// about limits.
    Headers,
    /// The gateway hides every header about limits. The gateway also hides refusals: instead of a refusal, the client
    /// gets a 500.
    Refusals,
    /// The gateway has the limits of the scenario. It passes on the headers of an API with far higher limits. With a
    /// refusal, it sends no headers about limits, and asks to wait a second.
    OwnLimits,
}

/// The limits of the API behind a gateway that has limits of its own.
const OF_THE_API: [(&str, &str, &str); 3] = [
    ("anthropic-ratelimit-requests-limit", "anthropic-ratelimit-requests-remaining", "1000"),
    ("anthropic-ratelimit-input-tokens-limit", "anthropic-ratelimit-input-tokens-remaining", "2000000"),
    ("anthropic-ratelimit-output-tokens-limit", "anthropic-ratelimit-output-tokens-remaining", "400000"),
];

/// The simulated API behind a gateway.
pub struct Gateway {
    /// The API.
    pub inner: SimTransport,
    /// The information that the gateway hides.
    pub hides: Hides,
}

/// A response that has passed through the gateway.
pub struct HandedOn<E> {
    inner: E,
    head: ReplyHead,
    /// The text that replaces the body; `None` if the gateway does not replace it. `Some(None)` means that the client
    /// has already read the text.
    body: Option<Option<Bytes>>,
}

impl Transport for Gateway {
    type Exchange = HandedOn<<SimTransport as Transport>::Exchange>;

    async fn send(&self, request: WireRequest) -> Result<Self::Exchange, WireError> {
        let inner = self.inner.send(request).await?;
        let mut head = inner.head().clone();
        if self.hides != Hides::Nothing {
            let is_told = |name: &str| !name.contains("ratelimit") && !name.starts_with("retry-after");
            let told = head.headers.iter().filter(|(name, _)| is_told(name.as_str()));
            head.headers = told.map(|(name, value)| (name.clone(), value.clone())).collect::<HeaderMap>();
        }
        let is_refusal = head.status == 429;
        if self.hides == Hides::OwnLimits && is_refusal {
            head.headers.insert("retry-after", HeaderValue::from_static("1"));
        } else if self.hides == Hides::OwnLimits {
            for (limit, remaining, number) in OF_THE_API {
                head.headers.insert(limit, HeaderValue::from_static(number));
                head.headers.insert(remaining, HeaderValue::from_static(number));
            }
        }
        let error = |kind: &str| {
            let text = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"no"}}}}"#);
            Some(Some(Bytes::from(text)))
        };
        let body = match self.hides {
            Hides::Headers | Hides::OwnLimits if is_refusal => error("rate_limit_error"),
            Hides::Refusals if is_refusal => {
                head.status = 500;
                error("api_error")
            }
            Hides::Nothing | Hides::Headers | Hides::Refusals | Hides::OwnLimits => None,
        };
        Ok(HandedOn { inner, head, body })
    }

    fn secrets(&self) -> Arc<Secrets> {
        self.inner.secrets()
    }
}

impl<E: Exchange> Exchange for HandedOn<E> {
    fn head(&self) -> &ReplyHead {
        &self.head
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, WireError> {
        match &mut self.body {
            Some(body) => Ok(body.take()),
            None => self.inner.chunk().await,
        }
    }
}
