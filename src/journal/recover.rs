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
//! Nothing is changed before all files of a run were read ([`super::scan`]) and none was refused. White lines count as
//! nothing.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::JournalError;
use super::disk::{Disk, DiskFailure, DiskFile, folder_of};
use super::lines::{Line, Lines};
use super::output::Output;
use super::record::Parsed;
use super::replace::{replace, replace_output};
use super::scan::{Scan, Tail, is_torn_line};

/// Bytes copied at a time.
const COPY_BYTES: u64 = 1 << 20;

/// Mends a file as the scan found it, makes it durable and says what was done.
///
/// Foreign bytes at the end are first copied to `spare`.
///
/// # Errors
/// What failed; mending can be begun again after any failure.
pub(super) fn mend(
    disk: &dyn Disk,
    output: &mut Output,
    scan: &Scan,
    spare: &Path,
    notes: &mut Vec<String>,
) -> Result<(), DiskFailure> {
    let kept = scan.size.min(scan.good_end);
    if scan.tail == Some(Tail::Foreign) {
        let Output { path, file } = &*output;
        replace(disk, spare, |copy, _| copy_range(&**file, path, kept..scan.size, copy, 0).map(|_| ()))?;
    }
    if scan.moves_lines() {
        notes.push(hole_note(&output.path, scan));
        fill_holes(disk, output, scan)?;
    }
    let Output { path, file } = &*output;
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

fn fill_holes(disk: &dyn Disk, output: &mut Output, scan: &Scan) -> Result<(), DiskFailure> {
    let (file, path) = (Arc::clone(&output.file), output.path.clone());
    replace_output(disk, output, |copy, _| {
        let mut from = 0;
        let mut to = 0;
        for hole in &scan.holes {
            to = copy_range(&*file, &path, from..hole.start, copy, to)?;
            from = hole.end;
        }
        // The tail is copied too and cut like any other, so that there is one place that cuts.
        copy_range(&*file, &path, from..scan.size, copy, to).map(|_| ())
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
            return Err(DiskFailure::of("read", path)(io::ErrorKind::UnexpectedEof.into()));
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
    use super::super::disk::OpenMode;
    use super::super::mem_disk::MemDisk;
    use super::super::scan::scan;
    use super::*;
    use crate::sink::Log;

    const GOOD: &str = "{\"custom_id\":1}\n";

    fn scanned(content: &[u8], is_known: bool) -> Result<(MemDisk, Scan), JournalError> {
        let disk = MemDisk::new();
        disk.put("f", content);
        let file = disk.open(Path::new("f"), OpenMode::Read).expect("it is there");
        let scan = scan(&*file, Path::new("f"), is_known, is_good, |()| {})?;
        drop(file);
        Ok((disk, scan))
    }

    fn is_good(line: &Line<'_>, _: &mut ()) -> Parsed<()> {
        match line.bytes == &GOOD.as_bytes()[..GOOD.len() - 1] {
            true => Parsed::Record(()),
            false => Parsed::NotOurs,
        }
    }

    fn output(disk: &MemDisk) -> Output {
        let found = Output::find(disk, Path::new("f"), Log::Results, &mut Vec::new());
        found.expect("nobody holds it").expect("it is there")
    }

    fn mended(content: &[u8]) -> (String, Vec<String>) {
        let (disk, scan) = scanned(content, true).expect("it can be mended");
        let mut notes = Vec::new();
        mend(&disk, &mut output(&disk), &scan, Path::new("spare"), &mut notes).expect("it can be mended");
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

        mend(&disk, &mut output(&disk), &scan, Path::new("spare"), &mut Vec::new()).expect("it can be mended");

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
}
