//! Where rows wait: the ready queue of their pool, or until their next try.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::answer::{Came, Then};
use crate::clock::Instant;
use crate::domain::{Ask, HaltReason, PoolId};
use crate::limiter::Pool;

use super::endpoint::Endpoint;
use super::entry::Entry;
use super::prediction::Prediction;
use super::{EndpointId, PoolState, Scheduler};

/// Rows that take turns where each is refused.
const REACH: usize = 8;

impl Scheduler {
    /// Stops the run: nothing more is started, and what is queued is set aside. The first reason stays.
    pub fn halt(&mut self, reason: HaltReason) {
        if self.halted.is_some() {
            return;
        }
        self.halted = Some(reason);
        let mut queued: Vec<Entry> = Vec::new();
        self.pools.iter_mut().for_each(|state| queued.extend(state.ready.drain(..)));
        for endpoint in &mut self.endpoints {
            endpoint.ready = 0;
        }
        queued.extend(std::mem::take(&mut self.later).into_values());
        queued.extend(self.gates.take(|_| true));
        queued.into_iter().for_each(|entry| self.put_aside(entry));
    }

    /// Stops an endpoint. Its rows go where a policy sends them, else they are set aside; the run stops with the last one.
    pub(super) fn halt_endpoint(&mut self, at: usize, reason: HaltReason, now: Instant) {
        if self.halted.is_some() || self.endpoints[at].halted.is_some() {
            return;
        }
        self.endpoints[at].halted = Some(reason.clone());
        let leads_on = self.endpoints.iter().any(|endpoint| endpoint.halted.is_none());
        if !leads_on {
            return self.halt(reason);
        }
        let mut queued: Vec<Entry> = Vec::new();
        self.pools
            .iter_mut()
            .filter(|state| state.endpoint == at)
            .for_each(|state| queued.extend(state.ready.drain(..)));
        self.endpoints[at].ready = 0;
        let id = self.endpoints[at].id.clone();
        let is_its = |entry: &Entry| EndpointId::of(&entry.planned.ask.pool) == id;
        let (its, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.later).into_iter().partition(|(_, entry)| is_its(entry));
        self.later = kept.into_iter().collect();
        queued.extend(its.into_iter().map(|(_, entry)| entry));
        queued.extend(self.gates.take(is_its));
        queued.into_iter().for_each(|entry| self.reroute(entry, &reason, now));
    }

    /// Stops the run for what its endpoints lack, once nothing else is left to do: rows of a halted one are pending, and so
    /// are those of a model that was not found.
    pub(super) fn halt_for_endpoints(&mut self) {
        if let Some(reason) = self.endpoints.iter().find_map(|endpoint| endpoint.halted.clone()) {
            return self.halt(reason);
        }
        if self.endpoints.iter().any(|endpoint| !endpoint.parked.is_empty()) {
            self.halt_for_parked();
        }
    }

    /// Queues a row behind the others of its pool; one that can't be answered any more is set aside.
    pub(super) fn take_in(&mut self, entry: Entry, now: Instant) {
        if let Some((pool, entry)) = self.placed(entry, now) {
            self.pools[pool].ready.push_back(entry);
            self.endpoints[self.pools[pool].endpoint].ready += 1;
        }
    }

    /// Queues a row before the others of its pool; one that can't be answered any more is set aside.
    pub(super) fn queue_first(&mut self, entry: Entry, now: Instant) {
        if let Some((pool, entry)) = self.placed(entry, now) {
            self.pools[pool].ready.push_front(entry);
            self.endpoints[self.pools[pool].endpoint].ready += 1;
        }
    }

    /// Queues a row at the front of its pool; from its second turn on behind a few that had fewer and need no more, so that
    /// they take turns.
    pub(super) fn queue_in_turn(&mut self, entry: Entry, now: Instant) {
        if let Some((pool, entry)) = self.placed(entry, now) {
            let ready = &mut self.pools[pool].ready;
            let need = |entry: &Entry| entry.planned.ask.cost.input_tokens;
            let goes_first =
                |other: &&Entry| entry.turns > 1 && other.turns < entry.turns && need(other) <= need(&entry);
            let place = ready.iter().take(REACH).take_while(goes_first).count();
            ready.insert(place, entry);
            self.endpoints[self.pools[pool].endpoint].ready += 1;
        }
    }

