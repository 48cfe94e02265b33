//! Lists the models of the API, and the limits of an organization.
//!
//! Source: API reference, "Models" and "Rate limits API" (2026-10).

use serde_json::{Value, json};

use crate::domain::RateLimits;
use crate::sim::config::{ModelTraits, SimModel};

use super::endpoints::{Caller, unknown};
use super::errors::ApiError;
use super::hash::Hash;
use super::state::{BATCHES, Model, TOKEN_COUNT};

/// The number of items on a page if the request has no `limit`.
const PAGE: usize = 20;
/// The maximum number of items on a page.
const MAX_PAGE: usize = 1000;

impl Model {
    /// Returns one page of the list of models, the latest model first.
    pub(super) fn list_models(&self, query: Option<&str>) -> Result<Value, ApiError> {
        let mut models: Vec<&SimModel> = self.config.models.iter().collect();
        models.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.id.cmp(&b.id)));
        let limit = limit(query)?;
        let place = |name: &str| {
            let Some(id) = parameter(query, name) else { return Ok(None) };
            let at = models.iter().position(|model| *model.id == *id);
            at.map(Some).ok_or_else(|| ApiError::invalid(format!("{name}: {id} is not a model")))
        };
        let after = place("after_id")?.map_or(0, |at| at + 1);
        let (page, has_more) = page(&models, limit, after, place("before_id")?);
        Ok(json!({
            "data": page.iter().map(|model| describe(model)).collect::<Vec<_>>(),
            "has_more": has_more,
            "first_id": page.first().map(|model| &*model.id),
            "last_id": page.last().map(|model| &*model.id),
        }))
    }

    /// Returns the description of the model with this id or alias.
    pub(super) fn one_model(&self, name: &str) -> Result<Value, ApiError> {
        let at = self.models.get(name).ok_or_else(|| unknown(name))?;
        Ok(describe(&self.config.models[*at]))
    }

    /// Returns the limits of an organization: all limits, or only the limits for one model.
    pub(super) fn list_limits(&self, query: Option<&str>, caller: Caller) -> Result<Value, ApiError> {
        if !caller.is_admin {
            return Err(ApiError::new(403, "This endpoint needs an Admin API key."));
        }
        let wanted = match parameter(query, "model") {
            Some(name) => Some(self.class_of[*self.models.get(&*name).ok_or_else(|| unknown(&name))?]),
            None => None,
        };
        let kind = parameter(query, "group_type");
        let groups: Vec<Value> = (0..self.classes.len())
            .filter(|class| wanted.is_none_or(|wanted| wanted == *class))
            .filter(|class| kind.as_ref().is_none_or(|kind| kind == group_type(*class)))
            .map(|class| self.group(class))
            .collect();
        Ok(json!({ "data": groups, "next_page": null }))
    }

    fn group(&self, class: usize) -> Value {
        let name = &*self.classes[class].name.0;
        let members = self.config.models.iter().zip(&self.class_of).filter(|(_, own)| **own == class);
        let members: Vec<&SimModel> = members.map(|(model, _)| model).collect();
        let names = members.iter().flat_map(|model| std::iter::once(&model.id).chain(&model.aliases));
        let names: Vec<&str> = names.map(|name| &**name).collect();
        let is_of_models = ![TOKEN_COUNT, BATCHES].contains(&class);
        let models = if is_of_models { json!(names) } else { Value::Null };
        let counts_cache_reads = members.iter().any(|model| model.counts_cache_reads);
        let mut limits = limiters(self.classes[class].limits, counts_cache_reads);
        if let Some(queue) = self.config.batches.queue.filter(|_| class == BATCHES) {
            limits.push(json!({ "type": "enqueued_batch_requests", "value": queue }));
        }
        let id = |prefix: &str| format!("{prefix}_01{:016x}", Hash::new(3).bytes(name.as_bytes()).end());
        json!({
            "type": "rate_limit",
            "id": id("rl"),
            "group": { "type": group_type(class), "id": id("rlg"), "display_name": display_name(name) },
            "models": models,
            "limits": limits,
        })
    }
}

fn group_type(class: usize) -> &'static str {
    match class {
        TOKEN_COUNT => "token_count",
        BATCHES => "batch",
        _ => "model_group",
    }
}

/// Returns the display name of a model class, for example `Claude Haiku 4.5` for `haiku-4.5`.
fn display_name(class: &str) -> String {
    let mut name = String::from(if ["token-count", "batch"].contains(&class) { "" } else { "Claude" });
    for word in class.trim_start_matches("claude-").split('-') {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        name.extend((!name.is_empty()).then_some(' ').into_iter().chain(first).chain(letters));
    }
    name
}

fn limiters(limits: RateLimits, counts_cache_reads: bool) -> Vec<Value> {
    let input = if counts_cache_reads { "input_tokens_per_minute" } else { "input_tokens_per_minute_cache_aware" };
    [("requests_per_minute", limits.rpm), (input, limits.itpm), ("output_tokens_per_minute", limits.otpm)]
        .into_iter()
        .filter_map(|(kind, value)| Some(json!({ "type": kind, "value": value? })))
        .collect()
}

