//! The API as a plain state machine.
//!
//! Owns everything the API decides: what it refuses, whom it lets in, what it says, how long it takes and what it
//! charges. It is given `now` and never reads a clock; it names no runtime and no HTTP server. A transport asks
//! [`Model::arrive`] what will come of a request, plays it, and tells [`Model::finish`] when it is over.
//!
//! Invariants: time only goes forward; a call is charged for output while it is produced, whether anybody listens or
//! not; every request gets an answer or a fault on order.

mod answer;
mod books;
mod bucket;
mod cache;
mod call;
mod chance;
mod delivery;
mod errors;
mod hash;
mod limits;
mod reply;
mod request;
mod schema;
mod text;
mod tokens;
mod validate;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};

use crate::clock::Instant;
use crate::domain::{Dimension, ModelClass, RateLimits};
use crate::provider::ReplyHead;

use super::config::{Keys, Organizations, OtherManner, SimConfig, UnknownModels};
use super::faults::{Fault, FaultBody, RetryAfter, StatusFault};

use answer::Answer;
use cache::Split;
use call::{Call, Phase};
use chance::Struck;
use errors::ApiError;
use hash::Hash;
use limits::{Asked, ClassLimits, Refusal};
use reply::Frame;
use request::Fields;
use validate::{Endpoint, Prompt};

pub use books::{Books, IdBooks};
pub use delivery::Step;
pub use limits::Reason;

/// Bytes of a body at most. Source: API documentation, "API overview" (2026-08).
pub const MAX_BODY_BYTES: usize = 32 << 20;
/// Classes of unknown models kept apart at most.
const MAX_UNKNOWN: usize = 1000;

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
    cache: cache::Cache,
    fired: Vec<u64>,
    books: Books,
    serial: u64,
    arrivals: u64,
    now: Instant,
}

/// Why there is no call.
enum Stop {
    Error(ApiError),
    Refused { error: ApiError, reason: Reason, retry_after: Option<u64>, account: Option<Account> },
    Ordered(StatusFault, Option<Account>),
    Reset,
}

impl From<ApiError> for Stop {
    fn from(error: ApiError) -> Self {
        Self::Error(error)
    }
}

