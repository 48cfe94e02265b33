//! Tests the promises about security. Runs a small part of each loop (a test that repeats an attack many times), mostly
//! with the real program.
//!
//! `cargo bench --bench security -- full` runs the full loops and writes the page `benches/SECURITY.md`. `loops/` has
//! one file for each class of attack. Each file contains the tables and the generators of its attacks, and the lines
//! for the page.
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

/// Makes one test for each loop, so that the loops run in parallel and each loop has its own test name.
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
    files_that_somebody_else_made_redirect_allow_run_and_spend_nothing: "trust",
    only_one_run_uses_a_file_at_a_time: "locks",
    things_that_other_users_put_at_output_paths_are_not_used: "files",
    the_key_appears_in_no_output: "key",
    printed_text_and_printed_commands_do_no_harm: "terminal",
    a_configuration_file_sets_only_what_it_may_set: "config",
    requests_are_sent_only_to_the_intended_address: "plain-http",
    no_input_makes_the_program_hang_or_overflow: "bounds",
    hostile_servers_can_not_use_up_the_memory: "memory",
    the_simulator_answers_only_this_machine: "simulate",
    the_program_contains_only_the_listed_crates_and_files: "supply",
}

#[cfg(not(unix))]
tests! {
    files_that_somebody_else_made_redirect_allow_run_and_spend_nothing: "trust",
    the_key_appears_in_no_output: "key",
    printed_text_and_printed_commands_do_no_harm: "terminal",
    a_configuration_file_sets_only_what_it_may_set: "config",
    requests_are_sent_only_to_the_intended_address: "plain-http",
    no_input_makes_the_program_hang_or_overflow: "bounds",
    hostile_servers_can_not_use_up_the_memory: "memory",
    the_simulator_answers_only_this_machine: "simulate",
    the_program_contains_only_the_listed_crates_and_files: "supply",
}
