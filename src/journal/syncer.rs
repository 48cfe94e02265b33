//! The syncer: a thread that makes durable what the system was given.
//!
//! Whoever writes tells it of what is written and goes on: lines reach the system while a sync of earlier ones is in
//! flight. Syncs keep a pace, so that the work of a moment is done in one piece; the pace ends where there is much to do,
//! and where somebody waits for it.
//!
//! After a failed write or sync nothing is taken any more. What was written before a failed write is still synced and
//! reported, then the failure is reported, once.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::disk::{DiskFailure, DiskFile};
use super::writer::{Commit, Fsync, OnCommit};
use crate::sink::Log;

/// Syncs begin so far apart, unless there is much to sync or nothing more comes. A sync and its two switches of threads
/// cost as much as ten requests; at a thousand rows a second, syncing at once would do it for every third row. Nobody sees
/// that a row is done a fifth of a second later, and what a loss of power can take stays far below a second's work.
const SYNC_EVERY: Duration = Duration::from_millis(200);
/// So many bytes are synced at once: few against those that may wait before sending stops.
const SYNC_BYTES: usize = 1 << 20;

/// A file to be synced, and its name; `None` for a pipe.
pub(super) type Synced = Option<(Arc<dyn DiskFile>, PathBuf)>;

/// What those who write and the syncer's thread share.
#[derive(Default)]
pub(super) struct Syncer {
    state: Mutex<State>,
    wake: Condvar,
    /// Bytes taken and not yet durable.
    backlog: AtomicUsize,
}

#[derive(Default)]
struct State {
    /// With the system, and no sync has begun since.
    written: Option<Written>,
    /// Nothing more will be written.
    is_written_out: bool,
    /// Somebody waits for what was written: no pace is kept any more.
    is_hurried: bool,
    /// Whether the thread sleeps until it is woken: while it keeps its pace it needs no call.
    waits: bool,
    failed: Option<DiskFailure>,
}

/// Lines that the system has.
#[derive(Default)]
struct Written {
    up_to: u64,
    bytes: usize,
    is_in_results: bool,
    is_in_errors: bool,
}

impl Syncer {
    /// Starts the thread. It ends after [`Syncer::end`], or when a sync fails.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn start(
        files: [Synced; 2],
        fsync: Fsync,
        on_commit: OnCommit,
    ) -> Result<(Arc<Self>, JoinHandle<()>), DiskFailure> {
        let syncer = Arc::new(Self::default());
        let own = Arc::clone(&syncer);
        let thread = spawn("sync", move || own.run(files, fsync, &on_commit))?;
        Ok((syncer, thread))
    }

    /// Counts bytes that were taken and are to be written.
    pub(super) fn note_taken(&self, bytes: usize) {
        self.backlog.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes note that the system has all lines up to `up_to`, with `bytes` more for each log.
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
        let must_wake = std::mem::take(&mut state.waits) || !state.lets_rest();
        drop(state);
        if must_wake {
            self.wake.notify_one();
        }
    }

    /// Returns how many bytes were taken and are not yet durable.
    pub(super) fn backlog_bytes(&self) -> usize {
        self.backlog.load(Ordering::Relaxed)
    }

    /// Lets what is written become durable as soon as it can: somebody waits for it.
    pub(super) fn hurry(&self) {
        self.state().is_hurried = true;
        self.wake.notify_one();
    }

    /// Notes a failure, unless there was one before.
    pub(super) fn fail(&self, failure: DiskFailure) {
        self.state().failed.get_or_insert(failure);
    }

    /// Returns the failure that stopped everything.
    pub(super) fn failure(&self) -> Option<DiskFailure> {
        self.state().failed.clone()
    }

    /// Notes that nothing more will be written: the thread ends when it has synced what is.
    pub(super) fn end(&self) {
        self.state().is_written_out = true;
        self.wake.notify_one();
    }

    fn run(&self, [results, errors]: [Synced; 2], fsync: Fsync, on_commit: &OnCommit) {
        let _guard = Guard(self, "the syncer panicked");
        let mut earliest = Instant::now();
        while let Some(written) = self.next(earliest) {
            earliest = Instant::now() + SYNC_EVERY;
            let wanted = [(&results, written.is_in_results), (&errors, written.is_in_errors)];
            let files = wanted.into_iter().filter(|(_, is_in)| *is_in && fsync != Fsync::Off);
            let done = files.filter_map(|(file, _)| file.as_ref()).try_for_each(|(file, path)| {
                let synced = file.sync();
                synced.map_err(DiskFailure::of("sync", path))
            });
            if let Err(failure) = done {
                self.fail(failure.clone());
                return on_commit(Commit::Failed(failure));
            }
            self.backlog.fetch_sub(written.bytes, Ordering::Relaxed);
            on_commit(Commit::Durable { up_to: written.up_to });
        }
        if let Some(failure) = self.failure() {
            on_commit(Commit::Failed(failure));
        }
    }

    /// Waits until something was written since the last sync began, and until `earliest` while more may come; `None`
    /// when there will be no more.
    fn next(&self, earliest: Instant) -> Option<Written> {
        let mut state = self.state();
        let rest = || earliest.checked_duration_since(Instant::now());
        while let Some(rest) = rest().filter(|_| state.lets_rest()) {
            state = self.wake.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
        while state.written.is_none() && !state.is_written_out {
            state.waits = true;
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.written.take()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn lets_rest(&self) -> bool {
        let is_needed = self.is_written_out || self.is_hurried;
        !is_needed && self.written.as_ref().is_none_or(|written| written.bytes < SYNC_BYTES)
    }
}

/// Starts a thread of the journal.
///
/// # Errors
/// When the system refuses.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, DiskFailure> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map_err(DiskFailure::of("start the writer of", Path::new("results")))
}

/// Turns a panic of its thread into a failure, so that nobody hands over lines that never become durable.
pub(super) struct Guard<'a>(pub(super) &'a Syncer, pub(super) &'static str);

impl Drop for Guard<'_> {
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
    fn what_somebody_waits_for_keeps_no_pace() {
        let syncer = Syncer::default();
        syncer.note_written(&[(Log::Results, 5)], 1);

        syncer.hurry();

        let written = syncer.next(never()).expect("something was written");
        assert_eq!((written.up_to, written.bytes), (1, 5));
    }

    #[test]
    fn much_to_sync_keeps_no_pace() {
        let syncer = Syncer::default();
        syncer.note_written(&[(Log::Results, 5)], 1);
        assert!(syncer.state().lets_rest());

        syncer.note_written(&[(Log::Results, SYNC_BYTES)], 2);

        let written = syncer.next(never()).expect("something was written");
        assert_eq!((written.up_to, written.bytes, written.is_in_errors), (2, SYNC_BYTES + 5, false));
    }

    #[test]
    fn the_end_waits_for_nothing() {
        let syncer = Syncer::default();
        syncer.note_written(&[(Log::Results, 0), (Log::Errors, 7)], 3);

        syncer.end();

        let written = syncer.next(never()).expect("something was written");
        assert!(written.is_in_errors && !written.is_in_results);
        assert!(syncer.next(never()).is_none());
    }

    #[test]
    fn the_first_failure_stays() {
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
