//! Finds out what would have made a run faster. This depends on the reason that slowed the run down most.
//!
//! A higher limit makes a run faster only until the run reaches another limit. If there is only one pool, this module
//! computes how much faster the run would be at that point, from the share of each limit that the run used. If there
//! are several pools, it computes nothing, because the events count usage over all pools together.

use std::time::Duration;

use super::standing::Ending;
use super::stats::Stats;
use crate::domain::{Dimension, Reason};

/// A run that is shorter than this gets no advice, because the start takes most of its time.
const SHORTEST: Duration = Duration::from_secs(10);
/// There is advice about a reason only if this reason slowed the run down for at least this share of the run's time.
const WORTH_IT: f64 = 0.2;
/// Raising a single limit is advised only if it makes the run faster by at least this factor. With a smaller gain,
/// another limit would slow the run down almost immediately.
const NOTHING_GAINED: f64 = 1.05;

/// Returns what would have made the run faster, as text that follows the word "with"; `None` if no setting would have
/// made it faster. `fixed_window` is the concurrency that the user asked for.
pub(super) fn advice(stats: &Stats, ending: &Ending, fixed_window: Option<usize>) -> Option<String> {
    // Every run has to wait for its last answers.
    let reasons = ending.reasons.iter().filter(|(reason, _)| *reason != Reason::Draining);
    let (reason, share) = reasons.max_by(|a, b| a.1.total_cmp(&b.1))?;
    if ending.elapsed < SHORTEST || *share < WORTH_IT || stats.succeeded_total() == 0 {
        return None;
    }
    Some(match reason {
        Reason::Limit(dimension) => limit_advice(stats, *dimension),
        Reason::Window => match fixed_window {
            Some(most) => format!("more than {most} requests at once (-c auto finds how many are of use)"),
            None => "quicker answers, or an endpoint that takes more requests at once".to_owned(),
        },
        Reason::Hold => {
            "the limits for itself: the API refused requests (429), as it does when other clients share the limits, \
                         or when they are lower than --tier says"
                .to_owned()
        }
        Reason::Ramp => "more rows: the API lets a rate rise only step by step".to_owned(),
        Reason::Probe => "an endpoint that answers: it failed and had to be probed".to_owned(),
        Reason::Gate => "quicker answers to the rows that others wait for".to_owned(),
        Reason::Backoff => "fewer faults of the endpoint: the remaining rows waited for their next try".to_owned(),
        Reason::Budget => "a higher --max-cost: rows waited for money that was reserved for other rows".to_owned(),
        Reason::Input => "a source that gives rows more quickly".to_owned(),
        Reason::Memory => "shorter rows: the rows in flight use all the memory for rows (64 MB)".to_owned(),
        Reason::Disk => "a quicker disk for the results".to_owned(),
        Reason::Draining => return None,
    })
}

fn limit_advice(stats: &Stats, bound: Dimension) -> String {
    let remedy = match bound {
        Dimension::Requests => "a higher tier, or more work in each request",
        Dimension::InputTokens => "a higher tier, or shorter or cached prompts",
        Dimension::OutputTokens => "a higher tier, or shorter answers",
    };
    match next_limit(stats, bound) {
        Some((factor, next)) if factor < NOTHING_GAINED => {
            let next = Reason::Limit(next).name();
            format!(
                "a higher tier, which raises all limits: if only one limit rose, {next} would limit the run at once"
            )
        }
        Some((factor, next)) => {
            format!("{remedy}: up to {factor:.1} times as fast, until {} limit the run", Reason::Limit(next).name())
        }
        None => remedy.to_owned(),
    }
}

