//! Plays a workload, and compares its cost and time with the cheapest plan and with a run on a *warm* cache. A warm
//! cache contains all prefixes from the start.

use std::time::Duration;

use claude_batch::domain::PromptCache;

use super::case::Case;
use super::cases::{self, Size};
use super::cheapest::{Begins, Cheapest, cheapest, without_prefixes};
use super::play::{Played, Session};

/// The largest allowed cost, as a multiple of the cost of the cheapest plan.
pub const MOST_COST: f64 = 1.03;
/// The longest allowed time of a run, as a multiple of the time that the run takes on a warm cache.
pub const MOST_TIME: f64 = 1.02;
/// The longest allowed time of a run whose input is mostly cached, as a multiple of the shortest possible time. The
/// limits on requests and output determine the shortest possible time.
pub const MOST_TIME_OF_LIMITS: f64 = 1.05;
/// The largest allowed cost of rows, as a multiple of the cost of the same rows without a cache.
pub const MOST_OF_PLAIN: f64 = 1.01;

/// A workload, and the runs of this workload.
pub struct Judged {
    /// The short name of the workload.
    pub name: String,
    /// A description of the rows.
    pub about: String,
    /// The number of rows.
    pub rows: u64,
    /// The cheapest plan.
    pub cheapest: Cheapest,
    /// The run without caching.
    pub off: Played,
    /// The run with caching.
    pub auto: Played,
    /// The run with caching, if the cache is warm at the start.
    pub warm: Played,
    /// A run of the same rows without caching. The prefixes that the cheapest plan caches are removed from these rows.
    /// In this run, nothing is written to the cache, and no row waits.
    pub free: Played,
    /// The shortest time, in seconds, that the limits on requests and output allow for the run.
    pub least_seconds: f64,
}

/// Plays a workload four times: with caching, on a warm cache, without caching, and without the cached prefixes.
fn judge(case: &Case) -> Judged {
    let cold = Session::new(case);
    let auto = cold.run(PromptCache::Auto);
    let warm = Session::new(case).warm_like(&cold).run(PromptCache::Auto);
    let off = Session::new(case).run(PromptCache::Off);
    let free = Session::new(&without_prefixes(case)).run(PromptCache::Off);
    Judged { off, auto, warm, free, ..judged(case, Begins::Cold) }
}

/// Plays a workload, and then another workload on the same server. The first workload fills the cache of the server.
/// Judges the second workload.
fn judge_second(first: &Case, second: &Case) -> Judged {
    let begun = Session::new(first);
    begun.run(PromptCache::Auto);
    // When this time has passed, all limits are full again, but the cache entries have not expired yet.
    begun.wait(Duration::from_secs(61));
    let begun = begun.with_rows_of(second);
    let auto = begun.run(PromptCache::Auto);
    let off = Session::new(second).run(PromptCache::Off);
    let free = Session::new(&without_prefixes(second)).run(PromptCache::Off);
    Judged { off, auto, warm: auto, free, ..judged(second, Begins::Warm) }
}

/// Returns the name of the workload with this number.
pub fn name_of(number: usize, size: Size) -> String {
    let all = cases::all(size);
    all.get(number).map_or_else(|| cases::second_run(size).name, |case| case.name.clone())
}

/// Judges the workload with this number. The first numbers stand for the workloads of [`cases::all`]. The last number
/// stands for the second run.
pub fn judge_number(number: usize, size: Size) -> Judged {
    let all = cases::all(size);
    match all.get(number) {
        Some(case) => judge(case),
        None => judge_second(&cases::first_run(size), &cases::second_run(size)),
    }
}

fn judged(case: &Case, begins: Begins) -> Judged {
    let least_seconds =
        [(case.limits.rpm, case.rows as f64), (case.limits.otpm, case.rows as f64 * f64::from(case.output))]
            .map(|(limit, used)| {
                let limit = limit.unwrap_or(u32::MAX);
                (used - case.burst.capacity(limit) as f64).max(0.0) / f64::from(limit) * 60.0
            })
            .into_iter()
            .fold(0.0, f64::max);
    // The time that the last answer takes is added to `least_seconds`. The server sends 100 tokens per second.
    let latency = case.first_token.as_secs_f64() + f64::from(case.output) / 100.0;
    Judged {
        name: case.name.clone(),
        about: case.about.clone(),
        rows: case.rows as u64,
        cheapest: cheapest(case, begins),
        off: Played::default(),
        auto: Played::default(),
        warm: Played::default(),
        free: Played::default(),
        least_seconds: least_seconds + latency,
    }
}

