//! What `resume` is told: error logs, and with `-o` the results they belong to.
//!
//! Where its rows go is the word of the person, or of a log that names a file beside it; nothing in a log or a run folder
//! says where requests go, which key is used or what is run.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Result, anyhow, bail};

use super::super::shell;
use crate::cli::args::ResumeArgs;
use crate::cli::config::Config;
use crate::cli::config::world::World;
use crate::journal::{ErrorLog, JournalError, RealDisk, RunPaths, quoted, read_error_log};

/// Reads every log before any is run, so that a refused one leaves the others as they are. One log is read when it is run.
pub(super) fn check_logs(args: &ResumeArgs, world: &World) -> Result<()> {
    if args.output.as_deref() == Some(Path::new("-")) {
        bail!(
            "-o of resume names the results file of the logs, found -; without -o the rows of a pipe go to standard output"
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

/// Returns the disk as `resume` may use it.
pub(super) fn disk(args: &ResumeArgs, world: &World) -> Result<RealDisk> {
    Ok(RealDisk::new(Config::owners_of_resume(args, world)?))
}

/// Reads an error log.
pub(super) fn read_log(args: &ResumeArgs, log: &Path, disk: &RealDisk) -> Result<ErrorLog> {
    let output = args.output.as_deref();
    read_error_log(log, output, disk).map_err(|error| match error {
        JournalError::Disk(failure) if failure.source.kind() == ErrorKind::NotFound && failure.path == log => {
            anyhow!("{}: no such file", log.display())
        }
        JournalError::Foreign { path } => anyhow!(
            "{} is no error log of claude-batch (its first line is no failed row): name the .errors.jsonl file of a run",
            path.display()
        ),
        JournalError::OtherResults { path, line, results } => {
            let whose = output.map_or_else(
                || "not of the same results as the lines before (error.results)".to_owned(),
                |output| format!("not of -o {} (error.results)", output.display()),
            );
            anyhow!(
                "line {line} of {} is a failure of {}, {whose}: name its own results with -o, or send its rows as new \
                 ones by naming it as the input of run",
                path.display(),
                quoted(&results)
            )
        }
        error => error.into(),
    })
}

/// Returns the arguments that run the failed rows of these files again.
pub(super) fn resume_args(paths: &RunPaths) -> Vec<OsString> {
    let mut args = vec!["resume".into(), shell::file(&paths.errors)];
    if let Some(results) = paths.results.as_deref().filter(|_| !paths.log_finds_results()) {
        args.extend(["-o".into(), shell::file(results)]);
    }
    args
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn the_results_are_named_where_the_log_can_not_name_them() {
        let args = |results: Option<&str>, errors: &str| {
            let args = resume_args(&RunPaths::given(results.map(PathBuf::from), errors.into()));
            args.iter().map(|arg| arg.to_string_lossy().replace('\\', "/")).collect::<Vec<_>>().join(" ")
        };

        assert_eq!(args(Some("d/o.jsonl"), "d/o.errors.jsonl"), "resume d/o.errors.jsonl");
        assert_eq!(args(None, "e.jsonl"), "resume e.jsonl");
        assert_eq!(args(Some("d/o.jsonl"), "e.jsonl"), "resume e.jsonl -o d/o.jsonl");
        assert_eq!(args(Some("-o.jsonl"), "d/-e.jsonl"), "resume d/-e.jsonl -o ./-o.jsonl");
        assert_eq!(args(Some("nul.jsonl"), "-e.jsonl"), "resume ./-e.jsonl -o nul.jsonl");
    }
}
