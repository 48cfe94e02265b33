//! The journal makes sure that a done row stays done.
//!
//! The journal consists of the results file, the error log and the run folder `<results>.run/` (manifest, lock,
//! in-flight slots, learned limits). Without a results file, `resume` has two files beside the log
//! (`files/answered.rs`). This module does all work on these files, from the first check of their names to the last
//! sync. The journal knows nothing about scheduling. The journal identifies requests, but does not know their content.
//! The lines are made in [`crate::sink`].
//!
//! | folder or file | content |
//! |---|---|
//! | `disk/` | a trait for a small file system; the real disk and one in memory; the rules that say which files may be used |
//! | `files/` | the files of a run: names, checks, locks, manifest, in-flight slots |
//! | `reading/` | reads lines back: records, the set of done rows, failures that still count, sums |
//! | `rewriting/` | repairs damaged files, and removes lines that no longer count |
//! | `writing/` | appends lines and makes them durable |
//! | `mod.rs`, `open.rs`, `close.rs` | [`Journal`], which receives lines and slots; how it is opened and closed |
//! | `recovery.rs` | finds, checks and repairs the files of earlier runs, and adds up the sums of these runs |
//! | `hold.rs` | the locks of a run, for commands that are not runs |
//! | `dry_run.rs` | reads the same files for a dry run, without changing anything |
//! | `stored.rs`, `taken.rs` | an index of the answers in earlier results; the lines of rows that take such an answer |
//! | `start.rs`, `error.rs`, `charges.rs` | how a run begins, the errors, the charges of a line |
//!
//! **From an outcome to the disk**
//!
//! ```text
//! Ledger::write_outcome ─► Journal::append_outcome ─► Writer::append        adds the line to those of this turn
//! Ledger::flush ─► Journal::flush ─► Writer::flush ─► Targets::write ─► DiskFile::write_at ─► write(2)   once a turn
//! thread `sync`: fdatasync(2) ─► Commit::UpTo ─► the row is reported as done, and its slot is freed
//! ```
//!
//! **From the disk to a resumed run**
//!
//! ```text
//! blocks.rs ─► parse.rs, fast_path.rs ─► scan.rs ─► Contents ─► DoneSet, Unresolved, Totals ─► Recovered
//! ```
//!
//! **A run's files from beginning to end**
//!
//! ```text
//! open:  check names → lock → read both files → repair → manifest → [compact, for resume] → slots → writer
//! turn:  fill a slot → flush → send … append the line → commit → free the slot
//! close: sync → carried sums → compact the error log → remove superseded answers → empty the slots → keep the learned
//!        limits → remove an empty error log → unlock
//! ```
//!
//! Invariants:
//! - A row is done when its line is synced. A row is not reported as done before its line is synced ([`Commit::UpTo`]).
//! - A run only appends to its files, with two exceptions. Repair can shorten a file. Repair, compaction and the
//!   removal of superseded answers can replace a whole file. Files of other programs are never changed. Foreign bytes
//!   at the end of a file are copied to another file before they are removed.
//! - A run uses only files that belong to its user. Each file is checked after it is opened (`disk/trust.rs`). A run
//!   locks its files before it reads them, and keeps the locks until it ends (`files/output.rs`).
//! - If the process dies in any step of a repair, a compaction or the closing, the same work can be repeated.
//! - If the manifest and the lines disagree, the lines are right. If the results and the error log disagree, the
//!   results are right.
//!
//! Rejected:
//! - A database instead of a results file: every tool can read the results file, and this is worth more than the
//!   indexes of a database. Writing a plain file is also faster.
//! - One file for both results and errors: people could not look at the results alone or at the errors alone.
//! - Syncing the slots (the records of requests in flight) to the disk: this would cost one more sync for each request.

mod charges;
mod close;
mod disk;
mod dry_run;
mod error;
mod files;
mod hold;
mod open;
mod reading;
mod recovery;
mod rewriting;
mod start;
mod stored;
mod taken;
mod writing;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use close::{Closed, InputRead};
pub use disk::{Disk, DiskFailure, DiskFile, FileKind, LockAttempt, MemDisk, OpenMode, Owners, RealDisk, Refusal};

