//! Workloads for the judge of plans: random rows, and a random server that the plan does not know.
//!
//! To find the true cost and time of a workload, the judge runs the whole workload on virtual time. This run uses the
//! real loop and scheduler, and the simulated API. One of the two plans uses only the rows. A second plan also uses the
//! answers to 50 rows and the token counts of some rows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use claude_batch::catalog::Catalog;
use claude_batch::clock::Instant;
use claude_batch::domain::{Interval, JobId, Money, Origin, Params, Planned, PoolId, RateLimits, Tier};
use claude_batch::forecast::{Counts, Forecast, History, PastAnswer, Question, Setting, known_bursts};
use claude_batch::plan::{Dialect, Load, Planner, RequestDefaults};
use claude_batch::provider::anthropic::{Anthropic, count_of};
use claude_batch::scheduler::{Config, LimitsOf, Window};
use claude_batch::sim::config::{Burst, Bursts, Latency, OutputLengths, SimConfig};
use claude_batch::sim::model::{Model, Request, Step};
use claude_batch::sim::presets;
use claude_batch::sim::transport::lock;
use claude_batch::source::Row;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::whole::{Whole, whole_run_behind};

/// The number of answered rows that the plan with a history knows.
pub const HISTORY: usize = 50;
/// For the plan with a history, the API counts the tokens of this many rows.
pub const COUNTED: usize = 50;

/// A workload.
pub struct Workload {
    /// A description of the rows and the server, in words.
    pub words: String,
    /// The tier of the server, which the plan knows.
    pub tier: Tier,
    rows: Vec<Planned>,
    sim: SimConfig,
    seed: u64,
}

/// The real result of a run, for comparison with the plan.
pub struct Truth {
    /// The money that the server charged.
    pub cost: Money,
    /// The duration of the run.
    pub time: Duration,
    /// The number of refused requests.
    pub refused: u64,
}

/// The facts that a plan knows in addition to the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The plan knows the answers to [`HISTORY`] rows, and the token counts of [`COUNTED`] rows.
    Answers,
    /// Nothing.
    Nothing,
}

const TIERS: [Tier; 7] = [Tier::One, Tier::Two, Tier::Three, Tier::Four, Tier::Start, Tier::Build, Tier::Scale];
const MODELS: [&str; 8] = [
    "claude-haiku-4-5",
    "claude-haiku-5-5",
    "claude-sonnet-4-6",
    "claude-sonnet-5",
    "claude-sonnet-5-5",
    "claude-opus-4-8",
    "claude-opus-5",
    "claude-fable-5-1",
];
/// Languages and kinds of text, with the pieces that texts are made of.
const TEXTS: [(&str, &[&str]); 8] = [
    (
        "English",
        &[
            "the committee",
            " met on Tuesday",
            " to discuss",
            " proposed changes,",
            " maintenance costs",
            " and repairs.",
            " Several members",
            " raised concerns",
            " about it",
        ],
    ),
    (
        "German",
        &[
            "Der Ausschuss",
            " hat am Dienstag",
            " über die vorgeschlagenen Änderungen",
            " des Haushalts",
            " beraten;",
            " einige Mitglieder",
            " äußerten Bedenken",
            " wegen der Kosten.",
        ],
    ),
    (
        "Russian",
        &[
            "Комитет собрался",
            " во вторник,",
            " чтобы обсудить",
            " изменения бюджета.",
            " Некоторые члены",
            " выразили",
            " обеспокоенность",
        ],
    ),
    ("Chinese", &["委员会星期二", "开会讨论", "预算的修改建议。", "一些成员", "对维护费用", "表示担忧,"]),
    ("Japanese", &["委員会は火曜日に", "会合を開き、", "予算の変更案について", "話し合った。", "維持費の上昇"]),
    (
        "code",
        &[
            "let mut total = 0;\n",
            "for row in &rows {\n",
            "    total += row.len();\n",
            "}\n",
            "if total > LIMIT { return None; }\n",
            "fn parse(text: &str) -> Option<Self> {\n",
        ],
    ),
    (
        "JSON",
        &[
            "{\"id\": 12345,",
            " \"name\": \"Widget\",",
            " \"price\": 12.50,",
            " \"tags\": [\"a\", \"b\"],",
            " \"ok\": true}\n",
        ],
    ),
    ("numbers", &["2026-11-26 12:34:56,", "1234.5678,", "99,", "0.0001,", "42\n"]),
];

