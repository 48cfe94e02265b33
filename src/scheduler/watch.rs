//! Tells reporters the state of a run and the reasons for its delays.

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{
    Backoffs, EventBody, LearnedPool, LimitUse, Message, Outage, PoolStatus, Quality, Reason, Usage, quoted,
};

use super::pool::PoolState;
use super::state::Scheduler;

/// If no answer has come for this long, even a few faults are shown as an outage.
const OUTAGE: Duration = Duration::from_secs(2);

impl Scheduler {
    /// Records why nothing is sent at present. Code outside the scheduler calls this method for causes that the
    /// scheduler does not know, for example a slow disk.
    pub fn bind(&mut self, reason: Reason, now: Instant) {
        if let Some((last, since)) = self.bound_by.replace((reason, now)) {
            *self.bound_for.entry(last).or_default() += now.since(since);
        }
    }

    /// Warns the user if an answer stopped for a reason that this version does not know. The user gets at most one such
    /// warning in a run.
    pub(super) fn tell_unknown_end(&mut self, message: &Message) {
        if message.quality != Quality::Unknown || std::mem::replace(&mut self.is_unknown_end_told, true) {
            return;
        }
        let reason = message.stop_reason().unwrap_or_default();
        self.events.push(EventBody::Warned(format!(
            "an answer ended with stop_reason {}, which this version does not know: such answers are kept, and their lines \
             say \"quality\":\"unknown\"",
            quoted(&reason)
        )));
    }

    /// Warns the user if the usage of an answer is unknown. The user gets at most one such warning in a run.
    pub(crate) fn tell_unknown_usage(&mut self, usage: Usage) {
        if !usage.is_unknown || std::mem::replace(&mut self.is_unknown_usage_told, true) {
            return;
        }
        self.events.push(EventBody::Warned(
            "an answer does not say how many tokens it used (its usage has no readable input_tokens and output_tokens): such \
             answers are kept, their cost is unknown, and --max-cost counts the highest cost of each of them"
                .to_owned(),
        ));
    }

    /// Returns the state of the run, for reporters.
    pub fn status(&self, now: Instant) -> EventBody {
        let in_flight = self.in_flight();
        let is_busy = |state: &&PoolState| !state.ready.is_empty() || self.pools.len() == 1 || in_flight > 0;
        let status = |state: &PoolState| {
            let LimitUse { pool, counted, allowed } = state.pool.limit_use(now);
            PoolStatus {
                pool,
                limits: state.pool.limits(),
                level: state.pool.levels(now),
                held_for: Some(state.pool.held_until().since(now)).filter(|held| !held.is_zero()),
                ready: state.ready.len(),
                counted,
                allowed,
            }
        };
        EventBody::Status {
            in_flight,
            window: self.window_size(),
            reason: self.bound_by.map_or(Reason::Input, |(reason, _)| reason),
            backoffs: self.backoffs(now),
            pools: self.pools.iter().filter(is_busy).map(status).collect(),
        }
    }

    /// Returns what response heads showed about each pool's limits. Pools are left out if no response head reported
    /// their limits.
    pub(crate) fn learned(&self) -> Vec<LearnedPool> {
        // The learned limits are kept only for the first endpoint of a chain, because a pool's name does not show the
        // endpoint.
        let is_first = |state: &&PoolState| self.config.fallback.is_none() || state.endpoint == 0;
        self.pools.iter().filter(is_first).filter_map(|state| state.pool.reported()).collect()
    }

    /// Returns, for each pool, how much of its limits was used since the start of the run. Pools without requests are
    /// left out.
    pub(crate) fn limit_uses(&self, now: Instant) -> Vec<LimitUse> {
        let uses = self.pools.iter().map(|state| state.pool.limit_use(now));
        uses.filter(|used| used.counted != [0; 3]).collect()
    }

    /// Returns the outage that has lasted longest; `None` if every endpoint works or the run has halted.
    pub fn outage(&self, now: Instant) -> Option<Outage> {
        if self.halted.is_some() {
            return None;
        }
        let failing = self.endpoints.iter().filter(|endpoint| endpoint.halted.is_none());
        let since = failing.filter_map(|endpoint| Some((endpoint.health.failing_since()?, endpoint)));
        let (since, endpoint) = since.min_by_key(|(since, _)| *since)?;
        let lasted = now.since(since);
        let is_probed = endpoint.health.is_failing();
        let next_at = if is_probed { endpoint.health.probe_at() } else { self.later.first_at() };
        let is_waiting = endpoint.in_flight == 0 && next_at != Instant::NEVER;
        (is_probed || lasted >= OUTAGE).then(|| Outage {
            provider: endpoint.id.provider.clone(),
            fault: endpoint.last_fault.clone(),
            lasted,
            next_try: is_waiting.then(|| next_at.since(now)),
        })
    }

