//! Reads a file of rules. Every error contains the line number, and the name of the field if a field is wrong.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use super::selection::{Draw, Selection};
use super::values::{Part, Texts, Time, value};

/// A file of rules that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{name}, line {line}, column {column}: {message}")]
pub struct RuleFileError {
    /// The file's name, as given.
    pub name: String,
    /// Line number, from 1.
    pub line: usize,
    /// Column number, from 1.
    pub column: usize,
    /// What is wrong. The text names the field.
    pub message: String,
}

/// The fields that an object of the file can have.
pub(in crate::sim) trait Fields: Default {
    /// Their names.
    const NAMES: &'static [&'static str];

    /// Reads the value of the field `name`; returns false if there is no such field.
    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error>;
}

/// Declares the fields that an object can have. Each has its name in the file, its name in the code, and its type.
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
    /// Its fields, in addition to the fields that every rule has.
    type Own: Fields;
    /// What a rule looks like. It completes the message "expected …".
    const FORM: &'static str;

    /// Returns the rule that has these fields, or what is wrong with it.
    fn from_fields(selection: Selection, own: Self::Own) -> Result<Self, String>;
}

/// Reads the text of a file: returns its seed and its rules. In messages, the file is called `name`.
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

/// A rule as it is read.
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
