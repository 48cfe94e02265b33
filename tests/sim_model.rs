//! Compares the simulated API with plain arithmetic, on virtual time.
//!
//! The checks use a bucket of their own. This bucket has only a few lines, and shares no code with the simulator's
//! bucket.

use std::time::Duration;

use claude_batch::clock::Instant;
use claude_batch::domain::{Dimension, Money, RateLimits};
use claude_batch::sim::config::{
    Acceleration, Burst, Keys, Latency, LimitChange, Organizations, OtherClient, OtherManner, OutputLengths,
    OutputRule, SimConfig, UnknownModels,
};
use claude_batch::sim::faults::{Fault, FaultPlan, FaultRule, StatusFault};
use claude_batch::sim::model::{Arrival, Ending, Model, Request, Step, Ticket};
use claude_batch::sim::presets;
use claude_batch::sim::rules::{Draw, Selection};
use http::{HeaderMap, HeaderValue, Method};
use proptest::prelude::*;
use serde_json::{Value, json};

const MODEL: &str = "claude-haiku-4-5";
const MINUTE: u128 = 60_000_000_000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn requests_and_input_are_admitted_exactly_when_the_bucket_holds_enough(
        steps in prop::collection::vec((0_u64..4_000, 1_usize..400), 1..300),
        (rpm, itpm) in (1_u32..600, 200_u32..40_000),
        burst_secs in 1_u64..=60,
    ) {
        let burst = Burst::Time(Duration::from_secs(burst_secs));
        let limits = RateLimits { rpm: Some(rpm), itpm: Some(itpm), otpm: None };
        let mut api = Model::new(instant_answers(limits).with_burst(burst));
        let mut requests = PlainBucket::full(rpm, burst.capacity(rpm));
        let mut input = PlainBucket::full(itpm, burst.capacity(itpm));
        let mut admitted = Vec::new();
        let mut now = Instant::ZERO;

        for (wait_ms, words) in steps {
            now = now + Duration::from_millis(wait_ms);
            let body = prompt(words, 16);
            let tokens = input_tokens(&body);
            requests.advance(now);
            input.advance(now);
            let fits = requests.has(1) && input.has(tokens);
            let is_admitted = status(&arrive(&mut api, &body, now)) == 200;

            prop_assert_eq!(is_admitted, fits, "at {:?}: {} tokens", now, tokens);
            if is_admitted {
                requests.take(1);
                input.take(tokens);
                admitted.push((now, tokens));
            }
        }

        within_every_window(&admitted, |_| 1, rpm, burst.capacity(rpm))?;
        within_every_window(&admitted, |tokens| tokens, itpm, burst.capacity(itpm))?;
    }

    #[test]
    fn requests_are_admitted_only_above_an_output_level_of_zero_and_the_debt_is_at_most_the_output_in_flight(
        steps in prop::collection::vec((0_u64..3_000, 1_u32..400), 1..200),
        otpm in 60_u32..20_000,
        tokens_per_second in 5_u32..200,
    ) {
        let latency = Latency {
            first_token: Duration::from_millis(700),
            jitter: 0.0,
            tokens_per_second: tokens_per_second.into(),
            error: Duration::ZERO,
        };
        let config = SimConfig::new(presets::models())
            .with_limits(RateLimits { otpm: Some(otpm), ..RateLimits::NONE })
            .with_latency(latency)
            .with_lengths(OutputLengths { mean: 0.0, per_prompt_token: 0.0, per_max_token: 1.0, sigma: 0.0 });
        let mut api = Model::new(config);
        let mut calls: Vec<Production> = Vec::new();
        let mut last_admitted = Instant::ZERO;
        let mut now = Instant::ZERO;

        for (wait_ms, tokens) in steps {
            now = now + Duration::from_millis(wait_ms);
            let plain = plain_output_level(otpm, &calls, now);
            let level = api.level(MODEL, Dimension::OutputTokens, now).expect("a limit");
            prop_assert!((level - plain).abs() < 0.01, "{} is not {}", level, plain);
            let in_flight: f64 = calls.iter().filter(|call| call.end > last_admitted).map(|call| call.tokens).sum();
            prop_assert!(-level <= in_flight, "debt {} of {} in flight when the last request was admitted", -level, in_flight);

            let is_admitted = status(&arrive(&mut api, &prompt(3, tokens), now)) == 200;

            prop_assert!(is_admitted == (plain > 0.0) || plain.abs() < 0.01, "level {}, admitted: {}", plain, is_admitted);
            if is_admitted {
                let begin = now + latency.first_token;
                let end = begin + Duration::from_secs_f64(f64::from(tokens) / f64::from(tokens_per_second));
                calls.push(Production { begin, end, tokens: tokens.into() });
                last_admitted = now;
            }
        }
    }

    #[test]
    fn a_stream_that_its_client_leaves_is_charged_up_to_the_current_token(
        steps in prop::collection::vec((0_u64..3_000, 10_u32..400, 1_u64..1_000), 1..100),
        otpm in 60_u32..20_000,
        tokens_per_second in 5_u32..200,
    ) {
        let latency = Latency { tokens_per_second: tokens_per_second.into(), ..Latency::ZERO };
        let config = SimConfig::new(presets::models())
            .with_limits(RateLimits { otpm: Some(otpm), ..RateLimits::NONE })
            .with_latency(latency)
            .with_lengths(OutputLengths { mean: 0.0, per_prompt_token: 0.0, per_max_token: 1.0, sigma: 0.0 });
        let mut api = Model::new(config);
        let mut calls: Vec<Production> = Vec::new();
        let mut charged = 0;
        let mut now = Instant::ZERO;

        for (wait_ms, tokens, gone_ms) in steps {
            now = now + Duration::from_millis(wait_ms);
            let plain = plain_output_level(otpm, &calls, now);
            let level = api.level(MODEL, Dimension::OutputTokens, now).expect("a limit");
            prop_assert!((level - plain).abs() < 0.01, "{} is not {}", level, plain);
            let mut body: Value = serde_json::from_str(&prompt(3, tokens)).expect("JSON");
            body["stream"] = json!(true);
            let arrival = arrive(&mut api, &body.to_string(), now);
            if status(&arrival) == 429 {
                continue;
            }
            let gone = Duration::from_millis(gone_ms);
            let (begin, left) = (now, now + gone);
            api.finish(arrival.ticket, Ending::Left, left);
            // When the client disconnects, the simulator finishes the current token immediately. The simulator
            // therefore produces tokens at a constant rate only until that moment.
            let even = (gone.as_secs_f64() * f64::from(tokens_per_second)).min(f64::from(tokens));
            let end = begin + Duration::from_secs_f64(even / f64::from(tokens_per_second));
            let produced = (api.books().billed.output_tokens - charged) as f64;
            prop_assert!((-0.001..=1.001).contains(&(produced - even)), "{} of {}", produced, even);
            calls.push(Production { begin, end, tokens: even });
            calls.push(Production { begin: end, end, tokens: produced - even });
            charged = api.books().billed.output_tokens;
            now = left;
        }
    }

    #[test]
    fn waiting_for_the_whole_retry_after_is_enough_and_a_second_less_is_not(
        words in 1_usize..3_000,
        first in 1_usize..3_000,
        itpm in 600_u32..100_000,
        rpm in 1_u32..100,
    ) {
        let limits = RateLimits { rpm: Some(rpm), itpm: Some(itpm), otpm: None };
        let burst = Burst::Time(Duration::from_secs(6));
        let mut api = Model::new(instant_answers(limits).with_burst(burst));
        let mut now = Instant::ZERO;
        let mut refused = arrive(&mut api, &prompt(first, 16), now);
        while status(&refused) == 200 {
            now = now + Duration::from_millis(1);
            refused = arrive(&mut api, &prompt(words, 16), now);
        }
        let seconds: u64 = header(&refused, "retry-after").parse().expect("whole seconds");

        if seconds > 1 {
            let early = arrive(&mut api, &prompt(words, 16), now + Duration::from_secs(seconds - 1));
            prop_assert_eq!(status(&early), 429);
        }
        let in_time = arrive(&mut api, &prompt(words, 16), now + Duration::from_secs(seconds));

        prop_assert_eq!(status(&in_time), 200);
    }

    #[test]
    fn the_events_of_a_stream_together_give_the_plain_answer(
        seed in any::<u64>(),
        max_tokens in 1_u32..900,
        form in 0..6,
    ) {
        let mut body: Value = serde_json::from_str(&prompt(30, max_tokens)).expect("JSON");
        match form {
            1 => {
                body["tools"] = json!([tool()]);
                body["tool_choice"] = json!({"type": "any"});
            }
            2 => {
                let properties = json!({"é\"x": {"type": "string"}});
                let schema = json!({
                    "type": "object", "properties": properties, "required": ["é\"x"], "additionalProperties": false
                });
                body["output_config"] = json!({"format": {"type": "json_schema", "schema": schema}});
            }
            3 => body["stop_sequences"] = json!(["END \"quoted\""]),
            5 => {
                body["tools"] = json!([{"type": "web_search_20250305", "name": "web_search"}]);
                body["tool_choice"] = json!({"type": "any"});
            }
            4 => {
                body["max_tokens"] = json!(3_000);
                body["thinking"] = json!({"type": "enabled", "budget_tokens": 1_024});
            }
            _ => {}
        }
        let mut config = SimConfig::new(presets::models()).with_seed(seed);
        config.endings.stop_sequence = 1.0;
        let plain = whole_answer(&config, &body);
        body["stream"] = json!(true);
        let folded = fold(&whole_body(&config, &body));

        prop_assert_eq!(without_ids(plain), without_ids(folded));
    }
}

