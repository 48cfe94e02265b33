//! Tests that the program can be interrupted or killed at any moment.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::*;

/// The number of moments that are tried for each way to end a run.
const MOMENTS: u64 = 20;
const ROWS: usize = 60;
const RUN: [&str; 5] = ["run", "prompts.jsonl", "--tier", "none", "-c8"];

fn send(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id")).expect("a process id");
    // Sending the signal fails if the run has already ended by itself.
    let _ = kill_process(pid, signal);
}

/// Calls `check` for random moments, in two threads. For each moment, the test uses a new API and a new folder.
fn at_random_moments(name: &str, check: impl Fn(&mut fastrand::Rng) + Sync) {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    eprintln!("{name}: SEED={seed}");
    let check = &check;
    std::thread::scope(|scope| {
        for lane in 0..2 {
            scope.spawn(move || {
                for moment in (lane..MOMENTS).step_by(2) {
                    check(&mut fastrand::Rng::with_seed(seed.wrapping_add(moment)));
                }
            });
        }
    });
}

/// Starts a run and waits for a random moment between its start and its end.
fn started_until_a_moment(folder: &Folder, api: &Api, rng: &mut fastrand::Rng) -> Child {
    let child = folder.command_at(api, &RUN).spawn().expect("it starts");
    // One moment in ten is before the first request.
    if rng.u8(..10) > 0 {
        api.wait_for_requests(rng.u64(1..=ROWS as u64));
    }
    std::thread::sleep(Duration::from_millis(rng.u64(0..40)));
    child
}

#[test]
fn after_ctrl_c_at_any_moment_the_same_command_finishes_each_row_once() {
    at_random_moments("ctrl-c", |rng| {
        let (folder, api) = (Folder::with_rows(ROWS), Api::slow(Duration::from_millis(30)));
        let child = started_until_a_moment(&folder, &api, rng);

        send(&child, Signal::INT);
        let interrupted = finish(child);
        let on = folder.run_at(&api, &RUN);

        // In its first milliseconds, the program does not handle signals, so a signal in this time ends the program
        // immediately.
        assert!(matches!(interrupted.code, Some(0 | 130) | None), "{interrupted:?}");
        on.ends_with(0);
        assert_each_once(&folder.read("prompts.results.jsonl"), ROWS);
        assert_eq!(api.books().billed_again, 0, "a drained run pays nothing twice");
        assert_eq!(on.number_before("may have been paid"), 0, "{}", on.err);
    });
}

#[test]
fn usr2_reads_limits_and_budget_from_the_files_again_and_loses_no_row() {
    let (folder, api) = (Folder::with_rows(ROWS), Api::slow(Duration::from_millis(30)));
    folder.write("claude-batch.toml", "max-requests = 1000\n");
    let child = folder.command_at(&api, &RUN).spawn().expect("it starts");
    api.wait_for_requests(5);

    folder.write("claude-batch.toml", "max-requests = 30\nrpm = 60000\nconcurrency = 2\n");
    send(&child, Signal::USR2);
    let stopped = finish(child);
    folder.write("claude-batch.toml", "");
    let on = folder.run_at(&api, &RUN);

    stopped.ends_with(4).tells(&[
        "settings read again",
        "rpm is 60,000 (was not set)",
        "max-requests is 30 (was 1,000)",
        "--max-requests 30 is used up",
    ]);
    assert!(!stopped.err.contains("concurrency is"), "the value on the command line stays: {}", stopped.err);
    on.ends_with(0);
    assert_each_once(&folder.read("prompts.results.jsonl"), ROWS);
    assert_eq!(api.books().requests, ROWS as u64, "no row was sent twice");
}

#[test]
fn if_the_settings_read_again_are_wrong_the_run_keeps_the_old_settings() {
    let (folder, api) = (Folder::with_rows(ROWS), Api::slow(Duration::from_millis(30)));
    let child = folder.command_at(&api, &RUN).spawn().expect("it starts");
    api.wait_for_requests(5);

    folder.write("claude-batch.toml", "max-requests = \"many\"\n");
    send(&child, Signal::USR2);
    let said = finish(child);

    said.ends_with(0).tells(&["the run keeps its settings", "claude-batch.toml", "max-requests"]);
    assert_each_once(&folder.read("prompts.results.jsonl"), ROWS);
}

#[test]
fn a_file_in_the_working_folder_is_checked_again_when_it_is_read_again() {
    let (folder, api) = (Folder::with_rows(ROWS), Api::slow(Duration::from_millis(30)));
    let child = folder.command_at(&api, &RUN).spawn().expect("it starts");
    api.wait_for_requests(5);

    folder.write("claude-batch.toml", "max-requests = 1\nyes = true\n");
    send(&child, Signal::USR2);
    let said = finish(child);

    said.ends_with(0).tells(&[
        "the run keeps its settings",
        "claude-batch.toml:2: yes can't be set by a file in the working folder",
    ]);
    assert_each_once(&folder.read("prompts.results.jsonl"), ROWS);
}

