//! The settings of a run. The sources of a setting, in order of priority, are: flag, environment, profile, file,
//! default.
//!
//! [`Config::of_run`] checks every value, and reads every file whose path is in a setting. On each error of this
//! module, the program exits with code 2 before it sends anything.
//!
//! The origin of a setting decides how much the program trusts it. Flags, the environment, the user's own file and a
//! file given with `--config` come from the user. A `claude-batch.toml` in the working folder may come from another
//! person's repository. A file in the working folder can contain only settings that are on the list in `folder.rs`.
//! Before the run, a note says which settings the `claude-batch.toml` in the working folder contains.

pub mod address;
mod answers;
pub mod authorization;
mod aws;
pub mod credential;
pub(crate) mod defaults;
mod file_layer;
pub mod folder;
mod google;
mod inputs;
mod key_command;
mod lanes;
pub(crate) mod layers;
pub(super) mod opened;
pub(crate) mod origins;
mod place;
mod printed;
pub mod providers;
pub(crate) mod reader;
pub(crate) mod recorded;
mod rerun;
mod rows;
mod shown;
mod system;
mod texts;
mod trust;
mod typed;
mod watch;
pub mod world;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;

use self::defaults::{IDLE_TIMEOUT, MAX_RETRIES, RETRY_FOR, TIMEOUT};
use self::inputs::output_of;
use self::lanes::Lanes;
use self::layers::Layers;
use self::providers::{FallbackConfig, ProviderConfig, Providers};
use self::rows::{dialect, overrides, request_defaults, source_config};
use self::shown::{summary_kind, verbosity};
use self::texts::about;
use self::world::World;
use super::args::groups::{ConnectionArgs, FormArgs, SimulationArgs};
use super::args::layered::Layered;
use super::args::values::{
    Concurrency, Field, Fsync, HaltRule, Headroom, InputFormat, Order, OutputFormat, StreamMode,
};
use super::args::{CheckArgs, ResultsArgs, ResumeArgs, RunArgs, Settings};
use crate::domain::{LaneChoice, Money, PromptCache, Quality, RateLimits, Tier};
use crate::journal::Owners;
use crate::plan::{Dialect, RequestDefaults};
use crate::report::{ProgressKind, SummaryKind, Verbosity};

pub use self::answers::AnswerConfig;
pub use self::inputs::{InputArg, OutputArg, inputs};
pub use self::rows::SourceConfig;
pub(crate) use self::texts::{TextFile, named_file};
pub use self::watch::{NoticeTarget, WatchConfig};

/// The user's settings for the form of an output.
#[derive(Clone, Debug, Default)]
pub struct FormConfig {
    /// The format of the output; `None` if the name of the output decides.
    pub format: Option<OutputFormat>,
    /// The fields of each row in the output; empty for the default fields.
    pub fields: Vec<Field>,
    /// The order of the rows in the output.
    pub order: Option<Order>,
    /// Whether cells that look like formulas are written unchanged.
    pub raw_cells: bool,
    /// Whether each text in the output ends with a NUL byte.
    pub null: bool,
}

