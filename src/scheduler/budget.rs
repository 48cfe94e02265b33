//! The limits that the user sets for a whole run: money, requests and time.
//!
//! Before a request is sent, the highest possible cost of its answer is reserved ([`crate::domain::Ask::expense`]).
//! When the answer has come, its real cost replaces the reserved cost. In this way, the cost of the requests in flight
//! can't exceed the budget. If an attempt was possibly billed but no answer is kept, the whole reserved cost counts as
//! spent.

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::Money;

/// The user's limits, and the amount of each limit that is used up.
#[derive(Debug, Default)]
pub struct Budget {
    /// `--max-cost`: the limit on the total cost of all runs with the same results file.
    pub(super) max_cost: Option<Money>,
    /// `--max-requests`: the limit on the requests of this run.
    max_requests: Option<u64>,
    /// `--max-time`: the limit on the time of this run.
    max_time: Option<Duration>,
    /// The money spent by this run and by earlier runs with the same results file, including `unsure`.
    pub(super) spent: Money,
    /// The part of `spent` that is for attempts without a kept answer or without a known usage. Attempts without a kept
    /// answer were possibly billed.
    unsure: Money,
    reserved: Money,
    requests: u64,
}

/// Whether the budget has room for one more request.
#[derive(Debug, PartialEq, Eq)]
pub enum Room {
    /// The budget has room, and the highest cost of the request is now reserved.
    Yes,
    /// The budget has no room now. The budget can have room later, because a request in flight can cost less than was
    /// reserved for it.
    Later,
    /// The budget has no room. The text says which limit stops the request, and how much of the limit is left.
    Never(String),
}

impl Budget {
    /// Returns a budget with the limits of the user. The limit on money applies to the total cost of all runs with the
    /// same results file. `spent` is the money that all runs with this results file have already spent. The limits on
    /// requests and time apply only to this run.
    ///
    /// `spent` does not include attempts with lost answers: see [`Budget::with_unsure`].
    pub fn new(max_cost: Option<Money>, max_requests: Option<u64>, max_time: Option<Duration>, spent: Money) -> Self {
        Self { max_cost, max_requests, max_time, spent, ..Self::default() }
    }

    /// Adds the money that earlier runs possibly spent on attempts with lost answers.
    #[must_use]
    pub fn with_unsure(mut self, unsure: Money) -> Self {
        self.spent += unsure;
        self.unsure += unsure;
        self
    }

    /// Replaces the limits of the budget; the spent and the reserved money stay the same.
    pub(super) fn set_limits(
        &mut self,
        max_cost: Option<Money>,
        max_requests: Option<u64>,
        max_time: Option<Duration>,
    ) {
        (self.max_cost, self.max_requests, self.max_time) = (max_cost, max_requests, max_time);
    }

    /// Reserves one request that costs at most `worst`.
    pub fn reserve(&mut self, worst: Money) -> Room {
        if let Some(most) = self.max_requests
            && self.requests >= most
        {
            return Room::Never(format!("--max-requests {most} is used up"));
        }
        if let Some(most) = self.max_cost
            && !self.has_money(worst)
        {
            if self.reserved > Money::ZERO {
                return Room::Later;
            }
            let unsure = match self.unsure {
                Money::ZERO => String::new(),
                unsure => format!(
                    " ({unsure} is kept back for lost answers that may have been billed or answers of unknown cost)"
                ),
            };
            return Room::Never(format!(
                "--max-cost {most} leaves {}{unsure} and the next row can cost up to {worst}",
                most.less(self.spent)
            ));
        }
        self.reserved += worst;
        self.requests += 1;
        Room::Yes
    }

    /// Returns whether the budget has room now for a request that costs at most `worst`.
    pub(super) fn has_money(&self, worst: Money) -> bool {
        self.max_cost.is_none_or(|most| self.spent + self.reserved + worst <= most)
    }

    /// Returns whether the budget can have room for a request that costs at most `worst`: now, or after all reserved
    /// money has become free.
    pub(super) fn can_have_money(&self, worst: Money) -> bool {
        self.max_cost.is_none_or(|most| self.spent + worst <= most)
    }

    /// Reserves money for requests that earlier runs sent.
    pub(super) fn restore(&mut self, most: Money) {
        self.reserved += most;
    }

    /// Gives back what was reserved for requests that were not sent.
    pub(super) fn release(&mut self, reserved: Money, requests: u64) {
        self.reserved = self.reserved.less(reserved);
        self.requests = self.requests.saturating_sub(requests);
    }

    /// Returns the money that is reserved for requests in flight.
    pub(super) fn reserved(&self) -> Money {
        self.reserved
    }

    /// Settles a request: the amount `reserved` becomes free, and `cost` counts as spent.
    pub fn settle(&mut self, reserved: Money, cost: Money) {
        self.reserved = self.reserved.less(reserved);
        self.spent += cost;
    }

    /// Settles a request whose answer is lost or does not say what it used. The request was possibly billed, so all of
    /// `reserved` counts as spent.
    pub(super) fn settle_lost(&mut self, reserved: Money) {
        self.settle(reserved, reserved);
        self.unsure += reserved;
    }

    /// Returns a message if the run's time is over.
    pub(super) fn time_is_up(&self, now: Instant) -> Option<String> {
        let most = self.max_time.filter(|&most| now.since(Instant::ZERO) >= most)?;
        Some(format!("--max-time {most:?} is over"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_in_flight_can_not_exceed_the_budget() {
        let mut budget = Budget { max_cost: Some(Money(100)), ..Budget::default() };

        assert_eq!(budget.reserve(Money(60)), Room::Yes);
        assert_eq!(budget.reserve(Money(60)), Room::Later);
        budget.settle(Money(60), Money(10));
        assert_eq!(budget.reserve(Money(60)), Room::Yes);
        budget.settle(Money(60), Money(60));

        assert!(matches!(budget.reserve(Money(60)), Room::Never(_)));
        assert_eq!(budget.spent, Money(70));
    }

    #[test]
    fn the_limits_on_requests_and_time_end_a_run() {
        let mut budget = Budget { max_requests: Some(1), max_time: Some(Duration::from_secs(5)), ..Budget::default() };

        assert_eq!(budget.reserve(Money::ZERO), Room::Yes);

        assert!(matches!(budget.reserve(Money::ZERO), Room::Never(_)));
        assert!(budget.time_is_up(Instant::from_secs(4)).is_none());
        assert!(budget.time_is_up(Instant::from_secs(5)).is_some());
    }
}
