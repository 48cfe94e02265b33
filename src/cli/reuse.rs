//! Finds the results that `--reuse` names, and decides which of their answers can be used.
//!
//! Answers are taken only from the server of this run. The run folder of a results file says which server sent the
//! answers in this file. If a results file has no run folder, the server of its answers is not known. Answers of an
//! unknown server count as answers of another server. `--reuse-any-origin` allows answers of other servers. But
//! `--reuse-any-origin` never mixes real answers with answers of the simulator.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use super::args::RunArgs;
use super::results::{find, results_of_folder};
use super::server::SIMULATOR;
use crate::journal::{
    Disk, DiskFailure, FileKind, JournalError, LineKind, MOST_FILES, Manifest, Owners, RealDisk, StoredAnswers,
    StoredFile, Usable, folder_of, line_kind, read_manifest, with_suffix,
};
use crate::report::text::{escape, plural};
use crate::source::{Expanded, InputFormat, expand};

/// The highest number of files that are checked in one folder.
const MOST_LOOKED_AT: usize = 10_000;
/// The highest number of files that a note names.
const MOST_SHOWN: usize = 3;

/// The facts about a run that decide which answers the run can take from other results.
pub(super) struct Taker<'a> {
    /// The results file of the run.
    pub(super) own: Option<&'a Path>,
    /// The server of the run.
    pub(super) origin: &'a str,
    /// Whether the run also takes answers from servers other than its own.
    pub(super) any_origin: bool,
    /// The folder from which relative paths start.
    pub(super) working_folder: &'a Path,
}

/// Reads the results that the user named. Returns the answers in the results, and notes about results that are not
/// used.
///
/// # Errors
/// Fails if a path leads to no usable results, to the results of this run, or to a file that can't be read. The message
/// names the path and says what to do.
pub(super) fn read_stored(
    named: &[PathBuf],
    taker: &Taker<'_>,
    disk: &dyn Disk,
) -> Result<(StoredAnswers, Vec<String>)> {
    let (mut files, mut known, mut notes) = (Vec::new(), HashSet::new(), Vec::new());
    for path in named {
        let found = taker.files_of(path, disk).map_err(|error| {
            let refusal = error.downcast_ref::<DiskFailure>().and_then(DiskFailure::refusal);
            match refusal {
                Some(refusal) => anyhow!("--reuse {}: it {refusal}", path.display()),
                // The new error keeps only the text of the old error. So the exit code always stands for a mistake in
                // the command, whatever the cause was.
                None => match format!("{error:#}") {
                    words if words.starts_with(&path.display().to_string()) => anyhow!("--reuse: {words}"),
                    words => anyhow!("--reuse {}: {words}", path.display()),
                },
            }
        })?;
        notes.extend(found.note(path));
        let whole = |file: &StoredFile| file.path.canonicalize().unwrap_or_else(|_| file.path.clone());
        files.extend(found.usable.into_iter().filter(|file| known.insert(whole(file))));
    }
    if files.len() > MOST_FILES {
        bail!("--reuse: there are {} results files, but at most {MOST_FILES} can be used; name fewer", files.len());
    }
    let stored = StoredAnswers::read(&files, disk).map_err(|error| match error {
        JournalError::Foreign { path } => {
            anyhow!("{} is not a results file of claude-batch; name another", path.display())
        }
        JournalError::ForeignLine { path, line } => {
            anyhow!("line {line} of {} is not a line of claude-batch; remove it", path.display())
        }
        error => anyhow!("{error}"),
    });
    let stored = stored.context("--reuse")?;
    if stored.is_empty() {
        notes.push("warning: --reuse: none of the answers in these results can be used".to_owned());
    }
    Ok((stored, notes))
}

/// If no other inputs are named, takes the inputs from the paths after `--reuse`. `--reuse` takes all paths that follow
/// it. If the last files in the list have no answers, these files become the inputs.
pub(super) fn with_inputs(args: &RunArgs) -> RunArgs {
    let mut args = args.clone();
    let disk = RealDisk::new(Owners::Any);
    let is_input = |path: &Path| path.is_file() && matches!(line_kind(path, &disk), Ok(None));
    let reuse = &mut args.settings.reuse.reuse;
    if args.inputs.is_empty() {
        let kept = reuse.iter().rposition(|path| !is_input(path)).map_or(1, |last| last + 1);
        args.inputs = reuse.split_off(kept.min(reuse.len()));
    }
    args
}

