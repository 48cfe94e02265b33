//! The index of a run's journal: where the line of each row is.
//!
//! The index takes 16 bytes per row. If a row has several lines, the index uses the latest answer. If the row has no
//! answer, the index uses the latest failure. A resumed run chooses the line of a row by this rule too.

use std::path::Path;

use super::ExportError;
use crate::domain::{ErrorClass, Quality};
use crate::journal::{Disk, DiskFailure, DiskFile, KnownBy, OpenMode, Read, read_lines};
use crate::sink::Log;

/// The kinds of rows that an output contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Include {
    /// Whether the output includes rows whose answer ended normally, or ended for a reason that the program does not
    /// know.
    pub(crate) ok: bool,
    /// Whether the output includes rows with a truncated answer.
    pub(crate) truncated: bool,
    /// Whether the output includes rows with a refusal as the answer.
    pub(crate) refused: bool,
    /// Whether the output includes rows that failed because their answer can't be used.
    pub(crate) invalid: bool,
    /// Whether the output includes all failed rows.
    pub(crate) failed: bool,
}

/// A kind of row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowKind {
    /// The answer of the row ended normally, or for an unknown reason.
    Ok,
    /// The answer of the row is truncated.
    Truncated,
    /// The answer of the row is a refusal.
    Refused,
    /// The row failed because its answer can't be used.
    Invalid,
    /// The row failed for any reason.
    Failed,
}

impl RowKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Ok, Self::Truncated, Self::Refused, Self::Invalid, Self::Failed];

    /// Returns the name of this kind of row, as the user types it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Truncated => "truncated",
            Self::Refused => "refused",
            Self::Invalid => "invalid",
            Self::Failed => "failed",
        }
    }
}

impl Include {
    /// Returns the set that contains these kinds of rows.
    pub(crate) fn of(kinds: &[RowKind]) -> Self {
        let has = |kind| kinds.contains(&kind);
        Self {
            ok: has(RowKind::Ok),
            truncated: has(RowKind::Truncated),
            refused: has(RowKind::Refused),
            invalid: has(RowKind::Invalid),
            failed: has(RowKind::Failed),
        }
    }

    /// All rows.
    pub(crate) const ALL: Self = Self { ok: true, truncated: true, refused: true, invalid: true, failed: true };
    /// All rows with an answer.
    pub(crate) const ANSWERED: Self = Self { invalid: false, failed: false, ..Self::ALL };
}

/// The place of a line in the journal. A place consists of 1 bit for the file, 2 bits for the answer's quality or the
/// failure's kind, and the offset of the line's first byte. Places in the error log sort before places in the results
/// file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u64);

const IS_ANSWER: u64 = 1 << 63;
const QUALITY_AT: u32 = 61;
const OFFSET: u64 = (1 << QUALITY_AT) - 1;

impl Place {
    fn answer(offset: u64, quality: Quality) -> Self {
        let quality = match quality {
            Quality::Ok | Quality::Unknown => 0,
            Quality::Truncated => 1,
            Quality::Refused => 2,
        };
        Self(IS_ANSWER | (quality << QUALITY_AT) | (offset & OFFSET))
    }

    fn failure(offset: u64, class: Option<ErrorClass>) -> Self {
        let is_invalid = class == Some(ErrorClass::InvalidOutput);
        Self((u64::from(is_invalid) << QUALITY_AT) | (offset & OFFSET))
    }

    /// Returns which file the line is in.
    pub(crate) fn log(self) -> Log {
        if self.0 & IS_ANSWER == 0 { Log::Errors } else { Log::Results }
    }

    /// Returns the offset of the line in its file.
    pub(crate) fn offset(self) -> u64 {
        self.0 & OFFSET
    }

    /// Returns the key that sorts places in the order of completion. First come the answers, in the order of the
    /// results file, and then the failures.
    pub(crate) fn in_order(self) -> u64 {
        (self.0 & IS_ANSWER ^ IS_ANSWER) | self.offset()
    }

