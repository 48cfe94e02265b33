//! Records which prefixes are probably in the prompt cache.
//!
//! A prefix is in one of four states:
//! - *cold*: the prefix is not in the cache.
//! - *warming*: a row *leads* the prefix, that is, the row's request is sent first and writes the prefix to the cache.
//! - *warm*: the prefix is in the cache. The response to the leader has begun, and its usage shows that the prefix was
//!   written or read. (If the prefix was read, an earlier run has written it.) A warm prefix becomes cold if it is not
//!   used during its lifetime.
//! - *uncached*: requests do not mark the prefix any more. If the usage shows that the API neither wrote a prefix to
//!   the cache nor read it from there, the prefix becomes uncached. A prefix also becomes uncached if the server
//!   refuses cache marks on this prefix.
//!
//! The states are kept separately for each endpoint, because accounts do not share caches.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{Caching, Level, MarkPlace, Marks, PrefixId, Prefixes};

/// A prefix at one endpoint: the index of the endpoint, and the id of the prefix.
pub(super) type Key = (usize, PrefixId);

/// A warm prefix is already treated as cold when only this much of its lifetime is left. This safety margin is needed
/// because a request takes some time to reach the API.
const RESERVE: Duration = Duration::from_secs(10);
/// Suppose that prefix A was too short to be cached. If the estimated length of prefix B is at most `SURELY_SHORTER`
/// times the length of A, B is certainly too short as well.
const SURELY_SHORTER: f64 = 0.97;
/// If there are more states than `LEAST_PRUNED`, the states of cold prefixes are removed.
const LEAST_PRUNED: usize = 1 << 16;

/// What is known about a prefix at an endpoint. A cold prefix has no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A row leads the prefix: the request of this row writes the prefix to the cache.
    Warming,
    /// The prefix is in the cache and can be read until this instant.
    Warm(Instant),
    /// Requests no longer mark the prefix. Either the API does not cache the prefix, or the server refuses marks on the
    /// prefix.
    Uncached,
}

/// What a row does because of its prefixes: it is sent, it leads (writes) a prefix, or it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The row can be sent now. The request of the row reads the prefixes that are in the cache.
    Go(Plan),
    /// The row leads: its request writes the prefixes in `leads` to the cache.
    Lead {
        /// The cold prefixes that the request writes.
        leads: Marks,
        /// How the request uses the cache.
        plan: Plan,
    },
    /// The row waits for another row that leads (writes) this prefix.
    Wait(Key),
}

/// How a request uses the prompt cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// The prefixes that get a cache mark in the request.
    pub(super) marks: Marks,
    /// The number of estimated input tokens that are probably read from the cache.
    pub(super) read_tokens: u32,
}

/// What is known about all prefixes at all endpoints.
#[derive(Debug, Default)]
pub(super) struct Warmth {
    states: HashMap<Key, State>,
    pruned_at: usize,
    /// Each key of the map is the length of the shortest prefix that a model caches. The value is the largest estimated
    /// length among the prefixes that were too short to be cached.
    too_short: HashMap<u32, u32>,
}

impl Warmth {
    /// Returns what a row has to do: it can be sent, it leads (writes prefixes), or it waits.
    pub(super) fn turn(&self, endpoint: usize, prefixes: &Prefixes, now: Instant) -> Turn {
        let state = |level: &Level| match self.states.get(&(endpoint, level.id)) {
            Some(State::Warm(until)) if *until <= now => None,
            state => state.copied(),
        };
        let levels = &prefixes.levels;
        let warm = levels.iter().rposition(|level| matches!(state(level), Some(State::Warm(_))));
        let mut cold = Vec::new();
        for (at, level) in levels.iter().enumerate().skip(warm.map_or(0, |warm| warm + 1)) {
            match state(level) {
                Some(State::Warming) => return Turn::Wait((endpoint, level.id)),
                None if !self.is_too_short(level, prefixes) => cold.push(at),
                Some(State::Uncached | State::Warm(_)) | None => {}
            }
        }
        let plan = self.plan(prefixes, warm, Marks::NONE);
        if cold.is_empty() {
            return Turn::Go(plan);
        }
        let slots = Prefixes::MOST_MARKS - plan.marks.count();
        // If there are more cold prefixes than marks, the row writes only some of these prefixes: the longest prefix
        // and the shortest prefixes. A shorter prefix is shared by more rows than a longer prefix.
        let leads = cold.iter().rev().take(1).chain(cold.iter().take(slots - 1));
        let leads = leads.fold(Marks::NONE, |marks, &at| marks.with(at));
        Turn::Lead { leads, plan: self.plan(prefixes, warm, leads) }
    }

