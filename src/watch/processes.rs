//! Ends a program that claude-batch has started, and also ends all programs that were started by that program.
//!
//! On Linux, the started programs are found in `/proc`. On systems other than Linux, this module ends only the program
//! that claude-batch started.

use std::process::Child;

/// Kills a child process and its descendants, and waits until the child has ended.
pub(crate) fn end(child: &mut Child) {
    let started = descendants(child.id());
    // Errors are ignored, because the child and its descendants may have ended already.
    let _ = child.kill();
    end_all(&started);
    let _ = child.wait();
}

/// Returns all descendants of a process: its child processes, their child processes, and so on.
#[cfg(target_os = "linux")]
fn descendants(parent: u32) -> Vec<u32> {
    let mut found = vec![parent];
    let mut at = 0;
    while at < found.len() {
        let path = format!("/proc/{id}/task/{id}/children", id = found[at]);
        let children = std::fs::read_to_string(path).unwrap_or_default();
        found.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        at += 1;
    }
    found.split_off(1)
}

#[cfg(not(target_os = "linux"))]
fn descendants(_parent: u32) -> Vec<u32> {
    Vec::new()
}

#[cfg(unix)]
fn end_all(processes: &[u32]) {
    use rustix::process::{Pid, Signal, kill_process};
    let ids = processes.iter().filter_map(|&id| Pid::from_raw(id.try_into().ok()?));
    for id in ids {
        // The error is ignored, because the process may have ended already.
        let _ = kill_process(id, Signal::KILL);
    }
}

#[cfg(not(unix))]
fn end_all(_processes: &[u32]) {}
