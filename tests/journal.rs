//! Tests the promises of the journal at every point of a run. Each write fails once, the process dies at each change,
//! and a file is cut off at each byte.
//!
//! Each row that was reported as done must have exactly one complete line in the files. After a second run of the same
//! command, each row must have exactly one line.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use claude_batch::clock::{Instant, RunClock};
use claude_batch::domain::{
    AttemptRecord, Ended, ErrorClass, Failure, Identity, Job, JobId, JobKey, Message, Money, Origin, Outcome, Params,
    Purpose, Quality, Request, RowId, Usage,
};
use claude_batch::journal::{
    Closed, Commit, Disk, Fsync, InputRead, Journal, JournalError, JournalOptions, Manifest, MemDisk, RealDisk,
    Recovered, RowState, RunPaths, Slot, Start, Threading, read_error_log,
};
use claude_batch::runner::{JournalLedger, Ledger};
use claude_batch::scheduler::Ticket;
use claude_batch::source::BrokenRow;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

const RESULTS: &str = "d/out.jsonl";
const ERRORS: &str = "d/out.errors.jsonl";
const ROWS: u64 = 12;
/// The highest possible cost of a row in flight.
const AT_MOST: Money = Money(7_000_000_000);
/// The real cost of a recorded attempt can exceed its known cost by at most this amount.
const MAYBE_COST: Money = Money(2_000_000);

// ---- every failed write, every death -------------------------------------------------------------------------------

#[test]
fn a_failed_write_at_any_point_loses_no_reported_row_and_the_next_run_ends() {
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::Other, io::ErrorKind::ReadOnlyFilesystem] {
        let untouched = (0..).find(|&at| {
            let disk = MemDisk::new();
            disk.fail_at(at, kind);
            let reported = run(&disk, "r1", FAILS);

            check_kept(&disk, &reported.committed, at);
            finish(&disk.after_death(), at);
            reported.closed.is_some()
        });
        assert!(untouched.is_some_and(|at| at > 2 * ROWS), "every write and sync was tried");
    }
}

#[test]
fn a_death_at_any_point_loses_no_reported_row_and_the_next_run_ends() {
    for written in [0, 1, 100, usize::MAX] {
        let untouched = (0..).find(|&at| {
            let disk = MemDisk::new();
            disk.die_at(at, written);
            let reported = run(&disk, "r1", FAILS);

            let after = disk.after_death();
            check_kept(&after, &reported.committed, at);
            finish(&after, at);
            reported.closed.is_some()
        });
        assert!(untouched.is_some_and(|at| at > 2 * ROWS), "every write and sync was tried");
    }
}

#[test]
fn deaths_during_recovery_and_compaction_end_in_a_start_that_works() {
    let mut random = fastrand::Rng::with_seed(7);
    for first in 0..80 {
        let mut disk = MemDisk::new();
        disk.die_at(first, random.usize(0..300));
        let mut committed = run(&disk, "r0", FAILS).committed;
        for again in 1..=5 {
            disk = disk.after_death();
            disk.die_at(random.u64(0..16), random.usize(0..300));
            committed.extend(run(&disk, &format!("r{again}"), FAILS).committed);
        }

        let after = disk.after_death();
        check_kept(&after, &committed, first);
        finish(&after, first);
    }
}

#[test]
fn a_loss_of_power_at_any_point_loses_no_reported_row() {
    for at in 0..90 {
        for seed in 0..12 {
            let disk = MemDisk::new();
            disk.die_at(at, 200);
            let reported = run(&disk, "r1", FAILS);

            let after = disk.after_power_loss(&mut fastrand::Rng::with_seed(seed * 1000 + at));

            let recovered = open(&after, "r2", Start::Continue).map(|(_, recovered)| recovered);
            assert!(recovered.is_ok(), "death {at}, seed {seed}: {recovered:?}");
            check_kept(&after, &reported.committed, at);
            finish(&after.after_death(), at);
        }
    }
}

#[test]
fn a_loss_of_power_during_compaction_loses_no_entry() {
    for at in 0..60 {
        for seed in 0..12 {
            let disk = MemDisk::new();
            let mut committed = run(&disk, "r1", FAILS).committed;
            let disk = disk.after_death();
            disk.die_at(at, 50);
            // One of the failed rows is answered, so its entry is removed from the log.
            committed.extend(run(&disk, "r2", &FAILS[1..]).committed);

            let after = disk.after_power_loss(&mut fastrand::Rng::with_seed(seed * 1000 + at));

            check_kept(&after, &committed, at);
            finish(&after, at);
        }
    }
}

#[test]
fn rows_found_done_at_a_start_are_durable_from_then_on() {
    let disk = MemDisk::new();
    let (mut journal, _) = open_with(&disk, "r1", Start::Continue, Fsync::Off).expect("the disk works");
    for id in 0..ROWS {
        journal.append_outcome(&answered(id), id).expect("the disk works");
    }
    let disk = disk.after_death();
    let (_, found) = open(&disk, "r2", Start::Continue).expect("the disk works");

    for seed in 0..20 {
        let after = disk.after_power_loss(&mut fastrand::Rng::with_seed(seed));
        let (_, recovered) = open(&after, "r3", Start::Continue).expect("the disk works");
        assert_eq!(recovered.done.len(), found.done.len(), "seed {seed}");
    }
    assert_eq!(found.done.len() as u64, ROWS);
}

#[test]
fn the_next_run_ends_no_matter_which_unsynced_lines_a_loss_of_power_left() {
    for seed in 0..300 {
        let disk = MemDisk::new();
        let (mut journal, _) = open_with(&disk, "r1", Start::Continue, Fsync::Off).expect("the disk works");
        for id in 0..ROWS {
            journal.append_outcome(&answered(id), id).expect("the disk works");
        }

        let after = disk.after_power_loss(&mut fastrand::Rng::with_seed(seed));

        finish(&after, seed);
    }
}

#[test]
fn every_prefix_of_the_results_keeps_its_complete_lines() {
    let disk = MemDisk::new();
    run(&disk, "r1", NONE_FAIL);
    let whole = disk.content(RESULTS).expect("the run wrote it");
    for cut in 0..=whole.len() {
        let left = disk.after_death();
        left.put(RESULTS, &whole[..cut]);

        let (_, recovered) = open(&left, "r2", Start::Continue).expect("it can be recovered");

        let breaks = whole[..cut].iter().filter(|&&byte| byte == b'\n').count();
        let lacks_only_its_break = whole.get(cut) == Some(&b'\n');
        assert_eq!(recovered.done.len(), breaks + usize::from(lacks_only_its_break), "cut at {cut}");
        assert_eq!(ids(&left, RESULTS).len(), recovered.done.len(), "cut at {cut}");
        assert_eq!(recovered.notes.is_empty(), cut == 0 || whole[cut - 1] == b'\n', "cut at {cut}");
    }
}

// ---- resume -----------------------------------------------------------------------------------------------------

#[test]
fn an_answered_row_is_done_and_a_changed_row_is_recognized() {
    let disk = MemDisk::new();
    run(&disk, "r1", FAILS);

    let (_, recovered) = open(&disk, "r2", Start::Continue).expect("the disk works");

    let mut changed = job(2);
    changed.key = key(99);
    let mut moved = job(3);
    moved.custom_id = "other.jsonl:77".to_owned();
    let state = |job: &Job| state(&recovered, job);
    assert_eq!(state(&job(2)), RowState::Done);
    assert!(
        matches!(state(&changed), RowState::Changed { old_key } if key(2).to_string().starts_with(&old_key.to_string()[..12]))
    );
    assert_eq!(state(&moved), RowState::Done, "an unnamed row is identified by its request");
    assert_eq!(state(&job(4)), RowState::Failed(ErrorClass::Server));
    assert_eq!(state(&job(ROWS)), RowState::New);
    assert_eq!(recovered.totals.ok, ROWS - FAILS.len() as u64);
    assert_eq!(recovered.totals.spend, Money(ROWS as u128 * 1_500_000));
    assert_eq!(recovered.totals.usage.output_tokens, ROWS * 7);
    assert_eq!(recovered.failed, BTreeMap::from([(ErrorClass::Server, FAILS.len() as u64)]));
}

