//! Simulates the documented prompt cache: decides which part of a prompt is read from the cache, and which part is
//! written to the cache.
//!
//! This module keeps the cache entries. Each entry belongs to a prefix of a prompt, and is found by the hash of all
//! parts of the prefix. An entry becomes readable at the start of the first response that writes it. The entry stays
//! readable until it expires. The lifetime of an entry begins at the start of the request that wrote the entry. If a
//! later request reads the entry, the lifetime begins again at the start of that request. Source: API documentation,
//! "Prompt caching" (2026-09-29).
//!
//! The documentation does not say whether a read of a long prefix also renews the entries of shorter prefixes inside
//! it. In the simulator, a read renews only the entry that it reads.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Instant;

use super::hash::Hash;
use super::parts::{Part, PartKind};

/// The number of positions that are searched for a cache entry, including the position of the breakpoint.
const LOOK_BACK: usize = 20;
/// The maximum number of cache entries. If there are more entries, expired ones are removed. If too many entries
/// remain, new entries are not kept.
const ENTRIES: usize = 200_000;

/// The tokens of a prompt, split by how the cache handles them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Split {
    /// The number of tokens that are neither read from the cache nor written to it.
    pub uncached: u64,
    /// The number of tokens that are written to the five-minute cache.
    pub write_5m: u64,
    /// The number of tokens that are written to the one-hour cache.
    pub write_1h: u64,
    /// The number of tokens that are read from the cache.
    pub read: u64,
}

/// The result of looking up a prompt in the cache: what the prompt reads and writes.
#[derive(Clone, Debug, Default)]
pub(super) struct Lookup {
    /// The tokens of the prompt, split by how the cache handles them.
    pub split: Split,
    /// The entries that the prompt will make when its response begins.
    pub writes: Vec<Write>,
    /// The key of the entry that the prompt reads.
    hit: Option<u64>,
}

impl Lookup {
    /// Returns the lookup result for a prompt that does not use the cache.
    pub(super) fn uncached(tokens: u64) -> Self {
        Self { split: Split { uncached: tokens, ..Split::default() }, ..Self::default() }
    }
}

/// A cache entry that a call will make when its response begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write {
    key: u64,
    lifetime: Duration,
    expires: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    lifetime: Duration,
    used: Instant,
    expires: Instant,
}

/// The cache entries of all organizations.
#[derive(Clone, Debug, Default)]
pub(super) struct Cache {
    entries: HashMap<u64, Entry>,
}

impl Cache {
    /// Returns what a prompt would read from the cache, and what the prompt would write to the cache. `scope` is a hash
    /// of the organization, the model and the speed. Requests with different scopes share no entries. `least` is the
    /// minimum length of a cached prefix, in tokens.
    pub(super) fn look_up(&self, parts: &[Part], scope: u64, least: u64, now: Instant) -> Lookup {
        let prefixes = prefixes(parts, scope);
        let total = prefixes.last().map_or(0, |prefix| prefix.tokens);
        let hit = self.longest_hit(&prefixes, least, now);
        let mut split = Split { read: hit.map_or(0, |prefix| prefix.tokens), ..Split::default() };
        let mut done = split.read;
        let mut writes = Vec::new();
        for prefix in &prefixes {
            let Some(is_hour) = prefix.breakpoint.filter(|_| prefix.tokens >= least && prefix.tokens > done) else {
                continue;
            };
            let lifetime = Duration::from_secs(if is_hour { 3600 } else { 300 });
            *(if is_hour { &mut split.write_1h } else { &mut split.write_5m }) += prefix.tokens - done;
            writes.push(Write { key: prefix.key, lifetime, expires: now + lifetime });
            done = prefix.tokens;
        }
        split.uncached = total - done;
        Lookup { split, writes, hit: hit.map(|prefix| prefix.key) }
    }

