//! Lets the next endpoint of a chain take rows from an endpoint that is closed.
//!
//! A pool is closed while its first row would wait longer than the user allows, and an endpoint is closed while it
//! fails. The rows stay in the queue of their pool. The next endpoint takes them from there one at a time, and only if
//! it can send them soon. So no more rows move than can be sent, and when the endpoint is open again, it still has rows
//! of its own.
//!
//! A pool stays closed until it sends a row again, even if the rest of the wait is short. Otherwise the other endpoint
//! would have nothing to do during that time.

use crate::clock::Instant;
use crate::domain::{Ask, FallbackCase};

use super::state::Scheduler;

/// How many rows of a queue are checked to find one that another endpoint takes.
const REACH: usize = 1024;

/// Whether an endpoint can take a row now.
enum Takes {
    /// Yes.
    Now,
    /// It will soon. If no other event comes before, it must be asked again at this moment.
    Soon(Instant),
    /// No: it is closed itself, perhaps until this moment.
    Closed(Instant),
}

impl Scheduler {
    /// Notes that the first row of a pool has to wait. `is_held` says whether it waits for the end of a hold.
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

    /// Lets the endpoints of the chain take rows from those that are closed: at most one row of each pool.
    pub(super) fn pull(&mut self, now: Instant) {
        self.end_detours(now);
        for turn in 0..self.pools.len() {
            let pool = (self.next_pool + turn) % self.pools.len();
            if let Some(case) = self.closed(pool, now).filter(|_| !self.pools[pool].ready.is_empty()) {
                self.pull_from(pool, case, now);
            }
        }
    }

    /// Returns why the rows of a pool may be sent to another endpoint; `None` if the pool is open.
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
        // While more rows come, a failing endpoint keeps a row to be probed with.
        let kept = usize::from(self.endpoints[from].health.is_failing() && !self.is_input_closed);
        while let Some(place) = self.movable(pool).filter(|_| self.pools[pool].ready.len() > kept) {
            let (mut why, mut is_any_closed) = (None, false);
            for to in from + 1..self.chain_len() {
                if self.endpoints[to].halted.is_some() {
                    continue;
                }
                match self.takes(to, pool, now) {
                    Takes::Now => {}
                    Takes::Soon(at) => return self.pull_again(at, now),
                    Takes::Closed(at) => {
                        self.pull_again(at, now);
                        is_any_closed = true;
                        continue;
                    }
                }
                match self.ask_at(&self.pools[pool].ready[place].planned.job, to) {
                    Ok(ask) => return self.pull_row(pool, place, *ask, case, now),
                    Err(words) => why = Some(words),
                }
            }
            if is_any_closed {
                return;
            }
            self.pools[pool].ready[place].must_stay = true;
            why.into_iter().for_each(|why| self.tell_stay(&why));
        }
    }

    /// Returns the place of the first row that may move.
    fn movable(&self, pool: usize) -> Option<usize> {
        self.pools[pool].ready.iter().take(REACH).position(|entry| !entry.must_stay)
    }

    /// Returns whether an endpoint can take a row of a pool now.
    fn takes(&self, to: usize, pool: usize, now: Instant) -> Takes {
        let endpoint = &self.endpoints[to];
        if endpoint.health.is_failing() {
            // Without a row, the endpoint would never be probed.
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
        let is_full = endpoint.in_flight + endpoint.ready >= endpoint.window.size();
        if is_full { Takes::Soon(Instant::NEVER) } else { Takes::Now }
    }

    fn pull_again(&mut self, at: Instant, now: Instant) {
        if at > now {
            self.pull_at = self.pull_at.min(at);
        }
    }

    /// Moves a waiting row to the endpoint of `ask`.
    fn pull_row(&mut self, pool: usize, place: usize, ask: Ask, case: FallbackCase, now: Instant) {
        let state = &mut self.pools[pool];
        let entry = state.ready.remove(place).expect("the queue was just looked at");
        if place == 0 {
            state.passing = None;
        }
        let from = state.endpoint;
        self.endpoints[from].ready -= 1;
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
