//! Plays whole runs on virtual time. The real loop, scheduler and journal run against the simulated API. At any change
//! to the disk, a test can make the disk fail or the process die.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use claude_batch::clock::RunClock;
use claude_batch::domain::{
    Ask, Ended, FallbackOn, Identity, Job, JobId, JobKey, Money, Outcome, Planned, PoolId, RateLimits, RowId,
    StoredAnswer, Taken, WriteFault,
};
use claude_batch::journal::{
    Closed, InputRead, Journal, JournalOptions, MemDisk, RowState, Start, StoredAnswers, Totals,
};
use claude_batch::plan::Rejected;
use claude_batch::provider::Provider;
use claude_batch::provider::anthropic::Anthropic;
use claude_batch::runner::{
    Commit, EqualRows, Finish, Incoming, JournalLedger, Ledger, Parts, Route, Routes, commits, drive,
};
use claude_batch::scheduler::{Config, EndpointId, Fallback, Scheduler, Ticket, Window};
use claude_batch::sim::answers::AnswerPlan;
use claude_batch::sim::config::{OutputLengths, SimConfig};
use claude_batch::sim::faults::FaultPlan;
use claude_batch::sim::model::Model;
use claude_batch::sim::presets;
use claude_batch::sim::transport::{SimTransport, lock};
use claude_batch::source::BrokenRow;
use serde_json::Value;
use tokio::sync::mpsc;

use super::follow_ups;
use crate::support::{self, journal_options};
pub use crate::support::{ERRORS, RESULTS};

/// The largest allowed number of requests in flight.
pub const IN_FLIGHT: usize = 16;

/// The result of a run.
#[derive(Debug, Default)]
pub struct Virtual {
    /// The reason why the journal could not be opened; `None` if it was opened.
    pub refused: Option<String>,
    /// The end of the run, according to its loop.
    pub finish: Finish,
    /// The labels of the rows whose lines were reported durable.
    pub reported: BTreeSet<String>,
    /// The result of closing the journal; `None` if that failed.
    pub closed: Option<Closed>,
    /// The number of rows that were in flight when an earlier run died. The program reads this number from the slots
    /// when it opens the journal.
    pub dead_in_flight: u64,
    /// The number of charged calls for each row.
    pub billed: BTreeMap<String, u64>,
    /// The largest number of requests that were in flight at once.
    pub most_in_flight: u64,
    /// The money that the simulated API charged in this run.
    pub charged: Money,
    /// The sums that the program found when it opened the journal.
    pub earlier: Totals,
    /// The number of rows that earlier runs left unfinished because an answer was not accepted.
    pub unfinished: u64,
}

/// A load: the number of rows, and the faults of the API.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// The number of rows.
    pub rows: u64,
    /// The faults, as the text of a fault file.
    pub faults: &'static str,
    /// The number of different requests; `None` if all requests differ. If several rows have equal requests, only one
    /// of these rows is sent.
    pub kinds: Option<u64>,
    /// Whether answers are scripted and must follow rules, as in [`follow_ups`](super::follow_ups).
    pub mends: bool,
    /// The providers of the run.
    pub roads: Roads,
}

/// The providers of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roads {
    /// Only the usual provider.
    One,
    /// A chain of two providers. The faults come from the usual provider, and rows move from there to the second
    /// provider.
    Two,
    /// Only the second provider.
    Second,
}

/// The name of the second provider.
pub const SECOND: &str = "second";

/// A fault file with one fault: each row that contains "tenth" fails once. Because of these failures, the error log has
/// entries to compact, and `resume` has rows to send.
pub const REFUSED_ONCE: &str = r#"{"rules":[{"status":400,"contains":"tenth","first_attempts_only":true}]}"#;
/// A fault file without faults.
pub const NO_FAULTS: &str = r#"{"rules":[]}"#;

/// Runs the rows that are not done, until all are done or the disk fails.
pub fn run(disk: &MemDisk, name: &str, start: Start, load: Load) -> Virtual {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime can be built").block_on(run_inside(disk, name, start, load))
}

