//! A call: a request that was admitted and has not ended.

use crate::clock::Instant;
use crate::domain::Usage;

use super::blocks::Answer;
use super::cache::{Split, Write};
use super::limits::Account;
use super::validate::Prompt;

/// The state of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No token has been produced yet.
    Waiting,
    /// Output is being produced at this rate (bucket units per nanosecond).
    Producing(i128),
    /// The call is over: no more output is produced, and the call was charged.
    Over,
}

/// An admitted call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub account: Account,
    pub model: usize,
    pub body: u64,
    pub request_id: String,
    pub is_stream: bool,
    pub split: Split,
    pub writes: Vec<Write>,
    pub begin: Instant,
    pub end: Instant,
    pub phase: Phase,
    pub is_open: bool,
    pub is_spoiled: bool,
    pub is_lost: bool,
    pub output_tokens: u64,
    pub max_tokens: u64,
    pub counted: u64,
    pub estimate: u64,
    pub is_free: bool,
    searches: u64,
    pub user_id: Option<String>,
}

impl Call {
    /// Returns a call that has not produced its first token. `input` has three parts. The first part of `input` gives
    /// the prompt's tokens, split by how the cache handles them. The second part says how many of these tokens count
    /// against the input limit. The third part is the estimated number of tokens that count against the input limit.
    /// `times` are the times at which the output begins and ends.
    pub(super) fn new(
        account: Account,
        model: usize,
        body: u64,
        prompt: &Prompt<'_>,
        answer: &Answer,
        input: (Split, u64, u64),
        times: (Instant, Instant),
    ) -> Self {
        Self {
            model,
            body,
            split: input.0,
            is_free: answer.is_free(),
            searches: answer.searches,
            user_id: prompt.user_id.as_deref().map(str::to_owned),
            ..Self::sized(
                account,
                (input.0.uncached, answer.output_tokens, prompt.max_tokens),
                (input.1, input.2),
                times,
                prompt.is_stream,
            )
        }
    }

    /// Returns a call that has no prompt and is not billed. The first value of `input` is the number of tokens that
    /// count against the input limit. The second value of `input` is an estimate of this number of tokens.
    pub(super) fn sized(
        account: Account,
        sizes: (u64, u64, u64),
        input: (u64, u64),
        times: (Instant, Instant),
        is_stream: bool,
    ) -> Self {
        let (uncached, output_tokens, max_tokens) = sizes;
        Self {
            account,
            model: 0,
            body: 0,
            request_id: String::new(),
            is_stream,
            split: Split { uncached, ..Split::default() },
            writes: Vec::new(),
            begin: times.0,
            end: times.1,
            phase: Phase::Waiting,
            is_open: true,
            is_spoiled: false,
            is_lost: false,
            output_tokens,
            max_tokens,
            counted: input.0,
            estimate: input.1,
            is_free: true,
            searches: 0,
            user_id: None,
        }
    }

    /// Ends the output early. `part` is the share of the output that is produced, from 0 to 1.
    pub(super) fn end_early(&mut self, part: f64) {
        self.end = self.begin + self.end.since(self.begin).mul_f64(part);
        self.output_tokens = (self.output_tokens as f64 * part) as u64;
    }

    /// Returns the usage of the call.
    pub(super) fn usage(&self) -> Usage {
        Usage {
            input_tokens: self.split.uncached,
            cache_write_5m_tokens: self.split.write_5m,
            cache_write_1h_tokens: self.split.write_1h,
            cache_read_tokens: self.split.read,
            output_tokens: self.output_tokens,
            web_searches: self.searches,
            is_unknown: false,
        }
    }
}