impl Workload {
    /// Returns the workload of a seed. The workload has at most `most_rows` rows.
    pub fn new(seed: u64, most_rows: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9) ^ 0x504c_414e);
        let catalog = Arc::new(Catalog::builtin());
        let tier = TIERS[random.usize(0..TIERS.len())];
        let models = models(&mut random, tier);
        let (language, pieces) = TEXTS[random.usize(0..TEXTS.len())];
        let words = [20, 60, 150, 400, 1_200][random.usize(0..5)];
        let spread = [0.2, 0.5, 0.9][random.usize(0..3)];
        let max_tokens = [64, 256, 512, 1_024, 4_096][random.usize(0..5)];
        let has_tools = random.u8(0..4) == 0;
        let is_sorted = random.u8(0..6) == 0;
        let mut sim =
            SimConfig::new(presets::models_with(|_, class| Some(catalog.limits(tier, class).limits))).with_seed(seed);
        sim.lengths = lengths(&mut random, max_tokens);
        sim.token_skew = 0.85 + 0.5 * random.f64();
        sim.estimate_skew = 0.95 + 0.1 * random.f64();
        sim.bursts = bursts(&mut random);
        sim.latency = Latency {
            first_token: Duration::from_millis(random.u64(300..2_000)),
            jitter: 0.4 * random.f64(),
            tokens_per_second: 40.0 + 110.0 * random.f64(),
            error: Duration::from_millis(60),
        };
        sim.count_tokens_rpm = None;
        let minutes = 4.0 * 10f64.powf(0.9 * random.f64());
        let mut rows = Rows { random, pieces, words, spread, max_tokens, has_tools, models: models.clone() };
        let wanted = rows.count(&sim, tier, &catalog, minutes).clamp(200, most_rows);
        let mut bodies: Vec<Value> = (0..wanted).map(|number| rows.body(number)).collect();
        if is_sorted {
            bodies.sort_by_key(|body| body["messages"][0]["content"].as_str().map_or(0, str::len));
        }
        let mut planner = Planner::new(
            RequestDefaults::default(),
            Dialect { api_version: "2023-06-01".to_owned(), betas: Vec::new() },
            catalog,
            "anthropic".into(),
            "".into(),
        );
        let rows: Vec<Planned> =
            bodies.iter().enumerate().map(|(number, body)| planned(&mut planner, number as u64, body)).collect();
        let described = format!(
            "{} rows, tier {}, {}, {language}{}{}, {words} pieces ± {spread}, max_tokens {max_tokens}, answers {:.0}+{:.2}·prompt ± {:.1}, \
             skew {:.2}, burst {}, first token {:.1} s, {:.0} tokens/s",
            rows.len(),
            tier.name(),
            models.join(" + "),
            if has_tools { " with tools" } else { "" },
            if is_sorted { ", sorted by length" } else { "" },
            sim.lengths.mean,
            sim.lengths.per_prompt_token,
            sim.lengths.sigma,
            sim.token_skew,
            burst_words(sim.bursts.requests),
            sim.latency.first_token.as_secs_f64(),
            sim.latency.tokens_per_second,
        );
        Self { words: described, tier, rows, sim, seed }
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Runs all rows.
    pub fn truth(&self) -> Truth {
        let whole = self.run(self.rows.clone(), 1);
        assert_eq!(whole.ledger.answered.len(), self.rows.len(), "{}: every row is answered", self.words);
        let model = lock(&whole.model);
        Truth { cost: model.books().billed_money, time: whole.elapsed, refused: model.books().refused_total() }
    }

    fn run(&self, rows: Vec<Planned>, seed: u64) -> Whole {
        let config = || config(limits_of(self.tier), seed);
        whole_run_behind(super::gateway::Hides::Nothing, self.sim.clone(), config, rows, drop)
    }

    /// Returns the plan.
    pub fn plan(&self, known: Known) -> Forecast {
        let catalog = Catalog::builtin();
        let mut load = Load::keeping(if known == Known::Answers { COUNTED } else { 0 });
        self.rows.iter().for_each(|row| _ = load.add(row));
        let (history, bursts) = match known {
            Known::Answers => self.history(&catalog, &load),
            Known::Nothing => (History::default(), None),
        };
        let counts = self.counts(&load);
        let limits = limits_of(self.tier);
        let scheduler = |limits_of: LimitsOf| config(limits_of, 1);
        let setting = Setting { limits_of: &limits, scheduler: &scheduler, bursts, most_rows: 30_000 };
        Question { load: &load, history: &history, counts: &counts, catalog: &catalog, setting: &setting }.forecast()
    }

    /// Runs the first rows against another copy of the server. Returns the content of the results, and the bursts that
    /// this run found.
    fn history(&self, catalog: &Catalog, load: &Load) -> (History, Option<Bursts>) {
        let rows: Vec<Planned> = self.rows.iter().take(HISTORY).cloned().collect();
        let whole = self.run(rows, self.seed ^ 0x55);
        let mut history = History::default();
        for (row, usage, latency) in &whole.ledger.used {
            let ask = &self.rows[*row as usize].ask;
            history.add(&PastAnswer {
                follow_ups: Default::default(),
                model: catalog.model(&ask.model).map_or(&*ask.model, |model| &model.id).into(),
                template: Some(ask.template),
                estimated_input: Some(ask.cost.input_tokens),
                usage: *usage,
                price_share: Some(1.0),
                latency: Some(*latency),
                is_truncated: usage.output_tokens >= ask.max_tokens.into(),
            });
        }
        (history, known_bursts(&whole.finish.learned, load))
    }

    /// Asks the server to count the tokens of the rows that the load selects for counting.
    fn counts(&self, load: &Load) -> Counts {
        let provider = Anthropic::new("2023-06-01", &[], http::HeaderMap::new()).expect("the version is a header");
        let mut model = Model::new(self.sim.clone());
        let count = |(request, group, estimated): (&claude_batch::domain::Request, usize, u32)| {
            let wire = provider.encode_count(request, &load.groups()[group].pool);
            let mut headers = wire.headers.clone();
            headers.insert("x-api-key", http::HeaderValue::from_static("sk-ant-simulated"));
            let body = wire.body.into_bytes();
            let request =
                Request { method: &wire.method, path: &wire.path, query: None, headers: &headers, body: &body };
            let arrival = model.arrive(&request, Instant::ZERO);
            let Some(Step::Bytes { bytes, .. }) = arrival.body.first() else { panic!("it is counted: {arrival:?}") };
            (group, estimated, count_of(bytes).unwrap_or_else(|| panic!("it is a count: {bytes:?}")))
        };
        load.requests().map(count).collect()
    }
}

