//! Slots record which requests are in flight. If a run dies, the next run counts these requests, because they may have
//! been billed.
//!
//! The slots are in the file `inflight` in the run folder. The file begins with a header that contains the id of the
//! run. The header is followed by slots of 64 bytes, one for each request in flight. A slot is filled before its
//! request is sent, so the slot survives a process crash. The slot is freed when the line of its row is durable. A slot
//! contains the row, and the highest possible cost of all requests for the row together. In earlier versions, slots did
//! not contain this cost.
//!
//! Changes of slots wait for [`Slots::flush`], which writes all changes at once. A system call for each change would
//! take as long as sending the request. A request must not be sent before its slot is flushed.
//!
//! If a row has a line, the next run does not count this row, so its slot need not be cleared in the file. The lowest
//! free slot is used first, so the slots that change in one iteration of the run's loop are close together.
//!
//! Slots are not synced, because a sync for each request would be too expensive. After a power failure, slots can be
//! missing or out of date, so the count is only an estimate. A slot with a wrong checksum counts as empty.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::{Money, RowId};
use crate::journal::disk::{Disk, DiskFailure, DiskFile, OpenMode, read_up_to};

const SLOT_BYTES: usize = 64;
/// The maximum number of bytes that are read from the file: enough for a hundred thousand slots. A run needs at most
/// ten thousand slots at once.
const MOST_BYTES: u64 = 8 << 20;
pub(super) const MAGIC: &[u8; 8] = b"cbslots1";
/// The number of bytes for the run id in the header. The first 16 bytes of the header contain the magic number, and a
/// number that says how often the run folder was opened. The first run that opens the run folder has the number 1, the
/// second run has 2, and so on.
const RUN_BYTES: usize = SLOT_BYTES - 16;

/// The slot of a request in flight. When the request has ended, the slot must be given back. If the row has a durable
/// line, call `release`. If the row has no durable line, call [`crate::journal::Journal::clear`].
#[derive(Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Slot(u32);

/// The slots of this run.
pub(crate) struct Slots {
    file: Option<Box<dyn DiskFile>>,
    /// The disk and the header, if the file is created when the first slots are flushed.
    later: Option<(Arc<dyn Disk>, [u8; SLOT_BYTES])>,
    path: PathBuf,
    free: BinaryHeap<Reverse<u32>>,
    /// What the slots in the file will contain after the next flush.
    slots: Vec<u8>,
    /// The byte range of `slots` that has changed since the last flush.
    changed: Range<usize>,
}

/// The slots of a run that did not close its journal.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct UnclosedRun {
    /// How many times the run folder had been opened when the run filled these slots; 0 if there are no slots.
    pub(crate) opening: u64,
    /// Id of the run, shortened to fit into the header.
    pub(crate) run: String,
    /// The rows in flight, each with its highest possible cost.
    pub(crate) rows: Vec<(RowId, Money)>,
}

impl Slots {
    /// Creates the slots of a run. All slots are empty. Without a run folder, no slot is ever written to a file.
    pub(crate) fn create(disk: &dyn Disk, folder: Option<&Path>, opening: u64, run: &str) -> Result<Self, DiskFailure> {
        let Some(folder) = folder else {
            return Ok(Self::over(None, PathBuf::new()));
        };
        let path = path_in(folder);
        let file = new_file(disk, &path, &head(opening, run))?;
        Ok(Self::over(Some(file), path))
    }

    /// Returns the slots of a run without a run folder. All slots are empty. The file at `path` is not changed before
    /// the first slots are flushed.
    pub(crate) fn create_later(disk: Arc<dyn Disk>, path: PathBuf, run: &str) -> Self {
        Self { later: Some((disk, head(1, run))), ..Self::over(None, path) }
    }

    fn over(file: Option<Box<dyn DiskFile>>, path: PathBuf) -> Self {
        Self { file, later: None, path, free: BinaryHeap::new(), slots: Vec::new(), changed: 0..0 }
    }

    /// Fills a slot. A filled slot records that a request for the row is in flight.
    pub(crate) fn mark(&mut self, row: RowId, at_most: Money) -> Slot {
        let at = self.free.pop().map(|Reverse(at)| at).unwrap_or_else(|| {
            let at = self.slots.len() / SLOT_BYTES;
            self.slots.resize(self.slots.len() + SLOT_BYTES, 0);
            u32::try_from(at).expect("requests in flight are far below four billion")
        });
        self.set(at, &filled(row, at_most));
        Slot(at)
    }

    /// Fills the slot of a row again, because another request for the row is in flight.
    pub(crate) fn mark_again(&mut self, slot: Slot, row: RowId, at_most: Money) -> Slot {
        self.set(slot.0, &filled(row, at_most));
        slot
    }

    /// Empties the slot of a row that has neither a request in flight nor a line.
    pub(crate) fn clear(&mut self, slot: Slot) {
        self.set(slot.0, &[0; SLOT_BYTES]);
        self.free.push(Reverse(slot.0));
    }

