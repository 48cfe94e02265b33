//! Admits valid requests: applies injected faults and limits, and plans the answer.

use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::clock::Instant;
use crate::domain::Money;
use crate::sim::config::Organizations;
use crate::sim::faults::{Fault, StatusFault, Target};

use super::answer;
use super::blocks::Answer;
use super::cache::{Lookup, Split};
use super::call::Call;
use super::chance::{self, RequestFacts};
use super::delivery::{self, Step};
use super::diagnostics::{Miss, Remembered};
use super::errors::{self, ApiError};
use super::exchange::{Arrival, Ticket};
use super::hash::Hash;
use super::limits::{Account, Asked, Reason, Refusal};
use super::out;
use super::platform;
use super::refusal::{Stop, organization_id};
use super::reply::{self, Frame};
use super::state::{Event, Model};
use super::tokens;
use super::validate::Prompt;

impl Model {
    /// Returns the index of the fault rule that applies to a request; `None` if no rule applies.
    pub(super) fn draw_fault(&mut self, body: &[u8], content: u64, model: &str, now: Instant) -> Option<usize> {
        if self.config.faults.rules.is_empty() {
            return None;
        }
        let attempts = self.books.attempts(content);
        let is_marked = chance::is_marked(&self.config.faults, body);
        let (target, age) = (Target::Message, Duration::ZERO);
        let facts =
            RequestFacts { target, age, content, body, is_marked, model, arrival: self.arrivals, attempts, now };
        chance::rule(&self.config.faults, self.config.seed, &self.fired, facts)
    }

    /// Returns the answer to a request if the fault takes effect before the limits are checked. Returns `None` for a
    /// fault that changes an answer, because that answer has to be made first.
    pub(super) fn edge_fault(&mut self, rule: usize, content: u64, account: Option<Account>) -> Option<Stop> {
        let stop = match &self.config.faults.rules[rule].fault {
            Fault::Status(status) => Stop::Injected(status.clone(), account),
            Fault::ResetBefore { is_billed: false } => Stop::Reset,
            Fault::CacheRefused => Stop::Error(ApiError::invalid(NO_MARKS)),
            _ => return None,
        };
        self.count_fault(rule);
        self.books.attempt(content);
        Some(stop)
    }

    pub(super) fn count_fault(&mut self, rule: usize) {
        self.fired[rule] += 1;
        *self.books.faults.entry(rule).or_default() += 1;
        self.line.note(|line| line.fault = Some(rule));
    }

    /// Admits a valid request and plans its answer, or returns the reason why it is not admitted.
    #[expect(clippy::too_many_arguments, reason = "a call needs all these different parts")]
    pub(super) fn admit(
        &mut self,
        request_id: &str,
        prompt: Prompt<'_>,
        content: Hash,
        model: usize,
        account: Account,
        Drawn { fault: rule, answer: scripted }: Drawn,
        now: Instant,
    ) -> Result<Arrival, Box<Stop>> {
        if let Some(early) = self.account(account).early_by(now) {
            self.books.early(early, now);
        }
        let fault = rule.map(|rule| self.config.faults.rules[rule].fault.clone());
        if let (Some(Fault::ErrorEvent { kind, .. }), false, Some(rule)) = (&fault, prompt.is_stream, rule) {
            self.count_fault(rule);
            self.books.attempt(content.end());
            let status = StatusFault { kind: Some(kind.clone()), ..StatusFault::new(errors::status_of(kind)) };
            return Err(Box::new(Stop::Injected(status, Some(account))));
        }
        let scope = scope(&prompt, model, account.0);
        let lookup = self.look_up(&prompt, model, scope, fault.as_ref(), now);
        let split = lookup.split;
        let counted = self.counted_input(split, model);
        let estimate = tokens::skewed(counted, self.config.estimate_skew);
        self.admit_by_limits(Asked { input: estimate, max_tokens: prompt.max_tokens }, account, now)?;
        self.books.attempt(content.end());
        self.books.admit();
        self.books.cache_reads += u64::from(split.read > 0);
        self.cache.renew(&lookup, now);
        if let Some(rule) = rule {
            self.count_fault(rule);
        }
        if let Some(scripted) = scripted {
            self.count_answer(scripted);
        }
        let said_by = scripted.map(|scripted| &self.config.answers.rules[scripted]);
        let answer = answer::to(&prompt, &self.config.models[model], &self.config, content, said_by);
        let (begin, end) = self.times(&answer, content, now);
        self.line.note(|line| {
            line.input_tokens = Some(prompt.tokens);
            line.cache_read_tokens = Some(split.read);
            line.cache_write_tokens = Some(split.write_5m + split.write_1h);
            line.output_tokens = Some(answer.output_tokens);
            line.user_id = prompt.user_id.as_deref().map(str::to_owned);
        });
        let mut call =
            Call::new(account, model, content.end(), &prompt, &answer, (split, counted, estimate), (begin, end));
        call.writes = lookup.writes;
        request_id.clone_into(&mut call.request_id);
        let message_id = out::id("msg_01", self.config.seed, self.serial);
        let miss = prompt.diagnostics.as_ref().map(|asked| {
            let request = Remembered::new(scope, &prompt.settings, &prompt.parts);
            self.diagnostics.compare(asked.previous_message_id.as_deref(), &message_id, request)
        });
        let arrival = self.start(call, &answer, fault, (&message_id, miss));
        if scripted.is_some() {
            // Each block of a scripted answer can need a serial number for its id. Other answers need only the serial
            // number of their call.
            self.serial += answer.blocks.len() as u64;
        }
        Ok(arrival)
    }

