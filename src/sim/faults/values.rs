//! Reads the values that occur only in fault files. Each error names the wrong value and says what to write instead.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use super::rule::{FaultBody, RetryAfter};
use crate::sim::rules::{Time, checked, value};

/// An HTTP status in a fault file.
pub(super) struct Status(pub(super) u16);

/// A number of bytes above zero.
pub(super) struct Bytes(pub(super) u64);

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let is_status = |status: &u16| (100..=599).contains(status);
        checked(deserializer, is_status, "must be an HTTP status from 100 to 599").map(Self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        checked(deserializer, |bytes| *bytes > 0, "must be at least 1").map(Self)
    }
}

impl<'de> Deserialize<'de> for FaultBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "json" => Ok(Self::Json),
            "html" => Ok(Self::Html),
            "empty" => Ok(Self::Empty),
            other => Err(de::Error::custom(format!("found {other:?}, write \"json\", \"html\" or \"empty\""))),
        }
    }
}

impl<'de> Deserialize<'de> for RetryAfter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Header;
        impl<'de> Visitor<'de> for Header {
            type Value = RetryAfter;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, a text, null or {\"date\": \"30s\"}")
            }

            fn visit_unit<E: de::Error>(self) -> Result<RetryAfter, E> {
                Ok(RetryAfter::Absent)
            }

            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<RetryAfter, E> {
                Ok(RetryAfter::Text(seconds.to_string()))
            }

            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<RetryAfter, E> {
                Ok(RetryAfter::Text(seconds.to_string()))
            }

            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<RetryAfter, E> {
                Ok(RetryAfter::Text(seconds.to_string()))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RetryAfter, E> {
                Ok(RetryAfter::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RetryAfter, A::Error> {
                let mut date = None;
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "date" => date = Some(value::<Time, A>(&mut map, &name)?.0),
                        unknown => return Err(de::Error::unknown_field(unknown, &["date"])),
                    }
                }
                date.map(RetryAfter::Date).ok_or_else(|| de::Error::missing_field("date"))
            }
        }
        deserializer.deserialize_any(Header)
    }
}
