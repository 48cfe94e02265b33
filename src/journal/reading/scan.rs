//! Scans a file of a run to find out which lines are records, and how the other lines are damaged.
//!
//! This module distinguishes half-written, zeroed and foreign lines. [`crate::journal::rewriting`] removes or repairs
//! these lines. Lines are read on several threads. The kind of damage depends on the lines around a damaged line. So
//! the kinds of damage are decided after all lines were read, in the order of the lines in the file.

use std::io;
use std::ops::Range;
use std::path::Path;

use serde::de::IgnoredAny;

use super::blocks::{Block, Cut, each_block};
use super::lines::{Line, Lines};
use super::record::Parsed;
use crate::journal::disk::{DiskFailure, DiskFile};
use crate::journal::error::JournalError;

/// The prefix of every line of this program.
const BEGINNING: &[u8] = b"{\"custom_id\":";

/// The result of a scan of a file.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Number of records.
    pub(crate) records: u64,
    /// Offset after the last record.
    pub(crate) good_end: u64,
    /// Size of the file.
    pub(crate) size: u64,
    /// Whether the last record lacks its line break.
    pub(crate) lacks_break: bool,
    /// The damaged parts of the file that are followed by records.
    pub(crate) holes: Vec<Range<u64>>,
    /// The kind of the bytes after the last record; `None` if the file ends after this record.
    pub(crate) tail: Option<Tail>,
}

/// The bytes after the last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// A half-written line of this program.
    HalfWritten,
    /// Zero bytes.
    Zeroed,
    /// Anything else.
    Foreign,
}

impl Scan {
    /// Returns whether a repair moves lines to other offsets.
    pub(crate) fn moves_lines(&self) -> bool {
        !self.holes.is_empty()
    }
}

/// Consecutive damaged lines. If a record follows these lines, they are a hole; otherwise, they are the tail of the
/// file.
struct Bad {
    from: u64,
    /// The number of the first of these lines, counted from 1.
    line: u64,
    tail: Tail,
    /// Whether each of the lines contains zero bytes, which means that a power failure undid a write.
    is_undone_write: bool,
}

/// The kinds of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Record,
    Blank,
    Newer(u32),
    Bad { tail: Tail, has_zeros: bool },
}

/// Consecutive lines of the same kind.
#[derive(Debug)]
struct Stretch {
    kind: Kind,
    lines: u64,
    from: u64,
    end: u64,
    is_complete: bool,
}

/// Scans a file on several threads. `read` is called for each line. `read` gets the line, and the collection of the
/// block (the part of the file) that contains the line. `read` adds the needed data of the line to this collection, and
/// returns whether the line is a record. `take` receives the collections one by one, in the order of their blocks in
/// the file.
///
/// If `is_known` is `true`, the run folder exists, so the file belongs to a run of this program.
///
/// # Errors
/// [`JournalError::Foreign`], [`JournalError::ForeignLine`], [`JournalError::NewerFormat`], [`JournalError::Disk`].
pub(crate) fn scan<T: Default + Send>(
    file: &dyn DiskFile,
    path: &Path,
    is_known: bool,
    read: impl Fn(&Line<'_>, &mut T) -> Parsed<()> + Sync,
    take: impl FnMut(T),
) -> Result<Scan, JournalError> {
    scan_cut(file, path, is_known, Cut::here(), read, take)
}

fn scan_cut<T: Default + Send>(
    file: &dyn DiskFile,
    path: &Path,
    is_known: bool,
    cut: Cut,
    read: impl Fn(&Line<'_>, &mut T) -> Parsed<()> + Sync,
    mut take: impl FnMut(T),
) -> Result<Scan, JournalError> {
    let mut scanner = Scanner { path, scan: Scan::default(), bad: None, line: 1 };
    let size = file.size().map_err(DiskFailure::of("look at", path))?;
    let read_block = |block: Block<'_>| {
        let (mut stretches, mut collected) = (Vec::new(), T::default());
        block.each_line(|line| push(&mut stretches, line, kind(line, |line| read(line, &mut collected))))?;
        Ok((stretches, collected))
    };
    each_block(file, size, cut, read_block, |block: io::Result<_>| {
        let (stretches, collected) = block.map_err(DiskFailure::of("read", path))?;
        stretches.into_iter().try_for_each(|stretch| scanner.take(stretch))?;
        take(collected);
        Ok::<(), JournalError>(())
    })?;
    scanner.end(is_known)
}

fn kind(line: &Line<'_>, read: impl FnOnce(&Line<'_>) -> Parsed<()>) -> Kind {
    if line.is_complete && line.bytes.iter().all(u8::is_ascii_whitespace) {
        return Kind::Blank;
    }
    match read(line) {
        Parsed::Record(()) => Kind::Record,
        Parsed::Newer(version) => Kind::Newer(version),
        Parsed::NotOurs => bad_kind(line.bytes),
    }
}

