//! Tests each command with streams that are full, closed or without a reader. The command must end with its documented
//! exit code and must lose nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::super::super::page::{Seen, Size};
use super::super::super::support::{Api, Folder, assert_each_once, rows, whole_lines};
use super::pty::{Pty, USUAL, ended};
use super::side_by_side;

/// The state of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    /// Somebody reads the stream.
    Kept,
    /// The stream is written to a full disk.
    Full,
    /// The stream is closed, for example with `>&-`.
    Closed,
    /// The process that reads the stream has ended, for example with `| true`.
    Gone,
    /// The stream is a terminal whose other side is closed.
    HungUp,
}

use Stream::{Closed, Full, Gone, HungUp, Kept};

/// The states of standard output and standard error.
const STREAMS: &[(Stream, Stream)] = &[
    (Kept, Kept),
    (Kept, Full),
    (Kept, Closed),
    (Kept, Gone),
    (Kept, HungUp),
    (Full, Kept),
    (Closed, Kept),
    (Gone, Kept),
    (HungUp, Kept),
    (Full, Full),
    (Closed, Closed),
    (Gone, Gone),
    (HungUp, HungUp),
    (Gone, Full),
    (Full, Gone),
];

/// How a command uses standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    /// Nothing.
    None,
    /// The command prints the text that the user asked for. It is not an error if the reader closes the stream early.
    Text,
    /// The command writes results. All results must arrive.
    Results,
}

use Output::{None as Nothing, Results, Text};

/// The commands. For each tested command: its arguments, its exit code if both streams work, and how it uses standard
/// output.
const COMMANDS: &[(&[&str], i32, Output)] = &[
    (&["--help"], 0, Text),
    (&["--version"], 0, Text),
    (&["run", "--help"], 0, Text),
    (&[], 2, Nothing),
    (&["bogus"], 2, Nothing),
    (&["run", "--tier", "bogus"], 2, Nothing),
    (&["limits"], 0, Text),
    (&["limits", "--live", "--yes"], 0, Text),
    (&["models"], 0, Text),
    (&["check", "prompts.jsonl"], 0, Text),
    (&["check", "broken.jsonl"], 2, Text),
    (&["check", "missing.jsonl"], 2, Nothing),
    (&["run", "prompts.jsonl", "--api-key-file", "missing"], 2, Nothing),
    (&["run", "prompts.jsonl", "--dry-run"], 0, Nothing),
    (&["run", "prompts.jsonl"], 0, Nothing),
    (&["run", "prompts.jsonl", "--progress", "plain", "-v"], 0, Nothing),
    (&["run", "prompts.jsonl", "--progress", "json"], 0, Nothing),
    (&["run", "prompts.jsonl", "--progress", "tty"], 0, Nothing),
    (&["run", "prompts.jsonl", "--progress", "none", "-q"], 0, Nothing),
    (&["run", "prompts.jsonl", "--max-requests", "3"], 4, Nothing),
    (&["run", "broken.jsonl"], 3, Nothing),
    (&["run", "prompts.jsonl", "-o", "-"], 0, Results),
    (&["run", "-", "--progress", "json"], 0, Results),
];

const ROWS: usize = 20;

pub fn page(size: Size) -> Vec<Seen> {
    let api = Api::quick();
    let pairs = &STREAMS[..size.pick(9, STREAMS.len())];
    let usable = pairs.iter().filter(|(out, err)| can_be(*out) && can_be(*err)).collect::<Vec<_>>();
    side_by_side(COMMANDS, |(args, code, output)| {
        usable.iter().for_each(|(out, err)| end_as_documented(&api, args, *code, *output, *out, *err));
    });
    let (waits, table) = (usable.len(), COMMANDS.len() * usable.len());
    side_by_side(&usable, |(out, err)| the_simulator_serves(*out, *err));
    a_terminal_hangs_up(false);
    a_terminal_hangs_up(true);
    let seen = format!(
        "{} commands with {waits} pairs of streams (full, closed, gone, hung up), {table} runs, and {waits} simulators; 2 \
         terminals that hung up during a run: 0 panics, 0 hangs, 0 rows lost, each with its documented code",
        COMMANDS.len()
    );
    vec![Seen::new("streams that are full or gone", "the documented exit code, and no row lost", seen)]
}

fn can_be(stream: Stream) -> bool {
    stream != Full || fs::metadata("/dev/full").is_ok()
}

