//! The policy that follows from the user's rules: it looks at each answer, and decides whether the answer is kept, the
//! row fails, or another request is sent.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use super::follow_up;
use super::join;
use super::schema::{Schema, expect_json};
use super::seen::{Cut, Seen};
use super::{Came, OnInvalid, OnRefusal, OnTruncate, Policy, Then};
use crate::catalog::{Catalog, Model};
use crate::domain::{
    Ask, AttemptRecord, ErrorClass, Failure, Job, Merged, Message, Params, Purpose, Quality, Request, Rung, Usage,
};

/// What an answer must be.
pub struct Rules {
    /// Which text every answer must be.
    pub form: Form,
    /// Further conditions, each with its words for the failure.
    pub conditions: Vec<Condition>,
    /// What happens after an answer that is not as required.
    pub on_invalid: OnInvalid,
    /// What happens after a truncated answer.
    pub on_truncate: OnTruncate,
    /// What happens after a refusal.
    pub on_refusal: OnRefusal,
    /// How many requests a row may have after its first answer.
    pub max_follow_ups: u32,
}

/// A condition on an answer. If the answer does not meet it, the condition returns why, in words.
pub type Condition = Box<dyn Fn(&Answer<'_>) -> Result<(), String> + Send>;

/// An answer, as a condition sees it.
pub struct Answer<'a> {
    /// The row.
    pub job: &'a Job,
    /// The text of the answer.
    pub text: &'a str,
    /// The JSON text of the answer: its text without a fence around it, or the input of the tool call that a schema asks
    /// for. It need not be JSON.
    pub json: &'a str,
    /// What all answers to the row have used.
    pub usage: Usage,
    /// The API's reason why the answer ended.
    pub stop_reason: Option<&'a str>,
    /// The model that was asked.
    pub model: &'a str,
}

/// Which text every answer must be.
pub enum Form {
    /// Any text.
    Any,
    /// JSON of any kind.
    Json,
    /// JSON that matches a schema.
    Schema(Schema),
}

/// Makes requests from parameters: estimates them, and finds their limits and their cost. An error is a message.
pub type Measure = Box<dyn FnMut(&Params, Option<Rung>, Purpose) -> Result<Ask, String> + Send>;

/// Makes the policy of a run.
pub fn policy(rules: Rules, catalog: Arc<Catalog>, measure: Measure) -> Policy {
    let judge = Judge { rules, catalog, measure: RefCell::new(measure) };
    Box::new(move |job, ask, came, attempts| match (came, attempts.last()) {
        (Came::Answer(message), Some(last)) if judge.needs_look(ask, message) => {
            Look { judge: &judge, job, ask, attempts, last }.judge(message)
        }
        (Came::Pause(message), Some(last)) => Look { judge: &judge, job, ask, attempts, last }.judge(message),
        (Came::Answer(_) | Came::Pause(_) | Came::Failure { .. } | Came::Halt(_), _) => Then::Keep,
    })
}

struct Judge {
    rules: Rules,
    catalog: Arc<Catalog>,
    measure: RefCell<Measure>,
}

impl Judge {
    /// Returns whether anything but keeping the answer is possible. Most answers end here.
    fn needs_look(&self, ask: &Ask, message: &Message) -> bool {
        let is_plain = matches!(self.rules.form, Form::Any) && self.rules.conditions.is_empty();
        !(is_plain && message.quality == Quality::Ok && ask.purpose == Purpose::First)
    }
}

/// An answer that is looked at.
struct Look<'a> {
    judge: &'a Judge,
    job: &'a Job,
    ask: &'a Ask,
    attempts: &'a [AttemptRecord],
    /// The attempt that got the answer.
    last: &'a AttemptRecord,
}

/// Why an answer is not accepted.
struct Wrong {
    class: ErrorClass,
    words: String,
}