/// The reason why the answers of a results file are not used.
enum Unused {
    /// The run folder or the name of the file shows that the answers come from the simulator.
    Simulated,
    /// The answers are real, but the run is a rehearsal with the simulator. The value is the origin of the answers.
    Real(String),
    /// The answers come from another server. The value is the origin of this server.
    OtherServer(String),
    /// The server of the answers is not known.
    Unknown,
    /// The program must not read the file; the value is the reason.
    Refused(String),
}

impl Unused {
    /// Returns the reason in a few words, for a list of files.
    fn short(&self) -> String {
        match self {
            Self::Simulated => "from the simulator".to_owned(),
            Self::Real(theirs) | Self::OtherServer(theirs) => format!("from {theirs}"),
            Self::Unknown => "without a run folder, so the server is not known".to_owned(),
            Self::Refused(why) => why.clone(),
        }
    }

    /// Returns why the answers of one file are not used, and what to do. `origin` is the server of this run.
    fn long(&self, results: &Path, origin: &str) -> String {
        match self {
            Self::Simulated => {
                "its answers come from the simulator, and only a run with --simulate can use them".to_owned()
            }
            Self::Real(theirs) => {
                format!(
                    "its answers come from {theirs}, but a run with --simulate can use only answers of the simulator"
                )
            }
            Self::OtherServer(theirs) => {
                format!("its answers come from {theirs}, not from {origin}; to use them, add --reuse-any-origin")
            }
            Self::Unknown => format!(
                "the server of its answers is not known, because there is no run folder ({}); to use these answers, \
                 add --reuse-any-origin",
                with_suffix(results, ".run").display()
            ),
            Self::Refused(why) => why.clone(),
        }
    }
}

/// The results files to which a path leads.
#[derive(Default)]
struct Found {
    usable: Vec<StoredFile>,
    /// The results files that are not used, each with the reason.
    passed_over: Vec<(PathBuf, Unused)>,
}

impl Found {
    /// Returns a note about the results files that are not used; `None` if all files are used.
    fn note(&self, path: &Path) -> Option<String> {
        let shown = self.passed_over.iter().take(MOST_SHOWN);
        let mut shown: Vec<String> = shown.map(|(path, why)| format!("{} ({})", path.display(), why.short())).collect();
        if self.passed_over.len() > MOST_SHOWN {
            shown.push("…".to_owned());
        }
        let files = plural(self.passed_over.len() as u64, "results file is", "results files are");
        let text = format!("note: --reuse {}: {files} not used: {}", path.display(), shown.join(", "));
        (!shown.is_empty()).then(|| escape(&text).into_owned())
    }
}