/// Returns half of the width of an interval, divided by the likely value of the interval.
pub fn width(interval: Interval<f64>) -> f64 {
    (interval.high - interval.low) / 2.0 / interval.likely
}

fn config(limits_of: impl Fn(&PoolId) -> RateLimits + Send + 'static, seed: u64) -> Config {
    Config { limits_of: Box::new(limits_of), ..super::config(RateLimits::NONE, Window::auto(1_000), seed) }
}

fn limits_of(tier: Tier) -> impl Fn(&PoolId) -> RateLimits + Send + 'static {
    let catalog = Catalog::builtin();
    move |pool| catalog.limits(tier, &pool.class).limits
}

/// Returns one or two models. The tables of tiers 1 to 4 do not have limits for the newest models.
fn models(random: &mut fastrand::Rng, tier: Tier) -> Vec<&'static str> {
    let is_old = matches!(tier, Tier::One | Tier::Two | Tier::Three | Tier::Four);
    let choices: Vec<_> = match is_old {
        true => vec!["claude-haiku-4-5", "claude-sonnet-4-6", "claude-opus-4-8"],
        false => MODELS.to_vec(),
    };
    let count = if random.u8(0..5) == 0 { 2 } else { 1 };
    let mut models = Vec::new();
    while models.len() < count {
        let model = choices[random.usize(0..choices.len())];
        if !models.contains(&model) {
            models.push(model);
        }
    }
    models
}

