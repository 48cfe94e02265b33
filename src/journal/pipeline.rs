//! The writer of a run: whoever appends hands lines to the system, a thread makes them durable.
//!
//! A line that the system has survives the death of the process. Lines for files are with the system when
//! [`Pipeline::append`] returns, before anything else is sent, so a death never takes more answers than requests were in
//! flight. A loss of power can take one group, as the writer says. Lines for standard output go over a thread of their
//! own ([`Stream`]).
//!
//! Rejected: a thread that writes files too, so that the loop never waits for the disk. Whatever keeps it from running,
//! answers pile up in front of it while others are sent: with 16 in flight, a death was seen to take 34. Handing over costs
//! two microseconds for each turn of the loop, less than waking a thread, and the marks in front of each request wait for
//! the same disk.

use std::sync::Arc;
use std::thread::JoinHandle;

use super::disk::DiskFailure;
use super::stream::Stream;
use super::syncer::Syncer;
use super::writer::{OnCommit, Target, Targets};
use crate::sink::Log;

/// Who hands lines over, and the thread that syncs them.
pub(super) struct Pipeline {
    hands: Hands,
    syncer: Arc<Syncer>,
    thread: Option<JoinHandle<()>>,
}

enum Hands {
    /// Whoever appends.
    Own(Targets),
    /// A thread.
    Stream(Stream),
}

impl Pipeline {
    /// Starts what threads it needs.
    ///
    /// # Errors
    /// When a thread can't be started.
    pub(super) fn start(targets: Targets, on_commit: OnCommit) -> Result<Self, DiskFailure> {
        let files = [targets.results.synced(), targets.errors.synced()];
        let (syncer, thread) = Syncer::start(files, targets.fsync, on_commit)?;
        let hands = match &targets.results {
            Target::File { .. } => Ok(Hands::Own(targets)),
            Target::Stream(_) => Stream::start(targets, Arc::clone(&syncer)).map(Hands::Stream),
        };
        let hands = hands.inspect_err(|_| syncer.end())?;
        Ok(Self { hands, syncer, thread: Some(thread) })
    }

    /// Takes whole lines, the last of them with the number `seq`.
    ///
    /// # Errors
    /// The failure that stopped the writer.
    pub(super) fn append(&mut self, log: Log, parts: &[&[u8]], seq: u64) -> Result<(), DiskFailure> {
        let targets = match &mut self.hands {
            Hands::Own(targets) => targets,
            Hands::Stream(stream) => return stream.append(log, parts, seq),
        };
        if let Some(failure) = self.syncer.failure() {
            return Err(failure);
        }
        let bytes = parts.iter().map(|part| part.len()).sum();
        self.syncer.note_taken(bytes);
        if let Err(failure) = targets.write_to(log, parts) {
            self.syncer.fail(failure.clone());
            self.syncer.end();
            return Err(failure);
        }
        self.syncer.note_written(&[(log, bytes)], seq);
        Ok(())
    }

    /// Returns how many bytes were appended and are not yet durable.
    pub(super) fn backlog_bytes(&self) -> usize {
        self.syncer.backlog_bytes()
    }

    /// Returns how many bytes were appended and may still lie in memory.
    pub(super) fn unwritten_bytes(&self) -> usize {
        match &self.hands {
            Hands::Own(_) => 0,
            Hands::Stream(_) => self.syncer.backlog_bytes(),
        }
    }

    /// Lets everything become durable as soon as it can: somebody waits for it.
    pub(super) fn hurry(&self) {
        if let Hands::Stream(stream) = &self.hands {
            stream.hurry();
        }
        self.syncer.hurry();
    }

    /// Makes everything durable and stops.
    ///
    /// # Errors
    /// The failure that stopped the writer, whenever it was.
    pub(super) fn close(&mut self) -> Result<(), DiskFailure> {
        self.stop();
        self.syncer.failure().map_or(Ok(()), Err)
    }

    fn stop(&mut self) {
        match &mut self.hands {
            Hands::Own(_) => self.syncer.end(),
            Hands::Stream(stream) => stream.stop(),
        }
        // A panic of the thread was recorded as a failure by its guard.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Drop for Pipeline {
    /// Makes durable what was appended even when the run's loop panicked.
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;
    use std::sync::Mutex;
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::super::disk::{Disk, DiskFile, LockAttempt, OpenMode};
    use super::super::mem_disk::MemDisk;
    use super::super::writer::{Commit, Fsync};
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
        fn is_at(&self, _path: &Path) -> io::Result<bool> {
            Ok(true)
        }
    }

    /// A standard output whose reader takes one write, when it is let, and goes away.
    struct Leaving(Option<Receiver<()>>, Sender<()>);

    impl io::Write for Leaving {
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
    fn entries_that_were_to_be_written_with_results_outlive_standard_output() {
        let disk = MemDisk::new();
        let file = disk.open(Path::new("errors"), OpenMode::Edit).expect("it can be made").into();
        let (go_on, waits) = mpsc::channel();
        let (begins, begun) = mpsc::channel();
        let targets = Targets {
            results: Target::Stream(Box::new(Leaving(Some(waits), begins))),
            errors: Target::File { file, path: "errors".into(), end: 0 },
            fsync: Fsync::Group,
        };
        let mut pipeline = Pipeline::start(targets, Box::new(|_| {})).expect("threads can be started");

        pipeline.append(Log::Results, &[b"1\n"], 1).expect("it is queued");
        begun.recv().expect("it is written");
        pipeline.append(Log::Errors, &[b"2\n"], 2).expect("it is queued");
        pipeline.append(Log::Results, &[b"3\n"], 3).expect("it is queued");
        go_on.send(()).expect("the stream waits");
        pipeline.close().expect_err("its reader is gone");

        assert_eq!(disk.content("errors").as_deref(), Some(&b"2\n"[..]));
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
        let targets = Targets { results: target, errors, fsync: Fsync::Group };
        let mut pipeline = Pipeline::start(targets, on_commit).expect("threads can be started");

        for seq in 1..=3 {
            pipeline.append(Log::Results, &[b"line\n"], seq).expect("the disk works");
            assert_eq!(bytes.try_recv(), Ok(5), "the system has it, whatever the sync does");
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
}
