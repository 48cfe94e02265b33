//! Keeps the things that belong to lines until the lines are on disk.

use std::collections::VecDeque;

use super::answer_memory::AnswerShare;
use crate::domain::{EventBody, Job};

/// Lines that are not on disk yet, in the order of their numbers.
#[derive(Default)]
pub(super) struct UnsyncedLines {
    lines: VecDeque<Unsynced>,
    /// Bytes of the rows that are kept with the lines.
    bytes: usize,
    last_seq: u64,
    /// The number of the last line that is on disk.
    synced_seq: u64,
}

/// The things that the runner keeps for a line until the line is on disk.
struct Unsynced {
    seq: u64,
    event: EventBody,
    /// The row, if pending rows are kept. If its line can't be written, the row is pending.
    job: Option<Box<Job>>,
    /// The share of a large answer in the answer memory. It is kept while the line is in memory.
    share: Option<AnswerShare>,
}

impl UnsyncedLines {
    /// Adds the next line, with its event. Returns the number of the line.
    pub(super) fn push(&mut self, event: EventBody) -> u64 {
        self.last_seq += 1;
        self.lines.push_back(Unsynced { seq: self.last_seq, event, job: None, share: None });
        self.last_seq
    }

    /// Adds a row and a share to the last line.
    pub(super) fn keep_with_last(&mut self, job: Option<Box<Job>>, share: Option<AnswerShare>) {
        if let Some(last) = self.lines.back_mut() {
            self.bytes += job.as_ref().map_or(0, |job| job.bytes());
            (last.job, last.share) = (job, share);
        }
    }

    /// Returns the event of the first line if the line is on disk, that is, if its number is not above `seq`.
    pub(super) fn pop(&mut self, seq: u64) -> Option<EventBody> {
        self.synced_seq = self.synced_seq.max(seq);
        self.lines.front().filter(|line| line.seq <= seq)?;
        let Unsynced { event, job, .. } = self.lines.pop_front()?;
        self.bytes -= job.map_or(0, |job| job.bytes());
        Some(event)
    }

    /// Returns the number of the last line.
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

    /// Returns the bytes of the rows that are kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns how many lines are not on disk.
    pub(super) fn len(&self) -> u64 {
        self.lines.len() as u64
    }

    /// Returns how many of the lines are answers.
    pub(super) fn answers(&self) -> u64 {
        let is_answer = |unsynced: &&Unsynced| matches!(unsynced.event, EventBody::Succeeded { .. });
        self.lines.iter().filter(is_answer).count() as u64
    }

    /// Removes all lines. Returns the rows that were kept with these lines.
    pub(super) fn take_jobs(&mut self) -> impl Iterator<Item = Job> {
        self.bytes = 0;
        self.lines.drain(..).filter_map(|unsynced| unsynced.job).map(|job| *job)
    }
}
