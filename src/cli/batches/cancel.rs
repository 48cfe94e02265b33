//! The verb `cancel`: asks the API to cancel open batches of a run.
//!
//! The command takes the lock of the run before it asks the user, and keeps the lock until the command exits. So in the
//! meantime, nobody can start a run that would wait for the batches. Before the command asks the API to cancel a batch,
//! it records this intention in the log of batches.

use std::io;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};

use super::find::RunWithBatches;
use super::known::{KnownBatch, State};
use super::list::GIVEN_UP;
use super::seen::{Seen, seen};
use super::workspace::Workspace;
use crate::batches::{BatchLog, Fate, Record, folder_of_batches, history};
use crate::cli::args::CancelArgs;
use crate::cli::commands::Commands;
use crate::cli::config::world::World;
use crate::cli::exit::Exit;
use crate::cli::{message, say};
use crate::journal::{Held, JournalError, RealDisk, hold};
use crate::report::text::{escape, plural};

/// Cancels batches.
pub(super) fn cancel(args: &CancelArgs, world: &World) -> Result<Exit> {
    let mut found = RunWithBatches::find(&args.run, args.api.settings(), world)?;
    check_ids(&args.ids, &found)?;
    if let Some(why) = found.is_elsewhere()? {
        bail!("the batches of {} can't be canceled: {why}", found.results.display());
    }
    let disk = RealDisk::new(found.config.owners);
    let _held = locked(&disk, &found.results)?;
    // The log of batches is read again, because a run that has just ended may have collected some batches.
    found.chapters = history(&disk, &found.results)?.unwrap_or_default();
    let Seen { batches, unknown, exit, .. } = seen(&found, world)?;
    if let Some(why) = unknown {
        say::err(&format!("claude-batch: nothing was canceled: {why}"));
        return Ok(if exit == Exit::Done { Exit::Usage } else { exit });
    }
    let is_named =
        |batch: &&KnownBatch| args.ids.is_empty() || batch.id.as_ref().is_some_and(|id| args.ids.contains(id));
    let open: Vec<_> = batches.iter().filter(|batch| batch.is_open()).filter(is_named).collect();
    let is_running = |batch: &&KnownBatch| matches!(batch.state, State::InProgress | State::Missing);
    let (due, unproven): (Vec<_>, Vec<_>) =
        open.iter().copied().filter(is_running).partition(|batch| !is_unproven(batch));
    say_others(&open);
    if !unproven.is_empty() {
        say::err(&format!(
            "{} not canceled: the reply to the submission was lost, and only its results can show whether it belongs \
             to another program",
            plural(unproven.len() as u64, "batch is", "batches are")
        ));
    }
    let collect = Commands::of_process(false).batches("collect", &found.results);
    if open.is_empty() {
        say::err("nothing to cancel: the batches of this run are collected");
        return Ok(Exit::Done);
    }
    if due.is_empty() {
        say::err(&format!("nothing to cancel; to collect the batches that have ended: {collect}"));
        return Ok(Exit::Done);
    }
    ask(args, &due, world)?;
    let exit = send(&due, &found, &disk, world)?;
    say::err(&format!(
        "rows that were already processed are billed, and their answers are kept. To write these answers after the \
         batches have ended: {collect} --wait"
    ));
    Ok(exit)
}

/// Returns whether the program knows the batch only from the API's list of batches. A batch that is known only from the
/// API's list may belong to another program.
fn is_unproven(batch: &KnownBatch) -> bool {
    let submitted = batch.owner.as_ref().and_then(|owner| owner.chapter.submitted.batch.as_ref());
    submitted.is_some_and(|known| known.is_found)
}

