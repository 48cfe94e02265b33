//! The scheduler: which row is sent when, and what becomes of it.
//!
//! A state machine that owns everything about a run's order and limits: endpoints with their windows, health and halts,
//! pools, queues, gates, retries, budgets. It is given `now` and events, and returns steps; it never reads a clock, sends
//! anything or writes anything.
//!
//! ```text
//! offer(planned) ─► ready queue of its pool ─► poll: window, budget, pool.reserve ─► Step::Dispatch(ticket)
//!                      ▲ front: 429   ▲ later: backoff                                        │
//!                      └──────────────┴── on_end(ticket, verdict) ◄── on_head(ticket, signals)┘
//!                                              │ Next::Finished(outcome)
//! ```
//!
//! Invariants:
//! - each offered row ends once: finished, or set aside as pending; none is lost, none ends twice;
//! - what is in flight at an endpoint never exceeds its window as it was when the last row was sent there;
//! - nothing is sent from a held pool, nothing to a halted endpoint, and nothing at all after the run has halted;
//! - every reservation, of tokens and of money, is settled exactly once.
//!
//! Waiting for limits (429) or overload (529) uses up none of a row's tries; it is bounded by `--retry-for`.
//!
//! A pool sends its rows in the order they came, but for small ones behind a big one that waits for its bucket
//! (`passing`), and rows that are tried again, which go first. A row may wait for another behind a gate (`gate`), outside
//! these queues.
//!
//! What is sent for a row stays the same over its tries, byte for byte: whether it asks for a stream is decided the first
//! time, and only an endpoint whose streams can't be read changes that (`streaming`).
//!
//! What is asked for a row may change: a policy ([`crate::answer`]) sees each answer, each failure and each halt of an
//! endpoint, and may put another ask in the place of the one that ended, on the same route or on another.

mod ahead;
mod backoff;
mod blame;
mod budget;
mod canary;
mod cap;
mod config;
mod endpoint;
mod entry;
mod faults;
mod gate;
mod halt;
mod health;
pub mod order;
mod passing;
mod prediction;
mod queue;
mod settle;
mod steer;
mod step;
mod streaming;
mod watch;
mod window;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub use budget::Budget;
pub use config::{Config, LimitsOf, RealCost, StreamMode};
pub use endpoint::EndpointId;
pub use gate::GateId;
pub use halt::HaltRule;
pub use steer::Steering;
pub use step::{Next, Step, Ticket};
pub use window::Window;

use crate::clock::Instant;
use crate::domain::{Cost, EventBody, HaltReason, Money, Planned, PoolId, Reason};
use crate::limiter::{Admission, Pool, Reservation};

use budget::Room;
use config::wants_stream;
use endpoint::Endpoint;
use entry::{Entry, Flight, Sent};
use gate::Gates;
use halt::Halt;
use passing::Passing;
use prediction::Prediction;

/// Rows among which the next probe is looked for.
const PROBED: usize = 1024;

struct PoolState {
    pool: Pool,
    /// The endpoint it belongs to.
    endpoint: usize,
    ready: VecDeque<Entry>,
    prediction: Prediction,
    /// Requests that were streamed to learn limits early.
    streamed: u32,
    /// The wait of a big row in front, and who passed it.
    passing: Option<Passing>,
    /// Whether a big row ever had to wait.
    has_big_rows: bool,
}

impl PoolState {
    /// Returns the place of the row that says most about an endpoint that fails: the first of those that had fewest turns.
    fn next_probe(&self) -> usize {
        let places = self.ready.iter().take(PROBED).enumerate();
        places.min_by_key(|(_, entry)| entry.turns).map_or(0, |(place, _)| place)
    }
}

/// The scheduler of one run.
pub struct Scheduler {
    config: Config,
    endpoints: Vec<Endpoint>,
    pools: Vec<PoolState>,
    index: HashMap<PoolId, usize>,
    /// The pool of the row that was queued last.
    last_pool: Option<(Arc<PoolId>, usize)>,
    next_pool: usize,
    flights: Vec<Option<Flight>>,
    free: Vec<u32>,
    max_in_flight: usize,
    later: BTreeMap<(Instant, u64), Entry>,
    later_serial: u64,
    gates: Gates,
    /// Bytes of the rows that wait or are in flight.
    row_bytes: usize,
    is_input_closed: bool,
    halt_watch: Halt,
    halted: Option<HaltReason>,
    set_aside: Vec<Planned>,
    /// Rows set aside of which an answer was paid for that no line keeps.
    unkept: u64,
    events: Vec<EventBody>,
    /// Whether it was told that answers end for an unknown reason.
    is_unknown_end_told: bool,
    bound_by: Option<(Reason, Instant)>,
    bound_for: BTreeMap<Reason, Duration>,
    rng: fastrand::Rng,
}

