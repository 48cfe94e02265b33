//! The table of `batches list`.

use jiff::Timestamp;

use super::known::{KnownBatch, State};
use crate::report::text::{count, escape, rough_duration, width};

/// Whether the table names the run of each batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runs {
    Named,
    Omitted,
}

/// The columns of the table. Columns with numbers are aligned to the right.
const COLUMNS: [(&str, bool); 7] = [
    ("batch", false),
    ("state", false),
    ("rows", true),
    ("age", true),
    ("expires in", true),
    ("counts", false),
    ("run", false),
];

/// Returns the lines of the table. A column without content is left out.
pub(super) fn lines(batches: &[KnownBatch], runs: Runs, now: Timestamp) -> Vec<String> {
    let rows: Vec<_> = batches.iter().map(|batch| cells(batch, runs, now)).collect();
    let names = COLUMNS.map(|(name, _)| name.to_owned());
    let widths: Vec<usize> = (0..COLUMNS.len())
        .map(|at| match rows.iter().map(|row| width(&row[at])).max().unwrap_or(0) {
            0 => 0,
            columns => columns.max(width(&names[at])),
        })
        .collect();
    [&names].into_iter().chain(&rows).map(|row| line(row, &widths)).collect()
}

fn line(row: &[String; 7], widths: &[usize]) -> String {
    let mut line = String::new();
    let columns = row.iter().zip(COLUMNS).zip(widths).filter(|(_, columns)| **columns > 0);
    for ((cell, (_, is_right)), columns) in columns {
        let blanks = " ".repeat(columns - width(cell));
        line += &if is_right { format!("{blanks}{cell}  ") } else { format!("{cell}{blanks}  ") };
    }
    line.truncate(line.trim_end().len());
    line
}

fn cells(batch: &KnownBatch, runs: Runs, now: Timestamp) -> [String; 7] {
    let expires = match (batch.state, batch.expires_at) {
        (State::InProgress | State::Canceling | State::Missing | State::Unknown, Some(at)) if at > now => {
            rough_duration(at.duration_since(now).unsigned_abs())
        }
        (State::InProgress | State::Canceling | State::Missing | State::Unknown, Some(_)) => "expired".to_owned(),
        _ => String::new(),
    };
    let run = batch.owner.as_ref().filter(|_| runs == Runs::Named);
    [
        escape(&batch.name()).into_owned(),
        batch.state.name().to_owned(),
        count(batch.rows),
        rough_duration(now.duration_since(batch.created_at).try_into().unwrap_or_default()),
        expires,
        batch.counts().unwrap_or_default(),
        run.map(|owner| escape(&owner.results.display().to_string()).into_owned()).unwrap_or_default(),
    ]
}
