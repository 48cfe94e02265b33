//! Handles rows that come from the input.

use tokio::sync::mpsc;

use super::input::{HasBegun, Incoming};
use super::ledger::Ledger;
use super::run::Run;
use crate::domain::{ErrorClass, EventBody, FailedRow, Money, Usage};
use crate::plan::Rejected;
use crate::report::Reporter;
use crate::transport::Transport;

impl<T: Transport, L: Ledger, R: Reporter> Run<T, L, R> {
    /// Returns whether the loop wants more rows now.
    pub(super) fn wants_rows(&self) -> bool {
        let has_room = self.equal.as_ref().is_none_or(|equal| !equal.is_full());
        let lane_has_room = self.lane.as_ref().is_none_or(|lane| lane.lane.wants_rows());
        self.is_input_open && has_room && lane_has_room && self.scheduler.wants() > 0 && !self.is_backed_up()
    }

    /// Moves rows from the channel to the scheduler as long as the loop wants rows. After that, lets waiting rows copy
    /// the answers of equal rows.
    pub(super) fn take_rows(&mut self, feed: &mut mpsc::Receiver<Incoming>) {
        while self.wants_rows() {
            match feed.try_recv() {
                Ok(item) => self.on_incoming(Some(item)),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => self.on_incoming(None),
            }
        }
        self.serve_equal_rows();
    }

    /// Handles an item of the input; `None` at the end of the input.
    pub(super) fn on_incoming(&mut self, item: Option<Incoming>) {
        match item {
            Some(Incoming::Planned(planned)) => self.offer(planned),
            Some(Incoming::Rerun(planned)) => self.offer_rerun(planned),
            Some(Incoming::Reused(taken)) => self.write_taken(*taken),
            Some(Incoming::Rejected(rejected)) => self.write_rejected(&rejected),
            Some(Incoming::Broken(broken)) => {
                let place = || format!("{}:{}", broken.origin.source, broken.origin.line);
                let label = broken.custom_id.clone().unwrap_or_else(place);
                let seq = self.unsynced.push(unsent(ErrorClass::InvalidInput, &label, &broken.message));
                self.ledger.write_broken(seq, &broken);
            }
            Some(Incoming::Skipped(rows)) => (0..rows).for_each(|_| self.events.show(EventBody::Skipped)),
            // The batch lane (which collects batches) already has this row. The end of the row is reported in the same
            // way as the end of every other row.
            Some(Incoming::Submitted(key)) => self.equal.iter_mut().for_each(|equal| equal.note_leader(key)),
            Some(Incoming::Recognized(text)) => self.events.show(EventBody::Noted(text)),
            Some(Incoming::Warning(text)) => self.events.show(EventBody::Warned(text)),
            Some(Incoming::Failed(message, has_begun)) => {
                // The reason why the input failed is shown only once, in the summary at the end of the run. Users see
                // the reason in the summary even if they have turned warnings off.
                if has_begun == HasBegun::Yes {
                    let text = "the input broke off: the run finishes the rows that were read before".to_owned();
                    self.events.show(EventBody::Warned(text));
                }
                self.events.show(EventBody::InputBroke);
                self.finish.input_error = Some(message);
                self.end_input();
            }
            None => self.end_input(),
        }
    }

    pub(super) fn write_rejected(&mut self, rejected: &Rejected) {
        let seq = self.unsynced.push(unsent(rejected.class, &rejected.custom_id, &rejected.message));
        self.ledger.write_rejected(seq, rejected);
    }

    fn end_input(&mut self) {
        self.is_input_open = false;
        self.scheduler.close_input();
    }
}

/// Returns the event of a row that failed without being sent.
fn unsent(class: ErrorClass, label: &str, message: &str) -> EventBody {
    let row = Box::new(FailedRow::new(label, None, message, false));
    EventBody::Failed { class, row, usage: Usage::default(), cost: Some(Money::ZERO), without_cache: None }
}