impl Scheduler {
    /// Returns a scheduler with nothing to do.
    pub fn new(mut config: Config) -> Self {
        let halt_watch = Halt::new(config.halt);
        let rng = fastrand::Rng::with_seed(config.seed);
        if config.window.most() == 0 {
            config.window = Window::fixed(1);
        }
        let endpoints = config.endpoints.iter().map(|id| Endpoint::new(id.clone(), config.window.anew())).collect();
        Self {
            config,
            endpoints,
            pools: Vec::new(),
            index: HashMap::new(),
            last_pool: None,
            next_pool: 0,
            flights: Vec::new(),
            free: Vec::new(),
            max_in_flight: 0,
            later: BTreeMap::new(),
            later_serial: 0,
            gates: Gates::default(),
            row_bytes: 0,
            is_input_closed: false,
            halt_watch,
            halted: None,
            set_aside: Vec::new(),
            unkept: 0,
            events: Vec::new(),
            is_unknown_end_told: false,
            bound_by: None,
            bound_for: BTreeMap::new(),
            rng,
        }
    }

    /// Takes a row. A row that this run can't answer any more is set aside at once.
    pub fn offer(&mut self, planned: Planned, now: Instant) {
        let entry = self.count_in(planned);
        self.take_in(entry, now);
    }

    /// Notes that no more rows come.
    pub fn close_input(&mut self) {
        self.is_input_closed = true;
    }

    /// Returns what to do next. Call it until it says to wait.
    pub fn poll(&mut self, now: Instant) -> Step {
        let step = self.next_step(now);
        match step {
            Step::Wait { reason, .. } => self.bind(reason, now),
            Step::Dispatch { .. } | Step::Canary { .. } => {}
            Step::Drained => self.bind(Reason::Draining, now),
        }
        step
    }

    /// Returns why the run stops, if it does.
    pub fn halted(&self) -> Option<&HaltReason> {
        self.halted.as_ref()
    }

    /// Returns an attempt's row, and what is sent for it.
    ///
    /// # Panics
    /// When the ticket is not in flight, or a canary's.
    pub fn sent(&self, ticket: Ticket) -> &Planned {
        let flight = self.flights[ticket.0 as usize].as_ref();
        let row = flight.expect("a ticket is asked for while its attempt is in flight").row();
        &row.expect("a canary has no row").planned
    }

    /// Returns the rows that this run will not answer, so far.
    pub fn take_set_aside(&mut self) -> Vec<Planned> {
        std::mem::take(&mut self.set_aside)
    }

    /// Returns of how many rows that this run will not answer an answer was paid for that no line keeps.
    pub fn unkept(&self) -> u64 {
        self.unkept
    }

    /// Returns what people should know, so far.
    pub fn take_events(&mut self) -> Vec<EventBody> {
        std::mem::take(&mut self.events)
    }

    /// Returns how many requests are in flight.
    pub fn in_flight(&self) -> usize {
        self.endpoints.iter().map(|endpoint| endpoint.in_flight).sum()
    }

    /// Returns the highest number of requests that were ever in flight.
    pub fn max_in_flight(&self) -> usize {
        self.max_in_flight
    }

    /// Returns what has been spent over the life of the results.
    pub fn spent(&self) -> Money {
        self.config.budget.spent
    }

    /// Returns what is reserved and not settled: in each pool what no head or end has been seen for, and money. All zero
    /// when nothing is in flight.
    pub fn unsettled(&self) -> (Vec<[i64; 3]>, Money) {
        (self.pools.iter().map(|state| state.pool.uncounted()).collect(), self.config.budget.reserved())
    }

    fn ready(&self) -> usize {
        self.endpoints.iter().map(|endpoint| endpoint.ready).sum()
    }

    /// Returns how many requests may be in flight, over all endpoints.
    fn window_size(&self) -> usize {
        match &self.endpoints[..] {
            [] => self.config.window.size(),
            endpoints => endpoints.iter().map(|endpoint| endpoint.window.size()).sum(),
        }
    }

    fn next_step(&mut self, now: Instant) -> Step {
        self.halt_if_overdue(now);
        if self.halted.is_some() {
            return self.drain();
        }
        self.wake(now);
        if let Some(step) = self.send_canary(now) {
            return step;
        }
        if self.ready() == 0 {
            return self.wait_without_rows();
        }
        if let Some((until, reason)) = self.check_endpoints(now) {
            return Step::Wait { until, reason };
        }
        let mut soonest = (self.next_wake(), Reason::Backoff);
        for turn in 0..self.pools.len() {
            let pool = (self.next_pool + turn) % self.pools.len();
            let state = &self.pools[pool];
            if state.ready.is_empty() || !self.endpoints[state.endpoint].is_open {
                continue;
            }
            match self.start(pool, now) {
                Ok(step) => {
                    self.next_pool = pool + 1;
                    return step;
                }
                Err((until, reason)) if until < soonest.0 || soonest.1 == Reason::Backoff => {
                    soonest = (until.min(soonest.0), reason);
                }
                Err(_) => {}
            }
            if self.halted.is_some() {
                return self.drain();
            }
        }
        Step::Wait { until: soonest.0, reason: soonest.1 }
    }

    fn drain(&self) -> Step {
        match self.in_flight() {
            0 => Step::Drained,
            _ => Step::Wait { until: Instant::NEVER, reason: Reason::Draining },
        }
    }

