//! Reads the body that creates a batch. If this body has a mistake, the API rejects the whole batch. The `params` of
//! the requests are not checked here: mistakes in them appear only in the results.
//!
//! One error message is known to come from the API: the message about an id that is too long
//! (anthropic-sdk-python#984). The other error messages imitate the form of this message.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::super::errors::ApiError;
use super::super::fields::{Fields, Text, read_raw};
use super::batch::Rows;

/// The maximum number of requests in a batch. Source: API documentation, "Batch processing" (2026-09-20).
const MAX_REQUESTS: usize = 100_000;
/// The maximum number of characters of a `custom_id`.
const MAX_ID: usize = 64;

/// Reads the body of a call that creates a batch. If the API would reject the body, returns the API's error.
pub(super) fn read(body: &[u8]) -> Result<Rows, ApiError> {
    let fields = Fields::read(body)?;
    let requests: Vec<&RawValue> = fields.required("requests", "a valid list")?;
    if let Some((other, _)) = fields.0.iter().find(|(name, _)| name != "requests") {
        return Err(extra(other));
    }
    let count = requests.len();
    if count == 0 {
        return Err(ApiError::invalid("requests: List should have at least 1 item after validation, not 0"));
    }
    if count > MAX_REQUESTS {
        return Err(ApiError::invalid(format!(
            "requests: List should have at most {MAX_REQUESTS} items after validation, not {count}"
        )));
    }
    let bytes = requests.iter().map(|request| request.get().len()).sum();
    let mut rows = Rows::with_room(bytes, count);
    let mut seen: HashMap<String, usize> = HashMap::with_capacity(count);
    for (at, request) in requests.into_iter().enumerate() {
        let (custom_id, params) = one(request, at)?;
        if let Some(first) = seen.get(&*custom_id) {
            return Err(ApiError::invalid(format!(
                "requests.{at}.custom_id: '{custom_id}' is already the custom_id of requests.{first}"
            )));
        }
        rows.add(&custom_id, params.get());
        seen.insert(custom_id, at);
    }
    rows.shrink();
    Ok(rows)
}

fn one(request: &RawValue, at: usize) -> Result<(String, &RawValue), ApiError> {
    let place = format!("requests.{at}");
    let fields: Fields<'_> = read_raw(request, &place, "a valid dictionary")?;
    let member = |name: &str| {
        let missing = || ApiError::invalid(format!("{place}.{name}: Field required"));
        fields.get(name).ok_or_else(missing)
    };
    let Text(custom_id) = read_raw(member("custom_id")?, &format!("{place}.custom_id"), "a valid string")?;
    check_id(&custom_id).map_err(|wrong| ApiError::invalid(format!("{place}.custom_id: {wrong}")))?;
    let params = member("params")?;
    if !params.get().starts_with('{') {
        return Err(ApiError::invalid(format!("{place}.params: Input should be a valid dictionary")));
    }
    match fields.0.iter().find(|(name, _)| !["custom_id", "params"].contains(&&**name)) {
        Some((other, _)) => Err(extra(&format!("{place}.{other}"))),
        None => Ok((custom_id.into_owned(), params)),
    }
}

fn check_id(custom_id: &str) -> Result<(), String> {
    if custom_id.is_empty() {
        return Err("String should have at least 1 character".to_owned());
    }
    if custom_id.chars().nth(MAX_ID).is_some() {
        return Err(format!("String should have at most {MAX_ID} characters"));
    }
    if !custom_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        return Err("String should match pattern '^[a-zA-Z0-9_-]{1,64}$'".to_owned());
    }
    Ok(())
}

fn extra(place: &str) -> ApiError {
    ApiError::invalid(format!("{place}: Extra inputs are not permitted"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_for_a_bad_batch_names_the_fault_and_its_place() {
        let with_id = |id: &str| format!(r#"{{"requests":[{{"custom_id":"{id}","params":{{}}}}]}}"#);
        let cases = [
            ("{".to_owned(), "not valid JSON"),
            ("{}".to_owned(), "requests: Field required"),
            (r#"{"requests":{}}"#.to_owned(), "requests: Input should be a valid list"),
            (r#"{"requests":[]}"#.to_owned(), "requests: List should have at least 1 item"),
            (r#"{"requests":[1]}"#.to_owned(), "requests.0: Input should be a valid dictionary"),
            (r#"{"requests":[{"params":{}}]}"#.to_owned(), "requests.0.custom_id: Field required"),
            (
                r#"{"requests":[{"custom_id":5,"params":{}}]}"#.to_owned(),
                "requests.0.custom_id: Input should be a valid",
            ),
            (with_id(""), "requests.0.custom_id: String should have at least 1 character"),
            (with_id(&"x".repeat(65)), "requests.0.custom_id: String should have at most 64 characters"),
            (with_id("a b"), "requests.0.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'"),
            (with_id("é"), "requests.0.custom_id: String should match pattern"),
            (r#"{"requests":[{"custom_id":"a"}]}"#.to_owned(), "requests.0.params: Field required"),
            (
                r#"{"requests":[{"custom_id":"a","params":5}]}"#.to_owned(),
                "requests.0.params: Input should be a valid dict",
            ),
            (
                r#"{"requests":[{"custom_id":"a","params":{}},{"custom_id":"\u0061","params":{}}]}"#.to_owned(),
                "requests.1.custom_id: 'a' is already the custom_id of requests.0",
            ),
            (
                r#"{"requests":[{"custom_id":"a","params":{},"method":"POST"}]}"#.to_owned(),
                "requests.0.method: Extra inputs are not permitted",
            ),
            (r#"{"requests":[{"custom_id":"a","params":{}}],"x":1}"#.to_owned(), "x: Extra inputs are not permitted"),
        ];

        for (body, message) in cases {
            let error = read(body.as_bytes()).expect_err("it is refused");
            assert_eq!(error.status, 400, "{body}");
            assert!(error.message.contains(message), "{body}: {}", error.message);
        }
        assert!(read(with_id(&"x".repeat(64)).as_bytes()).is_ok());
    }
}
