//! A disk in memory, for runs in virtual time and for tests of faults.
//!
//! A test can make any operation fail, or let the process die during that operation. A process crash and a power
//! failure have different effects:
//!
//! - After a process crash, everything that was written is still there.
//! - After a power failure, everything that was synced is still there. Each later write is kept, is lost, is truncated
//!   to a multiple of 512 bytes, or has zeros in some pieces. An earlier write can be lost although a later write is
//!   kept. Only the first few changes of names after the last sync survive the power failure.
//!
//! Paths are plain keys: there are no links, and `.` and `..` have no special meaning. Every folder exists, and every
//! file belongs to the caller.

mod file;
mod inode;
mod state;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use file::MemFile;
use state::{Fault, State, locked};

use super::{Disk, DiskFile, FileKind, OpenMode};

/// A disk in memory. Clones of a disk share its files.
#[derive(Clone, Debug, Default)]
pub struct MemDisk(Arc<Mutex<State>>);

impl MemDisk {
    /// Returns an empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of attempted changes: creations, writes, truncations, syncs, renames and removals.
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// Makes one change fail: the change with the number `at`. Change numbers start at 0 when the disk is created.
    pub fn fail_at(&self, at: u64, kind: io::ErrorKind) {
        self.state().fault = Some(Fault::Once { at, kind });
    }

    /// Makes the process die at change number `at`: this change and all later changes fail. If this change is a write,
    /// the first bytes of the write still reach the disk; `written` is their number.
    pub fn die_at(&self, at: u64, written: usize) {
        self.state().fault = Some(Fault::Death { at, written });
    }

    /// Returns the disk as another process finds it after this process has died: everything is written, and nothing is
    /// locked.
    pub fn after_death(&self) -> Self {
        let mut state = self.state().clone();
        state.die();
        Self::over(state)
    }

    /// Returns the disk in one of the states that are possible after a power failure. `random` chooses the state.
    pub fn after_power_loss(&self, random: &mut fastrand::Rng) -> Self {
        let mut state = self.state().clone();
        state.lose_power(random);
        Self::over(state)
    }

    /// Returns the content of a file; `None` if the file does not exist.
    pub fn content(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(path.as_ref()).map(|&at| state.files[at].live.clone())
    }

    /// Returns all paths, sorted.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    /// Creates a file with this content. The whole content is durable.
    pub fn put(&self, path: impl AsRef<Path>, content: &[u8]) {
        self.state().put(path.as_ref(), content);
    }

    fn over(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.0)
    }
}

impl Disk for MemDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        let inode = match (state.names.get(path).copied(), mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(at), OpenMode::Read | OpenMode::Existing | OpenMode::Edit) => at,
            (None, OpenMode::Read | OpenMode::Existing) => return Err(io::ErrorKind::NotFound.into()),
            (None, OpenMode::Edit | OpenMode::CreateNew) => state.create(path)?,
        };
        let handle = fastrand::u64(..);
        drop(state);
        Ok(Box::new(MemFile { state: Arc::clone(&self.0), inode, handle }))
    }

    fn kind(&self, path: &Path) -> io::Result<Option<FileKind>> {
        let state = self.state();
        if state.names.contains_key(path) {
            return Ok(Some(FileKind::File));
        }
        // This disk does not store folders, but if a file is in a folder, the folder exists.
        Ok(state.names.keys().any(|name| name.starts_with(path)).then_some(FileKind::Folder))
    }

    fn is_folder(&self, _path: &Path) -> io::Result<bool> {
        Ok(true)
    }

    fn is_same_file(&self, one: &Path, other: &Path) -> bool {
        one == other && self.state().names.contains_key(one)
    }

    fn is_standard_output(&self, _path: Option<&Path>) -> bool {
        false
    }

    fn create_folder(&self, _path: &Path) -> io::Result<()> {
        self.state().change().map_err(|(error, _)| error)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change().map_err(|(error, _)| error)?;
        let Some(inode) = state.names.get(from).copied() else { return Err(io::ErrorKind::NotFound.into()) };
        state.point(to, Some(inode));
        state.point(from, None);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.names.contains_key(path) {
            state.change().map_err(|(error, _)| error)?;
            state.point(path, None);
        }
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change().map_err(|(error, _)| error)?;
        state.sync_names(path);
        Ok(())
    }

    fn take_notes(&self) -> Vec<String> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synced_bytes_survive_every_loss_of_power() {
        let disk = MemDisk::new();
        let file = disk.open(Path::new("f"), OpenMode::Edit).expect("it can be made");
        file.write_at(b"synced", 0).expect("it can be written");
        file.sync().expect("it can be synced");
        disk.sync_folder(Path::new(".")).expect("it can be synced");
        file.write_at(b"not", 6).expect("it can be written");

        for seed in 0..50 {
            let after = disk.after_power_loss(&mut fastrand::Rng::with_seed(seed));
            let content = after.content("f").expect("its name was synced");
            assert!(content.starts_with(b"synced") && content.len() <= 9, "seed {seed}");
        }
        assert_eq!(disk.after_death().content("f").as_deref(), Some(&b"syncednot"[..]));
    }

    #[test]
    fn after_a_death_only_a_part_of_the_last_write_is_there() {
        let disk = MemDisk::new();
        let file = disk.open(Path::new("f"), OpenMode::Edit).expect("it can be made");
        disk.die_at(1, 2);

        assert!(file.write_at(b"abc", 0).is_err());
        assert!(file.write_at(b"xyz", 0).is_err());
        assert!(file.sync().is_err());

        assert_eq!(disk.content("f").as_deref(), Some(&b"ab"[..]));
    }
}
