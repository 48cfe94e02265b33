//! The log of batches. The log says which chunks (groups of rows with one batch each) were submitted. The log also says
//! whether each chunk is open, collected or lost.
//!
//! The log is the file `log.jsonl` in the folder `<results>.batches/`. Each change is one line, which is synced before
//! the run continues. So the log is right even after a crash. Before a chunk is submitted, its intent (the record that
//! the chunk is about to be submitted) is written to the log. So if a chunk has an intent, a batch of the chunk may
//! exist. If a chunk has no intent, the chunk certainly has no batch. If the log is lost, money is lost, because the
//! log contains the ids of batches that are paid for.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::BatchesError;
use crate::domain::Money;
use crate::journal::{Disk, DiskFailure, DiskFile, OpenMode, folder_of, read_up_to, sync_name};

const NAME: &str = "log.jsonl";
/// The version of the log's format.
const VERSION: u32 = 1;
/// The largest size in bytes of a log that is read. The log of ten million rows in batches of a hundred rows has 60 MB.
const MOST_BYTES: u64 = 256 << 20;

/// A change, as it is written to the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Record {
    /// The chunk is about to be submitted. From now on, a batch of the chunk can exist.
    Intent {
        /// The number of the chunk.
        chunk: u32,
        /// The number of rows in the chunk.
        rows: u32,
        /// The size of the chunk's body in bytes.
        bytes: u64,
        /// The nonce in the ids of the chunk's rows.
        nonce: String,
        /// The highest possible cost of the chunk's answers, in pico-dollars.
        at_most: u64,
        /// The time just before the chunk was submitted, on this machine's clock.
        at: jiff::Timestamp,
        /// The origin of the server, or `simulator`.
        #[serde(default)]
        origin: String,
    },
    /// The chunk exists as a batch with this id.
    Created {
        /// The number of the chunk.
        chunk: u32,
        /// The id of the batch.
        id: String,
        /// The time at which the API created the batch.
        created_at: jiff::Timestamp,
        /// The time at which the batch expires. Rows that the API has not sent to the model by then expire too.
        expires_at: jiff::Timestamp,
        /// `true` if the reply to the submission was lost, and the program found the batch in the list of batches. Only
        /// the results of such a batch can prove that it belongs to the chunk. So this program never cancels such a
        /// batch.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_found: bool,
    },
    /// The chunk was made from the results of a batch that had ended. These results are on the disk, and the chunk
    /// contains only rows with an answer.
    Adopted {
        /// The number of the chunk.
        chunk: u32,
        /// The number of rows in the chunk.
        rows: u32,
        /// The size of the chunk's body in bytes.
        bytes: u64,
        /// The nonce in the ids of the chunk's rows.
        nonce: String,
        /// The highest possible cost of the chunk's answers, in pico-dollars.
        at_most: u64,
        /// The time at which the results were taken over, on this machine's clock.
        at: jiff::Timestamp,
        /// The id of the batch.
        id: String,
        /// The time at which the API created the batch.
        created_at: jiff::Timestamp,
        /// The time at which the batch expires. Rows that the API has not sent to the model by then expire too.
        expires_at: jiff::Timestamp,
    },
    /// The submission of the chunk created no batch. If the chunk is submitted again, another `Intent` follows.
    Refused {
        /// The number of the chunk.
        chunk: u32,
    },
    /// The results of the batch with this id have shown that the batch belongs to somebody else.
    Foreign {
        /// The number of the chunk.
        chunk: u32,
        /// The id of the batch.
        id: String,
    },
    /// The run is about to cancel the batch of the chunk.
    Canceling {
        /// The number of the chunk.
        chunk: u32,
    },
    /// Every row of the chunk is in the results, is in the error log, or is sent again.
    Collected {
        /// The number of the chunk.
        chunk: u32,
    },
    /// Some answers of the chunk are lost: its batch can't be found, the batch was deleted, or rows are missing in its
    /// results. The rows without an answer are sent again, and are possibly billed twice. All other rows of the chunk
    /// have lines.
    Lost {
        /// The number of the chunk.
        chunk: u32,
        /// The number of rows in the chunk that have no line.
        rows: u32,
        /// The highest possible cost of the lost answers, in pico-dollars.
        at_most: u64,
    },
    /// The API key of the run belongs to this organization and workspace. The API does not show the batches to a key of
    /// another workspace.
    Workspace {
        /// The name of the organization and workspace, as the API gives it.
        name: String,
    },
    /// A request of this shape (with these parameters) was answered online. So other requests of this shape can be put
    /// into batches.
    Proven {
        /// The shape of the request.
        shape: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Line<T> {
    v: u32,
    #[serde(flatten)]
    record: T,
}

/// A submitted chunk of rows, as the log describes it. The API may have a batch of this chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Submitted {
    pub(crate) chunk: u32,
    pub(crate) rows: u32,
    pub(crate) bytes: u64,
    pub(crate) nonce: String,
    pub(crate) at_most: Money,
    /// The time of the submission on this machine's clock.
    pub(crate) at: jiff::Timestamp,
    /// The origin of the server, or `simulator`; empty if the log contains no origin.
    pub(crate) origin: String,
    /// The batch of the chunk; `None` if it is not known whether a batch exists.
    pub(crate) batch: Option<Known>,
    /// The ids of batches that a run wrongly treated as the batch of this chunk.
    pub(crate) foreign: Vec<String>,
    /// Whether a run has decided to cancel the batch.
    pub(crate) is_canceling: bool,
    /// Whether the chunk was made from the results of another batch. The API does not know the new ids in the results
    /// of such a chunk, so these results exist only on the disk.
    pub(crate) is_adopted: bool,
}

