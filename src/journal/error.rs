//! Why a journal can't be opened or written.

use std::path::PathBuf;

use super::disk::DiskFailure;
use super::judge::Refusal;
use crate::domain::{WriteCause, WriteFault, WriteTarget};

/// Why a journal can't be opened or written. Nothing of somebody else's is ever changed before one of these.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Several inputs and no output.
    #[error("{inputs} inputs need one output: name it with -o FILE")]
    NeedsOutput {
        /// How many.
        inputs: usize,
    },
    /// An output is an input.
    #[error("the output {} is the input {}: name another with -o or --errors", output.display(), input.display())]
    OutputIsInput {
        /// The output.
        output: PathBuf,
        /// The input.
        input: PathBuf,
    },
    /// Results and error log are one file.
    #[error("{} can't hold both results and errors: name another error log with --errors", path.display())]
    SameFile {
        /// The file.
        path: PathBuf,
    },
    /// Something that is no regular file stands at an output's path.
    #[error(
        "the output {} is {what}: name a file, or - for standard output (write there directly, or behind >)",
        path.display()
    )]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What is there, with its article.
        what: &'static str,
    },
    /// A file or folder that the run would use may not be used.
    #[error("{} {refusal}", path.display())]
    Refused {
        /// The path.
        path: PathBuf,
        /// Why.
        refusal: Refusal,
    },
    /// An output was made by somebody while the run was starting.
    #[error(
        "{} was made by another run or user while this run was starting, and was left alone: run the same command again",
        path.display()
    )]
    Appeared {
        /// The path.
        path: PathBuf,
    },
    /// An output goes by a name that leads to another file each time it is looked at.
    #[error("{} is replaced again and again: find out by whom, or name another file", path.display())]
    Unsteady {
        /// The path.
        path: PathBuf,
    },
    /// Standard output goes to a file that the run reads, or writes otherwise.
    #[error("standard output goes to {what}, which would mix what is written there: send it to another file")]
    StandardOutput {
        /// To what.
        what: String,
    },
    /// An output's folder is missing.
    #[error("the folder {} of the output {} does not exist: create it or name another", folder.display(), path.display())]
    MissingFolder {
        /// The output.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// A file at an output's path was not written by this program.
    #[error(
        "{} holds something else than results of claude-batch (its first line is none of theirs), and was left alone: \
         name another file",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A line between ours was not written by this program.
    #[error(
        "line {line} of {} is no line of claude-batch: remove it, or start over with --fresh (the old file is kept)",
        path.display()
    )]
    ForeignLine {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: u64,
    },
    /// A file was written by a later version of this program.
    #[error("{} has the form {version} of a later claude-batch: run that version, or name another output", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// The version of its form.
        version: u32,
    },
    /// The results came from elsewhere.
    #[error(
        "the results in {} come from {theirs} (origin in the manifest of their run folder), this run would ask {ours}: \
         name another output with -o, or start over \
         with --fresh (the old file is kept)",
        path.display()
    )]
    OtherOrigin {
        /// The results file.
        path: PathBuf,
        /// Its origin.
        theirs: String,
        /// The present run's.
        ours: String,
    },
    /// The error log belongs to other results.
    #[error(
        "line {line} of {} is a failure of other results ({}): name another error log with --errors",
        path.display(),
        quoted(results)
    )]
    OtherResults {
        /// The error log.
        path: PathBuf,
        /// The line's number, from 1.
        line: u64,
        /// The results file it names.
        results: String,
    },
    /// An error log does not say which results it belongs to in a way that can be followed.
    #[error(
        "line {line} of {} names the results file {} (error.results), which is {what}: only a results file beside the \
         log is taken from there; name it with -o RESULTS",
        path.display(),
        quoted(found)
    )]
    ResultsElsewhere {
        /// The error log.
        path: PathBuf,
        /// The line's number, from 1.
        line: u64,
        /// What it names.
        found: String,
        /// What that is, with its article.
        what: &'static str,
    },
    /// A manifest can't be read.
    #[error(
        "{} can't be read ({fault}): put it right, or remove it to go on without the settings and the sums of money it \
         holds",
        path.display()
    )]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it, and where.
        fault: String,
    },
    /// Another run uses the output.
    #[error(
        "another run{} is using {}: wait for it, or name another output with -o",
        holder.map(|pid| format!(" (process {pid})")).unwrap_or_default(),
        path.display()
    )]
    Locked {
        /// The results file.
        path: PathBuf,
        /// The other run's process, where known.
        holder: Option<u32>,
    },
    /// Another run uses the error log.
    #[error("another run is using the error log {}: wait for it, or name another with --errors", path.display())]
    LogLocked {
        /// The error log.
        path: PathBuf,
    },
    /// Results go to standard output, so there is no run folder.
    #[error("a run that writes to standard output can't be continued: name a results file with -o")]
    NoFolder,
    /// The disk failed.
    #[error(transparent)]
    Disk(DiskFailure),
}

