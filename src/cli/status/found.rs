//! Reads the files of one run, and finds out the state of the run.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::journal::{Disk, LockState, OpenMode, RunPaths, lock_state, read_manifest, was_closed, with_suffix};
use crate::report::text::{escape, plural};
use crate::watch::files::Found;
use crate::watch::status::{Shown, read_status};

/// If an unfinished status has at least this age, the run counts as killed. The age of the status is used only on file
/// systems without locks.
const FRESH: SignedDuration = SignedDuration::from_secs(30);

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The run sends requests, or prepares to send them.
    Running,
    /// The run is in progress, but paused.
    Paused,
    /// The run waits for the requests in flight, and then ends.
    Draining,
    /// The run has ended, and every row is answered.
    Finished,
    /// The run has ended and all rows are done, but some of them failed.
    Failed,
    /// The run ended before its rows were done.
    Stopped,
    /// The process of the run was killed.
    Killed,
    /// The run is not in progress, and its status is missing, damaged or not up to date.
    Unknown,
}

impl State {
    /// Returns the name of the state, as people and scripts see it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Killed => "killed",
            Self::Unknown => "unknown",
        }
    }

    /// Returns whether the run is in progress.
    pub(super) fn is_in_progress(self) -> bool {
        match self {
            Self::Running | Self::Paused | Self::Draining => true,
            Self::Finished | Self::Failed | Self::Stopped | Self::Killed | Self::Unknown => false,
        }
    }
}

/// What the files of a run show about the run.
#[derive(Clone, Debug)]
pub(super) struct FoundRun {
    /// The results file of the run.
    pub(super) results: PathBuf,
    pub(super) state: State,
    /// The id of the process that holds the lock of the run folder; `None` if it is not known.
    pub(super) holder: Option<u32>,
    /// The content of the status file, and the parts of it that people see; `None` if the file can't be read.
    pub(super) status: Option<(Value, Shown)>,
    /// A note for the user about the files.
    pub(super) note: Option<String>,
    /// If there is no status, this text says how many lines the files of the run have.
    pub(super) files: Option<String>,
}

impl FoundRun {
    /// Returns the name of the run, which is the path of its results file.
    pub(super) fn name(&self) -> String {
        self.results.display().to_string()
    }

    /// Returns the parts of the status file that people see; `None` if the file can't be read.
    pub(super) fn shown(&self) -> Option<&Shown> {
        self.status.as_ref().map(|(_, shown)| shown)
    }
}

/// Reads the files of a run, and returns what they show.
pub(super) fn read_run(disk: &dyn Disk, results: PathBuf, now: Timestamp) -> FoundRun {
    let folder = with_suffix(&results, ".run");
    // The lock is checked first, because a run writes its last status before it frees the lock.
    let mut lock = lock_state(disk, &folder);
    let mut found = read_status(disk, &folder);
    if lock == LockState::Free && is_in_progress(&found) {
        // A new run may have begun between the two checks, so both checks are repeated.
        lock = lock_state(disk, &folder);
        found = read_status(disk, &folder);
    }
    let holder = match lock {
        LockState::Held(holder) => holder,
        LockState::Free | LockState::Unknown => None,
    };
    let (status, mut note) = match found {
        Found::Good(status) => (Some(status), None),
        Found::Missing => (None, Some(missing(disk, &folder))),
        Found::Damaged(fault) => (None, Some(format!("status.json is damaged ({fault}): the next run replaces it"))),
        Found::Unreadable(fault) => (None, Some(format!("status.json can't be read: {fault}"))),
        Found::Newer(version) => (
            None,
            Some(format!("status.json has the version {version} of a newer claude-batch; use the newer program")),
        ),
    };
    let state = state(lock, status.as_ref().map(|(_, shown)| shown), now);
    // If the journal is closed, the run was not killed: the run has ended, but could not write its last status.
    let is_closed = state == State::Killed && was_closed(disk, &folder);
    let state = if is_closed { State::Unknown } else { state };
    if is_closed {
        note = Some(
            "the run has ended, but it could not write its last state; these numbers are older: `claude-batch report` \
             counts the results again"
                .to_owned(),
        );
    }
    let is_of_another = status.as_ref().is_some_and(|(_, shown)| is_earlier(shown, holder));
    if state.is_in_progress() && is_of_another {
        note = Some(
            "a new run has begun and has not sent anything yet; these are the numbers of the previous run".to_owned(),
        );
    }
    let files = status.is_none().then(|| files_words(disk, &results));
    FoundRun { results, state, holder, status, note, files }
}

fn is_in_progress(found: &Found<(Value, Shown)>) -> bool {
    matches!(found, Found::Good((_, shown)) if shown.end.is_none())
}

/// Returns whether the status is from an earlier run, and not from the run that holds the lock.
fn is_earlier(shown: &Shown, holder: Option<u32>) -> bool {
    shown.end.is_some() || (holder.is_some() && shown.pid.is_some() && holder != shown.pid)
}

