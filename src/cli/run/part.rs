//! Finds out how the rows of a run are related to the whole input. The numbers of rows that the program shows are about
//! the whole input, also if the run works only on a part of it: the rows of an error log, the rows of open batches, or
//! the rows that `--skip` and `--limit` select.
//!
//! Such a run does not read the other rows. So their numbers come from the state that the last run left in the run
//! folder. Numbers that neither the run nor this state knows are left out.

use anyhow::Result;

use super::super::parts;
use super::failures::FailedInLog;
use super::new_run::NewRun;
use crate::batches::Opened;
use crate::journal::{InputIdentity, RealDisk, Recovered, Start};
use crate::report::{Outside, Stats, failures};
use crate::runner::input::Survey;
use crate::watch::files::Found;
use crate::watch::status::{InputRows, Part, RowRange, Shown, ShownError, read_status};

/// What the last run left in the run folder.
struct Before {
    /// The rows of the input when the last run ended, or when it last wrote its state.
    rows: InputRows,
    has_ended: bool,
    errors: Vec<ShownError>,
}

/// The rows of this run, by what was known about them before it.
#[derive(Default)]
struct Own {
    rows: u64,
    done: u64,
    failed: u64,
    submitted: u64,
    fresh: u64,
}

impl NewRun<'_> {
    /// Sets `self.part`, before the run writes its own state into the run folder.
    ///
    /// # Errors
    /// Fails if the files of open batches can't be read.
    pub(super) fn find_part(
        &mut self,
        recovered: &Recovered,
        survey: Option<&Survey>,
        batches: Option<&Opened>,
    ) -> Result<()> {
        let open = batches.filter(|batches| batches.open_batches() > 0);
        let in_batches = open.map(|batches| batches.rows_without_line(&recovered.done)).transpose()?.unwrap_or(0);
        self.part = self.part(recovered, survey, in_batches);
        Ok(())
    }

    fn part(&self, recovered: &Recovered, survey: Option<&Survey>, in_batches: u64) -> Part {
        // The log has an entry for each row that waits for its next request. Such a row is pending, and has not failed.
        let unfinished = recovered.unfinished.len() as u64;
        let own = self.own(survey, unfinished);
        let failed_before = survey.map_or(0, |survey| survey.failed_before);
        let retried = match self.start {
            Start::Resume => own.failed,
            Start::Continue | Start::Fresh => survey.map_or(0, |survey| survey.retried),
        };
        let range = self.range();
        let of_run = Part { range, fresh: own.fresh, retried, reason: self.reason(), ..Part::default() };
        let before = self.before();
        let same_input = recovered.manifest.as_ref().is_some_and(|manifest| self.has_input(&manifest.inputs));
        let is_inside = match (range, &before) {
            // The rows come from an error log or from batches.
            (None, before) => before.is_some(),
            (Some(range), _) if range.is_whole() => return of_run,
            (Some(_), None) => return of_run,
            (Some(range), Some(before)) => match before.rows.range.filter(|_| same_input) {
                Some(earlier) if range.contains(earlier) => return of_run,
                Some(earlier) => earlier.contains(range),
                None => false,
            },
        };
        let (retries, log) = self.log_outside(&recovered.failed);
        let in_log = recovered.failed.values().sum::<u64>().saturating_sub(unfinished);
        let outside = match &before {
            Some(before) => {
                let rows = before.at_start(recovered, in_log, in_batches);
                let failed = if self.start == Start::Resume && !self.is_collecting { in_log } else { rows.failed };
                outside(&InputRows { failed, ..rows }, &own, is_inside, recovered.done.len() as u64)
            }
            None => {
                let failed = in_log.saturating_sub(own.failed);
                let answered = (recovered.done.len() as u64).saturating_sub(own.done);
                Outside { lacks_total: true, answered, failed, in_batches, pending: 0 }
            }
        };
        let (earlier, mut errors) = before.map_or((InputRows::default(), Vec::new()), |it| (it.rows, it.errors));
        errors.retain(|error| !retries && !self.only.iter().any(|class| class.name() == error.class));
        if errors.iter().map(|error| error.rows).sum::<u64>() > outside.failed + failed_before {
            errors.clear();
        }
        let may_retry = outside.failed > 0 && !failures::worth_retrying(&log, &Stats::default()).is_empty();
        let range = earlier.range.filter(|_| is_inside);
        Part { outside: Some(outside), range, resume: earlier.resume, errors, may_retry, ..of_run }
    }

    /// Returns the rows of the input that this run reads; `None` if it does not read the input.
    fn range(&self) -> Option<RowRange> {
        let is_of_input = self.start != Start::Resume && !self.is_collecting;
        is_of_input.then_some(RowRange { skip: self.config.source.skip, limit: self.config.source.limit })
    }

    fn reason(&self) -> &'static str {
        match () {
            () if self.is_collecting => "only batches were collected",
            () if self.start == Start::Resume => "only failed rows were run again",
            () => "only the rows of --skip and --limit were run",
        }
    }

    fn own(&self, survey: Option<&Survey>, unfinished: u64) -> Own {
        let Some(survey) = survey else { return Own { fresh: u64::MAX, ..Own::default() } };
        let Survey { rows, done, submitted, failed_before, retried, unusable, changed, rerun, .. } = survey;
        let known = done + submitted + changed + rerun.values().sum::<u64>();
        let (failed, fresh) = match self.start {
            // Every row of an error log has failed or is unfinished, also if its request has new parameters.
            Start::Resume => {
                let in_log = rows.saturating_sub(known);
                let fresh = in_log.saturating_sub(*retried).min(unfinished);
                (in_log - fresh, fresh)
            }
            Start::Continue | Start::Fresh => {
                let failed = failed_before + retried + unusable;
                (failed, rows.saturating_sub(known + failed))
            }
        };
        Own { rows: *rows, done: *done, failed, submitted: *submitted, fresh }
    }

    /// Returns whether this run tries all failed rows of its part again, and the failed rows in the error log that it
    /// possibly does not try again.
    fn log_outside(&self, log: &FailedInLog) -> (bool, FailedInLog) {
        let is_resume = self.start == Start::Resume && !self.is_collecting;
        let retries = if is_resume { self.only.is_empty() } else { self.config.retry_failed };
        let is_tried = |class| is_resume && (self.only.is_empty() || self.only.contains(class));
        (retries, log.iter().filter(|(class, _)| !is_tried(class)).map(|(class, rows)| (*class, *rows)).collect())
    }

    /// Returns what the last run left; `None` if it left nothing, or if this run starts over.
    fn before(&self) -> Option<Before> {
        let folder = self.paths.folder().filter(|_| self.start != Start::Fresh)?;
        match read_status(&RealDisk::new(self.config.owners), &folder) {
            Found::Good((_, Shown { input: Some(rows), end, errors, .. })) => {
                Some(Before { rows, has_ended: end.is_some(), errors })
            }
            Found::Good(_) | Found::Missing | Found::Damaged(_) | Found::Unreadable(_) | Found::Newer(_) => None,
        }
    }

    /// Returns whether these inputs of an earlier run are the inputs of this run, and have not changed.
    fn has_input(&self, earlier: &[InputIdentity]) -> bool {
        let own = parts::manifest(&self.config, &self.origin, self.projection.as_ref()).inputs;
        let is_same = |(one, other): (&InputIdentity, &InputIdentity)| {
            let is_file = one.modified.is_some();
            (one.bytes, one.modified) == (other.bytes, other.modified) && (is_file || one.path == other.path)
        };
        own.len() == earlier.len() && own.iter().zip(earlier).all(is_same)
    }
}

