//! A disk in memory, for runs on virtual time and for tests of what disks do to people.
//!
//! It can fail or die at any operation, and it knows what a death of the process leaves (everything written) apart from
//! what a loss of power leaves (everything synced, and any part of the rest: whole, dropped, torn at 512 bytes, or
//! zeroed, in any order; names only as far as their folder was synced, in order).
//!
//! Paths are plain keys: no links, no `.` or `..`; every folder exists, and everything belongs to who asks.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::disk::{Disk, DiskFile, FileKind, LockAttempt, OpenMode};

/// Size in which a loss of power tears writes.
const SECTOR: usize = 512;

/// A shared disk in memory; clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemDisk(Arc<Mutex<State>>);

#[derive(Clone, Debug, Default)]
struct State {
    /// Every file ever made; names point here.
    files: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Changes to names since their folder was synced, oldest first.
    name_changes: Vec<(PathBuf, Option<usize>)>,
    changes: u64,
    fault: Option<Fault>,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// Writes since the last sync, oldest first.
    unsynced: Vec<Change>,
    locked_by: Option<u64>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// This change fails, the others work.
    Once { at: u64, kind: io::ErrorKind },
    /// This change and all after it fail; a write that does leaves `torn` of its bytes.
    Death { at: u64, torn: usize },
}

impl MemDisk {
    /// Returns an empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns how many changes (creations, writes, cuts, syncs, renames, removals) were tried.
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// Makes the change number `at`, counted from 0 over the life of the disk, fail once.
    pub fn fail_at(&self, at: u64, kind: io::ErrorKind) {
        self.state().fault = Some(Fault::Once { at, kind });
    }

    /// Makes the process die at the change number `at`: it and all later ones fail. When it is a write, its first
    /// `torn` bytes are written.
    pub fn die_at(&self, at: u64, torn: usize) {
        self.state().fault = Some(Fault::Death { at, torn });
    }

    /// Returns what another process finds after the death of this one: everything written, nothing locked.
    pub fn after_death(&self) -> Self {
        let mut state = self.state().clone();
        state.fault = None;
        state.changes = 0;
        state.files.iter_mut().for_each(|inode| inode.locked_by = None);
        Self(Arc::new(Mutex::new(state)))
    }

    /// Returns what may be found after a loss of power; `random` chooses among the possible states.
    pub fn after_power_loss(&self, random: &mut fastrand::Rng) -> Self {
        let mut state = self.state().clone();
        let kept = random.usize(0..=state.name_changes.len());
        for (path, target) in state.name_changes.drain(..).take(kept) {
            point(&mut state.durable_names, path, target);
        }
        state.names = state.durable_names.clone();
        for inode in &mut state.files {
            inode.lose_power(random);
        }
        state.fault = None;
        state.changes = 0;
        Self(Arc::new(Mutex::new(state)))
    }

    /// Returns the content of a file; `None` when it is not there.
    pub fn content(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(path.as_ref()).map(|&at| state.files[at].live.clone())
    }

    /// Returns all paths, sorted.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    /// Puts a file there, durable.
    pub fn put(&self, path: impl AsRef<Path>, content: &[u8]) {
        let mut state = self.state();
        let inode = Inode { live: content.to_vec(), durable: content.to_vec(), ..Inode::default() };
        let at = state.files.len();
        state.files.push(inode);
        state.names.insert(path.as_ref().to_owned(), at);
        state.durable_names.insert(path.as_ref().to_owned(), at);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
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
        Ok(Box::new(MemFile { disk: self.clone(), inode, handle }))
    }

    fn kind(&self, path: &Path) -> io::Result<Option<FileKind>> {
        Ok(self.state().names.contains_key(path).then_some(FileKind::File))
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
        let changes = std::mem::take(&mut state.name_changes);
        for (name, target) in changes {
            match super::disk::folder_of(&name) == path {
                true => point(&mut state.durable_names, name, target),
                false => state.name_changes.push((name, target)),
            }
        }
        Ok(())
    }

    fn take_notes(&self) -> Vec<String> {
        Vec::new()
    }
}

