//! Measures what prompt caching costs and saves. The benchmark plays whole runs in virtual time and compares their cost
//! with the cost of the cheapest plan.
//!
//! `cargo bench --bench caching` prints the table of results and writes `benches/CACHING.md`. These arguments are
//! possible after `--`:
//!
//! - Names of workloads, or parts of names: only these workloads are played, and the page is not written. The name
//!   `random` selects the random workloads, and the name `kills` selects the killed runs.
//! - `small=1` plays the small workloads of `tests/caching`. The page is not written.
//! - `seeds=N` sets the number of random workloads, and `kills=N` sets the number of killed runs. The page is not
//!   written.

#[path = "../../tests/support/mod.rs"]
mod support;

#[path = "../../tests/caching/case.rs"]
mod case;
#[path = "../../tests/caching/cases.rs"]
mod cases;
#[path = "../../tests/caching/cheapest.rs"]
mod cheapest;
#[path = "../../tests/caching/judge.rs"]
mod judge;
#[path = "../../tests/caching/kills.rs"]
mod kills;
#[path = "../../tests/caching/play.rs"]
mod play;
#[path = "../../tests/caching/random.rs"]
mod random;

mod page;

use std::sync::Mutex;
use std::time::Instant;

use cases::Size;

/// The number of random workloads.
const SEEDS: u64 = 200;
/// The number of runs that are killed.
const KILLS: u64 = 100;
/// The largest number of rows in a random workload.
const RANDOM_ROWS: usize = 200;
/// The number of threads on which workloads are played.
const THREADS: usize = 2;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let number = |name: &str| words.iter().find_map(|word| word.strip_prefix(name)?.parse::<u64>().ok());
    let size = if number("small=").is_some() { Size::Small } else { Size::Full };
    let names: Vec<_> = words.iter().filter(|word| !word.contains('=')).collect();
    let is_asked = |name: &str| names.is_empty() || names.iter().any(|asked| name.contains(asked.as_str()));
    let started = Instant::now();

    let wanted: Vec<usize> = (0..=cases::all(size).len()).filter(|at| is_asked(&judge::name_of(*at, size))).collect();
    let judged = in_threads(wanted, |at| {
        let judged = judge::judge_number(at, size);
        println!("{}", judged.line());
        judged
    });
    let seeds = if is_asked("random") { number("seeds=").unwrap_or(SEEDS) } else { 0 };
    let random = in_threads((1..=seeds).collect(), |seed| random::play(seed, RANDOM_ROWS));
    let kills = if is_asked("kills") { number("kills=").unwrap_or(KILLS) } else { 0 };
    let killed = in_threads((1..=kills).collect(), kills::kill_once);

    print!("{}", page::of_random(&random));
    print!("{}", page::of_kills(&killed));
    println!("{:.0} s", started.elapsed().as_secs_f64());
    let is_whole = names.is_empty() && size == Size::Full && number("seeds=").or(number("kills=")).is_none();
    if is_whole {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/CACHING.md");
        std::fs::write(&page, page::page(&judged, &random, &killed)).expect("the page can be written");
    }
    let holds = judged.iter().all(|one| one.misses().is_empty())
        && random.iter().all(random::Random::is_bounded)
        && killed.iter().all(kills::Killed::holds);
    if !holds {
        std::process::exit(1);
    }
}

/// Calls `work` for each item, on several threads. Returns the results in the order of the items.
fn in_threads<I: Copy + Send, T: Send>(items: Vec<I>, work: impl Fn(I) -> T + Sync) -> Vec<T> {
    let next = Mutex::new(items.into_iter().enumerate());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let Some((at, item)) = next.lock().expect("no thread panics while it counts").next() else { break };
                    let result = work(item);
                    done.lock().expect("no thread panics while it adds").push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("every thread has ended");
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}
