//! Measures how exact the scheduler is. The benchmark plays every scenario of `fixtures/scenarios` in virtual time,
//! with many seeds.
//!
//! `cargo bench --bench scheduling` prints the table of results and writes `benches/SCHEDULING.md`. These arguments are
//! possible after `--`:
//!
//! - Names of scenarios, or parts of such names, limit the run to these scenarios. The page is not written.
//! - `seeds=N` makes a shorter run with fewer seeds.
//! - `rows=N` makes a shorter run with fewer rows. The page is not written.
//! - `all=1` shows every measure of the first seed.

#[path = "../../tests/support/mod.rs"]
mod support;

mod speed;
mod table;

use std::sync::Mutex;
use std::time::Instant;

use support::judge::{Measures, run};
use support::scenario::Scenario;

/// The number of threads on which the seeds of a scenario are run.
const THREADS: usize = 2;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let number = |name: &str| words.iter().find_map(|word| word.strip_prefix(name)?.parse::<u64>().ok());
    let (seeds, rows) = (number("seeds="), number("rows="));
    let names: Vec<_> = words.iter().filter(|word| !word.contains('=')).collect();
    let is_asked = |scenario: &Scenario| names.is_empty() || names.iter().any(|name| scenario.name.contains(*name));
    let scenarios: Vec<_> = Scenario::all().into_iter().filter(is_asked).collect();
    let started = Instant::now();
    let mut all = Vec::new();
    for scenario in scenarios {
        let seeds = seeds.unwrap_or(scenario.seeds);
        let rows = rows.map_or(scenario.load.rows, |most| scenario.load.rows.min(most as usize));
        let measures = run_seeds(&scenario, rows, seeds);
        print!("{}", table::lines(&scenario, &measures, words.iter().any(|word| word == "all=1")));
        all.push((scenario, rows, measures));
    }
    let (admitted, ended) = speed::measure();
    println!("one core admits {admitted:.0} rows per second, or handles {ended:.0} ends per second");
    println!("{} scenarios in {:.0} s", all.len(), started.elapsed().as_secs_f64());
    if names.is_empty() && rows.is_none() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/SCHEDULING.md");
        std::fs::write(&page, table::page(&all, admitted, ended)).expect("the page can be written");
    }
}

/// Runs the scenario with every seed. Returns the results in the order of the seeds.
fn run_seeds(scenario: &Scenario, rows: usize, seeds: u64) -> Vec<Measures> {
    let next = Mutex::new(1..=seeds);
    let done = Mutex::new(std::collections::BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let Some(seed) = next.lock().expect("no thread panics while it counts").next() else { break };
                    let measures = run(scenario, rows, seed);
                    done.lock().expect("no thread panics while it adds").insert(seed, measures);
                }
            });
        }
    });
    done.into_inner().expect("every thread has ended").into_values().collect()
}
