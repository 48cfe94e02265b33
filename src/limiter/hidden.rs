//! Hidden limits: no response header shows these limits, so the program learns them from refusals.
//!
//! A gateway (a proxy in front of the API) can have limits of its own without showing them. If such a limit is reached,
//! the gateway sends a 429 without headers, or a 500. At each refusal, the gateway's bucket is empty. So between two
//! refusals, the gateway accepts exactly the amount that its limit allows in this time. The size of the gateway's burst
//! does not matter. The limit is computed from two refusals that are ten seconds to a minute apart. A refusal does not
//! say which limit was reached. So the program computes two limits: one for requests and one for input tokens.
//!
//! After a limit was found, the pool first sends slightly less than the limit, and then raises its rate. Near the
//! limit, the rate rises slowly. Later, as long as no request is rejected, the rate rises faster and faster. The limit
//! that the pool found can be too low, or the gateway can raise its limit later. In both cases, the pool finds the
//! higher limit within two minutes. The rate follows the curve of TCP CUBIC (RFC 9438), which is flat around the rate
//! of the last refusal.
//!
//! A hidden limit can cause faults, but faults can also have other causes. If the share of faults falls when the pool
//! sends less, the cause is a limit. So if more than a fifth of the attempts meet a fault, the pool begins a trial.
//! During a trial, the pool sends only as much as the server accepted before. If a trial reduces the share of faults by
//! less than half, the pool returns to its earlier rate. After a failed trial, the pool waits five minutes before it
//! starts another.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Instant;
use crate::domain::Cost;

/// A limit is computed from the requests that were accepted within a period. The period is at least `LEAST` and at most
/// `LONGEST` long. At least `LEAST_ACCEPTED` requests must be accepted in the period.
const LEAST: Duration = Duration::from_secs(10);
const LEAST_ACCEPTED: u64 = 3;
pub(super) const LONGEST: Duration = Duration::from_secs(60);
/// How the rate changes over time, as a share of the limit that was found. The rate begins at `FIRST`, reaches `FLAT`
/// after `FLAT_AFTER`, and hardly changes after that.
const FIRST: f64 = 0.98;
const FLAT: f64 = 1.03;
const FLAT_AFTER: Duration = Duration::from_secs(20);
/// If no refusal came for [`FLAT_AFTER`], the limit that is found next is at least `HELD` times the current rate.
const HELD: f64 = 0.94;
/// The number that each fault adds to a running sum. Each accepted request subtracts 1 from the sum, so the sum grows
/// when more than a fifth of the attempts meet a fault. A trial begins when the sum reaches `EXCESS`.
const FAULT: u32 = 4;
const EXCESS: u32 = 8 * FAULT;
/// When the running sum is at least `DOUBT`, faults are treated as possible refusals.
const DOUBT: u32 = 2 * FAULT;
/// A trial ends with a decision after this many attempts.
const TRIED: u32 = 20;
/// If a trial did not lower the share of faults enough, the pool waits this long before the next trial.
const PAUSE: Duration = Duration::from_secs(300);

/// What is known about a hidden limit.
#[derive(Debug, Default)]
pub(super) struct Hidden {
    accepted: Accepted,
    /// The instant of each refusal, and the amount that the server had accepted until that refusal. The first item is
    /// the oldest refusal.
    refusals: VecDeque<(Instant, Accepted)>,
    found: Option<Found>,
    faults: Faults,
}

/// How many requests and how many input tokens the server has accepted.
#[derive(Clone, Copy, Debug, Default)]
struct Accepted {
    requests: u64,
    input_tokens: u64,
}

impl Accepted {
    fn add(&mut self, cost: Cost) {
        self.requests += 1;
        self.input_tokens += u64::from(cost.input_tokens);
    }

    fn since(self, before: Self) -> Self {
        Self { requests: self.requests - before.requests, input_tokens: self.input_tokens - before.input_tokens }
    }
}

/// A hidden limit that was found, in requests per minute and input tokens per minute.
#[derive(Clone, Copy, Debug)]
struct Found {
    per_minute: [f64; 2],
    at: Instant,
}

/// The faults of recent attempts, and whether they are hidden refusals (refusals that look like faults).
#[derive(Debug, Default)]
struct Faults {
    /// The running sum: a fault adds [`FAULT`], and an accepted request subtracts 1. The sum grows when more than a
    /// fifth of the attempts meet a fault.
    excess: u32,
    /// The start of the current trouble: the time of its first fault. The next three fields are the time of the last
    /// fault, the amount that was accepted since the start of the trouble, and the number of faults.
    since: Option<Instant>,
    last_at: Instant,
    accepted: Accepted,
    met: u64,
    trial: Option<Trial>,
    are_refusals: bool,
    no_trial_until: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Trial {
    share_before: f64,
    accepted: u32,
    faults: u32,
}

impl Hidden {
    /// Call this when the server has accepted a request.
    pub(super) fn on_accepted(&mut self, cost: Cost, sent_at: Instant, now: Instant) {
        self.accepted.add(cost);
        self.faults.excess = self.faults.excess.saturating_sub(1);
        if self.faults.excess == 0 {
            (self.faults.since, self.faults.accepted, self.faults.met) = (None, Accepted::default(), 0);
        }
        if self.faults.since.is_some_and(|since| sent_at > since) {
            self.faults.accepted.add(cost);
        }
        if let Some(trial) = &mut self.faults.trial {
            trial.accepted += 1;
        }
        self.judge_trial(now);
    }

