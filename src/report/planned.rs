//! Compares the plan that was made before the first request with the real cost and the real duration of the run.
//!
//! Only a run that finished its rows is compared. Part of a run says little: the first rows to finish are the short
//! ones, and the start and the end of a run take time in which few rows finish. So after a run that stopped early, the
//! summary shows the plan without a verdict.

use std::fmt::Display;
use std::time::Duration;

use super::ranges::{money_range, time_range};
use super::stats::Stats;
use super::text::{count, duration, plural};
use crate::domain::{Interval, Money};

/// Returns the comparison in words, such as `$8.90–10.20 planned, $9.60 spent (within); 38–44 min planned, 47 min 10 s
/// taken (above)`. `None` if there was no plan.
pub(super) fn line(stats: &Stats) -> Option<String> {
    let forecast = stats.forecast.as_ref().filter(|forecast| forecast.rows > 0)?;
    let ending = stats.ending.as_ref()?;
    let is_finished = ending.halt.is_none() && stats.remaining().unwrap_or(0).max(ending.pending) == 0;
    if !is_finished {
        return unfinished(stats, forecast.rows, forecast.cost, forecast.time);
    }
    let cost = forecast.cost.filter(|_| stats.unpriced == 0);
    let cost = cost.map(|planned| {
        let spent = stats.cost.to_string();
        let looks_equal = [planned.low, planned.high].iter().any(|end| end.to_string() == spent);
        let verdict = verdict(planned, stats.cost, looks_equal);
        format!("{} planned, {spent} spent ({verdict})", money_range(planned))
    });
    let time = forecast.time.map(|planned| {
        // People see whole seconds.
        let verdict = verdict(planned.map(|time| time.as_secs()), ending.elapsed.as_secs(), false);
        format!("{} planned, {} taken ({verdict})", time_range(planned), duration(ending.elapsed))
    });
    let parts = [cost, time].into_iter().flatten().collect::<Vec<_>>();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn unfinished(
    stats: &Stats,
    rows: u64,
    cost: Option<Interval<Money>>,
    time: Option<Interval<Duration>>,
) -> Option<String> {
    let parts = [cost.map(money_range), time.map(time_range)].into_iter().flatten().collect::<Vec<_>>();
    let done = count((stats.succeeded_total() + stats.failed_total()).saturating_sub(stats.taken.rows()));
    let rows = plural(rows, "row", "rows");
    (!parts.is_empty()).then(|| {
        format!("{} for {rows}; {done} are done, and only a run that does all of them is compared", parts.join(" and "))
    })
}

fn verdict<T: PartialOrd + Copy>(planned: Interval<T>, truth: T, looks_equal: bool) -> impl Display {
    match () {
        () if planned.contains(truth) || looks_equal => "within",
        () if truth < planned.low => "below",
        () => "above",
    }
}

#[cfg(test)]
mod tests {
    use super::super::stats::tests::{at, started, succeeded, without_price};
    use super::*;
    use crate::domain::{EventBody, HaltReason, Quality, RunForecast};

    #[test]
    fn a_finished_run_is_compared_with_its_plan() {
        // Each row costs one cent.
        let within = run(10, 10, Some((0.08, 0.12)), Some((20, 40)), 30, None);
        let outside = run(10, 10, Some((0.2, 0.3)), Some((20, 25)), 30, None);

        assert_eq!(
            within.as_deref(),
            Some("$0.0800–0.1200 planned, $0.1000 spent (within); 20–40 s planned, 30 s taken (within)")
        );
        assert_eq!(
            outside.as_deref(),
            Some("$0.2000–0.3000 planned, $0.1000 spent (below); 20–25 s planned, 30 s taken (above)")
        );
    }

    #[test]
    fn a_run_that_stopped_early_is_not_judged() {
        let stopped = run(10, 4, Some((0.2, 0.3)), Some((600, 720)), 30, Some(HaltReason::Signal(2)));

        assert_eq!(
            stopped.as_deref(),
            Some(
                "$0.2000–0.3000 and 10–12 min for 10 rows; 4 are done, and only a run that does all of them is compared"
            )
        );
    }

    #[test]
    fn what_was_not_planned_is_not_compared() {
        let only_time = run(10, 10, None, Some((20, 40)), 30, None);

        assert_eq!(only_time.as_deref(), Some("20–40 s planned, 30 s taken (within)"));
        assert_eq!(run(10, 10, None, None, 30, None), None);
        assert_eq!(line(&Stats::default()), None);
    }

    #[test]
    fn a_cost_that_is_known_only_in_part_is_not_compared() {
        let mut stats = stats(10, 9, Some((0.2, 0.3)), None);
        stats.fold(&at(1, without_price()));
        stats.fold(&at(2, ended(30, None)));

        assert_eq!(line(&stats), None);
    }

    fn run(
        rows: u64,
        done: u64,
        cost: Option<(f64, f64)>,
        time: Option<(u64, u64)>,
        seconds: u64,
        halt: Option<HaltReason>,
    ) -> Option<String> {
        let mut stats = stats(rows, done, cost, time);
        stats.fold(&at(2, ended(seconds, halt)));
        line(&stats)
    }

    fn stats(rows: u64, done: u64, cost: Option<(f64, f64)>, time: Option<(u64, u64)>) -> Stats {
        let mut stats = Stats::default();
        let cost = cost.map(|(low, high)| Interval { low, likely: low, high }.map(Money::from_dollars));
        let time = time.map(|(low, high)| Interval { low, likely: low, high }.map(Duration::from_secs));
        stats.fold(&at(0, started(Some(rows), 0)));
        stats.fold(&at(0, EventBody::Forecast(RunForecast { rows, cost, at_most: None, time })));
        (0..done).for_each(|_| stats.fold(&at(1, succeeded(Quality::Ok))));
        stats
    }

    fn ended(seconds: u64, halt: Option<HaltReason>) -> EventBody {
        let (reason, elapsed) = (halt.map(Box::new), Duration::from_secs(seconds));
        EventBody::Ended {
            pending: 0,
            reason,
            reasons: Vec::new(),
            uses: Vec::new(),
            elapsed,
            max_in_flight: 1,
            batches: None,
        }
    }
}
