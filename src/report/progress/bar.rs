//! The block of live lines, rendered by indicatif. Only this file uses indicatif.
//!
//! indicatif's [`ProgressBar`] keeps the length, the position and the text around the bar, and renders them in its
//! style. The bar draws on a [`Sheet`] as if the sheet were a terminal. The sheet keeps the drawn lines, but ignores
//! cursor movements and the blanks at the ends of lines. [`Progress`](super::Progress) takes the lines from the sheet
//! and draws them on the real terminal.
//!
//! indicatif's own repaint is not used. This repaint leaves the cursor after the last line. Before the next drawing,
//! the repaint moves the cursor up by the number of drawn rows. After the terminal's size has changed, the number of
//! rows is wrong, and the repaint erases other text above the block. The repaint also fills each line with blanks up to
//! the edge. Because of these blanks, every line wraps when the terminal becomes narrower.
//!
//! Only [`Bar::draw`] draws, and no thread draws at regular times. The draw target does not limit the drawings per
//! second, so no drawing is dropped. `Progress` decides how often to draw. [`line`](crate::report::line) decides which
//! parts fit, because indicatif's templates can't drop the least important part first. `line` also sets the colours,
//! and follows the run's decision whether to use colours. The crate indicatif would make its own decision about
//! colours, from the environment variables.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::super::line::Block;
use super::super::stats::Stats;

/// The bar of the crate indicatif, and the sheet on which the bar is drawn.
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

    /// Returns the lines of a block. The filled part of the bar is the share of finished rows.
    pub(crate) fn draw(&self, block: Block, stats: &Stats) -> Vec<String> {
        self.bar.set_style(style(block.cells));
        // The usual setters of indicatif would draw immediately. `with_prefix` and `with_message` change the texts of
        // the bar without drawing.
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

/// Returns the style of a block whose bar has this many cells. With 0 cells, there is no bar.
fn style(cells: usize) -> ProgressStyle {
    let template = format!("{{prefix}}{{bar:{cells}}}{{msg}}");
    ProgressStyle::with_template(&template).expect("only the number of cells differs").progress_chars("█░")
}

/// A draw target for indicatif. The target keeps the drawn lines, but not the blanks at the ends of the lines.
#[derive(Clone, Debug, Default)]
struct Sheet(Arc<Mutex<Vec<String>>>);

impl Sheet {
    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TermLike for Sheet {
    /// The width of the sheet is a little more than the width of the longest line. If the sheet were narrower than a
    /// line, indicatif would count that line as several rows. If the sheet were much wider than the longest line,
    /// indicatif would fill each line with many blanks.
    fn width(&self) -> u16 {
        500
    }

    /// The sheet has no limit on its height. If the height had a limit, indicatif would leave out rows that do not fit.
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

    /// Receives text from indicatif. Each line comes in two calls: the first call has the line, and the second call has
    /// the blanks up to the edge.
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
    fn the_bar_shows_the_finished_rows_and_is_between_the_texts() {
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
    fn the_drawn_lines_have_the_expected_text_in_any_width_and_with_colours() {
        let (bar, stats) = (Bar::new(), busy());

        for (columns, is_colored) in (1..200).flat_map(|columns| [(columns, false), (columns, true)]) {
            let drawn = bar.draw(fitted(&stats, columns, 24, is_colored), &stats);

            assert_eq!(drawn, lines(&stats, columns, is_colored), "{columns} columns");
        }
    }

    #[test]
    fn every_call_is_one_drawing_even_if_calls_come_fast() {
        let (bar, stats) = (Bar::new(), stats(Some(4), 2));

        assert!((0..1_000).all(|_| bar.draw(block(2), &stats) == ["a █░ b", "c"]));
    }

    #[test]
    fn the_last_cell_is_empty_while_a_row_is_missing() {
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
