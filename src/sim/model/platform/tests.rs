//! Tests of the responses that clients get from each simulated platform.

use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;

use super::base_path;
use crate::catalog::Preset;
use crate::clock::Instant;
use crate::domain::{ProviderKind, RateLimits};
use crate::sim::config::{Keys, SimConfig};
use crate::sim::faults::FaultPlan;
use crate::sim::model::{Model, Request, Step};
use crate::sim::presets;

/// A response of a simulated platform.
struct Seen {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

fn model(kind: ProviderKind) -> Model {
    model_with(kind, |config| config)
}

fn model_with(kind: ProviderKind, change: fn(SimConfig) -> SimConfig) -> Model {
    Model::new(change(SimConfig::new(presets::models()).with_limits(RateLimits::new(2, 450_000, 90_000)).of_kind(kind)))
}

/// A model name of the platform.
fn name(kind: ProviderKind) -> &'static str {
    match kind {
        ProviderKind::Bedrock => "global.anthropic.claude-haiku-4-5",
        ProviderKind::BedrockMantle => "anthropic.claude-haiku-4-5",
        ProviderKind::OpenRouter => "anthropic/claude-haiku-4.5",
        _ => "claude-haiku-4-5",
    }
}

fn ask(model: &mut Model, kind: ProviderKind, path: &str, members: &str) -> Seen {
    let body = format!(
        r#"{{"model":"{}","max_tokens":64,"messages":[{{"role":"user","content":"Capital of France?"}}]{members}}}"#,
        name(kind)
    );
    send(model, &format!("{}{path}", base_path(kind)), &body)
}

fn send(model: &mut Model, path: &str, body: &str) -> Seen {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer key"));
    headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
    let request = Request { method: &Method::POST, path, query: None, headers: &headers, body: body.as_bytes() };
    let mut arrival = model.arrive(&request, Instant::ZERO);
    let steps = std::mem::take(&mut arrival.body);
    let head = model.head(&mut arrival, Instant::ZERO);
    let bytes = steps.iter().flat_map(|step| match step {
        Step::Bytes { bytes, .. } => bytes.to_vec(),
        Step::Part { .. } | Step::Reset { .. } | Step::Stall => Vec::new(),
    });
    let text = String::from_utf8(bytes.collect()).expect("a body is text");
    Seen { status: head.status, headers: head.headers, text }
}

#[test]
fn every_platform_answers_at_its_path_and_under_its_names_of_models() {
    for kind in ProviderKind::ALL {
        let answer = ask(&mut model(kind), kind, "/v1/messages", "");

        assert_eq!((answer.status, answer.json()["type"].as_str()), (200, Some("message")), "{kind:?}");
        let has_limits = answer.header("anthropic-ratelimit-requests-limit").is_some();
        assert_eq!(has_limits, matches!(kind, ProviderKind::Anthropic | ProviderKind::Aws), "{kind:?}");
        let is_behind = answer.header("llm_provider-anthropic-ratelimit-requests-limit").is_some();
        assert_eq!(is_behind, kind == ProviderKind::LiteLlm, "{kind:?}");
    }
}

#[test]
fn a_refusal_has_the_form_of_the_platform() {
    for kind in ProviderKind::ALL {
        let mut model = model(kind);
        let seen: Vec<_> = (0..3).map(|_| ask(&mut model, kind, "/v1/messages", "")).collect();
        let last = &seen[2];

        assert_eq!(last.status, 429, "{kind:?}: {}", last.text);
        let (pointer, text) = match kind {
            ProviderKind::Anthropic | ProviderKind::Aws => ("/error/type", "rate_limit_error"),
            ProviderKind::Bedrock | ProviderKind::BedrockMantle => {
                ("/message", "Too many tokens, please wait before trying again.")
            }
            ProviderKind::Google => ("/0/error/status", "RESOURCE_EXHAUSTED"),
            ProviderKind::Foundry => ("/error/code", "RateLimitReached"),
            ProviderKind::OpenRouter => ("/error/metadata/provider_name", "Anthropic"),
            ProviderKind::LiteLlm => ("/error/code", "429"),
            ProviderKind::Messages => ("/error/type", "RateLimitError"),
        };
        assert_eq!(last.json().pointer(pointer).and_then(Value::as_str), Some(text), "{kind:?}");
        let says = matches!(kind, ProviderKind::Anthropic | ProviderKind::Aws | ProviderKind::Foundry);
        assert_eq!(last.header("retry-after").is_some(), says, "{kind:?}");
        assert_eq!(last.header("llm_provider-retry-after").is_some(), kind == ProviderKind::LiteLlm, "{kind:?}");
    }
}

