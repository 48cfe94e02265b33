//! Makes the commands that are printed for the user to paste: how to continue a run, and how to retry its failed rows.
//!
//! The module makes all printed commands from the command that the user typed. The printed commands work in the folder
//! where the run was started, with the same environment:
//!
//! - *Continuing* a run uses the command that the user typed. `--fresh` becomes `--fresh=false`: otherwise the results
//!   file would be renamed, and the finished answers would be paid for again.
//! - *Collecting* batches uses the command that the user typed, but without `--detach`. So the new run waits for the
//!   batches.
//! - *Retrying* failed rows uses `resume` with the error log. The new command repeats all typed flags that `resume`
//!   also has: server, configuration, key file, limits and so on. The run folder records some of the typed flags, but a
//!   run from a pipe has no run folder. The new command leaves out `--only`, `--simulate-faults` and
//!   `--simulate-answers`. The flag `--only` selected rows of an earlier log, and the two flags of the simulator would
//!   make the same rows fail again. Some flags replace parameters of rows. If the user typed `resume`, the new command
//!   repeats these flags. If the user typed `run`, the new command leaves out flags that replace parameters, because
//!   the error log already contains the new parameters.
//! - *Asking again* (after truncated answers) uses `run` with the same inputs and most of the typed flags. Flags that
//!   say how the rows are read, or that set parameters of the rows, are left out, because the run folder records them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{ArgAction, ArgMatches, Args, Command, CommandFactory};

use super::args::{ApiArgs, Cli, ResultsArgs, ResumeArgs, RunArgs};
use super::shell;
use crate::domain::ErrorClass;
use crate::journal::RunPaths;
use crate::report::PrintedCommand;

/// Flags of `resume` that are not copied from the typed command. The value of `-o` comes from the paths of the run's
/// files.
const NOT_CARRIED: [&str; 4] = ["output", "only", "simulate-faults", "simulate-answers"];

/// Flags of `resume` that replace parameters of rows.
const OVERRIDES: [&str; 3] = ["model", "system", "max-tokens"];

/// These flags of `run` are not copied into the command that the program prints after truncated answers. Of the flags
/// in this list, those from `format` to `system` are recorded in the run folder. The flags from `fresh` to the end of
/// the list concern only a single run.
const NOT_IN_RERUN: [&str; 19] = [
    "format",
    "id",
    "template",
    "map-model",
    "max-tokens",
    "param",
    "api-version",
    "beta",
    "model",
    "system",
    "fresh",
    "rerun",
    "rerun-changed",
    "retry-failed",
    "dry-run",
    "detach",
    "deadline",
    "max-requests",
    "max-time",
];

/// The command that the user typed; other commands are made from this command.
#[derive(Clone, Debug)]
pub(crate) struct Commands {
    typed: Vec<OsString>,
    is_fresh: bool,
}

impl Commands {
    /// Returns the commands that are made from the arguments of this process. If a flag or another setting made this
    /// run rename earlier results and start over, `is_fresh` is true.
    pub(crate) fn of_process(is_fresh: bool) -> Self {
        Self::of(std::env::args_os().skip(1), is_fresh)
    }

    fn of(typed: impl IntoIterator<Item = OsString>, is_fresh: bool) -> Self {
        Self { typed: typed.into_iter().collect(), is_fresh }
    }

    /// Returns the commands without `--trust-owner`, for messages that are written to a file. The person who pastes a
    /// command from a file must decide whose files to trust.
    pub(crate) fn for_file(&self) -> Self {
        let (mut typed, rest) = without(self.typed.clone(), "--trust-owner");
        typed.extend(rest);
        Self { typed, is_fresh: self.is_fresh }
    }

    /// Returns the command that continues the run.
    pub(crate) fn again(&self) -> PrintedCommand {
        shell::printed(self.typed_again())
    }

    /// Returns the command that continues the run and also retries failed rows.
    pub(crate) fn again_with_failed(&self) -> PrintedCommand {
        let (mut flags, rest) = without(self.typed_again(), "--retry-failed");
        flags.push("--retry-failed".into());
        shell::printed(flags.into_iter().chain(rest))
    }