fn bad_kind(bytes: &[u8]) -> Kind {
    let has_zeros = bytes.contains(&0);
    let tail = match bytes {
        bytes if bytes.iter().all(|&byte| byte == 0) => Tail::Zeroed,
        bytes if is_half_written(bytes) || has_zeros => Tail::HalfWritten,
        _ => Tail::Foreign,
    };
    Kind::Bad { tail, has_zeros }
}

/// Adds a line to the stretches (consecutive lines of the same kind) of its block. Consecutive records are put into one
/// stretch.
fn push(stretches: &mut Vec<Stretch>, line: &Line<'_>, kind: Kind) {
    match stretches.last_mut() {
        Some(last) if last.kind == Kind::Record && kind == Kind::Record => {
            last.lines += 1;
            last.end = line.end();
            last.is_complete = line.is_complete;
        }
        Some(_) | None => stretches.push(Stretch {
            kind,
            lines: 1,
            from: line.offset,
            end: line.end(),
            is_complete: line.is_complete,
        }),
    }
}

/// A scan in progress.
struct Scanner<'a> {
    path: &'a Path,
    scan: Scan,
    bad: Option<Bad>,
    /// The number of the next line, counted from 1.
    line: u64,
}

impl Scanner<'_> {
    fn take(&mut self, stretch: Stretch) -> Result<(), JournalError> {
        self.scan.size = stretch.end;
        match stretch.kind {
            Kind::Blank if self.bad.is_none() => self.scan.good_end = stretch.end,
            Kind::Blank => {}
            Kind::Record => {
                self.scan.close_hole(self.bad.take(), stretch.from, self.path)?;
                self.scan.records += stretch.lines;
                self.scan.good_end = stretch.end;
                self.scan.lacks_break = !stretch.is_complete;
            }
            Kind::Newer(version) => return Err(JournalError::NewerFormat { path: self.path.to_owned(), version }),
            Kind::Bad { tail, has_zeros } => {
                self.bad = Some(Bad::with(self.bad.take(), stretch.from, self.line, tail, has_zeros));
            }
        }
        self.line += stretch.lines;
        Ok(())
    }

    fn end(self, is_known: bool) -> Result<Scan, JournalError> {
        let Self { path, mut scan, bad, .. } = self;
        if let Some(bad) = bad {
            if scan.records == 0 && (bad.tail == Tail::Foreign || !is_known) {
                return Err(JournalError::Foreign { path: path.to_owned() });
            }
            scan.tail = Some(bad.tail);
        }
        Ok(scan)
    }
}

impl Scan {
    fn close_hole(&mut self, bad: Option<Bad>, end: u64, path: &Path) -> Result<(), JournalError> {
        let Some(bad) = bad else { return Ok(()) };
        if bad.is_undone_write {
            self.holes.push(bad.from..end);
            return Ok(());
        }
        match self.records {
            0 => Err(JournalError::Foreign { path: path.to_owned() }),
            _ => Err(JournalError::ForeignLine { path: path.to_owned(), line: bad.line }),
        }
    }
}

impl Bad {
    fn with(before: Option<Self>, from: u64, line: u64, tail: Tail, has_zeros: bool) -> Self {
        match before {
            None => Self { from, line, tail, is_undone_write: has_zeros },
            Some(bad) => Self {
                tail: if bad.tail == tail || bad.tail == Tail::Foreign { bad.tail } else { tail },
                is_undone_write: bad.is_undone_write && has_zeros,
                ..bad
            },
        }
    }
}

/// Returns whether the bytes are the beginning of a line of this program.
fn is_half_written(bytes: &[u8]) -> bool {
    let begins = bytes.starts_with(BEGINNING) || BEGINNING.starts_with(bytes);
    // If the bytes end with the decimal point of a number, the parser reports the error at the last byte instead of at
    // the end.
    let is_cut_short = |error: serde_json::Error| error.is_eof() || error.column() >= bytes.len();
    begins && serde_json::from_slice::<IgnoredAny>(bytes).is_err_and(is_cut_short)
}