fn describe(model: &SimModel) -> Value {
    let line = model.class.0.split('-').next().unwrap_or_default();
    json!({
        "type": "model",
        "id": &*model.id,
        "display_name": &*model.display_name,
        "created_at": &*model.created_at,
        "max_input_tokens": model.context_tokens,
        "max_tokens": model.max_output_tokens,
        "lifecycle": if model.retires_at.is_some() { "deprecated" } else { "active" },
        "line": line,
        "deprecated_at": null,
        "retires_at": model.retires_at.as_deref(),
        "capabilities": capabilities(&model.traits),
    })
}

/// Returns the capabilities of a model. Only the capabilities for thinking depend on the model. All other capabilities
/// are reported as supported, which is not confirmed for every model.
fn capabilities(traits: &ModelTraits) -> Value {
    let yes = json!({ "supported": true });
    let is = |supported: bool| json!({ "supported": supported });
    json!({
        "batch": yes,
        "citations": yes,
        "code_execution": yes,
        "context_management": { "supported": true, "clear_thinking_20251015": yes, "clear_tool_uses_20250919": yes },
        "effort": { "supported": true, "low": yes, "medium": yes, "high": yes, "max": yes },
        "image_input": yes,
        "pdf_input": yes,
        "server_tools": { "supported": true, "code_execution": yes, "web_search": yes },
        "structured_outputs": yes,
        "thinking": {
            "supported": true,
            "types": {
                "adaptive": is(traits.allows_thinking_adaptive),
                "between_tools": yes,
                "disabled": is(traits.allows_thinking_disabled),
                "enabled": is(traits.allows_thinking_enabled),
            },
        },
    })
}

/// Returns a page of at most `limit` items, and a flag that says whether there are more items. If `before` is given,
/// the page ends before this item, and the flag says whether items come before the page. If `before` is not given, the
/// page begins at `from`, and the flag says whether items come after the page.
pub(super) fn page<T>(items: &[T], limit: usize, from: usize, before: Option<usize>) -> (&[T], bool) {
    if let Some(before) = before {
        return (&items[before.saturating_sub(limit)..before], before > limit);
    }
    let to = items.len().min(from + limit);
    (&items[from..to], to < items.len())
}

/// Returns the value of the query parameter `limit`.
pub(super) fn limit(query: Option<&str>) -> Result<usize, ApiError> {
    let Some(text) = parameter(query, "limit") else { return Ok(PAGE) };
    let limit: usize = text.parse().map_err(|_| ApiError::invalid("limit: Input should be a valid integer"))?;
    match limit {
        0 => Err(ApiError::invalid("limit: Input should be greater than or equal to 1")),
        1..=MAX_PAGE => Ok(limit),
        _ => Err(ApiError::invalid("limit: Input should be less than or equal to 1000")),
    }
}

/// Returns the decoded value of a query parameter.
pub(super) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let value = query?.split('&').filter_map(|pair| pair.split_once('=')).find(|(own, _)| *own == name)?.1;
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        let escape = tail.get(..2).and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        match (first, escape) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::config::SimConfig;
    use crate::sim::presets;

    #[test]
    fn paging_forward_lists_every_model_once() {
        let model = model();
        let mut seen = Vec::new();
        let mut query = "limit=5".to_owned();

        loop {
            let page = model.list_models(Some(&query)).expect("a page");
            seen.extend(ids(&page));
            if !page["has_more"].as_bool().expect("a boolean") {
                break;
            }
            query = format!("limit=5&after_id={}", page["last_id"].as_str().expect("an id"));
        }

        let whole = ids(&model.list_models(None).expect("a page"));
        assert_eq!(seen, whole);
        assert_eq!(seen.len(), presets::models().len());
    }

    #[test]
    fn a_page_that_is_read_backward_ends_before_its_cursor() {
        let model = model();
        let whole = ids(&model.list_models(None).expect("a page"));

        let page = model.list_models(Some(&format!("limit=2&before_id={}", whole[3]))).expect("a page");

        assert_eq!((ids(&page), page["has_more"].as_bool()), (whole[1..3].to_vec(), Some(true)));
    }

    #[test]
    fn parameters_are_unescaped() {
        assert_eq!(parameter(Some("a=1&model=claude%2Dx&b"), "model").as_deref(), Some("claude-x"));
        assert_eq!(parameter(Some("model=%é"), "model").as_deref(), Some("%é"));
        assert_eq!(parameter(Some("beta=true"), "model"), None);
    }

    fn model() -> Model {
        Model::new(SimConfig::new(presets::models()))
    }

    fn ids(page: &Value) -> Vec<String> {
        let data = page["data"].as_array().expect("a list");
        data.iter().map(|model| model["id"].as_str().expect("an id").to_owned()).collect()
    }
}
