//! The file of a log. Only the user can read the file. Lines are appended to the file until the file is large. When the
//! file is large, a new file begins.
//!
//! When a file reaches 64 MiB, it is renamed: `FILE` becomes `FILE.1`, `FILE.1` becomes `FILE.2`, and so on. The oldest
//! file, `FILE.3`, is removed first. Lines are written in blocks. The file is never synced to the disk, because the
//! results do not depend on the log.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::journal::{Disk, DiskFailure, DiskFile, LockAttempt, OpenMode, with_suffix};

/// The file size at which a new file begins, in bytes.
const MOST_BYTES: u64 = 64 << 20;
/// The name endings of the older files, from the newest file to the oldest.
pub(crate) const OLDER: [&str; 3] = [".1", ".2", ".3"];
/// How many bytes are written in one step.
const BLOCK: usize = 64 << 10;

/// A file to which lines are appended.
pub(super) struct LogFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    end: u64,
    block: Vec<u8>,
    most_bytes: u64,
}

impl LogFile {
    /// Opens the file at `path`. If the file exists, new lines are appended. If the last line of the file is
    /// half-written, a line break is appended first.
    ///
    /// # Errors
    /// Returns an error if the file can't be opened or must not be used, or if another run writes to it.
    pub(super) fn open(disk: Arc<dyn Disk>, path: PathBuf) -> Result<Self, DiskFailure> {
        let failed = || DiskFailure::of("write", &path);
        let file = disk.open(&path, OpenMode::Edit).map_err(failed())?;
        locked(&*file).map_err(failed())?;
        let end = file.size().map_err(failed())?;
        let mut last = [b'\n'];
        if end > 0 {
            file.read_at(&mut last, end - 1).map_err(failed())?;
        }
        let block = if last == *b"\n" { Vec::new() } else { b"\n".to_vec() };
        Ok(Self { disk, path, file, end, block, most_bytes: MOST_BYTES })
    }

    /// Adds a line to the block. The block is written when it is full, or by [`LogFile::flush`].
    ///
    /// # Errors
    /// Returns the error of the operating system if the block can't be written.
    pub(super) fn add(&mut self, line: &[u8]) -> Result<(), DiskFailure> {
        self.block.extend_from_slice(line);
        self.block.push(b'\n');
        if self.block.len() >= BLOCK { self.flush() } else { Ok(()) }
    }

    /// Writes all lines of the block to the file.
    ///
    /// # Errors
    /// Returns the error of the operating system if the lines can't be written.
    pub(super) fn flush(&mut self) -> Result<(), DiskFailure> {
        if self.block.is_empty() {
            return Ok(());
        }
        let written = self.write();
        self.block.clear();
        written.map_err(DiskFailure::of("write", &self.path))
    }

    fn write(&mut self) -> io::Result<()> {
        if self.end > 0 && self.end + self.block.len() as u64 > self.most_bytes {
            self.rotate()?;
        }
        self.file.write_at(&self.block, self.end)?;
        self.end += self.block.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let older = OLDER.map(|suffix| with_suffix(&self.path, suffix));
        for pair in older.windows(2).rev() {
            if self.disk.kind(&pair[0])?.is_some() {
                self.disk.rename(&pair[0], &pair[1])?;
            }
        }
        self.disk.rename(&self.path, &older[0])?;
        self.file = self.disk.open(&self.path, OpenMode::Edit)?;
        locked(&*self.file)?;
        self.end = self.file.size()?;
        Ok(())
    }
}

fn locked(file: &dyn DiskFile) -> io::Result<()> {
    match file.try_lock()? {
        LockAttempt::Locked | LockAttempt::Unsupported => Ok(()),
        LockAttempt::Held => Err(io::Error::new(io::ErrorKind::ResourceBusy, "another run writes to it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::MemDisk;

    fn open(disk: &MemDisk) -> LogFile {
        LogFile::open(Arc::new(disk.clone()), "log.jsonl".into()).expect("it can be opened")
    }

    fn text(disk: &MemDisk, name: &str) -> String {
        disk.content(name).map(|bytes| String::from_utf8(bytes).expect("it is text")).unwrap_or_default()
    }

    #[test]
    fn lines_are_added_after_the_lines_of_earlier_runs() {
        let disk = MemDisk::new();
        disk.put("log.jsonl", b"old\nhalf");
        let mut file = open(&disk);

        file.add(b"new").expect("it is in memory");
        let before = text(&disk, "log.jsonl");
        file.flush().expect("it is written");

        assert_eq!((before.as_str(), text(&disk, "log.jsonl").as_str()), ("old\nhalf", "old\nhalf\nnew\n"));
    }

    #[test]
    fn a_large_file_is_renamed_and_three_older_files_are_kept() {
        let disk = MemDisk::new();
        let mut file = open(&disk);
        file.most_bytes = 4;

        for line in [b"a1", b"b2", b"c3", b"d4", b"e5"] {
            file.add(line).and_then(|()| file.flush()).expect("it is written");
        }

        let names = ["log.jsonl", "log.jsonl.1", "log.jsonl.2", "log.jsonl.3", "log.jsonl.4"];
        assert_eq!(names.map(|name| text(&disk, name)), ["e5\n", "d4\n", "c3\n", "b2\n", ""]);
    }

    #[test]
    fn two_runs_do_not_write_to_the_same_log() {
        let disk = MemDisk::new();
        let _first = open(&disk);

        let second = LogFile::open(Arc::new(disk.clone()), "log.jsonl".into());

        assert!(second.is_err_and(|failure| failure.to_string().contains("another run")));
    }
}
