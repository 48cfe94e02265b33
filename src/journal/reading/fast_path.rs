//! Reads result lines without a JSON parser. The lines must have exactly the form that [`crate::sink`] writes.
//!
//! A resumed run reads every line of the results file, and nearly all lines have their members in the same order. This
//! module checks the order of the members byte by byte. It skips the answer, and reads the members that recovery needs.
//!
//! For a line in any other form, this module returns `None`. Such a line is damaged, was rewritten by another tool, has
//! its members in another order, or has an escape in its label. The JSON parser ([`super::parse`]) then parses the
//! line. If this module returns a record, it is the record that the parser would return.

use std::borrow::Cow;

use super::record::{Details, ProviderText, ResultRecord, quality, row};
use crate::domain::json::{Cursor, DEEPEST};
use crate::domain::{JobKey, Lane, Money, TakenFrom, Usage};
use crate::journal::charges::Charges;
use crate::sink::{LINE_VERSION, parse_usd};

/// Receives those members of a line that only some readers need. A resumed run needs none of these members. So a
/// resumed run uses `()`, whose methods do nothing.
pub(super) trait More<'a>: Default {
    /// Receives the model. Escapes are not decoded.
    #[inline]
    fn model(&mut self, _text: Option<&'a [u8]>) {}
    /// Receives the lane. Escapes are not decoded.
    #[inline]
    fn lane(&mut self, _text: Option<&'a [u8]>) {}
    /// Receives the number of attempts.
    #[inline]
    fn attempts(&mut self, _count: u64) {}
    /// Receives the latency in milliseconds.
    #[inline]
    fn latency_ms(&mut self, _count: Option<u64>) {}
    /// Receives `true` if the cost is known.
    #[inline]
    fn has_cost(&mut self, _has_cost: bool) {}
    /// Receives whether the row took its answer from an equal row or from earlier results. `saved` is the cost of the
    /// answer that the row took.
    #[inline]
    fn taken(&mut self, _is_copy: bool, _saved: Option<Money>) {}
}

impl More<'_> for () {}

/// Collects the details of a line.
#[derive(Default)]
struct Detailed<'a> {
    details: Details<'a>,
    /// Whether one of the texts has an escape, or is not UTF-8.
    has_escape: bool,
}

impl<'a> Detailed<'a> {
    fn plain(&mut self, text: Option<&'a [u8]>) -> Option<Cow<'a, str>> {
        let text = text?;
        let plain = std::str::from_utf8(text).ok().filter(|text| !text.contains('\\'));
        self.has_escape |= plain.is_none();
        plain.map(Cow::Borrowed)
    }
}

impl<'a> More<'a> for Detailed<'a> {
    fn model(&mut self, text: Option<&'a [u8]>) {
        self.details.model = self.plain(text);
    }

    fn lane(&mut self, text: Option<&'a [u8]>) {
        self.details.is_batch = self.plain(text).as_deref() == Some(Lane::Batch.name());
    }

    fn attempts(&mut self, count: u64) {
        self.details.attempts = count;
    }

    fn latency_ms(&mut self, count: Option<u64>) {
        self.details.latency_ms = count;
    }

    fn has_cost(&mut self, has_cost: bool) {
        self.details.has_cost = has_cost;
    }

    fn taken(&mut self, is_copy: bool, saved: Option<Money>) {
        self.details.taken = Some(if is_copy { TakenFrom::EqualRow } else { TakenFrom::EarlierResults });
        self.details.saved = saved.unwrap_or(Money::ZERO);
    }
}

/// Parses a result line that has exactly the form that [`crate::sink`] writes; returns `None` for every other line.
/// `expected` is the provider member that the line probably has. Comparing the line with `expected` is faster than
/// reading the member.
pub(super) fn parse_result<'a>(line: &'a [u8], expected: Option<&[u8]>) -> Option<ResultRecord<'a>> {
    parse::<()>(line, expected).map(|(record, ())| record)
}

