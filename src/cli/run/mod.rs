//! The commands `run` and `resume`, from settings to the exit code.
//!
//! [`NewRun::go`] shows the steps of a run from top to bottom. Each step is a function in a file of this folder. The
//! order of the steps matters. First, everything that can be wrong with the command line is checked, and then the input
//! is read. The program creates files and fetches the key only after these two steps. Only the loop ([`crate::runner`])
//! sends rows.

mod adopt;
mod announce;
mod answers;
mod caps;
mod chain;
mod check;
mod collect;
pub(super) mod connection;
mod early;
mod failures;
mod files;
mod finish;
mod lane;
mod left;
mod log;
mod look;
mod new_run;
mod nothing;
mod notices;
mod output;
mod part;
mod planning;
mod providers;
mod refuse;
mod rerun;
mod resume;
mod reuse;
mod send;
mod steer;
mod summary;
mod terminal;
mod voice;
mod watchdog;

use std::path::Path;

use anyhow::Result;

use super::args::{PlanArgs, ResumeArgs, RunArgs};
use super::config::Config;
use super::config::recorded::recorded_settings;
use super::config::world::World;
use super::exit::Exit;
use super::parts;
use super::plan::Asked;
use super::projection::Projection;
use super::purse::Purse;
use super::reuse::with_inputs;
use crate::domain::RunForecast;
use crate::journal::{ErrorLog, RealDisk, RunPaths, Start};
use crate::report::text::escape;
use crate::runner::input::{InputPlan, Survey, is_seekable};

pub(crate) use adopt::adopt;
pub(crate) use collect::collect;
use files::{Files, Opened};
use new_run::NewRun;
use output::recorded_output;
use resume::{check_logs, disk, is_log_gone, read_log};
use send::Ready;

/// Answers every prompt of the inputs, or resumes an earlier run that has the same results file.
pub(crate) fn run(args: &RunArgs, world: &World) -> Result<Exit> {
    let args = &with_inputs(args);
    let config = Config::of_run(args, world)?;
    let name = parts::run_id();
    let plan = parts::input_plan(&config)?;
    let projection = Projection::of_run(&config, parts::default_results(&config), is_seekable(&plan))?;
    let paths = parts::paths(&config, projection.as_ref(), &name)?;
    let (config, plan) = with_earlier_rows(config, plan, args, &paths, world)?;
    let start = if config.fresh { Start::Fresh } else { Start::Continue };
    let again = (args.clone(), world.clone());
    let reread = Box::new(move || Config::of_run(&again.0, &again.1));
    let new = NewRun::new(config, reread, world, name, paths, plan, start);
    NewRun { projection, ..new }.go()
}

/// Shows what a run would cost and how long it would take, and sends nothing that costs money.
pub(crate) fn plan(args: &PlanArgs, world: &World) -> Result<Exit> {
    let (args, asked) = Asked::of(args);
    let args = with_inputs(&args);
    let config = Config { dry_run: true, ..Config::of_plan(&args, world)? };
    let name = parts::run_id();
    let plan = InputPlan { requests: asked.count_tokens, ..parts::input_plan(&config)? };
    let projection = Projection::of_run(&config, parts::default_results(&config), is_seekable(&plan))?;
    let paths = parts::paths(&config, projection.as_ref(), &name)?;
    let (config, plan) = with_earlier_rows(config, plan, &args, &paths, world)?;
    let start = if config.fresh { Start::Fresh } else { Start::Continue };
    let reread = Box::new(|| anyhow::bail!("a plan does not read its settings again"));
    let new = NewRun::new(config, reread, world, name, paths, plan, start);
    NewRun { projection, planning: Some(asked), ..new }.go()
}

/// For a run with `--rerun`, changes `config` and `plan` so that the run recognizes the rows of the earlier run. For
/// other runs, returns the settings and the plan unchanged.
fn with_earlier_rows(
    config: Config,
    plan: InputPlan,
    args: &RunArgs,
    paths: &RunPaths,
    world: &World,
) -> Result<(Config, InputPlan)> {
    if config.rerun.is_empty() {
        return Ok((config, plan));
    }
    let of_rerun = Config { dry_run: config.dry_run, ..rerun::config(&config, args, paths, world)? };
    let plan = InputPlan { requests: plan.requests, ..parts::input_plan(&of_rerun)? };
    Ok((of_rerun, plan))
}

/// Runs the failed rows of each error log again, one log after the other.
pub(crate) fn resume(args: &ResumeArgs, world: &World) -> Result<Exit> {
    check_logs(args, world)?;
    let mut exit = Exit::Done;
    for log in &args.errors {
        let one = resume_one(args, log, world)?;
        match one {
            Exit::Done => {}
            Exit::SomeFailed if exit == Exit::Left => {}
            // Nothing has stopped the run, so the program continues with the next error log.
            Exit::SomeFailed | Exit::Left => exit = one,
            Exit::Internal
            | Exit::Usage
            | Exit::Stopped
            | Exit::Account
            | Exit::Endpoint
            | Exit::Output
            | Exit::Killed
            | Exit::InProgress
            | Exit::Interrupted(_) => return Ok(one),
        }
    }
    Ok(exit)
}

