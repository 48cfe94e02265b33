//! The state of a scheduler, and the methods that read it.
//!
//! The behaviour of the scheduler is in the files that use this file. `ahead` accepts rows, `queue` queues them, and
//! `poll` sends them. `ends` handles the ends of attempts, `refusals` handles refusals, and `faults` handles faults.
//! `halts` contains the methods that halt endpoints and runs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{Ask, EventBody, HaltReason, Money, Planned, PoolId, Reason};

use super::config::Config;
use super::endpoint::{Endpoint, EndpointId};
use super::entry::Entry;
use super::flights::{Flight, Flights};
use super::gate::Gates;
use super::halt::Halt;
use super::later::Later;
use super::pause::Pause;
use super::pool::PoolState;
use super::step::Ticket;
use super::warmth::Warmth;

/// The scheduler of one run.
pub struct Scheduler {
    pub(super) config: Config,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) pools: Vec<PoolState>,
    pub(super) index: HashMap<PoolId, usize>,
    /// The pool of the row that was queued last, and the index of this pool in `pools`.
    pub(super) last_pool: Option<(Arc<PoolId>, usize)>,
    /// The index in `pools` of the pool that is checked first when the next row is sent.
    pub(super) next_pool: usize,
    pub(super) flights: Flights,
    pub(super) max_in_flight: usize,
    pub(super) later: Later,
    pub(super) gates: Gates,
    /// The rows that an endpoint has forbidden before its first answer. They are sent again after that answer, because
    /// only then it is clear that the rows are the cause, not the key.
    pub(super) forbidden: Vec<Box<Entry>>,
    pub(super) warmth: Warmth,
    /// The size in bytes of all rows that wait or are in flight.
    pub(super) row_bytes: usize,
    pub(super) is_input_closed: bool,
    pub(super) halt_watch: Halt,
    pub(super) halted: Option<HaltReason>,
    pub(super) pause: Pause,
    /// Rows that this run will not answer. Rows that were set aside stay here until [`Scheduler::take_set_aside`] takes
    /// them.
    pub(super) set_aside: Vec<Planned>,
    /// How many of the rows that were set aside have a paid answer that is missing from the results.
    pub(super) unkept: u64,
    /// The number of rows that are left for a later run although they were billed or possibly billed.
    pub(super) maybe_billed: u64,
    /// The number of rows that are left for a later run.
    pub(super) left: u64,
    /// The reason why rows are left for a later run although their endpoint has not halted.
    pub(super) left_because: Option<HaltReason>,
    /// The earliest instant at which a row of a closed endpoint (an endpoint that fails or must wait) can perhaps move
    /// to another endpoint.
    pub(super) pull_at: Instant,
    /// Whether a pool has closed since the last check. A pool closes when its rows must wait too long. Rows of a closed
    /// pool can be sent to another endpoint.
    pub(super) has_closed: bool,
    /// Whether the run has already said why a row can't be sent to another endpoint.
    pub(super) is_stay_told: bool,
    /// How much of the spent money was for canaries (test requests to a failing endpoint).
    pub(super) canary_spend: Money,
    pub(super) events: Vec<EventBody>,
    /// Whether the run has already warned that an answer stopped for an unknown reason.
    pub(super) is_unknown_end_told: bool,
    /// Whether the run has already warned that an answer has no usage that can be read.
    pub(super) is_unknown_usage_told: bool,
    /// Whether the run has already said that the API does not cache a prefix.
    pub(super) is_uncached_told: bool,
    /// The reason why nothing is sent at present, and the time when this reason began.
    pub(super) bound_by: Option<(Reason, Instant)>,
    /// How long each reason has delayed the run.
    pub(super) bound_for: BTreeMap<Reason, Duration>,
    pub(super) rng: fastrand::Rng,
}

