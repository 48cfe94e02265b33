//! The live block: lines that show the state of a run, fitted to the size of a terminal. This module is pure, so every
//! size can be tested.
//!
//! Each line begins with a label if the terminal is wide enough. The column of labels is as wide as in the summary, so
//! nothing moves sideways when the summary replaces the live block. If the terminal has few rows, the least important
//! lines are left out.
//!
//! This module sets the position and the width of the progress bar. The bar is filled in later, when the lines are
//! drawn.

use super::answers::Answers;
use super::limits_line::{by_use, pool_parts, use_parts};
use super::now::Now;
use super::open_batches;
use super::outlook::Outlook;
use super::parts::{Part, Tone, fit};
use super::plain::{left_by_plan, projected_cost, rate_words, time_left_range};
use super::provider_states::{State, pools};
use super::providers::OfProvider;
use super::stats::Stats;
use super::text::{
    by_size, count, countdown, duration, escape, percent, plural, rough_duration, short_count, shorten, width,
};
use crate::domain::Reason;

/// The width of the column of labels: the width of the label `continue` in the summary, and two blanks.
const LABELS: usize = 10;
/// The width of the narrowest terminal that shows labels, in columns.
const NARROWEST_WITH_LABELS: usize = 64;
/// The largest number of rate-limit pools that have a line of their own.
const MOST_POOLS: usize = 6;

/// The text of the live block: several lines, separated by line breaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// The text before the bar, or the whole text if there is no bar.
    pub before: String,
    /// The width of the progress bar, in columns; 0 if there is no bar.
    pub cells: usize,
    /// The text after the bar.
    pub after: String,
}

/// One line of the block.
struct Line {
    /// The rank of the line. On a terminal with few rows, the lines with the lowest rank are left out first.
    rank: u8,
    label: &'static str,
    parts: Vec<Part>,
}

/// Returns the lines that show the state of a run, for a terminal with `rows` rows. No line is wider than `columns`.
pub(crate) fn block(stats: &Stats, columns: usize, rows: usize, is_colored: bool) -> Block {
    let labels = if columns < NARROWEST_WITH_LABELS { 0 } else { LABELS };
    let mut lines = lines(stats, columns - labels, labels > 0, most_lines(rows));
    while lines.len() > most_lines(rows) {
        let lowest = lines.iter().map(|line| line.rank).min().unwrap_or(0);
        let Some(at) = lines.iter().rposition(|line| line.rank == lowest) else { break };
        lines.remove(at);
    }
    let mut block = Block::default();
    for (at, line) in lines.into_iter().enumerate() {
        if at > 0 {
            block.push("\n");
        }
        if labels > 0 {
            if !line.label.is_empty() {
                block.push_part(&Part::fixed(0, line.label).in_tone(Tone::Label), is_colored);
            }
            block.push(&" ".repeat(labels - width(line.label)));
        }
        block.push_line(line.parts, columns - labels, is_colored);
    }
    block
}

/// Returns how many lines the block can have at most on a terminal with `rows` rows. The block fills at most half of
/// the terminal's rows, so the notes above the block stay visible. On a terminal with few rows, the block can have up
/// to three lines.
fn most_lines(rows: usize) -> usize {
    (rows / 2).max(rows.saturating_sub(1).min(3)).max(1)
}

