//! Faults on order: what goes wrong, for whom and when.
//!
//! Owns the form of a fault file and the values it becomes. Which rule strikes a request is decided in the model.
//!
//! A fault file is one JSON object:
//!
//! ```json
//! {
//!   "seed": 7,
//!   "rules": [
//!     {"status": 500, "share": 0.1, "first_attempts_only": true},
//!     {"status": 529, "share": 0.9, "from": "20s", "until": "50s", "draw": "attempt"},
//!     {"status": 429, "share": 0.01, "draw": "attempt", "retry_after": null},
//!     {"status": 400, "contains": "the third ticket"},
//!     {"kind": "reset_mid", "share": 0.02, "draw": "attempt", "at": 0.4},
//!     {"kind": "stall", "arrivals": [3, 17]}
//!   ]
//! }
//! ```
//!
//! A rule says **what** happens by `status` (an error answer) or `kind`:
//!
//! | kind | what the client sees | billed |
//! |---|---|---|
//! | `reset_before` | the connection breaks before any byte of the answer | only with `"billed": true` |
//! | `reset_mid` | it breaks inside the body, after the part `at` (0 to 1, default 0.5) of it | yes |
//! | `stall` | the body stops after the part `at` (default 0.5) and nothing more comes; `"before_head": true`: nothing at all comes | yes |
//! | `slow_drip` | the body comes in pieces of `bytes` (default 64), one `every` (default `1s`) | yes |
//! | `truncated_json` | the body ends properly, but early: after the part `at` of it | yes |
//! | `error_event` | a stream carries an error event (`type`, default `overloaded_error`) after the part `at` (default 0: as the first event); a plain call gets that error's status | part of it |
//! | `no_message_start` | a stream lacks its first event; a plain answer is as it should be | yes |
//! | `no_message_stop` | a stream ends without its last event; a plain answer lacks its closing brace | yes |
//! | `html` | a page of HTML, with `status` (default 502) | no |
//! | `empty` | an empty body, with `status` (default 520) | no |
//!
//! **For whom**: `share` (0 to 1, default 1). With `"draw": "row"` (the default) the seed and the content of the
//! request decide, so a row that fails does so on each attempt; with `"draw": "attempt"` each attempt is drawn anew.
//! `"first_attempts_only": true` lets a row fail on its first attempt only. The shares of several rules do not overlap
//! while they add up to less than 1. `contains` (a text, or several) takes requests whose body holds the text,
//! `models` those for these models, `arrivals` the so-manieth requests since the start, from 1. The first rule that
//! matches wins.
//!
//! **When**: `from` and `until` (durations since the start, such as `"90s"`), `times` (at most so often).
//!
//! **How**, for `status`: `type`, `message`, `error_code` of the error; `"body": "json"`, `"html"` or `"empty"`;
//! `retry_after`: a number or text that is sent as it is, `{"date": "30s"}` for a date so far ahead, `null` for none
//! (a 429 has `1` unless told otherwise); `retry_after_ms` and `should_retry` for those headers.
//!
//! Requests that a rule strikes with an error answer or `reset_before` never reach the limits and are not billed.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

/// What goes wrong, for whom and when.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    /// Seed of the shares; the simulator's own when absent.
    pub seed: Option<u64>,
    /// The rules; the first that matches wins.
    pub rules: Vec<FaultRule>,
}

/// A fault file that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{name}, line {line}, column {column}: {message}")]
pub struct FaultFileError {
    /// Its name as given.
    pub name: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What is wrong, naming the field.
    pub message: String,
}

impl FaultPlan {
    /// Reads a fault file's text; `name` is for messages.
    ///
    /// # Errors
    /// [`FaultFileError`] for JSON that is broken, an unknown field or a value out of range, with its line.
    pub fn parse(text: &str, name: &str) -> Result<Self, FaultFileError> {
        serde_json::from_str(text).map_err(|error| FaultFileError {
            name: name.to_owned(),
            line: error.line(),
            column: error.column(),
            message: without_position(&error),
        })
    }
}

