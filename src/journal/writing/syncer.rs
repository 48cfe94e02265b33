//! The syncer: a thread that makes written lines durable.
//!
//! The writer tells the syncer which lines were written, and does not wait for a sync. Lines are written to the system
//! while a sync of earlier lines is running. Syncs begin at least [`SYNC_EVERY`] apart, so each sync makes many lines
//! durable. A sync begins sooner if there is much to sync, or if the run is only waiting for its lines to become
//! durable.
//!
//! After a failed write or sync, no more lines are accepted. If a write failed, all lines that were written earlier are
//! first synced and reported. Then the failure is reported.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::commit::{Commit, OnCommit};
use super::target::make_durable;
use crate::domain::WriteFault;
use crate::journal::disk::{DiskFailure, DiskFile};
use crate::sink::Log;

/// Time from the beginning of one sync to the beginning of the next. A sync and its two thread switches cost as much as
/// ten requests. If the program synced without a pause, a run of a thousand rows per second would need a sync for every
/// third row. Nobody notices if a row is reported as done a fifth of a second later. A power cut loses far less than a
/// second of work.
const SYNC_EVERY: Duration = Duration::from_millis(200);
/// A sync begins immediately if this many bytes are waiting. The run stops sending requests only if far more bytes are
/// waiting.
const SYNC_BYTES: usize = 1 << 20;

/// The results file and the error log, each with its path; `None` for a file that is not synced.
type FilesToSync = [Option<(Arc<dyn DiskFile>, PathBuf)>; 2];

/// The syncer and its thread.
pub(super) struct SyncThread {
    pub(super) syncer: Arc<Syncer>,
    thread: Option<JoinHandle<()>>,
}