#[test]
fn token_headers_are_rounded_to_thousands_and_requests_are_exact() {
    let mut api = Model::new(instant_answers(RateLimits::new(50, 30_000, 8_000)));
    let body = prompt(1_600, 16);
    let tokens = input_tokens(&body);

    let mut arrival = arrive(&mut api, &body, Instant::ZERO);
    let headers = api.head(&mut arrival, Instant::ZERO).headers;

    let number = |name: &str| headers[name].to_str().expect("text").parse::<u64>().expect("a number");
    assert_eq!(number("anthropic-ratelimit-requests-limit"), 50);
    assert_eq!(number("anthropic-ratelimit-requests-remaining"), 49);
    assert_eq!(number("anthropic-ratelimit-input-tokens-limit"), 30_000);
    assert_eq!(number("anthropic-ratelimit-input-tokens-remaining"), (30_000 - tokens + 500) / 1000 * 1000);
    assert_eq!(number("anthropic-ratelimit-output-tokens-remaining"), 8_000);
    assert_eq!(number("anthropic-ratelimit-tokens-limit"), 38_000);
    assert_eq!(headers["anthropic-ratelimit-requests-reset"], "1970-01-01T00:00:02Z", "1.2 s, rounded up");
    assert!(headers["request-id"].to_str().expect("text").starts_with("req_01"));
    assert_eq!(headers["anthropic-organization-id"].len(), 36);
}

#[test]
fn a_refusal_has_all_rate_headers_and_the_same_request_id_in_head_and_body() {
    let mut api = Model::new(instant_answers(RateLimits::new(1, 30_000, 8_000)));
    arrive(&mut api, &prompt(1, 16), Instant::ZERO);

    let refused = arrive(&mut api, &prompt(1, 16), Instant::from_secs(1));

    let body: Value = serde_json::from_slice(&bytes(&refused)).expect("JSON");
    assert_eq!(status(&refused), 429);
    assert_eq!(header(&refused, "retry-after"), "59");
    assert_eq!(header(&refused, "anthropic-ratelimit-requests-remaining"), "0");
    assert_eq!(body["error"]["type"], "rate_limit_error");
    assert_eq!(body["request_id"].as_str(), Some(header(&refused, "request-id").as_str()));
    assert!(body["error"]["message"].as_str().expect("text").contains("1 requests per minute"));
}

