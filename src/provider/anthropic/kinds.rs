//! Names in answers of the API: stop reasons, and the types of content blocks that call a tool.
//!
//! Source: API documentation, "Handling stop reasons" (2026-08-22).

use crate::domain::Quality;

/// Returns the quality of an answer with this stop reason; `None` if the stop reason means that the model has only
/// paused.
///
/// The Mantle endpoint of Amazon Bedrock stops an answer early when the limit of output tokens is used up. No source
/// says which stop reason such an answer has. So the program treats this stop reason as unknown, and the quality of the
/// answer is `unknown`. When the name of this stop reason becomes known, add the name next to `max_tokens`.
pub(super) fn quality(stop_reason: &[u8]) -> Option<Quality> {
    match stop_reason {
        b"end_turn" | b"stop_sequence" | b"tool_use" => Some(Quality::Ok),
        b"max_tokens" | b"model_context_window_exceeded" => Some(Quality::Truncated),
        b"refusal" => Some(Quality::Refused),
        b"pause_turn" => None,
        _ => Some(Quality::Unknown),
    }
}

/// Returns whether a block of this type calls a tool.
pub(super) fn is_call(kind: &[u8]) -> bool {
    matches!(kind, b"tool_use" | b"server_tool_use" | b"mcp_tool_use")
}
