//! A run of the real program on a pseudo-terminal. A terminal emulator shows what the program writes.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::pty::{Pty, ended};

/// The time without output after which the program counts as hanging.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// A run on a terminal.
pub struct Window {
    child: Child,
    ours: File,
    pub terminal: avt::Terminal,
    written: Receiver<String>,
}

impl Window {
    /// Starts the program with these arguments in a folder.
    pub fn open(folder: &Path, arguments: &[&str], (columns, rows): (u16, u16)) -> Self {
        let pty = Pty::new(columns);
        set_size(&pty.theirs, columns, rows);
        let mut command = Command::new(env!("CARGO_BIN_EXE_claude-batch"));
        command.args(arguments).current_dir(folder).env_clear().env("TERM", "xterm-256color").env("HOME", folder);
        command.stdin(std::process::Stdio::null()).stdout(pty.stream()).stderr(pty.stream());
        let child = command.spawn().expect("the program starts");
        drop(command);
        let ours = File::from(pty.ours);
        drop(pty.theirs);
        let written = reads(ours.try_clone().expect("the terminal can be read twice"));
        let terminal = avt::Terminal::with_scrollback(columns.into(), rows.into(), None).expect("a size");
        Self { child, ours, terminal, written }
    }

    /// Changes the size of the terminal, for the program and for the emulator.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.terminal.resize(columns.into(), rows.into());
        set_size(&self.ours, columns, rows);
    }

    /// Waits for the next text of the program and shows it. Returns this text, or `None` after the program has ended.
    #[track_caller]
    pub fn next(&mut self) -> Option<String> {
        match self.written.recv_timeout(LONGEST_SILENCE) {
            Ok(text) => {
                self.terminal.feed(text.as_str());
                Some(text)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the program writes nothing:\n{}", self.shown().join("\n")),
        }
    }

    /// Interrupts the program, as Ctrl-C does.
    pub fn interrupt(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id")).expect("a process id");
        kill_process(pid, Signal::INT).expect("it runs");
    }

    /// Shows the rest of the output and returns the exit code.
    #[track_caller]
    pub fn finish(&mut self) -> Option<i32> {
        while self.next().is_some() {}
        ended(&mut self.child)
    }

    /// Returns all lines that are on the terminal or have scrolled off it, without blanks at their ends. A wrapped line
    /// counts as several lines.
    pub fn shown(&self) -> Vec<String> {
        let mut lines: Vec<_> =
            self.terminal.screen().all_lines().map(|line| line.text().trim_end().to_owned()).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

fn set_size(terminal: &File, columns: u16, rows: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).expect("the size can be set");
}

/// Reads what the program writes. If a character is split between two reads, it is passed on only after the second
/// read.
fn reads(mut terminal: File) -> Receiver<String> {
    let (sender, written) = channel();
    std::thread::spawn(move || {
        let (mut bytes, mut rest) = (vec![0; 4096], Vec::new());
        while let Ok(count @ 1..) = terminal.read(&mut bytes) {
            rest.extend_from_slice(&bytes[..count]);
            let whole = rest.utf8_chunks().next().map_or(0, |chunk| chunk.valid().len());
            let text = String::from_utf8(rest.drain(..whole).collect()).expect("it was found valid");
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    written
}
