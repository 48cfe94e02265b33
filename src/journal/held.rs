//! Lines on their way to the writer, handed over in one piece for each turn of the run's loop.
//!
//! A line by itself costs a lock and a call to the system; hundreds come in one turn. Lines are held only when
//! [`Held::hold`] was asked for, no more than a megabyte, and no longer than to the next [`Held::flush`], which the loop
//! calls before it waits for anything. A line of the other file flushes what is held, so that numbers stay in order.

use super::disk::DiskFailure;
use super::writer::Writer;
use crate::sink::Log;

/// Most bytes that are held: enough that handing them over costs nothing beside writing them. A turn of huge answers would
/// else hold all of them twice.
const MOST_BYTES: usize = 1 << 20;

/// A writer with lines in front of it.
pub(super) struct Held {
    /// Taken when it is closed.
    writer: Option<Writer>,
    holds: bool,
    log: Log,
    lines: Vec<u8>,
    up_to: u64,
}

impl Held {
    /// Returns a writer that gets each line at once.
    pub(super) fn new(writer: Writer) -> Self {
        Self { writer: Some(writer), holds: false, log: Log::Results, lines: Vec::new(), up_to: 0 }
    }

    /// Holds lines from here on; not those of a writer that makes each durable by itself.
    pub(super) fn hold(&mut self) {
        self.holds = self.writer.as_ref().is_some_and(|writer| !writer.is_inline());
    }

    /// Takes a line; see [`Writer::append`].
    ///
    /// # Errors
    /// The failure that stopped the writer.
    pub(super) fn append(&mut self, log: Log, line: &[u8], seq: u64) -> Result<(), DiskFailure> {
        self.render(log, seq, |lines| lines.extend_from_slice(line))
    }

    /// Takes a line that `render` appends.
    ///
    /// # Errors
    /// The failure that stopped the writer.
    pub(super) fn render(&mut self, log: Log, seq: u64, render: impl FnOnce(&mut Vec<u8>)) -> Result<(), DiskFailure> {
        // A failure of the one file is not the other's: the error log outlives a standard output that is gone.
        let earlier = if log == self.log { Ok(()) } else { self.flush() };
        self.log = log;
        self.up_to = seq;
        render(&mut self.lines);
        let own = if self.holds && self.lines.len() < MOST_BYTES { Ok(()) } else { self.flush() };
        earlier.and(own)
    }

    /// Takes a line in parts, too long to be copied; see [`Writer::append`].
    ///
    /// # Errors
    /// The failure that stopped the writer.
    pub(super) fn append_parts(&mut self, log: Log, parts: &[&[u8]], seq: u64) -> Result<(), DiskFailure> {
        let earlier = self.flush();
        (self.log, self.up_to) = (log, seq);
        let own = self.writer.as_mut().map_or(Ok(()), |writer| writer.append(log, parts, seq));
        earlier.and(own)
    }

    /// Hands over what is held.
    ///
    /// # Errors
    /// The failure that stopped the writer.
    pub(super) fn flush(&mut self) -> Result<(), DiskFailure> {
        let Some(writer) = self.writer.as_mut().filter(|_| !self.lines.is_empty()) else { return Ok(()) };
        let done = writer.append(self.log, &[&self.lines], self.up_to);
        // Lines that the writer refuses are lost to it either way: it has failed for good.
        self.lines.clear();
        self.lines.shrink_to(2 * MOST_BYTES);
        done
    }

    /// Lets what was handed over become durable as soon as it can.
    pub(super) fn hurry(&self) {
        self.writer.iter().for_each(Writer::hurry);
    }

    /// Returns how many bytes were appended and are not yet durable.
    pub(super) fn backlog_bytes(&self) -> usize {
        self.lines.len() + self.writer.as_ref().map_or(0, Writer::backlog_bytes)
    }

