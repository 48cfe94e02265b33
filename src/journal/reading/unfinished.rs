//! Reads the line of an unfinished row. The last answer of an unfinished row was not accepted, and the row needs
//! another request. A later run continues from this answer, so the answer is not paid for again.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::record::quality;
use crate::domain::{AttemptRecord, ErrorClass, Lane, Message, Money, Purpose, Quality, SchemaMethod, Usage};
use crate::journal::charges::Charges;
use crate::sink::parse_usd;

/// The answers that earlier runs received for an unfinished row.
#[derive(Clone, Debug)]
pub struct UnfinishedRow {
    /// The last answer.
    pub message: Message,
    /// The row's attempts in earlier runs, oldest first. The last attempt received the answer. The times of the
    /// attempts are not known.
    pub attempts: Vec<AttemptRecord>,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    message: &'a RawValue,
    #[serde(borrow)]
    error: Error<'a>,
}

#[derive(Deserialize)]
struct Error<'a> {
    #[serde(borrow)]
    schema: Option<Cow<'a, str>>,
    #[serde(borrow)]
    steps: Vec<Step<'a>>,
}

/// One answer that the row received. [`crate::sink`] describes the form of this object.
#[derive(Deserialize)]
struct Step<'a> {
    #[serde(borrow)]
    purpose: Cow<'a, str>,
    #[serde(borrow)]
    model: Cow<'a, str>,
    max_tokens: u32,
    #[serde(borrow)]
    quality: Option<Cow<'a, str>>,
    #[serde(borrow)]
    provider: Option<Cow<'a, str>>,
    #[serde(borrow)]
    failed: Option<Cow<'a, str>>,
    usage: Usage,
    #[serde(borrow)]
    cost_usd: Option<&'a RawValue>,
    #[serde(borrow)]
    request_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    lane: Option<Cow<'a, str>>,
}

/// The answers in the line of an unfinished row.
struct Answers<'a> {
    /// The last answer.
    message: &'a RawValue,
    quality: Quality,
    /// One attempt for each answer, oldest first.
    steps: Vec<AttemptRecord>,
}

/// Returns whether the line of an unfinished row has everything that [`unfinished_row`] needs.
pub(super) fn has_answers(line: &[u8]) -> bool {
    answers(line).is_some()
}

/// Reads the line of an unfinished row; `None` if the line has no answer or no list of answers. `charges` are the
/// charges in the line.
pub(super) fn unfinished_row(line: &[u8], charges: Charges) -> Option<UnfinishedRow> {
    let Answers { message, quality, mut steps } = answers(line)?;
    let last = steps.last()?;
    let json = Bytes::copy_from_slice(message.get().as_bytes());
    let message = Message { json, usage: last.usage, quality, content: 0..0 };
    let mut attempts = unanswered(charges, &steps, last);
    if attempts.is_empty() {
        keep_unknown_cost(charges, &mut steps);
    }
    attempts.extend(steps);
    Some(UnfinishedRow { message, attempts })
}

fn answers(line: &[u8]) -> Option<Answers<'_>> {
    let Line { message, error } = serde_json::from_slice(line).ok()?;
    let schema_method = error.schema.as_deref().and_then(SchemaMethod::parse);
    // The entry of a request without an answer shows only where the row was sent.
    let answered = error.steps.iter().filter(|step| step.failed.is_none());
    let steps: Vec<AttemptRecord> = answered.map(|step| attempt(step, schema_method)).collect::<Option<_>>()?;
    let quality = steps.last()?.quality?;
    message.get().starts_with('{').then_some(Answers { message, quality, steps })
}

