//! Decides which prefixes get cache marks, and for how long they are cached.
//!
//! If `rows` rows share a prefix, each token of the prefix costs `write × W + read × (rows − W)` in the whole run.
//! `write` and `read` are the prices of a write and a read, divided by the price of plain input. `W` is the number of
//! writes: one write at the start, and one write after each pause between two rows, if the pause is longer than the
//! lifetime. Without a mark, each token of the prefix costs `rows` times the price of plain input. For each prefix, the
//! plan chooses whatever is cheapest: a five-minute mark, a one-hour mark, or no mark.
//!
//! The length of a pause is the distance between the two rows in the input, divided by the number of rows that are sent
//! per second. If rows are read group by group, there are no pauses between rows that share a prefix.
//!
//! In this file, a *longer* prefix contains a shorter prefix. Some of the rows with the shorter prefix also have the
//! longer prefix. An *own* prefix ends at a cache mark that the rows themselves contain.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use super::super::seen::AsItIs;
use super::census::{Node, PrefixCensus};
use crate::domain::{Caching, PrefixId, Prefixes, PromptCache};

/// How long a cache entry is assumed to live after its last use, in seconds. The API keeps an entry for 300 or 3,600
/// seconds. The other 60 or 300 seconds are a reserve, because requests take time and the speed of the run can change.
const FIVE_MINUTES: f64 = 240.0;
const HOUR: f64 = 3_300.0;
/// The factor by which the estimated length of a prefix can be too low or too high.
const ERROR: f64 = 1.5;
/// Rows are read group by group only if this order saves at least this share of the cost of shared prefixes.
const WORTH_ORDERING: f64 = 0.01;

/// The prices of a cached token, as shares of the price of plain input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CacheRates {
    /// The price of a token that is written to the five-minute cache.
    pub write_5m: f64,
    /// The price of a token that is written to the one-hour cache.
    pub write_1h: f64,
    /// Read.
    pub read: f64,
}

impl Default for CacheRates {
    /// Returns the prices that most models have. Source: API documentation, "Prompt caching" (2026-08-22).
    fn default() -> Self {
        Self { write_5m: 1.25, write_1h: 2.0, read: 0.1 }
    }
}

/// The plan for the cache depends on these values and on the prefixes.
pub(crate) struct CacheSetting<'a> {
    /// The value of `--prompt-cache`.
    pub cache: PromptCache,
    /// How many rows per second the run will probably send.
    pub rows_per_second: f64,
    /// Whether rows can be read in any order.
    pub can_be_ordered: bool,
    /// A function that takes the position of a group in the load, and returns the cache prices of this group.
    pub rates: &'a dyn Fn(usize) -> CacheRates,
}

/// The plan for the prompt cache in a run: the prefixes that get marks, and the expected effect.
#[derive(Clone, Debug, Default)]
pub struct CachePlan {
    chosen: HashMap<u64, Caching, BuildHasherDefault<AsItIs>>,
    /// The prefixes that get marks only in rows that batches accept, if such a row is sent online after all.
    chosen_outside_batches: HashMap<u64, Caching, BuildHasherDefault<AsItIs>>,
    /// The number of prefixes that would get marks if all rows that batches accept were sent online.
    pub(crate) prefixes_outside_batches: u64,
    /// Whether rows are read group by group, so that cache entries do not expire too early.
    pub is_ordered: bool,
    /// The number of prefixes that get marks.
    pub prefixes: u64,
    /// The number of marked prefixes that may be too short for their model. The first answers show which of these
    /// prefixes are too short.
    pub uncertain: u64,
    /// Of the marked prefixes that may be too short, the prefix with the most rows.
    pub most_uncertain: Option<Unmarked>,
    /// The number of rows that get at least one mark, or have marks of their own.
    pub rows: u64,
    /// The number of rows that have marks of their own.
    pub own_rows: u64,
    /// The expected cached tokens of each group of the load, in the order of the groups. The list can end before the
    /// last group if the last groups have no cached prefix.
    pub groups: Vec<GroupCaching>,
    /// The prefixes that several rows share but that get no mark.
    pub unmarked: Vec<Unmarked>,
}

/// The numbers of cached tokens for one group of rows in a load.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GroupCaching {
    /// The estimated number of tokens that are written to the five-minute cache.
    pub write_5m: f64,
    /// The estimated number of tokens that are written to the one-hour cache.
    pub write_1h: f64,
    /// Tokens read.
    pub read: f64,
    /// The longest lifetime of a mark in the group.
    pub lifetime: Caching,
}

