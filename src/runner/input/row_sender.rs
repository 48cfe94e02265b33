//! The sending end of the channel from the input to the loop of the run.
//!
//! Skipped rows are only counted, and the count is sent from time to time. At millions of rows per second, a message
//! for each skipped row would wake the loop much too often.
//!
//! A row is sent immediately after it is read. But if the channel is full (in rows or in bytes), the reader waits until
//! half of the channel is free. If the reader continued whenever the loop had received a row, the reader and the loop
//! would run alternately. If the reader and the loop took turns, each row would cost two thread switches.
//!
//! The reader knows how many bytes are in the channel, and does not have to ask the loop. Two facts tell the reader how
//! many bytes are in the channel. Rows leave the channel in the order in which they were sent. So the rows in the
//! channel are the rows that were sent last. The channel also knows how many rows it contains.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};

use tokio::sync::mpsc;

use super::incoming::Incoming;

/// The number of bytes of rows that the channel can contain. A single row is allowed to be larger than this. The rows
/// in the loop itself can have three times as many bytes as the rows in the channel.
const FEED_BYTES: usize = 16 << 20;

/// The sending end of the channel from the input to the loop.
pub(super) struct RowSender<'a> {
    rows: &'a mpsc::Sender<Incoming>,
    permits: Option<mpsc::PermitIterator<'a, Incoming>>,
    /// The rows that were sent last: all rows in the channel, and perhaps some earlier rows.
    last: Last,
    skipped: u64,
}

/// The sizes of the rows that were sent last.
#[derive(Default)]
struct Last {
    sizes: VecDeque<usize>,
    bytes: usize,
}

impl Last {
    fn push(&mut self, bytes: usize) {
        self.sizes.push_back(bytes);
        self.bytes += bytes;
    }

    /// Forgets the sizes of all rows except the last `rows` rows.
    fn keep(&mut self, rows: usize) {
        while self.sizes.len() > rows {
            self.bytes -= self.sizes.pop_front().unwrap_or_default();
        }
    }

    /// Forgets the sizes of rows, beginning with the oldest row, until the remaining rows have at most `bytes` bytes.
    /// Returns the number of rows that remain.
    fn keep_bytes(&mut self, bytes: usize) -> usize {
        while self.bytes > bytes {
            self.keep(self.sizes.len() - 1);
        }
        self.sizes.len()
    }
}

impl<'a> RowSender<'a> {
    pub(super) fn new(rows: &'a mpsc::Sender<Incoming>) -> Self {
        Self { rows, permits: None, last: Last::default(), skipped: 0 }
    }

    /// Counts a skipped row. Returns `false` if the loop no longer receives items.
    pub(super) fn skip(&mut self) -> bool {
        const TOLD_AT_ONCE: u64 = 256;
        self.skipped += 1;
        self.skipped < TOLD_AT_ONCE || self.send_skipped()
    }

    pub(super) fn send_skipped(&mut self) -> bool {
        match std::mem::take(&mut self.skipped) {
            0 => true,
            skipped => self.pass(Incoming::Skipped(skipped)),
        }
    }

    /// Sends an item to the loop of the run. Returns `false` if the loop no longer receives items.
    pub(super) fn send(&mut self, item: Incoming) -> bool {
        self.send_skipped() && self.pass(item)
    }

    fn pass(&mut self, item: Incoming) -> bool {
        let bytes = item.bytes();
        self.last.keep(self.rows.max_capacity());
        if self.last.bytes + bytes > FEED_BYTES && !self.has_bytes_for(bytes) {
            let kept = self.last.keep_bytes((FEED_BYTES / 2).saturating_sub(bytes));
            self.permits = None;
            if !self.wait_for_free(self.rows.max_capacity() - kept) {
                return false;
            }
        }
        self.last.push(bytes);
        self.put(item)
    }

    /// Updates the list of rows that are still in the channel. Returns whether the channel has room for `bytes` more
    /// bytes.
    fn has_bytes_for(&mut self, bytes: usize) -> bool {
        let reserved = self.permits.as_ref().map_or(0, ExactSizeIterator::len);
        self.last.keep(self.rows.max_capacity() - self.rows.capacity() - reserved);
        self.last.bytes + bytes <= FEED_BYTES || self.last.sizes.is_empty()
    }

