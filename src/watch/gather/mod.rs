//! Reads the facts of a run from its files, for the report. This module only reads: it changes and locks no files.
//!
//! Each file is read once. The memory does not grow with the number of rows, because all lists and the number of
//! remembered failures are bounded. A missing or damaged file in the run folder is not an error; the report says what
//! is missing.
//!
//! | file | content |
//! |---|---|
//! | `answers.rs` | sums up the lines of the results |
//! | `failures.rs` | sums up the lines of the error log |
//! | `asked.rs` | the settings of the run, read from its manifest |

mod answers;
mod asked;
mod failures;
#[cfg(test)]
mod tests;

use std::path::Path;

use jiff::Timestamp;

use self::failures::ReadFailures;
use super::facts::{Answers, Failures, RunFacts, State};
use super::files::{self, Found, timeline_path};
use super::timeline::{self, MOST_NOTES, MOST_POINTS, MOST_RUNS, Timeline, keep_last};
use crate::domain::{Money, RowId};
use crate::journal::{
    Details, Disk, FileKind, JournalError, LockState, Manifest, ResultRecord, Totals, lock_state, read_details,
    read_manifest, read_unclosed, was_closed, with_suffix,
};

/// The paths of the files of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunFiles<'a> {
    /// The path of the results file; `None` if the results were written to standard output.
    pub(crate) results: Option<&'a Path>,
    /// The path of the error log; `None` if it is not known.
    pub(crate) errors: Option<&'a Path>,
}

/// Reads the facts of a run for its report. `now` is the current time.
///
/// # Errors
/// Returns an error if the results or the error log can't be read, or if they are not files of this program.
pub(crate) fn gather(files: RunFiles<'_>, disk: &dyn Disk, now: Timestamp) -> Result<RunFacts, JournalError> {
    let mut missing = Vec::new();
    let exists = |path: &&Path| matches!(disk.kind(path), Ok(Some(FileKind::File)));
    let results = files.results.filter(exists);
    let errors = files.errors.filter(exists);
    let folder = files.results.map(|results| with_suffix(results, ".run"));
    let has_folder = folder.as_deref().is_some_and(|folder| matches!(disk.kind(folder), Ok(Some(FileKind::Folder))));
    let folder = folder.filter(|_| has_folder);
    let (mut answers, failures) = read_lines(results, errors, disk)?;
    if files.results.is_none() {
        missing.push("The results went to standard output, so only the error log is known.".to_owned());
    } else if folder.is_none() {
        missing.push("There is no run folder, so it is not known what was asked, and how the run went.".to_owned());
    }
    // When a run ends, it first writes the timeline and then frees the lock. So the lock is checked before the timeline
    // is read.
    let lock = folder.as_deref().map(|folder| lock_state(disk, folder));
    let manifest = folder.as_deref().and_then(|folder| manifest_of(folder, disk, &mut missing));
    let timeline = folder.as_deref().and_then(|folder| timeline_of(folder, disk, &mut missing));
    let (mut state, dead_in_flight) = state(lock, folder.as_deref(), timeline.as_ref(), manifest.as_ref(), disk);
    if let (State::Killed, Some(folder)) = (&state, &folder)
        && let LockState::Held(process) = lock_state(disk, folder)
    {
        // The lock is held now, so a run has begun since the first check.
        state = State::Running { process };
    }
    let mut totals = answers.totals;
    totals += Totals { ok: 0, truncated: 0, refused: 0, unknown: 0, ..failures.totals };
    totals += manifest.as_ref().map(carried).unwrap_or_default();
    answers.models.sort_by_key(|sum| std::cmp::Reverse(sum.rows));
    Ok(RunFacts {
        name: files.results.or(files.errors).map(|path| path.display().to_string()).unwrap_or_default(),
        made_at: now,
        tool: env!("CARGO_PKG_VERSION"),
        state,
        asked: manifest.as_ref().map(asked::asked).unwrap_or_default(),
        answers,
        failures,
        totals,
        dead_in_flight,
        timeline,
        missing,
        next: Vec::new(),
    })
}

/// What one block of lines of the results contains.
#[derive(Default)]
struct Block {
    answers: Answers,
    /// The answered rows that also have an entry in the error log, and the time of each answer.
    with_entry: Vec<(RowId, Option<Timestamp>)>,
}