#[test]
fn a_long_results_file_is_recovered_like_a_short_one() {
    // The file has several megabytes, so the program reads it in several blocks, on several threads.
    let rows = 6_000;
    let disk = MemDisk::new();
    let (mut journal, _) = open_with(&disk, "r1", Start::Continue, Fsync::Off).expect("the disk works");
    for id in 0..rows {
        journal.append_outcome(&answered(id), id + 1).expect("the disk works");
    }
    let mut again = answered(2);
    again.job.key = key(rows);
    again.job.row = known(&again.job);
    journal.append_outcome(&again, rows + 1).expect("the disk works");
    journal.close(InputRead::Whole, false).expect("the disk works");
    let whole = disk.content(RESULTS).expect("it is there");
    disk.put(RESULTS, &[&whole[..], &whole[..200]].concat());

    let (_, recovered) = open(&disk, "r2", Start::Continue).expect("the disk works");

    assert!(whole.len() > 3 << 20, "{}", whole.len());
    assert_eq!(disk.content(RESULTS).as_deref(), Some(&whole[..]));
    assert!(
        recovered.notes.len() == 1 && recovered.notes[0].starts_with("removed a half-written line of 200"),
        "{:?}",
        recovered.notes
    );
    assert_eq!((recovered.totals.ok, recovered.done.len() as u64), (rows + 1, rows));
    assert_eq!(recovered.totals.usage.output_tokens, (rows + 1) * 7);
    let open_rows = (0..rows).filter(|&id| state(&recovered, &job(id)) != RowState::Done);
    assert_eq!(open_rows.collect::<Vec<_>>(), [2], "its last answer is to another request");
    assert_eq!(state(&recovered, &again.job), RowState::Done);
}

#[test]
fn when_failed_rows_are_answered_later_the_log_is_empty_and_their_cost_still_counts() {
    let disk = MemDisk::new();
    run(&disk, "r1", FAILS);
    let before = open(&disk, "r2", Start::Continue).expect("the disk works").1.totals;
    let (mut journal, _) = open(&disk, "r3", Start::Resume).expect("the disk works");

    let input = journal.write_resume_input(&[]).expect("there is a folder");
    let again = ids(&disk, input);
    for &id in FAILS {
        journal.append_outcome(&answered(id), id).expect("the disk works");
    }
    let closed = journal.close(InputRead::Part, false).expect("the disk works");

    assert_eq!(again, FAILS.iter().map(|&id| label(id)).collect::<BTreeSet<_>>());
    assert_eq!(closed.failed, BTreeMap::new());
    assert_eq!(disk.content(ERRORS).as_deref(), Some(&b""[..]));
    assert_eq!(ids(&disk, RESULTS).len() as u64, ROWS);
    let after = open(&disk, "r4", Start::Continue).expect("the disk works").1.totals;
    assert_eq!(after.spend, before.spend + Money(1_500_000 * FAILS.len() as u128));
    assert_eq!(after.maybe_paid, before.maybe_paid + FAILS.len() as u64);
    assert_eq!(after.maybe_spend, before.maybe_spend + MAYBE_COST.times(FAILS.len() as u64));
}

#[test]
fn resume_runs_only_rows_of_the_given_classes_and_no_broken_rows() {
    let disk = MemDisk::new();
    let (mut journal, _) = open(&disk, "r1", Start::Continue).expect("the disk works");
    journal.append_outcome(&failed(0, ErrorClass::Server), 0).expect("the disk works");
    journal.append_outcome(&failed(1, ErrorClass::Timeout), 1).expect("the disk works");
    journal.append_broken(&broken(3), Instant::ZERO, 2).expect("the disk works");
    journal.close(InputRead::Whole, false).expect("the disk works");

    let log = read_error_log(Path::new(ERRORS), None, &disk).expect("it is a log");
    let (journal, recovered) = open(&disk, "r2", Start::Resume).expect("the disk works");
    let input = journal.write_resume_input(&[ErrorClass::Timeout]).expect("there is a folder");

    assert_eq!(log.results.as_deref(), Some(Path::new(RESULTS)));
    assert_eq!(log.rows, BTreeMap::from([(ErrorClass::Server, 1), (ErrorClass::Timeout, 1)]));
    assert_eq!(log.broken, 1);
    assert_eq!(recovered.failed.get(&ErrorClass::InvalidInput), Some(&1));
    assert_eq!(ids(&disk, input), BTreeSet::from([label(1)]));
}

#[test]
fn broken_rows_are_in_the_log_once_and_leave_it_when_the_input_is_corrected() {
    let disk = MemDisk::new();
    for run in ["r1", "r2"] {
        let (mut journal, _) = open(&disk, run, Start::Continue).expect("the disk works");
        journal.append_broken(&broken(3), Instant::ZERO, 0).expect("the disk works");
        journal.append_broken(&broken(9), Instant::ZERO, 1).expect("the disk works");
        let closed = journal.close(InputRead::Whole, false).expect("the disk works");
        assert_eq!(closed.failed, BTreeMap::from([(ErrorClass::InvalidInput, 2)]));
    }

    let (journal, _) = open(&disk, "r3", Start::Continue).expect("the disk works");
    let interrupted = journal.close(InputRead::Part, false).expect("the disk works");
    let (journal, _) = open(&disk, "r4", Start::Continue).expect("the disk works");
    let whole = journal.close(InputRead::Whole, false).expect("the disk works");

    assert_eq!(interrupted.failed, BTreeMap::from([(ErrorClass::InvalidInput, 2)]));
    assert_eq!(whole.failed, BTreeMap::new());
}

#[test]
fn canceled_rows_are_run_again() {
    let disk = MemDisk::new();
    let (mut journal, _) = open(&disk, "r1", Start::Continue).expect("the disk works");
    journal.append_outcome(&failed(0, ErrorClass::Canceled), 0).expect("the disk works");
    journal.close(InputRead::Part, false).expect("the disk works");

    let (_, recovered) = open(&disk, "r2", Start::Continue).expect("the disk works");

    assert_eq!(state(&recovered, &job(0)), RowState::New);
}

#[test]
fn fresh_renames_the_old_files_and_keeps_them() {
    let disk = MemDisk::new();
    run(&disk, "r1", FAILS);
    let (results, errors) = (disk.content(RESULTS), disk.content(ERRORS));

    let (_, recovered) = open(&disk, "r2", Start::Fresh).expect("the disk works");

    assert!(recovered.done.is_empty() && recovered.failed.is_empty() && recovered.totals.spend == Money::ZERO);
    assert_eq!(disk.content("d/out.jsonl.old-r2"), results);
    assert_eq!(disk.content("d/out.errors.jsonl.old-r2"), errors);
    assert_eq!(disk.content(RESULTS).as_deref(), Some(&b""[..]));
}

// ---- superseded answers -----------------------------------------------------------------------------

#[test]
fn a_changed_row_that_was_run_again_has_one_line_and_all_its_cost_counts() {
    let disk = answered_once();

    let reported = rerun(&disk, "r2", CHANGED);

    assert!(reported.closed.is_some());
    assert_eq!(keys(&disk), keys_after(CHANGED));
    let (_, recovered) = open(&disk, "r3", Start::Continue).expect("the disk works");
    assert_eq!((recovered.totals.ok, recovered.done.len() as u64), (ROWS, ROWS));
    assert_eq!(recovered.totals.spend, spent(ROWS + CHANGED.len() as u64));
    assert_eq!(recovered.totals.usage.output_tokens, 7 * (ROWS + CHANGED.len() as u64));
    assert_eq!(recovered.totals.maybe_paid, ROWS + CHANGED.len() as u64);
    assert_eq!(recovered.totals.maybe_spend, MAYBE_COST.times(ROWS + CHANGED.len() as u64));
}

#[test]
fn results_without_superseded_answers_are_not_written_again() {
    let disk = answered_once();
    let before = disk.changes();
    let (journal, _) = open(&disk, "r2", Start::Continue).expect("the disk works");
    journal.close(InputRead::Whole, false).expect("the disk works");
    let usual = disk.changes() - before;
    let before = disk.changes();

    let (journal, _) = open(&disk, "r3", Start::Continue).expect("the disk works");
    journal.close(InputRead::Whole, false).expect("the disk works");

    assert_eq!(disk.changes() - before, usual);
    rerun(&disk, "r4", CHANGED);
    let before = disk.changes();
    let (journal, _) = open(&disk, "r5", Start::Continue).expect("the disk works");
    journal.close(InputRead::Whole, false).expect("the disk works");
    assert_eq!(disk.changes() - before, usual);
}

