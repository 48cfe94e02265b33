//! Writes the rate headers of a response.

use std::time::Duration;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use super::limits::ClassLimits;

impl ClassLimits {
    /// Adds the rate headers. Callers must have updated every bucket for the current time. `wall` is the wall-clock
    /// time.
    pub(super) fn write_headers(&self, headers: &mut HeaderMap, wall: jiff::Timestamp) {
        let mut add = |names: &[HeaderName; 3], limit: u64, remaining: u64, full_in: Duration| {
            headers.insert(names[0].clone(), HeaderValue::from(limit));
            headers.insert(names[1].clone(), HeaderValue::from(remaining));
            headers.insert(names[2].clone(), reset(wall, full_in));
        };
        if let Some(bucket) = &self.requests {
            add(&REQUESTS, bucket.limit().into(), bucket.tokens(), bucket.time_to_full());
        }
        if let Some(bucket) = &self.input {
            add(&INPUT, bucket.limit().into(), bucket.rounded_tokens(), bucket.time_to_full());
        }
        if let Some(bucket) = &self.output {
            add(&OUTPUT, bucket.limit().into(), bucket.rounded_tokens(), bucket.time_to_full());
        }
        if let (Some(input), Some(output)) = (&self.input, &self.output) {
            let limit = u64::from(input.limit()) + u64::from(output.limit());
            add(&TOKENS, limit, input.rounded_tokens() + output.rounded_tokens(), input.time_to_full_with(output));
        }
    }
}

/// Returns the header value that says when a bucket is full, rounded up to a whole second.
fn reset(wall: jiff::Timestamp, full_in: Duration) -> HeaderValue {
    let second = wall.as_nanosecond() + i128::try_from(full_in.as_nanos()).unwrap_or(0);
    let second = i64::try_from((second + 999_999_999).div_euclid(1_000_000_000)).unwrap_or(i64::MAX);
    let text = jiff::Timestamp::from_second(second).unwrap_or(wall).to_string();
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

const fn header(name: &'static str) -> HeaderName {
    HeaderName::from_static(name)
}

static REQUESTS: [HeaderName; 3] = [
    header("anthropic-ratelimit-requests-limit"),
    header("anthropic-ratelimit-requests-remaining"),
    header("anthropic-ratelimit-requests-reset"),
];
static INPUT: [HeaderName; 3] = [
    header("anthropic-ratelimit-input-tokens-limit"),
    header("anthropic-ratelimit-input-tokens-remaining"),
    header("anthropic-ratelimit-input-tokens-reset"),
];
static OUTPUT: [HeaderName; 3] = [
    header("anthropic-ratelimit-output-tokens-limit"),
    header("anthropic-ratelimit-output-tokens-remaining"),
    header("anthropic-ratelimit-output-tokens-reset"),
];
static TOKENS: [HeaderName; 3] = [
    header("anthropic-ratelimit-tokens-limit"),
    header("anthropic-ratelimit-tokens-remaining"),
    header("anthropic-ratelimit-tokens-reset"),
];
