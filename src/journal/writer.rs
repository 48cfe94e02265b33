//! The writer: lines become durable in groups.
//!
//! One thread writes everything queued, one write for each file, then syncs, while the next group queues. So one sync
//! is always in flight while there is work, and the loss window is one group. A commit is reported when both files of
//! its group are synced, in order.
//!
//! After a failed write or sync nothing is tried again: what a failed sync left can't be known, and a second sync that
//! succeeds proves nothing. The writer reports the failure once and refuses everything from then on.
//!
//! Without a thread ([`Threading::Inline`]) each line is its own group, written before `append` returns: for runs on
//! virtual time, where a thread would let the clock run away, and for `--fsync always`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::disk::{DiskFailure, DiskFile};
use crate::sink::Log;

/// Groups begin at least so far apart. A sync and its two switches of threads cost as much as two requests; at a thousand
/// rows a second, syncing at once would do it every few rows. Nobody sees that a row is done a fiftieth of a second
/// later, and at most so much more work is in doubt after a death.
const GROUP_EVERY: Duration = Duration::from_millis(20);

/// When lines are synced: `--fsync`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// In groups, with one sync always in flight while there is work.
    #[default]
    Batch,
    /// Each line by itself, before anything else happens.
    Always,
    /// Never: a loss of power may take everything the system has not written by itself.
    Off,
}

/// Who writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Threading {
    /// A thread of its own.
    #[default]
    Thread,
    /// Whoever appends.
    Inline,
}

/// What became of appended lines.
#[derive(Clone, Debug)]
pub enum Commit {
    /// All lines up to this sequence number are as durable as `--fsync` asks.
    Durable {
        /// The number given with the last of them.
        up_to: u64,
    },
    /// A line could not be made durable; lines not reported before may be lost, and nothing more is taken.
    Failed(DiskFailure),
}

/// Told of commits, from the writer's thread or from within `append`. Must be quick.
pub type OnCommit = Box<dyn Fn(Commit) + Send>;

/// Where the lines of one kind go.
pub(super) enum Target {
    /// To a file, behind `end`.
    File { file: Box<dyn DiskFile>, path: PathBuf, end: u64 },
    /// To a pipe.
    Stream(Box<dyn Write + Send>),
}

impl Target {
    fn write(&mut self, bytes: &[u8]) -> Result<(), DiskFailure> {
        match self {
            Self::File { file, path, end } => {
                file.write_at(bytes, *end).map_err(DiskFailure::of("write", path))?;
                *end += bytes.len() as u64;
                Ok(())
            }
            Self::Stream(stream) => stream
                .write_all(bytes)
                .and_then(|()| stream.flush())
                .map_err(DiskFailure::of("write", Path::new("standard output"))),
        }
    }

    fn sync(&mut self) -> Result<(), DiskFailure> {
        match self {
            Self::File { file, path, .. } => file.sync().map_err(DiskFailure::of("sync", path)),
            Self::Stream(_) => Ok(()),
        }
    }
}

/// Both files of a run.
pub(super) struct Targets {
    pub(super) results: Target,
    pub(super) errors: Target,
    pub(super) fsync: Fsync,
}

impl Targets {
    fn commit(&mut self, group: &Group) -> Result<(), DiskFailure> {
        let targets = [(&mut self.results, &group.results), (&mut self.errors, &group.errors)];
        let mut written: Vec<&mut Target> = Vec::with_capacity(2);
        for (target, bytes) in targets {
            if !bytes.is_empty() {
                target.write(bytes)?;
                written.push(target);
            }
        }
        match self.fsync {
            Fsync::Batch | Fsync::Always => written.into_iter().try_for_each(Target::sync),
            Fsync::Off => Ok(()),
        }
    }
}

/// Lines that become durable together.
#[derive(Default)]
struct Group {
    results: Vec<u8>,
    errors: Vec<u8>,
    up_to: u64,
}

impl Group {
    fn push(&mut self, log: Log, line: &[u8], seq: u64) {
        match log {
            Log::Results => self.results.extend_from_slice(line),
            Log::Errors => self.errors.extend_from_slice(line),
        }
        self.up_to = seq;
    }

    fn bytes(&self) -> usize {
        self.results.len() + self.errors.len()
    }

    /// Empties the group; keeps its memory unless one huge answer blew it up.
    fn clear(&mut self) {
        const KEPT_BYTES: usize = 4 << 20;
        for bytes in [&mut self.results, &mut self.errors] {
            bytes.clear();
            bytes.shrink_to(KEPT_BYTES);
        }
    }
}

/// Takes lines and makes them durable.
pub(super) struct Writer(Mode);

enum Mode {
    Inline { targets: Targets, on_commit: OnCommit, failed: Option<DiskFailure> },
    Threaded { shared: Arc<Shared>, thread: Option<JoinHandle<()>> },
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Bytes appended and not yet durable.
    backlog: AtomicUsize,
}