/// Prefixes that have no mark, all for the same reason.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unmarked {
    /// The reason.
    pub reason: UnmarkedReason,
    /// The number of these prefixes.
    pub prefixes: u64,
    /// The number of rows with one of these prefixes. A row with several of these prefixes counts several times.
    pub rows: u64,
    /// The estimated number of tokens in the most frequent of these prefixes.
    pub tokens: u32,
    /// The length, in tokens, of the shortest prefix that the model of these rows caches.
    pub least: u32,
    /// The position of the rows' group in the load.
    pub group: usize,
    /// How many rows share the most frequent of these prefixes.
    pub most_rows: u32,
}

/// The reason why a shared prefix gets no mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnmarkedReason {
    /// The prefix is shorter than the model requires.
    TooShort,
    /// The rows of the prefix are too far apart in the input, so the cache entry would expire and be written again many
    /// times.
    TooFarApart,
    /// Too few rows have the prefix: a write costs more than the reads save.
    TooFew,
}

/// A way to cache a prefix, with its number of writes and its cost.
#[derive(Clone, Copy)]
struct Choice {
    lifetime: Caching,
    writes: f64,
    cost: f64,
}

impl PrefixCensus {
    /// Decides which prefixes are cached. After this call, no row can be added.
    pub(crate) fn decide(&mut self, setting: &CacheSetting<'_>) -> CachePlan {
        let mut plan = CachePlan::default();
        if setting.cache == PromptCache::Off {
            return plan;
        }
        self.keep_shared_only();
        self.note_longer();
        plan.is_ordered = setting.can_be_ordered && self.is_worth_ordering(setting);
        let is_ordered = plan.is_ordered;
        let gap = |node: &Node| if is_ordered { 0.0 } else { node.gap_seconds(setting.rows_per_second) };
        let useful = self.nodes.iter().filter(|(_, node)| node.most_of_longer < node.rows);
        for (id, node) in useful {
            if node.is_own {
                plan.chosen.insert(*id, Caching::FiveMinutes);
                continue;
            }
            if node.is_too_short() {
                plan.add_unmarked(node, UnmarkedReason::TooShort);
                continue;
            }
            let choice = node.choice(setting, gap(node));
            match choice.lifetime {
                Caching::None if f64::from(node.rows) > 2.0 || gap(node) > FIVE_MINUTES => {
                    plan.add_unmarked(node, UnmarkedReason::TooFarApart);
                }
                Caching::None => plan.add_unmarked(node, UnmarkedReason::TooFew),
                lifetime => _ = plan.chosen.insert(*id, lifetime),
            }
        }
        self.lengthen_outer(&mut plan);
        self.sum_up(&mut plan, setting, &gap);
        plan
    }

    /// Computes `most_of_longer` for each prefix. If all rows of a prefix share the same longer prefix, only the longer
    /// prefix is marked.
    fn note_longer(&mut self) {
        let longer: Vec<(u64, u32)> = self.nodes.values().map(|node| (node.parent, node.rows)).collect();
        for (parent, rows) in longer {
            if let Some(parent) = self.nodes.get_mut(&parent) {
                parent.most_of_longer = parent.most_of_longer.max(rows);
            }
        }
    }

    /// Returns whether the run saves enough if the rows are read group by group.
    fn is_worth_ordering(&self, setting: &CacheSetting<'_>) -> bool {
        let (mut ordered, mut as_written) = (0.0, 0.0);
        for node in self.nodes.values().filter(|node| !node.is_own && !node.is_too_short()) {
            let own = f64::from(node.tokens - self.parent_of(node).map_or(0, |parent| parent.tokens.min(node.tokens)));
            ordered += own * node.choice(setting, 0.0).cost;
            as_written += own * node.choice(setting, node.gap_seconds(setting.rows_per_second)).cost;
        }
        as_written > ordered * (1.0 + WORTH_ORDERING)
    }

    fn parent_of(&self, node: &Node) -> Option<&Node> {
        self.nodes.get(&node.parent)
    }

    /// Among the marked prefixes that are shorter parts of this prefix, returns the longest one.
    fn chosen_parent(&self, node: &Node, plan: &CachePlan) -> Option<(u64, &Node)> {
        let mut id = node.parent;
        loop {
            let parent = self.nodes.get(&id)?;
            if plan.chosen.contains_key(&id) {
                return Some((id, parent));
            }
            id = parent.parent;
        }
    }