/// Parses a result line as [`parse_result`] does, and also parses its details. Also returns `None` if a detail has an
/// escape.
pub(super) fn parse_detailed(line: &[u8]) -> Option<(ResultRecord<'_>, Details<'_>)> {
    parse::<Detailed<'_>>(line, None)
        .and_then(|(record, detailed)| (!detailed.has_escape).then_some((record, detailed.details)))
}

#[inline]
fn parse<'a, M: More<'a>>(line: &'a [u8], expected: Option<&[u8]>) -> Option<(ResultRecord<'a>, M)> {
    let mut more = M::default();
    let mut at = Cursor::new(line);
    at.literal(b"{\"custom_id\":")?;
    let custom_id = text(&mut at)?;
    at.literal(b",\"result\":{\"type\":\"succeeded\",\"message\":")?;
    at.skip_value(DEEPEST)?;
    at.literal(b"},\"meta\":{\"v\":")?;
    if at.count()? != u64::from(LINE_VERSION) {
        return None;
    }
    at.literal(b",\"run\":")?;
    let run = match null(&mut at) {
        Some(()) => None,
        None => Some(Cow::Borrowed(text(&mut at)?)),
    };
    at.literal(b",\"index\":")?;
    at.count()?;
    at.literal(b",\"key\":")?;
    let key = JobKey::parse(text(&mut at)?);
    let occurrence = match at.literal(b",\"occurrence\":") {
        Some(()) => Some(u32::try_from(at.count()?).ok()?),
        None => None,
    };
    more.model(raw_text(&mut at, b",\"model\":")?);
    // The lines of early versions do not have the members `template` and `estimated_input`.
    if skip_text(&mut at, b",\"template\":").is_some() {
        at.literal(b",\"estimated_input\":")?;
        null(&mut at).or_else(|| at.count().map(drop))?;
    }
    more.lane(raw_text(&mut at, b",\"lane\":")?);
    let provider = match expected.and_then(|expected| at.literal(expected)) {
        Some(()) => ProviderText::Expected,
        None => ProviderText::Text(provider(&mut at)?),
    };
    at.literal(b",\"attempts\":")?;
    more.attempts(at.count()?);
    at.literal(b",\"usage\":{")?;
    let usage = usage(&mut at)?;
    at.literal(b"},\"maybe_paid\":")?;
    let maybe_paid = at.count()?;
    // A line has the member `maybe_cost_usd` only if an attempt may have been paid for.
    let maybe_spend = match at.literal(b",\"maybe_cost_usd\":") {
        Some(()) => null(&mut at).map(|()| Money::ZERO).or_else(|| money(&mut at))?,
        None => Money::ZERO,
    };
    at.literal(b",\"quality\":")?;
    let quality = quality(Some(text(&mut at)?));
    at.literal(b",\"latency_ms\":")?;
    more.latency_ms(null(&mut at).map(|()| None).or_else(|| at.count().map(Some))?);
    at.literal(b",\"cost_usd\":")?;
    let cost = null(&mut at).map(|()| None).or_else(|| money(&mut at).map(Some))?;
    more.has_cost(cost.is_some());
    let spend = cost.unwrap_or(Money::ZERO);
    skip_text(&mut at, b",\"price_date\":")?;
    skip_text(&mut at, b",\"request_id\":")?;
    skip_text(&mut at, b",\"started_at\":")?;
    at.literal(b",\"ended_at\":")?;
    let ended_at = match null(&mut at) {
        Some(()) => None,
        None => Some(Cow::Borrowed(text(&mut at)?)),
    };
    if at.literal(b"}}").is_none() {
        skip_rest_of_meta(&mut at, &mut more)?;
    }
    if at.position() != line.len() {
        return None;
    }
    let charges = Charges { usage, spend, maybe_paid, maybe_spend };
    let record = ResultRecord {
        label: Cow::Borrowed(custom_id),
        row: row(custom_id, key, occurrence),
        quality,
        run,
        provider,
        ended_at,
        charges,
    };
    Some((record, more))
}