#[test]
fn a_full_bucket_admits_a_row_larger_than_its_burst_and_is_then_below_zero() {
    let limits = RateLimits { itpm: Some(6_000), ..RateLimits::NONE };
    let mut api = Model::new(instant_answers(limits).with_burst(Burst::Time(Duration::from_secs(1))));
    let large = prompt(1_000, 16);
    let tokens = input_tokens(&large) as f64;

    let first = status(&arrive(&mut api, &large, Instant::ZERO));
    let level = api.level(MODEL, Dimension::InputTokens, Instant::ZERO).expect("a limit");
    let second = status(&arrive(&mut api, &large, Instant::from_secs(1)));

    assert_eq!((first, second), (200, 429));
    assert_eq!(level, 100.0 - tokens);
}

#[test]
fn the_old_rule_charges_max_tokens_up_front_and_gives_unused_tokens_back() {
    let mut config = instant_answers(RateLimits { otpm: Some(1_000), ..RateLimits::NONE });
    config.output_rule = OutputRule::MaxTokensUpFront;
    config.latency = Latency { first_token: Duration::from_secs(2), ..Latency::ZERO };
    config.lengths = OutputLengths::fixed(100);
    let mut api = Model::new(config);

    let first = status(&arrive(&mut api, &prompt(1, 900), Instant::ZERO));
    let second = status(&arrive(&mut api, &prompt(2, 900), Instant::from_secs(1)));
    let after = api.level(MODEL, Dimension::OutputTokens, Instant::from_secs(2)).expect("a limit");

    assert_eq!((first, second), (200, 429));
    assert!((after - 933.3).abs() < 0.1, "the level must be 100 left + 33.3 refilled + 800 given back, not {after}");
}

#[test]
fn an_estimate_that_was_wrong_is_corrected_at_the_end() {
    let mut config = instant_answers(RateLimits { itpm: Some(60_000), ..RateLimits::NONE });
    config.estimate_skew = 2.0;
    config.latency = Latency { first_token: Duration::from_millis(1), ..Latency::ZERO };
    let mut api = Model::new(config);
    let body = prompt(1_000, 5);
    let tokens = input_tokens(&body) as f64;
    let level = |api: &mut Model, at| api.level(MODEL, Dimension::InputTokens, at).expect("a limit");

    arrive(&mut api, &body, Instant::ZERO);
    let (before, after) = (level(&mut api, Instant::ZERO), level(&mut api, Instant::from_millis(1)));

    assert_eq!((before, after), (60_000.0 - 2.0 * tokens, 60_001.0 - tokens));
}

#[test]
fn the_same_seed_and_requests_give_the_same_bytes() {
    let config = SimConfig::new(presets::models()).with_seed(5);
    let all = || {
        let body = |words| serde_json::from_str(&prompt(words, 200)).expect("JSON");
        (1..40).map(|words| whole_body(&config, &body(words))).collect::<Vec<_>>()
    };

    let (once, twice) = (all(), all());

    assert_eq!(once, twice);
    assert!(once.windows(2).any(|pair| pair[0].len() != pair[1].len()), "lengths vary");
}

#[test]
fn a_second_attempt_gets_the_same_text_and_is_charged_again() {
    let mut api = Model::new(instant_answers(RateLimits::NONE));
    let ask = |api: &mut Model, at| {
        let arrival = arrive(api, &prompt(20, 300), at);
        serde_json::from_slice::<Value>(&bytes(&arrival)).expect("JSON")["content"].clone()
    };

    let (first, second) = (ask(&mut api, Instant::ZERO), ask(&mut api, Instant::from_secs(1)));

    assert_eq!(first, second);
    assert_eq!(api.stats(Instant::from_secs(2)).books.billed_again, 1);
}

#[test]
fn faults_hit_their_share_of_the_rows_and_can_be_limited_to_first_attempts() {
    let selection = Selection { share: 0.1, first_attempts_only: true, ..Selection::default() };
    let rule = FaultRule { selection, ..FaultRule::new(Fault::Status(StatusFault::new(529))) };
    let plan = FaultPlan { seed: Some(3), rules: vec![rule] };
    let mut api = Model::new(instant_answers(RateLimits::NONE).with_faults(plan));
    let round =
        |api: &mut Model| (0..5_000).filter(|row| status(&arrive(api, &numbered(*row), Instant::ZERO)) == 529).count();

    let first = round(&mut api);
    let second = round(&mut api);

    assert!((430..=570).contains(&first), "{first} of 5,000");
    assert_eq!(second, 0);
    assert_eq!(api.books().faults[&0], first as u64);
}

