//! Reads the arguments of `resume`: error logs and, with `-o`, the results file to which they belong.
//!
//! The user decides where results go. Without `-o`, the log decides, but the results file must be in the same folder as
//! the log. Nothing in a log or a run folder decides where requests go, which key is used or which program is run.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Result, anyhow, bail};

use crate::cli::args::ResumeArgs;
use crate::cli::config::Config;
use crate::cli::config::world::World;
use crate::journal::{ErrorLog, JournalError, RealDisk, quoted, read_error_log};

/// Reads all logs before the rows of the first log are run. So if one log is refused, nothing has been changed. A
/// single log is read later, when its rows are run.
pub(super) fn check_logs(args: &ResumeArgs, world: &World) -> Result<()> {
    if args.output.as_deref() == Some(Path::new("-")) {
        bail!(
            "-o -: with resume, -o names the results file of the logs; if a run wrote to standard output, leave out \
             -o to do the same"
        );
    }
    match args.errors.as_slice() {
        [_] => Ok(()),
        logs => {
            let disk = disk(args, world)?;
            logs.iter().try_for_each(|log| read_log(args, log, &disk).map(drop))
        }
    }
}

/// Returns the disk, which checks that `resume` uses only files of trusted users.
pub(super) fn disk(args: &ResumeArgs, world: &World) -> Result<RealDisk> {
    Ok(RealDisk::new(Config::owners_of_resume(args, world)?))
}

/// Returns whether the results of an error log exist, but the log does not. A run without failures removes its log.
pub(super) fn is_log_gone(args: &ResumeArgs, log: &Path) -> bool {
    let exists = |path: &Path| path.symlink_metadata().is_ok();
    let name = log.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".errors.jsonl"));
    let of_name = |name: &str| [".results.jsonl", ".jsonl"].map(|ending| log.with_file_name(format!("{name}{ending}")));
    let found = || name.is_some_and(|name| of_name(name).iter().any(|path| exists(path)));
    !exists(log) && args.output.as_deref().map_or_else(found, exists)
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
                "line {line} of {} is a failure of {}, {whose}; name the results of this log with -o, or send its \
                 rows as new ones (name the log as the input of run)",
                path.display(),
                quoted(&results)
            )
        }
        error => error.into(),
    })
}
