//! The run: decisions of the scheduler become requests, results become lines, and lines on disk become events.
//!
//! [`drive`] runs the one loop. The loop owns the scheduler, so there are no locks around it. Each attempt is a task
//! that reports over one channel. The loop knows no format, no socket and no file: rows come over a channel
//! ([`Incoming`]), requests go through a [`Transport`](crate::transport::Transport), lines go to a [`Ledger`]. So tests
//! run whole runs on virtual time, with all three in memory.
//!
//! Where things are:
//! - `turns`: the loop. Each turn takes rows (`rows`), sends what the scheduler allows (`sending`), then waits for
//!   what comes first: the end of an attempt (`outcomes`), lines on disk (`lines`), an interrupt (`halting`).
//! - `attempts` starts a task for each request; `attempt` is what the task does; `answer_memory` bounds what all
//!   answers in flight hold.
//! - `input` reads and plans rows on a thread of its own.
//! - `early`, `signals` and `thread`: signals, and the thread that the loop runs on.
//!
//! Invariants:
//! - Durable before visible: a row is shown as done when its line is on disk, not before.
//! - A row is marked in the ledger before its request is sent. After a crash, a row that may have been sent can be told
//!   from one that was not. The marks of one turn are written together.
//! - Lines of answers that have arrived are handed to the operating system before anything else is sent. So a crash
//!   loses no more answers than requests were in flight.
//! - While too many lines wait for a slow disk, or for a slow reader of standard output, nothing is sent and no row is
//!   taken.

mod answer_memory;
mod attempt;
mod attempts;
mod early;
mod events;
mod halting;
pub mod input;
mod ledger;
mod lines;
mod outcomes;
mod parts;
mod rows;
mod run;
mod sending;
pub(crate) mod signals;
mod thread;
mod turns;
mod unsynced;

pub use early::Progress;
pub(crate) use early::{EarlySignals, Heard};
pub use input::Incoming;
pub use ledger::{Commit, JournalLedger, Ledger, commits};
pub use parts::{Finish, Parts};
pub use signals::Interrupt;
pub use thread::LoopThread;
pub use turns::drive;

#[cfg(test)]
mod tests;
