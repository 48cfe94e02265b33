//! Reads the files that a run writes for the commands `status` and `report`.
//!
//! A run folder can come from another person, so its files are not trusted. Only files up to a certain size are read. A
//! file that this program can't have written is treated as damaged.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::domain::causes;
use crate::journal::{Disk, OpenMode, read_up_to};

/// The size of the largest file that is read, in bytes.
const MOST_BYTES: u64 = 4 << 20;

/// The result of reading a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found<T> {
    /// The content.
    Good(T),
    /// The file does not exist, because an older version made the run or because the run has not begun.
    Missing,
    /// The file does not have the expected content. The text says what is wrong.
    Damaged(String),
    /// The file can't be read, or must not be read because it belongs to another user. The text says why.
    Unreadable(String),
    /// A later version of this program wrote the file.
    Newer(u32),
}

/// Returns the path of the file with the state of a run, in its run folder.
pub(crate) fn status_path(folder: &Path) -> PathBuf {
    folder.join("status.json")
}

/// Returns the path of the file with the history of a run, in its run folder.
pub(crate) fn timeline_path(folder: &Path) -> PathBuf {
    folder.join("timeline.json")
}

/// Reads a JSON file. The file's member `v` must equal `version`.
pub(crate) fn read<T: DeserializeOwned>(disk: &dyn Disk, path: &Path, version: u32) -> Found<T> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    let bytes = match disk.open(path, OpenMode::Read).and_then(|file| read_up_to(&*file, MOST_BYTES + 1)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Found::Missing,
        Err(error) => return Found::Unreadable(causes(&error)),
    };
    if bytes.len() as u64 > MOST_BYTES {
        return Found::Damaged(format!("the file is larger than {} MiB", MOST_BYTES >> 20));
    }
    let parsed = match serde_json::from_slice::<Version>(&bytes) {
        Ok(Version { v }) if v > version => return Found::Newer(v),
        Ok(Version { v }) if v < version => return Found::Damaged(format!("the file has the version {v}")),
        Ok(_) => serde_json::from_slice::<T>(&bytes),
        Err(error) => Err(error),
    };
    parsed.map_or_else(
        |error| Found::Damaged(format!("line {}, column {} is not as expected", error.line(), error.column())),
        Found::Good,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::MemDisk;

    #[test]
    fn a_file_is_good_or_missing_or_damaged_or_newer() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct File {
            n: u32,
        }
        let found = |text: &[u8]| {
            let disk = MemDisk::new();
            disk.put("f", text);
            read::<File>(&disk, Path::new("f"), 1)
        };

        assert_eq!(found(br#"{"v":1,"n":5}"#), Found::Good(File { n: 5 }));
        assert_eq!(found(br#"{"v":2,"m":[]}"#), Found::Newer(2));
        assert_eq!(read::<File>(&MemDisk::new(), Path::new("f"), 1), Found::Missing);
        let large = format!(r#"{{"v":1,"n":5}}{}"#, " ".repeat(MOST_BYTES as usize));
        for text in ["", "\0\0", "[]", r#"{"n":5}"#, r#"{"v":0,"n":5}"#, r#"{"v":1,"n":-5}"#, r#"{"v":1,"n""#, &large] {
            assert!(matches!(found(text.as_bytes()), Found::Damaged(_)), "{text:.50}");
        }
    }
}
