//! Rows that share prefixes: which row writes a prefix to the prompt cache, and which rows wait until it is written.
//!
//! A row *leads* a prefix if its request writes the prefix. Until the prefix is written, the other rows with this
//! prefix wait behind a *gate* (`gate`). The gate opens when the response to the leader (the row that writes the
//! prefix) begins. `warmth` knows which prefixes are *cold* (not in the cache) and which are *warm* (in the cache).

use crate::clock::Instant;
use crate::domain::{ErrorClass, EventBody, Failure, Marked, Marks, Message, Prefixes, Usage, quoted};

use super::endpoint::{CacheNews, RefusedMarks};
use super::entry::Entry;
use super::state::Scheduler;
use super::step::Ticket;
use super::warmth::{Key, Plan, Turn};

/// How the request of a row was sent: to which endpoint, with which plan for the prompt cache, and at what time.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentPlan {
    pub(super) endpoint: usize,
    pub(super) plan: Plan,
    pub(super) sent_at: Instant,
}

impl Scheduler {
    /// Returns the cache marks of a request in flight.
    ///
    /// # Panics
    /// Panics if the ticket is not in flight.
    pub(crate) fn marked(&self, ticket: Ticket) -> Option<Marked> {
        let flight = self.flights.get(ticket).expect("the attempt with this ticket is in flight");
        let prefixes = flight.ask().prefixes.clone().filter(|_| !flight.plan.marks.is_empty())?;
        Some(Marked { prefixes, marks: flight.plan.marks })
    }

    /// Returns whether an attempt must report the beginning of its response, because other rows wait for this
    /// beginning.
    ///
    /// # Panics
    /// Panics if the ticket is not in flight.
    pub(crate) fn is_awaited(&self, ticket: Ticket) -> bool {
        let flight = self.flights.get(ticket).expect("the attempt with this ticket is in flight");
        flight.row().is_some_and(|entry| !entry.leads.is_empty())
    }

    /// Handles the beginning of a response, and the token usage that this beginning contains. Rows that waited for the
    /// beginning of the response can then be sent.
    pub fn on_begin(&mut self, ticket: Ticket, usage: &Usage, now: Instant) {
        let Some(flight) = self.flights.get_mut(ticket) else { return };
        let (plan, sent_at, pool) = (flight.plan, flight.sent_at, flight.pool);
        // In two cases, the usage shows nothing about prefixes. In the first case, the request has no cache marks, for
        // example because the server rejected an earlier try with marks. In the second case, the usage is still empty,
        // because some gateways report the usage only at the end of a stream. If the usage shows nothing, the row stays
        // the leader of its prefixes until its answer is complete.
        if plan.marks.is_empty() || usage.prompt_tokens() == 0 {
            return;
        }
        let Some(entry) = flight.row_mut() else { return };
        let leads = std::mem::take(&mut entry.leads);
        let Some(prefixes) = entry.planned.ask.prefixes.clone().filter(|_| !leads.is_empty()) else { return };
        let model = entry.planned.ask.model.clone();
        let endpoint = self.pools[pool].endpoint;
        self.settle_lead(&prefixes, leads, &model, SentPlan { endpoint, plan, sent_at }, usage, now);
    }