/// Returns all lines, in the order in which they are shown. The block has room for `most` lines, so pools whose lines
/// would not fit are left out.
fn lines(stats: &Stats, columns: usize, has_labels: bool, most: usize) -> Vec<Line> {
    let line = |rank, label, parts| Line { rank, label, parts };
    let mut above = vec![line(10, "rows", rows_parts(stats)), line(8, "time", time_parts(stats))];
    above.extend(stats.batches.as_ref().map(|batches| {
        let pieces = open_batches::pieces(batches).into_iter();
        line(6, "batches", pieces.map(|(rank, long, short)| Part::new(rank, long, short)).collect())
    }));
    let mut below = vec![line(9, "now", now_parts(stats))];
    below.extend(retries_parts(stats, has_labels).map(|parts| line(4, "retries", parts)));
    below.push(line(7, "cost", cost_parts(stats)));
    below.retain(|line| !line.parts.is_empty());
    let several = stats.providers.several();
    let middle = match several {
        [] => pool_lines(stats, columns, most.saturating_sub(above.len() + below.len()).clamp(1, MOST_POOLS)),
        several => several.iter().map(|own| provider_parts(own, stats, columns)).collect(),
    };
    let (label, first_rank, rank) = if several.is_empty() { ("limits", 5, 3) } else { ("by", 6, 6) };
    let middle = middle.into_iter().enumerate().map(|(at, parts)| match at {
        0 => line(first_rank, label, parts),
        _ => line(rank, "", parts),
    });
    above.into_iter().chain(middle).chain(below).collect()
}

impl Block {
    /// Appends the parts as one line of at most `columns`.
    fn push_line(&mut self, mut parts: Vec<Part>, columns: usize, is_colored: bool) {
        fit(&mut parts, columns);
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                self.push(part.joint);
            }
            self.push_part(part, is_colored);
        }
    }

    fn push_part(&mut self, part: &Part, is_colored: bool) {
        let style = if is_colored { part.tone.style() } else { Tone::Usual.style() };
        self.push(&style.render().to_string());
        if part.is_bar {
            self.cells = width(&part.text);
        } else {
            self.push(&part.text);
        }
        self.push(&style.render_reset().to_string());
    }

    fn push(&mut self, text: &str) {
        if self.cells == 0 { self.before.push_str(text) } else { self.after.push_str(text) }
    }
}

/// Returns the parts about rows: `████░░░░ 6% · 1,201 of 20,000 done · 1 failed · 601 rows/min`.
fn rows_parts(stats: &Stats) -> Vec<Part> {
    let finished = stats.finished();
    let mut parts = Vec::new();
    match (stats.total, stats.share()) {
        (Some(total), Some(share)) => {
            parts.push(Part::bar(4, 24, 8));
            parts.push(Part::fixed(6, percent(share)).in_tone(Tone::Main).after(" "));
            let short = match total {
                0..1_000_000 => format!("{}/{}", count(finished), count(total)),
                _ => format!("{}/{}", short_count(finished), short_count(total)),
            };
            parts.push(Part::new(9, format!("{} of {} done", count(finished), count(total)), short));
        }
        _ => parts.push(Part::new(9, format!("{} done", plural(finished, "row", "rows")), short_count(finished))),
    }
    parts.extend(answers_parts(stats));
    if let Some(rate) = stats.rows_per_minute() {
        parts.push(Part::fixed(3, format!("{} rows/min", rate_words(rate))));
    }
    parts
}

/// Returns the parts of the line that show the numbers of answers and failed rows: `940 ok (31 repaired, 12 made
/// longer) · 3 truncated, 2 refused · 1 failed`.
fn answers_parts(stats: &Stats) -> Vec<Part> {
    let answers = Answers::of(stats);
    // On a narrow terminal, the count of ok answers is left out before other parts of the line are shortened.
    let ok = answers.ok_words(&stats.mended).map(|words| Part::optional(1, words));
    let not_ok = answers
        .not_ok_words()
        .map(|words| Part::new(7, words, format!("{} not ok", short_count(answers.not_ok()))).in_tone(Tone::Notable));
    let failed = (answers.failed > 0).then(|| {
        let words = |rows: String| format!("{rows} failed");
        Part::new(8, words(count(answers.failed)), words(short_count(answers.failed))).in_tone(Tone::Fault)
    });
    [ok, not_ok, failed].into_iter().flatten().collect()
}

