//! Live lines on a terminal: the only user of indicatif, and of console, its terminal.
//!
//! indicatif takes lines back and draws them again; what they say comes from [`super::line`], fitted to the width that
//! the terminal has at each drawing. Drawn at most ten times a second by the events' time, whatever their number.
//! Its own template parts are not used: they neither drop what does not fit by importance nor know of buckets.

use std::io::Write;

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::{SignedDuration, Timestamp};

use super::line::lines;
use super::notes::{Notes, Verbosity};
use super::text::wrap;
use super::{Stats, View, plain};
use crate::domain::{EventBody, RunEvent};

/// Draws where a run stands and redraws it in place; notes are printed above.
pub struct Progress {
    bar: ProgressBar,
    width: Box<dyn Fn() -> usize + Send>,
    is_colored: bool,
    notes: Notes,
    writer: Box<dyn Write + Send>,
    drawn_at: Option<Timestamp>,
}

impl Progress {
    const PAUSE: SignedDuration = SignedDuration::from_millis(100);

    /// Returns a view on the terminal of standard error. `writer` takes the notes and must lead to the same terminal.
    pub fn on_stderr(verbosity: Verbosity, is_colored: bool, writer: Box<dyn Write + Send>) -> Self {
        let term = Term::buffered_stderr();
        let size = term.clone();
        let width = move || usize::from(size.size().1);
        // The pace is kept here, by the events' time: indicatif's own limit is set so that it never drops a drawing.
        Self::new(ProgressDrawTarget::term(term, 20), Box::new(width), verbosity, is_colored, writer)
    }

    /// Returns a view on any terminal; `width` tells its columns at each drawing.
    pub fn new(
        target: ProgressDrawTarget,
        width: Box<dyn Fn() -> usize + Send>,
        verbosity: Verbosity,
        is_colored: bool,
        writer: Box<dyn Write + Send>,
    ) -> Self {
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(ProgressStyle::with_template("{msg}").expect("the template is a constant"));
        Self { bar, width, is_colored, notes: Notes::new(verbosity), writer, drawn_at: None }
    }

    fn print_above(&mut self, note: &str) {
        let Self { bar, writer, width, .. } = self;
        let note = wrap(note, width().max(1)).join("\n");
        bar.suspend(|| {
            let _ = writeln!(writer, "{note}");
            let _ = writer.flush();
        });
    }

    fn draw(&mut self, now: Timestamp, stats: &Stats) {
        self.drawn_at = Some(now);
        // A full last column makes some terminals wrap.
        let columns = (self.width)().saturating_sub(1).max(1);
        self.bar.set_message(lines(stats, columns, self.is_colored).join("\n"));
        // indicatif leaves the cursor at the right edge, where the `^C` that a terminal echoes makes a line of its own
        // that is not taken back.
        let _ = self.writer.write_all(b"\r").and_then(|()| self.writer.flush());
    }
}

impl View for Progress {
    fn show(&mut self, event: &RunEvent, stats: &Stats) {
        if let Some(note) = self.notes.of(event) {
            self.print_above(&note);
        }
        let is_due = self.drawn_at.is_none_or(|drawn| event.at.duration_since(drawn) >= Self::PAUSE);
        if matches!(event.body, EventBody::Ended { .. }) {
            self.close();
        } else if is_due {
            self.draw(event.at, stats);
        }
    }

    fn answer(&mut self, stats: &Stats) {
        self.print_above(&plain::line(stats));
    }

    fn close(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    /// Leaves a clean terminal however the run ends.
    fn drop(&mut self) {
        self.close();
    }
}

/// Returns the columns of standard error's terminal; `None` when it is none.
pub fn terminal_width() -> Option<usize> {
    Term::stderr().size_checked().map(|(_, columns)| usize::from(columns))
}

#[cfg(test)]
mod tests {
    use indicatif::{InMemoryTerm, TermLike};

