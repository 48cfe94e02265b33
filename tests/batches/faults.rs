//! Single faults: of the API, of other clients, and of the user. Each function plays one fault and checks the result.

use std::time::Duration;

use claude_batch::domain::{
    ErrorClass, Expense, HaltReason, Identity, Job, JobKey, LaneChoice, Money, Planned, Reason, RowId,
};
use claude_batch::journal::Start;
use claude_batch::scheduler::HaltRule;
use claude_batch::sim::config::{BatchConfig, BatchTime};

use crate::judge::{
    Verdict, answers, assert_collected, assert_complete, assert_within, billed, log, open_chunks, submissions, verdict,
};
use crate::seen::{Call, Kill};
use crate::support::{ERRORS, RESULTS};
use crate::world::{Ended, MOST_IN_BATCH, NO_FAULTS, Run, World, label, labels, lines, play, quick, row, shaped};

const MINUTE: Duration = Duration::from_secs(60);

/// Returns the settings of batches that each take `seconds` seconds.
fn taking(seconds: u64) -> BatchConfig {
    BatchConfig { time: BatchTime::Fixed(Duration::from_secs(seconds)), ..quick() }
}

/// Runs the program. Then checks that every row has its answer, and that the run reported everything that was billed
/// twice.
async fn run_to_end(world: &mut World, run: &Run, what: &str) -> (Ended, Verdict) {
    let ended = world.run(run).await;
    assert!(ended.finish().halted.is_none(), "{what}: {ended:?}");
    assert_complete(world, &run.rows, &answers(&run.rows, world.row), what);
    let found = verdict(world, what);
    (ended, found)
}

/// Returns how many records of this type are in the log of batches.
fn recorded(world: &World, kind: &str) -> usize {
    log(world).iter().filter(|record| record["type"] == kind).count()
}

// ---- batches whose creation is uncertain ----------------------------------------------------------------------------

/// When the run creates a batch, the reply is lost or is a server error. The run does not know whether the batch
/// exists. The rows of the batch are billed only once. If the run finds no batch, it reports these rows as possibly
/// billed twice. If the run finds the batch, it does not report these rows.
pub fn unclear_creations() {
    for (rule, is_created) in [
        (r#""kind":"reset_before","takes_effect":true"#, true),
        (r#""kind":"reset_before""#, false),
        (r#""status":500,"takes_effect":true"#, true),
        (r#""status":500"#, false),
        (r#""kind":"truncated_json""#, true),
        (r#""kind":"stall""#, true),
    ] {
        let faults = format!(r#"{{"rules":[{{{rule},"calls":"create","arrivals":[1]}}]}}"#);
        play(&faults, quick(), async |world| {
            let (ended, found) = run_to_end(world, &Run::of(0..40), rule).await;

            let told = if is_created { 0 } else { 20 };
            assert_eq!((found.billed_again, found.overlaps, found.told), (0, 0, told), "{rule}: {ended:?}");
            assert!(ended.says("the reply to a submitted batch did not come"), "{rule}: {ended:?}");
        });
    }
}

/// A connection that is refused creates no batch. The run soon submits the rows again, and reports nothing as lost.
pub fn no_connection() {
    play(NO_FAULTS, quick(), async |world| {
        world.traffic().unconnected = 3;

        let (_, found) = run_to_end(world, &Run::of(0..30), "no connection").await;

        assert_eq!((found, recorded(world, "lost")), (Verdict::default(), 0));
        assert_eq!(world.calls(Call::Create), 5, "two batches, and three tries without a connection");
    });
    play(NO_FAULTS, quick(), async |world| {
        world.traffic().unconnected = u64::MAX;

        let ended = world.run(&Run { retry_for: 5 * MINUTE, ..Run::of(0..30) }).await;

        assert!(matches!(ended.finish().halted, Some(HaltReason::Endpoint(_))), "{ended:?}");
        world.traffic().unconnected = 0;
        let (_, found) = run_to_end(world, &Run::of(0..30), "connected again").await;
        assert_eq!(found, Verdict::default());
    });
}

/// The reply to the creation of a batch is lost, and for some time the list of batches lacks this batch. The run finds
/// the batch as soon as the list contains this batch.
pub fn a_list_that_lags() {
    let faults = r#"{"rules":[
        {"kind":"reset_before","calls":"create","takes_effect":true,"times":1},{"kind":"unlisted","within":"90s"}
    ]}"#;
    play(faults, quick(), async |world| {
        let (_, found) = run_to_end(world, &Run::of(0..40), "a list that lags").await;

        assert_eq!(found, Verdict::default());
    });
}

/// Two batches of a run have the same number of rows. The first batch was collected. The run dies before the reply to
/// the creation of the second batch arrives. The API's list of batches shows the second batch only after a delay. The
/// run must not mistake the collected batch for the second batch.
pub fn a_collected_batch_is_not_mistaken_for_a_lost_batch() {
    let faults = r#"{"rules":[
        {"kind":"unlisted","within":"40s"},
        {"kind":"request_errored","contains":"row","first_attempts_only":true}
    ]}"#;
    let mut tried = 0;
    for call in 4..20 {
        play(faults, taking(20), async |world| {
            world.run(&Run { kill: Kill::Unanswered(call), ..Run::of(0..21) }).await;
            if world.calls(Call::Create) != 2 || recorded(world, "created") != 1 {
                return;
            }
            tried += 1;

            let (ended, found) = run_to_end(world, &Run::of(0..21), "all rows").await;

            assert_eq!((found.billed_again, found.overlaps, found.told), (0, 0, 0), "{ended:?} {:?}", log(world));
        });
    }
    assert_eq!(tried, 1);
}

/// Somebody else creates batches of the same size at the same moment. The run can mistake a batch of somebody else for
/// its own. The run never cancels such a batch. When the batch has ended, the run forgets the batch. After that, the
/// run finds its own batch. If the run's own batch does not exist, the run submits the rows again.
pub fn foreign_batches_of_the_same_size() {
    for (effect, told) in [("true", 0), ("false", 20)] {
        let faults = format!(
            r#"{{"rules":[{{"kind":"reset_before","calls":"create","takes_effect":{effect},"arrivals":[3]}},
                {{"kind":"unlisted","within":"40s","arrivals":[3]}}]}}"#
        );
        play(&faults, quick(), async |world| {
            let theirs = [world.create_foreign(20), world.create_foreign(20)];

            let (ended, found) = run_to_end(world, &Run::of(0..21), effect).await;

            assert_eq!((found.billed_again, found.overlaps, found.told), (0, 0, told), "{effect}: {ended:?}");
            let foreign: Vec<_> = log(world).into_iter().filter(|record| record["type"] == "foreign").collect();
            assert!(!foreign.is_empty(), "{effect}: {:?}", log(world));
            assert!(foreign.iter().all(|record| theirs.contains(&record["id"].as_str().expect("an id").to_owned())));
            assert_eq!(world.calls(Call::Cancel), 0);
        });
    }
}

