//! Converts values of a configuration file to the text that a user would type for a flag. This module also shortens the
//! error messages of the parsers for flags.

use clap::error::{ContextKind, ErrorKind};
use toml::de::DeValue;

use crate::cli::usage::value;
use crate::report::text::escape;

/// Returns a value as a user would type it. If the flag can be repeated, a list or table becomes several texts.
pub(super) fn texts(name: &str, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    match (name, value) {
        (_, DeValue::String(text)) => Ok(vec![text.to_string()]),
        (_, DeValue::Integer(number)) => Ok(vec![number.to_string()]),
        (_, DeValue::Float(number)) => Ok(vec![number.to_string()]),
        (_, DeValue::Boolean(value)) => Ok(vec![value.to_string()]),
        ("deadline", DeValue::Datetime(time)) => Ok(vec![time.to_string()]),
        (
            "param" | "header" | "beta" | "fields" | "map-model" | "reuse" | "require" | "rerun" | "notify"
            | "notify-on" | "schedule",
            DeValue::Array(values),
        ) => {
            let texts = values.iter().map(|value| texts("", value.get_ref()));
            Ok(texts.collect::<Result<Vec<_>, _>>()?.concat())
        }
        ("fallback" | "fallback-on", DeValue::Array(values)) => {
            let texts = values.iter().map(|value| texts("", value.get_ref()));
            Ok(vec![texts.collect::<Result<Vec<_>, _>>()?.concat().join(",")])
        }
        ("param", DeValue::Table(table)) => {
            table.iter().map(|(key, value)| Ok(format!("{}={}", key.get_ref(), json(value.get_ref())?))).collect()
        }
        ("map-model", DeValue::Table(table)) => table
            .iter()
            .map(|(key, value)| Ok(format!("{}={}", key.get_ref(), texts("", value.get_ref())?.concat())))
            .collect(),
        ("header", DeValue::Table(table)) => table
            .iter()
            .map(|(key, value)| Ok(format!("{}: {}", key.get_ref(), texts("", value.get_ref())?.concat())))
            .collect(),
        (_, value) => {
            Err(format!("a value of this kind ({}) is not allowed here; give a text or a number", value.type_str()))
        }
    }
}

/// Returns a TOML value as JSON.
fn json(value: &DeValue<'_>) -> Result<serde_json::Value, String> {
    use serde_json::Value;
    Ok(match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(value) => Value::from(*value),
        DeValue::Integer(number) => serde_json::from_str(&number.to_string()).map_err(|error| error.to_string())?,
        DeValue::Float(number) => {
            serde_json::from_str(&number.to_string()).map_err(|_| format!("{number} is not a JSON number"))?
        }
        DeValue::Datetime(_) => return Err("JSON has no dates; put the date in quotes".to_owned()),
        DeValue::Array(values) => {
            Value::Array(values.iter().map(|value| json(value.get_ref())).collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => {
            let members = table.iter().map(|(key, value)| Ok((key.get_ref().to_string(), json(value.get_ref())?)));
            Value::Object(members.collect::<Result<_, String>>()?)
        }
    })
}

/// Returns how many flags `-v` have the same effect as this value.
pub(super) fn times(value: &str) -> Option<usize> {
    match value {
        "true" => Some(1),
        "false" => Some(0),
        _ => value.parse().ok().filter(|times| *times <= 3),
    }
}

/// Returns what is wrong with a value, without the rest of clap's message.
pub(super) fn words(name: &str, error: &clap::Error) -> String {
    match error.kind() {
        ErrorKind::InvalidValue | ErrorKind::ValueValidation if error.get(ContextKind::InvalidArg).is_some() => {
            value(error)
        }
        ErrorKind::ArgumentConflict => "it is given more than once; leave one of them out".to_owned(),
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            let line = line.strip_prefix("error: ").unwrap_or(line);
            // The message about a secret value begins with the flag of this value. The flag is removed from the
            // message, because the caller adds the place.
            escape(line.strip_prefix(&format!("--{name}: ")).unwrap_or(line)).into_owned()
        }
    }
}
