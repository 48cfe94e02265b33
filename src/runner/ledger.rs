//! The ledger: the functions that the loop needs from a journal (the files of a run), and their implementation. A mark
//! in the ledger says that a request for a row is possibly in flight.

use std::collections::{HashMap, VecDeque};

use tokio::sync::mpsc;

use crate::clock::RunClock;
use crate::domain::{
    Ended, ErrorClass, Failure, Job, JobId, LearnedPool, Money, Outcome, Purpose, StoredAnswer, Taken, WriteFault,
    causes,
};
use crate::journal::{self, DiskFile, InputRead, Journal, JournalError, OnCommit, Slot};
use crate::plan::Rejected;
use crate::scheduler::Ticket;
use crate::source::BrokenRow;

pub use crate::journal::Commit;

/// Returns a callback and a channel. The journal passes its commits (lines that are on disk) to the callback, and the
/// loop receives these commits from the channel.
pub fn commits() -> (OnCommit, mpsc::UnboundedReceiver<Commit>) {
    let (commits_in, commits) = mpsc::unbounded_channel();
    // After the end of the run, nobody receives commits.
    (Box::new(move |commit| _ = commits_in.send(commit)), commits)
}

/// Receives the lines of rows, and the marks of rows in flight. The lines have consecutive numbers (`seq`), and
/// [`Commit::UpTo`] reports lines in the order of their numbers.
pub trait Ledger {
    /// Records that a request for a row is about to be sent: writes the mark of the row. `at_most` is the highest
    /// possible total cost of this request and all earlier requests for the row. If the process dies, a later run
    /// counts this amount as spent.
    ///
    /// # Errors
    /// Returns the reason why the mark can't be written. If the mark can't be written, the request must not be sent.
    fn mark(&mut self, ticket: Ticket, job: &Job, at_most: Money) -> Result<(), WriteFault>;

    /// Records that a request has ended without a line, and that no request for its row was billed.
    fn clear(&mut self, ticket: Ticket);

    /// Records that a request has ended without a line, and that a request for its row was billed or possibly billed.
    /// The mark of the row stays. If another request is sent for the row, that request uses the same mark.
    fn keep(&mut self, ticket: Ticket, job: JobId);

    /// Writes the line of a finished row. The mark of the row stays until the line is on disk.
    fn write_outcome(&mut self, seq: u64, ticket: Ticket, outcome: &Outcome);

    /// Writes the line of a finished row that has no mark. If a finished row has no mark, the row was in a batch, or a
    /// line of an earlier run contains its answer.
    fn write_unsent(&mut self, seq: u64, outcome: &Outcome);

    /// Writes the line of a row that is not finished. The last answer of this row was not accepted, and a request with
    /// this `purpose` is sent next. If the row has a mark, the mark stays until the line is on disk. The next request
    /// gets a mark of its own.
    fn write_step(&mut self, seq: u64, ticket: Option<Ticket>, step: &Outcome, purpose: Purpose);

    /// Writes the line of a row that is rejected before it is sent.
    fn write_rejected(&mut self, seq: u64, rejected: &Rejected);

    /// Writes the line of a row that can't be read.
    fn write_broken(&mut self, seq: u64, broken: &BrokenRow);

    /// Writes the line of a row whose answer is taken from another line.
    fn write_taken(&mut self, seq: u64, taken: &Taken);

    /// Makes it possible to read the last written answer again, so that equal rows can copy this answer. Returns the
    /// place of the answer.
    ///
    /// # Errors
    /// Returns a text that says why the answer can't be read again.
    fn keep_answer(&mut self, _outcome: &Outcome) -> Result<u64, String> {
        Err("no answer is kept".to_owned())
    }

    /// Passes the waiting lines to the operating system, so that their answers can be read back.
    fn flush_lines(&mut self) {}

    /// Reads the answer at this place; `None` if the answer can't be read.
    fn read_answer(&mut self, _place: u64) -> Option<StoredAnswer> {
        None
    }

    /// The loop calls this when all lines up to number `seq` are on disk.
    fn on_committed(&mut self, seq: u64);

    /// Returns the total size in bytes of the lines that are not on disk yet.
    fn backlog_bytes(&self) -> usize;

