//! A pseudo-terminal that records what a program writes to it, byte for byte.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// The time after which a program counts as hanging.
const LONGEST: Duration = Duration::from_secs(120);

/// The number of columns of an ordinary terminal.
pub const USUAL: u16 = 80;
/// The number of columns of a terminal that is so wide that the program never breaks a line. If a line on such a
/// terminal begins with the mark of a test string, this string has forged the line.
pub const WIDE: u16 = 60_000;

/// A pseudo-terminal with both of its sides.
pub struct Pty {
    pub ours: OwnedFd,
    pub theirs: File,
}

/// The bytes that a program wrote to its terminal, and the exit status of the program.
pub struct Shown {
    pub bytes: Vec<u8>,
    pub code: Option<i32>,
}

impl Pty {
    /// Opens a pseudo-terminal with this number of columns.
    pub fn new(columns: u16) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&ours).expect("access to the terminal can be granted");
        unlockpt(&ours).expect("the terminal can be unlocked");
        let name =
            ptsname(&ours, Vec::new()).expect("the terminal has a name").into_string().expect("the name is UTF-8");
        let theirs =
            OpenOptions::new().read(true).write(true).custom_flags(no_controlling_terminal()).open(PathBuf::from(name));
        let theirs = theirs.expect("the terminal can be opened");
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&theirs, size).expect("the size can be set");
        Self { ours, theirs }
    }

    /// Returns the program's side of the terminal, to use for one of the program's streams.
    pub fn stream(&self) -> Stdio {
        self.theirs.try_clone().expect("the descriptor can be copied").into()
    }

    /// Returns the program's side of a terminal whose other side is closed.
    ///
    /// While another thread starts a program, the child process has a copy of the terminal's other side for a short
    /// time. This function waits until the last copy of the terminal's other side is closed.
    pub fn hung_up(self) -> Stdio {
        let Self { ours, theirs } = self;
        drop(ours);
        let deadline = Instant::now() + LONGEST;
        while !has_hung_up(&theirs) {
            assert!(Instant::now() < deadline, "the terminal does not hang up");
            std::thread::sleep(Duration::from_millis(1));
        }
        theirs.into()
    }

    /// Starts to read what the program writes. The program must already have its side of the terminal.
    pub fn read(self) -> JoinHandle<Vec<u8>> {
        let Self { ours, theirs } = self;
        drop(theirs);
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // After the last program has closed the terminal, a read fails on Linux. On systems other than Linux, the
            // read finds the end of the file.
            let _ = File::from(ours).read_to_end(&mut bytes);
            bytes
        })
    }
}

fn has_hung_up(terminal: &File) -> bool {
    let mut seen = [PollFd::new(terminal, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut seen, Some(&at_once)).is_ok_and(|_| seen[0].revents().contains(PollFlags::HUP))
}

/// Returns a flag for opening a terminal. With this flag, the terminal does not become the controlling terminal of the
/// tests.
fn no_controlling_terminal() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).expect("a flag")
}

/// Runs a program whose standard output and standard error go to a pseudo-terminal.
pub fn shown(mut command: Command, columns: u16) -> Shown {
    let pty = Pty::new(columns);
    command.stdout(pty.stream()).stderr(pty.stream());
    let mut child = command.spawn().expect("the program starts");
    // As long as the value `command` exists, copies of the program's side of the terminal stay open. When `command` is
    // dropped, its copies are closed.
    drop(command);
    let bytes = pty.read();
    let code = ended(&mut child);
    Shown { bytes: bytes.join().expect("the reading thread does not panic"), code }
}

/// Waits until a program ends, and fails if that takes too long.
#[track_caller]
pub fn ended(child: &mut Child) -> Option<i32> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("the state of the process can be read") {
            return status.code();
        }
        if begun.elapsed() > LONGEST {
            let _ = child.kill();
            panic!("the program did not end within {LONGEST:?}");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
