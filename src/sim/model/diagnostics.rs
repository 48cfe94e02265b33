//! Finds out why a request could not read the cache entries of an earlier request.
//!
//! A request with `diagnostics` is compared with the message that it names. Source: API reference, "Messages",
//! `diagnostics` (Python SDK 2.14.0, 2026-11). The API documentation does not say how the API compares two prompts. The
//! simulator compares the levels of both prompts in this order: tools, system, messages. The first level that differs
//! is returned as the reason. The reason is found immediately, so an answer never says that it is pending.

use std::collections::{HashMap, VecDeque};

use super::hash::Hash;
use super::out::Out;
use super::parts::{Level, Part};
use super::validate::Settings;

/// How many messages are remembered.
const KEPT: usize = 2_000;
/// How many parts of a prompt are remembered.
const PARTS: usize = 1_000;

/// Why a prompt was not read from the cache, and how many tokens of the earlier prompt could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Miss {
    /// The model or the speed of the request differs from that of the earlier request.
    Model(u64),
    /// The tools of the request differ from the tools of the earlier request.
    Tools(u64),
    /// The system prompt of the request differs from that of the earlier request.
    System(u64),
    /// The messages do not begin with the messages of the earlier request.
    Messages(u64),
    /// The earlier message is not known.
    NotFound,
    /// The request differs from the earlier request in its tool choice, its thinking settings or its effort.
    Unavailable,
}

/// The facts about a request that the simulator remembers, to compare later requests with this request.
#[derive(Clone, Debug)]
pub(super) struct Remembered {
    scope: u64,
    settings: u64,
    parts: Vec<Part>,
}

impl Remembered {
    /// Returns what is remembered about a request. `scope` is a hash of the organization, the model and the speed.
    pub(super) fn new(scope: u64, settings: &Settings, parts: &[Part]) -> Self {
        let parts = parts.iter().copied().take(PARTS).collect();
        Self { scope, settings: settings.messages.end(), parts }
    }

    /// Returns why a later request can't read the cache entries of this request; `None` if it can.
    fn miss_of(&self, later: &Self) -> Option<Miss> {
        let tokens_from =
            |level: Level| self.parts.iter().filter(move |part| part.level >= level).map(|part| part.tokens);
        let hashes = |own: &Self, level: Level| {
            let parts = own.parts.iter().filter(move |part| part.level == level);
            parts.map(|part| part.hash).collect::<Vec<_>>()
        };
        let is_same = |level: Level| hashes(self, level) == hashes(later, level);
        if self.scope != later.scope {
            return Some(Miss::Model(tokens_from(Level::Tools).sum()));
        }
        if !is_same(Level::Tools) {
            return Some(Miss::Tools(tokens_from(Level::Tools).sum()));
        }
        if !is_same(Level::System) {
            return Some(Miss::System(tokens_from(Level::System).sum()));
        }
        if self.settings != later.settings {
            return Some(Miss::Unavailable);
        }
        let (before, after) = (hashes(self, Level::Messages), hashes(later, Level::Messages));
        let shared = before.iter().zip(&after).take_while(|(before, after)| before == after).count();
        (shared < before.len()).then(|| Miss::Messages(tokens_from(Level::Messages).skip(shared).sum()))
    }
}

/// The messages that later requests can be compared with.
#[derive(Clone, Debug, Default)]
pub(super) struct Diagnostics {
    messages: HashMap<u64, Remembered>,
    order: VecDeque<u64>,
}

impl Diagnostics {
    /// Compares a request with the message `previous`, and remembers it as the message `id`.
    pub(super) fn compare(&mut self, previous: Option<&str>, id: &str, request: Remembered) -> Option<Miss> {
        let key = |id: &str| Hash::new(0).bytes(id.as_bytes()).end();
        let miss = previous.and_then(|previous| match self.messages.get(&key(previous)) {
            Some(earlier) => earlier.miss_of(&request),
            None => Some(Miss::NotFound),
        });
        if self.order.len() >= KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.messages.remove(&oldest);
        }
        self.order.push_back(key(id));
        self.messages.insert(key(id), request);
        miss
    }
}

/// Writes the member `diagnostics` of an answer, with the comma before it.
pub(super) fn write(out: &mut Out, miss: Option<Miss>) {
    out.add(r#","diagnostics":{"cache_miss_reason":"#);
    let (kind, tokens) = match miss {
        None => {
            out.add("null}");
            return;
        }
        Some(Miss::Model(tokens)) => ("model_changed", Some(tokens)),
        Some(Miss::Tools(tokens)) => ("tools_changed", Some(tokens)),
        Some(Miss::System(tokens)) => ("system_changed", Some(tokens)),
        Some(Miss::Messages(tokens)) => ("messages_changed", Some(tokens)),
        Some(Miss::NotFound) => ("previous_message_not_found", None),
        Some(Miss::Unavailable) => ("unavailable", None),
    };
    out.add(r#"{"type":""#).add(kind).add("\"");
    if let Some(tokens) = tokens {
        out.add(r#","cache_missed_input_tokens":"#).number(tokens);
    }
    out.add("}}");
}
