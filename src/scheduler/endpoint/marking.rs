//! Whether an endpoint accepts the marks of the prompt cache, and whether they help.

/// After this many answers that should have read from the cache, it is clear whether the cache works.
const ENOUGH: u32 = 20;
/// If none of them has read anything, this many are enough.
const ENOUGH_WITHOUT_A_HIT: u32 = 8;

/// What is known about an endpoint's prompt cache.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::scheduler) struct Marking {
    support: Support,
    /// Answers that should have read from the cache.
    rows: u32,
    /// The tokens that these answers should have read, and how many of these tokens belong to answers that read
    /// nothing.
    expected: u64,
    missed: u64,
    is_told: bool,
    /// Whether the user was told that marks on some prefix are refused.
    is_refusal_told: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Support {
    #[default]
    Unknown,
    /// A request with marks was answered.
    Accepted,
    /// The same request was refused with marks and answered without them.
    Refused,
    /// Nearly nothing that is written is ever read.
    Useless,
}

/// What the answers so far show about the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::scheduler) enum CacheNews {
    /// Less than half of the tokens that should have been read were read.
    FarFromPlan,
    /// So little is read that marks cost more than they save.
    Useless,
}

/// Which marks a server refuses. `is_new` is whether the user has not been told yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::scheduler) enum RefusedMarks {
    /// All marks.
    Any { is_new: bool },
    /// Only marks on some prefixes, for example because of their content or model. Other marks were accepted.
    OfPrefix { is_new: bool },
}

impl Marking {
    /// Returns whether requests may be marked.
    pub(in crate::scheduler) fn is_allowed(&self) -> bool {
        !matches!(self.support, Support::Refused | Support::Useless)
    }

    /// Returns whether marks may be the reason when a request is refused: no request with marks was answered yet.
    pub(in crate::scheduler) fn is_suspect(&self) -> bool {
        self.support != Support::Accepted
    }

    /// Notes that a marked request was answered.
    pub(in crate::scheduler) fn on_accepted(&mut self) {
        if self.support == Support::Unknown {
            self.support = Support::Accepted;
        }
    }

    /// Notes that a request was refused with marks, and answered without them. No request is marked any more if no marks
    /// were ever accepted, or if the prefixes of this request were accepted before (`are_known`). Otherwise, only the
    /// prefixes of this request are not marked any more.
    pub(in crate::scheduler) fn on_refused(&mut self, are_known: bool) -> RefusedMarks {
        let is_told = std::mem::replace(&mut self.is_refusal_told, true);
        match self.support {
            Support::Unknown => {
                self.support = Support::Refused;
                RefusedMarks::Any { is_new: true }
            }
            Support::Refused => RefusedMarks::Any { is_new: false },
            Support::Accepted if are_known => {
                self.support = Support::Refused;
                RefusedMarks::Any { is_new: true }
            }
            Support::Accepted | Support::Useless => RefusedMarks::OfPrefix { is_new: !is_told },
        }
    }

    /// Counts an answer that should have read `expected` tokens from the cache. Returns what this shows, the first time
    /// only.
    pub(in crate::scheduler) fn on_answer(&mut self, expected: u32, has_read: bool) -> Option<CacheNews> {
        self.rows += 1;
        self.expected += u64::from(expected);
        self.missed += if has_read { 0 } else { u64::from(expected) };
        let is_dead = self.missed == self.expected && self.rows >= ENOUGH_WITHOUT_A_HIT;
        if self.rows < ENOUGH && !is_dead {
            return None;
        }
        // With the prices of the API, marks cost more than they save if 78 % of the tokens are missed. The limit is a
        // little lower.
        if self.missed * 4 > self.expected * 3 && self.support != Support::Useless {
            self.support = Support::Useless;
            return Some(CacheNews::Useless);
        }
        if self.missed * 2 > self.expected && !self.is_told {
            self.is_told = true;
            return Some(CacheNews::FarFromPlan);
        }
        None
    }

    /// Returns the share of the tokens that were not read although they should have been, from 0 to 1.
    pub(in crate::scheduler) fn missed_share(&self) -> f64 {
        self.missed as f64 / self.expected.max(1) as f64
    }
}
