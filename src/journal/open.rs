//! Opening: from names to a journal that takes lines, and what was there before.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, DiskFailure, DiskFile, OpenMode, folder_of};
use super::done::DoneSet;
use super::held::Held;
use super::inflight::{self, DeadRun, Inflight};
use super::manifest::{self, Carried, FORMAT_VERSION, Manifest};
use super::output::{Found, Output, Outputs, Purpose};
use super::paths::with_suffix;
use super::reading::{self, Pass, Totals};
use super::record::{Account, parse_error, parse_result};
use super::recover;
use super::replace::remove_left_over;
use super::scan::Scan;
use super::superseded::Superseded;
use super::unresolved::Unresolved;
use super::writer::{Fsync, OnCommit, Target, Targets, Threading, Writer};
use super::{Journal, JournalError, RunPaths, compact, lock};
use crate::clock::RunClock;
use crate::domain::ErrorClass;
use crate::sink::RecordContext;

/// How a run begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Where the last one stopped, or at the beginning when there was none.
    #[default]
    Continue,
    /// At the beginning: files of earlier runs are renamed to `<name>.old-<run>` (`<run>` being this run's id), never
    /// removed, because they hold answers that were paid for. With `--fresh`.
    Fresh,
    /// With the rows of an error log, which is compacted first. With `resume`.
    Resume,
}

/// What a journal needs to know.
pub struct JournalOptions {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// Where the files lie.
    pub paths: RunPaths,
    /// The inputs that are files: none of them may be an output.
    pub inputs: Vec<PathBuf>,
    /// Id of this run: unique, ASCII, at most 48 bytes, fit for a file name.
    pub run: Arc<str>,
    /// Makes wall times.
    pub clock: RunClock,
    /// Date of the price table.
    pub price_date: Option<Arc<str>>,
    /// What the run is: origin, inputs, settings. The other members are filled in.
    pub manifest: Manifest,
    /// How it begins.
    pub start: Start,
    /// When lines are synced.
    pub fsync: Fsync,
    /// Who writes.
    pub threading: Threading,
    /// Standard output, for results without a file. Unused otherwise.
    pub stdout: Option<Box<dyn Write + Send>>,
}

/// What was there before.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// Rows that earlier runs finished.
    pub done: DoneSet,
    /// Sums over the life of the results.
    pub totals: Totals,
    /// Failures that still count, by class.
    pub failed: BTreeMap<ErrorClass, u64>,
    /// Rows that were in flight when the last run died and have no line: they may have been paid for. They are in
    /// `totals.maybe_paid` too, once.
    pub dead_in_flight: u64,
    /// What was mended, one sentence each, for people.
    pub notes: Vec<String>,
    /// The last run's manifest, for the settings that `resume` takes over.
    pub manifest: Option<Manifest>,
}

impl Journal {
    /// Opens the journal of a run: checks, locks, recovers, and starts the writer.
    ///
    /// `on_commit` is told when lines are durable or can't be.
    ///
    /// # Errors
    /// Any [`JournalError`] but `NeedsOutput`. Files of somebody else are untouched; files of ours are as they were or
    /// mended.
    pub fn open(options: JournalOptions, on_commit: OnCommit) -> Result<(Self, Recovered), JournalError> {
        let JournalOptions { disk, paths, inputs, run, start, .. } = options;
        let mut opening = Opening::new(&*disk, &paths, &run, Purpose::Run);
        let Before { is_known, lock, mut found, dead } = opening.find(&inputs, &options.manifest.origin, start)?;
        if start == Start::Fresh {
            opening.set_aside(std::mem::take(&mut found))?;
        }
        let (mut unresolved, superseded) = opening.recover(&mut found, is_known, &dead, start)?;
        let mut recovered = opening.recovered;
        let mut manifest = next_manifest(options.manifest, &run, &recovered, &dead, start);
        if let Some(folder) = paths.folder() {
            manifest::write(&*disk, &folder, &manifest)?;
        }
        if let Some(log) = found.errors.as_mut().filter(|_| start == Start::Resume) {
            compact_log(&*disk, &paths, log, &mut unresolved, &mut manifest)?;
        }
        let inflight = Inflight::create(&*disk, paths.folder().as_deref(), manifest.opening, &run)?;
        let outputs = found.complete(&*disk, &paths, &mut recovered.notes)?;
        recovered.notes.extend(disk.take_notes());
        let (targets, errors_end) = targets(&outputs, options.fsync, options.stdout)?;
        let context = RecordContext {
            run,
            clock: options.clock,
            price_date: options.price_date,
            results: paths.results_beside_errors().map(Arc::from),
        };
        let writer = Held::new(Writer::start(targets, options.threading, on_commit)?);
        let line = Vec::new();
        let journal = Self {
            disk,
            paths,
            context,
            manifest,
            inflight,
            unresolved,
            superseded,
            errors_end,
            line,
            writer,
            outputs,
            _lock: lock,
        };
        Ok((journal, recovered))
    }
}

