//! Prefixes that rows share, and the plan for the prompt cache.
//!
//! ```text
//! survey:  request ─► levels (the prefixes of one request) ─► PrefixCensus (a trie of all rows)
//!          PrefixCensus ─► decide ─► CachePlan (which prefixes are marked, and for how long)
//! run:     request ─► levels ─► only those in the plan ─► Ask::prefixes ─► the scheduler chooses marks and gates
//! ```
//!
//! The row that writes a cached prefix gets more expensive, and each row that reads the prefix gets cheaper. With the
//! prices of the API, caching saves money if two rows are sent within five minutes, or three rows within an hour.
//!
//! Most prompts are shorter than any prefix that a model caches. For rows with such short prompts, the program computes
//! and keeps nothing. For longer prompts, one hash of six to twelve bytes is kept for each row that has a prefix of its
//! own.
//!
//! The length of a prefix is an estimate. A prefix that may be long enough for the cache is marked. The first answer
//! shows whether the API has cached this prefix. A mark on a prefix that is too short has no effect and costs nothing.
//!
//! Rejected:
//! - Marks on whole requests (`cache_control` at the top level): rows end differently, so each row would pay for a
//!   cache entry that no other row reads.
//! - Marks after the longest common start of two texts: such a mark would split each text into two blocks, and so would
//!   change what the model sees. Only the fixed start of a template is split from the rest of the text.
//! - Sorting the hashes of all prefixes of all rows: this would need several times as much memory.

mod census;
mod decide;
mod finder;
mod levels;
mod seen_prefixes;
mod stream;

pub use census::PrefixCensus;
pub use decide::{CachePlan, GroupCaching, Unmarked, UnmarkedReason};
pub(crate) use decide::{CacheRates, CacheSetting};
pub(super) use finder::PrefixFinder;
pub(super) use levels::wants_parts;
pub(crate) use stream::{Before, StreamCensus};
