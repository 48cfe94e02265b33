//! Finds shared prefixes in rows that can be read only once.
//!
//! The rows of a pipe are not known in advance. So before the marks of a row are decided ([`StreamCensus::decide`]),
//! some later rows are read ahead ([`StreamCensus::add`]). A prefix is marked if an earlier row has written it to the
//! cache, or if a row that was read ahead shares it. A prefix is also marked if a later row will probably share it. To
//! estimate how probably a later row shares this prefix, the program looks at earlier prefixes that had the same number
//! of rows. The estimate is the share of these prefixes that later got one more row.

use std::collections::HashMap;

use super::census::PrefixCensus;
use crate::domain::{Ask, Caching, Level, PrefixId, Prefixes, PromptCache};

/// The time, in seconds, during which later rows can read the cache entry that a row wrote. `FIVE_MINUTES` is for
/// entries that are kept for five minutes, and `HOUR` for entries that are kept for an hour.
const FIVE_MINUTES: u32 = 240;
const HOUR: u32 = 3_300;
/// A mark on a prefix is worth its cost if another row has the prefix with a probability above this value. A write to
/// the five-minute cache costs a quarter more than plain input, and a read costs nine tenths less.
const WORTH_A_WRITE: f64 = 0.28;
/// The largest number of prefixes in `firsts`.
const MOST_FIRSTS: usize = 1 << 16;
/// For each number of rows up to `MOST_COUNTED`, `with_rows` has a separate entry. Prefixes with more than
/// `MOST_COUNTED` rows are treated alike.
const MOST_COUNTED: usize = 8;

/// The prefixes of the rows of a stream.
#[derive(Debug)]
pub(crate) struct StreamCensus {
    cache: PromptCache,
    /// Whether later rows are read ahead before the marks of a row are decided.
    reads_ahead: bool,
    census: PrefixCensus,
    /// For each prefix, the time of its last mark, in seconds since the start of the run.
    marked: HashMap<PrefixId, u32>,
    /// For each prefix with only one row, the time when this row came. Only recent prefixes are kept.
    firsts: HashMap<PrefixId, u32>,
    /// Entry `n` is the number of prefixes that have more than `n` rows so far. Entry 0 is not used.
    with_rows: [u64; MOST_COUNTED + 1],
}

/// What was known about the prefixes of a row when the row was read.
#[derive(Clone, Debug)]
pub(crate) struct Before {
    /// The time since the start of the run, in seconds.
    now: u32,
    /// Two numbers for each prefix: the count of earlier rows that have the prefix, and the seconds between the last of
    /// these rows and the current row.
    rows: Vec<(u32, u32)>,
}

impl StreamCensus {
    /// Returns a census without rows.
    pub(crate) fn new(cache: PromptCache) -> Self {
        Self {
            cache,
            reads_ahead: true,
            census: PrefixCensus::default(),
            marked: HashMap::new(),
            firsts: HashMap::new(),
            with_rows: [0; MOST_COUNTED + 1],
        }
    }

    /// Returns a census of rows that leave their batches, without rows. These rows are not read ahead. But the rows of
    /// a batch are alike and leave the batch together. So a prefix is marked as soon as a second row has it.
    pub(crate) fn of_batches(cache: PromptCache) -> Self {
        Self { reads_ahead: false, ..Self::new(cache) }
    }

    /// Adds a row. `now` is the time since the start of the run, in seconds.
    pub(crate) fn add(&mut self, prefixes: &Prefixes, now: u32) -> Before {
        let before: Vec<_> = prefixes.levels.iter().map(|level| self.before(level, now)).collect();
        self.census.add(now.into(), 0, prefixes);
        if self.firsts.len() >= MOST_FIRSTS {
            self.firsts.clear();
        }
        for (level, (rows, _)) in prefixes.levels.iter().zip(&before) {
            let after = self.census.rows_of(level);
            if after == 0 {
                self.firsts.insert(level.id, now);
                // This prefix is new, so the longer prefixes of the row are new too.
                break;
            }
            self.firsts.remove(&level.id);
            (*rows.max(&1)..after).for_each(|rows| self.with_rows[(rows as usize).min(MOST_COUNTED)] += 1);
        }
        Before { now, rows: before }
    }

