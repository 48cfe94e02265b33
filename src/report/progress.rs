//! Live lines on a terminal, redrawn in the same place. Only this file uses the crate `console`, which reads the size
//! of the terminal.
//!
//! The content of the lines comes from [`super::line`]. Each drawing fits the lines to the current size of the
//! terminal. The crate indicatif renders the lines with their bar. `progress/bar.rs` says why indicatif does not
//! repaint the lines itself. The lines are drawn at most ten times per second. The times of the events decide when the
//! next drawing is due.
//!
//! The cursor stays at the start of the first line. Each drawing first erases everything from the cursor to the end of
//! the screen. So a drawing is correct even after the terminal has changed its size. When the width of the terminal
//! changes, some terminals wrap the lines again, and other terminals cut the lines off. With both kinds of terminals,
//! the cursor stays in front of the same text. If the cursor stayed after the last line, each drawing would have to
//! move the cursor up to the first line. To move the cursor up, the program would need to know how many rows of the
//! terminal the lines fill. After a change of size, it is unknown how many rows the lines fill. A drawing that begins
//! too far up would erase other text above the lines.
//!
//! Line wrapping is turned off while a block is drawn. If the size changes at that moment, lines are cut off, but each
//! line still fills one row. Each line ends with a line break, so no terminal joins two lines into one. A drawing is a
//! single write, so other output can't be mixed into it.
//!
//! A line that was scrolled away can't be erased. On some terminals, a change of size can scroll away the line of the
//! cursor. The line is scrolled away if it is in the first row of the screen. The terminal then wraps the lines below
//! the cursor to the new width, and these lines can push the first row off the screen.

mod bar;

use std::io::Write;

use console::Term;
use jiff::{SignedDuration, Timestamp};

use self::bar::Bar;
use super::line::block;
use super::notes::{Notes, Verbosity};
use super::plain;
use super::stats::Stats;
use super::text::wrap;
use super::view::View;
use crate::domain::{EventBody, RunEvent};

/// The control sequence that erases the block: everything from the start of the cursor's row to the end of the screen.
/// The sequence begins with a blank. If the block begins at the start of the first row, erasing it without the blank
/// would look like clearing the screen. When the screen is cleared, some terminals save the text in their scroll-back.
const TAKE_BACK: &str = "\r \x1b[J\r";

/// The size of a terminal in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Its width.
    pub columns: usize,
    /// Its height.
    pub rows: usize,
}

/// A view that draws the state of a run and redraws it in the same place. Notes are printed above the state.
pub(crate) struct Progress {
    size: Box<dyn Fn() -> Size + Send>,
    is_colored: bool,
    notes: Notes,
    bar: Bar,
    writer: Box<dyn Write + Send>,
    drawn_at: Option<Timestamp>,
    /// Whether a block of live lines is currently on the terminal.
    is_shown: bool,
}

impl Progress {
    const PAUSE: SignedDuration = SignedDuration::from_millis(100);

    /// Returns a view that draws on the terminal of standard error. `writer` must write to that terminal.
    pub(crate) fn on_stderr(verbosity: Verbosity, is_colored: bool, writer: Box<dyn Write + Send>) -> Self {
        let term = Term::stderr();
        let size = move || {
            let (rows, columns) = term.size();
            Size { columns: columns.into(), rows: rows.into() }
        };
        Self::new(Box::new(size), verbosity, is_colored, writer)
    }

    /// Returns a view that is drawn on a given terminal. `size` returns the size of the terminal; it is called for each
    /// drawing.
    pub(crate) fn new(
        size: Box<dyn Fn() -> Size + Send>,
        verbosity: Verbosity,
        is_colored: bool,
        writer: Box<dyn Write + Send>,
    ) -> Self {
        let (notes, bar) = (Notes::new(verbosity), Bar::new());
        Self { size, is_colored, notes, bar, writer, drawn_at: None, is_shown: false }
    }

    /// Draws the live lines again immediately, even if the last drawing was only a moment ago.
    #[cfg(test)]
    pub(in crate::report) fn redraw(&mut self, stats: &Stats) {
        self.draw(None, stats);
    }

    /// Draws the live lines again. If there is a note, the note is printed above the live lines.
    fn draw(&mut self, note: Option<&str>, stats: &Stats) {
        let size = (self.size)();
        let mut drawing = TAKE_BACK.to_owned();
        for line in note.into_iter().flat_map(|note| wrap(note, size.columns.max(1))) {
            drawing.push_str(&line);
            drawing.push_str("\r\n");
        }
        // The last column stays empty, because some terminals wrap a line when its last column is filled.
        let block = block(stats, size.columns.saturating_sub(1).max(1), size.rows, self.is_colored);
        let mut lines = self.bar.draw(block, stats);
        lines.truncate(size.rows.max(1));
        push_block(&mut drawing, &lines);
        self.write(&drawing);
        self.is_shown = true;
    }

    fn write(&mut self, drawing: &str) {
        let _ = self.writer.write_all(drawing.as_bytes()).and_then(|()| self.writer.flush());
    }
}

/// Appends text that draws these lines below each other. The text then moves the cursor back to the start of the first
/// line.
fn push_block(drawing: &mut String, lines: &[String]) {
    drawing.push_str("\x1b[?7l");
    drawing.push_str(&lines.join("\r\n"));
    drawing.push_str("\x1b[?7h");
    for _ in 1..lines.len() {
        drawing.push_str("\x1b[1A");
    }
    drawing.push('\r');
}

impl View for Progress {
    fn show(&mut self, event: &RunEvent, stats: &Stats) {
        if matches!(event.body, EventBody::Ended { .. }) {
            return self.close();
        }
        let note = self.notes.of(event);
        let is_due = self.drawn_at.is_none_or(|drawn| event.at.duration_since(drawn) >= Self::PAUSE);
        if note.is_some() || is_due {
            self.drawn_at = Some(event.at);
            self.draw(note.as_deref(), stats);
        }
    }

    fn answer(&mut self, stats: &Stats) {
        self.draw(Some(&plain::line(stats)), stats);
    }

    fn close(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            self.write(TAKE_BACK);
        }
    }
}

impl Drop for Progress {
    /// Erases the live lines when the view is dropped. So the terminal is clean even after an error.
    fn drop(&mut self) {
        self.close();
    }
}

/// Returns whether the terminal of standard error can erase lines. Dumb terminals and old Windows consoles can't erase
/// lines. On newer Windows consoles, this function turns on the erasing of lines.
pub(crate) fn can_redraw() -> bool {
    !console::is_dumb() && (!cfg!(windows) || Term::stderr().features().colors_supported())
}

/// Returns the number of columns of standard error's terminal; `None` if standard error is not a terminal.
pub(crate) fn terminal_width() -> Option<usize> {
    Term::stderr().size_checked().map(|(_, columns)| usize::from(columns))
}

#[cfg(test)]
mod tests;