impl Judged {
    /// The cost, divided by the cost of the cheapest plan.
    pub fn of_cheapest(&self) -> f64 {
        self.auto.cost.dollars() / self.cheapest.cost.dollars()
    }

    /// The cost, divided by the cost without a cache.
    pub fn of_plain(&self) -> f64 {
        self.auto.cost.dollars() / self.cheapest.plain.dollars()
    }

    /// The time of the run with caching, divided by the time of the run on a warm cache.
    pub fn of_warm(&self) -> f64 {
        self.auto.seconds / self.warm.seconds
    }

    /// The time of the run, divided by the time of a run whose rows lack the cached prefixes.
    pub fn of_free(&self) -> f64 {
        self.auto.seconds / self.free.seconds
    }

    /// The time of the run, divided by the shortest time that the limits on requests and output allow.
    pub fn of_least_time(&self) -> f64 {
        self.auto.seconds / self.least_seconds
    }

    /// Returns a text for each goal that the workload does not reach.
    pub fn misses(&self) -> Vec<String> {
        let mut misses = Vec::new();
        let mut check = |holds: bool, words: String| {
            if !holds {
                misses.push(words);
            }
        };
        let Played { answered, failed, writes, .. } = self.auto;
        check(answered == self.rows && failed == 0, format!("{answered} of {} rows answered", self.rows));
        check(
            self.off.cost == self.cheapest.plain && self.off.writes == 0,
            format!("without caching {}, expected {}", self.off.cost, self.cheapest.plain),
        );
        check(
            self.of_cheapest() <= MOST_COST,
            format!(
                "cost {:.4} of the cheapest plan, at most {MOST_COST} (tokens written for 5 min {}, for 1 h {}, cheapest {}; read {})",
                self.of_cheapest(),
                self.auto.usage.cache_write_5m_tokens,
                self.auto.usage.cache_write_1h_tokens,
                self.cheapest.written,
                self.auto.usage.cache_read_tokens,
            ),
        );
        check(self.of_plain() <= MOST_OF_PLAIN, format!("cost {:.4} of the cost without a cache", self.of_plain()));
        check(writes == self.cheapest.writes, format!("{writes} writes, expected {}", self.cheapest.writes));
        check(
            self.of_warm() <= MOST_TIME,
            format!("time {:.4} of the time on a warm cache, at most {MOST_TIME}", self.of_warm()),
        );
        if self.name.starts_with('j') {
            check(
                self.of_least_time() <= MOST_TIME_OF_LIMITS,
                format!(
                    "time {:.4} of what requests and output need, at most {MOST_TIME_OF_LIMITS}",
                    self.of_least_time()
                ),
            );
        }
        misses
    }

    /// Returns the result as a line for a terminal.
    pub fn line(&self) -> String {
        format!(
            "{:28} rows {:6}  cost {:8.3} (cheapest {:.4}x, plain {:.4}x)  writes {:5} of {:5}  time {:7.1} s \
             (warm {:.4}x, free {:.4}x, least {:.3}x, off {:.1} s)  429s {} (warm {}, off {})  {}",
            self.name,
            self.rows,
            self.auto.cost.dollars(),
            self.of_cheapest(),
            self.of_plain(),
            self.auto.writes,
            self.cheapest.writes,
            self.auto.seconds,
            self.of_warm(),
            self.of_free(),
            self.of_least_time(),
            self.off.seconds,
            self.auto.refused,
            self.warm.refused,
            self.off.refused,
            match self.misses() {
                misses if misses.is_empty() => "holds".to_owned(),
                misses => format!("MISSES: {}", misses.join("; ")),
            }
        )
    }
}
