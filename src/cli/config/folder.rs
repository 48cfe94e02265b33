//! The settings that a `claude-batch.toml` in the working folder can contain.
//!
//! A file in the working folder may come from another person: from a cloned repository, or from somebody who can write
//! in the folder. So the file can contain only the settings that this module allows. Every other setting in the file is
//! an error, and the message names the setting. The file can change requests, slow a run down or stop it early. The
//! file can't decide where the key comes from or where the key is sent. The file can't start a program, answer a
//! question in place of the user, or choose where a file is written.
//!
//! A test checks that each flag is in one of the lists `FREE`, `CAPS` and `REFUSED`. The program rejects settings that
//! are missing from these lists.

use crate::cli::args::groups::MoneyArgs;
use crate::report::text::duration;

/// The settings that a file in the working folder can contain.
pub const FREE: [&str; 25] = [
    "format",
    "id",
    "sheet",
    "template",
    "system",
    "model",
    "max-tokens",
    "tier",
    "rpm",
    "itpm",
    "otpm",
    "headroom",
    "concurrency",
    "progress",
    "summary",
    "output-format",
    "fields",
    "order",
    "null",
    // `prompt-cache` changes no answer. `prompt-cache` changes the cost, but less than the model or the system prompt
    // does.
    "prompt-cache",
    "dedupe",
    // Like `concurrency`, `batch-rows` can make a run slower, but not more expensive.
    "batch-rows",
    // `schedule` can change only settings that are also in `FREE` or `CAPS`.
    "schedule",
    // `expect` and `require` make rows fail, but send no extra requests.
    "expect",
    "require",
];

/// The caps, which a file in the working folder can lower. If the user did not set a cap, the file can set it.
pub const CAPS: [&str; 3] = ["max-cost", "max-requests", "max-time"];

/// The settings that a file in the working folder can't contain.
pub const REFUSED: [&str; 60] = [
    "limit",
    "skip",
    "strict",
    // `map-model` changes the models of rows, so it also changes the cost of the rows.
    "map-model",
    "param",
    "stream",
    "api-version",
    "beta",
    "header",
    "output",
    "errors",
    "raw-cells",
    "http2",
    // `lane` (online or batch) changes what rows cost, and the API stores the rows of a batch for 29 days. If the
    // `deadline` is near, rows are sent online at twice the price. With `detach`, the run ends without answers.
    "lane",
    "deadline",
    "detach",
    "max-retries",
    "retry-for",
    "timeout",
    "idle-timeout",
    "no-retry-ambiguous",
    "halt",
    "grace",
    "dry-run",
    "yes",
    // With `reuse`, answers from other results would become answers of this run.
    "reuse",
    "reuse-any-origin",
    "prices",
    // `schema` names a file, which may be in any folder.
    "schema",
    // The settings from `on-invalid` to `rerun-changed` can cause more requests, or requests to other models.
    "on-invalid",
    "on-truncate",
    "on-refusal",
    "max-follow-ups",
    "rerun",
    "fresh",
    "retry-failed",
    "rerun-changed",
    "simulate",
    "simulate-faults",
    "simulate-answers",
    "base-url",
    "allow-http",
    "no-proxy",
    "ca-file",
    // The settings about providers decide where requests are sent, and with which key.
    "provider",
    "fallback",
    "fallback-on",
    "quiet",
    "verbose",
    "fsync",
    "trust-owner",
    // The settings from `notify` to `log` send data to other servers, start a program, or write a file.
    "notify",
    "notify-on",
    "notify-format",
    "log",
    "api-key-file",
    "api-key-cmd",
    "api-key-ttl",
    "config",
    "profile",
];

/// The settings that decide where the key comes from, where it is sent, and through which proxy.
pub const ABOUT_THE_KEY: [&str; 9] =
    ["base-url", "header", "allow-http", "no-proxy", "ca-file", "provider", "fallback", "api-key-file", "api-key-cmd"];

/// Returns whether a file in the working folder can contain this setting.
pub fn may_set(name: &str) -> bool {
    FREE.contains(&name) || CAPS.contains(&name)
}

/// Removes the caps (`max-cost`, `max-requests`, `max-time`) from the settings and returns them.
pub(super) fn take_caps(money: &mut MoneyArgs) -> MoneyArgs {
    MoneyArgs {
        max_cost: money.max_cost.take(),
        max_requests: money.max_requests.take(),
        max_time: money.max_time.take(),
        ..MoneyArgs::default()
    }
}

/// Lowers the user's caps to the caps of the file in the working folder. Returns notes about the caps of the file that
/// have no effect, because the user's caps are lower.
pub(super) fn lower(own: &mut MoneyArgs, folder: &MoneyArgs) -> Vec<String> {
    let mut said = Vec::new();
    let mut idle = |name: &str, own: Option<String>| {
        said.extend(own.map(|own| format!("its {name} has no effect, because your own value is lower ({own})")));
    };
    idle("max-cost", lowered(&mut own.max_cost, folder.max_cost).map(|own| own.to_string()));
    idle("max-requests", lowered(&mut own.max_requests, folder.max_requests).map(|own| own.to_string()));
    idle("max-time", lowered(&mut own.max_time, folder.max_time).map(duration));
    said
}

/// Returns the names of the caps that the file in the working folder sets or lowers.
pub(super) fn lowered_names(own: &MoneyArgs, folder: &MoneyArgs) -> Vec<&'static str> {
    fn is_lower<T: Ord>(own: Option<T>, folder: Option<T>) -> bool {
        folder.is_some_and(|folder| own.is_none_or(|own| folder < own))
    }
    let names = [
        ("max-cost", is_lower(own.max_cost, folder.max_cost)),
        ("max-requests", is_lower(own.max_requests, folder.max_requests)),
        ("max-time", is_lower(own.max_time, folder.max_time)),
    ];
    names.into_iter().filter(|(_, is_lower)| *is_lower).map(|(name, _)| name).collect()
}

/// Lowers the user's cap to the cap of the file. If the user's cap was already lower than the cap of the file, returns
/// the user's cap. Otherwise, returns `None`.
fn lowered<T: Copy + Ord>(own: &mut Option<T>, folder: Option<T>) -> Option<T> {
    let folder = folder?;
    let lower = own.filter(|own| *own < folder);
    *own = Some(own.map_or(folder, |own| own.min(folder)));
    lower
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::Money;

    #[test]
    fn the_lower_of_two_caps_counts_and_a_single_cap_counts_too() {
        let values = [None, Some(1), Some(2), Some(3)];

        for own in values {
            for folder in values {
                let caps = |value: Option<u64>| MoneyArgs {
                    max_cost: value.map(|value| Money::from_dollars(value as f64)),
                    max_requests: value,
                    max_time: value.map(Duration::from_secs),
                    ..MoneyArgs::default()
                };
                let mut merged = caps(own);

                let said = lower(&mut merged, &caps(folder));

                let expected = caps(own.into_iter().chain(folder).min());
                assert_eq!(
                    (merged.max_cost, merged.max_requests, merged.max_time),
                    (expected.max_cost, expected.max_requests, expected.max_time),
                    "{own:?} {folder:?}"
                );
                let is_idle = own.zip(folder).is_some_and(|(own, folder)| own < folder);
                assert_eq!(said.len(), if is_idle { 3 } else { 0 }, "{own:?} {folder:?}: {said:?}");
            }
        }
    }
}
