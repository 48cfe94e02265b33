//! Runs a scenario on virtual time and measures the run.
//!
//! The measures come from the records of the simulated API: which requests it accepted, what it charged, and when. This
//! file shares no code with the limiter and the scheduler.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use claude_batch::clock::RunClock;
use claude_batch::domain::{Dimension, EventBody, HaltReason, Planned, Reason, RunEvent};
use claude_batch::provider::Provider;
use claude_batch::provider::anthropic::Anthropic;
use claude_batch::runner::{Finish, Incoming, Parts, Routes, drive};
use claude_batch::scheduler::order::Sizes;
use claude_batch::scheduler::{Config, Scheduler, Window};
use claude_batch::sim::model::{Books, Model};
use claude_batch::sim::transport::{SimTransport, lock};
use tokio::sync::mpsc;

use super::MemLedger;
use super::bound::{Account, amount, ramp, used_of};
use super::gateway::Gateway;
use super::scenario::{Kind, Order, Scenario, Server};
use super::seen::{Hidden, Log, Seen, Watched, WatchedLedger, Watcher};

/// A map from the name of a measure to its value in a run.
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
    lift_cap(scenario, model.clone(), clock);
    let parts = Parts {
        routes: Routes::single(Arc::new(watched(scenario, transport, model.clone(), log.clone())), provider),
        scheduler: Scheduler::new(config(scenario, seed)),
        ledger: WatchedLedger(ledger, log.clone()),
        commits,
        feed,
        lane: None,
        unfinished: Default::default(),
        equal: None,
        interrupts,
        reporter: Box::new(Watcher(log.clone(), rows as u64)),
        clock,
        run: "judged".into(),
        grace: None,
        keep_pending: true,
    };
    let (finish, _, _) = drive(parts).await;
    let mut model = lock(&model);
    let mut levels =
        |name: &str| Dimension::ALL.map(|dimension| model.level(name, dimension, clock.now()).unwrap_or(0.0));
    let levels = scenario.models().into_iter().map(|name| (name, levels(name))).collect();
    let seen = log.lock();
    assert_eq!(seen.most_unwritten, 0, "every answer is written before anything else is sent");
    Judge { scenario, seen: &seen, books: model.books(), levels, rows, kinds: &kinds, finish: &finish }.measure()
}

fn config(scenario: &Scenario, seed: u64) -> Config {
    let window = scenario.options.concurrency.map_or(Window::auto(1000), Window::fixed);
    let mut config = super::config(scenario.preset(), window, seed);
    let presets: BTreeMap<_, _> =
        scenario.models().into_iter().map(|model| (model.to_owned(), scenario.preset_of(model))).collect();
    config.limits_of = Box::new(move |pool| presets[&*pool.class.0]);
    if let Some(seconds) = scenario.options.retry_for_s {
        config.retry_for = Duration::from_secs_f64(seconds);
    }
    config
}

fn watched(scenario: &Scenario, inner: SimTransport, model: Arc<Mutex<Model>>, log: Log) -> Watched {
    let name = scenario.load.model.clone();
    let taken_by_others = Box::new(move || {
        let model = lock(&model);
        Dimension::ALL.map(|dimension| model.taken_by_others(&name, dimension))
    });
    let inner = Gateway { inner, hides: scenario.server.gateway_hides };
    Watched { inner, log, taken_by_others, repeats: scenario.server.repeats }
}

/// If the scenario says so, removes the limit on open requests at some time during the run.
fn lift_cap(scenario: &Scenario, model: Arc<Mutex<Model>>, clock: RunClock) {
    let Some(at) = scenario.server.cap_lifted_at_s.and_then(|at| clock.deadline(super::at(at))) else { return };
    tokio::spawn(async move {
        tokio::time::sleep_until(at).await;
        lock(&model).set_max_concurrent(None);
    });
}

