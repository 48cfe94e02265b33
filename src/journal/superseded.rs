//! Answers that a later one supersedes: of several result lines of one row the last is its line (see [`super::done`]), and
//! the others go away at a clean end.
//!
//! A failure supersedes nothing: the answer that was paid for stays until there is another.
//!
//! Rows of one name get a second answer when they changed and were run again. Which rows have several lines is known
//! without reading: the done-set tells those of earlier runs, and each answer that is written is looked up in it.
//!
//! The results are replaced as a whole, so a death at any step leaves the old file or the one without those lines, and both
//! mean the same. What removed lines said was spent is handed to `carry` before that: a death between the two counts it
//! twice, which for a budget is the safe side. Where nothing was superseded nothing is read and nothing is written.
//!
//! A line whose key has a form that this program does not know is kept: whether its row is named can't be told.

use std::sync::Arc;

use super::compact::{Copy, each_line};
use super::disk::{Disk, DiskFailure};
use super::done::DoneSet;
use super::manifest::Carried;
use super::output::Output;
use super::record::{Parsed, ResultRecord, parse_result};
use super::replace::replace_output;
use crate::domain::RowId;

/// The rows that have more than one line.
pub(super) struct Superseded {
    /// Rows that had a line when the run began.
    done: DoneSet,
    /// Labels of rows with several lines, in any order, some of them more than once. Eight bytes each: of ten million rows
    /// all may have changed.
    labels: Vec<u64>,
}

impl Superseded {
    /// Begins with the labels that had several lines already.
    pub(super) fn new(done: DoneSet, labels: Vec<u64>) -> Self {
        Self { done, labels }
    }

    /// Notes the answer of a row that is being written.
    pub(super) fn note(&mut self, row: RowId) {
        if self.done.has_answer(row.label) {
            self.labels.push(row.label);
        }
    }

    /// Removes the lines that later ones supersede.
    ///
    /// # Errors
    /// What failed; the results are then the old file or the new one, never a mixture.
    pub(super) fn remove(
        mut self,
        disk: &dyn Disk,
        output: &mut Output,
        carry: impl FnOnce(Carried) -> Result<(), DiskFailure>,
    ) -> Result<(), DiskFailure> {
        self.labels.sort_unstable();
        self.labels.dedup();
        if self.labels.is_empty() {
            return Ok(());
        }
        let (file, path) = (Arc::clone(&output.file), output.path.clone());
        let mut later = vec![0_u32; self.labels.len()];
        each_line(&*file, &path, |_, line| {
            self.known(line).into_iter().for_each(|(at, _)| later[at] = later[at].saturating_add(1));
            Ok(())
        })?;
        if later.iter().all(|&lines| lines <= 1) {
            return Ok(());
        }
        let mut removed = Carried::default();
        replace_output(disk, output, |copy, copy_path| {
            let mut out = Copy::new(copy, copy_path);
            each_line(&*file, &path, |_, line| {
                if let Some((at, record)) = self.known(line) {
                    later[at] = later[at].saturating_sub(1);
                    if later[at] > 0 {
                        removed.add(record.account.spend, record.account.usage, record.account.maybe_paid);
                        return Ok(());
                    }
                }
                out.push(line)
            })?;
            out.flush()?;
            carry(removed)
        })
    }

    /// Returns the line of a row with several, and the place of its label.
    fn known<'l>(&self, line: &'l [u8]) -> Option<(usize, ResultRecord<'l>)> {
        let Parsed::Record(record) = parse_result(line) else { return None };
        let at = self.labels.binary_search(&record.row.label).ok()?;
        (record.row.key != 0).then_some((at, record))
    }
}
