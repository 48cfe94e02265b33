//! Makes the parts of a run from its settings.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use http::HeaderMap;

use super::args::values;
use super::catalogs::Catalogs;
use super::config::authorization::authorization;
use super::config::providers::{AuthStyle, ProviderConfig};
use super::config::recorded::{recorded, recorded_rows};
use super::config::world::World;
use super::config::{Config, InputArg, OutputArg};
use super::projection::Projection;
use crate::catalog::Catalog;
use crate::domain::Tier;
use crate::journal::{InputIdentity, Manifest, PathRequest, Recovered, RequestShape, RunPaths};
use crate::limiter::Headroom;
use crate::plan::{Dialect, Planner, RequestDefaults};
use crate::provider::anthropic::Anthropic;
use crate::runner::input::InputPlan;
use crate::scheduler::{Budget, Config as SchedulerConfig, HaltRule, LimitsOf, Window};
use crate::source::{self, Input, Template};
use crate::transport::http::{Credential, HttpConfig};
use crate::transport::{Authorization, BaseUrl, parse_base_url};

/// The address of the Claude API, which is the default server.
const API: &str = "https://api.anthropic.com";
/// The highest number of requests in flight if the user does not choose a number.
const WIDEST: usize = 1_000;
/// At least this number of open files is reserved for uses other than connections: journal, inputs, terminal,
/// libraries.
const OTHER_FILES: usize = 64;
/// The divisor of the system's limit on open files: an eighth of this limit is reserved for uses other than
/// connections. The reserve also covers the additional connections that the HTTP client's pool opens. With 4,000
/// requests in parallel and a limit of 4,096 files, a run had 83 failed connections.
const SHARE_OF_OTHERS: usize = 8;

/// Returns the inputs that a run reads, and the options for reading them.
pub(crate) fn input_plan(config: &Config) -> Result<InputPlan> {
    let template = match &config.source.template_text {
        Some(text) => Some(Template::parse(text).context("--template")?),
        None => None,
    };
    let system = match (&config.request.system, config.request.params.get("system")) {
        (Some(text), _) => Template::of_system(text).context("--system")?,
        (None, Some(blocks)) => Template::of_system_blocks(blocks).context("--system")?,
        (None, None) => None,
    };
    let (id_column, sheet) = (config.source.id_column.clone(), config.source.sheet.clone());
    let format = config.source.format;
    Ok(InputPlan {
        inputs: config.inputs.iter().map(input_of).collect(),
        options: source::Options { format, id_column, sheet, template, system, ..source::Options::default() },
        skip: config.source.skip,
        limit: config.source.limit,
        requests: 0,
        is_copy_of_log: false,
    })
}

/// Returns the input that the user named, in the form that the reader uses.
pub(crate) fn input_of(given: &InputArg) -> Input {
    match given {
        InputArg::Path(path) => Input::File(path.clone()),
        InputArg::Texts(texts) => Input::Texts(texts.clone()),
        InputArg::Stdin => Input::Stdin,
    }
}

/// Returns the path of an input that is a file; `None` for a folder of text files and for standard input.
pub(crate) fn path_of(input: &Input) -> Option<&Path> {
    match input {
        Input::File(path) | Input::Spooled { path, .. } => Some(path),
        Input::Texts(_) | Input::Stdin => None,
    }
}

/// Returns the inputs that are files, and the folders of text files.
pub(crate) fn input_files(config: &Config) -> Vec<PathBuf> {
    let file = |input: &InputArg| match input {
        InputArg::Path(path) => Some(path.clone()),
        InputArg::Texts(texts) => Some(texts.root().to_owned()),
        InputArg::Stdin => None,
    };
    config.inputs.iter().filter_map(file).collect()
}

/// Returns a planner, which makes requests from rows. A planner counts identical rows, so each reading of the input
/// needs a new planner.
pub(crate) fn planner(
    provider: &Arc<str>,
    request: &RequestDefaults,
    dialect: &Dialect,
    catalog: &Arc<Catalog>,
) -> Planner {
    let today = jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::now()).date();
    Planner::new(request.clone(), dialect.clone(), catalog.clone(), provider.clone(), "".into()).with_today(today)
}

/// Returns the paths of the run's files. With a projection (an output that is made from the results), the results file
/// is next to the output.
pub(crate) fn paths(config: &Config, projection: Option<&Projection>, run: &str) -> Result<RunPaths> {
    let inputs = input_files(config);
    let beside = projection.and_then(|projection| projection.results(config, run));
    let output = match (beside, &config.output) {
        (Some(results), _) => Some(results),
        (None, Some(OutputArg::Path(path))) => Some(path.clone()),
        (None, Some(OutputArg::Stdout)) => Some(PathBuf::from("-")),
        (None, None) => None,
    };
    let paths = RunPaths::resolve(&PathRequest {
        inputs: &inputs,
        has_stdin: config.inputs.contains(&InputArg::Stdin),
        output: output.as_deref(),
        errors: config.errors.as_deref(),
        is_simulated: config.simulate,
        run,
    })?;
    paths.results.iter().chain([&paths.errors]).try_for_each(|path| check_not_input(config, path))?;
    Ok(paths)
}

