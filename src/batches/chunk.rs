//! The files of a chunk. A chunk is a group of rows that are submitted together as one batch.
//!
//! A chunk has two files in the folder of batches. `<number>.body.json` is the exact body of the request that creates
//! the batch. This file is sent from the disk, byte for byte. `<number>.rows.jsonl` has one line per row. This line
//! says where the row's request begins in the body. It also contains everything that is needed to write the row's
//! result line. Both files of a chunk are synced before the chunk is submitted. Both files are removed when every row
//! of the chunk has a line or was sent again.
//!
//! Answers come hours later, in any order, and perhaps to another process. So rows are read back one by one from these
//! files, and are not kept in memory.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::ids::ItemId;
use crate::domain::{
    Ask, Cost, Identity, Interval, Job, JobId, JobKey, Money, Origin, Params, Planned, PoolId, Purpose, Request, RowId,
    SchemaMethod, Terms,
};
use crate::journal::{Disk, DiskFailure, DiskFile, OpenMode, sync_name};
use crate::provider::BodySource;

/// The largest size, in bytes, that a request or a line in the file of rows can have. A request has at most 32 MB.
const MOST_LINE_BYTES: u64 = 64 << 20;
/// The number of bytes that are collected before they are written.
const BUFFER_BYTES: usize = 256 << 10;
const HEAD: &[u8] = b"{\"requests\":[";
const TAIL: &[u8] = b"]}";

/// A row in a chunk (the rows of one batch).
#[derive(Clone, Debug)]
pub(crate) struct ChunkRow {
    /// The row.
    pub(crate) job: Job,
    /// The number of earlier batches that contained the row.
    pub(crate) tries: u32,
    /// The highest possible cost of the row's answer.
    pub(crate) at_most: Money,
    /// The request that was submitted for the row.
    sent: Request,
    schema_method: Option<SchemaMethod>,
    max_tokens: u32,
    model: Arc<str>,
    template: u64,
    estimated_input: u32,
}

impl ChunkRow {
    /// Returns the request that was sent for the row. The result has everything that is needed to write the row's line
    /// and to compute the row's cost.
    pub(crate) fn ask(&self, route: &Arc<PoolId>) -> Ask {
        let request = self.sent.clone();
        let params = str::from_utf8(request.json()).ok().and_then(Params::of_object).unwrap_or_default();
        Ask {
            model: self.model.clone(),
            terms: Terms::of(&params),
            pool: route.clone(),
            cost: Cost { requests: 1, input_tokens: self.estimated_input, output_tokens: 0 },
            input_tokens: Interval::exact(self.estimated_input),
            expense: None,
            max_tokens: self.max_tokens,
            template: self.template,
            body_bytes: u32::try_from(request.json().len()).unwrap_or(u32::MAX),
            purpose: Purpose::First,
            base: None,
            schema_method: self.schema_method,
            prefixes: None,
            has_own_marks: false,
            request,
        }
    }
}

/// A row, as it is written to the file of rows.
#[derive(Serialize, Deserialize)]
struct RowLine<'a> {
    #[serde(borrow)]
    custom_id: Cow<'a, str>,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    occurrence: Option<u32>,
    index: u64,
    #[serde(borrow)]
    source: Cow<'a, str>,
    line: u64,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    extra: Option<Cow<'a, str>>,
    /// The offset of the row's request in the body. The length of the request is in `len`.
    at: u64,
    len: u32,
    tries: u32,
    /// The highest possible cost of the answer, in pico-dollars.
    at_most: u64,
    #[serde(borrow)]
    model: Cow<'a, str>,
    template: u64,
    estimated_input: u32,
    /// The highest number of output tokens; 0 if an earlier version of the program wrote the line.
    #[serde(default)]
    max_tokens: u32,
    /// The row's own request, if a different request was submitted for the row; otherwise `None`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    own: Option<&'a RawValue>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    schema_method: Option<Cow<'a, str>>,
}

impl RowLine<'_> {
    /// Returns the key and the identity of the row; `None` if the key can't be read.
    fn identity(&self) -> Option<(JobKey, Identity, RowId)> {
        let key = JobKey::parse(&self.key)?;
        let identity = self.occurrence.map_or(Identity::Named, Identity::Nth);
        let row = RowId::of(&self.custom_id, key, &identity);
        Some((key, identity, row))
    }
}

