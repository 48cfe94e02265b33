//! `run` and `resume`: from settings to a finished run.
//!
//! The order matters: everything that can be wrong with what was typed is found first, then the input is looked at, and
//! only then is a file made or a key asked for. Nothing here sends a request; that is the loop's.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use tokio::sync::mpsc;

use super::args::{ResumeArgs, RunArgs};
use super::config::Config;
use super::config::layers::recorded_settings;
use super::config::world::World;
use super::exit::{Exit, explain};
use super::parts;
use crate::catalog::{Catalog, Terms};
use crate::clock::RunClock;
use crate::domain::{ErrorClass, EventBody, HaltReason, Money, RateLimits, RunEvent};
use crate::journal::{
    Commit as Synced, InputRead, Journal, JournalOptions, Manifest, OnCommit, RealDisk, Recovered,
    RunPaths, Start, Threading, read_error_log,
};
use crate::plan::{Dialect, Planner, Repeats};
use crate::report::text::{count, escape, plural};
use crate::report::{self, Report, Reporter, SummaryContext, Verbosity, ViewOptions};
use crate::runner::input::{Earlier, InputPlan, ModelSum, Survey, feed, is_seekable, survey};
use crate::runner::{Commit, Fed, Finish, JournalLedger, Parts, drive, signals};
use crate::scheduler::Scheduler;
use crate::source::Input;
use crate::transport::http::HttpTransport;

/// A run on a terminal that may cost more than this asks first.
const ASK_ABOVE: Money = Money(50 * 1_000_000_000_000);
/// Output that an estimate expects of a row about which nothing is known.
const EXPECTED_OUTPUT: u64 = 256;
/// Rows between the reader and the loop.
const FEED: usize = 256;

/// Answers every prompt of the inputs, or goes on where an earlier run stopped.
pub fn run(args: &RunArgs, world: &World) -> Result<Exit> {
    let config = Config::of_run(args, world)?;
    let name = parts::run_id();
    let paths = parts::paths(&config, &name)?;
    let start = if config.fresh { Start::Fresh } else { Start::Continue };
    let rerun = format!("claude-batch {}", args_as_typed());
    let plan = parts::input_plan(&config)?;
    Batch { config, world, name, paths, start, plan, only: Vec::new(), rerun, copy: None }.go()
}

/// Runs failed rows again.
pub fn resume(args: &ResumeArgs, world: &World) -> Result<Exit> {
    let mut exit = Exit::Done;
    for log in &args.errors {
        let one = resume_one(args, log, world)?;
        if exit == Exit::Done {
            exit = one;
        }
        if !matches!(one, Exit::Done | Exit::SomeFailed) {
            return Ok(one);
        }
    }
    Ok(exit)
}

fn resume_one(args: &ResumeArgs, log: &Path, world: &World) -> Result<Exit> {
    crate::source::identity(log)?;
    let known = read_error_log(log, &RealDisk)?;
    let paths = RunPaths::given(known.results, log.to_owned());
    let settings = match paths.folder() {
        Some(folder) => recorded_settings(&folder)?,
        None => Default::default(),
    };
    let config = Config::of_resume(args, settings, world)?;
    let name = parts::run_id();
    let plan = InputPlan { inputs: Vec::new(), ..parts::input_plan(&config)? };
    let rerun = format!("claude-batch {}", args_as_typed());
    let only = args.only.clone();
    Batch { config, world, name, paths, start: Start::Resume, plan, only, rerun, copy: None }.go()
}

/// Returns the command line after the program's name, quoted where a shell needs it.
fn args_as_typed() -> String {
    let quote = |arg: String| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,@%+".contains(&byte);
        if !arg.is_empty() && arg.bytes().all(is_plain) { arg } else { format!("'{}'", arg.replace('\'', r"'\''")) }
    };
    std::env::args_os().skip(1).map(|arg| quote(arg.to_string_lossy().into_owned())).collect::<Vec<_>>().join(" ")
}

/// A run that is about to begin.
struct Batch<'a> {
    config: Config,
    world: &'a World,
    name: String,
    paths: RunPaths,
    start: Start,
    plan: InputPlan,
    /// Classes that `resume` takes; empty for all.
    only: Vec<ErrorClass>,
    rerun: String,
    /// The copy of a log that has no run folder to keep it in.
    copy: Option<tempfile::TempPath>,
}

