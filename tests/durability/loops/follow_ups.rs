//! Tests runs in which many answers are not accepted, so that the runs send follow-up requests. At each disk change of
//! such a run, the process dies, the power fails or the disk fails. Some of these disk changes happen between an answer
//! and its follow-up request. The next run must continue each row from its last written answer.
//!
//! The answers of the simulated API are scripted, so the tests know how many requests each row needs. The records of
//! the API say what was paid.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;

use claude_batch::answer::{Form, OnInvalid, OnRefusal, OnTruncate, Rules, policy};
use claude_batch::catalog::Catalog;
use claude_batch::domain::{
    Ask, Expense, Money, Params, Planned, PoolId, ProviderFeatures, Purpose, Request, SchemaMethod,
};
use claude_batch::journal::{MemDisk, Start};
use claude_batch::scheduler::Config;
use claude_batch::sim::answers::AnswerPlan;
use serde_json::Value;

use super::virtual_run::{self, ERRORS, IN_FLIGHT, Load, NO_FAULTS, RESULTS, Roads, Virtual, label, run};
use super::{Seen, Size};
use crate::support;

/// The script. Each answer must be JSON. If an answer is not JSON, the follow-up quotes this answer.
const ANSWERS: &str = r#"{"rules":[
    {"contains":"cut","max_tokens_below":200,"truncated":true,"json":{"a":"a long answer that does not fit"}},
    {"contains":"second try","json":{"a":3}},
    {"contains":"first try","text":"second try"},
    {"contains":"broken twice","text":"first try"},
    {"contains":"only try","json":{"a":2}},
    {"contains":"broken once","text":"only try"},
    {"contains":"never","text":"none"},
    {"json":{"a":1}}
]}"#;

/// Returns a text for the prompt of a row. This text decides which answers the row gets. Also returns how many requests
/// the row needs.
fn kind(number: u64) -> (&'static str, u64) {
    match number % 10 {
        1 | 4 => ("cut", 2),
        2 | 7 => ("broken once", 2),
        3 | 8 => ("broken twice", 3),
        9 => ("never", 3),
        _ => ("plain", 1),
    }
}

fn load(rows: u64) -> Load {
    Load { rows, faults: NO_FAULTS, kinds: None, mends: true, roads: Roads::One }
}

/// The scripted answers.
pub fn answers() -> AnswerPlan {
    AnswerPlan::parse(ANSWERS, "answers.json").expect("the script is well-formed")
}

/// A row.
pub fn row(number: u64) -> Planned {
    let mut planned = virtual_run::row(number);
    let (word, _) = kind(number);
    support::ask(&mut planned, "messages", format!(r#"[{{"role":"user","content":"{word} row {number}"}}]"#));
    planned.ask.expense = Some(expense(planned.ask.max_tokens));
    planned
}

/// The settings of a run that sends follow-up requests. If an answer is not JSON, the run asks for a repair. If an
/// answer is truncated, the run asks for a longer answer.
pub fn config(plain: Config) -> Config {
    let catalog = Arc::new(Catalog::builtin());
    let rules = Rules {
        form: Form::Json,
        conditions: Vec::new(),
        on_invalid: OnInvalid::Repair,
        on_truncate: OnTruncate::Grow { max_tokens: None },
        on_refusal: OnRefusal::Keep,
        max_follow_ups: 2,
        features: ProviderFeatures::ALL,
    };
    let prices = catalog.clone();
    Config {
        policy: Some(policy(rules, catalog, Box::new(measure))),
        real_cost: Box::new(move |ask, usage| prices.cost(&ask.model, usage)),
        ..plain
    }
}

fn measure(params: &Params, _: Option<SchemaMethod>, purpose: Purpose, _: &PoolId) -> Result<Ask, String> {
    let max_tokens = params.get("max_tokens").and_then(|number| number.parse().ok()).unwrap_or(100);
    let ask = support::planned(0, "claude-haiku-4-5", 20, max_tokens).ask;
    Ok(Ask { request: Request::of(params), expense: Some(expense(max_tokens)), purpose, ..ask })
}

/// Returns the highest possible cost of an answer. An input token costs one millionth of a dollar, and an output token
/// costs five millionths.
fn expense(max_tokens: u32) -> Expense {
    const INPUT_TOKENS: u128 = 400;
    Expense { most: Money((INPUT_TOKENS + u128::from(max_tokens) * 5) * 1_000_000), ..Expense::default() }
}

// ---- what is in the files -----------------------------------------------------------------------------------------

/// What the latest line of a row says about the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Answered,
    Failed,
    /// The answer was not accepted, and the run was about to send another request.
    Unfinished,
}

/// What the results file and the error log say about a row.
#[derive(Clone, Debug)]
struct Recorded {
    line: Line,
    /// The name of the run that wrote the line.
    run: String,
    answers: u64,
    cost: Money,
    /// The number of lines of the row.
    lines: u64,
}

/// Returns what the latest line of each row says. If a row has a result line and an error line, the result line is
/// used.
fn recorded(disk: &MemDisk) -> BTreeMap<String, Recorded> {
    let mut rows: BTreeMap<String, Recorded> = BTreeMap::new();
    for (path, member) in [(ERRORS, "error"), (RESULTS, "meta")] {
        let content = disk.content(path).unwrap_or_default();
        // A half-written last line is not JSON. The next run removes such a line.
        for line in content.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok()) {
            let about = &line[member];
            let label = line["custom_id"].as_str().expect("each row has a label").to_owned();
            let lines = rows.get(&label).map_or(1, |earlier| earlier.lines + 1);
            let dollars = about["cost_usd"].as_f64().expect("the model has a price");
            let line = match (member, about.get("next")) {
                ("meta", _) => Line::Answered,
                (_, Some(_)) => Line::Unfinished,
                (_, None) => Line::Failed,
            };
            let answers = about["steps"].as_array().map_or(1, |steps| steps.len() as u64);
            let run = about["run"].as_str().expect("each line names its run").to_owned();
            rows.insert(label, Recorded { line, run, answers, cost: Money::from_dollars(dollars), lines });
        }
    }
    rows
}

