//! OpenRouter.
//!
//! Source: OpenRouter documentation, "Errors and debugging" (2026).

use std::borrow::Cow;

use serde_json::json;

use super::sent::Sent;
use crate::sim::model::errors::ApiError;

/// Returns the name that the Claude API uses for a model of OpenRouter. OpenRouter writes versions with a dot, as in
/// `anthropic/claude-haiku-4.5`.
pub(super) fn model(name: &str) -> Option<Cow<'_, str>> {
    let model = name.strip_prefix("anthropic/")?;
    Some(if model.contains('.') { model.replace('.', "-").into() } else { model.into() })
}

/// Returns an error as OpenRouter sends it. An error with a code of 500 or more comes with status 200, as if a model
/// had begun to answer.
pub(super) fn error(error: &ApiError) -> Sent {
    let own = &*error.message;
    let (code, message, metadata) = match error.status {
        401 => (401, "No auth credentials found", json!(null)),
        402 => (402, "Insufficient credits", json!({ "limit_source": "account" })),
        403 => (403, "Input was flagged", json!({ "reasons": ["violence"], "provider_name": "Anthropic" })),
        404 => (404, "No endpoints found for this model.", json!(null)),
        429 => (429, "Provider returned error", json!({ "raw": "rate limited", "provider_name": "Anthropic" })),
        529 => (502, "Provider returned error", json!({ "raw": own, "provider_name": "Anthropic" })),
        status => (status, own, json!(null)),
    };
    let mut body = json!({ "error": { "code": code, "message": message } });
    if !metadata.is_null() {
        body["error"]["metadata"] = metadata;
    }
    Sent::new(if code < 500 { code } else { 200 }, &body)
}
