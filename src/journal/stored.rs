//! An index of answers in results files, by the key of their request.
//!
//! The index needs 16 bytes for each line: half of the key, and the place of the line. When an answer is used, its line
//! is read again and the whole key is compared. If several lines have the same key, only the last line in the order of
//! the files is used.
//!
//! The index is stored like the set of done rows ([`DoneSet`]), because both are sets of pairs of numbers. Several
//! threads read the files. The files for the set of done rows are also read by several threads.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::disk::{Disk, DiskFailure, DiskFile, OpenMode};
use super::error::JournalError;
use super::reading::{AnsweredRows, DoneSet, Line, Parsed, parse_result, parse_stored, read_line, scan};
use crate::domain::{JobKey, Quality, RowId, StoredAnswer};
use crate::plan::{Repeats, half};

/// This many bits of a place contain the offset of the line. The other bits contain the file number.
const OFFSET_BITS: u32 = 48;

/// The maximum number of files in an index.
pub(crate) const MOST_FILES: usize = 1 << (64 - OFFSET_BITS);

/// Which answers of a results file can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usable {
    /// Every complete answer (neither truncated nor refused). The answers in the file came from the server of this run.
    OwnServer,
    /// Every complete answer that is not from the simulator. The answers in the file came from another server.
    OtherServer,
    /// Every complete answer that the simulator gave. It is not known from which server the file comes.
    Simulated,
}

/// A results file, and which of its answers can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// The path of the results file.
    pub path: PathBuf,
    /// Which answers of this file can be used.
    pub usable: Usable,
}

/// The answers of earlier results, by the key of their request.
pub struct StoredAnswers {
    files: Vec<Box<dyn DiskFile>>,
    places: DoneSet,
}

/// The findings in one block of a file: each pair contains a place and half of a key. `end` is the offset at which the
/// last line of the block ends.
#[derive(Default)]
struct Found {
    pairs: Vec<RowId>,
    lines: u64,
    end: u64,
}

impl StoredAnswers {
    /// Reads results files of earlier runs. A half-written last line is ignored.
    ///
    /// # Errors
    /// [`JournalError::Foreign`], [`JournalError::ForeignLine`], [`JournalError::NewerFormat`],
    /// [`JournalError::Refused`], [`JournalError::Disk`].
    pub fn read(stored: &[StoredFile], disk: &dyn Disk) -> Result<Self, JournalError> {
        let mut index = Index::default();
        for StoredFile { path, usable } in stored {
            let usable = *usable;
            index.add(path, disk, |line, key| {
                usable == Usable::OwnServer
                    || (key != 0
                        && parse_stored(line)
                            .is_some_and(|stored| stored.is_simulated == (usable == Usable::Simulated)))
            })?;
        }
        Ok(index.finish())
    }

    /// Reads, from this run's results file, the answers that another row with the same key can take. Truncated and
    /// refused answers are also read. `repeats` are the keys that occur more than once; `None` if they are not known.
    ///
    /// # Errors
    /// The errors of [`StoredAnswers::read`].
    pub fn of_own_results(path: &Path, repeats: Option<&Repeats>, disk: &dyn Disk) -> Result<Self, JournalError> {
        let mut index = Index { takes_every_quality: true, ..Index::default() };
        index.add(path, disk, |_, key| repeats.is_none_or(|repeats| repeats.has_half(key)))?;
        Ok(index.finish())
    }

    /// Returns whether there is probably an answer to the request with this key. If this function returns true, the
    /// result is wrong with a probability of one in trillions.
    pub(crate) fn contains(&self, key: JobKey) -> bool {
        self.place(key).is_some()
    }

    /// In an index of one file, returns the offset of the line with the answer to this request. The caller must compare
    /// the whole key with the key in the line.
    pub(crate) fn offset(&self, key: JobKey) -> Option<u64> {
        self.place(key).map(|(_, offset)| offset)
    }