#[test]
fn the_fault_files_that_come_with_the_project_do_what_their_names_say() {
    let failing = |name: &str| {
        let path = format!("{}/fixtures/faults/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).expect("the file is there");
        let plan = FaultPlan::parse(&text, name).expect("the file is good");
        let mut api = Model::new(instant_answers(RateLimits::NONE).with_faults(plan));
        let mut round = |secs| {
            let spoiled = (0..2_000).filter(|row| {
                let arrival = arrive(&mut api, &numbered(*row), Instant::from_secs(secs));
                serde_json::from_slice::<Value>(&bytes(&arrival)).map_or(true, |body| body["type"] != "message")
            });
            spoiled.count()
        };
        (round(0), round(10), round(60))
    };

    let (first, second, third) = failing("tenth-for-good");
    assert!((160..=240).contains(&first) && first == second && second == third, "{first} {second} {third}");
    let (first, second, third) = failing("first-attempts");
    assert!((260..=380).contains(&first) && second == 0 && third == 0, "{first} {second} {third}");
    let (first, second, third) = failing("storm");
    assert!(first < 60 && second > 1_800 && third < 60, "{first} {second} {third}");
    assert_eq!(failing("wrong-key"), (2_000, 2_000, 2_000));
}

#[test]
fn all_attempts_of_a_row_fail_unless_each_attempt_is_drawn_separately() {
    let with = |draw| FaultRule {
        selection: Selection { share: 0.3, draw, ..Selection::default() },
        ..FaultRule::new(Fault::Status(StatusFault::new(500)))
    };
    let (by_row, by_attempt) = (with(Draw::Row), with(Draw::Attempt));
    let two_rounds = |rule: &FaultRule| {
        let plan = FaultPlan { seed: Some(3), rules: vec![rule.clone()] };
        let mut api = Model::new(instant_answers(RateLimits::NONE).with_faults(plan));
        let mut round = || {
            (0..200).filter(|row| status(&arrive(&mut api, &numbered(*row), Instant::ZERO)) == 500).collect::<Vec<_>>()
        };
        (round(), round())
    };

    let (first, second) = two_rounds(&by_row);
    assert_eq!(first, second);
    let (first, second) = two_rounds(&by_attempt);
    assert_ne!(first, second);
}

#[test]
fn bad_requests_get_the_answers_of_the_api() {
    let messages = json!([{"role": "user", "content": "Hi"}]);
    let base = json!({"model": MODEL, "max_tokens": 10, "messages": messages});
    let of = |model: &str, name: &str, value: Value| {
        let mut body = base.clone();
        body["model"] = json!(model);
        body[name] = value;
        body
    };
    let with = |name: &str, value: Value| of(MODEL, name, value);
    let prefill = json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Oh"}]);
    let mark = |n| json!({"type": "text", "text": format!("{n}"), "cache_control": {"type": "ephemeral"}});
    let five: Vec<Value> = (0..5).map(mark).collect();
    let image = json!({"type": "image", "source": {"type": "base64", "data": "AAAA", "media_type": "image/png"}});
    let blocks = json!([{"role": "user", "content": [{"type": "text", "text": "x"}, image]}]);
    let thinking = |budget| json!({"type": "enabled", "budget_tokens": budget});
    let too_many = "max_tokens: 64001 > 64000, which is the maximum allowed number of output tokens for \
                    claude-haiku-4-5-20251001";
    let cases = [
        (with("max_token", json!(5)), 400, "max_token: Extra inputs are not permitted"),
        (with("model", json!(null)), 400, "model: Field required"),
        (with("max_tokens", json!(null)), 400, "max_tokens: Field required"),
        (with("messages", json!(null)), 400, "messages: Field required"),
        (with("messages", json!([])), 400, "messages: at least one message is required"),
        (with("messages", json!([{"role": "user", "content": ""}])), 400, "non-empty content"),
        (with("messages", json!([{"role": "bot", "content": "x"}])), 400, "Unexpected role \"bot\""),
        (with("model", json!("claude-x")), 404, "model: claude-x"),
        (with("max_tokens", json!(64_001)), 400, too_many),
        (with("max_tokens", json!(-1)), 400, "max_tokens"),
        (with("stream", json!("yes")), 400, "stream: Input should be a valid boolean"),
        (with("temperature", json!(1.5)), 400, "temperature"),
        (with("system", json!("word ".repeat(200_001))), 400, "tokens > 200000 maximum"),
        (of("claude-sonnet-4-6", "messages", prefill.clone()), 400, "does not support assistant message prefill"),
        (of("claude-opus-4-8", "temperature", json!(0.5)), 400, "temperature"),
        (of("claude-opus-4-8", "thinking", thinking(2_000)), 400, "thinking"),
        (with("thinking", json!({"type": "adaptive"})), 400, "thinking"),
        (with("thinking", thinking(100)), 400, "1024"),
        (with("tool_choice", json!({"type": "any"})), 400, "tool_choice"),
        (with("system", json!(five)), 400, "A maximum of 4 blocks with cache_control may be provided. Found 5."),
        (with("messages", prefill), 200, ""),
        (of("claude-opus-4-8", "temperature", json!(1.0)), 200, ""),
        (with("messages", blocks), 200, ""),
    ];

    for (body, expected, part) in cases {
        let mut api = Model::new(instant_answers(RateLimits::NONE));
        let arrival = arrive(&mut api, &body.to_string(), Instant::ZERO);

        let text = String::from_utf8(bytes(&arrival)).expect("UTF-8").replace("\\\"", "\"");
        assert_eq!(status(&arrival), expected, "{text}");
        assert!(text.contains(part), "{text} lacks {part}");
    }
}

#[test]
fn versions_keys_and_paths_are_checked() {
    let body = prompt(1, 5);
    let sampled = body.replace("\"max_tokens\"", "\"temperature\":1,\"max_tokens\"");
    let key = ("x-api-key", "k");
    let old = ("anthropic-version", "2023-06-01");
    let new = ("anthropic-version", "2026-10-21");
    let cases = [
        (vec![key], "/v1/messages", &body, 400),
        (vec![key, ("anthropic-version", "2020-01-01")], "/v1/messages", &body, 400),
        (vec![old], "/v1/messages", &body, 401),
        (vec![("authorization", "Bearer k"), new], "/v1/messages", &body, 200),
        (vec![key, new], "/v1/messages", &sampled, 400),
        (vec![key, old], "/v1/messages", &sampled, 200),
        (vec![key, old, ("anthropic-beta", "nonsense")], "/v1/messages", &body, 400),
        (vec![key, old, ("anthropic-beta", "files-api-2025-04-14")], "/v1/messages", &body, 200),
        (vec![key, old, ("anthropic-beta", "claude-code-20250219,oauth-2025-04-20")], "/v1/messages", &body, 200),
        (vec![key, old], "/v1/complete", &body, 404),
        (vec![], "/v1/complete", &body, 404),
        (vec![key, old], "/v1/models", &body, 405),
    ];

    for (headers, path, body, expected) in cases {
        let mut api = Model::new(instant_answers(RateLimits::NONE));
        let map = header_map(&headers);
        let request = Request { method: &Method::POST, path, query: None, headers: &map, body: body.as_bytes() };

        assert_eq!(status(&api.arrive(&request, Instant::ZERO)), expected, "{headers:?} {path}");
    }
}

#[test]
fn unknown_betas_are_named_in_one_message() {
    let headers = header_map(&[
        ("x-api-key", "k"),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "nonsense, oauth-2025-04-20,more"),
    ]);
    let body = prompt(1, 5);
    let request =
        Request { method: &Method::POST, path: "/v1/messages", query: None, headers: &headers, body: body.as_bytes() };

    let refused = Model::new(instant_answers(RateLimits::NONE)).arrive(&request, Instant::ZERO);

    let text = String::from_utf8(bytes(&refused)).expect("UTF-8");
    assert_eq!(status(&refused), 400);
    assert!(text.contains("Unexpected value(s) `nonsense`, `more` for the `anthropic-beta` header"), "{text}");
}

