//! Rows that share prefixes: which row writes a prefix to the prompt cache, which rows wait for it, and when they are
//! sent.
//!
//! A row *leads* a prefix if its request is the one that writes the prefix. The other rows with this prefix wait behind
//! a *gate* (`gate`). The gate opens when the response to the leader begins. `warmth` knows which prefixes are *cold*
//! (not in the cache) and which are *warm* (in the cache).

use crate::clock::Instant;
use crate::domain::{ErrorClass, EventBody, Failure, Marked, Marks, Message, Prefixes, Usage, quoted};

use super::endpoint::CacheNews;
use super::entry::Entry;
use super::state::Scheduler;
use super::step::Ticket;
use super::warmth::{Key, Plan, Turn};

/// How the request of an entry was sent: to which endpoint, with which use of the cache, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentPlan {
    pub(super) endpoint: usize,
    pub(super) plan: Plan,
    pub(super) sent_at: Instant,
}

impl Scheduler {
    /// Returns the marks of a request in flight.
    ///
    /// # Panics
    /// If the ticket is not in flight.
    pub(crate) fn marked(&self, ticket: Ticket) -> Option<Marked> {
        let flight = self.flights.get(ticket).expect("the attempt with this ticket is in flight");
        let prefixes = flight.ask().prefixes.clone().filter(|_| !flight.plan.marks.is_empty())?;
        Some(Marked { prefixes, marks: flight.plan.marks })
    }

    /// Returns whether an attempt must report that its response has begun, because other rows wait for it.
    ///
    /// # Panics
    /// If the ticket is not in flight.
    pub(crate) fn is_awaited(&self, ticket: Ticket) -> bool {
        let flight = self.flights.get(ticket).expect("the attempt with this ticket is in flight");
        flight.row().is_some_and(|entry| !entry.leads.is_empty())
    }

    /// Handles the beginning of a response, with the usage that it reports: the rows that waited for it can be sent.
    pub fn on_begin(&mut self, ticket: Ticket, usage: &Usage, now: Instant) {
        let Some(flight) = self.flights.get_mut(ticket) else { return };
        let (plan, sent_at, pool) = (flight.plan, flight.sent_at, flight.pool);
        // A request without marks shows nothing about prefixes. Such a request may be the second one of a row, after a
        // refusal. The row still leads until its answer is complete.
        if plan.marks.is_empty() {
            return;
        }
        let Some(entry) = flight.row_mut() else { return };
        let leads = std::mem::take(&mut entry.leads);
        let Some(prefixes) = entry.planned.ask.prefixes.clone().filter(|_| !leads.is_empty()) else { return };
        let model = entry.planned.ask.model.clone();
        let endpoint = self.pools[pool].endpoint;
        self.settle_lead(&prefixes, leads, &model, SentPlan { endpoint, plan, sent_at }, usage, now);
    }

    /// Decides whether a row can be sent, leads or waits. If it leads, it is recorded as the leader. If it waits, this
    /// returns the gate as an error.
    pub(super) fn take_turn(&mut self, entry: &mut Entry, endpoint: usize, now: Instant) -> Result<Plan, Key> {
        let Some(prefixes) = &entry.planned.ask.prefixes else { return Ok(Plan::default()) };
        let is_own = prefixes.are_own();
        if entry.is_unmarked || (!is_own && !self.endpoints[endpoint].marking.is_allowed()) {
            return Ok(Plan::default());
        }
        if !entry.leads.is_empty() {
            // The row may have waited long for its limits. It also writes the shorter prefixes that have become cold
            // since then.
            let cold = self.warmth.cold_before(endpoint, prefixes, entry.leads, now);
            self.warmth.lead(endpoint, prefixes, cold, now);
            entry.leads = entry.leads.and(cold);
            return Ok(self.warmth.plan_of_leader(endpoint, prefixes, entry.leads, now));
        }
        match self.warmth.turn(endpoint, prefixes, now) {
            Turn::Go(plan) => Ok(plan),
            Turn::Wait(key) => Err(key),
            Turn::Lead { leads, plan } => {
                self.warmth.lead(endpoint, prefixes, leads, now);
                entry.leads = leads;
                Ok(plan)
            }
        }
    }