/// A batch whose id is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) id: String,
    pub(crate) created_at: jiff::Timestamp,
    pub(crate) expires_at: jiff::Timestamp,
    /// Whether the batch was found in the list of batches. A batch that was found in this list may belong to another
    /// run.
    pub(crate) is_found: bool,
}

/// What a log of batches says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replayed {
    /// The number of the next chunk.
    pub(crate) next_chunk: u32,
    /// The numbers of all chunks in the log.
    pub(crate) numbers: BTreeSet<u32>,
    /// The open chunks: their batches may exist at the API, and have not been collected.
    pub(crate) open: BTreeMap<u32, Submitted>,
    /// The number of chunks that were collected.
    pub(crate) collected: u32,
    /// The organization and workspace of the batches; `None` if the API did not name them.
    pub(crate) workspace: Option<String>,
    /// The shapes of requests that were answered online.
    pub(crate) proven: HashSet<String>,
    /// The number of rows that may have been billed although their answers are lost.
    pub(crate) lost_rows: u64,
    /// The highest possible cost of the lost answers.
    pub(crate) lost_money: Money,
}

impl Replayed {
    pub(super) fn apply(&mut self, record: Record) {
        match record {
            Record::Intent { chunk, rows, bytes, nonce, at_most, at, origin } => {
                self.numbers.insert(chunk);
                self.next_chunk = self.next_chunk.max(chunk.saturating_add(1));
                let at_most = Money(at_most.into());
                let submitted = Submitted {
                    chunk,
                    rows,
                    bytes,
                    nonce,
                    at_most,
                    at,
                    origin,
                    batch: None,
                    foreign: Vec::new(),
                    is_canceling: false,
                    is_adopted: false,
                };
                self.open.insert(chunk, submitted);
            }
            Record::Adopted { chunk, rows, bytes, nonce, at_most, at, id, created_at, expires_at } => {
                self.apply(Record::Intent { chunk, rows, bytes, nonce, at_most, at, origin: String::new() });
                self.apply(Record::Created { chunk, id, created_at, expires_at, is_found: false });
                if let Some(open) = self.open.get_mut(&chunk) {
                    open.is_adopted = true;
                }
            }
            Record::Created { chunk, id, created_at, expires_at, is_found } => {
                if let Some(open) = self.open.get_mut(&chunk) {
                    open.batch = Some(Known { id, created_at, expires_at, is_found });
                }
            }
            Record::Foreign { chunk, id } => {
                if let Some(open) = self.open.get_mut(&chunk) {
                    open.batch = None;
                    open.foreign.push(id);
                }
            }
            Record::Canceling { chunk } => {
                if let Some(open) = self.open.get_mut(&chunk) {
                    open.is_canceling = true;
                }
            }
            Record::Refused { chunk } => _ = self.open.remove(&chunk),
            Record::Lost { chunk, rows, at_most } => {
                self.open.remove(&chunk);
                self.lost_rows += u64::from(rows);
                self.lost_money += Money(at_most.into());
            }
            Record::Collected { chunk } => {
                self.collected += u32::from(self.open.remove(&chunk).is_some());
            }
            Record::Workspace { name } => self.workspace = Some(name),
            Record::Proven { shape } => _ = self.proven.insert(shape),
        }
    }
}

/// The log of batches, open for appending.
pub(crate) struct BatchLog {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    end: u64,
}