    /// Returns the command that runs the rows with truncated answers again, with `max_tokens` as the new limit. Returns
    /// `None` if the command is not `run`, or if an input is not a file.
    pub(crate) fn longer(&self, max_tokens: u32) -> Option<PrintedCommand> {
        let matches = self.matches()?;
        let (_, typed) = matches.subcommand().filter(|(name, _)| *name == "run")?;
        let is_typed = |id: &str| typed.value_source(id) == Some(clap::parser::ValueSource::CommandLine);
        let inputs: Vec<_> = typed.get_many::<PathBuf>("inputs")?.collect();
        if inputs.iter().any(|input| input.as_os_str() == "-") {
            return None;
        }
        let mut args: Vec<OsString> = vec!["run".into()];
        args.extend(inputs.into_iter().map(|input| shell::file(input)));
        args.extend(["--rerun".into(), "truncated".into(), "--max-tokens".into(), max_tokens.to_string().into()]);
        if self.is_fresh && !is_typed("fresh") {
            args.push("--fresh=false".into());
        }
        // In a run with --rerun, the flags `model` and `system` replace parameters of the rows. The run folder does not
        // record these two flags.
        let replaces = |long: &str| is_typed("rerun") && ["model", "system"].contains(&long);
        let run = RunArgs::augment_args(Command::new("run"));
        let is_kept = |long: &str| replaces(long) || !NOT_IN_RERUN.contains(&long);
        args.extend(
            run.get_arguments()
                .filter(|arg| arg.get_long().is_some_and(is_kept))
                .flat_map(|arg| typed_again(arg, typed)),
        );
        Some(shell::printed(args))
    }

    /// Returns the command that continues the run and waits for its batches.
    pub(crate) fn collect(&self) -> String {
        let (flags, rest) = without(self.typed_again(), "--detach");
        shell::ours(flags.into_iter().chain(rest))
    }

    fn typed_again(&self) -> Vec<OsString> {
        let args = shell::without_secrets(self.typed.iter().cloned());
        if !self.is_fresh {
            return args;
        }
        let (mut args, rest) = without(args, "--fresh");
        args.push("--fresh=false".into());
        args.extend(rest);
        args
    }

    /// Returns the command that runs the failed rows in the error log again. `only` is the value of `--only`, which
    /// limits the command to some failure classes.
    pub(crate) fn resume(&self, paths: &RunPaths, only: Option<&str>) -> PrintedCommand {
        self.resume_with(paths, only, None)
    }

    /// Returns the command that sends the truncated rows of the error log again, with `max_tokens` as the new limit.
    pub(crate) fn resume_longer(&self, paths: &RunPaths, max_tokens: u32) -> PrintedCommand {
        self.resume_with(paths, Some(ErrorClass::Truncated.name()), Some(max_tokens))
    }

    fn resume_with(&self, paths: &RunPaths, only: Option<&str>, max_tokens: Option<u32>) -> PrintedCommand {
        let mut args = vec!["resume".into(), shell::file(&paths.errors)];
        if let Some(results) = paths.results.as_deref().filter(|_| !paths.log_finds_results()) {
            args.extend(["-o".into(), shell::file(results)]);
        }
        if let Some(only) = only {
            args.extend(["--only".into(), only.into()]);
        }
        let mut carried = self.carried(&ResumeArgs::augment_args(Command::new("resume")));
        if let Some(max_tokens) = max_tokens {
            args.extend(["--max-tokens".into(), max_tokens.to_string().into()]);
            // The typed value of --max-tokens is removed, because it was too small.
            if let Some(at) = carried.iter().position(|arg| arg == "--max-tokens") {
                carried.drain(at..carried.len().min(at + 2));
            }
        }
        args.extend(carried);
        shell::printed(args)
    }

    /// Returns the command that shows the answers in the results file.
    pub(crate) fn answers(&self, results: &Path) -> PrintedCommand {
        let all = ResultsArgs::augment_args(Command::new("results"));
        // --fsync is left out, because the command `results` writes no results.
        let needed = all.get_arguments().filter(|arg| arg.get_long() != Some("fsync")).cloned();
        let carried = self.carried(&Command::new("results").args(needed));
        shell::printed(["results".into(), shell::file(results)].into_iter().chain(carried))
    }

