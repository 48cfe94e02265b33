//! Makes the lines of a log about single rows.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::event::EVENT_VERSION;
use crate::domain::{ErrorClass, EventBody, Money, PoolId, RunEvent, TakenFrom};
use crate::report::harmless;
use crate::report::json::Tokens;
use crate::report::notes::limit_name;

#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    at: Timestamp,
    run: &'a str,
    #[serde(flatten)]
    body: Body<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Body<'a> {
    Sent {
        row: &'a str,
        provider: &'a str,
        pool: String,
    },
    Retried {
        row: &'a str,
        provider: &'a str,
        pool: String,
        class: &'static str,
        limit: Option<&'static str>,
        status: Option<u16>,
        wait_s: f64,
        next_try: u32,
        maybe_paid: bool,
    },
    Succeeded {
        row: &'a str,
        provider: Option<&'a str>,
        pool: Option<String>,
        model: &'a str,
        quality: &'static str,
        usage: Tokens,
        cost_usd: Option<f64>,
        latency_s: Option<f64>,
        first_byte_s: Option<f64>,
        mended: Option<&'static str>,
    },
    Mending {
        row: &'a str,
        provider: Option<&'a str>,
        pool: Option<String>,
        purpose: &'static str,
        usage: Tokens,
        cost_usd: Option<f64>,
    },
    Taken {
        row: &'a str,
        from: &'static str,
        quality: &'static str,
        saved_usd: f64,
    },
    Failed {
        row: &'a str,
        provider: Option<&'a str>,
        pool: Option<String>,
        class: &'static str,
        status: Option<u16>,
        /// The message about the failure. The value is null if messages of this error class can contain text of the row
        /// or of the answer.
        message: Option<&'a str>,
        retryable: bool,
        usage: Tokens,
        cost_usd: Option<f64>,
    },
}

/// Returns the log line about a single row, without its line break. Returns `None` if the event is not about a single
/// row.
pub(super) fn line(event: &RunEvent) -> Option<Vec<u8>> {
    let body = body(&event.body)?;
    harmless::to_vec(&Line { v: EVENT_VERSION, at: event.at, run: &event.run, body }).ok()
}

fn body(event: &EventBody) -> Option<Body<'_>> {
    let name = |pool: &Option<Arc<PoolId>>| pool.as_ref().map(ToString::to_string);
    Some(match event {
        EventBody::Sent { row, pool } => Body::Sent { row, provider: &pool.provider, pool: pool.to_string() },
        EventBody::Retried { row, class, limit, maybe_paid } => Body::Retried {
            row: &row.label,
            provider: &row.pool.provider,
            pool: row.pool.to_string(),
            class: class.name(),
            limit: limit.map(limit_name),
            status: row.status,
            wait_s: seconds(row.wait),
            next_try: row.next_try,
            maybe_paid: *maybe_paid,
        },
        EventBody::Succeeded {
            row,
            pool,
            model,
            quality,
            usage,
            cost,
            latency,
            first_byte,
            mended,
            without_cache: _,
        } => Body::Succeeded {
            row,
            provider: provider(pool),
            pool: name(pool),
            model,
            quality: quality.name(),
            usage: Tokens::of(usage),
            cost_usd: cost.map(Money::dollars),
            latency_s: latency.map(seconds),
            first_byte_s: first_byte.map(seconds),
            mended: mended.map(|purpose| purpose.name()),
        },
        EventBody::Mending { row, pool, purpose, usage, cost, without_cache: _ } => Body::Mending {
            row,
            provider: provider(pool),
            pool: name(pool),
            purpose: purpose.name(),
            usage: Tokens::of(usage),
            cost_usd: cost.map(Money::dollars),
        },
        EventBody::Taken { row, from, quality, saved } => Body::Taken {
            row,
            from: match from {
                TakenFrom::EqualRow => "equal_row",
                TakenFrom::EarlierResults => "earlier_results",
            },
            quality: quality.name(),
            saved_usd: saved.dollars(),
        },
        EventBody::Failed { class, row, usage, cost, without_cache: _ } => Body::Failed {
            row: &row.label,
            provider: provider(&row.pool),
            pool: name(&row.pool),
            class: class.name(),
            status: row.status,
            message: message(*class, &row.message),
            retryable: row.is_retryable,
            usage: Tokens::of(usage),
            cost_usd: cost.map(Money::dollars),
        },
        EventBody::Started { .. }
        | EventBody::Forecast(_)
        | EventBody::Models(_)
        | EventBody::Skipped
        | EventBody::Status { .. }
        | EventBody::Batches(_)
        | EventBody::Outage(_)
        | EventBody::Held { .. }
        | EventBody::LimitsChanged { .. }
        | EventBody::Parked { .. }
        | EventBody::Providers(_)
        | EventBody::Diverted { .. }
        | EventBody::ProviderStopped { .. }
        | EventBody::Returned { .. }
        | EventBody::Crossed(_)
        | EventBody::Steered { .. }
        | EventBody::InputBroke
        | EventBody::Warned(_)
        | EventBody::Noted(_)
        | EventBody::Draining { .. }
        | EventBody::Ended { .. } => return None,
    })
}

/// Returns the name of the provider of a pool, if the pool is known.
fn provider(pool: &Option<Arc<PoolId>>) -> Option<&str> {
    pool.as_ref().map(|pool| &*pool.provider)
}

/// Returns the message about a failed row. Returns `None` for error classes whose messages can quote the row or the
/// answer.
fn message(class: ErrorClass, message: &str) -> Option<&str> {
    let may_quote = matches!(class, ErrorClass::InvalidInput | ErrorClass::InvalidOutput | ErrorClass::InvalidRequest);
    (!may_quote).then_some(message)
}

fn seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e3).round() / 1e3
}