/// Two batches of a run have the same size, and the run does not know whether they exist. The first batch does not
/// exist, but the run takes a batch of another client for this first batch. The second batch exists, but the reply to
/// the request that created it is lost. The next batch that appears in the list is the second batch.
pub fn two_unclear_batches() {
    let faults = r#"{"rules":[
        {"kind":"reset_before","calls":"create","arrivals":[2]},
        {"kind":"reset_before","calls":"create","arrivals":[3],"takes_effect":true},
        {"kind":"unlisted","within":"60s","arrivals":[2]}
    ]}"#;
    play(faults, taking(30), async |world| {
        world.create_foreign(20);

        let (ended, found) = run_to_end(world, &Run::of(0..41), "two unclear batches").await;

        assert_eq!((found.billed_again, found.overlaps, found.told), (0, 0, 20), "{ended:?} {:?}", log(world));
        // The run mistook only one batch for its own: the batch of the other client. For each of its two batches, the
        // run mistook a foreign batch for its own at most once.
        assert!(recorded(world, "foreign") <= 2, "{:?}", log(world));
    });
}

/// Other clients create batches that are as large as the batches of the run, and some replies are lost. If the reply to
/// a call is lost, the call has created a batch in some cases, and no batch in other cases.
pub fn a_busy_workspace(seeds: u64) {
    for seed in 0..seeds {
        let faults = format!(
            r#"{{"seed":{seed},"rules":[
                {{"kind":"reset_before","calls":"create","takes_effect":true,"share":0.4,"draw":"attempt"}},
                {{"status":500,"calls":"create","share":0.3,"draw":"attempt"}}
            ]}}"#
        );
        play(&faults, quick(), async |world| {
            let mut random = fastrand::Rng::with_seed(seed);
            let foreign: Vec<Duration> =
                (0..random.u64(1..8)).map(|_| Duration::from_secs(random.u64(0..200))).collect();
            world.foreign(20, &foreign);

            let (_, found) = run_to_end(world, &Run::of(0..81), &format!("seed {seed}")).await;

            assert_eq!((found.billed_again, found.overlaps), (0, 0), "seed {seed}");
            assert_eq!(world.calls(Call::Cancel), 0);
        });
    }
}

// ---- limits of the API ----------------------------------------------------------------------------------------------

/// The queue of the API has no room for a second batch while batches of this run are open. The run waits for its open
/// batches, and sends every row once.
pub fn a_full_queue() {
    play(NO_FAULTS, BatchConfig { queue: Some(45), ..quick() }, async |world| {
        let (_, found) = run_to_end(world, &Run::of(0..101), "a full queue").await;

        assert_eq!((found, world.api().books().batches.highest_queue), (Verdict::default(), 40));
        assert!(submissions(world).values().all(|all| all.len() <= 1));
    });
}

