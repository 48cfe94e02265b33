//! The scheduler: which row is sent when, and what becomes of it.
//!
//! A state machine that owns everything about a run's order and limits: endpoints with their windows, health and halts,
//! pools, queues, gates, retries, budgets. It is given `now` and events, and returns steps; it never reads a clock, sends
//! anything or writes anything.
//!
//! ```text
//! offer(planned) ─► ready queue of its pool ─► poll: window, budget, pool.reserve ─► Step::Dispatch(ticket)
//!                      ▲ front: 429   ▲ later: backoff                                        │
//!                      └──────────────┴── on_end(ticket, verdict) ◄── on_head(ticket, signals)┘
//!                                              │ Next::Finished(outcome)
//! ```
//!
//! Invariants:
//! - each offered row ends once: finished, or set aside as pending; none is lost, none ends twice;
//! - what is in flight at an endpoint never exceeds its window as it was when the last row was sent there;
//! - nothing is sent from a held pool, nothing to a halted endpoint, and nothing at all after the run has halted;
//! - every reservation, of tokens and of money, is settled exactly once.
//!
//! Waiting for limits (429) or overload (529) uses up none of a row's tries; it is bounded by `--retry-for`.
//!
//! A pool sends its rows in the order they came, but for small ones behind a big one that waits for its bucket
//! (`passing`), and rows that are tried again, which go first. A row may wait for another behind a gate (`gate`), outside
//! these queues.
//!
//! What is sent for a row stays the same over its tries, byte for byte: whether it asks for a stream is decided the first
//! time, and only an endpoint whose streams can't be read changes that (`streaming`).
//!
//! What is asked for a row may change: a policy ([`crate::answer`]) sees each answer, each failure and each halt of an
//! endpoint, and may put another ask in the place of the one that ended, on the same route or on another.

mod ahead;
mod answers;
mod backoff;
mod budget;
mod canary;
mod config;
mod endpoint;
mod ends;
mod entry;
mod faults;
mod flights;
mod gate;
mod halt;
mod halts;
mod later;
pub mod order;
mod outcome;
mod passing;
mod poll;
mod pool;
mod prediction;
mod queue;
mod refusals;
mod state;
mod steer;
mod step;
mod watch;

pub use budget::Budget;
pub use config::{Config, LimitsOf, RealCost, StreamMode};
pub use endpoint::{EndpointId, Window};
pub use halt::HaltRule;
pub use state::Scheduler;
pub use steer::Steering;
pub use step::{GateId, Next, Step, Ticket};

#[cfg(test)]
pub(crate) mod tests;