    /// Decides which prefixes of a request get cache marks, and removes the other prefixes from the request. `before`
    /// comes from [`StreamCensus::add`].
    pub(crate) fn mark(&mut self, ask: &mut Ask, before: &Before) {
        let Some(prefixes) = ask.prefixes.take() else { return };
        let mut prefixes = Prefixes::clone(&prefixes);
        if let Some(lifetime) = self.decide(&mut prefixes, before) {
            ask.expect_writes(&prefixes, lifetime);
            ask.prefixes = Some(prefixes.into());
        }
    }

    /// Removes a row's prefixes that are not worth a mark, and sets how long the remaining prefixes are cached.
    /// `before` comes from [`StreamCensus::add`]. The method must be called for the rows in the order in which they
    /// were added. Returns the longest lifetime of the remaining prefixes; `None` if no prefix is left.
    fn decide(&mut self, prefixes: &mut Prefixes, before: &Before) -> Option<Caching> {
        if prefixes.are_own() {
            let own = prefixes.levels.iter().map(|level| level.lifetime).max();
            return own.map(|_| Caching::None);
        }
        let least = prefixes.least_tokens;
        let mut places = before.rows.iter();
        let now = before.now;
        prefixes.levels.retain_mut(|level| {
            let &(rows, ago) = places.next().unwrap_or(&(0, u32::MAX));
            let is_behind = self.census.rows_of(level) > rows + 1;
            let (lifetime, within) = match self.cache {
                PromptCache::Hour => (Caching::Hour, HOUR),
                PromptCache::Auto if rows >= 3 && ago > FIVE_MINUTES => (Caching::Hour, HOUR),
                PromptCache::Auto | PromptCache::Off | PromptCache::FiveMinutes => (Caching::FiveMinutes, FIVE_MINUTES),
            };
            level.lifetime = lifetime;
            let may_be_long_enough = u64::from(level.tokens) * 3 >= u64::from(least) * 2;
            let is_near = rows == 0 || ago <= within;
            let is_written = self.marked.get(&level.id).is_some_and(|last| now - last <= within);
            let will_come = self.is_likely_to_come(rows) || (rows > 0 && !self.reads_ahead);
            may_be_long_enough && (is_written || is_behind || (is_near && will_come))
        });
        let extra = prefixes.levels.len().saturating_sub(Prefixes::MOST);
        prefixes.levels.drain(..extra);
        // The API does not allow a longer prefix to live longer than a shorter prefix. So all levels get the same
        // lifetime.
        let longest = prefixes.levels.iter().map(|level| level.lifetime).max()?;
        for level in &mut prefixes.levels {
            level.lifetime = longest;
            self.marked.insert(level.id, now);
        }
        Some(longest)
    }

    /// Returns how many rows have had a prefix so far, and how many seconds ago the last such row came.
    fn before(&self, level: &Level, now: u32) -> (u32, u32) {
        match (self.census.last_of(level), self.firsts.get(&level.id)) {
            (Some((rows, last)), _) => (rows, now.saturating_sub(last)),
            (None, Some(first)) => (1, now.saturating_sub(*first)),
            (None, None) => (0, u32::MAX),
        }
    }

    /// Returns whether a further row will probably share a prefix of the current row. `rows` is how many earlier rows
    /// have the prefix.
    fn is_likely_to_come(&self, rows: u32) -> bool {
        let rows = (rows as usize).min(MOST_COUNTED - 1);
        let with = |rows: usize| if rows == 0 { self.census.distinct() as u64 } else { self.with_rows[rows] };
        let sum = |rows: std::ops::Range<usize>| rows.map(with).sum::<u64>() as f64;
        // Among the prefixes with fewer rows, `fewer` is the share that got one more row. In the result, `fewer` has
        // the weight of two prefixes. If very few prefixes have had `rows` rows, the result depends mostly on `fewer`.
        let fewer = sum(1..rows + 1) / (sum(0..rows) + 1.0);
        (with(rows + 1) as f64 + 2.0 * fewer) / (with(rows) as f64 + 2.0) > WORTH_A_WRITE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MarkPlace, Money};

