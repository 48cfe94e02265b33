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

| measure | meaning |
|---|---|
| `of_bound` | the time of the run, divided by the least that is possible. That is the largest, over requests, input and output tokens, of (what was used − what the server lets through at once) / limit. For requests and input it is taken row by row in the order of sending, plus the latency of each row; output, which the server counts while it is produced, is reduced by the debt that the server allows. With a fixed concurrency or a cap it is the sum of all latencies divided by that number |
| `slowest_pool` | the same for the pool that took longest, by its own limits |
| `of_ramp` | the time, divided by the least that the acceleration limit allows when each minute uses all it may |
| `slowest_5min` | the lowest use of the binding limit in any five minutes |
| `refused`, `refused_share`, `refused_windows` | 429s: their number, per row, and per request of the largest number in flight |
| `refused_here_share` | the same per row, without the 429s that a proxy received |
| `…_wait_s` | waits of small and big rows, from when the row was read (which is earlier than its first denied admission), without the time that the small rows ahead of it take at the limit, divided by one more than the number of big rows that were waiting then |
| `level_error_s` | difference between the scheduler's and the server's count of the binding limit at the end, in seconds of that limit |
| `eta_error` | error of the expected end that was shown when 5 % of the rows were done, as a share of the run's time |
| `eta_error_by_time`, `eta_error_after_change` | the same when 5 % of the time had passed, and a minute after the first change of limits |
| `cap_left_after_s` | time from the lifting of a cap until the run reaches 95 % of the limits' rate |
| `given_up_after_s`, `probes_a_minute` | how an endpoint is treated that no longer answers |
| `sent_after_refusal` | what is sent after the first 429 |
| `lost_rows` | rows that were neither answered nor, if the run was stopped, kept for the next run |
| `change_…`, `storm_…`, `held_s` | what happens at and after the change, the storm and the refusal of the scenario: round trips between the first and the last 429, share of the steady rate, seconds |

No run can be below its bound: that would be a fault of the judge.

In some scenarios the shown end is judged by time. With another client and a server burst of a minute, the first 5 % of
20,000 rows are the burst, which says nothing about the share of the other client. If requests bind, the shown end is 30 %
off at that point, and right after a minute.

";