impl Look<'_> {
    fn judge(&self, message: &Message) -> Then {
        let joined = self.joined(message);
        let message = joined.as_ref().unwrap_or(message);
        let seen = Seen::of(message);
        let rules = &self.judge.rules;
        if seen.is_paused() {
            return self.go_on_or_fail(message, &seen);
        }
        match message.quality {
            Quality::Truncated => match (rules.on_truncate, seen.cut(message.quality).unwrap_or(Cut::MaxTokens)) {
                (OnTruncate::Keep, _) => self.keep(message),
                (OnTruncate::Fail, cut) => fail(self.truncated(cut), message, self.last),
                (OnTruncate::Grow { max_tokens }, cut) => self.grow(message, cut, max_tokens),
                (OnTruncate::Continue, cut) => self.continue_or_grow(message, &seen, cut),
            },
            Quality::Refused => match &rules.on_refusal {
                OnRefusal::Keep => self.keep(message),
                OnRefusal::Fail => fail(refused(), message, self.last),
                OnRefusal::Model(name) => self.ask_another(message, name),
            },
            Quality::Ok | Quality::Unknown => match self.finding(message, &seen) {
                None => self.keep(message),
                Some(finding) => self.after_invalid(message, &seen, finding),
            },
        }
    }

    /// If the request continued an earlier answer, returns the whole answer. An answer that an earlier run got is whole
    /// already, and its request is the first one again.
    fn joined(&self, message: &Message) -> Option<Message> {
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

    fn keep(&self, message: &Message) -> Then {
        let is_joined = matches!(self.ask.purpose, Purpose::Continue | Purpose::Unpause);
        if is_joined { Then::Answer(Box::new(message.clone())) } else { Then::Keep }
    }

    /// Returns what is wrong with a whole answer; `None` if it is accepted.
    fn finding(&self, message: &Message, seen: &Seen<'_>) -> Option<String> {
        let rules = &self.judge.rules;
        // Without a schema, JSON is looked for as if it had been asked for in words.
        let json = self.last.rung.unwrap_or(Rung::Instruction).answer_json(&message.json).unwrap_or(Cow::Borrowed(""));
        let found = match &rules.form {
            Form::Any => Ok(()),
            Form::Json => expect_json(&json),
            Form::Schema(schema) => schema.check(&json),
        };
        if let Err(finding) = found {
            return Some(finding.to_string());
        }
        let mut usage = Usage::default();
        self.attempts.iter().for_each(|attempt| usage += attempt.usage);
        let answer = Answer {
            job: self.job,
            text: &seen.text,
            json: &json,
            usage,
            stop_reason: seen.stop_reason.as_deref(),
            model: &self.last.model,
        };
        rules.conditions.iter().find_map(|condition| condition(&answer).err())
    }

    fn after_invalid(&self, message: &Message, seen: &Seen<'_>, finding: String) -> Then {
        let wrong = Wrong { class: ErrorClass::InvalidOutput, words: format!("the answer is not accepted: {finding}") };
        match self.judge.rules.on_invalid {
            OnInvalid::Keep => self.keep(message),
            OnInvalid::Fail => fail(wrong, message, self.last),
            OnInvalid::Retry => self.follow_up(message, wrong, Purpose::Again, Some),
            OnInvalid::Repair => {
                let has_content = !seen.blocks.is_empty();
                let purpose = if has_content { Purpose::Repair } else { Purpose::Again };
                self.follow_up(message, wrong, purpose, |params| {
                    if has_content { follow_up::repair(params, seen, &finding) } else { Some(params) }
                })
            }
        }
    }

    fn grow(&self, message: &Message, cut: Cut, wanted: Option<u32>) -> Then {
        let most = self.model().map_or(u32::MAX, |model| model.max_output_tokens);
        let room = wanted.unwrap_or(self.last.max_tokens.saturating_mul(4)).min(most);
        let wrong = self.truncated(cut);
        if cut == Cut::Window || room <= self.last.max_tokens {
            return fail(wrong, message, self.last);
        }
        self.follow_up(message, wrong, Purpose::MoreRoom, |mut params| {
            follow_up::set_number(&mut params, "max_tokens", room);
            Some(params)
        })
    }

    fn continue_or_grow(&self, message: &Message, seen: &Seen<'_>, cut: Cut) -> Then {
        let can_continue = cut == Cut::MaxTokens
            && self.last.rung.is_none()
            && self.model().is_some_and(|model| model.allows_prefill)
            && follow_up::kept_text(seen).is_some()
            && self.base().is_some_and(|params| is_open_to_prefill(&params));
        if !can_continue {
            return self.grow(message, cut, None);
        }
        self.follow_up(message, self.truncated(cut), Purpose::Continue, |params| follow_up::go_on(params, seen))
    }

    fn go_on_or_fail(&self, message: &Message, seen: &Seen<'_>) -> Then {
        let words =
            "the answer is not finished: the API paused it (stop_reason \"pause_turn\") again and again".to_owned();
        let wrong = Wrong { class: ErrorClass::InvalidOutput, words };
        self.follow_up(message, wrong, Purpose::Unpause, |params| follow_up::unpause(params, seen))
    }

    fn ask_another(&self, message: &Message, name: &str) -> Then {
        let was_asked = self.attempts.iter().any(|attempt| &*attempt.model == name);
        if was_asked {
            return fail(refused(), message, self.last);
        }
        self.follow_up(message, refused(), Purpose::Fallback, |mut params| {
            follow_up::set_text(&mut params, "model", name);
            Some(params)
        })
    }

    /// Sends a request that `change` makes from the first request for the row. If no request is possible any more, the
    /// row fails.
    fn follow_up(
        &self,
        message: &Message,
        wrong: Wrong,
        purpose: Purpose,
        change: impl FnOnce(Params) -> Option<Params>,
    ) -> Then {
        let answers = self.attempts.iter().filter(|attempt| attempt.failed.is_none()).count();
        if answers as u64 > u64::from(self.judge.rules.max_follow_ups) {
            return fail(wrong, message, self.last);
        }
        let Some(base) = self.base() else { return fail(wrong, message, self.last) };
        let rung = self.last.rung;
        let changed =
            if purpose == Purpose::Fallback { self.reshaped(base, change) } else { change(base).map(|p| (p, rung)) };
        let Some((params, rung)) = changed else { return fail(wrong, message, self.last) };
        match (self.judge.measure.borrow_mut())(&params, rung, purpose) {
            Ok(ask) => {
                let first = self.ask.base.clone().unwrap_or_else(|| Box::new(self.ask.request.clone()));
                let base = if purpose == Purpose::Fallback { None } else { Some(first) };
                let Wrong { class, words } = wrong;
                let failure = Box::new(failure_of(words, message, self.last));
                Then::FollowUp { ask: Box::new(Ask { base, ..ask }), class, failure }
            }
            Err(why) => {
                let words = format!("{}; it can't be asked for again: {why}", wrong.words);
                fail(Wrong { words, ..wrong }, message, self.last)
            }
        }
    }

    /// Returns the first request for the row, with the model and the `max_tokens` that the last answer had.
    fn base(&self) -> Option<Params> {
        let first: &Request = self.ask.base.as_deref().unwrap_or(&self.ask.request);
        let mut params = follow_up::params_of(first)?;
        follow_up::set_number(&mut params, "max_tokens", self.last.max_tokens);
        follow_up::set_text(&mut params, "model", &self.last.model);
        Some(params)
    }

    /// Returns the request for another model. If that model needs the schema in another place, the request is made from
    /// the row's own request.
    fn reshaped(&self, base: Params, change: impl FnOnce(Params) -> Option<Params>) -> Option<(Params, Option<Rung>)> {
        let Form::Schema(schema) = &self.judge.rules.form else { return change(base).map(|params| (params, None)) };
        let mut own = follow_up::params_of(&self.job.request)?;
        follow_up::set_number(&mut own, "max_tokens", self.last.max_tokens);
        let own = change(own)?;
        let (params, rung) = shaped(schema, &self.judge.catalog, Merged::from(&own));
        Some((params, Some(rung)))
    }

    fn model(&self) -> Option<&Model> {
        self.judge.catalog.model(&self.last.model)
    }

    fn truncated(&self, cut: Cut) -> Wrong {
        let most = self.last.max_tokens;
        let words = match cut {
            Cut::MaxTokens => format!("the answer was truncated at max_tokens ({most})"),
            Cut::Thinking => format!("thinking used all of max_tokens ({most}), so there is no answer"),
            Cut::Window => "the answer was truncated at the end of the model's context window".to_owned(),
        };
        Wrong { class: ErrorClass::Truncated, words }
    }
}

