//! Counts tokens: makes the requests for the endpoint `count_tokens`, and reads the answers.
//!
//! Source: API documentation, "Token counting" (2026-08-22); API reference, "Count tokens" (2026-10).

use std::sync::Arc;

use http::Method;
use serde::Deserialize;

use super::Anthropic;
use crate::domain::json::{Cursor, DEEPEST};
use crate::domain::{PoolId, Request};
use crate::provider::{Body, Transfer, WireRequest};

/// The names of the request members that the endpoint `count_tokens` accepts. Members that are not in this list are not
/// part of a prompt.
const FIELDS: [&[u8]; 12] = [
    b"model",
    b"messages",
    b"system",
    b"tools",
    b"tool_choice",
    b"thinking",
    b"output_config",
    b"output_format",
    b"cache_control",
    b"context_management",
    b"mcp_servers",
    b"speed",
];

impl Anthropic {
    /// Returns an API request that asks how many input tokens `request` has. Requests to `count_tokens` are free, and
    /// have a rate limit of their own.
    pub fn encode_count(&self, request: &Request, route: &Arc<PoolId>) -> WireRequest {
        let mut body = Vec::with_capacity(request.json().len());
        body.push(b'{');
        let walk = Cursor::new(request.json()).object(|cursor, name| {
            let value = cursor.value(DEEPEST)?;
            if FIELDS.contains(&name) {
                if body.len() > 1 {
                    body.push(b',');
                }
                body.push(b'"');
                body.extend_from_slice(name);
                body.extend_from_slice(b"\":");
                body.extend_from_slice(value);
            }
            Some(())
        });
        body.push(b'}');
        // A request that can't be read is sent unchanged. The server then says what is wrong with the request.
        let body = if walk.is_some() { body } else { request.json().to_vec() };
        let changes = self.changes_of(&body);
        WireRequest {
            route: route.clone(),
            method: Method::POST,
            path: "/v1/messages/count_tokens".into(),
            headers: self.whole.clone(),
            body: changes.into_iter().fold(Body::plain(body.into()), Body::with),
            is_stream: false,
            transfer: Transfer::Usual,
        }
    }
}

/// Returns the token count in the body of an answer; `None` if the body has no count.
pub fn count_of(body: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Count {
        input_tokens: u64,
    }
    serde_json::from_slice(body).ok().map(|count: Count| count.input_tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ModelClass, Params, Speed};

    #[test]
    fn a_request_for_a_count_has_only_the_fields_of_the_prompt() {
        let provider = Anthropic::new("2023-06-01", &[], http::HeaderMap::new()).expect("plain values fit in headers");
        let (provider_name, account, class) = ("anthropic".into(), "".into(), ModelClass("m".into()));
        let pool = Arc::new(PoolId { provider: provider_name, account, class, speed: Speed::Standard });
        let json = r#"{"model":"m","max_tokens":5,"stream":true,"messages":[{"role":"user","content":"a\"b"}],"temperature":1,"system":"s"}"#;
        let params =
            serde_json::from_str::<std::collections::BTreeMap<Box<str>, Box<serde_json::value::RawValue>>>(json);
        let request = Request::of(&Params(params.expect("it is JSON").into_iter().collect()));

        let wire = provider.encode_count(&request, &pool);

        let body: serde_json::Value = serde_json::from_slice(&wire.body.into_bytes()).expect("it is JSON");
        let names: Vec<_> = body.as_object().expect("an object").keys().cloned().collect();
        assert_eq!(names, ["messages", "model", "system"]);
        assert_eq!((wire.path.as_ref(), wire.is_stream), ("/v1/messages/count_tokens", false));
        assert_eq!(body["messages"][0]["content"], "a\"b");
    }

    #[test]
    fn a_count_must_be_a_whole_number() {
        assert_eq!(count_of(br#"{"input_tokens":14}"#), Some(14));
        assert_eq!(count_of(br#"{"input_tokens":-1}"#), None);
        assert_eq!(count_of(b"<html>"), None);
    }
}
