//! Tests of the output that people see during a run. Each scene of a run is drawn on emulated terminals of several
//! widths, with and without colours, and as plain lines. The snapshots are in `fixtures/captures`, one file per scene.
//!
//! After a change of the output, make the snapshots again with `INSTA_UPDATE=always cargo test --lib report::captures`,
//! and look at each snapshot.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use avt::Terminal;

use super::line::tests::{lines, used};
use super::notes::Verbosity;
use super::plain::Plain;
use super::progress::{Progress, Size};
use super::provider_states::tests::at_provider;
use super::stats::tests::{at, failed_with, retried, started, succeeded};
use super::use_of_limits::tests::limit_use;
use super::{Stats, SummaryContext, View, summary};
use crate::domain::{
    Backoffs, BatchesStatus, Dimension, ErrorClass, EventBody, Failure, FallbackCase, HaltReason, Interval, LimitKind,
    Money, Outage, PoolId, PoolStatus, Quality, RateLimits, Reason, RunEvent, RunForecast, Usage, WriteCause,
    WriteFault, WriteTarget,
};

const WIDTHS: [usize; 5] = [40, 60, 80, 100, 200];
const ROWS: usize = 24;
const COMMAND: &str = "$ claude-batch run prompts.jsonl";

#[test]
fn the_first_second() {
    let scene = Scene::of(20_000).then(0, forecast()).then(1, status(Reason::Ramp, 4, vec![at_rest()]));
    insta_scene("first-second", &scene);
}

#[test]
fn a_calm_run() {
    insta_scene("calm", &calm());
}

#[test]
fn a_limit_that_binds() {
    let scene = Scene::of(20_000).then(0, forecast()).rows(600, 10).then(600, fault()).then(
        600,
        status(Reason::Limit(Dimension::OutputTokens), 32, vec![used("haiku-4.5", [0.83, 0.12, 0.97], 600)]),
    );
    insta_scene("limited", &scene);
}

#[test]
fn a_storm_of_429s() {
    insta_scene("storm", &storm());
}

#[test]
fn a_hold_with_a_countdown() {
    let held = PoolStatus { held_for: Some(Duration::from_secs(12)), ..used("haiku-4.5", [0.99, 0.12, 0.62], 120) };
    let scene =
        Scene::of(20_000).rows(120, 10).then(120, hold("haiku-4.5", 15)).then(123, status(Reason::Hold, 0, vec![held]));
    insta_scene("hold", &scene);
}

#[test]
fn several_models() {
    let classes = ["haiku-4.5", "sonnet-4.6", "opus-4.6", "haiku-3.5", "opus-4.1", "sonnet-4", "fable-5", "haiku-3"];
    let shares = |at: usize| [0.31 + at as f64 / 50.0, 0.12, 0.97 - at as f64 / 9.0];
    let pools = classes.iter().enumerate().map(|(at, class)| used(class, shares(at), 300));
    let mut pools: Vec<_> = pools.collect();
    pools[1].held_for = Some(Duration::from_secs(4));
    let three = pools[..3].to_vec();
    let scene = |pools| {
        let reason = Reason::Limit(Dimension::OutputTokens);
        Scene::of(20_000).rows(300, 10).then(300, status(reason, 96, pools))
    };
    insta_scene("three-models", &scene(three));
    insta_scene("eight-models", &scene(pools));
}

#[test]
fn two_providers() {
    let of = |provider: &str, shares| {
        let own = used("haiku-4.5", shares, 300);
        PoolStatus { pool: PoolId { provider: provider.into(), ..own.pool }, ..own }
    };
    let held = PoolStatus { held_for: Some(Duration::from_secs(12)), ..of("anthropic", [0.99, 0.12, 0.40]) };
    let (from, to, why) = ("anthropic".into(), "bedrock".into(), FallbackCase::Limit);
    let scene = Scene::of(20_000)
        .then(0, EventBody::Providers(vec!["anthropic".into(), "bedrock".into()].into()))
        .rows_by("anthropic", 150, 10)
        .rows_by("bedrock", 300, 10)
        .then(298, hold("haiku-4.5", 15))
        .then(300, EventBody::Diverted { from, to, why })
        .then(300, status(Reason::Window, 48, vec![held, of("bedrock", [0.35, 0.05, 0.21])]));
    insta_scene("two-providers", &scene);
}

