//! Slots: what a dead run may have paid for.
//!
//! Owns the file `inflight` in the run folder: a head naming the run, then slots of 64 bytes, one for each request in
//! flight. A slot is written when a request is sent and cleared when its row's line is durable, each by one write at a
//! fixed place, so that it survives the death of the process.
//!
//! Marks and clearings can wait for [`Inflight::flush`], which writes all that has changed in one piece: a call to the
//! system for each would cost as much as sending the request. Nothing that was marked may be sent before.
//!
//! A slot of a row whose line is durable need not be cleared in the file until it is used again: the next run strikes
//! every row from the dead that has a line. The lowest free slot is used first, so that what changes in one turn lies
//! close together.
//!
//! Slots are not synced: a sync for each request would cost more than what is counted. After a loss of power they may
//! be missing or old; the count is then a good guess and no more. A slot whose check does not hold counts as empty.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::disk::{Disk, DiskFailure, DiskFile, OpenMode};
use super::lines::read_up_to;
use crate::domain::RowId;

const SLOT_BYTES: usize = 64;
/// Bytes that are read of a file left behind: a hundred thousand slots, ten times what can be in flight.
const MOST_BYTES: u64 = 8 << 20;
const MAGIC: &[u8; 8] = b"cbslots1";
/// Bytes of the head that hold the run's id, behind magic and opening.
const RUN_BYTES: usize = SLOT_BYTES - 16;

/// A slot held by a request in flight. Give it back with [`super::Journal::clear`].
#[derive(Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Slot(u32);

/// The slots of a living run.
pub(super) struct Inflight {
    file: Option<Box<dyn DiskFile>>,
    path: PathBuf,
    free: BinaryHeap<Reverse<u32>>,
    /// The slots as they are to be.
    slots: Vec<u8>,
    /// Bytes of `slots` that the file does not have yet.
    changed: Range<usize>,
}

/// What a run that did not close left in its slots.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DeadRun {
    /// Number of the opening that made the slots; 0 when there are none.
    pub(super) opening: u64,
    pub(super) run: String,
    pub(super) rows: Vec<RowId>,
}

impl Inflight {
    /// Begins a run's slots, all empty. Without a folder nothing is written.
    pub(super) fn create(disk: &dyn Disk, folder: Option<&Path>, opening: u64, run: &str) -> Result<Self, DiskFailure> {
        let Some(folder) = folder else {
            return Ok(Self::over(None, PathBuf::new()));
        };
        let path = path_in(folder);
        let file = disk.open(&path, OpenMode::Edit).map_err(DiskFailure::of("open", &path))?;
        file.truncate(0).map_err(DiskFailure::of("cut", &path))?;
        file.write_at(&head(opening, run), 0).map_err(DiskFailure::of("write", &path))?;
        Ok(Self::over(Some(file), path))
    }

    fn over(file: Option<Box<dyn DiskFile>>, path: PathBuf) -> Self {
        Self { file, path, free: BinaryHeap::new(), slots: Vec::new(), changed: 0..0 }
    }

    /// Marks a row as in flight.
    pub(super) fn mark(&mut self, row: RowId) -> Result<Slot, DiskFailure> {
        let slot = self.mark_later(row);
        self.flush()?;
        Ok(slot)
    }

    /// Marks a row as in flight with the next flush.
    pub(super) fn mark_later(&mut self, row: RowId) -> Slot {
        let at = self.free.pop().map(|Reverse(at)| at).unwrap_or_else(|| {
            let at = self.slots.len() / SLOT_BYTES;
            self.slots.resize(self.slots.len() + SLOT_BYTES, 0);
            u32::try_from(at).expect("requests in flight are far below four billion")
        });
        self.set(at, &filled(row));
        Slot(at)
    }

    /// Marks a slot as empty.
    pub(super) fn clear(&mut self, slot: Slot) -> Result<(), DiskFailure> {
        self.clear_later(slot);
        self.flush()
    }

