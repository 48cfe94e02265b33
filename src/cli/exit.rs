//! The exit codes of the program.

use std::process::ExitCode;

use crate::domain::HaltReason;

/// The table of exit codes that `--help` shows, at most 80 columns wide.
pub const TABLE: &str = "  \
  0              every row is answered
  1              a bug in this program
  2              a mistake in the command, the configuration or the input;
                 nothing was sent, unless an input broke off midway
  3              finished, but some rows failed
  4              stopped by a limit that you set (cost, requests, time, --halt)
                 or by ctl, or left batches running (--detach)
  5              stopped because of the key, credit, spend limit or model, or
                 because of a long retry-after
  6              the endpoint or the proxy can't be reached, sends redirects,
                 or no longer answers
  7              results could not be written
  8              status only: the run was killed
  9              status only: the run is in progress
  129, 130, 143  interrupted (HUP, INT, TERM) after the requests in flight had
                 finished
After codes 4 to 7 and after interruptions, the same command resumes the run.";

/// The error for a signal that stops the program before a run begins.
#[derive(Debug, thiserror::Error)]
#[error("interrupted before anything was sent; to start again, run the same command")]
pub(crate) struct Interrupted(pub i32);

/// How the program ends, which decides its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Every row is answered. For the exit code, truncated answers and refusals count as answers.
    Done,
    /// The program failed because it has a bug.
    Internal,
    /// The usage, the configuration or the input contains a mistake. Usually, nothing was sent. But if an input could
    /// be read only up to some point, the rows before that point were sent.
    Usage,
    /// The run finished, but some rows failed, in this run or in earlier runs.
    SomeFailed,
    /// A rule of the user stopped the run: its budget, its time limit or `--halt`.
    Stopped,
    /// The run left batches open at the API, because the user asked for this. The exit code is the same as for
    /// [`Exit::Stopped`].
    Left,
    /// The run stopped because of the account's key, credit, spend cap or model, or because a `retry-after` was longer
    /// than `--retry-for`.
    Account,
    /// The endpoint can't be reached, is not safe, or does not work.
    Endpoint,
    /// The results could not be written.
    Output,
    /// The command `status` shows a run that was killed.
    Killed,
    /// The command `status` shows a run that is in progress.
    InProgress,
    /// A signal interrupted the run; the value is the number of the signal. Before the program ended, it waited for the
    /// requests in flight.
    Interrupted(i32),
}

impl Exit {
    /// Returns the exit code of the process.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Internal => 1,
            Self::Usage => 2,
            Self::SomeFailed => 3,
            Self::Stopped | Self::Left => 4,
            Self::Account => 5,
            Self::Endpoint => 6,
            Self::Output => 7,
            Self::Killed => 8,
            Self::InProgress => 9,
            Self::Interrupted(signal) => u8::try_from(128 + signal.clamp(0, 127)).unwrap_or(u8::MAX),
        }
    }

    /// Returns how the program ends after a run. `halt` is the reason that stopped the run, and `left` is the number of
    /// batches that it left open. `failed` is the number of rows that failed, in this run or in earlier runs.
    pub fn of_run(halt: Option<&HaltReason>, left: u64, failed: u64) -> Self {
        match halt {
            Some(reason) => Self::from(reason),
            None if left > 0 => Self::Left,
            None if failed > 0 => Self::SomeFailed,
            None => Self::Done,
        }
    }
}

impl From<&HaltReason> for Exit {
    fn from(reason: &HaltReason) -> Self {
        match reason {
            HaltReason::Key(_)
            | HaltReason::Forbidden(_)
            | HaltReason::Account(_)
            | HaltReason::Models(_)
            | HaltReason::OtherWorkspace
            | HaltReason::RetryAfter { .. } => Self::Account,
            HaltReason::Tls(_)
            | HaltReason::Proxy(_)
            | HaltReason::Redirect { .. }
            | HaltReason::Endpoint(_)
            | HaltReason::Batches(_) => Self::Endpoint,
            HaltReason::AllFail { .. } | HaltReason::Budget(_) | HaltReason::Ctl { .. } => Self::Stopped,
            HaltReason::Disk(_) => Self::Output,
            HaltReason::Signal(signal) => Self::Interrupted(*signal),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::super::explain::tests::reasons;
    use super::*;

    #[test]
    fn each_reason_to_stop_has_its_code() {
        let codes: Vec<_> = reasons().iter().map(|(name, reason)| (*name, Exit::from(reason).code())).collect();

        for (name, code) in codes {
            let expected = match name.split(':').next().unwrap_or_default() {
                "key" | "forbidden" | "account" | "models" | "workspace" | "retry-after" => 5,
                "tls" | "proxy" | "redirect" | "endpoint" | "batches" => 6,
                "rows" | "budget" | "ctl" => 4,
                "disk" => 7,
                "INT" => 130,
                "TERM" => 143,
                "HUP" => 129,
                other => panic!("{other} has no code here"),
            };
            assert_eq!(code, expected, "{name}");
        }
    }

    #[test]
    fn the_reason_for_a_stop_has_priority_over_failed_rows() {
        assert_eq!(Exit::of_run(None, 0, 0), Exit::Done);
        assert_eq!(Exit::of_run(None, 0, 12), Exit::SomeFailed);
        assert_eq!(Exit::of_run(Some(&HaltReason::Signal(2)), 0, 12).code(), 130);
    }

    #[test]
    fn a_run_that_leaves_batches_has_the_exit_code_of_its_stop_or_exit_code_4() {
        assert_eq!((Exit::of_run(None, 2, 12), Exit::of_run(None, 2, 12).code()), (Exit::Left, 4));
        assert_eq!(Exit::of_run(Some(&HaltReason::Signal(2)), 2, 0).code(), 130);
        assert_eq!(Exit::of_run(Some(&HaltReason::Budget("--max-cost $1".to_owned())), 2, 0).code(), 4);
    }

    #[test]
    fn the_table_names_every_code() {
        for code in ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "129, 130, 143"] {
            let is_named = TABLE.lines().any(|line| line.trim_start().starts_with(&format!("{code}  ")));
            assert!(is_named, "{code}");
        }
    }
}
