//! Tests what each response of each platform means. Also tests that a part of a response never counts as an answer.
//!
//! The responses are in `fixtures/exchanges`, one folder for each kind of provider, with their sources.

use std::path::PathBuf;
use std::time::Duration;

use claude_batch::domain::{HaltReason, LimitKind, ProviderKind, Verdict};
use claude_batch::provider::Provider;
use claude_batch::provider::anthropic::Anthropic;

use super::exchange::{self, Exchange};

/// The meaning of the responses of every kind of provider. [`OWN`] has the exceptions.
const USUAL: [(&str, &str); 9] = [
    ("answer", "answered"),
    ("stream", "answered"),
    ("throttle", "limited"),
    ("overload", "overloaded"),
    ("validation", "rejected invalid_request"),
    ("auth", "halt key"),
    ("unknown_model", "no model"),
    ("error_in_200", "overloaded, maybe paid"),
    ("not_json", "transient server, maybe paid"),
];

/// All other responses. Each entry contains the kind of the provider, and the name and the meaning of the response.
const OWN: [(&str, &str, &str); 55] = [
    ("bedrock", "throttle_day", "halt account"),
    ("bedrock", "overload", "transient server"),
    ("bedrock", "not_ready", "transient server"),
    ("bedrock", "timeout", "transient timeout"),
    ("bedrock", "model_error", "transient server"),
    ("bedrock", "quota", "halt account"),
    ("bedrock", "too_long", "rejected too_large"),
    ("bedrock", "clock", "halt key"),
    ("bedrock", "error_in_200", "halt endpoint"),
    ("bedrock", "throttle_in_stream", "limited"),
    ("bedrock", "not_json", "transient server"),
    ("bedrock-mantle", "throttle_day", "halt account"),
    ("bedrock-mantle", "overload", "transient server"),
    ("bedrock-mantle", "not_ready", "transient server"),
    ("bedrock-mantle", "timeout", "transient timeout"),
    ("bedrock-mantle", "model_error", "transient server"),
    ("bedrock-mantle", "quota", "halt account"),
    ("bedrock-mantle", "too_long", "rejected too_large"),
    ("bedrock-mantle", "clock", "halt key"),
    ("bedrock-mantle", "error_in_200", "halt endpoint"),
    ("bedrock-mantle", "throttle_in_stream", "limited"),
    ("bedrock-mantle", "not_json", "transient server"),
    ("google", "throttle_object", "limited"),
    ("google", "permission", "halt key"),
    ("google", "not_enabled", "no model"),
    ("foundry", "not_supported", "halt endpoint"),
    ("foundry", "error_in_200", "transient server, maybe paid"),
    ("openrouter", "throttle_day", "halt account"),
    ("openrouter", "overload", "transient server, maybe paid"),
    ("openrouter", "no_provider", "transient server"),
    ("openrouter", "no_credit", "halt account"),
    ("openrouter", "moderation", "rejected refused"),
    ("openrouter", "timeout", "transient timeout"),
    ("openrouter", "error_in_200", "transient server, maybe paid"),
    ("openrouter", "throttle_in_stream", "limited"),
    ("openrouter", "not_json", "transient timeout, maybe paid"),
    ("litellm", "no_deployment", "limited 5s"),
    ("litellm", "throttle", "limited 8s"),
    ("litellm", "overload", "transient server"),
    ("litellm", "too_long", "rejected too_large"),
    ("litellm", "budget", "halt account"),
    ("litellm", "error_in_200", "transient server, maybe paid"),
    ("litellm", "not_json", "transient server"),
    ("anthropic", "throttle", "limited 8s"),
    ("aws", "throttle", "limited 8s"),
    ("foundry", "throttle", "limited 12s"),
    ("messages", "overload", "transient server"),
    ("messages", "validation_list", "rejected invalid_request"),
    ("messages", "too_long", "rejected too_large"),
    ("messages", "unknown_model_bare", "no model"),
    ("messages", "unknown_model_ollama", "no model"),
    ("messages", "unknown_path", "halt endpoint"),
    ("messages", "error_in_200", "rejected too_large"),
    ("messages", "error_in_200_body", "rejected too_large"),
    ("messages", "not_json", "halt endpoint"),
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/exchanges")
}

/// Returns the stored exchanges with one kind of provider, each with the name of its file.
fn of(kind: ProviderKind) -> Vec<(String, Exchange)> {
    let entries = std::fs::read_dir(folder().join(kind.name())).expect("each kind has a folder");
    let paths = entries.map(|entry| entry.expect("a readable entry").path());
    let name = |path: &PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    let mut all: Vec<_> = paths.map(|path| (name(&path), Exchange::load_path(&path))).collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all
}

fn provider(kind: ProviderKind) -> Anthropic {
    exchange::provider().of_kind(kind)
}

/// Returns the verdict on a response that comes in pieces of this size.
fn verdict(kind: ProviderKind, exchange: &Exchange, size: usize) -> Verdict {
    let provider = provider(kind);
    let mut decoder = provider.decoder(&exchange.head);
    for piece in exchange.body.chunks(size.max(1)) {
        if decoder.push(piece) {
            break;
        }
    }
    let reply = decoder.finish(&exchange.head, &exchange::asked());
    let now = || "2026-11-27T10:00:00Z".parse().expect("a time");
    let signals = provider.read_head(&exchange.head, &now).signals;
    provider.judge(&exchange.head, reply, &signals)
}

