//! The summary at the end of a run: what happened, what it cost, what slowed it down, where the answers are, and the one
//! command that is worth typing next.
//!
//! It is plain text, made from [`Stats`] and from facts that only the caller knows ([`SummaryContext`]). A row that would
//! say nothing is left out. As JSON, the same facts are made by `json/summary.rs`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use super::advice::advice;
use super::failures;
use super::headline::headline;
use super::kinds;
use super::lanes;
use super::next_step::next_step;
use super::plain::rate_words;
use super::planned;
use super::providers::OfProvider;
use super::standing::Ending;
use super::stats::Stats;
use super::summary_context::SummaryContext;
use super::text::{ListRow, count, escape, latency, list, percent, plural, wrap};
use super::totals;
use super::use_of_limits;
use super::words::doing_words;

/// Returns the summary in lines of at most `columns`. Only paths and commands can be longer, because they are not
/// broken.
pub(crate) fn summary(stats: &Stats, context: &SummaryContext, columns: usize) -> String {
    let mut rows = kinds::rows(stats, context);
    rows.extend(labelled("by", stats.providers.several().iter().map(OfProvider::words).collect()));
    rows.extend(by_all_runs(stats, context).map(|text| ListRow::text("all runs", text)));
    rows.extend(labelled("lanes", lanes::lines(stats)));
    if let Some(ending) = &stats.ending {
        rows.extend(pace(stats, ending, context));
        rows.extend(labelled("limits", use_of_limits::lines(&ending.uses, ending.elapsed)));
        let faster = advice(stats, ending, context.concurrency);
        rows.extend(faster.map(|advice| ListRow::text("faster", format!("with {advice}"))));
    }
    rows.extend(totals::spent(stats, context));
    let of_run = if context.earlier.is_some() { "this run: " } else { "" };
    rows.extend(stats.caching().map(|used| ListRow::text("cache", format!("{of_run}{}", used.words()))));
    rows.extend(planned::line(stats).map(|line| ListRow::text("plan", format!("{of_run}{line}"))));
    rows.extend(repeated(stats, context));
    rows.extend(labelled("change", failures::to_change(&context.failed_in_log, stats)));
    rows.extend(files_and_next(stats, context));
    format!("{}\n{}", wrap(&headline(stats, context), columns).join("\n"), list(&rows, columns))
}

/// Returns list rows. Only the first of them has the label.
fn labelled(label: &'static str, values: Vec<String>) -> impl Iterator<Item = ListRow> {
    values.into_iter().enumerate().map(move |(at, value)| ListRow::text(if at == 0 { label } else { "" }, value))
}

/// Returns how many answers each provider gave in all runs: `1,204 by openrouter, 96 by anthropic`. Returns `None` if all
/// answers are those of one provider, and if there was no earlier run.
fn by_all_runs(stats: &Stats, context: &SummaryContext) -> Option<String> {
    let mut counts: BTreeMap<&str, u64> = context.answers_by.iter().map(|(name, rows)| (&**name, *rows)).collect();
    let has_earlier = counts.values().any(|rows| *rows > 0);
    for own in stats.providers.all().iter().filter(|own| own.answered > 0) {
        *counts.entry(&own.name).or_default() += own.answered;
    }
    let by = |(name, rows): (&str, u64)| (rows, format!("by {}", escape(name)));
    (has_earlier && counts.len() > 1).then(|| by_size(counts.into_iter().map(by)))
}

