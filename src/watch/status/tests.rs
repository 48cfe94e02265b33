//! Tests of the files in the run folder, on a simulated disk that fails, stops working or loses power.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::domain::{EventBody, Failure, FallbackCase, HaltReason, Quality, Reason, RunEvent};
use crate::journal::MemDisk;
use crate::report::quiet::Silent;
use crate::report::stats::tests::{at, ended, pool, started, status, succeeded};
use crate::report::{Report, Reporter};
use crate::watch::files::{Found, read, timeline_path};
use crate::watch::timeline::Timeline;

const FOLDER: &str = "o.run";
const SECONDS: i64 = 8;

/// Simulates a run of some seconds, and returns its warnings.
fn play(disk: &MemDisk) -> usize {
    let mut events = vec![at(0, started(Some(100), 0))];
    for second in 1..=SECONDS {
        events.push(at(second, succeeded(Quality::Ok)));
        events.push(at(second, status(Reason::Window, vec![pool("haiku-4.5", [None; 3])])));
    }
    events.push(at(SECONDS, ended()));
    let mut report = report(disk);
    let warnings = Warnings::default();
    report.add(Box::new(warnings.clone()));
    events.iter().for_each(|event| report.on_event(event));
    report.finish();
    warnings.count()
}

fn report(disk: &MemDisk) -> Report {
    let about = About { run: "r1".to_owned(), ..About::default() };
    let recorder = Recorder::start(about, Arc::new(disk.clone()), PathBuf::from(FOLDER)).expect("a thread");
    let mut report = Report::new(Box::new(Silent));
    report.add(Box::new(recorder));
    report
}

fn files(disk: &MemDisk) -> (Found<Shown>, Found<Timeline>) {
    let status = match read_status(disk, Path::new(FOLDER)) {
        Found::Good((_, shown)) => Found::Good(shown),
        Found::Missing => Found::Missing,
        Found::Damaged(fault) => Found::Damaged(fault),
        Found::Unreadable(fault) => Found::Unreadable(fault),
        Found::Newer(version) => Found::Newer(version),
    };
    (status, read(disk, &timeline_path(Path::new(FOLDER)), crate::watch::timeline::VERSION))
}

#[test]
fn a_run_leaves_its_last_state_and_its_whole_timeline() {
    let disk = MemDisk::new();

    let warnings = play(&disk);

    let (Found::Good(shown), Found::Good(timeline)) = files(&disk) else { panic!("{:?}", files(&disk)) };
    assert_eq!((shown.state.as_str(), shown.progress.ok, warnings), ("ended", SECONDS as u64, 0));
    assert_eq!(timeline.points.iter().map(|point| point.ok).sum::<u64>(), SECONDS as u64);
    assert!(timeline.runs.len() == 1 && timeline.runs[0].has_ended && timeline.latency.count() == SECONDS as u64);
    let names: Vec<_> = disk.paths();
    assert_eq!(names, [Path::new("o.run/status.json"), Path::new("o.run/timeline.json")]);
}

#[test]
fn the_state_has_each_provider_of_a_chain() {
    let disk = MemDisk::new();
    let names = ["anthropic".into(), "bedrock".into()];
    let refused = Failure { status: Some(401), message: "invalid x-api-key".to_owned(), ..Failure::default() };
    let events = [
        started(Some(100), 0),
        EventBody::Providers(names.into()),
        EventBody::ProviderStopped { provider: "anthropic".into(), reason: Box::new(HaltReason::Key(refused)) },
        EventBody::Diverted { from: "anthropic".into(), to: "bedrock".into(), why: FallbackCase::Account },
        status(Reason::Window, vec![pool("haiku-4.5", [None; 3])]),
        ended(),
    ];
    let mut report = report(&disk);

    events.into_iter().for_each(|body| report.on_event(&at(1, body)));
    report.finish();

    let (Found::Good(shown), Found::Good(timeline)) = files(&disk) else { panic!("{:?}", files(&disk)) };
    let own = &shown.progress.providers[0];
    assert_eq!((&*own.provider, &*own.state, own.to.as_deref()), ("anthropic", "stopped", Some("bedrock")));
    assert_eq!((own.why.as_deref(), shown.progress.providers.len()), (Some("account"), 2));
    assert_eq!((&*shown.pools[0].provider, &*shown.pools[0].pool), ("anthropic", "haiku-4.5"));
    let notes: Vec<_> = timeline.notes.iter().map(|note| (&*note.kind, &*note.text)).collect();
    assert_eq!(
        notes,
        [
            ("provider", r#"anthropic stopped: the key was refused ("invalid x-api-key")"#),
            ("provider", "rows of anthropic go to bedrock"),
        ]
    );
}

#[test]
fn after_a_death_at_any_operation_both_files_can_be_read() {
    let before = MemDisk::new();
    play(&before);
    let changes = before.changes();
    for at in changes..2 * changes + 10 {
        for written in [0, 100] {
            let disk = before.after_death();
            disk.die_at(at, written);
            play(&disk);

            let (status, timeline) = files(&disk.after_death());

            assert!(matches!(status, Found::Good(_)), "death at {at}: {status:?}");
            assert!(matches!(timeline, Found::Good(_)), "death at {at}: {timeline:?}");
        }
    }
}

#[test]
fn after_the_end_both_files_survive_a_loss_of_power() {
    let disk = MemDisk::new();
    play(&disk);

    for seed in 0..50 {
        let after = disk.after_power_loss(&mut fastrand::Rng::with_seed(seed));

        let (status, timeline) = files(&after);
        assert!(matches!(status, Found::Good(shown) if shown.end.is_some()), "seed {seed}");
        assert!(matches!(timeline, Found::Good(timeline) if timeline.runs[0].has_ended), "seed {seed}");
    }
}

#[test]
fn a_disk_that_can_not_be_written_causes_one_warning_and_a_single_failure_causes_no_warning() {
    let broken = MemDisk::new();
    broken.die_at(0, 0);
    let full = MemDisk::new();
    full.fail_at(2, std::io::ErrorKind::StorageFull);

    assert_eq!((play(&broken), play(&full)), (1, 0));
    assert!(matches!(files(&full), (Found::Good(_), Found::Good(_))));
}

#[test]
fn a_run_that_ends_before_its_first_request_has_ended() {
    let disk = MemDisk::new();
    let mut report = report(&disk);
    report.on_event(&at(0, started(Some(100), 0)));
    drop(report);

    let (Found::Good(shown), _) = files(&disk) else { panic!("{:?}", files(&disk)) };
    assert!(shown.end.is_some_and(|end| end.reason.is_some()), "it was not killed");
}

/// A view that counts warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<std::sync::atomic::AtomicUsize>);

impl Warnings {
    fn count(&self) -> usize {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl crate::report::View for Warnings {
    fn show(&mut self, event: &RunEvent, _stats: &crate::report::Stats) {
        if matches!(event.body, EventBody::Warned(_)) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    fn answer(&mut self, _stats: &crate::report::Stats) {}
}
