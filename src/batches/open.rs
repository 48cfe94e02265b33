//! Opens the files of the batch lane, with the batches that earlier runs submitted and did not collect.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::chunk::{ChunkFiles, remove_files};
use super::error::BatchesError;
use super::log::{self, BatchLog, Record, Replayed};
use crate::domain::{Identity, Money, RowId};
use crate::journal::{Disk, DiskFailure, DoneSet, RowState, with_suffix};

/// When a run dies, at most this many chunks have files but no `Intent` record in the log.
const LEFT_OVER: u32 = 4;

/// The files of the batch lane.
pub struct Opened {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) folder: PathBuf,
    pub(super) replayed: Replayed,
    /// The files of the open chunks (groups of rows with one batch each), in the order of their numbers.
    pub(super) files: Vec<Arc<ChunkFiles>>,
    pub(super) log: Option<BatchLog>,
}

/// Returns the path of the folder of batches that belongs to a results file.
pub(crate) fn folder_of_batches(results: &Path) -> PathBuf {
    with_suffix(results, ".batches")
}

impl Opened {
    /// Opens the folder of batches that belongs to a results file. If this folder does not exist, it is not created.
    /// Files that do not belong to an open chunk are removed. The caller must hold the lock of the results file.
    ///
    /// # Errors
    /// [`BatchesError`]
    pub fn new(disk: Arc<dyn Disk>, results: &Path) -> Result<Self, BatchesError> {
        let folder = folder_of_batches(results);
        if log::read(&*disk, &folder)?.is_none() {
            let replayed = Replayed::default();
            return Ok(Self { disk, folder, replayed, files: Vec::new(), log: None });
        }
        let (log, replayed) = BatchLog::open(&*disk, &folder)?;
        let files = files_of(&disk, &folder, &replayed)?;
        let next = replayed.next_chunk;
        let left_over = (next..next.saturating_add(LEFT_OVER)).chain(replayed.numbers.iter().copied());
        for number in left_over.filter(|number| !replayed.open.contains_key(number)) {
            remove_files(&*disk, &folder, number)?;
        }
        Ok(Self { disk, folder, replayed, files, log: Some(log) })
    }

    /// Reads the batches that earlier runs left open, and changes nothing. Do not use the result for a batch lane,
    /// because the log in the result is not open.
    ///
    /// # Errors
    /// [`BatchesError`]
    pub(crate) fn look(disk: Arc<dyn Disk>, results: &Path) -> Result<Self, BatchesError> {
        let folder = folder_of_batches(results);
        let replayed = log::read(&*disk, &folder)?.unwrap_or_default();
        let files = files_of(&disk, &folder, &replayed)?;
        Ok(Self { disk, folder, replayed, files, log: None })
    }

    /// Gives up the batches of earlier simulated runs, because their simulator has ended. Returns the number of these
    /// batches.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub(crate) fn forget(&mut self) -> Result<u64, DiskFailure> {
        let forgotten = std::mem::take(&mut self.replayed.open);
        self.files.clear();
        for (number, chunk) in &forgotten {
            if let Some(log) = &mut self.log {
                log.append(Record::Lost { chunk: *number, rows: chunk.rows, at_most: 0 })?;
            }
            remove_files(&*self.disk, &self.folder, *number)?;
        }
        Ok(forgotten.len() as u64)
    }

    /// Returns the rows of all open batches. These rows must not be sent again.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub fn rows(&self) -> Result<HashSet<RowId>, DiskFailure> {
        Ok(self.rows_and_names()?.0)
    }

    /// Returns the rows of all open batches. Also returns a map from the hash of a label to the row with this label.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub(crate) fn rows_and_names(&self) -> Result<(HashSet<RowId>, HashMap<u64, RowId>), DiskFailure> {
        let (mut rows, mut names) = (HashSet::new(), HashMap::new());
        for files in &self.files {
            files.identities(|row, identity| {
                rows.insert(row);
                if *identity == Identity::Named {
                    names.insert(row.label, row);
                }
            })?;
            files.close();
        }
        Ok((rows, names))
    }

    /// Returns the origins of the servers that have open batches; `simulator` for the simulator.
    pub(crate) fn origins(&self) -> impl Iterator<Item = &str> {
        self.replayed.open.values().map(|chunk| chunk.origin.as_str())
    }

    /// Returns how many rows of open batches have no answer yet. `done` contains the state of each row after the
    /// earlier runs.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub(crate) fn rows_without_line(&self, done: &DoneSet) -> Result<u64, DiskFailure> {
        let mut rows = 0;
        for files in &self.files {
            files.identities(|row, identity| rows += u64::from(done.state(row, identity) != RowState::Done))?;
            files.close();
        }
        Ok(rows)
    }

    /// Returns whether the batch with this id is open.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.replayed.open.values().any(|chunk| chunk.batch.as_ref().is_some_and(|batch| batch.id == id))
    }

    /// Returns the shapes (the kinds of requests) that the API has accepted online.
    pub(crate) fn proven(&self) -> &HashSet<String> {
        &self.replayed.proven
    }

    /// Returns how many batches are open.
    pub fn open_batches(&self) -> u64 {
        self.files.len() as u64
    }

    /// Returns the highest possible cost of the rows in open batches.
    pub(crate) fn most_of_open(&self) -> Money {
        self.replayed.open.values().fold(Money::ZERO, |sum, chunk| sum + chunk.at_most)
    }

    /// Returns the number of rows that may have been billed although their answers are lost, and the highest possible
    /// cost of these answers.
    pub fn lost(&self) -> (u64, Money) {
        (self.replayed.lost_rows, self.replayed.lost_money)
    }
}

/// Opens the files of the open chunks of rows.
fn files_of(disk: &Arc<dyn Disk>, folder: &Path, replayed: &Replayed) -> Result<Vec<Arc<ChunkFiles>>, DiskFailure> {
    let open = replayed.open.values();
    open.map(|chunk| ChunkFiles::open(disk, folder, chunk.chunk, &chunk.nonce, chunk.rows)).collect()
}

/// Creates the folder of batches and its log.
///
/// # Errors
/// Returns an error if the disk fails, or if there is a log that can't be used.
pub(super) fn created(disk: &dyn Disk, folder: &Path) -> Result<(BatchLog, Replayed), DiskFailure> {
    BatchLog::open(disk, folder).map_err(|error| match error {
        BatchesError::Disk(failure) => failure,
        other => DiskFailure::of("use", folder)(std::io::Error::other(other.to_string())),
    })
}
