//! Tests answers that do not meet the user's conditions. Whole runs on virtual time use a simulated model. The model
//! cuts off 5 % of its answers, refuses 1 % of the rows, and breaks the schema in 8 % of its answers.
//!
//! - If an answer does not meet the conditions, the program never counts this answer as `ok`. If the rules for answers
//!   are on, a run corrects every answer that a further request can correct.
//! - The result lines, the totals of a resumed run, and the records of the simulated API show the same costs.
//! - Further requests for a row never make a run exceed its budget.

mod lines;
mod script;
#[path = "../support/mod.rs"]
mod support;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use claude_batch::domain::{ErrorClass, HaltReason, LaneChoice, Money};
use fastrand::Rng;
use lines::{Lines, answers};
use script::{Kind, label, row, rows};
use serde_json::Value;
use world::{Manner, Run, World, planner, play};

const NO_FAULTS: &str = r#"{"rules":[]}"#;
/// Faults that make a request fail without any charge.
const FREE_FAULTS: &str = r#"{"rules":[{"status":500,"share":0.02,"draw":"attempt"},
    {"status":529,"share":0.01,"draw":"attempt"},{"status":429,"retry_after":"1","share":0.01,"draw":"attempt"}]}"#;
const ROWS: u64 = 2_000;

#[test]
fn without_follow_ups_an_answer_that_is_not_as_required_is_never_ok() {
    play(1, NO_FAULTS, async |world| {
        let (rows, kinds) = rows(ROWS, &mut Rng::with_seed(1), &mut planner());

        let finish = world.run(&Run::new(Manner::Strict), &rows).await.expect("it does not die");

        assert_eq!((finish.halted, finish.pending), (None, 0));
        let lines = Lines::of(&world.disk);
        for (label, kind) in &kinds {
            assert_eq!(class(&lines, label), kind.first_fault(), "{label} {kind:?}");
        }
        let totals = world.recovered().totals;
        let plain = kinds.values().filter(|kind| **kind == Kind::Plain).count() as u64;
        assert_eq!((totals.ok, totals.truncated, totals.refused), (plain, 0, 0));
        let books = world.books().await;
        assert_eq!(books.answers.values().sum::<u64>(), ROWS - plain, "each of these has a scripted answer");
        assert_money(world, &lines).await;
    });
}

#[test]
fn every_answer_that_can_be_mended_is_mended_and_mostly_by_one_follow_up() {
    for lane in [LaneChoice::Online, LaneChoice::Batch] {
        play(2, NO_FAULTS, async |world| {
            let (rows, kinds) = rows(ROWS, &mut Rng::with_seed(2), &mut planner());
            let run = Run { lane, ..Run::new(Manner::Mending) };

            let finish = world.run(&run, &rows).await.expect("it does not die");

            assert_eq!((finish.halted, finish.pending), (None, 0));
            let lines = Lines::of(&world.disk);
            assert_fates(&lines, &kinds);
            let mended = lines.answered.values().map(answers).filter(|answers| *answers > 1);
            let (all, once) = mended.fold((0, 0), |(all, once), answers| (all + 1, once + u64::from(answers == 2)));
            assert!(all > ROWS / 10 && once * 100 >= all * 95, "{once} of {all}");
            assert_money(world, &lines).await;
            if lane == LaneChoice::Batch {
                let books = world.books().await;
                assert!(books.batches.succeeded > ROWS * 9 / 10, "{:?}", books.batches);
            }
        });
    }
}

