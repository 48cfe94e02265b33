//! Lines on their way to the disk: how many bytes can wait, and what happens when lines are on disk.

use super::answer_memory::AnswerShare;
use super::ledger::{Commit, Ledger};
use super::run::Run;
use crate::domain::{HaltReason, Job};
use crate::report::Reporter;
use crate::transport::Transport;

/// Sending stops when the lines that wait for the disk have this many bytes in all. At forty thousand rows per second,
/// a run reaches this limit a fifth of a second after the disk stops writing. At the rate limits of an account, this
/// takes hours. If the power fails, these lines can be lost. Lines for standard output wait in memory.
pub(super) const BACKLOG_BYTES: usize = 8 << 20;
/// Rows are kept until their lines are on disk. When the kept rows have this many bytes, sending stops. This limit is
/// needed because a row can be a thousand times as long as its answer.
pub(super) const UNSYNCED_BYTES: usize = 8 << 20;
/// Bytes of lines that can be in memory. If there are more, a large answer keeps its share of the answer memory until
/// its line is written.
const UNWRITTEN_BYTES: usize = 4 << 20;

impl<T: Transport, L: Ledger, R: Reporter> Run<T, L, R> {
    /// Returns whether too many bytes are waiting for the disk, or for the reader of standard output.
    pub(super) fn is_backed_up(&self) -> bool {
        self.ledger.backlog_bytes() > BACKLOG_BYTES || self.unsynced.bytes() > UNSYNCED_BYTES
    }

    /// Keeps the row and the memory share of the last written line until that line is on disk.
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

    /// If the lines of rows could not be written, counts these rows as pending.
    pub(super) fn keep_unsynced(&mut self) {
        self.finish.pending += self.unsynced.len();
        // Some of these lines are answers. These answers were paid for and are lost.
        self.finish.maybe_paid += self.unsynced.answers();
        self.finish.kept.extend(self.unsynced.take_jobs());
    }
}