/// A journal on its way.
pub(super) struct Opening<'a> {
    disk: &'a dyn Disk,
    paths: &'a RunPaths,
    run: &'a str,
    purpose: Purpose,
    recovered: Recovered,
}

/// What an earlier run left.
pub(super) struct Before {
    pub(super) is_known: bool,
    pub(super) lock: Option<lock::Lock>,
    pub(super) found: Found,
    pub(super) dead: DeadRun,
}

impl<'a> Opening<'a> {
    pub(super) fn new(disk: &'a dyn Disk, paths: &'a RunPaths, run: &'a str, purpose: Purpose) -> Self {
        Self { disk, paths, run, purpose, recovered: Recovered::default() }
    }

    /// Finds and holds what is there, and refuses what may not be used. Of files that are there nothing is changed.
    pub(super) fn find(&mut self, inputs: &[PathBuf], origin: &str, start: Start) -> Result<Before, JournalError> {
        self.paths.check(inputs, start, self.disk)?;
        let is_known = self.is_known()?;
        self.check_beginnings(is_known)?;
        let lock = self.lock()?;
        let found = Found::find(self.disk, self.paths, inputs, start, self.purpose, &mut self.recovered.notes)?;
        let dead = self.read_folder(origin, start)?;
        if let Some(Output { path: _, file }) = found.errors.as_ref().filter(|_| start == Start::Fresh) {
            reading::check_owner(&**file, self.paths)?;
        }
        Ok(Before { is_known, lock, found, dead })
    }

    /// Reads what is there as it is, and returns what was before and the failures that count.
    pub(super) fn read(mut self, before: &Before, start: Start) -> Result<(Recovered, Unresolved), JournalError> {
        let pass = self.read_both(&before.found, before.is_known, &before.dead, start)?;
        let (unresolved, _) = self.sum_up(pass);
        Ok((self.recovered, unresolved))
    }

    /// Returns whether a run of ours was here: its manifest is.
    fn is_known(&self) -> Result<bool, DiskFailure> {
        self.paths.folder().map_or(Ok(false), |folder| manifest::exists(self.disk, &folder))
    }

    fn check_beginnings(&self, is_known: bool) -> Result<(), JournalError> {
        if let Some(results) = &self.paths.results
            && let Some(file) = self.existing(results)?
        {
            recover::check_beginning(&*file, results, is_known, |line| parse_result(line.bytes).handed_to(drop))?;
        }
        if let Some(file) = self.existing(&self.paths.errors)? {
            recover::check_beginning(&*file, &self.paths.errors, is_known, |line| {
                parse_error(line.bytes).handed_to(drop)
            })?;
        }
        Ok(())
    }

    fn lock(&mut self) -> Result<Option<lock::Lock>, JournalError> {
        let (Some(folder), Some(results)) = (self.paths.folder(), &self.paths.results) else { return Ok(None) };
        if self.purpose == Purpose::Look {
            return lock::check_free(self.disk, &folder, results).map(|()| None);
        }
        self.disk.create_folder(&folder).map_err(DiskFailure::of("create", &folder))?;
        let (lock, warning) = lock::lock(self.disk, &folder, results)?;
        self.recovered.notes.extend(warning);
        Ok(Some(lock))
    }

