//! Steers a run in progress: changes settings, pauses, continues or ends the run.

use super::ledger::Ledger;
use super::orders::{Order, Steer};
use super::run::Run;
use crate::domain::{EventBody, HaltReason};
use crate::report::Reporter;
use crate::report::text::plural;
use crate::transport::Transport;

impl<T: Transport, L: Ledger, R: Reporter> Run<T, L, R> {
    /// Applies an order, reports it, and returns the result to the person who gave the order.
    pub(super) fn on_steer(&mut self, steer: Steer) {
        let Steer { order, by, message, applied } = steer;
        let is_paused = self.scheduler.is_paused();
        let is_idle = matches!((&order, is_paused), (Order::Pause, true) | (Order::Resume, false));
        let result = self.apply(order, message);
        if let Ok(message) = result.as_ref()
            && !is_idle
        {
            let max_cost = self.scheduler.max_cost();
            self.events.show(EventBody::Steered { by, message: message.clone(), max_cost });
        }
        applied.call(result);
    }

    /// Applies an order of a user to the run. Returns the settings that now apply, or the reason why the order is
    /// rejected.
    fn apply(&mut self, order: Order, message: String) -> Result<String, String> {
        let now = self.clock.now();
        let is_ending = self.scheduler.halted().is_some();
        let in_flight = self.scheduler.in_flight();
        match order {
            Order::Set(_) | Order::Pause | Order::Resume if is_ending => {
                Err("the run is already ending, so this has no effect".to_owned())
            }
            Order::Set(steering) => {
                self.scheduler.steer(*steering, now);
                Ok(message)
            }
            Order::Pause if self.scheduler.is_paused() => Ok("the run is already paused".to_owned()),
            Order::Pause => {
                self.set_paused(true);
                Ok(format!("paused: nothing is sent until the run is resumed{}", waited_for(in_flight)))
            }
            Order::Resume if !self.scheduler.is_paused() => Ok("the run is not paused".to_owned()),
            Order::Resume => {
                self.set_paused(false);
                Ok("resumed: the run sends requests again".to_owned())
            }
            Order::Drain => {
                self.scheduler.halt(HaltReason::Ctl { is_drain: true });
                Ok(format!("draining: no more rows are sent{}", waited_for(in_flight)))
            }
            Order::Stop => {
                self.scheduler.halt(HaltReason::Ctl { is_drain: false });
                self.abort();
                Ok(match in_flight {
                    0 => "stopping: nothing is in flight".to_owned(),
                    cut => format!("stopping: {} cut off", plural(cut as u64, "request is", "requests are")),
                })
            }
        }
    }

    fn set_paused(&mut self, is_paused: bool) {
        self.scheduler.set_paused(is_paused, self.clock.now());
        self.lane.iter_mut().for_each(|lane| lane.lane.set_paused(is_paused));
    }
}

/// Returns the last part of a sentence: which requests the run waits for.
fn waited_for(in_flight: usize) -> String {
    match in_flight {
        0 => String::new(),
        flying => format!("; {} in flight", plural(flying as u64, "request is", "requests are")),
    }
}
