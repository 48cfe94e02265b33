//! Opens a journal: finds its files, and returns a journal that is ready for new lines.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use super::Journal;
use super::charges::Charges;
use super::disk::{Disk, DiskFailure};
use super::error::JournalError;
use super::files::answered::{AnsweredRows, remove_left, slots_beside};
use super::files::{
    Access, FORMAT_VERSION, Manifest, Output, Outputs, RunPaths, Slots, UnclosedRun, is_own_log, manifest,
};
use super::recovery::{Existing, Recovered, Recovery};
use super::rewriting::compact;
use super::start::Start;
use super::writing::{Fsync, OnCommit, Target, Targets, Threading, Writer};
use crate::clock::RunClock;
use crate::domain::Quality;
use crate::sink::RecordContext;

/// The settings for opening a journal.
pub struct JournalOptions {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The paths of the files of the run.
    pub paths: RunPaths,
    /// The inputs that are files; none of them is an output.
    pub inputs: Vec<PathBuf>,
    /// Id of this run: unique, ASCII, at most 48 bytes, fit for a file name.
    pub run: Arc<str>,
    /// Converts instants of the run to dates and times.
    pub clock: RunClock,
    /// Date of the price table.
    pub price_date: Option<Arc<str>>,
    /// Origin, inputs and settings of the run. This module sets all members of the manifest except origin, inputs and
    /// settings.
    pub manifest: Manifest,
    /// How the run begins: as a new run, as a resumed run, or with `resume`.
    pub start: Start,
    /// A row is sent again if its latest answer has one of these qualities. [`Recovered::reruns`] contains these rows.
    pub rerun: Vec<Quality>,
    /// When lines are synced.
    pub fsync: Fsync,
    /// Which threads write and sync.
    pub threading: Threading,
    /// Standard output, which is used only by a run without a results file.
    pub stdout: Option<Box<dyn Write + Send>>,
}

impl Journal {
    /// Opens the journal of a run: checks, locks and repairs the files, and starts the writer.
    ///
    /// `on_commit` is called when lines have become durable, and when lines can no longer be written.
    ///
    /// # Errors
    /// Any [`JournalError`] except `NeedsOutput`. Files of other programs are unchanged. Files of earlier runs are
    /// unchanged or repaired.
    pub fn open(options: JournalOptions, on_commit: OnCommit) -> Result<(Self, Recovered), JournalError> {
        let JournalOptions { disk, paths, inputs, run, start, rerun, .. } = options;
        let folder = paths.folder();
        let mut recovery = Recovery::new(&*disk, &paths, &run, Access::Write).with_rerun(&rerun);
        let mut existing = recovery.find(&inputs, &options.manifest.servers(), start)?;
        if start == Start::Fresh {
            recovery.set_aside(std::mem::take(&mut existing.outputs))?;
        }
        let (mut unresolved, superseded) = recovery.recover(&mut existing, start)?;
        let mut recovered = recovery.recovered;
        let Existing { lock, outputs: mut existing_outputs, unclosed, left, .. } = existing;
        let (mut manifest, given) = next_manifest(options.manifest, &run, &recovered, &unclosed, start);
        if let Some(folder) = &folder {
            manifest::write(&*disk, folder, &manifest)?;
        }
        let is_compacted = start == Start::Resume || left.has_files;
        if let Some(log) = existing_outputs.errors.as_mut().filter(|_| is_compacted) {
            compact(&*disk, log, &mut unresolved, |removed| manifest.carry(&*disk, folder.as_deref(), removed))?;
        }
        let records_answers = start == Start::Resume && folder.is_none();
        if left.has_files {
            // The slots of the last `resume` stay until this `resume` writes its own. So if this `resume` ends before
            // it sends a request, the next one counts these slots.
            remove_left(&*disk, &paths.errors, records_answers)?;
        }
        let is_log_ours = match paths.results.as_deref() {
            None => true,
            Some(_) if start == Start::Resume => false,
            Some(results) => existing_outputs.errors.is_none() || is_own_log(results, &paths.errors),
        };
        let slots = match records_answers {
            true => Slots::create_later(disk.clone(), slots_beside(&paths.errors), &run),
            false => Slots::create(&*disk, folder.as_deref(), manifest.opening, &run)?,
        };
        let answered = records_answers.then(|| AnsweredRows::new(disk.clone(), &paths.errors));
        let outputs = existing_outputs.complete(&*disk, &paths, &mut recovered.notes)?;
        recovered.notes.extend(disk.take_notes());
        let (targets, [results_end, errors_end]) = targets(&outputs, options.fsync, options.stdout, answered)?;
        let context = RecordContext {
            run,
            clock: options.clock,
            price_date: options.price_date,
            results: paths.results_beside_errors().map(Arc::from),
        };
        let writer = Writer::start(targets, options.threading, on_commit)?;
        let line = Vec::new();
        let journal = Self {
            disk,
            paths,
            context,
            manifest,
            given,
            slots,
            unresolved,
            superseded,
            errors_end,
            results_end,
            last_result: 0,
            private: None,
            line,
            writer,
            outputs,
            learned: None,
            is_log_ours,
            records_answers,
            _lock: lock,
        };
        Ok((journal, recovered))
    }

