//! Runs the program that receives notices, and writes the document of a notice to its standard input.
//!
//! The program that receives notices is started without a shell. In its environment, this program finds no key and no
//! other secret of claude-batch. The output of the program is discarded. If the program takes too long, it is killed,
//! together with the programs that it started.

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::domain::quoted;
use crate::watch::processes;

/// The time between two checks of whether the program has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A program that gets notices.
#[derive(Clone)]
pub struct CommandTarget {
    /// The name of the program and its arguments.
    pub(crate) words: Vec<String>,
    /// The folder in which the program is started; empty if this is the working folder of claude-batch.
    pub(crate) folder: PathBuf,
    /// The names of the environment variables that the program does not get.
    pub(crate) without: Vec<String>,
}

/// Shows only the name of the program, because its arguments can contain a secret.
impl fmt::Debug for CommandTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommandTarget({})", self.shown())
    }
}

/// The reason why a program did not accept a notice.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandFault {
    #[error("it can't be started: {0}")]
    Start(std::io::Error),
    #[error("it failed ({0})")]
    Failed(std::process::ExitStatus),
    #[error("it took longer than {} s and was ended", .0.as_secs())]
    Timeout(Duration),
}

impl CommandTarget {
    /// Returns the name of the program in quotation marks.
    pub(super) fn shown(&self) -> String {
        quoted(self.words.first().map_or("", String::as_str))
    }

    /// Runs the program one time, and writes the document to its standard input. If the program still runs after
    /// `patience`, it is killed.
    pub(super) fn run(&self, document: &Bytes, patience: Duration) -> Result<(), CommandFault> {
        let deadline = Instant::now() + patience;
        let mut child = self.command().spawn().map_err(CommandFault::Start)?;
        let (stdin, document) = (child.stdin.take(), document.clone());
        // A program that does not read its input blocks this thread until the program ends.
        std::thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&document)));
        match wait(&mut child, deadline) {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(CommandFault::Failed(status)),
            None => {
                processes::end(&mut child);
                Err(CommandFault::Timeout(patience))
            }
        }
    }

    fn command(&self) -> Command {
        let mut words = self.words.iter();
        let mut command = Command::new(words.next().map_or("", String::as_str));
        command.args(words).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        self.without.iter().for_each(|name| {
            command.env_remove(name);
        });
        if !self.folder.as_os_str().is_empty() {
            command.current_dir(&self.folder);
        }
        command
    }
}

fn wait(child: &mut Child, deadline: Instant) -> Option<std::process::ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(LOOK_EVERY),
            Ok(None) | Err(_) => return None,
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn target(script: &str, folder: &std::path::Path) -> CommandTarget {
        std::fs::write(folder.join("hook.sh"), script).expect("the test owns the folder");
        let words = ["sh", "hook.sh"].map(str::to_owned).into();
        CommandTarget {
            words,
            folder: folder.to_owned(),
            without: vec!["PATH_OF_SECRET".to_owned(), "HOME".to_owned()],
        }
    }

    #[test]
    fn the_program_gets_the_document_and_no_removed_variable() {
        let folder = tempfile::tempdir().expect("there is room");
        let target = target("cat > got; env > variables; echo noise", folder.path());

        target.run(&Bytes::from_static(b"{\"v\":1}"), Duration::from_secs(30)).expect("it succeeds");

        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("the program wrote it");
        assert_eq!(read("got"), "{\"v\":1}");
        assert!(!read("variables").contains("\nHOME=") && !read("variables").starts_with("HOME="));
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_the_programs_that_it_started() {
        let folder = tempfile::tempdir().expect("there is room");
        let target = target("sleep 600 & echo $! > child; sleep 600", folder.path());

        let fault = target.run(&Bytes::from(vec![b'x'; 1 << 20]), Duration::from_millis(700));

        assert!(matches!(fault, Err(CommandFault::Timeout(_))), "{fault:?}");
        let child = std::fs::read_to_string(folder.path().join("child")).expect("it was written");
        let is_alive = || {
            let state = std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
            !state.is_empty() && !state.contains(" Z ")
        };
        // After the signal, the system needs a moment to end the process.
        let deadline = Instant::now() + Duration::from_secs(30);
        while is_alive() && Instant::now() < deadline {
            std::thread::sleep(LOOK_EVERY);
        }
        assert!(!is_alive());
    }

    #[test]
    fn a_failure_shows_the_status_and_the_program_without_its_arguments() {
        let folder = tempfile::tempdir().expect("there is room");
        let failed = target("exit 3", folder.path()).run(&Bytes::new(), Duration::from_secs(30));
        let missing = CommandTarget {
            words: ["no-such-program".to_owned(), "s3cret".to_owned()].into(),
            folder: PathBuf::new(),
            without: Vec::new(),
        };

        assert!(failed.is_err_and(|fault| fault.to_string().contains("3")));
        assert!(matches!(missing.run(&Bytes::new(), Duration::from_secs(1)), Err(CommandFault::Start(_))));
        assert_eq!(format!("{missing:?}"), "CommandTarget(\"no-such-program\")");
    }
}
