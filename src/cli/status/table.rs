//! The table of several runs: one line for each, in at most 80 columns.

use jiff::Timestamp;

use super::found::FoundRun;
use super::lines::{age, done_words, left_words, money};
use crate::report::text::{escape, width};

const HEAD: [&str; 5] = ["run", "state", "rows", "left or ended", "cost"];

/// Returns the table of several runs as text.
pub(super) fn table(runs: &[FoundRun], now: Timestamp, columns: usize) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(runs.iter().map(|run| cells(run, now)));
    let mut widths = [0; 5];
    for row in &rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(width(cell));
        }
    }
    let others: usize = widths[1..].iter().map(|columns| columns + 2).sum();
    widths[0] = widths[0].min(columns.saturating_sub(others).max(8));
    rows.iter().map(|row| line(row, widths)).collect::<Vec<_>>().join("\n")
}

fn cells(run: &FoundRun, now: Timestamp) -> [String; 5] {
    let name = escape(&run.name()).into_owned();
    let state = run.state.name().to_owned();
    let Some(shown) = run.shown() else { return [name, state, String::new(), String::new(), String::new()] };
    let time = match (run.state.is_in_progress(), &shown.eta) {
        (true, Some(eta)) => left_words(eta),
        (true, None) => String::new(),
        (false, _) => age(shown.at, now),
    };
    let cost = shown.money.spent_usd.map_or_else(String::new, |spent| money(spent + shown.money.spent_before_usd));
    [name, state, done_words(&shown.progress), time, cost]
}

fn line(row: &[String; 5], widths: [usize; 5]) -> String {
    let mut line = String::new();
    for (at, (cell, columns)) in row.iter().zip(widths).enumerate() {
        let cell = if at == 0 { end_of(cell, columns) } else { cell.clone() };
        line += &format!("{cell}{}  ", " ".repeat(columns.saturating_sub(width(&cell))));
    }
    line.trim_end().to_owned()
}

/// Removes the beginning of a long name and keeps the end, because the names of runs often begin with the same words.
fn end_of(name: &str, columns: usize) -> String {
    if width(name) <= columns {
        return name.to_owned();
    }
    let mut begin = name.len();
    for (at, _) in name.char_indices().rev() {
        if width(&name[at..]) + 1 > columns {
            break;
        }
        begin = at;
    }
    format!("…{}", &name[begin..])
}

#[cfg(test)]
mod tests {
    use super::super::found::State;
    use super::*;
    use crate::watch::status::Shown;

    #[test]
    fn a_long_name_is_cut_at_its_beginning_and_lines_fit() {
        let progress = r#"{"total":1234567,"already_done":1200000,"ok":123}"#;
        let text = format!(r#"{{"progress":{progress},"money":{{"spent_usd":12345.678}},"eta":{{"seconds":12345}}}}"#);
        let shown: Shown = serde_json::from_str(&text).expect("it is a status");
        let run = |name: &str, state| FoundRun {
            results: name.into(),
            state,
            holder: None,
            status: Some((serde_json::Value::Null, shown.clone())),
            note: None,
            files: None,
        };
        let runs = [
            run("experiments/2026/november/very/long/name/of/a/run/prompts.results.jsonl", State::Draining),
            run("a\u{1b}[2J.jsonl", State::Finished),
        ];

        let shown = table(&runs, Timestamp::UNIX_EPOCH, 80);

        assert!(shown.lines().all(|line| width(line) <= 80), "{shown}");
        assert!(shown.contains("prompts.results.jsonl  draining") && !shown.contains('\u{1b}'), "{shown}");
        assert!(shown.starts_with("run "), "{shown}");
    }
}
