//! Kills the real program at random moments, during the recovery after a kill, and at every write and sync.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::program::{Api, IN_FLIGHT, Outcome, ROWS, Workspace};
use super::{Seen, Size};

/// If the text of a row contains "tenth", the API rejects the row once. One of these rows gets a different status than
/// the others. The runs therefore also use the error log, its compaction, and `resume`.
pub const FAULTS: &str = r#"{"rules":[{"status":413,"contains":"tenth row 7:","first_attempts_only":true},{"status":400,"contains":"tenth","first_attempts_only":true}]}"#;

/// What a loop of killed runs counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deaths {
    /// The number of kills that hit a living process.
    pub kills: u64,
    /// The number of answers that the server produced twice.
    pub twice: u64,
    /// The number of answers that the server had produced but the program had not yet written at the moment of the
    /// kill.
    pub unwritten: u64,
    /// The number of rows that were reported as possibly paid.
    pub reported: u64,
    /// The number of slots that were filled when the program was killed. A filled slot records a row that was sent and
    /// has no synced line.
    pub marked: u64,
    /// For a single killed run: the highest number of answers that were produced but not written.
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

/// Runs the program without killing it. Returns the answers and the duration of the run.
pub fn undisturbed() -> (BTreeMap<String, Value>, Duration) {
    let (api, workspace) = (Api::start(FAULTS), Workspace::with_rows(ROWS));
    let begun = Instant::now();
    workspace.finish(&api).expect("nothing disturbs it");
    let took = begun.elapsed();
    let answers = workspace.answers().expect("nothing disturbs it");
    assert_eq!(answers.len(), ROWS);
    assert_eq!(api.answered_again(), 0);
    (answers, took)
}

/// The input whose runs are killed, and the counts from the last check.
struct KilledInput {
    api: Api,
    workspace: Workspace,
    unwritten: u64,
    reported: u64,
    deaths: Deaths,
}

impl KilledInput {
    fn new() -> Self {
        let (api, workspace) = (Api::start(FAULTS), Workspace::with_rows(ROWS));
        Self { api, workspace, unwritten: 0, reported: 0, deaths: Deaths::default() }
    }

    /// Checks the files after a run was killed.
    fn on_death(&mut self) {
        self.api.settle();
        let unwritten = self.api.billed() - self.workspace.whole_answers();
        let marked = self.workspace.marked();
        let more = unwritten - self.unwritten;
        assert!(
            more <= IN_FLIGHT as u64,
            "{more} answers produced and not written at a kill with {IN_FLIGHT} in flight"
        );
        self.deaths.kills += 1;
        self.deaths.unwritten += more;
        self.deaths.most_unwritten = self.deaths.most_unwritten.max(more);
        self.deaths.marked += marked;
        self.unwritten = unwritten;
        // When the next run starts, it reports every row whose answer was possibly lost at the kill.
        assert!(more <= marked, "{more} answers produced and not written, {marked} marked");
    }

    /// Lets the run finish without being killed, and checks all its results.
    fn judge(mut self, expected: &BTreeMap<String, Value>, what: &str) -> Deaths {
        self.workspace.finish(&self.api).unwrap_or_else(|error| panic!("{what}: {error}"));

        let answers = self.workspace.answers().unwrap_or_else(|error| panic!("{what}: {error}"));
        let lost: Vec<_> = expected.keys().filter(|label| !answers.contains_key(*label)).collect();
        assert!(lost.is_empty(), "{what}: {lost:?} are lost");
        assert!(answers == *expected, "{what}: labels or messages differ from an undisturbed run's");
        self.deaths.reported = self.workspace.reported() - self.reported;
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

/// Starts a command, and kills it after the time `moment`. Returns whether the command was still running when it was
/// killed.
pub fn kill_after(mut command: Command, moment: Duration) -> bool {
    let mut child = command.spawn().expect("the program can be started");
    // This sleep chooses the moment of the kill. The sleep does not wait for an event.
    std::thread::sleep(moment);
    let is_alive = child.try_wait().expect("it can be asked").is_none();
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    is_alive
}

/// Kills each run once at a random moment, and lets further runs finish the rows.
pub fn at_random_moments(kills: u64, seed: u64) -> Deaths {
    let (expected, took) = undisturbed();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut all = Deaths::default();
    while all.kills < kills {
        let mut killed = KilledInput::new();
        let moment = took.mul_f64(random.f64() * 0.8);
        if !kill_after(killed.workspace.run(&killed.api), moment) {
            continue;
        }
        killed.on_death();
        all.add(killed.judge(&expected, &format!("seed {seed}, killed after {moment:?}")));
    }
    all
}

/// Kills runs at random moments. After each kill, starts `run` or `resume` up to four more times. Each of these runs is
/// killed during recovery, compaction or normal work.
pub fn again_and_again(sequences: u64, seed: u64) -> Deaths {
    let (expected, took) = undisturbed();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut all = Deaths::default();
    for sequence in 0..sequences {
        let mut killed = KilledInput::new();
        for again in 0..random.u64(2..=5) {
            let has_log = killed.workspace.path("out.errors.jsonl").metadata().is_ok_and(|log| log.len() > 0);
            let command = match again > 0 && has_log && random.bool() {
                true => killed.workspace.resume(&killed.api),
                false => killed.workspace.run(&killed.api),
            };
            // Recovery takes only the first small part of a run, so most kills are in this part.
            let moment = took.mul_f64(random.f64().powi(2) * 0.5);
            if kill_after(command, moment) {
                killed.on_death();
            }
        }
        all.add(killed.judge(&expected, &format!("seed {seed}, sequence {sequence}")));
    }
    all
}

/// Returns whether strace works on this machine. Some loops use strace to make system calls fail.
pub fn has_strace() -> bool {
    let works = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).output();
    works.is_ok_and(|output| output.status.success())
}

/// A kind of system call on one file. strace makes one of these calls fail, or kills the process at that call.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// The names that strace has for these calls.
    pub calls: &'static str,
    /// The file, relative to the folder of the workspace.
    pub file: &'static str,
}