fn cost_of(rows: &BTreeMap<String, Recorded>) -> Money {
    rows.values().fold(Money::ZERO, |sum, row| sum + row.cost)
}

// ---- the judge ----------------------------------------------------------------------------------------------------

/// The totals of all runs that were disturbed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disturbed {
    /// The number of disturbances.
    pub points: u64,
    /// The number of rows that were unfinished when their run was disturbed. An unfinished row has a written answer,
    /// but no answer to its follow-up request.
    pub pending: u64,
    /// The number of disturbances at which at least one row was unfinished.
    pub with_pending: u64,
    /// The number of answers that were paid for and are in no line.
    pub lost: u64,
    /// The number of answers that were reported as possibly paid when later runs started.
    pub reported: u64,
}

/// The history of the rows whose files are on one disk.
struct History {
    what: String,
    rows: u64,
    /// The number of requests for each row. If a failed row was sent again, the requests that led to the failure are
    /// left out.
    calls: BTreeMap<String, u64>,
    /// The lines that were in the files when the last run started.
    before: BTreeMap<String, Recorded>,
    charged: Money,
    /// Whether a run died while it replaced files. If a run died at that moment, the cost of removed lines can be
    /// counted twice.
    may_count_twice: bool,
    seen: Disturbed,
}

impl History {
    fn new(rows: u64, what: String) -> Self {
        let (calls, before) = (BTreeMap::new(), BTreeMap::new());
        Self { what, rows, calls, before, charged: Money::ZERO, may_count_twice: false, seen: Disturbed::default() }
    }

    /// Plays a run. For each row, asserts that the run sends no more requests than the row needs according to the
    /// files.
    fn run(&mut self, disk: &MemDisk, name: &str, start: Start) -> Virtual {
        let before = recorded(disk);
        for (label, earlier) in self.before.iter().filter(|(_, row)| row.line == Line::Failed) {
            let is_same = before.get(label).is_some_and(|row| row.run == earlier.run);
            let calls = self.calls.get_mut(label).expect("it was sent");
            *calls -= if is_same { 0 } else { earlier.answers };
        }
        let run = run(disk, name, start, load(self.rows));
        for number in 0..self.rows {
            let label = label(number);
            let calls = run.billed.get(&label).copied().unwrap_or(0);
            let needed = needed(number, before.get(&label), start);
            assert!(calls <= needed, "{}: {label}: {calls} requests in {name}, not {needed}", self.what);
            assert!(run.closed.is_none() || calls == needed, "{}: {label}: {calls} of {needed}", self.what);
            *self.calls.entry(label).or_default() += calls;
        }
        self.before = before;
        self.may_count_twice |= run.closed.is_none() && run.finish.halted.is_none();
        self.charged += run.charged;
        run
    }

