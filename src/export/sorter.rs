//! Sorts records that do not all fit into memory.
//!
//! Records are collected up to a size, sorted, and written to a temporary file. Each sorted part of the file is called
//! a run, as in books about sorting (this has nothing to do with a run of the program). At the end, all sorted parts
//! are merged. The temporary file has no name, so nothing is left after a crash.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};

/// How many bytes of records are collected in memory before they are sorted and written.
const RUN_BYTES: usize = 32 << 20;
/// How many bytes of a run (a sorted part of the file) are read at a time during the merge.
const READ_BYTES: usize = 64 << 10;

/// Collects records with their keys, and returns them sorted.
#[derive(Default)]
pub(crate) struct Sorter {
    run_bytes: Option<usize>,
    /// The keys of the collected records. Each key comes with the place of its record: the start in `bytes`, and the
    /// length.
    keys: Vec<(u64, usize, usize)>,
    bytes: Vec<u8>,
    spilled: Option<File>,
    /// The offset in the file where each run (a sorted part) ends.
    ends: Vec<u64>,
}

impl Sorter {
    /// Adds a record.
    ///
    /// # Errors
    /// Fails if the temporary file can't be written.
    pub(crate) fn push(&mut self, key: u64, record: &[u8]) -> io::Result<()> {
        let most = self.run_bytes.unwrap_or(RUN_BYTES);
        if self.bytes.len() + record.len() > most && !self.keys.is_empty() {
            self.spill()?;
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(record);
        self.keys.push((key, start, record.len()));
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        let mut file = match self.spilled.take() {
            Some(file) => file,
            None => tempfile::tempfile()?,
        };
        self.keys.sort_by_key(|(key, ..)| *key);
        let mut out = BufWriter::with_capacity(READ_BYTES, &mut file);
        let mut end = self.ends.last().copied().unwrap_or(0);
        for &(key, start, length) in &self.keys {
            out.write_all(&key.to_le_bytes())?;
            out.write_all(&(length as u64).to_le_bytes())?;
            out.write_all(&self.bytes[start..start + length])?;
            end += 16 + length as u64;
        }
        out.flush()?;
        drop(out);
        self.ends.push(end);
        self.keys.clear();
        self.bytes.clear();
        self.spilled = Some(file);
        Ok(())
    }

    /// Calls `each` with every record, in the order of the keys.
    ///
    /// # Errors
    /// Fails if the temporary file can't be read, or if `each` fails.
    pub(crate) fn each<E: From<io::Error>>(
        mut self,
        mut each: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.spilled.is_none() {
            self.keys.sort_by_key(|(key, ..)| *key);
            for &(key, start, length) in &self.keys {
                each(key, &self.bytes[start..start + length])?;
            }
            return Ok(());
        }
        self.spill()?;
        let Some(file) = self.spilled.take() else { return Ok(()) };
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let mut runs: Vec<Run<'_>> = starts.zip(&self.ends).map(|(start, &end)| Run::new(&file, start, end)).collect();
        let mut next = BinaryHeap::new();
        for (number, run) in runs.iter_mut().enumerate() {
            next.extend(run.read()?.map(|key| Reverse((key, number))));
        }
        while let Some(Reverse((key, number))) = next.pop() {
            let run = &mut runs[number];
            each(key, &run.record)?;
            next.extend(run.read()?.map(|key| Reverse((key, number))));
        }
        Ok(())
    }
}

/// A sorted part of the temporary file.
struct Run<'f> {
    reader: BufReader<Part<'f>>,
    record: Vec<u8>,
}

/// A reader of a part of a file. Several parts share one file, so each reader keeps its own position.
struct Part<'f> {
    file: &'f File,
    at: u64,
    end: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let mut file = self.file;
        file.seek(SeekFrom::Start(self.at))?;
        let read = file.read(&mut buffer[..room])?;
        self.at += read as u64;
        Ok(read)
    }
}

impl<'f> Run<'f> {
    fn new(file: &'f File, at: u64, end: u64) -> Self {
        Self { reader: BufReader::with_capacity(READ_BYTES, Part { file, at, end }), record: Vec::new() }
    }

    /// Reads the next record and returns its key; `None` at the end.
    fn read(&mut self) -> io::Result<Option<u64>> {
        let mut number = [0; 8];
        match self.reader.read_exact(&mut number) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let key = u64::from_le_bytes(number);
        self.reader.read_exact(&mut number)?;
        let length = usize::try_from(u64::from_le_bytes(number)).map_err(io::Error::other)?;
        self.record.resize(length, 0);
        self.reader.read_exact(&mut self.record)?;
        Ok(Some(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_in_the_order_of_their_keys() {
        let seed = 11;
        let mut random = fastrand::Rng::with_seed(seed);
        for run_bytes in [None, Some(1_000), Some(1)] {
            let mut sorter = Sorter { run_bytes, ..Sorter::default() };
            let mut records: Vec<(u64, Vec<u8>)> = (0..200)
                .map(|key| (key * 7, random.u64(..).to_string().repeat(random.usize(0..9)).into_bytes()))
                .collect();
            random.shuffle(&mut records);
            for (key, record) in &records {
                sorter.push(*key, record).expect("there is room");
            }
            let mut sorted = Vec::new();

            let ended = sorter.each(|key, record| {
                sorted.push((key, record.to_vec()));
                io::Result::Ok(())
            });

            records.sort();
            assert!(ended.is_ok() && sorted == records, "seed {seed}, {run_bytes:?}");
        }
    }
}
