//! For a dry run, reads the files that a real run would find. A dry run fails in the same cases as the real run, and
//! changes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Journal;
use super::disk::Disk;
use super::error::JournalError;
use super::files::{Access, Manifest, RunPaths};
use super::reading::Unresolved;
use super::recovery::{Existing, Recovered, Recovery};
use super::rewriting::copy_rows;
use super::start::Start;
use crate::domain::{ErrorClass, Quality};

/// The files that a run would open.
pub(crate) struct Inspected {
    disk: Arc<dyn Disk>,
    existing: Existing,
    unresolved: Unresolved,
}

impl Journal {
    /// Reads the files that a run would open, without locking or changing them. `inputs`, `start` and `rerun` have the
    /// same values as in the real run. `given` is the manifest that describes the run.
    ///
    /// # Errors
    /// The errors of [`Journal::open`], except write errors.
    pub(crate) fn inspect(
        disk: Arc<dyn Disk>,
        paths: &RunPaths,
        inputs: &[PathBuf],
        given: &Manifest,
        start: Start,
        rerun: &[Quality],
    ) -> Result<(Inspected, Recovered), JournalError> {
        let mut recovery = Recovery::new(&*disk, paths, "", Access::ReadOnly).with_rerun(rerun);
        let mut existing = recovery.find(inputs, &given.servers(), start)?;
        if start == Start::Fresh {
            existing.outputs = Default::default();
        }
        let (recovered, unresolved) = recovery.read(&existing, start)?;
        Ok((Inspected { disk, existing, unresolved }, recovered))
    }
}

impl Inspected {
    /// Writes the rows that `resume` would run again, as [`Journal::write_resume_input_to`] does.
    ///
    /// # Errors
    /// [`JournalError::Disk`].
    pub(crate) fn write_resume_input_to(&self, path: &Path, only: &[ErrorClass]) -> Result<(), JournalError> {
        let Some(errors) = &self.existing.outputs.errors else { return Ok(()) };
        Ok(copy_rows(&*self.disk, errors, &self.unresolved.row_offsets(only), path)?)
    }

    /// For each error class, returns the number of failures that still count.
    pub(crate) fn failed(&self) -> BTreeMap<ErrorClass, u64> {
        self.unresolved.by_class()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Fsync, JournalOptions, Manifest, MemDisk, Threading};
    use super::*;
    use crate::clock::RunClock;

    const ANSWER: &str = r#"{"custom_id":"a","result":{"type":"succeeded","message":{"content":[]}},"meta":{"v":1,"key":"k1:00000000000000000000000000000000"}}"#;

    #[test]
    fn an_inspection_is_refused_like_the_run_and_changes_nothing() {
        type Prepare = fn(&MemDisk);
        let cases: [(&str, Prepare, Start, bool); 9] = [
            ("nothing is there", |_| (), Start::Continue, true),
            ("earlier answers", |disk| disk.put("o", format!("{ANSWER}\n").as_bytes()), Start::Continue, true),
            (
                "a half-written last line",
                |disk| disk.put("o", format!("{ANSWER}\n{{\"cus").as_bytes()),
                Start::Continue,
                true,
            ),
            ("another file", |disk| disk.put("o", b"my notes\n"), Start::Continue, false),
            ("another file set aside", |disk| disk.put("o", b"my notes\n"), Start::Fresh, false),
            (
                "a foreign line",
                |disk| disk.put("o", format!("{ANSWER}\nnotes\n{ANSWER}\n").as_bytes()),
                Start::Continue,
                false,
            ),
            ("another log", |disk| disk.put("e", b"my notes\n"), Start::Continue, false),
            ("an output that is an input", |disk| disk.put("in", b"x"), Start::Continue, true),
            ("results of another server", other_origin, Start::Continue, false),
        ];

        for (name, prepare, start, is_fine) in cases {
            let disk = MemDisk::new();
            prepare(&disk);
            let before = (disk.paths(), disk.changes());

            let inspected = inspect(&disk, "o", start).map(|(_, recovered)| recovered.done.len());
            let is_unchanged = before == (disk.paths(), disk.changes());
            let opened = open(&disk, "o", start).map(|(_, recovered)| recovered.done.len());

            assert!(is_unchanged, "{name}");
            assert_eq!(inspected.is_ok(), is_fine, "{name}: {inspected:?}");
            let words = |done: Result<usize, JournalError>| done.map_err(|error| error.to_string());
            assert_eq!(words(inspected), words(opened), "{name}");
        }
        let disk = MemDisk::new();
        assert!(matches!(inspect(&disk, "in", Start::Continue), Err(JournalError::OutputIsInput { .. })));
    }

    #[test]
    fn an_inspection_of_locked_files_is_refused_and_locks_nothing() {
        let disk = MemDisk::new();
        let running = open(&disk, "o", Start::Continue).expect("nobody holds it");

        let during = inspect(&disk, "o", Start::Continue).map(drop);
        drop(running);
        let after = inspect(&disk, "o", Start::Continue).expect("nobody holds it");
        let next = open(&disk, "o", Start::Continue).map(drop);

        assert!(matches!(during, Err(JournalError::Locked { .. })), "{during:?}");
        assert!(next.is_ok(), "an inspection does not lock: {next:?}");
        drop(after);
    }

    fn other_origin(disk: &MemDisk) {
        drop(open_at(disk, "o", Start::Continue, "https://elsewhere.invalid").expect("nothing is there"));
    }

    fn of(origin: &str) -> Manifest {
        Manifest { origin: origin.to_owned(), ..Manifest::default() }
    }

    fn inspect(disk: &MemDisk, results: &str, start: Start) -> Result<(Inspected, Recovered), JournalError> {
        Journal::inspect(Arc::new(disk.clone()), &paths(results), &["in".into()], &of("here"), start, &[])
    }

    fn open(disk: &MemDisk, results: &str, start: Start) -> Result<(Journal, Recovered), JournalError> {
        open_at(disk, results, start, "here")
    }

    fn open_at(
        disk: &MemDisk,
        results: &str,
        start: Start,
        origin: &str,
    ) -> Result<(Journal, Recovered), JournalError> {
        let options = JournalOptions {
            disk: Arc::new(disk.clone()),
            paths: paths(results),
            inputs: vec!["in".into()],
            run: "r".into(),
            clock: RunClock::start(),
            price_date: None,
            manifest: of(origin),
            start,
            rerun: Vec::new(),
            fsync: Fsync::Off,
            threading: Threading::Inline,
            stdout: None,
        };
        Journal::open(options, Box::new(|_| ()))
    }

    fn paths(results: &str) -> RunPaths {
        RunPaths::given(Some(results.into()), "e".into())
    }
}