/// Returns the parts about time: `2 min 00 s · about 31 min left (26–37 min)`.
fn time_parts(stats: &Stats) -> Vec<Part> {
    let mut parts = vec![Part::fixed(8, duration(stats.elapsed()))];
    match stats.outlook() {
        Outlook::Left(left) => {
            let left = format!("{} left", rough_duration(left));
            parts.push(Part::new(9, format!("about {left}"), left));
            parts.extend(time_left_range(stats).map(|range| Part::optional(3, format!("({range})")).after(" ")));
        }
        Outlook::Unknown => parts.extend(left_by_plan(stats).map(|left| Part::optional(3, left))),
        // The time left is not known, and another line shows what the run waits for.
        Outlook::Batches(_) | Outlook::Waiting { .. } => {}
    }
    parts
}

/// Returns the parts that say what the run does now and why it is not faster: `limited by output tokens per minute · 32
/// of 64 in flight`.
fn now_parts(stats: &Stats) -> Vec<Part> {
    let (Some(now), Some(standing)) = (Now::of(stats), &stats.standing) else { return Vec::new() };
    let mut parts = vec![Part::new(10, now.long, now.short).in_tone(now.tone)];
    let counts_answers = standing.reason == Reason::Draining || stats.is_stopping;
    if !counts_answers && stats.waits_for_batches().is_none() {
        let (in_flight, window) = (count(standing.in_flight as u64), count(standing.window as u64));
        parts.push(Part::optional(6, format!("{in_flight} of {window} in flight")));
    }
    parts
}

/// Returns the parts about retries: `14: 12 rate limit (429), 2 network · 3 rows wait, next in 7 s`. Returns `None` if
/// no request was retried.
fn retries_parts(stats: &Stats, has_label: bool) -> Option<Vec<Part>> {
    let retries = stats.retried_total();
    let backoffs = stats.standing.as_ref().map(|standing| standing.backoffs).unwrap_or_default();
    if retries == 0 && backoffs.rows == 0 {
        return None;
    }
    let number = if has_label { count(retries) } else { plural(retries, "retry", "retries") };
    let causes = by_size(stats.retried.iter().map(|(cause, attempts)| (*attempts, cause.name())));
    let mut parts = vec![Part::new(9, format!("{number}: {causes}"), number)];
    if backoffs.rows > 0 {
        let wait = if backoffs.rows == 1 { "row waits" } else { "rows wait" };
        let next = format!("next in {}", countdown(backoffs.first_in));
        parts.push(Part::new(8, format!("{} {wait}, {next}", count(backoffs.rows as u64)), next));
    }
    Some(parts)
}

/// Returns lines about the limits of at most `most` pools. Each line is a list of parts.
fn pool_lines(stats: &Stats, columns: usize, most: usize) -> Vec<Vec<Part>> {
    let Some(standing) = stats.standing.as_ref().filter(|_| stats.waits_for_batches().is_none()) else {
        return Vec::new();
    };
    let pools = by_use(stats, standing.pools.iter());
    let (is_named, more) = (standing.pools.len() > 1, pools.len().saturating_sub(most));
    let mut lines: Vec<_> = pools
        .iter()
        .take(most)
        .enumerate()
        .map(|(at, pool)| {
            let more =
                (more > 0 && at + 1 == most).then(|| Part::new(7, format!("and {more} more"), format!("+{more}")));
            let room = columns.saturating_sub(more.as_ref().map_or(0, |more| width(&more.text) + 3));
            pool_parts(stats, pool, is_named, room).into_iter().chain(more).collect::<Vec<_>>()
        })
        .collect();
    lines.retain(|parts| !parts.is_empty());
    lines
}

/// In a run with several providers, returns the parts of one provider's line: `bedrock: 1,204 answered · used 83% of
/// requests, 12% of input tokens · sending`.
fn provider_parts(own: &OfProvider, stats: &Stats, columns: usize) -> Vec<Part> {
    let name = escape(&own.name);
    let answered = format!("{} answered", count(own.answered));
    let name = shorten(&name, 24);
    let mut parts = vec![Part::new(7, format!("{name}: {answered}"), &*name)];
    let state = State::of(own, stats);
    let tone = match state {
        State::Stopped(..) | State::Failing(_) => Tone::Fault,
        State::Diverted(..) | State::Held(_) => Tone::Notable,
        State::Sending | State::Idle => Tone::Usual,
    };
    let state = Part::new(6, state.words(), state.short_words()).in_tone(tone);
    if let Some(standing) = &stats.standing
        && let Some(pool) = by_use(stats, pools(own, stats)).first()
    {
        let others = super::parts::line_width(&parts) + width(&state.text) + 6;
        let uses = use_parts(stats, pool, Some(standing.reason), columns.saturating_sub(others));
        parts.extend(uses.into_iter().map(|part| part.optional_at(3)));
    }
    parts.push(state);
    parts
}

