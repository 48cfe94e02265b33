//! Writes the table of results as text and as a page.

use crate::support::judge::Measures;
use crate::support::scenario::Scenario;

/// A line of the table: one measure, and its values for all seeds.
pub struct Line {
    /// The name of the measure.
    pub measure: String,
    /// The allowed range of the measure's values, as text.
    pub target: String,
    /// The median of the values of all seeds.
    pub median: f64,
    /// The worst of the values of all seeds.
    pub worst: f64,
    /// Whether the values of all seeds are in the allowed range.
    pub holds: bool,
}

/// Returns one line per measure that has an allowed range in the scenario.
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

/// Returns the text of the page `benches/SCHEDULING.md`.
pub fn page(all: &[(Scenario, usize, Vec<Measures>)], admitted: f64, ended: f64) -> String {
    let mut text = String::from(HEAD);
    let (admitted, ended) = (admitted / 1e6, ended / 1e6);
    text += &format!(
        "One core admits {admitted:.1} million rows per second, or handles {ended:.1} million ends per second.\n\n"
    );
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

`cargo bench --bench scheduling` writes this page. The table shows the scenarios of `fixtures/scenarios`. In each
scenario, the real loop and the real scheduler run against the simulated API, on virtual time. *Median* and *worst* are
the median and the worst value of all seeds. The measures are:

| measure | meaning |
|---|---|
| `of_bound` | the time of the run, divided by the shortest possible time (the lower bound). For each dimension (requests, input tokens, output tokens), the lower bound is (amount used − burst of the server) / limit; the largest of the three applies. For requests and input tokens, the bound is computed for each row in the order of sending, and the latency of the row is added. The server counts output tokens while they are produced, so their bound is reduced by the debt that the server allows. With a fixed concurrency or a cap, the lower bound is the sum of all latencies divided by the concurrency or the cap |
| `slowest_pool` | the time of the pool that took longest, divided by the lower bound for the limits of this pool |
| `of_ramp` | the time of the run, divided by the shortest time that the acceleration limit allows |
| `slowest_5min` | the lowest use of the binding limit in any period of five minutes |
| `refused`, `refused_share`, `refused_windows` | the number of 429s; the number of 429s per row; the number of 429s divided by the largest number of requests in flight |
| `refused_here_share` | the number of 429s per row, without the 429s that a proxy received |
| `…_wait_s` | the longest wait of a small row and of a big row. A wait begins when the row is read; this is before the limit delays the row for the first time. The time that the small rows ahead take at the limit is subtracted from the wait. The result is divided by one plus the number of big rows that waited when the row was read |
| `level_error_s` | the amount of the binding limit that the scheduler believes is left at the end of the run, minus the amount that is left on the server. The unit is seconds: the time in which the limit gives this amount |
| `eta_error` | the error of the remaining time that is shown when 5 % of the rows are done, as a share of the run's time |
| `eta_error_by_time`, `eta_error_after_change` | the error of the remaining time that is shown when 5 % of the time has passed, and a minute after the first change of limits |
| `cap_left_after_s` | the time from the moment when a cap is lifted until the run reaches 95 % of the rate that the limits allow |
| `given_up_after_s`, `probes_a_minute` | how long the run waits for an endpoint that has stopped answering, and how often it probes the endpoint |
| `sent_after_refusal` | the number of requests that are sent after the first 429 |
| `lost_rows` | rows that have no answer and, if the run was stopped, were not kept for the next run |
| `change_…`, `storm_…`, `held_s` | what happens during and after the change of limits, the storm of faults or the long wait in the scenario. The unit is round trips between the first and the last 429, a share of the steady rate, or seconds |

No run can be faster than its lower bound. If a run were faster, the measurement would be wrong.

In most scenarios, the estimate of the remaining time is checked after 5 % of the rows. In some scenarios, it is checked
after 5 % of the run's time. The reason is that a server can accept the requests of a whole minute in one burst. The
first 5 % of 20,000 rows are sent in this burst, which shows nothing about the share of another client. If requests are
the binding limit, the estimate is then wrong by 30 %. A minute later, the estimate is correct.

";