    /// Call this function after a refusal, unless the pool was held when the refusal came.
    pub(super) fn on_refusal(&mut self, now: Instant) {
        self.refusals.push_back((now, self.accepted));
        while self.refusals.front().is_some_and(|(at, _)| now.since(*at) > LONGEST) {
            self.refusals.pop_front();
        }
        if let Some(&(since, before)) = self.refusals.front() {
            self.find(since, self.accepted.since(before), now);
        }
    }

    /// Records that a request met a fault. Returns whether the pool treats the fault as a refusal. During a trial, the
    /// pool treats every fault as a refusal.
    pub(super) fn on_fault(&mut self, now: Instant) -> bool {
        if now.since(self.faults.last_at) > LONGEST {
            self.forget_faults();
        }
        self.faults.last_at = now;
        self.faults.excess += FAULT;
        if self.faults.are_refusals {
            // The pool sends less than before, but the share of faults has not fallen.
            if self.faults.excess >= 2 * EXCESS {
                self.give_up(now);
                return false;
            }
            self.on_refusal(now);
            return true;
        }
        let since = *self.faults.since.get_or_insert(now);
        self.faults.met += 1;
        if let Some(trial) = &mut self.faults.trial {
            trial.faults += 1;
            self.judge_trial(now);
        } else if self.faults.excess >= EXCESS
            && now >= self.faults.no_trial_until
            && self.find(since, self.faults.accepted, now)
        {
            let (met, accepted) = (self.faults.met as f64, self.faults.accepted.requests as f64);
            self.faults.trial = Some(Trial { share_before: met / (met + accepted), accepted: 0, faults: 0 });
        }
        self.faults.trial.is_some() || self.faults.are_refusals
    }

    /// Forgets faults that are too old for computing a rate.
    fn forget_faults(&mut self) {
        if self.faults.trial.is_none() && !self.faults.are_refusals {
            self.faults = Faults { no_trial_until: self.faults.no_trial_until, ..Faults::default() };
        }
    }

    /// Forgets the faults of an outage, and the trial that these faults caused.
    pub(super) fn on_outage_end(&mut self) {
        if self.faults.trial.is_some() {
            self.found = None;
        }
        if !self.faults.are_refusals {
            self.faults = Faults::default();
        }
    }

    /// Call this when it is certain that the current faults are not refusals. If the faults are already known to be
    /// refusals, a call of this function has no effect.
    pub(super) fn on_proof_of_room(&mut self, now: Instant) {
        if self.faults.trial.is_some() {
            self.give_up(now);
        } else if !self.faults.are_refusals {
            self.faults = Faults { no_trial_until: now + PAUSE, ..Faults::default() };
        }
    }

    /// Returns whether the current faults could be hidden refusals. Returns true in three cases: the faults are known
    /// to be refusals, a trial is running, or there are many faults.
    pub(super) fn may_be_refusing(&self, now: Instant) -> bool {
        let Faults { excess, trial, are_refusals, no_trial_until, .. } = &self.faults;
        let is_doubtful = *excess >= DOUBT && self.accepted.requests > 0 && now >= *no_trial_until;
        *are_refusals || trial.is_some() || is_doubtful
    }

    /// Returns how many requests and how many input tokens the pool is allowed to send per minute; `None` when no limit
    /// was found.
    pub(super) fn per_minute(&self, now: Instant) -> Option<[f64; 2]> {
        let Found { per_minute, at } = self.found?;
        let part = now.since(at).as_secs_f64() / FLAT_AFTER.as_secs_f64() - 1.0;
        Some(per_minute.map(|found| found * (FLAT + (FLAT - FIRST) * part.powi(3))))
    }

    /// Forgets the hidden limit, because a known limit is lower.
    pub(super) fn forget_limit(&mut self) {
        self.found = None;
    }

    /// Computes the hidden limit. The gateway's bucket was empty at `since`. After `since`, the gateway has accepted
    /// the amounts in `accepted`. Returns whether `accepted` was large enough to compute the limit.
    ///
    /// If the pool sent at some rate for a while and no request was refused, this rate is at most slightly above the
    /// limit. For this reason, the computed limit is never below `HELD` times this rate.
    fn find(&mut self, since: Instant, accepted: Accepted, now: Instant) -> bool {
        let passed = now.since(since);
        if passed < LEAST || accepted.requests < LEAST_ACCEPTED {
            return false;
        }
        let held = self.found.filter(|found| now.since(found.at) >= FLAT_AFTER).and_then(|_| self.per_minute(now));
        let least = held.map_or([0.0; 2], |held| held.map(|held| held * HELD));
        let counted = [accepted.requests, accepted.input_tokens].map(|accepted| accepted.max(1) as f64);
        let per_minute = [0, 1].map(|at| (counted[at] * 60.0 / passed.as_secs_f64()).max(least[at]));
        self.found = Some(Found { per_minute, at: now });
        true
    }

