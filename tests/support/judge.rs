//! Runs a scenario on virtual time and measures it.
//!
//! The judge is the simulated API's own account: what was let in, what was charged and when. It shares no code with
//! limiter and scheduler.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use claude_batch::clock::RunClock;
use claude_batch::domain::{Dimension, EventBody, Planned, PoolId, Reason, RunEvent, Usage};
use claude_batch::provider::Provider;
use claude_batch::provider::anthropic::Anthropic;
use claude_batch::runner::{Fed, Parts, drive};
use claude_batch::scheduler::order::Sizes;
use claude_batch::scheduler::{Scheduler, Window};
use claude_batch::sim::model::Model;
use claude_batch::sim::transport::{SimTransport, lock};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::MemLedger;
use super::scenario::{Kind, Order, Scenario, Server};
use super::seen::{Hidden, Log, Seen, Watched, WatchedLedger, Watcher};

/// What a run measured, by name.
pub type Measures = BTreeMap<&'static str, f64>;

/// Runs a scenario with one seed, on `rows` rows.
pub fn run(scenario: &Scenario, rows: usize, seed: u64) -> Measures {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime can be built").block_on(judged(scenario, rows, seed))
}

async fn judged(scenario: &Scenario, rows: usize, seed: u64) -> Measures {
    let clock = RunClock::start_at(jiff::Timestamp::UNIX_EPOCH);
    let log = Log::new(clock);
    let model = Arc::new(Mutex::new(Model::new(scenario.sim(seed))));
    let transport = SimTransport::new(model.clone(), clock)
        .with_timeouts(Some(Duration::from_secs(600)), Some(Duration::from_secs(60)));
    let (ledger, commits) = MemLedger::new();
    let (feed_in, feed) = mpsc::channel(1);
    let (_interrupts_in, interrupts) = mpsc::channel(8);
    let kinds = kinds(scenario, rows, seed);
    feed_rows(scenario, &kinds, seed, feed_in, log.clone());
    let total = Some(rows as u64);
    log.lock().stats.fold(&RunEvent {
        at: jiff::Timestamp::UNIX_EPOCH,
        run: "judged".into(),
        body: EventBody::Started { total, already_done: 0 },
    });
    let anthropic = Anthropic::new("2023-06-01", &[], http::HeaderMap::new()).expect("the version is a header");
    let provider: Arc<dyn Provider> =
        if scenario.server.hides_headers { Arc::new(Hidden(anthropic)) } else { Arc::new(anthropic) };
    let window = scenario.options.concurrency.map_or(Window::auto(1000), Window::fixed);
    let parts = Parts {
        transport: Arc::new(Watched(transport, log.clone())),
        provider,
        scheduler: Scheduler::new(super::config(scenario.preset(), window, seed)),
        ledger: WatchedLedger(ledger, log.clone()),
        commits,
        feed,
        interrupts,
        reporter: Box::new(Watcher(log.clone(), rows as u64)),
        clock,
        run: "judged".into(),
        price: Box::new(|_, _| None),
        grace: None,
        keep_pending: true,
    };
    let (_, ledger, _) = drive(parts).await;
    let mut model = lock(&model);
    let name = &scenario.load.model;
    let others = Dimension::ALL.map(|dimension| model.taken_by_others(name, dimension));
    let levels = Dimension::ALL.map(|dimension| model.level(name, dimension, clock.now()).unwrap_or(0.0));
    let books = model.books();
    let seen = log.lock();
    let answered = ledger.0.answered.len();
    let used = used_of(books.admitted, books.billed);
    Judge { scenario, seen: &seen, used, others, levels, rows, kinds: &kinds }.measure(
        answered,
        books.refused_total(),
        books.too_early,
        books.highest_in_flight,
    )
}

fn used_of(requests: u64, usage: Usage) -> [f64; 3] {
    [requests as f64, usage.limited_input_tokens() as f64, usage.output_tokens as f64]
}

/// Returns the kind of each row, in the order of the file.
fn kinds(scenario: &Scenario, rows: usize, seed: u64) -> Vec<usize> {
    let kinds = &scenario.load.kinds;
    let weight: usize = kinds.iter().map(|kind| kind.weight as usize).sum();
    let mut order: Vec<usize> = (0..rows)
        .map(|row| {
            // Each kind has its exact share, whatever the seed.
            let mut place = row * weight / rows * rows.div_ceil(weight).min(1) + (row % weight);
            place %= weight;
            kinds.iter().position(|kind| match place.checked_sub(kind.weight as usize) {
                Some(left) => {
                    place = left;
                    false
                }
                None => true,
            })
        })
        .map(|kind| kind.expect("a place lies within the weights"))
        .collect();
    match scenario.load.order {
        Order::Mixed => fastrand::Rng::with_seed(seed).shuffle(&mut order),
        Order::Sorted | Order::Advised => order.sort_unstable(),
    }
    order
}