    /// Returns the place that has this sort key (the result of [`Place::in_order`]).
    pub(crate) fn at(in_order: u64) -> Self {
        Self(in_order & IS_ANSWER ^ IS_ANSWER | in_order & OFFSET)
    }

    /// Returns whether the output contains the row of this line.
    pub(crate) fn is_in(self, include: Include) -> bool {
        match (self.log(), (self.0 >> QUALITY_AT) & 3) {
            (Log::Errors, 1) => include.failed || include.invalid,
            (Log::Errors, _) => include.failed,
            (Log::Results, 1) => include.truncated,
            (Log::Results, 2) => include.refused,
            (Log::Results, _) => include.ok,
        }
    }
}

/// The files of a run's journal, open for reading. Lines that are appended after the files were opened are ignored.
pub(crate) struct JournalFiles {
    /// The results file, if there is one.
    pub(crate) results: Option<Box<dyn DiskFile>>,
    /// The error log, if there is one.
    pub(crate) errors: Option<Box<dyn DiskFile>>,
}

impl JournalFiles {
    /// Opens the results file and the error log, if they exist.
    ///
    /// # Errors
    /// [`ExportError::Disk`].
    pub(crate) fn open(disk: &dyn Disk, results: Option<&Path>, errors: Option<&Path>) -> Result<Self, ExportError> {
        let open = |path: Option<&Path>| match path.map(|path| (path, disk.open(path, OpenMode::Read))) {
            None => Ok(None),
            Some((_, Ok(file))) => Ok(Some(file)),
            Some((_, Err(error))) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Some((path, Err(error))) => Err(DiskFailure::of("open", path)(error)),
        };
        // The error log is opened before the results, so that no row is missed. A run removes a row from the error log
        // only after the row's answer was written.
        let errors = open(errors)?;
        match (open(results)?, results) {
            (None, Some(path)) => Err(ExportError::NoResults { path: path.to_owned() }),
            (results, _) => Ok(Self { results, errors }),
        }
    }

    /// Returns the open file of one of the two logs.
    pub(crate) fn of(&self, log: Log) -> Option<&dyn DiskFile> {
        match log {
            Log::Results => self.results.as_deref(),
            Log::Errors => self.errors.as_deref(),
        }
    }
}

/// For each row, the place of its line.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Labels with their places, sorted by label. Each label has one entry.
    entries: Vec<(u64, Place)>,
    /// `begins[v]` is the index of the first entry whose label begins with the bits of `v`. Labels are hashes, so about
    /// eight entries share each value. So the search for a label reads memory in only one or two places.
    begins: Vec<u32>,
    /// One bit per entry: whether the row of the entry was found in the input.
    found: Vec<u64>,
    /// A line of a row whose label is also the label of another row; `None` if labels are unique. Only an index by
    /// label can have such a line.
    pub(crate) shared: Option<Place>,
}

/// The average number of entries whose labels begin with the same bits.
const SHARING: usize = 8;

impl Index {
    /// Reads the journal of a run.
    ///
    /// # Errors
    /// [`ExportError::Journal`] if a file can't be read, or if another program wrote it.
    pub(crate) fn read(
        files: &JournalFiles,
        results: Option<&Path>,
        errors: Option<&Path>,
        known_by: KnownBy,
    ) -> Result<Self, ExportError> {
        let mut entries = Vec::new();
        let mut identities = Vec::new();
        let mut note = |line: &Read, place: Place| {
            let identity = line.identity.filter(|_| known_by == KnownBy::Label);
            identities.extend(identity.map(|identity| (line.label, identity, place)));
        };
        if let (Some(file), Some(path)) = (files.of(Log::Errors), errors) {
            let take = |lines: Vec<Read>| {
                entries.extend(lines.into_iter().map(|line| {
                    let place = Place::failure(line.offset, line.class);
                    note(&line, place);
                    (line.label, place)
                }));
            };
            read_lines(file, path, Log::Errors, known_by, take)?;
        }
        if let (Some(file), Some(path)) = (files.of(Log::Results), results) {
            let take = |lines: Vec<Read>| {
                entries.extend(lines.into_iter().map(|line| {
                    let place = Place::answer(line.offset, line.quality);
                    note(&line, place);
                    (line.label, place)
                }));
            };
            read_lines(file, path, Log::Results, known_by, take)?;
        }
        Ok(Self { shared: shared(identities), ..Self::of(entries) })
    }

