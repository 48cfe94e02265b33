//! Searches run folders for the most recent limits that runs have learned.
//!
//! A run folder may come from another person, so the limits in it are only shown, together with their origin. The
//! search stops after a fixed number of files and folders.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::super::below::folders_below;
use super::super::results;
use super::found::Found;
use crate::domain::ModelClass;
use crate::journal::{Disk, LearnedLimits, read_learned_limits, with_suffix};

/// Returns the limits that one run learned. `path` is one of the files of the run.
///
/// # Errors
/// Fails if the run does not exist, or if it has learned no limits.
pub(super) fn of_run(path: &Path, disk: &dyn Disk) -> Result<Found> {
    let files = results::find(path, disk)?;
    let results = files.results.with_context(|| {
        format!("{}: its results went to standard output, and such a run keeps no limits", path.display())
    })?;
    let folder = with_suffix(&results, ".run");
    match read_learned_limits(&folder, disk) {
        Some(learned) => Ok(Found::Run { folder, learned }),
        None => bail!(
            "{} has no limits.json that can be read: no response of this run reported a limit, or an earlier version wrote \
             the folder; --live --ask asks the API",
            folder.display()
        ),
    }
}

/// Returns the most recent limits that a run below the folder `below` has learned. Runs with the server `origin` have
/// priority over all other runs. If `class` is given, searches only runs that have learned limits of this class.
/// Returns `None` if no run has learned limits.
pub(super) fn latest(below: &Path, origin: &str, class: Option<&ModelClass>, disk: &dyn Disk) -> Option<Found> {
    let mut latest: Option<(PathBuf, LearnedLimits)> = None;
    for folder in folders_below(below, "run") {
        let Some(learned) = read_learned_limits(&folder, disk) else { continue };
        if class.is_some_and(|class| learned.pools.iter().all(|pool| pool.class != *class)) {
            continue;
        }
        let rank = |learned: &LearnedLimits| (learned.origin == origin, learned.at);
        if latest.as_ref().is_none_or(|(_, best)| rank(&learned) > rank(best)) {
            latest = Some((folder, learned));
        }
    }
    latest.map(|(folder, learned)| Found::Run { folder, learned })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Owners, RealDisk};

    fn put(folder: &Path, name: &str, origin: &str, minute: u32) {
        let run = folder.join(name);
        std::fs::create_dir_all(&run).expect("it can be made");
        let text = format!(
            r#"{{"v":1,"at":"2026-11-26T09:{minute:02}:00Z","origin":"{origin}","pools":[{{"class":"haiku-4.5","speed":"standard","limits":{{"rpm":{minute}}}}}]}}"#
        );
        std::fs::write(run.join("limits.json"), text).expect("it can be written");
    }

    #[test]
    fn the_latest_run_of_the_same_origin_is_found_below_the_folder() {
        let folder = tempfile::tempdir().expect("there is room");
        let disk = RealDisk::new(Owners::Own);
        let rpm = |origin| {
            let Some(Found::Run { learned, .. }) = latest(folder.path(), origin, None, &disk) else { return None };
            learned.pools[0].limits.rpm
        };
        assert_eq!(rpm("a"), None);

        for (name, origin, minute) in [
            ("o.jsonl.run", "a", 10),
            ("x/y/p.jsonl.run", "a", 20),
            ("q.jsonl.run", "simulator", 30),
            (".hidden/r.jsonl.run", "a", 40),
            ("1/2/3/4/5/s.jsonl.run", "a", 50),
            ("t.jsonl.run/u.jsonl.run", "a", 55),
            ("not-a-run", "a", 59),
        ] {
            put(folder.path(), name, origin, minute);
        }

        assert_eq!((rpm("a"), rpm("simulator"), rpm("b")), (Some(20), Some(30), Some(30)));
        let other = ModelClass("opus-5".into());
        assert_eq!(latest(folder.path(), "a", Some(&other), &disk), None);
    }
}
