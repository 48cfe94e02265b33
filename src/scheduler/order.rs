//! The order in which a seekable input is read.
//!
//! A file may have phases, for example because it is sorted by length. In each phase, one limit holds the run back, and
//! the other limits are not used fully. For example, a file with three phases took 2.05 times as long as the shortest
//! possible time. The same rows in mixed order took 1.00 times that time. So the input is first read once, at little
//! cost, only to gather the sizes of its rows ([`Sizes`]). [`Sizes::advise`] computes how much time is saved if the
//! file is read from several places in turn.
//!
//! Models can also make phases: while all rows of one model are sent, the limits of the other models are not used.
//!
//! This module is pure. It knows nothing about files: rows are numbers, and sizes are costs. The memory that it needs
//! is bounded, however long the input is.
//!
//! The written order is kept unless it takes at least 1.05 times as long as another order. The written order has
//! advantages. Rows that share a prompt prefix are often neighbours and profit from the cache. People like to see their
//! file answered from the top.
//!
//! Rejected:
//! - A random order. It needs a seek for each row.
//! - Sorting by size. It makes phases.

use crate::domain::{Cost, Dimension, PoolId, RateLimits};

/// The maximum number of blocks of rows. A sum is kept for each block. The longer the input, the more rows are in a
/// block.
const BLOCKS: usize = 1024;
/// The maximum number of places that are read in turn. Each place needs an open file position and a buffer.
const PLACES: usize = 64;
/// Another order is used if its gain is at least this much. The gain is the time in the written order divided by the
/// time in the other order.
const WORTH_IT: f64 = 1.05;
/// Phases that take less than this many seconds do not matter, because the buckets of the limits even them out. So the
/// time of a run is computed in spans of at least this length.
const SPAN_SECS: f64 = 120.0;
/// The shares of `max_tokens` that answers may really use. Before the first answer nobody knows which share is right,
/// so the gain is computed for each share.
const OUTPUT_SHARES: [f64; 3] = [1.0, 0.2, 0.05];

/// Sums are kept for at most this many pools. Rows of further pools are not counted.
const POOLS: usize = 16;

/// The sizes of an input's rows. A first pass over the input gathers these sizes.
#[derive(Clone, Debug)]
pub struct Sizes {
    pools: Vec<PoolId>,
    blocks: Vec<Block>,
    rows: u64,
    rows_per_block: u64,
}

/// The total that the rows of a block need, for each pool and dimension.
type Block = Vec<[u64; 3]>;

impl Default for Sizes {
    fn default() -> Self {
        Self { pools: Vec::new(), blocks: Vec::new(), rows: 0, rows_per_block: 1 }
    }
}

impl Sizes {
    /// Adds the next row with its pool and estimated cost. The output in the cost is `max_tokens`. Returns whether a
    /// block begins with this row.
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

    /// Returns how many blocks there are. Reading may begin at each block.
    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Returns the best order under these limits, and its gain: the time in the written order divided by the time in
    /// this order.
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
        // The smallest number of places that reaches at least 98% of the best gain.
        let places = choices().find(|&places| gain(places) >= best * 0.98);
        places.map_or((ReadingOrder::AsWritten, 1.0), |places| (ReadingOrder::Interleaved { places }, gain(places)))
    }

    /// Returns how long a run takes under these limits if blocks are read from this many places in turn. In each span,
    /// the limit that needs the most time decides.
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
    /// From the first row to the last.
    AsWritten,
    /// From several places in turn. The places are evenly spaced over the rows.
    Interleaved {
        /// The number of places.
        places: usize,
    },
}

impl ReadingOrder {
    /// Returns the number of the first row of each place, for an input of `rows` rows. A reader opens the input at
    /// these rows.
    pub(crate) fn starts(self, rows: u64) -> Vec<u64> {
        let places = self.places();
        (0..places).map(|place| rows * place / places).collect()
    }

    /// Returns the numbers of all rows in reading order. The numbers start at 0, and each number occurs once.
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
