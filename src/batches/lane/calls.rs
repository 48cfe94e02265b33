//! Decides which API call the batch lane makes next.

use super::super::chunk::{pico, results_path};
use super::super::log::Record;
use super::call::Call;
use super::chunk_state::{Chunk, State};
use super::state::Lane;
use crate::clock::Instant;
use crate::journal::DiskFailure;

/// The largest number of batches that have results on the disk at the same time. The limit prevents the results from
/// filling the disk.
const MOST_SAVED: usize = 4;

impl Lane {
    /// Returns the next call that the caller must make now. The caller must pass the result of the call to
    /// [`Lane::on_came`].
    ///
    /// # Errors
    /// Returns an error if the disk fails. After a failure, the caller must not send any more requests.
    pub(crate) fn next_call(&mut self, now: Instant) -> Result<Option<Call>, DiskFailure> {
        if self.is_stopped {
            return Ok(None);
        }
        if let Some(call) = self.submission(now)? {
            return Ok(Some(call));
        }
        if let Some(call) = self.cancellation(now)? {
            return Ok(Some(call));
        }
        let has_room = self.saved() < MOST_SAVED;
        let is_due = |chunk: &&mut Chunk| match chunk.state {
            State::Doubtful => chunk.not_before <= now,
            State::Ended => chunk.not_before <= now && has_room,
            _ => false,
        };
        let due = self.chunks.values_mut().find(|chunk| is_due(chunk) && chunk.batch.is_some());
        if let Some(chunk) = due {
            let (number, id) = (chunk.number, chunk.batch.as_ref().map(|batch| batch.id.clone()).unwrap_or_default());
            if chunk.state == State::Doubtful {
                chunk.not_before = Instant::NEVER;
                return Ok(Some(Call::Retrieve { chunk: number, id }));
            }
            chunk.state = State::Downloading;
            let (url, path) = (chunk.results_url.clone(), results_path(&self.folder, number));
            return Ok(Some(Call::Download { chunk: number, id, url, path }));
        }
        Ok(self.look(now))
    }

    /// Submits the next chunk of rows, if a chunk can be submitted. Before a chunk is submitted, the intent to submit
    /// it is written to the log and made durable.
    fn submission(&mut self, now: Instant) -> Result<Option<Call>, DiskFailure> {
        let is_open_question = |chunk: &Chunk| matches!(chunk.state, State::Posting | State::Unclear(_));
        if self.is_paused || self.submit.not_before > now || self.chunks.values().any(is_open_question) {
            return Ok(None);
        }
        let Some(chunk) = self.chunks.values().find(|chunk| chunk.state == State::Sealed) else { return Ok(None) };
        let (number, files, at) = (chunk.number, chunk.files.clone(), self.clock.wall(now));
        self.record(Record::Intent {
            chunk: number,
            rows: files.count,
            bytes: files.body_bytes,
            nonce: files.nonce.clone(),
            at_most: pico(self.chunks[&number].reserved),
            at,
            origin: self.settings.origin.clone(),
        })?;
        if let Some(chunk) = self.chunks.get_mut(&number) {
            (chunk.state, chunk.submitted_at, chunk.opened) = (State::Posting, at, now);
        }
        Ok(Some(Call::Create(files)))
    }

    /// Returns a call that lists the open batches, if the next check is due.
    fn look(&mut self, now: Instant) -> Option<Call> {
        if self.is_looking || self.checks.next() > now || !self.watches() {
            return None;
        }
        let open = self.chunks.values().filter(|chunk| chunk.state == State::Open);
        let wanted = open.filter_map(|chunk| Some(chunk.batch.as_ref()?.id.clone())).collect();
        let unclear = self.chunks.values().filter(|chunk| matches!(chunk.state, State::Unclear(_)));
        let since = unclear.map(Chunk::earliest).min();
        self.is_looking = true;
        Some(Call::List { wanted, since })
    }

    /// Pauses or continues the submission of batches. During a pause, batches that were submitted are still collected.
    pub(crate) fn set_paused(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
    }

    /// Returns whether there are batches to check.
    pub(super) fn watches(&self) -> bool {
        self.chunks.values().any(|chunk| matches!(chunk.state, State::Open | State::Unclear(_)))
    }

    /// Returns the time at which the batch lane must act next, even if no event happens before that time.
    pub(crate) fn next_at(&self) -> Instant {
        if self.is_stopped {
            return Instant::NEVER;
        }
        let is_unsure = self.chunks.values().any(|chunk| matches!(chunk.state, State::Posting | State::Unclear(_)));
        let has_sealed = self.sealed_any() && !is_unsure && !self.is_paused;
        let submit = if has_sealed { self.submit.not_before } else { Instant::NEVER };
        let look = if self.watches() && !self.is_looking { self.checks.next() } else { Instant::NEVER };
        let has_room = self.saved() < MOST_SAVED;
        let waiting = self
            .chunks
            .values()
            .filter(|chunk| chunk.state == State::Doubtful || (chunk.state == State::Ended && has_room));
        let chunks = waiting.map(|chunk| chunk.not_before).min().unwrap_or(Instant::NEVER);
        [submit, look, chunks, self.seal_at(), self.cancel_at(), self.deadline.next_at()]
            .into_iter()
            .min()
            .unwrap_or(Instant::NEVER)
    }

    /// Returns how many batches have results that are on disk or being downloaded.
    fn saved(&self) -> usize {
        self.chunks.values().filter(|chunk| matches!(chunk.state, State::Downloading | State::Saved)).count()
    }

    fn sealed_any(&self) -> bool {
        self.chunks.values().any(|chunk| chunk.state == State::Sealed)
    }
}