    /// Decides what a row does: the row is sent now, leads a prefix (writes the prefix to the prompt cache), or waits.
    /// If the row leads a prefix, the row is recorded as the leader of this prefix. If the row must wait, the error
    /// contains the gate behind which the row waits.
    pub(super) fn take_turn(&mut self, entry: &mut Entry, endpoint: usize, now: Instant) -> Result<Plan, Key> {
        let Some(prefixes) = &entry.planned.ask.prefixes else { return Ok(Plan::default()) };
        let is_own = prefixes.are_own();
        if entry.is_unmarked || (!is_own && !self.endpoints[endpoint].marking.is_allowed()) {
            return Ok(Plan::default());
        }
        if !entry.leads.is_empty() {
            // While a leader waits for a limit, shorter prefixes can become cold (leave the cache). The leader then
            // writes these prefixes as well.
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

    /// Returns how a row uses the cache if it is sent now; `None` if the row would lead a prefix or would have to wait.
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

    /// Handles the answer to a leader, or the beginning of this answer. A leader is a row that writes prefixes to the
    /// cache. The usage shows whether the API has cached the prefixes.
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
            // If the row's own request contains marks, these marks are always sent.
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

    /// Handles a request that should have read a prefix from the cache, but did not. Either the prefix has left the
    /// cache, or the prefix is too short for the model and was never cached.
    fn note_missed(&mut self, prefixes: &Prefixes, endpoint: usize, plan: Plan, leads: Marks) {
        let warm = (0..prefixes.levels.len()).rev().find(|at| plan.marks.has(*at) && !leads.has(*at));
        let Some(at) = warm else { return };
        let level = &prefixes.levels[at];
        // Perhaps the prefix became cold after the request was sent, and another row writes the prefix now. If another
        // row writes the prefix now, the answer to that row will show whether the prefix is cached.
        if self.warmth.is_warming((endpoint, level.id)) {
            return;
        }
        if level.tokens < 2 * prefixes.least_tokens {
            self.warmth.note_uncached(endpoint, prefixes, Marks::NONE.with(at));
        } else {
            self.warmth.note_cold((endpoint, level.id));
        }
    }

    /// Handles the answer to a row that shares prefixes with other rows.
    pub(super) fn on_cached_answer(&mut self, entry: &mut Entry, sent: SentPlan, message: &Message, now: Instant) {
        let usage = &message.usage;
        let Some(prefixes) = entry.planned.ask.prefixes.clone() else { return };
        let SentPlan { endpoint, plan, sent_at } = sent;
        if entry.tests_marks {
            self.note_refused_marks(entry, &prefixes, endpoint, now);
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
            // The request did not find the prefix in the cache, so the request has written the prefix to the cache.
            self.warmth.note_rewritten(endpoint, &prefixes, plan.marks, sent_at);
        }
        let marking = &mut self.endpoints[endpoint].marking;
        let (news, missed) = (marking.on_answer(plan.read_tokens, has_read), marking.missed_share());
        let missed = (100.0 * missed).round();
        let reason = || message.cache_miss_reason().map(|reason| format!(" (the API's reason: {})", quoted(&reason)));
        let reason = news.and_then(|_| reason()).unwrap_or_default();
        match news {
            Some(CacheNews::Useless) => self.events.push(EventBody::Warned(format!(
                "prompt cache: {missed} % of the tokens that the cache should have had were not there{reason}, so \
                 cache marks cost more than they save: rows are sent without marks from now on"
            ))),
            Some(CacheNews::FarFromPlan) => self.events.push(EventBody::Warned(format!(
                "prompt cache: {missed} % of the tokens that the cache should have had were not there{reason}, so this \
                 run costs more than planned"
            ))),
            None => {}
        }
    }

    /// Handles a row that was rejected with cache marks and answered without them.
    fn note_refused_marks(&mut self, entry: &mut Entry, prefixes: &Prefixes, endpoint: usize, now: Instant) {
        let refused = self.endpoints[endpoint].marking.on_refused(entry.leads.is_empty());
        let (is_new, what, from_now_on) = match refused {
            RefusedMarks::Any { is_new } => {
                (is_new, "requests with cache marks", "rows are sent without them from now on")
            }
            RefusedMarks::OfPrefix { is_new } => {
                let leads = std::mem::take(&mut entry.leads);
                self.warmth.note_refused(endpoint, prefixes, leads);
                prefixes.marked(leads).for_each(|level| self.open_gate((endpoint, level.id), now));
                (is_new, "cache marks of some rows", "such rows are sent without marks")
            }
        };
        if is_new {
            let why = entry.refused_marks.as_deref().map_or_else(|| "status 400".to_owned(), quoted);
            self.events.push(EventBody::Warned(format!("the server refuses {what} ({why}): {from_now_on}")));
        }
    }

    /// Prepares a rejected row to be sent again without cache marks, if the marks possibly caused the rejection.
    /// Returns whether the row must be sent again.
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
        // If the server has accepted cache marks before, the marks are rarely the cause of a rejection. So normally,
        // only two kinds of rows are sent again: leaders, and rows whose endpoint has accepted no marks yet. A row of
        // another kind is sent again only if the server's message blames its cache marks. For example, a message blames
        // the marks when a gateway has begun to send requests to another server.
        let is_blamed = failure.message.contains("cache_control");
        let may_be_marks = self.endpoints[sent.endpoint].marking.is_suspect() || !entry.leads.is_empty() || is_blamed;
        if !has_marks || !is_refused || !may_be_marks {
            return false;
        }
        entry.is_unmarked = true;
        entry.tests_marks = true;
        entry.refused_marks = Some(failure.message.clone());
        true
    }

    /// If a row is the leader of some prefixes (it writes them to the cache), calls [`Scheduler::end_lead`] for these
    /// prefixes.
    pub(super) fn give_up_lead(&mut self, entry: &mut Entry, endpoint: usize, now: Instant) {
        let leads = std::mem::take(&mut entry.leads);
        if let Some(prefixes) = entry.planned.ask.prefixes.clone().filter(|_| !leads.is_empty()) {
            self.end_lead(&prefixes, leads, endpoint, now);
        }
    }

    /// Ends the role of a row as leader, because the row did not write its prefixes to the cache. For each of these
    /// prefixes, the next row behind the gate becomes the new leader. If no row waits behind a gate, the gate is
    /// removed.
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

    /// Opens the gate of a prefix. The rows behind the gate keep their order and are queued in front of the other rows
    /// of their pools.
    fn open_gate(&mut self, gate: Key, now: Instant) {
        let mut queued = 0;
        for entry in self.gates.open(gate) {
            queued += usize::from(self.queue(entry, now, |pool, _| pool.ready.len().min(queued)));
        }
    }

    /// Tells the user, at most once in a run, that the API does not cache a prefix.
    fn tell_uncached(&mut self, prefixes: &Prefixes, leads: Marks, model: &str) {
        let Some(level) = prefixes.marked(leads).next_back() else { return };
        if std::mem::replace(&mut self.is_uncached_told, true) {
            return;
        }
        let why = match level.tokens < 2 * prefixes.least_tokens {
            true => format!("{model} caches prefixes of {} tokens or more", prefixes.least_tokens),
            false => "the server may have no prompt cache".to_owned(),
        };
        self.events.push(EventBody::Noted(format!(
            "the API did not cache a prefix of about {} tokens ({why}); rows with such prefixes are sent without marks",
            level.tokens
        )));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet, HashMap};
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::tests::{answer, config, fault, limited, planned};
    use super::super::{Budget, Config, HaltRule, Next, Step};
    use super::*;
    use crate::answer::{Decision, Policy, RequestResult};
    use crate::domain::{
        Ask, Caching, HaltReason, JobId, Level, LimitKind, MarkPlace, ModelClass, Money, Planned, PoolId, PrefixId,
        RateLimits, Verdict,
    };

    const ROWS: u64 = 60;
    const SEEDS: u64 = 500;

    #[test]
    fn in_random_runs_each_prefix_that_rows_wait_for_has_one_leader_and_every_row_ends() {
        for seed in 0..SEEDS {
            if let Err(panic) = std::panic::catch_unwind(|| random_run(seed)) {
                eprintln!("the run of seed {seed} fails");
                std::panic::resume_unwind(panic);
            }
        }
    }

    fn random_run(seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut scheduler = Scheduler::new(random_config(seed, &mut random));
        let trouble = random.f64() * [0.0, 0.5, 1.0][random.usize(0..3)];
        let (mut in_flight, mut ended) = (BTreeMap::new(), BTreeSet::new());
        let (mut now, mut offered, mut order) = (Instant::ZERO, 0, 0_u64);
        for _ in 0..30_000 {
            if offered < ROWS && random.bool() {
                scheduler.offer(random_row(offered, &mut random), now);
                offered += 1;
                if offered == ROWS {
                    scheduler.close_input();
                }
            }
            check(&scheduler);
            let (until, is_waiting) = match scheduler.poll(now) {
                Step::Dispatch { ticket, .. } => {
                    check_marks(&scheduler, ticket);
                    order += 1;
                    in_flight.insert((now + Duration::from_millis(random.u64(1..20_000)), order), ticket);
                    continue;
                }
                Step::Canary { ticket } => {
                    order += 1;
                    in_flight.insert((now + Duration::from_millis(100), order), ticket);
                    continue;
                }
                Step::Drained if offered < ROWS && scheduler.halted().is_none() => (now + Duration::from_secs(1), true),
                Step::Drained => {
                    note(&mut ended, scheduler.take_set_aside());
                    assert_eq!(scheduler.waiting(), 0, "rows wait for ever");
                    assert_eq!(ended.len() as u64, offered, "every row ends once");
                    return;
                }
                Step::Wait { until, .. } => (until, false),
            };
            note(&mut ended, scheduler.take_set_aside());
            let first = in_flight.first_key_value().map(|((at, _), _)| *at).unwrap_or(Instant::NEVER);
            let next = until.min(first);
            if next == Instant::NEVER {
                assert!(is_waiting || offered < ROWS, "nothing will happen any more: {:?}", scheduler.waiting());
                now = now + Duration::from_secs(1);
                continue;
            }
            now = now.max(next);
            if first <= now
                && let Some(((_, _), ticket)) = in_flight.pop_first()
            {
                let is_row = scheduler.flights.get(ticket).is_some_and(|flight| flight.row().is_some());
                let verdict = random_verdict(trouble, &mut random);
                if let (Verdict::Answered(message), true) = (&verdict, random.bool()) {
                    scheduler.on_begin(ticket, &message.usage, now);
                    check(&scheduler);
                }
                match scheduler.on_end(ticket, verdict, now) {
                    Next::Finished(outcome) => assert!(ended.insert(outcome.job.id.0)),
                    Next::Pending { planned, .. } => assert!(ended.insert(planned.job.id.0)),
                    Next::Again { .. } | Next::More { .. } | Next::FollowUp { .. } => {}
                    Next::NoRow => assert!(!is_row),
                }
            }
        }
        panic!("the run does not end: {} rows wait", scheduler.waiting());
    }

    fn note(ended: &mut BTreeSet<u64>, rows: Vec<Planned>) {
        rows.iter().for_each(|planned| assert!(ended.insert(planned.job.id.0)));
    }

    /// Each prefix that is being written to the cache has one leader, and rows wait only for such prefixes.
    fn check(scheduler: &Scheduler) {
        if scheduler.halted.is_some() {
            return;
        }
        let mut leaders: HashMap<Key, usize> = HashMap::new();
        for entry in scheduler.waiting_rows().chain(scheduler.flights.rows()) {
            let Some(prefixes) = &entry.planned.ask.prefixes else { continue };
            let endpoint = scheduler.endpoint_of_entry(entry).expect("its pool is open");
            for level in prefixes.marked(entry.leads) {
                *leaders.entry((endpoint, level.id)).or_default() += 1;
                assert!(scheduler.warmth.is_warming((endpoint, level.id)), "a row leads what is not being written");
            }
        }
        assert!(leaders.values().all(|leaders| *leaders == 1), "two rows lead the same prefix: {leaders:?}");
        assert!(scheduler.warmth.warming().all(|key| leaders.contains_key(&key)), "nobody leads");
        assert!(scheduler.gates.closed().all(|key| leaders.contains_key(&key)), "rows wait for nobody");
        assert!(scheduler.gates.rows().all(|entry| entry.leads.is_empty()), "a leader waits for another one");
    }

    fn check_marks(scheduler: &Scheduler, ticket: Ticket) {
        let Some(Marked { prefixes, marks }) = scheduler.marked(ticket) else { return };
        assert!(marks.count() <= Prefixes::MOST_MARKS, "{marks:?}");
        let lifetimes: Vec<Caching> = prefixes.marked(marks).map(|level| level.lifetime).collect();
        assert!(lifetimes.is_sorted_by(|one, next| one >= next), "{lifetimes:?}");
    }

    fn random_config(seed: u64, random: &mut fastrand::Rng) -> Config {
        let limits = [RateLimits::NONE, RateLimits::new(20, 100_000, 5_000), RateLimits::new(1_000, 9_000, 100_000)];
        let budget = match random.u8(0..4) {
            0 => Budget::new(Some(Money(random.u64(1_000..9_000) as _)), None, None, Money::ZERO),
            1 => Budget::new(None, Some(random.u64(1..100)), None, Money::ZERO),
            _ => Budget::default(),
        };
        let reroutes = random.bool();
        let policy: Policy = Box::new(move |job, ask, came, attempts| match came {
            RequestResult::Answer(_) if reroutes && job.id.0 % 5 == 0 && attempts.len() < 3 => {
                Decision::Ask(Box::new(Ask {
                    prefixes: if job.id.0 % 2 == 0 { None } else { ask.prefixes.clone() },
                    ..ask.clone()
                }))
            }
            RequestResult::Failure { .. } | RequestResult::Halt(_)
                if reroutes && attempts.len() < 5 && job.id.0 % 3 > 0 =>
            {
                let pool = PoolId { account: "other".into(), ..PoolId::clone(&ask.pool) };
                Decision::Ask(Box::new(Ask { pool: pool.into(), ..ask.clone() }))
            }
            _ => Decision::Keep,
        });
        Config {
            halt: HaltRule::Never,
            budget,
            policy: Some(policy),
            seed,
            retry_for: Duration::from_secs([5, 100, 1_800][random.usize(0..3)]),
            max_retries: random.u32(0..4),
            retry_ambiguous: random.bool(),
            ..config(limits[random.usize(0..3)], random.usize(1..12))
        }
    }

    fn random_row(number: u64, random: &mut fastrand::Rng) -> Planned {
        let mut planned = planned(&number.to_string(), random.u32(100..6_000), 100);
        planned.job.id = JobId(number);
        let model = ["one", "two"][random.usize(0..2)];
        planned.ask.model = model.into();
        let account = ["first", "first", "first", "second"][random.usize(0..4)];
        let class = ModelClass(["one", "two"][random.usize(0..2)].into());
        planned.ask.pool = Arc::new(PoolId { account: account.into(), class, ..PoolId::clone(&planned.ask.pool) });
        let mut id = u64::from(model == "two");
        let hours = random.usize(0..3);
        let levels = (0..random.usize(0..8)).map(|at| {
            id = id * 4 + 2 + random.u64(0..2) * u64::from(at < 3) * u64::from(random.u8(0..3) == 0);
            Level {
                id: PrefixId(id + 1),
                tokens: 800 + 600 * at as u32,
                place: MarkPlace::Block { brace: 0 },
                lifetime: if at < hours { Caching::Hour } else { Caching::FiveMinutes },
            }
        });
        let mut levels: Vec<Level> = levels.collect();
        if random.u8(0..3) == 0 {
            levels.retain(|_| random.u8(0..4) > 0);
        }
        if random.u8(0..20) == 0 {
            levels.iter_mut().for_each(|level| level.place = MarkPlace::Own);
            levels.truncate(4);
        }
        if !levels.is_empty() {
            let prefixes = Prefixes { levels, least_tokens: 1_024, extra_most: [Money::ZERO; 2] };
            planned.ask.prefixes = Some(prefixes.into());
        }
        planned
    }

    fn random_verdict(trouble: f64, random: &mut fastrand::Rng) -> Verdict {
        let failure = || Failure { status: Some(400), ..Failure::default() };
        if random.f64() >= trouble {
            let Verdict::Answered(message) = answer() else { unreachable!("it is an answer") };
            let (read, written) = [(900, 0), (900, 900), (0, 900), (0, 0)][random.usize(0..4)];
            let usage = Usage { cache_read_tokens: read, cache_write_5m_tokens: written, ..message.usage };
            return Verdict::Answered(Message { usage, ..message });
        }
        match random.u8(0..40) {
            0..8 => limited([None, Some(1), Some(30), Some(2_000)][random.usize(0..4)]),
            8..14 => {
                let kind = if random.bool() { LimitKind::Concurrency } else { LimitKind::Acceleration };
                Verdict::Limited { kind, retry_after: None, failure: Failure::default() }
            }
            14..24 => fault(),
            24..28 => Verdict::Overloaded { retry_after: None, maybe_paid: random.bool(), failure: Failure::default() },
            28..36 => Verdict::Rejected { class: ErrorClass::InvalidRequest, failure: failure() },
            36 => Verdict::Forbidden(Failure::default()),
            37 => Verdict::NoModel(Failure { status: Some(404), ..Failure::default() }),
            38 => Verdict::Halt(HaltReason::Key(Failure::default())),
            _ => Verdict::Aborted,
        }
    }
}