#[test]
fn bedrock_answers_an_unknown_path_with_a_200() {
    let kind = ProviderKind::Bedrock;

    for path in ["/v1/messages/count_tokens", "/v1/models", "/v1/elsewhere"] {
        let answer = ask(&mut model(kind), kind, path, "");

        assert_eq!(answer.status, 200);
        assert!(answer.text.contains("UnknownOperationException"), "{}", answer.text);
    }
}

#[test]
fn bedrock_refuses_members_that_it_does_not_take() {
    let kind = ProviderKind::Bedrock;
    for (members, words) in [
        (r#","output_config":{"format":{"type":"json_schema","schema":{}}}"#, "output_config.format: Extra inputs"),
        (r#","inference_geo":"us""#, "inference_geo: Extra inputs"),
        (r#","tools":[{"name":"a","input_schema":{"type":"object"},"strict":true}]"#, "strict: Extra inputs"),
        (r#","tools":[{"type":"web_search_20250305","name":"web_search"}]"#, "is not supported"),
        (r#","metadata":{"user_id":"{\"a\":1}"}"#, "regular expression"),
    ] {
        let answer = ask(&mut model(kind), kind, "/v1/messages", members);

        assert_eq!((answer.status, answer.header("x-amzn-errortype")), (400, Some("ValidationException")));
        assert!(answer.text.contains(words), "{}", answer.text);
    }
}

#[test]
fn a_model_that_a_platform_does_not_serve_is_refused_in_the_form_of_the_platform() {
    for kind in ProviderKind::ALL {
        let body = r#"{"model":"claude-none","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#;
        let answer = send(&mut model(kind), &format!("{}/v1/messages", base_path(kind)), body);

        let is_400 = matches!(kind, ProviderKind::Bedrock | ProviderKind::BedrockMantle | ProviderKind::LiteLlm);
        assert_eq!(answer.status, if is_400 { 400 } else { 404 }, "{kind:?}: {}", answer.text);
    }
    let body = r#"{"model":"anthropic.claude-haiku-4-5","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#;
    let answer = send(&mut model(ProviderKind::Bedrock), "/anthropic/v1/messages", body);
    assert!(answer.text.contains("on-demand throughput"), "{}", answer.text);
}

#[test]
fn a_key_that_is_not_accepted_is_refused_in_the_form_of_the_platform() {
    for kind in ProviderKind::ALL {
        let mut model = model_with(kind, |config| SimConfig { keys: Keys::None, ..config });
        let answer = ask(&mut model, kind, "/v1/messages", "");

        let is_403 = matches!(kind, ProviderKind::Bedrock | ProviderKind::BedrockMantle);
        assert_eq!(answer.status, if is_403 { 403 } else { 401 }, "{kind:?}: {}", answer.text);
    }
}

#[test]
fn openrouter_sends_faults_of_models_with_status_200() {
    let kind = ProviderKind::OpenRouter;
    let overloaded = |config: SimConfig| {
        let plan = r#"{"rules":[{"status":529}]}"#;
        config.with_faults(FaultPlan::parse(plan, "test").expect("a good plan"))
    };
    let broken = |config: SimConfig| {
        let plan = r#"{"rules":[{"kind":"error_event"}]}"#;
        config.with_faults(FaultPlan::parse(plan, "test").expect("a good plan"))
    };

    let whole = ask(&mut model_with(kind, overloaded), kind, "/v1/messages", "");
    let stream = ask(&mut model_with(kind, broken), kind, "/v1/messages", r#","stream":true"#);

    assert_eq!((whole.status, whole.json()["error"]["code"].as_u64()), (200, Some(502)));
    assert!(stream.status == 200 && stream.text.starts_with(r#"data: {"error":{"code":502"#), "{}", stream.text);
}

#[test]
fn each_platform_knows_its_names_of_models() {
    for kind in ProviderKind::ALL {
        let preset = Preset::of(kind);
        for (ours, theirs) in &preset.models {
            let theirs = format!("{}{theirs}", preset.model_prefix);
            let body =
                format!(r#"{{"model":"{theirs}","max_tokens":64,"messages":[{{"role":"user","content":"Hi"}}]}}"#);

            let seen = send(&mut model(kind), &format!("{}/v1/messages", base_path(kind)), &body);

            assert_eq!(seen.status, 200, "{} {ours} {theirs}: {}", kind.name(), seen.text);
        }
    }
}