/// One rule of a fault plan.
#[derive(Clone, Debug)]
pub struct FaultRule {
    /// What happens.
    pub fault: Fault,
    /// Part of the requests, from 0 to 1.
    pub share: f64,
    /// What decides whether a request belongs to that part.
    pub draw: Draw,
    /// Only the first attempt of each request.
    pub first_attempts_only: bool,
    /// Only requests whose body holds one of these; empty for all.
    pub contains: Vec<String>,
    /// Only requests for these models; empty for all.
    pub models: Vec<String>,
    /// Only the so-manieth requests since the start, from 1; empty for all.
    pub arrivals: Vec<u64>,
    /// Not before this time since the start.
    pub from: Duration,
    /// Only before this time since the start.
    pub until: Option<Duration>,
    /// At most so often.
    pub times: Option<u64>,
}

impl FaultRule {
    /// Returns a rule that strikes every request.
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            share: 1.0,
            draw: Draw::Row,
            first_attempts_only: false,
            contains: Vec::new(),
            models: Vec::new(),
            arrivals: Vec::new(),
            from: Duration::ZERO,
            until: None,
            times: None,
        }
    }
}

/// What decides whether a request belongs to a share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Draw {
    /// Its content: all its attempts fare alike.
    #[default]
    Row,
    /// Chance, anew for each attempt.
    Attempt,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// An error answer instead of the call.
    Status(StatusFault),
    /// The connection breaks before the head.
    ResetBefore {
        /// Whether the call ran and is billed all the same.
        is_billed: bool,
    },
    /// The connection breaks after a part of the body.
    ResetMid {
        /// The part, from 0 to 1.
        at: f64,
    },
    /// Nothing more comes after a part of the body, or not even the head.
    Stall {
        /// The part, from 0 to 1; `None` for before the head.
        at: Option<f64>,
    },
    /// The body comes in small pieces.
    SlowDrip {
        /// Bytes of a piece.
        bytes: usize,
        /// Time between pieces.
        every: Duration,
    },
    /// The body ends properly, but early.
    Truncated {
        /// The part that comes, from 0 to 1.
        at: f64,
    },
    /// An error event inside a stream.
    ErrorEvent {
        /// The part of the answer before it, from 0 to 1.
        at: f64,
        /// `error.type`.
        kind: String,
    },
    /// The first event of a stream is missing.
    NoStart,
    /// The last event, or the closing brace, is missing.
    NoEnd,
}

/// An error answer on order.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusFault {
    /// The HTTP status.
    pub status: u16,
    /// What its body is.
    pub body: FaultBody,
    /// `error.type`; that of the status when absent.
    pub kind: Option<String>,
    /// `error.message`; a usual one when absent.
    pub message: Option<String>,
    /// `error.details.error_code`.
    pub error_code: Option<String>,
    /// `retry-after`.
    pub retry_after: RetryAfter,
    /// `retry-after-ms`.
    pub retry_after_ms: Option<f64>,
    /// `x-should-retry`.
    pub should_retry: Option<bool>,
}

impl StatusFault {
    /// Returns the usual answer of a status.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            body: FaultBody::Json,
            kind: None,
            message: None,
            error_code: None,
            retry_after: RetryAfter::Usual,
            retry_after_ms: None,
            should_retry: None,
        }
    }
}

/// What the body of an error answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultBody {
    /// The API's error object.
    Json,
    /// A page, as from the network in front of the API.
    Html,
    /// Nothing.
    Empty,
}

/// A `retry-after` header on order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// `1` for a 429, none for other statuses.
    Usual,
    /// None.
    Absent,
    /// This text.
    Text(String),
    /// The date so far ahead.
    Date(Duration),
}

/// A rule as it is written, before what belongs together is known to be there.
#[derive(Default)]
struct Draft {
    status: Option<u16>,
    kind: Option<String>,
    share: Option<f64>,
    draw: Option<String>,
    first_attempts_only: bool,
    contains: Vec<String>,
    models: Vec<String>,
    arrivals: Vec<u64>,
    from: Option<Duration>,
    until: Option<Duration>,
    times: Option<u64>,
    at: Option<f64>,
    before_head: bool,
    billed: bool,
    bytes: Option<u64>,
    every: Option<Duration>,
    error_type: Option<String>,
    message: Option<String>,
    error_code: Option<String>,
    body: Option<String>,
    retry_after: Option<RetryAfter>,
    retry_after_ms: Option<f64>,
    should_retry: Option<bool>,
}

