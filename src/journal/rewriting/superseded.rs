//! Removes superseded answers. If a row has several result lines, only the last line counts. The earlier lines of the
//! row are removed at the end of a run.
//!
//! A named row gets a second answer if somebody changes its request and runs the row again. A failure does not
//! supersede an answer: an answer that was paid for stays until there is a newer answer.
//!
//! The rows that have several lines are found without reading the file a second time. Rows that already have several
//! lines are found when the results are read at the start. When this run writes an answer for a row, the set of done
//! rows shows whether the row already had an answer. If every row has only one line, nothing is read or written.
//!
//! The results file is replaced in one step, so if the process dies, either the old file or the new file is there. A
//! later run reads the same answers from either file. Before the file is replaced, the charges of the removed lines are
//! passed to `carry`. If the program dies after the call of `carry` and before the file is replaced, the charges are
//! counted twice. For a budget, it is safer to count too much than too little.
//!
//! If the format of a line's key is unknown, the line is kept, because the program can't tell whether the row has a
//! label.

use std::sync::Arc;

use super::copy::{LineCopy, each_line};
use crate::domain::RowId;
use crate::journal::charges::Charges;
use crate::journal::disk::{Disk, DiskFailure};
use crate::journal::files::Output;
use crate::journal::reading::{DoneSet, Parsed, ResultRecord, parse_result};

/// The rows that have more than one line.
pub(crate) struct Superseded {
    /// Rows that had an answer when the run began.
    done: DoneSet,
    /// The labels of the rows that have several lines. The labels are in any order, and a label can be repeated. A
    /// label needs only eight bytes, which matters if ten million rows have changed.
    labels: Vec<u64>,
}

impl Superseded {
    /// `labels` are the labels that already have several lines when the run starts.
    pub(crate) fn new(done: DoneSet, labels: Vec<u64>) -> Self {
        Self { done, labels }
    }

    /// Notes that this run has written an answer for the row.
    pub(crate) fn note_answer(&mut self, row: RowId) {
        if self.done.has_answer(row.label) {
            self.labels.push(row.label);
        }
    }

    /// Removes the lines that later lines supersede.
    ///
    /// # Errors
    /// A disk failure. The file is then either the old file or the new file, never a mixture.
    pub(crate) fn remove(
        mut self,
        disk: &dyn Disk,
        output: &mut Output,
        carry: impl FnOnce(Charges) -> Result<(), DiskFailure>,
    ) -> Result<(), DiskFailure> {
        self.labels.sort_unstable();
        self.labels.dedup();
        if self.labels.is_empty() {
            return Ok(());
        }
        let (file, path) = (Arc::clone(&output.file), output.path.clone());
        // For each label: the number of its lines that the second pass over the file has not reached yet.
        let mut left = vec![0_u32; self.labels.len()];
        each_line(&*file, &path, |_, line| {
            self.find(line).into_iter().for_each(|(at, _)| left[at] = left[at].saturating_add(1));
            Ok(())
        })?;
        if left.iter().all(|&lines| lines <= 1) {
            return Ok(());
        }
        let mut removed = Charges::default();
        output.replace(disk, |copy, copy_path| {
            let mut out = LineCopy::new(copy, copy_path);
            each_line(&*file, &path, |_, line| {
                if let Some((at, record)) = self.find(line) {
                    left[at] = left[at].saturating_sub(1);
                    if left[at] > 0 {
                        removed += record.charges;
                        return Ok(());
                    }
                }
                out.push(line)
            })?;
            out.flush()?;
            carry(removed)
        })
    }

    /// Returns the record of a line, and the position of its label in `labels`. Returns `None` if the line's row has
    /// only this line.
    fn find<'l>(&self, line: &'l [u8]) -> Option<(usize, ResultRecord<'l>)> {
        let Parsed::Record(record) = parse_result(line) else { return None };
        let at = self.labels.binary_search(&record.row.label).ok()?;
        (record.row.key != 0).then_some((at, record))
    }
}
