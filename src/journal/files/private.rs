//! In a run without a results file, the private file keeps the answers that other rows may need.

use std::path::Path;
use std::sync::Arc;

use crate::journal::disk::{DiskFailure, DiskFile};

/// A file without a name. The file vanishes when the process ends.
pub(crate) struct PrivateFile {
    pub(crate) file: Arc<dyn DiskFile>,
    end: u64,
}

impl PrivateFile {
    /// Returns a private file that writes to `file`, which must be empty.
    pub(crate) fn new(file: Box<dyn DiskFile>) -> Self {
        Self { file: file.into(), end: 0 }
    }

    /// Appends a line. Returns the offset at which the line begins.
    ///
    /// # Errors
    /// A disk failure. After a failure, lines that were appended earlier can still be read.
    pub(crate) fn append(&mut self, line: &[u8]) -> Result<u64, DiskFailure> {
        let name = Path::new("the private file for equal rows");
        self.file.write_at(line, self.end).map_err(DiskFailure::of("write", name))?;
        let begin = self.end;
        self.end += line.len() as u64;
        Ok(begin)
    }
}
