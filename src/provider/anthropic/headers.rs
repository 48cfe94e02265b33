//! Reads a response head (the status and the headers): limits, waiting times, and the id of the request.
//!
//! All headers come from the server, or from a proxy between the server and this program, and can be wrong. Each value
//! in a header is therefore read strictly. A value that makes no sense is treated as missing. Source: API
//! documentation, "Rate limits", response headers (2026-08-22).

use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use crate::domain::{LimitSignal, ProviderKind, RateSignals};
use crate::provider::HeadNews;

/// The longest wait that is accepted. Some waits take several days: 302,539 s has been seen. A spend cap is lifted
/// within a month. A wait of more than a year must be a mistake.
const LONGEST_WAIT: Duration = Duration::from_secs(400 * 86_400);

/// The largest value that is read as a limit. A larger value means "no limit": some proxies send 2³² or 2⁶³.
const LARGEST_LIMIT: u64 = 4_000_000_000;

/// A LiteLLM proxy puts this prefix before the names of headers that come from the platform behind the proxy. If the
/// proxy itself rejects a request on the Messages path, the proxy sends no `retry-after`. Sources: PyPI litellm
/// 1.110.2; BerriAI/litellm#37754 (2026-08).
const OF_PLATFORM_BEHIND: &str = "llm_provider-";

/// Returns the limits and the waiting times in the headers of a response, and the id of the request.
///
/// A date in `retry-after` is compared with the header `date`, so the wait is right even if the server's clock is
/// wrong. If the header `date` is missing, the date in `retry-after` is compared with `now`, which returns wall-clock
/// time.
///
/// If a LiteLLM proxy answered, the headers of the platform behind the proxy are read as well. For each limit, the
/// proxy's own headers have priority.
pub(super) fn read(kind: ProviderKind, headers: &HeaderMap, now: &dyn Fn() -> Timestamp) -> HeadNews {
    let values = Values::of(headers);
    let own = values.signals(now);
    let signals = match kind {
        ProviderKind::LiteLlm => either(own, Values::behind(headers).signals(now)),
        _ => own,
    };
    HeadNews { signals, request_id: values.request_id() }
}

/// Returns the rate signals of a proxy. If the proxy reports nothing about a limit, the report of the platform behind
/// the proxy is used. If the proxy and the platform both name a wait, the longer wait is used.
fn either(own: RateSignals, behind: RateSignals) -> RateSignals {
    let limit = |own: LimitSignal, behind| if own == LimitSignal::default() { behind } else { own };
    RateSignals {
        requests: limit(own.requests, behind.requests),
        input_tokens: limit(own.input_tokens, behind.input_tokens),
        output_tokens: limit(own.output_tokens, behind.output_tokens),
        all_tokens: limit(own.all_tokens, behind.all_tokens),
        retry_after: own.retry_after.max(behind.retry_after),
        should_retry: own.should_retry.or(behind.should_retry),
    }
}

/// Returns the id that the API gave the request: at most 128 visible ASCII characters.
pub fn request_id(headers: &HeaderMap) -> Option<String> {
    Values::of(headers).request_id()
}

/// Returns whether the response headers say that the body is a stream of events.
pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("text/event-stream")
}

/// The headers that this module uses, collected in one pass over all headers of a response. Separate look-ups would
/// hash the long name of each header for every response.
#[derive(Default)]
struct Values<'a> {
    requests: Limit<'a>,
    input_tokens: Limit<'a>,
    output_tokens: Limit<'a>,
    all_tokens: Limit<'a>,
    retry_after_ms: Single<'a>,
    retry_after: Single<'a>,
    date: Single<'a>,
    x_should_retry: Single<'a>,
    request_id: Single<'a>,
    x_request_id: Single<'a>,
    /// The id that a platform other than the Claude API gave to the request.
    platform_id: Single<'a>,
}

/// The headers of a limit: its size, and how much of it is left.
#[derive(Default)]
struct Limit<'a> {
    limit: Single<'a>,
    remaining: Single<'a>,
}

/// The value of a header that should occur once.
#[derive(Clone, Copy, Default)]
enum Single<'a> {
    #[default]
    Missing,
    Once(&'a HeaderValue),
    /// The header occurs several times. A repeated header is treated as missing, because it is not clear which value is
    /// right.
    Repeated,
}

