//! Tests the real program with disks that fail. For each write, sync and rename, there is a separate run in which this
//! operation fails. Other runs have a full disk, a limit on file sizes, or a reader of standard output that is slow or
//! stops reading.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::kills::{FAULTS, POINTS, Point, has_strace, under_strace};
use super::program::{Api, Outcome, ROWS, Workspace};
use super::{Seen, Size};

/// In some runs, one call fails. Each of these runs has this many rows. A run of [`ROWS`] rows would make three times
/// as many calls on each file as a run of this size.
const FAULTED_ROWS: usize = 60;
/// After this time, the loop lets only every fourth call fail. If the loop skips calls, the page of results says so.
const MOST: Duration = Duration::from_secs(40 * 60);

/// The totals over all runs in which a call failed.
#[derive(Clone, Copy, Debug, Default)]
pub struct FaultCounts {
    /// The number of faults that happened.
    pub faults: u64,
    /// The number of combinations of a system call and an error. For each combination, call 1 fails in the first run,
    /// call 2 in the next run, and so on up to the last call.
    pub kinds: u64,
    /// The number of combinations (system call and error) for which the loop skipped some call numbers.
    pub thinned: u64,
}

/// Takes each kind of call on each file, with each possible error, and makes the N-th call fail. N grows by `every`
/// until a run ends before its N-th call.
pub fn at_every_call(every: usize) -> FaultCounts {
    let begun = Instant::now();
    let mut all = FaultCounts::default();
    for &point in POINTS {
        for error in errors_of(point) {
            let step = if begun.elapsed() < MOST { every } else { every.max(4) };
            let faulted = (1..).step_by(step).take_while(|&nth| fails_at(point, error, nth)).count() as u64;
            assert!(faulted > 0, "no {error} at {point:?}: nothing was tried there");
            all.faults += faulted;
            all.kinds += 1;
            all.thinned += u64::from(step > 1);
            eprintln!("disk: {error} at {} on {:?}: {faulted}, {:.0?}", point.calls, point.file, begun.elapsed());
        }
    }
    all
}

/// Makes the `nth` call of a run fail. If the run makes fewer than `nth` calls, the `nth` call of a later `resume`
/// command fails instead. At the end, commands without faults finish the rows. Returns `false` if every command makes
/// fewer than `nth` calls.
fn fails_at(point: Point, error: &str, nth: u64) -> bool {
    let (api, workspace) = (Api::start(FAULTS), Workspace::with_rows(FAULTED_ROWS));
    let what = format!("{error} at {point:?} {nth}");
    for command in workspace.run_and_resumes(&api) {
        let log = workspace.path("strace.log");
        let strace = under_strace(&command, &workspace, point, &format!("error={error}"), nth);
        // Some faults do not end a run, so only the log of strace shows whether the fault happened.
        let outcome = Outcome::of(logged(strace, &log));
        let fails_at = fs::read_to_string(&log).is_ok_and(|log| log.contains("INJECTED"));
        assert!(matches!(outcome.code, Some(0 | 3 | 7)), "{what}: {outcome:?}");
        assert!(fails_at || outcome.code != Some(7), "{what}: {outcome:?}");
        if fails_at {
            assert_finishes(&api, &workspace, FAULTED_ROWS, &what);
            return true;
        }
    }
    false
}

/// Makes strace write its log to this file. By default, strace writes no log.
fn logged(strace: Command, log: &std::path::Path) -> Command {
    let mut command = Command::new(strace.get_program());
    command.args(strace.get_args().map(|arg| if arg == "/dev/null" { log.as_os_str() } else { arg }));
    command.env("ANTHROPIC_API_KEY", "sk-test").stdin(Stdio::null());
    if let Some(folder) = strace.get_current_dir() {
        command.current_dir(folder);
    }
    command
}

fn errors_of(point: Point) -> &'static [&'static str] {
    match point.calls {
        "pwrite64" => &["ENOSPC", "EIO", "EDQUOT"],
        "fdatasync" | "fdatasync,fsync" => &["EIO", "ENOSPC"],
        "ftruncate" => &["EIO"],
        _ => &["EROFS", "ENOSPC"],
    }
}

fn assert_finishes(api: &Api, workspace: &Workspace, rows: usize, what: &str) {
    workspace.finish(api).unwrap_or_else(|error| panic!("{what}: {error}"));
    let answers = workspace.answers().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(answers.len(), rows, "{what}: rows are lost");
}

/// The operating system restricts the size of files. The run stops with exit code 7, and can be resumed after the limit
/// is removed.
#[cfg(unix)]
pub fn file_size_limit() {
    let (api, workspace) = (Api::start(FAULTS), Workspace::with_rows(ROWS));
    let run = workspace.run(&api);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 60; exec \"$0\" \"$@\""]).arg(run.get_program()).args(run.get_args());
    limited.current_dir(workspace.path("")).env("ANTHROPIC_API_KEY", "sk-test").stdin(Stdio::null());

    let stopped = Outcome::of(limited);

    assert_eq!(stopped.code, Some(7), "{stopped:?}");
    assert_finishes(&api, &workspace, ROWS, "ulimit -f");
}

