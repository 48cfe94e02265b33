//! Simulates calls without a body: only their sizes are known.
//!
//! A forecast simulates tens of thousands of calls. The size and duration of each call are known, and no texts are
//! needed. Limits and 429s apply to these calls in the same way as to requests with a body. Calls without a body are
//! not billed.

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{LimitSignal, ModelClass, RateSignals};

use super::bucket::Bucket;
use super::call::Call;
use super::exchange::Ticket;
use super::limits::{Account, Asked, ClassLimits};
use super::refusal::Stop;
use super::state::{Event, Model};

/// The sizes and times of a call without a body.
#[derive(Clone, Copy, Debug)]
pub struct SizedCall {
    /// The number of tokens that count against the input limit.
    pub input_tokens: u64,
    /// The number of output tokens.
    pub output_tokens: u64,
    /// The `max_tokens` of the request.
    pub max_tokens: u64,
    /// The time from the request to the first token.
    pub first_token: Duration,
    /// The time from the first token to the last token.
    pub production: Duration,
    /// Whether the response head (status and headers) is sent with the first token, as in a stream, and not at the end.
    pub is_stream: bool,
}

/// The planned response to a call without a body.
#[derive(Clone, Copy, Debug)]
pub enum SizedArrival {
    /// The call is admitted.
    Admitted {
        /// The ticket for [`Model::finish`].
        ticket: Ticket,
        /// The time at which the response head is sent.
        head_at: Instant,
        /// The time at which the last token is sent.
        end_at: Instant,
    },
    /// A limit is used up, so the call gets a 429.
    Refused {
        /// The time at which the 429 is sent.
        at: Instant,
        /// How long the client has to wait before another attempt.
        retry_after: Duration,
    },
}

impl Model {
    /// Returns the index of a model class; `None` if no model has the class. The other functions of this file need this
    /// index.
    pub(crate) fn class_index(&self, class: &ModelClass) -> Option<usize> {
        self.classes.iter().position(|known| known.name == *class)
    }

    /// Returns the planned response to a call without a body. The call arrives at `now`.
    pub(crate) fn arrive_sized(&mut self, class: usize, call: SizedCall, now: Instant) -> SizedArrival {
        self.advance(now);
        let (account, now): (Account, _) = ((0, class), self.now);
        self.serial += 1;
        self.books.requests += 1;
        let estimate = (call.input_tokens as f64 * self.config.estimate_skew) as u64;
        let asked = Asked { input: estimate, max_tokens: call.max_tokens };
        if let Err(stop) = self.admit_by_limits(asked, account, now) {
            let Stop::Refused { reason, retry_after, .. } = *stop else { unreachable!("limits only refuse") };
            self.books.refuse(reason);
            let retry_after = Duration::from_secs(retry_after.unwrap_or(1));
            return SizedArrival::Refused { at: now + self.config.latency.error, retry_after };
        }
        self.books.admit();
        let begin = now + call.first_token;
        let end = begin + call.production;
        self.serial += 1;
        let ticket = self.serial;
        self.schedule(begin, Event::Begin(ticket));
        self.schedule(end, Event::End(ticket));
        let (sizes, counted) =
            ((call.input_tokens, call.output_tokens, call.max_tokens), (call.input_tokens, estimate));
        self.calls.insert(ticket, Call::sized(account, sizes, counted, (begin, end), call.is_stream));
        SizedArrival::Admitted {
            ticket: Ticket(ticket),
            head_at: if call.is_stream { begin } else { end },
            end_at: end,
        }
    }

    /// Returns the rate signals that the headers of a response contain at the time `now`.
    pub(crate) fn signals(&mut self, class: usize, now: Instant) -> RateSignals {
        self.advance(now);
        self.account((0, class)).signals()
    }
}

impl ClassLimits {
    fn signals(&self) -> RateSignals {
        let signal = |bucket: &Option<Bucket>, remaining: fn(&Bucket) -> u64| match bucket {
            Some(bucket) => LimitSignal {
                limit: Some(bucket.limit()),
                remaining: Some(u32::try_from(remaining(bucket)).unwrap_or(u32::MAX)),
            },
            None => LimitSignal::default(),
        };
        RateSignals {
            requests: signal(&self.requests, Bucket::tokens),
            input_tokens: signal(&self.input, Bucket::rounded_tokens),
            output_tokens: signal(&self.output, Bucket::rounded_tokens),
            ..RateSignals::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RateLimits;
    use crate::sim::config::SimConfig;
    use crate::sim::model::Ending;
    use crate::sim::presets;

    fn model() -> (Model, usize) {
        let config = SimConfig::new(presets::models()).with_limits(RateLimits::new(2, 30_000, 8_000));
        let model = Model::new(config);
        let class = model.class_index(&ModelClass("haiku-4.5".into())).expect("it is served");
        (model, class)
    }

    fn call() -> SizedCall {
        SizedCall {
            input_tokens: 1_200,
            output_tokens: 3_000,
            max_tokens: 4_096,
            first_token: Duration::from_secs(1),
            production: Duration::from_secs(2),
            is_stream: true,
        }
    }

    #[test]
    fn a_sized_call_counts_against_all_limits_and_a_third_is_refused() {
        let (mut model, class) = model();

        let first = model.arrive_sized(class, call(), Instant::ZERO);
        let at_start = model.signals(class, Instant::ZERO);
        let second = model.arrive_sized(class, call(), Instant::ZERO);
        let third = model.arrive_sized(class, call(), Instant::ZERO);
        let at_end = model.signals(class, Instant::from_secs(3));

        let SizedArrival::Admitted { ticket, head_at, end_at } = first else { panic!("{first:?}") };
        assert_eq!((head_at, end_at), (Instant::from_secs(1), Instant::from_secs(3)));
        assert!(matches!(second, SizedArrival::Admitted { .. }), "{second:?}");
        let SizedArrival::Refused { retry_after, .. } = third else { panic!("{third:?}") };
        assert_eq!(retry_after, Duration::from_secs(30));
        assert_eq!((at_start.requests.remaining, at_start.input_tokens.remaining), (Some(1), Some(29_000)));
        assert_eq!(at_end.output_tokens.remaining, Some(2_000), "6,000 tokens were produced, and 400 came in");
        model.finish(ticket, Ending::Played, Instant::from_secs(3));
        assert_eq!((model.books().in_flight, model.books().billed_calls), (1, 0), "such calls are not billed");
    }
}
