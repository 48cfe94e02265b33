//! Plays whole runs on virtual time: the real loop and the real scheduler run against the simulated API. All rows and
//! lines are kept in memory and not in files.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use claude_batch::clock::RunClock;
use claude_batch::domain::{Cost, Outage, Planned, ProviderKind, Reason, RequestRules};
use claude_batch::provider::anthropic::Anthropic;
use claude_batch::runner::{Finish, Incoming, Interrupt, Parts, Routes, drive};
use claude_batch::scheduler::{Config, Scheduler};
use claude_batch::sim::config::SimConfig;
use claude_batch::sim::model::Model;
use claude_batch::sim::transport::{SimTransport, lock};
use tokio::sync::mpsc;

use super::gateway::{Gateway, Hides};
use super::{Counts, MemLedger};

/// The result of a whole run.
pub struct Whole {
    /// The end of the run, according to its loop.
    pub finish: Finish,
    /// The lines that the run wrote.
    pub ledger: MemLedger,
    /// The duration of the run, in virtual time.
    pub elapsed: Duration,
    /// The number of requests that were sent.
    pub sent: u64,
    /// The number of attempts that ended with status 429.
    pub limited: u64,
    /// The reasons why the run could not go faster, each with its share of the time.
    pub reasons: Vec<(Reason, f64)>,
    /// Warnings.
    pub warnings: Vec<String>,
    /// The outages that were reported; `None` means that an outage ended.
    pub outages: Vec<Option<Outage>>,
    /// The simulated API, with its records.
    pub model: Arc<Mutex<Model>>,
}

/// A row for [`whole_run`].
#[derive(Clone, Debug)]
pub struct WholeRow {
    /// The name of the model, which is also the name of the pool.
    pub model: &'static str,
    /// The number of words of the prompt.
    pub words: usize,
    /// `max_tokens`.
    pub max_tokens: u32,
    /// The estimated number of input tokens. The real number can differ.
    pub estimate: u32,
}

impl WholeRow {
    fn planned(&self, number: u64) -> Planned {
        let mut planned = super::planned(number, self.model, self.estimate, self.max_tokens);
        let prompt = format!("{number} {}", "word ".repeat(self.words));
        let messages = format!(r#"[{{"role":"user","content":{prompt:?}}}]"#);
        super::ask(&mut planned, "model", format!("{:?}", self.model));
        super::ask(&mut planned, "messages", messages);
        planned.ask.pool = super::pool_id(self.model).into();
        planned.ask.cost = Cost { requests: 1, input_tokens: self.estimate, output_tokens: self.max_tokens };
        planned
    }
}

/// Runs rows until all have ended. During the run, `meddle` can send interrupts.
pub fn whole_run(
    sim: SimConfig,
    config: impl FnOnce() -> Config,
    rows: Vec<WholeRow>,
    meddle: impl FnOnce(mpsc::Sender<Interrupt>),
) -> Whole {
    let planned = rows.iter().enumerate().map(|(number, row)| row.planned(number as u64)).collect();
    whole_run_behind(Hides::Nothing, sim, config, planned, meddle)
}

/// Sends rows through a gateway until all rows have ended.
pub fn whole_run_behind(
    hides: Hides,
    sim: SimConfig,
    config: impl FnOnce() -> Config,
    rows: Vec<Planned>,
    meddle: impl FnOnce(mpsc::Sender<Interrupt>),
) -> Whole {
    whole_run_counted(Counts::default(), hides, sim, config, rows, meddle)
}

/// Runs rows until all have ended, and writes the run's events as `--progress json` does. Also returns the lines with
/// the events.
pub fn whole_run_in_json(
    sim: SimConfig,
    config: impl FnOnce() -> Config,
    rows: &[WholeRow],
) -> (Whole, Vec<serde_json::Value>) {
    let (counts, written) = Counts::writing_json();
    let planned = rows.iter().enumerate().map(|(number, row)| row.planned(number as u64)).collect();
    let whole = whole_run_counted(counts, Hides::Nothing, sim, config, planned, |_| {});
    let written = written.0.lock().expect("nobody panics while writing").clone();
    let lines = written.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    (whole, lines.map(|line| serde_json::from_slice(line).expect("each line is JSON")).collect())
}

fn whole_run_counted(
    counts: Counts,
    hides: Hides,
    sim: SimConfig,
    config: impl FnOnce() -> Config,
    rows: Vec<Planned>,
    meddle: impl FnOnce(mpsc::Sender<Interrupt>),
) -> Whole {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime can be built").block_on(async move {
        let clock = RunClock::start_at(jiff::Timestamp::UNIX_EPOCH);
        let kind = sim.kind;
        let model = Arc::new(Mutex::new(Model::new(sim)));
        let transport = SimTransport::new(model.clone(), clock)
            .with_timeouts(Some(Duration::from_secs(600)), Some(Duration::from_secs(60)));
        let (ledger, commits) = MemLedger::new();
        let (feed_in, feed) = mpsc::channel(64);
        let (interrupts_in, interrupts) = mpsc::channel(8);
        tokio::spawn(async move {
            for row in rows {
                if feed_in.send(Incoming::Planned(row)).await.is_err() {
                    break;
                }
            }
        });
        meddle(interrupts_in);
        let provider = Anthropic::new("2023-06-01", &[], http::HeaderMap::new()).expect("the version is a header");
        let provider = provider.of_kind(kind).with_rules(Arc::new(rules_of(kind)));
        let parts = Parts {
            routes: Routes::single(Arc::new(Gateway { inner: transport, hides }), Arc::new(provider)),
            scheduler: Scheduler::new(config()),
            ledger,
            commits,
            feed,
            lane: None,
            unfinished: Default::default(),
            equal: None,
            interrupts,
            reporter: Box::new(counts.clone()),
            clock,
            run: "test".into(),
            grace: None,
            keep_pending: true,
        };
        let (finish, ledger, _) = drive(parts).await;
        let mut inside = counts.0.lock().expect("nobody panics while counting");
        let (elapsed, reasons) = inside.ended.take().expect("a run ends");
        Whole {
            finish,
            ledger,
            elapsed,
            sent: inside.sent,
            limited: inside.limited,
            reasons,
            warnings: std::mem::take(&mut inside.warnings),
            outages: std::mem::take(&mut inside.outages),
            model,
        }
    })
}

/// Returns the names that a platform uses for the Claude models.
fn rules_of(kind: ProviderKind) -> RequestRules {
    let model_prefix = match kind {
        ProviderKind::Bedrock => "global.anthropic.",
        ProviderKind::BedrockMantle => "anthropic.",
        ProviderKind::OpenRouter => "anthropic/",
        _ => "",
    };
    RequestRules { model_prefix: model_prefix.into(), ..RequestRules::default() }
}

/// Returns how many requests the simulated API rejected with 429.
pub fn refused(whole: &Whole) -> u64 {
    lock(&whole.model).books().refused_total()
}
