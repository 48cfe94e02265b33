//! The default values of settings.
//!
//! A test passes each default value as a flag. The test checks that a run with these flags has the same settings as a
//! run without flags.

use std::time::Duration;

use super::answers::MAX_FOLLOW_UPS;
use super::lanes::BATCH_ROWS;
use super::rows::API_VERSION;
use crate::catalog::Catalog;
use crate::cli::args::parsers::typed_duration;
use crate::cli::args::providers::cases;
use crate::cli::args::values;
use crate::domain::{FallbackOn, LaneChoice, PromptCache, ProviderKind, Tier};
use crate::journal::Fsync;
use crate::plan::DEFAULT_MAX_TOKENS;
use crate::report::ProgressKind;
use crate::scheduler::StreamMode;
use crate::source::InputFormat;
use crate::watch::notices::NoticeForm;

/// `--max-retries`. If 13 % of requests fail at random, 48 of ten million rows still fail with 5 retries. With 8
/// retries, on average fewer than one in ten million rows fails.
pub(super) const MAX_RETRIES: u32 = 8;
/// `--retry-for`.
pub(super) const RETRY_FOR: Duration = Duration::from_secs(30 * 60);
/// `--timeout`. The API's client libraries have the same default timeout.
pub(super) const TIMEOUT: Duration = Duration::from_secs(600);
/// `--idle-timeout`. One minute is long enough: during a stream, the API sends a ping much more often than once a
/// minute.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The default of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Default {
    /// A default value, as a user would type it.
    Value(String),
    /// A text that says what happens without the setting.
    Words(String),
    /// Nothing.
    Unset,
}

/// Returns the default of the setting that a flag sets.
pub(crate) fn default_of(flag: &clap::Arg) -> Default {
    let name = flag.get_long().unwrap_or_default();
    if let Some(value) = value(name) {
        return Default::Value(value);
    }
    if is_switch(flag) {
        return Default::Value("false".to_owned());
    }
    match words(flag) {
        Some(words) => Default::Words(words),
        None => Default::Unset,
    }
}

/// Returns whether a flag is a switch. A flag is a switch if its value can be given only after a `=`.
pub(crate) fn is_switch(flag: &clap::Arg) -> bool {
    flag.is_require_equals_set()
}

/// Returns what the help says about the default: the text in `[default: …]`.
pub(crate) fn words(flag: &clap::Arg) -> Option<String> {
    let help = flag.get_long_help().or(flag.get_help())?.to_string();
    let (_, rest) = help.split_once("[default: ")?;
    Some(rest.split_once(']')?.0.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn value(name: &str) -> Option<String> {
    let value = match name {
        "format" => InputFormat::default().name().to_owned(),
        "skip" | "verbose" => "0".to_owned(),
        "model" => Catalog::builtin().default_model().to_owned(),
        "max-tokens" => DEFAULT_MAX_TOKENS.to_string(),
        "stream" => named(&values::STREAMS, StreamMode::default()),
        "api-version" => API_VERSION.to_owned(),
        "tier" => Tier::Auto.name().to_owned(),
        "headroom" | "concurrency" => "auto".to_owned(),
        "lane" => LaneChoice::default().name().to_owned(),
        "batch-rows" => BATCH_ROWS.to_string(),
        "max-retries" => MAX_RETRIES.to_string(),
        "retry-for" => typed_duration(RETRY_FOR),
        "timeout" => typed_duration(TIMEOUT),
        "idle-timeout" => typed_duration(IDLE_TIMEOUT),
        "halt" => "first-ten".to_owned(),
        "prompt-cache" => PromptCache::default().name().to_owned(),
        "max-follow-ups" => MAX_FOLLOW_UPS.to_string(),
        "provider" => ProviderKind::default().name().to_owned(),
        "fallback" => "off".to_owned(),
        "fallback-on" => cases(FallbackOn::default()),
        "progress" => named(&values::PROGRESS, ProgressKind::default()),
        "notify-on" => "finish,halt,limit=95".to_owned(),
        "notify-format" => named(&values::NOTICE_FORMS, NoticeForm::default()),
        "fsync" => named(&values::FSYNCS, Fsync::default()),
        _ => return None,
    };
    Some(value)
}

fn named<T: PartialEq>(names: &[(&'static str, T)], wanted: T) -> String {
    names.iter().find(|(_, value)| *value == wanted).map_or_else(String::new, |(name, _)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, Parser};

    use super::super::Config;
    use super::super::reader::Reader;
    use super::super::world::World;
    use super::*;
    use crate::cli::args::{Cli, Command as Ours, RunArgs};

    /// Returns the settings of a run with these flags, as text.
    fn config(flags: &[String]) -> String {
        let typed = ["claude-batch", "run", "p.jsonl"].into_iter().map(str::to_owned).chain(flags.iter().cloned());
        let Ours::Run(args) = Cli::try_parse_from(typed).expect("each default is a value of its flag").command else {
            panic!("it is run");
        };
        let config = Config::of_run(&args, &World::default());
        format!("{:?}", config.unwrap_or_else(|error| panic!("{flags:?}: {error:#}")))
    }

    #[test]
    fn a_run_with_a_default_as_a_flag_has_the_settings_of_a_run_without_flags() {
        let reader = Reader::new();
        // `model` and `max-tokens` are left out. Their defaults are not in the settings, because the program adds these
        // defaults to requests later.
        let flags = reader.flags().filter(|flag| !matches!(flag.get_long(), Some("model" | "max-tokens")));
        let given = |flag: &clap::Arg| match (flag.get_long()?, default_of(flag)) {
            // The value of `verbose` is the number of times that `-v` is typed. So the default of `verbose` can't be
            // written as `--verbose=0`.
            ("verbose", _) => None,
            // `fresh`, `quiet`, `retry-failed` and `rerun-changed` are left out, because they can't be combined with
            // some other flags. By default, these switches are off, so nothing changes if they are left out.
            ("fresh" | "quiet" | "retry-failed" | "rerun-changed", Default::Value(value)) if value == "false" => None,
            (name, Default::Value(value)) => Some(format!("--{name}={value}")),
            (_, Default::Words(_) | Default::Unset) => None,
        };
        let given: Vec<String> = flags.filter_map(given).collect();

        assert!(given.len() > 30, "{given:?}");
        for flag in &given {
            let base = Vec::from_iter(flag.starts_with("--fallback-on").then(|| "--fallback=openrouter".to_owned()));
            let with_default = [&base[..], std::slice::from_ref(flag)].concat();
            assert_eq!(config(&with_default), config(&base), "{flag}");
        }
    }

    #[test]
    fn the_help_names_the_same_defaults() {
        let run = RunArgs::augment_args(Command::new("run"));
        let mut reader = Reader::new();
        let mut compared = 0;
        for flag in run.get_arguments().filter(|flag| !flag.is_hide_set()) {
            let (Some(name), Some(words)) = (flag.get_long(), words(flag)) else { continue };
            let said = words.split([',', ' ']).next().unwrap_or_default();
            let (Ok(of_help), Default::Value(value)) = (reader.parse(name, &[said.to_owned()]), default_of(flag))
            else {
                continue;
            };
            let of_run = reader.parse(name, std::slice::from_ref(&value)).expect("a default is a value of its flag");
            // For `fallback-on` and `notify-on`, the words in the help differ from the default value.
            if !matches!(name, "fallback-on" | "notify-on") {
                assert_eq!(format!("{of_help:?}"), format!("{of_run:?}"), "--{name}: [default: {words}], {value}");
                compared += 1;
            }
        }

        assert!(compared > 10, "{compared}");
    }
}