    /// Makes each prefix live at least as long as every longer prefix of the same rows. The API rejects a request if a
    /// longer prefix has a longer lifetime than a shorter prefix.
    fn lengthen_outer(&self, plan: &mut CachePlan) {
        let hours: Vec<u64> =
            plan.chosen.iter().filter(|(_, lifetime)| **lifetime == Caching::Hour).map(|(id, _)| *id).collect();
        for id in hours {
            let mut id = self.nodes[&id].parent;
            while let Some(node) = self.nodes.get(&id) {
                if let Some(lifetime) = plan.chosen.get_mut(&id) {
                    *lifetime = Caching::Hour;
                }
                id = node.parent;
            }
        }
    }

    /// Adds up the tokens that rows will probably write to the cache and read from the cache.
    fn sum_up(&self, plan: &mut CachePlan, setting: &CacheSetting<'_>, gap: &dyn Fn(&Node) -> f64) {
        let mut groups = Vec::new();
        for (id, &lifetime) in &plan.chosen {
            let node = &self.nodes[id];
            let outer = self.chosen_parent(node, plan);
            if outer.is_none() {
                plan.rows += u64::from(node.rows);
                plan.own_rows += if node.is_own { u64::from(node.rows) } else { 0 };
            }
            if node.is_own {
                continue;
            }
            plan.prefixes += 1;
            if node.is_uncertain() {
                plan.uncertain += 1;
                let found = node.as_unmarked(UnmarkedReason::TooShort);
                if plan.most_uncertain.is_none_or(|known| known.most_rows < found.most_rows) {
                    plan.most_uncertain = Some(found);
                }
            }
            let group = node.group as usize;
            if groups.len() <= group {
                groups.resize(group + 1, GroupCaching::default());
            }
            let sums = &mut groups[group];
            sums.lifetime = sums.lifetime.max(lifetime);
            if node.tokens < node.least {
                continue;
            }
            let own = f64::from(node.tokens.saturating_sub(outer.map_or(0, |(_, outer)| outer.tokens)));
            let choice = node.with(lifetime, (setting.rates)(group), gap(node), setting.rows_per_second);
            match lifetime {
                Caching::Hour => sums.write_1h += own * choice.writes,
                Caching::None | Caching::FiveMinutes => sums.write_5m += own * choice.writes,
            }
            sums.read += own * (f64::from(node.rows) - choice.writes);
        }
        plan.groups = groups;
    }
}

impl Node {
    /// If rows are sent in the order of the input, some time passes from one row of the prefix to the next. Returns the
    /// mean time between two successive rows of the prefix, in seconds.
    fn gap_seconds(&self, rows_per_second: f64) -> f64 {
        let rows = f64::from(self.last - self.first) / f64::from(self.rows.max(2) - 1);
        if rows_per_second > 0.0 { (rows - 1.0).max(0.0) / rows_per_second } else { 0.0 }
    }

    /// Returns a record that says why this prefix is not marked.
    fn as_unmarked(&self, reason: UnmarkedReason) -> Unmarked {
        Unmarked {
            reason,
            prefixes: 1,
            rows: self.rows.into(),
            tokens: self.tokens,
            least: self.least,
            group: self.group as usize,
            most_rows: self.rows,
        }
    }

    /// Returns the minimum number of cache writes that this prefix needs. Longer prefixes can increase the number of
    /// writes. Of the rows with a longer prefix, only the first row reads this prefix. All later rows read the longer
    /// prefix. If sending these rows takes longer than `seconds` seconds, this prefix expires in the meantime.
    ///
    /// The API documentation does not say whether a read of a longer prefix also renews the shorter prefix inside it.
    /// The plan assumes that a read of a longer prefix does not renew the shorter prefix inside it.
    fn least_writes(&self, seconds: f64, rows_per_second: f64) -> f64 {
        let of_longer = f64::from(self.most_of_longer);
        let is_slow = self.most_of_longer > 1 && of_longer > seconds * rows_per_second;
        if is_slow { f64::from(self.rows) / of_longer } else { 1.0 }
    }

    fn is_too_short(&self) -> bool {
        f64::from(self.tokens) * ERROR < f64::from(self.least)
    }

    fn is_uncertain(&self) -> bool {
        f64::from(self.tokens) < f64::from(self.least) * ERROR
    }

