//! Takes over the results of a batch that is not recorded in a log of this program.
//!
//! The results become a chunk (a group of rows with one batch) with new ids. The run does not wait for a batch of this
//! chunk, because the results are already on disk. After this, the batch lane treats the chunk like every other chunk,
//! and each row gets exactly one line, even after a crash. The chunk contains only rows with an answer. Rows without an
//! answer cost nothing, and the next run sends them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::chunk::{ChunkWriter, fill, pico, remove_files, results_path};
use super::error::BatchesError;
use super::ids::ItemId;
use super::lane::Results;
use super::log::{BatchLog, Record};
use super::open::Opened;
use crate::domain::{Identity, Money, Planned, RowId};
use crate::journal::{Disk, DiskFailure, DiskFile, OpenMode};
use crate::provider::{Batch, BatchApi, BatchEnd};

/// The number of bytes that are collected before they are written.
const BUFFER_BYTES: usize = 256 << 10;

/// An index that finds the answer to a row in the downloaded results of a batch.
pub(crate) struct Index {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    /// For each row of this program, the place of the row's answer.
    ours: HashMap<RowId, Place>,
    /// For requests of other programs: a map from the hash of a request's id to the place of the answer.
    foreign: HashMap<u64, Place>,
    /// The number of lines in the results.
    pub(crate) lines: u64,
    /// The number of requests that did not succeed.
    pub(crate) unanswered: u64,
}

/// The position and the length of a line in the downloaded results.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: u64,
    len: u32,
}

impl Index {
    /// Reads the downloaded results of a batch, and makes an index of them.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub(crate) fn read(disk: &dyn Disk, path: PathBuf, api: &dyn BatchApi) -> Result<Self, DiskFailure> {
        let open = || disk.open(&path, OpenMode::Read).map_err(DiskFailure::of("open", &path));
        let (file, mut results) = (open()?, Results::open(open()?));
        let (mut ours, mut foreign) = (HashMap::new(), HashMap::new());
        let (mut lines, mut unanswered) = (0, 0);
        while let Some(line) = results.next_line().map_err(DiskFailure::of("read", &path))? {
            let place = Place { at: results.line_at(), len: u32::try_from(line.len()).unwrap_or(u32::MAX) };
            let Ok(read) = api.read_line(&line) else { continue };
            lines += 1;
            match (read.end, ItemId::parse(&read.custom_id)) {
                (BatchEnd::Succeeded(_), Some(id)) => _ = ours.insert(id.row, place),
                (BatchEnd::Succeeded(_), None) => _ = foreign.insert(RowId::named(&read.custom_id, None).label, place),
                (BatchEnd::Errored(_) | BatchEnd::Canceled | BatchEnd::Expired, _) => unanswered += 1,
            }
        }
        Ok(Self { file, path, ours, foreign, lines, unanswered })
    }

    /// Returns the number of answers in the results.
    pub(crate) fn answers(&self) -> u64 {
        (self.ours.len() + self.foreign.len()) as u64
    }

    /// Returns whether there is an answer to a row. If another program sent a request, and the id of this request is
    /// the label of a row, then the answer belongs to this row.
    pub(crate) fn has(&self, row: RowId, identity: &Identity) -> bool {
        self.place(row, identity).is_some()
    }

    fn place(&self, row: RowId, identity: &Identity) -> Option<Place> {
        let of_name = || self.foreign.get(&row.label).filter(|_| *identity == Identity::Named);
        self.ours.get(&row).or_else(of_name).copied()
    }

    /// Returns the message that answers a row, if the results contain one.
    fn message(&self, planned: &Planned, api: &dyn BatchApi) -> Result<Option<Bytes>, DiskFailure> {
        let job = &planned.job;
        let Some(Place { at, len }) = self.place(job.row, &job.identity) else { return Ok(None) };
        let mut line = vec![0; len as usize];
        fill(&*self.file, &mut line, at).map_err(DiskFailure::of("read", &self.path))?;
        let line = Bytes::from(line);
        let Ok(read) = api.read_line(&line) else { return Ok(None) };
        let is_of_row = match ItemId::parse(&read.custom_id) {
            Some(id) => id.row == job.row,
            None => read.custom_id == job.custom_id,
        };
        Ok(match read.end {
            BatchEnd::Succeeded(message) if is_of_row => Some(message),
            _ => None,
        })
    }
}

/// A chunk of rows that is made from the results of a batch.
pub(crate) struct Adoption {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    log: BatchLog,
    number: u32,
    nonce: String,
    chunk: ChunkWriter,
    results: Box<dyn DiskFile>,
    results_path: PathBuf,
    end: u64,
    buffer: Vec<u8>,
}

impl Adoption {
    /// Creates an empty chunk of rows, with a nonce of its own.
    ///
    /// # Errors
    /// [`BatchesError`]
    pub(crate) fn begin(opened: Opened, nonce: &str) -> Result<Self, BatchesError> {
        let Opened { disk, folder, log, .. } = opened;
        drop(log);
        let (log, replayed) = BatchLog::open(&*disk, &folder)?;
        let number = replayed.next_chunk;
        let chunk = ChunkWriter::create(&*disk, &folder, number, nonce)?;
        let results_path = results_path(&folder, number);
        disk.remove(&results_path).map_err(DiskFailure::of("remove", &results_path))?;
        let results =
            disk.open(&results_path, OpenMode::CreateNew).map_err(DiskFailure::of("create", &results_path))?;
        let nonce = nonce.to_owned();
        Ok(Self { disk, folder, log, number, nonce, chunk, results, results_path, end: 0, buffer: Vec::new() })
    }

    /// Adds a row to the chunk if the results have an answer to this row.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub(crate) fn take(&mut self, planned: &Planned, index: &Index, api: &dyn BatchApi) -> Result<(), DiskFailure> {
        let Some(message) = index.message(planned, api)? else { return Ok(()) };
        let at_most = planned.ask.expense.map_or(Money::ZERO, |expense| expense.most_in_batch);
        let id = ItemId { nonce: &self.nonce, chunk: self.number, item: self.chunk.count(), row: planned.job.row };
        let head = format!("{{\"custom_id\":\"{id}\",\"result\":{{\"type\":\"succeeded\",\"message\":");
        self.chunk.push(planned, 0, at_most)?;
        self.buffer.extend_from_slice(head.as_bytes());
        self.buffer.extend_from_slice(&message);
        self.buffer.extend_from_slice(b"}}\n");
        if self.buffer.len() >= BUFFER_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), DiskFailure> {
        self.results.write_at(&self.buffer, self.end).map_err(DiskFailure::of("write", &self.results_path))?;
        self.end += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Makes the chunk durable if it has rows. Returns the number of rows in the chunk.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub(crate) fn finish(mut self, batch: &Batch, at: jiff::Timestamp) -> Result<u32, DiskFailure> {
        let (rows, at_most) = (self.chunk.count(), pico(self.chunk.at_most()));
        if rows == 0 {
            remove_files(&*self.disk, &self.folder, self.number)?;
            return Ok(0);
        }
        self.write()?;
        self.results.sync().map_err(DiskFailure::of("sync", &self.results_path))?;
        let files = self.chunk.finish(&self.disk, &self.folder)?;
        let Batch { id, created_at, expires_at, .. } = batch.clone();
        self.log.append(Record::Adopted {
            chunk: self.number,
            rows,
            bytes: files.body_bytes,
            nonce: self.nonce,
            at_most,
            at,
            id,
            created_at,
            expires_at,
        })?;
        Ok(rows)
    }
}
