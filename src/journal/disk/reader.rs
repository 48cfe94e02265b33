//! Reads a file from its beginning.

use std::io::{self, Read};

use super::DiskFile;

/// Reads a file from its beginning with `DiskFile::read_at`.
pub(crate) struct Reader<'f> {
    file: &'f dyn DiskFile,
    offset: u64,
}

impl<'f> Reader<'f> {
    /// Returns a reader at the beginning of the file.
    pub(crate) fn new(file: &'f dyn DiskFile) -> Self {
        Self { file, offset: 0 }
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// Reads a small file, up to `most` bytes. The limit is needed because another user can put a very large file at this
/// path.
pub(crate) fn read_up_to(file: &dyn DiskFile, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Reader::new(file).take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}
