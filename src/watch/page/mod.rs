//! The report of a run: one HTML page, made from the facts of the run.
//!
//! The page needs no other files: it loads nothing, links to nothing, and contains no script. The size of the page
//! depends on the number of points in the history, not on the number of rows. All text from files is escaped.
//!
//! | file | content |
//! |---|---|
//! | `html.rs` | parts of HTML pages, and the escaping of text |
//! | `axis.rs`, `chart.rs` | charts as SVG |
//! | `history.rs`, `uses.rs` | the charts of the run over time |
//! | `rows.rs` | answers, failures, latencies, money |
//! | `style.css` | how the page looks, on a screen and on paper |

mod axis;
mod chart;
mod history;
mod html;
mod rows;
#[cfg(test)]
mod tests;
mod uses;

use std::fmt::Write as _;
use std::time::Duration;

use self::history::History;
use self::html::{Set, money, paragraph, section, table, text, whole};
use super::facts::{RunFacts, State};
use crate::report::text::{count, duration, percent, plural, short_count};

const STYLE: &str = include_str!("style.css");

/// Returns the whole page as HTML.
pub(crate) fn page(facts: &RunFacts) -> String {
    let history = History::of(facts);
    let name = text(&file_name(&facts.name));
    let mut out = format!(
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=referrer content=no-referrer>\n<meta name=color-scheme content=\"light dark\">\n\
         <meta name=viewport content=\"width=device-width, initial-scale=1\">\n<title>{name}: report</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n"
    );
    let _ = write!(
        out,
        "<header><p class=kicker>claude-batch report · {name}</p>\n<h1>{}</h1>\n<p class=lead>{}</p>\n</header>\n<main>\n{}",
        text(&headline(facts, &history)),
        text(&lead(facts, &history)),
        sums(facts, &history)
    );
    out.push_str(&section("asked", "What was asked", &asked(facts)));
    out.push_str(&section("came", "What came", &rows::outcome(facts)));
    out.push_str(&section("rate", "Rate", &history.rate()));
    out.push_str(&section("limits", "Limits", &history.limits()));
    out.push_str(&section("latency", "Latency", &rows::latencies(facts)));
    out.push_str(&section("money", "Tokens and money", &rows::costs(facts, &history)));
    out.push_str(&section("requests", "Requests", &requests(facts, &history)));
    out.push_str(&section("happened", "What happened", &happened(facts)));
    out.push_str(&section("next", "How to go on", &next(facts)));
    out.push_str(&section("made", "How this was made", &made(&history)));
    let _ = write!(
        out,
        "</main>\n<footer>Made {} by claude-batch {}.</footer>\n</body>\n</html>\n",
        facts.made_at.strftime("%Y-%m-%d %H:%M:%S UTC"),
        text(facts.tool)
    );
    out
}

fn file_name(path: &str) -> String {
    path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned()
}

fn answered(facts: &RunFacts) -> u64 {
    let totals = &facts.answers.totals;
    totals.ok + totals.truncated + totals.refused + totals.unknown
}

fn total(facts: &RunFacts) -> Option<u64> {
    facts.timeline.as_ref()?.runs.last()?.total
}

fn elapsed(history: &History<'_>) -> Duration {
    Duration::try_from_secs_f64(history.seconds()).unwrap_or_default()
}

fn headline(facts: &RunFacts, history: &History<'_>) -> String {
    let state = match &facts.state {
        State::Running { .. } => "In progress".to_owned(),
        State::Killed => "Killed".to_owned(),
        State::Stopped(reason) => format!("Stopped: {reason}"),
        State::Finished => "Finished".to_owned(),
        State::Ended => "Not in progress".to_owned(),
    };
    let rows = match total(facts).filter(|total| *total > answered(facts)) {
        Some(total) => format!("{} of {} answered", count(answered(facts)), plural(total, "row", "rows")),
        None => format!("{} answered", plural(answered(facts), "row", "rows")),
    };
    let failed = match facts.failures.rows() {
        0 => String::new(),
        failed => format!(", {} failed", count(failed)),
    };
    let time = match elapsed(history) {
        time if time.is_zero() => String::new(),
        time => format!(" in {}", duration(time)),
    };
    format!("{state}. {rows}{failed},{time} for {}.", money(facts.totals.spend))
}

/// Returns a sentence that says what slowed the run down.
fn lead(facts: &RunFacts, history: &History<'_>) -> String {
    if !history.is_full {
        return match (history.points.is_empty(), &facts.timeline) {
            (true, _) => "No row has ended yet.".to_owned(),
            (false, _) => "It is not known what held the run back, because the run has no history.".to_owned(),
        };
    }
    match history.reasons().first() {
        Some((name, share)) if *share >= 0.2 => {
            format!("It was mostly held back by {name}: {} of the time.", percent(*share))
        }
        Some((name, share)) => {
            format!("Little held it back; {name} most, for {} of the time.", percent(*share))
        }
        None => "Nothing held it back.".to_owned(),
    }
}

