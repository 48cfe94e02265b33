//! Tests of the summary for every way in which a run can end. The snapshots in `snapshots/` contain each summary in 60,
//! 80 and 120 columns.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::answers::tests::answers_of_all_kinds;
use super::super::file_rows::pending;
use super::super::stats::tests::{at, failed, failed_with, in_batch, retried, started, succeeded};
use super::super::summary_context::EarlierRuns;
use super::super::text::width;
use super::super::use_of_limits::tests::limit_use;
use super::*;
use crate::domain::{
    BatchesEnd, Dimension, ErrorClass, EventBody, FailedRow, Failure, HaltReason, Interval, LimitKind, LimitUse, Money,
    Quality, RateLimits, Reason, RunForecast, TakenFrom, Usage, WriteCause, WriteFault, WriteTarget,
};

const RESULTS: &str = "prompts.results.jsonl";

#[test]
fn every_kind_of_end_reads_well_at_60_80_and_120_columns() {
    for (name, stats, context) in kinds_of_ends() {
        let at = |columns: usize| format!("{}\n{}", "-".repeat(columns), summary(&stats, &context, columns));

        insta::assert_snapshot!(name, [60, 80, 120].map(at).concat());
    }
}

#[test]
fn no_line_is_wider_than_the_terminal_except_paths_and_commands() {
    for (name, stats, context) in kinds_of_ends() {
        for columns in 40..=250 {
            let shown = summary(&stats, &context, columns);

            let is_copied = |line: &str| line.contains("claude-batch ");
            let too_wide = shown.lines().find(|line| width(line) > columns && !is_copied(line));
            assert_eq!(too_wide, None, "{name} at {columns} columns:\n{shown}");
        }
    }
}

#[test]
fn an_ordinary_summary_has_at_most_16_lines_at_80_columns() {
    for (name, stats, context) in kinds_of_ends().into_iter().take(4) {
        let lines = summary(&stats, &context, 80).lines().count();

        assert!(lines <= 16, "{name} has {lines} lines");
    }
}

#[test]
fn the_command_that_is_worth_typing_next_is_last() {
    let with_command = |(name, stats, context): (&'static str, Stats, SummaryContext)| {
        let shown = summary(&stats, &context, 80);
        let last = shown.lines().last().unwrap_or_default().to_owned();
        (shown.matches("claude-batch ").count(), name, last)
    };

    for (commands, name, last) in kinds_of_ends().into_iter().map(with_command) {
        assert!(commands == 0 || (commands == 1 && last.contains("claude-batch ")), "{name}: {commands}, {last}");
    }
}

#[test]
fn without_block_characters_there_is_no_chart() {
    let (_, stats, context) = kinds_of_ends().swap_remove(0);

    let with = summary(&stats, &context, 80);
    let without = summary(&stats, &SummaryContext { has_chart: false, ..context }, 80);

    assert!(with.contains('█') && !without.contains('█'), "{with}\n{without}");
}

#[test]
fn the_whole_file_has_a_sum_by_provider_only_if_there_are_several() {
    let shown = |counts: &[(&str, u64)]| {
        let answers_by = counts.iter().map(|(name, rows)| ((*name).to_owned(), *rows)).collect();
        let mut stats = Stats::default();
        stats.fold(&at(1, succeeded(Quality::Ok)));
        by_all_runs(&stats, &SummaryContext { answers_by, ..context() })
    };

    assert_eq!(shown(&[]), None);
    assert_eq!(shown(&[("anthropic", 7)]), None);
    assert_eq!(shown(&[("a", 7), ("b", 9)]).as_deref(), Some("9 by b, 7 by a"));
}

#[test]
fn a_run_of_models_without_a_price_has_an_unknown_cost() {
    let mut stats = Stats::default();
    stats.fold(&at(0, started(Some(1), 0)));
    stats.fold(&at(1, super::super::stats::tests::without_price()));
    let context = SummaryContext { unpriced_models: vec!["claude-next".to_owned()], ..context() };

    let shown = summary(&stats, &context, 80);

    assert!(shown.contains("cost     unknown (no price for claude-next)\n") && !shown.contains('$'), "{shown}");
}