#[test]
fn the_last_answers() {
    let scene = Scene::of(1_239)
        .rows(120, 10)
        .then(140, status(Reason::Draining, 39, vec![used("haiku-4.5", [0.61, 0.12, 0.44], 140)]));
    insta_scene("last-answers", &scene);
}

#[test]
fn an_endpoint_that_is_overloaded() {
    insta_scene(
        "overload",
        &calm()
            .then(172, outage(42))
            .then(172, status(Reason::Probe, 0, vec![used("haiku-4.5", [0.29, 0.06, 0.38], 172)])),
    );
}

#[test]
fn rows_in_batches() {
    let batches = BatchesStatus {
        open: 25,
        rows: 250_000,
        oldest: Duration::from_secs(720),
        expires_in: Some(Duration::from_secs(85_680)),
        ..BatchesStatus::default()
    };
    let scene = Scene::of(250_001)
        .rows(1, 1)
        .then(720, EventBody::Batches(Some(batches)))
        .then(720, status(Reason::Batches, 0, Vec::new()));
    insta_scene("batches", &scene);
}

#[test]
fn rows_from_a_pipe() {
    let mut scene = Scene { events: vec![at(0, started(None, 0))], end: None };
    scene = scene.rows(60, 5).then(60, status(Reason::Input, 3, vec![used("haiku-4.5", [0.31, 0.02, 0.1], 60)]));
    insta_scene("pipe", &scene);
}

#[test]
fn an_interrupted_run_waits_and_ends() {
    let scene = calm()
        .then(130, EventBody::Draining { in_flight: 39, reason: Some(Box::new(HaltReason::Signal(2))) })
        .then(131, status(Reason::Draining, 39, vec![used("haiku-4.5", [0.41, 0.08, 0.55], 131)]));
    insta_scene("interrupted", &scene.end(132, Some(HaltReason::Signal(2)), context()));
}

#[test]
fn each_kind_of_end() {
    let failure =
        |status, message: &str| Failure { status: Some(status), message: message.to_owned(), ..Failure::default() };
    let all = || Scene::of(1_200).rows(120, 10);
    insta_scene("end-finished", &all().end(121, None, SummaryContext { rerun_command: None, ..context() }));
    insta_scene("end-with-failures", &Scene::of(1_203).rows(120, 10).faults(3).end(121, None, with_errors()));
    let budget = HaltReason::Budget("--max-cost $12.00 would be exceeded".to_owned());
    insta_scene("end-budget", &calm().end(121, Some(budget), context()));
    let key = HaltReason::Key(failure(401, "invalid x-api-key"));
    insta_scene(
        "end-bad-key",
        &Scene::of(1_200).then(1, status(Reason::Ramp, 1, vec![at_rest()])).end(1, Some(key), context()),
    );
    let dead = HaltReason::Endpoint(failure(529, "Overloaded"));
    let down = calm()
        .then(172, outage(42))
        .then(172, status(Reason::Probe, 0, vec![used("haiku-4.5", [0.29, 0.06, 0.38], 172)]));
    insta_scene("end-dead-endpoint", &down.end(720, Some(dead), context()));
    let cause = WriteCause::ReaderGone;
    let pipe =
        WriteFault { target: WriteTarget::StandardOutput, cause, message: "Broken pipe (os error 32)".to_owned() };
    let closed = SummaryContext { results: None, ..context() };
    insta_scene("end-pipe-closed", &calm().end(121, Some(HaltReason::Disk(pipe)), closed));
}

/// A scene of a test: the events of a run up to one moment. A scene that shows the summary also contains the end of the
/// run.
#[derive(Clone)]
struct Scene {
    events: Vec<RunEvent>,
    end: Option<(RunEvent, SummaryContext)>,
}

impl Scene {
    fn of(total: u64) -> Self {
        Self { events: vec![at(0, started(Some(total), 0))], end: None }
    }

    fn then(mut self, second: i64, body: EventBody) -> Self {
        self.events.push(at(second, body));
        self
    }

    /// Adds `rows` answered rows in each second, from second 1 to second `seconds`.
    fn rows(mut self, seconds: i64, rows: usize) -> Self {
        for second in 1..=seconds {
            self.events.extend((0..rows).map(|_| at(second, succeeded(Quality::Ok))));
            // No status is added for the last second, because the scene itself adds that status.
            if second < seconds {
                self.events.push(at(second, status(Reason::Window, 64, Vec::new())));
            }
        }
        self
    }

