//! Recovery reads the files that earlier runs left, and repairs them. Each run begins with a recovery.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::charges::Charges;
use super::disk::{Disk, DiskFailure, DiskFile, OpenMode, remove_left_over, sync_name, with_suffix};
use super::error::JournalError;
use super::files::answered::{LeftByResume, read_left, set_left_aside};
use super::files::{
    Access, Conflict, ExistingOutputs, Lock, Manifest, Output, RunPaths, Servers, UnclosedRun, check_free, lock,
    manifest, read_manifest, slots,
};
use super::reading::{
    AnswersBy, Contents, DoneSet, RerunRows, Reruns, Scan, Totals, UnfinishedRow, Unresolved, check_first_line,
    check_owner, parse_error, parse_result,
};
use super::rewriting::{Superseded, repair};
use super::start::Start;
use crate::domain::{ErrorClass, Money, Quality, RowId};

/// What recovery found in the files of earlier runs.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The state of each row after the earlier runs.
    pub done: DoneSet,
    /// The answered rows that must be run again because of the quality of their answers.
    pub reruns: Reruns,
    /// Sums over all runs that wrote to the results.
    pub totals: Totals,
    /// The number of answers that each provider gave in these runs.
    pub answers_by: AnswersBy,
    /// The number of failures that still count, by error class.
    pub failed: BTreeMap<ErrorClass, u64>,
    /// The number of rows that have no line and were in flight when the last run died. The requests of these rows may
    /// have been billed. `totals.maybe_paid` counts each of these rows once.
    pub dead_in_flight: u64,
    /// The highest possible cost of the rows that were in flight. `totals.maybe_spend` includes this amount.
    pub dead_at_most: Money,
    /// Rows that need another request because their last answer was not accepted.
    pub unfinished: HashMap<RowId, UnfinishedRow>,
    /// Messages for the user about the repairs that were made.
    pub notes: Vec<String>,
    /// The manifest of the last run. `resume` takes settings from this manifest.
    pub manifest: Option<Manifest>,
}

/// The recovery of one run.
pub(crate) struct Recovery<'a> {
    disk: &'a dyn Disk,
    paths: &'a RunPaths,
    run: &'a str,
    access: Access,
    /// Rows whose answers have one of these qualities are run again.
    rerun: &'a [Quality],
    pub(crate) recovered: Recovered,
}

/// The files that exist when a run begins.
pub(super) struct Existing {
    /// Whether the run folder has a manifest, which shows that a run of this program has used the folder.
    is_known: bool,
    /// The lock of the run folder; `None` in a dry run, or if results go to standard output.
    pub(crate) lock: Option<Lock>,
    pub(crate) outputs: ExistingOutputs,
    pub(crate) unclosed: UnclosedRun,
    /// What a `resume` of the error log left, if its answers went to standard output.
    pub(crate) left: LeftByResume,
}

impl<'a> Recovery<'a> {
    pub(crate) fn new(disk: &'a dyn Disk, paths: &'a RunPaths, run: &'a str, access: Access) -> Self {
        Self { disk, paths, run, access, rerun: &[], recovered: Recovered::default() }
    }

    /// Makes recovery collect the rows whose answers have one of these qualities. These rows are to be run again.
    pub(crate) fn with_rerun(self, rerun: &'a [Quality]) -> Self {
        Self { rerun, ..self }
    }

    /// Finds and locks the existing files, and rejects files that must not be used. Changes no file.
    pub(crate) fn find(
        &mut self,
        inputs: &[PathBuf],
        servers: &Servers,
        start: Start,
    ) -> Result<Existing, JournalError> {
        self.paths.check(inputs, start, self.disk)?;
        let is_known = self.is_known()?;
        self.check_first_lines(is_known)?;
        let lock = self.lock()?;
        let outputs =
            ExistingOutputs::find(self.disk, self.paths, inputs, start, self.access, &mut self.recovered.notes)?;
        let unclosed = self.read_folder(servers, start)?;
        if let Some(Output { path: _, file }) = outputs.errors.as_ref().filter(|_| start == Start::Fresh) {
            check_owner(&**file, self.paths)?;
        }
        let mut left = read_left(self.disk, &self.paths.errors)?;
        if start == Start::Fresh {
            // With `--fresh`, these files are only renamed.
            (left.answered, left.unclosed) = Default::default();
        }
        Ok(Existing { is_known, lock, outputs, unclosed, left })
    }

    /// Reads the results and the error log without repairing them. Returns what was found, and the failures that still
    /// count.
    pub(crate) fn read(mut self, existing: &Existing, start: Start) -> Result<(Recovered, Unresolved), JournalError> {
        let contents = self.read_both(existing, start)?;
        let (unresolved, _) = self.sum_up(contents);
        Ok((self.recovered, unresolved))
    }

