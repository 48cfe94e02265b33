//! The sections of the page about rows: answers, failures, latencies and costs.

use std::fmt::Write as _;
use std::time::Duration;

use super::history::History;
use super::html::{Set, dollars, latency, money, paragraph, remark, table};
use crate::domain::Money;
use crate::report::histogram::Histogram;
use crate::report::text::{count, percent, plural};
use crate::watch::facts::{RunFacts, TopRow};
use crate::watch::timeline::Timeline;

/// The number of failed rows that are shown at first. The other failed rows are in a list that the reader can open.
const SHOWN_FAILURES: usize = 10;

/// Returns the section of the page about answers and failures.
pub(super) fn outcome(facts: &RunFacts) -> String {
    let (answers, failures) = (&facts.answers, &facts.failures);
    let totals = &answers.totals;
    let answered = totals.ok + totals.truncated + totals.refused + totals.unknown;
    let all = answered + failures.rows() + failures.unfinished;
    let share = |rows: u64| if all == 0 { "–".to_owned() } else { percent(rows as f64 / all as f64) };
    let mut rows = vec![vec!["complete answers".to_owned(), count(totals.ok), share(totals.ok)]];
    let mut add = |name: &str, number: u64| {
        if number > 0 {
            rows.push(vec![name.to_owned(), count(number), share(number)]);
        }
    };
    add("truncated answers", totals.truncated);
    add("refusals", totals.refused);
    add("answers that ended for an unknown reason", totals.unknown);
    failures.by_class.iter().for_each(|(class, number)| add(&format!("failed: {class}"), *number));
    add("not finished: another request was needed", failures.unfinished);
    let columns = [("What came", Set::Wide), ("Rows", Set::Number), ("Share", Set::Number)];
    let mut out = table("Rows by outcome", &columns, &rows);
    let taken: Vec<String> = [
        (answers.batch, "came in batches"),
        (answers.copied, "were copied from equal rows"),
        (answers.reused, "were taken from earlier results"),
    ]
    .into_iter()
    .filter(|(rows, _)| *rows > 0)
    .map(|(rows, words)| format!("{} {words}", count(rows)))
    .collect();
    if !taken.is_empty() {
        out.push_str(&paragraph(&format!("Of the answers, {}.", taken.join(", "))));
    }
    if failures.is_rough {
        out.push_str(&remark("The error log is so long that failures are counted even if the row was answered later."));
    }
    out.push_str(&failed_rows(facts));
    out
}

fn failed_rows(facts: &RunFacts) -> String {
    let failures = &facts.failures;
    if failures.examples.is_empty() {
        return String::new();
    }
    let row = |failure: &crate::journal::FailureText| {
        vec![
            failure.label.clone(),
            failure.class.map(|class| class.to_string()).unwrap_or_default(),
            failure.status.map_or_else(|| "–".to_owned(), |status| status.to_string()),
            count(failure.attempts),
            redacted(&failure.message),
        ]
    };
    let columns = [
        ("Row", Set::Wide),
        ("Class", Set::Short),
        ("Status", Set::Number),
        ("Attempts", Set::Number),
        ("Message", Set::Wide),
    ];
    let rows: Vec<Vec<String>> = failures.examples.iter().map(row).collect();
    let (first, more) = rows.split_at(rows.len().min(SHOWN_FAILURES));
    let (shown, all) = (rows.len() as u64, failures.rows());
    let mut out = table(
        &format!("{} of {}", count(first.len() as u64), plural(all, "failed row", "failed rows")),
        &columns,
        first,
    );
    if !more.is_empty() {
        let caption = format!("{} more, so {} in all", count(more.len() as u64), count(shown));
        let more = table(&caption, &columns, more);
        let _ = writeln!(out, "<details><summary>More failed rows</summary>{more}</details>");
    }
    out
}

/// Returns a message with `…` in place of quoted texts, because they can come from a prompt or an answer. A short
/// quoted word, such as the name of a parameter, is kept.
fn redacted(message: &str) -> String {
    const MOST: usize = 32;
    let mut shown = String::new();
    let mut rest = message;
    while let Some(begin) = rest.find(['"', '`', '“']) {
        let quote = rest[begin..].chars().next().unwrap_or('"');
        let close = if quote == '“' { '”' } else { quote };
        let inner = &rest[begin + quote.len_utf8()..];
        let Some(end) = end_of_quote(inner, close) else {
            shown.push_str(&rest[..begin]);
            shown.push(quote);
            shown.push('…');
            return shown;
        };
        let quoted = &inner[..end];
        let is_word = quoted.len() <= MOST && !quoted.contains(char::is_whitespace);
        shown.push_str(&rest[..begin]);
        shown.push(quote);
        shown.push_str(if is_word { quoted } else { "…" });
        shown.push(close);
        rest = &inner[end + close.len_utf8()..];
    }
    shown + rest
}