impl BatchLog {
    /// Opens the log of batches in a folder. Creates the log and the folder if they are missing. A half-written last
    /// line is removed.
    ///
    /// # Errors
    /// [`BatchesError`]
    pub(crate) fn open(disk: &dyn Disk, folder: &Path) -> Result<(Self, Replayed), BatchesError> {
        disk.create_folder(folder).map_err(DiskFailure::of("create", folder))?;
        sync_name(disk, folder)?;
        let path = folder.join(NAME);
        let file = disk.open(&path, OpenMode::Edit).map_err(DiskFailure::of("open", &path))?;
        sync_name(disk, &path)?;
        let bytes = read_up_to(&*file, MOST_BYTES + 1).map_err(DiskFailure::of("read", &path))?;
        let (replayed, end) = replay(&bytes, &path)?;
        if end < bytes.len() as u64 {
            file.truncate(end).map_err(DiskFailure::of("cut", &path))?;
        }
        // A run may have died after it wrote the last line and before the line was synced. Later steps remove files
        // because of lines in the log, so these lines are synced first.
        if end > 0 {
            file.sync().map_err(DiskFailure::of("sync", &path))?;
        }
        Ok((Self { file, path, end }, replayed))
    }

    /// Appends a change to the log, and waits until the change is durable.
    ///
    /// # Errors
    /// Returns an error if the disk fails. After a failure, it is not known whether the line is in the file.
    pub(crate) fn append(&mut self, record: Record) -> Result<(), DiskFailure> {
        let mut line = serde_json::to_vec(&Line { v: VERSION, record }).expect("a record can be written as JSON");
        line.push(b'\n');
        self.file.write_at(&line, self.end).map_err(DiskFailure::of("write", &self.path))?;
        self.file.sync().map_err(DiskFailure::of("sync", &self.path))?;
        self.end += line.len() as u64;
        Ok(())
    }
}

/// Reads the log of batches in a folder, and changes nothing. Returns `None` if there is no log.
///
/// # Errors
/// [`BatchesError`]
pub(crate) fn read(disk: &dyn Disk, folder: &Path) -> Result<Option<Replayed>, BatchesError> {
    let mut replayed = Replayed::default();
    let exists = read_each(disk, folder, |record| replayed.apply(record))?;
    Ok(exists.then_some(replayed))
}

/// Passes each record of the log in a folder to `each`, and changes nothing. Returns whether there is a log.
///
/// # Errors
/// [`BatchesError`]
pub(super) fn read_each(disk: &dyn Disk, folder: &Path, each: impl FnMut(Record)) -> Result<bool, BatchesError> {
    let path = folder.join(NAME);
    let kind = |path: &Path| disk.kind(path).map_err(DiskFailure::of("look at", path));
    if kind(folder_of(&path))?.is_none() || kind(&path)?.is_none() {
        return Ok(false);
    }
    let file = disk.open(&path, OpenMode::Read).map_err(DiskFailure::of("open", &path))?;
    let bytes = read_up_to(&*file, MOST_BYTES + 1).map_err(DiskFailure::of("read", &path))?;
    records(&bytes, &path, each).map(|_| true)
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok()
}

/// Reads the lines of a log. Also returns the offset at which the last whole line ends.
fn replay(bytes: &[u8], path: &Path) -> Result<(Replayed, u64), BatchesError> {
    let mut replayed = Replayed::default();
    let end = records(bytes, path, |record| replayed.apply(record))?;
    Ok((replayed, end))
}

/// Passes each record of a log to `each`. Returns the offset at which the last whole line ends.
fn records(bytes: &[u8], path: &Path, mut each: impl FnMut(Record)) -> Result<u64, BatchesError> {
    let damaged = |line: usize, why: String| BatchesError::Damaged { path: path.to_owned(), line: line as u64, why };
    if bytes.len() as u64 > MOST_BYTES {
        return Err(damaged(0, format!("the log is larger than {MOST_BYTES} bytes")));
    }
    let mut end = 0;
    for (at, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        // If a line has no line break, the program died while it wrote the line, so no later step depends on the line.
        let Some(text) = line.strip_suffix(b"\n") else { break };
        let Line { v, record } = match serde_json::from_slice::<Line<Record>>(text) {
            Ok(line) => line,
            // A power failure can damage the last line. A damaged last line is ignored. But if the last line is valid
            // JSON, a later version of this program wrote it.
            Err(_) if end + line.len() as u64 == bytes.len() as u64 && !is_json(text) => break,
            Err(error) => return Err(damaged(at + 1, error.to_string())),
        };
        if v > VERSION {
            return Err(BatchesError::Newer { path: path.to_owned(), version: v });
        }
        each(record);
        end += line.len() as u64;
    }
    Ok(end)
}