#[test]
fn after_kill_9_at_any_moment_the_same_command_finishes_each_row_once_and_counts_possible_double_billing() {
    at_random_moments("kill -9", |rng| {
        let (folder, api) = (Folder::with_rows(ROWS), Api::slow(Duration::from_millis(30)));
        let mut child = started_until_a_moment(&folder, &api, rng);

        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        let written = whole_lines(&folder.path("prompts.results.jsonl"));
        let sent = api.books().requests;
        let on = folder.run_at(&api, &RUN);

        on.ends_with(0);
        assert_each_once(&folder.read("prompts.results.jsonl"), ROWS);
        let reported = on.billed_twice();
        let again = api.books().billed_again;
        let unwritten = sent - written.min(sent);
        assert!(again <= reported, "{again} were answered twice, {reported} reported");
        // A request can be recorded as sent although it never arrived. The number of such lost requests is at most the
        // limit on requests in flight.
        assert!(reported <= unwritten + 8, "{reported} reported, {unwritten} were sent and not written");
        assert!(unwritten <= reported, "{unwritten} were sent and not written, {reported} reported");
    });
}

#[test]
fn a_run_that_is_killed_again_and_again_still_ends_with_each_row_once() {
    let (folder, api) = (Folder::with_rows(ROWS), Api::slow(Duration::from_millis(20)));
    let mut sent = 0;
    for step in [3, 9, 14, 20, 11] {
        let mut child = folder.command_at(&api, &RUN).spawn().expect("it starts");
        api.wait_for_requests(sent + step);
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        sent = api.books().requests;
    }

    let said = folder.run_at(&api, &RUN);

    said.ends_with(0);
    assert_each_once(&folder.read("prompts.results.jsonl"), ROWS);
    let reported = said.number_before("in all runs together");
    assert!(api.books().billed_again <= reported, "{} billed again\n{}", api.books().billed_again, said.err);
}

#[test]
fn the_first_ctrl_c_says_what_the_run_waits_for_and_how_to_resume() {
    let (folder, api) = (Folder::with_rows(ROWS), Api::slow(Duration::from_millis(150)));
    let child = folder.command_at(&api, &RUN).spawn().expect("it starts");
    api.wait_for_requests(9);

    send(&child, Signal::INT);
    let said = finish(child);

    said.ends_with(130).tells(&[
        "in flight; interrupt again to stop at once",
        "pending",
        "claude-batch run prompts.jsonl",
    ]);
    let answered = ids(&folder.read("prompts.results.jsonl")).len() as u64;
    assert_eq!(answered, api.books().billed_calls, "all answers in flight were waited for and written");
}

#[test]
fn the_second_ctrl_c_cuts_off_requests_in_flight_and_counts_them() {
    // No answer comes during the test, so the run ends only if it cuts off its requests.
    let (folder, api) = (Folder::with_rows(ROWS), Api::slow(Duration::from_secs(3_600)));
    let child = folder.command_at(&api, &RUN).spawn().expect("it starts");
    api.wait_for_requests(8);

    send(&child, Signal::INT);
    wait_until_said(&child, "interrupted");
    send(&child, Signal::INT);
    let said = finish(child);
    let quick = Api::quick();
    let on = folder.run_at(&quick, &RUN);

    assert_eq!(said.code, Some(130));
    assert!(said.err.contains("possibly billed twice: 8 answers"), "{}", said.err);
    // A different port is a different origin, and results of two origins are never mixed.
    on.ends_with(2);
}

#[test]
fn the_next_run_reports_what_a_cut_off_run_has_possibly_paid() {
    let (folder, api) = (Folder::with_rows(ROWS), Api::slow(Duration::from_millis(400)));
    let child = folder.command_at(&api, &RUN).spawn().expect("it starts");
    api.wait_for_requests(8);
    send(&child, Signal::INT);
    wait_until_said(&child, "interrupted");
    send(&child, Signal::INT);
    finish(child);

    let on = folder.run_at(&api, &[&RUN[..4], &["-c60"]].concat());

    on.ends_with(0);
    let reported = on.billed_twice();
    assert!(api.books().billed_again <= reported && reported <= 16, "{}", on.err);
    assert_each_once(&folder.read("prompts.results.jsonl"), ROWS);
}

#[test]
fn term_and_hup_end_with_their_own_codes() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let (folder, api) = (Folder::with_rows(ROWS), Api::slow(Duration::from_millis(50)));
        let child = folder.command_at(&api, &RUN).spawn().expect("it starts");
        api.wait_for_requests(5);

        send(&child, signal);

        finish(child).ends_with(code);
        folder.run_at(&api, &RUN).ends_with(0);
        assert_each_once(&folder.read("prompts.results.jsonl"), ROWS);
    }
}

