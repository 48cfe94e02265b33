//! Updates the timeline of a run: adds points at its end, and merges older points.

use std::path::Path;

use super::collect::Tick;
use super::files::{Found, read, timeline_path};
use super::merge::{fits, is_apart, merge_down};
use super::timeline::{MOST_NOTES, MOST_POINTS, MOST_RUNS, Note, Point, RunSpan, Timeline, VERSION, keep_last};
use crate::journal::Disk;

/// The largest number of pools in the file. Pools above this number are left out.
const MOST_POOLS: usize = 20;

/// The timeline of a run in progress.
#[derive(Clone, Debug)]
pub(crate) struct History {
    timeline: Timeline,
    /// The longest time that a point of this run covers, in seconds. This time is one second at first, and is doubled
    /// whenever the timeline has too many points.
    slot: f64,
}

impl Default for History {
    fn default() -> Self {
        Self::resumed(Timeline::default())
    }
}

impl History {
    /// Returns the history of a new run, with the points of earlier runs in the same run folder. If these points can't
    /// be read, also returns a warning.
    pub(crate) fn open(disk: &dyn Disk, folder: &Path) -> (Self, Option<String>) {
        let path = timeline_path(folder);
        let anew = |why: String| Some(format!("{}: {why}; the timeline begins with this run", path.display()));
        let (timeline, warning) = match read::<Timeline>(disk, &path, VERSION) {
            Found::Good(timeline) => (timeline, None),
            Found::Missing => (Timeline::default(), None),
            Found::Damaged(fault) => (Timeline::default(), anew(format!("the file is damaged ({fault})"))),
            Found::Unreadable(fault) => (Timeline::default(), anew(format!("the file can't be read ({fault})"))),
            Found::Newer(version) => {
                (Timeline::default(), anew(format!("the file has the version {version} of a later claude-batch")))
            }
        };
        (Self::resumed(timeline), warning)
    }

    /// Returns the history for a new run. Merges the points of earlier runs until their number is at most half of the
    /// allowed number. The new run then has enough room to begin with one point per second.
    fn resumed(mut timeline: Timeline) -> Self {
        timeline.v = VERSION;
        timeline.pools.truncate(MOST_POOLS);
        let pools = timeline.pools.len();
        timeline.points.iter_mut().for_each(|point| point.uses.retain(|pool, _| *pool < pools));
        merge_down(&mut timeline.points, &timeline.runs, MOST_POINTS / 2, &mut 1.0);
        Self { timeline, slot: 1.0 }
    }

    /// Adds a time interval of a run. `run` describes the whole run up to now.
    pub(crate) fn add(&mut self, tick: Tick, run: RunSpan) {
        let Tick { mut point, uses, notes, first_byte, latency } = tick;
        self.note_run(run);
        let timeline = &mut self.timeline;
        for (name, used) in uses {
            let at = timeline.pools.iter().position(|own| *own == name).or_else(|| {
                (timeline.pools.len() < MOST_POOLS).then(|| timeline.pools.push(name))?;
                Some(timeline.pools.len() - 1)
            });
            at.map(|at| point.uses.insert(at, used));
        }
        timeline.first_byte.merge(&first_byte);
        timeline.latency.merge(&latency);
        notes.into_iter().for_each(|note| self.note(note));
        if point.s > 0.0 || point != (Point { at: point.at, ..Point::default() }) {
            self.push(point);
        }
    }

    /// Adds a note to the timeline, and removes the oldest notes if there are too many.
    pub(crate) fn note(&mut self, note: Note) {
        self.timeline.notes.push(note);
        keep_last(&mut self.timeline.notes, MOST_NOTES);
    }

    /// Returns the timeline.
    pub(crate) fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Returns the longest time that a point of this run covers, in seconds.
    pub(crate) fn slot(&self) -> f64 {
        self.slot
    }

    fn note_run(&mut self, run: RunSpan) {
        let runs = &mut self.timeline.runs;
        match runs.last_mut() {
            Some(last) if last.run == run.run => *last = run,
            Some(_) | None => runs.push(run),
        }
        keep_last(runs, MOST_RUNS);
    }

