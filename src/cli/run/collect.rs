//! The command `batches collect` writes the results of batches that have ended. The command is a run without rows of
//! its own, and sends no requests with prompts.
//!
//! The batches are already paid for, so limits that the user set do not stop the command. A row that must be sent again
//! is left for the next run of the input.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};

use super::files::{Files, Opened as OpenedFiles};
use super::new_run::NewRun;
use super::output::recorded_output;
use super::send::Ready;
use crate::batches::{Fate, Opened};
use crate::cli::args::values::HaltRule;
use crate::cli::args::{CollectArgs, Settings};
use crate::cli::batches::{RunWithBatches, Seen, State, seen, without_fallback};
use crate::cli::config::Config;
use crate::cli::config::providers::FallbackConfig;
use crate::cli::config::world::World;
use crate::cli::exit::Exit;
use crate::cli::{parts, say};
use crate::domain::LaneChoice;
use crate::journal::{RealDisk, RunPaths, Start, read_manifest, with_suffix};
use crate::report::text::{escape, plural};
use crate::runner::LaneParts;
use crate::runner::input::{InputPlan, Survey};

/// Collects the batches of a run.
pub(crate) fn collect(args: &CollectArgs, world: &World) -> Result<Exit> {
    let found = RunWithBatches::find(&args.run, args.settings(), world)?;
    let results = escape(&found.results.display().to_string()).into_owned();
    if !found.chapters.iter().any(|chapter| chapter.fate == Fate::Open) {
        say_unless_quiet(
            args,
            &format!("nothing to do: the batches of this run are collected; the answers are in {results}"),
        );
        return Ok(Exit::Done);
    }
    if let Some(why) = found.is_elsewhere()? {
        bail!("the batches of {results} can't be collected: {why}");
    }
    // The API is asked before a file is opened, to find out early whether the API rejects the key or can't be reached.
    let Seen { batches, unknown, exit, .. } = seen(&found, world)?;
    if let Some(why) = unknown {
        let exit = if exit == Exit::Done { Exit::Usage } else { exit };
        say::err(&format!("claude-batch: nothing was collected: {why}"));
        return Ok(exit);
    }
    let is_open = |state| matches!(state, State::InProgress | State::Canceling);
    let open: Vec<_> = batches.iter().filter(|batch| batch.is_open()).collect();
    if !args.wait && open.iter().all(|batch| is_open(batch.state)) {
        let rows = open.iter().map(|batch| batch.rows).sum();
        say_unless_quiet(args, &format!("nothing was collected: {}", open_words(open.len() as u64, rows)));
        return Ok(Exit::Stopped);
    }
    let RunWithBatches { results, errors, recorded, .. } = found;
    let paths = RunPaths::given(Some(results), args.errors.clone().unwrap_or(errors));
    let config = config(args, &recorded, world)?;
    let projection = recorded_output(paths.results.as_deref(), &RealDisk::new(config.owners))?;
    let again = (args.clone(), world.clone());
    let reread = Box::new(move || self::config(&again.0, &recorded, &again.1));
    let plan = InputPlan { inputs: Vec::new(), ..parts::input_plan(&config)? };
    let new = NewRun::new(config, reread, world, parts::run_id(), paths, plan, Start::Resume);
    NewRun { projection, is_collecting: true, ..new }.collect()
}

/// Returns the settings of the command `collect`.
fn config(args: &CollectArgs, recorded: &Settings, world: &World) -> Result<Config> {
    let config = Config::of_recorded(without_fallback(args.settings()), recorded.clone(), world)?;
    Ok(Config { detach: !args.wait, ..without_limits(config) })
}

/// Returns the settings for a run that sends nothing. Limits of the user that could stop the run are left out. The
/// settings contain no fallback providers, so no keys for fallback providers are needed.
pub(super) fn without_limits(config: Config) -> Config {
    Config {
        deadline: None,
        halt: HaltRule::Never,
        max_cost: None,
        max_requests: None,
        max_time: None,
        dedupe: false,
        reuse: Vec::new(),
        rerun: Vec::new(),
        dry_run: false,
        fresh: false,
        fallback: FallbackConfig::default(),
        ..config
    }
}

fn say_unless_quiet(args: &CollectArgs, text: &str) {
    if args.settings().display.quiet != Some(true) {
        say::err(text);
    }
}

fn open_words(batches: u64, rows: u64) -> String {
    format!(
        "{} with {} not ended; --wait waits for them",
        plural(batches, "batch", "batches"),
        if rows == 1 { "1 row has".to_owned() } else { format!("{} have", plural(rows, "row", "rows")) }
    )
}

impl NewRun<'_> {
    /// Collects the batches: does everything from the check of the settings to the exit code.
    fn collect(mut self) -> Result<Exit> {
        self.hear_signals()?;
        let catalog = self.check_settings()?;
        self.check_output()?;
        let Files { opened, mut recovered, commits, clock } = self.open_files(&catalog)?;
        let OpenedFiles::Run(journal) = opened else { bail!("a run that collects is not a dry run") };
        let Some(results) = self.paths.results.clone() else { bail!("a run with batches has a results file") };
        let batches = Opened::new(Arc::new(RealDisk::new(self.config.owners)), &results)?;
        let rows = batches.rows_without_line(&recovered.done)?;
        let key = self.keys()?;
        self.check_interrupted()?;
        self.say(&format!(
            "{}: collecting {} with {}",
            self.connection.words(&self.origin),
            plural(batches.open_batches(), "batch", "batches"),
            plural(rows, "row", "rows")
        ));
        let earlier = self.note_submitted(Some(&batches), &mut recovered, &catalog)?;
        let survey = Survey { rows, submitted: rows, ..Survey::default() };
        self.find_part(&recovered, Some(&survey), Some(&batches))?;
        let lane = self.lane(Some(batches), &recovered, &catalog, None, clock);
        let lane = lane.map(|lane| LaneParts { leaves_rows: true, ..lane });
        let known = (catalog, recovered, Some(survey));
        let ended =
            self.send_rows(Ready { key, clock, journal: *journal, commits, earlier, forecast: None, lane }, &known)?;
        let (halted, left) = (ended.0.halted.is_some(), ended.0.pending);
        let exit = self.finish(ended, &known)?;
        if halted {
            return Ok(exit);
        }
        if left > 0 {
            self.say_left(left, &results)?;
        }
        Ok(if exit == Exit::Done && left > 0 { Exit::SomeFailed } else { exit })
    }

    /// Prints how many rows the next run has to send again, and the command that starts the next run.
    fn say_left(&self, left: u64, results: &Path) -> Result<()> {
        let manifest = read_manifest(&with_suffix(results, ".run"), &RealDisk::new(self.config.owners))?;
        let inputs = manifest.iter().flat_map(|manifest| &manifest.inputs);
        let inputs: Vec<_> = inputs.map(|input| input.path.clone()).collect();
        let lane = if self.config.lane == LaneChoice::Online { LaneChoice::Batch } else { self.config.lane };
        self.say_whole(&format!(
            "{} must be sent again; run the inputs again with the flags of the first run ({})",
            plural(left, "row", "rows"),
            self.commands.run_again(&inputs, results, lane.name())
        ));
        Ok(())
    }
}
