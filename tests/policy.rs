//! Tests the error policy, row by row: the meaning of each kind of response, and of each failure of a connection.
//!
//! Each row of the policy's table is tested completely: from the bytes of a response, or from a failure, to the
//! verdict. The scheduler decides how long a run waits, how often it tries again, and when it gives up.

mod exchange;
#[path = "exchange/policy.rs"]
mod policy;

use claude_batch::domain::{HaltReason, Verdict};
use exchange::Exchange;
use policy::{assert_all, verdict};

#[test]
fn the_policy_has_at_least_40_rows() {
    assert!(policy::all().len() >= 40);
}

#[test]
fn recorded_replies_have_their_verdicts() {
    assert_all(&policy::replies());
}

#[test]
fn statuses_without_a_body_have_their_verdicts() {
    assert_all(&policy::statuses());
}

#[test]
fn kinds_of_429_are_distinguished() {
    assert_all(&policy::limits());
}

#[test]
fn faults_of_an_account_halt_the_run_with_any_status() {
    assert_all(&policy::accounts());
}

#[test]
fn x_should_retry_is_obeyed_for_failures_of_a_row() {
    assert_all(&policy::should_retry());
}

#[test]
fn overload_is_recognized_by_status_or_type() {
    assert_all(&policy::overloads());
}

#[test]
fn errors_in_a_stream_are_judged_by_their_type() {
    assert_all(&policy::streams());
}

#[test]
fn failures_on_the_wire_have_their_verdicts() {
    assert_all(&policy::wire());
}

#[test]
fn a_redirect_names_its_target_without_the_query() {
    let verdict = verdict(&Exchange::load("302_redirect"));

    let Verdict::Halt(HaltReason::Redirect { to, failure }) = &verdict else { panic!("{verdict:?}") };
    assert_eq!(to.as_deref(), Some("https://login.example/sso"));
    assert!(failure.status == Some(302) && !format!("{verdict:?}").contains("next"), "{verdict:?}");
}

#[test]
fn failures_carry_the_details_that_support_asks_for() {
    let Verdict::Halt(HaltReason::Account(failure)) = verdict(&Exchange::load("429_spend_cap")) else { panic!("halt") };

    assert_eq!(failure.status, Some(429));
    assert_eq!(failure.kind.as_deref(), Some("rate_limit_error"));
    assert_eq!(failure.code.as_deref(), Some("enforced_spend_limit_reached"));
    assert_eq!(failure.request_id.as_deref(), Some("req_011CE13"));
    assert!(failure.message.starts_with("You have reached your API usage limits"));
}

#[test]
fn the_usage_of_a_broken_stream_is_kept() {
    let Verdict::Overloaded { failure, .. } = verdict(&Exchange::load("stream_error_after_text")) else {
        panic!("overload")
    };

    assert_eq!(failure.usage.input_tokens, 25);
}
