//! Tests what a user sees on a terminal whose size changes. The tests read the screen of a terminal emulator.

use std::fs::File;
use std::io::Read;
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::pty::{Pty, ended, shown};
use crate::support::*;

const ROWS: u16 = 24;
/// The sizes of the terminal, in columns and rows. The test sets these sizes one after the other.
const SIZES: [(u16, u16); 6] = [(40, ROWS), (250, ROWS), (80, 12), (20, ROWS), (132, 8), (80, ROWS)];
/// The number of redraws that the test waits for when the size has changed. At least one of these redraws uses the new
/// size.
const DRAWINGS: usize = 3;

/// A redraw of several lines ends with this sequence, which moves the cursor back to the first line.
const DRAWN: &str = "\x1b[1A\r";

#[test]
fn a_terminal_that_changes_its_size_keeps_the_lines_above_and_shows_one_block() {
    std::thread::scope(|scope| {
        for first in [40, 80, 250] {
            scope.spawn(move || changes_its_size(first));
        }
    });
}

#[test]
fn a_terminal_that_can_not_redraw_is_sent_plain_lines() {
    let (folder, api) = (Folder::with_rows(20), Api::quick());
    let mut command = folder.command_at(&api, &["run", "prompts.jsonl"]);

    command.env("TERM", "dumb");
    let shown = String::from_utf8(shown(command, 80).bytes).expect("the program writes UTF-8");

    assert!(!shown.contains('\x1b') && shown.contains("20 answered"), "{shown}");
}

/// Runs the program on a terminal that has `first` columns at first, and then changes its size.
fn changes_its_size(first: u16) {
    let (folder, api) = (Folder::with_rows(5_000), Api::slow(std::time::Duration::from_millis(20)));
    let mut window = Window::open(&folder, &api, first);
    let header = window.whole_header();
    assert!(header.contains("5,000rowstosend"), "{header}");

    window.check(&header);
    for (columns, rows) in SIZES {
        window.resize(columns, rows);
        window.wait_for(DRAWINGS);
        window.check(&header);
    }
    let shown = window.interrupted();

    assert!(stripped(&shown).starts_with(&header), "the header is gone:\n{shown}");
    assert!(!shown.lines().any(is_first_of_block), "the block is still there:\n{shown}");
    assert!(shown.contains("stopped (interrupted)"), "{shown}");
}

/// A run on a terminal.
struct Window {
    child: Child,
    ours: File,
    terminal: avt::Terminal,
    written: Receiver<String>,
    /// The output after the last change of size.
    latest: String,
}

impl Window {
    fn open(folder: &Folder, api: &Api, columns: u16) -> Self {
        let pty = Pty::new(columns);
        let mut command = folder.command_at(api, &["run", "prompts.jsonl", "--tier", "none", "-c2"]);
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR").stdout(pty.stream()).stderr(pty.stream());
        let child = command.spawn().expect("the program starts");
        let ours = File::from(pty.ours);
        let mut reader = ours.try_clone().expect("it can be read twice");
        let (sender, written) = channel();
        std::thread::spawn(move || {
            let (mut bytes, mut rest) = (vec![0; 4096], Vec::new());
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                rest.extend_from_slice(&bytes[..count]);
                // A character can be split between two reads.
                let whole = rest.utf8_chunks().next().map_or(0, |chunk| chunk.valid().len());
                let text = String::from_utf8(rest.drain(..whole).collect()).expect("it was found valid");
                if sender.send(text).is_err() {
                    return;
                }
            }
        });
        let terminal = avt::Terminal::with_scrollback(columns.into(), ROWS.into(), None).expect("a size");
        Self { child, ours, terminal, written, latest: String::new() }
    }

    fn resize(&mut self, columns: u16, rows: u16) {
        self.terminal.resize(columns.into(), rows.into());
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.ours, size).expect("it has a size");
        self.latest.clear();
    }

    /// Reads until the progress was drawn `drawings` times, and until the last redraw is complete. Each redraw shows
    /// the number of rows.
    #[track_caller]
    fn wait_for(&mut self, drawings: usize) {
        let count = |text: &str| text.matches("/5,000").count() + text.matches("of 5,000 done").count();
        while count(&self.latest) < drawings || !self.latest.ends_with(DRAWN) {
            self.take_in();
        }
    }

    /// Waits until the limits are printed, and returns the text above the block of progress lines. The limits are
    /// printed after the first answer. After these lines about the limits, nothing more is printed above the block.
    #[track_caller]
    fn whole_header(&mut self) -> String {
        while !self.latest.contains("the limits are now") {
            self.take_in();
        }
        self.latest.clear();
        self.wait_for(DRAWINGS);
        self.header()
    }

    #[track_caller]
    fn take_in(&mut self) {
        let text = self.written.recv().expect("the run goes on");
        self.terminal.feed(text.as_str());
        self.latest.push_str(&text);
    }

    /// Returns the text above the block of progress lines, without spaces and line breaks.
    fn header(&self) -> String {
        let shown = self.shown();
        let above = shown.lines().take_while(|line| !is_first_of_block(line)).collect::<Vec<_>>();
        stripped(&above.join("\n"))
    }

    /// Asserts that the terminal shows the header and one block, and nothing else.
    #[track_caller]
    fn check(&self, header: &str) {
        let shown = self.shown();
        let size = self.terminal.size();
        let blocks = shown.lines().filter(|line| is_first_of_block(line)).count();
        assert_eq!(blocks, 1, "at {size:?}:\n{shown}");
        assert_eq!(self.header(), header, "at {size:?}:\n{shown}");
        let visible: Vec<_> = self.terminal.screen().visible_lines().map(avt::Line::text).collect();
        let block: Vec<_> = visible.iter().skip_while(|line| !is_first_of_block(line)).collect();
        let lines = block.iter().filter(|line| !line.trim().is_empty()).count();
        // The block has five lines: rows, time, limits, the activity of the run, and cost. If the terminal has few
        // rows, the limits are left out.
        assert_eq!(lines, (size.1 / 2).min(5), "at {size:?}:\n{shown}");
    }

    /// Returns everything that is on the terminal or has scrolled off it.
    fn shown(&self) -> String {
        let lines = self.terminal.screen().all_lines().map(avt::Line::text);
        lines.map(|line| line.trim_end().to_owned() + "\n").collect()
    }

    /// Interrupts the run and returns the text that stays on the terminal.
    fn interrupted(mut self) -> String {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id")).expect("a process id");
        kill_process(pid, Signal::INT).expect("it runs");
        while let Ok(text) = self.written.recv() {
            self.terminal.feed(text.as_str());
        }
        assert_eq!(ended(&mut self.child), Some(130));
        self.shown()
    }
}

/// Returns whether a line shows the progress of the rows, like `12/5,000` or `12 of 5,000 done`.
fn is_first_of_block(line: &str) -> bool {
    line.contains("/5,000") || line.contains("of 5,000 done")
}

fn stripped(text: &str) -> String {
    text.split_whitespace().collect()
}
