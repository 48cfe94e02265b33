//! Parsers of the flags about providers.

use super::parsers::duration;
use crate::domain::FallbackOn;

/// The providers of a chain after the first; empty for `off`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fallbacks(pub Vec<FallbackTo>);

/// A provider of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FallbackTo {
    /// The name of the provider.
    pub provider: String,
    /// The model for all rows; `None` to keep the model of each row.
    pub model: Option<String>,
}

/// Parses a chain: `off`, or `NAME[:MODEL]` with commas between them.
pub(crate) fn fallback(text: &str) -> Result<Fallbacks, String> {
    if text == "off" {
        return Ok(Fallbacks::default());
    }
    let one = |part: &str| {
        let (provider, model) = part.split_once(':').map_or((part, None), |(name, model)| (name, Some(model)));
        if provider.is_empty() || model.is_some_and(str::is_empty) {
            return Err("give off, or names of providers such as openrouter,bedrock:claude-haiku-4-5".to_owned());
        }
        Ok(FallbackTo { provider: provider.to_owned(), model: model.map(str::to_owned) })
    };
    text.split(',').map(|part| one(part.trim())).collect::<Result<_, _>>().map(Fallbacks)
}

/// Parses the cases in which a row is sent to the next provider: `limit=5m,overload,…`.
pub(crate) fn fallback_on(text: &str) -> Result<FallbackOn, String> {
    let none =
        FallbackOn { limit: None, overload: false, endpoint: false, refusal: false, model: false, account: false };
    text.split(',').map(str::trim).try_fold(none, |mut on, case| {
        match case.split_once('=').map_or((case, None), |(name, value)| (name, Some(value))) {
            ("limit", value) => on.limit = value.map(duration).transpose()?.or(FallbackOn::default().limit),
            ("overload", None) => on.overload = true,
            ("endpoint", None) => on.endpoint = true,
            ("refusal", None) => on.refusal = true,
            ("model", None) => on.model = true,
            ("account", None) => on.account = true,
            _ => return Err("the cases are limit=TIME, overload, endpoint, refusal, model and account".to_owned()),
        }
        Ok(on)
    })
}