    /// Returns how the request of a row uses the cache if the row leads (writes) the prefixes in `leads`.
    pub(super) fn plan_of_leader(&self, endpoint: usize, prefixes: &Prefixes, leads: Marks, now: Instant) -> Plan {
        let is_warm =
            |level: &Level| matches!(self.states.get(&(endpoint, level.id)), Some(State::Warm(until)) if *until > now);
        self.plan(prefixes, prefixes.levels.iter().rposition(is_warm), leads)
    }

    /// Returns the cold prefixes that are shorter than the prefixes in `leads`. The leader should also write these cold
    /// prefixes. The number of these cold prefixes is at most the number of unused marks.
    pub(super) fn cold_before(&self, endpoint: usize, prefixes: &Prefixes, leads: Marks, now: Instant) -> Marks {
        let is_cold = |level: &Level| match self.states.get(&(endpoint, level.id)) {
            Some(State::Warm(until)) => *until <= now,
            Some(State::Warming | State::Uncached) => false,
            None => !self.is_too_short(level, prefixes),
        };
        let levels = prefixes.levels.iter().enumerate();
        let shorter: Vec<_> = levels.take_while(|(at, _)| !leads.has(*at)).collect();
        let after_warm = shorter.iter().rposition(
            |(_, level)| matches!(self.states.get(&(endpoint, level.id)), Some(State::Warm(until)) if *until > now),
        );
        let cold = shorter.into_iter().skip(after_warm.map_or(0, |at| at + 1)).filter(|(_, level)| is_cold(level));
        let slots = Prefixes::MOST_MARKS.saturating_sub(leads.count() + usize::from(after_warm.is_some()));
        cold.take(slots).fold(Marks::NONE, |marks, (at, _)| marks.with(at))
    }

    fn plan(&self, prefixes: &Prefixes, warm: Option<usize>, leads: Marks) -> Plan {
        let warm = warm.filter(|_| leads.count() < Prefixes::MOST_MARKS);
        let marks = warm.map_or(leads, |warm| leads.with(warm));
        Plan { marks, read_tokens: warm.map_or(0, |warm| prefixes.levels[warm].tokens) }
    }

    /// Returns whether a prefix is certainly too short for its model, because even a longer prefix was too short.
    fn is_too_short(&self, level: &Level, prefixes: &Prefixes) -> bool {
        let known = self.too_short.get(&prefixes.least_tokens);
        level.place != MarkPlace::Own
            && level.tokens < 2 * prefixes.least_tokens
            && known.is_some_and(|known| f64::from(level.tokens) <= f64::from(*known) * SURELY_SHORTER)
    }

    /// Records that a row leads these prefixes (its request writes them to the cache).
    pub(super) fn lead(&mut self, endpoint: usize, prefixes: &Prefixes, leads: Marks, now: Instant) {
        self.prune(now);
        for level in prefixes.marked(leads) {
            self.states.insert((endpoint, level.id), State::Warming);
        }
    }

    /// Records that a request, sent at `sent_at`, has read its longest marked prefix from the cache. For each warm
    /// prefix that the request marks, the lifetime begins again.
    pub(super) fn note_read(&mut self, endpoint: usize, prefixes: &Prefixes, marks: Marks, sent_at: Instant) {
        for level in prefixes.marked(marks) {
            if let Some(State::Warm(until)) = self.states.get_mut(&(endpoint, level.id)) {
                *until = (*until).max(ends(level, sent_at));
            }
        }
    }

    /// Records that these prefixes are warm (in the cache), because a request that was sent at `sent_at` has written or
    /// read them.
    pub(super) fn note_warm(&mut self, endpoint: usize, prefixes: &Prefixes, marks: Marks, sent_at: Instant) {
        for level in prefixes.marked(marks) {
            self.states.insert((endpoint, level.id), State::Warm(ends(level, sent_at)));
        }
    }

    /// Records that a request has written the prefixes that it did not find in the cache. If another row leads a
    /// prefix, the state of the prefix does not change, because the answer to that row will show the state.
    pub(super) fn note_rewritten(&mut self, endpoint: usize, prefixes: &Prefixes, marks: Marks, sent_at: Instant) {
        let others = (0..prefixes.levels.len())
            .filter(|at| marks.has(*at) && !self.is_warming((endpoint, prefixes.levels[*at].id)))
            .fold(Marks::NONE, Marks::with);
        self.note_warm(endpoint, prefixes, others, sent_at);
    }