#[test]
fn an_empty_log_is_removed_at_a_clean_end_only() {
    let ended = |start, fails: &[u64], keeps_slots| {
        let disk = MemDisk::new();
        run(&disk, "r1", fails);
        let (journal, _) = open(&disk, "r2", start).expect("the disk works");
        journal.close(InputRead::Part, keeps_slots).expect("the disk works");
        disk.content(ERRORS).map(|log| log.is_empty())
    };

    assert_eq!(ended(Start::Continue, NONE_FAIL, false), None);
    assert_eq!(ended(Start::Continue, NONE_FAIL, true), Some(true), "marks of requests stay, and so does the log");
    assert_eq!(ended(Start::Resume, NONE_FAIL, false), Some(true), "the user named this log");
    assert_eq!(ended(Start::Continue, FAILS, false), Some(false));
}

#[test]
fn a_changed_row_that_fails_keeps_its_old_answer() {
    let disk = answered_once();
    let (mut journal, _) = open(&disk, "r2", Start::Continue).expect("the disk works");
    let mut fault = failed(2, ErrorClass::Server);
    *fault.job = changed(2);
    journal.append_outcome(&fault, 1).expect("the disk works");
    journal.close(InputRead::Whole, false).expect("the disk works");
    let after_the_failure = keys(&disk);

    let (mut journal, recovered) = open(&disk, "r3", Start::Resume).expect("the disk works");
    let state = state(&recovered, &changed(2));
    journal.append_outcome(&Outcome { job: Box::new(changed(2)), ..answered(2) }, 1).expect("the disk works");
    journal.close(InputRead::Part, false).expect("the disk works");

    assert_eq!((after_the_failure, state), (keys_after(&[]), RowState::Failed(ErrorClass::Server)));
    assert_eq!(keys(&disk), keys_after(&[2]));
    assert_eq!(disk.content(ERRORS).as_deref(), Some(&b""[..]));
    let (_, recovered) = open(&disk, "r4", Start::Continue).expect("the disk works");
    assert_eq!(recovered.totals.spend, spent(ROWS + 2));
}

#[test]
fn a_line_with_a_key_in_an_unknown_format_is_never_removed() {
    let disk = answered_once();
    let text = String::from_utf8(disk.content(RESULTS).expect("it is there")).expect("it is text");
    let later = text.replace("\"key\":\"k1:", "\"key\":\"k2:");
    disk.put(RESULTS, format!("{later}{text}").as_bytes());

    let (journal, _) = open(&disk, "r2", Start::Continue).expect("the disk works");
    journal.close(InputRead::Whole, false).expect("the disk works");

    assert_eq!(lines(&disk.content(RESULTS).expect("it is there")).len() as u64, 2 * ROWS);
}

#[test]
fn a_death_while_superseded_answers_are_removed_loses_no_answer_and_no_cost() {
    for written in [0, 1, 100, usize::MAX] {
        let untouched = (0..).find(|&at| {
            let disk = answered_once();
            disk.die_at(at, written);
            let reported = rerun(&disk, "r2", CHANGED);

            check_changed(&disk.after_death(), &reported, at);
            reported.closed.is_some()
        });
        // Each row changes the disk four times: its slot (the record of a request in flight) is filled and later
        // emptied, and its line is written and synced. The other changes come from opening the journal, from saving the
        // sums, and from replacing the file.
        assert!(untouched.is_some_and(|at| at > 4 * CHANGED.len() as u64 + 15), "{untouched:?}");
    }
}

#[test]
fn a_failed_write_while_superseded_answers_are_removed_loses_no_answer_and_no_cost() {
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::Other, io::ErrorKind::ReadOnlyFilesystem] {
        let untouched = (0..).find(|&at| {
            let disk = answered_once();
            disk.fail_at(at, kind);
            let reported = rerun(&disk, "r2", CHANGED);

            let left_over = disk.paths().into_iter().find(|path| path.to_string_lossy().contains(".tmp"));
            assert_eq!(left_over, None, "{kind:?} at {at}: the temporary file is not removed");
            check_changed(&disk.after_death(), &reported, at);
            disk.changes() <= at
        });
        assert!(untouched.is_some_and(|at| at > 4 * CHANGED.len() as u64 + 15), "{untouched:?}");
    }
}

#[test]
fn a_loss_of_power_while_superseded_answers_are_removed_loses_no_answer_and_no_cost() {
    for at in 0..60 {
        for seed in 0..5 {
            let disk = answered_once();
            disk.die_at(at, 200);
            let reported = rerun(&disk, "r2", CHANGED);

            let after = disk.after_power_loss(&mut fastrand::Rng::with_seed(seed * 1000 + at));

            check_changed(&after, &reported, at);
        }
    }
}

#[test]
fn several_deaths_while_superseded_answers_are_removed_end_with_one_line_for_each_row() {
    let mut random = fastrand::Rng::with_seed(9);
    for first in 0..60 {
        let mut disk = answered_once();
        let mut committed = BTreeSet::new();
        for again in 0..random.u64(2..=5) {
            disk.die_at(random.u64(0..45), random.usize(0..300));
            committed.extend(rerun(&disk, &format!("again-{again}"), CHANGED).committed);
            disk = disk.after_death();
        }

        check_changed(&disk, &Reported { committed, closed: None }, first);
    }
}

/// The rows that have an id and whose request is changed.
const CHANGED: &[u64] = &[0, 4, 6, 10];

/// Returns a disk after a complete run that has answered every row.
fn answered_once() -> MemDisk {
    let disk = MemDisk::new();
    assert!(run(&disk, "r1", NONE_FAIL).closed.is_some());
    let disk = disk.after_death();
    assert_eq!(keys(&disk), keys_after(&[]));
    disk
}

/// Changes the requests of the rows in `of`, and runs the command with `--rerun-changed`.
fn rerun(disk: &MemDisk, name: &str, of: &[u64]) -> Reported {
    let job = |id| if of.contains(&id) { changed(id) } else { job(id) };
    let outcome = |id| Outcome { job: Box::new(job(id)), ..answered(id) };
    run_rows(disk, name, job, outcome)
}

/// Returns the row with this id, but with a changed request.
fn changed(id: u64) -> Job {
    let mut job = job(id);
    job.key = key(id + 1000);
    job.row = known(&job);
    job
}

/// Asserts that all answers and costs are kept. Runs the same command again, and asserts that each row then has one
/// line.
fn check_changed(disk: &MemDisk, reported: &Reported, at: u64) {
    let found = all_keys(disk);
    for id in 0..ROWS {
        let (old, new) = ((label(id), key(id).to_string()), (label(id), changed(id).key.to_string()));
        assert!(found.contains(&old) || found.contains(&new), "at {at}: no answer to {}", label(id));
        let is_reported = CHANGED.contains(&id) && reported.committed.contains(&label(id));
        assert!(!is_reported || found.contains(&new), "at {at}: the answer to {new:?} was reported and is gone");
    }
    let (_, recovered) = open(&disk.after_death(), "look", Start::Continue).expect("it can be resumed");
    let paid = ROWS + reported.committed.len() as u64;
    assert!(recovered.totals.spend >= spent(paid), "at {at}: {} of {paid} answers", recovered.totals.spend);

    let ended = rerun(disk, "last", CHANGED);

    assert!(ended.closed.is_some(), "at {at}: the next run fails");
    assert_eq!(keys(disk), keys_after(CHANGED), "at {at}");
    let (_, recovered) = open(disk, "look", Start::Continue).expect("the disk works");
    let paid = ROWS + CHANGED.len() as u64;
    assert!(recovered.totals.spend >= spent(paid), "at {at}: {}", recovered.totals.spend);
    let left_over = disk.paths().into_iter().find(|path| path.to_string_lossy().contains(".tmp"));
    assert_eq!(left_over, None, "at {at}");
}

/// Returns the cost of `answers` answers.
fn spent(answers: u64) -> Money {
    Money(1_500_000).times(answers)
}

