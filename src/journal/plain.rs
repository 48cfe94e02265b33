//! Result lines as the writer makes them, read without a parser.
//!
//! Every line of a results file is read when a run goes on, and nearly all have the very same shape. This checks that
//! shape byte by byte, steps over the answer, and takes what recovery wants. Any other line — another order of members, a
//! label with escapes in it, one that another tool rewrote, a damaged one — is `None`, which says nothing: the parser
//! looks at it then. What is `Some` is just what the parser would make of it.

use std::borrow::Cow;

use super::record::{Account, ResultRecord, quality, row};
use crate::domain::json::{Cursor, DEEPEST};
use crate::domain::{JobKey, Money, Usage};
use crate::sink::{LINE_VERSION, parse_usd};

/// Reads a result line in the shape that [`crate::sink`] gives it; `None` for all others.
pub(super) fn read(line: &[u8]) -> Option<ResultRecord<'_>> {
    let mut at = Cursor::new(line);
    at.literal(b"{\"custom_id\":")?;
    let custom_id = text(&mut at)?;
    at.literal(b",\"result\":{\"type\":\"succeeded\",\"message\":")?;
    at.skip_value(DEEPEST)?;
    at.literal(b"},\"meta\":{\"v\":")?;
    if at.count()? != u64::from(LINE_VERSION) {
        return None;
    }
    skip_text(&mut at, b",\"run\":")?;
    at.literal(b",\"index\":")?;
    at.count()?;
    at.literal(b",\"key\":")?;
    let key = JobKey::parse(text(&mut at)?);
    let occurrence = match at.literal(b",\"occurrence\":") {
        Some(()) => Some(u32::try_from(at.count()?).ok()?),
        None => None,
    };
    skip_text(&mut at, b",\"model\":")?;
    skip_text(&mut at, b",\"lane\":")?;
    skip_text(&mut at, b",\"provider\":")?;
    at.literal(b",\"attempts\":")?;
    at.count()?;
    at.literal(b",\"usage\":{")?;
    let usage = usage(&mut at)?;
    at.literal(b"},\"maybe_paid\":")?;
    let maybe_paid = at.count()?;
    at.literal(b",\"quality\":")?;
    let quality = quality(Some(text(&mut at)?));
    at.literal(b",\"latency_ms\":")?;
    null(&mut at).or_else(|| at.count().map(drop))?;
    at.literal(b",\"cost_usd\":")?;
    let spend = null(&mut at).map(|()| Money::ZERO).or_else(|| money(&mut at))?;
    skip_text(&mut at, b",\"price_date\":")?;
    skip_text(&mut at, b",\"request_id\":")?;
    skip_text(&mut at, b",\"started_at\":")?;
    at.literal(b",\"ended_at\":")?;
    let ended_at = match null(&mut at) {
        Some(()) => None,
        None => Some(Cow::Borrowed(text(&mut at)?)),
    };
    at.literal(b"}}")?;
    if at.position() != line.len() {
        return None;
    }
    let account = Account { usage, spend, maybe_paid };
    Some(ResultRecord { row: row(custom_id, key, occurrence), quality, ended_at, account })
}

fn null(at: &mut Cursor<'_>) -> Option<()> {
    at.literal(b"null")
}

/// Reads a string without escapes.
fn text<'a>(at: &mut Cursor<'a>) -> Option<&'a str> {
    std::str::from_utf8(at.plain_string()?).ok()
}

/// Skips a member with this beginning, whose value is a string or `null`.
fn skip_text(at: &mut Cursor<'_>, beginning: &[u8]) -> Option<()> {
    at.literal(beginning)?;
    null(at).or_else(|| at.string().map(drop))
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
    })
}

/// Reads an amount of money; what the parser would not take for money counts as nothing.
fn money(at: &mut Cursor<'_>) -> Option<Money> {
    let text = std::str::from_utf8(at.number()?).ok()?;
    Some(parse_usd(text).unwrap_or(Money::ZERO))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::record::{Parsed, parse_whole};
    use super::*;
    use crate::clock::{Instant, RunClock};
    use crate::domain::{
        AttemptRecord, Ended, Identity, Job, JobId, Lane, Message, Origin, Outcome, Params, Purpose, Quality, Request,
        RowId,
    };
    use crate::sink::{RecordContext, outcome_line};

    /// A line of the writer, of a kind that `random` chooses; and whether it is plain.
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
            failed: None,
            maybe_paid: random.bool(),
            usage,
            cost,
            request_id: random.bool().then(|| pick(random)),
            purpose: Purpose::First,
            lane: Lane::Online,
            provider: "anthropic".into(),
            model: pick(random).into(),
        };
        let quality = Quality::ALL[random.usize(0..4)];
        let json = MESSAGES[random.usize(0..MESSAGES.len())].to_owned().into();
        let outcome = Outcome {
            job: Box::new(job),
            attempts: if random.u8(0..5) > 0 { vec![attempt] } else { Vec::new() },
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

    fn assert_agree(line: &[u8], plain: &ResultRecord<'_>) {
        let Parsed::Record(whole) = parse_whole(line) else {
            panic!("the parser refuses {:?}", String::from_utf8_lossy(line))
        };
        assert_eq!(*plain, whole, "{:?}", String::from_utf8_lossy(line));
    }

    #[test]
    fn every_line_of_the_writer_is_plain_but_for_labels_with_escapes() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..5_000 {
            let (line, is_plain) = line(&mut random);

            let read = read(&line);

            assert_eq!(read.is_some(), is_plain, "{}", String::from_utf8_lossy(&line));
            read.iter().for_each(|read| assert_agree(&line, read));
        }
    }

    #[test]
    fn what_it_takes_the_parser_takes_for_the_same_however_a_line_is_changed() {
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
            if let Some(plain) = read(&line) {
                taken += 1;
                assert_agree(&line, &plain);
            }
        }
        assert!(taken > 500, "{taken}");
    }
}
