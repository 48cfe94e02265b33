//! Lets the API count the tokens of some rows (`--count-tokens`). This is free, and has a limit of its own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::domain::{PoolId, Request};
use crate::forecast::Counts;
use crate::plan::Load;
use crate::provider::anthropic::{Anthropic, count_of};
use crate::provider::{Provider, Reply};
use crate::report::text::escape;
use crate::transport::{Exchange, Transport};

/// How many requests are in flight at most.
const AT_ONCE: usize = 8;
/// How often a request is tried.
const TRIES: u32 = 4;
/// If the server asks for a longer wait than this, the request is not tried again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// An answer has at most this many bytes.
const MOST_BYTES: usize = 1 << 20;
/// If no limit is known, as many requests are sent per minute as the lowest tier allows.
const LEAST_RPM: u32 = 100;

/// What the API counted.
#[derive(Debug, Default)]
pub(in crate::cli) struct Counted {
    pub(in crate::cli) counts: Counts,
    /// Why some rows could not be counted: the first reason.
    pub(in crate::cli) fault: Option<String>,
}

/// One try to count a row.
enum Try {
    Counted(u64),
    /// Try again after this time, because of this fault.
    Again(Duration, String),
    /// It can't be counted.
    Failed(String),
    /// Nothing can be counted with this key.
    Refused(String),
}

/// Lets the API count the tokens of the rows that a load contains. Sends at most `rpm` requests per minute.
///
/// # Errors
/// The API refuses the key, or no row could be counted.
pub(in crate::cli) async fn count<T: Transport>(
    load: &Load,
    transport: Arc<T>,
    provider: Arc<Anthropic>,
    rpm: Option<u32>,
) -> Result<Counted> {
    let mut counted = Counted::default();
    let rows: Vec<(Request, usize, u32)> =
        load.requests().map(|(request, group, estimated)| (request.clone(), group, estimated)).collect();
    let pause = Duration::from_secs(60) / rpm.unwrap_or(LEAST_RPM).max(1);
    let mut pace = tokio::time::interval(pause);
    let mut tasks = tokio::task::JoinSet::new();
    let mut left = rows.into_iter();
    loop {
        while tasks.len() < AT_ONCE
            && let Some((request, group, estimated)) = left.next()
        {
            pace.tick().await;
            let pool = load.groups()[group].pool.clone();
            let (transport, provider) = (transport.clone(), provider.clone());
            tasks.spawn(async move {
                (group, estimated, count_with_retries(&*transport, &provider, &request, &pool).await)
            });
        }
        let Some(ended) = tasks.join_next().await else { break };
        match ended {
            Ok((group, estimated, Try::Counted(tokens))) => counted.counts.push((group, estimated, tokens)),
            Ok((_, _, Try::Refused(fault))) => {
                bail!("--count-tokens: the server refuses the key: {}", escape(&fault))
            }
            Ok((_, _, Try::Failed(fault) | Try::Again(_, fault))) => _ = counted.fault.get_or_insert(fault),
            Err(panicked) => bail!("--count-tokens: a task failed: {panicked}"),
        }
    }
    if let (true, Some(fault)) = (counted.counts.is_empty(), &counted.fault) {
        bail!("--count-tokens: no row could be counted: {}", escape(fault));
    }
    // The order of the counts must not depend on the order in which they came.
    counted.counts.sort_unstable();
    Ok(counted)
}

async fn count_with_retries<T: Transport>(
    transport: &T,
    provider: &Anthropic,
    request: &Request,
    pool: &Arc<PoolId>,
) -> Try {
    let mut tries = 1;
    loop {
        match count_once(transport, provider, request, pool).await {
            Try::Again(wait, _) if tries < TRIES && wait <= LONGEST_WAIT => {
                tries += 1;
                tokio::time::sleep(wait).await;
            }
            other => return other,
        }
    }
}

async fn count_once<T: Transport>(transport: &T, provider: &Anthropic, request: &Request, pool: &Arc<PoolId>) -> Try {
    let backoff = Duration::from_secs(1);
    let mut exchange = match transport.send(provider.encode_count(request, pool)).await {
        Ok(exchange) => exchange,
        Err(error) => return Try::Again(backoff, error.message),
    };
    let head = exchange.head().clone();
    let mut body = Vec::new();
    loop {
        match exchange.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= MOST_BYTES => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Try::Failed("the answer is too long for a token count".to_owned()),
            Ok(None) => break,
            Err(error) => return Try::Again(backoff, error.message),
        }
    }
    if head.is_success() {
        let what = "the answer is no token count; does the server have /v1/messages/count_tokens?";
        return count_of(&body).map_or_else(|| Try::Failed(what.to_owned()), Try::Counted);
    }
    let mut decoder = provider.decoder(&head);
    decoder.push(&body);
    let message = match decoder.finish(&head, request) {
        Reply::Error { failure, .. } | Reply::Broken { failure } | Reply::Unfinished { failure } => failure.message,
        Reply::Message(_) => String::new(),
    };
    let fault = format!("status {}: {message}", head.status);
    match head.status {
        401 | 403 => Try::Refused(fault),
        429 | 500.. => {
            let news = provider.read_head(&head, &jiff::Timestamp::now);
            Try::Again(news.signals.retry_after.unwrap_or(backoff), fault)
        }
        _ => Try::Failed(fault),
    }
}