/// Reads the members that only a few lines have, and the end of the line.
#[inline(never)]
fn skip_rest_of_meta<'a>(at: &mut Cursor<'a>, more: &mut impl More<'a>) -> Option<()> {
    // Only rows with a schema have the member `schema`, and only rows with several answers or several providers have
    // `steps`.
    let _ = skip_text(at, b",\"schema\":");
    if at.literal(b",\"steps\":").is_some() {
        at.skip_value(DEEPEST)?;
    }
    // Only rows that took their answer from another line have the member `reused_from` or `copied_from`.
    let is_copy = match at.literal(b",\"reused_from\":{") {
        Some(()) => {
            skip_text(at, b"\"run\":")?;
            skip_text(at, b",\"custom_id\":")?;
            at.literal(b"}")?;
            Some(false)
        }
        None => skip_text(at, b",\"copied_from\":").map(|()| true),
    };
    if let Some(is_copy) = is_copy {
        at.literal(b",\"saved_usd\":")?;
        more.taken(is_copy, null(at).map(|()| None).or_else(|| money(at).map(Some))?);
    }
    at.literal(b"}}")
}

fn null(at: &mut Cursor<'_>) -> Option<()> {
    at.literal(b"null")
}

/// Reads the member that names the provider. Like the JSON parser, this function rejects text that is not UTF-8.
#[inline(never)]
fn provider<'a>(at: &mut Cursor<'a>) -> Option<Option<&'a [u8]>> {
    let text = raw_text(at, b",\"provider\":")?;
    text.is_none_or(|text| std::str::from_utf8(text).is_ok()).then_some(text)
}

/// Reads a string without escapes.
fn text<'a>(at: &mut Cursor<'a>) -> Option<&'a str> {
    std::str::from_utf8(at.plain_string()?).ok()
}

/// Skips a member whose value is a string or `null`. `beginning` is the text of the member before the value.
fn skip_text(at: &mut Cursor<'_>, beginning: &[u8]) -> Option<()> {
    raw_text(at, beginning).map(drop)
}

/// Reads a member whose value is a string or `null`. Escapes are not decoded.
fn raw_text<'a>(at: &mut Cursor<'a>, beginning: &[u8]) -> Option<Option<&'a [u8]>> {
    at.literal(beginning)?;
    null(at).map(|()| None).or_else(|| at.string().map(Some))
}

fn usage(at: &mut Cursor<'_>) -> Option<Usage> {
    let mut member = |name: &[u8]| {
        at.literal(name)?;
        at.count()
    };
    Some(Usage {
        input_tokens: member(b"\"input_tokens\":")?,
        cache_write_5m_tokens: member(b",\"cache_write_5m_tokens\":")?,
        cache_write_1h_tokens: member(b",\"cache_write_1h_tokens\":")?,
        cache_read_tokens: member(b",\"cache_read_tokens\":")?,
        output_tokens: member(b",\"output_tokens\":")?,
        web_searches: member(b",\"web_searches\":")?,
        is_unknown: false,
    })
}

