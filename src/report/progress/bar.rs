//! The block of live lines as indicatif renders it: the only user of indicatif.
//!
//! indicatif's [`ProgressBar`] keeps the length, the position and the text around the bar, and renders them in its
//! style. It draws on a [`Sheet`] as if that was a terminal. The sheet keeps the lines, and drops blanks and movements
//! of the cursor. [`Progress`](super::Progress) takes the lines from there and draws them on the real terminal.
//!
//! indicatif's own repaint is not used. It leaves the cursor behind the last line, and goes up by the number of rows it
//! counted at the last drawing. After a change of size that number is wrong, and the repaint erases other text above.
//! It also fills each line with blanks up to the edge, so every line wraps when the terminal becomes narrower.
//!
//! [`Bar::draw`] is the only thing that draws: no thread ticks. The target does not limit how often it draws, so that
//! no drawing is dropped. `Progress` decides how often to draw. [`line`](crate::report::line) decides what fits,
//! because the keys of indicatif's templates do not drop the least important part first. It sets the colours as well:
//! indicatif would ask the environment about colours, and the run has already decided.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::super::line::Block;
use super::super::stats::Stats;

/// indicatif's bar and the sheet that it draws on.
pub(crate) struct Bar {
    bar: ProgressBar,
    sheet: Sheet,
}

impl Bar {
    /// Returns a bar without length or text.
    pub(crate) fn new() -> Self {
        let sheet = Sheet::default();
        let target = ProgressDrawTarget::term_like(Box::new(sheet.clone()));
        Self { bar: ProgressBar::with_draw_target(None, target), sheet }
    }

    /// Returns the lines of a block, its bar filled by the finished rows.
    pub(crate) fn draw(&self, block: Block, stats: &Stats) -> Vec<String> {
        self.bar.set_style(style(block.cells));
        // The usual setters draw at once; these two set the texts of the same bar without drawing.
        let _ = self.bar.clone().with_prefix(block.before).with_message(block.after);
        self.bar.update(|state| {
            if let Some(total) = stats.total {
                state.set_len(total);
            }
            state.set_pos(stats.finished());
        });
        std::mem::take(&mut *self.sheet.lines())
    }
}

/// Returns the style of a block whose bar has this many cells; with 0 there is no bar.
fn style(cells: usize) -> ProgressStyle {
    let template = format!("{{prefix}}{{bar:{cells}}}{{msg}}");
    ProgressStyle::with_template(&template).expect("only the number of cells differs").progress_chars("█░")
}

/// Takes the lines that indicatif draws, each without the blanks that fill it.
#[derive(Clone, Debug, Default)]
struct Sheet(Arc<Mutex<Vec<String>>>);

impl Sheet {
    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TermLike for Sheet {
    /// A little wider than any line: indicatif fills each line with blanks up to this width. A wider line would only be
    /// counted as several rows.
    fn width(&self) -> u16 {
        500
    }

    /// The sheet is endlessly high, since indicatif leaves out the rows that do not fit.
    fn height(&self) -> u16 {
        u16::MAX
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)
    }

    /// Takes a line. indicatif writes each line in one call, and then the blanks up to the edge.
    fn write_str(&self, text: &str) -> io::Result<()> {
        let text = text.trim_end();
        if !text.is_empty() {
            self.lines().push(text.to_owned());
        }
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::line::block as fitted;
    use super::super::super::line::tests::{busy, lines};
    use super::super::super::stats::tests::{at, started, succeeded};
    use super::*;
    use crate::domain::Quality;

    #[test]
    fn the_bar_is_filled_by_the_finished_rows_and_stands_between_the_texts() {
        let bar = Bar::new();

        let drawn = [0, 1, 2, 4].map(|finished| bar.draw(block(4), &stats(Some(4), finished)).join("|"));

        assert_eq!(drawn, ["a ░░░░ b|c", "a █░░░ b|c", "a ██░░ b|c", "a ████ b|c"]);
    }

    #[test]
    fn a_bar_without_cells_leaves_nothing_and_a_long_line_is_not_broken() {
        let long = "x".repeat(2_000);
        let block = Block { before: format!("{long}\n{{{{bar}}}}"), ..Block::default() };

        assert_eq!(Bar::new().draw(block, &stats(None, 3)), [&*long, "{{bar}}"]);
    }

    #[test]
    fn what_is_drawn_is_what_the_lines_say_in_any_width_and_in_colour_too() {
        let (bar, stats) = (Bar::new(), busy());

        for (columns, is_colored) in (1..200).flat_map(|columns| [(columns, false), (columns, true)]) {
            let drawn = bar.draw(fitted(&stats, columns, is_colored), &stats);

            assert_eq!(drawn, lines(&stats, columns, is_colored), "{columns} columns");
        }
    }

    #[test]
    fn every_call_is_one_drawing_however_fast_they_come() {
        let (bar, stats) = (Bar::new(), stats(Some(4), 2));

        assert!((0..1_000).all(|_| bar.draw(block(2), &stats) == ["a █░ b", "c"]));
    }

    #[test]
    fn a_row_that_is_missing_leaves_the_last_cell_empty() {
        let drawn = [9_999, 10_000].map(|finished| Bar::new().draw(block(8), &stats(Some(10_000), finished)).remove(0));

        assert_eq!(drawn, ["a ███████░ b", "a ████████ b"]);
    }

    fn block(cells: usize) -> Block {
        Block { before: "a ".to_owned(), cells, after: " b\nc".to_owned() }
    }

    fn stats(total: Option<u64>, finished: u64) -> Stats {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(total, 0)));
        (0..finished).for_each(|_| stats.fold(&at(1, succeeded(Quality::Ok))));
        stats
    }
}
