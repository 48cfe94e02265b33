//! Deaths of the real program: at random moments, again and again while it recovers, and at every write and sync.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::program::{Api, IN_FLIGHT, Outcome, Place, ROWS};
use super::{Seen, Size};

/// Rows marked by the input are refused once, one of them for another reason than the others: they go through the error
/// log, its compaction, and `resume`.
pub const FAULTS: &str = r#"{"rules":[{"status":413,"contains":"tenth row 7:","first_attempts_only":true},{"status":400,"contains":"tenth","first_attempts_only":true}]}"#;

/// What a loop of deaths saw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deaths {
    /// Kills that hit a living process.
    pub kills: u64,
    /// Answers that were made twice.
    pub twice: u64,
    /// Answers made and not written at a kill.
    pub unwritten: u64,
    /// Rows reported as maybe paid.
    pub reported: u64,
    /// Marks that stood at the kills: rows sent and not yet synced.
    pub marked: u64,
    /// Most answers made and not written at one kill.
    pub most_unwritten: u64,
}

impl Deaths {
    fn add(&mut self, other: Self) {
        self.kills += other.kills;
        self.twice += other.twice;
        self.unwritten += other.unwritten;
        self.reported += other.reported;
        self.marked += other.marked;
        self.most_unwritten = self.most_unwritten.max(other.most_unwritten);
    }
}

/// An undisturbed run: what it answers, and how long it takes.
pub fn undisturbed() -> (BTreeMap<String, Value>, Duration) {
    let (api, place) = (Api::start(FAULTS), Place::with_rows(ROWS));
    let begun = Instant::now();
    place.finish(&api).expect("nothing disturbs it");
    let took = begun.elapsed();
    let answers = place.answers().expect("nothing disturbs it");
    assert_eq!(answers.len(), ROWS);
    assert_eq!(api.answered_again(), 0);
    (answers, took)
}

/// One input under deaths: what was known at the last look.
struct Patient {
    api: Api,
    place: Place,
    unwritten: u64,
    reported: u64,
    deaths: Deaths,
}

impl Patient {
    fn new() -> Self {
        let (api, place) = (Api::start(FAULTS), Place::with_rows(ROWS));
        Self { api, place, unwritten: 0, reported: 0, deaths: Deaths::default() }
    }

    /// Looks at what a death left.
    fn on_death(&mut self) {
        self.api.settle();
        let unwritten = self.api.billed() - self.place.whole_answers();
        let marked = self.place.marked();
        let more = unwritten - self.unwritten;
        assert!(more <= IN_FLIGHT as u64, "{more} answers made and not written at a kill with {IN_FLIGHT} in flight");
        self.deaths.kills += 1;
        self.deaths.unwritten += more;
        self.deaths.most_unwritten = self.deaths.most_unwritten.max(more);
        self.deaths.marked += marked;
        self.unwritten = unwritten;
        // A death can take nothing that the next start does not report.
        assert!(more <= marked, "{more} answers made and not written, {marked} marked");
    }

    /// Lets the run finish without being killed, and checks all its results.
    fn judge(mut self, expected: &BTreeMap<String, Value>, what: &str) -> Deaths {
        self.place.finish(&self.api).unwrap_or_else(|error| panic!("{what}: {error}"));

        let answers = self.place.answers().unwrap_or_else(|error| panic!("{what}: {error}"));
        let lost: Vec<_> = expected.keys().filter(|label| !answers.contains_key(*label)).collect();
        assert!(lost.is_empty(), "{what}: {lost:?} are lost");
        assert!(answers == *expected, "{what}: other labels or messages than an undisturbed run's");
        self.deaths.reported = self.place.reported() - self.reported;
        self.deaths.twice = self.api.answered_again();
        let Deaths { kills, twice, unwritten, reported, marked, .. } = self.deaths;
        assert!(twice <= unwritten, "{what}: {twice} answered twice, {unwritten} served and unwritten");
        assert!(unwritten <= reported, "{what}: {unwritten} served and unwritten, {reported} reported");
        assert!(reported <= marked, "{what}: {reported} reported, {marked} marked");
        let in_flight = kills * IN_FLIGHT as u64;
        assert!(reported <= in_flight, "{what}: {reported} reported, {in_flight} in flight");
        self.deaths
    }
}