/// All settings of a run.
#[derive(Clone, Debug)]
pub struct Config {
    /// The inputs, in the order in which they are read.
    pub inputs: Vec<InputArg>,
    /// How the inputs are read.
    pub source: SourceConfig,
    /// The parameters of every request.
    pub request: RequestDefaults,
    /// The parameters that replace the rows' own parameters. With `resume`, all rows get these parameters. With
    /// `--rerun`, only the rows that are run again get these parameters. The keys of the rows do not change.
    pub overrides: RequestDefaults,
    /// The API version and the betas that requests name.
    pub dialect: Dialect,
    /// Whether answers are streamed from the API.
    pub stream: StreamMode,
    /// Where results are written; `None` for a file next to the input.
    pub output: Option<OutputArg>,
    /// The form of the output.
    pub form: FormConfig,
    /// The path of the error log; `None` for a file next to the results.
    pub errors: Option<PathBuf>,
    /// The tier.
    pub tier: Tier,
    /// The limits that the user set, which replace the limits of the tier.
    pub limits: RateLimits,
    /// The share of the limits that the run leaves unused.
    pub headroom: Headroom,
    /// The highest number of requests in flight.
    pub concurrency: Concurrency,
    /// Whether HTTP/2 is used.
    pub http2: bool,
    /// Whether requests are sent online, in batches, or both.
    pub lane: LaneChoice,
    /// The deadline of the run: the time by which the run has to be done.
    pub deadline: Option<Timestamp>,
    /// The highest number of rows in a batch, from 1 to 100,000.
    pub batch_rows: NonZeroU32,
    /// Whether the run ends when its batches are submitted.
    pub detach: bool,
    /// The highest number of retries of a request.
    pub max_retries: u32,
    /// The longest wait for a limit, an overload or a dead endpoint.
    pub retry_for: Duration,
    /// The longest time that one request can take.
    pub timeout: Duration,
    /// How long the server can stay silent within an answer.
    pub idle_timeout: Duration,
    /// Whether an attempt that may have been billed is retried.
    pub retry_ambiguous: bool,
    /// The rule that says when failures stop the run.
    pub halt: HaltRule,
    /// After a signal, how long the run waits for the requests in flight; `None` for the default of each signal.
    pub grace: Option<Duration>,
    /// The budget: the highest total cost of all runs that write to the same results file.
    pub max_cost: Option<Money>,
    /// Whether the user set `max_cost`. If this is false, a file in the working folder may have set `max_cost`.
    pub has_own_max_cost: bool,
    /// The highest number of requests that the run sends.
    pub max_requests: Option<u64>,
    /// The longest time that the run can take.
    pub max_time: Option<Duration>,
    /// Whether requests get cache marks, and which lifetime the marks ask for.
    pub prompt_cache: PromptCache,
    /// Whether equal requests are sent only once.
    pub dedupe: bool,
    /// Results files of other runs. If the request of a row is already in one of these files, the row takes its answer
    /// from the file and is not sent.
    pub reuse: Vec<PathBuf>,
    /// Whether `reuse` also takes answers that come from another server.
    pub reuse_any_origin: bool,
    /// Prices that replace the built-in ones.
    pub prices: Option<TextFile>,
    /// Whether the run is a dry run, which sends nothing.
    pub dry_run: bool,
    /// Whether an expensive run starts without asking.
    pub yes: bool,
    /// The rules for answers: which answers are valid, and what happens after an answer that breaks a rule.
    pub answers: AnswerConfig,
    /// The kinds of answers after which a row is sent again.
    pub rerun: Vec<Quality>,
    /// Whether earlier results are renamed, so that the run starts over.
    pub fresh: bool,
    /// The settings for watching and steering the run.
    pub watch: WatchConfig,
    /// Whether failed rows are tried again.
    pub retry_failed: bool,
    /// Whether changed rows are run again.
    pub rerun_changed: bool,
    /// Whether the run uses the simulator.
    pub simulate: bool,
    /// The faults of the simulator.
    pub simulate_faults: Option<TextFile>,
    /// The scripted answers of the simulator.
    pub simulate_answers: Option<TextFile>,
    /// The settings of the first provider.
    pub provider: ProviderConfig,
    /// The settings of the providers after the first.
    pub fallback: FallbackConfig,
    /// Whether addresses of other machines can begin with `http://`.
    pub allow_http: bool,
    /// Whether proxies are ignored.
    pub no_proxy: bool,
    /// A file with certificates that the run trusts in addition to the system's certificates.
    pub ca_file: Option<PathBuf>,
    /// The content of `ca_file`, as PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// How progress is shown.
    pub progress: ProgressKind,
    /// How the summary is shown.
    pub summary: SummaryKind,
    /// How many messages are printed.
    pub verbosity: Verbosity,
    /// Whether standard error is a terminal.
    pub is_terminal: bool,
    /// Whether colours are allowed on standard error.
    pub is_colored: bool,
    /// Whether standard error shows block characters, for small charts.
    pub has_blocks: bool,
    /// The rule that says when results are synced to disk.
    pub fsync: Fsync,
    /// The users whose files the program uses.
    pub owners: Owners,
    /// Warnings to print before the run. Each warning is printed once.
    pub warnings: Vec<String>,
    /// Notes to print before the run, about the settings of a file in the working folder.
    pub notes: Vec<String>,
}

