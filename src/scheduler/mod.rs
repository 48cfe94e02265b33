//! The scheduler: which row is sent when, and what becomes of it.
//!
//! A state machine that owns everything about a run's order and limits: pools, queues, the window, retries, health of
//! the endpoint, budgets, the halt. It is given `now` and events, and returns steps; it never reads a clock, sends
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
//! - in flight never exceeds the window as it was when the last row was sent;
//! - nothing is sent from a held pool, and nothing at all after a halt;
//! - every reservation, of tokens and of money, is settled exactly once.
//!
//! Waiting for limits (429) or overload (529) uses up none of a row's tries; it is bounded by `--retry-for`.
//!
//! A pool sends its rows in the order they came, but for small ones behind a big one that waits for its bucket
//! (`passing`), and rows that are tried again, which go first.

mod backoff;
mod budget;
mod cap;
mod halt;
mod health;
pub mod order;
mod passing;
mod prediction;
mod settle;
mod steer;
mod window;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub use budget::Budget;
pub use halt::HaltRule;
pub use steer::Steering;
pub use window::Window;

use crate::clock::Instant;
use crate::domain::{
    Ask, AttemptRecord, Cost, ErrorClass, EventBody, Failure, HaltReason, LimitKind, Money, Outcome, Planned, PoolId,
    PoolStatus, RateLimits, RateSignals, Reason, Usage,
};
use crate::limiter::pool::Headroom;
use crate::limiter::{Admission, Pool, Reservation};

use budget::Room;
use halt::Halt;
use health::Health;
use passing::Passing;
use prediction::Prediction;

/// Output above this is always streamed: an unstreamed call would be silent for more than ten minutes.
///
/// Source: official SDKs, `3600 * max_tokens / 128000 > 600` (2026-11-20).
const STREAM_ABOVE: u32 = 21_333;
/// The first rows of a pool are streamed until this many heads have come, so that limits are learned early.
const STREAM_FIRST: u32 = 48;
/// Rows that wait at the scheduler, at least and when several pools share the input.
const LOOKAHEAD: usize = 64;
const LOOKAHEAD_OF_MANY_POOLS: usize = 4096;

/// When requests are streamed inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamMode {
    /// The first rows of each pool, and rows with a large `max_tokens`.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// Computes the limits a pool begins with.
pub type LimitsOf = Box<dyn Fn(&PoolId) -> RateLimits + Send>;
/// Computes what a request costs at worst; nothing for a model without a price.
pub type WorstCost = Box<dyn Fn(&Ask) -> Money + Send>;
/// Computes what an attempt cost that used so much; `None` for a model without a price.
pub type RealCost = Box<dyn Fn(&Ask, &Usage) -> Option<Money> + Send>;

/// What a scheduler is made of.
pub struct Config {
    /// Limits by preset.
    pub limits_of: LimitsOf,
    /// Limits given by hand: beat presets, and are never raised by what responses say.
    pub by_hand: RateLimits,
    /// What is left unused of each limit.
    pub headroom: Headroom,
    /// The concurrency window.
    pub window: Window,
    /// Tries after the first, for faults of the server and the connection.
    pub max_retries: u32,
    /// The longest a row waits for limits, and a run for an endpoint that worked before.
    pub retry_for: Duration,
    /// Whether a request that may have been billed is tried again.
    pub retry_ambiguous: bool,
    /// When to stream.
    pub stream: StreamMode,
    /// When failing rows stop the run.
    pub halt: HaltRule,
    /// The user's limits on the run.
    pub budget: Budget,
    /// What a row costs at worst.
    pub worst_cost: WorstCost,
    /// What an attempt cost; asked once for each, where it ends.
    pub real_cost: RealCost,
    /// Seed of all jitter.
    pub seed: u64,
}

/// A request in flight. The number is small and reused: it can index a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u32);

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Send this row; report its head and its end.
    Dispatch {
        /// Names the attempt.
        ticket: Ticket,
        /// Whether to ask for a stream.
        stream: bool,
    },
    /// Ask again at `until` (never: only after an event).
    Wait {
        /// When.
        until: Instant,
        /// Why nothing more is being sent.
        reason: Reason,
    },
    /// Everything offered has ended and no more comes.
    Drained,
}

/// What became of a row whose attempt ended.
#[derive(Debug)]
pub enum Next {
    /// It is finished.
    Finished(Box<Outcome>),
    /// It will be tried again.
    Again {
        /// Why.
        class: ErrorClass,
        /// The kind of limit, when that was the reason.
        limit: Option<LimitKind>,
        /// Whether the attempt may have been billed.
        maybe_paid: bool,
    },
    /// This run will not answer it; a later one can.
    Pending(Box<Planned>),
}