    fn wait_without_rows(&mut self) -> Step {
        let (until, canary_at) = (self.next_wake(), self.next_canary());
        if canary_at < until {
            return Step::Wait { until: canary_at, reason: Reason::Probe };
        }
        let reason = match (self.is_input_closed, self.later.is_empty()) {
            _ if self.gates.waiting() > 0 => Reason::Gate,
            (false, _) if self.is_full() => Reason::Memory,
            (false, _) => Reason::Input,
            (true, false) => Reason::Backoff,
            (true, true) if self.in_flight() == 0 => {
                self.halt_for_endpoints();
                return Step::Drained;
            }
            (true, true) => Reason::Draining,
        };
        Step::Wait { until, reason }
    }

    /// Looks which endpoints with rows may be sent to; when none may, returns until when and why.
    fn check_endpoints(&mut self, now: Instant) -> Option<(Instant, Reason)> {
        let next_wake = self.next_wake();
        let is_only = self.endpoints.len() == 1;
        let mut soonest: Option<(Instant, Reason)> = None;
        let mut is_any_open = false;
        for endpoint in self.endpoints.iter_mut().filter(|endpoint| endpoint.ready > 0) {
            match endpoint.check(next_wake, now) {
                None => is_any_open = true,
                Some((until, reason)) => {
                    // A row that comes back may be for another endpoint.
                    let until = if is_only { until } else { until.min(next_wake) };
                    if soonest.is_none_or(|(at, _)| until < at) {
                        soonest = Some((until, reason));
                    }
                }
            }
        }
        soonest.filter(|_| !is_any_open)
    }

    /// Sends the first row of a pool, or one that may pass it, or says until when it has to wait and why.
    fn start(&mut self, pool: usize, now: Instant) -> Result<Step, (Instant, Reason)> {
        let state = &mut self.pools[pool];
        let is_probe = self.endpoints[state.endpoint].health.is_failing();
        let first = if is_probe { state.next_probe() } else { 0 };
        let Some(entry) = state.ready.get(first) else { return Err((Instant::NEVER, Reason::Input)) };
        let cost = state.prediction.cost(&entry.planned.ask);
        match state.pool.reserve(cost, now) {
            Admission::Granted(reservation) => {
                let step = self.send(pool, first, reservation, now)?;
                self.pools[pool].passing = None;
                Ok(step)
            }
            Admission::Wait { until, on: None } => Err((until, Reason::Hold)),
            Admission::Wait { until, on: Some(dimension) } if is_probe => Err((until, Reason::Limit(dimension))),
            Admission::Wait { until, on: Some(dimension) } => {
                let (at, until) = self.pools[pool].who_passes(cost, dimension, until, now);
                match at {
                    Some((at, reservation)) => self.send(pool, at, reservation, now),
                    None => Err((until, Reason::Limit(dimension))),
                }
            }
        }
    }

    /// Sends the row at a place of a queue, for which the pool has room, unless the budget has none.
    fn send(
        &mut self,
        pool: usize,
        at: usize,
        reservation: Reservation,
        now: Instant,
    ) -> Result<Step, (Instant, Reason)> {
        let state = &mut self.pools[pool];
        // A row without a price is not among those of a run that has a budget.
        let expense = state.ready[at].planned.ask.expense.filter(|_| self.config.budget.max_cost.is_some());
        let money = expense.map_or(Money::ZERO, |expense| expense.most);
        match self.config.budget.reserve(money) {
            Room::Yes => {}
            refused => {
                state.pool.settle(reservation, Cost::default(), false, now);
                if let Room::Never(why) = refused {
                    match self.in_flight() {
                        0 => self.halt(HaltReason::Budget(why)),
                        // What is in flight may give some back.
                        _ if self.config.budget.max_cost.is_some() => {}
                        _ => self.halt(HaltReason::Budget(why)),
                    }
                }
                return Err((Instant::NEVER, Reason::Budget));
            }
        }
        let mut entry = state.ready.remove(at).expect("the queue was just looked at");
        let wants = entry.wants_stream.unwrap_or_else(|| wants_stream(self.config.stream, state, &entry.planned.ask));
        entry.wants_stream = Some(wants);
        let endpoint = &mut self.endpoints[state.endpoint];
        endpoint.ready -= 1;
        let stream = wants && !endpoint.streaming.is_given_up();
        let flight = Flight { sent: Sent::Row(entry), pool, reservation, money, sent_at: now, stream, head: None };
        Ok(Step::Dispatch { ticket: self.board(flight), stream })
    }

    fn board(&mut self, flight: Flight) -> Ticket {
        self.endpoints[self.pools[flight.pool].endpoint].in_flight += 1;
        self.max_in_flight = self.max_in_flight.max(self.in_flight());
        match self.free.pop() {
            Some(slot) => {
                self.flights[slot as usize] = Some(flight);
                Ticket(slot)
            }
            None => {
                self.flights.push(Some(flight));
                Ticket(u32::try_from(self.flights.len() - 1).expect("the window is far below four billion"))
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
