//! The scheduler decides when each row is sent, and what happens to the row.
//!
//! It is a state machine that owns everything about the order of rows and the limits of a run: endpoints with their
//! windows, health and halts, pools, queues, gates, retries and budgets. Callers pass it `now` and events, and it
//! returns steps. It never reads a clock, and it never sends or writes anything.
//!
//! ```text
//! offer(planned) ─► ready queue of its pool ─► poll: window, budget, pool.reserve ─► Step::Dispatch(ticket)
//!                      ▲ front: 429   ▲ later: backoff                                        │
//!                      └──────────────┴── on_end(ticket, verdict) ◄── on_head(ticket, signals)┘
//!                                              │ Next::Finished(outcome)
//! ```
//!
//! Invariants:
//! - Each offered row ends exactly once: it is finished, or set aside as pending.
//! - When a row is sent to an endpoint, the requests in flight there do not exceed its window. They include the new
//!   request.
//! - Nothing is sent from a held pool or to a halted endpoint. Nothing at all is sent after the run has halted.
//! - Every reservation of tokens or money is settled exactly once.
//!
//! A row that waits because of a limit (429) or an overload (529) does not use up its tries. `--retry-for` bounds how
//! long a row waits.
//!
//! A pool sends its rows in the order in which they came, with two exceptions. Rows that are tried again go first.
//! Small rows pass a big row that waits for its bucket (`passing`). A row may also wait behind a gate (`gate`) while
//! another row writes a prefix that both share to the prompt cache (`warmth`).
//!
//! A row's request stays the same in all its tries, byte for byte, except for its cache marks. These depend on what is in
//! the cache when the request is sent. Whether it asks for a stream is decided at the first try. This decision changes
//! in two cases: streams of the endpoint can't be read (`endpoint::streaming`), or other rows wait for the row.
//!
//! Several endpoints can form a chain. A row that can't be sent to its endpoint soon is sent to the next one (`chain`).
//! It never moves back.
//!
//! A policy can replace a row's request. A policy ([`crate::answer`]) sees each answer, each failure and each halt of
//! an endpoint, and may send another request for the row, to the same endpoint or to another.
//!
//! # Files
//! Each group of files uses only the groups above it:
//! - `step` (the steps that the scheduler returns), `order` (in which order an input is read), `budget`, `halt` (the
//!   `--halt` rule), `endpoint` (what is known of an endpoint), `config`;
//! - `entry` (a row), `flights` (attempts), `gate` and `later` (rows that wait), `warmth` (what is in the prompt cache),
//!   `pool`, `prediction`, `backoff`;
//! - `state`: the struct [`Scheduler`];
//! - what the scheduler does:
//!   - rows come in: `queue` and `ahead`;
//!   - rows are sent to the next endpoint of a chain (`fallback`): `chain` and `pull`;
//!   - requests are sent: `poll`, `passing` and `canary`;
//!   - the first row with a prefix is sent, and the others wait for it: `warm_up`;
//!   - attempts end: `ends`, `answers`, `refusals`, `faults`, `outcome` and `halts`;
//!   - rows go into batches, whose money and failures count too: `batched`;
//!   - settings change: `steer`; the run is paused: `pauses`;
//!   - reporters ask for the state of the run: `watch`.

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
