//! Tests whole runs on virtual time: the real loop and the real scheduler run against the simulated API.

mod support;

use std::time::Duration;

use claude_batch::domain::{HaltReason, ProviderKind, RateLimits};
use claude_batch::runner::Interrupt;
use claude_batch::scheduler::Window;
use claude_batch::sim::config::{Burst, Keys, OutputLengths, SimConfig};
use claude_batch::sim::faults::FaultPlan;
use claude_batch::sim::presets;
use support::judge;
use support::scenario::Scenario;
use support::whole::{Whole, WholeRow, refused, whole_run};

const HAIKU: &str = "claude-haiku-4-5";
const TIER_2: RateLimits = RateLimits::new(1_000, 450_000, 90_000);

fn rows(count: usize, words: &[usize]) -> Vec<WholeRow> {
    let row = |words: usize| WholeRow { model: HAIKU, words, max_tokens: 1024, estimate: words as u32 + 10 };
    (0..count).map(|at| row(words[at % words.len()])).collect()
}

fn sim(burst: Burst, output: u32) -> SimConfig {
    SimConfig::new(presets::models()).with_limits(TIER_2).with_burst(burst).with_lengths(OutputLengths::fixed(output))
}

fn run_at_tier_2(sim: SimConfig, rows: Vec<WholeRow>) -> Whole {
    whole_run(sim, || support::config(TIER_2, Window::auto(1000), 1), rows, |_| {})
}

