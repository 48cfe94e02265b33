//! Decides what the run does next: it sends a row, or it waits until an instant, for a given reason.

use crate::clock::Instant;
use crate::domain::{Cost, HaltReason, Money, Reason};
use crate::limiter::{Admission, Reservation};

use super::budget::Room;
use super::config::StreamMode;
use super::flights::{Flight, Sent};
use super::state::Scheduler;
use super::step::Step;
use super::warmth::Plan;

impl Scheduler {
    /// Returns what the caller must do next. Call this repeatedly until it returns `Step::Wait` or `Step::Drained`.
    pub fn poll(&mut self, now: Instant) -> Step {
        let mut step = self.next_step(now);
        while std::mem::take(&mut self.has_closed) && matches!(step, Step::Wait { .. }) {
            step = self.next_step(now);
        }
        match &mut step {
            Step::Wait { until, reason } => {
                *until = self.pull_at.min(*until);
                self.bind(*reason, now);
            }
            Step::Dispatch { .. } | Step::Canary { .. } => {}
            Step::Drained => self.bind(Reason::Draining, now),
        }
        step
    }

    fn next_step(&mut self, now: Instant) -> Step {
        self.pull_at = Instant::NEVER;
        match self.pause.is_on() {
            true => self.halt_if_time_is_up(now),
            false => self.halt_if_overdue(now),
        }
        if self.halted.is_some() {
            return self.drain();
        }
        if let Some(reason) = self.halt_watch.suspicion() {
            if self.in_flight() == 0 {
                self.halt(reason.clone());
            }
            return self.drain();
        }
        if let Some(step) = self.wait_paused().filter(|_| self.pause.is_on()) {
            return step;
        }
        self.judge_forbidden(now);
        if self.halted.is_some() {
            return self.drain();
        }
        self.wake(now);
        if let Some(step) = self.send_canary(now) {
            return step;
        }
        if self.config.fallback.is_some() {
            self.pull(now);
            if self.halted.is_some() {
                return self.drain();
            }
        }
        if self.ready() == 0 {
            return self.wait_without_rows();
        }
        if let Some((until, reason)) = self.check_endpoints(now) {
            return Step::Wait { until, reason };
        }
        let mut soonest = (self.later.first_at(), Reason::Backoff);
        for turn in 0..self.pools.len() {
            let pool = (self.next_pool + turn) % self.pools.len();
            let state = &self.pools[pool];
            if state.ready.is_empty() || !self.endpoints[state.endpoint].is_open {
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

    /// Returns the next step of a run that has halted or could halt soon. Such a run only waits for its requests in
    /// flight.
    fn drain(&self) -> Step {
        match self.in_flight() {
            0 => Step::Drained,
            _ => Step::Wait { until: Instant::NEVER, reason: Reason::Draining },
        }
    }

    /// Returns the next step of a run in which no row is ready. The step says how long to wait, and why.
    fn wait_without_rows(&mut self) -> Step {
        let (until, canary_at) = (self.later.first_at(), self.next_canary());
        if canary_at < until {
            return Step::Wait { until: canary_at, reason: Reason::Probe };
        }
        let reason = match (self.is_input_closed, self.later.len() == 0) {
            (false, _) if self.is_full() => Reason::Memory,
            _ if self.gates.waiting() > 0 && self.wants() == 0 => Reason::Gate,
            (false, _) => Reason::Input,
            (true, false) => Reason::Backoff,
            (true, true) if self.in_flight() == 0 => {
                self.halt_for_endpoints();
                return Step::Drained;
            }
            (true, true) => Reason::Draining,
        };
        Step::Wait { until, reason }
    }

    /// Finds the endpoints that have ready rows and can get requests. If no endpoint can get a request now, returns the
    /// instant of the next check, and the reason to wait.
    fn check_endpoints(&mut self, now: Instant) -> Option<(Instant, Reason)> {
        let next_wake = self.later.first_at();
        let is_only = self.endpoints.len() == 1;
        let mut soonest: Option<(Instant, Reason)> = None;
        let mut is_any_open = false;
        for endpoint in self.endpoints.iter_mut().filter(|endpoint| endpoint.ready > 0) {
            match endpoint.check(next_wake, now) {
                None => is_any_open = true,
                Some((until, reason)) => {
                    // The next row that becomes ready may belong to another endpoint.
                    let until = if is_only { until } else { until.min(next_wake) };
                    if soonest.is_none_or(|(at, _)| until < at) {
                        soonest = Some((until, reason));
                    }
                }
            }
        }
        soonest.filter(|_| !is_any_open)
    }

    /// Sends the first row of a pool, or a smaller row that is allowed to pass it. If neither row can be sent now,
    /// returns the instant of the next check, and the reason to wait.
    fn start(&mut self, pool: usize, now: Instant) -> Result<Step, (Instant, Reason)> {
        let is_probe = self.endpoints[self.pools[pool].endpoint].health.is_failing();
        let (first, plan) = loop {
            let state = &self.pools[pool];
            let first = if is_probe { state.next_probe() } else { 0 };
            if first >= state.ready.len() {
                return Err((Instant::NEVER, Reason::Input));
            }
            if let Some(plan) = self.plan_at(pool, first, now) {
                break (first, plan);
            }
        };
        let state = &mut self.pools[pool];
        let cost = state.cost(&state.ready[first].planned.ask, plan.read_tokens);
        let admission = state.pool.reserve(cost, now);
        if let Admission::Wait { until, on } = &admission {
            self.note_wait(pool, *until, on.is_none(), now);
        }
        match admission {
            Admission::Granted(reservation) => {
                let step = self.send(pool, first, plan, reservation, now)?;
                let state = &mut self.pools[pool];
                (state.passing, state.closed_until) = (None, None);
                Ok(step)
            }
            Admission::Wait { until, on: None } => Err((until, Reason::Hold)),
            Admission::Wait { until, on: Some(dimension) } if is_probe => Err((until, Reason::Limit(dimension))),
            Admission::Wait { until, on: Some(dimension) } => {
                let (at, until) = self.who_passes(pool, cost, dimension, until, now);
                match at {
                    Some((at, plan, reservation)) => self.send(pool, at, plan, reservation, now),
                    None => Err((until, Reason::Limit(dimension))),
                }
            }
        }
    }

    /// Sends the row at position `at` in a pool's queue. The pool has room for the row, but the budget may have no
    /// room.
    fn send(
        &mut self,
        pool: usize,
        at: usize,
        plan: Plan,
        reservation: Reservation,
        now: Instant,
    ) -> Result<Step, (Instant, Reason)> {
        let state = &mut self.pools[pool];
        // In a run with a budget, every row has a price. Money is reserved even in a run without a budget, because the
        // user can set a budget while requests are in flight.
        let money = state.ready[at].planned.ask.expense.map_or(Money::ZERO, |expense| expense.most);
        match self.config.budget.reserve(money) {
            Room::Yes => {}
            refused => {
                state.pool.settle(reservation, Cost::default(), false, now);
                // If a request in flight costs less than was reserved for it, the rest of the reserved money becomes
                // free.
                let may_get_some = self.in_flight() > 0 && self.config.budget.max_cost.is_some();
                if let Room::Never(why) = refused
                    && !may_get_some
                {
                    self.halt(HaltReason::Budget(why));
                }
                // A row that costs too much in any case waits for no money. If only batches are left, the run waits for
                // these batches, and then it halts.
                let is_last = self.in_flight() == 0 && !self.config.budget.can_have_money(money);
                return Err((Instant::NEVER, if is_last { Reason::Draining } else { Reason::Budget }));
            }
        }
        let mut entry = state.ready.remove(at).expect("the queue has a row at this place");
        let wants = entry.wants_stream.unwrap_or_else(|| state.wants_stream(self.config.stream, &entry.planned.ask));
        // A leader (the row that writes a prefix to the prompt cache) asks for a stream. Other rows wait until the
        // leader's response begins. With a stream, this response begins earlier.
        let is_awaited = !entry.leads.is_empty() && entry.planned.ask.max_tokens > 0;
        let wants = wants || (is_awaited && self.config.stream == StreamMode::Auto);
        entry.wants_stream = Some(wants);
        if let Some(prefixes) = &entry.planned.ask.prefixes {
            self.warmth.note_read(state.endpoint, prefixes, plan.marks, now);
        }
        let endpoint = &mut self.endpoints[state.endpoint];
        endpoint.ready -= 1;
        let stream = wants && !endpoint.streaming.is_given_up();
        let flight =
            Flight { sent: Sent::Row(entry), pool, reservation, money, sent_at: now, stream, head: None, plan };
        Ok(Step::Dispatch { ticket: self.board(flight), stream })
    }

    /// Returns how the row at position `at` in a pool's queue uses the prompt cache. If the row has to wait until
    /// another row has written a prefix, moves the row behind a gate and returns `None`.
    pub(super) fn plan_at(&mut self, pool: usize, at: usize, now: Instant) -> Option<Plan> {
        let state = &mut self.pools[pool];
        let endpoint = state.endpoint;
        if state.ready[at].planned.ask.prefixes.is_none() {
            return Some(Plan::default());
        }
        let mut entry = state.ready.remove(at)?;
        let turn = self.take_turn(&mut entry, endpoint, now);
        match turn {
            Ok(plan) => {
                self.pools[pool].ready.insert(at, entry);
                Some(plan)
            }
            Err(gate) => {
                self.endpoints[endpoint].ready -= 1;
                self.gates.put_behind(entry, gate);
                None
            }
        }
    }
}
