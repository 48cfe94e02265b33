//! Handles lines that are not on disk yet. This module limits how many bytes can wait, and reports the lines that have
//! reached the disk.

use super::answer_memory::AnswerShare;
use super::ledger::{Commit, Ledger};
use super::run::Run;
use crate::domain::{HaltReason, Job};
use crate::report::Reporter;
use crate::transport::Transport;

/// The run sends no more requests while at least `BACKLOG_BYTES` bytes of lines wait for the disk. At forty thousand
/// rows per second, a run reaches this limit a fifth of a second after the disk stops writing. A run within the rate
/// limits of a typical account takes hours to reach this limit. The lines that wait are lost if the power fails. Lines
/// for standard output wait in memory.
pub(super) const BACKLOG_BYTES: usize = 8 << 20;
/// The limit on rows whose lines are not on disk. While all rows without a line on disk together have at least
/// `UNSYNCED_BYTES` bytes, the run sends no new requests. Rows are kept until their lines are on disk. A limit on rows
/// in memory is needed because a row can be a thousand times as long as its answer.
pub(super) const UNSYNCED_BYTES: usize = 8 << 20;
/// There is a limit on the memory for answers. If more than `UNWRITTEN_BYTES` bytes of lines are in memory, a large
/// answer counts against this limit until its line is written.
const UNWRITTEN_BYTES: usize = 4 << 20;

impl<T: Transport, L: Ledger, R: Reporter> Run<T, L, R> {
    /// Returns whether too many bytes wait for the disk, or for the reader of standard output.
    pub(super) fn is_backed_up(&self) -> bool {
        self.ledger.backlog_bytes() > BACKLOG_BYTES || self.unsynced.bytes() > UNSYNCED_BYTES
    }

    /// Keeps two things until the last written line is on disk: the line's row, and the line's share of the memory for
    /// answers.
    pub(super) fn keep_until_synced(&mut self, job: Box<Job>, share: Option<AnswerShare>) {
        // A line that was passed to the operating system uses no memory of this process.
        let share = share.filter(|_| self.ledger.unwritten_bytes() > UNWRITTEN_BYTES);
        self.unsynced.keep_with_last(self.keep_pending.then_some(job), share);
    }

    /// Reports the lines that are now on disk. If lines can't be written, halts the run.
    pub(super) fn on_commit(&mut self, commit: Commit) {
        match commit {
            Commit::UpTo(seq) => {
                self.ledger.on_committed(seq);
                let now = self.clock.now();
                while let Some(event) = self.unsynced.pop(seq) {
                    self.events.show_at(event, now);
                }
                self.collect_synced();
            }
            Commit::Failed(fault) => {
                self.is_broken = true;
                self.scheduler.halt(HaltReason::Disk(fault));
                self.abort();
            }
        }
    }

    /// Counts rows as pending if their lines could not be written.
    pub(super) fn keep_unsynced(&mut self) {
        self.finish.pending += self.unsynced.len();
        // Some of the lines that could not be written contain answers. These answers were paid for and are lost.
        self.finish.maybe_paid += self.unsynced.answers();
        self.finish.kept.extend(self.unsynced.take_jobs());
    }
}
