//! The policy that applies the user's rules for answers. For each answer, the policy makes one of three decisions: the
//! answer is kept, the row fails, or another request is sent.

use std::cell::RefCell;
use std::sync::Arc;

use super::follow_up;
use super::look::{Look, Measure, Wrong};
use super::seen::{Cut, Seen};
use super::{Decision, Form, OnInvalid, OnRefusal, OnTruncate, Policy, RequestResult, Rules};
use crate::catalog::Catalog;
use crate::domain::{Ask, ErrorClass, Message, Purpose, Quality};

/// To get a longer answer, the policy multiplies the `max_tokens` of the first request by this factor. A small factor
/// is enough, because most truncated answers are only a little too long.
const MORE_ROOM: u32 = 4;

/// Returns the policy of a run.
pub fn policy(rules: Rules, catalog: Arc<Catalog>, measure: Measure) -> Policy {
    let measure = RefCell::new(measure);
    Box::new(move |job, ask, came, attempts| {
        let look = |last| Look { rules: &rules, catalog: &catalog, measure: &measure, job, ask, attempts, last };
        match (came, attempts.last()) {
            (RequestResult::Answer(message), Some(last)) if needs_look(&rules, ask, message) => {
                look(last).judge(message)
            }
            (RequestResult::Pause(message), Some(last)) => look(last).judge(message),
            (
                RequestResult::Answer(_)
                | RequestResult::Pause(_)
                | RequestResult::Failure { .. }
                | RequestResult::Halt(_),
                _,
            ) => Decision::Keep,
        }
    })
}

/// Returns whether a rule can apply to the answer. Most answers are not read at all, because no rule can apply to them.
fn needs_look(rules: &Rules, ask: &Ask, message: &Message) -> bool {
    let is_part = matches!(ask.purpose, Purpose::Continue | Purpose::Unpause);
    is_part
        || match message.quality {
            Quality::Ok => !matches!(rules.form, Form::Any) || !rules.conditions.is_empty(),
            Quality::Truncated => rules.on_truncate != OnTruncate::Keep,
            Quality::Refused => rules.on_refusal != OnRefusal::Keep,
            // The answer may be a paused answer from an earlier run.
            Quality::Unknown => true,
        }
}

impl Look<'_> {
    fn judge(&self, message: &Message) -> Decision {
        let joined = self.joined(message);
        let message = joined.as_ref().unwrap_or(message);
        let seen = Seen::of(message);
        if seen.is_paused() {
            return self.after_pause(message, &seen);
        }
        match message.quality {
            Quality::Truncated => self.after_cut(message, &seen, seen.cut()),
            Quality::Refused => match &self.rules.on_refusal {
                OnRefusal::Keep => self.keep(message),
                OnRefusal::Fail => self.fail(refused(), message),
                OnRefusal::Model(name) => self.ask_another(message, name),
            },
            Quality::Ok | Quality::Unknown => match self.finding(message, &seen) {
                None => self.keep(message),
                Some(finding) => self.after_invalid(message, &seen, finding),
            },
        }
    }

    fn after_pause(&self, message: &Message, seen: &Seen<'_>) -> Decision {
        let words = "the answer is not finished: the API paused it (stop_reason \"pause_turn\")".to_owned();
        let wrong = Wrong { class: ErrorClass::InvalidOutput, words };
        self.follow_up(message, wrong, Purpose::Unpause, || {
            self.base()?.changed(|params| follow_up::unpause(params, seen))
        })
    }

    fn after_invalid(&self, message: &Message, seen: &Seen<'_>, finding: String) -> Decision {
        let wrong = Wrong { class: ErrorClass::InvalidOutput, words: format!("the answer is not accepted: {finding}") };
        match self.rules.on_invalid {
            OnInvalid::Keep => self.keep(message),
            OnInvalid::Fail => self.fail(wrong, message),
            OnInvalid::Repair if seen.can_be_discussed() => self.follow_up(message, wrong, Purpose::Repair, || {
                self.base()?.changed(|params| follow_up::repair(params, seen, &finding))
            }),
            OnInvalid::Retry | OnInvalid::Repair => self.follow_up(message, wrong, Purpose::Again, || self.base()),
        }
    }

    fn after_cut(&self, message: &Message, seen: &Seen<'_>, cut: Cut) -> Decision {
        match self.rules.on_truncate {
            OnTruncate::Keep => self.keep(message),
            OnTruncate::Fail => self.fail(self.truncated(cut), message),
            OnTruncate::Grow { max_tokens } => self.grow(message, cut, max_tokens),
            OnTruncate::Continue => self.continue_or_grow(message, seen, cut),
        }
    }

    /// Sends the request again with a higher `max_tokens`. If the last request already had the higher value, the row
    /// fails, so `max_tokens` is raised only once.
    fn grow(&self, message: &Message, cut: Cut, wanted: Option<u32>) -> Decision {
        let most = self.catalog.model(&self.last.model).map_or(u32::MAX, |model| model.max_output_tokens);
        let first = self.first_max_tokens().unwrap_or(self.last.max_tokens);
        let room = wanted.unwrap_or(first.saturating_mul(MORE_ROOM)).min(most);
        let wrong = self.truncated(cut);
        if cut == Cut::Window || room <= self.last.max_tokens {
            return self.fail(wrong, message);
        }
        self.follow_up(message, wrong, Purpose::MoreRoom, || {
            // If the truncated answer is a correction of an earlier answer, the new request must contain the
            // conversation up to the correction.
            let is_repair = self.ask.purpose == Purpose::Repair;
            let base = if is_repair { self.asked() } else { self.base() };
            base?.changed(|mut params| {
                follow_up::set_number(&mut params, "max_tokens", room);
                Some(params)
            })
        })
    }

    fn continue_or_grow(&self, message: &Message, seen: &Seen<'_>, cut: Cut) -> Decision {
        let can_continue = cut == Cut::MaxTokens
            && self.last.schema_method.is_none()
            && self.catalog.model(&self.last.model).is_some_and(|model| model.allows_prefill)
            && follow_up::kept_text(seen).is_some()
            && self.base().is_some_and(|base| follow_up::is_open_to_prefill(&base.params));
        if !can_continue {
            return self.grow(message, cut, None);
        }
        self.follow_up(message, self.truncated(cut), Purpose::Continue, || {
            self.base()?.changed(|params| follow_up::go_on(params, seen))
        })
    }

    fn ask_another(&self, message: &Message, name: &str) -> Decision {
        let was_asked = self.attempts.iter().any(|attempt| &*attempt.model == name);
        if was_asked {
            return self.fail(refused(), message);
        }
        self.follow_up(message, refused(), Purpose::Fallback, || self.base_for(name))
    }
}

fn refused() -> Wrong {
    Wrong { class: ErrorClass::Refused, words: "the model refused to answer".to_owned() }
}
