//! Keeps the data of each line until the line is on disk.

use std::collections::VecDeque;

use super::answer_memory::AnswerShare;
use crate::domain::{EventBody, Job};

/// The lines that are not on disk yet, in the order of their numbers.
#[derive(Default)]
pub(super) struct UnsyncedLines {
    lines: VecDeque<Unsynced>,
    /// The total size of all rows that are kept with the lines, in bytes.
    bytes: usize,
    last_seq: u64,
    /// The number of the last line that is on disk.
    synced_seq: u64,
}

/// The data that the runner keeps for a line until the line is on disk.
struct Unsynced {
    seq: u64,
    event: EventBody,
    /// The row of the line. If pending rows are not kept, the value is `None`. If the line can't be written, the line's
    /// row stays pending.
    job: Option<Box<Job>>,
    /// The part of the memory for answers that is reserved for the line's answer; `None` if the answer uses none of
    /// this memory. This part of the memory stays reserved as long as the line is in memory.
    share: Option<AnswerShare>,
}

impl UnsyncedLines {
    /// Adds the next line, with the event that reports this line. Returns the number of the line.
    pub(super) fn push(&mut self, event: EventBody) -> u64 {
        self.last_seq += 1;
        self.lines.push_back(Unsynced { seq: self.last_seq, event, job: None, share: None });
        self.last_seq
    }

    /// Keeps `job` and `share` (a share of the memory for answers) as long as the last line is kept.
    pub(super) fn keep_with_last(&mut self, job: Option<Box<Job>>, share: Option<AnswerShare>) {
        if let Some(last) = self.lines.back_mut() {
            self.bytes += job.as_ref().map_or(0, |job| job.bytes());
            (last.job, last.share) = (job, share);
        }
    }

    /// Removes the first line if it is on disk, that is, if its number is at most `seq`. Returns the event of this
    /// line.
    pub(super) fn pop(&mut self, seq: u64) -> Option<EventBody> {
        self.synced_seq = self.synced_seq.max(seq);
        self.lines.front().filter(|line| line.seq <= seq)?;
        let Unsynced { event, job, .. } = self.lines.pop_front()?;
        self.bytes -= job.map_or(0, |job| job.bytes());
        Some(event)
    }

    /// Returns the number of the last line that was added.
    pub(super) fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Returns the number of the last line that is on disk.
    pub(super) fn synced_seq(&self) -> u64 {
        self.synced_seq
    }

    /// Returns whether every line is on disk.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Returns the total size in bytes of the rows that are kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the number of lines that are not on disk.
    pub(super) fn len(&self) -> u64 {
        self.lines.len() as u64
    }

    /// Returns the number of lines that contain answers and are not on disk yet.
    pub(super) fn answers(&self) -> u64 {
        let is_answer = |unsynced: &&Unsynced| matches!(unsynced.event, EventBody::Succeeded { .. });
        self.lines.iter().filter(is_answer).count() as u64
    }

    /// Removes all lines that are not on disk. Returns the rows that were stored together with the removed lines.
    pub(super) fn take_jobs(&mut self) -> impl Iterator<Item = Job> {
        self.bytes = 0;
        self.lines.drain(..).filter_map(|unsynced| unsynced.job).map(|job| *job)
    }
}
