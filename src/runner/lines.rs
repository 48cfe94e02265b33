//! Lines on their way to the disk: how much may wait, and what happens once they are there.

use super::answer_memory::AnswerShare;
use super::ledger::{Commit, Ledger};
use super::run::Run;
use crate::domain::{HaltReason, Job};
use crate::report::Reporter;
use crate::transport::Transport;

/// Bytes of lines that may wait for the disk before sending stops. At forty thousand rows a second, these bytes fill in
/// a fifth of a second; at the limits of an account, in hours. A power failure can lose these lines. Lines for standard
/// output are in memory.
pub(super) const BACKLOG_BYTES: usize = 8 << 20;
/// Rows are kept until their lines are on disk. When the kept rows have this many bytes, sending stops. A row may be a
/// thousand times as long as its answer.
pub(super) const UNSYNCED_BYTES: usize = 8 << 20;
/// Bytes of lines that may be in memory. Above that, a large answer keeps its share of the answer memory until its line
/// is written.
const UNWRITTEN_BYTES: usize = 4 << 20;

impl<T: Transport, L: Ledger, R: Reporter> Run<T, L, R> {
    /// Returns whether too many bytes wait for the disk, or for the reader of standard output.
    pub(super) fn is_backed_up(&self) -> bool {
        self.ledger.backlog_bytes() > BACKLOG_BYTES || self.unsynced.bytes() > UNSYNCED_BYTES
    }

    /// Keeps what belongs to the line written last until that line is on disk.
    pub(super) fn keep_until_synced(&mut self, job: Box<Job>, share: Option<AnswerShare>) {
        // A line that the operating system has takes no memory of ours.
        let share = share.filter(|_| self.ledger.unwritten_bytes() > UNWRITTEN_BYTES);
        self.unsynced.keep_with_last(self.keep_pending.then_some(job), share);
    }

    /// Shows what became durable, or halts because lines can't be written.
    pub(super) fn on_commit(&mut self, commit: Commit) {
        match commit {
            Commit::UpTo(seq) => {
                self.ledger.on_committed(seq);
                let now = self.clock.now();
                while let Some(event) = self.unsynced.pop(seq) {
                    self.events.show_at(event, now);
                }
            }
            Commit::Failed(fault) => {
                self.is_broken = true;
                self.scheduler.halt(HaltReason::Disk(fault));
                self.abort();
            }
        }
    }

    /// Counts rows whose lines could not be written as pending.
    pub(super) fn keep_unsynced(&mut self) {
        self.finish.pending += self.unsynced.len();
        // The answers among them were paid for, and no line keeps them.
        self.finish.maybe_paid += self.unsynced.answers();
        self.finish.kept.extend(self.unsynced.take_jobs());
    }
}