    /// Returns the command that applies a verb of `batches` to the batches of a run. If the user typed flags for API
    /// calls, the command keeps these flags.
    pub(crate) fn batches(&self, verb: &str, results: &Path) -> String {
        let args = ["batches".into(), verb.into(), shell::file(results)];
        shell::ours(args.into_iter().chain(self.carried_for_calls()))
    }

    /// Returns the command that runs the inputs again with the same results file. The command leaves out the remaining
    /// flags of the run, because they are not known.
    pub(crate) fn run_again(&self, inputs: &[String], results: &Path, lane: &str) -> String {
        let inputs = inputs.iter().map(|input| shell::file(Path::new(input)));
        let flags = ["-o".into(), shell::file(results), "--lane".into(), lane.into()];
        shell::ours(["run".into()].into_iter().chain(inputs).chain(flags).chain(self.carried_for_calls()))
    }

    /// Returns the flags that the user typed and that API calls need, in their long form.
    fn carried_for_calls(&self) -> Vec<OsString> {
        self.carried(&ApiArgs::augment_args(Command::new("batches")))
    }

    /// Of the flags that the user typed, returns those that `command` also has, in their long form.
    fn carried(&self, command: &Command) -> Vec<OsString> {
        let Some(matches) = self.matches() else { return Vec::new() };
        let is_resume = matches.subcommand_name() == Some("resume");
        let mut matches = &matches;
        while let Some((_, inner)) = matches.subcommand() {
            matches = inner;
        }
        let is_carried = |arg: &&clap::Arg| {
            let is_in = |names: &[&str]| arg.get_long().is_some_and(|long| names.contains(&long));
            !is_in(&NOT_CARRIED) && (is_resume || !is_in(&OVERRIDES))
        };
        command.get_arguments().filter(is_carried).flat_map(|arg| typed_again(arg, matches)).collect()
    }

    /// Parses the user's command a second time. The command is valid, because it was parsed when the program started.
    fn matches(&self) -> Option<ArgMatches> {
        let typed = [OsString::from("claude-batch")].into_iter().chain(self.typed.iter().cloned());
        Cli::command().try_get_matches_from(typed).ok()
    }
}

/// Removes a switch from the arguments. Returns two lists: the other arguments before `--`, and then `--` with all
/// arguments after it. The second list has no flags.
fn without(mut args: Vec<OsString>, switch: &str) -> (Vec<OsString>, Vec<OsString>) {
    let flags = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
    let rest = args.split_off(flags);
    let with_value = format!("{switch}=");
    args.retain(|arg| arg != switch && !arg.as_encoded_bytes().starts_with(with_value.as_bytes()));
    (args, rest)
}

/// Returns a flag and its values as arguments of a command; an empty list if the user did not type the flag.
fn typed_again(arg: &clap::Arg, matches: &ArgMatches) -> Vec<OsString> {
    let id = arg.get_id().as_str();
    let is_typed = || matches.value_source(id) == Some(clap::parser::ValueSource::CommandLine);
    let Some(long) = arg.get_long() else { return Vec::new() };
    if !matches.try_contains_id(id).unwrap_or(false) || !is_typed() {
        return Vec::new();
    }
    let flag = format!("--{long}");
    if matches!(arg.get_action(), ArgAction::Count) {
        return vec![flag.into(); matches.get_count(id).into()];
    }
    let occurrences = matches.get_raw_occurrences(id).into_iter().flatten();
    let values = occurrences.map(|values| values.collect::<Vec<_>>().join(std::ffi::OsStr::new(",")));
    values.flat_map(|value| with_value(&flag, arg, value)).collect()
}

