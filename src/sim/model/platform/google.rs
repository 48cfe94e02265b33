//! Imitates Claude on Google Cloud.
//!
//! Sources: PyPI anthropic 2.14.0, `lib/google_cloud` (paths); Google Cloud API design guide, "Errors";
//! anthropics/claude-code#1440, cline/cline#651, Aider-AI/aider#1912 (the 429, also inside a list).

use serde_json::{Value, json};

use super::sent::Sent;
use crate::sim::model::errors::ApiError;

/// Returns a path without its project, location and workspace.
pub(super) fn path(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("/v1/projects/")?;
    let (own, rest) = rest.split_once("/invoke/")?;
    let parts: Vec<&str> = own.split('/').collect();
    let is_own = matches!(parts[..], [_, "locations", _, "workspaces", _] | [_, "locations", _, "claudeOrganization"]);
    // `split_once` removed the slash after `invoke`; the returned path begins with this slash.
    is_own.then(|| &path[path.len() - rest.len() - 1..])
}

/// Returns an error in the format of Google Cloud; `None` for errors that Google Cloud sends in the API's format.
pub(super) fn error(error: &ApiError) -> Option<Sent> {
    const QUOTA: &str = "Quota exceeded for aiplatform.googleapis.com/online_prediction_input_tokens_per_minute_per_base_model \
                         with base model: anthropic-claude. Please submit a quota increase request.";
    const SHARED: &str = "Resource exhausted, please try again later.";
    const NO_TOKEN: &str = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or \
                            other valid authentication credential.";
    let own = &*error.message;
    let (status, name, message) = match error.status {
        401 => (401, "UNAUTHENTICATED", NO_TOKEN),
        403 => (403, "PERMISSION_DENIED", own),
        404 => (404, "NOT_FOUND", own),
        429 => (429, "RESOURCE_EXHAUSTED", QUOTA),
        500 => (500, "INTERNAL", own),
        503 => (503, "UNAVAILABLE", own),
        504 => (504, "DEADLINE_EXCEEDED", own),
        529 => (429, "RESOURCE_EXHAUSTED", SHARED),
        _ => return None,
    };
    let body = json!({ "error": { "code": status, "message": message, "status": name } });
    // Google Cloud sends a 429 as an object or as a list with one object. The simulator always sends a list.
    let body = if error.status == 429 { Value::Array(vec![body]) } else { body };
    Some(Sent::new(status, &body))
}