/// Returns the kind of each row, in the order of the file.
fn kinds(scenario: &Scenario, rows: usize, seed: u64) -> Vec<usize> {
    let kinds = &scenario.load.kinds;
    let weight: usize = kinds.iter().map(|kind| kind.weight as usize).sum();
    let mut order: Vec<usize> = (0..rows)
        .map(|row| {
            // For every seed, each kind gets exactly its share of the rows.
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
        .map(|kind| kind.expect("the place is within the weights"))
        .collect();
    match scenario.load.order {
        Order::Mixed => fastrand::Rng::with_seed(seed).shuffle(&mut order),
        Order::Sorted | Order::Advised => order.sort_unstable(),
    }
    order
}

fn feed_rows(scenario: &Scenario, kinds: &[usize], seed: u64, feed: mpsc::Sender<Incoming>, log: Log) {
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
            let planned = planned(number, kind.model.as_deref().unwrap_or(&model), &kind, factor);
            if feed.send(Incoming::Planned(planned)).await.is_err() {
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
        sizes.add(&planned.ask.pool, planned.ask.cost);
    }
    sizes.advise(&|_| scenario.preset()).0.rows(rows).map(|row| row as usize).collect()
}

fn planned(number: u64, model: &str, kind: &Kind, factor: f64) -> Planned {
    let real = kind.words + kind.cached_words + 5;
    let estimate = ((real as f64 * factor) as u32).max(1);
    let mut planned = super::planned(number, model, estimate, kind.max_tokens);
    let prompt = format!("{number} {}", "word ".repeat(kind.words));
    super::ask(&mut planned, "messages", format!(r#"[{{"role":"user","content":{prompt:?}}}]"#));
    if kind.cached_words > 0 {
        let prefix = "word ".repeat(kind.cached_words);
        let system = format!(r#"[{{"type":"text","text":{prefix:?},"cache_control":{{"type":"ephemeral"}}}}]"#);
        super::ask(&mut planned, "system", system);
    }
    planned.ask.pool = super::pool_id(model).into();
    planned.ask.template = (kind.words * 7 + kind.cached_words) as u64 ^ u64::from(kind.max_tokens) << 32;
    planned
}

struct Judge<'a> {
    scenario: &'a Scenario,
    seen: &'a Seen,
    books: &'a Books,
    /// For each model, the amounts that the server's buckets contain at the end of the run.
    levels: BTreeMap<&'a str, [f64; 3]>,
    rows: usize,
    kinds: &'a [usize],
    finish: &'a Finish,
}

impl Judge<'_> {
    fn measure(&self) -> Measures {
        let elapsed = self.seen.elapsed;
        let (bound, binding) = self.bound();
        let (refused, highest) = (self.books.refused_total() as f64, self.books.highest_in_flight as f64);
        let refused_here = self.seen.requests.iter().filter(|request| request.status == 429).count();
        let mut measures = Measures::from([
            ("elapsed_s", elapsed),
            ("bound_s", bound),
            ("of_bound", elapsed / bound),
            ("refused", refused),
            ("refused_share", refused / self.rows as f64),
            ("refused_here_share", refused_here as f64 / self.rows as f64),
            ("refused_windows", refused / highest.max(1.0)),
            ("lost_rows", self.lost_rows()),
            ("too_early", self.books.too_early as f64),
            ("attempts_per_row", self.seen.attempts as f64 / self.rows as f64),
            ("attempts_per_row_later", self.attempts_per_row_after(60.0)),
            ("round_trips", elapsed / self.round_trip()),
            ("slowest_5min", self.slowest(300.0, binding)),
            ("most_in_flight", highest),
            ("reason_right_after_s", self.reason_right_after(binding)),
        ]);
        if let (Some((at, levels)), Some(dimension)) = (self.seen.levels, binding) {
            let rate = f64::from(self.scenario.server.limits[dimension.index()]) / 60.0;
            let ours = levels[dimension.index()] + (elapsed - at) * rate;
            let real = self.levels[&*self.scenario.load.model][dimension.index()];
            measures.insert("level_error_s", (ours - real) / rate);
        }
        if let Some(ramp) = ramp(&self.scenario.server, self.used()[1]) {
            measures.insert("of_ramp", elapsed / ramp);
        }
        self.etas(&mut measures);
        self.waits(&mut measures);
        self.storm(&mut measures);
        self.change(&mut measures, binding);
        self.lifted(&mut measures);
        self.pools(&mut measures);
        self.end(&mut measures);
        self.held(&mut measures);
        measures
    }

    /// Returns the number of lost rows. A row without an answer is lost, unless the run was stopped and kept the row
    /// for the next run.
    fn lost_rows(&self) -> f64 {
        let kept = match self.finish.halted {
            Some(_) => self.finish.pending as usize + self.rows - self.seen.offered.len(),
            None => 0,
        };
        self.rows as f64 - self.seen.answers.len() as f64 - kept as f64
    }

    /// Returns the number of requests per answered row. The requests and rows of the first `seconds` seconds of the run
    /// are left out.
    fn attempts_per_row_after(&self, seconds: f64) -> f64 {
        let sent = self.seen.requests.iter().filter(|request| request.sent_at >= seconds).count();
        let answered = self.seen.answers.iter().filter(|answer| answer.at >= seconds).count();
        sent as f64 / answered.max(1) as f64
    }

    fn used(&self) -> [f64; 3] {
        used_of(self.books.admitted, self.books.billed)
    }

    fn limits_of(&self, model: &str) -> [u32; 3] {
        self.scenario.server.limits_of.get(model).copied().unwrap_or(self.scenario.server.limits)
    }

    fn model_of_row(&self, row: u64) -> &str {
        self.scenario.model_of(&self.scenario.load.kinds[self.kinds[row as usize]])
    }

    /// Returns what the rows of one model used. If there is only one model, returns everything that the server counted.
    fn account(&self, model: &str) -> Account<'_> {
        let mut in_order: Vec<_> =
            self.seen.answers.iter().filter(|answer| self.model_of_row(answer.row) == model).collect();
        in_order.sort_by(|a, b| (a.at - a.latency).total_cmp(&(b.at - b.latency)));
        let used = match self.levels.len() {
            1 => self.used(),
            _ => Dimension::ALL
                .map(|dimension| in_order.iter().map(|answer| amount(answer.usage, dimension)).sum::<f64>()),
        };
        Account {
            server: &self.scenario.server,
            limits: self.limits_of(model),
            in_order,
            used,
            others: self.seen.last_admitted.1,
            levels: self.levels[model],
        }
    }

    /// Returns the shortest possible time of the run. This time follows from the rate limits, the latency and the limit
    /// on open requests. Also returns the rate limit on which this time depends; `None` if the time depends on no rate
    /// limit.
    fn bound(&self) -> (f64, Option<Dimension>) {
        let times = self.levels.keys().map(|model| self.account(model).least_time());
        let (by_limits, binding) = times.max_by(|a, b| a.0.total_cmp(&b.0)).expect("there is a model");
        let server = &self.scenario.server;
        let at_once = self.scenario.options.concurrency.or(server.max_concurrent.map(|n| n as usize));
        let work: f64 = self.seen.answers.iter().map(|answer| answer.latency).sum();
        let by_window = at_once.map_or(0.0, |n| work / n as f64);
        match server.cap_lifted_at_s {
            // Until the limit on open requests is removed, this limit decides the time. After the limit on open
            // requests is removed, the rate limits decide the time.
            Some(lifted) if by_window > lifted => (lifted + by_limits * (1.0 - lifted / by_window), Some(binding)),
            _ if by_window > by_limits => (by_window, None),
            _ => (by_limits, Some(binding)),
        }
    }

    /// Measures how wrong the shown remaining time is at three moments. These are the moments when a twentieth of the
    /// rows is done, when a twentieth of the time has passed, and one minute after the first change of limits.
    fn etas(&self, measures: &mut Measures) {
        let elapsed = self.seen.elapsed;
        let error = |(at, left): (f64, f64)| (at + left - elapsed).abs() / elapsed;
        let shown_at = |time: f64| self.seen.etas.iter().copied().find(|(at, _)| *at >= time);
        let changed_at = self.scenario.server.changes.first().map(|change| change.at_s + 60.0);
        let all = [
            ("eta_error", self.seen.eta),
            ("eta_error_by_time", shown_at(elapsed / 20.0)),
            ("eta_error_after_change", changed_at.and_then(shown_at)),
        ];
        measures.extend(all.into_iter().filter_map(|(name, shown)| Some((name, error(shown?)))));
    }

    /// After the limit on open requests is removed, measures how long the rate takes to reach the rate limits.
    fn lifted(&self, measures: &mut Measures) {
        let Some(lifted) = self.scenario.server.cap_lifted_at_s else { return };
        let (_, binding) = self.bound();
        let Some(dimension) = binding else { return };
        let rate = self.rate_of(&self.scenario.server, binding);
        let mut at = lifted;
        let used =
            |from: f64| self.between(from, from + 20.0).iter().map(|one| amount(one.usage, dimension)).sum::<f64>();
        while used(at) < 0.95 * rate * 20.0 && at < self.seen.elapsed {
            at += 1.0;
        }
        measures.insert("cap_left_after_s", at - lifted);
    }

    /// Divides the time of each pool by the least time that the pool's own limits allow. The measure is the largest of
    /// the pools' ratios.
    fn pools(&self, measures: &mut Measures) {
        if self.levels.len() < 2 {
            return;
        }
        let of_bound = |model: &&str| {
            let account = self.account(model);
            let end = account.in_order.iter().map(|answer| answer.at).fold(0.0, f64::max);
            end / account.least_time().0
        };
        measures.insert("slowest_pool", self.levels.keys().map(of_bound).fold(0.0, f64::max));
    }

    /// Measures the end of a run that was stopped early.
    fn end(&self, measures: &mut Measures) {
        let halted = self.finish.halted.as_ref();
        let first_429 =
            self.seen.requests.iter().filter(|request| request.status == 429).map(|request| request.head_at);
        let first_429 = first_429.fold(f64::INFINITY, f64::min);
        let after = self.seen.requests.iter().filter(|request| request.sent_at > first_429).count();
        measures.extend([
            ("halted_by_endpoint", f64::from(u8::from(matches!(halted, Some(HaltReason::Endpoint(_)))))),
            ("halted_by_wait", f64::from(u8::from(matches!(halted, Some(HaltReason::RetryAfter { .. }))))),
            ("sent_after_refusal", after as f64),
            ("failed_rows", self.seen.stats.failed_total() as f64),
        ]);
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

    /// Returns the share of the binding limit that the run used in its slowest `span` seconds. The binding limit is the
    /// limit that is used up first.
    fn slowest(&self, span: f64, binding: Option<Dimension>) -> f64 {
        let Some(dimension) = binding else { return f64::NAN };
        let end = self.seen.sent.values().copied().fold(0.0, f64::max);
        let rate = self.rate_of(&self.scenario.server, binding);
        let used = |from: f64, to: f64| -> f64 {
            let inside = self.between(from, to);
            inside.iter().map(|answer| amount(answer.usage, dimension)).sum()
        };
        // The server counts the tokens of an answer before the answer arrives. The answer arrives one round trip after
        // its tokens are counted.
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

    /// Returns the earliest time with this property: from then on, at least 19 of 20 state reports show the right
    /// reason for waiting.
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

    /// Measures the longest wait of a small row and of a big row. The wait of a row begins when the row is read.
    /// Because of the limit, the small rows before a row take some time. The judge subtracts this time from the row's
    /// wait. If there are N big rows before the row, the judge then divides the result by N + 1.
    fn waits(&self, measures: &mut Measures) {
        let kinds = &self.scenario.load.kinds;
        let limit = f64::from(self.scenario.server.limits[1]);
        let Some(big) = kinds.iter().position(|kind| kind.words as f64 >= limit * 0.9) else { return };
        let (mut small_wait, mut big_wait) = (0.0_f64, 0.0_f64);
        // The rows that were read and have not been sent. Each entry has the time when the row will be sent, and the
        // kind of the row.
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

    /// Measures what happens during and after a fault that lasts from `from` to `until`.
    fn storm(&self, measures: &mut Measures) {
        let rule = self.scenario.server.faults.get(0);
        let seconds = |name: &str| -> Option<f64> { rule?.get(name)?.as_str()?.strip_suffix('s')?.parse().ok() };
        let Some(from) = seconds("from") else { return };
        let Some(until) = seconds("until") else {
            let end = self.seen.elapsed;
            let probes = self.sent_between(from + 30.0, end) / ((end - from - 30.0) / 60.0).max(1.0);
            measures.extend([("given_up_after_s", end - from), ("probes_a_minute", probes)]);
            return;
        };
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

    /// Measures what happens after the first change of limits.
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
            .map(|answer| amount(answer.usage, dimension))
            .sum();
        measures.extend([
            ("change_refusals_round_trips", span / self.round_trip()),
            ("change_refusals", times.len() as f64),
            ("rate_after_change", used / (rate * 60.0)),
        ]);
    }

    /// Measures the shortest time from the first 429 response to the next request.
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