    /// Records that the API did not cache the prefixes.
    pub(super) fn note_uncached(&mut self, endpoint: usize, prefixes: &Prefixes, marks: Marks) {
        for level in prefixes.marked(marks) {
            self.states.insert((endpoint, level.id), State::Uncached);
            if level.tokens < 2 * prefixes.least_tokens {
                let known = self.too_short.entry(prefixes.least_tokens).or_default();
                *known = level.tokens.max(*known);
            }
        }
    }

    /// Records that the server refuses marks on these prefixes. Later requests do not mark these prefixes.
    pub(super) fn note_refused(&mut self, endpoint: usize, prefixes: &Prefixes, marks: Marks) {
        for level in prefixes.marked(marks) {
            self.states.insert((endpoint, level.id), State::Uncached);
        }
    }

    /// Records that a prefix is cold (not in the cache).
    pub(super) fn note_cold(&mut self, key: Key) {
        self.states.remove(&key);
    }

    /// Returns whether a row leads (writes) a prefix.
    pub(super) fn is_warming(&self, key: Key) -> bool {
        self.states.get(&key) == Some(&State::Warming)
    }

    /// Returns each prefix that some row leads (writes).
    #[cfg(test)]
    pub(super) fn warming(&self) -> impl Iterator<Item = Key> {
        self.states.iter().filter(|(_, state)| **state == State::Warming).map(|(key, _)| *key)
    }

    fn prune(&mut self, now: Instant) {
        if self.states.len() > LEAST_PRUNED.max(2 * self.pruned_at) {
            self.states.retain(|_, state| !matches!(state, State::Warm(until) if *until <= now));
            self.pruned_at = self.states.len();
        }
    }
}

/// Returns the instant until which a prefix can be read if its last request was sent at `sent_at`.
fn ends(level: &Level, sent_at: Instant) -> Instant {
    let lifetime = match level.lifetime {
        Caching::Hour => Duration::from_secs(3_600),
        Caching::None | Caching::FiveMinutes => Duration::from_secs(300),
    };
    sent_at + (lifetime - RESERVE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Money;

    /// Returns `count` nested prefixes. Each prefix is 4,000 tokens longer than the prefix before it.
    fn nested(count: u64) -> Prefixes {
        let level = |id| Level {
            id: PrefixId(id),
            tokens: 4_000 * id as u32,
            place: MarkPlace::Block { brace: 0 },
            lifetime: Caching::FiveMinutes,
        };
        let levels = (1..=count).map(level).collect();
        Prefixes { levels, least_tokens: 1_024, extra_most: [Money::ZERO; 2] }
    }

    #[test]
    fn a_leader_that_waited_long_also_writes_the_shorter_prefixes_that_have_become_cold() {
        let prefixes = nested(3);
        let (outer, leads) = (Marks::NONE.with(0).with(1), Marks::NONE.with(2));
        let mut warmth = Warmth::default();
        warmth.note_warm(0, &prefixes, outer, Instant::ZERO);
        warmth.lead(0, &prefixes, leads, Instant::ZERO);

        let soon = warmth.cold_before(0, &prefixes, leads, Instant::from_secs(100));
        let late = warmth.cold_before(0, &prefixes, leads, Instant::from_secs(400));
        warmth.note_warm(0, &prefixes, Marks::NONE.with(0), Instant::from_secs(399));
        let outermost_is_warm = warmth.cold_before(0, &prefixes, leads, Instant::from_secs(400));

        assert_eq!((soon, late, outermost_is_warm), (Marks::NONE, outer, Marks::NONE.with(1)));
    }

    #[test]
    fn a_leader_with_four_marks_gets_no_fifth_mark_when_another_row_writes_a_prefix_between_them() {
        let prefixes = nested(6);
        let mut warmth = Warmth::default();
        let Turn::Lead { leads, plan } = warmth.turn(0, &prefixes, Instant::ZERO) else { panic!("nothing is warm") };
        warmth.lead(0, &prefixes, leads, Instant::ZERO);
        warmth.note_warm(0, &prefixes, Marks::NONE.with(3), Instant::ZERO);

        let later = warmth.plan_of_leader(0, &prefixes, leads, Instant::ZERO);

        assert_eq!((plan.marks.count(), later.marks.count()), (4, 4));
    }
}
