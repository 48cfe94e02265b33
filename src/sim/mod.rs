//! The API, simulated: one model, played in process on virtual time or over HTTP on loopback.
//!
//! It is the judge of `limiter` and `scheduler` and shares no code with them.

pub mod config;
pub mod faults;
pub mod model;
pub mod presets;
#[cfg(feature = "sim")]
pub mod server;
pub mod transport;
