//! `run` and `resume`: from settings to a finished run.
//!
//! The order matters: everything that can be wrong with what was typed is found first, then the input is looked at, and
//! only then is a file made or a key asked for. Nothing here sends a request; that is the loop's.

mod announce;
mod early;
mod launch;
mod opened;
mod refuse;
mod resume;
mod steer;
mod watchdog;
mod way;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
#[cfg(not(feature = "sim"))]
use anyhow::bail;
use tokio::sync::mpsc;

use super::args::{ResumeArgs, RunArgs};
use super::commands::Commands;
use super::config::Config;
use super::config::recorded::recorded_settings;
use super::config::world::World;
use super::exit::Exit;
use super::parts;
use super::say;
use crate::catalog::Catalog;
use crate::clock::RunClock;
use crate::domain::ErrorClass;
use crate::journal::{InputRead, Recovered, RunPaths, Start};
use crate::plan::{Dialect, Planner};
use crate::report::progress::terminal_width;
use crate::report::text::{count, escape, plural, wrap};
use crate::report::{self, ProgressKind, Stats, Verbosity, failures};
use crate::runner::input::{Earlier, InputPlan, Survey, is_seekable, survey};
use crate::runner::{Early, Progress};
use crate::source::{self, Input};
use crate::transport::http::{Credential, check_authorities};

use launch::Ready;
use opened::Opened;
use resume::{check_logs, disk, read_log};
use way::Way;

/// Answers every prompt of the inputs, or goes on where an earlier run stopped.
pub fn run(args: &RunArgs, world: &World) -> Result<Exit> {
    let config = Config::of_run(args, world)?;
    let name = parts::run_id();
    let paths = parts::paths(&config, &name)?;
    let start = if config.fresh { Start::Fresh } else { Start::Continue };
    let plan = parts::input_plan(&config)?;
    let again = (args.clone(), world.clone());
    let reread = Box::new(move || Config::of_run(&again.0, &again.1));
    NewRun { start, ..NewRun::new(config, reread, world, name, paths, plan) }.go()
}

/// Runs failed rows again.
pub fn resume(args: &ResumeArgs, world: &World) -> Result<Exit> {
    check_logs(args, world)?;
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
    let disk = disk(args, world)?;
    let known = read_log(args, log, &disk)?;
    if known.rows.is_empty() && known.broken == 0 {
        if args.settings().display.quiet != Some(true) {
            say::err(&format!("nothing to do: no rows in {}", escape(&log.display().to_string())));
        }
        return Ok(Exit::Done);
    }
    let paths = RunPaths::given(known.results, log.to_owned());
    let settings = match paths.folder() {
        Some(folder) => recorded_settings(&folder, &disk)?,
        None => Default::default(),
    };
    let config = Config::of_resume(args, settings.clone(), world)?;
    let again = (args.clone(), world.clone());
    let reread = Box::new(move || Config::of_resume(&again.0, settings.clone(), &again.1));
    let name = parts::run_id();
    let plan = InputPlan { inputs: Vec::new(), ..parts::input_plan(&config)? };
    let new = NewRun::new(config, reread, world, name, paths, plan);
    NewRun { start: Start::Resume, only: args.only.clone(), broken: known.broken, ..new }.go()
}

/// A run that is about to begin.
struct NewRun<'a> {
    config: Config,
    /// Makes the settings again from what was typed, the environment as it was, and files as they are.
    reread: Box<dyn Fn() -> Result<Config> + Send>,
    world: &'a World,
    name: String,
    paths: RunPaths,
    start: Start,
    plan: InputPlan,
    /// Classes that `resume` takes; empty for all.
    only: Vec<ErrorClass>,
    /// Entries of that log that are no rows.
    broken: u64,
    /// The commands that are printed.
    commands: Commands,
    /// The copy of a log that has no run folder to keep it in.
    copy: Option<tempfile::TempPath>,
    /// How requests get to the server.
    way: Way,
    /// Hears signals until the run begins.
    early: Option<Early>,
    /// How far the first look is, and whether somebody asked for the end.
    progress: Arc<Progress>,
}

