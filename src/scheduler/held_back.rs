//! Rows that are held back, to tell rows that fail from an endpoint that does.
//!
//! Rows that fail often stand together in the input, and when several in a row have met a fault nobody knows whether it is
//! theirs. A row from elsewhere in the input shows it: where that one is answered, the endpoint works, and the others fail
//! by themselves. So once a first fault was met, a few rows are taken out of the queue and sent later than those behind
//! them. An endpoint that seems to fail is probed with them first, then with rows that were not tried yet, then with those
//! that failed least often.
//!
//! A row is held back only while others wait to be sent, and for [`LONGEST`] at most while no fault is unexplained. At the
//! end of a run the rows held back are sent one after the other, each when nothing else is in flight, as long as there are
//! rows that met a fault of which nobody knows whose it is. A pool with big rows holds none back: small rows wait long
//! enough there.

use std::time::Duration;

use crate::clock::Instant;

use super::Scheduler;
use super::entry::Entry;
use super::health::Sign;

/// Rows held back at each endpoint.
const MOST: usize = 4;
/// From one to the next.
const SPACING: u64 = 16;
/// Rows that must wait already.
const WAITING: usize = 2;
/// How long one is held back while nothing is in doubt.
const LONGEST: Duration = Duration::from_secs(10);
/// How likely bad rows alone may be to explain that all rows held back failed, for that to be believed still.
const DOUBT: f64 = 0.05;

/// A row that is held back.
#[derive(Debug)]
pub(super) struct HeldBack {
    pub(super) pool: usize,
    pub(super) entry: Entry,
    since: Instant,
}

/// What is known of an outage beside its length.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outage {
    /// The share of rows that failed by themselves before it began.
    bad_share: f64,
    /// Rows held back that failed in it, and behind which rows of the input had been answered. Counted since the endpoint
    /// last said itself that it is down.
    failed: i32,
    /// Whether it says so.
    is_said: bool,
}

impl Outage {
    /// Returns an outage of which nothing is known but how many rows failed by themselves before, 0 to 1.
    pub(super) fn new(bad_share: f64) -> Self {
        Self { bad_share, ..Self::default() }
    }

    /// Notes what a fault said, and whether it was that of a row that speaks for others.
    pub(super) fn note(&mut self, sign: Sign, speaks: bool) {
        self.is_said = sign != Sign::Unclear;
        self.failed = if self.is_said { 0 } else { self.failed + i32::from(speaks) };
    }

    /// Returns whether rows from elsewhere in the input speak for an outage.
    pub(super) fn is_believed(&self) -> bool {
        self.failed > 1 && self.bad_share.powi(self.failed) < DOUBT
    }
}

impl Scheduler {
    /// Holds a new row back, or returns it.
    pub(super) fn held_back(&mut self, pool: usize, entry: Entry, now: Instant) -> Option<Entry> {
        let endpoint = &mut self.endpoints[self.pools[pool].endpoint];
        endpoint.offered += 1;
        let is_wanted = endpoint.tally.has_faults()
            && endpoint.held_back.len() < MOST
            && endpoint.ready >= WAITING
            && endpoint.offered >= endpoint.hold_back_from
            && !self.pools[pool].has_big_rows
            && entry.leads.is_none();
        if !is_wanted {
            return Some(entry);
        }
        endpoint.hold_back_from = endpoint.offered + SPACING;
        endpoint.held_back.push_back(HeldBack { pool, entry, since: now });
        None
    }

    /// Lets rows go that were held back: as a probe, or because nothing else is left to send.
    pub(super) fn let_go(&mut self, now: Instant) {
        for at in 0..self.endpoints.len() {
            let endpoint = &self.endpoints[at];
            if endpoint.held_back.is_empty() {
                continue;
            }
            if endpoint.health.is_failing() {
                if now >= endpoint.health.probe_at() && self.is_to_be_asked(at) {
                    self.ask(at);
                }
            } else if endpoint.held_back.front().is_some_and(|first| now.since(first.since) >= LONGEST) {
                self.let_first_go(at, now);
            } else if endpoint.ready == 0 {
                if !self.is_in_doubt(at) {
                    self.let_all_go(at);
                } else if endpoint.in_flight == 0 {
                    self.ask(at);
                }
            }
        }
    }

    /// Returns when the next row that was held back probes an endpoint that fails.
    pub(super) fn next_asked(&self) -> Option<Instant> {
        let asked = (0..self.endpoints.len()).filter(|at| self.is_to_be_asked(*at));
        asked.map(|at| self.endpoints[at].health.probe_at()).min()
    }

