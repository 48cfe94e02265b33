//! Checks a request body as the API does before it counts tokens. A body that fails a check gets a 400 or 404.
//!
//! Source: API reference, "Messages" (2026-10), and error messages that the API has sent. If the message of the API is
//! not known, the simulator uses a message of its own.

mod calls;
mod conversation;
mod form;
mod images;
mod prompt;
mod said;
mod schemas;
mod settings;
mod tools;

use std::borrow::Cow;

use serde::Deserialize;

use crate::catalog::REQUEST_FIELDS;
use crate::sim::config::{ModelTraits, SimModel};

use super::errors::ApiError;
use super::fields::{Fields, Text};
use super::parts::Part;

pub(super) use form::Form;
pub(super) use settings::Settings;

use prompt::Counted;
use schemas::Schemas;

/// The first API version that rejects sampling parameters.
pub(super) const VERSION_2026: &str = "2026-10-21";
/// The API versions that requests can name.
pub(super) const VERSIONS: [&str; 2] = ["2023-06-01", VERSION_2026];

/// The fields that the endpoint `count_tokens` accepts. Source: API reference, "Count tokens" (2026-10).
const COUNT_FIELDS: &[&str] = &[
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "output_format",
    "cache_control",
    "speed",
    "context_management",
    "mcp_servers",
    "compaction",
    "thread",
];

/// The API's maximum number of characters in the name of a model and in `metadata.user_id`.
const LETTERS: usize = 256;
/// The endpoint that a body was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// `POST /v1/messages`.
    Messages,
    /// `POST /v1/messages/count_tokens`. Bodies for this endpoint have no `max_tokens`.
    CountTokens,
}

/// The member `diagnostics` of a body, which asks why a prompt was not read from the cache.
#[derive(Debug, Deserialize)]
pub(super) struct Diagnostics<'a> {
    /// The id of the earlier message with which the prompt is compared.
    #[serde(borrow, default)]
    pub previous_message_id: Option<Cow<'a, str>>,
}

/// A request body that has passed the checks.
#[derive(Debug)]
pub(super) struct Prompt<'a> {
    /// All fields of the body.
    pub fields: Fields<'a>,
    /// `max_tokens`.
    pub max_tokens: u64,
    /// Whether the request asks for a stream of events.
    pub is_stream: bool,
    /// `stop_sequences`.
    pub stop_sequences: Vec<Cow<'a, str>>,
    /// The form in which the model must answer.
    pub form: Form,
    /// The maximum number of tokens for thinking.
    pub thinking_budget: u64,
    /// The number of tokens of the prompt.
    pub tokens: u64,
    /// The parts of the prompt. If the request has no cache breakpoint and does not ask for diagnostics, the list is
    /// empty.
    pub parts: Vec<Part>,
    /// The settings that the cache entries of the prompt depend on.
    pub settings: Settings,
    /// `diagnostics`.
    pub diagnostics: Option<Diagnostics<'a>>,
    /// The value of `metadata.user_id`.
    pub user_id: Option<Cow<'a, str>>,
}

/// Checks the names of all fields in a body, and returns the name of its model.
pub(super) fn model_name<'a>(fields: &Fields<'a>, endpoint: Endpoint) -> Result<Cow<'a, str>, ApiError> {
    let known = match endpoint {
        // Fields that need a beta header are accepted without it.
        Endpoint::Messages => &REQUEST_FIELDS,
        Endpoint::CountTokens => COUNT_FIELDS,
    };
    if let Some((unknown, _)) = fields.0.iter().find(|(name, _)| !known.contains(&&**name)) {
        return Err(ApiError::invalid(format!("{unknown}: Extra inputs are not permitted")));
    }
    let Text(name) = fields.required("model", "a valid string")?;
    short(&name, "model")?;
    Ok(name)
}

fn short(text: &str, name: &str) -> Result<(), ApiError> {
    if text.len() > LETTERS && text.chars().nth(LETTERS).is_some() {
        return Err(ApiError::invalid(format!("{name}: String should have at most {LETTERS} characters")));
    }
    Ok(())
}

/// Reads and checks a body for `model`, or returns the error that the API sends for it.
pub(super) fn read<'a>(
    fields: Fields<'a>,
    model: &SimModel,
    version: &str,
    endpoint: Endpoint,
    token_skew: f64,
) -> Result<Prompt<'a>, ApiError> {
    let max_tokens = max_tokens(&fields, model, endpoint)?;
    let is_stream = fields.read_as("stream", "a valid boolean")?.unwrap_or(false);
    sampling(&fields, &model.traits, version)?;
    let thinking_budget = thinking(&fields, &model.traits, max_tokens)?;
    let form = form::read(&fields, &model.traits)?;
    prewarm(max_tokens, is_stream, thinking_budget, &form)?;
    if thinking_budget > 0 && matches!(form, Form::Tool(_)) {
        return Err(ApiError::invalid("Thinking may not be enabled when tool_choice forces tool use."));
    }
    let Counted { tokens, parts, settings } = prompt::count(&fields, token_skew)?;
    let mut schemas = Schemas::default();
    tools::check(&fields, &mut schemas)?;
    if let Form::Json(schema) = &form {
        schemas.output(schema)?;
    }
    conversation::check(&fields, &model.traits, &form)?;
    if tokens > model.context_tokens {
        let most = model.context_tokens;
        return Err(ApiError::invalid(format!("prompt is too long: {tokens} tokens > {most} maximum")));
    }
    let stops: Option<Vec<Text<'a>>> = fields.read_as("stop_sequences", "a valid list")?;
    let stop_sequences: Vec<Cow<'a, str>> = stops.unwrap_or_default().into_iter().map(|Text(text)| text).collect();
    if stop_sequences.iter().any(|stop| stop.trim().is_empty()) {
        return Err(ApiError::invalid("stop_sequences: each stop sequence must contain non-whitespace"));
    }
    let user_id = user_id(&fields)?;
    let diagnostics = fields.read_as("diagnostics", "a valid dictionary")?;
    Ok(Prompt {
        fields,
        max_tokens,
        is_stream,
        stop_sequences,
        form,
        thinking_budget,
        tokens,
        parts,
        settings,
        diagnostics,
        user_id,
    })
}