/// Reads an amount of money. If the JSON parser would not accept the number as money, the amount is zero.
fn money(at: &mut Cursor<'_>) -> Option<Money> {
    let text = std::str::from_utf8(at.number()?).ok()?;
    Some(parse_usd(text).unwrap_or(Money::ZERO))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::details::parse_any_detailed;
    use super::super::parse::parse_any_result;
    use super::super::record::Parsed;
    use super::*;
    use crate::clock::{Instant, RunClock};
    use crate::domain::{
        AttemptRecord, Ended, Identity, Job, JobId, Message, Origin, Outcome, Params, Purpose, Quality, Request, RowId,
        SchemaMethod, StoredAnswer, Taken,
    };
    use crate::sink::{RecordContext, outcome_line, taken_line};

    /// Returns a random line in the form that the program writes, and whether the fast path accepts it.
    fn line(random: &mut fastrand::Rng) -> (Vec<u8>, bool) {
        const LABELS: [&str; 6] = ["row-1", "", "日本 é", "a\"b", "a\\b", "tab\t"];
        const TEXTS: [&str; 4] = ["m", "claude-haiku-4-5", "with \"quotes\"", "line\nbreak 日本"];
        const MESSAGES: [&str; 5] = [
            r#"{}"#,
            r#"{"id":"msg_1","content":[{"type":"text","text":"say \"hi\"\n\u65e5"}],"usage":{"input_tokens":3}}"#,
            "{\n  \"pretty\": [ 1, -2.5e3, true, null ],\r\n\t\"x\": {}\n}",
            r#"{"text":"a long answer that goes on and on, over more than one chunk of what is looked at at a time"}"#,
            r#"[[[[[[[["deep"]]]]]]]]"#,
        ];
        let mut random_in = |most: u64| if random.bool() { random.u64(0..=most) } else { 0 };
        let usage = Usage {
            input_tokens: random_in(u64::MAX),
            cache_write_5m_tokens: random_in(9),
            cache_write_1h_tokens: random_in(99_999),
            cache_read_tokens: random_in(1),
            output_tokens: random_in(1 << 40),
            web_searches: random_in(3),
            is_unknown: false,
        };
        let pick = |random: &mut fastrand::Rng| TEXTS[random.usize(0..TEXTS.len())].to_owned();
        let label = LABELS[random.usize(0..LABELS.len())];
        let job = Job {
            id: JobId(random.u64(..)),
            custom_id: label.to_owned(),
            key: JobKey(random.u128(..).to_be_bytes()),
            identity: if random.bool() { Identity::Named } else { Identity::Nth(random.u32(..)) },
            row: RowId { label: 0, key: 0 },
            request: Request::default(),
            extra: Params::default(),
            origin: Origin { source: "in.jsonl".into(), line: 7 },
            index: random.u64(..),
        };
        let started_at = Instant::from_millis(random.u64(0..9_000_000));
        let most = 10_u128.pow(random.u32(1..30));
        let cost = random.bool().then(|| Money(random.u128(0..most)));
        let attempt = AttemptRecord {
            started_at,
            ended_at: started_at,
            maybe_paid: random.bool(),
            maybe_cost: if random.bool() { Money(random.u128(0..most)) } else { Money::ZERO },
            usage,
            cost,
            request_id: random.bool().then(|| pick(random)),
            schema_method: random.bool().then(|| SchemaMethod::ALL[random.usize(0..4)]),
            max_tokens: random.u32(..),
            quality: random.bool().then_some(Quality::Ok),
            template: random.u64(..),
            estimated_input: random.u32(..),
            ..AttemptRecord::new("anthropic", pick(random))
        };
        let quality = Quality::ALL[random.usize(0..4)];
        let json = MESSAGES[random.usize(0..MESSAGES.len())].to_owned().into();
        if random.u8(0..4) == 0 {
            let answer = StoredAnswer {
                key: job.key,
                label: LABELS[random.usize(0..LABELS.len())].to_owned(),
                run: "20260822T101112-abcdef".to_owned(),
                message: Message { json, usage, quality, content: 0..0 },
                used: usage,
                model: random.bool().then(|| pick(random).into()),
                provider: Some("anthropic".into()),
                lane: if random.bool() { Lane::Online } else { Lane::Batch },
                cost: cost.unwrap_or(Money::ZERO),
            };
            let from = if random.bool() { TakenFrom::EqualRow } else { TakenFrom::EarlierResults };
            let mut out = Vec::new();
            taken_line(&Taken { job: Box::new(job), answer, from }, started_at, &context(random), &mut out);
            out.pop();
            return (out, !label.contains(['"', '\\', '\t']));
        }
        let outcome = Outcome {
            job: Box::new(job),
            attempts: match random.u8(0..5) {
                0 => Vec::new(),
                1 => vec![attempt.clone(), AttemptRecord { purpose: Purpose::Repair, ..attempt }],
                _ => vec![attempt],
            },
            ended: Ended::Succeeded(Message { json, usage, quality, content: 0..0 }),
        };
        let mut out = Vec::new();
        outcome_line(&outcome, &context(random), &mut out);
        out.pop();
        (out, !label.contains(['"', '\\', '\t']))
    }

    fn context(random: &mut fastrand::Rng) -> RecordContext {
        RecordContext {
            run: Arc::from("20260822T101112-abcdef"),
            clock: RunClock::start_at(jiff::Timestamp::UNIX_EPOCH),
            price_date: random.bool().then(|| "2026-08-22".into()),
            results: None,
        }
    }

    fn assert_parser_agrees(line: &[u8], fast: &ResultRecord<'_>) {
        let Parsed::Record(parsed) = parse_any_result(line) else {
            panic!("the parser refuses {:?}", String::from_utf8_lossy(line))
        };
        assert_eq!(*fast, parsed, "{:?}", String::from_utf8_lossy(line));
    }

    /// If the fast path finds the details of a line, checks that the parser finds the same details.
    fn assert_details_agree(line: &[u8]) {
        let Some((record, details)) = parse_detailed(line) else { return };
        let Parsed::Record((parsed, parsed_details)) = parse_any_detailed(line) else {
            panic!("the parser refuses {:?}", String::from_utf8_lossy(line))
        };
        assert_eq!((record, details), (parsed, parsed_details), "{:?}", String::from_utf8_lossy(line));
    }

    #[test]
    fn the_fast_path_accepts_every_written_line_without_escapes_in_the_label() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..5_000 {
            let (line, is_taken) = line(&mut random);

            let read = parse_result(&line, None);

            assert_eq!(read.is_some(), is_taken, "{}", String::from_utf8_lossy(&line));
            read.iter().for_each(|read| assert_parser_agrees(&line, read));
            let expecting = |member: &[u8]| parse_result(&line, Some(member)).map(|read| read.provider);
            let text = read.map(|read| read.provider);
            let as_expected = text.map(|text| match text {
                ProviderText::Text(Some(_)) => ProviderText::Expected,
                ProviderText::Text(None) | ProviderText::Expected => text,
            });
            assert_eq!(expecting(br#","provider":"anthropic""#), as_expected);
            assert_eq!(expecting(br#","provider":"anthropi""#), text);
            assert_details_agree(&line);
        }
    }

    #[test]
    fn the_parser_agrees_with_the_fast_path_on_damaged_lines() {
        const TOKENS: &[u8] = b"\"\\{}[]:,0129eE+-. \tnulx\0\x1f\xff";
        let mut random = fastrand::Rng::with_seed(2);
        let mut taken = 0;
        for _ in 0..20_000 {
            let (mut line, _) = line(&mut random);
            for _ in 0..random.usize(1..3) {
                let at = random.usize(0..line.len());
                let token = TOKENS[random.usize(0..TOKENS.len())];
                let end = (at + random.usize(0..40)).min(line.len());
                match random.u8(0..7) {
                    0 => line[at] = token,
                    1 => line.insert(at, token),
                    2 => drop(line.remove(at)),
                    3 => line.truncate(at.max(1)),
                    4 => line[at..end].fill(0),
                    5 => drop(line.drain(at..end)),
                    _ => {
                        let part = line[at..end].to_vec();
                        drop(line.splice(at..at, part));
                    }
                }
                if line.is_empty() {
                    break;
                }
            }
            if let Some(fast) = parse_result(&line, None) {
                taken += 1;
                assert_parser_agrees(&line, &fast);
                assert_details_agree(&line);
            }
        }
        assert!(taken > 500, "{taken}");
    }
}