    /// Returns whether the next probe of an endpoint that fails is a row held back. One that never answered, or that is
    /// known to be down, would only use them up.
    fn is_to_be_asked(&self, at: usize) -> bool {
        let endpoint = &self.endpoints[at];
        let is_its = |entry: &Entry| self.endpoint_of_entry(entry) == Some(at);
        let mut ready = self.pools.iter().flat_map(|state| &state.ready).filter(|entry| is_its(entry));
        let is_useless = match (endpoint.health.has_worked(), endpoint.outage.is_said || endpoint.outage.is_believed())
        {
            (true, true) => endpoint.ready > 0 || self.later.values().any(is_its),
            (false, _) => ready.any(|entry| entry.turns == 0),
            (true, false) => false,
        };
        endpoint.health.is_failing()
            && !endpoint.held_back.is_empty()
            && endpoint.in_flight == 0
            && !endpoint.is_asked
            && !is_useless
    }

    /// Sends one row next, to see what comes.
    fn ask(&mut self, at: usize) {
        let endpoint = &mut self.endpoints[at];
        let Some(HeldBack { pool, mut entry, .. }) = endpoint.held_back.pop_front() else { return };
        entry.is_asked = true;
        endpoint.is_asked = true;
        endpoint.ready += 1;
        self.pools[pool].ready.push_front(entry);
        self.next_pool = pool;
    }

    /// Lets the row go that is held back longest, unless it may be needed.
    fn let_first_go(&mut self, at: usize, now: Instant) {
        let is_in_doubt = self.is_in_doubt(at);
        let endpoint = &mut self.endpoints[at];
        if is_in_doubt {
            return endpoint.held_back.iter_mut().for_each(|held| held.since = now);
        }
        let Some(HeldBack { pool, entry, .. }) = endpoint.held_back.pop_front() else { return };
        endpoint.ready += 1;
        let state = &mut self.pools[pool];
        // The wait of a big row goes on: this one may pass it.
        let place = usize::from(state.passing.is_some());
        state.ready.insert(place.min(state.ready.len()), entry);
    }

    /// Lets the rows of a pool go that were held back, before a big one that is about to wait for its bucket: they came before
    /// it. Returns whether there were any.
    pub(super) fn let_go_before(&mut self, pool: usize) -> bool {
        let endpoint = &mut self.endpoints[self.pools[pool].endpoint];
        let (its, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut endpoint.held_back).into_iter().partition(|held| held.pool == pool);
        endpoint.held_back = kept.into();
        endpoint.ready += its.len();
        let is_any = !its.is_empty();
        its.into_iter().rev().for_each(|held| self.pools[pool].ready.push_front(held.entry));
        is_any
    }

    fn let_all_go(&mut self, at: usize) {
        let endpoint = &mut self.endpoints[at];
        endpoint.ready += endpoint.held_back.len();
        for HeldBack { pool, entry, .. } in std::mem::take(&mut endpoint.held_back) {
            self.pools[pool].ready.push_back(entry);
        }
    }

    /// Returns whether a row of an endpoint met a fault of which nobody knows whose it is.
    fn is_in_doubt(&self, at: usize) -> bool {
        let is_doubtful =
            |entry: &Entry| entry.at_fault.is_some() && !entry.is_suspect && self.endpoint_of_entry(entry) == Some(at);
        self.later.values().any(is_doubtful) || self.flights.iter().flatten().any(|flight| is_doubtful(&flight.entry))
    }

    /// Returns whether an endpoint has no row left but such as met a fault, now or ever.
    pub(super) fn has_failed_rows_only(&self, at: usize) -> bool {
        let is_other = |entry: &Entry| entry.at_fault.is_none() && self.endpoint_of_entry(entry) == Some(at);
        let ready = self.pools.iter().filter(|state| state.endpoint == at).flat_map(|state| &state.ready);
        let in_flight = self.flights.iter().flatten().map(|flight| &flight.entry);
        self.is_input_closed
            && self.gates.waiting() == 0
            && self.endpoints[at].held_back.is_empty()
            && !ready.chain(self.later.values()).chain(in_flight).any(is_other)
    }

    /// Returns the endpoint of a row that is or was queued.
    pub(super) fn endpoint_of_entry(&self, entry: &Entry) -> Option<usize> {
        self.index.get(&*entry.planned.ask.pool).map(|pool| self.pools[*pool].endpoint)
    }
}
