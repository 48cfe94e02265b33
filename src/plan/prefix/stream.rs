//! Finds shared prefixes in rows that can be read only once.
//!
//! The rows of a pipe are not known in advance. So a few of them are read ahead ([`StreamCensus::add`]) before the first
//! of them is decided ([`StreamCensus::decide`]). A prefix is marked if a row behind it shares it, or if it is likely
//! that a later row will. How likely that is follows from the prefixes so far: of those that had as many rows, the share
//! that got one more.

use std::collections::HashMap;

use super::census::PrefixCensus;
use crate::domain::{Caching, Level, PrefixId, Prefixes, PromptCache};

/// Rows that come within this time after each other share an entry of five minutes, and of an hour. In seconds.
const FIVE_MINUTES: u32 = 240;
const HOUR: u32 = 3_300;
/// A write for five minutes costs a quarter more than plain input, and a read saves nine tenths. So a mark pays if the
/// chance of a further row is above this.
const WORTH_A_WRITE: f64 = 0.28;
/// The times of this many prefixes with one row are kept.
const MOST_FIRSTS: usize = 1 << 16;
/// Prefixes with more rows than this are counted together.
const MOST_COUNTED: usize = 8;

/// The prefixes of the rows of a stream.
#[derive(Debug)]
pub(crate) struct StreamCensus {
    cache: PromptCache,
    census: PrefixCensus,
    /// When the only row of a prefix came. Only the last ones are kept.
    firsts: HashMap<PrefixId, u32>,
    /// How many prefixes have had at least one row, two rows and so on. The first number is not used.
    with_rows: [u64; MOST_COUNTED + 1],
}

/// What was known of a row's prefixes when it was read: how many rows had them before, and how many seconds ago.
pub(crate) type Before = Vec<(u32, u32)>;

impl StreamCensus {
    /// Returns a census without rows.
    pub(crate) fn new(cache: PromptCache) -> Self {
        Self { cache, census: PrefixCensus::default(), firsts: HashMap::new(), with_rows: [0; MOST_COUNTED + 1] }
    }

    /// Adds a row. `now` is the time since the start of the run, in seconds.
    pub(crate) fn add(&mut self, prefixes: &Prefixes, now: u32) -> Before {
        let before: Before = prefixes.levels.iter().map(|level| self.before(level, now)).collect();
        self.census.add(now.into(), 0, prefixes);
        if self.firsts.len() >= MOST_FIRSTS {
            self.firsts.clear();
        }
        for (level, (rows, _)) in prefixes.levels.iter().zip(&before) {
            let after = self.census.rows_of(level);
            if after == 0 {
                self.firsts.insert(level.id, now);
                // No row has a longer prefix.
                break;
            }
            self.firsts.remove(&level.id);
            (*rows.max(&1)..after).for_each(|rows| self.with_rows[(rows as usize).min(MOST_COUNTED)] += 1);
        }
        before
    }

    /// Removes the prefixes of a row that are not worth a mark, and sets how long the others are cached. `before` comes
    /// from [`StreamCensus::add`], and `now` is the time since the start of the run, in seconds. Returns the longest
    /// lifetime; `None` if no prefix is left.
    pub(crate) fn decide(&self, prefixes: &mut Prefixes, before: &Before) -> Option<Caching> {
        if prefixes.are_own() {
            let own = prefixes.levels.iter().map(|level| level.lifetime).max();
            return own.map(|_| Caching::None);
        }
        let least = prefixes.least_tokens;
        let mut places = before.iter();
        prefixes.levels.retain_mut(|level| {
            let &(rows, ago) = places.next().unwrap_or(&(0, u32::MAX));
            let behind = self.census.rows_of(level).saturating_sub(rows.max(1)) > 0;
            let (lifetime, within) = match self.cache {
                PromptCache::Hour => (Caching::Hour, HOUR),
                PromptCache::Auto if rows >= 3 && ago > FIVE_MINUTES => (Caching::Hour, HOUR),
                PromptCache::Auto | PromptCache::Off | PromptCache::FiveMinutes => (Caching::FiveMinutes, FIVE_MINUTES),
            };
            level.lifetime = lifetime;
            let may_be_long_enough = u64::from(level.tokens) * 3 >= u64::from(least) * 2;
            let is_near = rows == 0 || ago <= within;
            may_be_long_enough && (behind || (is_near && self.is_likely_to_come(rows)))
        });
        let extra = prefixes.levels.len().saturating_sub(Prefixes::MOST);
        prefixes.levels.drain(..extra);
        // A longer prefix must not live longer than a shorter one.
        let longest = prefixes.levels.iter().map(|level| level.lifetime).max()?;
        prefixes.levels.iter_mut().for_each(|level| level.lifetime = longest);
        Some(longest)
    }

    /// Returns how many rows have had a prefix, and how many seconds ago the last of them came.
    fn before(&self, level: &Level, now: u32) -> (u32, u32) {
        match (self.census.last_of(level), self.firsts.get(&level.id)) {
            (Some((rows, last)), _) => (rows, now.saturating_sub(last)),
            (None, Some(first)) => (1, now.saturating_sub(*first)),
            (None, None) => (0, u32::MAX),
        }
    }

    /// Returns whether a prefix that `rows` rows had before will probably be shared by a further row.
    fn is_likely_to_come(&self, rows: u32) -> bool {
        let rows = (rows as usize).min(MOST_COUNTED - 1);
        let with = if rows == 0 { self.census.distinct() as u64 } else { self.with_rows[rows] };
        let with_more = self.with_rows[rows + 1];
        // Without any experience, nothing is marked on a guess.
        with_more as f64 / (with + 2) as f64 > WORTH_A_WRITE
    }
}