fn max_tokens(fields: &Fields<'_>, model: &SimModel, endpoint: Endpoint) -> Result<u64, ApiError> {
    if endpoint == Endpoint::CountTokens {
        // This endpoint makes no answer, so it allows every thinking budget.
        return Ok(u64::MAX);
    }
    let asked: i64 = fields.required("max_tokens", "a valid integer")?;
    let asked = u64::try_from(asked)
        .map_err(|_| ApiError::invalid("max_tokens: Input should be greater than or equal to 0"))?;
    let most = model.max_output_tokens;
    if asked > most {
        return Err(ApiError::invalid(format!(
            "max_tokens: {asked} > {most}, which is the maximum allowed number of output tokens for {}",
            model.id
        )));
    }
    Ok(asked)
}

fn sampling(fields: &Fields<'_>, traits: &ModelTraits, version: &str) -> Result<(), ApiError> {
    for name in ["temperature", "top_p", "top_k"] {
        let Some(value) = fields.read_as::<f64>(name, "a valid number")? else { continue };
        if version == VERSION_2026 {
            return Err(ApiError::invalid(format!("{name}: Extra inputs are not permitted")));
        }
        if name != "top_k" && !(0.0..=1.0).contains(&value) {
            return Err(ApiError::invalid(format!("{name}: Input should be less than or equal to 1")));
        }
        let is_default = name != "top_k" && value == 1.0;
        if !traits.allows_sampling && !is_default {
            return Err(ApiError::invalid(format!("`{name}` may only be set to its default for this model.")));
        }
    }
    Ok(())
}

/// Returns the maximum number of tokens for thinking.
fn thinking(fields: &Fields<'_>, traits: &ModelTraits, max_tokens: u64) -> Result<u64, ApiError> {
    #[derive(Deserialize)]
    struct Thinking<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
        #[serde(default)]
        budget_tokens: Option<u64>,
    }
    let Some(thinking) = fields.read_as::<Thinking<'_>>("thinking", "a valid dictionary")? else { return Ok(0) };
    let allowed = match &*thinking.kind {
        "enabled" => traits.allows_thinking_enabled,
        "adaptive" => traits.allows_thinking_adaptive,
        "disabled" => traits.allows_thinking_disabled,
        "between_tools" => true,
        other => {
            return Err(ApiError::invalid(format!("thinking: Input tag '{other}' found using 'type' is not expected")));
        }
    };
    if !allowed {
        return Err(ApiError::invalid(format!("thinking.type: `{}` is not supported for this model.", thinking.kind)));
    }
    match (&*thinking.kind, thinking.budget_tokens) {
        ("enabled", None) => Err(ApiError::invalid("thinking.enabled.budget_tokens: Field required")),
        ("enabled", Some(..1024)) => {
            Err(ApiError::invalid("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"))
        }
        ("enabled", Some(budget)) if budget >= max_tokens => {
            Err(ApiError::invalid("`max_tokens` must be greater than `thinking.budget_tokens`."))
        }
        ("enabled", Some(budget)) => Ok(budget),
        ("adaptive", _) => Ok(max_tokens / 4),
        _ => Ok(0),
    }
}

/// Checks a request that only fills the cache (`max_tokens` 0). Source: API documentation, "Prompt caching"
/// (2026-08-22).
fn prewarm(max_tokens: u64, is_stream: bool, thinking_budget: u64, form: &Form) -> Result<(), ApiError> {
    if max_tokens > 0 {
        return Ok(());
    }
    let refused = match form {
        _ if is_stream => "stream",
        _ if thinking_budget > 0 => "thinking",
        Form::Json(_) => "structured output",
        Form::Tool(_) => "a forced tool choice",
        Form::Free { .. } => return Ok(()),
    };
    Err(ApiError::invalid(format!("max_tokens: 0 can't be used with {refused}")))
}

fn user_id<'a>(fields: &Fields<'a>) -> Result<Option<Cow<'a, str>>, ApiError> {
    #[derive(Deserialize)]
    struct Metadata<'a> {
        #[serde(borrow, default)]
        user_id: Option<Cow<'a, str>>,
    }
    let metadata = fields.read_as::<Metadata<'a>>("metadata", "a valid dictionary")?;
    let user_id = metadata.and_then(|metadata| metadata.user_id);
    user_id.iter().try_for_each(|id| short(id, "metadata.user_id"))?;
    Ok(user_id)
}
