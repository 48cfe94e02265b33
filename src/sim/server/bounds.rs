//! Limits on the time, connections and memory that clients can make the server use.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Limits on the resources that the server uses.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How long a connection may be open without a request on it: before its first one, between two, or while the head
    /// of one arrives. It is longer than clients keep unused connections, so that the clients close them first.
    pub quiet: Duration,
    /// How long a body may take to arrive.
    pub body: Duration,
    /// Connections at once; further ones wait until one is closed.
    pub connections: usize,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// Bytes of all bodies that are being received.
    pub body_bytes: usize,
    /// Bytes of all requests and answers in flight, without the bodies of the requests.
    pub answer_bytes: usize,
}

impl Default for Bounds {
    /// Returns bounds with as many connections as a run can use, and with memory for the bodies and answers of all but
    /// extreme runs.
    fn default() -> Self {
        Self {
            quiet: Duration::from_secs(60),
            body: Duration::from_secs(60),
            connections: 10_240,
            head_bytes: 32 << 10,
            body_bytes: 256 << 20,
            answer_bytes: 512 << 20,
        }
    }
}

/// Bytes that may be held at once.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    held: Arc<AtomicUsize>,
    most: usize,
}

impl Budget {
    /// Returns a budget of this many bytes.
    pub(super) fn new(most: usize) -> Self {
        Self { held: Arc::default(), most }
    }

    /// Returns whether there is room for anything.
    pub(super) fn has_room(&self) -> bool {
        self.held.load(Ordering::Relaxed) < self.most
    }

    /// Returns an empty share of it.
    pub(super) fn share(&self) -> Share {
        Share { held: self.held.clone(), bytes: 0 }
    }
}

/// A part of a budget; it is returned when dropped.
#[derive(Debug)]
pub(super) struct Share {
    held: Arc<AtomicUsize>,
    bytes: usize,
}

impl Share {
    /// Takes bytes without checking that there is room; ask first.
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
