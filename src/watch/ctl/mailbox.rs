//! The run's side of `ctl`: finds requests in the run folder, and answers them.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::answers::Answers;
use super::request::Request;
use super::{ANSWERS, MOST_BYTES, PROCESS, REQUEST};
use crate::journal::{Disk, DiskFailure, OpenMode, read_up_to, replace};

/// The number of checks after which an incomplete request is removed. The run checks for requests ten times a second.
const PATIENCE: u32 = 10;
/// The number of remembered request ids. A request with a remembered id is ignored, because it is a copy of an earlier
/// request.
const REMEMBERED: usize = 1_024;

/// The requests of `ctl` to one run.
pub(crate) struct Mailbox {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    process: String,
    /// The number of successive checks that found an incomplete request.
    looks: u32,
    /// The ids of the accepted requests. The oldest id comes first.
    seen: VecDeque<String>,
    answers: Answers,
    /// Whether a disk failure was already returned to the caller. Only the first failure is returned.
    is_failure_told: bool,
}

/// What a check for a request has found.
enum Found {
    Nothing,
    Incomplete,
    Refused,
    Request(Request),
}

impl Mailbox {
    /// Opens the mailbox of a run. Removes files of earlier runs and of other users without reading them, and then
    /// writes the id of this process. After this call, `ctl` can send requests to the run.
    ///
    /// `disk` must accept only files of this user. `folder` is the run folder, which this run has locked.
    ///
    /// # Errors
    /// Returns the disk failure if a file can't be removed or written. The run can continue without `ctl`.
    pub(crate) fn open(disk: Arc<dyn Disk>, folder: &Path, process: String) -> Result<Self, DiskFailure> {
        for name in [REQUEST, ANSWERS, PROCESS] {
            let path = folder.join(name);
            disk.remove(&path).map_err(DiskFailure::of("remove", &path))?;
        }
        replace(&*disk, &folder.join(PROCESS), |file, path| {
            file.write_at(format!("{process}\n").as_bytes(), 0).map_err(DiskFailure::of("write", path))
        })?;
        let folder = folder.to_owned();
        let (seen, answers) = (VecDeque::new(), Answers::default());
        Ok(Self { disk, folder, process, looks: 0, seen, answers, is_failure_told: false })
    }

    /// Checks for a request, removes its file, and returns the request. Call this function ten times a second.
    ///
    /// # Errors
    /// Returns an error if the file of the request can't be removed. Only the first failure is returned; after later
    /// failures, the call returns `Ok`.
    pub(crate) fn next(&mut self) -> Result<Option<Request>, DiskFailure> {
        let found = self.look();
        let accepted = match found {
            Found::Nothing => {
                self.looks = 0;
                return Ok(None);
            }
            Found::Incomplete if self.looks < PATIENCE => {
                self.looks += 1;
                return Ok(None);
            }
            Found::Incomplete | Found::Refused => None,
            Found::Request(request) => Some(request),
        };
        self.looks = 0;
        let path = self.folder.join(REQUEST);
        if let Err(error) = self.disk.remove(&path) {
            return self.fail(DiskFailure::of("remove", &path)(error)).map(|()| None);
        }
        let Some(request) = accepted.filter(|request| !self.seen.contains(&request.id)) else { return Ok(None) };
        self.seen.push_back(request.id.clone());
        if self.seen.len() > REMEMBERED {
            self.seen.pop_front();
        }
        Ok(Some(request))
    }

    /// Writes the answer to the request with this id.
    ///
    /// # Errors
    /// Returns an error if the answer can't be written. Only the first failure is returned; after later failures, the
    /// call returns `Ok`.
    pub(crate) fn answer(&mut self, id: &str, result: Result<String, String>) -> Result<(), DiskFailure> {
        self.answers.push(id, result);
        let written = self.answers.write(&*self.disk, &self.folder.join(ANSWERS));
        written.or_else(|failure| self.fail(failure))
    }

    /// Closes the mailbox. After this call, `ctl` says that the run is not in progress. The file with the answers is
    /// kept.
    pub(crate) fn close(self) {
        for name in [PROCESS, REQUEST] {
            // If the file can't be removed, the next run removes it.
            let _ = self.disk.remove(&self.folder.join(name));
        }
    }

    fn look(&self) -> Found {
        let file = match self.disk.open(&self.folder.join(REQUEST), OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Found::Nothing,
            // On Windows, this error means that `ctl` is still writing the file.
            Err(error) if error.kind() == ErrorKind::ResourceBusy => return Found::Incomplete,
            Err(_) => return Found::Refused,
        };
        let Ok(bytes) = read_up_to(&*file, MOST_BYTES + 1) else { return Found::Refused };
        if bytes.len() as u64 > MOST_BYTES {
            return Found::Refused;
        }
        if bytes.last() != Some(&b'\n') {
            return Found::Incomplete;
        }
        match Request::parse(&bytes).filter(|request| request.process == self.process) {
            Some(request) => Found::Request(request),
            None => Found::Refused,
        }
    }

    fn fail(&mut self, failure: DiskFailure) -> Result<(), DiskFailure> {
        if std::mem::replace(&mut self.is_failure_told, true) { Ok(()) } else { Err(failure) }
    }
}
