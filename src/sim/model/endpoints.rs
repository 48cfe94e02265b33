//! The endpoints. Checks the key and the path of a request, and passes the request to the module that answers it.

use std::sync::Arc;

use http::{HeaderMap, Method};

use crate::clock::Instant;
use crate::domain::{MAX_BODY_BYTES, ModelClass};
use crate::sim::config::{Keys, Organizations, UnknownModels};

use super::admission::Drawn;
use super::batches;
use super::errors::{self, ApiError};
use super::exchange::{Arrival, Request};
use super::fields::Fields;
use super::hash::Hash;
use super::platform;
use super::refusal::Stop;
use super::script::AskedFacts;
use super::state::{Model, TOKEN_COUNT};
use super::validate::{self, Endpoint};

/// The maximum number of unknown models that get a model class of their own.
const MAX_UNKNOWN: usize = 1000;

/// The path at which clients check whether the API can be reached.
const HELLO: &str = "/api/hello";
/// The paths of the endpoints, except the paths of single models.
const PATHS: [&str; 4] = ["/v1/messages", "/v1/messages/count_tokens", "/v1/models", "/v1/organizations/rate_limits"];
/// The prefix of the paths of single models.
const ONE_MODEL: &str = "/v1/models/";

/// The maximum length, in bytes, of the body that creates a batch. Source: API documentation, "Batch processing"
/// (2026-09-20).
const MAX_BATCH_BYTES: usize = 256 << 20;

/// The prefix of admin keys.
const ADMIN_KEY: &str = "sk-ant-admin";

/// Who sent a request, according to its accepted key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    /// The organization whose limits the sender uses.
    pub organization: u64,
    /// Whether the sender is allowed to read the limits of the organization.
    pub is_admin: bool,
}

