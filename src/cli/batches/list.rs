//! The verb `list`: lists the batches of a run, or of the whole workspace.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use jiff::Timestamp;

use super::document::{About, document};
use super::find::{RunWithBatches, batches_below, say_settings};
use super::known::{KnownBatch, Owner, State};
use super::seen::{Seen, seen};
use super::table::{Runs, lines};
use super::workspace::Workspace;
use crate::cli::args::ListArgs;
use crate::cli::commands::Commands;
use crate::cli::config::Config;
use crate::cli::config::world::World;
use crate::cli::exit::Exit;
use crate::cli::server::Stopped;
use crate::cli::{message, say};
use crate::journal::RealDisk;
use crate::report::text::{escape, plural};

/// How many batches of a workspace are listed.
const LIMIT: u32 = 20;

/// What happens to a batch that the API does not know.
pub(super) const GIVEN_UP: &str = "to give up a missing batch: wait with run or collect --wait; \
                                   after 10 minutes, its rows are sent again, and may be billed twice";

/// Lists batches.
pub(super) fn list(args: &ListArgs, world: &World) -> Result<Exit> {
    match &args.run {
        Some(run) => of_run(args, run, world),
        None => of_workspace(args, world),
    }
}

fn of_run(args: &ListArgs, run: &Path, world: &World) -> Result<Exit> {
    let named = RunWithBatches::find(run, args.api.settings(), world)?;
    let Seen { batches, unknown, exit, origin } = seen(&named, world)?;
    let (now, unknown) = (Timestamp::now(), unknown.as_deref());
    if args.json {
        let about = About { origin: origin.as_deref(), unknown, has_more: false };
        say::out(&document(&about, &batches, now)?)?;
        return Ok(exit);
    }
    lines(&batches, Runs::Omitted, now).iter().try_for_each(|line| say::out(line))?;
    if let Some(why) = unknown {
        say::err(&format!("the state of open batches is unknown: {why}"));
    }
    hints(&batches, &named.results).iter().for_each(|hint| say::err(hint));
    Ok(exit)
}

fn of_workspace(args: &ListArgs, world: &World) -> Result<Exit> {
    let config = Config::of_settings(args.api.settings(), world)?;
    say_settings(&config);
    let most = args.limit.unwrap_or(LIMIT);
    let workspace = Workspace::open(&config, world)
        .context("only the API can list the batches of a workspace; name a RUN to see the batches that it recorded")?;
    let (listed, has_more) = match workspace.newest(most as usize) {
        Ok(found) => found,
        Err(stopped) => return Ok(say_stopped(&stopped)),
    };
    let mut owners = owners(world, &RealDisk::new(config.owners));
    let batches: Vec<_> = listed
        .into_iter()
        .map(|batch| {
            let owner = owners.remove(&batch.id);
            KnownBatch::of_workspace(batch, owner)
        })
        .collect();
    let now = Timestamp::now();
    if args.json {
        let about = About { origin: Some(workspace.origin()), unknown: None, has_more };
        say::out(&document(&about, &batches, now)?)?;
        return Ok(Exit::Done);
    }
    if batches.is_empty() {
        say::err(&format!("this workspace has no batches at {}", escape(workspace.origin())));
        return Ok(Exit::Done);
    }
    lines(&batches, Runs::Named, now).iter().try_for_each(|line| say::out(line))?;
    if has_more {
        say::err(&format!("there are older batches; --limit N shows more than {most}"));
    }
    Ok(Exit::Done)
}

/// Returns a map from the ids of batches to their runs, for all runs below the working folder.
pub(super) fn owners(world: &World, disk: &RealDisk) -> HashMap<String, Owner> {
    let found = batches_below(world, disk).into_iter();
    let with_id = |(results, chapter): (_, crate::batches::Chapter)| {
        Some((chapter.submitted.batch.as_ref()?.id.clone(), Owner { results, chapter }))
    };
    found.filter_map(with_id).collect()
}

/// Prints why an API call failed, and returns the program's exit code.
pub(super) fn say_stopped(stopped: &Stopped) -> Exit {
    say::err(&message::lines(&stopped.message));
    stopped.exit
}

/// Returns hints about what the user can do with the batches.
fn hints(batches: &[KnownBatch], results: &Path) -> Vec<String> {
    let number = |wanted: &[State]| batches.iter().filter(|batch| wanted.contains(&batch.state)).count() as u64;
    let [ended, open, unclear, missing] = [
        number(&[State::Ended]),
        number(&[State::InProgress, State::Canceling]),
        number(&[State::Unclear]),
        number(&[State::Missing]),
    ];
    let collect = Commands::of_process(false).batches("collect", results);
    let mut hints = Vec::new();
    if unclear > 0 {
        let submissions = plural(unclear, "submission is", "submissions are");
        hints.push(format!("{submissions} unclear: the reply was lost; the next run or collect looks for the batch"));
    }
    if missing > 0 {
        let batches = plural(missing, "batch is", "batches are");
        hints.push(format!(
            "{batches} not in the list of the API: perhaps it does not list them yet, the key belongs to another \
             workspace, or somebody deleted them"
        ));
        hints.push(GIVEN_UP.to_owned());
    }
    if ended > 0 {
        let batches = plural(ended, "batch has ended and is", "batches have ended and are");
        hints.push(format!("{batches} not collected: {collect}"));
    }
    if open > 0 && ended == 0 {
        hints.push(format!("to wait for the results: {collect} --wait"));
    }
    hints
}
