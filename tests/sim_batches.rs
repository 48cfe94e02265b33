//! Tests the message batches of the simulated API from outside, on virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use claude_batch::clock::{Instant, RunClock};
use claude_batch::domain::{Dimension, Money, RateLimits};
use claude_batch::provider::{Body, WireRequest};
use claude_batch::sim::answers::AnswerPlan;
use claude_batch::sim::config::{
    BatchConfig, BatchTime, Latency, Organizations, OutputLengths, SimConfig, UnknownModels,
};
use claude_batch::sim::faults::FaultPlan;
use claude_batch::sim::model::{Ending, Model, Request, Step};
use claude_batch::sim::presets;
use claude_batch::sim::transport::{SimTransport, lock};
use claude_batch::transport::{Exchange, Transport, WireErrorKind};
use http::{HeaderMap, HeaderValue, Method};
use proptest::prelude::*;
use serde_json::{Value, json};

mod support;

const MODEL: &str = "claude-sonnet-4-6";
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn counts_results_and_bills_agree_no_matter_what_clients_do(
        steps in prop::collection::vec((0_u8..6, 0_usize..6, 1_u64..4_000), 1..40),
        seed in any::<u64>(),
        minutes in 0_u64..180,
    ) {
        let rules = json!([
            {"kind": "request_errored", "share": 0.1, "draw": "attempt"},
            {"kind": "request_expired", "share": 0.02, "draw": "attempt"},
            {"kind": "reset_before", "calls": "create", "takes_effect": true, "share": 0.2, "draw": "attempt"},
        ]);
        let batches = |batches: &mut BatchConfig| {
            batches.time = BatchTime::Between(Duration::ZERO, Duration::from_secs(60 * minutes));
            (batches.queue, batches.expiry) = (Some(100), 2 * HOUR);
        };
        let mut api = Api::new(with(batches).with_seed(seed).with_faults(plan(&rules)));
        let mut made = 0;
        for (step, which, number) in steps {
            let known: Vec<String> = api.model.batches(api.now).map(|batch| batch.id().to_owned()).collect();
            let id = known.get(which).cloned().unwrap_or_else(|| "msgbatch_none".to_owned());
            match step {
                0 | 1 => {
                    let ids: Vec<String> = (0..1 + number % 30).map(|row| format!("{made}-{row}")).collect();
                    made += 1;
                    api.call(Method::POST, "", Some(body_of(&ids.iter().map(String::as_str).collect::<Vec<_>>())));
                }
                2 => {
                    api.call(Method::POST, &format!("/{id}/cancel"), None);
                }
                3 => {
                    api.call(Method::DELETE, &format!("/{id}"), None);
                }
                _ => api.wait(Duration::from_secs(number)),
            }
            let waiting: usize = api
                .model
                .batches(api.now)
                .filter(|batch| batch.ended().is_none())
                .map(|batch| batch.requests().filter(|request| request.result == "processing").count())
                .sum();
            prop_assert!(waiting <= 100, "{} wait", waiting);
        }
        let open = api.model.batches(api.now).any(|batch| batch.ended().is_none());
        prop_assert_eq!(api.model.is_idle(), !open);
        api.wait(3 * HOUR);

        let listed = api.get("?limit=1000")["data"].as_array().cloned().expect("a list");
        for batch in &listed {
            prop_assert_eq!(batch["processing_status"].as_str(), Some("ended"));
            let id = text(&batch["id"]);
            let results = api.lines(&id);
            let record = api.model.batches(api.now).find(|record| record.id() == id).expect("a record");
            let [processing, succeeded, errored, canceled, expired] = counts(batch);
            prop_assert_eq!(succeeded + errored + canceled + expired, record.requests().len() as u64);
            prop_assert_eq!((processing, results.len()), (0, record.requests().len()));
            for request in record.requests() {
                let line = results.iter().find(|line| line["custom_id"] == request.custom_id).expect("a line");
                prop_assert_eq!(&line["result"]["type"], request.result);
                prop_assert_eq!(request.billed.0 > 0, request.result == "succeeded");
            }
        }
        let (stats, batches) = (api.model.stats(api.now).books, api.model.books().batches.clone());
        let billed = api.model.batches(api.now).flat_map(|batch| batch.requests()).map(|request| request.billed);
        prop_assert_eq!(billed.fold(Money::ZERO, |sum, own| sum + own), stats.billed_money);
        prop_assert_eq!((stats.billed_calls, batches.ended), (batches.succeeded, batches.created));
        let ends = batches.succeeded + batches.errored + batches.canceled + batches.expired;
        prop_assert_eq!((ends, api.model.is_idle()), (batches.requests, true));
    }
}

