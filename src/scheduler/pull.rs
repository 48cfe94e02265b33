//! Lets the next endpoint of a chain take rows from a closed pool or a closed endpoint.
//!
//! In a chain, a pool is closed if the first row in its queue would wait longer than the user allows. An endpoint is
//! closed while it fails. The rows of a closed pool stay in its queue. The next endpoint takes the rows from this queue
//! one at a time, and only if it can send them soon. So the next endpoint never takes more rows than it can send. When
//! a closed endpoint opens again, its own queues still contain rows.
//!
//! A closed pool stays closed until it sends its next row, even if only a short part of its wait is left. If the pool
//! opened earlier, the next endpoint would have nothing to send during the rest of the wait.
//!
//! A hold (the wait of a pool after a refusal) can be longer than `--retry-for`. In this case, rows that no other
//! endpoint accepts are left for a later run.

use crate::clock::Instant;
use crate::domain::{Ask, FallbackCase, HaltReason};

use super::entry::Entry;
use super::state::Scheduler;

/// At most this many rows of a queue are checked to find a row that another endpoint accepts.
const REACH: usize = 1024;

/// Whether an endpoint can take a row from another endpoint.
enum Takes {
    /// The endpoint can take the row now.
    Now,
    /// The endpoint can take the row soon. The caller must ask this endpoint again no later than this instant.
    Soon(Instant),
    /// The endpoint can't take the row, because this endpoint is closed too. From this instant on, the endpoint may be
    /// able to take the row.
    Closed(Instant),
}

/// The result of a search for an endpoint that takes a row.
enum Taker {
    /// The endpoint of this request takes the row now.
    Of(Box<Ask>),
    /// An endpoint can perhaps take the row later.
    Later,
    /// No endpoint accepts the row. The text is the reason, if a reason is known.
    Never(Option<String>),
}

impl Scheduler {
    /// Records that the first row of a pool has to wait. `is_held` says whether the row waits for the end of a hold
    /// (the pool's wait after a refusal).
    pub(super) fn note_wait(&mut self, pool: usize, until: Instant, is_held: bool, now: Instant) {
        let Some(longest) = self.longest_wait() else { return };
        let state = &mut self.pools[pool];
        let since = if is_held { state.held_since.unwrap_or(now) } else { now };
        if state.closed_until.is_some() {
            state.closed_until = Some(until);
        } else if until.since(since) > longest {
            state.closed_until = Some(until);
            self.has_closed = true;
        }
    }

    /// Moves rows from closed pools and endpoints to other endpoints of the chain. From each pool, at most one row is
    /// taken.
    pub(super) fn pull(&mut self, now: Instant) {
        self.end_detours(now);
        for turn in 0..self.pools.len() {
            let pool = (self.next_pool + turn) % self.pools.len();
            if let Some(case) = self.closed(pool, now).filter(|_| !self.pools[pool].ready.is_empty()) {
                self.pull_from(pool, case, now);
            }
        }
    }

    /// If the pool is closed, returns why its rows are sent to another endpoint. If the pool is not closed, returns
    /// `None`.
    fn closed(&self, pool: usize, now: Instant) -> Option<FallbackCase> {
        let state = &self.pools[pool];
        if state.closed_until.is_some_and(|until| until > now) {
            return Some(FallbackCase::Limit);
        }
        let endpoint = &self.endpoints[state.endpoint];
        if !endpoint.health.is_failing() {
            return None;
        }
        let is_overload = endpoint.last_fault.status == Some(529);
        let cases = match is_overload {
            true => [FallbackCase::Overload, FallbackCase::Endpoint],
            false => [FallbackCase::Endpoint, FallbackCase::Overload],
        };
        cases.into_iter().find(|case| self.falls_back(*case))
    }

