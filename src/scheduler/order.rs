//! The order in which the rows of a file are read.
//!
//! A file can have phases, for example if its rows are sorted by length. In each phase, a different limit slows the run
//! down, and the other limits are not used fully. For example, a run over a file with three phases took 2.05 times the
//! shortest possible time. With the same rows in mixed order, the run took 1.00 times the shortest possible time. For
//! this reason, the program first reads the input once, at little cost, to gather the sizes of its rows ([`Sizes`]).
//! [`Sizes::advise`] computes how much time the run saves if it reads rows from several places of the file in turn.
//!
//! A file also has phases if the rows of one model all come before the rows of another model. While all rows of one
//! model are sent, the limits of the other models are not used.
//!
//! This module is pure (it reads no file and no clock). The module knows nothing about files: it sees rows as numbers,
//! and sizes as costs. However long the input is, this module needs only a limited amount of memory.
//!
//! The rows keep the order of the file, unless another order makes the run at least 1.05 times as fast. The order of
//! the file has two advantages. In this order, rows that share a prompt prefix are often next to each other, so the
//! prompt cache can be used. People also like to see their file answered from the first row to the last.
//!
//! Rejected:
//! - With a random order of the rows, the program must seek in the input for each row.
//! - With an order by size, the run has phases in which only one limit is used fully.

use crate::domain::{Cost, Dimension, PoolId, RateLimits};

/// The maximum number of blocks (groups of consecutive rows). For each block, the sizes of its rows are added up. A
/// longer input has more rows in each block.
const BLOCKS: usize = 1024;
/// A file is read alternately from at most this many places. Each place needs an open file position and a buffer.
const PLACES: usize = 64;
/// The program changes the order of the file only if the gain is at least `WORTH_IT`. The gain is a ratio of two times:
/// the run's time in the order of the file, divided by the run's time in the new order.
const WORTH_IT: f64 = 1.05;
/// Phases that take less than `SPAN_SECS` seconds do not matter, because the token buckets compensate for them. So the
/// time of a run is computed in spans of at least `SPAN_SECS` seconds.
const SPAN_SECS: f64 = 120.0;
/// The shares of `max_tokens` that answers are assumed to use. Before the first answer, nobody knows which share of
/// `max_tokens` is right, so the gain is computed for each share.
const OUTPUT_SHARES: [f64; 3] = [1.0, 0.2, 0.05];

/// The maximum number of pools for which sizes are added up. If an input has more than this number of pools, the rows
/// of the remaining pools are left out.
const POOLS: usize = 16;

/// The sizes of an input's rows. A first pass over the input collects the sizes of its rows.
#[derive(Clone, Debug)]
pub struct Sizes {
    pools: Vec<PoolId>,
    blocks: Vec<Block>,
    rows: u64,
    rows_per_block: u64,
}

/// The amounts that the rows of a block need, per pool and dimension.
type Block = Vec<[u64; 3]>;

impl Default for Sizes {
    fn default() -> Self {
        Self { pools: Vec::new(), blocks: Vec::new(), rows: 0, rows_per_block: 1 }
    }
}

impl Sizes {
    /// Adds the next row with its pool and estimated cost. In this cost, the number of output tokens is the value of
    /// `max_tokens`. Returns whether this row is the first row of a block.
    pub fn add(&mut self, pool: &PoolId, cost: Cost) -> bool {
        if self.rows == self.rows_per_block * BLOCKS as u64 {
            self.blocks = self.blocks.chunks(2).map(|pair| sum(pair.iter())).collect();
            self.rows_per_block *= 2;
        }
        let begins_block = self.rows.is_multiple_of(self.rows_per_block);
        if begins_block {
            self.blocks.push(Block::new());
        }
        self.rows += 1;
        if let (Some(pool), Some(block)) = (self.number_of(pool), self.blocks.last_mut()) {
            block.resize(block.len().max(pool + 1), [0; 3]);
            Dimension::ALL.iter().for_each(|&of| block[pool][of.index()] += u64::from(cost.of(of)));
        }
        begins_block
    }

