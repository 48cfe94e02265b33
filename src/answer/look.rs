//! Checks an answer, and decides whether it is accepted and what happens to its row.

use std::borrow::Cow;
use std::cell::RefCell;

use super::follow_up::{self, Base};
use super::join;
use super::schema::expect_json;
use super::seen::{Cut, Seen};
use super::{Answer, Decision, Form, Rules};
use crate::catalog::Catalog;
use crate::domain::{
    Ask, AttemptRecord, ErrorClass, Failure, Job, Message, Params, PoolId, Purpose, Request, SchemaMethod, Usage,
    quoted,
};

/// A function that makes a request from parameters: it estimates the tokens of the request, and finds its limits and
/// its cost. The [`PoolId`] that the function gets is the pool of the row's last request, because the next request goes
/// to the same provider. The error is a message for the user.
pub type Measure = Box<dyn FnMut(&Params, Option<SchemaMethod>, Purpose, &PoolId) -> Result<Ask, String> + Send>;

/// An answer that is being checked, with all known facts about its row.
pub(super) struct Look<'a> {
    pub(super) rules: &'a Rules,
    pub(super) catalog: &'a Catalog,
    pub(super) measure: &'a RefCell<Measure>,
    pub(super) job: &'a Job,
    pub(super) ask: &'a Ask,
    pub(super) attempts: &'a [AttemptRecord],
    /// The attempt that got the answer. If an earlier run sent this attempt, `ask` is the first request for the row,
    /// not the request of the attempt.
    pub(super) last: &'a AttemptRecord,
}

/// The reason why an answer is not accepted.
pub(super) struct Wrong {
    pub(super) class: ErrorClass,
    pub(super) words: String,
}

impl Look<'_> {
    /// If the request continued an earlier answer, joins the earlier answer with this answer, and returns the whole
    /// answer. An answer from an earlier run is already whole, so it is not joined again.
    pub(super) fn joined(&self, message: &Message) -> Option<Message> {
        match self.ask.purpose {
            Purpose::Continue => {
                let before: String = serde_json::from_str(follow_up::continued(&self.ask.request)?.get()).ok()?;
                join::with_text(&before, message)
            }
            Purpose::Unpause => join::with_blocks(follow_up::continued(&self.ask.request)?.get(), message),
            Purpose::First
            | Purpose::Repair
            | Purpose::Again
            | Purpose::MoreRoom
            | Purpose::Fallback
            | Purpose::Canary => None,
        }
    }

    pub(super) fn keep(&self, message: &Message) -> Decision {
        let is_joined = matches!(self.ask.purpose, Purpose::Continue | Purpose::Unpause);
        if is_joined { Decision::Answer(Box::new(message.clone())) } else { Decision::Keep }
    }

    pub(super) fn fail(&self, Wrong { class, words }: Wrong, message: &Message) -> Decision {
        Decision::Fail { class, failure: self.failure_of(words, message) }
    }

    /// Returns a text that says what is wrong with a whole answer; `None` if the answer is accepted.
    pub(super) fn finding(&self, message: &Message, seen: &Seen<'_>) -> Option<String> {
        // Without a schema, the JSON is taken from the text of the answer, as if the prompt had asked for JSON.
        let schema_method = self.last.schema_method.unwrap_or(SchemaMethod::Instruction);
        let json = schema_method.answer_json(&message.json).filter(|json| !json.trim().is_empty());
        let found = match (&self.rules.form, &json) {
            (Form::Any, _) => Ok(()),
            (Form::Json | Form::Schema(_), None) => return Some(without_json(schema_method, seen)),
            (Form::Json, Some(json)) => expect_json(json),
            (Form::Schema(schema), Some(json)) => schema.check(json),
        };
        match found {
            Ok(()) => self.failed_condition(&json.unwrap_or(Cow::Borrowed("")), seen),
            Err(finding) => Some(finding.to_string()),
        }
    }

    fn failed_condition(&self, json: &str, seen: &Seen<'_>) -> Option<String> {
        let mut usage = Usage::default();
        self.attempts.iter().for_each(|attempt| usage += attempt.usage);
        let answer = Answer {
            job: self.job,
            text: &seen.text,
            json,
            usage,
            stop_reason: seen.stop_reason.as_deref(),
            model: &self.last.model,
        };
        self.rules.conditions.iter().find_map(|condition| condition(&answer).err())
    }

    pub(super) fn truncated(&self, cut: Cut) -> Wrong {
        let most = self.last.max_tokens;
        let words = match cut {
            Cut::MaxTokens => format!("the answer was truncated at max_tokens ({most})"),
            Cut::Thinking => format!("thinking used all of max_tokens ({most}), so there is no answer"),
            Cut::Window => "the answer was truncated at the end of the model's context window".to_owned(),
        };
        Wrong { class: ErrorClass::Truncated, words }
    }

    /// Makes a follow-up. If another follow-up is not allowed or not possible, the row fails.
    pub(super) fn follow_up(
        &self,
        message: &Message,
        wrong: Wrong,
        purpose: Purpose,
        make: impl FnOnce() -> Option<Base>,
    ) -> Decision {
        let answers = self.attempts.iter().filter(|attempt| attempt.failed.is_none()).count();
        if answers as u64 > u64::from(self.rules.max_follow_ups) {
            return self.fail(wrong, message);
        }
        let Some(Base { params, schema_method, request }) = make() else { return self.fail(wrong, message) };
        match (self.measure.borrow_mut())(&params, schema_method, purpose, &self.ask.pool) {
            Ok(ask) => {
                let Wrong { class, words } = wrong;
                let failure = Box::new(self.failure_of(words, message));
                Decision::FollowUp { ask: Box::new(Ask { base: request, ..ask }), class, failure }
            }
            Err(why) => {
                let words = format!("{}; it can't be asked for again: {why}", wrong.words);
                self.fail(Wrong { words, ..wrong }, message)
            }
        }
    }

    /// Returns the first request for the row. [`Ask::schema_method`] says how this request contains the schema.
    pub(super) fn first(&self) -> &Request {
        self.ask.base.as_deref().unwrap_or(&self.ask.request)
    }

    fn failure_of(&self, words: String, message: &Message) -> Failure {
        Failure {
            status: Some(200),
            message: words,
            request_id: self.last.request_id.clone(),
            answer: Some(message.json.clone()),
            ..Failure::default()
        }
    }
}

/// Returns a text that says why an answer contains no JSON.
fn without_json(schema_method: SchemaMethod, seen: &Seen<'_>) -> String {
    match (schema_method, seen.tool_names.first()) {
        (SchemaMethod::StrictTool | SchemaMethod::Tool, _) => {
            "the model did not call the tool that takes the answer".to_owned()
        }
        (SchemaMethod::Format | SchemaMethod::Instruction, Some(name)) => {
            format!("the model called the tool {} and wrote no text", quoted(name))
        }
        (SchemaMethod::Format | SchemaMethod::Instruction, None) => "the model wrote no text".to_owned(),
    }
}