/// Returns the parts that show the cost so far and the expected cost of the whole run: `$12.00 spent · $195–206
/// expected in total`.
fn cost_parts(stats: &Stats) -> Vec<Part> {
    let spent = match stats.known_cost() {
        Some(cost) if stats.unpriced == 0 => Part::new(9, format!("{cost} spent"), cost.to_string()),
        Some(cost) => {
            let unknown = plural(stats.unpriced, "row", "rows");
            Part::new(9, format!("{cost} spent, and the unknown cost of {unknown}"), format!("{cost} + unknown"))
        }
        None => Part::new(9, "cost unknown", "$?"),
    };
    let projected = projected_cost(stats)
        .map(|range| Part::new(8, format!("{range} expected in total"), format!("{range} expected")));
    // On a narrow terminal, this part of the line is left out before other parts are shortened.
    let cache = stats.caching().map(|used| Part::optional(0, format!("cache hit rate {}", percent(used.hit_rate()))));
    [Some(spent), projected, cache].into_iter().flatten().collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::answers::tests::answers_of_all_kinds;
    use super::super::caching::tests::cached;
    use super::super::open_batches::tests::many;
    use super::super::stats::tests::{at, failed, pool, started, succeeded, without_price};
    use super::*;
    use std::time::Duration;

    use crate::domain::{
        Backoffs, BatchesStatus, Dimension, ErrorClass, EventBody, Failure, Outage, PoolStatus, Quality,
    };

    #[test]
    fn a_wide_terminal_shows_everything() {
        insta::assert_snapshot!(lines(&busy(), 120, false).join("\n"), @"
        rows      █░░░░░░░░░░░░░░░░░░░░░░░ 6% · 1,201 of 20,000 done · 1 failed · 601 rows/min
        time      2 min 00 s · about 31 min left (26–37 min)
        limits    used 83% of requests, 12% of input tokens, 96% of output tokens
        now       limited by output tokens per minute · 32 of 64 in flight
        cost      $12.00 spent · $195–206 expected in total
        ");
    }

    #[test]
    fn at_eighty_columns_parts_are_shortened_before_any_is_left_out() {
        insta::assert_snapshot!(lines(&busy(), 79, false).join("\n"), @"
        rows      ░░░░░░░░ 6% · 1,201 of 20,000 done · 1 failed · 601 rows/min
        time      2 min 00 s · about 31 min left (26–37 min)
        limits    used 83% of requests, 12% of input tokens, 96% of output tokens
        now       limited by output tokens per minute · 32 of 64 in flight
        cost      $12.00 spent · $195–206 expected in total
        ");
    }

    #[test]
    fn at_forty_columns_the_most_important_parts_stay() {
        insta::assert_snapshot!(lines(&busy(), 39, false).join("\n"), @"
        ░░░░░░░░ 6% · 1,201/20,000 · 1 failed
        2 min 00 s · about 31 min left
        used 96% of output tokens
        limited by output tokens per minute
        $12.00 spent · $195–206 expected
        ");
    }

    #[test]
    fn answers_that_are_not_ok_are_told_apart_from_failures_at_every_width() {
        let stats = answers_of_all_kinds();

        let shown = [140, 100, 79, 39].map(|columns| lines(&stats, columns, false).join("\n")).join("\n");

        insta::assert_snapshot!(shown, @"
        rows      ██████████████████████░░ 95% · 950 of 1,000 done · 3 truncated, 2 refused, 4 invalid · 1 failed · 649 rows/min
        time      1 min 29 s
        cost      $9.42 spent · $9.87–9.96 expected in total
        rows      ███████░ 95% · 950 of 1,000 done · 9 not ok · 1 failed · 649 rows/min
        time      1 min 29 s
        cost      $9.42 spent · $9.87–9.96 expected in total
        rows      ███████░ 95% · 950 of 1,000 done · 9 not ok · 1 failed · 649 rows/min
        time      1 min 29 s
        cost      $9.42 spent · $9.87–9.96 expected in total
        95% · 950/1,000 · 9 not ok · 1 failed
        1 min 29 s
        $9.42 spent · $9.87–9.96 expected
        ");
        let plain = super::super::plain::line(&stats);
        assert!(
            plain.contains(", 940 ok (31 repaired, 12 made longer), 3 truncated, 2 refused, 4 invalid, 1 failed, "),
            "{plain}"
        );
        for columns in 1..200 {
            assert!(lines(&stats, columns, false).iter().all(|line| width(line) <= columns), "{columns} columns");
        }
    }

    #[test]
    fn the_cost_of_models_without_a_price_is_shown_as_unknown() {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(10), 0)));
        stats.fold(&at(1, without_price()));
        stats.fold(&at(1, status(Vec::new())));

        let line = |columns| lines(&stats, columns, false).pop().unwrap_or_default();

        assert_eq!([line(120), line(9)], ["cost      cost unknown", "$?"]);
    }

    #[test]
    fn a_cost_of_which_only_a_part_is_known_does_not_look_like_the_whole_cost() {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(10), 0)));
        let usage = crate::domain::Usage { output_tokens: 9, ..Default::default() };
        for cost in [None, Some(crate::domain::Money::from_dollars(2.5))] {
            let body = EventBody::Succeeded {
                row: "r1".into(),
                pool: None,
                model: "m".into(),
                quality: Quality::Ok,
                usage,
                cost,
                without_cache: None,
                latency: Some(Duration::ZERO),
                first_byte: None,
                mended: None,
            };
            stats.fold(&at(1, body));
        }
        stats.fold(&at(1, status(Vec::new())));

        let line = |columns| lines(&stats, columns, false).pop().unwrap_or_default();

        assert_eq!([line(120), line(26)], ["cost      $2.50 spent, and the unknown cost of 1 row", "$2.50 + unknown"]);
    }

    #[test]
    fn the_hit_rate_of_the_cache_is_shown_if_there_is_room_and_left_out_first() {
        let mut stats = busy();
        stats.fold(&at(120, cached(900, Some(0.01), Some(0.02))));

        let line = |columns| lines(&stats, columns, false).pop().unwrap_or_default();

        assert!(line(140).ends_with(" expected in total · cache hit rate 100%"), "{}", line(140));
        assert!(!line(50).contains("cache") && line(50).ends_with(" expected in total"), "{}", line(50));
    }

    #[test]
    fn an_outage_is_shown_with_its_status_its_length_and_the_next_try() {
        let mut stats = busy();
        stats.fold(&at(121, outage()));

        let shown = [120, 79, 39].map(|columns| lines(&stats, columns, false).remove(3)).join("\n");
        let plain = super::super::plain::line(&stats);
        stats.fold(&at(122, EventBody::Outage(None)));

        insta::assert_snapshot!(shown, @"
        now       the endpoint is overloaded (529) for 42 s, next try in 3 s · 32 of 64 in flight
        now       the endpoint is overloaded (529) for 42 s, next try in 3 s
        529 for 42 s, next in 3 s
        ");
        assert!(plain.contains("the endpoint is overloaded (529) for 42 s, next try in 3 s"), "{plain}");
        assert!(!plain.contains("bound by") && !lines(&stats, 120, false).concat().contains("overloaded"), "{plain}");
    }

    fn outage() -> EventBody {
        let fault = Failure { status: Some(529), ..Failure::default() };
        let (lasted, next_try) = (Duration::from_secs(42), Some(Duration::from_secs(3)));
        EventBody::Outage(Some(Box::new(Outage { provider: "anthropic".into(), fault, lasted, next_try })))
    }

    #[test]
    fn a_run_that_waits_for_batches_shows_them_instead_of_the_limits() {
        let stats = waits_for(many());

        insta::assert_snapshot!([120, 79, 39].map(|columns| lines(&stats, columns, false).join("\n")).join("\n\n"), @"
        rows      ░░░░░░░░░░░░░░░░░░░░░░░░ <1% · 1 of 250,001 done
        time      7 s
        batches   25 batches in progress (250,000 rows) · submitted 12 min ago · the first expires in 23 h 48 min
        now       waiting for batches (most end within an hour)
        cost      $0.0100 spent

        rows      ░░░░░░░░░░░░░░░░░░░░░░░░ <1% · 1 of 250,001 done
        time      7 s
        batches   25 batches (250k) · 12 min old · expires in 23 h 48 min
        now       waiting for batches (most end within an hour)
        cost      $0.0100 spent

        ░░░░░░░░ <1% · 1 of 250,001 done
        7 s
        25 batches (250k) · 12 min old
        waiting for batches
        $0.0100 spent
        ");
    }

    #[test]
    fn a_run_that_sends_rows_online_too_shows_batches_and_limits() {
        let mut stats = waits_for(BatchesStatus { collecting: 2, is_unclear: true, is_canceling: true, ..many() });
        let (reason, pools) = (Reason::Limit(Dimension::Requests), vec![pool("haiku-4.5", [Some(0.1), None, None])]);
        let backoffs = Backoffs::default();
        stats.fold(&at(8, EventBody::Status { in_flight: 2, window: 16, reason, backoffs, pools }));

        insta::assert_snapshot!([120, 79, 39].map(|columns| lines(&stats, columns, false).join("\n")).join("\n\n"), @"
        rows      ░░░░░░░░░░░░░░░░░░░░░░░░ <1% · 1 of 250,001 done · 7.5 rows/min
        time      8 s
        batches   25 batches (250k) · 12 min old · collecting 2 · lost reply · canceling · expires in 23 h 48 min
        limits    1,000 requests, 450,000 input tokens, 90,000 output tokens per minute
        now       limited by requests per minute · 2 of 16 in flight
        cost      $0.0100 spent

        rows      ░░░░░░░░░░░░░░░░░░░░░░░░ <1% · 1 of 250,001 done · 7.5 rows/min
        time      8 s
        batches   25 batches (250k) · collecting 2 · lost reply · canceling
        limits    1,000 requests, 450,000 input tokens, 90,000 output tokens per minute
        now       limited by requests per minute · 2 of 16 in flight
        cost      $0.0100 spent

        ░░░░░░░░ <1% · 1/250,001 · 7.5 rows/min
        8 s
        25 batches (250k) · collecting 2
        1.0k requests, 450k in, 90.0k out /min
        limited by requests per minute
        $0.0100 spent
        ");
    }

    /// Returns the counters of a run of 250,001 rows. One row was answered online.
    fn waits_for(batches: BatchesStatus) -> Stats {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(250_001), 0)));
        stats.fold(&at(1, succeeded(Quality::Ok)));
        stats.fold(&at(7, EventBody::Batches(Some(batches))));
        let (reason, pools) = (Reason::Batches, Vec::new());
        stats
            .fold(&at(7, EventBody::Status { in_flight: 0, window: 16, reason, backoffs: Backoffs::default(), pools }));
        stats
    }

    #[test]
    fn a_pipe_shows_rows_without_a_bar() {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(None, 0)));
        (1..=5).for_each(|second| stats.fold(&at(second, succeeded(Quality::Ok))));

        assert_eq!(lines(&stats, 80, false)[0], "rows      5 rows done · 60 rows/min");
    }

    #[test]
    fn no_line_is_wider_than_any_terminal() {
        let mut down = busy();
        down.fold(&at(121, outage()));

        let mut both = waits_for(BatchesStatus { collecting: 2, is_unclear: true, is_canceling: true, ..many() });
        both.fold(&at(8, status(vec![pool("haiku-4.5", [Some(0.1), None, None])])));
        for stats in [busy(), down, both, waits_for(many()), waits_for(BatchesStatus::default())] {
            for columns in 1..200 {
                for line in lines(&stats, columns, false) {
                    assert!(width(&line) <= columns, "{columns} columns: {line}");
                }
            }
        }
    }

    #[test]
    fn on_a_low_terminal_the_most_important_lines_stay() {
        let first_words = |rows| -> Vec<String> {
            let lines = lines_in(&busy(), 100, rows, false);
            lines.iter().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
        };

        assert_eq!(first_words(24), ["rows", "time", "limits", "now", "cost"]);
        assert_eq!(first_words(8), ["rows", "time", "now", "cost"]);
        assert_eq!(first_words(5), ["rows", "time", "now"]);
        assert_eq!(first_words(2), ["rows"]);
    }

    #[test]
    fn colours_do_not_change_the_text() {
        let stats = busy();

        let colored = lines(&stats, 100, true).join("\n");

        assert!(colored.contains("\x1b["));
        assert_eq!(console::strip_ansi_codes(&colored), lines(&stats, 100, false).join("\n"));
    }

    #[test]
    fn a_hostile_pool_name_is_escaped() {
        let mut stats = Stats::default();
        stats.fold(&at(0, status(vec![pool("\x1b[2J\n", [Some(0.5), None, None])])));

        assert!(!lines(&stats, 120, false).concat().chars().any(char::is_control));
    }

    /// Returns the lines that show the state of a run. This function makes the bar itself, so tests can compare these
    /// lines with the drawn lines.
    pub(crate) fn lines(stats: &Stats, columns: usize, is_colored: bool) -> Vec<String> {
        lines_in(stats, columns, 24, is_colored)
    }

    /// Returns the lines of the live block for a terminal with this many rows.
    pub(crate) fn lines_in(stats: &Stats, columns: usize, rows: usize, is_colored: bool) -> Vec<String> {
        let Block { before, cells, after } = block(stats, columns, rows, is_colored);
        let bar = bar(stats.share().unwrap_or_default(), cells);
        format!("{before}{bar}{after}").lines().map(str::to_owned).collect()
    }

    fn bar(share: f64, cells: usize) -> String {
        let filled = ((share * cells as f64) as usize).min(cells);
        format!("{}{}", "█".repeat(filled), "░".repeat(cells - filled))
    }

    /// Returns the counters of a run that shows every part of the live lines.
    pub(crate) fn busy() -> Stats {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(20_000), 0)));
        for second in 1..=120 {
            (0..10).for_each(|_| stats.fold(&at(second, succeeded(Quality::Ok))));
        }
        stats.fold(&at(120, failed(ErrorClass::Server)));
        stats.fold(&at(120, status(vec![used("haiku-4.5", [0.83, 0.12, 0.96], 120)])));
        stats
    }

    /// Returns the status of a pool after a run of this many seconds. `shares` says how much of each limit the pool has
    /// used in these seconds.
    pub(crate) fn used(class: &str, shares: [f64; 3], seconds: u64) -> PoolStatus {
        let idle = pool(class, [Some(0.02), Some(0.5), Some(0.01)]);
        let allowed = Dimension::ALL.map(|own| idle.limits.of(own).map(|limit| u64::from(limit) * seconds / 60));
        let counted = Dimension::ALL.map(|own| (allowed[own.index()].unwrap_or(0) as f64 * shares[own.index()]) as u64);
        PoolStatus { counted, allowed, ..idle }
    }

    fn status(pools: Vec<PoolStatus>) -> EventBody {
        let (reason, backoffs) = (Reason::Limit(Dimension::OutputTokens), Backoffs::default());
        EventBody::Status { in_flight: 32, window: 64, reason, backoffs, pools }
    }
}
