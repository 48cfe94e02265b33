//! Texts that say what a run is doing now, and why it is not faster.

use super::open_batches;
use super::outlook::Outlook;
use super::parts::Tone;
use super::standing::Standing;
use super::stats::Stats;
use super::text::{count, countdown, escape};
use super::words::{doing_words, outage_words, short_outage};
use crate::domain::{Dimension, Reason};

/// A text that says what a run is doing now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Now {
    /// The long form of the text, such as `limited by output tokens per minute`.
    pub(super) long: String,
    /// The short form of the text, such as `limited by output tokens`.
    pub(super) short: String,
    /// The style of the text on a terminal with colours.
    pub(super) tone: Tone,
}

impl Now {
    fn new(tone: Tone, long: impl Into<String>, short: impl Into<String>) -> Self {
        Self { long: long.into(), short: short.into(), tone }
    }

    /// Returns the text about what a run is doing now. Returns `None` before the first status of the run.
    pub(super) fn of(stats: &Stats) -> Option<Self> {
        let standing = stats.standing.as_ref()?;
        if stats.is_stopping {
            return Some(stopping(standing.in_flight as u64));
        }
        // In a run with several providers, each provider has a line of its own that shows its outage.
        if let Some(outage) = stats.outage.as_ref().filter(|_| !stats.providers.are_several()) {
            return Some(Self::new(Tone::Fault, outage_words(outage), short_outage(outage)));
        }
        if let Some(batches) = stats.waits_for_batches() {
            let most = open_batches::experience(batches).map(|most| format!(" ({most})")).unwrap_or_default();
            return Some(Self::new(Tone::Notable, format!("waiting for batches{most}"), "waiting for batches"));
        }
        if standing.reason == Reason::Hold
            && let Some(held) = held(standing, stats.providers.are_several())
        {
            return Some(held);
        }
        let outlook = stats.outlook();
        Some(match (&outlook, outlook.words().zip(outlook.short_words())) {
            (Outlook::Waiting { .. }, Some((long, short))) => Self::new(Tone::Notable, long, short),
            _ => by_reason(standing.reason),
        })
    }
}

/// Returns the text for a run that is stopping before its rows are done.
fn stopping(in_flight: u64) -> Now {
    let long = match in_flight {
        0 => "stopping".to_owned(),
        1 => "stopping, waiting for the last answer".to_owned(),
        some => format!("stopping, waiting for the last {} answers", count(some)),
    };
    Now::new(Tone::Notable, long, format!("stopping, {} left", count(in_flight)))
}

/// Returns the text for a pool that waits after a 429. If the run has several pools, the text names the pool.
fn held(standing: &Standing, has_several: bool) -> Option<Now> {
    let pool = standing.busiest()?;
    let left = countdown(pool.held_for?);
    let name = match standing.pools.len() {
        1 => String::new(),
        _ => format!("{} ", escape(&pool.pool.named(has_several))),
    };
    Some(Now::new(Tone::Notable, format!("{name}held by the server (429), {left} left"), format!("held, {left} left")))
}

/// Returns the text for the reason why the run is not sending more requests.
fn by_reason(reason: Reason) -> Now {
    let (tone, short) = match reason {
        Reason::Limit(Dimension::Requests) => (Tone::Main, "limited by requests"),
        Reason::Limit(Dimension::InputTokens) => (Tone::Main, "limited by input tokens"),
        Reason::Limit(Dimension::OutputTokens) => (Tone::Main, "limited by output tokens"),
        Reason::Hold => (Tone::Notable, "held"),
        Reason::Ramp => (Tone::Main, "raising the rate"),
        Reason::Probe => (Tone::Notable, "endpoint fails"),
        Reason::Gate => (Tone::Main, "filling the cache"),
        Reason::Backoff => (Tone::Notable, "waiting to retry"),
        Reason::Memory => (Tone::Main, "limited by memory"),
        Reason::Paused => (Tone::Notable, doing_words(reason)),
        Reason::Draining => (Tone::Main, "last answers"),
        Reason::Window | Reason::Budget | Reason::Input | Reason::Disk | Reason::Batches => {
            (Tone::Main, doing_words(reason))
        }
    };
    Now::new(tone, doing_words(reason), short)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::stats::tests::{at, pool, started, status};
    use super::*;
    use crate::domain::{EventBody, HaltReason, PoolStatus};

    #[test]
    fn a_hold_counts_down_and_names_its_pool_only_if_there_are_several() {
        let held = |class, seconds| PoolStatus {
            held_for: Some(Duration::from_secs(seconds)),
            ..pool(class, [Some(0.0), None, None])
        };

        assert_eq!(words(status(Reason::Hold, vec![held("haiku-4.5", 12)])), "held by the server (429), 12 s left");
        assert_eq!(
            words(status(Reason::Hold, vec![pool("opus-4.6", [Some(0.5), None, None]), held("haiku\u{1b}", 90)])),
            "haiku\\u{1b} held by the server (429), 1 min 30 s left"
        );
    }

    #[test]
    fn a_limit_that_binds_is_named_with_its_minute() {
        let names = Dimension::ALL.map(|dimension| words(status(Reason::Limit(dimension), Vec::new())));

        assert_eq!(
            names,
            [
                "limited by requests per minute",
                "limited by input tokens per minute",
                "limited by output tokens per minute"
            ]
        );
    }

    #[test]
    fn an_interrupted_run_says_how_many_answers_it_waits_for() {
        let mut stats = stats();
        let reason = Some(Box::new(HaltReason::Signal(2)));
        stats.fold(&at(2, EventBody::Draining { in_flight: 3, reason }));
        stats.fold(&at(2, status(Reason::Draining, Vec::new())));

        assert_eq!(Now::of(&stats).map(|now| now.long).as_deref(), Some("stopping, waiting for the last 3 answers"));
        assert_eq!([0, 1].map(|left| stopping(left).long), ["stopping", "stopping, waiting for the last answer"]);
    }

    fn words(body: EventBody) -> String {
        let mut stats = stats();
        stats.fold(&at(1, body));
        Now::of(&stats).map(|now| now.long).unwrap_or_default()
    }

    fn stats() -> Stats {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(100), 0)));
        stats
    }
}
