//! Tests `--lane auto --deadline`. Rows stay in batches as long as possible, and every row is answered in time.

use std::time::Duration;

use claude_batch::batches::Demand;
use claude_batch::clock::Instant;
use claude_batch::domain::{Caching, LaneChoice, Level, MarkPlace, Money, Planned, PrefixId, Prefixes, RateLimits};
use claude_batch::sim::config::{BatchConfig, BatchTime};

use crate::judge::log;
use crate::page::{Seen, Size};
use crate::seen::Kill;
use crate::world::{NO_FAULTS, Run, play, play_under, row};

/// A random case: the rows, the limits, the deadline and the speed of batches. In a third of the cases, batches end
/// long before the deadline. In another third of the cases, batches end around the deadline. In the last third of the
/// cases, batches never end.
#[derive(Debug)]
struct Case {
    rows: u64,
    rpm: u32,
    deadline: Duration,
    /// The time that batches take.
    time: BatchTime,
    /// The time from the cancellation of a batch to its end.
    cancel: Duration,
}

/// The result of a case. The unit of money is the price of one row that is answered online.
#[derive(Debug)]
pub struct Played {
    /// The time from the end of the run to the deadline, in seconds; negative if the run missed the deadline.
    pub left: f64,
    /// The cost of the run, divided by the cost of the cheapest way to meet the deadline.
    pub cost: f64,
    /// The number of rows that were answered online.
    pub online: u64,
}

fn case(seed: u64) -> Case {
    let mut random = fastrand::Rng::with_seed(seed);
    let rows = random.u64(400..1_500);
    let rpm = random.u32(60..400);
    let online = Duration::from_secs_f64(60.0 * rows as f64 / f64::from(rpm));
    let deadline = online.mul_f64(1.3 + 3.0 * random.f64()) + Duration::from_secs(480);
    let time = match seed % 3 {
        0 => BatchTime::Between(deadline / 20, deadline / 4),
        1 => BatchTime::Between(deadline / 3, deadline * 2),
        _ => BatchTime::Stuck,
    };
    Case { rows, rpm, deadline, time, cancel: Duration::from_secs(random.u64(1..60)) }
}

/// Runs a case to its end. Checks that each row is answered, and that nothing is paid twice.
pub fn play_case(seed: u64) -> Played {
    let least = cheapest(seed);
    let Case { rows, rpm, deadline, time, cancel } = case(seed);
    let limits = RateLimits::new(rpm, 100_000_000, 100_000_000);
    let batches = BatchConfig { time, cancel_time: cancel, ..BatchConfig::default() };
    play_under(NO_FAULTS, batches, limits, async |world| {
        let mut unread = Demand::default();
        (0..rows).for_each(|number| unread.add(&row(number).ask));
        let run = Run { deadline: Some(deadline), unread, limits, ..run(LaneChoice::Auto, rows) };
        let before = world.now();

        let ended = world.run(&run).await;

        let took = world.now().since(before);
        let model = world.api();
        let books = model.books();
        assert_eq!((ended.finish().halted.as_ref(), ended.finish().pending), (None, 0), "seed {seed}");
        assert_eq!((books.billed_calls, books.billed_again), (rows, 0), "seed {seed}: each row is paid once");
        let online = books.billed_calls - books.batches.succeeded;
        let money = (rows + online) as f64 / 2.0;
        Played { left: deadline.as_secs_f64() - took.as_secs_f64(), cost: money / least, online }
    })
}

fn run(lane: LaneChoice, rows: u64) -> Run {
    Run { lane, batch_rows: 100, window: 200, ..Run::of(0..rows) }
}

