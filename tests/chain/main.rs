//! Tests whole runs over a chain of two providers. The first provider has a problem, and its rows go to the second
//! provider.
//!
//! The judge uses the records of the two simulated APIs: which rows they charged, and how many requests they got. The
//! judge compares the time of the run with the least time that the limits allow. [`Capacity`] computes this least time
//! from the settings alone.

#[path = "../support/mod.rs"]
mod support;
mod world;

use claude_batch::clock::Instant;
use claude_batch::domain::Dimension;

use world::{BURST, Played, Setting, play};

const SEEDS: u64 = 50;
/// The number of seeds for the cases in which a token limit is used up first. These runs take longer than other runs,
/// so there are fewer seeds.
const TOKEN_SEEDS: u64 = 15;
/// The longest allowed time of a run, as a multiple of the least time that the limits allow.
const MOST_TIME: f64 = 1.1;
/// The largest load that a run is allowed to put on a limit of an API, as a multiple of what the limit allows.
const MOST_ASKED: f64 = 1.05;
/// How long the first API does not answer.
const STALL_S: f64 = 600.0;

#[test]
fn while_the_first_provider_stalls_for_ten_minutes_the_second_answers() {
    judge_all("stalls", stall, answers_while_the_first_stalls);
}

#[test]
fn a_chain_uses_the_limits_on_input_tokens_of_both_providers() {
    judge_bound("stalls, input binds", Dimension::InputTokens, stall, answers_while_the_first_stalls);
}

#[test]
fn a_chain_uses_the_limits_on_output_tokens_of_both_providers() {
    judge_bound("stalls, output binds", Dimension::OutputTokens, stall, answers_while_the_first_stalls);
}

