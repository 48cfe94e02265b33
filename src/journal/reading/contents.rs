//! The content of results and error log: the rows with an answer, the failures that still count, and the sums.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use super::done::AnsweredRows;
use super::lines::{Line, Lines, line_number};
use super::parse::{parse_error, parse_result_expecting};
use super::providers::AnswersBy;
use super::record::{ErrorRecord, Parsed};
use super::reruns::RerunRows;
use super::scan::{Scan, scan};
use super::stored::read_line;
use super::totals::Totals;
use super::unfinished::{UnfinishedRow, unfinished_row};
use super::unresolved::Unresolved;
use crate::domain::{Money, Quality, RowId};
use crate::journal::disk::{DiskFailure, DiskFile};
use crate::journal::error::JournalError;
use crate::journal::files::{RunPaths, slots};
use crate::journal::start::Start;

/// The content of the results file and the error log.
#[derive(Default)]
pub(crate) struct Contents {
    /// The scan of the error log; `None` if there is no log.
    pub(crate) errors: Option<Scan>,
    /// The scan of the results file; `None` if there is no such file.
    pub(crate) results: Option<Scan>,
    /// Rows with an answer.
    pub(crate) answered: AnsweredRows,
    /// Answered rows that are to be run again.
    pub(crate) reruns: RerunRows,
    /// Failures that still count.
    pub(crate) unresolved: Unresolved,
    /// The sums over all lines of the results and the error log.
    pub(crate) totals: Totals,
    /// The number of result lines of each provider.
    pub(crate) answers_by: AnswersBy,
    /// The rows that were in flight when the last run died, each with its highest possible cost. When a line of the
    /// dead run is found, the row of this line is removed from the map.
    pub(crate) in_flight: HashMap<RowId, Money>,
    /// The same for the last `resume` of the error log, if its answers went to standard output.
    pub(crate) in_flight_beside: HashMap<RowId, Money>,
    /// The number of rows of the error log that this `resume` has answered.
    pub(crate) answered_beside: usize,
    /// Rows that need another request because their last answer was not accepted.
    pub(crate) unfinished: HashMap<RowId, UnfinishedRow>,
}

impl Contents {
    /// Reads the error log. Call this function before the results are read, because an answer in the results removes
    /// the row's failure. `unclosed_runs` are the runs of `in_flight` and of `in_flight_beside`.
    pub(crate) fn read_errors(
        &mut self,
        file: &dyn DiskFile,
        paths: &RunPaths,
        is_known: bool,
        unclosed_runs: [&str; 2],
        start: Start,
    ) -> Result<(), JournalError> {
        let mut other = None;
        let mut belongs = paths.belonging();
        let take = |entries: Vec<(u64, ErrorRecord)>| {
            for (offset, record) in entries {
                let charges = self.unresolved.read(&record, offset);
                self.totals.add(charges);
                // Only an entry of the run that died can belong to the request in flight. If the entry is a step (an
                // answer that was not accepted), the request in flight was sent after this step.
                for (unclosed_run, in_flight) in
                    unclosed_runs.into_iter().zip([&mut self.in_flight, &mut self.in_flight_beside])
                {
                    if slots::shortened(&record.run) == unclosed_run && !record.is_step {
                        in_flight.remove(&record.row);
                    }
                }
                let theirs = named_by_other(&record, &mut belongs, paths, start).map(str::to_owned);
                other = other.take().or(theirs.map(|theirs| (offset, theirs)));
            }
        };
        let scan = scan(file, &paths.errors, is_known, collect_entry, take)?;
        if let Some((offset, results)) = other {
            return Err(other_results(file, &paths.errors, offset, results));
        }
        self.errors = Some(scan);
        Ok(())
    }