impl Model {
    pub(super) fn answer(
        &mut self,
        request: &Request<'_>,
        request_id: &str,
        now: Instant,
    ) -> Result<Arrival, Box<Stop>> {
        let kind = self.config.kind;
        let path = platform::path(kind, request.path.strip_suffix('/').unwrap_or(request.path));
        if path == HELLO && matches!(*request.method, Method::GET | Method::HEAD) {
            return Ok(self.json_answer(br#"{"message":"hello"}"#.to_vec(), request_id, 0, None));
        }
        if !is_known(path) || !platform::has_endpoint(kind, path) {
            if let Some(body) = platform::unknown_path(kind) {
                return Ok(self.json_answer(body.to_vec(), request_id, 0, None));
            }
            return Err(ApiError::new(404, "Not found").into());
        }
        let caller = self.authenticate(request.headers)?;
        let version = match platform::needs_version(kind) || request.headers.contains_key("anthropic-version") {
            true => version(request.headers)?,
            false => validate::VERSIONS[0],
        };
        betas(request.headers)?;
        encoding(request.headers)?;
        match (path, request.method) {
            ("/v1/messages", &Method::POST) => self.message(request, request_id, caller.organization, version, now),
            ("/v1/messages/count_tokens", &Method::POST) => {
                self.count_tokens(request, request_id, caller.organization, version)
            }
            ("/v1/models", &Method::GET) => Ok(self.data(self.list_models(request.query)?, request_id, caller)),
            ("/v1/organizations/rate_limits", &Method::GET) => {
                Ok(self.data(self.list_limits(request.query, caller)?, request_id, caller))
            }
            (path, _) if batches::is_path(path) => self.batch_call(request, path, request_id, caller, version),
            (path, &Method::GET) if path.starts_with(ONE_MODEL) => {
                Ok(self.data(self.one_model(&path[ONE_MODEL.len()..])?, request_id, caller))
            }
            _ => Err(ApiError::new(405, "Method Not Allowed").into()),
        }
    }

    /// Uses the key of a request to find out who sent the request.
    fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(|key| !key.is_empty());
        let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let plain = text("x-api-key").filter(|_| platform::reads_x_api_key(self.config.kind));
        let Some(key) = plain.or(bearer) else {
            return Err(ApiError::new(401, "x-api-key header is required"));
        };
        let is_good = match &self.config.keys {
            Keys::Any => true,
            Keys::Only(keys) => keys.iter().any(|own| own == key),
            Keys::None => false,
        };
        if !is_good {
            return Err(ApiError::new(401, "invalid x-api-key"));
        }
        let organization = match self.config.organizations {
            Organizations::One => 0,
            Organizations::PerKey => Hash::new(1).bytes(key.as_bytes()).end(),
        };
        Ok(Caller { organization, is_admin: key.starts_with(ADMIN_KEY) })
    }

    fn message(
        &mut self,
        request: &Request<'_>,
        request_id: &str,
        organization: u64,
        version: &str,
        now: Instant,
    ) -> Result<Arrival, Box<Stop>> {
        self.arrivals += 1;
        let fields = Fields::read(request.body)?;
        let named = validate::model_name(&fields, Endpoint::Messages)?;
        let name = platform::model(self.config.kind, &named)?;
        let content = fields.content_hash(self.config.seed);
        self.line.model(&name, content.end());
        let rule = self.draw_fault(request.body, content.end(), &name, now);
        let found = self.find_model(&name);
        let account = found.map(|at| self.account_of(organization, self.class_of[at]));
        if let Some(stop) = rule.and_then(|rule| self.edge_fault(rule, content.end(), account)) {
            return Err(Box::new(stop));
        }
        let Some(at) = found else { return Err(unknown(&name).into()) };
        if self.is_overloaded() {
            return Err(ApiError::new(529, errors::usual_message(529)).into());
        }
        let skew = self.config.token_skew;
        platform::refuse_members(self.config.kind, request.body)?;
        let prompt = validate::read(fields, &self.config.models[at], version, Endpoint::Messages, skew)?;
        let account = self.account_of(organization, self.class_of[at]);
        let asked = AskedFacts {
            content: content.end(),
            body: request.body,
            model: &name,
            arrival: self.arrivals,
            attempts: self.books.attempts(content.end()),
            now,
        };
        let drawn = Drawn { fault: rule, answer: self.draw_answer(&prompt, asked) };
        self.admit(request_id, prompt, content, at, account, drawn, now)
    }

    fn count_tokens(
        &mut self,
        request: &Request<'_>,
        request_id: &str,
        organization: u64,
        version: &str,
    ) -> Result<Arrival, Box<Stop>> {
        let fields = Fields::read(request.body)?;
        let named = validate::model_name(&fields, Endpoint::CountTokens)?;
        let name = platform::model(self.config.kind, &named)?;
        self.line.model(&name, fields.content_hash(self.config.seed).end());
        let Some(at) = self.find_model(&name) else { return Err(unknown(&name).into()) };
        let skew = self.config.token_skew;
        let prompt = validate::read(fields, &self.config.models[at], version, Endpoint::CountTokens, skew)?;
        let account = self.account_of(organization, TOKEN_COUNT);
        self.take_request(account)?;
        let body = format!("{{\"input_tokens\":{}}}", prompt.tokens);
        Ok(self.json_answer(body.into_bytes(), request_id, organization, Some(account)))
    }

    fn data(&mut self, body: serde_json::Value, request_id: &str, caller: Caller) -> Arrival {
        self.json_answer(body.to_string().into_bytes(), request_id, caller.organization, None)
    }

    pub(super) fn find_model(&mut self, name: &str) -> Option<usize> {
        if let Some(at) = self.models.get(name) {
            return Some(*at);
        }
        let first = self.config.models.first()?;
        if self.config.unknown_models == UnknownModels::NotFound || self.classes.len() > MAX_UNKNOWN {
            return None;
        }
        let mut model = first.clone();
        let name: Arc<str> = Arc::from(name);
        model.class = ModelClass(name.clone());
        (model.id, model.display_name, model.aliases) = (name.clone(), name, Vec::new());
        self.config.models.push(model);
        self.index(self.config.models.len() - 1);
        Some(self.config.models.len() - 1)
    }
}

/// Returns the maximum length of a request body, in bytes.
pub(crate) fn most_body_bytes(method: &Method, path: &str) -> usize {
    let path = path.strip_suffix('/').unwrap_or(path);
    if *method == Method::POST && path.ends_with(batches::PATH) { MAX_BATCH_BYTES } else { MAX_BODY_BYTES }
}

fn is_known(path: &str) -> bool {
    PATHS.contains(&path) || path.starts_with(ONE_MODEL) || path == HELLO || batches::is_path(path)
}

/// Returns the error for a model that is not served.
pub(super) fn unknown(name: &str) -> ApiError {
    ApiError::new(404, format!("model: {name}"))
}

fn version(headers: &HeaderMap) -> Result<&'static str, ApiError> {
    let Some(version) = headers.get("anthropic-version").and_then(|value| value.to_str().ok()) else {
        return Err(ApiError::invalid("anthropic-version: header is required"));
    };
    let known = validate::VERSIONS.into_iter().find(|known| *known == version);
    known.ok_or_else(|| ApiError::invalid(format!("anthropic-version: \"{version}\" is not a valid version")))
}

