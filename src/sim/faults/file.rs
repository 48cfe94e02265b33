//! Reads a fault file. Every error contains the line number, and the name of the field if a field is wrong.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use super::rule::{BatchCall, Draw, Fault, FaultBody, FaultPlan, FaultRule, RetryAfter, StatusFault};
use super::values::{Bytes, Part, Status, Texts, Time, value};

/// A fault file that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{name}, line {line}, column {column}: {message}")]
pub struct FaultFileError {
    /// The file's name, as given.
    pub name: String,
    /// Line number, from 1.
    pub line: usize,
    /// Column number, from 1.
    pub column: usize,
    /// What is wrong. The text names the field.
    pub message: String,
}

impl FaultPlan {
    /// Reads the text of a fault file. In messages, the file is called `name`.
    ///
    /// # Errors
    /// `FaultFileError` for broken JSON, an unknown field or a value out of range.
    pub fn parse(text: &str, name: &str) -> Result<Self, FaultFileError> {
        serde_json::from_str(text).map_err(|error| FaultFileError {
            name: name.to_owned(),
            line: error.line(),
            column: error.column(),
            message: without_position(&error),
        })
    }
}

fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
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
                let mut fields = RuleFields::default();
                while let Some(name) = map.next_key::<String>()? {
                    fields.read(&name, &mut map)?;
                }
                fields.into_rule().map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_map(Rule)
    }
}

/// Declares the fields that a rule can have. Each has its name in the file, its name in the code, and its type.
macro_rules! rule_fields {
    ($($name:literal $field:ident: $type:ty,)*) => {
        /// The fields of a rule, as in the file.
        #[derive(Default)]
        struct RuleFields {
            $($field: Option<$type>,)*
        }

        impl RuleFields {
            /// Reads the value of the field `name`.
            fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
                match name {
                    $($name => self.$field = Some(value(map, name)?),)*
                    unknown => return Err(de::Error::unknown_field(unknown, &[$($name),*])),
                }
                Ok(())
            }
        }
    };
}

rule_fields! {
    "status" status: Status,
    "kind" kind: String,
    "share" share: Part,
    "draw" draw: Draw,
    "first_attempts_only" first_attempts_only: bool,
    "calls" calls: Texts,
    "within" within: Time,
    "takes_effect" takes_effect: bool,
    "custom_id" custom_id: String,
    "contains" contains: Texts,
    "models" models: Texts,
    "arrivals" arrivals: Vec<u64>,
    "from" from: Time,
    "until" until: Time,
    "times" times: u64,
    "at" at: Part,
    "before_head" before_head: bool,
    "billed" billed: bool,
    "bytes" bytes: Bytes,
    "every" every: Time,
    "after" after: Time,
    "type" error_type: String,
    "message" message: String,
    "error_code" error_code: String,
    "body" body: FaultBody,
    "retry_after" retry_after: RetryAfter,
    "retry_after_ms" retry_after_ms: f64,
    "should_retry" should_retry: bool,
}

impl RuleFields {
    fn into_rule(mut self) -> Result<FaultRule, String> {
        let rule = FaultRule {
            share: self.share.take().map_or(1.0, |Part(share)| share),
            draw: self.draw.take().unwrap_or_default(),
            first_attempts_only: self.first_attempts_only.unwrap_or(false),
            calls: self.calls.take().unwrap_or_default().0.iter().map(|name| call(name)).collect::<Result<_, _>>()?,
            within: self.within.take().map(|Time(within)| within),
            takes_effect: self.takes_effect.unwrap_or(false),
            contains: self.contains.take().unwrap_or_default().0,
            models: self.models.take().unwrap_or_default().0,
            arrivals: self.arrivals.take().unwrap_or_default(),
            from: self.from.take().map_or(Duration::ZERO, |Time(from)| from),
            until: self.until.take().map(|Time(until)| until),
            times: self.times,
            fault: self.into_fault()?,
        };
        let is_of_messages = matches!(rule.fault, Fault::ErrorEvent { .. } | Fault::NoStart | Fault::NoEnd);
        if !rule.calls.is_empty() && (is_of_messages || rule.fault.is_of_cache()) {
            return Err("field `calls`: this kind is about messages, leave out `calls`".to_owned());
        }
        Ok(rule)
    }

