//! Reads the members of a JSON object without parsing or copying their values.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::errors::ApiError;
use super::hash::Hash;

/// The top-level fields of a body. If a name occurs twice, the last value is used.
#[derive(Debug)]
pub(super) struct Fields<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Reads the top-level fields of a request body.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, ApiError> {
        serde_json::from_slice(body)
            .map_err(|error| ApiError::invalid(format!("The request body is not valid JSON: {error}")))
    }

    /// Returns the raw value of a field. A field with the value `null` is treated as missing.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().rev().find(|(own, _)| own == name).map(|(_, value)| *value)?;
        (found.get() != "null").then_some(found)
    }

    /// Reads a field as a value of type `T`. `expected` completes the error message "Input should be …".
    pub(super) fn read_as<T: Deserialize<'a>>(&self, name: &str, expected: &str) -> Result<Option<T>, ApiError> {
        self.get(name).map(|raw| read_raw(raw, name, expected)).transpose()
    }

    /// Reads a required field.
    pub(super) fn required<T: Deserialize<'a>>(&self, name: &str, expected: &str) -> Result<T, ApiError> {
        self.read_as(name, expected)?.ok_or_else(|| ApiError::invalid(format!("{name}: Field required")))
    }

    /// Returns a hash of all fields except `stream`, so that a request has the same hash with and without streaming.
    pub(super) fn content_hash(&self, seed: u64) -> Hash {
        self.0
            .iter()
            .filter(|(name, _)| name != "stream")
            .fold(Hash::new(seed), |hash, (name, value)| hash.bytes(name.as_bytes()).bytes(value.get().as_bytes()))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::with_capacity(8);
                while let Some(Text(name)) = map.next_key()? {
                    fields.push((name, map.next_value()?));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A text. The text is borrowed from the JSON if it has no escapes.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// Parses a raw value as a value of type `T`. If the value is wrong, the error names the field.
pub(super) fn read_raw<'a, T: Deserialize<'a>>(raw: &'a RawValue, name: &str, expected: &str) -> Result<T, ApiError> {
    serde_json::from_str(raw.get()).map_err(|_| ApiError::invalid(format!("{name}: Input should be {expected}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streaming_does_not_change_the_content_hash() {
        let plain = hash(r#"{"model":"m","max_tokens":5}"#);

        assert_eq!(plain, hash(r#"{"model":"m","max_tokens":5,"stream":true}"#));
        assert_ne!(plain, hash(r#"{"model":"m","max_tokens":6}"#));
    }

    fn hash(body: &str) -> u64 {
        Fields::read(body.as_bytes()).expect("an object").content_hash(0).end()
    }
}
