//! Passes planned rows from the input to the loop of the run.

use std::collections::HashSet;

use tokio::sync::mpsc;

use crate::domain::{ErrorClass, Identity, Job, Origin, Planned, PromptCache, RowId, Taken, TakenFrom, quoted};
use crate::journal::RowState;
use crate::plan::{Planner, Rejected, Seen};
use crate::source::{self, Input, InputIdentity, SourceError};

use super::group_order::GroupOrder;
use super::incoming::{HasBegun, Incoming};
use super::pipe::{self, Window};
use super::planned_rows::{PlannedRows, RowDecision, Step, step_of};
use super::reading::Reading;
use super::row_sender::RowSender;
use super::{Earlier, InputPlan, Places, is_seekable};

/// The order in which the rows of an input are read.
pub enum InputOrder<'a> {
    /// Rows are read in the order of the input.
    AsWritten,
    /// Rows are read in the order of the input, with a short delay. During this delay, the program finds prefixes that
    /// several rows share. If the input is a pipe, its rows are read in this order.
    AsItComes(PromptCache),
    /// Rows are read from several places of the input alternately.
    Places(&'a Places),
    /// Rows are read group by group: the rows with the same cached prefix are read one after the other.
    ByGroup {
        /// The planner, which finds the prefixes that get cache marks in each row.
        finder: &'a mut Planner,
        /// The number of rows, if it is known; otherwise 0.
        rows: u64,
    },
}

/// Reads rows and passes them to the loop, until the input ends or the loop ends. Call this function on a separate
/// thread.
pub fn feed(
    plan: &InputPlan,
    order: InputOrder<'_>,
    planner: &mut Planner,
    earlier: &Earlier,
    rows: &mpsc::Sender<Incoming>,
) {
    let mut feeder = Feeder {
        planner,
        earlier,
        sender: RowSender::new(rows),
        labels: (!is_seekable(plan)).then(Seen::default),
        warned: HashSet::new(),
        has_begun: HasBegun::No,
    };
    let fed = match order {
        InputOrder::AsWritten => feeder.feed_alternately(plan, vec![Reading::whole(plan)]),
        InputOrder::AsItComes(cache) => feeder.feed_as_it_comes(plan, cache),
        InputOrder::Places(places) => feeder.feed_alternately(plan, places.readings(plan)),
        InputOrder::ByGroup { finder, rows } => feeder.feed_by_group(plan, finder, rows),
    };
    match fed {
        Ok(Fed::All) => _ = feeder.sender.send_skipped(),
        Ok(Fed::LoopGone) => {}
        // Sending fails only if the loop has ended. If the loop has ended, nobody needs the error.
        Err(error) => _ = feeder.sender.send(Incoming::Failed(error.to_string(), feeder.has_begun)),
    }
}

struct Feeder<'a> {
    planner: &'a mut Planner,
    earlier: &'a Earlier,
    sender: RowSender<'a>,
    /// The hashes of the labels of all rows so far. The hashes are kept only for an input that can't be surveyed (read
    /// twice), for example a pipe.
    labels: Option<Seen>,
    /// The warnings that were already passed to the loop. The readers of all places of the input give the same
    /// warnings, and this set prevents repeats.
    warned: HashSet<String>,
    has_begun: HasBegun,
}

/// The reason why no more rows are passed to the loop.
enum Fed {
    /// All rows were passed to the loop.
    All,
    /// The loop of the run has ended.
    LoopGone,
}

/// The reason why reading at one place of the input has stopped. At each place, reading stops as soon as there is a row
/// that must be sent.
enum Turn {
    /// A row that must be sent was passed to the loop.
    Sent,
    /// No more rows follow at this place of the input.
    Ended,
    /// The loop of the run has ended.
    LoopGone,
}