/// Checks that each id belongs to an open batch of the run.
fn check_ids(ids: &[String], found: &RunWithBatches) -> Result<()> {
    let results = found.results.display();
    for id in ids {
        let of_run =
            found.chapters.iter().find(|chapter| chapter.submitted.batch.as_ref().is_some_and(|batch| batch.id == *id));
        match of_run.map(|chapter| chapter.fate) {
            Some(Fate::Open) => {}
            Some(Fate::Collected) => bail!("{id:?} is collected, so there is nothing to cancel"),
            Some(Fate::Lost) => {
                bail!("{id:?} is lost: the run no longer expects its results, and does not know whether it exists")
            }
            None => bail!("{id:?} is not a batch of {results}: claude-batch batches list shows the batches of the run"),
        }
    }
    Ok(())
}

/// Takes the lock of the run.
fn locked(disk: &RealDisk, results: &Path) -> Result<Held> {
    let (held, notes) = hold(disk, results).map_err(|error| match error {
        JournalError::Locked { path, holder } => {
            let process = holder.map(|process| format!(" (process {process})")).unwrap_or_default();
            anyhow!(
                "a run with {} is in progress{process} and waits for these batches; end the run with Ctrl-C (the \
                 batches stay open), then cancel them",
                path.display()
            )
        }
        error => error.into(),
    })?;
    notes.iter().for_each(|note| say::err(&format!("note: {}", escape(note))));
    Ok(held)
}

/// Prints which of the open batches are not canceled, and why.
fn say_others(open: &[&KnownBatch]) {
    let ended = open.iter().filter(|batch| matches!(batch.state, State::Ended | State::Archived)).count() as u64;
    let canceling = open.iter().filter(|batch| batch.state == State::Canceling).count() as u64;
    let unclear = open.iter().filter(|batch| batch.state == State::Unclear).count() as u64;
    if ended > 0 {
        say::err(&format!("{} ended already", plural(ended, "batch has", "batches have")));
    }
    if canceling > 0 {
        say::err(&format!("{} being canceled already", plural(canceling, "batch is", "batches are")));
    }
    if unclear > 0 {
        say::err(&format!(
            "{} unclear: its id is not known, so it can't be canceled before the next run or collect finds the batch",
            plural(unclear, "submission is", "submissions are")
        ));
    }
}

/// Asks the user whether to cancel the batches.
///
/// # Errors
/// Fails if the user says no, or if there is no terminal at which the user can answer.
fn ask(args: &CancelArgs, due: &[&KnownBatch], world: &World) -> Result<()> {
    if args.yes {
        return Ok(());
    }
    let rows = due.iter().map(|batch| batch.rows).sum();
    let what = format!("{} with {}", plural(due.len() as u64, "batch", "batches"), plural(rows, "row", "rows"));
    if !(world.stdin_is_terminal && world.stderr_is_terminal) {
        bail!("{what} would be canceled, and nobody can answer a question here; --yes cancels without asking");
    }
    say::ask(&format!("Cancel {what}? Rows that are already processed are billed, and their answers are kept. [y/N] "));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("can't read the answer")?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => bail!("nothing was canceled; add --yes to cancel without asking first"),
    }
}

/// Cancels the batches one by one. Each cancellation is first recorded in the log of batches, and then sent to the API.
/// Returns the exit code.
fn send(due: &[&KnownBatch], found: &RunWithBatches, disk: &RealDisk, world: &World) -> Result<Exit> {
    let workspace = Workspace::open(&found.config, world)?;
    let (mut log, _) = BatchLog::open(disk, &folder_of_batches(&found.results))?;
    let (mut exit, mut has_missing) = (Exit::Done, false);
    for batch in due {
        let (Some(id), Some(owner)) = (&batch.id, &batch.owner) else { continue };
        log.append(Record::Canceling { chunk: owner.chapter.submitted.chunk })?;
        match workspace.cancel(id) {
            Ok(_) => say::err(&format!("{}: being canceled", escape(id))),
            Err(stopped) => {
                say::err(&message::lines(&format!("{} was not canceled: {}", escape(id), stopped.message)));
                exit = if exit == Exit::Done { stopped.exit } else { exit };
                has_missing |= batch.state == State::Missing;
            }
        }
    }
    if has_missing {
        say::err(GIVEN_UP);
    }
    Ok(exit)
}
