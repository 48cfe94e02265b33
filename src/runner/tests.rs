//! Tests the loop while no lines are written, because the disk hangs or nobody reads standard output.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::lines::{BACKLOG_BYTES, UNSYNCED_BYTES};
use super::*;
use crate::clock::RunClock;
use crate::domain::{
    ErrorClass, Identity, Job, JobId, JobKey, Origin, Outcome, Params, RateLimits, Request, Taken, WriteFault,
};
use crate::plan::Rejected;
use crate::provider::anthropic::Anthropic;
use crate::provider::{ReplyHead, WireRequest};
use crate::report::Stats;
use crate::scheduler::tests::{config, long};
use crate::scheduler::{Scheduler, Ticket};
use crate::source::BrokenRow;
use crate::transport::{Exchange, Transport, WireError};

const ROWS: u64 = 300;
const BYTES: usize = 200_000;
const WINDOW: usize = 10;

#[tokio::test(start_paused = true)]
async fn rows_kept_until_their_lines_are_on_disk_are_bounded_by_their_bytes() {
    let row = long("one", BYTES);
    let (written, finish, stats) = whole(|| Incoming::Planned(row.clone()), 1_000).await;

    let most = UNSYNCED_BYTES / BYTES + WINDOW + 1;
    assert!(written as usize <= most, "{written} lines of {most}, while none reached the disk");
    assert_eq!((stats.succeeded_total(), finish.pending), (ROWS, 0));
}

#[tokio::test(start_paused = true)]
async fn lines_of_rejected_rows_are_bounded_by_their_bytes() {
    let request = long("one", BYTES).job.request;
    let (written, _, stats) = whole(|| Incoming::Rejected(Box::new(rejected(request.clone()))), BYTES).await;

    let most = BACKLOG_BYTES / BYTES + 1;
    assert!(written as usize <= most, "{written} lines of {most}, while none reached the disk");
    assert_eq!(stats.failed_total(), ROWS);
}

/// Runs rows whose lines have the length `line_bytes`. In the first minute of the run, no line is reported as on disk.
/// After the first minute, every line is reported as on disk. Returns how many lines the run wrote in the first minute,
/// and how the run ended.
async fn whole(mut row: impl FnMut() -> Incoming, line_bytes: usize) -> (u64, Finish, Stats) {
    let (commits_in, commits) = mpsc::unbounded_channel();
    let (feed_in, feed) = mpsc::channel(ROWS as usize);
    let (_interrupts_in, interrupts) = mpsc::channel(1);
    for _ in 0..ROWS {
        feed_in.try_send(row()).expect("the channel has room for all");
    }
    drop(feed_in);
    let written = Arc::new(AtomicU64::new(0));
    let ledger = Stalled { written: written.clone(), taken: 0, line_bytes };
    let run = tokio::spawn(drive(Parts {
        routes: Routes::single(
            Arc::new(Answers),
            Arc::new(Anthropic::new("2023-06-01", &[], http::HeaderMap::new()).expect("a provider")),
        ),
        scheduler: Scheduler::new(config(RateLimits::NONE, WINDOW)),
        ledger,
        commits,
        feed,
        lane: None,
        unfinished: Default::default(),
        equal: None,
        interrupts,
        reporter: Stats::default(),
        clock: RunClock::start_at(jiff::Timestamp::UNIX_EPOCH),
        run: "test".into(),
        grace: None,
        keep_pending: true,
    }));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let while_stalled = written.load(Ordering::Relaxed);
    while !run.is_finished() {
        // The result is ignored, because the run may have ended already.
        let _ = commits_in.send(Commit::UpTo(written.load(Ordering::Relaxed)));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let (finish, _, stats) = run.await.expect("it does not panic");
    (while_stalled, finish, stats)
}

fn rejected(request: Request) -> Rejected {
    Rejected {
        custom_id: "row".to_owned(),
        origin: Origin { source: "test".into(), line: 1 },
        index: 0,
        key: JobKey([0; 16]),
        identity: Identity::Named,
        request,
        extra: Params::default(),
        class: ErrorClass::InvalidInput,
        message: "too much of it".to_owned(),
    }
}

/// A ledger whose lines reach the disk only when the test allows it.
struct Stalled {
    written: Arc<AtomicU64>,
    taken: u64,
    line_bytes: usize,
}

impl Ledger for Stalled {
    fn mark(&mut self, _ticket: Ticket, _job: &Job, _at_most: crate::domain::Money) -> Result<(), WriteFault> {
        Ok(())
    }

    fn clear(&mut self, _ticket: Ticket) {}

    fn keep(&mut self, _ticket: Ticket, _job: JobId) {}

    fn write_outcome(&mut self, seq: u64, _ticket: Ticket, _outcome: &Outcome) {
        self.written.store(seq, Ordering::Relaxed);
    }

    fn write_unsent(&mut self, seq: u64, _outcome: &Outcome) {
        self.written.store(seq, Ordering::Relaxed);
    }

    fn write_step(&mut self, seq: u64, _ticket: Option<Ticket>, _step: &Outcome, _purpose: crate::domain::Purpose) {
        self.written.store(seq, Ordering::Relaxed);
    }

    fn write_rejected(&mut self, seq: u64, _rejected: &Rejected) {
        self.written.store(seq, Ordering::Relaxed);
    }

    fn write_broken(&mut self, seq: u64, _broken: &BrokenRow) {
        self.written.store(seq, Ordering::Relaxed);
    }

    fn write_taken(&mut self, seq: u64, _taken: &Taken) {
        self.written.store(seq, Ordering::Relaxed);
    }

    fn on_committed(&mut self, seq: u64) {
        self.taken = seq;
    }

    fn backlog_bytes(&self) -> usize {
        (self.written.load(Ordering::Relaxed) - self.taken) as usize * self.line_bytes
    }

    fn flush(&mut self) -> Result<(), WriteFault> {
        Ok(())
    }
}

/// A server that answers immediately.
struct Answers;

struct Answer {
    head: ReplyHead,
    body: Option<Bytes>,
}

impl Transport for Answers {
    type Exchange = Answer;

    async fn send(&self, _request: WireRequest) -> Result<Answer, WireError> {
        let body = br#"{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;
        let json = (http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        let head = ReplyHead { status: 200, headers: http::HeaderMap::from_iter([json]) };
        Ok(Answer { head, body: Some(Bytes::from_static(body)) })
    }
}

impl Exchange for Answer {
    fn head(&self) -> &ReplyHead {
        &self.head
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, WireError> {
        Ok(self.body.take())
    }
}
