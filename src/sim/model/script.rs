//! Decides which answer rule applies to a request.

use serde_json::value::RawValue;

use crate::clock::Instant;
use crate::sim::answers::{AnswerRule, Content};
use crate::sim::rules::{self, Facts};

use super::hash::Hash;
use super::parts;
use super::request::Turn;
use super::state::Model;
use super::validate::{Form, Prompt};

/// The facts that the rules are compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct AskedFacts<'a> {
    /// The hash of the request's content.
    pub content: u64,
    /// The body of the request.
    pub body: &'a [u8],
    /// The name of the model in the request.
    pub model: &'a str,
    /// The number of the request, counted from 1 since the start.
    pub arrival: u64,
    /// The number of earlier requests with this content.
    pub attempts: u32,
    /// The time at which the request arrived.
    pub now: Instant,
}

impl Model {
    /// Returns the index of the answer rule that applies to a valid request; `None` if no rule applies.
    pub(super) fn draw_answer(&self, prompt: &Prompt<'_>, asked: AskedFacts<'_>) -> Option<usize> {
        let plan = &self.config.answers;
        if plan.rules.is_empty() || prompt.max_tokens == 0 {
            return None;
        }
        let (turn, first) = conversation(prompt);
        let hash = first.word(plan.seed.unwrap_or(self.config.seed));
        let facts = Facts {
            row: hash.unit(),
            attempt: hash.word(asked.content).word(asked.arrival).unit(),
            body: asked.body,
            model: asked.model,
            arrival: asked.arrival,
            attempts: asked.attempts,
            since: asked.now.since(Instant::ZERO),
        };
        let is_of_turn = |rule: &AnswerRule| rule.turns.is_empty() || rule.turns.contains(&turn);
        let rules = plan.rules.iter().enumerate().filter(|(_, rule)| is_of_turn(rule));
        let rules = rules.map(|(at, rule)| (at, &rule.selection));
        rules::first(rules, &self.scripted, facts, |at| fits(&plan.rules[at], prompt))
    }

    /// Counts an answer that was made by the answer rule with this index.
    pub(super) fn count_answer(&mut self, rule: usize) {
        self.scripted[rule] += 1;
        *self.books.answers.entry(rule).or_default() += 1;
        self.line.note(|line| line.answer = Some(rule));
    }
}

/// Returns the turn of a request (its number of assistant messages plus 1) and a hash of its first user message. The
/// hash is the same for all turns of a row.
fn conversation(prompt: &Prompt<'_>) -> (u64, Hash) {
    let raw = prompt.fields.get("messages").map_or("[]", RawValue::get);
    let turns: Vec<Turn<'_>> = serde_json::from_str(raw).unwrap_or_default();
    let answers = turns.iter().filter(|turn| turn.role == "assistant").count() as u64;
    let first = turns.iter().find(|turn| turn.role == "user");
    (answers + 1, first.map_or(Hash::new(0), |turn| parts::message(Hash::new(0), turn.content)))
}

fn fits(rule: &AnswerRule, prompt: &Prompt<'_>) -> bool {
    let is_of_form = match rule.content {
        Content::Usual | Content::Said { .. } => true,
        Content::BrokenSchema => matches!(prompt.form, Form::Json(_) | Form::Tool(_)),
        Content::NotJson => matches!(prompt.form, Form::Json(_)),
    };
    is_of_form && rule.max_tokens_below.is_none_or(|below| prompt.max_tokens < below)
}
