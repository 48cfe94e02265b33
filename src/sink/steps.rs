//! The answers that a row got: what was asked each time, and what it cost.

use super::json::{Object, name};
use crate::domain::{AttemptRecord, Lane};

/// Returns the attempts that were answered, oldest first.
pub(super) fn answered(attempts: &[AttemptRecord]) -> impl Iterator<Item = &AttemptRecord> {
    attempts.iter().filter(|attempt| attempt.failed.is_none())
}

/// Appends a list with an object for each answer.
///
/// Shape: `[{"purpose","model","max_tokens","quality","lane","usage":{…},"cost_usd","request_id"},…]`. `lane` is only
/// there for a batch.
pub(super) fn write_steps(attempts: &[AttemptRecord], out: &mut Vec<u8>) {
    out.push(b'[');
    for (at, attempt) in answered(attempts).enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let mut step = Object::new(out);
        step.plain(name!("purpose"), attempt.purpose.name());
        step.text(name!("model"), &*attempt.model);
        step.number(name!("max_tokens"), u64::from(attempt.max_tokens));
        step.plain(name!("quality"), attempt.quality.map_or("unknown", |quality| quality.name()));
        if attempt.lane == Lane::Batch {
            step.plain(name!("lane"), attempt.lane.name());
        }
        step.usage(name!("usage"), &attempt.usage);
        step.money(name!("cost_usd"), attempt.cost);
        step.text(name!("request_id"), attempt.request_id.as_deref());
        step.end();
    }
    out.push(b']');
}
