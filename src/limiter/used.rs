//! How much of one limit was used since the start of the run.

use crate::clock::Instant;

/// How much counted against one limit since the start of the run, and how much this limit allowed in the same time.
///
/// While no limit is known, the allowed amount is unknown. When a limit becomes known, the allowed amount is computed
/// from the start of the run. For example, the limit that the first response reports is also counted for the time
/// before that response.
#[derive(Debug, Default)]
pub(super) struct Used {
    counted: u64,
    /// The limit per minute that has applied since `since`.
    limit: Option<u32>,
    since: Instant,
    /// The amount that earlier limits allowed until `since`.
    allowed: f64,
}

impl Used {
    /// Adds an amount that counts against the limit.
    pub(super) fn count(&mut self, amount: u32) {
        self.counted += u64::from(amount);
    }

    /// Stores the limit that applies from `now` on.
    pub(super) fn follow(&mut self, limit: Option<u32>, now: Instant) {
        if limit == self.limit {
            return;
        }
        if let Some(last) = self.limit {
            self.allowed += allowed(last, self.since, now);
            self.since = now;
        }
        self.limit = limit;
    }

    /// Returns the amount that has counted against the limit so far.
    pub(super) fn counted(&self) -> u64 {
        self.counted
    }

    /// Returns the amount that the limits have allowed from the start of the run until `now`, without bursts; `None` if
    /// no limit applies.
    pub(super) fn allowed(&self, now: Instant) -> Option<u64> {
        self.limit.map(|limit| (self.allowed + allowed(limit, self.since, now)).round() as u64)
    }
}

fn allowed(per_minute: u32, from: Instant, to: Instant) -> f64 {
    f64::from(per_minute) * to.since(from).as_secs_f64() / 60.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_counts_for_the_time_in_which_it_applied() {
        let mut used = Used::default();
        used.follow(Some(60), Instant::ZERO);
        used.follow(Some(60), Instant::from_secs(30));

        used.follow(Some(600), Instant::from_secs(120));
        used.count(7);

        assert_eq!((used.counted(), used.allowed(Instant::from_secs(180))), (7, Some(2 * 60 + 600)));
    }

    #[test]
    fn a_limit_that_becomes_known_counts_for_the_time_before() {
        let mut used = Used::default();
        let before = used.allowed(Instant::from_secs(30));

        used.follow(Some(60), Instant::from_secs(30));
        let after = used.allowed(Instant::from_secs(60));
        used.follow(None, Instant::from_secs(60));
        let gone = used.allowed(Instant::from_secs(90));
        used.follow(Some(120), Instant::from_secs(120));

        assert_eq!((before, after, gone), (None, Some(60), None));
        assert_eq!(used.allowed(Instant::from_secs(180)), Some(60 + 240));
    }
}
