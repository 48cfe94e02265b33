//! `--lane auto --deadline`, on virtual time.
use std::time::Duration;

use claude_batch::batches::Demand;
use claude_batch::domain::{LaneChoice, RateLimits};
use claude_batch::sim::config::{BatchConfig, BatchTime};

use crate::world::{NO_FAULTS, Run, play, row};

#[derive(Debug)]
pub struct Case {
    rows: u64,
    rpm: u32,
    deadline: Duration,
    time: BatchTime,
    cancel: Duration,
}

fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

pub fn case(seed: u64) -> Case {
    let mut random = fastrand::Rng::with_seed(seed);
    let rows = random.u64(400..1_500);
    let rpm = random.u32(60..400);
    let online = Duration::from_secs_f64(60.0 * rows as f64 / f64::from(rpm));
    let deadline = online.mul_f64(1.3 + 3.0 * random.f64()) + minutes(8);
    let time = match seed % 3 {
        0 => BatchTime::Between(deadline / 20, deadline / 4),
        1 => BatchTime::Between(deadline / 3, deadline * 2),
        _ => BatchTime::Stuck,
    };
    Case { rows, rpm, deadline, time, cancel: Duration::from_secs(random.u64(1..60)) }
}

pub fn play_case(seed: u64) {
    let least = least(seed);
    let Case { rows, rpm, deadline, time, cancel } = case(seed);
    let limits = RateLimits::new(rpm, 100_000_000, 100_000_000);
    let batches = BatchConfig { time, cancel_time: cancel, ..BatchConfig::default() };
    play(NO_FAULTS, batches, limits, async |world| {
        let mut unread = Demand::default();
        (0..rows).for_each(|number| unread.add(&row(number).ask));
        let run = Run {
            lane: LaneChoice::Auto,
            batch_rows: 100,
            deadline: Some(deadline),
            unread,
            limits,
            window: 200,
            ..Run::of(0..rows)
        };
        let before = world.now();
        let ended = world.run(&run).await;
        let took = world.now().since(before);
        let model = world.api();
        let books = model.books();
        let (b, billed, again) = (books.batches.succeeded, books.billed_calls, books.billed_again);
        let money = billed as f64 - b as f64 / 2.0;
        eprintln!(
            "seed {seed}: ratio {:.3} rows {rows} rpm {rpm} deadline {:.0}s took {:.0}s {} batch {b} online {} again {again} money {money} least {least} created {} {:?} {:?}",
            money / least,
            deadline.as_secs_f64(),
            took.as_secs_f64(),
            if took <= deadline { "ok" } else { "LATE" },
            billed - b,
            books.batches.created,
            seed % 3,
            ended.said
        );
        assert!(ended.finish().halted.is_none());
    });
}

/// The least that meeting the deadline costs, in prices of an online row: as somebody would do it who knows in advance
/// when each row of each batch is processed, cancels each batch at the last possible moment, the slowest first, and has
/// an online lane that always runs at its limit. Returns infinity if the online lane is too slow for that.
fn least(seed: u64) -> f64 {
    let Case { rows, rpm, deadline, time, cancel } = case(seed);
    let batches = BatchConfig { time, cancel_time: cancel, ..BatchConfig::default() };
    let left = play(NO_FAULTS, batches, RateLimits::NONE, async |world| {
        let run = Run { lane: LaneChoice::Batch, batch_rows: 100, detach: true, window: 200, ..Run::of(0..rows) };
        let before = world.now();
        world.run(&run).await;
        world.wait(deadline - world.now().since(before)).await;
        let now = world.now();
        let ids: Vec<String> = world.api().batches(now).map(|batch| batch.id().to_owned()).collect();
        for id in ids {
            world.call(http::Method::POST, &format!("/{id}/cancel"), "");
        }
        let now = world.now();
        let mut model = world.api();
        // Of each batch: its rows, and how many are processed at the deadline.
        let records = model.batches(now);
        let counted = records.map(|batch| {
            let rows = batch.requests().count();
            let done = batch.requests().filter(|row| row.billed > claude_batch::domain::Money::ZERO).count();
            (rows as f64, done as f64)
        });
        counted.collect::<Vec<_>>()
    });
    let mut late: Vec<(f64, f64)> = left.into_iter().filter(|(rows, done)| done < rows).collect();
    late.sort_by(|a, b| (b.1 / b.0).total_cmp(&(a.1 / a.0)));
    let wait = cancel.as_secs_f64();
    let (per_second, mut end, mut online) = (f64::from(rpm) / 60.0, deadline.as_secs_f64(), 1.0);
    for (rows, done) in late {
        // The batch is processed evenly, `slope` rows in a second from its start on.
        let slope = done / deadline.as_secs_f64();
        // Nothing of it is processed between the cancellation and its end, `wait` seconds later.
        let cancelled = (per_second * end - rows - slope * wait) / (per_second - slope);
        online += per_second * (end - cancelled);
        end = cancelled;
    }
    (rows as f64 + online) / 2.0
}

#[test]
fn deadlines() {
    for seed in (0..100).filter(|seed| seed % 3 == 1) {
        play_case(seed);
    }
}
