//! The content of a notice: the generic JSON document, and the short message for chats.
//!
//! The schema of the document is `fixtures/schemas/notice.schema.json`. Within one version of the format, members can
//! be added, but the meaning of a member never changes. No member contains a prompt, an answer or the label of a row.

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use super::decide::Happened;
use super::facts::RunFacts;
use super::rule::{NoticeForm, NoticeRule};
use super::words::{for_chats, reason_of, text};
use crate::domain::{Dimension, Money, PoolId, Quality, RunEvent};
use crate::report::Stats;
use crate::report::json::rounded;
use crate::report::tracker::RecentUse;
use crate::report::use_of_limits::Level;

/// The version of the generic document.
const VERSION: u32 = 1;

/// A notice that is ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    /// The body of the request that sends the notice to an address.
    pub(super) posted: Bytes,
    /// The generic document, for the standard input of a program.
    pub(super) document: Bytes,
    /// Whether the notice is about the end of the run. A notice about the end is never dropped.
    pub(super) is_about_the_end: bool,
}

impl Notice {
    /// Returns the notice about `happened`.
    pub(super) fn new(
        happened: &Happened,
        event: &RunEvent,
        stats: &Stats,
        facts: &RunFacts,
        form: NoticeForm,
    ) -> Self {
        let text = text(happened, stats, facts);
        let document = Document::new(happened, event, stats, facts, &text);
        let document = bytes(&document);
        let posted = match form {
            NoticeForm::Json => document.clone(),
            NoticeForm::Slack => bytes(&Chat { text: for_chats(&text) }),
        };
        Self { posted, document, is_about_the_end: happened.rule().is_about_the_end() }
    }
}

fn bytes(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

#[derive(Serialize)]
struct Chat {
    text: String,
}

/// The generic document of a notice.
#[derive(Serialize)]
struct Document<'a> {
    v: u32,
    /// The kind of notice: `finish`, `halt`, `failures`, `limit`, `hold` or `budget`.
    kind: &'static str,
    /// The id of the run.
    run: &'a str,
    at: Timestamp,
    /// The name of the run: the name of its results file or of its input.
    name: &'a str,
    /// The path of the results file; null if the results go to standard output.
    results: Option<&'a str>,
    /// The state of the run: `running`, `finished` or `halted`.
    state: &'static str,
    /// The text of the notice in one sentence.
    text: &'a str,
    rows: Rows,
    cost: Cost,
    elapsed_s: f64,
    /// The estimated time left, in seconds; null if it can't be estimated.
    eta_s: Option<f64>,
    /// The threshold that was crossed. The threshold of `hold` is in seconds; other thresholds are shares. The
    /// threshold is null for the notices `finish` and `halt`.
    threshold: Option<f64>,
    /// The value that crossed the threshold, in the same unit as the threshold.
    value: Option<f64>,
    /// The provider of the pool that the notice is about; null if the notice is about the whole run.
    provider: Option<String>,
    /// The pool that the notice is about; null if the notice is about the whole run.
    pool: Option<String>,
    /// The limit that the notice is about; null if the notice is not about a limit.
    limit: Option<&'static str>,
    /// The reason why the run stopped, or the fault of the provider; null if there is neither.
    reason: Option<String>,
    /// How much of each limit was used in the last five minutes; empty in the first seconds of a run.
    limits: Vec<Use>,
}

#[derive(Serialize)]
struct Rows {
    /// The number of rows in the input; null if the input is a pipe.
    total: Option<u64>,
    /// The number of rows with a result or a failure, over this run and all earlier runs.
    done: u64,
    ok: u64,
    truncated: u64,
    refused: u64,
    failed: u64,
    /// The number of remaining rows; null if the input is a pipe and the run has not ended.
    left: Option<u64>,
}

#[derive(Serialize)]
struct Cost {
    /// The cost of this run in dollars; null if no price is known.
    usd: Option<f64>,
    /// The money that earlier runs with the same results file have spent, in dollars.
    before_usd: f64,
    /// The current value of `--max-cost`, in dollars; null if it is not set.
    max_usd: Option<f64>,
}

#[derive(Serialize)]
struct Use {
    provider: String,
    pool: String,
    limit: &'static str,
    /// The share of the limit that was used on average; 1 if the whole limit was used.
    share: f64,
    /// The largest share of the limit that was used in a single minute; null in the first minute.
    highest: Option<f64>,
    /// The level of `share`: `low`, `moderate`, `high` or `critical`; null in the first minute.
    level: Option<&'static str>,
}

