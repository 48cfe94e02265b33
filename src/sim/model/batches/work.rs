//! Processes one request of a batch: checks it, answers it and charges for it.

use std::borrow::Cow;

use crate::clock::Instant;
use crate::domain::Usage;
use crate::sim::faults::{Fault, Target};

use super::super::admission::scope;
use super::super::answer;
use super::super::blocks::Answer;
use super::super::cache::Lookup;
use super::super::chance::{self, RequestFacts};
use super::super::endpoints::unknown;
use super::super::errors::{self, ApiError};
use super::super::fields::Fields;
use super::super::hash::Hash;
use super::super::script::AskedFacts;
use super::super::state::Model;
use super::super::validate::{self, Endpoint, Prompt};
use super::batch::{Batch, End, Line, SERIALS, Success};

/// The fields that a request in a batch can't have. Source: API documentation, "Batch processing" (2026-09-20).
const REFUSED: [&str; 3] = ["speed", "fallbacks", "thread"];

impl Model {
    /// Processes the request with the index `row` in a batch, at the time `now`.
    pub(super) fn process(&mut self, batch: &mut Batch, row: usize, now: Instant) {
        let params = batch.rows.params(row);
        let fields = Fields::read(params);
        let content = match &fields {
            Ok(fields) => fields.content_hash(self.config.seed),
            Err(_) => Hash::new(self.config.seed).bytes(params),
        };
        let fault = self.draw_batched(batch, row, fields.as_ref().ok(), content.end(), now);
        let attempts = self.books.attempts(content.end());
        self.books.attempt(content.end());
        let mut line = Line::Once;
        let end = match fault {
            Some((_, Fault::RequestExpired)) => {
                batch.left_out += 1;
                End::Waiting
            }
            Some((_, Fault::RequestErrored { kind, message })) => {
                let status = errors::status_of(&kind);
                let message = message.unwrap_or_else(|| errors::usual_message(status).to_owned());
                End::Errored(Box::new(ApiError { kind, ..ApiError::new(status, message) }))
            }
            other => {
                line = match other {
                    Some((_, Fault::ResultMissing)) => Line::Missing,
                    Some((rule, Fault::ResultExtra { .. })) => Line::Again(u16::try_from(rule).unwrap_or(u16::MAX)),
                    _ => Line::Once,
                };
                let organization = batch.organization;
                let asked = AskedFacts {
                    content: content.end(),
                    body: params,
                    model: "",
                    arrival: batch.serial + row as u64,
                    attempts,
                    now,
                };
                match fields.and_then(|fields| self.succeed(fields, batch.version, content, organization, asked)) {
                    Ok(success) => End::Succeeded(Box::new(success)),
                    // Every error of an invalid request has the type `invalid_request_error`. It is not confirmed that
                    // the API also uses `invalid_request_error` if the model is unknown.
                    Err(error) => {
                        let kind = errors::kind_of(400).to_owned();
                        End::Errored(Box::new(ApiError { kind, ..error }))
                    }
                }
            }
        };
        match &end {
            End::Succeeded(_) => self.books.batches.succeeded += 1,
            End::Errored(_) => self.books.batches.errored += 1,
            End::Waiting | End::Canceled | End::Expired => {}
        }
        let row = &mut batch.rows.rows[row];
        (row.end, row.line) = (end, line);
    }

