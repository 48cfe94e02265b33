//! Writes results to standard output, on a separate thread. The reader of a pipe can be slow, and the run's loop must
//! not wait for this reader.
//!
//! If the pipe is not full, a line waits in the queue of the thread for at most a hundredth of a second. This thread
//! also writes the error log, so lines are written in the order of their numbers. If standard output fails, the thread
//! continues to write the error log, because rows from a pipe are stored nowhere else.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::syncer::{PanicGuard, Syncer, spawn};
use super::target::Targets;
use crate::journal::disk::DiskFailure;
use crate::sink::Log;

/// The time from the beginning of a write to the beginning of the next write. Without a pause, each iteration of the
/// run's loop would need a thread switch and a system call. Together, the switch and the call take a quarter of the
/// time that the iteration needs to send its requests.
const WRITE_EVERY: Duration = Duration::from_millis(10);
/// A write begins immediately if this many bytes (about two hundred lines) are waiting.
const WRITE_BYTES: usize = 256 << 10;
/// The maximum number of bytes that a group keeps allocated after a huge answer.
const KEPT_BYTES: usize = 4 << 20;

/// The thread that writes to standard output, and its queue.
pub(super) struct Stdout {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    syncer: Arc<Syncer>,
}

/// Lines that are written together.
#[derive(Default)]
struct Group {
    results: Vec<u8>,
    errors: Vec<u8>,
    /// The records of the rows whose answers are in this group or in an earlier group.
    answered: Vec<u8>,
    /// Number of the last line in the group.
    up_to: u64,
    /// Whether `up_to` is set. A group can have a number without a line.
    has_number: bool,
}

impl Group {
    /// Adds whole lines. The last of these lines has the number `seq`.
    fn push(&mut self, log: Log, parts: &[&[u8]], seq: u64) {
        let own = match log {
            Log::Results => &mut self.results,
            Log::Errors => &mut self.errors,
        };
        own.reserve(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| own.extend_from_slice(part));
        (self.up_to, self.has_number) = (seq, true);
    }

    fn bytes(&self) -> usize {
        self.results.len() + self.errors.len() + self.answered.len()
    }

    fn write(&self, targets: &mut Targets) -> Result<(), DiskFailure> {
        targets.write(Log::Results, &[&self.results])?;
        targets.write_answered(&self.answered)?;
        targets.write(Log::Errors, &[&self.errors])
    }

    fn clear(&mut self) {
        self.has_number = false;
        for bytes in [&mut self.results, &mut self.errors, &mut self.answered] {
            bytes.clear();
            bytes.shrink_to(KEPT_BYTES);
        }
    }
}

#[derive(Default)]
struct Queue {
    group: Group,
    is_closed: bool,
    /// Whether writes begin immediately, because the run is only waiting for its lines to become durable.
    is_hurried: bool,
    /// Whether the thread sleeps until it is woken. If this is false, the thread wakes up by itself when the next write
    /// is due.
    is_asleep: bool,
    /// Whether the error log still accepts lines after standard output has failed.
    takes_errors: bool,
}

impl Stdout {
    /// Starts the thread. The thread tells `syncer` two things: which lines are written, and when the thread has ended.
    ///
    /// # Errors
    /// The system's error if no thread can be started.
    pub(super) fn start(targets: Targets, syncer: Arc<Syncer>) -> Result<Self, DiskFailure> {
        let shared = Arc::new(Shared::new(syncer));
        let own = Arc::clone(&shared);
        let thread = Some(spawn("stdout", move || write_groups(&own, targets))?);
        Ok(Self { shared, thread })
    }

    /// Adds whole lines to the queue, and the records of answered rows. The answers of these rows are among these lines
    /// and all earlier lines.
    ///
    /// # Errors
    /// The failure that stopped the writer.
    pub(super) fn append(&self, log: Log, parts: &[&[u8]], answered: &[u8], seq: u64) -> Result<(), DiskFailure> {
        let mut queue = self.shared.queue();
        if let Some(failure) = self.shared.syncer.failure()
            && (log == Log::Results || !queue.takes_errors)
        {
            return Err(failure);
        }
        let could_wait = queue.may_wait();
        queue.group.push(log, parts, seq);
        queue.group.answered.extend_from_slice(answered);
        self.shared.syncer.note_taken(parts.iter().map(|part| part.len()).sum());
        let is_due = could_wait && !queue.may_wait();
        let is_asleep = std::mem::take(&mut queue.is_asleep);
        drop(queue);
        if is_asleep || is_due {
            self.shared.wake.notify_one();
        }
        Ok(())
    }