#[test]
fn a_client_can_check_without_a_key_that_the_api_is_there_and_answers_to_head_have_no_body() {
    for (method, path, expected, has_body) in [
        (Method::HEAD, "/", 404, false),
        (Method::GET, "/", 404, true),
        (Method::HEAD, "/api/hello", 200, false),
        (Method::GET, "/api/hello", 200, true),
        (Method::POST, "/v1/complete", 404, true),
        (Method::POST, "/v1/messages", 401, true),
        (Method::HEAD, "/v1/messages", 401, false),
    ] {
        let (mut api, headers) = (Model::new(instant_answers(RateLimits::NONE)), HeaderMap::new());

        let answer =
            api.arrive(&Request { method: &method, path, query: None, headers: &headers, body: b"" }, Instant::ZERO);

        assert_eq!((status(&answer), !bytes(&answer).is_empty()), (expected, has_body), "{method} {path}");
    }
}

#[test]
fn the_server_runs_server_tools_and_leaves_client_tools_to_the_client() {
    let search = json!({"type": "web_search_20250305", "name": "web_search"});
    let fetch = json!({"type": "web_fetch_20250910", "name": "web_fetch"});
    let code = json!({"type": "code_execution_20250825", "name": "code_execution"});
    let bash = json!({"type": "bash_20250124", "name": "bash"});
    let any = json!({"type": "any"});
    let named = |name: &str| json!({"type": "tool", "name": name});
    let called = &["server_tool_use", "web_search_tool_result", "text"][..];
    let cases = [
        (json!([search]), any.clone(), called, "end_turn", 1),
        (json!([tool(), search]), named("web_search"), called, "end_turn", 1),
        (json!([fetch]), any.clone(), &["server_tool_use", "web_fetch_tool_result", "text"], "end_turn", 0),
        (json!([code]), any.clone(), &["text"], "end_turn", 0),
        (json!([search, tool()]), named("note_it"), &["tool_use"], "tool_use", 0),
        (json!([bash]), any, &["tool_use"], "tool_use", 0),
    ];

    for (tools, choice, kinds, stop_reason, searches) in cases {
        for is_stream in [false, true] {
            let mut body: Value = serde_json::from_str(&prompt(30, 900)).expect("JSON");
            (body["tools"], body["tool_choice"], body["stream"]) = (tools.clone(), choice.clone(), json!(is_stream));
            let mut api = Model::new(SimConfig::new(presets::models()));

            let mut arrival = arrive(&mut api, &body.to_string(), Instant::ZERO);
            api.head(&mut arrival, Instant::ZERO);
            let stats = api.stats(Instant::from_secs(600));

            let bytes = bytes(&arrival);
            let answer = if is_stream { fold(&bytes) } else { serde_json::from_slice(&bytes).expect("JSON") };
            let blocks = answer["content"].as_array().expect("a list");
            assert_eq!(
                blocks.iter().map(|block| block["type"].as_str()).collect::<Vec<_>>(),
                kinds.iter().map(|kind| Some(*kind)).collect::<Vec<_>>()
            );
            assert_eq!(answer["stop_reason"], stop_reason);
            assert_eq!(answer["usage"]["server_tool_use"]["web_search_requests"].as_u64().unwrap_or(0), searches);
            assert_eq!(stats.books.billed.web_searches, searches);
            assert_eq!(stats.books.billed_money >= Money(10_000_000_000), searches > 0, "a search costs a cent");
            if kinds[0] == "server_tool_use" {
                assert!(blocks[0]["input"].as_object().is_some_and(|input| !input.is_empty()), "{answer}");
                assert!(blocks[0]["id"].as_str().is_some_and(|id| id.starts_with("srvtoolu_")), "{answer}");
                assert_eq!(blocks[0]["id"], blocks[1]["tool_use_id"]);
            }
        }
    }
}

#[test]
fn a_bad_key_a_spend_cap_and_a_concurrency_cap_give_different_answers() {
    let base = instant_answers(RateLimits::new(100, 100_000, 100_000));
    let second = |config: SimConfig| {
        let mut api = Model::new(config);
        arrive(&mut api, &prompt(1, 5), Instant::ZERO);
        arrive(&mut api, &prompt(2, 5), Instant::from_secs(1))
    };

    let unknown = second(SimConfig { keys: Keys::None, ..base.clone() });
    let capped = second(SimConfig { spend_cap: Some(Money(1)), ..base.clone() });
    let crowded = second(SimConfig { max_concurrent: Some(1), ..base });

    assert_eq!(status(&unknown), 401);
    let body: Value = serde_json::from_slice(&bytes(&capped)).expect("JSON");
    assert_eq!(status(&capped), 429);
    assert_eq!(body["error"]["details"]["error_code"], "enforced_spend_limit_reached");
    assert!(!headers(&capped).contains_key("retry-after"));
    assert_eq!(status(&crowded), 429);
    assert!(headers(&crowded).keys().all(|name| !name.as_str().contains("ratelimit")));
}

