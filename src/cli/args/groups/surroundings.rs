//! The flags that say which server is used, what is shown, and where the API key and other settings are.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueHint};

use super::super::layered::{Layered, layered};
use super::super::parsers::{self, RefusedKey};
use super::super::steered::{self, Change};
use super::super::values::{self, Notify, Refused};
use crate::report::{ProgressKind, SummaryKind};
use crate::watch::notices::{NoticeForm, NoticeRule};
use crate::watch::schedule::Schedule;

/// The flags for runs against the simulator.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Run")]
pub struct SimulationArgs {
    /// Rehearse against the built-in simulator; needs no key
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub simulate: Option<bool>,
    /// With --simulate: file of faults that the simulator injects
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub simulate_faults: Option<PathBuf>,
    /// With --simulate: file of scripted answers
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub simulate_answers: Option<PathBuf>,
}

/// The flags that say which server is used, and how to connect to it.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Run")]
pub struct ConnectionArgs {
    /// Address of the server to use instead of the API, without /v1
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// Allow http:// (not encrypted) to other machines
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub allow_http: Option<bool>,
    /// Connect directly, even if the environment or the system sets a proxy
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub no_proxy: Option<bool>,
    /// PEM file of certificates to trust in addition to the system's certificates
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ca_file: Option<PathBuf>,
}

/// The flags that say what is shown.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Run")]
pub struct DisplayArgs {
    /// How progress is shown on standard error [default: auto]
    #[arg(long, value_name = "KIND", value_parser = values::one_of(&values::PROGRESS))]
    pub progress: Option<ProgressKind>,
    /// How the summary at the end is shown on standard error [default: text; json with --progress json]
    #[arg(long, value_name = "KIND", value_parser = values::one_of(&values::SUMMARIES))]
    pub summary: Option<SummaryKind>,
    /// Show only errors
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch, conflicts_with = "verbose")]
    pub quiet: Option<bool>,
    /// Show more details; repeatable
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
}

/// The flags that say how a run in progress is watched and steered.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Watching")]
pub struct WatchArgs {
    /// Send notices to a URL, to the URL in a variable (env:NAME), or to a program (cmd:COMMAND); repeatable
    #[arg(long, value_name = "TARGET", value_parser = parsers::NotifyParser)]
    pub notify: Vec<Notify>,
    /// Events that send a notice: finish, halt, failures=PCT% (of the rows), limit=80 or limit=95 (percent in use),
    /// hold=DUR (requests held back or failing for this time), budget=PCT (of --max-cost) [default:
    /// finish,halt,limit=95]
    #[arg(long, value_name = "EVENTS", value_delimiter = ',', value_parser = parsers::notice_rule)]
    pub notify_on: Vec<NoticeRule>,
    /// Form of notices to URLs [default: slack]
    #[arg(long, value_name = "FORM", value_parser = values::one_of(&values::NOTICE_FORMS))]
    pub notify_format: Option<NoticeForm>,
    /// Change a setting at certain times, such as 'mon-fri 9:00-18:00 headroom=50%'; repeatable
    #[arg(long, value_name = "WHEN SETTING", value_parser = steered::schedule)]
    pub schedule: Vec<Schedule<Change>>,
    /// Write each event of the run to this file, as JSON lines
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub log: Option<PathBuf>,
}

/// The flags that say where other settings are.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Configuration")]
pub struct PlaceArgs {
    /// Configuration file to use instead of claude-batch.toml
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Profile to use from the configuration file
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
}

/// The flags that say where the API key is.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Key")]
pub struct KeyArgs {
    /// File that contains the API key
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "api_key_cmd")]
    pub api_key_file: Option<PathBuf>,
    /// Command that prints the API key, or JSON with the key and its expiry time; the command is split at spaces and
    /// run without a shell
    #[arg(long, value_name = "CMD", value_parser = parsers::key_command)]
    pub api_key_cmd: Option<String>,
    /// Lifetime of a key that --api-key-cmd printed [default: until its expires_at, else the whole run]
    #[arg(long, value_name = "TIME", value_parser = parsers::duration)]
    pub api_key_ttl: Option<Duration>,
    #[arg(long, hide = true, num_args = 0..=1, default_missing_value = "", value_parser = RefusedKey,
        aliases = ["api_key", "apikey", "key", "auth-token", "token"])]
    api_key: Option<Refused>,
}

layered! {
    SimulationArgs { simulate, simulate_faults, simulate_answers }
    ConnectionArgs { base_url, allow_http, no_proxy, ca_file }
    DisplayArgs { progress, summary, quiet, verbose }
    WatchArgs { notify, notify_on, notify_format, schedule, log }
    PlaceArgs { config, profile }
}

impl Layered for KeyArgs {
    /// `--api-key-file` and `--api-key-cmd` are two ways to give the key. So if a layer sets one of these flags, the
    /// values of both flags in lower layers are ignored. `--api-key-ttl` is merged separately.
    fn over(self, lower: Self) -> Self {
        let api_key_ttl = self.api_key_ttl.or(lower.api_key_ttl);
        Self { api_key_ttl, ..if self.is_set() { self } else { lower } }
    }
}

impl KeyArgs {
    /// Returns whether these flags say where the API key is.
    pub(crate) fn is_set(&self) -> bool {
        self.api_key_file.is_some() || self.api_key_cmd.is_some()
    }
}
