//! Handles signals before a run begins, and prints messages about them.

use std::sync::Arc;

use anyhow::Result;

use super::new_run::NewRun;
use crate::cli::exit::{Exit, Interrupted};
use crate::report::text::plural;
use crate::runner::{EarlySignals, Heard, Progress};

impl NewRun<'_> {
    /// From this call on, signals are handled until the run begins or the program exits.
    pub(super) fn hear_signals(&mut self) -> Result<()> {
        let (say, progress) = (self.voice(), Arc::new(Progress::default()));
        let seen = progress.clone();
        let on_heard = move |heard| match heard {
            Heard::Status => say(&format!(
                "the run has not begun: nothing was sent (read so far: {} of the input)",
                plural(seen.rows(), "row", "rows")
            )),
            Heard::Steer => say("the settings will be read again when the run begins"),
            // The current step of the preparation may take a long time, so the program exits at once, as if it had been
            // killed. No answer is lost.
            Heard::EndNow(signal) => std::process::exit(Exit::Interrupted(signal).code().into()),
        };
        self.early = Some(EarlySignals::start(self.config.grace, progress.clone(), on_heard)?);
        self.progress = progress;
        Ok(())
    }

    /// Fails if a signal has asked the program to stop.
    pub(super) fn check_interrupted(&self) -> Result<()> {
        match self.progress.ended_by() {
            Some(signal) => Err(Interrupted(signal).into()),
            None => Ok(()),
        }
    }
}
