//! The settings that can be changed while a run is in progress, by `ctl RUN set` and by `--schedule`.
//!
//! The values of these settings are parsed by the parsers of the flags.

use std::time::Duration;

use super::parsers;
use super::values::{Concurrency, Headroom, TIERS};
use crate::domain::{Money, Tier};
use crate::report::text::escape;
use crate::watch::schedule::Schedule;

/// The value that resets a setting to the value from flags and files.
const DEFAULT: &str = "default";

/// A setting with its value. `None` means that the setting is not set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Setting {
    /// `--concurrency`.
    Concurrency(Concurrency),
    /// `--tier`.
    Tier(Tier),
    /// `--rpm`.
    Rpm(Option<u32>),
    /// `--itpm`.
    Itpm(Option<u32>),
    /// `--otpm`.
    Otpm(Option<u32>),
    /// `--headroom`.
    Headroom(Headroom),
    /// `--max-cost`.
    MaxCost(Option<Money>),
    /// `--max-requests`.
    MaxRequests(Option<u64>),
    /// `--max-time`.
    MaxTime(Option<Duration>),
}

/// The names of the settings that can be changed during a run.
const NAMES: [&str; 9] =
    ["concurrency", "tier", "rpm", "itpm", "otpm", "headroom", "max-cost", "max-requests", "max-time"];

impl Setting {
    /// Returns the name of the setting.
    pub fn name(self) -> &'static str {
        match self {
            Self::Concurrency(_) => "concurrency",
            Self::Tier(_) => "tier",
            Self::Rpm(_) => "rpm",
            Self::Itpm(_) => "itpm",
            Self::Otpm(_) => "otpm",
            Self::Headroom(_) => "headroom",
            Self::MaxCost(_) => "max-cost",
            Self::MaxRequests(_) => "max-requests",
            Self::MaxTime(_) => "max-time",
        }
    }
}

/// A change of one setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The name of the setting.
    pub name: &'static str,
    /// The new value; `None` to reset the setting to the value from flags and files.
    pub to: Option<Setting>,
}

impl Change {
    /// Parses `NAME=VALUE`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) => Self::of(name, value),
            None if text.is_empty() => {
                Err(format!("the name of a setting is missing; {}; give NAME=VALUE, such as headroom=50%", names()))
            }
            None => Err(format!(
                "{:?} is not a setting with its value; {1}; give NAME=VALUE, such as headroom=50%",
                escape(text),
                names()
            )),
        }
    }

    /// Parses a new value of the setting `name`.
    pub(crate) fn of(name: &str, value: &str) -> Result<Self, String> {
        let name = if name == "budget" { "max-cost" } else { name };
        let Some(name) = NAMES.into_iter().find(|known| *known == name) else {
            return Err(format!("{:?} is not a setting that can be changed during a run; {}", escape(name), names()));
        };
        let to = if value == DEFAULT { None } else { Some(setting(name, value)?) };
        Ok(Self { name, to })
    }
}

fn setting(name: &str, value: &str) -> Result<Setting, String> {
    let parsed = match name {
        "concurrency" => parsers::concurrency(value).map(Setting::Concurrency),
        "tier" => tier(value).map(Setting::Tier),
        "rpm" => parsers::rate(value).map(|rate| Setting::Rpm(Some(rate))),
        "itpm" => parsers::rate(value).map(|rate| Setting::Itpm(Some(rate))),
        "otpm" => parsers::rate(value).map(|rate| Setting::Otpm(Some(rate))),
        "headroom" => parsers::headroom(value).map(Setting::Headroom),
        "max-cost" => parsers::dollars(value).map(|most| Setting::MaxCost(Some(most))),
        "max-requests" => parsers::positive_u64(value).map(|most| Setting::MaxRequests(Some(most))),
        _ => parsers::positive_duration(value).map(|most| Setting::MaxTime(Some(most))),
    };
    parsed.map_err(|wanted| {
        format!(
            "{name}={} is not valid; {wanted}, or {DEFAULT} to go back to the value of flags and files",
            escape(value)
        )
    })
}

fn tier(text: &str) -> Result<Tier, String> {
    let found = TIERS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, tier)| *tier).ok_or_else(|| format!("give one of {}", TIERS.map(|(name, _)| name).join(", ")))
}

fn names() -> String {
    format!("the settings are {}", NAMES.join(", "))
}

/// Parses a value of `--schedule`: a time span, and the setting that changes in this span.
pub(crate) fn schedule(text: &str) -> Result<Schedule<Change>, String> {
    Schedule::parse(text, Change::parse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_is_parsed_like_its_flag_and_its_alias_is_known() {
        let parsed = |text: &str| Change::parse(text).map(|change| change.to.expect(text));

        assert_eq!(parsed("concurrency=8").map(Setting::name), Ok("concurrency"));
        assert_eq!(parsed("tier=SCALE"), Ok(Setting::Tier(Tier::Scale)));
        assert_eq!(parsed("itpm=2M"), Ok(Setting::Itpm(Some(2_000_000))));
        assert_eq!(parsed("headroom=50%"), Ok(Setting::Headroom(Headroom::Percent(50.0))));
        assert_eq!(parsed("budget=$2.50"), Ok(Setting::MaxCost(Some(Money::from_dollars(2.5)))));
        assert_eq!(parsed("max-time=90m"), Ok(Setting::MaxTime(Some(Duration::from_secs(5_400)))));
        for name in NAMES {
            assert_eq!(Change::of(name, "default"), Ok(Change { name, to: None }));
        }
    }

    #[test]
    fn an_error_names_the_value_and_what_is_allowed() {
        for (text, parts) in [
            ("headroom=lots", ["headroom=lots", "0 to 90"]),
            ("tier=9", ["tier=9", "scale"]),
            ("colour=red", ["\"colour\"", "concurrency, tier"]),
            ("headroom", ["NAME=VALUE", "max-time"]),
            ("rpm=", ["rpm=", "whole number"]),
        ] {
            let error = Change::parse(text).expect_err(text);
            assert!(parts.iter().all(|part| error.contains(part)), "{text}: {error}");
        }
    }
}