    fn push(&mut self, point: Point) {
        let Self { timeline: Timeline { points, runs, .. }, slot } = self;
        match points.last_mut() {
            Some(last) if fits(last, &point, *slot) && !is_apart(last.at, point.at, runs) => last.absorb(&point),
            Some(_) | None => points.push(point),
        }
        merge_down(points, runs, MOST_POINTS, slot);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::{SignedDuration, Timestamp};

    use super::super::timeline::PoolUse;
    use super::*;
    use crate::journal::MemDisk;

    #[test]
    fn a_week_with_five_pools_fits_in_300_points_and_a_megabyte() {
        let mut history = History::resumed(Timeline::default());
        let week = 7 * 24 * 3_600;

        for second in 0..week {
            history.add(tick(second, 5), run("r1"));
            assert!(history.timeline.points.len() <= MOST_POINTS);
        }

        let timeline = &history.timeline;
        let bytes = serde_json::to_vec(timeline).expect("it is JSON").len();
        assert!(bytes < 1 << 20, "{bytes} bytes");
        let (points, notes) = (timeline.points.len(), timeline.notes.len());
        assert!((150..=300).contains(&points) && notes == MOST_NOTES, "{points} points, {notes} notes");
        assert_eq!(timeline.points.iter().map(|point| point.ok).sum::<u64>(), week as u64);
        assert!((timeline.points.iter().map(|point| point.s).sum::<f64>() - week as f64).abs() < 1.0);
        let longest = timeline.points.iter().map(|point| point.s).fold(0.0, f64::max);
        assert!((2_000.0..5_000.0).contains(&longest), "{longest}");
        assert_eq!(timeline.latency.count(), week as u64);
    }

    #[test]
    fn a_resumed_run_keeps_the_points_of_earlier_runs_and_begins_with_a_point_per_second() {
        let mut before = History::resumed(Timeline::default());
        (0..1_000).for_each(|second| before.add(tick(second, 1), run("r1")));

        let mut history = History::resumed(before.timeline);
        let later = RunSpan { started_at: at(5_000), ..run("r2") };
        (5_000..5_100).for_each(|second| history.add(tick(second, 2), later.clone()));

        let Timeline { runs, pools, points, .. } = &history.timeline;
        assert_eq!((runs.len(), pools.len()), (2, 2));
        assert_eq!(points.iter().map(|point| point.ok).sum::<u64>(), 1_100);
        let (old, new): (Vec<_>, Vec<_>) = points.iter().partition(|point| point.at < at(5_000));
        assert_eq!((new.len(), new[0].at), (100, at(5_000)));
        assert!((75..=150).contains(&old.len()), "{}", old.len());
    }

    #[test]
    fn many_runs_and_a_clock_that_is_set_back_keep_within_the_bounds() {
        let mut timeline = Timeline::default();
        for number in 0..400_i64 {
            let mut history = History::resumed(timeline);
            let begin = if number % 3 == 0 { 1_000_000 - number } else { number * 100 };
            let span = RunSpan { started_at: at(begin), ..run(&number.to_string()) };
            (begin..begin + 3).for_each(|second| history.add(tick(second, 1), span.clone()));
            timeline = history.timeline;
            assert!(timeline.points.len() <= MOST_POINTS && timeline.runs.len() <= MOST_RUNS);
        }
        assert_eq!(timeline.points.iter().map(|point| point.ok).sum::<u64>(), 1_200);
    }

    #[test]
    fn a_damaged_timeline_begins_anew_and_says_so() {
        for (text, said) in [("{", "is damaged"), (r#"{"v":2}"#, "the version 2 of a later claude-batch")] {
            let disk = MemDisk::new();
            disk.put("o.run/timeline.json", text.as_bytes());

            let (history, warning) = History::open(&disk, Path::new("o.run"));

            assert!(history.timeline.points.is_empty());
            assert!(warning.is_some_and(|warning| warning.contains(said)), "{text}");
        }
        assert_eq!(History::open(&MemDisk::new(), Path::new("o.run")).1, None);
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
    }

    fn run(name: &str) -> RunSpan {
        RunSpan { run: name.to_owned(), started_at: at(0), ..RunSpan::default() }
    }

    fn tick(second: i64, pools: usize) -> Tick {
        let used = PoolUse { counted: [17, 123_456, 12_345], allowed: [Some(16.7), Some(7_512.3), Some(1_502.9)] };
        let uses = (0..pools).map(|pool| (format!("claude-model-{pool}"), used)).collect();
        let bound = [("input tokens per minute", 0.6), ("concurrency", 0.3), ("ramp-up", 0.1)];
        let bound = bound.map(|(reason, seconds)| (reason.to_owned(), seconds)).into();
        let point = Point { at: at(second), s: 1.0, ok: 1, usd: 0.012_345, bound, ..Point::default() };
        let note = Note { at: at(second), kind: "held".to_owned(), text: "x".repeat(200) };
        let mut tick = Tick { point, uses, notes: vec![note], ..Tick::default() };
        tick.latency.add(Duration::from_millis(second as u64 % 60_000));
        tick
    }
}