impl Model {
    /// Returns an API at the start of its time.
    pub fn new(config: SimConfig) -> Self {
        let mut model = Self {
            models: HashMap::new(),
            classes: Vec::new(),
            class_of: Vec::new(),
            accounts: HashMap::new(),
            events: BinaryHeap::new(),
            events_so_far: 0,
            calls: HashMap::new(),
            cache: cache::Cache::default(),
            fired: vec![0; config.faults.rules.len()],
            books: Books::default(),
            serial: 0,
            arrivals: 0,
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

    /// Returns the books.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// Begins new books; calls in flight stay in flight.
    pub fn reset_books(&mut self) {
        self.books = self.books.restarted();
        self.accounts.values_mut().for_each(|limits| limits.used = [0; 3]);
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
        let elapsed = now.as_secs_f64() / 60.0;
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
        self.advance(now);
        let now = self.now;
        self.serial += 1;
        self.books.requests += 1;
        let request_id = reply::id("req_01", self.config.seed ^ 0x7265_715f, self.serial);
        match self.answer(request, &request_id, now) {
            Ok(arrival) => arrival,
            Err(stop) => self.stop(stop, &request_id, now),
        }
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

    fn schedule_moods(&mut self) {
        for at in 0..self.config.changes.len() {
            self.schedule(self.config.changes[at].at, Event::Change(at));
        }
        for at in 0..self.config.others.len() {
            let other = &self.config.others[at];
            let (from, until) = (other.from, other.until);
            match other.manner {
                OtherManner::Steady => {
                    self.schedule(from, Event::OtherStarts(at));
                    self.schedule(until, Event::OtherStops(at));
                }
                OtherManner::Bursts(_) => self.schedule(from, Event::OtherBurst(at)),
            }
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

    fn change(&mut self, change: usize, at: Instant) {
        let change = self.config.changes[change].clone();
        for class in self.classes_of(change.class.as_ref()) {
            let limits = &mut self.classes[class].limits;
            *limits = RateLimits {
                rpm: change.limits.rpm.or(limits.rpm),
                itpm: change.limits.itpm.or(limits.itpm),
                otpm: change.limits.otpm.or(limits.otpm),
            };
            self.accounts_of(class).for_each(|account| account.set(change.limits, at));
        }
    }

    fn other_steady(&mut self, other: usize, starts: bool, at: Instant) {
        let (class, permille) = (self.config.others[other].class.clone(), self.config.others[other].permille);
        for class in self.classes_of(class.as_ref()) {
            let total = &mut self.classes[class].others_permille;
            *total = if starts { *total + permille } else { total.saturating_sub(permille) };
            let total = *total;
            self.accounts_of(class).for_each(|account| {
                account.advance(at);
                account.set_others(total);
            });
        }
    }

    fn other_burst(&mut self, other: usize, at: Instant) {
        let other_client = self.config.others[other].clone();
        let OtherManner::Bursts(every) = other_client.manner else { return };
        if at >= other_client.until {
            return;
        }
        for class in self.classes_of(other_client.class.as_ref()) {
            // Only where somebody asked before: a bucket that nobody has touched is full either way a minute later.
            self.accounts_of(class).for_each(|account| {
                account.advance(at);
                account.take_share(other_client.permille);
            });
        }
        self.schedule(at + every.max(Duration::from_millis(1)), Event::OtherBurst(other));
    }

    fn classes_of(&self, name: Option<&ModelClass>) -> Vec<usize> {
        (0..self.classes.len()).filter(|&at| name.is_none_or(|name| self.classes[at].name == *name)).collect()
    }

    fn accounts_of(&mut self, class: usize) -> impl Iterator<Item = &mut ClassLimits> {
        self.accounts.iter_mut().filter(move |((_, own), _)| *own == class).map(|(_, limits)| limits)
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

    fn answer(&mut self, request: &Request<'_>, request_id: &str, now: Instant) -> Result<Arrival, Stop> {
        if request.body.len() > MAX_BODY_BYTES {
            return Err(ApiError::new(413, errors::usual_message(413)).into());
        }
        let organization = self.authenticate(request.headers)?;
        let version = version(request.headers)?;
        betas(request.headers)?;
        match (request.path, request.method) {
            ("/v1/messages", &Method::POST) => self.message(request, request_id, organization, version, now),
            ("/v1/messages", _) => Err(ApiError::new(405, "Method Not Allowed").into()),
            _ => Err(ApiError::new(404, "Not found").into()),
        }
    }

    /// Returns the organization of a request's key.
    fn authenticate(&self, headers: &HeaderMap) -> Result<u64, ApiError> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(|key| !key.is_empty());
        let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let Some(key) = text("x-api-key").or(bearer) else {
            return Err(ApiError::new(401, "x-api-key header is required"));
        };
        let is_good = match &self.config.keys {
            Keys::Any => true,
            Keys::Only(keys) => keys.iter().any(|own| own == key),
            Keys::None => false,
        };
        if !is_good {
            return Err(ApiError::new(401, "invalid x-api-key"));
        }
        Ok(match self.config.organizations {
            Organizations::One => 0,
            Organizations::PerKey => Hash::new(1).bytes(key.as_bytes()).end(),
        })
    }

    fn message(
        &mut self,
        request: &Request<'_>,
        request_id: &str,
        organization: u64,
        version: &str,
        now: Instant,
    ) -> Result<Arrival, Stop> {
        self.arrivals += 1;
        let fields = Fields::read(request.body)?;
        let name = validate::model_name(&fields)?;
        let content = fields.content_hash(self.config.seed);
        let rule = self.draw_fault(request.body, content.end(), &name, now);
        let found = self.find_model(&name);
        let account = found.map(|at| (organization, self.class_of[at]));
        if let Some(stop) = rule.and_then(|rule| self.edge_fault(rule, content.end(), account)) {
            return Err(stop);
        }
        let Some(at) = found else { return Err(ApiError::new(404, format!("model: {name}")).into()) };
        let prompt =
            validate::read(fields, &self.config.models[at], version, Endpoint::Messages, self.config.token_skew)?;
        let account = (organization, self.class_of[at]);
        self.admit(request_id, prompt, content, at, account, rule, now)
    }

    fn find_model(&mut self, name: &Cow<'_, str>) -> Option<usize> {
        if let Some(at) = self.models.get(&**name) {
            return Some(*at);
        }
        let first = self.config.models.first()?;
        if self.config.unknown_models == UnknownModels::NotFound || self.models.len() > MAX_UNKNOWN {
            return None;
        }
        let name: Arc<str> = Arc::from(&**name);
        let mut model = first.clone();
        model.class = ModelClass(name.clone());
        (model.id, model.display_name, model.aliases) = (name.clone(), name, Vec::new());
        self.config.models.push(model);
        self.index(self.config.models.len() - 1);
        Some(self.config.models.len() - 1)
    }

    fn draw_fault(&mut self, body: &[u8], content: u64, model: &str, now: Instant) -> Option<usize> {
        if self.config.faults.rules.is_empty() {
            return None;
        }
        let attempts = self.books.attempts(content);
        let struck = Struck { content, body, model, arrival: self.arrivals, attempts, now };
        chance::rule(&self.config.faults, self.config.seed, &self.fired, struck)
    }

    /// Strikes with a fault that needs no call; `None` for one that does.
    fn edge_fault(&mut self, rule: usize, content: u64, account: Option<Account>) -> Option<Stop> {
        let stop = match &self.config.faults.rules[rule].fault {
            Fault::Status(status) => Stop::Ordered(status.clone(), account),
            Fault::ResetBefore { is_billed: false } => Stop::Reset,
            _ => return None,
        };
        self.strike(rule);
        self.books.attempt(content);
        Some(stop)
    }

    fn strike(&mut self, rule: usize) {
        self.fired[rule] += 1;
        *self.books.faults.entry(rule).or_default() += 1;
    }

    #[expect(clippy::too_many_arguments, reason = "what a call is made of, all of it different")]
    fn admit(
        &mut self,
        request_id: &str,
        prompt: Prompt<'_>,
        content: Hash,
        model: usize,
        account: Account,
        rule: Option<usize>,
        now: Instant,
    ) -> Result<Arrival, Stop> {
        if let Some(early) = self.account(account).early_by(now) {
            self.books.early(early, now);
        }
        let fault = rule.map(|rule| self.config.faults.rules[rule].fault.clone());
        if let (Some(Fault::ErrorEvent { kind, .. }), false, Some(rule)) = (&fault, prompt.is_stream, rule) {
            self.strike(rule);
            self.books.attempt(content.end());
            let status = StatusFault { kind: Some(kind.clone()), ..StatusFault::new(errors::status_of(kind)) };
            return Err(Stop::Ordered(status, Some(account)));
        }
        let (split, writes) = self.split(&prompt, model, account.0, now);
        let counted = self.counted_input(split, model);
        let estimate = tokens::skewed(counted, self.config.estimate_skew);
        self.let_in(Asked { input: estimate, max_tokens: prompt.max_tokens }, account, now)?;
        self.books.attempt(content.end());
        self.books.admit();
        if let Some(rule) = rule {
            self.strike(rule);
        }
        let answer = answer::to(&prompt, &self.config.models[model], &self.config, content);
        let (begin, end) = self.times(&answer, content, now);
        let mut call =
            Call::new(account, model, content.end(), &prompt, &answer, (split, counted, estimate), (begin, end));
        call.writes = writes;
        request_id.clone_into(&mut call.request_id);
        Ok(self.start(call, &answer, fault))
    }

    fn split(
        &mut self,
        prompt: &Prompt<'_>,
        model: usize,
        organization: u64,
        now: Instant,
    ) -> (Split, Vec<cache::Write>) {
        if prompt.parts.is_empty() {
            return (Split { uncached: prompt.tokens, ..Split::default() }, Vec::new());
        }
        let scope = Hash::new(organization).word(model as u64).end();
        self.cache.split(&prompt.parts, scope, self.config.models[model].cache_min_tokens, now)
    }

    fn counted_input(&self, split: Split, model: usize) -> u64 {
        let read = if self.config.models[model].counts_cache_reads { split.read } else { 0 };
        split.uncached + split.write_5m + split.write_1h + read
    }

    /// Lets a request in, or says with which 429 it is refused.
    fn let_in(&mut self, asked: Asked, account: Account, now: Instant) -> Result<(), Stop> {
        if self.config.spend_cap.is_some_and(|cap| self.books.billed_money >= cap) {
            return Err(self.spend_cap_reached());
        }
        if self.config.max_concurrent.is_some_and(|most| self.books.in_flight >= u64::from(most)) {
            let error = ApiError::new(429, CONCURRENCY);
            return Err(Stop::Refused { error, reason: Reason::Concurrency, retry_after: None, account: None });
        }
        let (acceleration, rule, uses) =
            (self.config.acceleration, self.config.output_rule, self.config.refused_uses_request);
        let limits = self.account(account);
        if let Some(refusal) = acceleration.and_then(|rule| limits.too_fast(asked.input, rule, now)) {
            return Err(self.refuse(refusal, account));
        }
        let Err(refusal) = limits.admit(asked, rule) else { return Ok(()) };
        if uses {
            limits.charge_refused();
        }
        Err(self.refuse(refusal, account))
    }

    fn refuse(&self, refusal: Refusal, account: Account) -> Stop {
        let organization = organization_id(account.0);
        let limit = with_thousands(refusal.limit);
        let exceeded = |what: &str| {
            format!(
                "This request would exceed the rate limit for your organization ({organization}) of {limit} {what} per \
                 minute. For details, refer to: https://docs.claude.com/en/api/rate-limits. You can see the response \
                 headers for current usage. Please reduce the prompt length or the maximum tokens requested, or try \
                 again later."
            )
        };
        let error = match refusal.reason {
            Reason::Requests => ApiError::new(429, exceeded("requests")),
            Reason::InputTokens => ApiError::new(429, exceeded("input tokens")),
            Reason::OutputTokens => ApiError::new(429, exceeded("output tokens")),
            Reason::Acceleration => ApiError::new(
                429,
                format!(
                    "This request would exceed your organization's ({organization}) maximum usage increase rate for \
                     input tokens per minute. Please scale up your input tokens usage more gradually. Your current \
                     limit is {limit} input tokens per minute, and will increase at the next minute boundary."
                ),
            )
            .with_code("ramp_limit_exceeded"),
            Reason::Concurrency | Reason::SpendCap | Reason::Ordered => ApiError::new(429, errors::usual_message(429)),
        };
        Stop::Refused { error, reason: refusal.reason, retry_after: Some(refusal.retry_after), account: Some(account) }
    }

    fn spend_cap_reached(&self) -> Stop {
        let error = ApiError::new(429, SPEND_CAP).with_code("enforced_spend_limit_reached");
        Stop::Refused { error, reason: Reason::SpendCap, retry_after: None, account: None }
    }

    /// Returns when an answer begins and ends.
    fn times(&self, answer: &Answer, content: Hash, now: Instant) -> (Instant, Instant) {
        let latency = &self.config.latency;
        let swing = 2.0 * content.word(self.serial).unit() - 1.0;
        let begin = now + latency.first_token.mul_f64((latency.jitter * swing).exp());
        let seconds = answer.output_tokens as f64 / latency.tokens_per_second;
        (begin, begin + Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO))
    }

    fn start(&mut self, mut call: Call, answer: &Answer, fault: Option<Fault>) -> Arrival {
        let frame_id = reply::id("msg_01", self.config.seed, self.serial);
        let model = &self.config.models[call.model].id;
        let frame = Frame { id: &frame_id, model, split: call.split, serial: self.serial };
        let (mut head_at, mut body) = if call.is_stream {
            (call.begin, delivery::spread(reply::events(answer, frame), call.begin, call.end))
        } else {
            let bytes = Bytes::from(reply::json(answer, frame));
            (call.end, vec![Step::Bytes { at: call.end, bytes }])
        };
        if let Some(fault) = &fault {
            call.is_spoiled = !matches!(fault, Fault::SlowDrip { .. });
            (head_at, body) = self.spoil(&mut call, fault, head_at, body);
        }
        self.serial += 1;
        let ticket = self.serial;
        self.schedule(call.begin, Event::Begin(ticket));
        self.schedule(call.end, Event::End(ticket));
        self.calls.insert(ticket, call);
        Arrival { ticket: Ticket(ticket), head_at, head: None, body }
    }

    fn spoil(&self, call: &mut Call, fault: &Fault, head_at: Instant, body: Vec<Step>) -> (Instant, Vec<Step>) {
        match fault {
            Fault::ResetBefore { .. } => (head_at, vec![Step::Reset { at: head_at }]),
            Fault::Stall { at: None } => (Instant::NEVER, vec![Step::Stall]),
            Fault::ErrorEvent { at, kind } => {
                call.end_early(*at);
                let status = errors::status_of(kind);
                let error = ApiError { kind: kind.clone(), ..ApiError::new(200, errors::usual_message(status)) };
                (head_at, delivery::spoil(body, fault, &error.body(&call.request_id)))
            }
            _ => (head_at, delivery::spoil(body, fault, b"")),
        }
    }

    fn stop(&mut self, stop: Stop, request_id: &str, now: Instant) -> Arrival {
        let at = now + self.config.latency.error;
        match stop {
            Stop::Error(error) => self.error_answer(&error, HeaderMap::new(), None, request_id, at),
            Stop::Reset => Arrival { ticket: Ticket(0), head_at: at, head: None, body: vec![Step::Reset { at }] },
            Stop::Refused { error, reason, retry_after, account } => {
                self.books.refuse(reason);
                let mut headers = HeaderMap::new();
                if let Some(seconds) = retry_after {
                    headers.insert(http::header::RETRY_AFTER, HeaderValue::from(seconds));
                }
                if let (Some(account), Some(seconds)) = (account, retry_after) {
                    let known_at = at + self.config.network * 2;
                    self.account(account).hold(known_at, now + Duration::from_secs(seconds));
                }
                self.error_answer(&error, headers, account, request_id, at)
            }
            Stop::Ordered(fault, account) => self.ordered(&fault, account, request_id, at),
        }
    }

    fn ordered(&mut self, fault: &StatusFault, account: Option<Account>, request_id: &str, at: Instant) -> Arrival {
        let status = fault.status;
        if status == 429 {
            self.books.refuse(Reason::Ordered);
        }
        let mut headers = HeaderMap::new();
        let wall = self.wall(at);
        let retry_after = match &fault.retry_after {
            RetryAfter::Usual => (status == 429).then(|| "1".to_owned()),
            RetryAfter::Absent => None,
            RetryAfter::Text(text) => Some(text.clone()),
            RetryAfter::Date(ahead) => Some(http_date(wall, *ahead)),
        };
        let mut add = |name: &'static str, text: Option<String>| {
            if let Some(value) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
                headers.insert(name, value);
            }
        };
        add("retry-after", retry_after);
        add("retry-after-ms", fault.retry_after_ms.map(|ms| ms.to_string()));
        add("x-should-retry", fault.should_retry.map(|should| should.to_string()));
        match fault.body {
            FaultBody::Json => {
                let error = ApiError {
                    status,
                    kind: fault.kind.clone().unwrap_or_else(|| errors::kind_of(status).to_owned()),
                    message: fault.message.clone().unwrap_or_else(|| errors::usual_message(status).to_owned()),
                    error_code: fault.error_code.clone(),
                };
                let account = account.filter(|_| status == 429);
                self.error_answer(&error, headers, account, request_id, at)
            }
            FaultBody::Html => {
                self.edge_answer(status, "text/html; charset=UTF-8", &errors::html_page(status), headers, at)
            }
            FaultBody::Empty => self.edge_answer(status, "", "", headers, at),
        }
    }

    /// An answer of the network in front of the API: without the API's own headers.
    fn edge_answer(
        &mut self,
        status: u16,
        kind: &'static str,
        text: &str,
        mut headers: HeaderMap,
        at: Instant,
    ) -> Arrival {
        *self.books.statuses.entry(status).or_default() += 1;
        if !kind.is_empty() {
            headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        headers.insert(http::header::SERVER, HeaderValue::from_static("cloudflare"));
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let head = Some(ReplyHead { status, headers });
        Arrival { ticket: Ticket(0), head_at: at, head, body: vec![Step::Bytes { at, bytes }] }
    }

    fn error_answer(
        &mut self,
        error: &ApiError,
        own: HeaderMap,
        account: Option<Account>,
        request_id: &str,
        at: Instant,
    ) -> Arrival {
        *self.books.statuses.entry(error.status).or_default() += 1;
        let mut headers = self.base_headers(request_id, account.map_or(0, |account| account.0));
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.extend(own);
        if let Some(account) = account {
            self.write_rate_headers(&mut headers, account);
        }
        let bytes = Bytes::from(error.body(request_id));
        let head = Some(ReplyHead { status: error.status, headers });
        Arrival { ticket: Ticket(0), head_at: at, head, body: vec![Step::Bytes { at, bytes }] }
    }

    fn base_headers(&self, request_id: &str, organization: u64) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(20);
        if let Ok(value) = HeaderValue::try_from(request_id) {
            headers.insert("request-id", value);
        }
        if let Ok(value) = HeaderValue::try_from(organization_id(organization)) {
            headers.insert("anthropic-organization-id", value);
        }
        headers.insert(http::header::SERVER, HeaderValue::from_static("cloudflare"));
        headers
    }

    fn write_rate_headers(&mut self, headers: &mut HeaderMap, account: Account) {
        let wall = self.wall(self.now);
        self.account(account).write_headers(headers, wall);
    }

    fn wall(&self, at: Instant) -> jiff::Timestamp {
        let passed = jiff::SignedDuration::from_nanos(i64::try_from(at.as_nanos()).unwrap_or(i64::MAX));
        self.config.wall_start.saturating_add(passed).unwrap_or(self.config.wall_start)
    }
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

const CONCURRENCY: &str = "Number of concurrent connections has exceeded your rate limit. Please try again later or \
                           contact sales at https://www.anthropic.com/contact-sales to discuss your options.";

const SPEND_CAP: &str = "You have reached your API usage limits: your organization has crossed its monthly API usage \
                         threshold, set based on your organization's API tier. You will regain access at the start of \
                         the next month at 00:00 UTC.";

fn version(headers: &HeaderMap) -> Result<&str, ApiError> {
    let Some(version) = headers.get("anthropic-version").and_then(|value| value.to_str().ok()) else {
        return Err(ApiError::invalid("anthropic-version: header is required"));
    };
    if !validate::VERSIONS.contains(&version) {
        return Err(ApiError::invalid(format!("anthropic-version: \"{version}\" is not a valid version")));
    }
    Ok(version)
}

/// Refuses betas that do not look like one: `name-2026-01-31`. The list of the known ones is not modelled.
fn betas(headers: &HeaderMap) -> Result<(), ApiError> {
    for value in headers.get_all("anthropic-beta") {
        for beta in value.to_str().unwrap_or("").split(',').map(str::trim).filter(|beta| !beta.is_empty()) {
            if !is_beta(beta) {
                return Err(ApiError::invalid(format!(
                    "Unexpected value(s) `{beta}` for the `anthropic-beta` header."
                )));
            }
        }
    }
    Ok(())
}

fn is_beta(beta: &str) -> bool {
    let Some(at) = beta.len().checked_sub(11).filter(|&at| at > 0 && beta.is_char_boundary(at)) else { return false };
    let date = beta[at..].as_bytes();
    date.iter()
        .enumerate()
        .all(|(at, byte)| if matches!(at, 0 | 5 | 8) { *byte == b'-' } else { byte.is_ascii_digit() })
}

fn organization_id(organization: u64) -> String {
    let [high, low] = [Hash::new(organization).word(1).end(), Hash::new(organization).word(2).end()];
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xFFFF,
        high & 0xFFF,
        low >> 52,
        low & 0xFFFF_FFFF_FFFF
    )
}

fn with_thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + 4);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn http_date(wall: jiff::Timestamp, ahead: Duration) -> String {
    let ahead = jiff::SignedDuration::try_from(ahead).unwrap_or(jiff::SignedDuration::MAX);
    let at = wall.saturating_add(ahead).unwrap_or(wall);
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap_or_default()
}
