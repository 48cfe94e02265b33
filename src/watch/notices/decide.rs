//! Decides which events of a run cause a notice.
//!
//! The decider is pure: it uses only the events and the counters. When the threshold of a rule is crossed, one notice
//! is sent. Before the next notice of this rule, the value must fall clearly below the threshold and cross it again.
//! For failures, "clearly below" means below four fifths of the threshold. For limits, the tracker already applies a
//! margin before it reports that a threshold was crossed. The spent amount never decreases, so it can cross a budget's
//! threshold a second time only after the budget was raised.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::rule::NoticeRule;
use crate::domain::event::Crossing;
use crate::domain::{EventBody, HaltReason, Money, PoolId, RunEvent};
use crate::report::Stats;

/// The share of failures is used only when at least this number of rows has finished. If fewer rows have finished, the
/// share of failures says little.
const FEWEST_ROWS: u64 = 20;
/// After a crossing of the threshold, the share of failures must fall below this part of the threshold before the next
/// crossing counts.
const CLEARLY_BELOW: f64 = 0.8;

/// A margin for rounding errors. With this margin, costs of 8 cents reach a threshold of 80 % of a budget of 10 cents.
const ROUNDING: f64 = 1e-9;

/// What a notice is about.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Happened {
    /// The run finished, and nothing stopped it early.
    Finished,
    /// The run was stopped for this reason.
    Halted(Box<HaltReason>),
    /// Too many rows failed.
    Failures {
        /// The share of the finished rows that have failed.
        share: f64,
        /// The threshold that the user set, as a share of the finished rows.
        threshold: f64,
    },
    /// The used share of a limit rose above a threshold.
    Limit(Crossing),
    /// A pool sends nothing at this moment, because of a 429.
    Held {
        /// The pool.
        pool: PoolId,
        /// How long the pool has been held so far.
        lasted: Duration,
        /// The threshold that the user set.
        threshold: Duration,
    },
    /// All requests fail.
    Outage {
        /// How long the outage has lasted so far.
        lasted: Duration,
        /// The threshold that the user set.
        threshold: Duration,
    },
    /// Most of the budget is spent.
    Budget {
        /// The share of the budget that is spent.
        share: f64,
        /// The threshold that the user set, as a share of the budget.
        threshold: f64,
    },
}

impl Happened {
    /// Returns the rule that asked for the notice.
    pub(super) fn rule(&self) -> NoticeRule {
        match self {
            Self::Finished => NoticeRule::Finish,
            Self::Halted(_) => NoticeRule::Halt,
            Self::Failures { threshold, .. } => NoticeRule::Failures(*threshold),
            Self::Limit(crossing) => NoticeRule::Limit(crossing.threshold),
            Self::Held { threshold, .. } | Self::Outage { threshold, .. } => NoticeRule::Hold(*threshold),
            Self::Budget { threshold, .. } => NoticeRule::Budget(*threshold),
        }
    }
}

/// The amounts of money that the counters do not contain.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Purse {
    /// The money that earlier runs with the same results file have spent.
    pub(super) before: Money,
    /// The value of `--max-cost` at the start of the run.
    pub(super) most: Option<Money>,
}

impl Purse {
    /// Returns the current value of `--max-cost`, which can be changed during the run.
    pub(super) fn most_at(&self, stats: &Stats) -> Option<Money> {
        stats.new_max_cost.unwrap_or(self.most)
    }
}

/// Decides which events cause a notice.
#[derive(Debug)]
pub(super) struct Decider {
    rules: Vec<Watched>,
    purse: Purse,
    /// For each pool that must wait after a 429: the time when this wait began.
    held: BTreeMap<PoolId, Timestamp>,
    outage_lasted: Option<Duration>,
}

/// A rule, and whether its threshold is currently crossed.
#[derive(Debug)]
struct Watched {
    rule: NoticeRule,
    is_crossed: bool,
    /// For the rule `hold`: the held pools about which a notice was sent. For outages, `is_crossed` says whether a
    /// notice was sent.
    told: Vec<PoolId>,
}

