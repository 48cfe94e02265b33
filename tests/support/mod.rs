//! Shared code for the tests of whole runs and for the model tests.

#![allow(dead_code, reason = "each test file uses only some of these items")]

use std::sync::{Arc, Mutex};

use claude_batch::clock::{Instant, RunClock};
use claude_batch::domain::{
    Ask, Caching, Cost, Expense, Identity, Interval, Job, JobId, JobKey, Level, MarkPlace, ModelClass, Money, Origin,
    Params, Planned, PoolId, PrefixId, Prefixes, Purpose, RateLimits, Request, RowId, Speed, Terms,
};
use claude_batch::journal::{Fsync, JournalOptions, Manifest, MemDisk, RunPaths, Start, Threading};
use claude_batch::limiter::Headroom;
use claude_batch::scheduler::{Budget, Config, HaltRule, StreamMode, Window};
use serde_json::value::RawValue;

pub mod bound;
pub mod gateway;
pub mod judge;
pub mod player;
pub mod scenario;
pub mod seen;
pub mod whole;
pub mod workload;

/// The results file on a disk in memory.
pub const RESULTS: &str = "d/out.jsonl";
/// The error log on a disk in memory.
pub const ERRORS: &str = "d/out.errors.jsonl";

/// Returns the row with these prefixes, which are ordered from the shortest to the longest. Each prefix is 20 tokens
/// longer than the previous one.
pub fn prefixed(mut planned: Planned, prefixes: &[u64]) -> Planned {
    let level = |(at, id): (usize, &u64)| Level {
        id: PrefixId(*id),
        tokens: 20 * (at as u32 + 1),
        place: MarkPlace::Block { brace: 1 },
        lifetime: Caching::FiveMinutes,
    };
    let levels = prefixes.iter().enumerate().map(level).collect();
    planned.ask.prefixes = Some(Arc::new(Prefixes { levels, least_tokens: 10, extra_most: [Money::ZERO; 2] }));
    planned
}

/// Returns a row of `class`. The estimated input of the row is `input_tokens`, and the answer can have up to
/// `max_tokens` tokens.
pub fn planned(number: u64, class: &str, input_tokens: u32, max_tokens: u32) -> Planned {
    let mut params = Params::default();
    let raw = |text: String| RawValue::from_string(text).expect("the test writes valid JSON");
    params.set("model", raw(format!("{class:?}")));
    params.set("max_tokens", raw(max_tokens.to_string()));
    let mut key = [0; 16];
    key[..8].copy_from_slice(&number.to_le_bytes());
    let request = Request::of(&params);
    Planned {
        job: Box::new(Job {
            id: JobId(number),
            custom_id: format!("row-{number}"),
            key: JobKey(key),
            identity: Identity::Named,
            row: RowId::named(&format!("row-{number}"), Some(JobKey(key))),
            request: request.clone(),
            extra: Params::default(),
            origin: Origin { source: "test".into(), line: number + 1 },
            index: number,
        }),
        ask: Ask {
            request,
            model: class.into(),
            terms: Terms::default(),
            pool: pool_id(class).into(),
            cost: Cost { requests: 1, input_tokens, output_tokens: max_tokens },
            input_tokens: Interval::exact(input_tokens),
            expense: Some(Expense { most: Money(max_tokens.into()), ..Expense::default() }),
            max_tokens,
            template: 0,
            body_bytes: 4 * input_tokens,
            purpose: Purpose::First,
            base: None,
            schema_method: None,
            prefixes: None,
            has_own_marks: false,
        },
    }
}

/// Returns the options of a journal on a disk in memory.
pub fn journal_options(disk: &MemDisk, run: &str) -> JournalOptions {
    JournalOptions {
        disk: Arc::new(disk.clone()),
        paths: RunPaths::given(Some(RESULTS.into()), ERRORS.into()),
        inputs: vec!["d/in.jsonl".into()],
        run: run.into(),
        clock: RunClock::start_at(jiff::Timestamp::UNIX_EPOCH),
        price_date: None,
        manifest: Manifest { origin: "https://api.example.invalid".to_owned(), ..Manifest::default() },
        start: Start::Continue,
        rerun: Vec::new(),
        fsync: Fsync::Group,
        threading: Threading::Inline,
        stdout: None,
    }
}