    fn number_of(&mut self, pool: &PoolId) -> Option<usize> {
        self.pools.iter().position(|known| known == pool).or_else(|| {
            let is_room = self.pools.len() < POOLS;
            is_room.then(|| self.pools.push(pool.clone()))?;
            Some(self.pools.len() - 1)
        })
    }

    /// Returns the number of blocks. A reader can begin at the first row of each block.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Returns the best order under these limits, and the gain of this order. The gain is the time that a run takes in
    /// the order of the file, divided by the time that it takes in the best order.
    pub fn advise(&self, limits_of: &dyn Fn(&PoolId) -> RateLimits) -> (ReadingOrder, f64) {
        let limits: Vec<_> = self.pools.iter().map(limits_of).collect();
        let gain = |places: usize| {
            let gain = |&share: &f64| self.seconds(&limits, 1, share) / self.seconds(&limits, places, share);
            OUTPUT_SHARES.iter().map(gain).filter(|gain| gain.is_finite()).fold(1.0, f64::max)
        };
        let choices =
            || (1..=PLACES.ilog2()).map(|power| 1_usize << power).filter(|&places| places <= self.blocks.len());
        let best = choices().map(gain).fold(1.0, f64::max);
        if best < WORTH_IT {
            return (ReadingOrder::AsWritten, 1.0);
        }
        // Takes the smallest number of places whose gain is at least 98 % of the best gain.
        let places = choices().find(|&places| gain(places) >= best * 0.98);
        places.map_or((ReadingOrder::AsWritten, 1.0), |places| (ReadingOrder::Interleaved { places }, gain(places)))
    }

    /// Returns the duration of a run, in seconds, if the run has these limits and reads blocks from several places in
    /// turn. `places` says from how many places the run reads. The slowest limit in each part of the run decides how
    /// long that part takes.
    fn seconds(&self, limits: &[RateLimits], places: usize, output_share: f64) -> f64 {
        let share = |dimension| if dimension == Dimension::OutputTokens { output_share } else { 1.0 };
        let time = |block: &Block| {
            let of = |(used, limits): (&[u64; 3], &RateLimits)| {
                let of = |dimension: Dimension| {
                    let limit = limits.of(dimension).map_or(f64::INFINITY, f64::from);
                    used[dimension.index()] as f64 * share(dimension) * 60.0 / limit
                };
                Dimension::ALL.map(of).into_iter().fold(0.0, f64::max)
            };
            block.iter().zip(limits).map(of).fold(0.0, f64::max)
        };
        let stretch = self.blocks.len().div_ceil(places);
        let mut total = 0.0;
        let mut span = Block::new();
        for at in 0..stretch {
            let here = sum(self.blocks.chunks(stretch).filter_map(|part| part.get(at)));
            span = sum([&span, &here].into_iter());
            if time(&span) >= SPAN_SECS {
                total += time(&std::mem::take(&mut span));
            }
        }
        total + time(&span)
    }
}

fn sum<'a>(blocks: impl Iterator<Item = &'a Block>) -> Block {
    let mut sum = Block::new();
    for block in blocks {
        sum.resize(sum.len().max(block.len()), [0; 3]);
        let sums = sum.iter_mut().flatten().zip(block.iter().flatten());
        sums.for_each(|(sum, part)| *sum += part);
    }
    sum
}

/// The order in which rows are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadingOrder {
    /// Rows are read from the first row of the file to the last.
    AsWritten,
    /// Rows are read from several places of the file in turn. The places divide the rows into parts of equal length.
    Interleaved {
        /// The number of places that are read in turn.
        places: usize,
    },
}

impl ReadingOrder {
    /// For an input of `rows` rows, returns the index of the first row at each place. The indexes are counted from 0.
    /// The reader opens the input at each of the returned rows.
    pub(crate) fn starts(self, rows: u64) -> Vec<u64> {
        let places = self.places();
        (0..places).map(|place| rows * place / places).collect()
    }