#[test]
fn each_organization_has_a_spend_cap_and_a_concurrency_cap_of_its_own() {
    let config = SimConfig {
        organizations: Organizations::PerKey,
        max_concurrent: Some(1),
        spend_cap: Some(Money::from_dollars(0.000_001)),
        ..instant_answers(RateLimits::NONE)
            .with_latency(Latency { first_token: Duration::from_secs(1), ..Latency::ZERO })
    };
    let mut api = Model::new(config);
    let body = numbered(1);

    let (first, ticket) = arrive_with(&mut api, "a", &body, 0);
    let [(second, _), (other, _)] = ["a", "b"].map(|key| arrive_with(&mut api, key, &body, 0));
    api.finish(ticket, Ending::Played, Instant::from_secs(1));
    let [(spent, _), (fresh, _)] = ["a", "c"].map(|key| arrive_with(&mut api, key, &body, 2));

    assert_eq!((first, second, other, spent, fresh), (200, 429, 200, 429, 200));
    let refused = &api.books().refused;
    assert_eq!((refused.get("concurrency"), refused.get("spend_cap")), (Some(&1), Some(&1)));
}

#[test]
fn input_that_grows_too_fast_waits_for_the_next_minute() {
    let mut config = instant_answers(RateLimits::NONE);
    config.acceleration = Some(Acceleration { floor: 1_000, step: 1_000 });
    let mut api = Model::new(config);
    let tokens = input_tokens(&prompt(400, 5));
    let ask = |api: &mut Model, at| arrive(api, &prompt(400, 5), Instant::from_secs(at));
    let fill = |api: &mut Model, at| (0..).take_while(|_| status(&ask(api, at)) == 200).count() as u64;

    let first = fill(&mut api, 10);
    let refused = ask(&mut api, 15);
    let second = fill(&mut api, 61);

    assert_eq!(first, 1_000 / tokens);
    assert_eq!(header(&refused, "retry-after"), "45");
    assert!(String::from_utf8(bytes(&refused)).expect("UTF-8").contains("ramp_limit_exceeded"));
    assert_eq!(second, (first * tokens + 1_000) / tokens);
}

#[test]
fn limits_change_and_other_clients_take_their_share() {
    let rpm = |rpm| RateLimits { rpm: Some(rpm), ..RateLimits::NONE };
    let mut config = instant_answers(rpm(60)).with_burst(Burst::Amount(1));
    config.changes = vec![LimitChange { at: Instant::from_secs(60), class: None, limits: rpm(120) }];
    config.others = vec![OtherClient {
        class: None,
        permille: 500,
        from: Instant::from_secs(120),
        until: Instant::from_secs(180),
        manner: OtherManner::Steady,
    }];
    let mut api = Model::new(config);
    let mut minutes = [0; 4];

    for tenth in 0..2_400 {
        let at = Instant::from_millis(100 * tenth);
        if status(&arrive(&mut api, &prompt(1, 5), at)) == 200 {
            minutes[(tenth / 600) as usize] += 1;
        }
    }

    assert_eq!(minutes, [60, 120, 60, 120]);
}

#[test]
fn a_burst_of_another_client_empties_the_bucket_at_once() {
    let mut config = instant_answers(RateLimits { rpm: Some(60), ..RateLimits::NONE });
    config.others = vec![OtherClient {
        class: None,
        permille: 1000,
        from: Instant::from_secs(10),
        until: Instant::NEVER,
        manner: OtherManner::Bursts(Duration::from_secs(60)),
    }];
    let mut api = Model::new(config);
    arrive(&mut api, &prompt(1, 5), Instant::ZERO);

    let refused = arrive(&mut api, &prompt(1, 5), Instant::from_secs(10));

    assert_eq!((status(&refused), header(&refused, "retry-after").as_str()), (429, "1"));
}

#[test]
fn a_prefix_is_read_from_the_cache_after_the_first_answer_has_begun() {
    let mut config = instant_answers(RateLimits::new(100, 100_000, 100_000));
    config.latency = Latency { first_token: Duration::from_secs(2), tokens_per_second: 50.0, ..Latency::ZERO };
    let mut api = Model::new(config);
    let system = json!([{"type": "text", "text": "word ".repeat(5_000), "cache_control": {"type": "ephemeral"}}]);
    let usage = |api: &mut Model, question: &str, at| {
        let messages = json!([{"role": "user", "content": question}]);
        let body = json!({"model": MODEL, "max_tokens": 20, "system": system, "messages": messages});
        let arrival = arrive(api, &body.to_string(), Instant::from_millis(at));
        let usage = serde_json::from_slice::<Value>(&bytes(&arrival)).expect("JSON")["usage"].clone();
        let number = |name: &str| usage[name].as_u64().expect("a number");
        (number("cache_creation_input_tokens"), number("cache_read_input_tokens"), number("input_tokens"))
    };

    let all = [usage(&mut api, "one", 0), usage(&mut api, "two", 1_999), usage(&mut api, "six", 2_000)];

    let rest = all[0].2;
    assert_eq!(all, [(5_000, 0, rest), (5_000, 0, rest), (0, 5_000, rest)]);
    let level = api.level(MODEL, Dimension::InputTokens, Instant::from_secs(2)).expect("a limit");
    let used = 10_000.0 + 3.0 * rest as f64 - 100_000.0 / 30.0;
    assert!((level - (100_000.0 - used)).abs() < 2.0, "reads do not count: {level}, {used} used");
}

