//! A workload: rows, a server, and what is known about the prefixes of the rows.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use claude_batch::domain::RateLimits;
use claude_batch::sim::config::{Burst, Latency, OutputLengths, SimConfig};
use claude_batch::sim::faults::FaultPlan;
use claude_batch::sim::presets;
use serde_json::{Value, json};

/// A part of a prompt. A cached prefix can end after each part.
#[derive(Clone, Copy, Debug)]
pub struct Chunk {
    /// The number that identifies the content of the part.
    pub content: u64,
    /// The number of tokens of the part, as the simulated API counts them.
    pub tokens: u64,
}

/// A row.
#[derive(Clone, Debug)]
pub struct Row {
    /// The model.
    pub model: &'static str,
    /// The line of the row in the input.
    pub line: String,
    /// The parts of the prompt, in order.
    pub chunks: Vec<Chunk>,
}

impl Row {
    /// Returns the same row with its first `chunks` parts shortened. The content of each shortened part is a single
    /// word.
    pub fn without(&self, chunks: usize) -> Self {
        let Ok(mut line) = serde_json::from_str::<Value>(&self.line) else { return self.clone() };
        let mut left = chunks;
        let mut shorten = |text: &mut Value| {
            if left > 0 {
                *text = json!("x");
                left -= 1;
            }
        };
        let mut each = |content: &mut Value| match content {
            Value::Array(blocks) => blocks.iter_mut().for_each(|block| shorten(&mut block["text"])),
            Value::String(_) => shorten(content),
            _ => {}
        };
        each(&mut line["system"]);
        let messages = line["messages"].as_array_mut().expect("a row has messages");
        messages.iter_mut().for_each(|message| each(&mut message["content"]));
        if line["system"].is_null() {
            line.as_object_mut().expect("a row is an object").remove("system");
        }
        Self { model: self.model, line: line.to_string(), chunks: self.chunks[chunks..].to_vec() }
    }
}

/// A workload.
pub struct Case {
    /// The short name of the workload.
    pub name: String,
    /// A description of the rows.
    pub about: String,
    /// The number of rows.
    pub rows: usize,
    /// The function that makes a row.
    pub row: Box<dyn Fn(usize) -> Row + Send + Sync>,
    /// The template, if the rows are lines of a CSV file with the columns `id` and `q`.
    pub template: Option<String>,
    /// The limits of the server, which the client knows.
    pub limits: RateLimits,
    /// The burst of the limits: the amount that the server allows at once.
    pub burst: Burst,
    /// The number of requests that are in flight at once; `None` if the scheduler chooses it.
    pub at_once: Option<usize>,
    /// The number of output tokens of each answer.
    pub output: u32,
    /// The time from a request to the first token of its answer.
    pub first_token: Duration,
    /// Faults of the server.
    pub faults: FaultPlan,
    /// Whether the input is a pipe. A pipe can be read only once.
    pub is_pipe: bool,
    /// The seed of the server and of the scheduler.
    pub seed: u64,
}

/// The model of most workloads. This model caches prefixes of 1,024 tokens or more.
pub const MODEL: &str = "claude-sonnet-4-6";
/// The limits of most workloads: the limits of tier 2.
pub const TIER_2: RateLimits = RateLimits::new(1_000, 450_000, 90_000);
/// The number of tokens that each message has in addition to its texts.
const PER_MESSAGE: u64 = 4;

impl Case {
    /// Returns a workload with the usual server.
    pub fn new(
        name: &str,
        about: impl Into<String>,
        rows: usize,
        row: impl Fn(usize) -> Row + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.to_owned(),
            about: about.into(),
            rows,
            row: Box::new(row),
            template: None,
            limits: TIER_2,
            burst: Burst::Minute,
            at_once: None,
            output: 40,
            first_token: Duration::from_millis(800),
            faults: FaultPlan::default(),
            is_pipe: false,
            seed: 1,
        }
    }

    /// Writes the rows to a file.
    pub fn write(&self, folder: &Path) -> std::path::PathBuf {
        let path = folder.join(if self.template.is_some() { "rows.csv" } else { "rows.jsonl" });
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path).expect("the folder can be written"));
        if self.template.is_some() {
            writeln!(file, "id,q").expect("the file can be written");
        }
        for number in 0..self.rows {
            writeln!(file, "{}", (self.row)(number).line).expect("the file can be written");
        }
        file.flush().expect("the file can be written");
        path
    }

    /// Returns the settings of the simulated API.
    pub fn sim(&self) -> SimConfig {
        SimConfig::new(presets::models())
            .with_limits(self.limits)
            .with_burst(self.burst)
            .with_seed(self.seed)
            .with_latency(Latency {
                first_token: self.first_token,
                jitter: 0.2,
                tokens_per_second: 100.0,
                error: Duration::from_millis(60),
            })
            .with_lengths(OutputLengths::fixed(self.output))
            .with_faults(self.faults.clone())
    }
}

