//! Which rule of the fault plan applies to a request.

use std::time::Duration;

use crate::clock::Instant;
use crate::sim::faults::{Draw, FaultPlan, Target};

use super::hash::Hash;

/// The facts about a request that are compared with the rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestFacts<'a> {
    /// What it is.
    pub target: Target,
    /// The age of its batch; zero for messages and for batches that are created.
    pub age: Duration,
    /// The hash of its content.
    pub content: u64,
    /// Its body.
    pub body: &'a [u8],
    /// Whether it has a cache breakpoint. Only the faults of caching need this.
    pub is_marked: bool,
    /// The model's name, as in the request.
    pub model: &'a str,
    /// The number of the request since the start, from 1.
    pub arrival: u64,
    /// How often this content was tried before.
    pub attempts: u32,
    /// The time at which it arrived.
    pub now: Instant,
}

/// Returns the number of the first rule that applies. `fired` contains how often each rule has applied so far.
pub(super) fn rule(plan: &FaultPlan, seed: u64, fired: &[u64], request: RequestFacts<'_>) -> Option<usize> {
    let hash = Hash::new(plan.seed.unwrap_or(seed));
    let row = hash.word(request.content).unit();
    let attempt = hash.word(request.content).word(request.arrival).unit();
    let since = request.now.since(Instant::ZERO);
    let mut from = 0.0;
    for (at, rule) in plan.rules.iter().enumerate().filter(|(_, rule)| rule.is_about(request.target)) {
        // Shares do not overlap. So if two rules each have a share of a tenth, a fifth of the requests is affected.
        let is_drawn = is_within(if rule.draw == Draw::Row { row } else { attempt }, from, rule.share);
        from += rule.share;
        let applies = is_drawn
            && rule.within.is_none_or(|within| request.age < within)
            && since >= rule.from
            && since < rule.until.unwrap_or(Duration::MAX)
            && rule.times.is_none_or(|times| fired[at] < times)
            && (!rule.first_attempts_only || request.attempts == 0)
            && (rule.arrivals.is_empty() || rule.arrivals.contains(&request.arrival))
            && (request.is_marked || !rule.fault.is_of_cache())
            && (rule.models.is_empty() || rule.models.iter().any(|model| model == request.model))
            && holds_any(request.body, &rule.contains);
        if applies {
            return Some(at);
        }
    }
    None
}

/// Returns whether a body has a cache breakpoint. If no rule of the plan needs this, the body is not searched.
pub(super) fn is_marked(plan: &FaultPlan, body: &[u8]) -> bool {
    // Inside a text, the quotation marks would have a backslash before them.
    const NAME: &[u8] = b"\"cache_control\"";
    plan.rules.iter().any(|rule| rule.fault.is_of_cache()) && body.windows(NAME.len()).any(|part| part == NAME)
}

/// Returns whether `unit` is in the arc of length `share` that begins at `from`, on a circle from 0 to 1.
fn is_within(unit: f64, from: f64, share: f64) -> bool {
    (unit - from).rem_euclid(1.0) < share
}

fn holds_any(body: &[u8], texts: &[String]) -> bool {
    if texts.is_empty() {
        return true;
    }
    let body = String::from_utf8_lossy(body);
    texts.iter().any(|text| body.contains(text.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::faults::{Fault, FaultRule, StatusFault};

    #[test]
    fn shares_do_not_overlap() {
        let plan = FaultPlan { seed: Some(1), rules: vec![share(0.1), share(0.2)] };

        let mut request = [0; 2];
        for content in 0..100_000 {
            if let Some(at) = rule(&plan, 0, &[0, 0], row(content)) {
                request[at] += 1;
            }
        }

        assert!((9_500..=10_500).contains(&request[0]), "{request:?}");
        assert!((19_500..=20_500).contains(&request[1]), "{request:?}");
    }

    #[test]
    fn all_attempts_of_a_row_are_treated_the_same_way_unless_each_attempt_is_drawn_separately() {
        let by_row = FaultPlan { seed: Some(1), rules: vec![share(0.5)] };
        let by_attempt = FaultPlan { rules: vec![FaultRule { draw: Draw::Attempt, ..share(0.5) }], ..by_row.clone() };

        let fates = |plan: &FaultPlan| {
            (1..40).map(|arrival| rule(plan, 0, &[0], RequestFacts { arrival, ..row(5) }).is_some()).collect::<Vec<_>>()
        };

        assert!(fates(&by_row).windows(2).all(|pair| pair[0] == pair[1]));
        assert!(fates(&by_attempt).windows(2).any(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn a_rule_applies_only_if_all_its_conditions_hold() {
        let base = share(1.0);
        let cases = [
            (FaultRule { first_attempts_only: true, ..base.clone() }, RequestFacts { attempts: 1, ..row(1) }),
            (FaultRule { times: Some(0), ..base.clone() }, row(1)),
            (FaultRule { arrivals: vec![2], ..base.clone() }, row(1)),
            (FaultRule { models: vec!["other".to_owned()], ..base.clone() }, row(1)),
            (FaultRule { contains: vec!["absent".to_owned()], ..base.clone() }, row(1)),
            (FaultRule { from: Duration::from_secs(9), ..base.clone() }, row(1)),
            (FaultRule { until: Some(Duration::from_secs(5)), ..base.clone() }, row(1)),
            (FaultRule::new(Fault::CacheIgnored), row(1)),
        ];

        for (narrowed, request) in cases {
            let plan = FaultPlan { seed: None, rules: vec![narrowed] };
            assert_eq!(rule(&plan, 0, &[0], request), None, "{plan:?}");
        }
    }

    fn share(share: f64) -> FaultRule {
        FaultRule { share, ..FaultRule::new(Fault::Status(StatusFault::new(500))) }
    }

    fn row(content: u64) -> RequestFacts<'static> {
        RequestFacts {
            target: Target::Message,
            age: Duration::ZERO,
            content,
            body: b"{}",
            is_marked: false,
            model: "m",
            arrival: 1,
            attempts: 0,
            now: Instant::from_secs(5),
        }
    }
}
