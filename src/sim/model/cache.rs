//! Prompt caching, as documented: which part of a prompt is read from a cache, and which is written to it.
//!
//! This module owns the cache entries. A prefix is identified by the hash of all its parts. It can be read as soon as
//! the first response that writes it has begun, and until it expires. Source: API documentation, "Prompt caching"
//! (2026-08-22).

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::Instant;

use super::hash::Hash;
use super::request::Part;

/// How many blocks before a breakpoint are checked for a cache entry.
const LOOK_BACK: usize = 20;
/// The maximum number of entries. If there are more, expired entries are removed first.
const ENTRIES: usize = 200_000;

/// The tokens of a prompt, split by how the cache handles them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Split {
    /// Tokens that are neither read from the cache nor written to it.
    pub uncached: u64,
    /// Tokens written for five minutes.
    pub write_5m: u64,
    /// Tokens written for an hour.
    pub write_1h: u64,
    /// Tokens read from the cache.
    pub read: u64,
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
    expires: Instant,
}

/// All entries of all organizations.
#[derive(Clone, Debug, Default)]
pub(super) struct Cache {
    entries: HashMap<u64, Entry>,
}

impl Cache {
    /// Splits a prompt. Also returns the cache entries that the prompt will make. `scope` is the organization, the
    /// model and everything else that an entry depends on. `least` is the length of the shortest prefix that is cached.
    pub(super) fn split(&mut self, parts: &[Part], scope: u64, least: u64, now: Instant) -> (Split, Vec<Write>) {
        let prefixes = prefixes(parts, scope);
        let total = prefixes.last().map_or(0, |prefix| prefix.tokens);
        let mut split = Split::default();
        let mut done = 0;
        if let Some(hit) = self.longest_hit(&prefixes, least, now) {
            split.read = hit;
            done = hit;
        }
        let mut writes = Vec::new();
        for prefix in &prefixes {
            let Some(is_hour) = prefix.breakpoint.filter(|_| prefix.tokens >= least && prefix.tokens > done) else {
                continue;
            };
            let lifetime = Duration::from_secs(if is_hour { 3600 } else { 300 });
            let tokens = prefix.tokens - done;
            *(if is_hour { &mut split.write_1h } else { &mut split.write_5m }) += tokens;
            writes.push(Write { key: prefix.key, lifetime, expires: now + lifetime });
            done = prefix.tokens;
        }
        split.uncached = total - done;
        (split, writes)
    }

    /// Returns the number of tokens of the longest prefix that can be read, and renews the entry of that prefix.
    fn longest_hit(&mut self, prefixes: &[Prefix], least: u64, now: Instant) -> Option<u64> {
        let ends = (0..prefixes.len()).rev().filter(|&at| prefixes[at].breakpoint.is_some());
        for end in ends {
            for prefix in prefixes[end.saturating_sub(LOOK_BACK)..=end].iter().rev() {
                let Some(entry) = self.entries.get_mut(&prefix.key) else { continue };
                if prefix.tokens >= least && now < entry.expires {
                    entry.expires = now + entry.lifetime;
                    return Some(prefix.tokens);
                }
            }
        }
        None
    }

    /// Makes entries readable.
    pub(super) fn write(&mut self, writes: Vec<Write>, now: Instant) {
        if self.entries.len() + writes.len() > ENTRIES {
            self.entries.retain(|_, entry| now < entry.expires);
        }
        for write in writes {
            if self.entries.len() < ENTRIES {
                self.entries.insert(write.key, Entry { lifetime: write.lifetime, expires: write.expires });
            }
        }
    }
}

struct Prefix {
    key: u64,
    tokens: u64,
    breakpoint: Option<bool>,
}

fn prefixes(parts: &[Part], scope: u64) -> Vec<Prefix> {
    let mut hash = Hash::new(scope);
    let mut tokens = 0;
    parts
        .iter()
        .map(|part| {
            hash = hash.word(part.hash);
            tokens += part.tokens;
            Prefix { key: hash.end(), tokens, breakpoint: part.breakpoint }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_secs(10);

    #[test]
    fn an_entry_is_read_only_after_it_was_written() {
        let mut cache = Cache::default();
        let parts = [part(1, 2000, Some(false)), part(2, 50, None)];

        let (first, writes) = cache.split(&parts, 0, 1024, NOW);
        let (second, _) = cache.split(&parts, 0, 1024, NOW);
        cache.write(writes, NOW);
        let (third, _) = cache.split(&parts, 0, 1024, NOW);

        assert_eq!(first, Split { uncached: 50, write_5m: 2000, ..Split::default() });
        assert_eq!(second, first, "the first response has not begun");
        assert_eq!(third, Split { uncached: 50, read: 2000, ..Split::default() });
    }

    #[test]
    fn a_prefix_that_is_too_short_is_not_cached() {
        let mut cache = Cache::default();

        let (split, writes) = cache.split(&[part(1, 1023, Some(false))], 0, 1024, NOW);

        assert_eq!(split, Split { uncached: 1023, ..Split::default() });
        assert!(writes.is_empty());
    }

    #[test]
    fn a_read_renews_an_entry_and_an_unread_entry_expires() {
        let mut cache = Cache::default();
        let parts = [part(1, 2000, Some(false))];
        let (_, writes) = cache.split(&parts, 0, 1024, Instant::ZERO);
        cache.write(writes, Instant::ZERO);

        assert_eq!(cache.split(&parts, 0, 1024, Instant::from_secs(299)).0.read, 2000);
        assert_eq!(cache.split(&parts, 0, 1024, Instant::from_secs(598)).0.read, 2000);

        assert_eq!(cache.split(&parts, 0, 1024, Instant::from_secs(898)).0.read, 0);
    }

    #[test]
    fn a_longer_conversation_reads_the_shorter_conversation_from_the_cache_and_writes_the_rest() {
        let mut cache = Cache::default();
        let (_, writes) = cache.split(&[part(1, 1500, Some(true)), part(2, 100, Some(false))], 0, 1024, NOW);
        cache.write(writes, NOW);

        let (split, _) =
            cache.split(&[part(1, 1500, Some(true)), part(2, 100, None), part(3, 10, Some(false))], 0, 1024, NOW);

        assert_eq!(split, Split { read: 1600, write_5m: 10, ..Split::default() });
    }

    #[test]
    fn organizations_and_models_do_not_share_cache_entries() {
        let mut cache = Cache::default();
        let (_, writes) = cache.split(&[part(1, 2000, Some(false))], 1, 1024, NOW);
        cache.write(writes, NOW);

        assert_eq!(cache.split(&[part(1, 2000, Some(false))], 2, 1024, NOW).0.read, 0);
    }

    fn part(hash: u64, tokens: u64, breakpoint: Option<bool>) -> Part {
        Part { hash, tokens, breakpoint }
    }
}