    use super::super::stats::tests::{at, started, succeeded};
    use super::*;
    use crate::domain::Quality;

    #[test]
    fn a_note_stands_above_the_line_and_the_line_goes_at_the_end() {
        let (term, mut view, mut stats) = opened(60);
        let mut play = |event: RunEvent| {
            stats.fold(&event);
            view.show(&event, &stats);
        };

        play(at(0, started(Some(4), 0)));
        play(at(1, succeeded(Quality::Ok)));
        play(at(2, EventBody::Warned("be\x1bware".to_owned())));
        play(at(3, succeeded(Quality::Ok)));
        let during = term.contents();
        play(at(4, ended()));

        insta::assert_snapshot!(during, @r"
        warning: be\u{1b}ware
        2/4 ████████████░░░░░░░░░░░░ 50% · 40 rows/min
        ");
        assert_eq!(term.contents(), r"warning: be\u{1b}ware");
    }

    #[test]
    fn a_note_above_two_lines_leaves_no_trace_of_them_and_breaks_at_blanks() {
        let (term, mut view, mut stats) = opened(40);
        let mut play = |event: RunEvent| {
            stats.fold(&event);
            view.show(&event, &stats);
        };
        let (in_flight, window, pools) = (3, 4, Vec::new());

        play(at(0, started(Some(4), 0)));
        play(at(1, EventBody::Status { in_flight, window, reason: crate::domain::Reason::Window, pools }));
        play(at(2, EventBody::Warned("something long that has to be broken at a blank".to_owned())));

        insta::assert_snapshot!(term.contents(), @"
        warning: something long that has to be
        broken at a blank
        0/4 ░░░░░░░░░░░░░░░░░░░░░░░░ 0%
        concurrency · 3/4 in flight · $0.00
        ");
    }

    #[test]
    fn the_echo_of_an_interrupt_leaves_no_trace() {
        let (term, mut view, mut stats) = opened(40);
        let mut play = |event: RunEvent| {
            stats.fold(&event);
            view.show(&event, &stats);
        };
        play(at(0, started(Some(4), 0)));

        term.write_str("^C").expect("it is in memory");
        play(at(1, EventBody::Warned("interrupted".to_owned())));
        play(at(2, ended()));

        assert_eq!(term.contents(), "warning: interrupted");
    }

    #[test]
    fn many_events_within_a_tenth_of_a_second_are_one_drawing() {
        let (term, mut view, mut stats) = opened(60);
        let events = (0..1_000).map(|_| at(5, succeeded(Quality::Ok)));

        for event in events {
            stats.fold(&event);
            view.show(&event, &stats);
        }

        assert_eq!(term.contents(), "1 row");
    }

    #[test]
    fn a_narrow_terminal_never_wraps() {
        let (term, mut view, mut stats) = opened(20);
        let events = (0..40).map(|second| at(second, succeeded(Quality::Ok)));

        for event in [at(0, started(Some(123_456), 0))].into_iter().chain(events) {
            stats.fold(&event);
            view.show(&event, &stats);
        }

        assert_eq!(term.contents().lines().count(), 1, "{}", term.contents());
    }

    fn opened(columns: u16) -> (InMemoryTerm, Progress, Stats) {
        let term = InMemoryTerm::new(10, columns);
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(term.clone()), 20);
        let width = Box::new(move || usize::from(columns));
        let writer = Box::new(Printer(term.clone()));
        (term, Progress::new(target, width, Verbosity::Normal, false, writer), Stats::default())
    }

    fn ended() -> EventBody {
        let elapsed = std::time::Duration::from_secs(4);
        EventBody::Ended { pending: 0, reason: None, reasons: Vec::new(), elapsed, max_in_flight: 1 }
    }

    /// Writes to the in-memory terminal what a program would to standard error.
    struct Printer(InMemoryTerm);

    impl Write for Printer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.write_str(&String::from_utf8_lossy(bytes).replace('\n', "\r\n"))?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
