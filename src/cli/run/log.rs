//! Checks the name of the log of events (`--log`), and opens the log.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};

use super::super::parts;
use super::super::projection::Target;
use super::new_run::NewRun;
use crate::journal::{Disk, FileKind, RealDisk, with_suffix};
use crate::report::text::escape;
use crate::watch::log::{LogView, OLDER};

impl NewRun<'_> {
    /// Checks that the file for the event log is not used for anything else.
    ///
    /// # Errors
    /// Fails if the log is a folder, an input, a file that the run writes, or a file in the run folder.
    pub(super) fn check_log(&self) -> Result<()> {
        let Some(log) = &self.config.watch.log else { return Ok(()) };
        let disk = RealDisk::new(self.config.owners);
        let shown = escape(&log.display().to_string()).into_owned();
        if matches!(disk.kind(log), Ok(Some(FileKind::Folder))) || log.file_name().is_none() {
            bail!("--log {shown} is a folder; name a file");
        }
        parts::check_not_input(&self.config, log)?;
        let is_log = |path: &Path| {
            std::iter::once(log.clone())
                .chain(OLDER.map(|suffix| with_suffix(log, suffix)))
                .any(|log| disk.is_same_file(&log, path) || is_same_name(&log, path))
        };
        if parts::input_files(&self.config).iter().any(|input| is_log(input)) {
            bail!("--log {shown} would write into an input; name another file");
        }
        let output = self.projection.as_ref().and_then(|projection| match &projection.target {
            Target::File(path) => Some(path.clone()),
            Target::Stdout => None,
        });
        let written = self.paths.results.iter().chain([&self.paths.errors]).chain(&output);
        if let Some(path) = written.into_iter().find(|path| is_log(path)) {
            let path = path.display().to_string();
            bail!("--log {shown} would write into {}, which the run writes; name another file", escape(&path));
        }
        let is_in_folder = |folder: std::path::PathBuf| {
            let inside = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            inside(log).starts_with(inside(&folder))
        };
        if self.paths.folder().is_some_and(is_in_folder) {
            bail!("--log {shown} is in the run folder, whose files belong to the program; name a file outside of it");
        }
        Ok(())
    }

    /// Opens the log of events; returns `None` if the user did not ask for a log.
    ///
    /// # Errors
    /// Fails if the file can't be opened or must not be used.
    pub(super) fn open_log(&self) -> Result<Option<LogView>> {
        let Some(log) = self.config.watch.log.clone() else { return Ok(None) };
        let disk = Arc::new(RealDisk::new(self.config.owners));
        let view = LogView::open(disk.clone(), log)?;
        self.note(&disk.take_notes());
        Ok(Some(view))
    }
}

fn is_same_name(one: &Path, other: &Path) -> bool {
    matches!((std::path::absolute(one), std::path::absolute(other)), (Ok(one), Ok(other)) if one == other)
}