impl Decider {
    /// Returns a decider for these rules. Duplicates of a rule are ignored.
    pub(super) fn new(rules: &[NoticeRule], purse: Purse) -> Self {
        let mut watched: Vec<Watched> = Vec::new();
        for rule in rules {
            if watched.iter().all(|known| known.rule != *rule) {
                watched.push(Watched { rule: *rule, is_crossed: false, told: Vec::new() });
            }
        }
        Self { rules: watched, purse, held: BTreeMap::new(), outage_lasted: None }
    }

    /// Returns the subjects of the notices that must be sent after this event. `stats` already includes the event.
    pub(super) fn on_event(&mut self, event: &RunEvent, stats: &Stats) -> Vec<Happened> {
        self.note_holds(event);
        let Self { rules, purse, held, outage_lasted } = self;
        let mut happened = Vec::new();
        for watched in rules {
            match watched.rule {
                NoticeRule::Finish => happened.extend(ended(event, true)),
                NoticeRule::Halt => happened.extend(ended(event, false)),
                NoticeRule::Limit(threshold) => happened.extend(crossed(event, threshold)),
                NoticeRule::Failures(threshold) => happened.extend(watched.failures(event, stats, threshold)),
                NoticeRule::Budget(threshold) => happened.extend(watched.budget(stats, purse, threshold)),
                NoticeRule::Hold(threshold) => {
                    watched.holds(event.at, held, threshold, &mut happened);
                    happened.extend(watched.outage(*outage_lasted, threshold));
                }
            }
        }
        happened
    }

    /// Updates the list of held pools and the length of the outage. A status event contains only pools with rows to
    /// send or requests in flight. If a held pool is missing in the event, no row waits for this pool, so the pool is
    /// removed from the list.
    fn note_holds(&mut self, event: &RunEvent) {
        if let EventBody::Held { pool, .. } = &event.body {
            self.held.entry(pool.clone()).or_insert(event.at);
        }
        if let EventBody::Status { pools, .. } = &event.body {
            let is_held = |pool: &PoolId| pools.iter().any(|at| at.pool == *pool && at.held_for.is_some());
            self.held.retain(|pool, _| is_held(pool));
            for status in pools.iter().filter(|status| status.held_for.is_some()) {
                self.held.entry(status.pool.clone()).or_insert(event.at);
            }
        }
        if let EventBody::Outage(outage) = &event.body {
            self.outage_lasted = outage.as_ref().map(|outage| outage.lasted);
        }
        if let EventBody::Ended { .. } = &event.body {
            self.held.clear();
            self.outage_lasted = None;
        }
    }
}

impl Watched {
    fn failures(&mut self, event: &RunEvent, stats: &Stats, threshold: f64) -> Option<Happened> {
        if !matches!(event.body, EventBody::Failed { .. } | EventBody::Succeeded { .. } | EventBody::Taken { .. }) {
            return None;
        }
        let failed = stats.failed_total();
        let finished = failed + stats.succeeded_total();
        let share = failed as f64 / finished.max(1) as f64;
        let was_crossed = self.is_crossed;
        if share < threshold * CLEARLY_BELOW {
            self.is_crossed = false;
        } else if share > threshold && finished >= FEWEST_ROWS {
            self.is_crossed = true;
        }
        (self.is_crossed && !was_crossed).then_some(Happened::Failures { share, threshold })
    }

    fn budget(&mut self, stats: &Stats, purse: &Purse, threshold: f64) -> Option<Happened> {
        let most = purse.most_at(stats).filter(|most| *most > Money::ZERO);
        let share = most.map_or(0.0, |most| (purse.before + stats.cost).dollars() / most.dollars());
        let was_crossed = std::mem::replace(&mut self.is_crossed, share >= threshold - ROUNDING);
        (self.is_crossed && !was_crossed).then_some(Happened::Budget { share, threshold })
    }

