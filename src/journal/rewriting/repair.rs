//! Repairs damaged files at the start of a run.
//!
//! Before the repair, a scan ([`crate::journal::reading`]) has found the damaged parts. What the repair does depends on
//! the place and the kind of the damage:
//!
//! | where | what is there | what happens |
//! |---|---|---|
//! | end | a complete record without its line break | kept; the line break is added, with a note |
//! | end | a half-written line of this program, or zeros | removed, with a note |
//! | end, after records | anything else | removed, with a note, and kept in another file in the same folder |
//! | middle | a line with zeros in it, because a power failure undid a write | removed, with a note |
//! | middle | anything else | the run does not use the file; the message names the line |
//! | beginning | anything else | the run does not use the file, because another program wrote it |
//!
//! The run reads all its files before it changes any of them. If the run can't use one of its files, the run changes
//! none of its files. Blank lines are ignored.

use std::path::Path;
use std::sync::Arc;

use super::copy::copy_range;
use crate::journal::disk::{Disk, DiskFailure, replace, sync_name};
use crate::journal::files::Output;
use crate::journal::reading::{Scan, Tail};

/// Repairs the damage that the scan found in a file, and makes the file durable. Adds a note to `notes` for each
/// repair.
///
/// Foreign bytes at the end are first copied to a file at `spare`.
///
/// # Errors
/// A disk failure. After a failure, the repair can be repeated.
pub(crate) fn repair(
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
        remove_holes(disk, output, scan)?;
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
    // A run that died may have written lines without syncing them. The rows of these lines are now treated as done, so
    // this sync makes the lines durable.
    file.sync().map_err(DiskFailure::of("sync", path))?;
    sync_name(disk, path)
}

fn remove_holes(disk: &dyn Disk, output: &mut Output, scan: &Scan) -> Result<(), DiskFailure> {
    let (file, path) = (Arc::clone(&output.file), output.path.clone());
    output.replace(disk, |copy, _| {
        let mut from = 0;
        let mut to = 0;
        for hole in &scan.holes {
            to = copy_range(&*file, &path, from..hole.start, copy, to)?;
            from = hole.end;
        }
        // The damaged tail of the file is copied too, because `repair` removes it later.
        copy_range(&*file, &path, from..scan.size, copy, to).map(|_| ())
    })
}

fn hole_note(path: &Path, scan: &Scan) -> String {
    let bytes: u64 = scan.holes.iter().map(|hole| hole.end - hole.start).sum();
    format!("removed {bytes} bytes that a loss of power damaged in the middle of {}", path.display())
}

fn tail_note(path: &Path, tail: Tail, bytes: u64, spare: &Path) -> String {
    let what = match tail {
        Tail::HalfWritten => format!("removed a half-written line of {bytes} bytes"),
        Tail::Zeroed => format!("removed {bytes} zero bytes"),
        Tail::Foreign => format!("removed {bytes} bytes that claude-batch did not write"),
    };
    let kept = match tail {
        Tail::Foreign => format!("; they are kept in {}", spare.display()),
        Tail::HalfWritten | Tail::Zeroed => String::new(),
    };
    format!("{what} at the end of {}{kept}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::disk::{MemDisk, OpenMode};
    use crate::journal::error::JournalError;
    use crate::journal::files::Access;
    use crate::journal::reading::{Line, Parsed, scan};
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
        let found = Output::find(disk, Path::new("f"), Log::Results, Access::Write, &mut Vec::new());
        found.expect("nobody holds it").expect("it is there")
    }

    fn repaired(content: &[u8]) -> (String, Vec<String>) {
        let (disk, scan) = scanned(content, true).expect("it can be repaired");
        let mut notes = Vec::new();
        repair(&disk, &mut output(&disk), &scan, Path::new("spare"), &mut notes).expect("it can be repaired");
        let text = String::from_utf8(disk.content("f").expect("it is there")).expect("what is left is text");
        (text, notes)
    }

    #[test]
    fn a_damaged_end_is_removed_with_a_note() {
        let cases: [(&[u8], &str); 5] = [
            (b"{\"custom_id\":\"x", "removed a half-written line of 15 bytes"),
            (b"{\"cu", "removed a half-written line of 4 bytes"),
            (&[0; 700], "removed 700 zero bytes"),
            (b"{\"custom_id\":1,\"re\0\0\0\0\n", "removed a half-written line of 23 bytes"),
            (b"hello\nyou\n", "removed 10 bytes that claude-batch did not write"),
        ];
        for (tail, word) in cases {
            let (text, notes) = repaired(&[GOOD.as_bytes(), GOOD.as_bytes(), tail].concat());

            assert_eq!(text, GOOD.repeat(2));
            assert!(notes.len() == 1 && notes[0].starts_with(word), "{notes:?}");
        }
    }

    #[test]
    fn a_foreign_end_is_kept_in_another_file() {
        let (disk, scan) = scanned(format!("{GOOD}hello\n").as_bytes(), false).expect("it can be repaired");

        repair(&disk, &mut output(&disk), &scan, Path::new("spare"), &mut Vec::new()).expect("it can be repaired");

        assert_eq!(disk.content("spare").as_deref(), Some(&b"hello\n"[..]));
    }

    #[test]
    fn a_complete_record_without_its_line_break_is_kept() {
        let (text, notes) = repaired(format!("{GOOD}{}", GOOD.trim_end()).as_bytes());

        assert_eq!(text, GOOD.repeat(2));
        assert_eq!(notes.len(), 1);
    }

    #[test]
    fn a_loss_of_power_in_the_middle_removes_only_the_damaged_lines() {
        let hole = b"{\"custom_id\":1,\0\0\0\0\0\0_id\":1}\n";
        let content = [GOOD.as_bytes(), hole, GOOD.as_bytes(), hole, b"\0\0\n", GOOD.as_bytes(), b"{\"cus"].concat();

        let (text, notes) = repaired(&content);

        assert_eq!(text, GOOD.repeat(3));
        assert_eq!(notes.len(), 2, "{notes:?}");
    }
}