#[test]
fn the_figures_of_the_simulator_add_up() {
    let mut config = instant_answers(RateLimits::new(3, 100_000, 100_000));
    config.unknown_models = UnknownModels::LikeTheFirst;
    let mut api = Model::new(config);
    for row in [1, 2, 2, 3] {
        let arrival = arrive(&mut api, &numbered(row), Instant::ZERO);
        api.finish(arrival.ticket, Ending::Played, Instant::ZERO);
    }
    arrive(&mut api, &numbered(9), Instant::from_secs(1));

    let books = api.books();
    assert_eq!((books.requests, books.admitted, books.billed_calls), (5, 3, 3));
    assert_eq!((books.billed_again, books.answered_again), (1, 1));
    assert_eq!((books.refused["requests"], books.in_flight, books.highest_in_flight), (2, 0, 1));
    assert_eq!(books.too_early, 1, "the client of the fourth request was told to wait for 20 s");
    let price = Money::per_token(1.0).times(books.billed.input_tokens)
        + Money::per_token(5.0).times(books.billed.output_tokens);
    assert_eq!(books.billed_money, price);
}

#[test]
fn a_watcher_gets_a_line_for_each_request() {
    let mut api = Model::new(instant_answers(RateLimits::new(1, 100_000, 100_000)));
    let (lines, seen) = std::sync::mpsc::channel();
    api.watch(move |line| lines.send(serde_json::to_value(line).expect("JSON")).expect("somebody reads"));

    arrive(&mut api, &numbered(1), Instant::from_secs(2));
    arrive(&mut api, &numbered(1), Instant::from_secs(3));

    let (first, second) = (seen.recv().expect("a line"), seen.recv().expect("a line"));
    assert_eq!((&first["status"], &first["model"], &first["at_s"]), (&json!(200), &json!(MODEL), &json!(2.0)));
    assert!(first["output_tokens"].is_number() && first["reason"].is_null());
    assert_eq!((&second["status"], &second["reason"]), (&json!(429), &json!("requests")));
    assert_eq!(first["body"], second["body"]);
}

#[test]
fn after_a_reset_all_limits_are_full() {
    let mut api = Model::new(instant_answers(RateLimits::new(1, 100_000, 100_000)));
    arrive(&mut api, &numbered(1), Instant::ZERO);
    let refused = status(&arrive(&mut api, &numbered(1), Instant::from_secs(1)));

    api.reset(Instant::from_secs(2));
    let after = status(&arrive(&mut api, &numbered(1), Instant::from_secs(2)));

    assert_eq!((refused, after, api.books().requests), (429, 200, 1));
}

/// A bucket that computes in whole numbers: one token is 60·10⁹ units.
struct PlainBucket {
    rate: u128,
    capacity: i128,
    level: i128,
    at: Instant,
}

impl PlainBucket {
    fn full(rate: u32, capacity: u64) -> Self {
        let capacity = i128::from(capacity) * MINUTE as i128;
        Self { rate: rate.into(), capacity, level: capacity, at: Instant::ZERO }
    }

    fn advance(&mut self, now: Instant) {
        let came = self.rate * now.since(self.at).as_nanos();
        self.level = (self.level + came as i128).min(self.capacity);
        self.at = now;
    }

    fn has(&self, cost: u64) -> bool {
        self.level >= (i128::from(cost) * MINUTE as i128).min(self.capacity)
    }

    fn take(&mut self, cost: u64) {
        self.level -= i128::from(cost) * MINUTE as i128;
    }
}

/// Asserts that the tokens used in any span of time are at most the burst plus the refill in that span. A single row
/// that is larger than the burst is an exception.
fn within_every_window(
    admitted: &[(Instant, u64)],
    cost: impl Fn(u64) -> u64,
    rate: u32,
    burst: u64,
) -> Result<(), TestCaseError> {
    for (at, (from, _)) in admitted.iter().enumerate() {
        let mut total = 0_u128;
        let mut excess = 0_u128;
        for (to, tokens) in &admitted[at..] {
            total += u128::from(cost(*tokens)) * MINUTE;
            excess = excess.max(u128::from(cost(*tokens).saturating_sub(burst)) * MINUTE);
            let allowed = u128::from(burst) * MINUTE + u128::from(rate) * to.since(*from).as_nanos() + excess;
            prop_assert!(total <= allowed, "{} of {} from {:?} to {:?}", total / MINUTE, allowed / MINUTE, from, to);
        }
    }
    Ok(())
}

/// The output of one call. The output is spread evenly from `begin` to `end`. If `begin` and `end` are the same moment,
/// all output comes at once.
#[derive(Clone, Copy)]
struct Production {
    begin: Instant,
    end: Instant,
    tokens: f64,
}

impl Production {
    /// Returns how many tokens were produced until a moment.
    fn by(&self, now: Instant) -> f64 {
        let span = self.end.since(self.begin).as_secs_f64();
        if now >= self.end { self.tokens } else { self.tokens * now.since(self.begin).as_secs_f64() / span }
    }
}

/// Returns the level of an output bucket that can hold the tokens of a whole minute. The level rises or falls at a
/// constant rate until the next call begins or ends.
fn plain_output_level(otpm: u32, calls: &[Production], now: Instant) -> f64 {
    let ends = calls.iter().flat_map(|call| [call.begin, call.end]);
    let mut moments: Vec<Instant> = ends.filter(|at| *at <= now).collect();
    moments.extend([Instant::ZERO, now]);
    moments.sort();
    moments.dedup();
    let mut level = f64::from(otpm);
    for pair in moments.windows(2) {
        let even = calls.iter().filter(|call| call.begin < call.end);
        let out: f64 = even.map(|call| call.by(pair[1]) - call.by(pair[0])).sum();
        let came = f64::from(otpm) / 60.0 * pair[1].since(pair[0]).as_secs_f64();
        let at_once: f64 =
            calls.iter().filter(|call| call.begin == call.end && call.end == pair[1]).map(|call| call.tokens).sum();
        level = (level + came - out).min(f64::from(otpm)) - at_once;
    }
    level
}

fn instant_answers(limits: RateLimits) -> SimConfig {
    SimConfig::new(presets::models())
        .with_limits(limits)
        .with_latency(Latency::ZERO)
        .with_lengths(OutputLengths::fixed(4))
}

