//! The state of the simulated API, and the events that change it as time passes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use crate::clock::Instant;
use crate::domain::{ModelClass, Money, RateLimits};
use crate::sim::config::SimConfig;

use super::batches::Batches;
use super::books::Books;
use super::cache::Cache;
use super::call::Call;
use super::diagnostics::Diagnostics;
use super::journal::{Draft, Line};
use super::limits::{Account, ClassLimits};

/// The maximum number of accounts (pairs of an organization and a model class) with limits of their own. All later
/// accounts share one set of limits.
const MAX_ACCOUNTS: usize = 20_000;
/// The number that identifies the organization with the shared limits. All accounts after the first [`MAX_ACCOUNTS`]
/// use these limits.
const LATECOMERS: u64 = 1;
/// The maximum number of calls that run at once, including calls that continue after their client has left.
const MAX_CALLS: usize = 100_000;
/// The index of the class for `count_tokens`, which has a limit of its own.
pub(super) const TOKEN_COUNT: usize = 0;
/// The index of the class for the batch endpoints, which have a limit of their own.
pub(super) const BATCHES: usize = 1;

/// A model class and its current limits.
#[derive(Clone, Debug)]
pub(super) struct Class {
    pub(super) name: ModelClass,
    pub(super) limits: RateLimits,
    pub(super) others_permille: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    Begin(u64),
    End(u64),
    Change(usize),
    OtherStarts(usize),
    OtherStops(usize),
    OtherBurst(usize),
    Batch(u64),
}

/// The model of the API, with all its state.
#[derive(Debug)]
pub struct Model {
    pub(super) config: SimConfig,
    pub(super) models: HashMap<Arc<str>, usize>,
    pub(super) classes: Vec<Class>,
    pub(super) class_of: Vec<usize>,
    pub(super) accounts: HashMap<Account, ClassLimits>,
    pub(super) events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    pub(super) events_so_far: u64,
    pub(super) calls: HashMap<u64, Call>,
    /// The money that each organization was charged. The money is counted only if there is a spend cap.
    pub(super) spent: HashMap<u64, Money>,
    pub(super) cache: Cache,
    pub(super) diagnostics: Diagnostics,
    pub(super) batches: Batches,
    pub(super) fired: Vec<u64>,
    /// How often each answer rule was applied.
    pub(super) scripted: Vec<u64>,
    pub(super) books: Books,
    pub(super) serial: u64,
    pub(super) arrivals: u64,
    pub(super) line: Draft,
    pub(super) books_since: Instant,
    pub(super) now: Instant,
}

impl Model {
    /// Returns a new model of an API with the settings `config`.
    pub fn new(config: SimConfig) -> Self {
        let counting = RateLimits { rpm: config.count_tokens_rpm, ..RateLimits::NONE };
        let token_count = Class { name: ModelClass(Arc::from("token-count")), limits: counting, others_permille: 0 };
        let calls = RateLimits { rpm: config.batches.rpm, ..RateLimits::NONE };
        let batches = Class { name: ModelClass(Arc::from("batch")), limits: calls, others_permille: 0 };
        let mut model = Self {
            models: HashMap::new(),
            classes: vec![token_count, batches],
            class_of: Vec::new(),
            accounts: HashMap::new(),
            events: BinaryHeap::new(),
            events_so_far: 0,
            calls: HashMap::new(),
            spent: HashMap::new(),
            cache: Cache::default(),
            diagnostics: Diagnostics::default(),
            batches: Batches::default(),
            fired: vec![0; config.faults.rules.len()],
            scripted: vec![0; config.answers.rules.len()],
            books: Books::default(),
            serial: 0,
            arrivals: 0,
            line: Draft::default(),
            books_since: Instant::ZERO,
            now: Instant::ZERO,
            config,
        };
        for at in 0..model.config.models.len() {
            model.index(at);
        }
        model.schedule_changes();
        model
    }

    /// Returns the settings of the simulated API.
    pub(crate) fn config(&self) -> &SimConfig {
        &self.config
    }

    /// Sets the wall-clock time at [`Instant::ZERO`]. Dates in headers are computed from this time.
    pub(crate) fn set_wall_start(&mut self, wall_start: jiff::Timestamp) {
        self.config.wall_start = wall_start;
    }

    /// Sets the maximum number of requests that can be open at once; `None` removes the maximum.
    pub fn set_max_concurrent(&mut self, most: Option<u32>) {
        self.config.max_concurrent = most;
    }