    /// Reads the answer to the request with this key. Returns `None` if there is no complete answer, or if the answer
    /// can no longer be read.
    pub(crate) fn answer(&self, key: JobKey) -> Option<StoredAnswer> {
        let (file, offset) = self.place(key)?;
        let mut line = Vec::new();
        read_line(&**self.files.get(file)?, offset, &mut line).ok()?;
        let stored = parse_stored(&line).filter(|stored| stored.is_whole)?;
        (stored.answer.key == key).then_some(stored.answer)
    }

    /// Returns the number of answers. Each answer has a different key.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Returns true if there are no answers.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn place(&self, key: JobKey) -> Option<(usize, u64)> {
        let place = self.places.find(half(key))?.key;
        Some(((place >> OFFSET_BITS) as usize, place & ((1 << OFFSET_BITS) - 1)))
    }
}

/// An index that is still being made from files.
#[derive(Default)]
struct Index {
    files: Vec<Box<dyn DiskFile>>,
    pairs: AnsweredRows,
    lines: u64,
    takes_every_quality: bool,
}

impl Index {
    /// Adds the lines of a file. `takes` gets a line and half of the line's key, and returns whether the line is added
    /// to the index.
    fn add(
        &mut self,
        path: &Path,
        disk: &dyn Disk,
        takes: impl Fn(&[u8], u64) -> bool + Sync,
    ) -> Result<(), JournalError> {
        let file = disk.open(path, OpenMode::Read).map_err(DiskFailure::of("open", path))?;
        let size = file.size().map_err(DiskFailure::of("look at", path))?;
        let (number, every_quality) = ((self.files.len() as u64) << OFFSET_BITS, self.takes_every_quality);
        let read = |line: &Line<'_>, found: &mut Found| -> Parsed<()> {
            parse_result(line.bytes).handed_to(|record| {
                let key = record.row.key;
                found.end = line.end();
                if key != 0 && (every_quality || record.quality == Quality::Ok) && takes(line.bytes, key) {
                    found.lines += 1;
                    found.pairs.push(RowId { label: key, key: number | line.offset });
                }
            })
        };
        let (before, mut lines) = (self.lines, 0);
        let take = |found: Found| {
            lines += found.lines;
            let expected = u128::from(size) * u128::from(lines) / u128::from(found.end.max(1));
            self.pairs.expect(before + u64::try_from(expected).unwrap_or(lines));
            found.pairs.into_iter().for_each(|pair| self.pairs.push(pair));
        };
        // The argument `true` says that the file belongs to this program. If a file has records, it certainly belongs
        // to this program. If a file has no records, nothing from this file is added to the index.
        scan(&*file, path, true, read, take)?;
        self.lines += lines;
        self.files.push(file);
        Ok(())
    }

    fn finish(self) -> StoredAnswers {
        let (places, _) = DoneSet::new(self.pairs, HashMap::new());
        StoredAnswers { files: self.files, places }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::MemDisk;

    fn key(number: u128) -> JobKey {
        JobKey((number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes())
    }

    fn line(label: &str, number: u128, id: &str, quality: &str) -> String {
        format!(
            "{{\"custom_id\":{label:?},\"result\":{{\"type\":\"succeeded\",\"message\":{{\"id\":{id:?}}}}},\"meta\":\
             {{\"v\":1,\"run\":\"r\",\"key\":\"{}\",\"quality\":{quality:?}}}}}\n",
            key(number)
        )
    }

    fn read(files: &[(&str, Usable, &str)]) -> Result<StoredAnswers, JournalError> {
        let disk = MemDisk::new();
        files.iter().for_each(|(path, _, content)| disk.put(path, content.as_bytes()));
        let stored: Vec<_> =
            files.iter().map(|(path, usable, _)| StoredFile { path: path.into(), usable: *usable }).collect();
        StoredAnswers::read(&stored, &disk)
    }

    fn label(answers: &StoredAnswers, number: u128) -> Option<String> {
        answers.answer(key(number)).map(|answer| answer.label)
    }

    #[test]
    fn the_last_answer_to_a_request_is_found_in_any_file() {
        let one: String = (0..500).map(|n| line(&format!("a{n}"), n, "m", "ok")).collect();
        let two = line("b", 7, "m", "ok") + &line("c", 1_000, "m", "ok") + &line("half", 1_001, "m", "ok")[..40];

        let answers =
            read(&[("one", Usable::OwnServer, &one), ("two", Usable::OwnServer, &two)]).expect("both are read");

        assert_eq!(answers.len(), 501);
        assert_eq!(label(&answers, 7).as_deref(), Some("b"));
        assert_eq!(label(&answers, 499).as_deref(), Some("a499"));
        assert_eq!(label(&answers, 1_000).as_deref(), Some("c"));
        assert!(!answers.contains(key(1_001)) && label(&answers, 2_000).is_none());
    }

    #[test]
    fn a_key_that_agrees_only_in_its_first_half_is_not_used() {
        let mut other = key(3);
        other.0[15] ^= 1;
        let answers = read(&[("one", Usable::OwnServer, &line("a", 3, "m", "ok"))]).expect("it is read");

        assert!(answers.contains(other) && answers.answer(other).is_none());
        assert!(answers.answer(key(3)).is_some());
    }

    #[test]
    fn a_truncated_or_refused_answer_is_not_used() {
        let content = ["truncated", "refused", "unknown", "later"].into_iter().zip(0..);
        let content: String = content.map(|(quality, n)| line("a", n, "m", quality)).collect();

        let answers = read(&[("one", Usable::OwnServer, &content)]).expect("it is read");

        assert!((0..4).all(|n| label(&answers, n).is_none()));
        assert!((0..3).all(|n| !answers.contains(key(n))));
    }

    #[test]
    fn answers_of_the_simulator_are_recognized_by_their_ids() {
        let content = line("real", 1, "msg_013Zva2CMHLNnXjNJJKqJ2EF", "ok")
            + &line("simulated", 2, "msg_015000000000000000000000", "ok");

        let found = [Usable::OwnServer, Usable::OtherServer, Usable::Simulated].map(|usable| {
            let answers = read(&[("one", usable, &content)]).expect("it is read");
            (answers.contains(key(1)), answers.contains(key(2)))
        });

        assert_eq!(found, [(true, true), (true, false), (false, true)]);
    }

    #[test]
    fn files_of_other_programs_and_damage_in_the_middle_are_errors() {
        let good = line("a", 1, "m", "ok");

        let foreign = read(&[("one", Usable::OwnServer, "{\"prompt\":\"Hi\"}\n")]).map(|_| ());
        let damaged = read(&[("one", Usable::OwnServer, &format!("{good}garbage\n{good}"))]).map(|_| ());

        assert!(matches!(foreign, Err(JournalError::Foreign { .. })), "{foreign:?}");
        assert!(matches!(damaged, Err(JournalError::ForeignLine { line: 2, .. })), "{damaged:?}");
    }

    #[test]
    fn a_run_takes_answers_of_every_quality_to_repeated_requests_from_its_own_results() {
        let disk = MemDisk::new();
        disk.put("own", (line("a", 1, "m", "truncated") + &line("b", 2, "m", "ok")).as_bytes());
        let mut census = crate::plan::RequestCensus::recognizing();
        [1, 1, 2].into_iter().for_each(|n| _ = census.add(key(n)));
        let (_, repeats) = census.finish();

        let some = StoredAnswers::of_own_results(Path::new("own"), Some(&repeats), &disk).expect("it is read");
        let all = StoredAnswers::of_own_results(Path::new("own"), None, &disk).expect("it is read");

        assert_eq!((some.offset(key(1)), some.offset(key(2))), (Some(0), None));
        assert_eq!(all.len(), 2);
    }
}
