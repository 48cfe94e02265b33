//! Gives advice for the summary: finds out which change would have made a run faster.
//!
//! The advice depends on the main reason why the run was slow, and on how much of each limit the run used:
//!
//! | what happened | advice |
//! |---|---|
//! | the limit on requests slowed the run down | larger rows, or the Message Batches API |
//! | a limit on tokens slowed the run down | shorter prompts, prompts that share more of their beginning, or shorter answers; otherwise a higher tier |
//! | the server refused or delayed requests, but on average the run used little of its limits | a steadier rate |
//! | the use of a limit is critical, even if the run waited for another reason | the same as if this limit had slowed the run down |
//! | the run waited for any other reason | a change that helps against that reason |
//!
//! A higher limit makes a run faster only until the run reaches another limit. The module divides the used share of the
//! raised limit by the used share of the next limit. The result says how many times faster the run can become. If there
//! are several pools, the module does this for the pool that used the largest share of its limit.

use std::time::Duration;

use super::standing::Ending;
use super::stats::Stats;
use super::tallies::RetryCause;
use super::text::{percent, plural};
use super::use_of_limits::Level;
use crate::domain::{Dimension, LimitUse, Reason};

/// Shorter runs get no advice, because the start takes most of their time.
const SHORTEST: Duration = Duration::from_secs(10);
/// The advice mentions a reason only if that reason slowed the run down for at least this share of the run's time.
const WORTH_IT: f64 = 0.2;
/// If raising a single limit would speed up the run by less than this factor, the advice is a higher tier. In this
/// case, raising one limit does not help, because the run would almost immediately reach another limit.
const NOTHING_GAINED: f64 = 1.05;
/// If the run used at most this share of each limit, the advice assumes that the limits did not slow it down.
const LITTLE_USED: f64 = 0.5;
/// If the server refused less than this share of the requests, the advice is not about refused requests. A few refusals
/// are normal in a run that begins with a limit that is too high.
const MANY_REFUSED: f64 = 0.05;

/// Returns a text that says what would have made the run faster. The text follows the word "with". Returns `None` if
/// there is no advice. `fixed_window` is the number of requests in flight that the user asked for.
pub(super) fn advice(stats: &Stats, ending: &Ending, fixed_window: Option<usize>) -> Option<String> {
    if ending.elapsed < SHORTEST || stats.succeeded_total() == 0 {
        return None;
    }
    // Waiting for the last answers is left out of the reasons, because every run has to wait for its last answers.
    let reasons = ending.reasons.iter().filter(|(reason, _)| *reason != Reason::Draining);
    let main = reasons.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, share)| *share >= WORTH_IT);
    let most_used = most_used(&ending.uses);
    let little = most_used.as_ref().filter(|used| used.share <= LITTLE_USED);
    let critical = most_used.as_ref().filter(|used| Level::of(used.share, ending.elapsed) == Some(Level::Critical));
    match (main, little, critical) {
        (Some((Reason::Limit(dimension), share)), ..) => Some(limit_advice(&ending.uses, *dimension, *share)),
        (_, Some(little), _) if refused(stats) as f64 >= MANY_REFUSED * stats.sent.max(1) as f64 => {
            Some(smoothing(stats, little))
        }
        (_, _, Some(critical)) => Some(limit_advice(&ending.uses, critical.dimension, 0.0)),
        (Some((reason, _)), ..) => reason_advice(*reason, fixed_window),
        (None, ..) => None,
    }
}