impl<'a> Document<'a> {
    fn new(happened: &Happened, event: &'a RunEvent, stats: &Stats, facts: &'a RunFacts, text: &'a str) -> Self {
        let (threshold, value) = threshold(happened);
        let (total, done) = facts.rows(stats);
        let (pool, limit) = match happened {
            Happened::Limit(crossing) => (Some(crossing.pool.clone()), Some(crossing.dimension.name())),
            Happened::Held { pool, .. } => (Some(pool.clone()), None),
            Happened::Finished
            | Happened::Halted(_)
            | Happened::Failures { .. }
            | Happened::Outage { .. }
            | Happened::Budget { .. } => (None, None),
        };
        Self {
            v: VERSION,
            kind: happened.rule().kind(),
            run: &event.run,
            at: event.at,
            name: &facts.name,
            results: facts.results.as_deref(),
            state: match happened.rule() {
                NoticeRule::Finish => "finished",
                NoticeRule::Halt => "halted",
                NoticeRule::Failures(_) | NoticeRule::Limit(_) | NoticeRule::Hold(_) | NoticeRule::Budget(_) => {
                    "running"
                }
            },
            text,
            rows: Rows {
                total,
                done,
                ok: stats.succeeded_as(Quality::Ok),
                truncated: stats.succeeded_as(Quality::Truncated),
                refused: stats.succeeded_as(Quality::Refused),
                failed: stats.failed_total(),
                left: total.map(|total| total.saturating_sub(done)).or_else(|| stats.remaining()),
            },
            cost: Cost {
                usd: stats.known_cost().map(Money::dollars),
                before_usd: facts.before.dollars(),
                max_usd: facts.max_cost_at(stats).map(Money::dollars),
            },
            elapsed_s: rounded(stats.elapsed().as_secs_f64()),
            eta_s: stats.eta().map(|left| rounded(left.as_secs_f64())),
            threshold,
            value,
            provider: pool.as_ref().map(|pool| pool.provider.to_string()),
            pool: pool.as_ref().map(ToString::to_string),
            limit,
            reason: reason_of(happened, stats),
            limits: uses(stats),
        }
    }
}

fn threshold(happened: &Happened) -> (Option<f64>, Option<f64>) {
    let (threshold, value) = match happened {
        Happened::Finished | Happened::Halted(_) => return (None, None),
        Happened::Failures { share, threshold } | Happened::Budget { share, threshold } => (*threshold, *share),
        Happened::Limit(crossing) => (f64::from(crossing.threshold) / 100.0, crossing.share),
        Happened::Held { lasted, threshold, .. } | Happened::Outage { lasted, threshold } => {
            (threshold.as_secs_f64(), lasted.as_secs_f64())
        }
    };
    (Some(rounded(threshold)), Some(rounded(value)))
}

/// Returns how much of each limit was used in the last five minutes. The command `status` and the report show these
/// numbers too.
fn uses(stats: &Stats) -> Vec<Use> {
    let of = |pool: &PoolId, dimension: Dimension| {
        let RecentUse { average, highest, level } = stats.tracker.recent(pool, dimension)?;
        Some(Use {
            provider: pool.provider.to_string(),
            pool: pool.to_string(),
            limit: dimension.name(),
            share: rounded(average),
            highest: highest.map(rounded),
            level: level.map(Level::name),
        })
    };
    let pools = stats.tracker.pools();
    pools.flat_map(|(pool, _)| Dimension::ALL.into_iter().filter_map(move |dimension| of(pool, dimension))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EventBody, PoolStatus, RateLimits, Reason};
    use crate::report::stats::tests::{at, pool, status};

    #[test]
    fn the_use_of_a_limit_is_measured_over_the_last_five_minutes() {
        let mut stats = Stats::default();
        // The run uses half of the limit for ten minutes, and then the whole limit for five minutes.
        for second in 1..=900 {
            let limits = RateLimits { rpm: Some(600), ..RateLimits::NONE };
            let counted = if second <= 600 { 5 * second } else { 3_000 + 10 * (second - 600) };
            let (counted, allowed) = ([counted, 0, 0], [Some(10 * second), None, None]);
            let pool = PoolStatus { limits, counted, allowed, ..pool("haiku-4.5", [None; 3]) };
            stats.fold(&at(second as i64, status(Reason::Window, vec![pool])));
        }
        let event = at(900, EventBody::Warned(String::new()));

        let notice = Notice::new(&Happened::Finished, &event, &stats, &RunFacts::default(), NoticeForm::Json);

        let document: serde_json::Value = serde_json::from_slice(&notice.document).expect("it is JSON");
        let expected = serde_json::json!([
            { "provider": "anthropic", "pool": "haiku-4.5", "limit": "requests", "share": 1.0, "highest": 1.0,
                "level": "critical" },
        ]);
        assert_eq!(document["limits"], expected);
    }
}
