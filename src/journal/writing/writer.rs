//! The writer of a run. It collects the lines of one turn (an iteration of the run's loop), writes these lines
//! together, and tells the syncer to sync them.
//!
//! Writing each line separately would be too slow, because each write costs a lock and a system call, and one turn can
//! have hundreds of lines. So lines wait for [`Writer::flush`], which the loop calls in each turn before it sends
//! anything. At most one megabyte of lines waits for this call. All waiting lines belong to the same log. Before a line
//! of another log is added, the waiting lines are flushed. So lines are written in the order of their numbers.

use std::sync::Arc;

use super::commit::{Commit, Fsync, OnCommit, Threading};
use super::stdout::Stdout;
use super::syncer::{SyncThread, Syncer};
use super::target::{Target, Targets};
use crate::domain::RowId;
use crate::journal::disk::DiskFailure;
use crate::journal::files::answered;
use crate::sink::Log;

/// The maximum number of bytes that wait for a flush. In a write of this size, the cost of the system call itself does
/// not matter. With this limit, most answers are in memory only once, even if huge answers come in one turn (an
/// iteration of the run's loop).
const MOST_BYTES: usize = 1 << 20;

/// Accepts lines and makes them durable.
pub(crate) struct Writer {
    mode: Mode,
    /// Lines that wait for the next flush. All these lines belong to the same log.
    lines: Vec<u8>,
    log: Log,
    /// The records of answered rows that wait for the next flush; `None` if answered rows are not recorded. The lines
    /// of these rows wait for the same flush, or are already written.
    answered: Option<Vec<u8>>,
    /// Number of the last line that was appended.
    up_to: u64,
}

/// The threads that write and sync.
enum Mode {
    /// The caller writes and syncs each line immediately.
    Inline { targets: Targets, on_commit: OnCommit, failed: Option<DiskFailure> },
    /// The caller writes the lines, and another thread syncs them.
    Files { targets: Targets, sync: SyncThread },
    /// One thread writes to standard output and to the error log, and another thread syncs.
    Stdout { stdout: Stdout, sync: SyncThread },
}

impl Writer {
    /// Starts the threads that are needed for `threading`.
    ///
    /// # Errors
    /// The system's error if a thread can't be started.
    pub(crate) fn start(targets: Targets, threading: Threading, on_commit: OnCommit) -> Result<Self, DiskFailure> {
        let answered = targets.answered.is_some().then(Vec::new);
        let is_inline = threading == Threading::Inline || targets.fsync == Fsync::Always;
        let mode = match (&targets.results, is_inline) {
            (_, true) => Mode::Inline { targets, on_commit, failed: None },
            (Target::File { .. }, false) => {
                let sync = Syncer::start(targets.files_to_sync(), on_commit)?;
                Mode::Files { targets, sync }
            }
            (Target::Stdout(_), false) => {
                let mut sync = Syncer::start(targets.files_to_sync(), on_commit)?;
                let stdout = Stdout::start(targets, Arc::clone(&sync.syncer)).inspect_err(|_| sync.stop())?;
                Mode::Stdout { stdout, sync }
            }
        };
        Ok(Self { mode, lines: Vec::new(), log: Log::Results, answered, up_to: 0 })
    }

    /// Appends a line. `render` writes the line to the end of the buffer that it receives. The line is durable when a
    /// commit with `seq` or a higher number is reported. `seq` must never decrease from one line to the next.
    ///
    /// # Errors
    /// The failure that stopped the writer.
    pub(crate) fn append(&mut self, log: Log, seq: u64, render: impl FnOnce(&mut Vec<u8>)) -> Result<(), DiskFailure> {
        // One log can fail while the other log can still be written. So this line is appended even if the waiting lines
        // of the other log can't be written.
        let earlier = if log == self.log { Ok(()) } else { self.flush() };
        (self.log, self.up_to) = (log, seq);
        render(&mut self.lines);
        let may_wait = !matches!(self.mode, Mode::Inline { .. }) && self.lines.len() < MOST_BYTES;
        let own = if may_wait { Ok(()) } else { self.flush() };
        earlier.and(own)
    }

