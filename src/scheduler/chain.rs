//! Sends rows to the next endpoint of a chain.
//!
//! A row begins at the first endpoint of the chain. In a run, a row moves only forward, and never back to an earlier
//! endpoint. An endpoint is skipped if it has halted, does not have the row's model, or can't process the row. At its
//! new endpoint, the row can use all its tries again, and its earlier attempts stay in its history.
//!
//! Most rows move before they are sent: the next endpoint takes them from the queue (`pull`).

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{
    Ask, ErrorClass, EventBody, Failure, FallbackCase, HaltReason, Job, LimitKind, Message, Purpose, Quality,
};

use super::endpoint::{Detour, Endpoint, EndpointId};
use super::entry::Entry;
use super::fallback::case_of_halt;
use super::flights::End;
use super::state::Scheduler;
use super::step::Next;

/// The shortest time for which reporters show that rows are sent to the next endpoint. This time begins when a row
/// moves to the next endpoint.
const SHOWN: Duration = Duration::from_secs(60);
/// A row moves to the next endpoint after it has received this many overload responses.
const OVERLOADS: u32 = 2;

/// Why a row leaves its endpoint after an attempt.
pub(super) struct Leaves {
    pub(super) case: FallbackCase,
    pub(super) class: ErrorClass,
    /// The HTTP status of the row's last attempt.
    pub(super) status: Option<u16>,
    /// If the row leaves its endpoint because of a limit, the kind of this limit; otherwise `None`.
    pub(super) limit: Option<LimitKind>,
}

impl Scheduler {
    /// Returns the number of endpoints in the chain; 0 if there is no chain. The endpoints of the chain come first in
    /// `endpoints`.
    pub(super) fn chain_len(&self) -> usize {
        if self.config.fallback.is_some() { self.config.endpoints.len() } else { 0 }
    }

    /// Returns whether the user wants rows to be sent to the next endpoint in this case.
    pub(super) fn falls_back(&self, case: FallbackCase) -> bool {
        self.config.fallback.as_ref().is_some_and(|fallback| fallback.on.has(case))
    }

    /// Returns the longest time that a row waits because of limits. If the wait would be longer, the row can move to
    /// another endpoint.
    pub(super) fn longest_wait(&self) -> Option<Duration> {
        self.config.fallback.as_ref()?.on.limit
    }

    /// Returns the first endpoint after `from` that has not halted.
    pub(super) fn next_endpoint(&self, from: usize) -> Option<usize> {
        (from + 1..self.chain_len()).find(|at| self.endpoints[*at].halted.is_none())
    }

    /// Returns whether at least one endpoint has not halted and can get rows of the input.
    pub(super) fn is_endpoint_left(&self) -> bool {
        if self.config.fallback.is_none() {
            return self.endpoints.iter().any(|endpoint| endpoint.halted.is_none());
        }
        let leads_on = |reason: &HaltReason| case_of_halt(reason).is_some_and(|case| self.falls_back(case));
        let chain = &self.endpoints[..self.chain_len()];
        let first = chain.iter().find(|endpoint| !endpoint.halted.as_ref().is_some_and(leads_on));
        first.is_some_and(|endpoint| endpoint.halted.is_none())
    }

    /// Makes the request of a row for the next endpoint in the chain that accepts the row.
    ///
    /// # Errors
    /// Returns the reason why no endpoint accepts the row; `None` if rows do not change their endpoint in this case, or
    /// if no endpoint is left.
    pub(super) fn next_ask(&self, entry: &Entry, from: usize, case: FallbackCase) -> Result<Box<Ask>, Option<String>> {
        if self.halted.is_some() || !self.falls_back(case) {
            return Err(None);
        }
        let mut why = None;
        for to in from + 1..self.chain_len() {
            if self.endpoints[to].halted.is_some() {
                continue;
            }
            match self.ask_at(&entry.planned.job, to) {
                Ok(ask) => return Ok(ask),
                Err(words) => why = Some(words),
            }
        }
        Err(why)
    }