    fn pull_from(&mut self, pool: usize, case: FallbackCase, now: Instant) {
        let from = self.pools[pool].endpoint;
        let (wait, allowed) = (self.pools[pool].pool.held_until().since(now), self.config.retry_for);
        let too_long = (wait > allowed).then_some(HaltReason::RetryAfter { wait, allowed });
        if let (Some(reason), None) = (&too_long, self.next_endpoint(from)) {
            return self.halt_endpoint(from, reason.clone(), now);
        }
        while let Some(place) = self.movable(pool) {
            let why = match self.taker(pool, place, now) {
                Taker::Of(ask) => return self.pull_row(pool, place, *ask, case, now),
                Taker::Later => return,
                Taker::Never(why) => why,
            };
            why.into_iter().for_each(|why| self.tell_stay(&why));
            if too_long.is_none() {
                self.pools[pool].ready[place].must_stay = true;
                continue;
            }
            self.left_because.clone_from(&too_long);
            let entry = self.take_at(pool, place);
            self.put_aside_and_give_up_lead(entry, now);
        }
    }

    /// Looks for an endpoint that takes a waiting row now, and returns the row's request for that endpoint.
    fn taker(&mut self, pool: usize, place: usize, now: Instant) -> Taker {
        let from = self.pools[pool].endpoint;
        // If the input has more rows and the other endpoint is not idle, a failing endpoint keeps one row for its next
        // probe.
        let is_last = self.pools[pool].ready.len() == 1;
        let is_kept = is_last && self.endpoints[from].health.is_failing() && !self.is_input_closed;
        let (mut why, mut is_any_closed) = (None, false);
        for to in from + 1..self.chain_len() {
            if self.endpoints[to].halted.is_some() {
                continue;
            }
            match self.takes(to, pool, now) {
                Takes::Now if is_kept && self.endpoints[to].in_flight > 0 => return Taker::Later,
                Takes::Now => {}
                Takes::Soon(at) => {
                    self.pull_again(at, now);
                    return Taker::Later;
                }
                Takes::Closed(at) => {
                    self.pull_again(at, now);
                    is_any_closed = true;
                    continue;
                }
            }
            match self.ask_at(&self.pools[pool].ready[place].planned.job, to) {
                Ok(ask) => return Taker::Of(ask),
                Err(words) => why = Some(words),
            }
        }
        if is_any_closed { Taker::Later } else { Taker::Never(why) }
    }

    /// Returns a position in a queue: the position of the first row that is allowed to move to another endpoint.
    fn movable(&self, pool: usize) -> Option<usize> {
        self.pools[pool].ready.iter().take(REACH).position(|entry| !entry.must_stay)
    }

    /// Returns whether an endpoint can take a row of a pool now.
    fn takes(&mut self, to: usize, pool: usize, now: Instant) -> Takes {
        let endpoint = &self.endpoints[to];
        if endpoint.health.is_failing() {
            // If a failing endpoint had no row, it would never be probed (tested).
            let has_later = || self.later.rows().any(|entry| endpoint.id.is_of(entry));
            if endpoint.in_flight > 0 || endpoint.ready > 0 || has_later() {
                return Takes::Closed(Instant::NEVER);
            }
            if endpoint.health.probe_at() > now {
                return Takes::Closed(endpoint.health.probe_at());
            }
        }
        if let Some(state) = self.pools[pool].goes_to.iter().map(|at| &self.pools[*at]).find(|at| at.endpoint == to) {
            if let Some(until) = state.closed_until.filter(|until| *until > now) {
                return Takes::Closed(until);
            }
            if state.pool.held_until() > now {
                return Takes::Soon(state.pool.held_until());
            }
            if !state.ready.is_empty() {
                return Takes::Soon(Instant::NEVER);
            }
        }
        let its = endpoint.in_flight + endpoint.ready + self.gates.waiting_at(to);
        if its < endpoint.window.size() {
            return Takes::Now;
        }
        // The endpoint could take more rows if its window were larger, so the window is allowed to grow.
        self.endpoints[to].window.on_full();
        Takes::Soon(Instant::NEVER)
    }

    fn pull_again(&mut self, at: Instant, now: Instant) {
        if at > now {
            self.pull_at = self.pull_at.min(at);
        }
    }

    /// Removes and returns the row at a position in a pool's queue.
    fn take_at(&mut self, pool: usize, place: usize) -> Box<Entry> {
        let state = &mut self.pools[pool];
        if place == 0 {
            state.passing = None;
        }
        self.endpoints[state.endpoint].ready -= 1;
        state.ready.remove(place).expect("the queue has a row at this place")
    }