    fn holds(
        &mut self,
        now: Timestamp,
        held: &BTreeMap<PoolId, Timestamp>,
        threshold: Duration,
        happened: &mut Vec<Happened>,
    ) {
        self.told.retain(|pool| held.contains_key(pool));
        for (pool, since) in held {
            let lasted = now.duration_since(*since).try_into().unwrap_or(Duration::ZERO);
            if lasted >= threshold && !self.told.contains(pool) {
                self.told.push(pool.clone());
                happened.push(Happened::Held { pool: pool.clone(), lasted, threshold });
            }
        }
    }

    fn outage(&mut self, lasted: Option<Duration>, threshold: Duration) -> Option<Happened> {
        let was_crossed = self.is_crossed;
        self.is_crossed = lasted.is_some_and(|lasted| lasted >= threshold || was_crossed);
        (self.is_crossed && !was_crossed).then_some(Happened::Outage { lasted: lasted.unwrap_or_default(), threshold })
    }
}

fn ended(event: &RunEvent, by_itself: bool) -> Option<Happened> {
    let EventBody::Ended { reason, .. } = &event.body else { return None };
    match reason {
        Some(reason) if !by_itself => Some(Happened::Halted(reason.clone())),
        None if by_itself => Some(Happened::Finished),
        Some(_) | None => None,
    }
}