/// Puts a schema into a request, in the best way that the model of the request supports.
pub fn shaped(schema: &Schema, catalog: &Catalog, params: Merged<'_>) -> (Params, Rung) {
    let name = params.get("model").and_then(|json| serde_json::from_str::<String>(json).ok());
    let rung = Rung::of(schema, name.and_then(|name| catalog.model(&name)), params);
    (rung.apply(schema, params), rung)
}

/// Returns whether the last message may be one of the assistant, which the model continues: not with thinking, not with
/// tools, and not if the row does this itself.
fn is_open_to_prefill(params: &Params) -> bool {
    let thinks = params.get("thinking").is_some_and(|thinking| !thinking.contains("disabled") && thinking != "null");
    let has_tools = params.get("tools").is_some_and(|tools| tools.trim() != "[]" && tools != "null");
    let ends_with_assistant = follow_up::continued(&Request::of(params)).is_some();
    !thinks && !has_tools && !ends_with_assistant
}

fn refused() -> Wrong {
    Wrong { class: ErrorClass::Refused, words: "the model refused to answer".to_owned() }
}

fn fail(Wrong { class, words }: Wrong, message: &Message, last: &AttemptRecord) -> Then {
    Then::Fail { class, failure: failure_of(words, message, last) }
}

fn failure_of(words: String, message: &Message, last: &AttemptRecord) -> Failure {
    Failure {
        status: Some(200),
        message: words,
        request_id: last.request_id.clone(),
        answer: Some(message.json.clone()),
        ..Failure::default()
    }
}