    /// Returns the longest prefix that is in the cache.
    fn longest_hit<'p>(&self, prefixes: &'p [Prefix], least: u64, now: Instant) -> Option<&'p Prefix> {
        let ends = (0..prefixes.len()).rev().filter(|&at| prefixes[at].breakpoint.is_some());
        ends.flat_map(|end| {
            let near = move |prefix: &&Prefix| prefixes[end].position - prefix.position < LOOK_BACK;
            prefixes[..=end].iter().rev().take_while(near)
        })
        .find(|prefix| {
            let entry = self.entries.get(&prefix.key);
            prefix.tokens >= least && entry.is_some_and(|entry| now < entry.expires)
        })
    }

    /// Extends the lifetime of the cache entry that an admitted prompt reads.
    pub(super) fn renew(&mut self, lookup: &Lookup, now: Instant) {
        let Some(entry) = lookup.hit.and_then(|key| self.entries.get_mut(&key)) else { return };
        entry.used = now;
        entry.expires = entry.expires.max(now + entry.lifetime);
    }

    /// Adds entries to the cache, so that other prompts can read them.
    pub(super) fn write(&mut self, writes: &[Write], now: Instant) {
        if self.entries.len() + writes.len() > ENTRIES {
            self.entries.retain(|_, entry| now < entry.expires);
        }
        for write in writes {
            let earlier = self.entries.get(&write.key).filter(|entry| now < entry.expires);
            let entry = Entry {
                lifetime: earlier.map_or(write.lifetime, |entry| entry.lifetime.max(write.lifetime)),
                used: now,
                expires: earlier.map_or(write.expires, |entry| entry.expires.max(write.expires)),
            };
            if self.entries.len() < ENTRIES || self.entries.contains_key(&write.key) {
                self.entries.insert(write.key, entry);
            }
        }
    }

    /// Checks the cache entry of each prefix of a prompt. Removes the entries that have not been used for at least the
    /// time `unused`.
    pub(super) fn evict(&mut self, parts: &[Part], scope: u64, unused: Duration, now: Instant) {
        for prefix in prefixes(parts, scope) {
            if self.entries.get(&prefix.key).is_some_and(|entry| now.since(entry.used) >= unused) {
                self.entries.remove(&prefix.key);
            }
        }
    }

    /// Returns a copy of the cache in which no entry expires.
    pub(super) fn forever(&self) -> Self {
        let keep = |(key, entry): (&u64, &Entry)| (*key, Entry { expires: Instant::NEVER, ..*entry });
        Self { entries: self.entries.iter().map(keep).collect() }
    }
}

struct Prefix {
    key: u64,
    tokens: u64,
    breakpoint: Option<bool>,
    position: usize,
}

