//! Tests random sequences of commands and events. The sequences contain runs in all lanes (online, batch, auto),
//! resumes, cancellations, deletions by other clients, changes of the input, and waits. A run can end, leave its
//! batches open, be interrupted or die. After each command, the judge checks the records of the API. At the end, each
//! row has exactly one line.

use std::time::Duration;

use claude_batch::domain::{HaltReason, LaneChoice, Money};
use claude_batch::journal::Start;
use claude_batch::sim::config::{BatchConfig, BatchTime};

use crate::judge::{Verdict, answers, assert_complete, assert_within, log, open_chunks, submissions, verdict};
use crate::page::{Seen, Size};
use crate::seen::Kill;
use crate::support::ERRORS;
use crate::world::{MOST_IN_BATCH, Run, World, labels, play, row};

/// The largest number of rows of an input.
const ROWS: u64 = 40;

/// The counts of what happened in the sequences.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sequences {
    pub sequences: u64,
    pub commands: u64,
    pub deaths: u64,
    pub batches: u64,
    pub billed_again: u64,
    pub told: u64,
}

/// Plays a sequence of commands for each seed.
pub fn sequences(seeds: std::ops::Range<u64>) -> Sequences {
    let mut all = Sequences::default();
    for seed in seeds {
        let one = std::panic::catch_unwind(|| sequence(seed)).unwrap_or_else(|panic| {
            eprintln!("the sequence of seed {seed} fails");
            std::panic::resume_unwind(panic)
        });
        all.sequences += 1;
        all.commands += one.commands;
        all.deaths += one.deaths;
        all.batches += one.batches;
        all.billed_again += one.billed_again;
        all.told += one.told;
    }
    all
}