    /// Adds rows that this provider answered: `rows` rows in each second, up to second `until`.
    fn rows_by(mut self, provider: &str, until: i64, rows: usize) -> Self {
        let last = self.events.last().map_or(0, |event| event.at.as_second());
        for second in last + 1..=until {
            self.events.extend((0..rows).map(|_| at(second, at_provider(provider, succeeded(Quality::Ok)))));
            if second < until {
                self.events.push(at(second, status(Reason::Window, 64, Vec::new())));
            }
        }
        self
    }

    fn faults(mut self, rows: usize) -> Self {
        let second = self.events.last().map_or(0, |event| event.at.as_second());
        self.events.extend((0..rows).map(|_| at(second, fault())));
        self
    }

    fn end(mut self, second: u64, halt: Option<HaltReason>, context: SummaryContext) -> Self {
        let allowed = RateLimits::new(1_000, 450_000, 90_000);
        let body = EventBody::Ended {
            pending: 0,
            reason: halt.map(Box::new),
            reasons: vec![(Reason::Limit(Dimension::OutputTokens), 0.83), (Reason::Window, 0.17)],
            uses: vec![limit_use("haiku-4.5", [2 * second, 9_000, 1_400 * second], allowed, second.max(1))],
            elapsed: Duration::from_secs(second),
            max_in_flight: 64,
            batches: None,
        };
        self.end = Some((at(second as i64, body), context));
        self
    }

    fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        self.events.iter().for_each(|event| stats.fold(event));
        stats
    }

    /// Returns what a terminal of this width shows at the moment of the scene. If the scene contains the end of the
    /// run, the result also contains the text that is printed after the run.
    fn screen(&self, columns: usize, is_colored: bool) -> String {
        let terminal = Arc::new(Mutex::new(Terminal::with_scrollback(columns, ROWS, None).expect("a size")));
        let size = Box::new(move || Size { columns, rows: ROWS });
        let mut view = Progress::new(size, Verbosity::Normal, is_colored, Box::new(Feed(terminal.clone())));
        let _ = write!(Feed(terminal.clone()), "{COMMAND}\r\n");
        let mut stats = Stats::default();
        for event in &self.events {
            stats.fold(event);
            view.show(event, &stats);
        }
        // The last events of a scene have the same time. A view draws at most ten times per second, so these events are
        // visible only after another drawing.
        view.redraw(&stats);
        let mut shown = visible(&terminal);
        if let Some((end, context)) = &self.end {
            stats.fold(end);
            view.show(end, &stats);
            let _ =
                Feed(terminal.clone()).write_all(summary(&stats, context, columns).replace('\n', "\r\n").as_bytes());
            shown.push_str("   ⋮\n");
            shown.push_str(&visible(&terminal));
        }
        shown
    }

    /// Returns the plain lines of the scene, for a log whose width is not known.
    fn log(&self) -> String {
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut view = Plain::new(Verbosity::Normal, None, Box::new(Log(log.clone())));
        let mut stats = Stats::default();
        for event in &self.events {
            stats.fold(event);
            view.show(event, &stats);
        }
        let log = log.lock().unwrap_or_else(PoisonError::into_inner).clone();
        String::from_utf8(log).expect("text")
    }
}

/// Compares a scene with its snapshot file.
fn insta_scene(name: &str, scene: &Scene) {
    let mut shown = String::new();
    for columns in WIDTHS {
        let screen = scene.screen(columns, false);
        assert_eq!(screen, scene.screen(columns, true), "colours do not change the text");
        shown.push_str(&format!("──── {columns} columns\n{screen}\n"));
    }
    let colored = lines(&scene.stats(), 99, true).join("\n");
    shown.push_str(&format!("──── 100 columns, colours as marks\n{}\n\n", marked(&colored)));
    shown.push_str(&format!("──── plain lines\n{}", scene.log()));
    assert!(!shown.contains('\x1b'), "a colour without a mark");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../fixtures/captures");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, shown));
}

/// Returns the text with readable tags in place of its colours.
fn marked(text: &str) -> String {
    const MARKS: [(&str, &str); 6] = [
        ("\x1b[1m\x1b[31m", "<red bold>"),
        ("\x1b[1m\x1b[35m", "<magenta bold>"),
        ("\x1b[36m", "<cyan>"),
        ("\x1b[1m", "<bold>"),
        ("\x1b[2m", "<dim>"),
        ("\x1b[0m", "</>"),
    ];
    MARKS.iter().fold(text.to_owned(), |text, (code, mark)| text.replace(code, mark))
}

