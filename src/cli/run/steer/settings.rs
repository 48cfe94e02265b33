//! The values of the settings that can be changed during a run.

use std::num::NonZeroUsize;

use crate::cli::args::steered::Setting;
use crate::cli::args::values::{Concurrency, Headroom};
use crate::cli::config::Config;
use crate::report::text::{count, duration};

/// Returns the values of all settings that can be changed during a run, always in the same order.
pub(super) fn of(config: &Config) -> [Setting; 9] {
    [
        Setting::Tier(config.tier),
        Setting::Rpm(config.limits.rpm),
        Setting::Itpm(config.limits.itpm),
        Setting::Otpm(config.limits.otpm),
        Setting::Headroom(config.headroom),
        Setting::Concurrency(config.concurrency),
        Setting::MaxCost(config.max_cost),
        Setting::MaxRequests(config.max_requests),
        Setting::MaxTime(config.max_time),
    ]
}

/// Returns the value of the setting with this name; `None` if it can't be changed during a run.
pub(super) fn named(config: &Config, name: &str) -> Option<Setting> {
    of(config).into_iter().find(|setting| setting.name() == name)
}

/// Writes the value of a setting into `config`.
pub(super) fn put(setting: Setting, config: &mut Config) {
    match setting {
        Setting::Tier(tier) => config.tier = tier,
        Setting::Rpm(rate) => config.limits.rpm = rate,
        Setting::Itpm(rate) => config.limits.itpm = rate,
        Setting::Otpm(rate) => config.limits.otpm = rate,
        Setting::Headroom(headroom) => config.headroom = headroom,
        Setting::Concurrency(concurrency) => config.concurrency = concurrency,
        Setting::MaxCost(most) => config.max_cost = most,
        Setting::MaxRequests(most) => config.max_requests = most,
        Setting::MaxTime(most) => config.max_time = most,
    }
}

/// Compares `setting` with its value in flags and files (`base`), and returns the setting with the lower cap. Settings
/// that are not caps are returned unchanged.
///
/// A schedule may come from a file in the working folder, which another person may have written. Therefore a schedule
/// can lower the user's caps, but can't raise them.
pub(super) fn capped(setting: Setting, base: &Config) -> Setting {
    fn lower<T: Ord>(own: Option<T>, base: Option<T>) -> Option<T> {
        own.into_iter().chain(base).min()
    }
    match setting {
        Setting::MaxCost(most) => Setting::MaxCost(lower(most, base.max_cost)),
        Setting::MaxRequests(most) => Setting::MaxRequests(lower(most, base.max_requests)),
        Setting::MaxTime(most) => Setting::MaxTime(lower(most, base.max_time)),
        Setting::Tier(_)
        | Setting::Rpm(_)
        | Setting::Itpm(_)
        | Setting::Otpm(_)
        | Setting::Headroom(_)
        | Setting::Concurrency(_) => setting,
    }
}

/// Returns the value of a setting as text for people.
pub(super) fn shown(setting: Setting) -> String {
    let or_none = |shown: Option<String>| shown.unwrap_or_else(|| "not set".to_owned());
    match setting {
        Setting::Tier(tier) => tier.name().to_owned(),
        Setting::Rpm(rate) | Setting::Itpm(rate) | Setting::Otpm(rate) => or_none(rate.map(|rate| count(rate.into()))),
        Setting::Headroom(Headroom::Auto) | Setting::Concurrency(Concurrency::Auto) => "auto".to_owned(),
        Setting::Headroom(Headroom::Percent(percent)) => format!("{percent}%"),
        Setting::Concurrency(Concurrency::Fixed(most)) => count(NonZeroUsize::get(most) as u64),
        Setting::MaxCost(most) => or_none(most.map(|most| most.to_string())),
        Setting::MaxRequests(most) => or_none(most.map(count)),
        Setting::MaxTime(most) => or_none(most.map(duration)),
    }
}
