//! Reports: what people and scripts see of a run. Every report is a fold over [`RunEvent`]s.
//!
//! Owns everything written to standard error while a run lasts. Knows nothing of scheduling or files.

use crate::domain::RunEvent;

/// Somebody who watches a run.
pub trait Reporter {
    /// Takes the next event. Must be quick: it is called from the run's loop.
    fn on_event(&mut self, event: &RunEvent);
}
