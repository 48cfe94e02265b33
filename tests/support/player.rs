//! Plays random runs of the scheduler alone, on virtual time. After each event, the player checks what must be true in
//! every run.
//!
//! A test implements [`World`] to say how attempts end, and what must be true in its runs. Each run is made from one
//! seed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use bytes::Bytes;
use claude_batch::clock::Instant;
use claude_batch::domain::{
    ErrorClass, Failure, HaltReason, Message, Money, Planned, Quality, RateSignals, Usage, Verdict,
};
use claude_batch::scheduler::{Config, Next, Scheduler, Step, Ticket};

/// If a run has this many events, the tests assume that the run never ends.
const MOST_EVENTS: u64 = 100_000;

/// The conditions of a run: how its attempts end, and what must be true in it.
pub trait World {
    /// Checks that the run is allowed to send this row now.
    fn on_sent(&mut self, planned: &Planned, now: Instant);

    /// Returns how an attempt for this row ends. If `row` is `None`, the attempt is a canary (a request that tests a
    /// blocked provider).
    fn verdict(&mut self, row: Option<u64>, rng: &mut fastrand::Rng, now: Instant) -> Verdict;

    /// The player calls this function when an answer to a row has begun, or when the row has ended.
    fn on_answered_or_ended(&mut self, _row: u64) {}
}

/// A run.
pub struct Player<W> {
    pub scheduler: Scheduler,
    pub rng: fastrand::Rng,
    pub world: W,
    pub now: Instant,
    /// The rows in flight.
    rows: BTreeMap<Ticket, u64>,
    /// The rows that are finished.
    pub finished: BTreeSet<u64>,
    pub pending: BTreeSet<u64>,
    /// The largest number of requests in flight at the same time, including canaries (test requests).
    pub most_in_flight: usize,
    longest: Duration,
    ends: BinaryHeap<Reverse<(Instant, u64, Ticket)>>,
    begun: u64,
}

impl<W: World> Player<W> {
    /// Returns a run without rows. An attempt takes at most `longest`.
    pub fn new(config: Config, world: W, longest: Duration, rng: fastrand::Rng) -> Self {
        Self {
            scheduler: Scheduler::new(config),
            rng,
            world,
            now: Instant::ZERO,
            rows: BTreeMap::new(),
            finished: BTreeSet::new(),
            pending: BTreeSet::new(),
            most_in_flight: 0,
            longest,
            ends: BinaryHeap::new(),
            begun: 0,
        }
    }

    /// Plays until the run has ended. With `halt_at`, a signal stops the run after `halt_at` events.
    pub fn play(&mut self, halt_at: Option<u64>) {
        let mut events = 0;
        while self.step() {
            events += 1;
            if Some(events) == halt_at {
                self.scheduler.halt(HaltReason::Signal(2));
            }
            assert!(events < MOST_EVENTS, "the run does not end");
        }
        self.take_set_aside();
        assert_eq!(self.scheduler.in_flight(), 0);
        let (limits, money) = self.scheduler.unsettled();
        assert!(limits.iter().all(|pool| *pool == [0; 3]), "reservations leak: {limits:?}");
        assert_eq!(money, Money::ZERO, "reserved money leaks");
    }

    /// Takes the next step of the run. Returns whether the run continues.
    fn step(&mut self) -> bool {
        match self.scheduler.poll(self.now) {
            Step::Dispatch { ticket, .. } => self.send(ticket),
            Step::Canary { ticket, .. } => self.begin(ticket),
            Step::Wait { until, .. } => {
                let end = self.ends.peek().map_or(Instant::NEVER, |Reverse((at, _, _))| *at);
                let next = until.min(end);
                assert!(next < Instant::NEVER, "the scheduler waits for nothing");
                assert!(next.since(self.now) <= Duration::from_secs(3600), "the scheduler waits for more than an hour");
                self.now = self.now.max(next);
                if end <= self.now {
                    self.end_first();
                }
            }
            Step::Drained => return false,
        }
        true
    }