    fn of(mut entries: Vec<(u64, Place)>) -> Self {
        entries.shrink_to_fit();
        // For each row, failures come before answers. Lines of the same kind are sorted by offset, not by quality. The
        // last line of each row is kept.
        entries.sort_unstable_by_key(|(label, place)| (*label, place.log() == Log::Results, place.offset()));
        entries.dedup_by(|later, kept| {
            let is_same = later.0 == kept.0;
            if is_same {
                *kept = *later;
            }
            is_same
        });
        let found = vec![0; entries.len().div_ceil(64)];
        let begins = begins(&entries);
        Self { entries, begins, found, shared: None }
    }

    /// Returns the position of the entry with this label.
    fn position(&self, label: u64) -> Option<usize> {
        let range = match self.begins.len() {
            0 => 0..self.entries.len(),
            count => {
                let first = (label >> shift(count - 1)) as usize;
                self.begins[first] as usize..self.begins[first + 1] as usize
            }
        };
        let found = self.entries[range.clone()].binary_search_by_key(&label, |(label, _)| *label).ok()?;
        Some(range.start + found)
    }

    /// Reads the memory around the entries of these labels, so that [`Index::find`] does not have to wait for it later.
    /// The reads do not depend on each other, so the processor can do several reads at once.
    pub(crate) fn fetch(&self, labels: impl Iterator<Item = u64>) {
        let Some(last) = self.begins.len().checked_sub(1) else { return };
        let begins = |label: u64| self.begins[(label >> shift(last)) as usize] as usize;
        // The entries with the same first bits fill about two lines of the processor's cache. If one entry of a cache
        // line is read, the processor loads the whole line.
        let entry = |at: usize| self.entries.get(at).map_or(0, |(label, _)| *label);
        let sum = labels.fold(0, |sum, label| sum ^ entry(begins(label)) ^ entry(begins(label) + SHARING / 2));
        std::hint::black_box(sum);
    }

    /// Returns whether there is an entry with this label.
    pub(crate) fn has(&self, label: u64) -> bool {
        self.position(label).is_some()
    }

    /// Finds a row by the label of its identity, and returns the place of the row's line. Each place is returned only
    /// once: if two rows have the same label, only the first row gets the line.
    pub(crate) fn find(&mut self, label: u64) -> Option<Place> {
        let at = self.position(label)?;
        let (word, bit) = (at / 64, 1 << (at % 64));
        if self.found[word] & bit != 0 {
            return None;
        }
        self.found[word] |= bit;
        Some(self.entries[at].1)
    }

    /// Returns how many rows of the journal were not found in the input.
    pub(crate) fn rest(&self) -> u64 {
        let found: u64 = self.found.iter().map(|word| u64::from(word.count_ones())).sum();
        self.entries.len() as u64 - found
    }

    /// Returns the places of all lines that the output contains, in the order of completion.
    pub(crate) fn into_places(self, include: Include) -> Vec<Place> {
        let mut places: Vec<Place> =
            self.entries.into_iter().map(|(_, place)| place).filter(|place| place.is_in(include)).collect();
        places.sort_unstable_by_key(|place| place.in_order());
        places
    }
}

/// Returns the place of a line whose label two different rows have. `lines` contains the label, the identity and the
/// place of each line.
fn shared(mut lines: Vec<(u64, u64, Place)>) -> Option<Place> {
    lines.sort_unstable_by_key(|(label, identity, _)| (*label, *identity));
    lines.windows(2).find(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1).map(|pair| pair[1].2)
}

