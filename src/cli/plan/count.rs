//! Asks the API to count the tokens of some rows (`--count-tokens`). Requests for token counts are free, and the API
//! has a separate limit for them.

mod pace;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::Instant;

use self::pace::Pace;
use crate::domain::{PoolId, Request};
use crate::forecast::Counts;
use crate::plan::Load;
use crate::provider::anthropic::{Anthropic, count_of};
use crate::provider::{Provider, Reply};
use crate::report::text::{escape, shorten};
use crate::transport::{Exchange, Transport};

/// If this many tries for a row have failed because of the server, the program gives up the row. A request that the
/// server rejects because of a limit is not counted as a try.
const TRIES: u32 = 4;
/// A server's message is shown in at most this many columns.
const LONGEST_FAULT: usize = 80;
/// The highest number of bytes in a response.
const MOST_BYTES: usize = 1 << 20;
/// If no other rate limit is known, this rate limit is used, in requests per minute. This rate limit is the limit of
/// the lowest tier.
const LEAST_RPM: u32 = 100;

/// How many tokens each counted row has, according to the API.
#[derive(Debug, Default)]
pub(in crate::cli) struct Counted {
    pub(in crate::cli) counts: Counts,
    /// The first reason why a row could not be counted; `None` if all rows were counted.
    pub(in crate::cli) fault: Option<String>,
}

/// A row whose tokens are to be counted.
struct Row {
    request: Request,
    pool: Arc<PoolId>,
    group: usize,
    estimated: u32,
    /// How many tries for this row failed because of the server.
    faults: u32,
}

/// The result of one try to count the tokens of a row.
enum Try {
    Counted(u64),
    /// The server rejects the request because of a limit.
    Limited {
        wait: Option<Duration>,
        /// The limit in requests per minute, if the server reports it.
        rpm: Option<u32>,
    },
    /// The server has a temporary problem, so the row is tried again. If the server says how long to wait before the
    /// next request, the first value of `Again` is this wait.
    Again(Option<Duration>, String),
    /// The API can't count the tokens of the row.
    Failed(String),
    /// The server rejects the key, so no row can be counted.
    Refused(String),
}

/// Asks the API to count the tokens of the rows in `load`. At first, this function sends at most `rpm` requests per
/// minute. If the server rejects a request because of a limit, requests are sent more slowly, and the rejected row is
/// sent again.
///
/// # Errors
/// Fails if the API rejects the key, or if no row could be counted.
pub(in crate::cli) async fn count<T: Transport>(
    load: &Load,
    transport: Arc<T>,
    provider: Arc<Anthropic>,
    rpm: Option<u32>,
) -> Result<Counted> {
    let mut counting =
        Counting { pace: Pace::new(rpm.unwrap_or(LEAST_RPM)), left: rows(load), counted: Counted::default() };
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        let may_send = tasks.len() < counting.pace.at_once() && !counting.left.is_empty();
        let is_hopeless = counting.pace.next() > counting.pace.end() && may_send;
        if is_hopeless || (tasks.is_empty() && !may_send) {
            break;
        }
        tokio::select! {
            biased;
            Some(ended) = tasks.join_next() => {
                let (row, sent, tried) = ended.context("--count-tokens: a task failed")?;
                counting.settle(row, sent, tried)?;
            }
            () = tokio::time::sleep_until(counting.pace.next()), if may_send => {
                let Some(row) = counting.left.pop_front() else { break };
                counting.pace.sent();
                let (transport, provider, sent) = (transport.clone(), provider.clone(), Instant::now());
                tasks.spawn(async move {
                    let tried = count_once(&*transport, &provider, &row.request, &row.pool).await;
                    (row, sent, tried)
                });
            }
            () = tokio::time::sleep_until(counting.pace.end()) => break,
        }
    }
    let mut counted = counting.counted;
    if let (true, Some(fault)) = (counted.counts.is_empty(), &counted.fault) {
        bail!("--count-tokens: no row could be counted: {}", escape(fault));
    }
    // The counts are sorted, so that their order does not depend on which answer came first.
    counted.counts.sort_unstable();
    Ok(counted)
}

fn rows(load: &Load) -> VecDeque<Row> {
    let row = |(request, group, estimated): (&Request, usize, u32)| {
        let pool = load.groups()[group].pool.clone();
        Row { request: request.clone(), pool, group, estimated, faults: 0 }
    };
    load.requests().map(row).collect()
}

/// The rows that have no count yet, and the counts of the other rows.
struct Counting {
    pace: Pace,
    left: VecDeque<Row>,
    counted: Counted,
}

