//! The threaded writer: one thread hands lines to the system as they come, another syncs what was handed over.
//!
//! A line that the system has survives the death of the process, so what a death can lose is bounded by what was in
//! flight, however slow the disk syncs; a loss of power can lose one group, as the writer says.
//!
//! Syncs keep a pace, so that the work of a moment is done in one piece; it ends where there is much to do, and where
//! somebody waits.
//!
//! Owns both threads and the queue between them. After a failed write or sync the queue takes nothing more; what was
//! handed over before a failed write is still synced and reported, then the failure is reported, once.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::disk::{DiskFailure, DiskFile};
use super::writer::{Commit, Fsync, Group, OnCommit, Targets};
use crate::sink::Log;

/// Syncs begin so far apart, unless there is much to sync or nothing more comes. A sync and its two switches of threads
/// cost as much as ten requests; at a thousand rows a second, syncing at once would do it for every third row. Nobody sees
/// that a row is done a fifth of a second later, a death of the process loses nothing more by it (the system has the
/// lines), and what a loss of power can take stays far below a second's work.
///
/// Writes keep no pace: at one in 50 ms a process that was killed lost more answers than were in flight.
const SYNC_EVERY: Duration = Duration::from_millis(200);
/// So many bytes are synced at once: few against those that may wait before sending stops.
const SYNC_BYTES: usize = 1 << 20;

/// The two threads and what they share with whoever appends.
pub(super) struct Pipeline {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake_writer: Condvar,
    wake_syncer: Condvar,
    /// Bytes appended and not yet durable.
    backlog: AtomicUsize,
}

#[derive(Default)]
struct Queue {
    /// Appended and not with the system.
    group: Group,
    /// With the system, and no sync has begun since.
    written: Option<Written>,
    is_closed: bool,
    /// Somebody waits for what was appended: no pace is kept any more.
    is_hurried: bool,
    /// Whether the writer sleeps until it is woken, and whether the syncer does: one that is at work or keeps its pace
    /// needs no call.
    writer_waits: bool,
    syncer_waits: bool,
    /// Nothing more will be written.
    is_written_out: bool,
    failed: Option<DiskFailure>,
    /// Whether lines for the error log are taken after a failure.
    takes_errors: bool,
}

/// Lines that the system has.
struct Written {
    up_to: u64,
    bytes: usize,
    is_in_results: bool,
    is_in_errors: bool,
}

/// A file to be synced, and its name; `None` for a pipe.
pub(super) type Synced = Option<(Arc<dyn DiskFile>, PathBuf)>;

impl Pipeline {
    /// Starts both threads.
    ///
    /// # Errors
    /// When a thread can't be started.
    pub(super) fn start(targets: Targets, on_commit: OnCommit) -> Result<Self, DiskFailure> {
        let shared = Arc::new(Shared::default());
        let mut pipeline = Self { shared: Arc::clone(&shared), threads: Vec::with_capacity(2) };
        let (results, errors, fsync) = (targets.results.synced(), targets.errors.synced(), targets.fsync);
        let own = Arc::clone(&shared);
        pipeline.spawn("journal", move || write_groups(&own, targets))?;
        pipeline.spawn("sync", move || sync_groups(&shared, [results, errors], fsync, &on_commit))?;
        Ok(pipeline)
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), DiskFailure> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
        self.threads.push(thread.map_err(DiskFailure::of("start the writer of", Path::new("results")))?);
        Ok(())
    }

    /// Takes a line.
    ///
    /// # Errors
    /// The failure that stopped the writer.
    pub(super) fn append(&self, log: Log, line: &[u8], seq: u64) -> Result<(), DiskFailure> {
        self.add(log, line.len(), |group| group.push(log, line, seq))
    }

    /// Takes whole lines out of `lines`.
    ///
    /// # Errors
    /// The failure that stopped the writer.
    pub(super) fn append_all(&self, log: Log, lines: &mut Vec<u8>, seq: u64) -> Result<(), DiskFailure> {
        self.add(log, lines.len(), |group| group.take(log, lines, seq))
    }

    fn add(&self, log: Log, bytes: usize, add: impl FnOnce(&mut Group)) -> Result<(), DiskFailure> {
        let mut queue = self.shared.queue();
        if let Some(failure) = &queue.failed
            && (log == Log::Results || !queue.takes_errors)
        {
            return Err(failure.clone());
        }
        add(&mut queue.group);
        self.shared.backlog.fetch_add(bytes, Ordering::Relaxed);
        let waits = std::mem::take(&mut queue.writer_waits);
        drop(queue);
        if waits {
            self.shared.wake_writer.notify_one();
        }
        Ok(())
    }

    /// Returns how many bytes were appended and are not yet durable.
    pub(super) fn backlog_bytes(&self) -> usize {
        self.shared.backlog.load(Ordering::Relaxed)
    }

    /// Lets everything become durable as soon as it can: somebody waits for it.
    pub(super) fn hurry(&self) {
        self.shared.queue().is_hurried = true;
        self.shared.wake_syncer.notify_one();
    }

    /// Makes everything durable and stops.
    ///
    /// # Errors
    /// The failure that stopped the writer, whenever it was.
    pub(super) fn close(&mut self) -> Result<(), DiskFailure> {
        self.stop();
        self.shared.queue().failed.take().map_or(Ok(()), Err)
    }

    fn stop(&mut self) {
        self.shared.queue().is_closed = true;
        self.shared.wake_writer.notify_one();
        for thread in self.threads.drain(..) {
            // A panic of the thread was recorded as a failure by its guard.
            let _ = thread.join();
        }
    }
}

