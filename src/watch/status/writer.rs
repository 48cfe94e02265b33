//! The thread that writes `status.json` and `timeline.json`.

use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::document::Document;
use crate::domain::causes;
use crate::journal::{Disk, DiskFailure, replace, replace_unsynced};
use crate::report::harmless;
use crate::watch::collect::Tick;
use crate::watch::files::{status_path, timeline_path};
use crate::watch::history::History;
use crate::watch::timeline::{Note, RunSpan};

/// After this many successive failed writes, the user is warned. On Windows, a single failure is normal: a write fails
/// while another program reads the file.
const FAILURES: u32 = 3;
/// The longest time between two writes of the timeline.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_secs(10);

/// A warning from the thread to the user.
pub(super) type Warning = Arc<Mutex<Option<String>>>;

/// A message that the main loop of the run sends to the writer thread.
pub(super) enum Update {
    /// The state of the run.
    State {
        /// The new content of `status.json`.
        document: Box<Document>,
        /// The events since the last update, as sums and notes.
        tick: Box<Tick>,
        /// The description of the run up to now.
        span: RunSpan,
        /// Whether this is the last update, because the run has ended.
        is_last: bool,
    },
    /// The run has ended before its first request.
    Abandoned,
}

/// Writes the files.
pub(super) struct Writer {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    history: History,
    warning: Warning,
    failures: u32,
    is_warned: bool,
    last: Option<Box<Document>>,
    timeline_due_at: Option<Timestamp>,
}

/// Whether a file is synced to the disk after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sync {
    Yes,
    No,
}

impl Writer {
    /// Returns a writer for the files in a run folder.
    pub(super) fn new(disk: Arc<dyn Disk>, folder: PathBuf, warning: Warning) -> Self {
        let history = History::default();
        Self { disk, folder, history, warning, failures: 0, is_warned: false, last: None, timeline_due_at: None }
    }

    /// Writes each update, until the run has ended.
    pub(super) fn run(mut self, updates: &Receiver<Update>) {
        let (history, fault) = History::open(&*self.disk, &self.folder);
        self.history = history;
        if let Some(fault) = fault {
            self.history.note(Note { at: Timestamp::now(), kind: "warning".to_owned(), text: fault.clone() });
            self.warn(fault);
        }
        while let Ok(update) = updates.recv() {
            match update {
                Update::State { document, tick, span, is_last } => {
                    self.history.add(*tick, span);
                    let at = document.at;
                    self.last = Some(document);
                    self.write(at, if is_last { Sync::Yes } else { Sync::No });
                }
                Update::Abandoned => {
                    let Some(document) = &mut self.last else { return };
                    document.abandon();
                    let at = document.at;
                    self.write(at, Sync::Yes);
                }
            }
        }
    }

    /// Writes `status.json`, and also `timeline.json` if it is due. After a failure, the file is written again with the
    /// next update.
    fn write(&mut self, now: Timestamp, sync: Sync) {
        let Some(document) = &self.last else { return };
        let mut written = put(&*self.disk, &status_path(&self.folder), document, sync);
        if sync == Sync::Yes || self.timeline_due_at.is_none_or(|due| now >= due) {
            let timeline = put(&*self.disk, &timeline_path(&self.folder), self.history.timeline(), sync);
            if timeline.is_ok() {
                // If each point covers a long time, the timeline is written less often, because a point of several
                // minutes changes little in a second.
                let pause = SignedDuration::from_secs_f64((self.history.slot() / 2.0).max(0.9)).min(LONGEST_PAUSE);
                self.timeline_due_at = now.checked_add(pause).ok();
            }
            written = written.and(timeline);
        }
        match written {
            Ok(()) => self.failures = 0,
            Err(failure) => {
                self.failures += 1;
                if !self.is_warned && (self.failures >= FAILURES || sync == Sync::Yes) {
                    self.is_warned = true;
                    let tried = if sync == Sync::Yes { "" } else { ", and the file is tried again every second" };
                    self.warn(format!(
                        "{}: the run does not need this file, but `status` and `report` can't show its latest state{tried}",
                        causes(&failure)
                    ));
                }
            }
        }
    }

    fn warn(&self, text: String) {
        *self.warning.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }
}

fn put(disk: &dyn Disk, path: &Path, content: &impl Serialize, sync: Sync) -> Result<(), DiskFailure> {
    let mut bytes = harmless::to_vec(content).expect("the state of a run can be written as JSON");
    bytes.push(b'\n');
    match sync {
        Sync::Yes => replace(disk, path, |file, path| file.write_at(&bytes, 0).map_err(DiskFailure::of("write", path))),
        Sync::No => replace_unsynced(disk, path, &bytes),
    }
}