    /// Appends a line that is too long to copy. The caller passes the line in parts, and the line is written
    /// immediately. Without parts, no line is written, but `seq` is reported when all earlier lines are durable.
    ///
    /// # Errors
    /// The failure that stopped the writer.
    pub(crate) fn append_parts(&mut self, log: Log, seq: u64, parts: &[&[u8]]) -> Result<(), DiskFailure> {
        let earlier = self.flush();
        (self.log, self.up_to) = (log, seq);
        earlier.and(self.mode.write(log, parts, &[], seq))
    }

    /// Records that a row is answered, if such records are kept. Call this function after the row's line was appended.
    pub(crate) fn note_answer(&mut self, row: RowId) {
        if let Some(records) = &mut self.answered {
            records.extend_from_slice(&answered::record(row));
        }
    }

    /// Writes the waiting lines.
    ///
    /// # Errors
    /// The failure that stopped the writer.
    pub(crate) fn flush(&mut self) -> Result<(), DiskFailure> {
        let answered = self.answered.as_deref().unwrap_or_default();
        if self.lines.is_empty() && answered.is_empty() {
            return Ok(());
        }
        let done = self.mode.write(self.log, &[&self.lines], answered, self.up_to);
        // After a failure, nothing more is written, so the waiting lines are dropped.
        self.lines.clear();
        self.answered.iter_mut().for_each(Vec::clear);
        self.lines.shrink_to(2 * MOST_BYTES);
        done
    }

    /// Makes the written lines durable as soon as possible.
    pub(crate) fn hurry(&self) {
        match &self.mode {
            Mode::Inline { .. } => {}
            Mode::Files { sync, .. } => sync.syncer.hurry(),
            Mode::Stdout { stdout, sync } => {
                stdout.hurry();
                sync.syncer.hurry();
            }
        }
    }

    /// Returns how many appended bytes are not yet durable.
    pub(crate) fn backlog_bytes(&self) -> usize {
        self.lines.len()
            + match &self.mode {
                Mode::Inline { .. } => 0,
                Mode::Files { sync, .. } | Mode::Stdout { sync, .. } => sync.syncer.backlog_bytes(),
            }
    }

    /// Returns how many appended bytes are possibly not written yet.
    pub(crate) fn unwritten_bytes(&self) -> usize {
        match &self.mode {
            Mode::Inline { .. } | Mode::Files { .. } => self.lines.len(),
            Mode::Stdout { .. } => self.backlog_bytes(),
        }
    }

    /// Makes all lines durable and stops the writer.
    ///
    /// # Errors
    /// The failure that stopped the writer, even if it happened long before this call.
    pub(crate) fn close(mut self) -> Result<(), DiskFailure> {
        let flushed = self.flush();
        self.mode.stop().and(flushed)
    }
}

impl Drop for Writer {
    /// Writes the waiting lines and makes them durable, even after a panic of the run's loop.
    fn drop(&mut self) {
        // A failed write is reported as `Commit::Failed`.
        let _ = self.flush();
        let _ = self.mode.stop();
    }
}

impl Mode {
    /// Writes whole lines. The last of these lines has the number `seq`. A part can end inside a line. Then writes the
    /// records of answered rows.
    fn write(&mut self, log: Log, parts: &[&[u8]], answered: &[u8], seq: u64) -> Result<(), DiskFailure> {
        match self {
            Self::Inline { targets, failed: Some(failure), .. } => match log {
                Log::Errors if targets.log_still_works(failure) => targets.save_errors(parts),
                Log::Errors | Log::Results => Err(failure.clone()),
            },
            Self::Inline { targets, on_commit, failed } => {
                let sync = |targets: &Targets| match targets.fsync {
                    Fsync::Group | Fsync::Always => targets.sync(log),
                    Fsync::Off => Ok(()),
                };
                let written = targets.write(log, parts).and_then(|()| targets.write_answered(answered));
                let done = written.and_then(|()| sync(targets));
                *failed = done.as_ref().err().cloned();
                on_commit(done.as_ref().map_or_else(|failure| Commit::Failed(failure.into()), |()| Commit::UpTo(seq)));
                done
            }
            Self::Files { targets, sync: SyncThread { syncer, .. } } => {
                if let Some(failure) = syncer.failure() {
                    return Err(failure);
                }
                let bytes = parts.iter().map(|part| part.len()).sum();
                syncer.note_taken(bytes);
                if let Err(failure) = targets.write(log, parts) {
                    syncer.fail(failure.clone());
                    syncer.end();
                    return Err(failure);
                }
                syncer.note_written(&[(log, bytes)], seq);
                Ok(())
            }
            Self::Stdout { stdout, .. } => stdout.append(log, parts, answered, seq),
        }
    }

