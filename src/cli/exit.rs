//! How the program ends: exit codes, and sentences about why a run stopped.

use std::process::ExitCode;

use crate::domain::{Failure, HaltReason};
use crate::report::text::{count, duration, escape};

/// The exit codes, as `--help` shows them: within 80 columns.
pub const TABLE: &str = "  \
  0              every row is answered
  1              a fault of this program
  2              usage, configuration or input; nothing was sent, unless an
                 input broke off midway
  3              finished, but some rows failed
  4              stopped by a rule of yours (cost, requests, time, --halt)
  5              stopped by the account (key, credit, spend limit, model, a long
                 retry-after)
  6              the endpoint can't be reached, or is dead
  7              results could not be written
  129, 130, 143  interrupted (HUP, INT, TERM) after what was in flight had
                 finished
After 4 to 7 and interruptions the same command goes on.";

/// The program was asked to end before a run had begun.
#[derive(Debug, thiserror::Error)]
#[error("interrupted before anything was sent; to go on, run the same command")]
pub struct Interrupted(pub i32);

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Every row is answered; truncated and refused answers count.
    Done,
    /// A fault of this program.
    Internal,
    /// Usage, configuration or input; nothing was sent, unless an input broke off midway.
    Usage,
    /// Finished, but some rows failed; also when nothing is left but failures of earlier runs.
    SomeFailed,
    /// Stopped by a rule of the user: budget, time, halt.
    Stopped,
    /// Stopped by the account: key, credit, spend cap, model, a `retry-after` beyond `--retry-for`.
    Account,
    /// The endpoint can't be reached, is not safe, or is dead.
    Endpoint,
    /// Results could not be written.
    Output,
    /// Interrupted by this signal, after a drain.
    Interrupted(i32),
}

