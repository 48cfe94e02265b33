//! The journal: what is done stays done.
//!
//! Owns the results file, the error log and the run folder `<results>.run/` (manifest, lock, slots in flight), from the
//! first look at them to the last sync. Knows nothing of scheduling, and of requests only their identity. Lines are
//! made in [`crate::sink`].
//!
//! ```text
//! open:    check paths → lock folder and files → manifest → scan both files → mend → [compact] → manifest → slots → writer
//! run:     mark a slot ─► send … append the outcome ─► commit ─► clear the slot, show the row as done
//! look:    the same as far as `scan both files`, for a dry run: nothing is held or changed (`look.rs`)
//! close:   drain and sync → carried sums → compact the error log → remove superseded answers → empty the slots → unlock
//! ```
//!
//! Invariants:
//! - A row is done when its line is synced, and is reported done only then ([`Commit::Durable`]).
//! - Files are only appended to, but for what recovery cuts and compaction replaces as a whole. Nothing that somebody
//!   else wrote is changed; what is taken off a file that is not plainly the torn end of a line of ours is kept aside.
//! - What is used is ours: each file is judged by what was opened (`judge.rs`), and each run holds its files by what they
//!   are, from before they are read until it ends (`output.rs`).
//! - Recovery, compaction and closing may die at any step and be begun again.
//! - Where files differ, lines win over the manifest, results over the error log.
//!
//! Rejected: a database (a results file that any tool reads is worth more than its indexes, and is faster to write);
//! one file for results and errors (people want to look at either); syncing slots (a sync for each request).

mod blocks;
mod compact;
mod disk;
mod done;
mod error;
mod error_log;
mod held;
mod inflight;
mod judge;
mod lines;
mod lock;
mod look;
mod manifest;
mod mem_disk;
mod open;
mod output;
mod paths;
mod pipeline;
mod plain;
mod reading;
mod real_disk;
mod record;
mod recover;
mod replace;
mod scan;
mod stream;
mod superseded;
mod syncer;
mod system;
mod unresolved;
mod writer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use disk::{Disk, DiskFailure, DiskFile, FileKind, LockAttempt, OpenMode};
pub use done::{DoneSet, RowState};
pub use error::{JournalError, quoted};
pub use error_log::{ErrorLog, read_error_log};
pub use inflight::Slot;
pub use judge::{Owners, Refusal};
pub use look::Looked;
pub use manifest::{Carried, FORMAT_VERSION, InputIdentity, Manifest, RequestShape};
pub use mem_disk::MemDisk;
pub use open::{JournalOptions, Recovered, Start};
pub use paths::{PathRequest, RunPaths};
pub use reading::Totals;
pub use real_disk::{RealDisk, open_to_append};
pub use writer::{Commit, Fsync, OnCommit, Threading};

use crate::clock::Instant;
use crate::domain::{Ended, ErrorClass, Job, Outcome, RowId};
use crate::plan::Rejected;
use crate::sink::{self, Log, RecordContext};
use crate::source::BrokenRow;

use held::Held;
use inflight::Inflight;
use lock::Lock;
use output::Outputs;
use record::{Parsed, parse_error};
use superseded::Superseded;
use unresolved::{Entry, Unresolved};

/// The open journal of a run. See the module for what it promises.
pub struct Journal {
    disk: Arc<dyn Disk>,
    paths: RunPaths,
    context: RecordContext,
    manifest: Manifest,
    inflight: Inflight,
    unresolved: Unresolved,
    superseded: Superseded,
    /// Length of the error log with all that is queued.
    errors_end: u64,
    line: Vec<u8>,
    writer: Held,
    outputs: Outputs,
    _lock: Option<Lock>,
}

/// Whether a run read its whole input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputRead {
    /// To its end: entries of rows that could not be read or sent, and were not met again, are out of date.
    Whole,
    /// Not to its end, or it was not the input but an error log.
    Part,
}

/// What a closed journal leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// Entries left in the error log, by class; those of earlier runs included.
    pub failed: BTreeMap<ErrorClass, u64>,
    /// Where the error log is; `None` when it was removed, empty, since its results went to standard output.
    pub errors: Option<PathBuf>,
}

