//! The reasons why a journal can't be opened or written.

use std::path::PathBuf;

use super::disk::{DiskFailure, Refusal};
use crate::domain::{WriteCause, WriteFault, WriteTarget};

/// The reason why a journal can't be opened or written. None of these errors changes a file of another program.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// There are several inputs and no output.
    #[error("{inputs} inputs need one output; name it with -o FILE")]
    NeedsOutput {
        /// The number of inputs.
        inputs: usize,
    },
    /// An output is the same file as an input.
    #[error("the output {} is the input {}; choose another name for the output", output.display(), input.display())]
    OutputIsInput {
        /// The output.
        output: PathBuf,
        /// The input.
        input: PathBuf,
    },
    /// Results and error log are the same file.
    #[error("{} can't hold both results and errors; name another error log with --errors", path.display())]
    SameFile {
        /// The path of the file.
        path: PathBuf,
    },
    /// The path of an output leads to something that is not a regular file.
    #[error(
        "the output {} is {what}; name a file, or name - for standard output and redirect it with > in the shell",
        path.display()
    )]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// The kind of thing at this path, such as `a folder`.
        what: &'static str,
    },
    /// The run needs this file or folder, but is not allowed to use it.
    #[error("{} {refusal}", path.display())]
    Refused {
        /// The path.
        path: PathBuf,
        /// The reason.
        refusal: Refusal,
    },
    /// Another program created an output while the run was starting.
    #[error(
        "another run or user created {} while this run was starting; run the same command again",
        path.display()
    )]
    Appeared {
        /// The path.
        path: PathBuf,
    },
    /// Each time the program tried to open and lock an output, the path of the output led to a different file.
    #[error("another program keeps replacing {}; stop it, or name another file", path.display())]
    Unsteady {
        /// The path.
        path: PathBuf,
    },
    /// Standard output goes to a file that the run also uses as an input or as the error log.
    #[error("standard output goes to {what}, and results would be mixed into it; send standard output to another file")]
    StandardOutput {
        /// A description of the file that standard output goes to.
        what: String,
    },
    /// The folder of an output is missing.
    #[error("there is no folder {} for the output {}; create the folder, or name another output", folder.display(), path.display())]
    MissingFolder {
        /// The output.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
    },
    /// The file at the path of an output was not written by this program.
    #[error(
        "{} is not a file of claude-batch (its first line is from another program) and was not changed; name another file",
        path.display()
    )]
    Foreign {
        /// The path of the file.
        path: PathBuf,
    },
    /// The file contains lines of this program, and also a line of another program.
    #[error(
        "line {line} of {} is not a line of claude-batch; remove it, or start over with --fresh (the old file is kept)",
        path.display()
    )]
    ForeignLine {
        /// The path of the file.
        path: PathBuf,
        /// The number of the line, counted from 1.
        line: u64,
    },
    /// A later version of this program wrote the file.
    #[error("a later claude-batch wrote {} (format version {version}); run that version, or name another output", path.display())]
    NewerFormat {
        /// The path of the file.
        path: PathBuf,
        /// The format version of the file.
        version: u32,
    },
    /// The results come from another server.
    #[error(
        "the results in {} come from {theirs} (origin in the manifest of their run folder), but this run would send \
         requests to {ours}; name another output with -o, or start over with --fresh (the old file is kept){}",
        path.display(),
        provider.as_ref().map(|name| moved(name)).unwrap_or_default(),
    )]
    OtherOrigin {
        /// The results file.
        path: PathBuf,
        /// The provider whose address has changed; `None` if only one of the two runs uses the simulator.
        provider: Option<String>,
        /// The origin of the results.
        theirs: String,
        /// The origin of this run.
        ours: String,
    },
    /// The error log belongs to other results.
    #[error(
        "line {line} of {} belongs to other results ({}); name another error log with --errors",
        path.display(),
        quoted(results)
    )]
    OtherResults {
        /// The error log.
        path: PathBuf,
        /// The number of the line, counted from 1.
        line: u64,
        /// The results file that is named in the line.
        results: String,
    },
    /// An error log refers to a results file that must not be used, such as a file in another folder.
    #[error(
        "line {line} of {} names the results file {} (error.results), which is {what}; only a results file in the folder \
         of the log is used; name the file with -o RESULTS",
        path.display(),
        quoted(found)
    )]
    ResultsElsewhere {
        /// The error log.
        path: PathBuf,
        /// The number of the line, counted from 1.
        line: u64,
        /// The name that the log gives to its results file.
        found: String,
        /// The reason why this name is rejected, such as `the name of a device`.
        what: &'static str,
    },
    /// A manifest can't be read.
    #[error(
        "{} can't be read ({fault}); correct it, or remove it to continue without its settings and cost totals",
        path.display()
    )]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with the manifest, and where in the file.
        fault: String,
    },
    /// Another run uses the output.
    #[error(
        "another run{} is using {}; wait for it, or name another output with -o",
        holder.map(|pid| format!(" (process {pid})")).unwrap_or_default(),
        path.display()
    )]
    Locked {
        /// The results file.
        path: PathBuf,
        /// The process id of the other run, if it is known.
        holder: Option<u32>,
    },
    /// Another run uses the error log.
    #[error("another run is using the error log {}; wait for it, or name another with --errors", path.display())]
    LogLocked {
        /// The error log.
        path: PathBuf,
    },
    /// Results go to standard output, so there is no run folder.
    #[error("a run that writes to standard output can't be resumed; name a results file with -o")]
    NoFolder,
    /// The disk failed.
    #[error(transparent)]
    Disk(DiskFailure),
}