/// A file to which bytes are appended.
struct Growing {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    end: u64,
    buffer: Vec<u8>,
}

impl Growing {
    fn create(disk: &dyn Disk, path: PathBuf) -> Result<Self, DiskFailure> {
        disk.remove(&path).map_err(DiskFailure::of("remove", &path))?;
        let file = disk.open(&path, OpenMode::CreateNew).map_err(DiskFailure::of("create", &path))?;
        Ok(Self { file, path, end: 0, buffer: Vec::new() })
    }

    fn len(&self) -> u64 {
        self.end + self.buffer.len() as u64
    }

    fn write_if_full(&mut self) -> Result<(), DiskFailure> {
        if self.buffer.len() >= BUFFER_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), DiskFailure> {
        self.file.write_at(&self.buffer, self.end).map_err(DiskFailure::of("write", &self.path))?;
        self.end += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn finish(&mut self) -> Result<(), DiskFailure> {
        self.write()?;
        self.file.sync().map_err(DiskFailure::of("sync", &self.path))
    }
}

/// A chunk to which rows are still added.
pub(crate) struct ChunkWriter {
    number: u32,
    nonce: String,
    body: Growing,
    rows: Growing,
    count: u32,
    at_most: Money,
}

impl ChunkWriter {
    /// Creates the files of the chunk. Existing files with the same names are replaced: they are left over from a run
    /// that died before the submission.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub(crate) fn create(disk: &dyn Disk, folder: &Path, number: u32, nonce: &str) -> Result<Self, DiskFailure> {
        let mut body = Growing::create(disk, body_path(folder, number))?;
        let rows = Growing::create(disk, rows_path(folder, number))?;
        body.buffer.extend_from_slice(HEAD);
        Ok(Self { number, nonce: nonce.to_owned(), body, rows, count: 0, at_most: Money::ZERO })
    }

    /// Adds a row to the chunk. `tries` is the number of earlier batches that contained the row, and `at_most` is the
    /// highest possible cost of the row's answer.
    ///
    /// # Errors
    /// Returns an error if the disk fails. After a failure, the chunk can't be used any more.
    pub(crate) fn push(&mut self, planned: &Planned, tries: u32, at_most: Money) -> Result<(), DiskFailure> {
        let Planned { job, ask } = planned;
        let request = ask.request.json();
        let id = ItemId { nonce: &self.nonce, chunk: self.number, item: self.count, row: job.row };
        let lead = if self.count == 0 { "" } else { ",\n" };
        let head = format!("{lead}{{\"custom_id\":\"{id}\",\"params\":");
        self.body.buffer.extend_from_slice(head.as_bytes());
        let at = self.body.len();
        self.body.buffer.extend_from_slice(request);
        self.body.buffer.push(b'}');
        self.body.write_if_full()?;
        let own = job.request.json();
        let own = if own == request { None } else { serde_json::from_slice(own).ok() };
        let line = RowLine {
            custom_id: Cow::Borrowed(&job.custom_id),
            key: job.key.to_string(),
            occurrence: match job.identity {
                Identity::Named => None,
                Identity::Nth(occurrence) => Some(occurrence),
            },
            index: job.index,
            source: Cow::Borrowed(&job.origin.source),
            line: job.origin.line,
            extra: (!job.extra.0.is_empty()).then(|| Cow::Owned(text_of(&job.extra))),
            at,
            len: u32::try_from(request.len()).unwrap_or(u32::MAX),
            tries,
            at_most: pico(at_most),
            model: Cow::Borrowed(&ask.model),
            template: ask.template,
            estimated_input: ask.cost.input_tokens,
            max_tokens: ask.max_tokens,
            own,
            schema_method: ask.schema_method.map(|schema_method| Cow::Borrowed(schema_method.name())),
        };
        serde_json::to_writer(&mut self.rows.buffer, &line).expect("a row can be written as JSON");
        self.rows.buffer.push(b'\n');
        self.rows.write_if_full()?;
        self.count += 1;
        self.at_most += at_most;
        Ok(())
    }

    /// Returns the number of the chunk.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Returns the number of rows in the chunk.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Returns the size of the body in bytes after one more request of this length is added.
    pub(crate) fn bytes_with(&self, request: usize) -> u64 {
        // An id has at most 64 characters. The JSON names around the id have 30 characters.
        self.body.len() + (request + 100) as u64
    }