impl Journal {
    /// Takes a finished job: renders its line, queues it, and returns the file it goes to.
    ///
    /// The row is done when a commit of `seq` or more is reported; numbers must not fall.
    ///
    /// # Errors
    /// [`JournalError::Disk`] with the failure that stopped the writer.
    pub fn append_outcome(&mut self, outcome: &Outcome, seq: u64) -> Result<Log, JournalError> {
        let Self { writer, context, line, .. } = self;
        match &outcome.ended {
            Ended::Succeeded(message) if message.json.len() >= sink::LONG_BYTES => {
                line.clear();
                let at = sink::line_around(outcome, message, context, line);
                writer.append_parts(Log::Results, &[&line[..at], &message.json, &line[at..]], seq)?;
                self.note_answer(outcome.job.row);
                Ok(Log::Results)
            }
            Ended::Succeeded(_) => {
                // Most lines are of this kind: they are made where they wait for the writer.
                writer.render(Log::Results, seq, |lines| _ = sink::outcome_line(outcome, context, lines))?;
                self.note_answer(outcome.job.row);
                Ok(Log::Results)
            }
            Ended::Failed { class, .. } => {
                line.clear();
                sink::outcome_line(outcome, context, line);
                self.note_failure(outcome.job.row, *class, IsSent::Yes);
                self.append(Log::Errors, seq)?;
                Ok(Log::Errors)
            }
        }
    }

    /// Takes a row that could not be read. `now` is when it was.
    ///
    /// # Errors
    /// [`JournalError::Disk`] with the failure that stopped the writer.
    pub fn append_broken(&mut self, row: &BrokenRow, now: Instant, seq: u64) -> Result<(), JournalError> {
        self.line.clear();
        sink::broken_line(row, &self.context, now, &mut self.line);
        if let Parsed::Record(record) = parse_error(&self.line) {
            self.note_failure(record.row, record.class, IsSent::Broken);
        }
        self.append(Log::Errors, seq)
    }

    /// Takes a row that was rejected before it was sent. `now` is when it was.
    ///
    /// # Errors
    /// [`JournalError::Disk`] with the failure that stopped the writer.
    pub fn append_rejected(&mut self, rejected: &Rejected, now: Instant, seq: u64) -> Result<(), JournalError> {
        self.line.clear();
        sink::rejected_line(rejected, &self.context, now, &mut self.line);
        self.note_failure(RowId::named(&rejected.custom_id, None), rejected.class, IsSent::Rejected);
        self.append(Log::Errors, seq)
    }

    /// Marks a job as in flight: from its first send until its line is durable.
    ///
    /// # Errors
    /// [`JournalError::Disk`]; nothing may then be sent, since nobody would know of it after a death.
    pub fn mark(&mut self, job: &Job) -> Result<Slot, JournalError> {
        Ok(self.inflight.mark(job.row)?)
    }

    /// Gives a slot back: the row's line is durable, or the row was given up without having been sent.
    ///
    /// # Errors
    /// [`JournalError::Disk`].
    pub fn clear(&mut self, slot: Slot) -> Result<(), JournalError> {
        Ok(self.inflight.clear(slot)?)
    }

    /// Lets lines, marks and clearings wait for [`Journal::flush`]: for a loop that has hundreds in one turn.
    pub fn hold(&mut self) {
        self.writer.hold();
    }

    /// Marks a job as in flight, as [`Journal::mark`] does, from the next [`Journal::flush`] on.
    pub fn mark_later(&mut self, job: &Job) -> Slot {
        self.inflight.mark_later(job.row)
    }

    /// Gives a slot back, as [`Journal::clear`] does, with the next [`Journal::flush`].
    pub fn clear_later(&mut self, slot: Slot) {
        self.inflight.clear_later(slot);
    }

    /// Gives back the slot of a row whose line is durable. Costs nothing: a later run finds the line.
    pub fn release(&mut self, slot: Slot) {
        self.inflight.release(slot);
    }

    /// Hands over the lines that wait, and writes the marks and clearings that do, in one piece.
    ///
    /// # Errors
    /// [`JournalError::Disk`] when marks can't be written; what was marked since the last call must then not be sent.
    /// A failure to write lines is reported as any other.
    pub fn flush(&mut self) -> Result<(), JournalError> {
        // Reported once, as a failed commit.
        let _ = self.writer.flush();
        Ok(self.inflight.flush()?)
    }

    /// Lets lines become durable as soon as they can, from here on: nothing is left to do but to wait for them.
    pub fn hurry(&mut self) {
        self.writer.hurry();
    }

    /// Returns how many bytes were appended and are not yet durable. Hold sending while they are many.
    pub fn backlog_bytes(&self) -> usize {
        self.writer.backlog_bytes()
    }

    /// Returns how many bytes were appended and may still lie in memory: standard output may have a slow reader.
    pub fn unwritten_bytes(&self) -> usize {
        self.writer.unwritten_bytes()
    }

    /// Returns where the files lie.
    pub fn paths(&self) -> &RunPaths {
        &self.paths
    }

