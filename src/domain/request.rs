//! Requests, as the program keeps and sends them.

use bytes::Bytes;

use super::{Lane, Merged, Speed};

/// The largest request body that the API accepts, in bytes. The documentation says 32 MB, which can mean 32 million
/// bytes or 32 MiB. This constant has the larger of the two values, 32 MiB.
///
/// Source: API documentation, "Errors", request size limits (2026-10).
pub(crate) const MAX_BODY_BYTES: usize = 32 << 20;

/// Returns a text with the size of a request and the largest allowed size: `40.0 MB, above the API's 32 MB`.
pub(crate) fn too_large_words(body_bytes: usize) -> String {
    let megabytes = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    format!("{:.1} MB, above the API's {} MB", megabytes(body_bytes), megabytes(MAX_BODY_BYTES))
}

/// A request as it is sent: the merged parameters as one JSON object on one line.
///
/// A request is built only once, when its row is read. The task that sends the request and all its retries use the same
/// bytes. If the row fails, its line in the error log contains these bytes too.
#[derive(Clone, Debug)]
pub struct Request(Bytes);

impl Request {
    /// Returns the request with these parameters, written as JSON.
    pub fn of<'p>(params: impl Into<Merged<'p>>) -> Self {
        let params = params.into();
        let members: usize = params.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let mut json = Vec::with_capacity(members + 2);
        params.write_object(&mut json);
        Self(json.into())
    }

    /// Returns a request from a JSON object that this program wrote before.
    pub(crate) fn written(json: Bytes) -> Self {
        Self(json)
    }

    /// Returns the request as a JSON object.
    pub fn json(&self) -> &Bytes {
        &self.0
    }
}

impl Default for Request {
    /// Returns an empty request.
    fn default() -> Self {
        Self(Bytes::from_static(b"{}"))
    }
}

/// The terms of a request, such as the speed of service. The price of the request follows from these terms, the model
/// and the tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Terms {
    /// The speed of service that the request asks for.
    pub speed: Speed,
    /// Whether the request asks to be served only in the United States, which costs 1.1 times as much.
    pub is_us_only: bool,
    /// Whether the request is sent alone or in a batch. In a batch, tokens cost half as much.
    pub lane: Lane,
    /// Whether the request can be sent only online, because batches do not accept it.
    pub is_online_only: bool,
}

impl Terms {
    /// Reads the terms from the parameters `speed` and `inference_geo` of a request. The lane (online or batch) is not
    /// a parameter. The field `lane` is `Lane::Online` until the request is put into a batch.
    pub fn of<'p>(params: impl Into<Merged<'p>>) -> Self {
        let params = params.into();
        let speed = if params.get("speed") == Some(r#""fast""#) { Speed::Fast } else { Speed::Standard };
        Self {
            speed,
            is_us_only: params.get("inference_geo") == Some(r#""us""#),
            lane: Lane::Online,
            is_online_only: is_online_only(params),
        }
    }

    /// Returns the same terms, but for a request in a batch.
    #[must_use]
    pub fn in_batch(self) -> Self {
        Self { lane: Lane::Batch, ..self }
    }
}

/// Returns whether batches reject a request with these parameters. The parameter `stream` is ignored here, because it
/// is left out of requests in batches.
///
/// Source: API documentation, "Batch processing" (2026-09-20); the official Python client 2.10.0 (`billing_policy`).
fn is_online_only(params: Merged<'_>) -> bool {
    let has = |name: &str| params.get(name).is_some_and(|value| value != "null");
    let has_no_tokens = params.get("max_tokens") == Some("0");
    let bills_another = params.get("billing_policy").is_some_and(|policy| policy.contains("user_profile"));
    has_no_tokens || bills_another || ["speed", "fallbacks", "thread"].into_iter().any(has)
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::super::Params;
    use super::*;

    #[test]
    fn parameters_keep_their_bytes_and_fit_on_one_line() {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).expect("the test writes valid JSON");
        let params = Params(vec![("a\"b".into(), raw("[1,\n 1.50]")), ("é".into(), raw(r#""\u00e9""#))]);

        let request = Request::of(&params);

        assert_eq!(&request.json()[..], "{\"a\\\"b\":[1,  1.50],\"é\":\"\\u00e9\"}".as_bytes());
        assert_eq!(Request::of(&Params::default()).json(), Request::default().json());
    }

    #[test]
    fn terms_are_read_from_the_request() {
        let mut params = Params::default();
        assert_eq!(Terms::of(&params), Terms::default());

        let raw = |json: &str| RawValue::from_string(json.to_owned()).expect("valid JSON");
        params.set("speed", raw(r#""fast""#));
        params.set("inference_geo", raw(r#""us""#));

        assert_eq!(
            Terms::of(&params),
            Terms { speed: Speed::Fast, is_us_only: true, lane: Lane::Online, is_online_only: true }
        );
    }

    #[test]
    fn requests_that_batches_refuse_are_online_only() {
        let of = |name: &str, json: &str| {
            let mut params = Params::default();
            params.set(name, RawValue::from_string(json.to_owned()).expect("valid JSON"));
            Terms::of(&params).is_online_only
        };

        let refused = [
            ("speed", r#""standard""#),
            ("fallbacks", r#""default""#),
            ("thread", r#"{"id":"t"}"#),
            ("max_tokens", "0"),
            ("billing_policy", r#"{"bill_to":"user_profile"}"#),
        ];
        assert!(refused.iter().all(|(name, json)| of(name, json)));
        let accepted = [("speed", "null"), ("stream", "true"), ("max_tokens", "1"), ("inference_geo", r#""us""#)];
        assert!(accepted.iter().all(|(name, json)| !of(name, json)));
    }
}
