//! Reads the values in a rule file. Each error names the wrong value and says what to write instead.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use super::selection::Draw;

/// Reads the value of the field `name`. The error contains the name of the field and its line number.
pub(in crate::sim) fn value<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    map: &mut A,
    name: &str,
) -> Result<T, A::Error> {
    map.next_value().map_err(|error| de::Error::custom(format!("field `{name}`: {error}")))
}

/// A share, as a number from 0 to 1.
pub(in crate::sim) struct Part(pub(in crate::sim) f64);

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        checked(deserializer, |part| (0.0..=1.0).contains(part), "must be from 0 to 1").map(Self)
    }
}

/// Reads a value, and returns an error if `is_good` is false for it. `rule` completes the error message "found …, must
/// be …".
pub(in crate::sim) fn checked<'de, T: Deserialize<'de> + fmt::Display, D: Deserializer<'de>>(
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

/// A duration with its unit.
pub(in crate::sim) struct Time(pub(in crate::sim) Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bad = || de::Error::custom(format!("found {text:?}, write a duration with its unit, such as \"90s\""));
        let signed: jiff::SignedDuration = text.parse().map_err(|_| bad())?;
        Duration::try_from(signed).map(Self).map_err(|_| bad())
    }
}

/// One text, or a list of texts.
#[derive(Default)]
pub(in crate::sim) struct Texts(pub(in crate::sim) Vec<String>);

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