    /// Returns the row's request for the endpoint `to` of the chain.
    ///
    /// # Errors
    /// Returns the reason why the endpoint does not accept the row.
    ///
    /// # Panics
    /// Panics if there is no chain, or if the chain makes a request for an endpoint other than `to`.
    pub(super) fn ask_at(&self, job: &Job, to: usize) -> Result<Box<Ask>, String> {
        let fallback = self.config.fallback.as_ref().expect("rows go to another provider only if there is a chain");
        let Endpoint { id, access, .. } = &self.endpoints[to];
        match (fallback.ask_for)(job, id) {
            Ok(ask) if access.lacks(&ask.model) => {
                Err(format!("{} does not have the model {}", id.provider, ask.model))
            }
            Ok(ask) if ask.expense.is_none() && self.config.budget.max_cost.is_some() => Err(format!(
                "--max-cost needs a price for {} at {name}: give it with prices in [providers.{name}]",
                ask.model,
                name = id.provider
            )),
            Ok(ask) => {
                assert_eq!(EndpointId::of(&ask.pool), *id, "the request is for the endpoint that was named");
                Ok(Box::new(Ask { purpose: Purpose::Fallback, ..ask }))
            }
            Err(failure) => Err(format!("{} can't be sent this row: {}", id.provider, failure.message)),
        }
    }

    /// Returns the row's request for the next endpoint of the chain. Endpoints that do not accept the row are skipped.
    /// If no endpoint accepts the row, the user is told the reason, at most once in a run.
    pub(super) fn ask_elsewhere(&mut self, entry: &Entry, from: usize, case: FallbackCase) -> Option<Box<Ask>> {
        match self.next_ask(entry, from, case) {
            Ok(ask) => Some(ask),
            Err(why) => {
                why.into_iter().for_each(|why| self.tell_stay(&why));
                None
            }
        }
    }

    /// Tells the user, at most once in a run, why a row can't be sent to another endpoint.
    pub(super) fn tell_stay(&mut self, why: &str) {
        if !std::mem::replace(&mut self.is_stay_told, true) {
            self.events.push(EventBody::Warned(format!("some rows can't be sent to another provider: {why}")));
        }
    }

    /// Returns the reason why a row that has tries left moves to the next endpoint; `None` if the row stays at its
    /// endpoint. The row began to wait at the instant `since`. If the row stayed at its endpoint, its next try would be
    /// at the instant `at`.
    pub(super) fn early_case(&self, entry: &Entry, since: Instant, at: Instant, end: &End) -> Option<FallbackCase> {
        let next = self.next_endpoint(end.endpoint)?;
        // If the next endpoint fails, the row does not move, because a moved row can't come back.
        if entry.must_stay || self.endpoints[next].health.is_failing() {
            return None;
        }
        let is_long = |wait: Duration| self.longest_wait().is_some_and(|longest| wait > longest);
        if entry.overloads >= OVERLOADS && self.falls_back(FallbackCase::Overload) {
            return Some(FallbackCase::Overload);
        }
        (is_long(end.now.since(since)) || is_long(at.since(end.now))).then_some(FallbackCase::Limit)
    }

    /// Returns whether the program is allowed to send a row again. The user can forbid this for rows whose last attempt
    /// was possibly billed.
    pub(super) fn may_send_again(&self, entry: &Entry) -> bool {
        self.config.retry_ambiguous || !entry.attempts.last().is_some_and(|attempt| attempt.maybe_paid)
    }

    /// After an attempt has ended without an answer, sends the row to another endpoint.
    pub(super) fn leave(&mut self, entry: Box<Entry>, ask: Ask, leaves: &Leaves, end: &End) -> Next {
        self.note_detour(end.endpoint, &ask.pool.provider, leaves.case, end.now + SHOWN);
        self.leave_untold(entry, ask, leaves, end)
    }