    /// Moves a waiting row to the endpoint of the request `ask`.
    fn pull_row(&mut self, pool: usize, place: usize, ask: Ask, case: FallbackCase, now: Instant) {
        let entry = self.take_at(pool, place);
        let from = self.pools[pool].endpoint;
        self.note_detour(from, &ask.pool.provider, case, now);
        let target = ask.pool.clone();
        let entry = self.renewed(entry, ask, now);
        self.queue_last(entry, now);
        let Some(target) = self.index.get(&*target).copied() else { return };
        let is_other = |at: &usize| self.pools[*at].endpoint != self.pools[target].endpoint;
        let mut goes_to: Vec<usize> = self.pools[pool].goes_to.iter().copied().filter(is_other).collect();
        goes_to.push(target);
        self.pools[pool].goes_to = goes_to;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::chain::tests::{chain, of, sent, told};
    use super::super::tests::{answer, config, dispatched, limited};
    use super::super::{Config, Scheduler, Step, Ticket};
    use super::*;
    use crate::domain::{ErrorClass, Failure, FallbackOn, PoolId, RateLimits, Verdict};

    fn scheduler(config: Config, rows: usize) -> Scheduler {
        let mut scheduler = Scheduler::new(config);
        (0..rows).for_each(|row| scheduler.offer(of(&row.to_string(), "one"), Instant::ZERO));
        scheduler
    }

    fn two(window: usize) -> Config {
        chain(&["one", "two"], FallbackOn::default(), window)
    }

    fn providers(scheduler: &Scheduler, tickets: &[Ticket]) -> Vec<String> {
        sent(scheduler, tickets).into_iter().map(|(_, provider)| provider).collect()
    }

    fn down() -> Verdict {
        let failure = Failure { status: Some(503), ..Failure::default() };
        Verdict::Transient { class: ErrorClass::Server, retry_after: None, maybe_paid: false, failure }
    }

    #[test]
    fn while_a_pool_is_held_for_long_the_next_endpoint_takes_only_what_it_can_send() {
        let mut scheduler = scheduler(two(2), 9);
        let first = dispatched(&mut scheduler, Instant::ZERO);
        first.iter().for_each(|ticket| drop(scheduler.on_end(*ticket, limited(Some(600)), Instant::ZERO)));

        let taken = dispatched(&mut scheduler, Instant::ZERO);

        assert_eq!(providers(&scheduler, &taken), ["two", "two"]);
        assert_eq!(scheduler.pools[0].ready.len(), 7, "the others wait where they are");
        assert_eq!(told(&mut scheduler), ["one > two: limit"]);
    }

    #[test]
    fn the_rest_of_a_long_hold_is_used_and_then_the_endpoint_has_its_own_rows_again() {
        let mut scheduler = scheduler(two(2), 12);
        let first = dispatched(&mut scheduler, Instant::ZERO);
        first.iter().for_each(|ticket| drop(scheduler.on_end(*ticket, limited(Some(600)), Instant::ZERO)));
        let end = |scheduler: &mut Scheduler, tickets: Vec<Ticket>, now| {
            tickets.into_iter().for_each(|ticket| drop(scheduler.on_end(ticket, answer(), now)));
        };
        let early = dispatched(&mut scheduler, Instant::ZERO);
        let late = Instant::from_secs(599);
        end(&mut scheduler, early, late);
        let in_the_last_second = dispatched(&mut scheduler, late);
        assert_eq!(providers(&scheduler, &in_the_last_second), ["two", "two"]);

        let after = Instant::from_secs(610);
        end(&mut scheduler, in_the_last_second, after);
        let back = dispatched(&mut scheduler, after);

        assert_eq!(providers(&scheduler, &back), ["one", "one"], "the other endpoint takes no more rows");
        drop(dispatched(&mut scheduler, after));
        assert_eq!(told(&mut scheduler), ["one > two: limit", "back to one"]);
    }

    #[test]
    fn the_window_of_the_endpoint_that_takes_rows_grows() {
        let window = super::super::Window::auto(1_000);
        let mut scheduler = scheduler(Config { window, ..two(1) }, 2_000);
        let first = dispatched(&mut scheduler, Instant::ZERO);
        first.iter().for_each(|ticket| drop(scheduler.on_end(*ticket, limited(Some(600)), Instant::ZERO)));
        let mut most = 0;

        for second in 0..20 {
            let now = Instant::from_secs(second);
            let taken = dispatched(&mut scheduler, now);
            most = most.max(taken.len());
            let end = now + Duration::from_millis(900);
            taken.into_iter().for_each(|ticket| drop(scheduler.on_end(ticket, answer(), end)));
        }

        assert!(most >= 4 * first.len(), "{most} in flight at most, {} at the start", first.len());
    }

    #[test]
    fn a_short_hold_moves_no_row() {
        let mut scheduler = scheduler(two(1), 3);
        let first = dispatched(&mut scheduler, Instant::ZERO)[0];

        drop(scheduler.on_end(first, limited(Some(290)), Instant::ZERO));

        assert_eq!(dispatched(&mut scheduler, Instant::from_secs(289)), []);
        let next = dispatched(&mut scheduler, Instant::from_secs(310));
        assert_eq!(providers(&scheduler, &next), ["one"]);
    }

    #[test]
    fn short_holds_without_an_answer_between_them_are_one_long_hold() {
        let mut scheduler = scheduler(two(1), 3);
        let mut now = Instant::ZERO;
        for _ in 0..2 {
            let ticket = dispatched(&mut scheduler, now)[0];
            assert_eq!(providers(&scheduler, &[ticket]), ["one"]);
            drop(scheduler.on_end(ticket, limited(Some(200)), now));
            now = now + Duration::from_secs(210);
        }
        let now = Instant::from_secs(211);

        let taken = dispatched(&mut scheduler, now);

        assert_eq!(providers(&scheduler, &taken), ["two"]);
    }

    #[test]
    fn a_wait_beyond_retry_for_does_not_halt_the_first_endpoint_of_a_chain() {
        let mut scheduler = scheduler(two(1), 3);
        let first = dispatched(&mut scheduler, Instant::ZERO)[0];

        drop(scheduler.on_end(first, limited(Some(7_200)), Instant::ZERO));
        let taken = dispatched(&mut scheduler, Instant::ZERO);
        drop(scheduler.on_end(taken[0], answer(), Instant::ZERO));
        let second = dispatched(&mut scheduler, Instant::ZERO)[0];
        drop(scheduler.on_end(second, answer(), Instant::from_secs(7_300)));

        assert_eq!(scheduler.halted(), None);
        let last = dispatched(&mut scheduler, Instant::from_secs(7_300));
        assert_eq!(providers(&scheduler, &last), ["one"], "it is tried again");
    }

    #[test]
    fn a_row_that_needs_more_than_the_limit_gives_in_that_time_moves() {
        let tiny = RateLimits { itpm: Some(10), ..RateLimits::NONE };
        let limits_of = move |pool: &PoolId| if &*pool.provider == "one" { tiny } else { RateLimits::NONE };
        let mut scheduler = scheduler(Config { limits_of: Box::new(limits_of), ..two(4) }, 3);

        let all = dispatched(&mut scheduler, Instant::ZERO);

        assert_eq!(providers(&scheduler, &all), ["one", "two", "two"], "each row needs ten minutes at the first");
    }

    #[test]
    fn a_failing_endpoint_keeps_one_row_for_its_probe_while_more_rows_come() {
        for is_closed in [false, true] {
            let mut scheduler = scheduler(two(8), 12);
            if is_closed {
                scheduler.close_input();
            }
            let first = dispatched(&mut scheduler, Instant::ZERO);
            first.iter().for_each(|ticket| drop(scheduler.on_end(*ticket, down(), Instant::ZERO)));

            let taken = dispatched(&mut scheduler, Instant::ZERO);

            assert!(scheduler.endpoints[0].health.is_failing());
            assert_eq!(providers(&scheduler, &taken), vec!["two"; if is_closed { 4 } else { 3 }]);
            assert_eq!(told(&mut scheduler), ["one > two: endpoint"]);
        }
    }

    #[test]
    fn a_row_that_no_endpoint_takes_does_not_wait_longer_than_retry_for() {
        let mut scheduler = Scheduler::new(two(1));
        ["a", "bound", "b"].iter().for_each(|label| scheduler.offer(of(label, "one"), Instant::ZERO));
        scheduler.close_input();
        let first = dispatched(&mut scheduler, Instant::ZERO)[0];
        drop(scheduler.on_end(first, limited(Some(7_200)), Instant::ZERO));

        while let [ticket] = dispatched(&mut scheduler, Instant::ZERO)[..] {
            drop(scheduler.on_end(ticket, answer(), Instant::ZERO));
        }

        assert!(matches!(scheduler.poll(Instant::ZERO), Step::Drained));
        assert!(matches!(scheduler.halted(), Some(HaltReason::RetryAfter { .. })), "{:?}", scheduler.halted());
        assert_eq!((scheduler.take_set_aside().len(), scheduler.row_bytes), (1, 0));
    }

    #[test]
    fn an_endpoint_that_is_held_beyond_retry_for_halts_when_no_other_is_left() {
        let mut scheduler = scheduler(two(1), 3);
        let first = dispatched(&mut scheduler, Instant::ZERO)[0];
        drop(scheduler.on_end(first, limited(Some(7_200)), Instant::ZERO));
        let second = dispatched(&mut scheduler, Instant::ZERO)[0];

        let key = Verdict::Halt(HaltReason::Key(Failure::default()));
        drop(scheduler.on_end(second, key, Instant::ZERO));

        assert!(matches!(scheduler.poll(Instant::ZERO), Step::Drained));
        assert!(matches!(scheduler.halted(), Some(HaltReason::RetryAfter { .. })), "{:?}", scheduler.halted());
        assert_eq!(scheduler.take_set_aside().len(), 2);
    }

    #[test]
    fn rows_that_no_endpoint_takes_stay_and_the_rows_behind_them_move() {
        let mut scheduler = Scheduler::new(two(1));
        let labels = ["a", "bound", "bound too", "b"];
        labels.iter().for_each(|label| scheduler.offer(of(label, "one"), Instant::ZERO));
        let first = dispatched(&mut scheduler, Instant::ZERO)[0];
        drop(scheduler.on_end(first, limited(Some(600)), Instant::ZERO));

        let mut moved = Vec::new();
        while let [ticket] = dispatched(&mut scheduler, Instant::ZERO)[..] {
            moved.extend(sent(&scheduler, &[ticket]));
            drop(scheduler.on_end(ticket, answer(), Instant::ZERO));
        }

        let two = |label: &str| (label.to_owned(), "two".to_owned());
        assert_eq!(moved, [two("a"), two("b")]);
        assert_eq!(scheduler.pools[0].ready.len(), 2);
    }

    #[test]
    fn if_the_second_endpoint_is_closed_as_well_the_third_takes_the_rows() {
        let mut scheduler = scheduler(chain(&["one", "two", "three"], FallbackOn::default(), 1), 4);
        for provider in ["one", "two", "three"] {
            let ticket = dispatched(&mut scheduler, Instant::ZERO)[0];
            assert_eq!(providers(&scheduler, &[ticket]), [provider]);
            drop(scheduler.on_end(ticket, limited(Some(600)), Instant::ZERO));
        }

        let Step::Wait { until, .. } = scheduler.poll(Instant::ZERO) else { panic!("all endpoints are closed") };
        assert!(until >= Instant::from_secs(600), "{until:?}");
        assert!(until <= Instant::from_secs(660), "{until:?}");
    }

    #[test]
    fn without_a_chain_a_long_hold_moves_nothing() {
        let mut scheduler =
            scheduler(Config { retry_for: Duration::from_secs(9_000), ..config(RateLimits::NONE, 1) }, 2);
        let first = dispatched(&mut scheduler, Instant::ZERO)[0];

        drop(scheduler.on_end(first, limited(Some(600)), Instant::ZERO));

        assert_eq!(dispatched(&mut scheduler, Instant::from_secs(599)), []);
    }
}
