//! An open file of the disk in memory.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::state::{State, locked};
use crate::journal::disk::{DiskFile, LockAttempt};

/// An open file of the disk in memory.
pub(super) struct MemFile {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) inode: usize,
    pub(super) handle: u64,
}

impl DiskFile for MemFile {
    fn size(&self) -> io::Result<u64> {
        Ok(locked(&self.state).files[self.inode].live.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = locked(&self.state);
        let content = &state.files[self.inode].live;
        let start = position(offset).min(content.len());
        let count = buffer.len().min(content.len() - start);
        buffer[..count].copy_from_slice(&content[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = locked(&self.state);
        let (bytes, done) = match state.change() {
            Ok(()) => (bytes, Ok(())),
            Err((error, written)) => (&bytes[..written.min(bytes.len())], Err(error)),
        };
        let inode = &mut state.files[self.inode];
        inode.write(bytes, position(offset));
        done
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = locked(&self.state);
        state.change().map_err(|(error, _)| error)?;
        state.files[self.inode].sync();
        Ok(())
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        let mut state = locked(&self.state);
        state.change().map_err(|(error, _)| error)?;
        state.files[self.inode].resize(position(size));
        Ok(())
    }

    fn try_lock(&self) -> io::Result<LockAttempt> {
        let mut state = locked(&self.state);
        let holder = &mut state.files[self.inode].locked_by;
        match *holder {
            Some(handle) if handle != self.handle => Ok(LockAttempt::Held),
            Some(_) | None => {
                *holder = Some(self.handle);
                Ok(LockAttempt::Locked)
            }
        }
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        Ok(locked(&self.state).names.get(path) == Some(&self.inode))
    }
}

impl Drop for MemFile {
    fn drop(&mut self) {
        let mut state = locked(&self.state);
        let holder = &mut state.files[self.inode].locked_by;
        if *holder == Some(self.handle) {
            *holder = None;
        }
    }
}

/// Returns an offset in the file as an index.
fn position(offset: u64) -> usize {
    usize::try_from(offset).expect("an offset in a file in memory fits into a usize")
}
