//! The simulated API as a plain state machine, called the model.
//!
//! The model makes all decisions of the API: which requests are admitted, how they are answered, how long an answer
//! takes, and what it costs. Callers pass `now`, so the model never reads a clock. The model uses neither an async
//! runtime nor an HTTP server. A transport passes a request to [`Model::arrive`], which returns the planned response.
//! The transport sends this response and then calls [`Model::finish`].
//!
//! A request goes from `arrivals` to its endpoint (`endpoints`, `lists`), which reads the body (`fields`, `request`,
//! `parts`, `validate`). `admission` decides whether the request is admitted. `cache` decides which part of the prompt
//! is read from the cache, and which part is written to the cache. `diagnostics` says why the prompt was not read from
//! the cache. `answer`, `script` and `scripted` decide what the API answers. These three modules use `schema`,
//! `offered` and `server_tools`. `reply` and `deltas` write the answer, and `charges` bills the call. `batches` serves
//! message batches. `state` contains the state that these modules share. `platform` contains the differences between
//! the platforms. `sized` handles calls that have sizes instead of a body.
//!
//! Invariants:
//! - Time never goes backward.
//! - While output is produced, it uses up the limits, even if the client does not read this output.
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