/// Other clients fill the queue of the API. The run tries smaller and smaller batches until the queue accepts one. As
/// soon as the queue has room again, the run tries larger batches.
pub fn a_queue_that_others_fill() {
    let slow = BatchConfig { queue: Some(45), expiry: 20 * MINUTE, ..taking(600) };
    play(NO_FAULTS, slow, async |world| {
        world.create_foreign(40);

        let (_, found) = run_to_end(world, &Run::of(0..81), "others fill the queue").await;

        assert_eq!(found, Verdict::default());
        let now = world.now();
        let sizes: Vec<usize> = world.api().batches(now).map(|batch| batch.requests().len()).collect();
        assert!(sizes[1] < 20 && sizes[2..].contains(&20), "small batches first, then whole ones: {sizes:?}");
    });
}

/// The limit on calls per minute is reached. This limit also applies to calls that create batches.
pub fn few_calls_per_minute() {
    play(NO_FAULTS, BatchConfig { rpm: Some(4), ..quick() }, async |world| {
        let (_, found) = run_to_end(world, &Run::of(0..61), "few calls").await;

        assert_eq!(found, Verdict::default());
        assert!(world.api().books().refused_total() > 0);
    });
}

/// A batch whose body is too large for the API is submitted as several smaller batches. A single row that is too large
/// for a batch is sent online.
pub fn too_large() {
    for refused in [1, 3, 5, 6] {
        play(NO_FAULTS, quick(), async |world| {
            world.traffic().refusals.push((Call::Create, 413, TOO_LARGE, refused));

            let (_, found) = run_to_end(world, &Run::of(0..21), "too large").await;

            assert_eq!(found, Verdict::default());
        });
    }
}

const TOO_LARGE: &str =
    r#"{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}"#;
const NOT_FOUND: &str = r#"{"type":"error","error":{"type":"not_found_error","message":"Not found"}}"#;
const INVALID: &str = r#"{"type":"error","error":{"type":"invalid_request_error","message":"no batches for you"}}"#;

/// The endpoint does not support batches. The run reports this fact and stops. With `--lane auto`, the run sends every
/// row online instead.
pub fn an_endpoint_without_batches() {
    for (status, text) in [(404, NOT_FOUND), (405, NOT_FOUND), (501, NOT_FOUND), (400, INVALID)] {
        play(NO_FAULTS, quick(), async |world| {
            world.traffic().refusals.push((Call::Create, status, text, u64::MAX));
            world.traffic().refusals.push((Call::List, status, text, u64::MAX));

            let ended = world.run(&Run::of(0..41)).await;

            assert!(matches!(ended.finish().halted, Some(HaltReason::Batches(_))), "{status}: {ended:?}");
            assert_eq!(ended.finish().pending, 40, "{status}: {ended:?}");
            assert_eq!((verdict(world, "none"), labels(&world.disk, RESULTS).len()), (Verdict::default(), 1));
            let auto = Run { lane: LaneChoice::Auto, ..Run::of(0..41) };
            if status != 400 {
                let (ended, found) = run_to_end(world, &auto, "auto").await;
                assert!(ended.says("does not support batches"), "{status}: {ended:?}");
                assert_eq!((found, world.traffic().online.len()), (Verdict::default(), 41));
            }
        });
    }
}

// ---- faults of batches that exist -----------------------------------------------------------------------------------

/// For a long time, the run can't read the state of its batches, or can't download their results. After a limited wait
/// for the endpoint, the run reports the problem and ends. The batches stay open. If the user repeats the command, the
/// new run collects these batches.
pub fn an_endpoint_that_is_down() {
    for call in [Call::List, Call::Results] {
        play(NO_FAULTS, quick(), async |world| {
            let text = r#"{"type":"error","error":{"type":"api_error","message":"out of order"}}"#;
            world.traffic().refusals.push((call, 500, text, u64::MAX));
            let run = Run { retry_for: 5 * MINUTE, ..Run::of(0..41) };

            let ended = world.run(&run).await;

            assert!(matches!(ended.finish().halted, Some(HaltReason::Endpoint(_))), "{call:?}: {ended:?}");
            assert_eq!(ended.finish().batches, (2, 40), "{call:?}: {ended:?}");
            world.traffic().refusals.clear();
            let (_, found) = run_to_end(world, &run, "up again").await;
            assert_eq!(found, Verdict::default());
        });
    }
}

/// The API refuses the results of all batches. The run says why, once, and stops instead of waiting. If the API later
/// sends the results, the next run collects them.
pub fn refused_results() {
    for detach in [false, true] {
        play(NO_FAULTS, taking(20), async |world| {
            world.run(&Run { detach: true, ..Run::of(0..41) }).await;
            world.wait(MINUTE).await;
            let text = r#"{"type":"error","error":{"type":"invalid_request_error","message":"The key is disabled",
                "details":{"error_code":"cmek_key_disabled"}}}"#;
            world.traffic().refusals.push((Call::Results, 400, text, u64::MAX));
            let begun = world.now();

            let ended = world.run(&Run { detach, ..Run::of(0..41) }).await;

            assert!(matches!(ended.finish().halted, Some(HaltReason::Forbidden(_))), "{ended:?}");
            assert!(world.now().since(begun) < MINUTE, "{ended:?}");
            assert!(ended.says("can't be read (status 400, cmek_key_disabled: The key is disabled)"), "{ended:?}");
            let told = ended.said.iter().filter(|said| said.contains("can't be read")).count();
            assert_eq!(told, if detach { 2 } else { 1 }, "{ended:?}");
            assert_eq!((ended.finish().batches, ended.finish().ended_batches), ((2, 40), (2, 40)), "{ended:?}");
            world.traffic().refusals.clear();
            let (_, found) = run_to_end(world, &Run::of(0..41), "readable again").await;
            assert_eq!(found, Verdict::default());
        });
    }
}

