//! The API as a plain state machine.
//!
//! Owns everything the API decides: what it refuses, whom it lets in, what it says, how long it takes and what it
//! charges. It is given `now` and never reads a clock; it names no runtime and no HTTP server. A transport asks
//! [`Model::arrive`] what will come of a request, plays it, and tells [`Model::finish`] when it is over.
//!
//! Invariants: time only goes forward; a call is charged for output while it is produced, whether anybody listens or
//! not; every request gets an answer or a fault on order.

mod admission;
mod answer;
mod books;
mod bucket;
mod cache;
mod call;
mod chance;
mod delivery;
mod endpoints;
mod errors;
mod hash;
mod journal;
mod limits;
mod lists;
mod moods;
mod refusal;
mod reply;
mod request;
mod schema;
mod server_tools;
mod text;
mod tokens;
mod validate;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method};

use crate::clock::Instant;
use crate::domain::{Dimension, ModelClass, Money, RateLimits};
use crate::provider::ReplyHead;

use super::config::SimConfig;

use call::{Call, Phase};
use errors::ApiError;
use limits::ClassLimits;

pub use books::{Books, IdBooks};
pub use delivery::Step;
pub use journal::Line;
pub use limits::Reason;

/// Bytes of a body at most. Source: API documentation, "API overview" (2026-08).
pub const MAX_BODY_BYTES: usize = 32 << 20;
/// Classes of unknown models kept apart at most.
const MAX_UNKNOWN: usize = 1000;
/// Limits of organizations and classes kept apart at most; the organizations that come later share theirs.
const MAX_ACCOUNTS: usize = 20_000;
/// The organization that stands for those that come too late to have limits of their own.
const LATECOMERS: u64 = 1;
/// Calls that run at once at most, those included that their clients have left.
const MAX_CALLS: usize = 100_000;
/// The class of `count_tokens`, which has a limit of its own.
const TOKEN_COUNT: usize = 0;

/// A request as it arrives.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path, without the query.
    pub path: &'a str,
    /// The query, without its question mark.
    pub query: Option<&'a str>,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a [u8],
}

/// Why a body never came whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is longer than [`MAX_BODY_BYTES`].
    TooLarge,
    /// It broke off, or was sent in a way that can't be read.
    Broken,
    /// It did not come in time.
    Slow,
    /// There is no room for it beside those of others.
    NoRoom,
}

/// The name of a call between its arrival and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(u64);

/// What will come of a request.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// For [`Model::head`] and [`Model::finish`].
    pub ticket: Ticket,
    /// When the head is sent; [`Instant::NEVER`] when nothing ever comes.
    pub head_at: Instant,
    /// The head of an error answer; that of a call is made when it is sent, since its limits stand in it.
    pub head: Option<ReplyHead>,
    /// The body, after the head. A [`Step::Reset`] at the very start means that there is no head either.
    pub body: Vec<Step>,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All that [`Arrival`] says was played.
    Played,
    /// The client left before.
    Left,
}

/// A model class of the API and its limits as they stand.
#[derive(Clone, Debug)]
struct Class {
    name: ModelClass,
    limits: RateLimits,
    others_permille: u32,
}

/// Whose limits: organization and class.
type Account = (u64, usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Begin(u64),
    End(u64),
    Change(usize),
    OtherStarts(usize),
    OtherStops(usize),
    OtherBurst(usize),
}

/// The simulated API.
#[derive(Debug)]
pub struct Model {
    config: SimConfig,
    models: HashMap<Arc<str>, usize>,
    classes: Vec<Class>,
    class_of: Vec<usize>,
    accounts: HashMap<Account, ClassLimits>,
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    events_so_far: u64,
    calls: HashMap<u64, Call>,
    /// What each organization was charged, where a cap asks for it.
    spent: HashMap<u64, Money>,
    cache: cache::Cache,
    fired: Vec<u64>,
    books: Books,
    serial: u64,
    arrivals: u64,
    line: journal::Draft,
    books_since: Instant,
    now: Instant,
}

impl Model {
    /// Returns an API at the start of its time.
    pub fn new(config: SimConfig) -> Self {
        let counting = RateLimits { rpm: config.count_tokens_rpm, ..RateLimits::NONE };
        let token_count = Class { name: ModelClass(Arc::from("token-count")), limits: counting, others_permille: 0 };
        let mut model = Self {
            models: HashMap::new(),
            classes: vec![token_count],
            class_of: Vec::new(),
            accounts: HashMap::new(),
            events: BinaryHeap::new(),
            events_so_far: 0,
            calls: HashMap::new(),
            spent: HashMap::new(),
            cache: cache::Cache::default(),
            fired: vec![0; config.faults.rules.len()],
            books: Books::default(),
            serial: 0,
            arrivals: 0,
            line: journal::Draft::default(),
            books_since: Instant::ZERO,
            now: Instant::ZERO,
            config,
        };
        for at in 0..model.config.models.len() {
            model.index(at);
        }
        model.schedule_moods();
        model
    }