#[track_caller]
fn end_as_documented(api: &Api, args: &[&str], code: i32, output: Output, out: Stream, err: Stream) {
    let folder = Folder::with_rows(ROWS);
    folder.write("broken.jsonl", &format!("{}{{\"prompt\":1}}\n", rows(1)));
    let mut command = opened(folder.command_at(api, args), out, err);
    command.stdin(File::open(folder.path("prompts.jsonl")).expect("the file exists"));
    let mut child = command.spawn().expect("the program starts");
    drop(command);
    let (shown, told) = (child.stdout.take().map(collect), child.stderr.take().map(collect));
    let found = ended(&mut child);
    let text = |thread: JoinHandle<String>| thread.join().expect("the reading thread does not panic");
    let (shown, told) = (shown.map(text), told.map(text));
    let expected = match (output, out) {
        (Text | Results, Full | HungUp) | (Results, Gone) => 7,
        // Nothing is sent if the answers could be written nowhere.
        (Results, Closed) => 2,
        _ => code,
    };
    assert_eq!(found, Some(expected), "{args:?}, {out:?}, {err:?}: {told:?}");
    if expected == 7
        && let Some(told) = &told
    {
        assert!(!told.is_empty(), "{args:?}, {out:?}: a failure without a message");
    }
    match (output, shown) {
        (Results, Some(shown)) => assert_each_once(&shown, ROWS),
        (Results, None) if out != Closed => {
            let log = folder.names().into_iter().find(|name| name.ends_with(".errors.jsonl")).expect("an error log");
            assert!(whole_lines(&folder.path(&log)) > 0, "{args:?}, {out:?}: no row was kept");
        }
        (Nothing, _) if code == 0 && !args.contains(&"--dry-run") => {
            assert_each_once(&folder.read("prompts.results.jsonl"), ROWS);
        }
        _ => {}
    }
}

/// Reads a stream to its end.
fn collect(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("the program writes UTF-8");
        text
    })
}

/// Returns a command whose streams are in these states.
fn opened(command: Command, out: Stream, err: Stream) -> Command {
    let closing = [(out, ">&-"), (err, "2>&-")].into_iter().filter(|(stream, _)| *stream == Closed);
    let closing = closing.map(|(_, close)| close).collect::<Vec<_>>().join(" ");
    let mut opened = Command::new("sh");
    opened.args(["-c", &format!("exec \"$@\" {closing}"), "sh"]).arg(command.get_program()).args(command.get_args());
    command.get_envs().for_each(|(name, value)| {
        match value {
            Some(value) => opened.env(name, value),
            None => opened.env_remove(name),
        };
    });
    opened.current_dir(command.get_current_dir().expect("the command has a working folder"));
    opened.stdin(Stdio::null()).stdout(stream(out)).stderr(stream(err));
    opened
}

fn stream(stream: Stream) -> Stdio {
    match stream {
        Kept => Stdio::piped(),
        Full => OpenOptions::new().write(true).open("/dev/full").expect("the file exists").into(),
        Closed => Stdio::null(),
        Gone => std::io::pipe().expect("a pipe").1.into(),
        HungUp => Pty::new(USUAL).hung_up(),
    }
}

#[track_caller]
fn the_simulator_serves(out: Stream, err: Stream) {
    let folder = Folder::new();
    let port =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr()).expect("a free port").port();
    let args = ["simulate", "-v", "--port", &port.to_string()];
    let mut command = opened(folder.command(&args), out, err);
    let mut child = command.spawn().expect("the program starts");
    drop(command);
    let connection = (0..2_000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(5));
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
    });
    let mut connection = connection.unwrap_or_else(|| panic!("{out:?}, {err:?}: the simulator does not answer"));
    connection
        .write_all(b"GET /__sim/stats HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .expect("the simulator reads the request");
    let mut first = String::new();
    BufReader::new(connection).read_line(&mut first).expect("the simulator answers");
    assert!(first.starts_with("HTTP/1.1 200"), "{out:?}, {err:?}: {first}");
    kill_process(Pid::from_child(&child), Signal::INT).expect("the process runs");
    assert_eq!(ended(&mut child), Some(0), "{out:?}, {err:?}");
}

/// Closes the terminal of a run in the middle of the run. If the run also gets the signal SIGHUP, it finishes the
/// requests in flight and stops. Other signals that stop a run have the same effect.
#[track_caller]
fn a_terminal_hangs_up(is_told: bool) {
    let (folder, api) = (Folder::with_rows(200), Api::slow(Duration::from_millis(20)));
    let pty = Pty::new(USUAL);
    let mut command = folder.command_at(&api, &["run", "prompts.jsonl", "-c", "4", "-v"]);
    command.stdout(pty.stream()).stderr(pty.stream());
    let mut child = command.spawn().expect("the program starts");
    drop(command);
    api.wait_for_requests(20);
    drop(pty);
    if is_told {
        kill_process(Pid::from_child(&child), Signal::HUP).expect("the process runs");
    }
    let code = ended(&mut child);
    assert_eq!(code, Some(if is_told { 129 } else { 0 }));
    let results = folder.read("prompts.results.jsonl");
    if is_told {
        folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0);
        assert!(!results.is_empty());
    }
    assert_each_once(&folder.read("prompts.results.jsonl"), 200);
    assert_eq!(api.books().admitted, 200, "no row was sent twice");
}