/// Sets a member of a row's request to a JSON value.
pub fn ask(planned: &mut Planned, name: &str, value: String) {
    let members: std::collections::BTreeMap<Box<str>, Box<RawValue>> =
        serde_json::from_slice(planned.job.request.json()).expect("a request is JSON");
    let mut params = Params(members.into_iter().collect());
    params.set(name, RawValue::from_string(value).expect("the test writes valid JSON"));
    planned.job.request = Request::of(&params);
    planned.ask.request = planned.job.request.clone();
}

/// The pool of `class`.
pub fn pool_id(class: &str) -> PoolId {
    PoolId { provider: "anthropic".into(), account: "".into(), class: ModelClass(class.into()), speed: Speed::Standard }
}

/// Returns the settings of a scheduler. All other settings are the defaults of the command line.
pub fn config(limits: RateLimits, window: Window, seed: u64) -> Config {
    Config {
        limits_of: Box::new(move |_| limits),
        by_hand: RateLimits::NONE,
        headroom: Headroom::Auto,
        endpoints: Vec::new(),
        window,
        max_retries: 8,
        retry_for: std::time::Duration::from_secs(1800),
        has_worked_before: false,
        retry_ambiguous: true,
        stream: StreamMode::Auto,
        halt: HaltRule::AllAlike,
        budget: Budget::default(),
        real_cost: Box::new(|_, _| None),
        policy: None,
        fallback: None,
        seed,
    }
}

/// Returns the instant that is `seconds` seconds after the start.
pub fn at(seconds: f64) -> Instant {
    Instant::from_nanos((seconds * 1e9) as u64)
}

/// A ledger (the part of a run that writes lines) in memory. Every line is durable immediately.
pub struct MemLedger {
    commits: tokio::sync::mpsc::UnboundedSender<claude_batch::runner::Commit>,
    /// The labels of the answered rows, in the order in which they were written.
    pub answered: Vec<String>,
    /// The labels and error classes of the failed rows, in the order in which they were written.
    pub failed: Vec<(String, claude_batch::domain::ErrorClass)>,
    /// The total number of attempts for all finished rows.
    pub attempts: usize,
    /// For each answered row: its number, its usage, and the time from its first request to its end.
    pub used: Vec<(u64, claude_batch::domain::Usage, std::time::Duration)>,
    marks: std::collections::BTreeMap<claude_batch::scheduler::Ticket, String>,
}

impl MemLedger {
    /// Returns an empty ledger, and the channel that reports its durable lines.
    pub fn new() -> (Self, tokio::sync::mpsc::UnboundedReceiver<claude_batch::runner::Commit>) {
        let (commits, receiver) = tokio::sync::mpsc::unbounded_channel();
        let ledger = Self {
            commits,
            answered: Vec::new(),
            failed: Vec::new(),
            attempts: 0,
            used: Vec::new(),
            marks: std::collections::BTreeMap::new(),
        };
        (ledger, receiver)
    }

    fn commit(&self, line: u64) {
        self.commits.send(claude_batch::runner::Commit::UpTo(line)).expect("the run listens while it writes");
    }
}

impl claude_batch::runner::Ledger for MemLedger {
    fn mark(
        &mut self,
        ticket: claude_batch::scheduler::Ticket,
        job: &Job,
        _at_most: Money,
    ) -> Result<(), claude_batch::domain::WriteFault> {
        self.marks.insert(ticket, job.custom_id.clone());
        Ok(())
    }

    fn clear(&mut self, ticket: claude_batch::scheduler::Ticket) {
        assert!(self.marks.remove(&ticket).is_some(), "a mark is cleared once");
    }

    fn keep(&mut self, ticket: claude_batch::scheduler::Ticket, _job: JobId) {
        self.clear(ticket);
    }

    fn write_outcome(
        &mut self,
        line: u64,
        ticket: claude_batch::scheduler::Ticket,
        outcome: &claude_batch::domain::Outcome,
    ) {
        let marked = self.marks.remove(&ticket);
        assert_eq!(marked.as_deref(), Some(&*outcome.job.custom_id), "a row is marked before it is sent");
        self.attempts += outcome.attempts.len();
        let label = outcome.job.custom_id.clone();
        match &outcome.ended {
            claude_batch::domain::Ended::Succeeded(_) => {
                let [first, .., last] =
                    [outcome.attempts.first(), outcome.attempts.last()].map(|own| own.expect("it was sent"));
                let latency = last.ended_at.since(first.started_at);
                self.used.push((outcome.job.id.0, outcome.usage(), latency));
                self.answered.push(label);
            }
            claude_batch::domain::Ended::Failed { class, .. } => self.failed.push((label, *class)),
        }
        self.commit(line);
    }