    fn backoffs(&self, now: Instant) -> Backoffs {
        let wait = |at: Option<Instant>| at.map_or(Duration::ZERO, |at| at.since(now));
        let last_at = self.later.last_at();
        Backoffs {
            rows: self.later.len(),
            first_in: wait(last_at.map(|_| self.later.first_at())),
            last_in: wait(last_at),
        }
    }

    /// For each reason, returns the share of the run's time in which this reason delayed the run. The reason with the
    /// largest share comes first.
    pub fn reasons(&self) -> Vec<(Reason, f64)> {
        let total: f64 = self.bound_for.values().map(Duration::as_secs_f64).sum();
        let share = |(&reason, time): (&Reason, &Duration)| (reason, time.as_secs_f64() / total.max(1e-9));
        let mut shares: Vec<_> = self.bound_for.iter().map(share).filter(|(_, share)| *share > 0.0).collect();
        shares.sort_by(|(_, left), (_, right)| right.total_cmp(left));
        shares
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::tests::{answer, config, dispatched, fault, scheduler_with};
    use super::*;
    use crate::domain::{RateLimits, Usage, Verdict};

    #[test]
    fn a_run_warns_once_of_an_answer_that_ended_for_an_unknown_reason() {
        let mut scheduler = scheduler_with(3, config(RateLimits::NONE, 3));
        let answer = |quality, stop_reason: &str| {
            let json = Bytes::from(format!(r#"{{"content":[],"stop_reason":"{stop_reason}"}}"#));
            Verdict::Answered(Message { json, usage: Usage::default(), quality, content: 11..13 })
        };
        let answers = [(Quality::Ok, "end_turn"), (Quality::Unknown, "pon\\u001bdered"), (Quality::Unknown, "bored")];

        for (ticket, (quality, reason)) in dispatched(&mut scheduler, Instant::ZERO).into_iter().zip(answers) {
            scheduler.on_end(ticket, answer(quality, reason), Instant::ZERO);
        }

        let told = scheduler.take_events();
        let [EventBody::Warned(told)] = &told[..] else { panic!("there must be one warning: {told:?}") };
        assert!(told.starts_with(r#"an answer ended with stop_reason "pon\u{1b}dered", which"#), "{told}");
    }

    #[test]
    fn the_use_of_limits_counts_the_usage_of_answers_and_the_requests_of_failures() {
        let limits = RateLimits::new(600, 60_000, 60_000);
        let mut scheduler = scheduler_with(2, config(limits, 2));
        let tickets = dispatched(&mut scheduler, Instant::ZERO);
        let usage = Usage { input_tokens: 70, cache_read_tokens: 1_000, output_tokens: 30, ..Usage::default() };
        let json = Bytes::from_static(br#"{"content":[],"stop_reason":"end_turn"}"#);
        let answered = Verdict::Answered(Message { json, usage, quality: Quality::Ok, content: 11..13 });

        let before = scheduler.limit_uses(Instant::ZERO);
        scheduler.on_end(tickets[0], answered, Instant::from_secs(1));
        scheduler.on_end(tickets[1], fault(), Instant::from_secs(1));

        let uses = scheduler.limit_uses(Instant::from_secs(30));
        assert_eq!((before.len(), uses.len()), (0, 1), "a pool that was not used is left out");
        assert_eq!(uses[0].counted, [2, 70, 30]);
        assert_eq!(uses[0].allowed, [Some(300), Some(30_000), Some(30_000)]);
    }

    #[test]
    fn a_status_says_how_many_rows_wait_for_their_next_try_and_until_when() {
        let mut scheduler = scheduler_with(3, config(RateLimits::NONE, 3));
        let tickets = dispatched(&mut scheduler, Instant::ZERO);
        scheduler.on_end(tickets[0], fault(), Instant::ZERO);
        scheduler.on_end(tickets[1], fault(), Instant::from_secs(1));
        scheduler.on_end(tickets[2], answer(), Instant::from_secs(1));

        let status = |seconds| match scheduler.status(Instant::from_secs(seconds)) {
            EventBody::Status { backoffs, .. } => backoffs,
            other => panic!("{other:?} is not a status"),
        };

        let (soon, late) = (status(1), status(3_600));
        assert_eq!((soon.rows, late.rows), (2, 2));
        assert!(soon.last_in > Duration::ZERO && soon.first_in <= soon.last_in, "{soon:?}");
        assert_eq!(late.last_in, Duration::ZERO);
    }
}