/// Returns the keys that the results must have at the end. Each row has one key.
fn keys_after(of: &[u64]) -> BTreeSet<(String, String)> {
    let key_of = |id| if of.contains(&id) { changed(id).key } else { key(id) };
    (0..ROWS).map(|id| (label(id), key_of(id).to_string())).collect()
}

/// Returns labels and keys of the results. Asserts that each label occurs once.
fn keys(disk: &MemDisk) -> BTreeSet<(String, String)> {
    assert_eq!(ids(disk, RESULTS).len(), lines(&disk.content(RESULTS).unwrap_or_default()).len());
    all_keys(disk)
}

/// Returns the label and the key of each complete line of the results. Ignores incomplete lines.
fn all_keys(disk: &MemDisk) -> BTreeSet<(String, String)> {
    let content = disk.content(RESULTS).unwrap_or_default();
    let whole = content.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    whole.map(|line| (label_of(&line), line["meta"]["key"].as_str().unwrap_or_default().to_owned())).collect()
}

// ---- answers that are asked for again -------------------------------------------------------------------------------

#[test]
fn the_quality_of_the_last_line_decides_whether_a_row_is_run_again() {
    let disk = MemDisk::new();
    let (mut journal, _) = open(&disk, "r1", Start::Continue).expect("the disk works");
    use Quality::{Ok as Whole, Refused, Truncated, Unknown};
    let last = [Truncated, Truncated, Whole, Refused, Unknown, Refused];
    for (id, before) in (0..).zip([Truncated, Truncated, Truncated, Truncated, Refused, Whole]) {
        journal.append_outcome(&answered_as(id, before), 2 * id).expect("the disk works");
    }
    for (id, quality) in (0..).zip(last) {
        journal.append_outcome(&answered_as(id, quality), 2 * id + 1).expect("the disk works");
    }
    let found = |wanted: &[Quality]| {
        let options = JournalOptions { rerun: wanted.to_vec(), ..options(&disk.after_death(), "r2") };
        let (_, recovered) = Journal::open(options, Box::new(|_| {})).expect("the disk works");
        assert!((0..6).all(|id| state(&recovered, &job(id)) == RowState::Done));
        (0..6).map(|id| recovered.reruns.quality(known(&job(id)))).collect::<Vec<_>>()
    };

    let only = |wanted: &[Quality]| last.map(|quality| Some(quality).filter(|own| wanted.contains(own))).to_vec();
    for wanted in [&[][..], &[Truncated], &[Refused], &[Truncated, Refused]] {
        assert_eq!(found(wanted), only(wanted), "{wanted:?}");
    }
}

#[test]
fn a_row_that_is_asked_again_has_one_line_at_the_end_and_both_answers_count() {
    let disk = truncated_once();

    let reported = ask_again(&disk, "r2");

    assert!(reported.closed.is_some());
    assert_eq!((keys(&disk), truncated_rows(&disk)), (keys_after(&[]), 0));
    let (_, recovered) = open(&disk, "r3", Start::Continue).expect("the disk works");
    assert_eq!((recovered.totals.ok, recovered.totals.truncated), (ROWS, 0));
    assert_eq!(recovered.totals.spend, spent(ROWS + CHANGED.len() as u64));
}

#[test]
fn a_row_that_is_asked_again_and_fails_keeps_its_answer() {
    let disk = truncated_once();
    let (mut journal, _) = open(&disk, "r2", Start::Continue).expect("the disk works");
    journal.append_outcome(&failed(CHANGED[0], ErrorClass::Server), 1).expect("the disk works");
    journal.close(InputRead::Whole, false).expect("the disk works");

    let (journal, recovered) = open(&disk, "r3", Start::Continue).expect("the disk works");
    let state = state(&recovered, &job(CHANGED[0]));
    journal.close(InputRead::Whole, false).expect("the disk works");

    assert_eq!((state, truncated_rows(&disk)), (RowState::Done, CHANGED.len()));
    assert_eq!(recovered.totals.spend, spent(ROWS + 1));
    assert_eq!(disk.content(ERRORS), None, "the row is no failed row, and an empty log is removed");
}

#[test]
fn a_death_while_rows_are_asked_again_loses_no_answer_and_no_cost() {
    for written in [0, 100, usize::MAX] {
        let untouched = (0..).find(|&at| {
            let disk = truncated_once();
            disk.die_at(at, written);
            let reported = ask_again(&disk, "r2");

            let disk = disk.after_death();
            assert_eq!(all_keys(&disk), keys_after(&[]), "at {at}");
            let ended = ask_again(&disk, "last");
            assert!(ended.closed.is_some(), "at {at}: the next run fails");
            assert_eq!((keys(&disk), truncated_rows(&disk)), (keys_after(&[]), 0), "at {at}");
            let (_, recovered) = open(&disk, "look", Start::Continue).expect("the disk works");
            assert!(recovered.totals.spend >= spent(ROWS + CHANGED.len() as u64), "at {at}");
            reported.closed.is_some()
        });
        assert!(untouched.is_some_and(|at| at > 4 * CHANGED.len() as u64 + 15), "{untouched:?}");
    }
}

#[test]
fn the_old_answer_of_a_row_is_not_the_answer_that_was_in_flight() {
    let disk = truncated_once();
    let (mut journal, _) = open(&disk, "r2", Start::Continue).expect("the disk works");
    let _slots = [0, 4].map(|id| journal.mark(&job(id), AT_MOST));
    journal.flush().expect("the disk works");
    journal.append_outcome(&answered(4), 1).expect("the disk works");
    journal.flush().expect("the disk works");

    let (_, recovered) = open(&disk.after_death(), "r3", Start::Continue).expect("the disk works");

    assert_eq!((recovered.dead_in_flight, recovered.dead_at_most), (1, AT_MOST));
}

fn answered_as(id: u64, quality: Quality) -> Outcome {
    let mut outcome = answered(id);
    if let Ended::Succeeded(message) = &mut outcome.ended {
        message.quality = quality;
    }
    outcome
}

/// Returns a disk after a complete run. The answers to the rows in [`CHANGED`] are truncated.
fn truncated_once() -> MemDisk {
    let disk = MemDisk::new();
    let outcome = |id| answered_as(id, if CHANGED.contains(&id) { Quality::Truncated } else { Quality::Ok });
    assert!(run_rows(&disk, "r1", job, outcome).closed.is_some());
    disk.after_death()
}

/// Runs rows with truncated answers again.
fn ask_again(disk: &MemDisk, name: &str) -> Reported {
    let options = JournalOptions { rerun: vec![Quality::Truncated], ..options(disk, name) };
    run_with(options, job, answered, |recovered, job| recovered.reruns.quality(known(job)).is_some())
}

/// Returns how many rows have a truncated answer.
fn truncated_rows(disk: &MemDisk) -> usize {
    let content = disk.content(RESULTS).expect("it is there");
    lines(&content).iter().filter(|line| line["meta"]["quality"] == "truncated").count()
}

// ---- attempts that were possibly paid for ---------------------------------------------------------------------------

#[test]
fn rows_in_flight_at_a_death_count_once_unless_they_have_a_line() {
    let disk = MemDisk::new();
    let (mut journal, _) = open(&disk, "r1", Start::Continue).expect("the disk works");
    let slots: Vec<Slot> = (0..6).map(|id| journal.mark(&job(id), AT_MOST)).collect();
    journal.flush().expect("the disk works");
    journal.append_outcome(&answered(0), 0).expect("the disk works");
    journal.append_outcome(&failed(1, ErrorClass::Server), 1).expect("the disk works");
    for slot in slots.into_iter().skip(5) {
        journal.clear(slot);
    }
    journal.flush().expect("the disk works");

    // Rows 2, 3 and 4 were in flight. Each start except the last start dies at a different point of its recovery.
    let mut disk = disk.after_death();
    let mut counts = Vec::new();
    for again in 0..20 {
        disk.die_at(again, 0);
        let opened = open(&disk, &format!("again-{again}"), Start::Continue);
        counts.extend(opened.ok().map(|(_, recovered)| recovered.dead_in_flight));
        disk = disk.after_death();
    }
    let (_, recovered) = open(&disk, "last", Start::Continue).expect("the disk works");

    assert!(counts.iter().sum::<u64>() <= 3, "{counts:?}");
    // The lines of rows 0 and 1 each report one possibly billed attempt.
    assert_eq!(recovered.totals.maybe_paid, 3 + 2);
    assert_eq!(recovered.totals.maybe_spend, AT_MOST.times(3) + MAYBE_COST.times(2));
}

