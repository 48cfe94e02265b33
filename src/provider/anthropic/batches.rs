//! Message Batches: writes the requests to the batch endpoints of the API, and reads the answers.
//!
//! Ids of batches come from servers and from files. An id is put into the path of a request only if it consists of
//! letters, digits, `_` and `-`. So an id can't make the path lead to another endpoint.
//!
//! Source: API documentation, "Batch processing" (2026-09-20); types of the official Python client 2.14.0.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method};
use jiff::Timestamp;
use serde::de::{Deserialize as _, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Anthropic, error_body, headers, judge, not_in_batches, reply, results_url, text};
use crate::domain::{ErrorClass, PoolId, ProviderKind, RateSignals, Request, Verdict, shortened};
use crate::provider::{
    Batch, BatchApi, BatchCall, BatchCounts, BatchEnd, BatchLine, BatchPage, BatchStatus, Body, HeadNews, Reply,
    ReplyHead, Transfer, WireRequest,
};

const PATH: &str = "/v1/messages/batches";
/// The maximum length of a batch id; the program rejects longer ids. The API's ids have 34 characters.
const LONGEST_ID: usize = 200;

impl BatchApi for Anthropic {
    fn encode(&self, call: BatchCall<'_>, route: &Arc<PoolId>) -> Result<WireRequest, String> {
        let transfer = if matches!(call, BatchCall::Results { .. }) { Transfer::Bulk } else { Transfer::Usual };
        let mut headers = self.whole.clone();
        if transfer == Transfer::Bulk {
            headers.insert(ACCEPT, HeaderValue::from_static("application/binary"));
        }
        let (method, path) = address(&call)?;
        let body = match call {
            BatchCall::Create(source) => Body::from_source(source),
            _ => Body::default(),
        };
        Ok(WireRequest { route: route.clone(), method, path: path.into(), headers, body, is_stream: false, transfer })
    }

    fn read_batch(&self, body: &[u8]) -> Result<Batch, String> {
        let batch: RawBatch = serde_json::from_slice(body).map_err(|error| unreadable("batch", body, &error))?;
        batch.checked()
    }

    fn read_page(&self, body: &[u8]) -> Result<BatchPage, String> {
        let page: RawPage =
            serde_json::from_slice(body).map_err(|error| unreadable("list of batches", body, &error))?;
        let batches = page.data.into_iter().map(RawBatch::checked).collect::<Result<Vec<_>, _>>()?;
        let last_id = page.last_id.or_else(|| batches.last().map(|batch| batch.id.clone()));
        Ok(BatchPage { batches, has_more: page.has_more, last_id })
    }

    fn read_line<'l>(&self, line: &'l Bytes) -> Result<BatchLine<'l>, String> {
        let RawLine { custom_id, result } =
            serde_json::from_slice(line).map_err(|error| unreadable("result of a batch", line, &error))?;
        let part = |part: Option<&'l RawValue>, name: &str| match part {
            Some(part) => Ok(line.slice_ref(part.get().as_bytes())),
            None => Err(format!("the result of a batch is {:?} but has no {name}", result.kind)),
        };
        let end = match &*result.kind {
            "succeeded" => BatchEnd::Succeeded(part(result.message, "message")?),
            "errored" => BatchEnd::Errored(part(result.error, "error")?),
            "canceled" => BatchEnd::Canceled,
            "expired" => BatchEnd::Expired,
            other => {
                return Err(format!("the result of a batch has an unknown type: {:?}", brief(other)));
            }
        };
        Ok(BatchLine { custom_id, end })
    }

    fn judge_end(&self, end: BatchEnd, asked: &Request) -> Option<Verdict> {
        match end {
            BatchEnd::Succeeded(message) => {
                let head = head(200);
                let reply = reply::answer(message, &head, asked);
                Some(judge::judge(self.kind, &head, reply, &RateSignals::default()))
            }
            BatchEnd::Errored(error) => Some(judge_error(self.kind, &error)),
            BatchEnd::Canceled | BatchEnd::Expired => None,
        }
    }

    fn judge_call(&self, head: &ReplyHead, body: &[u8], now: &dyn Fn() -> Timestamp) -> (HeadNews, Verdict) {
        let news = headers::read(self.kind, &head.headers, now);
        let reply = error_body::error(body, head);
        let retry_after = match &reply {
            Reply::Error { retry_after, .. } => news.signals.retry_after.max(*retry_after),
            Reply::Message(_) | Reply::Broken { .. } | Reply::Unfinished { .. } => news.signals.retry_after,
        };
        let verdict = match judge::judge(self.kind, head, reply, &news.signals) {
            Verdict::NoModel(failure) => {
                Verdict::Transient { class: ErrorClass::Server, retry_after, maybe_paid: false, failure }
            }
            other => other,
        };
        (news, verdict)
    }

    fn workspace(&self, head: &ReplyHead) -> Option<String> {
        let value = |name| head.headers.get(name)?.to_str().ok();
        let both = (value("anthropic-organization-id")?, value("anthropic-workspace-id").unwrap_or_default());
        Some(shortened(&format!("{}/{}", both.0, both.1)).into_owned())
    }

    fn refused_in_batches(&self, request: &Request) -> Option<&'static str> {
        not_in_batches::first(request.json())
    }
}