#[test]
fn possibly_billed_answers_of_killed_runs_are_added_up() {
    let context = SummaryContext { maybe_paid_before: 4, maybe_paid_earlier: 7, ..context() };

    let said = billed_twice(&context);

    let words =
        "possibly billed twice: 4 answers, 4 of them because an earlier run was cut short; 11 in all runs together";
    assert_eq!(said.as_deref(), Some(words));
    assert_eq!(billed_twice_words(1), "possibly billed twice: 1 answer");
}

#[test]
fn counters_equal_the_lines_on_disk() {
    let (stats, context) = (mixed(), full_context());

    let shown = summary(&stats, &context, 120);

    let (results, errors, pending) = (stats.succeeded_total(), stats.failed_total(), pending(&stats));
    let all = results + errors + stats.already_done() + pending;
    assert_eq!(Some(all), stats.total);
    let counts = format!("(this run: {results}), {} failed, {pending} pending\n", errors + context.failed_before);
    assert!(shown.contains(&counts) && shown.contains(&format!("{results} answered, {errors} failed")), "{shown}");
}

#[test]
fn a_single_answer_has_one_latency() {
    let mut stats = Stats::default();
    stats.fold(&at(1, succeeded_after(Quality::Ok, 1_234)));

    assert_eq!(latencies(&stats).as_deref(), Some("1.2 s"));
    stats.fold(&at(2, succeeded_after(Quality::Ok, 4_000)));
    assert_eq!(latencies(&stats).as_deref(), Some("half within 1.2 s, 95% within 4.0 s, slowest 4.0 s"));
}

#[test]
fn rows_of_a_pipe_that_are_in_open_batches_are_not_pending() {
    let mut stats = Stats::default();
    stats.fold(&at(0, started(None, 0)));
    stats.fold(&at(2, left(3, 40)));

    let shown = summary(&stats, &context(), 80);

    assert!(
        shown.starts_with("ended early after 1 min 32 s: 0 answered, 40 in 2 open batches, 3 pending\n"),
        "{shown}"
    );
}

#[test]
fn a_path_cannot_control_the_terminal() {
    let context = SummaryContext { results: Some("a\x1b[2J\nb".to_owned()), ..context() };

    let shown = summary(&Stats::default(), &context, 80);

    assert!(shown.contains(r"results  a\u{1b}[2J\nb"), "{shown}");
}

/// Returns the ways in which a run can end, each with its name, its counters and its context. The first four ways are
/// the ends of ordinary runs.
pub(in super::super) fn kinds_of_ends() -> Vec<(&'static str, Stats, SummaryContext)> {
    let command = |text: &str| Some(text.into());
    let errors = Some("prompts.errors.jsonl".to_owned());
    let answers_command: Option<super::super::PrintedCommand> = command("claude-batch results prompts.results.jsonl");
    let clean = SummaryContext { answers_command: answers_command.clone(), ..context() };
    let stopped = SummaryContext {
        rerun_command: command("claude-batch run prompts.jsonl --tier 2"),
        answers_command: answers_command.clone(),
        ..context()
    };
    let truncated = SummaryContext {
        longer_command: command(
            "claude-batch run prompts.jsonl --rerun truncated --max-tokens 32000 --tier 2 --simulate",
        ),
        is_simulated: true,
        ..clean.clone()
    };
    let failed_some = SummaryContext {
        errors: errors.clone(),
        failed_in_log: BTreeMap::from([(ErrorClass::Server, 3), (ErrorClass::InvalidRequest, 84)]),
        resume_command: command("claude-batch resume prompts.errors.jsonl --only server"),
        ..clean.clone()
    };
    let of_all_kinds = || {
        let mut stats = answers_of_all_kinds();
        stats.total = Some(950);
        stats.fold(&at(93, ended(0, None)));
        stats
    };
    let failed_in_log = of_all_kinds().failed.iter().map(|(class, failed)| (*class, failed.rows)).collect();
    let not_as_wanted = SummaryContext {
        errors: errors.clone(),
        failed_in_log,
        resume_command: command("claude-batch resume prompts.errors.jsonl --only server"),
        ..clean.clone()
    };
    let pipe = SummaryContext {
        resume_command: command("claude-batch resume claude-batch.r1.errors.jsonl"),
        errors: Some("claude-batch.r1.errors.jsonl".to_owned()),
        price_date: context().price_date,
        ..SummaryContext::default()
    };
    let answers_by = vec![("openrouter".to_owned(), 1_204), ("foun\u{1b}dry".to_owned(), 2)];
    let all_failed =
        SummaryContext { errors, failed_in_log: BTreeMap::from([(ErrorClass::InvalidRequest, 10)]), ..stopped.clone() };
    let full_disk =
        WriteFault { target: WriteTarget::File, cause: WriteCause::Full, message: "no space left".to_owned() };
    vec![
        ("clean", ordinary(Quality::Ok, None), clean.clone()),
        ("truncated", ordinary(Quality::Truncated, None), truncated),
        ("failed", with_failures(), failed_some),
        ("short", short(), SummaryContext { is_simulated: true, ..clean.clone() }),
        ("interrupted_after_earlier_runs", mixed(), full_context()),
        ("answers_not_as_wanted", of_all_kinds(), not_as_wanted),
        ("key_refused", halted(100, key_refused()), stopped.clone()),
        ("budget_reached", halted(100, HaltReason::Budget("--max-cost $1.00".to_owned())), stopped.clone()),
        ("endpoint_down", halted(100, overloaded()), stopped.clone()),
        ("full_disk", halted(100, HaltReason::Disk(full_disk)), stopped.clone()),
        ("every_row_fails", every_row_fails(), all_failed),
        ("pipe_stopped", pipe_stopped(), pipe),
        ("batches_left", batches_left(), clean.clone()),
        ("batches_done", batches_done(), clean.clone()),
        ("several_providers", several_providers(), SummaryContext { answers_by, ..stopped }),
        ("several_models", several_models(), clean.clone()),
        ("nothing_but_copies", copies(), clean),
    ]
}