fn prefixes(parts: &[Part], scope: u64) -> Vec<Prefix> {
    let mut hash = Hash::new(scope);
    let (mut tokens, mut position) = (0, 0);
    let mut before: Option<PartKind> = None;
    parts
        .iter()
        .map(|part| {
            hash = hash.word(part.hash);
            tokens += part.tokens;
            position += usize::from(before.is_some_and(|before| !part.kind.continues(before)));
            before = Some(part.kind);
            Prefix { key: hash.end(), tokens, breakpoint: part.breakpoint, position }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::parts::Level;
    use super::*;

    const NOW: Instant = Instant::from_secs(10);

    #[test]
    fn an_entry_is_read_only_after_it_was_written() {
        let mut cache = Cache::default();
        let parts = [part(1, 2000, Some(false)), part(2, 50, None)];

        let first = cache.look_up(&parts, 0, 1024, NOW);
        let second = cache.look_up(&parts, 0, 1024, NOW);
        cache.write(&first.writes, NOW);
        let third = cache.look_up(&parts, 0, 1024, NOW);

        assert_eq!(first.split, Split { uncached: 50, write_5m: 2000, ..Split::default() });
        assert_eq!(second.split, first.split, "the first response has not begun");
        assert_eq!(third.split, Split { uncached: 50, read: 2000, ..Split::default() });
    }

    #[test]
    fn a_prefix_that_is_too_short_is_not_cached() {
        let cache = Cache::default();

        let found = cache.look_up(&[part(1, 1023, Some(false))], 0, 1024, NOW);

        assert_eq!(found.split, Split { uncached: 1023, ..Split::default() });
        assert!(found.writes.is_empty());
    }

    #[test]
    fn a_read_renews_an_entry_and_an_unread_entry_expires() {
        let mut cache = Cache::default();
        let parts = [part(1, 2000, Some(false))];
        fill(&mut cache, &parts, Instant::ZERO);

        assert_eq!(read(&mut cache, &parts, Instant::from_secs(299)), 2000);
        assert_eq!(read(&mut cache, &parts, Instant::from_secs(598)), 2000);

        assert_eq!(read(&mut cache, &parts, Instant::from_secs(898)), 0);
    }

    #[test]
    fn a_prompt_that_is_refused_renews_nothing() {
        let mut cache = Cache::default();
        let parts = [part(1, 2000, Some(false))];
        fill(&mut cache, &parts, Instant::ZERO);

        let refused = cache.look_up(&parts, 0, 1024, Instant::from_secs(299));

        assert_eq!(refused.split.read, 2000);
        assert_eq!(read(&mut cache, &parts, Instant::from_secs(301)), 0);
    }

    #[test]
    fn a_lifetime_begins_with_the_request_and_not_with_its_response() {
        let mut cache = Cache::default();
        let parts = [part(1, 2000, Some(false))];
        let found = cache.look_up(&parts, 0, 1024, Instant::ZERO);
        cache.write(&found.writes, Instant::from_secs(100));

        assert_eq!(read(&mut cache, &parts, Instant::from_secs(300)), 0);
    }

    #[test]
    fn a_later_write_never_shortens_the_life_of_an_entry() {
        let mut cache = Cache::default();
        let long = cache.look_up(&[part(1, 2000, Some(true))], 0, 1024, Instant::ZERO);
        let short = cache.look_up(&[part(1, 2000, Some(false))], 0, 1024, Instant::from_secs(1));
        cache.write(&long.writes, Instant::from_secs(2));
        cache.write(&short.writes, Instant::from_secs(3));

        assert_eq!(read(&mut cache, &[part(1, 2000, Some(false))], Instant::from_secs(3_599)), 2000);
    }

    #[test]
    fn a_longer_conversation_reads_the_shorter_conversation_from_the_cache_and_writes_the_rest() {
        let mut cache = Cache::default();
        fill(&mut cache, &[part(1, 1500, Some(true)), part(2, 100, Some(false))], NOW);

        let later = [part(1, 1500, Some(true)), part(2, 100, None), part(3, 10, Some(false))];
        let found = cache.look_up(&later, 0, 1024, NOW);

        assert_eq!(found.split, Split { read: 1600, write_5m: 10, ..Split::default() });
    }

    #[test]
    fn tokens_up_to_the_last_breakpoint_for_an_hour_cost_an_hour_and_later_tokens_five_minutes() {
        let mut cache = Cache::default();
        fill(&mut cache, &[part(1, 1500, Some(true))], NOW);
        let parts = [
            part(1, 1500, Some(true)),
            part(2, 200, Some(true)),
            part(3, 30, Some(false)),
            part(4, 4, Some(false)),
            part(5, 5, None),
        ];

        let found = cache.look_up(&parts, 0, 1024, NOW);

        assert_eq!(found.split, Split { read: 1500, write_1h: 200, write_5m: 34, uncached: 5 });
        assert_eq!(found.writes.len(), 3);
    }

    #[test]
    fn a_breakpoint_looks_at_twenty_positions_including_its_own() {
        let mut cache = Cache::default();
        let mut parts: Vec<Part> = vec![part(0, 2000, Some(false))];
        fill(&mut cache, &parts, NOW);
        parts[0].breakpoint = None;
        parts.extend((1..20).map(|n| part(n, 10, None)));

        parts[19].breakpoint = Some(false);
        let twentieth = cache.look_up(&parts, 0, 1024, NOW).split;
        parts.push(part(20, 10, Some(false)));
        parts[19].breakpoint = None;
        let beyond = cache.look_up(&parts, 0, 1024, NOW).split;

        assert_eq!((twentieth.read, beyond.read), (2000, 0));
    }

    #[test]
    fn consecutive_tool_calls_or_results_are_one_position() {
        let mut cache = Cache::default();
        let mut parts: Vec<Part> = vec![part(0, 2000, Some(false))];
        fill(&mut cache, &parts, NOW);
        parts[0].breakpoint = None;
        let of = |n: u64, kind| Part { kind, ..part(n, 10, None) };
        parts.extend((1..40).map(|n| of(n, PartKind::ToolUse)));
        parts.extend((40..80).map(|n| of(n, PartKind::ToolResult)));
        parts.extend((80..97).map(|n| part(n, 10, None)));

        let last = parts.len() - 1;
        parts[last].breakpoint = Some(false);
        let near = cache.look_up(&parts, 0, 1024, NOW).split;
        parts.push(part(97, 10, Some(false)));
        parts[last].breakpoint = None;
        let beyond = cache.look_up(&parts, 0, 1024, NOW).split;

        assert_eq!((near.read, beyond.read), (2000, 0));
    }

    #[test]
    fn organizations_and_models_do_not_share_cache_entries() {
        let mut cache = Cache::default();
        let found = cache.look_up(&[part(1, 2000, Some(false))], 1, 1024, NOW);
        cache.write(&found.writes, NOW);

        assert_eq!(cache.look_up(&[part(1, 2000, Some(false))], 2, 1024, NOW).split.read, 0);
    }

    #[test]
    fn an_eviction_removes_entries_that_were_not_used_for_long_enough() {
        let mut cache = Cache::default();
        let parts = [part(1, 2000, Some(false)), part(2, 50, Some(false))];
        fill(&mut cache, &parts, Instant::ZERO);

        cache.evict(&parts, 0, Duration::from_secs(60), Instant::from_secs(59));
        let before = cache.look_up(&parts, 0, 1024, Instant::from_secs(59)).split.read;
        cache.evict(&parts, 0, Duration::from_secs(60), Instant::from_secs(60));
        let after = cache.look_up(&parts, 0, 1024, Instant::from_secs(60)).split.read;

        assert_eq!((before, after), (2050, 0));
    }

    fn fill(cache: &mut Cache, parts: &[Part], now: Instant) {
        let found = cache.look_up(parts, 0, 1024, now);
        cache.write(&found.writes, now);
    }

    fn read(cache: &mut Cache, parts: &[Part], now: Instant) -> u64 {
        let found = cache.look_up(parts, 0, 1024, now);
        cache.renew(&found, now);
        found.split.read
    }

    fn part(hash: u64, tokens: u64, breakpoint: Option<bool>) -> Part {
        Part { hash, tokens, breakpoint, level: Level::Messages, kind: PartKind::Plain }
    }
}