/// Rejects values that do not look like the name of a beta. As in the API, one message lists all such values. The
/// simulator does not know which betas exist.
fn betas(headers: &HeaderMap) -> Result<(), ApiError> {
    let values = headers.get_all("anthropic-beta").iter().map(|value| value.to_str().unwrap_or(""));
    let names = values.flat_map(|value| value.split(',')).map(str::trim).filter(|beta| !beta.is_empty());
    let unknown: Vec<String> = names.filter(|beta| !is_beta(beta)).map(|beta| format!("`{beta}`")).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(ApiError::invalid(format!(
        "Unexpected value(s) {} for the `anthropic-beta` header. Please consult our documentation at docs.claude.com or \
         try again without the header.",
        unknown.join(", ")
    )))
}

/// Rejects compressed request bodies. The API accepts some encodings, but the simulator does not.
fn encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get(http::header::CONTENT_ENCODING).map(http::HeaderValue::as_bytes) {
        None | Some(b"" | b"identity") => Ok(()),
        Some(_) => Err(ApiError::invalid("The content-encoding of the request body is not supported.")
            .with_code("request_body_encoding_unsupported")),
    }
}

/// Returns whether a value looks like a beta: a name with a date, as in `name-2026-01-31` or `name-20260131`.
fn is_beta(beta: &str) -> bool {
    let is_name = |name: &str| {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.bytes().all(is_fit)
    };
    ["20260131", "2026-01-31"].iter().any(|form| {
        let split = beta.len().checked_sub(form.len()).and_then(|at| beta.split_at_checked(at));
        split.is_some_and(|(name, date)| {
            name.strip_suffix('-').is_some_and(is_name) && date.parse::<jiff::civil::Date>().is_ok()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beta_is_a_name_with_a_date_in_either_form() {
        for beta in [
            "prompt-caching-2024-07-31",
            "fast-mode-2026-02-01",
            "claude-code-20250219",
            "oauth-2025-04-20",
            "context-1m-2025-08-07",
            "x-20260228",
        ] {
            assert!(is_beta(beta), "{beta}");
        }
        for other in [
            "",
            "2026-02-01",
            "20260201",
            "-2026-02-01",
            "-20260201",
            "context-1m",
            "a-2026-2-01",
            "a-2026-0201",
            "a-20260230",
            "a20260201",
            "a-2026-13-01",
            "größe-20",
            "größe-20260201",
            "a b-20260201",
        ] {
            assert!(!is_beta(other), "{other}");
        }
    }
}