/// Returns a run of 318 rows in 14 seconds. A sixth of the answers have this quality.
fn ordinary(quality: Quality, halt: Option<HaltReason>) -> Stats {
    let mut stats = Stats::default();
    stats.fold(&at(0, started(Some(318), 0)));
    let cost = Some(Interval { low: 0.1, likely: 0.5, high: 4.0 }.map(Money::from_dollars));
    let time = Some(Interval { low: 1, likely: 20, high: 240 }.map(Duration::from_secs));
    stats.fold(&at(
        0,
        EventBody::Forecast(RunForecast { rows: 318, cost, at_most: None, time, leaves_out_batches: false }),
    ));
    let rows_of_seconds = [0, 4, 30, 40, 42, 41, 40, 44, 40, 20, 9, 5, 2, 1];
    let rows = (0..).zip(rows_of_seconds).flat_map(|(second, rows)| (0..rows).map(move |row| (second, row)));
    for (second, row) in rows {
        let quality = if row % 6 == 1 { quality } else { Quality::Ok };
        stats.fold(&at(second, succeeded_after(quality, 800 + 170 * row as u64)));
    }
    let uses = vec![limit_use("haiku-4.5", [284, 12_000, 20_300], RateLimits::new(1_000, 450_000, 90_000), 14)];
    let reasons = vec![(Reason::Draining, 0.74), (Reason::Window, 0.26)];
    stats.fold(&at(14, end_of(14, reasons, uses, halt)));
    stats
}

fn with_failures() -> Stats {
    let mut stats = Stats::default();
    stats.fold(&at(0, started(Some(203), 0)));
    (0..116).for_each(|row| stats.fold(&at(row / 2, succeeded_after(Quality::Ok, 2_000))));
    let message = "max_tokens: 100000 > 64000, which is the maximum allowed number of output tokens";
    for row in 0..84 {
        let row = Box::new(FailedRow::new(&format!("t-{row:04}\x1b[2J"), Some(400), message, false));
        let (class, usage) = (ErrorClass::InvalidRequest, Default::default());
        stats.fold(&at(60, EventBody::Failed { class, row, usage, cost: Some(Money::ZERO), without_cache: None }));
    }
    (0..3).for_each(|_| stats.fold(&at(61, failed(ErrorClass::Server))));
    stats.fold(&at(92, ended(0, None)));
    stats
}

fn short() -> Stats {
    let mut stats = Stats::default();
    stats.fold(&at(0, started(Some(3), 0)));
    (0..3).for_each(|_| stats.fold(&at(0, succeeded_after(Quality::Ok, 210))));
    let EventBody::Ended { pending, reason, reasons, uses, max_in_flight, batches, .. } = ended(0, None) else {
        unreachable!()
    };
    let elapsed = Duration::from_millis(240);
    stats.fold(&at(0, EventBody::Ended { pending, reason, reasons, uses, elapsed, max_in_flight, batches }));
    stats
}