    /// Returns the indexes of all rows in the order in which the rows are read. The indexes are counted from 0, and
    /// each index occurs once.
    pub fn rows(self, rows: u64) -> impl Iterator<Item = u64> {
        let places = self.places();
        let start = move |place| rows * place / places;
        let longest = rows.div_ceil(places);
        (0..longest)
            .flat_map(move |at| {
                (0..places).map(move |place| (start(place) + at, start(place + 1))).filter(|(row, end)| row < end)
            })
            .map(|(row, _)| row)
    }

    fn places(self) -> u64 {
        match self {
            Self::AsWritten => 1,
            Self::Interleaved { places } => places.max(1) as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ModelClass, Speed};

    const LIMITS: RateLimits = RateLimits::new(1_000, 450_000, 90_000);

    fn sizes(rows: impl IntoIterator<Item = (u32, u32)>) -> Sizes {
        sizes_of(rows.into_iter().map(|row| ("one", row)))
    }

    fn sizes_of(rows: impl IntoIterator<Item = (&'static str, (u32, u32))>) -> Sizes {
        let mut sizes = Sizes::default();
        for (model, (input_tokens, output_tokens)) in rows {
            sizes.add(&pool(model), Cost { requests: 1, input_tokens, output_tokens });
        }
        sizes
    }

    fn pool(model: &str) -> PoolId {
        let (provider, account) = ("anthropic".into(), "".into());
        PoolId { provider, account, class: ModelClass(model.into()), speed: Speed::Standard }
    }

    fn advise(sizes: &Sizes, limits: RateLimits) -> ReadingOrder {
        sizes.advise(&|_| limits).0
    }

    #[test]
    fn a_file_in_three_phases_is_read_from_several_places() {
        let phase = |row: u32| [(20, 20), (1_400, 20), (20, 240)][row as usize / 7_000];

        let order = advise(&sizes((0..21_000).map(phase)), LIMITS);

        let ReadingOrder::Interleaved { places } = order else { panic!("the file is read in the written order") };
        assert!((3..=64).contains(&places), "{places}");
    }

    #[test]
    fn mixed_short_and_uniform_files_are_read_as_they_are_written() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mixed: Vec<_> = (0..20_000).map(|_| [(20, 20), (1_400, 20), (20, 240)][rng.usize(0..3)]).collect();

        assert_eq!(advise(&sizes(mixed), LIMITS), ReadingOrder::AsWritten);
        assert_eq!(advise(&sizes([(20, 20); 20_000]), LIMITS), ReadingOrder::AsWritten);
        assert_eq!(advise(&sizes([(20, 20), (1_400, 20)]), LIMITS), ReadingOrder::AsWritten);
        assert_eq!(advise(&sizes([]), LIMITS), ReadingOrder::AsWritten);
        assert_eq!(advise(&sizes([(20, 20); 5_000]), RateLimits::NONE), ReadingOrder::AsWritten);
    }

    #[test]
    fn a_file_with_all_rows_of_one_model_before_all_rows_of_another_is_read_from_several_places() {
        let model = |row: u32| (if row < 10_000 { "one" } else { "other" }, (20, 20));
        let both = sizes_of((0..20_000).map(model));

        let (order, gain) = both.advise(&|_| LIMITS);

        assert!(matches!(order, ReadingOrder::Interleaved { .. }), "{order:?}");
        assert!((1.75..=2.0).contains(&gain), "in the written order, each limit is used half of the time: {gain}");
    }

    #[test]
    fn every_row_is_read_once_in_any_order() {
        for places in 1..20 {
            for total in [0, 1, 2, 7, 19, 20, 100] {
                let order = ReadingOrder::Interleaved { places };
                let mut rows: Vec<_> = order.rows(total).collect();
                assert_eq!(order.starts(total).len(), places);
                rows.sort_unstable();
                assert!(rows.iter().copied().eq(0..total), "{places} places, {total} rows: {rows:?}");
            }
        }
    }
}