    /// Marks a slot as empty with the next flush.
    pub(super) fn clear_later(&mut self, slot: Slot) {
        self.set(slot.0, &[0; SLOT_BYTES]);
        self.free.push(Reverse(slot.0));
    }

    /// Gives back a slot whose row has a durable line. What the file says of it does not matter any more.
    pub(super) fn release(&mut self, slot: Slot) {
        self.slots[place(slot.0)].fill(0);
        self.free.push(Reverse(slot.0));
    }

    /// Writes what has changed since the last time.
    pub(super) fn flush(&mut self) -> Result<(), DiskFailure> {
        let changed = std::mem::take(&mut self.changed);
        let Some(file) = self.file.as_ref().filter(|_| !changed.is_empty()) else { return Ok(()) };
        let offset = (SLOT_BYTES + changed.start) as u64;
        file.write_at(&self.slots[changed], offset).map_err(DiskFailure::of("write", &self.path))
    }

    /// Empties the file: nothing of this run is open.
    pub(super) fn close(self) -> Result<(), DiskFailure> {
        let Some(file) = self.file else { return Ok(()) };
        file.truncate(0).map_err(DiskFailure::of("cut", &self.path))
    }

    fn set(&mut self, at: u32, bytes: &[u8; SLOT_BYTES]) {
        let place = place(at);
        self.slots[place.clone()].copy_from_slice(bytes);
        self.changed = match self.changed.is_empty() {
            true => place,
            false => self.changed.start.min(place.start)..self.changed.end.max(place.end),
        };
    }
}

fn place(at: u32) -> Range<usize> {
    let from = at as usize * SLOT_BYTES;
    from..from + SLOT_BYTES
}

/// Reads what the run before left; empty when it closed, or when there is nothing that can be read.
pub(super) fn read_dead(disk: &dyn Disk, folder: &Path) -> Result<DeadRun, DiskFailure> {
    let path = path_in(folder);
    if disk.kind(&path).map_err(DiskFailure::of("look at", &path))?.is_none() {
        return Ok(DeadRun::default());
    }
    let file = disk.open(&path, OpenMode::Read).map_err(DiskFailure::of("open", &path))?;
    let bytes = read_up_to(&*file, MOST_BYTES).map_err(DiskFailure::of("read", &path))?;
    Ok(parse(&bytes))
}

fn parse(bytes: &[u8]) -> DeadRun {
    let mut slots = bytes.chunks_exact(SLOT_BYTES);
    let Some(head) = slots.next().filter(|head| head.starts_with(MAGIC)) else { return DeadRun::default() };
    let run = String::from_utf8_lossy(&head[16..]).trim_end_matches('\0').to_owned();
    DeadRun { opening: number(head, 8), run, rows: slots.filter_map(row_in).collect() }
}

fn path_in(folder: &Path) -> PathBuf {
    folder.join("inflight")
}

fn head(opening: u64, run: &str) -> [u8; SLOT_BYTES] {
    let mut head = [0; SLOT_BYTES];
    let run = cut(run).as_bytes();
    head[..8].copy_from_slice(MAGIC);
    head[8..16].copy_from_slice(&opening.to_be_bytes());
    head[16..16 + run.len()].copy_from_slice(run);
    head
}

/// Returns the run's id as far as it fits the head.
pub(super) fn cut(run: &str) -> &str {
    let end = (0..=RUN_BYTES.min(run.len())).rev().find(|&at| run.is_char_boundary(at));
    &run[..end.unwrap_or(0)]
}

fn filled(row: RowId) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[..8].copy_from_slice(&row.label.to_be_bytes());
    slot[8..16].copy_from_slice(&row.key.to_be_bytes());
    slot[16..24].copy_from_slice(&check(row).to_be_bytes());
    slot
}

fn row_in(slot: &[u8]) -> Option<RowId> {
    let row = RowId { label: number(slot, 0), key: number(slot, 8) };
    (number(slot, 16) == check(row)).then_some(row)
}

