//! The side of the run: finds requests in the run folder, and answers them.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::answers::Answers;
use super::request::Request;
use super::{ANSWERS, MOST_BYTES, PROCESS, REQUEST};
use crate::journal::{Disk, DiskFailure, OpenMode, read_up_to, replace};

/// An incomplete request is removed after this many checks. The run checks ten times a second.
const PATIENCE: u32 = 10;
/// The ids of this many requests are remembered, so that a copy of an earlier request is not obeyed.
const REMEMBERED: usize = 1_024;

/// The requests to one run.
pub(crate) struct Mailbox {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    process: String,
    /// How many times in a row the request was found incomplete.
    looks: u32,
    /// The ids of the requests that were accepted, oldest first.
    seen: VecDeque<String>,
    answers: Answers,
    /// Whether a failure was returned. Later failures of the same kind are not returned.
    is_failure_told: bool,
}

/// What was found at the path of the request.
enum Found {
    Nothing,
    Incomplete,
    Refused,
    Request(Request),
}

impl Mailbox {
    /// Removes the files that earlier runs or others left, without reading them. Then writes the id of this process.
    /// From then on, `ctl` reaches the run.
    ///
    /// `disk` must accept only files of this user. `folder` is the run folder, which this run has locked.
    ///
    /// # Errors
    /// The failure of the disk. The run can continue without `ctl`.
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

    /// Looks for a request, and removes it. Call this function ten times a second.
    ///
    /// # Errors
    /// Something at the name of the request can't be removed. This is returned only once; later calls return `Ok`.
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

    /// Answers a request.
    ///
    /// # Errors
    /// The answer can't be written. This is returned only once; later calls return `Ok`.
    pub(crate) fn answer(&mut self, id: &str, result: Result<String, String>) -> Result<(), DiskFailure> {
        self.answers.push(id, result);
        let written = self.answers.write(&*self.disk, &self.folder.join(ANSWERS));
        written.or_else(|failure| self.fail(failure))
    }

    /// Ends the mailbox: from then on, `ctl` says that the run is not in progress. The answers stay.
    pub(crate) fn close(self) {
        for name in [PROCESS, REQUEST] {
            // A file that stays is removed by the next run.
            let _ = self.disk.remove(&self.folder.join(name));
        }
    }

    fn look(&self) -> Found {
        let file = match self.disk.open(&self.folder.join(REQUEST), OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Found::Nothing,
            // On Windows, the caller still has the file open.
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
