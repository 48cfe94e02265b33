//! Decides whether a row can take an answer that another row got.

use super::{Decision, Policy, RequestResult};
use crate::domain::{Ask, AttemptRecord, Job, SchemaMethod, StoredAnswer};

/// Returns whether the policy for answers keeps an existing answer as the answer of this row, without another request.
///
/// The line of the answer does not always say how the schema was put into the request. So the JSON is taken from the
/// input of the tool that `--schema` adds, or from the text if that tool was not called.
pub(crate) fn accepts(policy: &Policy, job: &Job, ask: &Ask, stored: &StoredAnswer) -> bool {
    let is_call = SchemaMethod::Tool.answer_json(&stored.message.json).is_some();
    let schema_method = if is_call { SchemaMethod::Tool } else { SchemaMethod::Instruction };
    let attempts = [attempt(ask, stored, schema_method)];
    matches!(policy(job, ask, RequestResult::Answer(&stored.message), &attempts), Decision::Keep)
}

/// Returns a record of the request that got the answer. If the results lack the value of a field, the field of the
/// record stays empty.
fn attempt(ask: &Ask, stored: &StoredAnswer, schema_method: SchemaMethod) -> AttemptRecord {
    AttemptRecord {
        usage: stored.used,
        schema_method: Some(schema_method),
        quality: Some(stored.message.quality),
        lane: stored.lane,
        provider: stored.provider.clone().unwrap_or_else(|| ask.pool.provider.clone()),
        pool: None,
        model: stored.model.clone().unwrap_or_else(|| ask.model.clone()),
        ..AttemptRecord::of(ask)
    }
}