impl Taker<'_> {
    /// Returns the results files to which a path leads. The path can be a file, a run folder, another folder or a
    /// pattern.
    fn files_of(&self, path: &Path, disk: &dyn Disk) -> Result<Found> {
        let is_folder = self.working_folder.join(path).is_dir();
        if is_folder && results_of_folder(path).is_some() {
            return self.one(path, disk);
        }
        if is_folder {
            return self.several(&self.listed(path)?, "has no results file of claude-batch directly in it", disk);
        }
        match expand(path, self.working_folder, InputFormat::Jsonl)? {
            Expanded::Files(paths) => self.several(&paths, "matches no results file of claude-batch", disk),
            Expanded::Itself | Expanded::Texts(_) => self.one(path, disk),
        }
    }

    /// Returns the results file for a path that names a single run.
    fn one(&self, path: &Path, disk: &dyn Disk) -> Result<Found> {
        if disk.kind(path).map_err(DiskFailure::of("look at", path))? == Some(FileKind::Symlink) {
            bail!("it is a symbolic link, which could lead to any file; name the file itself");
        }
        let Some(results) = find(path, disk)?.results else {
            bail!("this run wrote its results to standard output; name the file that contains them");
        };
        if self.is_own(&results, disk) {
            bail!(
                "these are the results of this run, which uses their answers without --reuse; to keep the new answers \
                 apart, name another output with -o"
            );
        }
        if disk.kind(&results).map_err(DiskFailure::of("look at", &results))?.is_none() {
            bail!("there are no results yet (looked for {})", results.display());
        }
        check_folder(&results, disk)?;
        match self.judge(&results, disk) {
            Ok(usable) => Ok(Found { usable: vec![StoredFile { path: results, usable }], ..Found::default() }),
            Err(why) => bail!("{}", why.long(&results, self.origin)),
        }
    }

    /// Returns the results files among `paths`. Fails if none of the files can be used. `none` is the message if there
    /// are no results files.
    fn several(&self, paths: &[PathBuf], none: &str, disk: &dyn Disk) -> Result<Found> {
        let mut found = Found::default();
        let mut has_own = false;
        for path in paths {
            match line_kind(path, disk) {
                Ok(Some(LineKind::Result)) => {}
                Ok(Some(LineKind::Error) | None) => continue,
                Err(failure) => {
                    if let Some(refusal) = failure.refusal() {
                        found.passed_over.push((path.clone(), Unused::Refused(format!("it {refusal}"))));
                    }
                    continue;
                }
            }
            if self.is_own(path, disk) {
                has_own = true;
                continue;
            }
            check_folder(path, disk)?;
            match self.judge(path, disk) {
                Ok(usable) => found.usable.push(StoredFile { path: path.clone(), usable }),
                Err(why) => found.passed_over.push((path.clone(), why)),
            }
        }
        match (found.usable.is_empty(), found.passed_over.first()) {
            (true, Some((path, why))) => bail!("{}: {}", path.display(), why.long(path, self.origin)),
            (true, None) if has_own => {
                bail!("it leads only to the results of this run, which uses their answers without --reuse")
            }
            (true, None) => bail!("{none}"),
            (false, _) => Ok(found),
        }
    }

    /// Returns the files in a folder (not in its subfolders) whose names look like names of results files, sorted by
    /// name.
    fn listed(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(self.working_folder.join(folder)).context("can't read the folder")?;
        let mut paths = Vec::new();
        for entry in entries.take(MOST_LOOKED_AT) {
            let entry = entry.context("can't read the folder")?;
            // If `--fresh` has renamed a results file, the new name ends in `.jsonl.old-…`.
            let is_named_so = entry.file_name().to_string_lossy().contains(".jsonl");
            if is_named_so && entry.file_type().is_ok_and(|kind| kind.is_file()) {
                paths.push(folder.join(entry.file_name()));
            }
        }
        paths.sort();
        Ok(paths)
    }

    fn is_own(&self, results: &Path, disk: &dyn Disk) -> bool {
        self.own.is_some_and(|own| own == results || disk.is_same_file(own, results))
    }

    /// Decides whether the answers of a results file can be used. Returns the kind of the answers, or the reason why
    /// they can't be used.
    fn judge(&self, results: &Path, disk: &dyn Disk) -> Result<Usable, Unused> {
        // If the manifest can't be read, the server is not known.
        let manifest = read_manifest(&with_suffix(results, ".run"), disk).ok().flatten();
        // Results can have answers of several providers. If the server of one provider is not the server of this run,
        // all answers of the file count as answers of that provider's server.
        let theirs = manifest.and_then(|manifest| {
            let Manifest { origin, providers, .. } = manifest;
            let others = providers.into_values().find(|other| *other != self.origin);
            others.or(Some(origin)).filter(|origin| !origin.is_empty())
        });
        let is_rehearsal = self.origin == SIMULATOR;
        let is_simulated_by_name =
            || results.file_name().is_some_and(|name| name.to_string_lossy().contains(".simulated."));
        match theirs {
            Some(theirs) if theirs == self.origin => Ok(Usable::OwnServer),
            Some(theirs) if theirs == SIMULATOR => Err(Unused::Simulated),
            Some(theirs) if is_rehearsal => Err(Unused::Real(theirs)),
            Some(_) if self.any_origin => Ok(Usable::OtherServer),
            Some(theirs) => Err(Unused::OtherServer(theirs)),
            None if !is_rehearsal && is_simulated_by_name() => Err(Unused::Simulated),
            None if self.any_origin && is_rehearsal => Ok(Usable::Simulated),
            None if self.any_origin => Ok(Usable::OtherServer),
            None => Err(Unused::Unknown),
        }
    }
}

/// Rejects a results file in a folder where every user can replace files.
fn check_folder(results: &Path, disk: &dyn Disk) -> Result<()> {
    let folder = folder_of(results);
    Ok(disk.is_folder(folder).map(drop).map_err(DiskFailure::of("look at", results))?)
}
