//! Imitates a LiteLLM proxy in front of the API.
//!
//! Sources: PyPI litellm 1.110.2; BerriAI/litellm#37754 (the lost `retry-after`).

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use super::sent::Sent;
use crate::sim::model::errors::ApiError;

/// Adds the proxy's prefix to the names of the API's headers, and adds the proxy's own headers.
pub(super) fn change_headers(headers: &mut HeaderMap) {
    let of_api = |name: &str| {
        name.starts_with("anthropic-") || matches!(name, "request-id" | "retry-after" | "retry-after-ms" | "server")
    };
    let names: Vec<HeaderName> = headers.keys().filter(|name| of_api(name.as_str())).cloned().collect();
    for name in names {
        let Some(value) = headers.remove(&name) else { continue };
        if name == "request-id" {
            headers.insert("x-litellm-call-id", value.clone());
        }
        if let Ok(name) = HeaderName::try_from(format!("llm_provider-{name}")) {
            headers.insert(name, value);
        }
    }
    headers.insert("x-litellm-attempted-retries", HeaderValue::from_static("0"));
}

/// Returns an error as the proxy sends it.
pub(super) fn error(error: &ApiError) -> Sent {
    let own = &*error.message;
    let behind = |name: &str| format!("litellm.{name}: AnthropicException - {own}");
    let (status, kind, message) = match error.status {
        401 => (401, "auth_error", "Authentication Error, Invalid proxy server token passed.".to_owned()),
        402 => (400, "budget_exceeded", "Budget has been exceeded! Current cost: 1.0, Max budget: 1.0".to_owned()),
        404 if own.starts_with("model: ") => {
            let name = own.trim_start_matches("model: ");
            let message = format!(
                "Invalid model name passed in model={name}. Call `/v1/models` to view available models for your key."
            );
            (400, "invalid_request_error", message)
        }
        429 => (429, "throttling_error", behind("RateLimitError")),
        503 | 529 => (503, "internal_server_error", behind("ServiceUnavailableError")),
        status @ 400..=499 => (status, "invalid_request_error", behind("BadRequestError")),
        status => (status, "internal_server_error", behind("InternalServerError")),
    };
    let code = status.to_string();
    Sent::new(status, &json!({ "error": { "message": message, "type": kind, "param": null, "code": code } }))
}