/// Kills a command after a time; returns whether it was still alive.
pub fn kill_after(mut command: Command, moment: Duration) -> bool {
    let mut child = command.spawn().expect("the program can be started");
    // The moment is the thing tried, not a wait for something.
    std::thread::sleep(moment);
    let is_alive = child.try_wait().expect("it can be asked").is_none();
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    is_alive
}

/// Kills runs at random moments, each once, and lets each end.
pub fn at_random_moments(kills: u64, seed: u64) -> Deaths {
    let (expected, took) = undisturbed();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut all = Deaths::default();
    while all.kills < kills {
        let mut patient = Patient::new();
        let moment = took.mul_f64(random.f64() * 0.8);
        if !kill_after(patient.place.run(&patient.api), moment) {
            continue;
        }
        patient.on_death();
        all.add(patient.judge(&expected, &format!("seed {seed}, killed after {moment:?}")));
    }
    all
}

/// Kills runs, then up to four more starts of run or `resume` while they recover, compact or work.
pub fn again_and_again(sequences: u64, seed: u64) -> Deaths {
    let (expected, took) = undisturbed();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut all = Deaths::default();
    for sequence in 0..sequences {
        let mut patient = Patient::new();
        for again in 0..random.u64(2..=5) {
            let has_log = patient.place.path("out.errors.jsonl").metadata().is_ok_and(|log| log.len() > 0);
            let command = match again > 0 && has_log && random.bool() {
                true => patient.place.resume(&patient.api),
                false => patient.place.run(&patient.api),
            };
            // Recovery is over after a small part of a run: most moments lie there.
            let moment = took.mul_f64(random.f64().powi(2) * 0.5);
            if kill_after(command, moment) {
                patient.on_death();
            }
        }
        all.add(patient.judge(&expected, &format!("seed {seed}, sequence {sequence}")));
    }
    all
}

/// Whether system calls can be traced and meddled with here.
pub fn has_strace() -> bool {
    let works = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output();
    works.is_ok_and(|output| output.status.success())
}

/// A system call on a file, to be meddled with.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// The calls, as strace names them.
    pub calls: &'static str,
    /// The file, in the place.
    pub file: &'static str,
}

/// Every kind of change the program makes to its files.
pub const POINTS: &[Point] = &[
    Point { calls: "pwrite64", file: "out.jsonl" },
    Point { calls: "fdatasync", file: "out.jsonl" },
    Point { calls: "pwrite64", file: "out.errors.jsonl" },
    Point { calls: "fdatasync", file: "out.errors.jsonl" },
    Point { calls: "pwrite64", file: "out.jsonl.run/inflight" },
    Point { calls: "ftruncate", file: "out.jsonl.run/inflight" },
    Point { calls: "pwrite64", file: "out.jsonl.run/manifest.json.claude-batch.tmp" },
    Point { calls: "fdatasync,fsync", file: "out.jsonl.run/manifest.json.claude-batch.tmp" },
    Point { calls: "rename,renameat,renameat2", file: "out.jsonl.run/manifest.json.claude-batch.tmp" },
    Point { calls: "pwrite64", file: "out.errors.jsonl.claude-batch.tmp" },
    Point { calls: "fdatasync,fsync", file: "out.errors.jsonl.claude-batch.tmp" },
    Point { calls: "rename,renameat,renameat2", file: "out.errors.jsonl.claude-batch.tmp" },
    Point { calls: "pwrite64", file: "out.jsonl.run/holder" },
    Point { calls: "openat", file: "out.jsonl" },
    Point { calls: "openat", file: "out.errors.jsonl" },
    Point { calls: "openat", file: "out.jsonl.run/lock" },
    Point { calls: "fdatasync,fsync", file: "out.jsonl.run" },
    Point { calls: "fdatasync,fsync", file: "" },
    Point { calls: "mkdir,mkdirat", file: "out.jsonl.run" },
];

