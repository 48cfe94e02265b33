//! The verb `show`: shows everything about one batch, or about each batch of a run.

use std::path::Path;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};

use super::document::{About, document};
use super::find::{RunWithBatches, say_settings};
use super::known::{KnownBatch, State};
use super::list::{owners, say_stopped};
use super::seen::{Seen, seen};
use super::workspace::Workspace;
use crate::batches::folder_of_batches;
use crate::cli::args::ShowArgs;
use crate::cli::commands::Commands;
use crate::cli::config::Config;
use crate::cli::config::world::World;
use crate::cli::exit::Exit;
use crate::cli::say;
use crate::journal::RealDisk;
use crate::report::progress::terminal_width;
use crate::report::text::{ListRow, count, escape, list, rough_duration};

/// How long the API keeps the results of a batch after the batch was created.
///
/// Source: API documentation, "Batch processing" (2026-09-20).
const KEPT: SignedDuration = SignedDuration::from_hours(29 * 24);

/// Shows batches.
pub(super) fn show(args: &ShowArgs, world: &World) -> Result<Exit> {
    let Seen { batches, unknown, exit, origin } = match as_id(&args.subject) {
        Some(id) => match of_id(args, id, world)? {
            Ok(seen) => seen,
            Err(exit) => return Ok(exit),
        },
        None => seen(&RunWithBatches::find(&args.subject, args.api.settings(), world)?, world)?,
    };
    let (now, unknown) = (Timestamp::now(), unknown.as_deref());
    if args.json {
        let about = About { origin: origin.as_deref(), unknown, has_more: false };
        say::out(&document(&about, &batches, now)?)?;
        return Ok(exit);
    }
    let columns = terminal_width().unwrap_or(100);
    let texts: Vec<_> = batches.iter().map(|batch| list(&rows(batch, world, now), columns)).collect();
    say::out(texts.join("\n").trim_end())?;
    if let Some(why) = unknown {
        say::err(&format!("the state of open batches is unknown: {why}"));
    }
    Ok(exit)
}

/// Returns the id of a batch if the user named a batch; `None` if the user named a run.
fn as_id(subject: &Path) -> Option<&str> {
    if subject.exists() || folder_of_batches(subject).exists() {
        return None;
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    subject.to_str().filter(|text| !text.is_empty() && text.bytes().all(is_plain))
}

/// Asks the API for a batch. If the call fails, prints the reason and returns an inner `Err` with the exit code.
fn of_id(args: &ShowArgs, id: &str, world: &World) -> Result<Result<Seen, Exit>> {
    let config = Config::of_settings(args.api.settings(), world)?;
    say_settings(&config);
    let workspace = Workspace::open(&config, world)?;
    let batch = match workspace.retrieve(id) {
        Ok(batch) => batch,
        Err(stopped) => return Ok(Err(say_stopped(&stopped))),
    };
    let owner = owners(world, &RealDisk::new(config.owners)).remove(id);
    Ok(Ok(Seen {
        batches: vec![KnownBatch::of_workspace(batch, owner)],
        unknown: None,
        exit: Exit::Done,
        origin: Some(workspace.origin().to_owned()),
    }))
}

/// Returns everything about a batch as a list.
fn rows(batch: &KnownBatch, world: &World, now: Timestamp) -> Vec<ListRow> {
    let at = |moment: Timestamp| moment_words(world, moment);
    let ago = |moment: Timestamp| format!("{}, {} ago", at(moment), since(moment, now));
    let api = batch.batch.as_ref();
    let mut rows = vec![
        ListRow::verbatim("batch", escape(&batch.name())),
        ListRow::text("state", state_words(batch)),
        ListRow::text("rows", count(batch.rows)),
    ];
    if let Some(counts) = batch.counts() {
        rows.push(ListRow::text("counts", counts));
    }
    let created = if batch.id.is_some() { "created" } else { "submitted" };
    rows.push(ListRow::text(created, ago(batch.created_at)));
    if let Some(canceled) = api.and_then(|api| api.cancel_initiated_at) {
        rows.push(ListRow::text("canceled", ago(canceled)));
    }
    match (api.and_then(|api| api.ended_at), batch.expires_at) {
        (Some(ended), _) => {
            rows.push(ListRow::text("ended", format!("{}, after {}", ago(ended), since(batch.created_at, ended))));
        }
        (None, Some(expires)) if expires > now => {
            rows.push(ListRow::text("expires", format!("{}, in {}", at(expires), since(now, expires))));
        }
        (None, Some(expires)) => rows.push(ListRow::text("expired", ago(expires))),
        (None, None) => {}
    }
    if let Some(api) = api {
        rows.push(ListRow::text(
            "results",
            match (api.archived_at, &api.results_url) {
                (Some(archived), _) => format!("removed at the API {}", at(archived)),
                (None, Some(_)) => match batch.created_at.checked_add(KEPT) {
                    Ok(until) => format!("at the API, until about {}", at(until)),
                    Err(_) => "at the API".to_owned(),
                },
                (None, None) => "not available before the batch has ended".to_owned(),
            },
        ));
    }
    if let Some(owner) = &batch.owner {
        let chunk = owner.chapter.submitted.chunk;
        rows.push(ListRow::verbatim("run", format!("{}, chunk {chunk}", escape(&owner.results.display().to_string()))));
        if batch.is_open() {
            let most = owner.chapter.submitted.at_most.rounded_up();
            rows.push(ListRow::text("cost", format!("at most {most}, which is reserved for this batch")));
        }
    }
    rows.extend(next(batch));
    rows
}

fn moment_words(world: &World, moment: Timestamp) -> String {
    world.now.time_zone().to_datetime(moment).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn since(from: Timestamp, to: Timestamp) -> String {
    rough_duration(to.duration_since(from).try_into().unwrap_or_default())
}

fn state_words(batch: &KnownBatch) -> String {
    match batch.state {
        State::InProgress => "in progress; the number of answered rows is known only after its end".to_owned(),
        State::Canceling => "being canceled".to_owned(),
        State::Ended if batch.is_open() => "ended, not collected".to_owned(),
        State::Ended => "ended".to_owned(),
        State::Archived => "ended, and its results were removed".to_owned(),
        State::Collected => "collected".to_owned(),
        State::Lost => "lost: its run no longer expects its answers".to_owned(),
        State::Unclear => {
            "unclear: the reply to its submission was lost, so the batch possibly does not exist".to_owned()
        }
        State::Missing => "not in the list of the API".to_owned(),
        State::Unknown => "unknown".to_owned(),
    }
}

/// Returns a text that says what the user can do with the batch.
fn next(batch: &KnownBatch) -> Option<ListRow> {
    let commands = Commands::of_process(false);
    let collect = |owner: &super::known::Owner| commands.batches("collect", &owner.results);
    match (&batch.owner, batch.state) {
        (Some(owner), State::Ended | State::Unclear | State::Missing | State::Unknown) if batch.is_open() => {
            Some(ListRow::verbatim("collect", collect(owner)))
        }
        (Some(owner), State::InProgress | State::Canceling) => {
            Some(ListRow::verbatim("collect", format!("{} --wait", collect(owner))))
        }
        (None, State::Ended) => {
            let id = batch.id.as_deref().unwrap_or_default();
            Some(ListRow::verbatim("adopt", format!("claude-batch batches adopt {} INPUT", escape(id))))
        }
        _ => None,
    }
}