    /// Returns the highest possible cost of all rows of the chunk together.
    pub(crate) fn at_most(&self) -> Money {
        self.at_most
    }

    /// Makes the files of the chunk durable, and opens them for reading.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub(crate) fn finish(mut self, disk: &Arc<dyn Disk>, folder: &Path) -> Result<Arc<ChunkFiles>, DiskFailure> {
        self.body.buffer.extend_from_slice(TAIL);
        self.body.finish()?;
        self.rows.finish()?;
        sync_name(&**disk, &self.rows.path)?;
        let (number, nonce, body_bytes) = (self.number, self.nonce, self.body.end);
        drop((self.body.file, self.rows.file));
        let files = ChunkFiles::open(disk, folder, number, &nonce, self.count)?;
        debug_assert_eq!(files.body_bytes, body_bytes);
        Ok(files)
    }
}

/// The files of a chunk, open for reading.
pub(crate) struct ChunkFiles {
    pub(crate) number: u32,
    pub(crate) nonce: String,
    /// The number of rows in the chunk.
    pub(crate) count: u32,
    /// The size of the body in bytes.
    pub(crate) body_bytes: u64,
    disk: Arc<dyn Disk>,
    body_path: PathBuf,
    rows_path: PathBuf,
    /// The files of the body and of the rows, while they are in use. There can be thousands of open batches, so files
    /// that are not used are closed.
    open: Mutex<Option<[Arc<dyn DiskFile>; 2]>>,
    /// The offset at which each line of the rows begins, and the offset at which the last line ends.
    lines: Vec<u64>,
}

impl std::fmt::Debug for ChunkFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkFiles").field("number", &self.number).field("count", &self.count).finish_non_exhaustive()
    }
}

impl ChunkFiles {
    /// Opens the files of a chunk with `count` rows.
    ///
    /// # Errors
    /// Returns an error if the disk fails, if the file does not have `count` rows, or if a line is too long.
    pub(crate) fn open(
        disk: &Arc<dyn Disk>,
        folder: &Path,
        number: u32,
        nonce: &str,
        count: u32,
    ) -> Result<Arc<Self>, DiskFailure> {
        let open = |path: &Path| disk.open(path, OpenMode::Read).map_err(DiskFailure::of("open", path));
        let (body_path, rows_path) = (body_path(folder, number), rows_path(folder, number));
        let (body, rows) = (open(&body_path)?, open(&rows_path)?);
        let lines = line_starts(&*rows, count).map_err(DiskFailure::of("read", &rows_path))?;
        let body_bytes = body.size().map_err(DiskFailure::of("read", &body_path))?;
        let is_long = |line: &[u64]| line[1] - line[0] > MOST_LINE_BYTES;
        if count == 0 || lines.windows(2).any(is_long) {
            let why = std::io::Error::other("the file has no rows, or a row that is too long");
            return Err(DiskFailure::of("use", &rows_path)(why));
        }
        if lines.len() != count as usize + 1 {
            let why = format!("the file has {} rows instead of {count}", lines.len().saturating_sub(1));
            return Err(DiskFailure::of("use", &rows_path)(std::io::Error::other(why)));
        }
        let (nonce, disk, open) = (nonce.to_owned(), disk.clone(), Mutex::new(None));
        Ok(Arc::new(Self { number, nonce, count, body_bytes, disk, body_path, rows_path, open, lines }))
    }

