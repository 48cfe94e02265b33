//! The history of a run as charts, and as a table with the same numbers.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::axis::Axis;
use super::chart::{Chart, Lane, Mark, Series, lanes, number};
use super::html::{Set, dollars, paragraph, remark, table};
use super::uses::{self, MOST_CHARTS};
use crate::domain::Reason;
use crate::report::text::{count, percent};
use crate::watch::facts::RunFacts;
use crate::watch::timeline::Point;

/// How many reasons can have a bar of their own.
const MOST_REASONS: usize = 6;

/// The history of a run, as points and a time axis.
pub(super) struct History<'a> {
    facts: &'a RunFacts,
    /// The points of the history, in chronological order. A point covers one time interval.
    pub(super) points: Vec<Point>,
    /// Whether the points come from the timeline. Points that are computed from the lines of the results contain only
    /// rows and tokens.
    pub(super) is_full: bool,
    axis: Axis,
}

impl<'a> History<'a> {
    /// Returns the history from the timeline. If there is no timeline, makes the history from the times in the lines of
    /// the results and the error log.
    pub(super) fn of(facts: &'a RunFacts) -> Self {
        let points = facts.timeline.as_ref().map(|timeline| timeline.points.clone()).unwrap_or_default();
        let is_full = !points.is_empty();
        let points = if is_full { points } else { points_of_lines(facts) };
        let axis = Axis::of(&points.iter().map(span).collect::<Vec<_>>());
        Self { facts, points, is_full, axis }
    }

