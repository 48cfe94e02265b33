//! Plans when the bytes of an answer are sent, and changes this plan for faults.

use std::time::Duration;

use bytes::{Buf, Bytes};

use crate::clock::Instant;
use crate::sim::faults::Fault;

use super::reply::{self, Piece};

/// Where a part of a batch's results begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResultsPart {
    /// The number of the batch.
    pub(super) batch: u64,
    /// The number of requests whose lines are in earlier parts.
    pub(super) place: usize,
}

/// A step in sending the body of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Bytes are sent.
    Bytes {
        /// The time at which the bytes are sent.
        at: Instant,
        /// The bytes.
        bytes: Bytes,
    },
    /// A part of the results of a batch is sent. [`Model::write_part`](super::Model::write_part) writes the part.
    Part {
        /// The time at which the part is sent.
        at: Instant,
        /// Where the part begins.
        part: ResultsPart,
    },
    /// The connection breaks.
    Reset {
        /// The time at which the connection breaks.
        at: Instant,
    },
    /// Nothing more is sent, and the connection stays open.
    Stall,
}

/// Spreads the events of a stream over the time from `begin` to `end`.
pub(super) fn spread(pieces: Vec<Piece>, begin: Instant, end: Instant) -> Vec<Step> {
    if begin == end {
        let all: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.bytes).collect();
        return vec![Step::Bytes { at: end, bytes: all.into() }];
    }
    let total = pieces.last().map_or(1, |piece| piece.tokens).max(1);
    let span = u128::from(end.as_nanos() - begin.as_nanos());
    let at = |tokens: u64| {
        let nanos = span * u128::from(tokens) / u128::from(total);
        begin + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    };
    pieces.into_iter().map(|piece| Step::Bytes { at: at(piece.tokens), bytes: piece.bytes.into() }).collect()
}

/// Applies a fault to the steps of a body. `error` is the text of an error event.
pub(super) fn spoil(mut steps: Vec<Step>, fault: &Fault, error: &[u8]) -> Vec<Step> {
    match fault {
        Fault::ResetMid { at } => {
            let broken = keep_part(&mut steps, *at);
            steps.push(Step::Reset { at: broken });
        }
        Fault::ResetAfter { bytes } => {
            let broken = keep_bytes(&mut steps, *bytes);
            steps.push(Step::Reset { at: broken });
        }
        Fault::Stall { at: Some(at) } => {
            keep_part(&mut steps, *at);
            steps.push(Step::Stall);
        }
        Fault::Truncated { at } => {
            keep_part(&mut steps, *at);
        }
        Fault::ErrorEvent { at, .. } => {
            let moment = keep_events(&mut steps, *at);
            steps.push(Step::Bytes { at: moment, bytes: Bytes::copy_from_slice(error) });
        }
        Fault::NoStart => drop_start(&mut steps),
        Fault::NoEnd => drop_end(&mut steps),
        Fault::SlowDrip { bytes, every } => steps = drip(steps, *bytes, *every),
        // Cache faults do not change the body.
        Fault::CacheIgnored | Fault::CacheEvicted { .. } => {}
        // With these faults, the body of the answer is never sent, so there is nothing to change.
        Fault::Status(_) | Fault::ResetBefore { .. } | Fault::Stall { at: None } | Fault::CacheRefused => {}
        // The code in `batches` applies the batch faults.
        Fault::Unlisted
        | Fault::RequestErrored { .. }
        | Fault::RequestExpired
        | Fault::ResultMissing
        | Fault::ResultExtra { .. } => {}
    }
    steps
}

/// Keeps only the first bytes of a body; `part` is their share, from 0 to 1. Returns the time at which the first
/// missing byte would have been sent.
fn keep_part(steps: &mut Vec<Step>, part: f64) -> Instant {
    let total: usize = steps.iter().map(length).sum();
    keep_bytes(steps, (total as f64 * part) as usize)
}

/// Keeps only the first `bytes` bytes of a body, and never keeps its last byte. Returns the time at which the first
/// missing byte would have been sent.
fn keep_bytes(steps: &mut Vec<Step>, bytes: usize) -> Instant {
    let total: usize = steps.iter().map(length).sum();
    let mut left = bytes.min(total.saturating_sub(1));
    let mut missing_at = Instant::ZERO;
    let mut kept = 0;
    for step in steps.iter_mut() {
        let Step::Bytes { at, bytes } = step else { break };
        missing_at = *at;
        kept += 1;
        if left <= bytes.len() {
            bytes.truncate(left);
            break;
        }
        left -= bytes.len();
    }
    steps.truncate(kept);
    missing_at
}