/// Returns the most important numbers of the run as HTML.
fn sums(facts: &RunFacts, history: &History<'_>) -> String {
    let usage = &facts.totals.usage;
    let rows = answered(facts);
    let minutes = history.seconds() / 60.0;
    let of = total(facts).map(|total| format!("of {} in the input", count(total)));
    let rate = (minutes > 0.0).then(|| format!("{} rows per minute", chart::number(rows as f64 / minutes)));
    let runs = facts.timeline.as_ref().map_or(0, |timeline| timeline.runs.len() as u64);
    let per_row = (rows > 0)
        .then(|| format!("{} per answer", money(crate::domain::Money(facts.totals.spend.0 / u128::from(rows)))));
    let time = match elapsed(history) {
        time if time.is_zero() => "–".to_owned(),
        time => duration(time),
    };
    let tokens = usage.prompt_tokens().saturating_add(usage.output_tokens);
    let entries = [
        ("Rows answered", count(rows), of.or(rate.clone())),
        ("Rows failed", count(facts.failures.rows()), None),
        ("Time", time, if runs > 1 { Some(format!("in {runs} runs")) } else { rate }),
        ("Cost", money(facts.totals.spend), per_row),
        ("Tokens", short_count(tokens), Some(format!("{} output", short_count(usage.output_tokens)))),
    ];
    let mut out = String::from("<dl class=sums>\n");
    for (name, value, more) in entries {
        let more = more.map(|more| format!("<small>{}</small>", text(&more))).unwrap_or_default();
        let _ = writeln!(out, "<div><dt>{name}</dt><dd>{}{more}</dd></div>", text(&value));
    }
    out.push_str("</dl>\n");
    out
}

fn asked(facts: &RunFacts) -> String {
    let mut out = String::new();
    for words in &facts.missing {
        out.push_str(&paragraph(words));
    }
    if facts.asked.is_empty() {
        return out;
    }
    out.push_str("<dl class=facts>\n");
    for (name, value) in &facts.asked {
        let _ = writeln!(out, "<dt>{}</dt><dd>{}</dd>", text(name), text(value));
    }
    out.push_str("</dl>\n");
    out
}

fn requests(facts: &RunFacts, history: &History<'_>) -> String {
    let answers = &facts.answers;
    let mut out = String::new();
    if history.is_full {
        let sum =
            |of: fn(&super::timeline::Point) -> u64| count(history.points.iter().map(of).fold(0, u64::saturating_add));
        let rows = vec![
            vec!["sent".to_owned(), sum(|point| point.sent)],
            vec!["tried again after a 429".to_owned(), sum(|point| point.refused)],
            vec!["tried again after another failure".to_owned(), sum(|point| point.retried)],
        ];
        out.push_str(&table("Requests", &[("Requests", Set::Wide), ("Number", Set::Number)], &rows));
    }
    if answers.attempts > 0 {
        out.push_str(&paragraph(&format!(
            "{} needed {}; {} needed more than one.",
            plural(answered(facts), "answered row", "answered rows"),
            plural(answers.attempts, "attempt", "attempts"),
            count(answers.retried)
        )));
    }
    out.push_str(&history.requests());
    out.push_str(&history.raw());
    out
}

/// Returns the section about the runs and their notes.
fn happened(facts: &RunFacts) -> String {
    let Some(timeline) = &facts.timeline else { return String::new() };
    let mut out = String::new();
    let time = |at: jiff::Timestamp| at.strftime("%Y-%m-%d %H:%M:%S").to_string();
    let is_last = |run: &super::timeline::RunSpan| timeline.runs.last().is_some_and(|last| last.run == run.run);
    let row = |run: &super::timeline::RunSpan| {
        let end = match (&run.reason, run.has_ended) {
            (Some(reason), _) => format!("stopped: {reason}"),
            (None, true) => "ended with the last row".to_owned(),
            (None, false) if matches!(facts.state, State::Running { .. }) => "in progress".to_owned(),
            (None, false) if facts.state == State::Ended && is_last(run) => "not known".to_owned(),
            (None, false) => "killed".to_owned(),
        };
        vec![run.run.clone(), time(run.started_at), time(run.ended_at), count(run.max_in_flight), end]
    };
    let rows: Vec<Vec<String>> = timeline.runs.iter().map(row).collect();
    if !rows.is_empty() {
        let columns = [
            ("Run", Set::Short),
            ("Begin (UTC)", Set::Short),
            ("End (UTC)", Set::Short),
            ("Most in flight", Set::Number),
            ("How it ended", Set::Wide),
        ];
        out.push_str(&table("Runs with these results", &columns, &rows));
    }
    if !timeline.notes.is_empty() {
        out.push_str("<ol class=notes>\n");
        for note in &timeline.notes {
            let _ =
                writeln!(out, "<li><span class=soft>{}</span> <span>{}</span></li>", time(note.at), text(&note.text));
        }
        out.push_str("</ol>\n");
    }
    out
}

fn next(facts: &RunFacts) -> String {
    let mut out = String::new();
    for (words, line) in &facts.next {
        let _ = write!(out, "<p>{}</p>\n<pre>{}</pre>\n", text(words), whole(line));
    }
    out
}

fn made(history: &History<'_>) -> String {
    let mut items = vec![
        "Rows, failures, tokens and money are exact: they are sums over the lines of the results file and the error log, and over the sums that the run folder keeps of removed lines.",
        "If a row was answered again, each of its lines counts until the run that answered it ends.",
        "Money is the list price of the tokens that the API reported. Discounts and taxes are not known.",
        "Percentiles are taken from counts of durations. They can be wrong by 3%.",
    ];
    if history.is_full {
        items.push("Charts have at most 300 steps. Older steps are merged, so a short peak of a long run is lower than it was.");
        items.push("The use of a limit is what counted against it, divided by what it allowed in the same time. The levels are: low up to 50%, moderate up to 75%, high up to 90%, critical above.");
    } else {
        items.push("The rate over time is estimated from the times at which rows ended. A run lasts from its first to its last row.");
    }
    items.push("This page contains ids and messages of failures, but no prompts and no answers. Quoted texts in messages are left out. It loads nothing and can be made again at any time.");
    let items: String = items.iter().map(|item| format!("<li>{}</li>\n", whole(item))).collect();
    format!("<ul>\n{items}</ul>\n")
}
