//! Finds run folders below a folder.

use std::path::{Path, PathBuf};

/// The highest number of files and folders that are searched.
const MOST_ENTRIES: usize = 20_000;
/// The depth of the search: how many levels of folders are entered below the first folder.
const DEEPEST: usize = 4;

/// Returns the folders with this extension that are in `below`, at any level. The search stops after a fixed number of
/// files and folders, and at a fixed depth. The search does not enter hidden folders or links.
pub(super) fn folders_below(below: &Path, extension: &str) -> Vec<PathBuf> {
    let (mut found, mut looked_at) = (Vec::new(), 0);
    let mut folders = vec![(below.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
        for entry in std::fs::read_dir(listed).into_iter().flatten().flatten() {
            looked_at += 1;
            if looked_at > MOST_ENTRIES {
                return found;
            }
            let name = entry.file_name();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if !is_folder || name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = folder.join(&name);
            match Path::new(&name).extension().is_some_and(|end| end == extension) {
                true => found.push(path),
                false if depth < DEEPEST => folders.push((path, depth + 1)),
                false => {}
            }
        }
    }
    found
}