impl Batch<'_> {
    fn go(mut self) -> Result<Exit> {
        self.config.warnings.iter().for_each(|text| self.say(&format!("warning: {}", escape(text))));
        let catalog = parts::catalog(&self.config)?;
        let dialect = self.config.dialect.clone();
        parts::provider(&self.config, &dialect)?;
        let origin = self.origin()?;
        let first = self.first_look(&catalog, &dialect)?;
        if let Some(first) = &first {
            self.refuse(first, &catalog)?;
            if first.rows == 0 {
                self.say(&format!("nothing to do: no rows in {}", self.input_names()));
                return Ok(Exit::Done);
            }
        }
        if self.config.dry_run {
            self.announce(&origin, first.as_ref(), &catalog);
            self.say("dry run: nothing was sent");
            return Ok(Exit::Done);
        }
        let key = match self.config.simulate {
            true => None,
            false => {
                let (credential, warnings) = parts::key(&self.config, self.world)?;
                warnings.iter().for_each(|text| self.say(&format!("warning: {}", escape(text))));
                Some(credential)
            }
        };
        let clock = RunClock::start();
        let (commits_in, commits) = mpsc::unbounded_channel();
        let (journal, recovered) = self.open(&catalog, &dialect, &origin, clock, commits_in)?;
        recovered.notes.iter().for_each(|note| self.say(&format!("note: {}", escape(note))));
        if self.start == Start::Resume {
            self.plan.inputs = vec![Input::File(self.resume_input(&journal)?)];
        }
        let earlier = self.earlier(&recovered, &catalog);
        let looked = self.second_look(first, &recovered, &earlier, &catalog, &dialect)?;
        if let Some(survey) = &looked {
            self.refuse_changed(survey, &recovered, &dialect)?;
            survey.warnings.iter().for_each(|text| self.say(&format!("warning: {}", escape(text))));
        }
        self.announce(&origin, looked.as_ref(), &catalog);
        self.ask(looked.as_ref(), &catalog)?;
        self.start_run(Ready { catalog, dialect, key, clock, journal, recovered, commits, earlier, looked })
    }

    /// Says something to the person, unless quiet was asked for.
    fn say(&self, text: &str) {
        if self.config.verbosity != Verbosity::Quiet {
            eprintln!("{text}");
        }
    }

    fn origin(&self) -> Result<String> {
        if self.config.simulate {
            return Ok("simulator".to_owned());
        }
        Ok(parts::base_url(&self.config)?.origin().to_owned())
    }

    fn input_names(&self) -> String {
        self.plan.inputs.iter().map(|input| escape(&input.name()).into_owned()).collect::<Vec<_>>().join(", ")
    }

    fn planner(&self, catalog: &Arc<Catalog>, dialect: &Dialect) -> Planner {
        parts::planner(&self.config.request, dialect, catalog)
    }

    /// Reads a seekable input once, without knowledge of earlier runs; a log to resume is looked at later.
    fn first_look(&self, catalog: &Arc<Catalog>, dialect: &Dialect) -> Result<Option<Survey>> {
        if self.start == Start::Resume || !is_seekable(&self.plan) {
            // At least what can be opened is known to be there.
            for input in &self.plan.inputs {
                if let Input::File(path) = input {
                    crate::source::identity(path)?;
                }
            }
            return Ok(None);
        }
        let mut planner = self.planner(catalog, dialect);
        let earlier = Earlier { refuse: self.price_guard(catalog), ..Earlier::none() };
        Ok(Some(survey(&self.plan, &mut planner, &earlier, 1)?))
    }

    /// Refuses mistakes that concern every row, before anything is made.
    fn refuse(&self, survey: &Survey, catalog: &Catalog) -> Result<()> {
        if let Some(duplicate) = &survey.duplicate {
            bail!("{duplicate}");
        }
        if self.config.max_cost.is_some()
            && let Some(model) = survey.models.keys().find(|model| catalog.worst_cost(model, 1, 1).is_none())
        {
            bail!("--max-cost needs a price for {model:?}, which the catalog does not know: give it with --prices");
        }
        if self.config.source.strict
            && let Some(problem) = survey.unusable_shown.first()
        {
            bail!("--strict: {} can't be sent, the first is {problem}", plural(survey.unusable, "row", "rows"));
        }
        Ok(())
    }

    fn price_guard(&self, catalog: &Arc<Catalog>) -> Box<dyn Fn(&crate::domain::Planned) -> Option<String> + Send + Sync> {
        // A seekable input is refused as a whole; on a pipe each row is looked at.
        if self.config.max_cost.is_none() || is_seekable(&self.plan) {
            return Box::new(|_| None);
        }
        let catalog = catalog.clone();
        Box::new(move |planned| {
            let model = &planned.job.model;
            let is_priced = catalog.worst_cost_on(Terms::of(&planned.job.params), model, 1, 1).is_some();
            (!is_priced).then(|| format!("--max-cost needs a price for {model:?}: give it with --prices"))
        })
    }

    fn open(
        &self,
        catalog: &Catalog,
        dialect: &Dialect,
        origin: &str,
        clock: RunClock,
        commits: mpsc::UnboundedSender<Commit>,
    ) -> Result<(Journal, Recovered)> {
        let fsync = parts::fsync(&self.config);
        let options = JournalOptions {
            disk: Arc::new(RealDisk),
            paths: self.paths.clone(),
            inputs: parts::input_files(&self.config),
            run: self.name.as_str().into(),
            provider: parts::PROVIDER.into(),
            lane: "online",
            clock,
            price_date: Some(catalog.price_date().into()),
            manifest: parts::manifest(&self.config, dialect, origin),
            start: self.start,
            fsync,
            threading: Threading::Thread,
            stdout: self.paths.results.is_none().then(|| Box::new(std::io::stdout()) as Box<dyn Write + Send>),
        };
        let on_commit: OnCommit = Box::new(move |synced| {
            let commit = match synced {
                Synced::Durable { up_to } => Commit::UpTo(up_to),
                Synced::Failed(failure) => Commit::Failed(failure.to_string()),
            };
            // Nobody listens after the run.
            let _ = commits.send(commit);
        });
        Ok(Journal::open(options, on_commit)?)
    }

    /// Returns the copy of the log that `resume` reads. Where there is no run folder it is temporary, and removed at
    /// the end of the program.
    fn resume_input(&mut self, journal: &Journal) -> Result<std::path::PathBuf> {
        if self.paths.folder().is_some() {
            return Ok(journal.write_resume_input(&self.only)?);
        }
        let copy = tempfile::Builder::new().prefix("claude-batch.").suffix(".jsonl").tempfile()?.into_temp_path();
        journal.write_resume_input_to(&copy, &self.only)?;
        Ok(self.copy.insert(copy).to_path_buf())
    }

    fn earlier(&self, recovered: &Recovered, catalog: &Arc<Catalog>) -> Earlier {
        let done = recovered.done.clone();
        Earlier {
            known: Box::new(move |job| done.state(job)),
            reruns_failed: self.config.retry_failed || self.start == Start::Resume,
            reruns_changed: self.config.rerun_changed,
            refuse: self.price_guard(catalog),
        }
    }

    /// Looks again where earlier runs left something to know; else the first look stands.
    fn second_look(
        &self,
        first: Option<Survey>,
        recovered: &Recovered,
        earlier: &Earlier,
        catalog: &Arc<Catalog>,
        dialect: &Dialect,
    ) -> Result<Option<Survey>> {
        let is_new = recovered.done.is_empty() && recovered.failed.is_empty();
        if self.start != Start::Resume && (first.is_none() || is_new) {
            return Ok(first);
        }
        let mut planner = self.planner(catalog, dialect);
        Ok(Some(survey(&self.plan, &mut planner, earlier, 1)?))
    }

    fn refuse_changed(&self, survey: &Survey, recovered: &Recovered, dialect: &Dialect) -> Result<()> {
        let results = self.paths.results.as_deref().unwrap_or(Path::new("-")).display();
        if survey.changed > 0 && !self.config.rerun_changed {
            let first = survey.first_changed.as_deref().unwrap_or_default();
            bail!(
                "{} an answer in {results} to another request, the first is {first}: --rerun-changed runs them again, \
                 --fresh starts over (the old results are kept), -o names another file",
                match survey.changed {
                    1 => "1 row has".to_owned(),
                    rows => format!("{} rows have", count(rows)),
                }
            );
        }
        let Some(Manifest { shape, .. }) = &recovered.manifest else { return Ok(()) };
        let ours = parts::manifest(&self.config, dialect, "").shape;
        let would_pay_again = survey.unnamed > 0 && survey.to_send > 0 && !recovered.done.is_empty();
        if *shape != ours && would_pay_again && self.start == Start::Continue && !self.config.rerun_changed {
            bail!(
                "the answers in {results} were asked for with other settings ({}), and rows without an id can't be told \
                 from new ones: --rerun-changed runs them again, --fresh starts over (the old results are kept), -o \
                 names another file",
                differences(shape, &ours)
            );
        }
        Ok(())
    }

    /// Says where requests go, what they are and what they may cost.
    fn announce(&self, origin: &str, survey: Option<&Survey>, catalog: &Catalog) {
        let Some(survey) = survey else {
            let model = self.config.request.model.as_deref().unwrap_or(catalog.default_model());
            self.say(&format!("{origin}, {}: rows from a pipe, cost unknown until they come", escape(model)));
            if self.paths.results.is_none() {
                self.say(&format!(
                    "results go to standard output, so this run can't be continued; with -o FILE it could. Rows without \
                     an answer will be in {}",
                    escape(&self.paths.errors.display().to_string())
                ));
            }
            return;
        };
        let models: Vec<_> = survey.models.keys().map(|model| escape(model).into_owned()).collect();
        let models = if models.is_empty() { String::new() } else { format!(", {}", models.join(", ")) };
        let done = match survey.done {
            0 => String::new(),
            rows => format!(" ({} done by earlier runs)", count(rows)),
        };
        self.say(&format!(
            "{origin}{models}: {} to send{done}, {}",
            plural(survey.to_send, "row", "rows"),
            cost_words(&survey.models, catalog)
        ));
        if survey.unusable > 0 {
            let first = survey.unusable_shown.first().map(|text| escape(text)).unwrap_or_default();
            let rows = plural(survey.unusable, "row", "rows");
            self.say(&format!("{rows} can't be sent and will be in the error log; the first: {first}"));
        }
        for (model, limits) in self.substituted(survey, catalog) {
            let RateLimits { rpm, itpm, otpm } = limits;
            let [rpm, itpm, otpm] = [rpm, itpm, otpm].map(|limit| count(limit.unwrap_or(0).into()));
            self.say(&format!(
                "note: tier {} has no published limits for {}; beginning with its strictest ({rpm} requests, {itpm} \
                 input, {otpm} output tokens a minute) until the API tells",
                self.config.tier.name(),
                escape(&model)
            ));
        }
    }

    fn substituted(&self, survey: &Survey, catalog: &Catalog) -> Vec<(String, RateLimits)> {
        let limits = |model: &str| catalog.limits(self.config.tier, &catalog.class_of(model));
        let models = survey.models.keys().map(|model| (model.to_string(), limits(model)));
        models.filter(|(_, limits)| limits.substituted).map(|(model, limits)| (model, limits.limits)).collect()
    }

    /// Asks before a dear run, where somebody can answer.
    fn ask(&self, survey: Option<&Survey>, catalog: &Catalog) -> Result<()> {
        let is_excused = self.config.yes || self.config.max_cost.is_some() || self.config.simulate;
        let Some(survey) = survey.filter(|_| !is_excused) else { return Ok(()) };
        let Some((about, _)) = estimate(&survey.models, catalog).filter(|(about, _)| *about > ASK_ABOVE) else {
            return Ok(());
        };
        if !(self.config.is_terminal && std::io::stdin().is_terminal()) {
            return Ok(());
        }
        eprint!("This run may cost about {about}. Go on? [y/N] ");
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).context("can't read the answer")?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(anyhow!("not started; --yes starts without asking, --max-cost sets a bound")),
        }
    }
}