    fn row(ids: &[u64]) -> Prefixes {
        let level = |(at, id): (usize, &u64)| Level {
            id: PrefixId(*id),
            tokens: 2_000 * (at as u32 + 1),
            place: MarkPlace::Block { brace: 0 },
            lifetime: Caching::FiveMinutes,
        };
        let levels = ids.iter().enumerate().map(level).collect();
        Prefixes { levels, least_tokens: 1_024, extra_most: [Money::ZERO; 2] }
    }

    /// For each row, returns the prefixes that get a cache mark. `ahead` is the number of rows that are read ahead.
    /// Each item of `rows` begins with the time of the row, in seconds.
    fn marked(rows: &[(u32, &[u64])], ahead: usize) -> Vec<Vec<u64>> {
        marked_by(StreamCensus::new(PromptCache::Auto), rows, ahead)
    }

    fn marked_by(mut census: StreamCensus, rows: &[(u32, &[u64])], ahead: usize) -> Vec<Vec<u64>> {
        let mut window = std::collections::VecDeque::new();
        let mut marked = Vec::new();
        let mut rows = rows.iter();
        loop {
            if let Some((now, ids)) = rows.next() {
                let prefixes = row(ids);
                let before = census.add(&prefixes, *now);
                window.push_back((prefixes, before));
                if window.len() <= ahead {
                    continue;
                }
            }
            let Some((mut prefixes, before)) = window.pop_front() else { return marked };
            census.decide(&mut prefixes, &before);
            marked.push(prefixes.levels.iter().map(|level| level.id.0).collect());
        }
    }

    #[test]
    fn a_prefix_is_marked_if_a_later_row_shares_it() {
        let rows: Vec<(u32, &[u64])> = vec![(0, &[1, 11]), (0, &[1, 12]), (0, &[2, 21])];

        assert_eq!(marked(&rows, 8), [vec![1], vec![1], vec![]]);
    }

    #[test]
    fn a_prefix_that_many_rows_have_had_is_marked_without_looking_ahead() {
        let rows: Vec<(u32, &[u64])> = vec![(0, &[1]); 20];

        let marked = marked(&rows, 0);

        assert_eq!(
            marked.iter().filter(|ids| ids.is_empty()).count(),
            1,
            "only the first row is not marked: {marked:?}"
        );
    }

    #[test]
    fn the_second_row_that_leaves_a_batch_is_marked_and_its_own_end_is_not() {
        let ids: Vec<[u64; 2]> = (10..30).map(|id| [1, id]).collect();
        let rows: Vec<(u32, &[u64])> = ids.iter().map(|ids| (0, &ids[..])).collect();

        let marked = marked_by(StreamCensus::of_batches(PromptCache::Auto), &rows, 0);

        assert_eq!(marked[0], Vec::<u64>::new());
        assert!(marked[1..].iter().all(|ids| *ids == [1]), "{marked:?}");
    }

    #[test]
    fn rows_that_share_nothing_are_never_marked() {
        let ids: Vec<[u64; 1]> = (1..200).map(|id| [id]).collect();
        let rows: Vec<(u32, &[u64])> = ids.iter().map(|ids| (0, &ids[..])).collect();

        assert!(marked(&rows, 0).iter().all(Vec::is_empty));
    }

    #[test]
    fn rows_that_come_too_late_for_the_cache_are_not_marked() {
        let rows: Vec<(u32, &[u64])> = (0..10).map(|hour| (4_000 * hour, &[1_u64][..])).collect();

        assert!(marked(&rows, 0).iter().all(Vec::is_empty));
    }
}
