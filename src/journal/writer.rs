//! The writer: lines become durable in groups.
//!
//! Lines are handed to the system as they come, while a sync of earlier ones may be in flight. The loss window is a fifth
//! of a second and one sync for a loss of power; for a death of the process nothing that was appended, and with results on
//! standard output a hundredth of a second. A commit is reported when both files are synced, in order.
//!
//! After a failed write or sync nothing is tried again: what a failed sync left can't be known, and a second sync that
//! succeeds proves nothing. The writer reports the failure once and refuses everything from then on, but for one case:
//! when standard output is gone, the error log still takes lines, since rows of a pipe are kept nowhere else.
//!
//! Without a thread ([`Threading::Inline`]) each line is its own group, written before `append` returns: for runs on
//! virtual time, where a thread would let the clock run away, and for `--fsync always`.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use super::disk::{DiskFailure, DiskFile};
use super::pipeline::Pipeline;
use super::syncer::Synced;
use crate::domain::WriteTarget;
use crate::sink::Log;

/// When lines are synced: `--fsync`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// In groups, with one sync always in flight while there is work.
    #[default]
    Group,
    /// Each line by itself, before anything else happens.
    Always,
    /// Never: a loss of power may take everything the system has not written by itself.
    Off,
}

/// Who writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Threading {
    /// Whoever appends, but for standard output; a thread syncs.
    #[default]
    Thread,
    /// Whoever appends, and syncs.
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

/// Told of commits, from the syncer's thread or from within `append`. Must be quick.
pub type OnCommit = Box<dyn Fn(Commit) + Send>;

/// Where the lines of one kind go.
pub(super) enum Target {
    /// To a file, behind `end`.
    File { file: Arc<dyn DiskFile>, path: PathBuf, end: u64 },
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
            Self::Stream(stream) => {
                stream.write_all(bytes).and_then(|()| stream.flush()).map_err(DiskFailure::of_standard_output)
            }
        }
    }

    /// Returns what a sync of it needs.
    pub(super) fn synced(&self) -> Synced {
        match self {
            Self::File { file, path, .. } => Some((Arc::clone(file), path.clone())),
            Self::Stream(_) => None,
        }
    }

    fn sync(&self) -> Result<(), DiskFailure> {
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
    /// Returns whether the error log outlives a failure of the results: standard output may be gone while the disk is
    /// well, and rows that were read from a pipe are kept nowhere else.
    pub(super) fn log_outlives(&self, failure: &DiskFailure) -> bool {
        matches!(self.results, Target::Stream(_)) && failure.target == WriteTarget::StandardOutput
    }

    /// Writes what is meant for the error log only.
    pub(super) fn commit_errors(&mut self, group: &Group) -> Result<(), DiskFailure> {
        self.errors.write(&group.errors)?;
        self.errors.sync()
    }

    /// Hands lines of one kind to the system, which may be in parts.
    pub(super) fn write_to(&mut self, log: Log, parts: &[&[u8]]) -> Result<(), DiskFailure> {
        let target = match log {
            Log::Results => &mut self.results,
            Log::Errors => &mut self.errors,
        };
        parts.iter().try_for_each(|part| target.write(part))
    }

    /// Hands a group to the system.
    pub(super) fn write(&mut self, group: &Group) -> Result<(), DiskFailure> {
        let both = [(Log::Results, &group.results), (Log::Errors, &group.errors)];
        both.into_iter()
            .filter(|(_, lines)| !lines.is_empty())
            .try_for_each(|(log, lines)| self.write_to(log, &[lines]))
    }

    fn commit(&mut self, group: &Group) -> Result<(), DiskFailure> {
        self.write(group)?;
        let written = [(&self.results, &group.results), (&self.errors, &group.errors)];
        let written = written.into_iter().filter(|(_, bytes)| !bytes.is_empty());
        match self.fsync {
            Fsync::Group | Fsync::Always => written.map(|(target, _)| target).try_for_each(Target::sync),
            Fsync::Off => Ok(()),
        }
    }
}

/// Lines that become durable together.
#[derive(Default)]
pub(super) struct Group {
    pub(super) results: Vec<u8>,
    pub(super) errors: Vec<u8>,
    /// Number of the last line.
    pub(super) up_to: u64,
}

impl Group {
    /// Takes whole lines, the last of them with the number `seq`.
    pub(super) fn push(&mut self, log: Log, parts: &[&[u8]], seq: u64) {
        let own = match log {
            Log::Results => &mut self.results,
            Log::Errors => &mut self.errors,
        };
        own.reserve(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| own.extend_from_slice(part));
        self.up_to = seq;
    }

    pub(super) fn bytes(&self) -> usize {
        self.results.len() + self.errors.len()
    }

    /// Empties the group; keeps its memory unless one huge answer blew it up.
    pub(super) fn clear(&mut self) {
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
    Threaded(Pipeline),
}

impl Writer {
    /// Starts a writer.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn start(targets: Targets, threading: Threading, on_commit: OnCommit) -> Result<Self, DiskFailure> {
        let is_inline = threading == Threading::Inline || targets.fsync == Fsync::Always;
        Ok(Self(match is_inline {
            true => Mode::Inline { targets, on_commit, failed: None },
            false => Mode::Threaded(Pipeline::start(targets, on_commit)?),
        }))
    }

