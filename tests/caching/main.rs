//! Plays small workloads with prompt caches on virtual time. `benches/caching` plays the same workloads in full size.

#[path = "../support/mod.rs"]
mod support;

mod case;
#[allow(dead_code, reason = "the bench uses more of it")]
mod cases;
mod cheapest;
#[allow(dead_code, reason = "the bench uses more of it")]
mod judge;
#[allow(dead_code, reason = "the bench uses more of it")]
mod kills;
#[allow(dead_code, reason = "the bench uses more of it")]
mod play;
#[allow(dead_code, reason = "the bench uses more of it")]
mod random;

use std::sync::Mutex;

use cases::Size;
use judge::Judged;

#[test]
fn each_workload_costs_hardly_more_than_its_cheapest_plan() {
    let judged = judge_all();

    let missed: Vec<_> = judged
        .iter()
        .filter(|one| !one.misses().is_empty())
        .map(|one| format!("{}: {}", one.name, one.misses().join("; ")))
        .collect();
    judged.iter().for_each(|one| println!("{}", one.line()));
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn caching_costs_hardly_more_than_no_cache_even_with_broken_caches() {
    const SEEDS: u64 = 16;
    let played: Vec<_> = (1..=SEEDS).map(|seed| random::play(seed, 60)).collect();

    let missed: Vec<_> = played
        .iter()
        .filter(|one| !one.is_bounded())
        .map(|one| {
            format!(
                "seed {}: {:.4} of the cost without a cache, {:?}: {}",
                one.seed, one.of_plain, one.played, one.about
            )
        })
        .collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn a_kill_while_prefixes_are_written_loses_no_row_and_repeats_each_write_at_most_once() {
    let killed: Vec<_> = (1..=8).map(kills::kill_once).collect();

    let too_many: Vec<_> = killed.iter().filter(|one| !one.holds()).collect();
    assert!(too_many.is_empty(), "{too_many:?}");
}

fn judge_all() -> Vec<Judged> {
    let next = Mutex::new(0..=cases::all(Size::Small).len());
    let done = Mutex::new(Vec::new());
    let work = || {
        loop {
            let Some(number) = next.lock().expect("no thread panics while it counts").next() else { break };
            let judged = judge::judge_number(number, Size::Small);
            done.lock().expect("no thread panics while it adds").push((number, judged));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    let mut done = done.into_inner().expect("every thread has ended");
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, judged)| judged).collect()
}