/// The API refuses the results of one batch. The run collects the other batches before it stops.
pub fn refused_results_of_one_batch() {
    play(NO_FAULTS, taking(20), async |world| {
        let text = r#"{"type":"error","error":{"type":"invalid_request_error","message":"no"}}"#;
        world.traffic().refusals.push((Call::Results, 400, text, 1));
        let (ended, found) = run_to_end(world, &Run::of(0..41), "one refusal").await;

        assert_eq!(found, Verdict::default(), "{ended:?}");
        assert!(ended.says("can't be read (status 400, invalid_request_error: no); the run keeps trying"), "{ended:?}");
    });
}

/// A gateway always answers with a page of its own instead of results. A run that does not wait for its batches says so
/// and ends.
pub fn a_page_instead_of_results() {
    play(r#"{"rules":[{"kind":"html","status":200,"calls":"results"}]}"#, taking(20), async |world| {
        let run = Run { detach: true, ..Run::of(0..41) };
        world.run(&run).await;
        world.wait(MINUTE).await;
        let begun = world.now();

        let ended = world.run(&run).await;

        assert!(ended.finish().halted.is_none() && world.now().since(begun) < MINUTE, "{ended:?}");
        assert!(ended.says("can't be read (status 200"), "{ended:?}");
        assert_eq!(ended.finish().ended_batches, (2, 40), "{ended:?}");
    });
}

/// The API answers 404 for batches that exist: at first always, and later at random.
pub fn batches_that_are_not_found() {
    let faults = r#"{"rules":[
        {"status":404,"calls":["retrieve","results"],"within":"45s"},
        {"status":404,"calls":["retrieve","results"],"share":0.4,"draw":"attempt"},
        {"kind":"unlisted","within":"20s"}
    ]}"#;
    play(faults, quick(), async |world| {
        let (_, found) = run_to_end(world, &Run::of(0..61), "404s").await;

        assert_eq!(found, Verdict::default());
    });
}