#[test]
fn a_retried_row_in_flight_counts_although_an_earlier_run_has_logged_it() {
    let disk = MemDisk::new();
    run(&disk, "r1", FAILS);
    let (mut journal, _) = open(&disk, "r2", Start::Continue).expect("the disk works");
    let _slot = journal.mark(&job(FAILS[0]), AT_MOST);
    journal.flush().expect("the disk works");

    let (_, recovered) = open(&disk.after_death(), "r3", Start::Continue).expect("the disk works");

    assert_eq!(recovered.dead_in_flight, 1);
}

#[test]
fn a_run_whose_disk_has_failed_does_not_close_and_keeps_its_slots() {
    let disk = MemDisk::new();
    let (mut journal, _) = open(&disk, "r1", Start::Continue).expect("the disk works");
    let _slot = journal.mark(&job(0), AT_MOST);
    journal.flush().expect("the disk works");
    disk.fail_at(disk.changes(), io::ErrorKind::StorageFull);

    let appended = journal.append_outcome(&answered(0), 0);
    let after = journal.append_outcome(&answered(1), 1);
    let closed = journal.close(InputRead::Part, false);

    assert!(matches!(appended, Err(JournalError::Disk(failure)) if failure.is_full()));
    assert!(after.is_err() && closed.is_err());
    let (_, recovered) = open(&disk, "r2", Start::Continue).expect("the disk works");
    assert_eq!((recovered.dead_in_flight, recovered.done.len()), (1, 0));
}

#[test]
fn a_clean_end_leaves_nothing_in_flight() {
    let disk = MemDisk::new();
    run(&disk, "r1", FAILS);

    let (_, recovered) = open(&disk, "r2", Start::Continue).expect("the disk works");

    assert_eq!(recovered.dead_in_flight, 0);
    assert_eq!(disk.content("d/out.jsonl.run/inflight").map(|bytes| bytes.len()), Some(64));
}

// ---- files that are rejected
// ----------------------------------------------------------------------------------------------

#[test]
fn files_of_other_programs_are_refused_and_not_changed() {
    for content in
        ["my notes\n", "my notes", "{\"custom_id\":\"a\",\"params\":{}}\n", "{\"prompt\":\"x\"}", "\u{feff}a,b\n1,2\n"]
    {
        for path in [RESULTS, ERRORS] {
            for start in [Start::Continue, Start::Fresh, Start::Resume] {
                let disk = MemDisk::new();
                disk.put(path, content.as_bytes());

                let refused = open(&disk, "r1", start);

                assert!(matches!(refused, Err(JournalError::Foreign { .. })), "{content} {start:?}");
                assert_eq!(disk.paths(), [PathBuf::from(path)], "nothing was created");
                assert_eq!(disk.content(path).as_deref(), Some(content.as_bytes()));
            }
        }
    }
}

#[test]
fn a_foreign_line_between_results_is_refused_with_its_number_and_fresh_accepts_it() {
    let disk = MemDisk::new();
    run(&disk, "r1", NONE_FAIL);
    let mut lines = disk.content(RESULTS).expect("the run wrote it");
    let second = lines.iter().position(|&byte| byte == b'\n').expect("it has lines") + 1;
    lines.splice(second..second, *b"note\n");
    disk.put(RESULTS, &lines);

    let refused = open(&disk, "r2", Start::Continue).map(|_| ());

    assert!(matches!(refused, Err(JournalError::ForeignLine { line: 2, .. })));
    assert_eq!(disk.content(RESULTS), Some(lines));
    assert!(open(&disk, "r3", Start::Fresh).is_ok());
}

#[test]
fn results_of_another_origin_are_refused() {
    let disk = MemDisk::new();
    run(&disk, "r1", FAILS);
    let other = Manifest { origin: "simulator".to_owned(), ..Manifest::default() };

    let refused = Journal::open(JournalOptions { manifest: other, ..options(&disk, "r2") }, Box::new(|_| {}));

    let message = refused.map(|_| ()).expect_err("it is refused").to_string();
    assert!(message.contains("simulator") && message.contains("--fresh"), "{message}");
}

#[test]
fn results_of_another_provider_are_continued_and_counted_by_provider() {
    let disk = MemDisk::new();
    run(&disk, "r1", FAILS);
    let servers = [("router", "https://router.example.invalid"), ("anthropic", "https://api.example.invalid")];
    let with = |servers: &[(&str, &str)]| Manifest {
        origin: servers[0].1.to_owned(),
        providers: servers.iter().map(|(name, origin)| ((*name).to_owned(), (*origin).to_owned())).collect(),
        ..Manifest::default()
    };
    let open = |run: &str, manifest| {
        Journal::open(JournalOptions { manifest, ..options(&disk, run) }, Box::new(|_| {}))
            .map(|(_, recovered)| recovered)
            .map_err(|error| error.to_string())
    };

    let first = open("r2", with(&servers[..1])).expect("another provider is allowed");
    let chain = open("r3", with(&servers)).expect("a chain is allowed");
    let moved = open("r4", with(&[("router", "https://elsewhere.example.invalid")])).map(drop);
    let simulated = open("r5", with(&[("router", "simulator")])).map(drop);

    let answers = first.totals.ok + first.totals.truncated + first.totals.refused;
    assert_eq!(first.answers_by.by_size(), [("anthropic".to_owned(), answers)]);
    let known = chain.manifest.expect("it was written").providers;
    assert_eq!(known.into_keys().collect::<Vec<_>>(), ["anthropic", "router"]);
    assert!(moved.as_ref().is_err_and(|message| message.contains("another name than")), "{moved:?}");
    assert!(simulated.as_ref().is_err_and(|message| message.contains("simulator")), "{simulated:?}");
}

