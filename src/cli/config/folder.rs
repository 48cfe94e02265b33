//! What a `claude-batch.toml` in the working folder may set.
//!
//! The file may have come with a clone of somebody's repository, or may be in a folder where others may write. So a
//! list names what it may set, and every other setting is refused by name. The file may shape requests, slow a run down
//! or stop it early. It can't say where the key comes from or is sent, start a program, answer a question, or choose
//! where a file is written.
//!
//! A test checks that each flag is in one of the lists. A name that is in no list is refused.

use crate::cli::args::groups::MoneyArgs;
use crate::report::text::duration;

/// What it may set.
pub const FREE: [&str; 17] = [
    "format",
    "id",
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
    "output-format",
    "fields",
    "order",
    "null",
];

/// What it may set lower than the user did, or where the user set nothing.
pub const CAPS: [&str; 3] = ["max-cost", "max-requests", "max-time"];

/// What it may not set.
pub const REFUSED: [&str; 40] = [
    "limit",
    "skip",
    "strict",
    // It changes models that rows name, and so what they cost.
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
    "max-retries",
    "retry-for",
    "timeout",
    "idle-timeout",
    "no-retry-ambiguous",
    "halt",
    "grace",
    "dry-run",
    "yes",
    "prices",
    "fresh",
    "retry-failed",
    "rerun-changed",
    "simulate",
    "simulate-faults",
    "base-url",
    "allow-http",
    "no-proxy",
    "ca-file",
    "quiet",
    "verbose",
    "fsync",
    "trust-owner",
    "api-key-file",
    "api-key-cmd",
    "config",
    "profile",
];

/// The settings that decide where the key comes from, where it is sent, and through which proxy.
pub const ABOUT_THE_KEY: [&str; 7] =
    ["base-url", "header", "allow-http", "no-proxy", "ca-file", "api-key-file", "api-key-cmd"];

/// Returns whether a file in the working folder may set this.
pub fn may_set(name: &str) -> bool {
    FREE.contains(&name) || CAPS.contains(&name)
}

/// Removes the caps from settings, and returns them.
pub(super) fn take_caps(money: &mut MoneyArgs) -> MoneyArgs {
    MoneyArgs {
        max_cost: money.max_cost.take(),
        max_requests: money.max_requests.take(),
        max_time: money.max_time.take(),
        ..MoneyArgs::default()
    }
}

/// Lowers the user's caps to those of the folder. Returns a note for each cap of the folder that has no effect.
pub(super) fn lower(own: &mut MoneyArgs, folder: &MoneyArgs) -> Vec<String> {
    let mut said = Vec::new();
    let mut idle = |name: &str, own: Option<String>| {
        said.extend(own.map(|own| format!("its {name} is not used, since yours is lower ({own})")));
    };
    idle("max-cost", lowered(&mut own.max_cost, folder.max_cost).map(|own| own.to_string()));
    idle("max-requests", lowered(&mut own.max_requests, folder.max_requests).map(|own| own.to_string()));
    idle("max-time", lowered(&mut own.max_time, folder.max_time).map(duration));
    said
}

/// Lowers one cap; returns the user's cap if it is the lower one already.
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
    fn a_cap_is_the_lower_of_both_whoever_has_one() {
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
