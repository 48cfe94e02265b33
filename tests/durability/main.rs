//! Tests that no row is lost, and that no row with a written line is paid for twice. These tests run a part of each
//! loop, some with the real program and some without it.
//!
//! `cargo bench --bench durability -- full` runs the full loops and writes the page `benches/DURABILITY.md`.
#![cfg(feature = "sim")]

mod corpora;
mod loops;
#[path = "../support/page.rs"]
mod page;
#[path = "../support/mod.rs"]
mod support;

use std::io::ErrorKind;

use claude_batch::journal::Start;

use loops::{
    answers, chain, changes, disk_faults, equal, follow_ups, kills, million, money, outputs, power, replaced,
    resume_cases, soak, waits,
};

#[test]
fn a_kill_at_any_moment_loses_no_row_and_duplicates_no_line() {
    let deaths = kills::at_random_moments(20, 11);

    assert_eq!(deaths.kills, 20);
}

#[test]
fn only_one_of_several_equal_rows_is_paid_for_and_after_a_death_no_written_answer_is_paid_for_again() {
    equal::undisturbed(100);

    let deaths: u64 = [0, 700, usize::MAX].into_iter().map(|cut| equal::deaths(60, 5, cut)).sum();

    assert!(deaths > 20, "{deaths}");
}

#[test]
fn a_death_between_an_answer_and_its_follow_up_loses_no_cost_and_sends_no_answered_request_again() {
    use follow_ups::{End, ends};
    follow_ups::undisturbed(60);

    let mut deaths = ends(40, 5, End::Death(700), Start::Continue);
    deaths += ends(20, 5, End::Death(usize::MAX), Start::Resume);
    deaths += ends(20, 7, End::PowerLoss, Start::Continue);
    deaths += ends(20, 7, End::Fault(ErrorKind::StorageFull), Start::Continue);
    deaths += follow_ups::deaths_in_a_row(10, 20, 3);

    assert!(deaths.with_pending >= 50, "{deaths:?}");
}

#[test]
fn after_deaths_of_a_run_over_two_providers_no_row_is_lost_and_only_requests_in_flight_are_paid_again() {
    let deaths = chain::deaths(30, 4);

    assert!(deaths.points >= 20 && deaths.moved > 0, "{deaths:?}");
}

#[test]
fn faults_and_halts_lose_no_equal_row() {
    equal::faults(100);
}

#[test]
fn kills_during_recovery_end_in_a_start_that_works() {
    let deaths = kills::again_and_again(8, 12);

    assert!(deaths.kills >= 8, "{deaths:?}");
}

#[test]
fn a_kill_while_changed_rows_get_new_answers_loses_no_answer_and_leaves_one_line_per_row() {
    replaced::kills(8, 14);
}

#[test]
fn a_kill_while_an_output_is_made_leaves_the_old_output_or_the_complete_new_output() {
    let seen = outputs::at_random_moments(1_000, 10, 15);

    assert!(seen.kills == 10 && seen.old > 0, "{seen:?}");
}

#[test]
fn a_death_at_any_change_of_a_run_loses_no_row_and_duplicates_no_line() {
    let cut = changes::deaths(40, 3, 700);
    let whole = changes::deaths(40, 5, usize::MAX);

    assert!(cut.points + whole.points >= 60, "{cut:?} {whole:?}");
}

#[test]
fn deaths_in_a_row_end_in_a_start_that_works() {
    changes::deaths_in_a_row(20, 40, 13);
}

#[test]
fn a_disk_that_fails_at_any_change_loses_no_row() {
    for (kind, step) in [(ErrorKind::StorageFull, 3), (ErrorKind::Other, 7), (ErrorKind::ReadOnlyFilesystem, 11)] {
        changes::faults(40, step, kind);
    }
}

#[test]
fn a_loss_of_power_loses_no_row_that_was_reported() {
    assert!(power::losses(400, 10, 31) >= 400);
}

#[test]
fn a_slow_reader_gets_every_line_and_a_closed_pipe_stops_the_run() {
    disk_faults::slow_pipe();
    disk_faults::closed_pipe();
}

#[cfg(unix)]
#[test]
fn a_limit_on_file_sizes_stops_the_run_and_loses_no_row() {
    disk_faults::file_size_limit();
}

#[test]
fn each_resume_case_ends_as_documented() {
    let wrong = resume_cases::wrong();

    assert!(wrong.is_empty() && resume_cases::CASES.len() >= 25, "{wrong:#?}");
}

#[test]
fn nothing_is_sent_before_a_retry_after_is_over() {
    let told = waits::told(600);

    assert!(told.seen.told >= 300, "{}", told.seen.told);
    assert_eq!((told.seen.early, told.stats.failed_total(), told.finish.pending), (0, 0, 0));
}

#[test]
fn a_retry_after_that_makes_no_sense_is_survived() {
    waits::assert_nonsense_is_survived();
}

#[test]
fn during_an_outage_a_run_sends_few_requests() {
    let outage = waits::outage(529);

    assert!(outage.rate <= 0.1 && outage.amplification <= 1.1 && outage.back_after_s <= 60, "{outage:?}");
    assert_eq!(outage.lost, 0);
}

#[test]
fn an_hour_of_mixed_faults_breaks_no_invariant() {
    assert!(soak::soak(3, 1).answered > 0);
}

#[test]
fn fuzz_targets_pass_on_their_corpus_and_on_mutations_of_it() {
    assert!(corpora::run_all(400, 17) > 2_400);
}

#[test]
fn each_bad_line_of_a_long_input_is_one_entry() {
    let long = million::long(12_000);

    assert_eq!((long.bad, long.entries, long.answered), (12, 12, 11_988));
}

#[test]
fn attempts_that_were_possibly_billed_are_counted_with_and_without_retries() {
    money::retried_attempts_are_counted();
    money::attempts_that_are_not_retried_are_counted();
    money::a_kill_is_counted_with_or_without_the_flag();
}

#[test]
fn a_fault_of_tls_stops_the_run_and_fails_no_row() {
    money::a_fault_of_tls_stops_the_run_and_fails_no_row();
}

#[test]
fn every_answer_is_one_line_with_the_bytes_that_the_server_sent() {
    answers::every_line(5_000, 4);
}

#[cfg(target_os = "linux")]
#[test]
fn large_answers_at_once_fit_in_bounded_memory() {
    // The bench makes 64 answers, but this test makes only 16. Without optimization, making and reading answers is
    // slow.
    answers::Large::new(16).within(1 << 20);
}