impl Scheduler {
    /// Returns a scheduler without rows.
    pub fn new(config: Config) -> Self {
        let halt_watch = Halt::new(config.halt);
        let rng = fastrand::Rng::with_seed(config.seed);
        let endpoints = config.endpoints.iter().map(|id| Endpoint::new(id.clone(), config.window.anew())).collect();
        Self {
            config,
            endpoints,
            pools: Vec::new(),
            index: HashMap::new(),
            last_pool: None,
            next_pool: 0,
            flights: Flights::default(),
            max_in_flight: 0,
            later: Later::default(),
            gates: Gates::default(),
            forbidden: Vec::new(),
            warmth: Warmth::default(),
            row_bytes: 0,
            is_input_closed: false,
            halt_watch,
            halted: None,
            pause: Pause::default(),
            set_aside: Vec::new(),
            unkept: 0,
            maybe_billed: 0,
            left: 0,
            left_because: None,
            pull_at: Instant::NEVER,
            has_closed: false,
            is_stay_told: false,
            canary_spend: Money::ZERO,
            events: Vec::new(),
            is_unknown_end_told: false,
            is_unknown_usage_told: false,
            is_uncached_told: false,
            bound_by: None,
            bound_for: BTreeMap::new(),
            rng,
        }
    }

    /// Returns the reason why the run stops; `None` if the run does not stop.
    pub fn halted(&self) -> Option<&HaltReason> {
        self.halted.as_ref()
    }

    /// Returns each provider that stopped, with the reason.
    pub(crate) fn stopped_providers(&self) -> Vec<(Arc<str>, HaltReason)> {
        let stopped = |endpoint: &Endpoint| Some((endpoint.id.provider.clone(), endpoint.halted.clone()?));
        self.endpoints.iter().filter_map(stopped).collect()
    }

    /// Returns the request that an attempt sends. The request belongs to a row, or it is a canary (a test request
    /// without a row).
    ///
    /// # Panics
    /// Panics if the ticket is not in flight.
    pub(crate) fn ask(&self, ticket: Ticket) -> &Ask {
        let flight = self.flights.get(ticket);
        flight.expect("the attempt with this ticket is in flight").ask()
    }

    /// Returns the row of an attempt in flight, with the request that was sent for it.
    ///
    /// # Panics
    /// Panics if the ticket is not in flight, or if it belongs to a canary.
    pub fn sent(&self, ticket: Ticket) -> &Planned {
        let flight = self.flights.get(ticket);
        let row = flight.expect("the attempt with this ticket is in flight").row();
        &row.expect("the attempt with this ticket is for a row").planned
    }

    /// Removes and returns the rows that were set aside because this run will not answer them.
    pub fn take_set_aside(&mut self) -> Vec<Planned> {
        std::mem::take(&mut self.set_aside)
    }

    /// Returns the number of paid answers that are lost. A lost answer is in no line of the results, and this run does
    /// not answer its row again.
    pub fn unkept(&self) -> u64 {
        self.unkept
    }

    /// Returns the number of rows that were billed or possibly billed, but are left for a later run. Only the marks in
    /// the ledger (the records of requests in flight) show that these rows were billed.
    pub(crate) fn maybe_billed(&self) -> u64 {
        self.maybe_billed
    }

    /// Returns the money that this run has spent on canaries (test requests without a row). No line of the results
    /// includes the money for canaries.
    pub(crate) fn canary_spend(&self) -> Money {
        self.canary_spend
    }

    /// Returns the highest possible cost of all attempts of a row: the attempts that have ended, and the attempt in
    /// flight.
    ///
    /// # Panics
    /// Panics if the ticket is not in flight.
    pub(crate) fn at_most(&self, ticket: Ticket) -> Money {
        let flight = self.flights.get(ticket).expect("the attempt with this ticket is in flight");
        flight.row().map_or(Money::ZERO, Entry::at_most) + flight.money
    }

    /// Removes and returns the events that the scheduler has collected.
    pub(crate) fn take_events(&mut self) -> Vec<EventBody> {
        std::mem::take(&mut self.events)
    }

    /// Returns how many requests are in flight.
    pub fn in_flight(&self) -> usize {
        self.endpoints.iter().map(|endpoint| endpoint.in_flight).sum()
    }

    /// Returns the largest number of requests that were in flight at once during the run.
    pub fn max_in_flight(&self) -> usize {
        self.max_in_flight
    }

