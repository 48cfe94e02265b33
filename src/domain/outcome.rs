//! The outcome of a job: its attempts, and how the job ended.

use std::sync::Arc;

use super::{Ask, ErrorClass, Failure, Job, Lane, Message, Money, PoolId, Purpose, Quality, SchemaMethod, Usage};
use crate::clock::Instant;

/// One attempt, as recorded in the outcome of a job.
#[derive(Clone, Debug)]
pub struct AttemptRecord {
    /// The time at which the request was sent.
    pub started_at: Instant,
    /// The time at which the attempt ended.
    pub ended_at: Instant,
    /// The time at which the headers of the response came; `None` if no headers came, or if the time is not known.
    pub head_at: Option<Instant>,
    /// The class of the failure; `None` if the request was answered.
    pub failed: Option<ErrorClass>,
    /// Whether the API has possibly billed the attempt although its answer is not kept.
    pub maybe_paid: bool,
    /// The highest amount that the API has possibly billed for the attempt, in addition to `cost`. The amount is zero
    /// if the model has no price. It is also zero if `maybe_paid` is false, unless the usage of the answer is unknown
    /// ([`Usage::is_unknown`]).
    pub maybe_cost: Money,
    /// The known usage of the attempt.
    pub usage: Usage,
    /// The cost of this usage; `None` for a model without a price, or if the usage is unknown.
    pub cost: Option<Money>,
    /// The cost that the usage would have had without a prompt cache. The value is `None` if the attempt used no cached
    /// tokens, or if the model has no price.
    pub without_cache: Option<Money>,
    /// `request-id`.
    pub request_id: Option<String>,
    /// Why the request was sent.
    pub purpose: Purpose,
    /// How the schema for the answer was put into the request; `None` without a schema.
    pub schema_method: Option<SchemaMethod>,
    /// The highest number of output tokens that the request allowed for the answer.
    pub max_tokens: u32,
    /// Whether a line of the error log already contains the attempt. An earlier run wrote that line, because the row
    /// was not finished.
    pub is_recorded: bool,
    /// The quality of the answer before the rules for answers were applied; `None` if the attempt got no answer.
    pub quality: Option<Quality>,
    /// Whether the request was sent alone or as part of a batch.
    pub lane: Lane,
    /// The provider that the request was sent to.
    pub provider: Arc<str>,
    /// The pool of the request; `None` if an earlier run sent the request.
    pub pool: Option<Arc<PoolId>>,
    /// The model that the request named.
    pub model: Arc<str>,
    /// The id of the request's template: see [`super::Ask::template`].
    pub template: u64,
    /// The number of input tokens of the request, as estimated from its text.
    pub estimated_input: u32,
}

impl AttemptRecord {
    /// Returns the record of a request to this provider and model. The purpose of the request is `First`. The times,
    /// usage, cost and failure of the record are empty.
    pub fn new(provider: impl Into<Arc<str>>, model: impl Into<Arc<str>>) -> Self {
        Self {
            started_at: Instant::ZERO,
            ended_at: Instant::ZERO,
            head_at: None,
            failed: None,
            maybe_paid: false,
            maybe_cost: Money::ZERO,
            usage: Usage::default(),
            cost: None,
            without_cache: None,
            request_id: None,
            purpose: Purpose::First,
            schema_method: None,
            max_tokens: 0,
            is_recorded: false,
            quality: None,
            lane: Lane::Online,
            provider: provider.into(),
            pool: None,
            model: model.into(),
            template: 0,
            estimated_input: 0,
        }
    }

    /// Returns the record of the request in `ask`. The times, usage, cost and failure of the record are empty.
    pub(crate) fn of(ask: &Ask) -> Self {
        Self {
            purpose: ask.purpose,
            schema_method: ask.schema_method,
            max_tokens: ask.max_tokens,
            pool: Some(ask.pool.clone()),
            template: ask.template,
            estimated_input: ask.cost.input_tokens,
            ..Self::new(ask.pool.provider.clone(), ask.model.clone())
        }
    }

    /// Adds the usage and the cost of an earlier attempt to this record. The caller can then remove the record of the
    /// earlier attempt.
    pub(crate) fn take_over(&mut self, earlier: &Self) {
        let without = |attempt: &Self| attempt.without_cache.or(attempt.cost);
        let is_cached = self.without_cache.is_some() || earlier.without_cache.is_some();
        let both = without(self).zip(without(earlier)).map(|(own, theirs)| own + theirs);
        self.without_cache = both.filter(|_| is_cached);
        let both = [&*self, earlier];
        (self.maybe_cost, self.cost) = (maybe_cost_of(both.into_iter()), cost_of(both.into_iter()));
        self.usage += earlier.usage;
        self.maybe_paid |= earlier.maybe_paid;
    }

    /// Returns the highest possible cost of the attempt.
    pub(crate) fn at_most(&self) -> Money {
        self.cost.unwrap_or(Money::ZERO) + self.maybe_cost
    }
}

/// How a job ended: with an answer or with a failure.
#[derive(Clone, Debug)]
pub enum Ended {
    /// The job has an answer.
    Succeeded(Message),
    /// The job has no answer.
    Failed {
        /// The class of the failure.
        class: ErrorClass,
        /// The last failure.
        failure: Failure,
        /// Whether the unchanged row can succeed in another run.
        is_retryable: bool,
    },
}

/// A finished job, with all its attempts.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The job.
    pub job: Box<Job>,
    /// The attempts for the job, oldest first. The list is empty for a row that was never sent.
    pub attempts: Vec<AttemptRecord>,
    /// How the job ended: with an answer or with a failure.
    pub ended: Ended,
}