    /// Returns the total size in bytes of the lines that are possibly still in memory.
    fn unwritten_bytes(&self) -> usize {
        0
    }

    /// Passes the waiting lines to the operating system, and then the waiting marks. The loop calls this in each
    /// iteration before it sends the requests that it has marked.
    ///
    /// # Errors
    /// Returns the reason why the marks can't be written. If the marks can't be written, the requests that were marked
    /// since the last call must not be sent.
    fn flush(&mut self) -> Result<(), WriteFault>;

    /// Makes the ledger write all later lines to disk as soon as possible. The run now waits for nothing but these
    /// lines.
    fn hurry(&mut self) {}
}

/// What happens to a slot (the record of a request in flight) when the row's line is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AfterSync {
    /// The slot becomes free. The file does not change, because a later run finds the row's line and ignores the slot.
    Release,
    /// The slot is cleared in the file. The row of the slot is not finished. If the slot stayed in the file, a later
    /// run would count the slot although the row has a line.
    Clear,
}

/// A ledger that writes to the journal (the files of a run).
///
/// If writing fails, the journal reports this once, as a failed commit. After this failure, calls of the ledger have no
/// effect.
pub struct JournalLedger {
    journal: Journal,
    clock: RunClock,
    /// The slots (the records of requests in flight). The number of a ticket is the index of its slot.
    slots: Vec<Option<Slot>>,
    /// The slots of rows that have no request in flight but were billed or possibly billed.
    kept: HashMap<JobId, Slot>,
    /// The slots of rows whose line is not on disk yet, each with the number (`seq`) of this line.
    unsynced: VecDeque<(u64, Slot, AfterSync)>,
    last_seq: u64,
}

impl JournalLedger {
    /// Returns a ledger that writes to an open journal.
    pub fn new(journal: Journal, clock: RunClock) -> Self {
        Self { journal, clock, slots: Vec::new(), kept: HashMap::new(), unsynced: VecDeque::new(), last_seq: 0 }
    }

    /// Adds the cost of canaries (test requests) to the sums that later runs read, because no line of the results
    /// includes this cost.
    ///
    /// # Errors
    /// Any [`JournalError::Disk`].
    pub fn carry(&mut self, spend: Money) -> Result<(), JournalError> {
        self.journal.carry(spend)
    }

    /// Closes the journal; see [`Journal::close`]. With `keeps_marks`, the marks of aborted requests stay in the file.
    /// The next run then counts the cost of these requests as spent.
    ///
    /// # Errors
    /// Any [`JournalError::Disk`].
    pub fn close(mut self, input: InputRead, keeps_marks: bool) -> Result<journal::Closed, JournalError> {
        // The journal writes the lines of the rows to disk before it writes the slots of these rows.
        for (_, slot, then) in self.unsynced.drain(..) {
            match then {
                AfterSync::Release => {}
                AfterSync::Clear => self.journal.clear(slot),
            }
        }
        self.journal.close(input, keeps_marks)
    }

    /// Stores what the run has learned about limits. The limits are written to the run folder when the journal is
    /// closed.
    pub(crate) fn note_learned(&mut self, at: jiff::Timestamp, pools: Vec<LearnedPool>) {
        self.journal.note_learned(at, pools);
    }

    /// Sets the private file that keeps answers for equal rows if there is no results file. The file must be empty.
    pub(crate) fn keep_answers_in(&mut self, file: Box<dyn DiskFile>) {
        self.journal.keep_answers_in(file);
    }

    /// Writes error lines for rows that were not answered before the run ended, so that no row from a pipe is lost.
    pub(crate) fn write_canceled(&mut self, rows: Vec<Job>) {
        // If a row already has a line with its last answer, the row is left out, because a later run continues from
        // that answer.
        let is_new = |job: &Job| !self.journal.has_unfinished(job.row);
        let rows: Vec<Job> = rows.into_iter().filter(is_new).collect();
        for job in rows {
            let message = "the run ended before this row was answered".to_owned();
            let failure = Failure { message, ..Failure::default() };
            let ended = Ended::Failed { class: ErrorClass::Canceled, failure, is_retryable: true };
            let outcome = Outcome { job: Box::new(job), attempts: Vec::new(), ended };
            self.last_seq += 1;
            reported_elsewhere(self.journal.append_outcome(&outcome, self.last_seq));
        }
    }