async fn run_inside(disk: &MemDisk, name: &str, start: Start, load: Load) -> Virtual {
    let clock = RunClock::start_at(jiff::Timestamp::UNIX_EPOCH);
    let durable = Arc::new(Mutex::new(Vec::new()));
    let seen = durable.clone();
    let (on_commit, commits) = commits();
    let on_commit = Box::new(move |commit| {
        if let Commit::UpTo(seq) = commit {
            seen.lock().expect("nobody panics").push(seq);
        }
        on_commit(commit);
    });
    let opened = Journal::open(JournalOptions { start, clock, ..journal_options(disk, name) }, on_commit);
    let (journal, recovered) = match opened {
        Ok(opened) => opened,
        Err(error) => return Virtual { refused: Some(error.to_string()), ..Virtual::default() },
    };
    let mut result = Virtual {
        dead_in_flight: recovered.dead_in_flight,
        earlier: recovered.totals,
        unfinished: recovered.unfinished.len() as u64,
        ..Virtual::default()
    };
    if start == Start::Resume
        && let Err(error) = journal.write_resume_input(&[])
    {
        return Virtual { refused: Some(error.to_string()), ..result };
    }
    let wanted = |job: &Job| match (recovered.done.state(job.row, &job.identity), start) {
        (RowState::New, Start::Continue | Start::Fresh) => true,
        (RowState::Failed(_), Start::Resume) => true,
        (RowState::Submitted, _) => unreachable!("nothing is in a batch"),
        (RowState::New | RowState::Failed(_) | RowState::Done | RowState::Rerun(_) | RowState::Changed { .. }, _) => {
            false
        }
    };
    let wanted = |job: &Job| recovered.unfinished.contains_key(&job.row) || wanted(job);
    let of_load = |number| match load.kinds {
        Some(kinds) => equal_row(number, kinds),
        None if load.mends => follow_ups::row(number),
        None => row(number),
    };
    let of_road = |planned: Planned| match load.roads {
        Roads::One | Roads::Two => planned,
        Roads::Second => Planned { ask: at_second(&planned.ask), ..planned },
    };
    let rows = (0..load.rows).map(of_load).map(of_road);
    let rows: Vec<Planned> = rows.filter(|planned| wanted(&planned.job)).collect();
    let (feed_in, feed) = mpsc::channel(64);
    tokio::spawn(async move {
        for planned in rows {
            if feed_in.send(Incoming::Planned(planned)).await.is_err() {
                break;
            }
        }
    });
    let earlier = (load.kinds.is_some() && !recovered.done.is_empty())
        .then(|| StoredAnswers::of_own_results(Path::new(RESULTS), None, disk).expect("it was just recovered"));
    let model = Arc::new(Mutex::new(Model::new(sim(load))));
    let second = Arc::new(Mutex::new(Model::new(sim(Load { faults: NO_FAULTS, ..load }))));
    let route = |model: &Arc<Mutex<Model>>| Route {
        transport: Arc::new(SimTransport::new(model.clone(), clock)),
        provider: Arc::new(Anthropic::new("2023-06-01", &[], http::HeaderMap::new()).expect("it is a header"))
            as Arc<dyn Provider>,
    };
    let (_interrupts_in, interrupts) = mpsc::channel(1);
    let plain = support::config(RateLimits::NONE, Window::fixed(IN_FLIGHT), 1);
    let config = match load.mends {
        true => follow_ups::config(plain),
        false => Config { real_cost: Box::new(|_, _| Some(Money(1_000))), ..plain },
    };
    let config = if load.roads == Roads::Two { over_two(config) } else { config };
    let parts = Parts {
        routes: Routes::new(route(&model), vec![(SECOND.into(), route(&second))]),
        scheduler: Scheduler::new(config),
        ledger: Recorder { inside: JournalLedger::new(journal, clock), labels: BTreeMap::new() },
        commits,
        feed,
        lane: None,
        unfinished: recovered.unfinished,
        equal: load.kinds.map(|_| EqualRows::new(None, earlier)),
        interrupts,
        reporter: Box::new(support::Counts::default()),
        clock,
        run: name.into(),
        grace: None,
        keep_pending: false,
    };
    let (finish, ledger, _) = drive(parts).await;
    let Recorder { inside, labels } = ledger;
    let input = if finish.halted.is_none() && start != Start::Resume { InputRead::Whole } else { InputRead::Part };
    result.closed = inside.close(input, finish.maybe_billed > 0).ok().filter(|_| finish.halted.is_none());
    result.finish = finish;
    let durable = durable.lock().expect("nobody panics");
    result.reported = durable.iter().filter_map(|line| labels.get(line).cloned()).collect();
    for model in [model, second] {
        let model = lock(&model);
        for (id, books) in &model.books().by_id {
            *result.billed.entry(id.clone()).or_default() += books.calls;
        }
        result.most_in_flight = result.most_in_flight.max(model.books().highest_in_flight);
        result.charged += model.books().billed_money;
    }
    result
}

