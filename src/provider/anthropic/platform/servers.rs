//! Errors of other servers that speak the Messages API: vLLM, SGLang, llama.cpp, Ollama, LM Studio, Microsoft Foundry.
//!
//! The error bodies of these servers have several forms, and their statuses differ from the API's. For example, a
//! prompt that is too long can lead to a 500, and a missing model can lead to a 400. So the text of the message decides
//! what an error means.
//!
//! Sources: vllm-project/vllm#46688, ggml-org/llama.cpp#15780, #17570 and #19774, anthropics/claude-code#67179, ollama/ollama (`server/routes.go`), Microsoft Foundry,
//! "Deploy and use Claude models" (2026).

use super::meaning::{DAY_IS_OVER, Finding, Meaning, has_any, is_for_a_day, is_too_long};
use crate::domain::{ErrorClass, Failure};

/// The text that is added to an error message if the server does not know the path.
const NO_MESSAGES_HERE: &str = "the server has no Messages API at this address: check the base-url of the provider";

/// Returns the special meaning of a server's error; `None` if the status alone says what the error means.
pub(super) fn finding(status: u16, failure: &Failure) -> Option<Finding> {
    let is_missing_model = || {
        let says_so = ["not found", "does not exist", "not loaded", "no models loaded", "invalid model"];
        has_any(failure, &["model", "deployment"]) && has_any(failure, &says_so)
    };
    let is_missing_path = || {
        let message = failure.message.to_ascii_lowercase();
        ["not found", "404 page not found", "file not found"].contains(&message.trim_end_matches('.'))
    };
    Some(match status {
        400 | 404 if has_any(failure, &["api_not_supported", "api is currently not supported"]) => {
            Meaning::Address.because(NO_MESSAGES_HERE)
        }
        400 | 413 | 422 | 500 if is_too_long(failure) => Meaning::Row(ErrorClass::TooLarge).into(),
        400 | 404 | 500 if is_missing_model() => Meaning::Model.into(),
        404 if is_missing_path() => Meaning::Address.because(NO_MESSAGES_HERE),
        429 if is_for_a_day(failure) => Meaning::Account.because(DAY_IS_OVER),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::meaning::failure;
    use super::*;

    #[test]
    fn each_error_of_a_server_has_its_meaning() {
        let too_large = Some(Meaning::Row(ErrorClass::TooLarge));
        let cases = [
            (404, "NotFoundError", "The model `x` does not exist.", Some(Meaning::Model)),
            (404, "not_found_error", "model 'x' not found", Some(Meaning::Model)),
            (400, "", "No models loaded. Please load a model in the developer page.", Some(Meaning::Model)),
            (404, "DeploymentNotFound", "The API deployment for this resource does not exist.", Some(Meaning::Model)),
            (404, "api_not_supported", "Requested API is currently not supported", Some(Meaning::Address)),
            (404, "", "Not Found", Some(Meaning::Address)),
            (404, "not_found_error", "File Not Found", Some(Meaning::Address)),
            (400, "BadRequestError", "This model's maximum context length is 4096 tokens.", too_large),
            (400, "exceed_context_size_error", "the request exceeds the available context size", too_large),
            (500, "", "the input length exceeds the context length", too_large),
            (500, "", "CUDA error: out of memory", None),
            (503, "unavailable_error", "Loading model", None),
            (400, "", "messages: field required", None),
            (422, "", "unknown field", None),
        ];

        for (status, kind, message, expected) in cases {
            let found = finding(status, &failure(kind, message)).map(|finding| finding.meaning);
            assert_eq!(found, expected, "{status} {message}");
        }
    }
}