impl<'a> Values<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        Self::named(headers.iter().map(|(name, value)| (name.as_str(), value)))
    }

    /// Returns the headers of the platform behind a LiteLLM proxy.
    fn behind(headers: &'a HeaderMap) -> Self {
        let own = |(name, value): (&'a HeaderName, _)| Some((name.as_str().strip_prefix(OF_PLATFORM_BEHIND)?, value));
        Self::named(headers.iter().filter_map(own))
    }

    #[inline]
    fn named(headers: impl Iterator<Item = (&'a str, &'a HeaderValue)>) -> Self {
        let mut values = Self::default();
        for (name, value) in headers {
            let single = match name.strip_prefix("anthropic-ratelimit-") {
                Some(rest) => values.limit(rest),
                None => values.other(name),
            };
            if let Some(single) = single {
                *single = match single {
                    Single::Missing => Single::Once(value),
                    Single::Once(_) | Single::Repeated => Single::Repeated,
                };
            }
        }
        values
    }

    fn signals(&self, now: &dyn Fn() -> Timestamp) -> RateSignals {
        RateSignals {
            requests: self.requests.signal(),
            input_tokens: self.input_tokens.signal(),
            output_tokens: self.output_tokens.signal(),
            all_tokens: self.all_tokens.signal(),
            retry_after: self.retry_after(now),
            should_retry: self.should_retry(),
        }
    }

    fn limit(&mut self, name: &str) -> Option<&mut Single<'a>> {
        match name {
            "requests-limit" => Some(&mut self.requests.limit),
            "requests-remaining" => Some(&mut self.requests.remaining),
            "input-tokens-limit" => Some(&mut self.input_tokens.limit),
            "input-tokens-remaining" => Some(&mut self.input_tokens.remaining),
            "output-tokens-limit" => Some(&mut self.output_tokens.limit),
            "output-tokens-remaining" => Some(&mut self.output_tokens.remaining),
            "tokens-limit" => Some(&mut self.all_tokens.limit),
            "tokens-remaining" => Some(&mut self.all_tokens.remaining),
            _ => None,
        }
    }

    fn other(&mut self, name: &str) -> Option<&mut Single<'a>> {
        match name {
            "retry-after-ms" => Some(&mut self.retry_after_ms),
            "retry-after" => Some(&mut self.retry_after),
            "date" => Some(&mut self.date),
            "x-should-retry" => Some(&mut self.x_should_retry),
            "request-id" => Some(&mut self.request_id),
            "x-request-id" => Some(&mut self.x_request_id),
            // AWS, LiteLLM and Azure use other names for the header with the request's id.
            "x-amzn-requestid" | "x-litellm-call-id" | "apim-request-id" => Some(&mut self.platform_id),
            _ => None,
        }
    }

    fn request_id(&self) -> Option<String> {
        let id = match self.request_id {
            Single::Once(_) => self.request_id,
            // A header that is sent twice is treated as missing.
            Single::Missing | Single::Repeated => match self.x_request_id {
                Single::Once(_) => self.x_request_id,
                Single::Missing | Single::Repeated => self.platform_id,
            },
        };
        let id = id.text()?;
        // The loop over the bytes never stops early, so the compiled code can check many bytes in one step.
        let is_graphic = id.bytes().fold(true, |so_far, byte| so_far & byte.is_ascii_graphic());
        let is_id = !id.is_empty() && id.len() <= 128 && is_graphic;
        is_id.then(|| id.to_owned())
    }

    fn should_retry(&self) -> Option<bool> {
        match self.x_should_retry.text()? {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// Returns the longer of the waits in `retry-after-ms` and `retry-after`.
    fn retry_after(&self, now: &dyn Fn() -> Timestamp) -> Option<Duration> {
        let in_millis = self.retry_after_ms.text().and_then(|text| positive(text, 1_000));
        let server_time = || self.date.text().and_then(date);
        let plain = self.retry_after.text();
        let plain = plain.and_then(|text| positive(text, 1).or_else(|| until(text, server_time().unwrap_or_else(now))));
        in_millis.max(plain)
    }
}

impl Limit<'_> {
    fn signal(&self) -> LimitSignal {
        LimitSignal { limit: self.limit.count().filter(|&limit| limit > 0), remaining: self.remaining.count() }
    }
}

impl<'a> Single<'a> {
    fn text(self) -> Option<&'a str> {
        match self {
            Self::Once(value) => value.to_str().ok().map(str::trim),
            Self::Missing | Self::Repeated => None,
        }
    }

    fn count(self) -> Option<u32> {
        let text = self.text()?;
        if !is_digits(text) {
            return None;
        }
        let value: u64 = text.parse().ok()?;
        u32::try_from(value).ok().filter(|_| value <= LARGEST_LIMIT)
    }
}

