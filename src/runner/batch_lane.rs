//! The batch lane (the part of a run that sends rows in batches) in the loop. This file passes rows and replies to the
//! batch lane, and makes the API calls that the lane wants.

use super::batch_calls::Reported;
use super::equal::EqualRows;
use super::ledger::Ledger;
use super::run::Run;
use super::run_lane::RunLane;
use crate::batches::{Route, Why};
use crate::clock::Instant;
use crate::domain::{AttemptRecord, ErrorClass, EventBody, HaltReason, JobId, Planned, Reason};
use crate::journal::DiskFailure;
use crate::report::Reporter;
use crate::transport::Transport;

impl<T: Transport, L: Ledger, R: Reporter> Run<T, L, R> {
    /// Passes a row to the batch lane (to send it in a batch) or to the scheduler (to send it online).
    pub(super) fn send_row(&mut self, planned: Planned) {
        let online = match &mut self.lane {
            Some(lane) => {
                let api = self.provider.batches();
                match api.and_then(|api| api.refused_in_batches(&planned.ask.request)) {
                    // Two kinds of rows are sent only online: rows that are run again, and rows whose parameters were
                    // replaced.
                    None if planned.ask.terms.is_online_only => {
                        lane.lane.pass_by(&planned.ask);
                        Some(planned)
                    }
                    refused => lane.lane.offer(planned, refused),
                }
            }
            None => Some(planned),
        };
        if let Some(planned) = online {
            self.scheduler.offer(planned, self.clock.now());
        }
    }

    /// Tells the batch lane about the end of a row that was sent online.
    pub(super) fn note_online_end(&mut self, job: JobId, answered: Option<&AttemptRecord>) {
        if let Some(lane) = &mut self.lane {
            let known = answered.iter().filter(|attempt| !attempt.usage.is_unknown);
            known.for_each(|attempt| lane.lane.learn(attempt.estimated_input, &attempt.usage));
            let noted = lane.lane.on_online_end(job, answered.is_some());
            self.check_lane(noted);
        }
    }

    /// Handles the end of a call to the Batches API.
    pub(super) fn on_came(&mut self, (came, workspace): Reported) {
        let now = self.clock.now();
        if let Some(lane) = &mut self.lane {
            let compared = workspace.map_or(Ok(()), |name| lane.lane.on_workspace(name, &mut self.scheduler));
            let handled = compared.and_then(|()| lane.lane.on_came(came, &mut self.scheduler, now));
            self.check_lane(handled);
        }
    }

    /// Does everything that the batch lane can do now. Returns when the lane must be called again; `None` if the lane
    /// has nothing more to do.
    pub(super) fn serve_lane(&mut self) -> Option<Instant> {
        self.lane.as_ref()?;
        let now = self.clock.now();
        if self.scheduler.halted().is_some() {
            self.stop_lane();
        }
        if self.scheduler.has_left_batches() {
            let left = self.leave_batches(now);
            self.check_lane(left);
        }
        if let Some(lane) = &mut self.lane {
            lane.lane.mind_deadline(&mut self.scheduler, now);
        }
        let is_busy = self.merge_rows(now);
        let served = self.send_again(now).and_then(|()| self.fill_chunks(now)).and_then(|()| self.make_calls(now));
        self.check_lane(served);
        self.show_lane(now);
        let lane = self.lane.as_ref()?;
        if let Some(limit) = lane.lane.used_up()
            && !self.scheduler.holds_rows()
        {
            self.scheduler.halt(HaltReason::Budget(limit.to_owned()));
            return Some(now);
        }
        match lane.lane.has_work() {
            true if is_busy => Some(now),
            true => Some(lane.lane.next_at()),
            false => None,
        }
    }

    /// If some rows are in batches and the run has nothing left to send online, records that the run waits for batches.
    pub(super) fn bind_to_batches(&mut self, now: Instant) {
        if self.lane.as_ref().is_some_and(|lane| lane.lane.has_work()) && !self.is_input_open {
            self.scheduler.bind(Reason::Batches, now);
        }
    }

    /// Adds rows that wait in the batch lane to chunks (each chunk becomes one batch).
    fn fill_chunks(&mut self, now: Instant) -> Result<(), DiskFailure> {
        let is_stalled = self.equal.as_ref().is_some_and(EqualRows::is_full);
        let Some(lane) = &mut self.lane else { return Ok(()) };
        if !self.is_input_open {
            lane.lane.on_input_end();
        }
        let is_at_end = !self.is_input_open || is_stalled;
        for planned in lane.lane.fill(&mut self.scheduler, is_at_end, now)? {
            self.scheduler.offer(planned, now);
        }
        Ok(())
    }

    fn make_calls(&mut self, now: Instant) -> Result<(), DiskFailure> {
        let Some(lane) = &mut self.lane else { return Ok(()) };
        while let Some(call) = lane.lane.next_call(now)? {
            lane.calls.start(call);
        }
        Ok(())
    }

