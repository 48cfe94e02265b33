//! Makes the policy for answers from the settings of a run.

use std::sync::Arc;

use super::config::AnswerConfig;
use crate::answer::{Form, Measure, Policy, Rules, policy, shaped};
use crate::catalog::Catalog;
use crate::plan::{Planner, Shaped, Shaping};

/// Returns what is changed in the request of each row before it is sent: the schema for its answer is added.
pub(crate) fn shaping(config: &AnswerConfig, catalog: &Arc<Catalog>) -> Option<Shaping> {
    let (schema, catalog) = (config.schema.clone()?, catalog.clone());
    Some(Arc::new(move |params| {
        let (params, rung) = shaped(&schema, &catalog, params);
        Shaped { params, rung: Some(rung) }
    }))
}

/// Returns the policy for answers. `planner` estimates the requests that follow an answer. Without `can_send`, no such
/// request is made.
pub(crate) fn policy_of(config: &AnswerConfig, catalog: &Arc<Catalog>, mut planner: Planner, can_send: bool) -> Policy {
    let form = match (&config.schema, config.expect) {
        (Some(schema), _) => Form::Schema(schema.clone()),
        (None, Some(_)) => Form::Json,
        (None, None) => Form::Any,
    };
    let rules = Rules {
        form,
        conditions: Vec::new(),
        on_invalid: config.on_invalid,
        on_truncate: config.on_truncate,
        on_refusal: config.on_refusal.clone(),
        max_follow_ups: if can_send { config.max_follow_ups } else { 0 },
    };
    let measure: Measure = Box::new(move |params, rung, purpose| planner.ask_for(params, rung, purpose));
    policy(rules, catalog.clone(), measure)
}
