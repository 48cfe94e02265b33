//! Passes planned rows on to the loop.

use std::collections::HashSet;

use tokio::sync::mpsc;

use crate::domain::{ErrorClass, Identity, Job, Origin, Planned, RowId, Taken, TakenFrom, quoted};
use crate::journal::RowState;
use crate::plan::{Planner, Rejected, Seen};
use crate::source::SourceError;

use super::incoming::{HasBegun, Incoming};
use super::planned_rows::{PlannedRows, RowDecision, Step};
use super::reading::Reading;
use super::row_sender::RowSender;
use super::{Earlier, InputPlan, Places, is_seekable};

/// Reads rows and passes them to the loop, until the input or the loop ends. Rows are read from the first to the last,
/// or from several places of the input alternately. Run this function on a thread of its own.
pub fn feed(
    plan: &InputPlan,
    places: Option<&Places>,
    planner: &mut Planner,
    earlier: &Earlier,
    rows: &mpsc::Sender<Incoming>,
) {
    let readings = places.map_or_else(|| vec![Reading::whole(plan)], |places| places.readings(plan));
    let mut places_rows: Vec<_> = readings.into_iter().map(|reading| PlannedRows::new(reading, plan.skip)).collect();
    let mut feeder = Feeder {
        planner,
        earlier,
        sender: RowSender::new(rows),
        labels: (!is_seekable(plan)).then(Seen::default),
        warned: HashSet::new(),
        has_begun: HasBegun::No,
    };
    loop {
        let mut has_more = false;
        for planned_rows in &mut places_rows {
            match feeder.turn(planned_rows) {
                Ok(Turn::Sent) => has_more = true,
                Ok(Turn::Ended) => {}
                Ok(Turn::LoopGone) => return,
                Err(error) => {
                    // Sending fails only if the loop has ended, and then nobody needs the error.
                    feeder.sender.send(Incoming::Failed(error.to_string(), feeder.has_begun));
                    return;
                }
            }
        }
        if !has_more {
            break;
        }
    }
    feeder.sender.send_skipped();
}

struct Feeder<'a> {
    planner: &'a mut Planner,
    earlier: &'a Earlier,
    sender: RowSender<'a>,
    /// Hashes of the labels so far. They are only kept for an input that can't be surveyed, for example a pipe.
    labels: Option<Seen>,
    /// Warnings that were passed on. They are kept because the readers of all places give the same warnings.
    warned: HashSet<String>,
    has_begun: HasBegun,
}

/// How the turn of one place of the input ended.
enum Turn {
    /// A row to be sent was passed on.
    Sent,
    /// The place has no more rows.
    Ended,
    /// The loop has ended.
    LoopGone,
}

impl Feeder<'_> {
    /// Passes on rows, up to and including the next row to be sent.
    fn turn(&mut self, planned_rows: &mut PlannedRows<Reading>) -> Result<Turn, SourceError> {
        while let Some(Step { recognized, warnings, row, .. }) = planned_rows.next(self.planner, self.earlier)? {
            if let Some(text) = recognized
                && !self.sender.send(Incoming::Recognized(text))
            {
                return Ok(Turn::LoopGone);
            }
            for text in warnings {
                if self.warned.insert(text.clone()) && !self.sender.send(Incoming::Warning(text)) {
                    return Ok(Turn::LoopGone);
                }
            }
            let Some(row) = row else { continue };
            self.has_begun = HasBegun::Yes;
            let item = match row {
                // Here a repeated label is not a mistake: if several rows have the same name and the same request, all
                // of them are done.
                RowDecision::Done(named) => {
                    self.is_repeated(named.row, &named.identity);
                    None
                }
                RowDecision::Planned(_, planned, _) if self.is_repeated(planned.job.row, &planned.job.identity) => {
                    Some(repeated(planned))
                }
                RowDecision::Planned(_, planned, state) => {
                    by_state(planned, state, self.earlier).map(|item| stored_or_sent(item, self.earlier))
                }
                RowDecision::Rejected(rejected) => Some(Incoming::Rejected(rejected)),
                RowDecision::Broken(broken) => Some(Incoming::Broken(broken)),
            };
            let ends_turn = matches!(item, Some(Incoming::Planned(_)));
            let is_taken = match item {
                Some(item) => self.sender.send(item),
                None => self.sender.skip(),
            };
            match (is_taken, ends_turn) {
                (false, _) => return Ok(Turn::LoopGone),
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

/// Returns the item for a row that is passed to the loop; `None` if the row is skipped.
fn by_state(planned: Planned, state: RowState, earlier: &Earlier) -> Option<Incoming> {
    if let Some(message) = (earlier.refuse)(&planned) {
        return Some(rejected(planned, message));
    }
    match state {
        RowState::New => Some(Incoming::Planned(planned)),
        RowState::Done => None,
        RowState::Failed(_) => earlier.reruns_failed.then_some(Incoming::Planned(planned)),
        RowState::Changed { .. } if earlier.reruns_changed => Some(Incoming::Planned(planned)),
        RowState::Changed { .. } => {
            let message = "this row has an answer to another request; to run it again add --rerun-changed".to_owned();
            Some(rejected(planned, message))
        }
    }
}

/// If there is a stored answer for a row that would be sent, returns the item for a row with this answer.
fn stored_or_sent(item: Incoming, earlier: &Earlier) -> Incoming {
    let (Incoming::Planned(planned), Some(stored)) = (&item, &earlier.stored) else { return item };
    let Some(answer) = stored.answer(planned.job.key) else { return item };
    let Incoming::Planned(Planned { job, .. }) = item else { return item };
    Incoming::Reused(Box::new(Taken { job, answer, from: TakenFrom::EarlierResults }))
}

/// Rejects a row whose label was used before. The row's new label is its file and line. With the old label, the answer
/// of the other row would seem to be the answer of this row.
fn repeated(mut planned: Planned) -> Incoming {
    let Origin { source, line, .. } = &planned.job.origin;
    let place = format!("{source}:{line}");
    let label = std::mem::replace(&mut planned.job.custom_id, place);
    rejected(planned, format!("the id {} was used by an earlier row; ids must differ", quoted(&label)))
}

fn rejected(planned: Planned, message: String) -> Incoming {
    let Job { custom_id, key, identity, request, extra, origin, index, .. } = *planned.job;
    let class = ErrorClass::InvalidInput;
    Incoming::Rejected(Box::new(Rejected { custom_id, origin, index, key, identity, request, extra, class, message }))
}
