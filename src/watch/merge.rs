//! Merges points of a timeline, so that the number of points stays bounded.

use jiff::Timestamp;

use super::timeline::{Point, PoolUse, RunSpan};
use crate::report::json::rounded;

impl Point {
    /// Merges the next point into this one.
    pub(crate) fn absorb(&mut self, next: &Self) {
        let seconds = self.s + next.s;
        if seconds > 0.0 {
            self.in_flight = rounded((self.in_flight * self.s + next.in_flight * next.s) / seconds);
        }
        self.s = rounded(seconds);
        let sums = [
            (&mut self.ok, next.ok),
            (&mut self.failed, next.failed),
            (&mut self.sent, next.sent),
            (&mut self.refused, next.refused),
            (&mut self.retried, next.retried),
            (&mut self.input, next.input),
            (&mut self.cached, next.cached),
            (&mut self.output, next.output),
        ];
        sums.into_iter().for_each(|(own, more)| *own = own.saturating_add(more));
        self.usd += next.usd;
        for (reason, seconds) in &next.bound {
            let own = self.bound.entry(reason.clone()).or_default();
            *own = rounded(*own + seconds);
        }
        for (pool, used) in &next.uses {
            self.uses.entry(*pool).or_default().absorb(used);
        }
    }
}

impl PoolUse {
    /// Adds the used and allowed amounts of the next time interval.
    pub(crate) fn absorb(&mut self, next: &Self) {
        for at in 0..3 {
            self.counted[at] = self.counted[at].saturating_add(next.counted[at]);
            self.allowed[at] = match (self.allowed[at], next.allowed[at]) {
                (None, None) => None,
                (own, more) => Some(own.unwrap_or(0.0) + more.unwrap_or(0.0)),
            };
        }
    }
}

/// Merges neighbouring points until there are at most `most` points. The shortest points are merged first. Points of
/// different runs are not merged with each other.
///
/// `slot` is the longest time that a merged point covers, in seconds. This function doubles `slot` until at most `most`
/// points are left.
pub(super) fn merge_down(points: &mut Vec<Point>, runs: &[RunSpan], most: usize, slot: &mut f64) {
    while points.len() > most {
        *slot *= 2.0;
        // `slot` exceeds this bound only if there are more runs than points. In that case, points are merged even if
        // they belong to different runs.
        let runs = if *slot > 1e12 { &[] } else { runs };
        let mut merged: Vec<Point> = Vec::with_capacity(points.len());
        for point in points.drain(..) {
            match merged.last_mut() {
                Some(last) if fits(last, &point, *slot) && !is_apart(last.at, point.at, runs) => last.absorb(&point),
                _ => merged.push(point),
            }
        }
        *points = merged;
    }
}

/// Returns whether two points together cover at most `slot` seconds plus half a second. The extra half second is
/// allowed, because a point usually covers a little more than a second.
pub(super) fn fits(last: &Point, next: &Point, slot: f64) -> bool {
    last.s + next.s <= slot + 0.5
}

/// Returns whether two points belong to different runs.
pub(super) fn is_apart(one: Timestamp, next: Timestamp, runs: &[RunSpan]) -> bool {
    // If the clock was set back between two runs, the second run can have earlier times than the first run.
    !runs.is_empty() && (next < one || runs.iter().any(|run| one < run.started_at && run.started_at <= next))
}