fn prompt(words: usize, max_tokens: u32) -> String {
    let messages = json!([{"role": "user", "content": "word ".repeat(words)}]);
    json!({"model": MODEL, "max_tokens": max_tokens, "messages": messages}).to_string()
}

fn numbered(row: u32) -> String {
    let messages = json!([{"role": "user", "content": format!("row {row}")}]);
    json!({"model": MODEL, "max_tokens": 5, "messages": messages}).to_string()
}

fn tool() -> Value {
    let properties =
        json!({"text": {"type": "string"}, "n": {"type": "integer"}, "when": {"type": "string", "format": "date"}});
    json!({
        "name": "note_it",
        "input_schema": {"type": "object", "properties": properties, "required": ["text", "n", "when"]}
    })
}

fn header_map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

fn arrive(api: &mut Model, body: &str, now: Instant) -> Arrival {
    let headers = header_map(&[("x-api-key", "k"), ("anthropic-version", "2023-06-01")]);
    let (method, path) = (&Method::POST, "/v1/messages");
    api.arrive(&Request { method, path, query: None, headers: &headers, body: body.as_bytes() }, now)
}

/// Sends a request with this key at this second. Returns the status and the ticket.
fn arrive_with(api: &mut Model, key: &'static str, body: &str, at_secs: u64) -> (u16, Ticket) {
    let headers = header_map(&[("x-api-key", key), ("anthropic-version", "2023-06-01")]);
    let request =
        Request { method: &Method::POST, path: "/v1/messages", query: None, headers: &headers, body: body.as_bytes() };
    let arrival = api.arrive(&request, Instant::from_secs(at_secs));
    (status(&arrival), arrival.ticket)
}

fn input_tokens(body: &str) -> u64 {
    let mut api = Model::new(instant_answers(RateLimits::NONE));
    let arrival = arrive(&mut api, body, Instant::ZERO);
    let message: Value = serde_json::from_slice(&bytes(&arrival)).expect("JSON");
    message["usage"]["input_tokens"].as_u64().expect("a number")
}

fn status(arrival: &Arrival) -> u16 {
    arrival.head.as_ref().map_or(200, |head| head.status)
}

fn headers(arrival: &Arrival) -> &HeaderMap {
    &arrival.head.as_ref().expect("an error has its head").headers
}

fn header(arrival: &Arrival, name: &str) -> String {
    headers(arrival)[name].to_str().expect("text").to_owned()
}

fn bytes(arrival: &Arrival) -> Vec<u8> {
    let of = |step: &Step| match step {
        Step::Bytes { bytes, .. } => bytes.to_vec(),
        Step::Part { .. } | Step::Reset { .. } | Step::Stall => Vec::new(),
    };
    arrival.body.iter().flat_map(of).collect()
}

fn whole_body(config: &SimConfig, body: &Value) -> Vec<u8> {
    let mut api = Model::new(config.clone());
    let arrival = arrive(&mut api, &body.to_string(), Instant::ZERO);
    assert_eq!(status(&arrival), 200, "{}", String::from_utf8_lossy(&bytes(&arrival)));
    bytes(&arrival)
}

fn whole_answer(config: &SimConfig, body: &Value) -> Value {
    serde_json::from_slice(&whole_body(config, body)).expect("JSON")
}

/// Puts the events of a stream together as the documentation says: the deltas are joined, and the last usage is the
/// usage of the message.
fn fold(body: &[u8]) -> Value {
    let text = std::str::from_utf8(body).expect("UTF-8");
    let mut message = Value::Null;
    let mut partial = String::new();
    for event in text.split("\n\n").filter(|event| !event.is_empty()) {
        let (kind, data) = event.split_once("\ndata: ").expect("two lines");
        let data: Value = serde_json::from_str(data).expect("JSON");
        assert_eq!(kind.strip_prefix("event: "), data["type"].as_str());
        match data["type"].as_str().expect("a type") {
            "message_start" => message = data["message"].clone(),
            "content_block_start" => {
                message["content"].as_array_mut().expect("a list").push(data["content_block"].clone());
            }
            "content_block_delta" => apply_delta(&mut message, &mut partial, &data),
            "content_block_stop" => {
                let block = &mut message["content"][data["index"].as_u64().expect("an index") as usize];
                if ["tool_use", "server_tool_use"].iter().any(|kind| block["type"] == **kind) {
                    block["input"] = serde_json::from_str(&std::mem::take(&mut partial)).expect("whole JSON");
                }
            }
            "message_delta" => apply_end(&mut message, &data),
            "ping" | "message_stop" => {}
            other => panic!("unknown event {other}"),
        }
    }
    assert!(text.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
    message
}

fn apply_delta(message: &mut Value, partial: &mut String, data: &Value) {
    let block = &mut message["content"][data["index"].as_u64().expect("an index") as usize];
    let delta = &data["delta"];
    let mut append = |name: &str| {
        let joined = block[name].as_str().expect("text").to_owned() + delta[name].as_str().expect("text");
        block[name] = joined.into();
    };
    match delta["type"].as_str().expect("a type") {
        "text_delta" => append("text"),
        "thinking_delta" => append("thinking"),
        "signature_delta" => append("signature"),
        "input_json_delta" => partial.push_str(delta["partial_json"].as_str().expect("text")),
        other => panic!("unknown delta {other}"),
    }
}

fn apply_end(message: &mut Value, data: &Value) {
    for name in ["stop_reason", "stop_sequence", "stop_details"] {
        message[name] = data["delta"][name].clone();
    }
    for (name, value) in data["usage"].as_object().expect("usage") {
        message["usage"][name] = value.clone();
    }
}

fn without_ids(mut message: Value) -> Value {
    message["id"] = Value::Null;
    for block in message["content"].as_array_mut().expect("a list") {
        for name in ["id", "tool_use_id"] {
            if block.get(name).is_some() {
                block[name] = Value::Null;
            }
        }
    }
    message
}