/// Everything a run needs once nothing can be refused any more.
struct Ready {
    catalog: Arc<Catalog>,
    dialect: Dialect,
    key: Option<crate::transport::http::Credential>,
    clock: RunClock,
    journal: Journal,
    recovered: Recovered,
    commits: mpsc::UnboundedReceiver<Commit>,
    earlier: Earlier,
    looked: Option<Survey>,
}

impl Batch<'_> {
    fn start_run(self, ready: Ready) -> Result<Exit> {
        let Ready { catalog, dialect, key, clock, journal, recovered, commits, earlier, looked } = ready;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let simulator = self.simulator(&catalog, clock)?;
        // A simulator in this process holds the other end of each connection.
        let window = parts::window(&self.config, if simulator.is_some() { 2 } else { 1 })?;
        let base_url = match &simulator {
            Some(url) => crate::transport::parse_base_url(url.url(), false)?,
            None => parts::base_url(&self.config)?,
        };
        let credential = match key {
            Some(key) => key,
            None => crate::transport::http::Credential::ApiKey("simulated".to_owned().into()),
        };
        let http = parts::http(&self.config, base_url, credential, window.most());
        let transport = HttpTransport::new(http)?;
        let spent = recovered.totals.spend;
        let scheduler = Scheduler::new(parts::scheduler(&self.config, &catalog, window, spent));
        let mut report = report::open(ViewOptions {
            kind: self.config.progress,
            verbosity: self.config.verbosity,
            is_terminal: self.config.is_terminal,
            is_colored: self.config.is_colored,
            writer: Box::new(std::io::stderr()),
        });
        let total = looked.as_ref().map(|survey| survey.rows);
        let already_done = looked.as_ref().map_or(0, |survey| survey.done + survey.failed_before);
        let body = EventBody::Started { total, already_done };
        report.on_event(&RunEvent { at: clock.wall(clock.now()), run: self.name.as_str().into(), body });
        let rows = self.start_reader(&catalog, &dialect, earlier, looked.as_ref())?;
        let prices = catalog.clone();
        let (finish, ledger, mut report) = runtime.block_on(async {
            let interrupts = signals::listen()?;
            anyhow::Ok(
                drive(Parts {
                    transport: Arc::new(transport),
                    provider: Arc::new(parts::provider(&self.config, &dialect)?),
                    scheduler,
                    ledger: JournalLedger::new(journal, clock),
                    commits,
                    feed: rows,
                    interrupts,
                    reporter: report,
                    clock,
                    run: self.name.as_str().into(),
                    price: Box::new(move |job, usage| prices.cost_on(Terms::of(&job.params), &job.model, usage)),
                    grace: self.config.grace,
                    keep_pending: self.paths.results.is_none(),
                })
                .await,
            )
        })?;
        report.finish();
        runtime.shutdown_background();
        self.finish(finish, ledger, &report, &catalog, &recovered, looked)
    }

    #[cfg(feature = "sim")]
    fn simulator(&self, catalog: &Catalog, clock: RunClock) -> Result<Option<super::simulator::Simulator>> {
        if !self.config.simulate {
            return Ok(None);
        }
        let faults = self.config.simulate_faults.as_ref();
        let config = super::simulator::config(catalog, self.config.tier, faults)?;
        super::simulator::Simulator::start(config, clock).map(Some)
    }

    #[cfg(not(feature = "sim"))]
    fn simulator(&self, _catalog: &Catalog, _clock: RunClock) -> Result<Option<NoSimulator>> {
        match self.config.simulate {
            true => bail!("--simulate: this program was built without the simulator (feature sim)"),
            false => Ok(None),
        }
    }

    fn start_reader(
        &self,
        catalog: &Arc<Catalog>,
        dialect: &Dialect,
        earlier: Earlier,
        looked: Option<&Survey>,
    ) -> Result<mpsc::Receiver<Fed>> {
        let (rows_in, rows) = mpsc::channel(FEED);
        let mut planner = self.planner(catalog, dialect);
        if let Some(survey) = looked {
            planner = planner.with_repeats(Repeats::clone(&survey.repeats));
        }
        let plan = self.plan.clone();
        let reader = move || feed(&plan, &mut planner, &earlier, &rows_in);
        std::thread::Builder::new().name("reader".to_owned()).spawn(reader)?;
        Ok(rows)
    }

    /// Closes the journal, says what came of the run, and returns how it ends.
    fn finish(
        &self,
        mut finish: Finish,
        mut ledger: JournalLedger,
        report: &Report,
        catalog: &Catalog,
        recovered: &Recovered,
        looked: Option<Survey>,
    ) -> Result<Exit> {
        let kept = std::mem::take(&mut finish.kept);
        if !kept.is_empty() {
            ledger.write_canceled(kept);
        }
        let is_whole = finish.halted.is_none() && finish.input_error.is_none() && self.start != Start::Resume;
        let is_all = self.config.source.skip == 0 && self.config.source.limit.is_none();
        let input = if is_whole && is_all { InputRead::Whole } else { InputRead::Part };
        let closed = ledger.close(input, finish.aborted > 0);
        let failed_in_log: u64 = match &closed {
            Ok(closed) => closed.failed.values().sum(),
            Err(_) => report.stats().failed_total(),
        };
        let is_disk_full = closed.as_ref().err().map(ToString::to_string);
        if let Some(message) = &is_disk_full {
            finish.halted.get_or_insert(HaltReason::Disk(message.clone()));
        }
        let context = self.summary_context(&finish, failed_in_log, catalog, recovered, looked.as_ref());
        let columns = report::progress::terminal_width().unwrap_or(80);
        self.say(report::summary(report.stats(), &context, columns).trim_end());
        if let Some(reason) = &finish.halted {
            eprintln!("{}", explain(reason));
        }
        if let Some(message) = &finish.input_error {
            eprintln!("claude-batch: {}", escape(message));
        }
        Ok(match (&finish.halted, &finish.input_error) {
            (None, Some(_)) => Exit::Usage,
            (halted, _) => Exit::of_run(halted.as_ref(), failed_in_log),
        })
    }

    fn summary_context(
        &self,
        finish: &Finish,
        failed_in_log: u64,
        catalog: &Catalog,
        recovered: &Recovered,
        looked: Option<&Survey>,
    ) -> SummaryContext {
        let shown = |path: &Path| path.display().to_string();
        let errors = (failed_in_log > 0).then(|| shown(&self.paths.errors));
        let is_unpriced = |model: &&Arc<str>| catalog.worst_cost(model, 1, 1).is_none();
        let models = looked.map(|survey| survey.models.keys().filter(is_unpriced).map(ToString::to_string).collect());
        let is_resumable = self.paths.results.is_some();
        SummaryContext {
            results: self.paths.results.as_deref().map(shown),
            resume_command: errors.as_ref().filter(|_| is_resumable).map(|log| format!("claude-batch resume {log}")),
            rerun_command: (finish.pending > 0 || finish.halted.is_some()).then(|| self.rerun.clone()),
            errors,
            price_date: Some(catalog.price_date().to_owned()),
            unpriced_models: models.unwrap_or_default(),
            maybe_paid_before: recovered.dead_in_flight,
            maybe_paid_at_end: finish.aborted,
            failed_before: looked.map_or(0, |survey| survey.failed_before),
            is_simulated: self.config.simulate,
        }
    }
}