/// Returns the cost of the cheapest way to meet the deadline. To reach this cost, a client must know in advance how
/// fast each batch is. At the last possible moment, the client cancels the batches that are too slow, the slowest
/// first. The client always uses the whole rate limit for online requests. One row is always sent online, because the
/// run first checks that the API accepts a row.
fn cheapest(seed: u64) -> f64 {
    let Case { rows, rpm, deadline, time, cancel } = case(seed);
    let batches = BatchConfig { time, cancel_time: cancel, ..BatchConfig::default() };
    // For each batch: the number of its rows, and how many of these rows are answered by the deadline.
    let answered = play(NO_FAULTS, batches, async |world| {
        let before = world.now();
        world.run(&Run { detach: true, ..run(LaneChoice::Batch, rows) }).await;
        world.wait(deadline - world.now().since(before)).await;
        let ids: Vec<String> = world.api().batches(world.now()).map(|batch| batch.id().to_owned()).collect();
        for id in ids {
            world.call(http::Method::POST, &format!("/{id}/cancel"), "");
        }
        let now = world.now();
        let mut model = world.api();
        let counted = model.batches(now).map(|batch| {
            let billed = batch.requests().filter(|request| request.billed > Money::ZERO).count();
            (batch.requests().count() as f64, billed as f64)
        });
        counted.collect::<Vec<_>>()
    });
    let mut late: Vec<(f64, f64)> = answered.into_iter().filter(|(rows, done)| done < rows).collect();
    late.sort_by(|one, other| (other.1 / other.0).total_cmp(&(one.1 / one.0)));
    let (per_second, cancel) = (f64::from(rpm) / 60.0, cancel.as_secs_f64());
    let (mut end, mut online) = (deadline.as_secs_f64(), 1.0);
    for (rows, done) in late {
        // Until the batch is cancelled, its rows are answered at a constant rate. The cancellation takes the time
        // `cancel`. After that, the unanswered rows of the batch can be sent online.
        let slope = done / deadline.as_secs_f64();
        let begin = (per_second * end - rows - slope * cancel) / (per_second - slope);
        online += per_second * (end - begin);
        end = begin;
    }
    (rows as f64 + online) / 2.0
}

/// No run can meet this deadline. The run says that it can't meet the deadline, and uses batches and online requests to
/// end as early as possible.
pub fn too_early() {
    let limits = RateLimits::new(60, 100_000_000, 100_000_000);
    let time = BatchTime::Fixed(Duration::from_secs(900));
    play_under(NO_FAULTS, BatchConfig { time, ..BatchConfig::default() }, limits, async |world| {
        let mut unread = Demand::default();
        (0..1_500).for_each(|number| unread.add(&row(number).ask));
        let deadline = Some(Duration::from_secs(600));
        let run = Run { deadline, unread, limits, ..run(LaneChoice::Auto, 1_500) };
        let before = world.now();

        let ended = world.run(&run).await;

        let took = world.now().since(before);
        let model = world.api();
        let books = model.books();
        assert!(ended.says("can't be met"), "{:?}", ended.said);
        assert_eq!((books.billed_calls, books.billed_again), (1_500, 0));
        assert!(books.batches.succeeded > 300 && books.billed_calls - books.batches.succeeded > 300);
        // With online requests alone, the rows need 25 minutes.
        assert!(took < Duration::from_secs(1_200), "{took:?}");
    });
}

/// A run notes that it will cancel a batch, and dies before it sends the cancellation to the API. The next run cancels
/// the batch in time.
pub fn a_death_before_a_cancellation() {
    let batches =
        || BatchConfig { time: BatchTime::Stuck, expiry: Duration::from_secs(7_200), ..BatchConfig::default() };
    let deadline = Duration::from_secs(900);
    let of = |kill, left, rows| {
        let mut unread = Demand::default();
        (0..rows).for_each(|number| unread.add(&row(number).ask));
        Run { deadline: Some(left), unread, kill, lane: LaneChoice::Auto, batch_rows: 100, ..Run::of(0..41) }
    };
    let mut tried = 0;
    for call in 0..40 {
        play(NO_FAULTS, batches(), async |world| {
            let dead = world.run(&of(Kill::Before(call), deadline, 41)).await;
            let is_noted = log(world).last().is_some_and(|record| record["type"] == "canceling");
            if dead.finish.is_some() || !is_noted {
                return;
            }
            tried += 1;

            let took = world.now().since(Instant::ZERO);
            let ended = world.run(&of(Kill::Never, deadline - took, 0)).await;

            assert!(ended.finish().halted.is_none(), "{ended:?}");
            assert!(world.now().since(Instant::ZERO) < deadline, "the deadline is missed: {ended:?}");
        });
    }
    assert!(tried > 0);
}

