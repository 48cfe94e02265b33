//! Results on standard output: a thread hands them over, since whoever reads the pipe may take its time, and the run's
//! loop must not wait for it.
//!
//! Owns the thread and the queue in front of it. Lines wait a hundredth of a second at most, unless the pipe is full; the
//! error log goes the same way, so that both keep one order. When standard output is gone the thread goes on with the error
//! log alone: rows that were read from a pipe are kept nowhere else.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::disk::DiskFailure;
use super::syncer::{Guard, Syncer, spawn};
use super::writer::{Group, Targets};
use crate::sink::Log;

/// Writes begin so far apart, unless there is much to write or nothing more comes: a switch of threads and a call to the
/// system for each turn of the loop would cost as much as a quarter of its requests.
const WRITE_EVERY: Duration = Duration::from_millis(10);
/// So many bytes are written at once: two hundred lines.
const WRITE_BYTES: usize = 256 << 10;

/// The thread and its queue.
pub(super) struct Stream {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    syncer: Arc<Syncer>,
}

#[derive(Default)]
struct Queue {
    group: Group,
    is_closed: bool,
    /// Somebody waits for what was appended: no pace is kept any more.
    is_hurried: bool,
    /// Whether the thread sleeps until it is woken: while it keeps its pace it needs no call.
    waits: bool,
    /// Whether lines for the error log are taken after a failure.
    takes_errors: bool,
}

impl Stream {
    /// Starts the thread. What it writes it tells `syncer`, and its end.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn start(targets: Targets, syncer: Arc<Syncer>) -> Result<Self, DiskFailure> {
        let shared = Arc::new(Shared::new(syncer));
        let own = Arc::clone(&shared);
        let thread = Some(spawn("stream", move || write_groups(&own, targets))?);
        Ok(Self { shared, thread })
    }

    /// Takes whole lines.
    ///
    /// # Errors
    /// The failure that stopped the writer.
    pub(super) fn append(&self, log: Log, parts: &[&[u8]], seq: u64) -> Result<(), DiskFailure> {
        let mut queue = self.shared.queue();
        if let Some(failure) = self.shared.syncer.failure()
            && (log == Log::Results || !queue.takes_errors)
        {
            return Err(failure);
        }
        let rested = queue.lets_rest();
        queue.group.push(log, parts, seq);
        self.shared.syncer.note_taken(parts.iter().map(|part| part.len()).sum());
        let is_much = rested && !queue.lets_rest();
        let waits = std::mem::take(&mut queue.waits);
        drop(queue);
        if waits || is_much {
            self.shared.wake.notify_one();
        }
        Ok(())
    }

    /// Lets everything be written as soon as it can: somebody waits for it.
    pub(super) fn hurry(&self) {
        self.shared.queue().is_hurried = true;
        self.shared.wake.notify_one();
    }

    /// Writes what is queued and ends.
    pub(super) fn stop(&mut self) {
        self.shared.queue().is_closed = true;
        self.shared.wake.notify_one();
        // A panic of the thread was recorded as a failure by its guard.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Shared {
    fn new(syncer: Arc<Syncer>) -> Self {
        Self { queue: Mutex::default(), wake: Condvar::new(), syncer }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something to write, and until `earliest` while more may come; `None` when there will be no
    /// more.
    fn next_group(&self, emptied: Group, earliest: Instant) -> Option<Group> {
        let mut queue = self.queue();
        let rest = || earliest.checked_duration_since(Instant::now());
        while let Some(rest) = rest().filter(|_| queue.lets_rest()) {
            queue = self.wake.wait_timeout(queue, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
        while queue.group.bytes() == 0 && !queue.is_closed {
            queue.waits = true;
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let is_over = queue.group.bytes() == 0 || self.syncer.failure().is_some();
        (!is_over).then(|| std::mem::replace(&mut queue.group, emptied))
    }

    /// Waits until there is something for the error log, once nothing else is taken; `None` when there will be no more.
    fn next_errors(&self, emptied: Group) -> Option<Group> {
        let mut queue = self.queue();
        // Results that were queued before the failure have nowhere to go.
        queue.group.results.clear();
        while queue.group.errors.is_empty() && !queue.is_closed {
            queue.waits = true;
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let is_over = queue.group.errors.is_empty();
        (!is_over).then(|| std::mem::replace(&mut queue.group, emptied))
    }
}

impl Queue {
    fn lets_rest(&self) -> bool {
        !self.is_closed && !self.is_hurried && self.group.bytes() < WRITE_BYTES
    }
}

fn write_groups(shared: &Shared, mut targets: Targets) {
    let syncer = &*shared.syncer;
    let _end = End(syncer);
    let _guard = Guard(syncer, "the writer panicked");
    let mut emptied = Group::default();
    let mut earliest = Instant::now();
    while let Some(mut group) = shared.next_group(emptied, earliest) {
        earliest = Instant::now() + WRITE_EVERY;
        if let Err(failure) = targets.write(&group) {
            let log_outlives = targets.log_outlives(&failure);
            shared.queue().takes_errors = log_outlives;
            syncer.fail(failure);
            return if log_outlives {
                write_errors(shared, targets, group)
            };
        }
        syncer.note_written(&[(Log::Results, group.results.len()), (Log::Errors, group.errors.len())], group.up_to);
        group.clear();
        emptied = group;
    }
}

/// Goes on with the error log alone, once the failure can be reported; begins with what the failed group has for it.
fn write_errors(shared: &Shared, mut targets: Targets, failed: Group) {
    shared.syncer.end();
    let mut next = Some(failed);
    while let Some(mut group) = next {
        if !group.errors.is_empty() && targets.commit_errors(&group).is_err() {
            shared.queue().takes_errors = false;
            return;
        }
        group.clear();
        next = shared.next_errors(group);
    }
}

/// Tells the syncer that nothing more will be written.
struct End<'a>(&'a Syncer);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_somebody_waits_for_keep_no_pace() {
        let shared = Shared::new(Arc::default());
        shared.queue().group.push(Log::Results, &[b"line\n"], 1);
        assert!(shared.queue().lets_rest());

        shared.queue().is_hurried = true;

        assert!(shared.next_group(Group::default(), never()).is_some_and(|group| group.up_to == 1));
    }

    #[test]
    fn much_to_write_keeps_no_pace() {
        let shared = Shared::new(Arc::default());

        shared.queue().group.push(Log::Results, &[&vec![b' '; WRITE_BYTES]], 1);

        assert!(shared.next_group(Group::default(), never()).is_some_and(|group| group.bytes() == WRITE_BYTES));
    }

    #[test]
    fn nothing_is_written_after_a_failure() {
        let shared = Shared::new(Arc::default());
        shared.queue().group.push(Log::Results, &[b"line\n"], 1);

        shared.syncer.fail(DiskFailure::of("sync", "errors".as_ref())(std::io::ErrorKind::StorageFull.into()));

        assert!(shared.next_group(Group::default(), Instant::now()).is_none());
    }

    fn never() -> Instant {
        Instant::now() + Duration::from_secs(86_400)
    }
}
