//! Reads the rows of a pipe slightly ahead. So if rows share a prefix, the program finds this prefix before it sends
//! the first of these rows.
//!
//! A row waits only if it could share a prefix with another row. A row waits until one of three things happens. The
//! wait ends when the number of waiting rows reaches [`ROWS`], or when their size in bytes reaches [`BYTES`]. The wait
//! also ends when no row has come during the time [`IDLE`]. The wait also ends when the program has waited for the pipe
//! for [`LONGEST`] in total since the row came. So if a pipe has long pauses between rows, each row waits for a tenth
//! of a second. A row never waits for much more than a second.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use crate::domain::{PromptCache, Terms};
use crate::plan::{Before, StreamCensus};
use crate::source::SourceError;

use super::incoming::Incoming;
use super::reading::{Read, Reading};

/// While a row waits, at most this many further rows are read.
const ROWS: usize = 512;
/// While a row waits, at most this many bytes of further rows are read.
const BYTES: usize = 8 << 20;
/// How long rows wait if no further row comes.
const IDLE: Duration = Duration::from_millis(100);
/// How long a row can wait if further rows of the pipe come slowly.
const LONGEST: Duration = Duration::from_secs(1);
/// The number of rows that fit into the channel between the reading thread and the feeding thread.
const READ_AHEAD: usize = 64;

/// The rows that were read and have not been passed to the loop.
pub(super) struct Window {
    census: StreamCensus,
    /// In a run with batches: the census of the rows that batches accept. Such rows get cache marks only if they are
    /// sent online after all.
    census_of_batches: Option<StreamCensus>,
    items: VecDeque<Item>,
    bytes: usize,
    begun: Instant,
    /// How long the program has waited for the pipe while rows were waiting here. Times in which the loop needed no
    /// rows are not included.
    waited: Duration,
}

/// An item that waits to be passed to the loop.
struct Item {
    incoming: Incoming,
    /// What was known about the prefixes of the row when the row came; `None` if the row has no prefixes.
    before: Option<Before>,
    /// The value of [`Window::waited`] when the item came.
    came: Duration,
}

impl Window {
    pub(super) fn new(cache: PromptCache, in_batches: bool) -> Self {
        let (items, begun) = (VecDeque::new(), Instant::now());
        let census_of_batches = in_batches.then(|| StreamCensus::new(cache));
        let census = StreamCensus::new(cache);
        Self { census, census_of_batches, items, bytes: 0, begun, waited: Duration::ZERO }
    }

    /// Returns whether any rows wait here until further rows come.
    pub(super) fn is_waiting(&self) -> bool {
        !self.items.is_empty()
    }

    pub(super) fn push(&mut self, item: Incoming) {
        self.bytes += item.bytes();
        let now = u32::try_from(self.begun.elapsed().as_secs()).unwrap_or(u32::MAX);
        let prefixes = match &item {
            Incoming::Planned(planned) | Incoming::Rerun(planned) => {
                planned.ask.prefixes.clone().map(|prefixes| (prefixes, planned.ask.terms))
            }
            _ => None,
        };
        let before = prefixes.map(|(prefixes, terms)| self.census_of(terms).add(&prefixes, now));
        self.items.push_back(Item { incoming: item, before, came: self.waited });
    }

    /// If the first item does not have to wait any longer, removes and returns the item. If `all` is `true`, no item
    /// has to wait.
    pub(super) fn pop(&mut self, all: bool) -> Option<Incoming> {
        let Item { before, came, .. } = self.items.front()?;
        let is_full = self.items.len() > ROWS || self.bytes > BYTES;
        let is_late = self.waited - *came >= LONGEST;
        if before.is_some() && !all && !is_full && !is_late {
            return None;
        }
        let Item { incoming: mut item, before, .. } = self.items.pop_front()?;
        self.bytes -= item.bytes();
        if let (Incoming::Planned(planned) | Incoming::Rerun(planned), Some(before)) = (&mut item, before) {
            self.census_of(planned.ask.terms).mark(&mut planned.ask, &before);
        }
        Some(item)
    }

    /// Returns the census of the rows that have these terms.
    fn census_of(&mut self, terms: Terms) -> &mut StreamCensus {
        match &mut self.census_of_batches {
            Some(census) if !terms.is_online_only => census,
            _ => &mut self.census,
        }
    }
}

/// Starts a thread that reads the rows of a pipe. The thread ends at the end of the input, or at the next row after the
/// receiver was dropped.
pub(super) fn read_on_a_thread(mut reading: Reading) -> std::io::Result<Receiver<Result<Read, SourceError>>> {
    let (give, reads) = sync_channel(READ_AHEAD);
    std::thread::Builder::new().name("pipe".to_owned()).spawn(move || {
        while let Some(read) = reading.next()
            && give.send(read).is_ok()
        {}
    })?;
    Ok(reads)
}

/// Waits for the next row of the pipe. Returns `Ok(None)` at the end of the input, and `Err` if nothing has come for a
/// while.
pub(super) fn next(
    reads: &Receiver<Result<Read, SourceError>>,
    window: &mut Window,
) -> Result<Option<Result<Read, SourceError>>, ()> {
    if !window.is_waiting() {
        return Ok(reads.recv().ok());
    }
    let begun = Instant::now();
    let read = reads.recv_timeout(IDLE);
    window.waited += begun.elapsed();
    match read {
        Ok(read) => Ok(Some(read)),
        Err(RecvTimeoutError::Disconnected) => Ok(None),
        Err(RecvTimeoutError::Timeout) => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Caching, Level, MarkPlace, Money, PrefixId, Prefixes};
    use crate::scheduler::tests::planned;

    fn row(prefix: u64) -> Incoming {
        let level = Level {
            id: PrefixId(prefix),
            tokens: 4_000,
            place: MarkPlace::Block { brace: 0 },
            lifetime: Caching::FiveMinutes,
        };
        let mut planned = planned("row", 100, 100);
        let prefixes = Prefixes { levels: vec![level], least_tokens: 1_024, extra_most: [Money::ZERO; 2] };
        planned.ask.prefixes = Some(prefixes.into());
        Incoming::Planned(planned)
    }

    #[test]
    fn a_row_waits_for_at_most_a_second_although_other_rows_keep_coming() {
        let mut window = Window::new(PromptCache::Auto, false);
        let mut passed = Vec::new();
        for number in 0..30 {
            window.push(row(number));
            window.waited += Duration::from_millis(90);
            passed.push(std::iter::from_fn(|| window.pop(false)).count());
        }

        assert_eq!(passed[..11], [0; 11]);
        assert_eq!(passed[11..], [1; 19], "each row passes when twelve rows have come");
    }
}