    fn judge_trial(&mut self, now: Instant) {
        let Some(trial) = self.faults.trial.filter(|trial| trial.accepted + trial.faults >= TRIED) else { return };
        let share = f64::from(trial.faults) / f64::from(trial.accepted + trial.faults);
        if share > trial.share_before / 2.0 {
            return self.give_up(now);
        }
        self.faults = Faults { are_refusals: true, ..Faults::default() };
    }

    fn give_up(&mut self, now: Instant) {
        self.found = None;
        self.faults = Faults { no_trial_until: now + PAUSE, ..Faults::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Cost = Cost { requests: 1, input_tokens: 100, output_tokens: 10 };

    /// Simulates a client that sends as often as `hidden` allows. The simulated server has a limit of `limit` requests
    /// per minute, and a burst of one request. Returns how many requests the server accepted and how many it rejected.
    fn play(hidden: &mut Hidden, mut limit: impl FnMut(u64) -> f64, as_faults: bool, seconds: u64) -> (u64, u64) {
        let (mut level, mut accepted, mut refused) = (1.0_f64, 0, 0);
        let (mut next, mut held_until) = (0.0, 0.0);
        for step in 0..seconds * 100 {
            let at = step as f64 / 100.0;
            let now = Instant::from_millis(step * 10);
            level = (level + limit(step / 100) / 6_000.0).min(1.5);
            if at < next || at < held_until {
                continue;
            }
            next = at + 60.0 / hidden.per_minute(now).map_or(1_000.0, |[requests, _]| requests);
            if level >= 1.0 {
                level -= 1.0;
                accepted += 1;
                hidden.on_accepted(ONE, now, now);
                continue;
            }
            refused += 1;
            let is_refusal = match as_faults {
                true => hidden.on_fault(now),
                false => {
                    hidden.on_refusal(now);
                    true
                }
            };
            if is_refusal {
                held_until = at + 1.0;
            }
        }
        (accepted, refused)
    }

    #[test]
    fn a_hidden_limit_is_found_and_used() {
        for limit in [20.0, 60.0, 300.0] {
            for as_faults in [false, true] {
                let mut hidden = Hidden::default();
                play(&mut hidden, |_| limit, as_faults, 120);

                let [requests, tokens] = hidden.per_minute(Instant::from_secs(120)).expect("the limit was found");

                assert!((0.8..1.3).contains(&(requests / limit)), "{requests} for {limit}, as faults: {as_faults}");
                assert_eq!((tokens / requests).round(), 100.0);
            }
        }
    }

    #[test]
    fn faults_that_continue_when_less_is_sent_are_not_treated_as_a_limit() {
        let (mut hidden, mut tried) = (Hidden::default(), 0);
        for second in 0..200 {
            let now = Instant::from_secs(second);
            hidden.on_accepted(ONE, now, now);
            tried += u32::from(hidden.on_fault(now));
        }

        // Whatever the rate is, half of the attempts meet a fault.
        assert!(tried <= TRIED, "{tried} faults were treated as refusals");
        assert_eq!(hidden.per_minute(Instant::from_secs(200)), None);
    }

    #[test]
    fn few_faults_change_nothing() {
        let mut hidden = Hidden::default();
        for second in 0..1_000 {
            let now = Instant::from_secs(second);
            match second % 6 {
                0 => assert!(!hidden.on_fault(now)),
                _ => hidden.on_accepted(ONE, now, now),
            }
            assert_eq!(hidden.per_minute(now), None);
        }
    }

    #[test]
    fn a_limit_that_is_raised_is_found_again_within_three_minutes() {
        let mut hidden = Hidden::default();

        play(&mut hidden, |second| if second < 120 { 60.0 } else { 240.0 }, false, 300);

        let [found, _] = hidden.per_minute(Instant::from_secs(300)).expect("the limit was found");
        assert!((150.0..320.0).contains(&found), "{found}");
    }

    #[test]
    fn no_rate_is_computed_from_the_few_requests_that_succeed_during_an_outage() {
        for is_told in [true, false] {
            let mut hidden = Hidden::default();
            let down = 300;
            (0..down).step_by(if is_told { 10 } else { 61 }).for_each(|second| {
                hidden.on_fault(Instant::from_secs(second));
            });
            if is_told {
                hidden.on_outage_end();
            }
            (0..4).for_each(|_| hidden.on_accepted(ONE, Instant::from_secs(down), Instant::from_secs(down)));

            (0..4).for_each(|second| {
                hidden.on_fault(Instant::from_secs(down + 62 + second));
            });

            assert_eq!(hidden.per_minute(Instant::from_secs(down + 70)), None, "{is_told}");
        }
    }
}