fn end_of_quote(text: &str, close: char) -> Option<usize> {
    let mut is_escaped = false;
    text.char_indices().find_map(|(at, char)| {
        let is_end = char == close && !is_escaped;
        is_escaped = char == '\\' && !is_escaped;
        is_end.then_some(at)
    })
}

/// Returns the section of the page about latencies.
pub(super) fn latencies(facts: &RunFacts) -> String {
    let answers = &facts.answers;
    let none = Histogram::default();
    let first_byte = facts.timeline.as_ref().map_or(&none, |timeline| &timeline.first_byte);
    let longest = Some(Duration::from_millis(answers.longest_ms)).filter(|_| answers.latency.count() > 0);
    let row = |name: &str, histogram: &Histogram, longest: Option<Duration>| {
        let shown = |span: Option<Duration>| span.map_or_else(|| "–".to_owned(), latency);
        let mut row = vec![name.to_owned(), count(histogram.count())];
        row.extend([0.5, 0.9, 0.95, 0.99].map(|share| shown(histogram.percentile(share))));
        row.push(shown(longest));
        row
    };
    let mut rows = Vec::new();
    if first_byte.count() > 0 {
        // The histogram rounds times, so the longest time to the first byte is not exact. Of the times until an answer
        // is complete, the maximum is exact. Without `min`, the rounded time to the first byte could be longer than the
        // exact time to the whole answer.
        let longest_first = first_byte.percentile(1.0).map(|first| longest.map_or(first, |whole| first.min(whole)));
        rows.push(row("to the first byte", first_byte, longest_first));
    }
    if answers.latency.count() > 0 {
        rows.push(row("to the whole answer", &answers.latency, longest));
    }
    if rows.is_empty() {
        return remark("No row was answered online, so there are no latencies.");
    }
    let columns = [
        ("Time", Set::Short),
        ("Rows", Set::Number),
        ("50%", Set::Number),
        ("90%", Set::Number),
        ("95%", Set::Number),
        ("99%", Set::Number),
        ("Longest", Set::Number),
    ];
    let mut out = table("The time within which this share of the rows was answered", &columns, &rows);
    out.push_str(&top("The slowest rows", answers.slowest.rows()));
    out
}

/// Returns the section of the page about tokens and money.
pub(super) fn costs(facts: &RunFacts, history: &History<'_>) -> String {
    let usage = &facts.totals.usage;
    let mut rows = vec![vec!["input, not cached".to_owned(), count(usage.input_tokens)]];
    let mut add = |name: &str, tokens: u64| {
        if tokens > 0 {
            rows.push(vec![name.to_owned(), count(tokens)]);
        }
    };
    add("written to a cache for 5 minutes", usage.cache_write_5m_tokens);
    add("written to a cache for 1 hour", usage.cache_write_1h_tokens);
    add("read from a cache", usage.cache_read_tokens);
    rows.push(vec!["output".to_owned(), count(usage.output_tokens)]);
    let mut out = table("Tokens of all attempts", &[("Tokens", Set::Wide), ("Number", Set::Number)], &rows);
    let prompt = usage.prompt_tokens();
    if usage.cache_read_tokens > 0 && prompt > 0 {
        let share = usage.cache_read_tokens as f64 / prompt as f64;
        out.push_str(&paragraph(&format!("{} of the input was read from a cache.", percent(share))));
    }
    if usage.web_searches > 0 {
        out.push_str(&paragraph(&format!(
            "The rows made {}.",
            plural(usage.web_searches, "web search", "web searches")
        )));
    }
    out.push_str(&history.tokens());
    out.push_str(&models(facts));
    out.push_str("<h3>Money</h3>\n");
    out.push_str(&spent(facts));
    out.push_str(&top("The dearest rows", facts.answers.dearest.rows()));
    out
}

