//! Tests random workloads. The workloads have many kinds of prompts, low limits and broken caches. Some prompts are
//! about as long as the shortest prefix that the model caches.

use std::time::Duration;

use claude_batch::domain::{PromptCache, RateLimits};
use claude_batch::sim::config::Burst;
use claude_batch::sim::faults::FaultPlan;

use super::case::{Case, Draft, Row, content, shuffled};
use super::cheapest::{Begins, cheapest};
use super::judge::MOST_OF_PLAIN;
use super::play::{Played, Session};

/// Models, each with the length of the shortest prefix that it caches, in tokens.
const MODELS: [(&str, u64); 6] = [
    ("claude-haiku-5-5", 512),
    ("claude-opus-5-5", 512),
    ("claude-sonnet-4-6", 1_024),
    ("claude-opus-4-8", 1_024),
    ("claude-opus-4-7", 2_048),
    ("claude-haiku-4-5", 4_096),
];

const NO_FAULTS: &str = r#"{"rules":[]}"#;
/// The largest cost with a server that loses entries, divided by the cost without a cache. The program can see only in
/// the answers whether the server has lost entries. Until an answer shows this loss, each row can cause the cost of a
/// cache write. A cache write costs 1.25 times the price of plain input.
const MOST_OF_LOST: f64 = 1.25;
/// Faults of the prompt cache, and overloads of the API.
const FAULTS: [(&str, &str); 6] = [
    ("marks are refused", r#"{"rules":[{"kind":"cache_refused"}]}"#),
    ("marks are ignored", r#"{"rules":[{"kind":"cache_ignored"}]}"#),
    ("30 % of the entries vanish", r#"{"rules":[{"kind":"cache_evicted","share":0.3,"draw":"attempt"}]}"#),
    ("all entries vanish", r#"{"rules":[{"kind":"cache_evicted"}]}"#),
    ("entries vanish after 30 s", r#"{"rules":[{"kind":"cache_evicted","after":"30s"}]}"#),
    ("10 % of the attempts are answered with 529", r#"{"rules":[{"status":529,"share":0.1,"draw":"attempt"}]}"#),
];

/// A random workload and its cost.
pub struct Random {
    /// The seed.
    pub seed: u64,
    /// The workload in words.
    pub about: String,
    /// The number of rows.
    pub rows: u64,
    /// Whether the server loses cache entries.
    pub loses_entries: bool,
    /// The cost with caching, divided by the cost without caching.
    pub of_plain: f64,
    /// The cost with caching, divided by the cost of the cheapest plan.
    pub of_cheapest: f64,
    /// The run.
    pub played: Played,
}

impl Random {
    /// Returns true if every row was answered and the cost was within the limit. If the server loses entries, each row
    /// is allowed to cost as much as a cache write of its whole prompt.
    pub fn is_bounded(&self) -> bool {
        self.holds() || (self.loses_entries && self.played.answered == self.rows && self.of_plain <= MOST_OF_LOST)
    }

    /// Returns whether every row was answered at a cost within the limit for servers that keep their entries.
    pub fn holds(&self) -> bool {
        self.played.answered == self.rows && self.of_plain <= MOST_OF_PLAIN
    }
}

/// Plays the workload of a seed. The workload has at most `most_rows` rows.
pub fn play(seed: u64, most_rows: usize) -> Random {
    let case = case(seed, most_rows);
    let best = cheapest(&case, Begins::Cold);
    let played = Session::new(&case).run(PromptCache::Auto);
    Random {
        seed,
        about: case.about.clone(),
        loses_entries: case.about.contains("vanish"),
        rows: case.rows as u64,
        of_plain: played.cost.dollars() / best.plain.dollars(),
        of_cheapest: played.cost.dollars() / best.cost.dollars(),
        played,
    }
}

/// Returns the workload of a seed.
pub fn case(seed: u64, most_rows: usize) -> Case {
    let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9) ^ 0x4341_4348);
    let models: Vec<_> = (0..random.usize(1..=2)).map(|_| MODELS[random.usize(0..MODELS.len())]).collect();
    let shape = Shape::ALL[random.usize(0..Shape::ALL.len())];
    let mut rows: Vec<Row> = Vec::new();
    let wanted = random.usize(most_rows / 4..=most_rows);
    let mut group = 0;
    while rows.len() < wanted {
        let (model, least) = models[random.usize(0..models.len())];
        let size = random.usize(1..=50).min(wanted - rows.len());
        let tokens = around(&mut random, least);
        shape.group(&mut rows, &mut random, (group, size), model, tokens);
        group += 1;
    }
    let order = random.u8(0..3);
    if order > 0 {
        rows = if order == 1 { in_turn(rows) } else { shuffled_rows(rows, seed) };
    }
    // Each row gets its number after the order of the rows is decided.
    let rows: Vec<Row> = rows.into_iter().enumerate().map(|(number, row)| numbered(row, number)).collect();
    let rpm = [2, 5, 20, 100, 1_000][random.usize(0..5)];
    let itpm = [30_000, 450_000, 5_000_000][random.usize(0..3)];
    let (fault, plan) = if random.u8(0..3) == 0 { FAULTS[random.usize(0..FAULTS.len())] } else { ("", NO_FAULTS) };
    let is_pipe = random.u8(0..3) == 0;
    let about = format!(
        "{} rows, {group} groups, {shape:?}, {}, {}, {rpm} requests and {itpm} tokens a minute, {}{}{fault}",
        rows.len(),
        models.iter().map(|(model, _)| *model).collect::<Vec<_>>().join(" + "),
        ["in groups", "in turn", "shuffled"][usize::from(order)],
        if is_pipe { "a pipe" } else { "a file" },
        if fault.is_empty() { "" } else { ", " },
    );
    let case = Case::new("k random", about, rows.len(), move |number| rows[number].clone());
    Case {
        limits: RateLimits::new(rpm, itpm, 5_000_000),
        burst: if random.bool() { Burst::Minute } else { Burst::Time(Duration::from_secs(2)) },
        output: [5, 30, 120][random.usize(0..3)],
        at_once: [None, None, Some(4), Some(100)][random.usize(0..4)],
        first_token: Duration::from_millis(random.u64(200..3_000)),
        faults: FaultPlan::parse(plan, "faults.json").expect("the plan is valid"),
        is_pipe,
        seed,
        ..case
    }
}

/// The kind of prompts that the rows of a group have.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// A system prompt, and a question for each row.
    System,
    /// All groups share one short system prompt. Each group has a document, and each row has a question.
    Nested,
    /// Each message has examples in several blocks, and then the question.
    Blocks,
    /// Each row continues the conversation of the row before it.
    Talk,
    /// All rows of a group are equal.
    Equal,
}

impl Shape {
    const ALL: [Self; 5] = [Self::System, Self::Nested, Self::Blocks, Self::Talk, Self::Equal];

    /// Adds the rows of a group, without their numbers.
    fn group(
        self,
        rows: &mut Vec<Row>,
        random: &mut fastrand::Rng,
        (group, size): (usize, usize),
        model: &'static str,
        tokens: u64,
    ) {
        let question = random.u64(5..300);
        for at in 0..size {
            let own = content(2, group * 1_000 + at);
            let draft = Draft::new(0).model(model);
            let draft = match self {
                Self::System => draft.system(content(1, group), tokens).user(own, question),
                Self::Nested => {
                    let outer = 300.min(tokens / 2);
                    let blocks = [(content(3, group), tokens - outer), (own, question)];
                    draft.system(content(1, 0), outer).message("user", &blocks)
                }
                Self::Blocks => {
                    let parts = 6;
                    let mut blocks: Vec<_> =
                        (0..parts).map(|part| (content(4, group * 10 + part), tokens / parts as u64)).collect();
                    blocks.push((own, question));
                    draft.message("user", &blocks)
                }
                Self::Talk => {
                    let mut draft = draft.system(content(1, group), tokens / 2);
                    for past in 0..at.min(15) {
                        let turn = content(5, group * 1_000 + past * 2);
                        draft = draft.user(turn, 40).message("assistant", &[(turn + 1, tokens / 10 + 1)]);
                    }
                    draft.user(content(5, group * 1_000 + at * 2), 40)
                }
                Self::Equal => draft.system(content(1, group), tokens).user(content(2, group), question),
            };
            rows.push(draft.row());
        }
    }
}

/// Returns a random length that is often close to `least` (the length of the shortest prefix that is cached).
fn around(random: &mut fastrand::Rng, least: u64) -> u64 {
    let factor = match random.u8(0..4) {
        0 => 0.3 + 0.6 * random.f64(),
        1 | 2 => 0.85 + 0.4 * random.f64(),
        _ => 1.2 + 2.0 * random.f64(),
    };
    (least as f64 * factor) as u64
}

/// Returns the rows in an order that puts the rows of each group far apart.
fn in_turn(rows: Vec<Row>) -> Vec<Row> {
    let step = 25;
    (0..step).flat_map(|start| rows.iter().skip(start).step_by(step).cloned().collect::<Vec<_>>()).collect()
}

fn shuffled_rows(rows: Vec<Row>, seed: u64) -> Vec<Row> {
    shuffled(rows.len(), seed).into_iter().map(|place| rows[place].clone()).collect()
}

fn numbered(row: Row, number: usize) -> Row {
    Row { line: row.line.replace("\"row-0\"", &format!("\"row-{number}\"")), ..row }
}
