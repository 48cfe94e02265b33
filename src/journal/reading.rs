//! One reading of results and error log: what is answered, what still counts as failed, and the sums.

use std::collections::HashSet;
use std::path::Path;

use super::disk::{DiskFailure, DiskFile};
use super::done::Answered;
use super::lines::{Line, Lines, line_number};
use super::record::{Account, ErrorRecord, Parsed, parse_error, parse_result};
use super::scan::{self, Scan};
use super::unresolved::Unresolved;
use super::{JournalError, RunPaths, Start, inflight};
use crate::domain::{Money, Quality, RowId, Usage};

/// Sums over the life of the results: lines, and what stands in no line any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Result lines with an answer that ended by itself.
    pub ok: u64,
    /// Result lines with a truncated answer.
    pub truncated: u64,
    /// Result lines with a refusal.
    pub refused: u64,
    /// Result lines with an answer that ended for a reason unknown to the program that wrote them.
    pub unknown: u64,
    /// What was used.
    pub usage: Usage,
    /// What it cost, as far as there were prices.
    pub spend: Money,
    /// Attempts that may have been billed without a kept answer.
    pub maybe_paid: u64,
}

impl Totals {
    pub(super) fn add(&mut self, account: Account) {
        self.usage += account.usage;
        self.spend += account.spend;
        self.maybe_paid = self.maybe_paid.saturating_add(account.maybe_paid);
    }

    fn add_result(&mut self, quality: Quality, account: Account) {
        match quality {
            Quality::Ok => self.ok += 1,
            Quality::Truncated => self.truncated += 1,
            Quality::Refused => self.refused += 1,
            Quality::Unknown => self.unknown += 1,
        }
        self.add(account);
    }

    fn add_all(&mut self, other: Self) {
        let Self { ok, truncated, refused, unknown, usage, spend, maybe_paid } = other;
        self.ok += ok;
        self.truncated += truncated;
        self.refused += refused;
        self.unknown += unknown;
        self.add(Account { usage, spend, maybe_paid });
    }
}

/// One reading of both files.
#[derive(Default)]
pub(super) struct Pass {
    pub(super) errors: Option<Scan>,
    pub(super) results: Option<Scan>,
    pub(super) answered: Answered,
    pub(super) unresolved: Unresolved,
    pub(super) totals: Totals,
    /// Rows in flight at a death for which no line was found so far.
    pub(super) dead: HashSet<RowId>,
}

impl Pass {
    /// Reads the error log. Comes before the results, which void entries.
    pub(super) fn read_errors(
        &mut self,
        file: &dyn DiskFile,
        paths: &RunPaths,
        is_known: bool,
        dead_run: &str,
        start: Start,
    ) -> Result<(), JournalError> {
        let mut other = None;
        let mut belongs = paths.belonging();
        let read = |line: &Line<'_>, noted: &mut Vec<_>| {
            parse_error(line.bytes).handed_to(|record| noted.push((line.offset, record)))
        };
        let take = |noted: Vec<(u64, ErrorRecord)>| {
            for (offset, record) in noted {
                self.totals.add(record.account);
                self.unresolved.read(&record, offset);
                // An entry of an earlier run says nothing about the try that was in flight.
                if inflight::cut(&record.run) == dead_run {
                    self.dead.remove(&record.row);
                }
                let theirs = named_by_other(&record, &mut belongs, paths, start).map(str::to_owned);
                other = other.take().or(theirs.map(|theirs| (offset, theirs)));
            }
        };
        let scan = scan::scan(file, &paths.errors, is_known, read, take)?;
        if let Some((offset, results)) = other {
            return Err(other_results(file, &paths.errors, offset, results));
        }
        self.errors = Some(scan);
        Ok(())
    }

    /// Reads the results.
    pub(super) fn read_results(
        &mut self,
        file: &dyn DiskFile,
        path: &Path,
        is_known: bool,
    ) -> Result<(), JournalError> {
        let size = file.size().map_err(DiskFailure::of("look at", path))?;
        let Self { unresolved, dead, totals, answered, .. } = self;
        let read = |line: &Line<'_>, block: &mut Answers| {
            parse_result(line.bytes).handed_to(|record| {
                block.end = line.end();
                block.rows.push(record.row);
                block.totals.add_result(record.quality, record.account);
                if unresolved.has(record.row) {
                    block.noted.push((record.row, record.ended_at()));
                }
                if dead.contains(&record.row) {
                    block.alive.insert(record.row);
                }
            })
        };
        let (mut noted, mut alive, mut rows) = (Vec::new(), HashSet::new(), 0);
        let take = |block: Answers| {
            rows += block.rows.len() as u64;
            // As many as fit the file at the length that lines had so far.
            answered.expect(
                u64::try_from(u128::from(size) * u128::from(rows) / u128::from(block.end.max(1))).unwrap_or(rows),
            );
            block.rows.into_iter().for_each(|row| answered.push(row));
            totals.add_all(block.totals);
            noted.extend(block.noted);
            alive.extend(block.alive);
        };
        let scan = scan::scan(file, path, is_known, read, take)?;
        noted.into_iter().for_each(|(row, ended_at)| self.unresolved.note_answer(row, ended_at));
        self.dead.retain(|row| !alive.contains(row));
        self.unresolved.settle_noted();
        self.results = Some(scan);
        Ok(())
    }
}

/// Checks that an error log holds failures of these results only, whatever else is wrong with it.
///
/// # Errors
/// [`JournalError::OtherResults`], [`JournalError::Disk`].
pub(super) fn check_owner(file: &dyn DiskFile, paths: &RunPaths) -> Result<(), JournalError> {
    let mut lines = Lines::new(file);
    let mut belongs = paths.belonging();
    while let Some(line) = lines.next().map_err(DiskFailure::of("read", &paths.errors))? {
        let Parsed::Record(record) = parse_error(line.bytes) else { continue };
        if let Some(results) = named_by_other(&record, &mut belongs, paths, Start::Fresh) {
            return Err(other_results(file, &paths.errors, line.offset, results.to_owned()));
        }
    }
    Ok(())
}

/// Returns the results that an entry belongs to, when those are not the run's. `resume` gives rows of standard output
/// the results that it is told.
fn named_by_other<'r>(
    record: &'r ErrorRecord,
    belongs: &mut impl FnMut(&str) -> bool,
    paths: &RunPaths,
    start: Start,
) -> Option<&'r str> {
    match record.results.as_deref() {
        Some(theirs) => (!belongs(theirs)).then_some(theirs),
        None => (paths.results.is_some() && start != Start::Resume).then_some("standard output"),
    }
}

/// Returns the refusal of a log in which the line at `offset` names other results.
pub(super) fn other_results(file: &dyn DiskFile, path: &Path, offset: u64, results: String) -> JournalError {
    match line_number(file, offset) {
        Ok(line) => JournalError::OtherResults { path: path.to_owned(), line, results },
        Err(error) => DiskFailure::of("read", path)(error).into(),
    }
}

/// What one block of the results says.
#[derive(Default)]
struct Answers {
    rows: Vec<RowId>,
    totals: Totals,
    /// Answers to rows with an entry in the error log, and when they came.
    noted: Vec<(RowId, Option<jiff::Timestamp>)>,
    /// Rows in flight at a death that have an answer.
    alive: HashSet<RowId>,
    /// Where the last of them ends.
    end: u64,
}
