//! Reads the values that occur only in answer files. Each error names the wrong value and says what to write instead.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::rule::ToolCall;
use crate::sim::rules::{Part, value};

/// A list of turns. The turn of a request is its number of assistant messages plus 1.
pub(super) struct Turns(pub(super) Vec<u64>);

impl<'de> Deserialize<'de> for Turns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Vec<u64>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a turn or a list of turns, counted from 1")
            }

            fn visit_u64<E: de::Error>(self, turn: u64) -> Result<Vec<u64>, E> {
                Ok(vec![turn])
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Vec<u64>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq))
            }
        }
        let turns = deserializer.deserialize_any(OneOrMore)?;
        if turns.contains(&0) { Err(de::Error::custom("found 0, turns are counted from 1")) } else { Ok(Self(turns)) }
    }
}

/// The value of `truncated`: whether an answer is truncated, and what share of it is sent.
pub(super) struct Truncated(pub(super) Option<f64>);

impl<'de> Deserialize<'de> for Truncated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HalfOrPart;
        impl Visitor<'_> for HalfOrPart {
            type Value = Option<f64>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, or the part that is sent, from 0 to 1")
            }

            fn visit_bool<E: de::Error>(self, is_truncated: bool) -> Result<Option<f64>, E> {
                Ok(is_truncated.then_some(0.5))
            }

            fn visit_f64<E: de::Error>(self, part: f64) -> Result<Option<f64>, E> {
                Part::deserialize(de::value::F64Deserializer::<E>::new(part)).map(|Part(part)| Some(part))
            }

            fn visit_u64<E: de::Error>(self, part: u64) -> Result<Option<f64>, E> {
                self.visit_f64(part as f64)
            }
        }
        deserializer.deserialize_any(HalfOrPart).map(Self)
    }
}

/// The value of `refusal`: whether an answer is a refusal, and the category of the refusal.
pub(super) struct Refused(pub(super) Option<Option<String>>);

impl<'de> Deserialize<'de> for Refused {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct YesOrCategory;
        impl Visitor<'_> for YesOrCategory {
            type Value = Option<Option<String>>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, or a category such as \"cyber\"")
            }

            fn visit_bool<E: de::Error>(self, is_refused: bool) -> Result<Self::Value, E> {
                Ok(is_refused.then_some(None))
            }

            fn visit_str<E: de::Error>(self, category: &str) -> Result<Self::Value, E> {
                Ok(Some(Some(category.to_owned())))
            }
        }
        deserializer.deserialize_any(YesOrCategory).map(Self)
    }
}

/// How an answer breaks the schema of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Breach {
    /// The answer is JSON that breaks the schema.
    Broken,
    /// The answer is not JSON.
    NotJson,
}

impl<'de> Deserialize<'de> for Breach {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "broken" => Ok(Self::Broken),
            "not_json" => Ok(Self::NotJson),
            other => Err(de::Error::custom(format!("found {other:?}, write \"broken\" or \"not_json\""))),
        }
    }
}

/// The tools that an answer calls, with their inputs.
#[derive(Default)]
pub(super) struct Calls(pub(super) Vec<ToolCall>);

/// The maximum number of tool calls in an answer.
const MOST_CALLS: usize = 6;

impl<'de> Deserialize<'de> for Calls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Vec<OneCall>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a call such as {\"name\": \"look\", \"input\": {}}, or a list of calls")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<OneCall>, A::Error> {
                OneCall::deserialize(MapAccessDeserializer::new(map)).map(|call| vec![call])
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Vec<OneCall>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq))
            }
        }
        let calls = deserializer.deserialize_any(OneOrMore)?;
        if calls.len() > MOST_CALLS {
            return Err(de::Error::custom(format!("found {} calls, at most {MOST_CALLS} are allowed", calls.len())));
        }
        Ok(Self(calls.into_iter().map(|OneCall(call)| call).collect()))
    }
}

struct OneCall(ToolCall);

impl<'de> Deserialize<'de> for OneCall {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Call;
        impl<'de> Visitor<'de> for Call {
            type Value = OneCall;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a call with `name` and `input`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OneCall, A::Error> {
                let (mut called, mut input) = (None, Map::new());
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "name" => called = Some(value(&mut map, &name)?),
                        "input" => input = value(&mut map, &name)?,
                        unknown => return Err(de::Error::unknown_field(unknown, &["name", "input"])),
                    }
                }
                let name = called.ok_or_else(|| de::Error::missing_field("name"))?;
                Ok(OneCall(ToolCall { name, input: Value::Object(input).to_string() }))
            }
        }
        deserializer.deserialize_map(Call)
    }
}