    /// Does the same as [`Scheduler::leave`], but creates no event for reporters.
    pub(super) fn leave_untold(&mut self, entry: Box<Entry>, ask: Ask, leaves: &Leaves, end: &End) -> Next {
        let maybe_paid = entry.attempts.last().is_some_and(|attempt| attempt.maybe_paid);
        let keeps_mark = entry.keeps_mark();
        let row = entry.retried(leaves.status, Duration::ZERO);
        self.ask_again(entry, ask, end.now);
        Next::Again { row, class: leaves.class, limit: leaves.limit, maybe_paid, keeps_mark }
    }

    /// Handles a row that can't be tried again at its endpoint: the row moves to the next endpoint, or it fails.
    pub(super) fn leave_or_fail(
        &mut self,
        entry: Box<Entry>,
        leaves: &Leaves,
        failure: Failure,
        is_retryable: bool,
        end: &End,
    ) -> Next {
        let mut failure = failure;
        if self.may_send_again(&entry) {
            match self.next_ask(&entry, end.endpoint, leaves.case) {
                Ok(ask) => return self.leave(entry, *ask, leaves, end),
                Err(Some(why)) => failure.message = format!("{}; {why}", failure.message),
                Err(None) => {}
            }
        }
        self.fail(entry, leaves.class, failure, is_retryable, end)
    }

    /// Decides whether a row moves to the next endpoint after the model refused to answer it. If the row moves, returns
    /// the row's request for the next endpoint, and the failure that records the refusal. `provider` is the provider
    /// whose model refused to answer. The result is `None` if the row stays at its endpoint.
    pub(super) fn after_refusal(
        &self,
        entry: &Entry,
        provider: &str,
        message: &Message,
    ) -> Option<(Box<Ask>, Box<Failure>)> {
        if message.quality != Quality::Refused || !self.falls_back(FallbackCase::Refusal) {
            return None;
        }
        let chain = &self.endpoints[..self.chain_len()];
        let from = chain.iter().position(|endpoint| *endpoint.id.provider == *provider)?;
        let ask = self.next_ask(entry, from, FallbackCase::Refusal).ok()?;
        let failure = Failure {
            status: Some(200),
            message: "the model refused to answer".to_owned(),
            request_id: entry.attempts.last().and_then(|attempt| attempt.request_id.clone()),
            answer: Some(message.json.clone()),
            ..Failure::default()
        };
        Some((ask, Box::new(failure)))
    }

    /// Records that rows of an endpoint are sent to another endpoint, at least until `until`. An event tells reporters
    /// when such a detour begins. Another event tells reporters when the endpoint has halted.
    pub(super) fn note_detour(&mut self, from: usize, to: &Arc<str>, why: FallbackCase, until: Instant) {
        let endpoint = &mut self.endpoints[from];
        if let Some(detour) = &mut endpoint.detour
            && (endpoint.halted.is_none() || detour.why == why)
        {
            detour.until = detour.until.max(until);
            return;
        }
        endpoint.detour = Some(Detour { why, until });
        self.events.push(EventBody::Diverted { from: endpoint.id.provider.clone(), to: to.clone(), why });
    }