const RULE_FIELDS: &[&str] = &[
    "status",
    "kind",
    "share",
    "draw",
    "first_attempts_only",
    "contains",
    "models",
    "arrivals",
    "from",
    "until",
    "times",
    "at",
    "before_head",
    "billed",
    "bytes",
    "every",
    "type",
    "message",
    "error_code",
    "body",
    "retry_after",
    "retry_after_ms",
    "should_retry",
];

impl Draft {
    fn set<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "status" => self.status = Some(checked(map, name, |&status: &u16| (100..=599).contains(&status), STATUS)?),
            "kind" => self.kind = Some(value(map, name)?),
            "share" => self.share = Some(checked(map, name, |share| (0.0..=1.0).contains(share), PART)?),
            "draw" => self.draw = Some(value(map, name)?),
            "first_attempts_only" => self.first_attempts_only = value(map, name)?,
            "contains" => self.contains = value::<Several, A>(map, name)?.0,
            "models" => self.models = value::<Several, A>(map, name)?.0,
            "arrivals" => self.arrivals = value(map, name)?,
            "from" => self.from = Some(value::<Time, A>(map, name)?.0),
            "until" => self.until = Some(value::<Time, A>(map, name)?.0),
            "times" => self.times = Some(value(map, name)?),
            "at" => self.at = Some(checked(map, name, |at| (0.0..=1.0).contains(at), PART)?),
            "before_head" => self.before_head = value(map, name)?,
            "billed" => self.billed = value(map, name)?,
            "bytes" => self.bytes = Some(checked(map, name, |&bytes: &u64| bytes > 0, "must be at least 1")?),
            "every" => self.every = Some(value::<Time, A>(map, name)?.0),
            "type" => self.error_type = Some(value(map, name)?),
            "message" => self.message = Some(value(map, name)?),
            "error_code" => self.error_code = Some(value(map, name)?),
            "body" => self.body = Some(value(map, name)?),
            "retry_after" => self.retry_after = Some(value(map, name)?),
            "retry_after_ms" => self.retry_after_ms = Some(value(map, name)?),
            "should_retry" => self.should_retry = Some(value(map, name)?),
            unknown => return Err(de::Error::unknown_field(unknown, RULE_FIELDS)),
        }
        Ok(())
    }

    fn finish(self) -> Result<FaultRule, String> {
        let draw = match self.draw.as_deref() {
            None | Some("row") => Draw::Row,
            Some("attempt") => Draw::Attempt,
            Some(other) => return Err(format!("field `draw`: found {other:?}, write \"row\" or \"attempt\"")),
        };
        Ok(FaultRule {
            fault: self.fault()?,
            share: self.share.unwrap_or(1.0),
            draw,
            first_attempts_only: self.first_attempts_only,
            contains: self.contains,
            models: self.models,
            arrivals: self.arrivals,
            from: self.from.unwrap_or_default(),
            until: self.until,
            times: self.times,
        })
    }

    fn fault(&self) -> Result<Fault, String> {
        let Some(kind) = self.kind.as_deref() else {
            let status = self.status.ok_or("a rule needs `status` or `kind`")?;
            return Ok(Fault::Status(self.status_fault(status, self.body()?)));
        };
        let half = self.at.unwrap_or(0.5);
        Ok(match kind {
            "reset_before" => Fault::ResetBefore { is_billed: self.billed },
            "reset_mid" => Fault::ResetMid { at: half },
            "stall" => Fault::Stall { at: (!self.before_head).then_some(half) },
            "slow_drip" => Fault::SlowDrip {
                bytes: usize::try_from(self.bytes.unwrap_or(64)).unwrap_or(usize::MAX),
                every: self.every.unwrap_or(Duration::from_secs(1)),
            },
            "truncated_json" => Fault::Truncated { at: half },
            "error_event" => Fault::ErrorEvent {
                at: self.at.unwrap_or(0.0),
                kind: self.error_type.clone().unwrap_or_else(|| "overloaded_error".to_owned()),
            },
            "no_message_start" => Fault::NoStart,
            "no_message_stop" => Fault::NoEnd,
            "html" => Fault::Status(self.status_fault(self.status.unwrap_or(502), FaultBody::Html)),
            "empty" => Fault::Status(self.status_fault(self.status.unwrap_or(520), FaultBody::Empty)),
            other => {
                return Err(format!(
                    "field `kind`: found {other:?}, write reset_before, reset_mid, stall, slow_drip, truncated_json, \
                     error_event, no_message_start, no_message_stop, html or empty"
                ));
            }
        })
    }

    fn body(&self) -> Result<FaultBody, String> {
        match self.body.as_deref() {
            None | Some("json") => Ok(FaultBody::Json),
            Some("html") => Ok(FaultBody::Html),
            Some("empty") => Ok(FaultBody::Empty),
            Some(other) => Err(format!("field `body`: found {other:?}, write \"json\", \"html\" or \"empty\"")),
        }
    }

    fn status_fault(&self, status: u16, body: FaultBody) -> StatusFault {
        StatusFault {
            status,
            body,
            kind: self.error_type.clone(),
            message: self.message.clone(),
            error_code: self.error_code.clone(),
            retry_after: self.retry_after.clone().unwrap_or(RetryAfter::Usual),
            retry_after_ms: self.retry_after_ms,
            should_retry: self.should_retry,
        }
    }
}