    /// Returns the cheapest choice for the prefix. One choice is that the prefix is not cached.
    fn choice(&self, setting: &CacheSetting<'_>, gap: f64) -> Choice {
        let rates = (setting.rates)(self.group as usize);
        let plain = Choice { lifetime: Caching::None, writes: 0.0, cost: f64::from(self.rows) };
        let of = |lifetime| self.with(lifetime, rates, gap, setting.rows_per_second);
        let choices = match setting.cache {
            PromptCache::Off => vec![plain],
            PromptCache::Auto => vec![of(Caching::FiveMinutes), of(Caching::Hour), plain],
            PromptCache::FiveMinutes => vec![of(Caching::FiveMinutes), plain],
            PromptCache::Hour => vec![of(Caching::Hour), plain],
        };
        choices.into_iter().min_by(|one, other| one.cost.total_cmp(&other.cost)).unwrap_or(plain)
    }

    fn with(&self, lifetime: Caching, rates: CacheRates, gap: f64, rows_per_second: f64) -> Choice {
        let rows = f64::from(self.rows);
        let (write, seconds) = match lifetime {
            Caching::Hour => (rates.write_1h, HOUR),
            Caching::None | Caching::FiveMinutes => (rates.write_5m, FIVE_MINUTES),
        };
        // If the rows of the prefix come at random times, `missed` is the share of pauses that are longer than the
        // lifetime.
        let missed = if gap > 0.0 { (-seconds / gap).exp() } else { 0.0 };
        let writes = (1.0 + (rows - 1.0) * missed).max(self.least_writes(seconds, rows_per_second));
        Choice { lifetime, writes, cost: write * writes + rates.read * (rows - writes) }
    }
}

impl CachePlan {
    /// Returns how long a prefix is cached; `None` if the prefix is not marked.
    pub fn lifetime(&self, prefix: PrefixId) -> Option<Caching> {
        self.chosen.get(&prefix.0).copied()
    }

    /// Adds the plan for rows that batches accept. Such rows get marks only if they are sent online after all. Returns
    /// the plan for all rows.
    pub(crate) fn with_rows_of_batches(self, rows: Self) -> Self {
        Self { chosen_outside_batches: rows.chosen, prefixes_outside_batches: rows.prefixes, ..self }
    }

    /// Removes the unmarked prefixes of a row, and sets the lifetime of each remaining prefix. `is_online_only` says
    /// whether batches do not accept the row.
    pub(super) fn keep_chosen(&self, prefixes: &mut Prefixes, is_online_only: bool) {
        let are_own = prefixes.are_own();
        // A row that is certainly sent online can share a prefix with rows that batches accept. A mark on this prefix
        // would be wasted, because the other rows are probably sent in batches.
        let outside = |id: PrefixId| self.chosen_outside_batches.get(&id.0).filter(|_| !is_online_only).copied();
        prefixes.levels.retain_mut(|level| {
            let chosen = self.lifetime(level.id).or_else(|| outside(level.id));
            level.lifetime = chosen.filter(|_| !are_own).unwrap_or(level.lifetime);
            chosen.is_some()
        });
        // If a row has too many prefixes, the longest prefixes are kept, because they contain the shorter prefixes.
        let extra = prefixes.levels.len().saturating_sub(Prefixes::MOST);
        prefixes.levels.drain(..extra);
        if are_own {
            return;
        }
        // The API rejects a request in which a longer prefix lives longer than a shorter prefix. A plan can contain
        // such a pair of prefixes. The reason is that the plan does not always know whether a row with the longer
        // prefix also has the shorter prefix.
        let mut longest = Caching::None;
        for level in prefixes.levels.iter_mut().rev() {
            longest = longest.max(level.lifetime);
            level.lifetime = longest;
        }
    }

    /// Returns whether the plan caches no prefix.
    pub fn is_empty(&self) -> bool {
        self.chosen.is_empty() && self.chosen_outside_batches.is_empty()
    }

    fn add_unmarked(&mut self, node: &Node, reason: UnmarkedReason) {
        let fresh = node.as_unmarked(reason);
        let Some(known) = self.unmarked.iter_mut().find(|known| known.reason == reason) else {
            return self.unmarked.push(fresh);
        };
        let (prefixes, rows) = (known.prefixes + 1, known.rows + fresh.rows);
        let example = if fresh.most_rows > known.most_rows { fresh } else { *known };
        *known = Unmarked { prefixes, rows, ..example };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Level, MarkPlace, Money};

