//! Reads the rows of a pipe a little ahead, so that a prefix that rows share is known before the first of these rows is
//! sent.
//!
//! Only rows that may share a prefix wait. They wait until [`ROWS`] rows or [`BYTES`] bytes were read after them, or
//! until nothing has come for [`IDLE`]. So if rows come with long pauses between them, each waits a tenth of a second.
//! If rows come steadily, a row waits as long as the following [`ROWS`] rows take.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use crate::domain::{Planned, Prefixes, PromptCache};
use crate::plan::{Before, StreamCensus};
use crate::source::SourceError;

use super::incoming::Incoming;
use super::reading::{Read, Reading};

/// At most this many rows are read after a row that waits.
const ROWS: usize = 512;
/// At most this many bytes of rows are read after a row that waits.
const BYTES: usize = 8 << 20;
/// How long rows wait if no further row comes.
const IDLE: Duration = Duration::from_millis(100);
/// How many rows the channel between the reading thread and the feeding thread holds.
const READ_AHEAD: usize = 64;

/// The rows that were read and have not been passed on.
pub(super) struct Window {
    census: StreamCensus,
    items: VecDeque<(Incoming, Option<Before>)>,
    bytes: usize,
    begun: Instant,
}

impl Window {
    pub(super) fn new(cache: PromptCache) -> Self {
        Self { census: StreamCensus::new(cache), items: VecDeque::new(), bytes: 0, begun: Instant::now() }
    }

    /// Returns whether rows wait for others.
    pub(super) fn is_waiting(&self) -> bool {
        !self.items.is_empty()
    }

    pub(super) fn push(&mut self, item: Incoming) {
        self.bytes += item.bytes();
        let now = u32::try_from(self.begun.elapsed().as_secs()).unwrap_or(u32::MAX);
        let prefixes = match &item {
            Incoming::Planned(planned) => planned.ask.prefixes.as_ref(),
            _ => None,
        };
        let before = prefixes.map(|prefixes| self.census.add(prefixes, now));
        self.items.push_back((item, before));
    }

    /// Removes and returns the first item if it does not need to wait any longer. With `all`, no item waits.
    pub(super) fn pop(&mut self, all: bool) -> Option<Incoming> {
        let (_, before) = self.items.front()?;
        let is_full = self.items.len() > ROWS || self.bytes > BYTES;
        if before.is_some() && !all && !is_full {
            return None;
        }
        let (mut item, before) = self.items.pop_front()?;
        self.bytes -= item.bytes();
        if let (Incoming::Planned(planned), Some(before)) = (&mut item, before) {
            decide(planned, &before, &mut self.census);
        }
        Some(item)
    }
}

/// Decides which prefixes of a row are marked, and removes the others.
fn decide(planned: &mut Planned, before: &Before, census: &mut StreamCensus) {
    let Some(prefixes) = planned.ask.prefixes.take() else { return };
    let mut prefixes = Prefixes::clone(&prefixes);
    if let Some(lifetime) = census.decide(&mut prefixes, before) {
        planned.ask.expect_writes(&prefixes, lifetime);
        planned.ask.prefixes = Some(prefixes.into());
    }
}

/// Reads on a thread of its own. The thread ends with the input, or at the next row after the receiver is dropped.
pub(super) fn read_on_a_thread(mut reading: Reading) -> std::io::Result<Receiver<Result<Read, SourceError>>> {
    let (give, reads) = sync_channel(READ_AHEAD);
    std::thread::Builder::new().name("pipe".to_owned()).spawn(move || {
        while let Some(read) = reading.next()
            && give.send(read).is_ok()
        {}
    })?;
    Ok(reads)
}

/// Waits for the next row; `Ok(None)` at the end of the input, and `Err` if nothing has come for a while.
pub(super) fn next(
    reads: &Receiver<Result<Read, SourceError>>,
    may_wait: bool,
) -> Result<Option<Result<Read, SourceError>>, ()> {
    if may_wait {
        return Ok(reads.recv().ok());
    }
    match reads.recv_timeout(IDLE) {
        Ok(read) => Ok(Some(read)),
        Err(RecvTimeoutError::Disconnected) => Ok(None),
        Err(RecvTimeoutError::Timeout) => Err(()),
    }
}