#[test]
fn a_batch_is_in_progress_until_its_time_is_over_and_then_has_results() {
    let mut api = api();

    let created = api.create(&["a", "b", "c"]);
    let id = created["id"].as_str().expect("an id").to_owned();
    api.wait(HOUR - Duration::from_secs(1));
    let before = api.get(&format!("/{id}"));
    let early = api.call(Method::GET, &format!("/{id}/results"), None);
    api.wait(Duration::from_secs(1));
    let after = api.get(&format!("/{id}"));

    assert_eq!(created, before, "nothing shows until the end");
    assert!(id.starts_with("msgbatch_01"), "{id}");
    assert_eq!(
        created,
        json!({
            "id": id, "type": "message_batch", "processing_status": "in_progress",
            "request_counts": {"processing": 3, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
            "created_at": "1970-01-01T00:01:00.000000Z", "expires_at": "1970-01-02T00:01:00.000000Z",
            "ended_at": null, "cancel_initiated_at": null, "archived_at": null, "results_url": null,
        })
    );
    assert_eq!(early.status, 400);
    assert_eq!((after["processing_status"].as_str(), counts(&after)), (Some("ended"), [0, 3, 0, 0, 0]));
    assert_eq!(after["ended_at"], "1970-01-01T01:01:00.000000Z");
    assert_eq!(after["results_url"], format!("https://api.anthropic.com/v1/messages/batches/{id}/results"));
    let results = api.results(&id);
    assert_eq!(results.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
    let message = &results["a"]["message"];
    assert_eq!((results["a"]["type"].as_str(), message["type"].as_str()), (Some("succeeded"), Some("message")));
    assert_eq!(message["usage"]["service_tier"], "batch");
}

#[test]
fn an_answer_in_a_batch_has_the_content_of_an_answer_to_the_same_message_and_costs_half() {
    let mut api = api();
    let online = api.message(&question("a"));
    let paid_online = api.model.books().billed_money;

    let id = api.create_and_end(&["a"]);
    let message = &api.results(&id)["a"]["message"];

    assert_eq!(message["content"], online["content"]);
    assert_eq!(message["usage"]["output_tokens"], online["usage"]["output_tokens"]);
    assert_ne!(message["id"], online["id"]);
    let books = api.model.books();
    let paid = Money(books.billed_money.0 - paid_online.0);
    assert_eq!((paid.0 * 2, books.billed_calls), (paid_online.0, 2));
    assert!(paid.0 > 0);
    assert_eq!(books.billed_again, 1, "the same request was paid twice");
}

#[test]
fn results_come_in_an_order_of_their_own_which_depends_on_the_seed() {
    let ids: Vec<String> = (0..50).map(|number| format!("row-{number}")).collect();
    let order = |seed| {
        let mut api = Api::new(config().with_seed(seed));
        let id = api.create_and_end(&ids.iter().map(String::as_str).collect::<Vec<_>>());
        api.lines(&id).iter().map(|line| line["custom_id"].as_str().expect("an id").to_owned()).collect::<Vec<_>>()
    };

    let (first, again, other) = (order(1), order(1), order(2));

    assert_eq!(first, again);
    assert_ne!(first, other);
    assert_ne!(first, ids);
    assert_eq!(first.iter().collect::<BTreeSet<_>>(), ids.iter().collect());
}

#[test]
fn faults_of_params_show_only_at_the_end() {
    let mut api = api();
    let with = |name: &str, value: Value| {
        let mut body = question("x");
        body[name] = value;
        body
    };
    let cases = [
        ("stream", with("stream", json!(true)), "stream"),
        ("speed", with("speed", json!("fast")), "speed"),
        ("fallbacks", with("fallbacks", json!([])), "fallbacks"),
        ("zero", with("max_tokens", json!(0)), "max_tokens"),
        ("many", with("max_tokens", json!(1_000_000)), "max_tokens: 1000000 >"),
        ("model", with("model", json!("claude-x")), "model: claude-x"),
        ("field", with("max_token", json!(5)), "max_token: Extra inputs are not permitted"),
        ("nothing", json!({}), "model: Field required"),
        ("good", with("stream", json!(false)), ""),
    ];
    let requests: Vec<Value> = cases.iter().map(|(id, params, _)| request(id, params)).collect();

    let created = api.call(Method::POST, "", Some(json!({ "requests": requests })));
    api.wait(HOUR);
    let id = created.json()["id"].as_str().expect("an id").to_owned();
    let ended = api.get(&format!("/{id}"));
    let results = api.results(&id);

    assert_eq!(counts(&ended), [0, 1, 8, 0, 0]);
    for (id, _, message) in &cases[..8] {
        let error = &results[*id]["error"];
        assert_eq!((results[*id]["type"].as_str(), error["type"].as_str()), (Some("errored"), Some("error")), "{id}");
        assert_eq!(error["error"]["type"], "invalid_request_error", "{id}");
        assert!(error["error"]["message"].as_str().is_some_and(|said| said.contains(message)), "{id}: {error}");
        assert!(error["request_id"].as_str().is_some_and(|id| id.starts_with("req_01")));
    }
    assert_eq!((results["good"]["type"].as_str(), api.model.books().billed_calls), (Some("succeeded"), 1));
}

#[test]
fn a_bad_batch_is_refused_as_a_whole_and_a_large_body_is_accepted_only_here() {
    let mut api = api();
    let long = "x".repeat(65);

    let bad_id = api.call(Method::POST, "", Some(json!({"requests": [request(&long, &question("a"))]})));
    let twice =
        api.call(Method::POST, "", Some(json!({"requests": [request("a", &json!({})), request("a", &json!({}))]})));
    let empty = api.call(Method::POST, "", Some(json!({"requests": []})));
    let one = r#"{"custom_id":"a","params":{}}"#;
    let many = api.raw(Method::POST, "", format!(r#"{{"requests":[{}]}}"#, vec![one; 100_001].join(",")).as_bytes());
    let mut wide = br#"{"requests":[{"custom_id":"a","params":{}}]}"#.to_vec();
    wide.resize(33 << 20, b' ');
    let (large, message) = (api.raw(Method::POST, "", &wide), api.raw(Method::POST, "/v1/messages", &wide));
    wide.resize((256 << 20) + 1, b' ');
    let too_large = api.raw(Method::POST, "", &wide);

    let said = |answer: &Answer| answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert_eq!([&bad_id, &twice, &empty, &many].map(|answer| answer.status), [400; 4]);
    assert_eq!(said(&bad_id), "requests.0.custom_id: String should have at most 64 characters");
    assert!(said(&twice).contains("requests.1.custom_id"), "{}", said(&twice));
    assert!(said(&many).contains("at most 100000 items"), "{}", said(&many));
    assert_eq!((large.status, message.status, too_large.status), (200, 413, 413));
    assert_eq!(too_large.json()["error"]["type"], "request_too_large");
    assert_eq!(api.model.books().batches.created, 1);
}

#[test]
fn a_canceled_batch_has_the_answers_that_were_finished_before() {
    let ids: Vec<String> = (0..100).map(|number| format!("r{number}")).collect();
    let mut api = api();
    let created = api.create(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    let id = created["id"].as_str().expect("an id").to_owned();

    api.wait(HOUR / 4);
    let canceling = api.call(Method::POST, &format!("/{id}/cancel"), None).json();
    let again = api.call(Method::POST, &format!("/{id}/cancel"), None).json();
    let refused = api.call(Method::DELETE, &format!("/{id}"), None);
    api.wait(Duration::from_secs(30));
    let ended = api.get(&format!("/{id}"));
    let late = api.call(Method::POST, &format!("/{id}/cancel"), None);

    assert_eq!((canceling["processing_status"].as_str(), counts(&canceling)), (Some("canceling"), [100, 0, 0, 0, 0]));
    assert_eq!((&again, canceling["cancel_initiated_at"].as_str()), (&canceling, Some("1970-01-01T00:16:00.000000Z")));
    assert_eq!((refused.status, late.status), (400, 400));
    assert_eq!((ended["ended_at"].as_str(), counts(&ended)), (Some("1970-01-01T00:16:30.000000Z"), [0, 25, 0, 75, 0]));
    let results = api.results(&id);
    let canceled = api.model.batches(api.now).next().and_then(|batch| batch.canceled());
    assert_eq!(canceled, Some(Instant::from_secs(60) + HOUR / 4));
    assert_eq!(results.values().filter(|result| result["type"] == "succeeded").count(), 25);
    assert_eq!(results.values().filter(|result| **result == json!({"type": "canceled"})).count(), 75);
    assert_eq!(api.model.books().billed_calls, 25);
}

#[test]
fn requests_that_are_not_processed_in_a_day_expire() {
    let mut stuck = Api::new(with_time(BatchTime::Stuck));
    let mut slow = Api::new(with_time(BatchTime::Fixed(2 * DAY)));

    let [stuck_id, slow_id] =
        [&mut stuck, &mut slow].map(|api| api.create(&["a", "b", "c", "d"])["id"].as_str().expect("an id").to_owned());
    stuck.wait(DAY - Duration::from_secs(1));
    let before = stuck.get(&format!("/{stuck_id}"));
    stuck.wait(Duration::from_secs(1));
    slow.wait(DAY);

    assert_eq!(before["processing_status"], "in_progress");
    assert_eq!(counts(&stuck.get(&format!("/{stuck_id}"))), [0, 0, 0, 0, 4]);
    assert_eq!(counts(&slow.get(&format!("/{slow_id}"))), [0, 2, 0, 0, 2]);
    assert_eq!(stuck.results(&stuck_id)["a"], json!({"type": "expired"}));
    assert_eq!((stuck.model.books().billed_calls, slow.model.books().billed_calls), (0, 2));
}

#[test]
fn a_stuck_batch_can_be_canceled() {
    let mut api = Api::new(with_time(BatchTime::Stuck));
    let id = text(&api.create(&["a", "b"])["id"]);

    api.wait(HOUR);
    api.call(Method::POST, &format!("/{id}/cancel"), None);
    api.wait(Duration::from_secs(30));

    assert_eq!(counts(&api.get(&format!("/{id}"))), [0, 0, 0, 2, 0]);
    assert_eq!(api.model.books().billed_calls, 0);
}

#[test]
fn an_administrator_sees_the_limits_of_batches() {
    let mut api = Api::new(with(|batches| (batches.rpm, batches.queue) = (Some(50), Some(100_000))));
    api.key = "sk-ant-admin-k";

    let answer = api.raw(Method::GET, "/v1/organizations/rate_limits?group_type=batch", b"").json();

    let group = &answer["data"][0];
    assert_eq!((answer["data"].as_array().map(Vec::len), &group["models"]), (Some(1), &Value::Null));
    assert_eq!(group["group"]["display_name"], "Batch");
    assert_eq!(
        group["limits"],
        json!([{"type": "requests_per_minute", "value": 50}, {"type": "enqueued_batch_requests", "value": 100_000}])
    );
}

#[test]
fn the_list_has_pages_in_both_directions_newest_first() {
    let mut api = api();
    let mut ids: Vec<String> = (0..25).map(|_| text(&api.create(&["a"])["id"])).collect();
    ids.reverse();
    let page = |api: &mut Api, query: &str| {
        let page = api.get(&format!("?{query}"));
        let own: Vec<String> =
            page["data"].as_array().expect("a list").iter().map(|batch| text(&batch["id"])).collect();
        assert_eq!(page["first_id"].as_str(), own.first().map(String::as_str));
        assert_eq!(page["last_id"].as_str(), own.last().map(String::as_str));
        (own, page["has_more"].as_bool().expect("a boolean"))
    };

    assert_eq!(page(&mut api, ""), (ids[..20].to_vec(), true));
    assert_eq!(page(&mut api, "limit=1000&beta=true"), (ids.clone(), false));
    assert_eq!(page(&mut api, &format!("limit=3&after_id={}", ids[4])), (ids[5..8].to_vec(), true));
    assert_eq!(page(&mut api, &format!("limit=9&after_id={}", ids[15])), (ids[16..].to_vec(), false));
    assert_eq!(page(&mut api, &format!("limit=3&before_id={}", ids[4])), (ids[1..4].to_vec(), true));
    assert_eq!(page(&mut api, &format!("limit=3&before_id={}", ids[2])), (ids[..2].to_vec(), false));
    assert_eq!(page(&mut api, &format!("after_id={}", ids[24])), (vec![], false));
    for wrong in ["limit=0", "limit=1001", "limit=x", "after_id=msgbatch_x"] {
        assert_eq!(api.call(Method::GET, &format!("?{wrong}"), None).status, 400, "{wrong}");
    }
}

#[test]
fn a_deleted_batch_is_gone_but_its_record_stays() {
    let mut api = api();
    let id = api.create_and_end(&["a", "b"]);

    let deleted = api.call(Method::DELETE, &format!("/{id}"), None);
    let after = [
        api.call(Method::GET, &format!("/{id}"), None),
        api.call(Method::GET, &format!("/{id}/results"), None),
        api.call(Method::DELETE, &format!("/{id}"), None),
    ];

    assert_eq!(deleted.json(), json!({"id": id, "type": "message_batch_deleted"}));
    assert_eq!(after.each_ref().map(|answer| answer.status), [404; 3]);
    assert_eq!(after[0].json()["error"]["type"], "not_found_error");
    assert_eq!(api.get("")["data"], json!([]));
    let now = api.now;
    let records: Vec<_> = api.model.batches(now).collect();
    assert_eq!((records.len(), records[0].is_deleted()), (1, true));
    let ids: Vec<&str> = records[0].requests().map(|request| request.custom_id).collect();
    assert_eq!(ids, ["a", "b"]);
    assert!(records[0].requests().all(|request| request.billed.0 > 0 && request.params.is_empty()));
}

#[test]
fn results_are_gone_after_29_days() {
    let mut api = api();
    let id = api.create_and_end(&["a"]);

    api.wait(29 * DAY - HOUR - Duration::from_secs(1));
    let before = api.call(Method::GET, &format!("/{id}/results"), None).status;
    api.wait(Duration::from_secs(1));
    let batch = api.get(&format!("/{id}"));

    assert_eq!((before, api.call(Method::GET, &format!("/{id}/results"), None).status), (200, 404));
    assert_eq!(
        (batch["archived_at"].as_str(), &batch["results_url"]),
        (Some("1970-01-30T00:01:00.000000Z"), &Value::Null)
    );
}

#[test]
fn records_show_each_request_and_its_cost() {
    let mut api = api();
    api.create_and_end(&["a", "b"]);

    let billed = api.model.stats(api.now).books.billed_money;
    let record = api.model.batches(api.now).next().expect("a batch");

    assert_eq!((record.created(), record.ended()), (Instant::from_secs(60), Some(Instant::from_secs(60) + HOUR)));
    let requests: Vec<_> = record.requests().collect();
    assert_eq!(requests.iter().map(|request| request.billed).fold(Money::ZERO, |sum, own| sum + own), billed);
    let params: Value = serde_json::from_slice(requests[0].params).expect("JSON");
    assert_eq!((requests[0].custom_id, requests[0].result, params), ("a", "succeeded", question("a")));
    assert!(requests[0].usage.output_tokens > 0);
}

#[test]
fn the_queue_has_a_limit_and_a_batch_that_was_processed_makes_room() {
    let mut api = Api::new(with(|batches| batches.queue = Some(5)));

    let first = api.create(&["a", "b", "c"]);
    let refused = api.call(Method::POST, "", Some(body_of(&["d", "e", "f"])));
    let fits = api.call(Method::POST, "", Some(body_of(&["d", "e"])));
    api.wait(HOUR);
    let later = api.call(Method::POST, "", Some(body_of(&["d", "e", "f"])));

    assert_eq!((first["type"].as_str(), fits.status, later.status), (Some("message_batch"), 200, 200));
    assert_eq!((refused.status, refused.json()["error"]["type"].as_str()), (429, Some("rate_limit_error")));
    assert!(refused.header("retry-after").is_none());
    let books = api.model.books();
    assert_eq!((books.refused["batch_queue"], books.batches.created, books.batches.highest_queue), (1, 3, 5));
}

#[test]
fn all_batch_calls_share_a_request_limit_and_leave_the_limits_of_messages_alone() {
    let mut api = Api::new(with(|batches| batches.rpm = Some(3)).with_limits(RateLimits::new(2, 1_000, 1_000)));
    let levels = |api: &mut Api| Dimension::ALL.map(|dimension| api.model.level(MODEL, dimension, api.now));
    let full = levels(&mut api);

    let id = text(&api.create(&["a", "b", "c", "d", "e", "f"])["id"]);
    let statuses = [(); 3].map(|()| api.call(Method::GET, &format!("/{id}"), None));
    api.wait(HOUR);
    let after = levels(&mut api);

    assert_eq!(statuses.each_ref().map(|answer| answer.status), [200, 200, 429]);
    assert_eq!(statuses[2].header("retry-after"), Some("20"));
    assert_eq!(full, after);
    assert_eq!(api.model.books().billed_calls, 6, "six calls would not fit into the limit of messages");
    let _ = api.message(&question("a"));
}

#[test]
fn the_spend_cap_refuses_a_batch() {
    let mut api = Api::new(SimConfig { spend_cap: Some(Money(1)), ..config() });

    let id = api.create_and_end(&["a"]);
    let refused = api.call(Method::POST, "", Some(body_of(&["b"])));

    assert_eq!(refused.status, 429);
    assert_eq!(refused.json()["error"]["details"]["error_code"], "enforced_spend_limit_reached");
    assert_eq!(api.results(&id).len(), 1, "what was paid can be read");
}

#[test]
fn batches_have_a_cache_of_their_own() {
    let mut api = Api::new(with_time(BatchTime::Fixed(HOUR / 2)));
    let marked = |question: &str| {
        let system = json!([{"type": "text", "text": "word ".repeat(2_000), "cache_control": {"type": "ephemeral", "ttl": "1h"}}]);
        json!({"model": MODEL, "max_tokens": 16, "system": system, "messages": [{"role": "user", "content": question}]})
    };
    let mut usage = |id: &str, params: Value| {
        let created = api.call(Method::POST, "", Some(json!({"requests": [request(id, &params)]}))).json();
        api.wait(HOUR / 2);
        let batch = text(&created["id"]);
        let usage = api.results(&batch)[id]["message"]["usage"].clone();
        [usage["cache_creation_input_tokens"].clone(), usage["cache_read_input_tokens"].clone()]
    };
    let _ = usage("warm-up", question("x"));

    let first = usage("a", marked("one"));
    let second = usage("b", marked("two"));
    let online = api.message(&marked("three"))["usage"].clone();

    assert_eq!((first, second), ([json!(2_000), json!(0)], [json!(0), json!(2_000)]));
    assert_eq!(
        (&online["cache_creation_input_tokens"], &online["cache_read_input_tokens"]),
        (&json!(2_000), &json!(0))
    );
}

#[test]
fn organizations_do_not_see_the_batches_of_others() {
    let mut api = Api::new(SimConfig { organizations: Organizations::PerKey, ..config() });
    let id = api.create_and_end(&["a"]);

    api.key = "sk-ant-other";

    assert_eq!(api.call(Method::GET, &format!("/{id}"), None).status, 404);
    assert_eq!(api.get("")["data"], json!([]));
}

#[test]
fn unknown_paths_and_methods_are_refused() {
    let mut api = api();
    let cases = [
        (Method::GET, "/msgbatch_x", 404),
        (Method::GET, "/msgbatch_x/results", 404),
        (Method::POST, "/msgbatch_x/cancel", 404),
        (Method::DELETE, "/msgbatch_x", 404),
        (Method::GET, "/a/b", 404),
        (Method::GET, "/a/results/c", 404),
        (Method::GET, "es", 404),
        (Method::PUT, "", 405),
        (Method::POST, "/a", 405),
        (Method::POST, "/a/results", 405),
    ];

    for (method, path, status) in cases {
        assert_eq!(api.call(method.clone(), path, None).status, status, "{method} {path}");
    }
    assert_eq!(api.model.batches(Instant::from_secs(60)).count(), 0);
}

#[test]
fn a_batch_can_exist_although_its_creation_was_not_answered() {
    let mut lost = faulty(json!({"kind": "reset_before", "calls": "create", "takes_effect": true, "times": 1}));
    let mut failed = faulty(json!({"status": 500, "calls": "create", "takes_effect": true, "arrivals": [1]}));
    let mut refused = faulty(json!({"status": 500, "calls": ["create"], "first_attempts_only": true}));
    let mut cut = faulty(json!({"kind": "reset_before", "calls": "create", "times": 1}));

    let (lost_is_cut, _) = (lost.call(Method::POST, "", Some(body_of(&["a"]))).is_cut, lost.create(&["a"]));
    let failed_status = failed.call(Method::POST, "", Some(body_of(&["a"]))).status;
    let refused_statuses = [(); 2].map(|()| refused.call(Method::POST, "", Some(body_of(&["a"]))).status);
    let cut_is_cut = cut.call(Method::POST, "", Some(body_of(&["a"]))).is_cut;

    assert!(lost_is_cut && cut_is_cut);
    assert_eq!((failed_status, refused_statuses), (500, [500, 200]));
    let created = [&lost, &failed, &refused, &cut].map(|api| api.model.books().batches.created);
    assert_eq!(created, [2, 1, 1, 0]);
    let calls = [&lost, &failed, &refused, &cut].map(|api| api.model.books().batches.calls["create"]);
    assert_eq!(calls, [2, 1, 2, 1]);
    assert_eq!(lost.get("")["data"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_batch_can_be_missing_for_a_while() {
    let mut calls = faulty(json!({"status": 404, "calls": ["retrieve", "results"], "within": "10s"}));
    let mut list = faulty(json!({"kind": "unlisted", "within": "30s"}));
    let mut twice = faulty(json!({"status": 404, "calls": "results", "times": 2}));

    let id = text(&calls.create(&["a"])["id"]);
    let statuses = [0, 9, 1].map(|seconds| {
        calls.wait(Duration::from_secs(seconds));
        calls.call(Method::GET, &format!("/{id}"), None).status
    });
    let first = text(&list.create(&["a"])["id"]);
    list.wait(Duration::from_secs(20));
    let second = text(&list.create(&["a"])["id"]);
    let listed = |list: &mut Api, query: &str| {
        let data = list.get(query)["data"].clone();
        data.as_array().expect("a list").iter().map(|batch| text(&batch["id"])).collect::<Vec<_>>()
    };
    let pages = [listed(&mut list, ""), {
        list.wait(Duration::from_secs(10));
        listed(&mut list, "")
    }];
    let after = [listed(&mut list, &format!("?after_id={second}")), listed(&mut list, &format!("?before_id={first}"))];
    list.wait(Duration::from_secs(20));
    let all = listed(&mut list, "");
    let twice_id = twice.create_and_end(&["a"]);
    let results = [(); 3].map(|()| twice.call(Method::GET, &format!("/{twice_id}/results"), None).status);

    assert_eq!(statuses, [404, 404, 200]);
    assert_eq!(pages, [vec![], vec![first.clone()]]);
    assert_eq!(after, [vec![first.clone()], vec![]]);
    assert_eq!(all, [second, first]);
    assert_eq!(results, [404, 404, 200]);
}

#[test]
fn requests_can_be_made_to_fail_or_expire_by_share() {
    let ids: Vec<String> = (0..1_000).map(|number| format!("r{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut api = faulty_rules(json!([
        {"kind": "request_errored", "type": "overloaded_error", "share": 0.1, "first_attempts_only": true},
        {"kind": "request_expired", "share": 0.2, "first_attempts_only": true},
        {"kind": "request_errored", "contains": "\"r7?\""},
    ]));

    let id = api.create_and_end(&ids);
    let open = api.get(&format!("/{id}"));
    api.wait(DAY);
    let ended = api.get(&format!("/{id}"));
    let results = api.results(&id);
    let id = api.create_and_end(&ids);
    let second = api.get(&format!("/{id}"));

    assert_eq!(open["processing_status"], "in_progress", "it ends when the last requests expire");
    let [_, succeeded, errored, _, expired] = counts(&ended);
    assert!((70..130).contains(&errored) && (160..240).contains(&expired), "{ended}");
    assert_eq!(succeeded + errored + expired, 1_000);
    let kinds: BTreeSet<String> = results
        .values()
        .filter(|result| result["type"] == "errored")
        .map(|result| text(&result["error"]["error"]["type"]))
        .collect();
    assert!(kinds.contains("overloaded_error"), "{kinds:?}");
    assert_eq!(results["r7"]["type"], "errored");
    assert_eq!(counts(&second), [0, 999, 1, 0, 0], "only first attempts were affected, except for one row");
    assert_eq!(api.model.books().billed_again, succeeded, "these were paid twice");
}

#[test]
fn results_can_come_slowly_or_incomplete_or_with_extra_lines() {
    let whole = {
        let mut api = api();
        let id = api.create_and_end(&["a", "b", "c"]);
        api.call(Method::GET, &format!("/{id}/results"), None).body
    };
    let read = |rule: Value| {
        let mut api = faulty(rule);
        let id = api.create_and_end(&["a", "b", "c"]);
        api.call(Method::GET, &format!("/{id}/results"), None)
    };

    let cut = read(json!({"kind": "reset_mid", "calls": "results", "bytes": 100}));
    let half = read(json!({"kind": "reset_mid", "calls": "results"}));
    let short = read(json!({"kind": "truncated_json", "calls": "results", "at": 0.5}));
    let slow = read(json!({"kind": "slow_drip", "calls": "results", "bytes": 100, "every": "1s"}));
    let missing = read(json!({"kind": "result_missing", "contains": "b?"}));
    let twice = read(json!({"kind": "result_extra", "contains": "b?"}));
    let foreign = read(json!({"kind": "result_extra", "contains": "b?", "custom_id": "not-ours"}));

    assert_eq!((&cut.body[..], cut.is_cut, cut.status), (&whole[..100], true, 200));
    assert_eq!((half.body.len(), half.is_cut), (whole.len() / 2, true));
    assert_eq!((short.body.len(), short.is_cut), (whole.len() / 2, false));
    assert_eq!(slow.body, whole);
    assert_eq!(slow.took, Duration::from_secs((whole.len() as u64).div_ceil(100) - 1));
    let ids = |answer: &Answer| {
        let lines = answer.lines();
        let mut ids: Vec<String> = lines.iter().map(|line| text(&line["custom_id"])).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&missing), ["a", "c"]);
    assert_eq!(ids(&twice), ["a", "b", "b", "c"]);
    assert_eq!(ids(&foreign), ["a", "b", "c", "not-ours"]);
}

#[test]
fn rules_about_messages_do_not_affect_batches_and_rules_about_batches_do_not_affect_messages() {
    let mut api = faulty_rules(json!([{"status": 500, "calls": "create"}, {"status": 529}]));

    let create = api.call(Method::POST, "", Some(body_of(&["a"]))).status;
    let list = api.call(Method::GET, "", None).status;
    let message = api.raw(Method::POST, "/v1/messages", question("a").to_string().as_bytes()).status;

    assert_eq!((create, list, message), (500, 200, 529));
    let wrong = json!({"rules": [{"kind": "cache_refused", "calls": "create"}]}).to_string();
    assert!(FaultPlan::parse(&wrong, "f").expect_err("it makes no sense").to_string().contains("field `calls`"));
    let wrong = json!({"rules": [{"status": 500, "calls": "creates"}]}).to_string();
    assert!(FaultPlan::parse(&wrong, "f").expect_err("no call").to_string().contains("create, list, retrieve"));
}

#[test]
fn a_reset_forgets_all_batches() {
    let mut api = api();
    api.create(&["a"]);
    assert!(!api.model.is_idle());

    api.model.reset(api.now);

    assert!(api.model.is_idle());
    assert_eq!(api.get("")["data"], json!([]));
    assert_eq!(api.model.books().batches.created, 0);
}

#[test]
fn a_model_that_is_not_in_the_list_can_be_served() {
    let mut api = Api::new(SimConfig { unknown_models: UnknownModels::LikeTheFirst, ..config() });
    let mut params = question("a");
    params["model"] = json!("claude-x");

    let created = api.call(Method::POST, "", Some(json!({"requests": [request("a", &params)]}))).json();
    api.wait(HOUR);

    assert_eq!(api.results(&text(&created["id"]))["a"]["message"]["model"], "claude-x");
}

#[test]
fn scripted_answers_apply_to_requests_in_batches_and_refused_requests_end_as_errors() {
    let rules = json!({"rules": [
        {"contains": "one", "text": "Scripted."}, {"contains": "two", "refusal": true},
        {"share": 1, "times": 1, "first_attempts_only": true, "tool": {"name": "f", "input": {"a": 1}}}
    ]});
    let mut api = Api::new(config().with_answers(AnswerPlan::parse(&rules.to_string(), "a").expect("it is good")));
    let mut orphan = question("orphan");
    orphan["messages"][0]["content"] = json!([{"type": "tool_result", "tool_use_id": "a", "content": "x"}]);
    let mut requests: Vec<Value> = ["one", "two", "three", "four"].map(|id| request(id, &question(id))).into();
    requests.push(request("orphan", &orphan));

    let id = text(&api.call(Method::POST, "", Some(json!({ "requests": requests }))).json()["id"]);
    api.wait(HOUR);
    let results = api.results(&id);
    let again = api.results(&id);

    let content = |id: &str| results[id]["message"]["content"].clone();
    assert_eq!(content("one"), json!([{"type": "text", "text": "Scripted."}]));
    assert_eq!((&results["two"]["message"]["stop_reason"], content("two")), (&json!("refusal"), json!([])));
    let calls = ["three", "four"].iter().filter(|id| content(id)[0]["type"] == "tool_use").count();
    assert_eq!(calls, 1);
    let message = text(&results["orphan"]["error"]["error"]["message"]);
    assert!(message.starts_with("messages.0.content.0: unexpected `tool_use_id`"), "{message}");
    assert_eq!(results, again);
    assert_eq!(api.model.books().billed_calls, 3, "the refusal is free");
}

#[tokio::test(start_paused = true)]
async fn the_transport_in_this_process_serves_batches_on_virtual_time() {
    let clock = RunClock::start();
    let lost = json!([{"kind": "reset_before", "calls": "create", "takes_effect": true, "times": 1}]);
    let config = config().with_faults(plan(&lost));
    let model = Arc::new(Mutex::new(Model::new(config)));
    let transport = SimTransport::new(model.clone(), clock);
    let send = async |method: Method, path: &str, body: String| {
        let mut headers = HeaderMap::new();
        headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
        let path = format!("/v1/messages/batches{path}").into();
        let (route, body) = (support::pool_id("sonnet-4.x").into(), Body::plain(body.into()));
        let mut exchange = transport
            .send(WireRequest { route, method, path, headers, body, is_stream: false, transfer: Default::default() })
            .await?;
        let mut bytes = Vec::new();
        while let Some(piece) = exchange.chunk().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok::<_, claude_batch::transport::WireError>(String::from_utf8(bytes).expect("UTF-8"))
    };

    let lost = send(Method::POST, "", body_of(&["a"]).to_string()).await.expect_err("no answer comes");
    let list: Value =
        serde_json::from_str(&send(Method::GET, "?limit=1", String::new()).await.expect("a list")).expect("JSON");
    let id = text(&list["data"][0]["id"]);
    let mut polls = 0;
    while polls < 1_000 {
        let batch = send(Method::GET, &format!("/{id}"), String::new()).await.expect("a batch");
        if batch.contains("\"ended\"") {
            break;
        }
        polls += 1;
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let results = send(Method::GET, &format!("/{id}/results"), String::new()).await.expect("results");

    assert_eq!(lost.kind, WireErrorKind::Broken);
    assert_eq!((polls, clock.now().as_secs_f64() as u64), (60, 3_600));
    assert!(results.starts_with(r#"{"custom_id":"a","result":{"type":"succeeded","message":{"#), "{results}");
    assert_eq!(lock(&model).books().batches.created, 1);
}

/// The answer to a call.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    is_cut: bool,
    took: Duration,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    fn lines(&self) -> Vec<Value> {
        assert_eq!(self.header("content-type"), Some("application/x-jsonl"));
        let text = std::str::from_utf8(&self.body).expect("UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("ASCII"))
    }
}

/// A simulated API whose answers take no time, except that batches take an hour.
struct Api {
    model: Model,
    now: Instant,
    key: &'static str,
}

impl Api {
    fn new(config: SimConfig) -> Self {
        Self { model: Model::new(config), now: Instant::from_secs(60), key: "sk-ant-one" }
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// Sends a call to the batch endpoints. `path` is added to the common path of the batch endpoints.
    fn call(&mut self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.raw(method, path, body.map(|body| body.to_string()).unwrap_or_default().as_bytes())
    }

    /// Sends a body. If the path begins with `/v1/`, the path is used unchanged.
    fn raw(&mut self, method: Method, path: &str, body: &[u8]) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", HeaderValue::from_static(self.key));
        headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let path = if path.starts_with("/v1/") { path.to_owned() } else { format!("/v1/messages/batches{path}") };
        let request = Request { method: &method, path: &path, query, headers: &headers, body };
        let mut arrival = self.model.arrive(&request, self.now);
        let is_cut = arrival.body.iter().any(|step| matches!(step, Step::Reset { .. }));
        let mut took = Duration::ZERO;
        let mut bytes = Vec::new();
        for step in &arrival.body {
            match step {
                Step::Bytes { at, bytes: piece } => {
                    took = at.since(self.now);
                    bytes.extend_from_slice(piece);
                }
                Step::Part { part, .. } => {
                    let mut next = Some(*part);
                    while let Some(part) = next {
                        let (piece, after) = self.model.write_part(part);
                        bytes.extend_from_slice(&piece);
                        next = after;
                    }
                }
                Step::Reset { .. } | Step::Stall => break,
            }
        }
        if is_cut && bytes.is_empty() {
            return Answer { status: 0, headers, body: bytes, is_cut, took };
        }
        let head = self.model.head(&mut arrival, self.now);
        self.model.finish(arrival.ticket, Ending::Played, self.now);
        Answer { status: head.status, headers: head.headers, body: bytes, is_cut, took }
    }

    fn get(&mut self, path: &str) -> Value {
        let answer = self.call(Method::GET, path, None);
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    /// Sends a message and returns the answer.
    fn message(&mut self, body: &Value) -> Value {
        let answer = self.raw(Method::POST, "/v1/messages", body.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    /// Creates a batch with these ids.
    fn create(&mut self, ids: &[&str]) -> Value {
        let answer = self.call(Method::POST, "", Some(body_of(ids)));
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    /// Creates a batch and waits an hour. Returns the id of the batch.
    fn create_and_end(&mut self, ids: &[&str]) -> String {
        let id = text(&self.create(ids)["id"]);
        self.wait(HOUR);
        id
    }

    fn lines(&mut self, id: &str) -> Vec<Value> {
        self.call(Method::GET, &format!("/{id}/results"), None).lines()
    }

    /// Returns the results by `custom_id`.
    fn results(&mut self, id: &str) -> BTreeMap<String, Value> {
        self.lines(id).into_iter().map(|line| (text(&line["custom_id"]), line["result"].clone())).collect()
    }
}

fn api() -> Api {
    Api::new(config())
}

fn config() -> SimConfig {
    with_time(BatchTime::Fixed(HOUR))
}

fn with_time(time: BatchTime) -> SimConfig {
    with(|batches| batches.time = time)
}

fn with(change: impl FnOnce(&mut BatchConfig)) -> SimConfig {
    let mut batches =
        BatchConfig { time: BatchTime::Fixed(HOUR), cancel_time: Duration::from_secs(30), ..BatchConfig::default() };
    change(&mut batches);
    SimConfig::new(presets::models())
        .with_limits(RateLimits::new(1_000, 450_000, 90_000))
        .with_lengths(OutputLengths::fixed(10))
        .with_latency(Latency::ZERO)
        .with_batches(batches)
}

fn faulty(rule: Value) -> Api {
    faulty_rules(json!([rule]))
}

fn faulty_rules(rules: Value) -> Api {
    Api::new(config().with_faults(plan(&rules)))
}

fn plan(rules: &Value) -> FaultPlan {
    FaultPlan::parse(&json!({ "rules": rules }).to_string(), "faults.json").expect("the plan is good")
}

fn question(id: &str) -> Value {
    json!({"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": format!("{id}?")}]})
}

fn request(id: &str, params: &Value) -> Value {
    json!({"custom_id": id, "params": params})
}

fn body_of(ids: &[&str]) -> Value {
    json!({"requests": ids.iter().map(|id| request(id, &question(id))).collect::<Vec<_>>()})
}

fn counts(batch: &Value) -> [u64; 5] {
    let of = |name: &str| batch["request_counts"][name].as_u64().expect("a number");
    [of("processing"), of("succeeded"), of("errored"), of("canceled"), of("expired")]
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}")).to_owned()
}