    /// Returns how a row uses the cache if it is sent now; `None` if it would lead or would have to wait.
    pub(super) fn plan_without_lead(&self, entry: &Entry, endpoint: usize, now: Instant) -> Option<Plan> {
        let Some(prefixes) = &entry.planned.ask.prefixes else { return Some(Plan::default()) };
        if entry.is_unmarked || (!prefixes.are_own() && !self.endpoints[endpoint].marking.is_allowed()) {
            return Some(Plan::default());
        }
        match self.warmth.turn(endpoint, prefixes, now) {
            Turn::Go(plan) if entry.leads.is_empty() => Some(plan),
            Turn::Go(_) | Turn::Lead { .. } | Turn::Wait(_) => None,
        }
    }

    /// Handles the answer to a leader, or the beginning of the answer: its usage shows whether the prefixes are cached.
    fn settle_lead(
        &mut self,
        prefixes: &Prefixes,
        leads: Marks,
        model: &str,
        sent: SentPlan,
        usage: &Usage,
        now: Instant,
    ) {
        let SentPlan { endpoint, plan, sent_at } = sent;
        self.endpoints[endpoint].marking.on_accepted();
        let is_cached = usage.cache_read_tokens > 0 || usage.cache_write_tokens() > 0;
        if is_cached {
            self.warmth.note_warm(endpoint, prefixes, leads, sent_at);
        } else {
            self.warmth.note_uncached(endpoint, prefixes, leads);
            // Marks that are part of a row are sent in any case.
            if !prefixes.are_own() {
                self.tell_uncached(prefixes, leads, model);
            }
        }
        if usage.cache_read_tokens == 0 && plan.read_tokens > 0 {
            self.note_missed(prefixes, endpoint, plan, leads);
        }
        for level in prefixes.marked(leads) {
            self.open_gate((endpoint, level.id), now);
        }
    }

    /// Handles a request that should have read a prefix, but did not. Either the prefix has left the cache, or it is
    /// too short for the model and was never cached.
    fn note_missed(&mut self, prefixes: &Prefixes, endpoint: usize, plan: Plan, leads: Marks) {
        let warm = (0..prefixes.levels.len()).rev().find(|at| plan.marks.has(*at) && !leads.has(*at));
        let Some(at) = warm else { return };
        let level = &prefixes.levels[at];
        if level.tokens < 2 * prefixes.least_tokens {
            self.warmth.note_uncached(endpoint, prefixes, Marks::NONE.with(at));
        } else {
            self.warmth.note_cold((endpoint, level.id));
        }
    }

    /// Handles the answer to a row with prefixes.
    pub(super) fn on_cached_answer(&mut self, entry: &mut Entry, sent: SentPlan, message: &Message, now: Instant) {
        let usage = &message.usage;
        let Some(prefixes) = entry.planned.ask.prefixes.clone() else { return };
        let SentPlan { endpoint, plan, sent_at } = sent;
        if entry.tests_marks && self.endpoints[endpoint].marking.on_refused() {
            self.events.push(EventBody::Warned(format!(
                "the server refuses requests with cache marks ({}): rows are sent without them from now on",
                entry.refused_marks.as_deref().map_or_else(|| "status 400".to_owned(), quoted)
            )));
        }
        if plan.marks.is_empty() {
            return self.give_up_lead(entry, endpoint, now);
        }
        let leads = std::mem::take(&mut entry.leads);
        if !leads.is_empty() {
            let model = entry.planned.ask.model.clone();
            return self.settle_lead(&prefixes, leads, &model, sent, usage, now);
        }
        self.endpoints[endpoint].marking.on_accepted();
        if plan.read_tokens == 0 {
            return;
        }
        let has_read = usage.cache_read_tokens > 0;
        if has_read {
            self.warmth.note_read(endpoint, &prefixes, plan.marks, sent_at);
        } else if usage.cache_write_tokens() > 0 {
            // The request did not find the prefix, so it has written it.
            self.warmth.note_warm(endpoint, &prefixes, plan.marks, sent_at);
        }
        let marking = &mut self.endpoints[endpoint].marking;
        let (news, missed) = (marking.on_answer(plan.read_tokens, has_read), marking.missed_share());
        let missed = (100.0 * missed).round();
        let reason = || message.cache_miss_reason().map(|reason| format!(" (the API's reason: {})", quoted(&reason)));
        let reason = news.and_then(|_| reason()).unwrap_or_default();
        match news {
            Some(CacheNews::Useless) => self.events.push(EventBody::Warned(format!(
                "prompt cache: {missed} % of what should have been read from the cache was not there{reason}, so marks cost \
                 more than they save: rows are sent without them from now on"
            ))),
            Some(CacheNews::FarFromPlan) => self.events.push(EventBody::Warned(format!(
                "prompt cache: {missed} % of what should have been read from the cache was not there{reason}, so this run \
                 costs more than planned"
            ))),
            None => {}
        }
    }

