//! Reads a fault file.

use std::time::Duration;

use super::rule::{BatchCall, Fault, FaultBody, FaultPlan, FaultRule, RetryAfter, StatusFault};
use super::values::{Bytes, Status};
use crate::sim::rules::{Part, Rule, RuleFileError, Selection, Texts, Time, fields, read};

impl FaultPlan {
    /// Reads the text of a fault file. `name` is the name of the file in error messages.
    ///
    /// # Errors
    /// Returns `RuleFileError` for broken JSON, an unknown field or a value out of range.
    pub fn parse(text: &str, name: &str) -> Result<Self, RuleFileError> {
        let (seed, rules) = read(text, name)?;
        Ok(Self { seed, rules })
    }
}

impl Rule for FaultRule {
    type Own = RuleFields;
    const FORM: &'static str = "an object with `status` or `kind`";

    fn from_fields(selection: Selection, own: RuleFields) -> Result<Self, String> {
        own.into_rule(selection)
    }
}

fields! {
    /// The fields that rules have only in fault files, and not in answer files.
    RuleFields {
        "status" status: Status,
        "kind" kind: String,
        "calls" calls: Texts,
        "within" within: Time,
        "takes_effect" takes_effect: bool,
        "custom_id" custom_id: String,
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
}

impl RuleFields {
    fn into_rule(mut self, selection: Selection) -> Result<FaultRule, String> {
        let rule = FaultRule {
            selection,
            calls: self.calls.take().unwrap_or_default().0.iter().map(|name| call(name)).collect::<Result<_, _>>()?,
            within: self.within.take().map(|Time(within)| within),
            takes_effect: self.takes_effect.unwrap_or(false),
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

    /// Returns the error response that a rule describes. If the rule has no status, the parameter `usual` is the status
    /// of the response.
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
    use crate::sim::rules::Draw;

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

        let rule = &plan.rules[0].selection;
        assert_eq!((plan.seed, rule.share, rule.draw, rule.times), (Some(7), 0.25, Draw::Attempt, Some(3)));
        assert_eq!((rule.from, rule.until), (Duration::from_secs(1), Some(Duration::from_secs(120))));
        let Fault::Status(fault) = &plan.rules[0].fault else { panic!("{:?}", plan.rules[0].fault) };
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