    fn note_point(&mut self, disk: &MemDisk) {
        let pending = recorded(disk).values().filter(|row| row.line == Line::Unfinished).count() as u64;
        self.seen.points += 1;
        self.seen.pending += pending;
        self.seen.with_pending += u64::from(pending > 0);
    }

    /// Asserts that every row has one line with all its answers and their cost. Also asserts that the sums contain
    /// everything that was paid. Without `has_slots`, no file says which requests were in flight.
    fn finish(mut self, disk: &MemDisk, has_slots: bool) -> Disturbed {
        let what = self.what.clone();
        let last = self.run(disk, "last", Start::Continue);
        assert!(last.closed.is_some() && last.finish.pending == 0, "{what}: {last:?}");
        let again = self.run(disk, "nothing", Start::Continue);
        assert!(again.closed.is_some() && again.billed.is_empty() && again.unfinished == 0, "{what}: {again:?}");

        let rows = recorded(disk);
        assert_eq!(rows.len() as u64, self.rows, "{what}: rows are lost");
        for number in 0..self.rows {
            let (label, (word, needed)) = (label(number), kind(number));
            let row = &rows[&label];
            let line = if word == "never" { Line::Failed } else { Line::Answered };
            assert_eq!((row.line, row.answers, row.lines), (line, needed, 1), "{what}: {label}");
            self.seen.lost += self.calls[&label] - needed;
        }
        let (in_lines, sums) = (cost_of(&rows), again.earlier);
        assert!(in_lines <= self.charged, "{what}: {in_lines:?} in the lines, {:?} paid", self.charged);
        assert!(sums.spend >= in_lines, "{what}: {sums:?}, {in_lines:?} in the lines");
        assert!(sums.spend <= self.charged || self.may_count_twice, "{what}: {sums:?}, {:?} paid", self.charged);
        if has_slots {
            assert!(sums.spend + sums.maybe_spend >= self.charged, "{what}: {sums:?}, {:?} paid", self.charged);
            assert!(self.seen.lost <= sums.maybe_paid, "{what}: {:?}, {sums:?}", self.seen);
        }
        self.seen.reported = sums.maybe_paid;
        self.seen
    }
}

/// The number of requests that a row needs in a run.
fn needed(number: u64, before: Option<&Recorded>, start: Start) -> u64 {
    let (_, all) = kind(number);
    match (before.map(|row| row.line), start) {
        (None, Start::Resume) => 0,
        (None, Start::Continue | Start::Fresh) | (Some(Line::Failed), Start::Resume) => all,
        (Some(Line::Unfinished), _) => all - before.map_or(0, |row| row.answers),
        (Some(Line::Answered), _) | (Some(Line::Failed), Start::Continue | Start::Fresh) => 0,
    }
}

impl std::ops::AddAssign for Disturbed {
    fn add_assign(&mut self, other: Self) {
        self.points += other.points;
        self.pending += other.pending;
        self.with_pending += other.with_pending;
        self.lost += other.lost;
        self.reported += other.reported;
    }
}

// ---- the disturbances ---------------------------------------------------------------------------------------------

/// Runs without a disturbance. Asserts that each row gets exactly the requests that it needs. Also asserts that the
/// row's line contains exactly the cost that was paid.
pub fn undisturbed(rows: u64) {
    let disk = MemDisk::new();
    let mut history = History::new(rows, "undisturbed".to_owned());

    let first = history.run(&disk, "r1", Start::Continue);

    assert!(first.closed.is_some(), "{first:?}");
    assert_eq!(cost_of(&recorded(&disk)), first.charged);
    assert_eq!(history.finish(&disk, true), Disturbed::default());
}

/// How a run ends early.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// The process dies. If the change is a write, only this many of its bytes reach the disk.
    Death(usize),
    /// The power fails, and some of the changes that were not synced are lost.
    PowerLoss,
    /// The change to the disk fails, but the process does not die.
    Fault(ErrorKind),
}