/// Checks that this program wrote the first line of a file. The lines after the first line are not read.
///
/// # Errors
/// [`JournalError::Foreign`]; [`JournalError::Disk`].
pub(crate) fn check_first_line(
    file: &dyn DiskFile,
    path: &Path,
    is_known: bool,
    mut read: impl FnMut(&Line<'_>) -> Parsed<()>,
) -> Result<(), JournalError> {
    let mut lines = Lines::new(file);
    while let Some(line) = lines.next().map_err(DiskFailure::of("read", path))? {
        if line.bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let is_damaged = is_known && (is_half_written(line.bytes) || line.bytes.contains(&0));
        return match read(&line) {
            Parsed::Record(()) | Parsed::Newer(_) => Ok(()),
            Parsed::NotOurs if is_damaged => Ok(()),
            Parsed::NotOurs => Err(JournalError::Foreign { path: path.to_owned() }),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::disk::{Disk, MemDisk, OpenMode};

    const GOOD: &str = "{\"custom_id\":1}\n";

    #[test]
    fn a_foreign_line_in_the_middle_is_refused_with_its_number() {
        let refused = scanned(format!("{GOOD}\nhello\n{GOOD}").as_bytes(), true);

        assert!(matches!(refused, Err(JournalError::ForeignLine { line: 3, .. })));
    }

    #[test]
    fn a_file_of_another_program_is_refused() {
        for content in ["hello\n", "hello", "{\"custom_id\":2}", "{\"custom_id\":2}\n"] {
            for is_known in [true, false] {
                let refused = scanned(content.as_bytes(), is_known);
                assert!(matches!(refused, Err(JournalError::Foreign { .. })), "{content} {is_known}");
            }
        }
        assert!(matches!(scanned(&[0; 9], false), Err(JournalError::Foreign { .. })));
        assert!(matches!(scanned(b"{\"cus", false), Err(JournalError::Foreign { .. })));
        assert!(scanned(&[0; 9], true).is_ok());
        assert!(scanned(b"{\"cus", true).is_ok());
    }

    #[test]
    fn a_scan_finds_the_same_for_any_block_length() {
        let pieces: [&[u8]; 9] = [
            GOOD.as_bytes(),
            GOOD.as_bytes(),
            GOOD.as_bytes(),
            b"\n",
            b" \n",
            b"\0\0\n",
            b"{\"cu\0\n",
            b"hello\n",
            b"{\"cus",
        ];
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..500 {
            // Half of the cases have no foreign lines, because a scan often stops at the first foreign line.
            let kinds = if random.bool() { 7 } else { pieces.len() };
            let content: Vec<u8> =
                (0..random.usize(0..12)).flat_map(|_| pieces[random.usize(0..kinds)].to_vec()).collect();
            let is_known = random.bool();
            let disk = MemDisk::new();
            disk.put("f", &content);
            let file = disk.open(Path::new("f"), OpenMode::Read).expect("it is there");
            let found = |block_bytes, threads| {
                let cut = Cut { block_bytes, threads };
                let scan = scan_cut(&*file, Path::new("f"), is_known, cut, is_good, |()| {});
                scan.map_or_else(|error| format!("{error:?}"), |scan| format!("{scan:?}"))
            };

            let whole = found(1 << 20, 1);

            for (block_bytes, threads) in [(1, 2), (5, 1), (16, 3), (40, 2)] {
                assert_eq!(found(block_bytes, threads), whole, "{:?}", String::from_utf8_lossy(&content));
            }
        }
    }

    fn scanned(content: &[u8], is_known: bool) -> Result<Scan, JournalError> {
        let disk = MemDisk::new();
        disk.put("f", content);
        let file = disk.open(Path::new("f"), OpenMode::Read).expect("it is there");
        scan(&*file, Path::new("f"), is_known, is_good, |()| {})
    }

    fn is_good(line: &Line<'_>, _: &mut ()) -> Parsed<()> {
        match line.bytes == &GOOD.as_bytes()[..GOOD.len() - 1] {
            true => Parsed::Record(()),
            false => Parsed::NotOurs,
        }
    }
}