fn number(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().fold(0, |sum, &byte| (sum << 8) | u64::from(byte))
}

/// Returns a number that an empty or torn slot does not hold.
fn check(row: RowId) -> u64 {
    row.label ^ row.key.rotate_left(32) ^ 0x736c_6f74_6f6b_2121
}

#[cfg(test)]
mod tests {
    use super::super::mem_disk::MemDisk;
    use super::*;

    const FOLDER: &str = "o.run";

    fn row(label: u64) -> RowId {
        RowId { label, key: label * 31 }
    }

    #[test]
    fn the_dead_leave_just_what_was_in_flight() {
        let disk = MemDisk::new();
        let mut slots = Inflight::create(&disk, Some(Path::new(FOLDER)), 3, "run-1").expect("it can be made");
        let first = slots.mark(row(1)).expect("it can be written");
        let _second = slots.mark(row(2)).expect("it can be written");
        slots.clear(first).expect("it can be written");
        let _third = slots.mark(row(3)).expect("it can be written");

        let dead = read_dead(&disk, Path::new(FOLDER)).expect("it can be read");

        assert_eq!(dead, DeadRun { opening: 3, run: "run-1".to_owned(), rows: vec![row(3), row(2)] });
        assert_eq!(disk.content("o.run/inflight").map(|bytes| bytes.len()), Some(3 * SLOT_BYTES));
    }

    #[test]
    fn marks_that_wait_are_written_in_one_piece() {
        let disk = MemDisk::new();
        let mut slots = Inflight::create(&disk, Some(Path::new(FOLDER)), 3, "run-1").expect("it can be made");
        let before = disk.changes();

        let marked: Vec<Slot> = (1..=5).map(|label| slots.mark_later(row(label))).collect();
        let unflushed = read_dead(&disk, Path::new(FOLDER)).expect("it can be read").rows;
        marked.into_iter().take(2).for_each(|slot| slots.clear_later(slot));
        slots.flush().expect("it can be written");
        slots.flush().expect("nothing is left to write");

        assert_eq!(disk.changes(), before + 1);
        assert_eq!(unflushed, []);
        let dead = read_dead(&disk, Path::new(FOLDER)).expect("it can be read");
        assert_eq!(dead.rows, [row(3), row(4), row(5)]);
    }

    #[test]
    fn a_slot_whose_row_has_a_line_costs_no_write_and_is_used_again() {
        let disk = MemDisk::new();
        let mut slots = Inflight::create(&disk, Some(Path::new(FOLDER)), 3, "run-1").expect("it can be made");
        let marked: Vec<Slot> = (1..=4).map(|label| slots.mark(row(label)).expect("it can be written")).collect();
        let before = disk.changes();

        marked.into_iter().skip(1).rev().for_each(|slot| slots.release(slot));
        slots.flush().expect("nothing is left to write");
        assert_eq!(disk.changes(), before);
        let _lowest = slots.mark(row(5)).expect("it can be written");

        let dead = read_dead(&disk, Path::new(FOLDER)).expect("it can be read");
        assert_eq!(dead.rows, [row(1), row(5), row(3), row(4)]);
    }

    #[test]
    fn a_closed_run_leaves_nothing() {
        let disk = MemDisk::new();
        let mut slots = Inflight::create(&disk, Some(Path::new(FOLDER)), 3, "run-1").expect("it can be made");
        let _slot = slots.mark(row(1)).expect("it can be written");

        slots.close().expect("it can be emptied");

        assert_eq!(read_dead(&disk, Path::new(FOLDER)).expect("it can be read"), DeadRun::default());
    }

    #[test]
    fn garbage_is_no_slot() {
        assert_eq!(parse(&[0xff; 640]), DeadRun::default());
        let mut bytes = head(1, "r").to_vec();
        bytes.extend_from_slice(&[0xff; 200]);
        bytes.extend_from_slice(&filled(row(5))[..40]);

        assert_eq!(parse(&bytes).rows, Vec::new());
    }
}
