//! Planned rows, passed on to the loop.

use std::collections::HashSet;

use tokio::sync::mpsc;

use crate::domain::{ErrorClass, Identity, Job, Origin, Planned, RowId, quoted};
use crate::journal::RowState;
use crate::plan::{Planner, Rejected, Seen};
use crate::source::{BrokenRow, SourceError};

use super::outlet::Outlet;
use super::reading::Reading;
use super::walk::{Walk, Walked, WalkedRow};
use super::{Earlier, InputPlan, Places, is_seekable};

/// What the input gives next.
#[derive(Debug)]
pub enum Fed {
    /// A row to be answered.
    Planned(Planned),
    /// A row that is not sent.
    Rejected(Box<Rejected>),
    /// A row that can't be used.
    Broken(Box<BrokenRow>),
    /// The number of rows that were skipped: an earlier run has finished them.
    Skipped(u64),
    /// Something a person should know.
    Warning(String),
    /// The input itself failed: no more rows come.
    Failed(String),
}

impl Fed {
    /// Returns how many bytes of text it holds.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Planned(planned) => planned.bytes(),
            Self::Rejected(rejected) => rejected.request.json().len() + rejected.extra.bytes(),
            Self::Broken(broken) => broken.raw.len(),
            Self::Warning(text) | Self::Failed(text) => text.len(),
            Self::Skipped(_) => 0,
        }
    }
}

/// Reads rows into the loop until the input or the loop ends: from the first row to the last, or from several places in
/// turn. Run it on a thread of its own.
pub fn feed(
    plan: &InputPlan,
    places: Option<&Places>,
    planner: &mut Planner,
    earlier: &Earlier,
    rows: &mpsc::Sender<Fed>,
) {
    let readings = places.map_or_else(|| vec![Reading::whole(plan)], |places| places.readings(plan));
    let mut walks: Vec<_> = readings.into_iter().map(|reading| Walk::new(reading, plan.skip)).collect();
    let mut feeder = Feeder {
        planner,
        earlier,
        out: Outlet::new(rows),
        labels: (!is_seekable(plan)).then(Seen::default),
        told: HashSet::new(),
    };
    loop {
        let mut has_more = false;
        for walk in &mut walks {
            match feeder.turn(walk) {
                Ok(Turn::Sent) => has_more = true,
                Ok(Turn::Ended) => {}
                Ok(Turn::Unheard) => return,
                Err(error) => {
                    // This fails only when the loop is gone and needs no error.
                    feeder.out.send(Fed::Failed(error.to_string()));
                    return;
                }
            }
        }
        if !has_more {
            break;
        }
    }
    feeder.out.send_skipped();
}

struct Feeder<'a> {
    planner: &'a mut Planner,
    earlier: &'a Earlier,
    out: Outlet<'a>,
    /// A pipe can't be looked at first: the hashes of its labels are remembered as they come.
    labels: Option<Seen>,
    /// Warnings that were passed on: the reader of each place gives the same ones.
    told: HashSet<String>,
}

/// How a place's turn ended.
enum Turn {
    /// With a row to be sent.
    Sent,
    /// At the place's end.
    Ended,
    /// The loop is gone.
    Unheard,
}

impl Feeder<'_> {
    /// Passes on the rows of a walk, up to the next row to be sent.
    fn turn(&mut self, walk: &mut Walk<Reading>) -> Result<Turn, SourceError> {
        while let Some(Walked { warnings, row }) = walk.next(self.planner, self.earlier)? {
            for text in warnings {
                if self.told.insert(text.clone()) && !self.out.send(Fed::Warning(text)) {
                    return Ok(Turn::Unheard);
                }
            }
            let Some(row) = row else { continue };
            let fed = match row {
                // Two rows with the same name and the same request are both done.
                WalkedRow::Done(named) => {
                    self.is_repeated(named.row, &named.identity);
                    None
                }
                WalkedRow::Planned(_, planned, _) if self.is_repeated(planned.job.row, &planned.job.identity) => {
                    Some(repeated(planned))
                }
                WalkedRow::Planned(_, planned, state) => by_state(planned, state, self.earlier),
                WalkedRow::Rejected(rejected) => Some(Fed::Rejected(rejected)),
                WalkedRow::Broken(broken) => Some(Fed::Broken(broken)),
            };
            let ends_turn = matches!(fed, Some(Fed::Planned(_)));
            let is_heard = match fed {
                Some(fed) => self.out.send(fed),
                None => self.out.skip(),
            };
            match (is_heard, ends_turn) {
                (false, _) => return Ok(Turn::Unheard),
                (true, true) => return Ok(Turn::Sent),
                (true, false) => {}
            }
        }
        Ok(Turn::Ended)
    }

    fn is_repeated(&mut self, row: RowId, identity: &Identity) -> bool {
        let is_new = |seen: &mut Seen| seen.insert(row.label);
        *identity == Identity::Named && !self.labels.as_mut().is_none_or(is_new)
    }
}

/// Returns what is sent to the loop for a row; `None` when the row is skipped.
fn by_state(planned: Planned, state: RowState, earlier: &Earlier) -> Option<Fed> {
    if let Some(message) = (earlier.refuse)(&planned) {
        return Some(rejected(planned, message));
    }
    match state {
        RowState::New => Some(Fed::Planned(planned)),
        RowState::Done => None,
        RowState::Failed(_) => earlier.reruns_failed.then_some(Fed::Planned(planned)),
        RowState::Changed { .. } if earlier.reruns_changed => Some(Fed::Planned(planned)),
        RowState::Changed { .. } => {
            let message = "this row has an answer to another request; to run it again add --rerun-changed".to_owned();
            Some(rejected(planned, message))
        }
    }
}

/// Rejects a row whose label is taken. It gets the label of its place; otherwise the other row's answer would count as its
/// answer, too.
fn repeated(mut planned: Planned) -> Fed {
    let Origin { source, line, .. } = &planned.job.origin;
    let place = format!("{source}:{line}");
    let label = std::mem::replace(&mut planned.job.custom_id, place);
    rejected(planned, format!("the id {} was used by an earlier row; ids must differ", quoted(&label)))
}

fn rejected(planned: Planned, message: String) -> Fed {
    let Job { custom_id, key, identity, request, extra, origin, index, .. } = *planned.job;
    let class = ErrorClass::InvalidInput;
    Fed::Rejected(Box::new(Rejected { custom_id, origin, index, key, identity, request, extra, class, message }))
}