/// Reads a positive length of time. `per_second` is the number of units in a second: 1 for seconds, 1,000 for
/// milliseconds.
fn positive(text: &str, per_second: u32) -> Option<Duration> {
    let whole = is_digits(text).then(|| text.parse::<u64>().ok()).flatten();
    let wait = match whole {
        Some(units) => Duration::from_secs(units).checked_div(per_second)?,
        None => Duration::try_from_secs_f64(decimal(text)? / f64::from(per_second)).ok()?,
    };
    believable(wait)
}

/// Reads a decimal number. Unlike Rust's own parser, this function does not accept the words `inf` and `nan`.
fn decimal(text: &str) -> Option<f64> {
    let starts_well = text.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    (starts_well && is_plain).then(|| text.parse().ok()).flatten()
}

fn until(text: &str, now: Timestamp) -> Option<Duration> {
    let wait = date(text)?.duration_since(now);
    believable(Duration::try_from(wait).ok()?)
}

fn believable(wait: Duration) -> Option<Duration> {
    (!wait.is_zero() && wait <= LONGEST_WAIT).then_some(wait)
}

fn date(text: &str) -> Option<Timestamp> {
    const PARSER: DateTimeParser = DateTimeParser::new();
    PARSER.parse_timestamp(text).ok()
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the time of the tests: Sunday, 22 November 2026, 10:00:00 UTC.
    fn now() -> Timestamp {
        "2026-11-22T10:00:00Z".parse().expect("a fixed instant")
    }

    fn head(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("the test writes a header value");
            headers.append(HeaderName::from_static(name), value);
        }
        headers
    }

    fn rate_signals(headers: &HeaderMap) -> RateSignals {
        read(ProviderKind::Anthropic, headers, &now).signals
    }

    fn wait(pairs: &[(&'static str, &str)]) -> Option<Duration> {
        rate_signals(&head(pairs)).retry_after
    }

    #[test]
    fn a_recorded_head_gives_limits_and_remaining_amounts() {
        let headers = head(&[
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-requests-reset", "2026-02-25T20:02:32Z"),
            ("anthropic-ratelimit-input-tokens-limit", "30000"),
            ("anthropic-ratelimit-input-tokens-remaining", "28000"),
            ("anthropic-ratelimit-output-tokens-limit", "8000"),
            ("anthropic-ratelimit-output-tokens-remaining", "0"),
        ]);

        let signals = rate_signals(&headers);

        assert_eq!(signals.requests, LimitSignal { limit: Some(50), remaining: Some(49) });
        assert_eq!(signals.input_tokens, LimitSignal { limit: Some(30_000), remaining: Some(28_000) });
        assert_eq!(signals.output_tokens, LimitSignal { limit: Some(8_000), remaining: Some(0) });
        assert_eq!(signals.retry_after, None);
    }

    #[test]
    fn a_limit_on_all_tokens_is_a_fact_of_its_own() {
        let all = [("anthropic-ratelimit-tokens-limit", "10000"), ("anthropic-ratelimit-tokens-remaining", "85")];
        let with_input = [all[0], all[1], ("anthropic-ratelimit-input-tokens-limit", "50000")];

        let (alone, with_input) = (rate_signals(&head(&all)), rate_signals(&head(&with_input)));

        let all_tokens = LimitSignal { limit: Some(10_000), remaining: Some(85) };
        assert_eq!(alone, RateSignals { all_tokens, ..RateSignals::default() });
        assert!(alone.has_limits() && alone.counts_together() && !with_input.counts_together());
        assert_eq!((with_input.all_tokens, with_input.input_tokens.limit), (all_tokens, Some(50_000)));
    }

    #[test]
    fn the_headers_of_the_platform_behind_a_proxy_count_only_for_such_a_proxy() {
        let headers = head(&[
            ("llm_provider-anthropic-ratelimit-requests-limit", "50"),
            ("llm_provider-anthropic-ratelimit-input-tokens-limit", "30000"),
            ("anthropic-ratelimit-input-tokens-limit", "20000"),
            ("llm_provider-retry-after", "7"),
            ("retry-after", "3"),
            ("x-litellm-call-id", "abc"),
        ]);

        let news = read(ProviderKind::LiteLlm, &headers, &now);

        assert_eq!((news.signals.requests.limit, news.signals.input_tokens.limit), (Some(50), Some(20_000)));
        assert_eq!(news.signals.retry_after, Some(Duration::from_secs(7)));
        assert_eq!(news.request_id.as_deref(), Some("abc"));
        let direct = read(ProviderKind::Anthropic, &headers, &now).signals;
        assert_eq!((direct.requests.limit, direct.retry_after), (None, Some(Duration::from_secs(3))));
    }

    #[test]
    fn limits_that_make_no_sense_are_left_out() {
        for nonsense in ["4000000001", "4294967296", "9223372036854775807", "0", "-5", "1e6", "50.0", "", "unlimited"] {
            let signals = rate_signals(&head(&[("anthropic-ratelimit-requests-limit", nonsense)]));

            assert_eq!(signals.requests.limit, None, "{nonsense:?}");
        }
        let largest = rate_signals(&head(&[("anthropic-ratelimit-requests-limit", "4000000000")]));
        assert_eq!(largest.requests.limit, Some(4_000_000_000));
    }

    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        assert_eq!(wait(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(wait(&[("retry-after", " 7 ")]), Some(Duration::from_secs(7)));
        assert_eq!(wait(&[("retry-after", "0.25")]), Some(Duration::from_millis(250)));
        assert_eq!(wait(&[("retry-after-ms", "302539000")]), Some(Duration::from_secs(302_539)));
        assert_eq!(wait(&[("retry-after-ms", "1.5")]), Some(Duration::from_micros(1_500)));
        assert_eq!(wait(&[("retry-after", "Sun, 22 Nov 2026 10:01:30 GMT")]), Some(Duration::from_secs(90)));
        assert_eq!(wait(&[("retry-after", "34560000")]), Some(LONGEST_WAIT));
    }

    #[test]
    fn nonsense_in_retry_after_counts_as_missing() {
        let dates = [
            "Sun, 22 Nov 2026 09:59:59 GMT",
            "Sun, 22 Nov 2026 10:00:00 GMT",
            "Mon, 32 Nov 2026 10:00:00 GMT",
            "Fri, 31 Dec 2049 10:00:00 GMT",
            "2026-11-22T10:05:00Z",
        ];
        let numbers = [
            "",
            "0",
            "-3",
            "NaN",
            "inf",
            "1e400",
            "soon",
            "5s",
            "0x10",
            "5, 10",
            "99999999999999999999",
            "٧",
            ".",
            "--1",
            "+5",
        ];
        for shape in dates.into_iter().chain(numbers) {
            assert_eq!(wait(&[("retry-after", shape)]), None, "retry-after: {shape:?}");
            assert_eq!(wait(&[("retry-after-ms", shape)]), None, "retry-after-ms: {shape:?}");
        }
        assert_eq!(wait(&[("retry-after", "34560001")]), None, "more than 400 days");
        assert_eq!(wait(&[("retry-after-ms", "34560000001")]), None, "more than 400 days");
        assert_eq!(wait(&[("retry-after", "5"), ("retry-after", "10")]), None);
    }

    #[test]
    fn the_longer_of_two_different_waits_is_used() {
        assert_eq!(wait(&[("retry-after", "2"), ("retry-after-ms", "2500")]), Some(Duration::from_millis(2_500)));
        assert_eq!(wait(&[("retry-after", "3"), ("retry-after-ms", "2500")]), Some(Duration::from_secs(3)));
        assert_eq!(wait(&[("retry-after", "nonsense"), ("retry-after-ms", "10")]), Some(Duration::from_millis(10)));
    }

    #[test]
    fn a_date_in_retry_after_is_compared_with_the_servers_clock() {
        let ahead = [("date", "Sun, 22 Nov 2026 10:10:00 GMT"), ("retry-after", "Sun, 22 Nov 2026 10:10:20 GMT")];
        let behind = [("date", "Sun, 22 Nov 2026 09:50:00 GMT"), ("retry-after", "Sun, 22 Nov 2026 09:50:20 GMT")];

        assert_eq!(wait(&ahead), Some(Duration::from_secs(20)));
        assert_eq!(wait(&behind), Some(Duration::from_secs(20)));
    }

    #[test]
    fn should_retry_is_true_or_false_and_any_other_value_counts_as_missing() {
        let read = |text| rate_signals(&head(&[("x-should-retry", text)])).should_retry;

        assert_eq!(read("true"), Some(true));
        assert_eq!(read("false"), Some(false));
        assert_eq!(read("1"), None);
    }

    #[test]
    fn a_request_id_that_is_not_visible_ascii_counts_as_missing() {
        let id = |text| request_id(&head(&[("request-id", text)]));

        assert_eq!(id("req_011CSHoEeqs5C35K2UUqR7Fy").as_deref(), Some("req_011CSHoEeqs5C35K2UUqR7Fy"));
        assert_eq!(id("two words"), None);
        assert_eq!(id(&"x".repeat(129)), None);
    }

    #[test]
    fn an_event_stream_is_recognized_by_its_content_type() {
        assert!(is_event_stream(&head(&[("content-type", "Text/Event-Stream; charset=utf-8")])));
        assert!(!is_event_stream(&head(&[("content-type", "application/json")])));
        assert!(!is_event_stream(&HeaderMap::new()));
    }
}