    fn take_slot(&mut self, ticket: Ticket) -> Option<Slot> {
        self.slots.get_mut(ticket.0 as usize)?.take()
    }
}

impl Ledger for JournalLedger {
    fn mark(&mut self, ticket: Ticket, job: &Job, at_most: Money) -> Result<(), WriteFault> {
        let kept = if self.kept.is_empty() { None } else { self.kept.remove(&job.id) };
        let slot = match kept {
            Some(slot) => self.journal.mark_again(slot, job, at_most),
            None => self.journal.mark(job, at_most),
        };
        let at = ticket.0 as usize;
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, || None);
        }
        self.slots[at] = Some(slot);
        Ok(())
    }

    fn keep(&mut self, ticket: Ticket, job: JobId) {
        if let Some(slot) = self.take_slot(ticket) {
            self.kept.insert(job, slot);
        }
    }

    fn clear(&mut self, ticket: Ticket) {
        if let Some(slot) = self.take_slot(ticket) {
            self.journal.clear(slot);
        }
    }

    fn write_outcome(&mut self, seq: u64, ticket: Ticket, outcome: &Outcome) {
        if let Some(slot) = self.take_slot(ticket) {
            self.unsynced.push_back((seq, slot, AfterSync::Release));
        }
        self.last_seq = seq;
        reported_elsewhere(self.journal.append_outcome(outcome, seq));
    }

    fn write_unsent(&mut self, seq: u64, outcome: &Outcome) {
        self.last_seq = seq;
        reported_elsewhere(self.journal.append_outcome(outcome, seq));
    }

    fn write_step(&mut self, seq: u64, ticket: Option<Ticket>, step: &Outcome, purpose: Purpose) {
        let own = ticket.and_then(|ticket| self.take_slot(ticket));
        // If an earlier attempt of the row failed and was billed, the slot of that attempt was kept. The new line also
        // contains that earlier attempt.
        let kept = if self.kept.is_empty() { None } else { self.kept.remove(&step.job.id) };
        let slots = own.into_iter().chain(kept);
        self.unsynced.extend(slots.map(|slot| (seq, slot, AfterSync::Clear)));
        self.last_seq = seq;
        reported_elsewhere(self.journal.append_step(step, purpose, seq));
    }

    fn write_rejected(&mut self, seq: u64, rejected: &Rejected) {
        self.last_seq = seq;
        reported_elsewhere(self.journal.append_rejected(rejected, self.clock.now(), seq));
    }

    fn write_broken(&mut self, seq: u64, broken: &BrokenRow) {
        self.last_seq = seq;
        reported_elsewhere(self.journal.append_broken(broken, self.clock.now(), seq));
    }

    fn write_taken(&mut self, seq: u64, taken: &Taken) {
        self.last_seq = seq;
        reported_elsewhere(self.journal.append_taken(taken, self.clock.now(), seq));
    }

    fn keep_answer(&mut self, outcome: &Outcome) -> Result<u64, String> {
        self.journal.keep_answer(outcome).map_err(|error| causes(&error))
    }

    fn flush_lines(&mut self) {
        self.journal.flush_lines();
    }

    fn read_answer(&mut self, place: u64) -> Option<StoredAnswer> {
        self.journal.read_answer(place)
    }

    fn on_committed(&mut self, seq: u64) {
        while self.unsynced.front().is_some_and(|(own, ..)| *own <= seq) {
            let Some((_, slot, then)) = self.unsynced.pop_front() else { break };
            match then {
                AfterSync::Release => self.journal.release(slot),
                AfterSync::Clear => self.journal.clear(slot),
            }
        }
    }

    fn backlog_bytes(&self) -> usize {
        self.journal.backlog_bytes()
    }

    fn unwritten_bytes(&self) -> usize {
        self.journal.unwritten_bytes()
    }

    fn flush(&mut self) -> Result<(), WriteFault> {
        self.journal.flush().map_err(|error| WriteFault::from(&error))
    }

    fn hurry(&mut self) {
        self.journal.hurry();
    }
}

/// Ignores a failure, because the journal reports it later: as a failed commit, or when the journal is closed.
fn reported_elsewhere<T>(_: Result<T, JournalError>) {}