    /// Reads the results.
    pub(crate) fn read_results(
        &mut self,
        file: &dyn DiskFile,
        path: &Path,
        is_known: bool,
        unclosed_run: &str,
    ) -> Result<(), JournalError> {
        let size = file.size().map_err(DiskFailure::of("look at", path))?;
        let Self { unresolved, in_flight, totals, answers_by, answered, reruns, .. } = self;
        let keeps_qualities = reruns.is_used();
        let read = |line: &Line<'_>, block: &mut Answers| {
            parse_result_expecting(line.bytes, block.answers_by.expected()).handed_to(|record| {
                block.end = line.end();
                block.rows.push(record.row);
                if keeps_qualities {
                    block.qualities.push(record.quality);
                }
                block.totals.add_result(record.quality, record.charges);
                block.answers_by.add(record.provider);
                if unresolved.has(record.row) {
                    block.with_entry.push((record.row, record.ended_at()));
                }
                // The answer in a line of another run is older than the request in flight, so it is not the answer to
                // this request.
                let is_of_unclosed = || record.run.as_deref().is_none_or(|run| slots::shortened(run) == unclosed_run);
                if in_flight.contains_key(&record.row) && is_of_unclosed() {
                    block.was_in_flight.insert(record.row);
                }
            })
        };
        let (mut with_entry, mut was_in_flight, mut rows) = (Vec::new(), HashSet::new(), 0);
        let take = |block: Answers| {
            rows += block.rows.len() as u64;
            // The estimated number of rows in the file, if the remaining lines are as long as the lines that were read.
            answered.expect(
                u64::try_from(u128::from(size) * u128::from(rows) / u128::from(block.end.max(1))).unwrap_or(rows),
            );
            block.rows.iter().zip(block.qualities).for_each(|(row, quality)| reruns.note(*row, quality));
            block.rows.into_iter().for_each(|row| answered.push(row));
            *totals += block.totals;
            answers_by.merge(&block.answers_by);
            with_entry.extend(block.with_entry);
            was_in_flight.extend(block.was_in_flight);
        };
        let scan = scan(file, path, is_known, read, take)?;
        with_entry.into_iter().for_each(|(row, ended_at)| self.unresolved.note_answer(row, ended_at));
        self.in_flight.retain(|row, _| !was_in_flight.contains(row));
        self.results = Some(scan);
        Ok(())
    }
}

impl Contents {
    /// Removes the rows that a `resume` has answered on standard output from the failures that still count. The rows
    /// that were in flight are added to those of the last run. Call this function after the error log was read.
    pub(crate) fn remove_answered_beside(&mut self, answered: &[RowId]) {
        let before = self.unresolved.len();
        self.totals.add(self.unresolved.remove_rows(answered));
        self.answered_beside = before - self.unresolved.len();
        // If a row is no longer in the log, its request was counted before.
        let in_flight = std::mem::take(&mut self.in_flight_beside);
        self.in_flight.extend(in_flight.into_iter().filter(|(row, _)| self.unresolved.has(*row)));
    }

    /// Reads the lines of unfinished rows again, this time with their answers. Call this function after reading all
    /// other lines.
    pub(crate) fn read_unfinished(&mut self, file: &dyn DiskFile) -> io::Result<()> {
        let mut line = Vec::new();
        for offset in self.unresolved.unfinished() {
            read_line(file, offset, &mut line)?;
            let Parsed::Record(record) = parse_error(&line) else { continue };
            if let Some(unfinished) = unfinished_row(&line, record.charges) {
                self.unfinished.insert(record.row, unfinished);
            }
        }
        Ok(())
    }
}

/// Adds an entry of the error log, with its offset, to `entries`. The scan calls this function for each line. Each
/// block of the file has its own list `entries`.
pub(super) fn collect_entry(line: &Line<'_>, entries: &mut Vec<(u64, ErrorRecord)>) -> Parsed<()> {
    parse_error(line.bytes).handed_to(|record| entries.push((line.offset, record)))
}

/// Checks that all entries of an error log belong to these results. Damaged lines are skipped.
///
/// # Errors
/// [`JournalError::OtherResults`], [`JournalError::Disk`].
pub(crate) fn check_owner(file: &dyn DiskFile, paths: &RunPaths) -> Result<(), JournalError> {
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

/// If an entry does not belong to the results of this run, returns the name of the results to which the entry belongs.
/// If a run writes results to standard output, its error-log entries do not name a results file. With `resume`, entries
/// that name no results file belong to this run.
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

/// Returns the error for a log that belongs to other results: the line at `offset` names them.
pub(super) fn other_results(file: &dyn DiskFile, path: &Path, offset: u64, results: String) -> JournalError {
    match line_number(file, offset) {
        Ok(line) => JournalError::OtherResults { path: path.to_owned(), line, results },
        Err(error) => DiskFailure::of("read", path)(error).into(),
    }
}

/// The content of one block of the results.
#[derive(Default)]
struct Answers {
    rows: Vec<RowId>,
    /// The qualities of the answers in the block. The qualities of answers are kept only if these qualities decide
    /// which rows are run again.
    qualities: Vec<Quality>,
    totals: Totals,
    answers_by: AnswersBy,
    /// The answered rows that also have an entry in the error log, each with the time of its answer.
    with_entry: Vec<(RowId, Option<jiff::Timestamp>)>,
    /// Rows that were in flight when the last run died.
    was_in_flight: HashSet<RowId>,
    /// The offset at which the last record of the block ends.
    end: u64,
}
