//! Prefixes of a request that the API can keep in its prompt cache, and the marks (`cache_control`) that ask for it.
//!
//! A prefix is everything up to the end of a block, in the order in which the API reads a request: tools, system,
//! messages. A mark on that block asks the API to keep the prefix, as a cache entry. A later request with the same
//! prefix and a mark at its end reads the entry. This costs a tenth of the price of plain input or less, and does not
//! count against the input limit. A prefix of one request is also called a *level*: a request can have several levels,
//! and each level contains all shorter levels.
//!
//! The marks that the program adds are not part of a row. They are inserted when the row's request is sent, so the key
//! of a row never depends on them.

use std::fmt;
use std::sync::Arc;

use super::{Caching, Money};

/// Whether and for how long shared prefixes are cached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PromptCache {
    /// Where it saves money. The program chooses between five minutes and an hour.
    #[default]
    Auto,
    /// Never. Marks that are part of a row are still sent.
    Off,
    /// Where it saves money, for five minutes after the last use.
    FiveMinutes,
    /// Where it saves money, for an hour after the last use.
    Hour,
}

impl PromptCache {
    /// Every setting.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Off, Self::FiveMinutes, Self::Hour];

    /// Returns the name that the user types.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Off => "off",
            Self::FiveMinutes => "5m",
            Self::Hour => "1h",
        }
    }
}

/// Identifies a prefix: a hash of its content and of everything else that a cache entry depends on. It is valid only
/// within this process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrefixId(pub u64);

impl fmt::Debug for PrefixId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrefixId({:016x})", self.0)
    }
}

/// The place in a request at which a prefix ends. All positions are bytes of the request's JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkPlace {
    /// At the end of an object: a tool or a content block.
    Block {
        /// The position of the closing brace.
        brace: u32,
    },
    /// At the end of a text that is written as a plain string. The string becomes a list with one text block, which
    /// means the same to the API. The positions include the quotation marks.
    Text {
        /// Where the string begins.
        start: u32,
        /// Where the string ends.
        end: u32,
    },
    /// Inside a plain string. The string becomes a list of two text blocks, and the prefix ends with the first block.
    Cut {
        /// Where the string begins.
        start: u32,
        /// Where the first block ends.
        cut: u32,
        /// Where the string ends.
        end: u32,
    },
    /// At a mark that is part of the row. Nothing is inserted.
    Own,
}

/// A prefix of one request, and the place at which it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Which prefix it is.
    pub id: PrefixId,
    /// The estimated tokens of the whole prefix.
    pub tokens: u32,
    /// Where it ends.
    pub place: MarkPlace,
    /// How long the API is asked to keep the prefix.
    pub lifetime: Caching,
}

/// The prefixes of one request that may be cached, from the shortest to the longest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefixes {
    /// When the request is sent, at most [`Prefixes::MOST`]. In the survey, there can be more levels.
    pub levels: Vec<Level>,
    /// The shortest prefix that the model caches, in tokens.
    pub least_tokens: u32,
    /// How much marks raise the highest cost of an answer: first marks for five minutes, then marks for an hour.
    pub extra_most: [Money; 2],
}

impl Prefixes {
    /// The largest number of prefixes of one request.
    pub const MOST: usize = 16;
    /// The largest number of marks in one request. Source: API documentation, "Prompt caching" (2026-08-22).
    pub const MOST_MARKS: usize = 4;

    /// Returns whether the marks are part of the row. Such a row gets no other marks.
    pub(crate) fn are_own(&self) -> bool {
        self.levels.iter().any(|level| level.place == MarkPlace::Own)
    }

    /// Returns the levels that are marked.
    pub fn marked(&self, marks: Marks) -> impl DoubleEndedIterator<Item = &Level> {
        self.levels.iter().enumerate().filter(move |(at, _)| marks.has(*at)).map(|(_, level)| level)
    }
}

/// Which levels of a request are marked when it is sent.
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

    /// Adds all levels of `other`.
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

    /// Returns the position of the longest marked level.
    pub fn last(self) -> Option<usize> {
        self.0.checked_ilog2().map(|last| last as usize)
    }
}

/// The prefixes of a request, and which of them are marked when it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    /// The prefixes.
    pub prefixes: Arc<Prefixes>,
    /// The marked levels.
    pub marks: Marks,
}
