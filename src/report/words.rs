//! Short texts about faults and waits, for notes, live lines, and the first line of the summary.
//!
//! The texts depend on error types and HTTP statuses, never on error messages.

use std::borrow::Cow;

use super::text::{duration, escape};
use crate::domain::{
    Dimension, Failure, FallbackCase, HaltReason, Outage, Reason, WireErrorKind, WriteFault, WriteTarget, shortened,
};

/// Returns a text that says why a run stopped. The text is short enough to be a part of a line.
pub(crate) fn halt_words(reason: &HaltReason) -> Cow<'static, str> {
    match reason {
        HaltReason::Key(_) => "the key was refused".into(),
        HaltReason::Forbidden(_) => "the key has no permission for these requests".into(),
        HaltReason::Account(_) => "the account is stopped".into(),
        HaltReason::Models(_) => "no model of the remaining rows was found".into(),
        HaltReason::RetryAfter { .. } => "the API asks to wait longer than --retry-for".into(),
        HaltReason::Tls(_) => wire_words(WireErrorKind::Tls).into(),
        HaltReason::Proxy(_) => wire_words(WireErrorKind::ProxyAuth).into(),
        HaltReason::Redirect { .. } => "the endpoint redirects requests".into(),
        HaltReason::Endpoint(failure) => fault_words(failure),
        HaltReason::OtherWorkspace => "the open batches belong to another workspace".into(),
        HaltReason::Batches(_) => "the API accepts no batch".into(),
        HaltReason::AllFail { rows, finished, .. } if rows == finished => "every row fails".into(),
        HaltReason::AllFail { .. } => "too many rows failed".into(),
        HaltReason::Disk(WriteFault { target: WriteTarget::StandardOutput, .. }) => {
            "standard output can't be written".into()
        }
        HaltReason::Disk(WriteFault { target: WriteTarget::File, .. }) => "results can't be written".into(),
        HaltReason::Signal(_) => "interrupted".into(),
        HaltReason::Ctl { is_drain: true } => "drained by ctl".into(),
        HaltReason::Ctl { is_drain: false } => "stopped by ctl".into(),
        HaltReason::Budget(_) => "a limit that you set is reached".into(),
    }
}

/// Returns a text that says what a run is doing while this reason slows it down. The text can follow a share of the
/// run's time: `74% waiting for the last answers`.
pub(crate) fn doing_words(reason: Reason) -> &'static str {
    match reason {
        Reason::Limit(Dimension::Requests) => "limited by requests per minute",
        Reason::Limit(Dimension::InputTokens) => "limited by input tokens per minute",
        Reason::Limit(Dimension::OutputTokens) => "limited by output tokens per minute",
        Reason::Window => "limited by concurrency",
        Reason::Hold => "held by the server (429)",
        Reason::Ramp => "raising the rate step by step",
        Reason::Probe => "waiting for the endpoint to work again",
        Reason::Gate => "waiting for the cache to be filled",
        Reason::Backoff => "waiting for the next try of failed requests",
        Reason::Budget => "limited by the budget",
        Reason::Input => "waiting for the input",
        Reason::Memory => "limited by memory for rows",
        Reason::Disk => "waiting for the disk",
        Reason::Paused => "paused",
        Reason::Batches => "waiting for batches",
        Reason::Draining => "waiting for the last answers",
    }
}

/// Finds the reason that has this name in status files, and returns the result of `doing_words` for this reason.
/// Returns `None` for a name that this program does not know.
pub(crate) fn doing_words_of(name: &str) -> Option<&'static str> {
    Reason::ALL.into_iter().find(|reason| reason.name() == name).map(doing_words)
}

/// Returns a short text about the fault of a provider. The text is made from the provider's last failure.
pub(crate) fn fault_words(failure: &Failure) -> Cow<'static, str> {
    match (failure.wire, failure.status, &failure.kind) {
        (Some(kind), ..) => wire_words(kind).into(),
        (None, Some(529), _) => "the endpoint is overloaded (529)".into(),
        (None, Some(200..300), Some(kind)) => format!("the endpoint's answers are errors ({})", escape(kind)).into(),
        (None, Some(200..300), None) => "the endpoint does not answer in the form of the API".into(),
        (None, Some(status), _) => format!("the endpoint fails ({status})").into(),
        (None, None, _) => "the endpoint fails".into(),
    }
}

/// Returns the state of an outage as text: `the endpoint is overloaded (529) for 42 s, next try in 3 s`.
pub(crate) fn outage_words(outage: &Outage) -> String {
    let next = match outage.next_try {
        Some(wait) if wait.is_zero() => ", next try now".to_owned(),
        Some(wait) => format!(", next try in {}", duration(wait)),
        None => ", trying".to_owned(),
    };
    format!("{} for {}{next}", fault_words(&outage.fault), duration(outage.lasted))
}

