//! Lines read back: just what a later run needs of them, without copying.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::plain;
use crate::domain::{ErrorClass, JobKey, Money, Quality, RowId, Usage};
use crate::sink::{LINE_VERSION, parse_usd};

/// What a line turned out to be.
#[derive(Debug)]
pub(super) enum Parsed<T> {
    /// One of ours.
    Record(T),
    /// One of ours, from a program that writes a form we don't know.
    Newer(u32),
    /// Something else.
    NotOurs,
}

impl<T> Parsed<T> {
    /// Hands over the record, if it is one, and keeps what the line was.
    pub(super) fn handed_to(self, take: impl FnOnce(T)) -> Parsed<()> {
        match self {
            Self::Record(record) => {
                take(record);
                Parsed::Record(())
            }
            Self::Newer(version) => Parsed::Newer(version),
            Self::NotOurs => Parsed::NotOurs,
        }
    }
}

/// A result line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ResultRecord<'a> {
    pub(super) row: RowId,
    pub(super) quality: Quality,
    pub(super) ended_at: Option<Cow<'a, str>>,
    pub(super) account: Account,
}

impl ResultRecord<'_> {
    /// Returns when the answer came; read on demand, since few rows need it.
    pub(super) fn ended_at(&self) -> Option<jiff::Timestamp> {
        self.ended_at.as_deref()?.parse().ok()
    }
}

/// An error line.
#[derive(Debug)]
pub(super) struct ErrorRecord {
    pub(super) row: RowId,
    pub(super) class: ErrorClass,
    /// Whether it is of a row that never became a request: broken or rejected.
    pub(super) is_unsent: bool,
    /// Whether it is a row that can be run again, not the text of a broken one.
    pub(super) is_row: bool,
    pub(super) run: String,
    pub(super) results: Option<String>,
    pub(super) last_at: Option<jiff::Timestamp>,
    pub(super) account: Account,
}

/// What a line says was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) usage: Usage,
    pub(super) spend: Money,
    pub(super) maybe_paid: u64,
}

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
    key: Cow<'a, str>,
    occurrence: Option<u32>,
    #[serde(borrow)]
    quality: Option<Cow<'a, str>>,
    #[serde(default)]
    usage: Usage,
    #[serde(default)]
    maybe_paid: u64,
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

/// The text of a broken row; a row's own member of that name may be anything.
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
    usage: Option<Usage>,
    #[serde(borrow)]
    cost_usd: Option<&'a RawValue>,
}

/// Reads a result line.
pub(super) fn parse_result(line: &[u8]) -> Parsed<ResultRecord<'_>> {
    plain::read(line).map_or_else(|| parse_whole(line), Parsed::Record)
}

/// Reads a result line of any shape.
pub(super) fn parse_whole(line: &[u8]) -> Parsed<ResultRecord<'_>> {
    let Ok(ResultLine { custom_id, _result, meta }) = serde_json::from_slice(line) else { return Parsed::NotOurs };
    if meta.v > LINE_VERSION {
        return Parsed::Newer(meta.v);
    }
    Parsed::Record(ResultRecord {
        row: row(&custom_id, JobKey::parse(&meta.key), meta.occurrence),
        quality: quality(meta.quality.as_deref()),
        ended_at: meta.ended_at,
        account: Account { usage: meta.usage, spend: spend(meta.cost_usd), maybe_paid: meta.maybe_paid },
    })
}

/// Reads an error line.
pub(super) fn parse_error(line: &[u8]) -> Parsed<ErrorRecord> {
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
    Parsed::Record(ErrorRecord {
        row,
        class,
        is_unsent: key.is_none(),
        is_row: custom_id.is_some() && params.is_some(),
        run: error.run.unwrap_or_default().into_owned(),
        results: error.results.map(Cow::into_owned),
        last_at: error.last_at.and_then(|time| time.parse().ok()),
        account: Account {
            usage: error.usage.unwrap_or_default(),
            spend: spend(error.cost_usd),
            maybe_paid: error.maybe_paid,
        },
    })
}

/// Returns a row's identity. A key of a form we don't know stays unknown, so its row counts as changed, never as new.
pub(super) fn row(custom_id: &str, key: Option<JobKey>, occurrence: Option<u32>) -> RowId {
    match (occurrence, key) {
        (Some(occurrence), Some(key)) => RowId::nth(occurrence, key),
        (Some(_), None) | (None, _) => RowId::named(custom_id, key),
    }
}

pub(super) fn quality(name: Option<&str>) -> Quality {
    Quality::ALL.into_iter().find(|quality| Some(quality.name()) == name).unwrap_or(Quality::Ok)
}

fn spend(raw: Option<&RawValue>) -> Money {
    raw.and_then(|raw| parse_usd(raw.get())).unwrap_or(Money::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_lines_are_not_ours() {
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
    fn a_line_of_a_later_form_is_told_apart() {
        let line = r#"{"custom_id":"a","result":{"type":"succeeded","message":{}},"meta":{"v":9,"key":"k1:0"}}"#;

        assert!(matches!(parse_result(line.as_bytes()), Parsed::Newer(9)));
    }

    #[test]
    fn a_key_of_a_later_form_is_no_key() {
        let line = r#"{"custom_id":"a","result":{"type":"succeeded","message":{}},"meta":{"v":1,"key":"k2:0"}}"#;

        let Parsed::Record(record) = parse_result(line.as_bytes()) else { panic!("it is a record") };

        assert_eq!(record.row, RowId::named("a", None));
    }

    #[test]
    fn a_row_member_named_raw_does_not_make_a_row_broken() {
        let line = r#"{"custom_id":"a","params":{},"raw":[1],"error":{"class":"server","key":"k1:00000000000000000000000000000001"}}"#;

        let Parsed::Record(record) = parse_error(line.as_bytes()) else { panic!("it is a record") };

        assert!(record.is_row && !record.is_unsent);
    }
}
