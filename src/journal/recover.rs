//! Recovery: what a file holds after anything may have happened to it.
//!
//! Owns the rules for damaged files. A line is good when it is a record of ours. Of the others:
//!
//! | where | what | answer |
//! |---|---|---|
//! | end | a whole record without its line break | kept, the break is added |
//! | end | a torn line of ours, or zeros | cut, with a note |
//! | end | anything else after records | cut, with a note, and kept beside the file |
//! | middle | bytes with zeros in them: a write that a loss of power undid | taken out, with a note |
//! | middle | anything else | refused with the line's number: nobody can know what it is |
//! | beginning | anything else | refused: it is somebody else's file |
//!
//! Nothing is changed before all files of a run were read and none was refused. White lines count as nothing.

use std::ops::Range;
use std::path::Path;

use serde::de::IgnoredAny;

use super::JournalError;
use super::disk::{Disk, DiskFailure, DiskFile, OpenMode, folder_of};
use super::lines::{Line, Lines};
use super::record::Parsed;
use super::replace::replace;

/// Every line of ours begins so.
const BEGINNING: &[u8] = b"{\"custom_id\":";
/// Bytes copied at a time.
const COPY_BYTES: u64 = 1 << 20;

/// What a file was found to be.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Records in it.
    pub(super) records: u64,
    /// Where the good part ends.
    pub(super) good_end: u64,
    /// Its size.
    size: u64,
    /// Whether the last record lacks its line break.
    lacks_break: bool,
    /// Bad parts with records behind them.
    holes: Vec<Range<u64>>,
    tail: Option<Tail>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    Torn,
    Zeroed,
    Foreign,
}

impl Scan {
    /// Returns whether mending moves lines, so that offsets found before do not hold.
    pub(super) fn moves_lines(&self) -> bool {
        !self.holes.is_empty()
    }
}

/// A run of bad lines that is not yet known to be a hole or the tail.
struct Bad {
    from: u64,
    line: u64,
    tail: Tail,
    is_undone_write: bool,
}

