//! Tests what the journal does with rows that need another request because an answer was not accepted. The answer and
//! its cost are in the error log. A later run continues from the answer, and each cost counts only once.

mod support;

use claude_batch::clock::{Instant, RunClock};
use claude_batch::domain::{
    AttemptRecord, Ended, ErrorClass, Failure, Job, JobKey, Message, Money, Outcome, Purpose, Quality, RowId, Usage,
};
use claude_batch::journal::{InputRead, Journal, JournalOptions, MemDisk, Recovered, Start};
use claude_batch::runner::{JournalLedger, Ledger};
use claude_batch::scheduler::Ticket;
use serde_json::Value;
use support::{ERRORS, RESULTS, journal_options};

/// The cost of each answer.
const COST: u128 = 1_000_000;
const AT_MOST: Money = Money(50_000_000);

#[test]
fn a_later_line_contains_the_cost_of_earlier_steps() {
    let disk = MemDisk::new();
    let mut ledger = open(&disk, "r1").0;
    ledger.write_step(1, None, &step(job(1), 1), Purpose::Repair);
    ledger.write_step(2, None, &step(job(1), 2), Purpose::Repair);
    ledger.write_unsent(3, &answered(job(1), 3));

    let died = spent(&disk);
    close(ledger);

    assert_eq!((died, spent(&disk)), (3, 3));
    assert_eq!((lines(&disk, ERRORS).len(), lines(&disk, RESULTS).len()), (0, 1));
}

#[test]
fn the_last_step_stays_in_the_log_with_the_cost_of_all_steps() {
    let disk = MemDisk::new();
    let mut ledger = open(&disk, "r1").0;
    ledger.write_step(1, None, &step(job(1), 1), Purpose::Repair);
    ledger.write_step(2, None, &step(job(1), 2), Purpose::Repair);

    close(ledger);

    let (ledger, recovered) = open(&disk, "r2");
    assert_eq!(lines(&disk, ERRORS).len(), 1);
    let unfinished = &recovered.unfinished[&job(1).row];
    assert_eq!((recovered.totals.spend, unfinished.attempts.len()), (Money(2 * COST), 2));
    assert_eq!(&unfinished.message.json[..], answer(2).as_bytes());
    close(ledger);
    assert_eq!(spent(&disk), 2);
}

#[test]
fn after_compaction_at_the_start_of_resume_no_cost_is_lost() {
    let disk = MemDisk::new();
    let mut ledger = open(&disk, "r1").0;
    ledger.write_step(1, None, &step(job(1), 1), Purpose::Repair);
    ledger.write_unsent(2, &failed(job(1), 2));
    let disk = disk.after_death();
    let (mut ledger, recovered) = open_as(&disk, "r2", Start::Resume);
    assert_eq!((recovered.totals.spend, lines(&disk, ERRORS).len()), (Money(2 * COST), 1));

    ledger.write_unsent(1, &answered(job(1), 1));
    close(ledger);

    assert_eq!((spent(&disk), lines(&disk, ERRORS).len()), (3, 0));
}

#[test]
fn a_step_whose_answer_is_damaged_is_a_failure_and_its_cost_stays_even_after_another_death() {
    for damage in ["null", "\"text\"", "[]"] {
        let disk = MemDisk::new();
        open(&disk, "r1").0.write_step(1, None, &step(job(1), 1), Purpose::Repair);
        let log = String::from_utf8(disk.content(ERRORS).expect("there is a log")).expect("it is text");
        disk.put(ERRORS, log.replacen(&answer(1), damage, 1).as_bytes());
        let disk = disk.after_death();

        let (mut ledger, recovered) = open_as(&disk, "r2", Start::Resume);
        ledger.write_unsent(1, &answered(job(1), 1));
        let died = spent(&disk);
        close(ledger);

        assert!(recovered.unfinished.is_empty(), "{damage}");
        assert_eq!(recovered.failed, [(ErrorClass::InvalidOutput, 1)].into(), "{damage}");
        assert_eq!((recovered.totals.spend, died, spent(&disk)), (Money(COST), 2, 2), "{damage}");
    }
}