/// The survey of the input also counts rows that copy the answers of other rows. Rows that copy an answer are never
/// sent. The run must cancel batches in time, although the survey counts too many rows.
pub fn rows_that_are_never_sent() {
    let batches = BatchConfig { time: BatchTime::Stuck, expiry: Duration::from_secs(7_200), ..BatchConfig::default() };
    play(NO_FAULTS, batches, async |world| {
        let mut unread = Demand::default();
        (0..100).for_each(|number| unread.add(&row(number).ask));
        let deadline = Duration::from_secs(900);
        let run = Run { deadline: Some(deadline), unread, lane: LaneChoice::Auto, batch_rows: 100, ..Run::of(0..41) };

        let ended = world.run(&run).await;

        assert!(ended.finish().halted.is_none(), "{ended:?}");
        assert!(world.now().since(Instant::ZERO) < deadline, "the deadline is missed: {ended:?}");
    });
}

/// Runs this loop. Returns the results as lines for `benches/BATCHES.md`.
pub fn page(size: Size) -> Vec<Seen> {
    let seeds = size.pick(9, 50);
    let played: Vec<Played> = (0..seeds).map(play_case).collect();
    let missed = played.iter().filter(|played| played.left < 0.0).count();
    let dearest = played.iter().map(|played| played.cost).fold(0.0, f64::max);
    let mean = played.iter().map(|played| played.cost).sum::<f64>() / played.len() as f64;
    assert!(missed == 0 && dearest <= 1.05, "{missed} missed, dearest {dearest}");
    too_early();
    vec![Seen::new(
        "`--lane auto --deadline`: batches that are fast, slow and stuck, deadlines of 10 to 50 minutes",
        "the deadline is met; the cost is at most 1.05 times the cost of the cheapest way to meet it; nothing is paid \
         twice",
        format!("{seeds} cases: all met; cost {mean:.3} of the cheapest way on average, {dearest:.3} at most"),
    )]
}

/// All rows share a long prefix. The row that tests whether the API accepts its kind is sent online alone, so nobody
/// would read what the row writes to the prompt cache: it gets no cache mark. If a deadline makes the run send all rows
/// online, the first row writes the prefix, and the others read it.
pub fn cache_marks() {
    const ROWS: u64 = 40;
    fn with_prefix(number: u64) -> Planned {
        let mut planned = row(number);
        let system = format!("{:?}", "Read the text with care. ".repeat(2_000));
        crate::support::ask(&mut planned, "system", system.clone());
        let json = String::from_utf8(planned.ask.request.json().to_vec()).expect("it is text");
        let start = json.find(&system).expect("the request has it");
        let place = MarkPlace::Text { start: start as u32, end: (start + system.len()) as u32 };
        let level = Level { id: PrefixId(1), tokens: 10_000, place, lifetime: Caching::FiveMinutes };
        let prefixes = Prefixes { levels: vec![level], least_tokens: 4_096, extra_most: [Money::ZERO; 2] };
        planned.ask.prefixes = Some(prefixes.into());
        planned
    }
    let minute = Duration::from_secs(60);
    for (lane, deadline, writes, reads) in
        [(LaneChoice::Batch, None, 0, 0), (LaneChoice::Auto, None, 0, 0), (LaneChoice::Auto, Some(minute), 1, ROWS - 1)]
    {
        let time = BatchTime::Fixed(if deadline.is_some() { 10 * minute } else { minute });
        play(NO_FAULTS, BatchConfig { time, ..BatchConfig::default() }, async |world| {
            world.row = with_prefix;
            let mut unread = Demand::default();
            (0..ROWS).for_each(|number| unread.add(&with_prefix(number).ask));

            let ended = world.run(&Run { lane, deadline, unread, window: 16, ..Run::of(0..ROWS) }).await;

            let model = world.api();
            let books = model.books();
            let what = format!("{lane:?} {deadline:?}: {ended:?} {:?}", books.billed);
            assert_eq!((ended.finish().pending, books.billed_calls), (0, ROWS), "{what}");
            assert_eq!((books.cache_writes, books.cache_reads), (writes, reads), "{what}");
        });
    }
}
