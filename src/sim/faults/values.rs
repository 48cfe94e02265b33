//! How the values of a fault file are read. An error says what was found and what to write instead.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use super::rule::{Draw, FaultBody, RetryAfter};

/// Reads the value of the field `name`. An error contains the name of the field and its line number.
pub(super) fn value<'de, T: Deserialize<'de>, A: MapAccess<'de>>(map: &mut A, name: &str) -> Result<T, A::Error> {
    map.next_value().map_err(|error| de::Error::custom(format!("field `{name}`: {error}")))
}

/// An HTTP status.
pub(super) struct Status(pub(super) u16);

/// A part of a whole, from 0 to 1.
pub(super) struct Part(pub(super) f64);

/// A number of bytes above zero.
pub(super) struct Bytes(pub(super) u64);

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let is_status = |status: &u16| (100..=599).contains(status);
        checked(deserializer, is_status, "must be an HTTP status from 100 to 599").map(Self)
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        checked(deserializer, |part| (0.0..=1.0).contains(part), "must be from 0 to 1").map(Self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        checked(deserializer, |bytes| *bytes > 0, "must be at least 1").map(Self)
    }
}

fn checked<'de, T: Deserialize<'de> + fmt::Display, D: Deserializer<'de>>(
    deserializer: D,
    is_good: impl FnOnce(&T) -> bool,
    rule: &str,
) -> Result<T, D::Error> {
    let found = T::deserialize(deserializer)?;
    if is_good(&found) { Ok(found) } else { Err(de::Error::custom(format!("found {found}, {rule}"))) }
}

impl<'de> Deserialize<'de> for Draw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "row" => Ok(Self::Row),
            "attempt" => Ok(Self::Attempt),
            other => Err(de::Error::custom(format!("found {other:?}, write \"row\" or \"attempt\""))),
        }
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

/// A duration with its unit.
pub(super) struct Time(pub(super) Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bad = || de::Error::custom(format!("found {text:?}, write a duration with its unit, such as \"90s\""));
        let signed: jiff::SignedDuration = text.parse().map_err(|_| bad())?;
        Duration::try_from(signed).map(Self).map_err(|_| bad())
    }
}

/// One text or a list of them.
#[derive(Default)]
pub(super) struct Texts(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![text.to_owned()]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = seq.next_element()? {
                    texts.push(text);
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_any(OneOrMore)
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