    /// If a request with marks was refused, and the marks may be the cause, prepares the row to be sent again without
    /// marks. Returns whether the row is sent again.
    pub(super) fn retries_unmarked(
        &mut self,
        entry: &mut Entry,
        sent: SentPlan,
        class: ErrorClass,
        failure: &Failure,
    ) -> bool {
        let has_marks = !sent.plan.marks.is_empty()
            && entry.planned.ask.prefixes.as_ref().is_some_and(|prefixes| !prefixes.are_own());
        let is_refused = class == ErrorClass::InvalidRequest && failure.status == Some(400);
        if !has_marks || !is_refused || !self.endpoints[sent.endpoint].marking.is_suspect() {
            return false;
        }
        entry.is_unmarked = true;
        entry.tests_marks = true;
        entry.refused_marks = Some(failure.message.clone());
        true
    }

    /// If a row leads prefixes, ends its lead: see [`Scheduler::end_lead`].
    pub(super) fn give_up_lead(&mut self, entry: &mut Entry, endpoint: usize, now: Instant) {
        let leads = std::mem::take(&mut entry.leads);
        if let Some(prefixes) = entry.planned.ask.prefixes.clone().filter(|_| !leads.is_empty()) {
            self.end_lead(&prefixes, leads, endpoint, now);
        }
    }

    /// Ends the lead of a row that did not write these prefixes. Behind each of their gates, the next row leads
    /// instead. If no row waits there, the gate is removed.
    pub(super) fn end_lead(&mut self, prefixes: &Prefixes, leads: Marks, endpoint: usize, now: Instant) {
        for level in prefixes.marked(leads) {
            self.warmth.note_cold((endpoint, level.id));
        }
        for level in prefixes.marked(leads) {
            let key = (endpoint, level.id);
            while !self.warmth.is_warming(key)
                && let Some(next) = self.gates.pop_first(key)
            {
                self.queue_first(next, now);
            }
        }
    }

    /// Opens a gate. The rows behind it keep their order and are queued in front of the other rows of their pools.
    fn open_gate(&mut self, gate: Key, now: Instant) {
        let mut queued = 0;
        for entry in self.gates.open(gate) {
            queued += usize::from(self.queue(entry, now, |pool, _| pool.ready.len().min(queued)));
        }
    }

    /// Tells the user that the API does not cache a prefix, once in a run.
    fn tell_uncached(&mut self, prefixes: &Prefixes, leads: Marks, model: &str) {
        let Some(level) = prefixes.marked(leads).next_back() else { return };
        if std::mem::replace(&mut self.is_uncached_told, true) {
            return;
        }
        let why = match level.tokens < 2 * prefixes.least_tokens {
            true => format!("{model} caches prefixes from {} tokens on", prefixes.least_tokens),
            false => "the server may have no prompt cache".to_owned(),
        };
        self.events.push(EventBody::Noted(format!(
            "the API did not cache a prefix of about {} tokens ({why}); rows with such prefixes are sent without marks",
            level.tokens
        )));
    }
}