fn models(facts: &RunFacts) -> String {
    let answers = &facts.answers;
    if answers.models.is_empty() {
        return String::new();
    }
    let has_several = answers.models.iter().any(|sum| sum.provider != answers.models[0].provider);
    let row = |sum: &crate::watch::facts::ModelSum| {
        let model = match (has_several, &*sum.provider) {
            (false, _) => sum.model.clone(),
            (true, "") => format!("{} at an unknown provider", sum.model),
            (true, provider) => format!("{} at {provider}", sum.model),
        };
        vec![model, count(sum.rows), count(sum.usage.prompt_tokens()), count(sum.usage.output_tokens), money(sum.spend)]
    };
    let mut rows: Vec<Vec<String>> = answers.models.iter().map(row).collect();
    if answers.of_other_models > 0 {
        let none = || "–".to_owned();
        rows.push(vec!["other models".to_owned(), count(answers.of_other_models), none(), none(), none()]);
    }
    let columns = [
        ("Model", Set::Wide),
        ("Answers", Set::Number),
        ("Input tokens", Set::Number),
        ("Output tokens", Set::Number),
        ("Cost", Set::Number),
    ];
    let title = if has_several { "Answers by model and provider" } else { "Answers by model" };
    table(title, &columns, &rows)
}

fn spent(facts: &RunFacts) -> String {
    let (totals, answers) = (&facts.totals, &facts.answers);
    let mut out = paragraph(&format!("All runs with these results cost {} at list prices.", money(totals.spend)));
    if let Some(words) = facts.timeline.as_ref().and_then(against_plan) {
        out.push_str(&paragraph(&words));
    }
    if answers.unpriced > 0 {
        let rows = plural(answers.unpriced, "answer has", "answers have");
        out.push_str(&paragraph(&format!(
            "{rows} no known price or usage and {} not in this sum.",
            if answers.unpriced == 1 { "is" } else { "are" }
        )));
    }
    if answers.saved > Money::ZERO {
        out.push_str(&paragraph(&format!("Answers taken from other lines saved {}.", money(answers.saved))));
    }
    let maybe = totals.maybe_paid + facts.dead_in_flight;
    if maybe > 0 {
        let most = if totals.maybe_spend > Money::ZERO {
            format!(", at most {}", money(totals.maybe_spend))
        } else {
            String::new()
        };
        out.push_str(&paragraph(&format!(
            "{} without a stored answer may have been billed in addition{most}.",
            plural(maybe, "request", "requests")
        )));
    }
    out
}

/// Returns a text that compares the cost of the last run with the planned cost.
fn against_plan(timeline: &Timeline) -> Option<String> {
    let run = timeline.runs.last()?;
    let [low, likely, high] = run.planned_usd?;
    let cost: f64 = timeline.points.iter().filter(|point| point.at >= run.started_at).map(|point| point.usd).sum();
    let verdict = match cost {
        cost if !run.has_ended && cost < low => "So far, that is below the plan",
        cost if cost < low => "That is less than planned",
        cost if cost > high => "That is more than planned",
        _ => "That is within the plan",
    };
    Some(format!(
        "The last run was expected to cost {} (from {} to {}), and cost {}. {verdict}.",
        dollars(likely),
        dollars(low),
        dollars(high),
        dollars(cost)
    ))
}

fn top<'a>(caption: &str, rows: impl Iterator<Item = &'a TopRow>) -> String {
    let row = |row: &TopRow| {
        vec![
            row.label.clone(),
            row.model.clone(),
            row.latency_ms.map_or_else(|| "–".to_owned(), |millis| latency(Duration::from_millis(millis))),
            count(row.attempts),
            count(row.output_tokens),
            money(row.cost),
        ]
    };
    let rows: Vec<Vec<String>> = rows.map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    let columns = [
        ("Row", Set::Wide),
        ("Model", Set::Short),
        ("Time", Set::Number),
        ("Attempts", Set::Number),
        ("Output tokens", Set::Number),
        ("Cost", Set::Number),
    ];
    table(caption, &columns, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_keeps_names_and_loses_texts() {
        let cases = [
            ("max_tokens: 9 > 8", "max_tokens: 9 > 8"),
            ("\"max_tokens\" is wrong", "\"max_tokens\" is wrong"),
            ("the answer \"Dear Sir, \\\"you\\\"\" does not fit", "the answer \"…\" does not fit"),
            ("`a b` and “c d”", "`…` and “…”"),
            ("cut in \"the middle", "cut in \"…"),
        ];
        for (message, expected) in cases {
            assert_eq!(redacted(message), expected);
        }
    }
}
