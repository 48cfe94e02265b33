//! Reads the arguments of `resume`: error logs and, with `-o`, the results file to which they belong.
//!
//! With `-o`, the user decides where results are written. Without `-o`, the error log names the results file, which
//! must be in the same folder as the log. An error log or a run folder can't decide three things: where requests are
//! sent, which key is used, and which program is run.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};

use crate::cli::args::ResumeArgs;
use crate::cli::config::Config;
use crate::cli::config::world::World;
use crate::journal::{
    ErrorLog, JournalError, LockState, RealDisk, RunPaths, lock_state, quoted, read_error_log, read_manifest,
    with_suffix,
};
use crate::watch::files::Found;
use crate::watch::status::read_status;

/// If there are several error logs, reads and checks all of them before the rows of the first log are run. So if the
/// program rejects a log, no file has been changed yet. If there is only one log, it is read later, when its rows are
/// run.
pub(super) fn check_logs(args: &ResumeArgs, world: &World) -> Result<()> {
    if args.output.as_deref() == Some(Path::new("-")) {
        bail!(
            "-o -: with resume, -o names the results file of the logs; to write to standard output as the earlier run \
             did, leave out -o"
        );
    }
    match args.errors.as_slice() {
        [_] => Ok(()),
        logs => {
            let disk = disk(args, world)?;
            let mut there = logs.iter().filter(|log| !is_log_gone(args, log, &disk));
            there.try_for_each(|log| read_log(args, log, &disk).map(drop))
        }
    }
}

/// Returns the access to the disk for `resume`. The returned disk access rejects the files of users who are not
/// trusted.
pub(super) fn disk(args: &ResumeArgs, world: &World) -> Result<RealDisk> {
    Ok(RealDisk::new(Config::owners_of_resume(args, world)?))
}

/// Returns whether the error log is missing because the run had no failures. A run without failures removes its error
/// log at the end.
///
/// The function returns true only if the run folder of the results says that the run has ended and that every row is
/// answered. In every other case, a missing log is an error: its name may be misspelled, or the log was moved.
pub(super) fn is_log_gone(args: &ResumeArgs, log: &Path, disk: &RealDisk) -> bool {
    let runs: Vec<_> = results_of(args, log).into_iter().filter(|results| has_run(results, disk)).collect();
    log.symlink_metadata().is_err()
        && !runs.is_empty()
        && runs.iter().all(|results| RunPaths::errors_beside(results).file_name() == log.file_name())
        && runs.iter().all(|results| has_finished(results, disk))
}

/// Returns the possible paths of the results file to which the error log belongs.
fn results_of(args: &ResumeArgs, log: &Path) -> Vec<PathBuf> {
    let stem = log.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".errors.jsonl"));
    match (&args.output, stem) {
        (Some(output), _) => vec![output.clone()],
        (None, Some(stem)) => {
            [".results.jsonl", ".jsonl", ""].map(|ending| log.with_file_name(format!("{stem}{ending}"))).into()
        }
        (None, None) => Vec::new(),
    }
}

fn has_run(results: &Path, disk: &RealDisk) -> bool {
    let folder = with_suffix(results, ".run");
    results.symlink_metadata().is_ok() && matches!(read_manifest(&folder, disk), Ok(Some(_)))
}

/// Returns true if a run has ended and all its rows are answered.
fn has_finished(results: &Path, disk: &RealDisk) -> bool {
    let folder = with_suffix(results, ".run");
    let is_held = matches!(lock_state(disk, &folder), LockState::Held(_));
    match read_status(disk, &folder) {
        Found::Good((_, shown)) => !is_held && shown.is_complete() && shown.end.is_some_and(|end| end.failed == 0),
        Found::Missing | Found::Damaged(_) | Found::Unreadable(_) | Found::Newer(_) => false,
    }
}

/// Reads an error log.
pub(super) fn read_log(args: &ResumeArgs, log: &Path, disk: &RealDisk) -> Result<ErrorLog> {
    let output = args.output.as_deref();
    if log == Path::new("-") {
        bail!(
            "-: an error log must be a file, because rows that fail again are written to it; name the error log of a run"
        );
    }
    read_error_log(log, output, disk).map_err(|error| match error {
        JournalError::Disk(failure) if failure.source.kind() == ErrorKind::NotFound && failure.path == log => {
            anyhow!("{}: no such file; check the path of the error log", log.display())
        }
        JournalError::Foreign { path } => anyhow!(
            "{} is not an error log of claude-batch (its first line is not a failed row); name the .errors.jsonl file of a run",
            path.display()
        ),
        JournalError::OtherResults { path, line, results } => {
            let whose = output.map_or_else(
                || "but the lines before it belong to other results (error.results)".to_owned(),
                |output| format!("not of -o {} (error.results)", output.display()),
            );
            anyhow!(
                "line {line} of {} belongs to the results {}, {whose}; name the results of this log with -o, or send \
                 its rows as new rows (claude-batch run with this log as the input)",
                path.display(),
                quoted(&results)
            )
        }
        error => error.into(),
    })
}
