//! What the API calls things: why an answer ended, and which blocks call a tool.
//!
//! Source: API documentation, "Handling stop reasons" (2026-08-22).

use crate::domain::Quality;

/// Returns how good an answer is that ended so; `None` for one that has only paused.
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
