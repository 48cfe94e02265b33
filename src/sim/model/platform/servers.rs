//! Imitates Microsoft Foundry, and vLLM as an example of a server with its own models.
//!
//! Sources: vllm-project/vllm#46688; Microsoft Foundry, "Deploy and use Claude models" (2026).

use serde_json::json;

use super::sent::Sent;
use crate::sim::model::errors::ApiError;

/// Returns an error as vLLM sends it.
pub(super) fn error(error: &ApiError) -> Sent {
    let own = &*error.message;
    let (status, kind, message) = match error.status {
        401 => return Sent::new(401, &json!({ "error": "Unauthorized" })),
        404 if own.starts_with("model: ") => {
            let name = own.trim_start_matches("model: ");
            (404, "NotFoundError", format!("The model `{name}` does not exist."))
        }
        404 => return Sent::new(404, &json!({ "detail": "Not Found" })),
        429 => (429, "RateLimitError", own.to_owned()),
        529 => (503, "ServiceUnavailableError", own.to_owned()),
        status @ 400..=499 => (status, "BadRequestError", own.to_owned()),
        status => (status, "InternalServerError", own.to_owned()),
    };
    Sent::new(status, &json!({ "error": { "message": message, "type": kind, "param": null, "code": status } }))
}

/// Returns an error in the format of Azure; `None` for errors that Foundry sends in the API's format.
pub(super) fn of_foundry(error: &ApiError) -> Option<Sent> {
    const NO_KEY: &str = "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a \
                          valid key for an active subscription and use a correct regional API endpoint for your resource.";
    const NO_DEPLOYMENT: &str = "The API deployment for this resource does not exist. If you created the deployment \
                                 within the last 5 minutes, please wait a moment and try again.";
    let (code, message) = match error.status {
        401 => ("401", NO_KEY),
        404 => ("DeploymentNotFound", NO_DEPLOYMENT),
        429 => ("RateLimitReached", "Your requests have exceeded the token rate limit of your current tier."),
        _ => return None,
    };
    Some(Sent::new(error.status, &json!({ "error": { "code": code, "message": message } })))
}