    /// Returns how many bytes were appended and may still lie in memory.
    pub(super) fn unwritten_bytes(&self) -> usize {
        self.lines.len() + self.writer.as_ref().map_or(0, Writer::unwritten_bytes)
    }

    /// Makes everything durable and stops.
    ///
    /// # Errors
    /// The failure that stopped the writer, whenever it was.
    pub(super) fn close(mut self) -> Result<(), DiskFailure> {
        let flushed = self.flush();
        self.writer.take().map_or(Ok(()), Writer::close).and(flushed)
    }
}

impl Drop for Held {
    /// Hands over what is held even when the run's loop panicked.
    fn drop(&mut self) {
        // The writer reports its failure by itself.
        let _ = self.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc;

    use super::super::disk::{Disk, OpenMode};
    use super::super::mem_disk::MemDisk;
    use super::super::writer::{Commit, Fsync, Target, Targets, Threading};
    use super::*;

    #[test]
    fn lines_of_one_turn_are_one_group_and_keep_their_order() {
        let disk = MemDisk::new();
        let (mut held, commits) = started(&disk, Fsync::Group);
        held.hold();

        let rows = [(Log::Results, 1), (Log::Results, 2), (Log::Errors, 3), (Log::Results, 4)];
        let mut before_the_first_goes = 0;
        let groups = rows.map(|(log, seq)| {
            held.append(log, format!("{seq}\n").as_bytes(), seq).expect("the disk works");
            if seq == 2 {
                before_the_first_goes = held.backlog_bytes();
            }
            String::from_utf8_lossy(&held.lines).into_owned()
        });
        held.close().expect("the disk works");

        assert_eq!((groups, before_the_first_goes), (["1\n", "1\n2\n", "3\n", "4\n"].map(str::to_owned), 4));
        assert_eq!(commits.try_iter().last(), Some(4));
        assert_eq!(disk.content("results").as_deref(), Some(&b"1\n2\n4\n"[..]));
        assert_eq!(disk.content("errors").as_deref(), Some(&b"3\n"[..]));
    }

    #[test]
    fn no_more_than_a_megabyte_is_held() {
        let disk = MemDisk::new();
        let (mut held, _commits) = started(&disk, Fsync::Group);
        held.hold();

        let long = vec![b'x'; 300 << 10];
        let held_bytes: Vec<usize> = (1..=5)
            .map(|seq| {
                held.append(Log::Results, &long, seq).expect("the disk works");
                held.lines.len() >> 10
            })
            .collect();

        assert_eq!(held_bytes, [300, 600, 900, 0, 300]);
    }

    #[test]
    fn a_line_that_must_be_durable_by_itself_is_not_held() {
        let disk = MemDisk::new();
        let (mut held, commits) = started(&disk, Fsync::Always);
        held.hold();

        held.append(Log::Results, b"1\n", 1).expect("the disk works");

        assert_eq!(commits.try_iter().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn what_is_held_is_written_when_it_is_dropped() {
        let disk = MemDisk::new();
        let (mut held, _commits) = started(&disk, Fsync::Group);
        held.hold();

        held.append(Log::Results, b"1\n", 1).expect("the disk works");
        drop(held);

        assert_eq!(disk.content("results").as_deref(), Some(&b"1\n"[..]));
    }

    fn started(disk: &MemDisk, fsync: Fsync) -> (Held, mpsc::Receiver<u64>) {
        let target = |name: &str| Target::File {
            file: disk.open(Path::new(name), OpenMode::Edit).expect("it can be made").into(),
            path: name.into(),
            end: 0,
        };
        let (sender, commits) = mpsc::channel();
        let on_commit = Box::new(move |commit| match commit {
            Commit::Durable { up_to } => sender.send(up_to).unwrap_or_default(),
            Commit::Failed(failure) => panic!("the disk works, but {failure}"),
        });
        let targets = Targets { results: target("results"), errors: target("errors"), fsync };
        (Held::new(Writer::start(targets, Threading::Thread, on_commit).expect("a thread can be started")), commits)
    }
}
