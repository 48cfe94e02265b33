//! Flags that say how fast requests are sent, when a run stops, and what it may cost.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use super::super::deadline::{self, Deadline};
use super::super::layered::{Layered, layered};
use super::super::parsers;
use super::super::values::{self, Concurrency, HaltRule, Headroom, Refused};
use crate::domain::{LaneChoice, Money, PromptCache, Tier};

/// How fast requests are sent.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Speed")]
pub struct SpeedArgs {
    /// Tier of your organization [default: auto, from the responses]
    #[arg(long, ignore_case = true, value_parser = values::one_of(&values::TIERS))]
    pub tier: Option<Tier>,
    /// Requests per minute, instead of the tier's
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parsers::rate)]
    pub rpm: Option<u32>,
    /// Input tokens per minute, instead of the tier's
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parsers::rate)]
    pub itpm: Option<u32>,
    /// Output tokens per minute, instead of the tier's
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parsers::rate)]
    pub otpm: Option<u32>,
    /// Share of the limits left unused: auto or a percentage [default: auto]
    #[arg(long, value_name = "PCT", allow_negative_numbers = true, value_parser = parsers::headroom)]
    pub headroom: Option<Headroom>,
    /// Most requests in flight: auto or a number [default: auto]
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

/// Whether requests are sent in batches.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Lanes")]
pub struct LaneArgs {
    /// Send requests online, in batches (half price, up to 24 hours), or as the deadline allows [default: online]
    #[arg(long, ignore_case = true, value_parser = values::one_of(&values::LANES))]
    pub lane: Option<LaneChoice>,
    /// When the run has to be done: 6h, 18:00, 'mon 9:00', 2026-12-01 or 2026-12-01T09:00Z
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = deadline::deadline)]
    pub deadline: Option<Deadline>,
    /// Most rows in one batch [default: 10000]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parsers::batch_rows)]
    pub batch_rows: Option<NonZeroU32>,
    /// Submit the batches and leave; the same command collects them later
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub detach: Option<bool>,
}

/// What happens on faults.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Faults")]
pub struct FaultArgs {
    /// Retries after server and network errors [default: 8]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parsers::number_u32)]
    pub max_retries: Option<u32>,
    /// Longest wait for a limit, an overload or a dead endpoint [default: 30m]
    #[arg(long, value_name = "DUR", allow_negative_numbers = true, value_parser = parsers::duration)]
    pub retry_for: Option<Duration>,
    /// Longest time for one request [default: 600s]
    #[arg(long, value_name = "DUR", allow_negative_numbers = true, value_parser = parsers::positive_duration)]
    pub timeout: Option<Duration>,
    /// Longest silence within a streamed answer [default: 60s]
    #[arg(long, value_name = "DUR", allow_negative_numbers = true, value_parser = parsers::positive_duration)]
    pub idle_timeout: Option<Duration>,
    /// Fail rows whose attempt may have been billed, instead of retrying them
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub no_retry_ambiguous: Option<bool>,
    /// When failures stop the run: first-ten, never, fail=N or fail=PCT% [default: first-ten]
    #[arg(long, value_name = "RULE", value_parser = parsers::halt)]
    pub halt: Option<HaltRule>,
    /// Longest wait for requests in flight after a signal [default: none for INT, 30s for TERM and HUP]
    #[arg(long, value_name = "DUR", allow_negative_numbers = true, value_parser = parsers::duration)]
    pub grace: Option<Duration>,
}

/// When to stop.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Money")]
pub struct MoneyArgs {
    /// Most dollars to spend on these results, over all runs
    #[arg(long, value_name = "USD", alias = "budget", allow_negative_numbers = true, value_parser = parsers::dollars)]
    pub max_cost: Option<Money>,
    /// Most requests of this run
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parsers::positive_u64)]
    pub max_requests: Option<u64>,
    /// Longest time for this run
    #[arg(long, value_name = "DUR", allow_negative_numbers = true, value_parser = parsers::positive_duration)]
    pub max_time: Option<Duration>,
    /// Let the API cache what rows have in common, if that saves money [default: auto, which chooses how long]
    #[arg(long, value_name = "LIFETIME", ignore_case = true, value_parser = values::one_of(&values::PROMPT_CACHES))]
    pub prompt_cache: Option<PromptCache>,
    /// Show what would be sent, and what it costs; send nothing
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub dry_run: Option<bool>,
    /// Do not ask before an expensive run
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub yes: Option<bool>,
}

/// Flags that save paying for the same answer again.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Money")]
pub struct ReuseArgs {
    /// Send equal requests once, and copy the answer to the other rows
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub dedupe: Option<bool>,
    /// Take the answers to equal requests from earlier results: files, folders or patterns; repeatable
    #[arg(long, value_name = "PATH", num_args = 1.., value_hint = ValueHint::FilePath)]
    pub reuse: Vec<PathBuf>,
    /// With --reuse: take answers of other servers, too
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub reuse_any_origin: Option<bool>,
}

/// What tokens cost.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Money")]
pub struct PriceArgs {
    /// Prices that replace the built-in ones
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