#[cfg(not(feature = "sim"))]
struct NoSimulator;

#[cfg(not(feature = "sim"))]
impl NoSimulator {
    fn url(&self) -> &str {
        ""
    }
}

/// Returns what rows may cost: about, and at most; `None` when a model has no price.
fn estimate(models: &BTreeMap<Arc<str>, ModelSum>, catalog: &Catalog) -> Option<(Money, Money)> {
    let mut about = Money::ZERO;
    let mut most = Money::ZERO;
    for (model, sum) in models {
        let expected = (sum.rows * EXPECTED_OUTPUT).min(sum.max_output_tokens);
        about += catalog.worst_cost(model, 0, expected)?;
        most += catalog.worst_cost(model, 0, sum.max_output_tokens)?;
        let usage = crate::domain::Usage { input_tokens: sum.input_tokens / sum.rows.max(1), ..Default::default() };
        let input = catalog.cost(model, &usage)?.times(sum.rows);
        about += input;
        most += input;
    }
    Some((about, most))
}

fn cost_words(models: &BTreeMap<Arc<str>, ModelSum>, catalog: &Catalog) -> String {
    match estimate(models, catalog) {
        Some((about, most)) => format!("about {about}, at most {most} (prices of {})", catalog.price_date()),
        None => "cost unknown: a model has no price (--prices gives one)".to_owned(),
    }
}

fn differences(theirs: &crate::journal::RequestShape, ours: &crate::journal::RequestShape) -> String {
    let names = [
        ("--model", theirs.model != ours.model),
        ("--max-tokens", theirs.max_tokens != ours.max_tokens),
        ("--system", theirs.system_sha256 != ours.system_sha256),
        ("--param", theirs.params != ours.params),
        ("--api-version", theirs.api_version != ours.api_version),
        ("--beta", theirs.betas != ours.betas),
    ];
    names.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}
