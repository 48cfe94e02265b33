//! Computes which share of each limit a run used, for the summary.
//!
//! The *use* of a limit is a share: the amount that counted against the limit, divided by the amount that the limit
//! allowed. The allowed amount is the limit per minute, multiplied by the duration of the run in minutes. The level of
//! the limit's bucket would not show how much of the limit was used. If a run uses its limits well, the buckets are
//! nearly empty.
//!
//! A server can immediately accept as many requests as a whole minute allows. So in a run of a few seconds, the used
//! share of a limit says little: the share can be far above 100 %. If a run took less than ten seconds, the summary
//! does not show how much of each limit was used. After a run of less than a minute, the summary shows no level such as
//! "high" or "critical". If clearly more than 100 % of a limit was used, the summary calls this a burst.

use std::time::Duration;

use super::text::{escape, percent};
use crate::domain::{Dimension, LimitUse};

/// If a run is shorter than this time, the summary does not show how much of the limits the run used.
const SHORTEST: Duration = Duration::from_secs(10);
/// If a run is shorter than this time, the summary shows no level such as "high".
const MINUTE: Duration = Duration::from_secs(60);
/// If at least this share of a limit was used, the report calls it a burst. In a long run, a share between 1 and this
/// value can be a rounding error.
const BURST: f64 = 1.02;

/// A level that says how much of a limit is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// At most 50 % of the limit is used.
    Low,
    /// More than 50 % and at most 75 % of the limit is used.
    Moderate,
    /// More than 75 % and at most 90 % of the limit is used.
    High,
    /// More than 90 % of the limit is used.
    Critical,
}

impl Level {
    /// Returns the level for this share of a limit; `None` if the run has lasted less than a minute.
    pub(crate) fn of(share: f64, elapsed: Duration) -> Option<Self> {
        (elapsed >= MINUTE).then_some(match share {
            share if share > 0.9 => Self::Critical,
            share if share > 0.75 => Self::High,
            share if share > 0.5 => Self::Moderate,
            _ => Self::Low,
        })
    }

