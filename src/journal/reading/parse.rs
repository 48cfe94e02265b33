//! Parses every kind of line that this program writes. The members of a line can be in any order.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::fast_path;
use super::record::{ErrorRecord, Parsed, ProviderText, ResultRecord, quality, row};
use super::unfinished::has_answers;
use crate::domain::{ErrorClass, JobKey, Money, RowId, Usage};
use crate::journal::charges::Charges;
use crate::sink::{LINE_VERSION, parse_usd};

#[derive(Deserialize)]
struct ResultLine<'a> {
    #[serde(borrow)]
    custom_id: Cow<'a, str>,
    #[serde(borrow, rename = "result")]
    _result: ResultPart<'a>,
    #[serde(borrow)]
    meta: Meta<'a>,
}

#[derive(Deserialize)]
struct ResultPart<'a> {
    #[serde(borrow, rename = "type")]
    _kind: Cow<'a, str>,
    #[serde(rename = "message")]
    _message: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    v: u32,
    #[serde(borrow)]
    run: Option<Cow<'a, str>>,
    #[serde(borrow)]
    provider: Option<&'a RawValue>,
    #[serde(borrow)]
    key: Cow<'a, str>,
    occurrence: Option<u32>,
    #[serde(borrow)]
    quality: Option<Cow<'a, str>>,
    #[serde(default)]
    usage: Usage,
    #[serde(default)]
    maybe_paid: u64,
    #[serde(borrow)]
    maybe_cost_usd: Option<&'a RawValue>,
    #[serde(borrow)]
    cost_usd: Option<&'a RawValue>,
    #[serde(borrow)]
    ended_at: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct ErrorLine<'a> {
    #[serde(borrow)]
    custom_id: Option<Cow<'a, str>>,
    params: Option<IgnoredAny>,
    #[serde(borrow)]
    raw: Option<RawText<'a>>,
    #[serde(borrow)]
    error: ErrorPart<'a>,
}

/// The text of a row that could not be read. If the row could be read, a member `raw` in its line can have any value.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawText<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Other(IgnoredAny),
}

#[derive(Deserialize)]
struct ErrorPart<'a> {
    #[serde(borrow)]
    class: Cow<'a, str>,
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    occurrence: Option<u32>,
    #[serde(borrow)]
    source: Option<Cow<'a, str>>,
    line: Option<u64>,
    #[serde(borrow)]
    run: Option<Cow<'a, str>>,
    #[serde(borrow)]
    results: Option<Cow<'a, str>>,
    #[serde(borrow)]
    last_at: Option<Cow<'a, str>>,
    #[serde(default)]
    maybe_paid: u64,
    #[serde(borrow)]
    maybe_cost_usd: Option<&'a RawValue>,
    usage: Option<Usage>,
    #[serde(borrow)]
    cost_usd: Option<&'a RawValue>,
    next: Option<IgnoredAny>,
}

/// Parses a result line.
pub(crate) fn parse_result(line: &[u8]) -> Parsed<ResultRecord<'_>> {
    parse_result_expecting(line, None)
}

/// Parses a result line. `expected` is the provider member that the line probably has, such as
/// `,"provider":"anthropic"`.
pub(super) fn parse_result_expecting<'a>(line: &'a [u8], expected: Option<&[u8]>) -> Parsed<ResultRecord<'a>> {
    fast_path::parse_result(line, expected).map_or_else(|| parse_any_result(line), Parsed::Record)
}

/// Parses a result line whose members are in any order.
pub(super) fn parse_any_result(line: &[u8]) -> Parsed<ResultRecord<'_>> {
    let Ok(ResultLine { custom_id, _result, meta }) = serde_json::from_slice(line) else { return Parsed::NotOurs };
    if meta.v > LINE_VERSION {
        return Parsed::Newer(meta.v);
    }
    Parsed::Record(ResultRecord {
        row: row(&custom_id, JobKey::parse(&meta.key), meta.occurrence),
        label: custom_id,
        quality: quality(meta.quality.as_deref()),
        run: meta.run,
        provider: ProviderText::Text(meta.provider.and_then(|raw| raw_string(raw.get()))),
        ended_at: meta.ended_at,
        charges: Charges {
            usage: meta.usage,
            spend: spend(meta.cost_usd),
            maybe_paid: meta.maybe_paid,
            maybe_spend: spend(meta.maybe_cost_usd),
        },
    })
}

/// Returns the content of a string in JSON, with its escapes; `None` for other values.
fn raw_string(json: &str) -> Option<&[u8]> {
    Some(json.strip_prefix('"')?.strip_suffix('"')?.as_bytes())
}