#[test]
fn an_interrupted_pipe_keeps_the_rows_that_were_read() {
    let (folder, api) = (Folder::new(), Api::slow(Duration::from_millis(30)));
    let mut child = folder.command_at(&api, &["run", "-c2"]).stdin(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(rows(40).as_bytes()).expect("rows go in");
    api.wait_for_requests(5);

    send(&child, Signal::INT);
    let said = finish(child);
    drop(stdin);
    let log = folder.names().pop().expect("there is a log");
    let resumed = folder.run_at(&api, &["resume", &log]);

    said.ends_with(130).tells(&["claude-batch resume"]);
    resumed.ends_with(0);
    assert_each_once(&format!("{}{}", said.out, resumed.out), 40);
}

#[test]
fn usr1_prints_the_state_of_the_run() {
    let (folder, api) = (Folder::with_rows(4), Api::slow(Duration::from_millis(700)));
    let child = folder.command_at(&api, &[&RUN[..], &["--progress", "none"]].concat()).spawn().expect("it starts");
    api.wait_for_requests(4);

    send(&child, Signal::USR1);
    let said = finish(child);

    said.ends_with(0).tells(&["0 of 4 rows done, waiting for the last 4 answers"]);
}

/// Returns a folder whose input takes long to read, because the template runs a long loop for each row. The more `rows`
/// the input has, the longer the reading takes.
#[cfg(target_os = "linux")]
fn slow_first_pass(rows: usize) -> (Folder, [&'static str; 6]) {
    let folder = Folder::new();
    folder
        .write("slow.csv", &format!("id,body\n{}", (0..rows).map(|row| format!("r{row},text\n")).collect::<String>()));
    folder.write("t.txt", "{{ body }}{% for a in range(200) %}{% for b in range(100) %}{% endfor %}{% endfor %}");
    (folder, ["run", "slow.csv", "-t", "@t.txt", "--tier", "none"])
}

/// Returns a command that ignores hang-ups and then starts `command`, as `nohup` does.
#[cfg(target_os = "linux")]
fn with_hang_ups_ignored(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.current_dir(command.get_current_dir().expect("a folder"));
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    shell
}

/// Waits until the first pass over the input has begun.
#[cfg(target_os = "linux")]
fn wait_until_first_pass(child: &Child) {
    let is_look = |task: std::fs::DirEntry| {
        std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim_end() == "look")
    };
    let tasks = || std::fs::read_dir(format!("/proc/{}/task", child.id())).expect("it runs").flatten();
    while !tasks().any(is_look) {
        std::thread::yield_now();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_during_the_first_pass_ends_with_its_code_and_leaves_no_files() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let ((folder, run), api) = (slow_first_pass(100_000), Api::quick());
        let before = folder.contents();
        let child = folder.command_at(&api, &run).spawn().expect("it starts");
        wait_until_first_pass(&child);

        send(&child, signal);
        let said = finish(child);

        said.ends_with(code).tells(&["interrupted before anything was sent", "the same command"]);
        assert!(folder.contents() == before, "{:?}", folder.names());
        assert_eq!(api.books().requests, 0);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn under_nohup_hang_ups_stay_ignored_in_the_first_pass_and_in_the_run() {
    let ((folder, run), api) = (slow_first_pass(20), Api::slow(Duration::from_millis(30)));
    let mut command = with_hang_ups_ignored(&folder.command_at(&api, &run));
    let child = command.spawn().expect("it starts");
    wait_until_first_pass(&child);

    send(&child, Signal::HUP);
    api.wait_for_requests(3);
    send(&child, Signal::HUP);

    finish(child).ends_with(0).tells(&["20 answered"]);
}

#[cfg(target_os = "linux")]
#[test]
fn usr1_and_usr2_during_the_first_pass_are_answered_and_do_not_end_the_program() {
    let ((folder, run), api) = (slow_first_pass(100_000), Api::quick());
    let child = folder.command_at(&api, &run).spawn().expect("it starts");
    wait_until_first_pass(&child);

    send(&child, Signal::USR1);
    wait_until_said(&child, "the run has not begun: nothing was sent");
    send(&child, Signal::USR2);
    wait_until_said(&child, "settings will be read again when the run begins");
    send(&child, Signal::INT);

    finish(child).ends_with(130);
}

#[cfg(target_os = "linux")]
#[test]
fn after_usr2_during_the_first_pass_the_settings_are_read_again_when_the_run_begins() {
    let ((folder, run), api) = (slow_first_pass(30), Api::slow(Duration::from_millis(30)));
    folder.write("claude-batch.toml", "max-requests = 1000\n");
    let child = folder.command_at(&api, &run).spawn().expect("it starts");
    wait_until_first_pass(&child);

    folder.write("claude-batch.toml", "max-requests = 5\n");
    send(&child, Signal::USR2);
    let said = finish(child);

    said.ends_with(4).tells(&["settings read again", "max-requests is 5 (was 1,000)"]);
    assert!(api.books().requests <= 30);
}

/// Reads the output of a running program up to a line that contains `part`.
fn wait_until_said(child: &Child, part: &str) {
    let handle = child.stderr.as_ref().expect("a pipe").as_fd().try_clone_to_owned().expect("a second handle");
    let mut lines = BufReader::with_capacity(1, File::from(handle)).lines();
    let is_said = lines.any(|line| line.expect("text").contains(part));
    assert!(is_said, "the program ended and never said {part:?}");
}
