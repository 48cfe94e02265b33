//! Limits on the time, connections and memory that clients can use.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Limits on the resources that the server uses.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How long a connection can stay open without a request: before the first request, between two requests, and while
    /// the headers of a request arrive. Clients close their unused connections before this time ends.
    pub quiet: Duration,
    /// How long the body of a request can take to arrive.
    pub body: Duration,
    /// The maximum number of open connections. If this many connections are open, a new connection waits until one of
    /// them is closed.
    pub connections: usize,
    /// The maximum length, in bytes, of a request's headers.
    pub head_bytes: usize,
    /// The maximum number of bytes of all request bodies that are being received. Bodies that create batches are not
    /// included in this number.
    pub body_bytes: usize,
    /// For request bodies that create batches: the maximum number of bytes of all such bodies that are being received.
    /// A single body that creates a batch can have 256 MB.
    pub batch_bytes: usize,
    /// The maximum number of bytes of all requests and answers in flight, not counting request bodies.
    pub answer_bytes: usize,
}

impl Default for Bounds {
    /// Returns bounds that allow as many connections as a run can use, and enough memory for almost every run.
    fn default() -> Self {
        Self {
            quiet: Duration::from_secs(60),
            body: Duration::from_secs(60),
            connections: 10_240,
            head_bytes: 32 << 10,
            body_bytes: 256 << 20,
            batch_bytes: 512 << 20,
            answer_bytes: 512 << 20,
        }
    }
}

/// A budget: a limit on how many bytes can be in memory at once.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    held: Arc<AtomicUsize>,
    most: usize,
}

impl Budget {
    /// Returns a budget of `most` bytes.
    pub(super) fn new(most: usize) -> Self {
        Self { held: Arc::default(), most }
    }

    /// Returns whether at least one byte of the budget is left.
    pub(super) fn has_room(&self) -> bool {
        self.held.load(Ordering::Relaxed) < self.most
    }

    /// Returns an empty share of the budget.
    pub(super) fn share(&self) -> Share {
        Share { held: self.held.clone(), bytes: 0 }
    }
}

/// A part of a budget. When a share is dropped, its bytes are free again.
#[derive(Debug)]
pub(super) struct Share {
    held: Arc<AtomicUsize>,
    bytes: usize,
}

impl Share {
    /// Adds bytes to this share without checking the budget. Callers must call [`Budget::has_room`] first.
    pub(super) fn take(&mut self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_share_makes_room() {
        let budget = Budget::new(10);
        let mut share = budget.share();

        share.take(10);
        let during = budget.has_room();
        drop(share);

        assert!(!during && budget.has_room());
    }
}
