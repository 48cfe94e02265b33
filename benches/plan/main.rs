//! Measures how exact plans are: makes plans of 24 workloads, runs the workloads in virtual time, and compares the
//! plans with the runs.
//!
//! `cargo bench --bench plan` prints the table of results and writes `benches/PLAN.md`. These arguments are possible
//! after `--`:
//!
//! - `seeds=N` measures only the workloads of the first N seeds. The page is not written.
//! - `from=N` begins with seed N. The page is not written.

#[path = "../../tests/support/mod.rs"]
mod support;

use std::fmt::Write;
use std::sync::Mutex;
use std::time::Duration;

use claude_batch::domain::{Interval, Money};
use claude_batch::forecast::Forecast;
use support::workload::{Known, Truth, Workload, width};

const SEEDS: u64 = 24;
const THREADS: usize = 2;
/// The largest number of rows in a workload.
const MOST_ROWS: usize = 60_000;

/// The thresholds for the results of all plans together.
const LEAST_HELD: usize = 22;
const LEAST_CLOSE: usize = 20;
const LEAST_HELD_BLIND: usize = 20;
const WIDEST: f64 = 0.15;
const CLOSE: f64 = 0.10;

struct Judged {
    seed: u64,
    words: String,
    truth: Truth,
    with_answers: Forecast,
    blind: Forecast,
}

fn main() {
    let number = |name: &str| std::env::args().find_map(|word| word.strip_prefix(name)?.parse::<u64>().ok());
    let (seeds, from) = (number("seeds="), number("from="));
    let first = from.unwrap_or(1);
    let judged = judge(first..first + seeds.unwrap_or(SEEDS));
    let (table, summary, holds) = page(&judged);
    print!("{table}\n{summary}");
    if seeds.is_none() && from.is_none() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/PLAN.md");
        std::fs::write(&page, format!("{HEAD}{summary}\n{table}")).expect("the page can be written");
    }
    if !holds {
        std::process::exit(1);
    }
}

fn judge(seeds: std::ops::Range<u64>) -> Vec<Judged> {
    let next = Mutex::new(seeds);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let Some(seed) = next.lock().expect("no thread panics while it counts").next() else { break };
                    let workload = Workload::new(seed, MOST_ROWS);
                    let (with_answers, blind) = (workload.plan(Known::Answers), workload.plan(Known::Nothing));
                    let judged =
                        Judged { seed, words: workload.words.clone(), truth: workload.truth(), with_answers, blind };
                    done.lock().expect("no thread panics while it adds").push(judged);
                }
            });
        }
    });
    let mut judged = done.into_inner().expect("every thread has ended");
    judged.sort_by_key(|judged| judged.seed);
    judged
}

/// Returns the table, the summary, and whether the plans meet every requirement.
fn page(judged: &[Judged]) -> (String, String, bool) {
    let mut table = String::from(
        "| | workload | cost | plan | width | | time | plan | middle | | cost, blind | | time, blind | |\n\
         |---:|---|---:|---|---:|---|---:|---|---:|---|---|---|---|---|\n",
    );
    let mut count = [0_usize; 6];
    for one in judged {
        let (cost, time) = (one.truth.cost, one.truth.time);
        let of = |forecast: &Forecast| (forecast.totals.cost.expect("all models have prices"), forecast.time.time);
        let ((plan_cost, plan_time), (blind_cost, blind_time)) = (of(&one.with_answers), of(&one.blind));
        let cost_width = width(plan_cost.map(Money::dollars));
        let middle = (plan_time.low + plan_time.high).as_secs_f64() / 2.0 / time.as_secs_f64() - 1.0;
        let likely = plan_time.likely.as_secs_f64() / time.as_secs_f64() - 1.0;
        let is_close = middle.abs() <= CLOSE && likely.abs() <= CLOSE;
        let holds = [
            plan_cost.contains(cost),
            cost_width <= WIDEST + 1e-9,
            plan_time.contains(time),
            is_close,
            blind_cost.contains(cost),
            blind_time.contains(time),
        ];
        holds.iter().zip(&mut count).for_each(|(holds, count)| *count += usize::from(*holds));
        let said = |holds: bool| if holds { "holds" } else { "**misses**" };
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | ±{:.1} % | {} | {} | {} | {:+.1} % ({:+.1} %) | {} | {} | {} | {} | {} |",
            one.seed,
            one.words,
            dollars(cost),
            money(plan_cost),
            100.0 * cost_width,
            said(holds[0] && holds[1]),
            seconds(time),
            span(plan_time),
            100.0 * middle,
            100.0 * likely,
            if holds[2] { said(holds[3]) } else { "**misses**" },
            money(blind_cost),
            said(holds[4]),
            span(blind_time),
            said(holds[5]),
        );
    }
    let all = judged.len();
    let bars = [LEAST_HELD, LEAST_HELD, LEAST_HELD, LEAST_CLOSE, LEAST_HELD_BLIND, LEAST_HELD_BLIND];
    let what = [
        "with answers and counts, the cost interval contains the real value",
        "the cost interval is no wider than ±15 %",
        "with answers and counts, the time interval contains the real value",
        "the middle and the likely value of the time interval are within 10 % of the truth",
        "without answers and key, the cost interval contains the real value",
        "without answers and key, the time interval contains the real value",
    ];
    let mut summary = String::from("| | of all | bar |\n|---|---:|---:|\n");
    for ((what, count), bar) in what.iter().zip(count).zip(bars) {
        let _ = writeln!(summary, "| {what} | {count} of {all} | {bar} of {SEEDS} |");
    }
    let holds = all < SEEDS as usize || count.iter().zip(bars).all(|(count, bar)| *count >= bar);
    (table, summary, holds)
}

fn dollars(amount: Money) -> String {
    format!("${:.3}", amount.dollars())
}

fn money(amount: Interval<Money>) -> String {
    let Interval { low, likely, high } = amount.map(dollars);
    format!("{likely} ({low} to {high})")
}

fn seconds(span: Duration) -> String {
    format!("{:.0} s", span.as_secs_f64())
}

fn span(time: Interval<Duration>) -> String {
    let Interval { low, likely, high } = time.map(seconds);
    format!("{likely} ({low} to {high})")
}

const HEAD: &str = "\
# How accurate a plan is

`cargo bench --bench plan` writes this page. Each of the 24 workloads has random rows (language, length, tools, models,
tier) and a random server. The plan knows the rows and the tier, but not the lengths of the answers. The plan also does
not know four properties of the server: how it counts tokens, how large its burst is, how fast it answers, and how it
estimates the input of a call that begins. To find the real cost and time, the real loop and scheduler run all rows on
virtual time against the simulated API. The real cost is what the server charged.

The plan is made twice. The first plan knows the answers to the first 50 rows and the token counts of 50 random rows.
The second plan is *blind*: it knows no answers and no token counts. *Width* is half of the interval's width, divided by
its likely value. *Middle* is the error of the middle of the time interval. The number in brackets is the error of the
likely value of the time interval.

";
