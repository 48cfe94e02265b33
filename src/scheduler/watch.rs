//! Where a run stands and what held it back, for those who watch.

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{Backoffs, EventBody, PoolStatus, Reason};

use super::{PoolState, Scheduler};

impl Scheduler {
    /// Notes why nothing is sent when the cause lies outside: the disk.
    pub fn bind(&mut self, reason: Reason, now: Instant) {
        if let Some((last, since)) = self.bound_by.replace((reason, now)) {
            *self.bound_for.entry(last).or_default() += now.since(since);
        }
    }

    /// Returns where things stand, for those who watch.
    pub fn status(&self, now: Instant) -> EventBody {
        let in_flight = self.in_flight();
        let is_busy = |state: &&PoolState| !state.ready.is_empty() || self.pools.len() == 1 || in_flight > 0;
        let status = |state: &PoolState| PoolStatus {
            pool: state.pool.id().clone(),
            limits: state.pool.limits(),
            level: state.pool.levels(now),
            held_for: Some(state.pool.held_until().since(now)).filter(|held| !held.is_zero()),
            ready: state.ready.len(),
        };
        EventBody::Status {
            in_flight,
            window: self.window_size(),
            reason: self.bound_by.map_or(Reason::Input, |(reason, _)| reason),
            backoffs: self.backoffs(now),
            pools: self.pools.iter().filter(is_busy).map(status).collect(),
        }
    }

    fn backoffs(&self, now: Instant) -> Backoffs {
        let wait = |entry: Option<(&(Instant, u64), _)>| entry.map_or(Duration::ZERO, |((at, _), _)| at.since(now));
        Backoffs {
            rows: self.later.len(),
            first_in: wait(self.later.first_key_value()),
            last_in: wait(self.later.last_key_value()),
        }
    }

    /// Returns the share of the time that each reason bound the run, largest first.
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
    use super::super::tests::{answer, config, dispatched, fault, scheduler_with};
    use super::*;
    use crate::domain::RateLimits;

    #[test]
    fn a_status_tells_how_many_rows_wait_for_their_next_try_and_until_when() {
        let mut scheduler = scheduler_with(3, config(RateLimits::NONE, 3));
        let tickets = dispatched(&mut scheduler, Instant::ZERO);
        scheduler.on_end(tickets[0], fault(), Instant::ZERO);
        scheduler.on_end(tickets[1], fault(), Instant::from_secs(1));
        scheduler.on_end(tickets[2], answer(), Instant::from_secs(1));

        let status = |seconds| match scheduler.status(Instant::from_secs(seconds)) {
            EventBody::Status { backoffs, .. } => backoffs,
            other => panic!("{other:?} is no status"),
        };

        let (soon, late) = (status(1), status(3_600));
        assert_eq!((soon.rows, late.rows), (2, 2));
        assert!(soon.last_in > Duration::ZERO && soon.first_in <= soon.last_in, "{soon:?}");
        assert_eq!(late.last_in, Duration::ZERO);
    }
}