/// Reads a file; `read` takes each line with its offset and length and says whether it is a record.
///
/// `is_known` tells that the file is surely of a run of ours: its run folder is there.
///
/// # Errors
/// [`JournalError::Foreign`], [`JournalError::ForeignLine`], [`JournalError::NewerFormat`], [`JournalError::Disk`].
pub(super) fn scan(
    file: &dyn DiskFile,
    path: &Path,
    is_known: bool,
    mut read: impl FnMut(&Line<'_>) -> Parsed<()>,
) -> Result<Scan, JournalError> {
    let mut scan = Scan::default();
    let mut bad: Option<Bad> = None;
    let mut lines = Lines::new(file);
    let mut number = 0;
    while let Some(line) = lines.next().map_err(DiskFailure::of("read", path))? {
        number += 1;
        scan.size = line.end();
        let is_blank = line.is_complete && line.bytes.iter().all(u8::is_ascii_whitespace);
        if is_blank {
            if bad.is_none() {
                scan.good_end = line.end();
            }
            continue;
        }
        match read(&line) {
            Parsed::Record(()) => {
                scan.close_hole(bad.take(), &line, path)?;
                scan.records += 1;
                scan.good_end = line.end();
                scan.lacks_break = !line.is_complete;
            }
            Parsed::Newer(version) => return Err(JournalError::NewerFormat { path: path.to_owned(), version }),
            Parsed::NotOurs => bad = Some(Bad::with(bad, &line, number)),
        }
    }
    if let Some(bad) = bad {
        if scan.records == 0 && (bad.tail == Tail::Foreign || !is_known) {
            return Err(JournalError::Foreign { path: path.to_owned() });
        }
        scan.tail = Some(bad.tail);
    }
    Ok(scan)
}

impl Scan {
    fn close_hole(&mut self, bad: Option<Bad>, line: &Line<'_>, path: &Path) -> Result<(), JournalError> {
        let Some(bad) = bad else { return Ok(()) };
        if bad.is_undone_write {
            self.holes.push(bad.from..line.offset);
            return Ok(());
        }
        match self.records {
            0 => Err(JournalError::Foreign { path: path.to_owned() }),
            _ => Err(JournalError::ForeignLine { path: path.to_owned(), line: bad.line }),
        }
    }
}

impl Bad {
    fn with(before: Option<Self>, line: &Line<'_>, number: u64) -> Self {
        let has_zeros = line.bytes.contains(&0);
        let tail = match line.bytes {
            bytes if bytes.iter().all(|&byte| byte == 0) => Tail::Zeroed,
            bytes if is_torn_line(bytes) || has_zeros => Tail::Torn,
            _ => Tail::Foreign,
        };
        match before {
            None => Self { from: line.offset, line: number, tail, is_undone_write: has_zeros },
            Some(bad) => Self {
                tail: if bad.tail == tail || bad.tail == Tail::Foreign { bad.tail } else { tail },
                is_undone_write: bad.is_undone_write && has_zeros,
                ..bad
            },
        }
    }
}

/// Returns whether the bytes are the beginning of a line of ours and not something whole.
fn is_torn_line(bytes: &[u8]) -> bool {
    let begins = bytes.starts_with(BEGINNING) || BEGINNING.starts_with(bytes);
    // A number cut behind its point is wrong at the last byte, not at the end.
    let lacks_its_end = |error: serde_json::Error| error.is_eof() || error.column() >= bytes.len();
    begins && serde_json::from_slice::<IgnoredAny>(bytes).is_err_and(lacks_its_end)
}

/// Mends a file as the scan found it, makes it durable and says what was done.
///
/// Foreign bytes at the end are first copied to `spare`.
///
/// # Errors
/// What failed; mending can be begun again after any failure.
pub(super) fn mend(
    disk: &dyn Disk,
    path: &Path,
    scan: &Scan,
    spare: &Path,
    notes: &mut Vec<String>,
) -> Result<(), DiskFailure> {
    let file = disk.open(path, OpenMode::Edit).map_err(DiskFailure::of("open", path))?;
    let kept = scan.size.min(scan.good_end);
    if scan.tail == Some(Tail::Foreign) {
        replace(disk, spare, |copy, _| copy_range(&*file, path, kept..scan.size, copy, 0).map(|_| ()))?;
    }
    if scan.moves_lines() {
        notes.push(hole_note(path, scan));
        fill_holes(disk, &*file, path, scan)?;
    }
    let file = disk.open(path, OpenMode::Edit).map_err(DiskFailure::of("open", path))?;
    let lost: u64 = scan.holes.iter().map(|hole| hole.end - hole.start).sum();
    let end = kept - lost;
    if let Some(tail) = scan.tail {
        notes.push(tail_note(path, tail, scan.size - kept, spare));
        file.truncate(end).map_err(DiskFailure::of("cut", path))?;
    }
    if scan.lacks_break {
        notes.push(format!("added the missing line break at the end of {}", path.display()));
        file.write_at(b"\n", end).map_err(DiskFailure::of("write", path))?;
    }
    // Lines that a dead run wrote but did not sync count as done from here on.
    file.sync().map_err(DiskFailure::of("sync", path))?;
    disk.sync_folder(folder_of(path)).map_err(DiskFailure::of("sync", folder_of(path)))
}

fn fill_holes(disk: &dyn Disk, file: &dyn DiskFile, path: &Path, scan: &Scan) -> Result<(), DiskFailure> {
    replace(disk, path, |copy, _| {
        let mut from = 0;
        let mut to = 0;
        for hole in &scan.holes {
            to = copy_range(file, path, from..hole.start, copy, to)?;
            from = hole.end;
        }
        // The tail is copied too and cut like any other, so that there is one place that cuts.
        copy_range(file, path, from..scan.size, copy, to).map(|_| ())
    })
}

/// Copies a part of a file and returns the offset behind the copy.
pub(super) fn copy_range(
    file: &dyn DiskFile,
    path: &Path,
    range: Range<u64>,
    copy: &dyn DiskFile,
    mut to: u64,
) -> Result<u64, DiskFailure> {
    let mut buffer = vec![0; COPY_BYTES.min(range.end - range.start) as usize];
    let mut from = range.start;
    while from < range.end {
        let wanted = (range.end - from).min(COPY_BYTES) as usize;
        let count = file.read_at(&mut buffer[..wanted], from).map_err(DiskFailure::of("read", path))?;
        if count == 0 {
            return Err(DiskFailure::of("read", path)(std::io::ErrorKind::UnexpectedEof.into()));
        }
        copy.write_at(&buffer[..count], to).map_err(DiskFailure::of("copy", path))?;
        from += count as u64;
        to += count as u64;
    }
    Ok(to)
}

fn hole_note(path: &Path, scan: &Scan) -> String {
    let bytes: u64 = scan.holes.iter().map(|hole| hole.end - hole.start).sum();
    format!("took out {bytes} bytes that a loss of power left in the middle of {}", path.display())
}

fn tail_note(path: &Path, tail: Tail, bytes: u64, spare: &Path) -> String {
    let what = match tail {
        Tail::Torn => format!("cut a torn line of {bytes} bytes"),
        Tail::Zeroed => format!("cut {bytes} zero bytes"),
        Tail::Foreign => format!("cut {bytes} bytes that are no lines of ours"),
    };
    let kept = match tail {
        Tail::Foreign => format!("; they are kept in {}", spare.display()),
        Tail::Torn | Tail::Zeroed => String::new(),
    };
    format!("{what} at the end of {}{kept}", path.display())
}

/// Checks that the beginning of a file is ours, without reading the rest.
///
/// # Errors
/// [`JournalError::Foreign`]; [`JournalError::Disk`].
pub(super) fn check_beginning(
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
        let is_damaged = is_known && (is_torn_line(line.bytes) || line.bytes.contains(&0));
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
    use super::super::mem_disk::MemDisk;
    use super::*;

    const GOOD: &str = "{\"custom_id\":1}\n";

    fn scanned(content: &[u8], is_known: bool) -> Result<(MemDisk, Scan), JournalError> {
        let disk = MemDisk::new();
        disk.put("f", content);
        let file = disk.open(Path::new("f"), OpenMode::Read).expect("it is there");
        let is_record = |line: &Line<'_>| match line.bytes == &GOOD.as_bytes()[..GOOD.len() - 1] {
            true => Parsed::Record(()),
            false => Parsed::NotOurs,
        };
        let scan = scan(&*file, Path::new("f"), is_known, is_record)?;
        drop(file);
        Ok((disk, scan))
    }

    fn mended(content: &[u8]) -> (String, Vec<String>) {
        let (disk, scan) = scanned(content, true).expect("it can be mended");
        let mut notes = Vec::new();
        mend(&disk, Path::new("f"), &scan, Path::new("spare"), &mut notes).expect("it can be mended");
        let text = String::from_utf8(disk.content("f").expect("it is there")).expect("what is left is text");
        (text, notes)
    }

    #[test]
    fn damaged_ends_are_cut_with_a_word() {
        let cases: [(&[u8], &str); 5] = [
            (b"{\"custom_id\":\"x", "cut a torn line of 15 bytes"),
            (b"{\"cu", "cut a torn line of 4 bytes"),
            (&[0; 700], "cut 700 zero bytes"),
            (b"{\"custom_id\":1,\"re\0\0\0\0\n", "cut a torn line of 23 bytes"),
            (b"hello\nyou\n", "cut 10 bytes that are no lines of ours"),
        ];
        for (tail, word) in cases {
            let (text, notes) = mended(&[GOOD.as_bytes(), GOOD.as_bytes(), tail].concat());

            assert_eq!(text, GOOD.repeat(2));
            assert!(notes.len() == 1 && notes[0].starts_with(word), "{notes:?}");
        }
    }

    #[test]
    fn foreign_ends_are_kept_aside() {
        let (disk, scan) = scanned(format!("{GOOD}hello\n").as_bytes(), false).expect("it can be mended");

        mend(&disk, Path::new("f"), &scan, Path::new("spare"), &mut Vec::new()).expect("it can be mended");

        assert_eq!(disk.content("spare").as_deref(), Some(&b"hello\n"[..]));
    }

    #[test]
    fn a_whole_record_without_its_line_break_is_kept() {
        let (text, notes) = mended(format!("{GOOD}{}", GOOD.trim_end()).as_bytes());

        assert_eq!(text, GOOD.repeat(2));
        assert_eq!(notes.len(), 1);
    }

    #[test]
    fn an_undone_write_in_the_middle_costs_only_its_own_lines() {
        let hole = b"{\"custom_id\":1,\0\0\0\0\0\0_id\":1}\n";
        let content = [GOOD.as_bytes(), hole, GOOD.as_bytes(), hole, b"\0\0\n", GOOD.as_bytes(), b"{\"cus"].concat();

        let (text, notes) = mended(&content);

        assert_eq!(text, GOOD.repeat(3));
        assert_eq!(notes.len(), 2, "{notes:?}");
    }

    #[test]
    fn other_lines_in_the_middle_are_refused_by_number() {
        let refused = scanned(format!("{GOOD}\nhello\n{GOOD}").as_bytes(), true);

        assert!(matches!(refused, Err(JournalError::ForeignLine { line: 3, .. })));
    }

    #[test]
    fn somebody_elses_file_is_refused() {
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
}
