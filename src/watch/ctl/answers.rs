//! The file with a run's answers to requests of the command `ctl`.

use std::collections::VecDeque;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::journal::{Disk, DiskFailure, OpenMode, read_up_to, replace};

/// The largest number of answers in the file. Older answers are removed.
const MOST_ANSWERS: usize = 16;
/// The largest length of the message in an answer, in characters.
const LONGEST_MESSAGE: usize = 1_000;
/// The largest size of the file, in bytes.
const MOST_BYTES: u64 = 256 << 10;
/// The version of the format of the file.
const VERSION: u32 = 1;

/// The answer of a run to one request of `ctl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// The id of the answered request.
    pub(crate) id: String,
    /// Whether the run did what the request asked for.
    pub(crate) ok: bool,
    /// A text that says which setting or state now applies, or why the run rejected the request.
    pub(crate) message: String,
}

/// The latest answers that a run gave to control requests. The oldest answer comes first.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Answers {
    v: u32,
    answers: VecDeque<Answer>,
}

impl Answers {
    /// Adds the answer to the request with this id.
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

    /// Writes the answers to the file at `path`, and replaces the old file.
    ///
    /// # Errors
    /// Returns the disk failure if the file can't be written.
    pub(super) fn write(&mut self, disk: &dyn Disk, path: &Path) -> Result<(), DiskFailure> {
        self.v = VERSION;
        let text = serde_json::to_string(self).expect("texts can be written as JSON");
        replace(disk, path, |file, path| {
            file.write_at(format!("{text}\n").as_bytes(), 0).map_err(DiskFailure::of("write", path))
        })
    }

    /// Returns the answer to the request with this id from the file at `path`. Returns `None` if the file has no such
    /// answer.
    pub(super) fn find(disk: &dyn Disk, path: &Path, id: &str) -> Option<Answer> {
        let file = disk.open(path, OpenMode::Read).ok()?;
        let read: Self = serde_json::from_slice(&read_up_to(&*file, MOST_BYTES).ok()?).ok()?;
        read.answers.into_iter().find(|answer| answer.id == id)
    }
}
