//! Rows that are sent in batches. The scheduler does not send these rows. But the scheduler includes these rows when it
//! counts money and failures.

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{Ask, ErrorClass, Failure, HaltReason, Lane, Money, PoolId, RateLimits, Terms, Usage};

use super::budget::Room;
use super::entry::Entry;
use super::fallback::case_of_halt;
use super::state::Scheduler;

impl Scheduler {
    /// Reserves the money for a row that is put into a batch, and counts the row as a request.
    pub(crate) fn reserve_in_batch(&mut self, most: Money) -> Room {
        self.config.budget.reserve(most)
    }

    /// Reserves money for batches that an earlier run submitted, even if the budget has no room for this amount.
    pub(crate) fn restore_batches(&mut self, most: Money) {
        self.config.budget.restore(most);
    }

    /// Gives back the reservations of rows whose batch was not submitted.
    pub(crate) fn release_in_batch(&mut self, reserved: Money, rows: u64) {
        self.config.budget.release(reserved, rows);
    }

    /// Settles a row of a batch: the amount `reserved` becomes free, and `cost` counts as spent.
    pub(crate) fn settle_in_batch(&mut self, reserved: Money, cost: Money) {
        self.config.budget.settle(reserved, cost);
    }

    /// Settles rows of a batch if their answers can't be fetched. Rows without a fetched answer were possibly billed,
    /// so `reserved` counts as spent.
    pub(crate) fn settle_lost_in_batch(&mut self, reserved: Money) {
        self.config.budget.settle_lost(reserved);
    }

    /// Returns the cost of an answer in a batch; `None` for a model without a price.
    pub(crate) fn cost_in_batch(&self, ask: &Ask, usage: &Usage) -> Option<Money> {
        if usage.is_unknown {
            return None;
        }
        let ask = Ask { terms: Terms { lane: Lane::Batch, ..ask.terms }, ..ask.clone() };
        (self.config.real_cost)(&ask, usage)
    }

    /// Returns whether online rows wait for money that is reserved for batches: nothing is in flight, and the budget
    /// has no room for the next row of any pool.
    pub(crate) fn waits_for_money_of_batches(&self) -> bool {
        let mut next = self.pools.iter().filter_map(|state| state.ready.front()).peekable();
        let most = |entry: &Entry| entry.planned.ask.expense.map_or(Money::ZERO, |expense| expense.most);
        self.in_flight() == 0 && next.peek().is_some() && next.all(|entry| !self.config.budget.has_money(most(entry)))
    }

    /// Records that a row failed in a batch. The `--halt` rule counts the failure.
    pub(crate) fn on_failure_in_batch(&mut self, class: ErrorClass, failure: &Failure) {
        if let Some(reason) = self.halt_watch.on_failure(class, failure) {
            self.halt(reason);
        }
    }

    /// After a failed call for batches, stops the endpoint of the batches or the whole run. All batches are at the
    /// first endpoint of the chain. If the chain can send the rows to the next endpoint after this failure, the first
    /// endpoint stops and the run continues. Otherwise, the whole run stops.
    pub(crate) fn halt_batches(&mut self, reason: HaltReason, now: Instant) {
        let leads_on = case_of_halt(&reason).is_some_and(|case| self.falls_back(case));
        match leads_on && self.next_endpoint(0).is_some() {
            true => self.halt_endpoint(0, reason, now),
            false => self.halt(reason),
        }
    }

    /// Returns whether the endpoint of the batches has stopped, but the run continues.
    pub(crate) fn has_left_batches(&self) -> bool {
        self.halted.is_none() && self.chain_len() > 0 && self.endpoints[0].halted.is_some()
    }

    /// Returns the known limits of a pool.
    pub(crate) fn expected_limits(&self, pool: &PoolId) -> RateLimits {
        match self.index.get(pool) {
            Some(at) => self.pools[*at].pool.limits(),
            None => self.by_hand(pool).or((self.config.limits_of)(pool)),
        }
    }

    /// Returns the requests of all rows that wait or are in flight.
    pub(crate) fn asks(&self) -> impl Iterator<Item = &Ask> {
        self.waiting_rows().chain(self.flights.rows()).map(|entry| &entry.planned.ask)
    }

    /// Returns how long the run waits for an endpoint that does not work.
    pub(crate) fn retry_for(&self) -> Duration {
        self.config.retry_for
    }
}

#[cfg(test)]
mod tests {
    use super::super::chain::tests::{chain, told};
    use super::*;
    use crate::domain::FallbackOn;

    #[test]
    fn when_batches_are_refused_only_the_first_endpoint_stops_if_a_chain_leads_on() {
        let key = || HaltReason::Key(Failure::default());
        let without_account = FallbackOn { account: false, ..FallbackOn::default() };
        for (on, reason, leads_on) in [
            (FallbackOn::default(), key(), true),
            (without_account, key(), false),
            (FallbackOn::default(), HaltReason::Batches(Failure::default()), false),
        ] {
            let mut scheduler = Scheduler::new(chain(&["one", "two"], on, 1));

            scheduler.halt_batches(reason, Instant::ZERO);

            assert_eq!((scheduler.has_left_batches(), scheduler.halted().is_none()), (leads_on, leads_on));
            assert_eq!(told(&mut scheduler).is_empty(), !leads_on);
        }
    }
}