/// Returns a trial in which, for ten minutes, the first provider rejects every request.
fn stall(case: &Case) -> Trial {
    let (from, until) = (case.at_s, case.at_s + STALL_S);
    let rule = format!(r#"{{"status":429,"from":"{from}s","until":"{until}s","retry_after":600}}"#);
    let capacity = [
        Capacity::of(case.rpm[0], &[(0.0, from), (until, f64::INFINITY)]),
        Capacity::of(case.rpm[1], &[(from, until)]),
    ];
    // The run continues for some minutes after the stall.
    let rows = rows_within(&capacity, until + case.more_s);
    Trial { faults: rules(&rule), dies_at: None, rows: vec![0; rows], least_s: least_time(&capacity, rows as f64) }
}

fn answers_while_the_first_stalls(played: &Played) {
    assert_eq!(paid_twice(played), 0, "nothing was in flight that broke off");
    assert_eq!(played.told, ["first > second: limit", "back to first"]);
}

#[test]
fn while_the_first_provider_is_overloaded_for_ten_minutes_the_second_answers() {
    judge_all(
        "is overloaded",
        |case| {
            let (from, until) = (case.at_s, case.at_s + STALL_S);
            let rule = format!(r#"{{"status":529,"from":"{from}s","until":"{until}s"}}"#);
            let capacity = [
                Capacity::of(case.rpm[0], &[(0.0, from), (until, f64::INFINITY)]),
                Capacity::of(case.rpm[1], &[(from, until)]),
            ];
            let rows = rows_within(&capacity, until + case.more_s);
            Trial {
                faults: rules(&rule),
                dies_at: None,
                rows: vec![0; rows],
                least_s: least_time(&capacity, rows as f64),
            }
        },
        |played| {
            assert_eq!(paid_twice(played), 0);
            assert_eq!(played.told, ["first > second: overload", "back to first"]);
        },
    );
}

#[test]
fn when_the_first_provider_dies_the_second_answers() {
    judge_all(
        "dies",
        |case| after(case, String::new(), Some(support::at(case.at_s))),
        |played| {
            let most = played.books[0].highest_in_flight;
            assert!(paid_twice(played) <= most, "only what was in flight may be paid twice");
        },
    );
}

#[test]
fn when_the_first_provider_loses_its_key_the_second_answers() {
    judge_all(
        "loses its key",
        |case| {
            let rule = r#""status":401,"type":"authentication_error","message":"invalid x-api-key""#;
            after(case, format!(r#"{{{rule},"from":"{}s"}}"#, case.at_s), None)
        },
        |played| {
            assert_eq!(paid_twice(played), 0);
            assert_eq!(played.told, ["first > second: account"]);
        },
    );
}

#[test]
fn when_the_first_provider_meets_a_spend_cap_the_second_answers() {
    judge_all(
        "meets a spend cap",
        |case| {
            let rule = r#""status":400,"message":"You have reached your specified API usage limits.""#;
            after(case, format!(r#"{{{rule},"from":"{}s"}}"#, case.at_s), None)
        },
        |played| {
            assert_eq!(paid_twice(played), 0);
            assert_eq!(played.told, ["first > second: account"]);
        },
    );
}

#[test]
fn rows_of_a_model_that_the_first_provider_lacks_are_answered_by_the_second() {
    judge_all(
        "lacks a model",
        |case| {
            let rule = format!(
                r#"{{"status":404,"type":"not_found_error","message":"model: claude-sonnet-5","models":["{}"]}}"#,
                world::MODELS[1]
            );
            let capacity = case.rpm.map(|rpm| Capacity::of(rpm, &[(0.0, f64::INFINITY)]));
            // The numbers of rows are chosen so that each provider answers rows during most of the run.
            let counts = [case.at_s + STALL_S, case.at_s + STALL_S + case.more_s - 150.0];
            let counts: Vec<usize> = capacity.iter().zip(counts).map(|(own, time)| own.by(time) as usize).collect();
            let least =
                capacity.iter().zip(&counts).map(|(own, rows)| least_time(std::slice::from_ref(own), *rows as f64));
            let least_s = least.fold(0.0, f64::max);
            let mut rows: Vec<usize> = counts.iter().enumerate().flat_map(|(model, rows)| vec![model; *rows]).collect();
            fastrand::Rng::with_seed(case.seed).shuffle(&mut rows);
            Trial { faults: rules(&rule), dies_at: None, rows, least_s }
        },
        |played| {
            assert_eq!(paid_twice(played), 0);
            assert_eq!(played.told, ["first > second: model"]);
            assert!(played.books[0].statuses[&404] <= 20, "only rows that were in flight met the fault");
        },
    );
}

/// The random values of a run, made from the seed.
struct Case {
    seed: u64,
    rpm: [u32; 2],
    /// The time when the trouble of the first provider begins, in seconds.
    at_s: f64,
    /// A random duration between 150 and 300 seconds, which is added to other times.
    more_s: f64,
}

/// A run that a test derives from a case.
struct Trial {
    faults: String,
    dies_at: Option<Instant>,
    rows: Vec<usize>,
    /// The least time that the limits of both providers allow, in seconds.
    least_s: f64,
}

/// Returns a trial in which the first provider works until the trouble begins. After the trouble begins, only the
/// second provider works.
fn after(case: &Case, rule: String, dies_at: Option<Instant>) -> Trial {
    let capacity =
        [Capacity::of(case.rpm[0], &[(0.0, case.at_s)]), Capacity::of(case.rpm[1], &[(case.at_s, f64::INFINITY)])];
    let rows = rows_within(&capacity, case.at_s + STALL_S + case.more_s);
    Trial { faults: rules(&rule), dies_at, rows: vec![0; rows], least_s: least_time(&capacity, rows as f64) }
}

fn rules(rule: &str) -> String {
    format!(r#"{{"rules":[{rule}]}}"#)
}

/// Plays a run for each seed and judges the run. The limit on requests is used up first.
fn judge_all(name: &str, trial: impl Fn(&Case) -> Trial, check: impl Fn(&Played)) {
    judge_bound(name, Dimension::Requests, trial, check);
}

/// Plays a run for each seed and judges the run. The limit on the dimension `binding` is used up before the other
/// limits.
fn judge_bound(name: &str, binding: Dimension, trial: impl Fn(&Case) -> Trial, check: impl Fn(&Played)) {
    let (mut ratios, mut most_asked) = (Vec::new(), 0.0_f64);
    let seeds = if binding == Dimension::Requests { SEEDS } else { TOKEN_SEEDS };
    for seed in 0..seeds {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut rpm = || rng.u32(20..60);
        let rpm = [rpm(), rpm()];
        let case = Case { seed, rpm, at_s: rng.u32(60..240).into(), more_s: rng.u32(150..300).into() };
        let Trial { faults, dies_at, rows, least_s } = trial(&case);
        let setting = Setting { seed, rpm, binding, faults, dies_at, rows };

        let played = play(&setting);

        let ratio = played.elapsed.as_secs_f64() / least_s;
        eprintln!("{name}, seed {seed}: {ratio:.3} of {least_s:.0} s for {} rows", setting.rows.len());
        let mut answered = played.ledger.answered.clone();
        answered.sort();
        answered.dedup();
        assert_eq!((answered.len(), &*played.ledger.failed), (setting.rows.len(), &[][..]), "seed {seed}");
        assert_eq!((&played.finish.halted, played.finish.pending), (&None, 0), "seed {seed}");
        assert_eq!(played.warnings, [""; 0], "seed {seed}");
        for (at, dimension) in [0, 1].into_iter().flat_map(|at| Dimension::ALL.map(|dimension| (at, dimension))) {
            let share = of_limit(&setting, &played, at, dimension);
            most_asked = most_asked.max(share);
            assert!(share <= MOST_ASKED, "seed {seed}: {share} of {dimension:?}, {:?}", played.books[at]);
        }
        check(&played);
        assert!(ratio <= MOST_TIME, "seed {seed}: {:?} instead of {least_s} s", played.elapsed);
        ratios.push(ratio);
    }
    let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
    let most = ratios.iter().copied().fold(0.0, f64::max);
    println!("{name}: {mean:.3} of the least time on average, at most {most:.3}; at most {most_asked:.3} of a limit");
}

/// Returns how many rows the two APIs together charged more than once.
fn paid_twice(played: &Played) -> u64 {
    played.charged.values().filter(|calls| **calls > 1).count() as u64
}

/// Returns the load that the requests put on one limit of an API, as a share of the amount that the limit allows during
/// the run. Refused requests count too. Requests that got an injected fault do not count, because they never reach the
/// limits.
fn of_limit(setting: &Setting, played: &Played, at: usize, dimension: Dimension) -> f64 {
    let (books, row) = (&played.books[at], setting.row());
    let used = [books.billed_calls, books.billed.input_tokens, books.billed.output_tokens][dimension.index()];
    if setting.binding == dimension {
        assert_eq!(used, books.billed_calls * u64::from(row.of(dimension)), "the limits are made for such rows");
    }
    let injected: u64 = books.faults.values().sum();
    let asked = (books.requests - injected) as f64 * f64::from(row.of(dimension));
    // Each model has limits of its own, so at most two buckets are used. A request for a missing model gets the
    // injected fault, so the request takes nothing from a bucket.
    let limit = setting.limits(at).of(dimension).expect("each dimension has a limit");
    asked / (f64::from(limit) / 60.0 * (played.elapsed + BURST).as_secs_f64())
}

/// How many rows an API can accept over time, according to the limit that is used up first.
struct Capacity {
    per_second: f64,
    /// The start and the end, in seconds, of each period in which the API works and gets rows.
    open: Vec<(f64, f64)>,
}

impl Capacity {
    fn of(rpm: u32, open: &[(f64, f64)]) -> Self {
        Self { per_second: f64::from(rpm) / 60.0, open: open.to_vec() }
    }

    /// Returns the number of rows that the API allows until a given time. At the beginning of each period, the bucket
    /// of the API is full.
    fn by(&self, time: f64) -> f64 {
        let burst = (self.per_second * BURST.as_secs_f64()).max(1.0);
        let open = self.open.iter().filter(|(from, _)| *from <= time);
        open.map(|(from, until)| burst + self.per_second * (until.min(time) - from)).sum()
    }
}

/// Returns the shortest time in which the limits of these APIs let a run send `rows` rows. The time that the answers
/// take is left out.
fn least_time(capacity: &[Capacity], rows: f64) -> f64 {
    let (mut low, mut high) = (0.0, 100_000.0);
    while high - low > 0.01 {
        let middle = f64::midpoint(low, high);
        let allowed: f64 = capacity.iter().map(|own| own.by(middle)).sum();
        if allowed < rows { low = middle } else { high = middle }
    }
    high
}

fn rows_within(capacity: &[Capacity], time: f64) -> usize {
    capacity.iter().map(|own| own.by(time)).sum::<f64>() as usize
}