    /// Returns the name of the level, as shown to people and scripts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Moderate => "moderate",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// If a pool used less than this share of each of its limits, the pool has no line of its own.
const LITTLE: f64 = 0.1;

/// Returns a line for each pool that used much of a limit, such as `used 34% of requests, 97% of input tokens
/// (critical)`. If there are several pools, each line begins with the name of the pool and shows only the limit of
/// which the largest share was used. All pools that used little of each of their limits are together in one line.
pub(super) fn lines(uses: &[LimitUse], elapsed: Duration) -> Vec<String> {
    if elapsed < SHORTEST {
        return Vec::new();
    }
    let first = uses.first().map(|used| &used.pool.provider);
    let has_several = uses.iter().any(|used| Some(&used.pool.provider) != first);
    let line = |used: &LimitUse| {
        let share_of = |dimension| Some((dimension, used.share(dimension).filter(|share| *share >= LITTLE)?));
        let mut shares: Vec<_> = Dimension::ALL.into_iter().filter_map(share_of).collect();
        let mut name = String::new();
        if uses.len() > 1 {
            // In a run with several pools, the line of a pool shows only the pool's most used limit.
            let most = shares.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
            shares = most.into_iter().collect();
            name = format!("{}: ", escape(&used.pool.named(has_several)));
        }
        let part = |(dimension, share): &(Dimension, f64)| {
            format!("{} of {}{}", percent(*share), dimension.name(), remark(*share, elapsed))
        };
        let parts = shares.iter().map(part).collect::<Vec<_>>().join(", ");
        (!parts.is_empty()).then(|| format!("{name}used {parts}"))
    };
    let highest = |used: &&LimitUse| Dimension::ALL.into_iter().filter_map(|one| used.share(one)).reduce(f64::max);
    let limited: Vec<_> = uses.iter().filter(|used| highest(used).is_some()).collect();
    let much = |used: &&LimitUse| highest(used).is_some_and(|share| share >= LITTLE);
    let mut lines: Vec<String> = limited.iter().copied().filter(much).filter_map(line).collect();
    let little = limited.len() - lines.len();
    let of_each = format!("less than {} of each limit", percent(LITTLE));
    match (lines.is_empty(), little) {
        (_, 0) => {}
        (true, _) => lines.push(format!("used {of_each}")),
        (false, 1) => lines.push(format!("1 other model used {of_each}")),
        (false, little) => lines.push(format!("{little} other models used {of_each}")),
    }
    lines
}

/// Returns whether `share`, the used share of a limit, is large enough to be called a burst.
pub(super) fn is_burst(share: f64) -> bool {
    share >= BURST
}

fn remark(share: f64, elapsed: Duration) -> String {
    let level = Level::of(share, elapsed).filter(|level| *level > Level::Low).map(Level::name);
    match (level, is_burst(share)) {
        (Some(level), true) => format!(" ({level}, with a burst)"),
        (Some(level), false) => format!(" ({level})"),
        (None, true) => " (a burst)".to_owned(),
        (None, false) => String::new(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::stats::tests::pool;
    use super::*;
    use crate::domain::RateLimits;

    #[test]
    fn each_limit_has_its_use_and_its_level() {
        let used = limit_use("haiku-4.5", [340, 194_000, 61_000], RateLimits::new(500, 100_000, 50_000), 120);
        let edges = limit_use("x", [500, 750, 900], RateLimits::new(500, 500, 500), 120);

        assert_eq!(
            lines(&[used], Duration::from_secs(120)),
            ["used 34% of requests, 97% of input tokens (critical), 61% of output tokens (moderate)"]
        );
        assert_eq!(
            lines(&[edges], Duration::from_secs(120)),
            ["used 50% of requests, 75% of input tokens (moderate), 90% of output tokens (high)"]
        );
    }

    #[test]
    fn each_of_several_pools_has_a_line_and_a_dimension_without_a_limit_is_left_out() {
        let haiku = limit_use("haiku-4.5", [60, 9, 9], RateLimits { rpm: Some(100), ..RateLimits::NONE }, 60);
        let opus = limit_use("opus\x1b", [6, 9, 9], RateLimits { otpm: Some(90), ..RateLimits::NONE }, 60);
        let free = limit_use("free", [6, 9, 9], RateLimits::NONE, 60);

        let shown = lines(&[haiku, opus, free], Duration::from_secs(60));

        assert_eq!(shown, ["haiku-4.5: used 60% of requests (moderate)", "opus\\u{1b}: used 10% of output tokens"]);
    }

    #[test]
    fn pools_that_used_little_of_their_limits_share_a_line() {
        let used = |class: &str, requests| limit_use(class, [requests, 0, 0], RateLimits::new(100, 100, 100), 60);
        let shown = |uses: &[LimitUse]| lines(uses, MINUTE);

        assert_eq!(shown(&[used("a", 9)]), ["used less than 10% of each limit"]);
        assert_eq!(shown(&[used("a", 9), used("b", 3)]), ["used less than 10% of each limit"]);
        let three = shown(&[used("a", 9), used("b", 70), used("c", 3)]);
        assert_eq!(three[1..], ["2 other models used less than 10% of each limit"]);
        assert_eq!(three[0], "b: used 70% of requests (moderate)");
        assert_eq!(shown(&[used("a", 9), used("b", 70)])[1], "1 other model used less than 10% of each limit");
    }

    #[test]
    fn a_short_run_shows_a_burst_and_no_level() {
        let used = |seconds| {
            let used = limit_use("haiku-4.5", [600, 7_500, 10], RateLimits::new(600, 45_000, 90_000), seconds);
            lines(&[used], Duration::from_secs(seconds)).concat()
        };

        assert_eq!(used(9), "");
        assert_eq!(used(10), "used 600% of requests (a burst), 100% of input tokens");
        assert!(used(59).starts_with("used 102% of requests, 17% of"), "{}", used(59));
        let long = limit_use("haiku-4.5", [1_300, 0, 0], RateLimits::new(1_000, 1, 1), 60);
        assert_eq!(lines(&[long], MINUTE), ["used 130% of requests (critical, with a burst)"]);
    }

    /// Returns how much of each limit was used in a run of `seconds` seconds with constant limits.
    pub(crate) fn limit_use(class: &str, counted: [u64; 3], limits: RateLimits, seconds: u64) -> LimitUse {
        let allowed = Dimension::ALL.map(|dimension| limits.of(dimension).map(|limit| u64::from(limit) * seconds / 60));
        LimitUse { pool: pool(class, [None; 3]).pool, counted, allowed }
    }
}