/// Returns the HTTP method and the path of a call.
fn address(call: &BatchCall<'_>) -> Result<(Method, String), String> {
    Ok(match call {
        BatchCall::Create(_) => (Method::POST, PATH.to_owned()),
        BatchCall::List { after: None } => (Method::GET, format!("{PATH}?limit=1000")),
        BatchCall::List { after: Some(after) } => {
            (Method::GET, format!("{PATH}?limit=1000&after_id={}", checked_id(after)?))
        }
        BatchCall::Retrieve(id) => (Method::GET, format!("{PATH}/{}", checked_id(id)?)),
        BatchCall::Results { id, url, base_url } => {
            let usual = format!("{PATH}/{}/results", checked_id(id)?);
            let given = url.and_then(|url| results_url::path(url, base_url));
            (Method::GET, given.map_or(usual, str::to_owned))
        }
        BatchCall::Cancel(id) => (Method::POST, format!("{PATH}/{}/cancel", checked_id(id)?)),
        BatchCall::Delete(id) => (Method::DELETE, format!("{PATH}/{}", checked_id(id)?)),
    })
}

/// Returns the id of a batch if the id can be used in the path of a URL.
fn checked_id(id: &str) -> Result<&str, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(is_plain) {
        return Ok(id);
    }
    Err(format!(
        "{:?} is not the id of a batch: an id has only letters, digits, '_' and '-', at most {LONGEST_ID} of them",
        brief(id)
    ))
}

/// Returns the verdict on a batch request that ended with an error.
fn judge_error(provider: ProviderKind, error: &Bytes) -> Verdict {
    let json = serde_json::from_slice::<Value>(error).unwrap_or_default();
    let is_whole = json.get("error").is_some_and(Value::is_object);
    // Some servers send the error object without the outer object around it.
    let bare = (!is_whole && json.is_object()).then(|| [br#"{"error":"#, &error[..], b"}"].concat());
    let kind = json.pointer(if is_whole { "/error/type" } else { "/type" }).and_then(Value::as_str);
    let head = head(judge::status_of(kind));
    judge::judge(provider, &head, error_body::error(bare.as_deref().unwrap_or(error), &head), &RateSignals::default())
}

/// Returns a response head (status and headers) for one result in a batch. With this response head, the code for single
/// responses can read the result.
fn head(status: u16) -> ReplyHead {
    ReplyHead { status, headers: HeaderMap::new() }
}

fn unreadable(what: &str, body: &[u8], error: &serde_json::Error) -> String {
    brief(&format!("the response is not a {what}: {}", reply::unreadable(body, error)))
}

fn brief(text: &str) -> String {
    shortened(&text::clean(text)).into_owned()
}

#[derive(serde::Deserialize)]
struct RawPage {
    data: Vec<RawBatch>,
    #[serde(default)]
    has_more: bool,
    last_id: Option<String>,
}

#[derive(serde::Deserialize)]
struct RawBatch {
    id: String,
    processing_status: String,
    request_counts: RawCounts,
    created_at: Timestamp,
    expires_at: Timestamp,
    #[serde(default, deserialize_with = "moment")]
    ended_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "moment")]
    cancel_initiated_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "moment")]
    archived_at: Option<Timestamp>,
    #[serde(default)]
    results_url: Option<String>,
}