#[test]
fn a_later_format_version_is_refused() {
    let disk = MemDisk::new();
    run(&disk, "r1", FAILS);
    disk.put("d/out.jsonl.run/manifest.json", br#"{"format":2,"origin":{}}"#);
    let refused = open(&disk, "r2", Start::Continue).map(|_| ());
    assert!(matches!(refused, Err(JournalError::NewerFormat { version: 2, .. })));

    let lines = disk.content(RESULTS).expect("the run wrote it");
    let later = String::from_utf8(lines).expect("it is text").replacen("\"v\":1", "\"v\":3", 1);
    disk.put(RESULTS, later.as_bytes());
    disk.put("d/out.jsonl.run/manifest.json", br#"{"format":1}"#);
    let refused = open(&disk, "r3", Start::Continue).map(|_| ());
    assert!(matches!(refused, Err(JournalError::NewerFormat { version: 3, .. })));
}

#[test]
fn a_damaged_run_folder_loses_no_row() {
    for damage in [b"".as_slice(), b"\0\0\0\0", b"{\"format\":1,"] {
        let disk = MemDisk::new();
        run(&disk, "r1", FAILS);
        disk.put("d/out.jsonl.run/manifest.json", damage);

        let (_, recovered) = open(&disk, "r2", Start::Continue).expect("it can be resumed");

        assert_eq!(recovered.done.len() as u64, ROWS - FAILS.len() as u64);
        assert_eq!(recovered.notes.len(), 1);
    }
}

#[test]
fn a_log_of_other_results_is_refused() {
    let disk = MemDisk::new();
    run(&disk, "r1", FAILS);
    let paths = RunPaths::given(Some("d/other.jsonl".into()), ERRORS.into());

    let refused = Journal::open(JournalOptions { paths, ..options(&disk, "r2") }, Box::new(|_| {})).map(|_| ());

    assert!(matches!(refused, Err(JournalError::OtherResults { results, .. }) if results == "out.jsonl"));
}

#[test]
fn a_second_run_on_the_same_output_is_refused_until_the_first_has_ended() {
    let disk = MemDisk::new();
    let first = open(&disk, "r1", Start::Continue).expect("the disk works");

    let second = open(&disk, "r2", Start::Continue).map(|_| ());
    let after_death = open(&disk.after_death(), "r3", Start::Continue).map(|_| ());
    drop(first);
    let after_end = open(&disk, "r4", Start::Continue).map(|_| ());

    assert!(matches!(second, Err(JournalError::Locked { holder: Some(_), .. })));
    assert!(after_death.is_ok() && after_end.is_ok());
}

// ---- pipes, threads, real files -----------------------------------------------------------------------------------

#[test]
fn a_pipe_gets_only_results_and_no_empty_log_is_left() {
    for fails in [NONE_FAIL, FAILS] {
        let (disk, pipe) = (MemDisk::new(), Pipe::default());
        let paths = RunPaths::given(None, "claude-batch.r1.errors.jsonl".into());
        let options = JournalOptions { paths, stdout: Some(Box::new(pipe.clone())), ..options(&disk, "r1") };
        let (mut journal, _) = Journal::open(options, Box::new(|_| {})).expect("the disk works");
        for id in 0..ROWS {
            journal.append_outcome(&outcome(id, fails), id).expect("the pipe works");
        }

        let closed = journal.close(InputRead::Whole, false).expect("the pipe works");

        let piped = pipe.0.lock().expect("nobody panics").clone();
        assert_eq!(lines(&piped).len(), ROWS as usize - fails.len());
        assert_eq!(disk.paths().len(), usize::from(!fails.is_empty()));
        assert_eq!(closed.failed.values().sum::<u64>(), fails.len() as u64);
        if !fails.is_empty() {
            let log = read_error_log(Path::new("claude-batch.r1.errors.jsonl"), None, &disk).expect("it is a log");
            assert_eq!((log.results, log.rows[&ErrorClass::Server]), (None, fails.len() as u64));
        }
    }
}

#[test]
fn after_a_death_a_resume_to_a_pipe_sends_only_rows_again_that_it_counts_as_in_flight() {
    const SECOND: &[u64] = &[2, 7];
    for (at, written) in (0..).flat_map(|at| [(at, 0), (at, 20), (at, usize::MAX)]) {
        let (disk, pipe) = (failed_to_pipe(), Pipe::default());
        disk.die_at(disk.changes() + at, written);
        let first = resume_to_pipe(disk.clone(), &pipe, "r2", SECOND);
        let is_untouched = first.closed.is_some();

        let disk = disk.after_death();
        let last = resume_to_pipe(disk.clone(), &pipe, "r3", NONE_FAIL);

        let closed = last.closed.unwrap_or_else(|| panic!("at {at}: the next run fails"));
        let answers = lines(&pipe.0.lock().expect("nobody panics")).iter().map(label_of).collect::<Vec<_>>();
        let rows: BTreeSet<_> = answers.iter().cloned().collect();
        let again = (answers.len() - rows.len()) as u64;
        assert_eq!((rows.len() as u64, closed.failed.len()), (ROWS, 0), "at {at}: every row has an answer");
        assert!(again <= last.in_flight && last.in_flight <= 1, "at {at}: {again} again, {} counted", last.in_flight);
        assert_eq!(disk.paths(), Vec::<PathBuf>::new(), "at {at}: every file is removed at the end");
        if is_untouched {
            assert!(at > 2 * ROWS, "every change was tried");
            break;
        }
    }
}

#[test]
fn rows_that_were_answered_to_a_pipe_are_not_sent_again_to_a_results_file_or_by_a_run_with_the_same_log() {
    let (disk, pipe) = (failed_to_pipe(), Pipe::default());
    disk.die_at(disk.changes() + 24, 0);
    resume_to_pipe(disk.clone(), &pipe, "r2", NONE_FAIL);
    let answered = lines(&pipe.0.lock().expect("nobody panics")).len() as u64;
    assert!(answered > 2 && answered < ROWS);

    for (results, start) in [(Some(RESULTS), Start::Resume), (None, Start::Continue)] {
        let disk = disk.after_death();
        let paths = RunPaths::given(results.map(PathBuf::from), PIPED_ERRORS.into());
        let (journal, recovered) =
            Journal::open(JournalOptions { paths, start, ..options(&disk, "r3") }, Box::new(|_| {}))
                .expect("the disk works");

        let left = recovered.failed[&ErrorClass::Server];
        assert!((ROWS - answered..=ROWS - answered + 1).contains(&left), "{left} left, {answered} answered");
        assert!(recovered.notes.iter().any(|note| note.contains("not sent again: ")), "{:?}", recovered.notes);
        drop(journal);
        let names: Vec<_> = disk.paths().into_iter().map(|path| path.to_string_lossy().into_owned()).collect();
        assert!(
            !names.iter().any(|name| name.ends_with(".answered") || name.ends_with(".jsonl.inflight")),
            "{names:?}"
        );
        assert_eq!(ids(&disk, PIPED_ERRORS).len() as u64, left, "the log has no answered row");
    }
}

const PIPED_ERRORS: &str = "d/claude-batch.r1.errors.jsonl";

/// A standard output that keeps what was written, even if the process dies.
#[derive(Clone, Default)]
struct Pipe(Arc<Mutex<Vec<u8>>>);

impl io::Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn to_pipe(disk: &MemDisk, pipe: &Pipe, run: &str, start: Start) -> JournalOptions {
    let paths = RunPaths::given(None, PIPED_ERRORS.into());
    JournalOptions { paths, start, stdout: Some(Box::new(pipe.clone())), ..options(disk, run) }
}

/// Returns a disk with the error log of a run to a pipe in which all rows failed.
fn failed_to_pipe() -> MemDisk {
    let disk = MemDisk::new();
    let options = to_pipe(&disk, &Pipe::default(), "r1", Start::Continue);
    let (mut journal, _) = Journal::open(options, Box::new(|_| {})).expect("the disk works");
    for id in 0..ROWS {
        journal.append_outcome(&failed(id, ErrorClass::Server), id).expect("the disk works");
    }
    journal.close(InputRead::Whole, false).expect("the disk works");
    disk
}

#[derive(Default)]
struct Resumed {
    /// The rows that the run counted as in flight when the last run died.
    in_flight: u64,
    closed: Option<Closed>,
}

/// Sends the rows of the error log again, one after the other. The run stops when the disk fails.
fn resume_to_pipe(disk: MemDisk, pipe: &Pipe, run: &str, fails: &[u64]) -> Resumed {
    let options = to_pipe(&disk, pipe, run, Start::Resume);
    let has_failed = Arc::new(AtomicBool::new(false));
    let seen = has_failed.clone();
    let on_commit = Box::new(move |commit| {
        seen.fetch_or(matches!(commit, Commit::Failed(_)), Ordering::Relaxed);
    });
    let Ok((journal, recovered)) = Journal::open(options, on_commit) else { return Resumed::default() };
    let mut ledger = JournalLedger::new(journal, clock());
    let mut is_whole = true;
    let is_left = |id: &u64| matches!(state(&recovered, &job(*id)), RowState::Failed(_));
    for (seq, id) in (0..ROWS).filter(is_left).enumerate() {
        let (seq, ticket) = (seq as u64, Ticket(0));
        is_whole = ledger.mark(ticket, &job(id), AT_MOST).is_ok() && ledger.flush().is_ok();
        if !is_whole {
            break;
        }
        ledger.write_outcome(seq, ticket, &outcome(id, fails));
        is_whole = ledger.flush().is_ok() && !has_failed.load(Ordering::Relaxed);
        if !is_whole {
            break;
        }
        ledger.on_committed(seq);
    }
    let closed = ledger.close(InputRead::Part, false).ok().filter(|_| is_whole);
    Resumed { in_flight: recovered.dead_in_flight, closed }
}

#[test]
fn a_threaded_run_on_a_real_disk_ends_with_every_row_once() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let paths = RunPaths::given(Some(folder.path().join("out.jsonl")), folder.path().join("out.errors.jsonl"));
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::default());
    for (run, from, to) in [("r1", 0, 300), ("r2", 300, 600)] {
        let options = JournalOptions {
            disk: Arc::clone(&disk),
            paths: paths.clone(),
            threading: Threading::Thread,
            ..options(&MemDisk::new(), run)
        };
        let committed = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&committed);
        let on_commit = Box::new(move |commit| seen.lock().expect("nobody panics").push(commit));
        let (mut journal, recovered) = Journal::open(options, on_commit).expect("the disk works");
        assert_eq!(recovered.done.len() as u64 + recovered.failed.values().sum::<u64>(), from);

        for id in from..to {
            journal.append_outcome(&outcome(id, FAILS), id).expect("the disk works");
        }
        journal.close(InputRead::Whole, false).expect("the disk works");

        let committed = committed.lock().expect("nobody panics");
        assert!(matches!(committed.last(), Some(Commit::UpTo(seq)) if *seq == to - 1));
    }
    let content = std::fs::read(folder.path().join("out.jsonl")).expect("it is there");
    assert_eq!(lines(&content).len(), 600 - FAILS.len());
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .expect("it is there")
        .map(|entry| entry.expect("it can be read").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["out.errors.jsonl", "out.jsonl", "out.jsonl.run"]);
}