/// Returns the advice for a run that was slowed down by something other than a limit.
fn reason_advice(reason: Reason, fixed_window: Option<usize>) -> Option<String> {
    Some(match reason {
        Reason::Limit(dimension) => remedy(dimension).to_owned(),
        Reason::Window => match fixed_window {
            Some(most) => format!("more than {most} requests at once (-c auto finds the best number)"),
            None => "quicker answers, or an endpoint that takes more requests at once".to_owned(),
        },
        Reason::Hold => {
            "limits that no other client uses: the API refused requests (429). Other clients may use the same limits, \
             or the limits may be lower than --tier says"
                .to_owned()
        }
        Reason::Ramp => "more rows: the API lets a rate rise only step by step".to_owned(),
        Reason::Probe => "an endpoint that answers: it failed and had to be probed".to_owned(),
        Reason::Gate => {
            "fewer different prefixes: rows waited until their prefixes were in the cache; --prompt-cache off avoids \
             this, but costs more"
                .to_owned()
        }
        Reason::Backoff => "fewer faults of the endpoint: the remaining rows waited for their next try".to_owned(),
        Reason::Budget => "a higher --max-cost: rows waited for money that was reserved for other rows".to_owned(),
        Reason::Input => "a source that gives rows more quickly".to_owned(),
        Reason::Memory => "shorter rows: the rows in flight use all the memory for rows (64 MB)".to_owned(),
        Reason::Disk => "a quicker disk for the results".to_owned(),
        // There is no advice about pauses and batches: the user chose to pause the run, or to wait for answers at half
        // the price.
        Reason::Paused | Reason::Batches | Reason::Draining => return None,
    })
}

/// The share of one limit that the run used.
struct Used<'a> {
    pool: &'a LimitUse,
    dimension: Dimension,
    share: f64,
}

/// Returns the limit of which the largest share was used; `None` if there is no limit.
fn most_used(uses: &[LimitUse]) -> Option<Used<'_>> {
    let all = Dimension::ALL.into_iter().filter_map(|dimension| most_used_of(uses, dimension));
    all.max_by(|a, b| a.share.total_cmp(&b.share))
}

/// For limits of this kind, returns the pool that used the largest share of its limit. Also returns this share.
fn most_used_of(uses: &[LimitUse], dimension: Dimension) -> Option<Used<'_>> {
    let of = |pool| Some(Used { pool, dimension, share: LimitUse::share(pool, dimension)? });
    uses.iter().filter_map(of).max_by(|a, b| a.share.total_cmp(&b.share))
}

/// Returns the number of requests that the server refused because of a limit per minute, or because the request rate
/// rose too fast.
fn refused(stats: &Stats) -> u64 {
    let of = |cause| stats.retried.get(&cause).copied().unwrap_or(0);
    of(RetryCause::Rate) + of(RetryCause::Acceleration)
}

fn smoothing(stats: &Stats, used: &Used<'_>) -> String {
    format!(
        "a steadier rate, or limits that no other client uses: {} refused (429), although the run used only {} of {} \
         on average. Other clients may use the same limits, or the limits may be lower than --tier says; --headroom 20 \
         leaves room for others, and a lower -c makes peaks smaller",
        plural(refused(stats), "request was", "requests were"),
        percent(used.share),
        Reason::Limit(used.dimension).name(),
    )
}

/// Returns the advice for a run that was slowed down by the limit `bound`. `share_of_time` is the share of the run's
/// time in which the limit slowed it down.
fn limit_advice(uses: &[LimitUse], bound: Dimension, share_of_time: f64) -> String {
    let Some(used) = most_used_of(uses, bound) else { return remedy(bound).to_owned() };
    // Only a limit that is used up slows a run down. If the run itself used much less than the limit, another client
    // used the rest.
    if used.share < share_of_time * LITTLE_USED {
        return format!(
            "limits that no other client uses: rows waited for the limit, although the run used only {} of {}. Other \
             clients may use the same limits, or --headroom leaves them unused",
            percent(used.share),
            Reason::Limit(bound).name()
        );
    }
    match next_limit(&used) {
        Some((factor, next)) if factor < NOTHING_GAINED => {
            let next = Reason::Limit(next).name();
            format!(
                "a higher tier, which raises all limits: if only one limit rose, {next} would limit the run at once"
            )
        }
        Some((factor, next)) => {
            let (remedy, next) = (remedy(bound), Reason::Limit(next).name());
            format!("{remedy}: up to {factor:.1} times as fast, then limited by {next}{}", besides(bound))
        }
        None => format!("{}{}", remedy(bound), besides(bound)),
    }
}