impl Drop for Pipeline {
    /// Writes what is queued even when the run's loop panicked.
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is something to write; `None` when there will be no more.
    fn next_group(&self, emptied: Group) -> Option<Group> {
        let mut queue = self.queue();
        while queue.group.bytes() == 0 && !queue.is_closed && queue.failed.is_none() {
            queue.writer_waits = true;
            queue = self.wake_writer.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        if queue.group.bytes() == 0 || queue.failed.is_some() {
            return None;
        }
        Some(std::mem::replace(&mut queue.group, emptied))
    }

    /// Waits until something was written since the last sync began, and until `earliest` while more may come; `None`
    /// when there will be no more.
    fn next_written(&self, earliest: Instant) -> Option<Written> {
        let mut queue = self.queue();
        let rest = || earliest.checked_duration_since(Instant::now());
        while let Some(rest) = rest().filter(|_| queue.lets_syncer_rest()) {
            queue = self.wake_syncer.wait_timeout(queue, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
        while queue.written.is_none() && !queue.is_written_out {
            queue.syncer_waits = true;
            queue = self.wake_syncer.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.written.take()
    }

    /// Waits until there is something for the error log, once nothing else is taken; `None` when there will be no more.
    fn next_errors(&self, emptied: Group) -> Option<Group> {
        let mut queue = self.queue();
        // Results that were queued before the failure have nowhere to go.
        queue.group.results.clear();
        while queue.group.errors.is_empty() && !queue.is_closed {
            queue.writer_waits = true;
            queue = self.wake_writer.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let is_over = queue.group.errors.is_empty();
        (!is_over).then(|| std::mem::replace(&mut queue.group, emptied))
    }

    /// Notes what the system has; returns whether the syncer must be woken for it.
    fn note_written(&self, group: &Group) -> bool {
        let mut queue = self.queue();
        queue.note_written(group);
        std::mem::take(&mut queue.syncer_waits) || !queue.lets_syncer_rest()
    }

    fn fail(&self, failure: DiskFailure) {
        self.queue().failed.get_or_insert(failure);
        self.wake_writer.notify_one();
    }
}

impl Queue {
    fn lets_syncer_rest(&self) -> bool {
        let is_needed = self.is_written_out || self.is_hurried;
        !is_needed && self.written.as_ref().is_none_or(|written| written.bytes < SYNC_BYTES)
    }

    fn note_written(&mut self, group: &Group) {
        let earlier = self.written.take();
        let was_in = |pick: fn(&Written) -> bool| earlier.as_ref().is_some_and(pick);
        self.written = Some(Written {
            up_to: group.up_to,
            bytes: group.bytes() + earlier.as_ref().map_or(0, |written| written.bytes),
            is_in_results: !group.results.is_empty() || was_in(|written| written.is_in_results),
            is_in_errors: !group.errors.is_empty() || was_in(|written| written.is_in_errors),
        });
    }
}

fn write_groups(shared: &Shared, mut targets: Targets) {
    let _guard = WriterGuard(shared);
    let mut emptied = Group::default();
    while let Some(mut group) = shared.next_group(emptied) {
        if let Err(failure) = targets.write(&group) {
            let log_outlives = targets.log_outlives(&failure);
            shared.queue().takes_errors = log_outlives;
            shared.fail(failure);
            return if log_outlives {
                write_errors(shared, targets)
            };
        }
        if shared.note_written(&group) {
            shared.wake_syncer.notify_one();
        }
        group.clear();
        emptied = group;
    }
}

/// Goes on with the error log alone, after the failure was reported.
fn write_errors(shared: &Shared, mut targets: Targets) {
    shared.queue().is_written_out = true;
    shared.wake_syncer.notify_one();
    let mut emptied = Group::default();
    while let Some(mut group) = shared.next_errors(emptied) {
        if let Err(failure) = targets.commit_errors(&group) {
            let mut queue = shared.queue();
            (queue.failed, queue.takes_errors) = (Some(failure), false);
            return;
        }
        group.clear();
        emptied = group;
    }
}

fn sync_groups(shared: &Shared, [results, errors]: [Synced; 2], fsync: Fsync, on_commit: &OnCommit) {
    let _guard = SyncerGuard(shared);
    let mut earliest = Instant::now();
    while let Some(written) = shared.next_written(earliest) {
        earliest = Instant::now() + SYNC_EVERY;
        let wanted = [(&results, written.is_in_results), (&errors, written.is_in_errors)];
        let files = wanted.into_iter().filter(|(_, is_in)| *is_in && fsync != Fsync::Off);
        let done = files.filter_map(|(file, _)| file.as_ref()).try_for_each(|(file, path)| {
            let synced = file.sync();
            synced.map_err(DiskFailure::of("sync", path))
        });
        if let Err(failure) = done {
            shared.fail(failure.clone());
            return on_commit(Commit::Failed(failure));
        }
        shared.backlog.fetch_sub(written.bytes, Ordering::Relaxed);
        on_commit(Commit::Durable { up_to: written.up_to });
    }
    let failed = shared.queue().failed.clone();
    if let Some(failure) = failed {
        on_commit(Commit::Failed(failure));
    }
}

/// Tells the syncer that nothing more will be written, and turns a panic into a failure, so that nobody queues lines
/// that are never written.
struct WriterGuard<'a>(&'a Shared);

impl Drop for WriterGuard<'_> {
    fn drop(&mut self) {
        note_panic(self.0, "the writer panicked");
        self.0.queue().is_written_out = true;
        self.0.wake_syncer.notify_one();
    }
}

/// Turns a panic into a failure.
struct SyncerGuard<'a>(&'a Shared);

impl Drop for SyncerGuard<'_> {
    fn drop(&mut self) {
        note_panic(self.0, "the syncer panicked");
    }
}

fn note_panic(shared: &Shared, what: &str) {
    if std::thread::panicking() {
        shared.fail(DiskFailure::of("write", Path::new("results"))(std::io::Error::other(what)));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::super::disk::LockAttempt;
    use super::super::writer::Target;
    use super::*;

    /// A file whose syncs take until they are let through.
    struct SlowFile {
        written: Sender<usize>,
        go_on: Mutex<Receiver<()>>,
    }

    impl DiskFile for SlowFile {
        fn size(&self) -> io::Result<u64> {
            Ok(0)
        }
        fn read_at(&self, _buffer: &mut [u8], _offset: u64) -> io::Result<usize> {
            Ok(0)
        }
        fn write_at(&self, bytes: &[u8], _offset: u64) -> io::Result<()> {
            self.written.send(bytes.len()).map_err(io::Error::other)
        }
        fn sync(&self) -> io::Result<()> {
            self.go_on.lock().expect("nobody panics").recv().map_err(io::Error::other)
        }
        fn truncate(&self, _size: u64) -> io::Result<()> {
            Ok(())
        }
        fn try_lock(&self) -> io::Result<LockAttempt> {
            Ok(LockAttempt::Unsupported)
        }
    }

    #[test]
    fn lines_reach_the_system_while_a_sync_is_in_flight_and_are_reported_after_the_next() {
        let (written, bytes) = mpsc::channel();
        let (go_on, waits) = mpsc::channel();
        let file = SlowFile { written, go_on: Mutex::new(waits) };
        let target = Target::File { file: Arc::new(file), path: "results".into(), end: 0 };
        let errors = Target::Stream(Box::new(io::sink()));
        let (tell, commits) = mpsc::channel();
        let on_commit: OnCommit = Box::new(move |commit| tell.send(commit).expect("the test listens"));
        let targets = Targets { results: target, errors, fsync: Fsync::Batch };
        let mut pipeline = Pipeline::start(targets, on_commit).expect("threads can be started");

        for seq in 1..=3 {
            pipeline.append(Log::Results, b"line\n", seq).expect("the disk works");
            assert_eq!(bytes.recv(), Ok(5), "it does not wait for the sync");
        }
        assert!(commits.try_recv().is_err() && pipeline.backlog_bytes() == 15);
        for _ in 0..3 {
            go_on.send(()).expect("the file waits");
        }
        pipeline.close().expect("the disk works");

        let last = commits.try_iter().last();
        assert!(matches!(last, Some(Commit::Durable { up_to: 3 })), "{last:?}");
        assert_eq!(pipeline.backlog_bytes(), 0);
    }

    #[test]
    fn a_line_that_somebody_waits_for_keeps_no_pace() {
        let never = Instant::now() + Duration::from_secs(86_400);
        let shared = Shared::default();
        shared.note_written(&group(5));

        shared.queue().is_hurried = true;

        assert!(shared.next_written(never).is_some());
    }

    #[test]
    fn much_to_sync_keeps_no_pace_and_wakes_the_syncer() {
        let never = Instant::now() + Duration::from_secs(86_400);
        let shared = Shared::default();

        assert!(!shared.note_written(&group(5)), "it keeps its pace");
        assert!(shared.note_written(&group(SYNC_BYTES)));

        assert!(shared.next_written(never).is_some());
    }

    fn group(bytes: usize) -> Group {
        let mut group = Group::default();
        group.push(Log::Results, &vec![b' '; bytes], 1);
        group
    }
}
