//! The caller's side of `ctl`: writes a request, and reads the run's answer.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::answers::{Answer, Answers};
use super::request::{Request, is_id};
use super::{ANSWERS, MOST_BYTES, PROCESS, REQUEST};
use crate::journal::{Disk, DiskFailure, LockAttempt, OpenMode, read_up_to};

/// The result of an attempt to write a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Posted {
    /// The request is in the run folder.
    Yes,
    /// The request was not written, because the run has not read an earlier request yet.
    Occupied,
}

/// Sends requests to a run, through the files of its run folder.
pub(crate) struct Caller<'a> {
    disk: &'a dyn Disk,
    folder: &'a Path,
}

impl<'a> Caller<'a> {
    /// Returns a caller for the run with this run folder. `disk` must accept only files of this user.
    pub(crate) fn new(disk: &'a dyn Disk, folder: &'a Path) -> Self {
        Self { disk, folder }
    }

    /// Returns whether a run is in progress. Returns `None` if the file system has no locks, because the state of the
    /// run is then not known.
    ///
    /// # Errors
    /// Returns an error if the lock can't be checked.
    pub(crate) fn is_in_progress(&self) -> Result<Option<bool>, DiskFailure> {
        let path = self.folder.join("lock");
        let failed = DiskFailure::of("open", &path);
        let attempt = match self.disk.open(&path, OpenMode::TO_PROBE) {
            Ok(file) => file.try_lock().map_err(failed)?,
            Err(error) if error.kind() == ErrorKind::ResourceBusy => LockAttempt::Held,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Some(false)),
            Err(error) => return Err(failed(error)),
        };
        Ok(match attempt {
            LockAttempt::Held => Some(true),
            LockAttempt::Locked => Some(false),
            LockAttempt::Unsupported => None,
        })
    }

    /// Returns the random id of the process of the run; `None` if no process has written an id.
    ///
    /// # Errors
    /// Returns an error if the file with the id can't be read, or if it belongs to another user.
    pub(crate) fn process(&self) -> Result<Option<String>, DiskFailure> {
        let path = self.folder.join(PROCESS);
        let file = match self.disk.open(&path, OpenMode::Read) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(DiskFailure::of("open", &path))?,
        };
        let bytes = read_up_to(&*file, MOST_BYTES).map_err(DiskFailure::of("read", &path))?;
        Ok(String::from_utf8(bytes).ok().map(|text| text.trim_end().to_owned()).filter(|text| is_id(text)))
    }

    /// Writes a request, if the run folder contains no other request.
    ///
    /// # Errors
    /// Returns an error if the request can't be written.
    pub(crate) fn post(&self, request: &Request) -> Result<Posted, DiskFailure> {
        let path = self.folder.join(REQUEST);
        let file = match self.disk.open(&path, OpenMode::CreateNew) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(Posted::Occupied),
            created => created.map_err(DiskFailure::of("create", &path))?,
        };
        match file.write_at(request.line().as_bytes(), 0) {
            Ok(()) => Ok(Posted::Yes),
            Err(error) => {
                drop(file);
                // A failure to remove the file is ignored, because the run also removes incomplete requests.
                let _ = self.disk.remove(&path);
                Err(DiskFailure::of("write", &path)(error))
            }
        }
    }

    /// Returns the answer to the request with this id; `None` until there is one.
    pub(crate) fn answer(&self, id: &str) -> Option<Answer> {
        Answers::find(self.disk, &self.folder.join(ANSWERS), id)
    }

    /// Removes a request, if the run has not read it yet. Returns whether the request was removed.
    pub(crate) fn withdraw(&self, request: &Request) -> bool {
        let path = self.folder.join(REQUEST);
        let is_ours = || -> io::Result<bool> {
            let file = self.disk.open(&path, OpenMode::Read)?;
            Ok(read_up_to(&*file, MOST_BYTES)? == request.line().as_bytes())
        };
        is_ours().is_ok_and(|is_ours| is_ours) && self.disk.remove(&path).is_ok()
    }
}
