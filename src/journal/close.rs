//! Closes the journal: makes all lines durable, and removes lines that no longer count.

use std::collections::BTreeMap;

use super::disk::{Disk, DiskFailure};
use super::error::JournalError;
use super::files::answered::remove_left;
use super::files::{Output, learned};
use super::rewriting::compact;
use super::{Journal, resume_input_in};
use crate::domain::ErrorClass;

/// Whether a run read its whole input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputRead {
    /// The run read the input to the end. Entries of earlier runs for broken or rejected rows are removed, unless this
    /// run wrote them again.
    Whole,
    /// The run did not read the input to the end, or it read an error log.
    Part,
}

/// What the journal reports when it is closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// The number of entries of each error class in the error log, including the entries of earlier runs.
    pub failed: BTreeMap<ErrorClass, u64>,
}

impl Journal {
    /// Ends the run. Makes all lines durable, and removes from the results and the error log the lines that no longer
    /// count. Empties the slots (the records of requests in flight), and writes the learned limits. If the limits can't
    /// be written, this is not an error.
    ///
    /// If `keeps_slots` is set, the slots stay filled, as if the process had died. Set `keeps_slots` if requests were
    /// aborted: such requests may have been billed, so the next run counts them.
    ///
    /// # Errors
    /// [`JournalError::Disk`]. Lines that were reported as durable stay durable. The slots are kept, so that the next
    /// run counts the requests that were in flight.
    pub fn close(mut self, input: InputRead, keeps_slots: bool) -> Result<Closed, JournalError> {
        self.accept()?;
        let Self {
            disk,
            paths,
            mut manifest,
            mut slots,
            mut unresolved,
            superseded,
            writer,
            mut outputs,
            learned,
            is_log_ours,
            records_answers,
            _lock,
            ..
        } = self;
        let folder = paths.folder();
        writer.close()?;
        match input {
            InputRead::Whole => unresolved.remove_stale_unsent(),
            InputRead::Part => {}
        }
        let mut carry = |removed| manifest.carry(&*disk, folder.as_deref(), removed);
        compact(&*disk, &mut outputs.errors, &mut unresolved, &mut carry)?;
        if let Some(results) = &mut outputs.results {
            superseded.remove(&*disk, results, &mut carry)?;
        }
        if let Some(folder) = &folder {
            let input = resume_input_in(folder);
            disk.remove(&input).map_err(DiskFailure::of("remove", &input))?;
        }
        match keeps_slots {
            true => slots.flush()?,
            false => slots.close()?,
        }
        // The answered rows are no longer in the log, and each of the other rows has a line in the log.
        if records_answers {
            remove_left(&*disk, &paths.errors, false)?;
        }
        if let (Some(folder), Some(learned)) = (&folder, &learned) {
            // No result depends on this file, so a failure to write it is ignored.
            let _ = learned::write(&*disk, folder, learned);
        }
        let failed = unresolved.by_class();
        let is_clean = failed.is_empty() && (!keeps_slots || paths.results.is_none());
        if is_clean && is_log_ours {
            remove_empty_log(&*disk, &outputs.errors);
        }
        Ok(Closed { failed })
    }
}

/// Removes an empty error log. The log is still locked, so no other run can write to it. Another run may have opened
/// the log already. That run notices that the path no longer leads to the opened file, and creates a new log. If the
/// log can't be removed, it stays, which does no harm.
fn remove_empty_log(disk: &dyn Disk, log: &Output) {
    if log.file.size().is_ok_and(|size| size == 0) && log.file.is_at(&log.path).unwrap_or(false) {
        let _ = disk.remove(&log.path);
    }
}
