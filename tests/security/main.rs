//! The promises about security: a small part of each loop, mostly with the real program.
//!
//! `cargo bench --bench security -- full` runs the full loops and writes the page `benches/SECURITY.md`. `loops/` has
//! one file for each class of attack. It contains the tables, the generators, and the lines for the page.
#![cfg(feature = "sim")]

#[path = "../support/hostile.rs"]
mod hostile;
mod loops;
#[path = "../support/page.rs"]
mod page;
#[path = "../sessions/support.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use page::Size;

/// Runs the small part of a loop.
#[track_caller]
fn holds(name: &str) {
    let found = loops::LOOPS.iter().find(|(own, _)| *own == name);
    let (_, page) = found.unwrap_or_else(|| panic!("there is no loop {name}"));
    assert!(!page(Size::Share).is_empty(), "{name} tried nothing");
}

/// Makes one test for each loop. So the loops run in parallel, and each has its own name.
macro_rules! tests {
    ($($test:ident: $name:literal,)*) => {
        $(
            #[test]
            fn $test() {
                holds($name);
            }
        )*

        #[test]
        fn every_loop_has_a_test() {
            let tested = [$($name),*];

            assert!(loops::LOOPS.iter().all(|(name, _)| tested.contains(name)));
        }
    };
}

#[cfg(unix)]
tests! {
    nothing_in_a_folder_of_somebody_else_redirects_authorizes_runs_or_spends: "trust",
    one_run_uses_a_file_at_a_time: "locks",
    nothing_planted_is_opened: "files",
    the_key_is_in_no_sink: "key",
    what_is_printed_can_be_looked_at_and_pasted: "terminal",
    a_configuration_of_somebody_else_sets_what_it_may: "config",
    requests_go_where_they_are_meant_to_go: "plain-http",
    nothing_hangs_or_overflows: "bounds",
    hostile_servers_do_not_eat_the_memory: "memory",
    the_simulator_answers_this_machine_only: "simulate",
    the_program_is_made_of_what_it_says: "supply",
}

#[cfg(not(unix))]
tests! {
    nothing_in_a_folder_of_somebody_else_redirects_authorizes_runs_or_spends: "trust",
    the_key_is_in_no_sink: "key",
    what_is_printed_can_be_looked_at_and_pasted: "terminal",
    a_configuration_of_somebody_else_sets_what_it_may: "config",
    requests_go_where_they_are_meant_to_go: "plain-http",
    nothing_hangs_or_overflows: "bounds",
    hostile_servers_do_not_eat_the_memory: "memory",
    the_simulator_answers_this_machine_only: "simulate",
    the_program_is_made_of_what_it_says: "supply",
}