fn with_value(flag: &str, arg: &clap::Arg, value: OsString) -> Vec<OsString> {
    let value = shell::shown_value(flag, value);
    if arg.is_require_equals_set() && value == "true" {
        return vec![flag.into()];
    }
    let looks_like_a_flag = value.as_encoded_bytes().first().is_none_or(|first| *first == b'-');
    if arg.is_require_equals_set() || looks_like_a_flag {
        let mut word = OsString::from(format!("{flag}="));
        word.push(value);
        return vec![word];
    }
    vec![flag.into(), value]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(typed: &[&str], is_fresh: bool) -> Commands {
        Commands::of(typed.iter().map(OsString::from), is_fresh)
    }

    fn resume(typed: &[&str]) -> String {
        let paths = RunPaths::given(Some("o.jsonl".into()), "o.errors.jsonl".into());
        commands(typed, false).resume(&paths, None).text
    }

    #[test]
    fn the_results_are_named_if_the_log_cannot_name_them() {
        let args = |results: Option<&str>, errors: &str| {
            let paths = RunPaths::given(results.map(PathBuf::from), errors.into());
            commands(&["run", "p.jsonl"], false).resume(&paths, None).text.replace('\\', "/")
        };

        assert_eq!(args(Some("d/o.jsonl"), "d/o.errors.jsonl"), "claude-batch resume d/o.errors.jsonl");
        assert_eq!(args(None, "e.jsonl"), "claude-batch resume e.jsonl");
        assert_eq!(args(Some("d/o.jsonl"), "e.jsonl"), "claude-batch resume e.jsonl -o d/o.jsonl");
        assert_eq!(args(Some("-o.jsonl"), "d/-e.jsonl"), "claude-batch resume d/-e.jsonl -o ./-o.jsonl");
        assert_eq!(args(Some("nul.jsonl"), "-e.jsonl"), "claude-batch resume ./-e.jsonl -o nul.jsonl");
    }

    #[test]
    fn truncated_answers_are_asked_for_again_with_one_max_tokens() {
        let paths = RunPaths::given(Some("o.jsonl".into()), "o.errors.jsonl".into());
        let of = |typed: &[&str]| commands(typed, false).resume_longer(&paths, 4_096).text;

        for typed in
            [&["run", "p.jsonl", "--tier", "2", "--max-tokens", "9"][..], &["resume", "e.jsonl", "--tier", "2"]]
        {
            assert_eq!(
                of(typed),
                "claude-batch resume o.errors.jsonl --only truncated --max-tokens 4096 --tier 2",
                "{typed:?}"
            );
        }
    }

    #[test]
    fn only_flags_that_resume_has_too_are_copied() {
        for (typed, carried) in [
            (&["run", "p.jsonl"][..], ""),
            (&["run", "p.jsonl", "-o", "o.jsonl", "-m", "m", "-s", "x", "-n", "5", "--strict", "--fresh"], ""),
            (&["run", "--base-url", "http://127.0.0.1:1", "p.jsonl"], " --base-url http://127.0.0.1:1"),
            (&["run", "--base-url=http://127.0.0.1:1", "p.jsonl"], " --base-url http://127.0.0.1:1"),
            (&["run", "p.jsonl", "--simulate", "--simulate-faults", "f.json"], " --simulate"),
            (&["run", "p.jsonl", "--simulate", "--simulate-answers", "a.json"], " --simulate"),
            (&["run", "p.jsonl", "--simulate=false"], " --simulate=false"),
            (&["run", "p.jsonl", "-vvc4"], " --concurrency 4 --verbose --verbose"),
            (&["run", "p.jsonl", "--budget", "3", "--tier", "2"], " --tier 2 --max-cost 3"),
            (&["run", "p.jsonl", "--config", "my 'own'.toml"], r" --config 'my '\''own'\''.toml'"),
            (&["run", "p.jsonl", "--beta", "a,b", "--beta", "c"], " --beta a,b --beta c"),
            (&["run", "p.jsonl", "--profile=-x"], " --profile=-x"),
            (&["run", "p.jsonl", "--provider", "bedrock", "--fallback", "off"], " --provider bedrock --fallback off"),
            (&["run", "p.jsonl", "--header", "X-Team: s3cret"], " --header 'X-Team: [hidden]'"),
            (&["run", "p.jsonl", "--notify", "https://h.example/s3cret"], " --notify '[hidden]'"),
            (
                &["run", "p.jsonl", "--notify", "env:URL", "--notify-on", "halt,limit=95"],
                " --notify env:URL --notify-on halt,limit=95",
            ),
            (&["run", "--no-proxy", "--", "--base-url"], " --no-proxy"),
            (
                &["resume", "a.jsonl", "--only", "timeout", "--base-url", "http://[::1]:1"],
                " --base-url 'http://[::1]:1'",
            ),
        ] {
            assert_eq!(resume(typed), format!("claude-batch resume o.errors.jsonl{carried}"), "{typed:?}");
        }
    }

    #[test]
    fn every_flag_of_resume_is_copied_or_listed_as_not_copied() {
        let resume_command = ResumeArgs::augment_args(Command::new("resume"));
        let flags = resume_command
            .get_arguments()
            .filter(|arg| !arg.is_hide_set())
            .filter_map(|arg| Some((arg, arg.get_long()?)));
        let mut seen = 0;
        for (arg, long) in flags.filter(|(_, long)| *long != "only" && *long != "help") {
            let possible = arg.get_possible_values();
            let candidates = [
                "1",
                "true",
                "1s",
                "a",
                "none",
                "http://127.0.0.1:1",
                "A: b",
                "5%",
                "never",
                "account",
                "keep",
                "halt",
                "0:00-1:00 pause",
            ]
            .map(str::to_owned);
            let named = possible.iter().map(|value| value.get_name().to_owned());
            let words = named.chain(candidates).map(|value| format!("--{long}={value}")).chain([format!("--{long}")]);
            let typed = words.map(|word| ["run".to_owned(), "p.jsonl".to_owned(), word]);
            let good = typed.into_iter().find(|typed| {
                Cli::command().try_get_matches_from([&["claude-batch".to_owned()][..], typed].concat()).is_ok()
            });
            let good = good.unwrap_or_else(|| panic!("no value for --{long}"));

            let made = resume(&good.iter().map(String::as_str).collect::<Vec<_>>());

            let is_carried = made.contains(&format!(" --{long}"));
            let is_left_out = NOT_CARRIED.contains(&long) || OVERRIDES.contains(&long);
            assert_eq!(is_carried, !is_left_out, "{good:?}: {made}");
            seen += 1;
        }
        assert!(seen > 35, "{seen}");
    }

    #[test]
    fn flags_that_replace_parameters_are_copied_from_resume_only() {
        let typed = ["resume", "a.jsonl", "--only", "truncated", "--max-tokens", "99", "-m", "m"];

        assert_eq!(resume(&typed), "claude-batch resume o.errors.jsonl --model m --max-tokens 99");
    }

    #[test]
    fn asking_again_needs_only_the_flags_that_no_folder_records() {
        for (typed, expected) in [
            (
                &["run", "a b.csv", "-t", "{{x}}", "--id", "n", "-m", "m", "--tier", "2"][..],
                "'a b.csv' --rerun truncated --max-tokens 64 --tier 2",
            ),
            (
                &["run", "-o", "o.csv", "p.csv", "--fresh", "-n", "5"],
                "p.csv --rerun truncated --max-tokens 64 --limit 5 --output o.csv",
            ),
            (
                &["run", "p.csv", "--rerun", "truncated,refused", "--max-tokens", "16", "-m", "m", "--retry-failed"],
                "p.csv --rerun truncated --max-tokens 64 --model m",
            ),
        ] {
            let made = commands(typed, false).longer(64).map(|made| made.text);
            assert_eq!(made, Some(format!("claude-batch run {expected}")), "{typed:?}");
        }
        assert_eq!(
            commands(&["run", "p.csv"], true).longer(9).map(|made| made.text).as_deref(),
            Some("claude-batch run p.csv --rerun truncated --max-tokens 9 --fresh=false")
        );
        for typed in [&["run", "-"][..], &["run"], &["resume", "e.jsonl"]] {
            assert_eq!(commands(typed, false).longer(64), None, "{typed:?}");
        }
    }

    #[test]
    fn the_command_for_the_answers_has_the_flags_that_it_needs_to_read_them() {
        let answers = |typed: &[&str]| commands(typed, false).answers(Path::new("-o.jsonl")).text;

        assert_eq!(answers(&["run", "p.jsonl", "--tier", "2", "-o", "-o.jsonl"]), "claude-batch results ./-o.jsonl");
        assert_eq!(
            answers(&["run", "p.jsonl", "--id", "n", "--fsync", "off", "--trust-owner"]),
            "claude-batch results ./-o.jsonl --id n --trust-owner"
        );
    }

    #[test]
    fn a_script_gets_the_words_of_a_command_without_quotation_marks() {
        let again = commands(&["run", "a b.jsonl", "--tier", "2"], false).again();

        assert_eq!(again.argv, ["claude-batch", "run", "a b.jsonl", "--tier", "2"]);
        assert!(again.is_complete);
    }

    #[test]
    fn a_command_without_its_secrets_is_not_complete() {
        for secret in [["--api-key-cmd", "pass s3cret"], ["--notify", "cmd:tell s3cret"], ["--header", "x-a: s3cret"]] {
            let again = commands(&[&["run", "p.jsonl"][..], &secret].concat(), false).again();

            assert!(!again.is_complete && !again.text.contains("s3cret"), "{}", again.text);
        }
    }

    #[test]
    fn collecting_waits_for_the_batches_and_never_starts_over() {
        let typed = ["run", "--detach", "--fresh", "--lane", "batch", "--detach=true", "-o", "o", "--", "--detach"];

        let collect = commands(&typed, true).collect();

        assert_eq!(collect, "claude-batch run --lane batch -o o --fresh=false -- --detach");
    }

    #[test]
    fn commands_about_batches_have_the_flags_of_the_connection() {
        let batches = |typed: &[&str]| commands(typed, false).batches("collect", Path::new("-o.jsonl"));
        let typed = ["batches", "cancel", "p.jsonl", "b_1", "--yes", "--base-url", "http://127.0.0.1:1"];

        assert_eq!(batches(&typed), "claude-batch batches collect ./-o.jsonl --base-url http://127.0.0.1:1");
        assert_eq!(
            commands(&typed[..5], false).run_again(&["a b.jsonl".to_owned()], Path::new("o.jsonl"), "auto"),
            "claude-batch run 'a b.jsonl' -o o.jsonl --lane auto"
        );
    }

    #[test]
    fn a_file_contains_no_trust_in_other_users() {
        let typed = ["run", "p.jsonl", "--trust-owner", "--trust-owner=true", "--tier", "2", "--", "--trust-owner"];
        let commands = commands(&typed, false).for_file();

        assert_eq!(commands.again().text, "claude-batch run p.jsonl --tier 2 -- --trust-owner");
        let paths = RunPaths::given(Some("o.jsonl".into()), "o.errors.jsonl".into());
        assert!(!commands.resume(&paths, None).text.contains("trust-owner"));
    }

    #[test]
    fn resuming_never_starts_over() {
        let again = |typed: &[&str], is_fresh| commands(typed, is_fresh).again().text;

        assert_eq!(again(&["run", "a b.jsonl", "--tier", "2"], false), "claude-batch run 'a b.jsonl' --tier 2");
        assert_eq!(again(&["run", "p.jsonl", "--fresh"], true), "claude-batch run p.jsonl --fresh=false");
        assert_eq!(again(&["run", "--fresh=true", "p.jsonl"], true), "claude-batch run p.jsonl --fresh=false");
        assert_eq!(
            again(&["run", "p.jsonl"], true),
            "claude-batch run p.jsonl --fresh=false",
            "the environment said so"
        );
        assert_eq!(again(&["run", "--fresh", "--", "--fresh"], true), "claude-batch run --fresh=false -- --fresh");
        assert_eq!(
            again(&["run", "p.jsonl", "--header", "A: s3cret"], false),
            "claude-batch run p.jsonl --header 'A: [hidden]'"
        );
    }
}