    const LEAST: u32 = 1_024;

    /// Returns the prefixes of a row. `levels` contains the id and the number of tokens of each prefix.
    fn row(levels: &[(u64, u32)]) -> Prefixes {
        let level = |&(id, tokens): &(u64, u32)| Level {
            id: PrefixId(id),
            tokens,
            place: MarkPlace::Block { brace: 0 },
            lifetime: Caching::FiveMinutes,
        };
        Prefixes { levels: levels.iter().map(level).collect(), least_tokens: LEAST, extra_most: [Money::ZERO; 2] }
    }

    fn census(rows: impl IntoIterator<Item = Prefixes>) -> PrefixCensus {
        let mut census = PrefixCensus::default();
        rows.into_iter().enumerate().for_each(|(at, row)| census.add(at as u64, 0, &row));
        census
    }

    fn plan(census: &mut PrefixCensus, rows_per_second: f64, cache: PromptCache, can_be_ordered: bool) -> CachePlan {
        census.decide(&CacheSetting { cache, rows_per_second, can_be_ordered, rates: &|_| CacheRates::default() })
    }

    fn auto(rows: impl IntoIterator<Item = Prefixes>) -> CachePlan {
        plan(&mut census(rows), 10.0, PromptCache::Auto, false)
    }

    #[test]
    fn two_rows_with_a_prefix_are_enough_and_one_row_is_not() {
        let plan = auto([row(&[(1, 5_000)]), row(&[(2, 5_000)]), row(&[(2, 5_000)])]);

        assert_eq!(plan.lifetime(PrefixId(1)), None);
        assert_eq!(plan.lifetime(PrefixId(2)), Some(Caching::FiveMinutes));
        assert_eq!((plan.prefixes, plan.rows), (1, 2));
        assert_eq!((plan.groups[0].write_5m, plan.groups[0].read), (5_000.0, 5_000.0));
    }

    #[test]
    fn only_prefixes_after_which_rows_differ_are_marked() {
        // All rows share the prefixes 1 and 2. Each of the two documents (prefixes 10 and 11) is shared by two rows.
        let document = |document: u64, row_number: u64| {
            row(&[(1, 2_000), (2, 3_000), (document, 6_000), (100 + row_number, 6_100)])
        };
        let plan = auto([document(10, 0), document(10, 1), document(11, 2), document(11, 3)]);

        let marked = [1, 2, 10, 11, 100].map(|id| plan.lifetime(PrefixId(id)).is_some());
        assert_eq!(marked, [false, true, true, true, false]);
        assert_eq!(plan.groups[0].write_5m, 3_000.0 + 2.0 * 3_000.0);
        assert_eq!(plan.groups[0].read, 3.0 * 3_000.0 + 2.0 * 3_000.0);
        assert_eq!(plan.rows, 4, "each row counts once");
    }

    #[test]
    fn a_conversation_that_grows_is_marked_at_the_end_of_each_row() {
        let turns = |turns: u64| {
            let levels: Vec<_> = (1..=turns).map(|turn| (turn, 1_500 * turn as u32)).collect();
            row(&levels)
        };
        let plan = auto((1..=4).map(turns));

        assert_eq!([1, 2, 3, 4].map(|id| plan.lifetime(PrefixId(id)).is_some()), [true, true, true, false]);
    }

    #[test]
    fn prefixes_that_are_too_short_are_named_and_uncertain_prefixes_are_marked() {
        let plan = auto([row(&[(1, 600)]), row(&[(1, 600)]), row(&[(2, 900)]), row(&[(2, 900)])]);

        assert_eq!(plan.lifetime(PrefixId(1)), None);
        assert_eq!(plan.lifetime(PrefixId(2)), Some(Caching::FiveMinutes));
        assert_eq!((plan.uncertain, plan.groups[0].read), (1, 0.0), "it is not expected to save anything");
        let short = plan.unmarked[0];
        assert_eq!((short.reason, short.prefixes, short.rows, short.tokens), (UnmarkedReason::TooShort, 1, 2, 600));
    }

