//! Finds out whether a server rejected a request because the clock of this machine is wrong.
//!
//! A signature contains a time, and is valid only for some minutes before and after that time. So a server rejects
//! signatures from a machine with a wrong clock. But the server's error message seldom names the clock. The `date`
//! header of a response has the time of the server.

use http::header::DATE;
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};

use super::wire::ReplyHead;
use crate::domain::{Failure, HaltReason, Verdict};

/// The allowed difference between the clocks of this machine and of the server. AWS accepts signatures for five minutes
/// before and after their time. Source: AWS, "Troubleshoot AWS Signature Version 4" (2026-11-26).
const ALLOWED: SignedDuration = SignedDuration::from_mins(5);
/// The words in AWS messages about a wrong signature time. The services of AWS use different words for this error.
const WORDS: [&str; 5] = [
    "signature expired",
    "signature not yet current",
    "requesttimetooskewed",
    "the difference between the request time and the current time is too large",
    "request time is too skewed",
];

/// If a wrong clock explains the failure in a verdict, adds a sentence about the clock to the failure. `now` is the
/// time on this machine.
pub(crate) fn explain_refusal(head: &ReplyHead, verdict: &mut Verdict, now: Timestamp) {
    if let Some(failure) = failure_of(verdict)
        && let Some(skew) = clock_skew(head, &failure.message, now)
    {
        let said = std::mem::take(&mut failure.message);
        failure.message = if said.is_empty() { skew } else { format!("{said} ({skew})") };
    }
}

/// If the request was rejected, returns the failure that the verdict contains.
fn failure_of(verdict: &mut Verdict) -> Option<&mut Failure> {
    match verdict {
        Verdict::Rejected { failure, .. } | Verdict::Transient { failure, .. } | Verdict::Forbidden(failure) => {
            Some(failure)
        }
        Verdict::Halt(HaltReason::Key(failure) | HaltReason::Forbidden(failure) | HaltReason::Account(failure)) => {
            Some(failure)
        }
        Verdict::Answered(_)
        | Verdict::Paused { .. }
        | Verdict::Limited { .. }
        | Verdict::Overloaded { .. }
        | Verdict::NoModel(_)
        | Verdict::Halt(_)
        | Verdict::Aborted => None,
    }
}

/// If a wrong clock explains why the server rejected the request (with status 400, 401 or 403), returns a sentence
/// about the clock. `message` is the message of the server, and `now` is the time on this machine.
///
/// If the status is 401 or 403, a `date` header that differs from `now` by more than `ALLOWED` is enough. If the status
/// is 400, the message must be about the time of a signature.
fn clock_skew(head: &ReplyHead, message: &str, now: Timestamp) -> Option<String> {
    let message = message.to_ascii_lowercase();
    let is_said = WORDS.iter().any(|words| message.contains(words));
    let by_header = date(head).map(|server| now.duration_since(server)).filter(|ahead| ahead.abs() > ALLOWED);
    match head.status {
        401 | 403 if is_said || by_header.is_some() => {}
        400 if is_said => {}
        _ => return None,
    }
    let ahead = by_header.or_else(|| said(&message));
    Some(match ahead {
        Some(ahead) => {
            let direction = if ahead.is_positive() { "ahead of" } else { "behind" };
            let by = SignedDuration::from_secs(ahead.abs().as_secs());
            format!("the clock of this machine is {by:#} {direction} the clock of the server: correct the clock")
        }
        None => "the server finds the time of the signature wrong: check the clock of this machine".to_owned(),
    })
}

fn date(head: &ReplyHead) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(head.headers.get(DATE)?.to_str().ok()?).ok()
}

/// Returns by how much the clock of this machine is ahead of the server's clock, according to a message. The first time
/// in the message is the time of the signature, and the last time is the time of the server. An example is `Signature
/// expired: 20261127T090000Z is now earlier than 20261127T091000Z (20261127T091500Z - 5 min.)`.
fn said(message: &str) -> Option<SignedDuration> {
    let times: Vec<_> = message.split(|char: char| !char.is_ascii_alphanumeric()).filter_map(time).collect();
    match times[..] {
        [signed, .., server] => Some(signed.duration_since(server)),
        _ => None,
    }
}

/// Reads a time such as `20261127t091500z`.
fn time(word: &str) -> Option<Timestamp> {
    if word.len() != 16 || !word.ends_with('z') {
        return None;
    }
    let [date, time] = [&word[..8], &word[9..15]];
    let text = format!("{}-{}-{}T{}:{}:{}Z", &date[..4], &date[4..6], &date[6..], &time[..2], &time[2..4], &time[4..]);
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-27T09:15:00Z";

    fn skew(status: u16, date: &str, message: &str) -> Option<String> {
        let mut headers = http::HeaderMap::new();
        if !date.is_empty() {
            headers.insert(DATE, date.parse().expect("a value"));
        }
        clock_skew(&ReplyHead { status, headers }, message, NOW.parse().expect("a time"))
    }

    #[test]
    fn a_date_header_that_is_far_away_explains_a_refusal() {
        let ahead = skew(403, "Fri, 27 Nov 2026 09:00:00 GMT", "The security token is invalid");
        let behind = skew(401, "Fri, 27 Nov 2026 10:15:30 GMT", "");

        assert_eq!(
            ahead.as_deref(),
            Some("the clock of this machine is 15m ahead of the clock of the server: correct the clock")
        );
        assert_eq!(
            behind.as_deref(),
            Some("the clock of this machine is 1h 30s behind the clock of the server: correct the clock")
        );
    }

    #[test]
    fn the_failure_of_a_verdict_names_the_clock() {
        let headers = [(DATE, "Fri, 27 Nov 2026 09:00:00 GMT".parse().expect("a value"))].into_iter().collect();
        let head = ReplyHead { status: 403, headers };
        let failure = Failure { message: "no".to_owned(), ..Failure::default() };
        let mut verdict = Verdict::Halt(HaltReason::Key(failure));

        explain_refusal(&head, &mut verdict, NOW.parse().expect("a time"));

        let message = failure_of(&mut verdict).map(|failure| failure.message.clone()).unwrap_or_default();
        assert!(message.starts_with("no (the clock of this machine is 15m ahead"), "{message}");
    }

    #[test]
    fn a_clock_that_is_nearly_right_or_another_status_explains_nothing() {
        assert_eq!(skew(403, "Fri, 27 Nov 2026 09:11:00 GMT", "not allowed"), None);
        assert_eq!(skew(403, "yesterday", "not allowed"), None);
        assert_eq!(skew(403, "", "not allowed"), None);
        for status in [200, 400, 429, 500] {
            assert_eq!(skew(status, "Fri, 27 Nov 2026 01:00:00 GMT", "slow down"), None, "{status}");
        }
    }

    #[test]
    fn the_words_of_aws_give_the_difference() {
        let expired =
            "Signature expired: 20261127T090000Z is now earlier than 20261127T091000Z (20261127T091500Z - 5 min.)";
        let early = "Signature not yet current: 20261127T093000Z is still later than 20261127T092000Z \
                     (20261127T091500Z + 5 min.)";

        assert!(skew(403, "", expired).is_some_and(|words| words.contains("15m behind")));
        assert!(skew(400, "", early).is_some_and(|words| words.contains("15m ahead")));
        assert!(skew(403, "", "RequestTimeTooSkewed").is_some_and(|words| words.contains("check the clock")));
    }
}