const PART: &str = "must be from 0 to 1";
const STATUS: &str = "must be an HTTP status from 100 to 599";

/// Reads a value; an error names the field and keeps its line.
fn value<'de, T: Deserialize<'de>, A: MapAccess<'de>>(map: &mut A, name: &str) -> Result<T, A::Error> {
    map.next_value().map_err(|error| de::Error::custom(format!("field `{name}`: {error}")))
}

fn checked<'de, T: Deserialize<'de> + fmt::Display, A: MapAccess<'de>>(
    map: &mut A,
    name: &str,
    is_good: impl FnOnce(&T) -> bool,
    rule: &str,
) -> Result<T, A::Error> {
    let found: T = value(map, name)?;
    if is_good(&found) { Ok(found) } else { Err(de::Error::custom(format!("field `{name}`: found {found}, {rule}"))) }
}

impl<'de> Deserialize<'de> for FaultPlan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Plan;
        impl<'de> Visitor<'de> for Plan {
            type Value = FaultPlan;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with `rules`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FaultPlan, A::Error> {
                let mut plan = FaultPlan::default();
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "seed" => plan.seed = Some(value(&mut map, &name)?),
                        "rules" => plan.rules = map.next_value()?,
                        unknown => return Err(de::Error::unknown_field(unknown, &["seed", "rules"])),
                    }
                }
                Ok(plan)
            }
        }
        deserializer.deserialize_map(Plan)
    }
}

impl<'de> Deserialize<'de> for FaultRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rule;
        impl<'de> Visitor<'de> for Rule {
            type Value = FaultRule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a rule: an object with `status` or `kind`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FaultRule, A::Error> {
                let mut draft = Draft::default();
                while let Some(name) = map.next_key::<String>()? {
                    draft.set(&name, &mut map)?;
                }
                draft.finish().map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_map(Rule)
    }
}

/// A duration with its unit.
struct Time(Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bad = || de::Error::custom(format!("found {text:?}, write a duration with its unit, such as \"90s\""));
        let signed: jiff::SignedDuration = text.parse().map_err(|_| bad())?;
        Duration::try_from(signed).map(Self).map_err(|_| bad())
    }
}

/// One text or a list of them.
struct Several(Vec<String>);

impl<'de> Deserialize<'de> for Several {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = Several;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Several, E> {
                Ok(Several(vec![text.to_owned()]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Several, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = seq.next_element()? {
                    texts.push(text);
                }
                Ok(Several(texts))
            }
        }
        deserializer.deserialize_any(Texts)
    }
}