/// Some charges of a line can belong to none of its answers. For these charges, returns one attempt per request that
/// may have been billed. The first attempt gets the usage and cost of all these attempts, because the line contains
/// only the sums.
fn unanswered(charges: Charges, steps: &[AttemptRecord], like: &AttemptRecord) -> Vec<AttemptRecord> {
    let (mut usage, mut cost) = (charges.usage, charges.spend);
    for step in steps {
        usage = usage.less(step.usage);
        cost = cost.less(step.cost.unwrap_or(Money::ZERO));
    }
    let is_billed = usage != Usage::default() || cost > Money::ZERO;
    let mut maybe_cost = charges.maybe_spend;
    let attempt = |at: u64| AttemptRecord {
        failed: Some(ErrorClass::InvalidOutput),
        maybe_paid: at < charges.maybe_paid,
        maybe_cost: std::mem::take(&mut maybe_cost),
        usage: std::mem::take(&mut usage),
        cost: like.cost.map(|_| std::mem::take(&mut cost)),
        quality: None,
        request_id: None,
        ..like.clone()
    };
    // The limit of 64 is the number of attempts that the scheduler remembers per row.
    (0..charges.maybe_paid.clamp(u64::from(is_billed), 64)).map(attempt).collect()
}

/// Gives the possible cost of a line to the first of its answers without a cost, because the usage of this answer is
/// unknown.
fn keep_unknown_cost(charges: Charges, steps: &mut [AttemptRecord]) {
    let known = steps.iter().fold(Money::ZERO, |sum, step| sum + step.cost.unwrap_or(Money::ZERO));
    let unknown = charges.maybe_spend.less(known);
    if let Some(step) = steps.iter_mut().find(|step| step.cost.is_none() && unknown > Money::ZERO) {
        (step.usage.is_unknown, step.maybe_cost) = (true, unknown);
    }
}