fn feed_rows(scenario: &Scenario, kinds: &[usize], seed: u64, feed: mpsc::Sender<Fed>, log: Log) {
    let mut rng = fastrand::Rng::with_seed(seed ^ 0x51);
    let [least, most] = scenario.load.estimate;
    let rows: Vec<(u64, Kind, f64)> = reading_order(scenario, kinds)
        .into_iter()
        .map(|row| {
            let factor = least * (most / least).powf(rng.f64());
            (row as u64, scenario.load.kinds[kinds[row]].clone(), factor)
        })
        .collect();
    let model = scenario.load.model.clone();
    tokio::spawn(async move {
        for (number, kind, factor) in rows {
            let planned = planned(number, &model, &kind, factor);
            if feed.send(Fed::Planned(Box::new(planned))).await.is_err() {
                break;
            }
            let now = log.now();
            log.lock().offered.insert(number, now);
        }
    });
}

fn reading_order(scenario: &Scenario, kinds: &[usize]) -> Vec<usize> {
    let rows = kinds.len() as u64;
    if scenario.load.order != Order::Advised {
        return (0..kinds.len()).collect();
    }
    let mut sizes = Sizes::default();
    for &kind in kinds {
        let planned = planned(0, &scenario.load.model, &scenario.load.kinds[kind], 1.0);
        sizes.add(&planned.pool, planned.cost);
    }
    sizes.advise(&|_| scenario.preset()).0.rows(rows).map(|row| row as usize).collect()
}

