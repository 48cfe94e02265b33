//! Opens the files of a run. In a dry run, the files are only read.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use tokio::sync::mpsc;

use super::super::{parts, say};
use super::new_run::NewRun;
use super::providers;
use crate::catalog::Catalog;
use crate::clock::RunClock;
use crate::journal::{
    Inspected, Journal, JournalOptions, Manifest, RealDisk, Recovered, Start, Threading, read_manifest,
};
use crate::runner::{Commit, commits};
use crate::source::Input;

/// The opened files of a run, and what earlier runs have written into them.
pub(super) struct Files {
    pub(super) opened: Opened,
    /// The state that earlier runs have left in the files.
    pub(super) recovered: Recovered,
    /// The channel that reports which lines are on disk.
    pub(super) commits: mpsc::UnboundedReceiver<Commit>,
    /// The clock of the run, which starts when the files are opened.
    pub(super) clock: RunClock,
}

/// The files of a run, opened for writing or only for reading.
pub(super) enum Opened {
    /// The files are locked and open for writing.
    Run(Box<Journal>),
    /// The files were only read, for a dry run.
    DryRun(Box<Inspected>),
}

impl NewRun<'_> {
    /// Returns the manifest with the settings of the earlier run. The command `collect` has fewer settings than a run.
    /// If the manifest had only the settings of `collect`, `resume` would lose settings of the earlier run, such as its
    /// chain of providers.
    fn with_earlier_settings(&self, manifest: Manifest) -> Result<Manifest> {
        let Some(folder) = self.paths.folder() else { return Ok(manifest) };
        let earlier = read_manifest(&folder, &RealDisk::new(self.config.owners))?;
        let settings = earlier.map(|earlier| earlier.settings);
        Ok(Manifest { settings: settings.unwrap_or_else(|| manifest.settings.clone()), ..manifest })
    }

    /// Opens the files of a run. For a dry run, the files are only read. If a real run would reject a file, a dry run
    /// rejects this file too. This function also sets the input of `resume`.
    pub(super) fn open_files(&mut self, catalog: &Catalog) -> Result<Files> {
        let clock = RunClock::start();
        let (on_commit, commits) = commits();
        let (disk, inputs) = (Arc::new(RealDisk::new(self.config.owners)), parts::input_files(&self.config));
        let manifest = Manifest {
            providers: providers::origins(&self.config)?,
            ..parts::manifest(&self.config, &self.origin, self.projection.as_ref())
        };
        let manifest = if self.is_collecting { self.with_earlier_settings(manifest)? } else { manifest };
        let (opened, recovered) = if self.config.dry_run {
            let (inspected, recovered) =
                Journal::inspect(disk, &self.paths, &inputs, &manifest, self.start, &self.config.rerun)?;
            (Opened::DryRun(Box::new(inspected)), recovered)
        } else {
            let options = JournalOptions {
                disk,
                paths: self.paths.clone(),
                inputs,
                run: self.name.as_str().into(),
                clock,
                price_date: Some(catalog.price_date().into()),
                manifest,
                start: self.start,
                rerun: self.config.rerun.clone(),
                fsync: self.config.fsync,
                threading: Threading::Thread,
                stdout: self.paths.results.is_none().then(say::results),
            };
            let (journal, recovered) = Journal::open(options, on_commit)?;
            (Opened::Run(Box::new(journal)), recovered)
        };
        self.note(&recovered.notes);
        if self.start == Start::Resume && !self.is_collecting {
            self.plan.inputs = vec![Input::File(self.resume_input(&opened)?)];
            self.plan.is_copy_of_log = true;
        }
        Ok(Files { opened, recovered, commits, clock })
    }

    /// Copies the rows of the error log for `resume`, and returns the path of the copy. The copy of the error log is in
    /// the run folder. For a dry run, or if there is no run folder, the copy is a temporary file that is removed when
    /// the program ends.
    fn resume_input(&mut self, opened: &Opened) -> Result<PathBuf> {
        let temporary = || tempfile::Builder::new().prefix("claude-batch.").suffix(".jsonl").tempfile();
        let copy = match opened {
            Opened::Run(journal) if self.paths.folder().is_some() => return Ok(journal.write_resume_input(&self.only)?),
            Opened::Run(journal) => {
                let copy = temporary()?.into_temp_path();
                journal.write_resume_input_to(&copy, &self.only)?;
                copy
            }
            Opened::DryRun(inspected) => {
                let copy = temporary()?.into_temp_path();
                inspected.write_resume_input_to(&copy, &self.only)?;
                copy
            }
        };
        Ok(self.copy.insert(copy).to_path_buf())
    }
}