    /// Lets a row wait for its next try.
    pub(super) fn queue_later(&mut self, entry: Entry, at: Instant) {
        self.later_serial += 1;
        self.later.insert((at, self.later_serial), entry);
    }

    /// Puts another ask in the place of a row's last one and queues it on the route of that ask. Tries count anew.
    pub(super) fn ask_again(&mut self, entry: Entry, ask: Ask, now: Instant) {
        let Entry { mut planned, attempts, leads, bytes, .. } = entry;
        planned.ask = ask;
        self.row_bytes -= bytes;
        let anew = self.count_in(planned);
        self.queue_first(Entry { attempts, leads, ..anew }, now);
    }

    /// Notes a row that this run will not answer.
    pub(super) fn put_aside(&mut self, entry: Entry) {
        self.unkept += u64::from(entry.holds_answer());
        self.row_bytes -= entry.bytes;
        self.set_aside.push(entry.planned);
    }

    /// Moves rows whose time has come back to their queues.
    pub(super) fn wake(&mut self, now: Instant) {
        while let Some(first) = self.later.first_entry() {
            if first.key().0 > now {
                break;
            }
            let entry = first.remove();
            self.queue_first(entry, now);
        }
    }

    pub(super) fn next_wake(&self) -> Instant {
        self.later.first_key_value().map_or(Instant::NEVER, |((at, _), _)| *at)
    }

    /// Asks a policy where the row of a halted endpoint goes.
    fn reroute(&mut self, entry: Entry, reason: &HaltReason, now: Instant) {
        let leads = entry.leads;
        match self.then(&entry, Came::Halt(reason)) {
            Then::Ask(ask) => self.ask_again(entry, *ask, now),
            Then::Keep | Then::Fail { .. } => {
                self.put_aside(entry);
                leads.into_iter().for_each(|gate| self.open_gate(gate, now));
            }
        }
    }

    /// Returns the pool of a row; sets the row aside when it can't be answered any more.
    fn placed(&mut self, entry: Entry, now: Instant) -> Option<(usize, Entry)> {
        let Ask { pool, model, .. } = &entry.planned.ask;
        let pool = if self.halted.is_none() { Some(self.pool_of(&pool.clone(), now)) } else { None };
        let open = pool.filter(|pool| {
            let endpoint = &self.endpoints[self.pools[*pool].endpoint];
            endpoint.halted.is_none() && !endpoint.parked.contains(model)
        });
        match open {
            Some(pool) => Some((pool, entry)),
            None => {
                let leads = entry.leads;
                self.put_aside(entry);
                leads.into_iter().for_each(|gate| self.open_gate(gate, now));
                None
            }
        }
    }

    fn pool_of(&mut self, id: &Arc<PoolId>, now: Instant) -> usize {
        // Rows of one model share their pool's name: nearly always it is the one that came last.
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
        let pool = Pool::new(id.clone(), preset, self.config.by_hand, self.config.headroom, now);
        let (ready, prediction) = (VecDeque::new(), Prediction::default());
        let endpoint = self.endpoint_of(EndpointId::of(id));
        self.pools.push(PoolState {
            pool,
            endpoint,
            ready,
            prediction,
            streamed: 0,
            passing: None,
            has_big_rows: false,
        });
        self.index.insert(id.clone(), self.pools.len() - 1);
        self.pools.len() - 1
    }

    fn endpoint_of(&mut self, id: EndpointId) -> usize {
        let known = self.endpoints.iter().position(|endpoint| endpoint.id == id);
        known.unwrap_or_else(|| {
            self.endpoints.push(Endpoint::new(id, self.config.window.anew()));
            self.endpoints.len() - 1
        })
    }
}
