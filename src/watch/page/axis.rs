//! The time axis of the charts. All charts of a page share one axis.
//!
//! The axis is 1,000 units long. A gap is a time in which no run was in progress. Each gap takes only a few units of
//! the axis, however long it was.

use std::time::Duration;

use jiff::Timestamp;

/// The length of the axis, in units of the drawing.
pub(super) const LENGTH: f64 = 1_000.0;
/// The largest length of a gap on the axis, in units of the drawing.
const GAP: f64 = 14.0;
/// The shortest gap, in milliseconds. A gap must also be longer than one thirtieth (`SHARE_OF_GAP`) of the total length
/// of the time intervals.
const SHORTEST_GAP: i64 = 120_000;
const SHARE_OF_GAP: i64 = 30;
/// The approximate number of labels on the axis.
const LABELS: i64 = 6;
/// The possible distances between labels, in seconds.
const STEPS: [i64; 21] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
    2_592_000,
];

/// A part of the axis between two gaps.
#[derive(Clone, Copy, Debug)]
struct Piece {
    from: i64,
    to: i64,
    x: f64,
    width: f64,
}

/// The time axis of the charts. Times are in milliseconds after 1970.
#[derive(Clone, Debug, Default)]
pub(super) struct Axis {
    pieces: Vec<Piece>,
}

impl Axis {
    /// Returns the axis for these time intervals. Each interval has a start and an end, and the intervals are in
    /// chronological order.
    pub(super) fn of(times: &[(i64, i64)]) -> Self {
        let all: i64 = times.iter().map(|(from, to)| to - from).sum();
        let shortest = SHORTEST_GAP.max(all / SHARE_OF_GAP);
        let mut pieces: Vec<Piece> = Vec::new();
        for &(from, to) in times {
            match pieces.last_mut() {
                Some(piece) if from - piece.to <= shortest => piece.to = piece.to.max(to),
                Some(_) | None => pieces.push(Piece { from, to, x: 0.0, width: 0.0 }),
            }
        }
        let gaps = pieces.len().saturating_sub(1) as f64;
        let gap = GAP.min(LENGTH / 4.0 / gaps.max(1.0));
        let total: i64 = pieces.iter().map(|piece| piece.to - piece.from).sum();
        let mut x = 0.0;
        for piece in &mut pieces {
            piece.x = x;
            piece.width = (LENGTH - gap * gaps) * (piece.to - piece.from) as f64 / total.max(1) as f64;
            x += piece.width + gap;
        }
        Self { pieces }
    }

    /// Returns the position of a time on the axis, in units of the drawing.
    pub(super) fn x(&self, at: i64) -> f64 {
        let found = self.pieces.iter().rev().find(|piece| piece.from <= at).or(self.pieces.first());
        let place = |piece: &Piece| {
            let length = (piece.to - piece.from).max(1) as f64;
            piece.x + piece.width * ((at - piece.from) as f64 / length).clamp(0.0, 1.0)
        };
        found.map_or(0.0, place)
    }

    /// Returns the gaps. A gap consists of three values: the position of its start on the axis, the position of its
    /// end, and its duration.
    pub(super) fn gaps(&self) -> Vec<(f64, f64, Duration)> {
        let pairs = self.pieces.iter().zip(self.pieces.iter().skip(1));
        let long = |from: i64, to: i64| Duration::from_millis(u64::try_from(to - from).unwrap_or_default());
        pairs.map(|(one, next)| (one.x + one.width, next.x, long(one.to, next.from))).collect()
    }

    /// Returns the labels of the axis. Each label has its position on the axis and its text.
    pub(super) fn labels(&self) -> Vec<(f64, String)> {
        let total: i64 = self.pieces.iter().map(|piece| piece.to - piece.from).sum();
        let step = STEPS.into_iter().find(|step| total / 1_000 / step <= LABELS).unwrap_or(31_536_000);
        let distance = if step < 60 { 160.0 } else { 120.0 };
        let mut labels: Vec<(f64, String)> = Vec::new();
        let mut last_day = self.pieces.first().map(|piece| day(piece.from));
        for piece in &self.pieces {
            let first = (piece.from + step * 1_000 - 1).div_euclid(step * 1_000);
            let times = (first..).map(|number| number * step * 1_000).take_while(|at| *at <= piece.to).take(50);
            for at in times {
                let x = self.x(at);
                if labels.last().is_some_and(|(last, _)| x - last < distance) {
                    continue;
                }
                let is_other_day = last_day != Some(day(at));
                last_day = Some(day(at));
                labels.push((x, label(at, step, is_other_day)));
            }
        }
        labels
    }

    /// Returns the first and the last time of the axis as text.
    pub(super) fn words(&self) -> String {
        let time = |at| shown(at, "%Y-%m-%d %H:%M:%S");
        match (self.pieces.first(), self.pieces.last()) {
            (Some(first), Some(last)) => format!("{} to {} UTC", time(first.from), time(last.to)),
            _ => String::new(),
        }
    }
}

fn day(at: i64) -> i64 {
    at.div_euclid(86_400_000)
}

/// Returns a time in UTC as text, in the format `form`.
fn shown(at: i64, form: &str) -> String {
    Timestamp::from_millisecond(at).map(|at| at.strftime(form).to_string()).unwrap_or_default()
}

fn label(at: i64, step: i64, is_other_day: bool) -> String {
    let form = match step {
        _ if is_other_day || step >= 86_400 => "%-d %b",
        60.. => "%H:%M",
        _ => "%H:%M:%S",
    };
    shown(at, form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_time_without_a_run_takes_little_room() {
        let hour = 3_600_000;
        let axis = Axis::of(&[(0, hour), (9 * hour, 10 * hour)]);

        let gaps = axis.gaps();

        assert_eq!((axis.x(0), axis.x(10 * hour)), (0.0, LENGTH));
        assert_eq!((gaps.len(), gaps[0].2, gaps[0].1 - gaps[0].0), (1, Duration::from_secs(8 * 3_600), GAP));
        assert_eq!(axis.x(5 * hour), gaps[0].0);
        assert_eq!(axis.words(), "1970-01-01 00:00:00 to 1970-01-01 10:00:00 UTC");
    }

    #[test]
    fn labels_are_round_times_that_do_not_overlap() {
        let labels = |from: i64, to: i64| {
            let labels = Axis::of(&[(from, to)]).labels();
            labels.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
        };

        assert_eq!(labels(0, 1_000), "00:00:00 00:00:01");
        assert_eq!(labels(5_000_000, 12_200_000), "01:30 02:00 02:30 03:00");
        assert_eq!(labels(80_000_000, 100_000_000), "23:00 2 Jan 01:00 02:00 03:00");
        assert_eq!(Axis::default().labels(), []);
    }
}