#[test]
fn a_death_between_two_requests_for_a_row_counts_the_answer_that_is_lost() {
    let disk = MemDisk::new();
    let (journal, _) = open(&disk, "r1", Start::Continue).expect("the disk works");
    let mut ledger = JournalLedger::new(journal, clock());
    ledger.mark(Ticket(3), &job(0), AT_MOST).expect("the disk works");
    ledger.flush().expect("the disk works");

    ledger.keep(Ticket(3), job(0).id);
    ledger.flush().expect("the disk works");

    let (_, recovered) = open(&disk.after_death(), "r2", Start::Continue).expect("the disk works");
    assert_eq!((recovered.dead_in_flight, recovered.totals.maybe_paid), (1, 1));
}

#[test]
fn money_that_belongs_to_no_row_counts_in_later_runs() {
    let disk = MemDisk::new();
    for name in ["r1", "r2"] {
        let (journal, _) = open(&disk, name, Start::Continue).expect("the disk works");
        let mut ledger = JournalLedger::new(journal, clock());
        ledger.carry(Money(5)).expect("the disk works");
        ledger.close(InputRead::Whole, false).expect("the disk works");
    }

    let (_, recovered) = open(&disk, "r3", Start::Continue).expect("the disk works");

    assert_eq!(recovered.totals.spend, Money(10));
}

#[test]
fn a_row_with_two_requests_has_one_line_with_the_cost_of_both_requests() {
    let disk = MemDisk::new();
    let (journal, _) = open(&disk, "r1", Start::Continue).expect("the disk works");
    let mut ledger = JournalLedger::new(journal, clock());
    ledger.mark(Ticket(3), &job(0), AT_MOST).expect("the disk works");
    ledger.keep(Ticket(3), job(0).id);
    ledger.mark(Ticket(5), &job(0), AT_MOST).expect("the disk works");
    let mut outcome = answered(0);
    let repair =
        AttemptRecord { purpose: Purpose::Repair, model: "claude-opus-4-8".into(), ..outcome.attempts[0].clone() };
    outcome.attempts.push(repair);

    ledger.write_outcome(1, Ticket(5), &outcome);
    ledger.flush().expect("the disk works");
    ledger.on_committed(1);
    ledger.close(InputRead::Whole, false).expect("the disk works");

    let lines = lines(&disk.content(RESULTS).expect("it has results"));
    let meta = &lines[0]["meta"];
    assert_eq!((lines.len(), &meta["attempts"], &meta["cost_usd"]), (1, &2.into(), &0.000003.into()));
    assert_eq!(
        (&meta["model"], &meta["lane"], &meta["provider"]),
        (&"claude-opus-4-8".into(), &"online".into(), &"anthropic".into())
    );
    let (_, recovered) = open(&disk, "r2", Start::Continue).expect("the disk works");
    assert_eq!((recovered.dead_in_flight, recovered.done.len()), (0, 1));
}

fn clock() -> RunClock {
    RunClock::start_at(jiff::Timestamp::UNIX_EPOCH)
}

// ---- the set of done rows against a simple map ---------------------------------------------------------------------

#[derive(Clone, Debug)]
struct Step {
    name: Option<u8>,
    key: u8,
    occurrence: u8,
    fails: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let name = prop_oneof![Just(None), (0..6_u8).prop_map(Some)];
    (name, 0..4_u8, 0..3_u8, any::<bool>()).prop_map(|(name, key, occurrence, fails)| Step {
        name,
        key,
        occurrence,
        fails,
    })
}

impl Step {
    fn job(&self) -> Job {
        let mut job = job(u64::from(self.key));
        job.custom_id = self.name.map_or_else(|| "in.jsonl:1".to_owned(), |name| format!("n{name}"));
        job.identity = match self.name {
            Some(_) => Identity::Named,
            None => Identity::Nth(u32::from(self.occurrence)),
        };
        job.row = known(&job);
        job
    }