/// Runs every scenario that has a short form, with its first seeds. The measures of a short run must stay in the ranges
/// of the scenario, except for the measures in [`NOT_IN_SHORT_RUNS`]. `cargo bench --bench scheduling` prints the whole
/// table.
#[test]
fn every_scenario_stays_within_its_ranges() {
    let mut missed = Vec::new();
    for scenario in Scenario::all() {
        let Some(rows) = scenario.short_rows else { continue };
        for seed in 1..=2 {
            let measures = judge::run(&scenario, rows, seed);
            if let Some([_, most]) = scenario.expect.get("of_bound") {
                // The start of a short run takes as long as the start of a whole run. In a short run, the start is a
                // large part of the time, so a short run gets 25 seconds more.
                let (elapsed, bound) = (measures["elapsed_s"], measures["bound_s"]);
                if elapsed > bound * most + 25.0 {
                    missed.push(format!("{} with seed {seed}: {elapsed} s for a bound of {bound} s", scenario.name));
                }
            }
            for (name, [least, most]) in &scenario.expect {
                let value = measures.get(&**name).copied().unwrap_or(f64::NAN);
                if !NOT_IN_SHORT_RUNS.contains(&&**name) && !(*least..=*most).contains(&value) {
                    missed
                        .push(format!("{} with seed {seed}: {name} is {value}, not {least} to {most}", scenario.name));
                }
            }
        }
    }

    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// The measures that a short run can't provide. Each of these measures is a share of the whole run, or needs a longer
/// run.
const NOT_IN_SHORT_RUNS: [&str; 8] = [
    "attempts_per_row_later",
    "of_bound",
    "slowest_5min",
    "slowest_pool",
    "eta_error",
    "eta_error_by_time",
    "reason_right_after_s",
    "refused_share",
];

#[test]
fn random_faults_lose_no_row() {
    let faults = r#"{"seed":3,"rules":[{"status":500,"share":0.07,"draw":"attempt"},{"status":529,"share":0.06,"draw":"attempt"}]}"#;
    let faults = FaultPlan::parse(faults, "faults.json").expect("the plan is well-formed");

    let whole = run_at_tier_2(sim(Burst::Minute, 20).with_faults(faults), rows(400, &[20]));

    assert_eq!(whole.ledger.answered.len(), 400);
    assert!(whole.sent <= 520, "{} requests for 400 rows", whole.sent);
}

#[test]
fn if_streams_lack_their_start_or_their_end_every_row_is_answered_without_a_stream() {
    for kind in ["no_message_start", "no_message_stop"] {
        let is_plain_sound = kind == "no_message_start";
        // An answer without its end is broken, both as a stream and as plain JSON. The fault `no_message_stop`
        // therefore affects only the first requests, so that the later requests can be answered.
        let times = if is_plain_sound { "" } else { r#","until":"1ms""# };
        let faults = format!(r#"{{"rules":[{{"kind":"{kind}"{times}}}]}}"#);
        let faults = FaultPlan::parse(&faults, "faults.json").expect("the plan is well-formed");

        let whole = run_at_tier_2(sim(Burst::Minute, 20).with_faults(faults), rows(200, &[20]));

        assert_eq!((whole.ledger.answered.len(), whole.ledger.failed.len()), (200, 0), "{kind}: {:?}", whole.finish);
        assert!((2..=20).contains(&whole.finish.maybe_paid), "{kind}: {} may have been paid", whole.finish.maybe_paid);
        assert_eq!(whole.sent, 200 + whole.finish.maybe_paid, "{kind}");
        let [warning] = &whole.warnings[..] else { panic!("{kind}: there must be one warning: {:?}", whole.warnings) };
        assert!(warning.contains("requests do not ask for a stream"), "{warning}");
        assert!(whole.elapsed < Duration::from_secs(60), "{kind}: {:?}", whole.elapsed);
    }
}

#[test]
fn many_bad_rows_do_not_stop_a_run_whose_other_rows_are_answered() {
    // Errors arrive much sooner than answers, so the first ten finished rows are nearly always bad.
    for (share, seed) in [0.2, 0.5, 0.7].into_iter().flat_map(|share| (1..=4).map(move |seed| (share, seed))) {
        let faults = format!(r#"{{"seed":{seed},"rules":[{{"status":400,"share":{share}}}]}}"#);
        let faults = FaultPlan::parse(&faults, "faults.json").expect("the plan is well-formed");

        let whole = run_at_tier_2(sim(Burst::Minute, 200).with_faults(faults), rows(400, &[20]));

        let (answered, failed) = (whole.ledger.answered.len(), whole.ledger.failed.len());
        assert_eq!((answered + failed, &whole.finish.halted), (400, &None), "share {share}, seed {seed}");
        assert!(answered > 50 && failed > 40, "share {share}, seed {seed}: {answered} answers, {failed} failures");
    }
}

#[test]
fn if_every_row_is_bad_the_run_stops_after_the_first_requests() {
    let faults = FaultPlan::parse(r#"{"rules":[{"status":400}]}"#, "faults.json").expect("the plan is well-formed");

    let whole = run_at_tier_2(sim(Burst::Minute, 200).with_faults(faults), rows(400, &[20]));

    assert!(matches!(whole.finish.halted, Some(HaltReason::AllFail { .. })), "{:?}", whole.finish.halted);
    assert!((10..=40).contains(&whole.sent), "{} requests", whole.sent);
}

#[test]
fn an_outage_is_reported_while_it_lasts_with_its_status_and_the_next_try() {
    let faults = r#"{"rules":[{"status":529,"from":"5s","until":"40s"}]}"#;
    let faults = FaultPlan::parse(faults, "faults.json").expect("the plan is well-formed");

    let whole = run_at_tier_2(sim(Burst::Minute, 20).with_faults(faults), rows(1_500, &[20]));

    assert_eq!(whole.ledger.answered.len(), 1_500);
    let (over, told) = whole.outages.split_last().expect("an outage was reported");
    assert_eq!(*over, None, "the end of the outage was reported as well");
    let told: Vec<_> = told.iter().flatten().collect();
    assert!(told.len() > 100, "reported {} times in half a minute", told.len());
    assert!(told.iter().all(|outage| outage.fault.status == Some(529) && outage.fault.wire.is_none()), "{told:?}");
    let longest = told.iter().map(|outage| outage.lasted).max().expect("an outage was reported");
    assert!((20..=60).contains(&longest.as_secs()), "{longest:?}");
    assert!(told.iter().filter(|outage| outage.next_try.is_some()).count() > 50, "{told:?}");
}

#[test]
fn every_platform_answers_all_rows_within_its_limits() {
    for kind in ProviderKind::ALL {
        let whole = run_at_tier_2(sim(Burst::Minute, 20).of_kind(kind), rows(1_500, &[20]));

        assert_eq!((whole.ledger.answered.len(), &whole.finish.halted), (1_500, &None), "{kind:?}");
        let refused = refused(&whole);
        assert!(refused <= 1_500 / 20, "{kind:?}: {refused} refusals");
        assert!(whole.elapsed < Duration::from_secs(180), "{kind:?}: {:?}", whole.elapsed);
    }
}

#[test]
fn every_platform_answers_all_rows_through_its_faults_with_limits_that_nobody_has_set() {
    let plan = r#"{"rules":[{"status":529,"share":0.05,"draw":"attempt"},{"status":500,"share":0.03,"draw":"attempt"},{"kind":"error_event","share":0.03,"draw":"attempt"}]}"#;
    for kind in ProviderKind::ALL {
        let sim =
            sim(Burst::Minute, 20).of_kind(kind).with_faults(FaultPlan::parse(plan, "test").expect("a good plan"));

        let whole =
            whole_run(sim, || support::config(RateLimits::NONE, Window::auto(200), 1), rows(400, &[20]), |_| {});

        assert_eq!((whole.ledger.answered.len(), &whole.finish.halted), (400, &None), "{kind:?}");
    }
}

#[test]
fn a_wrong_key_stops_the_run_with_every_row_pending_and_none_written() {
    let mut sim = sim(Burst::Minute, 20);
    sim.keys = Keys::None;

    let whole = run_at_tier_2(sim, rows(500, &[20]));

    assert!(matches!(whole.finish.halted, Some(HaltReason::Key(_))), "{:?}", whole.finish.halted);
    assert!(whole.ledger.answered.is_empty() && whole.ledger.failed.is_empty());
    assert!(whole.sent <= 16, "{} requests were sent", whole.sent);
    assert!(whole.elapsed < Duration::from_secs(1));
}

#[test]
fn after_an_interrupt_requests_in_flight_finish_and_no_request_is_sent() {
    let whole = whole_run(
        sim(Burst::Minute, 200),
        || support::config(TIER_2, Window::auto(1000), 1),
        rows(2_000, &[20]),
        |interrupts| {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(3)).await;
                interrupts.send(Interrupt::End(2)).await.expect("the run listens");
            });
        },
    );

    let answered = whole.ledger.answered.len();
    assert_eq!(whole.finish.halted, Some(HaltReason::Signal(2)));
    assert!(answered > 0 && answered < 2_000);
    assert_eq!(answered as u64, whole.sent, "every request that was sent is answered and written");
    assert_eq!(whole.finish.aborted, 0);
}

#[test]
fn a_second_interrupt_cuts_off_requests_in_flight_and_counts_them() {
    let whole = whole_run(
        sim(Burst::Minute, 1_000),
        || support::config(TIER_2, Window::auto(1000), 1),
        rows(500, &[20]),
        |interrupts| {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(2)).await;
                for _ in 0..2 {
                    interrupts.send(Interrupt::End(2)).await.expect("the run listens");
                }
            });
        },
    );

    assert!(whole.finish.aborted > 0);
    assert_eq!(whole.finish.aborted + whole.ledger.answered.len() as u64, whole.sent);
    assert!(whole.elapsed < Duration::from_secs(3), "{:?}", whole.elapsed);
}