    /// If a batch has ended without an answer for some rows, sends these rows again.
    fn send_again(&mut self, now: Instant) -> Result<(), DiskFailure> {
        loop {
            let has_room = self.scheduler.has_room();
            let Some(lane) = self.lane.as_mut().filter(|lane| lane.lane.wants_rows() && has_room) else {
                return Ok(());
            };
            let Some((row, why)) = lane.lane.next_reopened()? else { return Ok(()) };
            let route = lane.lane.route_of(&row, why);
            if lane.leaves_rows {
                self.finish.pending += 1;
                continue;
            }
            let planned = match (lane.replan)(row.job) {
                Ok(planned) => planned,
                Err(rejected) => {
                    self.write_rejected(&rejected);
                    continue;
                }
            };
            match route {
                Some(Route::Batch(tries)) => lane.lane.offer_again(planned, tries),
                Some(Route::Online) => self.scheduler.offer(planned, now),
                None => self.give_up_in_batches(planned, class_of(why), now),
            }
        }
    }

    /// Stops the batch lane after the run has halted. Rows of the lane that were not submitted stay pending.
    pub(super) fn stop_lane(&mut self) {
        let Some(lane) = self.lane.as_mut().filter(|lane| !lane.is_stopped) else { return };
        lane.is_stopped = true;
        let (kept, rows) = lane.lane.stop(&mut self.scheduler);
        self.finish.pending += rows;
        kept.into_iter().for_each(|planned| self.keep(planned));
    }

    /// Leaves the open batches to a later run. Rows that are not in a batch are sent online, to the next endpoint of
    /// the chain.
    fn leave_batches(&mut self, now: Instant) -> Result<(), DiskFailure> {
        let Some(lane) = self.lane.as_mut().filter(|lane| !lane.is_stopped) else { return Ok(()) };
        lane.is_stopped = true;
        let (mut planned, rows) = lane.lane.leave(&mut self.scheduler, now)?;
        if lane.leaves_rows {
            self.finish.pending += rows.len() as u64;
            return Ok(());
        }
        let mut rejected = Vec::new();
        for row in rows {
            match (lane.replan)(row.job) {
                Ok(row) => planned.push(row),
                Err(row) => rejected.push(row),
            }
        }
        rejected.iter().for_each(|row| self.write_rejected(row));
        planned.into_iter().for_each(|row| self.scheduler.offer(row, now));
        Ok(())
    }

    /// Halts the run if the batch lane could not use its files.
    pub(super) fn check_lane(&mut self, done: Result<(), DiskFailure>) {
        let Err(failure) = done else { return };
        self.scheduler.halt(HaltReason::Disk((&failure).into()));
        if let Some(lane) = &mut self.lane {
            lane.lane.give_up();
        }
    }

    /// Restores the batches of earlier runs and reserves the money for them. Decides whether the deadline is so near
    /// that the first rows must be sent online.
    pub(super) fn restore_batches(&mut self) {
        let Some(RunLane { lane, replan, .. }) = &mut self.lane else { return };
        self.scheduler.restore_batches(lane.restored_money());
        for number in lane.without_demand() {
            let first = lane.first_row(number);
            if let Some(planned) = first.and_then(|row| replan(row.job).ok()) {
                lane.note_demand(number, &planned.ask);
            }
        }
        lane.mind_deadline(&mut self.scheduler, self.clock.now());
    }

    /// Records at the end of the run which batches are still open.
    pub(super) fn note_batches(&mut self) {
        self.collect_synced();
        let Some(lane) = &self.lane else { return };
        self.finish.batches = lane.lane.left_open();
        [self.finish.ended_batches, self.finish.missing_batches] = lane.lane.left_at_rest();
        self.finish.pending += lane.lane.rows_to_send_again();
        self.finish.maybe_paid += lane.lane.lost_rows();
    }

    fn show_lane(&mut self, now: Instant) {
        let Some(lane) = &mut self.lane else { return };
        for event in lane.lane.take_events() {
            self.events.show_at(event, now);
        }
        let Some(lane) = &mut self.lane else { return };
        // Each status of the run also contains the state of the batches. The only purpose of the event below is to say
        // that there are no more batches.
        if lane.is_shown && lane.lane.status(now).is_none() {
            lane.is_shown = false;
            self.events.show_at(EventBody::Batches(None), now);
        }
    }

    /// Reports the state of the batches if there are open batches.
    pub(super) fn show_batches(&mut self, now: Instant) {
        let Some(lane) = &mut self.lane else { return };
        let Some(status) = lane.lane.status(now) else { return };
        lane.is_shown = true;
        self.events.show_at(EventBody::Batches(Some(status)), now);
    }
}

/// Returns the class of the failure of a row that no batch has answered.
fn class_of(why: Why) -> ErrorClass {
    match why {
        Why::Expired => ErrorClass::Expired,
        Why::Canceled => ErrorClass::Canceled,
        Why::Fault | Why::Lost | Why::Dissolved | Why::TooLarge => ErrorClass::Server,
    }
}
