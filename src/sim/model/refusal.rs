//! Makes the answers to requests that are not admitted: API errors, 429s and injected faults.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use crate::clock::Instant;
use crate::provider::ReplyHead;
use crate::sim::faults::{FaultBody, RetryAfter, StatusFault};

use super::delivery::Step;
use super::errors::{self, ApiError};
use super::exchange::{Arrival, Ticket};
use super::hash::Hash;
use super::limits::{Account, Reason};
use super::platform;
use super::state::Model;

impl Model {
    /// Returns the answer to a request that is not admitted.
    pub(super) fn stop(&mut self, stop: Stop, request_id: &str, now: Instant) -> Arrival {
        let at = now + self.config.latency.error;
        match stop {
            Stop::Error(error) => self.error_answer(&error, HeaderMap::new(), None, request_id, at),
            Stop::Reset => Arrival { ticket: Ticket(0), head_at: at, head: None, body: vec![Step::Reset { at }] },
            Stop::Refused { error, reason, retry_after, account } => {
                self.books.refuse(reason);
                self.line.note(|line| line.reason = Some(reason.name()));
                let mut headers = HeaderMap::new();
                let retry_after = retry_after.filter(|_| platform::says_how_long(self.config.kind));
                if let Some(seconds) = retry_after {
                    headers.insert(http::header::RETRY_AFTER, HeaderValue::from(seconds));
                }
                if let (Some(account), Some(seconds)) = (account, retry_after) {
                    let known_at = at + self.config.network * 2;
                    self.account(account).hold(known_at, now + Duration::from_secs(seconds));
                }
                self.error_answer(&error, headers, account, request_id, at)
            }
            Stop::Injected(fault, account) => self.injected_error(&fault, account, request_id, at),
        }
    }

