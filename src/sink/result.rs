//! The line of a row with an answer.

use crate::domain::{Identity, Lane, Message, Money, Outcome};

use super::context::{LINE_VERSION, RecordContext};
use super::json::{Object, name};

/// Bytes that a line usually needs in addition to its message. They are reserved in one step, so the line is not moved
/// while it grows.
const ROOM: usize = 1024;

/// Appends a result line.
///
/// Shape: `{"custom_id","result":{"type":"succeeded","message":{…}},"meta":{"v",…}}`. Only lines of unnamed rows have
/// `meta.occurrence`.
pub(super) fn result_line(outcome: &Outcome, message: &Message, context: &RecordContext, out: &mut Vec<u8>) {
    out.reserve(message.json.len() + ROOM);
    line_with(outcome, message, context, |result| result.json(name!("message"), &message.json), out);
}

/// Appends a result line without its message, and returns where the message belongs.
pub(super) fn line_around(outcome: &Outcome, message: &Message, context: &RecordContext, out: &mut Vec<u8>) -> usize {
    let mut at = 0;
    line_with(outcome, message, context, |result| at = result.member(name!("message")).len(), out);
    at
}

#[inline]
fn line_with(
    outcome: &Outcome,
    message: &Message,
    context: &RecordContext,
    write: impl FnOnce(&mut Object<'_>),
    out: &mut Vec<u8>,
) {
    let mut line = Object::new(out);
    line.text(name!("custom_id"), &*outcome.job.custom_id);
    let mut result = Object::new(line.member(name!("result")));
    result.plain(name!("type"), "succeeded");
    write(&mut result);
    result.end();
    let mut meta = Object::new(line.member(name!("meta")));
    members_of_meta(&mut meta, outcome, message, context);
    meta.end();
    line.end();
    out.push(b'\n');
}

fn members_of_meta(meta: &mut Object<'_>, outcome: &Outcome, message: &Message, context: &RecordContext) {
    let job = &outcome.job;
    let first = outcome.attempts.first();
    let last = outcome.attempts.last();
    meta.number(name!("v"), u64::from(LINE_VERSION));
    meta.text(name!("run"), &*context.run);
    meta.number(name!("index"), job.index);
    meta.plain(name!("key"), job.key.text());
    match job.identity {
        Identity::Named => {}
        Identity::Nth(occurrence) => meta.number(name!("occurrence"), u64::from(occurrence)),
    }
    meta.text(name!("model"), last.map(|attempt| &*attempt.model));
    meta.hex(name!("template"), last.map(|attempt| attempt.template));
    meta.number(name!("estimated_input"), last.map(|attempt| u64::from(attempt.estimated_input)));
    meta.plain(name!("lane"), last.map_or_else(Lane::default, |attempt| attempt.lane).name());
    meta.text(name!("provider"), last.map(|attempt| &*attempt.provider));
    meta.number(name!("attempts"), outcome.attempts.len() as u64);
    meta.usage(name!("usage"), &outcome.usage());
    meta.number(name!("maybe_paid"), u64::from(outcome.maybe_paid()));
    if outcome.maybe_cost() > Money::ZERO {
        meta.money(name!("maybe_cost_usd"), Some(outcome.maybe_cost()));
    }
    meta.plain(name!("quality"), message.quality.name());
    meta.number(
        name!("latency_ms"),
        first.zip(last).map(|(first, last)| millis(last.ended_at.since(first.started_at))),
    );
    meta.money(name!("cost_usd"), outcome.cost());
    meta.text(name!("price_date"), context.price_date.as_deref());
    meta.text(name!("request_id"), last.and_then(|attempt| attempt.request_id.as_deref()));
    meta.time(name!("started_at"), first.map(|attempt| context.clock.wall(attempt.started_at)));
    meta.time(name!("ended_at"), last.map(|attempt| context.clock.wall(attempt.ended_at)));
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