impl Config {
    /// Returns the settings of `run`.
    ///
    /// # Errors
    /// Fails if a setting can't be used. The message names the flag, the variable, or the file and line. The message
    /// also says what was found and what to do.
    pub fn of_run(args: &RunArgs, world: &World) -> Result<Self> {
        Self::of_run_with(args, Settings::default(), world)
    }

    /// Returns the providers, in the order in which they are tried.
    pub(crate) fn providers(&self) -> impl Iterator<Item = &ProviderConfig> {
        std::iter::once(&self.provider).chain(&self.fallback.chain)
    }

    /// Returns the settings of `run`. `recorded` contains settings of an earlier run, which override files.
    fn of_run_with(args: &RunArgs, recorded: Settings, world: &World) -> Result<Self> {
        let inputs = |format| inputs(&args.inputs, format, world);
        let config = Self::of(args.settings.clone(), recorded, inputs, world)?.with_notices(world)?;
        config.check_providers()?;
        lanes::check_output(config.lane, config.output.as_ref())?;
        match &config.inputs[..] {
            _ if config.output.is_some() => {}
            [InputArg::Texts(texts)] if texts.root().file_name().is_none() => {
                bail!("{}: there is no folder to name the results after; name the results file with -o", texts.name())
            }
            [_] => {}
            inputs => bail!("{} inputs are named, and no output; name the results file with -o", inputs.len()),
        }
        Ok(config)
    }

    /// Checks that the addresses of all providers are known.
    fn check_providers(&self) -> Result<()> {
        self.providers().try_for_each(ProviderConfig::check_complete)
    }

    /// Checks the targets of notices. Only commands that run rows send notices.
    fn with_notices(mut self, world: &World) -> Result<Self> {
        let keys = &self.provider.key_variables;
        let warnings = self.watch.find_targets(self.max_cost.is_some(), self.allow_http, keys, world)?;
        self.warnings.extend(warnings);
        Ok(self)
    }

    /// Returns the settings of `plan`, which are the same as for `run`. Unlike `run`, `plan` needs no name for the
    /// output if there are several inputs.
    ///
    /// # Errors
    /// Fails in the same cases as [`Config::of_run`].
    pub(crate) fn of_plan(args: &RunArgs, world: &World) -> Result<Self> {
        let inputs = |format| inputs(&args.inputs, format, world);
        let mut config = Self::of(args.settings.clone(), Settings::default(), inputs, world)?;
        if config.inputs.len() > 1 && config.output.is_none() {
            config.output = Some(OutputArg::Stdout);
        }
        Ok(config)
    }

    /// Returns the settings of `resume`. The inputs of `resume` are error logs. `recorded` contains settings of the run
    /// that is resumed. Recorded settings override the settings in files, but flags and environment variables override
    /// recorded settings.
    ///
    /// # Errors
    /// Fails in the same cases as [`Config::of_run`].
    pub fn of_resume(args: &ResumeArgs, recorded: Settings, world: &World) -> Result<Self> {
        if args.errors.iter().any(|path| path.as_os_str() == "-") {
            bail!(
                "-: an error log must be a file, because rows that fail again are written to it; name the error log of a run"
            );
        }
        let inputs = |_| Ok(args.errors.iter().cloned().map(InputArg::Path).collect());
        let config = Self::of(args.settings(), recorded, inputs, world)?.with_notices(world)?;
        config.check_providers()?;
        let overrides = overrides(Layers::read(args.settings(), Settings::default(), world)?.named, world)?;
        // The rows of an error log are complete requests. Settings for new rows must not change the requests in an
        // error log.
        Ok(Self {
            source: SourceConfig::default(),
            request: RequestDefaults::default(),
            overrides,
            rerun: Vec::new(),
            ..config
        })
    }

    /// Returns the settings of `check`.
    ///
    /// # Errors
    /// Fails in the same cases as [`Config::of_run`].
    pub(crate) fn of_check(args: &CheckArgs, world: &World) -> Result<Self> {
        Self::of(args.settings(), Settings::default(), |format| inputs(&args.inputs, format, world), world)
    }