#[test]
fn runs_that_were_stopped_and_resumed_pay_for_each_answer_once() {
    let mut stops = BTreeMap::new();
    for seed in 0..8 {
        play(seed, FREE_FAULTS, async |world| {
            let mut rng = Rng::with_seed(seed);
            let (rows, kinds) = rows(300, &mut rng, &mut planner());
            let lane = if seed % 4 == 3 { LaneChoice::Batch } else { LaneChoice::Online };
            for _ in 0..4 {
                let run = Run { lane, ..stopped(&mut rng, world) };
                let finish = world.run(&run, &rows).await.expect("it does not die");
                let why = finish.halted.as_ref().map_or("end", |halted| name(halted));
                *stops.entry(why).or_insert(0) += 1;
                assert_eq!(finish.maybe_paid, 0, "nothing is aborted");
                // The answers of a batch that was left open are charged, but they are not collected yet.
                if lane == LaneChoice::Online {
                    assert_money(world, &Lines::of(&world.disk)).await;
                }
            }
            *stops.entry("unfinished rows").or_insert(0) += Lines::of(&world.disk).unfinished.len();
            let last = Run { lane, ..Run::new(Manner::Mending) };

            let finish = world.run(&last, &rows).await.expect("it does not die");

            assert_eq!((finish.halted, finish.pending), (None, 0));
            let lines = Lines::of(&world.disk);
            assert_fates(&lines, &kinds);
            assert_money(world, &lines).await;
            let books = world.books().await;
            let paid: u64 = kinds.values().map(|kind| kind.mended().answers).sum();
            let free = kinds.values().filter(|kind| matches!(kind, Kind::Refused)).count() as u64;
            assert_eq!(books.billed_calls + free, paid, "no answer is paid for twice");
        });
    }
    // The test is useful only if each way to stop a run occurs, and if some runs stop between an answer and its
    // follow-up.
    assert!(["cost", "requests", "signal", "unfinished rows"].iter().all(|name| stops.contains_key(name)), "{stops:?}");
    assert!(stops["unfinished rows"] > 0, "{stops:?}");
}

#[test]
fn follow_ups_never_spend_more_than_the_budget() {
    let (mut stopped_by_it, mut mended) = (0, 0);
    for seed in 0..36 {
        play(seed, FREE_FAULTS, async |world| {
            let mut rng = Rng::with_seed(1_000 + seed);
            let (rows, _) = rows(60, &mut rng, &mut planner());
            let budget = Money::from_dollars(0.002 + 0.12 * rng.f64());
            for _ in 0..3 {
                let dies = (rng.u8(..3) == 0).then(|| Duration::from_secs_f64(3.0 * rng.f64()));
                let window = [1, 4, 16][rng.usize(..3)];
                let lane = if rng.u8(..4) == 0 { LaneChoice::Batch } else { LaneChoice::Online };
                let run = Run { lane, window, max_cost: Some(budget), dies_after: dies, ..Run::new(Manner::Mending) };
                let finish = world.run(&run, &rows).await;

                let (billed, totals) = (world.books().await.billed_money, world.recovered().totals);
                let counted = totals.spend + totals.maybe_spend;
                assert!(billed <= budget, "seed {seed}: {billed:?} of {budget:?}");
                let is_counted = billed <= counted || world.has_batches();
                assert!(is_counted, "seed {seed}: {billed:?} charged, {counted:?} counted");
                assert_eq!(Lines::of(&world.disk).money(), totals.spend, "seed {seed}");
                let halted = finish.and_then(|finish| finish.halted);
                stopped_by_it += u64::from(matches!(halted, Some(HaltReason::Budget(_))));
            }
            mended += Lines::of(&world.disk).answered.values().filter(|line| answers(line) > 1).count();
        });
    }
    assert!(stopped_by_it > 10 && mended > 20, "{stopped_by_it} stopped, {mended} mended");
}