impl Before {
    /// Returns the numbers of rows at the start of this run.
    fn at_start(&self, recovered: &Recovered, in_log: u64, in_batches: u64) -> InputRows {
        let rows = &self.rows;
        if self.has_ended {
            // Batches that are gone without an answer leave their rows pending.
            let pending = rows.pending + rows.in_batches.saturating_sub(in_batches);
            return InputRows { pending, in_batches, ..rows.clone() };
        }
        // The run was killed after it wrote its state, so its files have newer numbers.
        let known = recovered.done.len() as u64 + in_log + in_batches;
        let pending = rows.total.map_or(rows.pending, |total| total.saturating_sub(known).min(rows.pending));
        InputRows { failed: in_log, in_batches, pending, ..rows.clone() }
    }
}

/// Returns the rows of the input that are not in `own`. If not all rows of `own` belong to the rows that were counted,
/// it is not known how many rows there are together, and the counted rows stay pending.
fn outside(all: &InputRows, own: &Own, is_inside: bool, answered: u64) -> Outside {
    let fresh = if is_inside { own.fresh } else { 0 };
    let pending = all.pending.saturating_sub(fresh);
    let failed = all.failed.saturating_sub(own.failed);
    let in_batches = all.in_batches.saturating_sub(own.submitted);
    let total = all.total.filter(|_| is_inside);
    let answered = match total {
        Some(total) => total.saturating_sub(own.rows + pending + failed + in_batches),
        None => answered.saturating_sub(own.done),
    };
    Outside { lacks_total: total.is_none(), answered, failed, in_batches, pending }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopped(pending: u64) -> InputRows {
        InputRows { range: Some(RowRange::default()), total: Some(300), failed: 13, pending, ..InputRows::default() }
    }

    #[test]
    fn the_rows_outside_of_an_error_log_stay_pending() {
        let log = Own { rows: 13, failed: 13, ..Own::default() };

        let found = outside(&stopped(240), &log, true, 47);

        assert_eq!(found, Outside { answered: 47, pending: 240, ..Outside::default() });
    }

    #[test]
    fn rows_of_a_part_are_no_longer_pending_outside_of_it() {
        // Of the first 100 rows, 47 are answered, 13 have failed, and 40 are pending.
        let part = Own { rows: 100, done: 47, failed: 13, submitted: 0, fresh: 40 };

        let inside = outside(&stopped(240), &part, true, 47);
        let of_other_rows = outside(&stopped(240), &part, false, 60);

        assert_eq!(inside, Outside { pending: 200, ..Outside::default() });
        let expected = Outside { lacks_total: true, answered: 13, pending: 240, ..Outside::default() };
        assert_eq!(of_other_rows, expected);
    }

    #[test]
    fn after_a_kill_the_files_have_newer_numbers_than_the_state() {
        let before = |has_ended| Before { rows: stopped(240), has_ended, errors: Vec::new() };
        let recovered = Recovered::default();

        let ended = before(true).at_start(&recovered, 20, 0);
        let killed = before(false).at_start(&recovered, 80, 0);

        assert_eq!((ended.failed, ended.pending), (13, 240));
        assert_eq!((killed.failed, killed.pending), (80, 220));
    }

    #[test]
    fn rows_of_batches_that_are_gone_are_pending() {
        let rows = InputRows { in_batches: 39, pending: 0, ..stopped(0) };

        let found = Before { rows, has_ended: true, errors: Vec::new() }.at_start(&Recovered::default(), 13, 0);

        assert_eq!((found.in_batches, found.pending), (0, 39));
    }
}
