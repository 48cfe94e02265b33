//! Counts how many rows share each prefix.
//!
//! The prefixes of all rows form a trie: the parent of a prefix is the next shorter prefix of the same row. Most
//! prefixes belong to a single row. A node is kept only for a prefix that at least two rows have. If a row has prefixes
//! that no second row has, only the shortest of these prefixes is kept, as a hash ([`SeenPrefixes`]). It is enough to
//! keep the shortest prefix: every row that shares a longer prefix also shares the shortest prefix.
//!
//! A prefix is recognized as shared when a second row with this prefix comes. The longer prefixes of the first row are
//! then needed too, because both rows may share them. Rows with a common prefix are often neighbours, so the longer
//! prefixes are kept only for the last [`RECENT`] rows. If the first row came before the last `RECENT` rows, this row
//! is not counted for its longer prefixes.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use super::super::seen::AsItIs;
use super::seen_prefixes::SeenPrefixes;
use crate::domain::{Level, MarkPlace, Prefixes};

/// The number of recent rows whose longer prefixes are kept.
const RECENT: usize = 4096;

type Map<V> = HashMap<u64, V, BuildHasherDefault<AsItIs>>;

/// The prefixes that rows share.
#[derive(Debug, Default)]
pub struct PrefixCensus {
    seen: SeenPrefixes,
    pub(super) nodes: Map<Node>,
    recent: Map<(u32, Box<[Level]>)>,
}

/// A prefix that several rows have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// The id of the next shorter prefix; 0 if there is none.
    pub(super) parent: u64,
    /// The number of rows that have the prefix.
    pub(super) rows: u32,
    /// The estimated number of tokens of the prefix.
    pub(super) tokens: u32,
    /// The positions, in reading order, of the first and of the last row that have the prefix.
    pub(super) first: u32,
    pub(super) last: u32,
    /// The rows of the prefix belong to the group at this position in the load.
    pub(super) group: u32,
    /// The length, in tokens, of the shortest prefix that can be cached with the model of these rows.
    pub(super) least: u32,
    /// Of the next longer prefixes, the most frequent one belongs to this number of rows. The number is computed when
    /// the plan is made.
    pub(super) most_of_longer: u32,
    /// Whether the prefix ends at a cache mark that the rows themselves contain.
    pub(super) is_own: bool,
}

impl PrefixCensus {
    /// Adds a row. `row` is the position of the row in reading order, and `group` is the position of the row's group in
    /// the load.
    pub fn add(&mut self, row: u64, group: usize, prefixes: &Prefixes) {
        let (row, group) = (u32::try_from(row).unwrap_or(u32::MAX), group as u32);
        self.add_levels(row, group, prefixes.least_tokens, 0, &prefixes.levels);
    }

    fn add_levels(&mut self, row: u32, group: u32, least: u32, mut parent: u64, levels: &[Level]) {
        for (at, level) in levels.iter().enumerate() {
            let id = level.id.0;
            if let Some(node) = self.nodes.get_mut(&id) {
                node.rows = node.rows.saturating_add(1);
                node.last = node.last.max(row);
                parent = id;
                continue;
            }
            let longer = &levels[at + 1..];
            if self.seen.insert(id) {
                if !longer.is_empty() {
                    if self.recent.len() >= RECENT {
                        self.recent.clear();
                    }
                    self.recent.insert(id, (row, longer.into()));
                }
                return;
            }
            let node = Node {
                parent,
                rows: 2,
                tokens: level.tokens,
                first: row,
                last: row,
                group,
                least,
                most_of_longer: 0,
                is_own: level.place == MarkPlace::Own,
            };
            self.nodes.insert(id, node);
            if let Some((first, longer)) = self.recent.remove(&id) {
                self.nodes.entry(id).and_modify(|node| node.first = first);
                self.add_levels(first, group, least, id, &longer);
            }
            parent = id;
        }
    }

    /// Frees the memory for prefixes that only one row has. After this call, no row can be added.
    pub(super) fn keep_shared_only(&mut self) {
        self.seen = SeenPrefixes::default();
        self.recent = Map::default();
    }

    /// Returns the number of rows that are known to have a prefix; 0 if fewer than two rows have this prefix.
    pub(super) fn rows_of(&self, level: &Level) -> u32 {
        self.nodes.get(&level.id.0).map_or(0, |node| node.rows)
    }

    /// Returns how many rows have a prefix, and the position of the last of these rows. Returns `None` if fewer than
    /// two rows have the prefix.
    pub(super) fn last_of(&self, level: &Level) -> Option<(u32, u32)> {
        self.nodes.get(&level.id.0).map(|node| (node.rows, node.last))
    }

    /// Returns the number of different prefixes.
    pub(super) fn distinct(&self) -> usize {
        self.seen.len()
    }
}
