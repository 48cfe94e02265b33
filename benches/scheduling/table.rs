//! The table as text and as a page.

use crate::support::judge::Measures;
use crate::support::scenario::Scenario;

/// One measure over all seeds.
pub struct Line {
    /// Its name.
    pub measure: String,
    /// Its range, in words.
    pub target: String,
    /// The middle of the seeds.
    pub median: f64,
    /// The seed that is farthest on the bad side.
    pub worst: f64,
    /// Whether every seed is inside the range.
    pub holds: bool,
}

/// Returns a line for each measure that the scenario expects something of.
pub fn of(scenario: &Scenario, seeds: &[Measures]) -> Vec<Line> {
    let line = |(measure, &[least, most]): (&String, &[f64; 2])| {
        let mut values: Vec<f64> =
            seeds.iter().map(|measures| measures.get(&**measure).copied().unwrap_or(f64::NAN)).collect();
        values.sort_by(f64::total_cmp);
        let holds = values.iter().all(|value| (least..=most).contains(value));
        let is_floor = most >= 1e6;
        let (first, last) = (values[0], values[values.len() - 1]);
        let worst = if is_floor || first < least { first } else { last };
        let target = match (is_floor, least <= -1e6 || least == 0.0) {
            (true, _) => format!("at least {}", short(least)),
            (false, true) => format!("at most {}", short(most)),
            (false, false) => format!("{} to {}", short(least), short(most)),
        };
        Line { measure: measure.clone(), target, median: values[values.len() / 2], worst, holds }
    };
    scenario.expect.iter().map(line).collect()
}

/// Returns the table of one scenario for a terminal.
pub fn lines(scenario: &Scenario, seeds: &[Measures], is_all: bool) -> String {
    let mut text = format!("{} ({} seeds)\n", scenario.name, seeds.len());
    for line in of(scenario, seeds) {
        let verdict = if line.holds { "holds" } else { "MISSED" };
        text += &format!(
            "  {verdict:6} {:28} {:>18}  median {:>9}  worst {:>9}\n",
            line.measure,
            line.target,
            short(line.median),
            short(line.worst)
        );
    }
    if is_all {
        let first: Vec<_> = seeds[0].iter().map(|(name, value)| format!("{name} {}", short(*value))).collect();
        text += &format!("    {}\n", first.join(", "));
    }
    text
}

/// Returns the page.
pub fn page(all: &[(Scenario, usize, Vec<Measures>)], admitted: f64, ended: f64) -> String {
    let mut text = String::from(HEAD);
    let (admitted, ended) = (admitted / 1e6, ended / 1e6);
    text += &format!("One core admits {admitted:.1} million rows a second, and takes in {ended:.1} million ends.\n\n");
    text += "| scenario | condition | rows | seeds | measure | target | median | worst | |\n|---|---|---:|---:|---|---|---:|---:|---|\n";
    for (scenario, rows, seeds) in all {
        for (number, line) in of(scenario, seeds).iter().enumerate() {
            let head = match number {
                0 => format!("{} | {} | {rows} | {}", scenario.name, scenario.condition, seeds.len()),
                _ => " | | | ".to_owned(),
            };
            text += &format!(
                "| {head} | `{}` | {} | {} | {} | {} |\n",
                line.measure,
                line.target,
                short(line.median),
                short(line.worst),
                if line.holds { "holds" } else { "**missed**" }
            );
        }
    }
    text
}

fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

const HEAD: &str = "\
# How exact the scheduler is

Written by `cargo bench --bench scheduling`. Each row of the table is a scenario of `fixtures/scenarios`: the real loop
and scheduler against the simulated API, on virtual time. *Median* and *worst* are over the seeds.

`of_bound` is the time of the run over the least that is possible: the largest, over requests, input and output tokens,
of (what was used − what the server lets through at once) / limit: for requests and input row by row in the order of
sending, each with its own latency on top; for output, which the server counts as it is produced, less the debt that it
allows; with a fixed
concurrency or a cap, the sum of all latencies over that. `slowest_pool` is the same for the pool that took longest by its
own limits; `of_ramp` is the time over the least that the acceleration limit allows, each minute using what it may.
`slowest_5min` is the lowest use of the binding limit over any
five minutes. `refused` counts 429s; `refused_share` is for each row, `refused_windows` for each request of the largest
number in flight, `refused_here_share` leaves out those that a proxy met with. Waits of small and big rows are counted from when the row was read (which is earlier than its first
denied admission), without the time that the small rows ahead take at the limit, divided by the big rows that were then
waiting, and one. `level_error_s` is how far the scheduler's own count of the binding limit is from the server's at the
end, in seconds' worth. `eta_error` is how far the end of the run was off, as a share of its time, that was shown when 5 %
of the rows were done; `eta_error_by_time` the same when 5 % of the time had passed, `eta_error_after_change` a minute after
the first change of limits. `cap_left_after_s` is the time from the lifting of a cap to 95 % of the limits' rate.
`given_up_after_s` and `probes_a_minute` speak of an endpoint that died, `sent_after_refusal` of the first 429. A row is
lost when it is neither answered nor, in a run that was stopped, kept for the next. `change_…`, `storm_…` and `held_s` speak of what happens at and after the change, the storm and the
refusal of their scenario: round trips between the first and the last 429, share of the steady rate, seconds.

A run below its bound would be a fault of the judge.

Where the end shown is judged by time: with another client and a server burst of a minute, 5 % of 20,000 rows are the burst
itself, which shows nothing of the other's share (requests-bound it is 30 % off then, and right once a minute has passed).

";
