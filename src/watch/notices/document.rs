//! What a notice contains: the generic document, and the short form for chats.
//!
//! The schema of the document is `fixtures/schemas/notice.schema.json`. Within a version, members can be added, but the
//! meaning of a member never changes. No member contains a prompt, an answer or the label of a row.

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use super::decide::Happened;
use super::facts::RunFacts;
use super::rule::{NoticeForm, NoticeRule};
use super::words::{for_chats, reason_of, text};
use crate::domain::{Dimension, LimitUse, Money, Quality, RunEvent};
use crate::report::Stats;
use crate::report::use_of_limits::Level;

/// Version of the document.
const VERSION: u32 = 1;

/// A notice that is ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    /// The body for an address.
    pub(super) posted: Bytes,
    /// The document, for a program.
    pub(super) document: Bytes,
    /// Whether it is about the end of the run. Such a notice is never dropped.
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

/// The generic document.
#[derive(Serialize)]
struct Document<'a> {
    v: u32,
    /// `finish`, `halt`, `failures`, `limit`, `hold` or `budget`.
    kind: &'static str,
    /// The id of the run.
    run: &'a str,
    at: Timestamp,
    /// The name of the run.
    name: &'a str,
    /// The path of the results file; null if the results go to standard output.
    results: Option<&'a str>,
    /// `running`, `finished` or `halted`.
    state: &'static str,
    /// The notice in one sentence.
    text: &'a str,
    rows: Rows,
    cost: Cost,
    elapsed_s: f64,
    /// The time left; null if it is not known.
    eta_s: Option<f64>,
    /// The threshold that was crossed: a share, or seconds for `hold`. Null for `finish` and `halt`.
    threshold: Option<f64>,
    /// The value that crossed it, in the same unit.
    value: Option<f64>,
    /// The pool that the notice is about; null if it is about the whole run.
    pool: Option<String>,
    /// The limit that the notice is about.
    limit: Option<&'static str>,
    /// Why the run stopped, or what is wrong with the endpoint; null if nothing is.
    reason: Option<String>,
    /// How much of each limit the run has used on average since its start.
    limits: Vec<Use>,
}

#[derive(Serialize)]
struct Rows {
    /// Null on a pipe.
    total: Option<u64>,
    /// Rows with a result or a failure, whichever run finished them.
    done: u64,
    ok: u64,
    truncated: u64,
    refused: u64,
    failed: u64,
    /// Null on a pipe that has not ended.
    left: Option<u64>,
}

#[derive(Serialize)]
struct Cost {
    /// The cost of this run; null if no price is known.
    usd: Option<f64>,
    /// What earlier runs with the same results have spent.
    before_usd: f64,
    /// `--max-cost`; null if it is not set.
    max_usd: Option<f64>,
}

#[derive(Serialize)]
struct Use {
    pool: String,
    limit: &'static str,
    share: f64,
    /// `low`, `moderate`, `high` or `critical`; null in the first minute.
    level: Option<&'static str>,
}

impl<'a> Document<'a> {
    fn new(happened: &Happened, event: &'a RunEvent, stats: &Stats, facts: &'a RunFacts, text: &'a str) -> Self {
        let (threshold, value) = threshold(happened);
        let (pool, limit) = match happened {
            Happened::Limit(crossing) => (Some(crossing.pool.to_string()), Some(crossing.dimension.name())),
            Happened::Held { pool, .. } => (Some(pool.to_string()), None),
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
                total: stats.total,
                done: stats.finished(),
                ok: stats.succeeded_as(Quality::Ok),
                truncated: stats.succeeded_as(Quality::Truncated),
                refused: stats.succeeded_as(Quality::Refused),
                failed: stats.failed_total(),
                left: stats.remaining(),
            },
            cost: Cost {
                usd: stats.known_cost().map(Money::dollars),
                before_usd: facts.before.dollars(),
                max_usd: facts.max_cost.map(Money::dollars),
            },
            elapsed_s: rounded(stats.elapsed().as_secs_f64()),
            eta_s: stats.eta().map(|left| rounded(left.as_secs_f64())),
            threshold,
            value,
            pool,
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

/// Returns the use of each limit since the start of the run: at its end from its end, before that from its state.
fn uses(stats: &Stats) -> Vec<Use> {
    let at_end = stats.ending.as_ref().map(|ending| ending.uses.clone());
    let so_far = || {
        let pools = stats.standing.iter().flat_map(|standing| &standing.pools);
        let of = |pool: &crate::domain::PoolStatus| LimitUse {
            pool: pool.pool.clone(),
            counted: pool.counted,
            allowed: pool.allowed,
        };
        pools.map(of).collect::<Vec<_>>()
    };
    let uses = at_end.unwrap_or_else(so_far);
    let of = |used: &LimitUse, dimension: Dimension| {
        let share = used.share(dimension)?;
        let level = Level::of(share, stats.elapsed()).map(Level::name);
        Some(Use { pool: used.pool.to_string(), limit: dimension.name(), share: rounded(share), level })
    };
    uses.iter().flat_map(|used| Dimension::ALL.into_iter().filter_map(move |dimension| of(used, dimension))).collect()
}

fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}