pub(crate) use disk::{folder_of, read_up_to, replace, replace_unsynced, sync_name, with_suffix};
pub(crate) use dry_run::Inspected;
pub use error::JournalError;
pub(crate) use error::quoted;
#[cfg(feature = "sim")]
pub(crate) use files::open_to_append;
pub use files::{Carried, InputIdentity, Manifest, RecordedOutput, RequestShape, RunPaths, Slot, read_manifest};
pub(crate) use files::{
    LearnedLimits, LockState, PathRequest, fault_of_name, lock_state, manifest_path, read_learned_limits,
    read_unclosed, was_closed,
};
pub(crate) use hold::{Held, hold};
pub use open::JournalOptions;
pub use reading::{AnswersBy, DoneSet, ErrorLog, Reruns, RowState, Totals, UnfinishedRow, read_error_log};
pub(crate) use reading::{
    Details, FailureText, KnownBy, LineKind, Read, ResultRecord, Unresolved, line_kind, read_details,
    read_failure_texts, read_failures, read_lines,
};
pub use recovery::Recovered;
pub use start::Start;
pub(crate) use stored::MOST_FILES;
pub use stored::{StoredAnswers, StoredFile, Usable};
pub use writing::{Commit, Fsync, OnCommit, Threading};

use crate::clock::Instant;
use crate::domain::{Ended, ErrorClass, Job, LearnedPool, Money, Outcome, Purpose, RowId};
use crate::plan::Rejected;
use crate::sink::{self, Log, RecordContext};
use crate::source::BrokenRow;

use charges::Charges;
use files::{Lock, Outputs, PrivateFile, Slots};
use reading::{EntryKind, Parsed, parse_error};
use rewriting::{Superseded, copy_rows};
use writing::Writer;

/// The open journal of a run. The guarantees of the journal are described at the top of this module.
pub struct Journal {
    disk: Arc<dyn Disk>,
    paths: RunPaths,
    context: RecordContext,
    manifest: Manifest,
    /// The manifest of this run. The manifest stays in this field until the run begins to use it. As long as `given` is
    /// `Some`, `manifest` is the manifest of the previous run.
    given: Option<Manifest>,
    slots: Slots,
    unresolved: Unresolved,
    superseded: Superseded,
    /// The length of the error log in bytes, including the lines that still wait to be written.
    errors_end: u64,
    /// The length of the results file in bytes, including the lines that still wait to be written.
    results_end: u64,
    /// The offset in the results file at which the line of this run's last answer begins.
    last_result: u64,
    /// The private file for answers that later rows may need. This file is used only if there is no results file.
    private: Option<PrivateFile>,
    /// A buffer for a line that is made before it is appended.
    line: Vec<u8>,
    writer: Writer,
    outputs: Outputs,
    /// The limits that the run learned, which are written to the run folder when the run ends.
    learned: Option<LearnedLimits>,
    /// Whether an empty error log is removed at the end of the run. An empty log is removed in three cases: this run
    /// created the log, the log has the default name for these results, or results go to standard output. In all other
    /// cases, an empty log stays beside its results, because the user named this log for `resume`.
    is_log_ours: bool,
    /// Whether the run records its answered rows beside the error log: a `resume` whose answers go to standard output.
    records_answers: bool,
    _lock: Option<Lock>,
}

impl Journal {
    /// Appends the line of a job's outcome. Returns the file that the line belongs to.
    ///
    /// The row is done when a commit with `seq` or a higher number is reported. `seq` must never decrease from one call
    /// to the next.
    ///
    /// # Errors
    /// [`JournalError::Disk`] with the failure that stopped the writer.
    pub fn append_outcome(&mut self, outcome: &Outcome, seq: u64) -> Result<Log, JournalError> {
        let Self { writer, context, line, results_end, last_result, .. } = self;
        match &outcome.ended {
            Ended::Succeeded(message) if message.json.len() >= sink::LONG_BYTES => {
                line.clear();
                let at = sink::line_around(outcome, message, context, line);
                *last_result = *results_end;
                *results_end += (line.len() + message.json.len()) as u64;
                writer.append_parts(Log::Results, seq, &[&line[..at], &message.json, &line[at..]])?;
                self.note_answer(outcome.job.row);
                Ok(Log::Results)
            }
            Ended::Succeeded(_) => {
                // Most lines have short answers, so they are rendered directly into the buffer of the writer, without a
                // copy.
                writer.append(Log::Results, seq, |lines| {
                    let begin = lines.len();
                    sink::outcome_line(outcome, context, lines);
                    *last_result = *results_end;
                    *results_end += (lines.len() - begin) as u64;
                })?;
                self.note_answer(outcome.job.row);
                Ok(Log::Results)
            }
            Ended::Failed { class, .. } => {
                line.clear();
                sink::outcome_line(outcome, context, line);
                self.append_error(outcome.job.row, *class, EntryKind::Failed, seq)?;
                Ok(Log::Errors)
            }
        }
    }