    /// During a detour, an endpoint's rows are sent to the next endpoint. This function ends each detour whose time is
    /// over. After that, the endpoint gets its own rows again.
    pub(super) fn end_detours(&mut self, now: Instant) {
        for at in 0..self.chain_len() {
            let Endpoint { id, health, halted, detour, .. } = &self.endpoints[at];
            let is_over = detour.is_some_and(|detour| now >= detour.until) && !health.is_failing() && halted.is_none();
            if is_over && !self.pools.iter().any(|state| state.endpoint == at && state.closed_until.is_some()) {
                self.events.push(EventBody::Returned { to: id.provider.clone() });
                self.endpoints[at].detour = None;
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::tests::{answer, config, dispatched, fault, planned};
    use super::super::{Config, Fallback, Scheduler, Step, Ticket};
    use super::*;
    use crate::domain::{Ended, Expense, FallbackOn, HaltReason, Money, Planned, PoolId, RateLimits, Verdict};

    const NOW: Instant = Instant::from_secs(1);

    /// Returns the settings of a run with a chain of these providers. A row whose id contains "bound" can be sent only
    /// to the first provider.
    pub(crate) fn chain(providers: &[&str], on: FallbackOn, window: usize) -> Config {
        let id = |name: &&str| EndpointId { provider: (*name).into(), account: "".into() };
        let ask_for = |job: &Job, id: &EndpointId| match job.custom_id.contains("bound") {
            true => Err(Box::new(Failure { message: "it needs a tool".to_owned(), ..Failure::default() })),
            false => Ok(of(&job.custom_id, &id.provider).ask),
        };
        Config {
            endpoints: providers.iter().map(id).collect(),
            fallback: Some(Fallback { on, ask_for: Box::new(ask_for) }),
            ..config(RateLimits::NONE, window)
        }
    }

    /// Returns a planned row for a provider.
    pub(crate) fn of(label: &str, provider: &str) -> Planned {
        let mut planned = planned(label, 100, 100);
        planned.ask.pool = Arc::new(PoolId { provider: provider.into(), ..PoolId::clone(&planned.ask.pool) });
        planned
    }

    /// Returns the label and the provider of each request in flight.
    pub(crate) fn sent(scheduler: &Scheduler, tickets: &[Ticket]) -> Vec<(String, String)> {
        let row = |ticket: &Ticket| scheduler.sent(*ticket);
        tickets.iter().map(row).map(|row| (row.job.custom_id.clone(), row.ask.pool.provider.to_string())).collect()
    }

    /// Returns one text for each event `Diverted` or `Returned`.
    pub(crate) fn told(scheduler: &mut Scheduler) -> Vec<String> {
        let words = |event: EventBody| match event {
            EventBody::Diverted { from, to, why } => Some(format!("{from} > {to}: {}", why.name())),
            EventBody::Returned { to } => Some(format!("back to {to}")),
            _ => None,
        };
        scheduler.take_events().into_iter().filter_map(words).collect()
    }

    fn offered(config: Config, labels: &[&str]) -> Scheduler {
        let mut scheduler = Scheduler::new(config);
        labels.iter().for_each(|label| scheduler.offer(of(label, "one"), Instant::ZERO));
        scheduler
    }

    fn pairs(rows: &[(&str, &str)]) -> Vec<(String, String)> {
        rows.iter().map(|(label, provider)| ((*label).to_owned(), (*provider).to_owned())).collect()
    }

    fn failure(status: u16) -> Failure {
        Failure { status: Some(status), message: format!("status {status}"), ..Failure::default() }
    }

    fn overloaded() -> Verdict {
        Verdict::Overloaded { retry_after: None, maybe_paid: false, failure: failure(529) }
    }

    /// Answers all requests until the run is over. Returns the label and the provider of each request that was sent.
    fn finish(scheduler: &mut Scheduler, now: Instant) -> Vec<(String, String)> {
        let mut all = Vec::new();
        loop {
            let tickets = dispatched(scheduler, now);
            if tickets.is_empty() {
                return all;
            }
            all.extend(sent(scheduler, &tickets));
            tickets.into_iter().for_each(|ticket| drop(scheduler.on_end(ticket, answer(), now)));
        }
    }

    #[test]
    fn the_mark_of_a_row_that_moved_holds_the_money_of_both_providers() {
        let priced = |mut planned: Planned, most| {
            planned.ask.expense = Some(Expense { most: Money(most), ..Expense::default() });
            planned
        };
        let ask_for = move |job: &Job, id: &EndpointId| Ok(priced(of(&job.custom_id, &id.provider), 50).ask);
        let config = chain(&["one", "two"], FallbackOn::default(), 4);
        let fallback = Fallback { on: FallbackOn::default(), ask_for: Box::new(ask_for) };
        let mut scheduler = Scheduler::new(Config { fallback: Some(fallback), ..config });
        scheduler.offer(priced(of("a", "one"), 20), Instant::ZERO);
        let overloaded = || Verdict::Overloaded { retry_after: None, maybe_paid: true, failure: failure(529) };

        let mut marks = Vec::new();
        for seconds in [0, 90, 180] {
            let now = Instant::from_secs(seconds);
            let ticket = dispatched(&mut scheduler, now)[0];
            marks.push(scheduler.at_most(ticket));
            let ended = scheduler.on_end(ticket, overloaded(), now);
            assert!(matches!(ended, Next::Again { keeps_mark: Some(_), .. }), "{ended:?}");
        }

        assert_eq!(marks, [20, 40, 90].map(Money));
    }

    #[test]
    fn a_row_moves_at_its_second_overload_and_keeps_its_attempts() {
        let mut scheduler = offered(chain(&["one", "two"], FallbackOn::default(), 4), &["a"]);
        let first = dispatched(&mut scheduler, Instant::ZERO)[0];
        drop(scheduler.on_end(first, overloaded(), Instant::ZERO));
        let later = Instant::from_secs(90);
        let second = dispatched(&mut scheduler, later);
        assert_eq!(sent(&scheduler, &second), pairs(&[("a", "one")]));

        assert!(matches!(scheduler.on_end(second[0], overloaded(), later), Next::Again { .. }));
        let third = dispatched(&mut scheduler, later);

        assert_eq!(sent(&scheduler, &third), pairs(&[("a", "two")]));
        assert_eq!(scheduler.sent(third[0]).ask.purpose, Purpose::Fallback);
        let Next::Finished(outcome) = scheduler.on_end(third[0], answer(), later) else { panic!("it was answered") };
        let providers: Vec<_> = outcome.attempts.iter().map(|attempt| &*attempt.provider).collect();
        assert_eq!(providers, ["one", "one", "two"]);
        assert_eq!(told(&mut scheduler), ["one > two: overload"]);
    }

    #[test]
    fn after_a_lost_key_all_rows_go_to_the_next_endpoint_and_the_run_ends_well() {
        let mut scheduler = offered(chain(&["one", "two"], FallbackOn::default(), 2), &["a", "b", "c", "d"]);
        let tickets = dispatched(&mut scheduler, NOW);

        let next = scheduler.on_end(tickets[0], Verdict::Halt(HaltReason::Key(failure(401))), NOW);
        assert!(matches!(next, Next::Again { class: ErrorClass::Auth, .. }), "{next:?}");
        drop(scheduler.on_end(tickets[1], Verdict::Halt(HaltReason::Key(failure(401))), NOW));
        scheduler.offer(of("e", "one"), NOW);
        scheduler.close_input();
        let mut all = finish(&mut scheduler, NOW);
        all.sort();

        assert_eq!(all, pairs(&[("a", "two"), ("b", "two"), ("c", "two"), ("d", "two"), ("e", "two")]));
        assert!(matches!(scheduler.poll(NOW), Step::Drained));
        assert_eq!((scheduler.halted(), scheduler.row_bytes), (None, 0));
        assert_eq!(told(&mut scheduler), ["one > two: account"], "the event appears once");
    }

    #[test]
    fn waiting_and_later_rows_keep_their_order_at_the_next_endpoint() {
        let mut scheduler = offered(chain(&["one", "two"], FallbackOn::default(), 1), &["a", "b", "c"]);
        let tickets = dispatched(&mut scheduler, NOW);

        drop(scheduler.on_end(tickets[0], Verdict::Halt(HaltReason::Account(failure(400))), NOW));
        scheduler.offer(of("d", "one"), NOW);

        let two = |label| (label, "two");
        assert_eq!(finish(&mut scheduler, NOW), pairs(&[two("a"), two("b"), two("c"), two("d")]));
    }

    #[test]
    fn if_the_case_is_not_in_the_list_the_run_halts_as_with_one_endpoint() {
        let on = FallbackOn { account: false, ..FallbackOn::default() };
        let mut scheduler = offered(chain(&["one", "two"], on, 1), &["a", "b"]);
        let tickets = dispatched(&mut scheduler, NOW);

        let next = scheduler.on_end(tickets[0], Verdict::Halt(HaltReason::Key(failure(401))), NOW);

        assert!(matches!(next, Next::Pending { .. }));
        assert!(matches!(scheduler.halted(), Some(HaltReason::Key(_))));
        assert_eq!(scheduler.take_set_aside().len(), 1);
    }

    #[test]
    fn the_run_halts_when_no_endpoint_is_left() {
        let mut scheduler = offered(chain(&["one", "two"], FallbackOn::default(), 1), &["a", "b"]);
        let key = || Verdict::Halt(HaltReason::Key(failure(401)));
        let first = dispatched(&mut scheduler, NOW)[0];
        drop(scheduler.on_end(first, key(), NOW));
        let second = dispatched(&mut scheduler, NOW)[0];

        let next = scheduler.on_end(second, key(), NOW);

        assert!(matches!(next, Next::Pending { .. }));
        assert!(matches!(scheduler.halted(), Some(HaltReason::Key(_))));
        assert_eq!((scheduler.take_set_aside().len(), scheduler.row_bytes), (1, 0));
    }

    #[test]
    fn an_endpoint_that_has_halted_or_lacks_the_model_is_skipped() {
        let mut scheduler = offered(chain(&["one", "two", "three", "four"], FallbackOn::default(), 1), &["a"]);
        scheduler.halt_endpoint(1, HaltReason::Key(failure(401)), NOW);
        let model = planned("a", 1, 1).ask.model;
        scheduler.endpoints[2].access.on_missing(&model);
        let first = dispatched(&mut scheduler, NOW)[0];

        drop(scheduler.on_end(first, Verdict::Halt(HaltReason::Account(failure(400))), NOW));

        assert_eq!(finish(&mut scheduler, NOW), pairs(&[("a", "four")]));
    }

    #[test]
    fn a_row_that_no_endpoint_takes_fails_with_the_reason() {
        let mut config = chain(&["one", "two"], FallbackOn::default(), 1);
        config.max_retries = 0;
        let mut scheduler = offered(config, &["bound"]);
        let ticket = dispatched(&mut scheduler, NOW)[0];

        let next = scheduler.on_end(ticket, fault(), NOW);

        let Next::Finished(outcome) = next else { panic!("no endpoint is left for the row: {next:?}") };
        let Ended::Failed { class, failure, .. } = &outcome.ended else { panic!("it has no answer") };
        assert_eq!((*class, &*failure.message), (ErrorClass::Server, "; two can't be sent this row: it needs a tool"));
    }

    #[test]
    fn a_row_that_no_endpoint_takes_is_left_for_a_later_run_when_its_endpoint_halts() {
        let mut scheduler = offered(chain(&["one", "two"], FallbackOn::default(), 1), &["a", "bound", "c"]);
        scheduler.close_input();
        let ticket = dispatched(&mut scheduler, NOW)[0];

        drop(scheduler.on_end(ticket, Verdict::Halt(HaltReason::Key(failure(401))), NOW));
        let all = finish(&mut scheduler, NOW);

        assert_eq!(all, pairs(&[("a", "two"), ("c", "two")]));
        assert_eq!(scheduler.take_set_aside().len(), 1);
        assert!(matches!(scheduler.halted(), Some(HaltReason::Key(_))), "the run is not complete");
    }

    #[test]
    fn a_row_that_has_used_up_its_tries_moves_and_has_all_its_tries_again() {
        let mut config = chain(&["one", "two"], FallbackOn::default(), 1);
        config.max_retries = 1;
        let mut scheduler = offered(config, &["a"]);
        let providers: Vec<_> = (0..4)
            .map(|minute| {
                let now = Instant::from_secs(60 * minute);
                let ticket = dispatched(&mut scheduler, now)[0];
                let provider = sent(&scheduler, &[ticket]).remove(0).1;
                drop(scheduler.on_end(ticket, fault(), now));
                provider
            })
            .collect();

        assert_eq!(providers, ["one", "one", "two", "two"]);
        assert!(!scheduler.holds_rows(), "it has failed");
    }

    #[test]
    fn what_may_have_been_billed_is_not_sent_elsewhere_if_the_user_forbids_it() {
        let mut config = chain(&["one", "two"], FallbackOn::default(), 1);
        config.retry_ambiguous = false;
        let mut scheduler = offered(config, &["a"]);
        let ticket = dispatched(&mut scheduler, NOW)[0];
        let broken = Verdict::Transient {
            class: ErrorClass::Network,
            retry_after: None,
            maybe_paid: true,
            failure: failure(200),
        };

        let next = scheduler.on_end(ticket, broken, NOW);

        assert!(matches!(next, Next::Finished(_)), "{next:?}");
    }

    #[test]
    fn rows_of_a_model_that_an_endpoint_lacks_go_to_the_next_at_once() {
        for verdict in [Verdict::NoModel(failure(404)), Verdict::Forbidden(failure(403))] {
            let mut scheduler = offered(chain(&["one", "two"], FallbackOn::default(), 1), &["a", "b"]);
            // Another model has answered, so the key is valid.
            scheduler.endpoints[0].access.on_answer(&"another".into());
            let ticket = dispatched(&mut scheduler, NOW)[0];

            assert!(matches!(scheduler.on_end(ticket, verdict, NOW), Next::Again { .. }));
            scheduler.offer(of("c", "one"), NOW);
            scheduler.close_input();

            assert_eq!(finish(&mut scheduler, NOW), pairs(&[("a", "two"), ("b", "two"), ("c", "two")]));
            assert_eq!(scheduler.halted(), None);
            assert_eq!(told(&mut scheduler), ["one > two: model"]);
        }
    }

    #[test]
    fn a_refused_answer_is_recorded_and_another_endpoint_is_asked_only_if_the_user_says_so() {
        let refused = || match answer() {
            Verdict::Answered(message) => Verdict::Answered(Message { quality: Quality::Refused, ..message }),
            other => other,
        };
        for refusal in [false, true] {
            let on = FallbackOn { refusal, ..FallbackOn::default() };
            let mut scheduler = offered(chain(&["one", "two"], on, 1), &["a"]);
            let ticket = dispatched(&mut scheduler, NOW)[0];

            let next = scheduler.on_end(ticket, refused(), NOW);

            if !refusal {
                assert!(matches!(next, Next::Finished(_)));
                continue;
            }
            assert!(matches!(next, Next::FollowUp { purpose: Purpose::Fallback, .. }), "{next:?}");
            let second = dispatched(&mut scheduler, NOW);
            assert_eq!(sent(&scheduler, &second), pairs(&[("a", "two")]));
            let Next::Finished(outcome) = scheduler.on_end(second[0], refused(), NOW) else {
                panic!("the last answers")
            };
            assert!(matches!(outcome.ended, Ended::Succeeded(_)), "the last refusal is kept");
            assert_eq!(scheduler.spent(), Money(20));
        }
    }

    #[test]
    fn limits_given_by_hand_are_those_of_the_first_endpoint() {
        let mut config = chain(&["one", "two"], FallbackOn::default(), 1);
        config.by_hand = RateLimits { rpm: Some(7), ..RateLimits::NONE };
        let mut scheduler = offered(config, &["a"]);
        scheduler.offer(of("b", "two"), NOW);

        let rpm: Vec<_> = scheduler.pools.iter().map(|state| state.pool.limits().rpm).collect();

        assert_eq!(rpm, [Some(7), None]);
    }
}
