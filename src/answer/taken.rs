//! Decides whether a row can take an answer that another row got.

use super::{Came, Policy, Then};
use crate::domain::{Ask, AttemptRecord, Job, Rung, StoredAnswer};

/// Returns whether the policy for answers keeps an existing answer as the answer of this row, without another request.
///
/// The line of the answer does not always say how the schema was put into the request. So the JSON is taken from the
/// input of the tool that `--schema` adds, or from the text if that tool was not called.
pub(crate) fn accepts(policy: &Policy, job: &Job, ask: &Ask, stored: &StoredAnswer) -> bool {
    let is_call = Rung::Tool.answer_json(&stored.message.json).is_some();
    let rung = if is_call { Rung::Tool } else { Rung::Instruction };
    let attempts = [attempt(ask, stored, rung)];
    matches!(policy(job, ask, Came::Answer(&stored.message), &attempts), Then::Keep)
}

/// Returns a record of the request that got the answer. If the results do not have a field, the field stays empty.
fn attempt(ask: &Ask, stored: &StoredAnswer, rung: Rung) -> AttemptRecord {
    AttemptRecord {
        usage: stored.used,
        rung: Some(rung),
        quality: Some(stored.message.quality),
        lane: stored.lane,
        provider: stored.provider.clone().unwrap_or_else(|| ask.pool.provider.clone()),
        pool: None,
        model: stored.model.clone().unwrap_or_else(|| ask.model.clone()),
        ..AttemptRecord::of(ask)
    }
}