fn resume_one(args: &ResumeArgs, log: &Path, world: &World) -> Result<Exit> {
    let disk = disk(args, world)?;
    let shown = escape(&log.display().to_string()).into_owned();
    if is_log_gone(args, log, &disk) {
        let why = format!("there is no {shown}; a run without failures removes its error log");
        let known = ErrorLog { results: args.output.clone(), ..ErrorLog::default() };
        return resumed(args, log, known, &disk, world)?.end_without_failures(&why);
    }
    let known = read_log(args, log, &disk)?;
    let is_empty = known.rows.is_empty() && known.broken == 0;
    let new = resumed(args, log, known, &disk, world)?;
    if is_empty { new.end_without_failures(&format!("no rows in {shown}")) } else { new.go() }
}

/// Returns the run that sends the rows of an error log again.
fn resumed<'a>(
    args: &ResumeArgs,
    log: &Path,
    known: ErrorLog,
    disk: &RealDisk,
    world: &'a World,
) -> Result<NewRun<'a>> {
    let paths = RunPaths::given(known.results, log.to_owned());
    let settings = match paths.folder() {
        Some(folder) => recorded_settings(&folder, disk)?,
        None => Default::default(),
    };
    let config = Config::of_resume(args, settings.clone(), world)?;
    let again = (args.clone(), world.clone());
    let reread = Box::new(move || Config::of_resume(&again.0, settings.clone(), &again.1));
    let name = parts::run_id();
    let plan = InputPlan { inputs: Vec::new(), ..parts::input_plan(&config)? };
    let projection = recorded_output(paths.results.as_deref(), disk)?;
    let new = NewRun::new(config, reread, world, name, paths, plan, Start::Resume);
    Ok(NewRun { projection, only: args.only.clone(), unreadable: known.broken, ..new })
}

impl NewRun<'_> {
    /// Does the whole run, from the check of the settings to the exit code.
    fn go(mut self) -> Result<Exit> {
        self.hear_signals()?;
        self.ask_about_terminal()?;
        self.say_settings();
        self.note_cache();
        self.watch_templates()?;
        let catalog = self.check_settings()?;
        self.check_output()?;
        self.check_log()?;
        self.keep_pipe()?;
        self.read_stored()?;

        let first = self.first_look(&catalog)?;
        if has_no_rows(first.as_ref()) && self.planning.is_none() {
            return self.end_without_rows();
        }
        let early_key = if self.is_resuming { None } else { self.keys()? };
        let asked = self.ask_before_files(first.as_ref(), &catalog)?;

        self.look_at_batches()?;
        let Files { mut opened, mut recovered, commits, clock } = self.open_files(&catalog)?;
        let batches = self.open_batches()?;
        let earlier = self.note_submitted(batches.as_ref(), &mut recovered, &catalog)?;
        let survey = self.second_look(first, &catalog, &earlier)?;
        if has_no_rows(survey.as_ref()) && self.start != Start::Resume && self.planning.is_none() {
            return self.end_without_rows();
        }
        let has_open = batches.as_ref().is_some_and(|batches| batches.open_batches() > 0);
        self.find_part(&recovered, survey.as_ref(), batches.as_ref())?;
        self.accept_survey(survey.as_ref(), &catalog, &recovered, has_open)?;
        if let Opened::Run(journal) = &mut opened {
            journal.accept()?;
        }
        let purse = Purse::of(&recovered, batches.as_ref(), self.config.simulate);
        if self.planning.is_some() {
            return self.end_plan(survey.as_ref(), &catalog, purse);
        }
        if let Some(survey) = survey.as_ref().filter(|survey| has_nothing_to_do(survey) && !has_open) {
            return self.end_with_nothing_to_send(survey, opened, &recovered, &catalog);
        }
        let was_asked = asked.is_some();
        let forecast = asked.or_else(|| Some(self.forecast(survey.as_ref()?, &catalog, Some(&recovered))));
        let Opened::Run(journal) = opened else {
            return self.end_dry_run(survey.as_ref(), forecast.as_ref(), &catalog, purse);
        };

        let key = if self.is_resuming { self.keys()? } else { early_key };
        self.note_other_providers(&recovered);
        if !was_asked {
            self.announce(survey.as_ref(), forecast.as_ref(), &catalog, purse);
            self.ask(forecast.as_ref())?;
        }
        self.check_interrupted()?;
        let lane = self.lane(batches, &recovered, &catalog, survey.as_ref(), clock);
        let known = (catalog, recovered, survey);
        let forecast = forecast.map(|forecast| RunForecast { leaves_out_batches: has_open, ..forecast.of_run() });
        let ended =
            self.send_rows(Ready { key, clock, journal: *journal, commits, earlier, forecast, lane }, &known)?;
        self.finish(ended, &known)
    }
}

/// Returns whether the run has nothing to do. A run has something to do if rows must be sent, answered without a
/// request, or reported as faulty.
fn has_nothing_to_do(survey: &Survey) -> bool {
    survey.to_send + survey.reused + survey.copied + survey.unusable == 0
}

/// Returns whether the whole input was read and contains no row.
fn has_no_rows(survey: Option<&Survey>) -> bool {
    survey.is_some_and(|survey| survey.rows == 0)
}