    /// Makes all written lines durable and stops the threads. Returns the failure that stopped the writer.
    fn stop(&mut self) -> Result<(), DiskFailure> {
        let failure = match self {
            Self::Inline { failed, .. } => failed.clone(),
            Self::Files { sync, .. } => {
                sync.stop();
                sync.syncer.failure()
            }
            Self::Stdout { stdout, sync } => {
                stdout.stop();
                sync.stop();
                sync.syncer.failure()
            }
        };
        failure.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;
    use std::sync::Mutex;
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;
    use crate::domain::WriteCause;
    use crate::journal::disk::{Disk, DiskFile, LockAttempt, MemDisk, OpenMode};
    use crate::journal::files::answered::AnsweredRows;

    /// A file whose syncs wait until the test lets them continue.
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
        fn is_at(&self, _path: &Path) -> io::Result<bool> {
            Ok(true)
        }
    }

    /// A standard output that fails because its reader has stopped. If there is a receiver, the first write waits until
    /// the test allows it, and then succeeds. Every other write fails.
    struct LeavingReader(Option<Receiver<()>>, Sender<()>);

    impl io::Write for LeavingReader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let go_on = self.0.take().ok_or(io::ErrorKind::BrokenPipe)?;
            self.1.send(()).map_err(io::Error::other)?;
            go_on.recv().map_err(io::Error::other)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn commits_come_in_order_and_cover_every_line() {
        for threading in [Threading::Thread, Threading::Inline] {
            let disk = MemDisk::new();
            let (mut writer, commits) = started(&disk, Fsync::Group, threading);
            for seq in 1..=200 {
                let log = if seq % 3 == 0 { Log::Errors } else { Log::Results };
                take(&mut writer, log, seq).expect("the disk works");
                if seq % 7 == 0 {
                    writer.flush().expect("the disk works");
                }
            }
            writer.close().expect("the disk works");

            let numbers: Vec<u64> = commits.try_iter().map(number).collect();
            assert!(numbers.is_sorted() && numbers.last() == Some(&200));
            assert_eq!(lines(&disk, "results") + lines(&disk, "errors"), 200);
        }
    }

    #[test]
    fn committed_lines_survive_a_loss_of_power() {
        let disk = MemDisk::new();
        let (mut writer, commits) = started(&disk, Fsync::Group, Threading::Inline);
        disk.sync_folder(Path::new(".")).expect("the disk works");
        take(&mut writer, Log::Results, 1).expect("the disk works");
        take(&mut writer, Log::Errors, 2).expect("the disk works");

        let after = disk.after_power_loss(&mut fastrand::Rng::with_seed(1));

        assert_eq!(commits.try_iter().count(), 2);
        assert_eq!((lines(&after, "results"), lines(&after, "errors")), (1, 1));
    }

    #[test]
    fn a_failed_sync_is_never_tried_again() {
        for threading in [Threading::Thread, Threading::Inline] {
            let disk = MemDisk::new();
            let (mut writer, commits) = started(&disk, Fsync::Group, threading);
            disk.fail_at(disk.changes() + 1, io::ErrorKind::StorageFull);

            let first = take(&mut writer, Log::Results, 1).and_then(|()| writer.flush());
            let failure = commits.recv().expect("the failure is reported");
            let changes = disk.changes();
            let second = take(&mut writer, Log::Results, 2).and_then(|()| writer.flush());

            assert!(
                matches!(&failure, Commit::Failed(fault) if fault.cause == WriteCause::Full && fault.message.contains("sync"))
            );
            assert_eq!(first.is_err(), threading == Threading::Inline);
            assert!(second.is_err());
            assert!(writer.close().is_err());
            assert_eq!(disk.changes(), changes);
            assert!(commits.try_iter().next().is_none());
        }
    }