#[test]
fn an_answer_to_another_request_does_not_contain_the_cost_of_a_step() {
    let disk = MemDisk::new();
    let mut ledger = open(&disk, "r1").0;
    ledger.write_step(1, None, &step(job(1), 2), Purpose::Repair);
    ledger.write_unsent(2, &answered(changed(job(1)), 1));

    let died = spent(&disk);
    close(ledger);

    assert_eq!((died, spent(&disk), lines(&disk, ERRORS).len()), (3, 3, 0));
}

#[test]
fn a_step_after_an_answer_to_the_same_request_is_continued_and_the_answer_stays_until_then() {
    let disk = MemDisk::new();
    let mut ledger = open(&disk, "r1").0;
    ledger.write_unsent(1, &answered(job(1), 1));
    close(ledger);
    let mut ledger = open(&disk, "r2").0;
    ledger.write_step(1, None, &later(step(job(1), 1)), Purpose::MoreRoom);
    close(ledger);

    let (mut ledger, recovered) = open(&disk, "r3");
    assert_eq!((recovered.totals.spend, recovered.unfinished.len()), (Money(2 * COST), 1));
    assert_eq!((lines(&disk, ERRORS).len(), lines(&disk, RESULTS).len()), (1, 1));
    ledger.write_unsent(1, &later(later(answered(job(1), 2))));
    let died = spent(&disk);
    close(ledger);

    assert_eq!((died, spent(&disk)), (3, 3));
    assert_eq!((lines(&disk, ERRORS).len(), lines(&disk, RESULTS).len()), (0, 1));
}

#[test]
fn when_a_step_is_on_disk_only_its_next_request_is_in_flight() {
    let disk = MemDisk::new();
    let (mut ledger, _) = open(&disk, "r1");
    let mark = |ledger: &mut JournalLedger, ticket| {
        ledger.mark(Ticket(ticket), &job(1), AT_MOST).and_then(|()| ledger.flush()).expect("the disk works");
    };
    mark(&mut ledger, 0);
    ledger.write_step(1, Some(Ticket(0)), &step(job(1), 1), Purpose::Repair);
    ledger.flush().expect("the disk works");
    let before_the_sync = in_flight(&disk);
    ledger.on_committed(1);
    ledger.flush().expect("the disk works");
    let after_the_sync = in_flight(&disk);
    mark(&mut ledger, 1);
    let with_the_next_request = in_flight(&disk);
    ledger.write_outcome(2, Ticket(1), &answered(job(1), 2));
    ledger.on_committed(2);
    ledger.flush().expect("the disk works");

    // After a crash, a line that was not synced can be missing.
    assert_eq!([before_the_sync, after_the_sync, with_the_next_request, in_flight(&disk)], [1, 0, 1, 0]);
}

#[test]
fn a_run_that_closes_early_keeps_no_slot_for_a_written_step() {
    let disk = MemDisk::new();
    let (mut ledger, _) = open(&disk, "r1");
    for row in [1, 2] {
        ledger.mark(Ticket(row as u32), &job(row), AT_MOST).expect("the disk works");
    }
    ledger.flush().expect("the disk works");
    ledger.write_step(1, Some(Ticket(1)), &step(job(1), 1), Purpose::Repair);

    ledger.close(InputRead::Part, true).expect("the disk works");

    assert_eq!(in_flight(&disk), 1);
}

