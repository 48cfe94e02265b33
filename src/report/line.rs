//! The content of the live lines, fitted to a width. This module is pure, so every width can be tested.
//!
//! This module sets the place and the width of the bar. The code that draws the lines fills the bar.
//!
//! A line consists of parts. If not all parts fit, some are shortened. If that is not enough, some are left out. The
//! least important parts are shortened and left out first. A line is never too wide, so a terminal never wraps it.

use anstyle::{AnsiColor, Style};

use super::answers::Answers;
use super::open_batches;
use super::outlook::Outlook;
use super::plain::{projected_cost, rate_words, time_left_range};
use super::provider_states::{State, pools};
use super::providers::OfProvider;
use super::standing::Standing;
use super::stats::Stats;
use super::text::{count, duration, escape, percent, plural, short_count, shorten, width};
use super::words::{outage_words, short_outage};
use crate::domain::{BatchesStatus, Dimension, PoolStatus, Reason};

/// Several lines, separated by line breaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// The text before the bar, or the whole text if there is no bar.
    pub before: String,
    /// The width of the bar; 0 when there is none.
    pub cells: usize,
    /// The text after the bar.
    pub after: String,
}

/// One piece of a line.
struct Part {
    /// The long form.
    long: String,
    /// The short form. A part without a short form is left out when parts of its rank are shortened.
    short: String,
    /// Parts with a higher rank are dropped later.
    rank: u8,
    /// The separator before the part. The first part of a line has no separator.
    joint: &'static str,
    style: Style,
    /// Whether the part is only the space for the bar.
    is_bar: bool,
}

impl Part {
    fn new(rank: u8, long: impl Into<String>, short: impl Into<String>) -> Self {
        Self { long: long.into(), short: short.into(), rank, joint: " · ", style: Style::new(), is_bar: false }
    }

    fn bar(rank: u8, long: usize, short: usize) -> Self {
        Self { is_bar: true, ..Self::new(rank, " ".repeat(long), " ".repeat(short)) }
    }

    fn colored(self, color: AnsiColor) -> Self {
        Self { style: color.on_default(), ..self }
    }

    fn after(self, joint: &'static str) -> Self {
        Self { joint, ..self }
    }
}

/// Returns the lines that show the state of a run. No line is wider than `columns`.
pub(crate) fn block(stats: &Stats, columns: usize, is_colored: bool) -> Block {
    let mut block = Block::default();
    block.push_line(rows_line(stats), columns, is_colored);
    if let Some(batches) = &stats.batches {
        block.push("\n");
        block.push_line(batches_line(stats, batches), columns, is_colored);
    }
    if let Some(standing) = stats.standing.as_ref().filter(|_| stats.waits_for_batches().is_none()) {
        block.push("\n");
        block.push_line(limits_line(stats, standing), columns, is_colored);
    }
    for own in stats.providers.several() {
        block.push("\n");
        block.push_line(provider_line(own, stats), columns, is_colored);
    }
    block
}

impl Block {
    /// Appends the parts as one line of at most `columns`.
    fn push_line(&mut self, mut parts: Vec<Part>, columns: usize, is_colored: bool) {
        fit(&mut parts, columns);
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                self.push(part.joint);
            }
            let style = if is_colored { part.style } else { Style::new() };
            self.push(&style.render().to_string());
            if part.is_bar {
                self.cells = width(&part.long);
            } else {
                // Only a line of a single part can still be too wide here. That part is cut.
                self.push(&shorten(&part.long, columns));
            }
            self.push(&style.render_reset().to_string());
        }
    }

    fn push(&mut self, text: &str) {
        if self.cells == 0 { self.before.push_str(text) } else { self.after.push_str(text) }
    }
}