fn lengths(random: &mut fastrand::Rng, max_tokens: u32) -> OutputLengths {
    OutputLengths {
        mean: [5.0, 20.0, 60.0, 150.0, 400.0][random.usize(0..5)],
        per_prompt_token: [0.0, 0.0, 0.1, 0.3][random.usize(0..4)],
        per_max_token: if max_tokens > 1_000 { 0.05 * random.f64() } else { 0.0 },
        sigma: 0.1 + 0.5 * random.f64(),
    }
}

fn bursts(random: &mut fastrand::Rng) -> Bursts {
    let burst = match random.u8(0..4) {
        0 => Burst::Time(Duration::from_secs(1)),
        1 => Burst::Time(Duration::from_secs(random.u64(2..40))),
        _ => Burst::Minute,
    };
    Bursts { requests: burst, input_tokens: burst, output_tokens: burst }
}

fn burst_words(burst: Burst) -> String {
    match burst {
        Burst::Minute => "1 min".to_owned(),
        Burst::Time(time) => format!("{} s", time.as_secs()),
        Burst::Amount(amount) => amount.to_string(),
    }
}

struct Rows {
    random: fastrand::Rng,
    pieces: &'static [&'static str],
    words: usize,
    spread: f64,
    max_tokens: u32,
    has_tools: bool,
    models: Vec<&'static str>,
}

impl Rows {
    fn text(&mut self) -> String {
        let swing = (self.spread * 2.0 * (self.random.f64() - 0.5)).exp();
        let count = ((self.words as f64 * swing) as usize).max(1);
        (0..count).map(|_| self.pieces[self.random.usize(0..self.pieces.len())]).collect()
    }

    fn body(&mut self, number: usize) -> Value {
        let text = format!("{number}: {}", self.text());
        let model = self.models[self.random.usize(0..self.models.len())];
        let mut body = json!({
            "model": model, "max_tokens": self.max_tokens, "system": "Answer in the language of the text.",
            "messages": [{"role": "user", "content": text}],
        });
        if self.has_tools {
            body["tools"] = json!([{"name": "look_up", "description": "Finds a row of the table by its number.",
                "input_schema": {"type": "object", "properties": {"number": {"type": "integer"}}}}]);
            body["tool_choice"] = json!({"type": "none"});
        }
        body
    }

    /// Returns how many rows the server can answer in `minutes` minutes.
    fn count(&self, sim: &SimConfig, tier: Tier, catalog: &Catalog, minutes: f64) -> usize {
        let tokens = 2.5 * self.words as f64 + 400.0 * f64::from(u8::from(self.has_tools));
        let output = (sim.lengths.mean + sim.lengths.per_prompt_token * tokens).min(f64::from(self.max_tokens));
        let per_minute = |model: &&str| {
            let limits =
                catalog.model(model).map(|model| catalog.limits(tier, &model.class).limits).expect("it is listed");
            let limit = |limit: Option<u32>| limit.map_or(f64::INFINITY, f64::from);
            limit(limits.rpm).min(limit(limits.itpm) / tokens).min(limit(limits.otpm) / output)
        };
        let slowest = self.models.iter().map(per_minute).fold(f64::INFINITY, f64::min);
        (slowest * self.models.len() as f64 * minutes) as usize
    }
}

fn planned(planner: &mut Planner, number: u64, body: &Value) -> Planned {
    let members: BTreeMap<Box<str>, Box<RawValue>> =
        serde_json::from_str(&body.to_string()).expect("a request is an object");
    let origin = Origin { source: "workload".into(), line: number + 1 };
    let params = Params(members.into_iter().collect());
    let row = Row {
        origin,
        custom_id: Some(format!("row-{number}")),
        params,
        extra: Params::default(),
        error: None,
        input: None,
    };
    planner.plan(row, JobId(number)).unwrap_or_else(|rejected| panic!("{}: {body}", rejected.message))
}