/// Returns a list with one index for each value of the first bits of a label: the index of the first entry with this
/// value. The last element is the number of all entries. The list is empty in two cases: there are few entries, or the
/// number of entries does not fit in 32 bits. If the list is empty, a search goes through all entries.
fn begins(entries: &[(u64, Place)]) -> Vec<u32> {
    let values = (entries.len() / SHARING).next_power_of_two();
    if values < 2 || u32::try_from(entries.len()).is_err() {
        return Vec::new();
    }
    let mut begins = vec![0; values + 1];
    for (label, _) in entries {
        begins[(label >> shift(values)) as usize + 1] += 1;
    }
    let mut sum = 0;
    for begin in &mut begins {
        sum += *begin;
        *begin = sum;
    }
    begins
}

/// Returns the number of bits by which a label must be shifted to the right. The shifted label has `values` possible
/// values.
fn shift(values: usize) -> u32 {
    u64::BITS - values.trailing_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_answer_is_used_rather_than_a_failure() {
        let answer = |offset| Place::answer(offset, Quality::Ok);
        let entries = vec![
            (7, Place::failure(50, None)),
            (7, Place::failure(90, None)),
            (8, Place::answer(9, Quality::Refused)),
            (8, answer(10)),
            (9, Place::failure(100, None)),
            (9, answer(0)),
        ];

        let mut index = Index::of(entries);

        assert_eq!(
            (index.find(7), index.find(8), index.find(9)),
            (Some(Place::failure(90, None)), Some(answer(10)), Some(answer(0)))
        );
        assert_eq!((index.find(7), index.find(1), index.rest()), (None, None, 0));
        assert_eq!(index.into_places(Include::ALL), [answer(0), answer(10), Place::failure(90, None)]);
    }

    #[test]
    fn a_label_is_found_at_every_position() {
        let seed = 17;
        let mut random = fastrand::Rng::with_seed(seed);
        for size in [0, 1, 2, 3, 100, 5_000] {
            for is_spread in [true, false] {
                let mut label = || if is_spread { random.u64(..) } else { random.u64(..20_000) };
                let mut entries: Vec<_> = (0..size).map(|_| (label(), Place::failure(0, None))).collect();
                entries.sort_unstable();
                entries.dedup_by_key(|(label, _)| *label);

                let index = Index::of(entries.clone());
                for (at, (label, _)) in entries.iter().enumerate() {
                    assert_eq!(index.position(*label), Some(at), "seed {seed}");
                }
                for label in [0, 1, 9_999, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
                    let expected = entries.binary_search_by_key(&label, |(label, _)| *label).ok();
                    assert_eq!(index.position(label), expected, "seed {seed}");
                }
            }
        }
    }

    #[test]
    fn only_wanted_rows_are_listed() {
        let qualities = [Quality::Ok, Quality::Truncated, Quality::Refused, Quality::Unknown];
        let entries = || {
            let answers = qualities.iter().zip(0..).map(|(quality, at)| (at, Place::answer(at, *quality)));
            let invalid = Place::failure(70, Some(ErrorClass::InvalidOutput));
            Index::of(answers.chain([(9, Place::failure(0, None)), (8, invalid)]).collect())
        };
        let none = Include { ok: false, truncated: false, refused: false, invalid: false, failed: false };
        let offsets = |include| -> Vec<(Log, u64)> {
            let places = entries().into_places(include).into_iter();
            places.map(|place| (place.log(), Place::at(place.in_order()).offset())).collect()
        };
        let (answer, failure) = (Log::Results, Log::Errors);

        assert_eq!(offsets(Include { ok: true, ..none }), [(answer, 0), (answer, 3)]);
        assert_eq!(offsets(Include { truncated: true, ..none }), [(answer, 1)]);
        assert_eq!(
            offsets(Include { refused: true, failed: true, ..none }),
            [(answer, 2), (failure, 0), (failure, 70)]
        );
        assert_eq!(offsets(Include { invalid: true, ..none }), [(failure, 70)]);
        assert_eq!(offsets(Include::ANSWERED).len(), 4);
    }
}
