//! The flags, in groups. Each subcommand consists of some of these groups.
//!
//! A switch takes an optional value (`--strict=false`), so that a higher layer can turn off what a lower layer turned
//! on.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueHint};

use super::deadline::{self, Deadline};
use super::layered::{Layered, layered};
use super::parsers::{self, RefusedKey};
use super::steered::{self, Change};
use super::values::{
    self, Concurrency, Field, Fsync, HaltRule, Header, Headroom, InputFormat, Notify, Order, OutputFormat, Param,
    Refused, StreamMode, Text,
};
use crate::answer::{Expected, OnInvalid, OnRefusal, OnTruncate};
use crate::domain::{LaneChoice, Money, PromptCache, Quality, Tier};
use crate::journal::Owners;
use crate::report::ProgressKind;
use crate::source::Condition;
use crate::watch::notices::{NoticeForm, NoticeRule};
use crate::watch::schedule::Schedule;

/// How inputs are read.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Input")]
pub struct SourceArgs {
    /// Format of the inputs [default: auto, by name and content]
    #[arg(long, value_parser = values::one_of(&values::FORMATS))]
    pub format: Option<InputFormat>,
    /// Column with each row's id
    #[arg(long, value_name = "COLUMN")]
    pub id: Option<String>,
    /// Sheet of an Excel file [default: the first]
    #[arg(long, value_name = "NAME")]
    pub sheet: Option<String>,
    /// Prompt with {{column}} in it, or a JSON list of messages with such texts, or @FILE
    #[arg(short, long, value_name = "TEXT", value_parser = parsers::text)]
    pub template: Option<Text>,
    /// Only the first N rows (after --skip)
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true, value_parser = parsers::positive_u64)]
    pub limit: Option<u64>,
    /// Leave out the first N rows
    #[arg(long, value_name = "N")]
    pub skip: Option<u64>,
    /// Refuse to start when any row is broken
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub strict: Option<bool>,
}

/// How the input of a run is read again.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct ReadArgs {
    /// Format of the input [default: as the run read it]
    #[arg(long, value_parser = values::one_of(&values::FORMATS))]
    pub format: Option<InputFormat>,
    /// Column with each row's id [default: as the run read it]
    #[arg(long, value_name = "COLUMN")]
    pub id: Option<String>,
}

/// Parameters of every request; a row's own parameters override them.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Request (a row's own parameters win)")]
pub struct RequestArgs {
    /// Model [default: claude-haiku-4-5]
    #[arg(short, long)]
    pub model: Option<String>,
    /// Send rows that name the model FROM with the model TO; repeatable
    #[arg(long, value_name = "FROM=TO", value_delimiter = ',', value_parser = parsers::model_pair)]
    pub map_model: Vec<(String, String)>,
    /// System prompt, which may contain {{column}}, or @FILE; a .json file may hold a list of content blocks
    #[arg(short, long, value_name = "TEXT", value_parser = parsers::text)]
    pub system: Option<Text>,
    /// Longest answer, in tokens [default: 1024]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parsers::positive_u32)]
    pub max_tokens: Option<u32>,
    /// Any other parameter, as KEY=JSON; repeatable
    #[arg(long, value_name = "KEY=JSON", value_parser = parsers::param)]
    pub param: Vec<Param>,
}

/// Parameters of this call that replace those of the rows.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Request (these win over a row's own parameters)")]
pub(crate) struct OverrideArgs {
    /// Model [default: as in the row]
    #[arg(short, long)]
    pub model: Option<String>,
    /// System prompt, or @FILE; a .json file may hold a list of content blocks [default: as in the row]
    #[arg(short, long, value_name = "TEXT", value_parser = parsers::text)]
    pub system: Option<Text>,
    /// Longest answer, in tokens [default: as in the row]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parsers::positive_u32)]
    pub max_tokens: Option<u32>,
}

/// How requests are sent.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Request (a row's own parameters win)")]
pub struct WireArgs {
    /// Whether answers are streamed from the API [default: auto]
    #[arg(long, value_parser = values::one_of(&values::STREAMS))]
    pub stream: Option<StreamMode>,
    /// anthropic-version [default: 2023-06-01]
    #[arg(long, value_name = "DATE", value_parser = parsers::token)]
    pub api_version: Option<String>,
    /// anthropic-beta values; repeatable
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = parsers::token)]
    pub beta: Vec<String>,
    /// Another header, as 'Name: value'; repeatable
    #[arg(long, value_name = "HEADER", value_parser = parsers::HeaderParser)]
    pub header: Vec<Header>,
}