    /// Frees a slot whose row has a durable line. The content of the slot can stay in the file, because the next run
    /// finds the row's line.
    pub(crate) fn release(&mut self, slot: Slot) {
        self.slots[place(slot.0)].fill(0);
        self.free.push(Reverse(slot.0));
    }

    /// Writes the slots that have changed since the last flush.
    pub(crate) fn flush(&mut self) -> Result<(), DiskFailure> {
        let changed = std::mem::take(&mut self.changed);
        if let Some((disk, head)) = self.later.as_ref().filter(|_| !changed.is_empty()) {
            self.file = Some(new_file(&**disk, &self.path, head)?);
            self.later = None;
        }
        let Some(file) = self.file.as_ref().filter(|_| !changed.is_empty()) else { return Ok(()) };
        let offset = (SLOT_BYTES + changed.start) as u64;
        file.write_at(&self.slots[changed], offset).map_err(DiskFailure::of("write", &self.path))
    }

    /// Empties the file of slots, because no request is in flight.
    pub(crate) fn close(self) -> Result<(), DiskFailure> {
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

/// Creates the file of slots, or empties it. The new file contains only the header.
fn new_file(disk: &dyn Disk, path: &Path, head: &[u8]) -> Result<Box<dyn DiskFile>, DiskFailure> {
    let file = disk.open(path, OpenMode::Edit).map_err(DiskFailure::of("open", path))?;
    file.truncate(0).map_err(DiskFailure::of("cut", path))?;
    file.write_at(head, 0).map_err(DiskFailure::of("write", path))?;
    Ok(file)
}

fn place(at: u32) -> Range<usize> {
    let from = at as usize * SLOT_BYTES;
    from..from + SLOT_BYTES
}

/// Reads the slots that the last run left. If the last run closed its journal, or the file is missing or damaged, there
/// are no slots.
pub(crate) fn read_unclosed(disk: &dyn Disk, folder: &Path) -> Result<UnclosedRun, DiskFailure> {
    let path = path_in(folder);
    if disk.kind(&path).map_err(DiskFailure::of("look at", &path))?.is_none() {
        return Ok(UnclosedRun::default());
    }
    let file = disk.open(&path, OpenMode::Read).map_err(DiskFailure::of("open", &path))?;
    let bytes = read_up_to(&*file, MOST_BYTES).map_err(DiskFailure::of("read", &path))?;
    Ok(parse(&bytes))
}

/// Returns whether the last run closed its journal. If a run was killed, its slots remain in the file.
pub(crate) fn was_closed(disk: &dyn Disk, folder: &Path) -> bool {
    let file = disk.open(&path_in(folder), OpenMode::Read);
    file.and_then(|file| file.size()).is_ok_and(|size| size == 0)
}

pub(super) fn parse(bytes: &[u8]) -> UnclosedRun {
    let mut slots = bytes.chunks_exact(SLOT_BYTES);
    let Some(head) = slots.next().filter(|head| head.starts_with(MAGIC)) else { return UnclosedRun::default() };
    let run = String::from_utf8_lossy(&head[16..]).trim_end_matches('\0').to_owned();
    UnclosedRun { opening: number(head, 8), run, rows: slots.filter_map(row_in).collect() }
}

fn path_in(folder: &Path) -> PathBuf {
    folder.join("inflight")
}

fn head(opening: u64, run: &str) -> [u8; SLOT_BYTES] {
    let mut head = [0; SLOT_BYTES];
    let run = shortened(run).as_bytes();
    head[..8].copy_from_slice(MAGIC);
    head[8..16].copy_from_slice(&opening.to_be_bytes());
    head[16..16 + run.len()].copy_from_slice(run);
    head
}

/// Returns the part of a run's id that fits into the header.
pub(crate) fn shortened(run: &str) -> &str {
    let end = (0..=RUN_BYTES.min(run.len())).rev().find(|&at| run.is_char_boundary(at));
    &run[..end.unwrap_or(0)]
}

fn filled(row: RowId, at_most: Money) -> [u8; SLOT_BYTES] {
    let pico = u64::try_from(at_most.0).unwrap_or(u64::MAX);
    let mut slot = [0; SLOT_BYTES];
    slot[..8].copy_from_slice(&row.label.to_be_bytes());
    slot[8..16].copy_from_slice(&row.key.to_be_bytes());
    slot[16..24].copy_from_slice(&checksum(row, pico).to_be_bytes());
    slot[24..32].copy_from_slice(&pico.to_be_bytes());
    slot
}

fn row_in(slot: &[u8]) -> Option<(RowId, Money)> {
    let row = RowId { label: number(slot, 0), key: number(slot, 8) };
    let pico = number(slot, 24);
    (number(slot, 16) == checksum(row, pico)).then_some((row, Money(pico.into())))
}

pub(super) fn number(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().fold(0, |sum, &byte| (sum << 8) | u64::from(byte))
}

/// Returns the checksum of a slot. In an empty or half-written slot, the stored checksum differs from the returned
/// checksum. If the amount is zero, the checksum is the same as in earlier versions.
fn checksum(row: RowId, pico: u64) -> u64 {
    row.label ^ row.key.rotate_left(32) ^ pico.rotate_left(16) ^ 0x736c_6f74_6f6b_2121
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::disk::MemDisk;

    const FOLDER: &str = "o.run";

    fn row(label: u64) -> RowId {
        RowId { label, key: label * 31 }
    }

    fn cost(label: u64) -> Money {
        Money((label << 40).into())
    }

    fn left(label: u64) -> (RowId, Money) {
        (row(label), cost(label))
    }

    #[test]
    fn a_death_leaves_exactly_the_rows_that_were_in_flight() {
        let disk = MemDisk::new();
        let mut slots = Slots::create(&disk, Some(Path::new(FOLDER)), 3, "run-1").expect("it can be made");
        let first = slots.mark(row(1), cost(1));
        let _second = slots.mark(row(2), cost(2));
        slots.flush().expect("it can be written");
        slots.clear(first);
        let _third = slots.mark(row(3), cost(3));
        slots.flush().expect("it can be written");

        let found = read_unclosed(&disk, Path::new(FOLDER)).expect("it can be read");

        assert_eq!(found, UnclosedRun { opening: 3, run: "run-1".to_owned(), rows: vec![left(3), left(2)] });
        assert_eq!(disk.content("o.run/inflight").map(|bytes| bytes.len()), Some(3 * SLOT_BYTES));
    }

    #[test]
    fn all_changes_are_written_in_one_piece() {
        let disk = MemDisk::new();
        let mut slots = Slots::create(&disk, Some(Path::new(FOLDER)), 3, "run-1").expect("it can be made");
        let before = disk.changes();

        let marked: Vec<Slot> = (1..=5).map(|label| slots.mark(row(label), cost(label))).collect();
        let unflushed = read_unclosed(&disk, Path::new(FOLDER)).expect("it can be read").rows;
        marked.into_iter().take(2).for_each(|slot| slots.clear(slot));
        slots.flush().expect("it can be written");
        slots.flush().expect("nothing is left to write");

        assert_eq!(disk.changes(), before + 1);
        assert_eq!(unflushed, []);
        let found = read_unclosed(&disk, Path::new(FOLDER)).expect("it can be read");
        assert_eq!(found.rows, [left(3), left(4), left(5)]);
    }

    #[test]
    fn a_released_slot_costs_no_write_and_is_used_again() {
        let disk = MemDisk::new();
        let mut slots = Slots::create(&disk, Some(Path::new(FOLDER)), 3, "run-1").expect("it can be made");
        let marked: Vec<Slot> = (1..=4).map(|label| slots.mark(row(label), cost(label))).collect();
        slots.flush().expect("it can be written");
        let before = disk.changes();

        marked.into_iter().skip(1).rev().for_each(|slot| slots.release(slot));
        slots.flush().expect("nothing is left to write");
        assert_eq!(disk.changes(), before);
        let _lowest = slots.mark(row(5), cost(5));
        slots.flush().expect("it can be written");

        let found = read_unclosed(&disk, Path::new(FOLDER)).expect("it can be read");
        assert_eq!(found.rows, [left(1), left(5), left(3), left(4)]);
    }

    #[test]
    fn a_slot_that_is_filled_again_has_the_later_amount() {
        let disk = MemDisk::new();
        let mut slots = Slots::create(&disk, Some(Path::new(FOLDER)), 3, "run-1").expect("it can be made");
        let slot = slots.mark(row(1), cost(1));

        let _slot = slots.mark_again(slot, row(1), cost(2));
        slots.flush().expect("it can be written");

        let found = read_unclosed(&disk, Path::new(FOLDER)).expect("it can be read");
        assert_eq!(found.rows, [(row(1), cost(2))]);
    }

    #[test]
    fn a_slot_of_an_earlier_version_has_no_amount() {
        let mut slot = [0; SLOT_BYTES];
        slot[..8].copy_from_slice(&row(5).label.to_be_bytes());
        slot[8..16].copy_from_slice(&row(5).key.to_be_bytes());
        slot[16..24]
            .copy_from_slice(&(row(5).label ^ row(5).key.rotate_left(32) ^ 0x736c_6f74_6f6b_2121).to_be_bytes());

        assert_eq!(row_in(&slot), Some((row(5), Money::ZERO)));
    }

    #[test]
    fn a_closed_run_leaves_no_slots() {
        let disk = MemDisk::new();
        let mut slots = Slots::create(&disk, Some(Path::new(FOLDER)), 3, "run-1").expect("it can be made");
        let _slot = slots.mark(row(1), cost(1));
        slots.flush().expect("it can be written");

        slots.close().expect("it can be emptied");

        assert_eq!(read_unclosed(&disk, Path::new(FOLDER)).expect("it can be read"), UnclosedRun::default());
    }

    #[test]
    fn damaged_slots_count_as_empty() {
        assert_eq!(parse(&[0xff; 640]), UnclosedRun::default());
        let mut bytes = head(1, "r").to_vec();
        bytes.extend_from_slice(&[0xff; 200]);
        bytes.extend_from_slice(&filled(row(5), cost(5))[..40]);

        assert_eq!(parse(&bytes).rows, Vec::new());
    }
}