/// Reads the error log first, and then the results, because an answer in the results cancels an earlier failure of the
/// row.
fn read_lines(
    results: Option<&Path>,
    errors: Option<&Path>,
    disk: &dyn Disk,
) -> Result<(Answers, Failures), JournalError> {
    let mut failures = errors.map(|path| ReadFailures::read(path, disk)).transpose()?.unwrap_or_default();
    let (mut answers, mut with_entry) = (Answers::default(), Vec::new());
    if let Some(path) = results {
        let read = |record: &ResultRecord<'_>, details: &Details<'_>, block: &mut Block| {
            block.answers.add(record, details);
            if failures.has(record.row) {
                block.with_entry.push((record.row, record.ended_at()));
            }
        };
        read_details(path, disk, read, |block| {
            answers.merge(block.answers);
            with_entry.extend(block.with_entry);
        })?;
    }
    with_entry.into_iter().for_each(|(row, ended_at)| failures.note_answer(row, ended_at));
    answers.rate.merge(std::mem::take(&mut failures.rate));
    Ok((answers, failures.end(errors, disk)?))
}

fn manifest_of(folder: &Path, disk: &dyn Disk, missing: &mut Vec<String>) -> Option<Manifest> {
    match read_manifest(folder, disk) {
        Ok(Some(manifest)) => Some(manifest),
        Ok(None) => {
            missing.push("The run folder has no manifest.json, so it is not known what was asked.".to_owned());
            None
        }
        Err(error) => {
            missing.push(format!("What was asked is not known: {error}."));
            None
        }
    }
}

/// Reads the timeline of a run folder. If a list is too long, only its last entries are kept.
fn timeline_of(folder: &Path, disk: &dyn Disk, missing: &mut Vec<String>) -> Option<Timeline> {
    let path = timeline_path(folder);
    let shown = path.display();
    let fault = match files::read(disk, &path, timeline::VERSION) {
        Found::Good(timeline) => return Some(bounded(timeline)),
        Found::Missing => {
            "The run folder has no timeline.json, so the use of limits and the reasons for waiting are not known."
                .to_owned()
        }
        Found::Unreadable(why) => format!("The history can't be read: {shown}: {why}."),
        Found::Damaged(why) => format!("The history can't be read: {shown} is damaged: {why}."),
        Found::Newer(_) => format!("The history can't be read: a later claude-batch wrote {shown}."),
    };
    missing.push(format!("{fault} The rate over time is estimated from the lines."));
    None
}

fn bounded(mut timeline: Timeline) -> Timeline {
    keep_last(&mut timeline.points, MOST_POINTS);
    keep_last(&mut timeline.notes, MOST_NOTES);
    keep_last(&mut timeline.runs, MOST_RUNS);
    timeline.points.retain(|point| point.s.is_finite() && point.s > 0.0 && point.s < 1e9);
    timeline.points.sort_by_key(|point| point.at);
    timeline
}

/// Returns the state of a run. Also returns the number of requests that were in flight when the run was killed.
fn state(
    lock: Option<LockState>,
    folder: Option<&Path>,
    timeline: Option<&Timeline>,
    manifest: Option<&Manifest>,
    disk: &dyn Disk,
) -> (State, u64) {
    let (Some(lock), Some(folder)) = (lock, folder) else { return (State::Ended, 0) };
    if let LockState::Held(process) = lock {
        return (State::Running { process }, 0);
    }
    let unclosed = read_unclosed(disk, folder).unwrap_or_default();
    let is_counted = manifest.is_some_and(|manifest| manifest.counted_opening >= unclosed.opening);
    let dead = if is_counted { 0 } else { unclosed.rows.len() as u64 };
    let state = match timeline.and_then(|timeline| timeline.runs.last()) {
        _ if dead > 0 => State::Killed,
        // The run closed its files, but it could not write its last state into the timeline.
        Some(run) if !run.has_ended && was_closed(disk, folder) => State::Ended,
        Some(run) if !run.has_ended => State::Killed,
        Some(run) => run.reason.clone().map_or(State::Finished, State::Stopped),
        None => State::Ended,
    };
    (state, dead)
}

fn carried(manifest: &Manifest) -> Totals {
    let carried = manifest.carried;
    Totals {
        usage: carried.usage,
        spend: Money(carried.spend_pico.into()),
        maybe_paid: carried.maybe_paid,
        maybe_spend: Money(carried.maybe_spend_pico.into()),
        ..Totals::default()
    }
}
