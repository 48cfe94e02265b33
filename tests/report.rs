//! Tests what each view (a kind of report) writes for the same scripted run. The views are opened through the public
//! factory.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use claude_batch::domain::{
    Backoffs, BatchesEnd, BatchesStatus, Dimension, ErrorClass, EventBody, FailedRow, HaltReason, LimitKind, LimitUse,
    ModelClass, Money, PoolId, PoolStatus, Quality, RateLimits, Reason, RetriedRow, RunEvent, Speed, Usage,
};
use claude_batch::report::{self, ProgressKind, Reporter, Verbosity, ViewOptions};
use proptest::prelude::*;

#[test]
fn plain_lines_come_after_one_and_ten_seconds_and_notes_come_immediately() {
    let shown = played(ProgressKind::Plain, Verbosity::Normal, script());

    insta::assert_snapshot!(shown, @"
    1 s: 1 of 40 rows done, 60 rows/min, $0.0005 spent
    warning: two rows name max_token; did you mean max_tokens
    haiku-4.5 must wait 4 s: rate limit on input tokens
    10 s: 10 of 40 rows done, 60 rows/min, about 30 s left, limited by output tokens, $0.0050 spent, $0.0135–0.0600 expected
    interrupted: waiting for 3 requests in flight; interrupt again to stop at once
    ");
}

#[test]
fn all_json_lines_have_the_same_common_members() {
    let shown = played(ProgressKind::Json, Verbosity::Normal, script());

    let lines = shown.lines().map(serde_json::from_str::<serde_json::Value>).collect::<Result<Vec<_>, _>>();
    let lines = lines.expect("each line is JSON");
    assert!(lines.iter().all(|line| line["v"] == 1 && line["run"] == "r1" && line["at"].is_string()));
    let kinds = lines.iter().filter_map(|line| line["type"].as_str()).collect::<Vec<_>>();
    assert_eq!(kinds.iter().filter(|kind| **kind == "progress").count(), 26);
    assert_eq!((kinds.first(), kinds.last()), (Some(&"started"), Some(&"ended")));
    let last = lines.iter().rfind(|line| line["type"] == "progress").expect("there is one");
    insta::assert_snapshot!(last, @r#"{"already_done":0,"answered_in_batches":0,"at":"1970-01-01T00:00:26Z","batches":null,"cache_read_tokens":1200,"cache_saved_usd":0.0024,"cache_write_tokens":0,"copied":0,"cost_usd":0.012,"eta_s":null,"failed":1,"failed_by_class":{"server":1},"in_flight":3,"input_tokens":2400,"invalid":0,"maybe_paid":0,"mended":{},"ok":24,"outage":null,"output_tokens":480,"pools":[{"held_s":null,"itpm":450000,"level":[0.83,0.12,0.4],"otpm":90000,"pool":"haiku-4.5","provider":"anthropic","rpm":1000}],"projected_cost_usd":null,"projected_end":null,"providers":[],"reason":"output tokens per minute","refused":0,"retried":{"overloaded":1},"reused":0,"rows_per_minute":57.692,"run":"r1","saved_usd":0.0,"total":40,"truncated":0,"type":"progress","unknown":0,"unpriced":0,"v":1,"waiting_for":null,"window":16}"#);
    insta::assert_snapshot!(lines[lines.len() - 1], @r#"{"at":"1970-01-01T00:00:26Z","batches":null,"bound_by":[{"reason":"output tokens per minute","share":0.831},{"reason":"concurrency","share":0.169}],"cache":{"hit_rate":1.0,"read_tokens":1200,"saved_usd":0.0024,"write_1h_tokens":0,"write_5m_tokens":0},"elapsed_s":26.0,"failures":[{"class":"server","example":{"message":"Internal\u001b[2J error","row":"r25","status":500},"retryable":true,"rows":1}],"limit_use":[{"input_tokens":{"allowed":null,"counted":2400,"level":null,"share":null},"output_tokens":{"allowed":500,"counted":480,"level":null,"share":0.96},"pool":"haiku-4.5","provider":"anthropic","requests":{"allowed":433,"counted":25,"level":null,"share":0.058}}],"max_in_flight":3,"pending":15,"providers":[],"reason":"interrupted","run":"r1","type":"ended","v":1}"#);
}

#[test]
fn json_shows_what_a_run_waits_for_instead_of_the_time_left() {
    let mut events: Vec<_> = script().into_iter().filter(|event| event.at.as_second() < 24).collect();
    let (reason, pools) = (Reason::Draining, Vec::new());
    events.push(at(25, EventBody::Status { in_flight: 3, window: 16, reason, backoffs: Backoffs::default(), pools }));

    let shown = played(ProgressKind::Json, Verbosity::Normal, events);

    let progress = shown.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let progress: Vec<_> = progress.filter(|line| line["type"] == "progress").collect();
    let (before, last) = (&progress[progress.len() - 2], &progress[progress.len() - 1]);
    assert!(before["eta_s"].is_number() && before["waiting_for"].is_null(), "{before}");
    assert!(last["eta_s"].is_null() && last["waiting_for"] == "last answers", "{last}");
}

#[test]
fn a_plain_line_says_once_that_the_run_waits_for_the_last_answers() {
    let mut events: Vec<_> = script().into_iter().filter(|event| event.at.as_second() < 24).collect();
    let (reason, pools) = (Reason::Draining, Vec::new());
    events.push(at(35, EventBody::Status { in_flight: 3, window: 16, reason, backoffs: Backoffs::default(), pools }));

    let shown = played(ProgressKind::Plain, Verbosity::Normal, events);

    let last = shown.lines().last().expect("there is one");
    assert!(last.contains("for the last 3 answers,") && !last.contains("bound by"), "{last}");
}

#[test]
fn plain_lines_about_batches_come_every_minute_and_then_every_five_minutes() {
    let shown = played(ProgressKind::Plain, Verbosity::Normal, in_batches(4 * 3_600));

    let lines: Vec<_> = shown.lines().collect();
    assert!((95..=100).contains(&lines.len()), "60 in the first hour and 36 in the others: {}", lines.len());
    insta::assert_snapshot!([lines[0], lines[11], lines[lines.len() - 1]].join("\n"), @"
    1 s: 0 of 250 rows done, waiting for 1 batch (249 rows), submitted 1 s ago, $0.00 spent
    9 min 00 s: 0 of 250 rows done, waiting for 1 batch (249 rows), submitted 9 min ago, $0.00 spent
    4 h 00 min: 0 of 250 rows done, waiting for 1 batch (249 rows), submitted 4 h 00 min ago, $0.00 spent
    ");
}

#[test]
fn json_shows_the_open_batches_and_what_became_of_them() {
    let mut events = in_batches(10);
    let end = BatchesEnd { left: 1, left_rows: 249, refused: vec![("speed".to_owned(), 2)] };
    let (elapsed, reasons, uses) = (Duration::from_secs(11), Vec::new(), Vec::new());
    let batches = Some(Box::new(end));
    events
        .push(at(11, EventBody::Ended { pending: 0, reason: None, reasons, uses, elapsed, max_in_flight: 1, batches }));

    let shown = played(ProgressKind::Json, Verbosity::Normal, events);

    let lines: Vec<serde_json::Value> = shown.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let waits = lines.iter().find(|line| line["batches"]["open"] == 1).expect("there is one");
    insta::assert_snapshot!(waits["batches"], @r#"{"canceling":false,"collecting":0,"expires_in_s":86399.0,"next_look_s":null,"oldest_s":1.0,"open":1,"reply_lost":false,"rows":249,"trying":false}"#);
    assert_eq!((&waits["waiting_for"], &waits["eta_s"]), (&"batches".into(), &serde_json::Value::Null));
    insta::assert_snapshot!(lines[lines.len() - 1]["batches"], @r#"{"answered":0,"left":1,"left_rows":249,"refused":[{"parameter":"speed","rows":2}],"saved_usd":0.0}"#);
    assert!(lines[lines.len() - 2]["batches"].is_null(), "at the end, no state is current");
}

/// Returns the events of a run that waits `seconds` seconds for a batch.
fn in_batches(seconds: u64) -> Vec<RunEvent> {
    let mut events = vec![at(0, EventBody::Started { total: Some(250), already_done: 0 })];
    for second in 0..=seconds {
        let oldest = Duration::from_secs(second);
        let expires_in = Some(Duration::from_secs(86_400) - oldest);
        let status = BatchesStatus { open: 1, rows: 249, oldest, expires_in, ..BatchesStatus::default() };
        events.push(at(second as i64, EventBody::Batches(Some(status))));
        let (reason, pools, backoffs) = (Reason::Batches, Vec::new(), Backoffs::default());
        events.push(at(second as i64, EventBody::Status { in_flight: 0, window: 16, reason, backoffs, pools }));
    }
    events
}

#[test]
fn without_progress_only_warnings_are_written() {
    let shown = played(ProgressKind::None, Verbosity::Normal, script());

    assert_eq!(shown, "warning: two rows name max_token; did you mean max_tokens\n");
}

#[test]
fn quiet_writes_nothing() {
    assert_eq!(played(ProgressKind::Auto, Verbosity::Quiet, script()), "");
}

#[test]
fn live_lines_become_plain_lines_where_nothing_can_be_redrawn() {
    let plain = played(ProgressKind::Plain, Verbosity::Normal, script());

    assert_eq!(played(ProgressKind::Auto, Verbosity::Normal, script()), plain);
    assert_eq!(played(ProgressKind::Tty, Verbosity::Normal, script()), plain);
}

#[test]
fn verbose_output_shows_each_retry_and_failure() {
    let shown = played(ProgressKind::Plain, Verbosity::Verbose, script());

    assert!(shown.contains("retry: row ") && shown.contains(" overloaded, try "), "{shown}");
    assert!(shown.contains("failed: row ") && shown.contains(" server"), "{shown}");
}

#[test]
fn a_writer_that_fails_does_not_disturb_the_count() {
    let options = ViewOptions { writer: Box::new(Closed), ..options(ProgressKind::Plain, Verbosity::Normal) };
    let mut report = report::open(options);

    script().iter().for_each(|event| report.on_event(event));

    assert_eq!(report.stats().finished(), 25);
}

proptest! {
    #[test]
    fn no_text_from_outside_controls_the_terminal(text in any::<String>(), class in any::<String>()) {
        let pool = pool(&class);
        let held = EventBody::Held { pool: pool.clone(), wait: Duration::from_secs(1), kind: LimitKind::Rate, dimension: None };
        let changed = EventBody::LimitsChanged { pool, limits: RateLimits::NONE };
        let parked = EventBody::Parked { model: text.clone(), message: text.clone() };
        let events = [EventBody::Warned(text), parked, held, changed].map(|body| at(1, body));

        let shown = played(ProgressKind::Plain, Verbosity::Verbose, events.to_vec());

        prop_assert_eq!(shown.lines().count(), 4);
        prop_assert!(shown.chars().all(|char| char == '\n' || !char.is_control()));
    }
}

/// A run of 25 seconds with one row per second, a hold (a wait that the API asked for), a warning, a failure and an
/// interrupt.
fn script() -> Vec<RunEvent> {
    let mut events = vec![at(0, EventBody::Started { total: Some(40), already_done: 0 })];
    let usage = Usage { input_tokens: 100, cache_read_tokens: 50, output_tokens: 20, ..Usage::default() };
    let (cost, without_cache) = (Some(Money::from_dollars(0.0005)), Some(Money::from_dollars(0.0006)));
    for second in 1..=24 {
        let latency = Duration::from_millis(800);
        events.push(at(
            second,
            EventBody::Succeeded {
                row: "r1".into(),
                pool: None,
                model: "m".into(),
                quality: Quality::Ok,
                usage,
                cost,
                without_cache,
                latency: Some(latency),
                first_byte: None,
                mended: None,
            },
        ));
        let pools = vec![PoolStatus {
            pool: pool("haiku-4.5"),
            limits: RateLimits::new(1_000, 450_000, 90_000),
            level: [Some(0.83), Some(0.12), Some(0.4)],
            held_for: None,
            ready: 9,
            counted: [0; 3],
            allowed: [None; 3],
        }];
        let reason = Reason::Limit(Dimension::OutputTokens);
        events.push(at(
            second,
            EventBody::Status { in_flight: 3, window: 16, reason, backoffs: Backoffs::default(), pools },
        ));
    }
    let row = Box::new(RetriedRow {
        label: "r24".to_owned(),
        pool: Arc::new(pool("haiku-4.5")),
        status: Some(529),
        wait: Duration::from_secs(2),
        next_try: 2,
    });
    let retried = EventBody::Retried { row, class: ErrorClass::Overloaded, limit: None, maybe_paid: false };
    let warned = EventBody::Warned("two rows name max_token; did you mean max_tokens".to_owned());
    let (wait, dimension) = (Duration::from_secs(4), Some(Dimension::InputTokens));
    let held = EventBody::Held { pool: pool("haiku-4.5"), wait, kind: LimitKind::Rate, dimension };
    events.insert(10, at(5, warned));
    events.insert(20, at(9, held));
    events.push(at(24, retried));
    let row = Box::new(FailedRow::new("r25", Some(500), "Internal\x1b[2J error", true));
    let usage = Usage::default();
    let failed = EventBody::Failed { class: ErrorClass::Server, row, usage, cost: None, without_cache: None };
    events.push(at(24, failed));
    events.push(at(25, EventBody::Draining { in_flight: 3, reason: Some(Box::new(HaltReason::Signal(2))) }));
    events.push(at(
        26,
        EventBody::Ended {
            pending: 15,
            reason: Some(Box::new(HaltReason::Signal(2))),
            reasons: vec![(Reason::Limit(Dimension::OutputTokens), 0.8312), (Reason::Window, 0.1688)],
            uses: vec![LimitUse {
                pool: pool("haiku-4.5"),
                counted: [25, 2_400, 480],
                allowed: [Some(433), None, Some(500)],
            }],
            elapsed: Duration::from_secs(26),
            max_in_flight: 3,
            batches: None,
        },
    ));
    events
}

fn played(kind: ProgressKind, verbosity: Verbosity, events: Vec<RunEvent>) -> String {
    let buffer = Buffer::default();
    let mut report = report::open(ViewOptions { writer: Box::new(buffer.clone()), ..options(kind, verbosity) });
    events.iter().for_each(|event| report.on_event(event));
    report.finish();
    let bytes = buffer.0.lock().expect("no writer panics").clone();
    String::from_utf8(bytes).expect("views write text")
}

fn options(kind: ProgressKind, verbosity: Verbosity) -> ViewOptions {
    ViewOptions { kind, verbosity, is_terminal: false, is_colored: false, columns: None, writer: Box::new(Closed) }
}

fn at(second: i64, body: EventBody) -> RunEvent {
    let at = jiff::Timestamp::from_second(second).expect("a second of this century");
    RunEvent { at, run: Arc::from("r1"), body }
}

fn pool(class: &str) -> PoolId {
    let class = ModelClass(Arc::from(class));
    PoolId { provider: Arc::from("anthropic"), account: Arc::from(""), class, speed: Speed::Standard }
}

/// A buffer that the view and the test share.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no writer panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A standard error stream that is closed.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _bytes: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
