//! Changes settings during a run: limits, concurrency and budget. No row is lost when a setting changes.

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{Money, RateLimits};
use crate::limiter::Headroom;

use super::config::LimitsOf;
use super::endpoint::Window;
use super::state::Scheduler;

/// The settings that can be changed during a run.
pub struct Steering {
    /// The preset limits of each pool.
    pub limits_of: LimitsOf,
    /// The limits that the user gave by hand.
    pub by_hand: RateLimits,
    /// The share of each limit that is left unused.
    pub headroom: Headroom,
    /// The bounds of the concurrency window.
    pub window: Window,
    /// `--max-cost`: the limit on the total cost of all runs with the same results file.
    pub max_cost: Option<Money>,
    /// `--max-requests`: the limit for this run.
    pub max_requests: Option<u64>,
    /// `--max-time`: the limit for this run.
    pub max_time: Option<Duration>,
}

impl std::fmt::Debug for Steering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Steering").field("by_hand", &self.by_hand).field("window", &self.window).finish_non_exhaustive()
    }
}

impl Scheduler {
    /// Applies settings that were read again during a run.
    pub(crate) fn steer(&mut self, steering: Steering, now: Instant) {
        let Steering { limits_of, by_hand, headroom, window, max_cost, max_requests, max_time } = steering;
        let before = std::mem::replace(&mut self.config.limits_of, limits_of);
        let has_same_preset = |id| before(id) == (self.config.limits_of)(id);
        // Only settings that have changed are applied. If an unchanged limit were applied again, the scheduler would
        // forget what it has learned about this limit.
        if self.config.by_hand != by_hand || !self.pools.iter().all(|state| has_same_preset(state.pool.id())) {
            self.set_by_hand(by_hand, now);
        }
        if !self.config.window.has_bounds_of(&window) {
            self.set_window(&window);
        }
        self.set_headroom(headroom, now);
        self.set_budget(max_cost, max_requests, max_time);
    }

    /// Returns `--max-cost`.
    pub(crate) fn max_cost(&self) -> Option<Money> {
        self.config.budget.max_cost
    }

    /// Gives the limits `by_hand` to all pools, in place of the limits that the user set before. The new limits also
    /// apply to pools that get their first row later.
    ///
    /// The new limits apply from the next row that is sent. Requests in flight do not change. No limit is raised above
    /// the limit that the server last reported, and no hold (wait after a refusal) is shortened.
    fn set_by_hand(&mut self, by_hand: RateLimits, now: Instant) {
        self.config.by_hand = by_hand;
        for at in 0..self.pools.len() {
            let id = self.pools[at].pool.id();
            let (by_hand, preset) = (self.by_hand(id), (self.config.limits_of)(id));
            self.pools[at].pool.set_by_hand(by_hand, preset, now);
        }
    }

    /// Replaces the share of each limit that is left unused.
    fn set_headroom(&mut self, headroom: Headroom, now: Instant) {
        if self.config.headroom == headroom {
            return;
        }
        self.config.headroom = headroom;
        self.pools.iter_mut().for_each(|state| state.pool.set_headroom(headroom, now));
    }

    /// Replaces the bounds of the concurrency windows of all endpoints. A fixed size replaces the learned size. If the
    /// new size is not fixed, the learned size is kept, but is limited to the new largest size.
    ///
    /// If the window becomes smaller, nothing more is sent until enough requests have ended. No request in flight is
    /// canceled.
    fn set_window(&mut self, window: &Window) {
        self.config.window.adopt(window);
        self.endpoints.iter_mut().for_each(|endpoint| endpoint.window.adopt(window));
    }

    /// Replaces the user's limits on money, requests and time. The amounts that are spent or reserved do not change.
    fn set_budget(&mut self, max_cost: Option<Money>, max_requests: Option<u64>, max_time: Option<Duration>) {
        self.config.budget.set_limits(max_cost, max_requests, max_time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::tests::{answer, config, dispatched, scheduler_with};
    use crate::scheduler::{Step, Window};

    #[test]
    fn with_a_smaller_window_no_request_is_canceled_and_none_is_sent_until_enough_have_ended() {
        let mut scheduler = scheduler_with(50, config(RateLimits::NONE, 10));
        let tickets = dispatched(&mut scheduler, Instant::ZERO);
        assert_eq!(tickets.len(), 10);

        scheduler.set_window(&Window::fixed(4));

        for (ended, ticket) in tickets.into_iter().enumerate() {
            scheduler.on_end(ticket, answer(), Instant::from_secs(1));
            let sent = dispatched(&mut scheduler, Instant::from_secs(1)).len();
            assert_eq!(sent, usize::from(ended >= 6), "after {} ends", ended + 1);
        }
    }

    #[test]
    fn limits_changed_during_a_run_apply_from_the_next_row_on() {
        let mut scheduler = scheduler_with(500, config(RateLimits::NONE, 100));
        let first = dispatched(&mut scheduler, Instant::ZERO);
        assert_eq!(first.len(), 100);

        scheduler.set_by_hand(RateLimits { rpm: Some(60), ..RateLimits::NONE }, Instant::ZERO);
        first.into_iter().for_each(|ticket| drop(scheduler.on_end(ticket, answer(), Instant::ZERO)));

        assert!(dispatched(&mut scheduler, Instant::ZERO).len() <= 1);
        assert_eq!(scheduler.pools[0].pool.limits().rpm, Some(60));
        assert!(scheduler.take_events().is_empty(), "the API has not said anything about limits");
        scheduler.set_by_hand(RateLimits::NONE, Instant::from_secs(1));
        assert_eq!(dispatched(&mut scheduler, Instant::from_secs(1)).len(), 99);
    }

    #[test]
    fn a_smaller_share_of_the_limits_is_used_from_the_next_row_on() {
        let sent_in_a_minute = |headroom| {
            let limits = RateLimits { rpm: Some(600), ..RateLimits::NONE };
            let mut scheduler = scheduler_with(2_000, config(limits, 1_000));
            dispatched(&mut scheduler, Instant::ZERO);
            scheduler.set_headroom(headroom, Instant::ZERO);
            let tenths = (1..=600).map(|tenth| Instant::from_millis(tenth * 100));
            tenths.map(|now| dispatched(&mut scheduler, now).len()).sum::<usize>()
        };

        assert!((290..=310).contains(&sent_in_a_minute(Headroom::Fixed(0.5))), "half of 600 requests per minute");
        assert!((590..=610).contains(&sent_in_a_minute(Headroom::Fixed(0.0))));
    }

    #[test]
    fn a_run_that_waits_for_money_continues_when_the_budget_is_raised() {
        let mut config = config(RateLimits::NONE, 10);
        config.budget = crate::scheduler::Budget::new(Some(Money(1_500)), None, None, Money::ZERO);
        let mut scheduler = scheduler_with(50, config);
        assert_eq!(dispatched(&mut scheduler, Instant::ZERO).len(), 1);
        assert!(matches!(scheduler.poll(Instant::ZERO), Step::Wait { .. }));

        scheduler.set_budget(Some(Money(4_500)), None, None);

        assert_eq!(dispatched(&mut scheduler, Instant::ZERO).len(), 3);
    }
}