/// Returns random faults of the API, for one sequence of commands.
fn faults(random: &mut fastrand::Rng) -> String {
    const RULES: [&str; 11] = [
        r#"{"kind":"reset_before","calls":"create","takes_effect":true,"share":0.2,"draw":"attempt"}"#,
        r#"{"kind":"reset_before","calls":"create","share":0.15,"draw":"attempt"}"#,
        r#"{"status":500,"calls":"create","share":0.2,"draw":"attempt"}"#,
        r#"{"status":529,"calls":["list","retrieve"],"share":0.2,"draw":"attempt"}"#,
        r#"{"status":404,"calls":["retrieve","results"],"within":"8s"}"#,
        r#"{"kind":"reset_mid","calls":"results","bytes":3000,"share":0.3,"draw":"attempt"}"#,
        r#"{"kind":"unlisted","within":"10s"}"#,
        r#"{"kind":"request_errored","share":0.1,"first_attempts_only":true}"#,
        r#"{"kind":"request_errored","type":"invalid_request_error","share":0.1,"first_attempts_only":true}"#,
        r#"{"kind":"request_expired","share":0.04,"first_attempts_only":true}"#,
        r#"{"kind":"result_missing","share":0.03,"first_attempts_only":true}"#,
    ];
    let rules: Vec<&str> = RULES.into_iter().filter(|_| random.u8(0..3) == 0).collect();
    format!(r#"{{"seed":{},"rules":[{}]}}"#, random.u32(..), rules.join(","))
}

fn sequence(seed: u64) -> Sequences {
    let mut random = fastrand::Rng::with_seed(seed);
    let time = BatchTime::Between(Duration::from_secs(1), Duration::from_secs(random.u64(2..12)));
    let batches = BatchConfig { time, expiry: Duration::from_secs(20), ..BatchConfig::default() };
    let faults = faults(&mut random);
    play(&faults, batches, async |world| {
        let mut game = Game::new(seed, random);
        for _ in 0..game.random.u64(3..9) {
            game.command(world).await;
        }
        game.end(world).await
    })
}

struct Game {
    random: fastrand::Rng,
    what: String,
    /// The rows of the input.
    rows: Vec<u64>,
    next_row: u64,
    batch_rows: u32,
    deletes: bool,
    max_cost: Option<Money>,
    done: Sequences,
}

impl Game {
    fn new(seed: u64, mut random: fastrand::Rng) -> Self {
        let next_row = random.u64(2..ROWS);
        let batch_rows = random.u32(1..16);
        // One sequence in four has a budget. The budget is enough for a part of the rows.
        let max_cost = (random.u8(0..4) == 0).then(|| Money(MOST_IN_BATCH.0 * random.u128(5..30)));
        let what = format!("seed {seed}");
        let (rows, deletes, done) = ((0..next_row).collect(), random.u8(0..4) == 0, Sequences::default());
        Self { random, what, rows, next_row, batch_rows, deletes, max_cost, done }
    }

    async fn command(&mut self, world: &mut World) {
        match self.random.u8(0..20) {
            0..=8 => self.run(world, Start::Continue).await,
            9..=11 => self.run(world, Start::Resume).await,
            12 | 13 => self.cancel(world),
            // If a batch was deleted, the next run keeps looking for this batch for ten minutes. So batches are deleted
            // in only one of four sequences.
            14 if self.deletes => self.delete(world),
            15 => self.change_input(),
            16 => {
                self.what += ", foreign";
                world.foreign(self.batch_rows as usize, &[Duration::from_secs(self.random.u64(0..5))]);
            }
            _ => {
                let waits = [5, 60, 3_600, 26 * 3_600, 3 * 24 * 3_600, 30 * 24 * 3_600];
                // Short waits are more frequent than long waits.
                let most = self.random.usize(1..=waits.len());
                let wait = waits[self.random.usize(0..most)];
                self.what += &format!(", wait {wait}");
                world.wait(Duration::from_secs(wait)).await;
            }
        }
        self.done.commands += 1;
        verdict(world, &self.what);
        if let Some(most) = self.max_cost {
            assert_within(world, most, &self.what);
        }
    }

    async fn run(&mut self, world: &mut World, start: Start) {
        let random = &mut self.random;
        let lane = [LaneChoice::Online, LaneChoice::Batch, LaneChoice::Batch, LaneChoice::Auto][random.usize(0..4)];
        let kill = match random.u8(0..10) {
            0 | 1 => Kill::After(Duration::from_millis(random.u64(0..20_000))),
            2..=4 => Kill::Change { at: random.u64(0..100), cut: random.usize(0..600) },
            5 => Kill::Before(random.u64(0..8)),
            6 => Kill::Unanswered(random.u64(0..8)),
            _ => Kill::Never,
        };
        world.power = random.bool().then(|| random.fork());
        let interrupts = (random.u8(0..6) == 0).then(|| Duration::from_millis(random.u64(0..10_000)));
        let run = Run {
            start,
            lane,
            kill,
            detach: random.u8(0..3) == 0,
            interrupts: interrupts.into_iter().collect(),
            batch_rows: self.batch_rows,
            max_cost: self.max_cost,
            max_retries: 3,
            ..Run::of(self.rows.iter().copied())
        };
        self.what += &format!(", {start:?} {lane:?} {kill:?} detach {} {interrupts:?}", run.detach);
        let ended = world.run(&run).await;
        self.done.deaths += u64::from(ended.finish.is_none());
        if let Some(finish) = &ended.finish {
            let is_known = matches!(finish.halted, None | Some(HaltReason::Budget(_) | HaltReason::Signal(_)));
            assert!(is_known, "{}: {ended:?}", self.what);
            if finish.halted.is_none() && !run.detach {
                assert!(open_chunks(world).is_empty(), "{}: batches are open after the end: {ended:?}", self.what);
            }
        }
    }

    /// Cancels a batch with the command `batches cancel`.
    fn cancel(&mut self, world: &World) {
        self.what += ", cancel";
        let open: Vec<u64> = open_chunks(world).into_iter().collect();
        let known = |chunk: u64| {
            let mut created = log(world).into_iter().filter(move |record| record["chunk"] == chunk).rev();
            let last = created.find(|record| record["type"] == "created" || record["type"] == "foreign");
            last.filter(|record| record["type"] == "created").and_then(|record| Some(record["id"].as_str()?.to_owned()))
        };
        let Some(&chunk) = open.get(self.random.usize(0..open.len().max(1))) else { return };
        let Some(id) = known(chunk) else { return };
        let path = "d/out.jsonl.batches/log.jsonl";
        let mut content = world.disk.content(path).unwrap_or_default();
        // When the command opens the log, a line that was cut off is removed.
        let whole = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        content.truncate(whole);
        content.extend_from_slice(format!("{{\"v\":1,\"type\":\"canceling\",\"chunk\":{chunk}}}\n").as_bytes());
        world.disk.put(path, &content);
        if self.random.bool() {
            world.call(http::Method::POST, &format!("/{id}/cancel"), "");
        }
    }

    /// Deletes a batch that has ended, as another client could do.
    fn delete(&mut self, world: &World) {
        let ended: Vec<String> = submissions(world)
            .into_values()
            .flatten()
            .filter(|one| one.ended.is_some() && !one.is_deleted)
            .map(|one| one.batch)
            .collect();
        if let Some(id) = ended.get(self.random.usize(0..ended.len().max(1))) {
            self.what += ", delete";
            world.call(http::Method::DELETE, &format!("/{id}"), "");
        }
    }

    fn change_input(&mut self) {
        self.what += ", change";
        if self.random.bool() {
            let more = self.random.u64(1..10);
            self.rows.extend(self.next_row..self.next_row + more);
            self.next_row += more;
        } else {
            let random = &mut self.random;
            self.rows.retain(|_| random.u8(0..5) > 0);
        }
        self.random.shuffle(&mut self.rows);
    }

    /// Runs and resumes until every row of the input is answered.
    async fn end(mut self, world: &mut World) -> Sequences {
        // Rows that were removed from the input can still be in batches or in the error log.
        let rows: Vec<u64> = (0..self.next_row).collect();
        let lane = [LaneChoice::Online, LaneChoice::Batch, LaneChoice::Auto][self.random.usize(0..3)];
        let run = |start| Run { start, lane, batch_rows: self.batch_rows, ..Run::of(rows.iter().copied()) };
        for again in 0.. {
            let ended = world.run(&run(Start::Continue)).await;
            assert!(ended.finish().halted.is_none(), "{}: the last run fails: {ended:?}", self.what);
            if labels(&world.disk, ERRORS).is_empty() {
                break;
            }
            assert!(again < 8, "{}: rows fail again and again: {:?}", self.what, labels(&world.disk, ERRORS));
            world.run(&run(Start::Resume)).await;
        }
        assert_complete(world, &rows, &answers(&rows, row), &self.what);
        let Verdict { billed_again, told, .. } = verdict(world, &self.what);
        let batches = world.api().books().batches.created;
        self.done.batches = batches;
        Sequences { billed_again, told, ..self.done }
    }
}

/// Runs this loop. Returns the results as lines for `benches/BATCHES.md`.
pub fn page(size: Size) -> Vec<Seen> {
    let Sequences { sequences, commands, deaths, batches, billed_again, told } = sequences(0..size.pick(200, 5_000));
    vec![Seen::new(
        "random sequences of commands: run in each lane, detach, kill, Ctrl-C, resume, cancel, delete, other input, time",
        "each row has one line; a row is billed or sent again only if the run reports it",
        format!(
            "{sequences} sequences, {commands} commands, {deaths} deaths, {batches} batches: the target holds; {told} \
             rows reported as possibly billed twice, {billed_again} billed twice"
        ),
    )]
}