    /// Reads manifest and slots; what of the slots is counted already, or belongs to results set aside, is left out.
    fn read_folder(&mut self, origin: &str, start: Start) -> Result<DeadRun, JournalError> {
        let Some(folder) = self.paths.folder() else { return Ok(DeadRun::default()) };
        let mut dead = inflight::read_dead(self.disk, &folder)?;
        let manifest = match start {
            // The old folder's form does not matter when it is set aside.
            Start::Fresh => None,
            Start::Resume => manifest::read(self.disk, &folder)?,
            Start::Continue => self.read_or_note(&folder)?,
        };
        if let Some(manifest) = &manifest {
            check_origin(self.paths, &manifest.origin, origin)?;
        }
        let counted = manifest.as_ref().map_or(0, |manifest| manifest.counted_opening);
        if start == Start::Fresh || dead.opening <= counted {
            dead.rows.clear();
        }
        self.recovered.manifest = manifest;
        Ok(dead)
    }

    /// Reads the manifest of a run that is given all its settings again; without it only checks and sums are lost, and
    /// a note says so.
    fn read_or_note(&mut self, folder: &Path) -> Result<Option<Manifest>, JournalError> {
        match manifest::read(self.disk, folder) {
            Err(JournalError::Manifest { path, fault }) => {
                self.recovered.notes.push(format!(
                    "{} can't be read ({fault}) and is written anew: whether the results come from another server is \
                     not checked, and money that stands in no line any more is not counted",
                    path.display()
                ));
                Ok(None)
            }
            read => read,
        }
    }

    /// Renames what earlier runs left. The results go last but for the manifest: a death in between leaves either all
    /// answers in place or none.
    ///
    /// Only what this run holds is renamed, and no log of other results.
    fn set_aside(&self, found: Found) -> Result<(), JournalError> {
        let suffix = format!(".old-{}", self.run);
        for Output { path, file: _ } in [&found.errors, &found.results].into_iter().flatten() {
            self.disk.rename(path, &with_suffix(path, &suffix)).map_err(DiskFailure::of("rename", path))?;
            let folder = folder_of(path);
            self.disk.sync_folder(folder).map_err(DiskFailure::of("sync", folder))?;
        }
        if let Some(folder) = self.paths.folder() {
            manifest::set_aside(self.disk, &folder, &suffix)?;
        }
        Ok(())
    }

    /// Reads both files, mends them, and returns the failures that count and the rows with several answers.
    fn recover(
        &mut self,
        found: &mut Found,
        is_known: bool,
        dead: &DeadRun,
        start: Start,
    ) -> Result<(Unresolved, Superseded), JournalError> {
        let mut pass = self.read_both(found, is_known, dead, start)?;
        let moves_lines = [&pass.errors, &pass.results].into_iter().flatten().any(Scan::moves_lines);
        self.mend(found, &pass)?;
        if moves_lines {
            pass = self.read_both(found, is_known, dead, start)?;
        }
        Ok(self.sum_up(pass))
    }

    /// Takes what both files say; returns the failures that count and the rows with several answers.
    fn sum_up(&mut self, mut pass: Pass) -> (Unresolved, Superseded) {
        let carried = self.recovered.manifest.as_ref().map(|manifest| manifest.carried).unwrap_or_default();
        let dead_in_flight = pass.dead.len() as u64;
        pass.totals.add(Account {
            usage: carried.usage,
            spend: carried.spend(),
            maybe_paid: carried.maybe_paid.saturating_add(dead_in_flight),
        });
        self.recovered.totals = pass.totals;
        self.recovered.dead_in_flight = dead_in_flight;
        self.recovered.failed = pass.unresolved.by_class();
        let (done, repeated) = DoneSet::new(pass.answered, pass.unresolved.for_done_set());
        self.recovered.done = done.clone();
        (pass.unresolved, Superseded::new(done, repeated))
    }

    fn read_both(&self, found: &Found, is_known: bool, dead: &DeadRun, start: Start) -> Result<Pass, JournalError> {
        let mut pass = Pass { dead: dead.rows.iter().copied().collect(), ..Pass::default() };
        if let Some(Output { file, .. }) = &found.errors {
            pass.read_errors(&**file, self.paths, is_known, &dead.run, start)?;
        }
        if let Some(Output { path, file }) = &found.results {
            pass.read_results(&**file, path, is_known)?;
        }
        Ok(pass)
    }