    /// Returns the money that all runs with the same results file have spent.
    pub fn spent(&self) -> Money {
        self.config.budget.spent
    }

    /// Returns the amounts that are reserved and not yet settled. For each pool and dimension, the first value contains
    /// the amount that the server has not counted yet. The second value is the reserved money. All amounts are zero
    /// when no request is in flight.
    pub fn unsettled(&self) -> (Vec<[i64; 3]>, Money) {
        (self.pools.iter().map(|state| state.pool.uncounted()).collect(), self.config.budget.reserved())
    }

    /// Returns how many requests all endpoints together are allowed to have in flight.
    pub(super) fn window_size(&self) -> usize {
        match &self.endpoints[..] {
            [] => self.config.window.size(),
            endpoints => endpoints.iter().map(|endpoint| endpoint.window.size()).sum(),
        }
    }

    /// Returns how many rows are in the ready queues.
    pub(super) fn ready(&self) -> usize {
        self.endpoints.iter().map(|endpoint| endpoint.ready).sum()
    }

    /// Returns the number of waiting rows. A row can wait in a ready queue, for its next try, or behind a gate (for a
    /// prefix in the prompt cache), or until it is clear why it was forbidden.
    pub(super) fn waiting(&self) -> usize {
        self.ready() + self.later.len() + self.gates.waiting() + self.forbidden.len()
    }

    /// Returns all waiting rows: the rows in ready queues, the rows that wait for their next try, the rows behind
    /// gates, and the rows that were forbidden before the first answer.
    pub(super) fn waiting_rows(&self) -> impl Iterator<Item = &Entry> {
        let ready = self.pools.iter().flat_map(|state| &state.ready).map(|entry| &**entry);
        let forbidden = self.forbidden.iter().map(|entry| &**entry);
        ready.chain(self.later.rows()).chain(self.gates.rows()).chain(forbidden)
    }

    /// Removes and returns the waiting rows for which `is_wanted` returns true. The rows come from the ready queues,
    /// from the gates, from the rows that wait until their next try, and from the rows that were forbidden before the
    /// first answer.
    pub(super) fn take_waiting(&mut self, is_wanted: impl Fn(&Entry) -> bool) -> Vec<Box<Entry>> {
        let mut taken = self.take_ready(&is_wanted);
        taken.extend(self.later.take(&is_wanted));
        taken.extend(self.forbidden.extract_if(.., |entry| is_wanted(entry)));
        taken.extend(self.gates.take(is_wanted));
        taken
    }

    /// Removes and returns the rows of the ready queues for which `is_wanted` returns true.
    pub(super) fn take_ready(&mut self, is_wanted: impl Fn(&Entry) -> bool) -> Vec<Box<Entry>> {
        let mut taken = Vec::new();
        for state in &mut self.pools {
            let (its, kept): (Vec<_>, Vec<_>) =
                std::mem::take(&mut state.ready).into_iter().partition(|entry| is_wanted(entry));
            state.ready = kept.into();
            self.endpoints[state.endpoint].ready -= its.len();
            taken.extend(its);
        }
        taken
    }

    /// Returns the endpoint of a row that is or was in a queue.
    pub(super) fn endpoint_of_entry(&self, entry: &Entry) -> Option<usize> {
        self.index.get(&*entry.planned.ask.pool).map(|pool| self.pools[*pool].endpoint)
    }

    /// Adds an attempt (a request) to the attempts in flight, and returns its ticket.
    pub(super) fn board(&mut self, flight: Flight) -> Ticket {
        self.endpoints[self.pools[flight.pool].endpoint].in_flight += 1;
        self.max_in_flight = self.max_in_flight.max(self.in_flight());
        self.flights.insert(flight)
    }
}

impl EndpointId {
    /// Returns whether the request of a row is for this endpoint.
    pub(super) fn is_of(&self, entry: &Entry) -> bool {
        let pool = &entry.planned.ask.pool;
        (&self.provider, &self.account) == (&pool.provider, &pool.account)
    }
}
