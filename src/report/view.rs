//! The traits of the code that shows a run to the user.

use super::stats::Stats;
use crate::domain::RunEvent;

/// A receiver of the events of a run.
pub trait Reporter {
    /// Receives the next event. This method must be quick, because the main loop of the run calls it.
    fn on_event(&mut self, event: &RunEvent);

    /// Shows the state of the run when the user asks for it. The default implementation does nothing.
    fn on_asked(&mut self) {}

    /// Removes live lines from the terminal. The default implementation does nothing.
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

/// A kind of output of a run, such as live lines or JSON.
pub trait View: Send {
    /// Shows this event, or the state of the run after this event. `stats` already includes the event.
    fn show(&mut self, event: &RunEvent, stats: &Stats);

    /// Shows the state of the run when the user asks for it.
    fn answer(&mut self, stats: &Stats);

    /// Ends the view: removes live lines from the terminal, and closes files. Callers can call this method several
    /// times.
    fn close(&mut self) {}

    /// Returns the new warnings that this view has for the user. All views show these warnings. The default
    /// implementation returns no warnings.
    fn take_warnings(&mut self) -> Vec<String> {
        Vec::new()
    }
}
