//! Reads the values in a table `[providers.NAME]`. An error says what was found and what to write; the caller adds the
//! place.

use http::{HeaderName, HeaderValue};
use toml::de::DeValue;

use super::AuthStyle;
use crate::cli::args::parsers;
use crate::domain::{MemberPath, ProviderFeatures, RateLimits};
use crate::source::nearest;

/// The members of requests that the setting `drop` can't name. Either every request needs the member, or the program
/// sets the member itself.
const NEEDED: [&str; 4] = ["model", "messages", "max_tokens", "stream"];
/// The highest factor for prices. A higher factor is certainly a mistake.
const MOST_FACTOR: f64 = 100.0;

/// Returns a text without the blanks around it, or an error if the text is empty.
pub(super) fn text(value: &DeValue<'_>) -> Result<String, String> {
    match value.as_str().map(str::trim) {
        Some("") => Err("it is empty".to_owned()),
        Some(text) => Ok(text.to_owned()),
        None => Err(format!("give a text in quotes; found {}", found(value))),
    }
}

/// Returns a text, or an error if it contains blanks or control characters. The text can be empty.
pub(super) fn plain(value: &DeValue<'_>) -> Result<String, String> {
    let text = value.as_str().ok_or_else(|| format!("give a text in quotes; found {}", found(value)))?;
    if text.chars().any(|char| char.is_whitespace() || char.is_control()) {
        return Err("it contains a space or a control character".to_owned());
    }
    Ok(text.to_owned())
}

fn found(value: &DeValue<'_>) -> String {
    format!("a value of another kind ({})", value.type_str())
}

/// Returns the name of an environment variable.
pub(super) fn variable(value: &DeValue<'_>) -> Result<String, String> {
    let name = text(value)?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    // The message does not show the value, because it may be the key itself.
    is_name
        .then_some(name)
        .ok_or_else(|| "give the name of a variable, such as MY_KEY, instead of the key itself".into())
}

/// Returns the header in which the key is sent.
pub(super) fn auth(text: &str) -> Result<AuthStyle, String> {
    match text {
        "x-api-key" => Ok(AuthStyle::ApiKey),
        "bearer" => Ok(AuthStyle::Bearer),
        other => Err(format!("{other:?} is not one of x-api-key, bearer")),
    }
}

fn entries<'v>(value: &'v DeValue<'_>, example: &str) -> Result<Vec<(&'v str, &'v DeValue<'v>)>, String> {
    match value {
        DeValue::Table(table) => Ok(table.iter().map(|(key, value)| (&**key.get_ref(), value.get_ref())).collect()),
        other => Err(format!("give a table, such as {example}; found {}", found(other))),
    }
}

/// Returns headers.
pub(super) fn headers(value: &DeValue<'_>) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let entries = entries(value, r#"{ x-team = "a" }"#)?.into_iter();
    let one = |(name, value): (&str, &DeValue<'_>)| {
        let header = parsers::header(&format!("{name}: {}", text(value)?))?;
        Ok((header.name, header.value))
    };
    entries.map(one).collect()
}

/// Returns pairs of model names: the name that rows use, and the provider's name for the same model.
pub(super) fn pairs(value: &DeValue<'_>) -> Result<Vec<(String, String)>, String> {
    let entries = entries(value, r#"{ claude-haiku-4-5 = "their-name" }"#)?.into_iter();
    entries.map(|(ours, theirs)| Ok((ours.to_owned(), text(theirs)?))).collect()
}

/// Returns a list of texts.
pub(super) fn list(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    match value {
        DeValue::Array(values) => values.iter().map(|value| text(value.get_ref())).collect(),
        DeValue::String(_) => Ok(vec![text(value)?]),
        other => Err(format!("give a list, such as [\"metadata\"]; found {}", found(other))),
    }
}

/// Returns the path of a request member. Returns an error if the path is malformed, or if every request needs the
/// member at this path.
pub(super) fn member(path: &str) -> Result<MemberPath, String> {
    if NEEDED.contains(&path) {
        return Err(format!("every request needs {path}, so a provider can't leave it out"));
    }
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let is_step = |step: &str| match step.split_once('[') {
        None => is_word(step),
        Some((name, rest)) => {
            let condition = rest.strip_suffix(']').map(|inside| inside.split_once('='));
            let is_fit = match condition {
                Some(Some((name, value))) => is_word(name) && is_word(value),
                Some(None) => rest == "]",
                None => false,
            };
            is_word(name) && is_fit
        }
    };
    match path.split('.').all(is_step) {
        true => Ok(MemberPath(path.into())),
        false => Err(format!("{path:?} is not a member of a request; write it as metadata, or tools[].strict")),
    }
}

/// Returns limits.
pub(super) fn limits(value: &DeValue<'_>) -> Result<RateLimits, String> {
    let mut limits = RateLimits::NONE;
    for (name, value) in entries(value, "{ rpm = 100, itpm = 50000, otpm = 10000 }")? {
        let number = match value {
            DeValue::Integer(number) => number.to_string(),
            value => text(value)?,
        };
        let rate = parsers::rate(&number).map_err(|message| format!("{name}: {message}"))?;
        match name {
            "rpm" => limits.rpm = Some(rate),
            "itpm" => limits.itpm = Some(rate),
            "otpm" => limits.otpm = Some(rate),
            other => return Err(format!("{other:?} is not one of rpm, itpm, otpm")),
        }
    }
    Ok(limits)
}

/// Returns the factor for prices.
pub(super) fn factor(value: &DeValue<'_>) -> Result<f64, String> {
    let number = match value {
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        other => return Err(format!("give a number, such as 1.1; found {}", found(other))),
    };
    let factor = number.parse::<f64>().ok().filter(|factor| *factor >= 0.0 && *factor <= MOST_FACTOR);
    factor.ok_or_else(|| format!("{number} is not between 0 and {MOST_FACTOR}"))
}

/// Returns the features that `value` switches on or off.
pub(super) fn features(value: &DeValue<'_>) -> Result<Vec<(String, bool)>, String> {
    let one = |(name, value): (&str, &DeValue<'_>)| {
        if ProviderFeatures::ALL.get(name).is_none() {
            let meant = nearest(name, ProviderFeatures::NAMES).map(|name| format!("; did you mean {name}?"));
            let names = ProviderFeatures::NAMES.join(", ");
            return Err(format!("{name:?} is not one of {names}{}", meant.unwrap_or_default()));
        }
        match value {
            DeValue::Boolean(has) => Ok((name.to_owned(), *has)),
            other => Err(format!("{name}: give true or false; found {}", found(other))),
        }
    };
    entries(value, "{ batches = false }")?.into_iter().map(one).collect()
}
