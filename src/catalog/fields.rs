//! Names of the fields of a request.

/// Top-level fields of a message request. The API takes the last five fields only with a beta header.
///
/// Source: API reference, body of POST /v1/messages, and the Python SDK's `message_create_params.py` (2026-11).
pub(crate) const REQUEST_FIELDS: [&str; 26] = [
    "model",
    "max_tokens",
    "messages",
    "system",
    "stop_sequences",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "metadata",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "output_format",
    "cache_control",
    "service_tier",
    "speed",
    "inference_geo",
    "container",
    "diagnostics",
    "context_management",
    "mcp_servers",
    "fallbacks",
    "compaction",
    "thread",
];