#[derive(Default)]
struct Queue {
    group: Group,
    is_closed: bool,
    failed: Option<DiskFailure>,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Starts a writer.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn start(targets: Targets, threading: Threading, on_commit: OnCommit) -> Result<Self, DiskFailure> {
        let is_inline = threading == Threading::Inline || targets.fsync == Fsync::Always;
        if is_inline {
            return Ok(Self(Mode::Inline { targets, on_commit, failed: None }));
        }
        let queue = Mutex::new(Queue::default());
        let shared = Arc::new(Shared { queue, wake: Condvar::new(), backlog: AtomicUsize::new(0) });
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write_groups(&own, targets, &on_commit))
            .map_err(DiskFailure::of("start the writer of", Path::new("results")))?;
        Ok(Self(Mode::Threaded { shared, thread: Some(thread) }))
    }

    /// Takes a line. It is durable when a commit of `seq` or more is reported; numbers must not fall.
    ///
    /// # Errors
    /// The failure that stopped the writer.
    pub(super) fn append(&mut self, log: Log, line: &[u8], seq: u64) -> Result<(), DiskFailure> {
        match &mut self.0 {
            Mode::Inline { failed: Some(failure), .. } => Err(failure.clone()),
            Mode::Inline { targets, on_commit, failed } => {
                let mut group = Group::default();
                group.push(log, line, seq);
                let done = targets.commit(&group);
                *failed = done.as_ref().err().cloned();
                on_commit(match &done {
                    Ok(()) => Commit::Durable { up_to: seq },
                    Err(failure) => Commit::Failed(failure.clone()),
                });
                done
            }
            Mode::Threaded { shared, .. } => {
                let mut queue = shared.queue();
                if let Some(failure) = &queue.failed {
                    return Err(failure.clone());
                }
                // With lines waiting the writer knows already that there is work.
                let was_empty = queue.group.bytes() == 0;
                queue.group.push(log, line, seq);
                shared.backlog.fetch_add(line.len(), Ordering::Relaxed);
                drop(queue);
                if was_empty {
                    shared.wake.notify_one();
                }
                Ok(())
            }
        }
    }

    /// Returns whether each append is written before it returns.
    pub(super) fn is_inline(&self) -> bool {
        matches!(self.0, Mode::Inline { .. })
    }

    /// Returns how many bytes were appended and are not yet durable.
    pub(super) fn backlog_bytes(&self) -> usize {
        match &self.0 {
            Mode::Inline { .. } => 0,
            Mode::Threaded { shared, .. } => shared.backlog.load(Ordering::Relaxed),
        }
    }

    /// Makes everything durable and stops.
    ///
    /// # Errors
    /// The failure that stopped the writer, whenever it was.
    pub(super) fn close(mut self) -> Result<(), DiskFailure> {
        match &mut self.0 {
            Mode::Inline { failed, .. } => failed.take().map_or(Ok(()), Err),
            Mode::Threaded { shared, thread } => {
                stop(shared, thread);
                shared.queue().failed.take().map_or(Ok(()), Err)
            }
        }
    }
}

impl Drop for Writer {
    /// Writes what is queued even when the run's loop panicked.
    fn drop(&mut self) {
        if let Mode::Threaded { shared, thread } = &mut self.0 {
            stop(shared, thread);
        }
    }
}

fn stop(shared: &Shared, thread: &mut Option<JoinHandle<()>>) {
    shared.queue().is_closed = true;
    shared.wake.notify_one();
    if let Some(thread) = thread.take() {
        // A panic of the thread was recorded as a failure by its guard.
        let _ = thread.join();
    }
}