/// Every kind of change that the program makes to its files.
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

/// Runs a command under strace. strace applies `how` to the `nth` of the system calls that `point` describes.
///
/// strace recognizes a call on an open file by the full path of the file. strace recognizes other calls by the path in
/// their arguments.
pub fn under_strace(command: &Command, workspace: &Workspace, point: Point, how: &str, nth: u64) -> Command {
    let file = workspace.path(point.file);
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

/// For each file of the program, kills the program at the N-th write, at the N-th sync, at the N-th rename, and so on.
/// The test raises N until a run and its `resume` commands make fewer than N of these calls.
///
/// The test tries only every `every`-th value of N, because the program makes some calls very often.
pub fn at_every_change(every: u64) -> Deaths {
    let (expected, _) = undisturbed();
    let mut all = Deaths::default();
    for &point in POINTS {
        let before = all.kills;
        for nth in (1..).step_by(every as usize) {
            let mut killed = KilledInput::new();
            let what = format!("killed at {point:?} {nth}");
            let is_dead = killed.workspace.run_and_resumes(&killed.api).iter().any(|command| {
                let ended = Outcome::of(under_strace(command, &killed.workspace, point, "signal=SIGKILL", nth));
                assert!(matches!(ended.code, None | Some(0 | 3)), "{what}: {ended:?}");
                ended.code.is_none()
            });
            if !is_dead {
                break;
            }
            killed.on_death();
            all.add(killed.judge(&expected, &what));
        }
        eprintln!("kills: {} at {} on {:?}", all.kills - before, point.calls, point.file);
        assert!(all.kills > before, "no kill at {point:?}: nothing was tried there");
    }
    all
}

/// Runs this loop. Returns the results as lines for `benches/DURABILITY.md`.
///
/// The slot of a row is filled before the row is sent. The slot is freed after the line of the row is synced. The
/// program passes the line to the operating system before it reuses the slot for another row. Because of this order,
/// two things are true at each kill, and the test asserts both. First, there are at most as many unwritten answers as
/// requests in flight. Second, the next run reports all these answers when it starts.
pub fn page(size: Size) -> Vec<Seen> {
    // The program makes its file system calls in groups, so strace can kill it at only about 160 different points. The
    // other kills are at random moments.
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
            "at least 500; lost 0, duplicate 0, half-written 0; the same ids and messages as in an undisturbed run",
            format!("{} random moments, {traced}: 0 lost, 0 duplicate, 0 half-written, all equal", random.kills),
        ),
        Seen::new(
            "kills during recovery and compaction (real program)",
            "200 sequences of up to 5 kills; every start works",
            format!("{} sequences, {} kills: every start works", size.pick(6, 200), again.kills),
        ),
        Seen::new(
            "rows answered twice after a kill (real program)",
            "not more rows than were in flight; served but not written ≤ reported ≤ in flight",
            format!(
                "{} kills with {IN_FLIGHT} in flight: {} answered twice ≤ {} served and unwritten ≤ {} reported ≤ {} \
                 in flight. For each single kill: served and unwritten ≤ recorded as in flight, and ≤ {IN_FLIGHT} ({} \
                 at the most)",
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