    fn into_fault(self) -> Result<Fault, String> {
        let Some(kind) = self.kind.as_deref() else {
            let status = self.status.as_ref().ok_or("a rule needs `status` or `kind`")?.0;
            let body = self.body.unwrap_or(FaultBody::Json);
            return Ok(Fault::Status(self.into_status(status, body)));
        };
        let at = self.at.as_ref().map(|Part(at)| *at);
        let half = at.unwrap_or(0.5);
        Ok(match kind {
            "reset_before" => Fault::ResetBefore { is_billed: self.billed.unwrap_or(false) },
            "reset_mid" => match self.bytes {
                Some(Bytes(bytes)) => Fault::ResetAfter { bytes: usize::try_from(bytes).unwrap_or(usize::MAX) },
                None => Fault::ResetMid { at: half },
            },
            "stall" => Fault::Stall { at: (!self.before_head.unwrap_or(false)).then_some(half) },
            "slow_drip" => Fault::SlowDrip {
                bytes: self.bytes.map_or(64, |Bytes(bytes)| usize::try_from(bytes).unwrap_or(usize::MAX)),
                every: self.every.map_or(Duration::from_secs(1), |Time(every)| every),
            },
            "truncated_json" => Fault::Truncated { at: half },
            "error_event" => Fault::ErrorEvent {
                at: at.unwrap_or(0.0),
                kind: self.error_type.unwrap_or_else(|| "overloaded_error".to_owned()),
            },
            "no_message_start" => Fault::NoStart,
            "no_message_stop" => Fault::NoEnd,
            "cache_refused" => Fault::CacheRefused,
            "cache_ignored" => Fault::CacheIgnored,
            "cache_evicted" => Fault::CacheEvicted { after: self.after.map_or(Duration::ZERO, |Time(after)| after) },
            "unlisted" => Fault::Unlisted,
            "request_errored" => Fault::RequestErrored {
                kind: self.error_type.unwrap_or_else(|| "api_error".to_owned()),
                message: self.message,
            },
            "request_expired" => Fault::RequestExpired,
            "result_missing" => Fault::ResultMissing,
            "result_extra" => Fault::ResultExtra { custom_id: self.custom_id },
            "html" => Fault::Status(self.into_status(502, FaultBody::Html)),
            "empty" => Fault::Status(self.into_status(520, FaultBody::Empty)),
            other => {
                return Err(format!(
                    "field `kind`: found {other:?}, write reset_before, reset_mid, stall, slow_drip, truncated_json, \
                     error_event, no_message_start, no_message_stop, cache_refused, cache_ignored, cache_evicted, \
                     unlisted, request_errored, request_expired, result_missing, result_extra, html or empty"
                ));
            }
        })
    }

    /// Returns the error response. `usual` is its status if the rule has no status.
    fn into_status(self, usual: u16, body: FaultBody) -> StatusFault {
        StatusFault {
            status: self.status.map_or(usual, |Status(status)| status),
            body,
            kind: self.error_type,
            message: self.message,
            error_code: self.error_code,
            retry_after: self.retry_after.unwrap_or(RetryAfter::Usual),
            retry_after_ms: self.retry_after_ms,
            should_retry: self.should_retry,
        }
    }
}

fn call(name: &str) -> Result<BatchCall, String> {
    BatchCall::ALL.into_iter().find(|call| call.name() == name).ok_or_else(|| {
        let names: Vec<&str> = BatchCall::ALL.iter().map(|call| call.name()).collect();
        format!("field `calls`: found {name:?}, write some of {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::faults::Target;

    #[test]
    fn every_field_of_a_rule_is_read() {
        let plan = parse(
            r#"{"seed": 7, "rules": [
                {"status": 429, "share": 0.25, "draw": "attempt", "first_attempts_only": true, "contains": "x",
                 "models": ["m"], "arrivals": [1], "from": "1s", "until": "2min", "times": 3, "type": "t",
                 "message": "m", "error_code": "c", "body": "empty", "retry_after": {"date": "30s"},
                 "retry_after_ms": 1.5, "should_retry": false},
                {"kind": "slow_drip", "bytes": 1, "every": "10ms"},
                {"kind": "cache_evicted", "after": "1min"}, {"kind": "cache_refused"}, {"kind": "cache_ignored"}
            ]}"#,
        );

        let rule = &plan.rules[0];
        assert_eq!((plan.seed, rule.share, rule.draw, rule.times), (Some(7), 0.25, Draw::Attempt, Some(3)));
        assert_eq!((rule.from, rule.until), (Duration::from_secs(1), Some(Duration::from_secs(120))));
        let Fault::Status(fault) = &rule.fault else { panic!("{:?}", rule.fault) };
        assert_eq!(fault.retry_after, RetryAfter::Date(Duration::from_secs(30)));
        assert_eq!((fault.body, fault.should_retry), (FaultBody::Empty, Some(false)));
        assert_eq!(plan.rules[1].fault, Fault::SlowDrip { bytes: 1, every: Duration::from_millis(10) });
        assert_eq!(plan.rules[2].fault, Fault::CacheEvicted { after: Duration::from_secs(60) });
        assert_eq!((&plan.rules[3].fault, &plan.rules[4].fault), (&Fault::CacheRefused, &Fault::CacheIgnored));
    }

    #[test]
    fn the_examples_of_the_documentation_are_fault_files() {
        let doc: String = include_str!("mod.rs").lines().map(|line| line.get(4..).unwrap_or_default()).collect();
        let examples: Vec<&str> = doc.split("```json").skip(1).filter_map(|rest| rest.split("```").next()).collect();

        assert_eq!(examples.iter().map(|example| parse(example).rules.len()).collect::<Vec<_>>(), [6, 6]);
    }

    #[test]
    fn a_rule_with_calls_is_about_the_batch_endpoints() {
        let plan = parse(
            r#"{"rules": [
                {"status": 500, "calls": ["create", "cancel"], "takes_effect": true, "within": "5s"},
                {"kind": "result_extra", "custom_id": "x"}, {"status": 500}
            ]}"#,
        );

        let about = |at: usize, target| plan.rules[at].is_about(target);
        assert!(about(0, Target::Call(BatchCall::Cancel)) && !about(0, Target::Call(BatchCall::List)));
        assert!(about(1, Target::Batched) && about(2, Target::Message) && !about(0, Target::Message));
        assert_eq!((plan.rules[0].takes_effect, plan.rules[0].within), (true, Some(Duration::from_secs(5))));
    }

    #[test]
    fn retry_after_can_be_null_a_number_or_a_text() {
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
