//! Texts about the open batches of a run.
//!
//! While a batch is processed, the API does not show the answers of the batch. The API also does not show how many
//! requests are answered. So nothing is known about the progress inside a batch. The texts do not predict the end of
//! open batches from the duration of ended batches.

use std::time::Duration;

use super::text::{count, plural, rough_duration, short_count};
use crate::domain::BatchesStatus;

/// The time within which most batches end. Source: API documentation, "Batch processing" (2026-09-20).
const MOST_END: Duration = Duration::from_secs(3_600);

/// A part of the live line about batches: its rank, its long form, and its short form. The parts with the lowest rank
/// are the first to be shortened or left out.
pub(super) type Piece = (u8, String, String);

/// Returns the state of the batches as text that follows the words "waiting for".
pub(super) fn words(batches: &BatchesStatus) -> String {
    let mut parts = Vec::new();
    if batches.open > 0 {
        let age = match batches.open {
            1 => format!("submitted {} ago", rough_duration(batches.oldest)),
            _ => format!("the oldest submitted {} ago", rough_duration(batches.oldest)),
        };
        parts.push(format!("{}, {age}", open_words(batches, "batch", "batches")));
        parts.extend(prospect(batches));
    }
    if batches.collecting > 0 {
        let ended = plural(batches.collecting as u64, "batch that has", "batches that have");
        parts.push(format!("the results of {ended} ended"));
    }
    if batches.is_unclear {
        parts.push("the reply to a submission was lost, so its batch is looked for".to_owned());
    }
    if batches.is_canceling {
        parts.push(if batches.open == 1 { "it is being canceled" } else { "some are being canceled" }.to_owned());
    }
    if parts.is_empty() {
        // If a request in a batch has an error, the API reports the error only when the batch ends. So the run first
        // sends one request of each kind online.
        parts.push("a first answer, before the other rows go into batches".to_owned());
    }
    parts.join("; ")
}

/// Returns a text about the end of the batches: when most batches end, and when the first open batch expires. Returns
/// `None` if both times are unknown.
fn prospect(batches: &BatchesStatus) -> Option<String> {
    let most = experience(batches).map(str::to_owned);
    let expires = batches.expires_in.map(|span| {
        let which = if batches.open == 1 { "it" } else { "the first" };
        format!("{which} expires in {}", rough_duration(span))
    });
    let parts: Vec<_> = most.into_iter().chain(expires).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Returns a text about the usual duration of batches. Returns `None` if a batch has already been open for longer than
/// usual.
pub(super) fn experience(batches: &BatchesStatus) -> Option<&'static str> {
    (batches.open > 0 && batches.oldest < MOST_END).then_some("most end within an hour")
}

fn open_words(batches: &BatchesStatus, one: &str, many: &str) -> String {
    format!("{} ({})", plural(batches.open as u64, one, many), plural(batches.rows, "row", "rows"))
}

/// Returns the parts of the live line about batches.
pub(super) fn pieces(batches: &BatchesStatus) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut add = |rank, long: String, short: String| pieces.push((rank, long, short));
    if batches.open > 0 {
        let short = plural(batches.open as u64, "batch", "batches");
        let short = format!("{short} ({})", short_count(batches.rows));
        add(9, open_words(batches, "batch in progress", "batches in progress"), short);
        let age = rough_duration(batches.oldest);
        add(7, format!("submitted {age} ago"), format!("{age} old"));
    }
    if batches.collecting > 0 {
        let (ended, short) = (batches.collecting as u64, count(batches.collecting as u64));
        add(8, format!("collecting {}", plural(ended, "batch", "batches")), format!("collecting {short}"));
    }
    if batches.is_unclear {
        add(8, "looking for a lost reply".to_owned(), "lost reply".to_owned());
    }
    if batches.is_canceling {
        add(8, "being canceled".to_owned(), "canceling".to_owned());
    }
    if let Some(span) = batches.expires_in.filter(|_| batches.open > 0) {
        let span = rough_duration(span);
        let which = if batches.open == 1 { "" } else { "the first " };
        add(5, format!("{which}expires in {span}"), format!("expires in {span}"));
    }
    if pieces.is_empty() {
        pieces.push((
            9,
            "waiting for a first answer before rows go into batches".to_owned(),
            "first answer".to_owned(),
        ));
    }
    pieces
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[test]
    fn the_words_say_what_the_run_waits_for() {
        let one = BatchesStatus { open: 1, rows: 1, ..many() };
        let old = BatchesStatus { oldest: Duration::from_secs(7_300), ..many() };
        let none = BatchesStatus::default();
        let all = [
            many(),
            one,
            old,
            BatchesStatus { expires_in: None, is_unclear: true, ..one },
            BatchesStatus { is_canceling: true, ..one },
            BatchesStatus { is_canceling: true, ..old },
            BatchesStatus { collecting: 2, ..many() },
            BatchesStatus { collecting: 1, ..none },
            BatchesStatus { is_trying: true, ..none },
        ];

        insta::assert_snapshot!(all.map(|batches| words(&batches)).join("\n"), @"
        25 batches (250,000 rows), the oldest submitted 12 min ago; most end within an hour, the first expires in 23 h 48 min
        1 batch (1 row), submitted 12 min ago; most end within an hour, it expires in 23 h 48 min
        25 batches (250,000 rows), the oldest submitted 2 h 01 min ago; the first expires in 23 h 48 min
        1 batch (1 row), submitted 12 min ago; most end within an hour; the reply to a submission was lost, so its batch is looked for
        1 batch (1 row), submitted 12 min ago; most end within an hour, it expires in 23 h 48 min; it is being canceled
        25 batches (250,000 rows), the oldest submitted 2 h 01 min ago; the first expires in 23 h 48 min; some are being canceled
        25 batches (250,000 rows), the oldest submitted 12 min ago; most end within an hour, the first expires in 23 h 48 min; the results of 2 batches that have ended
        the results of 1 batch that has ended
        a first answer, before the other rows go into batches
        ");
    }

    /// Returns the state of 25 open batches that were submitted twelve minutes ago.
    pub(in super::super) fn many() -> BatchesStatus {
        BatchesStatus {
            open: 25,
            rows: 250_000,
            oldest: Duration::from_secs(720),
            expires_in: Some(Duration::from_secs(24 * 3_600 - 720)),
            next_look: Some(Duration::from_secs(30)),
            ..BatchesStatus::default()
        }
    }
}
