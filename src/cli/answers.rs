//! Makes the policy for answers from the settings of a run.

use std::sync::Arc;

use super::config::AnswerConfig;
use crate::answer::{self, Form, Measure, Policy, Rules, policy, shaped};
use crate::catalog::Catalog;
use crate::domain::{ProviderFeatures, shortened};
use crate::plan::{Planner, Shaped, Shaping};
use crate::source::{Condition, Facts, row_of};

/// Returns the function that adds the answer schema to each request; `None` without a schema.
pub(crate) fn shaping(config: &AnswerConfig, catalog: &Arc<Catalog>, features: ProviderFeatures) -> Option<Shaping> {
    let (schema, catalog) = (config.schema.clone()?, catalog.clone());
    Some(Arc::new(move |params| {
        let (params, schema_method) = shaped(&schema, &catalog, features, params);
        Shaped { params, schema_method: Some(schema_method) }
    }))
}

/// Returns the policy for answers. `planners` contains names of providers, each with the provider's planner. A planner
/// estimates the follow-up requests after an answer. A provider without a planner uses the first planner. If `can_send`
/// is false, no follow-up requests are sent. `features` contains only those features that every provider of the run
/// has.
///
/// # Panics
/// Panics if `planners` is empty.
pub(crate) fn policy_of(
    config: &AnswerConfig,
    catalog: &Arc<Catalog>,
    mut planners: Vec<(Arc<str>, Planner)>,
    features: ProviderFeatures,
    can_send: bool,
) -> Policy {
    let measure: Measure = Box::new(move |params, schema_method, purpose, pool| {
        let at = planners.iter().position(|(provider, _)| *provider == pool.provider).unwrap_or_default();
        planners[at].1.ask_for(params, schema_method, purpose)
    });
    let max_follow_ups = if can_send { config.max_follow_ups } else { 0 };
    policy(Rules { max_follow_ups, features, ..rules_of(config) }, catalog.clone(), measure)
}

/// Returns the policy for answers that rows take from earlier results; `None` if all these answers are accepted.
pub(crate) fn policy_of_reuse(config: &AnswerConfig, catalog: &Arc<Catalog>) -> Option<Policy> {
    let measure: Measure = Box::new(|_, _, _, _| Err("nothing is sent for an answer that exists".to_owned()));
    let rules = || Rules { max_follow_ups: 0, ..rules_of(config) };
    config.is_checked().then(|| policy(rules(), catalog.clone(), measure))
}

fn rules_of(config: &AnswerConfig) -> Rules {
    let form = match (&config.schema, config.expect) {
        (Some(schema), _) => Form::Schema(schema.clone()),
        (None, Some(_)) => Form::Json,
        (None, None) => Form::Any,
    };
    Rules {
        form,
        conditions: config.require.iter().cloned().map(rule).collect(),
        on_invalid: config.on_invalid,
        on_truncate: config.on_truncate,
        on_refusal: config.on_refusal.clone(),
        max_follow_ups: config.max_follow_ups,
        features: ProviderFeatures::ALL,
    }
}

/// Returns the policy rule for a condition that the user set.
fn rule(condition: Condition) -> answer::Condition {
    Box::new(move |answer| {
        let row = if condition.uses_row() { row_of(answer.job) } else { String::new() };
        let facts = Facts {
            text: answer.text,
            json: condition.uses_json().then_some(answer.json),
            row: &row,
            usage: answer.usage,
            stop_reason: answer.stop_reason,
            model: answer.model,
        };
        let expression = shortened(condition.expression());
        match condition.holds(&facts) {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("`{expression}` is not true")),
            Err(words) => Err(format!("`{expression}` is not true: {words}")),
        }
    })
}