impl Exit {
    /// Returns the code.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Internal => 1,
            Self::Usage => 2,
            Self::SomeFailed => 3,
            Self::Stopped => 4,
            Self::Account => 5,
            Self::Endpoint => 6,
            Self::Output => 7,
            Self::Interrupted(signal) => u8::try_from(128 + signal.clamp(0, 127)).unwrap_or(u8::MAX),
        }
    }

    /// Returns how a run ends: by what stopped it, else by whether rows failed, in this run or in earlier ones.
    pub fn of_run(halt: Option<&HaltReason>, failed: u64) -> Self {
        match halt {
            Some(reason) => Self::from(reason),
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
            | HaltReason::RetryAfter { .. } => Self::Account,
            HaltReason::Tls(_) | HaltReason::Endpoint(_) => Self::Endpoint,
            HaltReason::AllFail { .. } | HaltReason::Budget(_) => Self::Stopped,
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

/// Returns what stopped a run and what to do next, in one or two sentences for the end of the summary.
///
/// `resume` is the command that takes the rows of a pipe from their log; `None` where the same command goes on, which
/// the summary then names. Shape: one line; what a server said is escaped and in quotes.
pub fn explain(reason: &HaltReason, resume: Option<&str>) -> String {
    let next = resume.map_or("run the same command".to_owned(), |resume| format!("run {}", escape(resume)));
    match reason {
        HaltReason::Key(failure) => format!(
            "The API refused the key{}. Check ANTHROPIC_API_KEY (or --api-key-file, --api-key-cmd), then {next}; \
             no row was lost.",
            said(failure)
        ),
        HaltReason::Forbidden(failure) => format!(
            "The API forbids these requests{}. Check what the key and its workspace may do, then {next}.",
            said(failure)
        ),
        HaltReason::Account(failure) => format!(
            "The account is stopped{}. Check credit, billing and spend limits in the console, then {next}.",
            said(failure)
        ),
        HaltReason::Models(failure) => format!(
            "No model of this run was found{}. Check the model's name and --base-url, then {next}; rows that name \
             their model need a change in the input.",
            said(failure)
        ),
        HaltReason::RetryAfter { wait, allowed } => format!(
            "The API asks to wait {}, longer than --retry-for allows ({}). After that, or with a longer --retry-for, \
             {next}.",
            duration(*wait),
            duration(*allowed)
        ),
        HaltReason::Tls(failure) => format!(
            "The connection could not be made safe{}. Check the address and the clock; a proxy's own certificates are \
             added with --ca-file. Then {next}.",
            said(failure)
        ),
        HaltReason::Endpoint(failure) => format!(
            "The endpoint can't be reached or answers with nothing but faults{}. Check the network, proxies and \
             --base-url, then {next}.",
            said(failure)
        ),
        HaltReason::AllFail { rows, class, failure } => format!(
            "All of the first {} rows failed alike ({class}){}. Mend that, then {}; --halt never goes on \
             regardless.",
            count(*rows),
            said(failure),
            resume.map_or("run the same command with --retry-failed".to_owned(), |_| next)
        ),
        HaltReason::Disk(message) if resume.is_some() => {
            format!("Standard output took no more ({}). To go on, {next}.", escape(message))
        }
        HaltReason::Disk(message) => format!(
            "Results could not be written ({}). Make room or mend the disk, then {next}; answers since the last sync \
             may be paid and lost.",
            escape(message)
        ),
        HaltReason::Signal(_) => format!("Interrupted. To go on, {next}."),
        HaltReason::Budget(message) => {
            format!("A limit you set is reached ({}). To go on, raise it and {next}.", escape(message))
        }
    }
}

/// Returns what came, to stand after a clause: `: 401, "invalid x-api-key", request req_1`.
fn said(failure: &Failure) -> String {
    let status = failure.status.map(|status| status.to_string());
    let message = (!failure.message.is_empty()).then(|| format!("\"{}\"", escape(&failure.message)));
    let request = failure.request_id.as_ref().map(|id| format!("request {}", escape(id)));
    let parts = [status, message, request].into_iter().flatten().collect::<Vec<_>>();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::ErrorClass;

    #[test]
    fn each_reason_to_stop_has_its_code() {
        let codes = reasons().map(|reason| Exit::from(&reason).code());

        assert_eq!(codes, [5, 5, 5, 5, 5, 6, 6, 4, 7, 130, 143, 129, 4]);
    }

    #[test]
    fn what_stopped_a_run_weighs_more_than_failed_rows() {
        assert_eq!(Exit::of_run(None, 0), Exit::Done);
        assert_eq!(Exit::of_run(None, 12), Exit::SomeFailed);
        assert_eq!(Exit::of_run(Some(&HaltReason::Signal(2)), 12).code(), 130);
    }

    #[test]
    fn the_table_names_every_code() {
        for code in ["0", "1", "2", "3", "4", "5", "6", "7", "129, 130, 143"] {
            let is_named = TABLE.lines().any(|line| line.trim_start().starts_with(&format!("{code}  ")));
            assert!(is_named, "{code}");
        }
    }

    #[test]
    fn every_explanation_says_what_to_do_and_can_not_steer_the_terminal() {
        for reason in reasons() {
            let (same, piped) = (explain(&reason, None), explain(&reason, Some("claude-batch resume x.jsonl")));

            assert!(!same.chars().any(char::is_control), "{same:?}");
            assert!(same.contains("run the same command"), "{same}");
            assert!(piped.contains("run claude-batch resume x.jsonl") && !piped.contains("the same"), "{piped}");
        }
    }

    #[test]
    fn a_refused_key_is_explained_with_what_the_server_said() {
        let [key, ..] = reasons();

        insta::assert_snapshot!(explain(&key, None), @r#"The API refused the key (401, "invalid x-api-key\u{1b}[2J\n", request req_1). Check ANTHROPIC_API_KEY (or --api-key-file, --api-key-cmd), then run the same command; no row was lost."#);
    }

    fn reasons() -> [HaltReason; 13] {
        let failure = Failure {
            status: Some(401),
            message: "invalid x-api-key\x1b[2J\n".to_owned(),
            request_id: Some("req_1".to_owned()),
            ..Failure::default()
        };
        let wait = Duration::from_secs(7_200);
        [
            HaltReason::Key(failure.clone()),
            HaltReason::Forbidden(failure.clone()),
            HaltReason::Account(failure.clone()),
            HaltReason::Models(failure.clone()),
            HaltReason::RetryAfter { wait, allowed: Duration::from_secs(1_800) },
            HaltReason::Tls(failure.clone()),
            HaltReason::Endpoint(Failure::default()),
            HaltReason::AllFail { rows: 10, class: ErrorClass::InvalidRequest, failure },
            HaltReason::Disk("no space left on device\n".to_owned()),
            HaltReason::Signal(2),
            HaltReason::Signal(15),
            HaltReason::Signal(1),
            HaltReason::Budget("--max-cost $40.00".to_owned()),
        ]
    }
}
