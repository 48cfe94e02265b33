//! Where lines go: what the loop needs of a journal.

use crate::domain::{Job, Money, Outcome};
use crate::plan::Rejected;
use crate::scheduler::Ticket;
use crate::source::BrokenRow;

/// What a ledger says of its lines, over a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// Every line up to this number is on disk.
    UpTo(u64),
    /// Lines can't be written any more.
    Failed(String),
}

/// Takes lines and marks. Numbers of lines rise by one; [`Commit::UpTo`] reports them in order.
pub trait Ledger {
    /// Notes that a request for a row is about to be sent.
    fn mark(&mut self, ticket: Ticket, job: &Job);

    /// Notes that a request has ended without a line: its row waits for another try.
    fn clear(&mut self, ticket: Ticket);

    /// Takes the line of a finished row. The mark of its ticket may be dropped once the line is on disk.
    fn write_outcome(&mut self, line: u64, ticket: Option<Ticket>, outcome: &Outcome, cost: Option<Money>);

    /// Takes the line of a row that is not sent.
    fn write_rejected(&mut self, line: u64, rejected: &Rejected);

    /// Takes the line of a row that can't be used.
    fn write_broken(&mut self, line: u64, broken: &BrokenRow);

    /// Returns the bytes of lines that are not on disk yet.
    fn backlog_bytes(&self) -> usize;

    /// Sees to it that what was taken gets to disk without waiting for more.
    fn flush(&mut self);
}
