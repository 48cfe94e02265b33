//! The answers of a run to the command `ctl`.

use std::collections::VecDeque;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::journal::{Disk, DiskFailure, OpenMode, read_up_to, replace};

/// The file has at most this many answers. Older answers are removed.
const MOST_ANSWERS: usize = 16;
/// The longest message, in characters.
const LONGEST_MESSAGE: usize = 1_000;
/// The file has at most this many bytes.
const MOST_BYTES: u64 = 256 << 10;
/// The version of the form of the file.
const VERSION: u32 = 1;

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// The id of the request.
    pub(crate) id: String,
    /// Whether the request was obeyed.
    pub(crate) ok: bool,
    /// What is now in force, or why the request was refused.
    pub(crate) message: String,
}

/// The last answers of a run, oldest first.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Answers {
    v: u32,
    answers: VecDeque<Answer>,
}

impl Answers {
    /// Adds an answer.
    pub(super) fn push(&mut self, id: &str, result: Result<String, String>) {
        let (ok, message) = match result {
            Ok(message) => (true, message),
            Err(message) => (false, message),
        };
        let message = message.chars().take(LONGEST_MESSAGE).collect();
        self.answers.push_back(Answer { id: id.to_owned(), ok, message });
        while self.answers.len() > MOST_ANSWERS {
            self.answers.pop_front();
        }
    }

    /// Replaces the file at `path`.
    ///
    /// # Errors
    /// The failure of the disk.
    pub(super) fn write(&mut self, disk: &dyn Disk, path: &Path) -> Result<(), DiskFailure> {
        self.v = VERSION;
        let text = serde_json::to_string(self).expect("texts can be written as JSON");
        replace(disk, path, |file, path| {
            file.write_at(format!("{text}\n").as_bytes(), 0).map_err(DiskFailure::of("write", path))
        })
    }

    /// Returns the answer to a request from the file at `path`; `None` if it is not there.
    pub(super) fn find(disk: &dyn Disk, path: &Path, id: &str) -> Option<Answer> {
        let file = disk.open(path, OpenMode::Read).ok()?;
        let read: Self = serde_json::from_slice(&read_up_to(&*file, MOST_BYTES).ok()?).ok()?;
        read.answers.into_iter().find(|answer| answer.id == id)
    }
}
