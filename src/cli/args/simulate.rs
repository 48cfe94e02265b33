//! The flags of `simulate`, which change properties of the simulated API.
//!
//! Flags are parsed into the types of the simulator. `cli/simulator` adds the values that need the catalog, such as the
//! limits of a tier or a class.

mod parse;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueHint};

use self::parse::{
    acceleration, batch_time, bursts, change, class_limits, endings, factor, keys, latency, lengths, loopback,
    other_client,
};
use super::parsers;
use super::values::{self, TIERS};
use crate::domain::{Dimension, ModelClass, Money, ProviderKind, RateLimits, Tier};
use crate::sim::config::{Acceleration, BatchTime, Bursts, Endings, Keys, Latency, OutputLengths, OutputRule};

pub(crate) use self::parse::{Change, ChangeTo, Other};

/// The tiers that the simulator can have: all tiers except `auto`, which has no limits of its own.
const SERVED: &[(&str, Tier)] = TIERS.split_at(1).1;

/// The platforms that the simulator can imitate.
const KINDS: [(&str, ProviderKind); ProviderKind::ALL.len()] = {
    let mut kinds = [("", ProviderKind::Anthropic); ProviderKind::ALL.len()];
    let mut at = 0;
    while at < kinds.len() {
        kinds[at] = (ProviderKind::ALL[at].name(), ProviderKind::ALL[at]);
        at += 1;
    }
    kinds
};

const RULES: [(&str, OutputRule); 2] =
    [("produced", OutputRule::AsProduced), ("max-tokens", OutputRule::MaxTokensUpFront)];

/// Arguments of `simulate`.
#[derive(Clone, Debug, Default, Args)]
pub struct SimulateArgs {
    /// Port to listen on; 0 takes a free port [default: 8080]
    #[arg(long, value_name = "PORT", help_heading = "Server", value_parser = parsers::port)]
    pub port: Option<u16>,
    /// Address of this machine to listen on [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", help_heading = "Server", value_parser = loopback)]
    pub host: Option<IpAddr>,
    /// Platform to imitate: its paths, names of models, headers, and the form of its errors [default: anthropic]
    #[arg(long = "as", value_name = "NAME", help_heading = "Server", value_parser = values::one_of(&KINDS))]
    pub kind: Option<ProviderKind>,
    /// Keys to accept: any, none, or made-up keys such as key-a,key-b [default: any]
    #[arg(long, value_name = "KEYS", help_heading = "Server", value_parser = keys)]
    pub keys: Option<Keys>,
    /// Give each key its own limits
    #[arg(long, help_heading = "Server")]
    pub key_limits: bool,
    /// Append a line of JSON to this file for each request
    #[arg(long, value_name = "FILE", help_heading = "Server", value_hint = ValueHint::FilePath)]
    pub journal: Option<PathBuf>,
    /// Use a journal even if it belongs to another user, or if other users can write to its folder, such as a container
    /// volume
    #[arg(long, help_heading = "Server")]
    pub trust_owner: bool,
    /// Show a line for each request
    #[arg(short, long, help_heading = "Server")]
    pub verbose: bool,
    /// The limits of the simulated API.
    #[command(flatten)]
    pub limits: SimLimitArgs,
    /// The answers of the simulated API.
    #[command(flatten)]
    pub answers: SimAnswerArgs,
}