/// Wraps a command so that the `nth` of the calls on the file is meddled with as `how` says.
///
/// A file has two names here: calls on an open file are matched by its whole path, other calls by the name in them.
pub fn meddled(command: &Command, place: &Place, point: Point, how: &str, nth: u64) -> Command {
    let file = place.path(point.file);
    let file = file.to_string_lossy().trim_end_matches('/').to_owned();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={}", point.calls), "-P", &file]);
    if !point.file.is_empty() {
        strace.args(["-P", point.file]);
    }
    strace.args(["-e", &format!("inject={}:{how}:when={nth}", point.calls)]);
    strace.arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        strace.current_dir(folder);
    }
    strace.env("ANTHROPIC_API_KEY", "sk-test").stdin(std::process::Stdio::null());
    strace
}

/// Kills the program at the N-th write, sync, rename and so on of each of its files, for every N until a run and the
/// `resume`s behind it end.
///
/// `every` leaves out all but every so-manieth N, of calls of which there are many.
pub fn at_every_change(every: u64) -> Deaths {
    let (expected, _) = undisturbed();
    let mut all = Deaths::default();
    for &point in POINTS {
        let before = all.kills;
        for nth in (1..).step_by(every as usize) {
            let mut patient = Patient::new();
            let what = format!("killed at {point:?} {nth}");
            let is_dead = patient.place.whole_way(&patient.api).iter().any(|command| {
                let ended = Outcome::of(meddled(command, &patient.place, point, "signal=SIGKILL", nth));
                assert!(matches!(ended.code, None | Some(0 | 3)), "{what}: {ended:?}");
                ended.code.is_none()
            });
            if !is_dead {
                break;
            }
            patient.on_death();
            all.add(patient.judge(&expected, &what));
        }
        eprintln!("kills: {} at {} on {:?}", all.kills - before, point.calls, point.file);
        assert!(all.kills > before, "no kill at {point:?}: nothing was tried there");
    }
    all
}

/// The lines of the page.
///
/// Each row is marked from before it is sent until its line is synced, and its line is with the system before anything
/// is sent in its place. So what was served and not written at a kill is never more than what was in flight, and always
/// among what the next start reports: both are asserted at each kill.
pub fn page(size: Size) -> Vec<Seen> {
    // The calls on files come in groups, so that there are some 160 points for strace; random moments make up the rest.
    let random = at_random_moments(size.pick(10, 400), 1);
    let again = again_and_again(size.pick(6, 200), 2);
    let mut all = random;
    let traced = match has_strace() {
        true => {
            let traced = at_every_change(size.pick(40, 1));
            all.add(traced);
            format!("{} at every write, sync, rename, cut and opening (strace)", traced.kills)
        }
        false => "none by strace: NOT INSTALLED".to_owned(),
    };
    all.add(again);
    vec![
        Seen::new(
            "kill points tried in full mode (real program)",
            "at least 500; lost 0, duplicate 0, half-written 0; ids and messages equal to an undisturbed run's",
            format!("{} random moments, {traced}: 0 lost, 0 duplicate, 0 half-written, all equal", random.kills),
        ),
        Seen::new(
            "kills during recovery and compaction (real program)",
            "200 sequences of up to 5, none ends in a start that fails",
            format!("{} sequences, {} kills: every start works", size.pick(6, 200), again.kills),
        ),
        Seen::new(
            "answered twice after a kill (real program)",
            "never more than were in flight; served but unwritten ≤ reported ≤ in flight",
            format!(
                "{} kills with {IN_FLIGHT} in flight: {} answered twice ≤ {} served and unwritten ≤ {} reported ≤ {} in \
                 flight. At each kill by itself: served and unwritten ≤ marked, and ≤ {IN_FLIGHT} ({} at the most)",
                all.kills,
                all.twice,
                all.unwritten,
                all.reported,
                all.kills * IN_FLIGHT as u64,
                all.most_unwritten,
            ),
        ),
    ]
}
