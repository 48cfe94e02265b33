//! Compares the real cost and duration of a run with the plan that was made before its first request.
//!
//! Only a run that finished its rows is compared with its plan. The cost and time of a part of a run say little about
//! the whole run. Short rows finish first, and fewer rows finish at the start and at the end of a run than in the
//! middle. So the summary of a run that stopped early shows only the plan.

use super::ranges::{money_range, time_range};
use super::stats::Stats;
use super::text::{count, plural};
use crate::domain::Interval;

/// Returns the comparison as text: `as planned: $8.90–10.20, 38–44 min`, or `cost within the planned $8.90–10.20; time
/// above the planned 38–44 min`. Returns `None` if there was no plan.
pub(super) fn line(stats: &Stats) -> Option<String> {
    let compared = compared(stats)?;
    let (cost, time) = (compared.cost, compared.time);
    if !compared.is_judged {
        let parts: Vec<_> = [cost.map(|cost| cost.0), time.map(|time| time.0)].into_iter().flatten().collect();
        let rows = plural(compared.rows, "row", "rows");
        return (!parts.is_empty())
            .then(|| format!("{} for {rows}, of which {} are done", parts.join(", "), count(compared.done)));
    }
    let parts: Vec<_> =
        [("cost", cost), ("time", time)].into_iter().filter_map(|(name, part)| Some((name, part?))).collect();
    if parts.iter().all(|(_, (_, verdict))| *verdict == Verdict::Within) {
        let ranges: Vec<_> = parts.into_iter().map(|(_, (range, _))| range).collect();
        return (!ranges.is_empty()).then(|| format!("as planned: {}", ranges.join(", ")));
    }
    let words = parts.iter().map(|(name, (range, verdict))| format!("{name} {} the planned {range}", verdict.name()));
    Some(words.collect::<Vec<_>>().join("; "))
}

/// The plan of a run, and how the real cost and the real time compare with the plan.
struct Compared {
    /// The planned range of the cost as text, and whether the real cost is below, in or above this range.
    cost: Option<(String, Verdict)>,
    /// The planned range of the time as text, and whether the real time is below, in or above this range.
    time: Option<(String, Verdict)>,
    /// The number of planned rows.
    rows: u64,
    /// The number of planned rows that are done.
    done: u64,
    /// Whether the run did all planned rows. A run that did not do all planned rows is not compared with its plan.
    is_judged: bool,
}

/// Returns two verdicts for scripts: how the real cost and the real time compare with the plan. A value is `None` if it
/// was not planned. If the run did not do all planned rows, both values are `None`.
pub(super) fn verdicts(stats: &Stats) -> (Option<Verdict>, Option<Verdict>) {
    match compared(stats).filter(|compared| compared.is_judged) {
        Some(compared) => (compared.cost.map(|cost| cost.1), compared.time.map(|time| time.1)),
        None => (None, None),
    }
}

fn compared(stats: &Stats) -> Option<Compared> {
    let forecast = stats.plan()?;
    let ending = stats.ending.as_ref()?;
    let is_judged = ending.halt.is_none() && stats.remaining().unwrap_or(0).max(ending.pending) == 0;
    let cost = forecast.cost.filter(|_| stats.unpriced == 0 || !is_judged).map(|planned| {
        let spent = stats.cost.to_string();
        let looks_equal = [planned.low, planned.high].iter().any(|end| end.to_string() == spent);
        let verdict = if looks_equal { Verdict::Within } else { Verdict::of(planned, stats.cost) };
        (money_range(planned), verdict)
    });
    let time = forecast.time.map(|planned| {
        // The comparison uses the numbers that people see. A range of time is shown in whole seconds, and is never
        // below one second.
        let shown = planned.map(|time| time.as_secs().max(1));
        let verdict = Verdict::of(shown, ending.elapsed.as_secs());
        (time_range(planned), verdict)
    });
    let done = (stats.succeeded_total() + stats.failed_total()).saturating_sub(stats.taken.rows());
    Some(Compared { cost, time, rows: forecast.rows, done, is_judged })
}

/// Whether a real value is below, in or above its planned range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The real value is below the range.
    Below,
    /// The real value is in the range.
    Within,
    /// The real value is above the range.
    Above,
}

impl Verdict {
    fn of<T: PartialOrd + Copy>(planned: Interval<T>, truth: T) -> Self {
        match () {
            () if planned.contains(truth) => Self::Within,
            () if truth < planned.low => Self::Below,
            () => Self::Above,
        }
    }

    /// Returns the name of this result, as shown to people and scripts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Below => "below",
            Self::Within => "within",
            Self::Above => "above",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::stats::tests::{at, started, succeeded, without_price};
    use super::*;
    use crate::domain::{EventBody, HaltReason, Money, Quality, RunForecast};

    #[test]
    fn a_finished_run_is_compared_with_its_plan() {
        // Each row costs one cent.
        let within = run(10, 10, Some((0.08, 0.12)), Some((20, 40)), 30, None);
        let outside = run(10, 10, Some((0.2, 0.3)), Some((20, 25)), 30, None);

        assert_eq!(within.as_deref(), Some("as planned: $0.0800–0.1200, 20–40 s"));
        assert_eq!(outside.as_deref(), Some("cost below the planned $0.2000–0.3000; time above the planned 20–25 s"));
    }

    #[test]
    fn a_run_that_stopped_early_is_not_judged() {
        let stopped = run(10, 4, Some((0.2, 0.3)), Some((600, 720)), 30, Some(HaltReason::Signal(2)));

        assert_eq!(stopped.as_deref(), Some("$0.2000–0.3000, 10–12 min for 10 rows, of which 4 are done"));
    }

    #[test]
    fn a_run_of_less_than_a_second_is_below_a_plan_of_whole_seconds() {
        let mut stats = stats(10, 10, None, Some((0, 19)));
        let mut end = ended(0, None);
        if let EventBody::Ended { elapsed, .. } = &mut end {
            *elapsed = Duration::from_millis(80);
        }
        stats.fold(&at(2, end));

        assert_eq!(line(&stats).as_deref(), Some("time below the planned 1–19 s"));
    }

    #[test]
    fn what_was_not_planned_is_not_compared() {
        let only_time = run(10, 10, None, Some((20, 40)), 30, None);

        assert_eq!(only_time.as_deref(), Some("as planned: 20–40 s"));
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

    #[test]
    fn a_run_that_also_collects_batches_of_earlier_runs_is_not_compared() {
        let mut stats = stats(1, 1, Some((0.0002, 0.0003)), None);
        let forecast = stats.forecast.map(|forecast| RunForecast { leaves_out_batches: true, ..forecast });
        stats.fold(&at(2, ended(30, None)));
        assert_eq!(line(&stats).as_deref(), Some("cost above the planned $0.0002–0.0003"));

        stats.forecast = forecast;

        assert_eq!((line(&stats), verdicts(&stats)), (None, (None, None)));
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
        stats.fold(&at(
            0,
            EventBody::Forecast(RunForecast { rows, cost, at_most: None, time, leaves_out_batches: false }),
        ));
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
