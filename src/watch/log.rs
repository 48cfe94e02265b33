//! The log of `--log FILE`: every event of a run, as JSON lines.
//!
//! The lines have the same format as the lines of `--progress json` (`report/json.rs`). Each line has the members `v`,
//! `at` (RFC 3339), `run` and `type`. The log has every type of line that `--progress json` has, and also lines about
//! single rows:
//!
//! | `type` | when | further members |
//! |---|---|---|
//! | `sent` | a request was sent | `row`, `provider`, `pool` |
//! | `retried` | a request got no answer, and the row is tried again | `row`, `provider`, `pool`, `class`, `limit`, `status`, `wait_s`, `next_try`, `maybe_paid` |
//! | `succeeded` | a row has its answer, and the line is on disk | `row`, `provider`, `pool`, `model`, `quality`, `usage` {`input`, `cache_read`, `cache_write`, `output`}, `cost_usd`, `latency_s`, `first_byte_s`, `mended` |
//! | `mending` | an answer was not accepted, and another request follows | `row`, `provider`, `pool`, `purpose`, `usage`, `cost_usd` |
//! | `taken` | a row copied or reused an answer | `row`, `from` (`equal_row` or `earlier_results`), `quality`, `saved_usd` |
//! | `failed` | a row failed and is not tried again | `row`, `provider`, `pool`, `class`, `status`, `message` (null if it may quote the row or the answer), `retryable`, `usage`, `cost_usd` |
//!
//! `row` is the label of the row. If the value of a member is not known, the member is null. Once a second, a line of
//! the type `progress` shows the state of the run. The numbers in this line include rows that were skipped because an
//! earlier run finished them. The lines contain no prompts and no answers.
//!
//! Only the user can read the file, and later runs append to it: see `log/file.rs`. Lines are passed to the operating
//! system within a second. If the file can't be written, the run shows a warning and continues without a log.

mod file;
mod rows;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use self::file::LogFile;
pub(crate) use self::file::OLDER;
use crate::domain::{EventBody, RunEvent};
use crate::journal::{Disk, DiskFailure};
use crate::report::{Stats, View, json};

/// The time between two lines about the state of the run. When a line about the state is written, all lines are
/// flushed.
const EVERY: SignedDuration = SignedDuration::from_secs(1);

/// A view that writes every event to a file.
pub(crate) struct LogView {
    /// The open file; `None` after a failure.
    file: Option<LogFile>,
    due_at: Option<Timestamp>,
    warnings: Vec<String>,
}

impl LogView {
    /// Opens the log file at `path`.
    ///
    /// # Errors
    /// Returns an error if the file can't be opened or must not be used, or if another run writes to it.
    pub(crate) fn open(disk: Arc<dyn Disk>, path: PathBuf) -> Result<Self, DiskFailure> {
        Ok(Self { file: Some(LogFile::open(disk, path)?), due_at: None, warnings: Vec::new() })
    }

    /// Calls `act` with the open file. After a failure, the file is closed, and the user gets a single warning.
    fn with_file(&mut self, act: impl FnOnce(&mut LogFile) -> Result<(), DiskFailure>) {
        let Some(file) = &mut self.file else { return };
        if let Err(failure) = act(file) {
            self.file = None;
            self.warnings.push(format!("the log ends here: {failure}; the run continues without it"));
        }
    }
}

impl View for LogView {
    fn show(&mut self, event: &RunEvent, stats: &Stats) {
        if self.file.is_none() {
            return;
        }
        let due_at = *self.due_at.get_or_insert(event.at.saturating_add(EVERY).unwrap_or(Timestamp::MAX));
        let is_end = matches!(event.body, EventBody::Ended { .. });
        let is_due = event.at >= due_at || is_end;
        let state = is_due.then(|| json::progress_line(event, stats)).flatten();
        let line = rows::line(event).or_else(|| json::event_line(event, stats));
        self.with_file(|file| {
            state.iter().chain(&line).try_for_each(|line| file.add(line))?;
            if is_due { file.flush() } else { Ok(()) }
        });
        if is_due {
            self.due_at = event.at.saturating_add(EVERY).ok();
        }
    }