    /// Appends the line of a row that is not finished. The row's last answer was not accepted, and the next request for
    /// the row has this `purpose`. A later line of the row replaces this line and contains its charges.
    ///
    /// # Errors
    /// [`JournalError::Disk`] with the failure that stopped the writer.
    pub(crate) fn append_step(&mut self, step: &Outcome, purpose: Purpose, seq: u64) -> Result<(), JournalError> {
        let Ended::Failed { class, .. } = &step.ended else { return Ok(()) };
        self.line.clear();
        sink::step_line(step, purpose, &self.context, &mut self.line);
        self.append_error(step.job.row, *class, EntryKind::Unfinished, seq)
    }

    /// Returns whether the latest line of a row says that the row is unfinished.
    pub(crate) fn has_unfinished(&self, row: RowId) -> bool {
        self.unresolved.has_unfinished(row)
    }

    /// Appends the line of a row that could not be read. `now` is the time at which the row was read.
    ///
    /// # Errors
    /// [`JournalError::Disk`] with the failure that stopped the writer.
    pub fn append_broken(&mut self, row: &BrokenRow, now: Instant, seq: u64) -> Result<(), JournalError> {
        self.line.clear();
        sink::broken_line(row, &self.context, now, &mut self.line);
        match parse_error(&self.line) {
            Parsed::Record(record) => self.append_error(record.row, record.class, EntryKind::Broken, seq),
            Parsed::Newer(_) | Parsed::NotOurs => self.append_line(seq),
        }
    }

    /// Appends the line of a row that was rejected before it was sent. `now` is the time at which the row was rejected.
    ///
    /// If the row was sent in an earlier run, no line is written, and the row's entry of that run stays. That entry can
    /// contain an answer that was paid for. The reason for the rejection is in the report of this run.
    ///
    /// # Errors
    /// [`JournalError::Disk`] with the failure that stopped the writer.
    pub(crate) fn append_rejected(&mut self, rejected: &Rejected, now: Instant, seq: u64) -> Result<(), JournalError> {
        let Rejected { custom_id, key, identity, class, .. } = rejected;
        let row = RowId::of(custom_id, *key, identity);
        if self.unresolved.outlasts_rejection(row) {
            return Ok(self.writer.append_parts(Log::Errors, seq, &[])?);
        }
        self.line.clear();
        sink::rejected_line(rejected, &self.context, now, &mut self.line);
        self.append_error(row, *class, EntryKind::Rejected, seq)
    }

    /// Fills a slot. The slot then records that a request of the job is in flight. `at_most` is the highest possible
    /// cost of all requests of the job together. The next [`Journal::flush`] writes the slot. The request may be sent
    /// only after this flush.
    pub fn mark(&mut self, job: &Job, at_most: Money) -> Slot {
        self.slots.mark(job.row, at_most)
    }

    /// Fills the slot of a job again, because another request of the job is in flight.
    pub(crate) fn mark_again(&mut self, slot: Slot, job: &Job, at_most: Money) -> Slot {
        self.slots.mark_again(slot, job.row, at_most)
    }

    /// Empties the slot of a row that has neither a request in flight nor a line. The next [`Journal::flush`] writes
    /// the change.
    pub fn clear(&mut self, slot: Slot) {
        self.slots.clear(slot);
    }

    /// Frees the slot of a row whose line is durable. The file of slots does not change, because a later run finds the
    /// row's line and ignores the slot.
    pub(crate) fn release(&mut self, slot: Slot) {
        self.slots.release(slot);
    }

