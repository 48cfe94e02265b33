//! Injects faults into calls to the batch endpoints and into lists of batches. `work` and `results` inject faults into
//! single requests.

use std::time::Duration;

use crate::sim::faults::{BatchCall, Fault, Target};

use super::super::chance::{self, RequestFacts};
use super::super::endpoints::Caller;
use super::super::hash::Hash;
use super::super::refusal::Stop;
use super::super::state::Model;

impl Model {
    /// Returns the index of the fault rule that applies to a call; `None` if no rule applies.
    pub(super) fn draw_call(&mut self, call: BatchCall, batch_id: &str, body: &[u8], caller: Caller) -> Option<usize> {
        let (arrival, now) = (self.batches.count(call), self.now);
        if self.config.faults.rules.is_empty() {
            return None;
        }
        let content = Hash::new(call as u64).bytes(batch_id.as_bytes()).bytes(body).end();
        let attempts = self.books.attempt(content);
        let batch =
            self.batches.find(batch_id, caller.organization).and_then(|number| self.batches.by_number.get(&number));
        let age = batch.map_or(Duration::ZERO, |batch| now.since(batch.created));
        let (target, is_marked, model) = (Target::Call(call), false, "");
        let facts = RequestFacts { target, age, content, body, is_marked, model, arrival, attempts, now };
        chance::rule(&self.config.faults, self.config.seed, &self.fired, facts)
    }

    /// Returns whether a fault leaves a batch out of the list of batches.
    pub(super) fn is_unlisted(&mut self, number: u64) -> bool {
        let Some(batch) = self.batches.by_number.get(&number) else { return false };
        if self.config.faults.rules.is_empty() {
            return false;
        }
        let facts = RequestFacts {
            target: Target::Listed,
            age: self.now.since(batch.created),
            content: Hash::new(7).word(number).end(),
            body: b"",
            is_marked: false,
            model: "",
            arrival: number,
            attempts: 0,
            now: self.now,
        };
        let rule = chance::rule(&self.config.faults, self.config.seed, &self.fired, facts);
        if let Some(rule) = rule {
            self.count_fault(rule);
        }
        rule.is_some()
    }
}

/// Returns the answer with which a fault replaces the answer of the API. Returns `None` if the fault does not replace
/// the answer.
pub(super) fn stop(fault: &Fault) -> Option<Box<Stop>> {
    match fault {
        Fault::Status(status) => Some(Box::new(Stop::Injected(status.clone(), None))),
        Fault::ResetBefore { .. } => Some(Box::new(Stop::Reset)),
        _ => None,
    }
}