/// Returns the parts of the progress line: `1,234/20,000 ████░░░░ 6% · 2 failed · 412 rows/min · about 45 min left
/// (40–52 min)`.
fn rows_line(stats: &Stats) -> Vec<Part> {
    let finished = stats.finished();
    let mut parts = Vec::new();
    match (stats.total, stats.share()) {
        (Some(total), Some(share)) => {
            parts.push(Part::new(
                9,
                format!("{}/{}", count(finished), count(total)),
                format!("{}/{}", short_count(finished), short_count(total)),
            ));
            parts.push(Part::bar(2, 24, 8).after(" ").colored(AnsiColor::Cyan));
            parts.push(Part::new(6, percent(share), percent(share)).after(" "));
        }
        _ => parts.push(Part::new(9, plural(finished, "row", "rows"), short_count(finished))),
    }
    parts.extend(answers_parts(stats));
    if let Some(rate) = stats.rows_per_minute() {
        parts.push(Part::new(4, format!("{} rows/min", rate_words(rate)), format!("{}/min", rate_words(rate))));
    }
    let outlook = stats.outlook();
    if let Some((long, short)) = outlook.words().zip(outlook.short_words()) {
        let part = Part::new(7, long, short);
        parts.push(match outlook {
            // A line of its own says what the run waits for.
            Outlook::Batches(_) => Part::new(7, part.short, "waiting").colored(AnsiColor::Yellow),
            Outlook::Waiting { .. } => part.colored(AnsiColor::Yellow),
            Outlook::Unknown | Outlook::Left(_) => part,
        });
        // If the line is too long, the bar becomes shorter first. Then this part is left out, and only then are other
        // parts shortened.
        parts.extend(time_left_range(stats).map(|range| Part::new(3, format!("({range})"), "").after(" ")));
        let usual = stats.batches.as_ref().filter(|_| matches!(outlook, Outlook::Batches(_)));
        let usual = usual.and_then(open_batches::experience);
        parts.extend(usual.map(|usual| Part::new(3, format!("({usual})"), "").after(" ")));
    }
    parts
}

/// Returns the parts about answers that are not simply ok, and about failed rows: `940 ok (31 repaired, 12 grown) · 3
/// truncated, 2 refused · 1 failed`.
fn answers_parts(stats: &Stats) -> Vec<Part> {
    let answers = Answers::of(stats);
    // The first part is left out before any other part of the line is shortened.
    let ok = answers.ok_words(&stats.mended).map(|words| Part::new(1, words, ""));
    let not_ok = answers.not_ok_words().map(|words| {
        Part::new(7, words, format!("{} not ok", short_count(answers.not_ok()))).colored(AnsiColor::Yellow)
    });
    let failed = (answers.failed > 0).then(|| {
        let (long, short) =
            (format!("{} failed", count(answers.failed)), format!("{} bad", short_count(answers.failed)));
        Part::new(8, long, short).colored(AnsiColor::Red)
    });
    [ok, not_ok, failed].into_iter().flatten().collect()
}

/// Returns the parts of the line about batches: `25 batches in progress (250,000 rows) · submitted 12 min ago · the
/// first expires in 23 h 48 min`. If the run does nothing but wait for them, the cost is in this
/// line too.
fn batches_line(stats: &Stats, batches: &BatchesStatus) -> Vec<Part> {
    let pieces = open_batches::pieces(batches).into_iter();
    let mut parts: Vec<_> = pieces.map(|(rank, long, short)| Part::new(rank, long, short)).collect();
    if stats.waits_for_batches().is_some() {
        parts.extend(cost_parts(stats));
    }
    parts
}

/// Returns the parts of the line that shows why the run is not faster: `haiku-4.5 · req ▇ 83% · in ▁ 12% · out ▃ 40% ·
/// output tokens per minute · 32/64 in flight · $1.23 of $8.40–9.10`.
fn limits_line(stats: &Stats, standing: &Standing) -> Vec<Part> {
    let mut parts = Vec::new();
    // With several providers, each has a line of its own, which shows its limits and its outage.
    let has_several = stats.providers.are_several();
    let busiest = standing.busiest().filter(|_| !has_several);
    if let Some(pool) = busiest {
        parts.extend(pool_parts(pool, standing.reason));
    }
    let held = busiest.and_then(|pool| pool.held_for);
    let outage = stats.outage.as_ref().filter(|_| !has_several);
    parts.push(match (standing.reason, held, outage) {
        (_, _, Some(outage)) => Part::new(10, outage_words(outage), short_outage(outage)).colored(AnsiColor::Red),
        (Reason::Hold, Some(wait), None) => {
            Part::new(8, format!("held {}", duration(wait)), duration(wait)).colored(AnsiColor::Yellow)
        }
        (reason, _, None) => Part::new(8, reason.name(), short_reason(reason)).colored(AnsiColor::Yellow),
    });
    let (in_flight, window) = (standing.in_flight as u64, standing.window as u64);
    parts.push(Part::new(
        6,
        format!("{}/{} in flight", count(in_flight), count(window)),
        format!("{}/{}", short_count(in_flight), short_count(window)),
    ));
    parts.extend(cost_parts(stats));
    // This part is left out before any other part is shortened.
    parts.extend(stats.caching().map(|used| Part::new(0, format!("cache {}", percent(used.hit_rate())), "")));
    parts
}