    #[test]
    fn rows_that_are_far_apart_are_read_group_by_group_or_cached_for_longer() {
        // Each prefix has ten rows, because every hundredth row has the same prefix.
        let rows = || (0..1_000).map(|number| row(&[(1 + number % 100, 5_000)]));

        let fast = plan(&mut census(rows()), 10.0, PromptCache::Auto, true);
        let slow = plan(&mut census(rows()), 0.1, PromptCache::Auto, false);
        let ordered = plan(&mut census(rows()), 0.1, PromptCache::Auto, true);
        let slowest = plan(&mut census(rows()), 0.001, PromptCache::Auto, false);

        let of = |plan: &CachePlan| (plan.lifetime(PrefixId(1)), plan.is_ordered);
        assert_eq!(of(&fast), (Some(Caching::FiveMinutes), false));
        assert_eq!(of(&slow), (Some(Caching::Hour), false));
        assert_eq!(of(&ordered), (Some(Caching::FiveMinutes), true));
        assert_eq!(of(&slowest), (None, false));
        assert_eq!(slowest.unmarked[0].reason, UnmarkedReason::TooFarApart);
    }

    #[test]
    fn a_prefix_that_is_not_used_while_a_longer_prefix_is_read_is_cached_for_longer() {
        let rows = || (0..90).map(|number| row(&[(1, 2_000), (10 + number / 30, 4_000)]));
        // Sending the rows of one document takes five seconds in the first case, five minutes in the second case, and
        // more than an hour in the third case.
        let lifetimes = [6.0, 0.1, 0.008].map(|rows_per_second| {
            let plan = plan(&mut census(rows()), rows_per_second, PromptCache::Auto, false);
            [1, 10].map(|id| plan.lifetime(PrefixId(id)).unwrap_or(Caching::None))
        });

        let (minutes, hour) = (Caching::FiveMinutes, Caching::Hour);
        assert_eq!(lifetimes, [[minutes, minutes], [hour, minutes], [minutes, minutes]]);
    }

    #[test]
    fn a_prefix_of_two_rows_is_not_worth_an_hour() {
        let rows = || [row(&[(1, 5_000)]), row(&[(1, 5_000)])];

        assert!(plan(&mut census(rows()), 10.0, PromptCache::Hour, false).is_empty());
        assert!(!plan(&mut census(rows()), 10.0, PromptCache::FiveMinutes, false).is_empty());
        assert!(plan(&mut census(rows()), 10.0, PromptCache::Off, false).is_empty());
    }

    #[test]
    fn a_longer_prefix_never_lives_longer_than_a_shorter_prefix() {
        let rows = (0..300).map(|number| row(&[(1, 2_000), (100 + number % 30, 5_000)]));
        let plan = plan(&mut census(rows), 0.05, PromptCache::Auto, false);

        assert_eq!(plan.lifetime(PrefixId(100)), Some(Caching::Hour), "its rows are ten minutes apart");
        assert_eq!(plan.lifetime(PrefixId(1)), Some(Caching::Hour));
    }

    #[test]
    fn a_row_keeps_its_shorter_prefix_at_least_as_long_as_its_longer_prefix() {
        // The rows with the longer prefix are ten minutes apart. The last two rows with the longer prefix also have the
        // shorter prefix.
        let number = |at: u64| if at.is_multiple_of(30) { row(&[(2, 5_000)]) } else { row(&[(100 + at, 5_000)]) };
        let both = row(&[(1, 2_000), (2, 5_000)]);
        let rows = (0..300).map(number).chain([both.clone(), both.clone()]);
        let plan = plan(&mut census(rows), 0.05, PromptCache::Auto, false);
        let lifetimes = [1, 2].map(|id| plan.lifetime(PrefixId(id)));

        let mut marked = both;
        plan.keep_chosen(&mut marked, false);

        let (minutes, hour) = (Caching::FiveMinutes, Caching::Hour);
        assert_eq!(lifetimes, [Some(minutes), Some(hour)]);
        assert_eq!(marked.levels.iter().map(|level| level.lifetime).collect::<Vec<_>>(), [hour, hour]);
    }

    #[test]
    fn counts_are_the_same_for_neighbours_and_nearly_the_same_for_rows_that_are_far_apart() {
        let nested = |number: u64| row(&[(1 + number % 10, 2_000), (1_000 + number % 100, 4_000)]);
        let mut neighbours: Vec<u64> = (0..1_000).collect();
        neighbours.sort_by_key(|number| number % 100);
        let count = |order: &[u64]| {
            let census = census(order.iter().map(|number| nested(*number)));
            census.nodes[&1_000].rows
        };

        assert_eq!(count(&neighbours), 10);
        assert!(count(&(0..1_000).collect::<Vec<_>>()) >= 9);
    }
}
