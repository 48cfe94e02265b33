//! All files of the in-memory disk, with their names.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::inode::Inode;
use crate::journal::disk::folder_of;

/// All files of a disk, and the planned fault.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// Every file that was ever created. Each name in `names` refers to one of these files.
    pub(super) files: Vec<Inode>,
    pub(super) names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// The changes to names that were made after the last sync of their folder. The oldest change comes first.
    name_changes: Vec<(PathBuf, Option<usize>)>,
    /// The number of attempted changes.
    pub(super) changes: u64,
    pub(super) fault: Option<Fault>,
}

/// The planned fault. It decides which of the changes fail.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// This change fails, and all other changes work.
    Once { at: u64, kind: io::ErrorKind },
    /// This change fails, and all later changes fail too. If this change is a write, its first `written` bytes are
    /// written before the write fails.
    Death { at: u64, written: usize },
}

impl State {
    /// Counts a change. If this change must fail, returns the error, and how many bytes of the change are written
    /// before the failure.
    pub(super) fn change(&mut self) -> Result<(), (io::Error, usize)> {
        let now = self.changes;
        self.changes += 1;
        match self.fault {
            Some(Fault::Once { at, kind }) if at == now => Err((kind.into(), 0)),
            Some(Fault::Death { at, written }) if now >= at => {
                Err((io::Error::other("the process is dead"), if now == at { written } else { 0 }))
            }
            Some(Fault::Once { .. } | Fault::Death { .. }) | None => Ok(()),
        }
    }

    /// Creates an empty file and returns its index in `files`.
    pub(super) fn create(&mut self, path: &Path) -> io::Result<usize> {
        self.change().map_err(|(error, _)| error)?;
        self.files.push(Inode::default());
        self.point(path, Some(self.files.len() - 1));
        Ok(self.files.len() - 1)
    }

    /// Creates a file with this content. The whole content is durable.
    pub(super) fn put(&mut self, path: &Path, content: &[u8]) {
        let at = self.files.len();
        self.files.push(Inode::durable(content));
        self.names.insert(path.to_owned(), at);
        self.durable_names.insert(path.to_owned(), at);
    }

    /// Makes a name refer to a file; with `None`, removes the name.
    pub(super) fn point(&mut self, path: &Path, target: Option<usize>) {
        point(&mut self.names, path.to_owned(), target);
        self.name_changes.push((path.to_owned(), target));
    }

    /// Makes the names in a folder durable.
    pub(super) fn sync_names(&mut self, folder: &Path) {
        for (name, target) in std::mem::take(&mut self.name_changes) {
            match folder_of(&name) == folder {
                true => point(&mut self.durable_names, name, target),
                false => self.name_changes.push((name, target)),
            }
        }
    }

    /// Lets the process die: its locks are freed, and everything that it wrote is kept.
    pub(super) fn die(&mut self) {
        (self.fault, self.changes) = (None, 0);
        self.files.iter_mut().for_each(|inode| inode.locked_by = None);
    }

    /// Puts the disk into a state that is possible after a power failure. `random` chooses the new state.
    pub(super) fn lose_power(&mut self, random: &mut fastrand::Rng) {
        let kept = random.usize(0..=self.name_changes.len());
        for (path, target) in self.name_changes.drain(..).take(kept) {
            point(&mut self.durable_names, path, target);
        }
        self.names = self.durable_names.clone();
        self.files.iter_mut().for_each(|inode| inode.lose_power(random));
        (self.fault, self.changes) = (None, 0);
    }
}

/// Locks the state, even if another thread panicked while it held the lock.
pub(super) fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn point(names: &mut BTreeMap<PathBuf, usize>, path: PathBuf, target: Option<usize>) {
    match target {
        Some(inode) => names.insert(path, inode),
        None => names.remove(&path),
    };
}
