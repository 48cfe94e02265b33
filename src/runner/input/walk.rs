//! Rows as they are read, planned.

use crate::domain::{JobId, Planned};
use crate::journal::RowState;
use crate::plan::{Identified, Planner, Rejected};
use crate::source::{BrokenRow, Item, Row, SourceError};

use super::Earlier;
use super::reading::{Mark, Read};

/// One step of a walk.
#[derive(Debug)]
pub(super) struct Walked {
    /// What a person should know before the row.
    pub(super) warnings: Vec<String>,
    /// The row; `None` at the end of an input.
    pub(super) row: Option<WalkedRow>,
}

/// What became of a row that was read.
#[derive(Debug)]
pub(super) enum WalkedRow {
    /// An earlier run has finished it, so it was not measured.
    Done(Box<Identified>),
    /// It can be sent; earlier runs know this of it.
    Planned(Mark, Planned, RowState),
    /// It can't work.
    Rejected(Box<Rejected>),
    /// It can't be read.
    Broken(Box<BrokenRow>),
}

/// Plans the rows of a reading.
pub(super) struct Walk<R> {
    reading: R,
    /// Rows left out at the start.
    skip: u64,
}

impl<R: Iterator<Item = Result<Read, SourceError>>> Walk<R> {
    pub(super) fn new(reading: R, skip: u64) -> Self {
        Self { reading, skip }
    }

    /// Returns the next step; `None` at the end.
    pub(super) fn next(&mut self, planner: &mut Planner, earlier: &Earlier) -> Result<Option<Walked>, SourceError> {
        while let Some(Read { mut warnings, row }) = self.reading.next().transpose()? {
            let Some((mark, item)) = row else { return Ok(Some(Walked { warnings, row: None })) };
            let row = match item {
                // A row that is left out is planned too: it counts among the rows that are equal to it.
                Item::Row(row) => planned(planner, *row, mark, earlier),
                Item::Broken(broken) => WalkedRow::Broken(Box::new(BrokenRow { index: mark.index, ..*broken })),
            };
            let notices = planner.take_notices();
            if mark.index >= self.skip {
                warnings.extend(notices.iter().map(ToString::to_string));
                return Ok(Some(Walked { warnings, row: Some(row) }));
            }
        }
        Ok(None)
    }
}

fn planned(planner: &mut Planner, row: Row, mark: Mark, earlier: &Earlier) -> WalkedRow {
    let identified = planner.identify(row, JobId(mark.index));
    let state = (earlier.known)(identified.row, &identified.identity);
    if state == RowState::Done {
        return WalkedRow::Done(Box::new(identified));
    }
    match planner.measure(identified) {
        Ok(planned) => WalkedRow::Planned(mark, planned, state),
        Err(rejected) => WalkedRow::Rejected(rejected),
    }
}
