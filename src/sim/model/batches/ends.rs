//! Changes batches as time passes: processes their requests, and ends them.

use crate::clock::Instant;

use super::super::state::{Event, Model};
use super::batch::{Batch, Counts, End};

/// How many requests of a batch are processed in one step.
const STEP: usize = 500;

impl Model {
    /// Processes a batch's requests that are due at `now`. If nothing is left to do, the batch ends; otherwise, its
    /// next step is planned.
    pub(in super::super) fn work_on_batch(&mut self, number: u64, now: Instant) {
        let Some(mut batch) = self.batches.take_open(number) else { return };
        match batch.canceled {
            Some((_, ends)) if now >= ends => self.end_batch(&mut batch, End::Canceled, now),
            Some(_) => {}
            None => self.go_on(number, &mut batch, now),
        }
        self.batches.put_back(number, batch);
    }

    fn go_on(&mut self, number: u64, batch: &mut Batch, now: Instant) {
        self.process_due(batch, now);
        let is_done = batch.done == batch.len() && batch.left_out == 0;
        if is_done || now >= batch.expires {
            return self.end_batch(batch, End::Expired, now);
        }
        let next = if batch.done < batch.len() {
            batch.moment((batch.done + STEP).min(batch.len()) - 1)
        } else {
            batch.expires
        };
        self.schedule(next.min(batch.expires), Event::Batch(number));
    }

    /// Cancels an open batch. Requests that are due at `now` are processed first.
    pub(super) fn cancel_batch(&mut self, number: u64, now: Instant) {
        let Some(mut batch) = self.batches.take_open(number) else { return };
        if batch.canceled.is_none() {
            self.process_due(&mut batch, now);
            let ends = (now + self.config.batches.cancel_time).min(batch.expires);
            batch.canceled = Some((now, ends));
            self.schedule(ends, Event::Batch(number));
        }
        self.batches.put_back(number, batch);
    }

    fn process_due(&mut self, batch: &mut Batch, now: Instant) {
        let due = batch.due(now.min(batch.expires));
        while batch.done < due {
            let row = batch.order[batch.done] as usize;
            let at = batch.moment(batch.done);
            self.process(batch, row, at);
            batch.done += 1;
        }
    }

    /// Ends a batch. `rest` is the outcome (canceled or expired) of the requests that were not processed.
    fn end_batch(&mut self, batch: &mut Batch, rest: End, now: Instant) {
        let mut counts = Counts::default();
        for row in &mut batch.rows.rows {
            if let End::Waiting = row.end {
                row.end = rest.clone();
            }
            match row.end {
                End::Waiting => counts.processing += 1,
                End::Succeeded(_) => counts.succeeded += 1,
                End::Errored(_) => counts.errored += 1,
                End::Canceled => counts.canceled += 1,
                End::Expired => counts.expired += 1,
            }
        }
        batch.done = batch.len();
        batch.ended = Some((now, counts));
        let books = &mut self.books.batches;
        books.ended += 1;
        books.canceled += counts.canceled;
        books.expired += counts.expired;
    }
}
