//! Forecasts.

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