impl<'de> Deserialize<'de> for RetryAfter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Header;
        impl<'de> Visitor<'de> for Header {
            type Value = RetryAfter;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, a text, null or {\"date\": \"30s\"}")
            }

            fn visit_unit<E: de::Error>(self) -> Result<RetryAfter, E> {
                Ok(RetryAfter::Absent)
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<RetryAfter, E> {
                Ok(RetryAfter::Text(seconds.to_string()))
            }

            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<RetryAfter, E> {
                Ok(RetryAfter::Text(seconds.to_string()))
            }

            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<RetryAfter, E> {
                Ok(RetryAfter::Text(seconds.to_string()))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RetryAfter, E> {
                Ok(RetryAfter::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RetryAfter, A::Error> {
                let mut date = None;
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "date" => date = Some(value::<Time, A>(&mut map, &name)?.0),
                        unknown => return Err(de::Error::unknown_field(unknown, &["date"])),
                    }
                }
                date.map(RetryAfter::Date).ok_or_else(|| de::Error::missing_field("date"))
            }
        }
        deserializer.deserialize_any(Header)
    }
}

fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_a_rule_is_read() {
        let plan = parse(
            r#"{"seed": 7, "rules": [
                {"status": 429, "share": 0.25, "draw": "attempt", "first_attempts_only": true, "contains": "x",
                 "models": ["m"], "arrivals": [1], "from": "1s", "until": "2min", "times": 3, "type": "t",
                 "message": "m", "error_code": "c", "body": "empty", "retry_after": {"date": "30s"},
                 "retry_after_ms": 1.5, "should_retry": false},
                {"kind": "slow_drip", "bytes": 1, "every": "10ms"}
            ]}"#,
        );

        let rule = &plan.rules[0];
        assert_eq!((plan.seed, rule.share, rule.draw, rule.times), (Some(7), 0.25, Draw::Attempt, Some(3)));
        assert_eq!((rule.from, rule.until), (Duration::from_secs(1), Some(Duration::from_secs(120))));
        let Fault::Status(fault) = &rule.fault else { panic!("{:?}", rule.fault) };
        assert_eq!(fault.retry_after, RetryAfter::Date(Duration::from_secs(30)));
        assert_eq!((fault.body, fault.should_retry), (FaultBody::Empty, Some(false)));
        assert_eq!(plan.rules[1].fault, Fault::SlowDrip { bytes: 1, every: Duration::from_millis(10) });
    }

    #[test]
    fn the_example_of_the_documentation_is_a_fault_file() {
        let doc: String = include_str!("faults.rs")
            .lines()
            .skip_while(|line| *line != "//! ```json")
            .skip(1)
            .take_while(|line| *line != "//! ```")
            .map(|line| &line[4..])
            .collect();

        assert_eq!(parse(&doc).rules.len(), 6);
    }

    #[test]
    fn a_retry_after_can_be_anything_or_nothing() {
        let cases = [
            ("null", RetryAfter::Absent),
            ("0", RetryAfter::Text("0".to_owned())),
            ("1.5", RetryAfter::Text("1.5".to_owned())),
            ("\"-3\"", RetryAfter::Text("-3".to_owned())),
        ];

        for (written, meant) in cases {
            let plan = parse(&format!(r#"{{"rules":[{{"status":429,"retry_after":{written}}}]}}"#));
            let Fault::Status(fault) = &plan.rules[0].fault else { panic!("{written}") };
            assert_eq!(fault.retry_after, meant, "{written}");
        }
    }

    #[test]
    fn errors_name_line_and_field() {
        let cases = [
            ("{\"rules\":[\n{\"status\":500,\"shar\":1}]}", 2, "shar"),
            ("{\"rules\":[\n\n{\"status\":500,\"share\":2}]}", 3, "field `share`: found 2, must be from 0 to 1"),
            ("{\"rules\":[\n{\"status\":\"500\"}]}", 2, "field `status`"),
            ("{\"rules\":[\n{\"status\":99}]}", 2, "field `status`"),
            ("{\"rules\":[\n{\"status\":500,\"from\":\"10\"}]}", 2, "field `from`"),
            ("{\"rules\":[\n{\"kind\":\"nap\"}]}", 2, "field `kind`"),
            ("{\"rules\":[\n{\"share\":1}]}", 2, "`status` or `kind`"),
            ("{\"sed\":1}", 1, "sed"),
            ("{\n\"rules\":[", 2, "EOF"),
        ];

        for (text, line, part) in cases {
            let error = FaultPlan::parse(text, "faults.json").expect_err("the file is bad");
            assert_eq!(error.line, line, "{text}: {error}");
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }

    fn parse(text: &str) -> FaultPlan {
        FaultPlan::parse(text, "faults.json").expect("the file is good")
    }
}
