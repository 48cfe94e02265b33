//! The command `plan`: shows what a run would cost, how long it would take, and how other settings would change both.
//!
//! The command `plan` first does everything that a run does before its first request (`cli/run/planning.rs`). Then this
//! module makes a [`Plan`] and shows it as text (`words`) or as JSON (`document`).

mod advice;
mod batches;
mod caching;
mod count;
mod document;
mod history;
mod ladder;
mod phrases;
mod words;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use jiff::{Timestamp, ZonedDateTime};

pub(super) use self::batches::time_words as batch_time_words;
pub(super) use self::count::{Counted, count};
pub(super) use self::document::document;
pub(super) use self::history::{Learned, learn};
pub(super) use self::phrases::rows_within;
pub(super) use self::words::{cost_words, deadline_words, time_words, words};
use super::args::{PlanArgs, RunArgs};
use super::purse::Purse;
use crate::catalog::Catalog;
use crate::domain::{LaneChoice, Money, PromptCache, Tier};
use crate::forecast::{Alternative, Forecast, InBatches};
use crate::plan::{CachePlan, Load};

/// The settings of `plan` that a run does not have.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// The paths of earlier runs' results; the plan learns from these results.
    pub(super) history: Vec<PathBuf>,
    /// The number of rows whose tokens the API counts.
    pub(super) count_tokens: usize,
    /// Whether the plan is printed as JSON.
    pub(super) json: bool,
}

impl Asked {
    /// Splits the arguments into arguments of a run and arguments that only `plan` understands.
    ///
    /// `--history` takes all paths that follow it. If no input comes before `--history`, then each file after
    /// `--history` that has no answers is an input.
    pub(super) fn of(args: &PlanArgs) -> (RunArgs, Self) {
        let (mut inputs, mut history) = (args.inputs.clone(), args.history.clone());
        if inputs.is_empty() {
            (history, inputs) = history.into_iter().partition(|path| history::has_answers(path));
        }
        let count_tokens = args.count_tokens.map_or(0, |rows| rows as usize);
        let asked = Self { history, count_tokens, json: args.json };
        (RunArgs { inputs, settings: args.settings.clone() }, asked)
    }
}

/// How many rows of all inputs will be sent, are done, or have failed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rows {
    pub(super) total: u64,
    pub(super) to_send: u64,
    /// Rows that earlier runs have answered.
    pub(super) done: u64,
    /// Rows in the open batches of earlier runs.
    pub(super) submitted: u64,
    /// Rows that take their answer from the results of `--reuse`.
    pub(super) reused: u64,
    /// With `--dedupe`: rows that copy the answer of an equal row.
    pub(super) copied: u64,
    /// Without `--dedupe`: rows that will be sent although they have the same request as an earlier row.
    pub(super) repeated: u64,
    /// Rows that failed in earlier runs and are not sent again.
    pub(super) failed_before: u64,
    /// Rows that have an answer and will be sent again, because `--rerun` asks for a new answer. These rows are never
    /// sent in batches.
    pub(super) asked_again: u64,
    /// Rows that can't be sent because of a fault.
    pub(super) unusable: u64,
}

/// A plan.
pub(super) struct Plan<'a> {
    /// The names of the inputs.
    pub(super) inputs: String,
    pub(super) rows: Rows,
    /// The forecast for the chosen lane (online or batches).
    pub(super) forecast: Forecast,
    /// The forecast if all rows are sent online.
    pub(super) online: Forecast,
    /// The forecast for the rows in batches; `None` if no row can be sent in a batch.
    pub(super) batches: Option<InBatches>,
    pub(super) lane: LaneChoice,
    pub(super) batch_rows: NonZeroU32,
    /// How many rows can be in batches at the same time; `None` if this is not known.
    pub(super) batch_queue: Option<u32>,
    pub(super) alternatives: Vec<Alternative>,
    pub(super) learned: &'a Learned,
    /// The number of rows whose tokens the API counted.
    pub(super) counted: u64,
    /// The pool (a group of rows that share limits) with the most rows.
    pub(super) main_pool: Option<std::sync::Arc<crate::domain::PoolId>>,
    pub(super) tier: Tier,
    /// The source of the limits, in words.
    pub(super) limits_from: String,
    pub(super) catalog: &'a Catalog,
    /// The prefixes that are cached, and what the cache saves.
    pub(super) caching: &'a CachePlan,
    pub(super) prompt_cache: PromptCache,
    /// The rows to be sent, in groups.
    pub(super) load: &'a Load,
    /// The money that earlier runs with the same results file have spent, or that is kept back for their requests.
    pub(super) purse: Purse,
    /// How many follow-ups the rows can have, and whether the cost includes them, in words; `None` if the rows have no
    /// follow-ups.
    pub(super) follow_ups: Option<String>,
    pub(super) max_cost: Option<Money>,
    pub(super) max_requests: Option<u64>,
    pub(super) max_time: Option<Duration>,
    /// The number of rows that ask for models that have retired.
    pub(super) retired: u64,
    pub(super) deadline: Option<Timestamp>,
    /// When the plan was made.
    pub(super) now: ZonedDateTime,
}

impl Plan<'_> {
    /// Returns the time at which a run ends if it starts now and takes `span`.
    fn end_after(&self, span: Duration) -> Timestamp {
        self.now.timestamp().checked_add(span).unwrap_or(Timestamp::MAX)
    }

    /// Returns the highest cost of the answers in flight. If the run is killed, these answers are paid for twice.
    /// Returns `None` if the cost is not known.
    fn paid_twice(&self) -> Option<Money> {
        let rows = self.rows.to_send.max(1);
        let most = self.forecast.totals.at_most?.dollars() / rows as f64;
        let in_flight = self.forecast.time.max_in_flight.min(rows) as f64;
        Some(Money::from_dollars(most * in_flight).rounded_up()).filter(|most| *most > Money::ZERO)
    }

    /// Returns how much of `--max-cost` is left.
    fn money_left(&self) -> Option<Money> {
        self.max_cost.map(|most| self.purse.left_of(most))
    }
}

/// Whether an estimated value, such as the cost of a run, stays within a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// The highest value stays within the limit.
    Fits,
    /// The likely value stays within the limit, but the highest value exceeds it.
    ProbablyFits,
    /// The likely value exceeds the limit, but the lowest value stays within it.
    ProbablyNot,
    /// The lowest value exceeds the limit.
    No,
}

impl Fit {
    fn of<T: PartialOrd>(value: crate::domain::Interval<T>, limit: T) -> Self {
        match () {
            () if value.high <= limit => Self::Fits,
            () if value.likely <= limit => Self::ProbablyFits,
            () if value.low <= limit => Self::ProbablyNot,
            () => Self::No,
        }
    }

    /// Returns the word that a JSON plan uses for this verdict.
    fn name(self) -> &'static str {
        match self {
            Self::Fits => "fits",
            Self::ProbablyFits => "probably fits",
            Self::ProbablyNot => "probably does not fit",
            Self::No => "does not fit",
        }
    }
}
