//! Rows as they are read, planned.

use crate::domain::{JobId, Planned};
use crate::journal::RowState;
use crate::plan::{Named, Planner, Rejected};
use crate::source::{BrokenRow, Item, Row, SourceError};

use super::Earlier;
use super::reading::{Mark, Read};

/// What became of a row that was read.
#[derive(Debug)]
pub(super) enum Walked {
    /// An earlier run has finished it, so it was not measured.
    Done(Box<Named>),
    Planned(Mark, Planned),
    Rejected(Box<Rejected>),
    Broken(Box<BrokenRow>),
    Warning(String),
}

/// Plans what a reading gives.
pub(super) struct Walk<R> {
    reading: R,
    /// Rows left out at the start.
    skip: u64,
    notices: std::vec::IntoIter<String>,
    /// What was walked behind the notices.
    behind: Option<Walked>,
}

impl<R: Iterator<Item = Result<Read, SourceError>>> Walk<R> {
    pub(super) fn new(reading: R, skip: u64) -> Self {
        Self { reading, skip, notices: Vec::new().into_iter(), behind: None }
    }

    /// Returns what comes next; `None` at the end.
    pub(super) fn next(&mut self, planner: &mut Planner, earlier: &Earlier) -> Result<Option<Walked>, SourceError> {
        loop {
            if let Some(notice) = self.notices.next() {
                return Ok(Some(Walked::Warning(notice)));
            }
            if let Some(walked) = self.behind.take() {
                return Ok(Some(walked));
            }
            let (mark, item) = match self.reading.next().transpose()? {
                None => return Ok(None),
                Some(Read::Warning(text)) => return Ok(Some(Walked::Warning(text))),
                Some(Read::Item(mark, item)) => (mark, item),
            };
            let walked = match item {
                // A row that is left out is planned all the same: it counts among the rows that are equal to it.
                Item::Row(row) => step_of(planner, *row, mark, earlier),
                Item::Broken(broken) => Walked::Broken(Box::new(BrokenRow { index: mark.row, ..*broken })),
                Item::Unusable(_) => continue,
            };
            let notices = planner.take_notices();
            if mark.row >= self.skip {
                self.notices = notices.iter().map(ToString::to_string).collect::<Vec<_>>().into_iter();
                self.behind = Some(walked);
            }
        }
    }
}

fn step_of(planner: &mut Planner, row: Row, mark: Mark, earlier: &Earlier) -> Walked {
    let named = planner.name(row, JobId(mark.row));
    if (earlier.known)(named.row, &named.identity) == RowState::Done {
        return Walked::Done(Box::new(named));
    }
    match planner.measured(named) {
        Ok(planned) => Walked::Planned(mark, planned),
        Err(rejected) => Walked::Rejected(rejected),
    }
}
