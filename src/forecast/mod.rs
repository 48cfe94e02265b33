//! Forecasts: what a run will cost, how long it will take, and what would change that.
//!
//! A forecast is made from the rows of a run ([`crate::plan::Load`]), from earlier answers ([`History`]) and from token
//! counts of the API ([`Counts`]). All figures that a run or a plan shows before the first request come from
//! [`Question::forecast`]. This module reads no file and no clock, and knows nothing of the command line.
//!
//! ```text
//! Load ──► sizes (input and output of each group, with errors) ──► totals (tokens, money)
//! History ─┤                                                  └──► time: rows are played ──► play: scheduler ◄─► sim
//! Counts ──┘                                                                   options: the same with a change
//! ```
//!
//! | file | content |
//! |---|---|
//! | `history` | earlier answers, by template and by model |
//! | `prior` | what is assumed when nothing is known |
//! | `statistics` | means, ratios and regressions, with their errors |
//! | `sizes` | the real sizes of the rows of each group, and what they rest on |
//! | `totals` | tokens and money of many rows, as intervals |
//! | `play` | plays a run on virtual time, with the real scheduler and the simulated API |
//! | `time` | how long a run takes: which rows are played, and how the others are added |
//! | `options` | what would change the forecast |
//! | `question` | puts these parts together |
//!
//! `benches/PLAN.md` shows how right forecasts are.
//!
//! Invariants:
//! - An interval is as wide as what is not known. A single number is never shown without its interval.
//! - The cost of a model without a price is unknown. Its rows are counted apart.
//! - The same rows, history and counts give the same forecast.
//! - A forecast of any number of rows takes bounded time and memory.
//!
//! Rejected:
//! - Dividing the tokens by the limits. This says nothing about bursts, latency, the number of requests at once, and rows
//!   of several models that wait for each other.
//! - Playing all rows. A million rows would take seconds, and the result would be the same to within a percent.
//! - Playing fewer rows under proportionally lower limits. Buckets of a few hundred tokens behave differently from those
//!   of the real limits, because response heads round tokens to thousands.

mod history;
mod options;
mod play;
mod prior;
mod question;
mod sizes;
mod statistics;
mod time;
mod totals;

pub use history::{History, PastAnswer};
pub use options::{Alternative, Change, TierLimits};
pub use question::{Forecast, Question};
pub use sizes::{Basis, Counts};
pub use time::{RunTime, Setting, known_bursts};
pub use totals::Totals;
