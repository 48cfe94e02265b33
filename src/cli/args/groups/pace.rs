//! The flags that say how fast requests are sent, when a run stops, and how much it is allowed to cost.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use super::super::deadline::{self, Deadline};
use super::super::layered::{Layered, layered};
use super::super::parsers;
use super::super::values::{self, Concurrency, HaltRule, Headroom, Refused};
use crate::domain::{LaneChoice, Money, PromptCache, Tier};

/// The flags that say how fast requests are sent.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Speed")]
pub struct SpeedArgs {
    /// Usage tier of your organization [default: auto (from the responses)]
    #[arg(long, ignore_case = true, value_parser = values::one_of(&values::TIERS))]
    pub tier: Option<Tier>,
    /// Limit of requests per minute, instead of the tier's limit
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parsers::rate)]
    pub rpm: Option<u32>,
    /// Limit of input tokens per minute, instead of the tier's limit
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parsers::rate)]
    pub itpm: Option<u32>,
    /// Limit of output tokens per minute, instead of the tier's limit
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parsers::rate)]
    pub otpm: Option<u32>,
    /// Share of the limits to leave unused: auto or a percentage [default: auto]
    #[arg(long, value_name = "PCT", allow_negative_numbers = true, value_parser = parsers::headroom)]
    pub headroom: Option<Headroom>,
    /// Maximum number of requests in flight: auto or a number [default: auto]
    #[arg(short, long, value_name = "N", alias = "max-concurrency", allow_negative_numbers = true,
        value_parser = parsers::concurrency)]
    pub concurrency: Option<Concurrency>,
    /// Use HTTP/2
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub http2: Option<bool>,
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "", value_parser = parsers::refuse_tpm)]
    tpm: Option<Refused>,
}

/// The flags that say whether requests are sent in batches.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Lanes")]
pub struct LaneArgs {
    /// How requests are sent: online, batch (half price, up to 24 hours), or auto (in batches as far as the deadline
    /// allows) [default: online]
    #[arg(long, ignore_case = true, value_parser = values::one_of(&values::LANES))]
    pub lane: Option<LaneChoice>,
    /// Time by which the run must be done: 6h, 18:00, 'mon 9:00', 2026-12-01 or 2026-12-01T09:00Z
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = deadline::deadline)]
    pub deadline: Option<Deadline>,
    /// Maximum number of rows in one batch [default: 10000]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parsers::batch_rows)]
    pub batch_rows: Option<NonZeroU32>,
    /// Submit the batches and exit; the same command later collects their answers
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub detach: Option<bool>,
}

/// The flags that say what happens after faults.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Faults")]
pub struct FaultArgs {
    /// Maximum number of retries of a row after server and network errors [default: 8]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parsers::number_u32)]
    pub max_retries: Option<u32>,
    /// Maximum time that a row waits because of limits, overloads or a failing endpoint [default: 30m]
    #[arg(long, value_name = "DUR", allow_negative_numbers = true, value_parser = parsers::duration)]
    pub retry_for: Option<Duration>,
    /// Maximum time for one request [default: 600s]
    #[arg(long, value_name = "DUR", allow_negative_numbers = true, value_parser = parsers::positive_duration)]
    pub timeout: Option<Duration>,
    /// Maximum time without data within a streamed answer [default: 60s]
    #[arg(long, value_name = "DUR", allow_negative_numbers = true, value_parser = parsers::positive_duration)]
    pub idle_timeout: Option<Duration>,
    /// If the last request of a row was possibly billed, fail the row instead of retrying it
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub no_retry_ambiguous: Option<bool>,
    /// When failures stop the run: first-ten (the first ten rows fail for the same reason), never, fail=N (rows) or
    /// fail=PCT% [default: first-ten]
    #[arg(long, value_name = "RULE", value_parser = parsers::halt)]
    pub halt: Option<HaltRule>,
    /// Maximum wait for requests in flight after a signal [default: no maximum for INT, 30s for TERM and HUP]
    #[arg(long, value_name = "DUR", allow_negative_numbers = true, value_parser = parsers::duration)]
    pub grace: Option<Duration>,
}

/// The flags that say when a run stops.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Money")]
pub struct MoneyArgs {
    /// Maximum total cost of all runs with these results, in dollars
    #[arg(long, value_name = "USD", alias = "budget", allow_negative_numbers = true, value_parser = parsers::dollars)]
    pub max_cost: Option<Money>,
    /// Maximum number of requests of this run
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parsers::positive_u64)]
    pub max_requests: Option<u64>,
    /// Maximum time for this run
    #[arg(long, value_name = "DUR", allow_negative_numbers = true, value_parser = parsers::positive_duration)]
    pub max_time: Option<Duration>,
    /// Let the API cache the beginning that prompts share, if that saves money [default: auto (the program chooses how
    /// long it stays in the cache)]
    #[arg(long, value_name = "LIFETIME", ignore_case = true, value_parser = values::one_of(&values::PROMPT_CACHES))]
    pub prompt_cache: Option<PromptCache>,
    /// Show what would be sent, and what it would cost; send nothing
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub dry_run: Option<bool>,
    /// Start an expensive run without asking first
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub yes: Option<bool>,
}

/// The flags that avoid paying for the same answer twice.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Money")]
pub struct ReuseArgs {
    /// Send equal requests once, and copy the answer to the other rows
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub dedupe: Option<bool>,
    /// Take answers to equal requests from these earlier results: files, folders or patterns; repeatable
    #[arg(long, value_name = "PATH", num_args = 1.., value_hint = ValueHint::FilePath)]
    pub reuse: Vec<PathBuf>,
    /// With --reuse: also take answers of other servers
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub reuse_any_origin: Option<bool>,
}

/// The flag that sets the prices of tokens.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Money")]
pub struct PriceArgs {
    /// File with prices that replace the built-in prices
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub prices: Option<PathBuf>,
}

layered! {
    SpeedArgs { tier, rpm, itpm, otpm, headroom, concurrency, http2, tpm }
    LaneArgs { lane, deadline, batch_rows, detach }
    FaultArgs { max_retries, retry_for, timeout, idle_timeout, no_retry_ambiguous, halt, grace }
    MoneyArgs { max_cost, max_requests, max_time, prompt_cache, dry_run, yes }
    ReuseArgs { dedupe, reuse, reuse_any_origin }
    PriceArgs { prices }
}
