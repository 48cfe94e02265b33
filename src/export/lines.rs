//! Reads lines of the journal, given their places.
//!
//! Rows finish in nearly the order in which they were read. So the next line is nearly always close to the previous
//! lines. A few pages of each file are kept in memory, so that each page is read only about once.

use std::io;

use super::index::{JournalFiles, Place};
use crate::journal::DiskFile;
use crate::sink::Log;

/// The length of a page, in bytes.
const PAGE_BYTES: usize = 256 << 10;
/// How many pages of each file are kept in memory. The lines of all rows that are in flight at one time need far fewer
/// pages than this limit.
const PAGES: usize = 64;

/// The lines of a journal.
pub(crate) struct Lines<'f> {
    results: Pages<'f>,
    errors: Pages<'f>,
}

impl<'f> Lines<'f> {
    pub(crate) fn new(files: &'f JournalFiles) -> Self {
        Self { results: Pages::new(files.of(Log::Results)), errors: Pages::new(files.of(Log::Errors)) }
    }

    /// Returns the line at a place, without its line break. If the place is after the end of the file, returns an empty
    /// line.
    ///
    /// # Errors
    /// Returns the error of the operating system if the file can't be read.
    pub(crate) fn at(&mut self, place: Place) -> io::Result<&[u8]> {
        match place.log() {
            Log::Results => self.results.line_at(place.offset()),
            Log::Errors => self.errors.line_at(place.offset()),
        }
    }
}

impl Lines<'_> {
    /// Returns the bytes in memory, starting at the beginning of a line. These bytes often contain the whole line and
    /// some later lines.
    ///
    /// # Errors
    /// Returns the error of the operating system if the file can't be read.
    pub(crate) fn beginning(&mut self, place: Place) -> io::Result<&[u8]> {
        let pages = match place.log() {
            Log::Results => &mut self.results,
            Log::Errors => &mut self.errors,
        };
        let (number, at) = (place.offset() / PAGE_BYTES as u64, (place.offset() % PAGE_BYTES as u64) as usize);
        let slot = pages.load(number)?;
        Ok(pages.pages[slot].bytes.get(at..).unwrap_or_default())
    }
}

/// The pages that are in memory, all from the same file.
struct Pages<'f> {
    file: Option<&'f dyn DiskFile>,
    /// The index of a page in this list is the page's number in the file, modulo [`PAGES`].
    pages: Vec<Page>,
    /// The last line that was on more than one page.
    joined: Vec<u8>,
}

#[derive(Default)]
struct Page {
    number: Option<u64>,
    bytes: Vec<u8>,
}

impl<'f> Pages<'f> {
    fn new(file: Option<&'f dyn DiskFile>) -> Self {
        Self { file, pages: (0..PAGES).map(|_| Page::default()).collect(), joined: Vec::new() }
    }

    fn line_at(&mut self, offset: u64) -> io::Result<&[u8]> {
        let (mut number, mut at) = (offset / PAGE_BYTES as u64, (offset % PAGE_BYTES as u64) as usize);
        let slot = self.load(number)?;
        if let Some(length) = self.pages[slot].bytes.get(at..).and_then(|rest| memchr::memchr(b'\n', rest)) {
            return Ok(&self.pages[slot].bytes[at..at + length]);
        }
        self.joined.clear();
        loop {
            let slot = self.load(number)?;
            let rest = self.pages[slot].bytes.get(at..).unwrap_or_default();
            if let Some(length) = memchr::memchr(b'\n', rest) {
                self.joined.extend_from_slice(&rest[..length]);
                return Ok(&self.joined);
            }
            self.joined.extend_from_slice(rest);
            if self.pages[slot].bytes.len() < PAGE_BYTES {
                return Ok(&self.joined);
            }
            (number, at) = (number + 1, 0);
        }
    }

    /// Reads a page if it is not in memory yet. Returns the index of the page.
    fn load(&mut self, number: u64) -> io::Result<usize> {
        let slot = (number % PAGES as u64) as usize;
        let page = &mut self.pages[slot];
        if page.number == Some(number) {
            return Ok(slot);
        }
        let Some(file) = self.file else { return Ok(slot) };
        page.number = None;
        page.bytes.resize(PAGE_BYTES, 0);
        let mut filled = 0;
        while filled < PAGE_BYTES {
            match file.read_at(&mut page.bytes[filled..], number * PAGE_BYTES as u64 + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        page.bytes.truncate(filled);
        page.number = Some(number);
        Ok(slot)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::journal::{Disk, MemDisk, OpenMode};

    #[test]
    fn lines_are_read_in_any_order_and_over_several_pages() {
        let seed = 3;
        let mut random = fastrand::Rng::with_seed(seed);
        let lengths: Vec<usize> = (0..300).map(|_| random.usize(0..9_000)).chain([3 * PAGE_BYTES, 5]).collect();
        let (mut text, mut lines) = (Vec::new(), Vec::new());
        for length in lengths {
            let line: Vec<u8> = std::iter::repeat_with(|| random.u8(b'a'..=b'z')).take(length).collect();
            lines.push((text.len() as u64, line.clone()));
            text.extend(line);
            text.push(b'\n');
        }
        text.pop();
        let disk = MemDisk::new();
        disk.put("o", &text);
        let file = disk.open(Path::new("o"), OpenMode::Read).expect("it is there");
        let mut pages = Pages::new(Some(&*file));
        random.shuffle(&mut lines);

        for (offset, line) in &lines {
            assert_eq!(pages.line_at(*offset).expect("the disk works"), line, "seed {seed}");
        }
        assert_eq!(pages.line_at(text.len() as u64 + 9).expect("the disk works"), b"");
    }
}
