//! Which requests a rule selects.
//!
//! This module never reads a clock and has no random generator: a request is drawn by a hash of its content.

use std::time::Duration;

/// The requests to which a rule applies. By default, these are all requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// The part of the requests to which the rule applies, from 0 to 1.
    pub share: f64,
    /// How the requests of that part are chosen.
    pub draw: Draw,
    /// Whether only the first attempt of each row is affected.
    pub first_attempts_only: bool,
    /// Only requests whose body contains one of these texts. If the list is empty, the rule selects all requests.
    pub contains: Vec<String>,
    /// Only requests for these models. If the list is empty, the rule selects all requests.
    pub models: Vec<String>,
    /// Only requests with these numbers. If the list is empty, the rule selects all requests. Requests are numbered
    /// from 1 as they arrive.
    pub arrivals: Vec<u64>,
    /// The rule applies from this time on, counted from the start.
    pub from: Duration,
    /// The rule applies until this time, counted from the start; `None` for no end.
    pub until: Option<Duration>,
    /// How many times the rule may apply; `None` for no limit.
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

/// How the requests of a share are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Draw {
    /// By the content of the request: all attempts of a row are treated the same way.
    #[default]
    Row,
    /// By chance: each attempt is drawn separately.
    Attempt,
}

/// The facts about a request that are compared with selections.
#[derive(Clone, Copy, Debug)]
pub(in crate::sim) struct Facts<'a> {
    /// A number from 0 to 1 (excluded), the same for all attempts of a row.
    pub row: f64,
    /// A number from 0 to 1 (excluded), drawn for each attempt.
    pub attempt: f64,
    /// Its body.
    pub body: &'a [u8],
    /// The model's name, as in the request.
    pub model: &'a str,
    /// The number of the request since the start, from 1.
    pub arrival: u64,
    /// How many times this content was tried before.
    pub attempts: u32,
    /// The time since the start at which it arrived.
    pub since: Duration,
}

/// Returns the number of the first rule that selects a request. `rules` contains the selections of the rules that can
/// apply to such a request, with their numbers. `fired` contains how many times each rule has applied so far.
pub(in crate::sim) fn first<'r>(
    rules: impl Iterator<Item = (usize, &'r Selection)>,
    fired: &[u64],
    facts: Facts<'_>,
    holds: impl Fn(usize) -> bool,
) -> Option<usize> {
    let mut from = 0.0;
    for (at, rule) in rules {
        // Shares do not overlap. So if two rules each have a share of a tenth, a fifth of the requests is affected.
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