/// Returns the name of a pool and the levels of its buckets.
fn pool_parts(pool: &PoolStatus, reason: Reason) -> Vec<Part> {
    let name = pool.pool.to_string();
    let name = escape(&name);
    let name = Part::new(1, shorten(&name, 24), shorten(&name, 10));
    let gauges = Dimension::ALL.into_iter().filter_map(|dimension| gauge(pool, dimension, reason));
    [name].into_iter().chain(gauges).collect()
}

/// Returns the parts of the line of a provider, if a run has several: `bedrock · 1,204 answered · haiku-4.5 · req ▇ 83%
/// · in ▁ 12% · out ▃ 40% · sending`.
fn provider_line(own: &OfProvider, stats: &Stats) -> Vec<Part> {
    let name = escape(&own.name);
    let answered = (format!("{} answered", count(own.answered)), short_count(own.answered));
    let mut parts = vec![Part::new(9, shorten(&name, 24), shorten(&name, 12)), Part::new(7, answered.0, answered.1)];
    let state = State::of(own, stats);
    if let Some(standing) = &stats.standing
        && let Some(pool) = Standing::busiest_of(pools(own, stats))
    {
        parts.extend(pool_parts(pool, standing.reason));
    }
    let color = match state {
        State::Stopped(..) | State::Failing(_) => Some(AnsiColor::Red),
        State::Diverted(..) | State::Held(_) => Some(AnsiColor::Yellow),
        State::Sending | State::Idle => None,
    };
    let part = Part::new(8, state.words(), state.short_words());
    parts.push(match color {
        Some(color) => part.colored(color),
        None => part,
    });
    parts
}

/// Returns the cost so far, and what the whole run will cost.
fn cost_parts(stats: &Stats) -> Vec<Part> {
    let spent = match stats.known_cost() {
        Some(cost) if stats.unpriced == 0 => Part::new(7, cost.to_string(), cost.to_string()),
        Some(cost) => Part::new(7, format!("{cost} + unknown"), format!("{cost}+?")),
        None => Part::new(7, "cost unknown", "$?"),
    };
    // All other parts are shortened before this part is left out. No other part is left out to make room for it.
    let projected = projected_cost(stats).map(|range| Part::new(9, format!("of {range}"), "").after(" "));
    [spent].into_iter().chain(projected).collect()
}

/// Returns the fill level of one bucket. If the line is too long, the bucket that slows the run down is left out last.
fn gauge(pool: &PoolStatus, dimension: Dimension, reason: Reason) -> Option<Part> {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let level = pool.level[dimension.index()]?.clamp(0.0, 1.0);
    let name = match dimension {
        Dimension::Requests => "req",
        Dimension::InputTokens => "in",
        Dimension::OutputTokens => "out",
    };
    let block = BLOCKS[((level * 7.0).round() as usize).min(7)];
    let rank = if reason == Reason::Limit(dimension) { 5 } else { 3 };
    Some(Part::new(rank, format!("{name} {block} {}", percent(level)), format!("{name} {}", percent(level))))
}

fn short_reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Limit(Dimension::Requests) => "rpm",
        Reason::Limit(Dimension::InputTokens) => "itpm",
        Reason::Limit(Dimension::OutputTokens) => "otpm",
        Reason::Window => "window",
        Reason::Hold => "held",
        Reason::Ramp => "ramp",
        Reason::Probe => "probe",
        Reason::Gate => "warm-up",
        Reason::Backoff => "backoff",
        Reason::Budget => "budget",
        Reason::Input => "input",
        Reason::Memory => "memory",
        Reason::Disk => "disk",
        Reason::Paused => "paused",
        Reason::Batches => "batches",
        Reason::Draining => "last",
    }
}

