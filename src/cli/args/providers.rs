//! The flags that choose providers, and the parsers of these flags.

use clap::Args;

use super::layered::{Layered, layered};
use super::parsers::{duration, typed_duration};
use crate::domain::FallbackOn;
use crate::source::nearest;

/// The flags that say which providers get requests.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Providers")]
pub struct ProviderArgs {
    /// Provider that gets the requests: a preset, or a [providers.NAME] of your configuration file [default: anthropic]
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// Providers, in order, for rows that the first provider can't answer: off, or NAME[:MODEL],... [default: off]
    #[arg(long, value_name = "NAMES", value_parser = fallback)]
    pub fallback: Option<Fallbacks>,
    /// Cases in which a row goes to the next provider: limit=5m (limits would delay the row by more than this),
    /// overload, endpoint, refusal, model, account [default: all but refusal]
    #[arg(long, value_name = "CASES", value_parser = fallback_on)]
    pub fallback_on: Option<FallbackOn>,
}

layered! {
    ProviderArgs { provider, fallback, fallback_on }
}

/// The providers that follow the first provider (`--fallback`); empty for `off`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fallbacks(pub Vec<FallbackTo>);

/// A provider of `--fallback`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FallbackTo {
    /// The name of the provider.
    pub provider: String,
    /// The model for all rows at this provider; `None` if each row keeps its model.
    pub model: Option<String>,
}

/// The names of the cases of `--fallback-on`.
const CASES: [&str; 6] = ["limit", "overload", "endpoint", "refusal", "model", "account"];

/// Parses the value of `--fallback`: `off`, or `NAME[:MODEL]` with commas in between.
pub(crate) fn fallback(text: &str) -> Result<Fallbacks, String> {
    if text.trim() == "off" {
        return Ok(Fallbacks::default());
    }
    let example = "give off or the names of providers, such as openrouter,bedrock:claude-haiku-4-5";
    let one = |part: &str| {
        let (provider, model) = part.split_once(':').map_or((part, None), |(name, model)| (name, Some(model)));
        let (provider, model) = (provider.trim(), model.map(str::trim));
        if provider.is_empty() || model.is_some_and(str::is_empty) {
            return Err(example.to_owned());
        }
        if provider == "off" {
            return Err("off means that there is no other provider; leave out off or the names of providers".to_owned());
        }
        Ok(FallbackTo { provider: provider.to_owned(), model: model.map(str::to_owned) })
    };
    text.split(',').map(one).collect::<Result<_, _>>().map(Fallbacks)
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
            (name, Some(_)) if CASES.contains(&name) => return Err(format!("{name} has no value; only limit has one")),
            (name, _) => {
                let meant = nearest(name, CASES).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
                return Err(format!(
                    "{name:?} is not valid; give one or more of limit=TIME, overload, endpoint, refusal, model, account{meant}"
                ));
            }
        }
        Ok(on)
    })
}

/// Returns the cases of `--fallback-on` in the form in which a user types them.
pub(crate) fn cases(on: FallbackOn) -> String {
    let limit = on.limit.map(|limit| format!("limit={}", typed_duration(limit)));
    let others = [
        ("overload", on.overload),
        ("endpoint", on.endpoint),
        ("refusal", on.refusal),
        ("model", on.model),
        ("account", on.account),
    ];
    let others = others.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name.to_owned());
    limit.into_iter().chain(others).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn to(provider: &str, model: Option<&str>) -> FallbackTo {
        FallbackTo { provider: provider.to_owned(), model: model.map(str::to_owned) }
    }

    #[test]
    fn a_chain_names_providers_with_or_without_models() {
        let chain = fallback("openrouter, bedrock:anthropic.claude-haiku-4-5-v1:0 ,local").expect("it is a chain");

        let model = Some("anthropic.claude-haiku-4-5-v1:0");
        assert_eq!(chain.0, [to("openrouter", None), to("bedrock", model), to("local", None)]);
        assert_eq!(fallback("off"), Ok(Fallbacks::default()));
    }

    #[test]
    fn a_chain_with_an_empty_part_or_with_off_inside_is_refused() {
        for wrong in ["", ",", "a,", "a,,b", ":m", "a:", "a, :m"] {
            assert!(fallback(wrong).expect_err(wrong).starts_with("give off"), "{wrong}");
        }
        assert!(fallback("a,off").expect_err("off stands alone").contains("no other provider"));
    }

    #[test]
    fn only_the_named_cases_are_on() {
        let on = fallback_on("limit=90s, account").expect("they are cases");

        assert_eq!((on.limit, on.account), (Some(Duration::from_secs(90)), true));
        assert!(!on.overload && !on.endpoint && !on.refusal && !on.model);
        assert_eq!(fallback_on("limit").expect("it is a case").limit, FallbackOn::default().limit);
        assert_eq!(fallback_on("model").expect("it is a case").limit, None);
    }

    #[test]
    fn a_wrong_case_is_refused_with_what_was_meant() {
        assert!(fallback_on("overlaod").expect_err("it is misspelt").ends_with("did you mean overload?"));
        assert!(fallback_on("model=x").expect_err("it has no value").contains("only limit"));
        assert!(fallback_on("limit=5").expect_err("it has no unit").contains("with a unit"));
        assert!(fallback_on("").is_err());
    }

    #[test]
    fn cases_are_read_back_as_they_were() {
        for on in [FallbackOn::default(), fallback_on("refusal,limit=1500ms").expect("they are cases")] {
            assert_eq!(fallback_on(&cases(on)), Ok(on));
        }
    }
}