fn words(verdict: &Verdict) -> String {
    let paid = if verdict.is_maybe_paid() { ", maybe paid" } else { "" };
    match verdict {
        Verdict::Answered(_) => "answered".to_owned(),
        Verdict::Limited { kind: LimitKind::Rate | LimitKind::Concurrency, retry_after, .. } => {
            let wait = retry_after.map_or(String::new(), |wait| format!(" {}s", wait.as_secs()));
            format!("limited{wait}")
        }
        Verdict::Overloaded { .. } => format!("overloaded{paid}"),
        Verdict::Transient { class, .. } => format!("transient {}{paid}", class.name()),
        Verdict::Rejected { class, .. } => format!("rejected {}", class.name()),
        Verdict::NoModel(_) => "no model".to_owned(),
        Verdict::Halt(HaltReason::Key(_)) => "halt key".to_owned(),
        Verdict::Halt(HaltReason::Account(_)) => "halt account".to_owned(),
        Verdict::Halt(HaltReason::Endpoint(_)) => "halt endpoint".to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn each_response_of_each_platform_has_its_meaning() {
    let mut wrong = Vec::new();
    for kind in ProviderKind::ALL {
        let all = of(kind);
        for (usual, _) in USUAL {
            assert!(all.iter().any(|(name, _)| name == usual), "{kind:?} lacks {usual}");
        }
        for (name, exchange) in all {
            let own = OWN.iter().find(|(of, own, _)| *of == kind.name() && *own == name).map(|(.., words)| *words);
            let usual = || USUAL.iter().find(|(usual, _)| *usual == name).map(|(_, words)| *words);
            let expected = own.or_else(usual).unwrap_or_else(|| panic!("{kind:?} {name} is in no table"));
            let found = verdict(kind, &exchange, usize::MAX);
            if words(&found) != expected {
                wrong.push(format!("{}/{name}: expected {expected}, found {} ({found:?})", kind.name(), words(&found)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_response_means_the_same_no_matter_how_it_is_cut_into_pieces() {
    for kind in ProviderKind::ALL {
        for (name, exchange) in of(kind) {
            let whole = format!("{:?}", verdict(kind, &exchange, usize::MAX));

            for size in [1, 2, 7, 64] {
                assert_eq!(format!("{:?}", verdict(kind, &exchange, size)), whole, "{kind:?} {name} by {size}");
            }
        }
    }
}

#[test]
fn a_response_that_is_cut_is_never_an_answer() {
    for kind in ProviderKind::ALL {
        for (name, exchange) in of(kind) {
            // A message is complete without the bytes that follow its last event.
            let stop: &[u8] = b"data: {\"type\":\"message_stop\"}\n\n";
            let end = exchange.body.windows(stop.len()).position(|part| part == stop);
            let needed = end.map_or(exchange.body.trim_ascii_end().len(), |end| end + stop.len());
            for length in 0..needed {
                let cut = Exchange { head: exchange.head.clone(), body: exchange.body[..length].to_vec() };
                let found = verdict(kind, &cut, usize::MAX);

                assert!(!matches!(found, Verdict::Answered(_)), "{kind:?} {name} cut at {length}");
            }
        }
    }
}

#[test]
fn a_wrong_clock_is_reported() {
    for (kind, name, words) in [
        (ProviderKind::Bedrock, "clock", "the clock of this machine is wrong: it is 30 min ahead of the server's"),
        (ProviderKind::Aws, "auth", "the request was signed 60 min before the server's time"),
    ] {
        let (_, exchange) = of(kind).into_iter().find(|(own, _)| own == name).expect("it is there");

        let Verdict::Halt(HaltReason::Key(failure)) = verdict(kind, &exchange, usize::MAX) else { panic!("{kind:?}") };
        assert!(failure.message.contains(words), "{}", failure.message);
    }
}

#[test]
fn the_limits_of_the_platform_behind_a_proxy_are_read() {
    let (_, exchange) =
        of(ProviderKind::LiteLlm).into_iter().find(|(name, _)| name == "throttle").expect("it is there");
    let now = || "2026-11-27T10:00:00Z".parse().expect("a time");

    let news = provider(ProviderKind::LiteLlm).read_head(&exchange.head, &now);

    assert_eq!((news.signals.requests.limit, news.signals.input_tokens.limit), (Some(50), Some(50_000)));
    assert_eq!(news.signals.retry_after, Some(Duration::from_secs(8)));
    assert_eq!(news.request_id.as_deref(), Some("5b0c0d6e-3333-4c1e-9d52-000000000001"));
}

#[test]
fn each_response_has_a_source() {
    let sources = std::fs::read_to_string(folder().join("README.md")).expect("the list of sources");
    let rows: Vec<Vec<&str>> = sources.lines().map(|line| line.split('|').map(str::trim).collect()).collect();
    for kind in ProviderKind::ALL {
        for (name, _) in of(kind) {
            let has = |cell: &str, wanted: &str| cell.split(", ").any(|part| part == wanted);
            let is_named = rows.iter().any(|row| match row[..] {
                [_, kinds, names, ..] => {
                    (has(kinds, kind.name()) || kinds == "all") && (has(names, &name) || names == "all others")
                }
                _ => false,
            });
            assert!(is_named, "{}/{name} has no source in fixtures/exchanges/README.md", kind.name());
        }
    }
}
