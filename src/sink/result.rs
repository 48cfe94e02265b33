//! The line of a row with an answer.

use crate::clock::Instant;
use crate::domain::{Identity, Job, Lane, Message, Money, Outcome, Taken, TakenFrom, Usage};

use super::context::{LINE_VERSION, RecordContext};
use super::json::{Object, name};
use super::steps::{has_asked, write_asked};

/// How many bytes a line usually needs besides its message. All memory for a line is reserved in one go, so that the
/// line does not move while it grows.
const ROOM: usize = 1024;

/// Appends a result line.
///
/// The form of the line: `{"custom_id","result":{"type":"succeeded","message":{…}},"meta":{"v",…}}`. `meta.occurrence`
/// is there only for unnamed rows, and `meta.schema` only for rows with a schema. `meta.steps` is there only for rows
/// that had several answers or were sent to several providers. [`super::steps`] describes `meta.schema` and
/// `meta.steps`.
pub(super) fn result_line(outcome: &Outcome, message: &Message, context: &RecordContext, out: &mut Vec<u8>) {
    out.reserve(message.json.len() + ROOM);
    let meta = |meta: &mut Object<'_>| members_of_meta(meta, outcome, message, context);
    line_with(&outcome.job.custom_id, |result| result.json(name!("message"), &message.json), meta, out);
}

/// Appends a result line without its message, and returns the position at which the message belongs.
pub(super) fn line_around(outcome: &Outcome, message: &Message, context: &RecordContext, out: &mut Vec<u8>) -> usize {
    let mut at = 0;
    let meta = |meta: &mut Object<'_>| members_of_meta(meta, outcome, message, context);
    line_with(&outcome.job.custom_id, |result| at = result.member(name!("message")).len(), meta, out);
    at
}

/// Appends the line of a row that takes its answer from another line. The line gets the time `at`.
///
/// The line has no attempts, no usage and no cost. The line has two members that only lines of this kind have. The
/// first of these members is `meta.copied_from` (the label of the equal row) or `meta.reused_from` (the run and the
/// label of the earlier line). The second added member is `meta.saved_usd`: the amount that was paid for the answer, or
/// null if this amount is not known.
pub(super) fn taken_line(taken: &Taken, at: Instant, context: &RecordContext, out: &mut Vec<u8>) {
    let Taken { job, answer, .. } = taken;
    out.reserve(answer.message.json.len() + ROOM);
    let meta = |meta: &mut Object<'_>| members_of_taken(meta, taken, at, context);
    line_with(&job.custom_id, |result| result.json(name!("message"), &answer.message.json), meta, out);
}

#[inline]
fn line_with(
    label: &str,
    write: impl FnOnce(&mut Object<'_>),
    write_meta: impl FnOnce(&mut Object<'_>),
    out: &mut Vec<u8>,
) {
    let mut line = Object::new(out);
    line.text(name!("custom_id"), label);
    let mut result = Object::new(line.member(name!("result")));
    result.plain(name!("type"), "succeeded");
    write(&mut result);
    result.end();
    let mut meta = Object::new(line.member(name!("meta")));
    write_meta(&mut meta);
    meta.end();
    line.end();
    out.push(b'\n');
}

fn members_of_meta(meta: &mut Object<'_>, outcome: &Outcome, message: &Message, context: &RecordContext) {
    let first = outcome.attempts.first();
    let last = outcome.attempts.last();
    members_of_row(meta, &outcome.job, context);
    meta.text(name!("model"), last.map(|attempt| &*attempt.model));
    // A plan learns from the row's own request, and not from a request that followed it. If an earlier run has sent the
    // row's own request, its template is not known.
    let own = outcome.attempts.iter().find(|attempt| attempt.template != 0).or(last);
    meta.hex(name!("template"), own.map(|attempt| attempt.template));
    meta.number(name!("estimated_input"), own.map(|attempt| u64::from(attempt.estimated_input)));
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
    if has_asked(&outcome.attempts) {
        write_asked(meta, outcome, None);
    }
}

fn members_of_row(meta: &mut Object<'_>, job: &Job, context: &RecordContext) {
    meta.number(name!("v"), u64::from(LINE_VERSION));
    meta.text(name!("run"), &*context.run);
    meta.number(name!("index"), job.index);
    meta.plain(name!("key"), job.key.text());
    match job.identity {
        Identity::Named => {}
        Identity::Nth(occurrence) => meta.number(name!("occurrence"), u64::from(occurrence)),
    }
}

/// Writes the members of `meta` for a row that took its answer from another line. The names and the order of the
/// members are the same as for a row that was sent.
fn members_of_taken(meta: &mut Object<'_>, taken: &Taken, at: Instant, context: &RecordContext) {
    let Taken { job, answer, from } = taken;
    members_of_row(meta, job, context);
    meta.text(name!("model"), answer.model.as_deref());
    meta.hex(name!("template"), None);
    meta.number(name!("estimated_input"), None);
    meta.plain(name!("lane"), answer.lane.name());
    meta.text(name!("provider"), answer.provider.as_deref());
    meta.number(name!("attempts"), 0);
    meta.usage(name!("usage"), &Usage::default());
    meta.number(name!("maybe_paid"), 0);
    meta.plain(name!("quality"), answer.message.quality.name());
    meta.number(name!("latency_ms"), None);
    meta.money(name!("cost_usd"), Some(Money::ZERO));
    meta.text(name!("price_date"), None);
    meta.text(name!("request_id"), None);
    meta.time(name!("started_at"), None);
    meta.time(name!("ended_at"), Some(context.clock.wall(at)));
    match from {
        TakenFrom::EqualRow => meta.text(name!("copied_from"), &*answer.label),
        TakenFrom::EarlierResults => {
            let mut source = Object::new(meta.member(name!("reused_from")));
            source.text(name!("run"), &*answer.run);
            source.text(name!("custom_id"), &*answer.label);
            source.end();
        }
    }
    meta.money(name!("saved_usd"), Some(answer.cost).filter(|cost| *cost > Money::ZERO));
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
