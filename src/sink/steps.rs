//! Writes the part of a line that describes the requests of a row. A line has this part only if the row had several
//! requests or its answer had to match a schema.
//!
//! A row can have several answers: if an answer is not accepted, another request follows (see [`crate::answer`]).
//! Different requests of the same row can also be sent to different providers. In both cases, the line of the row lists
//! its requests in `steps`. `steps` has one object for each request that was answered, the oldest first:
//!
//! | member | meaning |
//! |---|---|
//! | `purpose` | why the request was sent: [`Purpose::name`] |
//! | `provider` | the provider that the request was sent to; missing if an earlier version sent it |
//! | `model` | the model that was asked |
//! | `max_tokens` | the maximum number of output tokens |
//! | `quality` | the quality of the answer: [`Quality::name`](crate::domain::Quality::name); null if no answer came |
//! | `failed` | the class of the failure: [`ErrorClass::name`](crate::domain::ErrorClass::name), only if no answer came |
//! | `lane` | `batch`, only if the request was sent in a batch |
//! | `usage`, `cost_usd` | the tokens of the request, and their cost; the cost is null for a model without a price, or if the usage is unknown |
//! | `request_id` | the API's id of the answer |
//!
//! Requests without an answer are not listed. There are two exceptions for rows that were sent to several providers.
//! When a row leaves a provider, the row's last request to this provider is listed. If the row failed, its last request
//! is listed too. So a row can have more tokens and a higher cost than all its steps together.
//!
use crate::domain::{AttemptRecord, Lane, Outcome, Purpose};

use super::json::{Object, name};

/// Returns false if [`write_asked`] certainly writes nothing for these attempts. The check is short, because it is made
/// for every line, and most rows have a single attempt and no schema.
#[inline]
pub(super) fn has_asked(attempts: &[AttemptRecord]) -> bool {
    match attempts {
        [] => false,
        [only] => only.schema_method.is_some(),
        [..] => true,
    }
}

/// Writes the member `schema` if the row has a schema, `steps` if several requests are listed, and `next` if the row
/// needs another request.
///
/// `schema` says how the last request asked for an answer that matches the schema. The value of `schema` is the name of
/// a `SchemaMethod` (a method to put a schema into a request). If `next` is given, `steps` is always written, because a
/// later run continues from these steps.
#[cold]
#[inline(never)]
pub(super) fn write_asked(object: &mut Object<'_>, outcome: &Outcome, next: Option<Purpose>) {
    if let Some(schema_method) = outcome.attempts.last().and_then(|attempt| attempt.schema_method) {
        object.plain(name!("schema"), schema_method.name());
    }
    let steps = steps(&outcome.attempts);
    if next.is_some() || steps.len() > 1 {
        let out = object.member(name!("steps"));
        out.push(b'[');
        for (at, attempt) in steps.into_iter().enumerate() {
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

/// Returns the attempts that are listed in `steps`.
fn steps(attempts: &[AttemptRecord]) -> Vec<&AttemptRecord> {
    // If an earlier version of the program sent a request, the provider is not known, so the provider's name is empty.
    let known = attempts.iter().map(|attempt| &attempt.provider).filter(|provider| !provider.is_empty());
    let has_moved = known.clone().zip(known.skip(1)).any(|(one, next)| one != next);
    let is_last_there = |at: usize| attempts.get(at + 1).is_none_or(|next| next.provider != attempts[at].provider);
    let is_listed = |at: usize| attempts[at].failed.is_none() || (has_moved && is_last_there(at));
    attempts.iter().enumerate().filter(|(at, _)| is_listed(*at)).map(|(_, attempt)| attempt).collect()
}

fn write_step(attempt: &AttemptRecord, out: &mut Vec<u8>) {
    let mut step = Object::new(out);
    step.plain(name!("purpose"), attempt.purpose.name());
    if !attempt.provider.is_empty() {
        step.text(name!("provider"), &*attempt.provider);
    }
    step.text(name!("model"), &*attempt.model);
    step.number(name!("max_tokens"), u64::from(attempt.max_tokens));
    step.text(name!("quality"), attempt.quality.map(|quality| quality.name()));
    if let Some(class) = attempt.failed {
        step.plain(name!("failed"), class.name());
    }
    if attempt.lane == Lane::Batch {
        step.plain(name!("lane"), attempt.lane.name());
    }
    step.usage(name!("usage"), &attempt.usage);
    step.money(name!("cost_usd"), attempt.cost);
    step.text(name!("request_id"), attempt.request_id.as_deref());
    step.end();
}
