//! The API as a plain state machine.
//!
//! Owns everything the API decides: what it refuses, what it admits, what it answers, how long that takes and what it
//! costs. It is given `now` and never reads a clock; it names no runtime and no HTTP server. A transport asks
//! [`Model::arrive`] what will happen to a request, does that, and calls [`Model::finish`] when it is over.
//!
//! A request goes from `arrivals` to its endpoint (`endpoints`, `lists`), which reads the body (`request`, `validate`).
//! `admission` lets a message in or refuses it. `answer` and `reply` make the answer, `charges` bills it. `state` holds
//! what all of them share.
//!
//! Invariants: time only goes forward; a call is charged for output while it is produced, whether anybody listens or
//! not; every request gets an answer or an injected fault.

mod admission;
mod answer;
mod arrivals;
mod books;
mod bucket;
mod cache;
mod call;
mod chance;
mod changes;
mod charges;
mod delivery;
mod endpoints;
mod errors;
mod exchange;
mod figures;
mod hash;
mod journal;
mod limits;
mod lists;
mod out;
mod rate_headers;
mod refusal;
mod reply;
mod request;
mod schema;
mod server_tools;
mod state;
mod text;
mod tokens;
mod validate;

pub use books::Books;
pub use delivery::Step;
#[cfg(feature = "sim")]
pub(crate) use exchange::Unread;
pub use exchange::{Arrival, Ending, Request, Ticket};
#[cfg(feature = "sim")]
pub(crate) use journal::Line;
pub use state::Model;
