//! A look at what a run would open, for a dry run: it is refused as the run would be, and nothing is changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::Disk;
use super::open::{Before, Opening};
use super::output::Purpose;
use super::unresolved::{Entry, Unresolved};
use super::{Journal, JournalError, Recovered, RunPaths, Start, compact};
use crate::domain::ErrorClass;

/// What a run would find.
pub struct Looked {
    disk: Arc<dyn Disk>,
    before: Before,
    unresolved: Unresolved,
}

impl Journal {
    /// Looks at what a run would open. It does not wait for it and does not hold it.
    ///
    /// `inputs` and `origin` are those of the run.
    ///
    /// # Errors
    /// What [`Journal::open`] refuses, but for what only writing shows.
    pub fn look(
        disk: Arc<dyn Disk>,
        paths: &RunPaths,
        inputs: &[PathBuf],
        origin: &str,
        start: Start,
    ) -> Result<(Looked, Recovered), JournalError> {
        let mut opening = Opening::new(&*disk, paths, "", Purpose::Look);
        let mut before = opening.find(inputs, origin, start)?;
        if start == Start::Fresh {
            before.found = Default::default();
        }
        let (recovered, unresolved) = opening.read(&before, start)?;
        Ok((Looked { disk, before, unresolved }, recovered))
    }
}

impl Looked {
    /// Writes the rows that `resume` would read, as [`Journal::write_resume_input_to`] does.
    ///
    /// # Errors
    /// [`JournalError::Disk`].
    pub fn write_resume_input_to(&self, path: &Path, only: &[ErrorClass]) -> Result<(), JournalError> {
        let Some(errors) = &self.before.found.errors else { return Ok(()) };
        let wanted = |entry: &&Entry| only.is_empty() || only.contains(&entry.class);
        let entries = self.unresolved.in_order();
        compact::copy_rows(&*self.disk, errors, entries.into_iter().filter(wanted), path)?;
        Ok(())
    }

    /// Returns the failures that count, by class.
    pub fn failed(&self) -> BTreeMap<ErrorClass, u64> {
        self.unresolved.by_class()
    }
}

#[cfg(test)]
mod tests {
    use super::super::mem_disk::MemDisk;
    use super::super::writer::{Fsync, Threading};
    use super::super::{JournalOptions, Manifest};
    use super::*;
    use crate::clock::RunClock;

    const ANSWER: &str = r#"{"custom_id":"a","result":{"type":"succeeded","message":{"content":[]}},"meta":{"v":1,"key":"k1:00000000000000000000000000000000"}}"#;

    #[test]
    fn a_look_is_refused_as_the_run_is_and_changes_nothing() {
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

            let looked = look(&disk, "o", start).map(|(_, recovered)| recovered.done.len());
            let is_unchanged = before == (disk.paths(), disk.changes());
            let opened = open(&disk, "o", start).map(|(_, recovered)| recovered.done.len());

            assert!(is_unchanged, "{name}");
            assert_eq!(looked.is_ok(), is_fine, "{name}: {looked:?}");
            let words = |done: Result<usize, JournalError>| done.map_err(|error| error.to_string());
            assert_eq!(words(looked), words(opened), "{name}");
        }
        let disk = MemDisk::new();
        assert!(matches!(look(&disk, "in", Start::Continue), Err(JournalError::OutputIsInput { .. })));
    }

    #[test]
    fn a_look_at_what_a_run_holds_is_refused_and_holds_nothing() {
        let disk = MemDisk::new();
        let running = open(&disk, "o", Start::Continue).expect("nobody holds it");

        let during = look(&disk, "o", Start::Continue).map(drop);
        drop(running);
        let after = look(&disk, "o", Start::Continue).expect("nobody holds it");
        let next = open(&disk, "o", Start::Continue).map(drop);

        assert!(matches!(during, Err(JournalError::Locked { .. })), "{during:?}");
        assert!(next.is_ok(), "a look in progress holds nobody up: {next:?}");
        drop(after);
    }

    fn other_origin(disk: &MemDisk) {
        drop(open_at(disk, "o", Start::Continue, "https://elsewhere.invalid").expect("nothing is there"));
    }

    fn look(disk: &MemDisk, results: &str, start: Start) -> Result<(Looked, Recovered), JournalError> {
        Journal::look(Arc::new(disk.clone()), &paths(results), &["in".into()], "here", start)
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
            manifest: Manifest { origin: origin.to_owned(), ..Manifest::default() },
            start,
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
