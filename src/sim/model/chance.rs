//! Decides which fault rule applies to a request.

use std::time::Duration;

use crate::clock::Instant;
use crate::sim::faults::{FaultPlan, Target};
use crate::sim::rules::{self, Facts};

use super::hash::Hash;

/// The facts that the rules are compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestFacts<'a> {
    /// The kind of the target: a request, a batch call, a listed batch, or a request in a batch.
    pub target: Target,
    /// The age of the batch; zero for requests outside batches, and for calls that create a batch.
    pub age: Duration,
    /// The hash of the request's content.
    pub content: u64,
    /// The body of the request.
    pub body: &'a [u8],
    /// Whether the request has a cache breakpoint. Only rules about caching use this field.
    pub is_marked: bool,
    /// The name of the model in the request.
    pub model: &'a str,
    /// The number of the request, counted from 1 since the start.
    pub arrival: u64,
    /// The number of earlier requests with this content.
    pub attempts: u32,
    /// The time at which the request arrived.
    pub now: Instant,
}

/// Returns the index of the first rule that applies. `fired` says how often each rule has applied so far.
pub(super) fn rule(plan: &FaultPlan, seed: u64, fired: &[u64], request: RequestFacts<'_>) -> Option<usize> {
    let RequestFacts { content, body, model, arrival, attempts, .. } = request;
    let hash = Hash::new(plan.seed.unwrap_or(seed)).word(content);
    let (row, attempt) = (hash.unit(), hash.word(arrival).unit());
    let facts = Facts { row, attempt, body, model, arrival, attempts, since: request.now.since(Instant::ZERO) };
    let rules = plan.rules.iter().enumerate().filter(|(_, rule)| rule.is_about(request.target));
    rules::first(rules.map(|(at, rule)| (at, &rule.selection)), fired, facts, |at| {
        let rule = &plan.rules[at];
        rule.within.is_none_or(|within| request.age < within) && (request.is_marked || !rule.fault.is_of_cache())
    })
}

/// Returns whether a body has a cache breakpoint. If no rule is about caching, the body is not searched.
pub(super) fn is_marked(plan: &FaultPlan, body: &[u8]) -> bool {
    // `NAME` can't occur inside a JSON string, because quotation marks are escaped there.
    const NAME: &[u8] = b"\"cache_control\"";
    plan.rules.iter().any(|rule| rule.fault.is_of_cache()) && body.windows(NAME.len()).any(|part| part == NAME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::faults::{Fault, FaultRule, StatusFault};
    use crate::sim::rules::{Draw, Selection};

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
        let by_attempt =
            FaultPlan { rules: vec![of(Selection { draw: Draw::Attempt, share: 0.5, ..all() })], ..by_row.clone() };

        let fates = |plan: &FaultPlan| {
            (1..40).map(|arrival| rule(plan, 0, &[0], RequestFacts { arrival, ..row(5) }).is_some()).collect::<Vec<_>>()
        };

        assert!(fates(&by_row).windows(2).all(|pair| pair[0] == pair[1]));
        assert!(fates(&by_attempt).windows(2).any(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn a_rule_applies_only_if_all_its_conditions_hold() {
        let cases = [
            (of(Selection { first_attempts_only: true, ..all() }), RequestFacts { attempts: 1, ..row(1) }),
            (of(Selection { times: Some(0), ..all() }), row(1)),
            (of(Selection { arrivals: vec![2], ..all() }), row(1)),
            (of(Selection { models: vec!["other".to_owned()], ..all() }), row(1)),
            (of(Selection { contains: vec!["absent".to_owned()], ..all() }), row(1)),
            (of(Selection { from: Duration::from_secs(9), ..all() }), row(1)),
            (of(Selection { until: Some(Duration::from_secs(5)), ..all() }), row(1)),
            (FaultRule::new(Fault::CacheIgnored), row(1)),
        ];

        for (narrowed, request) in cases {
            let plan = FaultPlan { seed: None, rules: vec![narrowed] };
            assert_eq!(rule(&plan, 0, &[0], request), None, "{plan:?}");
        }
    }

    fn share(share: f64) -> FaultRule {
        of(Selection { share, ..all() })
    }

    fn of(selection: Selection) -> FaultRule {
        FaultRule { selection, ..FaultRule::new(Fault::Status(StatusFault::new(500))) }
    }

    fn all() -> Selection {
        Selection::default()
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