    /// Returns how long the run was in progress, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        if self.is_full {
            return self.points.iter().map(|point| point.s).sum();
        }
        match (self.points.first(), self.points.last()) {
            (Some(first), Some(last)) => (span(last).1 - span(first).0) as f64 / 1_000.0,
            _ => 0.0,
        }
    }

    /// Returns the reasons that slowed the run down, each with its share of the time. The reason with the largest share
    /// comes first. The list leaves out the wait for the last answers, because every run has this wait.
    pub(super) fn reasons(&self) -> Vec<(String, f64)> {
        let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
        for (name, seconds) in self.points.iter().flat_map(|point| &point.bound) {
            if name != Reason::Draining.name() && seconds.is_finite() {
                *sums.entry(name).or_default() += seconds.max(0.0);
            }
        }
        let all = self.seconds().max(f64::MIN_POSITIVE);
        let mut reasons: Vec<(String, f64)> =
            sums.into_iter().map(|(name, seconds)| (name.to_owned(), (seconds / all).min(1.0))).collect();
        reasons.sort_by(|one, other| other.1.total_cmp(&one.1));
        reasons.retain(|(_, share)| *share > 0.0);
        reasons
    }

    /// Returns the section of the page about the rate.
    pub(super) fn rate(&self) -> String {
        if self.points.is_empty() {
            return remark("No row has ended yet, so there is nothing to draw.");
        }
        let rows = self.facts.answers.rate.pieces().1.len().max(self.points.len());
        let mut out = remark(&format!(
            "Times are in UTC: {}. Each step of a line is the mean of one interval.",
            self.axis.words()
        ));
        let (peak, at) = self.peak();
        let chart = Chart {
            id: "rate".to_owned(),
            title: "Rows per minute".to_owned(),
            words: format!(
                "Rows per minute over {rows} intervals. The highest rate is {} rows per minute, at {at}.",
                number(peak)
            ),
            series: vec![
                self.series("answered", Mark::Ok, |point| point.ok as f64 * per_minute(point)),
                self.series("failed", Mark::Bad, |point| point.failed as f64 * per_minute(point)),
            ],
            lines: None,
            is_share: false,
        };
        out.push_str(&chart.html(&self.axis));
        out.push_str(&self.bars());
        out
    }

    fn bars(&self) -> String {
        let reasons = self.reasons();
        if !self.is_full {
            return remark("Without the history, it is not known what held the run back.");
        }
        if reasons.is_empty() {
            return paragraph("Nothing held the run back.");
        }
        let lane = |(name, share): &(String, f64)| {
            let of = |point: &Point| (point.bound.get(name).copied().unwrap_or(0.0) / point.s).clamp(0.0, 1.0);
            Lane {
                name: name.clone(),
                share: *share,
                values: self.points.iter().map(|point| (span(point), of(point))).collect(),
            }
        };
        let bars: Vec<_> = reasons.iter().take(MOST_REASONS).map(lane).collect();
        let others = reasons.get(MOST_REASONS..).unwrap_or_default();
        let mut out = String::from("<h3>What held it back</h3>\n");
        out.push_str(&lanes("held", &self.axis, &bars));
        if !others.is_empty() {
            let words: Vec<String> = others.iter().map(|(name, share)| format!("{name} {}", percent(*share))).collect();
            out.push_str(&remark(&format!("Also: {}.", words.join(", "))));
        }
        out
    }

    /// Returns the section of the page that shows how much of each limit was used.
    pub(super) fn limits(&self) -> String {
        let pools = self.facts.timeline.as_ref().map_or(&[][..], |timeline| &timeline.pools);
        let uses = uses::of(&self.points, pools);
        if uses.is_empty() {
            let why = if self.is_full { "The run had no limits." } else { "The use of limits is not known." };
            return remark(why);
        }
        let mut out = uses::table_of(&uses, self.seconds());
        for pool in uses.iter().take(MOST_CHARTS) {
            let name = |dimension: usize| uses::DIMENSIONS[dimension];
            let known = (0..3).filter(|dimension| pool.mean[*dimension].is_some());
            let series = known.clone().zip(Mark::LINES).map(|(dimension, mark)| Series {
                name: name(dimension),
                mark,
                values: self.points.iter().map(|point| (span(point), uses::share(point, pool.at, dimension))).collect(),
            });
            let words: Vec<String> = known
                .clone()
                .map(|dimension| format!("{} {}", name(dimension), percent(pool.mean[dimension].unwrap_or_default())))
                .collect();
            let chart = Chart {
                id: format!("use{}", pool.at),
                title: format!("Use of the limits of {}", pool.name),
                words: format!("The mean use over time is: {}.", words.join(", ")),
                series: series.collect(),
                lines: Some((&[0.8, 0.95], "80% and 95%")),
                is_share: true,
            };
            out.push_str(&chart.html(&self.axis));
        }
        if uses.len() > MOST_CHARTS {
            out.push_str(&remark(&format!("The {MOST_CHARTS} pools with the highest use have charts.")));
        }
        out
    }

    /// Returns the chart of tokens.
    pub(super) fn tokens(&self) -> String {
        if self.points.is_empty() {
            return String::new();
        }
        let sum = |of: fn(&Point) -> u64| count(self.points.iter().map(of).fold(0, u64::saturating_add));
        let mut series = vec![self.series("input", Mark::Solid, |point| point.input as f64 * per_minute(point))];
        series.push(self.series("output", Mark::Dashed, |point| point.output as f64 * per_minute(point)));
        if self.points.iter().any(|point| point.cached > 0) {
            series
                .push(self.series("read from a cache", Mark::Dotted, |point| point.cached as f64 * per_minute(point)));
        }
        let chart = Chart {
            id: "tokens".to_owned(),
            title: "Tokens per minute".to_owned(),
            words: format!(
                "In total: {} uncached input tokens, {} read from a cache, {} output tokens.",
                sum(|point| point.input),
                sum(|point| point.cached),
                sum(|point| point.output)
            ),
            series,
            lines: None,
            is_share: false,
        };
        chart.html(&self.axis)
    }

    /// Returns the charts of retries and of requests in flight.
    pub(super) fn requests(&self) -> String {
        if !self.is_full {
            return String::new();
        }
        let refused: u64 = self.points.iter().map(|point| point.refused).sum();
        let retried: u64 = self.points.iter().map(|point| point.retried).sum();
        let most = self.points.iter().map(|point| point.in_flight).fold(0.0, f64::max);
        let mut out = String::new();
        if refused + retried > 0 {
            let chart = Chart {
                id: "retries".to_owned(),
                title: "Retries per minute".to_owned(),
                words: format!(
                    "Retries in total: {} after a 429, {} after other failures.",
                    count(refused),
                    count(retried)
                ),
                series: vec![
                    self.series("after other failures", Mark::Ok, |point| point.retried as f64 * per_minute(point)),
                    self.series("after a 429", Mark::Bad, |point| point.refused as f64 * per_minute(point)),
                ],
                lines: None,
                is_share: false,
            };
            out.push_str(&chart.html(&self.axis));
        }
        let chart = Chart {
            id: "flight".to_owned(),
            title: "Requests in flight".to_owned(),
            words: format!("Mean number of requests in flight. The highest mean is {}.", number(most)),
            series: vec![self.series("mean", Mark::Solid, |point| point.in_flight.max(0.0))],
            lines: None,
            is_share: false,
        };
        out.push_str(&chart.html(&self.axis));
        out
    }

    /// Returns the numbers of the charts as a table.
    pub(super) fn raw(&self) -> String {
        if self.points.is_empty() {
            return String::new();
        }
        let mut columns = vec![("Begin (UTC)", Set::Short), ("Seconds", Set::Number)];
        let names: &[&str] = match self.is_full {
            true => &[
                "Answered",
                "Failed",
                "Input",
                "Cached",
                "Output",
                "Sent",
                "429s",
                "Other retries",
                "Cost",
                "In flight",
            ],
            false => &["Answered", "Failed", "Input", "Cached", "Output"],
        };
        columns.extend(names.iter().map(|name| (*name, Set::Number)));
        if self.is_full {
            columns.push(("Held back by (seconds)", Set::Wide));
            columns.push(("Use of limits", Set::Wide));
        }
        let pools = self.facts.timeline.as_ref().map_or(&[][..], |timeline| &timeline.pools);
        let row = |point: &Point| {
            let mut row = vec![point.at.strftime("%Y-%m-%d %H:%M:%S").to_string(), number(point.s)];
            row.extend([point.ok, point.failed, point.input, point.cached, point.output].map(count));
            if self.is_full {
                row.extend([point.sent, point.refused, point.retried].map(count));
                row.extend([dollars(point.usd), number(point.in_flight)]);
                let bound: Vec<String> =
                    point.bound.iter().map(|(name, seconds)| format!("{name} {}", number(*seconds))).collect();
                row.extend([bound.join(", "), uses::words(point, pools)]);
            }
            row
        };
        let rows: Vec<Vec<String>> = self.points.iter().map(row).collect();
        let table = table("The numbers of the charts", &columns, &rows);
        format!("<details class=raw><summary>The numbers of the charts</summary>{table}</details>\n")
    }

    fn peak(&self) -> (f64, String) {
        let rate = |point: &Point| (point.ok + point.failed) as f64 * per_minute(point);
        let highest = self.points.iter().max_by(|one, other| rate(one).total_cmp(&rate(other)));
        highest.map(|point| (rate(point), point.at.strftime("%H:%M:%S UTC").to_string())).unwrap_or_default()
    }

    fn series<'n>(&self, name: &'n str, mark: Mark, of: impl Fn(&Point) -> f64) -> Series<'n> {
        let value = |point: &Point| (span(point), Some(of(point)).filter(|value| value.is_finite()));
        Series { name, mark, values: self.points.iter().map(value).collect() }
    }
}

fn per_minute(point: &Point) -> f64 {
    60.0 / point.s
}

/// Returns the start and the end of a point, in milliseconds after 1970.
fn span(point: &Point) -> (i64, i64) {
    let from = point.at.as_millisecond();
    (from, from + (point.s * 1_000.0) as i64)
}

/// Returns points, computed from the times in the results and the error log.
fn points_of_lines(facts: &RunFacts) -> Vec<Point> {
    let (seconds, pieces) = facts.answers.rate.pieces();
    let point = |(second, ended): (i64, crate::watch::facts::Ended)| {
        Some(Point {
            at: Timestamp::from_second(second).ok()?,
            s: seconds as f64,
            ok: ended.ok,
            failed: ended.failed,
            input: ended.input,
            cached: ended.cached,
            output: ended.output,
            ..Point::default()
        })
    };
    pieces.into_iter().filter_map(point).collect()
}