/// The limits of the simulated API.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Limits")]
pub struct SimLimitArgs {
    /// Tier whose limits apply [default: 1]
    #[arg(long, ignore_case = true, value_parser = values::one_of(SERVED))]
    pub tier: Option<Tier>,
    /// Limit of requests per minute, for each model class
    #[arg(long, value_name = "N", value_parser = parsers::rate)]
    pub rpm: Option<u32>,
    /// Limit of uncached input tokens per minute, for each model class
    #[arg(long, value_name = "N", value_parser = parsers::rate)]
    pub itpm: Option<u32>,
    /// Limit of output tokens per minute, for each model class
    #[arg(long, value_name = "N", value_parser = parsers::rate)]
    pub otpm: Option<u32>,
    /// Limits of one model class, such as haiku-4.5=50,50k,10k (requests, input, output; - keeps a limit); repeatable
    #[arg(long, value_name = "CLASS=LIMITS", value_parser = class_limits)]
    pub class_limits: Vec<(ModelClass, RateLimits)>,
    /// Limit of token-count requests per minute [default: the tier's limit]
    #[arg(long, value_name = "N", value_parser = parsers::rate)]
    pub count_tokens_rpm: Option<u32>,
    /// Limit of requests to the batch endpoints per minute [default: the tier's limit]
    #[arg(long, value_name = "N", value_parser = parsers::rate)]
    pub batch_rpm: Option<u32>,
    /// Limit of batch requests that wait for processing [default: the tier's limit]
    #[arg(long, value_name = "N", value_parser = parsers::rate)]
    pub batch_queue: Option<u32>,
    /// Maximum burst: a number, or what a limit allows in a time such as 1s or minute; can differ by limit, as in
    /// requests=1s,output=minute [default: minute]
    #[arg(long, value_name = "BURST", value_parser = bursts)]
    pub burst: Option<Bursts>,
    /// What uses up the output limit: produced (tokens when they are produced) or max-tokens (all of max_tokens at the
    /// start, the rule until 2026-02-18) [default: produced]
    #[arg(long, value_parser = values::one_of(&RULES))]
    pub output_rule: Option<OutputRule>,
    /// Count refused requests against the request limit
    #[arg(long)]
    pub refused_uses_request: bool,
    /// Maximum number of open requests
    #[arg(long, value_name = "N", value_parser = parsers::positive_u32)]
    pub concurrency_cap: Option<u32>,
    /// Limit on the growth of input tokens, such as 50k,10k: each minute can use 50k, or 10k more than the minute
    /// before if that is more
    #[arg(long, value_name = "FLOOR,STEP", value_parser = acceleration)]
    pub acceleration: Option<Acceleration>,
    /// Spend limit in dollars; after it is spent, every request is refused
    #[arg(long, value_name = "USD", value_parser = parsers::dollars)]
    pub spend_cap: Option<Money>,
    /// Another client that uses a share of the limits, such as 30%, '50% from 1m until 2m', '40% every 10s'; repeatable
    #[arg(long, value_name = "SHARE", value_parser = other_client)]
    pub other_client: Vec<Other>,
    /// Change of limits at a certain time, such as 'at 60s: 0.5' (half of the limits) or 'at 2m haiku-4.5: rpm=50
    /// otpm=8k'; repeatable
    #[arg(long, value_name = "CHANGE", value_parser = change)]
    pub change: Vec<Change>,
}

/// The answers of the simulated API.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Answers")]
pub struct SimAnswerArgs {
    /// Seed of all random values [default: 1]
    #[arg(long, value_name = "N", value_parser = parsers::number_u64)]
    pub seed: Option<u64>,
    /// Time to answer: realistic, zero, or the time to the first token and tokens per second, such as 600ms,120
    /// [default: realistic]
    #[arg(long, value_name = "LATENCY", value_parser = latency)]
    pub latency: Option<Latency>,
    /// Time until a batch ends, such as 5s or 1m..10m; or stuck (it ends only when it expires) [default: 3s..10s]
    #[arg(long, value_name = "TIME", value_parser = batch_time)]
    pub batch_time: Option<BatchTime>,
    /// Time after which a batch expires [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = parsers::positive_duration)]
    pub batch_expiry: Option<Duration>,
    /// Time from the cancellation of a batch to its end [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = parsers::duration)]
    pub batch_cancel_time: Option<Duration>,
    /// Length of answers: a fixed number of tokens, or one or more of mean=90 (tokens), prompt=0.2 (more for each
    /// token of the prompt), max=0.05 (more for each token of max_tokens), sigma=0.6 (spread); these are the defaults
    #[arg(long, value_name = "N", value_parser = lengths)]
    pub output_tokens: Option<OutputLengths>,
    /// Share of answers that end for another reason: one or more of refusal=0.01,stop_sequence=0.5,tool_use=0.5
    /// [default: none]
    #[arg(long, value_name = "SHARES", value_parser = endings)]
    pub endings: Option<Endings>,
    /// Factor that multiplies token counts to get the usage in answers [default: 1]
    #[arg(long, value_name = "FACTOR", value_parser = factor)]
    pub skew: Option<f64>,
    /// Factor that multiplies the real input of a request to get the estimate charged at its start [default: 1]
    #[arg(long, value_name = "FACTOR", value_parser = factor)]
    pub estimate_skew: Option<f64>,
    /// Serve unknown models instead of answering with status 404
    #[arg(long, action = ArgAction::SetTrue)]
    pub any_model: bool,
    /// File of faults to inject
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, alias = "simulate-faults")]
    pub faults: Option<PathBuf>,
    /// File of scripted answers
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, alias = "simulate-answers")]
    pub answers: Option<PathBuf>,
}

impl SimLimitArgs {
    /// Returns the limits of a class. These are the limits of the tier, except where a flag sets another limit.
    pub(crate) fn over(&self, tier: RateLimits, class: &ModelClass) -> RateLimits {
        let own = self.class_limits.iter().rev().find(|(name, _)| name == class).map(|(_, limits)| *limits);
        let own = own.unwrap_or(RateLimits::NONE);
        let typed = RateLimits { rpm: self.rpm, itpm: self.itpm, otpm: self.otpm };
        let limit = |dimension| own.of(dimension).or(typed.of(dimension)).or(tier.of(dimension));
        RateLimits {
            rpm: limit(Dimension::Requests),
            itpm: limit(Dimension::InputTokens),
            otpm: limit(Dimension::OutputTokens),
        }
    }
}