    /// Returns the tokens that a prompt reads from the cache, and the entries that it writes to the cache.
    fn look_up(
        &mut self,
        prompt: &Prompt<'_>,
        model: usize,
        scope: u64,
        fault: Option<&Fault>,
        now: Instant,
    ) -> Lookup {
        if prompt.parts.is_empty() || matches!(fault, Some(Fault::CacheIgnored)) {
            return Lookup::uncached(prompt.tokens);
        }
        if let Some(Fault::CacheEvicted { after }) = fault {
            self.cache.evict(&prompt.parts, scope, *after, now);
        }
        self.cache.look_up(&prompt.parts, scope, self.config.models[model].cache_min_tokens, now)
    }

    fn counted_input(&self, split: Split, model: usize) -> u64 {
        let read = if self.config.models[model].counts_cache_reads { split.read } else { 0 };
        split.uncached + split.write_5m + split.write_1h + read
    }

    /// Counts a request against all limits, or returns a 429.
    pub(super) fn admit_by_limits(&mut self, asked: Asked, account: Account, now: Instant) -> Result<(), Box<Stop>> {
        self.check_spending(account.0)?;
        if self.config.max_concurrent.is_some_and(|most| self.open_of(account.0) >= u64::from(most)) {
            let error = ApiError::new(429, CONCURRENCY);
            return Err(Box::new(Stop::Refused {
                error,
                reason: Reason::Concurrency,
                retry_after: None,
                account: None,
            }));
        }
        let (acceleration, rule, uses) =
            (self.config.acceleration, self.config.output_rule, self.config.refused_uses_request);
        let limits = self.account(account);
        if let Some(refusal) = acceleration.and_then(|rule| limits.too_fast(asked.input, rule, now)) {
            return Err(Box::new(refuse(refusal, account)));
        }
        let Err(refusal) = limits.admit(asked, rule) else { return Ok(()) };
        if uses {
            limits.charge_refused();
        }
        Err(Box::new(refuse(refusal, account)))
    }

    /// Returns a 429 if the organization has reached the spend cap.
    pub(super) fn check_spending(&self, organization: u64) -> Result<(), Box<Stop>> {
        let spent = || self.spent.get(&organization).copied().unwrap_or(Money::ZERO);
        if self.config.spend_cap.is_some_and(|cap| spent() >= cap) {
            return Err(Box::new(spend_cap_reached()));
        }
        Ok(())
    }

    /// Returns the number of open requests of an organization.
    fn open_of(&self, organization: u64) -> u64 {
        match self.config.organizations {
            Organizations::One => self.books.in_flight,
            Organizations::PerKey => {
                self.calls.values().filter(|call| call.is_open && call.account.0 == organization).count() as u64
            }
        }
    }

