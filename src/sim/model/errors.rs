//! Error responses: their statuses, types and messages.
//!
//! Source: API documentation, "Errors" (2026-10) and "Rate limits" (2026-08-22).

use serde_json::json;

/// An error response of the API, without headers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// `error.type`.
    pub kind: String,
    /// `error.message`.
    pub message: String,
    /// `error.details.error_code`.
    pub error_code: Option<String>,
}

impl ApiError {
    /// Returns an error with this status and the usual type of this status.
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, kind: kind_of(status).to_owned(), message: message.into(), error_code: None }
    }

    /// Returns a 400 with this message.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    /// Sets the error code (`details.error_code`).
    pub(super) fn with_code(mut self, code: &str) -> Self {
        self.error_code = Some(code.to_owned());
        self
    }

    /// Returns the body of the error response.
    pub(super) fn body(&self, request_id: &str) -> Vec<u8> {
        let details = self.error_code.as_ref().map(|code| json!({ "error_code": code }));
        let error = json!({ "details": details, "type": self.kind, "message": self.message });
        json!({ "type": "error", "error": error, "request_id": request_id }).to_string().into_bytes()
    }
}

/// Returns the usual error type of a status.
pub(super) fn kind_of(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

/// Returns the usual status of an error type.
pub(super) fn status_of(kind: &str) -> u16 {
    match kind {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => 500,
    }
}

/// Returns the usual message of a status.
pub(super) fn usual_message(status: u16) -> &'static str {
    match status {
        401 => "invalid x-api-key",
        402 => "Your organization's billing information is not valid.",
        403 => "Your API key does not have permission to use the specified resource.",
        404 => "Not found",
        409 => "The request conflicts with another one.",
        413 => "Request exceeds the maximum size",
        429 => "This request would exceed your account's rate limit. Please try again later.",
        504 => "The request timed out.",
        529 => "Overloaded",
        400..=499 => "The request is invalid.",
        _ => "Internal server error",
    }
}

/// Returns the error page of a gateway in front of the API.
pub(super) fn html_page(status: u16) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en-US\">\n<head><title>api.anthropic.com | {status}</title></head>\n\
         <body><h1>Error {status}</h1><p>The web server reported an error.</p></body>\n</html>\n"
    )
}
