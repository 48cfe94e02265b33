//! The differences that a client sees between the platforms with the Messages API.
//!
//! The platforms differ in paths, model names, rejected members, headers, and the format of errors. Limits, answers and
//! prices are the same on all platforms. There is one file for each platform, or for each family of platforms.
//!
//! # Choices where the documentation of the platforms says nothing
//!
//! | question | choice |
//! |---|---|
//! | must paths begin with the base path of the platform | no: requests inside the process lack it, so `/v1/messages` is served too |
//! | the format of a 400 from Google and Foundry | that of the API |
//! | the error if Bedrock is overloaded | `ServiceUnavailableException` |
//! | the format of an error inside a stream of Bedrock, Google or Foundry | an event as the API sends it |
//! | how OpenRouter sends errors with codes of 500 and more | in a body with status 200 |

mod aws;
mod google;
mod litellm;
mod openrouter;
mod sent;
mod servers;

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};

use self::sent::Sent;
use super::errors::ApiError;
use crate::domain::ProviderKind;

/// Returns the prefix of all Messages API paths on a platform, for example `/anthropic`.
pub(crate) fn base_path(kind: ProviderKind) -> &'static str {
    match kind {
        ProviderKind::Anthropic | ProviderKind::Aws | ProviderKind::LiteLlm | ProviderKind::Messages => "",
        ProviderKind::Bedrock | ProviderKind::BedrockMantle | ProviderKind::Foundry => "/anthropic",
        ProviderKind::Google => "/v1/projects/simulated/locations/global/workspaces/default/invoke",
        ProviderKind::OpenRouter => "/api",
    }
}

/// Returns a path without the part that belongs to the platform. An example of the result is `/v1/messages`.
pub(super) fn path(kind: ProviderKind, path: &str) -> &str {
    let rest = match kind {
        ProviderKind::Google => google::path(path),
        _ => path.strip_prefix(base_path(kind)),
    };
    rest.filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

/// Returns whether the platform has this endpoint of the API.
pub(super) fn has_endpoint(kind: ProviderKind, path: &str) -> bool {
    let is_count = path == "/v1/messages/count_tokens";
    match kind {
        ProviderKind::Anthropic | ProviderKind::Aws | ProviderKind::Google => true,
        ProviderKind::Bedrock | ProviderKind::OpenRouter => path == "/v1/messages",
        ProviderKind::BedrockMantle | ProviderKind::Foundry => path == "/v1/messages" || is_count,
        ProviderKind::LiteLlm | ProviderKind::Messages => path == "/v1/messages" || is_count || path == "/v1/models",
    }
}

/// If the platform answers a request to an unknown path with status 200, returns the body of this answer. Returns
/// `None` for any other status.
pub(super) fn unknown_path(kind: ProviderKind) -> Option<&'static [u8]> {
    match kind {
        ProviderKind::Bedrock | ProviderKind::BedrockMantle => Some(aws::UNKNOWN_OPERATION),
        _ => None,
    }
}

/// Returns whether the platform accepts keys in the header `x-api-key`. Every platform accepts keys in `authorization:
/// Bearer`.
pub(crate) fn reads_x_api_key(kind: ProviderKind) -> bool {
    kind != ProviderKind::Google
}

/// Returns whether a request needs the header `anthropic-version`.
pub(super) fn needs_version(kind: ProviderKind) -> bool {
    !matches!(kind, ProviderKind::OpenRouter | ProviderKind::LiteLlm | ProviderKind::Messages)
}

/// Translates the platform's name for a model into the API's name.
///
/// # Errors
/// Returns an error if the platform serves no model with this name.
pub(super) fn model(kind: ProviderKind, name: &str) -> Result<Cow<'_, str>, ApiError> {
    let found = match kind {
        ProviderKind::Bedrock => return aws::model_of_profile(name),
        ProviderKind::BedrockMantle => name.strip_prefix("anthropic.").map(Cow::Borrowed),
        ProviderKind::OpenRouter => openrouter::model(name),
        _ => Some(name.into()),
    };
    found.ok_or_else(|| ApiError::new(404, format!("model: {name}")))
}

/// Returns an error if the request has a member that the platform rejects.
pub(super) fn refuse_members(kind: ProviderKind, body: &[u8]) -> Result<(), ApiError> {
    match kind {
        ProviderKind::Bedrock | ProviderKind::BedrockMantle => aws::refuse_members(body),
        _ => Ok(()),
    }
}

/// Returns whether the platform's 429s have a header that says how long to wait.
pub(super) fn says_how_long(kind: ProviderKind) -> bool {
    matches!(kind, ProviderKind::Anthropic | ProviderKind::Aws | ProviderKind::Foundry | ProviderKind::LiteLlm)
}

/// Changes the headers of an answer from the API's headers to the platform's headers.
pub(super) fn change_headers(kind: ProviderKind, headers: &mut HeaderMap) {
    let keeps: &[&str] = match kind {
        ProviderKind::Anthropic | ProviderKind::Aws => return,
        ProviderKind::LiteLlm => return litellm::change_headers(headers),
        ProviderKind::Foundry => &["request-id", "retry-after", "retry-after-ms"],
        ProviderKind::Bedrock | ProviderKind::BedrockMantle => {
            rename(headers, "request-id", "x-amzn-requestid");
            &["x-amzn-requestid"]
        }
        ProviderKind::Google | ProviderKind::OpenRouter | ProviderKind::Messages => &[],
    };
    let of_api = |name: &str| {
        name.starts_with("anthropic-") || matches!(name, "request-id" | "retry-after" | "retry-after-ms" | "server")
    };
    let names: Vec<HeaderName> =
        headers.keys().filter(|name| of_api(name.as_str()) && !keeps.contains(&name.as_str())).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

fn rename(headers: &mut HeaderMap, from: &'static str, to: &'static str) {
    if let Some(value) = headers.remove(from) {
        headers.insert(HeaderName::from_static(to), value);
    }
}

/// Returns an error as the platform sends it.
pub(super) fn error(kind: ProviderKind, error: &ApiError, request_id: &str) -> Sent {
    let own = match kind {
        ProviderKind::Anthropic | ProviderKind::Aws => None,
        ProviderKind::Bedrock | ProviderKind::BedrockMantle => Some(aws::error(error)),
        ProviderKind::Google => google::error(error),
        ProviderKind::OpenRouter => Some(openrouter::error(error)),
        ProviderKind::LiteLlm => Some(litellm::error(error)),
        ProviderKind::Foundry => servers::of_foundry(error),
        ProviderKind::Messages => Some(servers::error(error)),
    };
    own.unwrap_or_else(|| Sent { status: error.status, body: error.body(request_id), headers: HeaderMap::new() })
}

/// Returns the event that reports an error inside a stream.
pub(super) fn error_event(kind: ProviderKind, error: &ApiError, request_id: &str) -> Vec<u8> {
    match kind {
        ProviderKind::OpenRouter => [b"data: ", &openrouter::error(error).body[..], b"\n\n"].concat(),
        _ => super::reply::error_event(&error.body(request_id)),
    }
}

#[cfg(test)]
mod tests;