/// Builds a row from its system prompt and its messages.
#[derive(Clone, Debug)]
pub struct Draft {
    number: usize,
    model: &'static str,
    system: Vec<Value>,
    messages: Vec<Value>,
    chunks: Vec<Chunk>,
}

impl Draft {
    /// Returns a row without a prompt.
    pub fn new(number: usize) -> Self {
        Self { number, model: MODEL, system: Vec::new(), messages: Vec::new(), chunks: Vec::new() }
    }

    /// Sets the model.
    pub fn model(mut self, model: &'static str) -> Self {
        self.model = model;
        self
    }

    /// Adds a text of `tokens` tokens to the system prompt. `content` chooses the words.
    pub fn system(mut self, content: u64, tokens: u64) -> Self {
        self.system.push(json!({"type": "text", "text": words(content, tokens)}));
        self.chunks.push(Chunk { content, tokens });
        self
    }

    /// Adds a message of the user with one text.
    pub fn user(self, content: u64, tokens: u64) -> Self {
        self.message("user", &[(content, tokens)])
    }

    /// Adds a message. Each pair has the content and the number of tokens of a block.
    pub fn message(mut self, role: &str, blocks: &[(u64, u64)]) -> Self {
        let block = |(content, tokens): &(u64, u64)| json!({"type": "text", "text": words(*content, *tokens)});
        let content = match blocks {
            [(content, tokens)] => json!(words(*content, *tokens)),
            blocks => blocks.iter().map(block).collect(),
        };
        self.messages.push(json!({"role": role, "content": content}));
        for (at, &(content, tokens)) in blocks.iter().enumerate() {
            let extra = if at == 0 { PER_MESSAGE } else { 0 };
            self.chunks.push(Chunk { content, tokens: tokens + extra });
        }
        self
    }

    /// Returns the finished row.
    pub fn row(self) -> Row {
        let id = format!("row-{}", self.number);
        let mut line = json!({
            "custom_id": id, "model": self.model, "max_tokens": 512, "messages": self.messages,
            "metadata": {"user_id": id},
        });
        if let [one] = &self.system[..] {
            line["system"] = one["text"].clone();
        } else if !self.system.is_empty() {
            line["system"] = json!(self.system);
        }
        Row { model: self.model, line: line.to_string(), chunks: self.chunks }
    }
}

/// Returns a row of a CSV file whose template is [`template`].
pub fn template_row(number: usize, start: (u64, u64), question: (u64, u64)) -> Row {
    let line = format!("row-{number},{}", words(question.0, question.1));
    let first = Chunk { content: start.0, tokens: start.1 + PER_MESSAGE };
    Row { model: MODEL, line, chunks: vec![first, Chunk { content: question.0, tokens: question.1 }] }
}

/// Returns a template with a fixed start and then a column.
pub fn template(start: (u64, u64)) -> String {
    format!("{} {{{{q}}}}", words(start.0, start.1))
}

/// Returns a text of `tokens` tokens. The text consists of words of two to six letters, and each word is one token.
pub fn words(content: u64, tokens: u64) -> String {
    // Long texts are kept in memory, because the next row usually needs the same text.
    thread_local!(static LAST: RefCell<HashMap<(u64, u64), String>> = RefCell::default());
    LAST.with_borrow_mut(|last| {
        if last.len() > 2_000 {
            last.clear();
        }
        last.entry((content, tokens)).or_insert_with(|| fresh_words(content, tokens)).clone()
    })
}

fn fresh_words(content: u64, tokens: u64) -> String {
    let mut random = fastrand::Rng::with_seed(content.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x77);
    let mut text = String::with_capacity(tokens as usize * 5);
    for number in 0..tokens {
        if number > 0 {
            text.push(' ');
        }
        for _ in 0..random.u8(2..=6) {
            text.push(char::from(random.u8(b'a'..=b'z')));
        }
    }
    text
}

/// Returns a number that identifies the content of a part. Different pairs of `kind` and `number` give different
/// results.
pub fn content(kind: u64, number: usize) -> u64 {
    kind << 40 | number as u64
}

/// Returns a random order: the new place of each row.
pub fn shuffled(rows: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut order);
    order
}