impl From<DiskFailure> for JournalError {
    /// Makes an error from a [`DiskFailure`]. If this program is not allowed to use the file, the error is `Refused`.
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

/// The maximum number of characters that `quoted` shows.
const SHOWN_CHARS: usize = 100;

/// Quotes and escapes a text from a file. A long text is shortened.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// Returns advice for the case where a provider's address has changed: how the user can keep the answers of both
/// servers in one file.
fn moved(provider: &str) -> String {
    let name = quoted(provider);
    format!("; to keep answers of both servers in one file, give the second provider another name than {name}")
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::*;
    use crate::domain::causes;

    #[test]
    fn every_error_has_a_message_that_names_each_cause_once() {
        let told: Vec<_> = all().iter().map(|error| causes(error)).collect();

        for told in &told {
            let parts: Vec<_> = told.split(": ").collect();
            let repeated = parts.iter().enumerate().find(|(at, part)| parts[..*at].contains(part));
            assert_eq!(repeated, None, "{told}");
        }
        insta::assert_snapshot!(told.join("\n"), @r#"
        2 inputs need one output; name it with -o FILE
        the output o.jsonl is the input i.jsonl; choose another name for the output
        o.jsonl can't hold both results and errors; name another error log with --errors
        the output o.jsonl is a folder; name a file, or name - for standard output and redirect it with > in the shell
        o.jsonl is a symbolic link, which could lead anywhere; remove it, or name another file
        another run or user created o.jsonl while this run was starting; run the same command again
        another program keeps replacing o.jsonl; stop it, or name another file
        standard output goes to the input i.jsonl, and results would be mixed into it; send standard output to another file
        there is no folder gone for the output o.jsonl; create the folder, or name another output
        o.jsonl is not a file of claude-batch (its first line is from another program) and was not changed; name another file
        line 3 of o.jsonl is not a line of claude-batch; remove it, or start over with --fresh (the old file is kept)
        a later claude-batch wrote o.jsonl (format version 2); run that version, or name another output
        the results in o.jsonl come from simulator (origin in the manifest of their run folder), but this run would send requests to http://a; name another output with -o, or start over with --fresh (the old file is kept)
        line 3 of o.jsonl belongs to other results ("p.jsonl"); name another error log with --errors
        line 3 of o.jsonl names the results file "/p" (error.results), which is a path; only a results file in the folder of the log is used; name the file with -o RESULTS
        o.jsonl can't be read (it is not JSON); correct it, or remove it to continue without its settings and cost totals
        another run (process 7) is using o.jsonl; wait for it, or name another output with -o
        another run is using the error log o.jsonl; wait for it, or name another with --errors
        a run that writes to standard output can't be resumed; name a results file with -o
        can't write o.jsonl: no space left on device
        "#);
    }

    #[test]
    fn a_write_fault_names_the_target_and_the_cause() {
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

    /// Returns an error of every variant. If a variant is missing, the match below does not compile.
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
                provider: None,
                theirs: "simulator".to_owned(),
                ours: "http://a".to_owned(),
            },
            JournalError::OtherResults { path: path.clone(), line: 3, results: "p.jsonl".to_owned() },
            JournalError::ResultsElsewhere { path: path.clone(), line: 3, found: "/p".to_owned(), what: "a path" },
            JournalError::Manifest { path: path.clone(), fault: "it is not JSON".to_owned() },
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