impl Feeder<'_> {
    /// Passes the rows of several readings to the loop. Takes one row from each reading in turn.
    fn feed_alternately(&mut self, plan: &InputPlan, readings: Vec<Reading>) -> Result<Fed, SourceError> {
        let mut all: Vec<_> = readings.into_iter().map(|reading| PlannedRows::new(reading, plan.skip)).collect();
        loop {
            let mut has_more = false;
            for planned_rows in &mut all {
                match self.turn(planned_rows)? {
                    Turn::Sent => has_more = true,
                    Turn::Ended => {}
                    Turn::LoopGone => return Ok(Fed::LoopGone),
                }
            }
            if !has_more {
                return Ok(Fed::All);
            }
        }
    }

    /// Passes all rows to the loop, one group after another.
    fn feed_by_group(&mut self, plan: &InputPlan, finder: &mut Planner, rows: u64) -> Result<Fed, SourceError> {
        let identities = || plan.inputs.iter().map(identity_of);
        let before: Vec<_> = identities().collect();
        let order = GroupOrder::find(plan, finder, self.earlier, rows)?;
        for _ in 0..order.done {
            if !self.sender.skip() {
                return Ok(Fed::LoopGone);
            }
        }
        for (reading, rows) in order.readings(plan) {
            let mut planned_rows = PlannedRows::new(reading.take_rows(rows), plan.skip);
            while let Turn::Sent = match self.turn(&mut planned_rows)? {
                Turn::LoopGone => return Ok(Fed::LoopGone),
                turn => turn,
            } {}
        }
        // The file is opened again for each part. Without this comparison, a change of the file between two parts would
        // not be found.
        let inputs = plan.inputs.iter().zip(before.into_iter().zip(identities()));
        for (input, _) in inputs.filter(|(_, (before, after))| before != after) {
            let text = format!(
                "{}: the file changed while its rows were read in another order; rows may be missing or answered twice",
                input.name()
            );
            self.pass(Incoming::Warning(text));
        }
        order.damage.map_or(Ok(Fed::All), Err)
    }

    /// Passes the rows of a pipe to the loop.
    fn feed_as_it_comes(&mut self, plan: &InputPlan, cache: PromptCache) -> Result<Fed, SourceError> {
        let Ok(reads) = pipe::read_on_a_thread(Reading::whole(plan)) else {
            return self.feed_alternately(plan, vec![Reading::whole(plan)]);
        };
        let mut window = Window::new(cache, self.earlier.in_batches);
        loop {
            let read = pipe::next(&reads, &mut window);
            let (mut all, mut is_over, mut failed) = (false, false, None);
            match read {
                Ok(Some(Ok(read))) => {
                    let Some(step) = step_of(read, plan.skip, self.planner, self.earlier) else { continue };
                    self.items_of(step).for_each(|item| window.push(item));
                }
                Ok(Some(Err(error))) => (all, failed) = (true, Some(error)),
                Ok(None) => (all, is_over) = (true, true),
                Err(()) => all = true,
            }
            while let Some(item) = window.pop(all) {
                if !self.pass(item) {
                    return Ok(Fed::LoopGone);
                }
            }
            match failed {
                Some(error) => return Err(error),
                None if is_over => return Ok(Fed::All),
                None => {}
            }
        }
    }

    /// Passes rows to the loop, up to and including the next row to be sent.
    fn turn(&mut self, planned_rows: &mut PlannedRows<Reading>) -> Result<Turn, SourceError> {
        while let Some(step) = planned_rows.next(self.planner, self.earlier)? {
            for item in self.items_of(step) {
                let ends_turn = matches!(item, Incoming::Planned(_) | Incoming::Rerun(_));
                match (self.pass(item), ends_turn) {
                    (false, _) => return Ok(Turn::LoopGone),
                    (true, true) => return Ok(Turn::Sent),
                    (true, false) => {}
                }
            }
        }
        Ok(Turn::Ended)
    }

    /// Passes an item to the loop of the run. Returns `false` if the loop no longer receives items.
    fn pass(&mut self, item: Incoming) -> bool {
        match item {
            Incoming::Skipped(_) => self.sender.skip(),
            item => self.sender.send(item),
        }
    }

    /// Returns the items for a row: first the messages about the row, and then the row itself.
    fn items_of(&mut self, step: Step) -> impl Iterator<Item = Incoming> + use<> {
        let Step { recognized, warnings, row, .. } = step;
        let mut told: Vec<Incoming> = recognized.map(Incoming::Recognized).into_iter().collect();
        for text in warnings {
            if self.warned.insert(text.clone()) {
                told.push(Incoming::Warning(text));
            }
        }
        let row = row.map(|row| {
            self.has_begun = HasBegun::Yes;
            self.item_of(row).unwrap_or(Incoming::Skipped(1))
        });
        told.into_iter().chain(row)
    }

    /// Returns the item for a row; `None` if the row is skipped.
    fn item_of(&mut self, row: RowDecision) -> Option<Incoming> {
        match row {
            // If a row is done, its repeated label is not a mistake. If a row is done, all rows with the same name and
            // request are done.
            RowDecision::Done(named) => {
                self.is_repeated(named.row, &named.identity);
                None
            }
            RowDecision::Submitted(named) => Some(Incoming::Submitted(named.key)),
            RowDecision::Planned(_, planned, _) if self.is_repeated(planned.job.row, &planned.job.identity) => {
                Some(repeated(planned))
            }
            RowDecision::Planned(_, planned, state) => {
                by_state(planned, state, self.earlier).map(|item| stored_or_sent(item, self.earlier))
            }
            RowDecision::Rejected(rejected) => Some(Incoming::Rejected(rejected)),
            RowDecision::Broken(broken) => Some(Incoming::Broken(broken)),
        }
    }

    fn is_repeated(&mut self, row: RowId, identity: &Identity) -> bool {
        let is_new = |seen: &mut Seen| seen.insert(row.label);
        *identity == Identity::Named && !self.labels.as_mut().is_none_or(is_new)
    }
}

/// Returns the identity of an input file; `None` if the input is not a file or can't be read.
fn identity_of(input: &Input) -> Option<InputIdentity> {
    match input {
        Input::File(path) => source::identity(path).ok(),
        _ => None,
    }
}

/// Returns the item for a row that is passed to the loop; `None` if the row is skipped.
fn by_state(planned: Planned, state: RowState, earlier: &Earlier) -> Option<Incoming> {
    if let Some(message) = (earlier.refuse)(&planned) {
        return Some(rejected(planned, message));
    }
    match state {
        RowState::New => Some(Incoming::Planned(planned)),
        RowState::Rerun(_) => Some(Incoming::Rerun(planned)),
        RowState::Done | RowState::Submitted => None,
        RowState::Failed(_) => earlier.reruns_failed.then_some(Incoming::Planned(planned)),
        RowState::Changed { .. } if earlier.reruns_changed => Some(Incoming::Planned(planned)),
        RowState::Changed { .. } => {
            let message = "this row has an answer to another request; to run it again add --rerun-changed".to_owned();
            Some(rejected(planned, message))
        }
    }
}

/// Returns the item for a row to be sent. If the policy accepts a stored answer for the row, the item takes this
/// answer.
fn stored_or_sent(item: Incoming, earlier: &Earlier) -> Incoming {
    let Incoming::Planned(planned) = &item else { return item };
    let Some(answer) = earlier.answer_for(planned) else { return item };
    let Incoming::Planned(Planned { job, .. }) = item else { return item };
    Incoming::Reused(Box::new(Taken { job, answer, from: TakenFrom::EarlierResults }))
}

/// Rejects a row whose label was already used by an earlier row. The row gets a label that consists of its file and
/// line. If the row kept its label, the answer to the earlier row would look like the answer to this row.
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
