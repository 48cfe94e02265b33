//! The run: sends the requests that the scheduler chooses, writes results as lines, and reports an event for each line
//! that is on disk.
//!
//! [`drive`] runs the one loop. The loop owns the scheduler, so no locks are needed. Each attempt is a task, and all
//! attempts report over one channel. The loop knows no format, no socket and no file: rows come over a channel
//! ([`Incoming`]), requests go through a [`Transport`](crate::transport::Transport), lines go to a [`Ledger`]. In
//! tests, all three are in memory, so tests can play whole runs in virtual time.
//!
//! The files:
//! - `turns`: the loop. An iteration of the loop is called a turn. Each turn takes rows (`rows`) and sends what the
//!   scheduler allows (`sending`). Then it waits for whatever happens first: the end of an attempt (`outcomes`), lines
//!   on disk (`lines`), or an interrupt (`halting`).
//! - `equal` holds back rows whose request is equal to the request of a row in flight, and `copying` copies answers for
//!   them.
//! - `attempts` starts a task for each request; `attempt` is the work of such a task; `answer_memory` limits the
//!   memory for all answers in flight.
//! - `input` reads and plans rows on a thread of its own.
//! - `orders` and `steering`: pauses, resumes, ends and changes settings while the run is in progress.
//! - `early`, `signals` and `thread`: signals, and the thread that the loop runs on.
//!
//! Invariants:
//! - A row is shown as done only after its line is on disk.
//! - Before a request is sent, the ledger marks its row as in flight. So after a crash, the marks show which rows may
//!   have been sent. The marks of one turn are written together.
//! - The lines of answers that have arrived are passed to the operating system before anything else is sent. So the
//!   number of answers that a crash loses is never higher than the number of requests in flight.
//! - While too many lines wait for a slow disk, or for a slow reader of standard output, no request is sent, and the
//!   loop accepts no row.

mod answer_memory;
mod attempt;
mod attempts;
mod batch_calls;
mod batch_lane;
mod batch_rows;
mod copying;
mod early;
mod equal;
mod events;
mod halting;
pub mod input;
mod lane_parts;
mod ledger;
mod lines;
mod orders;
mod outcomes;
mod parts;
mod routes;
mod rows;
mod run;
mod run_lane;
mod sending;
pub(crate) mod signals;
mod steering;
mod thread;
mod turns;
mod unsynced;

pub use early::Progress;
pub(crate) use early::{EarlySignals, Heard};
pub use equal::EqualRows;
pub use input::Incoming;
pub use lane_parts::LaneParts;
pub use ledger::{Commit, JournalLedger, Ledger, commits};
pub use orders::{Applied, Order, Steer};
pub use parts::{Finish, Parts};
pub use routes::{Route, Routes};
pub use signals::Interrupt;
pub(crate) use signals::{Meaning, Signals};
pub use thread::LoopThread;
pub use turns::drive;

#[cfg(test)]
mod tests;