    /// Returns the counts of requests, responses and charges.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// From now on, calls `sink` with a line about each request.
    pub fn watch(&mut self, sink: impl FnMut(&Line) + Send + 'static) {
        self.line.watch(Box::new(sink));
    }

    /// Resets the model: limits are full again, and caches and counts are empty. The time is not reset. Calls in flight
    /// are forgotten.
    pub fn reset(&mut self, now: Instant) {
        self.advance(now);
        self.books = Books::default();
        self.calls.clear();
        self.events
            .retain(|Reverse((_, _, event))| !matches!(event, Event::Begin(_) | Event::End(_) | Event::Batch(_)));
        self.spent.clear();
        self.accounts.clear();
        self.cache = Cache::default();
        self.diagnostics = Diagnostics::default();
        self.batches = Batches::default();
        self.fired.fill(0);
        self.scripted.fill(0);
        self.arrivals = 0;
        self.books_since = self.now;
    }

    /// Replaces all cache entries with copies of the entries of `other`. The copies never expire. So a run can be
    /// compared with the same run on a warm cache (a cache that contains all prefixes from the start).
    pub fn warm_like(&mut self, other: &Self) {
        self.cache = other.cache.forever();
        self.batches.cache = other.batches.cache.forever();
    }

    /// Returns whether the API is idle and will bill nothing more: no batch is open, and no call is running. If a
    /// client has left before its call ends, the call still counts as running.
    pub fn is_idle(&self) -> bool {
        self.calls.is_empty() && !self.batches.has_open()
    }

    /// Registers a model under its id and its aliases. `at` is the index of the model.
    pub(super) fn index(&mut self, at: usize) {
        let model = &self.config.models[at];
        let class = match self.classes.iter().position(|class| class.name == model.class) {
            Some(class) => class,
            None => {
                self.classes.push(Class { name: model.class.clone(), limits: model.limits, others_permille: 0 });
                self.classes.len() - 1
            }
        };
        self.class_of.push(class);
        self.models.insert(model.id.clone(), at);
        for alias in &model.aliases {
            self.models.insert(alias.clone(), at);
        }
    }

    pub(super) fn schedule(&mut self, at: Instant, event: Event) {
        if at == Instant::NEVER {
            return;
        }
        self.events_so_far += 1;
        self.events.push(Reverse((at, self.events_so_far, event)));
    }

    /// Handles all events up to the time `now`.
    pub(super) fn advance(&mut self, now: Instant) {
        while let Some(Reverse((at, _, event))) = self.events.peek().copied() {
            if at > now {
                break;
            }
            self.events.pop();
            self.now = self.now.max(at);
            self.happen(event, at);
        }
        self.now = self.now.max(now);
    }

    fn happen(&mut self, event: Event, at: Instant) {
        match event {
            Event::Begin(call) => self.begin(call, at),
            Event::End(call) => self.end(call, at),
            Event::Change(change) => self.change(change, at),
            Event::OtherStarts(other) => self.other_steady(other, true, at),
            Event::OtherStops(other) => self.other_steady(other, false, at),
            Event::OtherBurst(other) => self.other_burst(other, at),
            Event::Batch(number) => self.work_on_batch(number, at),
        }
    }

    /// Returns the account whose limits apply to an organization and a model class. If there are already too many
    /// accounts, returns the shared account of this model class.
    pub(super) fn account_of(&self, organization: u64, class: usize) -> Account {
        let own = (organization, class);
        let has_own = self.accounts.len() < MAX_ACCOUNTS || self.accounts.contains_key(&own);
        if has_own { own } else { (LATECOMERS, class) }
    }

    /// Returns whether there are too many calls or events to accept another request.
    pub(super) fn is_overloaded(&self) -> bool {
        self.calls.len() >= MAX_CALLS || self.events.len() >= 4 * MAX_CALLS
    }

    /// Returns the limits of an account, updated to the current time.
    pub(super) fn account(&mut self, account: Account) -> &mut ClassLimits {
        let (bursts, now) = (self.config.bursts, self.now);
        let class = &self.classes[account.1];
        let limits = self.accounts.entry(account).or_insert_with(|| {
            let mut limits = ClassLimits::new(class.limits, bursts, now);
            limits.set_others(class.others_permille);
            limits
        });
        limits.advance(now);
        limits
    }
}
