//! Prefixes that rows share, and the plan for the prompt cache.
//!
//! ```text
//! survey:  request ─► levels (the prefixes of one request) ─► PrefixCensus (a trie of all rows)
//!          PrefixCensus ─► decide ─► CachePlan (which prefixes are marked, and for how long)
//! run:     request ─► levels ─► only those in the plan ─► Ask::prefixes ─► the scheduler chooses marks and gates
//! ```
//!
//! A prefix pays if its tokens are read more often than a write costs more than plain input. With the prices of the
//! API this means two rows for five minutes, and three rows for an hour, if they are sent within this time.
//!
//! Most prompts are shorter than any prefix that a model caches. For them nothing is computed and nothing is kept. For
//! longer prompts, one hash of four bytes is kept for each row, until another row has the same prefix.
//!
//! The estimate of a prefix's length has an error. If it may be long enough, it is marked, and the first answer shows
//! whether the API has cached it. A mark on a prefix that is too short changes nothing and costs nothing.
//!
//! Rejected:
//! - Marks on whole requests (`cache_control` at the top): each row that ends differently would pay for a write that
//!   nobody reads.
//! - The longest common start of any two texts: a prefix must end where a block ends, and splitting the texts of users'
//!   rows would change what the model sees. Only the fixed start of a template is split from its rest.
//! - Sorting the hashes of all prefixes of all rows: it needs several times as much memory.

mod census;
mod decide;
mod finder;
mod levels;
mod met;
mod stream;

pub use census::PrefixCensus;
pub use decide::{CachePlan, GroupCaching, Unmarked, UnmarkedReason};
pub(crate) use decide::{CacheRates, CacheSetting};
pub(super) use finder::PrefixFinder;
pub(super) use levels::wants_parts;
pub(crate) use stream::{Before, StreamCensus};