/// Where results go.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Output, or -: its name says its format (.jsonl, .csv, .tsv, .txt, .parquet; also .gz, .zst) [default: beside the input]
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Error log [default: beside the results]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub errors: Option<PathBuf>,
}

/// The form of an output.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct FormArgs {
    /// Format of the output [default: by its name]
    #[arg(long, value_parser = values::one_of(&values::OUTPUT_FORMATS))]
    pub output_format: Option<OutputFormat>,
    /// Fields of the output, as id,text,usage.output_tokens [default: the input's columns, text, error]
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', value_parser = parsers::field)]
    pub fields: Vec<Field>,
    /// Order of rows in the output: as they were done, or as in the input
    #[arg(long, value_parser = values::one_of(&values::ORDERS))]
    pub order: Option<Order>,
    /// Keep cells that a spreadsheet would take for formulas
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub raw_cells: Option<bool>,
    /// End texts with NUL instead of a line break
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub null: Option<bool>,
}

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
    #[arg(long, value_name = "N")]
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

/// What an answer must be, and what happens if it is not.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Answers")]
pub struct AnswerArgs {
    /// JSON schema that each answer must match
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = parsers::schema, conflicts_with = "expect")]
    pub schema: Option<Text>,
    /// What each answer must be: json
    #[arg(long, value_name = "KIND", ignore_case = true, value_parser = values::one_of(&values::EXPECTED))]
    pub expect: Option<Expected>,
    /// Expression over text, json, row and usage that must be true for each answer; repeatable
    #[arg(long, value_name = "EXPR", value_parser = parsers::condition)]
    pub require: Vec<Condition>,
    /// After an answer that is not as required: ask for a correction, ask again, fail the row, or keep it [default: repair with --schema and --expect, else fail]
    #[arg(long, value_name = "WHAT", ignore_case = true, value_parser = values::one_of(&values::ON_INVALID))]
    pub on_invalid: Option<OnInvalid>,
    /// After a truncated answer: keep it, fail the row, grow[=MAX] (ask again for a longer answer), or continue it [default: keep, or fail with --schema, --expect or --require]
    #[arg(long, value_name = "WHAT", ignore_case = true, value_parser = parsers::on_truncate)]
    pub on_truncate: Option<OnTruncate>,
    /// After a refusal: keep it, fail the row, or ask another model with model=NAME [default: keep, or fail with --schema, --expect or --require]
    #[arg(long, value_name = "WHAT", value_parser = parsers::on_refusal)]
    pub on_refusal: Option<OnRefusal>,
    /// Most additional requests for a row after its first answer [default: 2]
    #[arg(long, value_name = "N")]
    pub max_follow_ups: Option<u32>,
}

/// Which rows are run again.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Run")]
pub struct RowsArgs {
    /// Start over: set the earlier results aside
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch, conflicts_with_all = ["retry_failed", "rerun_changed"])]
    pub fresh: Option<bool>,
    /// Try failed rows again, too
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub retry_failed: Option<bool>,
    /// Run rows again if they changed after they were answered
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub rerun_changed: Option<bool>,
    /// Ask again for answers of these kinds: truncated, refused; --max-tokens, -m and -s then win over the row's own
    #[arg(long, value_name = "KINDS", value_delimiter = ',', value_parser = values::one_of(&values::RERUN))]
    pub rerun: Vec<Quality>,
}

/// Runs against the simulator.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Run")]
pub struct SimulationArgs {
    /// Rehearse against a built-in server; needs no key
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub simulate: Option<bool>,
    /// Faults to inject, for that server
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub simulate_faults: Option<PathBuf>,
    /// Scripted answers, for that server
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub simulate_answers: Option<PathBuf>,
}

/// The server.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Run")]
pub struct ConnectionArgs {
    /// Server to use instead of the API, without /v1
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// Allow http:// to other machines
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub allow_http: Option<bool>,
    /// Connect directly, even if the environment or the system sets a proxy
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub no_proxy: Option<bool>,
    /// Certificates to trust in addition to the system's, as PEM
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ca_file: Option<PathBuf>,
}

/// What is shown.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Run")]
pub struct DisplayArgs {
    /// How progress is shown on standard error [default: auto]
    #[arg(long, value_name = "KIND", value_parser = values::one_of(&values::PROGRESS))]
    pub progress: Option<ProgressKind>,
    /// Say nothing but errors
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch, conflicts_with = "verbose")]
    pub quiet: Option<bool>,
    /// Say more
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
}