/// Returns how fast the run was, how long answers took, and what the run waited for.
fn pace(stats: &Stats, ending: &Ending, context: &SummaryContext) -> Vec<ListRow> {
    let mut rows = Vec::new();
    if let Some(rate) = stats.mean_rows_per_minute() {
        let most = match ending.max_in_flight as u64 {
            // Only batches of earlier runs were collected.
            0 => String::new(),
            most => format!(", at most {} in flight", count(most)),
        };
        let chart = stats.rate_bins.sparkline(ending.elapsed).filter(|_| context.has_chart);
        let chart = chart.map(|chart| format!(" {chart}")).unwrap_or_default();
        rows.push(ListRow::text("speed", format!("{} rows/min{most}{chart}", rate_words(rate))));
    }
    rows.extend(latencies(stats).map(|text| ListRow::text("latency", text)));
    // After a run of less than a second, no reason is shown, because the user could do nothing about it.
    let bound = ending.reasons.iter().filter(|(_, share)| *share >= 0.01).take(3).collect::<Vec<_>>();
    if !bound.is_empty() && ending.elapsed >= Duration::from_secs(1) {
        let parts = bound.iter().map(|(reason, share)| format!("{} {}", percent(*share), doing_words(*reason)));
        rows.push(ListRow::text("time", parts.collect::<Vec<_>>().join(", ")));
    }
    rows
}

/// Returns how long online answers took; `None` if there were none.
fn latencies(stats: &Stats) -> Option<String> {
    let slowest = stats.pace.longest;
    // The histogram rounds, and the longest latency is exact.
    let of = |share| stats.latencies.percentile(share).map(|found| latency(found.min(slowest)));
    let slowest = Some(slowest).filter(|slowest| !slowest.is_zero())?;
    match stats.latencies.count() {
        1 => Some(latency(slowest)),
        _ => Some(format!("half within {}, 95% within {}, slowest {}", of(0.5)?, of(0.95)?, latency(slowest))),
    }
}

fn repeated(stats: &Stats, context: &SummaryContext) -> Vec<ListRow> {
    let mut rows = Vec::new();
    if stats.retried_total() > 0 {
        let causes = stats.retried.iter().map(|(cause, attempts)| (*attempts, cause.name()));
        rows.push(ListRow::text("retries", format!("{}: {}", count(stats.retried_total()), by_size(causes))));
    }
    rows.extend(billed_twice(context).map(|text| ListRow::text("billing", text)));
    rows
}

/// Returns how many answers may have been billed a second time: `possibly billed twice: 11 answers`.
fn billed_twice(context: &SummaryContext) -> Option<String> {
    let maybe = context.maybe_paid.saturating_add(context.maybe_paid_before);
    let mut text = (maybe > 0).then(|| billed_twice_words(maybe))?;
    if context.maybe_paid_before > 0 {
        text.push_str(&format!(", {} of them because an earlier run was cut short", count(context.maybe_paid_before)));
    }
    if context.maybe_paid_earlier > 0 {
        let all = maybe.saturating_add(context.maybe_paid_earlier);
        text.push_str(&format!("; {} in all runs together", count(all)));
    }
    Some(text)
}

/// Returns the number of answers that may have been billed a second time, in words.
pub(crate) fn billed_twice_words(answers: u64) -> String {
    format!("possibly billed twice: {}", plural(answers, "answer", "answers"))
}

/// Returns the files, and last the command that is worth typing next.
fn files_and_next(stats: &Stats, context: &SummaryContext) -> Vec<ListRow> {
    let files = [("results", &context.results), ("errors", &context.errors)];
    let files = files.into_iter().filter_map(|(label, path)| Some(ListRow::verbatim(label, escape(path.as_ref()?))));
    let next = next_step(stats, context);
    files.chain(next.map(|next| ListRow::verbatim(next.kind.name(), escape(&next.command.text)))).collect()
}