    /// Writes the rows of the error log that count to a file of their own in the run folder, and returns its path.
    ///
    /// `resume` reads this copy: the log itself grows by the rows that fail again while it is read. With `only`, just
    /// the rows of these classes; with none, all. Broken rows are left out.
    ///
    /// # Errors
    /// [`JournalError::NoFolder`] when results go to standard output; [`JournalError::Disk`].
    pub fn write_resume_input(&self, only: &[ErrorClass]) -> Result<PathBuf, JournalError> {
        let folder = self.paths.folder().ok_or(JournalError::NoFolder)?;
        let path = folder.join("resume.jsonl");
        self.write_resume_input_to(&path, only)?;
        Ok(path)
    }

    /// Like [`Journal::write_resume_input`], to a file of the caller's: for results that go to standard output.
    ///
    /// # Errors
    /// [`JournalError::Disk`].
    pub fn write_resume_input_to(&self, path: &Path, only: &[ErrorClass]) -> Result<(), JournalError> {
        let wanted = |entry: &&Entry| only.is_empty() || only.contains(&entry.class);
        let entries = self.unresolved.in_order();
        compact::copy_rows(&*self.disk, &self.outputs.errors, entries.into_iter().filter(wanted), path)?;
        Ok(())
    }

    /// Ends the run: everything is made durable, the error log shrinks to what counts, the results to one line for each row,
    /// and the slots are emptied.
    ///
    /// # Errors
    /// [`JournalError::Disk`]. What was reported durable is; the slots are kept, so that the next run counts what was
    /// in flight.
    ///
    /// With `keeps_slots` the slots stay as they are after a death: requests that were cut off may have been paid for,
    /// and the next run counts them.
    pub fn close(self, input: InputRead, keeps_slots: bool) -> Result<Closed, JournalError> {
        let Self {
            disk,
            paths,
            mut manifest,
            mut inflight,
            mut unresolved,
            superseded,
            writer,
            mut outputs,
            _lock,
            ..
        } = self;
        writer.close()?;
        match input {
            InputRead::Whole => unresolved.drop_stale_unsent(),
            InputRead::Part => {}
        }
        open::compact_log(&*disk, &paths, &mut outputs.errors, &mut unresolved, &mut manifest)?;
        if let Some(results) = &mut outputs.results {
            open::remove_superseded(&*disk, &paths, results, superseded, &mut manifest)?;
        }
        if let Some(folder) = paths.folder() {
            let resumed = folder.join("resume.jsonl");
            disk.remove(&resumed).map_err(DiskFailure::of("remove", &resumed))?;
        }
        match keeps_slots {
            true => inflight.flush()?,
            false => inflight.close()?,
        }
        let failed = unresolved.by_class();
        let errors = leave_log(&*disk, &paths, failed.is_empty())?;
        Ok(Closed { failed, errors })
    }

    fn note_answer(&mut self, row: RowId) {
        self.unresolved.settle(row);
        self.superseded.note(row);
    }

    fn note_failure(&mut self, row: RowId, class: ErrorClass, is_sent: IsSent) {
        let entry = Entry {
            key: row.key,
            class,
            offset: self.errors_end,
            is_unsent: is_sent != IsSent::Yes,
            is_row: is_sent != IsSent::Broken,
            is_of_this_run: true,
            last_at: None,
            answer: None,
        };
        self.unresolved.append(row, entry);
    }

    fn append(&mut self, log: Log, seq: u64) -> Result<(), JournalError> {
        if log == Log::Errors {
            self.errors_end += self.line.len() as u64;
        }
        Ok(self.writer.append(log, &self.line, seq)?)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum IsSent {
    Yes,
    Rejected,
    Broken,
}

/// Reads the manifest of a run folder; `None` when there is none.
///
/// # Errors
/// [`JournalError::NewerFormat`]; [`JournalError::Manifest`] when it can't be read; [`JournalError::Refused`];
/// [`JournalError::Disk`].
pub fn read_manifest(folder: &Path, disk: &dyn Disk) -> Result<Option<Manifest>, JournalError> {
    manifest::read(disk, folder)
}

/// Returns where the manifest of a run folder lies.
pub fn manifest_path(folder: &Path) -> PathBuf {
    manifest::path_in(folder)
}

/// Removes an empty log of a run whose results went to standard output: nobody expects that file.
fn leave_log(disk: &dyn Disk, paths: &RunPaths, is_empty: bool) -> Result<Option<PathBuf>, DiskFailure> {
    let path: &Path = &paths.errors;
    if paths.results.is_some() || !is_empty {
        return Ok(Some(path.to_owned()));
    }
    disk.remove(path).map_err(DiskFailure::of("remove", path))?;
    Ok(None)
}
