//! What a line says about the requests of a row, if its answers had to follow rules.
//!
//! A row can have several answers: an answer is not accepted, and another request follows (see [`crate::answer`]). The
//! line of the row then lists them in `steps`. It is an array with one object for each request that was answered, the
//! oldest first:
//!
//! | member | meaning |
//! |---|---|
//! | `purpose` | why the request was sent: [`Purpose::name`] |
//! | `model` | the model that it was for |
//! | `max_tokens` | how many output tokens its answer could have |
//! | `quality` | how good the answer was: [`Quality::name`](crate::domain::Quality::name) |
//! | `lane` | `batch`, only if it was sent in a batch |
//! | `usage`, `cost_usd` | what it used, and what this costs; the cost is null for a model without a price |
//! | `request_id` | the API's id of the answer |
//!
//! Requests without an answer are not listed. So the sums of a row can be larger than the sums of its steps.
//!
use crate::domain::{AttemptRecord, Lane, Outcome, Purpose};

use super::json::{Object, name};

/// Returns whether [`write_asked`] writes anything for these attempts. Every line calls this, so it is one short check:
/// usual rows have a single attempt and no schema.
#[inline]
pub(super) fn has_asked(attempts: &[AttemptRecord]) -> bool {
    match attempts {
        [] => false,
        [only] => only.rung.is_some(),
        [..] => true,
    }
}

/// Writes `schema` and `steps`, each only if the row has it, and `next` if another request is sent next.
///
/// `schema` says how the last request asked for the schema: the name of its rung. With `next`, `steps` is always written,
/// because a later run continues from it.
#[cold]
#[inline(never)]
pub(super) fn write_asked(object: &mut Object<'_>, outcome: &Outcome, next: Option<Purpose>) {
    if let Some(rung) = outcome.attempts.last().and_then(|attempt| attempt.rung) {
        object.plain(name!("schema"), rung.name());
    }
    if next.is_some() || answered(outcome).count() > 1 {
        let out = object.member(name!("steps"));
        out.push(b'[');
        for (at, attempt) in answered(outcome).enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write_step(attempt, out);
        }
        out.push(b']');
    }
    if let Some(purpose) = next {
        object.plain(name!("next"), purpose.name());
    }
}

fn answered(outcome: &Outcome) -> impl Iterator<Item = &AttemptRecord> {
    outcome.attempts.iter().filter(|attempt| attempt.failed.is_none())
}

fn write_step(attempt: &AttemptRecord, out: &mut Vec<u8>) {
    let mut step = Object::new(out);
    step.plain(name!("purpose"), attempt.purpose.name());
    step.text(name!("model"), &*attempt.model);
    step.number(name!("max_tokens"), u64::from(attempt.max_tokens));
    step.text(name!("quality"), attempt.quality.map(|quality| quality.name()));
    if attempt.lane == Lane::Batch {
        step.plain(name!("lane"), attempt.lane.name());
    }
    step.usage(name!("usage"), &attempt.usage);
    step.money(name!("cost_usd"), attempt.cost);
    step.text(name!("request_id"), attempt.request_id.as_deref());
    step.end();
}
