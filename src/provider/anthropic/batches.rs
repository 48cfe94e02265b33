//! Message Batches: the requests of its calls, and what its answers say.
//!
//! Ids come from servers and from files. An id becomes part of a path only if it can't change the path.
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

use super::{Anthropic, headers, judge, not_in_batches, reply, results_url, text};
use crate::domain::{ErrorClass, PoolId, RateSignals, Request, Verdict, shortened};
use crate::provider::{
    Batch, BatchApi, BatchCall, BatchCounts, BatchEnd, BatchLine, BatchPage, BatchStatus, Body, HeadNews, Reply,
    ReplyHead, Transfer, WireRequest,
};

const PATH: &str = "/v1/messages/batches";
/// The longest id that is accepted. The ids of the API have 34 characters.
const LONGEST_ID: usize = 200;

impl BatchApi for Anthropic {
    fn encode(&self, call: BatchCall<'_>, route: &Arc<PoolId>) -> Result<WireRequest, String> {
        let transfer = match &call {
            BatchCall::Create(_) => Transfer::Upload,
            BatchCall::Results { .. } => Transfer::Download,
            BatchCall::List { .. } | BatchCall::Retrieve(_) | BatchCall::Cancel(_) | BatchCall::Delete(_) => {
                Transfer::Usual
            }
        };
        let mut headers = self.whole.clone();
        if transfer == Transfer::Download {
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
                Some(judge::judge(&head, reply, &RateSignals::default()))
            }
            BatchEnd::Errored(error) => Some(judge_error(&error)),
            BatchEnd::Canceled | BatchEnd::Expired => None,
        }
    }

    fn judge_call(&self, head: &ReplyHead, body: &[u8], now: &dyn Fn() -> Timestamp) -> (HeadNews, Verdict) {
        let news = headers::read(&head.headers, now);
        let reply = reply::error(body, head);
        let retry_after = match &reply {
            Reply::Error { retry_after, .. } => news.signals.retry_after.max(*retry_after),
            Reply::Message(_) | Reply::Broken { .. } | Reply::Unfinished { .. } => news.signals.retry_after,
        };
        let verdict = match judge::judge(head, reply, &news.signals) {
            Verdict::NoModel(failure) => {
                Verdict::Transient { class: ErrorClass::Server, retry_after, maybe_paid: false, failure }
            }
            other => other,
        };
        (news, verdict)
    }

    fn refused_in_batches(&self, request: &Request) -> Option<&'static str> {
        not_in_batches::first(request.json())
    }
}

/// Returns the method and the path of a call.
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

/// Returns the id if it can be part of a path.
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

/// Returns the verdict on a request that ended with an error.
fn judge_error(error: &Bytes) -> Verdict {
    let json = serde_json::from_slice::<Value>(error).unwrap_or_default();
    let is_whole = json.get("error").is_some_and(Value::is_object);
    // Some servers leave out the outer object.
    let bare = (!is_whole && json.is_object()).then(|| [br#"{"error":"#, &error[..], b"}"].concat());
    let kind = json.pointer(if is_whole { "/error/type" } else { "/type" }).and_then(Value::as_str);
    let head = head(judge::status_of(kind));
    judge::judge(&head, reply::error(bare.as_deref().unwrap_or(error), &head), &RateSignals::default())
}

/// Returns the head that a result would have had as a response of its own.
fn head(status: u16) -> ReplyHead {
    ReplyHead { status, headers: HeaderMap::new() }
}

fn unreadable(what: &str, body: &[u8], error: &serde_json::Error) -> String {
    brief(&format!("the answer is not a {what}: {}", reply::unreadable(body, error)))
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

/// Reads a moment that is not needed: one that can't be read counts as missing.
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
