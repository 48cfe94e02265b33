//! Imitates both Messages endpoints of Amazon Bedrock.
//!
//! Sources: botocore 1.44.8, service model bedrock-runtime; Aider-AI/aider#4143, anthropics/claude-code#77 and #1466
//! (messages); a public record of live tests of 2026-09-05 (rejected members, unknown operations in a 200).

use std::borrow::Cow;

use serde_json::{Value, json};

use super::sent::Sent;
use crate::sim::model::errors::ApiError;

/// The body of the answer to an unknown path. The status of the answer is 200.
pub(super) const UNKNOWN_OPERATION: &[u8] =
    br#"{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}"#;

/// The prefixes of inference profile names.
const PROFILES: [&str; 5] = ["global.", "us.", "eu.", "jp.", "au."];

/// The suffixes of inference profile names for older models.
const VERSIONS: [&str; 2] = ["-v1:0", "-v1"];

/// Returns the name that the Claude API uses for the model of an inference profile.
pub(super) fn model_of_profile(name: &str) -> Result<Cow<'_, str>, ApiError> {
    let model = PROFILES.iter().find_map(|region| name.strip_prefix(region)?.strip_prefix("anthropic."));
    match model {
        Some(model) => Ok(VERSIONS.iter().find_map(|end| model.strip_suffix(end)).unwrap_or(model).into()),
        None if name.starts_with("anthropic.") => Err(ApiError::invalid(format!(
            "Invocation of model ID {name} with on-demand throughput isn\u{2019}t supported. Retry your request with the \
             ID or ARN of an inference profile that contains this model."
        ))),
        None => Err(ApiError::new(404, format!("model: {name}"))),
    }
}

/// Rejects members that Bedrock does not accept. These members came with the Claude 5 models.
pub(super) fn refuse_members(body: &[u8]) -> Result<(), ApiError> {
    // Another check rejects a body that is not JSON.
    let Ok(json) = serde_json::from_slice::<Value>(body) else { return Ok(()) };
    let extra = |place: &str| Err(ApiError::invalid(format!("{place}: Extra inputs are not permitted")));
    for (pointer, place) in [
        ("/output_config/format", "output_config.format"),
        ("/inference_geo", "inference_geo"),
        ("/fallbacks", "fallbacks"),
    ] {
        if json.pointer(pointer).is_some() {
            return extra(place);
        }
    }
    let tools = json.get("tools").and_then(Value::as_array);
    for (at, tool) in tools.into_iter().flatten().enumerate() {
        if tool.get("strict").is_some() {
            return extra(&format!("tools.{at}.custom.strict"));
        }
        if let Some(kind) = tool.get("type").and_then(Value::as_str).filter(|kind| *kind != "custom") {
            return Err(ApiError::invalid(format!("tools.{at}: tool type '{kind}' is not supported")));
        }
    }
    let user_id = json.pointer("/metadata/user_id").and_then(Value::as_str);
    if user_id.is_some_and(|id| id.contains(['{', '"'])) {
        let message = "Request metadata contains a value that violates the regular expression";
        return Err(ApiError::invalid(message));
    }
    Ok(())
}

/// Returns an error as AWS sends it.
pub(super) fn error(error: &ApiError) -> Sent {
    const THROTTLED: &str = "Too many tokens, please wait before trying again.";
    const NO_MODEL: &str = "The provided model identifier is invalid.";
    const NO_KEY: &str = "Authentication failed: Please make sure your API Key is valid.";
    const BUSY: &str = "Bedrock is unable to process your request.";
    let own = &*error.message;
    let (status, name, message) = match error.status {
        401 => (403, "AccessDeniedException", NO_KEY),
        402 => (400, "ServiceQuotaExceededException", own),
        403 => (403, "AccessDeniedException", own),
        404 if own.starts_with("model: ") => (400, "ValidationException", NO_MODEL),
        404 => (404, "ResourceNotFoundException", own),
        408 => (408, "ModelTimeoutException", own),
        429 => (429, "ThrottlingException", THROTTLED),
        503 | 529 => (503, "ServiceUnavailableException", BUSY),
        400..=499 => (400, "ValidationException", own),
        _ => (500, "InternalServerException", own),
    };
    Sent::new(status, &json!({ "message": message })).with_header("x-amzn-errortype", name)
}