fn visible(terminal: &Mutex<Terminal>) -> String {
    let terminal = terminal.lock().unwrap_or_else(PoisonError::into_inner);
    let lines: Vec<_> = terminal
        .screen()
        .all_lines()
        .map(|line| line.text().trim_end().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    lines.join("\n") + "\n"
}

/// Returns a run that uses at most 55 % of each limit.
fn calm() -> Scene {
    let pools = vec![used("haiku-4.5", [0.41, 0.08, 0.55], 120)];
    Scene::of(20_000).then(0, forecast()).rows(120, 10).then(120, status(Reason::Window, 64, pools))
}

/// Returns a run in which the server refuses many requests.
fn storm() -> Scene {
    let mut scene = Scene::of(20_000).rows(120, 5).then(118, hold("haiku-4.5", 6));
    for (attempts, limit) in [(240, LimitKind::Rate), (12, LimitKind::Acceleration)] {
        let body = |_| {
            let class = ErrorClass::RateLimit;
            at(119, EventBody::Retried { row: retried(), class, limit: Some(limit), maybe_paid: false })
        };
        scene.events.extend((0..attempts).map(body));
    }
    let class = ErrorClass::Overloaded;
    scene.events.push(at(119, EventBody::Retried { row: retried(), class, limit: None, maybe_paid: false }));
    let held = PoolStatus { held_for: Some(Duration::from_secs(4)), ..used("haiku-4.5", [1.22, 0.12, 0.62], 120) };
    let backoffs = Backoffs { rows: 31, first_in: Duration::from_secs(4), last_in: Duration::from_secs(19) };
    scene.then(120, EventBody::Status { in_flight: 2, window: 8, reason: Reason::Hold, backoffs, pools: vec![held] })
}

fn at_rest() -> PoolStatus {
    used("haiku-4.5", [0.0; 3], 1)
}

fn forecast() -> EventBody {
    let interval = |low, likely, high| Interval { low, likely, high };
    EventBody::Forecast(RunForecast {
        rows: 20_000,
        cost: Some(interval(180.0, 198.0, 215.0).map(Money::from_dollars)),
        at_most: None,
        time: Some(interval(1_500.0, 1_900.0, 2_400.0).map(Duration::from_secs_f64)),
        leaves_out_batches: false,
    })
}

fn status(reason: Reason, in_flight: usize, pools: Vec<PoolStatus>) -> EventBody {
    EventBody::Status { in_flight, window: 64.max(in_flight), reason, backoffs: Backoffs::default(), pools }
}

fn hold(class: &str, seconds: u64) -> EventBody {
    let (pool, wait) = (used(class, [0.0; 3], 1).pool, Duration::from_secs(seconds));
    EventBody::Held { pool, wait, kind: LimitKind::Rate, dimension: Some(Dimension::Requests) }
}

fn outage(seconds: u64) -> EventBody {
    let fault = Failure { status: Some(529), message: "Overloaded".to_owned(), ..Failure::default() };
    let (lasted, next_try) = (Duration::from_secs(seconds), Some(Duration::from_secs(3)));
    EventBody::Outage(Some(Box::new(Outage { provider: "anthropic".into(), fault, lasted, next_try })))
}

fn fault() -> EventBody {
    failed_with(ErrorClass::Server, Usage::default(), Some(Money::ZERO))
}

fn context() -> SummaryContext {
    SummaryContext {
        results: Some("prompts.results.jsonl".to_owned()),
        rerun_command: Some("claude-batch run prompts.jsonl".into()),
        price_date: Some("2026-11-24".to_owned()),
        ..SummaryContext::default()
    }
}

fn with_errors() -> SummaryContext {
    SummaryContext {
        errors: Some("prompts.errors.jsonl".to_owned()),
        failed_in_log: BTreeMap::from([(ErrorClass::Server, 3)]),
        resume_command: Some("claude-batch resume prompts.errors.jsonl".into()),
        ..context()
    }
}

/// A writer to an emulated terminal.
struct Feed(Arc<Mutex<Terminal>>);

impl Write for Feed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = std::str::from_utf8(bytes).map_err(std::io::Error::other)?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).feed(text);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A writer that collects the lines of the log.
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