/// Returns the state of an outage as a short text: `529 for 42 s, next in 3 s`.
pub(super) fn short_outage(outage: &Outage) -> String {
    let status = outage.fault.status.map_or_else(|| "down".to_owned(), |status| status.to_string());
    let next = outage.next_try.map(|wait| format!(", next in {}", duration(wait))).unwrap_or_default();
    format!("{status} for {}{next}", duration(outage.lasted))
}

/// Returns whether `why` (the reason to leave a provider) concerns all rows of this provider, and not only single rows.
pub(super) fn is_about_provider(why: FallbackCase) -> bool {
    match why {
        FallbackCase::Limit | FallbackCase::Overload | FallbackCase::Endpoint | FallbackCase::Account => true,
        FallbackCase::Refusal | FallbackCase::Model => false,
    }
}

/// Returns a short text that says why rows are sent to another provider.
pub(crate) fn case_words(why: FallbackCase) -> &'static str {
    match why {
        FallbackCase::Limit => "limits",
        FallbackCase::Overload => "overload",
        FallbackCase::Endpoint => "the endpoint fails",
        FallbackCase::Refusal => "refusals of the model",
        FallbackCase::Model => "the model is not available",
        FallbackCase::Account => "key, credit or spend limit",
    }
}

/// Returns the text that says why rows of one provider go to another provider: `rows of anthropic go to bedrock
/// (overload)`.
pub(crate) fn diverted_words(from: &str, to: &str, why: FallbackCase) -> String {
    match why {
        // The reason is left out, because another note says why the provider stopped.
        FallbackCase::Account => format!("rows of {from} go to {to}"),
        why if is_about_provider(why) => format!("rows of {from} go to {to} ({})", case_words(why)),
        why => format!("some rows of {from} go to {to} ({})", case_words(why)),
    }
}

/// Returns the text about a provider that has stopped, with the message of the server.
pub(crate) fn stopped_words(provider: &str, reason: &HaltReason) -> String {
    let message = reason.failure().map(|failure| &*failure.message).filter(|message| !message.is_empty());
    let said = message.map(|message| format!(" (\"{}\")", shortened(message))).unwrap_or_default();
    format!("{provider} stopped: {}{said}", halt_words(reason))
}

/// Returns the text for a provider that works again and therefore gets its own rows again.
pub(crate) fn returned_words(to: &str) -> String {
    format!("{to} gets its own rows again")
}

fn wire_words(kind: WireErrorKind) -> &'static str {
    match kind {
        WireErrorKind::Authorization => "there is no credential for the endpoint",
        WireErrorKind::Connect => "the endpoint can't be reached",
        WireErrorKind::Proxy => "the proxy can't be reached or does not connect",
        WireErrorKind::ProxyAuth => "the proxy refuses to forward requests",
        WireErrorKind::Tls => "the connection is not safe",
        WireErrorKind::Timeout => "the endpoint does not answer in time",
        WireErrorKind::Idle => "the endpoint falls silent in the middle of answers",
        WireErrorKind::Broken => "the endpoint breaks connections",
        WireErrorKind::TooLarge => "the endpoint's answers are too large",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_hold_mentions_only_the_429() {
        assert_eq!(Reason::Hold.name(), "holds after 429");
    }

    #[test]
    fn the_words_for_a_reason_are_found_by_its_name() {
        assert_eq!(doing_words_of("last answers"), Some("waiting for the last answers"));
        assert_eq!(doing_words_of("output tokens per minute"), Some("limited by output tokens per minute"));
        assert_eq!(doing_words_of("a reason of a later version"), None);
    }

    #[test]
    fn only_a_silent_endpoint_is_described_as_not_answering() {
        let wire = |kind| Failure { wire: Some(kind), ..Failure::default() };
        let status = |status| Failure { status: Some(status), ..Failure::default() };
        let in_stream = Failure { kind: Some("overload\u{1b}".to_owned()), ..status(200) };
        let faults = WireErrorKind::ALL.map(wire).into_iter();
        let faults = faults.chain([500, 503, 529, 404, 200].map(status)).chain([in_stream, Failure::default()]);

        let words = faults.map(|failure| fault_words(&failure).into_owned()).collect::<Vec<_>>().join("\n");

        insta::assert_snapshot!(words, @r"
        there is no credential for the endpoint
        the endpoint can't be reached
        the proxy can't be reached or does not connect
        the proxy refuses to forward requests
        the connection is not safe
        the endpoint does not answer in time
        the endpoint falls silent in the middle of answers
        the endpoint breaks connections
        the endpoint's answers are too large
        the endpoint fails (500)
        the endpoint fails (503)
        the endpoint is overloaded (529)
        the endpoint fails (404)
        the endpoint does not answer in the form of the API
        the endpoint's answers are errors (overload\u{1b})
        the endpoint fails
        ");
    }
}