/// Downloads are slow, break off, are cut without an error, or fail.
pub fn bad_downloads() {
    for rule in [
        r#""kind":"reset_mid","bytes":5000,"times":4"#,
        r#""kind":"truncated_json","times":2"#,
        r#""kind":"slow_drip","times":3"#,
        r#""kind":"stall","times":2"#,
        r#""status":500,"times":5"#,
        r#""status":429,"times":3,"retry_after":20"#,
        r#""kind":"html","times":2"#,
        r#""kind":"empty","times":2"#,
    ] {
        let faults = format!(r#"{{"rules":[{{{rule},"calls":"results"}}]}}"#);
        play(&faults, quick(), async |world| {
            let (ended, found) = run_to_end(world, &Run::of(0..41), rule).await;

            assert_eq!(found, Verdict::default(), "{rule}: {ended:?}");
        });
    }
}

/// Some rows that were billed are missing in the results of a batch. The run reports the missing rows and sends them
/// again. In all later runs, the money for the lost answers counts as spent.
pub fn results_that_lack_rows() {
    let faults = r#"{"rules":[{"kind":"result_missing","contains":[":5:",":6:"],"first_attempts_only":true}]}"#;
    play(faults, quick(), async |world| {
        let (ended, found) = run_to_end(world, &Run::of(0..21), "missing rows").await;

        assert_eq!((found.billed_again, found.told), (2, 2), "{ended:?}");
        assert_eq!(ended.finish().maybe_paid, 2, "{ended:?}");
        assert!(ended.says("lack 2 of its rows"), "{ended:?}");
        let at_most: Vec<_> = log(world).iter().filter_map(|record| record["at_most"].as_u64()).collect();
        assert!(at_most.contains(&(2 * MOST_IN_BATCH.0 as u64)), "{:?}", log(world));
    });
}

/// The results of a batch contain wrong lines: a row twice, and a row of another client. Wrong lines in the results
/// have no effect.
pub fn extra_results() {
    let foreign = r#"{"kind":"result_extra","contains":":5:","custom_id":"somebody-else"}"#;
    let mixed =
        r#"{"kind":"result_extra","contains":":5:","custom_id":"nonce001-7-1-00000000000000000000000000000000"}"#;
    for rule in [r#"{"kind":"result_extra","contains":":5:"}"#, foreign, mixed] {
        play(&format!(r#"{{"rules":[{rule}]}}"#), quick(), async |world| {
            let (ended, found) = run_to_end(world, &Run::of(0..21), rule).await;

            assert_eq!(found, Verdict::default(), "{rule}: {ended:?}");
        });
    }
}

/// A result has an unknown type. The row of this result counts as possibly billed, and is sent again.
pub fn results_of_unknown_types() {
    play(NO_FAULTS, quick(), async |world| {
        world.traffic().spoilt_results.push((r#""type":"succeeded""#, r#""type":"transmogrified""#));
        let run = Run { max_retries: 1, ..Run::of(0..21) };

        let ended = world.run(&run).await;

        let found = verdict(world, "unknown types");
        assert!(found.told > 0 && ended.says("lack 1 of its rows"), "{found:?} {ended:?}");
        world.traffic().spoilt_results.clear();
        world.run(&Run { start: Start::Resume, ..run.clone() }).await;
        assert_complete(world, &run.rows, &answers(&run.rows, world.row), "unknown types");
        verdict(world, "unknown types");
    });
}

/// All batches are stuck until they expire. With `--lane batch`, rows fail after the last try, and their error lines
/// say why. With `--lane auto`, rows are sent online after the second try.
pub fn expired_batches() {
    let stuck = || BatchConfig { time: BatchTime::Stuck, ..quick() };
    play(NO_FAULTS, stuck(), async |world| {
        let run = Run { max_retries: 1, ..Run::of(0..21) };

        let ended = world.run(&run).await;

        assert_eq!((ended.failed.len(), &ended.failed[..1]), (20, &[ErrorClass::Expired][..]), "{ended:?}");
        assert!(submissions(world).values().all(|all| all.len() <= 2));
        let online = Run { start: Start::Resume, lane: LaneChoice::Online, ..run.clone() };
        world.run(&online).await;
        assert_complete(world, &run.rows, &answers(&run.rows, world.row), "resumed online");
        assert_eq!(verdict(world, "resumed online"), Verdict::default());
    });
    play(NO_FAULTS, stuck(), async |world| {
        let run = Run { lane: LaneChoice::Auto, ..Run::of(0..21) };

        let (_, found) = run_to_end(world, &run, "auto").await;

        assert_eq!((found, world.traffic().online.len()), (Verdict::default(), 21));
    });
}

/// Somebody cancels a batch after some of its rows are answered. The run collects the answers, and sends the rows
/// without an answer again.
pub fn a_batch_that_somebody_cancels() {
    play(NO_FAULTS, taking(60), async |world| {
        let run = Run { detach: true, ..Run::of(0..41) };
        world.run(&run).await;
        world.wait(Duration::from_secs(30)).await;
        let id = submissions(world).values().find_map(|all| Some(all.first()?.batch.clone())).expect("a batch");
        world.call(http::Method::POST, &format!("/{id}/cancel"), "");

        let (ended, found) = run_to_end(world, &Run::of(0..41), "cancelled").await;

        assert_eq!(found, Verdict::default(), "{ended:?}");
        let books = world.api().books().batches.clone();
        assert!(books.canceled > 0 && books.succeeded == 40, "{books:?}");
    });
}

/// Somebody deletes a batch that was not collected. The rows of the deleted batch are reported as possibly billed
/// twice, and are sent again.
pub fn a_batch_that_somebody_deletes() {
    play(NO_FAULTS, taking(30), async |world| {
        world.run(&Run { detach: true, ..Run::of(0..41) }).await;
        world.wait(MINUTE).await;
        let id = submissions(world).values().find_map(|all| Some(all.first()?.batch.clone())).expect("a batch");
        world.call(http::Method::DELETE, &format!("/{id}"), "");
        let ended = world.run(&Run { detach: true, ..Run::of(0..41) }).await;
        assert_eq!((ended.finish().batches, ended.finish().missing_batches), ((1, 20), (1, 20)), "{ended:?}");

        let (ended, found) = run_to_end(world, &Run::of(0..41), "deleted").await;

        assert_eq!((found.billed_again, found.told), (20, 20), "{ended:?}");
        assert_eq!(ended.finish().maybe_paid, 20);
        let told = ended.said.iter().filter(|said| said.contains("1 batch is not in the list of the API")).count();
        assert!(told == 1 && ended.says("after 10 minutes, the batch is given up"), "{ended:?}");
        let again = world.run(&Run::of(0..41)).await;
        assert!(again.finish().halted.is_none() && again.calls == 0, "{again:?}");
    });
}

/// A run dies while it collects a batch, and then the batch is deleted. Rows that already have lines are not sent
/// again.
pub fn a_batch_that_is_deleted_after_it_was_collected_in_part(step: usize) {
    let run = Run::of(0..21);
    let changes = play(NO_FAULTS, taking(10), async |world| world.run(&run).await.changes);
    for at in (60..changes).step_by(step) {
        play(NO_FAULTS, taking(10), async |world| {
            let what = format!("change {at}");
            let dead = world.run(&Run { kill: Kill::Change { at, cut: 700 }, ..run.clone() }).await;
            assert!(dead.finish.is_none(), "{what}");
            world.wait(MINUTE).await;
            let before = labels(&world.disk, RESULTS).len();
            let ids: Vec<_> = submissions(world).values().filter_map(|all| Some(all.first()?.batch.clone())).collect();
            for id in ids {
                world.call(http::Method::DELETE, &format!("/{id}"), "");
            }

            let (ended, found) = run_to_end(world, &run, &what).await;

            let most = run.rows.len() - before;
            assert!(found.billed_again <= most as u64, "{what}: {before} had lines, {found:?} {ended:?}");
        });
    }
}

// ---- limits of the user ---------------------------------------------------------------------------------------------

/// The budget is too small for the whole input. The run makes batches small enough to fit into the budget, and the
/// charges never exceed the budget. After the run has collected everything that it submitted, it stops and says why.
pub fn a_small_budget() {
    for rows_that_fit in [3_u128, 20, 33, 50] {
        play(NO_FAULTS, quick(), async |world| {
            let most = Money(MOST_IN_BATCH.0 * rows_that_fit);
            let run = Run { max_cost: Some(most), ..Run::of(0..201) };

            let ended = world.run(&run).await;

            let what = format!("{rows_that_fit} rows fit");
            assert!(matches!(ended.finish().halted, Some(HaltReason::Budget(_))), "{what}: {ended:?}");
            assert_within(world, most, &what);
            assert_collected(world, &what);
            assert_eq!((verdict(world, &what), ended.finish().batches), (Verdict::default(), (0, 0)));
            let answered = labels(&world.disk, RESULTS).len() as u64;
            assert_eq!(answered + ended.finish().pending, 201, "{what}: {ended:?}");
            // Each answer costs a third of its highest possible cost.
            assert!(answered as u128 > 2 * rows_that_fit - 2, "{what}: only {answered} rows were answered");
            let next = world.run(&Run::of(0..201)).await;
            assert!(next.finish().halted.is_none());
            assert_complete(world, &run.rows, &answers(&run.rows, row), &what);
        });
    }
}

/// The first row of another kind must be sent online, and the money for it is not there. The run does not wait with the
/// rows that the budget has room for: it submits them at once. If the money is there after their batch, the row is
/// sent. Otherwise, the run stops, and nobody is told that the row waited for money.
pub fn a_row_that_waits_for_the_money_of_a_batch() {
    const DEAR: u64 = 19;
    fn with_a_dear_row(number: u64) -> Planned {
        let mut planned = row(number);
        if number == DEAR {
            crate::support::ask(&mut planned, "temperature", "0.5".to_owned());
            let most = Money(MOST_IN_BATCH.0 * 60);
            planned.ask.expense = planned.ask.expense.map(|expense| Expense { most, ..expense });
        }
        planned
    }
    for (rows_that_fit, is_sent) in [(30, false), (70, true)] {
        play(NO_FAULTS, taking(10), async |world| {
            world.row = with_a_dear_row;
            let most = Money(MOST_IN_BATCH.0 * rows_that_fit);
            let run = Run { max_cost: Some(most), window: 1, ..Run::of(0..=DEAR) };

            let ended = world.run(&run).await;

            let what = format!("{rows_that_fit} rows fit");
            let is_halted = matches!(ended.finish().halted, Some(HaltReason::Budget(_)));
            assert_eq!((is_halted, ended.finish().pending), (!is_sent, u64::from(!is_sent)), "{what}: {ended:?}");
            assert_eq!(labels(&world.disk, RESULTS).len() as u64, DEAR + u64::from(is_sent), "{what}");
            assert_within(world, most, &what);
            assert!(world.now().as_secs_f64() < 60.0, "{what}: the run took {} s", world.now().as_secs_f64());
            let longest =
                ended.reasons.iter().max_by(|one, other| one.1.total_cmp(&other.1)).map(|(reason, _)| *reason);
            let expected = if is_sent { Reason::Budget } else { Reason::Batches };
            assert_eq!(longest, Some(expected), "{what}: {:?}", ended.reasons);
        });
    }
}

/// Runs die, batches are lost, and rows are missing in results. The budget is never exceeded.
pub fn a_budget_over_several_runs() {
    let faults = r#"{"rules":[
        {"kind":"result_missing","share":0.2,"first_attempts_only":true},
        {"kind":"reset_before","calls":"create","arrivals":[2]}
    ]}"#;
    for seed in 0..12 {
        play(faults, quick(), async |world| {
            let mut random = fastrand::Rng::with_seed(seed);
            let most = Money(MOST_IN_BATCH.0 * random.u128(30..80));
            let run = Run { max_cost: Some(most), ..Run::of(0..61) };
            for _ in 0..6 {
                let kill = Kill::Change { at: random.u64(0..250), cut: random.usize(0..500) };
                world.run(&Run { kill, ..run.clone() }).await;
                assert_within(world, most, &format!("seed {seed}"));
            }
            world.run(&run).await;
            assert_within(world, most, &format!("seed {seed}"));
        });
    }
}

/// A limit on requests also counts rows in batches. The run ends at this limit, even if some rows must be sent again,
/// or if the API rejects a batch for some time.
pub fn a_limit_on_requests() {
    let expiring = r#"{"rules":[{"kind":"request_expired","contains":":5:","first_attempts_only":true}]}"#;
    for (faults, refusals) in [(NO_FAULTS, 0), (expiring, 0), (NO_FAULTS, 2)] {
        play(faults, quick(), async |world| {
            let text = r#"{"type":"error","error":{"type":"rate_limit_error","message":"the queue is full"}}"#;
            world.traffic().refusals.push((Call::Create, 429, text, refusals));
            let run = Run { max_requests: Some(31), ..Run::of(0..61) };

            let ended = tokio::time::timeout(60 * MINUTE, world.run(&run)).await.expect("the run ends");

            let what = format!("{faults}, {refusals} refusals");
            assert!(matches!(ended.finish().halted, Some(HaltReason::Budget(_))), "{what}: {ended:?}");
            // A run keeps files about the rows that must be sent again. The next run removes these files.
            assert!(open_chunks(world).is_empty(), "{what}: {:?}", log(world));
            let answered = labels(&world.disk, RESULTS).len() as u64;
            assert_eq!(answered, if faults == NO_FAULTS { 31 } else { 30 }, "{what}: {ended:?}");
            assert_eq!(answered + ended.finish().pending, 61, "{what}: {ended:?}");
        });
    }
}

/// When a time limit is reached, the run ends even if batches are open. The batches stay open. When the user repeats
/// the command, the command collects these batches.
pub fn a_limit_on_time() {
    play(NO_FAULTS, taking(110), async |world| {
        let run = Run { max_time: Some(MINUTE), ..Run::of(0..41) };

        let ended = world.run(&run).await;

        assert!(matches!(ended.finish().halted, Some(HaltReason::Budget(_))), "{ended:?}");
        assert_eq!(ended.finish().batches, (2, 40), "{ended:?}");
        assert!(world.now().as_secs_f64() < 62.0);
        let (_, found) = run_to_end(world, &Run::of(0..41), "the next run").await;
        assert_eq!(found, Verdict::default());
    });
}

/// A run stops if too many rows fail. Rows that fail in batches count too.
pub fn rows_that_all_fail() {
    let faults = r#"{"rules":[{"kind":"request_errored","type":"invalid_request_error","message":"it is wrong"}]}"#;
    for (rule, is_halted) in [(HaltRule::AllAlike, false), (HaltRule::Failures(5), true)] {
        play(faults, quick(), async |world| {
            let run = Run { halt: rule, batch_rows: 10, ..Run::of(0..51) };

            let ended = world.run(&run).await;

            assert_eq!(matches!(ended.finish().halted, Some(HaltReason::AllFail { .. })), is_halted, "{ended:?}");
            // No run pays again for batches that were already submitted.
            world.run(&Run { halt: HaltRule::Never, ..run.clone() }).await;
            assert_collected(world, "all fail");
            assert_eq!(labels(&world.disk, ERRORS).len(), 50);
            assert_eq!(verdict(world, "all fail"), Verdict::default());
            assert!(submissions(world).values().all(|all| all.len() == 1), "{:?}", submissions(world));
        });
    }
}

/// Ctrl-C is pressed while a batch is being submitted, while batches are open, or while results are read. The run ends
/// soon. When the user repeats the command, the new run finishes the remaining rows.
pub fn interrupts() {
    for (millis, again) in [(700, false), (750, false), (900, false), (5_000, false), (700, true), (760, true)] {
        let faults = r#"{"rules":[{"kind":"slow_drip","calls":"results"}]}"#;
        play(faults, taking(30), async |world| {
            let what = format!("after {millis} ms, twice: {again}");
            let at = Duration::from_millis(millis);
            let interrupts = if again { vec![at, at + Duration::from_millis(5)] } else { vec![at] };
            let run = Run { interrupts, ..Run::of(0..61) };

            let ended = world.run(&run).await;

            assert!(matches!(ended.finish().halted, Some(HaltReason::Signal(2))), "{what}: {ended:?}");
            assert!(world.now().as_secs_f64() < millis as f64 / 1_000.0 + 5.0, "{what}: it ends soon");
            let (_, found) = run_to_end(world, &Run::of(0..61), &what).await;
            assert!(found.billed_again <= found.died_online && found.overlaps == 0, "{what}: {found:?}");
        });
    }
    for seconds in 30..36 {
        play(NO_FAULTS, taking(30), async |world| {
            let what = format!("after {seconds} s");
            let run = Run { interrupts: vec![Duration::from_secs(seconds)], ..Run::of(0..301) };
            let ended = world.run(&Run { batch_rows: 100, ..run }).await;
            let lined = labels(&world.disk, RESULTS).len() as u64;
            let finish = ended.finish();
            if finish.halted.is_some() {
                assert_eq!(lined + finish.pending + finish.batches.1, 301, "{what}: {finish:?}");
            }
            let (_, found) = run_to_end(world, &Run::of(0..301), &what).await;
            assert_eq!(found, Verdict::default(), "{what}");
        });
    }
}

// ---- rows -----------------------------------------------------------------------------------------------------------

/// The first rows with a new kind of request fail online. The run then sends the next row of this kind online. The run
/// puts rows of this kind into batches only after the API has answered one of them online.
pub fn a_shape_whose_first_rows_fail() {
    let faults = r#"{"rules":[{"status":400,"contains":[":0:",":1:",":2:"],"first_attempts_only":true}]}"#;
    play(faults, quick(), async |world| {
        let run = Run::of(0..41);

        let ended = world.run(&run).await;

        assert_eq!((ended.failed.len(), world.traffic().online.len()), (3, 4), "{ended:?}");
        world.run(&Run { start: Start::Resume, ..run.clone() }).await;
        assert_complete(world, &run.rows, &answers(&run.rows, world.row), "a bad start");
        assert_eq!(verdict(world, "a bad start"), Verdict::default());
    });
    let faults = r#"{"rules":[{"status":400,"message":"no"}]}"#;
    play(faults, quick(), async |world| {
        let ended = world.run(&Run::of(0..41)).await;

        assert!(matches!(ended.finish().halted, Some(HaltReason::AllFail { .. })), "{ended:?}");
        assert_eq!((ended.finish().pending, world.calls(Call::Create)), (31, 0), "{ended:?}");
    });
}

/// One row in three has a parameter that batches do not support. The rows with this parameter are sent online.
pub fn rows_that_batches_refuse() {
    fn speedy(number: u64) -> Planned {
        let mut planned = row(number);
        if number % 3 == 1 {
            crate::support::ask(&mut planned, "stream", "true".to_owned());
        }
        planned
    }
    play(NO_FAULTS, quick(), async |world| {
        world.row = speedy;

        let (_, found) = run_to_end(world, &Run::of(0..61), "refused rows").await;

        assert_eq!(found, Verdict::default());
        assert_eq!(world.traffic().online.len(), 21, "20 rows, and the first of the others");
    });
}

/// The rows have many different kinds of requests. The first row of each kind is sent online, and all other rows share
/// batches.
pub fn many_shapes() {
    fn of_many_shapes(number: u64) -> Planned {
        let mut planned = row(number);
        let shape = number % 7;
        if shape & 1 == 1 {
            crate::support::ask(&mut planned, "temperature", "0.5".to_owned());
        }
        if shape & 2 == 2 {
            crate::support::ask(&mut planned, "top_k", "5".to_owned());
        }
        if shape & 4 == 4 {
            crate::support::ask(&mut planned, "stop_sequences", r#"["END"]"#.to_owned());
        }
        planned
    }
    play(NO_FAULTS, quick(), async |world| {
        world.row = of_many_shapes;

        let (_, found) = run_to_end(world, &Run::of(0..71), "many shapes").await;

        assert_eq!((found, world.traffic().online.len()), (Verdict::default(), 7));
    });
}

/// If several rows have equal requests, only one of these rows is sent in a batch. The other rows copy the answer to
/// this row. The answers are also copied if the first run ends directly after the submission, and the next run collects
/// the answers.
pub fn equal_rows() {
    fn of_twenty(number: u64) -> Planned {
        let (mut planned, like) = (row(number), shaped(number % 20, "equal row"));
        (planned.ask.request, planned.job.request) = (like.ask.request, like.job.request);
        let digest = u128::from(number % 20 + 1).wrapping_mul(0x0123_4567_89ab_cdef_0f1e_2d3c_4b5a_6979);
        planned.job.key = JobKey(digest.to_be_bytes());
        planned.job.identity = match number.is_multiple_of(2) {
            true => Identity::Named,
            false => Identity::Nth((number / 20) as u32),
        };
        let Job { custom_id, key, identity, .. } = &*planned.job;
        planned.job.row = RowId::of(custom_id, *key, identity);
        planned
    }
    for detach in [false, true] {
        play(NO_FAULTS, quick(), async |world| {
            world.row = of_twenty;
            let run = Run { dedupes: true, batch_rows: 7, ..Run::of(0..100) };
            if detach {
                world.run(&Run { detach, ..run.clone() }).await;
            }

            let ended = world.run(&run).await;

            let what = format!("detach {detach}");
            assert!(ended.finish().halted.is_none(), "{what}: {ended:?}");
            let mut done = labels(&world.disk, RESULTS);
            done.sort_unstable();
            let mut expected: Vec<_> = run.rows.iter().map(|&row| label(row)).collect();
            expected.sort_unstable();
            assert_eq!(done, expected, "{what}");
            let billed: u64 = billed(world).values().sum();
            assert_eq!(billed, 20, "{what}: equal rows are billed again");
        });
    }
}

/// The result line of a row in a batch states half of the online price.
pub fn costs() {
    play(NO_FAULTS, quick(), async |world| {
        run_to_end(world, &Run::of(0..41), "costs").await;

        let lines = lines(&world.disk, RESULTS);
        let told: f64 = lines.iter().filter_map(|line| line.pointer("/meta/cost_usd")?.as_f64()).sum();
        let charged = world.api().books().billed_usd;
        assert!((told - charged).abs() < 1e-9, "{told} {charged} {}", lines[1]);
    });
}