/// Makes the run use a chain of both providers.
fn over_two(config: Config) -> Config {
    let first = PoolId::clone(&row(0).ask.pool).provider;
    let ask_for = |job: &Job, _: &EndpointId| Ok(at_second(&row(job.id.0).ask));
    Config {
        endpoints: [first, SECOND.into()].map(|provider| EndpointId { provider, account: "".into() }).to_vec(),
        fallback: Some(Fallback { on: FallbackOn::default(), ask_for: Box::new(ask_for) }),
        ..config
    }
}

/// Returns the request of a row in the format of the second provider.
fn at_second(ask: &Ask) -> Ask {
    Ask { pool: PoolId { provider: SECOND.into(), ..PoolId::clone(&ask.pool) }.into(), ..ask.clone() }
}

fn sim(load: Load) -> SimConfig {
    let faults = FaultPlan::parse(load.faults, "faults.json").expect("the plan is well-formed");
    let answers = if load.mends { follow_ups::answers() } else { AnswerPlan::default() };
    let plain = SimConfig::new(presets::models()).with_limits(RateLimits::NONE);
    SimConfig { answers, ..plain.with_lengths(OutputLengths::fixed(30)).with_faults(faults) }
}

/// A row. Returns the row with this number. Rows with an even number have an id, and one row in ten contains "tenth".
pub fn row(number: u64) -> Planned {
    let mut planned = support::planned(number, "claude-haiku-4-5", 20, 100);
    let word = if number % 10 == 7 { "tenth" } else { "plain" };
    let label = label(number);
    support::ask(&mut planned, "messages", format!(r#"[{{"role":"user","content":"{word} row {number}"}}]"#));
    support::ask(&mut planned, "metadata", format!(r#"{{"user_id":{label:?}}}"#));
    planned.job.custom_id = label;
    // The digest of a real row uses all 128 bits, so the number is spread over 128 bits too.
    let digest = u128::from(number + 1).wrapping_mul(0x0123_4567_89ab_cdef_0f1e_2d3c_4b5a_6979);
    planned.job.key = JobKey(digest.to_be_bytes());
    planned.job.identity = if number.is_multiple_of(2) { Identity::Named } else { Identity::Nth(0) };
    let Job { custom_id, key, identity, .. } = &*planned.job;
    planned.job.row = RowId::of(custom_id, *key, identity);
    planned
}

/// Returns a row of this kind. All rows of a kind have the same request.
fn equal_row(number: u64, kinds: u64) -> Planned {
    let mut planned = row(number);
    let like = row(number % kinds);
    (planned.ask.request, planned.job.request) = (like.ask.request, like.job.request);
    planned.job.key = like.job.key;
    let occurrence = u32::try_from(number / kinds).expect("there are few rows");
    planned.job.identity = if number.is_multiple_of(2) { Identity::Named } else { Identity::Nth(occurrence) };
    let Job { custom_id, key, identity, .. } = &*planned.job;
    planned.job.row = RowId::of(custom_id, *key, identity);
    planned
}

/// The label of a row.
pub fn label(number: u64) -> String {
    if number.is_multiple_of(2) { format!("row-{number}") } else { format!("in.jsonl:{}", number + 1) }
}

/// A reporter that keeps the row of each line.
struct Recorder {
    inside: JournalLedger,
    labels: BTreeMap<u64, String>,
}

impl Ledger for Recorder {
    fn mark(&mut self, ticket: Ticket, job: &Job, at_most: Money) -> Result<(), WriteFault> {
        self.inside.mark(ticket, job, at_most)
    }
    fn clear(&mut self, ticket: Ticket) {
        self.inside.clear(ticket);
    }
    fn keep(&mut self, ticket: Ticket, job: JobId) {
        self.inside.keep(ticket, job);
    }
    fn write_outcome(&mut self, line: u64, ticket: Ticket, outcome: &Outcome) {
        assert!(matches!(outcome.ended, Ended::Succeeded(_) | Ended::Failed { .. }));
        self.labels.insert(line, outcome.job.custom_id.clone());
        self.inside.write_outcome(line, ticket, outcome);
    }
    fn write_unsent(&mut self, line: u64, outcome: &Outcome) {
        self.labels.insert(line, outcome.job.custom_id.clone());
        self.inside.write_unsent(line, outcome);
    }
    fn write_step(
        &mut self,
        line: u64,
        ticket: Option<Ticket>,
        step: &Outcome,
        purpose: claude_batch::domain::Purpose,
    ) {
        self.inside.write_step(line, ticket, step, purpose);
    }
    fn write_rejected(&mut self, line: u64, rejected: &Rejected) {
        self.inside.write_rejected(line, rejected);
    }
    fn write_broken(&mut self, line: u64, broken: &BrokenRow) {
        self.inside.write_broken(line, broken);
    }
    fn write_taken(&mut self, line: u64, taken: &Taken) {
        self.labels.insert(line, taken.job.custom_id.clone());
        self.inside.write_taken(line, taken);
    }
    fn keep_answer(&mut self, outcome: &Outcome) -> Result<u64, String> {
        self.inside.keep_answer(outcome)
    }
    fn flush_lines(&mut self) {
        self.inside.flush_lines();
    }
    fn read_answer(&mut self, place: u64) -> Option<StoredAnswer> {
        self.inside.read_answer(place)
    }
    fn on_committed(&mut self, line: u64) {
        self.inside.on_committed(line);
    }
    fn backlog_bytes(&self) -> usize {
        self.inside.backlog_bytes()
    }

    fn flush(&mut self) -> Result<(), WriteFault> {
        self.inside.flush()
    }
}

// ---- what is on the disk ------------------------------------------------------------------------------------------

/// Returns the labels of the complete lines. Ignores incomplete lines.
pub fn whole_labels(disk: &MemDisk, path: &str) -> Vec<String> {
    let content = disk.content(path).unwrap_or_default();
    let whole = content.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    whole.filter_map(|line| line["custom_id"].as_str().map(str::to_owned)).collect()
}

/// Asserts that every reported row has a line in one of the files.
pub fn assert_kept(disk: &MemDisk, reported: &BTreeSet<String>, what: &str) {
    let kept: BTreeSet<String> = [RESULTS, ERRORS].into_iter().flat_map(|path| whole_labels(disk, path)).collect();
    let lost: Vec<_> = reported.difference(&kept).collect();
    assert!(lost.is_empty(), "{what}: {lost:?} were reported and are gone");
}

/// Runs to the end, and then resumes the failed rows. Asserts that each row is answered once, and returns the answers.
pub fn assert_ends(disk: &MemDisk, load: Load, what: &str) -> BTreeMap<String, Value> {
    let run = run(disk, "again", Start::Continue, load);
    assert!(run.closed.is_some(), "{what}: the next run fails: {run:?}");
    let failed: BTreeSet<String> = whole_labels(disk, ERRORS).into_iter().collect();
    let answered: BTreeSet<String> = whole_labels(disk, RESULTS).into_iter().collect();
    assert!(failed.is_disjoint(&answered), "{what}: rows are in both files");
    if !failed.is_empty() {
        let resumed = self::run(disk, "resumed", Start::Resume, Load { faults: NO_FAULTS, ..load });
        assert!(resumed.closed.is_some(), "{what}: resume fails: {resumed:?}");
    }
    let content = disk.content(RESULTS).unwrap_or_default();
    assert!(content.ends_with(b"\n"), "{what}: a half-written line is left");
    let mut answers = BTreeMap::new();
    for line in content.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let mut line: Value = serde_json::from_slice(line).unwrap_or_else(|error| panic!("{what}: {error}"));
        let label = line["custom_id"].as_str().expect("each row has a label").to_owned();
        let mut message = line["result"]["message"].take();
        message.as_object_mut().expect("a message is an object").remove("id");
        assert!(answers.insert(label, message).is_none(), "{what}: a row is there twice");
    }
    assert_eq!(answers.len() as u64, load.rows, "{what}: rows are lost");
    let left_over = disk.paths().into_iter().find(|path| path.to_string_lossy().contains(".tmp"));
    assert_eq!(left_over, None, "{what}: a temporary file is left");
    // When a run ends without failures, it removes the empty error log. An empty log stays if it possibly belongs to
    // another program.
    let is_compacted = disk.content(Path::new(ERRORS)).is_none_or(|log| log.is_empty());
    assert!(is_compacted, "{what}: the error log is not compacted");
    answers
}