impl<'a> NewRun<'a> {
    fn new(
        config: Config,
        reread: Box<dyn Fn() -> Result<Config> + Send>,
        world: &'a World,
        name: String,
        paths: RunPaths,
        plan: InputPlan,
    ) -> Self {
        let commands = Commands::of_process(config.fresh);
        Self {
            config,
            reread,
            world,
            name,
            paths,
            start: Start::Continue,
            plan,
            only: Vec::new(),
            broken: 0,
            commands,
            copy: None,
            way: Way::default(),
            early: None,
            progress: Arc::default(),
        }
    }
}

impl NewRun<'_> {
    fn go(mut self) -> Result<Exit> {
        self.hear_signals()?;
        self.config.warnings.iter().for_each(|text| self.say(&format!("warning: {}", escape(text))));
        self.config.notes.iter().for_each(|text| self.say(&format!("note: {}", escape(text))));
        if let Some(template) = &self.plan.options.template {
            watchdog::watch(template.clone(), self.input_names())?;
        }
        let catalog = parts::catalog(&self.config)?;
        let dialect = self.config.dialect.clone();
        parts::provider(&self.config, &dialect)?;
        self.check_faults(&catalog)?;
        let origin = self.origin()?;
        self.way = Way::find(&self.config, self.world)?;
        self.way.warnings.iter().for_each(|text| self.say(&format!("warning: {}", escape(text))));
        self.check_parts()?;
        let goes_on = self.goes_on();
        let first = if goes_on { None } else { self.first_look(&catalog, &dialect)? };
        if let Some(first) = &first {
            self.refuse(first)?;
            if first.rows == 0 {
                return self.no_rows();
            }
        }
        let early_key = if goes_on { None } else { self.key()? };
        let is_asked = self.ask_first(&origin, first.as_ref(), &catalog)?;
        let clock = RunClock::start();
        let (commits_in, commits) = mpsc::unbounded_channel();
        let (opened, recovered) = self.open(&catalog, &dialect, &origin, clock, commits_in)?;
        recovered.notes.iter().for_each(|note| self.say(&format!("note: {}", escape(note))));
        if self.start == Start::Resume {
            self.plan.inputs = vec![Input::File(self.resume_input(&opened)?)];
        }
        let earlier = self.earlier(&recovered);
        let looked = match first {
            // The first look stands where earlier runs left nothing to know.
            Some(first) if recovered.done.is_empty() && recovered.failed.is_empty() => Some(first),
            None if !goes_on => None,
            _ => Some(self.look(&catalog, &dialect, &earlier)?),
        };
        if let Some(survey) = &looked {
            self.refuse(survey)?;
            if survey.rows == 0 && self.start != Start::Resume {
                return self.no_rows();
            }
            self.refuse_changed(survey, &recovered, &dialect)?;
            survey.warnings.iter().for_each(|text| self.say(&format!("warning: {}", escape(text))));
        }
        if let Some(survey) = looked.as_ref().filter(|survey| survey.to_send == 0 && survey.unusable == 0) {
            return self.nothing_left(survey, opened, &recovered);
        }
        let Opened::Run(journal) = opened else {
            self.announce(&origin, looked.as_ref(), &catalog);
            self.say("dry run: nothing was sent");
            return Ok(Exit::Done);
        };
        let key = if goes_on { self.key()? } else { early_key };
        if !is_asked {
            self.announce(&origin, looked.as_ref(), &catalog);
            self.ask(looked.as_ref())?;
        }
        self.check_interrupted()?;
        self.start_run(Ready { catalog, dialect, key, clock, journal: *journal, recovered, commits, earlier, looked })
    }

    /// Returns whether there is a run to go on with. Its input is looked at once, when it is known what is done: over
    /// ten million rows each look takes a while. It may leave nothing to send, so the key is asked for after it.
    fn goes_on(&self) -> bool {
        let has_results =
            || self.paths.results.as_ref().is_some_and(|path| path.metadata().is_ok_and(|file| file.len() > 0));
        match self.start {
            Start::Resume => true,
            Start::Continue => has_results() && is_seekable(&self.plan),
            Start::Fresh => false,
        }
    }

    fn no_rows(&self) -> Result<Exit> {
        self.say(&format!("nothing to do: no rows in {}", self.input_names()));
        Ok(Exit::Done)
    }

    /// Returns the key, of which a rehearsal and a dry run need none.
    fn key(&self) -> Result<Option<Credential>> {
        if self.config.simulate || self.config.dry_run {
            return Ok(None);
        }
        let (credential, warnings) = parts::key(&self.config, self.world)?;
        warnings.iter().for_each(|text| self.say_whole(&format!("warning: {}", escape(text))));
        Ok(Some(credential))
    }

    /// Says something to the person, unless quiet was asked for.
    fn say(&self, text: &str) {
        if self.config.verbosity != Verbosity::Quiet {
            self.tell(text);
        }
    }

    /// Says something with a command in it, as [`Batch::tell_whole`] does.
    fn say_whole(&self, text: &str) {
        if self.config.verbosity != Verbosity::Quiet {
            self.tell_whole(text);
        }
    }

    /// Says something that must be said.
    fn tell(&self, text: &str) {
        match terminal_width().filter(|_| self.config.is_terminal && self.config.progress != ProgressKind::Json) {
            // A summary has its own line breaks, made for the same width.
            Some(columns) if !text.contains('\n') => self.tell_whole(&wrap(text, columns).join("\n")),
            _ => self.tell_whole(text),
        }
    }

    /// Says something without line breaks of its own: one within a command would change what is pasted. Where JSON was
    /// asked for, that is what it is.
    fn tell_whole(&self, text: &str) {
        self.voice()(text);
    }

    /// Returns what says something to the person, for other threads too.
    fn voice(&self) -> impl Fn(&str) + Send + 'static {
        let (kind, name) = (self.config.progress, self.name.clone());
        move |text| match kind {
            ProgressKind::Json => say::err(&report::json::note(&name, text, jiff::Timestamp::now())),
            _ => say::err(text),
        }
    }

    /// Returns the command that runs failed rows again which may succeed as they are; `None` when there are none. `log` has
    /// the rows of the error log by class.
    fn resume_command(&self, log: &BTreeMap<ErrorClass, u64>, stats: &Stats) -> Option<String> {
        let classes = failures::worth_retrying(log, stats);
        let is_all = log.iter().filter(|(_, rows)| **rows > 0).count() == classes.len();
        let only = classes.iter().map(|class| class.name()).collect::<Vec<_>>().join(",");
        let only = (!is_all).then_some(only.as_str());
        (!classes.is_empty()).then(|| self.commands.resume(&self.paths, only))
    }

    /// Says in one line that rows failed, where quiet was asked for: it ends with an exit code that tells of a fault.
    fn say_failures_if_quiet(&self, log: &BTreeMap<ErrorClass, u64>, stats: &Stats) {
        let errors = self.paths.errors.display().to_string();
        if let Some(said) =
            failures::in_one_line(log, stats, &errors).filter(|_| self.config.verbosity == Verbosity::Quiet)
        {
            self.tell_whole(&format!("claude-batch: {said}"));
        }
    }

    fn origin(&self) -> Result<String> {
        if self.config.simulate {
            return Ok("simulator".to_owned());
        }
        Ok(parts::base_url(&self.config)?.origin().to_owned())
    }

    /// Ends a run that has nothing to send: says what there is instead.
    fn nothing_left(&self, survey: &Survey, opened: Opened, recovered: &Recovered) -> Result<Exit> {
        let log = match opened {
            Opened::Run(journal) => journal.close(self.input_read(true), false)?.failed,
            Opened::DryRun(looked) => looked.failed(),
        };
        let failed: u64 = log.values().sum();
        let errors = escape(&self.paths.errors.display().to_string()).into_owned();
        let results = self.paths.results.as_deref().map(|path| escape(&path.display().to_string()).into_owned());
        let mut said = match (self.start, failed) {
            (Start::Resume, 0) => format!("nothing to do: no rows in {errors}"),
            (Start::Resume, _) => format!("nothing to do: no row in {errors} to be run again"),
            (_, 0) if survey.done > 0 => {
                format!("nothing to do: all {} are answered", plural(survey.done, "row", "rows"))
            }
            _ => format!("nothing to do: {} answered, {} failed", count(survey.done), count(failed)),
        };
        if let Some(results) = results {
            said.push_str(&format!("; the answers are in {results}"));
        }
        self.say(&said);
        if recovered.dead_in_flight > 0 {
            let answers = plural(recovered.dead_in_flight, "answer", "answers");
            self.say(&format!("{answers} may have been paid besides by an earlier run that was cut short"));
        }
        match self.start {
            Start::Resume if self.broken > 0 => self.say(&format!(
                "{} in {errors} could not be read and can't be run again: mend the input and run that",
                plural(self.broken, "row", "rows")
            )),
            Start::Continue | Start::Fresh if failed > 0 => self.say_what_to_do(&log, &errors),
            _ => {}
        }
        self.say_failures_if_quiet(&log, &Stats::default());
        Ok(Exit::of_run(None, failed))
    }

    /// Says what to do with the rows of an error log that nothing was sent of.
    fn say_what_to_do(&self, log: &BTreeMap<ErrorClass, u64>, errors: &str) {
        let none = Stats::default();
        match self.resume_command(log, &none) {
            Some(again) => self.say_whole(&format!("the failures are in {errors}; to try them again: {again}")),
            None => self.say(&format!("the failures are in {errors}")),
        }
        failures::to_change(log, &none).iter().for_each(|text| self.say(text));
    }

    /// Returns how much of its input a run has read that read `is_whole`.
    fn input_read(&self, is_whole: bool) -> InputRead {
        let is_all = self.config.source.skip == 0 && self.config.source.limit.is_none();
        if is_whole && is_all && self.start != Start::Resume { InputRead::Whole } else { InputRead::Part }
    }

    /// Refuses what the parts of a run would refuse, before any is made.
    fn check_parts(&self) -> Result<()> {
        parts::window(&self.config, self.files_of_call())?;
        if let Some(pem) = &self.config.ca_pem {
            check_authorities(pem)?;
        }
        Ok(())
    }

    /// Returns how many files a call in flight needs: a simulator in this process holds the other end of each connection.
    fn files_of_call(&self) -> usize {
        if self.config.simulate { 2 } else { 1 }
    }

    #[cfg(feature = "sim")]
    fn check_faults(&self, catalog: &Catalog) -> Result<()> {
        let faults = self.config.simulate_faults.as_ref();
        super::simulator::config(catalog, self.config.tier, faults).map(|_| ())
    }

    #[cfg(not(feature = "sim"))]
    fn check_faults(&self, _catalog: &Catalog) -> Result<()> {
        if self.config.simulate {
            bail!("--simulate: this program was built without the simulator (feature sim)");
        }
        Ok(())
    }

    fn input_names(&self) -> String {
        self.plan.inputs.iter().map(|input| escape(&input.name()).into_owned()).collect::<Vec<_>>().join(", ")
    }

    fn planner(&self, catalog: &Arc<Catalog>, dialect: &Dialect) -> Planner {
        parts::planner(&self.config.request, dialect, catalog)
    }

    /// Reads a seekable input once, without knowledge of earlier runs; not a log to resume, which is made first.
    fn first_look(&self, catalog: &Arc<Catalog>, dialect: &Dialect) -> Result<Option<Survey>> {
        if self.start == Start::Resume || !is_seekable(&self.plan) {
            // At least what can be opened is known to be there.
            for input in &self.plan.inputs {
                if let Input::File(path) = input {
                    source::identity(path)?;
                }
            }
            return Ok(None);
        }
        let earlier = Earlier { refuse: self.price_guard(), ..Earlier::none() };
        self.look(catalog, dialect, &earlier).map(Some)
    }

    /// Reads the whole input once.
    fn look(&self, catalog: &Arc<Catalog>, dialect: &Dialect, earlier: &Earlier) -> Result<Survey> {
        let survey = survey(&self.plan, &mut self.planner(catalog, dialect), earlier, 1, &self.progress)?;
        // One that was ended is not whole.
        self.check_interrupted().map(|()| survey)
    }
}