fn halted(rows: u64, halt: HaltReason) -> Stats {
    let mut stats = Stats::default();
    stats.fold(&at(0, started(Some(rows), 0)));
    stats.fold(&at(1, ended(16, Some(halt))));
    stats
}

fn key_refused() -> HaltReason {
    HaltReason::Key(Failure { message: "invalid x-api-key".to_owned(), ..Failure::default() })
}

fn overloaded() -> HaltReason {
    HaltReason::Endpoint(Failure { status: Some(529), message: "Overloaded".to_owned(), ..Failure::default() })
}

fn every_row_fails() -> Stats {
    let class = ErrorClass::InvalidRequest;
    let mut stats = Stats::default();
    stats.fold(&at(0, started(Some(100), 0)));
    (0..10).for_each(|_| stats.fold(&at(1, failed(class))));
    let halt = HaltReason::AllFail { rows: 10, finished: 10, class, failure: Failure::default() };
    stats.fold(&at(2, end_of(2, vec![(Reason::Window, 1.0)], Vec::new(), Some(halt))));
    stats
}

fn pipe_stopped() -> Stats {
    let mut stats = Stats::default();
    stats.fold(&at(0, started(None, 0)));
    (0..20).for_each(|row| stats.fold(&at(row, succeeded_after(Quality::Ok, 900))));
    stats.fold(&at(21, ended(16, Some(HaltReason::Signal(2)))));
    stats
}

fn batches_left() -> Stats {
    let mut stats = Stats::default();
    stats.fold(&at(0, started(Some(250), 0)));
    stats.fold(&at(1, succeeded_after(Quality::Ok, 900)));
    stats.fold(&at(2, left(0, 249)));
    stats
}

fn batches_done() -> Stats {
    let mut stats = Stats::default();
    stats.fold(&at(0, started(Some(250), 0)));
    stats.fold(&at(1, succeeded_after(Quality::Ok, 900)));
    (0..249).for_each(|_| stats.fold(&at(3_600, in_batch())));
    stats.fold(&at(3_601, end_of(3_601, vec![(Reason::Batches, 0.99)], Vec::new(), None)));
    stats
}

fn several_providers() -> Stats {
    let mut stats = super::super::provider_states::tests::chain();
    stats.fold(&at(130, ended(0, None)));
    stats
}

fn several_models() -> Stats {
    let mut stats = Stats::default();
    stats.fold(&at(0, started(Some(600), 0)));
    (0..600).for_each(|row| stats.fold(&at(row / 2, succeeded_after(Quality::Ok, 2_000 + 11 * row as u64))));
    let limits = RateLimits::new(1_000, 450_000, 90_000);
    let uses = [("opus-5", 460_000), ("haiku-4.5", 3_000), ("sonnet-5", 9_000)];
    let uses = uses.map(|(name, output)| limit_use(name, [200, 20_000, output], limits, 310)).into();
    let reasons = vec![(Reason::Limit(Dimension::OutputTokens), 0.97), (Reason::Draining, 0.03)];
    stats.fold(&at(310, end_of(310, reasons, uses, None)));
    stats
}

fn copies() -> Stats {
    let mut stats = Stats::default();
    stats.fold(&at(0, started(Some(300), 0)));
    (0..40).for_each(|_| stats.fold(&at(1, succeeded_after(Quality::Ok, 900))));
    let (from, quality, saved) = (TakenFrom::EqualRow, Quality::Ok, Money::from_dollars(0.01));
    (0..260).for_each(|_| stats.fold(&at(2, EventBody::Taken { row: "r1".into(), from, quality, saved })));
    stats.fold(&at(3, end_of(3, vec![(Reason::Window, 0.6), (Reason::Draining, 0.4)], Vec::new(), None)));
    stats
}

