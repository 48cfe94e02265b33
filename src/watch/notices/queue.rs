//! The queue of notices for one target.
//!
//! The run puts notices into the queue and never waits. The thread of the target takes notices out and sends them. When
//! the queue is full, the oldest notice about a threshold is dropped. A notice about the end of the run is never
//! dropped.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::document::Notice;

/// The largest number of notices in the queue.
const MOST: usize = 16;

/// The queue of notices for one target.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    has_warnings: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Notice>,
    dropped: u64,
    is_sending: bool,
    is_closed: bool,
    is_given_up: bool,
    warnings: Vec<String>,
}

impl Queue {
    /// Returns the locked state. A poisoned lock is ignored, because the state is complete even after a panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.lock());
        self.changed.notify_all();
        changed
    }

    /// Adds a notice to the queue. If the queue is full, the oldest notice about a threshold is dropped.
    pub(super) fn push(&self, notice: Notice) {
        self.change(|state| {
            if state.waiting.len() >= MOST
                && let Some(at) = state.waiting.iter().position(|waiting| !waiting.is_about_the_end)
            {
                state.waiting.remove(at);
                state.dropped += 1;
            }
            state.waiting.push_back(notice);
        });
    }

    /// Closes the queue: no more notices are accepted.
    pub(super) fn close(&self) {
        self.change(|state| state.is_closed = true);
    }

    /// Waits for the next notice and takes it from the queue. Returns `None` if the queue is closed and empty. The
    /// second value is the number of notices that were dropped since the last call.
    pub(super) fn next(&self) -> Option<(Notice, u64)> {
        let mut state = self.lock();
        state.is_sending = false;
        loop {
            if state.is_given_up {
                return None;
            }
            if let Some(notice) = state.waiting.pop_front() {
                state.is_sending = true;
                return Some((notice, std::mem::take(&mut state.dropped)));
            }
            if state.is_closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits before another attempt to send a notice. Returns false if no further attempt is needed, because all
    /// notices were given up during the wait.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, pause, |state| !state.is_given_up);
        !waited.unwrap_or_else(PoisonError::into_inner).0.is_given_up
    }

    /// Stores a warning for the user.
    pub(super) fn warn(&self, warning: String) {
        self.change(|state| state.warnings.push(warning));
        self.has_warnings.store(true, Ordering::Release);
    }

    /// Returns the warnings that were added after the last call.
    pub(super) fn take_warnings(&self) -> Vec<String> {
        match self.has_warnings.swap(false, Ordering::AcqRel) {
            true => self.change(|state| std::mem::take(&mut state.warnings)),
            false => Vec::new(),
        }
    }

    /// Returns whether the queue is empty and no notice is being sent.
    pub(super) fn is_done(&self) -> bool {
        let state = self.lock();
        state.waiting.is_empty() && !state.is_sending
    }

    /// Removes all unsent notices from the queue, and returns their number.
    pub(super) fn give_up(&self) -> usize {
        self.change(|state| {
            state.is_given_up = true;
            let left = state.waiting.len() + usize::from(state.is_sending);
            state.waiting.clear();
            left
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn notice(number: usize, is_about_the_end: bool) -> Notice {
        let body = bytes::Bytes::from(number.to_string());
        Notice { posted: body.clone(), document: body, is_about_the_end }
    }

    #[test]
    fn a_full_queue_drops_its_oldest_threshold_and_never_the_end() {
        let queue = Queue::default();
        queue.push(notice(0, true));
        (1..MOST + 3).for_each(|number| queue.push(notice(number, false)));
        queue.push(notice(99, true));

        queue.close();
        let mut taken = Vec::new();
        let mut dropped = 0;
        while let Some((notice, more)) = queue.next() {
            taken.push(String::from_utf8_lossy(&notice.document).into_owned());
            dropped += more;
        }

        assert_eq!((taken.len(), dropped), (MOST, 4));
        assert_eq!((taken[0].as_str(), taken[1].as_str(), taken[MOST - 1].as_str()), ("0", "5", "99"));
    }

    #[test]
    fn giving_up_ends_a_pause_and_counts_the_remaining_notices() {
        let queue = Arc::new(Queue::default());
        (0..3).for_each(|number| queue.push(notice(number, false)));
        let first = queue.next();
        let paused = queue.clone();
        let thread = std::thread::spawn(move || paused.pause(Duration::from_secs(600)));

        let left = queue.give_up();

        assert!(first.is_some() && !thread.join().expect("it ends"));
        assert_eq!((left, queue.next().is_none(), queue.is_done()), (3, true, true));
    }
}