fn state(lock: LockState, shown: Option<&Shown>, now: Timestamp) -> State {
    match (lock, shown) {
        (LockState::Held(holder), Some(shown)) if !is_earlier(shown, holder) => in_progress(shown),
        (LockState::Held(_), _) => State::Running,
        (LockState::Free | LockState::Unknown, None) => State::Unknown,
        (LockState::Free | LockState::Unknown, Some(shown)) => match &shown.end {
            Some(_) if !shown.is_complete() => State::Stopped,
            Some(end) if end.failed > 0 => State::Failed,
            Some(_) => State::Finished,
            None if lock == LockState::Unknown && now.duration_since(shown.at).abs() < FRESH => in_progress(shown),
            None => State::Killed,
        },
    }
}

fn in_progress(shown: &Shown) -> State {
    match &*shown.state {
        "paused" => State::Paused,
        "draining" => State::Draining,
        _ => State::Running,
    }
}

fn missing(disk: &dyn Disk, folder: &Path) -> String {
    match read_manifest(folder, disk) {
        Ok(Some(manifest)) if manifest.tool == env!("CARGO_PKG_VERSION") => {
            "there is no status.json: nothing was sent yet, or the run folder can't be written".to_owned()
        }
        Ok(Some(manifest)) => {
            format!(
                "there is no status.json, because the version {} of claude-batch wrote this run folder",
                escape(&manifest.tool)
            )
        }
        Ok(None) | Err(_) => "there is no status.json and no readable manifest".to_owned(),
    }
}

/// Lines are counted only in files up to this size, in bytes.
const MOST_COUNTED: u64 = 256 << 20;

/// Returns a text that says how many lines the files of a run have. For a very large file, the text says the size of
/// the file, not its number of lines.
fn files_words(disk: &dyn Disk, results: &Path) -> String {
    let lines = |path: &Path| -> Option<String> {
        let file = disk.open(path, OpenMode::Read).ok()?;
        let size = file.size().ok()?;
        let megabytes = || format!("{:.0} MB", size as f64 / 1e6);
        if size > MOST_COUNTED {
            return Some(megabytes());
        }
        let (mut buffer, mut offset, mut lines) = (vec![0; 1 << 16], 0, 0);
        while let Some(count) = file.read_at(&mut buffer, offset).ok().filter(|count| *count > 0) {
            lines += buffer[..count].iter().filter(|byte| **byte == b'\n').count() as u64;
            offset += count as u64;
        }
        Some(plural(lines, "line", "lines"))
    };
    let none = || "none".to_owned();
    let errors = RunPaths::errors_beside(results);
    format!("results: {}; error log: {}", lines(results).unwrap_or_else(none), lines(&errors).unwrap_or_else(none))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::MemDisk;

    const RUNNING: &str = r#"{"v":1,"pid":7,"at":"1970-01-01T00:00:00Z","state":"running","end":null}"#;

    fn state_of(status: &str) -> State {
        let disk = MemDisk::new();
        disk.put("o.run/status.json", status.as_bytes());
        read_run(&disk, "o".into(), Timestamp::UNIX_EPOCH).state
    }

    #[test]
    fn a_run_that_is_not_locked_has_ended_or_was_killed() {
        let ended = |end: &str| format!(r#"{{"v":1,"state":"ended","end":{end}}}"#);

        assert_eq!(state_of(RUNNING), State::Killed);
        assert_eq!(state_of(&ended("{}")), State::Finished);
        assert_eq!(state_of(&ended(r#"{"failed":3}"#)), State::Failed);
        assert_eq!(state_of(&ended(r#"{"failed":3,"pending":1}"#)), State::Stopped);
        assert_eq!(state_of(&ended(r#"{"reason":"interrupted"}"#)), State::Stopped);
        assert_eq!(state_of(&ended(r#"{"batches":2}"#)), State::Stopped);
        for damaged in ["", "{", r#"{"v":1,"pools":7}"#, r#"{"v":2}"#] {
            assert_eq!(state_of(damaged), State::Unknown, "{damaged}");
        }
    }

    #[test]
    fn a_run_that_closed_its_journal_was_not_killed() {
        for (inflight, expected) in [("", State::Unknown), ("the head of the slots", State::Killed)] {
            let disk = MemDisk::new();
            disk.put("o.run/status.json", RUNNING.as_bytes());
            disk.put("o.run/inflight", inflight.as_bytes());

            let found = read_run(&disk, "o".into(), Timestamp::UNIX_EPOCH);

            assert_eq!((found.state, found.note.is_some()), (expected, inflight.is_empty()), "{inflight:?}");
        }
    }

    #[test]
    fn a_run_that_is_locked_is_in_progress_whatever_its_status_says() {
        let paused = RUNNING.replace(r#""running""#, r#""paused""#);
        for (status, holder, expected) in [
            (RUNNING, "7", State::Running),
            (&*paused, "7", State::Paused),
            (&*paused, "8", State::Running),
            (r#"{"v":1,"end":{}}"#, "7", State::Running),
            ("{", "7", State::Running),
        ] {
            let disk = MemDisk::new();
            disk.put("o.run/lock", b"");
            disk.put("o.run/holder", holder.as_bytes());
            disk.put("o.run/status.json", status.as_bytes());
            let file = disk.open(Path::new("o.run/lock"), OpenMode::Edit).expect("it is there");
            file.try_lock().expect("it can be locked");

            let found = read_run(&disk, "o".into(), Timestamp::UNIX_EPOCH);

            assert_eq!(found.state, expected, "{status} with {holder}");
        }
    }
}