fn attempt(step: &Step<'_>, schema_method: Option<SchemaMethod>) -> Option<AttemptRecord> {
    Some(AttemptRecord {
        usage: step.usage,
        cost: step.cost_usd.and_then(|raw| parse_usd(raw.get())),
        request_id: step.request_id.as_deref().map(str::to_owned),
        purpose: Purpose::parse(&step.purpose)?,
        schema_method,
        max_tokens: step.max_tokens,
        is_recorded: true,
        quality: Some(quality(Some(step.quality.as_deref()?))),
        lane: if step.lane.as_deref() == Some(Lane::Batch.name()) { Lane::Batch } else { Lane::Online },
        ..AttemptRecord::new(step.provider.as_deref().unwrap_or_default(), &*step.model)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = concat!(
        r#"{"custom_id":"a","params":{},"message":{"id":"msg_2"},"error":{"class":"truncated","schema":"format","#,
        r#""steps":[{"purpose":"first","model":"m","max_tokens":5,"quality":"truncated","usage":{"output_tokens":5},"#,
        r#""cost_usd":0.5,"request_id":"req_1"},{"purpose":"more_room","model":"m","max_tokens":20,"quality":"ok","#,
        r#""lane":"batch","usage":{"output_tokens":7},"cost_usd":0.25,"request_id":"req_2"}],"next":"repair"}}"#
    );

    #[test]
    fn an_answer_of_unknown_cost_keeps_its_possible_cost() {
        let line = LINE.replace(r#""cost_usd":0.25"#, r#""cost_usd":null"#);
        let charges = Charges { maybe_spend: Money::from_dollars(0.75), ..Charges::default() };

        let row = unfinished_row(line.as_bytes(), charges).expect("the line is whole");

        let [_, last] = &row.attempts[..] else { panic!("{:?}", row.attempts) };
        assert!(last.usage.is_unknown && !last.maybe_paid);
        assert_eq!((last.cost, last.maybe_cost), (None, Money::from_dollars(0.25)));
    }

    #[test]
    fn a_row_is_continued_from_its_last_answer_with_all_its_attempts() {
        let charges = Charges { usage: output(12), spend: Money::from_dollars(0.75), ..Charges::default() };

        let row = unfinished_row(LINE.as_bytes(), charges).expect("the line is whole");

        assert_eq!((&*row.message.json, row.message.quality), (&br#"{"id":"msg_2"}"#[..], Quality::Ok));
        let [first, last] = &row.attempts[..] else { panic!("{:?}", row.attempts) };
        assert_eq!((first.purpose, first.max_tokens, first.quality), (Purpose::First, 5, Some(Quality::Truncated)));
        assert_eq!((last.purpose, last.max_tokens, last.lane), (Purpose::MoreRoom, 20, Lane::Batch));
        assert_eq!((last.schema_method, last.cost), (SchemaMethod::parse("format"), Some(Money::from_dollars(0.25))));
        assert!(row.attempts.iter().all(|attempt| attempt.is_recorded && attempt.failed.is_none()));
    }

    #[test]
    fn the_provider_of_each_answer_is_read_and_requests_without_an_answer_are_passed_over() {
        let failed = r#""steps":[{"purpose":"first","provider":"anthropic","model":"m","max_tokens":5,"quality":null,"#;
        let failed =
            format!(r#"{failed}"failed":"server","usage":{{"output_tokens":3}},"cost_usd":0.1,"request_id":null}},{{"#);
        let line = LINE.replacen(r#""steps":[{"#, &failed, 1);
        let line = line.replacen(
            r#""model":"m","max_tokens":20"#,
            r#""provider":"bed\u0072ock","model":"m","max_tokens":20"#,
            1,
        );
        let charges = Charges { usage: output(15), spend: Money::from_dollars(0.85), ..Charges::default() };

        let row = unfinished_row(line.as_bytes(), charges).expect("the line is whole");

        let providers: Vec<_> = row.attempts.iter().map(|attempt| (&*attempt.provider, attempt.failed)).collect();
        let unanswered = ("bedrock", Some(ErrorClass::InvalidOutput));
        assert_eq!(providers, [unanswered, ("", None), ("bedrock", None)]);
        assert_eq!(row.attempts[0].usage, output(3), "its usage is kept");
    }

    #[test]
    fn charges_that_belong_to_no_answer_are_kept_in_attempts_without_an_answer() {
        let charges = Charges {
            usage: output(20),
            spend: Money::from_dollars(1.0),
            maybe_paid: 2,
            maybe_spend: Money::from_dollars(3.0),
        };

        let row = unfinished_row(LINE.as_bytes(), charges).expect("the line is whole");

        let of = |sum: fn(&AttemptRecord) -> Money| row.attempts.iter().fold(Money::ZERO, |all, own| all + sum(own));
        assert_eq!(
            row.attempts.iter().map(|attempt| attempt.failed.is_some()).collect::<Vec<_>>(),
            [true, true, false, false]
        );
        assert_eq!(row.attempts.iter().filter(|attempt| attempt.maybe_paid).count(), 2);
        assert_eq!(of(|attempt| attempt.cost.unwrap_or(Money::ZERO)), charges.spend);
        assert_eq!(of(|attempt| attempt.maybe_cost), charges.maybe_spend);
        assert_eq!(row.attempts.iter().map(|attempt| attempt.usage.output_tokens).sum::<u64>(), 20);
    }

    #[test]
    fn a_line_without_a_whole_answer_or_a_list_of_answers_can_not_be_continued() {
        let cases = [
            (r#""message":{"id":"msg_2"},"#, ""),
            (r#"{"id":"msg_2"}"#, "null"),
            (r#"{"id":"msg_2"}"#, r#""text""#),
            (r#""steps":[{"#, r#""others":[{"#),
            (r#""purpose":"more_room""#, r#""purpose":"unknown""#),
            (r#""max_tokens":20"#, r#""max_tokens":-1"#),
            ("}}", "}"),
        ];
        assert!(has_answers(LINE.as_bytes()));

        for (part, damage) in cases {
            let damaged = LINE.replacen(part, damage, 1);
            assert!(damaged != LINE && !has_answers(damaged.as_bytes()), "{damaged}");
            assert!(unfinished_row(damaged.as_bytes(), Charges::default()).is_none(), "{damaged}");
        }
        let without_steps = LINE.split_once(r#""steps":["#).map(|(start, _)| format!("{start}\"steps\":[]}}}}"));
        assert!(!has_answers(without_steps.expect("it has steps").as_bytes()));
    }

    fn output(output_tokens: u64) -> Usage {
        Usage { output_tokens, ..Usage::default() }
    }
}