    /// Returns the settings of a command without inputs: `models` or `limits`.
    ///
    /// # Errors
    /// Fails in the same cases as [`Config::of_run`].
    pub(crate) fn of_settings(flags: Settings, world: &World) -> Result<Self> {
        Self::of(flags, Settings::default(), |_| Ok(Vec::new()), world)
    }

    /// Returns the settings of a command that is about a run but reads no inputs. `recorded` contains settings of the
    /// run. Recorded settings override the settings in files, but flags and environment variables override recorded
    /// settings.
    ///
    /// # Errors
    /// Fails in the same cases as [`Config::of_run`].
    pub(crate) fn of_recorded(flags: Settings, recorded: Settings, world: &World) -> Result<Self> {
        let config = Self::of(flags, recorded, |_| Ok(Vec::new()), world)?;
        Ok(Self { source: SourceConfig::default(), request: RequestDefaults::default(), ..config })
    }

    /// Returns the path of the user's own configuration file, which need not exist. Returns `None` without a
    /// configuration folder.
    pub(crate) fn own_file(world: &World) -> Option<PathBuf> {
        world.config_folder().map(|folder| folder.join(layers::FILE_NAME))
    }

    /// Returns the settings of `results`. `recorded` contains settings of the earlier run: how it read rows, and how it
    /// made requests from these rows. Only flags that the user typed override the recorded settings.
    ///
    /// # Errors
    /// Fails in the same cases as [`Config::of_run`].
    pub(crate) fn of_results(args: &ResultsArgs, recorded: Settings, world: &World) -> Result<Self> {
        let typed = args.settings();
        let config = Self::of(typed.clone(), Settings::default(), |_| Ok(Vec::new()), world)?;
        let Settings { source, request, wire, .. } = typed.over(recorded);
        Ok(Self {
            source: source_config(source, world)?,
            request: request_defaults(request, world)?,
            dialect: dialect(&wire),
            ..config
        })
    }

    /// Returns the settings that decide what an output looks like.
    pub(crate) fn form_of(form: FormArgs) -> FormConfig {
        FormConfig {
            format: form.output_format,
            fields: form.fields,
            order: form.order,
            raw_cells: form.raw_cells.unwrap_or(false),
            null: form.null.unwrap_or(false),
        }
    }

    /// Returns the users whose files may be used. The program must know the trusted users before it reads a run folder.
    ///
    /// # Errors
    /// Fails in the same cases as [`Config::of_run`].
    pub(crate) fn owners_of_resume(args: &ResumeArgs, world: &World) -> Result<Owners> {
        Ok(Layers::read(args.settings(), Settings::default(), world)?.merged.storage.owners())
    }

