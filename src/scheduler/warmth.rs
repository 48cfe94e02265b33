//! Keeps track of which prefixes are probably in the prompt cache.
//!
//! A prefix is in one of four states:
//! - *cold*: it is not in the cache.
//! - *warming*: a row *leads* it: the request of this row is sent first and writes the prefix to the cache.
//! - *warm*: it is in the cache. The response to the leader has begun, and its usage shows a write or a read. (A read
//!   means that an earlier run has written the prefix.) A warm prefix becomes cold when it has not been used for its
//!   lifetime.
//! - *uncached*: the prefix gets no marks any more. Either the usage shows neither a write nor a read, so the API does
//!   not cache the prefix, or the server refuses marks on it.
//!
//! The state is kept for each endpoint, because caches are not shared between accounts.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{Caching, Level, MarkPlace, Marks, PrefixId, Prefixes};

/// A prefix at an endpoint.
pub(super) type Key = (usize, PrefixId);

/// A warm prefix counts as cold this long before its lifetime ends, because a request takes some time to reach the API.
const RESERVE: Duration = Duration::from_secs(10);
/// If a prefix was too short, all prefixes of at most this share of its estimated length are too short as well.
const SURELY_SHORTER: f64 = 0.97;
/// With more states than this, the states of cold prefixes are removed.
const LEAST_PRUNED: usize = 1 << 16;

/// What is known about a prefix. A cold prefix has no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A row leads the prefix.
    Warming,
    /// The prefix can be read until this moment.
    Warm(Instant),
    /// The prefix is not marked any more: the API does not cache it, or the server refuses marks on it.
    Uncached,
}

/// What happens to a row because of its prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The row can be sent. Its request reads what is in the cache.
    Go(Plan),
    /// The row leads: its request also writes the prefixes `leads`.
    Lead {
        /// The cold prefixes that the request writes.
        leads: Marks,
        /// How the request uses the cache.
        plan: Plan,
    },
    /// The row waits for the row that leads this prefix.
    Wait(Key),
}

/// How a request uses the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// The prefixes that are marked.
    pub(super) marks: Marks,
    /// How many of the estimated input tokens are probably read from the cache.
    pub(super) read_tokens: u32,
}

/// What is known about all prefixes.
#[derive(Debug, Default)]
pub(super) struct Warmth {
    states: HashMap<Key, State>,
    pruned_at: usize,
    /// Prefixes that turned out to be too short: the largest estimate of their lengths, by the shortest length that the
    /// model caches.
    too_short: HashMap<u32, u32>,
}

impl Warmth {
    /// Returns whether a row can be sent, leads or waits.
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
        // If there are more cold prefixes than marks, the row writes the longest one and the shortest ones: most rows
        // share the shortest.
        let leads = cold.iter().rev().take(1).chain(cold.iter().take(slots - 1));
        let leads = leads.fold(Marks::NONE, |marks, &at| marks.with(at));
        Turn::Lead { leads, plan: self.plan(prefixes, warm, leads) }
    }

    /// Returns how the request of a row that leads `leads` uses the cache.
    pub(super) fn plan_of_leader(&self, endpoint: usize, prefixes: &Prefixes, leads: Marks, now: Instant) -> Plan {
        let is_warm =
            |level: &Level| matches!(self.states.get(&(endpoint, level.id)), Some(State::Warm(until)) if *until > now);
        self.plan(prefixes, prefixes.levels.iter().rposition(is_warm), leads)
    }

    /// Returns the cold prefixes that a leader should write in addition: they are shorter than those in `leads`. Their
    /// number is limited by the marks that are left.
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

    /// Returns whether a prefix is certainly too short for its model: a longer one was too short.
    fn is_too_short(&self, level: &Level, prefixes: &Prefixes) -> bool {
        let known = self.too_short.get(&prefixes.least_tokens);
        level.place != MarkPlace::Own
            && level.tokens < 2 * prefixes.least_tokens
            && known.is_some_and(|known| f64::from(level.tokens) <= f64::from(*known) * SURELY_SHORTER)
    }

    /// Notes that a row leads these prefixes.
    pub(super) fn lead(&mut self, endpoint: usize, prefixes: &Prefixes, leads: Marks, now: Instant) {
        self.prune(now);
        for level in prefixes.marked(leads) {
            self.states.insert((endpoint, level.id), State::Warming);
        }
    }

    /// Notes that a request, sent at `sent_at`, has read its longest marked prefix. This renews its marked prefixes
    /// that are warm.
    pub(super) fn note_read(&mut self, endpoint: usize, prefixes: &Prefixes, marks: Marks, sent_at: Instant) {
        for level in prefixes.marked(marks) {
            if let Some(State::Warm(until)) = self.states.get_mut(&(endpoint, level.id)) {
                *until = (*until).max(ends(level, sent_at));
            }
        }
    }

    /// Notes that a request, sent at `sent_at`, has written or read these prefixes, so they are warm.
    pub(super) fn note_warm(&mut self, endpoint: usize, prefixes: &Prefixes, marks: Marks, sent_at: Instant) {
        for level in prefixes.marked(marks) {
            self.states.insert((endpoint, level.id), State::Warm(ends(level, sent_at)));
        }
    }

    /// Notes that a request has written the prefixes that it did not find. Prefixes that a row leads are not changed:
    /// the answer to that row will show their state.
    pub(super) fn note_rewritten(&mut self, endpoint: usize, prefixes: &Prefixes, marks: Marks, sent_at: Instant) {
        let others = (0..prefixes.levels.len())
            .filter(|at| marks.has(*at) && !self.is_warming((endpoint, prefixes.levels[*at].id)))
            .fold(Marks::NONE, Marks::with);
        self.note_warm(endpoint, prefixes, others, sent_at);
    }

    /// Notes that the API did not cache the prefixes.
    pub(super) fn note_uncached(&mut self, endpoint: usize, prefixes: &Prefixes, marks: Marks) {
        for level in prefixes.marked(marks) {
            self.states.insert((endpoint, level.id), State::Uncached);
            if level.tokens < 2 * prefixes.least_tokens {
                let known = self.too_short.entry(prefixes.least_tokens).or_default();
                *known = level.tokens.max(*known);
            }
        }
    }

    /// Notes that the API refuses marks on these prefixes, so they are not marked any more.
    pub(super) fn note_refused(&mut self, endpoint: usize, prefixes: &Prefixes, marks: Marks) {
        for level in prefixes.marked(marks) {
            self.states.insert((endpoint, level.id), State::Uncached);
        }
    }

    /// Notes that a prefix is cold, whatever its state was.
    pub(super) fn note_cold(&mut self, key: Key) {
        self.states.remove(&key);
    }

    /// Returns whether a row leads a prefix.
    pub(super) fn is_warming(&self, key: Key) -> bool {
        self.states.get(&key) == Some(&State::Warming)
    }

    /// Returns the prefixes that rows lead.
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

/// Returns how long a prefix can be read if it was last used by a request that was sent at `sent_at`.
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

    /// Returns this many nested prefixes. Each is 4,000 tokens longer than the one before it.
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