    /// Makes the thread write all waiting lines as soon as possible.
    pub(super) fn hurry(&self) {
        self.shared.queue().is_hurried = true;
        self.shared.wake.notify_one();
    }

    /// Waits until the thread has written all lines and has ended.
    pub(super) fn stop(&mut self) {
        self.shared.queue().is_closed = true;
        self.shared.wake.notify_one();
        // If the thread panicked, its guard has already recorded the panic as a failure.
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

    /// Waits until there are lines to write and the time `earliest` has come. If a write must begin immediately, this
    /// function does not wait for `earliest`. Returns `None` if no more lines will come.
    fn next_group(&self, emptied: Group, earliest: Instant) -> Option<Group> {
        let mut queue = self.queue();
        let left = || earliest.checked_duration_since(Instant::now());
        while let Some(left) = left().filter(|_| queue.may_wait()) {
            queue = self.wake.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        while !queue.group.has_number && !queue.is_closed {
            queue.is_asleep = true;
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let is_over = !queue.group.has_number || self.syncer.failure().is_some();
        (!is_over).then(|| std::mem::replace(&mut queue.group, emptied))
    }

    /// Waits until there are lines to write to the error log. This function is used after standard output has failed.
    /// Returns `None` if no more lines will come.
    fn next_errors(&self, emptied: Group) -> Option<Group> {
        let mut queue = self.queue();
        // Results that were queued before the failure can't be written, so their rows are not answered.
        queue.group.results.clear();
        queue.group.answered.clear();
        while queue.group.errors.is_empty() && !queue.is_closed {
            queue.is_asleep = true;
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let is_over = queue.group.errors.is_empty();
        (!is_over).then(|| std::mem::replace(&mut queue.group, emptied))
    }
}

impl Queue {
    /// Returns whether the next write can be delayed until its planned time.
    fn may_wait(&self) -> bool {
        !self.is_closed && !self.is_hurried && self.group.bytes() < WRITE_BYTES
    }
}

fn write_groups(shared: &Shared, mut targets: Targets) {
    let syncer = &*shared.syncer;
    let _end = EndGuard(syncer);
    let _guard = PanicGuard(syncer, "the writer panicked");
    let mut emptied = Group::default();
    let mut earliest = Instant::now();
    while let Some(mut group) = shared.next_group(emptied, earliest) {
        earliest = Instant::now() + WRITE_EVERY;
        if let Err(failure) = group.write(&mut targets) {
            let log_still_works = targets.log_still_works(&failure);
            shared.queue().takes_errors = log_still_works;
            syncer.fail(failure);
            return if log_still_works {
                write_errors(shared, targets, group)
            };
        }
        syncer.note_written(&[(Log::Results, group.results.len()), (Log::Errors, group.errors.len())], group.up_to);
        group.clear();
        emptied = group;
    }
}

/// After standard output has failed, writes only the error log, beginning with the entries of the failed group.
fn write_errors(shared: &Shared, mut targets: Targets, failed: Group) {
    shared.syncer.end();
    let mut next = Some(failed);
    while let Some(mut group) = next {
        if !group.errors.is_empty() && targets.save_errors(&[&group.errors]).is_err() {
            shared.queue().takes_errors = false;
            return;
        }
        group.clear();
        next = shared.next_errors(group);
    }
}

/// Tells the syncer that no more lines will be written, even after a panic.
struct EndGuard<'a>(&'a Syncer);

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_begins_immediately_when_the_run_only_waits() {
        let shared = Shared::new(Arc::default());
        shared.queue().group.push(Log::Results, &[b"line\n"], 1);
        assert!(shared.queue().may_wait());

        shared.queue().is_hurried = true;

        assert!(shared.next_group(Group::default(), never()).is_some_and(|group| group.up_to == 1));
    }

    #[test]
    fn a_number_without_a_line_is_reported_too() {
        let shared = Shared::new(Arc::default());
        shared.queue().group.push(Log::Errors, &[], 3);
        shared.queue().is_closed = true;

        assert!(shared.next_group(Group::default(), never()).is_some_and(|group| group.up_to == 3));
        assert!(shared.next_group(Group::default(), never()).is_none());
    }

    #[test]
    fn a_write_begins_immediately_when_there_is_much_to_write() {
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
