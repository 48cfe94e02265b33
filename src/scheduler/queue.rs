//! Puts a row into the queue of its pool, puts it behind a gate (to wait for a shared prefix), or sets it aside.

use std::sync::Arc;

use crate::clock::Instant;
use crate::domain::{Ask, FallbackCase, Planned, PoolId, RateLimits};
use crate::limiter::Pool;

use super::endpoint::{Endpoint, EndpointId};
use super::entry::Entry;
use super::fallback::case_of_halt;
use super::pool::PoolState;
use super::state::Scheduler;

/// If the API has rejected a row several times, at most this many other rows are sent before this row. So if the API
/// has rejected several rows many times, these rows take turns.
const REACH: usize = 8;

impl Scheduler {
    /// Accepts a row from the input. If this run can't answer the row, the row is set aside immediately.
    pub fn offer(&mut self, planned: Planned, now: Instant) {
        let entry = self.count_in(planned);
        self.queue_last(entry, now);
    }

    /// Records that the input has no more rows.
    pub fn close_input(&mut self) {
        self.is_input_closed = true;
    }

    /// Queues a row behind the other rows of its pool.
    pub(super) fn queue_last(&mut self, entry: Box<Entry>, now: Instant) {
        self.queue(entry, now, |pool, _| pool.ready.len());
    }

    /// Queues a row in front of the other rows of its pool.
    pub(super) fn queue_first(&mut self, entry: Box<Entry>, now: Instant) {
        self.queue(entry, now, |_, _| 0);
    }

    /// Queues a row at the front of its pool. If the row had at least two rejections or faults, up to [`REACH`] rows
    /// stay in front of it. A row stays in front if it failed less often than the queued row and does not need more
    /// tokens than the queued row. So if several rows fail often, these rows take turns.
    pub(super) fn queue_in_turn(&mut self, entry: Box<Entry>, now: Instant) {
        self.queue(entry, now, |pool, entry| {
            let need = |entry: &Entry| entry.planned.ask.cost.input_tokens;
            let goes_first = |other: &Entry| entry.turns > 1 && other.turns < entry.turns && need(other) <= need(entry);
            pool.ready.iter().take(REACH).take_while(|other| goes_first(other)).count()
        });
    }

    /// Queues a row in its pool, at the position that `place` returns. A row that must wait for its prefix is put
    /// behind a gate instead of into the queue. A row that this run can't answer is set aside. Returns whether the row
    /// was put into the queue of its pool.
    pub(super) fn queue(
        &mut self,
        entry: Box<Entry>,
        now: Instant,
        place: impl FnOnce(&PoolState, &Entry) -> usize,
    ) -> bool {
        let Some((pool, mut entry)) = self.placed(entry, now) else { return false };
        let endpoint = self.pools[pool].endpoint;
        if let Err(gate) = self.take_turn(&mut entry, endpoint, now) {
            self.gates.put_behind(entry, gate);
            return false;
        }
        let state = &mut self.pools[pool];
        let place = place(state, &entry);
        state.ready.insert(place, entry);
        self.endpoints[endpoint].ready += 1;
        true
    }

    /// Moves the rows whose next try is due back to their queues.
    pub(super) fn wake(&mut self, now: Instant) {
        while let Some(entry) = self.later.pop_due(now) {
            self.queue_first(entry, now);
        }
    }

    /// Replaces the request of a row, and queues the row in the pool of the new request. The tries of the row are
    /// counted from 0 again.
    pub(super) fn ask_again(&mut self, entry: Box<Entry>, ask: Ask, now: Instant) {
        let anew = self.renewed(entry, ask, now);
        self.queue_first(anew, now);
    }