/// How results are kept.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Run")]
pub struct StorageArgs {
    /// When results are forced to disk [default: group, several times a second]
    #[arg(long, value_parser = values::fsync())]
    pub fsync: Option<Fsync>,
    /// Use files of other users and folders open to all, such as volumes of a container
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub trust_owner: Option<bool>,
}

/// How a run is watched and steered while it is in progress.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Watching")]
pub struct WatchArgs {
    /// Send notices to a URL, or to the one in a variable (env:NAME), or to a program (cmd:COMMAND); repeatable
    #[arg(long, value_name = "TARGET", value_parser = parsers::NotifyParser)]
    pub notify: Vec<Notify>,
    /// When notices are sent: finish, halt, failures=PCT%, limit=80, limit=95, hold=DUR, budget=PCT [default: finish,halt,limit=95]
    #[arg(long, value_name = "EVENTS", value_delimiter = ',', value_parser = parsers::notice_rule)]
    pub notify_on: Vec<NoticeRule>,
    /// Form of notices to addresses [default: slack]
    #[arg(long, value_name = "FORM", value_parser = values::one_of(&values::NOTICE_FORMS))]
    pub notify_format: Option<NoticeForm>,
    /// Change settings at certain times, as 'mon-fri 9:00-18:00 headroom=50%'; repeatable
    #[arg(long, value_name = "WHEN SETTING", value_parser = steered::schedule)]
    pub schedule: Vec<Schedule<Change>>,
    /// Write each event of the run to this file, as JSON lines
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub log: Option<PathBuf>,
}

/// Where other settings are.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Configuration")]
pub struct PlaceArgs {
    /// Configuration file, instead of claude-batch.toml
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Profile of the configuration to use
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
}

/// Where the key is.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Key")]
pub struct KeyArgs {
    /// File with the API key
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "api_key_cmd")]
    pub api_key_file: Option<PathBuf>,
    /// Command that prints the API key, alone or as JSON with its end; split at blanks, run without a shell
    #[arg(long, value_name = "CMD")]
    pub api_key_cmd: Option<String>,
    /// How long a key that the command printed is used [default: as its expires_at says, or for the whole run]
    #[arg(long, value_name = "TIME", value_parser = parsers::duration)]
    pub api_key_ttl: Option<Duration>,
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "", value_parser = RefusedKey,
        aliases = ["api_key", "apikey", "key", "auth-token", "token"])]
    api_key: Option<Refused>,
}

layered! {
    SourceArgs { format, id, sheet, template, limit, skip, strict }
    RequestArgs { model, map_model, system, max_tokens, param }
    WireArgs { stream, api_version, beta, header }
    OutputArgs { output, errors }
    FormArgs { output_format, fields, order, raw_cells, null }
    SpeedArgs { tier, rpm, itpm, otpm, headroom, concurrency, http2, tpm }
    LaneArgs { lane, deadline, batch_rows, detach }
    FaultArgs { max_retries, retry_for, timeout, idle_timeout, no_retry_ambiguous, halt, grace }
    MoneyArgs { max_cost, max_requests, max_time, prompt_cache, dry_run, yes }
    ReuseArgs { dedupe, reuse, reuse_any_origin }
    PriceArgs { prices }
    AnswerArgs { schema, expect, require, on_invalid, on_truncate, on_refusal, max_follow_ups }
    RowsArgs { fresh, retry_failed, rerun_changed, rerun }
    SimulationArgs { simulate, simulate_faults, simulate_answers }
    ConnectionArgs { base_url, allow_http, no_proxy, ca_file }
    DisplayArgs { progress, quiet, verbose }
    StorageArgs { fsync, trust_owner }
    WatchArgs { notify, notify_on, notify_format, schedule, log }
    PlaceArgs { config, profile }
}

impl Layered for KeyArgs {
    /// The file and the command are two ways to give the key. So if a higher layer has one of them, both settings of a
    /// lower layer are ignored. The lifetime is a setting of its own.
    fn over(self, lower: Self) -> Self {
        let api_key_ttl = self.api_key_ttl.or(lower.api_key_ttl);
        Self { api_key_ttl, ..if self.is_set() { self } else { lower } }
    }
}

impl KeyArgs {
    /// Returns whether these flags give the key.
    pub(crate) fn is_set(&self) -> bool {
        self.api_key_file.is_some() || self.api_key_cmd.is_some()
    }
}

impl StorageArgs {
    /// Returns the users whose files may be used.
    pub(crate) fn owners(&self) -> Owners {
        match self.trust_owner {
            Some(true) => Owners::Any,
            Some(false) | None => Owners::Own,
        }
    }
}