    fn answer(&mut self, _stats: &Stats) {}

    fn close(&mut self) {
        self.with_file(LogFile::flush);
    }

    fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::domain::{ErrorClass, Quality};
    use crate::journal::MemDisk;
    use crate::report::stats::tests::{at, ended, failed, retried, sent, started, succeeded};

    fn play(disk: &MemDisk, events: &[(i64, EventBody)]) -> (LogView, Stats) {
        let mut log = LogView::open(Arc::new(disk.clone()), "log.jsonl".into()).expect("it can be opened");
        let mut stats = Stats::default();
        for (second, body) in events {
            let event = at(*second, body.clone());
            stats.fold(&event);
            log.show(&event, &stats);
        }
        (log, stats)
    }

    fn lines(disk: &MemDisk) -> Vec<serde_json::Value> {
        let bytes = disk.content("log.jsonl").unwrap_or_default();
        let text = String::from_utf8(bytes).expect("it is text");
        text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
    }

    #[test]
    fn each_event_is_a_line_and_the_state_comes_once_a_second() {
        let disk = MemDisk::new();
        let again =
            EventBody::Retried { row: retried(), class: ErrorClass::Overloaded, limit: None, maybe_paid: false };

        let events = [
            (0, started(Some(3), 0)),
            (0, sent()),
            (0, again),
            (1, succeeded(Quality::Ok)),
            (1, failed(ErrorClass::Server)),
            (1, ended()),
        ];
        play(&disk, &events);

        let lines = lines(&disk);
        let types = lines.iter().map(|line| line["type"].as_str().expect("it has a type")).collect::<Vec<_>>();
        assert_eq!(types, ["started", "sent", "retried", "progress", "succeeded", "failed", "progress", "ended"]);
        assert!(lines.iter().all(|line| line["v"] == 1 && line["at"].is_string() && line["run"].is_string()));
        assert!(lines[2]["row"].is_string() && lines[2]["wait_s"].is_number() && lines[2]["next_try"] == 2);
        assert!(lines[4]["usage"]["output"].is_number() && lines[4]["latency_s"].is_number(), "{}", lines[4]);
    }

    #[test]
    fn lines_are_flushed_every_second_and_at_the_end() {
        let disk = MemDisk::new();

        let (mut log, stats) = play(&disk, &[(0, sent()), (0, sent())]);
        let before = lines(&disk).len();
        log.show(&at(1, sent()), &stats);
        let after_a_second = lines(&disk).len();
        log.show(&at(1, sent()), &stats);
        log.close();

        assert_eq!((before, after_a_second, lines(&disk).len()), (0, 4, 5));
    }

    #[test]
    fn a_full_disk_ends_the_log_with_one_warning() {
        let disk = MemDisk::new();
        let (mut log, stats) = play(&disk, &[(0, sent())]);
        disk.fail_at(disk.changes(), io::ErrorKind::StorageFull);

        (1..9).for_each(|second| log.show(&at(second, sent()), &stats));

        let warnings = log.take_warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("log.jsonl") && warnings[0].contains("the run continues"), "{warnings:?}");
    }

    #[test]
    fn messages_that_may_quote_a_row_are_left_out() {
        let disk = MemDisk::new();
        let events = [ErrorClass::InvalidInput, ErrorClass::InvalidOutput, ErrorClass::Server];

        play(&disk, &events.map(|class| (0, failed(class))).into_iter().chain([(1, ended())]).collect::<Vec<_>>());

        let lines = lines(&disk);
        assert!(lines[0]["message"].is_null() && lines[1]["message"].is_null(), "{lines:?}");
        assert!(lines[2]["message"].is_string(), "{lines:?}");
    }
}