impl Counting {
    fn settle(&mut self, mut row: Row, sent: Instant, tried: Try) -> Result<()> {
        match tried {
            Try::Counted(tokens) => {
                self.pace.progressed();
                self.counted.counts.push((row.group, row.estimated, tokens));
            }
            Try::Limited { wait, rpm } => {
                // The server's own message is not shown, because it is long and contains the name of the organization.
                self.fault("the server accepts no more token counts at the moment (status 429)".to_owned());
                self.pace.refused(sent, wait, rpm);
                self.left.push_front(row);
            }
            Try::Again(wait, fault) => {
                self.fault(fault);
                self.pace.pause(wait);
                row.faults += 1;
                if row.faults < TRIES {
                    self.left.push_back(row);
                }
            }
            Try::Failed(fault) => {
                self.pace.progressed();
                self.fault(fault);
            }
            Try::Refused(fault) => bail!("--count-tokens: the server refuses the key: {}", escape(&fault)),
        }
        Ok(())
    }

    /// Stores this fault if no fault was stored before.
    fn fault(&mut self, fault: String) {
        self.counted.fault.get_or_insert(fault);
    }
}

async fn count_once<T: Transport>(transport: &T, provider: &Anthropic, request: &Request, pool: &Arc<PoolId>) -> Try {
    let mut exchange = match transport.send(provider.encode_count(request, pool)).await {
        Ok(exchange) => exchange,
        Err(error) => return Try::Again(None, error.message),
    };
    let head = exchange.head().clone();
    let mut body = Vec::new();
    loop {
        match exchange.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= MOST_BYTES => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Try::Failed("the answer is too long for a token count".to_owned()),
            Ok(None) => break,
            Err(error) => return Try::Again(None, error.message),
        }
    }
    if head.is_success() {
        let what = "the answer is not a token count; check that the server has /v1/messages/count_tokens";
        return count_of(&body).map_or_else(|| Try::Failed(what.to_owned()), Try::Counted);
    }
    let mut decoder = provider.decoder(&head);
    decoder.push(&body);
    let message = match decoder.finish(&head, request) {
        Reply::Error { failure, .. } | Reply::Broken { failure } | Reply::Unfinished { failure, .. } => failure.message,
        Reply::Message(_) => String::new(),
    };
    let fault = format!("status {}: {}", head.status, shorten(&message, LONGEST_FAULT));
    match head.status {
        401 | 403 => Try::Refused(fault),
        429 | 500.. => {
            let signals = provider.read_head(&head, &jiff::Timestamp::now).signals;
            match head.status {
                429 => Try::Limited { wait: signals.retry_after, rpm: signals.requests.limit },
                _ => Try::Again(signals.retry_after, fault),
            }
        }
        _ => Try::Failed(fault),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::clock::RunClock;
    use crate::plan::load_tests::{load, row};
    use crate::sim::config::{Burst, SimConfig};
    use crate::sim::model::Model;
    use crate::sim::presets;
    use crate::sim::transport::{SimTransport, lock};

    /// Counts the tokens of `rows` rows with a simulated API. Returns the counts, and how many requests the API
    /// rejected.
    async fn count_at(config: SimConfig, rows: usize, rpm: Option<u32>) -> (Result<Counted>, u64) {
        let model = Arc::new(Mutex::new(Model::new(config)));
        let transport = Arc::new(SimTransport::new(model.clone(), RunClock::start()));
        let provider = Anthropic::new("2023-06-01", &[], http::HeaderMap::new()).expect("plain values fit in headers");
        let load = load((0..rows).map(|number| row(&number.to_string(), "")), rows);
        let counted = count(&load, transport, Arc::new(provider), rpm).await;
        let refused = lock(&model).books().refused_total();
        (counted, refused)
    }

    fn api(count_tokens_rpm: u32) -> SimConfig {
        SimConfig { count_tokens_rpm: Some(count_tokens_rpm), ..SimConfig::new(presets::models()) }
    }

    #[tokio::test(start_paused = true)]
    async fn all_rows_are_counted_although_the_server_allows_fewer_requests_than_expected() {
        let second = Burst::Time(Duration::from_secs(1));
        for (config, rows, rpm) in [
            (api(60), 80, Some(2_000)),
            (api(100), 150, None),
            (api(100).with_burst(second), 50, None),
            (api(60).with_burst(second), 50, Some(8_000)),
        ] {
            let (counted, refused) = count_at(config, rows, rpm).await;

            let counted = counted.expect("rows are counted");
            assert_eq!(counted.counts.len(), rows);
            assert!(refused <= 10, "{refused} refusals");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_refuses_all_counts_is_given_up_after_two_minutes() {
        let start = Instant::now();

        let (counted, refused) = count_at(api(0), 20, Some(2_000)).await;

        let counted = counted.expect("the first row is counted");
        let fault = counted.fault.unwrap_or_default();
        assert!(counted.counts.len() < 20 && fault.contains("accepts no more token counts"), "{fault}");
        assert!(refused < 50, "{refused} refusals");
        assert!(start.elapsed() <= Duration::from_secs(125), "{:?}", start.elapsed());
    }
}
