//! The state of an input on disk: whether it can be read twice, and whether it has changed.

use std::fs;
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::{Input, SourceError};

/// The length and the time of an input file, which show whether the file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InputIdentity {
    /// The length of the file, in bytes.
    pub len: u64,
    /// The time of the last write, in nanoseconds since 1970; `None` if the file system does not record it.
    pub modified_ns: Option<u64>,
}

/// Returns the current identity (length and time) of a file.
///
/// # Errors
/// [`SourceError::NotFound`], [`SourceError::Directory`], [`SourceError::Device`] and [`SourceError::Open`].
pub fn identity(path: &Path) -> Result<InputIdentity, SourceError> {
    let metadata = fs::metadata(path).map_err(|source| open_error(path, source))?;
    if metadata.is_dir() {
        return Err(SourceError::Directory { name: path.display().to_string() });
    }
    if is_device(&metadata) {
        return Err(SourceError::Device { name: path.display().to_string() });
    }
    Ok(of(&metadata))
}

#[cfg(unix)]
fn is_device(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;

    metadata.file_type().is_char_device() || metadata.file_type().is_block_device()
}

#[cfg(not(unix))]
fn is_device(_: &fs::Metadata) -> bool {
    false
}

/// Returns whether an input can be read a second time. Regular files and lists of text files can be read twice, but
/// pipes and devices can't.
pub fn is_seekable(input: &Input) -> bool {
    match input {
        Input::File(path) => fs::metadata(path).is_ok_and(|metadata| metadata.is_file()),
        Input::Spooled { path, .. } => fs::metadata(path).is_ok_and(|metadata| metadata.is_file()),
        Input::Texts(_) => true,
        Input::Stdin => false,
    }
}

pub(super) fn of(metadata: &fs::Metadata) -> InputIdentity {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified_ns = since.and_then(|duration| u64::try_from(duration.as_nanos()).ok());
    InputIdentity { len: metadata.len(), modified_ns }
}

pub(super) fn open_error(path: &Path, source: io::Error) -> SourceError {
    let name = path.display().to_string();
    match source.kind() {
        io::ErrorKind::NotFound => SourceError::NotFound { name },
        io::ErrorKind::IsADirectory => SourceError::Directory { name },
        _ => SourceError::Open { name, source },
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::{Options, open};
    use super::*;

    #[test]
    fn a_file_that_was_not_touched_stays_the_same() {
        let file = file_with("\"a\"\n");

        let (before, after) = (identity(file.path()), identity(file.path()));

        let before = before.expect("it is there");
        assert_eq!((before.len, before), (4, after.expect("it is there")));
        assert!(is_seekable(&Input::File(file.path().to_owned())));
        assert!(!is_seekable(&Input::Stdin));
    }

    #[test]
    fn a_missing_file_and_a_folder_give_different_errors() {
        let folder = tempfile::tempdir().expect("there is room");
        let missing = folder.path().join("nope.jsonl");

        assert!(matches!(identity(&missing), Err(SourceError::NotFound { .. })));
        assert!(matches!(identity(folder.path()), Err(SourceError::Directory { .. })));
        assert!(matches!(open(&Input::File(missing), &Options::default()), Err(SourceError::NotFound { .. })));
        let opened = open(&Input::File(folder.path().to_owned()), &Options::default());
        assert!(matches!(opened, Err(SourceError::Directory { .. })));
        assert!(!is_seekable(&Input::File(folder.path().to_owned())));
    }

    #[test]
    fn a_file_that_grows_while_it_is_read_gives_a_warning() {
        let mut file = file_with("\"a\"\n");
        let mut reader = open(&Input::File(file.path().to_owned()), &Options::default()).expect("it is there");

        assert!(matches!(reader.next(), Some(Ok(_))));
        file.write_all(b"\"b\"\n").expect("there is room");
        let rest = reader.by_ref().count();

        assert!(rest <= 1);
        let warnings = reader.take_warnings();
        assert!(warnings[0].contains("changed from 4 to 8 bytes"), "{warnings:?}");
    }

    #[test]
    fn an_unchanged_file_gives_no_warning() {
        let file = file_with("\"a\"\n");
        let mut reader = open(&Input::File(file.path().to_owned()), &Options::default()).expect("it is there");

        assert_eq!(reader.by_ref().count(), 1);

        assert!(reader.take_warnings().is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_refused_and_the_error_names_it() {
        for device in ["/dev/null", "/dev/zero", "/dev/urandom", "/dev/full", "/dev/tty"] {
            let opened = open(&Input::File(device.into()), &Options::default());

            assert!(matches!(opened, Err(SourceError::Device { name }) if name == device), "{device}");
        }
    }

    fn file_with(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::Builder::new().suffix(".jsonl").tempfile().expect("there is room");
        file.write_all(text.as_bytes()).expect("there is room");
        file
    }
}
