//! Tests that the simulator does not write keys or prompts anywhere.

use super::super::super::page::{Seen, Size};
use super::wire::{Simulator, ask, message_of, prompt};

const KEY: &str = "sk-ant-canary-4be1d07f93";
const PROMPT: &str = "canary-prompt-58d21c";

pub fn page(size: Size) -> Vec<Seen> {
    let simulator = Simulator::start(&["--journal", "journal.jsonl", "--verbose", "--key-limits"]);
    let rounds = size.pick(3, 50);
    let requests = requests();
    for _ in 0..rounds {
        for request in &requests {
            ask(simulator.address, request);
        }
    }
    let stats = simulator.stats().to_string();
    let (journal, errors) = (simulator.folder.read("journal.jsonl"), simulator.folder.read("stderr"));
    assert!(journal.lines().count() >= rounds * (requests.len() - 1), "each has a line:\n{journal}");
    assert!(errors.lines().count() >= rounds * (requests.len() - 1), "each has a line:\n{errors}");
    for (place, text) in
        [("journal", &journal), ("verbose lines", &errors), ("stats", &stats), ("first line", &simulator.said)]
    {
        for secret in [KEY, PROMPT] {
            assert!(!text.contains(secret), "{secret} is in the {place}:\n{text}");
        }
    }
    vec![Seen::new(
        "keys and prompts of good and bad requests, in the journal, the verbose lines, the statistics and the first line",
        "found 0 times",
        format!("{} requests, 0 times", rounds * requests.len()),
    )]
}

fn requests() -> Vec<Vec<u8>> {
    let local = "host: localhost\r\nconnection: close";
    let body = prompt(PROMPT);
    let with = |lines: &str, body: &str| message_of(lines, local, body);
    let key = format!("x-api-key: {KEY}");
    let get = format!("GET /v1/models?key={KEY}&q={PROMPT} HTTP/1.1\r\n{local}\r\n{key}\r\n\r\n");
    vec![
        with(&key, &body),
        with(&format!("authorization: Bearer {KEY}"), &body),
        with(&format!("authorization: Basic {KEY}"), &body),
        with(&format!("{key}\r\nanthropic-beta: {PROMPT}"), &body),
        with(&key, &body.replace("\"max_tokens\":16", &format!("\"max_tokens\":16,\"{PROMPT}\":1"))),
        with(&key, &body.replace("\"role\":\"user\"", &format!("\"role\":\"{PROMPT}\""))),
        with(&key, &format!("{{\"{PROMPT}\"")),
        with(&key, &body.replace("}]", "}],\"stream\":true")),
        with(&format!("{key}\r\norigin: https://{PROMPT}.example.invalid"), &body),
        get.into_bytes(),
    ]
}
