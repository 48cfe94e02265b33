//! Views that show almost nothing, for `--progress none` and `-q`.

use std::io::Write;

use super::notes::warning;
use super::plain;
use super::stats::Stats;
use super::view::View;
use crate::domain::RunEvent;

/// A view that shows nothing. If the run stops early, the reason is printed after the run and not by this view.
#[derive(Debug)]
pub struct Silent;

impl View for Silent {
    fn show(&mut self, _event: &RunEvent, _stats: &Stats) {}

    fn answer(&mut self, _stats: &Stats) {}
}

/// A view that shows warnings and no progress.
pub(crate) struct WarningsOnly {
    writer: Box<dyn Write + Send>,
}

impl WarningsOnly {
    /// Returns a view that writes warnings to `writer`.
    pub(crate) fn new(writer: Box<dyn Write + Send>) -> Self {
        Self { writer }
    }
}

impl View for WarningsOnly {
    fn show(&mut self, event: &RunEvent, _stats: &Stats) {
        if let Some(line) = warning(event) {
            let _ = writeln!(self.writer, "{line}");
        }
    }

    fn answer(&mut self, stats: &Stats) {
        let _ = writeln!(self.writer, "{}", plain::line(stats));
    }
}
