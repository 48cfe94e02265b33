//! The published limits of each tier.

use crate::domain::{ModelClass, RateLimits, Tier};

/// The published limits of one tier.
///
/// Source: API documentation, "Rate limits"; each table has its own date and source.
#[derive(Clone, Debug)]
pub struct TierTable {
    /// The tier.
    pub tier: Tier,
    /// The date of the copy of the documentation from which the numbers were taken, for example `2026-10-08`.
    pub date: String,
    /// The page that published the table, and the period in which the table was valid.
    pub source: String,
    /// The deposits, in dollars, that an organization needed in order to reach the tier. `None` for the current tiers,
    /// which depend on usage history.
    pub deposit_usd: Option<u32>,
    /// The number of dollars that an organization of this tier can spend in a calendar month.
    pub monthly_cap_usd: u32,
    /// The rate limit of `count_tokens`, in requests per minute. Requests to `count_tokens` do not count towards the
    /// limits for messages.
    pub count_tokens_rpm: u32,
    /// The rate limit of the batch endpoints, in requests per minute.
    pub batch_rpm: u32,
    /// How many batch requests can wait for processing.
    pub batch_queue: u32,
    rows: Vec<(ModelClass, RateLimits)>,
}

impl TierTable {
    pub(super) fn new(tier: Tier, raw: super::data::RawTier) -> Self {
        let rows = raw.rows.into_iter();
        Self {
            tier,
            date: raw.date,
            source: raw.source,
            deposit_usd: raw.deposit_usd,
            monthly_cap_usd: raw.monthly_cap_usd,
            count_tokens_rpm: raw.count_tokens_rpm,
            batch_rpm: raw.batch_rpm,
            batch_queue: raw.batch_queue,
            rows: rows
                .map(|(class, rpm, itpm, otpm)| (ModelClass(class.into()), RateLimits::new(rpm, itpm, otpm)))
                .collect(),
        }
    }

    /// Returns each class and its limits, in the order of the published table. Retired classes are included.
    pub fn rows(&self) -> impl Iterator<Item = (&ModelClass, RateLimits)> {
        self.rows.iter().map(|(class, limits)| (class, *limits))
    }

    /// Returns the limits of a class; `None` when the table has no row for the class.
    pub fn row(&self, class: &ModelClass) -> Option<RateLimits> {
        self.rows().find(|(own, _)| *own == class).map(|(_, limits)| limits)
    }

    /// Among the classes for which `is_live` returns true, returns the lowest limit on requests, the lowest on input
    /// tokens and the lowest on output tokens.
    pub(super) fn strictest(&self, is_live: impl Fn(&ModelClass) -> bool) -> RateLimits {
        let live = self.rows().filter(|(class, _)| is_live(class)).map(|(_, limits)| limits);
        live.reduce(|a, b| RateLimits { rpm: a.rpm.min(b.rpm), itpm: a.itpm.min(b.itpm), otpm: a.otpm.min(b.otpm) })
            .unwrap_or(RateLimits::NONE)
    }
}

/// The limits that a class has before the first response, and whether they were taken from other classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TierLimits {
    /// The limits.
    pub limits: RateLimits,
    /// Whether the table of the tier lacks a row for the class. If the row is missing, `limits` are the lowest limits
    /// among the rows of served models.
    pub substituted: bool,
}