#[derive(serde::Deserialize)]
struct RawCounts {
    processing: u64,
    succeeded: u64,
    errored: u64,
    canceled: u64,
    expired: u64,
}

impl RawBatch {
    fn checked(self) -> Result<Batch, String> {
        checked_id(&self.id)?;
        let status = match &*self.processing_status {
            "canceling" => BatchStatus::Canceling,
            "ended" => BatchStatus::Ended,
            _ => BatchStatus::InProgress,
        };
        let RawCounts { processing, succeeded, errored, canceled, expired } = self.request_counts;
        Ok(Batch {
            id: self.id,
            status,
            counts: BatchCounts { processing, succeeded, errored, canceled, expired },
            created_at: self.created_at,
            expires_at: self.expires_at,
            ended_at: self.ended_at,
            cancel_initiated_at: self.cancel_initiated_at,
            archived_at: self.archived_at,
            results_url: self.results_url,
        })
    }
}

/// Reads a time. The program can work without the time, so a time that can't be read is treated as missing.
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(value.as_str().and_then(|text| text.parse().ok()))
}

#[derive(serde::Deserialize)]
struct RawLine<'a> {
    #[serde(borrow)]
    custom_id: Cow<'a, str>,
    #[serde(borrow)]
    result: RawResult<'a>,
}

