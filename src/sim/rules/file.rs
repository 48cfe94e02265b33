//! Reads a rule file (a fault file or an answer file). Every error contains the line number. If a field is wrong, the
//! error also contains the name of the field.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use super::selection::{Draw, Selection};
use super::values::{Part, Texts, Time, value};

/// The error for a rule file that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{name}, line {line}, column {column}: {message}")]
pub struct RuleFileError {
    /// The name of the file, as the user gave it.
    pub name: String,
    /// The line number, counted from 1.
    pub line: usize,
    /// The column number, counted from 1.
    pub column: usize,
    /// What is wrong, and in which field.
    pub message: String,
}

/// A set of fields that a rule in a file can have.
pub(in crate::sim) trait Fields: Default {
    /// The names of the fields in the file.
    const NAMES: &'static [&'static str];

    /// Reads the value of the field `name`; returns false if the set has no such field.
    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error>;
}

/// Declares a type with a set of fields. Each field has its name in the file, its name in the code, and its type.
macro_rules! fields {
    ($(#[$doc:meta])* $name:ident { $($written:literal $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Default)]
        pub(in crate::sim) struct $name {
            $($field: Option<$type>,)*
        }

        impl $crate::sim::rules::Fields for $name {
            const NAMES: &'static [&'static str] = &[$($written),*];

            fn read<'de, A: serde::de::MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
                match name {
                    $($written => self.$field = Some($crate::sim::rules::value(map, name)?),)*
                    _ => return Ok(false),
                }
                Ok(true)
            }
        }
    };
}

pub(in crate::sim) use fields;

/// A rule that can be read from a file.
pub(in crate::sim) trait Rule: Sized {
    /// The fields of the rule, without the fields that every rule has.
    type Own: Fields;
    /// A description of a rule, which completes the error message "expected …".
    const FORM: &'static str;

    /// Returns the rule with these fields, or a text that says what is wrong with them.
    fn from_fields(selection: Selection, own: Self::Own) -> Result<Self, String>;
}

/// Reads the text of a rule file, and returns its seed and rules. `name` is the name of the file in error messages.
pub(in crate::sim) fn read<R: Rule>(text: &str, name: &str) -> Result<(Option<u64>, Vec<R>), RuleFileError> {
    let file: File<R> = serde_json::from_str(text).map_err(|error| RuleFileError {
        name: name.to_owned(),
        line: error.line(),
        column: error.column(),
        message: without_position(&error),
    })?;
    Ok((file.seed, file.rules.into_iter().map(|Read(rule)| rule).collect()))
}

fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

struct File<R> {
    seed: Option<u64>,
    rules: Vec<Read<R>>,
}

impl<'de, R: Rule> Deserialize<'de> for File<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<R>(PhantomData<R>);
        impl<'de, R: Rule> Visitor<'de> for Object<R> {
            type Value = File<R>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with `rules`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<File<R>, A::Error> {
                let mut file = File { seed: None, rules: Vec::new() };
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "seed" => file.seed = Some(value(&mut map, &name)?),
                        "rules" => file.rules = map.next_value()?,
                        unknown => return Err(de::Error::unknown_field(unknown, &["seed", "rules"])),
                    }
                }
                Ok(file)
            }
        }
        deserializer.deserialize_map(Object(PhantomData))
    }
}

/// A rule that is read from JSON.
struct Read<R>(R);

impl<'de, R: Rule> Deserialize<'de> for Read<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<R>(PhantomData<R>);
        impl<'de, R: Rule> Visitor<'de> for Object<R> {
            type Value = Read<R>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a rule: {}", R::FORM)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Read<R>, A::Error> {
                let (mut selection, mut own) = (SelectionFields::default(), R::Own::default());
                while let Some(name) = map.next_key::<String>()? {
                    if !own.read(&name, &mut map)? && !selection.read(&name, &mut map)? {
                        let known = [R::Own::NAMES, SelectionFields::NAMES].concat();
                        let begin: String = name.chars().take(3).collect();
                        let remedy = match known.iter().find(|known| begin.len() > 2 && known.starts_with(&begin)) {
                            Some(near) => format!("did you mean `{near}`?"),
                            None => format!("write some of {}", known.join(", ")),
                        };
                        return Err(de::Error::custom(format!("unknown field `{name}`; {remedy}")));
                    }
                }
                R::from_fields(selection.into(), own).map(Read).map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_map(Object(PhantomData))
    }
}

fields! {
    /// The fields that every rule has.
    SelectionFields {
        "share" share: Part,
        "draw" draw: Draw,
        "first_attempts_only" first_attempts_only: bool,
        "contains" contains: Texts,
        "models" models: Texts,
        "arrivals" arrivals: Vec<u64>,
        "from" from: Time,
        "until" until: Time,
        "times" times: u64,
    }
}

impl From<SelectionFields> for Selection {
    fn from(fields: SelectionFields) -> Self {
        Self {
            share: fields.share.map_or(1.0, |Part(share)| share),
            draw: fields.draw.unwrap_or_default(),
            first_attempts_only: fields.first_attempts_only.unwrap_or(false),
            contains: fields.contains.unwrap_or_default().0,
            models: fields.models.unwrap_or_default().0,
            arrivals: fields.arrivals.unwrap_or_default(),
            from: fields.from.map_or(Duration::ZERO, |Time(from)| from),
            until: fields.until.map(|Time(until)| until),
            times: fields.times,
        }
    }
}