    fn mend(&mut self, found: &mut Found, pass: &Pass) -> Result<(), DiskFailure> {
        let results = found.results.as_mut().zip(pass.results.as_ref());
        let errors = found.errors.as_mut().zip(pass.errors.as_ref());
        for (output, scan) in [results, errors].into_iter().flatten() {
            remove_left_over(self.disk, &output.path)?;
            let spare = with_suffix(&output.path, &format!(".cut-{}", self.run));
            recover::mend(self.disk, output, scan, &spare, &mut self.recovered.notes)?;
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

fn check_origin(paths: &RunPaths, theirs: &str, ours: &str) -> Result<(), JournalError> {
    match &paths.results {
        Some(path) if !theirs.is_empty() && theirs != ours => {
            Err(JournalError::OtherOrigin { path: path.clone(), theirs: theirs.to_owned(), ours: ours.to_owned() })
        }
        Some(_) | None => Ok(()),
    }
}

fn next_manifest(given: Manifest, run: &str, recovered: &Recovered, dead: &DeadRun, start: Start) -> Manifest {
    let before = recovered.manifest.as_ref();
    // Rows of a log bring their own parameters, so the results still have the shape of the run that began them.
    let kept = before.filter(|_| start == Start::Resume).map(|before| before.shape.clone());
    let mut carried = before.map(|before| before.carried).unwrap_or_default();
    carried.maybe_paid = carried.maybe_paid.saturating_add(recovered.dead_in_flight);
    let last = before.map_or(0, |before| before.opening).max(dead.opening);
    Manifest {
        format: FORMAT_VERSION,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        run: run.to_owned(),
        carried,
        opening: last.saturating_add(1),
        counted_opening: last,
        shape: kept.unwrap_or(given.shape),
        ..given
    }
}

/// Compacts the error log; what removed lines said was spent goes to the manifest.
pub(super) fn compact_log(
    disk: &dyn Disk,
    paths: &RunPaths,
    log: &mut Output,
    unresolved: &mut Unresolved,
    manifest: &mut Manifest,
) -> Result<(), DiskFailure> {
    compact::compact(disk, log, unresolved, |removed| carry(disk, paths, manifest, removed))
}

/// Removes answers that later ones supersede; what they said was spent goes to the manifest.
pub(super) fn remove_superseded(
    disk: &dyn Disk,
    paths: &RunPaths,
    results: &mut Output,
    superseded: Superseded,
    manifest: &mut Manifest,
) -> Result<(), DiskFailure> {
    superseded.remove(disk, results, |removed| carry(disk, paths, manifest, removed))
}

/// Adds what lines said that are about to be removed, and makes it durable.
fn carry(disk: &dyn Disk, paths: &RunPaths, manifest: &mut Manifest, removed: Carried) -> Result<(), DiskFailure> {
    if removed == Carried::default() {
        return Ok(());
    }
    manifest.carried.add(removed.spend(), removed.usage, removed.maybe_paid);
    paths.folder().map_or(Ok(()), |folder| manifest::write(disk, &folder, manifest))
}

/// Returns where lines go, and where the error log ends.
fn targets(
    outputs: &Outputs,
    fsync: Fsync,
    stdout: Option<Box<dyn Write + Send>>,
) -> Result<(Targets, u64), DiskFailure> {
    let results = match &outputs.results {
        Some(output) => target(output)?.0,
        None => Target::Stream(stdout.unwrap_or_else(|| Box::new(std::io::stdout()))),
    };
    let (errors, errors_end) = target(&outputs.errors)?;
    Ok((Targets { results, errors, fsync }, errors_end))
}

fn target(output: &Output) -> Result<(Target, u64), DiskFailure> {
    let Output { path, file } = output;
    let end = file.size().map_err(DiskFailure::of("look at", path))?;
    Ok((Target::File { file: Arc::clone(file), path: path.clone(), end }, end))
}