    fn is_known(&self) -> Result<bool, DiskFailure> {
        self.paths.folder().map_or(Ok(false), |folder| manifest::exists(self.disk, &folder))
    }

    fn check_first_lines(&self, is_known: bool) -> Result<(), JournalError> {
        if let Some(results) = &self.paths.results
            && let Some(file) = self.existing(results)?
        {
            check_first_line(&*file, results, is_known, |line| parse_result(line.bytes).handed_to(drop))?;
        }
        if let Some(file) = self.existing(&self.paths.errors)? {
            let errors = &self.paths.errors;
            check_first_line(&*file, errors, is_known, |line| parse_error(line.bytes).handed_to(drop))?;
        }
        Ok(())
    }

    fn lock(&mut self) -> Result<Option<Lock>, JournalError> {
        let (Some(folder), Some(results)) = (self.paths.folder(), &self.paths.results) else { return Ok(None) };
        if self.access == Access::ReadOnly {
            return check_free(self.disk, &folder, results).map(|()| None);
        }
        self.disk.create_folder(&folder).map_err(DiskFailure::of("create", &folder))?;
        let (lock, warning) = lock(self.disk, &folder, results)?;
        self.recovered.notes.extend(warning);
        Ok(Some(lock))
    }

    /// Reads the manifest and the slots. The slots are ignored if an earlier run already counted them, or if `--fresh`
    /// renames the earlier results.
    fn read_folder(&mut self, servers: &Servers, start: Start) -> Result<UnclosedRun, JournalError> {
        let Some(folder) = self.paths.folder() else { return Ok(UnclosedRun::default()) };
        let mut unclosed = slots::read_unclosed(self.disk, &folder)?;
        let manifest = match start {
            // With `--fresh`, the manifest is only renamed, so its format does not matter.
            Start::Fresh => None,
            Start::Resume => read_manifest(&folder, self.disk)?,
            Start::Continue => self.read_or_note(&folder)?,
        };
        if let Some(manifest) = &manifest {
            check_origin(self.paths, &manifest.servers(), servers)?;
        }
        let counted = manifest.as_ref().map_or(0, |manifest| manifest.counted_opening);
        if start == Start::Fresh || unclosed.opening <= counted {
            unclosed.rows.clear();
        }
        self.recovered.manifest = manifest;
        Ok(unclosed)
    }

    /// Reads the manifest for a run that takes all settings from the command line. If the manifest is damaged, a note
    /// says that the run can't check whether the results come from the same server. The note also says that the run
    /// can't count the cost of removed lines.
    fn read_or_note(&mut self, folder: &Path) -> Result<Option<Manifest>, JournalError> {
        match read_manifest(folder, self.disk) {
            Err(JournalError::Manifest { path, fault }) => {
                self.recovered.notes.push(format!(
                    "{} can't be read ({fault}) and is replaced: it is not checked whether the results come from another \
                     server, and money spent on removed lines is not counted",
                    path.display()
                ));
                Ok(None)
            }
            read => read,
        }
    }

    /// Renames the files of earlier runs in this order: error log, results, manifest. If the process dies between two
    /// of these steps, each file has either its old name or its new name.
    ///
    /// A file is renamed only if this run has locked it. An error log that belongs to other results is not renamed.
    pub(crate) fn set_aside(&mut self, found: ExistingOutputs) -> Result<(), JournalError> {
        let suffix = format!(".old-{}", self.run);
        for Output { path, file: _ } in [&found.errors, &found.results].into_iter().flatten() {
            let aside = with_suffix(path, &suffix);
            self.disk.rename(path, &aside).map_err(DiskFailure::of("rename", path))?;
            if *path == self.paths.errors {
                set_left_aside(self.disk, path, &aside)?;
            }
            sync_name(self.disk, path)?;
            self.recovered.notes.push(format!("--fresh: {} is now {}", path.display(), aside.display()));
        }
        if let Some(folder) = self.paths.folder() {
            manifest::set_aside(self.disk, &folder, &suffix)?;
        }
        Ok(())
    }

    /// Reads and repairs the results and the error log. Returns the failures that still count, and the rows that have
    /// several answers.
    pub(crate) fn recover(
        &mut self,
        existing: &mut Existing,
        start: Start,
    ) -> Result<(Unresolved, Superseded), JournalError> {
        let mut contents = self.read_both(existing, start)?;
        let moves_lines = [&contents.errors, &contents.results].into_iter().flatten().any(Scan::moves_lines);
        self.repair(&mut existing.outputs, &contents)?;
        if moves_lines {
            contents = self.read_both(existing, start)?;
        }
        Ok(self.sum_up(contents))
    }

