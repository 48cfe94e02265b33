//! One reading of results and error log: what is answered, what still counts as failed, and the sums.

use std::collections::HashSet;
use std::path::Path;

use super::disk::{DiskFailure, DiskFile};
use super::lines::Line;
use super::record::{Account, Parsed, parse_error, parse_result};
use super::recover::{self, Scan};
use super::row::RowId;
use super::unresolved::Unresolved;
use super::{JournalError, RunPaths, inflight};
use crate::domain::{Money, Quality, Usage};

/// Sums over the life of the results: lines, and what stands in no line any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Result lines with an answer that ended by itself.
    pub ok: u64,
    /// Result lines with a truncated answer.
    pub truncated: u64,
    /// Result lines with a refusal.
    pub refused: u64,
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
        self.maybe_paid += account.maybe_paid;
    }

    fn add_result(&mut self, quality: Quality, account: Account) {
        match quality {
            Quality::Ok => self.ok += 1,
            Quality::Truncated => self.truncated += 1,
            Quality::Refused => self.refused += 1,
        }
        self.add(account);
    }
}

/// One reading of both files.
#[derive(Default)]
pub(super) struct Pass {
    pub(super) errors: Option<Scan>,
    pub(super) results: Option<Scan>,
    /// In the order of their lines.
    pub(super) answered: Vec<RowId>,
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
    ) -> Result<(), JournalError> {
        let mut other = None;
        let scan = recover::scan(file, &paths.errors, is_known, |line| {
            let parsed = parse_error(line.bytes);
            if let Parsed::Record(record) = &parsed {
                other = other.take().or_else(|| record.results.clone().filter(|theirs| !paths.are_results(theirs)));
                self.totals.add(record.account);
                self.unresolved.read(record, line.offset);
                // An entry of an earlier run says nothing about the try that was in flight.
                if inflight::cut(&record.run) == dead_run {
                    self.dead.remove(&record.row);
                }
            }
            kind_of(&parsed)
        })?;
        if let Some(results) = other {
            return Err(JournalError::OtherResults { path: paths.errors.clone(), results });
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
        let scan = recover::scan(file, path, is_known, |line| {
            let parsed = parse_result(line.bytes);
            if let Parsed::Record(record) = &parsed {
                self.totals.add_result(record.quality, record.account);
                self.unresolved.note_answer(record.row, || record.ended_at());
                self.dead.remove(&record.row);
                self.remember(record.row, line, size);
            }
            kind_of(&parsed)
        })?;
        self.unresolved.settle_noted();
        self.results = Some(scan);
        Ok(())
    }

    /// Adds an answered row. Memory is asked for by the length of lines so far, not by doubling: at ten million rows
    /// doubling would hold twice the set for a moment.
    fn remember(&mut self, row: RowId, line: &Line<'_>, size: u64) {
        if self.answered.len() == self.answered.capacity() {
            let rows = self.answered.len() as u64 + 1;
            let left = (size - line.end()) / (line.end() / rows).max(1);
            let more = usize::try_from(left + left / 50 + 64).unwrap_or(0);
            self.answered.reserve_exact(more);
        }
        self.answered.push(row);
    }
}

/// Returns what a line is, without what it says.
pub(super) fn kind_of<T>(parsed: &Parsed<T>) -> Parsed<()> {
    match parsed {
        Parsed::Record(_) => Parsed::Record(()),
        Parsed::Newer(version) => Parsed::Newer(*version),
        Parsed::NotOurs => Parsed::NotOurs,
    }
}