    /// Returns what it is like.
    pub fn config(&self) -> &SimConfig {
        &self.config
    }

    /// Sets the wall time of [`Instant::ZERO`], for dates in headers.
    pub fn set_wall_start(&mut self, wall_start: jiff::Timestamp) {
        self.config.wall_start = wall_start;
    }

    /// Sets how many requests may be open at once, from here on; `None` lifts the cap.
    pub fn set_max_concurrent(&mut self, most: Option<u32>) {
        self.config.max_concurrent = most;
    }

    /// Returns the books.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// Calls `sink` with a line for each request from here on.
    pub fn watch(&mut self, sink: impl FnMut(&Line) + Send + 'static) {
        self.line.watch(Box::new(sink));
    }

    /// Begins again with full limits, empty caches and empty books, at the present time; calls in flight are forgotten.
    pub fn reset(&mut self, now: Instant) {
        self.advance(now);
        self.books = Books::default();
        self.calls.clear();
        self.events.retain(|Reverse((_, _, event))| !matches!(event, Event::Begin(_) | Event::End(_)));
        self.spent.clear();
        self.accounts.clear();
        self.cache = cache::Cache::default();
        self.fired.fill(0);
        self.arrivals = 0;
        self.books_since = self.now;
    }

    /// Returns everything that is known about the time since the start or the last reset.
    pub fn stats(&mut self, now: Instant) -> Stats {
        let limits = self.utilisation(now);
        let seconds = self.now.since(self.books_since).as_secs_f64();
        Stats { seconds, books: self.books.figures(), limits }
    }

    /// Returns the level of a limit of the only organization, in tokens, at `now`; `None` without a limit.
    pub fn level(&mut self, model: &str, dimension: Dimension, now: Instant) -> Option<f64> {
        self.advance(now);
        let class = self.class_of[*self.models.get(model)?];
        let limits = self.account((0, class));
        limits.level(dimension).map(|units| units as f64 / bucket::TOKEN as f64)
    }

    /// Returns what other clients of the only organization took of a limit in bursts so far, in tokens.
    pub fn taken_by_others(&self, model: &str, dimension: Dimension) -> f64 {
        let class = self.models.get(model).map(|&at| self.class_of[at]);
        let account = class.and_then(|class| self.accounts.get(&(0, class)));
        account.map_or(0.0, |limits| limits.taken[dimension.index()] as f64 / bucket::TOKEN as f64)
    }

    /// Returns the share of each limit that was used since the books began, and its limit, by class.
    pub fn utilisation(&mut self, now: Instant) -> Vec<Utilisation> {
        self.advance(now);
        let elapsed = self.now.since(self.books_since).as_secs_f64() / 60.0;
        let classes = &self.classes;
        let mut all: Vec<Utilisation> = self
            .accounts
            .iter()
            .flat_map(|((organization, class), limits)| {
                Dimension::ALL.into_iter().filter_map(move |dimension| {
                    let limit = limits.limit(dimension)?;
                    let used = limits.used[dimension.index()];
                    let level = limits.level(dimension)? as f64 / bucket::TOKEN as f64;
                    let share = if elapsed > 0.0 { used as f64 / (f64::from(limit) * elapsed) } else { 0.0 };
                    let class = classes[*class].name.0.to_string();
                    let organization = *organization;
                    Some(Utilisation { organization, class, dimension: dimension.name(), limit, used, level, share })
                })
            })
            .collect();
        all.sort_by(|a, b| (a.organization, &a.class, a.dimension).cmp(&(b.organization, &b.class, b.dimension)));
        all
    }

    /// Says what will come of a request that arrives at `now`.
    pub fn arrive(&mut self, request: &Request<'_>, now: Instant) -> Arrival {
        if request.body.len() > MAX_BODY_BYTES {
            return self.arrive_unread(request, Unread::TooLarge, now);
        }
        let request_id = self.receive(request, now);
        let answer = self.answer(request, &request_id, self.now);
        let mut arrival = answer.unwrap_or_else(|stop| self.stop(*stop, &request_id, self.now));
        if *request.method == Method::HEAD {
            arrival.body.clear();
        }
        self.tell(arrival, &request_id)
    }

    /// Says what will come of a request whose body can't be had; the one in `request` is not looked at.
    pub fn arrive_unread(&mut self, request: &Request<'_>, why: Unread, now: Instant) -> Arrival {
        let request_id = self.receive(request, now);
        let error = match why {
            Unread::TooLarge => ApiError::new(413, errors::usual_message(413)),
            Unread::Broken => ApiError::invalid("The request body could not be read."),
            Unread::Slow => ApiError::new(408, "The request body did not arrive in time."),
            Unread::NoRoom => ApiError::new(529, errors::usual_message(529)),
        };
        let stop: Box<refusal::Stop> = error.into();
        let arrival = self.stop(*stop, &request_id, self.now);
        self.tell(arrival, &request_id)
    }

