//! What the program knows from earlier results: how long answers are, how the real input compares to its estimate, and
//! how long answers take.
//!
//! Answers are stored by template and by model. If a row's template has no answers yet, the answers of the row's model
//! are used. All results are used, even those of the simulator. Memory is bounded: if there are many answers, only a
//! random part is stored.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use crate::domain::{Money, Usage};

/// The largest number of answers that are stored per template, and per model.
const KEPT: usize = 512;
/// The largest number of templates with stored answers, and also the largest number of models with stored answers.
/// Answers of any further template or model are ignored.
const MOST_GROUPS: usize = 1024;

/// One answered row of earlier results.
#[derive(Clone, Debug)]
pub struct PastAnswer<'a> {
    /// The id of the row's model in the catalog, or the name that the row asked for.
    pub model: Cow<'a, str>,
    /// The number that identifies the row's template; `None` in lines that early versions of the program wrote.
    pub template: Option<u64>,
    /// The row's estimated input tokens; `None` in lines that early versions of the program wrote.
    pub estimated_input: Option<u32>,
    /// The tokens that the first request of the row used.
    pub usage: Usage,
    /// The tokens and the cost of the requests that followed the first request of the row, at online prices. The cost
    /// is zero without a price.
    pub follow_ups: (Usage, Money),
    /// The cost of the row's prompt and searches, divided by what the prompt would cost without a cache; `None` without
    /// a price.
    pub price_share: Option<f64>,
    /// The time from the request to the answer; `None` if the row was sent more than once.
    pub latency: Option<Duration>,
    /// Whether the answer to the first request was truncated at `max_tokens`.
    pub is_truncated: bool,
}

/// The stored figures of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seen {
    /// The estimated input tokens of the row; 0 if they are not known.
    pub(super) estimated: u32,
    /// The real input tokens of the row, including cached tokens.
    pub(super) prompt: u32,
    /// The share of the input tokens that counts against the input limit, from 0 to 1.
    pub(super) limited_share: f32,
    /// Output tokens.
    pub(super) output: u32,
    /// The value of [`PastAnswer::price_share`]; 1 if there is no price.
    pub(super) price_share: f32,
    /// The value of [`PastAnswer::latency`], in milliseconds; 0 if it is not known.
    pub(super) latency_ms: u32,
    pub(super) is_truncated: bool,
    /// The input tokens, the output tokens and the cost in dollars of the row's follow-ups.
    pub(super) follow_ups: [f64; 3],
}

/// The answers to one template, or the answers of one model.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    pub(super) kept: Vec<Seen>,
    /// The number of answers, including answers that were not stored.
    pub(super) count: u64,
}

/// Earlier results.
#[derive(Clone, Debug)]
pub struct History {
    by_template: HashMap<u64, Answers>,
    by_model: HashMap<String, Answers>,
    rng: fastrand::Rng,
    count: u64,
}

impl Default for History {
    fn default() -> Self {
        Self { by_template: HashMap::new(), by_model: HashMap::new(), rng: fastrand::Rng::with_seed(1), count: 0 }
    }
}

impl History {
    /// Adds an answered row.
    pub fn add(&mut self, answer: &PastAnswer<'_>) {
        let small = |tokens: u64| u32::try_from(tokens).unwrap_or(u32::MAX);
        let (more, more_cost) = answer.follow_ups;
        let (prompt, limited) = (answer.usage.prompt_tokens(), answer.usage.limited_input_tokens());
        let seen = Seen {
            estimated: answer.estimated_input.unwrap_or(0),
            prompt: small(prompt),
            limited_share: if prompt > 0 { limited as f32 / prompt as f32 } else { 1.0 },
            output: small(answer.usage.output_tokens),
            price_share: answer.price_share.map_or(1.0, |share| share as f32),
            latency_ms: answer.latency.map_or(0, |latency| small(latency.as_millis().try_into().unwrap_or(u64::MAX))),
            is_truncated: answer.is_truncated,
            follow_ups: [more.prompt_tokens() as f64, more.output_tokens as f64, more_cost.dollars()],
        };
        self.count += 1;
        let rng = &mut self.rng;
        if let Some(template) = answer.template
            && (self.by_template.len() < MOST_GROUPS || self.by_template.contains_key(&template))
        {
            self.by_template.entry(template).or_default().add(seen, rng);
        }
        if self.by_model.len() < MOST_GROUPS || self.by_model.contains_key(&*answer.model) {
            self.by_model.entry(answer.model.to_string()).or_default().add(seen, rng);
        }
    }

    /// Returns the number of answered rows.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the answers to a template.
    pub(super) fn of_template(&self, template: u64) -> Option<&Answers> {
        self.by_template.get(&template)
    }

    /// Returns the answers of a model.
    pub(super) fn of_model(&self, model: &str) -> Option<&Answers> {
        self.by_model.get(model)
    }
}

impl Answers {
    /// Adds an answer. If there are too many answers, each answer has the same chance to be stored.
    fn add(&mut self, seen: Seen, rng: &mut fastrand::Rng) {
        self.count += 1;
        if self.kept.len() < KEPT {
            self.kept.push(seen);
            return;
        }
        if let Some(place) = self.kept.get_mut(rng.u64(0..self.count) as usize) {
            *place = seen;
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns an answer that Haiku 4.5 gave to a row of this template.
    pub(in crate::forecast) fn past(template: u64, estimated: u32, input: u64, output: u64) -> PastAnswer<'static> {
        PastAnswer {
            model: "claude-haiku-4-5-20251001".into(),
            template: Some(template),
            estimated_input: Some(estimated),
            usage: Usage { input_tokens: input, output_tokens: output, ..Usage::default() },
            price_share: Some(1.0),
            latency: Some(Duration::from_millis(600 + 8 * output)),
            is_truncated: false,
            follow_ups: Default::default(),
        }
    }

    #[test]
    fn answers_are_found_by_template_and_by_model() {
        let mut history = History::default();
        (0..3).for_each(|_| history.add(&past(7, 10, 12, 30)));
        history.add(&PastAnswer { template: None, estimated_input: None, ..past(7, 0, 12, 60) });

        let of_template = history.of_template(7).expect("it has answers");
        let of_model = history.of_model("claude-haiku-4-5-20251001").expect("it has answers");

        assert_eq!((of_template.count, of_model.count, history.count()), (3, 4, 4));
        assert_eq!((of_template.kept[0].estimated, of_model.kept[3].estimated), (10, 0));
        assert!(history.of_template(8).is_none() && history.of_model("other").is_none());
    }

    #[test]
    fn a_random_part_of_many_answers_is_kept() {
        let mut history = History::default();
        (0..20_000).for_each(|number| history.add(&past(1, 10, 10, number)));

        let answers = history.of_template(1).expect("it has answers");

        let mean = answers.kept.iter().map(|seen| f64::from(seen.output)).sum::<f64>() / answers.kept.len() as f64;
        assert_eq!((answers.kept.len(), answers.count), (KEPT, 20_000));
        assert!((9_000.0..11_000.0).contains(&mean), "{mean}");
    }
}