/// A row with its history in this run.
#[derive(Debug)]
struct Entry {
    planned: Planned,
    attempts: Vec<AttemptRecord>,
    /// Tries that counted.
    tries: u32,
    overloads: u32,
    limited_since: Option<Instant>,
    /// How many answers and faults the run had had when this row last met a fault.
    at_fault: Option<(u64, u64)>,
    /// It met a fault, others were answered, and it met another: the fault is its own, not the endpoint's.
    is_suspect: bool,
}

#[derive(Debug)]
struct Flight {
    entry: Entry,
    pool: usize,
    reservation: Reservation,
    money: Money,
    sent_at: Instant,
    head: Option<Head>,
}

/// What a head said, kept for the end of its attempt.
#[derive(Clone, Debug, Default)]
struct Head {
    signals: RateSignals,
    limit_changed: bool,
    request_id: Option<String>,
}

struct PoolState {
    pool: Pool,
    ready: VecDeque<Entry>,
    prediction: Prediction,
    /// Requests that were streamed to learn limits early.
    streamed: u32,
    /// The wait of a big row in front, and who passed it.
    passing: Option<Passing>,
}

/// The scheduler of one run.
pub struct Scheduler {
    config: Config,
    pools: Vec<PoolState>,
    index: HashMap<PoolId, usize>,
    /// The pool of the row that was offered last.
    last_offered: Option<(Arc<PoolId>, usize)>,
    next_pool: usize,
    flights: Vec<Option<Flight>>,
    free: Vec<u32>,
    in_flight: usize,
    max_in_flight: usize,
    ready: usize,
    later: BTreeMap<(Instant, u64), (usize, Entry)>,
    later_serial: u64,
    is_input_closed: bool,
    health: Health,
    halt_watch: Halt,
    halted: Option<HaltReason>,
    parked: BTreeSet<Arc<str>>,
    answered_models: BTreeSet<Arc<str>>,
    set_aside: Vec<Planned>,
    successes: u64,
    /// Attempts that the endpoint answered, whatever it said.
    answers: u64,
    /// Attempts that met a fault of the endpoint.
    faults: u64,
    forbidden_in_a_row: u32,
    retry_quota: f64,
    last_fault: Failure,
    events: Vec<EventBody>,
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
        Self {
            config,
            pools: Vec::new(),
            index: HashMap::new(),
            last_offered: None,
            next_pool: 0,
            flights: Vec::new(),
            free: Vec::new(),
            in_flight: 0,
            max_in_flight: 0,
            ready: 0,
            later: BTreeMap::new(),
            later_serial: 0,
            is_input_closed: false,
            health: Health::default(),
            halt_watch,
            halted: None,
            parked: BTreeSet::new(),
            answered_models: BTreeSet::new(),
            set_aside: Vec::new(),
            successes: 0,
            answers: 0,
            faults: 0,
            forbidden_in_a_row: 0,
            retry_quota: settle::RETRY_QUOTA,
            last_fault: Failure::default(),
            events: Vec::new(),
            bound_by: None,
            bound_for: BTreeMap::new(),
            rng,
        }
    }

    /// Returns how many more rows are wanted; offering more is allowed and only costs memory.
    pub fn wants(&self) -> usize {
        if self.is_input_closed || self.halted.is_some() {
            return 0;
        }
        let lookahead = match self.pools.len() {
            0 | 1 => (2 * self.config.window.size()).max(LOOKAHEAD),
            _ => LOOKAHEAD_OF_MANY_POOLS.max(2 * self.config.window.size()),
        };
        lookahead.saturating_sub(self.ready + self.later.len())
    }

    /// Takes a row. A row that this run can't answer any more is set aside at once.
    pub fn offer(&mut self, planned: Planned, now: Instant) {
        if self.halted.is_some() || self.parked.contains(&planned.ask.model) {
            self.set_aside.push(planned);
            return;
        }
        let pool = self.pool_of(&planned.ask.pool, now);
        let entry = Entry {
            planned,
            attempts: Vec::new(),
            tries: 0,
            overloads: 0,
            limited_since: None,
            at_fault: None,
            is_suspect: false,
        };
        self.pools[pool].ready.push_back(entry);
        self.ready += 1;
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
            Step::Dispatch { .. } => {}
            Step::Drained => self.bind(Reason::Draining, now),
        }
        step
    }

    /// Notes why nothing is sent when the cause lies outside: the disk.
    pub fn bind(&mut self, reason: Reason, now: Instant) {
        if let Some((last, since)) = self.bound_by.replace((reason, now)) {
            *self.bound_for.entry(last).or_default() += now.since(since);
        }
    }

    /// Stops: nothing more is started, and what is queued is set aside. The first reason stays.
    pub fn halt(&mut self, reason: HaltReason) {
        if self.halted.is_some() {
            return;
        }
        self.halted = Some(reason);
        for state in &mut self.pools {
            self.set_aside.extend(state.ready.drain(..).map(|entry| entry.planned));
        }
        self.ready = 0;
        self.set_aside.extend(std::mem::take(&mut self.later).into_values().map(|(_, entry)| entry.planned));
    }

    /// Returns why the run stops, if it does.
    pub fn halted(&self) -> Option<&HaltReason> {
        self.halted.as_ref()
    }

    /// Returns an attempt's row, and what is sent for it.
    ///
    /// # Panics
    /// When the ticket is not in flight.
    pub fn sent(&self, ticket: Ticket) -> &Planned {
        let flight = self.flights[ticket.0 as usize].as_ref();
        &flight.expect("a ticket is asked for while its attempt is in flight").entry.planned
    }

    /// Returns the rows that this run will not answer, so far.
    pub fn take_set_aside(&mut self) -> Vec<Planned> {
        std::mem::take(&mut self.set_aside)
    }

    /// Returns what people should know, so far.
    pub fn take_events(&mut self) -> Vec<EventBody> {
        std::mem::take(&mut self.events)
    }

    /// Returns how many requests are in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight
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
        (self.pools.iter().map(|state| state.pool.unseen()).collect(), self.config.budget.reserved())
    }

    /// Returns where things stand, for those who watch.
    pub fn status(&self, now: Instant) -> EventBody {
        let is_busy = |state: &&PoolState| !state.ready.is_empty() || self.pools.len() == 1 || self.in_flight > 0;
        let status = |state: &PoolState| PoolStatus {
            pool: state.pool.id().clone(),
            limits: state.pool.limits(),
            level: state.pool.levels(now),
            held_for: Some(state.pool.held_until().since(now)).filter(|held| !held.is_zero()),
        };
        EventBody::Status {
            in_flight: self.in_flight,
            window: self.config.window.size(),
            reason: self.bound_by.map_or(Reason::Input, |(reason, _)| reason),
            pools: self.pools.iter().filter(is_busy).map(status).collect(),
        }
    }

    /// Returns the share of the time that each reason bound the run, largest first.
    pub fn reasons(&self) -> Vec<(Reason, f64)> {
        let total: f64 = self.bound_for.values().map(Duration::as_secs_f64).sum();
        let share = |(&reason, time): (&Reason, &Duration)| (reason, time.as_secs_f64() / total.max(1e-9));
        let mut shares: Vec<_> = self.bound_for.iter().map(share).filter(|(_, share)| *share > 0.0).collect();
        shares.sort_by(|(_, left), (_, right)| right.total_cmp(left));
        shares
    }

    fn next_step(&mut self, now: Instant) -> Step {
        self.halt_if_overdue(now);
        if self.halted.is_some() {
            return self.drain();
        }
        self.wake(now);
        if self.ready == 0 {
            return self.wait_without_rows();
        }
        if let Some(wait) = self.gate(now) {
            return wait;
        }
        let mut soonest = (self.next_wake(), Reason::Backoff);
        for turn in 0..self.pools.len() {
            let pool = (self.next_pool + turn) % self.pools.len();
            if self.pools[pool].ready.is_empty() {
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
        match self.in_flight {
            0 => Step::Drained,
            _ => Step::Wait { until: Instant::NEVER, reason: Reason::Draining },
        }
    }

    fn wait_without_rows(&mut self) -> Step {
        let until = self.next_wake();
        let reason = match (self.is_input_closed, self.later.is_empty()) {
            (false, _) => Reason::Input,
            (true, false) => Reason::Backoff,
            (true, true) if self.in_flight == 0 => {
                if !self.parked.is_empty() {
                    self.halt_for_parked();
                }
                return Step::Drained;
            }
            (true, true) => Reason::Draining,
        };
        Step::Wait { until, reason }
    }

    /// Returns why nothing may be sent whatever the pools say.
    fn gate(&mut self, now: Instant) -> Option<Step> {
        if self.health.is_failing() {
            let probe_at = self.health.probe_at();
            let until = if self.in_flight > 0 { Instant::NEVER } else { probe_at };
            return (self.in_flight > 0 || now < probe_at).then_some(Step::Wait { until, reason: Reason::Probe });
        }
        if self.in_flight >= self.config.window.size() {
            self.config.window.on_full();
            return Some(Step::Wait { until: self.next_wake(), reason: Reason::Window });
        }
        None
    }

    /// Sends the first row of a pool, or one that may pass it, or says until when it has to wait and why.
    fn start(&mut self, pool: usize, now: Instant) -> Result<Step, (Instant, Reason)> {
        let state = &mut self.pools[pool];
        let Some(entry) = state.ready.front() else { return Err((Instant::NEVER, Reason::Input)) };
        let cost = state.prediction.cost(&entry.planned.ask);
        match state.pool.reserve(cost, now) {
            Admission::Granted(reservation) => {
                let step = self.send(pool, 0, reservation, now)?;
                self.pools[pool].passing = None;
                Ok(step)
            }
            Admission::Wait { until, on: None } => Err((until, Reason::Hold)),
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
        let is_bounded = self.config.budget.max_cost.is_some();
        let money = if is_bounded { (self.config.worst_cost)(&state.ready[at].planned.ask) } else { Money::ZERO };
        match self.config.budget.reserve(money) {
            Room::Yes => {}
            refused => {
                state.pool.settle(reservation, Cost::default(), false, now);
                if let Room::Never(why) = refused {
                    match self.in_flight {
                        0 => self.halt(HaltReason::Budget(why)),
                        // What is in flight may give some back.
                        _ if self.config.budget.max_cost.is_some() => {}
                        _ => self.halt(HaltReason::Budget(why)),
                    }
                }
                return Err((Instant::NEVER, Reason::Budget));
            }
        }
        let entry = state.ready.remove(at).expect("the queue was just looked at");
        let stream = wants_stream(self.config.stream, state, &entry.planned.ask);
        self.ready -= 1;
        let flight = Flight { entry, pool, reservation, money, sent_at: now, head: None };
        Ok(Step::Dispatch { ticket: self.board(flight), stream })
    }

    fn board(&mut self, flight: Flight) -> Ticket {
        self.in_flight += 1;
        self.max_in_flight = self.max_in_flight.max(self.in_flight);
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

    /// Moves rows whose time has come back to their queues.
    fn wake(&mut self, now: Instant) {
        while let Some(first) = self.later.first_entry() {
            if first.key().0 > now {
                break;
            }
            let (pool, entry) = first.remove();
            self.pools[pool].ready.push_front(entry);
            self.ready += 1;
        }
    }

    fn next_wake(&self) -> Instant {
        self.later.first_key_value().map_or(Instant::NEVER, |((at, _), _)| *at)
    }

    fn pool_of(&mut self, id: &Arc<PoolId>, now: Instant) -> usize {
        // Rows of one model share their pool's name: nearly always it is the one that came last.
        if let Some((last, at)) = &self.last_offered
            && Arc::ptr_eq(last, id)
        {
            return *at;
        }
        let at = self.index.get(&**id).copied().unwrap_or_else(|| self.open_pool(id, now));
        self.last_offered = Some((id.clone(), at));
        at
    }

    fn open_pool(&mut self, id: &PoolId, now: Instant) -> usize {
        let preset = (self.config.limits_of)(id);
        let pool = Pool::new(id.clone(), preset, self.config.by_hand, self.config.headroom, now);
        let (ready, prediction) = (VecDeque::new(), Prediction::default());
        self.pools.push(PoolState { pool, ready, prediction, streamed: 0, passing: None });
        self.index.insert(id.clone(), self.pools.len() - 1);
        self.pools.len() - 1
    }
}

fn wants_stream(mode: StreamMode, state: &mut PoolState, ask: &Ask) -> bool {
    match mode {
        StreamMode::On => true,
        StreamMode::Off => false,
        StreamMode::Auto if ask.max_tokens > STREAM_ABOVE => true,
        // `max_tokens` 0 warms a cache; the API refuses to stream that.
        StreamMode::Auto if ask.max_tokens == 0 => false,
        StreamMode::Auto => {
            let learns = state.pool.heads_seen().max(state.streamed) < STREAM_FIRST;
            state.streamed += u32::from(learns);
            learns
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