    /// Counts a request and gives it an id.
    fn receive(&mut self, request: &Request<'_>, now: Instant) -> String {
        self.advance(now);
        self.line.note(|line| {
            line.method = request.method.to_string();
            request.path.clone_into(&mut line.path);
        });
        self.serial += 1;
        self.books.requests += 1;
        reply::id("req_01", self.config.seed ^ 0x7265_715f, self.serial)
    }

    /// Returns whether no call is open, and none runs on that its client has left: nothing more will be billed.
    pub fn is_idle(&self) -> bool {
        self.calls.is_empty()
    }

    /// Tells who watches what will come of a request.
    fn tell(&mut self, arrival: Arrival, request_id: &str) -> Arrival {
        let now = self.now;
        self.line.note(|line| {
            line.at_s = now.as_secs_f64();
            request_id.clone_into(&mut line.request_id);
            let is_silent =
                arrival.head_at == Instant::NEVER || matches!(arrival.body.first(), Some(Step::Reset { .. }));
            line.status = (!is_silent).then(|| arrival.head.as_ref().map_or(200, |head| head.status));
            line.head_at_s = (arrival.head_at != Instant::NEVER).then(|| arrival.head_at.as_secs_f64());
        });
        self.line.send();
        arrival
    }

    /// Returns the head of a call at the moment it is sent, with the limits as they then stand.
    pub fn head(&mut self, arrival: &mut Arrival, now: Instant) -> ReplyHead {
        if let Some(head) = arrival.head.take() {
            return head;
        }
        self.advance(now);
        *self.books.statuses.entry(200).or_default() += 1;
        let Some(call) = self.calls.get(&arrival.ticket.0) else {
            return ReplyHead { status: 200, headers: HeaderMap::new() };
        };
        let content_type = if call.is_stream { "text/event-stream; charset=utf-8" } else { "application/json" };
        let account = call.account;
        let mut headers = self.base_headers(&call.request_id, account.0);
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if call.is_stream {
            headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        self.write_rate_headers(&mut headers, account);
        ReplyHead { status: 200, headers }
    }

    /// Ends an exchange. Unknown tickets (error answers have no call) are fine.
    pub fn finish(&mut self, ticket: Ticket, ending: Ending, now: Instant) {
        self.advance(now);
        let now = self.now;
        let Some(call) = self.calls.get_mut(&ticket.0).filter(|call| call.is_open) else { return };
        call.is_open = false;
        self.books.in_flight -= 1;
        match ending {
            Ending::Played if !call.is_spoiled => self.books.answer(call.body),
            Ending::Played => {}
            Ending::Left => call.is_lost = true,
        }
        // A plain call runs to its end although its client has left; a stream stops where it is. Unconfirmed.
        if ending == Ending::Left && call.is_stream && call.phase != Phase::Over {
            self.cut_short(ticket.0, now);
        }
        self.forget_if_over(ticket.0);
    }

    fn index(&mut self, at: usize) {
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

    fn schedule(&mut self, at: Instant, event: Event) {
        if at == Instant::NEVER {
            return;
        }
        self.events_so_far += 1;
        self.events.push(Reverse((at, self.events_so_far, event)));
    }

    /// Lets everything happen that happens up to `now`.
    fn advance(&mut self, now: Instant) {
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
        }
    }

    /// Returns whose limits an organization uses in a class: its own, while there are not too many.
    fn account_of(&self, organization: u64, class: usize) -> Account {
        let own = (organization, class);
        let has_own = self.accounts.len() < MAX_ACCOUNTS || self.accounts.contains_key(&own);
        if has_own { own } else { (LATECOMERS, class) }
    }

    /// Returns whether as many calls run, or will still be heard of, as are kept track of.
    fn is_overloaded(&self) -> bool {
        self.calls.len() >= MAX_CALLS || self.events.len() >= 4 * MAX_CALLS
    }

    /// Returns an account's limits, up to the present moment.
    fn account(&mut self, account: Account) -> &mut ClassLimits {
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

/// Everything that is known about a time.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Stats {
    /// How long it was, in seconds.
    pub seconds: f64,
    /// The books.
    #[serde(flatten)]
    pub books: Books,
    /// How much of each limit was used.
    pub limits: Vec<Utilisation>,
}

/// How much of a limit was used.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Utilisation {
    /// A number for the organization; 0 for the only one.
    pub organization: u64,
    /// The class of models.
    pub class: String,
    /// The dimension's name.
    pub dimension: &'static str,
    /// The limit per minute.
    pub limit: u32,
    /// What was used.
    pub used: u64,
    /// The level, in tokens.
    pub level: f64,
    /// What was used, as a part of what the limit gave since the start.
    pub share: f64,
}