    fn put(&mut self, item: Incoming) -> bool {
        if let Some(permit) = self.permits.as_mut().and_then(Iterator::next) {
            permit.send(item);
            return !self.rows.is_closed();
        }
        self.permits = None;
        match self.rows.try_send(item) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(item)) => {
                self.wait_for_free(self.rows.max_capacity().div_ceil(2)) && self.put(item)
            }
        }
    }

    /// Waits until the channel has room for `slots` more items, and reserves this room. Returns `false` if the loop no
    /// longer receives items.
    fn wait_for_free(&mut self, slots: usize) -> bool {
        self.permits = wait_for(self.rows.reserve_many(slots)).ok();
        self.permits.is_some()
    }
}

/// Waits for a future on this thread, which belongs to no runtime.
fn wait_for<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::tests::long;

    #[test]
    fn the_channel_is_limited_by_bytes_for_large_rows_and_by_number_for_small_rows() {
        for (bytes, most) in [(1_000, 256), (200_000, 83), (FEED_BYTES / 2, 1), (2 * FEED_BYTES, 1)] {
            let row = long("one", bytes);
            let (out, mut arrived) = mpsc::channel(256);

            let held: Vec<usize> = std::thread::scope(|scope| {
                scope.spawn(move || {
                    let mut sender = RowSender::new(&out);
                    assert!((0..300).all(|_| sender.send(Incoming::Planned(row.clone()))));
                });
                while arrived.len() < most {
                    std::thread::yield_now();
                }
                let next = || {
                    // These calls give the reader's thread time to continue.
                    (0..20).for_each(|_| std::thread::yield_now());
                    let held = arrived.len();
                    arrived.blocking_recv().map(|_| held)
                };
                std::iter::from_fn(next).collect()
            });

            assert_eq!((held.len(), held.into_iter().max()), (300, Some(most)), "{bytes} bytes");
        }
    }

    #[test]
    fn random_rows_arrive_in_order_and_stay_within_the_limit_on_bytes() {
        let sizes = (4..25).step_by(4).map(|power| Incoming::Planned(long("one", 1 << power)));
        let sizes: Vec<_> = sizes.chain([Incoming::Skipped(1), Incoming::Warning("text".to_owned())]).collect();
        for seed in 0..20 {
            let mut random = fastrand::Rng::with_seed(seed);
            let order: Vec<usize> = (0..500).map(|_| random.usize(0..sizes.len())).collect();
            let (out, mut arrived) = mpsc::channel(random.usize(1..300));

            let (sizes, order) = (&sizes, &order);
            let size_of = |at: usize| sizes[order[at]].bytes();
            let (arrived, held): (Vec<_>, Vec<_>) = std::thread::scope(|scope| {
                scope.spawn(move || {
                    let mut sender = RowSender::new(&out);
                    assert!(order.iter().all(|&at| sender.send(copy(&sizes[at]))));
                });
                let next = || arrived.blocking_recv().map(|item| (item.bytes(), arrived.len()));
                std::iter::from_fn(next).unzip()
            });

            assert!((0..500).map(size_of).eq(arrived), "seed {seed}");
            for (at, rows) in held.into_iter().enumerate() {
                let sizes = || (at + 1..500).take(rows).map(size_of).filter(|bytes| *bytes > 0);
                let bytes: usize = sizes().sum();
                assert!(bytes <= FEED_BYTES || sizes().count() == 1, "seed {seed}: {rows} rows behind row {at}");
            }
        }
    }

    fn copy(item: &Incoming) -> Incoming {
        match item {
            Incoming::Planned(planned) => Incoming::Planned(planned.clone()),
            Incoming::Rerun(planned) => Incoming::Rerun(planned.clone()),
            Incoming::Skipped(rows) => Incoming::Skipped(*rows),
            Incoming::Warning(text) => Incoming::Warning(text.clone()),
            Incoming::Reused(_)
            | Incoming::Rejected(_)
            | Incoming::Broken(_)
            | Incoming::Recognized(_)
            | Incoming::Submitted(_)
            | Incoming::Failed(..) => {
                panic!("not among them: {item:?}")
            }
        }
    }
}