impl From<DiskFailure> for JournalError {
    /// A file that may not be used is no fault of the disk.
    fn from(failure: DiskFailure) -> Self {
        match failure.refusal().cloned() {
            Some(refusal) => Self::Refused { path: failure.path, refusal },
            None => Self::Disk(failure),
        }
    }
}

impl From<&JournalError> for WriteFault {
    fn from(error: &JournalError) -> Self {
        match error {
            JournalError::Disk(failure) => failure.into(),
            other => Self { target: WriteTarget::File, cause: WriteCause::Other, message: other.to_string() },
        }
    }
}

/// Characters of a text from a file that a message shows.
const SHOWN_CHARS: usize = 100;

/// Returns a text from a file in quotes, escaped, and cut when it is long.
pub fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::super::disk::DiskFailure;
    use super::*;
    use crate::domain::causes;

    #[test]
    fn every_journal_error_has_its_words_and_says_no_cause_twice() {
        let told: Vec<_> = all().iter().map(|error| causes(error)).collect();

        for told in &told {
            let parts: Vec<_> = told.split(": ").collect();
            let repeated = parts.iter().enumerate().find(|(at, part)| parts[..*at].contains(part));
            assert_eq!(repeated, None, "{told}");
        }
        insta::assert_snapshot!(told.join("\n"), @r#"
        2 inputs need one output: name it with -o FILE
        the output o.jsonl is the input i.jsonl: name another with -o or --errors
        o.jsonl can't hold both results and errors: name another error log with --errors
        the output o.jsonl is a folder: name a file, or - for standard output (write there directly, or behind >)
        o.jsonl is a symbolic link, which could lead anywhere: remove it, or name another file
        o.jsonl was made by another run or user while this run was starting, and was left alone: run the same command again
        o.jsonl is replaced again and again: find out by whom, or name another file
        standard output goes to the input i.jsonl, which would mix what is written there: send it to another file
        the folder gone of the output o.jsonl does not exist: create it or name another
        o.jsonl holds something else than results of claude-batch (its first line is none of theirs), and was left alone: name another file
        line 3 of o.jsonl is no line of claude-batch: remove it, or start over with --fresh (the old file is kept)
        o.jsonl has the form 2 of a later claude-batch: run that version, or name another output
        the results in o.jsonl come from simulator (origin in the manifest of their run folder), this run would ask http://a: name another output with -o, or start over with --fresh (the old file is kept)
        line 3 of o.jsonl is a failure of other results ("p.jsonl"): name another error log with --errors
        line 3 of o.jsonl names the results file "/p" (error.results), which is a path: only a results file beside the log is taken from there; name it with -o RESULTS
        o.jsonl can't be read (it is no JSON): put it right, or remove it to go on without the settings and the sums of money it holds
        another run (process 7) is using o.jsonl: wait for it, or name another output with -o
        another run is using the error log o.jsonl: wait for it, or name another with --errors
        a run that writes to standard output can't be continued: name a results file with -o
        can't write o.jsonl: no space left on device
        "#);
    }

    #[test]
    fn what_is_written_to_and_what_is_wrong_with_it_are_told_apart_by_type() {
        let fault = |failure: DiskFailure| {
            let WriteFault { target, cause, message } = WriteFault::from(&JournalError::Disk(failure));
            (target, cause, message)
        };
        let log = |kind: io::ErrorKind| fault(DiskFailure::of("write", Path::new("standard output"))(kind.into()));
        let stdout = |kind: io::ErrorKind| fault(DiskFailure::of_standard_output(kind.into()));

        assert!(
            matches!(log(io::ErrorKind::StorageFull), (WriteTarget::File, WriteCause::Full, message) if message.starts_with("can't write standard output: "))
        );
        assert!(matches!(log(io::ErrorKind::QuotaExceeded), (WriteTarget::File, WriteCause::Full, _)));
        assert!(matches!(log(io::ErrorKind::Other), (WriteTarget::File, WriteCause::Other, _)));
        assert!(matches!(stdout(io::ErrorKind::StorageFull), (WriteTarget::StandardOutput, WriteCause::Full, _)));
        assert!(matches!(stdout(io::ErrorKind::BrokenPipe), (WriteTarget::StandardOutput, WriteCause::ReaderGone, _)));
        assert_eq!(WriteFault::from(&JournalError::NoFolder).cause, WriteCause::Other);
    }

    /// Every variant; a new one has to be named here before this compiles.
    fn all() -> Vec<JournalError> {
        let (path, output, input) = (PathBuf::from("o.jsonl"), PathBuf::from("o.jsonl"), PathBuf::from("i.jsonl"));
        let folder = PathBuf::from("gone");
        let source = io::Error::new(io::ErrorKind::StorageFull, "no space left on device");
        let errors = vec![
            JournalError::NeedsOutput { inputs: 2 },
            JournalError::OutputIsInput { output, input },
            JournalError::SameFile { path: path.clone() },
            JournalError::NotAFile { path: path.clone(), what: "a folder" },
            JournalError::Refused { path: path.clone(), refusal: Refusal::Symlink },
            JournalError::Appeared { path: path.clone() },
            JournalError::Unsteady { path: path.clone() },
            JournalError::StandardOutput { what: "the input i.jsonl".to_owned() },
            JournalError::MissingFolder { path: path.clone(), folder },
            JournalError::Foreign { path: path.clone() },
            JournalError::ForeignLine { path: path.clone(), line: 3 },
            JournalError::NewerFormat { path: path.clone(), version: 2 },
            JournalError::OtherOrigin {
                path: path.clone(),
                theirs: "simulator".to_owned(),
                ours: "http://a".to_owned(),
            },
            JournalError::OtherResults { path: path.clone(), line: 3, results: "p.jsonl".to_owned() },
            JournalError::ResultsElsewhere { path: path.clone(), line: 3, found: "/p".to_owned(), what: "a path" },
            JournalError::Manifest { path: path.clone(), fault: "it is no JSON".to_owned() },
            JournalError::Locked { path: path.clone(), holder: Some(7) },
            JournalError::LogLocked { path: path.clone() },
            JournalError::NoFolder,
            JournalError::Disk(DiskFailure::of("write", &path)(source)),
        ];
        for error in &errors {
            match error {
                JournalError::NeedsOutput { .. }
                | JournalError::OutputIsInput { .. }
                | JournalError::SameFile { .. }
                | JournalError::NotAFile { .. }
                | JournalError::Refused { .. }
                | JournalError::Appeared { .. }
                | JournalError::Unsteady { .. }
                | JournalError::StandardOutput { .. }
                | JournalError::MissingFolder { .. }
                | JournalError::Foreign { .. }
                | JournalError::ForeignLine { .. }
                | JournalError::NewerFormat { .. }
                | JournalError::OtherOrigin { .. }
                | JournalError::OtherResults { .. }
                | JournalError::ResultsElsewhere { .. }
                | JournalError::Manifest { .. }
                | JournalError::Locked { .. }
                | JournalError::LogLocked { .. }
                | JournalError::NoFolder
                | JournalError::Disk(_) => {}
            }
        }
        errors
    }
}
