//! Records whether an endpoint accepts cache marks (the places in a request up to which the prompt is cached), and
//! whether these marks help.

/// The program judges whether the cache works after this many answers. Only answers that should have read from the
/// cache are counted.
const ENOUGH: u32 = 20;
/// If none of the answers has read from the cache, this many answers are enough to judge the cache.
const ENOUGH_WITHOUT_A_HIT: u32 = 8;

/// What is known about an endpoint's prompt cache.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::scheduler) struct Marking {
    support: Support,
    /// The number of answers whose requests should have read from the cache.
    rows: u32,
    /// The number of tokens that these answers should have read from the cache. The field `missed` counts only the
    /// tokens of those answers that read nothing from the cache.
    expected: u64,
    missed: u64,
    is_told: bool,
    /// Whether the user was told that the server refuses cache marks on some prefixes.
    is_refusal_told: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Support {
    #[default]
    Unknown,
    /// The endpoint answered a request with cache marks.
    Accepted,
    /// The endpoint rejected a request with cache marks, and answered the same request without cache marks.
    Refused,
    /// Tokens are written to the cache, but almost none of these tokens are ever read.
    Useless,
}

/// What the answers so far show about the prompt cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::scheduler) enum CacheNews {
    /// The number of tokens that requests have read from the cache is less than half of the expected number.
    FarFromPlan,
    /// Cache marks cost more than they save, because so few tokens are read from the cache.
    Useless,
}

/// The cache marks that a server refuses. `is_new` is `true` if the user has not been told about the refused marks yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::scheduler) enum RefusedMarks {
    /// All marks.
    Any { is_new: bool },
    /// The server refuses marks only on some prefixes, for example because of the model or the content of the prefix.
    /// The server has accepted marks on other prefixes.
    OfPrefix { is_new: bool },
}

impl Marking {
    /// Returns whether requests to the endpoint are allowed to have cache marks.
    pub(in crate::scheduler) fn is_allowed(&self) -> bool {
        !matches!(self.support, Support::Refused | Support::Useless)
    }

    /// Returns whether cache marks are a possible reason why the server rejects a request. After a request with cache
    /// marks was answered, cache marks are no longer a possible reason for a rejection.
    pub(in crate::scheduler) fn is_suspect(&self) -> bool {
        self.support != Support::Accepted
    }

    /// Records that a request with cache marks was answered.
    pub(in crate::scheduler) fn on_accepted(&mut self) {
        if self.support == Support::Unknown {
            self.support = Support::Accepted;
        }
    }

    /// Records that the server rejected a request with cache marks, but answered the same request without marks. The
    /// program sends no more marks to the endpoint in two cases: the endpoint has never accepted marks, or it has
    /// already accepted marks on the prefixes of this request (`are_known`). If the endpoint has accepted marks, but
    /// never on these prefixes, these prefixes get no more marks, and other prefixes still get marks.
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

    /// Adds an answer that should have read `expected` tokens from the cache. If the answers show something about the
    /// cache for the first time, returns what they show; otherwise returns `None`.
    pub(in crate::scheduler) fn on_answer(&mut self, expected: u32, has_read: bool) -> Option<CacheNews> {
        self.rows += 1;
        self.expected += u64::from(expected);
        self.missed += if has_read { 0 } else { u64::from(expected) };
        let is_dead = self.missed == self.expected && self.rows >= ENOUGH_WITHOUT_A_HIT;
        if self.rows < ENOUGH && !is_dead {
            return None;
        }
        // If 78 % of the tokens are not found in the cache, marks cost more than they save at the API's prices. The
        // limit in the code is slightly lower than 78 %.
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

    /// Some tokens should have been read from the cache. Returns which share of these tokens (0 to 1) was not read from
    /// the cache.
    pub(in crate::scheduler) fn missed_share(&self) -> f64 {
        self.missed as f64 / self.expected.max(1) as f64
    }
}