    /// Closes the files of the chunk until they are needed again.
    pub(crate) fn close(&self) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Returns the files of the body and of the rows, and opens them if they are closed.
    fn files(&self) -> Result<[Arc<dyn DiskFile>; 2], DiskFailure> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(files) = &*open {
            return Ok(files.clone());
        }
        let file = |path: &Path| -> Result<Arc<dyn DiskFile>, DiskFailure> {
            Ok(self.disk.open(path, OpenMode::Read).map_err(DiskFailure::of("open", path))?.into())
        };
        Ok(open.insert([file(&self.body_path)?, file(&self.rows_path)?]).clone())
    }

    /// Passes the identity of each row of the chunk to `each`.
    ///
    /// # Errors
    /// Returns an error if the disk fails, or if a line can't be parsed.
    pub(crate) fn identities(&self, mut each: impl FnMut(RowId, &Identity)) -> Result<(), DiskFailure> {
        let [_, rows] = self.files()?;
        let mut text = Vec::new();
        let mut item = 0;
        while item + 1 < self.lines.len() {
            // Each step reads as many lines as fit into the buffer, but at least one line.
            let from = self.lines[item];
            let fits = |to: &u64| to - from <= BUFFER_BYTES as u64;
            let count = self.lines[item + 1..].iter().take_while(|to| fits(to)).count().max(1);
            text.resize(usize::try_from(self.lines[item + count] - from).unwrap_or(usize::MAX), 0);
            fill(&*rows, &mut text, from).map_err(DiskFailure::of("read", &self.rows_path))?;
            for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let line: RowLine<'_> = serde_json::from_slice(line).map_err(|error| self.unreadable(&error))?;
                let found = line.identity().ok_or_else(|| self.unreadable(&"the key of a row can't be read"));
                let (_, identity, row) = found?;
                each(row, &identity);
            }
            item += count;
        }
        Ok(())
    }

    fn unreadable(&self, why: &dyn std::fmt::Display) -> DiskFailure {
        DiskFailure::of("use", &self.rows_path)(std::io::Error::other(why.to_string()))
    }

    /// Reads a row of the chunk. The job of the row gets the number `id`.
    ///
    /// # Errors
    /// Returns an error if the disk fails, or if the line can't be parsed.
    ///
    /// # Panics
    /// Panics if the chunk has no row with the number `item`.
    pub(crate) fn row(&self, item: u32, id: JobId) -> Result<ChunkRow, DiskFailure> {
        let [body, rows] = self.files()?;
        let (from, to) = (self.lines[item as usize], self.lines[item as usize + 1]);
        let mut text = vec![0; usize::try_from(to - from).unwrap_or(usize::MAX)];
        fill(&*rows, &mut text, from).map_err(DiskFailure::of("read", &self.rows_path))?;
        let unreadable = |why: &dyn std::fmt::Display| self.unreadable(&format_args!("row {item}: {why}"));
        let line: RowLine<'_> = serde_json::from_slice(&text).map_err(|error| unreadable(&error))?;
        let (key, identity, row) = line.identity().ok_or_else(|| unreadable(&"the key can't be read"))?;
        if u64::from(line.len) > MOST_LINE_BYTES {
            return Err(unreadable(&"the request is too long"));
        }
        let mut request = vec![0; line.len as usize];
        fill(&*body, &mut request, line.at).map_err(DiskFailure::of("read", &self.body_path))?;
        let extra = match &line.extra {
            Some(text) => Params::of_object(text).ok_or_else(|| unreadable(&"the fields can't be read"))?,
            None => Params::default(),
        };
        let custom_id = line.custom_id.into_owned();
        let origin = Origin { source: line.source.as_ref().into(), line: line.line };
        let sent = Request::written(request.into());
        let own = line.own.map(|own| Request::written(own.get().to_owned().into()));
        let request = own.unwrap_or_else(|| sent.clone());
        let job = Job { id, custom_id, key, identity, row, request, extra, origin, index: line.index };
        let (at_most, model) = (Money(line.at_most.into()), line.model.as_ref().into());
        let (template, estimated_input, max_tokens) = (line.template, line.estimated_input, line.max_tokens);
        let schema_method = line.schema_method.as_deref().and_then(SchemaMethod::parse);
        Ok(ChunkRow {
            job,
            tries: line.tries,
            at_most,
            sent,
            schema_method,
            max_tokens,
            model,
            template,
            estimated_input,
        })
    }
}

/// The body of the request that submits a chunk as a batch.
#[derive(Debug)]
pub(crate) struct ChunkBody(pub(crate) Arc<ChunkFiles>);

impl BodySource for ChunkBody {
    fn len(&self) -> u64 {
        self.0.body_bytes
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        let [body, _] = self.0.files().map_err(|failure| std::io::Error::other(failure.to_string()))?;
        body.read_at(buffer, offset)
    }
}

/// Removes the files of a chunk of rows.
///
/// # Errors
/// Returns an error if the disk fails.
pub(crate) fn remove_files(disk: &dyn Disk, folder: &Path, number: u32) -> Result<(), DiskFailure> {
    [body_path(folder, number), rows_path(folder, number), results_path(folder, number)]
        .iter()
        .try_for_each(|path| disk.remove(path).map_err(DiskFailure::of("remove", path)))
}

/// Returns the path of the file with the downloaded results of a chunk.
pub(crate) fn results_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:06}.results.jsonl"))
}

fn body_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:06}.body.json"))
}

