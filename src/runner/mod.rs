//! The run: sends the requests that the scheduler chooses, writes each result as a line, and reports an event when the
//! line is on disk.
//!
//! [`drive`] runs the loop of a run. The loop owns the scheduler, so no locks are needed. Each attempt is a task, and
//! all attempts report over one channel. The loop knows nothing of formats, sockets and files. Rows come over a channel
//! ([`Incoming`]), a [`Transport`](crate::transport::Transport) sends the requests, and a [`Ledger`] writes the lines.
//! In tests, the channel, the transport and the ledger are in memory, so tests can simulate whole runs in virtual time.
//!
//! The files:
//! - `turns`: the loop of a run. An iteration of the loop is called a turn. In each turn, the loop accepts rows
//!   (`rows`) and sends the requests that the scheduler allows (`sending`). Then the loop waits for the next event: the
//!   end of an attempt (`outcomes`), lines on disk (`lines`), or an interrupt (`halting`).
//! - `equal` keeps a row back if an equal request is in flight. The module `copying` then copies the answer for the row
//!   that was kept back.
//! - `attempts` starts a task for each request. `attempt` is the code of each task. `answer_memory` limits the memory
//!   for all answers in flight.
//! - `input` reads and plans rows on a thread of its own.
//! - `orders` and `steering` pause, continue and end a run, and change its settings.
//! - `early` and `signals` handle signals, and `thread` provides the thread on which the loop runs.
//!
//! Invariants:
//! - A row is reported as done only after the line with its answer or failure is on disk.
//! - Before a request is sent, the ledger marks its row as in flight. So after a crash, the marks show which rows were
//!   possibly sent. The ledger writes all marks of one iteration of the loop together.
//! - Before more requests are sent, the lines of all answers so far are passed to the operating system. So a crash
//!   never loses more answers than there are requests in flight.
//! - If too many lines wait for a slow disk or for a slow reader of standard output, the loop sends no requests and
//!   accepts no rows.

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
