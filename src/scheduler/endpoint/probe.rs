//! The canary (test request) of an endpoint, and the results of earlier canaries.
//!
//! The file `canary.rs` of the scheduler decides when a canary is sent and what its result means.

use serde_json::value::RawValue;

use crate::clock::Instant;
use crate::domain::{Ask, Cost, Interval, Params, Purpose, Request, Terms};

const MESSAGES: &str = r#"[{"role":"user","content":"ping"}]"#;
/// The number of input tokens to reserve for a canary. A canary uses fewer tokens than this number, so it never exceeds
/// the limits or the budget.
const INPUT_TOKENS: u32 = 20;

/// What is known about the canary of an endpoint.
#[derive(Debug, Default)]
pub(crate) struct CanaryState {
    /// The request of the canary, with the pool of the row for which the canary is sent; `None` until a row has failed.
    pub(crate) ask: Option<(usize, Ask)>,
    /// No canary (test request) is sent before this instant, because the canary's pool has no room until then.
    pub(crate) not_before: Instant,
    /// Whether the next probe is a row instead of a canary.
    pub(crate) is_rows_turn: bool,
    /// Whether at least one canary since the last answer has failed in the same way as the rows.
    pub(crate) fails_alike: bool,
    /// Whether the server has rejected the canary. If a canary was rejected, no canary is sent until a row of another
    /// model fails.
    pub(crate) is_useless: bool,
    /// The number of canaries (test requests) that were answered after the last answer to a row.
    pub(crate) answered: u32,
}

impl CanaryState {
    /// Records that a row met a fault; `ask` is the row's request. The next canary uses the model of this request.
    pub(crate) fn on_row_fault(&mut self, pool: usize, ask: &Ask) {
        self.is_rows_turn = false;
        if self.ask.as_ref().is_none_or(|(_, own)| own.pool != ask.pool || own.model != ask.model) {
            self.ask = Some((pool, canary_of(ask)));
            self.is_useless = false;
        }
    }

    /// Records that a row was answered.
    pub(crate) fn on_row_answer(&mut self) {
        self.answered = 0;
        self.fails_alike = false;
    }

    /// Returns whether a canary has failed in the same way as the rows. If a canary fails like the rows, the trouble is
    /// in the whole endpoint, and not only in some rows.
    pub(crate) fn proves_outage(&self) -> bool {
        self.fails_alike
    }
}

/// Returns the canary (test request) for the model of a row's request.
fn canary_of(ask: &Ask) -> Ask {
    let raw = |json: String| RawValue::from_string(json).expect("a quoted name and fixed JSON texts are valid JSON");
    let model = serde_json::Value::from(&*ask.model).to_string();
    let members = [("model", model), ("max_tokens", "1".to_owned()), ("messages", MESSAGES.to_owned())];
    let request = Request::of(&Params(members.into_iter().map(|(name, value)| (name.into(), raw(value))).collect()));
    Ask {
        body_bytes: request.json().len() as u32,
        request,
        model: ask.model.clone(),
        terms: Terms::default(),
        pool: ask.pool.clone(),
        cost: Cost { requests: 1, input_tokens: INPUT_TOKENS, output_tokens: 1 },
        input_tokens: Interval::exact(INPUT_TOKENS),
        expense: None,
        max_tokens: 1,
        template: 0,
        purpose: Purpose::Canary,
        base: None,
        schema_method: None,
        prefixes: None,
        has_own_marks: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::tests::planned;

    #[test]
    fn a_canary_that_one_model_rejects_is_sent_to_another_model() {
        let mut canary = CanaryState::default();
        let (one, mut other) = (planned("1", 100, 100).ask, planned("2", 100, 100).ask);
        other.model = "another".into();
        canary.on_row_fault(0, &one);
        canary.is_useless = true;

        canary.on_row_fault(0, &one);
        assert!(canary.is_useless);
        canary.on_row_fault(0, &other);
        assert!(!canary.is_useless);
    }

    #[test]
    fn a_canary_asks_the_model_of_the_row_that_failed_for_one_token() {
        let mut row = planned("1", 100, 100);
        row.ask.model = r#"a "model""#.into();

        let ask = canary_of(&row.ask);

        let json = r#"{"model":"a \"model\"","max_tokens":1,"messages":[{"role":"user","content":"ping"}]}"#;
        assert_eq!(ask.request.json(), json);
        assert_eq!((&ask.pool, &ask.model), (&row.ask.pool, &row.ask.model));
    }
}
