//! The files of a run: opened, or only looked at for a dry run, which is refused as the run would be.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use tokio::sync::mpsc;

use super::NewRun;
use crate::catalog::Catalog;
use crate::cli::{parts, say};
use crate::clock::RunClock;
use crate::journal::{Inspected, Journal, JournalOptions, RealDisk, Recovered, Start, Threading};
use crate::plan::Dialect;
use crate::runner::Commit;
use crate::runner::input::Earlier;

/// The files of a run.
pub(super) enum Opened {
    /// Held, to be written.
    Run(Box<Journal>),
    /// Read once, as they were.
    DryRun(Box<Inspected>),
}

impl NewRun<'_> {
    /// Opens the files of a run; for a dry run looks at them.
    pub(super) fn open(
        &self,
        catalog: &Catalog,
        dialect: &Dialect,
        origin: &str,
        clock: RunClock,
        commits: mpsc::UnboundedSender<Commit>,
    ) -> Result<(Opened, Recovered)> {
        let (disk, inputs) = (Arc::new(RealDisk::new(self.config.owners)), parts::input_files(&self.config));
        if self.config.dry_run {
            let (inspected, recovered) = Journal::inspect(disk, &self.paths, &inputs, origin, self.start)?;
            return Ok((Opened::DryRun(Box::new(inspected)), recovered));
        }
        let options = JournalOptions {
            disk,
            paths: self.paths.clone(),
            inputs,
            run: self.name.as_str().into(),
            clock,
            price_date: Some(catalog.price_date().into()),
            manifest: parts::manifest(&self.config, dialect, origin),
            start: self.start,
            fsync: self.config.fsync,
            threading: Threading::Thread,
            stdout: self.paths.results.is_none().then(say::results),
        };
        // After the run nobody receives commits.
        let on_commit = Box::new(move |commit| _ = commits.send(commit));
        let (journal, recovered) = Journal::open(options, on_commit)?;
        Ok((Opened::Run(Box::new(journal)), recovered))
    }

    /// Returns the copy of the log that `resume` reads. Where there is no run folder, and in a dry run, it is temporary,
    /// and removed at the end of the program.
    pub(super) fn resume_input(&mut self, opened: &Opened) -> Result<PathBuf> {
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

    pub(super) fn earlier(&self, recovered: &Recovered) -> Earlier {
        let done = recovered.done.clone();
        Earlier {
            known: Box::new(move |row, identity| done.state(row, identity)),
            reruns_failed: self.config.retry_failed || self.start == Start::Resume,
            reruns_changed: self.config.rerun_changed,
            refuse: self.price_guard(),
        }
    }
}
