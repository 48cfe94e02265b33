//! Tests the whole batch lane (the part that sends rows in batches). No row is lost, submitted twice or paid twice. The
//! tests cause faults in the run, in the API and in the batches.
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
fn after_a_creation_without_a_reply_the_rows_are_billed_once() {
    faults::unclear_creations();
}

#[test]
fn a_refused_connection_creates_no_batch_and_the_rows_are_submitted_again() {
    faults::no_connection();
}

#[test]
fn a_batch_that_the_list_shows_late_is_found() {
    faults::a_list_that_lags();
}

#[test]
fn a_collected_batch_is_not_mistaken_for_a_lost_batch() {
    faults::a_collected_batch_is_not_mistaken_for_a_lost_batch();
}

#[test]
fn a_run_finds_its_own_batch_among_batches_of_the_same_size() {
    faults::foreign_batches_of_the_same_size();
}

#[test]
fn lost_replies_among_batches_of_other_clients_bill_no_row_twice() {
    faults::a_busy_workspace(6);
}

#[test]
fn a_run_waits_for_its_open_batches_when_the_queue_is_full() {
    faults::a_full_queue();
}

#[test]
fn smaller_batches_are_tried_when_others_fill_the_queue() {
    faults::a_queue_that_others_fill();
}

#[test]
fn a_limit_on_calls_per_minute_loses_no_row() {
    faults::few_calls_per_minute();
}

#[test]
fn bodies_that_are_too_large_are_submitted_in_parts() {
    faults::too_large();
}

#[test]
fn without_batches_a_run_stops_or_sends_every_row_online() {
    faults::an_endpoint_without_batches();
}

#[test]
fn batches_that_are_not_found_for_some_time_are_collected_later() {
    faults::batches_that_are_not_found();
}

#[test]
fn a_run_that_can_not_read_its_batches_ends_and_the_next_run_collects_them() {
    faults::an_endpoint_that_is_down();
}

#[test]
fn two_uncertain_batches_of_the_same_size_are_distinguished() {
    faults::two_unclear_batches();
}

#[test]
fn bad_downloads_of_results_lose_no_row() {
    faults::bad_downloads();
}

#[test]
fn rows_that_results_lack_are_reported_and_sent_again() {
    faults::results_that_lack_rows();
}

#[test]
fn extra_lines_in_results_have_no_effect() {
    faults::extra_results();
}

#[test]
fn a_row_with_a_result_of_an_unknown_type_is_sent_again() {
    faults::results_of_unknown_types();
}

#[test]
fn rows_of_expired_batches_fail_or_are_sent_online() {
    faults::expired_batches();
}

#[test]
fn the_answers_of_a_batch_that_somebody_cancels_are_collected() {
    faults::a_batch_that_somebody_cancels();
}

#[test]
fn rows_of_a_batch_that_somebody_deletes_are_reported_and_sent_again() {
    faults::a_batch_that_somebody_deletes();
}

#[test]
fn rows_with_lines_are_not_sent_again_when_their_batch_is_deleted() {
    faults::a_batch_that_is_deleted_after_it_was_collected_in_part(7);
}

#[test]
fn a_small_budget_makes_batches_small_and_is_never_exceeded() {
    faults::a_small_budget();
}

#[test]
fn rows_are_submitted_at_once_if_only_their_batch_can_free_the_money_for_the_next_row() {
    faults::a_row_that_waits_for_the_money_of_a_batch();
}

#[test]
fn several_runs_together_never_exceed_the_budget() {
    faults::a_budget_over_several_runs();
}

#[test]
fn a_limit_on_requests_counts_rows_in_batches() {
    faults::a_limit_on_requests();
}

#[test]
fn a_limit_on_time_leaves_open_batches_for_the_next_run() {
    faults::a_limit_on_time();
}

#[test]
fn rows_that_all_fail_in_batches_stop_the_run() {
    faults::rows_that_all_fail();
}

#[test]
fn after_an_interrupt_at_any_moment_the_same_command_finishes_the_rows() {
    faults::interrupts();
}

#[test]
fn batches_begin_only_after_a_row_of_the_same_kind_is_answered() {
    faults::a_shape_whose_first_rows_fail();
}

#[test]
fn results_that_the_api_refuses_are_named_and_stop_the_run() {
    faults::refused_results();
}

#[test]
fn a_single_refusal_of_results_is_named_and_the_run_continues() {
    faults::refused_results_of_one_batch();
}

#[test]
fn a_run_that_does_not_wait_ends_if_results_cannot_be_read() {
    faults::a_page_instead_of_results();
}

#[test]
fn rows_that_batches_refuse_are_sent_online() {
    faults::rows_that_batches_refuse();
}

#[test]
fn rows_of_many_kinds_share_batches() {
    faults::many_shapes();
}

#[test]
fn only_one_of_several_equal_rows_is_sent_in_a_batch() {
    faults::equal_rows();
}

#[test]
fn rows_in_batches_cost_half_of_the_online_price() {
    faults::costs();
}

#[test]
fn every_row_is_answered_by_the_deadline_at_nearly_the_lowest_cost() {
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
fn only_rows_that_are_sent_online_together_get_cache_marks() {
    deadline::cache_marks();
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
fn after_a_death_before_a_cancellation_the_next_run_cancels_the_batch() {
    deadline::a_death_before_a_cancellation();
}

#[test]
fn rows_that_are_never_sent_do_not_delay_a_cancellation() {
    deadline::rows_that_are_never_sent();
}

#[test]
fn a_paused_run_collects_its_batches_and_submits_no_batch() {
    pause::collects_and_does_not_submit();
}
