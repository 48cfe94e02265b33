//! Remembers which output files this program made, so that `results -o` replaces no other file.
//!
//! The content of a file does not show who made it: a table with the columns `id` and `text` can be an output, and can
//! also be the input of the next run. So the run folder contains a list of the outputs that were made from the run, with
//! the length and the time of each file. A file in this list that still has this length and time is an output, and can
//! be made again. A file that was changed afterwards can contain work of the user.
//!
//! No result depends on the list. If the list can't be written, the output is still made, but is not replaced later. A
//! run folder can come from another person, so the size of the list is limited.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::export::{Compression, ExportError, whole_file};
use crate::journal::{Disk, FileKind, OpenMode, read_up_to, with_suffix};
use crate::source::{self, InputIdentity};

/// The name of the list in a run folder.
const NAME: &str = "outputs.json";

/// How many outputs a list contains. The oldest ones are left out.
const MOST: usize = 200;

/// The size limit of a list in bytes. A longer list is not read.
const MOST_BYTES: u64 = 1 << 20;

/// How many times the program tries to change a list that another command is changing, and the time between two tries.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// An output that was made.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    path: String,
    #[serde(flatten)]
    state: InputIdentity,
}

/// Adds an output to the lists of the runs with these results files.
pub(super) fn remember<'p>(output: &Path, results: impl IntoIterator<Item = &'p Path>, disk: &dyn Disk) {
    let (Ok(path), Ok(state)) = (std::path::absolute(output), source::identity(output)) else { return };
    let path = path.display().to_string();
    for list in results.into_iter().filter_map(|results| list_of(results, disk)) {
        for _ in 0..TRIES {
            let added = whole_file(disk, &list, Compression::None, |mut out| {
                let mut all = read(&list, disk);
                all.retain(|own| own.path != path);
                all.push(Written { path: path.clone(), state });
                let first = all.len().saturating_sub(MOST);
                let json = serde_json::to_vec(&all[first..]).map_err(|error| ExportError::Output(error.into()))?;
                out.write_all(&json).and_then(|()| out.finish()).map_err(ExportError::Output)
            });
            if !matches!(added, Err(ExportError::Busy { .. })) {
                break;
            }
            thread::sleep(PAUSE);
        }
    }
}

/// Returns whether a file is an output of a run with one of these results files, and has not been changed since.
pub(super) fn is_output<'p>(path: &Path, results: impl IntoIterator<Item = &'p Path>, disk: &dyn Disk) -> bool {
    let Ok(state) = source::identity(path) else { return false };
    // The folder of the file is not compared, because the run folder can be moved together with its outputs.
    let is_own = |own: &Written| own.state == state && Path::new(&own.path).file_name() == path.file_name();
    let mut lists = results.into_iter().filter_map(|results| list_of(results, disk));
    state.modified_ns.is_some() && lists.any(|list| read(&list, disk).iter().any(is_own))
}

/// Returns the path of a run's list; `None` if there is no run folder.
fn list_of(results: &Path, disk: &dyn Disk) -> Option<PathBuf> {
    let folder = with_suffix(results, ".run");
    matches!(disk.kind(&folder), Ok(Some(FileKind::Folder))).then(|| folder.join(NAME))
}

fn read(list: &Path, disk: &dyn Disk) -> Vec<Written> {
    let read = || -> Option<Vec<Written>> {
        let file = disk.open(list, OpenMode::Read).ok()?;
        let bytes = read_up_to(&*file, MOST_BYTES + 1).ok().filter(|bytes| bytes.len() as u64 <= MOST_BYTES)?;
        serde_json::from_slice(&bytes).ok()
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Owners, RealDisk};

    #[test]
    fn an_output_is_recognized_until_it_is_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let (disk, results, other) = (RealDisk::new(Owners::Own), at("a.jsonl"), at("b.jsonl"));
        let is_output = |name: &str, results: &Path| is_output(&at(name), [results], &disk);
        std::fs::create_dir(at("a.jsonl.run")).expect("there is room");
        for name in ["x.csv", "y.txt", "mine.csv"] {
            std::fs::write(at(name), "id,text\n").expect("there is room");
        }

        for name in ["x.csv", "y.txt", "y.txt"] {
            remember(&at(name), [&*results, &*other], &disk);
        }

        assert!(is_output("x.csv", &results) && is_output("y.txt", &results));
        assert!(!is_output("mine.csv", &results) && !is_output("none.csv", &results) && !is_output("x.csv", &other));
        std::fs::write(at("x.csv"), "id,text\n1,a\n").expect("there is room");
        assert!(!is_output("x.csv", &results));
        remember(&at("x.csv"), [&*results], &disk);
        assert!(is_output("x.csv", &results) && read(&at("a.jsonl.run/outputs.json"), &disk).len() == 2);
        std::fs::write(at("a.jsonl.run/outputs.json"), "[1]").expect("there is room");
        assert!(!is_output("x.csv", &results));
    }

    #[test]
    fn a_list_does_not_grow_without_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let disk = RealDisk::new(Owners::Own);
        std::fs::create_dir(at("a.jsonl.run")).expect("there is room");

        for number in 0..MOST + 3 {
            let name = format!("{number}.txt");
            std::fs::write(at(&name), &name).expect("there is room");
            remember(&at(&name), [&*at("a.jsonl")], &disk);
        }

        let all = read(&at("a.jsonl.run/outputs.json"), &disk);
        assert_eq!(all.len(), MOST);
        assert!(all[0].path.ends_with("3.txt") && is_output(&at("202.txt"), [&*at("a.jsonl")], &disk));
    }
}
