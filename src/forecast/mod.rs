//! Forecasts: what a run will cost, how long it will take, and how other settings would change this.
//!
//! A forecast is made from the rows of a run ([`crate::plan::Load`]), from earlier answers ([`History`]) and from the
//! tokens that the API counted for some rows ([`Counts`]). All figures that a run or a plan shows before the first
//! request come from [`Question::forecast`]. This module reads no file and no clock, and does not use the command line.
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
//! | `prior` | the assumptions that are used when nothing is known |
//! | `statistics` | means, ratios and regressions, with their errors |
//! | `sizes` | the real sizes of the rows of each group, and the sources of these figures |
//! | `price_steps` | the cost of rows whose prices depend on the length of the prompt |
//! | `totals` | the tokens and the cost of many rows, as intervals |
//! | `play` | simulates a run on virtual time ("plays" it), with the real scheduler and the simulated API |
//! | `time` | how long a run takes: which rows are simulated, and how the time of the other rows is added |
//! | `options` | changes that would alter the forecast |
//! | `batches` | what the run costs in batches, and how long it takes |
//! | `question` | puts these parts together |
//!
//! `benches/PLAN.md` shows how accurate forecasts are.
//!
//! Invariants:
//! - An interval shows how uncertain a figure is. A single number is never shown without its interval.
//! - The cost of a model without a price is unknown. The rows of such a model are counted separately.
//! - If the rows, the history and the token counts are the same, the forecast is the same.
//! - A forecast takes bounded time and memory for any number of rows.
//!
//! Rejected:
//! - Estimating the time as tokens divided by limits: the result ignores bursts, latency and the number of concurrent
//!   requests. Such a division also ignores that rows of several models wait for each other.
//! - Simulating all rows: a million rows would take seconds, and the result would differ by less than a percent.
//! - Simulating fewer rows with proportionally lower limits: the result would be wrong. Response headers round tokens
//!   to thousands, so a limit of a few hundred tokens behaves differently from the real limits.

mod batches;
mod history;
mod options;
mod play;
mod price_steps;
mod prior;
mod question;
mod sizes;
mod statistics;
mod time;
mod totals;

pub use batches::InBatches;
pub use history::{History, PastAnswer};
pub use options::{Alternative, Change, TierLimits};
pub use question::{Forecast, Question};
pub use sizes::{Basis, Counts};
pub use time::{RunTime, Setting, known_bursts};
pub use totals::Totals;