/// The file system is full. The run stops with exit code 7, and can be resumed after there is room again. The test is
/// skipped if no file system can be mounted.
pub fn full_file_system() -> Result<(), String> {
    let (api, workspace) = (Api::start(FAULTS), Workspace::with_rows(ROWS));
    let small = workspace.path("small");
    fs::create_dir(&small).map_err(|error| error.to_string())?;
    let path = small.to_string_lossy().into_owned();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=128k", "tmpfs", &path]).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        return Err("no file system can be mounted here".to_owned());
    }
    let stopped = Outcome::of(workspace.command(&api, &["run", "in.jsonl", "-o", "small/out.jsonl"]));
    let remount = Command::new("mount").args(["-o", "remount,size=8m", &path]).output();
    let run = Outcome::of(workspace.command(&api, &["run", "in.jsonl", "-o", "small/out.jsonl"]));
    let resumed = Outcome::of(workspace.command(&api, &["resume", "small/out.errors.jsonl"]));
    let answers = super::program::read_answers(&small.join("out.jsonl"));
    let unmounted = Command::new("umount").arg(&path).output();

    assert!(remount.is_ok_and(|output| output.status.success()) && unmounted.is_ok());
    assert_eq!(stopped.code, Some(7), "{stopped:?}");
    assert_eq!((run.code, resumed.code), (Some(3), Some(0)), "{run:?} {resumed:?}");
    assert_eq!(answers.map(|answers| answers.len()), Ok(ROWS));
    Ok(())
}

/// The process that reads standard output ends after some lines. The run stops with exit code 7. Rows whose lines were
/// not read can be resumed from the error log.
pub fn closed_pipe() {
    let (api, workspace) = (Api::start(r#"{"rules":[]}"#), Workspace::with_rows(ROWS));
    let mut child =
        workspace.command(&api, &["run", "in.jsonl", "-o", "-"]).spawn().expect("the program can be started");
    let mut reader = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut line = String::new();
    for _ in 0..20 {
        line.clear();
        reader.read_line(&mut line).expect("it can be read");
        serde_json::from_str::<Value>(&line).expect("each line is whole");
    }
    drop(reader);

    let status = child.wait().expect("it ends");

    assert_eq!(status.code(), Some(7));
}

/// A slow reader gets every line exactly once and complete.
pub fn slow_pipe() {
    let (api, workspace) = (Api::start(r#"{"rules":[]}"#), Workspace::with_rows(ROWS));
    let mut child =
        workspace.command(&api, &["run", "in.jsonl", "-o", "-"]).spawn().expect("the program can be started");
    let mut pipe = child.stdout.take().expect("it is piped");
    let (mut all, mut piece) = (Vec::new(), vec![0; 4096]);
    loop {
        // This sleep makes the reader slow. The sleep does not wait for an event.
        std::thread::sleep(Duration::from_millis(2));
        match pipe.read(&mut piece).expect("it can be read") {
            0 => break,
            count => all.extend_from_slice(&piece[..count]),
        }
    }

    let status = child.wait().expect("it ends");

    let text = String::from_utf8(all).expect("it is text");
    let label = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("each line is whole");
        line["custom_id"].as_str().expect("each line has a label").to_owned()
    };
    let labels: BTreeSet<String> = text.lines().map(label).collect();
    assert_eq!((status.code(), labels.len(), text.lines().count()), (Some(0), ROWS, ROWS));
}

/// Runs this loop. Returns the results as lines for `benches/DURABILITY.md`.
pub fn page(size: Size) -> Vec<Seen> {
    slow_pipe();
    closed_pipe();
    #[cfg(unix)]
    file_size_limit();
    let full = match full_file_system() {
        Ok(()) => "full tmpfs".to_owned(),
        Err(why) => format!("full tmpfs NOT TRIED ({why})"),
    };
    let faulted = match has_strace() {
        true => {
            let every = size.pick(60, 1);
            let FaultCounts { faults, kinds, thinned } = at_every_call(every);
            let of_all = kinds - thinned;
            let thinned = if thinned == 0 { String::new() } else { format!(" ({of_all} of them at every N)") };
            format!(
                "{faults} faults of {kinds} kinds{thinned} in runs of {FAULTED_ROWS} rows by strace (ENOSPC, EIO, EDQUOT, \
                 EROFS)"
            )
        }
        false => "strace NOT INSTALLED".to_owned(),
    };
    vec![Seen::new(
        "I/O faults of the real program",
        "the N-th call fails, for every N until a run ends without a fault: 0 lost, always resumable",
        format!("{faulted}, {full}, ulimit -f, closed and slow pipe: 0 lost, all resumable"),
    )]
}