impl SyncThread {
    /// Waits until everything that was written is durable and the thread has ended.
    pub(super) fn stop(&mut self) {
        self.syncer.end();
        // If the thread panicked, its guard has already recorded the panic as a failure.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The state that the writer and the syncer's thread share.
#[derive(Default)]
pub(super) struct Syncer {
    state: Mutex<State>,
    wake: Condvar,
    /// Number of bytes that the writer has accepted and that are not yet durable.
    backlog: AtomicUsize,
}

#[derive(Default)]
struct State {
    /// The lines that were written after the start of the last sync.
    written: Option<Written>,
    /// Whether the writer has ended and no more lines will be written.
    is_ended: bool,
    /// Whether syncs begin immediately, because the run is only waiting for its lines to become durable.
    is_hurried: bool,
    /// Whether the thread sleeps until it is woken. Otherwise, it wakes up by itself when the next sync is due.
    is_asleep: bool,
    failed: Option<DiskFailure>,
}

/// Lines that were written, but not yet synced.
#[derive(Default)]
struct Written {
    up_to: u64,
    bytes: usize,
    is_in_results: bool,
    is_in_errors: bool,
}

impl Syncer {
    /// Starts the thread. The thread ends after [`Syncer::end`], or when a sync fails.
    ///
    /// # Errors
    /// The system's error if no thread can be started.
    pub(super) fn start(files: FilesToSync, on_commit: OnCommit) -> Result<SyncThread, DiskFailure> {
        let syncer = Arc::new(Self::default());
        let own = Arc::clone(&syncer);
        let thread = spawn("sync", move || own.run(files, &on_commit))?;
        Ok(SyncThread { syncer, thread: Some(thread) })
    }

    /// Adds bytes to the backlog: the writer has accepted them, and will write them later.
    pub(super) fn note_taken(&self, bytes: usize) {
        self.backlog.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Notes that all lines up to the number `up_to` are written. `bytes` says how many bytes were written to each log.
    pub(super) fn note_written(&self, bytes: &[(Log, usize)], up_to: u64) {
        let mut state = self.state();
        let written = state.written.get_or_insert_default();
        written.up_to = up_to;
        for &(log, bytes) in bytes.iter().filter(|(_, bytes)| *bytes > 0) {
            written.bytes += bytes;
            match log {
                Log::Results => written.is_in_results = true,
                Log::Errors => written.is_in_errors = true,
            }
        }
        let must_wake = std::mem::take(&mut state.is_asleep) || !state.may_wait();
        drop(state);
        if must_wake {
            self.wake.notify_one();
        }
    }

    /// Returns the number of bytes that the writer has accepted and that are not yet durable.
    pub(super) fn backlog_bytes(&self) -> usize {
        self.backlog.load(Ordering::Relaxed)
    }

    /// Makes the written lines durable as soon as possible.
    pub(super) fn hurry(&self) {
        self.state().is_hurried = true;
        self.wake.notify_one();
    }

    /// Remembers a failure. Only the first failure is kept.
    pub(super) fn fail(&self, failure: DiskFailure) {
        self.state().failed.get_or_insert(failure);
    }

    /// Returns the failure that stopped the writing, if there was one.
    pub(super) fn failure(&self) -> Option<DiskFailure> {
        self.state().failed.clone()
    }

    /// Notes that no more lines will be written. The thread ends when all lines are synced.
    pub(super) fn end(&self) {
        self.state().is_ended = true;
        self.wake.notify_one();
    }

    fn run(&self, [results, errors]: FilesToSync, on_commit: &OnCommit) {
        let _guard = PanicGuard(self, "the syncer panicked");
        let mut earliest = Instant::now();
        while let Some(written) = self.next(earliest) {
            earliest = Instant::now() + SYNC_EVERY;
            let wanted = [(&results, written.is_in_results), (&errors, written.is_in_errors)];
            let mut files = wanted.into_iter().filter(|(_, is_in)| *is_in).filter_map(|(file, _)| file.as_ref());
            let done = files.try_for_each(|(file, path)| make_durable(&**file, path));
            if let Err(failure) = done {
                let fault = WriteFault::from(&failure);
                self.fail(failure);
                return on_commit(Commit::Failed(fault));
            }
            self.backlog.fetch_sub(written.bytes, Ordering::Relaxed);
            on_commit(Commit::UpTo(written.up_to));
        }
        if let Some(failure) = self.failure() {
            on_commit(Commit::Failed(WriteFault::from(&failure)));
        }
    }

    /// Waits until two conditions are true: there are lines to sync, and the time `earliest` has come. If a sync must
    /// begin immediately, this function does not wait for `earliest`. Returns `None` if no more lines will be written.
    fn next(&self, earliest: Instant) -> Option<Written> {
        let mut state = self.state();
        let left = || earliest.checked_duration_since(Instant::now());
        while let Some(left) = left().filter(|_| state.may_wait()) {
            state = self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        while state.written.is_none() && !state.is_ended {
            state.is_asleep = true;
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.written.take()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Returns whether the next sync can wait until it is due.
    fn may_wait(&self) -> bool {
        !self.is_ended && !self.is_hurried && self.written.as_ref().is_none_or(|written| written.bytes < SYNC_BYTES)
    }
}

/// Starts a thread.
///
/// # Errors
/// The system's error if no thread can be started.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, DiskFailure> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map_err(DiskFailure::of("start the writer of", Path::new("results")))
}

/// Records a panic of the thread as a failure. Without this guard, the journal would accept lines that never become
/// durable.
pub(super) struct PanicGuard<'a>(pub(super) &'a Syncer, pub(super) &'static str);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(DiskFailure::of("write", Path::new("results"))(std::io::Error::other(self.1)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_begins_immediately_when_the_run_only_waits() {
        let syncer = Syncer::default();
        syncer.note_written(&[(Log::Results, 5)], 1);

        syncer.hurry();

        let written = syncer.next(never()).expect("something was written");
        assert_eq!((written.up_to, written.bytes), (1, 5));
    }

    #[test]
    fn a_sync_begins_immediately_when_there_is_much_to_sync() {
        let syncer = Syncer::default();
        syncer.note_written(&[(Log::Results, 5)], 1);
        assert!(syncer.state().may_wait());

        syncer.note_written(&[(Log::Results, SYNC_BYTES)], 2);

        let written = syncer.next(never()).expect("something was written");
        assert_eq!((written.up_to, written.bytes, written.is_in_errors), (2, SYNC_BYTES + 5, false));
    }

    #[test]
    fn the_last_sync_begins_immediately() {
        let syncer = Syncer::default();
        syncer.note_written(&[(Log::Results, 0), (Log::Errors, 7)], 3);

        syncer.end();

        let written = syncer.next(never()).expect("something was written");
        assert!(written.is_in_errors && !written.is_in_results);
        assert!(syncer.next(never()).is_none());
    }

    #[test]
    fn only_the_first_failure_is_kept() {
        let syncer = Syncer::default();
        for operation in ["write", "sync"] {
            syncer.fail(DiskFailure::of(operation, Path::new("results"))(std::io::ErrorKind::StorageFull.into()));
        }

        assert_eq!(syncer.failure().map(|failure| failure.operation), Some("write"));
    }

    fn never() -> Instant {
        Instant::now() + Duration::from_secs(86_400)
    }
}