    /// Replaces the request of a row that is in no queue, and returns the row. The tries of the row are counted from 0
    /// again.
    pub(super) fn renewed(&mut self, mut entry: Box<Entry>, ask: Ask, now: Instant) -> Box<Entry> {
        if let Some(endpoint) = self.endpoint_of_entry(&entry) {
            self.give_up_lead(&mut entry, endpoint, now);
        }
        let Entry { mut planned, attempts, bytes, .. } = *entry;
        planned.ask = ask;
        self.row_bytes -= bytes;
        let mut anew = self.count_in(planned);
        anew.attempts = attempts;
        anew
    }

    /// Sets aside a row that this run will not answer.
    pub(super) fn put_aside(&mut self, entry: Box<Entry>) {
        self.note_pending(&entry);
        self.row_bytes -= entry.bytes;
        self.set_aside.push(entry.planned);
    }

    /// Sets aside a row that this run will not answer. The row gives up its lead (its task of writing a prefix to the
    /// cache). If other rows waited for a prefix that this row led, the first of the waiting rows becomes the leader of
    /// the prefix.
    pub(super) fn put_aside_and_give_up_lead(&mut self, mut entry: Box<Entry>, now: Instant) {
        if let Some(endpoint) = self.endpoint_of_entry(&entry) {
            self.give_up_lead(&mut entry, endpoint, now);
        }
        self.put_aside(entry);
    }

    /// Returns a row together with its pool. If the row's endpoint does not accept the row, the row gets a request for
    /// the next endpoint of the chain. If no endpoint can answer the row in this run, sets the row aside and returns
    /// `None`.
    fn placed(&mut self, mut entry: Box<Entry>, now: Instant) -> Option<(usize, Box<Entry>)> {
        while self.halted.is_none() {
            let Ask { pool, model, .. } = &entry.planned.ask;
            let pool = self.pool_of(&pool.clone(), now);
            let at = self.pools[pool].endpoint;
            let endpoint = &self.endpoints[at];
            let case = match &endpoint.halted {
                None if !endpoint.access.lacks(model) => return Some((pool, entry)),
                None => Some(FallbackCase::Model),
                Some(reason) => case_of_halt(reason),
            };
            let Some(ask) = case.and_then(|case| self.ask_elsewhere(&entry, at, case)) else { break };
            entry = self.renewed(entry, *ask, now);
        }
        self.put_aside_and_give_up_lead(entry, now);
        None
    }

    fn pool_of(&mut self, id: &Arc<PoolId>, now: Instant) -> usize {
        // Most rows have the same pool as the row that was queued before them. Rows of one model share the `Arc` of
        // their pool's id, so comparing pointers is enough.
        if let Some((last, at)) = &self.last_pool
            && Arc::ptr_eq(last, id)
        {
            return *at;
        }
        let at = self.index.get(&**id).copied().unwrap_or_else(|| self.open_pool(id, now));
        self.last_pool = Some((id.clone(), at));
        at
    }

    fn open_pool(&mut self, id: &PoolId, now: Instant) -> usize {
        let preset = (self.config.limits_of)(id);
        let pool = Pool::new(id.clone(), preset, self.by_hand(id), self.config.headroom, now);
        let endpoint = self.endpoint_of(EndpointId::of(id));
        self.pools.push(PoolState::new(pool, endpoint));
        self.index.insert(id.clone(), self.pools.len() - 1);
        self.pools.len() - 1
    }

    /// Returns the limits that the user gave by hand and that apply to a pool. In a chain, the limits that the user
    /// gave by hand apply only to the first endpoint.
    pub(super) fn by_hand(&self, id: &PoolId) -> RateLimits {
        match self.config.endpoints.first() {
            Some(first) if self.config.fallback.is_some() && EndpointId::of(id) != *first => RateLimits::NONE,
            Some(_) | None => self.config.by_hand,
        }
    }

    fn endpoint_of(&mut self, id: EndpointId) -> usize {
        let known = self.endpoints.iter().position(|endpoint| endpoint.id == id);
        known.unwrap_or_else(|| {
            self.endpoints.push(Endpoint::new(id, self.config.window.anew()));
            self.endpoints.len() - 1
        })
    }
}