/// Parses an error line.
pub(crate) fn parse_error(line: &[u8]) -> Parsed<ErrorRecord> {
    let Ok(ErrorLine { custom_id, params, raw, error }) = serde_json::from_slice(line) else { return Parsed::NotOurs };
    let Some(class) = ErrorClass::parse(&error.class) else { return Parsed::NotOurs };
    let raw = match raw {
        Some(RawText::Text(raw)) => Some(raw),
        Some(RawText::Other(_)) | None => None,
    };
    let key = error.key.as_deref();
    let row = match (&custom_id, raw) {
        (Some(custom_id), _) => row(custom_id, key.and_then(JobKey::parse), error.occurrence),
        (None, Some(raw)) => RowId::broken(error.source.as_deref().unwrap_or(""), error.line.unwrap_or(0), &raw),
        (None, None) => return Parsed::NotOurs,
    };
    let (is_broken, is_row) = (custom_id.is_none(), custom_id.is_some() && params.is_some());
    let place = || format!("{}:{}", error.source.as_deref().unwrap_or_default(), error.line.unwrap_or_default());
    Parsed::Record(ErrorRecord {
        row,
        class,
        label: custom_id.map_or_else(place, Cow::into_owned),
        is_broken,
        // Only the line of a row that was not sent has a source. Such a line has a key if its row has no label.
        is_unsent: key.is_none() || error.source.is_some(),
        is_step: error.next.is_some(),
        is_unfinished: error.next.is_some() && has_answers(line),
        is_row,
        run: error.run.unwrap_or_default().into_owned(),
        results: error.results.map(Cow::into_owned),
        last_at: error.last_at.and_then(|time| time.parse().ok()),
        charges: Charges {
            usage: error.usage.unwrap_or_default(),
            spend: spend(error.cost_usd),
            maybe_paid: error.maybe_paid,
            maybe_spend: spend(error.maybe_cost_usd),
        },
    })
}

fn spend(raw: Option<&RawValue>) -> Money {
    raw.and_then(|raw| parse_usd(raw.get())).unwrap_or(Money::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_another_format_are_not_lines_of_this_program() {
        for line in [
            "",
            "x",
            "{}",
            "[1]",
            r#"{"custom_id":"a","params":{}}"#,
            r#"{"custom_id":"a","result":{"type":"succeeded"}}"#,
            r#"{"custom_id":"a","result":{"type":"succeeded","message":{}},"meta":{"v":1}}"#,
            r#"{"custom_id":"a","params":{},"error":{"class":"unheard_of"}}"#,
            r#"{"custom_id":null,"error":{"class":"server"}}"#,
        ] {
            assert!(matches!(parse_result(line.as_bytes()), Parsed::NotOurs), "{line}");
            assert!(matches!(parse_error(line.as_bytes()), Parsed::NotOurs), "{line}");
        }
    }

    #[test]
    fn a_line_of_a_later_format_version_is_recognized() {
        let line = r#"{"custom_id":"a","result":{"type":"succeeded","message":{}},"meta":{"v":9,"key":"k1:0"}}"#;

        assert!(matches!(parse_result(line.as_bytes()), Parsed::Newer(9)));
    }

    #[test]
    fn a_key_in_an_unknown_format_counts_as_no_key() {
        let line = r#"{"custom_id":"a","result":{"type":"succeeded","message":{}},"meta":{"v":1,"key":"k2:0"}}"#;

        let Parsed::Record(record) = parse_result(line.as_bytes()) else { panic!("it is a record") };

        assert_eq!(record.row, RowId::named("a", None));
    }

    #[test]
    fn the_answer_in_an_error_line_says_nothing_about_the_row() {
        let line = r#"{"custom_id":"a","params":{},"message":{"type":"message","error":{"class":"auth"},"raw":"x"},"error":{"class":"truncated","key":"k1:00000000000000000000000000000001","schema":"format","steps":[{"purpose":"first","class":"auth","usage":{"output_tokens":3}}],"cost_usd":0.5}}"#;

        let Parsed::Record(record) = parse_error(line.as_bytes()) else { panic!("it is a record") };

        assert!(record.is_row && !record.is_broken);
        assert_eq!((record.class, record.charges.usage), (ErrorClass::Truncated, Usage::default()));
        assert_eq!(record.charges.spend, Money::from_dollars(0.5));
    }

    #[test]
    fn the_line_of_a_row_without_a_label_that_was_not_sent_has_a_key_and_a_source() {
        let line = r#"{"custom_id":"p.jsonl:1","params":{},"error":{"class":"invalid_input","key":"k1:00000000000000000000000000000001","occurrence":2,"source":"p.jsonl","line":1}}"#;

        let Parsed::Record(record) = parse_error(line.as_bytes()) else { panic!("it is a record") };

        assert!(record.is_unsent && record.is_row);
        assert_eq!(record.row, RowId::nth(2, JobKey(1_u128.to_be_bytes())));
    }

    #[test]
    fn a_row_with_a_member_named_raw_is_not_a_broken_row() {
        let line = r#"{"custom_id":"a","params":{},"raw":[1],"error":{"class":"server","key":"k1:00000000000000000000000000000001"}}"#;

        let Parsed::Record(record) = parse_error(line.as_bytes()) else { panic!("it is a record") };

        assert!(record.is_row && !record.is_unsent);
    }
}
