//! Computes how much of each pool's limits was used: the mean, the highest value over five minutes, and the level.

use std::time::Duration;

use super::html::{Set, table};
use crate::report::text::percent;
use crate::report::use_of_limits::Level;
use crate::watch::timeline::Point;

/// The largest number of pools that have a chart.
pub(super) const MOST_CHARTS: usize = 4;
/// The largest number of pools in the table.
const MOST_POOLS: usize = 20;
/// The names of the kinds of limits, in the order of the values in a point.
pub(super) const DIMENSIONS: [&str; 3] = ["requests", "input tokens", "output tokens"];
/// To find how much of a limit was used at most, the page looks at time windows of this length, in seconds.
const WINDOW: f64 = 300.0;

/// How much of each of its limits a pool used.
pub(super) struct Use {
    /// The position of the pool in the list of pools.
    pub(super) at: usize,
    /// Its name.
    pub(super) name: String,
    /// The mean share of each limit that was used; `None` if there is no such limit.
    pub(super) mean: [Option<f64>; 3],
    /// The largest share of each limit that was used in any five minutes.
    highest: [Option<f64>; 3],
}

/// For each pool that has limits, returns how much of these limits was used. The list begins with the pool that used,
/// on average, the largest share of one of its limits.
pub(super) fn of(points: &[Point], pools: &[String]) -> Vec<Use> {
    let one = |(at, name): (usize, &String)| Use {
        at,
        name: name.clone(),
        mean: [0, 1, 2].map(|dimension| of_points(points, at, dimension)),
        highest: [0, 1, 2].map(|dimension| highest(points, at, dimension)),
    };
    let most = |pool: &Use| pool.mean.iter().flatten().copied().fold(0.0, f64::max);
    let mut uses: Vec<Use> = pools.iter().enumerate().take(1_000).map(one).collect();
    uses.retain(|pool| pool.mean.iter().any(Option::is_some));
    uses.sort_by(|one, other| most(other).total_cmp(&most(one)));
    uses
}

/// Returns the share of one limit that was used in the time interval of a point.
pub(super) fn share(point: &Point, pool: usize, dimension: usize) -> Option<f64> {
    of_points(std::slice::from_ref(point), pool, dimension)
}

/// Returns a text that says how much of each limit was used in the time interval of a point.
pub(super) fn words(point: &Point, pools: &[String]) -> String {
    let mut words = Vec::new();
    for (at, _) in point.uses.iter().take(MOST_CHARTS) {
        let shares = (0..3).filter_map(|dimension| Some((DIMENSIONS[dimension], share(point, *at, dimension)?)));
        let shares: Vec<String> = shares.map(|(name, share)| format!("{name} {}", percent(share))).collect();
        if let Some(name) = pools.get(*at).filter(|_| !shares.is_empty()) {
            words.push(format!("{name}: {}", shares.join(", ")));
        }
    }
    words.join("; ")
}

/// Returns an HTML table that shows how much of each limit was used. `seconds` is the duration of the run.
pub(super) fn table_of(uses: &[Use], seconds: f64) -> String {
    let elapsed = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let level = |share: f64| Level::of(share, elapsed).map_or("too short to tell", Level::name).to_owned();
    let mut rows = Vec::new();
    for pool in uses.iter().take(MOST_POOLS) {
        for (dimension, name) in DIMENSIONS.into_iter().enumerate() {
            let (Some(mean), Some(highest)) = (pool.mean[dimension], pool.highest[dimension]) else { continue };
            rows.push(vec![
                pool.name.clone(),
                name.to_owned(),
                percent(mean),
                level(mean),
                percent(highest),
                level(highest),
            ]);
        }
    }
    let columns = [
        ("Pool", Set::Wide),
        ("Limit", Set::Short),
        ("Mean use", Set::Number),
        ("Level", Set::Short),
        ("Highest, 5 min", Set::Number),
        ("Level", Set::Short),
    ];
    table("Use of each limit: the amount that counted, divided by the amount that the limit allowed", &columns, &rows)
}

fn of_points(points: &[Point], pool: usize, dimension: usize) -> Option<f64> {
    let (mut counted, mut allowed) = (0.0, 0.0);
    for used in points.iter().filter_map(|point| point.uses.get(&pool)) {
        if let Some(limit) = used.allowed[dimension].filter(|limit| limit.is_finite() && *limit > 0.0) {
            counted += used.counted[dimension] as f64;
            allowed += limit;
        }
    }
    (allowed > 0.0).then(|| counted / allowed)
}

/// Returns the largest share of the limit that was used in any five minutes. If a single point is longer than five
/// minutes, this function takes the mean use in this point.
fn highest(points: &[Point], pool: usize, dimension: usize) -> Option<f64> {
    let mut highest: Option<f64> = None;
    let mut first = 0;
    for end in 1..=points.len() {
        let long = |first: usize| points[first..end].iter().map(|point| point.s).sum::<f64>();
        while first + 1 < end && long(first + 1) >= WINDOW {
            first += 1;
        }
        let is_whole = long(first) >= WINDOW || (end == points.len() && highest.is_none());
        if is_whole && let Some(share) = of_points(&points[first..end], pool, dimension) {
            highest = Some(highest.map_or(share, |other| other.max(share)));
        }
    }
    highest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::timeline::PoolUse;

    #[test]
    fn the_highest_use_is_measured_over_five_minutes_and_not_at_a_moment() {
        let point = |counted: u64| Point {
            s: 60.0,
            uses: [(0, PoolUse { counted: [counted, 0, 0], allowed: [Some(100.0), None, None] })].into(),
            ..Point::default()
        };
        let points: Vec<Point> = [20, 200, 20, 20, 20, 20, 70, 70, 70, 70, 70].map(point).to_vec();

        let uses = of(&points, &["haiku".to_owned()]);

        assert_eq!(uses[0].highest, [Some(0.7), None, None]);
        assert_eq!(uses[0].mean.map(|share| share.map(percent)), [Some("59%".to_owned()), None, None]);
        assert_eq!(of(&points, &[]).len(), 0);
    }
}