/// Rejects the path of an output if the next run would read that file as an input.
pub(crate) fn check_not_input(config: &Config, path: &Path) -> Result<()> {
    for input in &config.inputs {
        if let InputArg::Texts(texts) = input
            && texts.would_take(path)
        {
            bail!(
                "{} would be a row of the input {} when the same command runs again; name a file elsewhere",
                path.display(),
                texts.name()
            );
        }
    }
    Ok(())
}

/// Returns the results file that a run uses if the user does not name the output; `None` if results go to standard
/// output, or if the user must name the output.
pub(crate) fn default_results(config: &Config) -> Option<PathBuf> {
    let is_single = config.inputs.len() == 1 && !config.inputs.contains(&InputArg::Stdin);
    RunPaths::of_input(&input_files(config), config.simulate).filter(|_| is_single)?.results
}

/// Returns the base URL of the first provider, or an error if its settings are not complete.
pub(crate) fn base_url(config: &Config) -> Result<BaseUrl> {
    base_url_of(&config.provider)
}

/// Returns the base URL of a provider, or an error if its settings are not complete.
pub(crate) fn base_url_of(provider: &ProviderConfig) -> Result<BaseUrl> {
    provider.check_complete()?;
    match &provider.base_url {
        Some(base) => Ok(base.url.clone()),
        None => parse_base_url(API, false).context("the API's address"),
    }
}

/// Returns whether the server has exactly the models of the Claude API. Such a server is the API itself or the
/// simulator. A gateway can have other models.
pub(crate) fn is_api(config: &Config) -> bool {
    config.provider.base_url.as_ref().is_none_or(|base| base.url.origin() == API)
}

/// Returns the authorization of requests to the first provider, and the warnings about the key.
pub(crate) fn key(config: &Config, world: &World) -> Result<(Authorization, Vec<String>)> {
    authorization(&config.provider, world)
}

/// Returns the key for a simulated provider, which takes any key.
///
/// The key of the simulator is too short to be hidden in messages. If this key were hidden, words that contain the same
/// letters would be damaged.
pub(crate) fn key_of_simulator(provider: &ProviderConfig) -> Authorization {
    let key = "sim".to_owned().into();
    match provider.auth {
        Some(AuthStyle::Bearer) => Credential::Bearer(key).into(),
        Some(AuthStyle::ApiKey) | None => Credential::ApiKey(key).into(),
    }
}

/// Returns the settings of the connection to the server.
pub(crate) fn http(
    config: &Config,
    base_url: BaseUrl,
    authorization: impl Into<Authorization>,
    connections: usize,
) -> HttpConfig {
    HttpConfig {
        timeout: config.timeout,
        idle_timeout: config.idle_timeout,
        max_connections: connections,
        ca_pem: config.ca_pem.clone(),
        http2: config.http2,
        ..HttpConfig::new(base_url, authorization)
    }
}

/// Returns the adapter that speaks the protocol of the first provider.
pub(crate) fn provider(config: &Config) -> Result<Anthropic> {
    adapter(config, &config.provider)
}

/// Returns the adapter that speaks the protocol of a provider.
pub(crate) fn adapter(config: &Config, provider: &ProviderConfig) -> Result<Anthropic> {
    let Dialect { api_version, betas } = &config.dialect;
    let headers: HeaderMap = provider.headers.iter().cloned().collect();
    let adapter = Anthropic::new(api_version, betas, headers)?;
    Ok(adapter.of_kind(provider.kind).with_rules(provider.rules.clone()))
}

/// Returns the share of the limits that is left unused.
pub(crate) fn headroom(config: &Config) -> Headroom {
    match config.headroom {
        values::Headroom::Auto => Headroom::Auto,
        values::Headroom::Percent(percent) => Headroom::Fixed(percent / 100.0),
    }
}

/// Returns the concurrency window, which limits the number of requests in flight. The system's limit on open files also
/// limits the window: each request in flight needs `files` open files.
pub(crate) fn window(config: &Config, files: usize) -> Result<Window> {
    let limit = open_files();
    let most = limit.saturating_sub(OTHER_FILES.max(limit / SHARE_OF_OTHERS)) / files;
    match config.concurrency {
        values::Concurrency::Auto => Ok(Window::auto(WIDEST.min(most.max(1)))),
        values::Concurrency::Fixed(wanted) if wanted.get() > most => {
            bail!(
                "--concurrency {wanted} needs more open files than the system allows this process (enough for {most}); \
                 raise the limit (ulimit -n), or lower --concurrency"
            )
        }
        values::Concurrency::Fixed(wanted) => Ok(Window::fixed(wanted.get())),
    }
}

/// Raises the limit on open files to the highest allowed value, and returns it.
#[cfg(unix)]
fn open_files() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // If the limit can't be raised, the current limit stays.
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    current.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX))
}

#[cfg(not(unix))]
fn open_files() -> usize {
    // On systems other than Unix, sockets do not count as open files.
    usize::MAX
}

