//! The `--halt` rule, which decides when failing rows stop the run.

use crate::domain::{ErrorClass, Failure, HaltReason};

/// How many finished rows the default rule checks.
const FIRST: u64 = 10;
/// How many rows must be finished before the share of failed rows is checked.
const ENOUGH_FOR_SHARE: u64 = 20;

/// The rule.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum HaltRule {
    /// If the first ten finished rows all fail in the same way, the run waits for the requests in flight. If none of
    /// these requests brings an answer, the run stops. Errors arrive sooner than answers, so without this wait, ten bad
    /// rows could stop a good run.
    #[default]
    AllAlike,
    /// The run does not stop, however many rows fail.
    Never,
    /// The run stops when this many rows have failed.
    Failures(u64),
    /// The run stops when more than this share (0 to 1) of the finished rows has failed. The share of failed rows is
    /// not checked before twenty rows are finished.
    Share(f64),
}

/// The numbers of finished and failed rows, for the `--halt` rule.
#[derive(Debug, Default)]
pub(super) struct Halt {
    rule: HaltRule,
    finished: u64,
    failed: u64,
    alike: Option<ErrorClass>,
    suspicion: Option<HaltReason>,
}

impl Halt {
    /// Returns new counts for `rule`, which start at zero rows.
    pub(super) fn new(rule: HaltRule) -> Self {
        Self { rule, ..Self::default() }
    }

    /// If all rows so far have failed in the same way, and there are enough of them for the default rule, returns the
    /// reason to stop the run. Until it is decided whether the run stops, the run must send nothing. An answer or a
    /// different failure ends the suspicion. If neither an answer nor a different failure arrives, the run stops as
    /// soon as no request is in flight.
    pub(super) fn suspicion(&self) -> Option<&HaltReason> {
        self.suspicion.as_ref()
    }

    /// Counts a row that was answered.
    pub(super) fn on_answer(&mut self) {
        self.finished += 1;
        self.suspicion = None;
    }

    /// Counts a row that failed. If the rule stops the run at once, returns the reason. The default rule never stops
    /// the run at once: see `suspicion`.
    ///
    /// A row that failed because of the server or the connection shows nothing about the other rows. The default rule
    /// does not count rows that failed because of the server or the connection.
    pub(super) fn on_failure(&mut self, class: ErrorClass, failure: &Failure) -> Option<HaltReason> {
        if self.rule == HaltRule::AllAlike && is_outside(class) {
            return None;
        }
        self.finished += 1;
        self.failed += 1;
        let is_alike = *self.alike.get_or_insert(class) == class;
        let stops = match self.rule {
            HaltRule::AllAlike => self.failed >= FIRST && self.finished == self.failed && is_alike,
            HaltRule::Never => false,
            HaltRule::Failures(most) => self.failed >= most,
            HaltRule::Share(most) => {
                self.finished >= ENOUGH_FOR_SHARE && self.failed as f64 > most * self.finished as f64
            }
        };
        let reason = stops.then(|| HaltReason::AllFail {
            rows: self.failed,
            finished: self.finished,
            class,
            failure: failure.clone(),
        });
        if self.rule != HaltRule::AllAlike {
            return reason;
        }
        if !is_alike {
            // Two rows failed in different ways, so this rule can no longer stop the run.
            self.rule = HaltRule::Never;
        }
        self.suspicion = reason;
        None
    }
}

/// Returns whether the cause of a failure is the server or the connection, not the row.
fn is_outside(class: ErrorClass) -> bool {
    use ErrorClass::{Network, Overloaded, RateLimit, Server, Timeout};
    matches!(class, Network | Overloaded | RateLimit | Server | Timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a run with one request in flight at a time, returns the number of the row after which the run stops.
    fn stops_at(rule: HaltRule, rows: impl Iterator<Item = Option<ErrorClass>>) -> Option<usize> {
        let mut halt = Halt::new(rule);
        rows.enumerate().find_map(|(at, row)| match row {
            Some(class) => {
                let reason = halt.on_failure(class, &Failure::default());
                reason.as_ref().or(halt.suspicion()).map(|_| at + 1)
            }
            None => {
                halt.on_answer();
                None
            }
        })
    }

    #[test]
    fn the_first_ten_rows_stop_the_run_if_they_fail_alike() {
        let alike = || std::iter::repeat(Some(ErrorClass::InvalidRequest));

        assert_eq!(stops_at(HaltRule::AllAlike, alike().take(50)), Some(10));
        assert_eq!(stops_at(HaltRule::AllAlike, std::iter::once(None).chain(alike()).take(50)), None);
        assert_eq!(
            stops_at(HaltRule::AllAlike, std::iter::once(Some(ErrorClass::InvalidOutput)).chain(alike()).take(50)),
            None
        );
        assert_eq!(
            stops_at(HaltRule::AllAlike, std::iter::repeat_n(Some(ErrorClass::Server), 50)),
            None,
            "these failures are not caused by the rows"
        );
    }

    #[test]
    fn a_rule_with_a_count_or_a_share_stops_the_run_when_the_failures_reach_it() {
        let half = || (0..100).map(|at| (at % 2 == 0).then_some(ErrorClass::Server));

        assert_eq!(stops_at(HaltRule::Failures(3), half()), Some(5));
        assert_eq!(stops_at(HaltRule::Share(0.4), half()), Some(21));
        assert_eq!(stops_at(HaltRule::Share(0.6), half()), None);
        assert_eq!(stops_at(HaltRule::Never, half()), None);
    }
}