    fn write_unsent(&mut self, line: u64, outcome: &claude_batch::domain::Outcome) {
        let label = outcome.job.custom_id.clone();
        match &outcome.ended {
            claude_batch::domain::Ended::Succeeded(_) => self.answered.push(label),
            claude_batch::domain::Ended::Failed { class, .. } => self.failed.push((label, *class)),
        }
        self.commit(line);
    }

    fn write_step(
        &mut self,
        line: u64,
        ticket: Option<claude_batch::scheduler::Ticket>,
        _step: &claude_batch::domain::Outcome,
        _purpose: Purpose,
    ) {
        if let Some(ticket) = ticket {
            self.clear(ticket);
        }
        self.commit(line);
    }

    fn write_rejected(&mut self, line: u64, rejected: &claude_batch::plan::Rejected) {
        self.failed.push((rejected.custom_id.clone(), rejected.class));
        self.commit(line);
    }

    fn write_broken(&mut self, line: u64, broken: &claude_batch::source::BrokenRow) {
        let label = broken.custom_id.clone().unwrap_or_default();
        self.failed.push((label, claude_batch::domain::ErrorClass::InvalidInput));
        self.commit(line);
    }

    fn write_taken(&mut self, line: u64, taken: &claude_batch::domain::Taken) {
        self.answered.push(taken.job.custom_id.clone());
        self.commit(line);
    }

    fn on_committed(&mut self, _line: u64) {}

    fn backlog_bytes(&self) -> usize {
        0
    }

    fn flush(&mut self) -> Result<(), claude_batch::domain::WriteFault> {
        Ok(())
    }
}

/// A reporter that counts the events of a run.
#[derive(Clone, Default)]
pub struct Counts(pub Arc<Mutex<CountsInside>>);

/// The counts that [`Counts`] keeps.
#[derive(Default)]
pub struct CountsInside {
    /// The number of requests that were sent.
    pub sent: u64,
    /// The number of failed attempts that the run will retry.
    pub retried: u64,
    /// The number of attempts with status 429 that the run will retry.
    pub limited: u64,
    /// The duration of the run, and the share of each reason for waiting. The run reports these values at its end.
    pub ended: Option<(std::time::Duration, Vec<(claude_batch::domain::Reason, f64)>)>,
    /// Warnings.
    pub warnings: Vec<String>,
    /// The outages that were reported; `None` means that an outage ended.
    pub outages: Vec<Option<claude_batch::domain::Outage>>,
    /// A report; all events that are counted here are also passed to this report.
    pub report: Option<claude_batch::report::Report>,
}

/// Bytes that a report has written.
#[derive(Clone, Default)]
pub struct Written(pub Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panics while writing").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Counts {
    /// Returns a reporter that also writes the events as `--progress json` does. Also returns the buffer that gets the
    /// written bytes.
    pub fn writing_json() -> (Self, Written) {
        let written = Written::default();
        let report = claude_batch::report::open(claude_batch::report::ViewOptions {
            kind: claude_batch::report::ProgressKind::Json,
            verbosity: claude_batch::report::Verbosity::Normal,
            is_terminal: false,
            is_colored: false,
            columns: None,
            writer: Box::new(written.clone()),
        });
        let inside = CountsInside { report: Some(report), ..CountsInside::default() };
        (Self(Arc::new(Mutex::new(inside))), written)
    }
}

impl claude_batch::report::Reporter for Counts {
    fn on_event(&mut self, event: &claude_batch::domain::RunEvent) {
        use claude_batch::domain::EventBody;
        let mut inside = self.0.lock().expect("nobody panics while counting");
        if let Some(report) = &mut inside.report {
            report.on_event(event);
        }
        match &event.body {
            EventBody::Sent { .. } => inside.sent += 1,
            EventBody::Retried { limit, .. } => {
                inside.retried += 1;
                inside.limited += u64::from(limit.is_some());
            }
            EventBody::Warned(text) => inside.warnings.push(text.clone()),
            EventBody::Outage(outage) => inside.outages.push(outage.as_deref().cloned()),
            EventBody::Ended { elapsed, reasons, .. } => inside.ended = Some((*elapsed, reasons.clone())),
            _ => {}
        }
    }
}