    /// Takes whole lines, the last of them with the number `seq`; a line may come in parts. They are durable when a commit
    /// of `seq` or more is reported; numbers must not fall.
    ///
    /// # Errors
    /// The failure that stopped the writer.
    pub(super) fn append(&mut self, log: Log, parts: &[&[u8]], seq: u64) -> Result<(), DiskFailure> {
        match &mut self.0 {
            Mode::Inline { targets, failed: Some(failure), .. } => match log {
                Log::Errors if targets.log_outlives(failure) => {
                    let mut group = Group::default();
                    group.push(log, parts, seq);
                    targets.commit_errors(&group)
                }
                Log::Errors | Log::Results => Err(failure.clone()),
            },
            Mode::Inline { targets, on_commit, failed } => {
                let mut group = Group::default();
                group.push(log, parts, seq);
                let done = targets.commit(&group);
                *failed = done.as_ref().err().cloned();
                on_commit(match &done {
                    Ok(()) => Commit::Durable { up_to: seq },
                    Err(failure) => Commit::Failed(failure.clone()),
                });
                done
            }
            Mode::Threaded(pipeline) => pipeline.append(log, parts, seq),
        }
    }

    /// Lets what was appended become durable as soon as it can.
    pub(super) fn hurry(&self) {
        match &self.0 {
            Mode::Inline { .. } => {}
            Mode::Threaded(pipeline) => pipeline.hurry(),
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
            Mode::Threaded(pipeline) => pipeline.backlog_bytes(),
        }
    }

    /// Returns how many bytes were appended and may still lie in memory.
    pub(super) fn unwritten_bytes(&self) -> usize {
        match &self.0 {
            Mode::Inline { .. } => 0,
            Mode::Threaded(pipeline) => pipeline.unwritten_bytes(),
        }
    }

    /// Makes everything durable and stops.
    ///
    /// # Errors
    /// The failure that stopped the writer, whenever it was.
    pub(super) fn close(mut self) -> Result<(), DiskFailure> {
        match &mut self.0 {
            Mode::Inline { failed, .. } => failed.take().map_or(Ok(()), Err),
            Mode::Threaded(pipeline) => pipeline.close(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc;

    use super::super::disk::{Disk, OpenMode};
    use super::super::mem_disk::MemDisk;
    use super::*;

    #[test]
    fn commits_come_in_order_and_cover_every_line() {
        for threading in [Threading::Thread, Threading::Inline] {
            let disk = MemDisk::new();
            let (mut writer, commits) = started(&disk, Fsync::Group, threading);
            for seq in 1..=200 {
                let log = if seq % 3 == 0 { Log::Errors } else { Log::Results };
                writer.append(log, &[format!("{seq}\n").as_bytes()], seq).expect("the disk works");
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
        let (mut writer, commits) = started(&disk, Fsync::Group, Threading::Inline);
        disk.sync_folder(Path::new(".")).expect("the disk works");
        writer.append(Log::Results, &[b"1\n"], 1).expect("the disk works");
        writer.append(Log::Errors, &[b"2\n"], 2).expect("the disk works");

        let after = disk.after_power_loss(&mut fastrand::Rng::with_seed(1));

        assert_eq!(commits.try_iter().count(), 2);
        assert_eq!((lines(&after, "results"), lines(&after, "errors")), (1, 1));
    }

    #[test]
    fn a_failed_sync_is_never_tried_again() {
        for threading in [Threading::Thread, Threading::Inline] {
            let disk = MemDisk::new();
            let (mut writer, commits) = started(&disk, Fsync::Group, threading);
            disk.fail_at(disk.changes() + 1, std::io::ErrorKind::StorageFull);

            let first = writer.append(Log::Results, &[b"1\n"], 1);
            let failure = commits.recv().expect("the failure is reported");
            let changes = disk.changes();
            let second = writer.append(Log::Results, &[b"2\n"], 2);

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
        let mut targets = targets(&disk, Fsync::Group);
        targets.results = Target::Stream(Box::new(Closed));
        let (sender, commits) = mpsc::channel();
        let on_commit: OnCommit = Box::new(move |commit| sender.send(commit).expect("the test listens"));
        let mut writer = Writer::start(targets, Threading::Thread, on_commit).expect("a thread can be started");

        writer.append(Log::Results, &[b"1\n"], 1).expect("it is queued");

        assert!(matches!(commits.recv(), Ok(Commit::Failed(failure)) if failure.is_closed_pipe()));
        assert!(writer.append(Log::Results, &[b"2\n"], 2).is_err());
        writer.append(Log::Errors, &[b"3\n"], 3).expect("the error log outlives standard output");
        assert!(writer.close().is_err());
        assert_eq!(lines(&disk, "errors"), 1);
    }

    #[test]
    fn always_syncs_each_line_before_append_returns() {
        let disk = MemDisk::new();
        let (mut writer, commits) = started(&disk, Fsync::Always, Threading::Thread);

        writer.append(Log::Results, &[b"1\n"], 1).expect("the disk works");

        assert_eq!(commits.try_iter().map(durable).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn off_never_syncs() {
        let disk = MemDisk::new();
        let (mut writer, _commits) = started(&disk, Fsync::Off, Threading::Inline);
        let before = disk.changes();

        writer.append(Log::Results, &[b"1\n"], 1).expect("the disk works");

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
            file: disk.open(Path::new(name), OpenMode::Edit).expect("it can be made").into(),
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