    /// Returns the values that identify the row.
    fn row(&self) -> (Option<u8>, u8, u8) {
        match self.name {
            Some(name) => (Some(name), 0, 0),
            None => (None, self.key, self.occurrence),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_set_of_done_rows_gives_the_same_results_as_a_simple_map(runs in prop::collection::vec(prop::collection::vec(step(), 0..12), 1..4)) {
        let disk = MemDisk::new();
        // `answered` contains the key of the last answer of each row. If a failure came after the last answer,
        // `failures` has the key of this failure.
        let mut answered: HashMap<(Option<u8>, u8, u8), u8> = HashMap::new();
        let mut failures: HashMap<(Option<u8>, u8, u8), u8> = HashMap::new();
        for (number, steps) in runs.iter().enumerate() {
            let (mut journal, _) = open(&disk, &format!("r{number}"), Start::Continue).expect("the disk works");
            for (seq, step) in steps.iter().enumerate() {
                let ended = if step.fails { server_fault() } else { answer() };
                // A row that has an answer to this request is not sent again.
                if answered.get(&step.row()) == Some(&step.key) {
                    continue;
                }
                let outcome = Outcome { job: Box::new(step.job()), attempts: Vec::new(), ended };
                journal.append_outcome(&outcome, seq as u64).expect("the disk works");
                match step.fails {
                    true => { failures.insert(step.row(), step.key); }
                    false => {
                        failures.remove(&step.row());
                        answered.insert(step.row(), step.key);
                    }
                }
            }
            journal.close(InputRead::Whole, false).expect("the disk works");
        }

        let (journal, recovered) = open(&disk, "last", Start::Continue).expect("the disk works");
        journal.close(InputRead::Whole, false).expect("the disk works");

        prop_assert_eq!(lines(&disk.content(RESULTS).expect("it is there")).len(), answered.len(), "one line a row");
        for name in (0..7).map(|name| (name < 6).then_some(name)) {
            for key in 0..4 {
                for occurrence in 0..3 {
                    let step = Step { name, key, occurrence, fails: false };
                    let got = state(&recovered, &step.job());
                    let expected = match (answered.get(&step.row()), failures.get(&step.row()), name) {
                        (Some(done), _, _) if *done == key => "done",
                        (_, Some(failed), _) if *failed == key => "failed",
                        (Some(_), _, Some(_)) => "changed",
                        _ => "new",
                    };
                    let got = match got {
                        RowState::Submitted | RowState::Rerun(_) => unreachable!("nothing is in a batch or run again"),
                        RowState::Done => "done",
                        RowState::Failed(_) => "failed",
                        RowState::Changed { .. } => "changed",
                        RowState::New => "new",
                    };
                    prop_assert_eq!(got, expected, "{:?}", step);
                }
            }
        }
    }
}

// ---- runs ---------------------------------------------------------------------------------------------------------

/// The labels of the rows that fail.
const FAILS: &[u64] = &[1, 4, 5];
const NONE_FAIL: &[u64] = &[];

#[derive(Debug, Default)]
struct Reported {
    /// The labels of the rows whose lines were reported as durable.
    committed: BTreeSet<String>,
    /// The result of closing the journal; `None` if the journal failed.
    closed: Option<Closed>,
}

/// Runs all rows that are not done. The run stops when the disk fails.
fn run(disk: &MemDisk, run: &str, fails: &[u64]) -> Reported {
    run_rows(disk, run, job, |id| outcome(id, fails))
}

fn run_rows(disk: &MemDisk, run: &str, job: impl Fn(u64) -> Job, outcome: impl Fn(u64) -> Outcome) -> Reported {
    run_with(options(disk, run), job, outcome, |recovered, job| state(recovered, job) != RowState::Done)
}

fn run_with(
    options: JournalOptions,
    job: impl Fn(u64) -> Job,
    outcome: impl Fn(u64) -> Outcome,
    is_sent: impl Fn(&Recovered, &Job) -> bool,
) -> Reported {
    let commits = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&commits);
    let on_commit = Box::new(move |commit| seen.lock().expect("nobody panics").push(commit));
    let mut reported = Reported::default();
    let Ok((mut journal, recovered)) = Journal::open(options, on_commit) else { return reported };
    let mut is_whole = true;
    for id in (0..ROWS).filter(|&id| is_sent(&recovered, &job(id))) {
        let slot = journal.mark(&job(id), AT_MOST);
        let is_marked = journal.flush().is_ok();
        let is_appended = is_marked && journal.append_outcome(&outcome(id), id).is_ok();
        journal.clear(slot);
        is_whole = is_appended && journal.flush().is_ok();
        if !is_whole {
            break;
        }
    }
    for commit in commits.lock().expect("nobody panics").iter() {
        match commit {
            Commit::UpTo(seq) => reported.committed.insert(label(*seq)),
            Commit::Failed(_) => false,
        };
    }
    reported.closed = journal.close(InputRead::Whole, false).ok().filter(|_| is_whole);
    reported
}

/// Asserts that every reported row has a line in one of the files.
fn check_kept(disk: &MemDisk, committed: &BTreeSet<String>, at: u64) {
    let kept: BTreeSet<String> = [RESULTS, ERRORS].into_iter().flat_map(|path| complete_ids(disk, path)).collect();
    let lost: Vec<_> = committed.difference(&kept).collect();
    assert!(lost.is_empty(), "at {at}: {lost:?} were reported and are gone");
}

/// Runs the same command again on a disk that works, and asserts that each row then has one line.
fn finish(disk: &MemDisk, at: u64) {
    let reported = run(disk, "again", FAILS);

    assert!(reported.closed.is_some(), "at {at}: the next run fails");
    let (results, errors) = (ids(disk, RESULTS), ids(disk, ERRORS));
    assert_eq!(results.len() + errors.len(), ROWS as usize, "at {at}");
    assert!(results.is_disjoint(&errors), "at {at}");
    assert!(FAILS.iter().all(|&id| errors.contains(&label(id)) || results.contains(&label(id))), "at {at}");
    let left_over = disk.paths().into_iter().find(|path| path.to_string_lossy().contains(".tmp"));
    assert_eq!(left_over, None, "at {at}");
}

fn open(disk: &MemDisk, run: &str, start: Start) -> Result<(Journal, Recovered), JournalError> {
    open_with(disk, run, start, Fsync::Group)
}

fn open_with(disk: &MemDisk, run: &str, start: Start, fsync: Fsync) -> Result<(Journal, Recovered), JournalError> {
    Journal::open(JournalOptions { start, fsync, ..options(disk, run) }, Box::new(|_| {}))
}

fn options(disk: &MemDisk, run: &str) -> JournalOptions {
    JournalOptions {
        disk: Arc::new(disk.clone()),
        paths: RunPaths::given(Some(RESULTS.into()), ERRORS.into()),
        inputs: vec!["d/in.jsonl".into()],
        run: run.into(),
        clock: clock(),
        price_date: None,
        manifest: Manifest { origin: "https://api.example.invalid".to_owned(), ..Manifest::default() },
        start: Start::Continue,
        rerun: Vec::new(),
        fsync: Fsync::Group,
        threading: Threading::Inline,
        stdout: None,
    }
}

/// Returns the labels of all lines of a file. Asserts that each line is JSON and that each label occurs once.
fn ids(disk: &MemDisk, path: impl AsRef<Path>) -> BTreeSet<String> {
    let lines = lines(&disk.content(path).unwrap_or_default());
    let ids: BTreeSet<String> = lines.iter().map(label_of).collect();
    assert_eq!(ids.len(), lines.len(), "each row once");
    ids
}

/// Returns the labels of the complete lines. Ignores incomplete lines.
fn complete_ids(disk: &MemDisk, path: &str) -> Vec<String> {
    let content = disk.content(path).unwrap_or_default();
    let whole = content.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    whole.map(|line| label_of(&line)).collect()
}

fn lines(content: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(content).expect("files are text");
    assert!(text.is_empty() || text.ends_with('\n'), "no half-written line is left");
    text.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect()
}

fn label_of(line: &Value) -> String {
    line["custom_id"].as_str().expect("every row has a label").to_owned()
}

// ---- rows ---------------------------------------------------------------------------------------------------------

/// Returns the job of the row with this number. Rows with an even number have an id, and rows with an odd number have
/// none.
fn job(id: u64) -> Job {
    let raw = |json: &str| RawValue::from_string(json.to_owned()).expect("the test writes JSON");
    let identity = if id.is_multiple_of(2) { Identity::Named } else { Identity::Nth(0) };
    Job {
        id: JobId(id),
        custom_id: label(id),
        key: key(id),
        row: RowId::of(&label(id), key(id), &identity),
        identity,
        request: Request::of(&Params(vec![("model".into(), raw("\"m\"")), ("max_tokens".into(), raw("5"))])),
        extra: Params::default(),
        origin: Origin { source: "in.jsonl".into(), line: id + 1 },
        index: id,
    }
}

/// Returns the identity of a job, by which a later run recognizes it.
fn known(job: &Job) -> RowId {
    RowId::of(&job.custom_id, job.key, &job.identity)
}

fn state(recovered: &Recovered, job: &Job) -> RowState {
    recovered.done.state(known(job), &job.identity)
}

fn label(id: u64) -> String {
    if id.is_multiple_of(2) { format!("row-{id}") } else { format!("in.jsonl:{}", id + 1) }
}

fn key(id: u64) -> JobKey {
    let digest = u128::from(id + 1).wrapping_mul(0x0123_4567_89ab_cdef_0f1e_2d3c_4b5a_6979);
    JobKey(digest.to_be_bytes())
}

fn outcome(id: u64, fails: &[u64]) -> Outcome {
    if fails.contains(&id) { failed(id, ErrorClass::Server) } else { answered(id) }
}

fn answered(id: u64) -> Outcome {
    ended(id, answer())
}

fn failed(id: u64, class: ErrorClass) -> Outcome {
    let Ended::Failed { failure, is_retryable, .. } = server_fault() else { unreachable!("it is a failure") };
    ended(id, Ended::Failed { class, failure, is_retryable })
}

fn ended(id: u64, ended: Ended) -> Outcome {
    let attempt = AttemptRecord {
        started_at: Instant::from_millis(id * 10),
        ended_at: Instant::from_millis(id * 10 + 5),
        maybe_paid: true,
        maybe_cost: MAYBE_COST,
        usage: Usage { input_tokens: 3, output_tokens: 7, ..Usage::default() },
        cost: Some(Money(1_500_000)),
        request_id: Some(format!("req_{id}")),
        max_tokens: 5,
        template: 7,
        estimated_input: 12,
        ..AttemptRecord::new("anthropic", "claude-haiku-4-5")
    };
    Outcome { job: Box::new(job(id)), attempts: vec![attempt], ended }
}

fn answer() -> Ended {
    let json = r#"{"id":"msg_1","content":[{"type":"text","text":"line\u2028 “é” \\ \" \u0000 ünï 😀"}]}"#;
    Ended::Succeeded(Message {
        json: json.as_bytes().into(),
        usage: Usage::default(),
        quality: Quality::Ok,
        content: 0..0,
    })
}

fn server_fault() -> Ended {
    let failure = Failure { status: Some(500), message: "internal error".to_owned(), ..Failure::default() };
    Ended::Failed { class: ErrorClass::Server, failure, is_retryable: true }
}

fn broken(line: u64) -> BrokenRow {
    BrokenRow {
        origin: Origin { source: "in.jsonl".into(), line },
        index: line - 1,
        custom_id: None,
        column: Some(1),
        byte_offset: line * 10,
        raw: b"{broken".to_vec(),
        message: "no JSON".to_owned(),
        input: None,
    }
}