    #[test]
    fn the_error_log_still_accepts_lines_when_the_reader_of_standard_output_is_gone() {
        let disk = MemDisk::new();
        let (sender, _begun) = mpsc::channel();
        let results = Target::Stdout(Box::new(LeavingReader(None, sender)));
        let (mut writer, commits) = over(Targets { results, ..targets(&disk, Fsync::Group) }, Threading::Thread);

        take(&mut writer, Log::Results, 1).and_then(|()| writer.flush()).expect("it is queued");

        assert!(matches!(commits.recv(), Ok(Commit::Failed(fault)) if fault.cause == WriteCause::ReaderGone));
        assert!(take(&mut writer, Log::Results, 2).and_then(|()| writer.flush()).is_err());
        take(&mut writer, Log::Errors, 3).and_then(|()| writer.flush()).expect("the error log works");
        assert!(writer.close().is_err());
        assert_eq!(lines(&disk, "errors"), 1);
    }

    #[test]
    fn fsync_always_syncs_each_line_before_append_returns() {
        let disk = MemDisk::new();
        let (mut writer, commits) = started(&disk, Fsync::Always, Threading::Thread);

        take(&mut writer, Log::Results, 1).expect("the disk works");

        assert_eq!(commits.try_iter().map(number).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn fsync_off_never_syncs() {
        let disk = MemDisk::new();
        let (mut writer, _commits) = started(&disk, Fsync::Off, Threading::Inline);
        let before = disk.changes();

        take(&mut writer, Log::Results, 1).expect("the disk works");

        assert_eq!(disk.changes(), before + 1);
    }

    #[test]
    fn lines_of_one_turn_are_written_together_and_in_order() {
        let disk = MemDisk::new();
        let (mut writer, commits) = started(&disk, Fsync::Group, Threading::Thread);

        let rows = [(Log::Results, 1), (Log::Results, 2), (Log::Errors, 3), (Log::Results, 4)];
        let mut before_the_first_goes = 0;
        let groups = rows.map(|(log, seq)| {
            take(&mut writer, log, seq).expect("the disk works");
            if seq == 2 {
                before_the_first_goes = writer.backlog_bytes();
            }
            String::from_utf8_lossy(&writer.lines).into_owned()
        });
        writer.close().expect("the disk works");

        assert_eq!((groups, before_the_first_goes), (["1\n", "1\n2\n", "3\n", "4\n"].map(str::to_owned), 4));
        assert_eq!(commits.try_iter().last(), Some(Commit::UpTo(4)));
        assert_eq!(disk.content("results").as_deref(), Some(&b"1\n2\n4\n"[..]));
        assert_eq!(disk.content("errors").as_deref(), Some(&b"3\n"[..]));
    }

    #[test]
    fn at_most_a_megabyte_waits() {
        let disk = MemDisk::new();
        let (mut writer, _commits) = started(&disk, Fsync::Group, Threading::Thread);

        let long = vec![b'x'; 300 << 10];
        let waiting: Vec<usize> = (1..=5)
            .map(|seq| {
                writer.append(Log::Results, seq, |lines| lines.extend_from_slice(&long)).expect("the disk works");
                writer.lines.len() >> 10
            })
            .collect();

        assert_eq!(waiting, [300, 600, 900, 0, 300]);
    }

    #[test]
    fn a_dropped_writer_writes_the_waiting_lines() {
        let disk = MemDisk::new();
        let (mut writer, _commits) = started(&disk, Fsync::Group, Threading::Thread);

        take(&mut writer, Log::Results, 1).expect("the disk works");
        drop(writer);

        assert_eq!(disk.content("results").as_deref(), Some(&b"1\n"[..]));
    }

    #[test]
    fn entries_in_one_group_with_results_are_written_when_standard_output_fails() {
        let disk = MemDisk::new();
        let file = disk.open(Path::new("errors"), OpenMode::Edit).expect("it can be made").into();
        let (go_on, waits) = mpsc::channel();
        let (begins, begun) = mpsc::channel();
        let targets = Targets {
            results: Target::Stdout(Box::new(LeavingReader(Some(waits), begins))),
            errors: Target::File { file, path: "errors".into(), end: 0 },
            answered: None,
            fsync: Fsync::Group,
        };
        let (mut writer, _commits) = over(targets, Threading::Thread);

        take(&mut writer, Log::Results, 1).and_then(|()| writer.flush()).expect("it is queued");
        begun.recv().expect("it is written");
        take(&mut writer, Log::Errors, 2).expect("it is queued");
        take(&mut writer, Log::Results, 3).and_then(|()| writer.flush()).expect("it is queued");
        go_on.send(()).expect("the stream waits");
        writer.close().expect_err("its reader is gone");

        assert_eq!(disk.content("errors").as_deref(), Some(&b"2\n"[..]));
    }

    #[test]
    fn only_rows_whose_lines_were_written_to_standard_output_are_recorded() {
        let row = |label| RowId { label, key: 0 };
        for threading in [Threading::Thread, Threading::Inline] {
            let disk = MemDisk::new();
            let (begins, begun) = mpsc::channel();
            let (go_on, waits) = mpsc::channel();
            go_on.send(()).expect("the test waits");
            let targets = Targets {
                results: Target::Stdout(Box::new(LeavingReader(Some(waits), begins))),
                answered: Some(AnsweredRows::new(Arc::new(disk.clone()), Path::new("log"))),
                ..targets(&disk, Fsync::Group)
            };
            let (mut writer, _commits) = over(targets, threading);

            take(&mut writer, Log::Results, 1).expect("it is accepted");
            writer.note_answer(row(1));
            writer.flush().expect("it is accepted");
            begun.recv().expect("it is written");
            writer.hurry();
            let second = take(&mut writer, Log::Results, 2);
            second.iter().for_each(|()| writer.note_answer(row(2)));
            // The error log still accepts lines, but the second row is not answered.
            let _ = take(&mut writer, Log::Errors, 3);
            writer.close().expect_err("its reader is gone");

            let left = answered::read_left(&disk, Path::new("log")).expect("the disk works");
            assert_eq!(left.answered, [row(1)]);
        }
    }

    #[test]
    fn lines_are_written_while_a_sync_is_running_and_reported_after_the_next_sync() {
        let (written, bytes) = mpsc::channel();
        let (go_on, waits) = mpsc::channel();
        let file = SlowFile { written, go_on: Mutex::new(waits) };
        let target = Target::File { file: Arc::new(file), path: "results".into(), end: 0 };
        let errors = Target::Stdout(Box::new(io::sink()));
        let (mut writer, commits) =
            over(Targets { results: target, errors, answered: None, fsync: Fsync::Group }, Threading::Thread);

        for seq in 1..=3 {
            take(&mut writer, Log::Results, seq).and_then(|()| writer.flush()).expect("the disk works");
            assert_eq!(bytes.try_recv(), Ok(2), "it is written, whatever the sync does");
        }
        assert!(commits.try_recv().is_err() && writer.backlog_bytes() == 6);
        for _ in 0..3 {
            go_on.send(()).expect("the file waits");
        }
        writer.close().expect("the disk works");

        let last = commits.try_iter().last();
        assert_eq!(last, Some(Commit::UpTo(3)));
    }

    fn started(disk: &MemDisk, fsync: Fsync, threading: Threading) -> (Writer, Receiver<Commit>) {
        over(targets(disk, fsync), threading)
    }

    fn over(targets: Targets, threading: Threading) -> (Writer, Receiver<Commit>) {
        let (sender, commits) = mpsc::channel();
        let on_commit: OnCommit = Box::new(move |commit| sender.send(commit).expect("the test listens"));
        let writer = Writer::start(targets, threading, on_commit).expect("a thread can be started");
        (writer, commits)
    }

    /// Appends a line that contains its number.
    fn take(writer: &mut Writer, log: Log, seq: u64) -> Result<(), DiskFailure> {
        writer.append(log, seq, |lines| lines.extend_from_slice(format!("{seq}\n").as_bytes()))
    }

    fn targets(disk: &MemDisk, fsync: Fsync) -> Targets {
        let target = |name: &str| Target::File {
            file: disk.open(Path::new(name), OpenMode::Edit).expect("it can be made").into(),
            path: name.into(),
            end: 0,
        };
        Targets { results: target("results"), errors: target("errors"), answered: None, fsync }
    }

    fn number(commit: Commit) -> u64 {
        match commit {
            Commit::UpTo(seq) => seq,
            Commit::Failed(fault) => panic!("{}", fault.message),
        }
    }

    fn lines(disk: &MemDisk, name: &str) -> usize {
        disk.content(name).unwrap_or_default().iter().filter(|&&byte| byte == b'\n').count()
    }
}
