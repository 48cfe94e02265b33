//! The traits for showing a run.

use super::stats::Stats;
use crate::domain::RunEvent;

/// Receives the events of a run.
pub trait Reporter {
    /// Receives the next event. This method must be quick, because the run's loop calls it.
    fn on_event(&mut self, event: &RunEvent);

    /// Shows the state of the run because the user asked for it. The default does nothing.
    fn on_asked(&mut self) {}

    /// Removes live lines from the terminal. The default does nothing.
    fn finish(&mut self) {}
}

impl<R: Reporter + ?Sized> Reporter for Box<R> {
    fn on_event(&mut self, event: &RunEvent) {
        (**self).on_event(event);
    }

    fn on_asked(&mut self) {
        (**self).on_asked();
    }

    fn finish(&mut self) {
        (**self).finish();
    }
}

impl Reporter for Stats {
    fn on_event(&mut self, event: &RunEvent) {
        self.fold(event);
    }
}

/// One way to show a run.
pub trait View: Send {
    /// Shows what this event changed. `stats` already includes the event.
    fn show(&mut self, event: &RunEvent, stats: &Stats);

    /// Shows the state of the run because the user asked for it.
    fn answer(&mut self, stats: &Stats);

    /// Ends the view: live lines are removed from the terminal, and files are closed. It may be called
    /// several times.
    fn close(&mut self) {}

    /// Returns the warnings of this view for the user, and forgets them. They are then shown by all views. The default has
    /// none.
    fn take_warnings(&mut self) -> Vec<String> {
        Vec::new()
    }
}