#[test]
fn equal_rows_copy_only_answers_that_are_accepted() {
    play(5, NO_FAULTS, async |world| {
        let kinds = [Kind::Plain, Kind::Cut, Kind::Broken, Kind::Refused, Kind::AlwaysBroken];
        let mut planner = planner();
        let mut group = |from: u64, count: u64| {
            let numbers = (from..from + count).flat_map(|at| kinds.iter().zip(kinds.len() as u64 * at..));
            let made = numbers.map(|(kind, at)| row(at, &label(at), &format!("{kind:?}"), *kind, &mut planner));
            made.collect::<Vec<_>>()
        };
        // The first run keeps every answer.
        let (first, more) = (group(0, 1), group(1, 4));
        world.run(&Run::new(Manner::Lax), &first).await.expect("it does not die");
        let before = world.books().await.billed_calls;
        let all = [first, more].concat();

        let run = Run { dedupes: true, ..Run::new(Manner::Mending) };
        let finish = world.run(&run, &all).await.expect("it does not die");

        assert_eq!((finish.halted, finish.pending), (None, 0));
        let lines = Lines::of(&world.disk);
        for number in kinds.len() as u64..all.len() as u64 {
            let kind = kinds[number as usize % kinds.len()];
            assert_eq!(class(&lines, &label(number)), kind.mended().class, "{number} {kind:?}");
        }
        let is_copy = |line: &&Value| line["meta"].get("copied_from").is_some();
        let copies = lines.answered.values().filter(is_copy);
        assert_eq!(copies.clone().count(), 4 + 3 * 3, "of three kinds, one row is sent");
        for copy in copies {
            let text = copy["result"]["message"]["content"][0]["text"].as_str().unwrap_or_default();
            let answer: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {copy}"));
            assert!(answer["name"].is_string() && answer["score"].is_i64(), "{answer}");
        }
        // A refusal costs nothing. A failed answer is not copied, so every row that fails is sent. The rows of the
        // other kinds get a second answer.
        assert_eq!(world.books().await.billed_calls - before, 2 + 2 + 1 + 4 * 3);
        assert_money(world, &lines).await;
    });
}

/// Returns the settings of a run that is stopped before its end.
fn stopped(rng: &mut Rng, world: &World) -> Run {
    let spent = world.recovered().totals.spend;
    let run = Run { window: [4, 16, 64][rng.usize(..3)], ..Run::new(Manner::Mending) };
    match rng.u8(..3) {
        0 => Run { max_cost: Some(spent + Money::from_dollars(0.02 + 0.04 * rng.f64())), ..run },
        1 => Run { max_requests: Some(rng.u64(1..80)), ..run },
        _ => Run { interrupted_after: Some(Duration::from_secs_f64(0.2 + 2.0 * rng.f64())), ..run },
    }
}

fn name(halted: &HaltReason) -> &'static str {
    match halted {
        HaltReason::Budget(why) if why.starts_with("--max-requests") => "requests",
        HaltReason::Budget(_) => "cost",
        HaltReason::Signal(_) => "signal",
        other => panic!("{other:?}"),
    }
}

/// Returns the error class of a failed row, or `None` for an answered row.
fn class(lines: &Lines, label: &str) -> Option<ErrorClass> {
    if lines.answered.contains_key(label) {
        return None;
    }
    let line = lines.failed.get(label).unwrap_or_else(|| panic!("{label} has no line"));
    let name = line["error"]["class"].as_str().unwrap_or_default();
    let is_it = |class: &ErrorClass| class.name() == name;
    let classes = [ErrorClass::Truncated, ErrorClass::Refused, ErrorClass::InvalidOutput];
    Some(classes.into_iter().find(is_it).unwrap_or_else(|| panic!("{label} failed for another reason: {line}")))
}

/// Asserts that each row has the result that is expected for its kind.
fn assert_fates(lines: &Lines, kinds: &BTreeMap<String, Kind>) {
    assert!(lines.unfinished.is_empty(), "{:?}", lines.unfinished);
    for (label, kind) in kinds {
        let fate = kind.mended();
        assert_eq!(class(lines, label), fate.class, "{label} {kind:?}");
        let line = lines.answered.get(label).or_else(|| lines.failed.get(label)).expect("it has a line");
        assert_eq!(answers(line), fate.answers, "{label} {kind:?}: {line}");
        if fate.class.is_some() {
            // The whole answer: its text, and what the API says about it.
            let message = &line["message"];
            let is_whole =
                message["type"] == "message" && message["content"].is_array() && message["usage"].is_object();
            assert!(is_whole && message["stop_reason"].is_string(), "{label} {kind:?}: {line}");
        }
    }
}

/// Asserts that the result lines, the totals that the next run will read, and the records of the API show the same
/// costs.
async fn assert_money(world: &World, lines: &Lines) {
    let (totals, books) = (world.recovered().totals, world.books().await);
    assert_eq!(
        (lines.money(), totals.spend, totals.maybe_spend),
        (books.billed_money, books.billed_money, Money::ZERO)
    );
}
