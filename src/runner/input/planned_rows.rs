//! Plans the rows of an input when they are read.

use crate::domain::{JobId, Planned};
use crate::journal::RowState;
use crate::plan::{Identified, Planner, Rejected};
use crate::source::{BrokenRow, Item, Row, SourceError};

use super::Earlier;
use super::reading::{Read, RowPlace};

/// A place in an input (a row or the end), and the warnings about the part of the input before this place.
#[derive(Debug)]
pub(super) struct Step {
    /// The name of a stream and the format that the program recognized in it; `None` unless the stream has just been
    /// opened.
    pub(super) recognized: Option<String>,
    /// The warnings about the part of the input before the row.
    pub(super) warnings: Vec<String>,
    /// The place of the row in the input; `None` at the end of an input.
    pub(super) place: Option<RowPlace>,
    /// The decision about the row; `None` at the end of an input.
    pub(super) row: Option<RowDecision>,
    /// The index of the `--map-model` pair that replaced the row's model; `None` if no pair replaced it.
    pub(super) mapped: Option<usize>,
}

/// The decision about a row that was read.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every row is planned, and a box would be allocated for each")]
pub(super) enum RowDecision {
    /// The row is skipped, because an earlier run has finished it. The cost of a finished row is not estimated.
    Done(Box<Identified>),
    /// The row is skipped, because an earlier run put it into a batch that is still open.
    Submitted(Box<Identified>),
    /// The row can be sent. The [`RowState`] says what earlier runs did with this row.
    Planned(RowPlace, Planned, RowState),
    /// The row is not sent, because it can't succeed.
    Rejected(Box<Rejected>),
    /// The row can't be read.
    Broken(Box<BrokenRow>),
}

/// The rows of a reading, with the decision about each row.
pub(super) struct PlannedRows<R> {
    reading: R,
    /// The number of rows that are left out at the start.
    skip: u64,
}

impl<R: Iterator<Item = Result<Read, SourceError>>> PlannedRows<R> {
    pub(super) fn new(reading: R, skip: u64) -> Self {
        Self { reading, skip }
    }

    /// Plans the next row; returns `None` at the end of the reading.
    pub(super) fn next(&mut self, planner: &mut Planner, earlier: &Earlier) -> Result<Option<Step>, SourceError> {
        while let Some(read) = self.reading.next().transpose()? {
            if let Some(step) = step_of(read, self.skip, planner, earlier) {
                return Ok(Some(step));
            }
        }
        Ok(None)
    }
}

/// Plans a row. Returns `None` if the row is left out because its index is below `skip`.
pub(super) fn step_of(read: Read, skip: u64, planner: &mut Planner, earlier: &Earlier) -> Option<Step> {
    let Read { recognized, mut warnings, row } = read;
    let Some((place, item)) = row else {
        return Some(Step { recognized, warnings, place: None, row: None, mapped: None });
    };
    let (row, mapped) = match item {
        // Rows that are left out are planned as well, because the planner counts all rows with the same request.
        Item::Row(row) => (planned(planner, *row, place, earlier), planner.mapped()),
        Item::Broken(broken) => (RowDecision::Broken(Box::new(BrokenRow { index: place.index, ..*broken })), None),
    };
    let notices = planner.take_notices();
    if place.index < skip {
        return None;
    }
    warnings.extend(notices.iter().map(ToString::to_string));
    Some(Step { recognized, warnings, place: Some(place), row: Some(row), mapped })
}

fn planned(planner: &mut Planner, row: Row, place: RowPlace, earlier: &Earlier) -> RowDecision {
    let identified = planner.identify(row, JobId(place.index));
    let state = (earlier.known)(identified.row, &identified.identity);
    match state {
        RowState::Done => return RowDecision::Done(Box::new(identified)),
        RowState::Submitted => return RowDecision::Submitted(Box::new(identified)),
        RowState::New | RowState::Rerun(_) | RowState::Failed(_) | RowState::Changed { .. } => {}
    }
    let planned = match matches!(state, RowState::Rerun(_)) {
        true => planner.measure_rerun(identified),
        false => planner.measure(identified),
    };
    match planned {
        Ok(planned) => RowDecision::Planned(place, planned, state),
        Err(rejected) => RowDecision::Rejected(rejected),
    }
}
