//! The prefixes that the API can keep in its prompt cache, and the cache marks (`cache_control`) that ask the API to
//! keep a prefix.
//!
//! A prefix is everything in a request up to the end of one of its blocks. The API reads a request in the order tools,
//! system, messages. A mark on the last block of a prefix asks the API to keep the prefix as a cache entry. A later
//! request reads this entry if it begins with the same prefix and has a mark at the end of the prefix. Tokens that are
//! read from the cache cost at most a tenth of the price of plain input, and do not count against the input limit. A
//! prefix of one request is also called a *level*. A request can have several levels, and each level contains all
//! shorter levels.
//!
//! The marks that the program adds are not part of a row. The program inserts its marks when the row's request is sent,
//! so the key of a row never depends on these marks.

use std::fmt;
use std::sync::Arc;

use super::{Caching, Money};

/// The user's choice: whether shared prefixes are cached, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PromptCache {
    /// Prefixes are cached where this saves money. The program chooses a lifetime of five minutes or of an hour.
    #[default]
    Auto,
    /// Never. The program adds no marks. The marks that a row itself contains are still sent.
    Off,
    /// Prefixes are cached where this saves money, for five minutes after the last use.
    FiveMinutes,
    /// Prefixes are cached where this saves money, for an hour after the last use.
    Hour,
}

impl PromptCache {
    /// Every setting.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Off, Self::FiveMinutes, Self::Hour];

    /// Returns the name of this cache setting as the user types it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Off => "off",
            Self::FiveMinutes => "5m",
            Self::Hour => "1h",
        }
    }
}

/// The id of a prefix: a hash of everything that the cache entry depends on, including the prefix's content. The id is
/// valid only within this process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrefixId(pub u64);

impl fmt::Debug for PrefixId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrefixId({:016x})", self.0)
    }
}

/// The place in a request at which a prefix ends. All positions are byte offsets in the request's JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkPlace {
    /// The prefix ends with an object: a tool or a content block.
    Block {
        /// The position of the closing brace.
        brace: u32,
    },
    /// The prefix ends with a text that is written as a plain string. The string becomes a list with one text block.
    /// For the API, this list means the same as the string. The positions include the quotation marks.
    Text {
        /// The start of the string.
        start: u32,
        /// The end of the string.
        end: u32,
    },
    /// The prefix ends inside a plain string. The string becomes a list of two text blocks, and the prefix ends with
    /// the first block.
    Cut {
        /// The start of the string.
        start: u32,
        /// The end of the first block.
        cut: u32,
        /// The end of the string.
        end: u32,
    },
    /// The prefix ends at a mark that is part of the row. The program inserts nothing.
    Own,
}

/// A level: a prefix of one request, with the place at which the prefix ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// The id of the prefix.
    pub id: PrefixId,
    /// The estimated number of tokens in the whole prefix.
    pub tokens: u32,
    /// The place in the request at which the prefix ends.
    pub place: MarkPlace,
    /// The lifetime that the request asks for: how long the API keeps the prefix.
    pub lifetime: Caching,
}

/// The cacheable prefixes of one request, from the shortest to the longest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefixes {
    /// The levels of the request. A request that is sent has at most [`Prefixes::MOST`] levels. During the survey
    /// before a run, a request can have more than this number of levels.
    pub levels: Vec<Level>,
    /// The shortest prefix that the model caches, in tokens.
    pub least_tokens: u32,
    /// The amount by which cache marks raise the highest possible cost of an answer: first for five-minute marks, then
    /// for one-hour marks.
    pub extra_most: [Money; 2],
}

impl Prefixes {
    /// The largest number of prefixes that one request can have.
    pub const MOST: usize = 16;
    /// The largest number of marks that one request can have. Source: API documentation, "Prompt caching" (2026-08-22).
    pub const MOST_MARKS: usize = 4;

    /// Returns whether the row has cache marks of its own. A row with marks of its own gets no other marks.
    pub(crate) fn are_own(&self) -> bool {
        self.levels.iter().any(|level| level.place == MarkPlace::Own)
    }

    /// Returns the amount by which cache marks with this lifetime raise the highest possible cost of an answer.
    pub(crate) fn extra_most_of(&self, lifetime: Caching) -> Money {
        let [minutes, hour] = self.extra_most;
        match lifetime {
            Caching::None => Money::ZERO,
            Caching::FiveMinutes => minutes,
            Caching::Hour => hour,
        }
    }

    /// Returns the levels that are in `marks`.
    pub fn marked(&self, marks: Marks) -> impl DoubleEndedIterator<Item = &Level> {
        self.levels.iter().enumerate().filter(move |(at, _)| marks.has(*at)).map(|(_, level)| level)
    }
}

/// A set of levels of a request. These levels get a cache mark when the request is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(u16);

impl Marks {
    /// No level.
    pub const NONE: Self = Self(0);

    /// Adds a level, by its position in [`Prefixes::levels`].
    #[must_use]
    pub fn with(self, level: usize) -> Self {
        Self(self.0 | 1 << level)
    }

    /// Adds all levels that `other` contains.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether the level at this position is marked.
    pub fn has(self, level: usize) -> bool {
        self.0 & 1 << level != 0
    }

    /// Returns whether no level is marked.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the number of marked levels.
    pub fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Returns the longest marked level, as its position in [`Prefixes::levels`].
    pub fn last(self) -> Option<usize> {
        self.0.checked_ilog2().map(|last| last as usize)
    }
}

/// The prefixes of a request, and which of them get a cache mark when the request is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    /// The prefixes.
    pub prefixes: Arc<Prefixes>,
    /// The marked levels.
    pub marks: Marks,
}