/// Returns the limit that would slow the run down next if `bound` were higher, and how many times as fast the run would
/// be when it reaches that limit. There must be only one pool; otherwise returns `None`.
fn next_limit(stats: &Stats, bound: Dimension) -> Option<(f64, Dimension)> {
    let [(_, limits)] = stats.limits.as_slice() else { return None };
    let used = |dimension| match dimension {
        Dimension::Requests => stats.sent,
        Dimension::InputTokens => stats.usage.limited_input_tokens(),
        Dimension::OutputTokens => stats.usage.output_tokens,
    };
    let minutes = |dimension| Some(used(dimension) as f64 / f64::from(limits.of(dimension)?));
    let others = Dimension::ALL.into_iter().filter(|&dimension| dimension != bound);
    let next = others.filter_map(|dimension| Some((minutes(dimension)?, dimension))).max_by(|a, b| a.0.total_cmp(&b.0));
    let (minutes_of_next, next) = next.filter(|(minutes, _)| *minutes > 0.0)?;
    Some((minutes(bound)? / minutes_of_next, next))
}

#[cfg(test)]
mod tests {
    use super::super::stats::tests::{at, started, status, succeeded};
    use super::*;
    use crate::domain::{EventBody, ModelClass, PoolId, PoolStatus, Quality, RateLimits, Speed};

    #[test]
    fn advice_about_a_limit_says_how_much_a_higher_one_helps() {
        // 60 rows of 100 input and 10 output tokens: 0.06 minutes of requests, 0.6 of output, 0.2 of input.
        let stats = stats(&["haiku-4.5"], RateLimits::new(1_000, 30_000, 1_000));

        let output = advice(&stats, &ending(Reason::Limit(Dimension::OutputTokens), 0.9), None);
        let input = advice(&stats, &ending(Reason::Limit(Dimension::InputTokens), 0.9), None);

        let output = output.expect("it was bound");
        assert_eq!(
            output,
            "a higher tier, or shorter answers: up to 3.0 times as fast, until input tokens per minute limit the run"
        );
        assert!(input.expect("it was bound").contains("output tokens per minute would limit the run"));
    }

    #[test]
    fn with_several_pools_or_without_other_limits_nothing_is_computed() {
        let several = stats(&["haiku-4.5", "opus-4.x"], RateLimits::new(1_000, 30_000, 1_000));
        let alone = stats(&["haiku-4.5"], RateLimits { otpm: Some(1_000), ..RateLimits::NONE });
        let bound = ending(Reason::Limit(Dimension::OutputTokens), 0.9);

        assert_eq!(advice(&several, &bound, None).as_deref(), Some("a higher tier, or shorter answers"));
        assert_eq!(advice(&alone, &bound, None).as_deref(), Some("a higher tier, or shorter answers"));
    }

    #[test]
    fn there_is_no_advice_if_nothing_can_be_changed_or_little_gained() {
        let stats = stats(&["haiku-4.5"], RateLimits::NONE);
        let short = Ending { elapsed: Duration::from_secs(9), ..ending(Reason::Window, 1.0) };

        assert_eq!(advice(&stats, &ending(Reason::Draining, 1.0), None), None);
        assert_eq!(advice(&stats, &ending(Reason::Window, 0.1), None), None);
        assert_eq!(advice(&stats, &short, None), None);
        assert!(advice(&stats, &ending(Reason::Window, 1.0), Some(4)).expect("advice").contains("more than 4"));
    }

    fn stats(classes: &[&str], limits: RateLimits) -> Stats {
        let pool = |class: &&str| PoolStatus {
            pool: PoolId {
                provider: "anthropic".into(),
                account: "".into(),
                class: ModelClass((*class).into()),
                speed: Speed::Standard,
            },
            limits,
            level: [None; 3],
            held_for: None,
            ready: 9,
        };
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(60), 0)));
        let pools = classes.iter().map(pool).collect();
        stats.fold(&at(1, status(Reason::Window, pools)));
        (1..=60).for_each(|second| {
            stats.fold(&at(second, EventBody::Sent));
            stats.fold(&at(second, succeeded(Quality::Ok)));
        });
        stats
    }

    fn ending(reason: Reason, share: f64) -> Ending {
        Ending {
            pending: 0,
            halt: None,
            reasons: vec![(Reason::Draining, 1.0 - share), (reason, share)],
            elapsed: Duration::from_secs(92),
            max_in_flight: 64,
        }
    }
}