    fn of(
        flags: Settings,
        recorded: Settings,
        inputs: impl FnOnce(InputFormat) -> Result<Vec<InputArg>>,
        world: &World,
    ) -> Result<Self> {
        let Layers { named, merged, lower, mut warnings, notes, providers, has_own_max_cost, origins: _ } =
            Layers::read(flags, recorded, world)?;
        let simulate = merged.simulation.simulate.unwrap_or(false);
        check_simulation(simulate, &named)?;
        let Providers { first: provider, fallback, tier, lane, prompt_cache, warnings: of_providers } =
            Providers::of((&named, &merged, &lower), &providers, world)?;
        warnings.extend(of_providers);
        let Settings {
            source,
            request,
            wire,
            output,
            form,
            speed,
            lanes,
            faults,
            money,
            reuse,
            prices,
            answers,
            rows,
            simulation,
            watch,
            ..
        } = merged;
        let Lanes { lane, deadline, batch_rows, detach } = Lanes::of(lane, &lanes, &named.lanes, world)?;
        let ConnectionArgs { base_url: _, allow_http, no_proxy, ca_file } = merged.connection;
        let ca_pem = ca_file.as_deref().map(|path| world.read(path).with_context(|| about("--ca-file", path)));
        let fresh = rows.fresh.unwrap_or(false);
        if fresh && !named.rows.rerun.is_empty() {
            bail!(
                "--rerun: it asks again for some earlier answers, but --fresh starts without earlier answers; leave \
                 out one of these flags"
            );
        }
        let inputs = inputs(source.format.unwrap_or_default())?;
        Ok(Self {
            source: source_config(source, world)?,
            request: request_defaults(request, world)?,
            overrides: RequestDefaults::default(),
            dialect: dialect(&wire),
            stream: wire.stream.unwrap_or_default(),
            output: output_of(output.output, &inputs),
            form: Self::form_of(form),
            errors: output.errors,
            tier,
            limits: RateLimits { rpm: speed.rpm, itpm: speed.itpm, otpm: speed.otpm },
            headroom: speed.headroom.unwrap_or_default(),
            concurrency: speed.concurrency.unwrap_or_default(),
            http2: speed.http2.unwrap_or(false),
            lane,
            deadline,
            batch_rows,
            detach,
            max_retries: faults.max_retries.unwrap_or(MAX_RETRIES),
            retry_for: faults.retry_for.unwrap_or(RETRY_FOR),
            timeout: faults.timeout.unwrap_or(TIMEOUT),
            idle_timeout: faults.idle_timeout.unwrap_or(IDLE_TIMEOUT),
            retry_ambiguous: !faults.no_retry_ambiguous.unwrap_or(false),
            halt: faults.halt.unwrap_or_default(),
            grace: faults.grace,
            max_cost: money.max_cost,
            has_own_max_cost,
            max_requests: money.max_requests,
            max_time: money.max_time,
            prompt_cache,
            dedupe: reuse.dedupe.unwrap_or(false),
            reuse: reuse.reuse,
            reuse_any_origin: reuse.reuse_any_origin.unwrap_or(false),
            prices: named_file("--prices", prices.prices, world)?,
            dry_run: money.dry_run.unwrap_or(false),
            yes: money.yes.unwrap_or(false),
            answers: AnswerConfig::of(answers, &named.answers, world)?,
            rerun: if fresh { Vec::new() } else { rows.rerun },
            watch: WatchConfig::of(watch),
            fresh,
            retry_failed: !fresh && rows.retry_failed.unwrap_or(false),
            rerun_changed: !fresh && rows.rerun_changed.unwrap_or(false),
            simulate,
            simulate_faults: simulated_file("--simulate-faults", simulation.simulate_faults, simulate, world)?,
            simulate_answers: simulated_file("--simulate-answers", simulation.simulate_answers, simulate, world)?,
            provider,
            fallback,
            allow_http: allow_http.unwrap_or(false),
            no_proxy: no_proxy.unwrap_or(false),
            ca_pem: ca_pem.transpose()?,
            ca_file,
            progress: merged.display.progress.unwrap_or_default(),
            summary: summary_kind(merged.display.summary, merged.display.progress),
            verbosity: verbosity(merged.display.quiet, merged.display.verbose),
            is_terminal: world.stderr_is_terminal,
            is_colored: world.is_colored(),
            has_blocks: world.has_blocks(),
            fsync: merged.storage.fsync.unwrap_or_default(),
            owners: merged.storage.owners(),
            inputs,
            warnings,
            notes,
        })
    }
}

fn check_simulation(simulate: bool, named: &Settings) -> Result<()> {
    let SimulationArgs { simulate: _, simulate_faults, simulate_answers } = &named.simulation;
    match (simulate, &named.connection.base_url) {
        (false, _) if simulate_faults.is_some() => {
            bail!("--simulate-faults: only the built-in server uses it; add --simulate")
        }
        (false, _) if simulate_answers.is_some() => {
            bail!("--simulate-answers: only the built-in server uses it; add --simulate")
        }
        (true, Some(_)) => bail!("--simulate uses the built-in server, but --base-url names another; leave one out"),
        _ => Ok(()),
    }
}

/// Reads a file for the simulator. In a run without the simulator, the file is not read.
fn simulated_file(flag: &str, path: Option<PathBuf>, simulate: bool, world: &World) -> Result<Option<TextFile>> {
    named_file(flag, path.filter(|_| simulate), world)
}
