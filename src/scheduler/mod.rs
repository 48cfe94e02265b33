//! The scheduler decides when each row is sent, and what happens to the row after each attempt.
//!
//! The scheduler is a state machine that decides the order of the rows and applies the limits of the run. The scheduler
//! owns the endpoints. For each endpoint, the scheduler owns the window (how many requests can be in flight), the
//! health and the halt. The scheduler also owns the pools, queues, gates, retries and budgets. Callers pass `now` and
//! events to the scheduler, and it returns steps (what to do next). The scheduler never reads a clock, and it never
//! sends or writes anything.
//!
//! ```text
//! offer(planned) ─► ready queue of its pool ─► poll: window, budget, pool.reserve ─► Step::Dispatch(ticket)
//!                      ▲ front: 429   ▲ later: backoff                                        │
//!                      └──────────────┴── on_end(ticket, verdict) ◄── on_head(ticket, signals)┘
//!                                              │ Next::Finished(outcome)
//! ```
//!
//! Invariants:
//! - Each offered row ends exactly once: it is finished, or it is set aside (left for a later run).
//! - A row is sent to an endpoint only if the requests in flight there, including the new one, fit into the endpoint's
//!   window.
//! - A pool that is held (must wait) sends nothing, and an endpoint that has halted gets nothing. Nothing at all is
//!   sent after the run has halted.
//! - Every reservation of tokens or money is settled exactly once.
//!
//! A row that waits because of a limit (429) or an overload (529) does not use up tries. `--retry-for` limits how long
//! a row waits.
//!
//! A pool sends its rows in the order in which they came, with two exceptions. Rows that are tried again are usually
//! sent before new rows. Small rows pass a big row that waits until its bucket has enough tokens (`passing`). If two
//! rows share a prefix, one row writes it to the prompt cache (`warmth`). A row can wait behind a gate (`gate`) until
//! another row has written the prefix.
//!
//! In all tries of a row, its request stays the same, byte for byte, except for its cache marks. The cache marks depend
//! on what is in the cache when the request is sent. The first try decides whether the request asks for a stream. A
//! later try changes this decision if the program can't read the endpoint's streams (`endpoint::streaming`), or if
//! other rows wait for the beginning of the response.
//!
//! Several endpoints can form a chain: a list in the order in which they are used. If a row can't be sent to its
//! endpoint soon, the row is sent to the next endpoint of the chain (`chain`). A row never moves back to an earlier
//! endpoint.
//!
//! A policy can replace a row's request. A policy ([`crate::answer`]) sees each answer, each failure and each halt of
//! an endpoint. The policy can then send another request for the row, to the same endpoint or to another.
//!
//! # Files
//! Each group of files in this list uses only the groups above it:
//! - `step` (the steps that the scheduler returns), `order` (the order in which an input is read), `budget`, `halt`
//!   (the `--halt` rule), `endpoint` (what the scheduler knows about an endpoint), `config`;
//! - the parts of the state: `entry` (a row), `flights` (attempts), `gate` and `later` (rows that wait), `warmth` (what
//!   is in the prompt cache), `pool`, `prediction`, `backoff`;
//! - `state`: the struct [`Scheduler`];
//! - the files with the methods that change the state:
//!   - `queue` and `ahead` accept rows;
//!   - `chain` and `pull` send rows to the next endpoint of a chain (`fallback`);
//!   - `poll`, `passing` and `canary` decide which request is sent next;
//!   - `warm_up` sends the first row with a prefix, and makes the other rows with this prefix wait;
//!   - `ends`, `answers`, `refusals`, `faults`, `outcome` and `halts` handle the ends of attempts;
//!   - `batched` counts the money and the failures of rows in batches;
//!   - `steer` changes settings, and `pauses` pauses the run;
//!   - `watch` reports the state of the run.

mod ahead;
mod answers;
mod backoff;
mod batched;
mod budget;
mod canary;
mod chain;
mod config;
mod endpoint;
mod ends;
mod entry;
mod fallback;
mod faults;
mod flights;
mod gate;
mod halt;
mod halts;
mod later;
pub mod order;
mod outcome;
mod passing;
mod pause;
mod pauses;
mod poll;
mod pool;
mod prediction;
mod pull;
mod queue;
mod refusals;
mod state;
mod steer;
mod step;
mod warm_up;
mod warmth;
mod watch;

pub use budget::Budget;
pub(crate) use budget::Room;
pub use config::{Config, LimitsOf, RealCost, StreamMode};
pub use endpoint::{EndpointId, Window};
pub use fallback::{AskFor, Fallback};
pub use halt::HaltRule;
pub(crate) use outcome::AnsweredRow;
pub use state::Scheduler;
pub use steer::Steering;
pub use step::{Next, Step, Ticket};

#[cfg(test)]
pub(crate) mod tests;