fn crossed(event: &RunEvent, threshold: u8) -> Option<Happened> {
    let EventBody::Crossed(crossing) = &event.body else { return None };
    (crossing.is_above && crossing.threshold == threshold).then(|| Happened::Limit((**crossing).clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Dimension, ErrorClass, Failure, LimitKind, Outage, Quality, RateLimits, Reason, SteeredBy};
    use crate::report::stats::tests::{at, ended, failed, pool, status, succeeded};
    use crate::report::{Report, Reporter, View};

    /// Passes events to a decider, and returns the subjects of the notices.
    fn play(rules: &[NoticeRule], purse: Purse, events: &[(i64, EventBody)]) -> Vec<Happened> {
        let (mut decider, mut stats) = (Decider::new(rules, purse), Stats::default());
        let mut happened = Vec::new();
        for (second, body) in events {
            let event = at(*second, body.clone());
            stats.fold(&event);
            happened.extend(decider.on_event(&event, &stats));
        }
        happened
    }

    fn halted() -> EventBody {
        let EventBody::Ended { pending, reasons, uses, elapsed, max_in_flight, batches, .. } = ended() else {
            unreachable!("it is the end")
        };
        let reason = Some(Box::new(HaltReason::Signal(2)));
        EventBody::Ended { pending, reason, reasons, uses, elapsed, max_in_flight, batches }
    }

    fn crossing(threshold: u8, is_above: bool) -> EventBody {
        let pool = pool("haiku-4.5", [None; 3]).pool;
        let share = if is_above { 0.96 } else { 0.5 };
        EventBody::Crossed(Box::new(Crossing { pool, dimension: Dimension::OutputTokens, threshold, share, is_above }))
    }

    fn standing(held: &[&str]) -> EventBody {
        let of = |class: &str| {
            let mut status = pool(class, [None; 3]);
            status.held_for = held.contains(&class).then_some(Duration::from_secs(9));
            status
        };
        status(Reason::Hold, ["a", "b"].map(of).into())
    }

    fn outage(lasted: u64) -> EventBody {
        let lasted = Duration::from_secs(lasted);
        let outage = Outage { provider: "p".into(), fault: Failure::default(), lasted, next_try: None };
        EventBody::Outage(Some(Box::new(outage)))
    }

    #[test]
    fn an_end_is_a_finish_or_a_halt_and_is_reported_once() {
        let both = [NoticeRule::Finish, NoticeRule::Halt, NoticeRule::Finish];
        let kinds = |end: EventBody, rules: &[NoticeRule]| {
            let told = play(rules, Purse::default(), &[(0, succeeded(Quality::Ok)), (1, end)]);
            told.iter().map(|happened| happened.rule().kind()).collect::<Vec<_>>()
        };

        assert_eq!(kinds(ended(), &both), ["finish"]);
        assert_eq!(kinds(halted(), &both), ["halt"]);
        assert!(kinds(halted(), &both[..1]).is_empty() && kinds(ended(), &both[1..2]).is_empty());
    }

    #[test]
    fn only_a_rise_above_the_threshold_of_the_rule_is_reported() {
        let events = [(80, true), (95, true), (95, false), (95, true), (80, false)];
        let events = events.map(|(threshold, is_above)| (0, crossing(threshold, is_above)));
        let count = |rules: &[NoticeRule]| play(rules, Purse::default(), &events).len();

        assert_eq!(count(&[NoticeRule::Limit(80)]), 1);
        assert_eq!(count(&[NoticeRule::Limit(95)]), 2);
        assert_eq!(count(&[NoticeRule::Limit(80), NoticeRule::Limit(95)]), 3);
        assert_eq!(count(&[NoticeRule::Finish]), 0);
    }

    /// The test `tests/limit_use.rs` checks that whole runs cross the same thresholds.
    #[test]
    fn the_use_of_a_limit_is_reported_by_its_mean_and_not_by_its_peaks() {
        for (share, expected) in [(0.60, &[][..]), (0.85, &[80]), (0.97, &[80, 95])] {
            for seed in 1..=20 {
                let told = told_by_a_run(share, seed);

                let expected = expected.iter().map(|threshold| NoticeRule::Limit(*threshold)).collect::<Vec<_>>();
                assert_eq!(told, expected, "{share}, seed {seed}");
            }
        }
    }

    /// Simulates ten minutes of a run that uses this share of a limit, and returns the rules that caused notices.
    fn told_by_a_run(share: f64, seed: u64) -> Vec<NoticeRule> {
        let told = Told::default();
        let rules = [NoticeRule::Limit(80), NoticeRule::Limit(95), NoticeRule::Halt];
        let mut report = Report::new(Box::new(Deciding(Decider::new(&rules, Purse::default()), told.clone())));
        let mut random = fastrand::Rng::with_seed(seed);
        let mut counted = 0.0;
        for second in 1..=600 {
            // The rate goes up and down, but its mean over some seconds stays the same.
            counted += share * 100.0 * (if second % 2 == 1 { 0.2 } else { 1.8 });
            let noise = random.f64() * 60.0;
            let mut status_of_pool = pool("haiku-4.5", [None; 3]);
            status_of_pool.limits = RateLimits { rpm: Some(6_000), ..RateLimits::NONE };
            status_of_pool.counted = [(counted + noise) as u64, 0, 0];
            status_of_pool.allowed = [Some(100 * second), None, None];
            report.on_event(&at(second as i64, status(Reason::Window, vec![status_of_pool])));
        }
        report.on_event(&at(601, ended()));
        told.lock().expect("nobody panics").clone()
    }

    type Told = std::sync::Arc<std::sync::Mutex<Vec<NoticeRule>>>;

    /// A view that collects the rules that cause notices.
    struct Deciding(Decider, Told);

    impl View for Deciding {
        fn show(&mut self, event: &RunEvent, stats: &Stats) {
            let happened = self.0.on_event(event, stats);
            self.1.lock().expect("nobody panics").extend(happened.iter().map(Happened::rule));
        }

        fn answer(&mut self, _stats: &Stats) {}
    }

    #[test]
    fn failures_are_reported_after_twenty_rows_and_once_per_crossing() {
        let rule = [NoticeRule::Failures(0.05)];
        let good = |count| vec![(0, succeeded(Quality::Ok)); count];
        let bad = |count| vec![(0, failed(ErrorClass::Server)); count];
        let count = |events: &[Vec<(i64, EventBody)>]| play(&rule, Purse::default(), &events.concat()).len();

        assert_eq!(count(&[bad(19)]), 0, "too few rows");
        assert_eq!(count(&[bad(19), good(1)]), 1);
        assert_eq!(count(&[good(19), bad(1)]), 0, "exactly 5 % is not more than 5 %");
        assert_eq!(count(&[good(19), bad(2), good(1), bad(40)]), 1, "it stays above");
        assert_eq!(count(&[good(18), bad(2), good(24), bad(2)]), 1, "4.5 % is not clearly below");
        assert_eq!(count(&[good(18), bad(2), good(40), bad(3)]), 2, "3.3 % is clearly below");
    }

    #[test]
    fn a_hold_is_reported_once_when_it_has_lasted_long_enough_without_a_break() {
        let rule = [NoticeRule::Hold(Duration::from_secs(60))];
        let told = |events: &[(i64, EventBody)]| play(&rule, Purse::default(), events);
        let held = EventBody::Held {
            pool: pool("a", [None; 3]).pool,
            wait: Duration::from_secs(90),
            kind: LimitKind::Rate,
            dimension: None,
        };

        let long = told(&[(0, held.clone()), (1, standing(&["a"])), (59, standing(&["a"])), (60, standing(&["a"]))]);
        let broken = told(&[(0, standing(&["a"])), (50, standing(&[])), (51, held), (109, standing(&["a"]))]);
        let twice = told(&[
            (0, standing(&["a", "b"])),
            (61, standing(&["a", "b"])),
            (99, standing(&["b"])),
            (100, standing(&["a", "b"])),
            (161, standing(&["a", "b"])),
        ]);

        assert_eq!(long.len(), 1, "{long:?}");
        assert!(matches!(&long[0], Happened::Held { lasted, .. } if lasted.as_secs() == 60));
        assert!(broken.is_empty(), "{broken:?}");
        assert_eq!(twice.len(), 3, "a, b, and a again: {twice:?}");
    }

    #[test]
    fn each_outage_is_reported_once() {
        let rule = [NoticeRule::Hold(Duration::from_secs(60))];
        let over = EventBody::Outage(None);

        let told = play(
            &rule,
            Purse::default(),
            &[(0, outage(59)), (1, outage(60)), (2, outage(61)), (3, over), (4, outage(1)), (64, outage(61))],
        );

        assert_eq!(told.len(), 2, "{told:?}");
    }

    #[test]
    fn a_budget_is_reported_once_and_counts_earlier_runs() {
        // Each row costs a cent.
        let rows = |count| vec![(0, succeeded(Quality::Ok)); count];
        let told = |before: f64, most: Option<f64>, count| {
            let purse = Purse { before: Money::from_dollars(before), most: most.map(Money::from_dollars) };
            play(&[NoticeRule::Budget(0.8)], purse, &rows(count)).len()
        };

        assert_eq!((told(0.0, Some(0.1), 7), told(0.0, Some(0.1), 8), told(0.0, Some(0.1), 20)), (0, 1, 1));
        assert_eq!(told(0.7, Some(1.0), 10), 1);
        assert_eq!(told(0.7, None, 10), 0, "there is no budget");
    }

    #[test]
    fn a_budget_that_is_changed_during_the_run_counts_from_then_on() {
        let steered = |most: Option<f64>| {
            let max_cost = most.map(Money::from_dollars);
            vec![(0, EventBody::Steered { by: SteeredBy::Ctl, message: String::new(), max_cost })]
        };
        let rows = |count| vec![(0, succeeded(Quality::Ok)); count];
        let told = |most: Option<f64>, events: &[Vec<(i64, EventBody)>]| {
            let purse = Purse { before: Money::ZERO, most: most.map(Money::from_dollars) };
            play(&[NoticeRule::Budget(0.8)], purse, &events.concat()).len()
        };

        assert_eq!(told(Some(0.1), &[rows(5), steered(Some(0.2)), rows(10)]), 0);
        assert_eq!(told(Some(0.1), &[rows(8), steered(Some(0.2)), rows(8)]), 2, "it is crossed again");
        assert_eq!(told(None, &[rows(8), steered(Some(0.1))]), 1);
        assert_eq!(told(Some(0.1), &[rows(5), steered(None), rows(10)]), 0);
        assert_eq!(told(Some(0.1), &[rows(8), steered(Some(0.1)), rows(1)]), 1, "it is as before");
    }
}
