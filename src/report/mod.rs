//! Reports: what people and scripts see of a run. Every report is a fold over [`RunEvent`]s.
//!
//! Owns everything written to standard error while a run lasts, and the summary after it. Knows nothing of scheduling
//! or files.
//!
//! [`Report`] folds each event once into [`Stats`] and hands both to one [`View`]: live lines on a terminal
//! ([`progress`]), plain lines elsewhere ([`plain`]), JSON for scripts ([`json`]), or next to nothing ([`quiet`]). A
//! view reads no clock: it goes by the times of the events, of which the scheduler's status comes several times a
//! second. So a run on virtual time shows what a real one would.
//!
//! Text from outside (model names, messages of servers, paths) reaches a terminal only through [`text::escape`], JSON only
//! through [`harmless`]. A write to standard error that fails is dropped: a closed terminal must not end a run.

mod advice;
pub mod failures;
pub mod harmless;
pub mod json;
pub mod line;
pub mod notes;
pub mod outlook;
mod pace;
pub mod plain;
pub mod progress;
pub mod quiet;
pub mod stats;
pub mod summary;
pub mod text;
pub mod words;

use std::io::Write;

use crate::domain::RunEvent;

pub use notes::Verbosity;
pub use stats::Stats;
pub use summary::{SummaryContext, summary};

/// Somebody who watches a run.
pub trait Reporter {
    /// Takes the next event. Must be quick: it is called from the run's loop.
    fn on_event(&mut self, event: &RunEvent);

    /// Says where the run stands, because somebody asked. The default does nothing.
    fn on_asked(&mut self) {}

    /// Takes leave of the terminal: what is drawn goes away, what follows is printed below. The default does nothing.
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

/// How a run is shown while it lasts: `--progress`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProgressKind {
    /// Live lines on a terminal that can redraw, plain lines elsewhere.
    #[default]
    Auto,
    /// Live lines; plain ones when standard error is no terminal, or a dumb one, since nothing can be redrawn there.
    Tty,
    /// A line now and then.
    Plain,
    /// One JSON object a line.
    Json,
    /// Warnings only.
    None,
}

/// What a view is opened with.
pub struct ViewOptions {
    /// What was asked for.
    pub kind: ProgressKind,
    /// How much is said.
    pub verbosity: Verbosity,
    /// Whether the writer is a terminal that can be redrawn.
    pub is_terminal: bool,
    /// Whether colours may be used there.
    pub is_colored: bool,
    /// Where everything is written: standard error, or a test's buffer.
    pub writer: Box<dyn Write + Send>,
}

/// One way to show a run.
pub trait View: Send {
    /// Shows what this event changed; `stats` has it folded in.
    fn show(&mut self, event: &RunEvent, stats: &Stats);

    /// Says where the run stands, because somebody asked.
    fn answer(&mut self, stats: &Stats);

    /// Takes leave of the terminal.
    fn close(&mut self) {}
}

/// A run as it is shown: the counters and one view of them.
pub struct Report {
    stats: Stats,
    view: Box<dyn View>,
}

impl Report {
    /// Returns a report over a view of one's own.
    pub fn new(view: Box<dyn View>) -> Self {
        Self { stats: Stats::default(), view }
    }

    /// Returns what has been counted, for the summary and the exit code.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }
}

impl Reporter for Report {
    fn on_event(&mut self, event: &RunEvent) {
        self.stats.fold(event);
        self.view.show(event, &self.stats);
    }

    fn on_asked(&mut self) {
        self.view.answer(&self.stats);
    }

    fn finish(&mut self) {
        self.view.close();
    }
}

/// Opens the report that was asked for.
pub fn open(options: ViewOptions) -> Report {
    let ViewOptions { kind, verbosity, is_terminal, is_colored, writer } = options;
    let view: Box<dyn View> = match (verbosity, kind) {
        // JSON was asked for by a script: it stays whole even when people want quiet.
        (_, ProgressKind::Json) => Box::new(json::Json::new(writer)),
        (Verbosity::Quiet, _) => Box::new(quiet::Silent),
        (_, ProgressKind::None) => Box::new(quiet::WarningsOnly::new(writer)),
        (_, ProgressKind::Auto | ProgressKind::Tty) if is_terminal && progress::can_redraw() => {
            Box::new(progress::Progress::on_stderr(verbosity, is_colored, writer))
        }
        (_, ProgressKind::Auto | ProgressKind::Tty | ProgressKind::Plain) => {
            Box::new(plain::Plain::new(verbosity, writer))
        }
    };
    Report::new(view)
}