fn remedy(bound: Dimension) -> &'static str {
    match bound {
        Dimension::Requests => "more work in each request, or a higher tier",
        Dimension::InputTokens => {
            "shorter prompts, or prompts that share more of their beginning (what is read from the prompt cache does not \
             count), or a higher tier"
        }
        Dimension::OutputTokens => "shorter answers, or a higher tier",
    }
}

fn besides(bound: Dimension) -> &'static str {
    match bound {
        Dimension::Requests => {
            ". For rows that can wait for hours, the Message Batches API costs half and has limits of its own"
        }
        Dimension::InputTokens | Dimension::OutputTokens => "",
    }
}

/// Returns the limit that the run would reach next if the limit `bound` were higher. Also returns how many times faster
/// the run would be if it reached that limit.
fn next_limit(bound: &Used<'_>) -> Option<(f64, Dimension)> {
    let others = Dimension::ALL.into_iter().filter(|&dimension| dimension != bound.dimension);
    let next = others.filter_map(|dimension| Some((bound.pool.share(dimension)?, dimension)));
    let (share_of_next, next) = next.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(share, _)| *share > 0.0)?;
    Some((bound.share / share_of_next, next))
}

#[cfg(test)]
mod tests {
    use super::super::stats::tests::{at, retried, sent, started, succeeded};
    use super::super::use_of_limits::tests::limit_use;
    use super::*;
    use crate::domain::{BatchesEnd, ErrorClass, EventBody, LimitKind, Quality, RateLimits};

    const LIMITS: RateLimits = RateLimits::new(1_000, 30_000, 1_000);
    const OUTPUT: Reason = Reason::Limit(Dimension::OutputTokens);

    #[test]
    fn advice_about_a_limit_says_how_much_a_higher_one_helps() {
        let uses = [limit_use("haiku-4.5", [60, 19_000, 1_900], LIMITS, 120)];

        let output = advise(&uses, OUTPUT, 0.9);
        let input = limit_advice(&uses, Dimension::InputTokens, 0.1);

        assert_eq!(
            output.as_deref(),
            Some("shorter answers, or a higher tier: up to 3.0 times as fast, then limited by input tokens per minute")
        );
        assert!(input.contains("output tokens per minute would limit the run at once"), "{input}");
    }

    #[test]
    fn each_limit_has_its_own_remedy() {
        let of = |counted, dimension| {
            limit_advice(&[limit_use("x", counted, RateLimits::new(100, 100, 100), 60)], dimension, 0.9)
        };

        let requests = of([95, 40, 40], Dimension::Requests);
        assert!(
            requests.starts_with("more work in each request") && requests.contains("Message Batches"),
            "{requests}"
        );
        let input = of([40, 95, 40], Dimension::InputTokens);
        assert!(input.starts_with("shorter prompts") && !input.contains("Batches"), "{input}");
        assert!(of([40, 40, 95], Dimension::OutputTokens).starts_with("shorter answers"));
    }

    #[test]
    fn the_pool_with_the_highest_use_of_the_limit_counts() {
        let quiet = limit_use("opus-4.x", [10, 10, 10], LIMITS, 120);
        let busy = limit_use("haiku-4.5", [60, 19_000, 1_900], LIMITS, 120);
        let alone = limit_use("x", [60, 9, 1_900], RateLimits { otpm: Some(1_000), ..RateLimits::NONE }, 120);

        assert!(advise(&[quiet, busy], OUTPUT, 0.9).is_some_and(|text| text.contains("up to 3.0 times")));
        assert_eq!(advise(&[alone], OUTPUT, 0.9).as_deref(), Some("shorter answers, or a higher tier"));
    }