/// Shortens parts, and then drops parts, until the line fits. The lowest rank comes first.
fn fit(parts: &mut Vec<Part>, columns: usize) {
    let mut ranks = parts.iter().map(|part| part.rank).collect::<Vec<_>>();
    ranks.sort_unstable();
    for rank in &ranks {
        if total_width(parts) <= columns {
            return;
        }
        parts.iter_mut().filter(|part| part.rank == *rank).for_each(|part| part.long = part.short.clone());
        parts.retain(|part| !part.long.is_empty());
    }
    while total_width(parts) > columns && parts.len() > 1 {
        let lowest = parts.iter().map(|part| part.rank).min().unwrap_or(0);
        // If several parts have the same rank, the last one is dropped first, because a line is read from its start.
        let Some(at) = parts.iter().rposition(|part| part.rank == lowest) else { return };
        parts.remove(at);
    }
}

fn total_width(parts: &[Part]) -> usize {
    let joints = parts.iter().skip(1).map(|part| width(part.joint)).sum::<usize>();
    joints + parts.iter().map(|part| width(&part.long)).sum::<usize>()
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::answers::tests::answers_of_all_kinds;
    use super::super::caching::tests::cached;
    use super::super::open_batches::tests::many;
    use super::super::stats::tests::{at, failed, pool, started, succeeded, without_price};
    use super::*;
    use std::time::Duration;

    use crate::domain::{Backoffs, ErrorClass, EventBody, Failure, Outage, Quality};

    #[test]
    fn a_wide_terminal_shows_everything() {
        insta::assert_snapshot!(lines(&busy(), 120, false).join("\n"), @"
        1,201/20,000 █░░░░░░░░░░░░░░░░░░░░░░░ 6% · 1 failed · 601 rows/min · about 31 min left (26–37 min)
        haiku-4.5 · req ▇ 83% · in ▂ 12% · out ▁ <1% · output tokens per minute · 32/64 in flight · $12.00 of $195–206
        ");
    }

    #[test]
    fn eighty_columns_shorten_before_they_drop() {
        insta::assert_snapshot!(lines(&busy(), 79, false).join("\n"), @"
        1,201/20,000 ░░░░░░░░ 6% · 1 failed · 601 rows/min · about 31 min left
        haiku-4.5 · req 83% · in 12% · out <1% · otpm · 32/64 · $12.00 of $195–206
        ");
    }

    #[test]
    fn forty_columns_keep_the_most_important_parts() {
        insta::assert_snapshot!(lines(&busy(), 39, false).join("\n"), @"
        1.2k/20.0k 6% · 1 bad · 31 min
        out <1% · otpm · 32/64 · $12.00
        ");
    }

    #[test]
    fn answers_that_are_not_ok_are_told_apart_from_failures_at_every_width() {
        let stats = answers_of_all_kinds();

        let shown = [140, 100, 79, 39].map(|columns| lines(&stats, columns, false).join("\n")).join("\n");

        insta::assert_snapshot!(shown, @"
        950/1,000 ██████████████████████░░ 95% · 940 ok (31 repaired, 12 grown) · 3 truncated, 2 refused, 4 invalid · 1 failed · 649 rows/min
        950/1,000 ██████████████████████░░ 95% · 3 truncated, 2 refused, 4 invalid · 1 failed · 649 rows/min
        950/1,000 ███████░ 95% · 3 truncated, 2 refused, 4 invalid · 1 failed · 649/min
        950/1.0k 95% · 9 not ok · 1 bad
        ");
        let plain = super::super::plain::line(&stats);
        assert!(
            plain.contains(", 940 ok (31 repaired, 12 grown), 3 truncated, 2 refused, 4 invalid, 1 failed, "),
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

        assert!(line(120).ends_with(" · cost unknown"), "{}", line(120));
        assert!(line(26).ends_with(" · $?") && !line(26).contains("$0"), "{}", line(26));
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

        assert!(line(120).ends_with(" · $2.50 + unknown"), "{}", line(120));
        assert!(line(26).ends_with(" · $2.50+?"), "{}", line(26));
    }

    #[test]
    fn the_hit_rate_of_the_cache_is_shown_if_there_is_room_and_left_out_first() {
        let mut stats = busy();
        stats.fold(&at(120, cached(900, Some(0.01), Some(0.02))));

        let line = |columns| lines(&stats, columns, false).pop().unwrap_or_default();

        assert!(line(140).contains(" · $12.01 of $195–206 · cache 100%"), "{}", line(140));
        assert!(!line(116).contains("cache") && line(116).contains("haiku-4.5 · req ▇ 83%"), "{}", line(116));
    }

    #[test]
    fn an_outage_is_shown_with_its_status_its_length_and_the_next_try() {
        let mut stats = busy();
        stats.fold(&at(121, outage()));

        let shown = [120, 79, 39].map(|columns| lines(&stats, columns, false).remove(1)).join("\n");
        let plain = super::super::plain::line(&stats);
        stats.fold(&at(122, EventBody::Outage(None)));

        insta::assert_snapshot!(shown, @"
        haiku-4.5 · req 83% · in 12% · out <1% · the endpoint is overloaded (529) for 42 s, next try in 3 s · 32/64 · $12.00
        req 83% · in 12% · out <1% · 529 for 42 s, next 3 s · 32/64 · $12.00
        529 for 42 s, next 3 s · 32/64 · $12.00
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
        1/250,001 ░░░░░░░░░░░░░░░░░░░░░░░░ <1% · waiting for batches (most end within an hour)
        25 batches in progress (250,000 rows) · submitted 12 min ago · the first expires in 23 h 48 min · $0.0100

        1/250,001 ░░░░░░░░ <1% · waiting for batches (most end within an hour)
        25 batches (250k) · 12 min ago · expires in 23 h 48 min · $0.0100

        1/250,001 ░░░░░░░░ <1% · waiting
        25 batches (250k) · 12 min ago
        ");
    }

    #[test]
    fn a_run_that_sends_rows_online_too_shows_batches_and_limits() {
        let mut stats = waits_for(BatchesStatus { collecting: 2, is_unclear: true, is_canceling: true, ..many() });
        let (reason, pools) = (Reason::Limit(Dimension::Requests), vec![pool("haiku-4.5", [Some(0.1), None, None])]);
        let backoffs = Backoffs::default();
        stats.fold(&at(8, EventBody::Status { in_flight: 2, window: 16, reason, backoffs, pools }));

        insta::assert_snapshot!([120, 79, 39].map(|columns| lines(&stats, columns, false).join("\n")).join("\n\n"), @"
        1/250,001 ░░░░░░░░░░░░░░░░░░░░░░░░ <1% · 7.5 rows/min · waiting for batches (most end within an hour)
        25 batches in progress (250,000 rows) · 12 min ago · collecting 2 · lost reply · cancelling · expires in 23 h 48 min
        haiku-4.5 · req ▂ 10% · requests per minute · 2/16 in flight · $0.0100

        1/250,001 ░░░░░░░░ <1% · 7.5 rows/min · waiting for batches
        25 batches (250k) · 12 min ago · collecting 2 · lost reply · cancelling
        haiku-4.5 · req ▂ 10% · requests per minute · 2/16 in flight · $0.0100

        1/250k ░░░░░░░░ <1% · 7.5/min · waiting
        25 batches (250k) · collecting 2
        req 10% · rpm · 2/16 · $0.0100
        ");
    }

    /// Returns a run of 250,001 rows. One row was answered online.
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

        assert_eq!(lines(&stats, 80, false), ["5 rows · 60 rows/min"]);
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

    /// Returns the lines that show the state of a run, with a bar made by this function. Tests compare them with the
    /// drawn lines.
    pub(crate) fn lines(stats: &Stats, columns: usize, is_colored: bool) -> Vec<String> {
        let Block { before, cells, after } = block(stats, columns, is_colored);
        let bar = bar(stats.share().unwrap_or_default(), cells);
        format!("{before}{bar}{after}").lines().map(str::to_owned).collect()
    }

    fn bar(share: f64, cells: usize) -> String {
        let filled = ((share * cells as f64) as usize).min(cells);
        format!("{}{}", "█".repeat(filled), "░".repeat(cells - filled))
    }

    /// Returns the state of a run that shows every part of the line.
    pub(crate) fn busy() -> Stats {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(20_000), 0)));
        for second in 1..=120 {
            (0..10).for_each(|_| stats.fold(&at(second, succeeded(Quality::Ok))));
        }
        stats.fold(&at(120, failed(ErrorClass::Server)));
        stats.fold(&at(120, status(vec![pool("haiku-4.5", [Some(0.83), Some(0.12), Some(0.004)])])));
        stats
    }

    fn status(pools: Vec<PoolStatus>) -> EventBody {
        let (reason, backoffs) = (Reason::Limit(Dimension::OutputTokens), Backoffs::default());
        EventBody::Status { in_flight: 32, window: 64, reason, backoffs, pools }
    }
}