/// Keeps only the first events of a stream; `part` is their approximate share of the bytes. If `part` is 0, no event is
/// kept. Returns the time at which the first missing event would have been sent.
fn keep_events(steps: &mut Vec<Step>, part: f64) -> Instant {
    let moment = keep_part(steps, part);
    if let Some(Step::Bytes { bytes, .. }) = steps.last_mut() {
        let end = bytes.windows(2).rposition(|pair| pair == b"\n\n").map_or(0, |at| at + 2);
        bytes.truncate(end);
    }
    moment
}

/// Removes the first event of a stream.
fn drop_start(steps: &mut Vec<Step>) {
    let Some(Step::Bytes { bytes, .. }) = steps.first_mut() else { return };
    if !bytes.starts_with(reply::MESSAGE_START) {
        return;
    }
    bytes.advance(bytes.windows(2).position(|pair| pair == b"\n\n").map_or(0, |at| at + 2));
    if bytes.is_empty() {
        steps.remove(0);
    }
}

/// Removes the last event of a stream, or the closing brace of an object.
fn drop_end(steps: &mut [Step]) {
    let Some(Step::Bytes { bytes, .. }) = steps.last_mut() else { return };
    let end = if bytes.ends_with(reply::MESSAGE_STOP) { reply::MESSAGE_STOP.len() } else { 1 };
    bytes.truncate(bytes.len().saturating_sub(end));
}

fn drip(steps: Vec<Step>, size: usize, every: Duration) -> Vec<Step> {
    let mut dripped = Vec::new();
    let mut next = Instant::ZERO;
    for step in steps {
        let Step::Bytes { at, mut bytes } = step else { continue };
        next = next.max(at);
        while !bytes.is_empty() {
            let drop = bytes.split_to(size.max(1).min(bytes.len()));
            dripped.push(Step::Bytes { at: next, bytes: drop });
            next = next + every;
        }
    }
    dripped
}

fn length(step: &Step) -> usize {
    match step {
        Step::Bytes { bytes, .. } => bytes.len(),
        Step::Part { .. } | Step::Reset { .. } | Step::Stall => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_comes_at_the_moment_of_the_first_missing_byte() {
        let spoiled = spoil(body(), &Fault::ResetMid { at: 0.5 }, b"");

        assert_eq!(text(&spoiled), "0123\n\n6");
        assert_eq!(spoiled.last(), Some(&Step::Reset { at: Instant::from_secs(2) }));
    }

    #[test]
    fn an_error_event_follows_whole_events() {
        const EVENT: &[u8] = b"event: error\ndata: E\n\n";
        let first = spoil(body(), &Fault::ErrorEvent { at: 0.0, kind: String::new() }, EVENT);
        let later = spoil(body(), &Fault::ErrorEvent { at: 0.5, kind: String::new() }, EVENT);

        assert_eq!(text(&first), "event: error\ndata: E\n\n");
        assert_eq!(text(&later), "0123\n\nevent: error\ndata: E\n\n");
    }

    #[test]
    fn a_stream_without_its_first_event_has_all_other_bytes() {
        let step = |second, text: &'static str| {
            let bytes = Bytes::from_static(text.as_bytes());
            Step::Bytes { at: Instant::from_secs(second), bytes }
        };
        let apart = vec![step(1, "event: message_start\ndata: {}\n\n"), step(2, "rest\n\n")];
        let at_once = vec![step(1, "event: message_start\ndata: {}\n\nrest\n\n")];

        assert_eq!(text(&spoil(apart, &Fault::NoStart, b"")), "rest\n\n");
        assert_eq!(text(&spoil(at_once, &Fault::NoStart, b"")), "rest\n\n");
        assert_eq!(text(&spoil(vec![step(1, "{\"a\":1}")], &Fault::NoStart, b"")), "{\"a\":1}");
    }

    #[test]
    fn a_slow_drip_sends_all_bytes_at_its_interval() {
        let spoiled = spoil(body(), &Fault::SlowDrip { bytes: 4, every: Duration::from_secs(3) }, b"");

        assert_eq!(text(&spoiled), "0123\n\n6789\n\nab");
        let last = spoiled.last();
        assert!(matches!(last, Some(Step::Bytes { at, .. }) if *at == Instant::from_secs(10)), "{last:?}");
    }

    fn body() -> Vec<Step> {
        [(1, "0123\n\n"), (2, "6789\n\nab")]
            .into_iter()
            .map(|(at, text)| Step::Bytes { at: Instant::from_secs(at), bytes: Bytes::from_static(text.as_bytes()) })
            .collect()
    }

    fn text(steps: &[Step]) -> String {
        let bytes: Vec<u8> = steps
            .iter()
            .flat_map(|step| match step {
                Step::Bytes { bytes, .. } => bytes.to_vec(),
                Step::Part { .. } | Step::Reset { .. } | Step::Stall => Vec::new(),
            })
            .collect();
        String::from_utf8(bytes).expect("ASCII")
    }
}
