use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use avt::Terminal;
use proptest::prelude::*;

use super::super::line::tests::lines_in;
use super::super::stats::tests::{at, failed, pool, started, succeeded};
use super::*;
use crate::domain::{Backoffs, Dimension, ErrorClass, Quality, Reason};

const HEADER: &str = "http://127.0.0.1:8787, claude-haiku-4-5: 4 rows to send, about $0.01";

#[test]
fn a_note_is_above_the_lines_and_the_lines_are_removed_at_the_end() {
    let mut screen = Screen::new(60, 10, Breaks::Anew);

    screen.play(0, started(Some(4), 0));
    screen.play(1, succeeded(Quality::Ok));
    screen.play(2, EventBody::Warned("be\x1bware".to_owned()));
    screen.play(3, succeeded(Quality::Ok));
    let during = screen.shown();
    screen.play(4, ended());

    insta::assert_snapshot!(during, @r"
    http://127.0.0.1:8787, claude-haiku-4-5: 4 rows to send, abo
    ut $0.01
    warning: be\u{1b}ware
    ████████████░░░░░░░░░░░░ 50% · 2 of 4 done · 40 rows/min
    3 s
    $0.0200 spent
    ");
    insta::assert_snapshot!(screen.shown(), @r"
    http://127.0.0.1:8787, claude-haiku-4-5: 4 rows to send, abo
    ut $0.01
    warning: be\u{1b}ware
    ");
}

#[test]
fn a_long_note_is_above_the_block_and_is_broken_at_blanks() {
    let mut screen = Screen::new(40, 10, Breaks::Anew);

    screen.play(0, started(Some(4), 0));
    screen.play(1, status(3));
    screen.play(2, EventBody::Warned("something long that has to be broken at a blank".to_owned()));

    insta::assert_snapshot!(screen.shown(), @"
    http://127.0.0.1:8787, claude-haiku-4-5:
     4 rows to send, about $0.01
    warning: something long that has to be
    broken at a blank
    ░░░░░░░░ 0% · 0 of 4 done
    2 s
    1.0k requests, 450k in, 90.0k out /min
    limited by output tokens per minute
    $0.00 spent
    ");
}

#[test]
fn the_echo_of_an_interrupt_leaves_no_trace() {
    let mut screen = Screen::new(80, 10, Breaks::Anew);
    screen.play(0, started(Some(4), 0));

    screen.type_in("^C");
    screen.play(1, EventBody::Warned("interrupted".to_owned()));
    screen.play(2, ended());

    assert_eq!(screen.shown(), format!("{HEADER}\nwarning: interrupted\n"));
}

#[test]
fn many_events_within_a_tenth_of_a_second_are_one_drawing() {
    let mut screen = Screen::new(60, 10, Breaks::Anew);

    (0..1_000).for_each(|_| screen.play(5, succeeded(Quality::Ok)));

    assert!(screen.shown().ends_with("\n1 row done\n0 s\n$0.0100 spent\n"), "{}", screen.shown());
}

#[test]
fn a_terminal_of_any_size_shows_the_header_and_one_block() {
    for columns in [1, 2, 20, 40, 80, 250] {
        for rows in [1, 2, 3, 24] {
            for breaks in [Breaks::Anew, Breaks::Never] {
                let mut screen = Screen::new(columns, rows, breaks);
                screen.play(0, started(Some(123_456), 0));
                (0..40).for_each(|second| screen.play(second, succeeded(Quality::Ok)));
                screen.play(41, status(3));

                screen.check();
            }
        }
    }
}

/// The lines are made for 80 columns. Then the terminal shrinks to 40 columns, so each line with more than 40
/// characters fills two rows. Later, the terminal grows back to 80 columns.
#[test]
fn a_terminal_that_shrinks_and_grows_keeps_the_header_and_one_block() {
    let mut screen = Screen::new(80, 24, Breaks::Anew);
    screen.play(0, started(Some(4), 0));
    screen.play(1, status(3));
    let mut second = 1;
    for columns in [40, 80, 250, 20, 250, 80] {
        screen.resize(columns, 24);
        second += 1;
        screen.play(second, status(3));

        screen.check();
    }
}

/// The largest number of lines in the block of live lines in these tests.
const LONGEST_BLOCK: usize = 6;

/// Something that happens during a run on an emulated terminal.
#[derive(Clone, Debug)]
enum Happens {
    Event(EventBody),
    Resized {
        columns: usize,
        rows: usize,
    },
    /// The terminal changes its size after the program has read the size and before the program draws.
    ResizedWhileDrawing {
        columns: usize,
        rows: usize,
    },
    /// The user types a key, and the terminal echoes it at the cursor. Until the next drawing, the cursor is after the
    /// echo. All terminals in this test are so wide that the echo is not wrapped.
    Typed(&'static str),
}

fn happens() -> impl Strategy<Value = Happens> {
    let (columns, rows) = (
        prop_oneof![Just(20_usize), Just(40), Just(80), Just(250), 20_usize..300],
        prop_oneof![Just(24_usize), Just(3), 2_usize..60],
    );
    let size = (columns, rows);
    let event = prop_oneof![
        5 => Just(succeeded(Quality::Ok)),
        1 => Just(failed(ErrorClass::Server)),
        5 => (0_usize..2_000).prop_map(status),
        2 => "[a-z]{1,40}( [a-z]{1,12}){0,30}".prop_map(EventBody::Warned),
    ];
    prop_oneof![
        6 => event.prop_map(Happens::Event),
        2 => size.clone().prop_map(|(columns, rows)| Happens::Resized { columns, rows }),
        1 => size.prop_map(|(columns, rows)| Happens::ResizedWhileDrawing { columns, rows }),
        1 => Just(Happens::Typed("^C")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn whatever_happens_the_terminal_shows_the_printed_text_and_one_block(
        all in proptest::collection::vec(happens(), 1..40),
        breaks in prop_oneof![Just(Breaks::Anew), Just(Breaks::Never)],
    ) {
        let mut screen = Screen::new(80, 24, breaks);
        screen.play(0, started(Some(5_000), 7));
        let (mut second, mut is_typed) = (0, false);
        for happens in all {
            match happens {
                Happens::Event(event) => {
                    is_typed = false;
                    second += 1;
                    screen.play(second, event);
                    screen.check();
                }
                Happens::Resized { columns, rows } => screen.resize(columns, rows),
                Happens::ResizedWhileDrawing { columns, rows } => {
                    // On a terminal with fewer rows than the block, lines would scroll away before they can be erased.
                    let rows = rows.max(LONGEST_BLOCK);
                    screen.terminal().resize(columns, rows);
                    is_typed = false;
                    second += 1;
                    screen.play(second, status(3));
                    screen.resize(columns, rows);
                }
                Happens::Typed(_) if is_typed => {}
                Happens::Typed(keys) => {
                    is_typed = true;
                    screen.type_in(keys);
                }
            }
        }
        screen.play(second + 1, succeeded(Quality::Ok));
        screen.check();

        screen.play(second + 2, ended());
        screen.check_ended();
    }
}

/// How a terminal changes its text when its width changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Breaks {
    /// The terminal wraps the lines to fit the terminal's new width.
    Anew,
    /// The terminal cuts off the ends of the lines. When the terminal becomes wider, the missing text does not come
    /// back.
    Never,
}

/// A run on an emulated terminal.
struct Screen {
    terminal: Arc<Mutex<Terminal>>,
    /// The size that the terminal reports to the program.
    size: Arc<Mutex<Size>>,
    view: Progress,
    stats: Stats,
    breaks: Breaks,
    /// The printed text that must still be on the terminal at the end. Spaces are left out.
    printed: String,
}

impl Screen {
    fn new(columns: usize, rows: usize, breaks: Breaks) -> Self {
        let mut terminal = Terminal::with_scrollback(columns, rows, None).expect("a size");
        if breaks == Breaks::Never {
            // The control sequence switches to the alternate screen. On the alternate screen, the emulator does not
            // wrap lines again after a change of size.
            terminal.feed("\x1b[?1049h");
        }
        terminal.feed(format!("{HEADER}\r\n").as_str());
        let (terminal, size) = (Arc::new(Mutex::new(terminal)), Arc::new(Mutex::new(Size { columns, rows })));
        let told = size.clone();
        let told = Box::new(move || *told.lock().unwrap_or_else(PoisonError::into_inner));
        let view = Progress::new(told, Verbosity::Normal, true, Box::new(Printer(terminal.clone())));
        Self { terminal, size, view, stats: Stats::default(), breaks, printed: stripped(HEADER) }
    }

    fn terminal(&self) -> std::sync::MutexGuard<'_, Terminal> {
        self.terminal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn play(&mut self, second: i64, body: EventBody) {
        if let EventBody::Warned(text) = &body {
            self.printed += &stripped(&format!("warning: {text}"));
        }
        let event = at(second, body);
        self.stats.fold(&event);
        self.view.show(&event, &self.stats);
    }

    fn resize(&mut self, columns: usize, rows: usize) {
        self.terminal().resize(columns, rows);
        *self.size.lock().unwrap_or_else(PoisonError::into_inner) = Size { columns, rows };
    }

    fn type_in(&mut self, keys: &str) {
        self.terminal().feed(keys);
    }

    /// Asserts that the current live lines are at the end of the terminal, and nowhere else. Also asserts that all
    /// printed text is above these lines.
    #[track_caller]
    fn check(&self) {
        let Size { columns, rows } = *self.size.lock().expect("no test panicked with it");
        let block = lines_in(&self.stats, columns.saturating_sub(1).max(1), rows, false);
        assert!(block.len() <= rows, "{columns} columns, {rows} rows: {block:?}");
        self.check_above(&block);
    }

    /// Asserts that the terminal shows the printed text and nothing else.
    #[track_caller]
    fn check_ended(&self) {
        self.check_above(&[]);
    }

    #[track_caller]
    fn check_above(&self, block: &[String]) {
        let shown = self.shown();
        let all: Vec<_> = shown.lines().collect();
        let (above, below) = all.split_at(all.len().saturating_sub(block.len()));
        assert_eq!(below, block, "{:?}:\n{shown}", self.terminal().size());
        let above = above.join("\n");
        match self.breaks {
            Breaks::Anew => assert_eq!(stripped(&above), self.printed, "{:?}:\n{shown}", self.terminal().size()),
            // Text that was cut off or scrolled away is missing. The remaining text must be in the order in which it
            // was printed.
            Breaks::Never => assert!(is_in_order(&above, &self.printed), "{:?}:\n{shown}", self.terminal().size()),
        }
    }

    /// Returns the terminal's screen and scroll-back, without blanks at the ends of lines and without empty lines.
    fn shown(&self) -> String {
        let terminal = self.terminal();
        let lines = terminal.screen().all_lines().map(|line| line.text().trim_end().to_owned());
        lines.filter(|line| !line.is_empty()).map(|line| line + "\n").collect()
    }
}

/// Returns whether `printed` contains the lines of `text` in this order.
fn is_in_order(text: &str, printed: &str) -> bool {
    let mut rest = printed;
    text.lines().map(stripped).all(|line| match rest.split_once(&line) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

fn stripped(text: &str) -> String {
    text.split_whitespace().collect()
}

fn status(in_flight: usize) -> EventBody {
    let pools = vec![pool("haiku-4.5", [Some(0.83), None, Some(0.004)])];
    let (reason, backoffs) = (Reason::Limit(Dimension::OutputTokens), Backoffs::default());
    EventBody::Status { in_flight, window: 16, reason, backoffs, pools }
}

fn ended() -> EventBody {
    let elapsed = Duration::from_secs(4);
    EventBody::Ended {
        pending: 0,
        reason: None,
        reasons: Vec::new(),
        uses: Vec::new(),
        elapsed,
        max_in_flight: 1,
        batches: None,
    }
}

/// Writes to the emulated terminal instead of standard error.
struct Printer(Arc<Mutex<Terminal>>);

impl Write for Printer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = std::str::from_utf8(bytes).map_err(std::io::Error::other)?;
        let mut terminal = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut parts = text.split("\x1b[J");
        terminal.feed(parts.next().unwrap_or_default());
        for part in parts {
            let is_cleared_screen = terminal.cursor().position() == Some((0, 0)) && terminal.size().0 > 1;
            assert!(
                !is_cleared_screen || std::thread::panicking(),
                "some terminals keep text that is erased in this way: {text:?}"
            );
            terminal.feed("\x1b[J");
            terminal.feed(part);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