    /// Makes the manifest describe this run, with its input, its settings and its output. Until this call, the manifest
    /// describes the previous run. Call this function only when it is certain that the rows of this run belong to the
    /// answers of the previous run. A run that does not start must not change the manifest, because the manifest says
    /// how the rows of the existing answers were read.
    ///
    /// # Errors
    /// [`JournalError::Disk`].
    pub(crate) fn accept(&mut self) -> Result<(), JournalError> {
        let Some(given) = self.given.take() else { return Ok(()) };
        let settings = given.settings.clone();
        self.manifest = Manifest { settings, ..described_as(given, std::mem::take(&mut self.manifest)) };
        match self.paths.folder() {
            Some(folder) => Ok(manifest::write(&*self.disk, &folder, &self.manifest)?),
            None => Ok(()),
        }
    }
}

/// Returns the manifest that the run begins with. If this first manifest still describes the previous run, also returns
/// a second manifest, which describes this run.
fn next_manifest(
    given: Manifest,
    run: &str,
    recovered: &Recovered,
    unclosed: &UnclosedRun,
    start: Start,
) -> (Manifest, Option<Manifest>) {
    let before = recovered.manifest.as_ref();
    let (given, later) = match (before.cloned(), start) {
        // The rows of an error log contain their own parameters. So `resume` does not change these parts of the
        // manifest: they still describe the run that created the results file.
        (Some(before), Start::Resume) => (described_as(before, given), None),
        (Some(before), Start::Continue | Start::Fresh) => {
            let settings = before.settings.clone();
            (Manifest { settings, ..described_as(before, given.clone()) }, Some(given))
        }
        // Without a manifest, it is not known how the rows of earlier runs were read. So if the run is a `resume` or
        // finds earlier answers, the new manifest does not say how rows are read.
        (None, Start::Resume) => (without_rows(given), None),
        (None, Start::Continue) if !recovered.done.is_empty() => (without_rows(given.clone()), Some(given)),
        (None, Start::Continue | Start::Fresh) => (given, None),
    };
    let mut carried = before.map(|before| before.carried).unwrap_or_default();
    carried.add(Charges {
        maybe_paid: recovered.dead_in_flight,
        maybe_spend: recovered.dead_at_most,
        ..Charges::default()
    });
    let servers = before.map(Manifest::servers).unwrap_or_default();
    let providers = if given.providers.is_empty() { BTreeMap::new() } else { servers.with(&given.servers()) };
    let last = before.map_or(0, |before| before.opening).max(unclosed.opening);
    let next = Manifest {
        format: FORMAT_VERSION,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
        run: run.to_owned(),
        providers,
        carried,
        opening: last.saturating_add(1),
        counted_opening: last,
        ..given
    };
    (next, later)
}

fn without_rows(manifest: Manifest) -> Manifest {
    Manifest { rows: Default::default(), ..manifest }
}

/// Returns a copy of `manifest` in which the input, the requests and the output are those of `like`.
fn described_as(like: Manifest, manifest: Manifest) -> Manifest {
    let Manifest { inputs, shape, rows, output, .. } = like;
    Manifest { inputs, shape, rows, output, ..manifest }
}

/// Returns where the lines are written, and the lengths of the results file and the error log.
fn targets(
    outputs: &Outputs,
    fsync: Fsync,
    stdout: Option<Box<dyn Write + Send>>,
    answered: Option<AnsweredRows>,
) -> Result<(Targets, [u64; 2]), DiskFailure> {
    let (results, results_end) = match &outputs.results {
        Some(output) => target(output)?,
        None => (Target::Stdout(stdout.unwrap_or_else(|| Box::new(std::io::stdout()))), 0),
    };
    let (errors, errors_end) = target(&outputs.errors)?;
    Ok((Targets { results, errors, answered, fsync }, [results_end, errors_end]))
}

fn target(output: &Output) -> Result<(Target, u64), DiskFailure> {
    let Output { path, file } = output;
    let end = file.size().map_err(DiskFailure::of("look at", path))?;
    Ok((Target::File { file: Arc::clone(file), path: path.clone(), end }, end))
}