    /// Counts one request for an account that has only a request limit. If the limit is used up, returns a 429.
    pub(super) fn take_request(&mut self, account: Account) -> Result<(), Box<Stop>> {
        let rule = self.config.output_rule;
        let asked = Asked { input: 0, max_tokens: 0 };
        self.account(account).admit(asked, rule).map_err(|refusal| Box::new(refuse(refusal, account)))
    }

    /// Returns when an answer begins and ends.
    fn times(&self, answer: &Answer, content: Hash, now: Instant) -> (Instant, Instant) {
        let latency = &self.config.latency;
        let swing = 2.0 * content.word(self.serial).unit() - 1.0;
        let begin = now + latency.first_token.mul_f64((latency.jitter * swing).exp());
        let seconds = answer.output_tokens as f64 / latency.tokens_per_second;
        (begin, begin + Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO))
    }

    fn start(
        &mut self,
        mut call: Call,
        answer: &Answer,
        fault: Option<Fault>,
        (id, diagnostics): (&str, Option<Option<Miss>>),
    ) -> Arrival {
        let model = &self.config.models[call.model].id;
        let frame = Frame { id, model, split: call.split, service_tier: "standard", serial: self.serial, diagnostics };
        let (mut head_at, mut body) = if call.is_stream {
            (call.begin, delivery::spread(reply::events(answer, frame), call.begin, call.end))
        } else {
            let bytes = Bytes::from(reply::json(answer, frame));
            (call.end, vec![Step::Bytes { at: call.end, bytes }])
        };
        if let Some(fault) = &fault {
            call.is_spoiled =
                !matches!(fault, Fault::SlowDrip { .. } | Fault::CacheIgnored | Fault::CacheEvicted { .. });
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
                let error = ApiError { kind: kind.clone(), ..ApiError::new(status, errors::usual_message(status)) };
                let event = platform::error_event(self.config.kind, &error, &call.request_id);
                (head_at, delivery::spoil(body, fault, &event))
            }
            _ => (head_at, delivery::spoil(body, fault, b"")),
        }
    }
}

/// The fault rule and the answer rule that apply to a request, as indexes into the lists of rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drawn {
    /// The index of the fault rule; `None` if no rule applies.
    pub fault: Option<usize>,
    /// The index of the answer rule; `None` if no rule applies.
    pub answer: Option<usize>,
}

/// Returns a hash of the organization, the model and the speed. Requests share cache entries only if they have the same
/// organization, model and speed.
pub(super) fn scope(prompt: &Prompt<'_>, model: usize, organization: u64) -> u64 {
    let speed = prompt.fields.get("speed").map_or("\"standard\"", RawValue::get);
    Hash::new(organization).word(model as u64).bytes(speed.as_bytes()).end()
}

const CONCURRENCY: &str = "Number of concurrent connections has exceeded your rate limit. Please try again later or \
                           contact sales at https://www.anthropic.com/contact-sales to discuss your options.";

/// The error message of a gateway that does not know cache breakpoints.
const NO_MARKS: &str = "cache_control: Extra inputs are not permitted";

const SPEND_CAP: &str = "You have reached your API usage limits: your organization has crossed its monthly API usage \
                         threshold, set based on your organization's API tier. You will regain access at the start of \
                         the next month at 00:00 UTC.";

pub(super) fn with_thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + 4);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns the 429 response that a limit causes.
fn refuse(refusal: Refusal, account: Account) -> Stop {
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
        Reason::Concurrency | Reason::SpendCap | Reason::BatchQueue | Reason::Injected => {
            ApiError::new(429, errors::usual_message(429))
        }
    };
    Stop::Refused { error, reason: refusal.reason, retry_after: Some(refusal.retry_after), account: Some(account) }
}

/// Returns the 429 that the spend cap causes.
fn spend_cap_reached() -> Stop {
    let error = ApiError::new(429, SPEND_CAP).with_code("enforced_spend_limit_reached");
    Stop::Refused { error, reason: Reason::SpendCap, retry_after: None, account: None }
}