fn planned(number: u64, model: &str, kind: &Kind, factor: f64) -> Planned {
    let real = kind.words + kind.cached_words + 5;
    let estimate = ((real as f64 * factor) as u32).max(1);
    let mut planned = super::planned(number, model, estimate, kind.max_tokens);
    let raw = |text: String| RawValue::from_string(text).expect("the test writes valid JSON");
    let prompt = format!("{number} {}", "word ".repeat(kind.words));
    planned.job.params.set("messages", raw(format!(r#"[{{"role":"user","content":{prompt:?}}}]"#)));
    if kind.cached_words > 0 {
        let prefix = "word ".repeat(kind.cached_words);
        let system = format!(r#"[{{"type":"text","text":{prefix:?},"cache_control":{{"type":"ephemeral"}}}}]"#);
        planned.job.params.set("system", raw(system));
    }
    planned.pool = PoolId { class: claude_batch::domain::ModelClass(model.into()), ..planned.pool };
    planned.template = (kind.words * 7 + kind.cached_words) as u64 ^ u64::from(kind.max_tokens) << 32;
    planned
}

struct Judge<'a> {
    scenario: &'a Scenario,
    seen: &'a Seen,
    used: [f64; 3],
    others: [f64; 3],
    /// The server's levels at the end.
    levels: [f64; 3],
    rows: usize,
    kinds: &'a [usize],
}

impl Judge<'_> {
    fn measure(&self, answered: usize, refused: u64, too_early: u64, highest: u64) -> Measures {
        let elapsed = self.seen.elapsed;
        let (bound, binding) = self.bound();
        let mut measures = Measures::from([
            ("elapsed_s", elapsed),
            ("bound_s", bound),
            ("of_bound", elapsed / bound),
            ("refused", refused as f64),
            ("refused_share", refused as f64 / self.rows as f64),
            ("refused_windows", refused as f64 / (highest as f64).max(1.0)),
            ("lost_rows", (self.rows - answered) as f64),
            ("too_early", too_early as f64),
            ("attempts_per_row", self.seen.attempts as f64 / self.rows as f64),
            ("round_trips", elapsed / self.round_trip()),
            ("slowest_5min", self.slowest(300.0, binding)),
            ("most_in_flight", highest as f64),
            ("reason_right_after_s", self.reason_right_after(binding)),
        ]);
        if let (Some((at, levels)), Some(dimension)) = (self.seen.levels, binding) {
            let rate = f64::from(self.scenario.server.limits[dimension.index()]) / 60.0;
            let ours = levels[dimension.index()] + (elapsed - at) * rate;
            measures.insert("level_error_s", (ours - self.levels[dimension.index()]) / rate);
        }
        if let Some((at, left)) = self.seen.eta {
            measures.insert("eta_error", (at + left - elapsed).abs() / elapsed);
        }
        self.waits(&mut measures);
        self.storm(&mut measures);
        self.change(&mut measures, binding);
        self.held(&mut measures);
        measures
    }

    /// Returns the least time that limits, latency and concurrency allow, and the dimension that binds.
    ///
    /// Requests and input are taken when a row is let in, so no row can end before all that was let in up to it has come
    /// through, and its own latency besides. Output is taken while it is produced, so it is all there at the end, but for
    /// what the server lets run into debt.
    fn bound(&self) -> (f64, Option<Dimension>) {
        let mut in_order: Vec<_> = self.seen.answers.iter().collect();
        in_order.sort_by(|a, b| (a.at - a.latency).total_cmp(&(b.at - b.latency)));
        let latest = |dimension: Dimension| {
            let mut used = 0.0;
            let ends = in_order.iter().map(|answer| {
                used += Self::amount(answer.usage, dimension);
                self.time_for(dimension, used) + answer.latency
            });
            ends.fold(0.0, f64::max)
        };
        let time = |dimension: Dimension| {
            let total = self.used[dimension.index()];
            match dimension {
                Dimension::Requests | Dimension::InputTokens => latest(dimension).max(self.time_for(dimension, total)),
                Dimension::OutputTokens => self.time_for(dimension, total + self.levels[2].min(0.0)),
            }
        };
        let times = Dimension::ALL.map(|dimension| (time(dimension), dimension));
        let (by_limits, binding) = times.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).expect("there are three");
        let at_once = self.scenario.options.concurrency.or(self.scenario.server.max_concurrent.map(|n| n as usize));
        let work: f64 = self.seen.answers.iter().map(|answer| answer.latency).sum();
        let by_window = at_once.map_or(0.0, |n| work / n as f64);
        if by_window > by_limits { (by_window, None) } else { (by_limits, Some(binding)) }
    }

    /// Returns how long the server takes to let through so much of a dimension.
    fn time_for(&self, dimension: Dimension, used: f64) -> f64 {
        let at = dimension.index();
        let server = &self.scenario.server;
        let steady: u32 =
            server.others.iter().filter(|other| other.every_s.is_none()).map(|other| other.permille).sum();
        let rate = |limits: [u32; 3]| f64::from(limits[at]) / 60.0 * f64::from(1000 - steady) / 1000.0;
        let capacity = (f64::from(server.limits[at]) * server.burst_s[at] / 60.0).max(1.0);
        // What others took in bursts is known in total only.
        let others = self.others[at] * used / self.used[at].max(1.0);
        let mut left = used + others - capacity;
        let (mut from, mut limits) = (0.0, server.limits);
        for change in &server.changes {
            let through = rate(limits) * (change.at_s - from);
            if left <= through {
                break;
            }
            left -= through;
            (from, limits) = (change.at_s, change.limits);
        }
        (from + left / rate(limits)).max(0.0)
    }

    fn round_trip(&self) -> f64 {
        let sum: f64 = self.seen.answers.iter().map(|answer| answer.latency).sum();
        sum / self.seen.answers.len().max(1) as f64
    }

    fn rate_of(&self, server: &Server, dimension: Option<Dimension>) -> f64 {
        let steady: u32 = server.others.iter().map(|other| other.permille).sum();
        dimension.map_or(f64::NAN, |dimension| {
            f64::from(server.limits[dimension.index()]) / 60.0 * f64::from(1000 - steady) / 1000.0
        })
    }

    fn amount(usage: Usage, dimension: Dimension) -> f64 {
        used_of(1, usage)[dimension.index()]
    }

    /// Returns the lowest use of the binding limit over any span of so many seconds, as a share of what it gives.
    fn slowest(&self, span: f64, binding: Option<Dimension>) -> f64 {
        let Some(dimension) = binding else { return f64::NAN };
        let end = self.seen.sent.values().copied().fold(0.0, f64::max);
        let rate = self.rate_of(&self.scenario.server, binding);
        let used = |from: f64, to: f64| -> f64 {
            let inside = self.between(from, to);
            inside.iter().map(|answer| Self::amount(answer.usage, dimension)).sum()
        };
        // Answers come a round trip after what they use was taken.
        let (mut from, mut least) = (self.round_trip(), f64::INFINITY);
        while from + span <= end {
            least = least.min(used(from, from + span) / (rate * span));
            from += 15.0;
        }
        if least.is_finite() { least } else { f64::NAN }
    }

    fn between(&self, from: f64, to: f64) -> &[super::seen::Answer] {
        let answers = &self.seen.answers;
        let first = answers.partition_point(|answer| answer.at < from);
        let last = answers.partition_point(|answer| answer.at < to);
        &answers[first..last.max(first)]
    }

    /// Returns the time after which the named reason is the right one in 19 of 20 looks.
    fn reason_right_after(&self, binding: Option<Dimension>) -> f64 {
        let right = binding.map_or(Reason::Window, Reason::Limit);
        let end = self.seen.sent.values().copied().fold(0.0, f64::max);
        let looks: Vec<_> = self.seen.reasons.iter().filter(|(at, _)| *at <= end).collect();
        let (mut good, mut best) = (0_usize, end);
        for (number, (at, reason)) in looks.iter().rev().enumerate() {
            good += usize::from(*reason == right);
            if good * 20 >= (number + 1) * 19 {
                best = *at;
            }
        }
        best
    }

    /// Waits of small and big rows from when they were read, without the time that the small rows ahead of them take at
    /// the limit, for each big row that was ahead, and one more.
    fn waits(&self, measures: &mut Measures) {
        let kinds = &self.scenario.load.kinds;
        let limit = f64::from(self.scenario.server.limits[1]);
        let Some(big) = kinds.iter().position(|kind| kind.words as f64 >= limit * 0.9) else { return };
        let (mut small_wait, mut big_wait) = (0.0_f64, 0.0_f64);
        // Rows that are read and not sent: when they were sent, and what they need.
        let mut ahead: Vec<(f64, usize)> = Vec::new();
        for (&row, &offered) in &self.seen.offered {
            let Some(&sent) = self.seen.sent.get(&row) else { continue };
            ahead.retain(|&(sent, _)| sent > offered);
            let bigs = ahead.iter().filter(|(_, kind)| *kind == big).count();
            let small_words: usize =
                ahead.iter().filter(|(_, kind)| *kind != big).map(|&(_, kind)| kinds[kind].words + 5).sum();
            let wait = (sent - offered - small_words as f64 * 60.0 / limit) / (bigs + 1) as f64;
            let kind = self.kinds[row as usize];
            let worst = if kind == big { &mut big_wait } else { &mut small_wait };
            *worst = worst.max(wait);
            ahead.push((sent, kind));
        }
        measures.extend([("small_wait_s", small_wait), ("big_wait_s", big_wait)]);
    }

    fn sent_between(&self, from: f64, to: f64) -> f64 {
        self.seen.requests.iter().filter(|request| (from..to).contains(&request.sent_at)).count() as f64
    }

    /// What happens around a fault that lasts from `from` to `until`.
    fn storm(&self, measures: &mut Measures) {
        let rule = self.scenario.server.faults.get(0);
        let seconds = |name: &str| -> Option<f64> { rule?.get(name)?.as_str()?.strip_suffix('s')?.parse().ok() };
        let (Some(from), Some(until)) = (seconds("from"), seconds("until")) else { return };
        let normal = f64::from(self.scenario.server.limits[0]) / 60.0;
        let inside = self.sent_between(from + 30.0, until) / (until - from - 30.0) / normal;
        let mut back = until;
        while (self.between(back, back + 10.0).len() as f64) < 9.5 * normal && back < until + 600.0 {
            back += 1.0;
        }
        let peak = (0..120)
            .map(|half| self.sent_between(until + f64::from(half) * 0.5, until + f64::from(half) * 0.5 + 1.0))
            .fold(0.0, f64::max);
        measures.extend([("storm_share", inside), ("storm_back_after_s", back - until), ("storm_peak", peak / normal)]);
    }

    /// What happens after the first change of limits.
    fn change(&self, measures: &mut Measures, binding: Option<Dimension>) {
        let (Some(change), Some(dimension)) = (self.scenario.server.changes.first(), binding) else { return };
        let refusals =
            self.seen.requests.iter().filter(|request| request.status == 429 && request.sent_at > change.at_s);
        let times: Vec<f64> = refusals.map(|request| request.sent_at).collect();
        let first = times.iter().copied().fold(f64::INFINITY, f64::min);
        let last = times.iter().copied().filter(|at| *at < first + 60.0).fold(first, f64::max);
        let span = if times.is_empty() { 0.0 } else { last - first };
        let rate = f64::from(change.limits[dimension.index()]) / 60.0;
        let used: f64 = self
            .between(change.at_s + 30.0, change.at_s + 90.0)
            .iter()
            .map(|answer| Self::amount(answer.usage, dimension))
            .sum();
        measures.extend([
            ("change_refusals_round_trips", span / self.round_trip()),
            ("change_refusals", times.len() as f64),
            ("rate_after_change", used / (rate * 60.0)),
        ]);
    }

    /// The shortest time from the head of the first 429 to the next request.
    fn held(&self, measures: &mut Measures) {
        let Some(first) =
            self.seen.requests.iter().filter(|request| request.status == 429).map(|r| r.head_at).reduce(f64::min)
        else {
            return;
        };
        let next = self
            .seen
            .requests
            .iter()
            .map(|request| request.sent_at)
            .filter(|at| *at > first)
            .fold(f64::INFINITY, f64::min);
        measures.insert("held_s", next - first);
    }
}