/// Returns a function that gives the initial limits of a pool. The limits in the provider's table have priority. For
/// the first provider, limits that are missing from the table come from the tier. For every other provider that reports
/// limits in headers, missing limits come from `Tier::Auto`.
pub(crate) fn limits_of(config: &Config, catalog: &Arc<Catalog>) -> LimitsOf {
    let (catalog, tier) = (catalog.clone(), config.tier);
    let preset = |provider: &ProviderConfig| {
        let tier = if provider.features.rate_headers { Tier::Auto } else { Tier::None };
        (provider.name.clone(), provider.limits, tier)
    };
    let others: Vec<_> = config.fallback.chain.iter().map(preset).collect();
    let own = config.provider.limits;
    Box::new(move |pool| {
        let other = others.iter().find(|(name, ..)| *name == pool.provider);
        let (limits, tier) = other.map_or((own, tier), |(_, limits, tier)| (*limits, *tier));
        limits.or(catalog.limits(tier, &pool.class).limits)
    })
}

/// Returns the scheduler's settings. `recovered` describes what earlier runs left in the results of this run.
pub(crate) fn scheduler(
    config: &Config,
    catalogs: &Catalogs,
    window: Window,
    recovered: &Recovered,
) -> SchedulerConfig {
    let costs = catalogs.clone();
    let totals = &recovered.totals;
    let answered = totals.ok + totals.truncated + totals.refused;
    SchedulerConfig {
        // A row is recorded as failed only if the endpoint answered other rows, so failed rows also show that the
        // endpoint has worked.
        has_worked_before: answered > 0 || !recovered.failed.is_empty(),
        budget: Budget::new(config.max_cost, config.max_requests, config.max_time, totals.spend)
            .with_unsure(totals.maybe_spend),
        real_cost: Box::new(move |ask, usage| costs.of(&ask.pool).cost_on(ask.terms, &ask.model, usage)),
        seed: fastrand::u64(..),
        ..forecast_scheduler(config, window, limits_of(config, catalogs.first()))
    }
}

/// Returns the scheduler's settings for a forecast, which runs on virtual time. A forecast has no budget, and its
/// random numbers are always the same.
pub(crate) fn forecast_scheduler(config: &Config, window: Window, limits_of: LimitsOf) -> SchedulerConfig {
    SchedulerConfig {
        limits_of,
        by_hand: config.limits,
        headroom: headroom(config),
        endpoints: Vec::new(),
        window,
        max_retries: config.max_retries,
        retry_for: config.retry_for,
        has_worked_before: true,
        retry_ambiguous: config.retry_ambiguous,
        stream: config.stream,
        halt: match config.halt {
            values::HaltRule::FirstTen => HaltRule::AllAlike,
            values::HaltRule::Never => HaltRule::Never,
            values::HaltRule::Rows(rows) => HaltRule::Failures(rows),
            values::HaltRule::Share(share) => HaltRule::Share(share),
        },
        budget: Budget::default(),
        real_cost: Box::new(|_, _| None),
        policy: None,
        fallback: None,
        seed: 1,
    }
}

/// Returns the manifest of the run, which the run folder stores.
pub(crate) fn manifest(config: &Config, origin: &str, projection: Option<&Projection>) -> Manifest {
    Manifest {
        origin: origin.to_owned(),
        inputs: config.inputs.iter().map(input_identity).collect(),
        shape: shape(&config.request, &config.dialect),
        settings: recorded(config),
        rows: recorded_rows(config),
        output: projection.and_then(Projection::recorded),
        ..Manifest::default()
    }
}

fn input_identity(input: &InputArg) -> InputIdentity {
    let path = match input {
        InputArg::Path(path) => path,
        InputArg::Texts(texts) => {
            return InputIdentity { path: texts.name().to_owned(), bytes: None, modified: None };
        }
        InputArg::Stdin => return InputIdentity { path: "stdin".to_owned(), bytes: None, modified: None },
    };
    let known = source::identity(path).ok();
    InputIdentity {
        path: path.display().to_string(),
        bytes: known.as_ref().map(|known| known.len),
        modified: known.and_then(|known| {
            let nanos = i128::from(known.modified_ns?);
            jiff::Timestamp::from_nanosecond(nanos).ok()
        }),
    }
}

fn shape(request: &RequestDefaults, dialect: &Dialect) -> RequestShape {
    let value = |raw: &str| serde_json::from_str(raw).unwrap_or(serde_json::Value::Null);
    let digest = |text: &str| {
        let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let params = request.params.0.iter().filter(|(name, _)| &**name != "system");
    RequestShape {
        model: request.model.clone(),
        map_model: request.model_map.0.iter().cloned().collect(),
        max_tokens: request.max_tokens,
        system_sha256: request.system_text().map(digest),
        params: params.map(|(name, raw)| (name.to_string(), value(raw.get()))).collect(),
        api_version: dialect.api_version.clone(),
        betas: dialect.betas.clone(),
    }
}

/// Returns an id for a run: its start time and a random part.
pub(crate) fn run_id() -> String {
    let now = jiff::Timestamp::now();
    format!("{}-{:06x}", now.strftime("%Y%m%dT%H%M%SZ"), fastrand::u32(..) & 0xff_ffff)
}