    fn injected_error(
        &mut self,
        fault: &StatusFault,
        account: Option<Account>,
        request_id: &str,
        at: Instant,
    ) -> Arrival {
        let status = fault.status;
        if status == 429 {
            self.books.refuse(Reason::Injected);
        }
        let mut headers = HeaderMap::new();
        let wall = self.wall(at);
        let retry_after = match &fault.retry_after {
            RetryAfter::Usual => (status == 429).then(|| "1".to_owned()),
            RetryAfter::Absent => None,
            RetryAfter::Text(text) => Some(text.clone()),
            RetryAfter::Date(ahead) => Some(http_date(wall, *ahead)),
        };
        let mut add = |name: &'static str, text: Option<String>| {
            if let Some(value) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
                headers.insert(name, value);
            }
        };
        add("retry-after", retry_after);
        add("retry-after-ms", fault.retry_after_ms.map(|ms| ms.to_string()));
        add("x-should-retry", fault.should_retry.map(|should| should.to_string()));
        match fault.body {
            FaultBody::Json => {
                let error = ApiError {
                    status,
                    kind: fault.kind.clone().unwrap_or_else(|| errors::kind_of(status).to_owned()),
                    message: fault.message.clone().unwrap_or_else(|| errors::usual_message(status).to_owned()),
                    error_code: fault.error_code.clone(),
                };
                let account = account.filter(|_| status == 429);
                self.error_answer(&error, headers, account, request_id, at)
            }
            FaultBody::Html => {
                self.edge_answer(status, "text/html; charset=UTF-8", &errors::html_page(status), headers, at)
            }
            FaultBody::Empty => self.edge_answer(status, "", "", headers, at),
        }
    }

    /// Returns an answer of a gateway in front of the API, without the API's own headers.
    fn edge_answer(
        &mut self,
        status: u16,
        kind: &'static str,
        text: &str,
        mut headers: HeaderMap,
        at: Instant,
    ) -> Arrival {
        *self.books.statuses.entry(status).or_default() += 1;
        if !kind.is_empty() {
            headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        headers.insert(http::header::SERVER, HeaderValue::from_static("cloudflare"));
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let head = Some(ReplyHead { status, headers });
        Arrival { ticket: Ticket(0), head_at: at, head, body: vec![Step::Bytes { at, bytes }] }
    }

    fn error_answer(
        &mut self,
        error: &ApiError,
        own: HeaderMap,
        account: Option<Account>,
        request_id: &str,
        at: Instant,
    ) -> Arrival {
        let sent = platform::error(self.config.kind, error, request_id);
        *self.books.statuses.entry(sent.status).or_default() += 1;
        let mut headers = self.base_headers(request_id, account.map_or(0, |account| account.0));
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.extend(own);
        if let Some(account) = account {
            self.write_rate_headers(&mut headers, account);
        }
        platform::change_headers(self.config.kind, &mut headers);
        headers.extend(sent.headers);
        let bytes = Bytes::from(sent.body);
        let head = Some(ReplyHead { status: sent.status, headers });
        Arrival { ticket: Ticket(0), head_at: at, head, body: vec![Step::Bytes { at, bytes }] }
    }

    /// Returns a JSON answer that is sent immediately, with the rate headers of `account`.
    pub(super) fn json_answer(
        &mut self,
        body: Vec<u8>,
        request_id: &str,
        organization: u64,
        account: Option<Account>,
    ) -> Arrival {
        let at = self.now + self.config.latency.error;
        *self.books.statuses.entry(200).or_default() += 1;
        let mut headers = self.base_headers(request_id, organization);
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(account) = account {
            self.write_rate_headers(&mut headers, account);
        }
        platform::change_headers(self.config.kind, &mut headers);
        let head = Some(ReplyHead { status: 200, headers });
        Arrival { ticket: Ticket(0), head_at: at, head, body: vec![Step::Bytes { at, bytes: body.into() }] }
    }

    /// Returns the headers that every answer of the API has.
    pub(super) fn base_headers(&self, request_id: &str, organization: u64) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(20);
        if let Ok(value) = HeaderValue::try_from(request_id) {
            headers.insert("request-id", value);
        }
        if let Ok(value) = HeaderValue::try_from(organization_id(organization)) {
            headers.insert("anthropic-organization-id", value);
        }
        if let Ok(value) = HeaderValue::try_from(workspace_id(organization)) {
            headers.insert("anthropic-workspace-id", value);
        }
        headers.insert(http::header::SERVER, HeaderValue::from_static("cloudflare"));
        headers
    }

    /// Adds the rate headers of an account, which show its current limits.
    pub(super) fn write_rate_headers(&mut self, headers: &mut HeaderMap, account: Account) {
        let wall = self.wall(self.now);
        self.account(account).write_headers(headers, wall);
    }

    /// Returns the wall-clock time of an instant.
    pub(super) fn wall(&self, at: Instant) -> jiff::Timestamp {
        let passed = jiff::SignedDuration::from_nanos(i64::try_from(at.as_nanos()).unwrap_or(i64::MAX));
        self.config.wall_start.saturating_add(passed).unwrap_or(self.config.wall_start)
    }
}

/// Why a request is not admitted.
pub(super) enum Stop {
    /// The API rejects the request with an error.
    Error(ApiError),
    /// A limit is used up, so the request gets a 429.
    Refused { error: ApiError, reason: Reason, retry_after: Option<u64>, account: Option<Account> },
    /// A fault injects an error response.
    Injected(StatusFault, Option<Account>),
    /// A fault breaks the connection.
    Reset,
}

impl From<ApiError> for Box<Stop> {
    fn from(error: ApiError) -> Self {
        Self::new(Stop::Error(error))
    }
}

/// Returns the id that the API shows for an organization.
pub(super) fn organization_id(organization: u64) -> String {
    let [high, low] = [Hash::new(organization).word(1).end(), Hash::new(organization).word(2).end()];
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xFFFF,
        high & 0xFFF,
        low >> 52,
        low & 0xFFFF_FFFF_FFFF
    )
}

/// Returns the id of an organization's only workspace.
fn workspace_id(organization: u64) -> String {
    format!("wrkspc_01{:016x}", Hash::new(organization).word(4).end())
}

fn http_date(wall: jiff::Timestamp, ahead: Duration) -> String {
    let ahead = jiff::SignedDuration::try_from(ahead).unwrap_or(jiff::SignedDuration::MAX);
    let at = wall.saturating_add(ahead).unwrap_or(wall);
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap_or_default()
}