    #[test]
    fn a_limit_that_somebody_else_used_up_needs_no_higher_tier() {
        let uses = [limit_use("haiku-4.5", [60, 3_000, 500], LIMITS, 120)];

        let text = advise(&uses, OUTPUT, 0.9).expect("the limit slowed the run down");

        assert!(
            text.starts_with("limits that no other client uses: ") && text.contains("only 25% of output tokens"),
            "{text}"
        );
    }

    #[test]
    fn many_refusals_with_little_use_need_a_steadier_rate() {
        let little = [limit_use("haiku-4.5", [400, 3_000, 500], LIMITS, 120)];
        let much = [limit_use("haiku-4.5", [400, 3_000, 1_600], LIMITS, 120)];
        let with = |refusals, uses: &[LimitUse]| advice(&stats(refusals), &ending(Reason::Hold, 0.5, uses), None);

        let text = with(6, &little).expect("requests were refused");

        assert!(text.starts_with("a steadier rate") && text.contains("6 requests were refused (429)"), "{text}");
        assert!(text.contains("only 25% of output tokens per minute"), "{text}");
        for other in [with(2, &little), with(6, &much)] {
            assert!(
                other
                    .is_some_and(|text| text.starts_with("limits that no other client uses: the API refused requests"))
            );
        }
    }

    #[test]
    fn a_use_that_is_critical_all_the_time_needs_a_higher_tier_whatever_else_is_slow() {
        let uses = [limit_use("haiku-4.5", [400, 3_000, 1_900], LIMITS, 120)];

        let text = advise(&uses, Reason::Window, 0.6);
        let short = advice(&stats(0), &Ending { elapsed: SHORTEST, ..ending(Reason::Window, 0.6, &uses) }, None);

        assert!(text.is_some_and(|text| text.starts_with("shorter answers, or a higher tier")));
        assert!(short.is_some_and(|text| text.starts_with("quicker answers")));
    }

    #[test]
    fn there_is_no_advice_if_nothing_can_be_changed_or_little_gained() {
        let short = Ending { elapsed: Duration::from_secs(9), ..ending(Reason::Window, 1.0, &[]) };

        assert_eq!(advise(&[], Reason::Draining, 1.0), None);
        assert_eq!(advise(&[], Reason::Window, 0.1), None);
        assert_eq!(advice(&stats(0), &short, None), None);
        let fixed = advice(&stats(0), &ending(Reason::Window, 1.0, &[]), Some(4));
        assert!(fixed.expect("advice").contains("more than 4"));
    }

    fn advise(uses: &[LimitUse], reason: Reason, share: f64) -> Option<String> {
        advice(&stats(0), &ending(reason, share, uses), None)
    }

    /// Returns the counters of a run of 60 rows. `refusals` is the number of refusals before the first answer.
    fn stats(refusals: u64) -> Stats {
        let mut stats = Stats::default();
        stats.fold(&at(0, started(Some(60), 0)));
        for _ in 0..refusals {
            let (class, limit) = (ErrorClass::RateLimit, Some(LimitKind::Rate));
            stats.fold(&at(1, sent()));
            stats.fold(&at(1, EventBody::Retried { row: retried(), class, limit, maybe_paid: false }));
        }
        for second in 1..=60 {
            stats.fold(&at(second, sent()));
            stats.fold(&at(second, succeeded(Quality::Ok)));
        }
        stats
    }

    fn ending(reason: Reason, share: f64, uses: &[LimitUse]) -> Ending {
        Ending {
            pending: 0,
            halt: None,
            reasons: vec![(Reason::Draining, 1.0 - share), (reason, share)],
            uses: uses.to_vec(),
            elapsed: Duration::from_secs(120),
            max_in_flight: 64,
            batches: BatchesEnd::default(),
        }
    }
}
