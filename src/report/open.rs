//! Opens the report that the user asked for. A report consists of the counters of the run and the views that show them.

use std::io::Write;
use std::sync::Arc;

use jiff::Timestamp;

use super::notes::Verbosity;
use super::stats::Stats;
use super::view::{Reporter, View};
use super::{json, plain, progress, quiet};
use crate::domain::{EventBody, RunEvent};

/// How the progress of a run is shown (`--progress`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProgressKind {
    /// Shows live lines on a terminal that can redraw lines. Shows plain lines on all other outputs.
    #[default]
    Auto,
    /// Live lines. Live lines on a terminal. If standard error is not a terminal, or its terminal can't redraw lines,
    /// plain lines are shown instead.
    Tty,
    /// Plain lines that are printed from time to time.
    Plain,
    /// One JSON object per line.
    Json,
    /// Only warnings.
    None,
}

/// The options of a view that shows the progress of a run.
pub struct ViewOptions {
    /// The kind of view that was asked for.
    pub kind: ProgressKind,
    /// How many messages are printed.
    pub verbosity: Verbosity,
    /// Whether the output is a terminal that can redraw lines.
    pub is_terminal: bool,
    /// Whether colours are allowed in this output.
    pub is_colored: bool,
    /// The width of plain lines; `None` if it is not known.
    pub columns: Option<usize>,
    /// The writer for all output of the view: standard error, or a buffer in a test.
    pub writer: Box<dyn Write + Send>,
}

/// The report of a run: the counters, and the views that show them.
pub struct Report {
    stats: Stats,
    views: Vec<Box<dyn View>>,
    /// The time of the last status event, and the id of the run.
    last: Option<(Timestamp, Arc<str>)>,
}

impl Report {
    /// Returns a report with this view.
    pub fn new(view: Box<dyn View>) -> Self {
        Self { stats: Stats::default(), views: vec![view], last: None }
    }

    /// Adds a view. Each event is passed to the views in the order in which the views were added.
    pub(crate) fn add(&mut self, view: Box<dyn View>) {
        self.views.push(view);
    }

    /// Returns the views' warnings that have not been shown yet.
    pub(crate) fn take_warnings(&mut self) -> Vec<String> {
        self.views.iter_mut().flat_map(|view| view.take_warnings()).collect()
    }

    /// Returns the counters of the run, for the summary and the exit code.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Counts an event, and passes it to all views.
    fn pass(&mut self, event: &RunEvent) {
        self.stats.fold(event);
        self.views.iter_mut().for_each(|view| view.show(event, &self.stats));
    }
}

impl Reporter for Report {
    /// Passes an event to the views. If the event is a status event, also asks the views for warnings. Status events
    /// come several times per second, which is often enough.
    fn on_event(&mut self, event: &RunEvent) {
        self.pass(event);
        if !matches!(event.body, EventBody::Status { .. }) {
            return;
        }
        let crossings =
            self.stats.tracker.take_crossings().into_iter().map(|crossing| EventBody::Crossed(crossing.into()));
        let warnings = self.take_warnings().into_iter().map(EventBody::Warned);
        self.last = Some((event.at, event.run.clone()));
        for body in crossings.chain(warnings).collect::<Vec<_>>() {
            self.pass(&RunEvent { at: event.at, run: event.run.clone(), body });
        }
    }

    fn on_asked(&mut self) {
        self.views.iter_mut().for_each(|view| view.answer(&self.stats));
    }

    fn finish(&mut self) {
        self.views.iter_mut().for_each(|view| view.close());
        // If a view could not close its file, the other views show a warning about the file. After that, all views are
        // closed a second time.
        let warnings = self.take_warnings();
        let Some((at, run)) = self.last.clone().filter(|_| !warnings.is_empty()) else { return };
        for warning in warnings {
            self.pass(&RunEvent { at, run: run.clone(), body: EventBody::Warned(warning) });
        }
        self.views.iter_mut().for_each(|view| view.close());
    }
}

/// Opens the report that the user asked for.
pub fn open(options: ViewOptions) -> Report {
    let ViewOptions { kind, verbosity, is_terminal, is_colored, columns, writer } = options;
    let view: Box<dyn View> = match (verbosity, kind) {
        // With `--quiet`, the JSON lines stay complete, because scripts read them.
        (_, ProgressKind::Json) => Box::new(json::Json::new(writer)),
        (Verbosity::Quiet, _) => Box::new(quiet::Silent),
        (_, ProgressKind::None) => Box::new(quiet::WarningsOnly::new(writer)),
        (_, ProgressKind::Auto | ProgressKind::Tty) if is_terminal && progress::can_redraw() => {
            Box::new(progress::Progress::on_stderr(verbosity, is_colored, writer))
        }
        (_, ProgressKind::Auto | ProgressKind::Tty | ProgressKind::Plain) => {
            Box::new(plain::Plain::new(verbosity, columns, writer))
        }
    };
    Report::new(view)
}
