//! Tells the user about batches that the API does not list, and about results that can't be read.

use std::time::Duration;

use super::call::CallFault;
use super::chunk_state::{Chunk, DOWNLOADS, State};
use super::state::Lane;
use crate::clock::Instant;
use crate::domain::{Failure, HaltReason};
use crate::scheduler::Scheduler;

/// The longest wait between two attempts to download results.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// A download that failed for the first time is tried again after this wait, and the user is not told about it.
const FIRST_WAIT: Duration = Duration::from_secs(4);
/// A run that does not wait for its batches ends if the next download is later than this.
const MOST_PATIENCE: Duration = Duration::from_secs(60);
/// The list of batches may lack younger batches than this, so they are not reported as missing.
const MAY_BE_UNLISTED: Duration = Duration::from_secs(60);

impl Lane {
    /// Handles results that can't be read. The download is tried again, and no row is given up. The run stops in two
    /// cases: nothing could be read for too long, or the API refuses the results again and again and there is nothing
    /// else to do.
    pub(super) fn on_unread(&mut self, number: u32, fault: CallFault, scheduler: &mut Scheduler, now: Instant) {
        let Some(chunk) = self.chunks.get_mut(&number) else { return };
        chunk.downloads += 1;
        let backoff = Duration::from_secs(2 << chunk.downloads.min(6)).min(LONGEST_WAIT);
        let wait = backoff.max(fault.retry_after.unwrap_or_default());
        (chunk.state, chunk.not_before) = (State::Ended, now + wait);
        let failing = now.since(*chunk.failing_since.get_or_insert(now));
        let is_tried = chunk.downloads >= DOWNLOADS;
        (chunk.is_stuck, chunk.is_refused) = (is_tried || wait > MOST_PATIENCE, is_tried && fault.is_rejected);
        if let Some(reason) = fault.halt {
            return scheduler.halt_batches(*reason, now);
        }
        if fault.is_rejected || wait > FIRST_WAIT {
            self.tell_unread(number, &fault.failure);
        }
        if self.has_only_refused() && !scheduler.holds_rows() {
            scheduler.halt_batches(HaltReason::Forbidden(*fault.failure), now);
        } else if failing > scheduler.retry_for() {
            scheduler.halt_batches(HaltReason::Endpoint(*fault.failure), now);
        }
    }

    /// Says why the results of a batch can't be read. A run that waits says this only for the first of its batches,
    /// because the reason is usually the same for all.
    fn tell_unread(&mut self, number: u32, failure: &Failure) {
        let waits = !self.settings.detach;
        let is_told = |chunk: &Chunk| chunk.is_told && (waits || chunk.number == number);
        if self.chunks.values().any(is_told) {
            return;
        }
        let Some(chunk) = self.chunks.get_mut(&number) else { return };
        chunk.is_told = true;
        let name = chunk.batch.as_ref().map(|batch| batch.id.clone()).unwrap_or_default();
        let next = if waits { "; the run keeps trying" } else { "" };
        self.warn(format!("the results of {name} can't be read ({}){next}", words(failure)));
    }

    /// Returns whether the only work left is to read results that the API refuses to send.
    fn has_only_refused(&self) -> bool {
        let is_idle = self.building.is_none() && self.rows.is_empty() && !self.trials.is_busy();
        let is_refused = |chunk: &Chunk| chunk.state == State::Ended && chunk.is_refused;
        is_idle && self.reopened.is_empty() && self.chunks.values().all(is_refused)
    }

    /// Says once of each batch that the list of the API lacks it. A batch that was just created is left out.
    pub(super) fn tell_missing(&mut self, now: Instant) {
        let wall = self.clock.wall(now);
        let is_old = |chunk: &Chunk| wall.duration_since(chunk.submitted_at).unsigned_abs() >= MAY_BE_UNLISTED;
        let is_new = |chunk: &&mut Chunk| chunk.missing_since.is_some() && !chunk.is_told_missing && is_old(chunk);
        let (mut batches, mut rows) = (0_u64, 0_u64);
        for chunk in self.chunks.values_mut().filter(is_waiting).filter(is_new) {
            chunk.is_told_missing = true;
            (batches, rows) = (batches + 1, rows + u64::from(chunk.unseen_count()));
        }
        if batches == 0 {
            return;
        }
        let (are, them) = if batches == 1 { ("batch is", "it") } else { ("batches are", "them") };
        self.warn(format!(
            "{batches} {are} not in the list of the API: perhaps it does not list {them} yet, the key belongs to \
             another workspace, or somebody deleted {them}"
        ));
        if !self.settings.detach {
            let rows = if rows == 1 { "its row is".to_owned() } else { format!("its rows ({rows} in all) are") };
            self.note(format!(
                "if the API still does not know a missing batch after 10 minutes, the batch is given up: {rows} sent \
                 again, and may be billed twice"
            ));
        }
    }
}

fn is_waiting(chunk: &&mut Chunk) -> bool {
    matches!(chunk.state, State::Open | State::Doubtful)
}

/// Returns a text with everything that the server said about a failure: `status 400, cmek_key_disabled: no`.
pub(super) fn words(failure: &Failure) -> String {
    let status = failure.status.map(|status| format!("status {status}"));
    let name = failure.code.as_ref().or(failure.kind.as_ref()).cloned();
    let known: Vec<_> = status.into_iter().chain(name).collect();
    let message = Some(&failure.message).filter(|message| !message.is_empty()).cloned();
    let known = Some(known.join(", ")).filter(|known| !known.is_empty());
    known.into_iter().chain(message).collect::<Vec<_>>().join(": ")
}