#[derive(serde::Deserialize)]
struct RawResult<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;

    use super::*;
    use crate::domain::{Failure, HaltReason, ModelClass, Quality, Speed};
    use crate::provider::BodySource;

    const MESSAGE: &str = r#"{"id":"msg_1","type":"message", "role":"assistant","content":[{"type":"text","text":"H\u0069"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}}"#;
    const BATCH: &str = r#"{"id":"msgbatch_1","type":"message_batch","processing_status":"in_progress","request_counts":{"processing":2,"succeeded":0,"errored":0,"canceled":0,"expired":0},"created_at":"2026-09-24T18:37:24.100435Z","expires_at":"2026-09-25T18:37:24.100435Z","ended_at":null,"cancel_initiated_at":null,"archived_at":null,"results_url":null}"#;

    fn provider() -> Anthropic {
        Anthropic::new("2023-06-01", &["beta-1".to_owned()], HeaderMap::new()).expect("plain values fit in headers")
    }

    fn encoded(call: BatchCall<'_>) -> Result<WireRequest, String> {
        let class = ModelClass("m".into());
        let pool = PoolId { provider: "anthropic".into(), account: "".into(), class, speed: Speed::Standard };
        provider().encode(call, &Arc::new(pool))
    }

    fn target(call: BatchCall<'_>) -> String {
        let request = encoded(call).expect("the id is good");
        format!("{} {}", request.method, request.path)
    }

    fn judged(line: &str) -> Option<Verdict> {
        let line = Bytes::copy_from_slice(line.as_bytes());
        let line = provider().read_line(&line).expect("a line of results");
        provider().judge_end(line.end, &Request::default())
    }

    fn errored(error: &str) -> Verdict {
        judged(&format!(r#"{{"custom_id":"a","result":{{"type":"errored","error":{error}}}}}"#)).expect("a verdict")
    }

    fn called(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> (HeadNews, Verdict) {
        let headers =
            headers.iter().map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)));
        let head = ReplyHead { status, headers: headers.collect() };
        provider().judge_call(&head, body.as_bytes(), &|| Timestamp::UNIX_EPOCH)
    }

    #[derive(Debug)]
    struct Two;

    impl BodySource for Two {
        fn len(&self) -> u64 {
            2
        }

        fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
            let left = &b"{}"[offset as usize..];
            buffer[..left.len()].copy_from_slice(left);
            Ok(left.len())
        }
    }

    #[test]
    fn each_call_has_its_method_and_its_path() {
        let url = Some("https://gw.example/p/v1/messages/batches/msgbatch_1/results?part=2");
        let results = |base_url| BatchCall::Results { id: "msgbatch_1", url, base_url };

        assert_eq!(target(BatchCall::Create(Arc::new(Two))), "POST /v1/messages/batches");
        assert_eq!(target(BatchCall::List { after: None }), "GET /v1/messages/batches?limit=1000");
        assert_eq!(target(BatchCall::List { after: Some("a_1") }), "GET /v1/messages/batches?limit=1000&after_id=a_1");
        assert_eq!(target(BatchCall::Retrieve("msgbatch_1")), "GET /v1/messages/batches/msgbatch_1");
        assert_eq!(target(BatchCall::Cancel("msgbatch_1")), "POST /v1/messages/batches/msgbatch_1/cancel");
        assert_eq!(target(BatchCall::Delete("msgbatch_1")), "DELETE /v1/messages/batches/msgbatch_1");
        assert_eq!(target(results("https://gw.example/p")), "GET /v1/messages/batches/msgbatch_1/results?part=2");
        assert_eq!(target(results("https://api.example")), "GET /v1/messages/batches/msgbatch_1/results");
    }

    #[test]
    fn only_a_new_batch_has_a_body_and_only_results_are_a_bulk_transfer() {
        let create = encoded(BatchCall::Create(Arc::new(Two))).expect("no id is needed");
        let results = encoded(BatchCall::Results { id: "b", url: None, base_url: "" }).expect("the id is good");
        let list = encoded(BatchCall::List { after: None }).expect("no id is needed");

        assert_eq!(
            (create.transfer, &create.headers[CONTENT_TYPE]),
            (Transfer::Usual, &"application/json".parse().expect("text"))
        );
        assert_eq!(create.headers["anthropic-beta"], "beta-1");
        assert_eq!(create.body.into_bytes(), "{}");
        assert_eq!(
            (results.transfer, &results.headers[ACCEPT]),
            (Transfer::Bulk, &"application/binary".parse().expect("text"))
        );
        assert!(results.body.is_empty() && list.body.is_empty() && list.transfer == Transfer::Usual);
    }

    #[test]
    fn an_id_that_could_change_the_path_is_refused() {
        let long = "a".repeat(201);
        for id in ["", "..", "a/b", "a?b", "a%2fb", "a b", "a\nb", "é", "a#b", "a\\b", &long] {
            for call in [
                BatchCall::List { after: Some(id) },
                BatchCall::Retrieve(id),
                BatchCall::Results { id, url: None, base_url: "" },
                BatchCall::Results { id, url: Some("https://a.example/x"), base_url: "https://a.example" },
                BatchCall::Cancel(id),
                BatchCall::Delete(id),
            ] {
                let error = encoded(call).expect_err(id);

                assert!(error.contains("is not the id of a batch") && error.len() < 700, "{error}");
            }
        }
        assert!(encoded(BatchCall::Retrieve(&"a".repeat(200))).is_ok());
    }

    #[test]
    fn a_batch_is_read() {
        let batch = provider().read_batch(BATCH.as_bytes()).expect("a batch");

        assert_eq!((batch.id.as_str(), batch.status), ("msgbatch_1", BatchStatus::InProgress));
        assert_eq!((batch.counts.processing, batch.counts.total()), (2, 2));
        assert_eq!(batch.created_at.to_string(), "2026-09-24T18:37:24.100435Z");
        assert_eq!((batch.ended_at, batch.archived_at, batch.results_url), (None, None, None));
    }

    #[test]
    fn an_ended_batch_has_its_times_and_the_address_of_its_results() {
        let ended = BATCH
            .replace("in_progress", "ended")
            .replace(r#""ended_at":null"#, r#""ended_at":"2026-09-24T19:37:24Z""#)
            .replace(r#""results_url":null"#, r#""results_url":"https://api.anthropic.com/r""#)
            .replace(r#""processing":2,"succeeded":0,"errored":0"#, r#""processing":0,"succeeded":3,"errored":4"#);

        let batch = provider().read_batch(ended.as_bytes()).expect("a batch");

        assert_eq!((batch.status, batch.counts.total()), (BatchStatus::Ended, 7));
        assert_eq!(batch.ended_at.map(|at| at.to_string()).as_deref(), Some("2026-09-24T19:37:24Z"));
        assert_eq!(batch.results_url.as_deref(), Some("https://api.anthropic.com/r"));
    }

    #[test]
    fn unknown_members_states_and_odd_times_are_tolerated() {
        let odd = BATCH
            .replace("in_progress", "sleeping")
            .replace(r#""ended_at":null"#, r#""ended_at":17,"moons":[1,{}]"#)
            .replace(r#","archived_at":null,"results_url":null"#, "");

        let batch = provider().read_batch(odd.as_bytes()).expect("a batch");

        assert_eq!((batch.status, batch.ended_at, batch.archived_at), (BatchStatus::InProgress, None, None));
        let canceling = provider().read_batch(BATCH.replace("in_progress", "canceling").as_bytes()).expect("a batch");
        assert_eq!(canceling.status, BatchStatus::Canceling);
    }

    #[test]
    fn a_batch_without_a_needed_member_is_refused_with_a_short_reason() {
        for body in [
            BATCH.replace(r#""id":"#, r#""ids":"#),
            BATCH.replace("processing_status", "status"),
            BATCH.replace("request_counts", "counts"),
            BATCH.replace(r#""expired":0"#, r#""expire":0"#),
            BATCH.replace(r#""processing":2"#, r#""processing":-2"#),
            BATCH.replace("created_at", "created"),
            BATCH.replace("2026-09-25T18", "tomorrow"),
            BATCH.replace("msgbatch_1", "../keys"),
            format!("<html>{}</html>", "x".repeat(10_000)),
            String::new(),
            "null".to_owned(),
        ] {
            let error = provider().read_batch(body.as_bytes()).expect_err(&body);

            assert!(error.contains("is not") && error.len() < 700, "{error}");
        }
    }

    #[test]
    fn a_page_of_batches_is_read() {
        let page = format!(
            r#"{{"data":[{BATCH},{}],"has_more":true,"first_id":"msgbatch_1","last_id":"b_2"}}"#,
            BATCH.replace("msgbatch_1", "b_2")
        );

        let read = |page: &str| provider().read_page(page.as_bytes());
        let whole = read(&page).expect("a page");
        let without = read(&page.replace(r#","last_id":"b_2""#, "")).expect("a page");
        let empty = read(r#"{"data":[],"has_more":false,"first_id":null,"last_id":null}"#).expect("a page");

        assert_eq!(whole.batches.iter().map(|batch| &*batch.id).collect::<Vec<_>>(), ["msgbatch_1", "b_2"]);
        assert_eq!((whole.has_more, whole.last_id.as_deref()), (true, Some("b_2")));
        assert_eq!(without, whole);
        assert_eq!(empty, BatchPage::default());
        // A page that contains a bad id is rejected as a whole. Otherwise, callers would think that the batch with this
        // id does not exist.
        assert!(read(&page.replace(r#""id":"b_2""#, r#""id":"b/2""#)).is_err());
        assert!(read("{}").is_err_and(|error| error.contains("is not a list of batches")));
    }

    #[test]
    fn a_message_in_a_line_keeps_its_bytes_and_is_not_copied() {
        let line =
            Bytes::from(format!(r#"{{"custom_id":"job-1","result":{{"type":"succeeded","message": {MESSAGE} }}}}"#));

        let read = provider().read_line(&line).expect("a line");

        assert!(matches!(read.custom_id, Cow::Borrowed("job-1")));
        let BatchEnd::Succeeded(message) = read.end else { panic!("not succeeded: {:?}", read.end) };
        assert_eq!(message, MESSAGE);
        assert_eq!(message.as_ptr().addr() - line.as_ptr().addr(), line.len() - MESSAGE.len() - 3);
    }

    #[test]
    fn members_of_a_line_may_have_any_order_and_escapes() {
        let line = Bytes::from_static(br#" {"new":1,"result":{"x":{},"type":"expir\u0065d"},"custom_id":"a\u0062"} "#);

        let read = provider().read_line(&line).expect("a line");

        assert_eq!((&*read.custom_id, read.end), ("ab", BatchEnd::Expired));
    }

    #[test]
    fn a_line_that_is_not_a_result_is_refused_with_its_reason() {
        for (line, reason) in [
            (r#"{"custom_id":"a","result":{"type":"paused"}}"#, "unknown type: \"paused\""),
            (r#"{"custom_id":"a","result":{"type":"succeeded"}}"#, "has no message"),
            (r#"{"custom_id":"a","result":{"type":"errored","error":null}}"#, "has no error"),
            (r#"{"custom_id":"a"}"#, "missing field `result`"),
            (r#"{"result":{"type":"canceled"}}"#, "missing field `custom_id`"),
            (r#"{"custom_id":"a","result":{"type":"canc"#, "EOF"),
            ("", "is not a result of a batch"),
            ("<html>", "is not a result of a batch"),
        ] {
            let error = provider().read_line(&Bytes::from_static(line.as_bytes())).expect_err(line);

            assert!(error.contains(reason) && error.len() < 700, "{line}: {error}");
        }
    }

    #[test]
    fn a_succeeded_request_has_the_verdict_of_an_online_answer() {
        let verdict = |message: &str| {
            judged(&format!(r#"{{"custom_id":"a","result":{{"type":"succeeded","message":{message}}}}}"#))
        };

        let Some(Verdict::Answered(answer)) = verdict(MESSAGE) else { panic!("not answered") };
        assert_eq!((&answer.json[..], answer.quality), (MESSAGE.as_bytes(), Quality::Ok));
        assert_eq!((answer.usage.input_tokens, answer.usage.output_tokens), (1, 2));
        let paused = verdict(&MESSAGE.replace("end_turn", "pause_turn")).expect("a verdict");
        let Verdict::Paused { message, .. } = &paused else { panic!("{paused:?}") };
        assert_eq!((message.usage.output_tokens, paused.is_maybe_paid()), (2, false));
        let broken = verdict(&MESSAGE.replace(r#""content""#, r#""contents""#)).expect("a verdict");
        assert!(
            matches!(broken, Verdict::Transient { class: ErrorClass::InvalidOutput, maybe_paid: true, .. }),
            "{broken:?}"
        );
        let unknown_tool = MESSAGE
            .replace(r#"{"type":"text","text":"H\u0069"}"#, r#"{"type":"tool_use","id":"t","name":"n","input":{}}"#);
        assert!(matches!(verdict(&unknown_tool), Some(Verdict::Transient { .. })));
    }

    #[test]
    fn an_error_has_the_verdict_of_the_same_error_online_and_was_not_paid() {
        let error = |kind: &str| {
            errored(&format!(
                r#"{{"type":"error","error":{{"type":"{kind}","message":"it is so"}},"request_id":"req_7"}}"#
            ))
        };
        for (kind, status, expected) in [
            ("invalid_request_error", 400, "Rejected { class: InvalidRequest"),
            ("request_too_large", 413, "Rejected { class: TooLarge"),
            ("not_found_error", 404, "NoModel("),
            ("permission_error", 403, "Forbidden("),
            ("authentication_error", 401, "Halt(Key("),
            ("billing_error", 402, "Halt(Account("),
            ("rate_limit_error", 429, "Limited"),
            ("timeout_error", 504, "Transient { class: Timeout"),
            ("overloaded_error", 529, "Overloaded"),
            ("api_error", 500, "Transient { class: Server"),
            ("another_error", 500, "Transient { class: Server"),
        ] {
            let verdict = error(kind);

            let shown = format!("{verdict:?}");
            assert!(shown.starts_with(expected) && !verdict.is_maybe_paid(), "{kind}: {shown}");
            for part in [
                format!("status: Some({status})"),
                format!("{kind:?}"),
                r#""it is so""#.to_owned(),
                r#"request_id: Some("req_7")"#.to_owned(),
            ] {
                assert!(shown.contains(&part), "{part}: {shown}");
            }
        }
    }

    #[test]
    fn an_error_without_the_outer_object_or_of_another_form_is_read_too() {
        let bare = errored(r#"{"type":"invalid_request_error","message":"no"}"#);
        let text = errored(r#""broken""#);

        assert!(
            matches!(&bare, Verdict::Rejected { class: ErrorClass::InvalidRequest, failure } if failure.message == "no"),
            "{bare:?}"
        );
        assert!(matches!(text, Verdict::Transient { class: ErrorClass::Server, maybe_paid: false, .. }), "{text:?}");
    }

    #[test]
    fn a_request_that_never_ran_has_no_verdict() {
        for kind in ["canceled", "expired"] {
            assert!(judged(&format!(r#"{{"custom_id":"a","result":{{"type":"{kind}"}}}}"#)).is_none(), "{kind}");
        }
    }

    #[test]
    fn a_404_of_a_call_is_not_a_missing_model() {
        let body =
            r#"{"type":"error","error":{"type":"not_found_error","message":"no such batch"},"request_id":"req_9"}"#;

        let (news, verdict) = called(404, &[("retry-after", "7"), ("request-id", "req_8")], body);

        let Verdict::Transient { retry_after, maybe_paid, failure, .. } = verdict else { panic!("{verdict:?}") };
        assert_eq!((retry_after.map(|wait| wait.as_secs()), maybe_paid, failure.status), (Some(7), false, Some(404)));
        assert_eq!((news.request_id.as_deref(), failure.request_id.as_deref()), (Some("req_8"), Some("req_8")));
    }

    #[test]
    fn failed_calls_show_halts_limits_and_waits() {
        let body = |kind: &str, code: &str| {
            format!(
                r#"{{"type":"error","error":{{"type":"{kind}","message":"key sk-ant-api03-AbC_d-9 no","details":{{"error_code":"{code}"}}}}}}"#
            )
        };
        let halts = |status, kind, code| matches!(called(status, &[], &body(kind, code)).1, Verdict::Halt(_));
        let hold = called(400, &[], &body("invalid_request_error", "organization_on_hold")).1;
        let full = called(429, &[("retry-after", "30")], &body("rate_limit_error", "")).1;
        let refused = called(400, &[], &body("invalid_request_error", "")).1;
        let page = called(502, &[], "<html><h1>Bad Gateway</h1></html>").1;

        assert!(matches!(hold, Verdict::Halt(HaltReason::Account(Failure { status: Some(400), .. }))), "{hold:?}");
        assert!(halts(429, "rate_limit_error", "enforced_spend_limit_reached"));
        assert!(halts(401, "authentication_error", "") && halts(402, "billing_error", ""));
        assert!(matches!(called(403, &[], &body("permission_error", "")).1, Verdict::Forbidden(_)));
        assert!(matches!(&full, Verdict::Limited { retry_after: Some(wait), .. } if wait.as_secs() == 30), "{full:?}");
        assert!(
            matches!(&refused, Verdict::Rejected { failure, .. } if failure.message == "key sk-… no"),
            "{refused:?}"
        );
        assert!(matches!(page, Verdict::Transient { maybe_paid: true, .. }), "{page:?}");
        assert!(matches!(called(413, &[], "").1, Verdict::Rejected { class: ErrorClass::TooLarge, .. }));
    }
}
