//! Tests the whole batch lane (the part that sends rows in batches). No row is lost, submitted twice or paid twice. The
//! tests play all faults of the run, the API and the batches.
//!
//! Whole runs take place on virtual time. The simulated API outlives the runs ([`world`]). The judge compares the
//! records of the API with the files ([`judge`]).
//!
//! `cargo bench --bench batches -- full` runs the full loops and writes the page `benches/BATCHES.md`.
#![cfg(feature = "sim")]
#![allow(dead_code, reason = "the bench and the tests use only some items each")]

mod deadline;
mod faults;
mod judge;
mod kills;
#[path = "../support/page.rs"]
mod page;
mod pause;
mod program;
mod random;
mod seen;
#[path = "../support/mod.rs"]
mod support;
mod world;

use std::io::ErrorKind;

#[test]
fn an_undisturbed_run_answers_every_row_once() {
    let (changes, calls) = kills::undisturbed();

    assert!(changes > 100 && calls > 10, "{changes} {calls}");
}

#[test]
fn a_death_at_any_change_loses_no_row_and_submits_no_row_twice() {
    let deaths = kills::at_changes(17, 100, None);

    assert!(deaths.deaths >= 10, "{deaths:?}");
}

#[test]
fn a_loss_of_power_at_any_change_loses_no_row_and_submits_no_row_twice() {
    let deaths = kills::at_changes(19, 300, Some(1));

    assert!(deaths.deaths >= 10, "{deaths:?}");
}

#[test]
fn a_death_and_then_a_loss_of_power_end_in_a_start_that_works() {
    let deaths = kills::before_a_loss_of_power(13);

    assert!(deaths.deaths >= 20, "{deaths:?}");
}

#[test]
fn a_death_at_any_call_loses_no_row_and_submits_no_row_twice() {
    let deaths = kills::at_calls(3);

    assert!(deaths.deaths >= 15, "{deaths:?}");
}

#[test]
fn a_disk_that_fails_at_any_change_loses_no_row_and_submits_no_row_twice() {
    let deaths = kills::faults(19, ErrorKind::StorageFull);

    assert!(deaths.deaths >= 10, "{deaths:?}");
}

#[test]
fn deaths_in_a_row_end_in_a_start_that_works() {
    let deaths = kills::in_a_row(6, 100);

    assert!(deaths.deaths >= 6, "{deaths:?}");
}

#[test]
fn unclear_creations() {
    faults::unclear_creations();
}

#[test]
fn no_connection() {
    faults::no_connection();
}

#[test]
fn a_list_that_lags() {
    faults::a_list_that_lags();
}

#[test]
fn a_collected_batch_is_not_mistaken_for_a_lost_batch() {
    faults::a_collected_batch_is_not_mistaken_for_a_lost_batch();
}

#[test]
fn foreign_batches_of_the_same_size() {
    faults::foreign_batches_of_the_same_size();
}

#[test]
fn a_busy_workspace() {
    faults::a_busy_workspace(6);
}

#[test]
fn a_full_queue() {
    faults::a_full_queue();
}

#[test]
fn a_queue_that_others_fill() {
    faults::a_queue_that_others_fill();
}

#[test]
fn few_calls_per_minute() {
    faults::few_calls_per_minute();
}

#[test]
fn too_large() {
    faults::too_large();
}

#[test]
fn an_endpoint_without_batches() {
    faults::an_endpoint_without_batches();
}

#[test]
fn batches_that_are_not_found() {
    faults::batches_that_are_not_found();
}

#[test]
fn an_endpoint_that_is_down() {
    faults::an_endpoint_that_is_down();
}

#[test]
fn two_unclear_batches() {
    faults::two_unclear_batches();
}

#[test]
fn bad_downloads() {
    faults::bad_downloads();
}

#[test]
fn results_that_lack_rows() {
    faults::results_that_lack_rows();
}

#[test]
fn extra_results() {
    faults::extra_results();
}

#[test]
fn results_of_unknown_types() {
    faults::results_of_unknown_types();
}

#[test]
fn expired_batches() {
    faults::expired_batches();
}

#[test]
fn a_batch_that_somebody_cancels() {
    faults::a_batch_that_somebody_cancels();
}

#[test]
fn a_batch_that_somebody_deletes() {
    faults::a_batch_that_somebody_deletes();
}

#[test]
fn a_batch_that_is_deleted_after_it_was_collected_in_part() {
    faults::a_batch_that_is_deleted_after_it_was_collected_in_part(7);
}

#[test]
fn a_small_budget() {
    faults::a_small_budget();
}

#[test]
fn a_budget_over_several_runs() {
    faults::a_budget_over_several_runs();
}

#[test]
fn a_limit_on_requests() {
    faults::a_limit_on_requests();
}

#[test]
fn a_limit_on_time() {
    faults::a_limit_on_time();
}

#[test]
fn rows_that_all_fail() {
    faults::rows_that_all_fail();
}

#[test]
fn interrupts() {
    faults::interrupts();
}

#[test]
fn a_shape_whose_first_rows_fail() {
    faults::a_shape_whose_first_rows_fail();
}

#[test]
fn rows_that_batches_refuse() {
    faults::rows_that_batches_refuse();
}

#[test]
fn many_shapes() {
    faults::many_shapes();
}

#[test]
fn equal_rows() {
    faults::equal_rows();
}

#[test]
fn costs() {
    faults::costs();
}

#[test]
fn every_row_is_answered_by_the_deadline_and_few_rows_more_than_needed_go_online() {
    for seed in 0..9 {
        let played = deadline::play_case(seed);

        assert!(played.left >= 0.0, "seed {seed}: {played:?}");
        assert!(played.cost <= 1.05, "seed {seed}: {played:?}");
    }
}

#[test]
fn a_deadline_that_no_lane_can_meet_is_reported_and_both_lanes_work() {
    deadline::too_early();
}

#[test]
fn random_sequences_of_commands_lose_no_row_and_report_each_row_that_is_billed_twice() {
    let done = random::sequences(0..100);

    assert!(done.deaths > 50 && done.batches > 250, "{done:?}");
}

#[test]
fn other_random_sequences_of_commands_lose_no_row_and_report_each_row_that_is_billed_twice() {
    let done = random::sequences(100..200);

    assert!(done.deaths > 50 && done.batches > 250, "{done:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_real_program_survives_a_kill_between_the_creation_of_a_batch_and_the_note_of_its_id() {
    let played = program::play(program::Scale::SHORT);

    assert!(played.batches >= 8 && played.errored > 100, "{played:?}");
}

#[test]
fn a_death_before_a_cancellation_does_not_keep_a_batch() {
    deadline::a_death_before_a_cancellation();
}

#[test]
fn rows_that_are_never_sent_do_not_keep_a_batch() {
    deadline::rows_that_are_never_sent();
}

#[test]
fn a_paused_run_collects_its_batches_and_submits_no_batch() {
    pause::collects_and_does_not_submit();
}