impl State {
    /// Counts a change; fails it when it is its turn, with the bytes of it that are done all the same.
    fn change(&mut self) -> Result<(), (io::Error, usize)> {
        let now = self.changes;
        self.changes += 1;
        match self.fault {
            Some(Fault::Once { at, kind }) if at == now => Err((kind.into(), 0)),
            Some(Fault::Death { at, torn }) if now >= at => {
                Err((io::Error::other("the process is dead"), if now == at { torn } else { 0 }))
            }
            Some(Fault::Once { .. } | Fault::Death { .. }) | None => Ok(()),
        }
    }

    fn create(&mut self, path: &Path) -> io::Result<usize> {
        self.change().map_err(|(error, _)| error)?;
        self.files.push(Inode::default());
        self.point(path, Some(self.files.len() - 1));
        Ok(self.files.len() - 1)
    }

    fn point(&mut self, path: &Path, target: Option<usize>) {
        point(&mut self.names, path.to_owned(), target);
        self.name_changes.push((path.to_owned(), target));
    }
}

fn point(names: &mut BTreeMap<PathBuf, usize>, path: PathBuf, target: Option<usize>) {
    match target {
        Some(inode) => names.insert(path, inode),
        None => names.remove(&path),
    };
}

impl Inode {
    fn lose_power(&mut self, random: &mut fastrand::Rng) {
        let mut changes = std::mem::take(&mut self.unsynced);
        random.shuffle(&mut changes);
        for change in changes {
            match (change, random.u8(0..4)) {
                (_, 0) => {}
                (Change::Write { offset, mut bytes }, 1) => {
                    bytes.truncate((random.usize(0..=bytes.len()) / SECTOR) * SECTOR);
                    write(&mut self.durable, offset, &bytes);
                }
                (Change::Write { offset, mut bytes }, 2) => {
                    bytes.chunks_mut(SECTOR).filter(|_| random.bool()).for_each(|sector| sector.fill(0));
                    write(&mut self.durable, offset, &bytes);
                }
                (Change::Write { offset, bytes }, _) => write(&mut self.durable, offset, &bytes),
                (Change::Truncate(size), _) => self.durable.resize(size, 0),
            }
        }
        self.live = self.durable.clone();
        self.locked_by = None;
    }
}

fn write(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

struct MemFile {
    disk: MemDisk,
    inode: usize,
    handle: u64,
}

impl DiskFile for MemFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.inode].live.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state();
        let content = &state.files[self.inode].live;
        let start = position(offset).min(content.len());
        let count = buffer.len().min(content.len() - start);
        buffer[..count].copy_from_slice(&content[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let (bytes, done) = match state.change() {
            Ok(()) => (bytes, Ok(())),
            Err((error, torn)) => (&bytes[..torn.min(bytes.len())], Err(error)),
        };
        let inode = &mut state.files[self.inode];
        write(&mut inode.live, position(offset), bytes);
        inode.unsynced.push(Change::Write { offset: position(offset), bytes: bytes.to_vec() });
        done
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.change().map_err(|(error, _)| error)?;
        let Inode { durable, unsynced, .. } = &mut state.files[self.inode];
        for change in unsynced.drain(..) {
            match change {
                Change::Write { offset, bytes } => write(durable, offset, &bytes),
                Change::Truncate(size) => durable.resize(size, 0),
            }
        }
        Ok(())
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.change().map_err(|(error, _)| error)?;
        let inode = &mut state.files[self.inode];
        inode.live.resize(position(size), 0);
        inode.unsynced.push(Change::Truncate(position(size)));
        Ok(())
    }

    fn try_lock(&self) -> io::Result<LockAttempt> {
        let mut state = self.disk.state();
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
        Ok(self.disk.state().names.get(path) == Some(&self.inode))
    }
}

impl Drop for MemFile {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        let holder = &mut state.files[self.inode].locked_by;
        if *holder == Some(self.handle) {
            *holder = None;
        }
    }
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).expect("a file in memory has a position in memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_synced_survives_every_loss_of_power() {
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
    fn the_dead_change_nothing_but_the_torn_write() {
        let disk = MemDisk::new();
        let file = disk.open(Path::new("f"), OpenMode::Edit).expect("it can be made");
        disk.die_at(1, 2);

        assert!(file.write_at(b"abc", 0).is_err());
        assert!(file.write_at(b"xyz", 0).is_err());
        assert!(file.sync().is_err());

        assert_eq!(disk.content("f").as_deref(), Some(&b"ab"[..]));
    }
}
