//! A file of the local file system.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::{DiskFile, LockAttempt, system};

/// An open file of the local file system.
pub(super) struct RealFile {
    pub(super) file: File,
    /// The path that the file was opened with.
    pub(super) path: PathBuf,
}

impl DiskFile for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    #[cfg(unix)]
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.file, buffer, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(&self.file, buffer, offset)
    }

    #[cfg(unix)]
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.file, bytes, offset)
    }

    #[cfg(windows)]
    fn write_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match std::os::windows::fs::FileExt::seek_write(&self.file, bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = &bytes[written..];
                    offset += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }

    #[cfg(not(windows))]
    fn try_lock(&self) -> io::Result<LockAttempt> {
        use std::fs::TryLockError;

        match self.file.try_lock() {
            Ok(()) => Ok(LockAttempt::Locked),
            Err(TryLockError::WouldBlock) => Ok(LockAttempt::Held),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                Ok(LockAttempt::Unsupported)
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// On Windows, no lock is needed: other processes can't write to this file while it is open.
    #[cfg(windows)]
    fn try_lock(&self) -> io::Result<LockAttempt> {
        Ok(LockAttempt::Locked)
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        match system::is_at(&self.file, &self.path, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            told => told,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Disk, OpenMode, RealDisk};
    use super::*;

    #[cfg(not(windows))]
    #[test]
    fn a_lock_is_held_until_its_file_is_closed() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("lock");
        let first = RealDisk::default().open(&path, OpenMode::Edit).expect("the lock file can be made");
        let second = RealDisk::default().open(&path, OpenMode::Edit).expect("it can be opened twice");

        assert_eq!(first.try_lock().expect("locks work here"), LockAttempt::Locked);
        assert_eq!(second.try_lock().expect("locks work here"), LockAttempt::Held);

        drop(first);
        assert_eq!(second.try_lock().expect("locks work here"), LockAttempt::Locked);
    }

    #[test]
    fn a_position_past_the_end_reads_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = RealDisk::default().open(&folder.path().join("f"), OpenMode::CreateNew).expect("a file can be made");
        file.write_at(b"abc", 0).expect("it can be written");

        let mut buffer = [0; 8];

        assert_eq!(file.read_at(&mut buffer, 1).expect("it can be read"), 2);
        assert_eq!(file.read_at(&mut buffer, 9).expect("it can be read"), 0);
        file.truncate(1).expect("it can be cut");
        assert_eq!(file.size().expect("it can be asked"), 1);
    }
}