    fn draw_batched(
        &mut self,
        batch: &Batch,
        row: usize,
        fields: Option<&Fields<'_>>,
        content: u64,
        now: Instant,
    ) -> Option<(usize, Fault)> {
        if self.config.faults.rules.is_empty() {
            return None;
        }
        let name = fields.and_then(|fields| fields.read_as::<Cow<'_, str>>("model", "").ok().flatten());
        let facts = RequestFacts {
            target: Target::Batched,
            age: now.since(batch.created),
            content,
            body: batch.rows.params(row),
            is_marked: false,
            model: name.as_deref().unwrap_or_default(),
            arrival: batch.serial + row as u64,
            attempts: self.books.attempts(content),
            now,
        };
        let rule = chance::rule(&self.config.faults, self.config.seed, &self.fired, facts)?;
        self.count_fault(rule);
        Some((rule, self.config.faults.rules[rule].fault.clone()))
    }

    /// Answers a request and charges for it.
    fn succeed(
        &mut self,
        fields: Fields<'_>,
        version: &str,
        content: Hash,
        organization: u64,
        asked: AskedFacts<'_>,
    ) -> Result<Success, ApiError> {
        let name = check(&fields)?;
        let model = self.find_model(&name).ok_or_else(|| unknown(&name))?;
        let prompt = self.read_batched(fields, model, version)?;
        let rule = self.draw_answer(&prompt, AskedFacts { model: &name, ..asked });
        if let Some(rule) = rule {
            self.count_answer(rule);
        }
        let answer = self.answer_batched(&prompt, model, content, rule);
        let lookup = self.look_up_batched(&prompt, model, organization, asked.now);
        let split = lookup.split;
        let usage = Usage {
            input_tokens: split.uncached,
            cache_write_5m_tokens: split.write_5m,
            cache_write_1h_tokens: split.write_1h,
            cache_read_tokens: split.read,
            output_tokens: answer.output_tokens,
            web_searches: answer.searches,
            is_unknown: false,
        };
        // A refusal before the first output is free, both in batches and outside batches.
        let mut billed = crate::domain::Money::ZERO;
        if !answer.is_free() {
            billed = self.batch_price(model, usage);
            self.spend(organization, billed);
            self.books.bill(content.end(), prompt.user_id.as_deref(), usage, billed);
        }
        Ok(Success { model, rule, split, usage, billed })
    }

    /// Reads the request and checks it, or returns the error that the API sends for it.
    pub(super) fn read_batched<'a>(
        &self,
        fields: Fields<'a>,
        model: usize,
        version: &str,
    ) -> Result<Prompt<'a>, ApiError> {
        let of = &self.config.models[model];
        let prompt = validate::read(fields, of, version, Endpoint::Messages, self.config.token_skew)?;
        if prompt.max_tokens == 0 {
            return Err(ApiError::invalid("max_tokens: Input should be greater than or equal to 1"));
        }
        Ok(prompt)
    }

    /// Returns the answer to a valid request. `rule` is the index of the answer rule that makes the answer.
    pub(super) fn answer_batched(
        &self,
        prompt: &Prompt<'_>,
        model: usize,
        content: Hash,
        rule: Option<usize>,
    ) -> Answer {
        let rule = rule.map(|rule| &self.config.answers.rules[rule]);
        answer::to(prompt, &self.config.models[model], &self.config, content, rule)
    }

    /// For a prompt, returns the tokens that it reads from the cache of the batches, and the entries that it writes
    /// there. Other requests can read these entries after the answer has begun.
    fn look_up_batched(&mut self, prompt: &Prompt<'_>, model: usize, organization: u64, now: Instant) -> Lookup {
        if prompt.parts.is_empty() {
            return Lookup::uncached(prompt.tokens);
        }
        let scope = scope(prompt, model, organization);
        self.batches.write_fresh(now);
        let cache = &mut self.batches.cache;
        let lookup = cache.look_up(&prompt.parts, scope, self.config.models[model].cache_min_tokens, now);
        cache.renew(&lookup, now);
        self.batches.fresh.push_back((now + self.config.latency.first_token, lookup.writes.clone()));
        self.books.cache_writes += lookup.writes.len() as u64;
        self.books.cache_reads += u64::from(lookup.split.read > 0);
        lookup
    }
}

/// Returns the name of the model, or an error if the request has a field that the API rejects only in batches.
fn check<'a>(fields: &Fields<'a>) -> Result<Cow<'a, str>, ApiError> {
    if let Some(refused) = REFUSED.iter().find(|name| fields.get(name).is_some()) {
        return Err(ApiError::invalid(format!("{refused}: Extra inputs are not permitted in message batches")));
    }
    if fields.read_as::<bool>("stream", "a valid boolean")?.unwrap_or(false) {
        return Err(ApiError::invalid("stream: Streaming is not supported in message batches"));
    }
    validate::model_name(fields, Endpoint::Messages)
}

/// Returns the first of the serial numbers that belong to one request in a batch.
pub(super) fn serial(batch: &Batch, row: usize) -> u64 {
    batch.serial + row as u64 * SERIALS
}
