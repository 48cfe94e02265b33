//! Decides which requests a rule selects.
//!
//! This module uses neither a clock nor random numbers: a hash of a request's content decides whether the request
//! belongs to a share.

use std::time::Duration;

/// Which requests a rule applies to. The default selects all requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// The share of requests that the rule applies to, from 0 to 1.
    pub share: f64,
    /// How the rule chooses the requests that belong to the share.
    pub draw: Draw,
    /// Whether the rule applies only to the first attempt of each row.
    pub first_attempts_only: bool,
    /// The rule selects only requests whose body contains one of these texts. If the list is empty, the body does not
    /// matter.
    pub contains: Vec<String>,
    /// The rule selects only requests for these models. If the list is empty, the model does not matter.
    pub models: Vec<String>,
    /// The rule selects only requests with these numbers. If the list is empty, the number does not matter. Requests
    /// are numbered from 1 in the order in which they arrive.
    pub arrivals: Vec<u64>,
    /// The time at which the rule begins to apply, counted from the start of the simulator.
    pub from: Duration,
    /// The time at which the rule stops applying, counted from the start of the simulator; `None` if it never stops.
    pub until: Option<Duration>,
    /// The maximum number of times that the rule is applied; `None` for no limit.
    pub times: Option<u64>,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            share: 1.0,
            draw: Draw::Row,
            first_attempts_only: false,
            contains: Vec::new(),
            models: Vec::new(),
            arrivals: Vec::new(),
            from: Duration::ZERO,
            until: None,
            times: None,
        }
    }
}

/// How a rule with a share chooses its requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Draw {
    /// The content of the request decides, so the rule applies to all attempts of a row or to none.
    #[default]
    Row,
    /// Each attempt is drawn separately.
    Attempt,
}

/// The facts about a request that are compared with a selection.
#[derive(Clone, Copy, Debug)]
pub(in crate::sim) struct Facts<'a> {
    /// A number from 0 to 1 (never 1 itself) that is the same for all attempts of a row.
    pub row: f64,
    /// A number from 0 to 1 (never 1 itself) that is different for each attempt.
    pub attempt: f64,
    /// The body of the request.
    pub body: &'a [u8],
    /// The name of the model in the request.
    pub model: &'a str,
    /// The number of the request in the order of arrival, counted from 1.
    pub arrival: u64,
    /// The number of earlier requests with this content.
    pub attempts: u32,
    /// The time from the start of the simulator to the arrival of the request.
    pub since: Duration,
}

/// Returns the index of the first rule that selects a request. `rules` has the selection and the index of each rule
/// that can apply to this type of request. `fired` says how often each rule has applied so far. The function `holds`
/// checks those conditions of a rule that are not in its selection.
pub(in crate::sim) fn first<'r>(
    rules: impl Iterator<Item = (usize, &'r Selection)>,
    fired: &[u64],
    facts: Facts<'_>,
    holds: impl Fn(usize) -> bool,
) -> Option<usize> {
    let mut from = 0.0;
    for (at, rule) in rules {
        // Shares do not overlap. So if two rules have a share of 0.1 each, they cover a fifth of the requests together.
        let is_drawn = is_within(if rule.draw == Draw::Row { facts.row } else { facts.attempt }, from, rule.share);
        from += rule.share;
        let applies = is_drawn
            && facts.since >= rule.from
            && facts.since < rule.until.unwrap_or(Duration::MAX)
            && rule.times.is_none_or(|times| fired[at] < times)
            && (!rule.first_attempts_only || facts.attempts == 0)
            && (rule.arrivals.is_empty() || rule.arrivals.contains(&facts.arrival))
            && (rule.models.is_empty() || rule.models.iter().any(|model| model == facts.model))
            && holds(at)
            && holds_any(facts.body, &rule.contains);
        if applies {
            return Some(at);
        }
    }
    None
}

/// Returns whether `unit` is in the range that begins at `from` and has the length `share`. A range that goes beyond 1
/// continues at 0.
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