fn write_groups(shared: &Shared, mut targets: Targets, on_commit: &OnCommit) {
    let _guard = PanicGuard(shared);
    let mut group = Group::default();
    let mut next_at = Instant::now();
    loop {
        group.clear();
        let mut queue = shared.queue();
        while queue.group.bytes() == 0 && !queue.is_closed {
            queue = shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        while let Some(rest) = next_at.checked_duration_since(Instant::now()).filter(|_| !queue.is_closed) {
            queue = shared.wake.wait_timeout(queue, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
        next_at = Instant::now() + GROUP_EVERY;
        if queue.group.bytes() == 0 {
            return;
        }
        std::mem::swap(&mut queue.group, &mut group);
        drop(queue);
        let done = targets.commit(&group);
        if let Err(failure) = done {
            shared.queue().failed = Some(failure.clone());
            return on_commit(Commit::Failed(failure));
        }
        shared.backlog.fetch_sub(group.bytes(), Ordering::Relaxed);
        on_commit(Commit::Durable { up_to: group.up_to });
    }
}

/// Turns a panic of the writer's thread into a failure, so that nobody queues lines that are never written.
struct PanicGuard<'a>(&'a Shared);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let panicked = std::io::Error::other("the writer panicked");
            self.0.queue().failed = Some(DiskFailure::of("write", Path::new("results"))(panicked));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::disk::{Disk, OpenMode};
    use super::super::mem_disk::MemDisk;
    use super::*;

    #[test]
    fn commits_come_in_order_and_cover_every_line() {
        for threading in [Threading::Thread, Threading::Inline] {
            let disk = MemDisk::new();
            let (mut writer, commits) = started(&disk, Fsync::Batch, threading);
            for seq in 1..=200 {
                let log = if seq % 3 == 0 { Log::Errors } else { Log::Results };
                writer.append(log, format!("{seq}\n").as_bytes(), seq).expect("the disk works");
            }
            writer.close().expect("the disk works");

            let numbers: Vec<u64> = commits.try_iter().map(durable).collect();
            assert!(numbers.is_sorted() && numbers.last() == Some(&200));
            assert_eq!(lines(&disk, "results") + lines(&disk, "errors"), 200);
        }
    }

    #[test]
    fn what_was_committed_survives_a_loss_of_power() {
        let disk = MemDisk::new();
        let (mut writer, commits) = started(&disk, Fsync::Batch, Threading::Inline);
        disk.sync_folder(Path::new(".")).expect("the disk works");
        writer.append(Log::Results, b"1\n", 1).expect("the disk works");
        writer.append(Log::Errors, b"2\n", 2).expect("the disk works");

        let after = disk.after_power_loss(&mut fastrand::Rng::with_seed(1));

        assert_eq!(commits.try_iter().count(), 2);
        assert_eq!((lines(&after, "results"), lines(&after, "errors")), (1, 1));
    }

    #[test]
    fn a_failed_sync_is_never_tried_again() {
        for threading in [Threading::Thread, Threading::Inline] {
            let disk = MemDisk::new();
            let (mut writer, commits) = started(&disk, Fsync::Batch, threading);
            disk.fail_at(disk.changes() + 1, std::io::ErrorKind::StorageFull);

            let first = writer.append(Log::Results, b"1\n", 1);
            let failure = commits.recv().expect("the failure is reported");
            let changes = disk.changes();
            let second = writer.append(Log::Results, b"2\n", 2);

            assert!(matches!(&failure, Commit::Failed(failure) if failure.is_full() && failure.operation == "sync"));
            assert_eq!(first.is_err(), threading == Threading::Inline);
            assert!(second.is_err());
            assert!(writer.close().is_err());
            assert_eq!(disk.changes(), changes);
            assert!(commits.try_iter().next().is_none());
        }
    }

    #[test]
    fn a_closed_pipe_is_told_apart() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _bytes: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let disk = MemDisk::new();
        let mut targets = targets(&disk, Fsync::Batch);
        targets.results = Target::Stream(Box::new(Closed));
        let (sender, commits) = mpsc::channel();
        let on_commit: OnCommit = Box::new(move |commit| sender.send(commit).expect("the test listens"));
        let mut writer = Writer::start(targets, Threading::Thread, on_commit).expect("a thread can be started");

        writer.append(Log::Results, b"1\n", 1).expect("it is queued");

        assert!(matches!(commits.recv(), Ok(Commit::Failed(failure)) if failure.is_closed_pipe()));
    }

    #[test]
    fn always_syncs_each_line_before_append_returns() {
        let disk = MemDisk::new();
        let (mut writer, commits) = started(&disk, Fsync::Always, Threading::Thread);

        writer.append(Log::Results, b"1\n", 1).expect("the disk works");

        assert_eq!(commits.try_iter().map(durable).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn off_never_syncs() {
        let disk = MemDisk::new();
        let (mut writer, _commits) = started(&disk, Fsync::Off, Threading::Inline);
        let before = disk.changes();

        writer.append(Log::Results, b"1\n", 1).expect("the disk works");

        assert_eq!(disk.changes(), before + 1);
    }

    fn started(disk: &MemDisk, fsync: Fsync, threading: Threading) -> (Writer, mpsc::Receiver<Commit>) {
        let (sender, commits) = mpsc::channel();
        let on_commit: OnCommit = Box::new(move |commit| sender.send(commit).expect("the test listens"));
        let writer = Writer::start(targets(disk, fsync), threading, on_commit).expect("a thread can be started");
        (writer, commits)
    }

    fn targets(disk: &MemDisk, fsync: Fsync) -> Targets {
        let target = |name: &str| Target::File {
            file: disk.open(Path::new(name), OpenMode::Edit).expect("it can be made"),
            path: name.into(),
            end: 0,
        };
        Targets { results: target("results"), errors: target("errors"), fsync }
    }

    fn durable(commit: Commit) -> u64 {
        match commit {
            Commit::Durable { up_to } => up_to,
            Commit::Failed(failure) => panic!("{failure}"),
        }
    }

    fn lines(disk: &MemDisk, name: &str) -> usize {
        disk.content(name).unwrap_or_default().iter().filter(|&&byte| byte == b'\n').count()
    }
}
