//! Writes the lines of rows that take their answer from another line. This module also reads back the answers that this
//! run has written.
//!
//! If there is a results file, answers are read back from that file. Without a results file, answers that later rows
//! may need are also written to a private file. The private file has no name and vanishes when the process ends.

use super::Journal;
use super::disk::DiskFile;
use super::error::JournalError;
use super::files::PrivateFile;
use super::reading::{parse_stored, read_line};
use crate::clock::Instant;
use crate::domain::{Outcome, StoredAnswer, Taken};
use crate::sink::{self, Log};

impl Journal {
    /// Appends a line for a row whose answer comes from another line. The line gets the time `now`.
    ///
    /// # Errors
    /// [`JournalError::Disk`] with the failure that stopped the writer.
    pub(crate) fn append_taken(&mut self, taken: &Taken, now: Instant, seq: u64) -> Result<(), JournalError> {
        let Self { writer, context, results_end, .. } = self;
        writer.append(Log::Results, seq, |lines| {
            let begin = lines.len();
            sink::taken_line(taken, now, context, lines);
            *results_end += (lines.len() - begin) as u64;
        })?;
        self.note_answer(taken.job.row);
        Ok(())
    }

    /// Sets the private file that keeps the answers if there is no results file. The file must be empty.
    pub(crate) fn keep_answers_in(&mut self, file: Box<dyn DiskFile>) {
        self.private = Some(PrivateFile::new(file));
    }

    /// Makes sure that the last appended answer can be read later, and returns its place.
    ///
    /// # Errors
    /// [`JournalError::Disk`] if the private file can't be written. [`JournalError::NoFolder`] if there is neither a
    /// results file nor a private file.
    pub(crate) fn keep_answer(&mut self, outcome: &Outcome) -> Result<u64, JournalError> {
        if self.outputs.results.is_some() {
            return Ok(self.last_result);
        }
        let Self { private, context, line, .. } = self;
        let private = private.as_mut().ok_or(JournalError::NoFolder)?;
        line.clear();
        sink::outcome_line(outcome, context, line);
        Ok(private.append(line)?)
    }

    /// Writes the waiting lines, so that they can be read. A failure is reported as a failed commit.
    pub(crate) fn flush_lines(&mut self) {
        let _ = self.writer.flush();
    }

    /// Reads an answer again from its place in the file. Returns `None` if no answer can be read there.
    pub(crate) fn read_answer(&mut self, place: u64) -> Option<StoredAnswer> {
        let file = match (&self.outputs.results, &self.private) {
            (Some(results), _) => &results.file,
            (None, private) => &private.as_ref()?.file,
        };
        read_line(&**file, place, &mut self.line).ok()?;
        Some(parse_stored(&self.line)?.answer)
    }
}