fn rows_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:06}.rows.jsonl"))
}

/// Returns the offset at which each line begins, and the offset at which the last whole line ends. A file with `count`
/// rows is read to its end.
fn line_starts(file: &dyn DiskFile, count: u32) -> std::io::Result<Vec<u64>> {
    // Reading stops at the first unexpected line, because this line already shows that there are too many lines.
    let most = count as usize + 2;
    let (mut starts, mut buffer, mut offset) = (vec![0], vec![0; BUFFER_BYTES], 0);
    loop {
        let count = file.read_at(&mut buffer, offset)?;
        if count == 0 || starts.len() >= most {
            return Ok(starts);
        }
        let ends = buffer[..count].iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        starts.extend(ends.map(|(at, _)| offset + at as u64 + 1));
        offset += count as u64;
    }
}

/// Fills the whole buffer with bytes from the file, beginning at `offset`.
pub(super) fn fill(file: &dyn DiskFile, buffer: &mut [u8], mut offset: u64) -> std::io::Result<()> {
    let mut rest = buffer;
    while !rest.is_empty() {
        let count = file.read_at(rest, offset)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        offset += count as u64;
        rest = &mut rest[count..];
    }
    Ok(())
}

/// Returns an amount of money in pico-dollars.
pub(super) fn pico(money: Money) -> u64 {
    u64::try_from(money.0).unwrap_or(u64::MAX)
}

fn text_of(params: &Params) -> String {
    let mut out = Vec::new();
    params.write_object(&mut out);
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::MemDisk;

    fn of_object(json: &str) -> Option<Params> {
        Params::of_object(json)
    }

    fn job(number: u64, identity: Identity) -> Job {
        let params = of_object(&format!(r#"{{"model":"m","max_tokens":{number}}}"#)).expect("an object");
        let (custom_id, key) = (format!("row \"{number}\" é"), JobKey([number as u8; 16]));
        let row = RowId::of(&custom_id, key, &identity);
        let origin = Origin { source: "in.jsonl".into(), line: number + 1 };
        let (request, extra) = (Request::of(&params), of_object(r#"{"note":[1, 2]}"#).expect("an object"));
        Job { id: JobId(number), custom_id, key, identity, row, request, extra, origin, index: number }
    }

    #[test]
    fn rows_are_read_back_in_any_order_and_the_body_is_what_the_api_expects() {
        let disk: Arc<dyn Disk> = Arc::new(MemDisk::default());
        disk.create_folder(Path::new("d")).expect("a folder");
        let folder = Path::new("d/b");
        disk.create_folder(folder).expect("a folder");
        let jobs = [job(1, Identity::Named), job(2, Identity::Nth(3)), job(3, Identity::Named)];
        let mut writer = ChunkWriter::create(&*disk, folder, 7, "nonce123").expect("files");

        for job in &jobs {
            let mut planned = crate::scheduler::tests::planned("a", 1, 1);
            planned.ask.request = job.request.clone();
            *planned.job = job.clone();
            writer.push(&planned, 2, Money(5)).expect("the disk works");
        }
        assert_eq!((writer.count(), writer.at_most()), (3, Money(15)));
        let files = writer.finish(&disk, folder).expect("the disk works");

        for item in [2, 0, 1] {
            let (row, job) = (files.row(item, JobId(9)).expect("a row"), &jobs[item as usize]);
            assert_eq!((row.tries, row.at_most, row.job.id), (2, Money(5), JobId(9)));
            assert_eq!((&row.job.custom_id, row.job.key, row.job.row), (&job.custom_id, job.key, job.row));
            assert_eq!((&row.job.identity, &row.job.origin), (&job.identity, &job.origin));
            assert_eq!(row.job.request.json(), job.request.json());
            assert_eq!(text_of(&row.job.extra), text_of(&job.extra));
        }
        let mut body = vec![0; files.body_bytes as usize];
        let [file, _] = files.files().expect("the files");
        fill(&*file, &mut body, 0).expect("the body");
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        let requests = body["requests"].as_array().expect("an array");
        assert_eq!(requests.len(), 3);
        assert_eq!(requests[1]["params"]["max_tokens"], 2);
        let id = requests[1]["custom_id"].as_str().expect("text");
        assert_eq!(ItemId::parse(id).map(|id| (id.chunk, id.item, id.row)), Some((7, 1, jobs[1].row)));
    }
}