    /// Writes the lines and the slots that are waiting to be written. The run's loop calls this function in each
    /// iteration, before it sends anything.
    ///
    /// # Errors
    /// [`JournalError::Disk`] if slots can't be written. In that case, requests whose slots were filled since the last
    /// call must not be sent. If lines can't be written, this function returns no error: the failure is reported as
    /// [`Commit::Failed`].
    pub fn flush(&mut self) -> Result<(), JournalError> {
        // A failure to write lines is reported only as `Commit::Failed`.
        let _ = self.writer.flush();
        Ok(self.slots.flush()?)
    }

    /// Adds money to the sums that later runs read, and makes the sums durable. Use this function for money that no
    /// line records.
    ///
    /// # Errors
    /// [`JournalError::Disk`].
    pub(crate) fn carry(&mut self, spend: Money) -> Result<(), JournalError> {
        let folder = self.paths.folder();
        Ok(self.manifest.carry(&*self.disk, folder.as_deref(), Charges { spend, ..Charges::default() })?)
    }

    /// From now on, makes lines durable as soon as possible. When the run only waits until its lines are durable, it
    /// calls this function.
    pub(crate) fn hurry(&mut self) {
        self.writer.hurry();
    }

    /// Returns how many appended bytes are not yet durable. While many bytes are not yet durable, the caller should
    /// send no requests.
    pub(crate) fn backlog_bytes(&self) -> usize {
        self.writer.backlog_bytes()
    }

    /// Returns how many appended bytes are possibly not written yet. The number can be large if the reader of standard
    /// output is slow.
    pub(crate) fn unwritten_bytes(&self) -> usize {
        self.writer.unwritten_bytes()
    }

    /// Writes the failed rows into a file in the run folder. Leaves out rows whose entry in the error log no longer
    /// counts. Returns the path of this file.
    ///
    /// `resume` reads this file, because the error log itself gets new entries during the run. If `only` is not empty,
    /// only rows of these error classes are written. Rows that could not be read are left out.
    ///
    /// # Errors
    /// [`JournalError::NoFolder`] if results go to standard output; [`JournalError::Disk`] if the disk fails.
    pub fn write_resume_input(&self, only: &[ErrorClass]) -> Result<PathBuf, JournalError> {
        let folder = self.paths.folder().ok_or(JournalError::NoFolder)?;
        let path = resume_input_in(&folder);
        self.write_resume_input_to(&path, only)?;
        Ok(path)
    }

    /// Does the same as [`Journal::write_resume_input`], but writes to `path`. Use this function if results go to
    /// standard output.
    ///
    /// # Errors
    /// [`JournalError::Disk`].
    pub(crate) fn write_resume_input_to(&self, path: &Path, only: &[ErrorClass]) -> Result<(), JournalError> {
        Ok(copy_rows(&*self.disk, &self.outputs.errors, &self.unresolved.row_offsets(only), path)?)
    }

    /// Remembers the limits that the run learned. [`Journal::close`] writes these limits to the run folder.
    pub(crate) fn note_learned(&mut self, at: jiff::Timestamp, pools: Vec<LearnedPool>) {
        let origin = self.manifest.origin.clone();
        self.learned = Some(LearnedLimits { at, origin, pools }).filter(|learned| !learned.pools.is_empty());
    }

    fn note_answer(&mut self, row: RowId) {
        self.writer.note_answer(row);
        self.unresolved.remove(row);
        self.superseded.note_answer(row);
    }

    /// Appends the row's line to the error log. The line is ready in `self.line`.
    fn append_error(&mut self, row: RowId, class: ErrorClass, kind: EntryKind, seq: u64) -> Result<(), JournalError> {
        self.unresolved.append(row, class, kind, self.errors_end);
        self.append_line(seq)
    }

    fn append_line(&mut self, seq: u64) -> Result<(), JournalError> {
        let Self { writer, line, errors_end, .. } = self;
        *errors_end += line.len() as u64;
        Ok(writer.append(Log::Errors, seq, |lines| lines.extend_from_slice(line))?)
    }
}

/// Returns the path of the file in the run folder from which `resume` reads its rows.
fn resume_input_in(folder: &Path) -> PathBuf {
    folder.join("resume.jsonl")
}