#[test]
fn a_row_with_two_slots_counts_once_with_the_higher_amount() {
    for amounts in [[1, 2], [2, 1]] {
        let disk = MemDisk::new();
        let (mut ledger, _) = open(&disk, "r1");
        for (ticket, amount) in (0..).zip(amounts) {
            ledger.mark(Ticket(ticket), &job(1), Money(amount << 24)).expect("the disk works");
        }
        ledger.flush().expect("the disk works");

        let (_, recovered) = open(&disk.after_death(), "r2");

        assert_eq!((recovered.dead_in_flight, recovered.dead_at_most), (1, Money(2 << 24)));
    }
}

// ---- runs ---------------------------------------------------------------------------------------------------------

fn open(disk: &MemDisk, run: &str) -> (JournalLedger, Recovered) {
    open_as(disk, run, Start::Continue)
}

fn open_as(disk: &MemDisk, run: &str, start: Start) -> (JournalLedger, Recovered) {
    let options = JournalOptions { start, ..journal_options(disk, run) };
    let (journal, recovered) = Journal::open(options, Box::new(|_| {})).expect("the files are good");
    (JournalLedger::new(journal, clock()), recovered)
}

fn close(ledger: JournalLedger) {
    ledger.close(InputRead::Part, false).expect("the disk works");
}

/// Returns the number of answers that the next run would find. Does not change the disk.
fn spent(disk: &MemDisk) -> u128 {
    open(&disk.after_death(), "looks").1.totals.spend.0 / COST
}

fn in_flight(disk: &MemDisk) -> u64 {
    open(&disk.after_death(), "looks").1.dead_in_flight
}

fn lines(disk: &MemDisk, path: &str) -> Vec<Value> {
    let content = disk.content(path).unwrap_or_default();
    let lines = content.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).expect("each line is JSON")).collect()
}

fn clock() -> RunClock {
    RunClock::start_at(jiff::Timestamp::UNIX_EPOCH)
}

// ---- rows ---------------------------------------------------------------------------------------------------------

fn job(number: u64) -> Job {
    *support::planned(number, "claude-haiku-4-5", 20, 100).job
}

/// Returns the row with a changed request.
fn changed(job: Job) -> Job {
    let key = JobKey([9; 16]);
    Job { key, row: RowId::named(&job.custom_id, Some(key)), ..job }
}

fn answer(number: u64) -> String {
    format!(r#"{{"id":"msg_{number}","content":[]}}"#)
}

/// Returns a row that is not finished and has `answers` answers.
fn step(job: Job, answers: u64) -> Outcome {
    failed(job, answers)
}

fn failed(job: Job, answers: u64) -> Outcome {
    let failure = Failure { answer: Some(answer(answers).into()), ..Failure::default() };
    let ended = Ended::Failed { class: ErrorClass::InvalidOutput, failure, is_retryable: true };
    Outcome { job: Box::new(job), attempts: attempts(answers), ended }
}

fn answered(job: Job, answers: u64) -> Outcome {
    let json = answer(answers).into();
    let message = Message { json, usage: Usage::default(), quality: Quality::Ok, content: 0..0 };
    Outcome { job: Box::new(job), attempts: attempts(answers), ended: Ended::Succeeded(message) }
}

/// Adds one minute to the end time of each attempt of an outcome, and returns the outcome.
fn later(mut outcome: Outcome) -> Outcome {
    for attempt in &mut outcome.attempts {
        attempt.ended_at = attempt.ended_at + std::time::Duration::from_secs(60);
    }
    outcome
}

fn attempts(answers: u64) -> Vec<AttemptRecord> {
    let attempt = |number: u64| AttemptRecord {
        started_at: Instant::from_millis(number * 10),
        ended_at: Instant::from_millis(number * 10 + 5),
        usage: Usage { output_tokens: 3, ..Usage::default() },
        cost: Some(Money(COST)),
        purpose: if number == 0 { Purpose::First } else { Purpose::Repair },
        max_tokens: 100,
        quality: Some(Quality::Ok),
        estimated_input: 20,
        ..AttemptRecord::new("anthropic", "claude-haiku-4-5")
    };
    (0..answers).map(attempt).collect()
}
