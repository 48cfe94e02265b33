//! The API as a plain state machine.
//!
//! The model owns everything that the API decides: what it refuses, what it admits, what it answers, how long an answer
//! takes and what the answer costs. Callers pass `now`, so the model never reads a clock. It uses no async runtime and
//! no HTTP server. A transport asks [`Model::arrive`] what will happen to a request, makes that happen, and calls
//! [`Model::finish`] at the end.
//!
//! A request goes from `arrivals` to its endpoint (`endpoints`, `lists`), which reads the body (`fields`, `request`,
//! `parts`, `validate`). `admission` admits a message or refuses it, `cache` says what its prompt reads and writes, and
//! `diagnostics` says why the prompt was not read from the cache. `answer`, `script` and `scripted` decide what is
//! answered, and use `schema`, `offered` and `server_tools` for this; `reply` and `deltas` write the answer, and
//! `charges` bills the call. `batches` serves message batches. `state` holds what all of these modules share.
//! `platform` has what differs between the platforms. `sized` is for calls without a body.
//!
//! Invariants:
//! - Time only goes forward.
//! - A call is charged for its output while the output is produced, whether or not a client reads it.
//! - Every request gets an answer or an injected fault.

mod admission;
mod answer;
mod arrivals;
mod batches;
mod blocks;
mod books;
mod bucket;
mod cache;
mod call;
mod chance;
mod changes;
mod charges;
mod delivery;
mod deltas;
mod diagnostics;
mod endpoints;
mod errors;
mod exchange;
mod fields;
mod figures;
mod hash;
mod journal;
mod limits;
mod lists;
mod offered;
mod out;
mod parts;
pub(crate) mod platform;
mod rate_headers;
mod refusal;
mod reply;
mod request;
mod schema;
mod script;
mod scripted;
mod server_tools;
mod sized;
mod state;
mod text;
mod tokens;
mod validate;

#[cfg(feature = "sim")]
pub(crate) use batches::PART_BYTES;
pub use batches::{BatchRecord, BatchedRequest};
pub use books::{BatchBooks, Books};
pub use delivery::{ResultsPart, Step};
#[cfg(feature = "sim")]
pub(crate) use endpoints::most_body_bytes;
#[cfg(feature = "sim")]
pub(crate) use exchange::Unread;
pub use exchange::{Arrival, Ending, Request, Ticket};
#[cfg(feature = "sim")]
pub(crate) use journal::Line;
pub use sized::{SizedArrival, SizedCall};
pub use state::Model;
