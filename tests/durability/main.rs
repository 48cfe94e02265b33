//! Nothing lost, nothing written paid twice: a bounded share of each loop, with the real program and without.
//!
//! `cargo bench --bench durability -- full` runs the loops in full and writes the page `benches/DURABILITY.md`.

mod loops;

use loops::kills;

#[test]
fn a_kill_at_any_moment_loses_and_doubles_nothing() {
    let deaths = kills::at_random_moments(20, 11);

    assert_eq!(deaths.kills, 20);
}

#[test]
fn kills_while_it_recovers_end_in_a_start_that_works() {
    let deaths = kills::again_and_again(8, 12);

    assert!(deaths.kills >= 8, "{deaths:?}");
}