    /// Stores the sums and the rows that were read from the results and the error log. Returns the failures that still
    /// count, and the rows that have several answers.
    fn sum_up(&mut self, mut contents: Contents) -> (Unresolved, Superseded) {
        let carried = self.recovered.manifest.as_ref().map(|manifest| manifest.carried).unwrap_or_default();
        let maybe_paid = contents.in_flight.len() as u64;
        let maybe_spend = contents.in_flight.values().fold(Money::ZERO, |sum, at_most| sum + *at_most);
        contents.totals.add(carried.charges());
        contents.totals.add(Charges { maybe_paid, maybe_spend, ..Charges::default() });
        self.recovered.totals = contents.totals;
        self.recovered.answers_by = std::mem::take(&mut contents.answers_by);
        if contents.answered_beside > 0 {
            self.recovered.notes.push(not_sent_words(contents.answered_beside, self.paths));
        }
        self.recovered.dead_in_flight = maybe_paid;
        self.recovered.dead_at_most = maybe_spend;
        self.recovered.unfinished = std::mem::take(&mut contents.unfinished);
        self.recovered.failed = contents.unresolved.by_class();
        let (done, repeated) = DoneSet::new(contents.answered, contents.unresolved.keys_and_classes());
        self.recovered.done = done.clone();
        self.recovered.reruns = contents.reruns.finish();
        (contents.unresolved, Superseded::new(done, repeated))
    }

    fn read_both(&self, existing: &Existing, start: Start) -> Result<Contents, JournalError> {
        let Existing { is_known, outputs, unclosed, left, .. } = existing;
        let mut contents = Contents {
            in_flight: in_flight(unclosed),
            in_flight_beside: in_flight(&left.unclosed),
            reruns: RerunRows::new(self.rerun),
            ..Contents::default()
        };
        if let Some(Output { file, .. }) = &outputs.errors {
            let unclosed_runs = [unclosed.run.as_str(), left.unclosed.run.as_str()];
            contents.read_errors(&**file, self.paths, *is_known, unclosed_runs, start)?;
        }
        contents.remove_answered_beside(&left.answered);
        if let Some(Output { path, file }) = &outputs.results {
            contents.read_results(&**file, path, *is_known, &unclosed.run)?;
        }
        let unfinished = contents.unresolved.remove_answered();
        contents.totals.add(unfinished);
        if let Some(Output { path, file }) = &outputs.errors {
            contents.read_unfinished(&**file).map_err(DiskFailure::of("read", path))?;
        }
        Ok(contents)
    }

    fn repair(&mut self, outputs: &mut ExistingOutputs, contents: &Contents) -> Result<(), DiskFailure> {
        let results = outputs.results.as_mut().zip(contents.results.as_ref());
        let errors = outputs.errors.as_mut().zip(contents.errors.as_ref());
        for (output, scan) in [results, errors].into_iter().flatten() {
            remove_left_over(self.disk, &output.path)?;
            let spare = with_suffix(&output.path, &format!(".cut-{}", self.run));
            repair(self.disk, output, scan, &spare, &mut self.recovered.notes)?;
        }
        Ok(())
    }

    fn existing(&self, path: &Path) -> Result<Option<Box<dyn DiskFile>>, DiskFailure> {
        match self.disk.kind(path).map_err(DiskFailure::of("look at", path))? {
            Some(_) => self.disk.open(path, OpenMode::Read).map(Some).map_err(DiskFailure::of("open", path)),
            None => Ok(None),
        }
    }
}

/// Returns the rows in flight, each with its highest possible cost. If a row's next request was sent before the slot of
/// its answered request was emptied, the row has two slots.
fn in_flight(unclosed: &UnclosedRun) -> HashMap<RowId, Money> {
    let mut rows = HashMap::new();
    for &(row, at_most) in &unclosed.rows {
        let most = rows.entry(row).or_insert(at_most);
        *most = at_most.max(*most);
    }
    rows
}

fn not_sent_words(rows: usize, paths: &RunPaths) -> String {
    let rows = if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") };
    format!(
        "not sent again: {rows} of {}; the last resume was cut short after it had written their answers to standard \
         output",
        paths.errors.display()
    )
}

/// Returns an error if answers of this run must not be written to the same results file as the earlier answers.
fn check_origin(paths: &RunPaths, theirs: &Servers, ours: &Servers) -> Result<(), JournalError> {
    match (&paths.results, theirs.conflict(ours)) {
        (Some(path), Some(Conflict { provider, theirs, ours })) => {
            Err(JournalError::OtherOrigin { path: path.clone(), provider, theirs, ours })
        }
        (Some(_) | None, _) => Ok(()),
    }
}