/// For every `step`-th change of the disk, starts a separate run that ends at this change. After that, a second run
/// starts in the way that `next` says, and a third run finishes all rows.
pub fn ends(rows: u64, step: usize, end: End, next: Start) -> Disturbed {
    let mut all = Disturbed::default();
    for at in (0..).step_by(step) {
        let mut history = History::new(rows, format!("{end:?} at change {at}, then {next:?}"));
        let disk = MemDisk::new();
        match end {
            End::Death(cut) => disk.die_at(at, cut),
            End::PowerLoss => disk.die_at(at, 700),
            End::Fault(kind) => disk.fail_at(at, kind),
        }
        let dead = history.run(&disk, "r1", Start::Continue);
        if dead.closed.is_some() && disk.changes() <= at {
            break;
        }
        let disk = match end {
            End::Death(_) | End::Fault(_) => disk.after_death(),
            End::PowerLoss => disk.after_power_loss(&mut fastrand::Rng::with_seed(at)),
        };
        history.note_point(&disk);
        let before = cost_of(&recorded(&disk));
        let resumed = history.run(&disk, "r2", next);
        assert!(resumed.closed.is_some(), "{}: {resumed:?}", history.what);
        let found = resumed.earlier;
        // After a fault of the disk, `dead_in_flight` includes answers whose lines could not be written.
        let is_bound = resumed.dead_in_flight <= IN_FLIGHT as u64 || matches!(end, End::Fault(_));
        assert!(is_bound, "{}: {resumed:?}", history.what);
        let is_exact = found.spend == before || history.may_count_twice && found.spend >= before;
        assert!(is_exact, "{}: {found:?} at the start, {before:?} in the lines", history.what);
        all += history.finish(&disk, !matches!(end, End::PowerLoss));
    }
    all
}

/// Makes the process die up to five times, one after the other, each time at a random change.
pub fn deaths_in_a_row(sequences: u64, rows: u64, seed: u64) -> Disturbed {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut all = Disturbed::default();
    for sequence in 0..sequences {
        let mut history = History::new(rows, format!("seed {seed}, sequence {sequence}"));
        let mut disk = MemDisk::new();
        for again in 0..random.u64(2..=5) {
            let start = if again > 0 && random.bool() { Start::Resume } else { Start::Continue };
            let reach = if random.bool() { 24 } else { rows * 5 };
            disk.die_at(random.u64(0..reach), random.usize(0..600));
            history.run(&disk, &format!("r{again}"), start);
            disk = disk.after_death();
            history.note_point(&disk);
        }
        all += history.finish(&disk, true);
    }
    all
}

/// Runs this loop. Returns the results as lines for `benches/DURABILITY.md`.
pub fn page(size: Size) -> Vec<Seen> {
    let (rows, step) = (size.pick(20, 24), size.pick(7, 1));
    undisturbed(rows);
    let mut deaths = Disturbed::default();
    for cut in [0, 1, 700, usize::MAX] {
        deaths += ends(rows, step, End::Death(cut), Start::Continue);
    }
    deaths += ends(rows, step, End::Death(usize::MAX), Start::Resume);
    let power = ends(rows, step, End::PowerLoss, Start::Continue);
    let mut faults = Disturbed::default();
    for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
        faults += ends(rows, step, End::Fault(kind), Start::Continue);
    }
    let rowed = deaths_in_a_row(size.pick(20, 100), rows, 5);
    assert!(deaths.with_pending >= 100 || step > 1, "{deaths:?}");
    vec![
        Seen::new(
            "deaths between an answer and its follow-up, at every change that a run makes on the disk (disk in memory)",
            "at least 100 points with a follow-up pending: nothing paid twice beyond what was in flight, no cost lost",
            format!(
                "{} deaths at {rows} rows, {} of them with {} follow-ups pending: each row continued from its last written \
                 answer, every written answer's cost kept to the digit; {} answers paid and not written ≤ {} reported",
                deaths.points, deaths.with_pending, deaths.pending, deaths.lost, deaths.reported
            ),
        ),
        Seen::new(
            "follow-ups with losses of power, failing disks and several deaths in a row (disk in memory)",
            "the same",
            format!(
                "{} losses of power, {} faults of 2 kinds, {} deaths in a row ({} points with follow-ups pending): the \
                 target holds",
                power.points,
                faults.points,
                rowed.points,
                power.with_pending + faults.with_pending + rowed.with_pending
            ),
        ),
    ]
}
