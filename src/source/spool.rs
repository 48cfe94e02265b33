//! Copies the bytes of a pipe to a file while they are read, so that the rows can be read again.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

/// Returns a reader of `stream`. If `path` is given, the reader copies everything that it reads to that file.
///
/// If the copy can't be written, it is removed and reading continues, because the rows matter more than the copy.
pub(super) fn copied(stream: impl Read + Send + 'static, path: Option<&Path>) -> Box<dyn Read + Send> {
    let Some(path) = path else { return Box::new(stream) };
    let copy = create(path).ok();
    Box::new(Copied { stream, copy, path: path.into() })
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

struct Copied<R> {
    stream: R,
    /// The copy; `None` if a write to the copy has failed.
    copy: Option<File>,
    path: Box<Path>,
}

impl<R: Read> Read for Copied<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        if let Some(copy) = &mut self.copy
            && copy.write_all(&buffer[..read]).is_err()
        {
            self.copy = None;
            // If the copy can't be removed, an incomplete copy stays. The rows that are missing in the copy will also
            // be missing in the output.
            let _ = std::fs::remove_file(&self.path);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Input, InputFormat, Options, Reader, open};

    #[test]
    fn a_pipe_that_was_copied_gives_the_same_rows_again() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("spool");
        let text = "id,prompt\n1,a\n2,\"b\nc\"\n";
        let options = Options::default();
        let stream = copied(text.as_bytes(), Some(&path));
        let rows = |reader: Reader| reader.map(|item| format!("{item:?}")).collect::<Vec<_>>();

        let first = rows(Reader::from_read("stdin", InputFormat::Csv, stream, &options).expect("it is sound"));
        let input = Input::Spooled { name: "stdin".to_owned(), path: path.clone() };
        let options = Options { format: InputFormat::Csv, ..options };
        let again = rows(open(&input, &options).expect("it was copied"));

        assert_eq!(std::fs::read_to_string(&path).ok().as_deref(), Some(text));
        assert!(first == again && first.len() == 2, "{first:?}");
    }

    #[test]
    fn a_copy_that_can_not_be_written_does_not_stop_the_reading() {
        let folder = tempfile::tempdir().expect("there is room");

        let mut text = String::new();
        copied("all of it".as_bytes(), Some(&folder.path().join("none/spool")))
            .read_to_string(&mut text)
            .expect("it reads");

        assert_eq!(text, "all of it");
    }
}