fn mixed() -> Stats {
    let mut stats = Stats::default();
    stats.fold(&at(0, started(Some(200), 50)));
    let cost = Some(Interval { low: 1.2, likely: 1.4, high: 1.8 }.map(Money::from_dollars));
    let time = Some(Interval { low: 100, likely: 140, high: 200 }.map(Duration::from_secs));
    stats.fold(&at(
        0,
        EventBody::Forecast(RunForecast { rows: 150, cost, at_most: None, time, leaves_out_batches: false }),
    ));
    (1..=90).for_each(|second| stats.fold(&at(second, succeeded_after(Quality::Ok, 1_100 + 40 * second as u64))));
    stats.fold(&at(90, succeeded(Quality::Truncated)));
    stats.fold(&at(90, succeeded(Quality::Refused)));
    (0..3).for_each(|_| stats.fold(&at(91, failed(ErrorClass::Server))));
    let usage = Usage { output_tokens: 5, cache_read_tokens: 2_000, ..Default::default() };
    stats.fold(&at(91, failed_with(ErrorClass::InvalidOutput, usage, None)));
    let limited = EventBody::Retried {
        row: retried(),
        class: ErrorClass::RateLimit,
        limit: Some(LimitKind::Rate),
        maybe_paid: false,
    };
    stats.fold(&at(91, limited));
    let broken = EventBody::Retried { row: retried(), class: ErrorClass::Network, limit: None, maybe_paid: true };
    (0..2).for_each(|_| stats.fold(&at(92, broken.clone())));
    stats.fold(&at(92, ended(7, Some(HaltReason::Signal(2)))));
    stats
}

/// Returns the event of an answer with this latency, in milliseconds.
fn succeeded_after(quality: Quality, millis: u64) -> EventBody {
    let EventBody::Succeeded { pool, model, quality, usage, cost, without_cache, first_byte, mended, .. } =
        succeeded(quality)
    else {
        unreachable!()
    };
    let (row, latency) = (format!("t-{millis:04}").into(), Some(Duration::from_millis(millis)));
    EventBody::Succeeded { row, pool, model, quality, usage, cost, without_cache, latency, first_byte, mended }
}

/// Returns the end of a run with two batches that are still open.
fn left(pending: u64, left_rows: u64) -> EventBody {
    let EventBody::Ended { reason, reasons, uses, elapsed, max_in_flight, .. } = ended(0, None) else { unreachable!() };
    let batches = Some(Box::new(BatchesEnd { left: 2, left_rows, ..BatchesEnd::default() }));
    EventBody::Ended { pending, reason, reasons, uses, elapsed, max_in_flight, batches }
}

/// Returns the end of a run that took 92 seconds and was slowed down by a limit.
fn ended(pending: u64, halt: Option<HaltReason>) -> EventBody {
    let reasons = vec![(Reason::Limit(Dimension::OutputTokens), 0.83), (Reason::Window, 0.17)];
    let uses = vec![limit_use("haiku-4.5", [142, 12_000, 71_000], RateLimits::new(600, 450_000, 50_000), 92)];
    let EventBody::Ended { reason, reasons, uses, elapsed, max_in_flight, batches, .. } =
        end_of(92, reasons, uses, halt)
    else {
        unreachable!()
    };
    EventBody::Ended { pending, reason, reasons, uses, elapsed, max_in_flight, batches }
}

fn end_of(seconds: u64, reasons: Vec<(Reason, f64)>, uses: Vec<LimitUse>, halt: Option<HaltReason>) -> EventBody {
    let (reason, elapsed) = (halt.map(Box::new), Duration::from_secs(seconds));
    EventBody::Ended { pending: 0, reason, reasons, uses, elapsed, max_in_flight: 64, batches: None }
}

fn context() -> SummaryContext {
    SummaryContext {
        results: Some(RESULTS.to_owned()),
        price_date: Some("2026-11-24".to_owned()),
        has_chart: true,
        ..SummaryContext::default()
    }
}

fn full_context() -> SummaryContext {
    SummaryContext {
        unpriced_models: vec!["claude-next".to_owned()],
        maybe_paid: 2,
        maybe_paid_before: 4,
        failed_before: 5,
        earlier: Some(EarlierRuns {
            usage: Usage { input_tokens: 5_000, output_tokens: 400, ..Usage::default() },
            cost: Money::from_dollars(0.4),
        }),
        errors: Some("prompts.errors.jsonl".to_owned()),
        rerun_command: Some("claude-batch run prompts.jsonl --tier 2".into()),
        resume_command: Some("claude-batch resume prompts.errors.jsonl".into()),
        is_simulated: true,
        ..context()
    }
}