    fn send(&mut self, ticket: Ticket) {
        self.take_set_aside();
        let planned = self.scheduler.sent(ticket);
        let row = planned.job.id.0;
        assert!(!self.has_ended(row), "row {row} has ended and is sent again");
        assert!(self.rows.values().all(|sent| *sent != row), "row {row} is in flight twice");
        self.world.on_sent(planned, self.now);
        assert!(self.rows.insert(ticket, row).is_none(), "a ticket is used twice at once");
        self.begin(ticket);
    }

    fn begin(&mut self, ticket: Ticket) {
        assert!(self.scheduler.halted().is_none(), "nothing starts after a halt");
        let took = Duration::from_millis(self.rng.u64(1..self.longest.as_millis() as u64));
        self.begun += 1;
        self.ends.push(Reverse((self.now + took, self.begun, ticket)));
        self.most_in_flight = self.most_in_flight.max(self.ends.len());
    }

    /// Ends the attempt that is due next. For half of the attempts, the response begins before the attempt ends.
    fn end_first(&mut self) {
        let Some(Reverse((_, _, ticket))) = self.ends.pop() else { return };
        let row = self.rows.remove(&ticket);
        let verdict = self.world.verdict(row, &mut self.rng, self.now);
        let Some(row) = row else {
            let next = self.scheduler.on_end(ticket, verdict, self.now);
            return assert!(matches!(next, Next::NoRow), "{next:?}");
        };
        if self.rng.bool() {
            let status = match verdict {
                Verdict::Answered(_) => 200,
                Verdict::Limited { .. } => 429,
                _ => 500,
            };
            self.scheduler.on_head(ticket, status, &RateSignals::default(), None, self.now);
            if let (Verdict::Answered(message), true) = (&verdict, self.rng.bool()) {
                self.scheduler.on_begin(ticket, &message.usage, self.now);
                self.world.on_answered_or_ended(row);
            }
        }
        match self.scheduler.on_end(ticket, verdict, self.now) {
            Next::Finished(outcome) => {
                assert_eq!(outcome.job.id.0, row);
                assert!(!outcome.attempts.is_empty());
                self.note_end(row, true);
            }
            Next::Again { .. } => assert!(self.scheduler.halted().is_none(), "no row is queued after a halt"),
            Next::More { job } => assert_eq!(job.0, row),
            Next::FollowUp { step, .. } => assert_eq!(step.job.id.0, row),
            Next::NoRow => panic!("row {row} is taken for a canary"),
            Next::Pending { planned, .. } => {
                assert_eq!(planned.job.id.0, row);
                self.note_end(row, false);
            }
        }
        self.take_set_aside();
    }

    fn take_set_aside(&mut self) {
        for planned in self.scheduler.take_set_aside() {
            self.note_end(planned.job.id.0, false);
        }
    }

    fn note_end(&mut self, row: u64, is_finished: bool) {
        assert!(!self.has_ended(row), "row {row} ends twice");
        if is_finished { &mut self.finished } else { &mut self.pending }.insert(row);
        self.world.on_answered_or_ended(row);
    }

    fn has_ended(&self, row: u64) -> bool {
        self.finished.contains(&row) || self.pending.contains(&row)
    }
}

/// Plays a run for each seed, starting at 0. If a run fails, prints the seed of the run.
pub fn for_each_seed(seeds: u64, run: impl Fn(u64) + std::panic::RefUnwindSafe) {
    for seed in 0..seeds {
        if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!("the run of seed {seed} fails");
            std::panic::resume_unwind(panic);
        }
    }
}

/// Returns an answer that used these tokens.
pub fn answer(input_tokens: u64, output_tokens: u64) -> Verdict {
    let usage = Usage { input_tokens, output_tokens, ..Usage::default() };
    Verdict::Answered(Message { json: Bytes::from_static(b"{}"), content: 0..0, usage, quality: Quality::Ok })
}

/// Returns a fault of the server.
pub fn fault(maybe_paid: bool) -> Verdict {
    let failure = Failure { status: Some(500), ..Failure::default() };
    Verdict::Transient { class: ErrorClass::Server, retry_after: None, maybe_paid, failure }
}