impl Outcome {
    /// Returns how many attempts were possibly billed although no answer from them was kept.
    pub fn maybe_paid(&self) -> u32 {
        self.attempts.iter().map(|attempt| u32::from(attempt.maybe_paid)).sum()
    }

    /// Returns the highest amount that the API has possibly billed in addition to [`Outcome::cost`], for all attempts
    /// together.
    pub fn maybe_cost(&self) -> Money {
        maybe_cost_of(self.attempts.iter())
    }

    /// Returns the attempts that are not yet in a line of the error log.
    pub(crate) fn unrecorded(&self) -> impl Iterator<Item = &AttemptRecord> + Clone {
        self.attempts.iter().filter(|attempt| !attempt.is_recorded)
    }

    /// Returns the known usage of all attempts together.
    pub fn usage(&self) -> Usage {
        usage_of(self.attempts.iter())
    }

    /// Returns the cost of all attempts; `None` for a model without a price, or if a usage is unknown. The price of
    /// each attempt depends on the length of its own prompt, not on the total length of all prompts.
    pub fn cost(&self) -> Option<Money> {
        cost_of(self.attempts.iter())
    }

    /// Returns the cost that all attempts would have had without a prompt cache. Returns `None` if no attempt used
    /// cached tokens, or if the model has no price.
    pub fn without_cache(&self) -> Option<Money> {
        without_cache_of(self.attempts.iter())
    }
}

/// Returns the sum of the known usage of these attempts.
pub(crate) fn usage_of<'a>(attempts: impl Iterator<Item = &'a AttemptRecord>) -> Usage {
    let mut sum = Usage::default();
    attempts.for_each(|attempt| sum += attempt.usage);
    sum
}

/// Returns the highest amount that the API has possibly billed for these attempts in addition to their cost. If a usage
/// is unknown, the sum of the costs is unknown too, so this amount includes the costs that are known.
pub(crate) fn maybe_cost_of<'a>(attempts: impl Iterator<Item = &'a AttemptRecord> + Clone) -> Money {
    let is_unknown = attempts.clone().any(|attempt| attempt.usage.is_unknown);
    attempts.fold(Money::ZERO, |sum, attempt| sum + if is_unknown { attempt.at_most() } else { attempt.maybe_cost })
}

/// Returns the cost of these attempts; `None` if at least one of the attempts has no price or an unknown usage.
pub(crate) fn cost_of<'a>(mut attempts: impl Iterator<Item = &'a AttemptRecord>) -> Option<Money> {
    attempts.try_fold(Money::ZERO, |sum, attempt| Some(sum + attempt.cost?))
}

/// Returns the cost that these attempts would have had without a prompt cache: see [`Outcome::without_cache`].
pub(crate) fn without_cache_of<'a>(mut attempts: impl Iterator<Item = &'a AttemptRecord> + Clone) -> Option<Money> {
    if attempts.clone().all(|attempt| attempt.without_cache.is_none()) {
        return None;
    }
    let of = |attempt: &AttemptRecord| attempt.without_cache.or(attempt.cost);
    attempts.try_fold(Money::ZERO, |sum, attempt| Some(sum + of(attempt)?))
}

#[cfg(test)]
mod tests {
    use super::super::{Identity, JobId, JobKey, Origin, Params, Request, RowId};
    use super::*;

    /// Returns the record of an attempt with these two costs: the cost with a prompt cache, and the cost without a
    /// prompt cache.
    fn attempt(cost: Option<u128>, without_cache: Option<u128>) -> AttemptRecord {
        AttemptRecord {
            cost: cost.map(Money),
            without_cache: without_cache.map(Money),
            max_tokens: 5,
            ..AttemptRecord::new("anthropic", "m")
        }
    }

    #[test]
    fn the_known_costs_beside_an_unknown_usage_are_not_lost() {
        let mut last = attempt(None, None);
        (last.usage.is_unknown, last.maybe_cost) = (true, Money(100));
        let both = [attempt(Some(5), None), last.clone()];

        assert_eq!((cost_of(both.iter()), maybe_cost_of(both.iter())), (None, Money(105)));
        last.take_over(&both[0]);
        assert_eq!((last.cost, last.maybe_cost), (None, Money(105)));
    }

    #[test]
    fn attempts_that_did_not_use_the_cache_cost_the_same_without_it() {
        let without = |attempts: &[AttemptRecord]| {
            let job = Job {
                id: JobId(0),
                custom_id: String::new(),
                key: JobKey([0; 16]),
                identity: Identity::Named,
                row: RowId { label: 0, key: 0 },
                request: Request::default(),
                extra: Params::default(),
                origin: Origin { source: "".into(), line: 1 },
                index: 0,
            };
            let ended = Ended::Failed { class: ErrorClass::Server, failure: Failure::default(), is_retryable: true };
            let whole = Outcome { job: Box::new(job), attempts: attempts.to_vec(), ended }.without_cache();
            // The sum is the same if the earlier records are merged into the last record.
            let mut last = attempts[attempts.len() - 1].clone();
            attempts[..attempts.len() - 1].iter().for_each(|earlier| last.take_over(earlier));
            assert_eq!(last.without_cache, whole);
            whole
        };

        assert_eq!(without(&[attempt(Some(5), None)]), None);
        assert_eq!(without(&[attempt(Some(5), None), attempt(Some(1), Some(9))]), Some(Money(14)));
        assert_eq!(without(&[attempt(Some(2), Some(9)), attempt(Some(5), None)]), Some(Money(14)));
        assert_eq!(without(&[attempt(None, None), attempt(Some(1), Some(9))]), None);
    }
}
