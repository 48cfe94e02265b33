//! Plays eight hours of virtual time with a changing mix of faults, made from a seed. The invariants are checked with
//! the records of the simulated API and with the written lines. The checks do not use the counts of the scheduler.

use std::collections::HashSet;
use std::fmt::Write;
use std::time::{Duration, Instant};

use claude_batch::domain::RateLimits;
use claude_batch::scheduler::{Config, HaltRule, Window};
use claude_batch::sim::config::{OutputLengths, SimConfig};
use claude_batch::sim::faults::FaultPlan;
use claude_batch::sim::presets;

use super::judged::run;
use super::{Seen, Size};
use crate::support;

/// The largest number of requests in flight.
const MOST: usize = 256;

/// The counts of a soak test (a long run with random faults).
#[derive(Clone, Copy, Debug, Default)]
pub struct SoakCounts {
    /// The number of requests.
    pub requests: u64,
    /// The number of rows.
    pub rows: u64,
    /// The number of answered rows.
    pub answered: u64,
    /// Virtual hours.
    pub hours: f64,
    /// The CPU time in seconds; the real time if the system does not report CPU time.
    pub seconds: f64,
}

/// Returns a fault plan with many phases. Each phase has its own kinds of faults, and each kind affects a share of the
/// requests.
fn faults(random: &mut fastrand::Rng, hours: u64) -> String {
    let mut rules = String::new();
    let kinds = [
        r#""status":500"#,
        r#""status":529"#,
        r#""status":503,"body":"html""#,
        r#""status":429,"retry_after":"4""#,
        r#""status":429,"retry_after":null"#,
        r#""status":429,"retry_after":"nonsense""#,
        r#""kind":"reset_before""#,
        r#""kind":"reset_mid""#,
        r#""kind":"truncated_json""#,
        r#""kind":"error_event""#,
        r#""kind":"no_message_stop""#,
        r#""kind":"empty""#,
        r#""kind":"stall""#,
        r#""kind":"slow_drip","bytes":4096"#,
        r#""status":400,"message":"ordered""#,
        r#""status":413"#,
    ];
    let mut minute = 2;
    while minute < hours * 60 {
        let until = minute + random.u64(3..30);
        for _ in 0..random.usize(0..4) {
            let kind = kinds[random.usize(0..kinds.len())];
            // A stalled request stays in flight for a minute, so the fault plan makes stalls rare.
            let most = if kind.contains("stall") { 0.01 } else { 0.12 };
            let share = random.f64() * most;
            let _ = write!(
                rules,
                r#"{{{kind},"share":{share:.4},"draw":"attempt","from":"{minute}m","until":"{until}m"}},"#
            );
        }
        if random.u8(0..12) == 0 {
            let end = minute * 60 + random.u64(5..300);
            let _ = write!(rules, r#"{{"status":529,"from":"{minute}m","until":"{end}s"}},"#);
        }
        minute = until;
    }
    format!(r#"{{"seed":{},"rules":[{}]}}"#, random.u32(..), rules.trim_end_matches(','))
}

/// Plays a run with random faults that takes `hours` virtual hours.
pub fn soak(seed: u64, hours: u64) -> SoakCounts {
    let begun = Stopwatch::start();
    let mut random = fastrand::Rng::with_seed(seed);
    let rpm = random.u32(100..1_000);
    let limits = RateLimits::new(rpm, rpm * 400, rpm * 90);
    // The number of rows that the limits allow in these hours.
    let rows = u64::from(rpm) * 60 * hours;
    let plan = FaultPlan::parse(&faults(&mut random, hours), "faults.json").expect("the plan is well-formed");
    let sim = SimConfig::new(presets::models())
        .with_limits(limits)
        .with_seed(seed)
        .with_lengths(OutputLengths { mean: 40.0, per_prompt_token: 0.0, per_max_token: 0.0, sigma: 0.5 })
        .with_faults(plan);
    let config = || Config { halt: HaltRule::Never, ..support::config(limits, Window::auto(MOST), seed) };

    let run = run(sim, config, rows);

    let what = format!("seed {seed}");
    assert_eq!(run.finish.halted, None, "{what}");
    // (1), (2): each row is either in the list of answered rows or in the list of failed rows, and only once.
    let labels: HashSet<&str> = run
        .ledger
        .answered
        .iter()
        .chain(run.ledger.failed.iter().map(|(label, _)| label))
        .map(|label| &**label)
        .collect();
    let lines = run.ledger.answered.len() + run.ledger.failed.len();
    assert_eq!((labels.len(), lines as u64 + run.finish.pending), (lines, rows), "{what}");
    // (3): the limits cause few refusals; (4): while a refusal tells the run to wait, the run sends nothing.
    let refused: u64 =
        run.books.refused.iter().filter(|(reason, _)| **reason != "ordered").map(|(_, count)| count).sum();
    assert!(refused * 100 <= run.seen.sent, "{what}: {refused} of {} refused by the limits", run.seen.sent);
    assert_eq!(run.seen.early, 0, "{what}");
    // (5): at most `MOST` requests are in flight; (6): the number of attempts is bounded; (7): the statistics show as
    // many rows as there are lines.
    assert!(run.books.highest_in_flight <= MOST as u64, "{what}: {} in flight", run.books.highest_in_flight);
    assert!(run.ledger.attempts as u64 <= rows * 2, "{what}: {} attempts", run.ledger.attempts);
    assert_eq!(run.stats.succeeded_total(), run.ledger.answered.len() as u64, "{what}");
    assert_eq!(run.stats.failed_total(), run.ledger.failed.len() as u64, "{what}");
    // (8): the longest time without events is at most the sum of three durations. These three times are the longest
    // wait, the slowest test request, and the longest silence of a server.
    assert!(run.longest_silence <= Duration::from_secs(180), "{what}: silent for {:?}", run.longest_silence);
    // (9): the run reports each request that was charged but has no line.
    let charged_besides = run.books.billed_calls - run.ledger.answered.len() as u64;
    assert!(
        run.finish.maybe_paid >= charged_besides,
        "{what}: {charged_besides} charged, {} reported",
        run.finish.maybe_paid
    );
    SoakCounts {
        requests: run.seen.sent,
        rows,
        answered: run.stats.succeeded_total(),
        hours: run.elapsed.as_secs_f64() / 3600.0,
        seconds: begun.seconds(),
    }
}

/// Measures CPU time. On a shared machine, real time would also depend on other programs.
struct Stopwatch {
    begun: Instant,
    cpu_seconds: Option<f64>,
}

impl Stopwatch {
    fn start() -> Self {
        Self { begun: Instant::now(), cpu_seconds: cpu_seconds() }
    }

    fn seconds(&self) -> f64 {
        let of_cpu = self.cpu_seconds.zip(cpu_seconds()).map(|(begun, now)| now - begun);
        of_cpu.unwrap_or_else(|| self.begun.elapsed().as_secs_f64())
    }
}

/// Returns the CPU time of this process in seconds; `None` where the system does not report it. The system reports CPU
/// time in hundredths of a second.
fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

/// Returns the path of the file that records the time of each seed.
fn record_path() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("soak.txt")
}

/// Runs this loop. Returns the results as lines for `benches/DURABILITY.md`. If a seed breaks an invariant, the other
/// seeds are tried anyway.
pub fn page(size: Size) -> Vec<Seen> {
    const MOST_SECONDS: f64 = 20.0;
    let (seeds, hours) = size.pick((4, 1), (100, 8));
    let (mut all, mut times, mut broken, mut record) = (SoakCounts::default(), Vec::new(), Vec::new(), String::new());
    for seed in 0..seeds {
        let begun = Instant::now();
        let said = match std::panic::catch_unwind(|| soak(seed, hours)) {
            Ok(one) => {
                all.requests += one.requests;
                all.rows += one.rows;
                all.answered += one.answered;
                all.hours += one.hours;
                times.push(one.seconds);
                format!(
                    "seed {seed}: {:.1} virtual hours, {} requests, {:.1} s of CPU, {:.1} s",
                    one.hours,
                    one.requests,
                    one.seconds,
                    begun.elapsed().as_secs_f64()
                )
            }
            Err(_) => {
                broken.push(seed);
                format!("seed {seed}: VIOLATED")
            }
        };
        eprintln!("soak: {said}");
        let _ = writeln!(record, "{said}");
        // The record is only for people who watch a running test. The results of the test are on the page.
        let _ = std::fs::write(record_path(), &record);
    }
    assert!(broken.is_empty(), "seeds {broken:?} break an invariant");
    times.sort_by(f64::total_cmp);
    let slow = times.iter().filter(|&&seconds| seconds > MOST_SECONDS).count();
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    vec![Seen::new(
        "virtual soak",
        "100 seeds × 8 hours of mixed faults, invariants hold, at most 20 s each",
        format!(
            "{seeds} seeds, {:.0} virtual hours, {} requests for {} rows, {} answered: invariants hold; {median:.1} s \
             of CPU in the median, {slowest:.1} s for the slowest, {slow} over {MOST_SECONDS:.0} s",
            all.hours, all.requests, all.rows, all.answered
        ),
    )]
}
