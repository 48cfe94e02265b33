//! The numbers of rows of the whole file, over this run and all earlier runs.
//!
//! The counters in [`Stats`] are about the rows that this run works on. If these rows are only a part of the file, the
//! numbers of the file also contain the rows outside of this part.

use serde::Serialize;

use super::stats::Stats;

/// What is known about the rows of the file that a run does not work on. Such rows exist if the run works on a part of
/// the file: the rows of an error log, the rows of open batches, or the rows that `--skip` and `--limit` select.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outside {
    /// Whether no run has read the whole file, so that the number of its rows is not known.
    pub(crate) lacks_total: bool,
    /// The number of answered rows.
    pub(crate) answered: u64,
    /// The number of failed rows.
    pub(crate) failed: u64,
    /// The number of rows in open batches, before this run collects any batch.
    pub(crate) in_batches: u64,
    /// The number of pending rows.
    pub(crate) pending: u64,
}

/// The numbers of rows of the file, after this run and all earlier runs on the same file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FileRows {
    /// The number of rows in the file; null if it is not known, for example because the input is a pipe.
    pub(crate) total: Option<u64>,
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    /// The number of rows in batches that are open or not collected. Rows with a line in the results or the error log
    /// are left out.
    pub(crate) in_open_batches: u64,
    /// The number of pending rows: rows without a line in the results or the error log, and in no open batch.
    pub(crate) pending: u64,
}

impl FileRows {
    /// Returns the numbers of the file. `failed_before` is the number of rows of this run that failed in earlier runs
    /// and are not tried again. `outside` is `None` if the run works on the whole file.
    pub(crate) fn of(stats: &Stats, failed_before: u64, outside: Option<&Outside>) -> Self {
        let own = Self {
            total: stats.total,
            answered: stats.already_done().saturating_sub(failed_before) + stats.succeeded_total(),
            failed: stats.failed_total() + failed_before,
            in_open_batches: left(stats).1,
            pending: pending(stats),
        };
        let Some(outside) = outside else { return own };
        let all = Self {
            total: own.total.filter(|_| !outside.lacks_total),
            answered: own.answered + outside.answered,
            failed: own.failed + outside.failed,
            pending: own.pending + outside.pending,
            ..own
        };
        // Before the run ends, the rows in open batches are not counted one by one.
        let in_batches = if stats.ending.is_some() { own.in_open_batches } else { outside.in_batches };
        let others = outside.answered + outside.failed + outside.in_batches + outside.pending;
        let known = all.answered + all.failed + in_batches;
        let total = all.total.map(|total| (total + others).max(known + all.pending));
        // A row is pending if a batch outside of the part has ended without an answer for the row.
        let lost = total.filter(|_| stats.ending.is_some()).map_or(0, |total| total.saturating_sub(known));
        Self { total, pending: all.pending.max(lost), ..all }
    }

    /// Returns the number of rows that are answered or failed.
    pub(crate) fn done(&self) -> u64 {
        self.answered + self.failed
    }
}

/// Returns the number of pending rows, without those that this run does not work on. A pending row has no line in the
/// results or the error log, and is in no open batch.
pub(super) fn pending(stats: &Stats) -> u64 {
    let read = stats.ending.as_ref().map_or(0, |ending| ending.pending);
    let unfinished = stats.remaining().filter(|_| stats.total.is_some()).unwrap_or(0);
    unfinished.saturating_sub(left(stats).1).max(read)
}

/// Returns the number of batches that are open or not collected at the end of the run, and the number of their rows.
pub(super) fn left(stats: &Stats) -> (u64, u64) {
    stats.ending.as_ref().map_or((0, 0), |ending| (ending.batches.left, ending.batches.left_rows))
}

#[cfg(test)]
mod tests {
    use super::super::stats::tests::{at, ended, failed, started, succeeded};
    use super::*;
    use crate::domain::{ErrorClass, Quality};

    #[test]
    fn the_numbers_of_a_file_contain_the_rows_that_a_run_did_not_work_on() {
        // An error log has 13 of the 300 rows, and 12 of them are answered now.
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(13), 0)));
        (0..12).for_each(|_| stats.fold(&at(1, succeeded(Quality::Ok))));
        stats.fold(&at(1, failed(ErrorClass::Server)));
        stats.fold(&at(2, ended()));
        let outside = Outside { answered: 45, failed: 2, pending: 240, ..Outside::default() };

        let rows = FileRows::of(&stats, 0, Some(&outside));
        let without_total = FileRows::of(&stats, 0, Some(&Outside { lacks_total: true, ..outside }));

        let expected = FileRows { total: Some(300), answered: 57, failed: 3, in_open_batches: 0, pending: 240 };
        assert_eq!(rows, expected);
        assert_eq!(without_total, FileRows { total: None, ..expected });
    }

    #[test]
    fn batches_outside_of_a_part_are_collected_or_their_rows_are_pending() {
        // A run with --limit 1 collects the batches of all 40 rows.
        let rows = |answers: u64| {
            let mut stats = Stats::default();
            stats.fold(&at(0, started(Some(1), 0)));
            (0..answers).for_each(|_| stats.fold(&at(1, succeeded(Quality::Ok))));
            stats.fold(&at(2, ended()));
            FileRows::of(&stats, 0, Some(&Outside { in_batches: 39, ..Outside::default() }))
        };

        let collected = FileRows { total: Some(40), answered: 40, failed: 0, in_open_batches: 0, pending: 0 };
        assert_eq!(rows(40), collected);
        assert_eq!(rows(38), FileRows { answered: 38, pending: 2, ..collected });
    }
}
