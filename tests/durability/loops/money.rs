//! Tests attempts that were possibly billed although their answers are lost. The summary and the files must count these
//! attempts.

use std::fs;

use serde_json::Value;

use super::program::{Api, IN_FLIGHT, Outcome, Workspace};
use super::{Seen, Size};

/// A fault: for two of twenty rows, the first answer breaks off in the middle. The API charges these answers.
const BROKEN: &str = r#"{"rules":[{"kind":"reset_mid","contains":"tenth","first_attempts_only":true,"at":0.5}]}"#;

/// A fault: the first request of each row gets no answer.
const SILENT: &str = r#"{"rules":[{"kind":"stall","first_attempts_only":true}]}"#;

/// The summary and the lines of the rows give the number of ambiguous attempts that were retried. The API and the
/// program count the same number of these attempts.
pub fn retried_attempts_are_counted() {
    let (api, workspace) = (Api::start(BROKEN), Workspace::with_rows(20));

    let run = Outcome::of(workspace.command_with_messages(&api, &["run", "in.jsonl", "-o", "out.jsonl"]));

    assert_eq!((run.code, api.billed()), (Some(0), 22), "{run:?}");
    assert!(run.stderr.contains("possibly billed twice: 2 answers"), "{}", run.stderr);
    assert_eq!(sum_of(&workspace, "out.jsonl", "meta"), 2);
}

/// With `--no-retry-ambiguous`, rows fail if their attempt was possibly billed. The entries in the error log say that
/// these rows were possibly billed. `resume` sends these rows again.
pub fn attempts_that_are_not_retried_are_counted() {
    let (api, workspace) = (Api::start(BROKEN), Workspace::with_rows(20));

    let run = Outcome::of(
        workspace.command_with_messages(&api, &["run", "in.jsonl", "-o", "out.jsonl", "--no-retry-ambiguous"]),
    );
    let (sent, charged) = (api.requests(), api.billed());
    let maybe_paid = sum_of(&workspace, "out.errors.jsonl", "error");
    let resumed = Outcome::of(workspace.command_with_messages(&api, &["resume", "out.errors.jsonl"]));

    assert_eq!((run.code, sent, charged, maybe_paid), (Some(3), 20, 20, 2), "{run:?}");
    assert!(run.stderr.contains("possibly billed twice: 2 answers"), "{}", run.stderr);
    assert_eq!((resumed.code, api.requests(), workspace.answers().map(|answers| answers.len())), (Some(0), 22, Ok(20)));
    // The entries are removed from the log, but the number of possibly billed attempts is kept.
    assert_eq!(workspace.reported(), 2);
}

/// `--no-retry-ambiguous` applies only to attempts that failed. After a kill, nobody knows whether the rows in flight
/// were answered. No line says that these rows failed, so the next run sends them again, and counts all of them as
/// possibly billed.
pub fn a_kill_is_counted_with_or_without_the_flag() {
    for flags in [&[][..], &["--no-retry-ambiguous"]] {
        let (api, workspace) = (Api::start(SILENT), Workspace::with_rows(IN_FLIGHT));
        let mut run = workspace.run(&api).spawn().expect("the program can be started");
        while api.in_flight() < IN_FLIGHT as u64 {
            std::thread::yield_now();
        }
        run.kill().and_then(|()| run.wait()).expect("it can be killed");

        let again = Outcome::of(
            workspace.command_with_messages(&api, &[&["run", "in.jsonl", "-o", "out.jsonl"], flags].concat()),
        );

        assert_eq!(
            (again.code, workspace.answers().map(|answers| answers.len())),
            (Some(0), Ok(IN_FLIGHT)),
            "{again:?}"
        );
        assert_eq!(workspace.reported(), IN_FLIGHT as u64, "{flags:?}");
        assert!(again.stderr.contains("possibly billed twice: 16 answers"), "{}", again.stderr);
    }
}

/// If the server at an `https` URL does not use TLS, the run stops before it sends any request. Every row stays
/// pending.
pub fn a_fault_of_tls_stops_the_run_and_fails_no_row() {
    let (api, workspace) = (Api::start(SILENT), Workspace::with_rows(20));
    let url = api.url().replace("http://", "https://");

    let run = Outcome::of(workspace.plain_command(&[
        "run",
        "in.jsonl",
        "-o",
        "out.jsonl",
        "--tier",
        "none",
        "--base-url",
        &url,
    ]));

    assert!(run.code == Some(6) && run.stderr.contains("could not be made safe"), "{run:?}");
    let length = |name: &str| fs::metadata(workspace.path(name)).map_or(0, |file| file.len());
    assert_eq!((api.requests(), length("out.jsonl"), length("out.errors.jsonl"), workspace.reported()), (0, 0, 0, 0));
}

/// Runs this loop. Returns the results as lines for `benches/DURABILITY.md`.
pub fn page(_size: Size) -> Vec<Seen> {
    retried_attempts_are_counted();
    attempts_that_are_not_retried_are_counted();
    a_kill_is_counted_with_or_without_the_flag();
    a_fault_of_tls_stops_the_run_and_fails_no_row();
    vec![Seen::new(
        "what may have been billed twice (real program)",
        "counted in the summary and the run folder; a fault of TLS does not fail a row",
        "answers broken off and tried again, not tried again, and killed in flight (with and without \
         `--no-retry-ambiguous`): all counted; TLS: no row sent, none failed"
            .to_owned(),
    )]
}

/// Returns the sum of `maybe_paid` over all lines of a file.
fn sum_of(workspace: &Workspace, name: &str, member: &str) -> u64 {
    let text = fs::read_to_string(workspace.path(name)).expect("it is text");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is JSON"));
    lines.map(|line| line[member]["maybe_paid"].as_u64().unwrap_or(0)).sum()
}