/// Returns counts such as `12 a, 3 b`, the largest first.
fn by_size(counts: impl Iterator<Item = (u64, impl Display)>) -> String {
    let mut counts = counts.collect::<Vec<_>>();
    counts.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    counts.iter().map(|(number, name)| format!("{} {name}", count(*number))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::answers::tests::answers_of_all_kinds;
    use super::super::stats::tests::{at, failed, failed_with, in_batch, retried, started, succeeded};
    use super::super::summary_context::EarlierRuns;
    use super::super::use_of_limits::tests::limit_use;
    use super::*;
    use crate::domain::{
        BatchesEnd, Dimension, ErrorClass, EventBody, FailedRow, Failure, HaltReason, Interval, LimitKind, Money,
        RateLimits, Reason, RunForecast, Usage,
    };

    #[test]
    fn several_providers_have_a_line_each_and_the_whole_file_has_its_sum() {
        let mut stats = super::super::provider_states::tests::chain();
        stats.fold(&at(130, ended(0, None)));
        let answers_by = vec![("openrouter".to_owned(), 1_204), ("foun\u{1b}dry".to_owned(), 2)];
        let context = SummaryContext { answers_by, ..context() };

        let shown = [120, 80, 40].map(|columns| summary(&stats, &context, columns)).join("\n");

        insta::assert_snapshot!(shown, @r#"
        ended early after 1 min 32 s
        rows      1,200 answered
                  1 failed (1 server)
                  18,799 pending
        by        anthropic: 840 answered, $8.40; rows went to other providers: limits (2 times); stopped: key, credit or spend
                  limit; its rows went to openrouter
                  bedrock: 0 answered, 1 failed, $0.00, 1 hold after 429
                  openrouter: 360 answered, $3.60
        all runs  1,564 by openrouter, 840 by anthropic, 2 by foun\u{1b}dry
        why       server: row r7, 500, "it went wrong"
        speed     783 rows/min, at most 64 in flight
        bound by  output tokens per minute 83% of the time, concurrency 17%
        limits    used 15% of requests, 2% of input tokens, 93% of output tokens (critical)
        faster    with shorter answers, or a higher tier: up to 6.0 times as fast, until requests per minute limit the run
        tokens    120,100 in, 12,010 out
        cost      $12.00 (prices of 2026-11-24)
        results   prompts.results.jsonl
        continue  claude-batch run prompts.jsonl --tier 2

        ended early after 1 min 32 s
        rows      1,200 answered
                  1 failed (1 server)
                  18,799 pending
        by        anthropic: 840 answered, $8.40; rows went to other providers: limits
                  (2 times); stopped: key, credit or spend limit; its rows went to
                  openrouter
                  bedrock: 0 answered, 1 failed, $0.00, 1 hold after 429
                  openrouter: 360 answered, $3.60
        all runs  1,564 by openrouter, 840 by anthropic, 2 by foun\u{1b}dry
        why       server: row r7, 500, "it went wrong"
        speed     783 rows/min, at most 64 in flight
        bound by  output tokens per minute 83% of the time, concurrency 17%
        limits    used 15% of requests, 2% of input tokens, 93% of output tokens
                  (critical)
        faster    with shorter answers, or a higher tier: up to 6.0 times as fast, until
                  requests per minute limit the run
        tokens    120,100 in, 12,010 out
        cost      $12.00 (prices of 2026-11-24)
        results   prompts.results.jsonl
        continue  claude-batch run prompts.jsonl --tier 2

        ended early after 1 min 32 s
        rows      1,200 answered
                  1 failed (1 server)
                  18,799 pending
        by        anthropic: 840 answered,
                  $8.40; rows went to other
                  providers: limits (2 times);
                  stopped: key, credit or spend
                  limit; its rows went to
                  openrouter
                  bedrock: 0 answered, 1 failed,
                  $0.00, 1 hold after 429
                  openrouter: 360 answered,
                  $3.60
        all runs  1,564 by openrouter, 840 by
                  anthropic, 2 by foun\u{1b}dry
        why       server: row r7, 500, "it went…
        speed     783 rows/min, at most 64 in
                  flight
        bound by  output tokens per minute 83%
                  of the time, concurrency 17%
        limits    used 15% of requests, 2% of
                  input tokens, 93% of output
                  tokens (critical)
        faster    with shorter answers, or a
                  higher tier: up to 6.0 times
                  as fast, until requests per
                  minute limit the run
        tokens    120,100 in, 12,010 out
        cost      $12.00 (prices of 2026-11-24)
        results   prompts.results.jsonl
        continue
          claude-batch run prompts.jsonl --tier 2
        "#);
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
    fn the_summary_of_a_clean_run_is_short() {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(3), 0)));
        (1..=3).for_each(|second| stats.fold(&at(second, succeeded(Quality::Ok))));
        stats.fold(&at(3, ended(0, None)));

        insta::assert_snapshot!(summary(&stats, &context(), 80), @"
        finished after 1 min 32 s
        rows      3 answered
        speed     2.0 rows/min, at most 64 in flight
        bound by  output tokens per minute 83% of the time, concurrency 17%
        limits    used 15% of requests, 2% of input tokens, 93% of output tokens
                  (critical)
        faster    with shorter answers, or a higher tier: up to 6.0 times as fast, until
                  requests per minute limit the run
        tokens    300 in, 30 out
        cost      $0.0300 (prices of 2026-11-24)
        results   prompts.results.jsonl
        ");
    }

    #[test]
    fn the_summary_of_a_run_with_everything_is_complete() {
        insta::assert_snapshot!(summary(&mixed(), &full_context(), 100), @r#"
        stopped (interrupted) after 1 min 32 s, simulated
        rows      137 of 200 answered (this run: 92; 90 ok, 1 truncated, 1 refused)
                  4 failed (3 server, 1 invalid_output)
                  5 failed in earlier runs and not tried again
                  54 pending
        why       server: row r7, 500, "it went wrong"
                  invalid_output: row r7, 500, "it went wrong"
        speed     63 rows/min, at most 64 in flight
        bound by  output tokens per minute 83% of the time, concurrency 17%
        limits    used 15% of requests, 2% of input tokens, 93% of output tokens (critical)
        faster    with shorter answers, or a higher tier: up to 6.0 times as fast, until requests per minute
                  limit the run
        tokens    16,500 in (2,000 read from the cache), 1,355 out in all runs; 11,500 in (2,000 read from
                  the cache), 955 out in this one
        cost      $1.32 in all runs, $0.9200 in this one (prices of 2026-11-24), without 1 row (no price for
                  claude-next)
        cache     this run: 2,000 tokens read, none written (hit rate 100%); the saving is not known
        plan      this run: $1.20–1.80 and 2–3 min for 150 rows; 96 are done, and only a run that does all
                  of them is compared
        retries   3: 2 network, 1 rate limit (429)
        billing   6 answers possibly billed twice, 4 of them because an earlier run was cut short
        results   prompts.results.jsonl
        errors    prompts.errors.jsonl
        continue  claude-batch run prompts.jsonl --tier 2
        retry     claude-batch resume prompts.errors.jsonl
        "#);
    }

    #[test]
    fn forty_columns_are_still_readable() {
        let shown = summary(&mixed(), &full_context(), 40);

        insta::assert_snapshot!(shown, @r#"
        stopped (interrupted) after 1 min 32 s,
        simulated
        rows      137 of 200 answered (this run:
                  92; 90 ok, 1 truncated, 1
                  refused)
                  4 failed (3 server, 1
                  invalid_output)
                  5 failed in earlier runs and
                  not tried again
                  54 pending
        why       server: row r7, 500, "it went…
                  invalid_output: row r7, 500, …
        speed     63 rows/min, at most 64 in
                  flight
        bound by  output tokens per minute 83%
                  of the time, concurrency 17%
        limits    used 15% of requests, 2% of
                  input tokens, 93% of output
                  tokens (critical)
        faster    with shorter answers, or a
                  higher tier: up to 6.0 times
                  as fast, until requests per
                  minute limit the run
        tokens    16,500 in (2,000 read from the
                  cache), 1,355 out in all runs;
                  11,500 in (2,000 read from the
                  cache), 955 out in this one
        cost      $1.32 in all runs, $0.9200 in
                  this one (prices of
                  2026-11-24), without 1 row (no
                  price for claude-next)
        cache     this run: 2,000 tokens read,
                  none written (hit rate 100%);
                  the saving is not known
        plan      this run: $1.20–1.80 and 2–3
                  min for 150 rows; 96 are done,
                  and only a run that does all
                  of them is compared
        retries   3: 2 network, 1 rate limit
                  (429)
        billing   6 answers possibly billed
                  twice, 4 of them because an
                  earlier run was cut short
        results   prompts.results.jsonl
        errors    prompts.errors.jsonl
        continue
          claude-batch run prompts.jsonl --tier 2
        retry
          claude-batch resume prompts.errors.jsonl
        "#);
    }

    #[test]
    fn a_run_of_models_without_a_price_has_an_unknown_cost() {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(1), 0)));
        let usage = Usage { output_tokens: 9, ..Default::default() };
        let succeeded = EventBody::Succeeded {
            row: "r1".into(),
            pool: None,
            model: "m".into(),
            quality: Quality::Ok,
            usage,
            cost: None,
            without_cache: None,
            latency: Some(Duration::ZERO),
            first_byte: None,
            mended: None,
        };
        stats.fold(&at(1, succeeded));
        let context = SummaryContext { unpriced_models: vec!["claude-next".to_owned()], ..context() };

        let shown = summary(&stats, &context, 80);

        assert!(shown.contains("cost     unknown (no price for claude-next)\n") && !shown.contains('$'), "{shown}");
    }

    #[test]
    fn a_stopped_run_says_how_to_resume() {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(100), 0)));
        let halt = HaltReason::Key(Failure { message: "invalid x-api-key".to_owned(), ..Failure::default() });
        stats.fold(&at(1, ended(16, Some(halt))));

        insta::assert_snapshot!(summary(&stats, &context(), 80), @"
        stopped (the key was refused) after 1 min 32 s
        rows      0 answered
                  100 pending
        bound by  output tokens per minute 83% of the time, concurrency 17%
        limits    used 15% of requests, 2% of input tokens, 93% of output tokens
                  (critical)
        results   prompts.results.jsonl
        continue  claude-batch run prompts.jsonl --tier 2
        ");
    }

    #[test]
    fn a_stopped_pipe_is_resumed_from_its_log() {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(None, 0)));
        stats.fold(&at(1, ended(16, Some(HaltReason::Signal(2)))));
        let command = "claude-batch resume claude-batch.r1.errors.jsonl";
        let context = SummaryContext { resume_command: Some(command.to_owned()), ..SummaryContext::default() };

        let shown = summary(&stats, &context, 80);

        assert!(shown.contains("continue  claude-batch resume claude-batch.r1.errors.jsonl\n"), "{shown}");
    }

    #[test]
    fn possibly_billed_attempts_of_killed_runs_are_added_up() {
        let context = SummaryContext { maybe_paid_before: 4, maybe_paid_earlier: 7, ..context() };

        let shown = summary(&Stats::default(), &context, 120);

        let billing =
            "4 answers possibly billed twice, 4 of them because an earlier run was cut short; 11 in all runs together";
        assert!(shown.contains(billing), "{shown}");
    }

    #[test]
    fn counters_equal_the_lines_on_disk() {
        let stats = mixed();

        let shown = summary(&stats, &full_context(), 100);

        let (results, errors) = (stats.succeeded_total(), stats.failed_total());
        assert!(shown.contains(&format!("(this run: {results};")) && shown.contains(&format!("{errors} failed (")));
        let all = results + errors + stats.already_done() + pending(&stats);
        assert_eq!(Some(all), stats.total);
    }

    #[test]
    fn for_rows_that_would_fail_again_the_summary_says_what_to_change_and_not_to_resume() {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(200), 0)));
        (0..116).for_each(|_| stats.fold(&at(1, succeeded(Quality::Ok))));
        let message = "max_tokens: 100000 > 64000, which is the maximum allowed number of output tokens";
        for at_row in 0..84 {
            let row = Box::new(FailedRow::new(&format!("r{at_row}\x1b[2J"), Some(400), message, false));
            let (class, usage) = (ErrorClass::InvalidRequest, Default::default());
            stats.fold(&at(2, EventBody::Failed { class, row, usage, cost: Some(Money::ZERO) }));
        }
        stats.fold(&at(2, ended(0, None)));
        let failed_in_log = BTreeMap::from([(ErrorClass::InvalidRequest, 84)]);
        let context = SummaryContext { errors: Some("p.errors.jsonl".to_owned()), failed_in_log, ..context() };

        insta::assert_snapshot!(summary(&stats, &context, 80), @r#"
        finished with failures after 1 min 32 s
        rows      116 answered
                  84 failed (84 invalid_request)
        why       invalid_request: row r0\u{1b}[2J, 400, "max_tokens: 100000 > 64000, w…
        speed     130 rows/min, at most 64 in flight
        bound by  output tokens per minute 83% of the time, concurrency 17%
        limits    used 15% of requests, 2% of input tokens, 93% of output tokens
                  (critical)
        faster    with shorter answers, or a higher tier: up to 6.0 times as fast, until
                  requests per minute limit the run
        tokens    11,600 in, 1,160 out
        cost      $1.16 (prices of 2026-11-24)
        results   prompts.results.jsonl
        errors    p.errors.jsonl
        change    invalid_request: the API will refuse these rows again; correct them in
                  the input, then run it again
        "#);
    }

    #[test]
    fn answers_that_are_not_as_wanted_are_told_apart_with_what_to_do_about_them() {
        let mut stats = answers_of_all_kinds();
        stats.total = Some(950);
        stats.fold(&at(93, ended(0, None)));
        let failed_in_log = stats.failed.iter().map(|(class, failed)| (*class, failed.rows)).collect();
        let command = "claude-batch resume p.errors.jsonl --only server";
        let context = SummaryContext {
            errors: Some("p.errors.jsonl".to_owned()),
            resume_command: Some(command.to_owned()),
            failed_in_log,
            ..context()
        };

        insta::assert_snapshot!(summary(&stats, &context, 80), @r#"
        finished with failures after 1 min 32 s
        rows      942 answered (940 ok, 1 truncated, 1 refused)
                  43 of them needed another request (31 repaired, 12 grown)
                  8 failed (4 invalid_output, 2 truncated, 1 server, 1 refused)
        why       invalid_output: row r9, 200, "the answer is not JSON"
                  truncated: row r9, 200, "the answer ended at max_tokens"
                  server: row r7, 500, "it went wrong"
                  refused: row r9, 200, "the model refused to answer"
        speed     620 rows/min, at most 64 in flight
        bound by  output tokens per minute 83% of the time, concurrency 17%
        limits    used 15% of requests, 2% of input tokens, 93% of output tokens
                  (critical)
        faster    with shorter answers, or a higher tier: up to 6.0 times as fast, until
                  requests per minute limit the run
        tokens    94,300 in, 9,430 out
        cost      $9.42 (prices of 2026-11-24)
        results   prompts.results.jsonl
        errors    p.errors.jsonl
        retry     claude-batch resume p.errors.jsonl --only server
        change    invalid_output: the answers can't be used, and the error log says why;
                  change the prompts or what answers must be, or resume these rows with
                  --only invalid_output
                  truncated: the answers are cut off; resume these rows with --only
                  truncated and a larger --max-tokens, or shorten the prompts
                  refused: the model refused to answer; change the prompts, or resume
                  these rows with --only refused and -m MODEL
        "#);
    }

    #[test]
    fn rows_in_batches_that_are_left_are_neither_failed_nor_pending() {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(250), 0)));
        stats.fold(&at(1, succeeded(Quality::Ok)));
        stats.fold(&at(2, left(0, 249)));
        let mut interrupted = stats.clone();
        interrupted.ending.iter_mut().for_each(|ending| ending.halt = Some(HaltReason::Signal(2)));
        interrupted.ending.iter_mut().for_each(|ending| ending.batches.left_rows = 200);

        insta::assert_snapshot!(summary(&stats, &context(), 80), @"
        left with 2 open batches after 1 min 32 s
        rows      1 answered
                  249 in 2 open batches
        speed     0.7 rows/min, at most 64 in flight
        bound by  output tokens per minute 83% of the time, concurrency 17%
        limits    used 15% of requests, 2% of input tokens, 93% of output tokens
                  (critical)
        faster    with shorter answers, or a higher tier: up to 6.0 times as fast, until
                  requests per minute limit the run
        tokens    100 in, 10 out
        cost      $0.0100 (prices of 2026-11-24)
        results   prompts.results.jsonl
        ");
        let shown = summary(&interrupted, &context(), 80);
        assert!(shown.starts_with("stopped (interrupted) after"), "{shown}");
        assert!(shown.contains("200 in 2 open batches\n          49 pending\n"), "{shown}");
    }

    #[test]
    fn the_summary_says_which_lane_answered_and_what_the_half_price_saved() {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(250), 0)));
        stats.fold(&at(1, succeeded(Quality::Ok)));
        (0..249).for_each(|_| stats.fold(&at(60, in_batch())));
        stats.fold(&at(61, ended(0, None)));

        let shown = summary(&stats, &context(), 80);

        assert!(shown.contains("lanes     249 in batches at half price (saved $2.49), 1 online\n"), "{shown}");
        assert!(shown.contains("speed     163 rows/min"), "all rows count: {shown}");
    }

    #[test]
    fn rows_of_a_pipe_that_are_in_open_batches_are_not_pending() {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(None, 0)));
        stats.fold(&at(2, left(3, 40)));

        let shown = summary(&stats, &context(), 80);

        assert!(shown.contains("40 in 2 open batches\n          3 pending\n"), "{shown}");
    }

    /// Returns the end of a run that left two batches.
    fn left(pending: u64, left_rows: u64) -> EventBody {
        let EventBody::Ended { reason, reasons, uses, elapsed, max_in_flight, .. } = ended(0, None) else {
            unreachable!()
        };
        let batches = Some(Box::new(BatchesEnd { left: 2, left_rows, ..BatchesEnd::default() }));
        EventBody::Ended { pending, reason, reasons, uses, elapsed, max_in_flight, batches }
    }

    #[test]
    fn a_path_cannot_control_the_terminal() {
        let context = SummaryContext { results: Some("a\x1b[2J\nb".to_owned()), ..context() };

        let shown = summary(&Stats::default(), &context, 80);

        assert!(shown.contains(r"results  a\u{1b}[2J\nb"), "{shown}");
    }

    fn mixed() -> Stats {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(200), 50)));
        let cost = Some(Interval { low: 1.2, likely: 1.4, high: 1.8 }.map(Money::from_dollars));
        let time = Some(Interval { low: 100, likely: 140, high: 200 }.map(Duration::from_secs));
        stats.fold(&at(0, EventBody::Forecast(RunForecast { rows: 150, cost, at_most: None, time })));
        (1..=90).for_each(|second| stats.fold(&at(second, succeeded(Quality::Ok))));
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

    fn ended(pending: u64, reason: Option<HaltReason>) -> EventBody {
        let reasons = vec![(Reason::Limit(Dimension::OutputTokens), 0.83), (Reason::Window, 0.17)];
        let reason = reason.map(Box::new);
        let uses = vec![limit_use("haiku-4.5", [142, 12_000, 71_000], RateLimits::new(600, 450_000, 50_000), 92)];
        EventBody::Ended {
            pending,
            reason,
            reasons,
            uses,
            elapsed: Duration::from_secs(92),
            max_in_flight: 64,
            batches: None,
        }
    }

    fn context() -> SummaryContext {
        SummaryContext {
            results: Some("prompts.results.jsonl".to_owned()),
            rerun_command: Some("claude-batch run prompts.jsonl --tier 2".to_owned()),
            price_date: Some("2026-11-24".to_owned()),
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
            resume_command: Some("claude-batch resume prompts.errors.jsonl".to_owned()),
            is_simulated: true,
            ..context()
        }
    }
}
